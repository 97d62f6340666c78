//! The log: JSON lines, and per run one summary line that CloudWatch reads metrics from.
//!
//! The summary is in the embedded metric format, which wants its `_aws` object at the top level; `tracing`'s own JSON cannot
//! write one. So the summary is put together here, travels through `tracing` as one field, and is printed as it is.

use std::cmp::Reverse;
use std::fmt;

use jiff::Timestamp;
use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{Format, Json, JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use watchdog_core::report::{LimitReport, RunReport};

/// The namespace of the watchdog's own metrics; the stack's alarms name it too.
const NAMESPACE: &str = "AthenaQuotaWatchdog";
/// The target of the summary event, by which the formatter knows it.
const SUMMARY: &str = "watchdog::summary";

/// Limits in one summary line. At about 250 bytes each, 200 stay far below the 256 KB of a log event.
const MOST_LIMITS: usize = 200;

/// Notices of one mail, and mails of one kind, in one summary line: at up to 2 KB a mail, 120 KB at the most.
const MOST_NOTICES: usize = 5;
const MOST_MAILS: usize = 20;

/// What our own crates' targets begin with, [`SUMMARY`] included.
const OURS: &str = "watchdog";

/// Starts logging to standard output, from the level in `AWS_LAMBDA_LOG_LEVEL`, or `INFO`.
pub fn start() {
    let level = std::env::var("AWS_LAMBDA_LOG_LEVEL").ok().and_then(|level| level.parse().ok());
    subscriber(level.unwrap_or(Level::INFO), std::io::stdout).init();
}

/// What writes the log, of our own events from `level` on. Of everybody else's only warnings and errors, whatever the level: below them the SDK
/// writes requests and answers as they are, with texts of queries and the session's token.
pub fn subscriber<W>(level: Level, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = Lines { json: Format::default().json().flatten_event(true).with_current_span(false) };
    let layer = tracing_subscriber::fmt::layer().json().event_format(lines).with_writer(writer);
    let others = level.min(Level::WARN);
    tracing_subscriber::registry().with(Targets::new().with_target(OURS, level).with_default(others)).with(layer)
}

/// Logs the summary of a run; `failure` is its word and message where the invocation fails.
pub fn run(function: &str, report: &RunReport, failure: Option<(&str, &str)>) {
    let summary = summary(function, report, failure, Timestamp::now());
    tracing::info!(target: SUMMARY, summary = %summary);
}

/// One line with everything that an alarm, a query in Logs Insights or a person looks for.
fn summary(function: &str, report: &RunReport, failure: Option<(&str, &str)>, now: Timestamp) -> Value {
    // Only of a run that has judged: a zero of one that has not looked would be the least of a while in which limits are not known.
    let unknown = (report.has_judged() && !report.dry_run).then(|| report.unknown_limits());
    let mut metrics = vec!["CompletedRuns", "MailsSent", "MailsFailed"];
    metrics.extend(unknown.map(|_| "UnknownLimits"));
    let metrics: Vec<Value> = metrics.into_iter().map(|name| json!({ "Name": name, "Unit": "Count" })).collect();
    // A run that has judged everything and could not deliver a mail is watching: `MailsFailed` says the rest.
    let is_watching = failure.is_none_or(|(word, _)| word == "DeliveryFailed");
    let completed = is_watching && report.skipped.is_none() && !report.dry_run;
    let mut summary = json!({
        "_aws": {
            "Timestamp": now.as_millisecond(),
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [["FunctionName"]],
                "Metrics": metrics,
            }],
        },
        "timestamp": now,
        "level": if failure.is_some() { "ERROR" } else { "INFO" },
        "message": "run",
        "FunctionName": function,
        "CompletedRuns": u8::from(completed),
        "MailsSent": report.sent.len(),
        "MailsFailed": report.failed.len(),
        "error_type": failure.map(|(word, _)| word),
        "error": failure.map(|(_, message)| message),
        "report": bounded(report),
    });
    if let Some(unknown) = unknown {
        summary["UnknownLimits"] = unknown.into();
    }
    summary
}

/// How much a limit matters to a reader: by its level, then by how full it is, in thousandths.
fn worth(limit: &LimitReport) -> (usize, u128) {
    let order = ["ok", "warn", "unknown", "critical", "exhausted"];
    let place = order.iter().position(|level| *level == limit.level).unwrap_or(order.len());
    (place, u128::from(limit.used_bytes.unwrap_or(0)) * 1000 / u128::from(limit.limit_bytes.max(1)))
}

/// The report with the limits that matter where there are too many for one log event.
fn bounded(report: &RunReport) -> RunReport {
    let mut report = report.clone();
    if report.limits.len() > MOST_LIMITS {
        let all = report.limits.len();
        report.limits.sort_by_key(|limit| Reverse(worth(limit)));
        report.limits.truncate(MOST_LIMITS);
        report.warnings.push(format!(
            "the worst {MOST_LIMITS} of {all} limits are in this log line; the function's answer has them all"
        ));
    }
    for mail in report.sent.iter_mut().chain(&mut report.failed).chain(&mut report.would_send) {
        mail.why.truncate(MOST_NOTICES);
    }
    for mails in [&mut report.sent, &mut report.failed, &mut report.would_send] {
        mails.truncate(MOST_MAILS);
    }
    report.warnings.truncate(MOST_LIMITS);
    report.uncovered.truncate(MOST_LIMITS);
    report.unseen.truncate(MOST_LIMITS);
    report
}

/// Prints the summary as it is and everything else as `tracing`'s JSON.
struct Lines {
    json: Format<Json>,
}

impl<S> FormatEvent<S, JsonFields> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    JsonFields: for<'w> FormatFields<'w>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if event.metadata().target() != SUMMARY {
            return self.json.format_event(context, writer, event);
        }
        let mut summary = Summary(None);
        event.record(&mut summary);
        writeln!(writer, "{}", summary.0.unwrap_or_default())
    }
}

struct Summary(Option<String>);

impl Visit for Summary {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "summary" {
            self.0 = Some(format!("{value:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use watchdog_core::event::{Source, Tick, Timing};
    use watchdog_core::report::{KnownReport, MailReport, WhyReport};

    use super::*;

    fn report() -> RunReport {
        let at: Timestamp = "2026-03-01T14:05:00Z".parse().unwrap();
        let tick = Tick { at, timing: Timing::Event };
        let mut report = RunReport::new("run-1".to_owned(), Source::Scheduler, tick, false);
        let limit = |level, used_bytes| LimitReport {
            in_flight_queries: None,
            in_flight_bytes: None,
            workgroup: "exploratory".to_owned(),
            window: "1h".to_owned(),
            level,
            reason: "because".to_owned(),
            used_bytes,
            limit_bytes: 100,
            exhausts_at: None,
            as_of: at,
            age_seconds: None,
        };
        report.limits = vec![limit("ok", Some(1)), limit("unknown", None)];
        report.known = Some(KnownReport { names: Some(at), metrics: Some(at), settings: Some(at) });
        report
    }

    /// The names of the metrics that a summary announces, and what it has for them.
    fn announced(summary: &Value) -> Vec<(&str, Option<u64>)> {
        let metrics = summary["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap();
        metrics
            .iter()
            .map(|metric| metric["Name"].as_str().unwrap())
            .map(|name| (name, summary[name].as_u64()))
            .collect()
    }

    #[test]
    fn every_metric_that_is_announced_is_there_with_its_dimension() {
        let summary = summary("fn", &report(), None, Timestamp::UNIX_EPOCH);
        let metrics = &summary["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(metrics["Namespace"], "AthenaQuotaWatchdog");
        assert_eq!(metrics["Dimensions"], json!([["FunctionName"]]));
        assert_eq!(summary["FunctionName"], "fn");
        let [one, none] = [Some(1), Some(0)];
        let all = [("CompletedRuns", one), ("MailsSent", none), ("MailsFailed", none), ("UnknownLimits", one)];
        assert_eq!(announced(&summary), all);
    }

    /// The stack's alarm takes the least of a while: nothing may say that no limit is unknown without having looked.
    #[test]
    fn limits_that_are_not_known_are_told_by_a_run_that_has_judged_and_by_no_other() {
        let unknown = |report: &RunReport, failure| {
            let summary = summary("fn", report, failure, Timestamp::UNIX_EPOCH);
            let found = announced(&summary).into_iter().find(|(name, _)| *name == "UnknownLimits");
            // Where it is not announced it is not there either.
            assert_eq!(found.is_some(), summary.get("UnknownLimits").is_some(), "{summary}");
            found.map(|(_, value)| value.unwrap())
        };
        let judged = report();
        assert_eq!(unknown(&judged, None), Some(1));
        let blind = RunReport { incomplete: Some("throttled".to_owned()), limits: Vec::new(), ..report() };
        assert_eq!(unknown(&blind, None), Some(1), "workgroups that are not on the list may have limits");
        // What came after the judgement does not change it.
        for word in ["DeliveryFailed", "NotRemembered", "LedgerUnavailable"] {
            assert_eq!(unknown(&judged, Some((word, "x"))), Some(1), "{word}");
        }
        let before = RunReport { limits: Vec::new(), known: None, ..report() };
        for word in ["LedgerUnavailable", "PolicyMissing", "PolicyUnreadable", "PolicyInvalid"] {
            assert_eq!(unknown(&before, Some((word, "x"))), None, "{word}");
        }
        for why in ["another run is at work", "the tick has been judged already"] {
            assert_eq!(unknown(&RunReport { skipped: Some(why.to_owned()), ..before.clone() }, None), None, "{why}");
        }
        assert_eq!(
            unknown(&RunReport { dry_run: true, ..report() }, None),
            None,
            "somebody wanted to see, and it counts for nothing"
        );
    }

    #[test]
    fn only_a_real_run_that_judged_everything_counts_as_completed() {
        let completed = |report: &RunReport, failure| {
            summary("fn", report, failure, Timestamp::UNIX_EPOCH)["CompletedRuns"].clone()
        };
        assert_eq!(
            completed(&report(), Some(("DeliveryFailed", "x"))),
            1,
            "it has judged all; `MailsFailed` says the rest"
        );
        assert_eq!(completed(&report(), Some(("LedgerUnavailable", "x"))), 0);
        assert_eq!(completed(&RunReport { dry_run: true, ..report() }, None), 0);
        assert_eq!(completed(&RunReport { skipped: Some("done".to_owned()), ..report() }, None), 0);
    }

    #[test]
    fn a_thousand_limits_stay_below_the_size_of_a_log_event_and_keep_what_matters() {
        let mut large = report();
        large.limits = report().limits.into_iter().cycle().take(4000).collect();
        let why = WhyReport {
            alert: "sight/".to_owned() + &"w".repeat(128),
            reason: "opened",
            level: "cannot see",
            own_queries: false,
        };
        let mail =
            MailReport { to: "a".repeat(254), why: vec![why; 4000], message_id: None, error: Some("e".repeat(400)) };
        large.sent = vec![mail.clone(); 60];
        large.failed = vec![mail; 60];
        let line = summary("fn", &large, None, Timestamp::UNIX_EPOCH).to_string();
        assert!(line.len() < 256 * 1024, "{}", line.len());
        assert!(line.contains("\"unknown\"") && line.contains("200 of 4000 limits"), "{}", &line[..2000]);
    }

    /// Wherever they stand in the report.
    #[test]
    fn the_worst_limits_are_kept() {
        let mut large = report();
        let limit =
            |level, used_bytes| LimitReport { level, used_bytes, limit_bytes: 100, ..report().limits[0].clone() };
        large.limits = (0..300).map(|n| limit("ok", Some(n % 70))).collect();
        large.limits.extend([limit("warn", Some(92)), limit("unknown", None), limit("exhausted", Some(130))]);
        let kept = bounded(&large).limits;
        assert_eq!(kept.len(), MOST_LIMITS);
        let first: Vec<_> = kept.iter().take(5).map(|limit| (limit.level, limit.used_bytes)).collect();
        assert_eq!(
            first,
            [("exhausted", Some(130)), ("unknown", None), ("warn", Some(92)), ("ok", Some(69)), ("ok", Some(69))]
        );
    }
}
