//! Query executions as Athena tells of them: what they scanned, whether they are over, and which of them belong to a
//! window.
//!
//! Athena publishes a query's bytes when the query ends, so a query is *inside* a window when it ended inside it, whenever it was
//! submitted. Queries that still wait or run are *in flight*: beside the window, never in its sum. Every field of an
//! execution is optional in Athena's answers; what is absent is not known, and is never a zero.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;
use crate::forecast::PACED;
use crate::usage::{Flights, InFlight, Landed};
use crate::window::Span;

/// The longest that Athena lets a DML query run, with its time-out quota raised to the most there is. What was submitted earlier
/// than this before a window cannot end inside it.
pub const LONGEST_QUERY: SignedDuration = SignedDuration::from_hours(4);

/// What ran at least this long was seen while it ran, by one run in five minutes or two. Shorter ones land unseen.
const LONG: SignedDuration = SignedDuration::from_mins(10);

/// One query execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// Athena's id of it.
    pub id: String,
    /// The workgroup it ran in.
    pub workgroup: String,
    /// Whether it is over, and how it ended.
    pub state: State,
    /// When it was submitted.
    pub submitted: Option<Timestamp>,
    /// When it ended.
    pub completed: Option<Timestamp>,
    /// What it has scanned. `None` where Athena does not say: while a query runs that is the usual case, and no zero.
    pub scanned: Option<Bytes>,
    /// What kind of statement it is.
    pub kind: Kind,
    /// Its text.
    pub sql: Option<String>,
}

/// Where an execution stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waiting. A running query may come back to this.
    Queued,
    /// Running.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended with an error; what it had scanned counts.
    Failed,
    /// Stopped by somebody, or by a cutoff; what it had scanned counts.
    Cancelled,
}

/// What kind of statement an execution is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Reads data. The only kind that `ProcessedBytes` counts.
    Dml,
    /// Defines tables.
    Ddl,
    /// `EXPLAIN`, `SHOW` and the like.
    Utility,
    /// Athena did not say.
    Unknown,
}

/// The executions of a workgroup, as they stand to a window.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Executions {
    /// Those that ended inside the window, the newest end first.
    pub landed: Vec<Execution>,
    /// Those that wait or run now, the oldest first.
    pub in_flight: Vec<Execution>,
    /// Those that are over with no time of which Athena knows: nobody can say whether they belong to the window.
    pub untimed: usize,
}

/// What the executions add up to, beside what the metric says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reconciliation {
    /// `ProcessedBytes` in the window; `None` where it is not known.
    pub metric: Option<Bytes>,
    /// The sum of the executions that ended in it.
    pub queries: Bytes,
    /// Executions in that sum whose bytes Athena does not know.
    pub without_bytes: usize,
}

impl State {
    /// Reads Athena's word, with one L or two. An unknown word or none is judged by whether the execution has ended: what was
    /// scanned counts either way, and a state that AWS adds later must not make a query disappear.
    pub fn read(word: Option<&str>, has_ended: bool) -> Self {
        match word.map(str::to_ascii_uppercase).as_deref() {
            Some("QUEUED") => Self::Queued,
            Some("RUNNING") => Self::Running,
            Some("SUCCEEDED") => Self::Succeeded,
            Some("FAILED") => Self::Failed,
            Some("CANCELLED" | "CANCELED") => Self::Cancelled,
            _ if has_ended => Self::Failed,
            _ => Self::Running,
        }
    }

    /// Whether nothing more will happen to it.
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }

    /// The stable word, for people too.
    pub fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Kind {
    /// Reads Athena's word.
    pub fn read(word: Option<&str>) -> Self {
        match word {
            Some("DML") => Self::Dml,
            Some("DDL") => Self::Ddl,
            Some("UTILITY") => Self::Utility,
            _ => Self::Unknown,
        }
    }
}

impl Execution {
    /// When its bytes landed: at its end. Where Athena lost the end, when it was submitted: better a little early than not at
    /// all. `None` while it is in flight, and where no time is known.
    pub fn landed(&self) -> Option<Timestamp> {
        self.state.is_over().then(|| self.completed.or(self.submitted)).flatten()
    }

    /// Whether it can be left aside in every window that starts at `start`: it is over, and ended before.
    pub fn is_before(&self, start: Timestamp) -> bool {
        self.landed().is_some_and(|landed| landed < start)
    }
}

impl Executions {
    /// Sorts `executions` by how they stand to `span` (start inclusive, end exclusive). An id that comes twice counts once, as it was
    /// told last: a list that moves while it is read repeats itself.
    pub fn inside(span: Span, executions: impl IntoIterator<Item = Execution>) -> Self {
        let mut by_id = std::collections::BTreeMap::new();
        for execution in executions {
            by_id.insert(execution.id.clone(), execution);
        }
        let mut sorted = Self::default();
        for execution in by_id.into_values() {
            match execution.landed() {
                Some(landed) if (span.start..span.end).contains(&landed) => sorted.landed.push(execution),
                Some(_) => {}
                None if execution.state.is_over() => sorted.untimed += 1,
                None => sorted.in_flight.push(execution),
            }
        }
        // Ids of equal times stay in their order: the same answer makes the same mail.
        sorted.landed.sort_by_key(|execution| std::cmp::Reverse(execution.landed()));
        sorted.in_flight.sort_by_key(|execution| execution.submitted);
        sorted
    }

    /// What the landed ones add up to, beside what the metric says.
    pub fn reconcile(&self, metric: Option<Bytes>) -> Reconciliation {
        Reconciliation {
            metric,
            queries: sum(&self.landed),
            without_bytes: self.landed.iter().filter(|execution| execution.scanned.is_none()).count(),
        }
    }
}

impl Flights {
    /// What these executions of one workgroup mean for its coming use, at `at`. `is_whole` says that no other one runs or has ended within
    /// [`PACED`].
    ///
    /// A zero counts as not known while a query runs: whether Athena counts meanwhile is not promised. Where anything that runs is not known
    /// so, nothing is said of what has landed either: the next giant could not be told from the last.
    pub fn of<'e>(executions: impl IntoIterator<Item = &'e Execution>, at: Timestamp, is_whole: bool) -> Self {
        let (mut running, mut landed) = (Vec::new(), Vec::new());
        // `ProcessedBytes` counts nothing else.
        let counted = |execution: &&Execution| matches!(execution.kind, Kind::Dml | Kind::Unknown);
        for execution in executions.into_iter().filter(counted) {
            let scanned = execution.scanned.filter(|scanned| *scanned > Bytes::ZERO);
            match (execution.landed(), execution.submitted) {
                (Some(end), Some(submitted)) => {
                    let is_of_the_pace = (at - PACED..at).contains(&end);
                    let was_seen = end.duration_since(submitted) >= LONG;
                    landed
                        .extend(scanned.filter(|_| is_of_the_pace && was_seen).map(|bytes| Landed { at: end, bytes }));
                }
                // What waits has scanned nothing yet, unless it ran before.
                _ if execution.state.is_over() || (execution.state == State::Queued && scanned.is_none()) => {}
                // One of whose start nothing is known has just begun.
                (_, submitted) => {
                    running.push(InFlight { id: execution.id.clone(), started: submitted.unwrap_or(at), scanned })
                }
            }
        }
        if !is_whole || running.iter().any(|query| query.scanned.is_none()) {
            landed.clear();
        }
        Self { running, may_be_more: !is_whole, landed }
    }
}

/// The known bytes of executions. Saturates: it is compared and shown, and no cause can be larger than everything.
pub fn sum<'a>(executions: impl IntoIterator<Item = &'a Execution>) -> Bytes {
    let bytes = executions.into_iter().filter_map(|execution| execution.scanned);
    Bytes::new(bytes.fold(0, |sum, bytes| sum.saturating_add(bytes.get())))
}

impl Reconciliation {
    /// The metric less the queries: negative where the queries have more, as they do until the metric's last datapoints arrive;
    /// `None` where the metric is not known.
    pub fn difference(&self) -> Option<i128> {
        Some(i128::from(self.metric?.get()) - i128::from(self.queries.get()))
    }

    /// The larger of the two: shares are taken of it, so that nobody's share is more than the whole, nor grows because a part
    /// of the list could not be read.
    pub fn whole(&self) -> Bytes {
        self.queries.max(self.metric.unwrap_or(Bytes::ZERO))
    }
}
