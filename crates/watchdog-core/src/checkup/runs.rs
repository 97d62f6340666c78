//! What starts the runs, whether they are completed, and by which clock.

use jiff::{SignedDuration, Timestamp};

use super::remedy::{quote, resource};
use super::state::{Alarm, Blind, Place, Schedule, Stack, State};
use super::{Check, Severity, count};
use crate::policy::Policy;
use crate::window::duration;

/// Without a completed run for this many intervals something is wrong: one may be late and one may fail and be retried.
const INTERVALS: i32 = 3;
/// Used where the schedule is a `cron` expression and no silence alarm says what is too long: longer than a day.
const LONGEST_SILENCE: SignedDuration = SignedDuration::from_hours(26);
/// Clocks that differ by less are as equal as a `Date` header of whole seconds can tell.
const CLOCK_OFF: SignedDuration = SignedDuration::from_secs(60);
/// AWS refuses requests whose signature is older or newer than five minutes.
const CLOCK_WRONG: SignedDuration = SignedDuration::from_mins(5);

/// What starts the runs.
pub(super) fn schedule(state: &State, policy: Option<&Policy>) -> Check {
    let place = &state.place;
    let mut check = Check::new("schedule", "");
    let Some(schedule) = check.seen(&state.schedule) else { return check };
    let Some(schedule) = schedule else {
        let mut remedy = Vec::new();
        if let (Some(name), Some(function)) = (resource(state, "FunctionRun"), function_arn(state)) {
            let role = resource(state, "FunctionRunRole").unwrap_or("ROLE");
            remedy.push(place.aws(&format!(
                "scheduler create-schedule --name {} --schedule-expression 'rate(5 minutes)' --flexible-time-window Mode=OFF \
                 --target Arn={},RoleArn=arn:{}:iam::{}:role/{}",
                quote(name),
                quote(&function),
                place.partition,
                place.account,
                quote(role)
            )));
        } else {
            remedy.push(place.deploy());
        }
        check.find(
            Severity::Critical,
            "schedule",
            "the schedule does not exist",
            "Nothing starts the watchdog: nobody is watching.",
            remedy,
        );
        return check;
    };
    check.fine = format!("the schedule fires: {}", schedule.expression);
    if !schedule.enabled {
        check.find(
            Severity::Critical,
            format!("schedule/{}", schedule.name),
            format!("the schedule `{}` is disabled", schedule.name),
            "Nothing starts the watchdog: nobody is watching.",
            vec![update(place, schedule, "Target")],
        );
    }
    if schedule.ends.is_some_and(|ends| ends <= state.now) {
        check.find(
            Severity::Critical,
            format!("schedule/{}", schedule.name),
            format!("the schedule `{}` has ended", schedule.name),
            "Nothing starts the watchdog any more: nobody is watching.",
            vec![update(place, schedule, "Target")],
        );
    }
    if let Some(function) = function_arn(state) {
        // A version or an alias of it may follow.
        let ours = schedule.target.strip_prefix(&function).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'));
        if !ours {
            check.find(
                Severity::Critical,
                format!("schedule/{}", schedule.name),
                format!(
                    "the schedule `{}` invokes `{}` and not the watchdog's function",
                    schedule.name, schedule.target
                ),
                "Nothing starts the watchdog: nobody is watching.",
                vec![update(
                    place,
                    schedule,
                    &format!(
                        "{{Arn:'{function}',RoleArn:Target.RoleArn,RetryPolicy:Target.RetryPolicy,\
                         DeadLetterConfig:Target.DeadLetterConfig}}"
                    ),
                )],
            );
        }
    }
    if let Some(often) = interval(&schedule.expression)
        && let Ok(alarms) = &state.alarms
        && let Some(silence) = silence_alarm(state, alarms)
        && SignedDuration::from_secs(silence.seconds) < often * 2
    {
        check.find(
            Severity::Warning,
            format!("schedule/{}", schedule.name),
            format!(
                "the silence alarm waits {} and a run comes every {}",
                words(SignedDuration::from_secs(silence.seconds)),
                words(often)
            ),
            "It goes off though nothing is wrong, and soon nobody believes it.",
            vec![format!("{} --parameter-overrides SilenceAlarmSeconds={}", place.deploy(), silence_that_fits(often))],
        );
    }
    if let (Some(often), Some(policy)) = (interval(&schedule.expression), policy) {
        bursts(&mut check, schedule, often, policy);
    }
    check
}

/// Whether a burst of queries between two runs would go unseen.
fn bursts(check: &mut Check, schedule: &Schedule, often: SignedDuration, policy: &Policy) {
    let active = &policy.active_queries;
    let is_watched = !active.classes.is_empty() || policy.rules().iter().any(|rule| rule.waiting.is_some());
    if !is_watched || active.look_back >= often {
        return;
    }
    // The longest that a policy may say.
    let fits = (often * 2).min(SignedDuration::from_hours(1));
    check.find(
        Severity::Warning,
        format!("schedule/{}", schedule.name),
        format!("a run comes every {} and looks back {} at active queries", words(often), words(active.look_back)),
        "Queries that are refused or wait between two looks are not seen.",
        vec![format!("in the policy, below `[active_queries]`: look_back = \"{} min\"", fits.as_mins())],
    );
}

/// The ARN of the stack's function.
fn function_arn(state: &State) -> Option<String> {
    let place = &state.place;
    let name = resource(state, "Function")?;
    Some(format!("arn:{}:lambda:{}:{}:function:{name}", place.partition, place.region, place.account))
}

/// Whether runs are completed.
pub(super) fn runs(state: &State) -> Check {
    let mut check = Check::new("last run", "");
    let Some(last) = check.seen(&state.last_run) else { return check };
    // By AWS's clock, which stamped the run.
    let now = state.now + state.clock.unwrap_or(SignedDuration::ZERO);
    let often = state.schedule.as_ref().ok().and_then(|s| s.as_ref()).and_then(|s| interval(&s.expression));
    let silence = state.alarms.as_ref().ok().and_then(|alarms| silence_alarm(state, alarms));
    let bound = match (often, silence) {
        (Some(often), _) => often * INTERVALS,
        (None, Some(alarm)) => SignedDuration::from_secs(alarm.seconds),
        (None, None) => LONGEST_SILENCE,
    };
    let look = vec![state.place.read_log()];
    match last {
        Some(last) => {
            let age = now.duration_since(*last);
            check.fine = format!("the last run was completed {} ago", words(age));
            if age > bound {
                check.find(
                    Severity::Critical,
                    "function",
                    format!(
                        "no run has been completed for {} (since {})",
                        words(age),
                        last.strftime("%Y-%m-%d %H:%M UTC")
                    ),
                    format!("Nobody is watching; {} without one is too long here.", words(bound)),
                    look,
                );
            }
        }
        None => {
            let made = state.stack.as_ref().ok().and_then(|stack| stack.as_ref()).and_then(made);
            match made.map(|made| now.duration_since(made)).filter(|age| *age <= bound) {
                Some(age) => check.find(
                    Severity::Note,
                    "function",
                    format!("no run has been completed yet; the stack is {} old", words(age)),
                    "The first comes within one interval of the schedule.",
                    vec![],
                ),
                None => check.find(
                    Severity::Critical,
                    "function",
                    "no run has ever been completed",
                    "Nobody is watching; the function's log says why.",
                    look,
                ),
            }
        }
    }
    check
}

/// When the schedule was made, and with it the stack.
fn made(stack: &Stack) -> Option<Timestamp> {
    stack.resources.get("FunctionRun")?.updated
}

/// This machine's clock against AWS's.
pub(super) fn clock(state: &State) -> Check {
    let mut check = Check::new("clock", "");
    let Some(off) = state.clock else {
        check.cannot_see(&Blind::After("no answer of AWS said what time it is".to_owned()));
        return check;
    };
    check.fine = "this machine's clock agrees with AWS's".to_owned();
    let size = off.abs();
    if size >= CLOCK_OFF {
        let severity = if size >= CLOCK_WRONG { Severity::Critical } else { Severity::Warning };
        let direction = if off.is_negative() { "ahead of" } else { "behind" };
        check.find(
            severity,
            "this machine",
            format!("this machine's clock is {} {direction} AWS's", words(size)),
            "What this tool shows is of another time than it says; from five minutes on AWS refuses its requests. \
             The function has its own clock.",
            vec!["sudo timedatectl set-ntp true".to_owned()],
        );
    }
    check
}

/// Switches the schedule on, without an end, with this target as JMESPath. CloudFormation does not mend what was changed behind its back.
fn update(place: &Place, schedule: &Schedule, target: &str) -> String {
    let get = place.aws(&format!(
        "scheduler get-schedule --name {} --output json --query \"{{Name:Name,GroupName:GroupName,\
         ScheduleExpression:ScheduleExpression,FlexibleTimeWindow:FlexibleTimeWindow,Target:{target},State:'ENABLED'}}\"",
        quote(&schedule.name)
    ));
    place.aws(&format!("scheduler update-schedule --cli-input-json \"$({get})\""))
}

/// The alarm that goes off when no run is completed.
fn silence_alarm<'a>(state: &State, alarms: &'a [Alarm]) -> Option<&'a Alarm> {
    let name = resource(state, "SilenceAlarm")?;
    alarms.iter().find(|alarm| alarm.name == name)
}

/// Seconds of silence that the alarm should wait for, by the schedule; the template's default where it is no `rate(…)` or not known.
pub(super) fn silence(state: &State) -> i64 {
    let often = state.schedule.as_ref().ok().and_then(|s| s.as_ref()).and_then(|s| interval(&s.expression));
    often.map_or(900, silence_that_fits)
}

/// The template's values for it.
fn silence_that_fits(often: SignedDuration) -> i64 {
    let fitting = [300, 900, 1800, 3600, 10_800, 21_600, 43_200].into_iter();
    fitting.into_iter().find(|seconds| SignedDuration::from_secs(*seconds) >= often * INTERVALS).unwrap_or(86_400)
}

/// The length between two runs; `None` for what is not a `rate(…)`.
fn interval(expression: &str) -> Option<SignedDuration> {
    duration(expression.trim().strip_prefix("rate(")?.strip_suffix(')')?)
}

/// `2 days`, `3 hours 5 minutes`, `40 seconds`: two units at most, rounded down.
fn words(length: SignedDuration) -> String {
    let seconds = length.as_secs().max(0);
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let Some(first) = units.iter().position(|(size, _)| seconds >= *size) else { return "0 seconds".to_owned() };
    let mut rest = seconds;
    let parts = units[first..].iter().take(2).filter_map(|(size, unit)| {
        let n = rest / size;
        rest %= size;
        (n > 0).then(|| count(usize::try_from(n).unwrap_or(usize::MAX), unit))
    });
    parts.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_and_said() {
        let said = |expression: &str| interval(expression).map(words);
        assert_eq!(said("rate(5 minutes)").as_deref(), Some("5 minutes"));
        assert_eq!(said("rate(1 minute)").as_deref(), Some("1 minute"));
        assert_eq!(said("rate(36 hours)").as_deref(), Some("1 day 12 hours"));
        assert_eq!(said("rate(1 day)").as_deref(), Some("1 day"));
        assert_eq!(said("cron(0 12 * * ? *)"), None);
        assert_eq!(words(SignedDuration::from_secs(3_725)), "1 hour 2 minutes");
        assert_eq!(words(SignedDuration::from_secs(86_405)), "1 day");
        assert_eq!(words(SignedDuration::ZERO), "0 seconds");
    }

    #[test]
    fn the_silence_alarm_gets_a_value_that_the_template_takes() {
        assert_eq!(silence_that_fits(SignedDuration::from_mins(1)), 300);
        assert_eq!(silence_that_fits(SignedDuration::from_mins(5)), 900);
        assert_eq!(silence_that_fits(SignedDuration::from_hours(1)), 10_800);
        assert_eq!(silence_that_fits(SignedDuration::from_hours(24)), 86_400);
    }
}
