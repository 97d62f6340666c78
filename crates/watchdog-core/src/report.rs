//! What one run found and did: the function's answer, and the source of its summary event.

mod promises;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

pub use self::promises::{Answer, GrantReport, SilenceReport};
use crate::alert::Subject;
use crate::delivery::{Message, Shown, Standing};
use crate::event::{Source, Tick};
use crate::grant::Grants;
use crate::occupancy::{Occupancy, Reservations};
use crate::people::Shares;
use crate::policy::Economy;
use crate::silence::Silences;
use crate::usage::Quota;
use crate::verdict::{Detail, Findings, Pressure, QueryVerdict, Verdict};

/// The answer of one run. Field names are part of the interface contract.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunReport {
    /// The run's own name; the request id in Lambda.
    pub run_id: String,
    /// Who asked for it.
    pub source: Source,
    /// The instant that was judged.
    pub as_of: Timestamp,
    /// How that instant was chosen.
    pub tick: Tick,
    /// Whether nothing was sent or written on purpose.
    pub dry_run: bool,
    /// Why nothing was judged at all, where nothing was: another run has done or is doing this tick.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// The policy that was in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyReport>,
    /// One entry per limit.
    pub limits: Vec<LimitReport>,
    /// One entry per limit on queries: active ones in the account, and waiting in a workgroup.
    pub query_limits: Vec<QueryLimitReport>,
    /// Who was not asked, where the policy has an economy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub economy: Option<EconomyReport>,
    /// Limits that do not fit the work under them, as far as the last days say so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub misfits: Vec<MisfitReport>,
    /// Why the list of workgroups is not complete, where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incomplete: Option<String>,
    /// What could not be seen, by workgroup.
    pub unseen: Vec<UnseenReport>,
    /// Workgroups that no rule covers.
    pub uncovered: Vec<String>,
    /// Whose queries it was, one entry per limit whose submitters were looked for. Names are in the mails, and not here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub submitters: Vec<SubmittersReport>,
    /// Who has how many queries active, where somebody is to be told and it was looked for. Names are in the mails, and not here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_queries: Option<OccupancyReport>,
    /// How old what is remembered of the account is, where anything was judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known: Option<KnownReport>,
    /// Grants that are not closed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<GrantReport>,
    /// Silences that are in force.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub silences: Vec<SilenceReport>,
    /// Mails that SES has taken.
    pub sent: Vec<MailReport>,
    /// Mails that a real run would have sent.
    pub would_send: Vec<MailReport>,
    /// Mails that are still owed; the next run tries again.
    pub failed: Vec<MailReport>,
    /// What went wrong and did not stop the run.
    pub warnings: Vec<String>,
    /// Calls to AWS, by service and operation.
    pub calls: BTreeMap<String, u32>,
}

/// When what changes rarely was last read: a quiet run reads some of it anew, and stands on the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct KnownReport {
    /// The names of the workgroups, to the list's end; a part of it may be newer.
    pub names: Option<Timestamp>,
    /// Which metrics there are, likewise.
    pub metrics: Option<Timestamp>,
    /// Whether workgroups publish metrics: the oldest of those that are watched. One that shows bytes counts as known at that time.
    pub settings: Option<Timestamp>,
}

/// Problems of a policy in one report. Whoever mends it sees them all with `watchdog check`; the answer of a function and its log line are
/// bounded by AWS.
const MOST_PROBLEMS: usize = 50;

/// The policy that a run used.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PolicyReport {
    /// Its documents' names.
    pub documents: Vec<String>,
    /// `current`, or `last_valid` where the current one has problems.
    pub standing: &'static str,
    /// What is wrong with the current one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// One limit in a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LimitReport {
    /// The workgroup.
    pub workgroup: String,
    /// The window's name, such as `1h`.
    pub window: String,
    /// `ok`, `warn`, `critical`, `exhausted` or `unknown`.
    pub level: &'static str,
    /// Why, in words.
    pub reason: String,
    /// Bytes scanned in the window; `null` where that is not known.
    pub used_bytes: Option<u64>,
    /// The limit in bytes.
    pub limit_bytes: u64,
    /// Queries of the workgroup that are running; `null` where they were not asked for, or not all could be read.
    pub in_flight_queries: Option<usize>,
    /// What they have scanned so far, not counted in `used_bytes`; `null` where that is not known of each.
    pub in_flight_bytes: Option<u64>,
    /// When it runs out at the present pace; `null` where that is not known, or not within the hour.
    pub exhausts_at: Option<Timestamp>,
    /// The instant that was judged.
    pub as_of: Timestamp,
    /// How old these figures are, in seconds, where the workgroup was not asked in this run, for its level cannot have changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_seconds: Option<i64>,
}

/// Who was not asked in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EconomyReport {
    /// The longest that a workgroup goes unasked, and so the most by which somebody may hear of a level later.
    pub at_most: String,
    /// Workgroups with limits that were asked.
    pub asked: usize,
    /// Those that were not: their limits have an age.
    pub not_asked: usize,
    /// When the one that was asked longest ago was asked; `null` where all were asked now.
    pub figures_since: Option<Timestamp>,
}

/// One limit on queries in a report, in the shape of the others; what is measured is in `measure`, and in what in `unit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QueryLimitReport {
    /// `active_queries` or `waiting`.
    pub measure: &'static str,
    /// `DML` or `DDL`, where it is about active queries.
    pub class: Option<&'static str>,
    /// The workgroup, where it is about waiting; active queries are the account's.
    pub workgroup: Option<String>,
    /// How far back was looked, such as `10m`.
    pub window: String,
    /// `ok`, `warn`, `critical`, `exhausted` or `unknown`.
    pub level: &'static str,
    /// Why, in words.
    pub reason: String,
    /// The most in that time; `null` where it is not known.
    pub used: Option<u64>,
    /// The quota, or the longest wait that is allowed; `null` where it is not known, and where nothing is active and so nobody asked.
    pub limit: Option<u64>,
    /// `queries` or `milliseconds`.
    pub unit: &'static str,
    /// Queries that wait now, where it is about waiting and somebody asked.
    pub queued: Option<usize>,
    /// The quota as it was read, where it is about active queries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
    /// The instant that was judged.
    pub as_of: Timestamp,
}

/// Who had how many queries active at one instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OccupancyReport {
    /// Workgroups with any, the one with the most first; those on a capacity reservation, which do not count, last.
    pub workgroups: Vec<HolderReport>,
    /// Names of capacity reservations; `null` where they were not asked for or could not be read.
    pub reservations: Option<Vec<String>>,
    /// Why there may be more.
    pub cut: Vec<String>,
}

/// One workgroup's active queries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HolderReport {
    /// The workgroup.
    pub workgroup: String,
    /// Those that run.
    pub running: usize,
    /// Those that wait.
    pub queued: usize,
    /// Whether it runs on a capacity reservation.
    pub is_reserved: bool,
}

impl From<&Occupancy> for OccupancyReport {
    fn from(occupancy: &Occupancy) -> Self {
        let workgroups = occupancy.holders.iter().map(|holder| {
            let queue = holder.queue();
            let (running, queued) = (queue.running, queue.queued);
            HolderReport { workgroup: holder.workgroup.clone(), running, queued, is_reserved: holder.is_reserved }
        });
        let reservations = match &occupancy.reservations {
            Reservations::Known { names, .. } => Some(names.clone()),
            Reservations::NotAsked | Reservations::Unknown(_) => None,
        };
        Self { workgroups: workgroups.collect(), reservations, cut: occupancy.cut.clone() }
    }
}

/// Misfits in one report: whoever has more of them has no use for a list, but for `watchdog plan`.
const MOST_MISFITS: usize = 20;

/// A limit that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MisfitReport {
    /// The workgroup.
    pub workgroup: String,
    /// The window's name.
    pub window: String,
    /// `too_low` or `too_high`.
    pub misfit: &'static str,
    /// What the days say, in words.
    pub reason: String,
    /// The limit in bytes.
    pub limit_bytes: u64,
    /// About what would hold, by these days.
    pub about_bytes: u64,
}

impl MisfitReport {
    fn of(verdict: &Verdict<'_>) -> Option<Self> {
        let misfit = verdict.misfit?;
        Some(Self {
            workgroup: verdict.workgroup.clone(),
            window: verdict.limit.window.id(),
            misfit: misfit.word(),
            reason: misfit.words(verdict.limit.units),
            limit_bytes: verdict.limit.bytes.get(),
            about_bytes: misfit.about().get(),
        })
    }
}

/// Something that could not be seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnseenReport {
    /// The workgroup.
    pub workgroup: String,
    /// The stable word for the cause.
    pub why: &'static str,
    /// The cause in words.
    pub reason: String,
}

/// What became of looking for a limit's submitters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SubmittersReport {
    /// The limit's alert.
    pub alert: String,
    /// Queries that ended in the window or are in flight.
    pub queries: usize,
    /// Those of them whose person is known.
    pub named: usize,
    /// People among them.
    pub people: usize,
    /// Those of them who used enough to be told.
    pub heavy: usize,
    /// What the queries add up to.
    pub queries_bytes: u64,
    /// The metric less that; negative where the queries have more.
    pub difference_bytes: Option<i128>,
    /// Why there may be more queries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut: Option<String>,
    /// Queries whose person is not known, by the stable word for the reason.
    pub unnamed: BTreeMap<&'static str, usize>,
}

impl From<(&Subject, &Arc<Shares>)> for SubmittersReport {
    fn from((subject, shares): (&Subject, &Arc<Shares>)) -> Self {
        let (queries, named) = shares.counts();
        let people = shares.parties.iter().filter(|party| party.person().is_some());
        let mut unnamed = BTreeMap::new();
        for party in &shares.parties {
            if let Some(why) = party.whose.why_word() {
                *unnamed.entry(why).or_insert(0) += party.landed.len() + party.in_flight.len();
            }
        }
        Self {
            alert: subject.to_string(),
            queries,
            named,
            people: people.count(),
            heavy: shares.heavy_people().len(),
            queries_bytes: shares.sums.queries.get(),
            difference_bytes: shares.sums.difference(),
            cut: shares.cut.clone(),
            unnamed,
        }
    }
}

/// One mail in a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MailReport {
    /// The recipient.
    pub to: String,
    /// What the mail is about, and why now.
    pub why: Vec<WhyReport>,
    /// SES's id of the mail, where it was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// What went wrong, where it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One notice of a mail in a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WhyReport {
    /// The alert's key.
    pub alert: String,
    /// `opened`, `escalated`, `repeated` or `resolved`.
    pub reason: &'static str,
    /// `warn`, `critical`, `exhausted` or `cannot see`.
    pub level: &'static str,
    /// Whether they are told of their own queries, and not as one who looks after the limit.
    #[serde(skip_serializing_if = "is_false")]
    pub own_queries: bool,
}

/// What `serde` asks for.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

impl RunReport {
    /// A report of a run that has not found anything yet.
    pub fn new(run_id: String, source: Source, tick: Tick, dry_run: bool) -> Self {
        Self {
            run_id,
            source,
            as_of: tick.at,
            tick,
            dry_run,
            skipped: None,
            policy: None,
            limits: Vec::new(),
            query_limits: Vec::new(),
            economy: None,
            misfits: Vec::new(),
            incomplete: None,
            unseen: Vec::new(),
            uncovered: Vec::new(),
            submitters: Vec::new(),
            active_queries: None,
            known: None,
            grants: Vec::new(),
            silences: Vec::new(),
            sent: Vec::new(),
            would_send: Vec::new(),
            failed: Vec::new(),
            warnings: Vec::new(),
            calls: BTreeMap::new(),
        }
    }

    /// Notes what was found.
    pub fn found(&mut self, findings: &Findings<'_>) {
        self.limits = findings.verdicts.iter().map(LimitReport::from).collect();
        if !findings.remembered.is_empty() {
            self.limits.extend(findings.remembered.iter().map(|verdict| LimitReport::remembered(verdict, self.as_of)));
            // Each workgroup's limits stay in the policy's order.
            self.limits.sort_by(|a, b| a.workgroup.cmp(&b.workgroup));
        }
        self.query_limits = findings.queries.iter().map(QueryLimitReport::from).collect();
        let all = findings.verdicts.iter().chain(&findings.remembered);
        self.misfits = all.filter_map(MisfitReport::of).take(MOST_MISFITS).collect();
        self.unseen = findings
            .unseen
            .iter()
            .map(|(workgroup, why)| UnseenReport {
                workgroup: workgroup.clone(),
                why: why.word(),
                reason: why.to_string(),
            })
            .collect();
        self.uncovered.clone_from(&findings.uncovered);
    }

    /// The levels of all limits, of bytes and of queries.
    pub fn levels(&self) -> impl Iterator<Item = &'static str> {
        let queries = self.query_limits.iter().map(|limit| limit.level);
        self.limits.iter().map(|limit| limit.level).chain(queries)
    }

    /// Notes what is promised.
    pub fn promised(&mut self, grants: &Grants, silences: &Silences, at: Timestamp) {
        self.grants = promises::grant_reports(grants, at).filter(|grant| !grant.is_closed()).collect();
        self.silences = promises::silence_reports(silences, at);
    }

    /// Notes how many were asked.
    pub fn thrifty(&mut self, findings: &Findings<'_>, rules: Economy) {
        let names = |verdicts: &[Verdict<'_>]| {
            verdicts.iter().map(|verdict| verdict.workgroup.clone()).collect::<BTreeSet<_>>().len()
        };
        self.economy = Some(EconomyReport {
            at_most: format!("{:#}", rules.at_most),
            asked: names(&findings.verdicts),
            not_asked: names(&findings.remembered),
            figures_since: findings.remembered.iter().map(|verdict| verdict.as_of).min(),
        });
    }

    /// Whether the run came as far as to judge. One that stepped back or failed before knows of no limit, and of no unknown one.
    pub fn has_judged(&self) -> bool {
        self.known.is_some()
    }

    /// Limits whose level is `unknown`; a list of workgroups that is not complete counts as one more, for those that are not on it may have limits.
    pub fn unknown_limits(&self) -> usize {
        let queries = self.query_limits.iter().filter(|limit| limit.used.is_none()).count();
        let limits = self.limits.iter().filter(|limit| limit.used_bytes.is_none()).count();
        limits + queries + usize::from(self.incomplete.is_some())
    }
}

impl PolicyReport {
    /// A policy of these documents.
    pub fn new(documents: Vec<String>, standing: &Standing) -> Self {
        match standing {
            Standing::Current => Self { documents, standing: "current", problems: Vec::new() },
            Standing::LastValid { problems, .. } => Self {
                documents,
                standing: "last_valid",
                problems: problems.0.iter().take(MOST_PROBLEMS).map(ToString::to_string).collect(),
            },
        }
    }
}

impl MailReport {
    /// A mail of which nothing more is known yet.
    pub fn new(message: &Message) -> Self {
        let why = message.notices.iter().map(|notice| WhyReport {
            alert: notice.subject.to_string(),
            reason: notice.reason.word(),
            level: notice.severity.words(),
            own_queries: matches!(notice.people, Some(Shown::Own(_) | Shown::Filling(_))),
        });
        Self { to: message.to.to_string(), why: why.collect(), message_id: None, error: None }
    }
}

impl From<&Verdict<'_>> for LimitReport {
    fn from(verdict: &Verdict<'_>) -> Self {
        Self {
            workgroup: verdict.workgroup.clone(),
            window: verdict.limit.window.id(),
            level: verdict.level_word(),
            reason: verdict.reason(),
            used_bytes: verdict.used().map(crate::bytes::Bytes::get),
            limit_bytes: verdict.limit.bytes.get(),
            in_flight_queries: verdict.in_flight_queries(),
            in_flight_bytes: verdict.in_flight_bytes().map(crate::bytes::Bytes::get),
            exhausts_at: verdict.outlook().and_then(|outlook| outlook.about),
            as_of: verdict.as_of,
            age_seconds: None,
        }
    }
}

impl LimitReport {
    /// What was found out when the workgroup was last asked, told at `at`.
    fn remembered(verdict: &Verdict<'_>, at: Timestamp) -> Self {
        let of_then = Self::from(verdict);
        let reason =
            format!("{}; as of {}, not asked since: the level cannot have changed", of_then.reason, of_then.as_of);
        Self { reason, age_seconds: Some(at.duration_since(verdict.as_of).as_secs()), ..of_then }
    }
}

impl From<&QueryVerdict<'_>> for QueryLimitReport {
    fn from(verdict: &QueryVerdict<'_>) -> Self {
        let strain = verdict.finding.as_ref().ok();
        let (class, workgroup) = match &verdict.pressure {
            Pressure::Active(class) => (Some(class.word()), None),
            Pressure::Waiting { workgroup } => (None, Some(workgroup.clone())),
        };
        let (quota, queued) = match strain.map(|strain| &strain.detail) {
            Some(Detail::Active { quota, .. }) => (*quota, None),
            Some(Detail::Waiting { queue, .. }) => (None, queue.map(|queue| queue.queued)),
            None => (None, None),
        };
        Self {
            measure: if class.is_some() { "active_queries" } else { "waiting" },
            unit: if class.is_some() { "queries" } else { "milliseconds" },
            class,
            workgroup,
            window: format!("{:#}", verdict.look_back),
            level: verdict.level_word(),
            reason: verdict.reason(),
            used: strain.map(|strain| strain.used),
            limit: verdict.limit(),
            queued,
            quota,
            as_of: verdict.as_of,
        }
    }
}
