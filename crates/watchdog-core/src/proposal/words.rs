//! A proposal in words: where its number comes from, how sure it is, and what is odd about the past.

use jiff::Timestamp;
use jiff::civil::Weekday;

use super::band::{Band, Counted};
use super::capacity::Learnt;
use super::expected::Expected;
use super::need::{Need, Peak};
use super::{Basis, Part, Passed, Proposal, Proposed, rounded_up, written};
use crate::bytes::{Bytes, Size, Units, grouped};
use crate::mail::quota_link;
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
        Basis::Spare { capacity, learnt, hour, production, days, workgroups } => {
            lines.extend(learnt.map(|learnt| learnt_words(learnt, units)));
            lines.push(format!(
                "The account can take {} {}, {}; in its busiest hour of the day, from {hour:02}:00 UTC, production ({}) needs {} \
                 of it, by {days} days.",
                short(*capacity, units),
                proposed.window.as_ref().map_or(String::new(), span),
                if learnt.is_some() { "as learnt" } else { "as stated" },
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

fn which(rank: u32) -> String {
    match rank {
        1 => "the largest".to_owned(),
        n => format!("number {n} from above"),
    }
}

fn statistic(need: &Need, units: Units, window: Option<&Window>) -> String {
    let which = which(need.rank);
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

fn learnt_words(learnt: Learnt, units: Units) -> String {
    let grouped = |n: u32| grouped(u64::from(n));
    match learnt {
        Learnt::From { bytes, above, below } => format!(
            "Learnt from when queries waited ten seconds and more, or as many were active as the quota has: so it was in {} of the {} hours with {} or more, \
             from where on it is more likely than not, and in {} of the {} hours with less.",
            grouped(above.0),
            grouped(above.1),
            short(bytes, units),
            grouped(below.0),
            grouped(below.1)
        ),
        Learnt::Never { bytes, hours } => format!(
            "Learnt: in none of {} hours a query waited ten seconds or the quota of active ones was reached; the account took {} at most, and may take more.",
            grouped(hours),
            short(bytes, units)
        ),
    }
}

/// How full a quota of active queries has been: the band first, then when, what is left, and what to do.
pub fn crowded(counted: &Counted, band: &Band, region: &str) -> Vec<String> {
    let quota = counted.quota.map(|quota| quota.most);
    let share = |n: u64| quota.map(|quota| whole_percent(Bytes::new(n), Bytes::new(quota)));
    let (low, high) = (band.usual.low, band.usual.high);
    let (active, all) = band.active;
    let usual = if low == high { format!("{low} active") } else { format!("{low} to {high} active") };
    let shares = match (share(low), share(high)) {
        (Some(from), Some(to)) if from == to => format!(", {from} % of the quota"),
        (Some(from), Some(to)) => format!(", {from} % to {to} % of the quota"),
        _ => String::new(),
    };
    let mut lines = vec![format!("Eight times out of ten {usual}{shares}, while there are any.")];
    lines.push(format!("There were any in {} of {} stretches of five minutes.", grouped(active), grouped(all)));
    if quota.is_none() {
        lines.push("Their quota is not known, so that nothing is said of what is left.".to_owned());
    }
    let (most, at) = band.peak;
    let left = match quota {
        Some(quota) if most >= quota => {
            format!(", {} %: nothing was left, and the next ones would have been refused", share(most).unwrap_or(0))
        }
        Some(quota) => format!(", {} %: {} were left", share(most).unwrap_or(0), grouped(quota - most)),
        None => String::new(),
    };
    lines.push(format!("At most {most} at {}{left}.", at.strftime("%Y-%m-%d %H:%M UTC")));
    let hours = band.busiest();
    if !hours.is_empty() {
        let of = |hour: &u8| {
            let most = band.hours.get(usize::from(*hour)).copied().unwrap_or(0);
            format!("{hour:02}:00 ({most})")
        };
        let names: Vec<String> = hours.iter().map(of).collect();
        lines.push(format!(
            "Busiest hours, UTC, with the most that half of the days reach in them: {}.",
            names.join(", ")
        ));
    }
    match &band.need {
        Ok(need) => lines.push(format!(
            "Of the peaks of {} days {} counts, which about one day in {} passes: {}.",
            need.days,
            which(need.rank),
            (need.days + 1) / need.rank.max(1),
            need.base.bytes.get()
        )),
        Err(_) => lines.push(format!("Of {} whole days nothing is said of those to come.", band.days.len())),
    }
    if let Some(reached) = &band.reached {
        lines.push(reached_on("The quota was reached", reached.times, reached.of, reached.last, &reached.expected));
    }
    if let Ok(Need { growth: Some((before, after)), .. }) = &band.need {
        lines.push(format!(
            "It grows: half of the days reached {} or more in the first weeks and {} in as many at the end.",
            before.get(),
            after.get()
        ));
    }
    if let Some(better) = quota.and_then(|quota| band.better(quota)) {
        let link = if region.is_empty() { String::new() } else { format!(": {}", quota_link(region, counted.class)) };
        lines.push(format!(
            "Too near: the next burst is refused. With a quota of {} what is needed would be four fifths of it; ask AWS for it{link}",
            grouped(better)
        ));
    }
    lines
}

fn days_passed(passed: &Passed) -> String {
    reached_on("It would have been passed", passed.times, passed.of, passed.last, &passed.expected)
}

fn reached_on(what: &str, times: u32, of: u32, last: Option<i64>, expected: &Expected) -> String {
    let last = last.and_then(|start| Timestamp::from_second(start).ok());
    let last = last.map_or(String::new(), |at| format!(", last on {}", at.strftime("%Y-%m-%d")));
    format!(
        "{what} on {times} of {of} days{last}; of the next {} days about {} (eight times out of ten {} to {}).",
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
