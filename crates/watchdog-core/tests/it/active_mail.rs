//! Mails about active and waiting queries: what people read.

use std::{env, fs};

use expect_test::{Expect, expect};
use watchdog_core::delivery::{Message, People, Records, Standing, plan};
use watchdog_core::mail::{Mail, Origins, compose};
use watchdog_core::policy::Policy;
use watchdog_core::usage::{Unknown, Usage};
use watchdog_core::verdict::judge;

use crate::active::{NOW, RULES, starved, starving, tick};
use crate::support::{at, policy};

fn messages(policy: &Policy, usage: &Usage, people: &People) -> Vec<Message> {
    let findings = judge(policy, &tick(at(NOW)), usage);
    plan(policy, &Standing::Current, &tick(at(NOW)), &findings, None, &Records::new(), people).messages
}

fn mail_to(who: &str, policy: &Policy, messages: &[Message]) -> Mail {
    let origins = Origins { region: "eu-central-1".to_owned(), name: "athena-quota-watchdog".to_owned() };
    let message =
        messages.iter().find(|message| message.to.as_str() == who).unwrap_or_else(|| panic!("no mail to {who}"));
    let mail = compose(message, &policy.mail, &origins, at(NOW));
    // Written there for people to look at.
    if let Some(folder) = env::var_os("WATCHDOG_MAILS").map(std::path::PathBuf::from) {
        fs::create_dir_all(&folder).unwrap();
        let name = mail.subject.chars().filter(char::is_ascii_alphanumeric).take(60).collect::<String>();
        fs::write(folder.join(format!("{who}-{name}.html")), &mail.html).unwrap();
    }
    mail
}

#[track_caller]
fn check(who: &str, usage: &Usage, expected: Expect) -> Mail {
    let policy = policy(RULES);
    let people = People { occupancy: Some(starving(&policy)), ..People::new() };
    let mail = mail_to(who, &policy, &messages(&policy, usage, &people));
    expected.assert_eq(&format!("Subject: {}\n\n{}", mail.subject, mail.text));
    mail
}

#[test]
fn the_admins_read_who_starves_whom_and_what_to_do() {
    check(
        "ops@example.com",
        &starved(200.0),
        expect![[r#"
            Subject: [exhausted] Athena in eu-central-1: 200 of 200 DML queries active, the next will be refused, and 1 more

            2 alerts, the worst first:
              [exhausted] Athena in eu-central-1: 200 of 200 DML queries active, the next will be refused
              [exhausted] predictable: queries are waiting, up to 4 min 10 s where 2 min is the most

            ----------------------------------------------------------------

            [exhausted] Athena in eu-central-1: 200 of 200 DML queries active, the next will be refused

            All 200 DML queries that the account may have active in eu-central-1 were active at once (as of 14:05 UTC).
            While it is so, the next queries will be refused, in every workgroup. exploratory has 150 of the 160 that are active now. Meanwhile queries are waiting in predictable (up to 4 min 10 s, 10 right now). ann@example.com has 120 of them.

            [####################] 100 %   200 active, none left

            What to do now
              Stop the one that has run the longest:
                aws athena stop-query-execution --region eu-central-1 --query-execution-id exploratory-149
              The second longest:
                aws athena stop-query-execution --region eu-central-1 --query-execution-id exploratory-148
              The third longest:
                aws athena stop-query-execution --region eu-central-1 --query-execution-id exploratory-147
              See the queries of the workgroup that has the most (choose it at the top right):
                https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/query-editor/history
              Open that workgroup:
                https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/workgroups/details/exploratory
              Ask AWS for a higher quota:
                https://eu-central-1.console.aws.amazon.com/servicequotas/home/services/athena/quotas/L-FC5F6546
              Where it must never wait:
                a capacity reservation gives predictable capacity of its own; its queries then wait for no others and do not count against the quota.

            Who has them active
               93 %  150 active  exploratory
                                150 running, 0 waiting
               75 %  120 active  – ann@example.com
                                120 running, 0 waiting; known by the IAM user's tag
               18 %  29 active  – bob@example.com
                                29 running, 0 waiting; known by the IAM user's tag
                0 %   1 active  – user/nightly
                                1 running, 0 waiting; the IAM user has no tag `email`
                6 %  10 active  predictable
                                0 running, 10 waiting
              That is who was active when the watchdog looked: 160 queries.

            The numbers
              Most at once  200 that ran or waited, in the five minutes from 14:00 UTC
              Quota         200, as applied to this account, read 2026-03-01 14:05 UTC
              Warns at      80 %; critical at 90 %; resolves below 60 %
              Reservations  none in this account
              Longest run   exploratory-149 in exploratory, running since 11:34 UTC, 2 h 31 min

            Why now: the alert has just opened.

            ----------------------------------------------------------------

            [exhausted] predictable: queries are waiting, up to 4 min 10 s where 2 min is the most

            Queries in predictable are waiting: up to 4 min 10 s in the last 10 minutes, and 2 min is the most that they should (as of 14:05 UTC).
            Right now 10 queries wait. exploratory has 150 of the 160 queries that are active, and predictable waits for them. ann@example.com has 120 of them.

            [####################] 208 %   4 min 10 s waited, at most 2 min

            The numbers
              Right now     10 waiting, the oldest since 14:00 UTC; 3 running
              Ended lately  the longest had waited 2 min 10 s in the last 10 minutes
              May wait      2 min, the workgroup's `waiting` in the policy
              Warns at      50 %; critical at 80 %; resolves below 25 %

            Why now: the alert has just opened.

            --
            Athena Quota Watchdog (athena-quota-watchdog, eu-central-1), as of 2026-03-01 14:05 UTC.
            You (ops@example.com) get this because you are one of the policy's admins.
            To hear less: `audience`, `warn` and `repeat_every` in the policy say who is told, from when on, and how often again."#]],
    );
}

#[test]
fn waiting_alone_names_the_cause() {
    check(
        "ops@example.com",
        &starved(100.0),
        expect![[r#"
            Subject: [exhausted] predictable: queries are waiting, up to 4 min 10 s where 2 min is the most

            [exhausted] predictable: queries are waiting, up to 4 min 10 s where 2 min is the most

            Queries in predictable are waiting: up to 4 min 10 s in the last 10 minutes, and 2 min is the most that they should (as of 14:05 UTC).
            Right now 10 queries wait. exploratory has 150 of the 160 queries that are active, and predictable waits for them. ann@example.com has 120 of them.

            [####################] 208 %   4 min 10 s waited, at most 2 min

            What to do now
              Stop the one that has run the longest:
                aws athena stop-query-execution --region eu-central-1 --query-execution-id exploratory-149
              The second longest:
                aws athena stop-query-execution --region eu-central-1 --query-execution-id exploratory-148
              The third longest:
                aws athena stop-query-execution --region eu-central-1 --query-execution-id exploratory-147
              See the queries of the workgroup that has the most (choose it at the top right):
                https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/query-editor/history
              Open that workgroup:
                https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/workgroups/details/exploratory
              Ask AWS for a higher quota:
                https://eu-central-1.console.aws.amazon.com/servicequotas/home/services/athena/quotas/L-FC5F6546
              Where it must never wait:
                a capacity reservation gives predictable capacity of its own; its queries then wait for no others and do not count against the quota.

            Who has them active
               93 %  150 active  exploratory
                                150 running, 0 waiting
               75 %  120 active  – ann@example.com
                                120 running, 0 waiting; known by the IAM user's tag
               18 %  29 active  – bob@example.com
                                29 running, 0 waiting; known by the IAM user's tag
                0 %   1 active  – user/nightly
                                1 running, 0 waiting; the IAM user has no tag `email`
                6 %  10 active  predictable
                                0 running, 10 waiting
              That is who was active when the watchdog looked: 160 queries.

            The numbers
              Right now     10 waiting, the oldest since 14:00 UTC; 3 running
              Ended lately  the longest had waited 2 min 10 s in the last 10 minutes
              May wait      2 min, the workgroup's `waiting` in the policy
              Warns at      50 %; critical at 80 %; resolves below 25 %
              Reservations  none in this account
              Longest run   exploratory-149 in exploratory, running since 11:34 UTC, 2 h 31 min

            Why now: the alert has just opened.

            --
            Athena Quota Watchdog (athena-quota-watchdog, eu-central-1), as of 2026-03-01 14:05 UTC.
            You (ops@example.com) get this because you are one of the policy's admins.
            To hear less: `audience`, `warn` and `repeat_every` in the policy say who is told, from when on, and how often again."#]],
    );
}

#[test]
fn a_person_reads_of_their_own_queries_and_of_nobody_elses() {
    let mail = check(
        "bob@example.com",
        &starved(200.0),
        expect![[r#"
            Subject: [exhausted] Athena in eu-central-1: 200 of 200 DML queries active, the next will be refused, 29 of them yours

            [exhausted] Athena in eu-central-1: 200 of 200 DML queries active, the next will be refused, 29 of them yours

            All 200 DML queries that the account may have active in eu-central-1 were active at once (as of 14:05 UTC).
            29 of the 160 active queries are yours (18 %). The next queries will be refused, yours and everybody's. Meanwhile queries are waiting in predictable (up to 4 min 10 s, 10 right now).

            [####################] 100 %   200 active, none left

            What to do now
              Stop the one that has run the longest:
                aws athena stop-query-execution --region eu-central-1 --query-execution-id exploratory-29
              The second longest:
                aws athena stop-query-execution --region eu-central-1 --query-execution-id exploratory-28
              The third longest:
                aws athena stop-query-execution --region eu-central-1 --query-execution-id exploratory-27
              Start fewer at once:
                queries that wait count, too; let one end before the next begins.
              If you need more, ask:
                lab@example.com

            Your active queries
              - running since 13:34 UTC, 31 min
                https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/query-editor/history/exploratory-29
              - running since 13:35 UTC, 30 min
                https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/query-editor/history/exploratory-28
              - running since 13:36 UTC, 29 min
                https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/query-editor/history/exploratory-27
              - running since 13:37 UTC, 28 min
                https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/query-editor/history/exploratory-26
              - running since 13:38 UTC, 27 min
                https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/query-editor/history/exploratory-25
              - running since 13:39 UTC, 26 min
                https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/query-editor/history/exploratory-24
              - running since 13:40 UTC, 25 min
                https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/query-editor/history/exploratory-23
              - running since 13:41 UTC, 24 min
                https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/query-editor/history/exploratory-22
              - running since 13:42 UTC, 23 min
                https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/query-editor/history/exploratory-21
              - running since 13:43 UTC, 22 min
                https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/query-editor/history/exploratory-20
              And 19 more.

            The numbers
              Most at once  200 that ran or waited, in the five minutes from 14:00 UTC
              Quota         200, as applied to this account, read 2026-03-01 14:05 UTC
              Warns at      80 %; critical at 90 %; resolves below 60 %

            Why now: the alert has just opened.

            --
            Athena Quota Watchdog (athena-quota-watchdog, eu-central-1), as of 2026-03-01 14:05 UTC.
            You (bob@example.com) get this because your queries are among those that are active.
            To hear less, ask your admins: the policy says who is told, from when on, and how often again."#]],
    );
    for other in ["ann", "nightly", "payroll"] {
        assert!(!mail.text.contains(other) && !mail.html.contains(other), "{other} in\n{}", mail.text);
    }
}

#[test]
fn a_warning_says_what_is_left_and_an_end_says_that_it_is_over() {
    let policy = policy(RULES);
    let calm = starved(100.0);
    let warned = messages(&policy, &quota_only(170.0), &People::new());
    let mail = mail_to("ops@example.com", &policy, &warned);
    expect![[r#"
        Subject: [warn] Athena in eu-central-1: 170 of 200 DML queries active

        [warn] Athena in eu-central-1: 170 of 200 DML queries active

        Up to 170 of 200 DML queries that the account may have active in eu-central-1 were active at once in the last 10 minutes (as of 14:05 UTC).
        With 30 more, the next queries will be refused, in every workgroup.

        [#################...] 85 %   170 active, 30 left

        What to do now
          Ask AWS for a higher quota:
            https://eu-central-1.console.aws.amazon.com/servicequotas/home/services/athena/quotas/L-FC5F6546
          Where it must never wait:
            a capacity reservation gives a workgroup capacity of its own; its queries then wait for no others and do not count against the quota.

        The numbers
          Most at once  170 that ran or waited, in the five minutes from 14:00 UTC
          Quota         200, as applied to this account, read 2026-03-01 14:05 UTC
          Warns at      80 %; critical at 90 %; resolves below 60 %

        Why now: the alert has just opened.

        --
        Athena Quota Watchdog (athena-quota-watchdog, eu-central-1), as of 2026-03-01 14:05 UTC.
        You (ops@example.com) get this because you are one of the policy's admins.
        To hear less: `audience`, `warn` and `repeat_every` in the policy say who is told, from when on, and how often again."#]].assert_eq(&format!("Subject: {}\n\n{}", mail.subject, mail.text));
    let mut records = Records::new();
    let findings = judge(&policy, &tick(at(NOW)), &starved(200.0));
    let opened = plan(&policy, &Standing::Current, &tick(at(NOW)), &findings, None, &records, &People::new());
    records.extend(opened.records.clone());
    for notice in opened.messages.iter().flat_map(|message| message.notices.iter().map(move |n| (&message.to, n))) {
        notice.1.told(notice.0, records.get_mut(&notice.1.subject).unwrap(), at(NOW));
    }
    let findings = judge(&policy, &tick(at(NOW)), &calm);
    let over = plan(&policy, &Standing::Current, &tick(at(NOW)), &findings, None, &records, &People::new());
    let mail = mail_to("ops@example.com", &policy, &over.messages);
    expect![[r#"
        Subject: [resolved] Athena in eu-central-1: 100 of 200 DML queries active

        [resolved] Athena in eu-central-1: 100 of 200 DML queries active

        Up to 100 of 200 DML queries that the account may have active in eu-central-1 were active at once in the last 10 minutes (as of 14:05 UTC).
        That is below 60 %: the alert is over.

        [##########..........] 50 %   100 active, 100 left

        The numbers
          Most at once  100 that ran or waited, in the five minutes from 14:00 UTC
          Quota         200, as applied to this account, read 2026-03-01 14:05 UTC
          Warns at      80 %; critical at 90 %; resolves below 60 %
          This time     critical since 14:05 UTC, limit reached at 14:05 UTC, at most 100 %, open for 0 min, 1 mail so far

        Why now: the alert that opened 2026-03-01 14:05 UTC is over.

        --
        Athena Quota Watchdog (athena-quota-watchdog, eu-central-1), as of 2026-03-01 14:05 UTC.
        You (ops@example.com) get this because you are one of the policy's admins.
        Nothing more comes of what is over."#]].assert_eq(&format!("Subject: {}\n\n{}", mail.subject, mail.text));
}

#[test]
fn what_cannot_be_seen_is_said_with_what_it_risks() {
    let policy = policy(RULES);
    let mut usage = quota_only(170.0);
    for active in usage.concurrency.active.values_mut() {
        active.quota = Some(Err(Unknown::Denied { operation: "servicequotas:GetServiceQuota".to_owned() }));
    }
    let mail = mail_to("ops@example.com", &policy, &messages(&policy, &usage, &People::new()));
    expect![[r#"
        Subject: [cannot see] how near the active DML queries are to their quota: AWS denied `servicequotas:GetServiceQuota`

        [cannot see] how near the active DML queries are to their quota: AWS denied `servicequotas:GetServiceQuota`

        The watchdog cannot see how near the active DML queries are to their quota: AWS denied `servicequotas:GetServiceQuota`.
        It is unknown, which is not the same as fine. Queries may be refused without a warning. Limits on bytes are watched as before.

        What to do now
          Mend it:
            Allow `servicequotas:GetServiceQuota` in the role of the watchdog's function.

        Why now: the alert has just opened.

        --
        Athena Quota Watchdog (athena-quota-watchdog, eu-central-1), as of 2026-03-01 14:05 UTC.
        You (ops@example.com) get this because you are one of the policy's admins.
        Admins are always told of this; `repeat_cannot_see_every` in the policy says how often again."#]].assert_eq(&format!("Subject: {}\n\n{}", mail.subject, mail.text));
}

/// Nobody waits.
fn quota_only(used: f64) -> Usage {
    let mut usage = starved(used);
    usage.concurrency.waiting.clear();
    usage
}
