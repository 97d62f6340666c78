//! Bytes scanned, queries active and times waited, from CloudWatch.

use std::collections::BTreeMap;

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricDataResult, MetricStat, ScanBy, StatusCode};
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use watchdog_core::catalogue::Reading;
use watchdog_core::policy::Class;
use watchdog_core::usage::{Answer, Dimensions, Listed, PageStatus, Unknown};
use watchdog_core::window::{BUCKET, Span, ceil, floor};

use crate::failure::AwsFailure;

/// Reading metrics, as IAM writes it.
pub const GET: &str = "cloudwatch:GetMetricData";
const LIST: &str = "cloudwatch:ListMetrics";
const NAMESPACE: &str = "AWS/Athena";
const METRIC: &str = "ProcessedBytes";
/// How long a query had waited in the queue, in milliseconds.
const WAITED: &str = "QueryQueueTime";
/// Where AWS counts resources that its quotas are about.
const OF_QUOTAS: (&str, &str) = ("AWS/Usage", "ResourceCount");

/// Metrics in one request: CloudWatch's bound.
const MOST_QUERIES: usize = 500;
/// Datapoints in one request: CloudWatch's bound. Requests are cut so that one page holds the answer.
const MOST_POINTS: usize = 100_800;
/// Pages of one request. One is expected; CloudWatch may spread them at will, but not for ever.
const MOST_PAGES: usize = 20;
/// Requests under way at once: well below CloudWatch's 50 a second, and enough for a thousand workgroups in two rounds.
const AT_ONCE: usize = 4;
/// Pages of 500 metrics: ten for each of 2,000 workgroups.
pub(crate) const MOST_LIST_PAGES: usize = 40;

/// One metric to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Bytes scanned, added up by bucket.
    Bytes {
        /// The workgroup.
        workgroup: String,
        /// The rest of the dimension set.
        dimensions: Dimensions,
    },
    /// How long queries had waited, in milliseconds; the longest of each bucket.
    Waited {
        /// The workgroup.
        workgroup: String,
        /// The rest of the dimension set.
        dimensions: Dimensions,
    },
    /// The account's active queries, those that run and those that wait; the most of each bucket. AWS documents no other statistic as
    /// useful, and reports nothing while there are none.
    Active(Class),
}

/// Lists which `ProcessedBytes` metrics exist.
///
/// # Errors
/// [`AwsFailure`], also where the list does not end.
pub async fn listed(client: &Client) -> Result<Listed, AwsFailure> {
    Ok(list_on(client, Reading::default(), MOST_LIST_PAGES).await?.so_far)
}

/// Reads on in the list of those metrics, up to `most` more pages.
///
/// # Errors
/// [`AwsFailure`], also where the list does not end.
pub async fn list_on(
    client: &Client,
    mut reading: Reading<Listed>,
    most: usize,
) -> Result<Reading<Listed>, AwsFailure> {
    for _ in 0..most {
        let page = client.list_metrics().namespace(NAMESPACE).metric_name(METRIC).set_next_token(reading.next.take());
        let page = page.send().await.map_err(|error| AwsFailure::of(LIST, &error))?;
        for metric in page.metrics() {
            let dimensions = metric.dimensions().iter().filter_map(|d| Some((d.name()?, d.value()?)));
            reading.so_far.insert(&dimensions.collect::<Vec<_>>());
        }
        reading.pages += 1;
        reading.next = page.next_token;
        match reading.next {
            None => return Ok(reading),
            Some(_) if reading.pages >= MOST_LIST_PAGES => {
                let message = format!("the list goes on after {MOST_LIST_PAGES} pages");
                return Err(AwsFailure::own(LIST, "EndlessList", message));
            }
            Some(_) => {}
        }
    }
    Ok(reading)
}

/// Asks for the metrics over `span` in five-minute buckets. The answers are in the order of `wanted`; one for which a call failed
/// says so itself, so that the others still count.
pub async fn answers(client: &Client, span: Span, wanted: &[Wanted]) -> Vec<Answer> {
    answers_by(client, Stretch { start: floor(span.start), end: ceil(span.end), period: BUCKET }, wanted).await
}

/// A stretch of time and the length in seconds of the periods that it is cut into: [`BUCKET`], or an hour of what is older than CloudWatch
/// keeps by five minutes. It begins and ends at a border of two periods.
#[derive(Debug, Clone, Copy)]
pub struct Stretch {
    /// Its first instant.
    pub start: Timestamp,
    /// The first one after it.
    pub end: Timestamp,
    /// Of one period.
    pub period: i64,
}

/// [`answers`] by other periods.
pub async fn answers_by(client: &Client, stretch: Stretch, wanted: &[Wanted]) -> Vec<Answer> {
    let size = most_in(stretch);
    let requests = stream::iter(wanted.chunks(size).map(|chunk| request(client, stretch, chunk)));
    requests.buffered(AT_ONCE).concat().await
}

/// How many metrics over `span` fit one request.
pub fn most_per_request(span: Span) -> usize {
    most_in(Stretch { start: floor(span.start), end: ceil(span.end), period: BUCKET })
}

fn most_in(stretch: Stretch) -> usize {
    let buckets = (stretch.end.as_second() - stretch.start.as_second()) / stretch.period.max(1);
    let points = usize::try_from(buckets).unwrap_or(MOST_POINTS).max(1);
    (MOST_POINTS / points).clamp(1, MOST_QUERIES)
}

async fn request(client: &Client, stretch: Stretch, wanted: &[Wanted]) -> Vec<Answer> {
    let mut answers = vec![Answer::default(); wanted.len()];
    if let Err(failure) = pages(client, stretch, wanted, &mut answers).await {
        tracing::warn!(code = failure.code, "{failure}");
        for answer in &mut answers {
            answer.absorb([], PageStatus::Bad(failure.unknown()));
        }
    }
    answers
}

async fn pages(client: &Client, stretch: Stretch, wanted: &[Wanted], answers: &mut [Answer]) -> Result<(), AwsFailure> {
    let queries: Vec<MetricDataQuery> = wanted.iter().enumerate().map(|(i, w)| query(i, w, stretch.period)).collect();
    let index: BTreeMap<String, usize> = (0..wanted.len()).map(|i| (id(i), i)).collect();
    let mut token = None;
    for _ in 0..MOST_PAGES {
        let page = client
            .get_metric_data()
            .set_metric_data_queries(Some(queries.clone()))
            .start_time(DateTime::from_secs(stretch.start.as_second()))
            .end_time(DateTime::from_secs(stretch.end.as_second()))
            .scan_by(ScanBy::TimestampAscending)
            .set_next_token(token)
            .send()
            .await
            .map_err(|error| AwsFailure::of(GET, &error))?;
        for result in page.metric_data_results() {
            if let Some(answer) = result.id().and_then(|id| index.get(id)).and_then(|i| answers.get_mut(*i)) {
                absorb(answer, result);
            }
        }
        token = page.next_token;
        if token.is_none() {
            return Ok(());
        }
    }
    Err(AwsFailure::own(GET, "EndlessPages", format!("the answer goes on after {MOST_PAGES} pages")))
}

fn absorb(answer: &mut Answer, result: &MetricDataResult) {
    let (stamps, values) = (result.timestamps(), result.values());
    let failed = |code: &str| PageStatus::Bad(Unknown::Failed { operation: GET.to_owned(), code: code.to_owned() });
    let status = match result.status_code() {
        _ if stamps.len() != values.len() => failed("UnequalLengths"),
        Some(StatusCode::Complete) => PageStatus::Complete,
        Some(StatusCode::PartialData) => PageStatus::Partial,
        Some(StatusCode::Forbidden) => PageStatus::Bad(Unknown::Denied { operation: GET.to_owned() }),
        Some(other) => failed(other.as_str()),
        None => failed("NoStatus"),
    };
    let points = stamps.iter().zip(values).filter_map(|(at, value)| {
        let at = Timestamp::from_second(at.secs()).ok()?;
        Some((at, *value))
    });
    answer.absorb(points, status);
}

/// `Id` must match `[a-z][A-Za-z0-9_]*`, which workgroup names do not: the position stands for them.
fn id(i: usize) -> String {
    format!("m{i}")
}

fn query(i: usize, wanted: &Wanted, period: i64) -> MetricDataQuery {
    let dimension = |name: &str, value: &str| Dimension::builder().name(name).value(value).build();
    let of_workgroup = |workgroup: &str, set: &Dimensions| {
        let mut dimensions = vec![dimension("WorkGroup", workgroup)];
        if let Dimensions::StateAndType { state, query_type } = set {
            dimensions.insert(0, dimension("QueryState", state));
            dimensions.insert(1, dimension("QueryType", query_type));
        }
        dimensions
    };
    let ((namespace, name), stat, dimensions) = match wanted {
        Wanted::Bytes { workgroup, dimensions } => ((NAMESPACE, METRIC), "Sum", of_workgroup(workgroup, dimensions)),
        Wanted::Waited { workgroup, dimensions } => {
            ((NAMESPACE, WAITED), "Maximum", of_workgroup(workgroup, dimensions))
        }
        Wanted::Active(class) => {
            let all = [("Service", "Athena"), ("Resource", "ActiveQueryCount"), ("Type", "Resource")];
            let mut all: Vec<Dimension> = all.into_iter().map(|(name, value)| dimension(name, value)).collect();
            all.push(dimension("Class", class.word()));
            (OF_QUOTAS, "Maximum", all)
        }
    };
    let metric = Metric::builder().namespace(namespace).metric_name(name).set_dimensions(Some(dimensions)).build();
    let period = i32::try_from(period).unwrap_or(300);
    // No `Unit`: asking for one hides datapoints that were stored with another.
    let stat = MetricStat::builder().metric(metric).period(period).stat(stat).build();
    MetricDataQuery::builder().id(id(i)).metric_stat(stat).return_data(true).build()
}
