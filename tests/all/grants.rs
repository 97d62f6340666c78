//! A grant's whole life on the local AWS: asked for, approved by somebody else, carried out, used, taken back and told; and a silence.

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use expect_test::expect;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use watchdog_aws::asking::{Desk, ask};
use watchdog_aws::athena::cutoff::{cutoff, set_cutoff};
use watchdog_aws::dynamodb::Table;
use watchdog_aws::gather::PolicySource;
use watchdog_aws::operator::asking::signed;
use watchdog_core::bytes::Bytes;
use watchdog_core::grant::cutoff::Live;
use watchdog_core::report::Answer;
use watchdog_core::request::Event;
use watchdog_tests::{Account, POLICY_PATH, TABLE, story};

const POLICY: &str = r#"
[mail]
sender = "watchdog@example.com"
admins = ["ann@example.com"]
allowed_domains = ["example.com"]

[grants]
granters = ["root", "role/lead"]
workgroups = ["ad-hoc"]
highest_limit = "5 TB"
highest_per_query = "1 TB"
longest = "8h"
second_approver = true

[silences]
silencers = ["role/lead"]
longest = "8h"

[[workgroup]]
name = "ad-hoc"
per_query_cutoff = "10 GB"
hold = "0 min"
[[workgroup.limit]]
window = "1h"
limit = "10 GB"
"#;

fn minutes(n: i64) -> SignedDuration {
    SignedDuration::from_mins(n)
}

async fn asked(account: &Account, config: &SdkConfig, wish: Value, now: Timestamp) -> Answer {
    let mut request = wish;
    request["to"] = json!("watchdog");
    let event = signed(config, &request.to_string(), now).await.unwrap();
    let desk = Desk {
        function: "watchdog".to_owned(),
        account: account.number.clone(),
        sts: account.config.endpoint_url().unwrap().to_owned(),
        policy: PolicySource::Parameters(POLICY_PATH.to_owned()),
        table: Table { client: account.clients.dynamodb.clone(), name: TABLE.to_owned() },
        run_id: format!("ask-{}", request["id"]),
        deadline: now + minutes(1),
    };
    ask(&account.clients, &desk, &Event::parse(&event).unwrap().unwrap(), now).await.unwrap()
}

#[tokio::test]
async fn a_grant_is_approved_carried_out_and_taken_back() {
    let mut account = Account::new("a_grant_is_approved_carried_out_and_taken_back").await;
    account.policy("00-test", POLICY).await;
    account.workgroup("ad-hoc", true).await;
    let gb = |n: u64| Some(Bytes::new(n * 1_000_000_000));
    set_cutoff(&account.clients.athena, "ad-hoc", gb(10)).await.unwrap();
    // Somebody else than the account's root, which the account's own key is here.
    let iam = aws_sdk_iam::Client::new(&account.config);
    let trust = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Principal": { "AWS": "*" }, "Action": "sts:AssumeRole" }] });
    iam.create_role().role_name("lead").assume_role_policy_document(trust.to_string()).send().await.unwrap();
    let sts = watchdog_aws::operator::Operator::new(&account.config).sts;
    let role = format!("arn:aws:iam::{}:role/lead", account.number);
    let session = sts.assume_role().role_arn(role).role_session_name("bob").send().await.unwrap().credentials.unwrap();
    let token = Some(session.session_token);
    let credentials = Credentials::new(session.access_key_id, session.secret_access_key, token, None, "test");
    let bob = account.config.to_builder();
    let bob = bob.credentials_provider(SharedCredentialsProvider::new(credentials)).build();
    let root = account.config.clone();

    // A signature for STS is good for five minutes before and after: so what is asked in the next three is asked now, from the nearest border
    // of five minutes on, and what comes of it lies ahead.
    let now = Timestamp::now().as_second();
    let t = Timestamp::from_second((now + 60) / 300 * 300).unwrap();
    let live = |account: &Account| {
        let athena = account.clients.athena.clone();
        async move { cutoff(&athena, "ad-hoc").await.unwrap() }
    };
    let wish =
        json!({ "workgroup": "ad-hoc", "limit": "2 TB", "per_query": "500 GB", "for": "1h", "reason": "backfill" });
    let answer = asked(&account, &root, json!({ "id": "g-one", "grant": wish }), t).await;
    assert_eq!(answer.refused, None);
    assert_eq!(answer.grants[0].phase, "pending");
    assert_eq!(live(&account).await, Live::Is(gb(10)), "nothing is raised before somebody approves");
    let mut told = vec![story(&account.run_at(t).await)];
    let own = asked(&account, &root, json!({ "id": "a-own", "approve": { "grant": "g-one" } }), t + minutes(1)).await;
    assert!(own.refused.unwrap().contains("somebody else has to approve it"));
    let answer = asked(&account, &bob, json!({ "id": "a-one", "approve": { "grant": "g-one" } }), t + minutes(2)).await;
    assert_eq!(answer.refused, None);
    assert!(answer.grants[0].per_query_raised, "{answer:?}");
    assert_eq!(live(&account).await, Live::Is(gb(500)));

    // Of the limit, until 95 minutes from now: what is silenced is what opens meanwhile.
    let silence = json!({ "alert": "ad-hoc/1h", "for": "92 min", "reason": "known" });
    let answer = asked(&account, &bob, json!({ "id": "s-one", "silence": silence }), t + minutes(3)).await;
    assert_eq!(answer.refused, None);

    account.use_bytes("ad-hoc", t + minutes(3), 900e9).await;
    told.push(story(&account.run_at(t + minutes(5)).await));
    // As an update of the stack does.
    set_cutoff(&account.clients.athena, "ad-hoc", gb(10)).await.unwrap();
    told.push(story(&account.run_at(t + minutes(10)).await));
    assert_eq!(live(&account).await, Live::Is(gb(500)));
    told.push(story(&account.run_at(t + minutes(50)).await));
    told.push(story(&account.run_at(t + minutes(60)).await));
    assert_eq!(live(&account).await, Live::Is(gb(10)));
    // The usual limit, and what was scanned in the grant is not held against it.
    account.use_bytes("ad-hoc", t + minutes(62), 9.6e9).await;
    told.push(story(&account.run_at(t + minutes(65)).await));
    told.push(story(&account.run_at(t + minutes(95)).await));
    expect![[r#"
        ad-hoc/1h ok: 0 % used in the last hour, below 80 %
        sent ann@example.com: grant/ad-hoc/g-one opened asked for
        --
        ad-hoc/1h ok: 45 % used in the last hour, below 80 %; raised by root until THEN, usually 10 GB
        sent ann@example.com: grant/ad-hoc/g-one escalated granted
        --
        ad-hoc/1h ok: 45 % used in the last hour, below 80 %; raised by root until THEN, usually 10 GB
        --
        ad-hoc/1h ok: 45 % used in the last hour, below 80 %; raised by root until THEN, usually 10 GB
        sent ann@example.com: grant/ad-hoc/g-one escalated ends soon
        --
        ad-hoc/1h ok: 0 % used in the last hour, below 80 %; counted since the grant ended at THEN
        sent ann@example.com: grant/ad-hoc/g-one resolved ends soon
        --
        ad-hoc/1h critical: 96 % used in the last hour, at or above 95 %; counted since the grant ended at THEN
        --
        ad-hoc/1h critical: 96 % used in the last hour, at or above 95 %; counted since the grant ended at THEN
        sent ann@example.com: limit/ad-hoc/1h opened critical"#]]
    .assert_eq(&told.join("\n--\n").replace(&(t + minutes(60)).to_string(), "THEN"));
    let (report, _) = account.run_at(t + minutes(100)).await.unwrap();
    assert!(report.grants.is_empty() && report.silences.is_empty());
    // A run costs what it cost before there were grants: six calls, and one to see what runs where a limit is nearly used.
    assert_eq!(report.calls.values().sum::<u32>(), 6 + 1, "{:?}", report.calls);
    assert_eq!(report.calls["athena:ListQueryExecutions"], 1);
}
