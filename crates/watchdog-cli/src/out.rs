//! Standard output and standard error: what may go wrong with them, how wide they are, and what colours mean.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use watchdog_core::untrusted::is_unseen;
use watchdog_core::window::{zone_name, zone_word};

use crate::exit::Failure;

/// What the place where text goes can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Characters in a line, where there is a bound.
    pub width: Option<usize>,
    /// Whether bars may be drawn with block characters; otherwise they are drawn in ASCII, as in a mail's text form.
    pub blocks: bool,
}

impl Page {
    /// That of standard output. What is piped has no bound and is plain ASCII, whatever terminal it started from.
    pub fn of_stdout() -> Self {
        let stdout = io::stdout();
        if !stdout.is_terminal() {
            return Self { width: None, blocks: false };
        }
        let width = terminal_size::terminal_size_of(stdout).map(|(width, _)| usize::from(width.0));
        // In this order, as the C library reads them.
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().filter_map(|name| std::env::var(name).ok());
        let locale = locale.filter(|value| !value.is_empty()).map(|value| value.to_ascii_lowercase()).next();
        let blocks = locale.is_some_and(|locale| locale.contains("utf-8") || locale.contains("utf8"));
        Self { width, blocks }
    }
}

/// Prints data: what a script may read. Styles are taken out where nobody could see them.
///
/// # Errors
/// [`Failure`] where it cannot be written. A reader that has gone away (`| head -1`) has read what it wanted.
pub fn data(text: &str) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::usage(format!("standard output cannot be written: {error}"))),
    }
}

/// Prints a value as JSON.
///
/// # Errors
/// As [`data`].
pub fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::usage(format!("the answer cannot be written as JSON: {error}")))?;
    data(&format!("{text}\n"))
}

/// Prints one line for people. There is nobody left to tell where standard error is gone.
pub fn note(line: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{line}");
}

/// Prints something that did not stop the command.
pub fn warning(text: &str) {
    let style = AnsiColor::Yellow.on_default().bold();
    note(&format!("{style}warning:{style:#} {}", printable(text)));
}

/// Prints what stopped the command. Further lines of the message are problems, one each.
pub fn error(failure: &Failure) {
    let style = AnsiColor::Red.on_default().bold();
    let lines: Vec<_> = failure.message.lines().map(printable).collect();
    note(&format!("{style}error:{style:#} {}", lines.join("\n")));
}

/// The style of a level's word and bar. Never the only sign: the word is always there.
pub fn style_of(level: &str) -> Style {
    match level {
        "ok" | "fine" => AnsiColor::Green.on_default(),
        "warn" | "warning" => AnsiColor::Yellow.on_default(),
        "critical" => AnsiColor::Red.on_default().bold(),
        "note" => AnsiColor::Blue.on_default(),
        "exhausted" => AnsiColor::Magenta.on_default().bold(),
        _ => AnsiColor::Cyan.on_default().bold(),
    }
}

/// Other people's text with what is not seen made visible: it may neither break a line nor steer the terminal, nor look like what it is not.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unseen) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_unseen(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// Words in lines that fit the page, where it has an edge.
///
/// # Errors
/// None, where `out` takes all text.
pub fn write_prose(out: &mut String, indent: &str, text: &str, page: Page) -> fmt::Result {
    let mut column = 0;
    for word in text.split(' ') {
        let length = anstream::adapter::strip_str(word).to_string().chars().count();
        if column > 0 && page.width.is_none_or(|width| column + 1 + length <= width) {
            write!(out, " {word}")?;
            column += 1 + length;
            continue;
        }
        if column > 0 {
            writeln!(out)?;
        }
        write!(out, "{indent}{word}")?;
        column = indent.len() + length;
    }
    writeln!(out)
}

/// `2026-07-31 14:05 UTC`, or `2026-07-31 16:05 Europe/Berlin (14:05 UTC)`.
pub fn moment(at: Timestamp, zone: &TimeZone) -> String {
    let local = at.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string();
    match zone_name(zone) {
        "UTC" | "Etc/UTC" => format!("{local} UTC"),
        _ => format!("{local} {} ({} UTC)", zone_word(zone, at), at.strftime("%H:%M")),
    }
}

/// `1 limit`, `2 limits`.
pub fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_peoples_text_steers_nothing() {
        assert_eq!(printable("exploratory"), "exploratory");
        assert_eq!(printable("a\x1b[2Jb\nc\u{9b}"), "a\\u{1b}[2Jb\\nc\\u{9b}");
    }
}
