//! The account's queries: how many were active and what they are measured by, and when any had to wait; from files or from CloudWatch.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use watchdog_aws::clients::Clients;
use watchdog_aws::operator::crowd;
use watchdog_aws::operator::past::Past as CloudWatch;
use watchdog_core::policy::Class;
use watchdog_core::proposal::band::{Band, Counted, band};
use watchdog_core::proposal::capacity::{Account, SHORTEST_WAIT_MS};
use watchdog_core::proposal::days::History;
use watchdog_core::usage::{Peaks, Quota};
use watchdog_core::window::{BUCKET, Span, floor};

use super::past::Past;
use crate::args::PlanArgs;
use crate::backtest::rows::Rows;
use crate::exit::Failure;

/// What is known of the account's queries.
#[derive(Debug, Default)]
pub struct Crowd {
    /// By class.
    pub counted: Vec<Counted>,
    /// When queries waited, and in which time that is known; `None` where it is not.
    pub waited: Option<(Span, BTreeSet<Timestamp>)>,
}

/// The active queries of one class, for people.
pub struct Crowded {
    /// What was counted.
    pub counted: Counted,
    /// What it comes to; `None` where nothing was active.
    pub band: Option<Band>,
}

impl Crowd {
    /// What each class comes to.
    pub fn bands(&self, next: u32) -> Vec<Crowded> {
        let each = self.counted.iter().map(|counted| Crowded { counted: counted.clone(), band: band(counted, next) });
        each.collect()
    }

    /// What there is to learn the account's capacity from, where anything is known of waiting.
    pub fn account(&self, past: &Past) -> Option<Account> {
        let (span, mut strained) = self.waited.clone()?;
        // Where as many were active as the quota has, the next ones were refused.
        for counted in &self.counted {
            let Some(quota) = counted.quota else { continue };
            strained.extend(counted.peaks.within(counted.span).filter(|(_, n)| *n >= quota.most).map(|(at, _)| at));
        }
        Some(Account { history: History::sum(past.histories.values())?, span, strained })
    }
}

/// Reads files of them.
///
/// # Errors
/// [`Failure`] with line and value, where a row is not what it should be.
pub fn from_files(args: &PlanArgs, crowd: &mut Crowd, past: &mut Past) -> Result<(), Failure> {
    let quotas: BTreeMap<Class, u64> = args.active_quotas.iter().copied().collect();
    if let Some(path) = &args.active {
        from_active(path, args.until, &quotas, crowd, past)?;
    }
    if let Some(path) = &args.waits {
        from_waits(path, args.until, crowd)?;
    }
    Ok(())
}

fn from_active(
    path: &Path,
    until: Option<Timestamp>,
    quotas: &BTreeMap<Class, u64>,
    crowd: &mut Crowd,
    past: &mut Past,
) -> Result<(), Failure> {
    let mut rows = Rows::with_columns(path, ["timestamp", "class", "active"])?;
    let file = rows.name().to_owned();
    let mut values: BTreeMap<Class, Vec<(Timestamp, u64)>> = BTreeMap::new();
    let mut span: Option<Span> = None;
    while let Some(row) = rows.next()? {
        let class = class(row.workgroup).map_err(|why| {
            Failure::usage(format!(
                "`{file}`, line {}: `class` is `{}`: {why}",
                row.line,
                crate::out::printable(row.workgroup)
            ))
        })?;
        if until.is_some_and(|until| row.at >= until) {
            continue;
        }
        widen(&mut span, row.at);
        values.entry(class).or_default().push((row.at, row.bytes.get()));
    }
    let Some(span) = span else {
        return Err(Failure::usage(format!("`{file}` has no rows below its header: there is nothing to look at")));
    };
    for (class, values) in values {
        let quota = quotas.get(&class).map(|most| Quota { most: *most, is_default: false, read: span.end });
        if quota.is_none() {
            let word = class.word();
            past.notes.push(format!(
                "the quota of active {word} queries is not known: give it, such as `--active-quota {word}=200`"
            ));
        }
        crowd.counted.push(Counted { class, peaks: Peaks::from_buckets(values), span, quota });
    }
    Ok(())
}

fn from_waits(path: &Path, until: Option<Timestamp>, crowd: &mut Crowd) -> Result<(), Failure> {
    let mut rows = Rows::with_columns(path, ["timestamp", "workgroup", "waited_ms"])?;
    let file = rows.name().to_owned();
    let (mut span, mut strained) = (None, BTreeSet::new());
    while let Some(row) = rows.next()? {
        if until.is_some_and(|until| row.at >= until) {
            continue;
        }
        widen(&mut span, row.at);
        if row.bytes.get() >= SHORTEST_WAIT_MS {
            strained.insert(floor(row.at));
        }
    }
    let Some(span) = span else {
        return Err(Failure::usage(format!("`{file}` has no rows below its header: there is nothing to look at")));
    };
    crowd.waited = Some((span, strained));
    Ok(())
}

/// The stretch from the first row to the end of the last one's bucket.
fn widen(span: &mut Option<Span>, at: Timestamp) {
    let start = floor(at);
    let end = start.saturating_add(SignedDuration::from_secs(BUCKET)).unwrap_or(start);
    let known = span.get_or_insert(Span { start, end });
    *known = Span { start: known.start.min(start), end: known.end.max(end) };
}

/// A class as people and AWS write it.
///
/// # Errors
/// What to write, where it is none.
pub fn class(text: &str) -> Result<Class, String> {
    let found = Class::ALL.into_iter().find(|class| class.word().eq_ignore_ascii_case(text));
    found.ok_or_else(|| "write `DML` or `DDL`".to_owned())
}

/// Asks CloudWatch: for the classes that the policy watches, and, where somebody's limit is what the account can spare, for waiting. Returns
/// whether all of it could be read.
pub async fn from_cloudwatch(
    clients: &Clients,
    args: &PlanArgs,
    (classes, waits): (&[Class], bool),
    read: &CloudWatch<'_>,
    crowd: &mut Crowd,
    past: &mut Past,
) -> bool {
    let span = read.by_five_minutes();
    let quotas: BTreeMap<Class, u64> = args.active_quotas.iter().copied().collect();
    let mut all_seen = true;
    for (class, then) in classes.iter().zip(crowd::active(clients, classes, span, span.end).await) {
        let word = class.word();
        match then.counted {
            Ok(mut counted) => {
                if let Some(most) = quotas.get(class) {
                    counted.quota = Some(Quota { most: *most, is_default: false, read: span.end });
                } else if let Some(why) = then.no_quota {
                    all_seen = false;
                    past.notes.push(format!(
                        "the quota of active {word} queries is not known: {why}; give it, such as `--active-quota {word}=200`"
                    ));
                }
                crowd.counted.push(counted);
            }
            Err(why) => {
                all_seen = false;
                past.notes.push(format!("how many {word} queries were active is not known: {why}"));
            }
        }
    }
    if waits {
        match read.waited().await {
            Ok(strained) => crowd.waited = Some((span, strained)),
            Err((name, why)) => {
                all_seen = false;
                past.notes.push(format!("how long queries of the workgroup `{name}` waited is not known: {why}"));
            }
        }
    }
    all_seen
}

/// Asks Athena what the newest queries of these workgroups have scanned. Returns whether all of them could be read.
pub async fn sizes(clients: &Clients, names: &[&str], span: Span, past: &mut Past) -> bool {
    let mut all_seen = true;
    for (name, sizes) in crowd::sizes(clients, names, span.start, span.end).await {
        if let Some(why) = &sizes.unseen {
            all_seen = false;
            past.notes.push(format!("not all queries of the workgroup `{name}` could be read: {why}"));
        }
        past.notes.push(match (sizes.bytes.len(), sizes.is_cut) {
            (0, _) => format!("Athena tells of no query of `{name}` that has read data; it keeps them for 45 days"),
            (n, true) => format!("the sizes of the newest {n} queries of `{name}` are from Athena; there are more"),
            (n, false) => format!("the sizes of {n} queries of `{name}` are from Athena, which keeps them for 45 days"),
        });
        past.queries.insert(name, sizes.bytes);
    }
    all_seen
}
