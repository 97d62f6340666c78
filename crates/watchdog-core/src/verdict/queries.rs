//! The level of a limit on queries: active ones against the account's quota, and how long a workgroup's queries wait.

use jiff::{SignedDuration, Timestamp};

use super::Level;
use crate::bytes::Bytes;
use crate::event::Tick;
use crate::percent::{Percent, whole_percent};
use crate::policy::{ActiveQueries, Class, Policy, QueryRules, WorkgroupRule};
use crate::usage::{Active, Concurrency, Queue, Quota, Unknown, Usage, Waiting, looked_at};

/// What a limit on queries is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pressure {
    /// The account's active queries of a class.
    Active(Class),
    /// Waiting in a workgroup.
    Waiting {
        /// The workgroup.
        workgroup: String,
    },
}

/// What was found out about one limit on queries.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryVerdict<'p> {
    /// What it is about.
    pub pressure: Pressure,
    /// When its alert opens and falls.
    pub rules: &'p QueryRules,
    /// The rule of the workgroup, where it is about one.
    pub rule: Option<&'p WorkgroupRule>,
    /// How far back was looked.
    pub look_back: SignedDuration,
    /// The instant that was judged.
    pub as_of: Timestamp,
    /// Seen, or not.
    pub finding: Result<Strain, Unknown>,
}

/// How near a limit on queries is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strain {
    /// The measure: active queries, or milliseconds of waiting; the most of the time that was looked at.
    pub used: u64,
    /// What it may be. `None` where nothing is active and so nobody asked; never zero.
    pub limit: Option<u64>,
    /// The level.
    pub level: Level,
    /// What else is known.
    pub detail: Detail,
}

/// What else is known of a limit on queries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Detail {
    /// Of active queries.
    Active {
        /// The start of the five minutes with the most.
        peak: Option<Timestamp>,
        /// The most in the newest five minutes that had any.
        newest: u64,
        /// The quota.
        quota: Option<Quota>,
    },
    /// Of waiting.
    Waiting {
        /// The longest that one of those had waited that have ended, in milliseconds; `None` where none has waited.
        ended: Option<u64>,
        /// Those that wait now; `None` where nobody asked, or it could not be read.
        queue: Option<Queue>,
        /// Why it could not be read, where it could not.
        unread: Option<Unknown>,
    },
}

/// Judges every limit on queries: the classes first, then the workgroups by name.
pub(super) fn judge<'p>(policy: &'p Policy, tick: &Tick, usage: &Usage) -> Vec<QueryVerdict<'p>> {
    let Concurrency { active, waiting } = &usage.concurrency;
    let ActiveQueries { classes, look_back, rules } = &policy.active_queries;
    let look_back = *look_back;
    let mut verdicts = Vec::new();
    for (class, active) in classes.iter().filter_map(|class| active.get_key_value(class)) {
        let finding = strain_of_active(active, rules, tick.at, look_back);
        let pressure = Pressure::Active(*class);
        verdicts.push(QueryVerdict { pressure, rules, rule: None, look_back, as_of: tick.at, finding });
    }
    // What cannot be seen was asked about by nobody, and is told by the sight of the workgroup.
    let unseen = usage.workgroups.iter().filter_map(|(name, seen)| Some((name.as_str(), seen.as_ref().err()?.clone())));
    let absent = usage.incomplete.clone().unwrap_or(Unknown::NoSuchWorkgroup);
    let exact = policy.rules().iter().map(|rule| &rule.pattern).filter(|pattern| pattern.is_exact());
    let missing = exact.map(|pattern| pattern.as_str()).filter(|name| !usage.workgroups.contains_key(*name));
    let unseen = unseen.chain(missing.map(|name| (name, absent.clone()))).map(|(name, why)| (name, Err(why)));
    let seen = waiting.iter().map(|(name, waiting)| (name.as_str(), Ok(waiting)));
    let mut all: Vec<(&str, Result<&Waiting, Unknown>)> = unseen.chain(seen).collect();
    all.sort_by_key(|(name, _)| *name);
    for (name, waiting) in all {
        let Some(rule) = policy.rule_for(name) else { continue };
        let Some(limit) = &rule.waiting else { continue };
        let longest = u64::try_from(limit.longest.as_millis()).unwrap_or(u64::MAX);
        let finding = waiting.and_then(|waiting| strain_of_waiting(waiting, longest, &limit.rules, tick.at, look_back));
        let pressure = Pressure::Waiting { workgroup: name.to_owned() };
        let (rules, rule) = (&limit.rules, Some(rule));
        verdicts.push(QueryVerdict { pressure, rules, rule, look_back, as_of: tick.at, finding });
    }
    verdicts
}

fn strain_of_active(
    active: &Active,
    rules: &QueryRules,
    at: Timestamp,
    look_back: SignedDuration,
) -> Result<Strain, Unknown> {
    let span = looked_at(at, look_back);
    let peaks = active.peaks.as_ref().map_err(Clone::clone)?;
    let peak = peaks.largest(span);
    let used = peak.map_or(0, |(_, value)| value);
    let quota = match &active.quota {
        Some(Ok(quota)) => Some(*quota),
        // None of nothing is nothing, whatever the quota.
        Some(Err(_)) | None if used == 0 => None,
        Some(Err(why)) => return Err(why.clone()),
        None => return Err(Unknown::NotAnswered),
    };
    let level = quota.map_or(Level::Ok, |quota| rules.level(used, quota.most));
    let newest = peaks.newest(span).map_or(0, |(_, value)| value);
    let detail = Detail::Active { peak: peak.map(|(at, _)| at), newest, quota };
    Ok(Strain { used, limit: quota.map(|quota| quota.most), level, detail })
}

fn strain_of_waiting(
    waiting: &Waiting,
    longest: u64,
    rules: &QueryRules,
    at: Timestamp,
    look_back: SignedDuration,
) -> Result<Strain, Unknown> {
    let (queue, unread) = match &waiting.queue {
        Some(Ok(queue)) => (Some(*queue), None),
        Some(Err(why)) => (None, Some(why.clone())),
        None => (None, None),
    };
    let now = queue.map_or(0, |queue| queue.waited(at));
    let span = looked_at(at, look_back);
    let ended = match &waiting.waited {
        Ok(peaks) => peaks.largest(span).map(|(_, value)| value),
        // What waits now is enough to know that it is bad, and never that it is well.
        Err(_) if rules.level(now, longest) != Level::Ok => None,
        Err(why) => return Err(why.clone()),
    };
    let used = now.max(ended.unwrap_or(0));
    let level = rules.level(used, longest);
    Ok(Strain { used, limit: Some(longest), level, detail: Detail::Waiting { ended, queue, unread } })
}

impl Queue {
    /// How long the oldest of those that wait has waited at `at`, in milliseconds.
    pub fn waited(&self, at: Timestamp) -> u64 {
        let waited = self.oldest.map(|oldest| at.duration_since(oldest).as_millis());
        waited.and_then(|millis| u64::try_from(millis).ok()).unwrap_or(0)
    }
}

impl QueryRules {
    /// The level of a measure, without memory. A limit is at least 1.
    pub fn level(&self, used: u64, limit: u64) -> Level {
        let levels = [Level::Exhausted, Level::Critical, Level::Warn];
        levels.into_iter().find(|level| self.threshold(*level).reached_by(used, limit)).unwrap_or(Level::Ok)
    }

    /// The share of the limit at which a level begins.
    pub fn threshold(&self, level: Level) -> Percent {
        match level {
            Level::Ok => Percent::whole(0),
            Level::Warn => self.warn,
            Level::Critical => self.critical,
            Level::Exhausted => Percent::HUNDRED,
        }
    }

    /// The share of the limit below which an alert resolves.
    pub fn resolves_below(&self) -> Percent {
        self.warn.saturating_sub(self.hysteresis)
    }
}

impl Strain {
    /// How much of the limit it is, in whole percent, rounded down; `None` where the limit is not known.
    pub fn percent(&self) -> Option<u64> {
        self.limit.map(|limit| whole_percent(Bytes::new(self.used), Bytes::new(limit)))
    }
}

impl QueryVerdict<'_> {
    /// What the measure may be, where that is known: the time to wait is the policy's own, whatever can be seen.
    pub fn limit(&self) -> Option<u64> {
        let waiting = self.rule.and_then(|rule| rule.waiting.as_ref()).map(|waiting| waiting.longest.as_millis());
        let waiting = waiting.and_then(|millis| u64::try_from(millis).ok());
        self.finding.as_ref().map_or(None, |strain| strain.limit).or(waiting)
    }

    /// The level as a word, `unknown` among them.
    pub fn level_word(&self) -> &'static str {
        self.finding.as_ref().map_or("unknown", |strain| strain.level.word())
    }

    /// Why it has this level, in one line.
    pub fn reason(&self) -> String {
        let strain = match &self.finding {
            Ok(strain) => strain,
            Err(why) => return why.to_string(),
        };
        let minutes = in_the_last(self.look_back);
        let threshold = self.rules.threshold(strain.level);
        match (&self.pressure, strain.limit, strain.level) {
            (Pressure::Active(class), None, _) => format!("no {} query was active {minutes}", class.word()),
            (Pressure::Active(class), Some(limit), level) => {
                let percent = strain.percent().unwrap_or(0);
                let used =
                    format!("up to {} of {limit} active {} queries {minutes}, {percent} %", strain.used, class.word());
                match level {
                    Level::Ok => format!("{used}, below {}", self.rules.warn),
                    Level::Exhausted => format!("{used}: the next queries are refused"),
                    _ => format!("{used}, at or above {threshold}: the next queries may be refused"),
                }
            }
            (Pressure::Waiting { .. }, limit, level) => {
                let limit = waited(limit.unwrap_or(u64::MAX));
                let now = match &strain.detail {
                    Detail::Waiting { queue: Some(queue), .. } if queue.queued > 0 => {
                        format!(", {} waiting now", queue.queued)
                    }
                    Detail::Waiting { unread: Some(why), .. } => format!(", and who waits now is not known: {why}"),
                    _ => String::new(),
                };
                match level {
                    Level::Ok if strain.used == 0 => format!("no query waited {minutes}{now}"),
                    Level::Ok => {
                        format!("queries waited up to {} {minutes}, of at most {limit}{now}", waited(strain.used))
                    }
                    _ => {
                        format!("queries are waiting: up to {} {minutes}, of at most {limit}{now}", waited(strain.used))
                    }
                }
            }
        }
    }
}

/// How far back was looked, for people.
pub fn in_the_last(look_back: SignedDuration) -> String {
    match look_back.as_mins() {
        60 => "in the last hour".to_owned(),
        minutes => format!("in the last {minutes} minutes"),
    }
}

/// A time of waiting for people: `45 s`, `3 min 20 s`, `1 h 5 min`.
pub fn waited(millis: u64) -> String {
    let seconds = millis / 1000;
    let two = |large: u64, unit: &str, small: u64, below: &str| match small {
        0 => format!("{large} {unit}"),
        small => format!("{large} {unit} {small} {below}"),
    };
    match seconds {
        0 if millis > 0 => "less than 1 s".to_owned(),
        0..60 => format!("{seconds} s"),
        60..3600 => two(seconds / 60, "min", seconds % 60, "s"),
        _ => two(seconds / 3600, "h", seconds % 3600 / 60, "min"),
    }
}
