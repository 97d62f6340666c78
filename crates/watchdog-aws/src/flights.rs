//! Looks at the queries of the workgroups that are nearest to their limits: what runs now will be in the metric only when it ends.
//!
//! A help to the forecast and to whoever gets the mail. A run does without it where AWS refuses or is slow, and says so.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_athena::Client;
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use tokio::time::Instant;
use watchdog_core::forecast::PACED;
use watchdog_core::usage::Flights;

use crate::athena::executions::{Cut, executions};
use crate::pace::Paces;

/// Workgroups in one run. Each takes two requests for the list as a rule, of the four a second that are ours.
pub(crate) const MOST_WORKGROUPS: usize = 8;
/// Pages of each: its newest 200 queries.
const MOST_PAGES: usize = 4;
/// Time for all of it. Judging waits for this, and a mail for judging.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is known of the queries of `workgroups`, of which the first ones matter most, and what went wrong on the way.
pub async fn flights(
    client: &Client,
    paces: &Paces,
    workgroups: &[&str],
    at: Timestamp,
) -> (BTreeMap<String, Flights>, Vec<String>) {
    let until = Instant::now() + PATIENCE;
    let since = at - PACED;
    let looks = workgroups
        .iter()
        .take(MOST_WORKGROUPS)
        .map(|name| async move { (*name, executions(client, paces, name, since, None, MOST_PAGES, until).await) });
    let found: Vec<_> = stream::iter(looks).buffered(MOST_WORKGROUPS).collect().await;
    let (mut known, mut failures, mut late) = (BTreeMap::new(), BTreeMap::new(), 0);
    for (name, found) in found {
        match &found.cut {
            Some(Cut::Failed(failure)) => *failures.entry(failure.to_string()).or_insert(0) += 1,
            Some(Cut::TooLate) => late += 1,
            // Those that run are as a rule among the newest; that there are more queries is no failure.
            Some(Cut::TooMany) | None => {}
        }
        let is_whole = found.cut.is_none() && found.unread.is_empty();
        let flights = Flights::of(&found.executions, at, is_whole);
        // What was not read in full says of nothing that it does not run.
        if is_whole || !flights.running.is_empty() {
            known.insert(name.to_owned(), flights);
        }
    }
    let mut warnings: Vec<String> = failures
        .into_iter()
        .map(|(failure, n)| format!("running queries are not all known: {failure}, for {}", counted(n)))
        .collect();
    if late > 0 {
        let limit = PATIENCE.as_secs();
        warnings
            .push(format!("running queries of {} are not all known: reading them took over {limit} s", counted(late)));
    }
    (known, warnings)
}

fn counted(n: usize) -> String {
    if n == 1 { "1 workgroup".to_owned() } else { format!("{n} workgroups") }
}
