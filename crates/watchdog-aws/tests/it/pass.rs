//! What a run does when sending or remembering fails: the real clients, a world that always warns, and a fault at one call.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use aws_sdk_athena::operation::batch_get_query_execution::BatchGetQueryExecutionOutput;
use aws_sdk_athena::operation::get_work_group::GetWorkGroupOutput;
use aws_sdk_athena::operation::list_query_executions::{ListQueryExecutionsError, ListQueryExecutionsOutput};
use aws_sdk_athena::operation::list_work_groups::ListWorkGroupsOutput;
use aws_sdk_athena::types::error::InvalidRequestException;
use aws_sdk_athena::types::{
    QueryExecution, QueryExecutionState, QueryExecutionStatistics, QueryExecutionStatus, WorkGroup,
    WorkGroupConfiguration, WorkGroupSummary,
};
use aws_sdk_cloudwatch::operation::get_metric_data::GetMetricDataOutput;
use aws_sdk_cloudwatch::operation::list_metrics::ListMetricsOutput;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{MetricDataResult, StatusCode};
use aws_sdk_dynamodb::operation::put_item::PutItemOutput;
use aws_sdk_dynamodb::operation::query::{QueryError, QueryInput, QueryOutput};
use aws_sdk_dynamodb::operation::transact_write_items::{
    TransactWriteItemsError, TransactWriteItemsInput, TransactWriteItemsOutput,
};
use aws_sdk_dynamodb::operation::update_item::{UpdateItemInput, UpdateItemOutput};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodb::types::error::{ResourceNotFoundException, TransactionCanceledException};
use aws_sdk_ses::operation::send_raw_email::{SendRawEmailError, SendRawEmailInput, SendRawEmailOutput};
use aws_sdk_ses::types::error::MessageRejected;
use aws_sdk_ssm::error::ErrorMetadata;
use aws_sdk_ssm::operation::get_parameters_by_path::{GetParametersByPathError, GetParametersByPathOutput};
use aws_sdk_ssm::types::Parameter;
use aws_sdk_ssm::types::error::{InternalServerError, InvalidFilterKey};
use aws_smithy_mocks::{MockResponse, RuleMode, mock, mock_client};
use jiff::SignedDuration;
use watchdog_aws::clients::{Calls, Clients};
use watchdog_aws::gather::PolicySource;
use watchdog_aws::pace::Paces;
use watchdog_aws::pass::{RunError, Settings, run};
use watchdog_core::catalogue::Catalogue;
use watchdog_core::event::{Invocation, Source};
use watchdog_core::ledger::{StoredPolicy, encode_policy};
use watchdog_core::policy::Document;
use watchdog_core::report::RunReport;

use crate::at;

const RUNNING: &str = "11111111-2222-3333-4444-555555555555";
const TICK: &str = "2026-03-01T14:05:00Z";

const POLICY: &str = r#"
[mail]
sender = "w@example.com"
admins = ["a@example.com", "b@example.com", "c@example.com"]
allowed_domains = ["example.com"]
[[workgroup]]
name = "exploratory"
[[workgroup.limit]]
window = "1h"
limit = "100 GB"
"#;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Faults {
    /// SES refuses the mail to this person.
    refused: Option<&'static str>,
    /// The ledger cannot be read.
    unreadable: bool,
    /// Which writes of records fail, counted from zero.
    writes: Option<usize>,
    /// SSM fails, and may answer another time.
    policy_hiccup: bool,
    /// SSM fails for good.
    policy_gone: bool,
    /// The run's time is over.
    late: bool,
    /// Athena does not let the queries be listed.
    unlisted: bool,
}

#[derive(Debug, Default)]
struct Seen {
    /// Whom SES was asked to mail.
    mailed: Vec<String>,
    /// The text parts of those mails.
    texts: Vec<String>,
    /// The bodies of all records that were written, in order.
    written: Vec<String>,
    /// The update expressions on the lease.
    leases: Vec<String>,
}

fn meta(code: &str, message: &str) -> ErrorMetadata {
    ErrorMetadata::builder().code(code).message(message).build()
}

/// One query has been running for twenty minutes.
fn athena(faults: Faults) -> aws_sdk_athena::Client {
    let queries = mock!(aws_sdk_athena::Client::list_query_executions).then_compute_response(move |_| {
        if faults.unlisted {
            let error = InvalidRequestException::builder().meta(meta("AccessDeniedException", "no")).build();
            return MockResponse::Error(ListQueryExecutionsError::InvalidRequestException(error));
        }
        MockResponse::Output(ListQueryExecutionsOutput::builder().query_execution_ids(RUNNING).build())
    });
    let details = mock!(aws_sdk_athena::Client::batch_get_query_execution).then_output(|| {
        let submitted = DateTime::from_secs(at("2026-03-01T13:45:00Z").as_second());
        let status =
            QueryExecutionStatus::builder().state(QueryExecutionState::Running).submission_date_time(submitted);
        let statistics = QueryExecutionStatistics::builder().data_scanned_in_bytes(3_600_000_000).build();
        let query = QueryExecution::builder().query_execution_id(RUNNING).status(status.build()).statistics(statistics);
        BatchGetQueryExecutionOutput::builder().query_executions(query.build()).build()
    });
    let list = mock!(aws_sdk_athena::Client::list_work_groups).then_output(|| {
        ListWorkGroupsOutput::builder().work_groups(WorkGroupSummary::builder().name("exploratory").build()).build()
    });
    let get = mock!(aws_sdk_athena::Client::get_work_group).then_output(|| {
        let on = WorkGroupConfiguration::builder().publish_cloud_watch_metrics_enabled(true).build();
        let group = WorkGroup::builder().name("exploratory").configuration(on).build().unwrap();
        GetWorkGroupOutput::builder().work_group(group).build()
    });
    mock_client!(aws_sdk_athena, RuleMode::MatchAny, [&list, &get, &queries, &details])
}

/// Nobody's submitters are wanted here, and so nobody is asked for them.
fn cloudtrail() -> aws_sdk_cloudtrail::Client {
    let lookup = mock!(aws_sdk_cloudtrail::Client::lookup_events).then_compute_output(|_| panic!("asked for events"));
    mock_client!(aws_sdk_cloudtrail, [&lookup])
}

fn iam() -> aws_sdk_iam::Client {
    let tags = mock!(aws_sdk_iam::Client::list_user_tags).then_compute_output(|_| panic!("asked for tags"));
    mock_client!(aws_sdk_iam, [&tags])
}

fn cloudwatch() -> aws_sdk_cloudwatch::Client {
    let list = mock!(aws_sdk_cloudwatch::Client::list_metrics).then_output(|| ListMetricsOutput::builder().build());
    let data = mock!(aws_sdk_cloudwatch::Client::get_metric_data).then_compute_output(|input| {
        let result = |id: &str| {
            let result = MetricDataResult::builder().id(id).status_code(StatusCode::Complete).values(90e9);
            result.timestamps(DateTime::from_secs(at("2026-03-01T14:00:00Z").as_second())).build()
        };
        // Only the first metric has the bytes: the others are of the other form.
        let results = input.metric_data_queries().iter().map(|query| match query.id() {
            Some("m0") => result("m0"),
            other => {
                MetricDataResult::builder().set_id(other.map(str::to_owned)).status_code(StatusCode::Complete).build()
            }
        });
        GetMetricDataOutput::builder().set_metric_data_results(Some(results.collect())).build()
    });
    mock_client!(aws_sdk_cloudwatch, RuleMode::MatchAny, [&list, &data])
}

fn dynamodb(faults: Faults, seen: &Arc<Mutex<Seen>>) -> aws_sdk_dynamodb::Client {
    let (leases, records) = (seen.clone(), seen.clone());
    let update = mock!(aws_sdk_dynamodb::Client::update_item).then_compute_output(move |input: &UpdateItemInput| {
        leases.lock().unwrap().leases.push(input.update_expression().unwrap_or_default().to_owned());
        UpdateItemOutput::builder().build()
    });
    let query = mock!(aws_sdk_dynamodb::Client::query).then_compute_response(move |input: &QueryInput| {
        let is_ledger = input
            .expression_attribute_values()
            .and_then(|v| v.get(":pk")?.as_s().ok())
            .is_some_and(|pk| pk == "ledger");
        if faults.unreadable && is_ledger {
            return MockResponse::Error(QueryError::ResourceNotFoundException(
                ResourceNotFoundException::builder().build(),
            ));
        }
        let stored = StoredPolicy {
            documents: vec![Document { name: "00-old".to_owned(), text: POLICY.to_owned() }],
            since: at("2026-02-01T00:00:00Z"),
        };
        let text = |value: &str| AttributeValue::S(value.to_owned());
        let policy = HashMap::from([
            ("pk".to_owned(), text("ledger")),
            ("sk".to_owned(), text("policy")),
            ("body".to_owned(), text(&encode_policy(&stored))),
        ]);
        let items = if is_ledger { vec![policy] } else { Vec::new() };
        MockResponse::Output(QueryOutput::builder().set_items(Some(items)).build())
    });
    let write = mock!(aws_sdk_dynamodb::Client::transact_write_items).then_compute_response(
        move |input: &TransactWriteItemsInput| {
            let mut seen = records.lock().unwrap();
            let bodies = input.transact_items().iter().filter_map(|item| item.put()?.item().get("body")?.as_s().ok());
            let bodies = bodies.cloned().collect::<Vec<_>>().join("\n");
            seen.written.push(bodies);
            if faults.writes.is_some_and(|from| seen.written.len() > from) {
                let cancelled = TransactionCanceledException::builder().message("no").build();
                return MockResponse::Error(TransactWriteItemsError::TransactionCanceledException(cancelled));
            }
            MockResponse::Output(TransactWriteItemsOutput::builder().build())
        },
    );
    let put = mock!(aws_sdk_dynamodb::Client::put_item).then_output(|| PutItemOutput::builder().build());
    mock_client!(aws_sdk_dynamodb, RuleMode::MatchAny, [&update, &query, &write, &put])
}

fn ses(faults: Faults, seen: &Arc<Mutex<Seen>>) -> aws_sdk_ses::Client {
    let mailed = seen.clone();
    let send = mock!(aws_sdk_ses::Client::send_raw_email).then_compute_response(move |input: &SendRawEmailInput| {
        let to = input.destinations()[0].clone();
        let raw = input.raw_message().unwrap().data().as_ref().to_vec();
        let text =
            mail_parser::MessageParser::default().parse(&raw).unwrap().body_text(0).unwrap().replace("\r\n", "\n");
        let mut seen = mailed.lock().unwrap();
        seen.mailed.push(to.clone());
        seen.texts.push(text);
        drop(seen);
        if faults.refused == Some(to.as_str()) {
            let rejected = MessageRejected::builder()
                .message("m")
                .meta(meta("MessageRejected", "on the suppression list"))
                .build();
            return MockResponse::Error(SendRawEmailError::MessageRejected(rejected));
        }
        MockResponse::Output(SendRawEmailOutput::builder().message_id("id").build().unwrap())
    });
    mock_client!(aws_sdk_ses, RuleMode::MatchAny, [&send])
}

fn ssm(faults: Faults) -> aws_sdk_ssm::Client {
    let get = mock!(aws_sdk_ssm::Client::get_parameters_by_path).then_compute_response(move |_| {
        if faults.policy_hiccup {
            let error = InternalServerError::builder().meta(meta("InternalServerError", "try again")).build();
            return MockResponse::Error(GetParametersByPathError::InternalServerError(error));
        }
        if faults.policy_gone {
            let error = InvalidFilterKey::builder().meta(meta("InvalidFilterKey", "no")).build();
            return MockResponse::Error(GetParametersByPathError::InvalidFilterKey(error));
        }
        let parameter = Parameter::builder().name("/w/policy/00-test").value(POLICY).build();
        MockResponse::Output(GetParametersByPathOutput::builder().parameters(parameter).build())
    });
    mock_client!(aws_sdk_ssm, RuleMode::MatchAny, [&get])
}

async fn one_run(faults: Faults) -> (Result<RunReport, RunError>, Seen) {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let clients = Clients {
        athena: athena(faults),
        cloudtrail: cloudtrail(),
        cloudwatch: cloudwatch(),
        dynamodb: dynamodb(faults, &seen),
        iam: iam(),
        servicequotas: crate::no_quotas(),
        ses: ses(faults, &seen),
        ssm: ssm(faults),
        region: "eu-central-1".to_owned(),
        calls: Calls::default(),
        paces: Paces::default(),
    };
    let left = if faults.late { SignedDuration::from_secs(1) } else { SignedDuration::from_mins(5) };
    let settings = Settings {
        policy: PolicySource::Parameters("/w/policy".to_owned()),
        table: Some("state".to_owned()),
        run_id: "run-1".to_owned(),
        name: "w".to_owned(),
        feed: false,
        deadline: at(TICK) + left,
    };
    let invocation = Invocation { dry_run: false, source: Source::Scheduler, time: Some(at(TICK)) };
    let outcome = run(&clients, &settings, &mut Catalogue::default(), &invocation, at(TICK)).await;
    drop(clients);
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    (outcome.map(|(report, _)| report), seen)
}

/// The people in a list of mails.
fn people(mails: &[watchdog_core::report::MailReport]) -> Vec<&str> {
    mails.iter().map(|mail| mail.to.as_str()).collect()
}

const EVERYBODY: [&str; 3] = ["a@example.com", "b@example.com", "c@example.com"];

#[tokio::test]
async fn a_run_without_faults_mails_everybody_and_writes_after_each() {
    let (outcome, seen) = one_run(Faults::default()).await;
    assert_eq!(people(&outcome.unwrap().sent), EVERYBODY);
    assert_eq!(seen.mailed, EVERYBODY);
    // Before the first, and after each: the record knows exactly who has been told so far.
    let known: Vec<usize> =
        seen.written.iter().map(|body| EVERYBODY.iter().filter(|who| body.contains(*who)).count()).collect();
    assert_eq!(known, [0, 1, 2, 3]);
    assert!(seen.leases.last().unwrap().contains("last_tick"), "{:?}", seen.leases);
}

#[tokio::test]
async fn what_runs_is_told_with_the_command_that_stops_it() {
    let (outcome, seen) = one_run(Faults::default()).await;
    let report = outcome.unwrap();
    let limit = &report.limits[0];
    assert_eq!((limit.used_bytes, limit.in_flight_queries), (Some(90_000_000_000), Some(1)));
    assert_eq!(limit.in_flight_bytes, Some(3_600_000_000), "beside the use, not in it");
    let mail = &seen.texts[0];
    for words in [
        "11111111-2222-3333-4444-555555555555 for 20 min: 3.6 GB so far, 3 MB a second, not counted above",
        "stop-query-execution --region eu-central-1 --query-execution-id 11111111-2222-3333-4444-555555555555",
    ] {
        assert!(mail.contains(words), "{words}\n{mail}");
    }
}

#[tokio::test]
async fn a_run_does_without_the_queries_where_they_cannot_be_had() {
    let (outcome, seen) = one_run(Faults { unlisted: true, ..Faults::default() }).await;
    let report = outcome.unwrap();
    assert_eq!(seen.mailed, EVERYBODY);
    assert_eq!((report.limits[0].in_flight_queries, report.limits[0].in_flight_bytes), (None, None), "not zero");
    assert!(
        report.warnings.iter().any(|warning| warning.contains("athena:ListQueryExecutions")),
        "{:?}",
        report.warnings
    );
    assert!(!seen.texts[0].contains("Running"), "{}", seen.texts[0]);
}

#[tokio::test]
async fn one_refused_address_never_stops_the_others_whichever_it_is() {
    for refused in EVERYBODY {
        let (outcome, seen) = one_run(Faults { refused: Some(refused), ..Faults::default() }).await;
        let error = outcome.unwrap_err();
        assert_eq!(error.word, "DeliveryFailed");
        let report = error.report.unwrap();
        assert_eq!((people(&report.failed), report.sent.len()), (vec![refused], 2));
        assert!(report.failed[0].error.as_ref().unwrap().contains("suppression list"));
        // Whoever was not reached is not remembered as told, and the tick not as done.
        assert!(!seen.written.last().unwrap().contains(refused), "{:?}", seen.written);
        assert!(!seen.leases.last().unwrap().contains("last_tick"));
    }
}

#[tokio::test]
async fn a_table_that_takes_no_records_is_found_out_before_anything_is_sent() {
    let (outcome, seen) = one_run(Faults { writes: Some(0), ..Faults::default() }).await;
    let error = outcome.unwrap_err();
    assert_eq!((error.word, error.report.unwrap().has_judged()), ("LedgerUnavailable", true), "by then it has judged");
    assert_eq!(seen.mailed, Vec::<String>::new());
}

#[tokio::test]
async fn after_a_mail_that_could_not_be_written_down_no_other_is_sent() {
    let (outcome, seen) = one_run(Faults { writes: Some(1), ..Faults::default() }).await;
    let error = outcome.unwrap_err();
    assert_eq!((error.word, seen.mailed.len()), ("NotRemembered", 1));
    let report = error.report.unwrap();
    assert_eq!((people(&report.sent), people(&report.failed)), (vec![EVERYBODY[0]], EVERYBODY[1..].to_vec()));
    assert!(!seen.leases.last().unwrap().contains("last_tick"));
}

#[tokio::test]
async fn a_run_whose_time_is_up_sends_nothing_more_and_says_so() {
    let (outcome, seen) = one_run(Faults { late: true, ..Faults::default() }).await;
    let report = outcome.unwrap_err().report.unwrap();
    assert_eq!((seen.mailed.len(), report.failed.len()), (0, 3));
    assert!(report.failed[0].error.as_ref().unwrap().contains("time is up"));
}

#[tokio::test]
async fn a_lease_is_given_back_where_the_ledger_cannot_be_read() {
    let (outcome, seen) = one_run(Faults { unreadable: true, ..Faults::default() }).await;
    let error = outcome.unwrap_err();
    assert_eq!((error.word, error.report.unwrap().has_judged()), ("LedgerUnavailable", false));
    assert_eq!(seen.leases.len(), 2, "taken and given back: {:?}", seen.leases);
    assert_eq!(seen.leases[1], "SET learnt = :learnt REMOVE holder, held_until");
}

#[tokio::test]
async fn a_hiccup_of_ssm_leaves_the_last_valid_policy_in_force_and_a_denial_does_not() {
    let (outcome, _) = one_run(Faults { policy_hiccup: true, ..Faults::default() }).await;
    let report = outcome.unwrap();
    let policy = report.policy.unwrap();
    assert_eq!(policy.standing, "last_valid");
    assert!(policy.problems[0].contains("`ssm:GetParametersByPath` failed with `InternalServerError`"), "{policy:?}");
    assert_eq!(report.limits[0].level, "warn", "and it goes on watching");
    let (outcome, seen) = one_run(Faults { policy_gone: true, ..Faults::default() }).await;
    let error = outcome.unwrap_err();
    assert_eq!((error.word, error.report.unwrap().has_judged()), ("PolicyUnreadable", false));
    assert_eq!(seen.leases.len(), 2, "given back");
}
