//! What a stretch of the past came to: use against limits, alerts and how early they were told, limits that do not fit, and money.
//!
//! The report of the operator's tool and the weekly mail are both made of it. What is not known stands in it as not known, each with its
//! reason: nothing here is a zero that nobody has seen.

use jiff::{SignedDuration, Timestamp};

use crate::alert::{Record, Subject};
use crate::bytes::{Bytes, Units};
use crate::fit::{Fits, Misfit};
use crate::history::Episode;
use crate::meter::Meter;
use crate::percent::{Percent, whole_percent};
use crate::policy::{Limit, Policy};
use crate::trace::Trace;
use crate::usage::{Seen, Unknown};
use crate::verdict::Level;
use crate::window::{BUCKET, Span, Window};

/// Bytes in a TB, as Athena's price means it here: powers of 1000. Were it one of 1024, the same bytes would cost a tenth less.
const TB: f64 = 1e12;

/// What a stretch of the past came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Review {
    /// The stretch.
    pub span: Span,
    /// Every limit; after [`Review::sort`] the one that was filled most first, and those whose use is not known last.
    pub limits: Vec<LimitReview>,
    /// Every workgroup that was looked at; after [`Review::sort`] the one that scanned most first, and the unknown ones last.
    pub workgroups: Vec<WorkgroupReview>,
    /// The alerts that were open at some time, the newest first; or why nobody knows.
    pub alerts: Result<Vec<AlertReview>, String>,
    /// Why there may be more workgroups, where there may be.
    pub incomplete: Option<String>,
    /// US dollars for 10^12 bytes scanned.
    pub price_per_tb: f64,
}

/// One limit over the stretch.
#[derive(Debug, Clone, PartialEq)]
pub struct LimitReview {
    /// The workgroup.
    pub workgroup: String,
    /// The window's name.
    pub window: String,
    /// The limit as it is now; what a grant made of it meanwhile is left out.
    pub limit: Bytes,
    /// The units it was written in.
    pub units: Units,
    /// The share of it at which `warn` begins.
    pub warn: Percent,
    /// The share at which `critical` begins.
    pub critical: Percent,
    /// How the window was filled; `None` where the sums that were read are too coarse to say so.
    pub seen: Result<Option<Course>, Unknown>,
    /// How it does not fit the work under it, where that is known.
    pub misfit: Option<Misfit>,
}

/// How a window was filled over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    /// The most that it held.
    pub peak: Bytes,
    /// When that was: the first time.
    pub peak_at: Timestamp,
    /// All of it.
    pub trace: Trace,
}

/// One workgroup over the stretch.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkgroupReview {
    /// The workgroup.
    pub workgroup: String,
    /// What it scanned.
    pub scanned: Result<Bytes, Unknown>,
}

/// One alert that was open at some time of the stretch.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertReview {
    /// What it is about.
    pub subject: Subject,
    /// How it went.
    pub episode: Episode,
    /// The units of its bytes.
    pub units: Units,
}

/// How early alerts were told, of those whose limit was reached in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leads {
    /// Alerts in all.
    pub alerts: usize,
    /// Alerts whose limit was reached.
    pub reached: usize,
    /// Those of which somebody was told before it was.
    pub before: usize,
    /// The middle one of their times; of two the shorter one.
    pub median: Option<SignedDuration>,
}

impl Leads {
    /// `a limit was reached once`.
    pub fn reached_words(&self) -> String {
        match self.reached {
            0 => "no limit was reached".to_owned(),
            1 => "a limit was reached once".to_owned(),
            n => format!("limits were reached {n} times"),
        }
    }

    /// The same, and how early people were told of it.
    pub fn words(&self) -> String {
        let reached = self.reached_words();
        let told = match (self.reached, self.before, self.median.map(crate::history::length)) {
            (0, ..) => return reached,
            (_, _, None) => "nobody was told before".to_owned(),
            (1, _, Some(median)) => format!("people were told {median} before"),
            (all, before, Some(median)) if before == all => {
                format!("people were told before each time, typically {median}")
            }
            (_, before, Some(median)) => format!("people were told before {before} of them, typically {median}"),
        };
        format!("{reached}; {told}")
    }
}

/// What was scanned, and what that costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Total {
    /// The sum of all workgroups that are known.
    pub scanned: Bytes,
    /// Workgroups that are not known, and not in it.
    pub unknown: usize,
    /// US dollars for it.
    pub usd: f64,
}

impl Review {
    /// A review of which nothing is known yet.
    pub fn new(span: Span, price_per_tb: f64) -> Self {
        let alerts = Err("nobody has looked".to_owned());
        Self { span, limits: Vec::new(), workgroups: Vec::new(), alerts, incomplete: None, price_per_tb }
    }

    /// Takes the use of one workgroup, looked at every `step` seconds: [`BUCKET`], or a multiple of it where the sums that were read are so
    /// coarse. For windows to be whole it must reach back from the start by the longest of them; where it does not, the first looks are left out.
    pub fn add(&mut self, policy: &Policy, workgroup: &str, seen: &Seen, step: i64, fits: &Fits) {
        let meter = seen.as_ref().map(Meter::from);
        let scanned = meter.as_ref().map_err(|why| (*why).clone()).and_then(|meter| meter.sum(self.span));
        self.workgroups.push(WorkgroupReview { workgroup: workgroup.to_owned(), scanned });
        for limit in policy.rule_for(workgroup).map_or(&[][..], |rule| &rule.limits) {
            self.limits.push(LimitReview {
                workgroup: workgroup.to_owned(),
                window: limit.window.id(),
                limit: limit.bytes,
                units: limit.units,
                warn: limit.warn,
                critical: limit.critical,
                seen: match &meter {
                    Ok(meter) => course(limit, meter, self.span, step),
                    Err(why) => Err((*why).clone()),
                },
                misfit: fits.misfit(workgroup, limit),
            });
        }
    }

    /// Takes the histories of alerts. A limit of which an alert has seen more than the sums say was filled so far.
    pub fn remember<'r>(&mut self, policy: &Policy, records: impl IntoIterator<Item = (&'r Subject, &'r Record)>) {
        let mut alerts = Vec::new();
        for (subject, record) in records {
            let units = units(policy, subject);
            let inside = record.history.episodes().filter(|e| e.is_inside(self.span.start, self.span.end));
            alerts.extend(inside.map(|episode| AlertReview { subject: subject.clone(), episode: *episode, units }));
        }
        alerts.sort_by(|a, b| b.episode.opened.cmp(&a.episode.opened).then_with(|| a.subject.cmp(&b.subject)));
        for limit in &mut self.limits {
            let is_its = |alert: &&AlertReview| {
                matches!(&alert.subject, Subject::Limit { workgroup, window }
                    if (workgroup, window) == (&limit.workgroup, &limit.window))
            };
            let (Ok(Some(course)), Some(most)) =
                (&mut limit.seen, alerts.iter().filter(is_its).max_by_key(|alert| alert.episode.peak.used))
            else {
                continue;
            };
            let (peak, episode) = (Bytes::new(most.episode.peak.used), most.episode);
            if peak > course.peak {
                course.peak = peak;
                course.peak_at = episode.exhausted.or(episode.critical).unwrap_or(episode.opened).max(self.span.start);
            }
        }
        self.alerts = Ok(alerts);
    }

    /// The worst first.
    pub fn sort(&mut self) {
        let share = |limit: &LimitReview| {
            let course = limit.seen.as_ref().ok()?.as_ref()?;
            Some(u128::from(course.peak.get()) * 10_000 / u128::from(limit.limit.get().max(1)))
        };
        let name = |limit: &LimitReview| (limit.workgroup.clone(), limit.window.clone());
        self.limits.sort_by(|a, b| share(b).cmp(&share(a)).then_with(|| name(a).cmp(&name(b))));
        let scanned = |workgroup: &WorkgroupReview| workgroup.scanned.as_ref().ok().copied();
        self.workgroups.sort_by(|a, b| scanned(b).cmp(&scanned(a)).then_with(|| a.workgroup.cmp(&b.workgroup)));
    }

    /// Whether there are workgroups, and of none of them it is known what it scanned.
    pub fn is_blind(&self) -> bool {
        !self.workgroups.is_empty() && self.workgroups.iter().all(|workgroup| workgroup.scanned.is_err())
    }

    /// What all workgroups scanned together.
    pub fn total(&self) -> Total {
        let known = self.workgroups.iter().filter_map(|workgroup| workgroup.scanned.as_ref().ok());
        let scanned = Bytes::new(known.fold(0, |sum, bytes| sum.saturating_add(bytes.get())));
        let unknown = self.workgroups.iter().filter(|workgroup| workgroup.scanned.is_err()).count();
        Total { scanned, unknown, usd: self.usd(scanned) }
    }

    /// US dollars for so many bytes. An estimate: Athena rounds each query up to 10 MB, and does not charge for those that fail.
    pub fn usd(&self, bytes: Bytes) -> f64 {
        bytes.get() as f64 / TB * self.price_per_tb
    }

    /// How early the alerts were told; `None` where they are not known.
    pub fn leads(&self) -> Option<Leads> {
        let alerts = self.alerts.as_ref().ok()?;
        let reached = alerts.iter().filter(|alert| alert.episode.exhausted.is_some()).count();
        let leads = alerts.iter().filter_map(|alert| alert.episode.lead()).filter(|lead| !lead.is_zero());
        let mut leads: Vec<SignedDuration> = leads.collect();
        leads.sort_unstable();
        let median = leads.get(leads.len().saturating_sub(1) / 2).copied();
        Some(Leads { alerts: alerts.len(), reached, before: leads.len(), median })
    }

    /// The alerts about one limit, the newest first.
    pub fn alerts_of<'r>(&'r self, limit: &'r LimitReview) -> impl Iterator<Item = &'r AlertReview> {
        self.alerts.iter().flatten().filter(|alert| match &alert.subject {
            Subject::Limit { workgroup, window } => *workgroup == limit.workgroup && *window == limit.window,
            _ => false,
        })
    }

    /// The worst level of a limit: that of its fullest time, or that of an alert, which the forecast may have opened before; `unknown` where
    /// its use is not known.
    pub fn level_of(&self, limit: &LimitReview) -> &'static str {
        let Some(level) = limit.level() else { return "unknown" };
        self.alerts_of(limit).map(|alert| alert.episode.worst()).fold(level, Level::max).word()
    }

    /// Limits that do not fit.
    pub fn misfits(&self) -> impl Iterator<Item = (&LimitReview, Misfit)> {
        self.limits.iter().filter_map(|limit| Some((limit, limit.misfit?)))
    }
}

impl LimitReview {
    /// The most that was used, in whole percent, rounded down; `None` where it is not known.
    pub fn percent(&self) -> Option<u64> {
        Some(whole_percent(self.seen.as_ref().ok()?.as_ref()?.peak, self.limit))
    }

    /// The level that its fullest time would have had; `None` where it is not known.
    fn level(&self) -> Option<Level> {
        let peak = self.seen.as_ref().ok()?.as_ref()?.peak;
        Some(match peak {
            peak if peak >= self.limit => Level::Exhausted,
            peak if self.critical.reached(peak, self.limit) => Level::Critical,
            peak if self.warn.reached(peak, self.limit) => Level::Warn,
            _ => Level::Ok,
        })
    }

    /// Why nothing is known of it, where nothing is.
    pub fn why_unknown(&self) -> Option<String> {
        match &self.seen {
            Ok(Some(_)) => None,
            Ok(None) => Some("the sums that were read are too coarse for this window".to_owned()),
            Err(why) => Some(why.to_string()),
        }
    }
}

/// How a limit's window was filled over `span`.
///
/// # Errors
/// [`Unknown`] where not a single look knows the whole window.
fn course(limit: &Limit, meter: &Meter, span: Span, step: i64) -> Result<Option<Course>, Unknown> {
    // A sum of an hour says nothing of a quarter of it.
    let is_too_coarse = match limit.window {
        Window::Rolling { minutes } => (i64::from(minutes) * 60) % step != 0,
        Window::Calendar { .. } => false,
    };
    if is_too_coarse {
        return Ok(None);
    }
    // At its very end a calendar window is empty again: it is looked at just before.
    let before = if matches!(limit.window, Window::Calendar { .. }) { BUCKET.min(step) } else { 0 };
    let mut found: Option<Course> = None;
    let mut unknown = Unknown::Partial;
    let mut at = span.start.as_second() + step;
    while at <= span.end.as_second() {
        let instant = Timestamp::from_second(at - before).unwrap_or(span.end);
        match meter.sum(limit.window.span(instant)) {
            Ok(used) => {
                let course =
                    found.get_or_insert_with(|| Course { peak: used, peak_at: instant, trace: Trace::default() });
                course.trace.add(at, used);
                if used > course.peak {
                    (course.peak, course.peak_at) = (used, instant);
                }
            }
            Err(why) => unknown = why,
        }
        at += step;
    }
    found.map(Some).ok_or(unknown)
}

/// The units that a limit is written in; those of a limit that is gone are powers of 1000.
fn units(policy: &Policy, subject: &Subject) -> Units {
    let Subject::Limit { workgroup, window } = subject else { return Units::default() };
    let limits = policy.rule_for(workgroup).map_or(&[][..], |rule| &rule.limits);
    limits.iter().find(|limit| limit.window.id() == *window).map_or_else(Units::default, |limit| limit.units)
}

impl AlertReview {
    /// What it is about, for people: `exploratory, 1h`.
    pub fn about(&self) -> String {
        use crate::verdict::Pressure::{Active, Waiting};
        match &self.subject {
            Subject::Limit { workgroup, window } => format!("{workgroup}, {window}"),
            Subject::Queries(Active(class)) => format!("active {} queries", class.word()),
            Subject::Queries(Waiting { workgroup }) => format!("waiting in {workgroup}"),
            other => other.to_string(),
        }
    }

    /// The largest share that was seen: `112 % of 700 GB`.
    pub fn peak(&self) -> String {
        use crate::verdict::Pressure::{Active, Waiting};
        let peak = self.episode.peak;
        let limit = match &self.subject {
            Subject::Queries(Active(_)) => format!("{} queries", peak.limit),
            Subject::Queries(Waiting { .. }) => crate::verdict::waited(peak.limit),
            _ => Bytes::new(peak.limit).human(self.units),
        };
        format!("{} % of {limit}", peak.percent())
    }

    /// How early people were told, in words: `told 15 min before`.
    pub fn early(&self) -> String {
        let episode = &self.episode;
        match (episode.exhausted, episode.lead()) {
            (None, _) if episode.first_told.is_none() => "nobody was told".to_owned(),
            (None, _) => "not reached".to_owned(),
            (Some(_), Some(lead)) if lead.is_zero() => "told when it was reached".to_owned(),
            (Some(_), Some(lead)) => format!("told {} before", crate::history::length(lead)),
            (Some(_), None) if episode.first_told.is_some() => "told after it was reached".to_owned(),
            (Some(_), None) => "nobody was told".to_owned(),
        }
    }
}

/// `$12.40`, `less than $0.01`, `$1,204`.
pub fn dollars(usd: f64) -> String {
    match usd {
        usd if usd <= 0.0 => "$0".to_owned(),
        usd if usd < 0.01 => "less than $0.01".to_owned(),
        usd if usd < 1000.0 => format!("${usd:.2}"),
        usd => format!("${}", crate::bytes::grouped(usd.round() as u64)),
    }
}
