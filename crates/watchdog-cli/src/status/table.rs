//! The table of limits for people: wide or narrow, with colour or without.
//!
//! Every function here turns values into text; what cannot show colours has them taken out later. Widths are counted
//! before styles are put on.

use std::fmt::{self, Write};

use anstyle::Style;
use watchdog_core::bytes::{Bytes, Units};
use watchdog_core::percent::whole_percent;
use watchdog_core::usage::Unknown;
use watchdog_core::verdict::{Detail, Findings, Pressure, QueryVerdict, Verdict, waited};

use super::{Enforced, Status, bar::bar};
use crate::out::{Page, count, moment, printable, style_of, write_prose};

/// Characters of a bar: the most that help the eye, what a mail has, and the least that shows something.
const BAR: (usize, usize, usize) = (40, 20, 6);
/// Characters of the line of blocks, and the bar that must be left beside it.
const SPARK: (usize, usize) = (16, 12);
/// Between two columns.
const GAP: usize = 2;

/// Running queries that are shown of a workgroup.
const MOST_RUNNING: usize = 5;

/// One limit, as texts.
struct Row {
    level: &'static str,
    /// What the bar shows: the use and the limit, where both are known.
    measure: Option<(Bytes, Bytes)>,
    workgroup: String,
    window: String,
    used: String,
    limit: String,
    /// `96 %`; empty where the use is not known.
    percent: String,
    /// `28 GB left`, `3 GB over`, or why the use is not known.
    rest: String,
    is_worst: bool,
    /// How the window has filled, a block each time; empty where that is not known, or cannot be shown.
    spark: String,
}

/// Everything, as one text.
pub(super) fn text(status: &Status<'_>, page: Page) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write_all(&mut out, status, page);
    out
}

fn write_all(out: &mut String, status: &Status<'_>, page: Page) -> fmt::Result {
    let bold = Style::new().bold();
    let region = if status.region.is_empty() { String::new() } else { format!(" in {}", status.region) };
    let as_of = moment(status.as_of, &status.policy.mail.zone);
    write_prose(out, "", &format!("{bold}Athena quotas{bold:#}{region} as of {as_of}"), page)?;
    writeln!(out, "policy {}\n", printable(status.policy_place))?;
    let rows = rows(status.findings);
    if rows.is_empty() {
        writeln!(out, "The policy sets no limit for any workgroup that exists.")?;
    } else {
        match Columns::fitting(&rows, page) {
            Some(columns) => columns.write(out, &rows, page)?,
            None => write_narrow(out, &rows, page)?,
        }
        writeln!(out, "\n{}", tally(&rows))?;
    }
    write_promises(out, status, page)?;
    write_running(out, status, page)?;
    write_cutoffs(out, status, page)?;
    write_unseen(out, status, page)?;
    if !status.findings.uncovered.is_empty() {
        let names: Vec<_> = status.findings.uncovered.iter().map(|name| printable(name)).collect();
        writeln!(out, "\n{bold}Watched by no rule{bold:#}")?;
        write_prose(out, "  ", &names.join(", "), page)?;
    }
    Ok(())
}

fn rows(findings: &Findings<'_>) -> Vec<Row> {
    let mut rows: Vec<Row> = findings.verdicts.iter().map(of_bytes).collect();
    rows.extend(findings.queries.iter().map(of_queries));
    // By level, then by share; nothing is marked where all is well.
    let rank = |row: &Row| {
        let level = ["warn", "critical", "exhausted"].iter().position(|word| *word == row.level)?;
        Some((level, row.measure.map(|(used, limit)| whole_percent(used, limit))))
    };
    let worst = rows.iter().filter_map(rank).max();
    if let Some(worst) = rows.iter_mut().find(|row| worst.is_some() && rank(row) == worst) {
        worst.is_worst = true;
    }
    rows
}

fn of_bytes(verdict: &Verdict<'_>) -> Row {
    let (limit, units) = (verdict.limit.bytes, verdict.limit.units);
    let mut row = Row {
        level: verdict.level_word(),
        measure: verdict.used().map(|used| (used, limit)),
        workgroup: printable(&verdict.workgroup).into_owned(),
        window: verdict.limit.window.id(),
        used: "?".to_owned(),
        limit: limit.human(units),
        percent: String::new(),
        rest: printable(&verdict.reason()).into_owned(),
        is_worst: false,
        spark: verdict.trail.blocks(limit, i64::try_from(SPARK.0).unwrap_or(0)),
    };
    if let Some(used) = verdict.used() {
        row.used = used.human(units);
        row.percent = percent(whole_percent(used, limit));
        row.rest = if used > limit {
            format!("{} over", used.saturating_sub(limit).human(units))
        } else {
            format!("{} left", limit.saturating_sub(used).human(units))
        };
    }
    row
}

fn of_queries(verdict: &QueryVerdict<'_>) -> Row {
    let (workgroup, window, show): (_, _, fn(u64) -> String) = match &verdict.pressure {
        Pressure::Active(class) => ("(account)".to_owned(), format!("active {}", class.word()), |n| n.to_string()),
        Pressure::Waiting { workgroup } => (printable(workgroup).into_owned(), "waiting".to_owned(), waited),
    };
    let mut row = Row {
        level: verdict.level_word(),
        measure: None,
        workgroup,
        window,
        used: "?".to_owned(),
        limit: verdict.limit().map_or("?".to_owned(), show),
        percent: String::new(),
        rest: printable(&verdict.reason()).into_owned(),
        is_worst: false,
        spark: String::new(),
    };
    let Ok(strain) = &verdict.finding else { return row };
    row.used = show(strain.used);
    // Nobody asked for the quota of what nobody uses.
    let Some(limit) = strain.limit else {
        row.limit = "-".to_owned();
        return row;
    };
    row.limit = show(limit);
    row.measure = Some((Bytes::new(strain.used), Bytes::new(limit)));
    row.percent = percent(strain.percent().unwrap_or(0));
    let (over, left) = (strain.used.saturating_sub(limit), limit.saturating_sub(strain.used));
    row.rest = match &verdict.pressure {
        _ if over > 0 => format!("{} over", show(over)),
        Pressure::Active(_) => format!("{left} left{}", quota_age(verdict, &strain.detail)),
        Pressure::Waiting { .. } => format!("{} left", show(left)),
    };
    row
}

/// How old the quota is, where it is not from just now.
fn quota_age(verdict: &QueryVerdict<'_>, detail: &Detail) -> String {
    let Detail::Active { quota: Some(quota), .. } = detail else { return String::new() };
    match verdict.as_of.duration_since(quota.read).as_mins() {
        ..1 => String::new(),
        minutes => format!(", quota read {minutes} min ago"),
    }
}

impl Row {
    /// The level's word in its style, padded to `width`.
    fn level(&self, width: usize) -> String {
        let word = self.level;
        let style = style_of(word);
        format!("{style}{word}{style:#}{}", " ".repeat(width.saturating_sub(word.len())))
    }

    fn mark(&self) -> &'static str {
        if self.is_worst { ">" } else { " " }
    }

    /// The bar, or nothing where the use is not known: an empty bar would say that nothing is used.
    fn bar(&self, cells: usize, page: Page) -> Option<String> {
        let (used, limit) = self.measure?;
        Some(bar(used, limit, cells, page.blocks, style_of(self.level)))
    }
}

/// The widths of a table with one line per limit.
struct Columns {
    workgroup: usize,
    window: usize,
    level: usize,
    used: usize,
    limit: usize,
    cells: usize,
    percent: usize,
    /// Characters of the line of blocks; zero where there is no room for it, or no way to show it.
    spark: usize,
    /// Characters of the widest rest beside a bar.
    rest: usize,
}

impl Columns {
    /// The widest that fits the page; `None` where not even short bars do.
    fn fitting(rows: &[Row], page: Page) -> Option<Self> {
        let width = |heading: &str, cell| widest(rows, cell).max(heading.len());
        let known = rows.iter().filter(|row| row.measure.is_some());
        let rest = known.map(|row| row.rest.chars().count()).max().unwrap_or(0);
        let mut columns = Self {
            workgroup: width("WORKGROUP", |row| &row.workgroup),
            window: width("WINDOW", |row| &row.window),
            level: width("LEVEL", |row| row.level),
            used: width("USED", |row| &row.used),
            limit: width("LIMIT", |row| &row.limit),
            cells: 0,
            percent: width("", |row| &row.percent),
            spark: 0,
            rest,
        };
        let brackets = if page.blocks { 0 } else { 2 };
        let others = columns.before_bar() + brackets + GAP + columns.percent + GAP + rest;
        let (most, usual, least) = BAR;
        columns.cells = match page.width {
            None => usual,
            Some(width) => {
                let room = width.checked_sub(others).filter(|cells| *cells >= least)?;
                let (spark, beside) = SPARK;
                // Narrower, the bar says more.
                if page.blocks && room >= spark + GAP + beside && rows.iter().any(|row| !row.spark.is_empty()) {
                    columns.spark = spark;
                    (room - spark - GAP).min(most)
                } else {
                    room.min(most)
                }
            }
        };
        Some(columns)
    }

    /// Characters up to the bar.
    fn before_bar(&self) -> usize {
        2 + self.workgroup + GAP + self.window + GAP + self.level + GAP + self.used + GAP + self.limit + GAP
    }

    fn write(&self, out: &mut String, rows: &[Row], page: Page) -> fmt::Result {
        let Self { workgroup, window, level, used, limit, cells, percent, spark, rest } = *self;
        let dim = Style::new().dimmed();
        writeln!(
            out,
            "{dim}  {:workgroup$}  {:window$}  {:level$}  {:>used$}  {:>limit$}  {}{dim:#}",
            "WORKGROUP",
            "WINDOW",
            "LEVEL",
            "USED",
            "LIMIT",
            match spark {
                0 => "HEADROOM".to_owned(),
                _ => format!("{:width$}  SO FAR", "HEADROOM", width = cells + GAP + percent + GAP + rest),
            }
        )?;
        for row in rows {
            let word = row.level(level);
            write!(
                out,
                "{} {:workgroup$}  {:window$}  {word}  {:>used$}  {:>limit$}  ",
                row.mark(),
                row.workgroup,
                row.window,
                row.used,
                row.limit
            )?;
            match row.bar(cells, page) {
                Some(bar) if spark > 0 && !row.spark.is_empty() => {
                    let style = style_of(row.level);
                    writeln!(
                        out,
                        "{bar}  {:>percent$}  {:rest$}  {style}{}{style:#}",
                        row.percent, row.rest, row.spark
                    )?;
                }
                Some(bar) => writeln!(out, "{bar}  {:>percent$}  {}", row.percent, row.rest)?,
                None => writeln!(out, "{}", row.rest)?,
            }
        }
        Ok(())
    }
}

/// The width of a column's widest cell.
fn widest(rows: &[Row], cell: for<'r> fn(&'r Row) -> &'r str) -> usize {
    rows.iter().map(|row| cell(row).chars().count()).max().unwrap_or(0)
}

/// Three lines per limit, none longer than it must be.
fn write_narrow(out: &mut String, rows: &[Row], page: Page) -> fmt::Result {
    let bold = Style::new().bold();
    let cells = page.width.map_or(BAR.1, |width| width.saturating_sub(10).clamp(BAR.2, BAR.1));
    for (i, row) in rows.iter().enumerate() {
        if i > 0 {
            writeln!(out)?;
        }
        let mut title = String::new();
        write_prose(
            &mut title,
            "  ",
            &format!("{bold}{}{bold:#} {} {}", row.workgroup, row.window, row.level(0)),
            page,
        )?;
        title.replace_range(..1, row.mark());
        out.push_str(&title);
        match row.bar(cells, page) {
            Some(bar) => {
                writeln!(out, "  {bar} {:>4}", row.percent)?;
                writeln!(out, "  {} of {}, {}", row.used, row.limit, row.rest)?;
            }
            // A limit that nobody knows or asked for is no limit to name.
            None if ["?", "-"].contains(&row.limit.as_str()) => write_prose(out, "  ", &row.rest, page)?,
            None => write_prose(out, "  ", &format!("of {}: {}", row.limit, row.rest), page)?,
        }
    }
    Ok(())
}

/// `7 limits: 1 critical, 2 unknown, 4 ok`, the worst first.
fn tally(rows: &[Row]) -> String {
    let words = ["exhausted", "critical", "warn", "unknown", "ok"];
    let counts = words.map(|word| (word, rows.iter().filter(|row| row.level == word).count()));
    let counts = counts.iter().filter(|(_, n)| *n > 0).map(|(word, n)| {
        let style = style_of(word);
        format!("{n} {style}{word}{style:#}")
    });
    format!("{}: {}", count(rows.len(), "limit"), counts.collect::<Vec<_>>().join(", "))
}

/// Grants that stand or wait, and silences.
fn write_promises(out: &mut String, status: &Status<'_>, page: Page) -> fmt::Result {
    let (bold, zone) = (Style::new().bold(), &status.policy.mail.zone);
    if !status.promises.grants.is_empty() {
        writeln!(out, "\n{bold}Grants{bold:#}")?;
    }
    for grant in &status.promises.grants {
        let size = |bytes: u64| {
            let units = if bytes.is_multiple_of(1_000_000) { Units::Decimal } else { Units::Binary };
            Bytes::new(bytes).human(units)
        };
        let limit =
            grant.limit_bytes.zip(grant.window.as_ref()).map(|(bytes, window)| format!("{} for {window}", size(bytes)));
        let cutoff = grant.per_query_bytes.map(|bytes| format!("{} a query", size(bytes)));
        let raised: Vec<String> = limit.into_iter().chain(cutoff).collect();
        let line = format!(
            "{}: {}, {} until {}, by {}: {}",
            grant.workgroup,
            raised.join(" and "),
            grant.phase,
            moment(grant.until, zone),
            grant.by,
            grant.reason
        );
        write_prose(out, "  ", &printable(&line), page)?;
    }
    if !status.promises.silences.is_empty() {
        writeln!(out, "\n{bold}Silenced{bold:#}, nobody is mailed about")?;
    }
    for silence in &status.promises.silences {
        let alert = silence.alert.strip_prefix("limit/").unwrap_or(&silence.alert);
        let line = format!("{alert} until {}, by {}: {}", moment(silence.until, zone), silence.by, silence.reason);
        write_prose(out, "  ", &printable(&line), page)?;
    }
    Ok(())
}

/// The queries that run in workgroups that were asked, the largest first.
fn write_running(out: &mut String, status: &Status<'_>, page: Page) -> fmt::Result {
    let mut named: Option<&str> = None;
    let bold = Style::new().bold();
    for verdict in &status.findings.verdicts {
        let running = verdict.in_flight.as_deref().unwrap_or_default();
        // Once for a workgroup, however many limits it has.
        if running.is_empty() || named == Some(verdict.workgroup.as_str()) {
            continue;
        }
        if named.is_none() {
            writeln!(out, "\n{bold}Running now{bold:#}, not counted above")?;
        }
        named = Some(&verdict.workgroup);
        let units = verdict.limit.units;
        let all = match verdict.in_flight_bytes() {
            Some(bytes) => format!("{} so far", bytes.human(units)),
            None if verdict.may_be_more => "and there may be more: not all could be read".to_owned(),
            None => "Athena does not say what each has scanned so far".to_owned(),
        };
        let workgroup = printable(&verdict.workgroup);
        write_prose(out, "  ", &format!("{workgroup}: {}, {all}", queries(running.len())), page)?;
        for query in running.iter().take(MOST_RUNNING) {
            let minutes = status.as_of.duration_since(query.started).as_mins().max(0);
            let scanned = query.scanned.map_or("?".to_owned(), |bytes| bytes.human(units));
            let rate = query.rate(status.as_of).map(|rate| format!(", {} a second", rate.human(units)));
            let line = format!("{} for {minutes} min: {scanned}{}", printable(&query.id), rate.unwrap_or_default());
            write_prose(out, "    ", &line, page)?;
        }
        if running.len() > MOST_RUNNING {
            writeln!(out, "    and {} more", running.len() - MOST_RUNNING)?;
        }
    }
    Ok(())
}

fn queries(n: usize) -> String {
    if n == 1 { "1 query".to_owned() } else { format!("{n} queries") }
}

fn write_cutoffs(out: &mut String, status: &Status<'_>, page: Page) -> fmt::Result {
    let cutoffs = status.cutoffs();
    if cutoffs.is_empty() {
        return Ok(());
    }
    let bold = Style::new().bold();
    let width = cutoffs.iter().map(|cutoff| cutoff.workgroup.chars().count()).max().unwrap_or(0);
    writeln!(out, "\n{bold}Per-query cutoffs{bold:#}")?;
    for cutoff in cutoffs {
        let units = cutoff.rule.per_query_cutoff.map_or_else(Default::default, |size| size.units);
        let mut line = format!("{:width$}  {} a query", printable(cutoff.workgroup), cutoff.bytes.human(units));
        let style = style_of("warn");
        line.push_str(&match cutoff.enforced {
            Enforced::Same => ", enforced by Athena".to_owned(),
            Enforced::Unknown => " in the policy".to_owned(),
            Enforced::Differs(Some(other)) => {
                format!(" in the policy, {style}but Athena enforces {}{style:#}", other.human(units))
            }
            Enforced::Differs(None) => format!(" in the policy, {style}but Athena enforces none{style:#}"),
        });
        if cutoff.rule.limits.is_empty() && cutoff.rule.waiting.is_none() {
            line.push_str(", no other limit");
        }
        if cutoff.unseen.is_some() {
            let style = style_of("unknown");
            line.push_str(&format!("; {style}unknown{style:#}, see below"));
        }
        write_prose(out, "  ", &line, page)?;
    }
    Ok(())
}

/// What could not be seen, each cause with what would mend it.
fn write_unseen(out: &mut String, status: &Status<'_>, page: Page) -> fmt::Result {
    let (unseen, incomplete) = (&status.findings.unseen, status.incomplete);
    // A workgroup that cannot be seen is said once.
    let is_said = |pressure: &Pressure| matches!(pressure, Pressure::Waiting { workgroup } if unseen.iter().any(|(name, _)| name == workgroup));
    let queries = status.findings.queries.iter().filter(|verdict| !is_said(&verdict.pressure));
    let queries: Vec<_> = queries.filter_map(|v| Some((&v.pressure, v.finding.as_ref().err()?))).collect();
    if unseen.is_empty() && queries.is_empty() && incomplete.is_none() {
        return Ok(());
    }
    let style = style_of("unknown").bold();
    writeln!(out, "\n{style}Cannot see{style:#}")?;
    if let Some(why) = incomplete {
        let what = "the list of workgroups, so there may be more than these";
        write_prose(out, "  ", &format!("{what}: {}", printable(&why.to_string())), page)?;
        write_remedies(out, why, &[], page)?;
    }
    // By cause: one that hits every workgroup is said once.
    let mut causes: Vec<(&Unknown, Vec<&str>)> = Vec::new();
    for (workgroup, why) in unseen {
        match causes.iter_mut().find(|(other, _)| *other == why) {
            Some((_, names)) => names.push(workgroup),
            None => causes.push((why, vec![workgroup])),
        }
    }
    for (why, names) in causes {
        let list: Vec<_> = names.iter().map(|name| printable(name)).collect();
        write_prose(out, "  ", &format!("{}: {}", list.join(", "), printable(&why.to_string())), page)?;
        write_remedies(out, why, &names, page)?;
    }
    for (pressure, why) in queries {
        let what = match pressure {
            Pressure::Active(class) => format!("active {} queries", class.word()),
            Pressure::Waiting { workgroup } => format!("waiting in {}", printable(workgroup)),
        };
        write_prose(out, "  ", &format!("{what}: {}", printable(&why.to_string())), page)?;
        write_remedies(out, why, &[], page)?;
    }
    Ok(())
}

/// One a line, and commands never broken: they are to be pasted.
fn write_remedies(out: &mut String, why: &Unknown, workgroups: &[&str], page: Page) -> fmt::Result {
    // The core speaks of the function's role; here it is a person who may not.
    if let Unknown::Denied { operation } = why {
        return write_prose(out, "    ", &format!("Allow `{operation}` to the credentials in use."), page);
    }
    for remedy in workgroups.iter().filter_map(|workgroup| why.remedy(workgroup)) {
        writeln!(out, "    {}", printable(&remedy))?;
    }
    Ok(())
}

/// `96 %`; a share that no column is made for is only said to be large.
fn percent(percent: u64) -> String {
    if percent > 9999 { "> 9999 %".to_owned() } else { format!("{percent} %") }
}
