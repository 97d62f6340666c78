//! The figures and a plot of each limit, as one page without script and without anything from elsewhere.

use std::collections::HashMap;
use std::fmt::Write;

use askama::Template;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use watchdog_core::backtest::{Notification, Scored, Traced};
use watchdog_core::bytes::{Bytes, Units};
use watchdog_core::trace::Trace;

use super::replays::Outcome;
use super::table;
use crate::out::{count, moment};

/// The most plots on a page. With a thousand points each it stays below a megabyte, and nobody looks at more.
const MOST_PLOTS: usize = 24;

/// The most alerts that one plot shows: more are no bars any more, and a list that nobody reads.
const MOST_ALERTS: usize = 200;

/// Where the plot lies in its picture of 1,000 by 250.
pub const LEFT: f64 = 80.0;
pub const WIDTH: f64 = 920.0;
pub const TOP: f64 = 10.0;
pub const HEIGHT: f64 = 180.0;
/// The bottom of the bars of alerts.
const BARS: f64 = 226.0;

/// Use is cut off where it is more than this many times the limit: the limit would be a line at the bottom otherwise.
const HIGHEST: f64 = 2.5;

#[derive(Template)]
#[template(path = "backtest.html")]
struct Page<'a> {
    summary: String,
    from: String,
    until: String,
    every: String,
    head: &'a [&'a str],
    rows: Vec<Vec<String>>,
    mails: Vec<String>,
    left_out: String,
    plots: Vec<Plot>,
}

struct Plot {
    title: String,
    summary: String,
    ticks: Vec<Tick>,
    area: String,
    limit_y: String,
    warn_y: String,
    warn: String,
    alerts: Vec<Bar>,
    told: String,
}

/// A day or an hour that is named below a plot.
pub struct Tick {
    pub x: String,
    pub label: String,
}

/// The use in a plot that may hold several limits, and where things lie in it.
pub struct Frame {
    /// The outline of the use.
    pub area: String,
    /// What is named below it.
    pub ticks: Vec<Tick>,
    /// Whether use was cut off above.
    pub is_cut: bool,
    highest: f64,
}

impl Frame {
    /// Where so much lies, from above.
    pub fn height_of(&self, bytes: Bytes) -> f64 {
        TOP + HEIGHT * (1.0 - (bytes.get() as f64 / self.highest).clamp(0.0, 1.0))
    }
}

/// The frame for this use, with room for a limit of `most`.
pub fn frame(trace: &Trace, most: Bytes, (from, until): (Timestamp, Timestamp)) -> Frame {
    let (start, end) = (from.as_second(), until.as_second().max(from.as_second() + 1));
    let x = |at: i64| LEFT + WIDTH * ((at - start) as f64 / (end - start) as f64).clamp(0.0, 1.0);
    let most = most.get().max(1) as f64;
    let share = trace.peak().get() as f64 / most;
    let highest = most * share.clamp(1.0, HIGHEST) * 1.05;
    let mut frame = Frame { area: String::new(), ticks: Vec::new(), is_cut: share > HIGHEST, highest };
    let mut last = LEFT;
    let mut area = String::new();
    for (n, (at, used)) in trace.points().enumerate() {
        let (x, y) = (x(at), frame.height_of(used));
        // Writing to a string does not fail.
        let _ = match n {
            0 => write!(area, "M{x:.1} {:.1}V{y:.1}", TOP + HEIGHT),
            _ => write!(area, "L{x:.1} {y:.1}"),
        };
        last = x;
    }
    if !area.is_empty() {
        let _ = write!(area, "L{last:.1} {:.1}Z", TOP + HEIGHT);
    }
    frame.area = area;
    frame.ticks = ticks(start, end).into_iter().map(|(at, label)| Tick { x: format!("{:.1}", x(at)), label }).collect();
    frame
}

/// One alert, from opened to resolved.
struct Bar {
    level: &'static str,
    x: String,
    width: String,
    y: String,
    height: String,
    words: String,
    /// Whether its level's word fits into it.
    is_wide: bool,
}

/// An alert as its notifications tell it.
struct Alert {
    opened: Timestamp,
    resolved: Option<Timestamp>,
    level: &'static str,
}

/// The page, for an outcome with traces.
///
/// # Errors
/// None that is known of: writing to a string does not fail.
pub fn page(outcome: &Outcome) -> Result<String, askama::Error> {
    let Some((from, until)) = outcome.span else { return Ok(String::new()) };
    let mut alerts = alerts(&outcome.notifications);
    let mut limits: Vec<&(Scored, Traced)> = outcome.traced.iter().collect();
    // The worst first: most often reached, then nearest to it.
    let share = |traced: &Traced| traced.trace.peak().get() as f64 / traced.limit.get().max(1) as f64;
    limits.sort_by(|(a, a_traced), (b, b_traced)| {
        let reached = b.tally.leads.len().cmp(&a.tally.leads.len());
        let nearest = || share(b_traced).total_cmp(&share(a_traced));
        reached.then_with(nearest).then_with(|| a_traced.workgroup.cmp(&b_traced.workgroup))
    });
    let left_out = limits.len().saturating_sub(MOST_PLOTS);
    let plots = limits.iter().take(MOST_PLOTS).map(|(scored, traced)| {
        let alerts = alerts.remove(&(traced.workgroup.as_str(), scored.window.as_str())).unwrap_or_default();
        plot(scored, traced, &alerts, (from, until))
    });
    let plots: Vec<Plot> = plots.collect();
    let mut rows = table::rows(outcome);
    let head = if rows.is_empty() { Default::default() } else { rows.remove(0) };
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let page = Page {
        summary: format!("{} under {}", count(outcome.workgroups, "workgroup"), count(outcome.traced.len(), "limit")),
        from: moment(from, &TimeZone::UTC),
        until: moment(until, &TimeZone::UTC),
        every: format!("{} min", outcome.every as f64 / 60.0),
        head: &head,
        rows: rows.into_iter().map(Vec::from).collect(),
        mails: table::mails(outcome),
        left_out: match left_out {
            0 => String::new(),
            n => format!(
                "Shown are the {MOST_PLOTS} limits that were reached most often, or came nearest to it; {} left out.",
                if n == 1 { "one other is".to_owned() } else { format!("{n} others are") }
            ),
        },
        plots,
    };
    page.render()
}

/// The alerts of each limit, by workgroup and window, in the order of time.
fn alerts(notifications: &[Notification]) -> HashMap<(&str, &str), Vec<Alert>> {
    let mut all: HashMap<(&str, &str), Vec<Alert>> = HashMap::new();
    for notification in notifications {
        let alerts = all.entry((&notification.workgroup, &notification.window)).or_default();
        let open = alerts.last_mut().filter(|alert| alert.resolved.is_none());
        match (notification.event, open) {
            ("resolved", Some(alert)) => alert.resolved = Some(notification.time),
            ("escalated", Some(alert)) => alert.level = notification.level,
            ("opened" | "escalated", None) => {
                alerts.push(Alert { opened: notification.time, resolved: None, level: notification.level });
            }
            _ => {}
        }
    }
    all
}

fn plot(scored: &Scored, traced: &Traced, alerts: &[Alert], (from, until): (Timestamp, Timestamp)) -> Plot {
    let (start, end) = (from.as_second(), until.as_second().max(from.as_second() + 1));
    let x = |at: i64| LEFT + WIDTH * ((at - start) as f64 / (end - start) as f64).clamp(0.0, 1.0);
    let peak = traced.trace.peak();
    let frame = frame(&traced.trace, traced.limit, (from, until));
    let warn_at = traced.warn.of(traced.limit).unwrap_or(traced.limit);
    let bars = alerts.iter().take(MOST_ALERTS).map(|alert| {
        let (left, right) = (x(alert.opened.as_second()), alert.resolved.map_or(LEFT + WIDTH, |at| x(at.as_second())));
        let height = match alert.level {
            "exhausted" => 24.0,
            "critical" => 16.0,
            _ => 8.0,
        };
        let opened = moment(alert.opened, &TimeZone::UTC);
        let resolved = match alert.resolved {
            Some(at) => format!("resolved {}", moment(at, &TimeZone::UTC)),
            None => "still open at the end".to_owned(),
        };
        Bar {
            level: alert.level,
            x: format!("{left:.1}"),
            // A bar that is too thin to be seen is none.
            width: format!("{:.1}", (right - left).max(1.5)),
            y: format!("{:.1}", BARS - height),
            height: format!("{height:.1}"),
            is_wide: right - left >= 70.0 && height >= 16.0,
            words: format!("{}: opened {opened}, {resolved}", alert.level),
        }
    });
    let human = |bytes: Bytes| bytes.human(Units::Decimal);
    let reached = match scored.tally.leads.len() {
        0 => "never reached".to_owned(),
        1 => "reached once".to_owned(),
        n => format!("reached {n} times"),
    };
    let cut = if frame.is_cut { ", cut off above" } else { "" };
    let more = alerts.len().saturating_sub(MOST_ALERTS);
    let more = if more > 0 { format!(", of which the last {more} are not shown") } else { String::new() };
    Plot {
        title: format!("{}, {}", traced.workgroup, scored.window),
        summary: format!("limit {}, {reached}; the most was {}{cut}", human(traced.limit), human(peak)),
        limit_y: format!("{:.1}", frame.height_of(traced.limit)),
        warn_y: format!("{:.1}", frame.height_of(warn_at)),
        ticks: frame.ticks,
        area: frame.area,
        warn: traced.warn.to_string(),
        alerts: bars.collect(),
        told: format!("{}{more}", count(alerts.len(), "alert")),
    }
}

/// At most ten instants at the beginnings of days of UTC, or of hours where the time is short.
pub fn ticks(start: i64, end: i64) -> Vec<(i64, String)> {
    let steps = [1, 2, 3, 6, 12, 24, 48, 96, 168, 336, 744, 2_232, 8_784].map(|hours| hours * 3600);
    let step = steps.into_iter().find(|step| (end - start) / step <= 10).unwrap_or(10 * 366 * 86_400);
    let form = if step < 86_400 { "%b %d %H:%M" } else { "%b %d" };
    let first = start.div_euclid(step) * step + if start.rem_euclid(step) == 0 { 0 } else { step };
    let ticks = (0..=10).map(|n| first + n * step).take_while(|at| *at <= end - (end - start) / 20);
    ticks.filter_map(|at| Some((at, Timestamp::from_second(at).ok()?.strftime(form).to_string()))).collect()
}
