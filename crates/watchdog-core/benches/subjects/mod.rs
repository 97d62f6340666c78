//! What is measured: each subject is set up once and can then be done any number of times. `decisions` measures how long that takes,
//! `counts` how many instructions.

use std::hint::black_box;

use jiff::{SignedDuration, Timestamp};
use watchdog_core::bytes::Bytes;
use watchdog_core::delivery::{People, Records, Standing, plan};
use watchdog_core::economy::{self, Memory};
use watchdog_core::event::{Tick, Timing};
use watchdog_core::forecast::{Inflow, Memo};
use watchdog_core::mail::{Origins, compose};
use watchdog_core::meter::Meter;
use watchdog_core::policy::{Document, Policy};
use watchdog_core::trail::Trail;
use watchdog_core::usage::{Flights, Series, Usage};
use watchdog_core::verdict::judge;
use watchdog_core::window::{BUCKET, Span};

/// What can be done over and over.
pub type Work = Box<dyn FnMut()>;

/// Every subject, in the order of the table.
pub const ALL: [&str; 25] = [
    "sum 1h",
    "sum 24h",
    "sum 28d",
    "add 12 buckets, 1h kept",
    "add 12 buckets, 24h kept",
    "add 12 buckets, 28d kept",
    "decision 1h, a day known",
    "decision 1h, 28d known",
    "decision 24h, 28d known",
    "decision 7d, 28d known",
    "forecast in the hour",
    "forecast at the full hour",
    "judge and plan 5",
    "judge and plan 100",
    "judge and plan 1000",
    "economy notes 1",
    "economy leaves out 1000",
    "policy of 5",
    "policy of 100",
    "policy of 1000",
    "mail with a picture",
    "mail without its picture",
    "mail about ten limits",
    "memory of 1000 written",
    "memory of 1000 read",
];

const HOUR: i64 = 3600;
const DAY: i64 = 86_400;
const MAIL: &str =
    "[mail]\nsender = \"w@example.com\"\nadmins = [\"ops@example.com\"]\nallowed_domains = [\"example.com\"]\n";

fn now() -> Timestamp {
    at(1_772_373_900)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or_default()
}

/// Use that swings and never repeats: no random numbers, so that each run does the same.
fn bucket(n: i64) -> Bytes {
    let n = n.unsigned_abs();
    Bytes::new(n * 7919 % 10_007 * 1_000_000 + n % 13 * 50_000_000)
}

/// The last `seconds` before [`now`].
fn series(seconds: i64, n: i64) -> Series {
    let buckets = (0..seconds / BUCKET).map(|i| bucket(i + n * 31)).collect();
    Series::from_buckets(at(now().as_second() - seconds), buckets)
}

fn policy(workgroups: i64, limits: &str) -> Policy {
    Policy::parse(&documents(workgroups, limits)).unwrap_or_else(|problems| panic!("{problems}"))
}

fn documents(workgroups: i64, limits: &str) -> Vec<Document> {
    let rules: String = (0..workgroups).map(|n| format!("[[workgroup]]\nname = \"team-{n:04}\"\n{limits}")).collect();
    vec![Document { name: "policy.toml".to_owned(), text: format!("{MAIL}{rules}") }]
}

const TWO: &str = "[[workgroup.limit]]\nwindow = \"1h\"\nlimit = \"900 GB\"\n[[workgroup.limit]]\nwindow = \"24h\"\nlimit = \"9 TB\"\n";
/// A limit that is gone.
const GONE: &str = "[[workgroup.limit]]\nwindow = \"1h\"\nlimit = \"1 GB\"\n";

/// A subject by its name.
pub fn set_up(name: &str) -> Work {
    let words: Vec<&str> = name.split(' ').collect();
    let number = words.last().and_then(|word| word.parse().ok()).unwrap_or(0);
    match words.as_slice() {
        ["sum", length] => sum(seconds(length)),
        ["add", _, _, length, "kept"] => add(seconds(length)),
        ["decision", window, known @ ..] => decision(window.trim_end_matches(','), known),
        ["forecast", when, ..] => forecast(*when == "at"),
        ["judge", ..] => judged(number),
        ["economy", "notes", _] => noted(),
        ["economy", ..] => left_out(number),
        ["policy", ..] => parsed(number),
        ["mail", "with", ..] => mailed(1, true),
        ["mail", "without", ..] => mailed(1, false),
        ["mail", ..] => mailed(10, true),
        ["memory", .., "written"] => remembered(true),
        ["memory", .., "read"] => remembered(false),
        _ => panic!("`{name}` is no subject"),
    }
}

fn seconds(length: &str) -> i64 {
    match length {
        "1h" => HOUR,
        "24h" => DAY,
        _ => 28 * DAY,
    }
}

/// The sum of a window, of 28 days that are known.
fn sum(length: i64) -> Work {
    let meter = Meter::from(&series(28 * DAY, 0));
    let span = Span { start: at(now().as_second() - length), end: now() };
    Box::new(move || {
        black_box(black_box(&meter).sum(black_box(span)).is_ok());
    })
}

/// Twelve buckets more.
fn add(keep: i64) -> Work {
    let mut meter = Meter::new(at(0), usize::try_from(keep / BUCKET).unwrap_or(1));
    let mut next = 0;
    let mut go = move || {
        for _ in 0..12 {
            meter.add(at(next * BUCKET), black_box(bucket(next)));
            next += 1;
        }
        black_box(&meter);
    };
    // Full before it is measured: the past is as long as it gets.
    (0..keep / BUCKET / 12 + 2).for_each(|_| go());
    Box::new(go)
}

/// All that is decided of one limit in a look, the surprise of the hour being known.
fn decision(window: &str, known: &[&str]) -> Work {
    let length = if known.contains(&"28d") { 28 * DAY } else { DAY + 4 * HOUR };
    let window = if window == "7d" { "168h" } else { window };
    let policy = policy(1, &format!("[[workgroup.limit]]\nwindow = \"{window}\"\nlimit = \"90 TB\"\n"));
    let meter = Meter::from(&series(length, 0));
    let flights = Flights::default();
    let mut memo = Memo::default();
    Box::new(move || {
        let Some(limit) = policy.rules().first().and_then(|rule| rule.limits.first()) else { return };
        let inflow = Inflow::guess(&meter, now(), &[], &mut memo);
        let reading = limit.read(black_box(&meter), black_box(now()), inflow.as_ref(), &flights);
        black_box(reading.map(|reading| limit.level(reading))).ok();
    })
}

fn forecast(is_full_hour: bool) -> Work {
    let meter = Meter::from(&series(28 * HOUR, 0));
    let mut memo = Memo::default();
    Box::new(move || {
        if is_full_hour {
            memo = Memo::default();
        }
        black_box(Inflow::guess(black_box(&meter), now(), &[], &mut memo));
    })
}

/// What a run decides of so many workgroups.
fn judged(workgroups: i64) -> Work {
    let policy = policy(workgroups, TWO);
    let known = (0..workgroups).map(|n| (format!("team-{n:04}"), Ok(series(28 * HOUR, n))));
    let usage = Usage { workgroups: known.collect(), ..Usage::default() };
    let tick = Tick { at: now(), timing: Timing::Now };
    Box::new(move || {
        let findings = judge(black_box(&policy), &tick, black_box(&usage));
        let people = People::new();
        black_box(plan(&policy, &Standing::Current, &tick, &findings, None, &Records::new(), &people));
    })
}

fn thrifty(workgroups: i64) -> (Policy, Memory) {
    let text = format!("[economy]\nat_most = \"30 min\"\n{MAIL}");
    let mut documents = documents(workgroups, TWO);
    for document in &mut documents {
        document.text = document.text.replace(MAIL, &text);
    }
    let policy = Policy::parse(&documents).unwrap_or_else(|problems| panic!("{problems}"));
    let mut memory = Memory::default();
    let then = now() - SignedDuration::from_hours(10 * 24);
    if let Some(rules) = policy.economy {
        for (n, rule) in (0..).zip(policy.rules()) {
            let buckets = (0..400).map(|i| bucket(i + n * 31)).collect();
            let past = Series::from_buckets(then - SignedDuration::from_secs(400 * BUCKET), buckets);
            economy::note(&mut memory, rule.pattern.as_str(), &rule.limits, &past, false, then, rules);
        }
    }
    (policy, memory)
}

fn noted() -> Work {
    let (policy, mut memory) = thrifty(1);
    let series = series(28 * HOUR, 0);
    Box::new(move || {
        let (Some(rules), Some(rule)) = (policy.economy, policy.rules().first()) else { return };
        economy::note(&mut memory, "team-0000", &rule.limits, black_box(&series), false, now(), rules);
    })
}

fn left_out(workgroups: i64) -> Work {
    let (policy, mut memory) = thrifty(workgroups);
    let later = now() + SignedDuration::from_mins(5);
    if let Some(rules) = policy.economy {
        for (n, rule) in (0..).zip(policy.rules()) {
            economy::note(
                &mut memory,
                &format!("team-{n:04}"),
                &rule.limits,
                &series(28 * HOUR, n),
                false,
                now(),
                rules,
            );
        }
    }
    Box::new(move || {
        let Some(rules) = policy.economy else { return };
        for (n, rule) in policy.rules().iter().enumerate() {
            black_box(memory.leaves_out(&format!("team-{n:04}"), &rule.limits, later, rules));
        }
    })
}

fn remembered(is_written: bool) -> Work {
    let (_, memory) = thrifty(1000);
    let text = serde_json::to_string(&memory).unwrap_or_default();
    Box::new(move || match is_written {
        true => _ = black_box(serde_json::to_string(black_box(&memory))),
        false => _ = black_box(serde_json::from_str::<Memory>(black_box(&text))),
    })
}

fn parsed(workgroups: i64) -> Work {
    let documents = documents(workgroups, TWO);
    Box::new(move || {
        black_box(Policy::parse(black_box(&documents)).is_ok());
    })
}

/// A mail about so many limits that are gone; without pictures where it is not known how their windows have filled.
fn mailed(workgroups: i64, pictures: bool) -> Work {
    let policy = policy(workgroups, GONE);
    let known = (0..workgroups).map(|n| (format!("team-{n:04}"), Ok(series(28 * HOUR, n))));
    let usage = Usage { workgroups: known.collect(), ..Usage::default() };
    let tick = Tick { at: now(), timing: Timing::Now };
    let mut findings = judge(&policy, &tick, &usage);
    if !pictures {
        findings.verdicts.iter_mut().for_each(|verdict| verdict.trail = Trail::unknown(verdict.span));
    }
    let people = People::new();
    let plan = plan(&policy, &Standing::Current, &tick, &findings, None, &Records::new(), &people);
    let messages = plan.messages;
    assert_eq!(messages.len(), 1, "everything goes to the admins");
    let origins = Origins { region: "eu-central-1".to_owned(), name: "watchdog".to_owned() };
    Box::new(move || {
        for message in &messages {
            black_box(compose(black_box(message), &policy.mail, &origins, now()));
        }
    })
}
