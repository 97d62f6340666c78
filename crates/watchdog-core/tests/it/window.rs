//! Windows, against a model that knows nothing but single scans and the labels on a clock.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use watchdog_core::bytes::Bytes;
use watchdog_core::usage::{Answer, PageStatus, Series};
use watchdog_core::window::{BUCKET, Span, Window, ceil, floor, zone_word};

use crate::support::{at, cases, zone};

/// Zones with every kind of clock change, and instants at which they make one.
const CHANGES: [(&str, &str); 16] = [
    ("UTC", "2026-01-01T00:00:00Z"),
    ("Europe/Berlin", "2026-03-29T01:00:00Z"),
    ("Europe/Berlin", "2026-10-25T01:00:00Z"),
    ("America/New_York", "2026-03-08T07:00:00Z"),
    ("America/New_York", "2026-11-01T06:00:00Z"),
    ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
    ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
    ("Asia/Kolkata", "2026-01-01T18:30:00Z"),
    ("Asia/Kathmandu", "2026-01-01T18:15:00Z"),
    ("America/Sao_Paulo", "2018-11-04T03:00:00Z"),
    ("America/Sao_Paulo", "2018-02-18T02:00:00Z"),
    ("Asia/Beirut", "2026-03-28T22:00:00Z"),
    ("Asia/Beirut", "2026-10-24T21:00:00Z"),
    ("America/Havana", "2026-11-01T05:00:00Z"),
    ("Africa/Casablanca", "2026-02-15T02:00:00Z"),
    ("Pacific/Apia", "2011-12-30T10:00:00Z"),
];

fn seconds(n: i64) -> SignedDuration {
    SignedDuration::from_secs(n)
}

/// The start of the calendar window, found by walking back minute by minute for as long as the clock shows the same
/// day, or the same hour without having been changed.
fn calendar_model(unit: &str, zone_name: &str, now: Timestamp) -> Timestamp {
    let zone = zone(zone_name);
    let label = |t: Timestamp| {
        let local = t.to_zoned_datetime(zone.clone());
        match unit {
            "calendar day" => (local.date(), 0, None),
            _ => (local.date(), local.hour(), Some(local.offset())),
        }
    };
    let mut start = Timestamp::from_second(now.as_second().div_euclid(60) * 60).unwrap();
    while label(start - seconds(60)) == label(now) {
        start -= seconds(60);
    }
    start
}

/// Single scans as CloudWatch would give them: a point per bucket in which there were any, newest first.
fn answer(scans: &[(Timestamp, u64)], span: Span) -> Answer {
    let mut points: Vec<(Timestamp, f64)> = Vec::new();
    let mut bucket = ceil(span.end);
    while bucket > floor(span.start) {
        bucket -= seconds(BUCKET);
        let here: Vec<u64> = scans.iter().filter(|(t, _)| floor(*t) == bucket).map(|(_, bytes)| *bytes).collect();
        if !here.is_empty() {
            points.push((bucket, here.iter().sum::<u64>() as f64));
        }
    }
    let mut answer = Answer::default();
    answer.absorb(points, PageStatus::Complete);
    answer
}

fn total(scans: &[(Timestamp, u64)], from: Timestamp, to: Timestamp) -> u64 {
    scans.iter().filter(|(t, _)| *t >= from && *t < to).map(|(_, bytes)| bytes).sum()
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn a_calendar_window_starts_where_the_clock_says(
        change in 0..CHANGES.len(),
        offset in -26 * 3600..26 * 3600i64,
        unit in prop::sample::select(vec!["calendar hour", "calendar day"]),
    ) {
        let (name, instant) = CHANGES[change];
        let now = at(instant) + seconds(offset);
        let span = Window::parse(unit, &zone(name)).unwrap().span(now);
        prop_assert_eq!(span.start, calendar_model(unit, name, now), "{} in {} at {}", unit, name, now);
        prop_assert_eq!(span.end, now);
    }

    /// The definition, over single scans: a scan counts where its bucket starts in the window. And what it means: all of
    /// the last `W` counts, and nothing from more than one bucket further back.
    #[test]
    fn a_rolling_window_counts_all_of_its_length_and_at_most_a_bucket_more(
        buckets in 1..40u32,
        second in 0..600i64,
        nanos in prop::sample::select(vec![0, 1, 999_999_999]),
        scans in prop::collection::vec((-15_000..900i64, 1..1000u64), 0..60),
    ) {
        let now = at("2026-03-01T14:00:00Z") + seconds(second) + SignedDuration::from_nanos(nanos);
        let scans: Vec<(Timestamp, u64)> = scans.into_iter().map(|(s, b)| (at("2026-03-01T14:00:00Z") + seconds(s), b)).collect();
        let length = seconds(i64::from(buckets) * BUCKET);
        let window = Window::Rolling { minutes: buckets * 5 };
        let span = window.span(now);
        let series = Series::from_answers(span, &[vec![answer(&scans, span)]]).unwrap();
        let used = series.sum(span).unwrap().get();

        let first = floor(now) - length;
        let counted: u64 = scans.iter().filter(|(t, _)| floor(*t) >= first && floor(*t) < now).map(|(_, b)| b).sum();
        prop_assert_eq!(used, counted);
        prop_assert!(used >= total(&scans, now - length, now), "less than the last {}", length);
        prop_assert!(used <= total(&scans, now - length - seconds(BUCKET), ceil(now)), "more than a bucket too many");
    }

    /// A limit of 1 h is judged on a series that was read for a limit of 24 h: the longer series changes nothing.
    #[test]
    fn a_longer_series_gives_the_same_sum(
        short in 1..20u32, longer in 0..20u32, second in 0..600i64,
        scans in prop::collection::vec((-15_000..900i64, 1..1000u64), 0..60),
    ) {
        let now = at("2026-03-01T00:00:00Z") + seconds(second);
        let scans: Vec<(Timestamp, u64)> = scans.into_iter().map(|(s, b)| (at("2026-03-01T00:00:00Z") + seconds(s), b)).collect();
        let sum = |read: u32| {
            let read = Window::Rolling { minutes: read * 5 }.span(now);
            let series = Series::from_answers(read, &[vec![answer(&scans, read)]]).unwrap();
            series.sum(Window::Rolling { minutes: short * 5 }.span(now))
        };
        prop_assert_eq!(sum(short), sum(short + longer));
    }

    #[test]
    fn borders(second in 0..4_000_000_000i64, nanos in 0..1_000_000_000i32) {
        let now = Timestamp::new(second, nanos).unwrap();
        let (down, up) = (floor(now), ceil(now));
        prop_assert!(down <= now && now <= up && up.duration_since(down) <= seconds(BUCKET));
        prop_assert_eq!((down.as_second() % BUCKET, up.as_second() % BUCKET), (0, 0));
        prop_assert_eq!(up == down, now == down);
    }
}

#[test]
fn a_late_datapoint_changes_the_bucket_it_belongs_to() {
    let now = at("2026-03-01T14:05:00Z");
    let span = Window::Rolling { minutes: 60 }.span(now);
    let sum = |scans: &[(Timestamp, u64)]| {
        Series::from_answers(span, &[vec![answer(scans, span)]]).unwrap().sum(span).unwrap()
    };
    let early = [(at("2026-03-01T14:04:00Z"), 5)];
    let with_late = [early[0], (at("2026-03-01T13:30:00Z"), 7)];
    assert_eq!((sum(&early), sum(&with_late)), (Bytes::new(5), Bytes::new(12)));
}

/// An hour that comes twice has two names, and a zone without a name of its own tells its offset.
#[test]
fn times_are_called_as_people_call_them() {
    for (name, instant, expected) in [
        ("Europe/Berlin", "2026-10-25T00:30:00Z", "CEST"),
        ("Europe/Berlin", "2026-10-25T01:30:00Z", "CET"),
        ("America/New_York", "2026-07-01T00:00:00Z", "EDT"),
        ("America/Sao_Paulo", "2026-07-01T00:00:00Z", "UTC-03"),
        ("Asia/Kathmandu", "2026-07-01T00:00:00Z", "UTC+0545"),
        ("UTC", "2026-07-01T00:00:00Z", "UTC"),
    ] {
        assert_eq!(zone_word(&zone(name), at(instant)), expected, "{name}");
    }
}

/// A calendar window ends where the next one begins, also on the day on which the clock changes, in whichever direction.
#[test]
fn a_calendar_window_ends_where_the_next_one_begins() {
    for (name, change) in CHANGES {
        for unit in ["calendar hour", "calendar day"] {
            let window = Window::parse(unit, &zone(name)).unwrap();
            let first = floor(at(change)) - SignedDuration::from_hours(30);
            let looks: Vec<_> = (0..2 * 24 * 12 + 300).map(|n| first + seconds(n * BUCKET)).collect();
            let began: Vec<_> = looks.iter().map(|look| window.began(*look).unwrap()).collect();
            let mut checked = 0;
            for (n, look) in looks.iter().enumerate() {
                let Some(next) = (n..looks.len()).find(|later| began[*later] != began[n]) else { continue };
                assert_eq!(window.ends(*look), Some(looks[next]), "{unit} in {name} at {look}");
                checked += 1;
            }
            assert!(checked > 2 * 24 * 12, "{checked}");
        }
    }
}
