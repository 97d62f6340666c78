//! AWS in this process: the real SDK clients speak to it in their own protocols, and any call can be made to fail in any way.
//!
//! It does what the watchdog relies on and no more: conditions of the state table, the token of a transaction, one mail per
//! call. A call that it does not know stops the test.

mod expression;
mod table;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_sdk_ssm::config::Region;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use ciborium::Value as Cbor;
use serde_json::{Map, Value, json};
use tokio::sync::Notify;

use self::wire::{Body, Call, cbor, get, map, response, seconds, text, unbase64};

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// Refused, because there are too many.
    Throttled,
    /// A 500, before anything was done.
    Broken,
    /// No answer, and nothing was done.
    Silent,
    /// No answer, though it was done.
    SilentAfter,
    /// The connection is reset before anything was done.
    Reset,
    /// It is reset after it was done.
    ResetAfter,
    /// Something unreadable, after it was done.
    Garbage,
    /// Not allowed.
    Denied,
    /// A part of the answer is missing, in the service's own way; where there is none, as [`Fault::Broken`].
    Partial,
    /// The process dies before the call.
    Killed,
    /// The process dies after it was done.
    KilledAfter,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Throttled,
        Self::Broken,
        Self::Silent,
        Self::SilentAfter,
        Self::Reset,
        Self::ResetAfter,
        Self::Garbage,
        Self::Denied,
        Self::Partial,
        Self::Killed,
        Self::KilledAfter,
    ];

    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::Broken => "a 500",
            Self::Silent => "no answer, nothing done",
            Self::SilentAfter => "no answer, though it was done",
            Self::Reset => "connection reset, nothing done",
            Self::ResetAfter => "connection reset, though it was done",
            Self::Garbage => "an answer that cannot be read, though it was done",
            Self::Denied => "denied",
            Self::Partial => "answered in part, or a 500",
            Self::Killed => "the process is killed before the call",
            Self::KilledAfter => "the process is killed after it was done",
        }
    }

    /// Whether the call was carried out all the same.
    pub fn acts(self) -> bool {
        matches!(self, Self::SilentAfter | Self::ResetAfter | Self::Garbage | Self::KilledAfter)
    }

    /// Whether it is the end of the process.
    pub fn kills(self) -> bool {
        matches!(self, Self::Killed | Self::KilledAfter)
    }
}

/// Which call is struck.
#[derive(Debug, Clone)]
pub struct Strike {
    /// The call, counted from zero over the run, every try of it.
    pub call: usize,
    /// How.
    pub fault: Fault,
    /// Every later call of the same operation in this run, too.
    pub lasting: bool,
}

/// A mail that was taken.
#[derive(Debug, Clone)]
pub struct Mailed {
    /// In which run, counted from zero.
    pub run: usize,
    /// To whom.
    pub to: String,
    /// The message.
    pub raw: Vec<u8>,
}

/// All that is outside of the watchdog.
#[derive(Debug, Default)]
pub struct World {
    /// The policy.
    pub policy: String,
    /// Gigabytes in the window of each workgroup; those in it are all there are.
    pub used: BTreeMap<String, f64>,
    /// The most DML queries that were active at once, of a quota of 100, by the start of the five minutes.
    pub active: BTreeMap<i64, f64>,
    /// Whom SES refuses to mail.
    pub refused: BTreeSet<String>,
    /// Whether the day's mails are used up.
    pub is_quota_gone: bool,
    /// Executions by workgroup, as Athena tells of them, in JSON.
    pub executions: BTreeMap<String, Vec<Value>>,
    /// CloudTrail's records of who submitted what, the newest first.
    pub trail: Vec<Value>,
    /// The tag `email` of each IAM user.
    pub emails: BTreeMap<String, String>,
    /// Athena's per-query cutoff of each workgroup that has one.
    pub cutoffs: BTreeMap<String, i64>,
    /// What the cutoff of some workgroup was set to, in order.
    pub cutoffs_set: Vec<Option<i64>>,
    /// Names of capacity reservations.
    pub reservations: Vec<String>,
    /// Whether the account has quotas of its own; otherwise AWS's defaults hold.
    pub has_default_quotas: bool,
    /// A word that is put into every answer, beside what was asked for.
    pub planted: Option<String>,
    /// What was called since the beginning, as IAM calls it.
    pub actions: BTreeSet<String>,
    /// The state table.
    pub items: BTreeMap<(String, String), Map<String, Value>>,
    /// Transactions that were carried out, by their tokens.
    pub tokens: BTreeMap<String, Vec<Value>>,
    /// Mails in the order in which they were taken.
    pub mailed: Vec<Mailed>,
    /// Which run this is.
    pub run: usize,
    /// What happens in it.
    pub strike: Option<Strike>,
    /// From this call on nothing answers any more.
    pub hangs_from: Option<usize>,
    /// How long each call takes, half of it before it is carried out.
    pub takes: Duration,
    /// The operations that were called in it, every try.
    pub calls: Vec<String>,
    /// The same of the last run of the schedule, whatever came after it.
    pub of_run: Vec<String>,
    /// The operation that was struck.
    pub struck: Option<String>,
    /// Told when the process dies.
    pub death: Arc<Notify>,
    /// Whether the use has been answered in full in this run.
    pub metrics_answered: bool,
}

/// The function's credentials, which nobody may see.
pub const SECRET: &str = "planted-secret-key";
pub const TOKEN: &str = "planted-session-token";

/// The world, shared with the clients.
pub type Shared = Arc<Mutex<World>>;

#[derive(Debug, Clone)]
struct Wire(Shared);

/// A configuration whose clients speak to `world`.
pub async fn config(world: &Shared) -> SdkConfig {
    let loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .credentials_provider(Credentials::new("AKIAPLANTED", SECRET, Some(TOKEN.to_owned()), None, "test"))
        .region(Region::new("eu-central-1"))
        .endpoint_url("http://aws.invalid");
    let wire = SharedHttpConnector::new(Wire(world.clone()));
    watchdog_aws::clients::bounded(loader, http_client_fn(move |_, _| wire.clone())).await
}

/// Without a timer where there is nothing to wait for: most stories are only about what comes after what.
async fn pause(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let world = self.0.clone();
        HttpConnectorFuture::new(async move {
            let body = request.body().bytes().unwrap_or_default().to_vec();
            let target = request.headers().get("x-amz-target").map(str::to_owned);
            let call = Call::read(target.as_deref(), request.uri(), &body);
            let half = world.lock().unwrap().takes / 2;
            pause(half).await;
            let (answer, fault) = {
                let mut world = world.lock().unwrap();
                let fault = world.strike(&call);
                let acts = fault.is_none_or(Fault::acts);
                let is_partial = fault == Some(Fault::Partial);
                let answer = if acts || is_partial { Some(world.act(&call, is_partial)) } else { None };
                if fault.is_some_and(Fault::kills) {
                    world.death.notify_one();
                }
                world.metrics_answered |= fault.is_none() && call.operation == "GetMetricData";
                (answer, fault)
            };
            pause(half).await;
            let reset = || ConnectorError::io("connection reset by peer".into());
            match fault {
                None => Ok(answer.flatten().unwrap_or_else(|| call.failed(500, "InternalServerError"))),
                Some(Fault::Partial) => Ok(answer.flatten().unwrap_or_else(|| call.failed(500, "InternalServerError"))),
                Some(Fault::Throttled) => Ok(call.failed(400, "ThrottlingException")),
                Some(Fault::Broken) => Ok(call.failed(500, "InternalServerError")),
                Some(Fault::Denied) => Ok(call.failed(400, "AccessDeniedException")),
                Some(Fault::Garbage) => Ok(response(200, "text/html", b"<html>proxy error: planted-answer".to_vec())),
                Some(Fault::Reset | Fault::ResetAfter) => Err(reset()),
                Some(Fault::Silent | Fault::SilentAfter | Fault::Killed | Fault::KilledAfter) => {
                    std::future::pending().await
                }
            }
        })
    }
}

impl World {
    /// Notes the call, and says what happens to it.
    fn strike(&mut self, call: &Call) -> Option<Fault> {
        let n = self.calls.len();
        self.calls.push(call.operation.clone());
        self.of_run.push(call.operation.clone());
        if call.operation != "TransactWriteItems" {
            self.actions.insert(call.action.clone());
        }
        if self.hangs_from.is_some_and(|from| n >= from) {
            return Some(Fault::Silent);
        }
        let strike = self.strike.clone()?;
        if n == strike.call {
            self.struck = Some(call.operation.clone());
            return Some(strike.fault);
        }
        let again = strike.lasting && n > strike.call && self.struck.as_deref() == Some(call.operation.as_str());
        again.then_some(strike.fault)
    }

    /// Does what is asked, and answers; `None` where the service has no way to answer in part.
    fn act(&mut self, call: &Call, partly: bool) -> Option<HttpResponse> {
        let planted = self.planted.clone();
        let json = |mut value: Value| {
            if let Some(planted) = &planted {
                value["Planted"] = planted.as_str().into();
            }
            Some(response(200, "application/x-amz-json-1.1", value.to_string().into_bytes()))
        };
        match call.operation.as_str() {
            "GetMetricData" => Some(self.metrics(call, partly)),
            _ if partly => self.partly(call),
            "ListMetrics" => Some(cbor(200, &map([("Metrics", Cbor::Array(vec![]))]))),
            "GetParametersByPath" => {
                json(json!({"Parameters": [{"Name": "/w/00", "Type": "String", "Value": self.policy}]}))
            }
            "ListWorkGroups" => {
                let names = self.used.keys().map(|name| json!({"Name": name, "State": "ENABLED"}));
                json(json!({"WorkGroups": names.collect::<Vec<_>>()}))
            }
            "GetWorkGroup" => {
                let name = call.json()["WorkGroup"].as_str().unwrap_or_default();
                let mut configuration = json!({ "PublishCloudWatchMetricsEnabled": true });
                if let Some(cutoff) = self.cutoffs.get(name) {
                    configuration["BytesScannedCutoffPerQuery"] = (*cutoff).into();
                }
                json(json!({ "WorkGroup": { "Name": name, "Configuration": configuration } }))
            }
            "UpdateWorkGroup" => {
                let name = call.json()["WorkGroup"].as_str().unwrap_or_default().to_owned();
                let cutoff = call.json()["ConfigurationUpdates"]["BytesScannedCutoffPerQuery"].as_i64();
                match cutoff {
                    Some(cutoff) => drop(self.cutoffs.insert(name, cutoff)),
                    None => drop(self.cutoffs.remove(&name)),
                }
                self.cutoffs_set.push(cutoff);
                json(json!({}))
            }
            "GetServiceQuota" if self.has_default_quotas => Some(call.failed(400, "NoSuchResourceException")),
            "GetServiceQuota" | "GetAWSDefaultServiceQuota" => json(json!({"Quota": {"Value": 100.0}})),
            "ListCapacityReservations" => {
                let all =
                    self.reservations.iter().map(|name| json!({ "Name": name, "Status": "ACTIVE", "TargetDpus": 24 }));
                json(json!({ "CapacityReservations": all.collect::<Vec<_>>() }))
            }
            "GetCapacityAssignmentConfiguration" => json(json!({ "CapacityAssignmentConfiguration": {
                "CapacityReservationName": call.json()["CapacityReservationName"],
                "CapacityAssignments": [{ "WorkGroupNames": ["reserved"] }],
            }})),
            "ListQueryExecutions" => {
                let of = self.executions.get(call.json()["WorkGroup"].as_str().unwrap_or_default());
                let ids = of.into_iter().flatten().map(|execution| execution["QueryExecutionId"].clone());
                json(json!({ "QueryExecutionIds": ids.collect::<Vec<_>>() }))
            }
            "BatchGetQueryExecution" => {
                let asked = call.json()["QueryExecutionIds"].as_array().cloned().unwrap_or_default();
                let all = self.executions.values().flatten().filter(|one| asked.contains(&one["QueryExecutionId"]));
                json(json!({ "QueryExecutions": all.collect::<Vec<_>>() }))
            }
            "LookupEvents" => {
                let events = self.trail.iter().enumerate().map(|(n, record)| {
                    json!({ "EventId": n.to_string(), "EventName": "StartQueryExecution", "CloudTrailEvent": record.to_string() })
                });
                json(json!({ "Events": events.collect::<Vec<_>>() }))
            }
            "ListUserTags" => {
                let Body::Form(form) = &call.body else { panic!("not a form") };
                let tag = self
                    .emails
                    .get(&form["UserName"])
                    .map_or(String::new(), |email| format!("<member><Key>email</Key><Value>{email}</Value></member>"));
                let body = format!(
                    "<ListUserTagsResponse><ListUserTagsResult><IsTruncated>false</IsTruncated><Tags>{tag}</Tags></ListUserTagsResult>\
                     </ListUserTagsResponse>"
                );
                Some(response(200, "text/xml", body.into_bytes()))
            }
            "BatchGetItem" => Some(self.several(call)),
            "Query" => {
                let pk = call.json()["ExpressionAttributeValues"][":pk"]["S"].as_str().unwrap_or_default();
                let found = self.items.iter().filter(|((its, _), _)| its == pk).map(|(_, item)| item.clone());
                json(json!({"Items": found.collect::<Vec<_>>()}))
            }
            "PutItem" => Some(self.put_one(call)),
            "UpdateItem" => Some(self.update(call)),
            "TransactWriteItems" => Some(self.transact(call)),
            "SendRawEmail" => {
                let Body::Form(form) = &call.body else { panic!("not a form") };
                let error = |code: &str, message: &str| {
                    let body = format!(
                        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>\
                         <RequestId>r</RequestId></ErrorResponse>"
                    );
                    Some(response(400, "text/xml", body.into_bytes()))
                };
                if self.is_quota_gone {
                    return error("Throttling", "Daily message quota exceeded.");
                }
                if self.refused.contains(&form["Destinations.member.1"]) {
                    return error("MessageRejected", "Address is on the suppression list.");
                }
                let raw = unbase64(&form["RawMessage.Data"]);
                self.mailed.push(Mailed { run: self.run, to: form["Destinations.member.1"].clone(), raw });
                let body = format!(
                    "<SendRawEmailResponse><SendRawEmailResult><MessageId>{}</MessageId></SendRawEmailResult>\
                     </SendRawEmailResponse>",
                    self.mailed.len()
                );
                Some(response(200, "text/xml", body.into_bytes()))
            }
            other => panic!("`{other}` is not known here: teach this AWS what it does"),
        }
    }

    /// Less than what was asked for, as each service says so: an empty page after which more comes, or names of what was left out.
    fn partly(&self, call: &Call) -> Option<HttpResponse> {
        let body = call.json();
        let answer = match call.operation.as_str() {
            "ListMetrics" => {
                return Some(cbor(200, &map([("Metrics", Cbor::Array(vec![])), ("NextToken", text("more"))])));
            }
            "GetParametersByPath" => json!({ "Parameters": [], "NextToken": "more" }),
            "ListWorkGroups" => json!({ "WorkGroups": [], "NextToken": "more" }),
            "ListQueryExecutions" => json!({ "QueryExecutionIds": [], "NextToken": "more" }),
            "ListCapacityReservations" => json!({ "CapacityReservations": [], "NextToken": "more" }),
            "LookupEvents" => json!({ "Events": [], "NextToken": "more" }),
            "Query" => json!({ "Items": [], "LastEvaluatedKey": { "pk": { "S": "a" }, "sk": { "S": "b" } } }),
            "BatchGetItem" => json!({ "Responses": {}, "UnprocessedKeys": body["RequestItems"] }),
            "BatchGetQueryExecution" => {
                let ids = body["QueryExecutionIds"].as_array().cloned().unwrap_or_default();
                let left = ids.into_iter().map(|id| json!({ "QueryExecutionId": id, "ErrorCode": "INTERNAL" }));
                json!({ "QueryExecutions": [], "UnprocessedQueryExecutionIds": left.collect::<Vec<_>>() })
            }
            _ => return None,
        };
        Some(response(200, "application/x-amz-json-1.1", answer.to_string().into_bytes()))
    }

    fn metrics(&self, call: &Call, partly: bool) -> HttpResponse {
        let Body::Cbor(body) = &call.body else { panic!("not CBOR") };
        let end = match get(body, "EndTime") {
            Some(Cbor::Tag(1, at)) => seconds(at),
            other => panic!("{other:?}"),
        };
        let Some(Cbor::Array(queries)) = get(body, "MetricDataQueries") else { panic!("no queries") };
        let results = queries.iter().map(|query| {
            let id = get(query, "Id").cloned().unwrap_or(Cbor::Null);
            let metric = get(query, "MetricStat").and_then(|stat| get(stat, "Metric")).expect("a metric");
            let Some(Cbor::Array(dimensions)) = get(metric, "Dimensions") else { panic!("no dimensions") };
            // The bytes are in the metric of the workgroup alone.
            let workgroup = match dimensions.as_slice() {
                [only] => get(only, "Value").and_then(Cbor::as_text).unwrap_or_default(),
                _ => "",
            };
            let is_dml = dimensions.len() == 4 && dimensions.iter().any(|d| get(d, "Value") == Some(&text("DML")));
            let name = get(metric, "MetricName").and_then(Cbor::as_text).unwrap_or_default();
            let points = match name {
                "ProcessedBytes" => self.used.get(workgroup).map(|used| (end - 300, used * 1e9)).into_iter().collect(),
                "ResourceCount" if is_dml => self.active.clone(),
                _ => BTreeMap::new(),
            };
            // Who takes what is missing of a part for nothing is wrong about the level.
            let points = points.into_iter().filter(|(_, value)| *value > 0.0 && !partly);
            let stamp = |at: i64| Cbor::Tag(1, Box::new(Cbor::Integer(at.into())));
            let (stamps, values): (Vec<_>, Vec<_>) = points.map(|(at, value)| (stamp(at), Cbor::Float(value))).unzip();
            let status = if partly { "PartialData" } else { "Complete" };
            map([
                ("Id", id),
                ("StatusCode", text(status)),
                ("Timestamps", Cbor::Array(stamps)),
                ("Values", Cbor::Array(values)),
            ])
        });
        cbor(200, &map([("MetricDataResults", Cbor::Array(results.collect()))]))
    }
}
