//! How a window has filled, in few points, however long the window: what a picture of it needs.

use jiff::Timestamp;

use crate::bytes::Bytes;
use crate::meter::Meter;
use crate::trace::block;
use crate::window::{BUCKET, Span, Window, ceil};

/// The most points of a trail: one per bucket of a day, and more than a picture of 1,080 dots shows apart.
const MOST: i64 = 288;

/// The bytes scanned since a window began, at equal steps up to the instant that is judged. They only ever grow, and the last is what
/// the window holds; so a step up is a time at which much was scanned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trail {
    /// The window, as far as it has come.
    pub span: Span,
    /// When a calendar window ends; a rolling one has no end.
    pub ends: Option<Timestamp>,
    /// Seconds between two points; a multiple of the bucket's.
    step: i64,
    /// What was scanned from the start to the end of each step; the last step ends with the span.
    sums: Vec<Bytes>,
}

impl Trail {
    /// One of which nothing is known, for a judgement that nobody will see a picture of.
    pub fn unknown(span: Span) -> Self {
        Self { span, ends: None, step: BUCKET, sums: Vec::new() }
    }

    /// What `meter` knows of the window at `at`; without points where that is not all of it.
    pub fn of(meter: &Meter, window: &Window, at: Timestamp) -> Self {
        let span = window.span(at);
        let (start, end) = (span.start.as_second(), ceil(span.end).as_second());
        let buckets = ((end - start) / BUCKET).max(0);
        let stride = ((buckets + MOST - 1) / MOST).max(1);
        let sums = meter.since_border(start, end).map(|totals| {
            let last = usize::try_from(buckets).unwrap_or(0);
            let stride = usize::try_from(stride).unwrap_or(1);
            let kept = totals.enumerate().filter(|(n, _)| *n > 0 && (n % stride == 0 || *n == last));
            kept.map(|(_, total)| Bytes::new(u64::try_from(total).unwrap_or(u64::MAX))).collect()
        });
        Self { span, ends: window.ends(at), step: stride * BUCKET, sums: sums.unwrap_or_default() }
    }

    /// The end of each step in seconds, and what had been scanned by then; in the order of time, the last at the span's end.
    pub fn points(&self) -> impl Iterator<Item = (i64, Bytes)> {
        let (start, end, step) = (self.span.start.as_second(), self.span.end.as_second(), self.step);
        let at = move |n: usize| (start + (i64::try_from(n).unwrap_or(0) + 1) * step).min(end);
        self.sums.iter().enumerate().map(move |(n, sum)| (at(n), *sum))
    }

    /// How much of `limit` had been scanned by the end of each of so many equal parts of the time so far, a block each; empty where nothing
    /// is known.
    pub fn blocks(&self, limit: Bytes, cells: i64) -> String {
        if self.is_empty() {
            return String::new();
        }
        let (start, end) = (self.span.start.as_second(), self.span.end.as_second());
        let cell = |n: i64| {
            let at = start + (end - start) * (n + 1) / cells;
            // What was scanned inside a step shows at its end.
            let sum = self.points().take_while(|(point, _)| *point <= at).last().map_or(Bytes::ZERO, |(_, sum)| sum);
            block(sum, limit)
        };
        (0..cells).map(cell).collect()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.sums.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    /// A meter with 1, 2, 3, ... bytes in the buckets from `since` on.
    fn meter(since: i64, buckets: i64) -> Meter {
        let at = |n: i64| Timestamp::from_second(since + n * BUCKET).unwrap();
        let mut meter = Meter::new(at(0), usize::try_from(buckets).unwrap());
        (0..buckets).for_each(|n| meter.add(at(n), Bytes::new(u64::try_from(n + 1).unwrap())));
        meter
    }

    /// Every point is the sum that the meter itself gives for the window up to there, and the last is what is used.
    #[track_caller]
    fn check(window: &str, at: i64, most: usize) {
        let window = Window::parse(window, &TimeZone::UTC).unwrap();
        let at = Timestamp::from_second(at).unwrap();
        let meter = meter(0, 3000);
        let trail = Trail::of(&meter, &window, at);
        let span = window.span(at);
        let points: Vec<_> = trail.points().collect();
        assert_eq!(points.len(), most, "{window:?}");
        for (end, sum) in &points {
            let end = Timestamp::from_second(*end).unwrap();
            assert_eq!(meter.sum(Span { start: span.start, end }).unwrap(), *sum, "{end}");
        }
        assert_eq!(points.last(), Some(&(at.as_second(), meter.sum(span).unwrap())));
        assert!(points.windows(2).all(|two| two[0].0 < two[1].0 && two[0].1 <= two[1].1));
    }

    #[test]
    fn a_trail_adds_up_to_what_is_used() {
        check("1h", 700_000, 13);
        check("1h", 699_900, 12);
        check("24h", 699_900, 288);
        // Two buckets a step from here on, the last of which may be a short one.
        check("24h", 700_000, 145);
        check("7d", 699_900, 288);
        check("calendar day", 691_200 + 4_000, 14);
    }

    #[test]
    fn what_is_not_all_known_has_no_points() {
        let window = Window::Rolling { minutes: 60 };
        let trail = |at: i64| Trail::of(&meter(0, 12), &window, Timestamp::from_second(at).unwrap());
        assert!(trail(3_300).is_empty(), "it begins before the meter does");
        assert!(!trail(3_600).is_empty());
        assert!(trail(4_000).is_empty(), "it goes on beyond what the meter knows");
    }
}
