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

/// The longest rolling window, in minutes: seven days. At 2,016 buckets a metric, 50 metrics still fill no more
/// than one page of `GetMetricData` (100,800 datapoints); a month would ask for a page per ten workgroups.
pub const LONGEST_ROLLING_MINUTES: u32 = 7 * 24 * 60;

/// How long a limit looks back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Window {
    /// The last so many minutes: a multiple of five, at most [`LONGEST_ROLLING_MINUTES`].
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
    "`{0}` is not a window: write a rolling one as a multiple of 5 minutes up to 7 days, such as `1h` or `24h`, \
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
                    && (5..=LONGEST_ROLLING_MINUTES).contains(&minutes) =>
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

    /// For people, to follow a number: `in the last hour`, `today (Europe/Berlin)`.
    pub fn words(&self) -> String {
        match self {
            Self::Rolling { minutes: 60 } => "in the last hour".to_owned(),
            Self::Rolling { minutes } if minutes % 60 == 0 => format!("in the last {} hours", minutes / 60),
            Self::Rolling { minutes } => format!("in the last {minutes} minutes"),
            Self::Calendar { unit: CalendarUnit::Hour, zone } => format!("in this clock hour ({})", zone_name(zone)),
            Self::Calendar { unit: CalendarUnit::Day, zone } => format!("today ({})", zone_name(zone)),
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
        // rounding would let the second hour reach back into the first.
        CalendarUnit::Hour => {
            let offset = i64::from(zone.to_offset(at).seconds());
            let local = at.as_second() + offset;
            Timestamp::from_second(local.div_euclid(3600) * 3600 - offset).unwrap_or(Timestamp::MIN)
        }
        CalendarUnit::Day => {
            at.to_zoned_datetime(zone.clone()).start_of_day().map_or(Timestamp::MIN, |day| day.timestamp())
        }
    }
}

/// Reads a length of time such as `4h`, `30 min`, `1d 12h`, where a day is 24 hours; `None` for anything else,
/// and for weeks, months and years, whose length is not fixed or not expected here.
pub fn duration(text: &str) -> Option<SignedDuration> {
    let length: Length = text.trim().parse().ok()?;
    length.to_duration(SpanRelativeTo::days_are_24_hours()).ok()
}
