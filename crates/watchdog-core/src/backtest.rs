//! What would have been sent, had the watchdog been running: the same look, the same alert story and the same people as in the
//! function, over use that is given bucket by bucket instead of being read from CloudWatch.
//!
//! Alerts about different limits have nothing to do with each other, so a [`Replay`] is about one workgroup, and the rows of several may
//! come mixed in any way. Mails are taken to arrive at once.

mod thrift;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, Serializer};

use self::thrift::Thrift;
pub use self::thrift::{Asked, Delays, delays};
use crate::alert::{Reason, Record, Severity, Subject, sighting};
use crate::bytes::Bytes;
use crate::delivery::{Notice, plan_limit};
use crate::economy::Asking;
use crate::forecast::{HISTORY, Inflow, Memo, PACED, View};
use crate::meter::Meter;
use crate::percent::Percent;
use crate::policy::{Address, Limit, Policy, WorkgroupRule};
use crate::queries::{Execution, Kind, State};
use crate::score::{Look, Scorer, Tally};
use crate::trace::Trace;
use crate::trail::Trail;
use crate::usage::Flights;
use crate::verdict::{Finding, Foresight, Reading, Verdict};
use crate::window::{BUCKET, Window, floor};

/// The rule that a policy is compared with, and that everybody has: open at 80 %, resolve below 75 %, at once.
const STATIC_OPENS: Percent = Percent::whole(80);
const STATIC_HYSTERESIS: Percent = Percent::whole(5);

/// How time passes in a back-test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Seconds that one row stands for: a row stamped `t` is about `[t, t + step)`, and known at `t + step`.
    pub step: i64,
    /// Seconds between two runs of the watchdog.
    pub every: i64,
    /// From when on alerts and episodes are counted in the score; the data's beginning where it is `None`.
    pub score_from: Option<Timestamp>,
    /// Whether to keep how use went, for a plot.
    pub trace: bool,
}

/// One thing that people would have been told of. Field names are part of the interface contract. There may be hundreds of thousands,
/// of few workgroups, windows and people, whose names they share.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Notification {
    /// The instant that was judged.
    pub time: Timestamp,
    /// The workgroup.
    #[serde(serialize_with = "text")]
    pub workgroup: Arc<str>,
    /// The window's name, such as `1h`.
    #[serde(serialize_with = "text")]
    pub window: Arc<str>,
    /// `opened`, `escalated`, `repeated` or `resolved`.
    pub event: &'static str,
    /// `warn`, `critical` or `exhausted`; of what is resolved, what it was last.
    pub level: &'static str,
    /// `threshold`, `will_exhaust`, `over` or `window_ended`.
    pub reason: &'static str,
    /// Bytes in the window.
    pub used_bytes: u64,
    /// The limit.
    pub limit_bytes: u64,
    /// When it runs out at the pace of then; `null` where that is not known, or not within the hour.
    pub exhausts_at: Option<Timestamp>,
    /// Who would have had mail.
    #[serde(skip)]
    pub told: Arc<[Address]>,
    /// Which of the policies that are compared, by its place.
    #[serde(skip)]
    pub policy: usize,
}

fn text<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

/// One workgroup's past, looked at as it goes by, with the eyes of one policy or of several that are to be compared.
#[derive(Debug)]
pub struct Replay<'p> {
    workgroup: Arc<str>,
    pace: Pace,
    meter: Meter,
    memo: Memo,
    foresees: bool,
    next: i64,
    newest: i64,
    watches: Vec<Watch<'p>>,
    thrifts: Vec<Thrift<'p>>,
    log: Log,
}

/// One query of a workgroup's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// How it is called in a mail.
    pub id: String,
    /// When it was handed in.
    pub submitted: Timestamp,
    /// When it ended; its bytes are in the metric from then on, and it is in flight until then, so that nothing counts twice.
    pub completed: Timestamp,
    /// What it had scanned at its end.
    pub bytes: Bytes,
}

/// A workgroup's queries, as far as they are in flight at some instant.
#[derive(Debug, Default)]
struct Log {
    /// In the order in which they were handed in.
    queries: Vec<Query>,
    /// Those before this one have been handed in.
    next: usize,
    /// The places of those that are in flight.
    running: Vec<usize>,
    /// Those of the ones that the pace still remembers.
    landed: Vec<usize>,
    /// Whether it is known while they run what they have scanned so far.
    grows: bool,
}

impl Log {
    /// What Athena would say of the queries at `at`: that those that run have scanned evenly since they were handed in.
    fn flights(&mut self, at: Timestamp) -> Flights {
        while self.queries.get(self.next).is_some_and(|query| query.submitted <= at) {
            self.running.push(self.next);
            self.next += 1;
        }
        let queries = &self.queries;
        let is_over = |n: &usize| queries.get(*n).is_none_or(|query| query.completed < at);
        self.landed.extend(self.running.iter().filter(|n| is_over(n)));
        self.running.retain(|n| !is_over(n));
        self.landed.retain(|n| queries.get(*n).is_some_and(|query| query.completed >= at - PACED));
        let scanned = |query: &Query| {
            let (so_far, all) = (at.duration_since(query.submitted), query.completed.duration_since(query.submitted));
            let part = u128::from(query.bytes.get()) * u128::try_from(so_far.as_secs()).unwrap_or(0);
            let part = part / u128::try_from(all.as_secs()).unwrap_or(1).max(1);
            u64::try_from(part).map_or(query.bytes, |part| Bytes::new(part).min(query.bytes))
        };
        let running = self.running.iter().filter_map(|n| queries.get(*n)).map(|query| {
            let scanned = self.grows.then(|| scanned(query));
            Execution { state: State::Running, completed: None, scanned, ..query.execution() }
        });
        let landed = self.landed.iter().filter_map(|n| queries.get(*n)).map(Query::execution);
        Flights::of(&running.chain(landed).collect::<Vec<_>>(), at, self.grows)
    }
}

impl Query {
    /// As Athena tells of it once it has ended.
    fn execution(&self) -> Execution {
        Execution {
            id: self.id.clone(),
            workgroup: String::new(),
            state: State::Succeeded,
            submitted: Some(self.submitted),
            completed: Some(self.completed),
            scanned: Some(self.bytes),
            kind: Kind::Dml,
            sql: None,
        }
    }
}

/// One of its limits.
#[derive(Debug)]
struct Watch<'p> {
    /// Whose, by its place.
    policy: usize,
    whole: &'p Policy,
    rule: &'p WorkgroupRule,
    limit: &'p Limit,
    subject: Subject,
    window: Arc<str>,
    /// Whom a notification told last: most tell the same people.
    told: Arc<[Address]>,
    record: Record,
    scorer: Scorer,
    /// How use went: of the tested policy's limits, where it is wanted.
    trace: Option<Trace>,
}

/// How the alerts about one limit scored.
#[derive(Debug, Clone)]
pub struct Scored {
    /// Which policy's, by its place.
    pub policy: usize,
    /// The window's name.
    pub window: String,
    /// Its length in seconds; of a calendar window its usual one.
    pub seconds: i64,
    /// The counts.
    pub tally: Tally,
    /// How use went, where that was wanted.
    pub traced: Option<Traced>,
}

/// A limit and the use under it, for a plot.
#[derive(Debug, Clone)]
pub struct Traced {
    /// The workgroup.
    pub workgroup: String,
    /// The limit.
    pub limit: Bytes,
    /// The share of it at which `warn` begins, where the forecast says something.
    pub warn: Percent,
    /// The use.
    pub trace: Trace,
}

/// The same policy with the static rule in the place of its own thresholds, and without the forecast and an economy.
pub fn fixed(policy: &Policy) -> Policy {
    policy.without_economy().with_limits(|limit| {
        let critical = limit.critical.max(Percent::whole(81));
        Limit {
            warn: STATIC_OPENS,
            warn_unforeseen: STATIC_OPENS,
            critical,
            hysteresis: STATIC_HYSTERESIS,
            forecast: false,
            hold: SignedDuration::ZERO,
            ..limit.clone()
        }
    })
}

impl<'p> Replay<'p> {
    /// A workgroup whose first row is stamped `first`; `None` where no rule of the policies covers it. Nothing is known to have been scanned
    /// before.
    pub fn new(policies: &[&'p Policy], workgroup: &str, first: Timestamp, pace: Pace) -> Option<Self> {
        let (mut watches, mut thrifts) = (Vec::new(), Vec::new());
        let mut covered = false;
        for (n, policy) in policies.iter().enumerate() {
            let Some(rule) = policy.rule_for(workgroup) else { continue };
            covered = true;
            thrifts.extend(policy.economy.map(|rules| Thrift::new(n, rules, &rule.limits)));
            watches.extend(rule.limits.iter().map(|limit| Watch {
                policy: n,
                whole: policy,
                rule,
                limit,
                subject: Subject::Limit { workgroup: workgroup.to_owned(), window: limit.window.id() },
                window: limit.window.id().into(),
                told: Arc::default(),
                record: Record::default(),
                scorer: Scorer::new(length(&limit.window), pace.every, pace.score_from),
                trace: (pace.trace && n == 0).then(Trace::default),
            }));
        }
        let longest = watches.iter().map(|watch| length(&watch.limit.window)).max().unwrap_or(0) / BUCKET;
        // A day with the clock set back has 25 hours; and a quarter of an hour is looked back for the score.
        let keep = usize::try_from(longest + 12 + JUMP / BUCKET + 2).unwrap_or(0).max(HISTORY + 1);
        let before = SignedDuration::from_secs(i64::try_from(keep).unwrap_or(0) * BUCKET);
        let mut meter = Meter::new(first.saturating_sub(before).unwrap_or(Timestamp::MIN), keep);
        meter.know_until(first);
        let known = first.as_second() + pace.step;
        // On the clock where the rows are: at :00, :15, :30 and :45 for a run every 15 minutes.
        let phase = first.as_second().rem_euclid(pace.step);
        let next = known + (phase - known).rem_euclid(pace.every);
        let foreseen = || watches.iter().map(|watch| watch.limit).filter(|limit| limit.forecast);
        let (foresees, memo) = (foreseen().next().is_some(), Memo::for_windows(foreseen().map(|limit| &limit.window)));
        covered.then(|| Self {
            workgroup: workgroup.into(),
            pace,
            meter,
            memo,
            foresees,
            next,
            newest: first.as_second(),
            watches,
            thrifts,
            log: Log::default(),
        })
    }

    /// Goes through a log of queries instead of rows: each one's bytes come in at its end. `grows` says whether it is known while it runs what
    /// it has scanned so far. Of `pace` the step does not count.
    pub fn through_queries(
        policies: &[&'p Policy],
        workgroup: &str,
        mut queries: Vec<Query>,
        grows: bool,
        pace: Pace,
        out: &mut Vec<Notification>,
    ) -> Option<Self> {
        queries.sort_by_key(|query| query.submitted);
        let first = floor(queries.first()?.submitted);
        let mut landings: Vec<(Timestamp, Bytes)> =
            queries.iter().map(|query| (query.completed, query.bytes)).collect();
        landings.sort_unstable();
        // A landing is known a second after it: to the first run whose window ends later.
        let mut replay = Self::new(policies, workgroup, first, Pace { step: 1, ..pace })?;
        replay.log = Log { queries, grows, ..Log::default() };
        for (completed, bytes) in landings {
            replay.push(completed, bytes, out);
        }
        Some(replay)
    }

    /// Takes one row: all runs before it is known have been done then. Rows come in the order of time; of the same stamp there may be
    /// several, which are added up.
    pub fn push(&mut self, at: Timestamp, bytes: Bytes, out: &mut Vec<Notification>) {
        self.run_until(at.as_second() + self.pace.step - 1, out);
        self.newest = self.newest.max(at.as_second());
        let parts = (self.pace.step / BUCKET).max(1);
        if parts == 1 {
            self.meter.add(at, bytes);
            return;
        }
        // A row of an hour is twelve buckets with a twelfth each, and what cannot be divided in the first.
        let parts_unsigned = u64::try_from(parts).unwrap_or(1);
        let (each, rest) = (bytes.get() / parts_unsigned, bytes.get() % parts_unsigned);
        for part in 0..parts {
            let start = at.saturating_add(SignedDuration::from_secs(part * BUCKET)).unwrap_or(Timestamp::MAX);
            self.meter.add(start, Bytes::new(if part == 0 { each + rest } else { each }));
        }
    }

    /// Does the runs that are due until one knows the last row, and then those that it takes until nothing is open any more, but none
    /// after `until`.
    pub fn finish(&mut self, until: Timestamp, out: &mut Vec<Notification>) {
        self.run_until(self.newest + self.pace.step + self.pace.every - 1, out);
        while self.next <= until.as_second() && self.watches.iter().any(|watch| !watch.record.is_over()) {
            self.run(self.next, false, out);
            self.next += self.pace.every;
        }
    }

    /// How often the first policy asked, where it has an economy.
    pub fn asked(&self) -> Option<Asked> {
        self.thrifts.iter().find(|thrift| thrift.policy == 0).map(|thrift| thrift.counts)
    }

    /// How its limits scored.
    pub fn scored(self) -> Vec<Scored> {
        let workgroup = self.workgroup;
        let scored = self.watches.into_iter().map(|watch| {
            let limit = watch.limit;
            let traced =
                |trace| Traced { workgroup: workgroup.to_string(), limit: limit.bytes, warn: limit.warn, trace };
            Scored {
                policy: watch.policy,
                window: limit.window.id(),
                seconds: length(&limit.window),
                tally: watch.scorer.finish(),
                traced: watch.trace.map(traced),
            }
        });
        scored.collect()
    }

    fn run_until(&mut self, until: i64, out: &mut Vec<Notification>) {
        while self.next <= until {
            self.run(self.next, true, out);
            self.next += self.pace.every;
        }
    }

    /// What is known of the queries at `at`, where they would be asked for at all.
    fn flights(&mut self, at: Timestamp) -> Flights {
        if self.log.queries.is_empty() {
            return Flights::default();
        }
        let flights = self.log.flights(at);
        let used = |limit: &Limit| self.meter.sum(limit.window.span(at)).unwrap_or(Bytes::ZERO);
        let is_asked = !flights.running.is_empty()
            || self.watches.iter().any(|watch| watch.limit.is_worth_asking(used(watch.limit)));
        if is_asked { flights } else { Flights::default() }
    }

    fn run(&mut self, now: i64, counts: bool, out: &mut Vec<Notification>) {
        let Ok(at) = Timestamp::from_second(now) else { return };
        self.meter.know_until(at);
        let flights = self.flights(at);
        let inflow = match self.foresees {
            true => Inflow::guess(&self.meter, at, &flights.landed, &mut self.memo),
            false => None,
        };
        for thrift in &mut self.thrifts {
            let mut own = self.watches.iter().filter(|watch| watch.policy == thrift.policy);
            let flies = !flights.running.is_empty() || flights.may_be_more;
            thrift.begin(at, flies || own.any(|watch| watch.record.is_pending()));
        }
        for watch in &mut self.watches {
            let limit = watch.limit;
            // The meter was made to hold the whole window, so that nothing is unknown but what no number can hold.
            let Ok(reading) = limit.read(&self.meter, at, inflow.as_ref(), &flights) else { continue };
            let truth = reading.used;
            let thrift = self.thrifts.iter().find(|thrift| thrift.policy == watch.policy);
            let is_left_out = thrift.is_some_and(|thrift| thrift.leaves_out);
            let missed = thrift.filter(|_| !is_left_out).map_or(&[][..], Thrift::missed);
            let (as_of, reading) = limit.made_up(&self.meter, missed, at, reading);
            let sighting = sighting(limit, reading, watch.record.story, as_of);
            if !is_left_out && !watch.record.is_settled(sighting, limit.repeat_every, at) {
                let finding = Finding::Seen {
                    used: reading.used,
                    foresight: reading.foresight,
                    level: limit.level(reading),
                    outlook: None,
                };
                let span = limit.window.span(as_of);
                let verdict = Verdict {
                    workgroup: self.workgroup.to_string(),
                    rule: watch.rule,
                    limit,
                    span,
                    as_of,
                    finding,
                    misfit: None,
                    in_flight: Some(flights.running.clone()),
                    may_be_more: flights.may_be_more,
                    // No mail is made of it.
                    trail: Trail::unknown(span),
                };
                let (after, notices) = plan_limit(&verdict, &watch.subject, &watch.record, watch.whole, at);
                let before = std::mem::replace(&mut watch.record, after);
                for (person, notice) in &notices {
                    watch.record.tell(person, notice.reason, at);
                }
                if !notices.is_empty() {
                    if !watch.told.iter().eq(notices.iter().map(|(person, _)| person)) {
                        watch.told = notices.iter().map(|(person, _)| person.clone()).collect();
                    }
                    let view =
                        View { meter: &self.meter, window: &limit.window, limit: limit.bytes, at, flights: &flights };
                    // What is compared is counted and not shown.
                    let tell = limit.forecast && watch.policy == 0 && reading.used < limit.bytes && as_of == at;
                    let outlook = tell.then(|| view.outlook(inflow.as_ref())).flatten();
                    let line = |event, level, reason| Notification {
                        time: at,
                        workgroup: Arc::clone(&self.workgroup),
                        window: Arc::clone(&watch.window),
                        event,
                        level,
                        reason,
                        used_bytes: reading.used.get(),
                        limit_bytes: limit.bytes.get(),
                        exhausts_at: outlook.and_then(|outlook| outlook.about),
                        told: Arc::clone(&watch.told),
                        policy: watch.policy,
                    };
                    out.extend(events(&before, &watch.record, &notices, limit, reading, at, line));
                }
            }
            if counts {
                watch.count(now, truth, &self.meter);
            }
        }
        for thrift in self.thrifts.iter_mut().filter(|thrift| !thrift.leaves_out) {
            let may_land = !flights.running.is_empty() || flights.may_be_more;
            let (limits, meter, inflow) = (thrift.limits, &self.meter, inflow.as_ref());
            thrift.note(&Asking { limits, meter, inflow, newest: None, may_land, at });
        }
    }
}

/// How far before an episode use is looked at to say whether it jumped, in seconds.
const JUMP: i64 = 15 * 60;

impl Watch<'_> {
    fn count(&mut self, now: i64, used: Bytes, meter: &Meter) {
        let limit = self.limit;
        let over = used >= limit.bytes;
        if let Some(trace) = &mut self.trace {
            trace.add(now, used);
        }
        let jumped = over && !self.scorer.is_over() && {
            let before = Timestamp::from_second(now - JUMP).ok();
            let then = before.and_then(|before| meter.sum(limit.window.span(before)).ok());
            then.is_some_and(|then| !Percent::whole(50).reached(then, limit.bytes))
        };
        self.scorer.look(Look { at: now, over, jumped, open: !self.record.told.is_empty() });
    }
}

/// What happened to an alert in one run, from what its people were told: one line however many they are.
fn events(
    before: &Record,
    after: &Record,
    notices: &[(Address, Notice)],
    limit: &Limit,
    reading: Reading,
    at: Timestamp,
    line: impl Fn(&'static str, &'static str, &'static str) -> Notification,
) -> Vec<Notification> {
    let mut lines = Vec::new();
    let story = after.story.map(|story| story.opened);
    let old = before.told.values().filter(|told| Some(told.story) != story).map(|told| told.severity).max();
    if let Some(severity) = old {
        let ended = before.story.is_some_and(|story| story.window_began != limit.window.began(at));
        let reason = if ended { "window_ended" } else { "over" };
        lines.push(line("resolved", word(severity), reason));
    }
    let Some(open) = after.story else { return lines };
    let known = before.told.values().any(|told| told.story == open.opened);
    let is = |wanted: fn(&Reason) -> bool| notices.iter().any(|(_, notice)| wanted(&notice.reason));
    let event = match () {
        () if is(|reason| matches!(reason, Reason::Escalated { .. })) => "escalated",
        () if is(|reason| matches!(reason, Reason::Opened)) => {
            if known {
                "escalated"
            } else {
                "opened"
            }
        }
        () if is(|reason| matches!(reason, Reason::Repeated { .. })) => "repeated",
        () => return lines,
    };
    let by_use = limit.threshold_when(open.severity.level(), reading.foresight).reached(reading.used, limit.bytes);
    let foreseen = reading.foresight == Foresight::RunsOut && open.severity == Severity::Warn && !by_use;
    lines.push(line(event, word(open.severity), if foreseen { "will_exhaust" } else { "threshold" }));
    lines
}

fn word(severity: Severity) -> &'static str {
    severity.level().word()
}

/// A window's length in seconds; of a calendar window its usual one.
pub fn length(window: &Window) -> i64 {
    use crate::window::CalendarUnit::{Day, Hour};
    match window {
        Window::Rolling { minutes } => i64::from(*minutes) * 60,
        Window::Calendar { unit: Hour, .. } => 3600,
        Window::Calendar { unit: Day, .. } => 86_400,
    }
}
