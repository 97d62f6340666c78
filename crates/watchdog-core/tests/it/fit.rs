//! Whether a limit fits the work under it, day by day.

use jiff::{SignedDuration, Timestamp};
use watchdog_core::bytes::{Bytes, Units};
use watchdog_core::fit::Fits;
use watchdog_core::grant::Grants;
use watchdog_core::meter::Meter;
use watchdog_core::policy::Policy;
use watchdog_core::usage::Series;

use crate::support::{at, policy};

const GB: u64 = 1_000_000_000;

fn of_window(window: &str, amount: &str) -> Policy {
    policy(&format!("[[workgroup]]\nname = \"w\"\n[[workgroup.limit]]\nwindow = \"{window}\"\n{amount}\n"))
}

/// The 28 hours before an instant in which day `n` since March began, of days on whose noon so many gigabytes were scanned.
fn meter(now: Timestamp, days: &[u64]) -> Meter {
    let start = now - SignedDuration::from_hours(28);
    let first = at("2026-03-01T00:00:00Z").as_second();
    let bucket = |n: i64| {
        let second = start.as_second() + n * 300 - first;
        let gigabytes =
            usize::try_from(second.div_euclid(86_400)).ok().and_then(|day| days.get(day)).copied().unwrap_or(0);
        Bytes::new(if second.rem_euclid(86_400) == 43_200 { gigabytes * GB } else { 0 })
    };
    Meter::from(&Series::from_buckets(start, (0..28 * 12).map(bucket).collect()))
}

/// What is said of the limit after these days, with runs at the beginning of each day and again at noon.
#[track_caller]
fn check(policy: &Policy, days: &[u64], expected: &str) {
    check_with(policy, days, &Grants::new(), expected);
}

#[track_caller]
fn check_with(policy: &Policy, days: &[u64], grants: &Grants, expected: &str) {
    let limit = &policy.rule_for("w").unwrap().limits[0];
    let mut fits = Fits::default();
    for n in 1..=i64::try_from(days.len()).unwrap() {
        for minutes in [5, 12 * 60] {
            let now =
                at("2026-03-01T00:00:00Z") + SignedDuration::from_hours(24 * n) + SignedDuration::from_mins(minutes);
            if fits.is_due("w", limit, now) {
                fits.note("w", limit, &meter(now, days), grants, now);
            }
        }
    }
    // What is remembered is all that it takes.
    let fits: Fits = serde_json::from_str(&serde_json::to_string(&fits).unwrap()).unwrap();
    let said = fits.misfit("w", limit).map_or("fits, or not known".to_owned(), |misfit| misfit.words(Units::Decimal));
    assert_eq!(said, expected, "{days:?}");
}

#[test]
fn a_limit_that_most_days_pass_is_too_low() {
    let hour = of_window("1h", "quota = \"100 GB\"\nbuffer = \"0 %\"");
    check(
        &hour,
        &[50, 100, 120, 90, 130, 110, 20],
        "It was passed on 4 of the last 7 days, by ordinary work: the limit looks too low. About 131 GB would have held; \
         `watchdog plan` computes it from more weeks.",
    );
    check(&hour, &[50, 99, 120, 90, 130, 110, 20], "fits, or not known");
    // Six days are no week.
    check(&hour, &[100, 120, 130, 110, 150, 120], "fits, or not known");
    // One accident is none of ordinary work, and no measure of it.
    check(
        &hour,
        &[100, 900, 120, 90, 130, 110, 20],
        "It was passed on 5 of the last 7 days, by ordinary work: the limit looks too low. About 131 GB would have held; \
         `watchdog plan` computes it from more weeks.",
    );
}

#[test]
fn a_limit_that_no_day_half_uses_is_too_high() {
    let hour = of_window("1h", "limit = \"100 GB\"");
    let mut days = vec![20; 14];
    days[5] = 49;
    check(
        &hour,
        &days,
        "At most 49 % of it was used on any of the last 14 days: the limit looks too high. About 55 GB would have held; \
         `watchdog plan` computes it from more weeks.",
    );
    check(&hour, &days[..13], "fits, or not known");
    days[9] = 50;
    check(&hour, &days, "fits, or not known");
    check(&hour, &[0; 20], "fits, or not known");
    // Of a day's windows only the last one of each day is known: not enough to say that none used half.
    check(&of_window("24h", "limit = \"100 GB\""), &[20; 14], "fits, or not known");
    check(&of_window("calendar day", "limit = \"1 GB\""), &[20; 14], "fits, or not known");
}

#[test]
fn a_day_long_window_is_known_by_the_ends_of_days() {
    check(
        &of_window("24h", "limit = \"100 GB\""),
        &[150; 8],
        "It was passed on 7 of the last 7 days, by ordinary work: the limit looks too low. About 166.1 GB would have held; \
         `watchdog plan` computes it from more weeks.",
    );
}

#[test]
fn another_limit_begins_anew() {
    let (low, high) = (of_window("1h", "limit = \"10 GB\""), of_window("1h", "limit = \"10.1 GB\""));
    let (low, high) = (&low.rule_for("w").unwrap().limits[0], &high.rule_for("w").unwrap().limits[0]);
    let mut fits = Fits::default();
    let days = [20; 9];
    let noon = |n: i64| at("2026-03-01T01:00:00Z") + SignedDuration::from_hours(24 * n);
    for n in 1..8 {
        fits.note("w", low, &meter(noon(n), &days), &Grants::new(), noon(n));
    }
    assert!(fits.misfit("w", low).is_some() && fits.misfit("w", high).is_none());
    assert!(fits.is_due("w", high, noon(7)) && !fits.is_due("w", low, noon(7)));
    fits.note("w", high, &meter(noon(7), &days), &Grants::new(), noon(7));
    assert!(fits.misfit("w", low).is_none());
    fits.retain(|_| false);
    assert!(fits.is_empty());
}

/// What a grant allowed is no ordinary work: its days say nothing of the limit.
#[test]
fn days_on_which_a_grant_raised_the_limit_do_not_count() {
    let hour = of_window("1h", "quota = \"100 GB\"\nbuffer = \"0 %\"");
    let days = [50, 100, 120, 90, 130, 110, 20, 10];
    let too_low = "It was passed on 4 of the last 7 days, by ordinary work: the limit looks too low. About 131 GB would have held; \
         `watchdog plan` computes it from more weeks.";
    let asker = r#"{"arn":"arn:aws:iam::123456789012:user/u","principal":{"is":"user","name":"u"}}"#;
    let book = |window: &str, from: &str, until: &str, more: &str| -> Grants {
        let text = format!(
            r#"{{"w":{{"grants":[{{"id":"g-one","workgroup":"w","by":{asker},"reason":"r",
            "limit":{{"window":"{window}","to":{{"bytes":900000000000,"binary":false}}}},"asked":"2026-03-01T00:00:00Z","from":"{from}",
            "until":"{until}","needs_approval":false,"cutoff":{{"is":"untouched"}},"requests":[]{more}}}]}}}}"#
        );
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    };
    // A quarter of an hour on the third day is enough: 120 is no day any more, and six days of seven are left.
    let third = |more: &str| book("1h", "2026-03-03T11:50:00Z", "2026-03-03T12:05:00Z", more);
    check_with(&hour, &days[..7], &third(""), "fits, or not known");
    check_with(&hour, &days, &Grants::new(), too_low);
    check_with(&hour, &days, &third(""), "fits, or not known");
    // Of another window, on another day, up to a day's very end, revoked before it began: not this one.
    check_with(&hour, &days, &book("24h", "2026-03-03T11:50:00Z", "2026-03-03T12:05:00Z", ""), too_low);
    check_with(&hour, &days, &book("1h", "2026-03-09T00:00:00Z", "2026-03-09T01:00:00Z", ""), too_low);
    let revoked = format!(r#","revoked":{{"at":"2026-03-03T11:00:00Z","by":{asker}}}"#);
    check_with(&hour, &days, &third(&revoked), too_low);
}
