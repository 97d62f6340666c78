//! Exploration starves ETL, on the local AWS: queries that really run, the metrics as AWS publishes them, and the two mails that result.

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use aws_sdk_athena::types::ResultConfiguration;
use aws_sdk_iam::types::Tag;
use aws_sdk_servicequotas::operation::get_service_quota::GetServiceQuotaOutput;
use aws_sdk_servicequotas::types::ServiceQuota;
use aws_smithy_mocks::{RuleMode, mock, mock_client};
use expect_test::expect;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use watchdog_aws::dynamodb::Table;
use watchdog_core::submitter::{Reading, read_event};
use watchdog_tests::{Account, TABLE, story};

/// The five workgroups' default policy, as far as it is about this.
const POLICY: &str = r#"
[mail]
sender = "watchdog@example.com"
admins = ["ops@example.com"]
allowed_domains = ["example.com"]
[active_queries]
hold = "0 min"
[[workgroup]]
name = "predictable"
waiting = "2 min"
hold = "0 min"
[[workgroup]]
name = "exploratory"
audience = ["submitters", "admins"]
[[workgroup.limit]]
window = "1h"
limit = "700 GB"
"#;

/// Queries that run until they are let go: they read a pipe that nobody writes to. Few, for the local Athena has no more than six threads
/// for the queries of all tests.
struct Stuck {
    pipe: PathBuf,
    ids: Vec<String>,
}

impl Stuck {
    async fn start(account: &Account, workgroup: &str, n: usize) -> Self {
        let pipe = std::env::temp_dir().join(format!("watchdog-{}-{workgroup}.csv", std::process::id()));
        let _ = std::fs::remove_file(&pipe);
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let mut ids = Vec::new();
        for i in 0..n {
            let sql = format!("SELECT {i}, * FROM read_csv('{}', columns = {{'a': 'VARCHAR'}})", pipe.display());
            let place = ResultConfiguration::builder().output_location("s3://results/").build();
            let start = account.clients.athena.start_query_execution().work_group(workgroup);
            let start = start.query_string(sql).result_configuration(place).send().await.unwrap();
            ids.push(start.query_execution_id.unwrap());
        }
        Self { pipe, ids }
    }

    /// Lets them end.
    async fn release(self, account: &Account) {
        for _ in 0..100 {
            // Opened for both, which never blocks; whoever waits for a writer goes on, and finds the end when it is closed again.
            let writer = OpenOptions::new().read(true).write(true).open(&self.pipe).unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
            drop(writer);
            let all = account.clients.athena.batch_get_query_execution();
            let all = all.set_query_execution_ids(Some(self.ids.clone())).send().await.unwrap();
            let is_over = |e: &aws_sdk_athena::types::QueryExecution| {
                e.status().is_some_and(|status| status.completion_date_time().is_some())
            };
            if all.query_executions().iter().all(is_over) {
                break;
            }
        }
        let _ = std::fs::remove_file(&self.pipe);
    }
}

/// What the feed writes down of a query.
async fn submitted(account: &Account, query: &str, user: &str) {
    let text = include_str!("../../events/start-query-execution.json");
    let mut event: Value = serde_json::from_str(text).unwrap();
    event["detail"]["userIdentity"] =
        json!({"type": "IAMUser", "userName": user, "arn": format!("arn:aws:iam::123456789012:user/{user}")});
    event["detail"]["responseElements"]["queryExecutionId"] = json!(query);
    let Some(Ok(Reading::Submitted(submission))) = read_event(&event) else { panic!("{event}") };
    let table = Table { client: account.clients.dynamodb.clone(), name: TABLE.to_owned() };
    table.write_submission(&submission, Timestamp::now()).await.unwrap();
}

/// Service Quotas is not among the local services.
fn quota(most: f64) -> aws_sdk_servicequotas::Client {
    let get = mock!(aws_sdk_servicequotas::Client::get_service_quota).then_output(move || {
        GetServiceQuotaOutput::builder().quota(ServiceQuota::builder().value(most).build()).build()
    });
    mock_client!(aws_sdk_servicequotas, RuleMode::MatchAny, [&get])
}

#[tokio::test]
async fn exploration_starves_etl_and_two_people_hear_of_it() {
    let mut account = Account::new("exploration_starves_etl").await;
    account.policy("00-test", POLICY).await;
    for name in ["predictable", "exploratory"] {
        account.workgroup(name, true).await;
    }
    let tag = Tag::builder().key("email").value("ann@example.com").build().unwrap();
    account.clients.iam.create_user().user_name("ann").tags(tag).send().await.unwrap();
    account.clients.servicequotas = quota(200.0);
    let minutes = SignedDuration::from_mins;
    // Now and not in the past: what runs, runs now.
    let now = Timestamp::now();

    // A day like any other: between 30 and 70 %.
    account.active_queries("DML", now - minutes(2), 140.0).await;
    let (report, _) = account.run_at(now).await.unwrap();
    expect![[r#"
        exploratory/1h ok: 0 % used in the last hour, below 80 %
        active_queries DML ok: up to 140 of 200 active DML queries in the last 10 minutes, 70 %, below 80 %"#]]
    .assert_eq(&story(&Ok((report, Vec::new()))));

    let stuck = Stuck::start(&account, "exploratory", 4).await;
    for id in &stuck.ids {
        submitted(&account, id, "ann").await;
    }
    account.active_queries("DML", now - minutes(1), 198.0).await;
    account.waited("predictable", now - minutes(1), 312_000.0).await;
    let mut outcome = account.run_at(now + SignedDuration::from_secs(5)).await;
    // The local Athena knows no reservations; that costs a sentence and no alert.
    let warnings = std::mem::take(&mut outcome.as_mut().unwrap().0.warnings);
    assert!(warnings.iter().all(|w| w.starts_with("`athena:ListCapacityReservations` failed")), "{warnings:?}");
    expect![[r#"
        exploratory/1h ok: 0 % used in the last hour, below 80 %
        active_queries DML critical: up to 198 of 200 active DML queries in the last 10 minutes, 99 %, at or above 90 %: the next queries may be refused
        waiting predictable exhausted: queries are waiting: up to 5 min 12 s in the last 10 minutes, of at most 2 min
        sent ops@example.com: waiting/predictable opened exhausted, active/dml opened critical
        sent ann@example.com: active/dml opened critical"#]].assert_eq(&story(&outcome));
    let (report, mails) = outcome.unwrap();
    let holders: Vec<_> = report.active_queries.unwrap().workgroups;
    assert_eq!((holders[0].workgroup.as_str(), holders[0].running), ("exploratory", 4));
    let text = |to: &str| mails.iter().find(|mail| mail.to.as_str() == to).map(|mail| mail.text.clone()).unwrap();
    let (ops, ann) = (text("ops@example.com"), text("ann@example.com"));
    for said in [
        "With 2 more, the next queries will be refused, in every workgroup.",
        "All 4 that are active now are in exploratory.",
        "Queries in predictable are waiting: up to 5 min 12 s in the last 10 minutes",
        "– ann@example.com",
        &format!("aws athena stop-query-execution --region eu-central-1 --query-execution-id {}", stuck.ids[0])[..90],
    ] {
        assert!(ops.contains(said), "`{said}` not in\n{ops}");
    }
    assert!(ann.contains("4 of the 4 active queries are yours (100 %)."), "{ann}");
    assert!(ann.contains("Meanwhile queries are waiting in predictable (up to 5 min 12 s)"), "{ann}");
    assert!(stuck.ids.iter().all(|id| ann.contains(&format!("query-editor/history/{id}"))), "{ann}");

    // Nobody twice; and both hear of the end, when the burst has left the time that is looked at.
    assert!(account.run_at(now + SignedDuration::from_secs(10)).await.unwrap().0.sent.is_empty());
    stuck.release(&account).await;
    let outcome = account.run_at(now + minutes(20)).await;
    expect![[r#"
        exploratory/1h ok: 0 % used in the last hour, below 80 %
        sent ops@example.com: waiting/predictable resolved exhausted, active/dml resolved critical
        sent ann@example.com: active/dml resolved critical"#]]
    .assert_eq(&story(&outcome));
}
