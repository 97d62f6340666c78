//! Whose queries it is about, in words: a submitter's own, or everybody's shares for the admins.

use std::cmp::Reverse;

use super::words::{Case, Step, StepKind, Words, clip, console, is_an_id, plain};
use crate::alert::Reason;
use crate::bytes::{Bytes, Units};
use crate::delivery::{LimitFacts, Notice, Own, Shown};
use crate::people::{Party, Shares, Whose, percent_of};
use crate::queries::Execution;

/// Queries spelled out for their submitter: the heaviest, which are the ones worth changing.
const MOST_QUERIES: usize = 10;
/// Parties spelled out for the admins.
const MOST_PARTIES: usize = 20;
/// Queries of all of them together: those that were worth stopping.
const MOST_HEAVY: usize = 3;
/// Characters of a query's text: enough to know one's own query again.
pub(super) const LONGEST_SQL: usize = 300;
/// Commands that stop something.
const MOST_COMMANDS: usize = 3;
/// Characters of a party's name in a list.
pub(super) const LONGEST_LABEL: usize = 60;
/// From this percentage on, whoever scanned or has most is named beside the use itself: with less it is one among many.
pub(super) const STANDS_OUT_PERCENT: usize = 25;

/// The part of a case that is about people.
pub(super) struct People {
    pub heading: &'static str,
    pub queries: Vec<QueryLine>,
    pub shares: Vec<ShareLine>,
    /// The heaviest queries of all those people.
    pub heaviest: Vec<QueryLine>,
    /// What else there is to know, a sentence each.
    pub notes: Vec<String>,
}

/// One query of the reader's own.
pub(super) struct QueryLine {
    pub what: String,
    pub link: String,
    pub sql: Option<String>,
}

/// One party's share.
pub(super) struct ShareLine {
    pub who: String,
    pub share: String,
    /// How much that is.
    pub much: String,
    /// Which queries, and how their owner was found or why not.
    pub detail: String,
}

impl Words<'_> {
    /// Adds to a limit's case whose queries it is about.
    pub(super) fn people(&self, case: &mut Case, notice: &Notice, facts: &LimitFacts) {
        match &notice.people {
            None => {}
            Some(Shown::Own(own)) => self.own(case, notice, facts, own),
            Some(Shown::Everyone(shares)) => {
                if !matches!(notice.reason, Reason::Resolved(_)) {
                    case.consequence.extend(most(shares).map(|most| format!(" {most}")));
                }
                case.people = Some(self.everyone(shares, facts));
            }
            // Of a limit on queries, which has words of its own.
            Some(Shown::Filling(_) | Shown::Crowd(_)) => {}
        }
    }

    fn own(&self, case: &mut Case, notice: &Notice, facts: &LimitFacts, own: &Own) {
        let units = facts.units;
        let party = &own.party;
        let n = party.landed.len();
        let bytes = party.bytes.human(units);
        let percent = percent_of(party.bytes, own.whole);
        let queries = if n == 1 { "Your query".to_owned() } else { format!("Your {n} queries") };
        let is_over = matches!(notice.reason, Reason::Resolved(_));
        let of_it = if is_over { "of the window that it was about" } else { "of it" };
        let mine = format!("{queries} scanned {bytes}, {percent} % {of_it}.");
        case.consequence = if case.consequence.is_empty() { mine } else { format!("{mine} {}", case.consequence) };
        if !is_over {
            case.title = format!("{}, {bytes} by your {}", case.title, if n == 1 { "query" } else { "queries" });
        }
        let mut lines: Vec<QueryLine> =
            party.landed.iter().take(MOST_QUERIES).map(|query| self.own_query(query, own, units)).collect();
        lines.extend(party.in_flight.iter().take(MOST_QUERIES).map(|query| self.own_query(query, own, units)));
        let mut notes = Vec::new();
        if let Some(rest) = n.checked_sub(MOST_QUERIES).filter(|rest| *rest > 0) {
            let bytes = crate::queries::sum(party.landed.iter().skip(MOST_QUERIES)).human(units);
            notes.push(format!("And {rest} smaller ones, {bytes} together."));
        }
        if !party.in_flight.is_empty() {
            notes.push(
                "What still waits or runs is not counted yet: its bytes are known for sure when it has ended."
                    .to_owned(),
            );
        }
        case.people =
            Some(People { heading: "Your queries", queries: lines, shares: Vec::new(), heaviest: Vec::new(), notes });
        case.steps = if is_over { Vec::new() } else { self.own_steps(party, own) };
    }

    fn own_query(&self, query: &Execution, own: &Own, units: Units) -> QueryLine {
        let sql = query.sql.as_deref().filter(|_| own.show_sql).map(|sql| clip(sql, LONGEST_SQL));
        QueryLine { what: self.query(query, None, own.whole, units), link: self.query_link(&query.id), sql }
    }

    /// What a query scanned, how much of `whole` that is, whose it is where that is said, and how far it is.
    fn query(&self, query: &Execution, whose: Option<&str>, whole: Bytes, units: Units) -> String {
        let scanned = query.scanned.map(|bytes| bytes.human(units));
        let percent = query.scanned.map(|bytes| percent_of(bytes, whole));
        let whose = whose.map(|whose| format!(" of {whose}")).unwrap_or_default();
        if query.state.is_over() {
            let bytes = match (scanned, percent) {
                (Some(bytes), Some(percent)) => format!("{bytes} ({percent} %)"),
                _ => "bytes not known".to_owned(),
            };
            let ended = query.landed().map(|at| format!(", ended {}", self.when(at))).unwrap_or_default();
            format!("{bytes}{whose}, {}{ended}", query.state)
        } else {
            let since = query.submitted.map(|at| format!(" since {}", self.when(at))).unwrap_or_default();
            // While a query runs a zero says nothing: AWS does not promise that the count grows.
            let so_far = query.scanned.filter(|bytes| *bytes > Bytes::ZERO).map(|bytes| bytes.human(units));
            let so_far = so_far.map(|bytes| format!(", {bytes} so far")).unwrap_or_default();
            format!("{}{whose}{since}{so_far}", query.state)
        }
    }

    /// A query's page in the Athena console. An id that is none of Athena's leads to the list of recent queries.
    pub(super) fn query_link(&self, id: &str) -> String {
        let id = if is_an_id(id) { id } else { "" };
        console(self.region, &format!("query-editor/history/{id}"))
    }

    /// Everybody's shares, and what does not add up.
    fn everyone(&self, shares: &Shares, facts: &LimitFacts) -> People {
        let units = facts.units;
        let line = |party: &Party| {
            let landed =
                if party.landed.len() == 1 { "1 query".to_owned() } else { format!("{} queries", party.landed.len()) };
            let queries = match party.in_flight.len() {
                0 => landed,
                running => format!("{landed}, {running} more not ended"),
            };
            ShareLine {
                who: clip(&party.whose.label(), LONGEST_LABEL),
                share: format!("{} %", shares.percent(party)),
                much: party.bytes.human(units),
                detail: format!("{queries}; {}", plain(&party.whose.explained())),
            }
        };
        let all = shares.parties.iter().flat_map(|party| party.landed.iter().map(move |query| (party, query)));
        let mut all: Vec<_> = all.filter(|(_, query)| query.scanned.is_some_and(|bytes| bytes > Bytes::ZERO)).collect();
        // Of two that scanned the same the one of whoever scanned more in all.
        all.sort_by_key(|(_, query)| Reverse(query.scanned));
        let whole = shares.sums.whole();
        let heaviest = all.into_iter().take(MOST_HEAVY).map(|(party, query)| {
            let whose = clip(&party.whose.label(), LONGEST_LABEL);
            QueryLine {
                what: self.query(query, Some(&whose), whole, units),
                link: self.query_link(&query.id),
                sql: None,
            }
        });
        let heaviest = heaviest.collect();
        let mut notes = Vec::new();
        let rest = shares.parties.get(MOST_PARTIES..).unwrap_or_default();
        if !rest.is_empty() {
            let bytes = crate::queries::sum(rest.iter().flat_map(|party| &party.landed)).human(units);
            notes.push(format!("And {} more, {bytes} together; `watchdog who` shows everybody.", rest.len()));
        }
        notes.extend(shares.reconciled(units).iter().map(|note| plain(note)));
        People {
            heading: "Whose queries",
            queries: Vec::new(),
            shares: shares.parties.iter().take(MOST_PARTIES).map(line).collect(),
            heaviest,
            notes,
        }
    }

    fn own_steps(&self, party: &Party, own: &Own) -> Vec<Step> {
        let step = |words, command: String, kind| Step { words, command, kind };
        let words = |words, text: &str| step(words, text.to_owned(), StepKind::Words);
        let mut steps = Vec::new();
        for query in party.in_flight.iter().filter(|query| is_an_id(&query.id)).take(MOST_COMMANDS) {
            let command =
                format!("aws athena stop-query-execution --region {} --query-execution-id {}", self.region, query.id);
            steps.push(step("Stop one that still runs", command, StepKind::Command));
        }
        steps.push(words(
            "Read fewer partitions",
            "put the partition columns into WHERE, such as the day; what they rule out is not scanned.",
        ));
        steps.push(words(
            "Read fewer columns",
            "name those that you need instead of SELECT *; in Parquet and ORC only they are scanned.",
        ));
        steps.push(words("LIMIT does not help", "it shortens what you see, and not what is scanned."));
        let ask: Vec<&str> = own.ask.iter().map(|address| address.as_str()).collect();
        steps.push(step("If you need more, ask", ask.join(", "), StepKind::Words));
        steps
    }
}

/// Who scanned most, where one stands out; nobody is a person or a service of that name otherwise.
fn most(shares: &Shares) -> Option<String> {
    let first = shares.parties.first().filter(|party| !matches!(party.whose, Whose::Unrecorded(_)))?;
    let percent = shares.percent(first);
    let stands_out = percent >= STANDS_OUT_PERCENT as u64;
    stands_out.then(|| format!("{} scanned {percent} % of what is used.", clip(&first.whose.label(), LONGEST_LABEL)))
}
