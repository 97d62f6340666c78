//! The report as text.

use std::fmt::{self, Write};

use anstyle::Style;
use watchdog_core::bytes::{Bytes, Units};
use watchdog_core::history::length;
use watchdog_core::review::{LimitReview, dollars};
use watchdog_core::trace::block;

use super::Report;
use crate::out::{count, moment, printable, style_of};

/// Limits with a line of blocks each, and alerts.
const MOST_LIMITS: usize = 40;
const MOST_ALERTS: usize = 40;
/// Characters of a line of blocks.
const CELLS: usize = 56;

/// The report.
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write_all(&mut out, report);
    out
}

/// The figures that a reader wants first, in a sentence each.
pub fn headline(report: &Report) -> Vec<String> {
    let review = &report.review;
    let total = review.total();
    let at_least = if total.unknown > 0 { "at least " } else { "" };
    let mut lines = vec![format!(
        "{at_least}{} scanned, at {} a TB about {at_least}{}",
        total.scanned.human(Units::Decimal),
        dollars(review.price_per_tb),
        dollars(total.usd)
    )];
    lines.push(match review.leads() {
        None => format!("alerts not known: {}", review.alerts.as_ref().err().map_or("", String::as_str)),
        Some(leads) if leads.alerts == 0 => "no alert".to_owned(),
        Some(leads) => format!("{}; {}", count(leads.alerts, "alert"), leads.words()),
    });
    let misfits = review.misfits().count();
    lines.push(match misfits {
        0 => "no limit is known not to fit".to_owned(),
        1 => "1 limit does not fit the work under it".to_owned(),
        n => format!("{n} limits do not fit the work under them"),
    });
    lines
}

/// What the report does not know, each in a sentence.
pub fn gaps(report: &Report) -> Vec<String> {
    let review = &report.review;
    let mut gaps = Vec::new();
    if let Some(why) = &review.incomplete {
        gaps.push(format!("There may be more workgroups than these: {why}."));
    }
    for workgroup in &review.workgroups {
        if let Err(why) = &workgroup.scanned {
            gaps.push(format!("The use of {} is not known: {why}.", workgroup.workgroup));
        }
    }
    if let Err(why) = &review.alerts {
        gaps.push(format!("Alerts, and how early they were told, are not known: {why}."));
    }
    gaps.extend(report.heaviest.iter().flat_map(|heaviest| heaviest.notes.iter().cloned()));
    gaps.push(
        "Limits are those of now: what a grant made of them meanwhile is left out. Cost is an estimate from what was scanned; Athena \
         counts at least 10 MB a query, and does not charge for those that fail."
            .to_owned(),
    );
    gaps
}

/// `exploratory, 1h`.
pub fn title(limit: &LimitReview) -> String {
    format!("{}, {}", limit.workgroup, limit.window)
}

/// The most that was used of a limit: `118 % of 700 GiB, 2026-02-24 14:05 UTC`.
pub fn most(report: &Report, limit: &LimitReview) -> String {
    match &limit.seen {
        Ok(Some(course)) => format!(
            "at most {} of {}, {}",
            course.peak.human(limit.units),
            limit.limit.human(limit.units),
            moment(course.peak_at, &report.zone)
        ),
        _ => format!("not known: {}", limit.why_unknown().unwrap_or_default()),
    }
}

fn write_all(out: &mut String, report: &Report) -> fmt::Result {
    let (review, bold) = (&report.review, Style::new().bold());
    let moment = |at| moment(at, &report.zone);
    let made_up = if report.is_sample { " (use that is made up)" } else { "" };
    writeln!(
        out,
        "{bold}Athena use and quotas{bold:#}{made_up}, {} to {}",
        moment(review.span.start),
        moment(review.span.end)
    )?;
    for line in headline(report) {
        writeln!(out, "  {}", printable(&line))?;
    }
    if !review.limits.is_empty() {
        writeln!(out, "\n{bold}Use against limits{bold:#}, the fullest first; the full height is the limit")?;
    }
    for limit in review.limits.iter().take(MOST_LIMITS) {
        let level = review.level_of(limit);
        let style = style_of(level);
        let percent = limit.percent().map_or("?".to_owned(), |percent| format!("{percent} %"));
        writeln!(out, "  {}: {style}{level}{style:#}, {percent}", printable(&title(limit)))?;
        if let Ok(Some(course)) = &limit.seen {
            writeln!(out, "    |{}|", blocks(report, limit.limit, course))?;
        }
        writeln!(out, "    {}", printable(&most(report, limit)))?;
    }
    if review.limits.len() > MOST_LIMITS {
        writeln!(out, "  and {} that were filled less", count(review.limits.len() - MOST_LIMITS, "limit"))?;
    }
    if let Ok(alerts) = review.alerts.as_ref().map(|alerts| alerts.iter())
        && alerts.len() > 0
    {
        writeln!(out, "\n{bold}Alerts and how early they were told{bold:#}, the newest first")?;
        let more = alerts.len().saturating_sub(MOST_ALERTS);
        for alert in alerts.take(MOST_ALERTS) {
            let episode = &alert.episode;
            let word = episode.worst().word();
            let style = style_of(word);
            let open = match episode.ended {
                Some(ended) => format!("open for {}", length(ended.duration_since(episode.opened))),
                None => "still open".to_owned(),
            };
            writeln!(
                out,
                "  {}  {}: {style}{word}{style:#}, {}; {}; {open}, {}",
                moment(episode.opened),
                printable(&alert.about()),
                alert.peak(),
                alert.early(),
                count(usize::try_from(episode.mails).unwrap_or(usize::MAX), "mail")
            )?;
        }
        if more > 0 {
            writeln!(out, "  and {more} that opened before")?;
        }
    }
    write_heaviest(out, report)?;
    let misfits: Vec<_> = review.misfits().collect();
    if !misfits.is_empty() {
        writeln!(out, "\n{bold}Limits that do not fit{bold:#}")?;
    }
    for (limit, misfit) in misfits {
        writeln!(out, "  {}: {}", printable(&title(limit)), misfit.words(limit.units))?;
    }
    write_costs(out, report)?;
    writeln!(out, "\n{bold}What this leaves out{bold:#}")?;
    for gap in gaps(report) {
        writeln!(out, "  {}", printable(&gap))?;
    }
    Ok(())
}

/// The fullest that the window was in each stretch.
fn blocks(report: &Report, limit: Bytes, course: &watchdog_core::review::Course) -> String {
    let span = report.review.span;
    let (start, end) = (span.start.as_second(), span.end.as_second());
    let mut cells: Vec<Option<Bytes>> = vec![None; CELLS];
    for (at, used) in course.trace.points() {
        let cell = (at - start - 1).max(0) * i64::try_from(CELLS).unwrap_or(1) / (end - start).max(1);
        if let Some(cell) = usize::try_from(cell).ok().and_then(|cell| cells.get_mut(cell)) {
            *cell = (*cell).max(Some(used));
        }
    }
    cells.into_iter().map(|used| used.map_or('?', |used| block(used, limit))).collect()
}

fn write_heaviest(out: &mut String, report: &Report) -> fmt::Result {
    let Some(heaviest) = &report.heaviest else { return Ok(()) };
    let bold = Style::new().bold();
    if !heaviest.people.is_empty() {
        writeln!(
            out,
            "\n{bold}Who used most{bold:#}, of {} in the queries that were read",
            heaviest.known.human(Units::Decimal)
        )?;
    }
    for person in &heaviest.people {
        writeln!(
            out,
            "  {:>9}  {:>3} %  {:>5} queries  {}",
            person.bytes.human(Units::Decimal),
            person.percent,
            person.queries,
            printable(&person.who)
        )?;
    }
    if !heaviest.queries.is_empty() {
        writeln!(out, "\n{bold}The heaviest queries{bold:#}")?;
    }
    for query in &heaviest.queries {
        let ended = query.ended.map_or_else(|| "?".to_owned(), |at| moment(at, &report.zone));
        writeln!(
            out,
            "  {:>9}  {}  {}  {}, {ended}, {}",
            query.scanned.human(Units::Decimal),
            printable(&query.id),
            printable(&query.workgroup),
            query.state,
            printable(&query.who)
        )?;
    }
    Ok(())
}

fn write_costs(out: &mut String, report: &Report) -> fmt::Result {
    let (review, bold) = (&report.review, Style::new().bold());
    writeln!(out, "\n{bold}Cost{bold:#}, at {} for 10^12 bytes", dollars(review.price_per_tb))?;
    for workgroup in &review.workgroups {
        let (scanned, usd) = match &workgroup.scanned {
            Ok(scanned) => (scanned.human(Units::Decimal), dollars(review.usd(*scanned))),
            Err(_) => ("not known".to_owned(), "?".to_owned()),
        };
        writeln!(out, "  {scanned:>9}  {usd:>15}  {}", printable(&workgroup.workgroup))?;
    }
    let total = review.total();
    let sum = if total.unknown > 0 { "together, at least" } else { "together" };
    writeln!(out, "  {:>9}  {:>15}  {sum}", total.scanned.human(Units::Decimal), dollars(total.usd))
}
