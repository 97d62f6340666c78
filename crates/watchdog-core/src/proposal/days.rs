//! The peak of each day: what the statistic of a plan stands on.
//!
//! Windows of an hour that end five minutes apart share eleven twelfths of their bytes, so that thousands of them are no thousands of
//! observations. Their largest of each day is one, and a day is what people count in: "on one day in twenty".

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::bytes::Bytes;
use crate::meter::Meter;
use crate::usage::Series;
use crate::window::{BUCKET, Span, Window};

/// What a workgroup has scanned over weeks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// By five-minute bucket.
    pub series: Series,
    /// Stretches of it that nothing is known of, in the order of time: what stands in the series there counts for nothing.
    pub holes: Vec<Span>,
}

/// One day's largest window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day {
    /// Its first second, UTC.
    pub start: i64,
    /// The most that a window held.
    pub peak: Bytes,
    /// The end of that window; the first one where there are several.
    pub at: i64,
    /// The windows of that day that are known in full.
    pub windows: u32,
}

/// Seconds of a day.
const DAY: i64 = 86_400;
/// And of an hour.
const HOUR: i64 = 3_600;

/// A day counts where at least two thirds of its windows are known: from fewer, its peak is as likely to be missed as seen.
const WINDOWS_OF_A_DAY: u32 = 192;

impl History {
    /// The days that are known, in the order of time. A window counts for the day that its last bucket lies in.
    pub fn days(&self, window: &Window) -> Vec<Day> {
        let mut days = grouped(&self.windows(window), DAY);
        days.retain(|day| day.windows >= WINDOWS_OF_A_DAY);
        days
    }

    /// The same for each hour of the day, UTC: an hour counts where each of its windows is known.
    pub fn hours(&self, window: &Window) -> [Vec<Day>; 24] {
        let mut hours: [Vec<Day>; 24] = Default::default();
        for hour in grouped(&self.windows(window), HOUR) {
            let of_day = usize::try_from(hour.start.rem_euclid(DAY) / HOUR).unwrap_or(0);
            if let Some(hours) = hours.get_mut(of_day).filter(|_| i64::from(hour.windows) == HOUR / BUCKET) {
                hours.push(hour);
            }
        }
        hours
    }

    /// The end of each window that is known in full, and what it held.
    fn windows(&self, window: &Window) -> Vec<(i64, Bytes)> {
        let (first, buckets) = self.series.buckets();
        let meter = Meter::from(&self.series);
        let first = first.as_second();
        let mut windows = Vec::with_capacity(buckets.len());
        let mut holes = self.holes.iter().peekable();
        for n in 1..=i64::try_from(buckets.len()).unwrap_or(0) {
            let end = first + n * BUCKET;
            let Ok(at) = Timestamp::from_second(end) else { continue };
            let from = match window {
                Window::Rolling { minutes } => end - i64::from(*minutes) * 60,
                // The window that this instant ends and not the one that it begins.
                Window::Calendar { .. } => window.span(at - SignedDuration::from_secs(1)).start.as_second(),
            };
            while holes.next_if(|hole| hole.end.as_second() <= from).is_some() {}
            if from < first || holes.peek().is_some_and(|hole| hole.start.as_second() < end) {
                continue;
            }
            // A sum that no 64 bits hold is no use; it stays the largest there is.
            let sum = meter.between(from, end);
            windows.extend(sum.map(|sum| (end, u64::try_from(sum).map_or(Bytes::new(u64::MAX), Bytes::new))));
        }
        windows
    }

    /// The largest five-minute bucket and when it began.
    pub fn largest_bucket(&self) -> Option<(Bytes, Timestamp)> {
        let (first, buckets) = self.series.buckets();
        let (n, bytes) = buckets.iter().enumerate().max_by_key(|(n, bytes)| (**bytes, std::cmp::Reverse(*n)))?;
        let after = i64::try_from(n).ok()?.checked_mul(BUCKET)?;
        Some((*bytes, first.checked_add(SignedDuration::from_secs(after)).ok()?))
    }

    /// The sum of several over the time that all of them know.
    pub fn sum<'h>(of: impl IntoIterator<Item = &'h Self>) -> Option<Self> {
        let of: Vec<&Self> = of.into_iter().collect();
        let start = of.iter().map(|history| history.series.buckets().0).min()?;
        let end = |history: &Self| {
            let (first, buckets) = history.series.buckets();
            first.as_second() + i64::try_from(buckets.len()).unwrap_or(0) * BUCKET
        };
        let last = of.iter().map(|history| end(history)).max()?;
        let length = usize::try_from((last - start.as_second()) / BUCKET).ok()?;
        let mut sum = vec![Bytes::ZERO; length];
        let mut holes = Vec::new();
        for history in &of {
            let (first, buckets) = history.series.buckets();
            let skip = usize::try_from((first.as_second() - start.as_second()) / BUCKET).ok()?;
            for (sum, bytes) in sum.iter_mut().skip(skip).zip(buckets) {
                *sum = Bytes::new(sum.get().saturating_add(bytes.get()));
            }
            holes.extend(history.holes.iter().copied());
        }
        holes.sort_by_key(|hole| (hole.start, hole.end));
        Some(Self { series: Series::from_buckets(start, sum), holes })
    }
}

/// The largest window of each stretch of `length` seconds.
fn grouped(windows: &[(i64, Bytes)], length: i64) -> Vec<Day> {
    let mut days: Vec<Day> = Vec::new();
    for (end, sum) in windows {
        let start = (end - BUCKET).div_euclid(length) * length;
        match days.last_mut().filter(|day| day.start == start) {
            Some(day) => {
                day.windows += 1;
                if *sum > day.peak {
                    (day.peak, day.at) = (*sum, *end);
                }
            }
            None => days.push(Day { start, peak: *sum, at: *end, windows: 1 }),
        }
    }
    days
}

/// The median of some peaks; `None` of none. Of an even number, the upper of the two in the middle: a peak that was there.
pub fn median(peaks: impl IntoIterator<Item = Bytes>) -> Option<Bytes> {
    let mut peaks: Vec<Bytes> = peaks.into_iter().collect();
    peaks.sort_unstable();
    peaks.get(peaks.len() / 2).copied()
}

/// The day of the week, UTC.
pub fn weekday(start: i64) -> Option<Weekday> {
    Some(Timestamp::from_second(start).ok()?.to_zoned_datetime(TimeZone::UTC).weekday())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour() -> Window {
        Window::Rolling { minutes: 60 }
    }

    fn history(first: &str, buckets: Vec<u64>) -> History {
        let buckets = buckets.into_iter().map(Bytes::new).collect();
        History { series: Series::from_buckets(first.parse().unwrap(), buckets), holes: Vec::new() }
    }

    /// Every window of every day, added up one by one.
    #[test]
    fn a_days_peak_is_its_largest_window() {
        let values: Vec<u64> = (0..288 * 3 + 100u64).map(|n| n * 7919 % 1013).collect();
        let days = history("2026-03-01T00:00:00Z", values.clone()).days(&hour());
        assert_eq!(days.len(), 3, "the rest of the fourth day is too little of it");
        for (n, day) in days.iter().enumerate() {
            let ends = (n * 288 + 1..=(n + 1) * 288).filter(|end| *end >= 12);
            let peak = ends.clone().map(|end| values[end - 12..end].iter().sum::<u64>()).max().unwrap();
            assert_eq!((day.peak.get(), day.windows), (peak, u32::try_from(ends.count()).unwrap()), "day {n}");
        }
    }

    #[test]
    fn a_hole_takes_the_windows_that_reach_into_it() {
        let mut history = history("2026-03-01T00:00:00Z", vec![1; 288 * 2]);
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        history.holes.push(Span { start: at("2026-03-01T10:00:00Z"), end: at("2026-03-01T11:00:00Z") });
        let days = history.days(&hour());
        // 11 windows at the start lack their beginning; those that end from 10:05 to 11:55 reach into the hole.
        assert_eq!(days.iter().map(|day| day.windows).collect::<Vec<_>>(), [288 - 11 - 23, 288]);
        history.holes.push(Span { start: at("2026-03-02T03:00:00Z"), end: at("2026-03-02T13:00:00Z") });
        assert_eq!(history.days(&hour()).len(), 1, "a day of which too little is known is none");
    }

    #[test]
    fn calendar_windows_end_with_their_day() {
        let window = Window::parse("calendar day", &TimeZone::UTC).unwrap();
        let days = history("2026-03-01T00:00:00Z", vec![2; 288 * 2]).days(&window);
        assert_eq!(days.iter().map(|day| day.peak.get()).collect::<Vec<_>>(), [576, 576]);
    }

    #[test]
    fn sums_start_with_the_first_and_end_with_the_last() {
        let (a, b) =
            (history("2026-03-01T00:10:00Z", vec![1, 2, 3]), history("2026-03-01T00:00:00Z", vec![10, 20, 30]));
        let sum = History::sum([&a, &b]).unwrap();
        let got: Vec<u64> = sum.series.buckets().1.iter().map(|bytes| bytes.get()).collect();
        assert_eq!(
            (sum.series.buckets().0.to_string().as_str(), got),
            ("2026-03-01T00:00:00Z", vec![10, 20, 31, 2, 3])
        );
        assert_eq!(
            a.largest_bucket().map(|(bytes, at)| (bytes.get(), at.to_string())),
            Some((3, "2026-03-01T00:20:00Z".to_owned()))
        );
    }
}
