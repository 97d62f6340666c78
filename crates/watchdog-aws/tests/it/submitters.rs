//! Whole runs that look for submitters: the real clients against a small world of queries, records, users and a table in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use aws_sdk_athena::operation::batch_get_query_execution::{BatchGetQueryExecutionInput, BatchGetQueryExecutionOutput};
use aws_sdk_athena::operation::get_work_group::GetWorkGroupOutput;
use aws_sdk_athena::operation::list_query_executions::{ListQueryExecutionsInput, ListQueryExecutionsOutput};
use aws_sdk_athena::operation::list_work_groups::ListWorkGroupsOutput;
use aws_sdk_athena::primitives::DateTime;
use aws_sdk_athena::types::{
    QueryExecution, QueryExecutionState, QueryExecutionStatistics, QueryExecutionStatus, WorkGroup,
    WorkGroupConfiguration, WorkGroupSummary,
};
use aws_sdk_cloudtrail::error::ErrorMetadata;
use aws_sdk_cloudtrail::operation::lookup_events::{LookupEventsError, LookupEventsInput, LookupEventsOutput};
use aws_sdk_cloudtrail::types::Event;
use aws_sdk_cloudwatch::operation::get_metric_data::GetMetricDataOutput;
use aws_sdk_cloudwatch::operation::list_metrics::ListMetricsOutput;
use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataResult, StatusCode};
use aws_sdk_dynamodb::operation::batch_get_item::{BatchGetItemInput, BatchGetItemOutput};
use aws_sdk_dynamodb::operation::put_item::{PutItemInput, PutItemOutput};
use aws_sdk_dynamodb::operation::query::{QueryInput, QueryOutput};
use aws_sdk_dynamodb::operation::transact_write_items::{TransactWriteItemsInput, TransactWriteItemsOutput};
use aws_sdk_dynamodb::operation::update_item::UpdateItemOutput;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_iam::operation::list_user_tags::{ListUserTagsError, ListUserTagsInput, ListUserTagsOutput};
use aws_sdk_iam::types::Tag;
use aws_sdk_iam::types::error::NoSuchEntityException;
use aws_sdk_ses::operation::send_raw_email::{SendRawEmailInput, SendRawEmailOutput};
use aws_sdk_ssm::operation::get_parameters_by_path::GetParametersByPathOutput;
use aws_sdk_ssm::types::Parameter;
use aws_smithy_mocks::{MockResponse, RuleMode, mock, mock_client};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use watchdog_aws::clients::{Calls, Clients};
use watchdog_aws::dynamodb::Table;
use watchdog_aws::gather::PolicySource;
use watchdog_aws::pace::Paces;
use watchdog_aws::pass::{Settings, run};
use watchdog_core::catalogue::Catalogue;
use watchdog_core::event::{Invocation, Source};
use watchdog_core::principal::Principal;
use watchdog_core::report::RunReport;
use watchdog_core::submitter::Submission;

use crate::at;

const GB: i64 = 1_000_000_000;

const POLICY: &str = r#"
[mail]
sender = "w@example.com"
admins = ["ops@example.com"]
allowed_domains = ["example.com"]
[defaults]
hold = "0 min"
[submitters]
people = { "role/etl" = "etl@example.com" }
[[workgroup]]
name = "exploratory"
audience = ["submitters"]
[[workgroup.limit]]
window = "1h"
limit = "100 GB"
"#;

fn start() -> Timestamp {
    at("2026-03-01T14:00:00Z")
}

fn after(minutes: i64) -> Timestamp {
    start() + SignedDuration::from_mins(minutes)
}

/// A query: submitted, ended (or not) and recorded by CloudTrail (or not) at so many minutes after [`start`].
#[derive(Clone)]
struct Query {
    id: String,
    who: Value,
    submitted: i64,
    ended: Option<i64>,
    gb: i64,
    recorded: Option<i64>,
}

fn query(id: &str, who: Value, ended: i64, gb: i64) -> Query {
    Query { id: id.to_owned(), who, submitted: ended - 2, ended: Some(ended), gb, recorded: Some(ended) }
}

fn user(name: &str) -> Value {
    json!({"type": "IAMUser", "userName": name, "arn": format!("arn:aws:iam::123456789012:user/{name}")})
}

fn session(role: &str, session: &str) -> Value {
    let is_sso = role.starts_with("AWSReservedSSO_");
    let path = if is_sso { "aws-reserved/sso.amazonaws.com/eu-central-1/" } else { "" };
    json!({
        "type": "AssumedRole",
        "principalId": format!("AROAEXAMPLE:{session}"),
        "arn": format!("arn:aws:sts::123456789012:assumed-role/{role}/{session}"),
        "sessionContext": {"sessionIssuer": {
            "type": "Role", "userName": role, "arn": format!("arn:aws:iam::123456789012:role/{path}{role}"),
        }},
    })
}

/// What there is, and what was done.
#[derive(Default)]
struct World {
    now: Option<Timestamp>,
    queries: Vec<Query>,
    tags: BTreeMap<String, String>,
    /// CloudTrail refuses.
    denied: bool,
    /// Calls that look for submitters.
    calls: BTreeMap<&'static str, u32>,
    table: BTreeMap<(String, String), HashMap<String, AttributeValue>>,
    /// Recipient and text of each mail.
    mails: Vec<(String, String)>,
    /// Refuses mails to this address.
    bounces: Option<String>,
}

impl World {
    fn now(&self) -> Timestamp {
        self.now.unwrap()
    }

    fn ended(&self) -> impl Iterator<Item = (&Query, Timestamp)> {
        let ended = self.queries.iter().filter_map(|query| Some((query, after(query.ended?))));
        ended.filter(|(_, ended)| *ended < self.now())
    }
}

type Shared = Arc<Mutex<World>>;

fn called<'w>(world: &'w Shared, operation: &'static str) -> MutexGuard<'w, World> {
    let mut world = world.lock().unwrap();
    *world.calls.entry(operation).or_default() += 1;
    world
}

fn athena(world: &Shared) -> aws_sdk_athena::Client {
    use aws_sdk_athena::Client;
    let names = mock!(Client::list_work_groups).then_output(|| {
        ListWorkGroupsOutput::builder().work_groups(WorkGroupSummary::builder().name("exploratory").build()).build()
    });
    let get = mock!(Client::get_work_group).then_output(|| {
        let on = WorkGroupConfiguration::builder().publish_cloud_watch_metrics_enabled(true).build();
        let group = WorkGroup::builder().name("exploratory").configuration(on).build().unwrap();
        GetWorkGroupOutput::builder().work_group(group).build()
    });
    let seen = world.clone();
    let list = mock!(Client::list_query_executions).then_compute_output(move |input: &ListQueryExecutionsInput| {
        let world = called(&seen, "ListQueryExecutions");
        let mut all: Vec<&Query> = world.queries.iter().filter(|q| after(q.submitted) <= world.now()).collect();
        all.sort_by_key(|query| -query.submitted);
        let from: usize = input.next_token().map_or(0, |token| token.parse().unwrap());
        let page: Vec<String> = all.iter().skip(from).take(50).map(|query| query.id.clone()).collect();
        let next = (from + 50 < all.len()).then(|| (from + 50).to_string());
        ListQueryExecutionsOutput::builder().set_query_execution_ids(Some(page)).set_next_token(next).build()
    });
    let seen = world.clone();
    let details =
        mock!(Client::batch_get_query_execution).then_compute_output(move |input: &BatchGetQueryExecutionInput| {
            let world = called(&seen, "BatchGetQueryExecution");
            let time = |minute| DateTime::from_secs(after(minute).as_second());
            let one = |id: &String| {
                let query = world.queries.iter().find(|query| query.id == *id).unwrap();
                let ended = query.ended.filter(|ended| after(*ended) < world.now());
                let state = match ended {
                    Some(_) => QueryExecutionState::Succeeded,
                    None => QueryExecutionState::Running,
                };
                let status = QueryExecutionStatus::builder()
                    .state(state)
                    .submission_date_time(time(query.submitted))
                    .set_completion_date_time(ended.map(time))
                    .build();
                let scanned = ended.map(|_| query.gb * GB);
                let statistics = QueryExecutionStatistics::builder().set_data_scanned_in_bytes(scanned).build();
                let answer = QueryExecution::builder().query_execution_id(id).status(status).statistics(statistics);
                answer.query("SELECT secret FROM payroll").build()
            };
            let answers = input.query_execution_ids().iter().map(one).collect();
            BatchGetQueryExecutionOutput::builder().set_query_executions(Some(answers)).build()
        });
    mock_client!(aws_sdk_athena, RuleMode::MatchAny, [&names, &get, &list, &details])
}

fn cloudwatch(world: &Shared) -> aws_sdk_cloudwatch::Client {
    use aws_sdk_cloudwatch::Client;
    use aws_sdk_cloudwatch::primitives::DateTime;
    let list = mock!(Client::list_metrics).then_output(|| {
        let dimension = Dimension::builder().name("WorkGroup").value("exploratory").build();
        ListMetricsOutput::builder().metrics(Metric::builder().dimensions(dimension).build()).build()
    });
    let seen = world.clone();
    let data = mock!(Client::get_metric_data).then_compute_output(move |input| {
        let world = seen.lock().unwrap();
        let mut buckets: BTreeMap<i64, f64> = BTreeMap::new();
        for (query, ended) in world.ended() {
            *buckets.entry(ended.as_second() / 300 * 300).or_default() += (query.gb * GB) as f64;
        }
        let result = MetricDataResult::builder().id("m0").status_code(StatusCode::Complete);
        let stamps = buckets.keys().map(|at| DateTime::from_secs(*at)).collect();
        let result = result.set_timestamps(Some(stamps)).set_values(Some(buckets.into_values().collect()));
        // Nothing else is active.
        let others =
            input.metric_data_queries().iter().skip(1).map(|query| {
                MetricDataResult::builder().id(query.id().unwrap()).status_code(StatusCode::Complete).build()
            });
        let results = std::iter::once(result.build()).chain(others).collect();
        GetMetricDataOutput::builder().set_metric_data_results(Some(results)).build()
    });
    mock_client!(aws_sdk_cloudwatch, RuleMode::MatchAny, [&list, &data])
}

fn record(query: &Query) -> Value {
    json!({
        "eventVersion": "1.09", "eventID": format!("event-{}", query.id), "eventName": "StartQueryExecution",
        "eventSource": "athena.amazonaws.com", "eventTime": after(query.submitted).to_string(),
        "userIdentity": query.who, "requestParameters": {"workGroup": "exploratory"},
        "responseElements": {"queryExecutionId": query.id},
    })
}

fn cloudtrail(world: &Shared) -> aws_sdk_cloudtrail::Client {
    let seen = world.clone();
    let lookup =
        mock!(aws_sdk_cloudtrail::Client::lookup_events).then_compute_response(move |input: &LookupEventsInput| {
            let world = called(&seen, "LookupEvents");
            if world.denied {
                let denied = ErrorMetadata::builder().code("AccessDeniedException").message("no").build();
                return MockResponse::Error(LookupEventsError::generic(denied));
            }
            let attribute = &input.lookup_attributes()[0];
            assert_eq!(
                (attribute.attribute_key().as_str(), attribute.attribute_value()),
                ("EventName", "StartQueryExecution")
            );
            let since = input.start_time().unwrap().secs();
            let there = |q: &&Query| {
                q.recorded.is_some_and(|at| after(at) <= world.now()) && after(q.submitted).as_second() >= since
            };
            let mut all: Vec<&Query> = world.queries.iter().filter(there).collect();
            all.sort_by_key(|query| -query.submitted);
            let from: usize = input.next_token().map_or(0, |token| token.parse().unwrap());
            let event = |query: &&Query| {
                let event = Event::builder().event_id(format!("event-{}", query.id));
                event.cloud_trail_event(record(query).to_string()).build()
            };
            let mut page: Vec<Event> = all.iter().skip(from).take(50).map(event).collect();
            if from == 0 {
                // As they come in the wild: broken, of a call that was refused, and the same twice.
                page.push(Event::builder().event_id("torn").cloud_trail_event("{\"eventName\": \"Sta").build());
                page.push(Event::builder().build());
                page.extend(all.first().map(event));
            }
            let next = (from + 50 < all.len()).then(|| (from + 50).to_string());
            MockResponse::Output(LookupEventsOutput::builder().set_events(Some(page)).set_next_token(next).build())
        });
    mock_client!(aws_sdk_cloudtrail, RuleMode::MatchAny, [&lookup])
}

fn iam(world: &Shared) -> aws_sdk_iam::Client {
    let seen = world.clone();
    let tags = mock!(aws_sdk_iam::Client::list_user_tags).then_compute_response(move |input: &ListUserTagsInput| {
        let world = called(&seen, "ListUserTags");
        match world.tags.get(input.user_name().unwrap()) {
            None => {
                let error = NoSuchEntityException::builder().message("no such user").build();
                MockResponse::Error(ListUserTagsError::NoSuchEntityException(error))
            }
            Some(address) => {
                let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build().unwrap();
                let out = ListUserTagsOutput::builder().tags(tag("team", "data"));
                let out = if address.is_empty() { out } else { out.tags(tag("Email", address)) };
                MockResponse::Output(out.build().unwrap())
            }
        }
    });
    mock_client!(aws_sdk_iam, RuleMode::MatchAny, [&tags])
}

fn dynamodb(world: &Shared) -> aws_sdk_dynamodb::Client {
    use aws_sdk_dynamodb::Client;
    let place = |item: &HashMap<String, AttributeValue>| {
        let text = |name: &str| item[name].as_s().unwrap().clone();
        (text("pk"), text("sk"))
    };
    let lease = mock!(Client::update_item).then_output(|| UpdateItemOutput::builder().build());
    let seen = world.clone();
    let query = mock!(Client::query).then_compute_output(move |input: &QueryInput| {
        let pk = input.expression_attribute_values().unwrap()[":pk"].as_s().unwrap();
        let world = seen.lock().unwrap();
        let items = world.table.iter().filter(|((p, _), _)| p == pk).map(|(_, item)| item.clone()).collect();
        QueryOutput::builder().set_items(Some(items)).build()
    });
    let seen = world.clone();
    let put = mock!(Client::put_item).then_compute_output(move |input: &PutItemInput| {
        let item = input.item().unwrap().clone();
        seen.lock().unwrap().table.insert(place(&item), item);
        PutItemOutput::builder().build()
    });
    let seen = world.clone();
    let write = mock!(Client::transact_write_items).then_compute_output(move |input: &TransactWriteItemsInput| {
        let mut world = seen.lock().unwrap();
        for item in input.transact_items() {
            if let Some(put) = item.put() {
                world.table.insert(place(put.item()), put.item().clone());
            }
            if let Some(delete) = item.delete() {
                world.table.remove(&place(delete.key()));
            }
        }
        TransactWriteItemsOutput::builder().build()
    });
    let seen = world.clone();
    let get = mock!(Client::batch_get_item).then_compute_output(move |input: &BatchGetItemInput| {
        let world = seen.lock().unwrap();
        let (name, keys) = input.request_items().unwrap().iter().next().unwrap();
        assert!(keys.keys().len() <= 100);
        let items = keys.keys().iter().filter_map(|key| world.table.get(&place(key)).cloned()).collect();
        BatchGetItemOutput::builder().responses(name, items).build()
    });
    mock_client!(aws_sdk_dynamodb, RuleMode::MatchAny, [&lease, &query, &put, &write, &get])
}

fn ses(world: &Shared) -> aws_sdk_ses::Client {
    use aws_sdk_ses::operation::send_raw_email::SendRawEmailError;
    use aws_sdk_ses::types::error::MessageRejected;
    let seen = world.clone();
    let send = mock!(aws_sdk_ses::Client::send_raw_email).then_compute_response(move |input: &SendRawEmailInput| {
        let to = input.destinations()[0].clone();
        let raw = String::from_utf8(input.raw_message().unwrap().data().as_ref().to_vec()).unwrap();
        let mut world = seen.lock().unwrap();
        if world.bounces.as_ref() == Some(&to) {
            return MockResponse::Error(SendRawEmailError::MessageRejected(MessageRejected::builder().build()));
        }
        // Soft line breaks taken out, so that a sentence is found as it was written.
        world.mails.push((to, raw.replace("=\r\n", "")));
        MockResponse::Output(SendRawEmailOutput::builder().message_id("id").build().unwrap())
    });
    mock_client!(aws_sdk_ses, RuleMode::MatchAny, [&send])
}

struct Account {
    world: Shared,
    clients: Clients,
    catalogue: Catalogue,
    policy: String,
    feed: bool,
}

impl Account {
    fn new(queries: Vec<Query>, tags: &[(&str, &str)]) -> Self {
        let tags = tags.iter().map(|(name, address)| ((*name).to_owned(), (*address).to_owned())).collect();
        let world = Arc::new(Mutex::new(World { queries, tags, ..World::default() }));
        let ssm = mock!(aws_sdk_ssm::Client::get_parameters_by_path)
            .then_output(|| GetParametersByPathOutput::builder().parameters(Parameter::builder().build()).build());
        let clients = Clients {
            athena: athena(&world),
            cloudtrail: cloudtrail(&world),
            cloudwatch: cloudwatch(&world),
            dynamodb: dynamodb(&world),
            iam: iam(&world),
            servicequotas: crate::no_quotas(),
            ses: ses(&world),
            ssm: mock_client!(aws_sdk_ssm, [&ssm]),
            region: "eu-central-1".to_owned(),
            calls: Calls::default(),
            paces: Paces::default(),
        };
        Self { world, clients, catalogue: Catalogue::default(), policy: POLICY.to_owned(), feed: false }
    }

    fn change(&self, change: impl FnOnce(&mut World)) {
        change(&mut self.world.lock().unwrap());
    }

    /// A run at so many minutes after [`start`]: whom it mailed, and the report.
    async fn run(&mut self, minute: i64) -> (BTreeSet<String>, RunReport) {
        let now = after(minute);
        self.change(|world| {
            world.now = Some(now);
            world.calls.clear();
            world.mails.clear();
        });
        let document = watchdog_core::policy::Document { name: "p".to_owned(), text: self.policy.clone() };
        let settings = Settings {
            policy: PolicySource::Documents(vec![document]),
            table: Some("t".to_owned()),
            run_id: format!("run-{minute}"),
            name: "w".to_owned(),
            feed: self.feed,
            deadline: Timestamp::now() + SignedDuration::from_mins(5),
        };
        let invocation = Invocation { dry_run: false, source: Source::Scheduler, time: Some(now) };
        let outcome = run(&self.clients, &settings, &mut self.catalogue, &invocation, now).await;
        let report = outcome.map_or_else(|error| *error.report.unwrap(), |(report, _)| report);
        let mailed = self.world.lock().unwrap().mails.iter().map(|(to, _)| to.clone()).collect();
        (mailed, report)
    }

    #[track_caller]
    fn mail(&self, to: &str) -> String {
        let world = self.world.lock().unwrap();
        let (_, mail) = world.mails.iter().find(|(who, _)| who == to).unwrap_or_else(|| panic!("no mail to {to}"));
        mail.clone()
    }
}

fn set<const N: usize>(people: [&str; N]) -> BTreeSet<String> {
    people.map(str::to_owned).into()
}

#[tokio::test(start_paused = true)]
async fn the_people_whose_queries_use_it_up_are_told_of_their_own_queries_and_of_nobody_elses() {
    let queries = vec![
        query("aaaaaaa1-q", user("ann"), 10, 50),
        query("bbbbbbb1-q", user("bob"), 11, 32),
        query("ccccccc1-q", session("etl", "nightly"), 12, 5),
        query("ddddddd1-q", user("dot"), 13, 1),
        // Chosen by whoever assumed the role: no mail to that person.
        query("eeeeeee1-q", session("analyst", "ceo@example.com"), 14, 4),
    ];
    let tags = [("ann", "ann@example.com"), ("bob", "bob@example.com"), ("dot", "dot@example.com")];
    let mut account = Account::new(queries, &tags);
    let (mailed, report) = account.run(20).await;
    // The admins for the session that proves nothing; not dot, who used 1 %.
    assert_eq!(mailed, set(["ann@example.com", "bob@example.com", "etl@example.com", "ops@example.com"]));
    let ann = account.mail("ann@example.com");
    assert!(ann.contains("Your query scanned 50 GB, 54 % of it."), "{ann}");
    assert!(ann.contains("query-editor/history/aaaaaaa1-q"), "{ann}");
    for other in ["bob", "dot@", "ceo", "etl", "bbbbbbb", "payroll"] {
        assert!(!ann.contains(other), "{other} in\n{ann}");
    }
    let ops = account.mail("ops@example.com");
    for one in ["ann@example.com", "bob@example.com", "role/analyst/ceo@example.com", "proves nothing"] {
        assert!(ops.contains(one), "{one} not in\n{ops}");
    }
    let sought = &report.submitters[0];
    assert_eq!((sought.queries, sought.named, sought.people, sought.heavy), (5, 4, 4, 3));
    assert_eq!((sought.queries_bytes, sought.difference_bytes), (92 * 1_000_000_000, Some(0)));
    assert!(report.warnings.iter().any(|w| w.contains("the CloudTrail record `torn` cannot be read")), "{report:?}");

    // The same old queries tell nobody again, within the repeat interval and after it; a new heavy one does.
    assert_eq!(account.run(25).await.0, set([]));
    account.change(|world| world.queries.push(query("aaaaaaa2-q", user("ann"), 22, 2)));
    assert_eq!(account.run(40).await.0, set([]), "not within the interval");
    account.change(|world| world.queries.push(query("bbbbbbb2-q", user("bob"), 60, 80)));
    let (mailed, _) = account.run(85).await;
    assert_eq!(mailed, set(["bob@example.com"]), "ann's old ones are no news");
}

#[tokio::test(start_paused = true)]
async fn while_cloudtrail_lags_the_admins_hear_at_once_and_the_submitter_as_soon_as_the_record_is_there() {
    let mut late = query("aaaaaaa1-q", user("ann"), 10, 90);
    late.recorded = Some(24);
    let mut account = Account::new(vec![late], &[("ann", "ann@example.com")]);
    let (mailed, report) = account.run(15).await;
    assert_eq!(mailed, set(["ops@example.com"]));
    assert!(report.submitters[0].unnamed.contains_key("no_record_yet"), "{report:?}");
    assert_eq!(account.run(20).await.0, set([]));
    assert_eq!(account.run(25).await.0, set(["ann@example.com"]));
    assert!(account.mail("ann@example.com").contains("Your query scanned 90 GB, 100 % of it."));
}

#[tokio::test(start_paused = true)]
async fn a_submitter_is_told_also_when_the_alert_is_over_before_the_record_is_there() {
    let mut late = query("aaaaaaa1-q", user("ann"), 10, 90);
    // The query is submitted after an hour of running, ends, leaves the window, and only then comes its record.
    late.submitted = 8;
    late.recorded = Some(80);
    let mut account = Account::new(vec![late], &[("ann", "ann@example.com")]);
    assert_eq!(account.run(15).await.0, set(["ops@example.com"]));
    // Its submitter was known to be unknown when it was last looked at.
    assert_eq!(account.run(35).await.0, set([]));
    assert_eq!(account.run(75).await.0, set(["ops@example.com"]), "it is over");
    account.change(|world| world.bounces = Some("ann@example.com".to_owned()));
    assert_eq!(account.run(80).await.0, set([]), "the record is there, and SES refuses");
    account.change(|world| world.bounces = None);
    assert_eq!(account.run(85).await.0, set(["ann@example.com"]), "so she is still owed it");
    let mail = account.mail("ann@example.com");
    assert!(mail.contains("Your query scanned 90 GB, 100 % of the window that it was about."), "{mail}");
    assert_eq!(account.run(90).await.0, set([]), "once");
}

#[tokio::test(start_paused = true)]
async fn where_cloudtrail_cannot_be_asked_the_admins_hear_and_are_told_why() {
    let mut account = Account::new(vec![query("aaaaaaa1-q", user("ann"), 10, 90)], &[("ann", "ann@example.com")]);
    account.change(|world| world.denied = true);
    let (mailed, report) = account.run(45).await;
    assert_eq!(mailed, set(["ops@example.com"]));
    assert!(account.mail("ops@example.com").contains("AWS denied `cloudtrail:LookupEvents`"));
    assert!(report.warnings.iter().any(|w| w.contains("cloudtrail:LookupEvents")), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn only_allowed_domains_are_ever_mailed_and_the_owner_stands_in() {
    let queries = vec![
        query("aaaaaaa1-q", user("ann"), 10, 50),
        query("bbbbbbb1-q", session("AWSReservedSSO_Analysts_0123456789abcdef", "eve@evil.example"), 11, 40),
    ];
    let mut account = Account::new(queries, &[("ann", "ann@example.com.evil.example")]);
    account.policy = POLICY.replace("audience", "owner = \"lead@example.com\"\naudience");
    let (mailed, _) = account.run(20).await;
    assert_eq!(mailed, set(["lead@example.com"]));
    assert!(account.mail("lead@example.com").contains("`ann@example.com.evil.example` is outside the allowed domains"));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_looked_for_where_nobody_is_to_be_told() {
    let mut account = Account::new(vec![query("aaaaaaa1-q", user("ann"), 10, 30)], &[]);
    let (mailed, report) = account.run(20).await;
    assert_eq!((mailed, report.submitters.len()), (set([]), 0));
    assert!(
        !report.calls.keys().any(|call| call.contains("Query") && call.starts_with("athena")),
        "{:?}",
        report.calls
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_feed_has_written_down_is_not_looked_up() {
    let mut unrecorded = query("aaaaaaa1-q", user("ann"), 10, 90);
    unrecorded.recorded = None;
    let mut account = Account::new(vec![unrecorded], &[("ann", "ann@example.com")]);
    account.feed = true;
    let table = Table { client: account.clients.dynamodb.clone(), name: "t".to_owned() };
    let submission = Submission {
        query: "aaaaaaa1-q".to_owned(),
        workgroup: "exploratory".to_owned(),
        at: None,
        principal: Principal::User { name: "ann".to_owned() },
    };
    table.write_submission(&submission, after(11)).await.unwrap();
    account.change(|world| world.denied = true);
    let (mailed, report) = account.run(15).await;
    assert_eq!((mailed, report.warnings), (set(["ann@example.com"]), Vec::<String>::new()));
    let world = account.world.lock().unwrap();
    let item = &world.table[&("submitter#aaaaaaa1-q".to_owned(), "principal".to_owned())];
    let end: i64 = item["expires_at"].as_n().unwrap().parse().unwrap();
    assert_eq!(
        end,
        (after(11) + SignedDuration::from_hours(192)).as_second(),
        "as long as the longest window, and a day"
    );
}

/// What a busy account costs: a thousand queries by forty people in one window, mostly IAM users and Identity Center, some ordinary
/// roles and services.
#[tokio::test(start_paused = true)]
async fn a_thousand_queries_by_forty_people() {
    let who = |i: usize| match i % 40 {
        n @ 0..20 => user(&format!("user{n:02}")),
        n @ 20..36 => session("AWSReservedSSO_Analysts_0123456789abcdef", &format!("person{n}@example.com")),
        n @ 36..38 => session("notebook", &format!("ceo{n}@example.com")),
        38 => session("etl", "nightly"),
        _ => json!({"type": "AWSService", "invokedBy": "quicksight.amazonaws.com"}),
    };
    let one = |i: usize| query(&format!("{i:08x}-0000"), who(i), 5 + i64::try_from(i % 50).unwrap(), 1);
    let names: Vec<(String, String)> = (0..20)
        .map(|n| (format!("user{n:02}"), if n < 18 { format!("user{n:02}@example.com") } else { String::new() }))
        .collect();
    let tags: Vec<(&str, &str)> = names.iter().map(|(name, address)| (name.as_str(), address.as_str())).collect();
    let mut account = Account::new((0..1000).map(one).collect(), &tags);
    account.policy = POLICY.replace("100 GB", "1 TB");
    let start = tokio::time::Instant::now();
    let (mailed, report) = account.run(58).await;
    let took = start.elapsed();
    let sought = &report.submitters[0];
    let calls = account.world.lock().unwrap().calls.clone();
    eprintln!("{took:?} {calls:?} {sought:?}");
    // 18 users with a tag, 16 of Identity Center, the one whom the policy maps, and the admins.
    assert_eq!(mailed.len(), 18 + 16 + 1 + 1, "{mailed:?}");
    assert_eq!((sought.queries, sought.named), (1000, 25 * 35));
    assert_eq!(sought.difference_bytes, Some(0));
    assert_eq!(sought.unnamed.values().sum::<usize>(), 1000 - sought.named, "every one explained: {sought:?}");
    assert_eq!(sought.unnamed, [("ordinary_role", 50), ("no_tag", 50), ("service", 25)].into());
    // Four pages of what runs now; then twenty pages and the details of each, twenty of the history, and each user once.
    let expected =
        [("ListQueryExecutions", 24), ("BatchGetQueryExecution", 24), ("LookupEvents", 20), ("ListUserTags", 20)];
    assert_eq!(calls, expected.into());
    assert!(took.as_secs() < 20, "within a run: {took:?}");

    // In the next run everything is known already: no page of history, no tag.
    let start = tokio::time::Instant::now();
    let (mailed, _) = account.run(59).await;
    assert_eq!(mailed, set([]));
    let calls = account.world.lock().unwrap().calls.clone();
    assert_eq!(calls, [("ListQueryExecutions", 24), ("BatchGetQueryExecution", 24)].into());
    assert!(start.elapsed().as_secs() < 6, "{:?}", start.elapsed());
}
