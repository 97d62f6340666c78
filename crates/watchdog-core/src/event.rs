//! What the function was called with, and the instant it is asked to judge.
//!
//! EventBridge delivers at least once, may be late, and comes in two forms; a person may ask for a dry run.
//! Anything else is refused by name: a watchdog wired to the wrong source must say so.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;

use crate::untrusted::plain;

/// Events up to this late are judged at their own time; the metrics of that time are still there in full.
/// Older ones (a redriven dead letter, a recorded payload) say nothing about which instant is of interest:
/// they count as a wish to run now. EventBridge itself retries for at most this long.
const LATEST: SignedDuration = SignedDuration::from_hours(24);

/// Events up to this far ahead of our clock are believed: clocks differ. Beyond it, ours decides.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);

/// What somebody wants of the function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// Judge and say what would be sent, but send and write nothing.
    pub dry_run: bool,
    /// Who asks.
    pub source: Source,
    /// The instant the event speaks of, where it speaks of one.
    pub time: Option<Timestamp>,
}

/// Where an invocation came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// An EventBridge rule (`aws.events`).
    Rule,
    /// EventBridge Scheduler (`aws.scheduler`).
    Scheduler,
    /// A person or a script, by `{"dry_run": …}`.
    Person,
}

/// The instant that is judged; what every rule calls "now".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Tick {
    /// The instant.
    pub at: Timestamp,
    /// How it was chosen.
    pub timing: Timing,
}

/// How the instant of a [`Tick`] was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Timing {
    /// The event named no time: the clock's.
    Now,
    /// The event's own time.
    Event,
    /// The event's time is more than a day past: the clock's.
    TooOld,
    /// The event's time is ahead of the clock by more than clocks differ: the clock's.
    TooFarAhead,
}

/// An event that is not ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "this event is not for the watchdog: {what}; it takes the schedule event of an EventBridge rule or of \
     EventBridge Scheduler, and {{\"dry_run\": true}}"
)]
pub struct ForeignEvent {
    what: String,
}

impl Invocation {
    /// Reads an event.
    ///
    /// # Errors
    /// [`ForeignEvent`], naming what it is instead, for anything but the three forms.
    pub fn parse(event: &Value) -> Result<Self, ForeignEvent> {
        let foreign = |what: String| Err(ForeignEvent { what });
        let Value::Object(fields) = event else {
            return foreign(format!("it is {}, not a JSON object", kind(event)));
        };
        if let Some(dry_run) = fields.get("dry_run") {
            if let Some(other) = fields.keys().find(|key| *key != "dry_run") {
                return foreign(format!("beside `dry_run` it has the unknown field `{}`", clip(other)));
            }
            return match dry_run {
                Value::Bool(dry_run) => Ok(Self { dry_run: *dry_run, source: Source::Person, time: None }),
                other => foreign(format!("its `dry_run` is {}, not true or false", kind(other))),
            };
        }
        if let Some(other) = fields.get("source").filter(|source| !source.is_string()) {
            return foreign(format!("its `source` is {}, not a text", kind(other)));
        }
        let Some(source) = fields.get("source").and_then(Value::as_str) else {
            let record = event.pointer("/Records/0");
            let from =
                record.and_then(|r| r.get("eventSource").or_else(|| r.get("EventSource"))).and_then(Value::as_str);
            return foreign(match from {
                Some(from) => format!("it is a record of `{}`", clip(from)),
                None => "it has no `source`".to_owned(),
            });
        };
        let ours = match source {
            "aws.events" => Source::Rule,
            "aws.scheduler" => Source::Scheduler,
            other => return foreign(format!("its `source` is `{}`", clip(other))),
        };
        match fields.get("detail-type").and_then(Value::as_str) {
            Some("Scheduled Event") => {}
            Some(other) => {
                return foreign(format!("its `detail-type` is `{}`, not `Scheduled Event`", clip(other)));
            }
            None => return foreign("it has no `detail-type`, which would be `Scheduled Event`".to_owned()),
        }
        let Some(Ok(time)) = fields.get("time").and_then(Value::as_str).map(str::parse::<Timestamp>) else {
            return foreign("its `time` is missing or not an RFC 3339 instant".to_owned());
        };
        Ok(Self { dry_run: false, source: ours, time: Some(time) })
    }

    /// The instant to judge, given the clock.
    pub fn tick(&self, now: Timestamp) -> Tick {
        let (at, timing) = match self.time {
            None => (now, Timing::Now),
            Some(time) if now.duration_since(time) > LATEST => (now, Timing::TooOld),
            Some(time) if time.duration_since(now) > AHEAD => (now, Timing::TooFarAhead),
            Some(time) => (time, Timing::Event),
        };
        Tick { at, timing }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Other people's text in an error: one line, bounded.
fn clip(text: &str) -> String {
    plain(text).chars().take(80).collect()
}
