//! A dry run in words: what was found, and who would be sent what, and why.

use std::fmt::{self, Write};

use anstyle::Style;
use jiff::tz::TimeZone;
use watchdog_core::mail::Mail;
use watchdog_core::report::{MailReport, RunReport};

use crate::out::{count, moment, printable, style_of};

/// All that is told.
pub struct Story<'a> {
    /// The run's report.
    pub report: &'a RunReport,
    /// The mails of `report.would_send`, in its order.
    pub mails: &'a [Mail],
    /// The state table, where one was read.
    pub table: Option<&'a str>,
}

/// Tells it, with each mail's text where `show_mails`.
pub fn text(story: &Story<'_>, show_mails: bool) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write(&mut out, story, show_mails);
    out
}

fn write(out: &mut String, story: &Story<'_>, show_mails: bool) -> fmt::Result {
    let (report, bold) = (story.report, Style::new().bold());
    let as_of = moment(report.as_of, &TimeZone::UTC);
    writeln!(out, "{bold}Dry run{bold:#} as of {as_of}: nothing is sent, nothing is written")?;
    match story.table {
        Some(table) => writeln!(out, "memory  {}: this is what the next run would send", printable(table))?,
        None => writeln!(
            out,
            "memory  none, so this is as if nobody had been told anything yet (give `--state-table NAME`)"
        )?,
    }
    if let Some(policy) = &report.policy {
        let names: Vec<_> = policy.documents.iter().map(|name| printable(name)).collect();
        writeln!(out, "policy  {}", names.join(", "))?;
        if policy.standing != "current" {
            writeln!(out, "        the last valid one, because the current one has problems:")?;
            for problem in &policy.problems {
                writeln!(out, "        {}", printable(problem))?;
            }
        }
    }
    if let Some(skipped) = &report.skipped {
        return writeln!(out, "\nNothing was judged: {}", printable(skipped));
    }
    write_limits(out, report)?;
    for unseen in report.unseen.iter().filter(|unseen| !report.limits.iter().any(|l| l.workgroup == unseen.workgroup)) {
        let style = style_of("unknown");
        writeln!(out, "{style}unknown{style:#}    {}: {}", printable(&unseen.workgroup), printable(&unseen.reason))?;
    }
    if !report.uncovered.is_empty() {
        let names: Vec<_> = report.uncovered.iter().map(|name| printable(name)).collect();
        writeln!(out, "\nWatched by no rule: {}", names.join(", "))?;
    }
    match report.would_send.len() {
        0 => writeln!(out, "\n{bold}Would send no mail{bold:#}")?,
        n => writeln!(out, "\n{bold}Would send {}{bold:#}", count(n, "mail"))?,
    }
    for (entry, mail) in report.would_send.iter().zip(story.mails) {
        write_mail(out, entry, mail, show_mails)?;
    }
    Ok(())
}

fn write_limits(out: &mut String, report: &RunReport) -> fmt::Result {
    let bytes = report.limits.iter().map(|l| (l.level, printable(&l.workgroup), l.window.clone(), &l.reason));
    let queries = report.query_limits.iter().map(|limit| {
        let (workgroup, window) = match (&limit.workgroup, limit.class) {
            (Some(workgroup), _) => (printable(workgroup), "waiting".to_owned()),
            (None, class) => ("(account)".into(), format!("active {}", class.unwrap_or_default())),
        };
        (limit.level, workgroup, window, &limit.reason)
    });
    let limits: Vec<_> = bytes.chain(queries).collect();
    let name = limits.iter().map(|(_, workgroup, ..)| workgroup.chars().count()).max().unwrap_or(0);
    let window = limits.iter().map(|(_, _, window, _)| window.chars().count()).max().unwrap_or(0);
    writeln!(out)?;
    if report.limits.is_empty() {
        writeln!(out, "No workgroup has a limit.")?;
    }
    for (level, workgroup, of, reason) in limits {
        let style = style_of(level);
        let gap = " ".repeat(9usize.saturating_sub(level.len()));
        writeln!(out, "{style}{}{style:#}{gap}  {:name$}  {:window$}  {}", level, workgroup, of, printable(reason))?;
    }
    Ok(())
}

fn write_mail(out: &mut String, entry: &MailReport, mail: &Mail, show_text: bool) -> fmt::Result {
    writeln!(out, "\n  to       {}", printable(&entry.to))?;
    writeln!(out, "  subject  {}", printable(&mail.subject))?;
    for (i, why) in entry.why.iter().enumerate() {
        let label = if i == 0 { "because" } else { "" };
        writeln!(out, "  {label:7}  {} {}: {}", printable(&why.alert), why.reason, why.level)?;
    }
    if show_text {
        writeln!(out)?;
        for line in mail.text.lines() {
            // A margin, so that where one mail ends is seen.
            writeln!(out, "{}", format!("  | {}", printable(line)).trim_end())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
