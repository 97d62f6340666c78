//! The figures of a back-test, for people and for scripts.

use std::fmt::{self, Write};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use watchdog_core::backtest::Delays;
use watchdog_core::cost::Prices;
use watchdog_core::score::Score;

use super::replays::Outcome;
use crate::out::{count, moment};

/// The rules that are compared, in the order of the policies.
const RULES: [&str; 2] = ["policy", "static 80 %"];

/// The answer of `backtest --json`.
#[derive(Debug, Serialize)]
pub struct Answer<'a> {
    rows: u64,
    workgroups: usize,
    uncovered: Vec<&'a str>,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    /// `null` for a log of queries.
    step_seconds: Option<i64>,
    every_seconds: i64,
    notifications: usize,
    windows: Vec<WindowAnswer<'a>>,
    mails: Vec<MailsAnswer>,
    /// Where the policy has an economy.
    #[serde(skip_serializing_if = "Option::is_none")]
    economy: Option<EconomyAnswer>,
}

#[derive(Debug, Serialize)]
struct EconomyAnswer {
    /// Metrics asked for, one for each workgroup and run.
    metrics: u64,
    metrics_without: u64,
    asked_percent: f64,
    saved_usd: f64,
    delays: Delays,
}

#[derive(Debug, Serialize)]
struct WindowAnswer<'a> {
    window: &'a str,
    rule: &'static str,
    #[serde(flatten)]
    score: Score,
}

#[derive(Debug, Serialize)]
struct MailsAnswer {
    rule: &'static str,
    mails: usize,
    mails_per_day: f64,
}

/// The answer as JSON.
pub fn answer(outcome: &Outcome) -> Answer<'_> {
    Answer {
        rows: outcome.rows,
        workgroups: outcome.workgroups,
        uncovered: outcome.uncovered.iter().map(String::as_str).collect(),
        from: outcome.span.map(|(from, _)| from),
        until: outcome.span.map(|(_, until)| until),
        step_seconds: Some(outcome.step).filter(|step| *step > 0),
        every_seconds: outcome.every,
        notifications: outcome.notifications.len(),
        windows: scores(outcome).map(|(window, rule, score)| WindowAnswer { window, rule, score }).collect(),
        mails: RULES
            .iter()
            .zip(&outcome.mails)
            .map(|(rule, mails)| MailsAnswer { rule, mails: *mails, mails_per_day: a_day(outcome, *mails) })
            .collect(),
        economy: economy(outcome),
    }
}

fn economy(outcome: &Outcome) -> Option<EconomyAnswer> {
    let saved = outcome.saved?;
    let (metrics, without) = (saved.asked.asked, saved.asked.looks);
    Some(EconomyAnswer {
        metrics,
        metrics_without: without,
        asked_percent: metrics as f64 / without.max(1) as f64 * 100.0,
        saved_usd: (without - metrics) as f64 / 1000.0 * Prices::default().metrics_1000,
        delays: saved.delays,
    })
}

fn scores(outcome: &Outcome) -> impl Iterator<Item = (&str, &'static str, Score)> {
    outcome.tallies.iter().flat_map(|((seconds, window), tallies)| {
        RULES.iter().zip(tallies).map(move |(rule, tally)| (window.as_str(), *rule, tally.score(*seconds)))
    })
}

fn a_day(outcome: &Outcome, n: usize) -> f64 {
    days(outcome).map_or(0.0, |days| n as f64 / days)
}

fn days(outcome: &Outcome) -> Option<f64> {
    let (from, until) = outcome.span?;
    Some(until.duration_since(from).as_secs_f64() / 86_400.0).filter(|days| *days > 0.0)
}

/// The answer in words and figures.
pub fn text(outcome: &Outcome) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write(&mut out, outcome);
    out
}

fn write(out: &mut String, outcome: &Outcome) -> fmt::Result {
    let Some((from, until)) = outcome.span else { return Ok(()) };
    let (from, until) = (moment(from, &TimeZone::UTC), moment(until, &TimeZone::UTC));
    writeln!(out, "{} from {from} to {until}", count(outcome.workgroups, "workgroup"))?;
    write!(out, "one run every {} min", outcome.every as f64 / 60.0)?;
    match outcome.step {
        0 => writeln!(out, "; bytes come in when a query ends\n")?,
        step => writeln!(out, "; a row stands for {} min\n", step as f64 / 60.0)?,
    }
    let rows = rows(outcome);
    for row in &rows {
        let mut line = String::new();
        for (n, cell) in row.iter().enumerate() {
            let width = rows.iter().map(|row| row[n].chars().count()).max().unwrap_or(0);
            if n < 2 { write!(line, "{cell:width$}  ")? } else { write!(line, "{cell:>width$}  ")? }
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    writeln!(out)?;
    for line in mails(outcome) {
        writeln!(out, "{line}")?;
    }
    match economy(outcome) {
        Some(economy) => write_economy(out, &economy, outcome),
        None => Ok(()),
    }
}

fn write_economy(out: &mut String, economy: &EconomyAnswer, outcome: &Outcome) -> fmt::Result {
    let EconomyAnswer { metrics, metrics_without, asked_percent, saved_usd, delays } = economy;
    writeln!(out, "\neconomy: {metrics} metrics asked for instead of {metrics_without}, {asked_percent:.0} %")?;
    let a_month = days(outcome).map_or(0.0, |days| saved_usd / days * 30.0);
    writeln!(out, "         saves ${saved_usd:.2}, in a month ${a_month:.2}")?;
    writeln!(
        out,
        "         alerts and escalations: {} told, {} at once, {} later, by {} min at most",
        delays.told,
        delays.at_once,
        delays.later,
        delays.longest_seconds / 60
    )?;
    if delays.passed > 0 {
        writeln!(out, "         {} had passed before anybody asked: they were forecasts alone", delays.passed)?;
    }
    if delays.never > 0 {
        writeln!(out, "         {} never told", delays.never)?;
    }
    Ok(())
}

/// Each rule's mails, in a line.
pub fn mails(outcome: &Outcome) -> Vec<String> {
    let lines = RULES.iter().zip(&outcome.mails);
    lines.map(|(rule, n)| format!("{rule}: {}, {:.2} a day", count(*n, "mail"), a_day(outcome, *n))).collect()
}

/// The figures by window and rule, their heads first.
pub fn rows(outcome: &Outcome) -> Vec<[String; 12]> {
    let head = [
        "window",
        "rule",
        "reached",
        "recall 5",
        "15",
        "30",
        "60 min",
        "median lead",
        "alerts",
        "false/day",
        "open",
        "needless h/day",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    for (window, rule, score) in scores(outcome) {
        let percent = |share: Option<f64>| share.map_or("-".to_owned(), |share| format!("{:.1} %", share * 100.0));
        let recall = |minutes| percent(score.recall.iter().find(|r| r.minutes == minutes).and_then(|r| r.recall));
        let number = |n: Option<f64>| n.map_or("-".to_owned(), |n| format!("{n:.2}"));
        rows.push([
            window.to_owned(),
            rule.to_owned(),
            score.episodes.to_string(),
            recall(5),
            recall(15),
            recall(30),
            recall(60),
            score.median_lead_minutes.map_or("-".to_owned(), |minutes| format!("{minutes:.0} min")),
            score.alerts.to_string(),
            number(score.false_alarms_per_day),
            percent(score.open_share),
            number(score.needless_hours_per_day),
        ]);
    }
    rows
}
