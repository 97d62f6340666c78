//! One limit's level, with its numbers, its "as of" time and its reason.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;
use crate::event::Tick;
use crate::percent::{Percent, whole_percent};
use crate::policy::{Limit, Policy, WorkgroupRule};
use crate::usage::{Unknown, Usage};
use crate::window::Span;

/// How near a limit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Below every threshold.
    Ok,
    /// At or above `warn`.
    Warn,
    /// At or above `critical`.
    Critical,
    /// At or above the limit.
    Exhausted,
}

/// What was found out about one limit.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict<'p> {
    /// The workgroup.
    pub workgroup: String,
    /// The rule that covers it.
    pub rule: &'p WorkgroupRule,
    /// The limit.
    pub limit: &'p Limit,
    /// The stretch that was added up.
    pub span: Span,
    /// The instant that was judged.
    pub as_of: Timestamp,
    /// The finding.
    pub finding: Finding,
}

/// Seen, or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The use is known.
    Seen {
        /// Bytes scanned in the window.
        used: Bytes,
        /// The level that follows.
        level: Level,
    },
    /// It is not, and nothing may be concluded.
    Unknown(Unknown),
}

/// Everything one run found.
#[derive(Debug, Clone)]
pub struct Findings<'p> {
    /// One verdict per workgroup and limit, by workgroup name, then in the policy's order.
    pub verdicts: Vec<Verdict<'p>>,
    /// What is not known, by workgroup, whether or not the workgroup has limits.
    pub unseen: Vec<(String, Unknown)>,
    /// Workgroups that are covered by a rule and were looked at with success.
    pub seen: Vec<String>,
    /// Workgroups that no rule covers.
    pub uncovered: Vec<String>,
}

/// Judges every limit of every workgroup that the policy covers.
///
/// A workgroup that the policy names exactly is judged whether or not it exists; one that only a pattern would cover is
/// judged where it exists.
pub fn judge<'p>(policy: &'p Policy, tick: &Tick, usage: &Usage) -> Findings<'p> {
    let mut findings = Findings { verdicts: Vec::new(), unseen: Vec::new(), seen: Vec::new(), uncovered: Vec::new() };
    let absent = usage.incomplete.clone().unwrap_or(Unknown::NoSuchWorkgroup);
    let missing = policy.rules().iter().map(|rule| &rule.pattern).filter(|p| p.is_exact()).map(|p| p.as_str());
    let missing = missing.filter(|name| !usage.workgroups.contains_key(*name)).map(|name| (name, Err(absent.clone())));
    let known = usage.workgroups.iter().map(|(name, seen)| (name.as_str(), seen.clone()));
    let mut all: Vec<_> = known.chain(missing).collect();
    all.sort_by_key(|(name, _)| *name);
    for (name, seen) in all {
        let Some(rule) = policy.rule_for(name) else {
            findings.uncovered.push(name.to_owned());
            continue;
        };
        let mut unseen = seen.as_ref().err().cloned();
        for limit in &rule.limits {
            let span = limit.window.span(tick.at);
            let finding = match seen.as_ref().map_err(Clone::clone).and_then(|series| series.sum(span)) {
                Ok(used) => Finding::Seen { used, level: limit.level(used) },
                Err(why) => {
                    // One limit that cannot be judged is reason enough to tell somebody.
                    unseen.get_or_insert_with(|| why.clone());
                    Finding::Unknown(why)
                }
            };
            findings.verdicts.push(Verdict { workgroup: name.to_owned(), rule, limit, span, as_of: tick.at, finding });
        }
        match unseen {
            None => findings.seen.push(name.to_owned()),
            Some(why) => findings.unseen.push((name.to_owned(), why)),
        }
    }
    findings
}

impl Limit {
    /// The level that `used` bytes mean, without memory.
    pub fn level(&self, used: Bytes) -> Level {
        [Level::Exhausted, Level::Critical, Level::Warn]
            .into_iter()
            .find(|level| self.threshold(*level).reached(used, self.bytes))
            .unwrap_or(Level::Ok)
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
}

impl Verdict<'_> {
    /// The use, where it is known.
    pub fn used(&self) -> Option<Bytes> {
        match self.finding {
            Finding::Seen { used, .. } => Some(used),
            Finding::Unknown(_) => None,
        }
    }

    /// The level as a word, `unknown` among them.
    pub fn level_word(&self) -> &'static str {
        match self.finding {
            Finding::Seen { level, .. } => level.word(),
            Finding::Unknown(_) => "unknown",
        }
    }

    /// Why it has this level, in one line.
    pub fn reason(&self) -> String {
        match &self.finding {
            Finding::Unknown(why) => why.to_string(),
            Finding::Seen { used, level } => {
                let percent = whole_percent(*used, self.limit.bytes);
                let words = self.limit.window.words();
                match level {
                    Level::Ok => format!("{percent} % used {words}, below {}", self.limit.warn),
                    Level::Exhausted => format!("{percent} % used {words}, the limit is gone"),
                    level => format!("{percent} % used {words}, at or above {}", self.limit.threshold(*level)),
                }
            }
        }
    }
}

impl Level {
    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Critical => "critical",
            Self::Exhausted => "exhausted",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
