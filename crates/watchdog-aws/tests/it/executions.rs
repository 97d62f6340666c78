//! Query executions: paging in an order that nobody promises, the bounds, what Athena leaves undone, and absent fields.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_athena::Client;
use aws_sdk_athena::error::ErrorMetadata;
use aws_sdk_athena::operation::batch_get_query_execution::{
    BatchGetQueryExecutionError, BatchGetQueryExecutionInput, BatchGetQueryExecutionOutput,
};
use aws_sdk_athena::operation::list_query_executions::{
    ListQueryExecutionsError, ListQueryExecutionsInput, ListQueryExecutionsOutput,
};
use aws_sdk_athena::primitives::DateTime;
use aws_sdk_athena::types::error::InternalServerException;
use aws_sdk_athena::types::{
    QueryExecution, QueryExecutionState, QueryExecutionStatistics, QueryExecutionStatus, StatementType,
    UnprocessedQueryExecutionId,
};
use aws_smithy_mocks::{MockResponse, RuleMode, mock, mock_client};
use jiff::{SignedDuration, Timestamp};
use watchdog_aws::athena::executions::{Cut, Found, MOST_PAGES, executions};
use watchdog_aws::pace::{Pace, Paces};
use watchdog_core::bytes::Bytes;
use watchdog_core::queries::{Kind, State};

use crate::at;

/// No waiting, except where a test is about it.
pub(crate) fn paces() -> Paces {
    let quick = || Pace::new(Duration::ZERO, 1);
    Paces { list_queries: quick(), get_queries: quick(), lookup_events: quick() }
}

fn code(code: &str) -> ErrorMetadata {
    ErrorMetadata::builder().code(code).build()
}

fn later() -> tokio::time::Instant {
    tokio::time::Instant::now() + Duration::from_secs(60)
}

pub(crate) fn now() -> Timestamp {
    at("2026-03-01T14:05:00Z")
}

/// A query that was submitted and ended so many minutes ago; running where `ended` is none.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    pub id: String,
    submitted: i64,
    ended: Option<i64>,
    bytes: i64,
}

pub(crate) fn query(id: impl ToString, submitted: i64, ended: Option<i64>, bytes: i64) -> Query {
    Query { id: id.to_string(), submitted, ended, bytes }
}

fn answered(query: &Query) -> QueryExecution {
    let ago = |minutes: i64| DateTime::from_secs((now() - SignedDuration::from_mins(minutes)).as_second());
    let state = if query.ended.is_some() { QueryExecutionState::Succeeded } else { QueryExecutionState::Running };
    let status = QueryExecutionStatus::builder()
        .state(state)
        .submission_date_time(ago(query.submitted))
        .set_completion_date_time(query.ended.map(ago))
        .build();
    let statistics = QueryExecutionStatistics::builder().data_scanned_in_bytes(query.bytes).build();
    QueryExecution::builder().query_execution_id(&query.id).status(status).statistics(statistics).build()
}

/// Athena with these queries in this order, and how many calls it got of each kind.
pub(crate) struct Athena {
    pub client: Client,
    pub lists: Arc<Mutex<usize>>,
    pub gets: Arc<Mutex<Vec<usize>>>,
}

/// Which answers are spoilt.
#[derive(Default, Clone)]
pub(crate) struct Faults {
    /// Ids that are left undone so many times.
    pub undone: Option<(&'static str, usize)>,
    /// The list fails from this page on.
    pub list_fails_at: Option<usize>,
    /// Details fail.
    pub get_fails: bool,
}

pub(crate) fn athena(queries: Vec<Query>, faults: Faults) -> Athena {
    let (lists, gets) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(Vec::new())));
    let (counted, ids) = (lists.clone(), queries.iter().map(|q| q.id.clone()).collect::<Vec<_>>());
    let fails_at = faults.list_fails_at;
    let list = mock!(Client::list_query_executions).then_compute_response(move |input: &ListQueryExecutionsInput| {
        assert_eq!((input.work_group(), input.max_results()), (Some("exploratory"), Some(50)));
        let page: usize = input.next_token().map_or(0, |token| token.parse().unwrap());
        *counted.lock().unwrap() += 1;
        if fails_at.is_some_and(|at| page >= at) {
            let error =
                InternalServerException::builder().message("oops").meta(code("InternalServerException")).build();
            return MockResponse::Error(ListQueryExecutionsError::InternalServerException(error));
        }
        let rest = &ids[page * 50..];
        let (now, more) = rest.split_at(rest.len().min(50));
        let next = (!more.is_empty()).then(|| (page + 1).to_string());
        let out = ListQueryExecutionsOutput::builder().set_query_execution_ids(Some(now.to_vec()));
        MockResponse::Output(out.set_next_token(next).build())
    });
    let counted = gets.clone();
    let left = Mutex::new(faults.undone);
    let get =
        mock!(Client::batch_get_query_execution).then_compute_response(move |input: &BatchGetQueryExecutionInput| {
            let ids = input.query_execution_ids();
            assert!((1..=50).contains(&ids.len()), "{}", ids.len());
            counted.lock().unwrap().push(ids.len());
            if faults.get_fails {
                let error = InternalServerException::builder().message("oops").build();
                return MockResponse::Error(BatchGetQueryExecutionError::InternalServerException(error));
            }
            let mut out = BatchGetQueryExecutionOutput::builder();
            let mut left = left.lock().unwrap();
            // Not in the order that was asked for.
            for id in ids.iter().rev() {
                match left.as_mut() {
                    Some((undone, times)) if undone == id && *times > 0 => {
                        *times -= 1;
                        let undone = UnprocessedQueryExecutionId::builder().query_execution_id(id);
                        out = out.unprocessed_query_execution_ids(undone.error_code("Throttled").build());
                    }
                    _ => out = out.query_executions(answered(queries.iter().find(|q| q.id == *id).unwrap())),
                }
            }
            MockResponse::Output(out.build())
        });
    Athena { client: mock_client!(aws_sdk_athena, RuleMode::MatchAny, [&list, &get]), lists, gets }
}

async fn look(athena: &Athena, expected: Option<u64>) -> Found {
    let since = now() - SignedDuration::from_mins(60);
    executions(&athena.client, &paces(), "exploratory", since, expected.map(Bytes::new), MOST_PAGES, later()).await
}

fn ids(found: &Found) -> Vec<&str> {
    found.executions.iter().map(|execution| execution.id.as_str()).collect()
}

/// `n` short queries, one a minute, the newest submitted `from` minutes ago.
fn minutely(prefix: &str, from: i64, n: i64) -> Vec<Query> {
    (0..n).map(|i| query(format!("{prefix}{i}"), from + i, Some(from + i - 1), 1)).collect()
}

#[tokio::test]
async fn reading_stops_only_after_a_whole_page_that_ended_before_the_window() {
    // Page one is of the last 50 minutes, page two reaches beyond the hour, page three is older altogether.
    let athena = athena(minutely("q", 1, 300), Faults::default());
    let found = look(&athena, None).await;
    assert_eq!((*athena.lists.lock().unwrap(), found.executions.len()), (3, 150));
    assert_eq!(found.cut, None);
    assert_eq!(ids(&found)[..3], ["q0", "q1", "q2"], "in Athena's order");
    assert_eq!(*athena.gets.lock().unwrap(), [50, 50, 50]);
}

#[tokio::test]
async fn an_order_that_is_not_by_time_loses_nothing() {
    let mut queries = minutely("q", 61, 40);
    queries.push(query("young", 5, Some(4), 7));
    queries.extend(minutely("r", 101, 40));
    queries.push(query("running", 500, None, 0));
    queries.extend(minutely("s", 141, 90));
    let athena = athena(queries, Faults::default());
    let found = look(&athena, None).await;
    assert!(ids(&found).contains(&"young") && ids(&found).contains(&"running"));
}

#[tokio::test]
async fn bytes_that_are_missing_are_looked_for_as_far_back_as_a_query_can_run() {
    // The giant was submitted three hours ago and ended ten minutes ago; 170 short ones came after it.
    let mut queries = minutely("q", 1, 170);
    queries.push(query("giant", 181, Some(10), 1_000_000));
    queries.extend(minutely("old", 200, 400));
    let short = athena(queries.clone(), Faults::default());
    assert!(!ids(&look(&short, None).await).contains(&"giant"), "nobody said that something is missing");
    let athena = athena(queries, Faults::default());
    let found = look(&athena, Some(1_000_060)).await;
    assert!(ids(&found).contains(&"giant"));
    assert_eq!(*athena.lists.lock().unwrap(), 5, "one whole older page, and not further than that");
}

#[tokio::test]
async fn a_metric_that_stays_ahead_does_not_make_it_read_for_ever() {
    let athena = athena(minutely("q", 1, 3000), Faults::default());
    let found = look(&athena, Some(u64::MAX)).await;
    // Five hours of a query a minute: the first page whose oldest was submitted before the window less four hours.
    assert_eq!((*athena.lists.lock().unwrap(), found.cut), (7, None));
}

#[tokio::test]
async fn a_list_that_goes_on_is_cut_and_says_so() {
    let busy = (0..5000).map(|i| query(i, 10, Some(9), 1)).collect();
    let athena = athena(busy, Faults::default());
    let found = look(&athena, None).await;
    assert_eq!((*athena.lists.lock().unwrap(), found.executions.len(), found.cut), (40, 2000, Some(Cut::TooMany)));
}

#[tokio::test]
async fn what_athena_leaves_undone_is_asked_for_again_and_then_counted() {
    let faults = |times| Faults { undone: Some(("q3", times)), ..Faults::default() };
    let late = athena(minutely("q", 1, 10), faults(2));
    let found = look(&late, None).await;
    assert_eq!((found.executions.len(), found.unread.len()), (10, 0));
    assert_eq!(*late.gets.lock().unwrap(), [10, 1, 1]);
    assert_eq!(ids(&found)[3], "q3", "in its place all the same");

    let never = athena(minutely("q", 1, 10), faults(99));
    let found = look(&never, None).await;
    assert_eq!(found.executions.len(), 9);
    assert_eq!(found.unread.into_iter().collect::<Vec<_>>(), [("q3".to_owned(), "Throttled".to_owned())]);
}

#[tokio::test]
async fn a_failure_on_the_way_keeps_what_was_read() {
    let athena_fails = athena(minutely("q", 1, 59), Faults { list_fails_at: Some(1), ..Faults::default() });
    let found = look(&athena_fails, None).await;
    assert_eq!(found.executions.len(), 50);
    let Some(Cut::Failed(failure)) = found.cut else { panic!("{:?}", found.cut) };
    assert_eq!((failure.operation, failure.code.as_str()), ("athena:ListQueryExecutions", "InternalServerException"));

    let athena = athena(minutely("q", 1, 5), Faults { get_fails: true, ..Faults::default() });
    let found = look(&athena, None).await;
    let Some(Cut::Failed(failure)) = found.cut else { panic!("{:?}", found.cut) };
    assert_eq!((found.executions.len(), failure.operation), (0, "athena:BatchGetQueryExecution"));
}

#[tokio::test]
async fn an_id_that_comes_on_two_pages_is_read_once() {
    let mut queries = minutely("q", 1, 50);
    queries.push(query("q49", 50, Some(49), 1));
    queries.push(query("last", 51, Some(50), 1));
    let athena = athena(queries, Faults::default());
    let found = look(&athena, None).await;
    let distinct: BTreeSet<_> = ids(&found).into_iter().collect();
    assert_eq!((found.executions.len(), distinct.len()), (51, 51));
}

#[tokio::test]
async fn every_field_may_be_absent_and_none_becomes_a_zero() {
    let bare = QueryExecution::builder().query_execution_id("bare").build();
    let odd = QueryExecution::builder()
        .query_execution_id("odd")
        .work_group("other")
        .statement_type(StatementType::Ddl)
        .query("SHOW TABLES")
        .status(QueryExecutionStatus::builder().state(QueryExecutionState::from("HIBERNATED")).build())
        .statistics(QueryExecutionStatistics::builder().data_scanned_in_bytes(-1).build())
        .build();
    let nameless = QueryExecution::builder().build();
    let list = mock!(Client::list_query_executions).then_output(|| {
        let ids = ["bare", "odd", "lost"].map(str::to_owned).to_vec();
        ListQueryExecutionsOutput::builder().set_query_execution_ids(Some(ids)).build()
    });
    let answer = Mutex::new(Some(vec![bare, odd, nameless]));
    let get = mock!(Client::batch_get_query_execution).then_compute_output(move |_| {
        BatchGetQueryExecutionOutput::builder().set_query_executions(answer.lock().unwrap().take()).build()
    });
    let client = mock_client!(aws_sdk_athena, RuleMode::MatchAny, [&list, &get]);
    let found = executions(&client, &paces(), "exploratory", now(), None, MOST_PAGES, later()).await;
    let [bare, odd] = found.executions.as_slice() else { panic!("{found:?}") };
    assert_eq!(
        (bare.workgroup.as_str(), bare.state, bare.scanned, bare.submitted),
        ("exploratory", State::Running, None, None)
    );
    assert_eq!((bare.kind, &bare.sql), (Kind::Unknown, &None));
    assert_eq!((odd.workgroup.as_str(), odd.kind, odd.scanned), ("other", Kind::Ddl, None));
    assert_eq!(odd.sql.as_deref(), Some("SHOW TABLES"));
    assert_eq!(found.unread.into_iter().collect::<Vec<_>>(), [("lost".to_owned(), "NotAnswered".to_owned())]);
}

/// A thousand executions at the real pace: 21 pages in about three seconds, well inside a run.
#[tokio::test(start_paused = true)]
async fn a_thousand_executions_take_a_few_seconds_at_the_pace_that_is_left_to_us() {
    let busy = (0..1000).map(|i| query(i, 10, Some(9), 1)).chain(minutely("old", 400, 60)).collect();
    let athena = athena(busy, Faults::default());
    let start = tokio::time::Instant::now();
    let paces = Paces::default();
    let found = executions(
        &athena.client,
        &paces,
        "exploratory",
        now() - SignedDuration::from_mins(60),
        None,
        MOST_PAGES,
        later(),
    )
    .await;
    assert_eq!((found.executions.len(), found.cut), (1050, None));
    assert_eq!((*athena.lists.lock().unwrap(), athena.gets.lock().unwrap().len()), (21, 21));
    assert!((3250..3300).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    assert_eq!(paces.list_queries.waited(), start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn when_the_time_is_up_it_says_so_and_keeps_what_it_has() {
    let athena = athena((0..5000).map(|i| query(i, 10, Some(9), 1)).collect(), Faults::default());
    let until = tokio::time::Instant::now() + Duration::from_secs(3);
    let since = now() - SignedDuration::from_mins(60);
    let found = executions(&athena.client, &Paces::default(), "exploratory", since, None, MOST_PAGES, until).await;
    // A burst of eight pages, then one every quarter of a second.
    assert_eq!((found.executions.len(), found.cut), (50 * 20, Some(Cut::TooLate)));
}
