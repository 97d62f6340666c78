//! A plan as one page without script and without anything from elsewhere: the evidence, and a plot of each limit.

use askama::Template;
use watchdog_core::bytes::Bytes;
use watchdog_core::proposal::words::{because, beside};

use super::{Entry, Found, text};
use crate::backtest::page::{Frame, frame};

/// The most plots on a page, as of a back-test.
const MOST_PLOTS: usize = 24;

#[derive(Template)]
#[template(path = "plan.html")]
struct Page {
    entries: Vec<Shown>,
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

/// The page.
///
/// # Errors
/// None that is known of: writing to a string does not fail.
pub fn page(found: &Found) -> Result<String, askama::Error> {
    let entries: Vec<Shown> =
        found.entries.iter().enumerate().map(|(n, entry)| shown(found, entry, n < MOST_PLOTS)).collect();
    let backtests = found.replayed.iter().map(text::backtest).collect();
    Page { entries, backtests, without_rule: found.without_rule.join(", ") }.render()
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
    let (from, until) = replayed.outcome.span?;
    let limits = [Some(proposed.limit), entry.present];
    let highest = limits.into_iter().flatten().max().unwrap_or(Bytes::ZERO);
    let frame = frame(&traced.trace, highest, (from, until));
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
            push("level", "present", present, if above { down } else { up });
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
