//! The story of an alert, against a model that keeps no state: it looks through the whole log each time.

use std::collections::{BTreeMap, BTreeSet};

use expect_test::expect;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use watchdog_core::alert::{Ending, Reason, Record, Severity, Subject, settled, sighting};
use watchdog_core::bytes::Bytes;
use watchdog_core::delivery::{Message, Notice, People, Plan, Records, Standing, plan};
use watchdog_core::event::{Tick, Timing};
use watchdog_core::history::History;
use watchdog_core::policy::{Address, Limit, Policy};
use watchdog_core::usage::{Series, Unknown, Usage};
use watchdog_core::verdict::{Foresight, Level, Reading, judge};

use crate::support::{at, cases, policy};

const LIMIT: u64 = 1000;
const PEOPLE: [&str; 3] = ["a@example.com", "b@example.com", "c@example.com"];

/// A policy with one limit of 1000 bytes, and who of [`PEOPLE`] hears of warn, critical and exhausted, as bits.
fn watched(window: &str, audience: [u8; 3]) -> Policy {
    let list = |bits: u8| {
        let here = (0..3).filter(|n| bits >> n & 1 == 1).map(|n| format!("\"{}\"", PEOPLE[n]));
        here.collect::<Vec<_>>().join(", ")
    };
    policy(&format!(
        r#"repeat_cannot_see_every = "2h"
[defaults]
warn = "80 %"
critical = "95 %"
hysteresis = "5 %"
forecast = "off"
hold = "0 min"
repeat_every = "1h"
[[workgroup]]
name = "w"
[[workgroup.limit]]
window = "{window}"
limit = "{LIMIT} B"
[workgroup.limit.audience]
warn = [{}]
critical = [{}]
exhausted = [{}]
"#,
        list(audience[0]),
        list(audience[1]),
        list(audience[2]),
    ))
}

fn only_limit(policy: &Policy) -> &Limit {
    &policy.rules()[0].limits[0]
}

/// A look that the forecast says nothing of.
fn reading(used: u64) -> Reading {
    Reading { used: Bytes::new(used), foresight: Foresight::Silent }
}

fn tick(at: Timestamp) -> Tick {
    Tick { at, timing: Timing::Now }
}

/// One pass: `used` in the limit's window, or nothing known.
fn pass(policy: &Policy, now: Timestamp, used: Option<u64>, records: &Records) -> Plan {
    let span = only_limit(policy).window.span(now);
    let seen = match used {
        None => Err(Unknown::Partial),
        Some(used) => {
            let length = (span.end.as_second() - span.start.as_second() + 299) / 300;
            let mut buckets = vec![Bytes::ZERO; usize::try_from(length).unwrap()];
            *buckets.last_mut().unwrap() = Bytes::new(used);
            Ok(Series::from_buckets(span.start, buckets))
        }
    };
    let usage = Usage { workgroups: BTreeMap::from([("w".to_owned(), seen)]), ..Usage::default() };
    let tick = tick(now);
    plan(policy, &Standing::Current, &tick, &judge(policy, &tick, &usage), None, records, &People::new())
}

/// Notes what was delivered, as a caller does: person by person.
fn deliver(plan: &Plan, now: Timestamp, arrives: impl Fn(&Address) -> bool) -> Records {
    let mut records = plan.records.clone();
    for message in plan.messages.iter().filter(|message| arrives(&message.to)) {
        for notice in &message.notices {
            records.get_mut(&notice.subject).unwrap().tell(&message.to, notice.reason, now);
        }
    }
    records.retain(|_, record| !record.is_over());
    records
}

/// What happened in one run.
struct Run {
    now: Timestamp,
    used: Option<u64>,
    /// The start of the calendar window.
    window: Option<Timestamp>,
    /// What reached people.
    delivered: Vec<(Address, Notice)>,
}

/// How bad a limit is after all that was seen of it, and since which run its story goes: replayed from the beginning.
fn model_story(log: &[Run]) -> Option<(usize, Severity)> {
    let mut story: Option<(usize, Severity, Option<Timestamp>)> = None;
    for (n, run) in log.iter().enumerate() {
        let Some(used) = run.used else { continue };
        let before = story.filter(|(_, _, window)| *window == run.window);
        let mut now = None;
        for (severity, threshold) in [(Severity::Warn, 800), (Severity::Critical, 950), (Severity::Exhausted, 1000)] {
            let rises = used >= threshold;
            let stays = before.is_some_and(|(_, held, _)| held >= severity) && used >= threshold - 50;
            if rises || stays {
                now = Some(severity);
            }
        }
        story = now.map(|severity| (before.map_or(n, |(began, ..)| began), severity, run.window));
    }
    story.map(|(began, severity, _)| (began, severity))
}

/// How bad the sight of the workgroup is.
fn model_sight(log: &[Run]) -> Option<(usize, Severity)> {
    let unseen_since = log.iter().rposition(|run| run.used.is_some()).map_or(0, |n| n + 1);
    (unseen_since < log.len()).then_some((unseen_since, Severity::CannotSee))
}

/// What a person is to hear now, judged from the log of all earlier runs and this one's numbers.
fn model_reason(
    log: &[Run],
    story: Option<(usize, Severity)>,
    subject: &Subject,
    person: &Address,
    hears: bool,
    repeat: SignedDuration,
) -> Option<&'static str> {
    let now = log.last().unwrap().now;
    let mut last = None;
    for run in &log[..log.len() - 1] {
        for (to, notice) in &run.delivered {
            if to == person && notice.subject == *subject {
                last = Some((run.now, notice)).filter(|(_, notice)| notice.reason.word() != "resolved");
            }
        }
    }
    match (last, story) {
        (None, None) => None,
        (None, Some(_)) => hears.then_some("opened"),
        (Some(_), None) => Some("resolved"),
        (Some((when, notice)), Some((began, severity))) => {
            let same = notice.opened == log[began].now;
            match (same, hears) {
                (false, true) => Some("opened"),
                (false, false) => Some("resolved"),
                (true, false) => None,
                (true, true) if severity > notice.severity => Some("escalated"),
                (true, true) if now.duration_since(when) >= repeat => Some("repeated"),
                (true, true) => None,
            }
        }
    }
}

fn used() -> impl Strategy<Value = Option<u64>> {
    // Around the thresholds and their margins, and far from them.
    let borders = vec![0, 500, 749, 750, 799, 800, 850, 899, 900, 949, 950, 951, 999, 1000, 1500];
    prop_oneof![1 => Just(None), 8 => prop::sample::select(borders).prop_map(Some), 2 => (0..1200u64).prop_map(Some)]
}

proptest! {
    #![proptest_config(cases(192))]

    #[test]
    fn everybody_hears_what_they_are_owed_and_nothing_else(
        window in prop::sample::select(vec!["1h", "calendar hour"]),
        audience in [0..8u8, 0..8u8, 1..8u8],
        runs in prop::collection::vec((used(), 1..8i64, 0..16u8), 1..30),
    ) {
        let policy = watched(window, audience);
        let limit = only_limit(&policy);
        let subject = Subject::Limit { workgroup: "w".to_owned(), window: limit.window.id() };
        let sight = Subject::Sight { workgroup: "w".to_owned() };
        let admin = Address::parse("ops@example.com").unwrap();
        let people: Vec<Address> = PEOPLE.iter().map(|p| Address::parse(p).unwrap()).collect();
        let mut records = Records::new();
        let mut now = at("2026-03-01T10:02:00Z");
        let mut log: Vec<Run> = Vec::new();
        // In the end all is calm, seen and delivered.
        let calm = [(Some(0), 1, 0xf), (Some(0), 12, 0xf)];
        for (used, steps, arrives) in runs.into_iter().chain(calm) {
            now += SignedDuration::from_mins(5 * steps);
            let plan = pass(&policy, now, used, &records);
            let addressed: std::collections::BTreeSet<_> = plan.messages.iter().map(|m| &m.to).collect();
            prop_assert_eq!(addressed.len(), plan.messages.len(), "a person has two messages");
            prop_assert!(plan.messages.iter().all(|m| !m.notices.is_empty()), "an empty message");
            log.push(Run { now, used, window: limit.window.began(now), delivered: Vec::new() });

            let story = model_story(&log);
            prop_assert_eq!(plan.records[&subject].story.map(|s| (s.opened, s.severity)), story.map(|(n, s)| (log[n].now, s)));
            let told = |person: &Address, subject: &Subject| {
                let message = plan.messages.iter().find(|m| m.to == *person);
                let notice = message.and_then(|m| m.notices.iter().find(|n| n.subject == *subject));
                notice.map(|n| n.reason.word())
            };
            for (n, person) in people.iter().enumerate() {
                let bits = match story.map(|(_, severity)| severity) {
                    Some(Severity::Warn) => audience[0],
                    Some(Severity::Critical) => audience[1],
                    Some(Severity::Exhausted) => audience[2],
                    _ => 0,
                };
                let expected = match used {
                    // Nobody is told anything about a limit while it is unseen.
                    None => None,
                    Some(_) => model_reason(&log, story, &subject, person, bits >> n & 1 == 1, limit.repeat_every),
                };
                prop_assert_eq!(told(person, &subject), expected, "{} at {} with {:?} of 1000", person, now, used);
                prop_assert_eq!(told(person, &sight), None);
            }
            let expected = model_reason(&log, model_sight(&log), &sight, &admin, true, policy.mail.repeat_cannot_see_every);
            prop_assert_eq!(told(&admin, &sight), expected);
            prop_assert_eq!(told(&admin, &subject), None);
            for message in &plan.messages {
                for notice in &message.notices {
                    if let Reason::Resolved(ending) = notice.reason {
                        let ended = notice.subject == subject && limit.window.began(notice.opened) != limit.window.began(now);
                        // Over within its window, or with it: where it is both, either is true.
                        prop_assert!(ending == Ending::Over || ended, "{:?}", ending);
                    }
                }
            }

            let everybody = people.iter().chain([&admin]).enumerate();
            let arrives: BTreeSet<&Address> = everybody.filter(|(n, _)| arrives >> n & 1 == 1).map(|(_, p)| p).collect();
            let delivered = plan.messages.iter().filter(|m| arrives.contains(&m.to));
            let delivered = delivered.flat_map(|m| m.notices.iter().map(|n| (m.to.clone(), n.clone()))).collect();
            log.last_mut().unwrap().delivered = delivered;
            records = deliver(&plan, now, |person| arrives.contains(person));

            // The same tick again: nobody hears anything twice, and who was not reached is owed the same.
            let again = pass(&policy, now, used, &records);
            for message in &again.messages {
                prop_assert!(!arrives.contains(&message.to), "{} was told twice in one tick", message.to);
                let first = plan.messages.iter().find(|m| m.to == message.to).unwrap();
                // But for the mails to others, which count.
                let without = |message: &Message| {
                    let mut message = message.clone();
                    message.notices.iter_mut().for_each(|notice| notice.history = History::default());
                    message
                };
                prop_assert_eq!(without(first), without(message));
            }
            prop_assert_eq!(again.messages.len(), plan.messages.iter().filter(|m| !arrives.contains(&m.to)).count());
        }
        prop_assert!(records.values().all(Record::is_quiet), "something is left over: {:?}", records);
        // Everyone who was told of a story heard its end, once; or of the story after it instead.
        for person in people.iter().chain([&admin]) {
            for subject in [&subject, &sight] {
                let mut open = false;
                for (_, notice) in log.iter().flat_map(|run| &run.delivered).filter(|(to, n)| to == person && n.subject == *subject) {
                    match notice.reason {
                        Reason::Opened => open = true,
                        Reason::Escalated { .. } | Reason::Repeated { .. } => prop_assert!(open),
                        Reason::Resolved(_) => {
                            prop_assert!(open, "resolved without having been told");
                            open = false;
                        }
                    }
                }
                prop_assert!(!open, "{} was never told that it is over", person);
            }
        }
    }

    /// A level, from the definition: the first byte at which it holds, in arithmetic that cannot overflow.
    #[test]
    fn levels_begin_exactly_at_their_borders(limit in 1..u64::MAX, warn in 1..9_000u32, gap in 1..900u32, level in 0..3usize, delta in -1..=1i64) {
        let critical = warn + gap;
        let text = |hundredths: u32| format!("{}.{:02} %", hundredths / 100, hundredths % 100);
        let policy = policy(&format!(
            "[[workgroup]]\nname = \"w\"\nhysteresis = \"0 %\"\n[[workgroup.limit]]\nwindow = \"1h\"\nlimit = \"{limit} B\"\nwarn = \"{}\"\ncritical = \"{}\"\n",
            text(warn), text(critical),
        ));
        let thresholds = [(Level::Warn, warn), (Level::Critical, critical), (Level::Exhausted, 10_000)];
        let border = (u128::from(limit) * u128::from(thresholds[level].1)).div_ceil(10_000);
        let Some(used) = u64::try_from(border).ok().and_then(|b| b.checked_add_signed(delta)) else { return Ok(()) };
        let mut expected = Level::Ok;
        for (level, hundredths) in thresholds {
            if u128::from(used) * 10_000 >= u128::from(limit) * u128::from(hundredths) {
                expected = level;
            }
        }
        prop_assert_eq!(only_limit(&policy).level(reading(used)), expected);
        let from_nothing = settled(only_limit(&policy), reading(used), None).map_or(Level::Ok, |s| s.level());
        prop_assert_eq!(from_nothing, expected);
    }
}

/// Uses in a row, each five minutes after the one before, everything delivered; what the first person heard.
#[track_caller]
fn check_story(window: &str, start: &str, uses: &[Option<u64>], expected: &[&str]) {
    let policy = watched(window, [1, 1, 1]);
    let mut records = Records::new();
    let mut heard = Vec::new();
    for (n, used) in uses.iter().enumerate() {
        let now = at(start) + SignedDuration::from_mins(5 * i64::try_from(n).unwrap());
        let plan = pass(&policy, now, *used, &records);
        let mine = plan.messages.iter().find(|m| m.to.as_str() == PEOPLE[0]);
        heard.push(mine.map_or("-".to_owned(), |message| {
            assert_eq!(message.notices.len(), 1);
            format!("{} {}", message.notices[0].reason.word(), message.notices[0].severity.words())
        }));
        records = deliver(&plan, now, |_| true);
    }
    assert_eq!(heard, expected);
}

#[test]
fn one_alert_is_one_story() {
    let start = "2026-03-01T10:02:00Z";
    check_story(
        "1h",
        start,
        &[Some(799), Some(800), Some(949), Some(950), Some(1000), Some(999)],
        &["-", "opened warn", "-", "escalated critical", "escalated exhausted", "-"],
    );
    // It may open at any level; the warning of the same limit is then not told.
    check_story(
        "1h",
        start,
        &[Some(1000), Some(900), Some(750), Some(749)],
        &["opened exhausted", "-", "-", "resolved exhausted"],
    );
    // It falls below a threshold only by the margin.
    check_story(
        "1h",
        start,
        &[Some(800), Some(750), Some(799), Some(749), Some(799), Some(800)],
        &["opened warn", "-", "-", "resolved warn", "-", "opened warn"],
    );
    // Falling and rising again to what was told already is no news.
    check_story(
        "1h",
        start,
        &[Some(950), Some(800), Some(950), Some(1000)],
        &["opened critical", "-", "-", "escalated exhausted"],
    );
    // Not seen in between: nothing is concluded and nothing forgotten.
    check_story(
        "1h",
        start,
        &[Some(800), None, None, Some(800), None, Some(0)],
        &["opened warn", "-", "-", "-", "-", "resolved warn"],
    );
    // An hour later it is repeated, and once only.
    let mut hour = vec![Some(800); 14];
    hour[13] = Some(950);
    let mut expected = vec!["-"; 14];
    (expected[0], expected[12], expected[13]) = ("opened warn", "repeated warn", "escalated critical");
    check_story("1h", start, &hour, &expected);
}

#[test]
fn a_calendar_window_that_ends_ends_its_story() {
    let start = "2026-03-01T10:52:00Z";
    check_story("calendar hour", start, &[Some(800), Some(800), Some(0)], &["opened warn", "-", "resolved warn"]);
    check_story("calendar hour", start, &[Some(800), Some(800), Some(800)], &["opened warn", "-", "opened warn"]);
    // The margin of the old window's story does not hold in the new one.
    check_story("calendar hour", start, &[Some(800), Some(800), Some(790)], &["opened warn", "-", "resolved warn"]);
    check_story(
        "calendar hour",
        start,
        &[Some(800), None, None, Some(960)],
        &["opened warn", "-", "-", "opened critical"],
    );
}

#[test]
fn a_mail_that_failed_is_owed_with_the_newest_state() {
    let policy = watched("1h", [1, 3, 3]);
    let start = at("2026-03-01T10:02:00Z");
    let later = |n: i64| start + SignedDuration::from_mins(5 * n);
    let heard = |plan: &Plan| -> Vec<String> {
        let one = |m: &Message| {
            let n = &m.notices[0];
            format!(
                "{} {} {} since {}",
                m.to.as_str().split('@').next().unwrap(),
                n.reason.word(),
                n.severity.words(),
                n.opened
            )
        };
        plan.messages.iter().map(one).collect()
    };
    // Nobody is reached; then only one is.
    let first = pass(&policy, later(0), Some(800), &Records::new());
    assert_eq!(heard(&first), ["a opened warn since 2026-03-01T10:02:00Z"]);
    let records = deliver(&first, later(0), |_| false);
    let second = pass(&policy, later(1), Some(1000), &records);
    assert_eq!(
        heard(&second),
        ["a opened exhausted since 2026-03-01T10:02:00Z", "b opened exhausted since 2026-03-01T10:02:00Z"]
    );
    let records = deliver(&second, later(1), |person| person.as_str() == PEOPLE[1]);
    let third = pass(&policy, later(2), Some(1000), &records);
    assert_eq!(heard(&third), ["a opened exhausted since 2026-03-01T10:02:00Z"]);
    // It is over before the first was ever reached: nothing to tell them; the second hears it until they do.
    let records = deliver(&third, later(2), |_| false);
    let over = pass(&policy, later(3), Some(0), &records);
    assert_eq!(heard(&over), ["b resolved exhausted since 2026-03-01T10:02:00Z"]);
    let records = deliver(&over, later(3), |_| false);
    let still = pass(&policy, later(4), Some(0), &records);
    assert_eq!(heard(&still), ["b resolved exhausted since 2026-03-01T10:02:00Z"]);
    assert!(deliver(&still, later(4), |_| true).values().all(Record::is_quiet));
}

/// The keys under which everything is remembered: text that must never change by accident.
#[test]
fn keys_are_stable_and_read_back() {
    for (subject, key) in [
        (Subject::Limit { workgroup: "etl".to_owned(), window: "1h".to_owned() }, "limit/etl/1h"),
        (
            Subject::Limit { workgroup: "etl".to_owned(), window: "calendar-day@Europe/Berlin".to_owned() },
            "limit/etl/calendar-day@Europe/Berlin",
        ),
        (Subject::Sight { workgroup: "limit".to_owned() }, "sight/limit"),
        (Subject::Weekly, "weekly"),
        (Subject::Listing, "listing"),
        (Subject::Policy, "policy"),
    ] {
        assert_eq!(subject.to_string(), key);
        assert_eq!(key.parse(), Ok(subject));
    }
    for bad in ["", "limit", "limit/etl", "sight", "sight/a/b", "listing/x", "policy/", "other/a/b", "Limit/a/1h"] {
        assert_eq!(bad.parse::<Subject>(), Err(format!("`{bad}` is no alert's key")));
    }
}

/// What cannot be seen is repeated at its own interval, not at that of the limit.
#[test]
fn a_sight_that_stays_lost_is_repeated_at_its_own_interval() {
    let policy = watched("1h", [1, 1, 1]);
    let mut records = Records::new();
    let mut heard = Vec::new();
    for n in 0..10 {
        let now = at("2026-03-01T10:02:00Z") + SignedDuration::from_mins(30 * n);
        let plan = pass(&policy, now, (n == 9).then_some(0), &records);
        let words = plan.messages.iter().map(|m| format!("{} {}", m.to, m.notices[0].reason.word()));
        heard.push(words.collect::<Vec<_>>().join(", "));
        records = deliver(&plan, now, |_| true);
    }
    let admin = |word: &str| format!("ops@example.com {word}");
    let mut expected = vec![String::new(); 10];
    expected[0] = admin("opened");
    expected[4] = admin("repeated");
    expected[8] = admin("repeated");
    expected[9] = admin("resolved");
    assert_eq!(heard, expected);
}

/// What is remembered is of the limit as it was; what is seen is judged by the one that is in force.
#[test]
fn a_limit_that_was_changed_halfway_is_judged_by_its_new_number() {
    let of = |bytes: u64| {
        let text = format!(
            "[[workgroup]]\nname = \"w\"\n[[workgroup.limit]]\nwindow = \"1h\"\nlimit = \"{bytes} B\"\nforecast = \"off\"\n"
        );
        policy(&text).rules()[0].limits[0].clone()
    };
    let (old, raised, lowered) = (of(1000), of(10_000), of(500));
    let now = at("2026-03-01T12:00:00Z");
    let admin = Address::parse("ops@example.com").unwrap();
    let mut record = Record::default().after(sighting(&old, reading(960), None, now), now);
    record.tell(&admin, Reason::Opened, now);
    assert_eq!(record.story.unwrap().severity, Severity::Critical);
    // Lowered: the same bytes are more than all of it, which is news to whoever heard of `critical`.
    let worse = record.after(sighting(&lowered, reading(960), record.story, now), now);
    let escalated = Some(Reason::Escalated { from: Severity::Critical });
    assert_eq!(worse.owed(&admin, true, lowered.repeat_every, now), escalated);
    // Raised: nothing is wrong any more, and after the hold that is told.
    let held = record.after(sighting(&raised, reading(960), record.story, now), now);
    assert_eq!(held.owed(&admin, true, raised.repeat_every, now), None);
    let later = now + raised.hold;
    let over = held.after(sighting(&raised, reading(960), held.story, later), later);
    assert_eq!(over.owed(&admin, true, raised.repeat_every, later), Some(Reason::Resolved(Ending::Over)));
}

/// Whatever is seen and delivered: the history is what somebody with all runs before them would write down.
#[test]
fn a_history_says_what_was_seen_and_told() {
    let policy = watched("1h", [1, 1, 1]);
    let start = at("2026-03-01T00:00:00Z");
    let uses = [10, 85, 85, 96, 120, 110, 96, 40, 40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 101, 0];
    let mut records = Records::new();
    for (n, used) in uses.into_iter().enumerate() {
        let now = start + SignedDuration::from_mins(i64::try_from(n).unwrap() * 5);
        let plan = pass(&policy, now, Some(used * 10), &records);
        // Nothing arrives in the run that opens it.
        records = deliver(&plan, now, |_| n != 1);
    }
    let subject = Subject::Limit { workgroup: "w".to_owned(), window: "1h".to_owned() };
    let minute = |at: Timestamp| at.duration_since(start).as_mins();
    let lines = records[&subject].history.episodes().map(|e| {
        let at = |at: Option<Timestamp>| at.map_or("-".to_owned(), |at| minute(at).to_string());
        format!(
            "{} critical {} exhausted {} told {} x{} lead {:?} peak {} % ended {}",
            minute(e.opened),
            at(e.critical),
            at(e.exhausted),
            at(e.first_told),
            e.mails,
            e.lead().map(|lead| lead.as_mins()),
            e.peak.percent(),
            at(e.ended)
        )
    });
    expect![[r#"
        5 critical 15 exhausted 20 told 10 x4 lead Some(10) peak 120 % ended 35
        90 critical 90 exhausted 90 told 90 x2 lead Some(0) peak 101 % ended 95"#]]
    .assert_eq(&lines.collect::<Vec<_>>().join("\n"));
    // What cannot be seen has none, however often it comes and goes.
    assert!(
        records.iter().all(|(subject, record)| matches!(subject, Subject::Limit { .. }) || record.history.is_empty())
    );
}
