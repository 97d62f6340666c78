//! Who asks: shows a caller's proof to AWS STS, and takes STS's word.
//!
//! The request is the caller's, signed with their credentials; the function's own have no part in it. See [`watchdog_core::proof`] for why
//! this proves anything.

use std::fmt::Write as _;
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use watchdog_core::grant::Asker;
use watchdog_core::principal::Principal;
use watchdog_core::proof::{HEADER, Proof, identity};
use watchdog_core::request::Refused;

use crate::failure::AwsFailure;

const OPERATION: &str = "GetCallerIdentity of AWS STS";
/// Time for one try. STS answers in milliseconds.
const ATTEMPT: Duration = Duration::from_secs(5);
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(300);
/// An answer of STS has some five hundred bytes.
const LARGEST_ANSWER: usize = 16 * 1024;

/// Why nobody is known to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unproven {
    /// The proof is none.
    Refused(Refused),
    /// STS could not be asked.
    Failed(AwsFailure),
}

/// The SHA-256 of a request's text, as the header [`HEADER`] has it.
pub fn digest(text: &str) -> String {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(text.as_bytes()) {
        // Writing into a text cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// The endpoint of STS that proofs are shown to: that of the Region, or what stands for all of AWS where that is set.
pub fn sts_endpoint(region: &str, endpoint: Option<&str>) -> String {
    match endpoint {
        Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
        None if region.starts_with("cn-") => format!("https://sts.{region}.amazonaws.com.cn"),
        None => format!("https://sts.{region}.amazonaws.com"),
    }
}

/// Who signed `url` for the request with this `text`, in the account with this number.
///
/// # Errors
/// [`Unproven`].
pub async fn caller(url: &str, text: &str, endpoint: &str, account: &str, now: Timestamp) -> Result<Asker, Unproven> {
    let refused = |message: String| Unproven::Refused(Refused(message));
    let proof = Proof::parse(url, endpoint, now).map_err(|error| refused(error.to_string()))?;
    let (status, answer) = ask(&format!("{endpoint}{}", proof.path_and_query), text).await.map_err(Unproven::Failed)?;
    if status != 200 {
        let why = "AWS STS does not take the proof of who asks: it was signed for another request, with credentials that are not \
                   valid (any more), or for another Region";
        return Err(refused(format!("{why} (status {status})")));
    }
    let Some((theirs, arn)) = identity(&answer) else {
        let failure = AwsFailure::own(OPERATION, "BadAnswer", "the answer could not be read".to_owned());
        return Err(Unproven::Failed(failure));
    };
    // A role of the same name in somebody else's account is somebody else.
    if theirs != account {
        return Err(refused(format!("`{arn}` is not of the account {account}, where this watchdog runs")));
    }
    let Some(principal) = Principal::of_arn(&arn) else {
        return Err(refused(format!("`{arn}` is neither a user nor a role's session")));
    };
    Ok(Asker { principal, arn })
}

async fn ask(url: &str, text: &str) -> Result<(u16, String), AwsFailure> {
    // Reading the trusted roots takes longer than a whole call; what stands for AWS on this machine has no use for them.
    let connector = match url.starts_with("https:") {
        true => Connector::builder().tls_provider(Provider::Rustls(CryptoMode::Ring)).build(),
        false => Connector::builder().build_http(),
    };
    let hash = digest(text);
    let mut tries = 1;
    loop {
        let failure = match tokio::time::timeout(ATTEMPT, once(&connector, url, &hash)).await {
            // What STS refuses it refuses again.
            Ok(Ok((status, answer))) if status < 500 => return Ok((status, answer)),
            Ok(Ok((status, _))) => format!("it answered with status {status}"),
            Ok(Err(why)) => why,
            Err(_) => "no answer in time".to_owned(),
        };
        if tries == TRIES {
            return Err(AwsFailure { retryable: true, ..AwsFailure::own(OPERATION, "Unreachable", failure) });
        }
        tries += 1;
        tokio::time::sleep(PAUSE).await;
    }
}

async fn once(connector: &Connector, url: &str, hash: &str) -> Result<(u16, String), String> {
    let mut request = HttpRequest::new(SdkBody::empty());
    request.set_method("GET").map_err(|error| error.to_string())?;
    request.set_uri(url).map_err(|error| error.to_string())?;
    request.headers_mut().insert(HEADER, hash.to_owned());
    let answer = connector.call(request).await.map_err(|error| error.to_string())?;
    let status = answer.status().as_u16();
    let body = collected(answer.into_body()).await?;
    Ok((status, body))
}

async fn collected(body: SdkBody) -> Result<String, String> {
    let bytes =
        aws_smithy_types::byte_stream::ByteStream::new(body).collect().await.map_err(|error| error.to_string())?;
    let bytes = bytes.into_bytes();
    if bytes.len() > LARGEST_ANSWER {
        return Err("the answer is larger than any of STS".to_owned());
    }
    String::from_utf8(bytes.to_vec()).map_err(|error| error.to_string())
}
