//! One limit as meant: its window, its bytes, and the rules that hold for it.

use jiff::SignedDuration;
use jiff::tz::TimeZone;

use super::problem::Place;
use super::typed::{At, TypedAudience, TypedLimit, TypedRules};
use super::value::{Context, Problems, all, allowed_address, hold, interval, later_rules, people_bound, switch, zone};
use super::{Audience, Limit, Origin, Who};
use crate::bytes::{Bytes, Size, Units};
use crate::percent::Percent;
use crate::window::Window;

/// Warn with a tenth left where the forecast has not done so before. The forecast opens most warnings, and earlier; a plain level below this
/// would open more false ones than it adds true ones (`docs/forecast.md` has the table).
const WARN: Percent = Percent::whole(90);
/// Without a forecast warn with a fifth left: at a steady pace that is twelve minutes of a one-hour limit, about what a person needs
/// to read a mail and stop a query. At 90 % half of that; at 70 % normal days begin to warn.
const WARN_UNFORESEEN: Percent = Percent::whole(80);
/// Critical with a twentieth left: one bucket of a one-hour window at a steady pace, the last look before it is gone.
const CRITICAL: Percent = Percent::whole(95);
/// A level falls at least 5 points below where it rose: with less, use that hovers at a threshold opens and resolves all day.
const HYSTERESIS: Percent = Percent::whole(5);
/// And an alert resolves only below three quarters of the limit. On the public series every step down from 85 % to 65 % costs a
/// tenth more of time under an alert and saves a tenth of the false ones.
const RESOLVES_BELOW: Percent = Percent::whole(75);
/// Half an hour is the half of the shortest common window: what was low for so long is no pause between two queries.
pub(super) const HOLD: SignedDuration = SignedDuration::from_mins(30);
/// A reminder twice in a working day; more often is noise, less often is forgotten by the next shift.
pub(super) const REPEAT_EVERY: SignedDuration = SignedDuration::from_hours(4);

pub(super) fn limit(
    typed: &TypedLimit,
    above: &TypedRules,
    context: &Context<'_>,
    problems: &mut Problems<'_>,
) -> Option<Limit> {
    let zone = match &typed.time_zone {
        Some(name) => zone(name, problems),
        None => Some(context.zone.clone()),
    };
    let window = match &typed.window {
        Some(text) => {
            let window = problems.ok("window", &text.place, Window::parse(&text.value, &zone.unwrap_or(TimeZone::UTC)));
            if let (Some(Window::Rolling { .. }), Some(name)) = (&window, &typed.time_zone) {
                problems.at(
                    &name.place,
                    format!(
                        "`time_zone` has no meaning for the rolling window `{}`: remove it, or write `calendar day`",
                        text.value
                    ),
                );
            }
            window
        }
        None => {
            let message = "this `[[workgroup.limit]]` has no `window`: write `window = \"1h\"`";
            problems.missing(Some(&typed.place), "window", &typed.unread, message);
            None
        }
    };
    let amount = amount(typed, problems);
    let typed_rules = later_rules(&typed.rules, above);
    let rules = rules(&typed_rules, context, problems);
    related(&typed_rules, &rules, problems);
    let (bytes, units, origin) = amount?;
    Some(Limit {
        window: window?,
        bytes,
        units,
        origin,
        warn: rules.warn?,
        warn_unforeseen: rules.warn_unforeseen?,
        forecast: rules.forecast?,
        hold: rules.hold?,
        critical: rules.critical?,
        hysteresis: rules.hysteresis?,
        repeat_every: rules.repeat_every?,
        audience: rules.audience?,
    })
}

/// What was made of a [`TypedRules`]: `None` where it is wrong, the product's default where it says nothing.
pub(super) struct Rules {
    warn: Option<Percent>,
    warn_unforeseen: Option<Percent>,
    critical: Option<Percent>,
    hysteresis: Option<Percent>,
    forecast: Option<bool>,
    hold: Option<SignedDuration>,
    repeat_every: Option<SignedDuration>,
    audience: Option<Audience>,
}

pub(super) fn rules(typed: &TypedRules, context: &Context<'_>, problems: &mut Problems<'_>) -> Rules {
    let warn = threshold("warn", typed.warn.as_ref(), WARN, problems);
    let critical = threshold("critical", typed.critical.as_ref(), CRITICAL, problems);
    let (warn, warn_unforeseen) = match (&typed.warn, critical) {
        (Some(_), _) => (warn, warn),
        // A default gives way to what is stated, as far as the other default.
        (None, Some(critical)) if critical <= WARN => (Some(WARN_UNFORESEEN), Some(WARN_UNFORESEEN)),
        (None, _) => (warn, Some(WARN_UNFORESEEN)),
    };
    let forecast = match &typed.forecast {
        Some(text) => switch("forecast", text, problems),
        None => Some(true),
    };
    let warn = if forecast == Some(false) { warn_unforeseen } else { warn };
    Rules {
        warn,
        warn_unforeseen,
        critical,
        hysteresis: match &typed.hysteresis {
            Some(text) => problems.parsed("hysteresis", text),
            None => warn.map(|warn| HYSTERESIS.max(warn.saturating_sub(RESOLVES_BELOW))),
        },
        forecast,
        hold: match &typed.hold {
            Some(text) => hold(text, problems),
            None => Some(HOLD),
        },
        repeat_every: match &typed.repeat_every {
            Some(text) => interval("repeat_every", text, problems),
            None => Some(REPEAT_EVERY),
        },
        audience: audience(typed.audience.as_ref(), context, problems),
    }
}

/// What must hold between the rules of one limit. Each problem is placed at the value that was written last.
fn related(typed: &TypedRules, rules: &Rules, problems: &mut Problems<'_>) {
    warns_below_critical(
        (typed.warn.as_ref(), rules.warn),
        (typed.critical.as_ref(), rules.critical),
        (typed.hysteresis.as_ref(), rules.hysteresis),
        problems,
    );
}

/// A percentage as it was written, where it was, and as it is meant, where it is right.
type Written<'a> = (Option<&'a At<String>>, Option<Percent>);

/// That the thresholds go up, and that an alert can resolve.
pub(super) fn warns_below_critical(
    warn: Written<'_>,
    critical: Written<'_>,
    hysteresis: Written<'_>,
    problems: &mut Problems<'_>,
) {
    let ((typed_warn, warn), (typed_critical, critical)) = (warn, critical);
    let (typed_hysteresis, hysteresis) = hysteresis;
    let mut at_last = |a: Option<&At<String>>, b: Option<&At<String>>, message: String| {
        if let Some(text) = a.into_iter().chain(b).max_by_key(|text| &text.place) {
            problems.at(&text.place, message);
        }
    };
    if let (Some(warn), Some(critical)) = (warn, critical)
        && warn >= critical
    {
        let message = format!("`warn` is {warn} and `critical` {critical}: `warn` must be below `critical`");
        at_last(typed_warn, typed_critical, message);
    }
    if let (Some(hysteresis), Some(warn)) = (hysteresis, warn)
        && hysteresis >= warn
    {
        let message = format!(
            "`hysteresis` is {hysteresis} and `warn` {warn}: an alert could never resolve; make `hysteresis` smaller"
        );
        at_last(typed_hysteresis, typed_warn, message);
    }
}

fn amount(typed: &TypedLimit, problems: &mut Problems<'_>) -> Option<(Bytes, Units, Origin)> {
    let part = |text: &Option<At<String>>, key: &str, problems: &mut Problems<'_>| -> Option<Option<Percent>> {
        text.as_ref().map(|text| problems.parsed(key, text))
    };
    let buffer = part(&typed.buffer, "buffer", problems);
    let share = part(&typed.share, "share", problems);
    match (&typed.limit, &typed.quota) {
        (Some(limit), None) => {
            for (key, text) in [("buffer", &typed.buffer), ("share", &typed.share)] {
                if let Some(text) = text {
                    problems.at(&text.place, format!("`{key}` belongs to a `quota`, and this limit is given directly: remove it, or write `quota` instead of `limit`"));
                }
            }
            let size: Size = problems.parsed("limit", limit)?;
            Some((size.bytes, size.units, Origin::Given))
        }
        (None, Some(quota)) => {
            let size: Option<Size> = problems.parsed("quota", quota);
            let (computed, origin) = match (buffer, share) {
                (Some(_), Some(_)) => {
                    // Both are read above, so that what is wrong with them is told too.
                    problems.at(&quota.place, "this limit has both `buffer` and `share`: `buffer` goes on top of the quota, `share` is a part of it; keep one");
                    return None;
                }
                (Some(buffer), None) => {
                    let (size, buffer) = (size?, buffer?);
                    (buffer.on_top_of(size.bytes), Origin::QuotaAndBuffer { quota: size, buffer })
                }
                (None, Some(share)) => {
                    let share = share?;
                    if share > Percent::HUNDRED || share == Percent::whole(0) {
                        let place = typed.share.as_ref().map_or(&quota.place, |t| &t.place);
                        problems.at(place, format!("`share` is `{share}`: it must be more than 0 % and at most 100 %"));
                        return None;
                    }
                    let size = size?;
                    (share.of(size.bytes), Origin::ShareOfQuota { quota: size, share })
                }
                (None, None) => {
                    let size = size?;
                    (Some(size.bytes), Origin::QuotaAndBuffer { quota: size, buffer: Percent::whole(0) })
                }
            };
            match computed {
                Some(bytes) if bytes > Bytes::ZERO => Some((bytes, size?.units, origin)),
                _ => {
                    problems.at(
                        &quota.place,
                        format!("the limit computed from `quota = \"{}\"` is not between 1 B and 16 EiB", quota.value),
                    );
                    None
                }
            }
        }
        (Some(limit), Some(_)) => {
            problems.at(&limit.place, "this limit has both `limit` and `quota`: write the number in one way only");
            None
        }
        (None, None) => {
            let message = "this `[[workgroup.limit]]` has neither `limit` nor `quota`: write `limit = \"700 GB\"`, or `quota = \"1 TB\"` with `buffer` or `share`";
            if !typed.unread.contains(&"limit") {
                problems.missing(Some(&typed.place), "quota", &typed.unread, message);
            }
            None
        }
    }
}

pub(super) fn threshold(
    key: &str,
    text: Option<&At<String>>,
    default: Percent,
    problems: &mut Problems<'_>,
) -> Option<Percent> {
    let Some(text) = text else { return Some(default) };
    let percent: Percent = problems.parsed(key, text)?;
    if percent == Percent::whole(0) || percent >= Percent::HUNDRED {
        problems.at(
            &text.place,
            format!(
                "`{key}` is `{}`: it must be more than 0 % and less than 100 %, where the limit is exhausted",
                text.value
            ),
        );
        return None;
    }
    Some(percent)
}

pub(super) fn audience(
    typed: Option<&At<TypedAudience>>,
    context: &Context<'_>,
    problems: &mut Problems<'_>,
) -> Option<Audience> {
    let admins = || vec![Who::Admins];
    let Some(typed) = typed else {
        return Some(Audience { warn: admins(), critical: admins(), exhausted: admins() });
    };
    let never_empty = |place: &Place, problems: &mut Problems<'_>| {
        problems.at(
            place,
            "the audience of `exhausted` is empty: somebody must hear that a limit is gone; write `[\"admins\"]`",
        );
    };
    match &typed.value {
        TypedAudience::Every(list) => {
            if list.is_empty() {
                never_empty(&typed.place, problems);
            }
            let list = people(&At { value: list.clone(), place: typed.place.clone() }, context, problems)?;
            Some(Audience { warn: list.clone(), critical: list.clone(), exhausted: list })
        }
        TypedAudience::Each(each) => {
            if let Some(list) = each.exhausted.as_ref().filter(|list| list.value.is_empty()) {
                never_empty(&list.place, problems);
            }
            let mut level = |list: &Option<At<Vec<At<String>>>>| match list {
                Some(list) => people(list, context, problems),
                None => Some(admins()),
            };
            let (warn, critical, exhausted) = (level(&each.warn), level(&each.critical), level(&each.exhausted));
            Some(Audience { warn: warn?, critical: critical?, exhausted: exhausted? })
        }
    }
}

fn people(list: &At<Vec<At<String>>>, context: &Context<'_>, problems: &mut Problems<'_>) -> Option<Vec<Who>> {
    people_bound("audience", list, problems);
    let read = |text: &At<String>, problems: &mut Problems<'_>| match text.value.as_str() {
        "admins" => Some(Who::Admins),
        "owner" => Some(Who::Owner),
        "submitters" => Some(Who::Submitters),
        other if other.contains('@') => allowed_address("audience", text, context.domains, problems).map(Who::Address),
        other => {
            problems.at(
                &text.place,
                format!("`audience`: `{other}` is nobody: write `admins`, `owner`, `submitters` or a mail address"),
            );
            None
        }
    };
    all(list.value.iter().map(|text| read(text, problems)))
}
