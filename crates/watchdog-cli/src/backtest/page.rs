//! The figures and a plot of each limit, as one page without script and without anything from elsewhere.

use std::collections::HashMap;

use askama::Template;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use watchdog_core::backtest::{Notification, Scored, Traced};
use watchdog_core::bytes::{Bytes, Units};

use super::replays::Outcome;
use super::table;
use crate::out::{count, moment};
use crate::plot::{Bar, Frame};

/// The most plots on a page. With a thousand points each it stays below a megabyte, and nobody looks at more.
const MOST_PLOTS: usize = 24;

/// The most alerts that one plot shows: more are no bars any more, and a list that nobody reads.
const MOST_ALERTS: usize = 200;

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
    frame: Frame,
    limit_y: String,
    warn_y: String,
    warn: String,
    alerts: Vec<Bar>,
    told: String,
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

fn plot(scored: &Scored, traced: &Traced, alerts: &[Alert], span: (Timestamp, Timestamp)) -> Plot {
    let peak = traced.trace.peak();
    let frame = Frame::new(&traced.trace, traced.limit, span);
    let warn_at = traced.warn.of(traced.limit).unwrap_or(traced.limit);
    let bars = alerts.iter().take(MOST_ALERTS).map(|alert| {
        let opened = moment(alert.opened, &TimeZone::UTC);
        let resolved = match alert.resolved {
            Some(at) => format!("resolved {}", moment(at, &TimeZone::UTC)),
            None => "still open at the end".to_owned(),
        };
        let words = format!("{}: opened {opened}, {resolved}", alert.level);
        frame.axis.bar(alert.level, alert.opened, alert.resolved, words)
    });
    let alert_bars = bars.collect();
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
        frame,
        warn: traced.warn.to_string(),
        alerts: alert_bars,
        told: format!("{}{more}", count(alerts.len(), "alert")),
    }
}
