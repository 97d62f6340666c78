//! The stack and its resources.

use std::collections::BTreeMap;

use aws_sdk_cloudformation::Client;
use jiff::Timestamp;
use watchdog_core::checkup::{Resource, Stack};

use crate::failure::AwsFailure;

const DESCRIBE: &str = "cloudformation:DescribeStacks";
const LIST: &str = "cloudformation:ListStackResources";
/// Pages of up to a hundred: a stack has at most 500 resources.
const MOST_PAGES: usize = 10;

/// A stack with its resources by their logical ids; `None` where there is no such stack.
///
/// # Errors
/// [`AwsFailure`], also where the list does not end.
pub async fn stack(client: &Client, name: &str) -> Result<Option<Stack>, AwsFailure> {
    let described = client.describe_stacks().stack_name(name).send().await;
    let status = match described.map_err(|error| AwsFailure::of(DESCRIBE, &error)) {
        Ok(answer) => match answer.stacks().first() {
            Some(stack) => stack.stack_status().map_or("", |status| status.as_str()).to_owned(),
            None => return Ok(None),
        },
        Err(failure) if is_none(&failure) => return Ok(None),
        Err(failure) => return Err(failure),
    };
    Ok(resources(client, name).await?.map(|resources| Stack { status, resources }))
}

/// The resources of a stack by their logical ids; `None` where there is no such stack. For those who want no more, and may need no more.
///
/// # Errors
/// As [`stack`].
pub async fn resources(client: &Client, name: &str) -> Result<Option<BTreeMap<String, Resource>>, AwsFailure> {
    let mut resources = BTreeMap::new();
    let mut token = None;
    for _ in 0..MOST_PAGES {
        let page = client.list_stack_resources().stack_name(name).set_next_token(token).send().await;
        let page = match page.map_err(|error| AwsFailure::of(LIST, &error)) {
            Ok(page) => page,
            Err(failure) if is_none(&failure) => return Ok(None),
            Err(failure) => return Err(failure),
        };
        for summary in page.stack_resource_summaries() {
            let status = summary.resource_status().map_or("", |status| status.as_str());
            let (Some(logical), Some(id)) = (summary.logical_resource_id(), summary.physical_resource_id()) else {
                continue;
            };
            if status == "DELETE_COMPLETE" {
                continue;
            }
            let resource = Resource {
                kind: summary.resource_type().unwrap_or_default().to_owned(),
                id: id.to_owned(),
                status: status.to_owned(),
                updated: summary.last_updated_timestamp().and_then(|at| Timestamp::from_second(at.secs()).ok()),
            };
            resources.insert(logical.to_owned(), resource);
        }
        token = page.next_token;
        if token.is_none() {
            return Ok(Some(resources));
        }
    }
    Err(AwsFailure::own(LIST, "EndlessList", format!("the list goes on after {MOST_PAGES} pages")))
}

/// CloudFormation has no code of its own for a stack that does not exist.
fn is_none(failure: &AwsFailure) -> bool {
    failure.code == "ValidationError" && failure.message.contains("does not exist")
}
