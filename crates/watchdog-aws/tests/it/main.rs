//! The AWS edges, driven by the real SDK clients with canned replies.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod athena;
mod cloudtrail;
mod cloudwatch;
mod concurrency;
mod dynamodb;
mod economy;
mod executions;
mod failure;
mod flights;
#[cfg(feature = "operator")]
mod granting;
mod known;
#[cfg(feature = "operator")]
mod operator;
mod pass;
mod ssm;
mod submitters;
mod wire;

/// Nothing is active, and so nobody is asked for quotas.
fn no_quotas() -> aws_sdk_servicequotas::Client {
    use aws_smithy_mocks::{mock, mock_client};
    let get =
        mock!(aws_sdk_servicequotas::Client::get_service_quota).then_compute_output(|_| panic!("asked for quotas"));
    mock_client!(aws_sdk_servicequotas, [&get])
}

fn at(text: &str) -> jiff::Timestamp {
    text.parse().unwrap()
}
