//! Goldens of the table. The findings come from the real policy reader and the real judge.

use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use jiff::Timestamp;
use watchdog_core::bytes::Bytes;
use watchdog_core::catalogue::{Catalogue, Settings};
use watchdog_core::event::{Tick, Timing};
use watchdog_core::policy::{Document, Policy};
use watchdog_core::report::Answer;
use watchdog_core::usage::{Flights, InFlight, Seen, Series, Unknown, Usage};
use watchdog_core::verdict::judge;

use super::*;

const MAIL: &str = r#"
[mail]
sender = "watchdog@example.com"
admins = ["ops@example.com"]
allowed_domains = ["example.com"]
"#;

/// The five workgroups of the default set-up, and one limit that Athena alone enforces.
const FIVE: &str = r#"
[[workgroup]]
name = "predictable"
[[workgroup.limit]]
window = "1h"
quota = "1 TB"
buffer = "10 %"

[[workgroup]]
name = "fast-query"
per_query_cutoff = "50 GB"

[[workgroup]]
name = "long-query"
[[workgroup.limit]]
window = "24h"
limit = "4 TB"

[[workgroup]]
name = "exploratory"
per_query_cutoff = "200 GB"
[[workgroup.limit]]
window = "1h"
quota = "1 TB"
share = "70 %"
[[workgroup.limit]]
window = "calendar day"
time_zone = "Europe/Berlin"
limit = "5 TB"

[[workgroup]]
name = "ad-hoc"
[[workgroup.limit]]
window = "1h"
limit = "10 GiB"
"#;

const GB: u64 = 1_000_000_000;
const WIDE: Page = Page { width: Some(120), blocks: false };
const NARROW: Page = Page { width: Some(44), blocks: false };
const PIPED: Page = Page { width: None, blocks: false };

fn noon() -> Timestamp {
    "2026-07-31T12:05:00Z".parse().unwrap()
}

/// `bytes` scanned within the last five minutes and nothing else in two days.
fn scanned(bytes: u64) -> Seen {
    let mut buckets = vec![Bytes::ZERO; 2 * 288];
    *buckets.last_mut().unwrap() = Bytes::new(bytes);
    Ok(Series::from_buckets(noon() - jiff::SignedDuration::from_hours(48), buckets))
}

fn five(exploratory: u64) -> Vec<(&'static str, Seen)> {
    vec![
        ("predictable", scanned(880 * GB)),
        ("fast-query", scanned(0)),
        ("long-query", scanned(1_234_567_890_123)),
        ("exploratory", scanned(exploratory)),
        ("ad-hoc", scanned(0)),
    ]
}

/// What the table is, with escape characters made visible, and the exit code.
fn show(policy: &str, usage: Vec<(&str, Seen)>, incomplete: Option<Unknown>, page: Page, colour: bool) -> String {
    let workgroups: BTreeMap<_, _> = usage.into_iter().map(|(name, seen)| (name.to_owned(), seen)).collect();
    show_usage(policy, &Usage { workgroups, incomplete, ..Usage::default() }, page, colour)
}

fn show_usage(policy: &str, usage: &Usage, page: Page, colour: bool) -> String {
    let text = format!("{MAIL}{policy}");
    let policy = Policy::parse(&[Document { name: "policy.toml".to_owned(), text }]).unwrap();
    let findings = judge(&policy, &Tick { at: noon(), timing: Timing::Now }, usage);
    // Athena enforces 50 GB everywhere: right for `fast-query`, and not what the policy says of `exploratory`.
    let mut catalogue = Catalogue::default();
    for name in &findings.seen {
        let settings = Settings { publishes_metrics: true, per_query_cutoff: Some(Bytes::new(50 * GB)), read: noon() };
        catalogue.settings.insert(name.clone(), settings);
    }
    let status = Status {
        policy: &policy,
        findings: &findings,
        catalogue: &catalogue,
        incomplete: usage.incomplete.as_ref(),
        as_of: noon(),
        region: "eu-central-1",
        policy_place: "policy.toml",
        warnings: &[],
        ledger: None,
        promises: &Answer::default(),
    };
    let text = table::text(&status, page);
    let text = if colour { text.replace('\x1b', "␛") } else { anstream::adapter::strip_str(&text).to_string() };
    if let Some(width) = page.width.filter(|_| !colour) {
        // All but commands, which must be pasted in one piece, and reasons, which the terminal may wrap.
        let free = |line: &str| line.contains("aws athena") || line.contains(" ? ");
        let over = text.lines().find(|line| line.chars().count() > width && !free(line));
        assert_eq!(over, None, "wider than the page");
    }
    format!("{text}exit {}\n", status.exit() as u8)
}

#[track_caller]
fn check(usage: Vec<(&str, Seen)>, page: Page, expected: &Expect) {
    expected.assert_eq(&show(FIVE, usage, None, page, false));
}

#[test]
fn wide() {
    check(
        five(672 * GB),
        WIDE,
        &expect![[r#"
            Athena quotas in eu-central-1 as of 2026-07-31 12:05 UTC
            policy policy.toml

              WORKGROUP    WINDOW                      LEVEL       USED   LIMIT  HEADROOM
              ad-hoc       1h                          ok           0 B  10 GiB  [..............................]   0 %  10 GiB left
            > exploratory  1h                          critical  672 GB  700 GB  [#############################.]  96 %  28 GB left
              exploratory  calendar-day@Europe/Berlin  ok        672 GB    5 TB  [####..........................]  13 %  4.3 TB left
              long-query   24h                         ok        1.2 TB    4 TB  [#########.....................]  30 %  2.8 TB left
              predictable  1h                          warn      880 GB  1.1 TB  [########################......]  80 %  220 GB left

            5 limits: 1 critical, 1 warn, 3 ok

            Per-query cutoffs
              exploratory  200 GB a query in the policy, but Athena enforces 50 GB
              fast-query   50 GB a query, enforced by Athena, no other limit
            exit 1
        "#]],
    );
}

#[test]
fn piped_is_as_wide_as_it_needs() {
    check(
        five(672 * GB),
        PIPED,
        &expect![[r#"
            Athena quotas in eu-central-1 as of 2026-07-31 12:05 UTC
            policy policy.toml

              WORKGROUP    WINDOW                      LEVEL       USED   LIMIT  HEADROOM
              ad-hoc       1h                          ok           0 B  10 GiB  [....................]   0 %  10 GiB left
            > exploratory  1h                          critical  672 GB  700 GB  [###################.]  96 %  28 GB left
              exploratory  calendar-day@Europe/Berlin  ok        672 GB    5 TB  [###.................]  13 %  4.3 TB left
              long-query   24h                         ok        1.2 TB    4 TB  [######..............]  30 %  2.8 TB left
              predictable  1h                          warn      880 GB  1.1 TB  [################....]  80 %  220 GB left

            5 limits: 1 critical, 1 warn, 3 ok

            Per-query cutoffs
              exploratory  200 GB a query in the policy, but Athena enforces 50 GB
              fast-query   50 GB a query, enforced by Athena, no other limit
            exit 1
        "#]],
    );
}

#[test]
fn narrow() {
    check(
        five(672 * GB),
        NARROW,
        &expect![[r#"
            Athena quotas in eu-central-1 as of
            2026-07-31 12:05 UTC
            policy policy.toml

              ad-hoc 1h ok
              [....................]  0 %
              0 B of 10 GiB, 10 GiB left

            > exploratory 1h critical
              [###################.] 96 %
              672 GB of 700 GB, 28 GB left

              exploratory calendar-day@Europe/Berlin ok
              [###.................] 13 %
              672 GB of 5 TB, 4.3 TB left

              long-query 24h ok
              [######..............] 30 %
              1.2 TB of 4 TB, 2.8 TB left

              predictable 1h warn
              [################....] 80 %
              880 GB of 1.1 TB, 220 GB left

            5 limits: 1 critical, 1 warn, 3 ok

            Per-query cutoffs
              exploratory  200 GB a query in the policy,
              but Athena enforces 50 GB
              fast-query   50 GB a query, enforced by
              Athena, no other limit
            exit 1
        "#]],
    );
}

#[test]
fn in_blocks() {
    check(
        five(672 * GB),
        Page { width: Some(100), blocks: true },
        &expect![[r#"
            Athena quotas in eu-central-1 as of 2026-07-31 12:05 UTC
            policy policy.toml

              WORKGROUP    WINDOW                      LEVEL       USED   LIMIT  HEADROOM
              ad-hoc       1h                          ok           0 B  10 GiB  ░░░░░░░░░░░░   0 %  10 GiB left
            > exploratory  1h                          critical  672 GB  700 GB  ███████████░  96 %  28 GB left
              exploratory  calendar-day@Europe/Berlin  ok        672 GB    5 TB  ██░░░░░░░░░░  13 %  4.3 TB left
              long-query   24h                         ok        1.2 TB    4 TB  ████░░░░░░░░  30 %  2.8 TB left
              predictable  1h                          warn      880 GB  1.1 TB  ██████████░░  80 %  220 GB left

            5 limits: 1 critical, 1 warn, 3 ok

            Per-query cutoffs
              exploratory  200 GB a query in the policy, but Athena enforces 50 GB
              fast-query   50 GB a query, enforced by Athena, no other limit
            exit 1
        "#]],
    );
}

#[test]
fn over_the_limit() {
    check(
        five(728 * GB),
        WIDE,
        &expect![[r#"
            Athena quotas in eu-central-1 as of 2026-07-31 12:05 UTC
            policy policy.toml

              WORKGROUP    WINDOW                      LEVEL        USED   LIMIT  HEADROOM
              ad-hoc       1h                          ok            0 B  10 GiB  [............................]    0 %  10 GiB left
            > exploratory  1h                          exhausted  728 GB  700 GB  [############################]  104 %  28 GB over
              exploratory  calendar-day@Europe/Berlin  ok         728 GB    5 TB  [####........................]   14 %  4.3 TB left
              long-query   24h                         ok         1.2 TB    4 TB  [#########...................]   30 %  2.8 TB left
              predictable  1h                          warn       880 GB  1.1 TB  [######################......]   80 %  220 GB left

            5 limits: 1 exhausted, 1 warn, 3 ok

            Per-query cutoffs
              exploratory  200 GB a query in the policy, but Athena enforces 50 GB
              fast-query   50 GB a query, enforced by Athena, no other limit
            exit 1
        "#]],
    );
}

#[test]
fn colours() {
    expect![[r#"
        ␛[1mAthena quotas␛[0m in eu-central-1 as of 2026-07-31 12:05 UTC
        policy policy.toml

        ␛[2m  WORKGROUP    WINDOW                      LEVEL       USED   LIMIT  HEADROOM␛[0m
          ad-hoc       1h                          ␛[32mok␛[0m           0 B  10 GiB  ␛[32m␛[0m░░░░░░░░░░░░   0 %  10 GiB left
        > exploratory  1h                          ␛[1m␛[31mcritical␛[0m  672 GB  700 GB  ␛[1m␛[31m███████████␛[0m░  96 %  28 GB left
          exploratory  calendar-day@Europe/Berlin  ␛[32mok␛[0m        672 GB    5 TB  ␛[32m██␛[0m░░░░░░░░░░  13 %  4.3 TB left
          long-query   24h                         ␛[32mok␛[0m        1.2 TB    4 TB  ␛[32m████␛[0m░░░░░░░░  30 %  2.8 TB left
          predictable  1h                          ␛[33mwarn␛[0m      880 GB  1.1 TB  ␛[33m██████████␛[0m░░  80 %  220 GB left

        5 limits: 1 ␛[1m␛[31mcritical␛[0m, 1 ␛[33mwarn␛[0m, 3 ␛[32mok␛[0m

        ␛[1mPer-query cutoffs␛[0m
          exploratory  200 GB a query in the policy, ␛[33mbut Athena enforces 50 GB␛[0m
          fast-query   50 GB a query, enforced by Athena, no other limit
        exit 1
    "#]].assert_eq(&show(FIVE, five(672 * GB), None, Page { width: Some(100), blocks: true }, true));
}

#[test]
fn unknown_is_never_zero_or_an_empty_bar() {
    let denied = Unknown::Denied { operation: "cloudwatch:GetMetricData".to_owned() };
    let failed = Unknown::Failed { operation: "cloudwatch:GetMetricData".to_owned(), code: "Throttling".to_owned() };
    let usage = vec![
        ("predictable", scanned(10 * GB)),
        ("fast-query", Err(Unknown::Disabled)),
        ("long-query", Err(failed)),
        ("exploratory", Err(Unknown::MetricsOff)),
        ("ad-hoc", Err(denied)),
    ];
    check(
        usage.clone(),
        WIDE,
        &expect![[r#"
            Athena quotas in eu-central-1 as of 2026-07-31 12:05 UTC
            policy policy.toml

              WORKGROUP    WINDOW                      LEVEL     USED   LIMIT  HEADROOM
              ad-hoc       1h                          unknown      ?  10 GiB  AWS denied `cloudwatch:GetMetricData`
              exploratory  1h                          unknown      ?  700 GB  the workgroup publishes no metrics to CloudWatch
              exploratory  calendar-day@Europe/Berlin  unknown      ?    5 TB  the workgroup publishes no metrics to CloudWatch
              long-query   24h                         unknown      ?    4 TB  `cloudwatch:GetMetricData` failed with `Throttling`
              predictable  1h                          ok       10 GB  1.1 TB  [.................................]  0 %  1.1 TB left

            5 limits: 4 unknown, 1 ok

            Per-query cutoffs
              exploratory  200 GB a query in the policy; unknown, see below
              fast-query   50 GB a query in the policy, no other limit; unknown, see below

            Cannot see
              ad-hoc: AWS denied `cloudwatch:GetMetricData`
                Allow `cloudwatch:GetMetricData` to the credentials in use.
              exploratory: the workgroup publishes no metrics to CloudWatch
                aws athena update-work-group --work-group exploratory --configuration-updates PublishCloudWatchMetricsEnabled=true
              fast-query: the workgroup is disabled
                aws athena update-work-group --work-group fast-query --state ENABLED
              long-query: `cloudwatch:GetMetricData` failed with `Throttling`
            exit 3
        "#]],
    );
    check(
        usage,
        NARROW,
        &expect![[r#"
            Athena quotas in eu-central-1 as of
            2026-07-31 12:05 UTC
            policy policy.toml

              ad-hoc 1h unknown
              of 10 GiB: AWS denied
              `cloudwatch:GetMetricData`

              exploratory 1h unknown
              of 700 GB: the workgroup publishes no
              metrics to CloudWatch

              exploratory calendar-day@Europe/Berlin
              unknown
              of 5 TB: the workgroup publishes no
              metrics to CloudWatch

              long-query 24h unknown
              of 4 TB: `cloudwatch:GetMetricData` failed
              with `Throttling`

              predictable 1h ok
              [....................]  0 %
              10 GB of 1.1 TB, 1.1 TB left

            5 limits: 4 unknown, 1 ok

            Per-query cutoffs
              exploratory  200 GB a query in the policy;
              unknown, see below
              fast-query   50 GB a query in the policy,
              no other limit; unknown, see below

            Cannot see
              ad-hoc: AWS denied
              `cloudwatch:GetMetricData`
                Allow `cloudwatch:GetMetricData` to the
                credentials in use.
              exploratory: the workgroup publishes no
              metrics to CloudWatch
                aws athena update-work-group --work-group exploratory --configuration-updates PublishCloudWatchMetricsEnabled=true
              fast-query: the workgroup is disabled
                aws athena update-work-group --work-group fast-query --state ENABLED
              long-query: `cloudwatch:GetMetricData`
              failed with `Throttling`
            exit 3
        "#]],
    );
}

#[test]
fn an_incomplete_list_is_said() {
    let why = Unknown::Denied { operation: "athena:ListWorkGroups".to_owned() };
    let usage = five(0).split_off(1);
    expect![[r#"
        Athena quotas in eu-central-1 as of 2026-07-31 12:05 UTC
        policy policy.toml

          WORKGROUP    WINDOW                      LEVEL      USED   LIMIT  HEADROOM
          ad-hoc       1h                          ok          0 B  10 GiB  [...............................]   0 %  10 GiB left
          exploratory  1h                          ok          0 B  700 GB  [...............................]   0 %  700 GB left
          exploratory  calendar-day@Europe/Berlin  ok          0 B    5 TB  [...............................]   0 %  5 TB left
          long-query   24h                         ok       1.2 TB    4 TB  [##########.....................]  30 %  2.8 TB left
          predictable  1h                          unknown       ?  1.1 TB  AWS denied `athena:ListWorkGroups`

        5 limits: 1 unknown, 4 ok

        Per-query cutoffs
          exploratory  200 GB a query in the policy, but Athena enforces 50 GB
          fast-query   50 GB a query, enforced by Athena, no other limit

        Cannot see
          the list of workgroups, so there may be more than these: AWS denied `athena:ListWorkGroups`
            Allow `athena:ListWorkGroups` to the credentials in use.
          predictable: AWS denied `athena:ListWorkGroups`
            Allow `athena:ListWorkGroups` to the credentials in use.
        exit 3
    "#]].assert_eq(&show(FIVE, usage, Some(why), WIDE, false));
}

#[test]
fn all_is_well() {
    let usage = vec![("predictable", scanned(0)), ("primary", scanned(0)), ("scratch\x1b[2J", scanned(0))];
    let policy = "[[workgroup]]\nname = \"predictable\"\nlimit = [{ window = \"1h\", limit = \"10 GB\" }]";
    expect![[r#"
        Athena quotas in eu-central-1 as of 2026-07-31 12:05 UTC
        policy policy.toml

          WORKGROUP    WINDOW  LEVEL  USED  LIMIT  HEADROOM
          predictable  1h      ok      0 B  10 GB  [........................................]  0 %  10 GB left

        1 limit: 1 ok

        Watched by no rule
          primary, scratch\u{1b}[2J
        exit 0
    "#]]
    .assert_eq(&show(policy, usage, None, WIDE, false));
}

#[test]
fn no_limit_at_all() {
    let policy = "[[workgroup]]\nname = \"team-*\"\nlimit = [{ window = \"1h\", limit = \"10 GB\" }]";
    expect![[r#"
        Athena quotas in eu-central-1 as of 2026-07-31 12:05 UTC
        policy policy.toml

        The policy sets no limit for any workgroup that exists.
        exit 0
    "#]]
    .assert_eq(&show(policy, vec![], None, WIDE, false));
}

#[test]
fn numbers_that_no_float_holds() {
    let policy = "[[workgroup]]\nname = \"big\"\nlimit = [{ window = \"24h\", limit = \"60 PB\" }]\n\
                  [[workgroup]]\nname = \"small\"\nlimit = [{ window = \"24h\", limit = \"1 B\" }]";
    let usage = vec![("big", scanned(50_000_000_000_000_001)), ("small", scanned(u64::MAX))];
    expect![[r#"
        Athena quotas in eu-central-1 as of 2026-07-31 12:05 UTC
        policy policy.toml

          WORKGROUP  WINDOW  LEVEL         USED  LIMIT  HEADROOM
          big        24h     warn         50 PB  60 PB  [#################################.......]      83 %  10 PB left
        > small      24h     exhausted  18.4 EB    1 B  [########################################]  > 9999 %  18.4 EB over

        2 limits: 1 exhausted, 1 warn
        exit 1
    "#]].assert_eq(&show(policy, usage, None, WIDE, false));
}

#[test]
fn limits_on_queries_stand_beside_those_on_bytes() {
    use watchdog_core::policy::Class;
    use watchdog_core::usage::{Active, Answer, Concurrency, PageStatus, Peaks, Queue, Quota, Waiting};
    let peaks = |values: &[f64]| {
        let mut answer = Answer::default();
        let at = noon() - jiff::SignedDuration::from_mins(3);
        answer.absorb(values.iter().map(|value| (at, *value)), PageStatus::Complete);
        Peaks::from_answers(&[answer])
    };
    let read = noon() - jiff::SignedDuration::from_mins(40);
    let quota = Quota { most: 200, is_default: false, read };
    let dml = Active { peaks: peaks(&[184.0]), quota: Some(Ok(quota)) };
    let ddl = Active { peaks: peaks(&[]), quota: None };
    let oldest = Some(noon() - jiff::SignedDuration::from_secs(250));
    let waiting = Waiting { waited: peaks(&[]), queue: Some(Ok(Queue { queued: 12, running: 3, oldest })) };
    let concurrency = Concurrency {
        active: BTreeMap::from([(Class::Dml, dml), (Class::Ddl, ddl)]),
        waiting: BTreeMap::from([("etl".to_owned(), waiting)]),
    };
    let workgroups =
        BTreeMap::from([("etl".to_owned(), scanned(4 * GB)), ("lab".to_owned(), Err(Unknown::MetricsOff))]);
    let mut usage = Usage { workgroups, concurrency, ..Usage::default() };
    let policy = "[[workgroup]]\nname = \"etl\"\nwaiting = \"2 min\"\nlimit = [{ window = \"1h\", limit = \"10 GB\" }]\n\
                  [[workgroup]]\nname = \"lab\"\nwaiting = \"1h\"\n";
    expect![[r#"
        Athena quotas in eu-central-1 as of 2026-07-31 12:05 UTC
        policy policy.toml

          WORKGROUP  WINDOW      LEVEL            USED  LIMIT  HEADROOM
          etl        1h          ok               4 GB  10 GB  [##########..............]   40 %  6 GB left
          (account)  active DML  critical          184    200  [######################..]   92 %  16 left, quota read 40 min ago
          (account)  active DDL  ok                  0      -  no DDL query was active in the last 10 minutes
        > etl        waiting     exhausted  4 min 10 s  2 min  [########################]  208 %  2 min 10 s over
          lab        waiting     unknown             ?    1 h  the workgroup publishes no metrics to CloudWatch

        5 limits: 1 exhausted, 1 critical, 1 unknown, 2 ok

        Cannot see
          lab: the workgroup publishes no metrics to CloudWatch
            aws athena update-work-group --work-group lab --configuration-updates PublishCloudWatchMetricsEnabled=true
        exit 3
    "#]].assert_eq(&show_usage(policy, &usage, WIDE, false));
    usage.workgroups.remove("lab");
    let policy = policy.replace("name = \"lab\"", "name = \"lab-*\"");
    let denied = Unknown::Denied { operation: "servicequotas:GetServiceQuota".to_owned() };
    usage.concurrency.active.get_mut(&Class::Dml).unwrap().quota = Some(Err(denied));
    expect![[r#"
        Athena quotas in eu-central-1 as of
        2026-07-31 12:05 UTC
        policy policy.toml

          etl 1h ok
          [########............] 40 %
          4 GB of 10 GB, 6 GB left

          (account) active DML unknown
          AWS denied `servicequotas:GetServiceQuota`

          (account) active DDL ok
          no DDL query was active in the last 10
          minutes

        > etl waiting exhausted
          [####################] 208 %
          4 min 10 s of 2 min, 2 min 10 s over

        4 limits: 1 exhausted, 1 unknown, 2 ok

        Cannot see
          active DML queries: AWS denied
          `servicequotas:GetServiceQuota`
            Allow `servicequotas:GetServiceQuota` to
            the credentials in use.
        exit 3
    "#]]
    .assert_eq(&show_usage(&policy, &usage, NARROW, false));
}

#[test]
fn what_runs_is_shown_once_for_a_workgroup_and_what_is_not_known_as_such() {
    let workgroups: BTreeMap<_, _> = five(100 * GB).into_iter().map(|(name, seen)| (name.to_owned(), seen)).collect();
    let query = |id: &str, minutes, scanned: Option<u64>| InFlight {
        id: id.to_owned(),
        started: noon() - jiff::SignedDuration::from_mins(minutes),
        scanned: scanned.map(Bytes::new),
    };
    let giant = "11111111-2222-3333-4444-555555555555";
    let running = vec![query("small", 2, Some(3 * GB)), query(giant, 30, Some(360 * GB))];
    let silent = (0..7).map(|n| query(&format!("etl-{n}"), n, None)).collect();
    let of = |running| Flights { running, ..Flights::default() };
    let flights = [("exploratory", of(running)), ("predictable", of(silent)), ("ad-hoc", of(vec![]))];
    let flights = flights.map(|(name, flights)| (name.to_owned(), flights)).into();
    let text = show_usage(FIVE, &Usage { workgroups, flights, ..Usage::default() }, WIDE, false);
    let shown = text.split("\nPer-query").next().unwrap().split("\n\n").last().unwrap();
    expect![[r#"
        Running now, not counted above
          exploratory: 2 queries, 363 GB so far
            11111111-2222-3333-4444-555555555555 for 30 min: 360 GB, 200 MB a second
            small for 2 min: 3 GB, 25 MB a second
          predictable: 7 queries, Athena does not say what each has scanned so far
            etl-6 for 6 min: ?
            etl-5 for 5 min: ?
            etl-4 for 4 min: ?
            etl-3 for 3 min: ?
            etl-2 for 2 min: ?
            and 2 more
    "#]]
    .assert_eq(shown);
}

/// A quarter of what a window holds in each quarter of it.
fn in_quarters(bytes: u64, hours: i64) -> Seen {
    let mut buckets = vec![Bytes::ZERO; 2 * 288];
    for quarter in 0..4 {
        let place = 2 * 288 - 1 - usize::try_from(quarter * hours * 3).unwrap();
        buckets[place] = Bytes::new(bytes / 4);
    }
    Ok(Series::from_buckets(noon() - jiff::SignedDuration::from_hours(48), buckets))
}

#[test]
fn how_a_window_has_filled_is_shown_where_there_is_room_and_a_way() {
    let usage = || {
        vec![
            ("exploratory", in_quarters(720 * GB, 1)),
            ("long-query", in_quarters(2400 * GB, 24)),
            ("predictable", Err(Unknown::MetricsOff)),
            ("ad-hoc", scanned(0)),
            ("fast-query", scanned(0)),
        ]
    };
    let blocks = |width| Page { width: Some(width), blocks: true };
    let table = |page| show(FIVE, usage(), None, page, false).split("\n\nPer-query").next().unwrap().to_owned();
    expect![[r#"
        Athena quotas in eu-central-1 as of 2026-07-31 12:05 UTC
        policy policy.toml

          WORKGROUP    WINDOW                      LEVEL        USED   LIMIT  HEADROOM                                              SO FAR
          ad-hoc       1h                          ok            0 B  10 GiB  ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░    0 %  10 GiB left                  
        > exploratory  1h                          exhausted  720 GB  700 GB  ████████████████████████████████  102 %  20 GB over      ▂▂▂▂▄▄▄▄▆▆▆▆█
          exploratory  calendar-day@Europe/Berlin  ok         720 GB    5 TB  █████░░░░░░░░░░░░░░░░░░░░░░░░░░░   14 %  4.3 TB left                 ▁
          long-query   24h                         ok         2.4 TB    4 TB  ███████████████████░░░░░░░░░░░░░   60 %  1.6 TB left     ▁▁▁▁▂▂▂▂▃▃▃▃▄
          predictable  1h                          unknown         ?  1.1 TB  the workgroup publishes no metrics to CloudWatch

        5 limits: 1 exhausted, 1 unknown, 3 ok"#]].assert_eq(&table(blocks(140)));
    // Where there is less room the bar says more, and where blocks cannot be shown nothing stands in for them.
    assert!(!table(blocks(100)).contains("SO FAR"));
    assert!(!table(blocks(44)).contains("SO FAR"));
    assert!(!table(Page { width: Some(140), blocks: false }).contains("SO FAR"));
}

#[test]
fn grants_and_silences_are_shown_with_what_is_asked_of_them() {
    let grant = r#"{"id":"g-1a2b3c4d","workgroup":"ad-hoc","phase":"in force","window":"1h","limit_bytes":2199023255552,
        "per_query_bytes":null,"per_query_before_bytes":null,"per_query_raised":false,"by":"role/admin/ann","approved_by":null,
        "reason":"backfill of March","from":"2026-07-31T11:00:00Z","until":"2026-07-31T14:00:00Z"}"#;
    let silence = r#"{"alert":"limit/exploratory/1h","by":"role/admin/bob","reason":"known\u001b[2J","until":"2026-07-31T13:00:00Z"}"#;
    let answer = format!(r#"{{"grants":[{grant}],"silences":[{silence}]}}"#);
    let promises: Answer = serde_json::from_str(&answer).unwrap();
    let text = show_promised(&promises, WIDE);
    expect![[r#"

          ad-hoc: 2 TiB for 1h, in force until 2026-07-31 14:00 UTC, by role/admin/ann: backfill of March

        Silenced, nobody is mailed about
          exploratory/1h until 2026-07-31 13:00 UTC, by role/admin/bob: known\u{1b}[2J
    "#]]
    .assert_eq(text.split("\nPer-query").next().unwrap().split_once("\nGrants").unwrap().1);
    assert!(show_promised(&promises, NARROW).lines().all(|line| line.chars().count() <= 44));
    assert!(!show_promised(&Answer::default(), WIDE).contains("Grants"));
}

/// The table of five idle workgroups with these promises.
fn show_promised(promises: &Answer, page: Page) -> String {
    let policy = Policy::parse(&[Document { name: "policy.toml".to_owned(), text: format!("{MAIL}{FIVE}") }]).unwrap();
    let workgroups = five(0).into_iter().map(|(name, seen)| (name.to_owned(), seen)).collect();
    let usage = Usage { workgroups, ..Usage::default() };
    let findings = judge(&policy, &Tick { at: noon(), timing: Timing::Now }, &usage);
    let status = Status {
        policy: &policy,
        findings: &findings,
        catalogue: &Catalogue::default(),
        incomplete: None,
        as_of: noon(),
        region: "eu-central-1",
        policy_place: "policy.toml",
        warnings: &[],
        ledger: None,
        promises,
    };
    anstream::adapter::strip_str(&table::text(&status, page)).to_string()
}
