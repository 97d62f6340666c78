//! Instants as other programs write them.
//!
//! AWS's own answers are RFC 3339. What has been through an export, a script or another tool is seconds with a fraction, milliseconds,
//! an ISO form without its zone, or the date of a mail. All of them name one instant, so all of them are read.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, fmt::rfc2822};
use serde_json::Value;

/// Beyond this a count of seconds would lie after the year 5138: it is one of milliseconds. The same step leads to micro- and
/// nanoseconds.
const MOST_SECONDS: f64 = 1e11;

/// Reads an instant in any of the usual forms; without a zone it is UTC, as everything in AWS is. `None` for anything else.
pub fn read(value: &Value) -> Option<Timestamp> {
    match value {
        Value::Number(number) => count(number.as_f64()?),
        Value::String(text) => text_form(text.trim()),
        _ => None,
    }
}

fn text_form(text: &str) -> Option<Timestamp> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    if let Ok(number) = text.parse::<f64>() {
        return count(number);
    }
    let bare = text.strip_suffix("UTC").or_else(|| text.strip_suffix("GMT")).unwrap_or(text).trim_end();
    if let Ok(local) = bare.parse::<DateTime>() {
        return TimeZone::UTC.to_timestamp(local).ok();
    }
    // `+0000` without its colon, as Java and `date` write it.
    if let Ok(at) = Timestamp::strptime("%Y-%m-%dT%H:%M:%S%.f%z", text) {
        return Some(at);
    }
    rfc2822::parse(text).ok().map(|zoned| zoned.timestamp())
}

/// A count since 1970 in seconds, or in the finer unit that makes it plausible.
fn count(number: f64) -> Option<Timestamp> {
    if !number.is_finite() || number < 0.0 {
        return None;
    }
    let mut seconds = number;
    while seconds >= MOST_SECONDS {
        seconds /= 1000.0;
    }
    // Milliseconds are the finest that a float of today's seconds holds for sure.
    #[expect(clippy::cast_possible_truncation, reason = "below 1e14 by the loop above")]
    let milliseconds = (seconds * 1000.0).round() as i64;
    Timestamp::from_millisecond(milliseconds).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(value: Value, expected: Option<&str>) {
        assert_eq!(read(&value).map(|at| at.to_string()).as_deref(), expected, "{value}");
    }

    #[test]
    fn every_usual_form_is_read() {
        let noon = Some("2026-03-01T12:00:00Z");
        let half = Some("2026-03-01T12:00:00.5Z");
        check(json!("2026-03-01T12:00:00Z"), noon);
        check(json!("2026-03-01T13:00:00+01:00"), noon);
        check(json!("2026-03-01T12:00:00+0000"), noon);
        check(json!("2026-03-01 12:00:00.500 UTC"), half);
        check(json!("2026-03-01 12:00:00.500000+00:00"), half);
        check(json!("2026-03-01T12:00:00"), noon);
        check(json!("Sun, 01 Mar 2026 12:00:00 GMT"), noon);
        check(json!(1_772_366_400), noon);
        check(json!(1_772_366_400.5), half);
        check(json!("1772366400.5"), half);
        check(json!(1_772_366_400_500_i64), half);
        check(json!("1772366400500"), half);
        check(json!(1_772_366_400_500_000_000_i64), half);
    }

    #[test]
    fn what_is_none_is_none() {
        for value in [json!(""), json!("yesterday"), json!(null), json!(-1), json!("NaN"), json!("inf"), json!([1])] {
            check(value, None);
        }
    }
}
