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
            Repeated Warn: ops@example.com: [warn] exploratory: still 91 % of 700 GB used, out at about 14:25 UTC
            Repeated Critical: ops@example.com: [critical] exploratory: still 96 % of 700 GB used, out at about 14:10 UTC
            Repeated Exhausted: ops@example.com: [exhausted] exploratory: still 112 % of 700 GB used in the last hour
            Resolved Warn: ops@example.com: [resolved] exploratory: 60 % of 700 GB used in the last hour
            Resolved Critical: ops@example.com: [resolved] exploratory: 60 % of 700 GB used in the last hour
            Resolved Exhausted: ops@example.com: [resolved] exploratory: 60 % of 700 GB used in the last hour
            Opened Warn: alex@example.com: [warn] exploratory: 91 % of 700 GB used, out at about 14:25 UTC, 385 GB by your queries
            Opened Critical: alex@example.com: [critical] exploratory: 96 % of 700 GB used, out at about 14:10 UTC, 404.2 GB by your queries
            Opened Exhausted: alex@example.com: [exhausted] exploratory: 112 % of 700 GB used in the last hour, 470.4 GB by your queries
            Escalated Warn: nothing gets worse to `warn`, the lowest level: ask for `critical` or `exhausted`
            Escalated Critical: the policy tells no submitters of `critical` of exploratory for 1h: see its `audience`
            Escalated Exhausted: the policy tells no submitters of `exhausted` of exploratory for 1h: see its `audience`
            Repeated Warn: alex@example.com: [warn] exploratory: still 91 % of 700 GB used, out at about 14:25 UTC, 385 GB by your queries
            Repeated Critical: alex@example.com: [critical] exploratory: still 96 % of 700 GB used, out at about 14:10 UTC, 404.2 GB by your queries
            Repeated Exhausted: alex@example.com: [exhausted] exploratory: still 112 % of 700 GB used in the last hour, 470.4 GB by your queries
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
            Policy Critical: ops@example.com: [policy] the policy has 2 problems
            Several Critical: ops@example.com: [critical] exploratory: 96 % of 700 GB used, out at about 14:10 UTC, and 2 more"#]],
    );
    check(
        &mails.map(|about| (about, Severity::Critical, Reader::Submitter, "exploratory")),
        expect![[r#"
            CannotSee Critical: only admins are told what cannot be seen, of the policy, and with a workgroup's owner of grants
            Policy Critical: only admins are told what cannot be seen, of the policy, and with a workgroup's owner of grants
            Several Critical: alex@example.com: [critical] exploratory: 96 % of 700 GB used, out at about 14:10 UTC, 404.2 GB by your queries"#]],
    );
}

#[test]
fn the_admins_read_whose_query_runs() {
    let policy = rules();
    let message = preview(&policy, &asked(About::Opened, Severity::Critical, Reader::Admin, "exploratory"), at(NOW));
    let origins = Origins { region: "eu-central-1".to_owned(), name: "athena-quota-watchdog".to_owned() };
    let text = compose(&message.unwrap(), &policy.mail, &origins, at(NOW)).text;
    // Of the second there is no record.
    let running: Vec<&str> = text.lines().filter(|line| line.contains(" so far, ")).map(str::trim).collect();
    expect![[r#"
        Running       5e6f7a80-1b2c-4d3e-8f90-a1b2c3d40090 of alex@example.com, for 7 min: 28 GB so far, 66.7 MB a second, not counted above
        Running       5e6f7a80-1b2c-4d3e-8f90-a1b2c3d40091 for 11 min: 7 GB so far, 10.6 MB a second, not counted above"#]].assert_eq(&running.join("\n"));
}

/// A policy with all that the mails of this kind are about.
fn crowded() -> Policy {
    policy(
        "[silences]\nsilencers = [\"role/admin\"]\nlongest = \"4h\"\n\
         [[workgroup]]\nname = \"etl\"\nwaiting = \"2 min\"\n[[workgroup.limit]]\nwindow = \"24h\"\nlimit = \"5 TB\"\n\
         [[workgroup]]\nname = \"exploratory\"\nowner = \"lab@example.com\"\naudience = [\"submitters\", \"admins\"]\n\
         per_query_cutoff = \"50 GB\"\n[[workgroup.limit]]\nwindow = \"1h\"\nlimit = \"700 GB\"\n",
    )
}

/// The first words of a mail: its subject, and what is said first.
fn beginning(policy: &Policy, asked: &Asked) -> String {
    match preview(policy, asked, at(NOW)) {
        Ok(message) => {
            let origins = Origins { region: "eu-central-1".to_owned(), name: "athena-quota-watchdog".to_owned() };
            let mail = compose(&message, &policy.mail, &origins, at(NOW));
            assert!(mail.mime(at(NOW)).unwrap().len() < 100_000);
            let words = mail.text.lines().skip(2).take_while(|line| !line.is_empty());
            let words = words.map(|line| format!("\n  {line}")).collect::<String>();
            format!("{}: {}{words}", mail.to, mail.subject)
        }
        Err(why) => why.to_string(),
    }
}

/// Also where it takes much before somebody is warned, and where the longest wait is short.
#[test]
fn what_is_over_is_said_to_be_over() {
    let late = policy(
        "[active_queries]\nwarn = \"90 %\"\ncritical = \"95 %\"\n[[workgroup]]\nname = \"exploratory\"\n\
         waiting = \"1 min\"\n\
         [[workgroup.limit]]\nwindow = \"1h\"\nlimit = \"700 GB\"\n",
    );
    let mut said = String::new();
    for policy in [crowded(), late] {
        for about in
            [About::ActiveQueriesOver, About::WaitingOver, About::SeenAgain, About::Listing, About::PolicyAgain]
        {
            let asked = Asked { workgroup: None, ..asked(about, Severity::Critical, Reader::Admin, "") };
            said.push_str(&format!("{about:?}: {}\n", beginning(&policy, &asked)));
        }
    }
    expect![[r#"
        ActiveQueriesOver: ops@example.com: [resolved] Athena in eu-central-1: 53 of 200 DML queries active
          Up to 53 of 200 DML queries that the account may have active in eu-central-1 were active at once in the last 10 minutes (as of 14:05 UTC).
          It has been below 60 % for 30 min: the alert is over.
        WaitingOver: ops@example.com: [resolved] etl: queries no longer wait too long
          Queries in etl waited up to 19 s in the last 10 minutes, of at most 2 min (as of 14:05 UTC).
          It has been below 25 % for 30 min: the alert is over.
        SeenAgain: ops@example.com: [resolved] exploratory can be seen again
          The watchdog can see exploratory again (as of 14:05 UTC).
          Limits are judged again, after 1 h out of sight.
        Listing: ops@example.com: [cannot see] the list of workgroups cannot be read
          The watchdog cannot list the account's workgroups: AWS denied `athena:ListWorkGroups` (as of 14:05 UTC).
          Workgroups that it already knew are still watched; new ones are not seen until this is mended.
        PolicyAgain: ops@example.com: [resolved] the policy is valid again
          The policy can be used again (as of 14:05 UTC).
          What it says holds from now on; for 1 h the last valid one did.
        ActiveQueriesOver: ops@example.com: [resolved] Athena in eu-central-1: 60 of 200 DML queries active
          Up to 60 of 200 DML queries that the account may have active in eu-central-1 were active at once in the last 10 minutes (as of 14:05 UTC).
          It has been below 70 % for 30 min: the alert is over.
        WaitingOver: ops@example.com: [resolved] exploratory: queries no longer wait too long
          Queries in exploratory waited up to 9 s in the last 10 minutes, of at most 1 min (as of 14:05 UTC).
          It has been below 25 % for 30 min: the alert is over.
        SeenAgain: ops@example.com: [resolved] exploratory can be seen again
          The watchdog can see exploratory again (as of 14:05 UTC).
          Limits are judged again, after 1 h out of sight.
        Listing: ops@example.com: [cannot see] the list of workgroups cannot be read
          The watchdog cannot list the account's workgroups: AWS denied `athena:ListWorkGroups` (as of 14:05 UTC).
          Workgroups that it already knew are still watched; new ones are not seen until this is mended.
        PolicyAgain: ops@example.com: [resolved] the policy is valid again
          The policy can be used again (as of 14:05 UTC).
          What it says holds from now on; for 1 h the last valid one did.
    "#]].assert_eq(&said);
}

#[test]
fn mails_about_queries_grants_and_silences_are_what_is_asked_for() {
    let mut all = Vec::new();
    let crowds = [About::ActiveQueries, About::Waiting];
    for about in crowds {
        let levels = [Severity::Warn, Severity::Critical, Severity::Exhausted];
        all.extend(levels.map(|level| (about, level, Reader::Admin)));
        all.push((about, Severity::Exhausted, Reader::Submitter));
    }
    let grants = [
        About::GrantAsked,
        About::Granted,
        About::GrantEndsSoon,
        About::GrantEnded,
        About::CutoffAmiss,
        About::Silenced,
    ];
    all.extend(grants.map(|about| (about, Severity::Critical, Reader::Admin)));
    all.push((About::Granted, Severity::Critical, Reader::Submitter));
    let policy = crowded();
    let line = |(about, level, reader): &(About, Severity, Reader)| {
        let workgroup = (!crowds.contains(about)).then(|| "exploratory".to_owned());
        let asked = Asked { about: *about, level: *level, reader: *reader, workgroup, window: None };
        format!("{about:?} {level:?}: {}\n", beginning(&policy, &asked))
    };
    expect![[r#"
        ActiveQueries Warn: ops@example.com: [warn] Athena in eu-central-1: 166 of 200 DML queries active
          Up to 166 of 200 DML queries that the account may have active in eu-central-1 were active at once in the last 10 minutes (as of 14:05 UTC).
          With 34 more, the next queries will be refused, in every workgroup. All 166 that are active now are in exploratory. alex@example.com has 117 of them.
        ActiveQueries Critical: ops@example.com: [critical] Athena in eu-central-1: 185 of 200 DML queries active, the next may soon be refused
          Up to 185 of 200 DML queries that the account may have active in eu-central-1 were active at once in the last 10 minutes (as of 14:05 UTC).
          With 15 more, the next queries will be refused, in every workgroup. All 185 that are active now are in exploratory. alex@example.com has 130 of them.
        ActiveQueries Exhausted: ops@example.com: [exhausted] Athena in eu-central-1: 200 of 200 DML queries active, the next will be refused
          All 200 DML queries that the account may have active in eu-central-1 were active at once (as of 14:05 UTC).
          While it is so, the next queries will be refused, in every workgroup. All 200 that are active now are in exploratory. alex@example.com has 140 of them.
        ActiveQueries Exhausted: alex@example.com: [exhausted] Athena in eu-central-1: 200 of 200 DML queries active, the next will be refused, 140 of them yours
          All 200 DML queries that the account may have active in eu-central-1 were active at once (as of 14:05 UTC).
          140 of the 200 active queries are yours (70 %). The next queries will be refused, yours and everybody's.
        Waiting Warn: ops@example.com: [warn] etl: queries are waiting, up to 1 min 12 s where 2 min is the most
          Queries in etl are waiting: up to 1 min 12 s in the last 10 minutes, and 2 min is the most that they should (as of 14:05 UTC).
          Right now 6 queries wait. exploratory has 100 of the 106 queries that are active, and etl waits for them. alex@example.com has 70 of them.
        Waiting Critical: ops@example.com: [critical] etl: queries are waiting, up to 1 min 42 s where 2 min is the most
          Queries in etl are waiting: up to 1 min 42 s in the last 10 minutes, and 2 min is the most that they should (as of 14:05 UTC).
          Right now 6 queries wait. exploratory has 100 of the 106 queries that are active, and etl waits for them. alex@example.com has 70 of them.
        Waiting Exhausted: ops@example.com: [exhausted] etl: queries are waiting, up to 2 min 14 s where 2 min is the most
          Queries in etl are waiting: up to 2 min 14 s in the last 10 minutes, and 2 min is the most that they should (as of 14:05 UTC).
          Right now 6 queries wait. exploratory has 100 of the 106 queries that are active, and etl waits for them. alex@example.com has 70 of them.
        Waiting Exhausted: alex@example.com: [exhausted] etl: queries are waiting, up to 2 min 14 s where 2 min is the most, 70 of them yours
          Queries in etl are waiting: up to 2 min 14 s in the last 10 minutes, and 2 min is the most that they should (as of 14:05 UTC).
          70 of the 106 active queries are yours (66 %).
        GrantAsked Critical: ops@example.com: [approve?] exploratory: a 1h limit of 1.4 TB and a per-query cutoff of 250 GB, if somebody approves
          alex@example.com asks for a 1h limit of 1.4 TB and a per-query cutoff of 250 GB in exploratory until 17:05 UTC.
          Somebody else has to approve it; nothing is raised before.
        Granted Critical: ops@example.com: [granted] exploratory: a 1h limit of 1.4 TB and a per-query cutoff of 250 GB until 17:05 UTC
          exploratory has a 1h limit of 1.4 TB and a per-query cutoff of 250 GB until 17:05 UTC.
          It ends by itself then. A CloudWatch alarm on the usual limit does not know of it, and may go off meanwhile.
        GrantEndsSoon Critical: ops@example.com: [ends soon] exploratory: the grant ends at 14:25 UTC
          The grant for exploratory ends at 14:25 UTC; 210 GB were scanned in it so far.
          Then the usual limit holds again. Queries that still run keep running, and what they scan counts once they end.
        GrantEnded Critical: ops@example.com: [grant ended] exploratory: the grant has ended
          The grant for exploratory ended at 14:00 UTC.
          210 GB were scanned in it. The limit is 700 GB again, and counts what is scanned from now on. The per-query cutoff is 50 GB again, as before.
        CutoffAmiss Critical: ops@example.com: [cutoff amiss] exploratory: the per-query cutoff could not be taken back
          The per-query cutoff of exploratory could not be taken back: AWS denied `athena:UpdateWorkGroup`.
          The grant is over, and queries may still scan as much as it allowed. It is tried again in every run.
        Silenced Critical: ops@example.com: [critical] exploratory: 96 % of 700 GB used, out at about 14:10 UTC
          exploratory has used 96 % of its 700 GB in the last hour (as of 14:05 UTC).
          Open since 13:15 UTC, and new to you. 26.2 GB are left. At this pace it runs out at about 14:10 UTC. alex@example.com scanned 60 % of what is used. The silence of this alert ended at 14:03 UTC.
        Granted Critical: only admins are told what cannot be seen, of the policy, and with a workgroup's owner of grants
    "#]].assert_eq(&all.iter().map(line).collect::<String>());
}

#[test]
fn commands_of_a_grant_are_for_its_stack_and_its_phase() {
    let policy = crowded();
    let text = |about| {
        let asked = asked(about, Severity::Critical, Reader::Admin, "exploratory");
        let origins = Origins { region: "eu-central-1".to_owned(), name: "prod".to_owned() };
        compose(&preview(&policy, &asked, at(NOW)).unwrap(), &policy.mail, &origins, at(NOW)).text
    };
    for (about, command) in [
        (About::GrantAsked, "watchdog grant --approve g-5e6f7a80 --region eu-central-1 --stack prod --write"),
        (About::GrantAsked, "watchdog revoke g-5e6f7a80 --region eu-central-1 --stack prod --write"),
        (About::Granted, "watchdog revoke g-5e6f7a80 --region eu-central-1 --stack prod --write"),
        (
            About::GrantEndsSoon,
            "watchdog grant --extend g-5e6f7a80 --for 1h --region eu-central-1 --stack prod --write",
        ),
    ] {
        assert!(text(about).contains(command), "{}", text(about));
    }
    // What is over cannot be ended.
    let amiss = text(About::CutoffAmiss);
    assert!(amiss.contains("BytesScannedCutoffPerQuery=50000000000") && !amiss.contains("watchdog "), "{amiss}");
}

/// A time of day alone would be taken for one of today.
#[test]
fn what_is_of_another_day_has_its_day() {
    let policy = rules();
    let asked = |workgroup| asked(About::Opened, Severity::Exhausted, Reader::Admin, workgroup);
    let text = |workgroup| {
        let origins = Origins { region: "eu-central-1".to_owned(), name: "w".to_owned() };
        compose(&preview(&policy, &asked(workgroup), at(NOW)).unwrap(), &policy.mail, &origins, at(NOW)).text
    };
    let of_days = text("quiet");
    for line in [
        "quiet has used 112 % of its 9 TB in the last 7 days (as of 14:05 UTC).",
        "Scanned since 2026-02-22 14:05 UTC, added up",
        "  2026-02-22 14:05 UTC - now, 14:05 UTC",
        "steepest rise: 4 TB until 2026-02-28 14:45 UTC",
        "of alex@example.com, succeeded, ended 2026-02-28 14:34 UTC",
    ] {
        assert!(of_days.contains(line), "{line}\n{of_days}");
    }
    let of_an_hour = text("exploratory");
    assert!(of_an_hour.contains("Scanned since 13:05 UTC, added up"), "{of_an_hour}");
    assert!(of_an_hour.contains("of alex@example.com, succeeded, ended 13:57 UTC"), "{of_an_hour}");
}

#[test]
fn what_no_rule_watches_has_no_mail() {
    let asked = |about| Asked { workgroup: None, ..asked(about, Severity::Critical, Reader::Admin, "") };
    assert_eq!(
        beginning(&rules(), &asked(About::Waiting)),
        "the policy watches no waiting: give a workgroup `waiting`"
    );
    let none = policy(
        "[active_queries]\ndml = \"off\"\n[[workgroup]]\nname = \"a\"\n[[workgroup.limit]]\nwindow = \"1h\"\nlimit = \"1 TB\"\n",
    );
    let said = beginning(&none, &asked(About::ActiveQueries));
    assert_eq!(said, "the policy watches no active DML queries: see `dml` in `[active_queries]`");
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
