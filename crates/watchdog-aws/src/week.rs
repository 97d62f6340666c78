//! What the weekly report reads: the sums of a week by the hour. Decides nothing.
//!
//! By the hour a week of five hundred metrics is one request, where the five-minute sums of a run would take forty; CloudWatch asks the
//! same price for both.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, timeout_at};
use watchdog_core::catalogue::Catalogue;
use watchdog_core::delivery::{Records, Week};
use watchdog_core::policy::Policy;
use watchdog_core::review::Review;
use watchdog_core::usage::{Unknown, Usage};
use watchdog_core::window::Span;

use crate::clients::Clients;
use crate::cloudwatch;
use crate::gather;

/// Seconds of a sum.
const HOUR: i64 = 3600;
/// Time for reading, of the minute that a run has: alerts come first, and the mails need time, too.
const PATIENCE: Duration = Duration::from_secs(12);
/// Workgroups whose sums are in memory at once: two weeks of sums of fifty are 2 MB as they are kept for adding up.
const AT_ONCE: usize = 50;

/// Until when the report may be read for, in a run whose alerts must be on their way at `latest`.
pub fn patience(latest: Instant) -> Instant {
    latest.min(Instant::now() + PATIENCE)
}

/// What the week came to, for the workgroups that the policy covers. What cannot be read until `until` is not known, and says so.
#[expect(clippy::too_many_arguments, reason = "what is known of the account, and what may be asked until when")]
pub async fn review(
    clients: &Clients,
    catalogue: &Catalogue,
    policy: &Policy,
    usage: &Usage,
    records: &Records,
    week: &Week,
    now: Timestamp,
    until: Instant,
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
    // Whole hours, as the sums are.
    let before = SignedDuration::from_hours((policy.longest_window().as_secs() + HOUR - 1) / HOUR);
    let span = Span { start: week.span.start.saturating_sub(before).unwrap_or(Timestamp::MIN), ..week.span };
    for group in readable.chunks(AT_ONCE) {
        let read = timeout_at(until, gather::read_hours(clients, catalogue, span, group)).await;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The mails about alerts are still to be sent after it: a run that has little time left reads no week.
    #[tokio::test(start_paused = true)]
    async fn a_report_takes_no_time_from_the_mails() {
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        assert_eq!([at(0), at(3), at(60)].map(patience), [at(0), at(3), at(12)]);
    }
}
