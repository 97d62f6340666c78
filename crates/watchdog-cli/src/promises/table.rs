//! Grants and silences as text.

use std::fmt::Write as _;

use watchdog_core::bytes::{Bytes, Units};
use watchdog_core::report::{Answer, GrantReport};

use crate::out::printable;

/// What the function says, and then the grants that are not over.
pub(super) fn said(answer: &Answer) -> String {
    let mut text = String::new();
    if let Some(says) = &answer.says {
        let _ = writeln!(text, "{}", printable(says));
    }
    if let Some(by) = &answer.by {
        let _ = writeln!(text, "asked for by {}", printable(by));
    }
    text
}

pub(super) fn grants(answer: &Answer, all: bool) -> String {
    if answer.grants.is_empty() {
        return format!("no grants{}\n", if all { "" } else { " that are not over; `--all` lists those, too" });
    }
    let mut text = String::new();
    for grant in &answer.grants {
        let _ =
            writeln!(text, "{}  {}  {}", printable(&grant.id), printable(&grant.workgroup), printable(&grant.phase));
        for (name, value) in rows(grant) {
            let _ = writeln!(text, "  {name:<10} {}", printable(&value));
        }
    }
    text
}

pub(super) fn silences(answer: &Answer) -> String {
    if answer.silences.is_empty() {
        return "nothing is silenced\n".to_owned();
    }
    let mut text = String::new();
    for silence in &answer.silences {
        let alert = silence.alert.strip_prefix("limit/").unwrap_or(&silence.alert);
        let _ = writeln!(text, "{}  until {}", printable(alert), silence.until);
        let _ = writeln!(text, "  {:<10} {}", "by", printable(&silence.by));
        let _ = writeln!(text, "  {:<10} {}", "reason", printable(&silence.reason));
    }
    text
}

fn rows(grant: &GrantReport) -> Vec<(&'static str, String)> {
    let exact = |bytes: u64| {
        let units = if bytes.is_multiple_of(1_000_000) { Units::Decimal } else { Units::Binary };
        Bytes::new(bytes).exact(units)
    };
    let mut rows = Vec::new();
    if let (Some(window), Some(limit)) = (&grant.window, grant.limit_bytes) {
        rows.push(("limit", format!("{} for {window}", exact(limit))));
    }
    if let Some(cutoff) = grant.per_query_bytes {
        let state = if grant.per_query_raised { ", set in Athena" } else { "" };
        let before = grant.per_query_before_bytes.map_or(String::new(), |bytes| format!("; before: {}", exact(bytes)));
        rows.push(("per query", format!("{}{state}{before}", exact(cutoff))));
    }
    rows.push(("from", grant.from.to_string()));
    rows.push(("until", grant.until.to_string()));
    rows.push(("by", grant.by.clone()));
    if let Some(by) = &grant.approved_by {
        rows.push(("approved", format!("by {by}")));
    }
    rows.push(("reason", grant.reason.clone()));
    rows
}
