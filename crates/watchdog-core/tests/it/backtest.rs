//! The back-test against the function's own way of looking, and the score against definitions by hand.

use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use watchdog_core::backtest::{Notification, Pace, Replay, fixed};
use watchdog_core::bytes::Bytes;
use watchdog_core::delivery::{People, Records, Standing, plan};
use watchdog_core::event::{Tick, Timing};
use watchdog_core::policy::Policy;
use watchdog_core::score::{Look, Scorer, Tally};
use watchdog_core::usage::{Series, Usage};
use watchdog_core::verdict::judge;
use watchdog_core::window::{BUCKET, ceil};

use crate::support::{at, cases, policy};

const START: &str = "2026-03-01T00:00:00Z";
const PACE: Pace = Pace { step: BUCKET, every: BUCKET, score_from: None, trace: false };

fn watched(limits: &str) -> Policy {
    policy(&format!("[[workgroup]]\nname = \"w\"\n{limits}"))
}

fn limit(window: &str, bytes: u64, more: &str) -> String {
    format!("[[workgroup.limit]]\nwindow = \"{window}\"\nlimit = \"{bytes} B\"\n{more}\n")
}

/// All that a policy would have sent.
fn replay(policy: &Policy, pace: Pace, rows: &[(i64, u64)]) -> Vec<Notification> {
    let stamp = |seconds: i64| at(START) + SignedDuration::from_secs(seconds);
    let mut replay = Replay::new(&[policy], "w", stamp(rows[0].0), pace).unwrap();
    let mut out = Vec::new();
    for (seconds, bytes) in rows {
        replay.push(stamp(*seconds), Bytes::new(*bytes), &mut out);
    }
    replay.finish(stamp(rows[rows.len() - 1].0 + pace.step), &mut out);
    out
}

fn line(n: &Notification) -> String {
    let out = n.exhausts_at.map_or(String::new(), |at| format!(", out at {}", at.strftime("%H:%M")));
    format!("{} {} {} {} {} {}{out}", n.time.strftime("%H:%M"), n.window, n.event, n.level, n.reason, n.used_bytes)
}

#[track_caller]
fn check(policy: &Policy, pace: Pace, rows: &[(i64, u64)], expected: Expect) {
    expected.assert_eq(&replay(policy, pace, rows).iter().map(line).collect::<Vec<_>>().join("\n"));
}

/// One row each five minutes.
fn rows(bytes: &[u64]) -> Vec<(i64, u64)> {
    bytes.iter().enumerate().map(|(n, bytes)| (i64::try_from(n).unwrap() * BUCKET, *bytes)).collect()
}

#[test]
fn a_bucket_is_known_at_its_end_and_an_alert_is_held_before_it_resolves() {
    let policy = watched(&limit("1h", 1000, ""));
    // 820 at 00:10, more to the limit at 00:20; the first leaves at 01:10, the rest at 01:20: calm from then on.
    let mut bytes = vec![0, 820, 0, 180];
    bytes.extend([0; 24]);
    check(
        &policy,
        PACE,
        &rows(&bytes),
        expect![[r#"
        00:10 1h opened warn threshold 820
        00:20 1h escalated exhausted threshold 1000
        01:40 1h resolved exhausted over 0"#]],
    );
}

#[test]
fn ticks_may_be_rarer_or_finer_than_rows() {
    let policy = watched(&limit("1h", 1000, "hold = \"0 min\""));
    let mut bytes = vec![0, 820, 0, 180];
    bytes.extend([0; 24]);
    check(
        &policy,
        Pace { every: 900, ..PACE },
        &rows(&bytes),
        expect![[r#"
        00:15 1h opened warn threshold 820
        00:30 1h escalated exhausted threshold 1000
        01:15 1h resolved exhausted over 180"#]],
    );
    check(
        &policy,
        Pace { every: 60, ..PACE },
        &rows(&bytes),
        expect![[r#"
        00:10 1h opened warn threshold 820
        00:20 1h escalated exhausted threshold 1000
        01:10 1h resolved exhausted over 180"#]],
    );
    // Rows of a minute are known a minute later, in a bucket that is not finished.
    check(
        &policy,
        Pace { step: 60, every: 60, score_from: None, trace: false },
        &[(0, 0), (420, 820), (4200, 0)],
        expect![[r#"
        00:08 1h opened warn threshold 820
        01:10 1h resolved warn over 0"#]],
    );
    // Rows of an hour are spread over it.
    check(
        &policy,
        Pace { step: 3600, every: 3600, score_from: None, trace: false },
        &[(0, 0), (3600, 820), (7200, 1)],
        expect![[r#"
        02:00 1h opened warn threshold 820
        03:00 1h resolved warn over 1"#]],
    );
}

#[test]
fn a_calendar_window_begins_anew_and_the_clock_may_change() {
    let berlin = "time_zone = \"Europe/Berlin\"";
    let policy = watched(&limit("calendar day", 1000, berlin));
    // Midnight in Berlin is 23:00 UTC: 900 then belong to another day.
    let row = |hour: i64, bytes| (hour * 3600, bytes);
    check(
        &policy,
        PACE,
        &[row(0, 0), row(20, 900), row(23, 900), row(26, 0)],
        expect![[r#"
        20:05 calendar-day@Europe/Berlin opened warn threshold 900
        23:00 calendar-day@Europe/Berlin resolved warn window_ended 0
        23:05 calendar-day@Europe/Berlin opened warn threshold 900"#]],
    );
}

#[test]
fn bytes_beyond_2_to_53_are_exact() {
    let policy = watched(&limit("24h", 50_000_000_000_000_001, "forecast = \"off\""));
    let each = 50_000_000_000_000_000 / 100;
    let mut bytes = vec![each; 100];
    bytes.push(1);
    let last = replay(&policy, PACE, &rows(&bytes)).pop().unwrap();
    assert_eq!((last.event, last.level, last.used_bytes), ("escalated", "exhausted", 50_000_000_000_000_001));
    bytes.pop();
    let last = replay(&policy, PACE, &rows(&bytes)).pop().unwrap();
    assert_eq!(last.level, "critical", "one byte less is not all of it");
}

/// The same in the function's way: each run reads its stretch of the past anew and plans; everything is delivered.
fn function(policy: &Policy, bytes: &[u64], every: usize) -> Vec<String> {
    let mut records = Records::new();
    let mut lines = Vec::new();
    for run in (every..=bytes.len()).step_by(every) {
        let now = at(START) + SignedDuration::from_secs(i64::try_from(run).unwrap() * BUCKET);
        let rule = policy.rule_for("w").unwrap();
        let from = rule.limits.iter().map(|limit| limit.reads_from(now)).min().unwrap();
        let length = (ceil(now).as_second() - from.as_second()) / BUCKET;
        let past = (0..length).map(|n| {
            let index = i64::try_from(run).unwrap() - length + n;
            Bytes::new(usize::try_from(index).ok().and_then(|index| bytes.get(index)).copied().unwrap_or(0))
        });
        let series = Series::from_buckets(from, past.collect());
        let usage = Usage { workgroups: BTreeMap::from([("w".to_owned(), Ok(series))]), ..Usage::default() };
        let tick = Tick { at: now, timing: Timing::Now };
        let findings = judge(policy, &tick, &usage);
        let plan = plan(policy, &Standing::Current, &tick, &findings, None, &records, &People::new());
        records = plan.records.clone();
        for message in &plan.messages {
            for notice in &message.notices {
                records.get_mut(&notice.subject).unwrap().tell(&message.to, notice.reason, now);
                let (subject, reason) = (&notice.subject, notice.reason.word());
                lines.push(format!("{now} {subject} {reason} {}", notice.severity.words()));
            }
        }
        records.retain(|_, record| !record.is_over());
    }
    lines.sort();
    lines
}

proptest! {
    #![proptest_config(cases(48))]

    /// What the back-test says that would have been sent is what the function would have sent, to the last line.
    #[test]
    fn the_back_test_sends_what_the_function_sends(
        days in prop::collection::vec((0..40u64, 1..60usize), 1..12),
        jumps in prop::collection::vec((0..700usize, 0..600u64), 0..12),
        hour in 150..900u64,
        day in 3000..9000u64,
        every in 1..4usize,
    ) {
        let mut bytes: Vec<u64> = days.iter().flat_map(|(each, n)| std::iter::repeat_n(*each, *n)).collect();
        for (place, more) in jumps {
            let length = bytes.len();
            bytes[place % length] += more;
        }
        bytes.truncate(bytes.len() / every * every);
        prop_assume!(!bytes.is_empty());
        let limits = limit("1h", hour, "") + &limit("24h", day, "") + &limit("calendar hour", hour, "forecast = \"off\"");
        let policy = watched(&limits);
        let pace = Pace { every: i64::try_from(every).unwrap() * BUCKET, ..PACE };
        let sent = replay(&policy, pace, &rows(&bytes));
        // Of a calendar window that begins with a new alert, a person hears of the new one only.
        let renewed = |n: &Notification| {
            n.reason == "window_ended" && sent.iter().any(|m| m.event == "opened" && (m.time, &m.window) == (n.time, &n.window))
        };
        let lines = sent.iter().filter(|n| !renewed(n)).map(|n| format!("{} limit/w/{} {} {}", n.time, n.window, n.event, n.level));
        let mut lines: Vec<String> = lines.collect();
        lines.sort();
        prop_assert_eq!(lines, function(&policy, &bytes, every));
    }

    /// A configured threshold is honoured to the byte, forecast or not.
    #[test]
    fn what_an_operator_configures_is_honoured(bytes in prop::collection::vec(0..120u64, 1..200), percent in 10..95u64) {
        let policy = watched(&limit("1h", 1000, &format!("warn = \"{percent} %\"")));
        let sent = replay(&policy, PACE, &rows(&bytes));
        for run in 1..=bytes.len() {
            let used: u64 = bytes[run.saturating_sub(12)..run].iter().sum();
            let now = at(START) + SignedDuration::from_secs(i64::try_from(run).unwrap() * BUCKET);
            let last = sent.iter().rfind(|n| n.time <= now);
            if used >= 10 * percent {
                prop_assert!(last.is_some_and(|n| n.event != "resolved"), "{used} of 1000 at {now}");
            }
        }
    }
}

#[test]
fn the_static_rule_is_what_everybody_has() {
    let policy = watched(&limit("1h", 1000, "warn = \"50 %\""));
    let fixed = fixed(&policy);
    let mut bytes = vec![799, 1, 0, 0, 0];
    bytes.extend([0; 20]);
    check(
        &fixed,
        PACE,
        &rows(&bytes),
        expect![[r#"
        00:10 1h opened warn threshold 800
        01:05 1h resolved warn over 1"#]],
    );
}

/// Looks five minutes apart, each with its use of 100 and whether an alert is open after it.
fn tally(uses: &[u64], open: impl Fn(usize) -> bool, from: Option<usize>) -> Tally {
    let time = |n: usize| at(START) + SignedDuration::from_secs(i64::try_from(n + 1).unwrap() * BUCKET);
    let mut scorer = Scorer::new(3600, BUCKET, from.map(time));
    for (n, used) in uses.iter().enumerate() {
        let before = n.checked_sub(3).map_or(0, |before| uses[before]);
        let jumped = before < 50;
        scorer.look(Look { at: time(n).as_second(), over: *used >= 100, jumped, open: open(n) });
    }
    scorer.finish()
}

/// Twelve-bucket sums.
fn rolling(buckets: &[u64]) -> Vec<u64> {
    (1..=buckets.len()).map(|n| buckets[n.saturating_sub(12)..n].iter().sum()).collect()
}

fn story() -> Vec<u64> {
    let mut buckets = vec![10; 10];
    buckets.extend([0; 20]);
    buckets.push(200);
    buckets.extend([0; 40]);
    buckets.push(99);
    buckets.extend([0; 14]);
    rolling(&buckets)
}

#[test]
fn leads_false_alarms_and_hours_are_counted_as_defined() {
    // Reached at look 9 and at look 30. Open 2..4, 6..20 (15 minutes ahead), 30..40 (just then) and 71..75 (for nothing).
    let open = |n: usize| matches!(n, 2..4 | 6..20 | 30..40 | 71..75);
    let tally = tally(&story(), open, None);
    assert_eq!(tally.leads, [Some(900), Some(0)]);
    assert_eq!((tally.alerts, tally.false_alarms, tally.jumps), (4, 1, 1));
    let score = tally.score(3600);
    let recall: Vec<_> = score.recall.iter().map(|r| (r.minutes, r.recall, r.fresh)).collect();
    let half = Some(0.5);
    assert_eq!(recall, [(5, half, half), (15, half, half), (30, Some(0.0), Some(0.0)), (60, Some(0.0), Some(0.0))]);
    assert_eq!(score.median_lead_minutes, Some(7.5));
}

#[test]
fn an_alert_that_is_always_open_is_no_warning() {
    let tally = tally(&story(), |_| true, Some(11));
    assert_eq!(tally.leads.len(), 1);
    assert!(tally.fresh.is_empty(), "{tally:?}");
    let open = tally.score(3600).open_share.unwrap();
    assert!(open > 0.95, "{open}");
}

#[test]
fn an_alert_that_resolves_as_the_limit_is_reached_counts_and_one_before_does_not() {
    assert_eq!(tally(&story(), |n| n == 8, None).leads, [Some(300), None]);
    assert_eq!(tally(&story(), |n| n == 7, None).leads, [None, None]);
}

#[test]
fn episodes_close_to_each_other_are_one_and_one_from_before_the_data_is_none() {
    let leads = |uses: &[u64]| tally(uses, |_| false, None).leads.len();
    assert_eq!(leads(&[0, 100, 0, 0, 0, 0, 0, 0, 100]), 2);
    assert_eq!(leads(&[0, 100, 0, 0, 0, 0, 0, 100]), 1);
    assert_eq!(leads(&[100, 100, 0, 0, 0, 100, 0]), 0);
    assert_eq!(leads(&[100, 0, 0, 0, 0, 0, 0, 0, 100]), 1);
}

#[test]
fn stamps_are_instants_whatever_the_zone() {
    let one: Timestamp = "2026-03-01T01:00:00+01:00".parse().unwrap();
    assert_eq!(one, at(START));
}

/// Nothing at all, one row, one spike, holes of hours and a workgroup of an hour: each is told of by what it is and by nothing more.
#[test]
fn thin_and_odd_use_opens_what_it_must_and_no_more() {
    let policy = watched(&limit("1h", 1000, ""));
    check(&policy, PACE, &rows(&[0; 600]), expect![""]);
    check(&policy, PACE, &[(0, 0)], expect![""]);
    let mut spike = vec![0; 600];
    spike[400] = 5000;
    check(
        &policy,
        PACE,
        &rows(&spike),
        expect![[r#"
            09:25 1h opened exhausted threshold 5000
            10:55 1h resolved exhausted over 0"#]],
    );
    // An hour of history and no more: only use itself speaks.
    let fresh: Vec<u64> = (0..12).map(|n| n * 14).collect();
    check(
        &policy,
        PACE,
        &rows(&fresh),
        expect![[r#"
            01:00 1h opened warn threshold 924"#]],
    );
    // What is not there is zero, and holes end an alert as calm does.
    check(
        &policy,
        PACE,
        &[(0, 900), (6 * 3600, 1), (12 * 3600, 900)],
        expect![[r#"
        00:05 1h opened warn threshold 900
        01:35 1h resolved warn over 0
        12:05 1h opened warn threshold 900, out at 12:15"#]],
    );
}

/// 5e16 bytes a day, which is more than a float can count: levels begin at their byte.
#[test]
fn the_most_that_anybody_scans_is_exact() {
    let day = 50_000_000_000_000_000;
    let policy = watched(&limit("24h", day, "forecast = \"off\""));
    let each = day / 288;
    let steady = vec![each; 288];
    let mut most: Vec<u64> = steady.clone();
    most[287] = day - 287 * each - 1;
    let sent = replay(&policy, PACE, &rows(&most));
    assert!(sent.iter().all(|n| n.level != "exhausted"), "{sent:?}");
    most[287] += 1;
    let sent = replay(&policy, PACE, &rows(&most));
    let last = sent.iter().rfind(|n| n.event != "resolved").unwrap();
    assert_eq!((last.event, last.level, last.used_bytes), ("escalated", "exhausted", day));
}
