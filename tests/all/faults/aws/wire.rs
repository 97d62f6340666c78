//! AWS's protocols: calls as they come, and answers as they go.

use std::collections::BTreeMap;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::body::SdkBody;
use ciborium::Value as Cbor;
use serde_json::{Value, json};

/// What a protocol calls a service, and what IAM does.
const SERVICES: [(&str, &str); 8] = [
    ("AmazonAthena", "athena"),
    ("CloudTrail", "cloudtrail"),
    ("Granite", "cloudwatch"),
    ("DynamoDB", "dynamodb"),
    ("2010-05-08", "iam"),
    ("ServiceQuotas", "servicequotas"),
    ("2010-12-01", "ses"),
    ("AmazonSSM", "ssm"),
];

/// One call as it came over the wire.
pub struct Call {
    /// Service and operation as IAM writes them: `athena:GetWorkGroup`.
    pub action: String,
    /// The operation alone.
    pub operation: String,
    pub body: Body,
}

pub enum Body {
    Json(Value),
    Cbor(Cbor),
    Form(BTreeMap<String, String>),
}

impl Call {
    pub fn read(target: Option<&str>, uri: &str, body: &[u8]) -> Self {
        if let Some(target) = target {
            let (service, operation) = target.rsplit_once('.').unwrap_or_default();
            let body = Body::Json(serde_json::from_slice(body).unwrap_or_default());
            return Self::of(service, operation, body);
        }
        if let Some((_, operation)) = uri.split_once("/operation/") {
            let value = ciborium::from_reader(body).expect("CBOR");
            return Self::of(uri, operation, Body::Cbor(value));
        }
        let form: BTreeMap<String, String> = std::str::from_utf8(body)
            .unwrap_or_default()
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (unescaped(name), unescaped(value)))
            .collect();
        let of = |name: &str| form.get(name).cloned().unwrap_or_default();
        Self::of(&of("Version"), &of("Action"), Body::Form(form))
    }

    /// `service` is what the protocol says of it: a prefix, a path, or a version.
    fn of(service: &str, operation: &str, body: Body) -> Self {
        let (_, service) = SERVICES
            .into_iter()
            .find(|(sign, _)| service.contains(sign))
            .unwrap_or_else(|| panic!("`{service}` is no service that is known here"));
        Self { action: format!("{service}:{operation}"), operation: operation.to_owned(), body }
    }

    pub fn json(&self) -> &Value {
        match &self.body {
            Body::Json(value) => value,
            _ => &Value::Null,
        }
    }

    /// An error in the form of the service's protocol.
    pub fn failed(&self, status: u16, code: &str) -> HttpResponse {
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

pub fn response(status: u16, kind: &str, body: Vec<u8>) -> HttpResponse {
    let mut response = HttpResponse::new(status.try_into().expect("a status"), SdkBody::from(body));
    response.headers_mut().insert("content-type", kind.to_owned());
    response
}

pub fn cbor(status: u16, body: &Cbor) -> HttpResponse {
    let mut bytes = Vec::new();
    ciborium::into_writer(body, &mut bytes).expect("CBOR");
    let mut response = response(status, "application/cbor", bytes);
    response.headers_mut().insert("smithy-protocol", "rpc-v2-cbor");
    response
}

pub fn text(text: &str) -> Cbor {
    Cbor::Text(text.to_owned())
}

pub fn map<const N: usize>(fields: [(&str, Cbor); N]) -> Cbor {
    Cbor::Map(fields.into_iter().map(|(name, value)| (text(name), value)).collect())
}

pub fn get<'v>(value: &'v Cbor, name: &str) -> Option<&'v Cbor> {
    value.as_map()?.iter().find(|(key, _)| key.as_text() == Some(name)).map(|(_, value)| value)
}

pub fn seconds(at: &Cbor) -> i64 {
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

pub fn unbase64(text: &str) -> Vec<u8> {
    aws_smithy_types::base64::decode(text).expect("base64")
}
