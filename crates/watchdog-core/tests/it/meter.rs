//! The meter against the plain sum.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use watchdog_core::bytes::Bytes;
use watchdog_core::meter::Meter;
use watchdog_core::usage::Series;
use watchdog_core::window::{BUCKET, Span};

use crate::support::{at, cases};

const START: &str = "2026-03-01T13:00:00Z";

fn bucket(n: i64) -> Timestamp {
    at(START) + SignedDuration::from_secs(n * BUCKET)
}

fn seconds(n: i64) -> Timestamp {
    at(START) + SignedDuration::from_secs(n)
}

#[track_caller]
fn check(meter: &Meter, from: i64, to: i64, expected: &str) {
    let sum = meter.sum(Span { start: bucket(from), end: bucket(to) });
    assert_eq!(sum.map_or_else(|why| why.to_string(), |sum| sum.get().to_string()), expected, "{from}..{to}");
}

#[test]
fn it_grows_forgets_and_takes_what_lands_late() {
    let mut meter = Meter::new(bucket(0), 4);
    check(&meter, 0, 0, "0");
    check(&meter, 0, 1, "CloudWatch answered only a part");
    meter.add(bucket(0), Bytes::new(1));
    meter.add(seconds(299), Bytes::new(1));
    meter.add(bucket(2), Bytes::new(10));
    check(&meter, 0, 3, "12");
    check(&meter, 1, 2, "0");
    // Late, into a bucket that is kept.
    meter.add(bucket(1), Bytes::new(100));
    check(&meter, 0, 3, "112");
    check(&meter, 2, 3, "10");
    meter.know_until(bucket(4));
    check(&meter, 0, 4, "112");
    meter.know_until(seconds(4 * 300 + 1));
    check(&meter, 0, 5, "CloudWatch answered only a part");
    check(&meter, 1, 5, "110");
    // Late, into one that is not.
    meter.add(bucket(0), Bytes::new(1000));
    check(&meter, 1, 5, "110");
    // A pause of ten thousand years.
    meter.add(at("9999-12-30T00:00:00Z"), Bytes::new(7));
    let end = at("9999-12-30T00:05:00Z");
    let hour = Span { start: end - SignedDuration::from_mins(20), end };
    assert_eq!(meter.sum(hour).map(Bytes::get), Ok(7));
}

#[test]
fn sums_beyond_the_type_are_refused_and_smaller_ones_of_the_same_meter_are_not() {
    let mut meter = Meter::new(bucket(0), 10);
    for n in 0..3 {
        meter.add(bucket(n), Bytes::new(u64::MAX));
    }
    check(&meter, 1, 2, &u64::MAX.to_string());
    check(&meter, 1, 3, "CloudWatch gave the impossible value `36893488147419103230` at 2026-03-01T13:05:00Z");
}

proptest! {
    #![proptest_config(cases(256))]

    /// Whatever is added in whatever order: each sum is that of the buckets, looked through one by one.
    #[test]
    fn every_sum_is_the_plain_one(
        added in prop::collection::vec((0..40i64, 0..300i64, 0..1_000u64), 0..60),
        spans in prop::collection::vec((-900..13_000i64, 0..13_000i64), 20),
    ) {
        let mut meter = Meter::new(bucket(0), 40);
        let mut plain = vec![0u64; 40];
        for (n, offset, bytes) in &added {
            meter.add(bucket(*n) + SignedDuration::from_secs(*offset), Bytes::new(*bytes));
            plain[usize::try_from(*n).unwrap()] += bytes;
        }
        meter.know_until(bucket(40));
        let series = Series::from_buckets(bucket(0), plain.into_iter().map(Bytes::new).collect());
        prop_assert_eq!(&Meter::from(&series), &meter);
        for (from, length) in spans {
            let span = Span { start: seconds(from), end: seconds(from + length) };
            prop_assert_eq!(meter.sum(span), series.sum(span));
        }
    }
}
