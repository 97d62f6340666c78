//! Any bytes in the place of a CSV file: rows that are what they should be, or one sentence that says where and why not.

use std::io::Cursor;

use proptest::prelude::*;

use super::*;

/// A file that comes in pieces of this many bytes, as a pipe does.
struct Pieces(Cursor<Vec<u8>>, usize);

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(self.1.max(1));
        self.0.read(&mut buffer[..most])
    }
}

fn rows(text: &[u8], piece: usize) -> Result<Vec<(u64, i64, String, u64)>, Failure> {
    let source = Box::new(Pieces(Cursor::new(text.to_vec()), piece));
    let mut rows = Rows { file: Columns::read("use.csv".to_owned(), source, USE)?, day: ([0; 11], 0) };
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push((row.line, row.at.as_second(), row.workgroup.to_owned(), row.bytes.get()));
    }
    Ok(all)
}

fn queries(text: &[u8], piece: usize) -> Result<usize, Failure> {
    let source = Box::new(Pieces(Cursor::new(text.to_vec()), piece));
    let mut queries = Queries { file: Columns::read("q.csv".to_owned(), source, QUERIES)?, day: ([0; 11], 0) };
    let mut n = 0;
    while let Some(row) = queries.next()? {
        assert!(row.completed >= row.submitted && !row.workgroup.is_empty());
        n += 1;
    }
    Ok(n)
}

/// A cell, right or wrong.
fn cell() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "2026-0[1-3]-[0-2][0-9]T[0-2][0-9]:[0-5][05]:00Z",
        2 => "[a-z-]{0,8}",
        3 => "[0-9]{1,22}",
        1 => "\\PC{0,12}",
        1 => Just("\"a,b\"".to_owned()),
        1 => Just("\"".to_owned()),
        1 => Just("\0\r\n\u{202e}\u{feff}".to_owned()),
        1 => (1usize..6000).prop_map(|n| "x".repeat(n)),
    ]
}

#[test]
fn a_row_that_opens_with_a_quote_is_on_its_own_line_however_the_file_comes() {
    for text in ["timestamp,workgroup,bytes\n\"\n", "timestamp,workgroup,bytes\n\n\"\n\n2026\",w"] {
        let whole = rows(text.as_bytes(), 1 << 20).unwrap_err().message;
        for piece in 1..text.len() {
            assert_eq!(rows(text.as_bytes(), piece).unwrap_err().message, whole, "in pieces of {piece}");
        }
    }
    let failure = rows(b"timestamp,workgroup,bytes\n\n\"\n", 1).unwrap_err();
    assert!(failure.message.contains("line 3"), "{}", failure.message);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_file_panics(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        lines in prop::collection::vec(prop::collection::vec(cell(), 0..5), 0..6),
        order in 0usize..6, piece in 1usize..40,
    ) {
        let header = ["timestamp,workgroup,bytes", "bytes,timestamp,workgroup", "submitted,completed,workgroup,bytes", "a,b", "", "\u{feff}timestamp,workgroup,bytes"][order];
        let mut text = format!("{header}\n").into_bytes();
        for line in &lines {
            text.extend(line.join(",").into_bytes());
            text.push(b'\n');
        }
        let mut broken = format!("{header}\n").into_bytes();
        broken.extend(&bytes);
        for text in [text, broken, bytes] {
            for failure in [rows(&text, piece).err(), queries(&text, piece).err()].into_iter().flatten() {
                let message = failure.message;
                prop_assert!(message.len() < 600, "{} bytes", message.len());
                prop_assert!(!message.contains(|c: char| c.is_control() || c == '\u{202e}'), "{:?}", message);
            }
            // How a file comes does not matter.
            prop_assert_eq!(rows(&text, piece), rows(&text, 1 << 20));
        }
    }

    /// What is read is what a reader who splits at commas finds.
    #[test]
    fn rows_are_what_stands_there(
        mut lines in prop::collection::vec((0i64..4_000_000_000, "[a-zA-Z0-9._-]{1,20}", any::<u64>()), 0..30),
        quoted: bool, crlf: bool, piece in 1usize..60,
    ) {
        let end = if crlf { "\r\n" } else { "\n" };
        let mut text = format!("timestamp,workgroup,bytes{end}");
        for (at, workgroup, bytes) in &mut lines {
            let quote = if quoted { "\"" } else { "" };
            let stamp = Timestamp::from_second(*at).unwrap();
            text.push_str(&format!("{stamp},{quote}{workgroup}{quote},{bytes}{end}"));
        }
        let expected: Vec<_> =
            lines.into_iter().zip(2u64..).map(|((at, name, bytes), line)| (line, at, name, bytes)).collect();
        prop_assert_eq!(rows(text.as_bytes(), piece), Ok(expected));
    }
}
