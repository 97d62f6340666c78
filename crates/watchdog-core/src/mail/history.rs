//! The past of an alert in words: how it went this time, and whether it is the first.

use jiff::{SignedDuration, Timestamp};

use super::words::Words;
use crate::alert::Reason;
use crate::delivery::Notice;
use crate::history::{Episode, History, length};

/// Episodes are counted over so many days: long enough to see a habit, and short enough to be this week's.
const DAYS: i64 = 7;

impl Words<'_> {
    /// What the history says of a notice, in rows below its numbers.
    pub(super) fn history(&self, notice: &Notice) -> Vec<(&'static str, String)> {
        // The end of a story is told after it: then the last of those that are over is the one that it speaks of.
        let this = notice.history.episodes().rev().find(|episode| episode.opened == notice.opened);
        let mut rows = Vec::new();
        if let Some(this) = this.filter(|_| notice.reason != Reason::Opened) {
            rows.push(("This time", self.course(this)));
        }
        rows.extend(before(&notice.history, notice.opened, self.as_of).map(|(nth, last)| {
            let last = format!("{}: {}", self.day_and_time(last.opened), outcome(last));
            ("Before", if nth.n == 1 { format!("last on {last}") } else { format!("{}; last on {last}", times(nth)) })
        }));
        rows
    }

    /// How one episode went.
    fn course(&self, episode: &Episode) -> String {
        let mut parts = Vec::new();
        parts.extend(episode.critical.map(|at| format!("critical since {}", self.when(at))));
        parts.extend(episode.exhausted.map(|at| format!("limit reached at {}", self.when(at))));
        parts.push(format!("at most {} %", episode.peak.percent()));
        parts.extend(episode.ended.map(|ended| format!("open for {}", length(ended.duration_since(episode.opened)))));
        // This mail is one more.
        parts.push(match episode.mails {
            0 => "nobody was told so far".to_owned(),
            1 => "1 mail so far".to_owned(),
            n => format!("{n} mails so far"),
        });
        parts.join(", ")
    }
}

/// Which time it is in the last days, and the one before; `None` where there is none.
fn before(history: &History, opened: Timestamp, at: Timestamp) -> Option<(Nth, &Episode)> {
    let past = || history.past().iter().filter(|episode| episode.opened < opened);
    let last = past().next_back()?;
    let recent = past().filter(|episode| at.duration_since(episode.opened) <= SignedDuration::from_hours(DAYS * 24));
    let n = recent.count();
    Some((Nth { n: n + 1, at_least: history.is_full() && n >= history.past().len() - 1 }, last))
}

/// Which time it is.
struct Nth {
    n: usize,
    /// Whether there may have been more.
    at_least: bool,
}

/// `the third time in 7 days`.
fn times(nth: Nth) -> String {
    let words = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"];
    let word = words.get(nth.n - 1).map_or_else(|| format!("{}th", nth.n), |word| (*word).to_owned());
    format!("{}the {word} time in {DAYS} days", if nth.at_least { "at least " } else { "" })
}

/// `exhausted, at most 112 %, open for 2 h 5 min`.
fn outcome(episode: &Episode) -> String {
    let open = episode.ended.map(|ended| format!(", open for {}", length(ended.duration_since(episode.opened))));
    format!("{}, at most {} %{}", episode.worst().word(), episode.peak.percent(), open.unwrap_or_default())
}
