//! Sums over any stretch of the recent past, at the same small cost whatever the stretch and however long the past.
//!
//! A [`Meter`] keeps running totals, one per bucket border: a sum is the difference of two of them, and adding a bucket
//! writes one more. The function fills one from CloudWatch's answer in each run; a back-test keeps one and adds to it. Both
//! then ask the same questions of it. [`Series::sum`] is the plain form of the same sums, and the model in the tests.

use std::collections::VecDeque;

use jiff::Timestamp;

use crate::bytes::Bytes;
use crate::usage::{Series, Unknown};
use crate::window::{BUCKET, Span, ceil, floor};

/// Bytes scanned by one workgroup in the recent past, by five-minute bucket; every bucket known, or known not to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meter {
    /// Start of the oldest bucket that is kept, in seconds; a multiple of [`BUCKET`].
    first: i64,
    /// What was scanned before each bucket border, counted from some time in the past; one more than there are buckets.
    /// In 128 bits, which 2^64 buckets of 2^64 bytes cannot pass.
    totals: VecDeque<u128>,
    /// Starts of the buckets that are not known, in seconds, the oldest first, and why; hardly ever there are any. One that is no longer kept
    /// may stay among them.
    holes: Vec<(i64, Unknown)>,
    /// The most buckets that are kept.
    keep: usize,
}

impl Meter {
    /// A meter that knows nothing yet, of a past that begins with the bucket of `at`; it keeps the newest `keep` buckets, at least one.
    pub fn new(at: Timestamp, keep: usize) -> Self {
        Self { first: floor(at).as_second(), totals: VecDeque::from([0]), holes: Vec::new(), keep: keep.max(1) }
    }

    /// Adds bytes to the bucket of `at`. What lies between the newest bucket so far and that one is thereby known to be zero.
    /// A bucket of the past may still grow, at a cost that grows with its age; one that is no longer kept is left as it is.
    pub fn add(&mut self, at: Timestamp, bytes: Bytes) {
        let bucket = floor(at).as_second();
        if bucket < self.first {
            return;
        }
        self.reach(bucket + BUCKET);
        let after = usize::try_from((bucket - self.first) / BUCKET).unwrap_or(usize::MAX).saturating_add(1);
        for total in self.totals.iter_mut().skip(after) {
            *total += u128::from(bytes.get());
        }
    }

    /// Makes the meter know of everything before `at`, and of the whole bucket that `at` lies in: nothing more was scanned.
    pub fn know_until(&mut self, at: Timestamp) {
        self.reach(ceil(at).as_second());
    }

    fn reach(&mut self, border: i64) {
        let missing = (border - self.end()) / BUCKET;
        let newest = self.totals.back().copied().unwrap_or(0);
        // No more than is kept: a pause of years costs no more than one of days.
        let skipped = (missing - i64::try_from(self.keep).unwrap_or(i64::MAX)).max(0);
        if skipped > 0 {
            self.first = self.end() + skipped * BUCKET;
            self.totals.clear();
            self.totals.push_back(newest);
        }
        for _ in skipped..missing {
            self.totals.push_back(newest);
            if self.totals.len() > self.keep + 1 {
                self.totals.pop_front();
                self.first += BUCKET;
            }
        }
    }

    /// End of the newest bucket, in seconds.
    fn end(&self) -> i64 {
        self.first + i64::try_from(self.totals.len() - 1).unwrap_or(0) * BUCKET
    }

    /// The bytes in the buckets that start inside `span`.
    ///
    /// # Errors
    /// [`Unknown::Partial`] where the meter does not reach back to the span's start or on to its end; [`Unknown::Implausible`] where a bucket
    /// among them is not known, of several the newest.
    pub fn sum(&self, span: Span) -> Result<Bytes, Unknown> {
        let (from, to) = (ceil(span.start).as_second(), ceil(span.end.max(span.start)).as_second());
        let sum = self.difference(from, to).filter(|_| span.start.as_second() >= self.first).ok_or(Unknown::Partial)?;
        if let Some((_, why)) = self.hole(from, to) {
            return Err(why.clone());
        }
        u64::try_from(sum).map(Bytes::new).map_err(|_| Unknown::Implausible { value: sum.to_string(), at: span.start })
    }

    /// The bytes between two bucket borders, in seconds; `None` where they are not all known.
    #[inline]
    pub(crate) fn between(&self, from: i64, to: i64) -> Option<u128> {
        if self.hole(from, to).is_some() {
            return None;
        }
        self.difference(from, to)
    }

    /// The newest bucket between two borders that is not known. There is hardly ever any: asking costs a look at their number.
    #[inline]
    fn hole(&self, from: i64, to: i64) -> Option<&(i64, Unknown)> {
        if self.holes.is_empty() { None } else { self.newest_hole(from, to) }
    }

    #[cold]
    fn newest_hole(&self, from: i64, to: i64) -> Option<&(i64, Unknown)> {
        let before = self.holes.partition_point(|(start, _)| *start < to);
        self.holes.get(before.checked_sub(1)?).filter(|(start, _)| *start >= from)
    }

    /// As far back from the border `to` as every bucket is known, in seconds.
    pub(crate) fn known_since(&self, to: i64) -> i64 {
        self.hole(i64::MIN, to).map_or(self.first, |(start, _)| self.first.max(start + BUCKET))
    }

    /// What is between two borders, whether or not there is a hole in it.
    #[inline]
    fn difference(&self, from: i64, to: i64) -> Option<u128> {
        let index = |border: i64| usize::try_from((border - self.first).div_euclid(BUCKET)).ok();
        let (before, after) = (self.totals.get(index(from)?)?, self.totals.get(index(to)?)?);
        after.checked_sub(*before)
    }

    /// The bytes between the border `from` and each border from there to `to`, in seconds; `None` where they are not all known.
    pub(crate) fn since_border(&self, from: i64, to: i64) -> Option<impl Iterator<Item = u128>> {
        if self.hole(from, to).is_some() {
            return None;
        }
        let index = |border: i64| usize::try_from((border - self.first).div_euclid(BUCKET)).ok();
        let (from, to) = (index(from)?, index(to)?);
        let before = *self.totals.get(from)?;
        (from <= to && to < self.totals.len()).then(|| self.totals.range(from..=to).map(move |total| total - before))
    }

    /// Start of the oldest bucket that is known, in seconds.
    pub(crate) fn since(&self) -> i64 {
        self.first
    }
}

impl From<&Series> for Meter {
    fn from(series: &Series) -> Self {
        let (first, buckets) = series.buckets();
        let mut meter = Self::new(first, buckets.len());
        for bytes in buckets {
            let newest = meter.totals.back().copied().unwrap_or(0);
            meter.totals.push_back(newest + u128::from(bytes.get()));
        }
        meter.holes = series.holes().iter().map(|(start, why)| (start.as_second(), why.clone())).collect();
        meter
    }
}
