//! The per-query cutoff of a workgroup: the only thing in the account's Athena that the watchdog ever changes, and only for a grant.

use aws_sdk_athena::Client;
use aws_sdk_athena::types::WorkGroupConfigurationUpdates;
use watchdog_core::bytes::Bytes;
use watchdog_core::grant::cutoff::Live;

use super::GET;
use crate::failure::AwsFailure;

const UPDATE: &str = "athena:UpdateWorkGroup";

/// The cutoff as it is now.
///
/// # Errors
/// [`AwsFailure`].
pub async fn cutoff(client: &Client, workgroup: &str) -> Result<Live, AwsFailure> {
    let answer = match client.get_work_group().work_group(workgroup).send().await {
        Ok(answer) => answer,
        Err(error) => {
            let failure = AwsFailure::of(GET, &error);
            // Athena has no code of its own for a workgroup that is not there.
            let is_gone = failure.code == "InvalidRequestException" && failure.message.contains("not found");
            return if is_gone { Ok(Live::NoWorkgroup) } else { Err(failure) };
        }
    };
    // An answer without a configuration says nothing, and "no cutoff" would be a guess that somebody later restores.
    let Some(configuration) = answer.work_group().and_then(|workgroup| workgroup.configuration()) else {
        return Err(AwsFailure::own(
            GET,
            "BadAnswer",
            format!("it says nothing of the configuration of `{workgroup}`"),
        ));
    };
    match configuration.bytes_scanned_cutoff_per_query() {
        None => Ok(Live::Is(None)),
        Some(bytes) => match u64::try_from(bytes) {
            Ok(bytes) => Ok(Live::Is(Some(Bytes::new(bytes)))),
            Err(_) => Err(AwsFailure::own(GET, "BadAnswer", format!("the cutoff of `{workgroup}` is {bytes}"))),
        },
    }
}

/// Sets the cutoff, or removes it. What was not named stays as it is.
///
/// # Errors
/// [`AwsFailure`].
pub async fn set_cutoff(client: &Client, workgroup: &str, cutoff: Option<Bytes>) -> Result<(), AwsFailure> {
    let updates = WorkGroupConfigurationUpdates::builder();
    let updates = match cutoff {
        Some(bytes) => {
            let bytes = i64::try_from(bytes.get())
                .map_err(|_| AwsFailure::own(UPDATE, "BadRequest", format!("{bytes:?} are more than Athena counts")))?;
            updates.bytes_scanned_cutoff_per_query(bytes)
        }
        None => updates.remove_bytes_scanned_cutoff_per_query(true),
    };
    let update = client.update_work_group().work_group(workgroup).configuration_updates(updates.build());
    update.send().await.map(drop).map_err(|error| AwsFailure::of(UPDATE, &error))
}
