//! Whether a limit will run out soon, and about when.
//!
//! The guess in one sentence: what stays in the window is known; what comes in is guessed to go on at the pace of the last two
//! hours, and as far beyond it as it has gone at five looks out of six over the last day.
//!
//! - *Known*: of a rolling window, the bytes that will still be inside at a coming instant. Of a calendar window nothing leaves
//!   before its end, and nothing is guessed beyond it.
//! - *Pace*: bytes per bucket, the plain mean of those of the last half hour, hour and two hours, so that the newest weigh most.
//! - *Surprise*: at each bucket of the last day it is known how much more came in over the next 15, 30 and 60 minutes than
//!   the pace at that time said. A high quantile of that goes on top.
//!
//! Everything is a function of the last day's buckets and of nothing else: no training, no state to keep or to lose. The function
//! that reads a day from CloudWatch and a back-test that has seen a year come to the same result to the bit. Use with too short
//! a history is not guessed at all, and a bucket that is not known is where history begins. Floating point is used for the guess, and for nothing that is counted.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::bytes::Bytes;
use crate::meter::Meter;
use crate::percent::Percent;
use crate::usage::{Flights, InFlight, Landed};
use crate::window::{BUCKET, CalendarUnit, Window, ceil, floor};

/// How far ahead the rule looks, in buckets: 15, 30 and 60 minutes. Less is no time to act; beyond an hour, pace says
/// nothing any more about queries. The maximum of the three counts: a limit of an hour has its tightest moment anywhere in between.
const LOOKS: [usize; 3] = [3, 6, 12];

/// The spans of the pace, in buckets: half an hour, one and two hours. Their mean weighs the past about as an exponentially weighted
/// one with a half-life of half an hour does, which scores the same (within a point of recall); but it forgets in full.
const PACES: [usize; 3] = [6, 12, 24];

/// How far back the pace looks. A query that ended earlier has nothing to do with it any more.
pub const PACED: SignedDuration = SignedDuration::from_secs(PACES[2] as i64 * BUCKET);

/// How many past looks the surprise is taken from: a day, so that each time of day is in it once. Two days lost two points of
/// recall at 15 minutes on the public series for nothing; half a day knows only one half of the day's rhythm.
const MEMORY: usize = 288;

/// The fewest past looks that say anything: four hours of history. With fewer, one query makes the quantile.
const FEWEST: usize = 48;

/// The surprise is taken anew at each full hour of UTC, in buckets: 288 looks change by 4 % in an hour. It makes a look as cheap as a sum.
const RENEWED: usize = 12;

/// How much history the forecast reads beyond the bucket it stands in, in buckets: the surprise's day, the longest look, the longest
/// pace, and up to an hour since the surprise was renewed. 27 hours and a half.
pub const HISTORY: usize = MEMORY + LOOKS[2] + PACES[2] + RENEWED;

/// Share of the limit at which it counts as about to run out. Not 100 %: the twentieth is the pace of three minutes of an hour, about
/// what a guess over fifteen minutes is off by when all goes as usual.
const OPENS: Percent = Percent::whole(95);

/// Windows up to this long, in minutes, are the *short* ones.
const SHORT: u32 = 6 * 60;

/// The part of past looks that lie below the surprise that is reckoned with, as a fraction. A limit of an hour comes near its border
/// several times a day, and each time in six that it goes further is enough to be warned of; a limit of a day comes near it once, and being
/// warned a little too early there costs one mail.
const SURPRISE_SHORT: (usize, usize) = (5, 6);
const SURPRISE_LONG: (usize, usize) = (9, 10);

/// The range in which a guessed time is said to lie: eight of ten past looks lay inside.
const RANGE: [(usize, usize); 3] = [(1, 10), (1, 2), (9, 10)];

/// When a limit runs out, as far as can be guessed within the next hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outlook {
    /// Whether it counts as about to run out.
    pub will_exhaust: bool,
    /// When, at the present pace; `None` where it does not within the hour.
    pub about: Option<Timestamp>,
    /// At the earliest: one time in ten it is sooner.
    pub earliest: Option<Timestamp>,
    /// At the latest: one time in ten it is later. `None` where that lies beyond the hour, or it may well not run out at all.
    pub latest: Option<Timestamp>,
}

/// The guess of what comes in, for one workgroup at one instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Inflow {
    /// Bytes a bucket.
    pace: f64,
    short: [f64; 3],
    long: [f64; 3],
}

/// The surprise of one hour, kept until the next; it changes nothing but the time that it takes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memo {
    /// Whether nothing is asked of windows of this kind: then their surprise is not reckoned.
    no_short: bool,
    no_long: bool,
    renewed: Option<i64>,
    surprise: Option<[[f64; 3]; 2]>,
}

/// The totals of the recent past as floating point, counted from the oldest, and where in it things are.
struct Past {
    /// At each bucket border, oldest first.
    totals: Vec<f64>,
}

impl Inflow {
    /// Guesses from what `meter` knows at `at`; `None` where the history is too short. The queries in `landed` do not count for the
    /// pace: each was seen in flight before it landed, and if another one like it were to follow, that would be seen, too.
    pub fn guess(meter: &Meter, at: Timestamp, landed: &[Landed], memo: &mut Memo) -> Option<Self> {
        let now = floor(at).as_second();
        let hour = seconds(RENEWED);
        let renewed = now.div_euclid(hour) * hour;
        if memo.renewed != Some(renewed) {
            let surprise = Past::until(meter, renewed).map(|past| {
                let both = LOOKS.map(|look| match (memo.no_short, memo.no_long) {
                    (true, true) => [0.0; 2],
                    (false, true) => [past.quantiles(look, [SURPRISE_SHORT])[0], 0.0],
                    (true, false) => [0.0, past.quantiles(look, [SURPRISE_LONG])[0]],
                    (false, false) => past.quantiles(look, [SURPRISE_SHORT, SURPRISE_LONG]),
                });
                [both.map(|[short, _]| short), both.map(|[_, long]| long)]
            });
            *memo = Memo { renewed: Some(renewed), surprise, ..*memo };
        }
        let [short, long] = memo.surprise?;
        Some(Self { pace: pace(meter, now, landed)?, short, long })
    }

    /// Whether a limit could count as about to run out in a look from the border `now` on (in the bucket that begins there, where it is
    /// `unfinished`), if no more comes in than `between` says of any two borders: the rule of [`View::will_exhaust`] with the most
    /// in the place of what is known. The surprise is this guess's, so that it holds until the next full hour.
    pub(crate) fn could_run_out(
        &self,
        window: &Window,
        limit: Bytes,
        now: i64,
        unfinished: bool,
        between: impl Fn(i64, i64) -> Option<u128>,
    ) -> bool {
        let enough = OPENS.of(limit).unwrap_or(limit).get() as f64;
        let came = PACES.map(|span| between(now - seconds(span), now).map(float));
        let [Some(half), Some(hour), Some(hours)] = came else { return true };
        let pace = weighed([half, hour, hours]) / WHOLE;
        let surprise = if is_long(window) { self.long } else { self.short };
        let landing = if unfinished { between(now, now + BUCKET).map_or(f64::INFINITY, float) } else { 0.0 };
        LOOKS.iter().zip(surprise).any(|(look, surprise)| {
            let then = now + seconds(*look);
            let at = Timestamp::from_second(now + i64::from(unfinished)).unwrap_or(Timestamp::MAX);
            let Some(start) = reaches(window, at, then).filter(|start| *start <= now) else { return false };
            let guessed = *look as f64 * pace + surprise;
            between(start, now).is_none_or(|kept| float(kept) + guessed.max(landing) >= enough)
        })
    }
}

impl Memo {
    /// One for these windows only.
    pub fn for_windows<'w>(windows: impl Iterator<Item = &'w Window>) -> Self {
        let (mut no_short, mut no_long) = (true, true);
        for window in windows {
            if is_long(window) { no_long = false } else { no_short = false }
        }
        Self { no_short, no_long, ..Self::default() }
    }
}

/// Bytes a bucket before the border `now`, without those of `landed`.
fn pace(meter: &Meter, now: i64, landed: &[Landed]) -> Option<f64> {
    let came = |span: usize| Some(float(meter.between(now - seconds(span), now)?));
    let came = PACES.map(came);
    let mut came = [came[0]?, came[1]?, came[2]?];
    let mut by_bucket: BTreeMap<i64, u128> = BTreeMap::new();
    for landed in landed {
        *by_bucket.entry(floor(landed.at).as_second()).or_default() += u128::from(landed.bytes.get());
    }
    for (bucket, bytes) in by_bucket {
        // No more than the metric has of them: it may be behind.
        let Some(known) = meter.between(bucket, bucket + BUCKET) else { continue };
        for (came, span) in came.iter_mut().zip(PACES) {
            if (now - seconds(span)..now).contains(&bucket) {
                *came = (*came - float(known.min(bytes))).max(0.0);
            }
        }
    }
    Some(weighed(came) / WHOLE)
}

/// The mean of the means over [`PACES`] is this divided by [`WHOLE`]: without a division for each, and exact below 2^50 bytes.
fn weighed(came: [f64; 3]) -> f64 {
    const WEIGHTS: [f64; 3] = [(PACES[2] / PACES[0]) as f64, (PACES[2] / PACES[1]) as f64, 1.0];
    came[0] * WEIGHTS[0] + came[1] * WEIGHTS[1] + came[2] * WEIGHTS[2]
}

/// See [`weighed`].
const WHOLE: f64 = (PACES.len() * PACES[2]) as f64;

impl Past {
    /// The day before the border `until`, with what the looks and the pace need beside it; `None` where too little is known.
    fn until(meter: &Meter, until: i64) -> Option<Self> {
        // Not beyond a bucket that is not known: what was before it says no more of what came after it.
        let oldest = (until - seconds(MEMORY + LOOKS[2] + PACES[2])).max(meter.known_since(until));
        // What is before the first use is no history: a workgroup that was idle or not there has shown nothing.
        let mut totals: Vec<f64> = Vec::with_capacity(HISTORY);
        totals.extend(meter.since_border(oldest, until)?.map(float));
        let unused = totals.iter().position(|total| *total > 0.0)?.saturating_sub(1);
        totals.drain(..unused);
        (totals.len() > FEWEST + LOOKS[2] + PACES[2]).then_some(Self { totals })
    }

    /// Quantiles of how much more came in over `look` buckets than the pace said; their parts ascend.
    fn quantiles<const N: usize>(&self, look: usize, at: [(usize, usize); N]) -> [f64; N] {
        let newest = self.totals.len() - 1;
        let (from, to) = (PACES[2].max((newest - look).saturating_sub(MEMORY - 1)), newest - look);
        // What the borders from `from` to `to` had before them and after them, side by side.
        let shifted = |by: usize| &self.totals[by..=by + to - from];
        let (now, then) = (shifted(from), shifted(from + look));
        let sums_before = PACES.map(|span| shifted(from - span));
        let expected = look as f64 / WHOLE;
        let mut beyond = [0.0; MEMORY];
        let beyond = &mut beyond[..now.len()];
        for (i, beyond) in beyond.iter_mut().enumerate() {
            let came = [now[i] - sums_before[0][i], now[i] - sums_before[1][i], now[i] - sums_before[2][i]];
            *beyond = then[i] - now[i] - weighed(came) * expected;
        }
        // What lies below one quantile need not be looked at for the next.
        let (all, mut below) = (beyond.len(), 0);
        at.map(|(part, of)| {
            let index = (all * part / of).clamp(below, all - 1);
            let rest = &mut beyond[below..];
            let found = *rest.select_nth_unstable_by(index - below, f64::total_cmp).1;
            below = index;
            found
        })
    }
}

/// A limit as the forecast sees it at one instant.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The workgroup's past.
    pub meter: &'a Meter,
    /// The limit's window.
    pub window: &'a Window,
    /// The limit.
    pub limit: Bytes,
    /// The instant.
    pub at: Timestamp,
    /// Its queries, as far as they are known.
    pub flights: &'a Flights,
}

impl View<'_> {
    /// Whether the limit counts as about to run out; `None` where nothing can be said.
    pub fn will_exhaust(&self, inflow: Option<&Inflow>) -> Option<bool> {
        let enough = OPENS.of(self.limit).unwrap_or(self.limit).get() as f64;
        let mut looks = LOOKS.iter().enumerate().filter_map(|(n, look)| {
            let (kept, landing) = self.ahead(*look)?;
            let guessed = inflow.map(|inflow| {
                let surprise = if is_long(self.window) { inflow.long } else { inflow.short };
                *look as f64 * inflow.pace + surprise[n]
            });
            Some(kept + guessed.map_or(landing, |guessed| guessed.max(landing)))
        });
        let reached = looks.any(|use_then| use_then >= enough);
        // What is in flight is known without any history.
        (inflow.is_some() || reached).then_some(reached)
    }

    /// When it runs out, within the next hour; `None` where nothing can be said.
    pub fn outlook(&self, inflow: Option<&Inflow>) -> Option<Outlook> {
        let will_exhaust = self.will_exhaust(inflow)?;
        let now = floor(self.at).as_second();
        let past = inflow.and_then(|inflow| Some((inflow.pace, Past::until(self.meter, now)?)));
        let mut reached = [None; 3];
        for look in 1..=LOOKS[2] {
            if reached.iter().all(Option::is_some) {
                break;
            }
            let Some((kept, landing)) = self.ahead(look) else { break };
            let guesses = match &past {
                Some((pace, past)) => past.quantiles(look, RANGE).map(|surprise| look as f64 * pace + surprise),
                None => [0.0; 3],
            };
            for (reached, guess) in reached.iter_mut().zip(guesses) {
                if kept + guess.max(landing) >= self.limit.get() as f64 {
                    let then = Timestamp::from_second(now + seconds(look)).unwrap_or(Timestamp::MAX);
                    reached.get_or_insert(then);
                }
            }
        }
        let [latest, about, earliest] = reached;
        // Without a past nothing says how sure it is.
        let sure = past.is_some();
        Some(Outlook { will_exhaust, about, earliest: earliest.filter(|_| sure), latest: latest.filter(|_| sure) })
    }

    /// At the border `look` buckets ahead: what of today's bytes will still count, and what is known to come in until then:
    /// what the unfinished bucket holds already, and what is in flight. `None` where the window does not reach that far.
    fn ahead(&self, look: usize) -> Option<(f64, f64)> {
        let now = floor(self.at).as_second();
        let then = now + seconds(look);
        let start = reaches(self.window, self.at, then).filter(|start| *start <= now)?;
        let kept = float(self.meter.between(start.max(self.meter.since()), now)?);
        let unfinished = float(self.meter.between(now, ceil(self.at).as_second()).unwrap_or(0));
        Some((
            kept,
            unfinished + self.flights.running.iter().map(|query| query.lands_within(self.at, look)).sum::<f64>(),
        ))
    }
}

/// Where a window begins, in seconds, that ends at the border `then`, as it is seen at `at`; `None` where another one has begun by then.
fn reaches(window: &Window, at: Timestamp, then: i64) -> Option<i64> {
    match window {
        Window::Rolling { minutes } => Some(then - i64::from(*minutes) * 60),
        Window::Calendar { .. } => {
            let goes_on = window.ends(at).is_none_or(|end| then <= end.as_second());
            goes_on.then(|| window.span(at).start.as_second())
        }
    }
}

fn is_long(window: &Window) -> bool {
    match window {
        Window::Rolling { minutes } => *minutes > SHORT,
        Window::Calendar { unit, .. } => *unit == CalendarUnit::Day,
    }
}

/// In halves: nearly all counts fit 64 bits, for which this is the same and two instructions, where the conversion of 128 bits is a call.
fn float(bytes: u128) -> f64 {
    const OF_HIGH: f64 = 18_446_744_073_709_551_616.0;
    (bytes >> 64) as u64 as f64 * OF_HIGH + bytes as u64 as f64
}

impl InFlight {
    /// How many bytes it will have scanned when it ends, if it ends at the latest `look` buckets from `at`: at its own mean rate so far, and
    /// for no longer than half as long again as it has run already. A query is met at any part of its life alike, so that it is still in its first
    /// two thirds two times in three, and goes on for that long at least; what has just begun may be over at once.
    fn lands_within(&self, at: Timestamp, look: usize) -> f64 {
        let Some(scanned) = self.scanned else { return 0.0 };
        // Clocks differ: one that is yet to begin has run for no time.
        let age = at.duration_since(self.started).as_secs().max(0);
        let more = (age / 2).min(seconds(look)) as f64 / age.max(1) as f64;
        scanned.get() as f64 * (1.0 + more)
    }

    /// Bytes a second since it started; `None` where they are not known.
    pub fn rate(&self, at: Timestamp) -> Option<Bytes> {
        let age = u64::try_from(at.duration_since(self.started).as_secs()).ok()?.max(1);
        self.scanned.map(|scanned| Bytes::new(scanned.get() / age))
    }
}

fn seconds(buckets: usize) -> i64 {
    i64::try_from(buckets).unwrap_or(i64::MAX).saturating_mul(BUCKET)
}
