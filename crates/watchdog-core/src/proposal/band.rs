//! How full the account's quotas of active queries have been: the band in which they swing, the hours in which they are fullest, and what is
//! left of them at the peak.

use jiff::Timestamp;

use super::days::{Day, median};
use super::expected::{Expected, expected};
use super::need::{Need, NoNeed, need};
use crate::bytes::Bytes;
use crate::percent::Percent;
use crate::policy::Class;
use crate::usage::{Peaks, Quota};
use crate::window::{BUCKET, Span};

/// The band holds eight of ten five-minute stretches in which anything was active: below it lies one of ten, above it another.
const OUTSIDE: usize = 10;

/// So many hours of the day are called the busiest.
const BUSIEST: usize = 3;

/// Where a peak leaves less than this of the quota, the next burst is refused: as the alert's `critical`.
const FULL: Percent = Percent::whole(90);

/// What would be asked for leaves so much room that what is needed does not even warn: as the alert's `warn`.
const ROOM: u64 = 80;

/// What passes a quota today often does so tomorrow, as with windows of an hour.
const CLUMP: u32 = 2;

const DAY: i64 = 86_400;
const HOUR: i64 = 3_600;

/// The active queries of one class over weeks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// The class.
    pub class: Class,
    /// The most at once, by bucket; a bucket without a value is proven to have had none.
    pub peaks: Peaks,
    /// The time that is known. Days that it does not hold whole are left out, but for the largest of all.
    pub span: Span,
    /// What they are measured by, as it is now; `None` where it is not known.
    pub quota: Option<Quota>,
}

/// How full a quota has been.
#[derive(Debug, Clone, PartialEq)]
pub struct Band {
    /// Where one stretch in ten with anything active is below, and one above.
    pub usual: Swing,
    /// Stretches of five minutes with anything active, and all of them.
    pub active: (u64, u64),
    /// The most at once, and when: the start of its stretch, the first one where several have it.
    pub peak: (u64, Timestamp),
    /// Each day.
    pub days: Vec<DayBand>,
    /// The median over the days of the most in each hour of the day, UTC; zero where half of the days have nothing.
    pub hours: [u64; 24],
    /// What a day in twenty passes, or why that cannot be said. Its bytes are queries.
    pub need: Result<Need, NoNeed>,
    /// How often the quota was reached; `None` where it is not known, and where there is no whole day.
    pub reached: Option<Reached>,
}

/// The lower and the upper end of a band, in queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Swing {
    /// One stretch in ten has less.
    pub low: u64,
    /// One in ten has more.
    pub high: u64,
}

/// A day's band.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayBand {
    /// Its first second, UTC.
    pub start: i64,
    /// `None` of a day on which nothing was active.
    pub swing: Option<Swing>,
    /// The most at once.
    pub peak: u64,
    /// The start of the first stretch that has it; of a day without any, that of the day.
    pub at: i64,
}

/// Days on which a quota was reached, so that the next queries would have been refused.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reached {
    /// How many.
    pub times: u32,
    /// Of so many.
    pub of: u32,
    /// The last one's first second.
    pub last: Option<i64>,
    /// Of the next days.
    pub expected: Expected,
}

/// The band of what was counted; `None` where nothing was ever active. `next` is the number of days to come that are spoken of.
pub fn band(counted: &Counted, next: u32) -> Option<Band> {
    let inside: Vec<(i64, u64)> =
        counted.peaks.within(counted.span).filter(|(_, n)| *n > 0).map(|(at, n)| (at.as_second(), n)).collect();
    let peak = inside.iter().copied().max_by_key(|(at, n)| (*n, std::cmp::Reverse(*at)))?;
    let days = days(counted.span, &inside);
    let as_days: Vec<Day> = days
        .iter()
        .map(|day| {
            // The same statistic as of bytes: a day's largest value is one observation, whatever is counted.
            let windows = u32::try_from(DAY / BUCKET).unwrap_or(u32::MAX);
            Day { start: day.start, peak: Bytes::new(day.peak), at: day.at + BUCKET, windows }
        })
        .collect();
    let buckets = (counted.span.end.as_second() - counted.span.start.as_second()).max(0) / BUCKET;
    Some(Band {
        usual: swing(inside.iter().map(|(_, n)| *n).collect())?,
        active: (u64::try_from(inside.len()).ok()?, u64::try_from(buckets).ok()?),
        peak: (peak.1, Timestamp::from_second(peak.0).ok()?),
        hours: hours(&days, &inside),
        need: need(&as_days),
        reached: counted.quota.and_then(|quota| reached(&days, quota.most, next)),
        days,
    })
}

impl Band {
    /// The hours of the day, UTC, whose medians are largest, in the order of the clock; those with nothing left out.
    pub fn busiest(&self) -> Vec<u8> {
        let mut hours: Vec<(u8, u64)> = (0u8..).zip(self.hours).filter(|(_, most)| *most > 0).collect();
        hours.sort_by_key(|(hour, most)| (std::cmp::Reverse(*most), *hour));
        let mut hours: Vec<u8> = hours.into_iter().take(BUSIEST).map(|(hour, _)| hour).collect();
        hours.sort_unstable();
        hours
    }

    /// The quota that would leave room over what is needed, where `quota` does not: as a number that people write down.
    pub fn better(&self, quota: u64) -> Option<u64> {
        // Without enough days the peak is all that is known.
        let needed = self.need.as_ref().map_or(self.peak.0, |need| need.bytes.get());
        if !FULL.reached_by(needed, quota) {
            return None;
        }
        let wanted = (u128::from(needed) * 100).div_ceil(u128::from(ROOM));
        // Full tens: quotas are raised by people.
        u64::try_from(wanted.div_ceil(10) * 10).ok()
    }
}

/// The whole days of `span`, with what was active on them.
fn days(span: Span, inside: &[(i64, u64)]) -> Vec<DayBand> {
    let first = (span.start.as_second() + DAY - 1).div_euclid(DAY);
    let end = span.end.as_second().div_euclid(DAY);
    let mut rest = inside;
    let mut days = Vec::new();
    for day in first..end {
        let (start, until) = (day * DAY, (day + 1) * DAY);
        rest = rest.get(rest.partition_point(|(at, _)| *at < start)..).unwrap_or_default();
        let of_day = rest.get(..rest.partition_point(|(at, _)| *at < until)).unwrap_or_default();
        let values: Vec<u64> = of_day.iter().map(|(_, n)| *n).collect();
        let (at, peak) =
            of_day.iter().copied().max_by_key(|(at, n)| (*n, std::cmp::Reverse(*at))).unwrap_or((start, 0));
        days.push(DayBand { start, swing: swing(values), peak, at });
    }
    days
}

/// The ends of the band; `None` of nothing. A value that was there, at both ends.
fn swing(mut values: Vec<u64>) -> Option<Swing> {
    values.sort_unstable();
    let outside = values.len() / OUTSIDE;
    let high = values.len().checked_sub(outside + 1)?;
    Some(Swing { low: *values.get(outside)?, high: *values.get(high)? })
}

fn hours(days: &[DayBand], inside: &[(i64, u64)]) -> [u64; 24] {
    let mut most = vec![[0u64; 24]; days.len()];
    let first = days.first().map_or(0, |day| day.start);
    for (at, n) in inside {
        let day = usize::try_from((at - first).div_euclid(DAY)).ok();
        let hour = usize::try_from(at.rem_euclid(DAY) / HOUR).unwrap_or(0);
        if let Some(most) = day.and_then(|day| most.get_mut(day)).and_then(|hours| hours.get_mut(hour)) {
            *most = (*most).max(*n);
        }
    }
    std::array::from_fn(|hour| {
        let of_hour = most.iter().filter_map(|hours| hours.get(hour)).map(|n| Bytes::new(*n));
        median(of_hour).map_or(0, Bytes::get)
    })
}

fn reached(days: &[DayBand], quota: u64, next: u32) -> Option<Reached> {
    let of = u32::try_from(days.len()).ok().filter(|of| *of > 0)?;
    let full: Vec<i64> = days.iter().filter(|day| day.peak >= quota).map(|day| day.start).collect();
    let times = u32::try_from(full.len()).unwrap_or(u32::MAX);
    Some(Reached { times, of, last: full.last().copied(), expected: expected(times, of, next, CLUMP) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// So many days from 2026-03-02 on, by the five minutes since then.
    fn counted(days: i64, quota: u64, of: impl Fn(i64) -> u64) -> Counted {
        let start = at("2026-03-02T00:00:00Z");
        let stamp = |n: i64| Timestamp::from_second(start.as_second() + n * BUCKET).unwrap();
        let peaks = Peaks::from_buckets((0..days * 288).map(|n| (stamp(n), of(n))));
        let quota = Some(Quota { most: quota, is_default: false, read: start });
        Counted { class: Class::Dml, peaks, span: Span { start, end: stamp(days * 288) }, quota }
    }

    /// From six to 22 o'clock it swings between 60 and 139, more at nine than at any other hour.
    fn busy(n: i64) -> u64 {
        let (hour, rest) = (n / 12 % 24, n * 7919 % 80);
        match hour {
            0..6 | 22.. => 0,
            9 => 150,
            _ => u64::try_from(60 + rest).unwrap(),
        }
    }

    #[test]
    fn a_swing_its_hours_and_what_is_left() {
        let band = band(&counted(21, 200, busy), 30).unwrap();
        assert_eq!((band.usual, band.active), (Swing { low: 68, high: 136 }, (21 * 192, 21 * 288)));
        assert_eq!(band.peak, (150, at("2026-03-02T09:00:00Z")));
        assert_eq!((band.hours[3], band.hours[9]), (0, 150));
        assert!(band.busiest().contains(&9) && band.busiest().len() == 3 && band.busiest().is_sorted());
        assert_eq!(band.days.len(), 21);
        assert_eq!(band.reached.map(|reached| (reached.times, reached.of)), Some((0, 21)));
        assert_eq!(band.need.as_ref().map(|need| need.bytes.get()), Ok(150));
        assert_eq!((band.better(200), band.better(167), band.better(166)), (None, None, Some(190)));
    }

    #[test]
    fn a_quota_that_was_reached_and_one_that_nobody_knows() {
        let mut counted = counted(10, 100, |n| if n / 288 % 5 == 2 && n % 288 == 100 { 100 } else { 30 });
        let of = band(&counted, 30).unwrap();
        let reached = of.reached.unwrap();
        assert_eq!((reached.times, reached.of, reached.last), (2, 10, Some(at("2026-03-09T00:00:00Z").as_second())));
        // One burst of five minutes does not move the band.
        assert_eq!(of.usual, Swing { low: 30, high: 30 });
        counted.quota = None;
        assert_eq!(band(&counted, 30).unwrap().reached, None);
    }

    #[test]
    fn idleness_is_none_and_a_part_of_a_day_is_no_day() {
        assert_eq!(band(&counted(5, 200, |_| 0), 30), None);
        let mut part = counted(2, 200, |n| u64::from(n == 300) * 7);
        part.span.end = at("2026-03-03T12:00:00Z");
        let band = band(&part, 30).unwrap();
        assert_eq!((band.days.len(), band.peak.0, band.usual), (1, 7, Swing { low: 7, high: 7 }));
        assert_eq!((band.days[0].peak, band.days[0].swing), (0, None));
        assert_eq!(band.need, Err(NoNeed::TooLittle { days: 1 }));
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

        /// At most a tenth of the stretches with anything active lies below the band, and at most a tenth above it; each day's peak is its largest.
        #[test]
        fn a_band_leaves_a_tenth_out_at_each_end(values in proptest::collection::vec(0..50u64, 288..900)) {
            let days = i64::try_from(values.len() / 288).unwrap();
            let of = |n: i64| values.get(usize::try_from(n).unwrap()).copied().unwrap_or(0);
            if let Some(band) = band(&counted(days, 40, of), 30) {
                let active: Vec<u64> = values[..usize::try_from(days * 288).unwrap()].iter().copied().filter(|n| *n > 0).collect();
                let outside = |test: &dyn Fn(u64) -> bool| active.iter().filter(|n| test(**n)).count() * 10;
                proptest::prop_assert!(outside(&|n| n < band.usual.low) <= active.len());
                proptest::prop_assert!(outside(&|n| n > band.usual.high) <= active.len());
                proptest::prop_assert_eq!(band.peak.0, active.iter().copied().max().unwrap());
                for (day, values) in band.days.iter().zip(values.chunks(288)) {
                    proptest::prop_assert_eq!(day.peak, values.iter().copied().max().unwrap());
                }
            }
        }
    }
}
