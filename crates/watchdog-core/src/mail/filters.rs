//! What HTML makes of our sentences and commands that text does not: filters for templates, those of the operator's pages among them.

#![expect(missing_docs, reason = "of what the attribute makes of a filter; the functions have theirs")]

use std::fmt::Display;

use askama::filters::{Html, Safe, escape};
use askama::{Result, Values};

/// Units that stay with their number. A zone's letters are told by their case.
const UNITS: [&str; 19] = [
    "%", "B", "kB", "KB", "MB", "GB", "TB", "KiB", "MiB", "GiB", "TiB", "min", "bytes", "mail", "mails", "alert",
    "alerts", "query", "queries",
];

/// A sentence: no line ends between a number and its unit, or within a date.
#[askama::filter_fn]
pub fn prose(text: impl Display, _: &dyn Values) -> Result<Safe<String>> {
    Ok(Safe(held_together(&escape(text, Html)?.to_string())))
}

/// A sentence in which every word is ours: what stands in backticks is set as code. Other people's text keeps its backticks.
#[askama::filter_fn]
pub fn own(text: impl Display, _: &dyn Values) -> Result<Safe<String>> {
    let escaped = escape(text, Html)?.to_string();
    let parts = escaped.split('`').enumerate();
    let set = parts.map(|(n, part)| if n % 2 == 1 { format!("<code>{part}</code>") } else { held_together(part) });
    Ok(Safe(set.collect()))
}

/// A word of a command: where it is too long for its line, it is broken behind an `=`.
#[askama::filter_fn]
pub fn word(text: impl Display, _: &dyn Values) -> Result<Safe<String>> {
    Ok(Safe(escape(text, Html)?.to_string().replace('=', "=<wbr>")))
}

fn held_together(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 64);
    for word in text.split_inclusive(' ') {
        let follows_a_number =
            out.strip_suffix(' ').is_some_and(|before| before.ends_with(|c: char| c.is_ascii_digit()));
        if follows_a_number && is_a_unit(word) {
            out.pop();
            out.push('\u{a0}');
        }
        match word.get(..10).filter(|start| is_a_date(start)) {
            Some(date) => out.extend(["<span style=\"white-space:nowrap\">", date, "</span>", &word[10..]]),
            None => out.push_str(word),
        }
    }
    out
}

/// A unit, or a zone's letters, whatever stands behind.
fn is_a_unit(word: &str) -> bool {
    let bare = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric() && c != '%');
    let is_zone = (2..=5).contains(&bare.len()) && bare.bytes().all(|b| b.is_ascii_uppercase());
    is_zone || UNITS.contains(&bare)
}

/// `2026-03-01`.
fn is_a_date(text: &str) -> bool {
    text.bytes().enumerate().all(|(n, b)| if matches!(n, 4 | 7) { b == b'-' } else { b.is_ascii_digit() })
}

#[cfg(test)]
mod tests {
    use askama::Template;

    use super::super::filters;

    #[derive(Template)]
    #[template(source = "{{ self.0|prose }}", ext = "html")]
    struct Prose(&'static str);

    #[derive(Template)]
    #[template(source = "{{ self.0|own }}", ext = "html")]
    struct Own(&'static str);

    #[track_caller]
    fn check(text: &'static str, expected: &str) {
        assert_eq!(Prose(text).render().unwrap().replace('\u{a0}', "~"), expected);
    }

    #[test]
    fn numbers_and_their_units_stay_together() {
        check("91 % of 700 GiB (as of 15:05 CET, 14:05 UTC).", "91~% of 700~GiB (as of 15:05~CET, 14:05~UTC).");
        check("in 5 min, 2 queries of 3 people", "in 5~min, 2~queries of 3 people");
        check("a % and DML", "a % and DML");
        let date = "<span style=\"white-space:nowrap\">2026-03-01</span>";
        check("on 2026-03-01: 5 bytes", &format!("on {date}: 5~bytes"));
        check("2026-03-0x 2026-03-01", &format!("2026-03-0x {date}"));
        check("<b> of 5 TB` & 2`", "&#60;b&#62; of 5~TB` &#38; 2`");
    }

    #[test]
    fn our_own_words_are_set_as_code() {
        let set = Own("`warn` at 5 % & `61 min` more").render().unwrap();
        assert_eq!(set, "<code>warn</code> at 5\u{a0}% &#38; <code>61 min</code> more");
    }
}
