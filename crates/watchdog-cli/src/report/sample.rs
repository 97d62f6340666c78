//! A report of use that is made up.

use jiff::{SignedDuration, Timestamp};
use watchdog_core::bytes::Bytes;
use watchdog_core::policy::{Document, Policy};
use watchdog_core::sample;

use super::Report;
use super::heaviest::{Heaviest, HeavyPerson, HeavyQuery};
use crate::backtest::parsed;
use crate::exit::Failure;
use crate::preview::{ANY_REGION, SAMPLE};

/// Always the same week, so that the same program makes the same report.
const END: i64 = 1_772_438_400;

/// The report of the policy that `watchdog preview --sample` shows.
///
/// # Errors
/// [`Failure`], where that policy has problems: never seen to happen.
pub fn report(price_per_tb: f64) -> Result<Report, Failure> {
    let policy: Policy = parsed(&[Document { name: "sample.toml".to_owned(), text: SAMPLE.to_owned() }])?;
    let end = Timestamp::from_second(END).unwrap_or(Timestamp::UNIX_EPOCH);
    let review = sample::review(&policy, end, price_per_tb);
    // Not all queries are known, as is usual.
    let known = Bytes::new(review.total().scanned.get() / 100 * 86);
    Ok(Report {
        heaviest: Some(heaviest(known, end)),
        review,
        region: ANY_REGION.to_owned(),
        name: "athena-quota-watchdog".to_owned(),
        zone: policy.mail.zone.clone(),
        is_sample: true,
    })
}

fn heaviest(known: Bytes, end: Timestamp) -> Heaviest {
    let people = [
        ("alex@example.com", 31, 412),
        ("user/nightly-report", 28, 96),
        ("kim@example.com", 22, 187),
        ("sam@example.com", 19, 240),
    ];
    let share = |percent: u64| Bytes::new(known.get() / 100 * percent);
    let query = |n: u64| HeavyQuery {
        id: format!("5e6f7a80-1b2c-4d3e-8f90-a1b2c3d4{n:04}"),
        workgroup: if n.is_multiple_of(3) { "predictable" } else { "exploratory" }.to_owned(),
        who: people.get(usize::try_from(n % 3).unwrap_or(0)).map_or("", |person| person.0).to_owned(),
        scanned: Bytes::new(known.get() / 100 * 4 / (n + 1)),
        ended: Some(end - SignedDuration::from_hours(13 + 26 * i64::try_from(n).unwrap_or(0))),
        state: if n == 3 { "cancelled" } else { "succeeded" },
    };
    Heaviest {
        queries: (0..6).map(query).collect(),
        people: people
            .into_iter()
            .map(|(who, percent, queries)| HeavyPerson { who: who.to_owned(), bytes: share(percent), queries, percent })
            .collect(),
        known,
        notes: vec!["exploratory: not all queries are known: only the newest are read in one run.".to_owned()],
    }
}
