//! What CloudWatch is asked: each metric once in a run, and with an economy less often; driven by the real clients over several runs.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use aws_sdk_athena::operation::batch_get_query_execution::{BatchGetQueryExecutionInput, BatchGetQueryExecutionOutput};
use aws_sdk_athena::operation::get_work_group::{GetWorkGroupInput, GetWorkGroupOutput};
use aws_sdk_athena::operation::list_query_executions::{
    ListQueryExecutionsError, ListQueryExecutionsInput, ListQueryExecutionsOutput,
};
use aws_sdk_athena::operation::list_work_groups::ListWorkGroupsOutput;
use aws_sdk_athena::types::{
    QueryExecution, QueryExecutionState, QueryExecutionStatus, WorkGroup, WorkGroupConfiguration, WorkGroupSummary,
};
use aws_sdk_cloudwatch::operation::get_metric_data::{GetMetricDataInput, GetMetricDataOutput};
use aws_sdk_cloudwatch::operation::list_metrics::ListMetricsOutput;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataResult, StatusCode};
use aws_sdk_dynamodb::operation::put_item::{PutItemInput, PutItemOutput};
use aws_sdk_dynamodb::operation::query::QueryOutput;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsOutput;
use aws_sdk_dynamodb::operation::update_item::{UpdateItemInput, UpdateItemOutput};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_servicequotas::operation::get_service_quota::GetServiceQuotaOutput;
use aws_sdk_servicequotas::types::ServiceQuota;
use aws_sdk_ses::operation::send_raw_email::{SendRawEmailError, SendRawEmailOutput};
use aws_smithy_mocks::{MockResponse, RuleMode, mock, mock_client};
use jiff::{SignedDuration, Timestamp};
use watchdog_aws::clients::{Clients, config};
use watchdog_aws::economy::Thrift;
use watchdog_aws::gather::PolicySource;
use watchdog_aws::pass::{Settings, run};
use watchdog_core::alert::{Record, Severity, Sighting};
use watchdog_core::bytes::Bytes;
use watchdog_core::catalogue::Catalogue;
use watchdog_core::delivery::Records;
use watchdog_core::economy::{Memory, note};
use watchdog_core::event::{Invocation, Source};
use watchdog_core::grant::cutoff::Cutoff;
use watchdog_core::grant::{Asker, Book, Grant, Grants};
use watchdog_core::policy::{Document, Policy};
use watchdog_core::principal::Principal;
use watchdog_core::report::RunReport;
use watchdog_core::usage::Series;

use crate::at;

const MAIL: &str = r#"
[mail]
sender = "w@example.com"
admins = ["ops@example.com"]
allowed_domains = ["example.com"]
"#;

/// `busy` has three limits, `quiet` one; without a forecast nobody has to be asked at each full hour.
const WORKGROUPS: &str = r#"
[defaults]
forecast = "off"
[[workgroup]]
name = "busy"
[[workgroup.limit]]
window = "1h"
limit = "100 GB"
[[workgroup.limit]]
window = "24h"
limit = "1 TB"
[[workgroup.limit]]
window = "calendar day"
limit = "1 TB"
[[workgroup]]
name = "quiet"
[[workgroup.limit]]
window = "1h"
limit = "100 GB"
"#;

#[derive(Debug, Default)]
struct World {
    now: Option<Timestamp>,
    /// Bytes by workgroup, at minutes before [`TICK`].
    bytes: BTreeMap<&'static str, Vec<(i64, f64)>>,
    /// Whether a query is active in the account.
    active: bool,
    /// The workgroups in which a query runs.
    running: Vec<&'static str>,
    throttled: bool,
    unmailed: bool,
    forbidden: Vec<&'static str>,
    /// The workgroups whose bytes were asked for, one request each.
    asked: Vec<Vec<String>>,
    listed: Vec<String>,
    /// The last tick that was completed, by whichever process.
    last_tick: Option<AttributeValue>,
    /// What was written of the catalogue.
    caches: Vec<String>,
}

type Shared = Arc<Mutex<World>>;

const TICK: &str = "2026-03-09T14:05:00Z";

fn cloudwatch(world: &Shared) -> aws_sdk_cloudwatch::Client {
    use aws_sdk_cloudwatch::Client;
    let metric = |name: &str| {
        let dimension = Dimension::builder().name("WorkGroup").value(name).build();
        Metric::builder().dimensions(dimension).build()
    };
    let list = mock!(Client::list_metrics)
        .then_output(move || ListMetricsOutput::builder().metrics(metric("busy")).metrics(metric("quiet")).build());
    let seen = world.clone();
    let data = mock!(Client::get_metric_data).then_compute_output(move |input: &GetMetricDataInput| {
        let mut world = seen.lock().unwrap();
        let (mut asked, mut results) = (Vec::new(), Vec::new());
        for query in input.metric_data_queries() {
            let metric = query.metric_stat().unwrap().metric().unwrap();
            let is_bytes = metric.metric_name() == Some("ProcessedBytes");
            let workgroup = metric.dimensions()[0].value().unwrap_or_default().to_owned();
            let is_dml = metric.dimensions().iter().any(|d| d.value() == Some("DML"));
            let points = match is_bytes {
                true => world.bytes.get(workgroup.as_str()).cloned().unwrap_or_default(),
                false if is_dml && world.active => vec![(-600, 1.0), (0, 1.0)],
                false => Vec::new(),
            };
            let is_forbidden = is_bytes && world.forbidden.contains(&workgroup.as_str());
            if is_bytes {
                asked.push(workgroup);
            }
            // A query that is active is so at each instant that somebody looks.
            let place =
                |ago: i64| if ago == -600 { world.now.unwrap() } else { at(TICK) - SignedDuration::from_mins(ago) };
            let inside = |stamp: &Timestamp| {
                (input.start_time().unwrap().secs()..input.end_time().unwrap().secs())
                    .contains(&(stamp.as_second() - 300))
            };
            let points: Vec<_> =
                points.iter().map(|(ago, value)| (place(*ago), *value)).filter(|(p, _)| inside(p)).collect();
            let stamps = points.iter().map(|(stamp, _)| DateTime::from_secs(stamp.as_second() - 300));
            let code = if is_forbidden { StatusCode::Forbidden } else { StatusCode::Complete };
            let result = MetricDataResult::builder().id(query.id().unwrap()).status_code(code);
            let result = result.set_timestamps(Some(stamps.collect()));
            results.push(result.set_values(Some(points.iter().map(|(_, value)| *value).collect())).build());
        }
        asked.sort();
        world.asked.push(asked);
        GetMetricDataOutput::builder().set_metric_data_results(Some(results)).build()
    });
    mock_client!(aws_sdk_cloudwatch, RuleMode::MatchAny, [&list, &data])
}

fn athena(world: &Shared) -> aws_sdk_athena::Client {
    use aws_sdk_athena::Client;
    let list = mock!(Client::list_work_groups).then_output(|| {
        let all = ["busy", "quiet"].map(|name| WorkGroupSummary::builder().name(name).build());
        ListWorkGroupsOutput::builder().set_work_groups(Some(all.into())).build()
    });
    let get = mock!(Client::get_work_group).then_compute_output(|input: &GetWorkGroupInput| {
        let on = WorkGroupConfiguration::builder().publish_cloud_watch_metrics_enabled(true).build();
        let group = WorkGroup::builder().name(input.work_group().unwrap()).configuration(on).build().unwrap();
        GetWorkGroupOutput::builder().work_group(group).build()
    });
    let seen = world.clone();
    let queries =
        mock!(Client::list_query_executions).then_compute_response(move |input: &ListQueryExecutionsInput| {
            let mut world = seen.lock().unwrap();
            let name = input.work_group().unwrap();
            world.listed.push(name.to_owned());
            if world.throttled {
                let meta = aws_sdk_athena::error::ErrorMetadata::builder().code("ThrottlingException").build();
                return MockResponse::Error(ListQueryExecutionsError::generic(meta));
            }
            let ids =
                world.running.iter().filter(|running| **running == name).map(|name| format!("{name}-1")).collect();
            MockResponse::Output(ListQueryExecutionsOutput::builder().set_query_execution_ids(Some(ids)).build())
        });
    let seen = world.clone();
    let details =
        mock!(Client::batch_get_query_execution).then_compute_output(move |input: &BatchGetQueryExecutionInput| {
            let begun = seen.lock().unwrap().now.unwrap() - SignedDuration::from_mins(3);
            let begun = aws_sdk_athena::primitives::DateTime::from_secs(begun.as_second());
            let one = |id: &String| {
                let status = QueryExecutionStatus::builder().state(QueryExecutionState::Running);
                let status = status.submission_date_time(begun).build();
                QueryExecution::builder().query_execution_id(id).status(status).build()
            };
            let all = input.query_execution_ids().iter().map(one).collect();
            BatchGetQueryExecutionOutput::builder().set_query_executions(Some(all)).build()
        });
    let no_retry = aws_sdk_athena::config::retry::RetryConfig::disabled();
    mock_client!(aws_sdk_athena, RuleMode::MatchAny, [&list, &get, &queries, &details], |conf| conf
        .retry_config(no_retry.clone()))
}

/// Takes whatever is written and remembers nothing between runs but which tick was completed.
fn dynamodb(world: &Shared) -> aws_sdk_dynamodb::Client {
    use aws_sdk_dynamodb::Client;
    let seen = world.clone();
    let ticks = world.clone();
    let update = mock!(Client::update_item).then_compute_output(move |input: &UpdateItemInput| {
        let mut world = ticks.lock().unwrap();
        if input.update_expression().is_some_and(|update| update.contains("last_tick = :tick")) {
            world.last_tick = input.expression_attribute_values().and_then(|values| values.get(":tick").cloned());
        }
        let known = world.last_tick.clone().map(|tick| HashMap::from([("last_tick".to_owned(), tick)]));
        UpdateItemOutput::builder().set_attributes(known).build()
    });
    let query = mock!(Client::query).then_output(|| QueryOutput::builder().build());
    let write = mock!(Client::transact_write_items).then_output(|| TransactWriteItemsOutput::builder().build());
    let put = mock!(Client::put_item).then_compute_output(move |input: &PutItemInput| {
        let text = |name: &str| input.item().and_then(|item| item.get(name)?.as_s().ok().cloned()).unwrap_or_default();
        if text("pk") == "cache" {
            seen.lock().unwrap().caches.push(text("body"));
        }
        PutItemOutput::builder().build()
    });
    mock_client!(aws_sdk_dynamodb, RuleMode::MatchAny, [&update, &query, &write, &put])
}

fn ses(world: &Shared) -> aws_sdk_ses::Client {
    let seen = world.clone();
    let send = mock!(aws_sdk_ses::Client::send_raw_email).then_compute_response(move |_| {
        if seen.lock().unwrap().unmailed {
            let meta = aws_sdk_ses::error::ErrorMetadata::builder().code("MessageRejected").build();
            return MockResponse::Error(SendRawEmailError::generic(meta));
        }
        MockResponse::Output(SendRawEmailOutput::builder().message_id("id").build().unwrap())
    });
    mock_client!(aws_sdk_ses, RuleMode::MatchAny, [&send])
}

fn quotas() -> aws_sdk_servicequotas::Client {
    let quota = || ServiceQuota::builder().value(200.0).build();
    let get = mock!(aws_sdk_servicequotas::Client::get_service_quota)
        .then_output(move || GetServiceQuotaOutput::builder().quota(quota()).build());
    mock_client!(aws_sdk_servicequotas, RuleMode::MatchAny, [&get])
}

struct Account {
    world: Shared,
    clients: Clients,
    catalogue: Catalogue,
    policy: String,
}

impl Account {
    /// An account of which more than a week is known, in which nobody ever scanned anything.
    async fn new(economy: &str, world: World) -> Self {
        let world = Arc::new(Mutex::new(world));
        let region = aws_sdk_ssm::config::Region::new("eu-central-1");
        let loader = aws_config::defaults(aws_config::BehaviorVersion::v2026_01_12()).region(region);
        let clients = Clients {
            athena: athena(&world),
            cloudwatch: cloudwatch(&world),
            dynamodb: dynamodb(&world),
            servicequotas: quotas(),
            ses: ses(&world),
            ..Clients::new(&config(loader).await)
        };
        let mut catalogue = Catalogue::default();
        // Known to the process: it asks nothing of the table.
        catalogue.replace_names(
            BTreeMap::from([("busy".to_owned(), true), ("quiet".to_owned(), true)]),
            at("2026-03-01T00:00:00Z"),
        );
        catalogue.economy = known();
        catalogue.revision = Some(0);
        Self { world, clients, catalogue, policy: format!("{MAIL}{economy}{WORKGROUPS}") }
    }

    /// A run so many minutes after [`TICK`].
    async fn run_as(&mut self, minutes: i64, dry_run: bool) -> RunReport {
        let document = Document { name: "p".to_owned(), text: self.policy.clone() };
        let settings = Settings {
            policy: PolicySource::Documents(vec![document]),
            table: Some("state".to_owned()),
            run_id: format!("run-{minutes}"),
            name: "w".to_owned(),
            feed: false,
            deadline: Timestamp::now() + SignedDuration::from_mins(5),
        };
        let now = at(TICK) + SignedDuration::from_mins(minutes);
        self.world.lock().unwrap().now = Some(now);
        let invocation = Invocation { dry_run, source: Source::Scheduler, time: Some(now) };
        match run(&self.clients, &settings, &mut self.catalogue, &invocation, now).await {
            Ok((report, _)) => report,
            Err(error) => *error.report.unwrap(),
        }
    }

    /// Who was asked in a run so many minutes after [`TICK`]: a request each, separated by `;`.
    async fn asked(&mut self, minutes: i64) -> String {
        self.run_as(minutes, false).await;
        self.requests()
    }

    fn requests(&self) -> String {
        let requests = std::mem::take(&mut self.world.lock().unwrap().asked);
        requests.iter().map(|names| names.join(" ")).collect::<Vec<_>>().join("; ")
    }
}

/// What was learnt of the two a week and more ago, and nothing since: nobody has scanned anything.
fn known() -> Memory {
    let document = Document { name: "p".to_owned(), text: format!("{MAIL}{ECONOMY}{WORKGROUPS}") };
    let policy = Policy::parse(&[document]).unwrap();
    let (then, mut memory) = (at("2026-02-20T00:00:00Z"), Memory::default());
    let nothing = Series::from_buckets(then - SignedDuration::from_hours(25), vec![Bytes::ZERO; 300]);
    for rule in policy.rules() {
        note(&mut memory, rule.pattern.as_str(), &rule.limits, &nothing, false, then, policy.economy.unwrap());
    }
    // As another process reads it.
    serde_json::from_str(&serde_json::to_string(&memory).unwrap()).unwrap()
}

const ECONOMY: &str = "[economy]\nat_most = \"30 min\"\n";

fn busy() -> World {
    World { bytes: BTreeMap::from([("busy", vec![(5, 85e9)])]), ..World::default() }
}

#[tokio::test(start_paused = true)]
async fn each_metric_is_asked_for_once_whatever_the_number_of_limits() {
    let mut account = Account::new("", busy()).await;
    for run in 0..4 {
        assert_eq!(account.asked(run * 5).await, "busy quiet", "in run {run}");
    }
    let report = account.run_as(20, false).await;
    assert_eq!((report.limits.len(), &report.economy), (4, &None));
    assert!(report.limits.iter().all(|limit| limit.age_seconds.is_none()));
    // Nothing is remembered for an economy that is not there.
    assert!(account.catalogue.economy.is_empty());
    assert!(account.world.lock().unwrap().caches.iter().all(|body| !body.contains("economy")));
}

#[tokio::test(start_paused = true)]
async fn who_is_far_from_its_limits_is_asked_every_half_hour() {
    let mut account = Account::new(ECONOMY, busy()).await;
    // A new process asks everybody.
    assert_eq!(account.asked(0).await, "busy quiet");
    for minutes in [5, 10, 15, 20, 25] {
        assert_eq!(account.asked(minutes).await, "busy", "after {minutes} minutes");
    }
    assert_eq!(account.asked(30).await, "busy quiet");
    let report = account.run_as(35, false).await;
    let rows: Vec<_> = report.limits.iter().map(|l| (&*l.workgroup, &*l.window, l.used_bytes, l.age_seconds)).collect();
    assert_eq!(
        rows,
        [
            ("busy", "1h", Some(85_000_000_000), None),
            ("busy", "24h", Some(85_000_000_000), None),
            ("busy", "calendar-day@UTC", Some(85_000_000_000), None),
            ("quiet", "1h", Some(0), Some(300)),
        ]
    );
    let economy = report.economy.unwrap();
    assert_eq!((economy.asked, economy.not_asked, economy.figures_since), (1, 1, Some(at("2026-03-09T14:35:00Z"))));
    account.requests();
    // Somebody who looks wants to see.
    assert_eq!(account.run_as(40, true).await.economy, None);
    assert_eq!(account.requests(), "busy quiet");
    // So does whoever switches it off, and then it is forgotten.
    account.policy = account.policy.replace("30 min", "0 min");
    assert_eq!(account.asked(45).await, "busy quiet");
    assert!(account.catalogue.economy.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_query_that_runs_is_a_reason_to_ask_after_all() {
    let mut account = Account::new(ECONOMY, World { active: true, ..busy() }).await;
    assert_eq!(account.asked(0).await, "busy quiet");
    assert_eq!(account.asked(5).await, "busy");
    assert!(account.world.lock().unwrap().listed.contains(&"quiet".to_owned()), "looked at as before");
    account.world.lock().unwrap().running = vec!["quiet"];
    let report = account.run_as(10, false).await;
    assert_eq!(account.requests(), "busy; quiet");
    let quiet = report.limits.iter().find(|limit| limit.workgroup == "quiet").unwrap();
    assert_eq!((quiet.age_seconds, quiet.in_flight_queries), (None, Some(1)));
    // And as long as it runs it is asked with the others.
    assert_eq!(account.asked(15).await, "busy quiet");
    // What cannot be learnt is not taken for nothing.
    account.world.lock().unwrap().running.clear();
    assert_eq!(account.asked(20).await, "busy quiet");
    assert_eq!(account.asked(25).await, "busy");
    account.world.lock().unwrap().throttled = true;
    assert_eq!(account.asked(30).await, "busy; quiet");
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_broken_while_nobody_asks_is_told_as_of_its_time() {
    let mut account = Account::new(ECONOMY, World::default()).await;
    assert_eq!(account.asked(0).await, "busy quiet");
    // 90 GB at 14:15, of which nothing is in the window any more when somebody asks.
    account.world.lock().unwrap().bytes = BTreeMap::from([("quiet", vec![(-10, 90e9)])]);
    assert_eq!(account.asked(25).await, "");
    let report = account.run_as(90, false).await;
    // The runs in between were lost, and the one at 14:30 left it out: the looks that are known of are made up for.
    let limit = report.limits.iter().find(|limit| limit.workgroup == "quiet").unwrap();
    assert_eq!(
        (limit.level, limit.used_bytes, limit.as_of),
        ("warn", Some(90_000_000_000), at("2026-03-09T14:30:00Z"))
    );
    assert_eq!(report.sent.len(), 1);
}

/// What another process has found and told by now is not told once more by one that left it out before.
#[tokio::test(start_paused = true)]
async fn a_process_that_is_not_alone_asks_everybody() {
    let mut account = Account::new(ECONOMY, World::default()).await;
    assert_eq!(account.asked(0).await, "busy quiet");
    assert_eq!(account.asked(5).await, "");
    let elsewhere = at(TICK) + SignedDuration::from_mins(10);
    account.world.lock().unwrap().last_tick = Some(AttributeValue::N(elsewhere.as_millisecond().to_string()));
    assert_eq!(account.asked(15).await, "busy quiet");
    assert!(account.catalogue.economy.missed("quiet").is_empty());
    assert_eq!(account.asked(20).await, "");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_could_not_tell_is_made_up_for() {
    let mut account = Account::new(ECONOMY, World { unmailed: true, ..busy() }).await;
    account.run_as(0, false).await;
    // Nothing is known of any asking: all is asked anew.
    account.requests();
    assert_eq!(account.asked(5).await, "busy quiet");
    account.world.lock().unwrap().unmailed = false;
    assert_eq!(account.asked(10).await, "busy quiet");
    account.world.lock().unwrap().unmailed = true;
    assert_eq!(account.asked(15).await, "busy");
    assert_eq!(account.catalogue.economy.missed("busy"), [at("2026-03-09T14:20:00Z")]);
}

#[tokio::test(start_paused = true)]
async fn who_cannot_be_seen_is_asked_in_every_run() {
    let mut account = Account::new(ECONOMY, World::default()).await;
    assert_eq!(account.asked(0).await, "busy quiet");
    assert_eq!(account.asked(5).await, "");
    account.world.lock().unwrap().forbidden = vec!["quiet"];
    let report = account.run_as(30, false).await;
    assert_eq!((report.unknown_limits(), report.unseen.len()), (1, 1));
    account.requests();
    assert_eq!(account.asked(35).await, "quiet");
}

#[tokio::test(start_paused = true)]
async fn records_are_written_down_within_the_hour() {
    let mut account =
        Account::new(ECONOMY, World { bytes: BTreeMap::from([("quiet", vec![(0, 5e9)])]), ..World::default() }).await;
    let before = |account: &Account| account.world.lock().unwrap().caches.len();
    account.asked(0).await;
    let first = before(&account);
    for minutes in (5..=120).step_by(5) {
        account.asked(minutes).await;
    }
    assert!(before(&account) > first);
    let world = account.world.lock().unwrap();
    let catalogue: Catalogue = serde_json::from_str(world.caches.last().unwrap()).unwrap();
    let known = |economy: &Memory| serde_json::to_value(economy).unwrap()["most"]["quiet"].clone();
    assert_eq!(known(&catalogue.economy), known(&account.catalogue.economy));
    assert_ne!(known(&catalogue.economy), known(&super::economy::known()), "a record was broken");
}

#[test]
fn an_alert_or_a_grant_that_is_open_is_a_reason_to_ask() {
    let document = Document { name: "p".to_owned(), text: format!("{MAIL}{ECONOMY}{WORKGROUPS}") };
    let policy = Policy::parse(&[document]).unwrap();
    let limits = &policy.rule_for("quiet").unwrap().limits;
    let now = at(TICK);
    let mut catalogue = Catalogue { economy: known(), ..Catalogue::default() };
    let start = now - SignedDuration::from_hours(4);
    let nothing = Series::from_buckets(start, vec![Bytes::ZERO; 48]);
    note(&mut catalogue.economy, "quiet", limits, &nothing, false, now, policy.economy.unwrap());
    let later = now + SignedDuration::from_mins(5);
    let left_out = |records: &Records, grants: &Grants| {
        Thrift::new(&policy, records, grants).unwrap().leaves_out(&catalogue, "quiet", later).is_some()
    };
    assert!(left_out(&Records::new(), &Grants::new()));
    let wrong = Sighting::Wrong { severity: Severity::Warn, window_began: None };
    let open = Record::default().after(wrong, now);
    for subject in ["limit/quiet/1h", "sight/quiet"] {
        let records = Records::from([(subject.parse().unwrap(), open.clone())]);
        assert!(!left_out(&records, &Grants::new()), "{subject}");
    }
    let others = Records::from([
        ("limit/busy/1h".parse().unwrap(), open),
        ("limit/quiet/1h".parse().unwrap(), Record::default()),
    ]);
    assert!(left_out(&others, &Grants::new()));
    let grant = |closed| Grant {
        id: "g".to_owned(),
        workgroup: "quiet".to_owned(),
        by: Asker { principal: Principal::User { name: "ann".to_owned() }, arn: "arn".to_owned() },
        reason: "backfill".to_owned(),
        limit: None,
        per_query: None,
        asked: now,
        from: now,
        until: now + SignedDuration::from_hours(1),
        needs_approval: false,
        approved: None,
        extended: None,
        revoked: None,
        cutoff: Cutoff::Untouched,
        closed,
        requests: Vec::new(),
    };
    let granted = |closed| Grants::from([("quiet".to_owned(), Book { grants: vec![grant(closed)] })]);
    // Of a cutoff only, too: more can land than was ever seen.
    assert!(!left_out(&Records::new(), &granted(None)));
    assert!(left_out(&Records::new(), &granted(Some(now))));
}

/// What holds the datapoint is unknown and asked for in every run; what does not is judged, and the report says what goes without.
#[tokio::test(start_paused = true)]
async fn a_datapoint_that_cannot_be_true_hides_what_holds_it_and_no_more() {
    let bytes = BTreeMap::from([("busy", vec![(5, 10e9), (120, f64::NAN)])]);
    let mut account = Account::new(ECONOMY, World { bytes, ..World::default() }).await;
    for minutes in [0, 5] {
        let report = account.run_as(minutes, false).await;
        let limits = report.limits.iter().map(|limit| (limit.window.as_str(), limit.level, limit.used_bytes));
        let busy: Vec<_> = limits.take(3).collect();
        let unknown = |window| (window, "unknown", None);
        assert_eq!(busy, [("1h", "ok", Some(10_000_000_000)), unknown("24h"), unknown("calendar-day@UTC")]);
        assert_eq!((report.unseen.len(), report.unseen[0].workgroup.as_str()), (1, "busy"));
        let warning = "`busy`: CloudWatch gave the impossible value `NaN` at 2026-03-09T12:00:00Z; limits with this in their window are not \
                       judged, and the forecast knows nothing from before it";
        assert_eq!(report.warnings, [warning]);
        assert_eq!(account.requests(), if minutes == 0 { "busy quiet" } else { "busy" });
    }
    // A day later it is in no window any more: all is known, and nobody need be asked.
    let report = account.run_as(24 * 60, false).await;
    assert_eq!((report.unknown_limits(), report.unseen.len(), report.warnings.len()), (0, 0, 0));
    account.requests();
    assert_eq!(account.asked(24 * 60 + 5).await, "");
}
