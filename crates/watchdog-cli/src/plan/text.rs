//! A plan for people.

use std::fmt::{self, Write};

use watchdog_core::bytes::Units;
use watchdog_core::proposal::words::{because, beside, crowded};

use super::{Crowded, Found, Replayed};
use crate::out::{Page, count, printable, write_prose};

/// The plan in words.
pub fn text(found: &Found) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write(&mut out, found);
    out
}

fn write(out: &mut String, found: &Found) -> fmt::Result {
    let page = Page::of_stdout();
    for entry in &found.entries {
        let proposal = &entry.proposal;
        writeln!(out, "{}  ({})", printable(&proposal.workgroup), proposal.rule)?;
        match &proposal.outcome {
            Ok(proposed) => {
                let mut sentences = because(proposal).into_iter();
                if let Some(first) = sentences.next() {
                    write_prose(out, "  ", &first, page)?;
                }
                if found.compared {
                    write_prose(out, "  ", &format!("In the policy: {}.", beside(entry.present, proposed)), page)?;
                }
                for sentence in sentences {
                    write_prose(out, "    ", &sentence, page)?;
                }
            }
            Err(why) => {
                write_prose(out, "  ", &format!("No proposal: {why}."), page)?;
                if let Some(present) = entry.present {
                    write_prose(out, "  ", &format!("In the policy: {}.", present.human(Units::Decimal)), page)?;
                }
            }
        }
        writeln!(out)?;
    }
    for crowd in &found.crowded {
        writeln!(out, "{}", heading(crowd))?;
        let sentences = match &crowd.band {
            Some(band) => crowded(&crowd.counted, band, &found.region),
            None => vec!["None was active in that time.".to_owned()],
        };
        for (n, sentence) in sentences.iter().enumerate() {
            write_prose(out, if n == 0 { "  " } else { "    " }, sentence, page)?;
        }
        writeln!(out)?;
    }
    for replayed in &found.replayed {
        write_prose(out, "", &backtest(replayed), page)?;
    }
    if !found.replayed.is_empty() {
        let why = "A limit is always quiet over the past that it was computed from: what it will send is better judged by the days above.";
        write_prose(out, "", why, page)?;
    }
    if !found.without_rule.is_empty() {
        let names: Vec<String> = found.without_rule.iter().take(10).map(|name| printable(name).into_owned()).collect();
        let more = found.without_rule.len().saturating_sub(10);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let line = format!(
            "Without a rule, and not looked at: {}{more}. Give one with `--rule`, or `plan` in the policy.",
            names.join(", ")
        );
        write_prose(out, "", &line, page)?;
    }
    Ok(())
}

/// `Active DML queries  (quota 200, AWS's default; 2026-03-02 to 2026-03-22)`.
pub fn heading(crowd: &Crowded) -> String {
    let counted = &crowd.counted;
    let quota = match counted.quota {
        Some(quota) if quota.is_default => format!("quota {}, AWS's default; ", quota.most),
        Some(quota) => format!("quota {}; ", quota.most),
        None => String::new(),
    };
    let day = |at: jiff::Timestamp| at.strftime("%Y-%m-%d").to_string();
    let last = counted.span.end.saturating_sub(jiff::SignedDuration::from_secs(1)).unwrap_or(counted.span.end);
    format!("Active {} queries  ({quota}{} to {})", counted.class.word(), day(counted.span.start), day(last))
}

/// `Back-test of etl: proposed limits 2 mails, 1 alert, reached once; under the present policy …`
pub fn backtest(replayed: &Replayed) -> String {
    let of = |n: usize| {
        let tallies = || replayed.outcome.tallies.values().filter_map(move |tallies| tallies.get(n));
        let (reached, alerts): (usize, usize) =
            (tallies().map(|t| t.leads.len()).sum(), tallies().map(|t| t.alerts).sum());
        let mails = replayed.outcome.mails.get(n).copied().unwrap_or(0);
        format!("{}, {}, {}", count(mails, "mail"), count(alerts, "alert"), times(reached))
    };
    let present = match replayed.outcome.mails.len() {
        2.. => format!("; under the present policy {}", of(1)),
        _ => String::new(),
    };
    format!("Back-test of {}: under the proposed policy {}{present}.", printable(&replayed.workgroup), of(0))
}

fn times(n: usize) -> String {
    match n {
        0 => "never reached".to_owned(),
        1 => "reached once".to_owned(),
        n => format!("reached {n} times"),
    }
}
