//! The answer of `report --json`, and of an alert's history in `status --json`.

use jiff::Timestamp;
use serde::Serialize;
use watchdog_core::history::Episode;
use watchdog_core::review::{AlertReview, LimitReview, Review, WorkgroupReview};

use super::heaviest::{HeavyPerson, HeavyQuery};
use super::{Report, text};

/// Field names are part of the interface contract.
#[derive(Debug, Serialize)]
pub struct Answer<'a> {
    from: Timestamp,
    until: Timestamp,
    region: &'a str,
    /// Whether the use is made up.
    sample: bool,
    total: TotalAnswer,
    limits: Vec<LimitAnswer<'a>>,
    /// The newest first; `null` where they are not known.
    alerts: Option<Vec<AlertAnswer>>,
    /// Of those whose limit was reached; `null` where alerts are not known.
    leads: Option<LeadsAnswer>,
    workgroups: Vec<WorkgroupAnswer<'a>>,
    /// `null` where nobody asked for them.
    queries: Option<Vec<QueryAnswer<'a>>>,
    people: Option<Vec<PersonAnswer<'a>>>,
    /// What this leaves out, and what is not known.
    gaps: Vec<String>,
}

#[derive(Debug, Serialize)]
struct TotalAnswer {
    scanned_bytes: u64,
    usd: f64,
    price_per_tb_usd: f64,
    /// Workgroups whose use is not known, and not in the sums.
    unknown_workgroups: usize,
}

#[derive(Debug, Serialize)]
struct LimitAnswer<'a> {
    workgroup: &'a str,
    window: &'a str,
    limit_bytes: u64,
    /// The level at its fullest; `unknown` where the use is not known.
    level: &'static str,
    peak_bytes: Option<u64>,
    peak_percent: Option<u64>,
    peak_at: Option<Timestamp>,
    /// Why nothing is known, where nothing is.
    unknown: Option<String>,
    /// `too_low` or `too_high`; `null` where it is not known not to fit.
    misfit: Option<&'static str>,
    /// What would hold instead.
    suggested_bytes: Option<u64>,
}

#[derive(Debug, Serialize)]
struct AlertAnswer {
    /// The alert's key, such as `limit/exploratory/1h`.
    alert: String,
    #[serde(flatten)]
    episode: EpisodeAnswer,
}

/// One episode of an alert.
#[derive(Debug, Serialize)]
pub struct EpisodeAnswer {
    opened: Timestamp,
    /// The worst level.
    level: &'static str,
    critical_at: Option<Timestamp>,
    /// When the limit was reached.
    exhausted_at: Option<Timestamp>,
    peak_used: u64,
    peak_limit: u64,
    peak_percent: u64,
    /// The instant that the first mail speaks of; `null` where nobody was told.
    first_told: Option<Timestamp>,
    /// How long before the limit was reached that was; `null` where it was not, or nobody was told before.
    lead_seconds: Option<i64>,
    mails: u32,
    /// `null` while it is open.
    ended: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
struct LeadsAnswer {
    alerts: usize,
    reached: usize,
    told_before: usize,
    median_seconds: Option<i64>,
}

#[derive(Debug, Serialize)]
struct WorkgroupAnswer<'a> {
    workgroup: &'a str,
    /// `null` where it is not known.
    scanned_bytes: Option<u64>,
    usd: Option<f64>,
    unknown: Option<String>,
}

#[derive(Debug, Serialize)]
struct QueryAnswer<'a> {
    id: &'a str,
    workgroup: &'a str,
    who: &'a str,
    scanned_bytes: u64,
    ended: Option<Timestamp>,
    state: &'static str,
}

#[derive(Debug, Serialize)]
struct PersonAnswer<'a> {
    who: &'a str,
    scanned_bytes: u64,
    share_percent: u64,
    queries: usize,
}

impl<'a> Answer<'a> {
    pub(super) fn of(report: &'a Report) -> Self {
        let review = &report.review;
        let total = review.total();
        let workgroup = |workgroup: &'a WorkgroupReview| WorkgroupAnswer {
            workgroup: &workgroup.workgroup,
            scanned_bytes: workgroup.scanned.as_ref().ok().map(|bytes| bytes.get()),
            usd: workgroup.scanned.as_ref().ok().map(|bytes| review.usd(*bytes)),
            unknown: workgroup.scanned.as_ref().err().map(ToString::to_string),
        };
        let alert =
            |alert: &AlertReview| AlertAnswer { alert: alert.subject.to_string(), episode: (&alert.episode).into() };
        Self {
            from: review.span.start,
            until: review.span.end,
            region: &report.region,
            sample: report.is_sample,
            total: TotalAnswer {
                scanned_bytes: total.scanned.get(),
                usd: total.usd,
                price_per_tb_usd: review.price_per_tb,
                unknown_workgroups: total.unknown,
            },
            limits: review.limits.iter().map(|limit| LimitAnswer::of(review, limit)).collect(),
            alerts: review.alerts.as_ref().ok().map(|alerts| alerts.iter().map(alert).collect()),
            leads: review.leads().map(|leads| LeadsAnswer {
                alerts: leads.alerts,
                reached: leads.reached,
                told_before: leads.before,
                median_seconds: leads.median.map(|median| median.as_secs()),
            }),
            workgroups: review.workgroups.iter().map(workgroup).collect(),
            queries: report.heaviest.as_ref().map(|heaviest| heaviest.queries.iter().map(QueryAnswer::of).collect()),
            people: report.heaviest.as_ref().map(|heaviest| heaviest.people.iter().map(PersonAnswer::of).collect()),
            gaps: text::gaps(report),
        }
    }
}

impl<'a> LimitAnswer<'a> {
    fn of(review: &Review, limit: &'a LimitReview) -> Self {
        let course = limit.seen.as_ref().ok().and_then(Option::as_ref);
        Self {
            workgroup: &limit.workgroup,
            window: &limit.window,
            limit_bytes: limit.limit.get(),
            level: review.level_of(limit),
            peak_bytes: course.map(|course| course.peak.get()),
            peak_percent: limit.percent(),
            peak_at: course.map(|course| course.peak_at),
            unknown: limit.why_unknown(),
            misfit: limit.misfit.map(|misfit| misfit.word()),
            suggested_bytes: limit.misfit.map(|misfit| misfit.about().get()),
        }
    }
}

impl From<&Episode> for EpisodeAnswer {
    fn from(episode: &Episode) -> Self {
        Self {
            opened: episode.opened,
            level: episode.worst().word(),
            critical_at: episode.critical,
            exhausted_at: episode.exhausted,
            peak_used: episode.peak.used,
            peak_limit: episode.peak.limit,
            peak_percent: episode.peak.percent(),
            first_told: episode.first_told,
            lead_seconds: episode.lead().map(|lead| lead.as_secs()),
            mails: episode.mails,
            ended: episode.ended,
        }
    }
}

impl<'a> QueryAnswer<'a> {
    fn of(query: &'a HeavyQuery) -> Self {
        Self {
            id: &query.id,
            workgroup: &query.workgroup,
            who: &query.who,
            scanned_bytes: query.scanned.get(),
            ended: query.ended,
            state: query.state,
        }
    }
}

impl<'a> PersonAnswer<'a> {
    fn of(person: &'a HeavyPerson) -> Self {
        Self {
            who: &person.who,
            scanned_bytes: person.bytes.get(),
            share_percent: person.percent,
            queries: person.queries,
        }
    }
}
