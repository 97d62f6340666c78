//! Mails: what people read, and what goes out on the wire.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::{env, fs};

use expect_test::{Expect, expect};
use jiff::SignedDuration;
use mail_parser::{HeaderValue, MessageParser, MimeHeaders};
use proptest::prelude::*;
use watchdog_core::alert::{Ending, Reason, Severity, Subject};
use watchdog_core::bytes::{Bytes, Size, Units};
use watchdog_core::delivery::{Facts, LimitFacts, Message, Notice, Relief};
use watchdog_core::forecast::Outlook;
use watchdog_core::history::{History, Share};
use watchdog_core::mail::{Mail, Origins, compose};
use watchdog_core::meter::Meter;
use watchdog_core::percent::Percent;
use watchdog_core::policy::{Address, MailRules, Origin, Policy, Problems};
use watchdog_core::trail::Trail;
use watchdog_core::usage::{InFlight, Unknown};
use watchdog_core::verdict::{Foresight, Level};
use watchdog_core::window::{Span, Window};

use crate::support::{at, cases, document, whole_policy};

const NOW: &str = "2026-03-01T14:05:00Z";
const OPENED: &str = "2026-03-01T13:25:00Z";

fn rules(zone: &str) -> MailRules {
    whole_policy(&format!(
        "[mail]\nsender = \"watchdog@example.com\"\nreply_to = \"platform@example.com\"\nadmins = [\"ops@example.com\"]\n\
         allowed_domains = [\"example.com\"]\ntime_zone = \"{zone}\"\n\
         [[workgroup]]\nname = \"*\"\nper_query_cutoff = \"1 GB\"\n"
    ))
    .mail
}

fn origins() -> Origins {
    Origins { region: "eu-central-1".to_owned(), name: "athena-quota-watchdog".to_owned() }
}

fn mail_in(zone: &str, notices: Vec<Notice>) -> Mail {
    let message = Message { to: Address::parse("ops@example.com").unwrap(), notices };
    compose(&message, &rules(zone), &origins(), at(NOW))
}

fn mail(notices: Vec<Notice>) -> Mail {
    mail_in("UTC", notices)
}

fn size(text: &str) -> Size {
    text.parse().unwrap()
}

fn notice(subject: &str, reason: Reason, severity: Severity, facts: Facts) -> Notice {
    let opened = if reason == Reason::Opened { at(NOW) } else { at(OPENED) };
    Notice {
        subject: subject.parse().unwrap(),
        reason,
        severity,
        opened,
        facts,
        people: None,
        quiet: None,
        history: History::default(),
    }
}

/// A third of it in each of the three quarters of an hour after the first.
fn trail(window: &Window, used: Bytes) -> Trail {
    let span = window.span(at(NOW));
    let mut meter = Meter::new(span.start, 1000);
    let third = used.get() / 3;
    for (minutes, bytes) in [(15, third), (30, third), (45, used.get() - 2 * third)] {
        meter.add(span.start + SignedDuration::from_mins(minutes), Bytes::new(bytes));
    }
    meter.know_until(at(NOW));
    Trail::of(&meter, window, at(NOW))
}

fn limit(workgroup: &str, used: &str, limit: &str) -> LimitFacts {
    let window = Window::Rolling { minutes: 60 };
    let span = window.span(at(NOW));
    LimitFacts {
        workgroup: workgroup.to_owned(),
        window: window.id(),
        window_words: window.words(),
        span,
        used: size(used).bytes,
        limit: size(limit).bytes,
        units: size(limit).units,
        grant: None,
        origin: Origin::ShareOfQuota { quota: size("1 TB"), share: Percent::whole(70) },
        foresight: Foresight::Silent,
        outlook: None,
        in_flight: Vec::new(),
        flying: (0, None),
        may_be_more: false,
        trail: trail(&window, size(used).bytes),
        warn: Percent::whole(80),
        critical: Percent::whole(95),
        resolves_below: Percent::whole(75),
        hold: SignedDuration::ZERO,
        misfit: None,
        relief: Relief {
            raise: Some((size("100 TB"), SignedDuration::from_hours(8))),
            silence: Some((Vec::new(), SignedDuration::from_hours(8))),
        },
    }
}

fn of_limit(reason: Reason, severity: Severity, used: &str) -> Notice {
    notice("limit/exploratory/1h", reason, severity, Facts::Limit(limit("exploratory", used, "700 GB")))
}

fn unseen(workgroup: &str, reason: Reason, why: Unknown) -> Notice {
    let facts = Facts::Unseen {
        workgroup: Some(workgroup.to_owned()),
        why,
        limits: vec![("700 GiB".parse().unwrap(), "1h".to_owned())],
    };
    Notice {
        subject: Subject::Sight { workgroup: workgroup.to_owned() },
        ..notice("listing", reason, Severity::CannotSee, facts)
    }
}

fn problems(text: &str) -> Problems {
    Policy::parse(&[document("10-stack.toml", text)]).unwrap_err()
}

fn broken_policy(text: &str) -> Notice {
    let facts = Facts::Policy { problems: problems(text), in_force_since: at("2026-02-27T08:00:00Z") };
    notice("policy", Reason::Opened, Severity::CannotSee, facts)
}

#[track_caller]
fn check(mail: &Mail, expected: Expect) {
    expected.assert_eq(&format!("Subject: {}\n\n{}", mail.subject, mail.text));
}

#[test]
fn opened_warn() {
    check(
        &mail(vec![of_limit(Reason::Opened, Severity::Warn, "574.5 GB")]),
        expect![[r#"
            Subject: [warn] exploratory: 82 % of 700 GB used in the last hour

            [warn] exploratory: 82 % of 700 GB used in the last hour

            exploratory has used 82 % of its 700 GB in the last hour (as of 14:05 UTC).
            125.5 GB are left.

            [################....] 82 %   574.5 GB used, 125.5 GB left

            Scanned since 13:05 UTC, added up; full height is the limit
                           ▂▂▂▂▂▂▂▂▂▂▄▄▄▄▄▄▄▄▄▄▆▆▆▆▆▆▆
              13:05 UTC - now, 14:05 UTC
              steepest rise: 191.5 GB until 13:55 UTC

            What to do now
              See its queries (choose this workgroup at the top right):
                https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/query-editor/history
              Open the workgroup:
                https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/workgroups/details/exploratory
              List its newest queries:
                aws athena list-query-executions --region eu-central-1 --work-group exploratory --max-items 20
              Stop one of them, by its id:
                aws athena stop-query-execution --region eu-central-1 --query-execution-id ID
              Silence this alert for an hour:
                watchdog silence exploratory/1h --for 1h --reason "WHY" --region eu-central-1 --write

            The numbers
              Used          574.5 GB (574,500,000,000 bytes)
              Limit         700 GB (700,000,000,000 bytes)
              The limit is  70 % of a quota of 1 TB
              Window        1h, since 2026-03-01 13:05 UTC
              Warns at      80 %; critical at 95 %; resolves below 75 %

            Why now: the alert has just opened.

            --
            Athena Quota Watchdog (athena-quota-watchdog, eu-central-1), as of 2026-03-01 14:05 UTC.
            You (ops@example.com) get this because you are one of the policy's admins.
            To hear less: `audience`, `warn` and `repeat_every` in the policy say who is told, from when on, and how often again."#]],
    );
}

#[test]
fn one_is_left_and_more_are() {
    for (used, words) in [("699 GB", "1 GB is left."), ("698 GB", "2 GB are left."), ("689 GB", "11 GB are left.")] {
        let mail = mail(vec![of_limit(Reason::Opened, Severity::Critical, used)]);
        assert!(mail.text.contains(words), "{}", mail.text);
    }
}

#[test]
fn opened_exhausted_to_the_byte() {
    check(
        &mail(vec![of_limit(Reason::Opened, Severity::Exhausted, "700 GB")]),
        expect![[r#"
            Subject: [exhausted] exploratory: 100 % of 700 GB used in the last hour

            [exhausted] exploratory: 100 % of 700 GB used in the last hour

            exploratory has used 100 % of its 700 GB in the last hour (as of 14:05 UTC).
            The limit is reached. Athena stops nothing at this limit by itself: queries go on.

            [####################] 100 %   700 GB used, nothing left

            Scanned since 13:05 UTC, added up; full height is the limit
                           ▂▂▂▂▂▂▂▂▂▂▅▅▅▅▅▅▅▅▅▅███████
              13:05 UTC - now, 14:05 UTC
              steepest rise: 233.3 GB until 13:55 UTC

            What to do now
              See its queries (choose this workgroup at the top right):
                https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/query-editor/history
              Open the workgroup:
                https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/workgroups/details/exploratory
              List its newest queries:
                aws athena list-query-executions --region eu-central-1 --work-group exploratory --max-items 20
              Stop one of them, by its id:
                aws athena stop-query-execution --region eu-central-1 --query-execution-id ID
              Raise the limit for an hour:
                watchdog grant exploratory --limit 1.1TB --window 1h --for 1h --reason "WHY" --region eu-central-1 --write
              Silence this alert for an hour:
                watchdog silence exploratory/1h --for 1h --reason "WHY" --region eu-central-1 --write

            The numbers
              Used          700 GB (700,000,000,000 bytes)
              Limit         700 GB (700,000,000,000 bytes)
              The limit is  70 % of a quota of 1 TB
              Window        1h, since 2026-03-01 13:05 UTC
              Warns at      80 %; critical at 95 %; resolves below 75 %

            Why now: the alert has just opened.

            --
            Athena Quota Watchdog (athena-quota-watchdog, eu-central-1), as of 2026-03-01 14:05 UTC.
            You (ops@example.com) get this because you are one of the policy's admins.
            To hear less: `audience`, `warn` and `repeat_every` in the policy say who is told, from when on, and how often again."#]],
    );
}

#[test]
fn escalated_critical() {
    check(
        &mail(vec![of_limit(Reason::Escalated { from: Severity::Warn }, Severity::Critical, "690 GB")]),
        expect![[r#"
            Subject: [critical] exploratory: 98 % of 700 GB used in the last hour

            [critical] exploratory: 98 % of 700 GB used in the last hour

            exploratory has used 98 % of its 700 GB in the last hour (as of 14:05 UTC).
            Worse than when you were last told (warn). 10 GB are left.

            [###################.] 98 %   690 GB used, 10 GB left

            Scanned since 13:05 UTC, added up; full height is the limit
                           ▂▂▂▂▂▂▂▂▂▂▅▅▅▅▅▅▅▅▅▅▇▇▇▇▇▇▇
              13:05 UTC - now, 14:05 UTC
              steepest rise: 230 GB until 13:55 UTC

            What to do now
              See its queries (choose this workgroup at the top right):
                https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/query-editor/history
              Open the workgroup:
                https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/workgroups/details/exploratory
              List its newest queries:
                aws athena list-query-executions --region eu-central-1 --work-group exploratory --max-items 20
              Stop one of them, by its id:
                aws athena stop-query-execution --region eu-central-1 --query-execution-id ID
              Raise the limit for an hour:
                watchdog grant exploratory --limit 1.1TB --window 1h --for 1h --reason "WHY" --region eu-central-1 --write
              Silence this alert for an hour:
                watchdog silence exploratory/1h --for 1h --reason "WHY" --region eu-central-1 --write

            The numbers
              Used          690 GB (690,000,000,000 bytes)
              Limit         700 GB (700,000,000,000 bytes)
              The limit is  70 % of a quota of 1 TB
              Window        1h, since 2026-03-01 13:05 UTC
              Warns at      80 %; critical at 95 %; resolves below 75 %

            Why now: it is worse than what you were last told (warn); open since 2026-03-01 13:25 UTC.

            --
            Athena Quota Watchdog (athena-quota-watchdog, eu-central-1), as of 2026-03-01 14:05 UTC.
            You (ops@example.com) get this because you are one of the policy's admins.
            To hear less: `audience`, `warn` and `repeat_every` in the policy say who is told, from when on, and how often again."#]],
    );
}

#[test]
fn escalated_exhausted_in_another_zone() {
    let notice = of_limit(Reason::Escalated { from: Severity::Critical }, Severity::Exhausted, "1.4 TB");
    check(
        &mail_in("Europe/Berlin", vec![notice]),
        expect![[r#"
            Subject: [exhausted] exploratory: 200 % of 700 GB used in the last hour

            [exhausted] exploratory: 200 % of 700 GB used in the last hour

            exploratory has used 200 % of its 700 GB in the last hour (as of 15:05 CET, 14:05 UTC).
            Worse than when you were last told (critical). The limit is passed by 700 GB. Athena stops nothing at this limit by itself: queries go on.

            [####################] 200 %   1.4 TB used, 700 GB over

            Scanned since 14:05 CET, 13:05 UTC, added up; full height is the limit
                           ▅▅▅▅▅▅▅▅▅▅█████████████████
              14:05 CET, 13:05 UTC - now, 15:05 CET, 14:05 UTC
              steepest rise: 466.7 GB until 14:55 CET, 13:55 UTC

            What to do now
              See its queries (choose this workgroup at the top right):
                https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/query-editor/history
              Open the workgroup:
                https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/workgroups/details/exploratory
              List its newest queries:
                aws athena list-query-executions --region eu-central-1 --work-group exploratory --max-items 20
              Stop one of them, by its id:
                aws athena stop-query-execution --region eu-central-1 --query-execution-id ID
              Raise the limit for an hour:
                watchdog grant exploratory --limit 2.1TB --window 1h --for 1h --reason "WHY" --region eu-central-1 --write
              Silence this alert for an hour:
                watchdog silence exploratory/1h --for 1h --reason "WHY" --region eu-central-1 --write

            The numbers
              Used          1.4 TB (1,400,000,000,000 bytes)
              Limit         700 GB (700,000,000,000 bytes)
              The limit is  70 % of a quota of 1 TB
              Window        1h, since 2026-03-01 14:05 CET (13:05 UTC)
              Warns at      80 %; critical at 95 %; resolves below 75 %

            Why now: it is worse than what you were last told (critical); open since 2026-03-01 14:25 CET (13:25 UTC).

            --
            Athena Quota Watchdog (athena-quota-watchdog, eu-central-1), as of 2026-03-01 15:05 CET (14:05 UTC).
            You (ops@example.com) get this because you are one of the policy's admins.
            To hear less: `audience`, `warn` and `repeat_every` in the policy say who is told, from when on, and how often again."#]],
    );
}

#[test]
fn repeated_exhausted_though_below_the_limit_again() {
    let reason = Reason::Repeated { last_told: at("2026-03-01T10:05:00Z") };
    check(
        &mail(vec![of_limit(reason, Severity::Exhausted, "690 GB")]),
        expect![[r#"
            Subject: [exhausted] exploratory: still 98 % of 700 GB used in the last hour

            [exhausted] exploratory: still 98 % of 700 GB used in the last hour

            exploratory has used 98 % of its 700 GB in the last hour (as of 14:05 UTC).
            A reminder: open since 13:25 UTC. The limit was reached, and use is still close to it: 10 GB are left.

            [###################.] 98 %   690 GB used, 10 GB left

            Scanned since 13:05 UTC, added up; full height is the limit
                           ▂▂▂▂▂▂▂▂▂▂▅▅▅▅▅▅▅▅▅▅▇▇▇▇▇▇▇
              13:05 UTC - now, 14:05 UTC
              steepest rise: 230 GB until 13:55 UTC

            What to do now
              See its queries (choose this workgroup at the top right):
                https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/query-editor/history
              Open the workgroup:
                https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/workgroups/details/exploratory
              List its newest queries:
                aws athena list-query-executions --region eu-central-1 --work-group exploratory --max-items 20
              Stop one of them, by its id:
                aws athena stop-query-execution --region eu-central-1 --query-execution-id ID
              Raise the limit for an hour:
                watchdog grant exploratory --limit 1.1TB --window 1h --for 1h --reason "WHY" --region eu-central-1 --write
              Silence this alert for an hour:
                watchdog silence exploratory/1h --for 1h --reason "WHY" --region eu-central-1 --write

            The numbers
              Used          690 GB (690,000,000,000 bytes)
              Limit         700 GB (700,000,000,000 bytes)
              The limit is  70 % of a quota of 1 TB
              Window        1h, since 2026-03-01 13:05 UTC
              Warns at      80 %; critical at 95 %; resolves below 75 %

            Why now: a reminder: open since 2026-03-01 13:25 UTC, last told 2026-03-01 10:05 UTC.

            --
            Athena Quota Watchdog (athena-quota-watchdog, eu-central-1), as of 2026-03-01 14:05 UTC.
            You (ops@example.com) get this because you are one of the policy's admins.
            To hear less: `audience`, `warn` and `repeat_every` in the policy say who is told, from when on, and how often again."#]],
    );
}

#[test]
fn told_late() {
    let late = Notice { opened: at(OPENED), ..of_limit(Reason::Opened, Severity::Warn, "600 GB") };
    check(
        &mail(vec![late]),
        expect![[r#"
            Subject: [warn] exploratory: 85 % of 700 GB used in the last hour

            [warn] exploratory: 85 % of 700 GB used in the last hour

            exploratory has used 85 % of its 700 GB in the last hour (as of 14:05 UTC).
            Open since 13:25 UTC, and new to you. 100 GB are left.

            [#################...] 85 %   600 GB used, 100 GB left

            Scanned since 13:05 UTC, added up; full height is the limit
                           ▂▂▂▂▂▂▂▂▂▂▄▄▄▄▄▄▄▄▄▄▆▆▆▆▆▆▆
              13:05 UTC - now, 14:05 UTC
              steepest rise: 200 GB until 13:55 UTC

            What to do now
              See its queries (choose this workgroup at the top right):
                https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/query-editor/history
              Open the workgroup:
                https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/workgroups/details/exploratory
              List its newest queries:
                aws athena list-query-executions --region eu-central-1 --work-group exploratory --max-items 20
              Stop one of them, by its id:
                aws athena stop-query-execution --region eu-central-1 --query-execution-id ID
              Silence this alert for an hour:
                watchdog silence exploratory/1h --for 1h --reason "WHY" --region eu-central-1 --write

            The numbers
              Used          600 GB (600,000,000,000 bytes)
              Limit         700 GB (700,000,000,000 bytes)
              The limit is  70 % of a quota of 1 TB
              Window        1h, since 2026-03-01 13:05 UTC
              Warns at      80 %; critical at 95 %; resolves below 75 %

            Why now: the alert is open since 2026-03-01 13:25 UTC and you have not been told yet.

            --
            Athena Quota Watchdog (athena-quota-watchdog, eu-central-1), as of 2026-03-01 14:05 UTC.
            You (ops@example.com) get this because you are one of the policy's admins.
            To hear less: `audience`, `warn` and `repeat_every` in the policy say who is told, from when on, and how often again."#]],
    );
}

#[test]
fn resolved() {
    check(
        &mail(vec![of_limit(Reason::Resolved(Ending::Over), Severity::Critical, "500 GB")]),
        expect![[r#"
            Subject: [resolved] exploratory: 71 % of 700 GB used in the last hour

            [resolved] exploratory: 71 % of 700 GB used in the last hour

            exploratory has used 71 % of its 700 GB in the last hour (as of 14:05 UTC).
            That is below 75 %: the alert is over.

            [##############......] 71 %   500 GB used, 200 GB left

            Scanned since 13:05 UTC, added up; full height is the limit
                           ▁▁▁▁▁▁▁▁▁▁▃▃▃▃▃▃▃▃▃▃▅▅▅▅▅▅▅
              13:05 UTC - now, 14:05 UTC
              steepest rise: 166.7 GB until 13:55 UTC

            The numbers
              Used          500 GB (500,000,000,000 bytes)
              Limit         700 GB (700,000,000,000 bytes)
              The limit is  70 % of a quota of 1 TB
              Window        1h, since 2026-03-01 13:05 UTC
              Warns at      80 %; critical at 95 %; resolves below 75 %

            Why now: the alert that opened 2026-03-01 13:25 UTC is over.

            --
            Athena Quota Watchdog (athena-quota-watchdog, eu-central-1), as of 2026-03-01 14:05 UTC.
            You (ops@example.com) get this because you are one of the policy's admins.
            Nothing more comes of what is over."#]],
    );
}

#[test]
fn resolved_while_a_newer_alert_is_open_for_others() {
    check(
        &mail(vec![of_limit(Reason::Resolved(Ending::Over), Severity::Warn, "690 GB")]),
        expect![[r#"
            Subject: [resolved] exploratory: 98 % of 700 GB used in the last hour

            [resolved] exploratory: 98 % of 700 GB used in the last hour

            exploratory has used 98 % of its 700 GB in the last hour (as of 14:05 UTC).
            That alert is over. Where use is high again, others are told of it.

            [###################.] 98 %   690 GB used, 10 GB left

            Scanned since 13:05 UTC, added up; full height is the limit
                           ▂▂▂▂▂▂▂▂▂▂▅▅▅▅▅▅▅▅▅▅▇▇▇▇▇▇▇
              13:05 UTC - now, 14:05 UTC
              steepest rise: 230 GB until 13:55 UTC

            The numbers
              Used          690 GB (690,000,000,000 bytes)
              Limit         700 GB (700,000,000,000 bytes)
              The limit is  70 % of a quota of 1 TB
              Window        1h, since 2026-03-01 13:05 UTC
              Warns at      80 %; critical at 95 %; resolves below 75 %

            Why now: the alert that opened 2026-03-01 13:25 UTC is over.

            --
            Athena Quota Watchdog (athena-quota-watchdog, eu-central-1), as of 2026-03-01 14:05 UTC.
            You (ops@example.com) get this because you are one of the policy's admins.
            Nothing more comes of what is over."#]],
    );
}

/// A limit that does not fit is told of with its number, in each mail about it.
#[test]
fn a_limit_that_does_not_fit_is_told_of() {
    let misfit = watchdog_core::fit::Misfit::TooLow { passed: 5, of: 7, about: Bytes::new(1_200_000_000_000) };
    let facts = LimitFacts { misfit: Some(misfit), ..limit("exploratory", "710 GB", "700 GB") };
    let notice = notice("limit/exploratory/1h", Reason::Opened, Severity::Exhausted, Facts::Limit(facts));
    let text = mail_in("UTC", vec![notice]).text;
    let line = text.lines().find(|line| line.contains("Does it fit")).unwrap();
    expect!["Does it fit   It was passed on 5 of the last 7 days, by ordinary work: the limit looks too low. About 1.2 TB would have held; `watchdog plan` computes it from more weeks."].assert_eq(line.trim());
}

#[test]
fn window_ended() {
    let window = Window::parse("calendar day", &crate::support::zone("Europe/Berlin")).unwrap();
    let facts = LimitFacts {
        window: window.id(),
        window_words: window.words(),
        span: Span { start: at("2026-02-28T23:00:00Z"), end: at(NOW) },
        origin: Origin::QuotaAndBuffer { quota: size("636.4 GiB"), buffer: Percent::whole(10) },
        units: Units::Binary,
        ..limit("long-query", "12 GiB", "700 GiB")
    };
    let notice = notice(
        "limit/long-query/calendar-day@Europe/Berlin",
        Reason::Resolved(Ending::WindowEnded),
        Severity::Exhausted,
        Facts::Limit(facts),
    );
    check(
        &mail_in("Europe/Berlin", vec![notice]),
        expect![[r#"
            Subject: [resolved] long-query: 1 % of 700 GiB used today, Europe/Berlin time

            [resolved] long-query: 1 % of 700 GiB used today, Europe/Berlin time

            long-query has used 1 % of its 700 GiB today, Europe/Berlin time (as of 15:05 CET, 14:05 UTC).
            A new window has begun: the alert about the last one is over.

            [....................] 1 %   12 GiB used, 688 GiB left

            Scanned since 14:05 CET, 13:05 UTC, added up; full height is the limit
                           ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁
              14:05 CET, 13:05 UTC - now, 15:05 CET, 14:05 UTC
              steepest rise: 4 GiB until 14:55 CET, 13:55 UTC

            The numbers
              Used          12 GiB (12,884,901,888 bytes)
              Limit         700 GiB (751,619,276,800 bytes)
              The limit is  a quota of 636.4 GiB and a buffer of 10 %
              Window        calendar-day@Europe/Berlin, since 2026-03-01 00:00 CET (23:00 UTC)
              Warns at      80 %; critical at 95 %; resolves below 75 %

            Why now: the alert that opened 2026-03-01 14:25 CET (13:25 UTC) is over.

            --
            Athena Quota Watchdog (athena-quota-watchdog, eu-central-1), as of 2026-03-01 15:05 CET (14:05 UTC).
            You (ops@example.com) get this because you are one of the policy's admins.
            Nothing more comes of what is over."#]],
    );
}

#[test]
fn not_watched() {
    let gone = notice("limit/etl/1h", Reason::Resolved(Ending::NotWatched), Severity::Warn, Facts::Over);
    check(
        &mail(vec![gone]),
        expect![[r#"
            Subject: [resolved] etl: limit for 1h no longer watched

            [resolved] etl: limit for 1h no longer watched

            The limit of etl for 1h is no longer watched.
            The policy has changed, or there is no such workgroup any more.

            Why now: the alert that opened 2026-03-01 13:25 UTC is over.

            --
            Athena Quota Watchdog (athena-quota-watchdog, eu-central-1), as of 2026-03-01 14:05 UTC.
            You (ops@example.com) get this because you are one of the policy's admins.
            Nothing more comes of what is over."#]],
    );
    let gone = notice("sight/etl", Reason::Resolved(Ending::NotWatched), Severity::CannotSee, Facts::Over);
    check(
        &mail(vec![gone]),
        expect![[r#"
            Subject: [resolved] etl is no longer watched

            [resolved] etl is no longer watched

            The watchdog no longer watches etl.
            The policy has changed, or there is no such workgroup any more.

            Why now: the alert that opened 2026-03-01 13:25 UTC is over.

            --
            Athena Quota Watchdog (athena-quota-watchdog, eu-central-1), as of 2026-03-01 14:05 UTC.
            You (ops@example.com) get this because you are one of the policy's admins.
            Nothing more comes of what is over."#]],
    );
    let over = notice("limit/etl/1h", Reason::Resolved(Ending::Over), Severity::Warn, Facts::Over);
    check(
        &mail(vec![over]),
        expect![[r#"
            Subject: [resolved] etl: alert for 1h over

            [resolved] etl: alert for 1h over

            The alert about the limit of etl for 1h is over.

            Why now: the alert that opened 2026-03-01 13:25 UTC is over.

            --
            Athena Quota Watchdog (athena-quota-watchdog, eu-central-1), as of 2026-03-01 14:05 UTC.
            You (ops@example.com) get this because you are one of the policy's admins.
            Nothing more comes of what is over."#]],
    );
}

#[test]
fn cannot_see_one() {
    check(
        &mail(vec![unseen("etl", Reason::Opened, Unknown::MetricsOff)]),
        expect![[r#"
            Subject: [cannot see] etl cannot be seen: the workgroup publishes no metrics to CloudWatch

            [cannot see] etl cannot be seen: the workgroup publishes no metrics to CloudWatch

            The watchdog cannot see etl: the workgroup publishes no metrics to CloudWatch (as of 14:05 UTC).
            Its use is unknown, which is not the same as fine: a limit may be passed without a warning.

            What to do now
              Mend it:
                aws athena update-work-group --work-group etl --configuration-updates PublishCloudWatchMetricsEnabled=true --region eu-central-1
              See its queries (choose this workgroup at the top right):
                https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/query-editor/history
              Open the workgroup:
                https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/workgroups/details/etl

            The numbers
              Not judged    700 GiB for 1h

            Why now: the alert has just opened.

            --
            Athena Quota Watchdog (athena-quota-watchdog, eu-central-1), as of 2026-03-01 14:05 UTC.
            You (ops@example.com) get this because you are one of the policy's admins.
            Admins are always told of this; `repeat_cannot_see_every` in the policy says how often again."#]],
    );
    let denied = Unknown::Denied { operation: "cloudwatch:GetMetricData".to_owned() };
    check(
        &mail(vec![unseen("etl", Reason::Repeated { last_told: at("2026-02-28T14:05:00Z") }, denied)]),
        expect![[r#"
            Subject: [cannot see] etl cannot be seen: AWS denied `cloudwatch:GetMetricData`

            [cannot see] etl cannot be seen: AWS denied `cloudwatch:GetMetricData`

            The watchdog cannot see etl: AWS denied `cloudwatch:GetMetricData` (as of 14:05 UTC).
            A reminder: open since 13:25 UTC. Its use is unknown, which is not the same as fine: a limit may be passed without a warning.

            What to do now
              Mend it:
                Allow `cloudwatch:GetMetricData` in the role of the watchdog's function.
              See its queries (choose this workgroup at the top right):
                https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/query-editor/history
              Open the workgroup:
                https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/workgroups/details/etl

            The numbers
              Not judged    700 GiB for 1h

            Why now: a reminder: open since 2026-03-01 13:25 UTC, last told 2026-02-28 14:05 UTC.

            --
            Athena Quota Watchdog (athena-quota-watchdog, eu-central-1), as of 2026-03-01 14:05 UTC.
            You (ops@example.com) get this because you are one of the policy's admins.
            Admins are always told of this; `repeat_cannot_see_every` in the policy says how often again."#]],
    );
    check(
        &mail(vec![unseen("renamed", Reason::Opened, Unknown::NoSuchWorkgroup)]),
        expect![[r#"
            Subject: [cannot see] renamed cannot be seen: there is no workgroup of this name

            [cannot see] renamed cannot be seen: there is no workgroup of this name

            The watchdog cannot see renamed: there is no workgroup of this name (as of 14:05 UTC).
            Its use is unknown, which is not the same as fine: a limit may be passed without a warning.

            What to do now
              Mend it:
                Create `renamed`, or take it out of the policy.

            Why now: the alert has just opened.

            --
            Athena Quota Watchdog (athena-quota-watchdog, eu-central-1), as of 2026-03-01 14:05 UTC.
            You (ops@example.com) get this because you are one of the policy's admins.
            Admins are always told of this; `repeat_cannot_see_every` in the policy says how often again."#]],
    );
    let listing = notice(
        "listing",
        Reason::Opened,
        Severity::CannotSee,
        Facts::Unseen {
            workgroup: None,
            why: Unknown::Denied { operation: "athena:ListWorkGroups".to_owned() },
            limits: Vec::new(),
        },
    );
    check(
        &mail(vec![listing]),
        expect![[r#"
            Subject: [cannot see] the list of workgroups cannot be read

            [cannot see] the list of workgroups cannot be read

            The watchdog cannot list the account's workgroups: AWS denied `athena:ListWorkGroups` (as of 14:05 UTC).
            Workgroups that it already knew are still watched; new ones are not seen until this is mended.

            What to do now
              Mend it:
                Allow `athena:ListWorkGroups` in the role of the watchdog's function.

            Why now: the alert has just opened.

            --
            Athena Quota Watchdog (athena-quota-watchdog, eu-central-1), as of 2026-03-01 14:05 UTC.
            You (ops@example.com) get this because you are one of the policy's admins.
            Admins are always told of this; `repeat_cannot_see_every` in the policy says how often again."#]],
    );
}

#[test]
fn cannot_see_a_hundred() {
    let all = (0..100).map(|n| unseen(&format!("team-{n:02}"), Reason::Opened, Unknown::MetricsOff));
    check(
        &mail(all.collect()),
        expect![[r#"
            Subject: [cannot see] 100 workgroups cannot be seen: the workgroup publishes no metrics to CloudWatch

            [cannot see] 100 workgroups cannot be seen: the workgroup publishes no metrics to CloudWatch

            The watchdog cannot see team-00, team-01, team-02, team-03, team-04, team-05, team-06, team-07, team-08, team-09, team-10, team-11 and 88 more: the workgroup publishes no metrics to CloudWatch (as of 14:05 UTC).
            Their use is unknown, which is not the same as fine: a limit may be passed without a warning.

            What to do now
              Mend it, for each of them:
                aws athena update-work-group --work-group team-00 --configuration-updates PublishCloudWatchMetricsEnabled=true --region eu-central-1

            Why now: the alert has just opened.

            --
            Athena Quota Watchdog (athena-quota-watchdog, eu-central-1), as of 2026-03-01 14:05 UTC.
            You (ops@example.com) get this because you are one of the policy's admins.
            Admins are always told of this; `repeat_cannot_see_every` in the policy says how often again."#]],
    );
    let two = ["a", "b"].map(|name| unseen(name, Reason::Opened, Unknown::Partial));
    check(
        &mail(two.into()),
        expect![[r#"
            Subject: [cannot see] 2 workgroups cannot be seen: CloudWatch answered only a part

            [cannot see] 2 workgroups cannot be seen: CloudWatch answered only a part

            The watchdog cannot see a and b: CloudWatch answered only a part (as of 14:05 UTC).
            Their use is unknown, which is not the same as fine: a limit may be passed without a warning.

            Why now: the alert has just opened.

            --
            Athena Quota Watchdog (athena-quota-watchdog, eu-central-1), as of 2026-03-01 14:05 UTC.
            You (ops@example.com) get this because you are one of the policy's admins.
            Admins are always told of this; `repeat_cannot_see_every` in the policy says how often again."#]],
    );
    // Troubles that differ are told apart.
    let failed = |operation: &str| Unknown::Denied { operation: operation.to_owned() };
    let apart = mail(vec![unseen("a", Reason::Opened, failed("x:Y")), unseen("b", Reason::Opened, failed("x:Z"))]);
    assert!(apart.text.contains("`x:Y`") && apart.text.contains("`x:Z`"), "{}", apart.text);
}

#[test]
fn seen_again() {
    let over = |name: &str| notice(name, Reason::Resolved(Ending::Over), Severity::CannotSee, Facts::Over);
    check(
        &mail(vec![over("sight/etl"), over("sight/team-a"), over("listing"), over("policy")]),
        expect![[r#"
            Subject: [resolved] 2 workgroups can be seen again, and 2 more

            3 alerts, the worst first:
              [resolved] 2 workgroups can be seen again
              [resolved] the list of workgroups can be read again
              [resolved] the policy is valid again

            ----------------------------------------------------------------

            [resolved] 2 workgroups can be seen again

            The watchdog can see etl and team-a again (as of 14:05 UTC).
            Limits are judged again.

            Why now: the alert that opened 2026-03-01 13:25 UTC is over.

            ----------------------------------------------------------------

            [resolved] the list of workgroups can be read again

            The watchdog can list the account's workgroups again (as of 14:05 UTC).
            New workgroups are seen again, after 40 min in which they were not.

            Why now: the alert that opened 2026-03-01 13:25 UTC is over.

            ----------------------------------------------------------------

            [resolved] the policy is valid again

            The policy can be used again (as of 14:05 UTC).
            What it says holds from now on; for 40 min the last valid one did.

            Why now: the alert that opened 2026-03-01 13:25 UTC is over.

            --
            Athena Quota Watchdog (athena-quota-watchdog, eu-central-1), as of 2026-03-01 14:05 UTC.
            You (ops@example.com) get this because you are one of the policy's admins.
            Nothing more comes of what is over."#]],
    );
}

#[test]
fn policy_problems() {
    check(
        &mail(vec![broken_policy("[mail]\nsender = \"watchdog\"\n[mial]\n")]),
        expect![[r#"
            Subject: [policy] the policy has 5 problems

            [policy] the policy has 5 problems

            The policy has 5 problems and cannot be used as it is.
            The watchdog goes on with the last valid policy, in force since 2026-02-27 08:00 UTC. Nothing of the new one holds until it is mended.

              - `[mail]` has no `admins`: somebody must hear of it; write `admins = ["ops@example.com"]`
              - `[mail]` has no `allowed_domains`: write `allowed_domains = ["example.com"]`; mail goes nowhere else
              - the policy has no `[[workgroup]]`: nothing would be watched; add one, with `name = "*"` for all workgroups
              - 10-stack.toml:2:10: `sender`: `watchdog` is not a mail address: write it as `name@example.com`
              - 10-stack.toml:3:2: unknown key `mial`: a policy knows `mail`, `defaults`, `submitters`, `active_queries`, `economy`, `grants`, `silences`, `report`, `workgroup`

            What to do now
              Mend it in its file, and check that before you store it:
                watchdog check FILE

            Why now: the alert has just opened.

            --
            Athena Quota Watchdog (athena-quota-watchdog, eu-central-1), as of 2026-03-01 14:05 UTC.
            You (ops@example.com) get this because you are one of the policy's admins.
            Admins are always told of this; `repeat_cannot_see_every` in the policy says how often again."#]],
    );
    let many: String = (0..30).map(|n| format!("key{n} = 1\n")).collect();
    let mail = mail(vec![broken_policy(&many)]);
    assert!(mail.text.contains("34 problems") && mail.text.contains("- and 14 more"), "{}", mail.text);
}

#[test]
fn several() {
    let all = vec![
        notice("limit/etl/1h", Reason::Opened, Severity::Exhausted, Facts::Limit(limit("etl", "1 TB", "800 GB"))),
        of_limit(Reason::Escalated { from: Severity::Warn }, Severity::Critical, "690 GB"),
        unseen("fast-query", Reason::Opened, Unknown::MetricsOff),
        of_limit(Reason::Resolved(Ending::Over), Severity::Warn, "1 GB"),
    ];
    check(
        &mail(all),
        expect![[r#"
            Subject: [exhausted] etl: 125 % of 800 GB used in the last hour, and 3 more

            4 alerts, the worst first:
              [exhausted] etl: 125 % of 800 GB used in the last hour
              [critical] exploratory: 98 % of 700 GB used in the last hour
              [cannot see] fast-query cannot be seen: the workgroup publishes no metrics to CloudWatch
              [resolved] exploratory: 0 % of 700 GB used in the last hour

            ----------------------------------------------------------------

            [exhausted] etl: 125 % of 800 GB used in the last hour

            etl has used 125 % of its 800 GB in the last hour (as of 14:05 UTC).
            The limit is passed by 200 GB. Athena stops nothing at this limit by itself: queries go on.

            [####################] 125 %   1 TB used, 200 GB over

            Scanned since 13:05 UTC, added up; full height is the limit
                           ▃▃▃▃▃▃▃▃▃▃▆▆▆▆▆▆▆▆▆▆███████
              13:05 UTC - now, 14:05 UTC
              steepest rise: 333.3 GB until 13:55 UTC

            What to do now
              See its queries (choose this workgroup at the top right):
                https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/query-editor/history
              Open the workgroup:
                https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/workgroups/details/etl
              List its newest queries:
                aws athena list-query-executions --region eu-central-1 --work-group etl --max-items 20
              Stop one of them, by its id:
                aws athena stop-query-execution --region eu-central-1 --query-execution-id ID
              Raise the limit for an hour:
                watchdog grant etl --limit 1.5TB --window 1h --for 1h --reason "WHY" --region eu-central-1 --write
              Silence this alert for an hour:
                watchdog silence etl/1h --for 1h --reason "WHY" --region eu-central-1 --write

            The numbers
              Used          1 TB (1,000,000,000,000 bytes)
              Limit         800 GB (800,000,000,000 bytes)
              The limit is  70 % of a quota of 1 TB
              Window        1h, since 2026-03-01 13:05 UTC
              Warns at      80 %; critical at 95 %; resolves below 75 %

            Why now: the alert has just opened.

            ----------------------------------------------------------------

            [critical] exploratory: 98 % of 700 GB used in the last hour

            exploratory has used 98 % of its 700 GB in the last hour (as of 14:05 UTC).
            Worse than when you were last told (warn). 10 GB are left.

            [###################.] 98 %   690 GB used, 10 GB left

            Scanned since 13:05 UTC, added up; full height is the limit
                           ▂▂▂▂▂▂▂▂▂▂▅▅▅▅▅▅▅▅▅▅▇▇▇▇▇▇▇
              13:05 UTC - now, 14:05 UTC
              steepest rise: 230 GB until 13:55 UTC

            What to do now
              See its queries (choose this workgroup at the top right):
                https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/query-editor/history
              Open the workgroup:
                https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/workgroups/details/exploratory
              List its newest queries:
                aws athena list-query-executions --region eu-central-1 --work-group exploratory --max-items 20
              Stop one of them, by its id:
                aws athena stop-query-execution --region eu-central-1 --query-execution-id ID
              Raise the limit for an hour:
                watchdog grant exploratory --limit 1.1TB --window 1h --for 1h --reason "WHY" --region eu-central-1 --write
              Silence this alert for an hour:
                watchdog silence exploratory/1h --for 1h --reason "WHY" --region eu-central-1 --write

            The numbers
              Used          690 GB (690,000,000,000 bytes)
              Limit         700 GB (700,000,000,000 bytes)
              The limit is  70 % of a quota of 1 TB
              Window        1h, since 2026-03-01 13:05 UTC
              Warns at      80 %; critical at 95 %; resolves below 75 %

            Why now: it is worse than what you were last told (warn); open since 2026-03-01 13:25 UTC.

            ----------------------------------------------------------------

            [cannot see] fast-query cannot be seen: the workgroup publishes no metrics to CloudWatch

            The watchdog cannot see fast-query: the workgroup publishes no metrics to CloudWatch (as of 14:05 UTC).
            Its use is unknown, which is not the same as fine: a limit may be passed without a warning.

            What to do now
              Mend it:
                aws athena update-work-group --work-group fast-query --configuration-updates PublishCloudWatchMetricsEnabled=true --region eu-central-1
              See its queries (choose this workgroup at the top right):
                https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/query-editor/history
              Open the workgroup:
                https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/workgroups/details/fast-query

            The numbers
              Not judged    700 GiB for 1h

            Why now: the alert has just opened.

            ----------------------------------------------------------------

            [resolved] exploratory: 0 % of 700 GB used in the last hour

            exploratory has used 0 % of its 700 GB in the last hour (as of 14:05 UTC).
            That is below 75 %: the alert is over.

            [....................] 0 %   1 GB used, 699 GB left

            Scanned since 13:05 UTC, added up; full height is the limit
                           ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁
              13:05 UTC - now, 14:05 UTC
              steepest rise: 333.3 MB until 13:55 UTC

            The numbers
              Used          1 GB (1,000,000,000 bytes)
              Limit         700 GB (700,000,000,000 bytes)
              The limit is  70 % of a quota of 1 TB
              Window        1h, since 2026-03-01 13:05 UTC
              Warns at      80 %; critical at 95 %; resolves below 75 %

            Why now: the alert that opened 2026-03-01 13:25 UTC is over.

            --
            Athena Quota Watchdog (athena-quota-watchdog, eu-central-1), as of 2026-03-01 14:05 UTC.
            You (ops@example.com) get this because you are one of the policy's admins.
            To hear less: `audience`, `warn` and `repeat_every` in the policy say who is told, from when on, and how often again."#]],
    );
}

/// Everything that a mail can be about, for looking at and for going over the wire.
fn samples() -> Vec<(&'static str, Vec<Notice>)> {
    let hostile = "<script>alert(1)</script>\r\nBcc: evil@example.com\0\u{202e}\"'&";
    vec![
        ("warn", vec![of_limit(Reason::Opened, Severity::Warn, "574.5 GB")]),
        ("critical", vec![of_limit(Reason::Escalated { from: Severity::Warn }, Severity::Critical, "690 GB")]),
        ("exhausted", vec![of_limit(Reason::Opened, Severity::Exhausted, "1.4 TB")]),
        ("resolved", vec![of_limit(Reason::Resolved(Ending::Over), Severity::Critical, "500 GB")]),
        ("unseen", (0..100).map(|n| unseen(&format!("team-{n:02}"), Reason::Opened, Unknown::MetricsOff)).collect()),
        ("policy", vec![broken_policy("[mail]\nsender = \"watchdog\"\n[mial]\n")]),
        (
            "several",
            vec![
                notice(
                    "limit/etl/1h",
                    Reason::Opened,
                    Severity::Exhausted,
                    Facts::Limit(limit("etl", "1 TB", "800 GB")),
                ),
                unseen("renamed", Reason::Opened, Unknown::NoSuchWorkgroup),
                of_limit(Reason::Repeated { last_told: at("2026-03-01T10:05:00Z") }, Severity::Warn, "600 GB"),
                notice("sight/long-query", Reason::Resolved(Ending::Over), Severity::CannotSee, Facts::Over),
            ],
        ),
        (
            "hostile",
            vec![
                Notice {
                    subject: Subject::Limit { workgroup: hostile.to_owned(), window: "1h".to_owned() },
                    ..notice(
                        "listing",
                        Reason::Opened,
                        Severity::Warn,
                        Facts::Limit(limit(hostile, "600 GB", "700 GB")),
                    )
                },
                unseen(&"<b>x</b>".repeat(1300), Reason::Opened, Unknown::MetricsOff),
                unseen(
                    "a",
                    Reason::Opened,
                    Unknown::Failed { operation: hostile.to_owned(), code: hostile.to_owned() },
                ),
                broken_policy("\"<script>\\r\\n\\u0000\" = 1\n[mail]\nsender = \"<img src=x>\\n\\u202e\"\n"),
            ],
        ),
    ]
}

/// `WATCHDOG_MAILS=/some/folder cargo test -p watchdog-core mails_to_look_at` writes them there.
#[test]
fn mails_to_look_at() {
    let Some(folder) = env::var_os("WATCHDOG_MAILS").map(PathBuf::from) else {
        println!("SKIPPED: WATCHDOG_MAILS names no folder");
        return;
    };
    fs::create_dir_all(&folder).unwrap();
    for (name, notices) in samples() {
        let mail = mail_in("Europe/Berlin", notices);
        fs::write(folder.join(format!("{name}.html")), mail.page()).unwrap();
        fs::write(folder.join(format!("{name}.eml")), mail.mime(at(NOW)).unwrap()).unwrap();
    }
}

/// The mail as an independent parser reads it.
struct Wire {
    headers: Vec<(String, String)>,
    text: String,
    html: String,
}

#[track_caller]
fn wire(mail: &Mail) -> Wire {
    let raw = mail.mime(at(NOW)).unwrap();
    assert!(raw.is_ascii(), "not 7-bit");
    for line in raw.split(|b| *b == b'\n') {
        assert!(line.len() <= 998, "a line of {} bytes", line.len());
        assert!(line.is_empty() || line.ends_with(b"\r"), "a bare line feed");
    }
    let parsed = MessageParser::default().parse(&raw).unwrap();
    let pictures = mail.pictures.len();
    let parts = if pictures > 0 { 4 + pictures } else { 3 };
    assert_eq!(parsed.parts.len(), parts, "the alternatives, what belongs to them, and what holds them");
    for picture in &mail.pictures {
        let part = parsed.parts.iter().find(|part| part.content_id() == Some(&picture.cid)).unwrap();
        assert_eq!(part.contents(), picture.png, "{}", picture.cid);
        assert!(mail.html.contains(&format!("src=\"cid:{}\"", picture.cid)), "{} is not shown", picture.cid);
    }
    assert!(parsed.content_type().is_some_and(|t| t.subtype() == Some("alternative")));
    let headers = parsed.headers().iter().map(|header| {
        let value = match &header.value {
            HeaderValue::Text(text) => text.to_string(),
            HeaderValue::TextList(list) => list.join(" "),
            HeaderValue::Address(address) => {
                let one = |a: &mail_parser::Addr<'_>| {
                    format!("{}<{}>", a.name().map(|n| format!("{n} ")).unwrap_or_default(), a.address().unwrap())
                };
                address.iter().map(one).collect::<Vec<_>>().join(", ")
            }
            HeaderValue::DateTime(date) => date.to_rfc3339(),
            other => format!("{other:?}").chars().take(20).collect(),
        };
        (header.name().to_owned(), value)
    });
    Wire {
        headers: headers.collect(),
        text: parsed.body_text(0).unwrap().into_owned(),
        html: parsed.body_html(0).unwrap().into_owned(),
    }
}

#[test]
fn headers_are_exactly_these() {
    let wire = wire(&mail(vec![of_limit(Reason::Opened, Severity::Warn, "574.5 GB")]));
    let lines: Vec<String> = wire.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    expect![[r#"
        From: Athena Quota Watchdog <watchdog@example.com>
        To: <ops@example.com>
        Subject: [warn] exploratory: 82 % of 700 GB used in the last hour
        Date: 2026-03-01T14:05:00Z
        Auto-Submitted: auto-generated
        Reply-To: <platform@example.com>
        In-Reply-To: limit-exploratory-1h.1772373900@example.com
        References: limit-exploratory-1h.1772373900@example.com
        MIME-Version: 1.0
        Content-Type: ContentType(ContentT"#]]
    .assert_eq(&lines.join("\n"));
}

#[test]
fn whatever_is_in_a_mail_its_headers_are_ours_and_its_text_is_text() {
    let wanted: BTreeSet<&str> = [
        "From",
        "To",
        "Subject",
        "Date",
        "Auto-Submitted",
        "Reply-To",
        "In-Reply-To",
        "References",
        "MIME-Version",
        "Content-Type",
    ]
    .into();
    for (name, notices) in samples() {
        let mail = mail(notices);
        let wire = wire(&mail);
        let names: Vec<&str> = wire.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names.iter().copied().collect::<BTreeSet<_>>(), wanted, "{name}");
        assert_eq!(names.len(), wanted.len(), "{name}: a header twice");
        let header = |name: &str| wire.headers.iter().find(|(n, _)| n == name).unwrap().1.clone();
        assert_eq!(header("To"), "<ops@example.com>", "{name}");
        assert_eq!(header("Subject"), mail.subject, "{name}");
        assert_eq!(wire.text.replace("\r\n", "\n").trim_end(), mail.text.trim_end(), "{name}");
        assert_eq!(wire.html.replace("\r\n", "\n").trim_end(), mail.html.trim_end(), "{name}");
        for text in [&mail.subject, &mail.text] {
            let odd = text.chars().find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
            assert_eq!(odd, None, "{name}");
        }
        assert!(!mail.subject.contains('\n'), "{name}");
        let html = mail.html.to_lowercase();
        for tag in ["<script", "<img src=x", "<b>x", "javascript:", "onerror"] {
            assert!(!html.contains(tag), "{name}: {tag} in the HTML");
        }
        // Nothing is loaded from anywhere: no tracking, and nothing that a mail program blocks.
        let html = html.replace(" src=\"cid:picture-", "");
        for outside in [" src=", "url(", "@import", "<link"].into_iter().filter(|_| name != "hostile") {
            assert!(!html.contains(outside), "{name}: {outside} in the HTML");
        }
    }
}

/// The numbers and names of the text form stand in the HTML form too.
#[test]
fn both_forms_say_the_same() {
    for (name, notices) in samples().into_iter().filter(|(name, _)| *name != "hostile") {
        let mail = mail(notices);
        let unescaped = mail
            .html
            .replace("&#34;", "\"")
            .replace("&#39;", "'")
            .replace("&#60;", "<")
            .replace("&#62;", ">")
            .replace("&#38;", "&");
        let flat = unescaped.split_whitespace().collect::<Vec<_>>().join(" ");
        for line in mail.text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let numbers = line.split([' ', ',', ';']).filter(|word| word.starts_with(|c: char| c.is_ascii_digit()));
            for number in numbers {
                assert!(
                    flat.contains(number.trim_end_matches('.')),
                    "{name}: `{number}` of `{line}` is not in the HTML"
                );
            }
        }
    }
}

#[test]
fn ten_thousand_notices_are_a_mail_of_less_than_100_kb() {
    let limits = |name: &str| {
        let one = |n: usize| {
            let workgroup = format!("{name}{n:05}");
            Notice {
                subject: Subject::Limit { workgroup: workgroup.clone(), window: "1h".to_owned() },
                ..notice(
                    "listing",
                    Reason::Opened,
                    Severity::Exhausted,
                    Facts::Limit(limit(&workgroup, "800 GB", "700 GB")),
                )
            }
        };
        mail((0..10_000).map(one).collect())
    };
    // Athena's longest name, and worse than that.
    for name in ["team-".to_owned(), "x".repeat(123), "<&\"".repeat(5000)] {
        let mail = limits(&name);
        let raw = mail.mime(at(NOW)).unwrap();
        assert!(mail.html.len() < 100_000, "{} bytes of HTML", mail.html.len());
        assert!(raw.len() < 100_000, "{} bytes in all", raw.len());
        // Of names as long as they can be, and of markup, which is longer where it is escaped, fewer alerts are spelled out.
        let more = if name == "team-" { "- 9956 more" } else { "more; `watchdog status`" };
        assert!(
            mail.text.contains(more) && mail.text.contains("team-00043") == name.starts_with("team"),
            "{}",
            mail.text
        );
        assert!(mail.subject.ends_with(", and 9999 more"), "{}", mail.subject);
        wire(&mail);
    }
    let unseen_all =
        (0..10_000).map(|n| unseen(&format!("{}{n}", "<>".repeat(300)), Reason::Opened, Unknown::MetricsOff));
    let mail = mail(unseen_all.collect());
    assert!(mail.html.len() < 100_000 && mail.text.contains("and 9988 more"), "{}", mail.html.len());
    wire(&mail);
    let many: String = (0..10_000).map(|n| format!("\"{}{n}\" = 1\n", "<".repeat(20))).collect();
    let facts = Facts::Policy { problems: problems(&many), in_force_since: at(OPENED) };
    let mail = self::mail(vec![notice("policy", Reason::Opened, Severity::CannotSee, facts)]);
    assert!(mail.html.len() < 100_000, "{}", mail.html.len());
}

#[test]
fn all_mails_of_a_story_refer_to_the_same_thread_and_those_of_another_do_not() {
    let first = of_limit(Reason::Opened, Severity::Warn, "600 GB");
    let later = Notice { opened: first.opened, ..of_limit(Reason::Resolved(Ending::Over), Severity::Warn, "1 GB") };
    let other = Notice { opened: first.opened + SignedDuration::from_hours(1), ..first.clone() };
    let thread = |notice: Notice| mail(vec![notice]).threads;
    assert_eq!(thread(first.clone()), ["<limit-exploratory-1h.1772373900@example.com>"]);
    assert_eq!(thread(first.clone()), thread(later));
    assert_ne!(thread(first), thread(other));
    let many = (0..20).map(|n| unseen(&format!("w{n}"), Reason::Opened, Unknown::MetricsOff)).collect();
    assert_eq!(mail(many).threads.len(), 8);
}

#[test]
fn the_same_message_is_the_same_mail() {
    for (_, notices) in samples() {
        let (a, b) = (mail(notices.clone()), mail(notices));
        assert_eq!(a, b);
        assert_eq!(a.mime(at(NOW)).unwrap(), b.mime(at(NOW)).unwrap());
    }
}

#[test]
fn a_command_never_holds_a_name_that_athena_would_not_have() {
    let hostile = "x; rm -rf ~";
    for notice in [
        Notice {
            subject: Subject::Limit { workgroup: hostile.to_owned(), window: "1h".to_owned() },
            ..notice("listing", Reason::Opened, Severity::Warn, Facts::Limit(limit(hostile, "600 GB", "700 GB")))
        },
        unseen(hostile, Reason::Opened, Unknown::MetricsOff),
    ] {
        let mail = mail(vec![notice]);
        assert!(!mail.text.contains("--work-group") && !mail.html.contains("href"), "{}", mail.text);
    }
}

#[test]
fn the_console_links_follow_the_partition() {
    let links = |region: &str| -> Vec<String> {
        let message = Message {
            to: Address::parse("ops@example.com").unwrap(),
            notices: vec![of_limit(Reason::Opened, Severity::Warn, "600 GB")],
        };
        let origins = Origins { region: region.to_owned(), name: "w".to_owned() };
        let text = compose(&message, &rules("UTC"), &origins, at(NOW)).text;
        text.lines().filter(|line| line.contains("https://")).map(|line| line.trim().to_owned()).collect()
    };
    for (region, host) in [
        ("us-east-1", "console.aws.amazon.com"),
        ("cn-north-1", "console.amazonaws.cn"),
        ("us-gov-west-1", "console.amazonaws-us-gov.com"),
    ] {
        let page = |page| format!("https://{region}.{host}/athena/home?region={region}#/{page}");
        assert_eq!(links(region), [page("query-editor/history"), page("workgroups/details/exploratory")]);
    }
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn no_name_breaks_a_mail(name in any::<String>(), code in any::<String>(), region in "[a-z0-9-]{1,20}") {
        let notices = vec![
            Notice {
                subject: Subject::Limit { workgroup: name.clone(), window: "1h".to_owned() },
                ..notice("listing", Reason::Opened, Severity::Warn, Facts::Limit(limit(&name, "600 GB", "700 GB")))
            },
            unseen(&name, Reason::Opened, Unknown::Failed { operation: code.clone(), code }),
        ];
        let message = Message { to: Address::parse("ops@example.com").unwrap(), notices };
        let mail = compose(&message, &rules("UTC"), &Origins { region, name }, at(NOW));
        let wire = wire(&mail);
        prop_assert_eq!(wire.headers.len(), 10);
    }
}

/// What is used and what is left are told in the units that the limit was written in.
#[test]
fn units_follow_the_limit() {
    let binary = LimitFacts { used: Bytes::new(1 << 39), ..limit("w", "1 B", "1 TiB") };
    let mail = mail(vec![notice("limit/w/1h", Reason::Opened, Severity::Warn, Facts::Limit(binary))]);
    assert!(mail.text.contains("50 % of its 1 TiB") && mail.text.contains("512 GiB left"), "{}", mail.text);
}

/// Whoever put a mail together: its subject stays one header.
#[test]
fn a_subject_never_becomes_a_second_header() {
    let mut mail = mail(vec![of_limit(Reason::Opened, Severity::Warn, "600 GB")]);
    mail.subject = "a\r\nBcc: evil@example.com\r\n\r\nbody".to_owned();
    let wire = wire(&mail);
    let subject = wire.headers.iter().find(|(name, _)| name == "Subject").unwrap();
    assert_eq!((subject.1.as_str(), wire.headers.len()), ("a Bcc: evil@example.com body", 10));
}

/// What a mail says of the time to come, given when it runs out at the earliest, about, and at the latest.
#[track_caller]
fn check_coming(zone: &str, earliest: Option<&str>, about: Option<&str>, latest: Option<&str>, expected: Expect) {
    let time = |text: Option<&str>| text.map(|text| at(&format!("2026-03-01T{text}:00Z")));
    let mut facts = limit("exploratory", "574 GB", "700 GB");
    facts.foresight = Foresight::RunsOut;
    facts.warn = Percent::whole(90);
    facts.outlook =
        Some(Outlook { will_exhaust: true, about: time(about), earliest: time(earliest), latest: time(latest) });
    let notice = notice("limit/exploratory/1h", Reason::Opened, Severity::Warn, Facts::Limit(facts));
    let mail = mail_in(zone, vec![notice]);
    let coming: Vec<&str> =
        mail.text.lines().filter(|line| line.contains("are left") || line.contains("Why now")).collect();
    expected.assert_eq(&format!("{}\n{}", mail.subject, coming.join("\n")));
}

#[test]
fn a_mail_says_when_it_runs_out_and_how_sure_that_is() {
    check_coming(
        "UTC",
        Some("14:10"),
        Some("14:20"),
        Some("14:50"),
        expect![[r#"
            [warn] exploratory: 82 % of 700 GB used, out at about 14:20 UTC
            126 GB are left. At this pace it runs out at about 14:20 UTC, between 14:10 and 14:50.
            Why now: the alert has just opened, because the forecast says that the limit will run out."#]],
    );
    check_coming(
        "Europe/Berlin",
        Some("14:10"),
        Some("14:20"),
        Some("14:50"),
        expect![[r#"
            [warn] exploratory: 82 % of 700 GB used, out at about 15:20 CET
            126 GB are left. At this pace it runs out at about 15:20 CET, 14:20 UTC, between 15:10 and 15:50.
            Why now: the alert has just opened, because the forecast says that the limit will run out."#]],
    );
    check_coming(
        "UTC",
        Some("14:10"),
        Some("14:20"),
        None,
        expect![[r#"
            [warn] exploratory: 82 % of 700 GB used, out at about 14:20 UTC
            126 GB are left. At this pace it runs out at about 14:20 UTC, at 14:10 at the earliest.
            Why now: the alert has just opened, because the forecast says that the limit will run out."#]],
    );
    check_coming(
        "UTC",
        Some("14:20"),
        Some("14:20"),
        None,
        expect![[r#"
            [warn] exploratory: 82 % of 700 GB used, out at about 14:20 UTC
            126 GB are left. At this pace it runs out at about 14:20 UTC.
            Why now: the alert has just opened, because the forecast says that the limit will run out."#]],
    );
    check_coming(
        "UTC",
        None,
        Some("14:20"),
        None,
        expect![[r#"
            [warn] exploratory: 82 % of 700 GB used, out at about 14:20 UTC
            126 GB are left. At this pace it runs out at about 14:20 UTC.
            Why now: the alert has just opened, because the forecast says that the limit will run out."#]],
    );
    check_coming(
        "UTC",
        Some("14:40"),
        None,
        None,
        expect![[r#"
        [warn] exploratory: 82 % of 700 GB used in the last hour
        126 GB are left. At this pace it lasts for the next hour; one time in ten it would run out by 14:40 UTC.
        Why now: the alert has just opened, because the forecast says that the limit will run out."#]],
    );
    check_coming(
        "UTC",
        None,
        None,
        None,
        expect![[r#"
        [warn] exploratory: 82 % of 700 GB used in the last hour
        126 GB are left.
        Why now: the alert has just opened, because the forecast says that the limit will run out."#]],
    );
}

#[test]
fn a_running_query_is_named_with_the_command_that_stops_it() {
    let query = |id: &str, scanned| InFlight {
        id: id.to_owned(),
        started: at("2026-03-01T13:35:00Z"),
        scanned: Some(size(scanned).bytes),
    };
    let lines = |queries: Vec<InFlight>| {
        let mut facts = limit("exploratory", "300 GB", "700 GB");
        facts.in_flight = queries;
        let notice = notice("limit/exploratory/1h", Reason::Opened, Severity::Warn, Facts::Limit(facts));
        let mail = mail(vec![notice]);
        let lines = mail.text.lines().filter(|line| line.contains("Running") || line.contains("stop-query"));
        // An expected text is moved to the margin, and so is this.
        lines.map(str::trim_start).collect::<Vec<_>>().join("\n")
    };
    expect![[r#"
        aws athena stop-query-execution --region eu-central-1 --query-execution-id 11111111-2222-3333-4444-555555555555
        Running       11111111-2222-3333-4444-555555555555 for 30 min: 360 GB so far, 200 MB a second, not counted above"#]].assert_eq(&lines(vec![query("11111111-2222-3333-4444-555555555555", "360 GB")]));
    // An id that is none is never put into a command.
    expect![[r#"
        aws athena stop-query-execution --region eu-central-1 --query-execution-id ID
        Running       $(reboot) for 30 min: 360 GB so far, 200 MB a second, not counted above"#]]
    .assert_eq(&lines(vec![query("$(reboot)\n", "360 GB")]));
}

/// A history with an episode of each: how many hours ago it opened, for how long, how bad, and at most how many percent.
fn history(episodes: &[(i64, i64, Level, u64)]) -> History {
    let mut history = History::default();
    for (ago, minutes, level, percent) in episodes {
        let opened = at(NOW) - SignedDuration::from_hours(*ago);
        history.see(opened, *level, Share { used: *percent, limit: 100 }, opened);
        history.tell(opened, opened);
        history.end(opened + SignedDuration::from_mins(*minutes));
    }
    history
}

#[track_caller]
fn check_history(reason: Reason, history: History, expected: Expect) {
    let notice = Notice { history, ..of_limit(reason, Severity::Exhausted, "710 GB") };
    let mail = mail(vec![notice]);
    let rows = |text: &str| {
        let lines =
            text.lines().map(str::trim).filter(|line| line.starts_with("This time") || line.starts_with("Before"));
        lines.map(str::to_owned).collect::<Vec<_>>().join("\n")
    };
    expected.assert_eq(&rows(&mail.text));
}

#[test]
fn a_mail_says_how_often_it_was_so_before() {
    let day = |days: i64| days * 24;
    check_history(Reason::Opened, history(&[]), expect![[""]]);
    check_history(
        Reason::Opened,
        history(&[(day(20), 60, Level::Warn, 91)]),
        expect!["Before        last on 2026-02-09 14:05 UTC: warn, at most 91 %, open for 1 h"],
    );
    check_history(
        Reason::Opened,
        history(&[(day(20), 60, Level::Warn, 91), (day(6), 60, Level::Warn, 91), (day(2), 125, Level::Exhausted, 112)]),
        expect![
            "Before        the third time in 7 days; last on 2026-02-27 14:05 UTC: exhausted, at most 112 %, open for 2 h 5 min"
        ],
    );
    let often: Vec<_> = (0..30).rev().map(|n| (3 + 4 * n, 30, Level::Critical, 96)).collect();
    check_history(
        Reason::Opened,
        history(&often),
        expect![
            "Before        at least the 13th time in 7 days; last on 2026-03-01 11:05 UTC: critical, at most 96 %, open for 30 min"
        ],
    );
}

#[test]
fn a_mail_says_how_it_went_this_time() {
    let mut open = history(&[(30, 30, Level::Warn, 88)]);
    let opened = at(OPENED);
    let minutes = SignedDuration::from_mins;
    open.see(opened, Level::Warn, Share { used: 85, limit: 100 }, opened);
    open.tell(opened, opened);
    open.see(opened, Level::Critical, Share { used: 96, limit: 100 }, opened + minutes(10));
    open.see(opened, Level::Exhausted, Share { used: 112, limit: 100 }, opened + minutes(20));
    open.tell(opened, opened + minutes(20));
    open.see(opened, Level::Critical, Share { used: 99, limit: 100 }, opened + minutes(30));
    let reason = Reason::Repeated { last_told: opened };
    check_history(
        reason,
        open.clone(),
        expect![[r#"
            This time     critical since 13:35 UTC, limit reached at 13:45 UTC, at most 112 %, 2 mails so far
            Before        the second time in 7 days; last on 2026-02-28 08:05 UTC: warn, at most 88 %, open for 30 min"#]],
    );
    open.end(at(NOW));
    check_history(
        Reason::Resolved(Ending::Over),
        open,
        expect![[r#"
            This time     critical since 13:35 UTC, limit reached at 13:45 UTC, at most 112 %, open for 40 min, 2 mails so far
            Before        the second time in 7 days; last on 2026-02-28 08:05 UTC: warn, at most 88 %, open for 30 min"#]],
    );
}
