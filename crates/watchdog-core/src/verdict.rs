//! One limit's level, with its numbers, its "as of" time and its reason.

mod queries;

use std::cmp::Reverse;
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

pub use self::queries::{Detail, Pressure, QueryVerdict, Strain, in_the_last, waited};
use crate::bytes::Bytes;
use crate::event::Tick;
use crate::fit::Misfit;
use crate::forecast::{HISTORY, Inflow, Memo, Outlook, View};
use crate::meter::Meter;
use crate::percent::{Percent, whole_percent};
use crate::policy::{Class, Limit, Policy, UnderGrant, WorkgroupRule};
use crate::trail::Trail;
use crate::usage::{Flights, InFlight, Unknown, Usage, looked_at};
use crate::window::{BUCKET, Span, ceil, floor};

/// The share of a limit from which on a workgroup's queries are asked for, beside the metric, whether or not any query is known to run: the
/// pace after a giant has landed can only be told from one that goes on by the queries themselves. So low, because a quarter of the
/// episodes on the public series jumps from under half of the limit to over it in a quarter of an hour. On logs made of these series in which
/// giants land at once, 10 % alone kept nineteen of twenty warnings that asking always gives, 25 % between four and nine of ten, and 50 % next to
/// none.
const ASKED_FROM: Percent = Percent::whole(10);

/// How far back an active query of the account counts as one that may still run.
const RUNS_SINCE: SignedDuration = SignedDuration::from_mins(10);

/// How near a limit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Below every threshold.
    Ok,
    /// At or above `warn`, or about to run out.
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
    /// How the limit itself does not fit, where that is known.
    pub misfit: Option<Misfit>,
    /// The queries that are running, as far as they are known; the one that has scanned the most first, and of those of which that is not
    /// known the oldest. `None` where they were not asked for, or could not be.
    pub in_flight: Option<Vec<InFlight>>,
    /// Whether more may be running than these.
    pub may_be_more: bool,
    /// How the window has filled.
    pub trail: Trail,
}

/// Seen, or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The use is known.
    Seen {
        /// Bytes scanned in the window.
        used: Bytes,
        /// What the forecast says.
        foresight: Foresight,
        /// The level that follows from both.
        level: Level,
        /// When it runs out, as far as that can be guessed; only looked at where the level is not `ok`.
        outlook: Option<Outlook>,
    },
    /// It is not, and nothing may be concluded.
    Unknown(Unknown),
}

/// What the forecast says of a limit at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foresight {
    /// Nothing: it is off, or there is too little history.
    Silent,
    /// The limit lasts for the next hour.
    Lasts,
    /// It is about to run out.
    RunsOut,
}

/// All of a look at one limit that decides about its alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Bytes scanned in the window.
    pub used: Bytes,
    /// What the forecast says.
    pub foresight: Foresight,
}

/// Everything one run found.
#[derive(Debug, Clone)]
pub struct Findings<'p> {
    /// One verdict per workgroup and limit, by workgroup name, then in the policy's order.
    pub verdicts: Vec<Verdict<'p>>,
    /// One verdict per limit on queries: the account's classes, then workgroups by name.
    pub queries: Vec<QueryVerdict<'p>>,
    /// What is not known, by workgroup, whether or not the workgroup has limits.
    pub unseen: Vec<(String, Unknown)>,
    /// Workgroups that are covered by a rule and were looked at with success.
    pub seen: Vec<String>,
    /// What was found out about the limits of those that were not asked, when they were last asked: `as_of` says when.
    pub remembered: Vec<Verdict<'p>>,
    /// Workgroups that no rule covers.
    pub uncovered: Vec<String>,
}

/// Judges every limit of every workgroup that the policy covers.
///
/// A workgroup that the policy names exactly is judged whether or not it exists; one that only a pattern would cover is
/// judged where it exists.
pub fn judge<'p>(policy: &'p Policy, tick: &Tick, usage: &Usage) -> Findings<'p> {
    let mut findings = Findings {
        verdicts: Vec::new(),
        queries: queries::judge(policy, tick, usage),
        unseen: Vec::new(),
        seen: Vec::new(),
        remembered: remembered(policy, usage),
        uncovered: Vec::new(),
    };
    let absent = usage.incomplete.clone().unwrap_or(Unknown::NoSuchWorkgroup);
    let missing = policy.rules().iter().map(|rule| &rule.pattern).filter(|p| p.is_exact()).map(|p| p.as_str());
    let is_known = |name: &str| usage.workgroups.contains_key(name) || usage.left_out.contains_key(name);
    let missing = missing.filter(|name| !is_known(name)).map(|name| (name, Err(absent.clone())));
    let known = usage.workgroups.iter().map(|(name, seen)| (name.as_str(), seen.clone()));
    let mut all: Vec<_> = known.chain(missing).collect();
    all.sort_by_key(|(name, _)| *name);
    for (name, seen) in all {
        let Some(rule) = policy.rule_for(name) else {
            findings.uncovered.push(name.to_owned());
            continue;
        };
        let mut unseen = seen.as_ref().err().cloned();
        let meter = seen.as_ref().map(Meter::from).map_err(Clone::clone);
        let none = Flights::default();
        let known = usage.flights.get(name);
        let flights = known.unwrap_or(&none);
        let foreseen = || rule.limits.iter().filter(|limit| limit.forecast).map(|limit| &limit.window);
        let inflow = meter.as_ref().ok().filter(|_| foreseen().next().is_some());
        let inflow =
            inflow.and_then(|meter| Inflow::guess(meter, tick.at, &flights.landed, &mut Memo::for_windows(foreseen())));
        let missed = usage.missed.get(name).map_or(&[][..], Vec::as_slice);
        for limit in &rule.limits {
            let look = |meter: &Meter| {
                let now = limit.read(meter, tick.at, inflow.as_ref(), flights)?;
                let (as_of, reading) = limit.made_up(meter, missed, tick.at, now);
                let mut finding = limit.finding(reading, meter, tick.at, inflow.as_ref(), flights);
                // Of a look that is made up for, what comes next is known already.
                if let (Finding::Seen { outlook, .. }, true) = (&mut finding, as_of < tick.at) {
                    *outlook = None;
                }
                Ok((as_of, finding))
            };
            let (as_of, finding) = match meter.as_ref().map_err(Clone::clone).and_then(look) {
                Ok(finding) => finding,
                Err(why) => {
                    // One limit that cannot be judged is reason enough to tell somebody.
                    unseen.get_or_insert_with(|| why.clone());
                    (tick.at, Finding::Unknown(why))
                }
            };
            let span = limit.span(as_of);
            let trail = meter.as_ref().map(|meter| Trail::of(meter, &limit.window, as_of));
            let trail = trail.unwrap_or_else(|_| Trail::unknown(span));
            let workgroup = name.to_owned();
            let misfit = None;
            let in_flight = known.map(|flights| {
                let mut running = flights.running.clone();
                running.sort_by_key(|query| (Reverse(query.scanned), query.started));
                running
            });
            let may_be_more = flights.may_be_more;
            findings.verdicts.push(Verdict {
                workgroup,
                rule,
                limit,
                span,
                as_of,
                finding,
                misfit,
                in_flight,
                may_be_more,
                trail,
            });
        }
        match unseen {
            None => findings.seen.push(name.to_owned()),
            Some(why) => findings.unseen.push((name.to_owned(), why)),
        }
    }
    findings
}

/// Verdicts of the past about those that were not asked.
fn remembered<'p>(policy: &'p Policy, usage: &Usage) -> Vec<Verdict<'p>> {
    let left_out = usage.left_out.iter().filter_map(|(name, known)| Some((name, known, policy.rule_for(name)?)));
    let verdicts = left_out.flat_map(|(name, known, rule)| {
        rule.limits.iter().zip(&known.used).map(move |(limit, used)| {
            let span = limit.span(known.asked);
            Verdict {
                workgroup: name.clone(),
                rule,
                limit,
                span,
                as_of: known.asked,
                finding: Finding::Seen {
                    used: *used,
                    foresight: if limit.forecast && known.is_foreseen { Foresight::Lasts } else { Foresight::Silent },
                    level: Level::Ok,
                    outlook: None,
                },
                misfit: None,
                in_flight: None,
                may_be_more: false,
                trail: Trail::unknown(span),
            }
        })
    });
    verdicts.collect()
}

/// The workgroups whose queries are worth asking for, the one nearest to a limit of its first: those with a part of a limit used, and where
/// queries are known to run somewhere, the others too, as a giant may be the first query of its day. Those whose use is not
/// known are not among them: nothing could be concluded.
pub fn worth_asking<'u>(policy: &Policy, tick: &Tick, usage: &'u Usage) -> Vec<&'u str> {
    // One that ran a moment ago may still do so, and CloudWatch is late by some minutes.
    let active = usage.concurrency.active.get(&Class::Dml).and_then(|active| active.peaks.as_ref().ok());
    let newest = active.and_then(|peaks| peaks.largest(looked_at(tick.at, RUNS_SINCE)));
    let anything_runs = newest.is_some_and(|(_, most)| most > 0);
    let mut asked: Vec<(u64, &str)> = Vec::new();
    for (name, seen) in &usage.workgroups {
        let (Some(rule), Ok(series)) = (policy.rule_for(name), seen) else { continue };
        let shares = rule.limits.iter().filter_map(|limit| {
            let used = series.sum(limit.window.span(tick.at)).ok()?;
            (anything_runs || limit.is_worth_asking(used)).then(|| whole_percent(used, limit.bytes))
        });
        let nearest = shares.max();
        asked.extend(nearest.map(|share| (share, name.as_str())));
    }
    // Those that were not asked, by what was known of them: a query that has begun since is a reason to ask after all.
    for (name, known) in &usage.left_out {
        let limits = policy.rule_for(name).map_or(&[][..], |rule| &rule.limits);
        let used = limits.iter().zip(&known.used);
        let used = used.filter(|(limit, used)| anything_runs || limit.is_worth_asking(**used));
        let nearest = used.map(|(limit, used)| whole_percent(*used, limit.bytes)).max();
        asked.extend(nearest.map(|share| (share, name.as_str())));
    }
    asked.sort_by_key(|(share, _)| Reverse(*share));
    asked.into_iter().map(|(_, name)| name).collect()
}

impl Limit {
    /// Whether so much of it is used that the workgroup's queries are asked for, beside the metric.
    pub fn is_worth_asking(&self, used: Bytes) -> bool {
        ASKED_FROM.reached(used, self.bytes)
    }

    /// Reads a workgroup's meter for this limit at `at`. This is the whole of a look in a back-test, so that it costs little.
    ///
    /// # Errors
    /// [`Unknown`] where the meter does not hold the whole window.
    pub fn read(
        &self,
        meter: &Meter,
        at: Timestamp,
        inflow: Option<&Inflow>,
        flights: &Flights,
    ) -> Result<Reading, Unknown> {
        let used = meter.sum(self.span(at))?;
        let view = View { meter, window: &self.window, limit: self.bytes, at, flights };
        let foresight = match self.forecast.then(|| view.will_exhaust(inflow)).flatten() {
            None => Foresight::Silent,
            Some(false) => Foresight::Lasts,
            Some(true) => Foresight::RunsOut,
        };
        Ok(Reading { used, foresight })
    }

    /// What a reading at `at` means, with when the limit runs out, where that can be guessed and matters.
    pub fn finding(
        &self,
        reading: Reading,
        meter: &Meter,
        at: Timestamp,
        inflow: Option<&Inflow>,
        flights: &Flights,
    ) -> Finding {
        let level = self.level(reading);
        let view = View { meter, window: &self.window, limit: self.bytes, at, flights };
        let tell = self.forecast && level != Level::Ok && level != Level::Exhausted;
        let outlook = tell.then(|| view.outlook(inflow)).flatten();
        Finding::Seen { used: reading.used, foresight: reading.foresight, level, outlook }
    }

    /// The look to judge at `at`: `now`, or one among `missed`, which were left out, that would have found a higher level; the highest there
    /// was, and the newest of such. By use alone: a forecast that has not come true is nothing to tell.
    pub fn made_up(&self, meter: &Meter, missed: &[Timestamp], at: Timestamp, now: Reading) -> (Timestamp, Reading) {
        let foresight = if now.foresight == Foresight::Silent { Foresight::Silent } else { Foresight::Lasts };
        let looks = missed.iter().filter_map(|at| {
            let then = Reading { used: meter.sum(self.span(*at)).ok()?, foresight };
            Some((self.level(then), *at, then))
        });
        match looks.max_by_key(|(level, at, _)| (*level, *at)) {
            Some((level, then, reading)) if level > self.level(now) => (then, reading),
            _ => (at, now),
        }
    }

    /// The level that a reading means, without memory.
    pub fn level(&self, reading: Reading) -> Level {
        [Level::Exhausted, Level::Critical, Level::Warn]
            .into_iter()
            .find(|level| self.threshold_when(*level, reading.foresight).reached(reading.used, self.bytes))
            .unwrap_or(if reading.foresight == Foresight::RunsOut { Level::Warn } else { Level::Ok })
    }

    /// The stretch that counts at `at`: the window's, and for as long as a grant that has ended would reach into it only what came after.
    pub fn span(&self, at: Timestamp) -> Span {
        let mut span = self.window.span(at);
        if let Some(UnderGrant::Ended { at: ended }) = &self.grant {
            span.start = ceil(*ended).clamp(span.start, span.end);
        }
        span
    }

    /// How far back a look at `at` reads: to the window's start, or further where the forecast asks for it.
    pub fn reads_from(&self, at: Timestamp) -> Timestamp {
        let history = i64::try_from(HISTORY).unwrap_or(0) * BUCKET;
        let history = Timestamp::from_second(floor(at).as_second() - history).unwrap_or(Timestamp::MIN);
        let start = self.window.span(at).start;
        if self.forecast { start.min(history) } else { start }
    }

    /// The share of the limit below which an alert resolves.
    pub fn resolves_below(&self) -> Percent {
        self.warn.saturating_sub(self.hysteresis).min(self.warn_unforeseen)
    }

    /// The share of the limit at which a level begins, given what the forecast says.
    pub fn threshold_when(&self, level: Level, foresight: Foresight) -> Percent {
        match (level, foresight) {
            (Level::Warn, Foresight::Silent) => self.warn_unforeseen,
            _ => self.threshold(level),
        }
    }

    /// The share of the limit at which a level begins, where the forecast says something.
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

    /// When it runs out, where that can be guessed and matters.
    pub fn outlook(&self) -> Option<Outlook> {
        match self.finding {
            Finding::Seen { outlook, .. } => outlook,
            Finding::Unknown(_) => None,
        }
    }

    /// How many queries are running; `None` where that is not known of all.
    pub fn in_flight_queries(&self) -> Option<usize> {
        self.in_flight.as_ref().filter(|_| !self.may_be_more).map(Vec::len)
    }

    /// What they have scanned so far; `None` where that is not known of each.
    pub fn in_flight_bytes(&self) -> Option<Bytes> {
        let mut scanned = self.in_flight.as_ref().filter(|_| !self.may_be_more)?.iter().map(|query| query.scanned);
        let sum = scanned.try_fold(0u64, |sum, scanned| Some(sum.saturating_add(scanned?.get())));
        sum.map(Bytes::new)
    }

    /// The level as a word, `unknown` among them.
    pub fn level_word(&self) -> &'static str {
        match self.finding {
            Finding::Seen { level, .. } => level.word(),
            Finding::Unknown(_) => "unknown",
        }
    }

    /// Why it has this level, in one line; with the grant that it is under.
    pub fn reason(&self) -> String {
        let reason = self.reason_alone();
        match &self.limit.grant {
            None => reason,
            Some(UnderGrant::Raised { by, until, usual, .. }) => {
                let usual = usual.human(self.limit.units);
                format!("{reason}; raised by {by} until {until}, usually {usual}")
            }
            Some(UnderGrant::Ended { at }) => format!("{reason}; counted since the grant ended at {at}"),
        }
    }

    fn reason_alone(&self) -> String {
        match &self.finding {
            Finding::Unknown(why) => why.to_string(),
            Finding::Seen { used, foresight, level, .. } => {
                let percent = whole_percent(*used, self.limit.bytes);
                let words = self.limit.window.words();
                let threshold = self.limit.threshold_when(*level, *foresight);
                match level {
                    Level::Ok => {
                        format!(
                            "{percent} % used {words}, below {}",
                            self.limit.threshold_when(Level::Warn, *foresight)
                        )
                    }
                    Level::Exhausted => format!("{percent} % used {words}, the limit is gone"),
                    Level::Warn if !threshold.reached(*used, self.limit.bytes) => {
                        format!("{percent} % used {words}, and it will run out soon")
                    }
                    _ => format!("{percent} % used {words}, at or above {threshold}"),
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
