//! Active queries, waiting and sizes of weeks: what is asked, and what every kind of answer becomes.

use std::sync::{Arc, Mutex};

use aws_sdk_athena::operation::batch_get_query_execution::{BatchGetQueryExecutionInput, BatchGetQueryExecutionOutput};
use aws_sdk_athena::operation::list_query_executions::{
    ListQueryExecutionsError, ListQueryExecutionsInput, ListQueryExecutionsOutput,
};
use aws_sdk_athena::primitives::DateTime as AthenaTime;
use aws_sdk_athena::types::{
    QueryExecution, QueryExecutionState, QueryExecutionStatistics, QueryExecutionStatus, StatementType,
};
use aws_sdk_cloudwatch::operation::get_metric_data::{GetMetricDataInput, GetMetricDataOutput};
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{MetricDataResult, StatusCode};
use aws_sdk_servicequotas::operation::get_service_quota::{GetServiceQuotaError, GetServiceQuotaOutput};
use aws_sdk_servicequotas::types::ServiceQuota;
use aws_smithy_mocks::{RuleMode, mock, mock_client};
use aws_smithy_types::error::ErrorMetadata;
use jiff::{SignedDuration, Timestamp};
use watchdog_aws::clients::Clients;
use watchdog_aws::operator::crowd;
use watchdog_core::policy::Class;
use watchdog_core::usage::{Dimensions, Listed};
use watchdog_core::window::Span;

use crate::at;
use crate::executions::paces;

const NOW: &str = "2026-03-31T12:00:00Z";

fn span() -> Span {
    Span { start: at("2026-03-01T00:00:00Z"), end: at(NOW) }
}

fn clients() -> Clients {
    let version = aws_config::BehaviorVersion::v2026_01_12();
    Clients::new(&aws_config::SdkConfig::builder().behavior_version(version).build())
}

/// Stamps and values of one metric.
type Points = Vec<(&'static str, f64)>;

/// CloudWatch with one datapoint of each metric, by its name and class or workgroup; `None` of a metric that it does not answer in full.
fn cloudwatch(of: fn(&str, &str) -> Option<Points>) -> aws_sdk_cloudwatch::Client {
    let data =
        mock!(aws_sdk_cloudwatch::Client::get_metric_data).then_compute_output(move |input: &GetMetricDataInput| {
            let results = input.metric_data_queries().iter().map(|query| {
                let stat = query.metric_stat().unwrap();
                assert_eq!((stat.period(), stat.stat()), (Some(300), Some("Maximum")));
                let metric = stat.metric().unwrap();
                let whose = metric.dimensions().iter().find(|d| ["Class", "WorkGroup"].contains(&d.name().unwrap()));
                let points = of(metric.metric_name().unwrap(), whose.unwrap().value().unwrap());
                let status = if points.is_some() { StatusCode::Complete } else { StatusCode::PartialData };
                let points = points.unwrap_or_default();
                MetricDataResult::builder()
                    .id(query.id().unwrap())
                    .status_code(status)
                    .set_timestamps(Some(points.iter().map(|(t, _)| DateTime::from_secs(at(t).as_second())).collect()))
                    .set_values(Some(points.iter().map(|(_, value)| *value).collect()))
                    .build()
            });
            GetMetricDataOutput::builder().set_metric_data_results(Some(results.collect())).build()
        });
    mock_client!(aws_sdk_cloudwatch, RuleMode::MatchAny, [&data])
}

fn quotas(value: Option<f64>, asked: &Arc<Mutex<usize>>) -> aws_sdk_servicequotas::Client {
    use aws_sdk_servicequotas::Client;
    let asked = asked.clone();
    let rule = match value {
        Some(value) => mock!(Client::get_service_quota).then_output(move || {
            *asked.lock().unwrap() += 1;
            GetServiceQuotaOutput::builder().quota(ServiceQuota::builder().value(value).build()).build()
        }),
        None => mock!(Client::get_service_quota).then_error(|| {
            GetServiceQuotaError::generic(ErrorMetadata::builder().code("AccessDeniedException").build())
        }),
    };
    mock_client!(aws_sdk_servicequotas, RuleMode::MatchAny, [&rule])
}

#[tokio::test]
async fn what_was_active_and_its_quota_which_is_asked_for_where_anything_was() {
    let asked = Arc::default();
    let of = |name: &str, class: &str| {
        assert_eq!(name, "ResourceCount");
        Some(if class == "DML" {
            vec![("2026-03-10T09:05:00Z", 150.0), ("2026-03-11T09:05:00Z", 90.0)]
        } else {
            vec![]
        })
    };
    let clients = Clients { cloudwatch: cloudwatch(of), servicequotas: quotas(Some(200.0), &asked), ..clients() };
    let then = crowd::active(&clients, &Class::ALL, span(), at(NOW)).await;
    let [dml, ddl] = &then[..] else { panic!("{then:?}") };
    let dml = dml.counted.as_ref().unwrap();
    assert_eq!(dml.quota.map(|quota| quota.most), Some(200));
    assert_eq!(dml.peaks.largest(span()), Some((at("2026-03-10T09:05:00Z"), 150)));
    let idle = ddl.counted.as_ref().unwrap();
    assert_eq!((idle.quota, idle.peaks.largest(span()), &ddl.no_quota), (None, None, &None));
    assert_eq!(*asked.lock().unwrap(), 1, "nobody asks for the quota of what is idle");
}

#[tokio::test]
async fn half_an_answer_is_none_and_a_quota_that_is_denied_is_said() {
    let of = |_: &str, class: &str| (class == "DML").then(|| vec![("2026-03-10T09:05:00Z", 150.0)]);
    let clients = Clients { cloudwatch: cloudwatch(of), servicequotas: quotas(None, &Arc::default()), ..clients() };
    let then = crowd::active(&clients, &Class::ALL, span(), at(NOW)).await;
    assert_eq!(then[0].counted.as_ref().unwrap().quota, None);
    assert_eq!(then[0].no_quota.as_ref().unwrap().to_string(), "AWS denied `servicequotas:GetServiceQuota`");
    assert_eq!(then[1].counted.as_ref().unwrap_err().word(), "partial");
}

#[tokio::test]
async fn buckets_in_which_anybody_waited_and_none_where_one_is_not_known() {
    let of = |name: &str, workgroup: &str| {
        assert_eq!(name, "QueryQueueTime");
        match workgroup {
            "a" => Some(vec![("2026-03-10T09:05:00Z", 9_999.0), ("2026-03-10T09:10:00Z", 10_000.0)]),
            "b" => Some(vec![("2026-03-12T09:05:00Z", 600_000.0)]),
            _ => None,
        }
    };
    let clients = Clients { cloudwatch: cloudwatch(of), ..clients() };
    let mut listed = Listed::default();
    listed.insert(&[("WorkGroup", "a")]);
    assert!(listed.knows("a").unwrap().contains(&Dimensions::WorkGroup {}));
    let waited = crowd::waited(&clients, &listed, &["a", "b"], span()).await.unwrap();
    let expected: Vec<Timestamp> = ["2026-03-10T09:10:00Z", "2026-03-12T09:05:00Z"].map(at).into();
    assert_eq!(waited.into_iter().collect::<Vec<_>>(), expected);
    let (name, why) = crowd::waited(&clients, &listed, &["a", "c"], span()).await.unwrap_err();
    assert_eq!((name.as_str(), why.word()), ("c", "partial"));
}

/// Of queries those that read data, have ended in the time that is asked about, and scanned something.
#[tokio::test]
async fn sizes_of_what_a_cutoff_could_act_on() {
    use aws_sdk_athena::Client;
    let list = mock!(Client::list_query_executions)
        .match_requests(|input: &ListQueryExecutionsInput| input.work_group() == Some("fast-query"))
        .then_output(|| {
            let ids = ["new", "old", "ddl", "empty", "running", "cut"].map(str::to_owned);
            ListQueryExecutionsOutput::builder().set_query_execution_ids(Some(ids.into())).build()
        });
    let denied = mock!(Client::list_query_executions).then_error(|| {
        ListQueryExecutionsError::generic(ErrorMetadata::builder().code("AccessDeniedException").build())
    });
    let get = mock!(Client::batch_get_query_execution).then_compute_output(|input: &BatchGetQueryExecutionInput| {
        let ago = |days: i64| AthenaTime::from_secs((at(NOW) - SignedDuration::from_hours(24 * days)).as_second());
        let execution = |id: &String| {
            let (state, kind, days, bytes) = match id.as_str() {
                "old" => (QueryExecutionState::Succeeded, StatementType::Dml, 44, 5),
                "ddl" => (QueryExecutionState::Succeeded, StatementType::Ddl, 1, 7),
                "empty" => (QueryExecutionState::Succeeded, StatementType::Dml, 1, 0),
                "running" => (QueryExecutionState::Running, StatementType::Dml, 0, 9),
                "cut" => (QueryExecutionState::Cancelled, StatementType::Dml, 2, 11),
                _ => (QueryExecutionState::Succeeded, StatementType::Dml, 1, 13),
            };
            let ended = (state != QueryExecutionState::Running).then(|| ago(days));
            let status = QueryExecutionStatus::builder().state(state).submission_date_time(ago(days));
            let status = status.set_completion_date_time(ended).build();
            let statistics = QueryExecutionStatistics::builder().data_scanned_in_bytes(bytes).build();
            let query = QueryExecution::builder().query_execution_id(id).work_group("fast-query").status(status);
            query.statistics(statistics).statement_type(kind).build()
        };
        let all = input.query_execution_ids().iter().map(execution).collect();
        BatchGetQueryExecutionOutput::builder().set_query_executions(Some(all)).build()
    });
    let athena = mock_client!(aws_sdk_athena, RuleMode::MatchAny, [&list, &denied, &get]);
    let clients = Clients { athena, paces: paces(), ..clients() };
    let sizes = crowd::sizes(&clients, &["fast-query", "other"], span().start, at(NOW)).await;
    let read = |n: usize| {
        let (name, sizes) = &sizes[n];
        let bytes: Vec<u64> = sizes.bytes.iter().map(|bytes| bytes.get()).collect();
        (name.as_str(), bytes, sizes.is_cut, sizes.unseen.as_ref().map(|why| why.word()))
    };
    assert_eq!(read(0), ("fast-query", vec![13, 11], false, None));
    assert_eq!(read(1), ("other", vec![], true, Some("denied")));
    // Longer ago than the span, but within what Athena keeps.
    let all = crowd::sizes(&clients, &["fast-query"], at("2025-01-01T00:00:00Z"), at(NOW)).await;
    assert_eq!(all[0].1.bytes.len(), 3);
}
