//! AWS in this process: the real SDK clients speak to it in their own protocols, and any call can be made to fail in any way.
//!
//! It does what the watchdog relies on and no more: conditions of the state table, the token of a transaction, one mail per
//! call. A call that it does not know stops the test.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_sdk_ssm::config::Region;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use ciborium::Value as Cbor;
use serde_json::{Map, Value, json};
use tokio::sync::Notify;

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
    /// Whom SES refuses to mail.
    pub refused: BTreeSet<String>,
    /// Whether the day's mails are used up.
    pub is_quota_gone: bool,
    /// The most DML queries that were active at once, of a quota of 100.
    pub active: f64,
    /// The state table.
    pub items: BTreeMap<(String, String), Map<String, Value>>,
    /// Tokens of transactions that were carried out.
    pub tokens: BTreeSet<String>,
    /// Mails in the order in which they were taken.
    pub mailed: Vec<Mailed>,
    /// Which run this is.
    pub run: usize,
    /// What happens in it.
    pub strike: Option<Strike>,
    /// The operations that were called in it, every try.
    pub calls: Vec<String>,
    /// The operation that was struck.
    pub struck: Option<String>,
    /// Told when the process dies.
    pub death: Arc<Notify>,
    /// Whether the use has been answered in full in this run.
    pub metrics_answered: bool,
}

/// The world, shared with the clients.
pub type Shared = Arc<Mutex<World>>;

#[derive(Debug, Clone)]
struct Wire(Shared);

/// A configuration whose clients speak to `world`.
pub async fn config(world: &Shared) -> SdkConfig {
    let loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .credentials_provider(Credentials::new("AKID", "secret", None, None, "test"))
        .region(Region::new("eu-central-1"))
        .endpoint_url("http://aws.invalid");
    let wire = SharedHttpConnector::new(Wire(world.clone()));
    watchdog_aws::clients::bounded(loader, http_client_fn(move |_, _| wire.clone())).await
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let world = self.0.clone();
        HttpConnectorFuture::new(async move {
            let body = request.body().bytes().unwrap_or_default().to_vec();
            let target = request.headers().get("x-amz-target").map(str::to_owned);
            let call = Call::read(target.as_deref(), request.uri(), &body);
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
            let reset = || ConnectorError::io("connection reset by peer".into());
            match fault {
                None => Ok(answer.flatten().unwrap_or_else(|| call.failed(500, "InternalServerError"))),
                Some(Fault::Partial) => Ok(answer.flatten().unwrap_or_else(|| call.failed(500, "InternalServerError"))),
                Some(Fault::Throttled) => Ok(call.failed(400, "ThrottlingException")),
                Some(Fault::Broken) => Ok(call.failed(500, "InternalServerError")),
                Some(Fault::Denied) => Ok(call.failed(400, "AccessDeniedException")),
                Some(Fault::Garbage) => Ok(response(200, "text/html", b"<html>proxy error".to_vec())),
                Some(Fault::Reset | Fault::ResetAfter) => Err(reset()),
                Some(Fault::Silent | Fault::SilentAfter | Fault::Killed | Fault::KilledAfter) => {
                    std::future::pending().await
                }
            }
        })
    }
}

/// One call as it came over the wire.
struct Call {
    operation: String,
    body: Body,
}

enum Body {
    Json(Value),
    Cbor(Cbor),
    Form(BTreeMap<String, String>),
}

impl Call {
    fn read(target: Option<&str>, uri: &str, body: &[u8]) -> Self {
        if let Some(target) = target {
            let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
            return Self { operation, body: Body::Json(serde_json::from_slice(body).unwrap_or_default()) };
        }
        if let Some((_, operation)) = uri.split_once("/operation/") {
            let value = ciborium::from_reader(body).expect("CBOR");
            return Self { operation: operation.to_owned(), body: Body::Cbor(value) };
        }
        let form: BTreeMap<String, String> = std::str::from_utf8(body)
            .unwrap_or_default()
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (unescaped(name), unescaped(value)))
            .collect();
        Self { operation: form.get("Action").cloned().unwrap_or_default(), body: Body::Form(form) }
    }

    fn json(&self) -> &Value {
        match &self.body {
            Body::Json(value) => value,
            _ => &Value::Null,
        }
    }

    /// An error in the form of the service's protocol.
    fn failed(&self, status: u16, code: &str) -> HttpResponse {
        match &self.body {
            Body::Json(_) => {
                let body = json!({ "__type": code, "message": "as was asked for" });
                response(status, "application/x-amz-json-1.1", body.to_string().into_bytes())
            }
            Body::Cbor(_) => {
                let body = map([("__type", text(code)), ("message", text("as was asked for"))]);
                cbor(status, &body)
            }
            Body::Form(_) => {
                let code = if code == "ThrottlingException" { "Throttling" } else { code };
                let code = if code == "AccessDeniedException" { "AccessDenied" } else { code };
                // What SES says where too much comes at once; the daily quota reads otherwise.
                let body = format!(
                    "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code>\
                     <Message>Maximum sending rate exceeded.</Message></Error><RequestId>r</RequestId></ErrorResponse>"
                );
                response(status, "text/xml", body.into_bytes())
            }
        }
    }
}

impl World {
    /// Notes the call, and says what happens to it.
    fn strike(&mut self, call: &Call) -> Option<Fault> {
        let n = self.calls.len();
        self.calls.push(call.operation.clone());
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
        let json = |value: Value| Some(response(200, "application/x-amz-json-1.1", value.to_string().into_bytes()));
        match call.operation.as_str() {
            "GetMetricData" => Some(self.metrics(call, partly)),
            _ if partly => None,
            "ListMetrics" => Some(cbor(200, &map([("Metrics", Cbor::Array(vec![]))]))),
            "GetParametersByPath" => {
                json(json!({"Parameters": [{"Name": "/w/00", "Type": "String", "Value": self.policy}]}))
            }
            "ListWorkGroups" => {
                let names = self.used.keys().map(|name| json!({"Name": name, "State": "ENABLED"}));
                json(json!({"WorkGroups": names.collect::<Vec<_>>()}))
            }
            "GetWorkGroup" => json(json!({"WorkGroup": {
                "Name": call.json()["WorkGroup"], "Configuration": {"PublishCloudWatchMetricsEnabled": true}
            }})),
            "GetServiceQuota" => json(json!({"Quota": {"Value": 100.0}})),
            "ListCapacityReservations" => json(json!({"CapacityReservations": []})),
            "ListQueryExecutions" => json(json!({"QueryExecutionIds": ["11111111-2222-3333-4444-555555555555"]})),
            "BatchGetQueryExecution" => json(json!({"QueryExecutions": [{
                "QueryExecutionId": "11111111-2222-3333-4444-555555555555",
                "Status": {"State": "SUCCEEDED", "SubmissionDateTime": 1.0, "CompletionDateTime": 2.0},
                "Statistics": {"DataScannedInBytes": 5},
            }]})),
            "Query" => {
                let pk = call.json()["ExpressionAttributeValues"][":pk"]["S"].as_str().unwrap_or_default();
                let found = self.items.iter().filter(|((its, _), _)| its == pk).map(|(_, item)| item.clone());
                json(json!({"Items": found.collect::<Vec<_>>()}))
            }
            "PutItem" => {
                let item = call.json()["Item"].as_object().cloned().unwrap_or_default();
                self.put(item);
                json(json!({}))
            }
            "UpdateItem" => Some(self.lease(call)),
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
            let point = match name {
                "ProcessedBytes" => self.used.get(workgroup).map(|used| used * 1e9),
                "ResourceCount" if is_dml => Some(self.active),
                _ => None,
            };
            let (stamps, values) = match point.filter(|value| *value > 0.0) {
                Some(value) => {
                    (vec![Cbor::Tag(1, Box::new(Cbor::Integer((end - 300).into())))], vec![Cbor::Float(value)])
                }
                None => (vec![], vec![]),
            };
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

    fn put(&mut self, item: Map<String, Value>) {
        let of = |name: &str| item[name]["S"].as_str().unwrap_or_default().to_owned();
        self.items.insert((of("pk"), of("sk")), item.clone());
    }

    /// The two updates that the lease knows, as their expressions say.
    fn lease(&mut self, call: &Call) -> HttpResponse {
        let body = call.json();
        let values = &body["ExpressionAttributeValues"];
        let number = |value: &Value| value["N"].as_str().and_then(|n| n.parse::<i64>().ok());
        let key = ("run".to_owned(), "lease".to_owned());
        let item = self.items.get(&key).cloned().unwrap_or_default();
        let of = |name: &str| item.get(name).and_then(number);
        let holder = item.get("holder").and_then(|holder| holder["S"].as_str());
        let me = values[":me"]["S"].as_str();
        let takes = body["UpdateExpression"].as_str().is_some_and(|update| update.starts_with("SET holder"));
        let fits = if takes {
            let is_free = holder.is_none() || of("held_until") < number(&values[":now"]) || holder == me;
            let begun = of("begun_tick");
            is_free
                && begun.is_none_or(|begun| {
                    Some(begun) <= number(&values[":tick"]) || Some(begun) > number(&values[":ahead"])
                })
        } else {
            holder.is_some() && holder == me
        };
        if !fits {
            let body = json!({ "__type": "ConditionalCheckFailedException", "message": "no", "Item": item });
            return response(400, "application/x-amz-json-1.0", body.to_string().into_bytes());
        }
        let mut next = item.clone();
        next.insert("pk".to_owned(), json!({"S": "run"}));
        next.insert("sk".to_owned(), json!({"S": "lease"}));
        if takes {
            for (name, value) in [("holder", ":me"), ("held_until", ":until"), ("begun_tick", ":tick")] {
                next.insert(name.to_owned(), values[value].clone());
            }
        } else {
            if !values[":tick"].is_null() {
                next.insert("last_tick".to_owned(), values[":tick"].clone());
            }
            next.remove("holder");
            next.remove("held_until");
        }
        self.items.insert(key, next.clone());
        response(200, "application/x-amz-json-1.0", json!({ "Attributes": next }).to_string().into_bytes())
    }

    fn transact(&mut self, call: &Call) -> HttpResponse {
        let body = call.json();
        let done = response(200, "application/x-amz-json-1.0", b"{}".to_vec());
        let token = body["ClientRequestToken"].as_str().expect("the SDK's token").to_owned();
        if self.tokens.contains(&token) {
            return done;
        }
        let parts = body["TransactItems"].as_array().cloned().unwrap_or_default();
        let key = |at: &Value| {
            let of = |name: &str| at[name]["S"].as_str().unwrap_or_default().to_owned();
            (of("pk"), of("sk"))
        };
        let fits = |part: &Value, key: &(String, String)| match part["ConditionExpression"].as_str() {
            None => true,
            Some("attribute_not_exists(pk)") => !self.items.contains_key(key),
            Some("rev = :rev") => {
                self.items.get(key).is_some_and(|item| item["rev"] == part["ExpressionAttributeValues"][":rev"])
            }
            Some(other) => panic!("a condition that is not known here: {other}"),
        };
        let all = parts.iter().all(|part| match (part.get("Put"), part.get("Delete")) {
            (Some(put), _) => fits(put, &key(&put["Item"])),
            (_, Some(delete)) => fits(delete, &key(&delete["Key"])),
            _ => panic!("{part}"),
        });
        if !all {
            let body = json!({ "__type": "TransactionCanceledException", "message": "ConditionalCheckFailed" });
            return response(400, "application/x-amz-json-1.0", body.to_string().into_bytes());
        }
        for part in parts {
            if let Some(put) = part.get("Put") {
                self.put(put["Item"].as_object().cloned().unwrap_or_default());
            } else {
                self.items.remove(&key(&part["Delete"]["Key"]));
            }
        }
        self.tokens.insert(token);
        done
    }
}

fn response(status: u16, kind: &str, body: Vec<u8>) -> HttpResponse {
    let mut response = HttpResponse::new(status.try_into().expect("a status"), SdkBody::from(body));
    response.headers_mut().insert("content-type", kind.to_owned());
    response
}

fn cbor(status: u16, body: &Cbor) -> HttpResponse {
    let mut bytes = Vec::new();
    ciborium::into_writer(body, &mut bytes).expect("CBOR");
    let mut response = response(status, "application/cbor", bytes);
    response.headers_mut().insert("smithy-protocol", "rpc-v2-cbor");
    response
}

fn text(text: &str) -> Cbor {
    Cbor::Text(text.to_owned())
}

fn map<const N: usize>(fields: [(&str, Cbor); N]) -> Cbor {
    Cbor::Map(fields.into_iter().map(|(name, value)| (text(name), value)).collect())
}

fn get<'v>(value: &'v Cbor, name: &str) -> Option<&'v Cbor> {
    value.as_map()?.iter().find(|(key, _)| key.as_text() == Some(name)).map(|(_, value)| value)
}

fn seconds(at: &Cbor) -> i64 {
    match at {
        Cbor::Float(at) => *at as i64,
        Cbor::Integer(at) => i64::try_from(*at).expect("seconds"),
        other => panic!("{other:?}"),
    }
}

/// Of `application/x-www-form-urlencoded`.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let hex = [rest.next().unwrap_or(b'0'), rest.next().unwrap_or(b'0')];
                let hex = std::str::from_utf8(&hex).unwrap_or("00");
                bytes.push(u8::from_str_radix(hex, 16).unwrap_or(b'?'));
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn unbase64(text: &str) -> Vec<u8> {
    aws_smithy_types::base64::decode(text).expect("base64")
}
