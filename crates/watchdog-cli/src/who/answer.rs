//! The answer of `who --json`.

use jiff::Timestamp;
use serde::Serialize;
use watchdog_core::people::Party;
use watchdog_core::queries::Execution;

use super::Who;

/// Field names are part of the interface contract.
#[derive(Debug, Serialize)]
pub struct Answer<'a> {
    workgroup: &'a str,
    since: String,
    as_of: Timestamp,
    region: &'a str,
    /// Queries that ended in that time or are in flight.
    queries: usize,
    /// Those whose person is known.
    named: usize,
    /// What they add up to.
    queries_bytes: u64,
    /// What the metric says; `null` where it is not known.
    metric_bytes: Option<u64>,
    /// The metric less the queries.
    difference_bytes: Option<i128>,
    /// Who used most first.
    parties: Vec<PartyAnswer<'a>>,
    /// Why there may be more queries; `null` where there are not.
    cut: Option<&'a str>,
    /// Why CloudTrail's records were not read in full; `null` where they were.
    unrecorded: Option<&'a str>,
    /// Queries of which Athena gave no details.
    unread: usize,
    warnings: &'a [String],
}

#[derive(Debug, Serialize)]
struct PartyAnswer<'a> {
    /// An address, a principal, or what is missing.
    who: String,
    /// `person`, `unnamed` or `unrecorded`.
    kind: &'static str,
    /// How the person was found, or why not.
    how: String,
    principals: Vec<String>,
    bytes: u64,
    share_percent: u64,
    /// Whether they used enough to be told by the policy's floors.
    is_heavy: bool,
    queries: Vec<QueryAnswer<'a>>,
}

#[derive(Debug, Serialize)]
struct QueryAnswer<'a> {
    id: &'a str,
    state: &'static str,
    submitted: Option<Timestamp>,
    completed: Option<Timestamp>,
    /// `null` where Athena does not say.
    scanned_bytes: Option<u64>,
}

impl<'a> Answer<'a> {
    pub(super) fn of(who: &'a Who<'_>) -> Self {
        let shares = who.shares;
        let (queries, named) = shares.counts();
        Self {
            workgroup: who.workgroup,
            since: format!("{:#}", who.since),
            as_of: who.as_of,
            region: who.region,
            queries,
            named,
            queries_bytes: shares.sums.queries.get(),
            metric_bytes: shares.sums.metric.map(|bytes| bytes.get()),
            difference_bytes: shares.sums.difference(),
            parties: shares.parties.iter().map(|party| PartyAnswer::of(party, shares.percent(party))).collect(),
            cut: shares.cut.as_deref(),
            unrecorded: who.unrecorded,
            unread: shares.unread,
            warnings: who.warnings,
        }
    }
}

impl<'a> PartyAnswer<'a> {
    fn of(party: &'a Party, share_percent: u64) -> Self {
        let query = |query: &'a Execution| QueryAnswer {
            id: &query.id,
            state: query.state.word(),
            submitted: query.submitted,
            completed: query.completed,
            scanned_bytes: query.scanned.map(|bytes| bytes.get()),
        };
        Self {
            who: party.whose.label(),
            kind: party.whose.word(),
            how: party.whose.explained(),
            principals: party.principals.iter().map(ToString::to_string).collect(),
            bytes: party.bytes.get(),
            share_percent,
            is_heavy: party.is_heavy,
            queries: party.landed.iter().chain(&party.in_flight).map(query).collect(),
        }
    }
}
