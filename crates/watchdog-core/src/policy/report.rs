//! The weekly report, as meant: the table `[report]`. Without it there is none.

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::typed::{At, TypedReport};
use super::value::{Problems, all, allowed_address, people_bound};
use super::{Address, ReportRules, Weekly};
use crate::window::zone_name;

/// What Athena asks for a TB scanned in US dollars, by the public price list of most Regions, as known in November 2026;
/// <https://aws.amazon.com/athena/pricing/>.
pub const ATHENA_TB: f64 = 5.0;

/// Days as they are written, three letters or all of them.
const DAYS: [(&str, Weekday); 7] = [
    ("monday", Weekday::Monday),
    ("tuesday", Weekday::Tuesday),
    ("wednesday", Weekday::Wednesday),
    ("thursday", Weekday::Thursday),
    ("friday", Weekday::Friday),
    ("saturday", Weekday::Saturday),
    ("sunday", Weekday::Sunday),
];

/// The most that a TB may cost in dollars: beyond it somebody has written cents, or bytes.
const HIGHEST_PRICE: f64 = 1000.0;

/// Of two documents the later one's values win key by key.
pub(super) fn later(later: TypedReport, earlier: TypedReport) -> TypedReport {
    TypedReport {
        weekly: later.weekly.or(earlier.weekly),
        to: later.to.or(earlier.to),
        price_per_tb: later.price_per_tb.or(earlier.price_per_tb),
    }
}

/// `Some(None)` where the policy has no such table.
pub(super) fn report(
    typed: &TypedReport,
    admins: Option<&[Address]>,
    domains: Option<&[String]>,
    zone: &TimeZone,
    problems: &mut Problems<'_>,
) -> Option<Option<ReportRules>> {
    let to = typed.to.as_ref().map(|list| {
        people_bound("to", list, problems);
        if list.value.is_empty() {
            problems.at(&list.place, "`to` is empty: name somebody, or leave it out for the admins");
        }
        all(list.value.iter().map(|text| allowed_address("to", text, domains, problems)))
    });
    let price = typed.price_per_tb.as_ref().map(|text| price(text, problems));
    let weekly = match (&typed.weekly, &typed.to, &typed.price_per_tb) {
        (Some(weekly), _, _) => weekly,
        (None, None, None) => return Some(None),
        (None, to, price) => {
            let place = to.as_ref().map(|list| &list.place).or(price.as_ref().map(|text| &text.place));
            let message = "`[report]` has no `weekly`: write `weekly = \"mon 08:00\"`, or leave the table out";
            place.into_iter().for_each(|place| problems.at(place, message));
            return None;
        }
    };
    let weekly = when(weekly, zone, problems);
    let price_per_tb = match price {
        Some(price) => price?,
        None => ATHENA_TB,
    };
    let to = match to {
        Some(to) => to?,
        None => admins?.to_vec(),
    };
    Some(Some(ReportRules { weekly: weekly?, to, price_per_tb }))
}

/// `mon 08:00`.
fn when(text: &At<String>, zone: &TimeZone, problems: &mut Problems<'_>) -> Option<Weekly> {
    let read = || {
        let lower = text.value.trim().to_ascii_lowercase();
        let (day, time) = lower.split_once(' ')?;
        let (_, day) = DAYS.into_iter().find(|(name, _)| *name == day || name[..3] == *day)?;
        let (hour, minute) = time.trim().split_once(':')?;
        let digits = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        let time = Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()?;
        (digits(hour) && digits(minute)).then(|| Weekly { day, time, zone: zone.clone() })
    };
    let found = read();
    if found.is_none() {
        let message = format!("`weekly` is `{}`: write a day and a time of 24 hours, such as `mon 08:00`", text.value);
        problems.at(&text.place, message);
    }
    found
}

fn price(text: &At<String>, problems: &mut Problems<'_>) -> Option<f64> {
    let number = text.value.trim().trim_start_matches('$').trim_end_matches("USD").trim();
    let found = number.parse::<f64>().ok().filter(|price| (0.0..=HIGHEST_PRICE).contains(price));
    if found.is_none() {
        let message = format!("`price_per_tb` is `{}`: write US dollars for 10^12 bytes, such as `5.00`", text.value);
        problems.at(&text.place, message);
    }
    found
}

impl Weekly {
    /// The last time that it was due, at `at` or before. Where the clock skips that time, it is as much later.
    pub fn due(&self, at: Timestamp) -> Timestamp {
        let today = at.to_zoned_datetime(self.zone.clone()).date();
        let back = today.weekday().since(self.day);
        let on = |days_ago: i8| {
            let date = today.checked_sub(i64::from(days_ago).days()).unwrap_or(today);
            self.zone.to_timestamp(date.to_datetime(self.time)).unwrap_or(Timestamp::MIN)
        };
        let this = on(back);
        if this <= at { this } else { on(back + 7) }
    }

    /// The time before that.
    pub fn before(&self, due: Timestamp) -> Timestamp {
        self.due(due.checked_sub(SignedDuration::from_hours(1)).unwrap_or(Timestamp::MIN))
    }

    /// `Monday at 08:00 Europe/Berlin`.
    pub fn words(&self) -> String {
        let (name, _) = DAYS.into_iter().find(|(_, day)| *day == self.day).unwrap_or(DAYS[0]);
        let first = name[..1].to_ascii_uppercase();
        format!("{first}{} at {} {}", &name[1..], self.time.strftime("%H:%M"), zone_name(&self.zone))
    }
}
