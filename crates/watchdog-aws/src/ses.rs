//! Mail through SES, one message per person.

use aws_sdk_ses::Client;
use aws_sdk_ses::primitives::Blob;
use aws_sdk_ses::types::RawMessage;
use watchdog_core::policy::Address;

use crate::failure::AwsFailure;

const SEND: &str = "ses:SendRawEmail";

/// Sends one message to one person and returns SES's id for it.
///
/// SES has no idempotency: where the answer is lost, the SDK's retry may send twice. That is the one repeat that the
/// watchdog's "at least once" allows.
///
/// # Errors
/// [`AwsFailure`].
pub async fn send(client: &Client, from: &Address, to: &Address, mime: Vec<u8>) -> Result<String, AwsFailure> {
    let message = RawMessage::builder().data(Blob::new(mime)).build();
    let message = message.map_err(|error| AwsFailure::own(SEND, "BadRequest", error.to_string()))?;
    // The destination is given beside the message: what a header says never decides who gets it.
    let sent =
        client.send_raw_email().source(from.as_str()).destinations(to.as_str()).raw_message(message).send().await;
    Ok(sent.map_err(|error| AwsFailure::of(SEND, &error))?.message_id)
}
