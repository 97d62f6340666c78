//! Proposed numbers in a policy's text, which otherwise stays as its author wrote it.
//!
//! The text is cut by lines into the tables that people write (`[[workgroup]]`, `[[workgroup.limit]]`), and only lines of numbers are
//! replaced. That is no reader of TOML, and need not be one: what comes out is read by the policy's own reader and compared with what
//! went in. Where a text is written in a way that this does not meet, nothing is written, and the author is told.

use super::words::because;
use super::{Part, Proposal, Proposed, written};
use crate::policy::{Document, Policy, WorkgroupRule};

/// The document that holds proposals beside others: late in the order of names, so that it counts.
pub const NAME: &str = "90-plan";

/// How the lines begin that say where a number comes from: the next plan takes them away again.
const MARK: &str = "# plan: ";

/// Characters of a line of comment.
const WIDTH: usize = 110;

/// The policy with the proposals in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// The document that is new, or has changed.
    pub document: Document,
    /// Its text before; empty where it is new.
    pub before: String,
    /// All documents together.
    pub documents: Vec<Document>,
    /// What they mean.
    pub policy: Policy,
}

/// Why there is no draft.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoDraft {
    /// The text is written in a way that cannot be edited.
    #[error(
        "the rule of `{workgroup}` is written in a way that cannot be edited by lines: write its limits as `[[workgroup.limit]]` tables, a key a line"
    )]
    Unusual {
        /// Whose rule.
        workgroup: String,
    },
    /// What came out is no policy.
    #[error(
        "the policy cannot be edited by lines: write its limits as `[[workgroup.limit]]` tables, a key a line. With the proposals in it, it would have problems:\n{0}"
    )]
    Invalid(String),
    /// A later document has a rule of the same name, and that would count.
    #[error(
        "the document `{document}` comes after `{NAME}` and has a rule for `{workgroup}`, which would count: give it another name"
    )]
    Later {
        /// The document.
        document: String,
        /// Whose rule.
        workgroup: String,
    },
}

/// Puts the proposals into a policy. A single document is edited; beside several, and beside those of a stack, goes one of
/// the name [`NAME`]; without any, a whole one is begun. `None` where there is no number to write.
///
/// # Errors
/// [`NoDraft`]; then nothing may be written.
pub fn draft(documents: &[Document], apart: bool, proposals: &[Proposal]) -> Result<Option<Draft>, NoDraft> {
    let mut by_workgroup: Vec<(&str, Vec<&Proposal>)> = Vec::new();
    for proposal in proposals.iter().filter(|proposal| proposal.outcome.is_ok()) {
        match by_workgroup.iter_mut().find(|(name, _)| *name == proposal.workgroup) {
            Some((_, of)) => of.push(proposal),
            None => by_workgroup.push((&proposal.workgroup, vec![proposal])),
        }
    }
    if by_workgroup.is_empty() {
        return Ok(None);
    }
    let invalid = |problems: crate::policy::Problems| NoDraft::Invalid(problems.to_string());
    let present = if documents.is_empty() { None } else { Some(Policy::parse(documents).map_err(invalid)?) };
    let (name, before) = match documents {
        [only] if !apart => (only.name.clone(), only.text.clone()),
        _ => {
            let before = documents.iter().find(|document| document.name == NAME);
            (NAME.to_owned(), before.map_or(String::new(), |document| document.text.clone()))
        }
    };
    let mut text = match (&present, before.is_empty()) {
        (None, _) => BEGINNING.to_owned(),
        (Some(_), true) => BESIDE.to_owned(),
        (Some(_), false) => before.clone(),
    };
    for (workgroup, proposals) in &by_workgroup {
        let rule = present.as_ref().and_then(|policy| policy.rule_for(workgroup));
        let later = documents.iter().find(|d| d.name > name && find(&d.text, workgroup).is_some());
        if let Some(later) = later {
            return Err(NoDraft::Later { document: later.name.clone(), workgroup: (*workgroup).to_owned() });
        }
        let unusual = || NoDraft::Unusual { workgroup: (*workgroup).to_owned() };
        match find(&text, workgroup) {
            Some((from, to)) => {
                let lines: Vec<&str> = text.lines().collect();
                let block = edited(lines.get(from..to).unwrap_or_default(), proposals);
                let mut all: Vec<String> = lines.iter().take(from).map(|line| (*line).to_owned()).collect();
                all.extend(block);
                all.extend(lines.iter().skip(to).map(|line| (*line).to_owned()));
                text = all.join("\n") + "\n";
            }
            None => {
                let block = match rule {
                    Some(rule) => copied(documents, rule, workgroup).ok_or_else(unusual)?,
                    None => vec!["[[workgroup]]".to_owned(), format!("name = \"{workgroup}\"")],
                };
                let block: Vec<&str> = block.iter().map(String::as_str).collect();
                text = format!("{}\n\n{}\n", text.trim_end(), edited(&block, proposals).join("\n"));
            }
        }
    }
    let document = Document { name, text };
    let mut documents: Vec<Document> = documents.iter().filter(|d| d.name != document.name).cloned().collect();
    documents.push(document.clone());
    documents.sort_by(|a, b| a.name.cmp(&b.name));
    let policy = Policy::parse(&documents).map_err(invalid)?;
    for (workgroup, proposals) in &by_workgroup {
        let before = present.as_ref().and_then(|policy| policy.rule_for(workgroup));
        if !policy.rule_for(workgroup).is_some_and(|after| is_as_meant(before, after, proposals)) {
            return Err(NoDraft::Unusual { workgroup: (*workgroup).to_owned() });
        }
    }
    Ok(Some(Draft { document, before, documents, policy }))
}

const BEGINNING: &str = "\
# Begun by `watchdog plan`. Write your own addresses and domains here.
[mail]
sender = \"watchdog@example.com\"
admins = [\"ops@example.com\"]
allowed_domains = [\"example.com\"]
";

const BESIDE: &str =
    "# Limits from `watchdog plan`: each rule here replaces that of the same name in an earlier document.\n";

/// Whether the rule has the proposed numbers, and all that was not proposed is as it was.
fn is_as_meant(before: Option<&WorkgroupRule>, after: &WorkgroupRule, proposals: &[&Proposal]) -> bool {
    let proposed = || proposals.iter().filter_map(|proposal| proposal.outcome.as_ref().ok());
    let has = |proposed: &Proposed| match &proposed.window {
        Some(window) => after.limits.iter().any(|limit| &limit.window == window && limit.bytes == proposed.limit),
        None => after.per_query_cutoff.is_some_and(|size| size.bytes == proposed.limit),
    };
    let same = |before: &WorkgroupRule| {
        let cutoff = proposed().any(|p| p.window.is_none()) || before.per_query_cutoff == after.per_query_cutoff;
        let limits = before.limits.iter().all(|old| {
            let new = after.limits.iter().find(|new| new.window == old.window);
            let numbers = |new: &crate::policy::Limit| crate::policy::Limit {
                bytes: old.bytes,
                units: old.units,
                origin: old.origin,
                ..new.clone()
            };
            let is_proposed = proposed().any(|p| p.window.as_ref() == Some(&old.window));
            new.is_some_and(|new| if is_proposed { &numbers(new) == old } else { new == old })
        });
        cutoff && limits && before.owner == after.owner && before.plan == after.plan
    };
    after.pattern.is_exact() && proposed().all(has) && before.is_none_or(same)
}

/// The lines of the table of this name: from its header to after its last line that is no comment.
fn find(text: &str, name: &str) -> Option<(usize, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut from = None;
    let ends: Vec<(usize, usize)> = lines
        .iter()
        .enumerate()
        .filter_map(|(n, line)| {
            let header = header(line);
            let begins = header == Some("[[workgroup]]");
            let inside =
                header.is_none_or(|header| header.starts_with("[[workgroup.") || header.starts_with("[workgroup."));
            let ended = (!inside).then(|| from.take().map(|from| (from, n))).flatten();
            if begins {
                from = Some(n);
            }
            ended
        })
        .collect();
    let last = from.map(|from| (from, lines.len()));
    let (from, mut to) = ends.into_iter().chain(last).find(|(from, to)| {
        let block = lines.get(from + 1..*to).unwrap_or_default();
        value(block, "name").as_deref() == Some(name)
    })?;
    while to > from + 1 && lines.get(to - 1).is_some_and(|line| line.trim().is_empty() || line.trim().starts_with('#'))
    {
        to -= 1;
    }
    Some((from, to))
}

/// The header of a table that a line is, without a comment behind it.
fn header(line: &str) -> Option<&str> {
    let line = line.trim();
    let line = line.split_once('#').map_or(line, |(before, _)| before.trim());
    (line.starts_with('[') && line.ends_with(']')).then_some(line)
}

/// The text of a key among lines up to the next header.
fn value(lines: &[&str], key: &str) -> Option<String> {
    let own: Vec<&str> = lines.iter().copied().take_while(|line| header(line).is_none()).collect();
    let table: toml::Table = own.join("\n").parse().ok()?;
    Some(table.get(key)?.as_str()?.to_owned())
}

/// The rule's table from the document that it stands in, under another name where that is a pattern.
fn copied(documents: &[Document], rule: &WorkgroupRule, workgroup: &str) -> Option<Vec<String>> {
    let name = rule.pattern.as_str();
    let (document, (from, to)) = documents.iter().rev().find_map(|d| Some((d, find(&d.text, name)?)))?;
    let lines: Vec<&str> = document.text.lines().collect();
    let renamed = |line: &&str| match is_key(line, "name") {
        true => format!("name = \"{workgroup}\""),
        false => (*line).to_owned(),
    };
    Some(lines.get(from..to)?.iter().map(renamed).collect())
}

fn is_key(line: &str, key: &str) -> bool {
    line.trim_start().strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='))
}

/// A workgroup's table with the numbers of the proposals in it.
fn edited(block: &[&str], proposals: &[&Proposal]) -> Vec<String> {
    let mut parts: Vec<Vec<String>> = vec![Vec::new()];
    for line in block {
        if header(line).is_some_and(|header| header == "[[workgroup.limit]]") {
            parts.push(Vec::new());
        }
        if let Some(part) = parts.last_mut() {
            part.push((*line).to_owned());
        }
    }
    for proposal in proposals {
        let Ok(proposed) = &proposal.outcome else { continue };
        let lines = numbers(proposal, proposed);
        match &proposed.window {
            None => {
                if let Some(head) = parts.first_mut() {
                    replace(head, &["per_query_cutoff"], "name", lines);
                }
            }
            Some(window) => {
                let is_it = |part: &&mut Vec<String>| {
                    let own: Vec<&str> = part.iter().skip(1).map(String::as_str).collect();
                    let text = value(&own, "window");
                    let zone = jiff::tz::TimeZone::UTC;
                    text.and_then(|text| crate::window::Window::parse(&text, &zone).ok()).as_ref() == Some(window)
                };
                match parts.iter_mut().skip(1).find(is_it) {
                    Some(part) => replace(part, &["limit", "quota", "buffer", "share"], "window", lines),
                    None => {
                        let mut part = vec!["[[workgroup.limit]]".to_owned(), format!("window = \"{window}\"")];
                        part.extend(lines);
                        parts.push(part);
                    }
                }
            }
        }
    }
    parts.concat()
}

/// Takes the lines of these keys and of earlier plans out, and puts `lines` in the place of the first, or behind the key `after`.
fn replace(part: &mut Vec<String>, keys: &[&str], after: &str, lines: Vec<String>) {
    part.retain(|line| !line.starts_with(MARK));
    let is_number = |line: &String| keys.iter().any(|key| is_key(line, key));
    let behind = part.iter().position(|line| is_key(line, after)).map_or(part.len().min(1), |n| n + 1);
    let place = part.iter().position(is_number).unwrap_or(behind);
    part.retain(|line| !is_number(line));
    let place = place.min(part.len());
    part.splice(place..place, lines);
}

/// The lines of a number, what it comes from first.
fn numbers(proposal: &Proposal, proposed: &Proposed) -> Vec<String> {
    let mut lines: Vec<String> = because(proposal).iter().flat_map(|sentence| comment(sentence)).collect();
    let quota = written(proposed.quota);
    match (&proposed.window, proposed.part) {
        (None, _) => lines.push(format!("per_query_cutoff = \"{quota}\"")),
        (Some(_), Part::Whole) => lines.push(format!("limit = \"{quota}\"")),
        (Some(_), Part::Buffer(buffer)) => {
            lines.extend([format!("quota = \"{quota}\""), format!("buffer = \"{buffer}\"")])
        }
        (Some(_), Part::Share(share)) => lines.extend([format!("quota = \"{quota}\""), format!("share = \"{share}\"")]),
    }
    lines
}

/// A sentence in lines of comment.
fn comment(sentence: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in sentence.split(' ') {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(format!("{MARK}{line}"));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(format!("{MARK}{line}"));
    lines
}
