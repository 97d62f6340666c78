//! Rows from CSV files: use, `timestamp,workgroup,bytes`, and queries, `submitted,completed,workgroup,bytes`.
//!
//! Rows of one workgroup stand in the order of time; how the workgroups are mixed does not matter, so that a file by time and a file by
//! workgroup are both read as they come, with no more memory than the workgroups' windows take.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use csv_core::{ReadRecordResult, Reader};
use jiff::Timestamp;
use watchdog_core::bytes::Bytes;

use crate::exit::Failure;
use crate::out::printable;

/// The columns of use, in any order.
const USE: [&str; 3] = ["timestamp", "workgroup", "bytes"];

/// Those of a log of queries.
const QUERIES: [&str; 4] = ["submitted", "completed", "workgroup", "bytes"];

/// Read at once. Half a gigabyte in pieces of the default 8 KiB spends a tenth of its time on asking for them.
const BUFFER: usize = 1 << 18;

/// The longest row, in bytes. Three cells need a hundred and a half; a file without line ends is none of ours.
const LONGEST_ROW: usize = 4096;

/// The most cells of a row that are told apart.
const MOST_CELLS: usize = 64;

/// What a row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'r> {
    /// Its line in the file, from 1.
    pub line: u64,
    /// Start of the stretch that it is about, in whole seconds.
    pub at: Timestamp,
    /// Whose bytes.
    pub workgroup: &'r str,
    /// How many.
    pub bytes: Bytes,
}

/// Use that is being read from a CSV file.
pub struct Rows {
    file: Columns<3>,
    /// The last day that was read, as text and as its first second: most rows are of the same day as the one before.
    day: Day,
}

/// A log of queries that is being read from a CSV file.
pub struct Queries {
    file: Columns<4>,
    day: Day,
}

/// A day as text and as its first second.
type Day = ([u8; 11], i64);

/// One query of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryRow {
    /// Its line in the file, from 1.
    pub line: u64,
    /// When it was handed in.
    pub submitted: Timestamp,
    /// When it ended; not before that.
    pub completed: Timestamp,
    /// Whose it was.
    pub workgroup: String,
    /// What it had scanned at its end.
    pub bytes: Bytes,
}

impl Rows {
    /// Opens a file, or standard input where it is called `-`, and reads its header.
    ///
    /// # Errors
    /// [`Failure`] where it cannot be read or has another header.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        Self::with_columns(path, USE)
    }

    /// The same of a file with another figure than bytes, or of something else than workgroups: a time, a name and a number.
    ///
    /// # Errors
    /// As [`Rows::open`].
    pub fn with_columns(path: &Path, columns: [&'static str; 3]) -> Result<Self, Failure> {
        Ok(Self { file: Columns::open(path, columns)?, day: ([0; 11], 0) })
    }

    /// The file's name in messages.
    pub fn name(&self) -> &str {
        &self.file.name
    }

    /// The next row; `None` at the end.
    ///
    /// # Errors
    /// [`Failure`] with the line and the value, where a row is not what it should be.
    pub fn next(&mut self) -> Result<Option<Row<'_>>, Failure> {
        let Some(line) = self.file.next()? else { return Ok(None) };
        let at = self.file.instant(0, &mut self.day, line)?;
        let bytes = self.file.bytes(2, line)?;
        Ok(Some(Row { line, at, workgroup: self.file.workgroup(1, line)?, bytes }))
    }
}

impl Queries {
    /// As [`Rows::open`].
    ///
    /// # Errors
    /// As there.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        Ok(Self { file: Columns::open(path, QUERIES)?, day: ([0; 11], 0) })
    }

    /// The file's name in messages.
    pub fn name(&self) -> &str {
        &self.file.name
    }

    /// As [`Rows::next`].
    ///
    /// # Errors
    /// As there; and where a query ends before it begins.
    pub fn next(&mut self) -> Result<Option<QueryRow>, Failure> {
        let Some(line) = self.file.next()? else { return Ok(None) };
        let submitted = self.file.instant(0, &mut self.day, line)?;
        let completed = self.file.instant(1, &mut self.day, line)?;
        if completed < submitted {
            return Err(self
                .file
                .fail(line, &format!("`completed` is `{completed}`, before `submitted`, `{submitted}`")));
        }
        let workgroup = self.file.workgroup(2, line)?.to_owned();
        Ok(Some(QueryRow { line, submitted, completed, workgroup, bytes: self.file.bytes(3, line)? }))
    }
}

/// A CSV file with these columns, in any order.
struct Columns<const N: usize> {
    name: String,
    columns: [&'static str; N],
    lines: Lines,
    /// Where each column stands.
    places: [usize; N],
}

impl<const N: usize> Columns<N> {
    fn open(path: &Path, columns: [&'static str; N]) -> Result<Self, Failure> {
        let is_stdin = path.as_os_str() == "-";
        let name = if is_stdin { "<stdin>".to_owned() } else { path.display().to_string() };
        let source: Box<dyn Read + Send> = if is_stdin {
            Box::new(io::stdin())
        } else {
            let file = File::open(path);
            Box::new(file.map_err(|error| Failure::usage(format!("`{name}` cannot be read: {error}")))?)
        };
        Self::read(name, source, columns)
    }

    fn read(name: String, source: Box<dyn Read + Send>, columns: [&'static str; N]) -> Result<Self, Failure> {
        let wanted = columns.join(",");
        let mut lines = Lines::new(source);
        if lines.next(&name)?.is_none() {
            return Err(Failure::usage(format!("`{name}` is empty: its first line must be `{wanted}`")));
        }
        let header = (0..lines.cells).map(|n| String::from_utf8_lossy(lines.cell(n)).into_owned());
        let header: Vec<String> = header.map(|cell| cell.trim_start_matches('\u{feff}').to_owned()).collect();
        let mut places = [0; N];
        for (place, column) in places.iter_mut().zip(columns) {
            *place = header.iter().position(|cell| cell == column).ok_or_else(|| {
                let shown: String = printable(&header.join(",")).chars().take(120).collect();
                Failure::usage(format!("`{name}`, line 1: the header is `{shown}`, and it must be `{wanted}`"))
            })?;
        }
        if header.len() != N {
            let extra = header.iter().find(|cell| !columns.contains(&cell.as_str())).or(header.last());
            return Err(Failure::usage(format!(
                "`{name}`, line 1: the header has the column `{}` beside `{wanted}`: leave it out",
                printable(extra.map_or("", String::as_str))
            )));
        }
        Ok(Self { name, columns, lines, places })
    }

    fn fail(&self, line: u64, message: &str) -> Failure {
        Failure::usage(format!("`{}`, line {line}: {message}", self.name))
    }

    /// Goes on to the next row and returns its line.
    fn next(&mut self) -> Result<Option<u64>, Failure> {
        let Some(line) = self.lines.next(&self.name)? else { return Ok(None) };
        if self.lines.cells != N {
            let message =
                format!("it has {} values, and there are {N} columns: {}", self.lines.cells, self.columns.join(","));
            return Err(self.fail(line, &message));
        }
        Ok(Some(line))
    }

    fn cell(&self, column: usize) -> &[u8] {
        self.lines.cell(self.places[column])
    }

    fn wrong(&self, column: usize, line: u64, why: &str) -> Failure {
        let text = String::from_utf8_lossy(self.cell(column));
        let shown: String = printable(&text).chars().take(60).collect();
        self.fail(line, &format!("`{}` is `{shown}`: {why}", self.columns[column]))
    }

    fn instant(&self, column: usize, day: &mut Day, line: u64) -> Result<Timestamp, Failure> {
        instant(self.cell(column), day).map_err(|why| self.wrong(column, line, why))
    }

    fn workgroup(&self, column: usize, line: u64) -> Result<&str, Failure> {
        match std::str::from_utf8(self.cell(column)) {
            Ok("") => {
                let column = self.columns[column];
                Err(self.fail(line, &format!("`{column}` is empty: write the {column}'s name")))
            }
            Ok(name) => Ok(name),
            Err(_) => Err(self.wrong(column, line, "it is not UTF-8 text")),
        }
    }

    fn bytes(&self, column: usize, line: u64) -> Result<Bytes, Failure> {
        let why = "write a whole number from 0 to 18446744073709551615, without a unit";
        number(self.cell(column)).map(Bytes::new).ok_or_else(|| self.wrong(column, line, why))
    }
}

/// The lines of a CSV file, cut into cells.
struct Lines {
    source: Box<dyn Read + Send>,
    reader: Reader,
    /// What has been read and not been cut yet: `buffer[from..to]`.
    buffer: Vec<u8>,
    from: usize,
    to: usize,
    /// Whether anything has been read.
    has_begun: bool,
    /// The cells of the present row, one after the other, and where each ends.
    text: Vec<u8>,
    ends: [usize; MOST_CELLS],
    /// How many cells the present row has.
    cells: usize,
}

impl Lines {
    fn new(source: Box<dyn Read + Send>) -> Self {
        Self {
            source,
            reader: Reader::new(),
            buffer: vec![0; BUFFER],
            from: 0,
            to: 0,
            has_begun: false,
            text: vec![0; LONGEST_ROW],
            ends: [0; MOST_CELLS],
            cells: 0,
        }
    }

    /// Goes on to the next row that is not empty and returns the line that it begins on; `None` at the end.
    fn next(&mut self, name: &str) -> Result<Option<u64>, Failure> {
        let (mut length, mut cells) = (0, 0);
        let mut line = self.reader.line();
        // A row that opens with a quote has begun before there is anything of it.
        let mut has_begun = false;
        loop {
            if self.from == self.to {
                self.fill(name)?;
            }
            let input = &self.buffer[self.from..self.to];
            if !has_begun {
                line = self.reader.line() + lines_skipped(input);
            }
            let (result, read, written, ended) =
                self.reader.read_record(input, &mut self.text[length..], &mut self.ends[cells..]);
            has_begun |= input[..read].iter().any(|byte| !matches!(byte, b'\n' | b'\r'));
            self.from += read;
            (length, cells) = (length + written, cells + ended);
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                    return Err(Failure::usage(format!(
                        "`{name}`, line {line}: it has more than {LONGEST_ROW} bytes or {MOST_CELLS} values: that is no row of use"
                    )));
                }
                ReadRecordResult::Record => {
                    self.cells = cells;
                    return Ok(Some(line));
                }
                ReadRecordResult::End => return Ok(None),
            }
        }
    }

    /// Reads on; at the end of the file there is nothing in the buffer. A first piece is longer than the mark of the order of bytes (three of
    /// them) that some programs begin a file with: the reader takes the mark off and what is left, where that is nothing, for the file's end.
    fn fill(&mut self, name: &str) -> Result<(), Failure> {
        (self.from, self.to) = (0, 0);
        let least = if self.has_begun { 1 } else { 4 };
        while self.to < least {
            let read = self.source.read(&mut self.buffer[self.to..]);
            let read = read.map_err(|error| Failure::usage(format!("`{name}` cannot be read: {error}")))?;
            if read == 0 {
                break;
            }
            self.to += read;
        }
        self.has_begun = true;
        Ok(())
    }

    fn cell(&self, n: usize) -> &[u8] {
        let start = n.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[n]]
    }
}

/// Empty lines before a row: the reader counts them with it.
fn lines_skipped(input: &[u8]) -> u64 {
    let empty = input.iter().take_while(|byte| matches!(byte, b'\n' | b'\r'));
    empty.fold(0, |lines, byte| lines + u64::from(*byte == b'\n'))
}

/// Digits and nothing else.
fn number(cell: &[u8]) -> Option<u64> {
    if cell.is_empty() {
        return None;
    }
    cell.iter().try_fold(0u64, |sum, digit| {
        let digit = u64::from(digit.wrapping_sub(b'0'));
        (digit < 10).then(|| sum.checked_mul(10)?.checked_add(digit)).flatten()
    })
}

/// An RFC 3339 instant in whole seconds. The form that CloudWatch and most tools write, `2026-03-01T13:05:00Z`, is read by hand: half of
/// the time of a large back-test went into the general parser.
fn instant(cell: &[u8], day: &mut Day) -> Result<Timestamp, &'static str> {
    let two = |i: usize| match (cell[i].wrapping_sub(b'0'), cell[i + 1].wrapping_sub(b'0')) {
        (a @ 0..=9, b @ 0..=9) => i64::from(a) * 10 + i64::from(b),
        _ => i64::MAX,
    };
    if cell.len() == 20 && cell[19] == b'Z' && cell[13] == b':' && cell[16] == b':' && cell[..11] == day.0 {
        let (hour, minute, second) = (two(11), two(14), two(17));
        if hour < 24 && minute < 60 && second < 60 {
            let seconds = day.1 + hour * 3600 + minute * 60 + second;
            return Timestamp::from_second(seconds).map_err(|_| "no such time");
        }
    }
    const FORM: &str = "write an RFC 3339 instant with its zone, such as `2026-03-01T13:05:00Z`";
    let text = std::str::from_utf8(cell).map_err(|_| FORM)?;
    let at: Timestamp = text.parse().map_err(|_| FORM)?;
    if at.subsec_nanosecond() != 0 {
        return Err("it has a fraction of a second: write whole seconds");
    }
    if cell.len() == 20 && cell[19] == b'Z' && cell[10] == b'T' {
        day.0.copy_from_slice(&cell[..11]);
        day.1 = at.as_second().div_euclid(86_400) * 86_400;
    }
    Ok(at)
}

#[cfg(test)]
mod tests;
