//! What went wrong with a call to AWS, in one form for all services.
//!
//! `SdkError` prints as "service error" and its debug form holds the raw reply: it is turned into an [`AwsFailure`] where the
//! call is made, and goes no further.

use std::fmt;

use aws_sdk_ssm::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ssm::operation::RequestId;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use watchdog_core::usage::Unknown;

/// A call that did not succeed, after the SDK's own retries.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct AwsFailure {
    /// Service and operation as IAM writes them: `cloudwatch:GetMetricData`.
    pub operation: &'static str,
    /// AWS's error code; `Timeout`, `Unreachable` or `BadAnswer` where no answer could be read.
    pub code: String,
    /// AWS's message, on one line and bounded. May be empty.
    pub message: String,
    /// AWS's id of the request, where it answered.
    pub request_id: Option<String>,
    /// Whether the same call may succeed later without anybody changing anything.
    pub retryable: bool,
}

/// Codes that pass by themselves, beside every 5xx.
const PASSING: [&str; 8] = [
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "ProvisionedThroughputExceededException",
    "LimitExceededException",
    "ServiceUnavailable",
    "InternalServerError",
];

/// Codes that mean "not allowed".
const DENIED: [&str; 5] =
    ["AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation", "NotAuthorized"];

impl AwsFailure {
    /// Reads an SDK error.
    pub fn of<E: ProvideErrorMetadata>(operation: &'static str, error: &SdkError<E, HttpResponse>) -> Self {
        let request_id = error.request_id().map(str::to_owned);
        let (code, message, retryable) = match error {
            SdkError::ServiceError(service) => {
                let code = service.err().code().unwrap_or("BadAnswer").to_owned();
                let status = service.raw().status().as_u16();
                let retryable = status >= 500 || PASSING.contains(&code.as_str());
                (code, service.err().message().unwrap_or_default().to_owned(), retryable)
            }
            SdkError::TimeoutError(_) => ("Timeout".to_owned(), "no answer in time".to_owned(), true),
            SdkError::DispatchFailure(failure) if failure.is_timeout() => {
                ("Timeout".to_owned(), "no connection in time".to_owned(), true)
            }
            SdkError::DispatchFailure(failure) => {
                let what = failure.as_connector_error().map(|error| chain(error)).unwrap_or_default();
                // The SDK has no kind of its own for this; its text goes on about the metadata service of EC2.
                if what.contains("credentials") {
                    let remedy = "no AWS credentials were found; set `AWS_PROFILE`, or sign in with `aws sso login`";
                    ("NoCredentials".to_owned(), remedy.to_owned(), false)
                } else {
                    ("Unreachable".to_owned(), what, true)
                }
            }
            SdkError::ResponseError(_) => ("BadAnswer".to_owned(), "the answer could not be read".to_owned(), true),
            SdkError::ConstructionFailure(_) => {
                ("BadRequest".to_owned(), "the request could not be built".to_owned(), false)
            }
            _ => ("Unknown".to_owned(), String::new(), true),
        };
        // What follows quotes the request as it was signed, with its session token.
        let message = message.split("The Canonical String").next().unwrap_or_default();
        // A code is a word. What is none has come out of an answer that is somebody else's.
        let code = if is_a_word(&code) { code } else { "BadAnswer".to_owned() };
        let request_id = request_id.filter(|id| is_a_word(id));
        Self { operation, code, message: one_line(message), request_id, retryable }
    }

    /// A failure that this program found, not AWS.
    pub fn own(operation: &'static str, code: &str, message: String) -> Self {
        Self { operation, code: code.to_owned(), message: one_line(&message), request_id: None, retryable: false }
    }

    /// Whether AWS said that we may not.
    pub fn is_denied(&self) -> bool {
        DENIED.contains(&self.code.as_str())
    }

    /// Whether AWS was not reached at all, so that asking it something else is of no use.
    pub fn is_out_of_reach(&self) -> bool {
        ["Unreachable", "Timeout", "NoCredentials"].contains(&self.code.as_str())
    }

    /// What it means for something that was to be read.
    pub fn unknown(&self) -> Unknown {
        let operation = self.operation.to_owned();
        if self.is_denied() {
            Unknown::Denied { operation }
        } else {
            Unknown::Failed { operation, code: self.code.clone() }
        }
    }
}

impl fmt::Display for AwsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` failed with `{}`", self.operation, self.code)?;
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        if let Some(id) = &self.request_id {
            write!(f, " (request {id})")?;
        }
        Ok(())
    }
}

/// An error and what caused it, as one text.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// Whether it may be one of AWS's codes or ids; `InvalidClientTokenId`, `com.amazonaws.dynamodb.v20120810#ThrottlingException`.
fn is_a_word(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_.:#=/+".contains(&b);
    !text.is_empty() && text.len() <= 100 && text.bytes().all(fits)
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}
