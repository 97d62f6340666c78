//! The account's metric alarms, and how the function fared.

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{AlarmType, Dimension, Metric, MetricAlarm, MetricDataQuery, MetricStat, StatusCode};
use jiff::{SignedDuration, Timestamp};
use watchdog_core::checkup::{Alarm, Function};

use crate::failure::AwsFailure;

const DESCRIBE: &str = "cloudwatch:DescribeAlarms";
const DATA: &str = "cloudwatch:GetMetricData";
/// Pages of a hundred: 5,000 alarms is the usual quota of a Region.
const MOST_PAGES: usize = 100;

/// Every alarm on a single metric. Those on expressions say nothing of one metric and are left out.
///
/// # Errors
/// [`AwsFailure`], also where the list does not end.
pub async fn alarms(client: &Client) -> Result<Vec<Alarm>, AwsFailure> {
    let mut alarms = Vec::new();
    let mut token = None;
    for _ in 0..MOST_PAGES {
        let page = client.describe_alarms().alarm_types(AlarmType::MetricAlarm).max_records(100).set_next_token(token);
        let page = page.send().await.map_err(|error| AwsFailure::of(DESCRIBE, &error))?;
        alarms.extend(page.metric_alarms().iter().filter_map(alarm));
        token = page.next_token;
        if token.is_none() {
            return Ok(alarms);
        }
    }
    Err(AwsFailure::own(DESCRIBE, "EndlessList", format!("the list goes on after {MOST_PAGES} pages")))
}

fn alarm(alarm: &MetricAlarm) -> Option<Alarm> {
    let statistic = alarm.statistic().map(|s| s.as_str()).or(alarm.extended_statistic());
    let dimensions = alarm.dimensions().iter().filter_map(|d| Some((d.name()?.to_owned(), d.value()?.to_owned())));
    // Negative and impossible thresholds are none that a limit could be compared with.
    let threshold = alarm.threshold().filter(|t| t.is_finite() && *t >= 0.0);
    // Checked above; beyond u64 it saturates.
    let threshold = threshold.map(|t| t.round() as u64);
    Some(Alarm {
        name: alarm.alarm_name()?.to_owned(),
        namespace: alarm.namespace()?.to_owned(),
        metric: alarm.metric_name()?.to_owned(),
        dimensions: dimensions.collect(),
        statistic: statistic.unwrap_or_default().to_owned(),
        seconds: i64::from(alarm.period().unwrap_or(0)) * i64::from(alarm.evaluation_periods().unwrap_or(1)),
        periods: i64::from(alarm.evaluation_periods().unwrap_or(1)),
        threshold,
        comparison: alarm.comparison_operator().map_or("", |c| c.as_str()).to_owned(),
        // Absent means on: so CloudWatch makes them.
        actions_enabled: alarm.actions_enabled().unwrap_or(true),
        actions: alarm.alarm_actions().iter().cloned().collect(),
    })
}

/// How the function fared in the last hour. Lambda writes nothing while nothing happens, so that no datapoint is zero.
///
/// # Errors
/// [`AwsFailure`], also where an answer is not complete.
pub async fn function(client: &Client, name: &str, now: Timestamp) -> Result<Function, AwsFailure> {
    let metrics = ["Invocations", "Errors", "Throttles"];
    let query = |metric: &str| {
        let dimension = Dimension::builder().name("FunctionName").value(name).build();
        let metric_of = Metric::builder().namespace("AWS/Lambda").metric_name(metric).dimensions(dimension).build();
        let stat = MetricStat::builder().metric(metric_of).period(300).stat("Sum").build();
        MetricDataQuery::builder().id(metric.to_ascii_lowercase()).metric_stat(stat).build()
    };
    let answer = client
        .get_metric_data()
        .set_metric_data_queries(Some(metrics.iter().map(|metric| query(metric)).collect()))
        .start_time(DateTime::from_secs((now - SignedDuration::from_hours(1)).as_second()))
        .end_time(DateTime::from_secs(now.as_second()))
        .send()
        .await
        .map_err(|error| AwsFailure::of(DATA, &error))?;
    // Three metrics of twelve points each: one page holds them.
    let sum = |metric: &str| {
        let id = metric.to_ascii_lowercase();
        let result = answer.metric_data_results().iter().find(|result| result.id() == Some(&id));
        let complete =
            result.filter(|result| result.status_code() == Some(&StatusCode::Complete)).ok_or_else(|| {
                AwsFailure::own(DATA, "PartialAnswer", format!("`{metric}` of `{name}` was not answered in full"))
            })?;
        // Counts; beyond u64 it saturates.
        Ok(complete.values().iter().sum::<f64>() as u64)
    };
    let [invocations, errors, throttles] = metrics.map(sum);
    Ok(Function { name: name.to_owned(), invocations: invocations?, errors: errors?, throttles: throttles? })
}
