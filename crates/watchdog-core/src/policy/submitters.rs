//! How submitters are found and when they are told, as meant: the table `[submitters]`.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::Submitters;
use super::typed::{At, TypedSubmitters};
use super::value::{Problems, all, allowed_address, interval};
use crate::bytes::{Bytes, Size};
use crate::percent::Percent;
use crate::principal::PrincipalKey;

/// The share of a window from which somebody is told that their queries are using it up. At 2 % the fifty people who could be told at
/// most are those without whom the window would look different; somebody at 0.3 % could stop everything they run and nobody would see it.
/// At 5 %, an hour shared evenly by thirty people would be nobody's; below 1 % a mail is an accusation without a cause.
const SHARE_FLOOR: Percent = Percent::whole(2);
/// The least that may be set: a hundred people, each with their own mail, are as many as one run can tell in its time.
const SMALLEST_SHARE_FLOOR: Percent = Percent::whole(1);
/// The bytes from which: at Athena's price of five dollars a TB half a cent. Less is not worth a person's minute, whatever share of a
/// tiny limit it is.
const BYTES_FLOOR: Bytes = Bytes::new(1_000_000_000);
/// How often the same person is told again, and then only of queries they have not been told of. An hour is the window of the
/// exploratory limit: what they stopped after the first mail has left it by then. Four hours, as for admins, would let somebody use
/// the limit up four times over before they hear of it again.
const REPEAT_EVERY: SignedDuration = SignedDuration::from_hours(1);

/// Of two documents the later one's values win key by key, and person by person.
pub(super) fn later(later: TypedSubmitters, mut earlier: TypedSubmitters) -> TypedSubmitters {
    earlier.people.extend(later.people);
    TypedSubmitters {
        people: earlier.people,
        trusted_roles: later.trusted_roles.or(earlier.trusted_roles),
        trusted_source_identity: later.trusted_source_identity.or(earlier.trusted_source_identity),
        share_floor: later.share_floor.or(earlier.share_floor),
        bytes_floor: later.bytes_floor.or(earlier.bytes_floor),
        repeat_every: later.repeat_every.or(earlier.repeat_every),
        show_sql: later.show_sql.or(earlier.show_sql),
    }
}

pub(super) fn submitters(
    typed: &TypedSubmitters,
    domains: Option<&[String]>,
    problems: &mut Problems<'_>,
) -> Option<Submitters> {
    let mut person = |(name, address): (&At<String>, &At<String>)| {
        let key = problems.ok("people", &name.place, PrincipalKey::parse(&name.value));
        let address = allowed_address("people", address, domains, problems);
        Some((key?, address?))
    };
    let people: Vec<_> = typed.people.iter().map(|(_, (name, address))| person((name, address))).collect();
    let people: Option<BTreeMap<_, _>> = all(people.into_iter()).map(|people| people.into_iter().collect());
    let trusted_roles = roles("trusted_roles", typed.trusted_roles.as_ref(), problems);
    let trusted_source_identity = roles("trusted_source_identity", typed.trusted_source_identity.as_ref(), problems);
    let share_floor = match &typed.share_floor {
        Some(text) => problems.parsed::<Percent>("share_floor", text).filter(|share| {
            let fits = (SMALLEST_SHARE_FLOOR..=Percent::HUNDRED).contains(share);
            if !fits {
                let message = format!(
                    "`share_floor` is `{}`: it must be from {SMALLEST_SHARE_FLOOR} to 100 %; below that a hundred people \
                     and more would be told at once",
                    text.value
                );
                problems.at(&text.place, message);
            }
            fits
        }),
        None => Some(SHARE_FLOOR),
    };
    let bytes_floor = match &typed.bytes_floor {
        Some(text) => problems.parsed::<Size>("bytes_floor", text).map(|size| size.bytes),
        None => Some(BYTES_FLOOR),
    };
    let repeat_every = match &typed.repeat_every {
        Some(text) => interval("repeat_every", text, problems),
        None => Some(REPEAT_EVERY),
    };
    Some(Submitters {
        people: people?,
        trusted_roles: trusted_roles?,
        trusted_source_identity: trusted_source_identity?,
        share_floor: share_floor?,
        bytes_floor: bytes_floor?,
        repeat_every: repeat_every?,
        show_sql: typed.show_sql.unwrap_or(false),
    })
}

/// Names of roles, exact: a pattern here would trust roles that nobody has looked at.
fn roles(key: &str, list: Option<&At<Vec<At<String>>>>, problems: &mut Problems<'_>) -> Option<Vec<String>> {
    let Some(list) = list else { return Some(Vec::new()) };
    all(list.value.iter().map(|text| {
        let name = text.value.as_str();
        // IAM's characters in a role's name.
        let fits = (1..=64).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b));
        if !fits {
            let message = format!(
                "`{key}`: `{name}` is no role's name: write it without its path and without wildcards, such as `analyst`"
            );
            problems.at(&text.place, message);
        }
        fits.then(|| name.to_owned())
    }))
}
