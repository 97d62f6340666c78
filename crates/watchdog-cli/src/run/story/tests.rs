//! Goldens of the story. The report comes from the real judge and plan.

use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use jiff::Timestamp;
use watchdog_core::bytes::Bytes;
use watchdog_core::delivery::{People, Records, Standing, plan};
use watchdog_core::event::{Source, Tick, Timing};
use watchdog_core::mail::{Origins, compose};
use watchdog_core::policy::{Document, Policy};
use watchdog_core::report::PolicyReport;
use watchdog_core::usage::{Seen, Series, Unknown, Usage};
use watchdog_core::verdict::judge;

use super::*;

const POLICY: &str = r#"
[mail]
sender = "watchdog@example.com"
admins = ["ops@example.com"]
allowed_domains = ["example.com"]
time_zone = "Europe/Berlin"

[[workgroup]]
name = "exploratory"
owner = "lead@example.com"
audience = ["owner"]
limit = [{ window = "1h", quota = "1 TB", share = "70 %" }]

[[workgroup]]
name = "fast-query"
per_query_cutoff = "50 GB"
"#;

fn noon() -> Timestamp {
    "2026-07-31T12:05:00Z".parse().unwrap()
}

#[track_caller]
fn check(usage: Vec<(&str, Seen)>, problems: &str, table: Option<&str>, show_mails: bool, expected: &Expect) {
    let document = |text: &str| Document { name: "policy.toml".to_owned(), text: text.to_owned() };
    let policy = Policy::parse(&[document(POLICY)]).unwrap();
    let standing = match Policy::parse(&[document(&format!("{POLICY}{problems}"))]) {
        Ok(_) => Standing::Current,
        Err(problems) => Standing::LastValid { problems, since: noon() },
    };
    let tick = Tick { at: noon(), timing: Timing::Now };
    let workgroups: BTreeMap<_, _> = usage.into_iter().map(|(name, seen)| (name.to_owned(), seen)).collect();
    let findings = judge(&policy, &tick, &Usage { workgroups, ..Usage::default() });
    let plan = plan(&policy, &standing, &tick, &findings, None, &Records::new(), &People::new());
    let origins = Origins { region: "eu-central-1".to_owned(), name: "athena-quota-watchdog".to_owned() };
    let mails: Vec<_> = plan.messages.iter().map(|m| compose(m, &policy.mail, &origins, tick.at)).collect();
    let mut report = RunReport::new("cli-1".to_owned(), Source::Person, tick, true);
    report.found(&findings);
    report.policy = Some(PolicyReport::new(vec!["policy.toml".to_owned()], &standing));
    report.would_send = plan.messages.iter().map(MailReport::new).collect();
    let text = text(&Story { report: &report, mails: &mails, table }, show_mails);
    let exit = super::super::exit(&report) as u8;
    expected.assert_eq(&format!("{}exit {exit}\n", anstream::adapter::strip_str(&text)));
}

fn scanned(gigabytes: u64) -> Seen {
    let mut buckets = vec![Bytes::ZERO; 12];
    buckets[11] = Bytes::new(gigabytes * 1_000_000_000);
    Ok(Series::from_buckets(noon() - jiff::SignedDuration::from_hours(1), buckets))
}

#[test]
fn nothing_to_send() {
    let usage = vec![("exploratory", scanned(70)), ("fast-query", scanned(0))];
    check(
        usage,
        "",
        Some("state"),
        true,
        &expect![[r#"
            Dry run as of 2026-07-31 12:05 UTC: nothing is sent, nothing is written
            memory  state: this is what the next run would send
            policy  policy.toml

            ok         exploratory  1h  10 % used in the last hour, below 80 %

            Would send no mail
            exit 0
        "#]],
    );
}

#[test]
fn two_people_hear_of_two_things() {
    let usage = vec![("exploratory", scanned(672)), ("fast-query", Err(Unknown::MetricsOff)), ("primary", scanned(0))];
    check(
        usage,
        "",
        None,
        false,
        &expect![[r#"
            Dry run as of 2026-07-31 12:05 UTC: nothing is sent, nothing is written
            memory  none, so this is as if nobody had been told anything yet (give `--state-table NAME`)
            policy  policy.toml

            critical   exploratory  1h  96 % used in the last hour, at or above 95 %
            unknown    fast-query: the workgroup publishes no metrics to CloudWatch

            Watched by no rule: primary

            Would send 2 mails

              to       lead@example.com
              subject  [critical] exploratory: 96 % of 700 GB used in the last hour
              because  limit/exploratory/1h opened: critical

              to       ops@example.com
              subject  [cannot see] fast-query cannot be seen: the workgroup publishes no metrics to CloudWatch
              because  sight/fast-query opened: cannot see
            exit 3
        "#]],
    );
}

#[test]
fn mails_can_be_read() {
    let usage = vec![("exploratory", scanned(728)), ("fast-query", scanned(0))];
    check(
        usage,
        "",
        None,
        true,
        &expect![[r#"
            Dry run as of 2026-07-31 12:05 UTC: nothing is sent, nothing is written
            memory  none, so this is as if nobody had been told anything yet (give `--state-table NAME`)
            policy  policy.toml

            exhausted  exploratory  1h  104 % used in the last hour, the limit is gone

            Would send 1 mail

              to       lead@example.com
              subject  [exhausted] exploratory: 104 % of 700 GB used in the last hour
              because  limit/exploratory/1h opened: exhausted

              | [exhausted] exploratory: 104 % of 700 GB used in the last hour
              |
              | exploratory has used 104 % of its 700 GB in the last hour (as of 14:05 CEST, 12:05 UTC).
              | The limit is passed by 28 GB. Athena stops nothing at this limit by itself: queries go on.
              |
              | [####################] 104 %   728 GB used, 28 GB over
              |
              | Scanned since 13:05 CEST, 11:05 UTC, added up; full height is the limit
              |                                          █
              |   13:05 CEST, 11:05 UTC - now, 14:05 CEST, 12:05 UTC
              |   steepest rise: 728 GB until 14:05 CEST, 12:05 UTC
              |
              | What to do now
              |   See its queries (choose this workgroup at the top right):
              |     https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/query-editor/history
              |   Open the workgroup:
              |     https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/workgroups/details/exploratory
              |   List its newest queries:
              |     aws athena list-query-executions --region eu-central-1 --work-group exploratory --max-items 20
              |   Stop one of them, by its id:
              |     aws athena stop-query-execution --region eu-central-1 --query-execution-id ID
              |   Raise the limit:
              |     nobody may for a while (`[grants]` in the policy); for good, change the limit of `exploratory` for `1h` there
              |
              | The numbers
              |   Used          728 GB (728,000,000,000 bytes)
              |   Limit         700 GB (700,000,000,000 bytes)
              |   The limit is  70 % of a quota of 1 TB
              |   Window        1h, since 2026-07-31 13:05 CEST (11:05 UTC)
              |   Warns at      90 %, or sooner by the forecast; critical at 95 %; resolves below 75 % for 30 min
              |
              | Why now: the alert has just opened.
              |
              | --
              | Athena Quota Watchdog (athena-quota-watchdog, eu-central-1), as of 2026-07-31 14:05 CEST (12:05 UTC).
              | You (lead@example.com) get this because the policy names you for it, or you own the workgroup.
              | To hear less, ask your admins: the policy says who is told, from when on, and how often again.
            exit 1
        "#]],
    );
}

#[test]
fn an_older_policy_in_force_is_said() {
    let usage = vec![("exploratory", scanned(0)), ("fast-query", scanned(0))];
    check(
        usage,
        "colour = \"red\"\n",
        Some("state"),
        false,
        &expect![[r#"
            Dry run as of 2026-07-31 12:05 UTC: nothing is sent, nothing is written
            memory  state: this is what the next run would send
            policy  policy.toml
                    the last valid one, because the current one has problems:
                    policy.toml:17:1: unknown key `colour`: `[[workgroup]]` knows `name`, `owner`, `per_query_cutoff`, `waiting`, `plan`, `warn`, `critical`, `hysteresis`, `forecast`, `hold`, `repeat_every`, `audience`, `limit`

            ok         exploratory  1h  0 % used in the last hour, below 80 %

            Would send 1 mail

              to       ops@example.com
              subject  [policy] the policy has a problem
              because  policy opened: cannot see
            exit 3
        "#]],
    );
}
