//! The weekly report: when it is due, to whom it is owed, and what it says.

use expect_test::{Expect, expect};
use jiff::civil::Weekday;
use jiff::{SignedDuration, Timestamp, ToSpan};
use proptest::prelude::*;
use watchdog_core::alert::{Record, Subject};
use watchdog_core::bytes::Bytes;
use watchdog_core::delivery::{Message, Plan, Records, message, weekly};
use watchdog_core::fit::Fits;
use watchdog_core::history::Share;
use watchdog_core::mail::{Mail, Origins, compose};
use watchdog_core::policy::{Address, Policy, Weekly};
use watchdog_core::review::{Leads, Review, dollars};
use watchdog_core::sample;
use watchdog_core::usage::{Series, Unknown};
use watchdog_core::verdict::Level;
use watchdog_core::window::{BUCKET, Span};

use crate::support::{at, cases, policy};

const RULES: &str = "time_zone = \"Europe/Berlin\"\n[report]\nweekly = \"mon 08:00\"\nto = [\"vp@example.com\", \"ops@example.com\"]\n\
                     [[workgroup]]\nname = \"exploratory\"\n[[workgroup.limit]]\nwindow = \"1h\"\nlimit = \"100 GB\"\n\
                     [[workgroup.limit]]\nwindow = \"24h\"\nlimit = \"1 TB\"\n";
/// A Monday at 08:05 in Berlin.
const MONDAY: &str = "2026-03-02T07:05:00Z";

fn no_plan() -> Plan {
    Plan { messages: Vec::new(), records: Records::new(), wants: Vec::new(), wants_occupancy: false }
}

/// One run: who is owed the report, and the records after it where those of `arrives` get it.
fn run(policy: &Policy, now: Timestamp, before: &Records, busy: &[&str], arrives: &[&str]) -> (Vec<String>, Records) {
    let mut plan = no_plan();
    let notice =
        sample::week(policy, now).map(|(due, facts)| message(Address::parse("a@example.com").unwrap(), due, facts));
    let busy =
        busy.iter().map(|to| Message { to: Address::parse(to).unwrap(), notices: notice.clone().unwrap().notices });
    plan.messages.extend(busy);
    let week = weekly(&mut plan, policy, before, now);
    let to: Vec<String> = week.iter().flat_map(|week| &week.to).map(ToString::to_string).collect();
    if let Some(week) = week {
        assert!(week.due <= now && week.span.end <= week.due);
        plan.messages.clear();
        week.tell(&mut plan, policy, Review::new(Span { start: now, end: now }, 5.0));
    }
    let mut records = before.clone();
    records.extend(plan.records.clone());
    for message in plan.messages.iter().filter(|message| arrives.contains(&message.to.as_str())) {
        message.notices[0].told(&message.to, records.get_mut(&Subject::Weekly).unwrap(), now);
    }
    records.retain(|_, record| !record.is_over());
    (to, records)
}

#[test]
fn it_is_sent_once_to_each_and_owed_until_it_is() {
    let policy = policy(RULES);
    let monday = at(MONDAY);
    let minutes = |n: i64| monday + SignedDuration::from_mins(5 * n);
    let both = ["vp@example.com", "ops@example.com"];
    // One is told of an alert in the same run, and gets it in the next; the other cannot be reached.
    let (to, records) = run(&policy, monday, &Records::new(), &["ops@example.com"], &[]);
    assert_eq!(to, ["vp@example.com"]);
    let (to, records) = run(&policy, minutes(1), &records, &[], &["ops@example.com"]);
    assert_eq!(to, both);
    // Owed for days, if need be, and then no more.
    let thursday = monday + SignedDuration::from_hours(80);
    let (to, records) = run(&policy, thursday, &records, &[], &["vp@example.com"]);
    assert_eq!(to, ["vp@example.com"]);
    let (to, records) = run(&policy, thursday + SignedDuration::from_mins(5), &records, &[], &both);
    assert!(to.is_empty(), "{to:?}");
    // The next week, though the function was down on Monday.
    let wednesday = monday + SignedDuration::from_hours((7 + 2) * 24);
    let (to, records) = run(&policy, wednesday, &records, &[], &both);
    assert_eq!(to, both);
    assert!(run(&policy, wednesday, &records, &[], &both).0.is_empty(), "the same tick once more");
}

#[test]
fn a_policy_that_begins_to_ask_on_a_thursday_means_the_next_week() {
    let rules = policy(RULES);
    let thursday = at(MONDAY) + SignedDuration::from_hours(80);
    let (to, records) = run(&rules, thursday, &Records::new(), &[], &[]);
    assert!(to.is_empty(), "{to:?}");
    // Somebody who is named later the same.
    let more = policy(&RULES.replace("\"vp@example.com\"", "\"vp@example.com\", \"new@example.com\""));
    let (to, records) = run(&more, thursday + SignedDuration::from_mins(5), &records, &[], &[]);
    assert!(to.is_empty(), "{to:?}");
    let monday = at(MONDAY) + SignedDuration::from_hours(7 * 24);
    let (to, records) = run(&more, monday, &records, &[], &[]);
    assert_eq!(to, ["vp@example.com", "new@example.com", "ops@example.com"]);
    // A policy that asks for none any more leaves nothing behind.
    let none = policy(
        &RULES.replace("[report]\nweekly = \"mon 08:00\"\nto = [\"vp@example.com\", \"ops@example.com\"]\n", ""),
    );
    assert_eq!(none.report, None);
    let (to, records) = run(&none, monday, &records, &[], &[]);
    assert_eq!((to.is_empty(), records), (true, Records::new()));
}

#[test]
fn a_time_that_is_moved_asks_for_no_week_twice() {
    let both = ["vp@example.com", "ops@example.com"];
    let (to, records) = run(&policy(RULES), at(MONDAY), &Records::new(), &[], &both);
    assert_eq!(to, both);
    let earlier = policy(&RULES.replace("mon 08:00", "mon 06:30"));
    let (to, records) = run(&earlier, at(MONDAY) + SignedDuration::from_hours(3), &records, &[], &both);
    assert!(to.is_empty(), "{to:?}");
    let (to, _) = run(&earlier, at(MONDAY) + SignedDuration::from_hours(7 * 24 - 1), &records, &[], &both);
    assert_eq!(to, both);
}

#[test]
fn a_policy_without_a_report_remembers_nothing() {
    let none = policy("[[workgroup]]\nname = \"a\"\nper_query_cutoff = \"1 GB\"\n");
    let mut plan = no_plan();
    assert_eq!(weekly(&mut plan, &none, &Records::new(), at(MONDAY)), None);
    assert!(plan.records.is_empty());
}

proptest! {
    #![proptest_config(cases(256))]

    /// The last minute of that name at or before the instant, by somebody who counts back minute by minute; where the clock skips it, later.
    #[test]
    fn it_is_due_at_the_last_such_time(seconds in 1_600_000_000..2_000_000_000i64, day in 0..7i8, hour in 0..24i8, zone in 0..4usize) {
        let zone = ["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/New_York"][zone];
        let zone = jiff::tz::TimeZoneDatabase::bundled().get(zone).unwrap();
        let now = Timestamp::from_second(seconds).unwrap();
        let day = Weekday::Monday.wrapping_add(day);
        let weekly = Weekly { day, time: jiff::civil::time(hour, 30, 0, 0), zone: zone.clone() };
        let due = weekly.due(now);
        prop_assert!(due <= now && now.duration_since(due) < SignedDuration::from_hours(7 * 24 + 2));
        let local = due.to_zoned_datetime(zone.clone());
        prop_assert_eq!(local.weekday(), day);
        prop_assert!(local.hour() == hour || local.hour() == hour + 1);
        // There is no other between it and now.
        let next = local.date().checked_add(7.days()).unwrap().to_datetime(weekly.time);
        prop_assert!(zone.to_timestamp(next).unwrap() > now);
        let before = weekly.before(due);
        prop_assert!(before < due && weekly.due(before) == before);
        prop_assert!(due.duration_since(before).as_hours().abs_diff(7 * 24) <= 2);
    }
}

fn span() -> Span {
    Span { start: at("2026-02-23T07:00:00Z"), end: at("2026-03-02T07:00:00Z") }
}

/// Two weeks before the end, with so much at these hours before it.
fn series(uses: &[(i64, u64)]) -> Series {
    let first = span().end - SignedDuration::from_hours(15 * 24);
    let mut buckets = vec![Bytes::ZERO; 15 * 288];
    for (hours, gb) in uses {
        buckets[usize::try_from(15 * 288 - hours * 12).unwrap()] = Bytes::new(gb * 1_000_000_000);
    }
    Series::from_buckets(first, buckets)
}

fn review(uses: &[(i64, u64)], step: i64) -> Review {
    let mut review = Review::new(span(), 5.0);
    review.add(&policy(RULES), "exploratory", &Ok(series(uses)), step, &Fits::default());
    review
}

/// Each window's most and when, as hours before the end.
#[track_caller]
fn check_peaks(review: &Review, expected: &[(&str, u64, i64)]) {
    let found = review.limits.iter().map(|limit| {
        let course = limit.seen.as_ref().unwrap().as_ref().unwrap();
        let hours = span().end.duration_since(course.peak_at).as_hours();
        (limit.window.as_str(), course.peak.get() / 1_000_000_000, hours)
    });
    assert_eq!(found.collect::<Vec<_>>(), expected);
}

#[test]
fn a_window_is_as_full_as_its_sums_say_whatever_they_are_added_up_over() {
    // Two in one hour of each other, one the day before, and one before the week that still counts for the first day.
    let uses = [(50, 60), (49, 30), (30, 20), (170, 500)];
    check_peaks(&review(&uses, BUCKET), &[("1h", 60, 49), ("24h", 500, 167)]);
    check_peaks(&review(&uses, 3600), &[("1h", 60, 49), ("24h", 500, 167)]);
    // What was scanned in the week, and not before it.
    assert_eq!(review(&uses, BUCKET).total().scanned, Bytes::new(110_000_000_000));
    assert_eq!(review(&uses, 3600).total().usd, 0.55);
}

#[test]
fn what_is_not_known_is_no_zero() {
    let mut review = Review::new(span(), 5.0);
    let rules = policy(RULES);
    review.add(&rules, "exploratory", &Err(Unknown::MetricsOff), BUCKET, &Fits::default());
    assert!(review.is_blind());
    let total = review.total();
    assert_eq!((total.unknown, total.scanned), (1, Bytes::ZERO));
    assert_eq!(review.level_of(&review.limits[0]), "unknown");
    assert_eq!(review.limits[0].percent(), None);
    assert_eq!(review.leads(), None, "nobody has looked for alerts");
    // Sums of an hour say nothing of a quarter of it.
    let quarter = policy(&RULES.replace("\"1h\"", "\"15 min\""));
    review.add(&quarter, "exploratory", &Ok(series(&[(5, 1)])), 3600, &Fits::default());
    let of_quarter = review.limits.iter().find(|limit| limit.window == "15m").unwrap();
    assert_eq!(of_quarter.seen, Ok(None));
    assert!(of_quarter.why_unknown().unwrap().contains("too coarse"));
}

#[test]
fn how_early_is_from_the_first_mail_to_the_limit() {
    let rules = policy(RULES);
    let mut record = Record::default();
    let minutes = SignedDuration::from_mins;
    let share = |percent: u64| Share { used: percent * 1_000_000_000, limit: 100_000_000_000 };
    let opened = |hours: i64| span().end - SignedDuration::from_hours(hours);
    // Before the week; reached, told 20 minutes before; reached and told at once; not reached; reached, and nobody was told.
    for (hours, told, reached) in [
        (200, Some(0), Some(30)),
        (100, Some(5), Some(25)),
        (80, Some(40), Some(40)),
        (60, Some(0), None),
        (40, None, Some(10)),
    ] {
        let start = opened(hours);
        record.history.see(start, Level::Warn, share(85), start);
        if let Some(told) = told {
            record.history.tell(start, start + minutes(told));
        }
        if let Some(reached) = reached {
            record.history.see(
                start,
                Level::Exhausted,
                share(100 + u64::try_from(hours).unwrap()),
                start + minutes(reached),
            );
        }
        record.history.end(start + minutes(90));
    }
    let subject = Subject::Limit { workgroup: "exploratory".to_owned(), window: "1h".to_owned() };
    let mut review = review(&[(50, 60)], BUCKET);
    review.remember(&rules, [(&subject, &record)]);
    let leads = review.leads().unwrap();
    assert_eq!((leads.alerts, leads.reached, leads.before, leads.median), (4, 3, 1, Some(minutes(20))));
    let early: Vec<String> =
        review.alerts.as_ref().unwrap().iter().map(|alert| format!("{} {}", alert.peak(), alert.early())).collect();
    assert_eq!(
        early,
        [
            "140 % of 100 GB nobody was told",
            "85 % of 100 GB not reached",
            "180 % of 100 GB told when it was reached",
            "200 % of 100 GB told 20 min before"
        ]
    );
    // An alert that saw more than the sums is believed.
    assert_eq!(review.limits[0].percent(), Some(200));
}

#[test]
fn how_early_people_were_told_is_a_sentence() {
    let median = Some(SignedDuration::from_mins(20));
    for (reached, before, median, expected) in [
        (0, 0, None, "no limit was reached"),
        (1, 0, None, "a limit was reached once; nobody was told before"),
        (1, 1, median, "a limit was reached once; people were told 20 min before"),
        (3, 3, median, "limits were reached 3 times; people were told before each time, typically 20 min"),
        (3, 2, median, "limits were reached 3 times; people were told before 2 of them, typically 20 min"),
    ] {
        assert_eq!(Leads { alerts: 5, reached, before, median }.words(), expected);
    }
}

#[test]
fn dollars_are_rounded_as_people_read_them() {
    let text = [0.0, 0.004, 0.5, 12.345, 1204.4].map(dollars);
    assert_eq!(text, ["$0", "less than $0.01", "$0.50", "$12.35", "$1,204"]);
}

fn mail(policy: &Policy, facts: watchdog_core::delivery::WeekFacts) -> Mail {
    let origins = Origins { region: "eu-central-1".to_owned(), name: "athena-quota-watchdog".to_owned() };
    let message = message(Address::parse("vp@example.com").unwrap(), at(MONDAY), facts);
    compose(&message, &policy.mail, &origins, at(MONDAY))
}

#[track_caller]
fn check_mail(mail: &Mail, expected: Expect) {
    expected.assert_eq(&format!("Subject: {}\n\n{}", mail.subject, mail.text));
    assert!(mail.mime(at(MONDAY)).unwrap().len() < 100_000);
}

/// An alert that is open while its limit is filled most has that peak, as in a real week, where each run notes it.
#[test]
fn the_sample_s_alerts_have_the_peaks_of_their_limits() {
    let policy = policy(RULES);
    let (_, facts) = sample::week(&policy, at(MONDAY)).unwrap();
    let mut seen = 0;
    for alert in facts.review.alerts.as_ref().unwrap() {
        let Subject::Limit { workgroup, window } = &alert.subject else { panic!("{:?}", alert.subject) };
        let limit = facts.review.limits.iter().find(|limit| (&limit.workgroup, &limit.window) == (workgroup, window));
        let course = limit.unwrap().seen.as_ref().unwrap().as_ref().unwrap();
        let is_open =
            alert.episode.opened <= course.peak_at && alert.episode.ended.is_none_or(|end| course.peak_at < end);
        assert!(alert.episode.peak.used <= course.peak.get());
        if is_open {
            assert_eq!(alert.episode.peak.used, course.peak.get(), "{workgroup}");
            seen += 1;
        }
    }
    assert!(seen > 0, "no alert was open at its limit's peak");
}

#[test]
fn a_weekly_mail() {
    let policy = policy(RULES);
    let (_, facts) = sample::week(&policy, at(MONDAY)).unwrap();
    let mail = mail(&policy, facts);
    assert!(mail.html.contains("<img") && !mail.pictures.is_empty());
    assert!(mail.pictures.iter().all(|picture| picture.png.len() < 6_000), "pictures of modest size");
    check_mail(
        &mail,
        expect![[r#"
            Subject: [weekly] Feb 23 to Mar 2: 2.1 TB scanned, 2 alerts

            [weekly] Feb 23 to Mar 2: 2.1 TB scanned, 2 alerts

            From Feb 23 to Mar 2 Athena scanned 2.1 TB, about $10.46 at $5.00 a TB.
            2 alerts opened: a limit was reached once; people were told 20 min before.

            Limits, the fullest first
              exploratory, 1h: exhausted, 104 %
                ▂▃▃▃▁▁▁▁▂▃▃▃▁▁▁▁▂▃█▃▁▁▁▁▂▃▃▃▁▁▁▁▂▃▃▃▁▁▁▁▁▁▆▁▁▁▁▁▁▁▁▁▁▁▁▁
                at most 104.4 GB of 100 GB, Wed 15:20 CET (14:20 UTC), 2 alerts, reached once; warn 90 %
              exploratory, 24h: ok, 43 %
                ▁▁▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▃▃▃▃▃▃▃▃▃▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▁▁▁▁▁▁▁▁▁▁▁▁▁▁
                at most 437 GB of 1 TB, Wed 15:50 CET (14:50 UTC), no alert

            Alerts and how early they were told, the newest first
              - Sat 15:05 CET (14:05 UTC) exploratory, 1h: warn, at most 80 % of 100 GB; not reached; 2 mails
              - Wed 14:50 CET (13:50 UTC) exploratory, 1h: exhausted, at most 104 % of 100 GB; told 20 min before; 4 mails

            Workgroup, scanned, cost
              exploratory, 2.1 TB, $10.46

            Use is by the hour; the peaks of alerts are exact. Cost is an estimate from what was scanned.

            To look closer
              The whole report, with the heaviest queries and people:
                watchdog report --since 7d --html report.html --region eu-central-1
              The limits that weeks of use ask for:
                watchdog plan --since 63d --region eu-central-1

            Why now: the policy asks for a report every Monday at 08:00 Europe/Berlin.

            --
            Athena Quota Watchdog (athena-quota-watchdog, eu-central-1), as of 2026-03-02 08:05 CET (07:05 UTC).
            You (vp@example.com) get this because the policy names you, or the admins, for its weekly report.
            To get it no more: `to` and `weekly` in the policy's table `[report]` say who gets it, and when."#]],
    );
}

#[test]
fn a_weekly_mail_that_knows_nothing_says_so() {
    let policy = policy(RULES);
    let mut review = Review::new(span(), 5.0);
    review.add(&policy, "exploratory", &Err(Unknown::MetricsOff), 3600, &Fits::default());
    review.incomplete = Some("AWS denied `athena:ListWorkGroups`".to_owned());
    let facts = watchdog_core::delivery::WeekFacts { review: review.into(), asked: "Monday at 08:00".to_owned() };
    check_mail(
        &mail(&policy, facts),
        expect![[r#"
            Subject: [weekly] Feb 23 to Mar 2: use not known, alerts not known

            [weekly] Feb 23 to Mar 2: use not known, alerts not known

            What Athena scanned from Feb 23 to Mar 2 is not known.
            What was told of alerts is not known.

            Limits, the fullest first
              exploratory, 1h: unknown, ?
                not known: the workgroup publishes no metrics to CloudWatch
              exploratory, 24h: unknown, ?
                not known: the workgroup publishes no metrics to CloudWatch

            Workgroup, scanned, cost
              exploratory, not known: the workgroup publishes no metrics to CloudWatch, ?

            What was told of alerts is not known: nobody has looked.
            What 1 workgroup scanned is not known: the sums are without it.
            There may be more workgroups: AWS denied `athena:ListWorkGroups`.
            Use is by the hour; the peaks of alerts are exact. Cost is an estimate from what was scanned.

            To look closer
              The whole report, with the heaviest queries and people:
                watchdog report --since 7d --html report.html --region eu-central-1
              The limits that weeks of use ask for:
                watchdog plan --since 63d --region eu-central-1

            Why now: the policy asks for a report every Monday at 08:00.

            --
            Athena Quota Watchdog (athena-quota-watchdog, eu-central-1), as of 2026-03-02 08:05 CET (07:05 UTC).
            You (vp@example.com) get this because the policy names you, or the admins, for its weekly report.
            To get it no more: `to` and `weekly` in the policy's table `[report]` say who gets it, and when."#]],
    );
}

/// However many workgroups and alerts there are, the mail stays small and says what it leaves out.
#[test]
fn a_week_of_a_thousand_workgroups_is_a_small_mail() {
    let rules = policy(&RULES.replace("\"exploratory\"", "\"team-*\""));
    let mut review = Review::new(span(), 5.0);
    let mut records = Records::new();
    for n in 0..1000 {
        let name = format!("team-{}-{n:04}", "x".repeat(110));
        review.add(&rules, &name, &Ok(series(&[(30, 90 + n)])), 3600, &Fits::default());
        let mut record = Record::default();
        for hours in [90, 60, 30] {
            let start = span().end - SignedDuration::from_hours(hours);
            record.history.see(start, Level::Exhausted, Share { used: 2, limit: 1 }, start);
            record.history.end(start + SignedDuration::from_mins(30));
        }
        records.insert(Subject::Limit { workgroup: name, window: "1h".to_owned() }, record);
    }
    review.remember(&rules, &records);
    review.sort();
    let facts = watchdog_core::delivery::WeekFacts { review: review.into(), asked: "Monday at 08:00".to_owned() };
    let mail = mail(&rules, facts);
    let size = mail.mime(at(MONDAY)).unwrap().len();
    assert!(size < 100_000, "{size}");
    assert!(mail.text.contains("1988 limits that were filled less are left out."), "{}", mail.text);
    assert!(mail.text.contains("2990 alerts that opened before these are left out."), "{}", mail.text);
}
