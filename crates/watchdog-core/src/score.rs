//! How good a rule's warnings are, measured on the past: how many episodes it warned of and how long before, and at what price.
//!
//! - An *episode* starts at the look at which use reaches the limit and ends at the first one below it; two with less than half a
//!   window between them are one. One that began before the data is not counted.
//! - An *alert* is open from its opening to its resolution.
//! - The *lead* of an episode is the time from the opening of the alert that is open at its start, or resolves just then; an
//!   episode without one was missed. Recall at 15 minutes is the share with at least that lead.
//! - A *false alarm* is an alert after whose opening the limit is not reached within one window.
//! - *Fresh* recall counts only leads of at most one window: an alert that is always open is no warning.
//! - *Open* is the share of looks below the limit at which an alert is open; *needlessly open* are those of them after which the
//!   limit is not reached within one window.
//!
//! All of it is counted as the looks go by, in memory that is bounded by one window.

use std::collections::VecDeque;

use jiff::Timestamp;
use serde::Serialize;

/// Lead times that recall is stated for, in minutes. The last two say something of windows of a day only.
pub const LEADS: [i64; 6] = [5, 15, 30, 60, 120, 240];

/// Counts one rule's alerts about one limit.
#[derive(Debug, Clone)]
pub struct Scorer {
    /// Length of the window, in seconds.
    window: i64,
    /// Only what begins from here on is counted.
    from: Option<i64>,
    first: Option<i64>,
    last: i64,
    /// Whether use was at the limit at the last look, and whether the episode began before the data or before `from`.
    over: Option<bool>,
    /// End of the last episode, and whether it counts.
    ended: Option<(i64, bool)>,
    /// Whether the present episode counts.
    counts: bool,
    /// Opening of the open alert.
    open: Option<i64>,
    /// The alert that was resolved last.
    closed: Option<(i64, i64)>,
    /// Alerts that were opened within the last window and after which the limit has not been reached yet.
    unproven: VecDeque<i64>,
    /// Looks within the last window at which an alert was open, the limit not reached.
    waiting: VecDeque<i64>,
    tally: Tally,
}

/// What was counted. Tallies of several limits can be added up.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tally {
    /// Leads in seconds, by episode; `None` where it was missed.
    pub leads: Vec<Option<i64>>,
    /// Of them those whose use was below half of the limit 15 minutes before: not warnable without warning nearly always.
    pub jumps: usize,
    /// Of those the ones that were warned of at least ten minutes ahead all the same.
    pub jumps_warned: usize,
    /// Leads that are not longer than a window.
    pub fresh: Vec<i64>,
    /// Alerts opened.
    pub alerts: usize,
    /// Of them false ones.
    pub false_alarms: usize,
    /// Looks below the limit.
    pub below: usize,
    /// Of them those with an open alert.
    pub open: usize,
    /// Of them those after which the limit was not reached within a window.
    pub needless: usize,
    /// Seconds between two looks.
    pub every: i64,
    /// Seconds that were counted.
    pub seconds: i64,
}

/// One look.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// The instant, in seconds.
    pub at: i64,
    /// Whether use is at or over the limit.
    pub over: bool,
    /// Whether use was below half of the limit 15 minutes before; only asked at the start of an episode.
    pub jumped: bool,
    /// Whether an alert is open after this look.
    pub open: bool,
}

impl Scorer {
    /// Counts what begins at `from` or later; from the first look on where there is none. `window` is in seconds, and so is `every`, the time
    /// between two looks.
    pub fn new(window: i64, every: i64, from: Option<Timestamp>) -> Self {
        Self {
            window,
            from: from.map(Timestamp::as_second),
            first: None,
            last: 0,
            over: None,
            ended: None,
            counts: false,
            open: None,
            closed: None,
            unproven: VecDeque::new(),
            waiting: VecDeque::new(),
            tally: Tally { every, ..Tally::default() },
        }
    }

    /// Counts one look; looks come in the order of time.
    pub fn look(&mut self, look: Look) {
        let Look { at, over, jumped, open } = look;
        self.first.get_or_insert(at);
        self.last = at;
        let scored = self.from.is_none_or(|from| at >= from);
        match (self.open, open) {
            (None, true) => {
                self.open = Some(at);
                if scored {
                    self.tally.alerts += 1;
                    self.unproven.push_back(at);
                }
            }
            (Some(opened), false) => {
                self.closed = Some((opened, at));
                self.open = None;
            }
            _ => {}
        }
        while self.unproven.front().is_some_and(|opened| opened + self.window < at) {
            self.unproven.pop_front();
            self.tally.false_alarms += 1;
        }
        while self.waiting.front().is_some_and(|waited| waited + self.window < at) {
            self.waiting.pop_front();
            self.tally.needless += 1;
        }
        if over {
            self.unproven.clear();
            self.waiting.clear();
            if self.over != Some(true) {
                self.begins(at, scored, jumped);
            }
        } else {
            if self.over == Some(true) {
                self.ended = Some((at, self.counts));
            }
            if scored {
                self.tally.below += 1;
                if open {
                    self.tally.open += 1;
                    self.waiting.push_back(at);
                }
            }
        }
        self.over = Some(over);
    }

    /// Whether use was at the limit at the last look.
    pub fn is_over(&self) -> bool {
        self.over == Some(true)
    }

    fn begins(&mut self, at: i64, scored: bool, jumped: bool) {
        if let Some((ended, counts)) = self.ended
            && (at - ended) * 2 < self.window
        {
            self.counts = counts;
            return;
        }
        // Of what began before the data it is not known when.
        self.counts = self.over.is_some();
        if !self.counts || !scored {
            return;
        }
        let resolved_now = self.closed.filter(|(_, resolved)| *resolved == at).map(|(opened, _)| opened);
        let lead = self.open.into_iter().chain(resolved_now).min().map(|opened| at - opened);
        self.tally.leads.push(lead);
        self.tally.fresh.extend(lead.filter(|lead| *lead <= self.window));
        self.tally.jumps += usize::from(jumped);
        self.tally.jumps_warned += usize::from(jumped && lead.is_some_and(|lead| lead >= 600));
    }

    /// What was counted, when there are no more looks.
    pub fn finish(mut self) -> Tally {
        self.tally.false_alarms += self.unproven.len();
        self.tally.needless += self.waiting.len();
        let first = self.from.or(self.first).unwrap_or(0);
        self.tally.seconds = (self.last - first).max(0);
        self.tally
    }
}

impl Tally {
    /// Adds the counts of another limit with the same window.
    pub fn add(&mut self, other: Tally) {
        self.leads.extend(other.leads);
        self.fresh.extend(other.fresh);
        self.jumps += other.jumps;
        self.jumps_warned += other.jumps_warned;
        self.alerts += other.alerts;
        self.false_alarms += other.false_alarms;
        self.below += other.below;
        self.open += other.open;
        self.needless += other.needless;
        self.every = other.every;
        self.seconds += other.seconds;
    }

    /// Makes figures of the counts; `window` in seconds.
    pub fn score(&self, window: i64) -> Score {
        let episodes = self.leads.len();
        let share = |n: usize, of: usize| (of > 0).then(|| n as f64 / of as f64);
        let days = self.seconds as f64 / 86_400.0;
        let a_day = |n: f64| (self.seconds > 0).then(|| n / days);
        let leads = LEADS.into_iter().filter(|lead| lead * 60 >= self.every && (*lead <= 60 || window > 6 * 3600));
        let recall = leads.map(|minutes| Recall {
            minutes,
            recall: share(self.leads.iter().flatten().filter(|lead| **lead >= minutes * 60).count(), episodes),
            fresh: share(self.fresh.iter().filter(|lead| **lead >= minutes * 60).count(), episodes),
        });
        Score {
            days,
            episodes,
            jumps: self.jumps,
            jumps_warned: self.jumps_warned,
            recall: recall.collect(),
            median_lead_minutes: self.median(),
            alerts: self.alerts,
            false_alarms: self.false_alarms,
            false_alarms_per_day: a_day(self.false_alarms as f64),
            open_share: share(self.open, self.below),
            needless_hours_per_day: a_day(self.needless as f64 * self.every as f64 / 3600.0),
        }
    }

    /// Of all episodes, missed ones as none.
    fn median(&self) -> Option<f64> {
        let mut leads: Vec<i64> = self.leads.iter().map(|lead| lead.unwrap_or(0)).collect();
        leads.sort_unstable();
        let middle = leads.len() / 2;
        let upper = *leads.get(middle)?;
        let lower = if leads.len().is_multiple_of(2) { leads[middle - 1] } else { upper };
        Some((lower + upper) as f64 / 120.0)
    }
}

/// The figures of one rule on some limits of the same window. Shares are from 0 to 1; `null` is what nothing was seen of.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Score {
    /// Days that were counted, of all limits together.
    pub days: f64,
    /// How often a limit was reached.
    pub episodes: usize,
    /// Of them those whose use was below half of the limit 15 minutes before.
    pub jumps: usize,
    /// Of those the ones that were warned of at least ten minutes ahead all the same.
    pub jumps_warned: usize,
    /// Share of the episodes that were warned of in time.
    pub recall: Vec<Recall>,
    /// Of all episodes, in minutes; a missed one counts as 0.
    pub median_lead_minutes: Option<f64>,
    /// Alerts opened.
    pub alerts: usize,
    /// Of them those after which the limit was not reached within a window.
    pub false_alarms: usize,
    /// The same per day and limit.
    pub false_alarms_per_day: Option<f64>,
    /// Share of the looks below the limit at which an alert was open.
    pub open_share: Option<f64>,
    /// Hours per day and limit with an open alert and no need for it.
    pub needless_hours_per_day: Option<f64>,
}

/// Recall at one lead.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recall {
    /// The least lead, in minutes.
    pub minutes: i64,
    /// Share of the episodes with at least that lead.
    pub recall: Option<f64>,
    /// The same, of leads that are not longer than a window.
    pub fresh: Option<f64>,
}
