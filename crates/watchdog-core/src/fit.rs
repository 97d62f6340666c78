//! Whether a limit fits the work under it: one that is passed by ordinary work, or never half used, is the thing that is wrong.
//!
//! A run has the use of 28 hours in hand, so once a day it notes how much of each limit the day before has used at most, in whole percent,
//! and remembers two weeks of that. No more is claimed than these say: windows too long for the 28 hours are looked at once, at the
//! day's end, which can show that they were passed and not that they never were; calendar windows are not spoken of.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::bytes::{Bytes, Units};
use crate::grant::{Grants, was_raised};
use crate::meter::Meter;
use crate::percent::Percent;
use crate::policy::{Limit, Origin};
use crate::window::{BUCKET, Span, Window};

/// Days that are remembered. A limit that no day of two weeks has half used is spoken of, and in less a holiday would be enough.
const DAYS: usize = 14;

/// The last days that a passed limit is judged by, and how many of them must have passed it: more than half of a week is no accident.
const WEEK: usize = 7;
const OFTEN: usize = 4;

/// A limit is never half used below this share.
const HALF: u16 = 50;

/// A day with more than three times of any other is an accident, as in a plan.
const ACCIDENT: u32 = 3;

/// What goes on top where the limit has no buffer of its own.
const BUFFER: Percent = Percent::whole(10);

/// Seconds of a day.
const DAY: i64 = 86_400;

/// Windows up to three hours are known for all of the day before, by the 28 hours of a run after midnight.
const LONGEST_WHOLE: u32 = 180;

/// How much of their limits the last days have used, by workgroup and window.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fits(BTreeMap<String, BTreeMap<String, Days>>);

/// Days under one limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Days {
    /// The limit that they are shares of. With another one the days begin anew.
    limit: Bytes,
    /// The last day that was looked at, in days since 1970.
    last: i64,
    /// The largest share of each day that is known, in whole percent, rounded down; the oldest first.
    shares: Vec<u16>,
}

/// How a limit does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misfit {
    /// It is passed by ordinary work.
    TooLow {
        /// On so many of the last days.
        passed: usize,
        /// So many.
        of: usize,
        /// What would hold, by these days.
        about: Bytes,
    },
    /// It is never half used.
    TooHigh {
        /// On so many days.
        of: usize,
        /// The most that was used, in percent.
        most: u16,
        /// What would hold, by these days.
        about: Bytes,
    },
}

impl Fits {
    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets workgroups that are gone.
    pub fn retain(&mut self, is_there: impl Fn(&str) -> bool) {
        self.0.retain(|workgroup, _| is_there(workgroup));
    }

    /// Whether the day before `at` has not been looked at yet.
    pub fn is_due(&self, workgroup: &str, limit: &Limit, at: Timestamp) -> bool {
        let known = self.0.get(workgroup).and_then(|windows| windows.get(&limit.window.id()));
        let is_rolling = matches!(limit.window, Window::Rolling { .. });
        is_rolling && known.is_none_or(|days| days.limit != limit.bytes || days.last < yesterday(at))
    }

    /// Notes the day before `at`. What the meter does not know of it is no day: nobody asks again. A day on which a grant had raised the limit is
    /// none, either: what was allowed is no ordinary work.
    pub fn note(&mut self, workgroup: &str, limit: &Limit, meter: &Meter, grants: &Grants, at: Timestamp) {
        let windows = self.0.entry(workgroup.to_owned()).or_default();
        let anew = || Days { limit: limit.bytes, last: i64::MIN, shares: Vec::new() };
        let days = windows.entry(limit.window.id()).or_insert_with(anew);
        if days.limit != limit.bytes {
            *days = anew();
        }
        let day = yesterday(at);
        if days.last >= day {
            return;
        }
        days.last = day;
        if whole(day).is_some_and(|span| was_raised(grants, workgroup, &limit.window.id(), span)) {
            return;
        }
        let Some(peak) = peak(&limit.window, meter, day) else { return };
        let share = peak * 100 / u128::from(limit.bytes.get()).max(1);
        days.shares.push(u16::try_from(share).unwrap_or(u16::MAX));
        let many = days.shares.len().saturating_sub(DAYS);
        days.shares.drain(..many);
    }

    /// Notes as many of the last days before `at` as are remembered, for somebody who has the use of them all.
    pub fn note_days(&mut self, workgroup: &str, limit: &Limit, meter: &Meter, grants: &Grants, at: Timestamp) {
        if !matches!(limit.window, Window::Rolling { .. }) {
            return;
        }
        for ago in (0..i64::try_from(DAYS).unwrap_or(0)).rev() {
            let then = at.as_second() - ago * DAY;
            Timestamp::from_second(then).into_iter().for_each(|then| self.note(workgroup, limit, meter, grants, then));
        }
    }

    /// How the limit does not fit, as far as the days say so.
    pub fn misfit(&self, workgroup: &str, limit: &Limit) -> Option<Misfit> {
        let days = self.0.get(workgroup)?.get(&limit.window.id()).filter(|days| days.limit == limit.bytes)?;
        let last = days.shares.get(days.shares.len().saturating_sub(WEEK)..)?;
        let passed = last.iter().filter(|share| **share >= 100).count();
        let most = days.shares.iter().copied().max()?;
        if last.len() == WEEK && passed >= OFTEN {
            return Some(Misfit::TooLow { passed, of: WEEK, about: about(limit, &days.shares)? });
        }
        let is_whole = matches!(limit.window, Window::Rolling { minutes } if minutes <= LONGEST_WHOLE);
        // A workgroup that nobody uses has no limit that would fit better.
        (is_whole && days.shares.len() == DAYS && (1..HALF).contains(&most))
            .then(|| Some(Misfit::TooHigh { of: DAYS, most, about: about(limit, &days.shares)? }))
            .flatten()
    }
}

impl Misfit {
    /// A sentence for people.
    pub fn words(&self, units: Units) -> String {
        match self {
            Self::TooLow { passed, of, about } => format!(
                "It was passed on {passed} of the last {of} days, by ordinary work: the limit looks too low. About {} would have held; \
                 `watchdog plan` computes it from more weeks.",
                about.human(units)
            ),
            Self::TooHigh { of, most, about } => format!(
                "At most {most} % of it was used on any of the last {of} days: the limit looks too high. About {} would have held; \
                 `watchdog plan` computes it from more weeks.",
                about.human(units)
            ),
        }
    }

    /// The stable word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::TooLow { .. } => "too_low",
            Self::TooHigh { .. } => "too_high",
        }
    }

    /// What would hold, by the days that are known.
    pub fn about(&self) -> Bytes {
        match self {
            Self::TooLow { about, .. } | Self::TooHigh { about, .. } => *about,
        }
    }
}

fn yesterday(at: Timestamp) -> i64 {
    at.as_second().div_euclid(DAY) - 1
}

fn whole(day: i64) -> Option<Span> {
    let start = Timestamp::from_second(day * DAY).ok()?;
    Some(Span { start, end: Timestamp::from_second((day + 1) * DAY).ok()? })
}

/// The most that a window held that ended on this day; of windows too long for that, what the last one held.
fn peak(window: &Window, meter: &Meter, day: i64) -> Option<u128> {
    let Window::Rolling { minutes } = window else { return None };
    let length = i64::from(*minutes) * 60;
    let end = (day + 1) * DAY;
    if *minutes > LONGEST_WHOLE {
        return meter.between(end - length, end);
    }
    (1..=DAY / BUCKET)
        .map(|n| day * DAY + n * BUCKET)
        .map(|end| meter.between(end - length, end))
        .try_fold(0, |most, sum| Some(sum?.max(most)))
}

/// The largest of the days, without a single accident, and the limit's own buffer on top.
fn about(limit: &Limit, shares: &[u16]) -> Option<Bytes> {
    let mut shares: Vec<u32> = shares.iter().map(|share| u32::from(*share)).collect();
    shares.sort_unstable_by(|a, b| b.cmp(a));
    let (first, second) = (*shares.first()?, shares.get(1).copied().unwrap_or(0));
    let most = if second > 0 && first > second * ACCIDENT { second } else { first };
    // One more, since shares are rounded down.
    let need = u128::from(limit.bytes.get()) * u128::from(most + 1) / 100;
    let buffer = match limit.origin {
        Origin::QuotaAndBuffer { buffer, .. } => buffer,
        Origin::Given | Origin::ShareOfQuota { .. } => BUFFER,
    };
    buffer.on_top_of(Bytes::new(u64::try_from(need).ok()?))
}
