//! Grants and silences in a report, and the answer to somebody who asks for one.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::alert::Subject;
use crate::bytes::Bytes;
use crate::grant::{Asker, Grant, Grants, Phase};
use crate::request::Refused;
use crate::silence::{Silence, Silences};

/// The answer to a request for a grant or a silence, or for the list of them. Field names are part of the interface contract.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Why nothing was done, where it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// What was done, or would be; none for a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub says: Option<String>,
    /// Who asked, by the word of AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Whether nothing was changed on purpose.
    #[serde(default)]
    pub dry_run: bool,
    /// The grants as they stand now, by workgroup, the newest last.
    #[serde(default)]
    pub grants: Vec<GrantReport>,
    /// The silences that are in force.
    #[serde(default)]
    pub silences: Vec<SilenceReport>,
    /// What went wrong and is tried again by the next run.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// One grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantReport {
    /// Its id.
    pub id: String,
    /// The workgroup.
    pub workgroup: String,
    /// `pending`, `planned`, `in force`, `over` or `closed`.
    pub phase: String,
    /// The raised limit's window, where one is raised.
    pub window: Option<String>,
    /// What the limit is raised to.
    pub limit_bytes: Option<u64>,
    /// What the per-query cutoff is raised to.
    pub per_query_bytes: Option<u64>,
    /// What the cutoff was before; `null` where it was none, or was not touched.
    pub per_query_before_bytes: Option<u64>,
    /// Whether Athena was seen to have the raised cutoff.
    pub per_query_raised: bool,
    /// Who asked for it.
    pub by: String,
    /// Who approved it.
    pub approved_by: Option<String>,
    /// Why.
    pub reason: String,
    /// Its beginning, inclusive.
    pub from: Timestamp,
    /// Its end, exclusive.
    pub until: Timestamp,
}

/// One silence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilenceReport {
    /// The alert, such as `limit/exploratory/1h`.
    pub alert: String,
    /// Who asked for it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Its end, exclusive.
    pub until: Timestamp,
}

impl Answer {
    /// The list of what is promised at `at`.
    pub fn listed(grants: &Grants, silences: &Silences, at: Timestamp) -> Self {
        Self { grants: grant_reports(grants, at).collect(), silences: silence_reports(silences, at), ..Self::default() }
    }

    /// Nothing was done.
    pub fn refused(refused: &Refused) -> Self {
        Self { refused: Some(refused.to_string()), ..Self::default() }
    }

    /// Something was done, or would be.
    #[must_use]
    pub fn said(self, by: &Asker, dry_run: bool, says: String) -> Self {
        Self { says: Some(says), by: Some(by.arn.clone()), dry_run, ..self }
    }
}

/// Every grant that is remembered.
pub(super) fn grant_reports(grants: &Grants, at: Timestamp) -> impl Iterator<Item = GrantReport> {
    grants.values().flat_map(|book| &book.grants).map(move |grant| GrantReport::new(grant, at))
}

/// Every silence that is in force.
pub(super) fn silence_reports(silences: &Silences, at: Timestamp) -> Vec<SilenceReport> {
    let in_force = silences.iter().filter(|(_, silence)| silence.is_in_force(at));
    in_force.map(|(subject, silence)| SilenceReport::new(subject, silence)).collect()
}

impl GrantReport {
    fn new(grant: &Grant, at: Timestamp) -> Self {
        use crate::grant::cutoff::Cutoff;
        Self {
            id: grant.id.clone(),
            workgroup: grant.workgroup.clone(),
            phase: grant.phase(at).word().to_owned(),
            window: grant.limit.as_ref().map(|raise| raise.window.clone()),
            limit_bytes: grant.limit.as_ref().map(|raise| raise.to.bytes.get()),
            per_query_bytes: grant.per_query.map(|amount| amount.bytes.get()),
            per_query_before_bytes: grant.cutoff.before().and_then(|before| before.cutoff).map(Bytes::get),
            per_query_raised: matches!(grant.cutoff, Cutoff::Raised { .. }),
            by: grant.by.to_string(),
            approved_by: grant.approved.as_ref().map(|act| act.by.to_string()),
            reason: grant.reason.clone(),
            from: grant.from,
            until: grant.end(),
        }
    }

    /// Whether it is over and done with.
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed.word()
    }
}

impl SilenceReport {
    fn new(subject: &Subject, silence: &Silence) -> Self {
        Self {
            alert: subject.to_string(),
            by: silence.by.to_string(),
            reason: silence.reason.clone(),
            until: silence.end(),
        }
    }
}
