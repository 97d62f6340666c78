//! Verdicts and the plan of a run: what is judged, who is told of it, in which order.

use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use jiff::SignedDuration;
use watchdog_core::alert::{Ending, Record, Severity, Story, Subject, Told};
use watchdog_core::bytes::Bytes;
use watchdog_core::delivery::{Facts, People, Plan, Records, Standing, plan};
use watchdog_core::event::{Tick, Timing};
use watchdog_core::policy::{Address, Class, Policy};
use watchdog_core::report::{LimitReport, MailReport, PolicyReport, RunReport, UnseenReport};
use watchdog_core::usage::{Active, Answer, PageStatus, Peaks, Seen, Series, Unknown, Usage};
use watchdog_core::verdict::{judge, worth_asking};

use crate::support::{at, document, policy, whole_policy};

const NOW: &str = "2026-03-01T14:05:00Z";

fn tick() -> Tick {
    Tick { at: at(NOW), timing: Timing::Event }
}

/// `bytes` in the newest bucket, and a series that reaches back `hours`.
fn seen(hours: i64, bytes: u64) -> Seen {
    let mut buckets = vec![Bytes::ZERO; usize::try_from(hours * 12).unwrap()];
    *buckets.last_mut().unwrap() = Bytes::new(bytes);
    Ok(Series::from_buckets(at(NOW) - SignedDuration::from_hours(hours), buckets))
}

fn denied() -> Unknown {
    Unknown::Denied { operation: "cloudwatch:GetMetricData".to_owned() }
}

fn usage<const N: usize>(workgroups: [(&str, Seen); N]) -> Usage {
    Usage {
        workgroups: workgroups.into_iter().map(|(name, seen)| (name.to_owned(), seen)).collect(),
        incomplete: None,
        ..Usage::default()
    }
}

const FIVE: &str = r#"
[defaults]
hold = "0 min"

[[workgroup]]
name = "etl"
owner = "etl@example.com"
[[workgroup.limit]]
window = "1h"
limit = "1000 B"
audience = { warn = ["owner"], critical = ["owner", "admins"], exhausted = ["admins", "boss@example.com"] }
[[workgroup.limit]]
window = "24h"
limit = "5000 B"

[[workgroup]]
name = "team-*"
[[workgroup.limit]]
window = "1h"
limit = "1000 B"
audience = ["owner"]

[[workgroup]]
name = "fast-query"
per_query_cutoff = "50 GB"
"#;

#[track_caller]
fn check_judge(usage: &Usage, expected: Expect) {
    let policy = policy(FIVE);
    let findings = judge(&policy, &tick(), usage);
    let mut report = RunReport::new("run".to_owned(), watchdog_core::event::Source::Rule, tick(), false);
    report.found(&findings);
    let limit = |l: &LimitReport| {
        let used = l.used_bytes.map_or("?".to_owned(), |used| used.to_string());
        format!("{} {}: {} {used}/{}, {}\n", l.workgroup, l.window, l.level, l.limit_bytes, l.reason)
    };
    let mut text: String = report.limits.iter().map(limit).collect();
    for UnseenReport { workgroup, why, reason } in &report.unseen {
        text.push_str(&format!("unseen {workgroup}: {why}, {reason}\n"));
    }
    text.push_str(&format!("seen {:?}, uncovered {:?}\n", findings.seen, report.uncovered));
    expected.assert_eq(&text);
    assert_eq!(report.unknown_limits(), report.limits.iter().filter(|l| l.level == "unknown").count());
}

#[test]
fn every_limit_has_a_verdict_with_its_reason() {
    check_judge(
        &usage([
            ("etl", seen(24, 799)),
            ("fast-query", seen(1, 5)),
            ("team-a", seen(1, 1000)),
            ("primary", seen(1, 7)),
        ]),
        expect![[r#"
            etl 1h: ok 799/1000, 79 % used in the last hour, below 80 %
            etl 24h: ok 799/5000, 15 % used in the last 24 hours, below 80 %
            team-a 1h: exhausted 1000/1000, 100 % used in the last hour, the limit is gone
            seen ["etl", "fast-query", "team-a"], uncovered ["primary"]
        "#]],
    );
    check_judge(
        &usage([("etl", seen(24, 950)), ("fast-query", seen(1, 0)), ("team-b", seen(1, 800))]),
        expect![[r#"
        etl 1h: critical 950/1000, 95 % used in the last hour, at or above 95 %
        etl 24h: ok 950/5000, 19 % used in the last 24 hours, below 80 %
        team-b 1h: warn 800/1000, 80 % used in the last hour, at or above 80 %
        seen ["etl", "fast-query", "team-b"], uncovered []
    "#]],
    );
}

#[test]
fn queries_are_asked_for_where_a_limit_is_partly_used_or_something_runs() {
    let policy = policy(FIVE);
    let asked = |usage: &Usage, active: Option<f64>| {
        let mut usage = usage.clone();
        if let Some(active) = active {
            let mut answer = Answer::default();
            answer.absorb([(tick().at - SignedDuration::from_mins(5), active)], PageStatus::Complete);
            let active = Active { peaks: Peaks::from_answers(&[answer]), quota: None };
            usage.concurrency.active.insert(Class::Dml, active);
        }
        worth_asking(&policy, &tick(), &usage).join(" ")
    };
    // A tenth of any of its limits; the nearest first. Without a limit or a known use there is nothing to add to.
    let use_of = usage([
        ("etl", seen(24, 99)),
        ("fast-query", seen(1, 900)),
        ("team-a", seen(1, 100)),
        ("team-b", seen(1, 900)),
        ("team-c", Err(Unknown::Partial)),
        ("primary", seen(1, 900)),
    ]);
    assert_eq!(asked(&use_of, None), "team-b team-a");
    assert_eq!(asked(&use_of, Some(0.0)), "team-b team-a");
    assert_eq!(asked(&use_of, Some(1.0)), "team-b team-a etl", "the giant may be the first query of the day");
    assert_eq!(asked(&usage([("team-a", seen(1, 99))]), None), "");
}

#[test]
fn what_is_not_known_is_unknown_and_never_zero() {
    check_judge(
        &usage([("etl", Err(Unknown::MetricsOff)), ("fast-query", Err(denied())), ("team-a", Err(Unknown::Partial))]),
        expect![[r#"
            etl 1h: unknown ?/1000, the workgroup publishes no metrics to CloudWatch
            etl 24h: unknown ?/5000, the workgroup publishes no metrics to CloudWatch
            team-a 1h: unknown ?/1000, CloudWatch answered only a part
            unseen etl: metrics_off, the workgroup publishes no metrics to CloudWatch
            unseen fast-query: denied, AWS denied `cloudwatch:GetMetricData`
            unseen team-a: partial, CloudWatch answered only a part
            seen [], uncovered []
        "#]],
    );
    // An exact name that the account does not have; a pattern that nothing matches is no trouble.
    check_judge(
        &usage([("etl", seen(24, 0))]),
        expect![[r#"
        etl 1h: ok 0/1000, 0 % used in the last hour, below 80 %
        etl 24h: ok 0/5000, 0 % used in the last 24 hours, below 80 %
        unseen fast-query: no_such_workgroup, there is no workgroup of this name
        seen ["etl"], uncovered []
    "#]],
    );
    // Long enough for one limit and not for the other: the one is judged, and the workgroup is not called seen.
    check_judge(
        &usage([("etl", seen(1, 10)), ("fast-query", seen(1, 0))]),
        expect![[r#"
        etl 1h: ok 10/1000, 1 % used in the last hour, below 80 %
        etl 24h: unknown ?/5000, CloudWatch answered only a part
        unseen etl: partial, CloudWatch answered only a part
        seen ["fast-query"], uncovered []
    "#]],
    );
    // Where the list is not complete, absence proves nothing.
    let mut incomplete = usage([("etl", seen(24, 0))]);
    incomplete.incomplete = Some(Unknown::Denied { operation: "athena:ListWorkGroups".to_owned() });
    check_judge(
        &incomplete,
        expect![[r#"
        etl 1h: ok 0/1000, 0 % used in the last hour, below 80 %
        etl 24h: ok 0/5000, 0 % used in the last 24 hours, below 80 %
        unseen fast-query: denied, AWS denied `athena:ListWorkGroups`
        seen ["etl"], uncovered []
    "#]],
    );
}

/// A run's messages, a line per notice; and what it remembers of alerts.
fn show(plan: &Plan) -> String {
    let mut text = String::new();
    for message in &plan.messages {
        for notice in &message.notices {
            let facts = match &notice.facts {
                Facts::Limit(facts) => format!("{} of {}", facts.used.get(), facts.limit.get()),
                Facts::Unseen { workgroup, why, .. } => {
                    format!("{} {}", workgroup.as_deref().unwrap_or("-"), why.word())
                }
                Facts::Policy { problems, .. } => format!("{} problems", problems.0.len()),
                Facts::Queries(facts) => format!("{} of {:?}", facts.strain.used, facts.strain.limit),
                Facts::Grant(facts) => facts.grant.id.clone(),
                Facts::Week(facts) => facts.asked.clone(),
                Facts::Over => "over".to_owned(),
            };
            let line = format!(
                "{}: {} {:?} ({}), {facts}\n",
                message.to,
                notice.subject,
                notice.reason,
                notice.severity.words()
            );
            text.push_str(&line);
        }
    }
    text
}

fn make(policy: &Policy, usage: &Usage, standing: &Standing, records: &Records) -> Plan {
    plan(policy, standing, &tick(), &judge(policy, &tick(), usage), usage.incomplete.as_ref(), records, &People::new())
}

#[track_caller]
fn check_plan(usage: &Usage, records: &Records, expected: Expect) -> Plan {
    let plan = make(&policy(FIVE), usage, &Standing::Current, records);
    expected.assert_eq(&show(&plan));
    plan
}

/// A record of an alert that opened an hour before, and of which these people were told.
fn record(severity: Severity, told: &[&str]) -> Record {
    let opened = at(NOW) - SignedDuration::from_hours(1);
    let one = |person: &&str| (Address::parse(person).unwrap(), Told { story: opened, severity, at: opened });
    Record {
        story: Some(Story { opened, severity, window_began: None, calm_since: None }),
        ended: None,
        told: told.iter().map(one).collect(),
        ..Record::default()
    }
}

fn records<const N: usize>(all: [(&str, Record); N]) -> Records {
    all.into_iter().map(|(key, record)| (key.parse::<Subject>().unwrap(), record)).collect()
}

#[test]
fn one_message_per_person_the_worst_first() {
    let all = [
        ("etl", seen(24, 950)),
        ("fast-query", Err(Unknown::MetricsOff)),
        ("team-a", seen(1, 1200)),
        ("team-b", seen(1, 800)),
        ("team-c", seen(1, 799)),
    ];
    let plan = check_plan(
        &usage(all),
        &Records::new(),
        expect![[r#"
            ops@example.com: limit/team-a/1h Opened (exhausted), 1200 of 1000
            ops@example.com: limit/etl/1h Opened (critical), 950 of 1000
            ops@example.com: sight/fast-query Opened (cannot see), fast-query metrics_off
            ops@example.com: limit/team-b/1h Opened (warn), 800 of 1000
            etl@example.com: limit/etl/1h Opened (critical), 950 of 1000
        "#]],
    );
    assert_eq!(plan.messages.len(), 2);
}

#[test]
fn each_level_has_its_people_and_an_owner_who_is_missing_is_the_admins() {
    check_plan(
        &usage([("etl", seen(24, 800)), ("fast-query", seen(1, 0))]),
        &Records::new(),
        expect![[r#"
        etl@example.com: limit/etl/1h Opened (warn), 800 of 1000
    "#]],
    );
    check_plan(
        &usage([("etl", seen(24, 1000)), ("fast-query", seen(1, 0))]),
        &Records::new(),
        expect![[r#"
        boss@example.com: limit/etl/1h Opened (exhausted), 1000 of 1000
        ops@example.com: limit/etl/1h Opened (exhausted), 1000 of 1000
    "#]],
    );
    check_plan(
        &usage([("etl", seen(24, 0)), ("fast-query", seen(1, 0)), ("team-x", seen(1, 800))]),
        &Records::new(),
        expect![[r#"
            ops@example.com: limit/team-x/1h Opened (warn), 800 of 1000
        "#]],
    );
}

#[test]
fn what_is_over_comes_last_and_keeps_the_severity_that_was_told() {
    let before = records([
        ("limit/team-a/1h", record(Severity::Exhausted, &["ops@example.com"])),
        ("sight/fast-query", record(Severity::CannotSee, &["ops@example.com"])),
    ]);
    check_plan(
        &usage([("etl", seen(24, 0)), ("fast-query", seen(1, 0)), ("team-a", seen(1, 0)), ("team-b", seen(1, 800))]),
        &before,
        expect![[r#"
            ops@example.com: limit/team-b/1h Opened (warn), 800 of 1000
            ops@example.com: limit/team-a/1h Resolved(Over) (exhausted), 0 of 1000
            ops@example.com: sight/fast-query Resolved(Over) (cannot see), over
        "#]],
    );
}

#[test]
fn what_is_no_longer_watched_is_over_only_where_the_list_is_complete() {
    let before = records([
        ("limit/gone/1h", record(Severity::Critical, &["ops@example.com"])),
        ("limit/etl/2h", record(Severity::Warn, &["etl@example.com"])),
        ("sight/gone", record(Severity::CannotSee, &["ops@example.com"])),
        ("limit/silent/1h", record(Severity::Warn, &[])),
    ]);
    let mut all = usage([("etl", seen(24, 0)), ("fast-query", seen(1, 0))]);
    let plan = check_plan(
        &all,
        &before,
        expect![[r#"
            ops@example.com: limit/gone/1h Resolved(NotWatched) (critical), over
            ops@example.com: sight/gone Resolved(NotWatched) (cannot see), over
            etl@example.com: limit/etl/2h Resolved(NotWatched) (warn), over
        "#]],
    );
    assert!(plan.records["limit/silent/1h".parse::<Subject>().as_ref().unwrap()].is_over());
    all.incomplete =
        Some(Unknown::Failed { operation: "athena:ListWorkGroups".to_owned(), code: "Timeout".to_owned() });
    let plan = check_plan(
        &all,
        &before,
        expect![[r#"
        ops@example.com: listing Opened (cannot see), - failed
    "#]],
    );
    for (subject, record) in &before {
        assert_eq!(plan.records[subject], *record, "{subject}: something was concluded from absence");
    }
}

#[test]
fn passing_trouble_is_not_told_yet_and_settles_nothing() {
    let before = records([("sight/team-a", record(Severity::CannotSee, &["ops@example.com"]))]);
    let all = usage([
        ("etl", Err(Unknown::NotExaminedYet)),
        ("fast-query", seen(1, 0)),
        ("team-a", Err(Unknown::NotExaminedYet)),
    ]);
    check_plan(&all, &before, expect![[""]]);
}

#[test]
fn a_broken_policy_is_told_to_the_admins_and_its_mending_too() {
    let good = policy(FIVE);
    let problems = Policy::parse(&[document("new.toml", "[mail]\nsender = 1\n")]).unwrap_err();
    let standing = Standing::LastValid { problems, since: at("2026-02-01T00:00:00Z") };
    let calm = usage([("etl", seen(24, 0)), ("fast-query", seen(1, 0))]);
    let plan = make(&good, &calm, &standing, &Records::new());
    expect![[r#"
        ops@example.com: policy Opened (cannot see), 4 problems
    "#]]
    .assert_eq(&show(&plan));
    let mut records = plan.records.clone();
    let admin = &plan.messages[0].to;
    records.get_mut(&Subject::Policy).unwrap().tell(admin, plan.messages[0].notices[0].reason, at(NOW));
    // Still broken: told once, and not each run.
    expect![[""]].assert_eq(&show(&make(&good, &calm, &standing, &records)));
    expect![[r#"
        ops@example.com: policy Resolved(Over) (cannot see), over
    "#]]
    .assert_eq(&show(&make(&good, &calm, &Standing::Current, &records)));
    let report = PolicyReport::new(vec!["new.toml".to_owned()], &standing);
    assert_eq!((report.standing, report.problems.len()), ("last_valid", 4));
}

#[test]
fn no_mail_leaves_the_allowed_domains_whatever_is_remembered() {
    let before = records([
        ("limit/etl/1h", record(Severity::Warn, &["etl@example.com", "left@elsewhere.example", "x@sub.example.com"])),
        ("limit/gone/1h", record(Severity::Warn, &["left@elsewhere.example"])),
    ]);
    let plan = check_plan(
        &usage([("etl", seen(24, 0)), ("fast-query", seen(1, 0))]),
        &before,
        expect![[r#"
        etl@example.com: limit/etl/1h Resolved(Over) (warn), 0 of 1000
    "#]],
    );
    // And they are forgotten, so that the record can end.
    assert!(plan.records.values().flat_map(|r| r.told.keys()).all(|person| person.domain() == "example.com"));
    assert!(plan.records["limit/gone/1h".parse::<Subject>().as_ref().unwrap()].is_over());
}

#[test]
fn who_leaves_an_audience_hears_the_end_and_who_joins_hears_the_beginning() {
    let before = records([("limit/team-a/1h", record(Severity::Warn, &["old@example.com"]))]);
    let all = |bytes| usage([("etl", seen(24, 0)), ("fast-query", seen(1, 0)), ("team-a", seen(1, bytes))]);
    check_plan(
        &all(900),
        &before,
        expect![[r#"
        ops@example.com: limit/team-a/1h Opened (warn), 900 of 1000
    "#]],
    );
    check_plan(
        &all(1000),
        &before,
        expect![[r#"
        ops@example.com: limit/team-a/1h Opened (exhausted), 1000 of 1000
    "#]],
    );
    check_plan(
        &all(0),
        &before,
        expect![[r#"
        old@example.com: limit/team-a/1h Resolved(Over) (warn), 0 of 1000
    "#]],
    );
}

/// The end of a story that a person could not be told of yet, while a newer one is told to others.
#[test]
fn the_end_of_an_older_story_says_nothing_of_the_newer() {
    let mut sight = record(Severity::CannotSee, &["left@example.com"]);
    sight.story.as_mut().unwrap().opened = at("2026-03-01T14:00:00Z");
    let before = records([("sight/etl", sight)]);
    check_plan(
        &usage([("etl", Err(denied())), ("fast-query", seen(1, 0))]),
        &before,
        expect![[r#"
            ops@example.com: sight/etl Opened (cannot see), etl denied
            left@example.com: sight/etl Resolved(Over) (cannot see), over
        "#]],
    );
}

#[test]
fn an_ending_that_could_not_be_told_outlives_the_limit() {
    let mut ended = record(Severity::Warn, &["ops@example.com"]);
    ended.story = None;
    ended.ended = Some(Ending::Over);
    check_plan(
        &usage([("etl", seen(24, 0)), ("fast-query", seen(1, 0))]),
        &records([("limit/gone/1h", ended)]),
        expect![[r#"
            ops@example.com: limit/gone/1h Resolved(Over) (warn), over
        "#]],
    );
}

#[test]
fn the_report_names_alerts_reasons_and_levels() {
    let plan = make(
        &policy(FIVE),
        &usage([("etl", seen(24, 950)), ("fast-query", Err(Unknown::MetricsOff))]),
        &Standing::Current,
        &Records::new(),
    );
    let reports: Vec<MailReport> = plan.messages.iter().map(MailReport::new).collect();
    expect![[r#"
        [
          {
            "to": "etl@example.com",
            "why": [
              {
                "alert": "limit/etl/1h",
                "reason": "opened",
                "level": "critical"
              }
            ]
          },
          {
            "to": "ops@example.com",
            "why": [
              {
                "alert": "limit/etl/1h",
                "reason": "opened",
                "level": "critical"
              },
              {
                "alert": "sight/fast-query",
                "reason": "opened",
                "level": "cannot see"
              }
            ]
          }
        ]"#]]
    .assert_eq(&serde_json::to_string_pretty(&reports).unwrap());
}

/// The interface contract: field names and forms that scripts outside of the repository rely on.
#[test]
fn the_run_report_keeps_its_form() {
    let policy = whole_policy(
        "[mail]\nsender = \"w@example.com\"\nadmins = [\"ops@example.com\"]\nallowed_domains = [\"example.com\"]\n\
         [[workgroup]]\nname = \"etl\"\n[[workgroup.limit]]\nwindow = \"1h\"\nlimit = \"1000 B\"\n\
         [[workgroup]]\nname = \"off\"\n[[workgroup.limit]]\nwindow = \"24h\"\nlimit = \"1 TB\"\n",
    );
    let findings_of = usage([("etl", seen(1, 800)), ("off", Err(Unknown::MetricsOff)), ("primary", seen(1, 0))]);
    let findings = judge(&policy, &tick(), &findings_of);
    let mut report = RunReport::new("run-1".to_owned(), watchdog_core::event::Source::Scheduler, tick(), true);
    report.found(&findings);
    report.policy = Some(PolicyReport::new(vec!["10-stack".to_owned()], &Standing::Current));
    report.calls = BTreeMap::from([("athena:ListWorkGroups".to_owned(), 1)]);
    expect![[r#"
        {
          "run_id": "run-1",
          "source": "scheduler",
          "as_of": "2026-03-01T14:05:00Z",
          "tick": {
            "at": "2026-03-01T14:05:00Z",
            "timing": "event"
          },
          "dry_run": true,
          "policy": {
            "documents": [
              "10-stack"
            ],
            "standing": "current"
          },
          "limits": [
            {
              "workgroup": "etl",
              "window": "1h",
              "level": "warn",
              "reason": "80 % used in the last hour, at or above 80 %",
              "used_bytes": 800,
              "limit_bytes": 1000,
              "in_flight_queries": null,
              "in_flight_bytes": null,
              "exhausts_at": null,
              "as_of": "2026-03-01T14:05:00Z"
            },
            {
              "workgroup": "off",
              "window": "24h",
              "level": "unknown",
              "reason": "the workgroup publishes no metrics to CloudWatch",
              "used_bytes": null,
              "limit_bytes": 1000000000000,
              "in_flight_queries": null,
              "in_flight_bytes": null,
              "exhausts_at": null,
              "as_of": "2026-03-01T14:05:00Z"
            }
          ],
          "query_limits": [],
          "unseen": [
            {
              "workgroup": "off",
              "why": "metrics_off",
              "reason": "the workgroup publishes no metrics to CloudWatch"
            }
          ],
          "uncovered": [
            "primary"
          ],
          "sent": [],
          "would_send": [],
          "failed": [],
          "warnings": [],
          "calls": {
            "athena:ListWorkGroups": 1
          }
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&report).unwrap());
}

/// Ten thousand alerts of one person, in one message, in debug, without a noticeable wait.
#[test]
fn many_workgroups_are_one_message() {
    let policy = policy("[[workgroup]]\nname = \"*\"\n[[workgroup.limit]]\nwindow = \"1h\"\nlimit = \"1000 B\"\n");
    let workgroups = (0..10_000).map(|n| (format!("team-{n:05}"), seen(1, 1000))).collect();
    let plan =
        make(&policy, &Usage { workgroups, incomplete: None, ..Usage::default() }, &Standing::Current, &Records::new());
    assert_eq!((plan.messages.len(), plan.messages[0].notices.len()), (1, 10_000));
}
