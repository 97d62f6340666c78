//! Active and waiting queries: what is judged, what is told to whom, and when an alert is over.

use std::collections::BTreeMap;
use std::sync::Arc;

use expect_test::{Expect, expect};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use watchdog_core::alert::{Record, Subject, settled_queries};
use watchdog_core::delivery::{People, Plan, Records, Standing, plan};
use watchdog_core::event::{Tick, Timing};
use watchdog_core::identity::Tag;
use watchdog_core::occupancy::{Occupancy, Reservations};
use watchdog_core::people::{Gathered, Shares};
use watchdog_core::policy::{Class, Policy};
use watchdog_core::principal::Principal;
use watchdog_core::queries::{Execution, Kind, State};
use watchdog_core::usage::{
    Active, Answer, Concurrency, PageStatus, Peaks, Queue, Quota, Series, Unknown, Usage, Waiting, looked_at,
};
use watchdog_core::verdict::{Level, Pressure, judge, waited};
use watchdog_core::window::Span;

use crate::support::{at, cases, policy};

pub const NOW: &str = "2026-03-01T14:05:00Z";

fn minutes(n: i64) -> SignedDuration {
    SignedDuration::from_mins(n)
}

/// `predictable` must not wait; `exploratory` tells its people.
pub const RULES: &str = r#"
[defaults]
hold = "0 min"
[active_queries]
hold = "0 min"
[[workgroup]]
name = "predictable"
waiting = "2 min"
[[workgroup]]
name = "exploratory"
owner = "lab@example.com"
audience = ["submitters"]
[[workgroup.limit]]
window = "1h"
limit = "100 GB"
"#;

/// Datapoints at so many minutes before `now`, in an answer that is complete.
fn answer(now: Timestamp, points: &[(i64, f64)]) -> Answer {
    let mut answer = Answer::default();
    answer.absorb(points.iter().map(|(ago, value)| (now - minutes(*ago), *value)), PageStatus::Complete);
    answer
}

fn peaks(now: Timestamp, points: &[(i64, f64)]) -> Result<Peaks, Unknown> {
    Peaks::from_answers(&[answer(now, points)])
}

fn denied(operation: &str) -> Unknown {
    Unknown::Denied { operation: operation.to_owned() }
}

/// What is gathered of active queries of one class.
fn active(class: Class, peaks: Result<Peaks, Unknown>, quota: Option<Result<u64, Unknown>>) -> Usage {
    let read = at(NOW);
    let quota = quota.map(|quota| quota.map(|most| Quota { most, is_default: false, read }));
    let concurrency =
        Concurrency { active: BTreeMap::from([(class, Active { peaks, quota })]), ..Concurrency::default() };
    Usage { concurrency, ..seen() }
}

/// Two workgroups that have scanned nothing, and will not for a day.
pub fn seen() -> Usage {
    let series = Series::from_buckets(at(NOW) - minutes(60), vec![watchdog_core::bytes::Bytes::ZERO; 12 + 24 * 12]);
    let workgroups = ["predictable", "exploratory"].map(|name| (name.to_owned(), Ok(series.clone())));
    Usage { workgroups: workgroups.into(), ..Usage::default() }
}

pub fn tick(at: Timestamp) -> Tick {
    Tick { at, timing: Timing::Event }
}

/// The levels and reasons of all limits on queries.
#[track_caller]
fn check(rules: &str, now: Timestamp, usage: &Usage, expected: Expect) {
    let policy = policy(rules);
    let findings = judge(&policy, &tick(now), usage);
    let line = |verdict: &watchdog_core::verdict::QueryVerdict<'_>| {
        format!("{}: {}, {}\n", Subject::Queries(verdict.pressure.clone()), verdict.level_word(), verdict.reason())
    };
    expected.assert_eq(&findings.queries.iter().map(line).collect::<String>());
}

#[track_caller]
fn check_dml(peaks: Result<Peaks, Unknown>, quota: Option<Result<u64, Unknown>>, expected: Expect) {
    check(RULES, at(NOW), &active(Class::Dml, peaks, quota), expected);
}

#[test]
fn idle_is_proven_and_never_assumed() {
    // Nothing in a complete answer is nothing at all, and needs no quota.
    check_dml(
        peaks(at(NOW), &[]),
        None,
        expect![[r#"
            active/dml: ok, no DML query was active in the last 10 minutes
        "#]],
    );
    let quota = Some(Err(denied("servicequotas:GetServiceQuota")));
    check_dml(
        peaks(at(NOW), &[]),
        quota,
        expect![[r#"
            active/dml: ok, no DML query was active in the last 10 minutes
        "#]],
    );
    // Nothing in an answer that is not complete says nothing.
    let unanswered = |status: Option<PageStatus>| {
        let mut answer = Answer::default();
        if let Some(status) = status {
            answer.absorb([], status);
        }
        Peaks::from_answers(&[answer])
    };
    check_dml(
        unanswered(None),
        None,
        expect![[r#"
        active/dml: unknown, CloudWatch did not answer for this metric
    "#]],
    );
    check_dml(
        unanswered(Some(PageStatus::Partial)),
        None,
        expect![[r#"
        active/dml: unknown, CloudWatch answered only a part
    "#]],
    );
    let forbidden = PageStatus::Bad(denied("cloudwatch:GetMetricData"));
    check_dml(
        unanswered(Some(forbidden)),
        None,
        expect![[r#"
        active/dml: unknown, AWS denied `cloudwatch:GetMetricData`
    "#]],
    );
    assert_eq!(Peaks::from_answers(&[]), Err(Unknown::NotAnswered));
    // A datapoint that cannot be true spoils the answer.
    let mut odd = Answer::default();
    odd.absorb([(at(NOW) - minutes(5), f64::NAN)], PageStatus::Complete);
    assert!(matches!(Peaks::from_answers(&[odd]), Err(Unknown::Implausible { .. })));
}

#[test]
fn a_quota_that_cannot_be_read_is_unknown_where_it_matters() {
    let quota = Some(Err(denied("servicequotas:GetServiceQuota")));
    check_dml(
        peaks(at(NOW), &[(3, 1.0)]),
        quota,
        expect![[r#"
        active/dml: unknown, AWS denied `servicequotas:GetServiceQuota`
    "#]],
    );
}

#[test]
fn levels_begin_at_their_share_of_the_quota() {
    for (used, level) in [(159.0, Level::Ok), (160.0, Level::Warn), (180.0, Level::Critical), (200.0, Level::Exhausted)]
    {
        let policy = policy(RULES);
        let usage = active(Class::Dml, peaks(at(NOW), &[(3, used)]), Some(Ok(200)));
        let findings = judge(&policy, &tick(at(NOW)), &usage);
        assert_eq!(findings.queries[0].finding.as_ref().unwrap().level, level, "{used}");
    }
    check_dml(
        peaks(at(NOW), &[(3, 100.0)]),
        Some(Ok(200)),
        expect![[r#"
            active/dml: ok, up to 100 of 200 active DML queries in the last 10 minutes, 50 %, below 80 %
        "#]],
    );
    check_dml(
        peaks(at(NOW), &[(3, 185.0)]),
        Some(Ok(200)),
        expect![[r#"
            active/dml: critical, up to 185 of 200 active DML queries in the last 10 minutes, 92 %, at or above 90 %: the next queries may be refused
        "#]],
    );
    check_dml(
        peaks(at(NOW), &[(3, 203.0)]),
        Some(Ok(200)),
        expect![[r#"
            active/dml: exhausted, up to 203 of 200 active DML queries in the last 10 minutes, 101 %: the next queries are refused
        "#]],
    );
    // Half a query is one.
    check_dml(
        peaks(at(NOW), &[(3, 199.1)]),
        Some(Ok(200)),
        expect![[r#"
            active/dml: exhausted, up to 200 of 200 active DML queries in the last 10 minutes, 100 %: the next queries are refused
        "#]],
    );
}

#[test]
fn a_burst_between_two_runs_is_seen_by_the_next() {
    // Four minutes ago for a minute, and hardly anything since.
    check_dml(
        peaks(at(NOW), &[(5, 12.0), (4, 195.0), (3, 20.0), (1, 18.0)]),
        Some(Ok(200)),
        expect![[r#"
            active/dml: critical, up to 195 of 200 active DML queries in the last 10 minutes, 97 %, at or above 90 %: the next queries may be refused
        "#]],
    );
    // And what is long over is not told as if it were there.
    check_dml(
        peaks(at(NOW), &[(16, 195.0), (1, 18.0)]),
        Some(Ok(200)),
        expect![[r#"
            active/dml: ok, up to 18 of 200 active DML queries in the last 10 minutes, 9 %, below 80 %
        "#]],
    );
}

#[test]
fn only_the_classes_that_are_watched_are_judged() {
    let rules = format!(
        "[active_queries]\ndml = \"off\"\nwarn = \"50 %\"\ncritical = \"60 %\"\n{}",
        &RULES[RULES.find("[[").unwrap()..]
    );
    let mut usage = active(Class::Ddl, peaks(at(NOW), &[(2, 20.0)]), Some(Ok(20)));
    let dml = Active { peaks: peaks(at(NOW), &[(2, 200.0)]), quota: None };
    usage.concurrency.active.insert(Class::Dml, dml);
    check(
        &rules,
        at(NOW),
        &usage,
        expect![[r#"
            active/ddl: exhausted, up to 20 of 20 active DDL queries in the last 10 minutes, 100 %: the next queries are refused
        "#]],
    );
}

#[test]
fn a_query_that_runs_and_is_not_counted_is_noticed() {
    use watchdog_core::usage::{Flights, InFlight};
    let check = |points: &[(i64, f64)], ago: i64, expected: Option<&str>| {
        let running = vec![InFlight { id: "q".to_owned(), started: at(NOW) - minutes(ago), scanned: None }];
        let mut usage = active(Class::Dml, peaks(at(NOW), points), None);
        usage.flights.insert("exploratory".to_owned(), Flights { running, ..Flights::default() });
        assert_eq!(usage.uncounted(at(NOW), minutes(10)), expected, "{points:?} {ago}");
    };
    check(&[], 15, Some("exploratory"));
    // Begun so late that the count may not be there yet; and one that is counted.
    check(&[], 9, None);
    check(&[(7, 1.0)], 15, None);
    // What is not known is told as that.
    let mut usage = active(Class::Dml, Err(denied("cloudwatch:GetMetricData")), None);
    let running = vec![InFlight { id: "q".to_owned(), started: at(NOW) - minutes(15), scanned: None }];
    usage.flights.insert("exploratory".to_owned(), Flights { running, ..Flights::default() });
    assert_eq!(usage.uncounted(at(NOW), minutes(10)), None);
}

/// What is gathered of waiting in `predictable`.
fn waits(waited: Result<Peaks, Unknown>, queue: Option<Result<Queue, Unknown>>) -> Usage {
    let waiting = BTreeMap::from([("predictable".to_owned(), Waiting { waited, queue })]);
    Usage { concurrency: Concurrency { waiting, ..Concurrency::default() }, ..seen() }
}

fn queue(queued: usize, seconds: i64) -> Queue {
    let oldest = (queued > 0).then(|| at(NOW) - SignedDuration::from_secs(seconds));
    Queue { queued, running: 3, oldest }
}

#[track_caller]
fn check_waiting(waited: Result<Peaks, Unknown>, queue: Option<Result<Queue, Unknown>>, expected: Expect) {
    check(RULES, at(NOW), &waits(waited, queue), expected);
}

#[test]
fn waiting_is_the_longest_of_those_that_ended_and_those_that_wait_now() {
    check_waiting(
        peaks(at(NOW), &[]),
        None,
        expect![[r#"
            waiting/predictable: ok, no query waited in the last 10 minutes
        "#]],
    );
    check_waiting(
        peaks(at(NOW), &[(4, 59_999.0)]),
        Some(Ok(queue(0, 0))),
        expect![[r#"
            waiting/predictable: ok, queries waited up to 59 s in the last 10 minutes, of at most 2 min
        "#]],
    );
    check_waiting(
        peaks(at(NOW), &[(4, 60_000.0)]),
        Some(Ok(queue(0, 0))),
        expect![[r#"
            waiting/predictable: warn, queries are waiting: up to 1 min in the last 10 minutes, of at most 2 min
        "#]],
    );
    // None has ended: the metric knows nothing, and the queue does.
    check_waiting(
        peaks(at(NOW), &[]),
        Some(Ok(queue(12, 250))),
        expect![[r#"
            waiting/predictable: exhausted, queries are waiting: up to 4 min 10 s in the last 10 minutes, of at most 2 min, 12 waiting now
        "#]],
    );
}

#[test]
fn half_of_what_is_to_be_known_of_waiting_is_enough_where_it_is_bad() {
    let metric = || Err(denied("cloudwatch:GetMetricData"));
    check_waiting(
        metric(),
        Some(Ok(queue(12, 250))),
        expect![[r#"
            waiting/predictable: exhausted, queries are waiting: up to 4 min 10 s in the last 10 minutes, of at most 2 min, 12 waiting now
        "#]],
    );
    // Nobody waiting now is no proof that nobody has waited.
    check_waiting(
        metric(),
        Some(Ok(queue(0, 0))),
        expect![[r#"
        waiting/predictable: unknown, AWS denied `cloudwatch:GetMetricData`
    "#]],
    );
    // The queue alone is not known: that is said, and the metric stands.
    let failed = Unknown::Failed { operation: "athena:ListQueryExecutions".to_owned(), code: "Throttling".to_owned() };
    check_waiting(
        peaks(at(NOW), &[(2, 30_000.0)]),
        Some(Err(failed)),
        expect![[r#"
            waiting/predictable: ok, queries waited up to 30 s in the last 10 minutes, of at most 2 min, and who waits now is not known: `athena:ListQueryExecutions` failed with `Throttling`
        "#]],
    );
    // What cannot be seen at all is unknown, and so is a workgroup that is not there.
    let mut usage = seen();
    usage.workgroups.insert("predictable".to_owned(), Err(Unknown::MetricsOff));
    check(
        RULES,
        at(NOW),
        &usage,
        expect![[r#"
        waiting/predictable: unknown, the workgroup publishes no metrics to CloudWatch
    "#]],
    );
    usage.workgroups.remove("predictable");
    check(
        RULES,
        at(NOW),
        &usage,
        expect![[r#"
        waiting/predictable: unknown, there is no workgroup of this name
    "#]],
    );
}

#[test]
fn times_of_waiting_are_shown_in_their_two_largest_units() {
    let shown: Vec<String> = [0, 400, 59_999, 60_000, 250_000, 3_600_000, 3_900_000, 90_061_000].map(waited).into();
    assert_eq!(shown, ["0 s", "less than 1 s", "59 s", "1 min", "4 min 10 s", "1 h", "1 h 5 min", "25 h 1 min"]);
}

#[test]
fn keys_of_alerts_are_read_back() {
    for key in ["active/dml", "active/ddl", "waiting/etl-1", "sight-active/dml", "sight-waiting/etl-1"] {
        assert_eq!(key.parse::<Subject>().unwrap().to_string(), key);
    }
    for bad in ["active", "active/", "active/DML", "active/dml/x", "waiting", "waiting/a/b", "sight-active/x"] {
        assert!(bad.parse::<Subject>().is_err(), "{bad}");
    }
}

/// Looks one after the other, everybody told at once.
struct Looks {
    policy: Policy,
    records: Records,
}

impl Looks {
    fn new(rules: &str) -> Self {
        Self { policy: policy(rules), records: Records::new() }
    }

    fn plan(&self, now: Timestamp, usage: &Usage, people: &People) -> Plan {
        let findings = judge(&self.policy, &tick(now), usage);
        plan(&self.policy, &Standing::Current, &tick(now), &findings, None, &self.records, people)
    }

    /// Who is told what; `occupancy` is looked at where the plan wants it.
    fn look(&mut self, now: Timestamp, usage: &Usage, occupancy: Option<&Arc<Occupancy>>) -> String {
        let mut plan = self.plan(now, usage, &People::new());
        if plan.wants_occupancy && occupancy.is_some() {
            let people = People { occupancy: occupancy.cloned(), ..People::new() };
            plan = self.plan(now, usage, &people);
            assert!(!plan.wants_occupancy, "asked once");
        }
        self.records = plan.records;
        let mut lines = Vec::new();
        for message in &plan.messages {
            for notice in &message.notices {
                let (reason, severity) = (notice.reason.word(), notice.severity.words());
                lines.push(format!("{}: {} {reason} {severity}", message.to, notice.subject));
                notice.told(&message.to, self.records.get_mut(&notice.subject).unwrap(), now);
            }
        }
        self.records.retain(|_, record| !record.is_over());
        lines.join("\n")
    }

    fn look_dml(&mut self, now: Timestamp, used: f64, quota: u64) -> String {
        self.look(now, &active(Class::Dml, peaks(now, &[(2, used)]), Some(Ok(quota))), None)
    }
}

#[test]
fn an_account_that_swings_between_thirty_and_seventy_percent_is_well_all_day() {
    let mut looks = Looks::new(RULES);
    for n in 0..288 {
        let used = if n % 3 == 0 { 140.0 } else { 60.0 };
        assert_eq!(looks.look_dml(at(NOW) + minutes(5 * n), used, 200), "", "look {n}");
    }
    assert!(looks.records.is_empty());
}

#[test]
fn one_peak_in_the_swing_is_one_story_however_long_it_swings_on() {
    let mut looks = Looks::new(RULES);
    assert_eq!(looks.look_dml(at(NOW), 165.0, 200), "ops@example.com: active/dml opened warn");
    // At 70 % it has not fallen far enough: nothing resolves only to open again.
    for n in 1..12 {
        assert_eq!(looks.look_dml(at(NOW) + minutes(5 * n), if n % 2 == 0 { 162.0 } else { 140.0 }, 200), "");
    }
    assert_eq!(looks.look_dml(at(NOW) + minutes(60), 185.0, 200), "ops@example.com: active/dml escalated critical");
    assert_eq!(looks.look_dml(at(NOW) + minutes(65), 119.0, 200), "ops@example.com: active/dml resolved critical");
    assert!(looks.records.values().all(Record::is_quiet));
}

#[test]
fn an_alert_is_over_when_the_quota_has_been_raised_meanwhile() {
    let mut looks = Looks::new(RULES);
    assert_eq!(looks.look_dml(at(NOW), 200.0, 200), "ops@example.com: active/dml opened exhausted");
    assert_eq!(looks.look_dml(at(NOW) + minutes(5), 210.0, 400), "ops@example.com: active/dml resolved exhausted");
}

#[test]
fn an_alert_is_over_when_nothing_is_active_any_more() {
    let mut looks = Looks::new(RULES);
    looks.look_dml(at(NOW), 200.0, 200);
    let idle = active(Class::Dml, peaks(at(NOW), &[]), None);
    assert_eq!(looks.look(at(NOW) + minutes(30), &idle, None), "ops@example.com: active/dml resolved exhausted");
}

#[test]
fn what_cannot_be_seen_is_told_once_and_leaves_the_rest_alone() {
    let mut looks = Looks::new(RULES);
    assert_eq!(looks.look_dml(at(NOW), 165.0, 200), "ops@example.com: active/dml opened warn");
    let blind = active(Class::Dml, Err(denied("cloudwatch:GetMetricData")), None);
    let told = looks.look(at(NOW) + minutes(5), &blind, None);
    assert_eq!(told, "ops@example.com: sight-active/dml opened cannot see", "and the alert is not over");
    assert_eq!(looks.look(at(NOW) + minutes(10), &blind, None), "");
    let told = looks.look_dml(at(NOW) + minutes(15), 165.0, 200);
    assert_eq!(told, "ops@example.com: sight-active/dml resolved cannot see");
    // A workgroup whose metrics are off is told of once, by its own sight.
    let mut usage = seen();
    usage.workgroups.insert("predictable".to_owned(), Err(Unknown::MetricsOff));
    let told = Looks::new(RULES).look(at(NOW), &usage, None);
    assert_eq!(told, "ops@example.com: sight/predictable opened cannot see");
}

/// So many active queries of a workgroup, the first `queued` of them waiting, submitted one a minute.
pub fn busy(workgroup: &str, n: usize, queued: usize) -> Vec<Execution> {
    let one = |i: usize| Execution {
        id: format!("{workgroup}-{i}"),
        workgroup: workgroup.to_owned(),
        state: if i < queued { State::Queued } else { State::Running },
        submitted: Some(at(NOW) - minutes(2 + i64::try_from(i).unwrap())),
        completed: None,
        scanned: None,
        kind: Kind::Dml,
        sql: Some("SELECT secret FROM payroll".to_owned()),
    };
    (0..n).map(one).collect()
}

/// 150 active queries of `exploratory`, of ann (120), bob (29) and a service (1); 10 of `predictable`, that wait.
pub fn starving(policy: &Policy) -> Arc<Occupancy> {
    let found = vec![
        ("predictable".to_owned(), busy("predictable", 10, 10)),
        ("exploratory".to_owned(), busy("exploratory", 150, 0)),
    ];
    let reservations = Reservations::Known { names: Vec::new(), workgroups: std::collections::BTreeSet::new() };
    let mut occupancy = Occupancy::of(found, reservations, Vec::new());
    let executions = occupancy.holders[0].active.clone();
    let mut gathered = Gathered { executions: executions.clone(), ..Gathered::default() };
    for (i, execution) in executions.iter().enumerate() {
        let name = ["ann", "bob", "nightly"][usize::from(i >= 120) + usize::from(i >= 149)];
        gathered.principals.insert(execution.id.clone(), Principal::User { name: name.to_owned() });
        let tag = if name == "nightly" { Tag::Absent } else { Tag::Value(format!("{name}@example.com")) };
        gathered.tags.insert(name.to_owned(), tag);
    }
    let none = Span { start: at(NOW), end: at(NOW) };
    let shares = Shares::of(&gathered, none, None, at(NOW), &policy.submitters, &policy.mail);
    let mut parties = shares.parties;
    parties.sort_by_key(|party| std::cmp::Reverse(party.in_flight.len()));
    occupancy.people.insert("exploratory".to_owned(), parties);
    Arc::new(occupancy)
}

/// The quota is full, and `predictable` waits.
pub fn starved(used: f64) -> Usage {
    let mut usage = active(Class::Dml, peaks(at(NOW), &[(2, used)]), Some(Ok(200)));
    let both = waits(peaks(at(NOW), &[(1, 130_000.0)]), Some(Ok(queue(10, 250))));
    usage.concurrency.waiting = both.concurrency.waiting;
    usage
}

#[test]
fn a_burst_is_told_to_the_admins_and_to_those_who_made_it() {
    let mut looks = Looks::new(RULES);
    let occupancy = starving(&looks.policy);
    // Not to the service, which is no person, and not to the owner, who is not in this audience.
    expect![[r#"
        ann@example.com: active/dml opened exhausted
        bob@example.com: active/dml opened exhausted
        ops@example.com: active/dml opened exhausted
        ops@example.com: waiting/predictable opened exhausted"#]]
    .assert_eq(&looks.look(at(NOW), &starved(200.0), Some(&occupancy)));
    assert_eq!(looks.look(at(NOW) + minutes(5), &starved(200.0), Some(&occupancy)), "");
    // Who has stopped their queries hears of the end, and of nothing else.
    let idle = active(Class::Dml, peaks(at(NOW), &[]), None);
    expect![[r#"
        ann@example.com: active/dml resolved exhausted
        bob@example.com: active/dml resolved exhausted
        ops@example.com: active/dml resolved exhausted
        ops@example.com: waiting/predictable resolved exhausted"#]]
    .assert_eq(&looks.look(at(NOW) + minutes(20), &idle_with_waiting(idle), None));
}

fn idle_with_waiting(mut usage: Usage) -> Usage {
    usage.concurrency.waiting = waits(peaks(at(NOW), &[]), None).concurrency.waiting;
    usage
}

#[test]
fn where_the_quota_is_not_near_those_who_make_others_wait_hear_of_the_waiting() {
    let mut looks = Looks::new(RULES);
    let occupancy = starving(&looks.policy);
    expect![[r#"
        ann@example.com: waiting/predictable opened exhausted
        bob@example.com: waiting/predictable opened exhausted
        ops@example.com: waiting/predictable opened exhausted"#]]
    .assert_eq(&looks.look(at(NOW), &starved(100.0), Some(&occupancy)));
}

#[test]
fn people_are_told_where_their_own_workgroup_or_the_quotas_audience_says_so() {
    let quiet = RULES.replace("audience = [\"submitters\"]", "");
    let mut looks = Looks::new(&quiet);
    let occupancy = starving(&looks.policy);
    let told = looks.look(at(NOW), &active(Class::Dml, peaks(at(NOW), &[(2, 200.0)]), Some(Ok(200))), Some(&occupancy));
    assert_eq!(told, "ops@example.com: active/dml opened exhausted");
    let loud = quiet.replace("[active_queries]", "[active_queries]\naudience = [\"submitters\"]");
    let mut looks = Looks::new(&loud);
    let usage = active(Class::Dml, peaks(at(NOW), &[(2, 200.0)]), Some(Ok(200)));
    let told = looks.look(at(NOW), &usage, Some(&occupancy));
    assert_eq!(told, "ann@example.com: active/dml opened exhausted\nbob@example.com: active/dml opened exhausted");
    // Where nobody can be named, somebody hears of it all the same.
    let told = Looks::new(&loud).look(at(NOW), &usage, Some(&Arc::new(Occupancy::default())));
    assert_eq!(told, "ops@example.com: active/dml opened exhausted");
}

#[test]
fn causes_are_looked_for_while_the_alert_is_young_and_when_somebody_is_told() {
    let mut looks = Looks::new(RULES);
    let usage = active(Class::Dml, peaks(at(NOW), &[(2, 200.0)]), Some(Ok(200)));
    let mut wanted = Vec::new();
    for n in 0..60 {
        let now = at(NOW) + minutes(5 * n);
        let usage = Usage { concurrency: usage.concurrency.clone(), ..seen() };
        let mut usage = usage;
        usage.concurrency.active.get_mut(&Class::Dml).unwrap().peaks = peaks(now, &[(2, 200.0)]);
        if looks.plan(now, &usage, &People::new()).wants_occupancy {
            wanted.push(n * 5);
        }
        looks.look(now, &usage, None);
    }
    // For half an hour, and with the reminder after four hours.
    assert_eq!(wanted, [0, 5, 10, 15, 20, 25, 30, 240]);
    // Never where all is well.
    let calm = active(Class::Dml, peaks(at(NOW), &[(2, 20.0)]), Some(Ok(200)));
    assert!(!Looks::new(RULES).plan(at(NOW), &calm, &People::new()).wants_occupancy);
}

#[test]
fn a_workgroup_on_a_capacity_reservation_is_no_cause() {
    let workgroups = ["exploratory".to_owned()].into();
    let reservations = Reservations::Known { names: vec!["lab".to_owned()], workgroups };
    let found = vec![
        ("exploratory".to_owned(), busy("exploratory", 50, 0)),
        ("predictable".to_owned(), busy("predictable", 3, 1)),
        ("idle".to_owned(), Vec::new()),
    ];
    let occupancy = Occupancy::of(found, reservations, Vec::new());
    let filling = occupancy.filling(&Pressure::Active(Class::Dml));
    assert_eq!(filling.iter().map(|(h, n)| (h.workgroup.as_str(), *n)).collect::<Vec<_>>(), [("predictable", 3)]);
    assert_eq!(occupancy.holders.len(), 2, "shown all the same");
    assert!(occupancy.filling(&Pressure::Active(Class::Ddl)).is_empty());
}

proptest! {
    #![proptest_config(cases(256))]

    /// Whatever happened in any minute of the time that is looked back at is seen, and nothing that is a bucket older than that.
    #[test]
    fn a_look_sees_every_minute_of_its_time_and_hardly_more(
        values in prop::collection::vec(0u32..300, 90),
        offset in 0i64..300,
        look_back in 5i64..=60,
    ) {
        let now = at(NOW) + SignedDuration::from_secs(offset);
        let points: Vec<(i64, f64)> = values.iter().enumerate().map(|(ago, v)| (i64::try_from(ago).unwrap() + 1, f64::from(*v))).collect();
        let seen = peaks(now, &points).unwrap().largest(looked_at(now, minutes(look_back)));
        let seen = seen.map_or(0, |(_, value)| value);
        let most = |ago: i64| values.iter().take(usize::try_from(ago).unwrap()).copied().max().map_or(0, u64::from);
        prop_assert!(seen >= most(look_back) && seen <= most(look_back + 5), "{seen}");
    }

    /// A level rises at its threshold, and falls only where it is below it by the margin.
    #[test]
    fn levels_rise_and_fall_by_the_margin(uses in prop::collection::vec(0u64..250, 1..60)) {
        let policy = policy(RULES);
        let rules = &policy.active_queries.rules;
        let mut open = None;
        for used in uses {
            let next = settled_queries(rules, used, 200, open);
            let rank = |severity: Option<watchdog_core::alert::Severity>| severity.map_or(0, |s| match s.words() {
                "warn" => 1,
                "critical" => 2,
                _ => 3,
            });
            // 80, 90 and 100 % of 200 to rise; 20 points lower to fall.
            let rises = [160, 180, 200].iter().filter(|from| used >= **from).count();
            let stays = [120, 140, 160].iter().filter(|from| used >= **from).count();
            prop_assert_eq!(rank(next), rises.max(stays.min(rank(open))), "{}", used);
            open = next;
        }
    }
}
