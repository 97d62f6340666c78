//! What runs in the workgroups near their limits: read from a real client, within bounds, and never claimed where it is not known.

use std::time::Duration;

use jiff::SignedDuration;
use watchdog_aws::flights::flights;
use watchdog_aws::pace::{Pace, Paces};
use watchdog_core::bytes::Bytes;
use watchdog_core::usage::{InFlight, Landed};

use crate::executions::{Athena, Faults, Query, athena, now, paces, query};

const GB: i64 = 1_000_000_000;

/// What runs as `id minutes bytes`, what landed as `+ minutes bytes`, and the warnings.
async fn shown(athena: &Athena, paces: &Paces) -> String {
    let (known, warnings) = flights(&athena.client, paces, &["exploratory"], now()).await;
    let Some(flights) = known.get("exploratory") else { return format!("not known; {}", warnings.join("; ")) };
    let minutes = |at| now().duration_since(at).as_mins();
    let bytes = |bytes: Bytes| (bytes.get() / 1_000_000_000).to_string();
    let running = flights.running.iter().map(|InFlight { id, started, scanned }| {
        format!("{id} {} {}", minutes(*started), scanned.map_or("?".to_owned(), bytes))
    });
    let landed = flights.landed.iter().map(|Landed { at, bytes: b }| format!("+ {} {}", minutes(*at), bytes(*b)));
    running.chain(landed).chain(warnings).collect::<Vec<_>>().join("; ")
}

#[track_caller]
fn check(actual: &str, expected: &str) {
    assert_eq!(actual, expected);
}

fn short(n: i64) -> Vec<Query> {
    (0..n).map(|i| query(format!("q{i}"), 30 + i, Some(29 + i), GB)).collect()
}

#[tokio::test]
async fn what_runs_is_known_with_its_bytes_and_what_was_seen_to_land() {
    let queries = vec![
        query("giant", 20, None, 360 * GB),
        query("short", 3, Some(1), 5 * GB),
        query("landed", 50, Some(9), 400 * GB),
        query("long ago", 200, Some(130), 400 * GB),
    ];
    let athena = athena(queries, Faults::default());
    check(&shown(&athena, &paces()).await, "giant 20 360; + 9 400");
    assert_eq!((*athena.lists.lock().unwrap(), athena.gets.lock().unwrap().len()), (1, 1));
}

#[tokio::test]
async fn a_zero_while_it_runs_is_not_known_and_then_nothing_is_said_of_what_landed() {
    let queries = vec![query("runs", 20, None, 0), query("landed", 50, Some(9), 400 * GB)];
    check(&shown(&athena(queries, Faults::default()), &paces()).await, "runs 20 ?");
}

#[tokio::test]
async fn a_detail_that_athena_leaves_undone_leaves_the_rest_known_and_no_giant_explained_away() {
    let queries = vec![query("undone", 25, None, GB), query("runs", 20, None, GB), query("landed", 50, Some(9), GB)];
    let faults = Faults { undone: Some(("undone", 9)), ..Faults::default() };
    check(&shown(&athena(queries, faults), &paces()).await, "runs 20 1");
}

#[tokio::test]
async fn a_failure_claims_nothing_and_is_told() {
    let queries = vec![query("giant", 20, None, 360 * GB)];
    let faults = Faults { list_fails_at: Some(0), ..Faults::default() };
    check(
        &shown(&athena(queries.clone(), faults), &paces()).await,
        "not known; running queries are not all known: `athena:ListQueryExecutions` failed with `InternalServerException`, \
         for 1 workgroup",
    );
    let faults = Faults { get_fails: true, ..Faults::default() };
    let said = shown(&athena(queries, faults), &paces()).await;
    assert!(
        said.starts_with("not known; running queries are not all known: `athena:BatchGetQueryExecution`"),
        "{said}"
    );
}

#[tokio::test]
async fn ten_thousand_running_ones_are_read_no_further_than_the_bound() {
    let running = (0..10_000).map(|n| query(format!("r{n}"), 1 + n / 100, None, GB)).collect();
    let athena = athena(running, Faults::default());
    let (known, warnings) = flights(&athena.client, &paces(), &["exploratory"], now()).await;
    assert_eq!((known["exploratory"].running.len(), warnings), (200, vec![]));
    assert!(known["exploratory"].may_be_more, "two hundred are no ten thousand");
    assert_eq!((*athena.lists.lock().unwrap(), athena.gets.lock().unwrap().len()), (4, 4));
}

#[tokio::test]
async fn what_lies_beyond_the_bound_is_no_reason_to_explain_a_giant_away() {
    let mut queries: Vec<Query> = (0..240).map(|n| query(format!("q{n}"), 30, Some(29), GB)).collect();
    queries.insert(0, query("landed", 50, Some(9), 400 * GB));
    check(&shown(&athena(queries, Faults::default()), &paces()).await, "not known; ");
    let mut few = short(90);
    few.insert(0, query("landed", 50, Some(9), 400 * GB));
    check(&shown(&athena(few, Faults::default()), &paces()).await, "+ 9 400");
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_ends_the_look_and_not_the_run() {
    let slow = Pace::new(Duration::from_secs(3), 1);
    let paces = Paces { list_queries: slow, ..paces() };
    let queries = (0..200).map(|n| query(format!("r{n}"), 1, None, GB)).collect();
    let start = tokio::time::Instant::now();
    let (known, warnings) = flights(&athena(queries, Faults::default()).client, &paces, &["exploratory"], now()).await;
    assert!(start.elapsed() <= Duration::from_secs(5));
    assert_eq!(known["exploratory"].running.len(), 100, "what was read in time");
    assert_eq!(warnings, ["running queries of 1 workgroup are not all known: reading them took over 5 s"]);
}

#[tokio::test]
async fn no_more_workgroups_than_the_bound_and_none_where_none_is_asked() {
    let athena = athena(vec![], Faults::default());
    let (known, _) = flights(&athena.client, &paces(), &["exploratory"; 30], now()).await;
    assert_eq!((known.len(), *athena.lists.lock().unwrap()), (1, 8));
    assert!(known["exploratory"].running.is_empty(), "known to be none");
    let (known, warnings) = flights(&athena.client, &paces(), &[], now() + SignedDuration::from_mins(5)).await;
    assert!(known.is_empty() && warnings.is_empty());
    assert_eq!(*athena.lists.lock().unwrap(), 8);
}
