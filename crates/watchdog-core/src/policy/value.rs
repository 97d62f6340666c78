//! Single values as meant, wherever in a policy they stand: times, zones, domains, addresses, inherited rules; and
//! the collecting of problems on the way.

use std::fmt::Display;
use std::str::FromStr;

use jiff::SignedDuration;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::Address;
use super::problem::{Place, Problem};
use super::typed::{At, TypedAudience, TypedRules, Unread};
use crate::window::duration;

/// Reminders closer than the bucket of usage say nothing new.
const SHORTEST_REPEAT: SignedDuration = SignedDuration::from_mins(5);
/// An alert that is held for longer than a day says nothing about the day any more.
const LONGEST_HOLD: SignedDuration = SignedDuration::from_hours(24);
/// The ledger forgets what it told after this long, so a longer interval could not be kept.
const LONGEST_REPEAT: SignedDuration = SignedDuration::from_hours(30 * 24);
/// People in one list. A mail goes to each on its own; a distribution list does it better from here on.
const MOST_PEOPLE: usize = 50;

pub(super) struct Problems<'a> {
    pub found: &'a mut Vec<Problem>,
    /// Whether a document is no TOML in places: what seems to be missing may stand there, and is not called missing.
    pub broken: bool,
}

impl Problems<'_> {
    pub(super) fn at(&mut self, place: &Place, message: impl Display) {
        self.found.push(Problem::new(Some(place.clone()), &message.to_string()));
    }

    /// `key` is missing, unless it is there and unreadable.
    pub(super) fn missing(&mut self, place: Option<&Place>, key: &str, unread: &Unread, message: &str) {
        if !self.broken && !unread.contains(&key) {
            self.found.push(Problem::new(place.cloned(), message));
        }
    }

    pub(super) fn parsed<T: FromStr<Err: Display>>(&mut self, key: &str, text: &At<String>) -> Option<T> {
        self.ok(key, &text.place, text.value.parse())
    }

    pub(super) fn ok<T, E: Display>(&mut self, key: &str, place: &Place, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.at(place, format!("`{key}`: {error}"))).ok()
    }
}

pub(super) struct Context<'a> {
    pub defaults: &'a TypedRules,
    pub zone: &'a TimeZone,
    /// `None` where they could not be read: then no address is judged by them.
    pub domains: Option<&'a [String]>,
}

pub(super) fn later_rules(later: &TypedRules, earlier: &TypedRules) -> TypedRules {
    let pick = |l: &Option<At<String>>, e: &Option<At<String>>| l.clone().or_else(|| e.clone());
    let audience = match (&later.audience, &earlier.audience) {
        (Some(At { value: TypedAudience::Each(l), place }), Some(earlier)) => {
            let e = match &earlier.value {
                TypedAudience::Each(each) => each.clone(),
                TypedAudience::Every(all) => {
                    let list = Some(At { value: all.clone(), place: earlier.place.clone() });
                    super::typed::TypedAudiences { warn: list.clone(), critical: list.clone(), exhausted: list }
                }
            };
            let each = super::typed::TypedAudiences {
                warn: l.warn.clone().or(e.warn),
                critical: l.critical.clone().or(e.critical),
                exhausted: l.exhausted.clone().or(e.exhausted),
            };
            Some(At { value: TypedAudience::Each(each), place: place.clone() })
        }
        (Some(audience), _) => Some(audience.clone()),
        (None, earlier) => earlier.clone(),
    };
    TypedRules {
        warn: pick(&later.warn, &earlier.warn),
        critical: pick(&later.critical, &earlier.critical),
        hysteresis: pick(&later.hysteresis, &earlier.hysteresis),
        forecast: pick(&later.forecast, &earlier.forecast),
        hold: pick(&later.hold, &earlier.hold),
        repeat_every: pick(&later.repeat_every, &earlier.repeat_every),
        audience,
    }
}

/// All of them, or none; in any case all are looked at, so that every problem is reported.
pub(super) fn all<T>(items: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    items.collect::<Vec<_>>().into_iter().collect()
}

pub(super) fn interval(key: &str, text: &At<String>, problems: &mut Problems<'_>) -> Option<SignedDuration> {
    match duration(&text.value) {
        Some(length) if (SHORTEST_REPEAT..=LONGEST_REPEAT).contains(&length) => Some(length),
        _ => {
            problems.at(
                &text.place,
                format!(
                    "`{key}` is `{}`: write a time from 5 minutes to 30 days with its unit, such as `4h` or `30 min`",
                    text.value
                ),
            );
            None
        }
    }
}

/// How long to hold an alert. Unlike an interval, none at all is a fair wish.
pub(super) fn hold(text: &At<String>, problems: &mut Problems<'_>) -> Option<SignedDuration> {
    match duration(&text.value) {
        Some(length) if (SignedDuration::ZERO..=LONGEST_HOLD).contains(&length) => Some(length),
        _ => {
            let message = "write a time from 0 minutes to 24 hours with its unit, such as `30 min` or `2h`";
            problems.at(&text.place, format!("`hold` is `{}`: {message}", text.value));
            None
        }
    }
}

/// `on` or `off`.
pub(super) fn switch(key: &str, text: &At<String>, problems: &mut Problems<'_>) -> Option<bool> {
    match text.value.as_str() {
        "on" => Some(true),
        "off" => Some(false),
        other => {
            problems.at(&text.place, format!("`{key}` is `{other}`: write `on` or `off`"));
            None
        }
    }
}

pub(super) fn zone(name: &At<String>, problems: &mut Problems<'_>) -> Option<TimeZone> {
    // The bundled database only: what a zone means must not depend on the machine.
    let found = TimeZoneDatabase::bundled().get(&name.value);
    if found.is_err() {
        problems.at(
            &name.place,
            format!("`time_zone` is `{}`: no such IANA zone; write for example `Europe/Berlin` or `UTC`", name.value),
        );
    }
    found.ok()
}

pub(super) fn domain(text: &At<String>, problems: &mut Problems<'_>) -> Option<String> {
    let lower = text.value.to_ascii_lowercase();
    let label = |l: &str| !l.is_empty() && l.len() <= 63 && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if lower.len() <= 253 && lower.contains('.') && lower.split('.').all(label) {
        return Some(lower);
    }
    problems.at(
        &text.place,
        format!("`allowed_domains`: `{}` is not a domain: write it as `example.com`, without `@` or `*`", text.value),
    );
    None
}

pub(super) fn allowed_address(
    key: &str,
    text: &At<String>,
    domains: Option<&[String]>,
    problems: &mut Problems<'_>,
) -> Option<Address> {
    let address = problems.ok(key, &text.place, Address::parse(&text.value))?;
    if let Some(domains) = domains
        && !domains.iter().any(|domain| domain == address.domain())
    {
        let allowed = domains.iter().take(10).map(|d| format!("`{d}`")).collect::<Vec<_>>().join(", ");
        problems.at(&text.place, format!("`{key}`: `{address}` is outside the allowed domains {allowed}: add `{}` to `allowed_domains`, or remove the address", address.domain()));
        return None;
    }
    Some(address)
}

pub(super) fn people_bound(key: &str, list: &At<Vec<At<String>>>, problems: &mut Problems<'_>) {
    if list.value.len() > MOST_PEOPLE {
        problems.at(
            &list.place,
            format!("`{key}` names {} people: at most {MOST_PEOPLE}; use a distribution list", list.value.len()),
        );
    }
}
