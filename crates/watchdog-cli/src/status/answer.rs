//! The answer of `status --json`.

use jiff::Timestamp;
use serde::Serialize;
use watchdog_core::percent::whole_percent;
use watchdog_core::report::{LimitReport, QueryLimitReport, UnseenReport};
use watchdog_core::verdict::Verdict;

use super::{Enforced, Status};

/// Field names are part of the interface contract; those of a limit are the run report's and more.
#[derive(Debug, Serialize)]
pub struct Answer<'a> {
    as_of: Timestamp,
    region: &'a str,
    policy: &'a str,
    limits: Vec<LimitAnswer>,
    query_limits: Vec<QueryLimitReport>,
    per_query_cutoffs: Vec<CutoffAnswer<'a>>,
    unseen: Vec<UnseenReport>,
    uncovered: &'a [String],
    /// Why there may be more workgroups than these; `null` where there are not.
    incomplete: Option<String>,
    warnings: &'a [String],
}

#[derive(Debug, Serialize)]
struct LimitAnswer {
    #[serde(flatten)]
    report: LimitReport,
    /// Rounded down; `null` where the use is not known.
    used_percent: Option<u64>,
    /// Limit less use: negative where the limit is gone, `null` where the use is not known.
    headroom_bytes: Option<i128>,
}

#[derive(Debug, Serialize)]
struct CutoffAnswer<'a> {
    workgroup: &'a str,
    per_query_cutoff_bytes: u64,
    /// Whether Athena enforces the same; `null` where that is not known.
    enforced: Option<bool>,
    /// Whether the workgroup has other limits, which the watchdog watches.
    has_limits: bool,
}

impl<'a> Answer<'a> {
    pub(super) fn of(status: &'a Status<'_>) -> Self {
        let unseen = status.findings.unseen.iter().map(|(workgroup, why)| UnseenReport {
            workgroup: workgroup.clone(),
            why: why.word(),
            reason: why.to_string(),
        });
        let cutoffs = status.cutoffs().into_iter().map(|cutoff| CutoffAnswer {
            workgroup: cutoff.workgroup,
            per_query_cutoff_bytes: cutoff.bytes.get(),
            enforced: match cutoff.enforced {
                Enforced::Same => Some(true),
                Enforced::Differs(_) => Some(false),
                Enforced::Unknown => None,
            },
            has_limits: !cutoff.rule.limits.is_empty() || cutoff.rule.waiting.is_some(),
        });
        Self {
            as_of: status.as_of,
            region: status.region,
            policy: status.policy_place,
            limits: status.findings.verdicts.iter().map(LimitAnswer::of).collect(),
            query_limits: status.findings.queries.iter().map(QueryLimitReport::from).collect(),
            per_query_cutoffs: cutoffs.collect(),
            unseen: unseen.collect(),
            uncovered: &status.findings.uncovered,
            incomplete: status.incomplete.map(ToString::to_string),
            warnings: status.warnings,
        }
    }
}

impl LimitAnswer {
    fn of(verdict: &Verdict<'_>) -> Self {
        let limit = verdict.limit.bytes;
        Self {
            report: LimitReport::from(verdict),
            used_percent: verdict.used().map(|used| whole_percent(used, limit)),
            headroom_bytes: verdict.used().map(|used| i128::from(limit.get()) - i128::from(used.get())),
        }
    }
}
