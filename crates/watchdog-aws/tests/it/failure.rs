//! What is made of everything that can go wrong with a call.

use aws_sdk_ses::Client;
use aws_sdk_ses::operation::send_raw_email::SendRawEmailOutput;
use aws_smithy_mocks::{RuleMode, mock, mock_client};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use watchdog_aws::failure::AwsFailure;
use watchdog_aws::ses::send;
use watchdog_core::policy::Address;
use watchdog_core::usage::Unknown;

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

/// The failure of a send that is answered so, once its retries are spent.
async fn failing(status: u16, body: &'static str) -> AwsFailure {
    let rule = mock!(Client::send_raw_email).then_http_response(move || {
        let mut response = HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::from(body));
        response.headers_mut().insert("x-amzn-requestid", "req-1");
        response
    });
    let client = mock_client!(aws_sdk_ses, RuleMode::MatchAny, [&rule]);
    send(&client, &address("w@example.com"), &address("a@example.com"), b"mime".to_vec()).await.unwrap_err()
}

#[tokio::test]
async fn aws_errors_keep_their_code_message_and_request() {
    let body = "<ErrorResponse><Error><Type>Sender</Type><Code>MessageRejected</Code>\
                <Message>Email address is not verified.\r\nX</Message></Error><RequestId>req-1</RequestId></ErrorResponse>";
    let failure = failing(400, body).await;
    assert_eq!(
        failure.to_string(),
        "`ses:SendRawEmail` failed with `MessageRejected`: Email address is not verified.  X (request req-1)"
    );
    assert!(!failure.retryable && !failure.is_denied());
}

#[tokio::test]
async fn what_was_signed_and_what_is_no_word_stays_out() {
    let body = "<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code><Message>The request signature we calculated does not match. \
                The Canonical String for this request should have been 'POST\n/\n\nx-amz-security-token:TOKEN'</Message></Error></ErrorResponse>";
    let failure = failing(403, body).await.to_string();
    assert!(failure.contains("does not match") && !failure.contains("TOKEN"), "{failure}");
    let body = "<ErrorResponse><Error><Code>SELECT secret FROM t</Code><Message>m</Message></Error></ErrorResponse>";
    assert_eq!(failing(400, body).await.code, "BadAnswer");
}

#[tokio::test]
async fn throttling_and_server_errors_may_pass_and_denial_may_not() {
    let error =
        |code: &str| format!("<ErrorResponse><Error><Code>{code}</Code><Message>m</Message></Error></ErrorResponse>");
    let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
    assert!(failing(400, leak(error("Throttling"))).await.retryable);
    assert!(failing(503, "not xml at all").await.retryable);
    let denied = failing(403, leak(error("AccessDenied"))).await;
    assert!(denied.is_denied() && !denied.retryable);
    assert_eq!(denied.unknown(), Unknown::Denied { operation: "ses:SendRawEmail".to_owned() });
}

#[tokio::test]
async fn a_mail_goes_to_the_one_destination_that_is_named_beside_it() {
    let rule = mock!(Client::send_raw_email)
        .match_requests(|input| {
            input.source() == Some("w@example.com")
                && input.destinations() == ["a@example.com"]
                && input.raw_message().is_some_and(|m| m.data().as_ref() == b"To: everyone@else.example")
        })
        .then_output(|| SendRawEmailOutput::builder().message_id("id-1").build().unwrap());
    let client = mock_client!(aws_sdk_ses, [&rule]);
    let mime = b"To: everyone@else.example".to_vec();
    let id = send(&client, &address("w@example.com"), &address("a@example.com"), mime).await;
    assert_eq!(id.as_deref(), Ok("id-1"));
}
