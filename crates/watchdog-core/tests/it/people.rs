//! Whose queries use a limit up, who of them is told, and what each may read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use expect_test::{Expect, expect};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use watchdog_core::alert::Subject;
use watchdog_core::bytes::{Bytes, Units};
use watchdog_core::delivery::{People, Plan, Records, Standing, plan};
use watchdog_core::event::{Tick, Timing};
use watchdog_core::identity::Tag;
use watchdog_core::ledger::{decode_record, encode_record};
use watchdog_core::mail::{Origins, compose};
use watchdog_core::people::{Gathered, Shares, Whose};
use watchdog_core::policy::Policy;
use watchdog_core::principal::Principal;
use watchdog_core::queries::{Execution, Kind, State, sum};
use watchdog_core::usage::{Series, Usage};
use watchdog_core::verdict::judge;
use watchdog_core::window::{Span, Window};

use crate::support::{at, cases, policy};

const NOW: &str = "2026-03-01T14:05:00Z";
const GB: u64 = 1_000_000_000;

fn now() -> Timestamp {
    at(NOW)
}

fn minutes(n: i64) -> SignedDuration {
    SignedDuration::from_mins(n)
}

fn rules(more: &str, limit: &str) -> Policy {
    rules_with_hold("0 min", more, limit)
}

fn rules_with_hold(hold: &str, more: &str, limit: &str) -> Policy {
    policy(&format!(
        "[defaults]\nhold = \"{hold}\"\n[submitters]\n{more}\n[[workgroup]]\nname = \"exploratory\"\n{limit}\naudience = [\"submitters\"]\n\
         [[workgroup.limit]]\nwindow = \"1h\"\nlimit = \"100 GB\"\n"
    ))
}

/// A query that ended so many minutes before [`NOW`].
fn query(id: &str, ago: i64, gb: u64) -> Execution {
    Execution {
        id: id.to_owned(),
        workgroup: "exploratory".to_owned(),
        state: State::Succeeded,
        submitted: Some(now() - minutes(ago + 1)),
        completed: Some(now() - minutes(ago)),
        scanned: Some(Bytes::new(gb * GB)),
        kind: Kind::Dml,
        sql: Some("SELECT <b> FROM salaries\r\nBcc: all@example.com".to_owned()),
    }
}

/// Queries as `user id minutes gigabytes`; `-` is a query without a record.
fn gathered(queries: &[(&str, &str, i64, u64)]) -> Gathered {
    let mut gathered = Gathered::default();
    for (who, id, ago, gb) in queries {
        gathered.executions.push(query(id, *ago, *gb));
        if *who != "-" {
            gathered.principals.insert((*id).to_owned(), Principal::User { name: (*who).to_owned() });
            let tag = if *who == "tagless" { Tag::Absent } else { Tag::Value(format!("{who}@example.com")) };
            gathered.tags.insert((*who).to_owned(), tag);
        }
    }
    gathered
}

fn span_at(at: Timestamp) -> Span {
    Window::Rolling { minutes: 60 }.span(at)
}

/// A plan at `at`, where the metric says the same as the queries.
fn plan_at(policy: &Policy, at: Timestamp, gathered: &Gathered, records: &Records, is_looked: bool) -> Plan {
    let inside = gathered.executions.iter().filter(|e| e.completed.is_some_and(|c| c >= span_at(at).start && c < at));
    let used = sum(inside.collect::<Vec<_>>());
    let tick = Tick { at, timing: Timing::Event };
    let series = Series::from_buckets(span_at(at).start, {
        let mut buckets = vec![Bytes::ZERO; 13];
        buckets[5] = used;
        buckets
    });
    let usage =
        Usage { workgroups: [("exploratory".to_owned(), Ok(series))].into(), incomplete: None, ..Usage::default() };
    let decide =
        |people: &People| plan(policy, &Standing::Current, &tick, &judge(policy, &tick, &usage), None, records, people);
    let first = decide(&People::new());
    if !is_looked {
        return first;
    }
    let looked = first.wants.iter().map(|want| {
        let shares = Shares::of(gathered, want.span, Some(want.used), at, &policy.submitters, &policy.mail);
        (want.subject.clone(), Arc::new(shares))
    });
    decide(&People { shares: looked.collect(), occupancy: None })
}

fn told(plan: &Plan) -> String {
    let message = |m: &watchdog_core::delivery::Message| {
        let reasons = m.notices.iter().map(|n| format!("{} {}", n.reason.word(), n.severity.words()));
        format!("{}: {}", m.to, reasons.collect::<Vec<_>>().join(", "))
    };
    plan.messages.iter().map(message).collect::<Vec<_>>().join("\n")
}

/// What is remembered once every mail of the plan has been delivered, through its written form.
fn delivered(mut plan: Plan, at: Timestamp) -> Records {
    for message in &plan.messages {
        for notice in &message.notices {
            let record = plan.records.get_mut(&notice.subject).unwrap();
            notice.told(&message.to, record, at);
        }
    }
    plan.records.retain(|_, record| !record.is_over());
    plan.records.into_iter().map(|(s, r)| (s, decode_record(&encode_record(&r)).unwrap())).collect()
}

#[track_caller]
fn check(policy: &Policy, queries: &[(&str, &str, i64, u64)], expected: Expect) {
    expected.assert_eq(&told(&plan_at(policy, now(), &gathered(queries), &Records::new(), true)));
}

#[test]
fn both_floors_must_be_reached_to_the_byte() {
    let all = [("ann", "a", 10, 95), ("bob", "b", 10, 2), ("cid", "c", 10, 3)];
    check(
        &rules("", ""),
        &all,
        expect![[r#"
        ann@example.com: opened exhausted
        bob@example.com: opened exhausted
        cid@example.com: opened exhausted"#]],
    );
    check(
        &rules("share_floor = \"3 %\"", ""),
        &all,
        expect![[r#"
        ann@example.com: opened exhausted
        cid@example.com: opened exhausted"#]],
    );
    check(&rules("share_floor = \"3.01 %\"", ""), &all, expect!["ann@example.com: opened exhausted"]);
    check(&rules("bytes_floor = \"95 GB\"", ""), &all, expect!["ann@example.com: opened exhausted"]);
    // Nobody used enough to be told, and somebody must hear: the admins, or the owner.
    check(&rules("bytes_floor = \"96 GB\"", ""), &all, expect!["ops@example.com: opened exhausted"]);
    check(
        &rules("bytes_floor = \"96 GB\"", "owner = \"lead@example.com\""),
        &all,
        expect!["lead@example.com: opened exhausted"],
    );
}

#[test]
fn somebody_stands_in_for_whoever_cannot_be_named() {
    let owned = rules("", "owner = \"lead@example.com\"");
    check(
        &owned,
        &[("tagless", "a", 10, 60), ("ann", "b", 10, 30)],
        expect![[r#"
        ann@example.com: opened warn
        lead@example.com: opened warn"#]],
    );
    // No record, and none will come: the owner. None yet: the admins, whoever owns it.
    check(
        &owned,
        &[("-", "a", 50, 60), ("ann", "b", 10, 30)],
        expect![[r#"
        ann@example.com: opened warn
        lead@example.com: opened warn"#]],
    );
    check(
        &owned,
        &[("-", "a", 5, 60), ("ann", "b", 10, 30)],
        expect![[r#"
        ann@example.com: opened warn
        ops@example.com: opened warn"#]],
    );
    // What is below the floors needs nobody.
    check(&owned, &[("-", "a", 5, 1), ("ann", "b", 10, 90)], expect!["ann@example.com: opened warn"]);
    let mut cut = gathered(&[("ann", "b", 10, 90)]);
    cut.cut = Some("only the newest are read".to_owned());
    let plan = plan_at(&owned, now(), &cut, &Records::new(), true);
    assert_eq!(told(&plan), "ann@example.com: opened warn\nlead@example.com: opened warn");
}

#[test]
fn where_nobody_has_looked_the_plan_says_what_is_wanted_and_somebody_hears() {
    let plan = plan_at(&rules("", ""), now(), &gathered(&[("ann", "a", 10, 90)]), &Records::new(), false);
    assert_eq!(told(&plan), "ops@example.com: opened warn");
    let [want] = plan.wants.as_slice() else { panic!("{:?}", plan.wants) };
    assert_eq!((want.workgroup.as_str(), want.span, want.used.get()), ("exploratory", span_at(now()), 90 * GB));
    let calm = plan_at(&rules("", ""), now(), &gathered(&[("ann", "a", 10, 79)]), &Records::new(), false);
    assert_eq!((calm.wants.len(), calm.messages.len()), (0, 0));
}

#[test]
fn a_person_hears_again_of_new_heavy_queries_only_and_not_before_their_interval() {
    let policy = rules("repeat_every = \"30 min\"", "");
    let mut all = vec![("ann", "a", 10, 50), ("bob", "b", 12, 32)];
    let step = |records: &Records, later: i64, all: &[(&str, &str, i64, u64)]| {
        let at = now() + minutes(later);
        let plan = plan_at(&policy, at, &gathered(all), records, true);
        (told(&plan), delivered(plan, at))
    };
    let (first, records) = step(&Records::new(), 0, &all);
    assert_eq!(first, "ann@example.com: opened warn\nbob@example.com: opened warn");
    let (told, records) = step(&records, 5, &all);
    assert_eq!(told, "", "the same tick's queries");
    // Two small new ones, together below the floor of 2 GB or so.
    all.push(("ann", "c", 4, 1));
    let (told, records) = step(&records, 35, &all);
    assert_eq!(told, "", "new, and not heavy");
    all.push(("ann", "d", -36, 3));
    let (told, records) = step(&records, 40, &all);
    assert_eq!(told, "ann@example.com: repeated warn", "new and heavy, after the interval; bob has nothing new");
    all.push(("bob", "e", -41, 60));
    let (told, records) = step(&records, 45, &all);
    assert_eq!(told, "bob@example.com: escalated exhausted", "it is worse, and his doing; ann's are old");
    all.push(("ann", "f", -46, 5));
    let (told, _) = step(&records, 50, &all);
    assert_eq!(told, "ann@example.com: escalated exhausted", "within her interval, as it is worse than she was told");
}

#[test]
fn an_alert_that_opens_again_speaks_of_the_same_queries_to_nobody_twice() {
    let policy = rules("", "");
    let ann = gathered(&[("ann", "a", 10, 70), ("bob", "b", 50, 12)]);
    let first = plan_at(&policy, now(), &ann, &Records::new(), true);
    assert_eq!(told(&first), "ann@example.com: opened warn\nbob@example.com: opened warn");
    let records = delivered(first, now());
    // Bob's leave the window: below 75 %, the alert is over.
    let later = now() + minutes(15);
    let over = plan_at(&policy, later, &ann, &records, true);
    assert_eq!(told(&over), "ann@example.com: resolved warn\nbob@example.com: resolved warn");
    let records = delivered(over, later);
    let subject: Subject = "limit/exploratory/1h".parse().unwrap();
    assert!(records[&subject].story.is_none() && !records[&subject].heard.is_empty(), "remembered all the same");
    // Cid's bring it back; ann's are the same old ones.
    let mut cid = gathered(&[("ann", "a", 10, 70), ("cid", "c", -16, 20)]);
    let again = now() + minutes(20);
    let back = plan_at(&policy, again, &cid, &records, true);
    assert_eq!(told(&back), "cid@example.com: opened warn");
    // And it is forgotten once no window holds the queries any more.
    cid.executions.clear();
    let end = now() + minutes(200);
    let end_records = delivered(plan_at(&policy, end, &cid, &delivered(back, again), true), end);
    assert!(end_records[&subject].is_quiet(), "{end_records:?}");
}

#[test]
fn old_records_are_read_and_new_ones_without_submitters_are_written_as_before() {
    let old = r#"{"v":1,"story":null,"ended":null,"told":{}}"#;
    let record = decode_record(old).unwrap();
    assert_eq!(encode_record(&record), old);
}

fn mails(policy: &Policy, gathered: &Gathered) -> BTreeMap<String, watchdog_core::mail::Mail> {
    let plan = plan_at(policy, now(), gathered, &Records::new(), true);
    let origins = Origins { region: "eu-central-1".to_owned(), name: "watchdog".to_owned() };
    let mail = |m| compose(m, &policy.mail, &origins, now());
    plan.messages.iter().map(|m| (m.to.to_string(), mail(m))).collect()
}

#[test]
fn a_submitter_reads_of_their_own_queries() {
    let mut all = gathered(&[("ann", "11112222-aaaa", 10, 50), ("ann", "33334444-aaaa", 20, 2), ("bob", "b", 12, 36)]);
    let mut running = query("55556666-aaaa", 0, 0);
    (running.state, running.completed, running.scanned) = (State::Running, None, Some(Bytes::ZERO));
    all.executions.push(running);
    all.principals.insert("55556666-aaaa".to_owned(), Principal::User { name: "ann".to_owned() });
    let mails = mails(&rules("", "owner = \"lead@example.com\""), &all);
    let mail = &mails["ann@example.com"];
    expect![[r#"
        Subject: [warn] exploratory: 88 % of 100 GB used in the last hour, 52 GB by your queries
        [warn] exploratory: 88 % of 100 GB used in the last hour, 52 GB by your queries

        exploratory has used 88 % of its 100 GB in the last hour (as of 14:05 UTC).
        Your 2 queries scanned 52 GB, 59 % of it. 12 GB are left.

        [#################...] 88 %   88 GB used, 12 GB left

        Scanned since 13:05 UTC, added up; full height is the limit
                             ▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇
          13:05 UTC - now, 14:05 UTC
          steepest rise: 88 GB until 13:35 UTC

        What to do now
          Stop one that still runs:
            aws athena stop-query-execution --region eu-central-1 --query-execution-id 55556666-aaaa
          Read fewer partitions:
            put the partition columns into WHERE, such as the day; what they rule out is not scanned.
          Read fewer columns:
            name those that you need instead of SELECT *; in Parquet and ORC only they are scanned.
          LIMIT does not help:
            it shortens what you see, and not what is scanned.
          If you need more, ask:
            lead@example.com

        Your queries
          - 50 GB (56 %), succeeded, ended 13:55 UTC
            https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/query-editor/history/11112222-aaaa
          - 2 GB (2 %), succeeded, ended 13:45 UTC
            https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/query-editor/history/33334444-aaaa
          - running since 14:04 UTC
            https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/query-editor/history/55556666-aaaa
          What still waits or runs is not counted yet: its bytes are known for sure when it has ended.

        The numbers
          Used          88 GB (88,000,000,000 bytes)
          Limit         100 GB (100,000,000,000 bytes)
          The limit is  given directly in the policy
          Window        1h, since 2026-03-01 13:05 UTC
          Warns at      80 %; critical at 95 %; resolves below 75 %

        Why now: the alert has just opened.

        --
        Athena Quota Watchdog (watchdog, eu-central-1), as of 2026-03-01 14:05 UTC.
        You (ann@example.com) get this because your queries are among those that use it up.
        To hear less, ask your admins: the policy says who is told, from when on, and how often again."#]].assert_eq(&format!("Subject: {}\n{}", mail.subject, mail.text));
    for form in [&mail.text, &mail.html] {
        assert!(!form.contains("bob") && !form.contains("salaries"), "{form}");
    }
}

#[test]
fn the_admins_read_of_everybody() {
    let policy = policy(
        "[[workgroup]]\nname = \"exploratory\"\naudience = [\"submitters\", \"admins\"]\n\
         [[workgroup.limit]]\nwindow = \"1h\"\nlimit = \"100 GB\"\n",
    );
    let all = gathered(&[
        ("ann", "a", 10, 50),
        ("ann", "a2", 10, 1),
        ("tagless", "t", 12, 36),
        ("-", "n", 50, 1),
        ("dot", "d", 9, 0),
    ]);
    let mails = mails(&policy, &all);
    let mail = &mails["ops@example.com"];
    expect![[r#"
        [warn] exploratory: 88 % of 100 GB used in the last hour

        exploratory has used 88 % of its 100 GB in the last hour (as of 14:05 UTC).
        12 GB are left. ann@example.com scanned 57 % of what is used.

        [#################...] 88 %   88 GB used, 12 GB left

        Scanned since 13:05 UTC, added up; full height is the limit
                             ▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇
          13:05 UTC - now, 14:05 UTC
          steepest rise: 88 GB until 13:35 UTC

        What to do now
          See its queries (choose this workgroup at the top right):
            https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/query-editor/history
          Open the workgroup:
            https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/workgroups/details/exploratory
          List its newest queries:
            aws athena list-query-executions --region eu-central-1 --work-group exploratory --max-items 20
          Stop one of them, by its id:
            aws athena stop-query-execution --region eu-central-1 --query-execution-id ID

        Whose queries
           57 %      51 GB  ann@example.com
                            2 queries; known by the IAM user's tag
           40 %      36 GB  user/tagless
                            1 query; the IAM user has no tag `email`
            1 %       1 GB  no record
                            1 query; CloudTrail has no record of them
            0 %        0 B  dot@example.com
                            1 query; known by the IAM user's tag
          The heaviest queries:
          - 50 GB (56 %) of ann@example.com, succeeded, ended 13:55 UTC
            https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/query-editor/history/a
          - 36 GB (40 %) of user/tagless, succeeded, ended 13:53 UTC
            https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/query-editor/history/t
          - 1 GB (1 %) of ann@example.com, succeeded, ended 13:55 UTC
            https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/query-editor/history/a2
          Athena's list of queries adds up to 88 GB, as the metric says.

        The numbers
          Used          88 GB (88,000,000,000 bytes)
          Limit         100 GB (100,000,000,000 bytes)
          The limit is  given directly in the policy
          Window        1h, since 2026-03-01 13:05 UTC
          Warns at      80 %; critical at 95 %; resolves below 75 % for 30 min

        Why now: the alert has just opened.

        --
        Athena Quota Watchdog (watchdog, eu-central-1), as of 2026-03-01 14:05 UTC.
        You (ops@example.com) get this because you are one of the policy's admins.
        To hear less: `audience`, `warn` and `repeat_every` in the policy say who is told, from when on, and how often again."#]]
    .assert_eq(&mail.text);
    assert!(mail.html.contains("user/tagless") && mail.html.contains("no tag `email`"), "{}", mail.html);
}

/// The admins read of whoever scanned most before they come to the list.
#[track_caller]
fn check_most(queries: &[(&str, &str, i64, u64)], expected: &str) {
    let policy = policy(
        "[[workgroup]]\nname = \"exploratory\"\naudience = [\"submitters\", \"admins\"]\n\
         [[workgroup.limit]]\nwindow = \"1h\"\nlimit = \"100 GB\"\n",
    );
    let mails = mails(&policy, &gathered(queries));
    assert_eq!(mails["ops@example.com"].text.lines().nth(3).unwrap(), expected);
    // And nobody else does.
    for (to, mail) in mails.iter().filter(|(to, _)| *to != "ops@example.com") {
        assert!(!mail.text.contains(".com scanned"), "{to}: {}", mail.text);
    }
}

#[test]
fn whoever_scanned_most_is_named_beside_the_use_where_one_stands_out() {
    let left = "12 GB are left.";
    check_most(
        &[("bob", "b", 10, 66), ("ann", "a", 10, 22)],
        &format!("{left} bob@example.com scanned 75 % of what is used."),
    );
    check_most(
        &[("tagless", "t", 10, 66), ("ann", "a", 10, 22)],
        &format!("{left} user/tagless scanned 75 % of what is used."),
    );
    // A quarter is the least, and what has no record is nobody.
    let four = |last: u64| [("ann", "a", 10, 22), ("bob", "b", 10, last), ("cid", "c", 10, last), ("dot", "d", 10, 22)];
    check_most(&four(22), &format!("{left} ann@example.com scanned 25 % of what is used."));
    let five =
        [("ann", "a", 10, 21), ("bob", "b", 10, 21), ("cid", "c", 10, 21), ("dot", "d", 10, 21), ("eve", "e", 10, 4)];
    check_most(&five, left);
    check_most(&[("-", "n", 50, 66), ("ann", "a", 10, 22)], left);
}

#[test]
fn the_text_of_a_query_is_shown_where_it_may_be_escaped_and_on_one_line() {
    let mails = mails(&rules("show_sql = true", ""), &gathered(&[("ann", "a", 10, 90)]));
    let mail = &mails["ann@example.com"];
    assert!(mail.text.contains("\n    SELECT <b> FROM salaries Bcc: all@example.com\n"), "{}", mail.text);
    assert!(mail.html.contains("SELECT &#60;b&#62; FROM salaries Bcc"), "{}", mail.html);
}

#[test]
fn forty_queries_are_one_mail_with_the_heaviest_spelled_out() {
    let ids: Vec<String> = (0..40).map(|n| format!("{n:08x}-q")).collect();
    let all: Vec<_> = ids.iter().enumerate().map(|(n, id)| ("ann", id.as_str(), 10, n as u64 / 8 + 1)).collect();
    let mails = mails(&rules("", ""), &gathered(&all));
    let mail = &mails["ann@example.com"];
    assert!(mail.subject.ends_with("120 GB by your queries"), "{}", mail.subject);
    assert!(mail.text.contains("Your 40 queries scanned 120 GB, 100 % of it."), "{}", mail.text);
    assert_eq!(mail.text.matches("query-editor/history/").count(), 10);
    assert!(mail.text.contains("And 30 smaller ones, 72 GB together."), "{}", mail.text);
}

#[test]
fn links_lead_to_the_regions_partition() {
    let policy = rules("", "");
    let plan = plan_at(&policy, now(), &gathered(&[("ann", "a-1", 10, 90)]), &Records::new(), true);
    for (region, host) in [
        ("eu-central-1", "eu-central-1.console.aws.amazon.com"),
        ("cn-north-1", "cn-north-1.console.amazonaws.cn"),
        ("us-gov-west-1", "us-gov-west-1.console.amazonaws-us-gov.com"),
    ] {
        let origins = Origins { region: region.to_owned(), name: "w".to_owned() };
        let mail = compose(&plan.messages[0], &policy.mail, &origins, now());
        let link = format!("https://{host}/athena/home?region={region}#/query-editor/history/a-1");
        assert!(mail.text.contains(&link) && mail.html.contains(&link), "{}", mail.text);
    }
}

#[test]
fn a_hostile_id_gets_into_no_link_and_no_command() {
    let mut all = gathered(&[("ann", "a\";rm -rf", 10, 90)]);
    let mut running = query("b$(reboot)", 0, 0);
    (running.state, running.completed) = (State::Running, None);
    all.executions.push(running);
    all.principals.insert("b$(reboot)".to_owned(), Principal::User { name: "ann".to_owned() });
    let mails = mails(&rules("", ""), &all);
    let mail = &mails["ann@example.com"];
    assert!(!mail.text.contains("rm -rf") && !mail.text.contains("reboot"), "{}", mail.text);
}

proptest! {
    #![proptest_config(cases(200))]

    /// The parties are a partition: every execution once, and they add up to the window.
    #[test]
    fn parties_add_up(raw in prop::collection::vec((0usize..5, 0i64..90, 0u64..40, any::<bool>()), 0..40), metric in 0u64..2000) {
        let names = ["ann", "bob", "tagless", "-", "dot"];
        let ids: Vec<String> = (0..raw.len()).map(|n| format!("q{n}")).collect();
        let queries: Vec<_> = raw.iter().zip(&ids).map(|((who, ago, gb, _), id)| (names[*who], id.as_str(), *ago, *gb)).collect();
        let mut all = gathered(&queries);
        for (execution, (.., runs)) in all.executions.iter_mut().zip(&raw) {
            if *runs {
                (execution.state, execution.completed) = (State::Running, None);
            }
        }
        let policy = rules("", "");
        let span = span_at(now());
        let metric = Bytes::new(metric * GB);
        let shares = Shares::of(&all, span, Some(metric), now(), &policy.submitters, &policy.mail);
        let inside = |e: &&Execution| e.state.is_over() && e.completed.unwrap() >= span.start && e.completed.unwrap() < span.end;
        let landed: BTreeSet<&str> = all.executions.iter().filter(inside).map(|e| e.id.as_str()).collect();
        let seen: Vec<&str> = shares.parties.iter().flat_map(|p| &p.landed).map(|e| e.id.as_str()).collect();
        prop_assert_eq!(seen.len(), landed.len());
        prop_assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), landed);
        let bytes: u64 = shares.parties.iter().map(|party| party.bytes.get()).sum();
        prop_assert_eq!(bytes, shares.sums.queries.get());
        prop_assert!(shares.parties.iter().map(|party| shares.percent(party)).sum::<u64>() <= 100);
        let running = all.executions.iter().filter(|e| !e.state.is_over()).count();
        prop_assert_eq!(shares.parties.iter().map(|party| party.in_flight.len()).sum::<usize>(), running);
        let (queries, named) = shares.counts();
        let unnamed: usize = shares.parties.iter().filter(|p| !matches!(p.whose, Whose::Person(_))).map(|p| p.landed.len() + p.in_flight.len()).sum();
        prop_assert_eq!(named + unnamed, queries);
        // Told are exactly those at or above both floors.
        for party in &shares.parties {
            let is_heavy = party.bytes.get() >= GB && u128::from(party.bytes.get()) * 50 >= u128::from(shares.sums.whole().get());
            prop_assert_eq!(party.is_heavy, is_heavy);
            prop_assert_eq!(party.has_news(None, shares.floor), is_heavy && party.bytes >= shares.floor);
        }
        prop_assert!(!shares.reconciled(Units::Decimal).is_empty());
    }
}

/// What is told at each of these minutes after [`NOW`], where the queries' submitter is on record from `recorded` on.
#[track_caller]
fn check_late(policy: &Policy, who: &str, recorded: i64, at_minutes: &[i64], expected: Expect) {
    let mut late = gathered(&[("-", "q", 20, 60), ("-", "r", 20, 30)]);
    let mut records = Records::new();
    let mut lines = Vec::new();
    for minute in at_minutes {
        if *minute >= recorded {
            for id in ["q", "r"] {
                late.principals.insert(id.to_owned(), Principal::User { name: who.to_owned() });
            }
            late.tags.insert(who.to_owned(), Tag::Value(format!("{who}@example.com")));
        }
        let at = now() + minutes(*minute);
        let plan = plan_at(policy, at, &late, &records, true);
        lines.push(format!("+{minute}: {}", told(&plan).replace('\n', "; ")));
        records = delivered(plan, at);
    }
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn an_admin_whose_own_queries_they_were_hears_of_the_end_once() {
    check_late(
        &rules("", ""),
        "ops",
        45,
        &[0, 41, 45, 50, 55],
        expect![[r#"
        +0: ops@example.com: opened warn
        +41: 
        +45: ops@example.com: resolved warn
        +50: 
        +55: "#]],
    );
}

#[test]
fn a_submitter_hears_while_the_alert_is_held_and_not_only_at_its_end() {
    check_late(
        &rules_with_hold("30 min", "", ""),
        "ann",
        50,
        &[0, 45, 50, 55, 75, 80],
        expect![[r#"
        +0: ops@example.com: opened warn
        +45: 
        +50: ann@example.com: opened warn
        +55: 
        +75: ann@example.com: resolved warn; ops@example.com: resolved warn
        +80: "#]],
    );
    check_late(
        &rules_with_hold("3 h", "", ""),
        "ann",
        50,
        &[0, 45, 50, 55, 120],
        expect![[r#"
        +0: ops@example.com: opened warn
        +45: 
        +50: ann@example.com: opened warn
        +55: 
        +120: "#]],
    );
}

#[test]
fn what_others_bring_to_the_end_is_told_to_somebody_also_where_the_heavy_one_has_heard() {
    let policy = rules("", "");
    let mut all = gathered(&[("ann", "q", 50, 90)]);
    let first = plan_at(&policy, now(), &all, &Records::new(), true);
    assert_eq!(told(&first), "ann@example.com: opened warn");
    let records = delivered(first, now());
    let again = plan_at(&policy, now() + minutes(5), &all, &records, true);
    assert_eq!(told(&again), "", "as it is, she has heard of it");
    for i in 0..12 {
        let small = query(&format!("s{i}"), 1, 1);
        all.principals.insert(small.id.clone(), Principal::User { name: format!("u{i}") });
        all.executions.push(small);
    }
    let worse = plan_at(&policy, now() + minutes(5), &all, &records, true);
    assert_eq!(told(&worse), "ops@example.com: opened exhausted");
}

#[test]
fn a_mail_that_was_not_delivered_is_still_owed_while_the_alert_is_held() {
    let policy = rules_with_hold("30 min", "", "");
    let queries = gathered(&[("ann", "q", 20, 90)]);
    let undelivered = plan_at(&policy, now(), &queries, &Records::new(), false);
    assert_eq!(told(&undelivered), "ops@example.com: opened warn");
    let owners = rules_with_hold("30 min", "", "").with_limits(|limit| watchdog_core::policy::Limit {
        audience: watchdog_core::policy::Audience {
            warn: vec![watchdog_core::policy::Who::Admins],
            ..limit.audience.clone()
        },
        ..limit.clone()
    });
    let held = plan_at(&owners, now() + minutes(45), &queries, &undelivered.records, false);
    assert_eq!(told(&held), "ops@example.com: opened warn");
    let later = now() + minutes(50);
    assert_eq!(told(&plan_at(&owners, later, &queries, &delivered(held, later), false)), "", "and nobody is reminded");
}
