//! Previews: every mail that a policy can send, and a word where it sends none.

use expect_test::{Expect, expect};
use watchdog_core::alert::Severity;
use watchdog_core::mail::{Origins, compose};
use watchdog_core::policy::Policy;
use watchdog_core::preview::{About, Asked, NoMessage, Reader, preview};

use crate::support::{at, policy};

const NOW: &str = "2026-03-01T14:05:00Z";

fn rules() -> Policy {
    policy(
        "[[workgroup]]\nname = \"etl\"\n[[workgroup.limit]]\nwindow = \"calendar day\"\nlimit = \"5 TB\"\n\
         [[workgroup]]\nname = \"exploratory\"\naudience = [\"submitters\", \"admins\"]\n[[workgroup.limit]]\nwindow = \"1h\"\nlimit = \"700 GB\"\n\
         [[workgroup]]\nname = \"quiet\"\naudience = { warn = [] }\n[[workgroup.limit]]\nwindow = \"7d\"\nlimit = \"9 TB\"\nhold = \"10 min\"\n\
         [[workgroup]]\nname = \"team-*\"\nper_query_cutoff = \"1 GB\"\n",
    )
}

fn asked(about: About, level: Severity, reader: Reader, workgroup: &str) -> Asked {
    Asked { about, level, reader, workgroup: Some(workgroup.to_owned()), window: None }
}

/// The subjects of the mails, or why there is none.
#[track_caller]
fn check(mails: &[(About, Severity, Reader, &str)], expected: Expect) {
    let policy = rules();
    let line = |(about, level, reader, workgroup): &(About, Severity, Reader, &str)| {
        let found = match preview(&policy, &asked(*about, *level, *reader, workgroup), at(NOW)) {
            Ok(message) => {
                let origins = Origins { region: "eu-central-1".to_owned(), name: "athena-quota-watchdog".to_owned() };
                let mail = compose(&message, &policy.mail, &origins, at(NOW));
                assert!(mail.mime(at(NOW)).unwrap().len() < 100_000);
                format!("{}: {}", mail.to, mail.subject)
            }
            Err(why) => why.to_string(),
        };
        format!("{about:?} {level:?}: {found}")
    };
    expected.assert_eq(&mails.iter().map(line).collect::<Vec<_>>().join("\n"));
}

#[test]
fn every_mail_of_a_limit_is_what_is_asked_for() {
    let mut mails = Vec::new();
    for reader in [Reader::Admin, Reader::Submitter] {
        for about in [About::Opened, About::Escalated, About::Repeated, About::Resolved] {
            mails.extend(
                [Severity::Warn, Severity::Critical, Severity::Exhausted].map(|l| (about, l, reader, "exploratory")),
            );
        }
    }
    check(
        &mails,
        expect![[r#"
        Opened Warn: ops@example.com: [warn] exploratory: 91 % of 700 GB used, out at about 14:25 UTC
        Opened Critical: ops@example.com: [critical] exploratory: 96 % of 700 GB used, out at about 14:10 UTC
        Opened Exhausted: ops@example.com: [exhausted] exploratory: 112 % of 700 GB used in the last hour
        Escalated Warn: nothing gets worse to `warn`, the lowest level: ask for `critical` or `exhausted`
        Escalated Critical: ops@example.com: [critical] exploratory: 96 % of 700 GB used, out at about 14:10 UTC
        Escalated Exhausted: ops@example.com: [exhausted] exploratory: 112 % of 700 GB used in the last hour
        Repeated Warn: ops@example.com: [warn] exploratory: 91 % of 700 GB used, out at about 14:25 UTC
        Repeated Critical: ops@example.com: [critical] exploratory: 96 % of 700 GB used, out at about 14:10 UTC
        Repeated Exhausted: ops@example.com: [exhausted] exploratory: 112 % of 700 GB used in the last hour
        Resolved Warn: ops@example.com: [resolved] exploratory: 60 % of 700 GB used in the last hour
        Resolved Critical: ops@example.com: [resolved] exploratory: 60 % of 700 GB used in the last hour
        Resolved Exhausted: ops@example.com: [resolved] exploratory: 60 % of 700 GB used in the last hour
        Opened Warn: alex@example.com: [warn] exploratory: 91 % of 700 GB used, out at about 14:25 UTC, 385 GB by your queries
        Opened Critical: alex@example.com: [critical] exploratory: 96 % of 700 GB used, out at about 14:10 UTC, 404.2 GB by your queries
        Opened Exhausted: alex@example.com: [exhausted] exploratory: 112 % of 700 GB used in the last hour, 470.4 GB by your queries
        Escalated Warn: nothing gets worse to `warn`, the lowest level: ask for `critical` or `exhausted`
        Escalated Critical: the policy tells no submitters of `critical` of exploratory for 1h: see its `audience`
        Escalated Exhausted: the policy tells no submitters of `exhausted` of exploratory for 1h: see its `audience`
        Repeated Warn: alex@example.com: [warn] exploratory: 91 % of 700 GB used, out at about 14:25 UTC, 385 GB by your queries
        Repeated Critical: alex@example.com: [critical] exploratory: 96 % of 700 GB used, out at about 14:10 UTC, 404.2 GB by your queries
        Repeated Exhausted: alex@example.com: [exhausted] exploratory: 112 % of 700 GB used in the last hour, 470.4 GB by your queries
        Resolved Warn: alex@example.com: [resolved] exploratory: 60 % of 700 GB used in the last hour
        Resolved Critical: alex@example.com: [resolved] exploratory: 60 % of 700 GB used in the last hour
        Resolved Exhausted: alex@example.com: [resolved] exploratory: 60 % of 700 GB used in the last hour"#]],
    );
}

#[test]
fn what_is_no_limit_is_for_the_admins() {
    let mails = [About::CannotSee, About::Policy, About::Several];
    check(
        &mails.map(|about| (about, Severity::Critical, Reader::Admin, "exploratory")),
        expect![[r#"
        CannotSee Critical: ops@example.com: [cannot see] exploratory cannot be seen: the workgroup publishes no metrics to CloudWatch
        Policy Critical: ops@example.com: [policy] the policy has 5 problems
        Several Critical: ops@example.com: [critical] exploratory: 96 % of 700 GB used, out at about 14:10 UTC, and 2 more"#]],
    );
    check(
        &mails.map(|about| (about, Severity::Critical, Reader::Submitter, "exploratory")),
        expect![[r#"
        CannotSee Critical: only admins are told what cannot be seen, and of the policy
        Policy Critical: only admins are told what cannot be seen, and of the policy
        Several Critical: alex@example.com: [critical] exploratory: 96 % of 700 GB used, out at about 14:10 UTC, 404.2 GB by your queries"#]],
    );
}

#[test]
fn where_a_policy_tells_nobody_the_preview_says_so() {
    let mails = [
        (Reader::Admin, "etl"),
        (Reader::Admin, "quiet"),
        (Reader::Submitter, "etl"),
        (Reader::Admin, "team-a"),
        (Reader::Admin, "nobody"),
    ];
    check(
        &mails.map(|(reader, name)| (About::Opened, Severity::Warn, reader, name)),
        expect![[r#"
        Opened Warn: ops@example.com: [warn] etl: 91 % of 5 TB used today, UTC time
        Opened Warn: the policy tells nobody of `warn` of quiet for 168h: see its `audience`
        Opened Warn: the policy tells no submitters of `warn` of etl for calendar-day@UTC: see its `audience`
        Opened Warn: the policy has no limit of `team-a`
        Opened Warn: no rule of the policy covers the workgroup `nobody`"#]],
    );
    let without = policy("[[workgroup]]\nname = \"a\"\nper_query_cutoff = \"1 GB\"\n");
    let any = Asked { workgroup: None, ..asked(About::Opened, Severity::Warn, Reader::Admin, "") };
    assert_eq!(preview(&without, &any, at(NOW)), Err(NoMessage::NoLimit(String::new())));
}
