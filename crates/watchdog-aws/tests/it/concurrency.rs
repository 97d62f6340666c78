//! Active and waiting queries: what is asked, and what runs make of every kind of answer. The real clients against a small world.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws_sdk_athena::operation::batch_get_query_execution::{BatchGetQueryExecutionInput, BatchGetQueryExecutionOutput};
use aws_sdk_athena::operation::get_capacity_assignment_configuration::GetCapacityAssignmentConfigurationOutput;
use aws_sdk_athena::operation::get_work_group::{GetWorkGroupInput, GetWorkGroupOutput};
use aws_sdk_athena::operation::list_capacity_reservations::{
    ListCapacityReservationsError, ListCapacityReservationsOutput,
};
use aws_sdk_athena::operation::list_query_executions::{
    ListQueryExecutionsError, ListQueryExecutionsInput, ListQueryExecutionsOutput,
};
use aws_sdk_athena::operation::list_work_groups::ListWorkGroupsOutput;
use aws_sdk_athena::primitives::DateTime as AthenaTime;
use aws_sdk_athena::types::{
    CapacityAssignment, CapacityAssignmentConfiguration, CapacityReservation, CapacityReservationStatus,
    QueryExecution, QueryExecutionState, QueryExecutionStatus, StatementType, WorkGroup, WorkGroupConfiguration,
    WorkGroupSummary,
};
use aws_sdk_cloudtrail::operation::lookup_events::LookupEventsOutput;
use aws_sdk_cloudwatch::operation::get_metric_data::{GetMetricDataInput, GetMetricDataOutput};
use aws_sdk_cloudwatch::operation::list_metrics::ListMetricsOutput;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{MetricDataResult, StatusCode};
use aws_sdk_servicequotas::error::ErrorMetadata;
use aws_sdk_servicequotas::operation::get_aws_default_service_quota::GetAwsDefaultServiceQuotaOutput;
use aws_sdk_servicequotas::operation::get_service_quota::{
    GetServiceQuotaError, GetServiceQuotaInput, GetServiceQuotaOutput,
};
use aws_sdk_servicequotas::types::ServiceQuota;
use aws_sdk_servicequotas::types::error::NoSuchResourceException;
use aws_smithy_mocks::{MockResponse, RuleMode, mock, mock_client};
use expect_test::{Expect, expect};
use jiff::{SignedDuration, Timestamp};
use watchdog_aws::clients::{Clients, config};
use watchdog_aws::gather::PolicySource;
use watchdog_aws::pass::{Settings, run};
use watchdog_core::catalogue::Catalogue;
use watchdog_core::event::{Invocation, Source};
use watchdog_core::mail::Mail;
use watchdog_core::policy::Document;
use watchdog_core::report::RunReport;

use crate::at;

const TICK: &str = "2026-03-01T14:05:00Z";

const POLICY: &str = r#"
[mail]
sender = "w@example.com"
admins = ["ops@example.com"]
allowed_domains = ["example.com"]
[[workgroup]]
name = "predictable"
waiting = "2 min"
[[workgroup]]
name = "exploratory"
[[workgroup.limit]]
window = "1h"
limit = "100 GB"
"#;

/// What AWS would answer.
#[derive(Debug, Default)]
struct World {
    /// The time.
    now: Option<Timestamp>,
    /// Datapoints by metric: `DML`, `DDL`, or the workgroup whose waiting it is; minutes before the tick, and the value.
    points: BTreeMap<&'static str, Vec<(i64, f64)>>,
    /// Metrics that CloudWatch refuses.
    forbidden: Vec<&'static str>,
    /// The applied quota, or the error's code.
    quota: Option<Result<f64, &'static str>>,
    /// Active queries by workgroup: the first number waits, the second runs.
    active: BTreeMap<&'static str, (usize, usize)>,
    /// Further workgroups, that nobody watches.
    others: usize,
    /// Athena refuses to list queries.
    throttled: bool,
    /// The reservation that the workgroup runs on; `denied` where it may not be asked.
    reserved: Option<&'static str>,
    /// All metrics that were asked for, one request a line.
    asked: Vec<String>,
    /// Calls of everything else.
    calls: Vec<String>,
}

type Shared = Arc<Mutex<World>>;

fn minutes(n: i64) -> SignedDuration {
    SignedDuration::from_mins(n)
}

fn cloudwatch(world: &Shared) -> aws_sdk_cloudwatch::Client {
    use aws_sdk_cloudwatch::Client;
    let list = mock!(Client::list_metrics).then_output(|| ListMetricsOutput::builder().build());
    let seen = world.clone();
    let data = mock!(Client::get_metric_data).then_compute_output(move |input: &GetMetricDataInput| {
        let mut world = seen.lock().unwrap();
        let mut asked = Vec::new();
        let mut results = Vec::new();
        for query in input.metric_data_queries() {
            let stat = query.metric_stat().unwrap();
            let metric = stat.metric().unwrap();
            let dimension = |name: &str| {
                let found = metric.dimensions().iter().find(|d| d.name() == Some(name));
                found.and_then(|d| d.value()).unwrap_or_default().to_owned()
            };
            let name = metric.metric_name().unwrap();
            assert_eq!(stat.period(), Some(300));
            let key = match name {
                "ResourceCount" => {
                    let fixed = ["Service", "Resource", "Type"].map(dimension);
                    assert_eq!(
                        (fixed, metric.dimensions().len()),
                        (["Athena", "ActiveQueryCount", "Resource"].map(str::to_owned), 4)
                    );
                    assert_eq!(metric.namespace(), Some("AWS/Usage"));
                    dimension("Class")
                }
                // The other forms of the same metric have no data here.
                "QueryQueueTime" if dimension("QueryState") == "SUCCEEDED" => dimension("WorkGroup"),
                _ => String::new(),
            };
            if name != "ProcessedBytes" {
                assert_eq!(stat.stat(), Some("Maximum"));
                asked.push(format!("{name} {}", if key.is_empty() { "…" } else { &key }));
            }
            let code =
                if world.forbidden.contains(&key.as_str()) { StatusCode::Forbidden } else { StatusCode::Complete };
            let points = world.points.get(key.as_str()).cloned().unwrap_or_default();
            let stamps =
                points.iter().map(|(ago, _)| DateTime::from_secs((world.now.unwrap() - minutes(*ago)).as_second()));
            let result = MetricDataResult::builder().id(query.id().unwrap()).status_code(code);
            let result = result.set_timestamps(Some(stamps.collect()));
            results.push(result.set_values(Some(points.iter().map(|(_, value)| *value).collect())).build());
        }
        world.asked.push(asked.join(", "));
        GetMetricDataOutput::builder().set_metric_data_results(Some(results)).build()
    });
    mock_client!(aws_sdk_cloudwatch, RuleMode::MatchAny, [&list, &data])
}

fn quotas(world: &Shared) -> aws_sdk_servicequotas::Client {
    use aws_sdk_servicequotas::Client;
    let quota = |value: f64| ServiceQuota::builder().value(value).build();
    let seen = world.clone();
    let applied = mock!(Client::get_service_quota).then_compute_response(move |input: &GetServiceQuotaInput| {
        let mut world = seen.lock().unwrap();
        assert_eq!(input.service_code(), Some("athena"));
        world.calls.push(format!("GetServiceQuota {}", input.quota_code().unwrap()));
        match world.quota {
            Some(Ok(value)) => MockResponse::Output(GetServiceQuotaOutput::builder().quota(quota(value)).build()),
            None => MockResponse::Error(GetServiceQuotaError::NoSuchResourceException(
                NoSuchResourceException::builder().message("not raised").build(),
            )),
            Some(Err(code)) => {
                let meta = ErrorMetadata::builder().code(code).message("no").build();
                MockResponse::Error(GetServiceQuotaError::generic(meta))
            }
        }
    });
    let seen = world.clone();
    let default = mock!(Client::get_aws_default_service_quota).then_compute_output(move |_| {
        seen.lock().unwrap().calls.push("GetAWSDefaultServiceQuota".to_owned());
        GetAwsDefaultServiceQuotaOutput::builder().quota(quota(150.0)).build()
    });
    mock_client!(aws_sdk_servicequotas, RuleMode::MatchAny, [&applied, &default])
}

fn athena(world: &Shared) -> aws_sdk_athena::Client {
    use aws_sdk_athena::Client;
    let seen = world.clone();
    let list = mock!(Client::list_work_groups).then_compute_output(move |_| {
        let names = ["exploratory", "idle", "predictable"].map(str::to_owned).into_iter();
        let names = names.chain((0..seen.lock().unwrap().others).map(|n| format!("team-{n:02}")));
        let all = names.map(|name| WorkGroupSummary::builder().name(name).build()).collect();
        ListWorkGroupsOutput::builder().set_work_groups(Some(all)).build()
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
            world.calls.push(format!("ListQueryExecutions {name}"));
            if world.throttled {
                let meta = aws_sdk_athena::error::ErrorMetadata::builder().code("ThrottlingException").build();
                return MockResponse::Error(ListQueryExecutionsError::generic(meta));
            }
            let (queued, running) = world.active.get(name).copied().unwrap_or_default();
            let id = |i: usize| format!("{name}-{}-{i}", if i < queued { "queued" } else { "running" });
            let ids: Vec<String> = (0..queued + running).map(id).collect();
            MockResponse::Output(ListQueryExecutionsOutput::builder().set_query_execution_ids(Some(ids)).build())
        });
    let details =
        mock!(Client::batch_get_query_execution).then_compute_output(|input: &BatchGetQueryExecutionInput| {
            let one = |id: &String| {
                let is_queued = id.contains("-queued-");
                let state = if is_queued { QueryExecutionState::Queued } else { QueryExecutionState::Running };
                let ago = if is_queued { SignedDuration::from_secs(250) } else { minutes(7) };
                let submitted = AthenaTime::from_secs((at(TICK) - ago).as_second());
                let status = QueryExecutionStatus::builder().state(state).submission_date_time(submitted).build();
                let kind = if id.starts_with("ddl") { StatementType::Ddl } else { StatementType::Dml };
                QueryExecution::builder().query_execution_id(id).status(status).statement_type(kind).build()
            };
            let all = input.query_execution_ids().iter().map(one).collect();
            BatchGetQueryExecutionOutput::builder().set_query_executions(Some(all)).build()
        });
    let seen = world.clone();
    let reservations = mock!(Client::list_capacity_reservations).then_compute_response(move |_| {
        let mut world = seen.lock().unwrap();
        world.calls.push("ListCapacityReservations".to_owned());
        let out = ListCapacityReservationsOutput::builder();
        let one = |name: &str, status| {
            let one = CapacityReservation::builder().name(name).status(status).target_dpus(24).allocated_dpus(24);
            one.creation_time(AthenaTime::from_secs(0)).build().unwrap()
        };
        match world.reserved {
            Some("denied") => {
                let meta = aws_sdk_athena::error::ErrorMetadata::builder().code("AccessDeniedException").build();
                MockResponse::Error(ListCapacityReservationsError::generic(meta))
            }
            Some(_) => {
                let out = out.capacity_reservations(one("lab-capacity", CapacityReservationStatus::Active));
                let out = out.capacity_reservations(one("old", CapacityReservationStatus::Cancelled));
                MockResponse::Output(out.build().unwrap())
            }
            None => MockResponse::Output(out.set_capacity_reservations(Some(Vec::new())).build().unwrap()),
        }
    });
    let seen = world.clone();
    let assigned = mock!(Client::get_capacity_assignment_configuration).then_compute_output(move |_| {
        let name = seen.lock().unwrap().reserved.unwrap_or_default();
        let assignment = CapacityAssignment::builder().work_group_names(name).build();
        let all = CapacityAssignmentConfiguration::builder().capacity_assignments(assignment).build();
        GetCapacityAssignmentConfigurationOutput::builder().capacity_assignment_configuration(all).build()
    });
    let rules = [&list, &get, &queries, &details, &reservations, &assigned];
    let no_retry = aws_sdk_athena::config::retry::RetryConfig::disabled();
    mock_client!(aws_sdk_athena, RuleMode::MatchAny, rules, |conf| conf.retry_config(no_retry.clone()))
}

struct Account {
    world: Shared,
    clients: Clients,
    catalogue: Catalogue,
}

impl Account {
    async fn new(world: World) -> Self {
        let world = Arc::new(Mutex::new(world));
        let events =
            mock!(aws_sdk_cloudtrail::Client::lookup_events).then_output(|| LookupEventsOutput::builder().build());
        let region = aws_sdk_ssm::config::Region::new("eu-central-1");
        let loader = aws_config::defaults(aws_config::BehaviorVersion::v2026_01_12()).region(region);
        let clients = Clients {
            athena: athena(&world),
            cloudtrail: mock_client!(aws_sdk_cloudtrail, RuleMode::MatchAny, [&events]),
            cloudwatch: cloudwatch(&world),
            servicequotas: quotas(&world),
            ..Clients::new(&config(loader).await)
        };
        Self { world, clients, catalogue: Catalogue::default() }
    }

    /// A rehearsal so much `later` than [`TICK`]; what is known of workgroups and quotas is kept.
    async fn run(&mut self, later: SignedDuration) -> (RunReport, Vec<Mail>) {
        let document = Document { name: "p".to_owned(), text: POLICY.to_owned() };
        let settings = Settings {
            policy: PolicySource::Documents(vec![document]),
            table: None,
            run_id: "run".to_owned(),
            name: "w".to_owned(),
            feed: false,
            deadline: Timestamp::now() + minutes(5),
        };
        let now = at(TICK) + later;
        self.world.lock().unwrap().now = Some(now);
        let invocation = Invocation { dry_run: true, source: Source::Scheduler, time: Some(now) };
        run(&self.clients, &settings, &mut self.catalogue, &invocation, now).await.unwrap()
    }

    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.world.lock().unwrap().calls)
    }
}

fn show(report: &RunReport) -> String {
    let limit = |l: &watchdog_core::report::QueryLimitReport| {
        let of = l.workgroup.as_deref().or(l.class).unwrap_or_default();
        format!("{of} {}: {}\n", l.level, l.reason)
    };
    let mut text: String = report.query_limits.iter().map(limit).collect();
    for mail in &report.would_send {
        let why = mail.why.iter().map(|why| format!("{} {}", why.alert, why.level));
        text.push_str(&format!("mail to {}: {}\n", mail.to, why.collect::<Vec<_>>().join(", ")));
    }
    text.extend(report.warnings.iter().map(|warning| format!("warning: {warning}\n")));
    text
}

async fn check(world: World, expected: Expect) -> (Account, Vec<Mail>) {
    let mut account = Account::new(world).await;
    let (report, mails) = account.run(SignedDuration::ZERO).await;
    expected.assert_eq(&show(&report));
    (account, mails)
}

fn dml(points: &[(i64, f64)]) -> BTreeMap<&'static str, Vec<(i64, f64)>> {
    BTreeMap::from([("DML", points.to_vec())])
}

#[tokio::test(start_paused = true)]
async fn an_idle_account_costs_no_call_more() {
    let (account, _) = check(
        World::default(),
        expect![[r#"
        DML ok: no DML query was active in the last 10 minutes
        DDL ok: no DDL query was active in the last 10 minutes
        predictable ok: no query waited in the last 10 minutes
    "#]],
    )
    .await;
    assert_eq!(account.calls(), Vec::<String>::new());
    // All of it rides in the request for the bytes.
    let asked = account.world.lock().unwrap().asked.clone();
    expect!["ResourceCount DML, ResourceCount DDL, QueryQueueTime …, QueryQueueTime …, QueryQueueTime …, QueryQueueTime predictable"].assert_eq(&asked.join("\n"));
}

#[tokio::test(start_paused = true)]
async fn a_swing_between_thirty_and_seventy_percent_is_no_alert() {
    let points = dml(&[(14, 200.0), (9, 140.0), (6, 60.0), (3, 138.0), (1, 61.0)]);
    let world = World { points, quota: Some(Ok(200.0)), ..World::default() };
    let (account, _) = check(
        world,
        expect![[r#"
        DML ok: up to 140 of 200 active DML queries in the last 10 minutes, 70 %, below 80 %
        DDL ok: no DDL query was active in the last 10 minutes
        predictable ok: no query waited in the last 10 minutes
    "#]],
    )
    .await;
    // The queue of the one that must not wait; and what runs in the one with a limit on its bytes.
    let lists = ["ListQueryExecutions predictable", "ListQueryExecutions exploratory"];
    assert_eq!(account.calls(), [&["GetServiceQuota L-FC5F6546"], &lists[..]].concat());
}

#[tokio::test(start_paused = true)]
async fn a_burst_between_two_runs_is_told() {
    let points = dml(&[(9, 12.0), (4, 200.0), (1, 14.0)]);
    check(
        World { points, quota: Some(Ok(200.0)), ..World::default() },
        expect![[r#"
        DML exhausted: up to 200 of 200 active DML queries in the last 10 minutes, 100 %: the next queries are refused
        DDL ok: no DDL query was active in the last 10 minutes
        predictable ok: no query waited in the last 10 minutes
        mail to ops@example.com: active/dml exhausted
    "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn only_ddl_is_near_its_quota() {
    let points = BTreeMap::from([("DDL", vec![(2, 19.0)])]);
    let world = World { points, quota: Some(Ok(20.0)), ..World::default() };
    let (account, mails) = check(world, expect![[r#"
        DML ok: no DML query was active in the last 10 minutes
        DDL critical: up to 19 of 20 active DDL queries in the last 10 minutes, 95 %, at or above 90 %: the next queries may be refused
        predictable ok: no query waited in the last 10 minutes
        mail to ops@example.com: active/ddl critical
    "#]]).await;
    assert!(account.calls().contains(&"GetServiceQuota L-3CE0BBA0".to_owned()));
    assert!(mails[0].text.contains("quotas/L-3CE0BBA0"), "{}", mails[0].text);
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_was_never_raised_is_awss_default() {
    let (account, mails) = check(World { points: dml(&[(2, 140.0)]), ..World::default() }, expect![[r#"
        DML critical: up to 140 of 150 active DML queries in the last 10 minutes, 93 %, at or above 90 %: the next queries may be refused
        DDL ok: no DDL query was active in the last 10 minutes
        predictable ok: no query waited in the last 10 minutes
        mail to ops@example.com: active/dml critical
    "#]]).await;
    assert!(account.calls().contains(&"GetAWSDefaultServiceQuota".to_owned()));
    assert!(mails[0].text.contains("150, AWS's default, read 2026-03-01 14:05 UTC"), "{}", mails[0].text);
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_cannot_be_read_is_unknown_and_blocks_nothing() {
    let points = dml(&[(2, 140.0)]);
    let world = World { points, quota: Some(Err("AccessDeniedException")), ..World::default() };
    let mut account = check(
        world,
        expect![[r#"
        DML unknown: AWS denied `servicequotas:GetServiceQuota`
        DDL ok: no DDL query was active in the last 10 minutes
        predictable ok: no query waited in the last 10 minutes
        mail to ops@example.com: sight-active/dml cannot see
        warning: `servicequotas:GetServiceQuota` failed with `AccessDeniedException`: no
    "#]],
    )
    .await
    .0;
    let (report, _) = account.run(SignedDuration::ZERO).await;
    assert_eq!(report.limits[0].level, "ok", "bytes are watched as before");
    // A value that is no number of queries is as unknown.
    account.world.lock().unwrap().quota = Some(Ok(f64::NAN));
    let (report, _) = account.run(SignedDuration::ZERO).await;
    assert_eq!(report.query_limits[0].level, "unknown");
}

#[tokio::test(start_paused = true)]
async fn a_metric_that_is_denied_is_unknown() {
    let forbidden = vec!["DML", "predictable"];
    check(
        World { forbidden, quota: Some(Ok(200.0)), ..World::default() },
        expect![[r#"
        DML unknown: AWS denied `cloudwatch:GetMetricData`
        DDL ok: no DDL query was active in the last 10 minutes
        predictable unknown: AWS denied `cloudwatch:GetMetricData`
        mail to ops@example.com: sight-active/dml cannot see, sight-waiting/predictable cannot see
    "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_quota_is_kept_for_an_hour_and_read_anew_where_it_matters() {
    let world = World { points: dml(&[(2, 50.0)]), quota: Some(Ok(200.0)), ..World::default() };
    let mut account = Account::new(world).await;
    let asks = |account: &Account| account.calls().iter().any(|call| call.starts_with("GetServiceQuota"));
    account.run(SignedDuration::ZERO).await;
    assert!(asks(&account));
    let (report, _) = account.run(minutes(59)).await;
    assert!(!asks(&account), "still fresh");
    assert_eq!(report.query_limits[0].quota.unwrap().read, at(TICK), "and its age is told");
    account.run(minutes(60)).await;
    assert!(asks(&account), "an hour old");
    // Near the quota it is read at once: it has been raised meanwhile.
    account.world.lock().unwrap().points = dml(&[(2, 190.0)]);
    account.world.lock().unwrap().quota = Some(Ok(400.0));
    let (report, _) = account.run(minutes(61)).await;
    assert_eq!((report.query_limits[0].level, report.query_limits[0].limit), ("ok", Some(400)));
    // Where it cannot be read again, the one that is known stands for a day, and the fault is told.
    account.world.lock().unwrap().quota = Some(Err("ServiceException"));
    let (report, _) = account.run(minutes(10 * 60)).await;
    assert_eq!((report.query_limits[0].level, report.query_limits[0].limit), ("ok", Some(400)));
    assert!(report.warnings[0].contains("`servicequotas:GetServiceQuota` failed"), "{:?}", report.warnings);
    let (report, _) = account.run(minutes(26 * 60)).await;
    assert_eq!(report.query_limits[0].level, "unknown");
}

/// Exploration has the quota, and `predictable` waits.
fn starved() -> World {
    let mut points = dml(&[(2, 200.0)]);
    points.insert("predictable", vec![(3, 90_000.0)]);
    let active = BTreeMap::from([("exploratory", (4, 150)), ("predictable", (12, 3))]);
    World { points, active, quota: Some(Ok(200.0)), ..World::default() }
}

#[tokio::test(start_paused = true)]
async fn exploration_starves_predictable_and_the_admins_read_exactly_that() {
    let (account, mails) = check(starved(), expect![[r#"
        DML exhausted: up to 200 of 200 active DML queries in the last 10 minutes, 100 %: the next queries are refused
        DDL ok: no DDL query was active in the last 10 minutes
        predictable exhausted: queries are waiting: up to 4 min 10 s in the last 10 minutes, of at most 2 min, 12 waiting now
        mail to ops@example.com: active/dml exhausted, waiting/predictable exhausted
    "#]]).await;
    let text = &mails[0].text;
    for said in [
        "exploratory has 154 of the 169 that are active now.",
        "exploratory has 154 of the 169 queries that are active, and predictable waits for them.",
        "aws athena stop-query-execution --region eu-central-1 --query-execution-id exploratory-running-",
        "Reservations  none in this account",
    ] {
        assert!(text.contains(said), "`{said}` not in\n{text}");
    }
    // One for its queue and one for its running queries; every workgroup once more, and only because somebody is told.
    let calls = account.calls();
    assert_eq!(calls.iter().filter(|call| call.starts_with("ListQueryExecutions")).count(), 2 + 3, "{calls:?}");
    assert!(calls.contains(&"ListCapacityReservations".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn queries_on_a_reservation_do_not_count_and_the_mail_says_so() {
    let mut account = Account::new(World { reserved: Some("exploratory"), ..starved() }).await;
    let (report, mails) = account.run(SignedDuration::ZERO).await;
    let text = &mails[0].text;
    let said = "queries on lab-capacity, which exploratory run on, do not count against the quota";
    assert!(text.contains(said), "{text}");
    assert!(text.contains("predictable itself has the most queries active: 15 of 15."), "{text}");
    let occupancy = report.active_queries.unwrap();
    assert_eq!(occupancy.reservations, Some(vec!["lab-capacity".to_owned()]), "one that is cancelled is none");
    // Not known is said, and is not none.
    let mut account = Account::new(World { reserved: Some("denied"), ..starved() }).await;
    let (_, mails) = account.run(SignedDuration::ZERO).await;
    let said = "not known (AWS denied `athena:ListCapacityReservations`); queries on one do not count";
    assert!(mails[0].text.contains(said), "{}", mails[0].text);
}

#[tokio::test(start_paused = true)]
async fn where_athena_does_not_list_the_queries_the_alert_goes_out_all_the_same() {
    let world = World { throttled: true, ..starved() };
    let (_, mails) = check(world, expect![[r#"
        DML exhausted: up to 200 of 200 active DML queries in the last 10 minutes, 100 %: the next queries are refused
        DDL ok: no DDL query was active in the last 10 minutes
        predictable warn: queries are waiting: up to 1 min 30 s in the last 10 minutes, of at most 2 min, and who waits now is not known: `athena:ListQueryExecutions` failed with `ThrottlingException`
        mail to ops@example.com: active/dml exhausted, waiting/predictable warn
        warning: `athena:ListQueryExecutions` failed with `ThrottlingException`
        warning: running queries are not all known: `athena:ListQueryExecutions` failed with `ThrottlingException`, for 1 workgroup
    "#]]).await;
    let said = "The queries of 3 workgroups could not be read: `athena:ListQueryExecutions` failed with `ThrottlingException`.";
    assert!(mails[0].text.contains(said), "{}", mails[0].text);
}

#[tokio::test(start_paused = true)]
async fn athenas_rate_is_kept_to_and_what_that_costs_is_shown() {
    let mut account = Account::new(World { others: 57, ..starved() }).await;
    let start = tokio::time::Instant::now();
    let (report, mails) = account.run(SignedDuration::ZERO).await;
    let lists = account.calls().iter().filter(|call| call.starts_with("ListQueryExecutions")).count();
    let seconds = start.elapsed().as_secs();
    // Eight at once, then four a second; never more than forty for this, and one each for the queue and for what runs.
    assert!(lists <= 42 && (6..=12).contains(&seconds), "{lists} lists in {seconds} s");
    let waited = |warning: &String| warning.starts_with("`athena:ListQueryExecutions` had to wait");
    assert!(report.warnings.iter().any(waited), "{:?}", report.warnings);
    // Those that wait and those that were at work come first: who it is about is known all the same.
    assert!(mails[0].text.contains("exploratory has 154 of the 169"), "{}", mails[0].text);
    assert!(mails[0].text.contains("workgroups were not looked at for want of time."), "{}", mails[0].text);
}
