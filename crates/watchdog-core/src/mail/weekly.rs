//! The weekly report in words: a short form of what `watchdog report` says.

use jiff::Timestamp;

use super::picture::{LIMIT, Plot, WARN};
use super::raster::{Canvas, Ink};
use super::words::{Case, Step, StepKind, Words, name, plain};
use crate::bytes::{Bytes, Units};
use crate::delivery::{Notice, WeekFacts};
use crate::review::{AlertReview, Course, LimitReview, Review, dollars};

/// Limits that are shown, the fullest first.
const MOST_LIMITS: usize = 12;
/// Those of them with a picture.
const MOST_PLOTS: usize = 2;
/// Alerts in a line each, the newest first.
const MOST_ALERTS: usize = 10;
/// Limits that do not fit.
const MOST_MISFITS: usize = 6;
/// Workgroups with what they cost.
const MOST_COSTS: usize = 8;
/// Characters of a limit's line of blocks: three hours each in a week.
const CELLS: i64 = 56;

/// A week, as both forms of a mail show it.
pub(super) struct Week {
    pub limits: Vec<WeekLimit>,
    pub alerts: Vec<String>,
    /// Which limit, and what does not fit.
    pub misfits: Vec<(String, String)>,
    /// Workgroup, what it scanned, and what that cost.
    pub costs: Vec<(String, String, String)>,
    /// What the lists leave out, and what is not known.
    pub notes: Vec<String>,
}

/// One limit over a week.
pub(super) struct WeekLimit {
    pub title: String,
    pub level: &'static str,
    pub colour: &'static str,
    /// Of the bar's width, 0 to 100; `None` where it is not known.
    pub filled: Option<u64>,
    pub percent: String,
    pub words: String,
    /// Empty where it is not known.
    pub spark: String,
    pub plot: Option<Plot>,
}

impl Words<'_> {
    /// The one case of a weekly mail.
    pub(super) fn weekly(&self, notice: &Notice, facts: &WeekFacts) -> Case {
        let review = &facts.review;
        let total = review.total();
        let scanned = total.scanned.human(Units::Decimal);
        let at_least = if total.unknown > 0 { "at least " } else { "" };
        let day = |at: Timestamp| self.local_day(at);
        let days = format!("{} to {}", day(review.span.start), day(review.span.end));
        let alerts = review.leads();
        let told = match alerts {
            None => "alerts not known".to_owned(),
            Some(leads) => count(leads.alerts, "alert"),
        };
        let (title, sentence) = if review.is_blind() {
            let sentence = format!("What Athena scanned from {days} is not known.");
            (format!("{days}: use not known, {told}"), sentence)
        } else {
            let (usd, price) = (dollars(total.usd), dollars(review.price_per_tb));
            let cost = format!("about {at_least}{usd} at {price} a TB").replace("about at least", "at least");
            let sentence = format!("From {days} Athena scanned {at_least}{scanned}, {cost}.");
            (format!("{days}: {at_least}{scanned} scanned, {told}"), sentence)
        };
        let mut case = self.frame(notice, title);
        case.sentence = sentence;
        case.consequence = match alerts {
            None => "What was told of alerts is not known.".to_owned(),
            Some(leads) if leads.alerts == 0 => "No alert opened.".to_owned(),
            Some(leads) => format!("{} opened: {}.", count(leads.alerts, "alert"), leads.words()),
        };
        case.week = Some(self.week(review));
        case.steps = vec![
            self.command(
                "The whole report, with the heaviest queries and people",
                "report --since 7d --html report.html",
            ),
            self.command("The limits that weeks of use ask for", "plan --since 63d"),
        ];
        case.why = format!("the policy asks for a report every {}", facts.asked);
        case
    }

    fn command(&self, words: &'static str, command: &str) -> Step {
        Step { words, command: format!("watchdog {command}{}", self.place_options()), kind: StepKind::Command }
    }

    fn week(&self, review: &Review) -> Week {
        let mut notes = Vec::new();
        let mut limits: Vec<WeekLimit> =
            review.limits.iter().take(MOST_LIMITS).map(|l| self.week_limit(review, l)).collect();
        for (shown, limit) in limits.iter_mut().zip(&review.limits).take(MOST_PLOTS) {
            // What stayed low all week is no picture.
            if review.level_of(limit) != "ok" {
                shown.plot = self.week_plot(review, limit);
            }
        }
        let more = review.limits.len().saturating_sub(MOST_LIMITS);
        if more > 0 {
            notes.push(format!("{} that were filled less are left out.", count(more, "limit")));
        }
        let all = review.alerts.as_deref().unwrap_or_default();
        let alerts = all.iter().take(MOST_ALERTS).map(|alert| self.week_alert(alert)).collect();
        if let Some(more) = all.len().checked_sub(MOST_ALERTS).filter(|more| *more > 0) {
            notes.push(format!("{} that opened before these are left out.", count(more, "alert")));
        }
        if let Err(why) = &review.alerts {
            notes.push(format!("What was told of alerts is not known: {}.", plain(why)));
        }
        let misfits = review
            .misfits()
            .take(MOST_MISFITS)
            .map(|(limit, misfit)| (title(limit), misfit.words(limit.units)))
            .collect();
        let mut costs = Vec::new();
        for workgroup in review.workgroups.iter().take(MOST_COSTS) {
            let (scanned, cost) = match &workgroup.scanned {
                Ok(scanned) => (scanned.human(Units::Decimal), dollars(review.usd(*scanned))),
                Err(why) => (format!("not known: {}", plain(&why.to_string())), "?".to_owned()),
            };
            costs.push((name(&workgroup.workgroup), scanned, cost));
        }
        if let Some(more) = review.workgroups.len().checked_sub(MOST_COSTS).filter(|more| *more > 0) {
            notes.push(format!(
                "{} that scanned less, or are not known, are left out of the list and in the sum.",
                count(more, "workgroup")
            ));
        }
        let unknown = review.total().unknown;
        if unknown > 0 {
            let (are, them) = if unknown == 1 { ("is", "it") } else { ("are", "them") };
            notes.push(format!(
                "What {} scanned {are} not known: the sums are without {them}.",
                count(unknown, "workgroup")
            ));
        }
        if let Some(why) = &review.incomplete {
            notes.push(format!("There may be more workgroups: {}.", plain(why)));
        }
        notes.push(
            "Use is by the hour; the peaks of alerts are exact. Cost is an estimate from what was scanned.".to_owned(),
        );
        Week { limits, alerts, misfits, costs, notes }
    }

    fn week_limit(&self, review: &Review, limit: &LimitReview) -> WeekLimit {
        let level = review.level_of(limit);
        let shown = WeekLimit {
            title: title(limit),
            level,
            colour: colour(level),
            filled: limit.percent().map(|percent| percent.min(100)),
            percent: limit.percent().map_or("?".to_owned(), |percent| format!("{percent} %")),
            words: String::new(),
            spark: String::new(),
            plot: None,
        };
        let Ok(Some(course)) = &limit.seen else {
            return WeekLimit {
                words: format!("not known: {}", plain(&limit.why_unknown().unwrap_or_default())),
                ..shown
            };
        };
        let alerts = review.alerts_of(limit).count();
        let reached = review.alerts_of(limit).filter(|alert| alert.episode.exhausted.is_some()).count();
        let told = match (alerts, reached) {
            _ if review.alerts.is_err() => String::new(),
            (0, _) => ", no alert".to_owned(),
            (alerts, 0) => format!(", {}", count(alerts, "alert")),
            (alerts, reached) => format!(", {}, reached {}", count(alerts, "alert"), times(reached)),
        };
        WeekLimit {
            words: format!(
                "at most {} of {}, {}{told}",
                course.peak.human(limit.units),
                limit.limit.human(limit.units),
                self.day_of_week(course.peak_at)
            ),
            spark: spark(review, limit.limit, course),
            ..shown
        }
    }

    /// `Tue 14:05 exploratory, 1h: exhausted, 118 % of 700 GiB; first told 25 min before; 3 mails`.
    fn week_alert(&self, alert: &AlertReview) -> String {
        let episode = &alert.episode;
        format!(
            "{} {}: {}, at most {}; {}; {}{}",
            self.day_of_week(episode.opened),
            name(&alert.about()),
            episode.worst().word(),
            alert.peak(),
            alert.early(),
            count(usize::try_from(episode.mails).unwrap_or(usize::MAX), "mail"),
            if episode.ended.is_none() { "; still open" } else { "" }
        )
    }

    fn week_plot(&self, review: &Review, limit: &LimitReview) -> Option<Plot> {
        let course = limit.seen.as_ref().ok()?.as_ref()?;
        let (used, whole) = (course.peak.human(limit.units), limit.limit.human(limit.units));
        let (left, right) = (self.local_day(review.span.start), self.local_day(review.span.end));
        let alt = format!(
            "Picture: the window of {} over the week; the most was {used} of {whole}, {} %, {}.",
            title(limit),
            limit.percent()?,
            self.day_of_week(course.peak_at)
        );
        Some(Plot {
            png: draw(review, limit, course).png(),
            cid: String::new(),
            alt,
            heading: String::new(),
            spark: String::new(),
            left,
            right,
            steepest: String::new(),
            key: vec![(LIMIT, format!("limit {whole}")), (WARN, format!("warn {}", limit.warn))],
        })
    }
}

/// Twice the dots of the 540 that it is wide in a mail.
const WIDTH: u16 = 1080;
const HEIGHT: u16 = 200;
const TOP: i32 = 8;
const FLOOR: i32 = 194;
/// Use is cut off where it is more than this many times the limit.
const HIGHEST: f64 = 2.0;

fn draw(review: &Review, limit: &LimitReview, course: &Course) -> Canvas {
    let (start, end) = (review.span.start.as_second(), review.span.end.as_second());
    let width = i32::from(WIDTH);
    let x = |at: i64| ((at - start) as f64 / (end - start).max(1) as f64 * f64::from(width)).round() as i32;
    let share = |bytes: Bytes| bytes.get() as f64 / limit.limit.get().max(1) as f64;
    let highest = share(course.trace.peak()).clamp(1.0, HIGHEST) * 1.04;
    let y = |share: f64| FLOOR - (share.min(highest) / highest * f64::from(FLOOR - TOP)).round() as i32;
    let mut canvas = Canvas::new(WIDTH, HEIGHT);
    // Days, by 24 hours from the start.
    for day in 1..7 {
        let at = x(start + day * 86_400);
        // Two dots: one is a matter of luck where the picture is made half as wide.
        canvas.fill((at, TOP), (at + 2, FLOOR), Ink::Rule);
    }
    let mut left = 0;
    for (at, used) in course.trace.points() {
        let (right, top) = (x(at).max(left + 1), y(share(used)));
        canvas.fill((left, top), (right, FLOOR), Ink::Use);
        if used > Bytes::ZERO {
            canvas.fill((left, top), (right, top + 4), Ink::Edge);
        }
        left = right;
    }
    canvas.level((0, width), FLOOR + 2, 3, (1, 0), Ink::Rule);
    canvas.level((0, width), y(limit.warn.as_f64() / 100.0), 3, (6, 8), Ink::Rule);
    canvas.level((0, width), y(1.0), 6, (1, 0), Ink::Limit);
    canvas
}

/// The fullest that the window was in each stretch, in eighths of the limit; only a limit that is gone is full.
fn spark(review: &Review, limit: Bytes, course: &Course) -> String {
    let (start, end) = (review.span.start.as_second(), review.span.end.as_second());
    let mut cells: Vec<Option<Bytes>> = vec![None; usize::try_from(CELLS).unwrap_or(0)];
    for (at, used) in course.trace.points() {
        let cell = (at - start - 1) * CELLS / (end - start).max(1);
        if let Some(cell) = usize::try_from(cell).ok().and_then(|cell| cells.get_mut(cell)) {
            *cell = (*cell).max(Some(used));
        }
    }
    let block = |used: Option<Bytes>| used.map_or('?', |used| crate::trace::block(used, limit));
    cells.into_iter().map(block).collect()
}

fn title(limit: &LimitReview) -> String {
    format!("{}, {}", name(&limit.workgroup), plain(&limit.window))
}

/// The colours of levels everywhere in mails.
fn colour(level: &str) -> &'static str {
    match level {
        "ok" => "#00795a",
        "warn" => "#e69f00",
        "critical" => "#b84a00",
        "exhausted" => "#9f4d9a",
        _ => "#1a73ad",
    }
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn times(n: usize) -> String {
    if n == 1 { "once".to_owned() } else { format!("{n} times") }
}
