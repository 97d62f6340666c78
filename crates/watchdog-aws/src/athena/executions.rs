//! Query executions of a workgroup: which there are, and what each has scanned.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_athena::Client;
use aws_sdk_athena::primitives::DateTime;
use aws_sdk_athena::types::QueryExecution;
use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};
use watchdog_core::bytes::Bytes;
use watchdog_core::queries::{Execution, Kind, LONGEST_QUERY, State};

use crate::failure::AwsFailure;
use crate::pace::Paces;

/// Listing them, as IAM writes it.
pub const LIST: &str = "athena:ListQueryExecutions";
const GET: &str = "athena:BatchGetQueryExecution";

/// Ids in a page of the list: Athena's bound.
const PAGE: i32 = 50;
/// Ids in a request for details: Athena's bound, too.
const MOST_IDS: usize = 50;
/// Pages of one workgroup: 2,000 executions, in about eight seconds at the pace that is left to us. The newest come first, so what
/// is beyond them is what a person cares for least; that it was cut is said.
pub const MOST_PAGES: usize = 40;
/// How often ids are asked for again that Athena did not get to. They are throttled parts of a call that succeeded.
const TRIES: usize = 3;
/// Characters kept of a query's text, of the 262,144 that it may have: a mail shows a few hundred, and two thousand of them at once must
/// fit the function's memory.
const LONGEST_SQL: usize = 500;
/// Share of the expected bytes, in percent, that is enough to stop looking further back for a long query.
const ENOUGH: u128 = 95;

/// What was found of a workgroup's executions.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The executions, newest first as Athena lists them, each once. Some may be older than was asked for.
    pub executions: Vec<Execution>,
    /// Ids of which Athena gave no details, with its code for it.
    pub unread: BTreeMap<String, String>,
    /// Why there may be more than these, where there may be.
    pub cut: Option<Cut>,
}

/// Why a list of executions is not complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cut {
    /// There are more than are read in one run.
    TooMany,
    /// The time for it was up.
    TooLate,
    /// AWS failed on the way. What was read before is there.
    Failed(AwsFailure),
}

/// Reads the executions of `workgroup` that ended at or after `since`, and those in flight, of at most so many `pages`.
///
/// The order of Athena's list is not documented; in practice it goes by the time of submission, the newest first. So reading stops only
/// after a whole page in which everything ended before `since`. A long query may stand behind such a page, submitted hours before it
/// ended: where `expected` (the metric's bytes since then) says that much is still missing, reading goes on to the longest that a query can run.
pub async fn executions(
    client: &Client,
    paces: &Paces,
    workgroup: &str,
    since: Timestamp,
    expected: Option<Bytes>,
    pages: usize,
    until: Instant,
) -> Found {
    let mut found = Found::default();
    let mut known: BTreeSet<String> = BTreeSet::new();
    let mut token = None;
    let mut landed: u128 = 0;
    for _ in 0..pages {
        let list = client.list_query_executions().work_group(workgroup).max_results(PAGE).set_next_token(token);
        let page = async {
            paces.list_queries.take().await;
            list.send().await
        };
        let page = match timeout_at(until, page).await {
            Ok(Ok(page)) => page,
            Ok(Err(error)) => {
                found.cut = Some(Cut::Failed(AwsFailure::of(LIST, &error)));
                return found;
            }
            Err(_) => {
                found.cut = Some(Cut::TooLate);
                return found;
            }
        };
        let ids = page.query_execution_ids.unwrap_or_default();
        let new: Vec<String> = ids.into_iter().filter(|id| known.insert(id.clone())).collect();
        let mut executions = Vec::new();
        let mut cut = None;
        // One request for a page: AWS keeps to the page size, and what stands in for it in tests may not.
        for ids in new.chunks(MOST_IDS) {
            let ids = ids.to_vec();
            let details = details(client, paces, workgroup, ids, &mut executions, &mut found.unread);
            cut = match timeout_at(until, details).await {
                Ok(done) => done.err().map(Cut::Failed),
                Err(_) => Some(Cut::TooLate),
            };
            if cut.is_some() {
                break;
            }
        }
        let oldest = executions.iter().filter_map(|execution| execution.submitted).min();
        let is_older = !executions.is_empty() && executions.iter().all(|execution| execution.is_before(since));
        let inside = executions.iter().filter(|e| e.landed().is_some_and(|landed| landed >= since));
        landed += inside.filter_map(|execution| execution.scanned).map(|bytes| u128::from(bytes.get())).sum::<u128>();
        found.executions.extend(executions);
        if cut.is_some() {
            found.cut = cut;
            return found;
        }
        token = page.next_token;
        let is_enough = expected.is_none_or(|expected| landed * 100 >= u128::from(expected.get()) * ENOUGH);
        let is_too_old = oldest.is_none_or(|oldest| oldest < since - LONGEST_QUERY);
        if token.is_none() || (is_older && (is_enough || is_too_old)) {
            return found;
        }
    }
    found.cut = Some(Cut::TooMany);
    found
}

/// Adds the details of up to a page of ids, in their order. What Athena leaves undone it is asked for again.
async fn details(
    client: &Client,
    paces: &Paces,
    workgroup: &str,
    ids: Vec<String>,
    executions: &mut Vec<Execution>,
    unread: &mut BTreeMap<String, String>,
) -> Result<(), AwsFailure> {
    let order: BTreeMap<String, usize> = ids.iter().enumerate().map(|(i, id)| (id.clone(), i)).collect();
    let mut left = ids;
    let mut refused = BTreeMap::new();
    for _ in 0..TRIES {
        if left.is_empty() {
            break;
        }
        paces.get_queries.take().await;
        let answer = client.batch_get_query_execution().set_query_execution_ids(Some(left.clone())).send().await;
        let answer = answer.map_err(|error| AwsFailure::of(GET, &error))?;
        let answered = answer.query_executions.unwrap_or_default();
        executions.extend(answered.into_iter().filter_map(|answered| execution(answered, workgroup)));
        let got: BTreeSet<&str> = executions.iter().map(|execution| execution.id.as_str()).collect();
        left.retain(|id| !got.contains(id.as_str()));
        refused.clear();
        for unprocessed in answer.unprocessed_query_execution_ids.unwrap_or_default() {
            if let Some(id) = unprocessed.query_execution_id {
                refused.insert(id, unprocessed.error_code.unwrap_or_else(|| "Unprocessed".to_owned()));
            }
        }
    }
    // An id that is neither answered nor refused is as unknown as one that is.
    for id in left {
        let why = refused.remove(&id).unwrap_or_else(|| "NotAnswered".to_owned());
        unread.insert(id, why);
    }
    executions.sort_by_key(|execution| order.get(&execution.id).copied());
    Ok(())
}

/// `None` without an id: there is nothing that could be said of it, and its id is then unread.
fn execution(answered: QueryExecution, workgroup: &str) -> Option<Execution> {
    let status = answered.status;
    let instant = |at: Option<&DateTime>| {
        let at = at?;
        let nanos = i32::try_from(at.subsec_nanos()).ok()?;
        Timestamp::new(at.secs(), nanos).ok()
    };
    let completed = instant(status.as_ref().and_then(|status| status.completion_date_time()));
    let word = status.as_ref().and_then(|status| status.state()).map(|state| state.as_str());
    let scanned = answered.statistics.as_ref().and_then(|statistics| statistics.data_scanned_in_bytes());
    Some(Execution {
        id: answered.query_execution_id?,
        // The list was asked for this workgroup; an answer that says otherwise is believed.
        workgroup: answered.work_group.unwrap_or_else(|| workgroup.to_owned()),
        state: State::read(word, completed.is_some()),
        submitted: instant(status.as_ref().and_then(|status| status.submission_date_time())),
        completed,
        // A negative count is no count.
        scanned: scanned.and_then(|bytes| u64::try_from(bytes).ok()).map(Bytes::new),
        kind: Kind::read(answered.statement_type.as_ref().map(|kind| kind.as_str())),
        sql: answered.query.map(|sql| sql.chars().take(LONGEST_SQL).collect()),
    })
}
