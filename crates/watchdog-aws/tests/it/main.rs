//! The AWS edges, driven by the real SDK clients with canned replies.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod athena;
mod cloudwatch;
mod dynamodb;
mod executions;
mod failure;
#[cfg(feature = "operator")]
mod granting;
#[cfg(feature = "operator")]
mod operator;
mod pass;
mod ssm;
mod submitters;

fn at(text: &str) -> jiff::Timestamp {
    text.parse().unwrap()
}
