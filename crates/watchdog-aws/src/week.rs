//! What the weekly report reads: the sums of a week by the hour. Decides nothing.
//!
//! By the hour a week of five hundred metrics is one request, where the five-minute sums of a run would take forty; CloudWatch asks the
//! same price for both.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::timeout;
use watchdog_core::catalogue::Catalogue;
use watchdog_core::delivery::{Records, Week};
use watchdog_core::policy::Policy;
use watchdog_core::review::Review;
use watchdog_core::usage::{Unknown, Usage};
use watchdog_core::window::{Span, Window};

use crate::clients::Clients;
use crate::cloudwatch;
use crate::gather;

/// Seconds of a sum.
const HOUR: i64 = 3600;
/// Time for reading, of the minute that a run has: alerts come first, and the mails need time, too.
const PATIENCE: Duration = Duration::from_secs(12);
/// Workgroups whose sums are in memory at once: two weeks of sums of fifty are 2 MB as they are kept for adding up.
const AT_ONCE: usize = 50;

/// What the week came to, for the workgroups that the policy covers. What cannot be read in time is not known, and says so.
pub async fn review(
    clients: &Clients,
    catalogue: &Catalogue,
    policy: &Policy,
    usage: &Usage,
    records: &Records,
    week: &Week,
    now: Timestamp,
) -> Review {
    let price = policy.report.as_ref().map_or(watchdog_core::policy::ATHENA_TB, |rules| rules.price_per_tb);
    let mut review = Review::new(week.span, price);
    review.incomplete = usage.incomplete.as_ref().map(ToString::to_string);
    let covered: Vec<&str> =
        catalogue.names.keys().map(String::as_str).filter(|name| policy.rule_for(name).is_some()).collect();
    let (mut readable, mut unreadable) = (Vec::new(), Vec::new());
    for name in covered {
        match gather::may_be_read(catalogue, name, now) {
            Ok(()) => readable.push(name),
            Err(why) => unreadable.push((name, why)),
        }
    }
    let span = Span { start: week.span.start.saturating_sub(longest(policy)).unwrap_or(Timestamp::MIN), ..week.span };
    let until = tokio::time::Instant::now() + PATIENCE;
    for group in readable.chunks(AT_ONCE) {
        let left = until.saturating_duration_since(tokio::time::Instant::now());
        let read = timeout(left, gather::read_hours(clients, catalogue, span, group)).await;
        let late = || Unknown::Failed { operation: cloudwatch::GET.to_owned(), code: "Timeout".to_owned() };
        let read = read.unwrap_or_else(|_| group.iter().map(|name| ((*name).to_owned(), Err(late()))).collect());
        for (name, seen) in &read {
            review.add(policy, name, seen, HOUR, &catalogue.fits);
        }
    }
    for (name, why) in unreadable {
        review.add(policy, name, &Err(why), HOUR, &catalogue.fits);
    }
    review.remember(policy, records);
    review.sort();
    review
}

/// How far before the week the longest window of all looks, in whole hours.
fn longest(policy: &Policy) -> SignedDuration {
    let windows = policy.rules().iter().flat_map(|rule| &rule.limits).map(|limit| &limit.window);
    let hours = windows.map(|window| match window {
        Window::Rolling { minutes } => i64::from(minutes.div_ceil(60)),
        // A day with the clock set back has 25 hours.
        Window::Calendar { .. } => 25,
    });
    SignedDuration::from_hours(hours.max().unwrap_or(0))
}
