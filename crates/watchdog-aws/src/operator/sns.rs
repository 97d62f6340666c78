//! Who hears the stack's alarms.

use aws_sdk_sns::Client;
use watchdog_core::checkup::Subscription;

use super::found;
use crate::failure::AwsFailure;

const LIST: &str = "sns:ListSubscriptionsByTopic";
/// Pages of a hundred: more people than any alarm is for.
const MOST_PAGES: usize = 20;

/// The subscriptions of a topic; `None` where it does not exist.
///
/// # Errors
/// [`AwsFailure`], also where the list does not end.
pub async fn subscriptions(client: &Client, topic: &str) -> Result<Option<Vec<Subscription>>, AwsFailure> {
    let mut all = Vec::new();
    let mut token = None;
    for _ in 0..MOST_PAGES {
        let page = client.list_subscriptions_by_topic().topic_arn(topic).set_next_token(token).send().await;
        let Some(page) = found(page.map_err(|error| AwsFailure::of(LIST, &error)))? else { return Ok(None) };
        all.extend(page.subscriptions().iter().map(|subscription| Subscription {
            protocol: subscription.protocol().unwrap_or_default().to_owned(),
            endpoint: subscription.endpoint().unwrap_or_default().to_owned(),
            // SNS writes `PendingConfirmation` or `Deleted` where the ARN would be.
            confirmed: subscription.subscription_arn().is_some_and(|arn| arn.starts_with("arn:")),
        }));
        token = page.next_token;
        if token.is_none() {
            return Ok(Some(all));
        }
    }
    Err(AwsFailure::own(LIST, "EndlessList", format!("the list goes on after {MOST_PAGES} pages")))
}
