//! The values that stand on the command line, and what to write in the place of those that cannot be right.

use jiff::SignedDuration;
use jiff::tz::TimeZone;
use watchdog_aws::operator::past::{LONGEST, LONGEST_HOURS};
use watchdog_core::bytes::Size;
use watchdog_core::policy::{Class, Pattern, PlanRule, plan_rules};
use watchdog_core::window::{LONGEST_ROLLING_MINUTES, Window, duration};

/// A stack's name, as CloudFormation allows it.
pub fn stack_name(text: &str) -> Result<String, String> {
    let fits = text.len() <= 128
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if fits {
        return Ok(text.to_owned());
    }
    Err("a stack's name starts with a letter and has letters, digits and `-`".to_owned())
}

/// A workgroup's name, as Athena allows it.
pub fn workgroup_name(text: &str) -> Result<String, String> {
    match Pattern::parse(text) {
        Ok(name) if name.is_exact() => Ok(text.to_owned()),
        Ok(_) => Err("one workgroup at a time: write its name without wildcards".to_owned()),
        Err(_) => Err("a workgroup's name has 1 to 128 letters, digits, `.`, `_` and `-`".to_owned()),
    }
}

/// How far to look back: as far as a limit's window can.
pub fn since(text: &str) -> Result<SignedDuration, String> {
    let longest = SignedDuration::from_mins(i64::from(LONGEST_ROLLING_MINUTES));
    let length = duration(text).filter(|length| (SignedDuration::from_mins(5)..=longest).contains(length));
    length.ok_or_else(|| "write a time from 5 minutes to 7 days with its unit, such as `1h` or `90 min`".to_owned())
}

/// How far back a back-test looks: as far as CloudWatch does.
pub fn past(text: &str) -> Result<SignedDuration, String> {
    let length = duration(text).filter(|length| (SignedDuration::from_hours(1)..=LONGEST).contains(length));
    length.ok_or_else(|| "write a time from 1 hour to 63 days with its unit, such as `30d`".to_owned())
}

/// How far back a plan looks: as far as CloudWatch does.
pub fn long_past(text: &str) -> Result<SignedDuration, String> {
    let length = duration(text).filter(|length| (SignedDuration::from_hours(1)..=LONGEST_HOURS).contains(length));
    length.ok_or_else(|| "write a time from 1 hour to 455 days with its unit, such as `63d`".to_owned())
}

/// The quota of one class.
pub fn active_quota(text: &str) -> Result<(Class, u64), String> {
    let (name, quota) = text.split_once('=').ok_or("write a class and its quota, such as `DML=200`")?;
    let class = crate::plan::class(name).map_err(|why| format!("the class is `{name}`: {why}"))?;
    match quota.parse() {
        Ok(quota) if (1..=1_000_000).contains(&quota) => Ok((class, quota)),
        _ => Err(format!("the quota is `{quota}`: write a whole number from 1 to 1000000")),
    }
}

/// Bytes with their unit, handed on as they were typed.
pub fn size(text: &str) -> Result<String, String> {
    text.parse::<Size>().map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// How long something is promised for. How long it may be is the policy's to say, and the function's.
pub fn promised(text: &str) -> Result<String, String> {
    match duration(text) {
        Some(length) if length > SignedDuration::ZERO => Ok(text.to_owned()),
        _ => Err("write a time with its unit, such as `3h` or `90 min`".to_owned()),
    }
}

/// A workgroup's name or pattern, and the rules for its limits.
pub fn plan_rule(text: &str) -> Result<(Pattern, Vec<PlanRule>), String> {
    let (name, rules) = text.split_once('=').ok_or("write it as `NAME=RULE`, such as `etl=1h + 10 %`")?;
    let name = Pattern::parse(name.trim()).map_err(|error| error.to_string())?;
    Ok((name, plan_rules(rules).map_err(|error| error.to_string())?))
}

/// A size in a window.
pub fn capacity(text: &str) -> Result<(Size, Window), String> {
    let (size, window) = text.split_once('/').ok_or("write a size and a time, such as `5TiB/1h`")?;
    let size = size.parse::<Size>().map_err(|error| error.to_string())?;
    match Window::parse(window, &TimeZone::UTC) {
        Ok(window @ Window::Rolling { minutes }) if minutes <= 24 * 60 => Ok((size, window)),
        _ => Err(format!(
            "`{window}` is no time that it can be counted in: write one from 15 minutes to 24 hours, such as `1h`"
        )),
    }
}

/// A path of SSM parameters.
pub fn parameter_path(text: &str) -> Result<String, String> {
    let fits = text.len() > 1
        && text.starts_with('/')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b));
    if fits {
        return Ok(text.to_owned());
    }
    Err("a parameter path starts with `/` and has letters, digits, `.`, `_`, `-` and `/`".to_owned())
}
