//! What is wrong with an installation before it hurts: the state of an account in, findings out.
//!
//! Each check says what it looked at, what it found and what could not be read. A finding carries its severity, why it
//! matters in a plain sentence, and commands that mend it, with the real names in them. Nothing is fine that was not seen.

mod alarms;
mod documents;
mod mail;
mod principals;
mod remedy;
mod runs;
mod setup;
mod state;
mod table;
mod workgroups;

use serde::Serialize;

pub use self::documents::may_start_queries;
pub use self::mail::identities;
pub use self::principals::NO_WORKGROUP;
pub use self::setup::policy_in_force;
pub use self::state::{
    Alarm, Blind, Candidate, Function, Kind, Place, Principal, Principals, Quota, Read, Resource, Schedule, Stack,
    State, Subscription, TableState, TimeToLive, Verification, Workgroup,
};
use crate::policy::Policy;

/// How much it matters. A note is something to know and no fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing is wrong.
    Note,
    /// It will hurt one day, or the second line of defence is missing.
    Warning,
    /// Somebody is not being told, now.
    Critical,
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// Of what, for scripts: `workgroup/exploratory`, the ARN of a role, `this machine`.
    #[serde(rename = "where")]
    pub on: String,
    /// What is so, in words that name it: `workgroup `exploratory` publishes no metrics`.
    pub what: String,
    /// Why it matters, in one plain sentence.
    pub why: String,
    /// Commands to paste, in this order. May be empty, where only a decision mends it.
    pub remedy: Vec<String>,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The stable word for scripts.
    pub id: &'static str,
    /// What was looked at and is as it should be, for people.
    pub fine: String,
    /// What is not, the worst first.
    pub findings: Vec<Finding>,
    /// What could not be read, each cause once.
    pub blind: Vec<Blind>,
}

/// How a check, or all of them, ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// All was seen, and all is as it should be.
    Fine,
    /// The same, and there is something to know.
    Note,
    /// A warning is the worst.
    Warning,
    /// Something is critical.
    Critical,
    /// Not all was seen, whatever was found in the rest.
    Unknown,
}

/// All checks, in the order of the flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkup {
    /// Each check, whatever its outcome.
    pub checks: Vec<Check>,
}

/// Checks everything.
pub fn checkup(state: &State) -> Checkup {
    let policy = policy_in_force(state);
    let policy = policy.as_ref();
    let mut checks = vec![setup::stack(state), setup::policy(state)];
    checks.extend(workgroups::checks(state, policy));
    checks.extend([
        alarms::of_limits(state, policy),
        alarms::of_the_stack(state),
        alarms::subscriptions(state, policy),
        principals::any_workgroup(state),
        principals::several_policies(state),
        runs::schedule(state, policy),
        setup::function(state),
        runs::runs(state),
        table::table(state),
        table::time_to_live(state),
        mail::sender(state, policy),
        mail::account(state),
        mail::sandbox(state, policy),
        mail::recipients(state, policy),
        runs::clock(state),
    ]);
    for check in &mut checks {
        check.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    }
    Checkup { checks }
}

impl Check {
    fn new(id: &'static str, fine: impl Into<String>) -> Self {
        Self { id, fine: fine.into(), findings: Vec::new(), blind: Vec::new() }
    }

    fn find(
        &mut self,
        severity: Severity,
        on: impl Into<String>,
        what: impl Into<String>,
        why: impl Into<String>,
        remedy: Vec<String>,
    ) {
        self.findings.push(Finding { severity, on: on.into(), what: what.into(), why: why.into(), remedy });
    }

    fn cannot_see(&mut self, blind: &Blind) {
        if !self.blind.contains(blind) {
            self.blind.push(blind.clone());
        }
    }

    /// The value, or `None` after noting why it is not known.
    fn seen<'a, T>(&mut self, read: &'a Read<T>) -> Option<&'a T> {
        read.as_ref().map_err(|blind| self.cannot_see(blind)).ok()
    }

    /// The policy, or `None` after noting that there is none to compare with.
    fn policy<'a>(&mut self, policy: Option<&'a Policy>) -> Option<&'a Policy> {
        if policy.is_none() {
            self.cannot_see(&Blind::After("there is no valid policy to compare with".to_owned()));
        }
        policy
    }

    /// How it ended.
    pub fn outcome(&self) -> Outcome {
        if !self.blind.is_empty() {
            return Outcome::Unknown;
        }
        match self.findings.iter().map(|finding| finding.severity).max() {
            None => Outcome::Fine,
            Some(Severity::Note) => Outcome::Note,
            Some(Severity::Warning) => Outcome::Warning,
            Some(Severity::Critical) => Outcome::Critical,
        }
    }
}

impl Checkup {
    /// The worst outcome; [`Outcome::Unknown`] beats all others.
    pub fn outcome(&self) -> Outcome {
        self.checks.iter().map(Check::outcome).max().unwrap_or(Outcome::Fine)
    }
}

impl Severity {
    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl Outcome {
    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Unknown => "unknown",
        }
    }
}

/// `1 workgroup`, `2 workgroups`.
fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// Names in a sentence, each in backticks; the first dozen and how many more.
fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const MOST: usize = 12;
    let all: Vec<String> = names.into_iter().map(|name| format!("`{}`", crate::untrusted::plain(name))).collect();
    match all.len().checked_sub(MOST) {
        Some(more @ 1..) => format!("{} and {more} more", all[..MOST].join(", ")),
        _ => all.join(", "),
    }
}
