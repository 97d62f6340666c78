//! The checkup for people: what is wrong, the worst first, then what could not be read, then everything that was looked at.

use std::fmt::{self, Write};

use anstyle::Style;
use watchdog_core::checkup::{Blind, Check, Finding, Outcome, Severity};

use super::Shown;
use crate::out::{Page, count, moment, printable, style_of, write_prose};

/// Everything, as one text.
pub(super) fn text(shown: &Shown<'_>, page: Page) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write_all(&mut out, shown, page);
    out
}

fn write_all(out: &mut String, shown: &Shown<'_>, page: Page) -> fmt::Result {
    let bold = Style::new().bold();
    let place = shown.place;
    let as_of = moment(shown.as_of, &shown.zone);
    let title = format!(
        "{bold}Checkup of the stack {}{bold:#} in {}, account {}, as of {as_of}",
        printable(&place.stack),
        printable(&place.region),
        printable(&place.account)
    );
    write_prose(out, "", &title, page)?;
    for severity in [Severity::Critical, Severity::Warning, Severity::Note] {
        for check in &shown.checkup.checks {
            for finding in check.findings.iter().filter(|finding| finding.severity == severity) {
                write_finding(out, finding, page)?;
            }
        }
    }
    write_unknown(out, &shown.checkup.checks, page)?;
    write_looked_at(out, &shown.checkup.checks, page)?;
    writeln!(out, "\n{}", tally(&shown.checkup.checks))
}

fn write_finding(out: &mut String, finding: &Finding, page: Page) -> fmt::Result {
    let word = finding.severity.word();
    let style = style_of(word);
    let bold = Style::new().bold();
    writeln!(out)?;
    write_prose(out, "", &format!("{style}{word}{style:#}: {bold}{}{bold:#}", printable(&finding.what)), page)?;
    write_prose(out, "  ", &printable(&finding.why), page)?;
    // One a line and never broken: they are to be pasted.
    for command in &finding.remedy {
        writeln!(out, "    {}", printable(command))?;
    }
    Ok(())
}

/// What could not be read, by cause, with the checks that it left open.
fn write_unknown(out: &mut String, checks: &[Check], page: Page) -> fmt::Result {
    let mut causes: Vec<(&Blind, Vec<&str>)> = Vec::new();
    for check in checks {
        for blind in &check.blind {
            match causes.iter_mut().find(|(known, _)| *known == blind) {
                Some((_, ids)) => ids.push(check.id),
                None => causes.push((blind, vec![check.id])),
            }
        }
    }
    for (blind, ids) in causes {
        let style = style_of("unknown");
        let bold = Style::new().bold();
        writeln!(out)?;
        let title = format!("{style}unknown{style:#}: {bold}{}{bold:#}", ids.join(", "));
        write_prose(out, "", &title, page)?;
        write_prose(out, "  ", &printable(&blind.to_string()), page)?;
        if blind.permission().is_some() {
            writeln!(out, "    watchdog doctor --print-iam=doctor")?;
        }
    }
    Ok(())
}

fn write_looked_at(out: &mut String, checks: &[Check], page: Page) -> fmt::Result {
    let bold = Style::new().bold();
    writeln!(out, "\n{bold}Looked at{bold:#}")?;
    let ids = checks.iter().map(|check| check.id.len()).max().unwrap_or(0);
    let words = checks.iter().map(|check| check.outcome().word().len()).max().unwrap_or(0);
    for check in checks {
        let word = check.outcome().word();
        let style = style_of(word);
        let said = match check.outcome() {
            Outcome::Fine => printable(&check.fine).into_owned(),
            Outcome::Note => format!("{}, see above", count(check.findings.len(), "note")),
            Outcome::Unknown => "not all could be read, see above".to_owned(),
            Outcome::Warning | Outcome::Critical => format!("{}, see above", count(check.findings.len(), "finding")),
        };
        let line = format!(
            "  {style}{word}{style:#}{}  {:ids$}  {said}",
            " ".repeat(words.saturating_sub(word.len())),
            check.id
        );
        let indent = 2 + words + 2 + ids + 2;
        write_hanging(out, &line, indent, page)?;
    }
    Ok(())
}

/// A line whose continuation begins at `indent`; its own beginning, spaces included, stays as it is.
fn write_hanging(out: &mut String, line: &str, indent: usize, page: Page) -> fmt::Result {
    let plain = anstream::adapter::strip_str(line).to_string();
    match page.width {
        Some(width) if plain.chars().count() > width && width > indent + 20 => {
            // The columns are as wide with styles as without: what follows them is plain.
            let said: String = plain.chars().skip(indent).collect();
            let columns = &line[..line.len() - said.len()];
            let mut wrapped = String::new();
            write_prose(&mut wrapped, &" ".repeat(indent), &said, page)?;
            write!(out, "{columns}{}", wrapped.trim_start())
        }
        _ => writeln!(out, "{line}"),
    }
}

/// `19 checks: 1 critical, 2 warning, 1 unknown, 15 fine`, the worst first.
fn tally(checks: &[Check]) -> String {
    let order = [Outcome::Critical, Outcome::Warning, Outcome::Unknown, Outcome::Note, Outcome::Fine];
    let counts = order.into_iter().filter_map(|outcome| {
        let n = checks.iter().filter(|check| check.outcome() == outcome).count();
        let style = style_of(outcome.word());
        (n > 0).then(|| format!("{n} {style}{}{style:#}", outcome.word()))
    });
    format!("{}: {}", count(checks.len(), "check"), counts.collect::<Vec<_>>().join(", "))
}
