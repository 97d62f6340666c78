//! Whose credentials these are.

use aws_sdk_sts::Client;

use crate::failure::AwsFailure;

const IDENTITY: &str = "sts:GetCallerIdentity";

/// The account's partition and number. AWS lets everybody ask this.
///
/// # Errors
/// [`AwsFailure`].
pub async fn account(client: &Client) -> Result<(String, String), AwsFailure> {
    let answer = client.get_caller_identity().send().await.map_err(|error| AwsFailure::of(IDENTITY, &error))?;
    let partition = answer.arn().and_then(|arn| arn.split(':').nth(1)).unwrap_or("aws").to_owned();
    let account = answer.account().unwrap_or_default().to_owned();
    Ok((partition, account))
}
