//! Silences: a promise not to mail about one limit's alert for a while.
//!
//! The alert goes its way meanwhile: it opens, rises and resolves, and the report shows it. Nobody is told, until the silence ends: at its
//! time, when somebody takes it back, or when the alert it holds back resolves. The first mail after it says so.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::alert::{Severity, Subject};
use crate::grant::{Act, Asker};

/// All silences that are remembered, by what they are about. One at a time of each.
pub type Silences = BTreeMap<Subject, Silence>;

/// How long an ended silence is remembered: as long as reminders of an open alert may be apart, so that the first mail after it can say so.
const KEEP: SignedDuration = SignedDuration::from_hours(31 * 24);

/// One silence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Its name, chosen by whoever asked.
    pub id: String,
    /// Who asked for it.
    pub by: Asker,
    /// Why, in their words.
    pub reason: String,
    /// Its beginning, inclusive.
    pub from: Timestamp,
    /// Its end, exclusive.
    pub until: Timestamp,
    /// Who took it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_back: Option<Act>,
    /// When the alert that it held back resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Timestamp>,
}

impl Silence {
    /// When it ends or ended, exclusive.
    pub fn end(&self) -> Timestamp {
        let taken_back = self.taken_back.as_ref().map(|act| act.at);
        [taken_back, self.resolved].into_iter().flatten().fold(self.until, Timestamp::min)
    }

    /// Whether it is in force at `at`.
    pub fn is_in_force(&self, at: Timestamp) -> bool {
        self.from <= at && at < self.end()
    }

    /// Whether it is of no use any more at `at`.
    pub fn is_forgotten(&self, at: Timestamp) -> bool {
        at.duration_since(self.end()) > KEEP
    }

    /// When its record may be deleted.
    pub fn expires(&self) -> Timestamp {
        // What is remembered may be broken, and lie at the edge of time.
        self.end().saturating_add(KEEP).unwrap_or(Timestamp::MAX)
    }
}

/// What a mail says of a silence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quiet {
    /// The silence.
    pub silence: Silence,
    /// Whether it is still in force: then what is told is of a level that is never silenced.
    pub in_force: bool,
    /// Whether it ended because the alert did.
    pub with_alert: bool,
}

/// Whether a notice of `severity` may be held back at all, given the levels that never are.
pub fn may_be_held_back(severity: Severity, never: &[&str]) -> bool {
    !never.contains(&severity.words())
}
