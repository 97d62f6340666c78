//! Mail through SES, one message per person.

use std::time::Duration;

use aws_sdk_ses::Client;
use aws_sdk_ses::primitives::Blob;
use aws_sdk_ses::types::RawMessage;
use watchdog_core::policy::Address;

use crate::failure::AwsFailure;

pub(crate) const SEND: &str = "ses:SendRawEmail";

/// Tries of one mail where SES says that it comes too fast. In the sandbox that is one mail a second.
const TRIES: u32 = 4;
/// Pause before such a try. The rate is counted by the second.
const PAUSE: Duration = Duration::from_millis(1100);

/// Sends one message to one person and returns SES's id for it.
///
/// SES has no idempotency, so only what SES has surely refused is tried again here: a sending rate that is exceeded. Where an answer is
/// lost nobody knows whether the mail is on its way; it counts as not delivered, and the next run sends it once more. That is the one
/// repeat that the watchdog's "at least once" allows.
///
/// # Errors
/// [`AwsFailure`].
pub async fn send(client: &Client, from: &Address, to: &Address, mime: Vec<u8>) -> Result<String, AwsFailure> {
    let message = RawMessage::builder().data(Blob::new(mime)).build();
    let message = message.map_err(|error| AwsFailure::own(SEND, "BadRequest", error.to_string()))?;
    let mut tries = 1;
    loop {
        // The destination is given beside the message: what a header says never decides who gets it.
        let request = client.send_raw_email().source(from.as_str()).destinations(to.as_str());
        let failure = match request.raw_message(message.clone()).send().await {
            Ok(sent) => return Ok(sent.message_id),
            Err(error) => AwsFailure::of(SEND, &error),
        };
        // "Daily message quota exceeded" has the same code and does not pass within a run.
        if failure.code != "Throttling" || !failure.message.contains("rate") || tries == TRIES {
            return Err(failure);
        }
        tries += 1;
        tokio::time::sleep(PAUSE).await;
    }
}
