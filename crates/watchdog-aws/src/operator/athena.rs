//! All that a checkup wants to know of a workgroup. The calls are those of a run.

use aws_sdk_athena::Client;
use futures_util::{StreamExt, stream};
use watchdog_core::bytes::Bytes;
use watchdog_core::checkup::{Read, Workgroup};

use super::blind;
use crate::athena::GET;
use crate::failure::AwsFailure;

/// Calls under way at once, as in a run.
const AT_ONCE: usize = 5;

/// The settings of each workgroup, or why they are not known.
pub async fn workgroups(client: &Client, names: Vec<(String, bool)>) -> Vec<(String, Read<Workgroup>)> {
    let calls = names.into_iter().map(|(name, enabled)| async move {
        let read = workgroup(client, &name, enabled).await;
        (name, read.map_err(|failure| blind(&failure)))
    });
    stream::iter(calls).buffer_unordered(AT_ONCE).collect().await
}

async fn workgroup(client: &Client, name: &str, enabled: bool) -> Result<Workgroup, AwsFailure> {
    let answer = client.get_work_group().work_group(name).send().await;
    let answer = answer.map_err(|error| AwsFailure::of(GET, &error))?;
    let configuration = answer.work_group().and_then(|w| w.configuration());
    let cutoff = configuration.and_then(|c| c.bytes_scanned_cutoff_per_query());
    let output = configuration.and_then(|c| c.result_configuration()).and_then(|r| r.output_location());
    Ok(Workgroup {
        enabled,
        // Absent means off, for both.
        publishes_metrics: configuration.and_then(|c| c.publish_cloud_watch_metrics_enabled()).unwrap_or(false),
        enforces: configuration.and_then(|c| c.enforce_work_group_configuration()).unwrap_or(false),
        per_query_cutoff: cutoff.and_then(|bytes| u64::try_from(bytes).ok()).map(Bytes::new),
        output: output.map(str::to_owned),
    })
}
