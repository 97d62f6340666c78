//! The answer of `doctor --json`.

use jiff::Timestamp;
use serde::Serialize;
use watchdog_core::checkup::{Check, Finding, Outcome};

use super::Shown;

/// Field names are part of the interface contract.
#[derive(Debug, Serialize)]
pub(super) struct Answer<'a> {
    as_of: Timestamp,
    stack: &'a str,
    region: &'a str,
    account: &'a str,
    /// The worst: `fine`, `note`, `warning`, `critical`, and `unknown` where not all could be read.
    outcome: Outcome,
    checks: Vec<CheckAnswer<'a>>,
}

#[derive(Debug, Serialize)]
struct CheckAnswer<'a> {
    id: &'static str,
    outcome: Outcome,
    /// What was looked at and is as it should be; `null` where there is a finding, or something is not known.
    fine: Option<&'a str>,
    findings: &'a [Finding],
    unknown: Vec<UnknownAnswer>,
}

#[derive(Debug, Serialize)]
struct UnknownAnswer {
    why: String,
    /// The IAM permission that lacks, where it is that.
    permission: Option<String>,
}

impl<'a> Answer<'a> {
    pub(super) fn of(shown: &'a Shown<'_>) -> Self {
        let check = |check: &'a Check| CheckAnswer {
            id: check.id,
            outcome: check.outcome(),
            fine: (check.outcome() == Outcome::Fine).then_some(check.fine.as_str()),
            findings: &check.findings,
            unknown: check
                .blind
                .iter()
                .map(|blind| UnknownAnswer {
                    why: blind.to_string(),
                    permission: blind.permission().map(str::to_owned),
                })
                .collect(),
        };
        Self {
            as_of: shown.as_of,
            stack: &shown.place.stack,
            region: &shown.place.region,
            account: &shown.place.account,
            outcome: shown.checkup.outcome(),
            checks: shown.checkup.checks.iter().map(check).collect(),
        }
    }
}
