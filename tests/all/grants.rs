//! A grant's whole life on the local AWS: asked for, approved by somebody else, carried out, used, taken back and told; and a silence. And
//! with a process that dies at any of its calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use expect_test::expect;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use watchdog_aws::asking::{Desk, ask};
use watchdog_aws::athena::cutoff::{cutoff, set_cutoff};
use watchdog_aws::clients::Clients;
use watchdog_aws::dynamodb::Table;
use watchdog_aws::gather::PolicySource;
use watchdog_aws::granting::carry_out;
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

/// At which call of a story a process dies, and whether AWS has had the call.
#[derive(Debug, Clone, Copy)]
struct Death {
    at: usize,
    after: bool,
}

/// The way to AWS of a process that dies: the call does not come back, and nobody is there any more to make another one.
#[derive(Debug, Clone)]
struct Mortal {
    inner: SharedHttpClient,
    fate: Arc<Fate>,
}

#[derive(Debug)]
struct Fate {
    death: Option<Death>,
    calls: AtomicUsize,
    died: tokio::sync::Notify,
}

#[derive(Debug)]
struct MortalConnector {
    inner: SharedHttpConnector,
    fate: Arc<Fate>,
}

impl HttpClient for Mortal {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(MortalConnector { inner, fate: self.fate.clone() })
    }
}

impl HttpConnector for MortalConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let n = self.fate.calls.fetch_add(1, Ordering::Relaxed);
        let Some(death) = self.fate.death.filter(|death| death.at == n) else { return self.inner.call(request) };
        let (arrives, fate) = (death.after.then(|| self.inner.call(request)), self.fate.clone());
        HttpConnectorFuture::new(async move {
            if let Some(arrives) = arrives {
                let _ = arrives.await;
            }
            fate.died.notify_one();
            std::future::pending().await
        })
    }
}

/// What a story has beside its grant of half an hour and a run every ten minutes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Beside {
    Nothing,
    /// It is revoked after seven minutes.
    Revoked,
    /// A stack update sets the cutoff back after fifteen minutes.
    SetBack,
    /// There are no runs for an hour.
    NoRuns,
}

/// Plays a story in an account of its own; returns the cutoff at its end, whether the grant is closed, and how many calls there were.
async fn played(name: &str, beside: Beside, death: Option<Death>) -> (Live, bool, usize) {
    let account = Account::new(name).await;
    account.policy("00-test", &POLICY.replace("second_approver = true", "")).await;
    account.workgroup("ad-hoc", true).await;
    let ten = Some(Bytes::new(10_000_000_000));
    set_cutoff(&account.clients.athena, "ad-hoc", ten).await.unwrap();
    let fate = Arc::new(Fate { death, calls: AtomicUsize::new(0), died: tokio::sync::Notify::new() });
    let inner = account.config.http_client().unwrap();
    let config = account.config.to_builder().http_client(Mortal { inner, fate: fate.clone() }).build();
    let clients = Clients::new(&config);
    let table = Table { client: clients.dynamodb.clone(), name: TABLE.to_owned() };
    let now = Timestamp::now();
    let t = Timestamp::from_second(now.as_second()).unwrap();
    let wish =
        json!({ "workgroup": "ad-hoc", "per_query": "500 GB", "limit": "2 TB", "for": "30 min", "reason": "backfill" });
    let grant = json!({ "id": "g-one", "grant": wish });
    let revoke = json!({ "id": "r-one", "revoke": { "grant": "g-one" } });
    let mut again: Vec<(i64, Value)> = vec![(0, grant)];
    if beside == Beside::Revoked {
        again.push((7, revoke));
    }
    for minute in 0..=100 {
        let now = t + minutes(minute);
        while let Some(place) = again.iter().position(|(at, _)| *at == minute) {
            let (_, mut request) = again.remove(place);
            request["to"] = json!("watchdog");
            // Signed now: AWS takes no signature of another time.
            let event = signed(&account.config, &request.to_string(), t).await.unwrap();
            let desk = Desk {
                function: "watchdog".to_owned(),
                account: account.number.clone(),
                sts: account.config.endpoint_url().unwrap().to_owned(),
                policy: PolicySource::Parameters(POLICY_PATH.to_owned()),
                table: table.clone(),
                run_id: format!("ask-{minute}"),
                deadline: now + minutes(1),
            };
            let event = Event::parse(&event).unwrap().unwrap();
            tokio::select! {
                answer = ask(&clients, &desk, &event, now) => assert_eq!(answer.unwrap().refused, None, "{name}"),
                // Whoever gets no answer asks again, once the lease of the one that died is over.
                () = fate.died.notified() => again.push((minute + 2, request)),
            }
        }
        if minute == 15 && beside == Beside::SetBack {
            set_cutoff(&account.clients.athena, "ad-hoc", ten).await.unwrap();
        }
        if minute % 10 == 5 && !(beside == Beside::NoRuns && minute < 60) {
            let run = async {
                let mut ledger = table.ledger().await.unwrap();
                carry_out(&clients, &table, &mut ledger, &format!("run-{minute}"), now, now + minutes(1)).await;
            };
            tokio::select! {
                () = run => {}
                () = fate.died.notified() => {}
            }
        }
    }
    let ledger = account_ledger(&account).await;
    let is_closed = ledger.grants["ad-hoc"].get("g-one").is_some_and(|grant| grant.closed.is_some());
    let left = cutoff(&account.clients.athena, "ad-hoc").await.unwrap();
    (left, is_closed, fate.calls.load(Ordering::Relaxed))
}

async fn account_ledger(account: &Account) -> watchdog_aws::dynamodb::Ledger {
    Table { client: account.clients.dynamodb.clone(), name: TABLE.to_owned() }.ledger().await.unwrap()
}

/// The same is swept in nine stories over a world in memory; here the calls are those of a DynamoDB and an Athena that are not ours.
#[tokio::test]
async fn whatever_call_a_process_dies_at_the_cutoff_ends_as_it_was_before() {
    let ten = Live::Is(Some(Bytes::new(10_000_000_000)));
    let mut deaths = 0;
    for beside in [Beside::Nothing, Beside::Revoked, Beside::SetBack, Beside::NoRuns] {
        let name = format!("sweep {beside:?}");
        let (left, is_closed, calls) = played(&name, beside, None).await;
        assert_eq!((left, is_closed), (ten, true), "{name}");
        assert!(calls > 15, "{name}: {calls} calls");
        for at in 0..calls {
            for after in [false, true] {
                let name = format!("{name} died at call {at}, {}", if after { "after it" } else { "before it" });
                let (left, is_closed, now) = played(&name, beside, Some(Death { at, after })).await;
                assert_eq!((left, is_closed), (ten, true), "{name}");
                assert!(now > at, "{name}: it did not die");
                deaths += 1;
            }
        }
    }
    assert!(deaths > 150, "{deaths}");
}
