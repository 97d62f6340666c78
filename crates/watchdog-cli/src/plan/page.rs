//! A plan as one page without script and without anything from elsewhere: the evidence, a plot of each limit, and one of each band of
//! active queries.

use std::fmt::Write;

use askama::Template;
use watchdog_core::bytes::Bytes;
use watchdog_core::mail::filters;
use watchdog_core::proposal::band::Band;
use watchdog_core::proposal::words::{because, beside, crowded};

use super::{Crowded, Entry, Found, text};
use crate::plot::{Axis, Frame, HEIGHT, LEFT, TOP, Tick, WIDTH};

/// The most plots on a page, as of a back-test.
const MOST_PLOTS: usize = 24;

#[derive(Template)]
#[template(path = "plan.html")]
struct Page {
    entries: Vec<Shown>,
    crowds: Vec<Crowd>,
    backtests: Vec<String>,
    without_rule: String,
}

struct Shown {
    title: String,
    rule: String,
    /// The first sentence.
    limit: String,
    present: String,
    why: Vec<String>,
    is_proposed: bool,
    plot: Option<Plot>,
}

struct Plot {
    frame: Frame,
    label: String,
    lines: Vec<Line>,
}

/// A limit across the plot.
struct Line {
    class: &'static str,
    y: String,
    /// Where its word stands, so that two lines that are close do not write over each other.
    word_y: String,
    word: &'static str,
}

/// The active queries of one class.
struct Crowd {
    heading: String,
    why: Vec<String>,
    plot: Option<BandPlot>,
}

/// The band of each day and the largest of it, and below that the hours of the day.
struct BandPlot {
    label: String,
    ticks: Vec<Tick>,
    band: String,
    peaks: String,
    /// The quota's height and where its word stands; none where it is not known, or far above everything.
    quota: Option<String>,
    /// The largest value of the axis.
    top: u64,
    hours: Vec<HourBar>,
}

struct HourBar {
    x: String,
    y: String,
    height: String,
    hour: u8,
    words: String,
    is_named: bool,
}

fn crowd_of(crowd: &Crowded, region: &str) -> Crowd {
    let why = match &crowd.band {
        Some(band) => crowded(&crowd.counted, band, region),
        None => vec!["None was active in that time.".to_owned()],
    };
    let plot = crowd.band.as_ref().and_then(|band| band_plot(crowd, band));
    Crowd { heading: text::heading(crowd), why, plot }
}

fn band_plot(crowd: &Crowded, band: &Band) -> Option<BandPlot> {
    let (first, last) = (band.days.first()?, band.days.last()?);
    let axis = Axis::new(first.start, last.start + 86_400);
    let quota = crowd.counted.quota.map(|quota| quota.most);
    // A quota that is far above everything would press the band to the ground; the sentences have it.
    let shown = quota.filter(|quota| *quota <= band.peak.0.saturating_mul(5));
    let top = band.peak.0.max(shown.unwrap_or(0)).max(1);
    let y = |n: u64| TOP + HEIGHT * (1.0 - n as f64 / (top as f64 * 1.05));
    let (mut upper, mut lower, mut peaks) = (String::new(), Vec::new(), String::new());
    for day in &band.days {
        let (from, to) = (axis.x(day.start), axis.x(day.start + 86_400));
        let (low, high) = day.swing.map_or((0, 0), |swing| (swing.low, swing.high));
        let word = if upper.is_empty() { 'M' } else { 'L' };
        // Writing to a string does not fail.
        let _ = write!(upper, "{word}{from:.1} {:.1}H{to:.1}", y(high));
        lower.push(format!("L{to:.1} {:.1}H{from:.1}", y(low)));
        let _ = write!(peaks, "M{from:.1} {:.1}H{to:.1}", y(day.peak));
    }
    lower.reverse();
    let highest = band.hours.iter().copied().max().unwrap_or(0).max(1) as f64;
    let hours = (0u8..).zip(band.hours).map(|(hour, most)| {
        let height = 60.0 * most as f64 / highest;
        HourBar {
            x: format!("{:.1}", LEFT + WIDTH / 24.0 * f64::from(hour) + 2.0),
            y: format!("{:.1}", 70.0 - height),
            height: format!("{height:.1}"),
            hour,
            words: format!("{hour:02}:00 UTC: {most}"),
            is_named: hour % 3 == 0,
        }
    });
    let label = format!(
        "Active {} queries by day, at most {}{}",
        crowd.counted.class.word(),
        band.peak.0,
        quota.map_or(String::new(), |quota| format!("; quota {quota}"))
    );
    Some(BandPlot {
        label,
        ticks: axis.ticks(),
        band: format!("{upper}{}Z", lower.concat()),
        peaks,
        quota: shown.map(|quota| format!("{:.1}", y(quota))),
        top,
        hours: hours.collect(),
    })
}

/// The page.
///
/// # Errors
/// None that is known of: writing to a string does not fail.
pub fn page(found: &Found) -> Result<String, askama::Error> {
    let entries: Vec<Shown> =
        found.entries.iter().enumerate().map(|(n, entry)| shown(found, entry, n < MOST_PLOTS)).collect();
    let backtests = found.replayed.iter().map(text::backtest).collect();
    let crowds = found.crowded.iter().map(|crowd| crowd_of(crowd, &found.region)).collect();
    Page { entries, crowds, backtests, without_rule: found.without_rule.join(", ") }.render()
}

fn shown(found: &Found, entry: &Entry, plotted: bool) -> Shown {
    let proposal = &entry.proposal;
    let mut why = because(proposal).into_iter();
    let (limit, present) = match &proposal.outcome {
        Ok(proposed) => {
            let present = if found.compared { beside(entry.present, proposed) } else { String::new() };
            (why.next().unwrap_or_default(), present)
        }
        Err(reason) => (format!("No proposal: {reason}."), String::new()),
    };
    let window = proposal.outcome.as_ref().ok().and_then(|proposed| proposed.window.as_ref());
    let title = match window {
        Some(window) => format!("{}, {window}", proposal.workgroup),
        None => proposal.workgroup.clone(),
    };
    let plot = if plotted { plot(found, entry) } else { None };
    let is_proposed = proposal.outcome.is_ok();
    Shown { title, rule: proposal.rule.to_string(), limit, present, why: why.collect(), is_proposed, plot }
}

fn plot(found: &Found, entry: &Entry) -> Option<Plot> {
    let proposal = &entry.proposal;
    let proposed = proposal.outcome.as_ref().ok()?;
    let window = proposed.window.as_ref()?.id();
    let replayed = found.replayed.iter().find(|replayed| replayed.workgroup == proposal.workgroup)?;
    let (_, traced) = replayed.outcome.traced.iter().find(|(scored, _)| scored.window == window)?;
    let span = replayed.outcome.span?;
    let limits = [Some(proposed.limit), entry.present];
    let highest = limits.into_iter().flatten().max().unwrap_or(Bytes::ZERO);
    let frame = Frame::new(&traced.trace, highest, span);
    let mut lines = Vec::new();
    let mut push = |class, word, limit: Bytes, dy: f64| {
        let y = frame.height_of(limit);
        lines.push(Line { class, y: format!("{y:.1}"), word_y: format!("{:.1}", y + dy), word });
    };
    match entry.present {
        Some(present) if present != proposed.limit => {
            let (up, down) = (-2.0, 11.0);
            let above = proposed.limit > present;
            push("limit", "proposed", proposed.limit, if above { up } else { down });
            push("threshold", "present", present, if above { down } else { up });
        }
        _ => push("limit", "proposed", proposed.limit, 4.0),
    }
    let units = proposed.quota.units;
    let label = format!(
        "Use of {} by windows of {window}, at most {}; proposed limit {}",
        proposal.workgroup,
        traced.trace.peak().human(units),
        proposed.limit.human(units)
    );
    Some(Plot { frame, label, lines })
}
