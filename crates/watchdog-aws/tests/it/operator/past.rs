//! The use of weeks: what is asked, what is left out and named.

use std::sync::{Arc, Mutex};

use aws_sdk_athena::operation::get_work_group::{GetWorkGroupError, GetWorkGroupInput, GetWorkGroupOutput};
use aws_sdk_athena::operation::list_work_groups::{ListWorkGroupsInput, ListWorkGroupsOutput};
use aws_sdk_athena::types::error::InvalidRequestException;
use aws_sdk_athena::types::{WorkGroup, WorkGroupConfiguration, WorkGroupSummary};
use aws_sdk_cloudwatch::operation::get_metric_data::{GetMetricDataInput, GetMetricDataOutput};
use aws_sdk_cloudwatch::operation::list_metrics::ListMetricsOutput;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataResult, StatusCode};
use aws_smithy_mocks::{MockResponse, RuleMode, mock, mock_client};
use aws_smithy_types::error::ErrorMetadata;
use jiff::SignedDuration;
use watchdog_aws::clients::Clients;
use watchdog_aws::operator::past::Past;
use watchdog_core::policy::{Document, Policy};
use watchdog_core::window::Span;

use crate::at;

const NOW: &str = "2026-03-31T12:03:00Z";

const POLICY: &str = r#"
[mail]
sender = "w@example.com"
admins = ["a@example.com"]
allowed_domains = ["example.com"]
[[workgroup]]
name = "team-*"
[[workgroup.limit]]
window = "1h"
limit = "100 GB"
[[workgroup]]
name = "gone"
[[workgroup.limit]]
window = "1h"
limit = "100 GB"
[[workgroup]]
name = "unlimited"
per_query_cutoff = "1 TB"
"#;

/// Fifty workgroups of a team, one of which publishes no metrics, and others.
fn athena() -> aws_sdk_athena::Client {
    let list = mock!(aws_sdk_athena::Client::list_work_groups).then_compute_output(|_: &ListWorkGroupsInput| {
        let names = (0..50).map(|n| format!("team-{n:02}")).chain(["unlimited", "foreign"].map(str::to_owned));
        let groups = names.map(|name| WorkGroupSummary::builder().name(name).build());
        ListWorkGroupsOutput::builder().set_work_groups(Some(groups.collect())).build()
    });
    let get = mock!(aws_sdk_athena::Client::get_work_group).then_compute_response(|input: &GetWorkGroupInput| {
        let name = input.work_group().unwrap();
        if name == "gone" {
            let meta = ErrorMetadata::builder().code("InvalidRequestException").message("not found").build();
            let error = InvalidRequestException::builder().meta(meta).build();
            return MockResponse::Error(GetWorkGroupError::InvalidRequestException(error));
        }
        assert!(name.starts_with("team-"), "`{name}` has no limit");
        let on = WorkGroupConfiguration::builder().publish_cloud_watch_metrics_enabled(name != "team-07").build();
        let group = WorkGroup::builder().name(name).configuration(on).build().unwrap();
        MockResponse::Output(GetWorkGroupOutput::builder().work_group(group).build())
    });
    mock_client!(aws_sdk_athena, RuleMode::MatchAny, [&list, &get])
}

/// What was asked in one request: its first and last second, the periods' length, and its workgroups.
type Asked = (i64, i64, i32, Vec<String>);

fn cloudwatch(asked: &Arc<Mutex<Vec<Asked>>>) -> aws_sdk_cloudwatch::Client {
    let list = mock!(aws_sdk_cloudwatch::Client::list_metrics).then_output(|| {
        let dimension = Dimension::builder().name("WorkGroup").value("team-00").build();
        ListMetricsOutput::builder().metrics(Metric::builder().dimensions(dimension).build()).build()
    });
    let asked = asked.clone();
    let data =
        mock!(aws_sdk_cloudwatch::Client::get_metric_data).then_compute_output(move |input: &GetMetricDataInput| {
            let period = input.metric_data_queries()[0].metric_stat().unwrap().period().unwrap();
            let (start, end) = (input.start_time().unwrap().secs(), input.end_time().unwrap().secs());
            assert_eq!((start % i64::from(period), end % i64::from(period)), (0, 0));
            // A datapoint before and one after the border of what is kept by five minutes.
            let points = [at("2026-03-10T00:00:00Z"), at("2026-01-10T05:00:00Z")].map(|at| at.as_second());
            let points = points.into_iter().filter(|at| (start..end).contains(at)).collect::<Vec<_>>();
            let of = |query: &aws_sdk_cloudwatch::types::MetricDataQuery| {
                let stat = query.metric_stat().unwrap();
                assert_eq!((stat.period(), stat.stat()), (Some(period), Some("Sum")));
                stat.metric().unwrap().dimensions()[0].value().unwrap().to_owned()
            };
            let names: Vec<String> = input.metric_data_queries().iter().map(of).collect();
            let results = input.metric_data_queries().iter().zip(&names).map(|(query, name)| {
                let status = if name == "team-08" { StatusCode::InternalError } else { StatusCode::Complete };
                let result = MetricDataResult::builder().id(query.id().unwrap()).status_code(status);
                let stamps = points.iter().map(|at| DateTime::from_secs(*at)).collect();
                // Of one the newer point cannot be true, of another the older one.
                let is_broken = name == "team-09" && period == 300 || name == "team-10" && period == 3600;
                let value = if is_broken { f64::NAN } else { 5e9 + 7.0 };
                result.set_timestamps(Some(stamps)).set_values(Some(vec![value; points.len()])).build()
            });
            let output = GetMetricDataOutput::builder().set_metric_data_results(Some(results.collect())).build();
            asked.lock().unwrap().push((start, end, period, names));
            output
        });
    mock_client!(aws_sdk_cloudwatch, RuleMode::MatchAny, [&list, &data])
}

/// What is known, what is not, and what was asked for that.
async fn read(days: i64) -> (Vec<String>, Vec<String>, Vec<Asked>) {
    let asked = Arc::default();
    let version = aws_config::BehaviorVersion::v2026_01_12();
    let config = aws_config::SdkConfig::builder().behavior_version(version).build();
    let clients = Clients { athena: athena(), cloudwatch: cloudwatch(&asked), ..Clients::new(&config) };
    let policy = Policy::parse(&[Document { name: "p".to_owned(), text: POLICY.to_owned() }]).unwrap();
    let mut past = Past::open(&clients, &policy, false, SignedDuration::from_hours(24 * days), at(NOW)).await;
    let mut unseen: Vec<String> = past.unseen.iter().map(|(name, why)| format!("{name}: {why}")).collect();
    assert_eq!(past.incomplete, None);
    let mut known = Vec::new();
    loop {
        let group = past.next().await;
        if group.is_empty() {
            break;
        }
        for (name, seen) in group {
            match seen {
                Ok(series) => {
                    let points = if past.hours_until.is_some() { 2 } else { 1 };
                    assert_eq!(series.sum(past.span).unwrap().get(), points * 5_000_000_007);
                    if points == 2 {
                        // What an hour had came evenly, and nothing of it is lost.
                        let hour = Span { start: at("2026-01-10T05:00:00Z"), end: at("2026-01-10T06:00:00Z") };
                        assert_eq!(series.sum(hour).unwrap().get(), 5_000_000_007);
                        let five = Span { start: at("2026-01-10T05:10:00Z"), end: at("2026-01-10T05:15:00Z") };
                        assert_eq!(series.sum(five).unwrap().get(), 5_000_000_007 / 12);
                    }
                    known.push(name);
                }
                Err(why) => unseen.push(format!("{name}: {why}")),
            }
        }
    }
    let asked = asked.lock().unwrap().clone();
    (known, unseen, asked)
}

#[tokio::test]
async fn what_can_be_read_is_and_the_rest_is_named() {
    let (known, unseen, asked) = read(30).await;
    let expected: Vec<String> = (0..50).filter(|n| ![7, 8, 9].contains(n)).map(|n| format!("team-{n:02}")).collect();
    assert_eq!(known, expected);
    assert_eq!(
        unseen,
        [
            "gone: there is no workgroup of this name",
            "team-07: the workgroup publishes no metrics to CloudWatch",
            "team-08: `cloudwatch:GetMetricData` failed with `InternalError`",
            // Whoever looks at every bucket takes no hole for a zero.
            "team-09: CloudWatch gave the impossible value `NaN` at 2026-03-10T00:00:00Z",
        ]
    );
    for (start, end, _, names) in &asked {
        // Whole buckets, the unfinished one left out, and no more values than an answer holds.
        assert_eq!((*start, *end), (at("2026-03-01T12:00:00Z").as_second(), at("2026-03-31T12:00:00Z").as_second()));
        assert!(names.len() * 8_640 <= 100_800, "{names:?}");
    }
    assert_eq!(asked.iter().map(|(_, _, _, names)| names.len()).sum::<usize>(), 49);
}

/// By five minutes for 63 days, by hours for 455, nothing twice and nothing left out between them.
#[tokio::test]
async fn nothing_is_asked_that_cloudwatch_does_not_keep() {
    let (known, unseen, asked) = read(1_000).await;
    assert_eq!(known.len(), 46);
    assert!(unseen.contains(&"team-10: CloudWatch gave the impossible value `NaN` at 2026-01-10T05:00:00Z".to_owned()));
    let day = 86_400;
    let end = at("2026-03-31T12:00:00Z").as_second();
    for (from, until, period, names) in &asked {
        let of = match period {
            300 => (end - 63 * day, end),
            _ => (end - 455 * day, end - 63 * day),
        };
        assert_eq!((*from, *until), of);
        let points = (until - from) / i64::from(*period) * i64::try_from(names.len()).unwrap();
        assert!(points <= 100_800, "{points} values");
    }
    for period in [300, 3600] {
        let names: usize = asked.iter().filter(|(_, _, p, _)| *p == period).map(|(_, _, _, names)| names.len()).sum();
        assert_eq!(names, 49, "{period}");
    }
}

#[tokio::test]
async fn sixty_three_days_are_read_by_five_minutes_alone() {
    let (_, _, asked) = read(63).await;
    assert!(asked.iter().all(|(_, _, period, _)| *period == 300));
}
