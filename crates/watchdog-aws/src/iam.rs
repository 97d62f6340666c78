//! The tag of an IAM user that says where to reach them.

use aws_sdk_iam::Client;
use aws_sdk_iam::operation::list_user_tags::ListUserTagsError;
use watchdog_core::identity::{EMAIL_TAG, Tag};

use crate::failure::AwsFailure;

const TAGS: &str = "iam:ListUserTags";

/// Pages of tags. A user has at most 50 tags, and one page holds a hundred.
const MOST_PAGES: usize = 3;

/// The tag `email` of a user; [`Tag::Absent`] also where there is no such user any more.
///
/// # Errors
/// [`AwsFailure`].
pub async fn email_tag(client: &Client, user: &str) -> Result<Tag, AwsFailure> {
    let mut marker = None;
    for _ in 0..MOST_PAGES {
        let page = match client.list_user_tags().user_name(user).set_marker(marker).send().await {
            Ok(page) => page,
            Err(error) => {
                return match error.as_service_error() {
                    Some(ListUserTagsError::NoSuchEntityException(_)) => Ok(Tag::Absent),
                    _ => Err(AwsFailure::of(TAGS, &error)),
                };
            }
        };
        // IAM tells tags of different case apart in writing, and not in asking.
        if let Some(tag) = page.tags().iter().find(|tag| tag.key().eq_ignore_ascii_case(EMAIL_TAG)) {
            return Ok(Tag::Value(tag.value().to_owned()));
        }
        marker = page.marker;
        if marker.is_none() {
            break;
        }
    }
    Ok(Tag::Absent)
}
