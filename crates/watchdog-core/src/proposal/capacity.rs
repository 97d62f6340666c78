//! What the account can take, learnt from the hours in which queries waited or were refused.
//!
//! An hour of the clock is one observation: so many bytes, and whether any query waited in it. The chance of waiting is taken to grow with the
//! bytes and in no other way (isotonic regression, by pooling adjacent violators: Ayer et al., 1955); the capacity is the least number of bytes
//! at which it is a half. Waiting hangs on the number of queries as well as on their bytes, so it is said how often they also
//! waited below it, and where no such number exists nothing is learnt.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::days::History;
use crate::bytes::Bytes;
use crate::window::{BUCKET, Span};

/// A wait of less is Athena's usual moment, as for a workgroup's `waiting`.
pub const SHORTEST_WAIT_MS: u64 = 10_000;

/// From fewer hours in which queries waited nothing is learnt: one orchestrator's odd night is no capacity.
const FEWEST_HOURS: u32 = 5;

/// And from fewer days of hours without any waiting: what was never tried is not known to be possible.
const FEWEST_DAYS: u32 = 5;

const HOUR: i64 = 3_600;

/// All that is known of the account's queries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The use of all workgroups that are known, added up.
    pub history: History,
    /// The time in which it is known whether queries waited.
    pub span: Span,
    /// Five-minute buckets in which a query had waited for [`SHORTEST_WAIT_MS`] or more, or in which as many were active as the quota has.
    pub strained: BTreeSet<Timestamp>,
}

/// What was learnt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Learnt {
    /// From `bytes` in an hour on, queries waited.
    From {
        /// The least that an hour had at which the chance that queries wait is a half or more.
        bytes: Bytes,
        /// Hours with so much or more: those with queries that waited, and all.
        above: (u32, u32),
        /// The same of hours with less.
        below: (u32, u32),
    },
    /// None waited; the account can take the most that it has taken, and perhaps more.
    Never {
        /// The most that an hour had.
        bytes: Bytes,
        /// Hours that are known.
        hours: u32,
    },
}

/// Why nothing was learnt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unlearnt {
    /// Too little is known.
    TooLittle {
        /// Hours that are known.
        hours: u32,
    },
    /// Queries waited in too few hours to say from how many bytes on they do.
    Seldom {
        /// In how many.
        strained: u32,
        /// Of how many.
        hours: u32,
    },
    /// They waited in hours with few bytes as in hours with many: it hangs on something else, such as their number.
    NotBytes {
        /// In how many they waited.
        strained: u32,
        /// Of how many.
        hours: u32,
    },
}

impl std::fmt::Display for Unlearnt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLittle { hours } => write!(
                f,
                "it cannot be learnt, for use and waiting are known of {hours} hours, and it takes {}",
                FEWEST_DAYS * 24
            ),
            Self::Seldom { strained, hours } => write!(
                f,
                "it cannot be learnt, for queries waited, or as many were active as the quota has, in {strained} of {hours} hours, and it takes {FEWEST_HOURS}"
            ),
            Self::NotBytes { strained, hours } => write!(
                f,
                "it cannot be learnt, for queries waited, or as many were active as the quota has, in {strained} of {hours} hours, in those with few bytes as in \
                 those with many; it may hang on their number"
            ),
        }
    }
}

impl Learnt {
    /// What the account can take in an hour, as far as is known.
    pub fn bytes(self) -> Bytes {
        match self {
            Self::From { bytes, .. } | Self::Never { bytes, .. } => bytes,
        }
    }
}

/// What the account can take in an hour.
///
/// # Errors
/// [`Unlearnt`] where that cannot be said.
pub fn learn(account: &Account) -> Result<Learnt, Unlearnt> {
    let mut hours = hours(account);
    let all = u32::try_from(hours.len()).unwrap_or(u32::MAX);
    let strained = count(&hours);
    if all < FEWEST_DAYS * 24 {
        return Err(Unlearnt::TooLittle { hours: all });
    }
    hours.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
    if strained == 0 {
        let most = hours.first().map_or(Bytes::ZERO, |(bytes, _)| *bytes);
        return if most > Bytes::ZERO {
            Ok(Learnt::Never { bytes: most, hours: all })
        } else {
            Err(Unlearnt::TooLittle { hours: 0 })
        };
    }
    if strained < FEWEST_HOURS {
        return Err(Unlearnt::Seldom { strained, hours: all });
    }
    // From the fewest bytes to the most; hours that are alike belong together.
    hours.reverse();
    let mut blocks: Vec<Block> = Vec::new();
    for alike in hours.chunk_by(|a, b| a.0 == b.0) {
        let bytes = alike.first().map_or(Bytes::ZERO, |(bytes, _)| *bytes);
        let seen = u32::try_from(alike.len()).unwrap_or(u32::MAX);
        let mut block = Block { bytes, waited: count(alike), seen };
        // Where more bytes would mean less waiting, the two are one.
        while let Some(before) = blocks.pop_if(|before| before.is_above(&block)) {
            block = Block { bytes: before.bytes, waited: before.waited + block.waited, seen: before.seen + block.seen };
        }
        blocks.push(block);
    }
    let place = blocks.iter().position(|block| block.waited * 2 >= block.seen).unwrap_or(blocks.len());
    let (below, above) = blocks.split_at(place);
    let add = |of: &[Block]| of.iter().fold((0, 0), |(waited, seen), block| (waited + block.waited, seen + block.seen));
    let (above_sum, below_sum) = (add(above), add(below));
    match above.first() {
        Some(block) if block.bytes > Bytes::ZERO && above_sum.0 >= FEWEST_HOURS => {
            Ok(Learnt::From { bytes: block.bytes, above: above_sum, below: below_sum })
        }
        _ => Err(Unlearnt::NotBytes { strained, hours: all }),
    }
}

/// Hours next to each other with one chance of waiting: the fewest bytes among them, those with waiting, and all.
struct Block {
    bytes: Bytes,
    waited: u32,
    seen: u32,
}

impl Block {
    /// Whether queries waited more often here than there, which has more bytes.
    fn is_above(&self, more: &Self) -> bool {
        u64::from(self.waited) * u64::from(more.seen) > u64::from(more.waited) * u64::from(self.seen)
    }
}

fn count(hours: &[(Bytes, bool)]) -> u32 {
    u32::try_from(hours.iter().filter(|(_, is_strained)| *is_strained).count()).unwrap_or(u32::MAX)
}

/// The whole hours of the clock of which both is known.
fn hours(account: &Account) -> Vec<(Bytes, bool)> {
    let (first, buckets) = account.history.series.buckets();
    let first = first.as_second();
    let start = first.max(account.span.start.as_second());
    let end = account.span.end.as_second().min(first + i64::try_from(buckets.len()).unwrap_or(0) * BUCKET);
    let holes = &account.history.holes;
    let mut hours = Vec::new();
    let mut hour = (start + HOUR - 1).div_euclid(HOUR) * HOUR;
    while hour + HOUR <= end {
        let (from, until) = (hour, hour + HOUR);
        hour = until;
        if holes.iter().any(|hole| hole.start.as_second() < until && hole.end.as_second() > from) {
            continue;
        }
        let place = |at: i64| usize::try_from((at - first) / BUCKET).unwrap_or(usize::MAX);
        let of_hour = buckets.get(place(from)..place(until)).unwrap_or_default();
        let sum = of_hour.iter().fold(0u64, |sum, bytes| sum.saturating_add(bytes.get()));
        let stamp = |second| Timestamp::from_second(second).unwrap_or(Timestamp::MAX);
        let is_strained = account.strained.range(stamp(from)..stamp(until)).next().is_some();
        hours.push((Bytes::new(sum), is_strained));
    }
    hours
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::Series;

    /// Hours from 2026-03-02 on: the bytes of each, and whether queries waited.
    fn account(hours: &[(u64, bool)]) -> Account {
        let start: Timestamp = "2026-03-02T00:00:00Z".parse().unwrap();
        let at = |n: usize| Timestamp::from_second(start.as_second() + i64::try_from(n).unwrap() * BUCKET).unwrap();
        let buckets = hours.iter().flat_map(|(bytes, _)| (0..12).map(|n| Bytes::new(if n == 3 { *bytes } else { 0 })));
        let strained = hours.iter().enumerate().filter(|(_, (_, waited))| *waited).map(|(n, _)| at(n * 12 + 11));
        Account {
            history: History { series: Series::from_buckets(start, buckets.collect()), holes: Vec::new() },
            span: Span { start, end: at(hours.len() * 12) },
            strained: strained.collect(),
        }
    }

    #[track_caller]
    fn check(hours: &[(u64, bool)], expected: Result<Learnt, Unlearnt>) {
        assert_eq!(learn(&account(hours)), expected);
    }

    fn days(n: usize, of: impl Fn(usize) -> (u64, bool)) -> Vec<(u64, bool)> {
        (0..n * 24).map(of).collect()
    }

    #[test]
    fn the_least_bytes_at_which_half_of_the_hours_wait() {
        // Ten days: each hour has its number of terabytes, and from 20 on queries wait.
        let hours = days(10, |n| ((n % 24) as u64, n % 24 >= 20));
        check(&hours, Ok(Learnt::From { bytes: Bytes::new(20), above: (40, 40), below: (0, 200) }));
        // An odd night of many small ones does not move it.
        let mut hours = hours;
        hours[2].1 = true;
        check(&hours, Ok(Learnt::From { bytes: Bytes::new(20), above: (40, 40), below: (1, 200) }));
        // Nor do ten quiet hours with the most of all.
        for n in 0..10 {
            hours[n * 24 + 23].1 = false;
        }
        check(&hours, Ok(Learnt::From { bytes: Bytes::new(20), above: (30, 40), below: (1, 200) }));
    }

    #[test]
    fn what_was_never_reached_is_the_most_that_was() {
        check(&days(5, |n| (n as u64, false)), Ok(Learnt::Never { bytes: Bytes::new(119), hours: 120 }));
        check(&days(4, |n| (n as u64, false)), Err(Unlearnt::TooLittle { hours: 96 }));
        check(&days(5, |_| (0, false)), Err(Unlearnt::TooLittle { hours: 0 }));
    }

    #[test]
    fn waiting_that_does_not_hang_on_bytes_teaches_nothing() {
        check(&days(10, |n| (n as u64, n < 4)), Err(Unlearnt::Seldom { strained: 4, hours: 240 }));
        check(&days(10, |n| (n as u64, n < 40)), Err(Unlearnt::NotBytes { strained: 40, hours: 240 }));
        // Hours without any bytes are no capacity, also where queries wait in most of them.
        check(&days(10, |n| (u64::from(n % 3 == 0), n % 3 > 0)), Err(Unlearnt::NotBytes { strained: 160, hours: 240 }));
    }

    #[test]
    fn only_whole_hours_of_which_both_is_known_count() {
        let mut account = account(&days(6, |n| (5 + (n % 2) as u64, n % 2 == 1)));
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        account.span.start = at("2026-03-02T00:30:00Z");
        account.history.holes.push(Span { start: at("2026-03-03T03:55:00Z"), end: at("2026-03-03T04:05:00Z") });
        let Ok(Learnt::From { above, below, .. }) = learn(&account) else { panic!("{account:?}") };
        // Of 144 hours the first, and the two that the hole touches, are not known.
        assert_eq!(above.1 + below.1, 141);
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

        /// Against the definition: the chance at `i` is the largest of the least means of what ends at `i` or later and begins at `i` or before.
        #[test]
        fn it_is_where_the_chance_is_a_half(hours in proptest::collection::vec((0..9u64, proptest::bool::ANY), 120..200)) {
            let of = |n: u64| hours.iter().filter(|(bytes, _)| *bytes == n).map(|(_, waited)| u64::from(*waited)).collect::<Vec<_>>();
            let groups: Vec<(u64, Vec<u64>)> = (0..9).map(|n| (n, of(n))).filter(|(_, of)| !of.is_empty()).collect();
            let is_half = |s: usize, t: usize| {
                let all: Vec<u64> = groups[s..=t].iter().flat_map(|(_, of)| of.clone()).collect();
                all.iter().sum::<u64>() * 2 >= all.len() as u64
            };
            let holds = |i: usize| (0..=i).any(|s| (i..groups.len()).all(|t| is_half(s, t)));
            let first = (0..groups.len()).find(|i| holds(*i)).map(|i| groups[i].0);
            let waited_from = |n: u64| hours.iter().filter(|(bytes, waited)| *bytes >= n && *waited).count();
            let expected = first.filter(|n| *n > 0 && waited_from(*n) >= 5);
            let got = learn(&account(&hours)).ok().map(|learnt| learnt.bytes().get());
            if hours.iter().filter(|(_, waited)| *waited).count() >= 5 {
                proptest::prop_assert_eq!(got, expected);
            }
        }
    }
}
