//! Who submitted which query, from CloudTrail's history of events. It needs no trail and costs nothing; it is slow.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_cloudtrail::Client;
use aws_sdk_cloudtrail::primitives::DateTime;
use aws_sdk_cloudtrail::types::{LookupAttribute, LookupAttributeKey};
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, timeout_at};
use watchdog_core::principal::Principal;
use watchdog_core::submitter::{Reading, START, read_text};

use crate::failure::AwsFailure;
use crate::pace::Paces;

const LOOKUP: &str = "cloudtrail:LookupEvents";

/// Pages of 50: 2,000 submissions, in 22 seconds at the two calls a second that AWS allows an account.
const MOST_PAGES: usize = 40;
/// How far CloudTrail's clock may be behind Athena's for one and the same call.
const SLACK: SignedDuration = SignedDuration::from_mins(2);
/// Records that cannot be read and are named; the rest are counted.
const MOST_NAMED: usize = 5;

/// What was found in the history.
#[derive(Debug, Default)]
pub struct Looked {
    /// Who submitted which of the wanted queries.
    pub principals: BTreeMap<String, Principal>,
    /// Why it was not read as far back as was asked for, where it was not.
    pub cut: Option<Cut>,
    /// Records that could not be read, in words: the first few by name, and how many in all.
    pub unreadable: Vec<String>,
    /// Pages that were read.
    pub pages: usize,
}

/// Why the history was not read in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cut {
    /// There is more than is read in one run.
    TooMany,
    /// The time for it was up.
    TooLate,
    /// AWS failed on the way. What was read before is there.
    Failed(AwsFailure),
}

/// Looks for who submitted the `wanted` queries, at `since` or later, the newest first: until all are found, the history ends, or it is
/// `until`.
///
/// By the call's name and not by anything narrower: `LookupEvents` takes one attribute, and knows none for a query's id.
pub async fn submissions(
    client: &Client,
    paces: &Paces,
    wanted: &BTreeSet<String>,
    since: Timestamp,
    until: Instant,
) -> Looked {
    let mut looked = Looked::default();
    let mut unreadable = 0;
    let mut token = None;
    looked.cut = loop {
        if looked.principals.len() == wanted.len() {
            break None;
        }
        if looked.pages == MOST_PAGES {
            break Some(Cut::TooMany);
        }
        let attribute =
            LookupAttribute::builder().attribute_key(LookupAttributeKey::EventName).attribute_value(START).build();
        let attribute = match attribute {
            Ok(attribute) => attribute,
            Err(error) => break Some(Cut::Failed(AwsFailure::own(LOOKUP, "BadRequest", error.to_string()))),
        };
        let lookup = client.lookup_events().lookup_attributes(attribute).max_results(50);
        let lookup = lookup.start_time(DateTime::from_secs((since - SLACK).as_second()));
        let page = async {
            paces.lookup_events.take().await;
            lookup.set_next_token(token).send().await
        };
        let page = match timeout_at(until, page).await {
            Ok(Ok(page)) => page,
            Ok(Err(error)) => break Some(Cut::Failed(AwsFailure::of(LOOKUP, &error))),
            Err(_) => break Some(Cut::TooLate),
        };
        looked.pages += 1;
        for event in page.events() {
            let id = event.event_id().unwrap_or("without an id");
            match read_text(id, event.cloud_trail_event().unwrap_or_default()) {
                Ok(Reading::Submitted(submission)) if wanted.contains(&submission.query) => {
                    looked.principals.insert(submission.query, submission.principal);
                }
                Ok(_) => {}
                Err(error) => {
                    unreadable += 1;
                    if unreadable <= MOST_NAMED {
                        looked.unreadable.push(error.to_string());
                    }
                }
            }
        }
        token = page.next_token;
        if token.is_none() {
            break None;
        }
    };
    if unreadable > MOST_NAMED {
        looked.unreadable.push(format!("{unreadable} CloudTrail records in all could not be read"));
    }
    looked
}
