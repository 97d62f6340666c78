//! The past that a plan looks at: from a file, from a log of queries, or from CloudWatch.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use jiff::Timestamp;
use watchdog_core::bytes::Bytes;
use watchdog_core::proposal::days::History;
use watchdog_core::usage::Series;
use watchdog_core::window::{BUCKET, Span};

use crate::backtest::replays::{LONGEST, Wanted, learnt};
use crate::backtest::rows::{Queries, Rows};
use crate::exit::Failure;

/// A day and more without any row of any workgroup is no pause but a hole: somebody's export has ended and begun anew. CloudWatch writes
/// no rows while nothing runs, so that a shorter one may be a night.
const HOLE: i64 = 86_400;

/// Everything that is known.
#[derive(Debug, Default)]
pub struct Past {
    /// By workgroup.
    pub histories: BTreeMap<String, History>,
    /// The sizes of queries, by workgroup.
    pub queries: BTreeMap<String, Vec<Bytes>>,
    /// What is odd about it, in sentences.
    pub notes: Vec<String>,
}

/// One row.
struct Row {
    workgroup: u32,
    at: i64,
    bytes: u64,
}

/// Rows of a file in memory, by workgroup, then by time: a plan asks for order statistics, and these need them all.
#[derive(Default)]
struct Table {
    ids: HashMap<String, u32>,
    names: Vec<String>,
    rows: Vec<Row>,
}

impl Table {
    fn push(&mut self, workgroup: &str, at: i64, bytes: Bytes) {
        let workgroup = match self.ids.get(workgroup) {
            Some(id) => *id,
            None => {
                let id = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
                self.ids.insert(workgroup.to_owned(), id);
                self.names.push(workgroup.to_owned());
                id
            }
        };
        self.rows.push(Row { workgroup, at, bytes: bytes.get() });
    }

    fn name(&self, id: u32) -> &str {
        usize::try_from(id).ok().and_then(|id| self.names.get(id)).map_or("", String::as_str)
    }
}

/// Reads use.
///
/// # Errors
/// [`Failure`] with line and value, where a row is not what it should be.
pub fn from_usage(path: &Path, step: Option<i64>, until: Option<Timestamp>, past: &mut Past) -> Result<(), Failure> {
    let mut rows = Rows::open(path)?;
    let file = rows.name().to_owned();
    let mut table = Table::default();
    let (mut newest, mut unordered) = (HashMap::new(), false);
    while let Some(row) = rows.next()? {
        if until.is_none_or(|until| row.at < until) {
            table.push(row.workgroup, row.at.as_second(), row.bytes);
            let id = table.rows.last().map_or(0, |row| row.workgroup);
            let before = newest.insert(id, row.at.as_second());
            unordered |= before.is_some_and(|before| before > row.at.as_second());
        }
    }
    if unordered {
        past.notes.push("rows are not in the order of time: they were sorted".to_owned());
    }
    table.rows.sort_by_key(|row| (row.workgroup, row.at));
    let stamps = table.rows.iter().map(|row| (row.at, table.name(row.workgroup)));
    let step = learnt(stamps, &file, Wanted { step, ..Wanted::default() })?;
    fill(&table, step, &file, past)
}

/// Reads a log of queries: their sizes, and of workgroups without another history their bytes, which land at their ends.
///
/// # Errors
/// As [`from_usage`].
pub fn from_queries(path: &Path, until: Option<Timestamp>, past: &mut Past) -> Result<(), Failure> {
    let mut queries = Queries::open(path)?;
    let file = queries.name().to_owned();
    let mut table = Table::default();
    while let Some(query) = queries.next()? {
        if until.is_none_or(|until| query.completed < until) {
            past.queries.entry(query.workgroup.clone()).or_default().push(query.bytes);
            table.push(&query.workgroup, query.completed.as_second().div_euclid(BUCKET) * BUCKET, query.bytes);
        }
    }
    if table.rows.is_empty() {
        return Err(Failure::usage(format!("`{file}` has no rows below its header: there is nothing to look at")));
    }
    table.rows.sort_by_key(|row| (row.workgroup, row.at));
    // Several queries end in one bucket, which is no slip.
    let notes = past.notes.len();
    fill(&table, BUCKET, &file, past)?;
    past.notes.truncate(notes);
    Ok(())
}

/// Puts sorted rows into buckets.
fn fill(table: &Table, step: i64, file: &str, past: &mut Past) -> Result<(), Failure> {
    let mut stamps: Vec<i64> = table.rows.iter().map(|row| row.at).collect();
    stamps.sort_unstable();
    stamps.dedup();
    let (Some(first), Some(last)) = (stamps.first().copied(), stamps.last().copied()) else { return Ok(()) };
    if last - first > LONGEST {
        return Err(Failure::usage(format!(
            "`{file}`: the rows reach from {} to {}, more than 20 years; is a year wrong?",
            stamp(first),
            stamp(last)
        )));
    }
    let end = (last + step + BUCKET - 1).div_euclid(BUCKET) * BUCKET;
    let gaps = stamps.windows(2).filter_map(|two| match two {
        [a, b] if b - a - step >= HOLE => Some((a + step, *b)),
        _ => None,
    });
    let gaps: Vec<(i64, i64)> = gaps.collect();
    for (from, to) in &gaps {
        past.notes.push(format!(
            "`{file}` has no row at all from {} to {}: that time is not known, and counts for nothing",
            stamp(*from),
            stamp(*to)
        ));
    }
    if step > BUCKET {
        past.notes.push(format!(
            "a row stands for {} min: its bytes are taken to come evenly, so that windows between two rows may have held more",
            step / 60
        ));
    }
    let mut repeated = 0u64;
    for rows in table.rows.chunk_by(|a, b| a.workgroup == b.workgroup) {
        let Some(start) = rows.first().map(|row| row.at.div_euclid(BUCKET) * BUCKET) else { continue };
        let length = usize::try_from((end - start) / BUCKET).unwrap_or(0);
        let mut buckets = vec![Bytes::ZERO; length];
        let mut before = i64::MIN;
        for row in rows {
            repeated += u64::from(row.at == before);
            before = row.at;
            let parts = u64::try_from((step / BUCKET).max(1)).unwrap_or(1);
            let place = usize::try_from((row.at - start) / BUCKET).unwrap_or(usize::MAX);
            let (each, rest) = (row.bytes / parts, row.bytes % parts);
            for (n, bucket) in (0..parts).zip(buckets.iter_mut().skip(place)) {
                let part = if n == 0 { each + rest } else { each };
                *bucket = Bytes::new(bucket.get().saturating_add(part));
            }
        }
        let of = |(from, to): &(i64, i64)| {
            let start = Timestamp::from_second(*from).ok()?;
            Some(Span { start, end: Timestamp::from_second(*to).ok()? })
        };
        let own = gaps.iter().filter(|(_, to)| *to > start).filter_map(of).collect();
        let series = Series::from_buckets(Timestamp::from_second(start).unwrap_or(Timestamp::MIN), buckets);
        let name = rows.first().map_or("", |row| table.name(row.workgroup)).to_owned();
        past.histories.entry(name).or_insert(History { series, holes: own });
    }
    if repeated > 0 {
        past.notes.push(format!("{repeated} rows with the stamp of another row of the same workgroup: added to it"));
    }
    Ok(())
}

fn stamp(second: i64) -> String {
    Timestamp::from_second(second).map_or(second.to_string(), |at| at.strftime("%Y-%m-%d %H:%M UTC").to_string())
}
