//! What CloudWatch says, turned into integer bytes per five-minute bucket, or into the reason why it cannot be known.
//!
//! Here and only here floating point becomes integers, and a missing datapoint becomes a zero: it does so only where
//! the answer for the metric is complete and the workgroup is known to publish metrics.

mod active;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

pub use self::active::{Active, Concurrency, Peaks, Queue, Quota, Waiting, looked_at};
use crate::bytes::Bytes;
use crate::window::{BUCKET, Span, ceil, floor};

/// The most that one bucket may plausibly hold: an exabyte in five minutes. More is a broken answer, not use.
const MOST_PER_BUCKET: f64 = 1e18;

/// Everything that was gathered about use.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    /// What is known of each workgroup that was looked at, by name.
    pub workgroups: BTreeMap<String, Seen>,
    /// Those that were not asked, for their level cannot have changed: what was known when they were asked last. They are in none of the
    /// other lists.
    pub left_out: BTreeMap<String, Remembered>,
    /// The looks at a workgroup that were left out before this one, by workgroup.
    pub missed: BTreeMap<String, Vec<Timestamp>>,
    /// What Athena says of the queries themselves, by workgroup, where it was asked. An absent workgroup says nothing.
    pub flights: BTreeMap<String, Flights>,
    /// The queries that are active and that wait, where they are watched.
    pub concurrency: Concurrency,
    /// Why the list of workgroups is not complete, where it is not. Then nothing may be concluded from a
    /// workgroup's absence.
    pub incomplete: Option<Unknown>,
}

/// What was known of a workgroup when it was last asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// The instant that was judged then.
    pub asked: Timestamp,
    /// What was used in the window of each of its limits, in the policy's order.
    pub used: Vec<Bytes>,
    /// Whether the forecast had anything to say.
    pub is_foreseen: bool,
    /// End of the newest bucket in which anything was scanned.
    pub newest: Option<Timestamp>,
}

/// A workgroup's queries, beside what the metric says of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flights {
    /// Those that are running.
    pub running: Vec<InFlight>,
    /// Whether more may be running: the list was cut, or a part of it could not be read.
    pub may_be_more: bool,
    /// Those that were seen while they ran and have ended in the last hours; empty where not all is known of what runs.
    pub landed: Vec<Landed>,
}

/// A query that has ended: bytes that are in the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Landed {
    /// When it ended.
    pub at: Timestamp,
    /// What it had scanned.
    pub bytes: Bytes,
}

/// A query that is running: bytes that will show in the metric when it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InFlight {
    /// Athena's id of the execution.
    pub id: String,
    /// When it was handed in: Athena does not say when it began to run.
    pub started: Timestamp,
    /// What it has scanned so far; `None` where Athena does not say, which is not zero.
    pub scanned: Option<Bytes>,
}

/// A workgroup's use, or why it is not known.
pub type Seen = Result<Series, Unknown>;

/// Why something is not known. Never the same as zero.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Unknown {
    /// The policy names it and the account has none of that name.
    NoSuchWorkgroup,
    /// It is disabled.
    Disabled,
    /// It publishes no metrics to CloudWatch.
    MetricsOff,
    /// Its configuration, or its use since that says that there is any to be seen, could not be asked for yet; the next run goes on.
    NotExaminedYet,
    /// AWS refused the question.
    Denied {
        /// Service and operation, such as `cloudwatch:GetMetricData`.
        operation: String,
    },
    /// AWS did not answer the question in time or in full.
    Failed {
        /// Service and operation.
        operation: String,
        /// AWS's own error code, or a word for a fault on the way.
        code: String,
    },
    /// CloudWatch answered only a part of the metric.
    Partial,
    /// CloudWatch did not say anything about the metric.
    NotAnswered,
    /// A datapoint that cannot be true.
    Implausible {
        /// The value as text: it may be no number.
        value: String,
        /// Its stamp.
        at: Timestamp,
    },
}

impl Unknown {
    /// The stable word for logs, reports and tests.
    pub fn word(&self) -> &'static str {
        match self {
            Self::NoSuchWorkgroup => "no_such_workgroup",
            Self::Disabled => "disabled",
            Self::MetricsOff => "metrics_off",
            Self::NotExaminedYet => "not_examined_yet",
            Self::Denied { .. } => "denied",
            Self::Failed { .. } => "failed",
            Self::Partial => "partial",
            Self::NotAnswered => "not_answered",
            Self::Implausible { .. } => "implausible",
        }
    }

    /// What a person can do about it, where there is something.
    pub fn remedy(&self, workgroup: &str) -> Option<String> {
        match self {
            Self::NoSuchWorkgroup => Some(format!("Create `{workgroup}`, or take it out of the policy.")),
            Self::Disabled => Some(format!("aws athena update-work-group --work-group {workgroup} --state ENABLED")),
            Self::MetricsOff => Some(format!(
                "aws athena update-work-group --work-group {workgroup} --configuration-updates PublishCloudWatchMetricsEnabled=true"
            )),
            Self::Denied { operation } => Some(format!("Allow `{operation}` in the role of the watchdog's function.")),
            Self::NotExaminedYet
            | Self::Failed { .. }
            | Self::Partial
            | Self::NotAnswered
            | Self::Implausible { .. } => None,
        }
    }

    /// Whether it passes by itself within a run or two, so that nobody need be told yet.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::NotExaminedYet)
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchWorkgroup => f.write_str("there is no workgroup of this name"),
            Self::Disabled => f.write_str("the workgroup is disabled"),
            Self::MetricsOff => f.write_str("the workgroup publishes no metrics to CloudWatch"),
            Self::NotExaminedYet => f.write_str("it has not been looked at yet"),
            Self::Denied { operation } => write!(f, "AWS denied `{operation}`"),
            Self::Failed { operation, code } => write!(f, "`{operation}` failed with `{code}`"),
            Self::Partial => f.write_str("CloudWatch answered only a part"),
            Self::NotAnswered => f.write_str("CloudWatch did not answer for this metric"),
            Self::Implausible { value, at } => write!(f, "CloudWatch gave the impossible value `{value}` at {at}"),
        }
    }
}

/// Bytes per bucket over a stretch of time, every bucket proven, or a hole: what cannot be true of one is no reason to know nothing of the others,
/// and is never a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// Start of the first bucket.
    first: Timestamp,
    /// One value per bucket, none missing; zero in a hole.
    buckets: Vec<Bytes>,
    /// Starts of the buckets of which CloudWatch said what cannot be true, the oldest first, and why nothing that holds one is known.
    holes: Vec<(Timestamp, Unknown)>,
}

/// One of the metrics that hold a workgroup's bytes, by its dimensions beside the workgroup.
// Untagged, so that what is remembered of a thousand workgroups stays short; unknown fields are denied, as otherwise
// anything would be read as the first variant, which has none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Dimensions {
    /// `{WorkGroup}` alone: all queries.
    WorkGroup {},
    /// `{QueryState, QueryType, WorkGroup}`: the queries of one state and type.
    StateAndType {
        /// `SUCCEEDED`, `FAILED` or `CANCELED`.
        state: String,
        /// Such as `DML`.
        query_type: String,
    },
}

/// Which `ProcessedBytes` metrics `ListMetrics` knows: those with data in the last two weeks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed(BTreeMap<String, BTreeSet<Dimensions>>);

impl Listed {
    /// Notes a metric, given its dimensions as name and value. Sets other than the two known ones are ignored: whatever they
    /// split by, the known sets hold the same bytes already.
    pub fn insert(&mut self, dimensions: &[(&str, &str)]) {
        let value = |name: &str| dimensions.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        let Some(workgroup) = value("WorkGroup") else { return };
        let set = match (dimensions.len(), value("QueryState"), value("QueryType")) {
            (1, None, None) => Dimensions::WorkGroup {},
            (3, Some(state), Some(query_type)) => Dimensions::StateAndType { state, query_type },
            _ => return,
        };
        self.0.entry(workgroup).or_default().insert(set);
    }

    /// Adds what another list has.
    pub fn extend(&mut self, other: &Self) {
        for (workgroup, sets) in &other.0 {
            self.0.entry(workgroup.clone()).or_default().extend(sets.iter().cloned());
        }
    }

    /// The dimension sets that exist for `workgroup`; `None` where it is not listed.
    pub fn knows(&self, workgroup: &str) -> Option<&BTreeSet<Dimensions>> {
        self.0.get(workgroup)
    }

    /// The metrics to ask for so as to know all bytes of `workgroup`: alternatives, each a list to be added up.
    ///
    /// `{WorkGroup}` alone where it exists, otherwise all sets by state and type: the two hold the same bytes, so they are never added.
    /// A workgroup that is not listed (new, or idle for two weeks) is asked for in the form that the account's other
    /// workgroups have; where there is none to learn from, in both forms, of which the larger counts.
    pub fn metrics_of(&self, workgroup: &str) -> Vec<Vec<Dimensions>> {
        if let Some(sets) = self.0.get(workgroup) {
            if sets.contains(&Dimensions::WorkGroup {}) {
                return vec![vec![Dimensions::WorkGroup {}]];
            }
            let mut split: BTreeSet<Dimensions> = sets.clone();
            // A state that has not occurred in two weeks may occur now: a first cancelled query must be counted.
            split.extend(self.split_forms());
            return vec![split.into_iter().collect()];
        }
        if self.0.values().any(|sets| sets.contains(&Dimensions::WorkGroup {})) {
            return vec![vec![Dimensions::WorkGroup {}]];
        }
        let split = self.split_forms().into_iter().collect();
        if self.0.is_empty() { vec![vec![Dimensions::WorkGroup {}], split] } else { vec![split] }
    }

    /// The metrics to ask for so as to know how long the queries of any workgroup waited, of which the largest counts. `ListMetrics` was asked
    /// about bytes, and times may exist in the other form only: so both forms.
    pub fn times(&self) -> Vec<Dimensions> {
        std::iter::once(Dimensions::WorkGroup {}).chain(self.split_forms()).collect()
    }

    fn split_forms(&self) -> BTreeSet<Dimensions> {
        let mut types: BTreeSet<&str> = BTreeSet::from(["DML"]);
        for set in self.0.values().flatten() {
            if let Dimensions::StateAndType { query_type, .. } = set {
                types.insert(query_type);
            }
        }
        let form = |state: &str, query_type: &str| Dimensions::StateAndType {
            state: state.into(),
            query_type: query_type.into(),
        };
        types.iter().flat_map(|t| ["SUCCEEDED", "FAILED", "CANCELED"].map(|s| form(s, t))).collect()
    }
}

/// The answer for one metric, put together from the pages of `GetMetricData`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    points: BTreeMap<Timestamp, f64>,
    /// Values that cannot be true, as text.
    implausible: BTreeMap<Timestamp, String>,
    state: AnswerState,
}

#[derive(Debug, Clone, Default, PartialEq)]
enum AnswerState {
    #[default]
    Nothing,
    Partial,
    Complete,
    Bad(Unknown),
}

/// What CloudWatch says of one result on one page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageStatus {
    /// All that there is.
    Complete,
    /// More is to come on a later page.
    Partial,
    /// Not for us, or broken, or a word that we do not know.
    Bad(Unknown),
}

impl Answer {
    /// Adds one page's part of the answer. Pages may come in any order and more than once: a point that is given
    /// twice counts once, with its larger value, since bytes that land late only ever add. One that cannot be true stays so, whatever else is
    /// said of the same time.
    pub fn absorb(&mut self, points: impl IntoIterator<Item = (Timestamp, f64)>, status: PageStatus) {
        for (at, value) in points {
            if !(0.0..=MOST_PER_BUCKET).contains(&value) {
                self.implausible.entry(at).or_insert_with(|| value.to_string());
                continue;
            }
            let known = self.points.entry(at).or_insert(value);
            *known = known.max(value);
        }
        self.state = match (std::mem::take(&mut self.state), status) {
            (bad @ AnswerState::Bad(_), _) => bad,
            (_, PageStatus::Bad(why)) => AnswerState::Bad(why),
            (AnswerState::Complete, _) | (_, PageStatus::Complete) => AnswerState::Complete,
            (_, PageStatus::Partial) => AnswerState::Partial,
        };
    }

    /// Whether all was said that there is to say; some of it may be impossible.
    fn outcome(&self) -> Result<(), Unknown> {
        match &self.state {
            AnswerState::Complete => Ok(()),
            AnswerState::Partial => Err(Unknown::Partial),
            AnswerState::Nothing => Err(Unknown::NotAnswered),
            AnswerState::Bad(why) => Err(why.clone()),
        }
    }

    /// The values that cannot be true, the oldest first.
    fn impossible(&self) -> impl DoubleEndedIterator<Item = Unknown> + '_ {
        self.implausible.iter().map(|(at, value)| Unknown::Implausible { value: value.clone(), at: *at })
    }
}

impl Series {
    /// The use in `span` from the answers for [`Listed::metrics_of`], in the same shape.
    ///
    /// A bucket of which any of them says what cannot be true is a hole: no sum that holds it is known.
    ///
    /// # Errors
    /// [`Unknown`] where any of the metrics is not known in full: a sum that lacks a part is not a sum.
    pub fn from_answers(span: Span, alternatives: &[Vec<Answer>]) -> Result<Self, Unknown> {
        let first = floor(span.start);
        let length = (ceil(span.end).as_second() - first.as_second()).max(0) / BUCKET;
        let length = usize::try_from(length).unwrap_or(0);
        let mut buckets = vec![Bytes::ZERO; length];
        let mut holes = BTreeMap::new();
        // Where nothing was asked, nothing is proven to be zero.
        if alternatives.is_empty() || alternatives.iter().any(Vec::is_empty) {
            return Err(Unknown::NotAnswered);
        }
        for answers in alternatives {
            let mut sums = vec![0u128; length];
            for answer in answers {
                answer.outcome()?;
                for (at, value) in &answer.points {
                    let index = (floor(*at).as_second() - first.as_second()).div_euclid(BUCKET);
                    if let Some(sum) = usize::try_from(index).ok().and_then(|i| sums.get_mut(i)) {
                        // Up, so that a fraction is never lost; in range, as `absorb` has seen to it.
                        *sum += value.ceil() as u128;
                    }
                }
                for (at, why) in answer.implausible.keys().zip(answer.impossible()) {
                    holes.entry(floor(*at)).or_insert(why);
                }
            }
            for (n, (bucket, sum)) in (0..).zip(buckets.iter_mut().zip(sums)) {
                match u64::try_from(sum) {
                    Ok(bytes) => *bucket = Bytes::new(bytes).max(*bucket),
                    Err(_) => {
                        let at = Timestamp::from_second(first.as_second() + n * BUCKET).unwrap_or(first);
                        holes.entry(at).or_insert(Unknown::Implausible { value: sum.to_string(), at });
                    }
                }
            }
        }
        // What lies outside of the span was not asked for.
        holes.retain(|start, _| {
            let index = (start.as_second() - first.as_second()).div_euclid(BUCKET);
            let bucket = usize::try_from(index).ok().and_then(|i| buckets.get_mut(i));
            bucket.is_some_and(|bucket| {
                *bucket = Bytes::ZERO;
                true
            })
        });
        Ok(Self { first, buckets, holes: holes.into_iter().collect() })
    }

    /// A series from its buckets, the first of which starts at `first`.
    pub fn from_buckets(first: Timestamp, buckets: Vec<Bytes>) -> Self {
        Self { first: floor(first), buckets, holes: Vec::new() }
    }

    /// The start of the first bucket, and the buckets. Of a hole they say zero, which it is not: whoever looks at them one by one asks for
    /// [`whole`](Self::whole) first, or looks at [`holes`](Self::holes).
    pub fn buckets(&self) -> (Timestamp, &[Bytes]) {
        (self.first, &self.buckets)
    }

    /// The starts of the buckets of which nothing is known, the oldest first, and why.
    pub fn holes(&self) -> &[(Timestamp, Unknown)] {
        &self.holes
    }

    /// The same, for somebody who needs every bucket.
    ///
    /// # Errors
    /// [`Unknown`]: why the newest of those that are not known is not.
    pub fn whole(self) -> Result<Self, Unknown> {
        match self.holes.last() {
            Some((_, why)) => Err(why.clone()),
            None => Ok(self),
        }
    }

    /// The bytes in the buckets that start inside `span`.
    ///
    /// # Errors
    /// [`Unknown::Partial`] where the series does not reach back to the span's start or on to its end; [`Unknown::Implausible`] where it has
    /// a hole there, of several the newest.
    pub fn sum(&self, span: Span) -> Result<Bytes, Unknown> {
        let index = |at: Timestamp| {
            usize::try_from((ceil(at).as_second() - self.first.as_second()) / BUCKET).unwrap_or(usize::MAX)
        };
        if span.start < self.first {
            return Err(Unknown::Partial);
        }
        let (from, to) = (index(span.start), index(span.end.max(span.start)));
        let buckets = self.buckets.get(from..to).ok_or(Unknown::Partial)?;
        if let Some((_, why)) = self.holes.iter().rfind(|(start, _)| (span.start..span.end).contains(start)) {
            return Err(why.clone());
        }
        to_bytes(buckets.iter().map(|b| u128::from(b.get())).sum(), span.start)
    }

    /// End of the newest bucket in which anything was scanned.
    pub fn newest(&self) -> Option<Timestamp> {
        let last = self.buckets.iter().rposition(|b| *b > Bytes::ZERO)?;
        let seconds = i64::try_from(last + 1).ok()? * BUCKET;
        self.first.checked_add(SignedDuration::from_secs(seconds)).ok()
    }
}

/// `since` is where the sum begins.
fn to_bytes(sum: u128, since: Timestamp) -> Result<Bytes, Unknown> {
    u64::try_from(sum).map(Bytes::new).map_err(|_| Unknown::Implausible { value: sum.to_string(), at: since })
}
