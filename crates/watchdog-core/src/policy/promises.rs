//! Who may promise what, as meant: the tables `[grants]` and `[silences]`. Without its table nobody may.

use jiff::SignedDuration;

use super::pattern::Pattern;
use super::typed::{At, TypedGrants, TypedSilences};
use super::value::{Problems, all};
use super::{GrantRules, SilenceRules};
use crate::bytes::{Bytes, Size};
use crate::principal::PrincipalKey;
use crate::window::duration;

/// A promise shorter than the usual interval of the watchdog's runs could begin and end unseen.
pub const SHORTEST_PROMISE: SignedDuration = SignedDuration::from_mins(5);
/// What lasts longer than a month is no exception any more: it belongs into the policy. The state table keeps a record for longer than this.
const LONGEST_PROMISE: SignedDuration = SignedDuration::from_hours(31 * 24);
/// Levels that a silence may be forbidden to cover.
const LEVELS: [&str; 3] = ["warn", "critical", "exhausted"];

/// Of two documents the later one's values win key by key.
pub(super) fn later_grants(later: TypedGrants, earlier: TypedGrants) -> TypedGrants {
    TypedGrants {
        granters: later.granters.or(earlier.granters),
        workgroups: later.workgroups.or(earlier.workgroups),
        highest_limit: later.highest_limit.or(earlier.highest_limit),
        highest_per_query: later.highest_per_query.or(earlier.highest_per_query),
        longest: later.longest.or(earlier.longest),
        second_approver: later.second_approver.or(earlier.second_approver),
    }
}

pub(super) fn later_silences(later: TypedSilences, earlier: TypedSilences) -> TypedSilences {
    TypedSilences {
        silencers: later.silencers.or(earlier.silencers),
        longest: later.longest.or(earlier.longest),
        never: later.never.or(earlier.never),
    }
}

/// `Some(None)` where the policy has no such table.
pub(super) fn grants(
    typed: &TypedGrants,
    smallest_cutoff: Bytes,
    problems: &mut Problems<'_>,
) -> Option<Option<GrantRules>> {
    let TypedGrants { granters, workgroups, highest_limit, highest_per_query, longest, second_approver } = typed;
    let first = [granters.as_ref().map(|l| &l.place), workgroups.as_ref().map(|l| &l.place)].into_iter().flatten();
    let texts = [highest_limit, highest_per_query, longest].into_iter().flatten().map(|text| &text.place);
    let Some(place) = first.chain(texts).min() else {
        // A switch alone grants nothing.
        return Some(None);
    };
    let place = place.clone();
    let mut needed = |what: &str| problems.at(&place, format!("`[grants]` has no {what}"));
    if granters.is_none() {
        needed("`granters`: name who may grant, such as `granters = [\"role/admin\"]`");
    }
    if workgroups.is_none() {
        needed("`workgroups`: name those whose limits may be raised, such as `workgroups = [\"ad-hoc\"]`");
    }
    if longest.is_none() {
        needed("`longest`: say how long a grant may last at most, such as `longest = \"8h\"`");
    }
    if highest_limit.is_none() && highest_per_query.is_none() {
        needed("`highest_limit` and no `highest_per_query`: give one at least, such as `highest_limit = \"5 TB\"`");
    }
    let granters = granters.as_ref().and_then(|list| principals("granters", list, problems));
    let workgroups = workgroups.as_ref().and_then(|list| {
        all(list.value.iter().map(|text| {
            let name = problems.ok("workgroups", &text.place, Pattern::parse(&text.value))?;
            if !name.is_exact() {
                let message = format!(
                    "`workgroups`: `{}` is a pattern: name each workgroup whose limits may be raised, for the function's \
                     role has to name them, too",
                    text.value
                );
                problems.at(&text.place, message);
                return None;
            }
            Some(text.value.clone())
        }))
    });
    let mut size = |key: &str, text: &Option<At<String>>| match text {
        Some(text) => problems.parsed::<Size>(key, text).map(Some),
        None => Some(None),
    };
    let highest_limit = size("highest_limit", highest_limit);
    let cutoff = size("highest_per_query", highest_per_query);
    if let (Some(Some(size)), Some(text)) = (cutoff, highest_per_query)
        && size.bytes < smallest_cutoff
    {
        let message =
            format!("`highest_per_query`: `{}` is below Athena's own minimum: write `10 MB` or more", text.value);
        problems.at(&text.place, message);
    }
    let longest = longest.as_ref().and_then(|text| length("longest", text, problems));
    Some(Some(GrantRules {
        granters: granters?,
        workgroups: workgroups?,
        highest_limit: highest_limit?,
        highest_per_query: cutoff?,
        longest: longest?,
        second_approver: second_approver.unwrap_or(false),
    }))
}

/// `Some(None)` where the policy has no such table.
pub(super) fn silences(typed: &TypedSilences, problems: &mut Problems<'_>) -> Option<Option<SilenceRules>> {
    let TypedSilences { silencers, longest, never } = typed;
    let lists = [silencers, never].into_iter().flatten().map(|list| &list.place);
    let Some(place) = lists.chain(longest.as_ref().map(|text| &text.place)).min() else { return Some(None) };
    let place = place.clone();
    if silencers.is_none() {
        let message =
            "`[silences]` has no `silencers`: name who may silence an alert, such as `silencers = [\"role/admin\"]`";
        problems.at(&place, message);
    }
    if longest.is_none() {
        let message =
            "`[silences]` has no `longest`: say how long a silence may last at most, such as `longest = \"8h\"`";
        problems.at(&place, message);
    }
    let silencers = silencers.as_ref().and_then(|list| principals("silencers", list, problems));
    let longest = longest.as_ref().and_then(|text| length("longest", text, problems));
    let never = match never {
        None => Some(Vec::new()),
        Some(list) => all(list.value.iter().map(|text| {
            let level = LEVELS.into_iter().find(|level| *level == text.value);
            if level.is_none() {
                let message = format!("`never`: `{}` is no level: write `warn`, `critical` or `exhausted`", text.value);
                problems.at(&text.place, message);
            }
            level
        })),
    };
    Some(Some(SilenceRules { silencers: silencers?, longest: longest?, never: never? }))
}

fn principals(key: &str, list: &At<Vec<At<String>>>, problems: &mut Problems<'_>) -> Option<Vec<PrincipalKey>> {
    if list.value.is_empty() {
        problems.at(
            &list.place,
            format!("`{key}` is empty: name somebody, such as `[\"role/admin\"]`, or leave the table out"),
        );
        return None;
    }
    all(list.value.iter().map(|text| problems.ok(key, &text.place, PrincipalKey::parse(&text.value))))
}

fn length(key: &str, text: &At<String>, problems: &mut Problems<'_>) -> Option<SignedDuration> {
    let length = duration(&text.value).filter(|length| (SHORTEST_PROMISE..=LONGEST_PROMISE).contains(length));
    if length.is_none() {
        let message =
            format!("`{key}` is `{}`: write a time from 5 minutes to 31 days with its unit, such as `8h`", text.value);
        problems.at(&text.place, message);
    }
    length
}
