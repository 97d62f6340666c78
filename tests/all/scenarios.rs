//! Stories of several runs at chosen times, in an account of their own, with every AWS service real but local.

use expect_test::{Expect, expect};
use jiff::{SignedDuration, Timestamp};
use watchdog_aws::dynamodb::{Lease, Table};
use watchdog_core::event::{Invocation, Source};
use watchdog_tests::{Account, SENDER, TABLE, story};

/// Not long ago, because CloudWatch takes no datapoints older than two weeks; on a bucket border.
fn start() -> Timestamp {
    let now = Timestamp::now().as_second();
    Timestamp::from_second(now / 300 * 300 - 12 * 3600).unwrap()
}

fn minutes(n: i64) -> SignedDuration {
    SignedDuration::from_mins(n)
}

const GB: f64 = 1e9;

const POLICY: &str = r#"
[mail]
sender = "watchdog@example.com"
admins = ["ann@example.com", "bob@example.com"]
allowed_domains = ["example.com"]

[defaults]
hold = "0 min"

[[workgroup]]
name = "exploratory"
[[workgroup.limit]]
window = "1h"
limit = "100 GB"
"#;

async fn account(test: &str) -> Account {
    let account = Account::new(test).await;
    account.policy("00-test", POLICY).await;
    account.workgroup("exploratory", true).await;
    account
}

async fn check(account: &mut Account, at: Timestamp, expected: Expect) {
    let outcome = account.run_at(at).await;
    expected.assert_eq(&story(&outcome));
}

#[tokio::test]
async fn an_alert_opens_escalates_repeats_and_resolves() {
    let mut account = account("an_alert_opens_escalates_repeats_and_resolves").await;
    let t = start();
    check(&mut account, t, expect!["exploratory/1h ok: 0 % used in the last hour, below 80 %"]).await;

    account.use_bytes("exploratory", t + minutes(1), 82.0 * GB).await;
    check(
        &mut account,
        t + minutes(5),
        expect![[r#"
        exploratory/1h warn: 82 % used in the last hour, at or above 80 %
        sent ann@example.com: limit/exploratory/1h opened warn
        sent bob@example.com: limit/exploratory/1h opened warn"#]],
    )
    .await;
    // The same tick once more, as a retry would bring it.
    let again = account.run_at(t + minutes(5)).await.unwrap().0;
    assert!(again.skipped.unwrap().contains("has been judged already"));
    check(&mut account, t + minutes(10), expect!["exploratory/1h warn: 82 % used in the last hour, at or above 80 %"])
        .await;

    account.use_bytes("exploratory", t + minutes(11), 20.0 * GB).await;
    check(
        &mut account,
        t + minutes(15),
        expect![[r#"
        exploratory/1h exhausted: 102 % used in the last hour, the limit is gone
        sent ann@example.com: limit/exploratory/1h escalated exhausted
        sent bob@example.com: limit/exploratory/1h escalated exhausted"#]],
    )
    .await;

    // Kept at the limit for four hours: a reminder. Then it leaves the window, and is over.
    for hour in 1..5 {
        account.use_bytes("exploratory", t + minutes(11 + 50 * hour), 101.0 * GB).await;
    }
    check(
        &mut account,
        t + minutes(4 * 60 + 10),
        expect!["exploratory/1h exhausted: 101 % used in the last hour, the limit is gone"],
    )
    .await;
    check(
        &mut account,
        t + minutes(4 * 60 + 15),
        expect![[r#"
        exploratory/1h exhausted: 101 % used in the last hour, the limit is gone
        sent ann@example.com: limit/exploratory/1h repeated exhausted
        sent bob@example.com: limit/exploratory/1h repeated exhausted"#]],
    )
    .await;
    check(
        &mut account,
        t + minutes(4 * 60 + 35),
        expect![[r#"
        exploratory/1h ok: 0 % used in the last hour, below 80 %
        sent ann@example.com: limit/exploratory/1h resolved exhausted
        sent bob@example.com: limit/exploratory/1h resolved exhausted"#]],
    )
    .await;
    check(&mut account, t + minutes(4 * 60 + 40), expect!["exploratory/1h ok: 0 % used in the last hour, below 80 %"])
        .await;
}

#[tokio::test]
async fn an_unverified_sender_fails_the_run_and_the_mail_is_sent_when_it_can_be() {
    let mut account = account("an_unverified_sender").await;
    account.unverify(SENDER).await;
    let t = start();
    account.use_bytes("exploratory", t - minutes(9), 96.0 * GB).await;
    let outcome = account.run_at(t).await;
    let told = story(&outcome);
    assert!(told.starts_with("failed DeliveryFailed: 2 of 2 mails could not be delivered"), "{told}");
    assert!(
        told.contains("MessageRejected") && told.contains("owed ann@example.com: limit/exploratory/1h opened critical"),
        "{told}"
    );
    // Lambda's retry of the same event tries again, and so does the next run.
    assert!(account.run_at(t).await.is_err());
    account.verify(SENDER).await;
    check(
        &mut account,
        t + minutes(5),
        expect![[r#"
        exploratory/1h critical: 96 % used in the last hour, at or above 95 %
        sent ann@example.com: limit/exploratory/1h opened critical
        sent bob@example.com: limit/exploratory/1h opened critical"#]],
    )
    .await;
}

#[tokio::test]
async fn what_cannot_be_seen_is_told_once_and_is_not_zero() {
    let mut account = account("what_cannot_be_seen").await;
    account.workgroup("quiet", false).await;
    account.workgroup("closed", true).await;
    account.enabled("closed", false).await;
    let limit = "[[workgroup.limit]]\nwindow = \"24h\"\nlimit = \"1 TB\"\n";
    let more = ["quiet", "closed", "nowhere"].map(|name| format!("[[workgroup]]\nname = \"{name}\"\n{limit}")).concat();
    account.policy("50-more", &more).await;
    let t = start();
    check(&mut account, t, expect![[r#"
        closed/24h unknown: the workgroup is disabled
        exploratory/1h ok: 0 % used in the last hour, below 80 %
        nowhere/24h unknown: there is no workgroup of this name
        quiet/24h unknown: the workgroup publishes no metrics to CloudWatch
        sent ann@example.com: sight/closed opened cannot see, sight/nowhere opened cannot see, sight/quiet opened cannot see
        sent bob@example.com: sight/closed opened cannot see, sight/nowhere opened cannot see, sight/quiet opened cannot see"#]]).await;
    check(
        &mut account,
        t + minutes(5),
        expect![[r#"
        closed/24h unknown: the workgroup is disabled
        exploratory/1h ok: 0 % used in the last hour, below 80 %
        nowhere/24h unknown: there is no workgroup of this name
        quiet/24h unknown: the workgroup publishes no metrics to CloudWatch"#]],
    )
    .await;
    account.metrics("quiet", true).await;
    account.enabled("closed", true).await;
    account.workgroup("nowhere", true).await;
    check(
        &mut account,
        t + minutes(20),
        expect![[r#"
            closed/24h ok: 0 % used in the last 24 hours, below 80 %
            exploratory/1h ok: 0 % used in the last hour, below 80 %
            nowhere/24h ok: 0 % used in the last 24 hours, below 80 %
            quiet/24h unknown: it has not been looked at yet
            sent ann@example.com: sight/closed resolved cannot see, sight/nowhere resolved cannot see
            sent bob@example.com: sight/closed resolved cannot see, sight/nowhere resolved cannot see"#]],
    )
    .await;
    // That metrics were switched on is known now, and what they say from the next run on.
    check(
        &mut account,
        t + minutes(25),
        expect![[r#"
        closed/24h ok: 0 % used in the last 24 hours, below 80 %
        exploratory/1h ok: 0 % used in the last hour, below 80 %
        nowhere/24h ok: 0 % used in the last 24 hours, below 80 %
        quiet/24h ok: 0 % used in the last 24 hours, below 80 %
        sent ann@example.com: sight/quiet resolved cannot see
        sent bob@example.com: sight/quiet resolved cannot see"#]],
    )
    .await;
}

#[tokio::test]
async fn a_broken_policy_leaves_the_last_valid_one_in_force() {
    let mut account = account("a_broken_policy").await;
    let t = start();
    account.run_at(t).await.unwrap();
    account.policy("00-test", &POLICY.replace("100 GB", "100")).await;
    account.use_bytes("exploratory", t + minutes(1), 85.0 * GB).await;
    check(
        &mut account,
        t + minutes(5),
        expect![[r#"
        exploratory/1h warn: 85 % used in the last hour, at or above 80 %
        sent ann@example.com: policy opened cannot see, limit/exploratory/1h opened warn
        sent bob@example.com: policy opened cannot see, limit/exploratory/1h opened warn"#]],
    )
    .await;
    let (report, _) = account.run_at(t + minutes(10)).await.unwrap();
    let policy = report.policy.unwrap();
    assert_eq!(policy.standing, "last_valid");
    expect![[
        r#"00-test:14:9: `limit`: `100` has no unit: write for example `100 GB` (10^9 bytes) or `100 GiB` (2^30 bytes)"#
    ]]
    .assert_eq(&policy.problems.join("\n"));
    assert!(report.sent.is_empty());
    account.policy("00-test", POLICY).await;
    check(
        &mut account,
        t + minutes(15),
        expect![[r#"
        exploratory/1h warn: 85 % used in the last hour, at or above 80 %
        sent ann@example.com: policy resolved cannot see
        sent bob@example.com: policy resolved cannot see"#]],
    )
    .await;
}

#[tokio::test]
async fn without_policy_or_table_a_run_fails_with_one_clear_error() {
    let mut account = Account::new("without_policy_or_table").await;
    let t = start();
    check(&mut account, t, expect!["failed PolicyMissing: there is no policy in the SSM parameters under `/watchdog/test/policy`: store one as a parameter below that path"]).await;
    account.policy("00-test", "[mail]\nadmins = []\n").await;
    check(&mut account, t, expect![[r#"
        failed PolicyInvalid: the policy in the SSM parameters under `/watchdog/test/policy` has 4 problems, and no earlier valid one is remembered:
        `[mail]` has no `allowed_domains`: write `allowed_domains = ["example.com"]`; mail goes nowhere else
        `[mail]` has no `sender`: write an address that SES has verified, `sender = "watchdog@example.com"`
        the policy has no `[[workgroup]]`: nothing would be watched; add one, with `name = "*"` for all workgroups
        00-test:2:10: `admins` is empty: somebody must hear of it; write `admins = ["ops@example.com"]`"#]]).await;
    account.policy("00-test", POLICY).await;
    account.clients.dynamodb.delete_table().table_name(TABLE).send().await.unwrap();
    let told = story(&account.run_at(t).await);
    assert!(told.starts_with("failed LedgerUnavailable: the state table `watchdog-state` cannot be used: `dynamodb:UpdateItem` failed with `ResourceNotFoundException`"), "{told}");
}

#[tokio::test]
async fn one_run_at_a_time_and_ticks_never_go_back() {
    let mut account = account("one_run_at_a_time").await;
    let t = start();
    let table = Table { client: account.clients.dynamodb.clone(), name: TABLE.to_owned() };
    // Somebody else is at work: nothing is judged, and that is no failure.
    let lease = table.acquire("other", t, t, t + minutes(1)).await.unwrap();
    assert_eq!(lease, Lease::Taken { last_tick: None, learnt: None });
    let (report, _) = account.run_at(t).await.unwrap();
    assert!(report.skipped.unwrap().starts_with("another run is at work"));
    // Its lease has run out: it is dead, and this run goes on.
    assert!(account.run_at(t + minutes(5)).await.unwrap().0.skipped.is_none());
    // An event that comes two hours late is judged at its own time where nothing later was judged, and not at all otherwise.
    let late = Invocation { dry_run: false, source: Source::Rule, time: Some(t + minutes(60)) };
    account.use_bytes("exploratory", t + minutes(55), 90.0 * GB).await;
    let (report, _) = account.run(&late, t + minutes(180)).await.unwrap();
    assert_eq!((report.as_of, report.limits[0].level), (t + minutes(60), "warn"));
    let older = Invocation { time: Some(t + minutes(30)), ..late };
    assert!(account.run(&older, t + minutes(180)).await.unwrap().0.skipped.unwrap().contains("judged already"));
}

#[tokio::test]
async fn a_retry_of_an_older_tick_after_a_failed_run_tells_nobody_of_the_past() {
    let mut account = account("a_retry_of_an_older_tick").await;
    let t = start();
    account.unverify(SENDER).await;
    account.use_bytes("exploratory", t + minutes(1), 90.0 * GB).await;
    // Both fail: nobody can be told. Then SES is mended, and Lambda retries the older event first.
    assert!(account.run_at(t + minutes(5)).await.is_err());
    assert!(account.run_at(t + minutes(10)).await.is_err());
    account.verify(SENDER).await;
    let (report, _) = account.run_at(t + minutes(5)).await.unwrap();
    assert!(report.skipped.unwrap().contains("is in the past"));
    let (report, _) = account.run_at(t + minutes(10)).await.unwrap();
    assert_eq!(report.sent.len(), 2, "what is owed is still owed");
}

#[tokio::test]
async fn a_tick_of_a_clock_that_was_ahead_holds_nobody_up() {
    let mut account = account("a_clock_that_was_ahead").await;
    let t = start();
    account.run_at(t + minutes(60)).await.unwrap();
    assert!(account.run_at(t).await.unwrap().0.skipped.is_none());
}

#[tokio::test]
async fn an_item_that_is_broken_down_to_its_revision_is_told_again_and_mended() {
    use aws_sdk_dynamodb::types::AttributeValue;
    let mut account = account("broken_down_to_its_revision").await;
    let t = start();
    account.use_bytes("exploratory", t - minutes(5), 90.0 * GB).await;
    let text = |value: &str| AttributeValue::S(value.to_owned());
    let put = account.clients.dynamodb.put_item().table_name(TABLE);
    put.item("pk", text("ledger")).item("sk", text("alert#limit/exploratory/1h")).send().await.unwrap();
    let (report, _) = account.run_at(t).await.unwrap();
    assert_eq!((report.sent.len(), report.warnings.len()), (2, 1), "{report:?}");
    let (report, _) = account.run_at(t + minutes(5)).await.unwrap();
    assert_eq!((report.sent.len(), report.warnings.len()), (0, 0), "{report:?}");
}

#[tokio::test]
async fn two_runs_of_one_tick_at_once_tell_everybody_once() {
    let account = account("two_runs_at_once").await;
    let t = start();
    account.use_bytes("exploratory", t - minutes(5), 90.0 * GB).await;
    let invocation = Invocation { dry_run: false, source: Source::Scheduler, time: Some(t) };
    let run = |id: &'static str| {
        let (settings, invocation, clients) = (account.settings(id), invocation.clone(), account.clients.clone());
        async move {
            let mut catalogue = watchdog_core::catalogue::Catalogue::default();
            watchdog_aws::pass::run(&clients, &settings, &mut catalogue, &invocation, t).await.unwrap().0
        }
    };
    let (a, b) = tokio::join!(run("a"), run("b"));
    assert_eq!(a.sent.len() + b.sent.len(), 2, "{a:?}\n{b:?}");
    assert_eq!(usize::from(a.skipped.is_some()) + usize::from(b.skipped.is_some()), 1);
}

#[tokio::test]
async fn a_dry_run_says_what_it_would_do_and_changes_nothing() {
    let mut account = account("a_dry_run").await;
    let t = start();
    account.use_bytes("exploratory", t - minutes(5), 90.0 * GB).await;
    let dry = Invocation { dry_run: true, source: Source::Person, time: None };
    for _ in 0..2 {
        let outcome = account.run(&dry, t).await;
        let writes = |calls: &str| ["Update", "Put", "Write", "Send"].iter().any(|w| calls.contains(w));
        assert!(!outcome.as_ref().unwrap().0.calls.keys().any(|call| writes(call)));
        expect![[r#"
            exploratory/1h warn: 90 % used in the last hour, at or above 80 %
            would send ann@example.com: limit/exploratory/1h opened warn
            would send bob@example.com: limit/exploratory/1h opened warn"#]]
        .assert_eq(&story(&outcome));
    }
    assert_eq!(account.run_at(t).await.unwrap().0.sent.len(), 2);
}

#[tokio::test]
async fn a_quiet_run_of_five_workgroups_takes_six_calls() {
    let mut account = account("a_quiet_run").await;
    let mut more = String::new();
    for name in ["predictable", "fast-query", "long-query", "ad-hoc"] {
        account.workgroup(name, true).await;
        more.push_str(&format!(
            "[[workgroup]]\nname = \"{name}\"\n[[workgroup.limit]]\nwindow = \"1h\"\nlimit = \"1 TB\"\n"
        ));
        more.push_str("[[workgroup.limit]]\nwindow = \"24h\"\nlimit = \"9 TB\"\n");
    }
    account.policy("50-more", &more).await;
    let t = start();
    account.run_at(t).await.unwrap();
    let (report, _) = account.run_at(t + minutes(5)).await.unwrap();
    assert_eq!(report.limits.len(), 9);
    let calls: Vec<_> = report.calls.iter().map(|(call, n)| format!("{call} {n}")).collect();
    expect![[r#"
        athena:ListWorkGroups 1
        cloudwatch:GetMetricData 1
        dynamodb:Query 1
        dynamodb:UpdateItem 2
        ssm:GetParametersByPath 1"#]]
    .assert_eq(&calls.join("\n"));
}

#[tokio::test]
async fn in_a_large_account_a_workgroup_that_was_just_made_is_seen_at_once() {
    let mut account = account("in_a_large_account").await;
    for i in 0..60 {
        account.workgroup(&format!("team-{i}"), true).await;
    }
    let rule = |name: &str| {
        format!("[[workgroup]]\nname = \"{name}\"\n[[workgroup.limit]]\nwindow = \"1h\"\nlimit = \"1 TB\"\n")
    };
    account.policy("50-more", &[rule("team-*"), rule("new"), rule("never-made")].concat()).await;
    account.workgroup("new", true).await;
    let t = start();
    let (report, _) = account.run_at(t).await.unwrap();
    assert_eq!((report.limits.len(), report.unknown_limits()), (63, 1), "{:?}", report.unseen);
    // The list is not read again for a quarter of an hour, and still nobody is told of a workgroup that is there.
    account.policy("60-newer", &rule("newer")).await;
    account.workgroup("newer", true).await;
    let (report, _) = account.run_at(t + minutes(5)).await.unwrap();
    assert!(!report.calls.contains_key("athena:ListWorkGroups"), "{:?}", report.calls);
    let unseen: Vec<&str> = report.unseen.iter().map(|u| u.workgroup.as_str()).collect();
    assert_eq!((report.limits.len(), unseen), (64, vec!["never-made"]));
    assert!(report.sent.is_empty(), "{:?}", report.sent);
}

#[tokio::test]
async fn a_record_of_a_newer_version_costs_a_repeat_and_never_an_alert() {
    let mut account = account("a_newer_record").await;
    let t = start();
    account.use_bytes("exploratory", t - minutes(5), 90.0 * GB).await;
    account.run_at(t).await.unwrap();
    let key = |value: &str| aws_sdk_dynamodb::types::AttributeValue::S(value.to_owned());
    let update = account.clients.dynamodb.update_item().table_name(TABLE);
    let update = update.key("pk", key("ledger")).key("sk", key("alert#limit/exploratory/1h"));
    let update =
        update.update_expression("SET body = :b").expression_attribute_values(":b", key(r#"{"v":2,"all":"new"}"#));
    update.send().await.unwrap();
    check(
        &mut account,
        t + minutes(5),
        expect![[r#"
        exploratory/1h warn: 90 % used in the last hour, at or above 80 %
        sent ann@example.com: limit/exploratory/1h opened warn
        sent bob@example.com: limit/exploratory/1h opened warn
        warning: the alert `limit/exploratory/1h`: it has version 2, and this watchdog reads up to 1"#]],
    )
    .await;
    check(&mut account, t + minutes(10), expect!["exploratory/1h warn: 90 % used in the last hour, at or above 80 %"])
        .await;
}

/// Eight days of ordinary work, with a run after each midnight by a process that has started anew: the limit itself is what is wrong, and
/// the mail about it says so.
#[tokio::test]
async fn a_limit_that_ordinary_work_passes_is_told_of_as_wrong() {
    let mut account = account("a_limit_that_ordinary_work_passes_is_told_of_as_wrong").await;
    let midnight = |n: i64| Timestamp::from_second((Timestamp::now().as_second() / 86_400 - 8 + n) * 86_400).unwrap();
    for n in 0..7 {
        account
            .use_bytes("exploratory", midnight(n) + minutes(12 * 60), if n % 2 == 0 { 130.0 } else { 20.0 } * GB)
            .await;
    }
    for n in 1..=7 {
        account.catalogue = Default::default();
        let (report, _) = account.run_at(midnight(n) + minutes(5)).await.unwrap();
        assert_eq!(report.misfits.len(), usize::from(n == 7), "day {n}: {:?}", report.misfits);
    }
    account.use_bytes("exploratory", midnight(7) + minutes(6), 85.0 * GB).await;
    let (report, mails) = account.run_at(midnight(7) + minutes(10)).await.unwrap();
    assert_eq!((report.misfits[0].misfit, report.misfits[0].workgroup.as_str()), ("too_low", "exploratory"));
    let words = "It was passed on 4 of the last 7 days, by ordinary work: the limit looks too low. About 144.1 GB would have held";
    assert!(mails[0].text.split_whitespace().collect::<Vec<_>>().join(" ").contains(words), "{}", mails[0].text);
    assert!(mails[0].html.contains("the limit looks too low"), "{}", mails[0].html);
}
