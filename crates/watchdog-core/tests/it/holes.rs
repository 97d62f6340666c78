//! A datapoint that cannot be true: what stands on it is unknown, and nothing else is.

use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use watchdog_core::bytes::Bytes;
use watchdog_core::delivery::{People, Records, Standing, plan};
use watchdog_core::event::{Source, Tick, Timing};
use watchdog_core::forecast::{HISTORY, Inflow, Memo};
use watchdog_core::meter::Meter;
use watchdog_core::report::RunReport;
use watchdog_core::usage::{Answer, PageStatus, Series, Unknown, Usage};
use watchdog_core::verdict::{Finding, judge};
use watchdog_core::window::{BUCKET, Span, floor};

use crate::support::{at, cases, policy};

const NOON: &str = "2026-03-03T12:00:00Z";

/// The bucket that begins so many before noon.
fn before(n: i64) -> Timestamp {
    at(NOON) - SignedDuration::from_secs(n * BUCKET)
}

/// What CloudWatch says of some buckets, by how many before noon they begin: two days back, and the one that begins at noon.
fn series(points: &BTreeMap<i64, f64>) -> Series {
    let mut answer = Answer::default();
    answer.absorb(points.iter().map(|(n, value)| (before(*n), *value)), PageStatus::Complete);
    Series::from_answers(Span { start: before(576), end: before(-1) }, &[vec![answer]]).unwrap()
}

const WINDOWS: &str = r#"
[[workgroup]]
name = "w"
limit = [
    { window = "15m", limit = "1 TB" },
    { window = "1h", limit = "1 TB" },
    { window = "6h", limit = "1 TB" },
    { window = "24h", limit = "1 TB" },
    { window = "calendar day", limit = "1 TB" },
]
"#;

/// Every limit at an instant, and what is not seen.
#[track_caller]
fn check(points: &[(i64, f64)], now: &str, expected: Expect) {
    let usage = Usage {
        workgroups: [("w".to_owned(), Ok(series(&points.iter().copied().collect())))].into(),
        ..Usage::default()
    };
    let (policy, tick) = (policy(WINDOWS), Tick { at: at(now), timing: Timing::Event });
    let findings = judge(&policy, &tick, &usage);
    let mut report = RunReport::new("run".to_owned(), Source::Rule, tick, false);
    report.found(&findings);
    let mut text = String::new();
    for limit in &report.limits {
        let used = limit.used_bytes.map_or("?".to_owned(), |used| used.to_string());
        text.push_str(&format!("{}: {} {used}, {}\n", limit.window, limit.level, limit.reason));
    }
    text.push_str(&format!("unseen: {}", report.unseen.iter().map(|u| u.why).collect::<String>()));
    expected.assert_eq(&text);
}

#[test]
fn a_limit_is_unknown_only_while_the_point_lies_in_its_own_window() {
    let minutes_ago = |minutes: i64| (minutes / 5, f64::NAN);
    check(
        &[(1, 8.0), minutes_ago(90), (30, 100.0)],
        NOON,
        expect![[r#"
        15m: ok 8, 0 % used in the last 15 minutes, below 80 %
        1h: ok 8, 0 % used in the last hour, below 80 %
        6h: unknown ?, CloudWatch gave the impossible value `NaN` at 2026-03-03T10:30:00Z
        24h: unknown ?, CloudWatch gave the impossible value `NaN` at 2026-03-03T10:30:00Z
        calendar-day@UTC: unknown ?, CloudWatch gave the impossible value `NaN` at 2026-03-03T10:30:00Z
        unseen: implausible"#]],
    );
    // In the bucket that is not over yet, and out of everything a day later.
    check(
        &[(1, 8.0), (0, -1.0)],
        "2026-03-03T12:02:00Z",
        expect![[r#"
        15m: unknown ?, CloudWatch gave the impossible value `-1` at 2026-03-03T12:00:00Z
        1h: unknown ?, CloudWatch gave the impossible value `-1` at 2026-03-03T12:00:00Z
        6h: unknown ?, CloudWatch gave the impossible value `-1` at 2026-03-03T12:00:00Z
        24h: unknown ?, CloudWatch gave the impossible value `-1` at 2026-03-03T12:00:00Z
        calendar-day@UTC: unknown ?, CloudWatch gave the impossible value `-1` at 2026-03-03T12:00:00Z
        unseen: implausible"#]],
    );
    check(
        &[(1, 8.0), (0, -1.0)],
        NOON,
        expect![[r#"
        15m: ok 8, 0 % used in the last 15 minutes, below 80 %
        1h: ok 8, 0 % used in the last hour, below 80 %
        6h: ok 8, 0 % used in the last 6 hours, below 80 %
        24h: ok 8, 0 % used in the last 24 hours, below 80 %
        calendar-day@UTC: ok 8, 0 % used today, UTC time, below 80 %
        unseen: "#]],
    );
    check(
        &[(1, 8.0), (289, 1e19)],
        NOON,
        expect![[r#"
        15m: ok 8, 0 % used in the last 15 minutes, below 80 %
        1h: ok 8, 0 % used in the last hour, below 80 %
        6h: ok 8, 0 % used in the last 6 hours, below 80 %
        24h: ok 8, 0 % used in the last 24 hours, below 80 %
        calendar-day@UTC: ok 8, 0 % used today, UTC time, below 80 %
        unseen: "#]],
    );
}

#[test]
fn an_hour_and_five_minutes_later_the_hour_is_judged_again() {
    let policy = policy("[[workgroup]]\nname = \"w\"\nlimit = [{ window = \"1h\", limit = \"1 TB\" }]\n");
    let is_unknown = |seconds_after: i64| {
        let now = at(NOON);
        let usage = Usage {
            workgroups: [("w".to_owned(), Ok(series(&[(seconds_after.div_euclid(BUCKET), f64::INFINITY)].into())))]
                .into(),
            ..Usage::default()
        };
        // The point's bucket begins so many seconds before the look, down to the bucket's border.
        let tick =
            Tick { at: now + SignedDuration::from_secs(seconds_after.rem_euclid(BUCKET)), timing: Timing::Event };
        let findings = judge(&policy, &tick, &usage);
        matches!(findings.verdicts[0].finding, Finding::Unknown(Unknown::Implausible { .. }))
    };
    assert_eq!([1, 299, 300, 3599, 3600, 3899].map(is_unknown), [true; 6]);
    assert_eq!([0, 3900, 4000, 86_400].map(is_unknown), [false; 4]);
}

/// The limit that can be judged is told of, and beside it that another one cannot.
#[test]
fn an_alert_of_the_hour_goes_out_while_the_day_is_unknown() {
    let policy = policy(
        "[[workgroup]]\nname = \"w\"\nlimit = [{ window = \"1h\", limit = \"100 B\" }, { window = \"24h\", limit = \"1 TB\" }]\n",
    );
    let usage = Usage {
        workgroups: [("w".to_owned(), Ok(series(&[(1, 97.0), (20, f64::NAN)].into())))].into(),
        ..Usage::default()
    };
    let tick = Tick { at: at(NOON), timing: Timing::Event };
    let findings = judge(&policy, &tick, &usage);
    let plan = plan(&policy, &Standing::Current, &tick, &findings, None, &Records::new(), &People::new());
    let told = plan.messages.iter().flat_map(|message| &message.notices).map(|notice| notice.subject.to_string());
    assert_eq!(told.collect::<Vec<_>>(), ["limit/w/1h", "sight/w"]);
}

/// Of one bucket: nothing, bytes, or what cannot be.
fn said() -> impl Strategy<Value = Option<f64>> {
    let bad = prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, -1e-9, 1.1e18]);
    prop_oneof![
        20 => Just(None),
        40 => (0..1_000_000u32).prop_map(|bytes| Some(f64::from(bytes))),
        1 => bad.prop_map(Some),
    ]
}

fn is_bad(value: f64) -> bool {
    !(0.0..=1e18).contains(&value)
}

/// The bytes in the buckets that begin in `span`, each looked at by itself; of those that cannot be true the newest one's stamp.
fn plain(points: &BTreeMap<i64, f64>, span: Span) -> Result<u64, Timestamp> {
    // The newest have the smallest numbers.
    let inside = points.iter().filter(|(n, _)| span.start <= before(**n) && before(**n) < span.end);
    let mut sum = 0;
    for (n, value) in inside {
        if is_bad(*value) {
            return Err(before(*n));
        }
        sum += *value as u64;
    }
    Ok(sum)
}

fn as_plain(sum: Result<Bytes, Unknown>) -> Result<u64, Timestamp> {
    match sum {
        Ok(bytes) => Ok(bytes.get()),
        Err(Unknown::Implausible { at, .. }) => Err(at),
        Err(other) => panic!("{other}"),
    }
}

proptest! {
    #![proptest_config(cases(256))]

    /// Every sum of the series and of the meter, and every verdict, is what a look at the buckets one by one says.
    #[test]
    fn what_does_not_hold_the_point_is_known_and_what_holds_it_never_a_number(
        said in prop::collection::btree_map(-1..576i64, said(), 0..400),
        spans in prop::collection::vec((0..172_000i64, 0..172_000i64), 20),
        second in 0..300i64,
    ) {
        let points: BTreeMap<i64, f64> = said.into_iter().filter_map(|(n, value)| Some((n, value?))).collect();
        let series = series(&points);
        let meter = Meter::from(&series);
        let holes: Vec<Timestamp> = points.iter().rev().filter(|(_, value)| is_bad(**value)).map(|(n, _)| before(*n)).collect();
        let holes: Vec<Timestamp> = holes.into_iter().filter(|start| *start < before(-1)).collect();
        prop_assert_eq!(series.holes().iter().map(|(start, _)| *start).collect::<Vec<_>>(), holes.clone());
        prop_assert_eq!(series.clone().whole().is_ok(), holes.is_empty());
        for (from, length) in spans {
            let start = before(576) + SignedDuration::from_secs(from);
            let span = Span { start, end: (start + SignedDuration::from_secs(length)).min(before(-1)) };
            prop_assert_eq!(as_plain(series.sum(span)), plain(&points, span));
            prop_assert_eq!(meter.sum(span), series.sum(span));
        }
        let now = at(NOON) + SignedDuration::from_secs(second);
        let (policy, tick) = (policy(WINDOWS), Tick { at: now, timing: Timing::Event });
        let usage = Usage { workgroups: [("w".to_owned(), Ok(series))].into(), ..Usage::default() };
        for verdict in judge(&policy, &tick, &usage).verdicts {
            let expected = plain(&points, verdict.limit.window.span(now));
            match verdict.finding {
                Finding::Seen { used, .. } => prop_assert_eq!(Ok(used.get()), expected),
                Finding::Unknown(why) => {
                    prop_assert_eq!(as_plain(Err(why)), expected);
                    prop_assert!(verdict.trail.is_empty(), "a picture of what is not known");
                }
            }
        }
    }

    /// The forecast takes a bucket that is not known for the beginning of its history: it says what it would say if nobody had been there before.
    #[test]
    fn the_forecast_knows_nothing_from_before_it(
        buckets in prop::collection::vec(0..1_000u32, HISTORY + 12),
        holes in prop::collection::vec(0..(HISTORY as i64 + 12), 0..4),
        second in 0..300i64,
    ) {
        let mut points: BTreeMap<i64, f64> = (1..).zip(&buckets).map(|(n, bytes)| (n, f64::from(*bytes))).collect();
        points.extend(holes.iter().map(|n| (*n, f64::NAN)));
        let now = at(NOON) + SignedDuration::from_secs(second);
        let whole = Meter::from(&series(&points));
        let newest = holes.iter().copied().filter(|n| before(*n) < floor(now)).min();
        let first = newest.unwrap_or(576) - 1;
        let rest = (0..=first).rev().map(|n| points.get(&n).filter(|value| !is_bad(**value)));
        let rest = rest.map(|value| Bytes::new(value.map_or(0, |value| *value as u64))).collect();
        let rest = Meter::from(&Series::from_buckets(before(first), rest));
        let guess = |meter: &Meter| Inflow::guess(meter, now, &[], &mut Memo::default());
        prop_assert_eq!(guess(&whole), guess(&rest));
        // It speaks again seven hours later, on the next full hour; with none it is never silent.
        let enough = newest.is_none_or(|n| n > 96);
        prop_assert!(!enough || guess(&whole).is_some());
    }
}
