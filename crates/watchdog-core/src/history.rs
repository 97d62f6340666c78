//! The past of an alert: when it was open, how bad it got, and how early people heard.
//!
//! It is kept in the alert's own record, so that it costs no read and no item more. Only alerts that measure something have one: what
//! cannot be seen comes and goes with other people's errors, and a list of that is of no use to anybody.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;
use crate::percent::whole_percent;
use crate::verdict::Level;

/// Episodes that are remembered of an alert. At some 220 bytes each they are 3 KB of an item, also of a limit that is passed every hour.
pub const MOST_EPISODES: usize = 12;

/// How long an episode is remembered after its end: a month's report has all of it. What is older is left out when the next one ends.
const KEEP: SignedDuration = SignedDuration::from_hours(35 * 24);

/// What an alert was about so far: the episodes that are over, and the one that is open.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct History {
    /// The one that is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    open: Option<Episode>,
    /// The oldest first, at most [`MOST_EPISODES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    past: Vec<Episode>,
}

/// An alert from its opening to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Episode {
    /// When it opened: its level was `warn` or worse from here on.
    pub opened: Timestamp,
    /// When its level first was `critical` or worse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critical: Option<Timestamp>,
    /// When its level first was `exhausted`: when the limit was reached, by the run that saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exhausted: Option<Timestamp>,
    /// The largest share of the limit that was seen.
    pub peak: Share,
    /// The instant that the first mail about it speaks of; none where nobody was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_told: Option<Timestamp>,
    /// How many mails spoke of it, its end included.
    #[serde(default)]
    pub mails: u32,
    /// When it ended; none while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
}

/// So much of a limit: bytes, queries, or milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// What was used.
    pub used: u64,
    /// The limit then.
    pub limit: u64,
}

impl Share {
    /// In whole percent, rounded down.
    pub fn percent(self) -> u64 {
        whole_percent(Bytes::new(self.used), Bytes::new(self.limit.max(1)))
    }

    fn is_more_than(self, other: Self) -> bool {
        u128::from(self.used) * u128::from(other.limit) > u128::from(other.used) * u128::from(self.limit)
    }
}

impl Episode {
    /// The worst level that it had.
    pub fn worst(&self) -> Level {
        match (self.critical, self.exhausted) {
            (_, Some(_)) => Level::Exhausted,
            (Some(_), None) => Level::Critical,
            (None, None) => Level::Warn,
        }
    }

    /// How long before the limit was reached somebody had been told; zero where they were told in the run that saw it. `None` where the
    /// limit was not reached, or nobody was told before.
    pub fn lead(&self) -> Option<SignedDuration> {
        let lead = self.exhausted?.duration_since(self.first_told?);
        (!lead.is_negative()).then_some(lead)
    }

    /// Whether any of it lies in the time from `start`, inclusive, to `end`, exclusive.
    pub fn is_inside(&self, start: Timestamp, end: Timestamp) -> bool {
        self.opened < end && self.ended.is_none_or(|ended| ended >= start)
    }
}

impl History {
    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.open.is_none() && self.past.is_empty()
    }

    /// All episodes, the oldest first; the last may be open.
    pub fn episodes(&self) -> impl DoubleEndedIterator<Item = &Episode> {
        self.past.iter().chain(&self.open)
    }

    /// The one that is open.
    pub fn open(&self) -> Option<&Episode> {
        self.open.as_ref()
    }

    /// Those that are over, the oldest first.
    pub fn past(&self) -> &[Episode] {
        &self.past
    }

    /// Whether there may have been more than are remembered: as many are as can be.
    pub fn is_full(&self) -> bool {
        self.past.len() >= MOST_EPISODES
    }

    /// Notes that the story that began at `opened` is at `level` now, and how much of the limit is used. Another story than the one that is
    /// open ends that one.
    pub fn see(&mut self, opened: Timestamp, level: Level, share: Share, at: Timestamp) {
        if self.open.is_some_and(|open| open.opened != opened) {
            self.end(at);
        }
        let anew =
            Episode { opened, critical: None, exhausted: None, peak: share, first_told: None, mails: 0, ended: None };
        let open = self.open.get_or_insert(anew);
        if share.is_more_than(open.peak) {
            open.peak = share;
        }
        if level >= Level::Critical {
            open.critical.get_or_insert(at);
        }
        if level >= Level::Exhausted {
            open.exhausted.get_or_insert(at);
        }
    }

    /// Notes that nothing is open any more.
    pub fn end(&mut self, at: Timestamp) {
        let Some(open) = self.open.take() else { return };
        self.past.push(Episode { ended: Some(at), ..open });
        self.past.retain(|episode| episode.ended.is_none_or(|ended| at.duration_since(ended) <= KEEP));
        let many = self.past.len().saturating_sub(MOST_EPISODES);
        self.past.drain(..many);
    }

    /// Notes a mail about the story that began at `opened`.
    pub fn tell(&mut self, opened: Timestamp, at: Timestamp) {
        let all = self.past.iter_mut().chain(&mut self.open);
        if let Some(episode) = all.rev().find(|episode| episode.opened == opened) {
            episode.mails = episode.mails.saturating_add(1);
            episode.first_told.get_or_insert(at);
        }
    }
}

/// `2 h 5 min`, or `3 d 4 h`; rounded down.
pub fn length(length: SignedDuration) -> String {
    let minutes = length.as_mins().max(0);
    match (minutes / 1440, minutes / 60 % 24, minutes % 60) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, 0) => format!("{hours} h"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, 0, _) => format!("{days} d"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}
