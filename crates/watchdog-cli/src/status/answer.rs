//! The answer of `status --json`.

use jiff::Timestamp;
use serde::Serialize;
use watchdog_aws::dynamodb::Ledger;
use watchdog_core::alert::Subject;
use watchdog_core::percent::whole_percent;
use watchdog_core::report::{GrantReport, LimitReport, QueryLimitReport, SilenceReport, UnseenReport};
use watchdog_core::verdict::Verdict;

use super::{Enforced, Status};
use crate::report::EpisodeAnswer;

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
    /// Grants that are not closed; `null` where the state table is not known.
    grants: Option<&'a [GrantReport]>,
    /// Silences that are in force; the same.
    silences: Option<&'a [SilenceReport]>,
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
    /// When its alert was open before and is now, the oldest first; `null` where the state table is not known.
    history: Option<Vec<EpisodeAnswer>>,
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
            limits: status.findings.verdicts.iter().map(|verdict| LimitAnswer::of(verdict, status.ledger)).collect(),
            query_limits: status.findings.queries.iter().map(QueryLimitReport::from).collect(),
            per_query_cutoffs: cutoffs.collect(),
            unseen: unseen.collect(),
            uncovered: &status.findings.uncovered,
            grants: status.ledger.map(|_| status.promises.grants.as_slice()),
            silences: status.ledger.map(|_| status.promises.silences.as_slice()),
            incomplete: status.incomplete.map(ToString::to_string),
            warnings: status.warnings,
        }
    }
}

impl LimitAnswer {
    fn of(verdict: &Verdict<'_>, ledger: Option<&Ledger>) -> Self {
        let limit = verdict.limit.bytes;
        let subject = Subject::Limit { workgroup: verdict.workgroup.clone(), window: verdict.limit.window.id() };
        let history = ledger.map(|ledger| {
            let record = ledger.records.get(&subject);
            record.map_or(Vec::new(), |record| record.history.episodes().map(EpisodeAnswer::from).collect())
        });
        Self {
            report: LimitReport::from(verdict),
            used_percent: verdict.used().map(|used| whole_percent(used, limit)),
            headroom_bytes: verdict.used().map(|used| i128::from(limit.get()) - i128::from(used.get())),
            history,
        }
    }
}
