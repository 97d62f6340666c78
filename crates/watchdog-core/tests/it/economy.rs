//! Who need not be asked: the rule against brute force, what it may cost, and that a back-test knows it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use watchdog_core::alert::{Record, Subject};
use watchdog_core::backtest::{Asked, Notification, Pace, Query, Replay, delays};
use watchdog_core::bytes::Bytes;
use watchdog_core::delivery::{People, Records, Standing, plan};
use watchdog_core::economy::{self, Memory};
use watchdog_core::event::{Source, Tick, Timing};
use watchdog_core::policy::{Address, Limit, Policy, UnderGrant};
use watchdog_core::report::RunReport;
use watchdog_core::usage::{Seen, Series, Usage};
use watchdog_core::verdict::{judge, worth_asking};
use watchdog_core::window::{BUCKET, ceil};

use crate::support::{at, cases, policy};

/// A Sunday.
const START: &str = "2026-03-01T00:00:00Z";
/// Buckets of a week, and of the day after it, from when on anybody is left out.
const WEEK: usize = 8 * 288;

fn thrifty(limits: &str) -> Policy {
    policy(&format!("[economy]\nat_most = \"30 min\"\n[[workgroup]]\nname = \"w\"\n{limits}"))
}

fn limit(window: &str, bytes: u64, more: &str) -> String {
    format!("[[workgroup.limit]]\nwindow = \"{window}\"\nlimit = \"{bytes} B\"\n{more}\n")
}

fn stamp(bucket: usize) -> Timestamp {
    at(START) + SignedDuration::from_secs(i64::try_from(bucket).unwrap() * BUCKET)
}

/// What a policy would have sent, with one row a bucket, and how often it would have asked.
fn replay(policy: &Policy, bytes: &[u64], every: usize) -> (Vec<Notification>, Option<Asked>) {
    let every = i64::try_from(every).unwrap() * BUCKET;
    let pace = Pace { step: BUCKET, every, score_from: None, trace: false };
    let mut replay = Replay::new(&[policy], "w", stamp(0), pace).unwrap();
    let mut out = Vec::new();
    for (n, bytes) in bytes.iter().enumerate() {
        replay.push(stamp(n), Bytes::new(*bytes), &mut out);
    }
    replay.finish(stamp(bytes.len()), &mut out);
    let asked = replay.asked();
    (out, asked)
}

fn lines(sent: &[Notification]) -> Vec<String> {
    let line = |n: &Notification| format!("{} {} {} {} {}", n.time, n.window, n.event, n.level, n.used_bytes);
    sent.iter().map(line).collect()
}

/// The series that a run at the end of `bytes` reads.
fn series(policy: &Policy, bytes: &[u64], missed: &[Timestamp]) -> Series {
    let now = stamp(bytes.len());
    let limits = &policy.rule_for("w").unwrap().limits;
    let windows = limits.iter().flat_map(|limit| missed.iter().map(|at| limit.window.span(*at).start));
    let starts = limits.iter().map(|limit| limit.reads_from(now)).chain(windows).chain([economy::reads_from(now)]);
    let from = starts.min().unwrap();
    let length = (ceil(now).as_second() - from.as_second()) / BUCKET;
    let past = (0..length).map(|n| {
        let index = i64::try_from(bytes.len()).unwrap() - length + n;
        Bytes::new(usize::try_from(index).ok().and_then(|index| bytes.get(index)).copied().unwrap_or(0))
    });
    Series::from_buckets(from, past.collect())
}

/// The same in the function's way: what it remembers, who it asks, what it plans; everything is delivered.
fn function(policy: &Policy, bytes: &[u64], every: usize) -> (Vec<String>, Asked) {
    let (mut records, mut memory, mut lines) = (Records::new(), Memory::default(), Vec::new());
    let (limits, rules) = (&policy.rule_for("w").unwrap().limits, policy.economy.unwrap());
    let mut asked = Asked::default();
    for run in (every..=bytes.len()).step_by(every) {
        let now = stamp(run);
        let tick = Tick { at: now, timing: Timing::Now };
        let is_open = records.values().any(|record| record.is_pending());
        let known = memory.leaves_out("w", limits, now, rules).filter(|_| !is_open).cloned();
        let mut usage = Usage::default();
        asked.looks += 1;
        match known {
            Some(known) => {
                memory.left_out("w", now);
                usage.left_out.insert("w".to_owned(), known);
            }
            None => {
                asked.asked += 1;
                let missed = memory.missed("w").to_vec();
                usage.workgroups.insert("w".to_owned(), Ok(series(policy, &bytes[..run], &missed)));
                usage.missed.insert("w".to_owned(), missed);
            }
        }
        let findings = judge(policy, &tick, &usage);
        let plan = plan(policy, &Standing::Current, &tick, &findings, None, &records, &People::new());
        records = plan.records.clone();
        for message in &plan.messages {
            for notice in &message.notices {
                records.get_mut(&notice.subject).unwrap().tell(&message.to, notice.reason, now);
                lines.push(format!("{now} {} {} {}", notice.subject, notice.reason.word(), notice.severity.words()));
            }
        }
        records.retain(|_, record| !record.is_over());
        for seen in usage.workgroups.values() {
            economy::note(&mut memory, "w", limits, seen.as_ref().unwrap(), false, now, rules);
        }
    }
    lines.sort();
    (lines, asked)
}

/// Stretches of even use, as many buckets as wanted.
fn filled(parts: &[(u64, usize)], length: usize) -> Vec<u64> {
    parts.iter().cycle().flat_map(|(each, n)| std::iter::repeat_n(*each, *n)).take(length).collect()
}

fn stretches() -> impl Strategy<Value = Vec<(u64, usize)>> {
    prop::collection::vec((0..20u64, 1..40usize), 1..8)
}

/// A week at most as busy as its first hours, which are as busy as anything that comes after.
fn tamed(parts: &[(u64, usize)], length: usize) -> Vec<u64> {
    let mut bytes = vec![20; 20];
    bytes.extend(filled(parts, WEEK + length));
    bytes
}

proptest! {
    #![proptest_config(cases(16))]

    /// Where no more is scanned than ever before, everything is told when it would be told otherwise, to the last line and byte.
    #[test]
    fn nothing_is_later_where_no_record_is_broken(
        parts in stretches(),
        hour in 60..600u64,
        day in 600..6000u64,
        forecast in prop::sample::select(vec!["", "forecast = \"off\""]),
        hold in prop::sample::select(vec!["", "hold = \"0 min\""]),
    ) {
        let more = format!("{forecast}\n{hold}");
        let policy = thrifty(&(limit("1h", hour, &more) + &limit("24h", day, &more) + &limit("calendar day", day, &more)));
        let bytes = tamed(&parts, 600);
        let (with, _) = replay(&policy, &bytes, 1);
        let (without, _) = replay(&policy.without_economy(), &bytes, 1);
        prop_assert_eq!(lines(&with), lines(&without));
    }

    /// Whatever comes, nothing is told more than `at_most` later, and nothing is never told but a forecast that has not come true.
    #[test]
    fn nothing_is_later_than_it_may_be(
        parts in stretches(),
        jumps in prop::collection::vec((0..600usize, 0..3000u64), 0..30),
        hour in 100..600u64,
        day in 600..6000u64,
        window in prop::sample::select(vec!["15m", "45m", "1h"]),
        hold in prop::sample::select(vec!["", "hold = \"0 min\""]),
        every in 1..4usize,
    ) {
        let of_hour = limit("calendar hour", hour, &format!("forecast = \"off\"\n{hold}"));
        let policy = thrifty(&(limit(window, hour, hold) + &limit("24h", day, "") + &of_hour));
        let mut bytes = tamed(&parts, 600);
        for (place, more) in jumps {
            bytes[20 + WEEK + place] += more;
        }
        let (with, asked) = replay(&policy, &bytes, every);
        let (without, _) = replay(&policy.without_economy(), &bytes, every);
        let delays = delays(&with, &without);
        prop_assert_eq!(delays.never, 0, "{:#?}\n{:#?}", lines(&with), lines(&without));
        prop_assert!(delays.longest_seconds <= 30 * 60, "{:?}", delays);
        let asked = asked.unwrap();
        prop_assert!(asked.asked <= asked.looks);
    }
}

proptest! {
    #![proptest_config(cases(5))]

    /// What the back-test says that would have been asked and sent is what the function would have asked and sent.
    #[test]
    fn the_back_test_asks_and_sends_what_the_function_does(
        parts in stretches(),
        jumps in prop::collection::vec((0..300usize, 0..2000u64), 0..12),
        hour in 100..600u64,
        every in 2..4usize,
        forecast in prop::sample::select(vec!["", "forecast = \"off\""]),
    ) {
        let policy = thrifty(&(limit("1h", hour, forecast) + &limit("6h", hour * 4, "forecast = \"off\"")));
        let mut bytes = tamed(&parts, 300);
        for (place, more) in jumps {
            bytes[20 + WEEK + place] += more;
        }
        bytes.truncate(bytes.len() / every * every);
        let (sent, asked) = replay(&policy, &bytes, every);
        let (told, counted) = function(&policy, &bytes, every);
        let mut lines: Vec<String> = sent.iter().map(|n| format!("{} limit/w/{} {} {}", n.time, n.window, n.event, n.level)).collect();
        lines.sort();
        prop_assert_eq!(lines, told);
        prop_assert_eq!(asked, Some(counted));
    }
}

/// A memory of a workgroup that scanned `each` in every bucket for eight days, asked for the last time at their end.
fn known(policy: &Policy, each: u64) -> (Memory, Timestamp) {
    let mut memory = Memory::default();
    let (limits, rules) = (&policy.rule_for("w").unwrap().limits, policy.economy.unwrap());
    let bytes = vec![each; WEEK];
    for run in [1, 288, WEEK] {
        economy::note(&mut memory, "w", limits, &series(policy, &bytes[..run], &[]), false, stamp(run), rules);
    }
    (memory, stamp(WEEK))
}

/// For how many minutes after an asking at midnight the workgroup is left out.
fn minutes(memory: &Memory, limits: &[Limit], asked: Timestamp, policy: &Policy) -> i64 {
    let rules = policy.economy.unwrap();
    (1..120)
        .take_while(|n| memory.leaves_out("w", limits, asked + SignedDuration::from_mins(*n), rules).is_some())
        .last()
        .unwrap_or(0)
}

#[track_caller]
fn check(limits: &str, each: u64, expected: i64) {
    let policy = thrifty(limits);
    let (memory, asked) = known(&policy, each);
    assert_eq!(minutes(&memory, &policy.rule_for("w").unwrap().limits, asked, &policy), expected);
}

#[test]
fn how_long_somebody_is_left_out_follows_from_what_may_come() {
    // 10 a bucket: 120 in each hour. Twelve or thirteen buckets of ten are known or may come, up to a record of the same pace.
    check(&limit("1h", 1000, ""), 10, 29);
    // Above the level already.
    check(&limit("1h", 130, "forecast = \"off\""), 10, 0);
    // The day's pace is even, so that what comes only replaces what leaves; a look within a bucket goes back one more, to 2890.
    check(&limit("24h", 3215, "forecast = \"off\"\nwarn = \"90 %\""), 10, 29);
    check(&limit("24h", 3205, "forecast = \"off\"\nwarn = \"90 %\""), 10, 0);
    // The tightest of the limits decides.
    check(&(limit("1h", 1000, "") + &limit("24h", 3000, "")), 10, 0);
    // Nothing was ever scanned: nothing is to come.
    check(&limit("1h", 1000, ""), 0, 29);
}

#[test]
fn a_giant_of_the_past_is_what_may_come_again() {
    let policy = thrifty(&limit("24h", 10_000, "forecast = \"off\""));
    let limits = &policy.rule_for("w").unwrap().limits;
    let mut bytes = vec![10; WEEK];
    for (giant, expected) in [(5_000, 29), (8_000, 0)] {
        bytes[300] = giant;
        let mut memory = Memory::default();
        for run in [1, 400, WEEK] {
            economy::note(
                &mut memory,
                "w",
                limits,
                &series(&policy, &bytes[..run], &[]),
                false,
                stamp(run),
                policy.economy.unwrap(),
            );
        }
        assert_eq!(minutes(&memory, limits, stamp(WEEK), &policy), expected, "{giant}");
        // A process that has read it from the table knows the record, and asks all the same: it does not know since when.
        let text = serde_json::to_string(&memory).unwrap();
        let mut fresh: Memory = serde_json::from_str(&text).unwrap();
        assert_eq!(minutes(&fresh, limits, stamp(WEEK), &policy), 0);
        economy::note(
            &mut fresh,
            "w",
            limits,
            &series(&policy, &bytes, &[]),
            false,
            stamp(WEEK),
            policy.economy.unwrap(),
        );
        assert_eq!(minutes(&fresh, limits, stamp(WEEK), &policy), expected, "{giant}");
    }
}

#[test]
fn nobody_is_left_out_of_whom_too_little_is_known_or_who_may_do_anything() {
    let policy = thrifty(&limit("1h", 1000, ""));
    let (limits, rules) = (&policy.rule_for("w").unwrap().limits, policy.economy.unwrap());
    let bytes = vec![10; WEEK];
    let noted = |runs: &[usize], may_land, limits: &[Limit]| {
        let mut memory = Memory::default();
        for run in runs {
            economy::note(
                &mut memory,
                "w",
                limits,
                &series(&policy, &bytes[..*run], &[]),
                may_land,
                stamp(*run),
                rules,
            );
        }
        memory
    };
    let last = |memory: &Memory, limits, run| minutes(memory, limits, stamp(run), &policy);
    assert_eq!(last(&noted(&[1, WEEK], false, limits), limits, WEEK), 29);
    // Less than a week, and one first asked only now, whatever it had done before.
    assert_eq!(last(&noted(&[1, WEEK - 12], false, limits), limits, WEEK - 12), 0);
    assert_eq!(last(&noted(&[WEEK], false, limits), limits, WEEK), 0);
    // A query runs, or nobody knows.
    assert_eq!(last(&noted(&[1, WEEK], true, limits), limits, WEEK), 0);
    // Another limit than the one that was looked at, or one under a grant.
    let memory = noted(&[1, WEEK], false, limits);
    let lower = [Limit { bytes: Bytes::new(999), ..limits[0].clone() }];
    assert_eq!(last(&memory, &lower, WEEK), 0);
    let grant = Some(UnderGrant::Ended { at: stamp(WEEK - 3) });
    let granted = [Limit { grant, ..limits[0].clone() }];
    assert_eq!(last(&noted(&[1, WEEK], false, &granted), &granted, WEEK), 0);
    // Seen no more.
    let mut memory = memory;
    memory.is_unseen("w");
    assert_eq!(last(&memory, limits, WEEK), 0);
}

#[test]
fn no_forecast_is_left_out_across_a_full_hour() {
    let policy = thrifty(&limit("1h", 1000, ""));
    let (limits, rules) = (&policy.rule_for("w").unwrap().limits, policy.economy.unwrap());
    let bytes = vec![10; WEEK + 10];
    let mut memory = Memory::default();
    for run in [1, WEEK + 10] {
        economy::note(&mut memory, "w", limits, &series(&policy, &bytes[..run], &[]), false, stamp(run), rules);
    }
    // Asked at 00:50.
    assert_eq!(minutes(&memory, limits, stamp(WEEK + 10), &policy), 9);
}

#[test]
fn a_look_that_was_left_out_is_made_up_for() {
    let policy = thrifty(&limit("15m", 1000, "forecast = \"off\"\nhold = \"0 min\""));
    let mut bytes = vec![1; WEEK + 40];
    // Far more than ever, and out of the window again before anybody asks.
    bytes[WEEK + 1] = 970;
    let (sent, asked) = replay(&policy, &bytes, 1);
    let at = |minutes| stamp(WEEK) + SignedDuration::from_mins(minutes);
    let told: Vec<_> = sent.iter().map(|n| (n.time, n.event, n.level, n.used_bytes)).collect();
    // Asked at midnight and at half past; used at 00:20, as it was found there.
    assert_eq!(told, [(at(30), "opened", "critical", 972), (at(35), "resolved", "critical", 3)]);
    let asked = asked.unwrap();
    assert!(asked.asked < asked.looks, "{asked:?}");
    let without = replay(&policy.without_economy(), &bytes, 1);
    assert_eq!(without.1, None);
    assert_eq!(without.0[0].time, at(10));
    let delays = delays(&sent, &without.0);
    assert_eq!((delays.told, delays.later, delays.longest_seconds), (1, 1, 20 * 60));
}

fn tick(now: Timestamp) -> Tick {
    Tick { at: now, timing: Timing::Now }
}

/// A run that leaves out `w` and asks `x`.
fn half_asked(policy: &Policy) -> (Usage, Timestamp) {
    let (memory, asked) = known(policy, 10);
    let now = asked + SignedDuration::from_mins(10);
    let limits = &policy.rule_for("w").unwrap().limits;
    let remembered = memory.leaves_out("w", limits, now, policy.economy.unwrap()).unwrap().clone();
    let of_x: Seen = Ok(Series::from_buckets(now - SignedDuration::from_hours(30), vec![Bytes::ZERO; 360]));
    let usage = Usage {
        workgroups: BTreeMap::from([("x".to_owned(), of_x)]),
        left_out: BTreeMap::from([("w".to_owned(), remembered)]),
        ..Usage::default()
    };
    (usage, now)
}

#[test]
fn what_is_not_asked_is_shown_with_its_age_and_is_neither_unknown_nor_zero() {
    let both = limit("1h", 1000, "");
    let policy = thrifty(&format!("{both}[[workgroup]]\nname = \"x\"\n{both}"));
    let (usage, now) = half_asked(&policy);
    let findings = judge(&policy, &tick(now), &usage);
    assert_eq!((findings.seen.len(), findings.unseen.len()), (1, 0));
    let mut report = RunReport::new("run".to_owned(), Source::Scheduler, tick(now), false);
    report.found(&findings);
    report.thrifty(&findings, policy.economy.unwrap());
    let rows: Vec<_> =
        report.limits.iter().map(|l| (&*l.workgroup, l.level, l.used_bytes, l.age_seconds, l.as_of == now)).collect();
    assert_eq!(rows, [("w", "ok", Some(120), Some(600), false), ("x", "ok", Some(0), None, true)]);
    assert!(
        report.limits[0].reason.contains("as of 2026-03-09T00:00:00Z, not asked since"),
        "{}",
        report.limits[0].reason
    );
    let economy = report.economy.clone().unwrap();
    assert_eq!((economy.asked, economy.not_asked, &*economy.at_most), (1, 1, "30m"));
    assert_eq!(economy.figures_since, Some(now - SignedDuration::from_mins(10)));
    assert_eq!(report.unknown_limits(), 0);
    // An alert's memory without anything open stays as it is.
    let mut records = Records::new();
    let mut heard = Record::default();
    heard.hear(&Address::parse("ann@example.com").unwrap(), ["q1".to_owned()].into_iter(), now);
    assert!(!heard.is_pending());
    let subject: Subject = "limit/w/1h".parse().unwrap();
    records.insert(subject.clone(), heard);
    let plan = plan(&policy, &Standing::Current, &tick(now), &findings, None, &records, &People::new());
    assert_eq!(plan.records[&subject], records[&subject]);
    assert!(plan.messages.is_empty());
}

#[test]
fn the_queries_of_those_that_are_not_asked_are_looked_at_as_before() {
    let policy = thrifty(&limit("1h", 1000, ""));
    let (mut usage, now) = half_asked(&policy);
    // 12 % used when it was asked.
    assert_eq!(worth_asking(&policy, &tick(now), &usage), ["w"]);
    usage.left_out.get_mut("w").unwrap().used = vec![Bytes::new(99)];
    assert!(worth_asking(&policy, &tick(now), &usage).is_empty());
}

#[test]
fn a_query_in_flight_keeps_a_back_test_asking() {
    let policy = thrifty(&limit("24h", 100_000, "forecast = \"off\""));
    let query = |id: &str, from: usize, to: usize| Query {
        id: id.to_owned(),
        submitted: stamp(from),
        completed: stamp(to),
        bytes: Bytes::new(10),
    };
    let pace = Pace { step: 1, every: BUCKET, score_from: None, trace: false };
    let asked = |long: usize| {
        let queries =
            vec![query("a", 0, 1), query("b", WEEK + 12, WEEK + 12 + long), query("c", WEEK + 100, WEEK + 100)];
        let mut out = Vec::new();
        let replay = Replay::through_queries(&[&policy], "w", queries, false, pace, &mut out).unwrap();
        replay.asked().unwrap().asked
    };
    // Two hours instead of five minutes: every run in it asks, where every sixth would.
    assert!(asked(25) >= asked(1) + 18, "{} {}", asked(25), asked(1));
}

#[test]
fn the_policy_says_how_long() {
    let with = |text: &str| policy(&format!("{text}\n[[workgroup]]\nname = \"w\"\n{}", limit("1h", 10, ""))).economy;
    assert_eq!(with(""), None);
    assert_eq!(with("[economy]"), None);
    assert_eq!(with("[economy]\nat_most = \"0 min\""), None);
    assert_eq!(with("[economy]\nat_most = \"1h\"").map(|e| e.at_most), Some(SignedDuration::from_hours(1)));
}
