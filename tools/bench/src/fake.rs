//! A fake of the AWS endpoints that a run talks to, for one account of so many workgroups that all stay below their limits.
//!
//! It remembers what is put into the table, so that a second process finds what the first has learnt. It checks no signature and no
//! condition: there is one caller. What it does not know it refuses, so that a call that is new is noticed and not measured as an error's
//! price.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ciborium::Value as Cbor;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::http::{Request, Response, serve, serve_tls};
use crate::trust::Trust;

/// Every workgroup with a limit of an hour and one of a day, neither of which it comes near.
const POLICY: &str = r#"
[mail]
sender = "watchdog@example.com"
admins = ["ann@example.com"]
allowed_domains = ["example.com"]
[[workgroup]]
name = "*"
[[workgroup.limit]]
window = "1h"
limit = "1 TB"
[[workgroup.limit]]
window = "24h"
limit = "20 TB"
"#;
/// What a workgroup scans in each five minutes: 72 GB an hour.
const BYTES: f64 = 6e9;

/// One call that was answered.
#[derive(Debug, Clone)]
pub struct Call {
    pub operation: String,
    pub start: Instant,
    pub end: Instant,
}

/// One that was opened over TLS: its handshake.
#[derive(Debug, Clone, Copy)]
pub struct Opened {
    pub start: Instant,
    pub end: Instant,
}

/// The environment variables that lead a program to an account.
pub type Endpoints = Vec<(String, String)>;

/// An account.
pub struct Fake {
    /// All services at one address, without TLS.
    pub plain: Endpoints,
    /// Each service at an address of its own, over TLS.
    pub secure: Endpoints,
    state: Arc<State>,
}

/// Services with calls in a run in which nobody is mailed.
const SERVICES: [&str; 4] = ["ATHENA", "CLOUDWATCH", "DYNAMODB", "SSM"];

struct State {
    names: Vec<String>,
    /// Whether nobody has queried anything lately.
    idle: bool,
    latency_ms: AtomicU64,
    items: Mutex<BTreeMap<(String, String), Value>>,
    calls: Mutex<Vec<Call>>,
    opened: Mutex<Vec<Opened>>,
    refused: Mutex<Vec<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Fake {
    /// An account of so many workgroups, `primary` among them; all of them used all the time, or none.
    pub fn start(workgroups: usize, idle: bool, trust: &Trust) -> std::io::Result<Self> {
        let others = (1..workgroups).map(|n| format!("team-{n:04}"));
        let state = Arc::new(State {
            names: std::iter::once("primary".to_owned()).chain(others).collect(),
            idle,
            latency_ms: AtomicU64::new(0),
            items: Mutex::default(),
            calls: Mutex::default(),
            opened: Mutex::default(),
            refused: Mutex::default(),
        });
        let answer = |state: &Arc<State>| {
            let state = Arc::clone(state);
            move |request: &Request| Some(state.answer(request))
        };
        let note = |state: &Arc<State>| {
            let state = Arc::clone(state);
            move |request: &Request, end| {
                let call = Call { operation: operation(request), start: request.read, end };
                lock(&state.calls).push(call);
            }
        };
        let address = serve(answer(&state), note(&state))?;
        let plain = vec![("AWS_ENDPOINT_URL".to_owned(), format!("http://{address}"))];
        let mut secure = vec![("SSL_CERT_FILE".to_owned(), trust.file.display().to_string())];
        for service in SERVICES {
            let (delaying, noting) = (Arc::clone(&state), Arc::clone(&state));
            let address = serve_tls(
                Arc::clone(&trust.server),
                move || delaying.latency(),
                answer(&state),
                note(&state),
                move |start, end| lock(&noting.opened).push(Opened { start, end }),
            )?;
            let port = address.port();
            secure.push((format!("AWS_ENDPOINT_URL_{service}"), format!("https://localhost:{port}")));
        }
        Ok(Self { plain, secure, state })
    }

    /// How long every answer takes.
    pub fn set_latency(&self, latency: Duration) {
        self.state.latency_ms.store(u64::try_from(latency.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The calls since the last time this was asked.
    pub fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut lock(&self.state.calls))
    }

    /// The connections that were opened over TLS since the last time this was asked.
    pub fn take_opened(&self) -> Vec<Opened> {
        std::mem::take(&mut lock(&self.state.opened))
    }

    /// Operations that it does not know, and was asked for.
    pub fn refused(&self) -> Vec<String> {
        lock(&self.state.refused).clone()
    }

    /// Ages what is known of the workgroups: names and metrics are due, settings are as old as they are where a slice of them is read anew
    /// in each run, which of idle ones takes half a day. Returns whether there was anything to age.
    pub fn age(&self, now: Timestamp) -> bool {
        let ago = |seconds: i64| json!(Timestamp::from_second(now.as_second() - seconds).unwrap_or(now));
        let mut items = lock(&self.state.items);
        let mut aged = false;
        for (_, item) in items.iter_mut().filter(|((pk, _), _)| pk == "cache") {
            let Some(body) = item["body"]["S"].as_str() else { continue };
            let Ok(mut body) = serde_json::from_str::<Value>(body) else { continue };
            body["names_read"] = ago(20 * 60);
            body["listed_read"] = ago(20 * 60);
            let all = i64::try_from(self.state.names.len()).unwrap_or(1);
            let oldest = if self.state.idle { 12 } else { 4 } * 3600;
            let settings = body["settings"].as_object_mut();
            for (n, one) in (0..).zip(settings.into_iter().flatten()) {
                // From just due to the oldest, evenly.
                one.1["read"] = ago(16 * 60 + n * (oldest - 16 * 60) / all);
            }
            item["body"]["S"] = json!(body.to_string());
            aged = true;
        }
        aged
    }
}

/// `service:Operation`, as the function's own report spells it.
fn operation(request: &Request) -> String {
    match &request.target {
        Some(target) => {
            let (service, operation) = target.split_once('.').unwrap_or((target, ""));
            let service = match service {
                "AmazonAthena" => "athena",
                "AmazonSSM" => "ssm",
                "GraniteServiceVersion20100801" => "cloudwatch",
                "DynamoDB_20120810" => "dynamodb",
                other => other,
            };
            format!("{service}:{operation}")
        }
        None => match request.path.rsplit_once("/operation/") {
            Some((_, operation)) => format!("cloudwatch:{operation}"),
            None => request.path.clone(),
        },
    }
}

impl State {
    fn latency(&self) -> Duration {
        Duration::from_millis(self.latency_ms.load(Ordering::Relaxed))
    }

    fn answer(&self, request: &Request) -> Response {
        let delay = self.latency();
        let operation = operation(request);
        let (kind, body) = if operation == "cloudwatch:GetMetricData" && request.target.is_some() {
            let asked = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
            ("application/x-amz-json-1.0", Some(metric_data_as_json(&asked)))
        } else if operation.starts_with("cloudwatch:") {
            let asked = ciborium::from_reader(&request.body[..]).unwrap_or(Cbor::Null);
            let body = match operation.as_str() {
                "cloudwatch:GetMetricData" => Some(self.metric_data(&asked)),
                "cloudwatch:ListMetrics" => Some(self.metrics(&asked)),
                _ => None,
            };
            ("application/cbor\r\nsmithy-protocol: rpc-v2-cbor", body)
        } else {
            let asked = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
            ("application/x-amz-json-1.0", self.json(&operation, &asked).map(|v| v.to_string().into_bytes()))
        };
        let headers = format!("Content-Type: {kind}\r\n");
        match body {
            Some(body) => Response { status: 200, headers, body, delay },
            None => {
                lock(&self.refused).push(operation);
                Response { status: 400, headers, body: br#"{"__type":"UnknownOperationException"}"#.to_vec(), delay }
            }
        }
    }

    fn json(&self, operation: &str, asked: &Value) -> Option<Value> {
        let place = |item: &Value| {
            let text = |name: &str| item[name]["S"].as_str().unwrap_or_default().to_owned();
            (text("pk"), text("sk"))
        };
        Some(match operation {
            "ssm:GetParametersByPath" => json!({
                "Parameters": [{ "Name": "/bench/policy/00-stack", "Type": "String", "Value": POLICY }],
            }),
            "athena:ListWorkGroups" => {
                let from = asked["NextToken"].as_str().and_then(|token| token.parse().ok()).unwrap_or(0);
                let page = self.names.iter().skip(from).take(50);
                let page: Vec<_> = page.map(|name| json!({ "Name": name, "State": "ENABLED" })).collect();
                let next = Some(from + 50).filter(|next| *next < self.names.len());
                json!({ "WorkGroups": page, "NextToken": next.map(|next| next.to_string()) })
            }
            "athena:GetWorkGroup" => json!({ "WorkGroup": {
                "Name": asked["WorkGroup"],
                "State": "ENABLED",
                "Configuration": { "EnforceWorkGroupConfiguration": true, "PublishCloudWatchMetricsEnabled": true },
            } }),
            "dynamodb:UpdateItem" => json!({ "Attributes": {} }),
            "dynamodb:Query" => {
                let pk = asked["ExpressionAttributeValues"].as_object()?.values().next()?["S"].as_str()?;
                let items = lock(&self.items);
                let found: Vec<_> = items.iter().filter(|((p, _), _)| p == pk).map(|(_, item)| item.clone()).collect();
                json!({ "Count": found.len(), "ScannedCount": found.len(), "Items": found })
            }
            // Of a peer's only.
            "dynamodb:GetItem" => match lock(&self.items).get(&place(&asked["Key"])) {
                Some(item) => json!({ "Item": item }),
                None => json!({}),
            },
            "dynamodb:PutItem" => {
                lock(&self.items).insert(place(&asked["Item"]), asked["Item"].clone());
                json!({})
            }
            "dynamodb:TransactWriteItems" => {
                for one in asked["TransactItems"].as_array()? {
                    if let Some(put) = one.get("Put") {
                        lock(&self.items).insert(place(&put["Item"]), put["Item"].clone());
                    }
                    if let Some(delete) = one.get("Delete") {
                        lock(&self.items).remove(&place(&delete["Key"]));
                    }
                }
                json!({})
            }
            _ => return None,
        })
    }

    /// A datapoint in every five minutes of every workgroup, the most there can be; or none. The account's own metrics are idle.
    fn metric_data(&self, asked: &Cbor) -> Vec<u8> {
        let seconds = |name: &str| match field(asked, name) {
            Some(Cbor::Tag(_, inner)) => number(inner),
            Some(other) => number(other),
            None => 0,
        };
        let stamps: Vec<i64> = (seconds("StartTime")..seconds("EndTime")).step_by(300).collect();
        let mut points = Vec::new();
        text(&mut points, "Timestamps");
        head(&mut points, 4, stamps.len());
        for stamp in &stamps {
            points.push(0xc1);
            float(&mut points, *stamp as f64);
        }
        text(&mut points, "Values");
        head(&mut points, 4, stamps.len());
        stamps.iter().for_each(|_| float(&mut points, BYTES));
        let queries = field(asked, "MetricDataQueries").and_then(Cbor::as_array).map_or(&[][..], Vec::as_slice);
        let mut body = Vec::with_capacity(points.len() * queries.len() + 64);
        head(&mut body, 5, 1);
        text(&mut body, "MetricDataResults");
        head(&mut body, 4, queries.len());
        for query in queries {
            let metric = field(query, "MetricStat").and_then(|stat| field(stat, "Metric"));
            let name = metric.and_then(|metric| field(metric, "MetricName")).and_then(Cbor::as_text);
            let full = name == Some("ProcessedBytes") && !self.idle;
            head(&mut body, 5, if full { 4 } else { 2 });
            text(&mut body, "Id");
            text(&mut body, field(query, "Id").and_then(Cbor::as_text).unwrap_or_default());
            text(&mut body, "StatusCode");
            text(&mut body, "Complete");
            if full {
                body.extend(&points);
            }
        }
        body
    }

    fn metrics(&self, asked: &Cbor) -> Vec<u8> {
        let from = field(asked, "NextToken").and_then(Cbor::as_text).and_then(|token| token.parse().ok()).unwrap_or(0);
        let name = field(asked, "MetricName").and_then(Cbor::as_text).unwrap_or_default();
        // The queue's time is not among them: nobody has asked to be told of it.
        let all = if name == "ProcessedBytes" { &self.names[..] } else { &[] };
        let page: Vec<&String> = all.iter().skip(from).take(500).collect();
        let next = Some(from + 500).filter(|next| *next < all.len());
        let mut body = Vec::new();
        head(&mut body, 5, if next.is_some() { 2 } else { 1 });
        text(&mut body, "Metrics");
        head(&mut body, 4, page.len());
        for workgroup in page {
            head(&mut body, 5, 3);
            for (key, value) in [("Namespace", "AWS/Athena"), ("MetricName", name)] {
                text(&mut body, key);
                text(&mut body, value);
            }
            text(&mut body, "Dimensions");
            head(&mut body, 4, 1);
            head(&mut body, 5, 2);
            for (key, value) in [("Name", "WorkGroup"), ("Value", workgroup)] {
                text(&mut body, key);
                text(&mut body, value);
            }
        }
        if let Some(next) = next {
            text(&mut body, "NextToken");
            text(&mut body, &next.to_string());
        }
        body
    }
}

/// The same as JSON, which a peer asks for: only bytes of workgroups.
fn metric_data_as_json(asked: &Value) -> Vec<u8> {
    let seconds = |name: &str| asked[name].as_f64().unwrap_or(0.0) as i64;
    let stamps: Vec<i64> = (seconds("StartTime")..seconds("EndTime")).step_by(300).collect();
    let points = json!({ "Timestamps": stamps, "Values": vec![BYTES; stamps.len()] }).to_string();
    let points = points.trim_matches(['{', '}']);
    let queries = asked["MetricDataQueries"].as_array().map_or(&[][..], Vec::as_slice);
    let one = |query: &Value| format!(r#"{{"Id":{},"StatusCode":"Complete",{points}}}"#, query["Id"]);
    let results: Vec<String> = queries.iter().map(one).collect();
    format!(r#"{{"MetricDataResults":[{}]}}"#, results.join(",")).into_bytes()
}

fn field<'a>(map: &'a Cbor, name: &str) -> Option<&'a Cbor> {
    map.as_map()?.iter().find(|(key, _)| key.as_text() == Some(name)).map(|(_, value)| value)
}

fn number(value: &Cbor) -> i64 {
    match value {
        Cbor::Float(value) => *value as i64,
        Cbor::Integer(value) => i64::try_from(*value).unwrap_or(0),
        _ => 0,
    }
}

// Written by hand and not through a tree of values: a thousand workgroups' datapoints are six megabytes an answer, and the fake must not
// be what is measured.

/// A CBOR head: major type and length, RFC 8949, section 3.
fn head(out: &mut Vec<u8>, major: u8, length: usize) {
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    match u8::try_from(length) {
        Ok(short) if short < 24 => out.push(major << 5 | short),
        _ => {
            out.push(major << 5 | 26);
            out.extend(length.to_be_bytes());
        }
    }
}

fn text(out: &mut Vec<u8>, value: &str) {
    head(out, 3, value.len());
    out.extend(value.as_bytes());
}

fn float(out: &mut Vec<u8>, value: f64) {
    out.push(0xfb);
    out.extend(value.to_be_bytes());
}
