//! The table of people for people.

use std::fmt::{self, Write};

use anstyle::Style;
use watchdog_core::bytes::Units;
use watchdog_core::people::Party;
use watchdog_core::policy::MailRules;

use super::Who;
use crate::out::{Page, moment, printable};

/// Characters of a name in its column; longer ones push what follows to the right, and are still there in full.
const LONGEST_NAME: usize = 48;

/// One party, as texts.
struct Row {
    share: String,
    bytes: String,
    queries: String,
    who: String,
    how: String,
}

/// Everything, as one text.
pub(super) fn text(who: &Who<'_>, mail: &MailRules, page: Page) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write_all(&mut out, who, mail, page);
    out
}

fn write_all(out: &mut String, who: &Who<'_>, mail: &MailRules, page: Page) -> fmt::Result {
    let (bold, dim) = (Style::new().bold(), Style::new().dimmed());
    let shares = who.shares;
    let as_of = moment(who.as_of, &mail.zone);
    writeln!(out, "{bold}{}{bold:#} in the last {:#}, as of {as_of}\n", printable(who.workgroup), who.since)?;
    if shares.parties.is_empty() {
        writeln!(out, "No query ended in that time, and none is in flight.")?;
    } else {
        let rows: Vec<Row> = shares.parties.iter().map(|party| row(party, shares.percent(party))).collect();
        let width = |heading: &str, cell: fn(&Row) -> &String| {
            rows.iter().map(|row| cell(row).chars().count()).max().unwrap_or(0).max(heading.len())
        };
        let share = width("SHARE", |row| &row.share);
        let bytes = width("SCANNED", |row| &row.bytes);
        let queries = width("QUERIES", |row| &row.queries);
        let name = width("WHO", |row| &row.who).min(LONGEST_NAME);
        // What does not fit beside goes below, where the eye finds it under the name.
        let before = share + bytes + queries + 6;
        let longest = rows.iter().map(|row| row.how.chars().count()).max().unwrap_or(0);
        let is_narrow = page.width.is_some_and(|width| before + name + 2 + longest > width);
        let how = if is_narrow { "" } else { "HOW" };
        let heading =
            format!("{:>share$}  {:>bytes$}  {:>queries$}  {:name$}  {how}", "SHARE", "SCANNED", "QUERIES", "WHO");
        writeln!(out, "{dim}{}{dim:#}", heading.trim_end())?;
        for row in &rows {
            let line =
                format!("{:>share$}  {:>bytes$}  {:>queries$}  {:name$}", row.share, row.bytes, row.queries, row.who);
            if is_narrow {
                writeln!(out, "{}\n{:before$}{dim}{}{dim:#}", line.trim_end(), "", row.how)?;
            } else {
                writeln!(out, "{line}  {}", row.how)?;
            }
        }
        let (queries, named) = shares.counts();
        let percent = named * 100 / queries.max(1);
        writeln!(out, "\n{named} of {} ({percent} %) have a person's name.", count_queries(queries))?;
    }
    for note in shares.reconciled(Units::Decimal) {
        writeln!(out, "{}", printable(&note))?;
    }
    if let Some(why) = who.metric {
        writeln!(out, "The metric could not be read: {}.", printable(&why.to_string()))?;
    }
    if let Some(why) = who.unrecorded {
        writeln!(out, "CloudTrail's records were not read in full: {}.", printable(why))?;
    }
    Ok(())
}

fn count_queries(n: usize) -> String {
    if n == 1 { "1 query".to_owned() } else { format!("{n} queries") }
}

fn row(party: &Party, percent: u64) -> Row {
    let running = party.in_flight.len();
    let running = if running == 0 { String::new() } else { format!(" + {running} running") };
    Row {
        share: format!("{percent} %"),
        bytes: party.bytes.human(Units::Decimal),
        queries: format!("{}{}", party.landed.len(), running),
        who: printable(&party.whose.label()).into_owned(),
        how: printable(&party.whose.explained()).into_owned(),
    }
}
