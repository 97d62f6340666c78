//! The report as one page without script and without anything from elsewhere: what an admin takes to somebody who was not there.

use askama::Template;
use jiff::tz::TimeZone;
use watchdog_core::bytes::{Bytes, Units};
use watchdog_core::history::length;
use watchdog_core::mail::filters;
use watchdog_core::review::{AlertReview, Course, LimitReview, dollars};

use super::{Report, text};
use crate::out::{count, moment};
use crate::plot::{Bar, Frame};

/// The most plots on a page, the fullest limits first: nobody looks at more.
const MOST_PLOTS: usize = 24;
/// Alerts in the list, the newest first, and bars in a plot.
const MOST_ALERTS: usize = 100;

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    name: &'a str,
    region: &'a str,
    is_sample: bool,
    from: String,
    until: String,
    tiles: Vec<Tile>,
    plots: Vec<Plot>,
    unplotted: Vec<String>,
    plots_left_out: String,
    alerts: Vec<AlertRow>,
    alerts_unknown: String,
    alerts_left_out: String,
    misfits: Vec<(String, String)>,
    people: Vec<[String; 4]>,
    queries: Vec<[String; 5]>,
    known: String,
    costs: Vec<CostRow>,
    price: String,
    total: [String; 2],
    total_words: &'static str,
    gaps: Vec<String>,
}

/// A figure with its words.
struct Tile {
    figure: String,
    words: String,
}

struct Plot {
    title: String,
    summary: String,
    level: &'static str,
    frame: Frame,
    limit_y: String,
    warn_y: String,
    warn: String,
    alerts: Vec<Bar>,
}

struct AlertRow {
    opened: String,
    about: String,
    level: &'static str,
    peak: String,
    early: String,
    is_early: bool,
    open: String,
    mails: String,
}

struct CostRow {
    workgroup: String,
    scanned: String,
    usd: String,
    /// Of the largest, 0 to 100.
    share: u64,
}

/// The page.
///
/// # Errors
/// None that is known of: writing to a string does not fail.
pub fn page(report: &Report) -> Result<String, askama::Error> {
    let review = &report.review;
    let total = review.total();
    let at_least = if total.unknown > 0 { "at least " } else { "" };
    let seen: Vec<(&LimitReview, &Course)> =
        review.limits.iter().filter_map(|limit| Some((limit, limit.seen.as_ref().ok()?.as_ref()?))).collect();
    let plots: Vec<Plot> = seen.iter().take(MOST_PLOTS).map(|(limit, course)| plot(report, limit, course)).collect();
    let unplotted = review.limits.iter().filter_map(|limit| Some((limit, limit.why_unknown()?)));
    let unplotted = unplotted.map(|(limit, why)| format!("{}: not known: {why}", text::title(limit))).collect();
    let all = review.alerts.as_deref().unwrap_or_default();
    let heaviest = report.heaviest.as_ref();
    let most = review.workgroups.iter().filter_map(|w| w.scanned.as_ref().ok()).max().copied().unwrap_or(Bytes::ZERO);
    let cost = |workgroup: &watchdog_core::review::WorkgroupReview| match &workgroup.scanned {
        Ok(scanned) => CostRow {
            workgroup: workgroup.workgroup.clone(),
            scanned: scanned.human(Units::Decimal),
            usd: dollars(review.usd(*scanned)),
            share: if most == Bytes::ZERO { 0 } else { watchdog_core::percent::whole_percent(*scanned, most) },
        },
        Err(why) => CostRow {
            workgroup: workgroup.workgroup.clone(),
            scanned: format!("not known: {why}"),
            usd: "?".to_owned(),
            share: 0,
        },
    };
    let page = Page {
        name: &report.name,
        region: &report.region,
        is_sample: report.is_sample,
        from: moment(review.span.start, &report.zone),
        until: moment(review.span.end, &report.zone),
        tiles: tiles(report),
        plots,
        unplotted,
        plots_left_out: left_out(seen.len(), MOST_PLOTS, "limit", "that were filled less"),
        alerts: all.iter().take(MOST_ALERTS).map(|alert| alert_row(alert, &report.zone)).collect(),
        alerts_unknown: review.alerts.as_ref().err().cloned().unwrap_or_default(),
        alerts_left_out: left_out(all.len(), MOST_ALERTS, "alert", "that opened before these"),
        misfits: review.misfits().map(|(limit, misfit)| (text::title(limit), misfit.words(limit.units))).collect(),
        people: heaviest.map_or(Vec::new(), |heaviest| {
            let row = |person: &super::heaviest::HeavyPerson| {
                [
                    person.who.clone(),
                    person.queries.to_string(),
                    person.bytes.human(Units::Decimal),
                    format!("{} %", person.percent),
                ]
            };
            heaviest.people.iter().map(row).collect()
        }),
        queries: heaviest.map_or(Vec::new(), |heaviest| {
            let row = |query: &super::heaviest::HeavyQuery| {
                let ended = query.ended.map_or_else(|| "?".to_owned(), |at| moment(at, &report.zone));
                let ran = format!("{}, {}, {ended}", query.workgroup, query.state);
                [
                    query.id.clone(),
                    query.who.clone(),
                    ran,
                    query.scanned.human(Units::Decimal),
                    dollars(review.usd(query.scanned)),
                ]
            };
            heaviest.queries.iter().map(row).collect()
        }),
        known: heaviest.map_or(String::new(), |heaviest| heaviest.known.human(Units::Decimal)),
        costs: review.workgroups.iter().map(cost).collect(),
        price: dollars(review.price_per_tb),
        total: [total.scanned.human(Units::Decimal), dollars(total.usd)],
        total_words: if at_least.is_empty() { "together" } else { "together, at least" },
        gaps: text::gaps(report),
    };
    page.render()
}

/// The figures that a reader wants first.
fn tiles(report: &Report) -> Vec<Tile> {
    let review = &report.review;
    let total = review.total();
    let at_least = if total.unknown > 0 { "at least; " } else { "" };
    let tile = |figure: String, words: String| Tile { figure, words };
    let workgroups = count(review.workgroups.len() - total.unknown, "workgroup");
    let mut tiles = vec![
        tile(total.scanned.human(Units::Decimal), format!("scanned, {at_least}in {workgroups}")),
        tile(dollars(total.usd), format!("{at_least}at {} a TB", dollars(review.price_per_tb))),
    ];
    let (alerts, early) = match review.leads() {
        None => (
            tile("?".to_owned(), "alerts: not known".to_owned()),
            tile("?".to_owned(), "how early: not known".to_owned()),
        ),
        Some(leads) => {
            let alerts = if leads.alerts == 1 { "alert" } else { "alerts" };
            let early = match (leads.median, leads.reached) {
                (Some(median), 1) => tile(length(median), "told before the limit was reached".to_owned()),
                (Some(median), all) => {
                    let words = format!("typically told before a limit was reached; before {} of {all}", leads.before);
                    tile(length(median), words)
                }
                (None, 0) => tile("–".to_owned(), "how early: nothing was reached".to_owned()),
                (None, _) => tile("0 min".to_owned(), "nobody was told before a limit was reached".to_owned()),
            };
            (tile(leads.alerts.to_string(), format!("{alerts}; {}", leads.reached_words())), early)
        }
    };
    tiles.extend([alerts, early]);
    let misfits = review.misfits().count();
    let fit = if misfits == 1 { "does not fit its work" } else { "do not fit their work" };
    tiles.push(tile(misfits.to_string(), format!("of {} {fit}", count(review.limits.len(), "limit"))));
    tiles
}

fn left_out(all: usize, most: usize, what: &str, which: &str) -> String {
    match all.saturating_sub(most) {
        0 => String::new(),
        n => format!("{} {which} left out.", if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }),
    }
}

fn plot(report: &Report, limit: &LimitReview, course: &Course) -> Plot {
    let span = report.review.span;
    let frame = Frame::new(&course.trace, limit.limit, (span.start, span.end));
    let warn_at = limit.warn.of(limit.limit).unwrap_or(limit.limit);
    let bars = report.review.alerts_of(limit).take(MOST_ALERTS).map(|alert| {
        let (episode, level) = (&alert.episode, alert.episode.worst().word());
        let words = format!("{level}: opened {}, {}", moment(episode.opened, &report.zone), alert.early());
        frame.axis.bar(level, episode.opened, episode.ended, words)
    });
    let alerts: Vec<Bar> = bars.collect();
    let told = match (&report.review.alerts, alerts.len()) {
        (Err(_), _) => "alerts not known".to_owned(),
        (Ok(_), 0) => "no alert".to_owned(),
        (Ok(_), n) => count(n, "alert"),
    };
    let cut = if frame.is_cut { ", cut off above" } else { "" };
    Plot {
        title: text::title(limit),
        summary: format!("{} %: {}{cut}; {told}", limit.percent().unwrap_or(0), text::most(report, limit)),
        level: report.review.level_of(limit),
        limit_y: format!("{:.1}", frame.height_of(limit.limit)),
        warn_y: format!("{:.1}", frame.height_of(warn_at)),
        warn: limit.warn.to_string(),
        frame,
        alerts,
    }
}

fn alert_row(alert: &AlertReview, zone: &TimeZone) -> AlertRow {
    let episode = &alert.episode;
    AlertRow {
        opened: moment(episode.opened, zone),
        about: alert.about(),
        level: episode.worst().word(),
        peak: alert.peak(),
        early: alert.early(),
        is_early: episode.lead().is_some_and(|lead| !lead.is_zero()),
        open: match episode.ended {
            Some(ended) => length(ended.duration_since(episode.opened)),
            None => "still open".to_owned(),
        },
        mails: episode.mails.to_string(),
    }
}
