//! How long a limit looks back, and the arithmetic of it.
//!
//! Usage comes in buckets of [`BUCKET`] seconds, stamped with their start. A window at the instant `at` is the
//! buckets whose stamp lies in [`Span`]: start inclusive, end exclusive. For a *rolling* window of length `W` the
//! span is `[floor(at) − W, at)`, where `floor` goes down to the bucket border: all of the last `W`, and the
//! unfinished bucket on top where `at` lies inside one. So a rolling window never looks at less than it says, and
//! at most one bucket further back; erring this way can warn a bucket early and never late.
//!
//! For a *calendar* window the start is the beginning of the hour or day in the window's own time zone.

use std::fmt;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span as Length, SpanRelativeTo, Timestamp};

/// Seconds in one bucket of usage: 300 s, the finest step that CloudWatch keeps for 63 days.
pub const BUCKET: i64 = 300;

/// The shortest rolling window, in minutes. CloudWatch may hold a datapoint back for five minutes and more; in a window of five,
/// it would have left before anybody saw it.
pub const SHORTEST_ROLLING_MINUTES: u32 = 15;

/// The longest rolling window, in minutes: seven days. At 2,016 buckets a metric, 50 metrics still fill no more
/// than one page of `GetMetricData` (100,800 datapoints); a month would ask for a page per ten workgroups.
pub const LONGEST_ROLLING_MINUTES: u32 = 7 * 24 * 60;

/// How long a limit looks back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Window {
    /// The last so many minutes: a multiple of five, from [`SHORTEST_ROLLING_MINUTES`] to [`LONGEST_ROLLING_MINUTES`].
    Rolling {
        /// Length in minutes.
        minutes: u32,
    },
    /// From the beginning of this hour or day in a named time zone.
    Calendar {
        /// Hour or day.
        unit: CalendarUnit,
        /// Whose hours and days.
        zone: TimeZone,
    },
}

/// The calendar units a window can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CalendarUnit {
    /// From the last full hour on the zone's clock. Where the clock is set back, each of the two hours is one.
    Hour,
    /// From midnight, or from the first instant of the day where midnight does not exist.
    Day,
}

/// A stretch of time, start inclusive, end exclusive; the start lies on a bucket border.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First instant that belongs to it.
    pub start: Timestamp,
    /// First instant that no longer does.
    pub end: Timestamp,
}

/// Why a text is not a window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a window: write a rolling one as a multiple of 5 minutes from 15 minutes to 7 days, such as `1h` or `24h`, \
     or `calendar hour` or `calendar day`"
)]
pub struct BadWindow(String);

impl Window {
    /// Reads `1h`, `90 min`, `24h`, `7d`, `calendar hour`, `calendar day`; `zone` is used by the calendar ones.
    pub fn parse(text: &str, zone: &TimeZone) -> Result<Self, BadWindow> {
        let calendar = |unit| Ok(Self::Calendar { unit, zone: zone.clone() });
        match text.trim() {
            "calendar hour" => return calendar(CalendarUnit::Hour),
            "calendar day" => return calendar(CalendarUnit::Day),
            _ => {}
        }
        let length = duration(text).ok_or_else(|| BadWindow(text.to_owned()))?;
        match u32::try_from(length.as_secs() / 60) {
            Ok(minutes)
                if length.as_secs() % BUCKET == 0
                    && length.subsec_nanos() == 0
                    && (SHORTEST_ROLLING_MINUTES..=LONGEST_ROLLING_MINUTES).contains(&minutes) =>
            {
                Ok(Self::Rolling { minutes })
            }
            _ => Err(BadWindow(text.to_owned())),
        }
    }

    /// The stable name: `1h`, `24h`, `90m`, `calendar-day@Europe/Berlin`.
    pub fn id(&self) -> String {
        self.to_string()
    }

    /// The stretch of time this window covers at `at`.
    pub fn span(&self, at: Timestamp) -> Span {
        let start = match self {
            Self::Rolling { minutes } => floor(at).as_second() - i64::from(*minutes) * 60,
            Self::Calendar { unit, zone } => floor(calendar_start(*unit, zone, at)).as_second(),
        };
        Span { start: Timestamp::from_second(start).unwrap_or(Timestamp::MIN), end: at }
    }

    /// The instant at which this window began to fill from nothing: calendar windows have one, rolling ones none.
    pub fn began(&self, at: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Rolling { .. } => None,
            Self::Calendar { .. } => Some(self.span(at).start),
        }
    }

    /// The instant at which this window ends and the next one begins from nothing: calendar windows have one, rolling ones none.
    pub fn ends(&self, at: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Rolling { .. } => None,
            Self::Calendar { unit: CalendarUnit::Hour, zone } => {
                let start = calendar_start(CalendarUnit::Hour, zone, at);
                // Not an hour after the start: where the clock was set back by half an hour, one that began at half past ends with it.
                let offset = i64::from(zone.to_offset(start).seconds());
                let full = ((start.as_second() + offset).div_euclid(3600) + 1) * 3600 - offset;
                let full = Timestamp::from_second(full).unwrap_or(Timestamp::MAX);
                // A change of the clock within it ends it: on Lord Howe Island after half an hour.
                let change = zone.following(start).next().map(|change| change.timestamp());
                Some(change.map_or(full, |change| change.min(full)))
            }
            Self::Calendar { unit: CalendarUnit::Day, zone } => {
                let tomorrow = at.to_zoned_datetime(zone.clone()).start_of_day().and_then(|day| day.tomorrow());
                Some(tomorrow.and_then(|day| day.start_of_day()).map_or(Timestamp::MAX, |day| day.timestamp()))
            }
        }
    }

    /// For people, to follow a number: `in the last hour`, `today, Europe/Berlin time`.
    pub fn words(&self) -> String {
        match self {
            Self::Rolling { minutes: 60 } => "in the last hour".to_owned(),
            Self::Rolling { minutes } if minutes % 1440 == 0 && *minutes > 1440 => {
                format!("in the last {} days", minutes / 1440)
            }
            Self::Rolling { minutes } if minutes % 60 == 0 => format!("in the last {} hours", minutes / 60),
            Self::Rolling { minutes } => format!("in the last {minutes} minutes"),
            Self::Calendar { unit: CalendarUnit::Hour, zone } => {
                format!("in this clock hour, {} time", zone_name(zone))
            }
            Self::Calendar { unit: CalendarUnit::Day, zone } => format!("today, {} time", zone_name(zone)),
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rolling { minutes } if minutes % 60 == 0 => write!(f, "{}h", minutes / 60),
            Self::Rolling { minutes } => write!(f, "{minutes}m"),
            Self::Calendar { unit: CalendarUnit::Hour, zone } => write!(f, "calendar-hour@{}", zone_name(zone)),
            Self::Calendar { unit: CalendarUnit::Day, zone } => write!(f, "calendar-day@{}", zone_name(zone)),
        }
    }
}

/// The IANA name of a zone; zones in this product always have one.
pub fn zone_name(zone: &TimeZone) -> &str {
    zone.iana_name().unwrap_or("UTC")
}

/// What a zone's time is called at an instant, for people: `CET`, and `CEST` in summer; `UTC-03` where it has no letters of its own.
pub fn zone_word(zone: &TimeZone, at: Timestamp) -> String {
    let word = at.to_zoned_datetime(zone.clone()).strftime("%Z").to_string();
    if word.starts_with(['+', '-']) { format!("UTC{word}") } else { word }
}

/// The start of the bucket that `at` lies in.
pub fn floor(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second().div_euclid(BUCKET) * BUCKET).unwrap_or(Timestamp::MIN)
}

/// The border of the bucket that `at` lies in or on: the first one at or after `at`.
pub fn ceil(at: Timestamp) -> Timestamp {
    let down = floor(at);
    if down == at { at } else { down.checked_add(SignedDuration::from_secs(BUCKET)).unwrap_or(Timestamp::MAX) }
}

fn calendar_start(unit: CalendarUnit, zone: &TimeZone, at: Timestamp) -> Timestamp {
    match unit {
        // By the offset in force, not by rounding local time: where the clock is set back, 01:30 comes twice, and
        // rounding would let the second hour reach back into the first. Nor further than the change of the clock
        // itself, which on Lord Howe Island is by half an hour.
        CalendarUnit::Hour => {
            let in_force = zone.to_offset(at);
            let offset = i64::from(in_force.seconds());
            let local = at.as_second() + offset;
            let full = Timestamp::from_second(local.div_euclid(3600) * 3600 - offset).unwrap_or(Timestamp::MIN);
            if zone.to_offset(full) == in_force {
                return full;
            }
            zone.following(full).next().map_or(full, |change| change.timestamp())
        }
        CalendarUnit::Day => {
            at.to_zoned_datetime(zone.clone()).start_of_day().map_or(Timestamp::MIN, |day| day.timestamp())
        }
    }
}

/// Reads a length of time such as `4h`, `30 min`, `1d 12h`, where a day is 24 hours and a week 7 days; `None` for anything else,
/// and for months and years, whose length is not fixed.
pub fn duration(text: &str) -> Option<SignedDuration> {
    let length: Length = text.trim().parse().ok()?;
    length.to_duration(SpanRelativeTo::days_are_24_hours()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> TimeZone {
        jiff::tz::TimeZoneDatabase::bundled().get(name).unwrap()
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let got = match Window::parse(text, &zone("Europe/Berlin")) {
            Ok(window) => format!("{} | {}", window.id(), window.words()),
            Err(error) => error.to_string(),
        };
        assert_eq!(got, expected, "{text}");
    }

    /// Ids are the keys of what is remembered: one that changes forgets every open alert.
    #[test]
    fn windows_are_read_and_their_ids_are_stable() {
        check("1h", "1h | in the last hour");
        check(" 60 min ", "1h | in the last hour");
        check("3600s", "1h | in the last hour");
        check("24h", "24h | in the last 24 hours");
        check("1d", "24h | in the last 24 hours");
        check("2d", "48h | in the last 2 days");
        check("1d 12h", "36h | in the last 36 hours");
        check("7d", "168h | in the last 7 days");
        check("1w", "168h | in the last 7 days");
        check("15m", "15m | in the last 15 minutes");
        check("90 min", "90m | in the last 90 minutes");
        check("1h30m", "90m | in the last 90 minutes");
        check("calendar hour", "calendar-hour@Europe/Berlin | in this clock hour, Europe/Berlin time");
        check(" calendar day ", "calendar-day@Europe/Berlin | today, Europe/Berlin time");
    }

    #[test]
    fn anything_else_is_refused_with_a_remedy() {
        let longer = "7d 5min";
        for bad in [
            "",
            "1",
            "60",
            "0h",
            "0m",
            "-1h",
            "1h ago",
            "3m",
            "7 min",
            "5m",
            "10 min",
            "15m 1s",
            "15m 1ms",
            longer,
            "8d",
            "2w",
            "1mo",
            "1y",
            "calendar",
            "calendar week",
            "Calendar Day",
            "99999999999999h",
            "1h\0",
            "١h",
        ] {
            check(
                bad,
                &format!(
                    "`{bad}` is not a window: write a rolling one as a multiple of 5 minutes from 15 minutes to 7 days, such as \
                     `1h` or `24h`, or `calendar hour` or `calendar day`"
                ),
            );
        }
    }

    #[track_caller]
    fn check_start(window: &str, name: &str, at: &str, start: &str) {
        let window = Window::parse(window, &zone(name)).unwrap();
        let at: Timestamp = at.parse().unwrap();
        let span = window.span(at);
        assert_eq!((span.start.to_string().as_str(), span.end), (start, at), "{window} at {at}");
    }

    #[test]
    fn a_rolling_window_starts_at_a_bucket_border_and_ends_at_the_tick() {
        check_start("1h", "UTC", "2026-03-01T14:05:00Z", "2026-03-01T13:05:00Z");
        check_start("1h", "UTC", "2026-03-01T14:05:00.000000001Z", "2026-03-01T13:05:00Z");
        check_start("1h", "UTC", "2026-03-01T14:09:59.999Z", "2026-03-01T13:05:00Z");
        check_start("1h", "UTC", "2026-03-01T00:02:00Z", "2026-02-28T23:00:00Z");
        check_start("24h", "Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-28T12:00:00Z");
        check_start("7d", "UTC", "2026-01-03T00:00:00Z", "2025-12-27T00:00:00Z");
    }

    #[test]
    fn calendar_windows_start_where_the_hour_or_day_does() {
        check_start("calendar day", "UTC", "2026-03-01T00:00:00Z", "2026-03-01T00:00:00Z");
        check_start("calendar day", "UTC", "2026-02-28T23:59:59Z", "2026-02-28T00:00:00Z");
        // The clock goes forward: a day of 23 hours. And back: one of 25.
        check_start("calendar day", "Europe/Berlin", "2026-03-29T21:59:59Z", "2026-03-28T23:00:00Z");
        check_start("calendar day", "Europe/Berlin", "2026-03-29T22:00:00Z", "2026-03-29T22:00:00Z");
        check_start("calendar day", "Europe/Berlin", "2026-10-25T22:59:59Z", "2026-10-24T22:00:00Z");
        check_start("calendar day", "Europe/Berlin", "2026-10-25T23:00:00Z", "2026-10-25T23:00:00Z");
        check_start("calendar day", "America/New_York", "2026-03-08T12:00:00Z", "2026-03-08T05:00:00Z");
        check_start("calendar day", "America/New_York", "2026-11-01T12:00:00Z", "2026-11-01T04:00:00Z");
        check_start("calendar day", "Asia/Kolkata", "2026-03-01T18:29:59Z", "2026-02-28T18:30:00Z");
        check_start("calendar day", "Asia/Kolkata", "2026-03-01T18:30:00Z", "2026-03-01T18:30:00Z");
        // Midnight does not exist: the day starts at 01:00.
        check_start("calendar day", "America/Sao_Paulo", "2018-11-04T12:00:00Z", "2018-11-04T03:00:00Z");
        check_start("calendar day", "Asia/Beirut", "2026-03-28T22:00:00Z", "2026-03-28T22:00:00Z");
        // 23:00 to 24:00 comes twice: still one day.
        check_start("calendar day", "America/Sao_Paulo", "2018-02-18T02:30:00Z", "2018-02-17T02:00:00Z");
        // Midnight comes twice: the first one.
        check_start("calendar day", "America/Havana", "2026-11-01T05:30:00Z", "2026-11-01T04:00:00Z");

        check_start("calendar hour", "UTC", "2026-03-01T14:59:59Z", "2026-03-01T14:00:00Z");
        check_start("calendar hour", "Asia/Kolkata", "2026-03-01T14:29:59Z", "2026-03-01T13:30:00Z");
        check_start("calendar hour", "Asia/Kathmandu", "2026-03-01T14:20:00Z", "2026-03-01T14:15:00Z");
        check_start("calendar hour", "Europe/Berlin", "2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z");
        // 02:30 comes twice; each has an hour of its own.
        check_start("calendar hour", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T00:00:00Z");
        check_start("calendar hour", "Europe/Berlin", "2026-10-25T01:30:00Z", "2026-10-25T01:00:00Z");
        // By half an hour back at 15:00 UTC (01:30 again), and forward at 15:30 UTC (02:30, without a 02:00).
        check_start("calendar hour", "Australia/Lord_Howe", "2026-04-04T14:59:00Z", "2026-04-04T14:00:00Z");
        check_start("calendar hour", "Australia/Lord_Howe", "2026-04-04T15:10:00Z", "2026-04-04T15:00:00Z");
        check_start("calendar hour", "Australia/Lord_Howe", "2026-04-04T15:40:00Z", "2026-04-04T15:30:00Z");
        check_start("calendar hour", "Australia/Lord_Howe", "2026-10-03T15:29:00Z", "2026-10-03T14:30:00Z");
        check_start("calendar hour", "Australia/Lord_Howe", "2026-10-03T15:30:00Z", "2026-10-03T15:30:00Z");
        check_start("calendar hour", "Australia/Lord_Howe", "2026-10-03T15:45:00Z", "2026-10-03T15:30:00Z");
        check_start("calendar hour", "Australia/Lord_Howe", "2026-10-03T16:05:00Z", "2026-10-03T16:00:00Z");
    }

    #[test]
    fn only_calendar_windows_begin_anew() {
        let at = "2026-03-01T14:05:00Z".parse().unwrap();
        let began = |text: &str| Window::parse(text, &TimeZone::UTC).unwrap().began(at).map(|t| t.to_string());
        assert_eq!(began("1h"), None);
        assert_eq!(began("calendar hour").as_deref(), Some("2026-03-01T14:00:00Z"));
        assert_eq!(began("calendar day").as_deref(), Some("2026-03-01T00:00:00Z"));
    }

    #[test]
    fn the_ends_of_time_do_not_panic() {
        for window in ["7d", "calendar hour", "calendar day"] {
            for at in [Timestamp::MIN, Timestamp::MAX, Timestamp::UNIX_EPOCH] {
                Window::parse(window, &zone("Australia/Lord_Howe")).unwrap().span(at);
                ceil(at);
            }
        }
    }
}
