//! The story of an alert: opened, escalated, repeated, resolved, and what each person was last told of it.
//!
//! An alert's [`Record`] holds two things that change for different reasons. The *story* follows what is seen: it
//! begins when the level leaves `ok`, rises and falls with it, and ends when use has fallen below the lowest threshold by the
//! hysteresis margin. *Told* follows what was delivered. Who is owed a mail, and why, is the difference of the two; so a
//! mail that could not be sent is simply still owed in the next run, with the newest state.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;
use crate::history::{History, Share};
use crate::policy::{Address, Class, Limit, QueryRules};
use crate::queries::Execution;
use crate::submitter::GIVE_UP;
use crate::verdict::{Foresight, Level, Pressure, Reading};
use crate::window::Span;

/// What an alert is about. Its text form is the alert's stable key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A limit of a workgroup, by the window's name.
    Limit {
        /// The workgroup.
        workgroup: String,
        /// [`crate::window::Window::id`].
        window: String,
    },
    /// Whether a workgroup can be seen at all.
    Sight {
        /// The workgroup.
        workgroup: String,
    },
    /// A limit on queries.
    Queries(Pressure),
    /// Whether what a limit on queries is about can be seen at all.
    QuerySight(Pressure),
    /// A grant, by its id.
    Grant {
        /// The workgroup.
        workgroup: String,
        /// The grant's id.
        id: String,
    },
    /// The weekly report.
    Weekly,
    /// Whether the list of workgroups can be read.
    Listing,
    /// Whether the policy can be understood.
    Policy,
}

/// How bad an open alert is, the worst last. `CannotSee` never mixes with the others in one story, nor do `Weekly` and those
/// of grants; their places say where they stand in a mail about several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// A report of a week, which is no alert.
    Weekly,
    /// A grant waits for somebody's approval.
    Asked,
    /// A grant stands.
    Granted,
    /// A grant is about to end.
    EndsSoon,
    /// Level `warn`.
    Warn,
    /// Something is not known.
    CannotSee,
    /// A grant's cutoff is not as the grant says, or cannot be taken back.
    Amiss,
    /// Level `critical`.
    Critical,
    /// Level `exhausted`.
    Exhausted,
}

/// Why a person is told something now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The alert is open and this person has not heard of it.
    Opened,
    /// It is worse than this person was last told.
    Escalated {
        /// What they were last told.
        from: Severity,
    },
    /// Nothing new, but this person was last told a repeat interval ago.
    Repeated {
        /// When they were last told.
        last_told: Timestamp,
    },
    /// It is over.
    Resolved(Ending),
}

/// How an alert came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Use fell below the lowest threshold by the margin, or what was unseen is seen.
    Over,
    /// A new calendar window began from nothing.
    WindowEnded,
    /// The policy no longer has this limit, or the workgroup is gone.
    NotWatched,
}

/// All that is remembered of one alert.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Record {
    /// The open story, if there is one.
    pub story: Option<Story>,
    /// How the last story ended, while somebody is still to be told so.
    pub ended: Option<Ending>,
    /// What each person was last told.
    pub told: BTreeMap<Address, Told>,
    /// Of which of their own queries each submitter has heard. It outlives the story: an alert that opens again within the window speaks
    /// of the same queries.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub heard: BTreeMap<Address, Heard>,
    /// Heavy queries whose submitter is not known yet and shall be told once they are, also when the alert is over by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// What the alert was about before, and how far it is now.
    #[serde(default, skip_serializing_if = "History::is_empty")]
    pub history: History,
}

/// Of which of their own queries a submitter has heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// The instant that was judged then.
    pub at: Timestamp,
    /// The heaviest of the queries, by [`short`].
    pub queries: BTreeSet<String>,
}

/// Heavy queries of unknown submitters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The instant that was judged when they were last seen without one.
    pub at: Timestamp,
    /// The story they belong to: when it opened.
    pub opened: Timestamp,
    /// How bad it was then.
    pub severity: Severity,
    /// Start of the window then, inclusive.
    pub start: Timestamp,
    /// Its end, exclusive.
    pub end: Timestamp,
    /// What the metric said of it.
    pub used: Bytes,
    /// The queries, by [`short`].
    pub queries: BTreeSet<String>,
}

/// Queries remembered of one person, or waited for. With the alert's other records this stays a small part of an item of the table
/// (400 KB): fifty people times a hundred ids of eight letters are some 60 KB.
const MOST_QUERIES: usize = 100;

/// People whose queries are remembered. With [`MOST_QUERIES`] each they are 220 KB; the one told longest ago is forgotten first, and at
/// worst hears of a query twice. A record too large for the table would keep everybody from being told.
const MOST_PEOPLE: usize = 200;

/// A query's id as it is remembered: eight of its 32 random hexadecimal digits, of which two in a window hardly ever meet.
pub fn short(id: &str) -> String {
    id.chars().take(8).collect()
}

impl Heard {
    /// Whether a query is none of these. Where as many were remembered as can be, those that landed before count as heard of.
    pub fn is_new(&self, execution: &Execution) -> bool {
        let is_full = self.queries.len() >= MOST_QUERIES;
        let is_old = is_full && execution.landed().is_some_and(|landed| landed < self.at);
        !is_old && !self.queries.contains(&short(&execution.id))
    }
}

impl Waiting {
    /// Waits for the submitters of these queries, the heaviest first, seen in `span` with `used` bytes; `None` where there are none.
    pub fn new(
        story: Story,
        queries: impl Iterator<Item = String>,
        span: Span,
        used: Bytes,
        at: Timestamp,
    ) -> Option<Self> {
        let queries: BTreeSet<String> = queries.take(MOST_QUERIES).collect();
        let Story { opened, severity, .. } = story;
        let waiting = Self { at, opened, severity, start: span.start, end: span.end, used, queries };
        (!waiting.queries.is_empty()).then_some(waiting)
    }

    /// The window in which the queries were seen.
    pub fn span(&self) -> Span {
        Span { start: self.start, end: self.end }
    }
}

/// An alert that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Story {
    /// When it opened. Also the story's name.
    pub opened: Timestamp,
    /// How bad it is now, hysteresis considered.
    pub severity: Severity,
    /// The start of the calendar window it is about; none for rolling windows.
    pub window_began: Option<Timestamp>,
    /// Since when everything has looked calm, while the alert is held before it resolves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calm_since: Option<Timestamp>,
}

/// What a person was last told of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Which story: its opening time.
    pub story: Timestamp,
    /// How bad it was said to be.
    pub severity: Severity,
    /// The instant that was judged then.
    pub at: Timestamp,
}

/// What this run sees of an alert's subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sighting {
    /// Nothing is wrong; how a story that was open has ended.
    Calm(Ending),
    /// Something is.
    Wrong {
        /// How bad.
        severity: Severity,
        /// The start of the calendar window, where there is one.
        window_began: Option<Timestamp>,
    },
    /// Nothing is wrong any more, but not for long enough: the story goes on as it is, and nobody hears anything new of it.
    Held {
        /// Since when nothing is wrong.
        since: Timestamp,
    },
    /// It cannot be told; whatever was true stays as it is, and nobody hears of it.
    Unseen,
}

impl Record {
    /// Whether nothing need be remembered any more.
    pub fn is_over(&self) -> bool {
        self.is_quiet() && self.history.is_empty()
    }

    /// Whether nothing is open and nobody is to be told anything more: what is left is history.
    pub fn is_quiet(&self) -> bool {
        self.story.is_none() && self.told.is_empty() && self.heard.is_empty() && self.waiting.is_none()
    }

    /// Goes on with the history: the open story as it is now, or its end. `share` is what is used of the limit; without one nothing is
    /// remembered of what is open.
    pub fn follow(&mut self, share: Option<Share>, at: Timestamp) {
        match (self.story, share) {
            (Some(story), Some(share)) => self.history.see(story.opened, story.severity.level(), share, at),
            (Some(_), None) => {}
            (None, _) => self.history.end(at),
        }
    }

    /// Whether there is anything open or owed: a story, somebody who was told of one, or somebody who is waited for.
    pub fn is_pending(&self) -> bool {
        self.story.is_some() || !self.told.is_empty() || self.waiting.is_some()
    }

    /// Forgets of which queries people have heard that have left every window of the length `memory`, and whoever was waited for too long.
    pub fn forget(&mut self, at: Timestamp, memory: SignedDuration) {
        self.heard.retain(|_, heard| at.duration_since(heard.at) <= memory);
        self.waiting.take_if(|waiting| waiting.queries.is_empty() || at.duration_since(waiting.at) > GIVE_UP);
    }

    /// The record after this run's sighting. Tells nobody.
    pub fn after(&self, sighting: Sighting, at: Timestamp) -> Self {
        let mut next = self.clone();
        match sighting {
            Sighting::Unseen => {}
            Sighting::Calm(ending) => {
                if next.story.take().is_some() {
                    next.ended = Some(ending);
                }
            }
            Sighting::Held { since } => {
                if let Some(story) = &mut next.story {
                    story.calm_since = Some(since);
                }
            }
            Sighting::Wrong { severity, window_began } => {
                next.ended = None;
                next.story = Some(match self.story {
                    Some(story) if story.window_began == window_began => Story { severity, calm_since: None, ..story },
                    // None, or one about a window that has ended: a new story, which nobody has been told.
                    _ => Story { opened: at, severity, window_began, calm_since: None },
                });
            }
        }
        next
    }

    /// Whether nothing changes and nobody is owed anything after this sighting, given that all that was owed after the one before has arrived:
    /// then a look is over at once. It is most of a back-test.
    pub fn is_settled(&self, sighting: Sighting, repeat_every: SignedDuration, at: Timestamp) -> bool {
        match (sighting, self.story) {
            (Sighting::Calm(_), None) => self.told.is_empty(),
            (Sighting::Held { since }, Some(story)) => story.calm_since == Some(since),
            (Sighting::Wrong { severity, window_began }, Some(story)) => {
                (severity, window_began, None) == (story.severity, story.window_began, story.calm_since)
                    && self.told.values().all(|told| at.duration_since(told.at) < repeat_every)
            }
            _ => false,
        }
    }

    /// What `person` is owed, if anything; `audience` says whether they are to hear of the open story.
    pub fn owed(
        &self,
        person: &Address,
        audience: bool,
        repeat_every: SignedDuration,
        at: Timestamp,
    ) -> Option<Reason> {
        let told = self.told.get(person);
        let Some(story) = self.story else {
            return told.map(|_| Reason::Resolved(self.ended.unwrap_or(Ending::Over)));
        };
        match told {
            None => audience.then_some(Reason::Opened),
            Some(told) if told.story != story.opened => {
                // What they were told of is over, and what came after it is not for them.
                let ending = match story.window_began {
                    Some(began) if told.story < began => Ending::WindowEnded,
                    _ => Ending::Over,
                };
                Some(if audience { Reason::Opened } else { Reason::Resolved(ending) })
            }
            Some(_) if !audience => None,
            Some(told) if story.severity > told.severity => Some(Reason::Escalated { from: told.severity }),
            Some(told) if at.duration_since(told.at) >= repeat_every => Some(Reason::Repeated { last_told: told.at }),
            Some(_) => None,
        }
    }

    /// Notes that `person` has been told `reason` at `at`.
    pub fn tell(&mut self, person: &Address, reason: Reason, at: Timestamp) {
        let about = match reason {
            Reason::Resolved(_) => self.told.get(person).map(|told| told.story),
            _ => self.story.map(|story| story.opened),
        };
        if let Some(opened) = about {
            self.history.tell(opened, at);
        }
        match (reason, self.story) {
            (Reason::Resolved(_), _) | (_, None) => {
                self.told.remove(person);
                if self.told.is_empty() {
                    self.ended = None;
                }
            }
            (_, Some(story)) => {
                self.told.insert(person.clone(), Told { story: story.opened, severity: story.severity, at });
            }
        }
    }
}

impl Record {
    /// Notes that `person` has heard of these queries of theirs, the heaviest first.
    pub fn hear(&mut self, person: &Address, queries: impl Iterator<Item = String>, at: Timestamp) {
        let all: Vec<String> = queries.collect();
        if let Some(waiting) = &mut self.waiting {
            waiting.queries.retain(|id| !all.contains(id));
        }
        let queries = all.into_iter().take(MOST_QUERIES).collect();
        self.heard.insert(person.clone(), Heard { at, queries });
        while self.heard.len() > MOST_PEOPLE {
            let oldest = self.heard.iter().min_by_key(|(_, heard)| heard.at).map(|(person, _)| person.clone());
            oldest.map(|person| self.heard.remove(&person));
        }
    }
}

/// The level of a limit's alert: it rises at a threshold or with the forecast, and falls only where use is below the threshold by the margin.
/// `open` is how bad the alert is so far; `None` where there is none.
pub fn settled(limit: &Limit, reading: Reading, open: Option<Severity>) -> Option<Severity> {
    let by_use = worst_reached(open, |severity, held| {
        let threshold = limit.threshold_when(severity.level(), reading.foresight);
        let needed = match severity {
            _ if !held => threshold,
            Severity::Warn => limit.resolves_below(),
            _ => threshold.saturating_sub(limit.hysteresis),
        };
        needed.reached(reading.used, limit.bytes)
    });
    by_use.or((reading.foresight == Foresight::RunsOut).then_some(Severity::Warn))
}

/// The level of an alert about queries, by the same rule.
pub fn settled_queries(rules: &QueryRules, used: u64, limit: u64, open: Option<Severity>) -> Option<Severity> {
    worst_reached(open, |severity, held| {
        let threshold = rules.threshold(severity.level());
        let needed = if held { threshold.saturating_sub(rules.hysteresis) } else { threshold };
        needed.reached_by(used, limit)
    })
}

/// The worst severity that is reached; `held` says that the open alert is at least so bad already.
fn worst_reached(open: Option<Severity>, reached: impl Fn(Severity, bool) -> bool) -> Option<Severity> {
    let severities = [Severity::Exhausted, Severity::Critical, Severity::Warn];
    severities.into_iter().find(|severity| reached(*severity, open.is_some_and(|open| open >= *severity)))
}

/// What a reading of a limit at `at` means for the story that is open about it, if one is.
pub fn sighting(limit: &Limit, reading: Reading, story: Option<Story>, at: Timestamp) -> Sighting {
    let window_began = limit.window.began(at);
    // A story about an earlier calendar window says nothing about this one.
    let current = story.filter(|story| story.window_began == window_began);
    match (settled(limit, reading, current.map(|story| story.severity)), current) {
        (Some(severity), _) => Sighting::Wrong { severity, window_began },
        (None, Some(story)) => calm(story, limit.hold, at),
        (None, None) if story.is_some() => Sighting::Calm(Ending::WindowEnded),
        (None, None) => Sighting::Calm(Ending::Over),
    }
}

/// What a measure of queries at `at` means for the story that is open about it, if one is. `limit` is `None` where nothing is active.
pub fn sighting_queries(
    rules: &QueryRules,
    used: u64,
    limit: Option<u64>,
    story: Option<Story>,
    at: Timestamp,
) -> Sighting {
    let open = story.map(|story| story.severity);
    let severity = limit.and_then(|limit| settled_queries(rules, used, limit, open));
    match (severity, story) {
        (Some(severity), _) => Sighting::Wrong { severity, window_began: None },
        (None, Some(story)) => calm(story, rules.hold, at),
        (None, None) => Sighting::Calm(Ending::Over),
    }
}

/// A story about which nothing is wrong any more: over, or held.
fn calm(story: Story, hold: SignedDuration, at: Timestamp) -> Sighting {
    let since = story.calm_since.unwrap_or(at);
    if at.duration_since(since) >= hold { Sighting::Calm(Ending::Over) } else { Sighting::Held { since } }
}

impl Subject {
    /// The workgroup whose bytes it is about, or whether those can be seen.
    pub fn of_bytes(&self) -> Option<&str> {
        match self {
            Self::Limit { workgroup, .. } | Self::Sight { workgroup } => Some(workgroup),
            Self::Queries(_)
            | Self::QuerySight(_)
            | Self::Grant { .. }
            | Self::Weekly
            | Self::Listing
            | Self::Policy => None,
        }
    }
}

impl Severity {
    /// The level that stands for it; `ok` for what is no level.
    pub fn level(self) -> Level {
        match self {
            Self::Warn => Level::Warn,
            Self::Weekly | Self::CannotSee | Self::Asked | Self::Granted | Self::EndsSoon | Self::Amiss => Level::Ok,
            Self::Critical => Level::Critical,
            Self::Exhausted => Level::Exhausted,
        }
    }

    /// For people: `warn`, `critical`, `exhausted`, `cannot see`; of grants `asked for`, `granted`, `ends soon`, `amiss`.
    pub fn words(self) -> &'static str {
        match self {
            Self::Weekly => "weekly",
            Self::CannotSee => "cannot see",
            Self::Asked => "asked for",
            Self::Granted => "granted",
            Self::EndsSoon => "ends soon",
            Self::Amiss => "amiss",
            other => other.level().word(),
        }
    }
}

impl Reason {
    /// The stable word of the interface contract.
    pub fn word(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Escalated { .. } => "escalated",
            Self::Repeated { .. } => "repeated",
            Self::Resolved(_) => "resolved",
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limit { workgroup, window } => write!(f, "limit/{workgroup}/{window}"),
            Self::Sight { workgroup } => write!(f, "sight/{workgroup}"),
            Self::Queries(Pressure::Active(class)) => write!(f, "active/{}", class.key()),
            Self::Queries(Pressure::Waiting { workgroup }) => write!(f, "waiting/{workgroup}"),
            Self::QuerySight(Pressure::Active(class)) => write!(f, "sight-active/{}", class.key()),
            Self::QuerySight(Pressure::Waiting { workgroup }) => write!(f, "sight-waiting/{workgroup}"),
            Self::Grant { workgroup, id } => write!(f, "grant/{workgroup}/{id}"),
            Self::Weekly => f.write_str("weekly"),
            Self::Listing => f.write_str("listing"),
            Self::Policy => f.write_str("policy"),
        }
    }
}

impl FromStr for Subject {
    type Err = String;

    /// Reads a key back; workgroup names have no `/`, windows may.
    fn from_str(key: &str) -> Result<Self, String> {
        let mut parts = key.splitn(3, '/');
        let active = |key| Class::ALL.into_iter().find(|class| class.key() == key).map(Pressure::Active);
        let waiting = |workgroup: &str| Pressure::Waiting { workgroup: workgroup.to_owned() };
        let unknown = || format!("`{key}` is no alert's key");
        match (parts.next(), parts.next(), parts.next()) {
            (Some("limit"), Some(w), Some(window)) => {
                Ok(Self::Limit { workgroup: w.to_owned(), window: window.to_owned() })
            }
            (Some("sight"), Some(w), None) => Ok(Self::Sight { workgroup: w.to_owned() }),
            (Some("active"), Some(class), None) => active(class).map(Self::Queries).ok_or_else(unknown),
            (Some("sight-active"), Some(class), None) => active(class).map(Self::QuerySight).ok_or_else(unknown),
            (Some("waiting"), Some(w), None) => Ok(Self::Queries(waiting(w))),
            (Some("sight-waiting"), Some(w), None) => Ok(Self::QuerySight(waiting(w))),
            (Some("grant"), Some(w), Some(id)) => Ok(Self::Grant { workgroup: w.to_owned(), id: id.to_owned() }),
            (Some("weekly"), None, None) => Ok(Self::Weekly),
            (Some("listing"), None, None) => Ok(Self::Listing),
            (Some("policy"), None, None) => Ok(Self::Policy),
            _ => Err(unknown()),
        }
    }
}
