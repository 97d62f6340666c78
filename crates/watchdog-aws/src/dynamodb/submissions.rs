//! Who submitted which query, as the opt-in feed writes it down: one item per query, which ends by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_sdk_dynamodb::types::KeysAndAttributes;
use jiff::{SignedDuration, Timestamp};
use watchdog_core::ledger;
use watchdog_core::principal::Principal;
use watchdog_core::submitter::Submission;

use super::{Item, Table, get_text, key, number, text};
use crate::failure::AwsFailure;

const GET: &str = "dynamodb:BatchGetItem";

/// Items in one request: DynamoDB's bound.
const MOST_KEYS: usize = 100;
/// How often keys are asked for again that DynamoDB did not get to.
const TRIES: u32 = 3;
/// Pause before the second of them, and twice that before the third.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a record is kept: as long as the longest window, seven days, and a day more.
const KEEP: SignedDuration = SignedDuration::from_hours(8 * 24);

/// What comes before the query's id. An item has a partition of its own: a busy account writes more than one partition takes.
const PREFIX: &str = "submitter#";
const SK: &str = "principal";

impl Table {
    /// Remembers who submitted a query. The same record twice is written twice, and is the same.
    ///
    /// # Errors
    /// [`AwsFailure`].
    pub async fn write_submission(&self, submission: &Submission, now: Timestamp) -> Result<(), AwsFailure> {
        let mut item = key(&format!("{PREFIX}{}", submission.query), SK);
        item.insert("body".into(), text(ledger::encode_principal(&submission.principal)));
        // For the person who looks into the table.
        item.insert("workgroup".into(), text(submission.workgroup.clone()));
        item.insert("expires_at".into(), number((now + KEEP).as_second()));
        self.put(item).await
    }

    /// Adds to `found` who submitted these queries, as far as it was written down. An item that cannot be read is none: CloudTrail is asked
    /// instead.
    ///
    /// # Errors
    /// [`AwsFailure`]; what was read before is in `found`.
    pub async fn submissions(
        &self,
        ids: &BTreeSet<String>,
        found: &mut BTreeMap<String, Principal>,
    ) -> Result<(), AwsFailure> {
        let ids: Vec<&String> = ids.iter().collect();
        for chunk in ids.chunks(MOST_KEYS) {
            let mut left: Vec<Item> = chunk.iter().map(|id| key(&format!("{PREFIX}{id}"), SK)).collect();
            for turn in 0..TRIES {
                if left.is_empty() {
                    break;
                }
                // What is left over was throttled: asked again at once it would be so again.
                tokio::time::sleep(PAUSE * turn).await;
                let keys = KeysAndAttributes::builder().set_keys(Some(left)).build();
                let keys = keys.map_err(|error| AwsFailure::own(GET, "BadRequest", error.to_string()))?;
                let answer = self.client.batch_get_item().request_items(&self.name, keys).send().await;
                let answer = answer.map_err(|error| AwsFailure::of(GET, &error))?;
                for item in answer.responses.unwrap_or_default().into_values().flatten() {
                    let id = get_text(&item, "pk").and_then(|pk| pk.strip_prefix(PREFIX));
                    let principal = get_text(&item, "body").and_then(|body| ledger::decode_principal(body).ok());
                    found.extend(id.map(str::to_owned).zip(principal));
                }
                let unprocessed = answer.unprocessed_keys.unwrap_or_default();
                left = unprocessed.into_values().flat_map(|keys| keys.keys).collect();
            }
        }
        Ok(())
    }
}
