//! How long a workgroup may go unasked where its level cannot change meanwhile, as meant: the table `[economy]`.

use jiff::SignedDuration;

use super::Economy;
use super::typed::TypedEconomy;
use super::value::Problems;
use crate::window::duration;

/// Two runs of the usual schedule: with less nobody is ever left out.
const SHORTEST: SignedDuration = SignedDuration::from_mins(10);
/// What cannot change is only as sure as what a workgroup was ever seen to do, and that gets weaker with the length of the look ahead: in an
/// hour most workgroups have used up the most of their hour's limit at some time.
pub(crate) const LONGEST: SignedDuration = SignedDuration::from_hours(1);

/// Of two documents the later one's values win key by key.
pub(super) fn later(later: TypedEconomy, earlier: TypedEconomy) -> TypedEconomy {
    TypedEconomy { at_most: later.at_most.or(earlier.at_most) }
}

/// `Some(None)` where everybody is asked in every run.
pub(super) fn economy(typed: &TypedEconomy, problems: &mut Problems<'_>) -> Option<Option<Economy>> {
    let Some(text) = &typed.at_most else { return Some(None) };
    match duration(&text.value) {
        // Says "off" where an earlier document says otherwise.
        Some(length) if length.is_zero() => Some(None),
        Some(at_most) if (SHORTEST..=LONGEST).contains(&at_most) => Some(Some(Economy { at_most })),
        _ => {
            let message = format!(
                "`at_most` is `{}`: write a time from 10 minutes to 1 hour with its unit, such as `30 min`; `0 min` asks every \
                 workgroup in every run",
                text.value
            );
            problems.at(&text.place, message);
            None
        }
    }
}
