//! CloudTrail's history, where it does not end.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_cloudtrail::Client;
use aws_sdk_cloudtrail::operation::lookup_events::LookupEventsOutput;
use aws_sdk_cloudtrail::types::Event;
use aws_smithy_mocks::{RuleMode, mock, mock_client};
use serde_json::json;
use tokio::time::Instant;
use watchdog_aws::cloudtrail::{Cut, submissions};
use watchdog_aws::pace::Paces;

use crate::at;

/// However many records there are and however large they are: forty pages are read, and of them is kept who was asked for, and a few words.
#[tokio::test(start_paused = true)]
async fn a_history_without_end_is_read_to_its_bound_and_little_of_it_is_kept() {
    let large = "x".repeat(20_000);
    let lookup = mock!(Client::lookup_events).then_compute_output(move |input| {
        let page: usize = input.next_token().map_or(0, |token| token.parse().unwrap());
        let event = |n: usize| {
            let record = json!({
                "eventName": "StartQueryExecution", "userIdentity": { "type": "IAMUser", "userName": large },
                "requestParameters": { "queryString": large },
                // Every other one has no query.
                "responseElements": if n.is_multiple_of(2) { json!({ "queryExecutionId": format!("q-{page}-{n}") }) } else { json!({}) },
            });
            Event::builder().event_id(&large).cloud_trail_event(record.to_string()).build()
        };
        let events = (0..50).map(event).collect();
        LookupEventsOutput::builder().set_events(Some(events)).next_token((page + 1).to_string()).build()
    });
    let client = mock_client!(aws_sdk_cloudtrail, RuleMode::MatchAny, [&lookup]);
    let wanted = ["q-0-0", "q-39-48", "q-40-0"].map(str::to_owned);
    let until = Instant::now() + Duration::from_secs(3600);
    let since = at("2026-03-01T13:00:00Z");
    let looked = submissions(&client, &Paces::default(), &BTreeSet::from(wanted), since, until).await;
    assert_eq!((looked.pages, looked.cut), (40, Some(Cut::TooMany)));
    assert_eq!(looked.principals.keys().collect::<Vec<_>>(), ["q-0-0", "q-39-48"]);
    assert_eq!(looked.unreadable.len(), 6, "five by name, and how many there are");
    assert_eq!(looked.unreadable[5], "1000 CloudTrail records in all could not be read");
    let kept = looked.unreadable.iter().map(String::len).sum::<usize>() + format!("{:?}", looked.principals).len();
    assert!(kept < 4_000, "{kept} bytes of 40 MB");
}
