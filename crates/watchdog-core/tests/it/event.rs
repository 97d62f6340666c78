//! Invocations: ours, and everybody else's.

use std::fs;
use std::path::PathBuf;

use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::Value;
use watchdog_core::event::{Invocation, Source, Timing};

use crate::support::{at, cases};

fn show(event: &str) -> String {
    match Invocation::parse(&serde_json::from_str(event).unwrap_or_else(|error| panic!("{event}: {error}"))) {
        Ok(Invocation { dry_run, source, time }) => {
            let time = time.map_or("no time".to_owned(), |time| time.to_string());
            format!("{source:?}{}, {time}", if dry_run { ", dry" } else { "" })
        }
        Err(foreign) => {
            let text = foreign.to_string();
            let (what, remedy) = text.split_once("; it takes ").unwrap();
            assert_eq!(
                remedy,
                "the schedule event of an EventBridge rule or of EventBridge Scheduler, and {\"dry_run\": true}"
            );
            what.strip_prefix("this event is not for the watchdog: ").unwrap().to_owned()
        }
    }
}

#[track_caller]
fn check(event: &str, expected: &str) {
    assert_eq!(show(event), expected, "{event}");
}

#[test]
fn the_four_forms() {
    check(
        r#"{"version":"0","id":"53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa","detail-type":"Scheduled Event","source":"aws.events",
            "account":"123456789012","time":"2015-10-08T16:53:06Z","region":"us-east-1",
            "resources":["arn:aws:events:us-east-1:123456789012:rule/my-scheduled-rule"],"detail":{}}"#,
        "Rule, 2015-10-08T16:53:06Z",
    );
    check(
        r#"{"version":"0","id":"1-2","detail-type":"Scheduled Event","source":"aws.scheduler","account":"123456789012",
            "time":"2026-03-01T14:05:00Z","region":"us-east-1",
            "resources":["arn:aws:scheduler:us-east-1:123456789012:schedule/default/watchdog"],"detail":"{}"}"#,
        "Scheduler, 2026-03-01T14:05:00Z",
    );
    check(r#"{"dry_run": true}"#, "Person, dry, no time");
    check(r#"{"dry_run": false}"#, "Person, no time");
}

#[test]
fn everything_else_is_refused_by_name() {
    check("null", "it is null, not a JSON object");
    check("[]", "it is an array, not a JSON object");
    check("\"{}\"", "it is a string, not a JSON object");
    check("7", "it is a number, not a JSON object");
    check("true", "it is a boolean, not a JSON object");
    check("{}", "it has no `source`");
    check(r#"{"source":7}"#, "its `source` is a number, not a text");
    check(r#"{"dry_run":"true"}"#, "its `dry_run` is a string, not true or false");
    check(r#"{"dry_run":true,"dryrun":1}"#, "beside `dry_run` it has the unknown field `dryrun`");
    check(
        r#"{"source":"aws.ec2","detail-type":"EC2 Instance State-change Notification"}"#,
        "its `source` is `aws.ec2`",
    );
    check(r#"{"source":"aws.events"}"#, "it has no `detail-type`, which would be `Scheduled Event`");
    check(
        r#"{"source":"aws.events","detail-type":"AWS API Call via CloudTrail","time":"2026-03-01T14:05:00Z"}"#,
        "its `detail-type` is `AWS API Call via CloudTrail`, not `Scheduled Event`",
    );
    for time in ["", r#","time":null"#, r#","time":"yesterday""#, r#","time":1772373900"#, r#","time":"2026-03-01""#] {
        check(
            &format!(r#"{{"source":"aws.scheduler","detail-type":"Scheduled Event"{time}}}"#),
            "its `time` is missing or not an RFC 3339 instant",
        );
    }
    check(r#"{"Records":[{"eventSource":"aws:s3"}]}"#, "it is a record of `aws:s3`");
    check(r#"{"Records":[{"EventSource":"aws:sns"}]}"#, "it is a record of `aws:sns`");
    check(r#"{"Records":[]}"#, "it has no `source`");
    check(r#"{"awslogs":{"data":"H4sI"}}"#, "it has no `source`");
}

#[test]
fn hostile_text_is_one_short_line() {
    check(r#"{"source":"a\r\nb\u0000\u001b[31m"}"#, "its `source` is `a  b  [31m`");
    let long = "x".repeat(5000);
    check(&format!(r#"{{"source":"{long}"}}"#), &format!("its `source` is `{}`", "x".repeat(80)));
    check(
        &format!(r#"{{"dry_run":true,"{long}":1}}"#),
        &format!("beside `dry_run` it has the unknown field `{}`", "x".repeat(80)),
    );
    check("{\"source\":\"a\u{202e}b\"}", "its `source` is `a b`");
}

#[test]
fn the_instant_that_is_judged() {
    let tick = |time: &str, now: &str| {
        let invocation =
            Invocation { dry_run: false, source: Source::Rule, time: (!time.is_empty()).then(|| at(time)) };
        let tick = invocation.tick(at(now));
        (tick.timing, tick.at.to_string())
    };
    let now = "2026-03-02T14:05:00Z";
    let own = |time: &str| (Timing::Event, time.to_owned());
    let clock = |timing| (timing, now.to_owned());
    assert_eq!(tick("", now), clock(Timing::Now));
    assert_eq!(tick(now, now), own(now));
    assert_eq!(tick("2026-03-02T12:05:00Z", now), own("2026-03-02T12:05:00Z"));
    // A day late is the last that counts; five minutes ahead too.
    assert_eq!(tick("2026-03-01T14:05:00Z", now), own("2026-03-01T14:05:00Z"));
    assert_eq!(tick("2026-03-01T14:04:59.999999999Z", now), clock(Timing::TooOld));
    assert_eq!(tick("2015-10-08T16:53:06Z", now), clock(Timing::TooOld));
    assert_eq!(tick("2026-03-02T14:10:00Z", now), own("2026-03-02T14:10:00Z"));
    assert_eq!(tick("2026-03-02T14:10:00.000000001Z", now), clock(Timing::TooFarAhead));
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop::sample::select(vec!["aws.events", "aws.scheduler", "Scheduled Event", "2026-03-01T14:05:00Z", "x"])
            .prop_map(Value::from),
    ];
    let keys =
        prop::sample::select(vec!["source", "detail-type", "time", "dry_run", "Records", "eventSource", "detail"]);
    leaf.prop_recursive(3, 24, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(keys.clone().prop_map(str::to_owned), inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn no_event_panics(event in json(), seconds in -400_000..400_000i64) {
        if let Ok(invocation) = Invocation::parse(&event) {
            let now = at("2026-03-01T14:05:00Z") + SignedDuration::from_secs(seconds);
            let tick = invocation.tick(now);
            prop_assert!(tick.at == now || Some(tick.at) == invocation.time);
        }
    }
}

/// Real payloads, where they are at hand: the rule's schedule is ours, all others are not.
#[test]
fn real_payloads() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/events");
    let Ok(entries) = fs::read_dir(&folder) else {
        println!("SKIPPED: there are no payloads in {}", folder.display());
        return;
    };
    let mut schedules = 0;
    for path in entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "json"))
    {
        let shown = show(&fs::read_to_string(&path).unwrap());
        let is_schedule = path.to_string_lossy().contains("schedule");
        assert_eq!(shown.starts_with("Rule, ") || shown.starts_with("Scheduler, "), is_schedule, "{shown}");
        schedules += usize::from(is_schedule);
    }
    assert!(schedules > 0, "no schedule among the payloads: this test has proved nothing");
}
