//! Submitters on the local AWS: queries that really ran, users with real tags, and CloudTrail's records as the feed brings them.
//!
//! The local CloudTrail keeps no answers of calls and takes every caller for an IAM user, so it has no record of a query, just as the real one has
//! none in the first minutes. The records come through the feed instead, in the form of `events/start-query-execution.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use aws_sdk_athena::types::ResultConfiguration;
use aws_sdk_iam::types::Tag;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use watchdog_aws::dynamodb::Table;
use watchdog_core::mail::Mail;
use watchdog_core::submitter::{Reading, read_event};
use watchdog_tests::{Account, TABLE};

async fn user(account: &Account, name: &str, address: &str) {
    let tag = Tag::builder().key("email").value(address).build().unwrap();
    account.clients.iam.create_user().user_name(name).tags(tag).send().await.unwrap();
}

/// Runs a query to its end; its id and what it scanned.
async fn query(account: &Account, sql: &str) -> (String, u64) {
    let athena = &account.clients.athena;
    let place = ResultConfiguration::builder().output_location("s3://results/").build();
    let start = athena.start_query_execution().work_group("exploratory").query_string(sql).result_configuration(place);
    let id = start.send().await.unwrap().query_execution_id.unwrap();
    for _ in 0..200 {
        let answer = athena.get_query_execution().query_execution_id(&id).send().await.unwrap();
        let execution = answer.query_execution.unwrap();
        if execution.status().and_then(|status| status.completion_date_time()).is_some() {
            let scanned = execution.statistics().and_then(|s| s.data_scanned_in_bytes()).unwrap();
            return (id, u64::try_from(scanned).unwrap());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("`{sql}` does not end")
}

/// What the function does with an event of the feed.
async fn feed(account: &Account, query: &str, identity: Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events/start-query-execution.json");
    let mut event: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    event["detail"]["userIdentity"] = identity;
    event["detail"]["responseElements"]["queryExecutionId"] = json!(query);
    let Some(Ok(Reading::Submitted(submission))) = read_event(&event) else { panic!("{event}") };
    let table = Table { client: account.clients.dynamodb.clone(), name: TABLE.to_owned() };
    table.write_submission(&submission, Timestamp::now()).await.unwrap();
}

fn iam_user(name: &str) -> Value {
    json!({"type": "IAMUser", "userName": name, "arn": format!("arn:aws:iam::123456789012:user/{name}")})
}

#[tokio::test]
async fn the_right_two_people_get_the_right_mail() {
    let mut account = Account::new("the_right_two_people_get_the_right_mail").await;
    account.workgroup("exploratory", true).await;
    user(&account, "ann", "ann@example.com").await;
    user(&account, "bob", "bob@example.com").await;
    let (ann, ann_bytes) = query(&account, "SELECT range FROM range(4000)").await;
    let (bob, bob_bytes) = query(&account, "SELECT range + 1 FROM range(3000)").await;
    let (ceo, ceo_bytes) = query(&account, "SELECT range + 2 FROM range(2000)").await;
    let all = ann_bytes + bob_bytes + ceo_bytes;
    assert!(ann_bytes > bob_bytes && bob_bytes > ceo_bytes && ceo_bytes > 0, "{ann_bytes} {bob_bytes} {ceo_bytes}");
    let policy = format!(
        "[mail]\nsender = \"watchdog@example.com\"\nadmins = [\"ops@example.com\"]\nallowed_domains = [\"example.com\"]\n\
         [submitters]\nbytes_floor = \"1 B\"\n\
         [[workgroup]]\nname = \"exploratory\"\naudience = [\"submitters\"]\n\
         [[workgroup.limit]]\nwindow = \"1h\"\nlimit = \"{all} B\"\n"
    );
    account.policy("00-test", &policy).await;
    let now = Timestamp::now();
    #[expect(clippy::cast_precision_loss, reason = "some kilobytes")]
    account.use_bytes("exploratory", now, all as f64).await;

    // No record yet: the admins hear at once.
    let tick = now + SignedDuration::from_secs(2);
    let (report, mails) = account.run_at(tick).await.unwrap();
    assert_eq!(recipients(&mails), ["ops@example.com".to_owned()].into(), "{report:?}");
    let sought = &report.submitters[0];
    assert_eq!((sought.queries, sought.named, sought.difference_bytes), (3, 0, Some(0)), "{sought:?}");

    // The records come.
    feed(&account, &ann, iam_user("ann")).await;
    feed(&account, &bob, iam_user("bob")).await;
    let session = json!({
        "type": "AssumedRole", "principalId": "AROAX:ceo@example.com",
        "arn": "arn:aws:sts::123456789012:assumed-role/analyst/ceo@example.com",
        "sessionContext": {"sessionIssuer": {"userName": "analyst", "arn": "arn:aws:iam::123456789012:role/analyst"}},
    });
    feed(&account, &ceo, session).await;
    let (report, mails) = account.run_at(tick + SignedDuration::from_secs(10)).await.unwrap();
    let expected = ["ann@example.com", "bob@example.com"].map(str::to_owned);
    assert_eq!(recipients(&mails), expected.into(), "not the one whose name a session bears: {report:?}");
    let texts: BTreeMap<&str, &str> = mails.iter().map(|mail| (mail.to.as_str(), mail.text.as_str())).collect();
    for (to, own, others) in [("ann@example.com", &ann, [&bob, &ceo]), ("bob@example.com", &bob, [&ann, &ceo])] {
        assert!(texts[to].contains(own.as_str()), "{}", texts[to]);
        assert!(others.iter().all(|other| !texts[to].contains(other.as_str())), "{}", texts[to]);
    }
    let sought = &report.submitters[0];
    assert_eq!((sought.queries, sought.named, sought.people), (3, 2, 2));
    assert_eq!(sought.unnamed, [("ordinary_role", 1)].into());

    // And nobody twice.
    let (_, mails) = account.run_at(tick + SignedDuration::from_secs(20)).await.unwrap();
    assert_eq!(recipients(&mails), BTreeSet::new());
}

fn recipients(mails: &[Mail]) -> BTreeSet<String> {
    mails.iter().map(|mail| mail.to.to_string()).collect()
}
