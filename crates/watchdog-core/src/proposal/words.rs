//! A proposal in words: where its number comes from, how sure it is, and what is odd about the past.

use jiff::Timestamp;
use jiff::civil::Weekday;

use super::need::{Need, Peak};
use super::{Basis, Part, Passed, Proposal, Proposed, rounded_up, written};
use crate::bytes::{Bytes, Size, Units, grouped};
use crate::percent::whole_percent;
use crate::window::Window;

/// From this many days on a weekday that is twice as busy as another is told of.
const WORTH_TELLING: u128 = 2;

/// A limit is shown to the byte where that takes no more characters than this.
const MOST_EXACT: usize = 9;

/// Below two weeks how a proposal is called.
const UNSURE_BELOW: u32 = 14;

/// Sentences, the most important first: what was computed and how, how often it would have been passed, and what is odd.
pub fn because(proposal: &Proposal) -> Vec<String> {
    let Ok(proposed) = &proposal.outcome else { return Vec::new() };
    let units = proposed.quota.units;
    let mut lines = vec![computed(proposed)];
    match &proposed.basis {
        Basis::Windows(need) => {
            lines.push(statistic(need, units, proposed.window.as_ref()));
            lines.extend(proposed.passed.as_ref().map(days_passed));
            lines.extend(oddities(need, proposed, units));
        }
        Basis::Queries(need) => {
            let which = match need.rank {
                1 => "the largest".to_owned(),
                n => format!("number {n} from above, which one query in a thousand passes,"),
            };
            lines.push(format!(
                "Of {} queries, {which} has scanned {}; half have scanned {} or less, and the largest {}.",
                grouped(u64::try_from(need.queries).unwrap_or(u64::MAX)),
                short(need.bytes, units),
                short(need.median, units),
                short(need.largest, units)
            ));
            lines.extend(proposed.passed.as_ref().map(|passed| {
                format!(
                    "It would have cut off {} of them; of the next {} queries about {} (eight times out of ten {} to {}).",
                    grouped(u64::from(passed.times)),
                    grouped(u64::from(passed.expected.of)),
                    about(passed.expected.mean),
                    passed.expected.fewest,
                    passed.expected.most
                )
            }));
        }
        Basis::Spare { capacity, hour, production, days, workgroups } => {
            lines.push(format!(
                "The account can take {} {}, as stated; in its busiest hour of the day, from {hour:02}:00 UTC, production ({}) needs {} \
                 of it, by {days} days.",
                short(*capacity, units),
                proposed.window.as_ref().map_or(String::new(), span),
                workgroups.join(", "),
                short(*production, units)
            ));
            lines.extend(proposed.passed.as_ref().map(days_passed));
        }
        Basis::Stated => {
            lines.push("A stated value; nothing was computed.".to_owned());
            lines.extend(proposed.passed.as_ref().map(days_passed));
        }
    }
    lines
}

fn computed(proposed: &Proposed) -> String {
    let quota = written(proposed.quota);
    let exact = written(Size { bytes: proposed.limit, units: proposed.quota.units });
    let limit = if exact.len() <= MOST_EXACT { exact } else { proposed.limit.human(proposed.quota.units) };
    match (&proposed.window, proposed.part) {
        (None, _) => format!("{quota} for each query, without a buffer."),
        (Some(window), Part::Whole) => format!("{quota} {}.", span(window)),
        (Some(window), Part::Buffer(buffer)) => format!("{limit} {}: {quota} and {buffer} on top.", span(window)),
        (Some(window), Part::Share(share)) => format!("{limit} {}: {share} of {quota}.", span(window)),
    }
}

fn statistic(need: &Need, units: Units, window: Option<&Window>) -> String {
    let which = match need.rank {
        1 => "the largest".to_owned(),
        n => format!("number {n} from above"),
    };
    let day =
        |start: i64| Timestamp::from_second(start).map_or(String::new(), |at| at.strftime("%Y-%m-%d").to_string());
    format!(
        "Of the peaks of {} days ({} to {}, {} windows of {}) {which} counts, which about one day in {} passes: {}.",
        need.days,
        day(need.span.0),
        day(need.span.1),
        grouped(need.windows),
        window.map_or(String::new(), Window::id),
        (need.days + 1) / need.rank.max(1),
        peak(need.base, units)
    )
}

fn days_passed(passed: &Passed) -> String {
    let last = passed.last.and_then(|start| Timestamp::from_second(start).ok());
    let last = last.map_or(String::new(), |at| format!(", last on {}", at.strftime("%Y-%m-%d")));
    let Passed { times, of, expected, .. } = passed;
    format!(
        "It would have been passed on {times} of {of} days{last}; of the next {} days about {} (eight times out of ten {} to {}).",
        expected.of,
        about(expected.mean),
        expected.fewest,
        expected.most
    )
}

fn oddities(need: &Need, proposed: &Proposed, units: Units) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(accident) = need.accident {
        let with = match proposed.part {
            Part::Buffer(buffer) => buffer.on_top_of(accident.bytes),
            _ => Some(accident.bytes),
        };
        lines.push(format!(
            "Left out as an accident: {}, more than three times of any other day. With it the limit would be {}.",
            peak(accident, units),
            with.map_or("beyond 16 EiB".to_owned(), |bytes| short(bytes, units))
        ));
    } else if need.peak != need.base {
        lines.push(format!("The largest of all was {}.", peak(need.peak, units)));
    }
    if let Some((before, after)) = need.growth {
        lines.push(format!(
            "Use grows: half of the days reached {} or more in the first weeks and {} in as many at the end; as much growth again is in the \
             number, at most a half.",
            short(before, units),
            short(after, units)
        ));
    }
    if let Some([(most, high), (least, low)]) = need.week
        && u128::from(high.get()) >= u128::from(low.get()) * WORTH_TELLING
        && most != least
    {
        lines.push(format!(
            "By weekday: {}s are busiest ({}), {}s least ({}); one limit holds for all.",
            name(most),
            short(high, units),
            name(least),
            short(low, units)
        ));
    }
    if need.quiet > 0 {
        let days = if need.quiet == 1 { "1 day was".to_owned() } else { format!("{} days were", need.quiet) };
        lines.push(format!("{days} quiet (below a tenth of the median), such as holidays; they count like others."));
    }
    if need.days < UNSURE_BELOW {
        lines.push(format!(
            "Unsure: {} days are less than two weeks, so that no weekday was seen twice for sure.",
            need.days
        ));
    }
    lines
}

/// What a change would mean: `now 900 GB: twice as much`.
pub fn beside(present: Option<Bytes>, proposed: &Proposed) -> String {
    match present {
        None => "none so far".to_owned(),
        Some(present) if present == proposed.limit => "as it is".to_owned(),
        Some(present) => {
            let percent = whole_percent(proposed.limit, present);
            format!("{} now; the proposal is {percent} % of that", short(present, proposed.quota.units))
        }
    }
}

/// In three digits, rounded up as what is written into a policy is.
fn short(bytes: Bytes, units: Units) -> String {
    rounded_up(bytes, units).map_or_else(|| bytes.human(units), written)
}

/// `1.2 TB on 2026-11-03, 14:05 UTC`.
pub fn peak(peak: Peak, units: Units) -> String {
    let at =
        Timestamp::from_second(peak.at).map_or(String::new(), |at| at.strftime(" at %Y-%m-%d %H:%M UTC").to_string());
    format!("{}{at}", short(peak.bytes, units))
}

fn span(window: &Window) -> String {
    match window {
        Window::Rolling { minutes: 60 } => "an hour".to_owned(),
        Window::Rolling { minutes: 1440 } => "a day".to_owned(),
        other => format!("in {other}"),
    }
}

fn about(mean: f64) -> String {
    if mean < 10.0 { format!("{mean:.1}") } else { format!("{mean:.0}") }
}

fn name(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "Monday",
        Weekday::Tuesday => "Tuesday",
        Weekday::Wednesday => "Wednesday",
        Weekday::Thursday => "Thursday",
        Weekday::Friday => "Friday",
        Weekday::Saturday => "Saturday",
        Weekday::Sunday => "Sunday",
    }
}
