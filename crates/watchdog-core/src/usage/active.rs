//! How many queries are active in the account, and how long they wait: what CloudWatch, Service Quotas and Athena say of it, as
//! integers, or the reason why it is not known.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Answer, Unknown, Usage};
use crate::policy::Class;
use crate::window::{Span, floor};

/// Everything that was gathered about active and waiting queries.
#[derive(Debug, Clone, Default)]
pub struct Concurrency {
    /// The account's active queries, by class; those that are watched.
    pub active: BTreeMap<Class, Active>,
    /// Waiting, by workgroup; those that may not wait for long and can be seen.
    pub waiting: BTreeMap<String, Waiting>,
}

/// The account's active queries of one class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Active {
    /// The most at once, by bucket.
    pub peaks: Result<Peaks, Unknown>,
    /// What they are measured by. `None` where nobody asked, for no query was active.
    pub quota: Option<Result<Quota, Unknown>>,
}

/// An account's quota, as it is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// Queries that may be active at once; at least 1.
    pub most: u64,
    /// Whether it is AWS's default, for nobody has had it raised.
    pub is_default: bool,
    /// When it was read.
    pub read: Timestamp,
}

/// How long the queries of one workgroup wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The longest that one had waited, in milliseconds, by the bucket in which the metric has it: that of its end.
    pub waited: Result<Peaks, Unknown>,
    /// Those that wait at this instant. `None` where nobody asked, for no query was active in the account.
    pub queue: Option<Result<Queue, Unknown>>,
}

/// The queries of one workgroup that wait and run at this instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Queue {
    /// How many wait.
    pub queued: usize,
    /// How many run.
    pub running: usize,
    /// When the oldest of those that wait was submitted.
    pub oldest: Option<Timestamp>,
}

/// The largest value in each five-minute bucket; a bucket without one is proven to have had none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Peaks(BTreeMap<Timestamp, u64>);

impl Peaks {
    /// The larger of each bucket's values from all the answers: a maximum of maxima, so that metrics which tell of the same queries twice
    /// do no harm.
    ///
    /// # Errors
    /// [`Unknown`] where there is no answer, or any of them is not complete or says what cannot be true: only what was answered in full proves
    /// that there was nothing.
    pub fn from_answers(answers: &[Answer]) -> Result<Self, Unknown> {
        if answers.is_empty() {
            return Err(Unknown::NotAnswered);
        }
        let mut peaks = BTreeMap::new();
        for answer in answers {
            answer.outcome()?;
            // A look at these goes minutes back: what cannot be true is in all of it.
            if let Some(why) = answer.impossible().next_back() {
                return Err(why);
            }
            for (at, value) in &answer.points {
                // Up: half a query is one. In range, as `absorb` has seen to it.
                let value = value.ceil() as u64;
                let peak = peaks.entry(floor(*at)).or_insert(value);
                *peak = value.max(*peak);
            }
        }
        Ok(Self(peaks))
    }

    /// Of buckets with a value each; the larger one where a bucket has several.
    pub fn from_buckets(buckets: impl IntoIterator<Item = (Timestamp, u64)>) -> Self {
        let mut peaks = BTreeMap::new();
        for (at, value) in buckets {
            let peak = peaks.entry(floor(at)).or_insert(value);
            *peak = value.max(*peak);
        }
        Self(peaks)
    }

    /// The buckets with a value that start inside `span`, in the order of time.
    pub fn within(&self, span: Span) -> impl Iterator<Item = (Timestamp, u64)> + '_ {
        self.0.range(span.start..span.end.max(span.start)).map(|(at, value)| (*at, *value))
    }

    /// The largest value in the buckets that start inside `span`, and the start of its bucket, the newest where several have it; `None` where
    /// there was nothing, which is proven.
    pub fn largest(&self, span: Span) -> Option<(Timestamp, u64)> {
        self.within(span).max_by_key(|(at, value)| (*value, *at))
    }

    /// The value of the newest bucket inside `span` that has one.
    pub fn newest(&self, span: Span) -> Option<(Timestamp, u64)> {
        self.0.range(span.start..span.end.max(span.start)).next_back().map(|(at, value)| (*at, *value))
    }
}

impl Usage {
    /// A workgroup with a query that has been running for all of the time that is looked back at, though AWS counts no active query in it. On
    /// a capacity reservation that is as it should be; otherwise the count is not published here, and nothing would ever be warned of.
    pub fn uncounted(&self, at: Timestamp, look_back: SignedDuration) -> Option<&str> {
        let span = looked_at(at, look_back);
        self.concurrency.active.get(&Class::Dml)?.peaks.as_ref().ok()?;
        // What runs may be of either class.
        let is_counted = |active: &Active| active.peaks.as_ref().is_ok_and(|peaks| peaks.largest(span).is_some());
        if self.concurrency.active.values().any(is_counted) {
            return None;
        }
        let runs = |flights: &super::Flights| flights.running.iter().any(|query| query.started <= span.start);
        self.flights.iter().find(|(_, flights)| runs(flights)).map(|(workgroup, _)| workgroup.as_str())
    }
}

/// What a look at `at` counts: the buckets that start within `look_back` before it, and the one that was under way then.
pub fn looked_at(at: Timestamp, look_back: SignedDuration) -> Span {
    let start = at.checked_sub(look_back).unwrap_or(Timestamp::MIN);
    Span { start: floor(start), end: at }
}
