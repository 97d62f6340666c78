//! AWS's clock from the answers' `Date`.

use aws_sdk_sns::Client;
use aws_smithy_mocks::{RuleMode, mock, mock_client};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use jiff::{SignedDuration, Timestamp};
use watchdog_aws::operator::clock::Clock;
use watchdog_aws::operator::sns::subscriptions;

use crate::at;

#[test]
fn the_quickest_answer_counts_and_half_of_its_way_is_taken_off() {
    let clock = Clock::default();
    assert_eq!(clock.off(), None);
    let sent = at("2026-03-01T14:05:00Z");
    let after = |millis: i64| sent + SignedDuration::from_millis(millis);
    clock.note("not a date", sent, after(10));
    assert_eq!(clock.off(), None);
    // Two seconds on the way, so one there; AWS writes whole seconds, half a second too few on average.
    clock.note("Sun, 01 Mar 2026 14:07:00 GMT", sent, after(2000));
    assert_eq!(clock.off(), Some(SignedDuration::from_millis(119_500)));
    clock.note("Sun, 01 Mar 2026 14:06:00 GMT", sent, after(3000));
    assert_eq!(clock.off(), Some(SignedDuration::from_millis(119_500)), "a slower answer says less");
    clock.note("Sun, 01 Mar 2026 14:04:00 GMT", sent, after(200));
    assert_eq!(clock.off(), Some(SignedDuration::from_millis(-59_600)));
}

/// An answer that is an error says the time as well.
#[tokio::test]
async fn the_real_client_notes_the_date_of_every_answer() {
    let rule = mock!(Client::list_subscriptions_by_topic).then_http_response(|| {
        let mut response = HttpResponse::new(StatusCode::try_from(403).unwrap(), SdkBody::from("<ErrorResponse/>"));
        response.headers_mut().insert("date", "Sun, 01 Mar 2020 14:05:00 GMT");
        response
    });
    let clock = Clock::default();
    let noted = clock.clone();
    let client =
        mock_client!(aws_sdk_sns, RuleMode::MatchAny, [&rule], move |config| config.interceptor(clock.clone()));
    subscriptions(&client, "arn:t").await.unwrap_err();
    let expected = at("2020-03-01T14:05:00Z").duration_since(Timestamp::now());
    let difference = noted.off().unwrap() - expected;
    assert!(difference.abs() < SignedDuration::from_secs(5), "{difference}");
}
