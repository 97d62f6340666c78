//! Asks the deployed function: signs the proof of who asks, and invokes it.

use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::primitives::Blob;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4;
use jiff::Timestamp;
use serde_json::{Value, json};
use watchdog_core::proof::{HEADER, LONGEST};
use watchdog_core::report::Answer;

use crate::failure::AwsFailure;
use crate::identity::{digest, sts_endpoint};

const INVOKE: &str = "lambda:InvokeFunction";
const SIGN: &str = "signing GetCallerIdentity";

/// The event with a request, and the proof of whose credentials `config` has.
///
/// # Errors
/// [`AwsFailure`] where there are no credentials.
pub async fn signed(config: &SdkConfig, text: &str, now: Timestamp) -> Result<Value, AwsFailure> {
    let failed = |code: &str, message: String| AwsFailure::own(SIGN, code, message);
    let missing = "no AWS credentials were found; set `AWS_PROFILE`, or sign in with `aws sso login`";
    let provider = config.credentials_provider().ok_or_else(|| failed("NoCredentials", missing.to_owned()))?;
    let credentials = provider.provide_credentials().await;
    let credentials = credentials.map_err(|_| failed("NoCredentials", missing.to_owned()))?;
    let region = config.region().map_or_else(String::new, ToString::to_string);
    let url = format!("{}/?Action=GetCallerIdentity&Version=2011-06-15", sts_endpoint(&region, config.endpoint_url()));
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(Duration::from_secs(LONGEST.as_secs().unsigned_abs()));
    let identity = credentials.into();
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(now.as_second().unsigned_abs());
    let params =
        v4::SigningParams::builder().identity(&identity).region(&region).name("sts").time(at).settings(settings);
    let params = params.build().map_err(|error| failed("BadRequest", error.to_string()))?;
    let hash = digest(text);
    let headers = [(HEADER, hash.as_str())];
    let request = SignableRequest::new("GET", url.as_str(), headers.into_iter(), SignableBody::Bytes(&[]));
    let request = request.map_err(|error| failed("BadRequest", error.to_string()))?;
    let signed = sign(request, &params.into()).map_err(|error| failed("BadRequest", error.to_string()))?;
    let mut request =
        http::Request::builder().uri(url).body(()).map_err(|error| failed("BadRequest", error.to_string()))?;
    signed.into_parts().0.apply_to_request_http1x(&mut request);
    Ok(json!({ "request": text, "proof": request.uri().to_string() }))
}

/// Invokes the function with an event of requests, and reads its answer.
///
/// # Errors
/// [`AwsFailure`], also where the function itself failed.
pub async fn invoke(client: &Client, function: &str, event: &Value) -> Result<Answer, AwsFailure> {
    let call = client.invoke().function_name(function).payload(Blob::new(event.to_string())).send().await;
    let answer = call.map_err(|error| AwsFailure::of(INVOKE, &error))?;
    let payload = answer.payload().map(|payload| payload.as_ref()).unwrap_or_default();
    if answer.function_error().is_some() {
        let value: Value = serde_json::from_slice(payload).unwrap_or_default();
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let code = text("errorType").unwrap_or_else(|| "FunctionFailed".to_owned());
        return Err(AwsFailure::own(INVOKE, &code, text("errorMessage").unwrap_or_default()));
    }
    serde_json::from_slice(payload).map_err(|error| AwsFailure::own(INVOKE, "BadAnswer", error.to_string()))
}
