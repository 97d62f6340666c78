//! `GetMetricData` and `ListMetrics`: what is asked, and what is made of every kind of answer.

use std::sync::{Arc, Mutex};

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::operation::get_metric_data::{GetMetricDataInput, GetMetricDataOutput};
use aws_sdk_cloudwatch::operation::list_metrics::ListMetricsOutput;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataResult, StatusCode};
use aws_smithy_mocks::{RuleMode, mock, mock_client};
use expect_test::{Expect, expect};
use watchdog_aws::cloudwatch::{Wanted, answers, listed};
use watchdog_core::usage::{Dimensions, Series, Unknown};
use watchdog_core::window::Span;

use crate::at;

fn span() -> Span {
    Span { start: at("2026-03-01T13:05:00Z"), end: at("2026-03-01T14:05:00Z") }
}

fn wanted(names: &[&str]) -> Vec<Wanted> {
    let one = |name: &&str| Wanted::Bytes { workgroup: (*name).to_owned(), dimensions: Dimensions::WorkGroup {} };
    names.iter().map(one).collect()
}

fn result(id: &str, status: StatusCode, points: &[(&str, f64)]) -> MetricDataResult {
    MetricDataResult::builder()
        .id(id)
        .status_code(status)
        .set_timestamps(Some(points.iter().map(|(t, _)| DateTime::from_secs(at(t).as_second())).collect()))
        .set_values(Some(points.iter().map(|(_, v)| *v).collect()))
        .build()
}

fn page(results: Vec<MetricDataResult>, next: Option<&str>) -> GetMetricDataOutput {
    let page = GetMetricDataOutput::builder().set_metric_data_results(Some(results));
    page.set_next_token(next.map(str::to_owned)).build()
}

/// The bytes that each of `names` used, from these pages.
async fn used(names: &[&str], pages: Vec<GetMetricDataOutput>) -> Vec<Result<u64, Unknown>> {
    let pages = Arc::new(Mutex::new(pages.into_iter()));
    let rule = mock!(Client::get_metric_data)
        .then_compute_output(move |_: &GetMetricDataInput| pages.lock().unwrap().next().expect("no more pages"));
    let client = mock_client!(aws_sdk_cloudwatch, RuleMode::MatchAny, [&rule]);
    let answers = answers(&client, span(), &wanted(names)).await;
    let sum = |answer| Series::from_answers(span(), &[vec![answer]])?.sum(span());
    answers.into_iter().map(|answer| sum(answer).map(|bytes| bytes.get())).collect()
}

#[track_caller]
fn check(got: &[Result<u64, Unknown>], expected: &Expect) {
    let lines = got.iter().map(|r| match r {
        Ok(bytes) => bytes.to_string(),
        Err(why) => format!("unknown: {why}"),
    });
    expected.assert_eq(&lines.collect::<Vec<_>>().join("\n"));
}

#[tokio::test]
async fn pages_are_merged_by_id_whatever_their_order() {
    use StatusCode::{Complete, PartialData};
    let got = used(
        &["a", "b", "c"],
        vec![
            page(
                vec![
                    result("m1", Complete, &[("2026-03-01T13:05:00Z", 5.0)]),
                    result("m0", PartialData, &[("2026-03-01T14:00:00Z", 40.0), ("2026-03-01T13:05:00Z", 1.0)]),
                ],
                Some("next"),
            ),
            page(
                vec![
                    result("m2", Complete, &[]),
                    result("m0", Complete, &[("2026-03-01T13:30:00Z", 2.0)]),
                    result("m9", Complete, &[("2026-03-01T13:30:00Z", 999.0)]),
                ],
                None,
            ),
        ],
    )
    .await;
    check(
        &got,
        &expect![[r#"
        43
        5
        0"#]],
    );
}

#[tokio::test]
async fn a_page_that_comes_twice_counts_once_and_late_data_wins() {
    use StatusCode::Complete;
    let once = result("m0", Complete, &[("2026-03-01T13:10:00Z", 7.0)]);
    let later = result("m0", Complete, &[("2026-03-01T13:10:00Z", 9.0)]);
    let pages = vec![page(vec![once.clone()], Some("t")), page(vec![once], Some("t")), page(vec![later], None)];
    check(&used(&["a"], pages).await, &expect!["9"]);
}

#[tokio::test]
async fn only_a_complete_answer_is_a_number() {
    use StatusCode::{Complete, Forbidden, InternalError, PartialData};
    let point = [("2026-03-01T13:10:00Z", 7.0)];
    let mut unequal = result("m5", Complete, &point);
    unequal.values = Some(vec![1.0, 2.0]);
    let mut no_status = result("m6", Complete, &point);
    no_status.status_code = None;
    let pages = vec![page(
        vec![
            result("m0", Complete, &point),
            result("m1", PartialData, &point),
            result("m2", Forbidden, &[]),
            result("m3", InternalError, &point),
            unequal,
            no_status,
            result("m7", StatusCode::from("Surprise"), &point),
        ],
        None,
    )];
    check(
        &used(&["a", "b", "c", "d", "missing", "e", "f", "g"], pages).await,
        &expect![[r#"
        7
        unknown: CloudWatch answered only a part
        unknown: AWS denied `cloudwatch:GetMetricData`
        unknown: `cloudwatch:GetMetricData` failed with `InternalError`
        unknown: CloudWatch did not answer for this metric
        unknown: `cloudwatch:GetMetricData` failed with `UnequalLengths`
        unknown: `cloudwatch:GetMetricData` failed with `NoStatus`
        unknown: `cloudwatch:GetMetricData` failed with `Surprise`"#]],
    );
}

#[tokio::test]
async fn values_that_cannot_be_are_refused_and_never_counted() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 1e19] {
        let pages = vec![page(vec![result("m0", StatusCode::Complete, &[("2026-03-01T13:10:00Z", value)])], None)];
        let got = used(&["a"], pages).await;
        assert!(matches!(got[0], Err(Unknown::Implausible { .. })), "{value}: {got:?}");
    }
    let pages = vec![page(vec![result("m0", StatusCode::Complete, &[("2026-03-01T13:10:00Z", 5e16)])], None)];
    check(&used(&["a"], pages).await, &expect!["50000000000000000"]);
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off_and_unknown() {
    let rule = mock!(Client::get_metric_data).then_compute_output(|_: &GetMetricDataInput| {
        page(vec![result("m0", StatusCode::Complete, &[("2026-03-01T13:10:00Z", 1.0)])], Some("again"))
    });
    let client = mock_client!(aws_sdk_cloudwatch, RuleMode::MatchAny, [&rule]);
    let answers = answers(&client, span(), &wanted(&["a"])).await;
    assert_eq!(rule.num_calls(), 20);
    let series = Series::from_answers(span(), &[answers]);
    assert_eq!(series.unwrap_err().to_string(), "`cloudwatch:GetMetricData` failed with `EndlessPages`");
}

#[tokio::test]
async fn a_request_keeps_cloudwatchs_bounds_and_asks_for_what_is_meant() {
    let seen: Arc<Mutex<Vec<GetMetricDataInput>>> = Arc::default();
    let recorder = seen.clone();
    let rule = mock!(Client::get_metric_data).then_compute_output(move |input: &GetMetricDataInput| {
        recorder.lock().unwrap().push(input.clone());
        let ids = input.metric_data_queries().iter().map(|q| q.id().unwrap().to_owned());
        page(ids.map(|id| result(&id, StatusCode::Complete, &[])).collect(), None)
    });
    let client = mock_client!(aws_sdk_cloudwatch, RuleMode::MatchAny, [&rule]);

    // An hour: twelve buckets, so that the bound of 500 queries counts; a day: that of 100,800 datapoints.
    let names: Vec<String> = (0..1001).map(|i| format!("w-{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let day = Span { start: at("2026-02-28T14:05:00Z"), end: at("2026-03-01T14:07:30Z") };
    assert_eq!(answers(&client, span(), &wanted(&names)).await.len(), 1001);
    assert_eq!(answers(&client, day, &wanted(&names)).await.len(), 1001);
    let sizes: Vec<usize> = seen.lock().unwrap().iter().map(|input| input.metric_data_queries().len()).collect();
    assert_eq!(sizes, [500, 500, 1, 348, 348, 305]);

    let split = Wanted::Bytes {
        workgroup: "etl".to_owned(),
        dimensions: Dimensions::StateAndType { state: "CANCELED".to_owned(), query_type: "DML".to_owned() },
    };
    seen.lock().unwrap().clear();
    answers(&client, day, &[split]).await;
    let input = seen.lock().unwrap().remove(0);
    let query = &input.metric_data_queries()[0];
    let stat = query.metric_stat().unwrap();
    let dimensions: Vec<_> =
        stat.metric().unwrap().dimensions().iter().map(|d| (d.name().unwrap(), d.value().unwrap())).collect();
    assert_eq!(dimensions, [("QueryState", "CANCELED"), ("QueryType", "DML"), ("WorkGroup", "etl")]);
    assert_eq!((stat.period(), stat.stat(), stat.unit()), (Some(300), Some("Sum"), None));
    assert_eq!(input.start_time().unwrap().secs(), at("2026-02-28T14:05:00Z").as_second());
    // The unfinished bucket is asked for whole: its end is exclusive.
    assert_eq!(input.end_time().unwrap().secs(), at("2026-03-01T14:10:00Z").as_second());
    assert!(query.id().unwrap().starts_with(|c: char| c.is_ascii_lowercase()));
}

#[tokio::test]
async fn metrics_are_listed_over_pages_and_by_exact_dimension_set() {
    let metric = |dimensions: &[(&str, &str)]| {
        let dimensions = dimensions.iter().map(|(n, v)| Dimension::builder().name(*n).value(*v).build());
        Metric::builder()
            .namespace("AWS/Athena")
            .metric_name("ProcessedBytes")
            .set_dimensions(Some(dimensions.collect()))
            .build()
    };
    let pages = [
        ListMetricsOutput::builder()
            .metrics(metric(&[("WorkGroup", "a")]))
            .metrics(metric(&[("QueryState", "SUCCEEDED"), ("QueryType", "DML"), ("WorkGroup", "a")]))
            .next_token("more")
            .build(),
        ListMetricsOutput::builder()
            .metrics(metric(&[("QueryType", "DML"), ("WorkGroup", "b"), ("QueryState", "FAILED")]))
            .metrics(metric(&[("WorkGroup", "b"), ("CapacityReservation", "r")]))
            .build(),
    ];
    let pages = Arc::new(Mutex::new(pages.into_iter()));
    let rule = mock!(Client::list_metrics).then_compute_output(move |_| pages.lock().unwrap().next().unwrap());
    let client = mock_client!(aws_sdk_cloudwatch, RuleMode::MatchAny, [&rule]);
    let listed = listed(&client).await.unwrap();
    assert_eq!(listed.metrics_of("a"), [[Dimensions::WorkGroup {}]]);
    let b = &listed.metrics_of("b")[0];
    assert_eq!(b.len(), 3, "each state, once: {b:?}");
    assert!(!b.contains(&Dimensions::WorkGroup {}));
}
