//! The one question that CloudFormation asks of the function: how many bytes the limits of the stack's policy are.
//!
//! The stack has alarms on the same limits that its policy states as quota and buffer, and CloudFormation cannot multiply. So a
//! custom resource hands the policy's text to the function, which reads it with the same code as a run does and gives back the bytes.
//! Policy and alarms thus cannot disagree, and a stack whose policy is no good is rolled back with the reason.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::policy::{Document, Policy};
use crate::untrusted::plain;

/// The resource's type in the template.
const RESOURCE_TYPE: &str = "Custom::PolicyLimits";

/// Characters of a reason. CloudFormation takes 4 KB for the whole answer.
const MOST_REASON: usize = 1_000;

/// A request of CloudFormation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Where the answer is to be put: a pre-signed `https` URL.
    pub response_url: String,
    kind: Kind,
    request_id: String,
    stack_id: String,
    logical_id: String,
    /// The name under which CloudFormation knows the resource; none before it was created.
    physical_id: Option<String>,
    resource_type: String,
    policy: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    CreateOrUpdate,
    Delete,
}

/// What CloudFormation is answered, as it wants it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Answer {
    status: &'static str,
    reason: String,
    physical_resource_id: String,
    stack_id: String,
    request_id: String,
    logical_resource_id: String,
    /// Bytes by attribute: the workgroup's name and the window's, letters and digits only, such as `longquery24h`.
    data: BTreeMap<String, String>,
}

impl Request {
    /// Reads an event; `None` where it is not one of CloudFormation's.
    pub fn parse(event: &Value) -> Option<Self> {
        let text = |name: &str| event.get(name).and_then(Value::as_str).map(str::to_owned);
        let kind = match event.get("RequestType").and_then(Value::as_str)? {
            "Delete" => Kind::Delete,
            _ => Kind::CreateOrUpdate,
        };
        Some(Self {
            response_url: text("ResponseURL")?,
            kind,
            request_id: text("RequestId")?,
            stack_id: text("StackId")?,
            logical_id: text("LogicalResourceId")?,
            physical_id: text("PhysicalResourceId"),
            resource_type: text("ResourceType").unwrap_or_default(),
            policy: event.pointer("/ResourceProperties/Policy").and_then(Value::as_str).map(str::to_owned),
        })
    }

    /// The answer. Whatever is wrong is a failure with its reason: a request that is not answered keeps a stack waiting.
    pub fn answer(&self) -> Answer {
        let (status, reason, data) = match self.limits() {
            Ok(data) => ("SUCCESS", String::new(), data),
            Err(reason) => ("FAILED", reason.chars().take(MOST_REASON).collect(), BTreeMap::new()),
        };
        Answer {
            status,
            reason,
            // The same for ever: a changed one would count as another resource, and the old one would be deleted.
            physical_resource_id: self.physical_id.clone().unwrap_or_else(|| self.logical_id.clone()),
            stack_id: self.stack_id.clone(),
            request_id: self.request_id.clone(),
            logical_resource_id: self.logical_id.clone(),
            data,
        }
    }

    fn limits(&self) -> Result<BTreeMap<String, String>, String> {
        // There is nothing to take away, and a stack must always be deletable.
        if self.kind == Kind::Delete {
            return Ok(BTreeMap::new());
        }
        if self.resource_type != RESOURCE_TYPE {
            return Err(format!(
                "`{}` is not a resource of the watchdog: `{RESOURCE_TYPE}` is",
                plain(&self.resource_type)
            ));
        }
        let Some(text) = &self.policy else {
            return Err(format!("`{RESOURCE_TYPE}` needs the property `Policy`: the text of a policy document"));
        };
        let document = Document { name: "Policy".to_owned(), text: text.clone() };
        let policy = Policy::parse(&[document]).map_err(|problems| format!("the policy has problems:\n{problems}"))?;
        let limits = policy.rules().iter().flat_map(|rule| rule.limits.iter().map(move |limit| (rule, limit)));
        let limits = limits.map(|(rule, limit)| {
            let name = format!("{}{}", rule.pattern.as_str(), limit.window.id());
            (name.chars().filter(char::is_ascii_alphanumeric).collect(), limit.bytes.get().to_string())
        });
        Ok(limits.collect())
    }
}

impl Answer {
    /// As JSON text.
    pub fn json(&self) -> String {
        // Plain texts only: nothing in it that JSON could refuse.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Why the answer is a failure, where it is one.
    pub fn failure(&self) -> Option<&str> {
        (self.status == "FAILED").then_some(self.reason.as_str())
    }
}
