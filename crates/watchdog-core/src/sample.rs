//! A week that is made up, so that people see a report before they have one.
//!
//! Only the use is made up. It goes through the back-test, whose notifications are those that a run would send; the alerts in a sample are
//! therefore such as the policy would give.

use jiff::{SignedDuration, Timestamp};

use crate::alert::Subject;
use crate::backtest::{Notification, Pace, Replay, length};
use crate::bytes::Bytes;
use crate::delivery::{Records, WeekFacts};
use crate::fit::Fits;
use crate::grant::Grants;
use crate::history::Share;
use crate::meter::Meter;
use crate::policy::{ATHENA_TB, Limit, Policy};
use crate::review::Review;
use crate::usage::Series;
use crate::verdict::Level;
use crate::window::{BUCKET, Span, floor};

/// Days of use: two weeks by which limits are judged, and the windows before.
const DAYS: i64 = 22;
const DAY: i64 = 86_400;

/// How busy each workgroup is, in the order of the policy's rules: the share of the limit that ordinary work fills, in percent, and the days
/// (of the last ones) on which somebody's query fills much more.
const HABITS: [(u64, &[i64]); 4] = [(46, &[2, 5, 9]), (78, &[1]), (38, &[]), (20, &[])];

/// The report of the week before `end`, of made-up use under this policy.
pub fn review(policy: &Policy, end: Timestamp, price_per_tb: f64) -> Review {
    let end = floor(end);
    let span = Span { start: end - SignedDuration::from_hours(7 * 24), end };
    let mut review = Review::new(span, price_per_tb);
    let mut records = Records::new();
    for (n, rule) in policy.rules().iter().enumerate() {
        let name = rule.pattern.as_str().replace('*', "x");
        let habit = HABITS.get(n % HABITS.len()).copied().unwrap_or(HABITS[0]);
        let series = made_up(rule.limits.first(), habit, end);
        let (first, buckets) = series.buckets();
        let mut sent = Vec::new();
        let pace = Pace { step: BUCKET, every: BUCKET, score_from: None, trace: false };
        if let Some(mut replay) = Replay::new(&[policy], &name, first, pace) {
            for (i, bytes) in buckets.iter().enumerate() {
                let at = first.as_second() + i64::try_from(i).unwrap_or(0) * BUCKET;
                replay.push(Timestamp::from_second(at).unwrap_or(first), *bytes, &mut sent);
            }
            replay.finish(end, &mut sent);
        }
        let mut fits = Fits::default();
        let meter = Meter::from(&series);
        // As runs would: what is told, and in between how much is used of what is open.
        let mut told = sent.iter().peekable();
        for n in 1..=buckets.len() {
            let at = first + SignedDuration::from_secs(i64::try_from(n).unwrap_or(0) * BUCKET);
            while let Some(notification) = told.next_if(|notification| notification.time <= at) {
                note(&mut records, notification);
            }
            rule.limits.iter().for_each(|limit| follow(&mut records, &name, limit, &meter, at));
        }
        told.for_each(|notification| note(&mut records, notification));
        rule.limits.iter().for_each(|limit| fits.note_days(&name, limit, &meter, &Grants::new(), end));
        review.add(policy, &name, &Ok(series), BUCKET, &fits);
    }
    review.remember(policy, &records);
    review.sort();
    review
}

/// What the weekly mail of this policy would say at `at`; `None` where the policy asks for none.
pub fn week(policy: &Policy, at: Timestamp) -> Option<(Timestamp, WeekFacts)> {
    let rules = policy.report.as_ref()?;
    let due = rules.weekly.due(at);
    let review = review(policy, due, if rules.price_per_tb > 0.0 { rules.price_per_tb } else { ATHENA_TB });
    Some((due, WeekFacts { review: review.into(), asked: rules.weekly.words() }))
}

/// Takes a notification for the history of its alert.
fn note(records: &mut Records, notification: &Notification) {
    let Notification { workgroup, window, time, level, used_bytes, limit_bytes, told, .. } = notification;
    let subject = Subject::Limit { workgroup: workgroup.to_string(), window: window.to_string() };
    let history = &mut records.entry(subject).or_default().history;
    let level = match *level {
        "exhausted" => Level::Exhausted,
        "critical" => Level::Critical,
        _ => Level::Warn,
    };
    let opened = history.open().map_or(*time, |open| open.opened);
    if notification.event == "resolved" {
        history.end(*time);
    } else {
        history.see(opened, level, Share { used: *used_bytes, limit: *limit_bytes }, *time);
    }
    told.iter().for_each(|_| history.tell(opened, *time));
}

/// Notes how much is used at `at` of a limit whose alert is open.
fn follow(records: &mut Records, workgroup: &str, limit: &Limit, meter: &Meter, at: Timestamp) {
    let subject = Subject::Limit { workgroup: workgroup.to_owned(), window: limit.window.id() };
    let Some(history) = records.get_mut(&subject).map(|record| &mut record.history) else { return };
    if let (Some(open), Ok(used)) = (history.open().copied(), meter.sum(limit.span(at))) {
        history.see(open.opened, Level::Warn, Share { used: used.get(), limit: limit.bytes.get() }, at);
    }
}

/// The use of one workgroup: busy by day and quiet at night and on weekends, with a heavy hour on some days.
fn made_up(limit: Option<&Limit>, (busy, heavy): (u64, &[i64]), end: Timestamp) -> Series {
    let end = end.as_second();
    let first = end - DAYS * DAY;
    let (bytes, window) = limit.map_or((200_000_000_000, 3600), |limit| (limit.bytes.get(), length(&limit.window)));
    let buckets = u64::try_from((window / BUCKET).clamp(1, DAY / BUCKET)).unwrap_or(1);
    // The weights of a working day add up to about 110 full buckets: a window of a day holds as many.
    let full = bytes / buckets.min(110) / 100 * busy;
    let bucket = |n: i64| {
        let at = first + n * BUCKET;
        let (day, minute) = (at.div_euclid(DAY), at.rem_euclid(DAY) / 60);
        // 1970 began on a Thursday.
        let is_weekend = matches!((day + 4).rem_euclid(7), 0 | 6);
        let weight = match minute / 60 {
            8..=10 => 90,
            11 | 14 | 15 => 100,
            7 | 12 | 13 | 16 => 60,
            _ => 8,
        };
        let weight = if is_weekend { weight / 5 } else { weight };
        let spread = 70 + (u64::try_from(n).unwrap_or(0).wrapping_mul(2_654_435_761) >> 9) % 31;
        let mut bytes = full / 100 * weight / 100 * spread;
        let ago = (end.div_euclid(DAY) - day, minute);
        if heavy.contains(&ago.0) && (13 * 60 + 20..13 * 60 + 65).contains(&ago.1) {
            // In three quarters of an hour three quarters of what a window holds.
            bytes += limit.map_or(0, |limit| limit.bytes.get() / 12);
        }
        Bytes::new(bytes)
    };
    let all = (0..DAYS * DAY / BUCKET).map(bucket);
    Series::from_buckets(Timestamp::from_second(first).unwrap_or(Timestamp::MIN), all.collect())
}
