//! A log of queries through the replays of their workgroups: bytes come in when a query ends.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use watchdog_core::backtest::{Pace, Query, Replay};
use watchdog_core::policy::Policy;
use watchdog_core::window::BUCKET;

use super::mails::Mails;
use super::replays::{LONGEST, Outcome, Wanted};
use super::rows::Queries;
use super::shards::Found;
use crate::exit::Failure;

/// Goes through a log of queries; `grows` says whether it is known while a query runs what it has scanned.
///
/// # Errors
/// As [`super::replays::run`].
pub fn run(path: &Path, policies: &[&Policy], wanted: Wanted, grows: bool) -> Result<Outcome, Failure> {
    let mut file = Queries::open(path)?;
    let every = wanted.every.unwrap_or(BUCKET);
    let mut by_workgroup: BTreeMap<String, Vec<Query>> = BTreeMap::new();
    let mut outcome = Outcome { every, ..Outcome::default() };
    let (mut first, mut last) = (i64::MAX, i64::MIN);
    while let Some(row) = file.next()? {
        outcome.rows += 1;
        (first, last) = (first.min(row.submitted.as_second()), last.max(row.completed.as_second()));
        if last - first > LONGEST {
            let (file, line, at) = (file.name(), row.line, row.completed);
            return Err(Failure::usage(format!(
                "`{file}`, line {line}: `completed` is `{at}`: more than 20 years from another query; is the year right?"
            )));
        }
        let id = format!("line-{}", row.line);
        let query = Query { id, submitted: row.submitted, completed: row.completed, bytes: row.bytes };
        by_workgroup.entry(row.workgroup).or_default().push(query);
    }
    if outcome.rows == 0 {
        let name = file.name();
        return Err(Failure::usage(format!("`{name}` has no rows below its header: there is nothing to look at")));
    }
    let end = Timestamp::from_second(last + every).unwrap_or(Timestamp::MAX);
    let pace = Pace { step: 1, every, score_from: wanted.score_from, trace: wanted.trace };
    let (mut found, mut mails) = (Vec::new(), Mails::of(policies.len()));
    for (workgroup, queries) in by_workgroup {
        let mut notifications = Vec::new();
        let out = &mut notifications;
        match Replay::through_queries(policies, &workgroup, queries, grows, pace, out) {
            None => _ = outcome.uncovered.insert(workgroup),
            Some(mut replay) => {
                replay.finish(end, &mut notifications);
                mails.take(&mut notifications, 0);
                let asked = replay.asked();
                found.push(Found { place: 0, notifications, scored: replay.scored(), asked });
            }
        }
    }
    outcome.collect(found, &mails);
    outcome.span = Timestamp::from_second(first).ok().map(|first| (first, end));
    Ok(outcome)
}
