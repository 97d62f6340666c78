//! The account's workgroups and their settings. Query executions and capacity reservations have their own files,
//! [`executions`] and [`reservations`].

pub mod cutoff;
pub mod executions;
pub mod reservations;

use std::collections::BTreeMap;

use aws_sdk_athena::Client;
use aws_sdk_athena::types::WorkGroupState;
use jiff::Timestamp;
use watchdog_core::bytes::Bytes;
use watchdog_core::catalogue::{Reading, Settings};

use crate::failure::AwsFailure;

const LIST: &str = "athena:ListWorkGroups";
/// Reading one workgroup, as IAM writes it.
pub const GET: &str = "athena:GetWorkGroup";

/// Pages of 50: 2,000 workgroups, twice what a Region allows.
pub(crate) const MOST_PAGES: usize = 40;

/// The list of workgroups, as far as it has been read: names, and whether each is enabled.
pub type Names = Reading<BTreeMap<String, bool>>;

/// The name of every workgroup, and whether it is enabled.
///
/// # Errors
/// [`AwsFailure`], also where the list does not end.
pub async fn workgroups(client: &Client) -> Result<BTreeMap<String, bool>, AwsFailure> {
    Ok(read_on(client, Reading::default(), MOST_PAGES).await?.so_far)
}

/// Reads on in the list of workgroups, up to `most` more pages.
///
/// # Errors
/// [`AwsFailure`], also where the list does not end.
pub async fn read_on(client: &Client, mut reading: Names, most: usize) -> Result<Names, AwsFailure> {
    for _ in 0..most {
        let page = client.list_work_groups().max_results(50).set_next_token(reading.next.take()).send().await;
        let page = page.map_err(|error| AwsFailure::of(LIST, &error))?;
        for summary in page.work_groups() {
            if let Some(name) = summary.name() {
                reading.so_far.insert(name.to_owned(), summary.state() != Some(&WorkGroupState::Disabled));
            }
        }
        reading.pages += 1;
        reading.next = page.next_token;
        match reading.next {
            None => return Ok(reading),
            Some(_) if reading.pages >= MOST_PAGES => {
                return Err(AwsFailure::own(LIST, "EndlessList", format!("the list goes on after {MOST_PAGES} pages")));
            }
            Some(_) => {}
        }
    }
    Ok(reading)
}

/// What matters here of one workgroup's configuration.
///
/// # Errors
/// [`AwsFailure`].
pub async fn settings(client: &Client, workgroup: &str, now: Timestamp) -> Result<Settings, AwsFailure> {
    let answer = client.get_work_group().work_group(workgroup).send().await;
    let answer = answer.map_err(|error| AwsFailure::of(GET, &error))?;
    let configuration = answer.work_group().and_then(|w| w.configuration());
    let cutoff = configuration.and_then(|c| c.bytes_scanned_cutoff_per_query());
    Ok(Settings {
        // Absent means off: so it is for `primary` and for workgroups that were made without saying.
        publishes_metrics: configuration.and_then(|c| c.publish_cloud_watch_metrics_enabled()).unwrap_or(false),
        per_query_cutoff: cutoff.and_then(|bytes| u64::try_from(bytes).ok()).map(Bytes::new),
        read: now,
    })
}
