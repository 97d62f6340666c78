//! How the state table is made.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::TimeToLiveStatus;
use watchdog_core::checkup::{TableState, TimeToLive};

use super::found;
use crate::failure::AwsFailure;

const DESCRIBE: &str = "dynamodb:DescribeTable";
const TIME_TO_LIVE: &str = "dynamodb:DescribeTimeToLive";

/// The table; `None` where it does not exist.
///
/// # Errors
/// [`AwsFailure`].
pub async fn table(client: &Client, name: &str) -> Result<Option<TableState>, AwsFailure> {
    let answer = client.describe_table().table_name(name).send().await;
    let answer = found(answer.map_err(|error| AwsFailure::of(DESCRIBE, &error)))?;
    Ok(answer.and_then(|answer| answer.table).map(|table| TableState {
        name: name.to_owned(),
        status: table.table_status().map_or("", |status| status.as_str()).to_owned(),
        keys: table.key_schema().iter().map(|k| (k.attribute_name.clone(), k.key_type.as_str().to_owned())).collect(),
    }))
}

/// Whether and by which attribute its items expire.
///
/// # Errors
/// [`AwsFailure`].
pub async fn time_to_live(client: &Client, name: &str) -> Result<TimeToLive, AwsFailure> {
    let answer = client.describe_time_to_live().table_name(name).send().await;
    let answer = answer.map_err(|error| AwsFailure::of(TIME_TO_LIVE, &error))?;
    let said = answer.time_to_live_description();
    let status = said.and_then(|said| said.time_to_live_status());
    Ok(TimeToLive {
        enabled: matches!(status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)),
        attribute: said.and_then(|said| said.attribute_name()).map(str::to_owned),
    })
}
