//! CloudTrail's records of `StartQueryExecution`: which query was submitted by which principal.
//!
//! Records come as an object, as JSON text inside `LookupEvents`, and inside an EventBridge event, and any of their fields may be missing.
//! What can be understood is understood; a record that cannot is named and counted, and stops nothing.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::instant;
use crate::principal::{Principal, bounded};
use crate::untrusted::plain;

/// How long CloudTrail may take. It speaks of about five minutes and promises nothing; fifteen used to be documented. After twice
/// that a record that is not there will hardly come.
pub const LAG: SignedDuration = SignedDuration::from_mins(30);

/// After this long a record that is not there is looked for no more: eight times the slowest that was ever documented.
/// Until then whoever it is of is still told, also where the alert is over by then.
pub const GIVE_UP: SignedDuration = SignedDuration::from_hours(2);

/// The call that submits a query.
pub const START: &str = "StartQueryExecution";
/// Its service, in records and in EventBridge.
const SOURCE: &str = "athena.amazonaws.com";
/// What a caller who names no workgroup uses.
const PRIMARY: &str = "primary";

/// Who submitted a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// Athena's id of the query.
    pub query: String,
    /// The workgroup: `primary` where the caller left it out.
    pub workgroup: String,
    /// When, by CloudTrail's clock; where its form can be read.
    pub at: Option<Timestamp>,
    /// Who.
    pub principal: Principal,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// A query was submitted.
    Submitted(Submission),
    /// The call had no answer: Athena refused it, or the record was made without one. There is no query to match it with.
    Refused,
    /// It is about something else.
    Foreign,
}

/// A record that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the CloudTrail record `{id}` cannot be read: {what}")]
pub struct Unreadable {
    /// CloudTrail's id of it, or a word where it has none.
    pub id: String,
    /// What is wrong.
    pub what: String,
}

/// Reads a record as it stands in `CloudTrailEvent` of `LookupEvents`: JSON as text. `id` names it where the text does not.
///
/// # Errors
/// [`Unreadable`].
pub fn read_text(id: &str, text: &str) -> Result<Reading, Unreadable> {
    let record = serde_json::from_str(text).map_err(|error| unreadable(id, &format!("it is no JSON: {error}")))?;
    read(&record).map_err(|unread| if unread.id == NAMELESS { unreadable(id, &unread.what) } else { unread })
}

/// Reads the record in an EventBridge event of the kind `AWS API Call via CloudTrail` from Athena; `None` for any other event.
pub fn read_event(event: &Value) -> Option<Result<Reading, Unreadable>> {
    let text = |name: &str| event.get(name).and_then(Value::as_str);
    let is_call = text("detail-type") == Some("AWS API Call via CloudTrail");
    if !is_call || text("source") != Some("aws.athena") {
        return None;
    }
    let id = text("id").unwrap_or(NAMELESS);
    Some(match event.get("detail") {
        // EventBridge Scheduler and some relays pass the detail on as text.
        Some(Value::String(detail)) => read_text(id, detail),
        Some(detail) => read(detail),
        None => Err(unreadable(id, "the event has no `detail`")),
    })
}

/// Reads a record.
///
/// # Errors
/// [`Unreadable`].
pub fn read(record: &Value) -> Result<Reading, Unreadable> {
    let id = record.get("eventID").and_then(Value::as_str).unwrap_or(NAMELESS);
    if !record.is_object() {
        return Err(unreadable(id, "it is no JSON object"));
    }
    let text = |name: &str| record.get(name).and_then(Value::as_str);
    // A record without its source is taken by the name of the call: no other service has one of this name.
    if text("eventName") != Some(START) || text("eventSource").is_some_and(|source| source != SOURCE) {
        return Ok(Reading::Foreign);
    }
    let answer = match record.get("responseElements") {
        None | Some(Value::Null) => return Ok(Reading::Refused),
        Some(answer) => answer,
    };
    let query = match answer.get("queryExecutionId") {
        Some(Value::String(query)) if !query.is_empty() => bounded(query),
        Some(other) => {
            return Err(unreadable(id, &format!("its `queryExecutionId` is `{}`", clip(&other.to_string()))));
        }
        None => return Err(unreadable(id, "its `responseElements` have no `queryExecutionId`")),
    };
    let asked = record.get("requestParameters").and_then(|asked| asked.get("workGroup")).and_then(Value::as_str);
    let workgroup = asked.filter(|name| !name.is_empty()).map_or_else(|| PRIMARY.to_owned(), bounded);
    let at = record.get("eventTime").and_then(instant::read);
    let principal = principal(record.get("userIdentity").unwrap_or(&Value::Null));
    Ok(Reading::Submitted(Submission { query, workgroup, at, principal }))
}

/// Who a `userIdentity` is. Never fails: what is not understood is [`Principal::Other`] with whatever is known of it.
fn principal(identity: &Value) -> Principal {
    let text = |path: &str| identity.pointer(path).and_then(Value::as_str).filter(|text| !text.is_empty());
    let arn = text("/arn");
    let by_arn = arn.and_then(Principal::of_arn);
    let kind = text("/type").unwrap_or("");
    let name = text("/userName");
    match kind {
        "IAMUser" => match name {
            Some(name) => Principal::User { name: bounded(name) },
            None => by_arn.unwrap_or_else(|| other(kind, text("/principalId"))),
        },
        "AssumedRole" => session(identity).or(by_arn).unwrap_or_else(|| other(kind, text("/principalId"))),
        "Root" => Principal::Root,
        "FederatedUser" => by_arn
            .filter(|principal| matches!(principal, Principal::Federated { .. }))
            .or_else(|| name.map(|name| Principal::Federated { name: bounded(name) }))
            .unwrap_or_else(|| other(kind, text("/principalId"))),
        "IdentityCenterUser" => match text("/onBehalfOf/userId").or(text("/principalId")) {
            Some(user_id) => Principal::IdentityCenter { user_id: bounded(user_id) },
            None => other(kind, name),
        },
        "AWSService" => match text("/invokedBy").or(name) {
            Some(name) => Principal::Service { name: bounded(name) },
            None => Principal::Service { name: "unknown".to_owned() },
        },
        "AWSAccount" => other(kind, text("/accountId").or(text("/principalId"))),
        // No type, as in old and in odd records: the ARN says the most, the service the next.
        "" => by_arn
            .or_else(|| text("/invokedBy").map(|name| Principal::Service { name: bounded(name) }))
            .unwrap_or_else(|| other("Unknown", name.or(text("/principalId")))),
        kind => by_arn.unwrap_or_else(|| other(kind, name.or(text("/principalId")))),
    }
}

/// A session of a role: its name stands in the ARN and, after a colon, in `principalId`; the role's in the session's issuer.
fn session(identity: &Value) -> Option<Principal> {
    let text = |path: &str| identity.pointer(path).and_then(Value::as_str).filter(|text| !text.is_empty());
    let in_arn =
        text("/arn").and_then(|arn| arn.split_once(":assumed-role/")).and_then(|(_, rest)| rest.split_once('/'));
    let issuer_arn = text("/sessionContext/sessionIssuer/arn");
    let issuer = text("/sessionContext/sessionIssuer/userName")
        .or_else(|| issuer_arn.filter(|arn| arn.contains(":role/"))?.rsplit('/').next());
    let role = issuer.or(in_arn.map(|(role, _)| role))?;
    let named = text("/principalId").and_then(|id| id.split_once(':')).map(|(_, session)| session);
    let session = in_arn.map(|(_, session)| session).or(named).unwrap_or("");
    Some(Principal::session(role, issuer_arn, session, text("/sessionContext/sourceIdentity")))
}

fn other(kind: &str, name: Option<&str>) -> Principal {
    Principal::Other { kind: bounded(kind), name: name.map(bounded) }
}

const NAMELESS: &str = "without an id";

fn unreadable(id: &str, what: &str) -> Unreadable {
    Unreadable { id: clip(id), what: clip(what) }
}

fn clip(text: &str) -> String {
    plain(text).chars().take(120).collect()
}
