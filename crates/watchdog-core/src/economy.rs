//! Who need not be asked in a run: a workgroup whose level cannot change before the next look, whatever it does.
//!
//! CloudWatch charges for each metric that is asked for, and most of what is asked says that a workgroup is as far from its limits as it was.
//! What can still come in is bounded by what the workgroup has *ever been seen to scan* in as much time, [`Most`]. Nothing else bounds it: a
//! per-query cutoff holds for one query, and nothing holds for how many of them run at once. A workgroup that breaks its own record while nobody
//! asks is found out at the next asking, at most [`Economy::at_most`] later; the looks that were left out are made up for then
//! (`Limit::made_up`), so that not even what is over by then goes untold.
//!
//! Asked in every run are those above a level or with an alert that is not closed, those under a grant, those that cannot be seen,
//! those of which queries are known to run or of which that is not known, and those of which less than a week is known. The forecast's
//! surprise is taken anew at each full hour from looks that would be missing, so that nobody whose forecast counts is left out across one.
//!
//! What was seen at most is remembered in the table, two bytes a figure. When each was asked last is not: a new process asks everybody.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;
use crate::forecast::Inflow;
use crate::meter::Meter;
use crate::percent::Percent;
use crate::policy::{Economy, Limit};
use crate::usage::{Remembered, Series};
use crate::window::{BUCKET, Window, ceil, floor};

/// How many figures [`Most`] has: an hour ahead, the bucket that the look falls into, and [`SETTLES`] take up to fifteen buckets.
const FIGURES: usize = 16;

/// Buckets before a look that may still grow: datapoints are late by minutes. What is in them counts as not known yet.
const SETTLES: i64 = 2;

/// Days of looks without which nothing is concluded: most work has the rhythm of a week.
const DAYS: i64 = 7;
const DAY: i64 = 86_400;

/// The surprise of the forecast is taken anew at each full hour of UTC.
const HOUR: i64 = 3600;

/// Looks in a row that may be left out: an hour of one a minute.
const MOST_MISSED: usize = 60;

/// How much past a look needs to know what was scanned at most since the look before: an hour between the two, what settles, and the longest
/// stretch that is remembered. Three hours; CloudWatch is asked for no more metrics because of it.
const PAST: i64 = 36 * BUCKET;

/// The most that a workgroup was ever seen to scan in stretches of 1, 2, … 16 buckets, each as a [`code`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
struct Most(
    /// The first whole day of which it is known, in days since 1970.
    u16,
    [u16; FIGURES],
);

/// What is remembered of the workgroups between runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    most: BTreeMap<String, Most>,
    /// As long as the process lives.
    #[serde(skip)]
    last: BTreeMap<String, Last>,
    /// The last run that this process has done in full.
    #[serde(skip)]
    done: Option<Timestamp>,
    /// Since when there is something new in `most` that is not written down.
    #[serde(skip)]
    unwritten: Option<Timestamp>,
}

/// The last asking of one workgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Last {
    /// What came of it, for whoever wants to know while it is not asked.
    known: Remembered,
    /// Until when its level cannot change, inclusive; `None` where that cannot be said.
    quiet_until: Option<Timestamp>,
    /// The limits that this is about: of others it says nothing.
    limits: Vec<Bound>,
    /// The looks that have been left out since.
    missed: Vec<Timestamp>,
}

/// All of a limit that decides.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Bound {
    window: Window,
    limit: Bytes,
    warn: Percent,
    warn_unforeseen: Percent,
    forecast: bool,
    is_granted: bool,
}

impl From<&Limit> for Bound {
    fn from(limit: &Limit) -> Self {
        Self {
            window: limit.window.clone(),
            limit: limit.bytes,
            warn: limit.warn,
            warn_unforeseen: limit.warn_unforeseen,
            forecast: limit.forecast,
            is_granted: limit.grant.is_some(),
        }
    }
}

/// One look at a workgroup that was asked.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// Its limits, as they are in force.
    pub limits: &'a [Limit],
    /// Its past, at least from [`reads_from`] on.
    pub meter: &'a Meter,
    /// The guess of what comes in, without regard to queries that have landed; where any limit asks for one and there is history enough.
    pub inflow: Option<&'a Inflow>,
    /// End of the newest bucket in which anything was scanned.
    pub newest: Option<Timestamp>,
    /// Whether queries are known to run, or it is not known whether any do although somebody asked.
    pub may_land: bool,
    /// The instant that was judged.
    pub at: Timestamp,
}

impl Memory {
    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.most.is_empty()
    }

    /// Forgets workgroups that are gone.
    pub fn retain(&mut self, is_there: impl Fn(&str) -> bool) {
        self.most.retain(|workgroup, _| is_there(workgroup));
        self.last.retain(|workgroup, _| is_there(workgroup));
    }

    /// Takes the records that another process has written down: what either has seen was scanned. It is known since the later of their days.
    pub fn learn(&mut self, stored: Self) {
        for (workgroup, theirs) in stored.most {
            let own = self.most.entry(workgroup).or_insert(theirs);
            own.0 = own.0.max(theirs.0);
            own.1.iter_mut().zip(theirs.1).for_each(|(own, theirs)| *own = theirs.max(*own));
        }
    }

    /// Goes on after `last`, the last run that any process has done in full. Where that was another process, which has asked and told whom it
    /// liked, the askings of this one are forgotten: it asks everybody, and makes up for nothing.
    pub fn resume(&mut self, last: Option<Timestamp>) {
        if self.done != last {
            self.last.clear();
        }
    }

    /// Notes that the run of `at` is done in full.
    pub fn done(&mut self, at: Timestamp) {
        self.done = Some(at);
    }

    /// What is known of `workgroup`, where it need not be asked at `at`. Whether it has an alert that is not closed or a grant is for
    /// the caller to look at.
    pub fn leaves_out(&self, workgroup: &str, limits: &[Limit], at: Timestamp, rules: Economy) -> Option<&Remembered> {
        let last = self.last.get(workgroup)?;
        let is_soon = (SignedDuration::from_secs(1)..rules.at_most).contains(&at.duration_since(last.known.asked));
        let is_same = last.limits.len() == limits.len() && last.limits.iter().zip(limits).all(|(a, b)| *a == b.into());
        let is_quiet = last.quiet_until.is_some_and(|until| at <= until);
        (is_soon && is_same && is_quiet && last.missed.len() < MOST_MISSED).then_some(&last.known)
    }

    /// Notes that `workgroup` was left out at `at`.
    pub fn left_out(&mut self, workgroup: &str, at: Timestamp) {
        if let Some(last) = self.last.get_mut(workgroup)
            && last.missed.last().is_none_or(|newest| *newest < at)
        {
            last.missed.push(at);
        }
    }

    /// The looks at `workgroup` that have been left out since it was last asked, the oldest first.
    pub fn missed(&self, workgroup: &str) -> &[Timestamp] {
        self.last.get(workgroup).map_or(&[], |last| &last.missed)
    }

    /// Notes that `workgroup` was asked and could not be seen: nothing is concluded from what was known before.
    pub fn is_unseen(&mut self, workgroup: &str) {
        if let Some(last) = self.last.get_mut(workgroup) {
            last.quiet_until = None;
        }
    }

    /// Whether records have been broken for so long without being written down that it is time. They are in what is read at the next
    /// asking, too, so that no haste is needed.
    pub fn is_due(&self, at: Timestamp) -> bool {
        self.unwritten.is_some_and(|since| at.duration_since(since).as_secs() >= HOUR)
    }

    /// Notes that all is written down.
    pub fn written(&mut self) {
        self.unwritten = None;
    }

    /// Notes what a workgroup answered.
    pub fn note(&mut self, workgroup: &str, asking: &Asking<'_>, rules: Economy) {
        let Asking { limits, meter, at, .. } = *asking;
        let last = self.last.get(workgroup).map(|last| last.known.asked);
        let known = self.most.get(workgroup).copied();
        let mut most = known.unwrap_or_else(|| Most::new(at));
        most.see(meter, last.map(|last| floor(last).as_second() - SETTLES * BUCKET), ceil(at).as_second());
        let is_known = most.is_enough(at) && !asking.may_land && limits.iter().all(|limit| limit.grant.is_none());
        let quiet_until = is_known.then(|| quiet_until(asking, &most, rules)).flatten();
        let used = limits.iter().map(|limit| meter.sum(limit.window.span(at)).unwrap_or(Bytes::ZERO)).collect();
        let is_foreseen = asking.inflow.is_some();
        let known_now = Remembered { asked: at, used, is_foreseen, newest: asking.newest };
        let limits = limits.iter().map(Bound::from).collect();
        let now = Last { known: known_now, quiet_until, limits, missed: Vec::new() };
        self.last.insert(workgroup.to_owned(), now);
        self.most.insert(workgroup.to_owned(), most);
        if known != Some(most) {
            self.unwritten.get_or_insert(at);
        }
    }
}

/// From when on a look at `at` has to read so that [`Memory::note`] misses nothing.
pub fn reads_from(at: Timestamp) -> Timestamp {
    Timestamp::from_second(floor(at).as_second() - PAST).unwrap_or(Timestamp::MIN)
}

/// Notes what `workgroup` answered with `series`: [`Memory::note`] for one who has not made a meter and a guess of it.
pub fn note(
    memory: &mut Memory,
    workgroup: &str,
    limits: &[Limit],
    series: &Series,
    may_land: bool,
    at: Timestamp,
    rules: Economy,
) {
    let meter = Meter::from(series);
    let foreseen = limits.iter().filter(|limit| limit.forecast).map(|limit| &limit.window);
    let mut memo = crate::forecast::Memo::for_windows(foreseen);
    let inflow =
        if limits.iter().any(|limit| limit.forecast) { Inflow::guess(&meter, at, &[], &mut memo) } else { None };
    let newest = series.newest();
    memory.note(workgroup, &Asking { limits, meter: &meter, inflow: inflow.as_ref(), newest, may_land, at }, rules);
}

impl Most {
    fn new(at: Timestamp) -> Self {
        let day = at.as_second().div_euclid(DAY) + 1;
        Self(u16::try_from(day).unwrap_or(u16::MAX), [0; FIGURES])
    }

    fn is_enough(&self, at: Timestamp) -> bool {
        at.as_second().div_euclid(DAY) >= i64::from(self.0) + DAYS
    }

    /// Looks at all stretches that end at a border after `since`, in seconds, up to `until`; at all that the meter has without `since`.
    fn see(&mut self, meter: &Meter, since: Option<i64>, until: i64) {
        let oldest = meter.since();
        let mut border = since.unwrap_or(oldest).max(oldest) + BUCKET;
        while border <= until {
            for (figure, n) in self.1.iter_mut().zip(1..) {
                let sum = meter.between((border - n * BUCKET).max(oldest), border).unwrap_or(0);
                *figure = code(sum).max(*figure);
            }
            border += BUCKET;
        }
    }

    /// The most that was seen in `buckets`, rounded up; more than anything where so long stretches are not remembered.
    fn within(&self, buckets: i64) -> u128 {
        if buckets <= 0 {
            return 0;
        }
        let n = usize::try_from(buckets - 1).unwrap_or(FIGURES);
        self.1.get(n).map_or(u128::MAX, |figure| decoded(*figure))
    }
}

impl From<Most> for String {
    /// Two bytes a figure, in Base64: 46 letters of an item that holds a thousand workgroups.
    fn from(most: Most) -> Self {
        let figures = std::iter::once(most.0).chain(most.1);
        BASE64.encode(figures.flat_map(u16::to_be_bytes).collect::<Vec<u8>>())
    }
}

impl TryFrom<String> for Most {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let bytes = BASE64.decode(&text).ok().filter(|bytes| bytes.len() == 2 * (FIGURES + 1));
        let bytes = bytes.ok_or_else(|| format!("`{text}` is not what a workgroup was seen to scan"))?;
        let mut figures = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
        let mut most = Self(figures.next().unwrap_or(u16::MAX), [0; FIGURES]);
        most.1.iter_mut().zip(figures).for_each(|(figure, known)| *figure = known);
        Ok(most)
    }
}

/// The last border up to which no look can find a level, where there is one after `asking.at`.
fn quiet_until(asking: &Asking<'_>, most: &Most, rules: Economy) -> Option<Timestamp> {
    let Asking { limits, meter, inflow, at, .. } = *asking;
    let settled = floor(at).as_second() - SETTLES * BUCKET;
    // What may have been scanned between two borders: what is known of it, and from there on as much as ever.
    let between = |from: i64, to: i64| {
        let known = if from < settled { meter.between(from, to.min(settled))? } else { 0 };
        Some(known.saturating_add(most.within((to - from.max(settled)) / BUCKET)))
    };
    let is_quiet = |border: i64| {
        limits.iter().all(|limit| {
            let inflow = inflow.filter(|_| limit.forecast);
            let warn = if inflow.is_some() { limit.warn } else { limit.warn_unforeseen };
            // From the first look in the bucket that ends here, whose window reaches back furthest.
            let first = Timestamp::from_second(border - BUCKET + 1).unwrap_or(at).max(at);
            let used = between(limit.window.span(first).start.as_second(), border);
            let used = used.and_then(|used| u64::try_from(used).ok()).map(Bytes::new);
            let is_below = used.is_some_and(|used| !warn.reached(used, limit.bytes));
            let runs_out = |inflow: &Inflow| {
                let unfinished = inflow.could_run_out(&limit.window, limit.bytes, border - BUCKET, true, between);
                unfinished || inflow.could_run_out(&limit.window, limit.bytes, border, false, between)
            };
            is_below && !inflow.is_some_and(runs_out)
        })
    };
    let last = ceil(at).as_second() + rules.at_most.as_secs();
    let first = ceil(at).as_second();
    let borders = (0..).map(|n| first + n * BUCKET).take_while(|border| *border <= last);
    let mut until = borders.take_while(|border| is_quiet(*border)).last()?;
    if limits.iter().any(|limit| limit.forecast) {
        until = until.min((floor(at).as_second().div_euclid(HOUR) + 1) * HOUR - 1);
    }
    Timestamp::from_second(until).ok()
}

/// Bits of a figure's fraction: it is off by a thousandth at most.
const FRACTION: u32 = 10;
const ONE: u128 = 1 << FRACTION;

/// Bytes in two bytes, rounded up: as they are up to 2^10, and with eleven leading bits beyond.
fn code(bytes: u128) -> u16 {
    if bytes < ONE {
        return u16::try_from(bytes).unwrap_or(u16::MAX);
    }
    let mut exponent = bytes.ilog2() - FRACTION;
    let mut leading = bytes.div_ceil(1 << exponent);
    if leading == 2 * ONE {
        (exponent, leading) = (exponent + 1, ONE);
    }
    u16::try_from((u128::from(exponent + 1) << FRACTION) + (leading - ONE)).unwrap_or(u16::MAX)
}

/// More than anything for the largest code, which stands for all that no other can.
fn decoded(code: u16) -> u128 {
    if code == u16::MAX {
        return u128::MAX;
    }
    let (exponent, fraction) = (u32::from(code) >> FRACTION, u128::from(code) % ONE);
    match exponent.checked_sub(1) {
        None => fraction,
        Some(exponent) => (ONE + fraction) << exponent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_bytes_hold_any_use_and_never_less() {
        for bits in 0..73 {
            for off in [0, 1, 2, 3, 1000, 12_345] {
                let bytes = (1u128 << bits) + off % (1 << bits);
                let held = decoded(code(bytes));
                assert!(held >= bytes && held - bytes <= bytes / 1000, "{bytes}: {held}");
                assert!(code(bytes) >= code(bytes - 1), "{bytes}");
            }
        }
        assert_eq!((decoded(code(0)), decoded(code(2047)), decoded(code(2048))), (0, 2047, 2048));
        assert_eq!(decoded(code(2049)), 2050);
        // Far more than anybody scans is more than anything.
        assert_eq!(decoded(code(1 << 74)), u128::MAX);
    }

    #[test]
    fn it_is_remembered_in_few_characters() {
        let mut memory = Memory::default();
        let at: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        memory.most.insert("w".to_owned(), Most(20_514, [65_535; FIGURES]));
        memory.left_out("w", at);
        let text = serde_json::to_string(&memory).unwrap();
        assert_eq!(text, r#"{"most":{"w":"UCL//////////////////////////////////////////w"}}"#);
        assert_eq!(serde_json::from_str::<Memory>(&text).unwrap(), memory);
        // What is no such thing is refused, and with it what else is known of the account: then all is asked anew.
        for wrong in ["", "UCL", "UCL//////////////////////////////////////////wAA", "not base64!"] {
            let text = format!(r#"{{"most":{{"w":"{wrong}"}}}}"#);
            assert!(serde_json::from_str::<Memory>(&text).is_err(), "{wrong}");
        }
    }
}
