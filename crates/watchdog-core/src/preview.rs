//! A message as a policy would send it, about use that is made up: so that people see a mail before the night it comes.
//!
//! Nothing is made to look like a message. The use is made up, look by look, and goes through the same judging and planning as a run's;
//! so a preview tells nobody whom the policy would not tell, and has no forecast that the rule would not give.

mod promises;
mod queries;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::alert::{Reason, Record, Severity, Subject};
use crate::bytes::Bytes;
use crate::delivery::{Message, Notice, People, Promises, Records, Shown, Standing, plan, promised};
use crate::event::{Tick, Timing};
use crate::forecast::HISTORY;
use crate::history::Share;
use crate::people::{Gathered, Shares};
use crate::percent::Percent;
use crate::policy::{Class, Document, Limit, Policy};
use crate::principal::Principal;
use crate::queries::{Execution, Kind, State};
use crate::usage::{Flights, InFlight, Series, Unknown, Usage};
use crate::verdict::{Level, Pressure, judge};
use crate::window::{BUCKET, floor};

/// What the mail is to be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// An alert that has just opened.
    Opened,
    /// It has got worse.
    Escalated,
    /// Nothing new, a repeat interval later.
    Repeated,
    /// It is over.
    Resolved,
    /// A workgroup that publishes no metrics.
    CannotSee,
    /// A workgroup that had not been seen and is.
    SeenAgain,
    /// A list of workgroups that cannot be read.
    Listing,
    /// A policy with problems.
    Policy,
    /// A policy that had problems and has none.
    PolicyAgain,
    /// An alert of every workgroup at once, one of them unseen.
    Several,
    /// An alert that opened while it was silenced.
    Silenced,
    /// So many queries are active in the account that the next ones may be refused.
    ActiveQueries,
    /// That is over.
    ActiveQueriesOver,
    /// A workgroup's queries wait for longer than they should.
    Waiting,
    /// That is over.
    WaitingOver,
    /// A grant that somebody has to approve.
    GrantAsked,
    /// A grant that stands.
    Granted,
    /// A grant that is about to end.
    GrantEndsSoon,
    /// A grant that is over.
    GrantEnded,
    /// A grant's cutoff that cannot be taken back.
    CutoffAmiss,
}

/// Who reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// An admin, or whoever else the policy names.
    Admin,
    /// Somebody whose queries it is about.
    Submitter,
}

/// Which message is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// What about.
    pub about: About,
    /// How bad; not asked of what has only one level.
    pub level: Severity,
    /// For whom.
    pub reader: Reader,
    /// Which workgroup; otherwise the first that has a limit.
    pub workgroup: Option<String>,
    /// Which of its limits, by the window's name; otherwise the first.
    pub window: Option<String>,
}

/// Why there is no such message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoMessage {
    /// No rule of the policy covers it.
    #[error("no rule of the policy covers the workgroup `{0}`")]
    NoRule(String),
    /// There is nothing to be over.
    #[error("the policy has no limit{0}")]
    NoLimit(String),
    /// The lowest level.
    #[error("nothing gets worse to `warn`, the lowest level: ask for `critical` or `exhausted`")]
    NothingBelow,
    /// The audience is empty, or another.
    #[error("the policy tells {who} of `{level}` of {workgroup} for {window}: see its `audience`")]
    NobodyTold {
        /// `nobody`, or `no submitters`.
        who: &'static str,
        /// The level.
        level: &'static str,
        /// The workgroup.
        workgroup: String,
        /// The window.
        window: String,
    },
    /// Only admins hear of it.
    #[error("only admins are told what cannot be seen, of the policy, and with a workgroup's owner of grants")]
    AdminsOnly,
    /// No rule watches it.
    #[error("the policy watches no {0}")]
    NotWatched(&'static str),
}

/// One look of the made-up past: when, and how much of the limit is used, in hundredths of a percent.
type Look = (Timestamp, u64);

/// What the policy sends at `at`, if the made-up use goes as is asked.
///
/// # Errors
/// [`NoMessage`] where the policy sends nobody such a message.
pub fn preview(policy: &Policy, asked: &Asked, at: Timestamp) -> Result<Message, NoMessage> {
    let is_for_admins = asked.about.is_of_the_watchdog() || asked.about.is_of_a_grant();
    if asked.reader == Reader::Submitter && is_for_admins {
        return Err(NoMessage::AdminsOnly);
    }
    let chosen = choose(policy, asked)?;
    let (workgroup, limit) = (chosen.0.as_str(), chosen.1);
    let rules = match asked.about {
        about if about.is_of_active() => Some(&policy.active_queries.rules),
        about if about.is_of_waiting() => {
            policy.rule_for(workgroup).and_then(|rule| Some(&rule.waiting.as_ref()?.rules))
        }
        _ => None,
    };
    let thresholds = rules.map_or((limit.warn, limit.critical), |rules| (rules.warn, rules.critical));
    let looks = looks(limit, thresholds, rules.map_or(limit.hold, |rules| rules.hold), asked, at)?;
    let named = workgroup.to_owned();
    let subject = match asked.about {
        about if about.is_of_active() && !policy.active_queries.classes.contains(&Class::Dml) => {
            return Err(NoMessage::NotWatched("active DML queries: see `dml` in `[active_queries]`"));
        }
        about if about.is_of_active() => Subject::Queries(Pressure::Active(Class::Dml)),
        about if about.is_of_waiting() => Subject::Queries(Pressure::Waiting { workgroup: named }),
        about if about.is_of_a_grant() => Subject::Grant { workgroup: named, id: promises::ID.to_owned() },
        _ => Subject::Limit { workgroup: named, window: limit.window.id() },
    };
    let mut records = Records::new();
    if matches!(subject, Subject::Limit { .. }) {
        records.insert(subject.clone(), remembered(limit, at));
    }
    let mut last = Vec::new();
    let now = at;
    for (n, (at, share)) in looks.iter().enumerate() {
        let is_last = n + 1 == looks.len();
        let world = World { policy, workgroup, limit, share: *share, at: *at, now, about: asked.about };
        let messages = world.messages(&mut records, &subject, is_last);
        // A hold may be over a look sooner.
        if !messages.is_empty() || !is_last || !asked.about.is_over() {
            last = messages;
        }
    }
    let fits = |notice: &Notice| match asked.about {
        About::Several => true,
        About::CannotSee | About::SeenAgain => {
            matches!(notice.subject, Subject::Sight { .. }) && has(notice.reason, asked.about)
        }
        About::Listing => notice.subject == Subject::Listing,
        About::Policy | About::PolicyAgain => notice.subject == Subject::Policy && has(notice.reason, asked.about),
        _ => notice.subject == subject && has(notice.reason, asked.about),
    };
    let is_own = |notice: &Notice| matches!(notice.people, Some(Shown::Own(_) | Shown::Filling(_)));
    let for_reader = |message: &Message| match asked.reader {
        Reader::Submitter => message.notices.iter().any(is_own),
        Reader::Admin => !message.notices.iter().any(is_own),
    };
    let found = last.into_iter().filter(for_reader).filter_map(|mut message| {
        message.notices.retain(fits);
        (!message.notices.is_empty()).then_some(message)
    });
    // Of several the one to an admin: submitters hear of what is over, too.
    let found = found.min_by_key(|message| !policy.mail.admins.contains(&message.to));
    found.ok_or_else(|| NoMessage::NobodyTold {
        who: if asked.reader == Reader::Submitter { "no submitters" } else { "nobody" },
        level: asked.level.words(),
        workgroup: workgroup.to_owned(),
        window: limit.window.id(),
    })
}

/// Two episodes of the last days, so that a preview shows what a mail says of them.
fn remembered(limit: &Limit, at: Timestamp) -> Record {
    let mut record = Record::default();
    for (days, minutes, level, percent) in [(6, 95, Level::Critical, 97), (2, 150, Level::Exhausted, 118)] {
        let opened = at.saturating_sub(SignedDuration::from_hours(days * 24 - 3)).unwrap_or(at);
        let after = |minutes| opened.saturating_add(SignedDuration::from_mins(minutes)).unwrap_or(at);
        let share = Share { used: limit.bytes.get() / 100 * percent, limit: limit.bytes.get() };
        record.history.see(opened, Level::Warn, share, opened);
        record.history.tell(opened, opened);
        record.history.see(opened, level, share, after(25));
        record.history.tell(opened, after(25));
        record.history.end(after(minutes));
        record.history.tell(opened, after(minutes));
    }
    record
}

impl About {
    /// Whether it is told that something is over.
    fn is_over(self) -> bool {
        use About::{ActiveQueriesOver, GrantEnded, PolicyAgain, Resolved, SeenAgain, WaitingOver};
        matches!(self, Resolved | GrantEnded | SeenAgain | PolicyAgain | ActiveQueriesOver | WaitingOver)
    }

    /// Whether it is about what the watchdog needs itself.
    fn is_of_the_watchdog(self) -> bool {
        matches!(self, Self::CannotSee | Self::SeenAgain | Self::Listing | Self::Policy | Self::PolicyAgain)
    }

    fn is_of_active(self) -> bool {
        matches!(self, Self::ActiveQueries | Self::ActiveQueriesOver)
    }

    fn is_of_waiting(self) -> bool {
        matches!(self, Self::Waiting | Self::WaitingOver)
    }
}

fn has(reason: Reason, about: About) -> bool {
    match about {
        About::Escalated | About::GrantEndsSoon => matches!(reason, Reason::Escalated { .. }),
        About::Repeated => matches!(reason, Reason::Repeated { .. }),
        about if about.is_over() => matches!(reason, Reason::Resolved(_)),
        _ => reason == Reason::Opened,
    }
}

/// A name that each rule covers.
fn names(policy: &Policy) -> Vec<String> {
    let names = policy.rules().iter().map(|rule| rule.pattern.as_str().replace('*', "x"));
    names.filter(|name| policy.rule_for(name).is_some()).collect()
}

fn choose<'p>(policy: &'p Policy, asked: &Asked) -> Result<(String, &'p Limit), NoMessage> {
    let limit_of = |name: &str| {
        let limits = &policy.rule_for(name)?.limits;
        limits.iter().find(|limit| asked.window.as_ref().is_none_or(|window| *window == limit.window.id()))
    };
    let of_window = || asked.window.as_ref().map_or(String::new(), |window| format!(" for `{window}`"));
    if let Some(name) = &asked.workgroup {
        policy.rule_for(name).ok_or_else(|| NoMessage::NoRule(name.clone()))?;
        let limit = limit_of(name).ok_or_else(|| NoMessage::NoLimit(format!(" of `{name}`{}", of_window())))?;
        return Ok((name.clone(), limit));
    }
    if asked.about.is_of_waiting() {
        let waits = |name: &String| policy.rule_for(name).is_some_and(|rule| rule.waiting.is_some());
        let name = names(policy).into_iter().find(waits);
        let name = name.ok_or(NoMessage::NotWatched("waiting: give a workgroup `waiting`"))?;
        // How it is filled does not matter there; a limit of any workgroup will do.
        let limit = limit_of(&name).or_else(|| names(policy).iter().find_map(|name| limit_of(name)));
        return Ok((name, limit.ok_or_else(|| NoMessage::NoLimit(of_window()))?));
    }
    // Where submitters are told, a limit that tells them; otherwise the first.
    let with_limit = || names(policy).into_iter().filter_map(|name| limit_of(&name).map(|limit| (name, limit)));
    let tells_them = |limit: &Limit| limit.audience.critical.contains(&crate::policy::Who::Submitters);
    let theirs = with_limit().find(|(_, limit)| asked.reader == Reader::Submitter && tells_them(limit));
    theirs.or_else(|| with_limit().next()).ok_or_else(|| NoMessage::NoLimit(of_window()))
}

fn looks(
    limit: &Limit,
    (warn, critical): (Percent, Percent),
    hold: SignedDuration,
    asked: &Asked,
    at: Timestamp,
) -> Result<Vec<Look>, NoMessage> {
    let whole = |percent: f64| (percent * 100.0) as u64;
    let (warn, critical) = (whole(warn.as_f64()), whole(critical.as_f64()));
    let share = |level: Severity| match level {
        Severity::Exhausted => 11_200,
        Severity::Critical => (critical * 3 + 10_000) / 4,
        _ => (warn * 2 + critical) / 3,
    };
    let now = share(asked.level);
    // As little as tells of a grant and of no limit.
    let little = warn / 3;
    let ago = |length: SignedDuration| at.checked_sub(length).unwrap_or(at);
    let hour = SignedDuration::from_hours(1);
    Ok(match asked.about {
        About::Escalated => {
            let before = match asked.level {
                Severity::Exhausted => Severity::Critical,
                Severity::Critical => Severity::Warn,
                _ => return Err(NoMessage::NothingBelow),
            };
            vec![(ago(SignedDuration::from_mins(20)), share(before)), (at, now)]
        }
        About::Repeated => vec![(ago(limit.repeat_every), now), (at, now)],
        About::Resolved => {
            let low = whole(limit.resolves_below().as_f64()) * 4 / 5;
            let began = ago(limit.hold.checked_add(hour).unwrap_or(hour));
            vec![(began, now), (ago(limit.hold), low), (at, low)]
        }
        About::ActiveQueriesOver | About::WaitingOver => {
            let began = ago(hold.checked_add(hour).unwrap_or(hour));
            vec![(began, now), (ago(hold), little), (at, little)]
        }
        About::SeenAgain | About::PolicyAgain => vec![(ago(hour), little), (at, little)],
        About::Silenced => vec![(ago(SignedDuration::from_mins(50)), now), (at, now)],
        About::GrantEndsSoon => vec![(ago(SignedDuration::from_mins(160)), little), (at, little)],
        About::GrantEnded => vec![(ago(hour), little), (at, little)],
        about if about.is_of_a_grant() => vec![(at, little)],
        _ => vec![(at, now)],
    })
}

/// The world at one look.
struct World<'p> {
    policy: &'p Policy,
    workgroup: &'p str,
    limit: &'p Limit,
    /// In hundredths of a percent.
    share: u64,
    at: Timestamp,
    /// The instant of the preview, which the last look is at.
    now: Timestamp,
    about: About,
}

impl World<'_> {
    /// What everybody is told at this look; `records` are what is remembered then.
    fn messages(&self, records: &mut Records, subject: &Subject, is_last: bool) -> Vec<Message> {
        let tick = Tick { at: self.at, timing: Timing::Now };
        let usage = self.usage();
        let findings = judge(self.policy, &tick, &usage);
        let is_broken = match self.about {
            About::Policy => true,
            About::PolicyAgain => self.is_past(),
            _ => false,
        };
        let standing = if is_broken { self.broken() } else { Standing::Current };
        let mut people = People::new();
        let shares = Shares::of(
            &self.gathered(),
            self.limit.window.span(self.at),
            Some(self.used()),
            self.at,
            &self.policy.submitters,
            &self.policy.mail,
        );
        people.shares.insert(subject.clone(), Arc::new(shares));
        people.occupancy = self.occupancy();
        let plan = plan(self.policy, &standing, &tick, &findings, usage.incomplete.as_ref(), records, &people);
        let made = self.made();
        let promises = Promises { grants: &made.grants, troubles: &made.troubles, silences: &made.silences };
        let (plan, _) = promised(plan, self.policy, &usage, records, &promises, self.at);
        *records = plan.records;
        if !is_last {
            for message in &plan.messages {
                for notice in &message.notices {
                    if let Some(record) = records.get_mut(&notice.subject) {
                        notice.told(&message.to, record, self.at);
                    }
                }
            }
        }
        plan.messages
    }

    /// Whether this look is before the last one: what is over at the end was not yet.
    fn is_past(&self) -> bool {
        self.at < self.now
    }

    fn used(&self) -> Bytes {
        let used = u128::from(self.limit.bytes.get()) * u128::from(self.share) / 10_000;
        Bytes::new(u64::try_from(used).unwrap_or(u64::MAX))
    }

    fn usage(&self) -> Usage {
        let mut usage = Usage { concurrency: self.concurrency(), ..Usage::default() };
        if self.about == About::Listing {
            usage.incomplete = Some(Unknown::Denied { operation: "athena:ListWorkGroups".to_owned() });
        }
        let is_unseen = self.about == About::CannotSee || (self.about == About::SeenAgain && self.is_past());
        for name in names(self.policy).into_iter().chain([self.workgroup.to_owned()]) {
            let seen = if name == self.workgroup && is_unseen {
                Err(Unknown::MetricsOff)
            } else if name == self.workgroup {
                Ok(self.series(self.limit, self.used()))
            } else {
                let limit = self.policy.rule_for(&name).and_then(|rule| rule.limits.first());
                match limit.filter(|_| self.about == About::Several) {
                    Some(limit) => Ok(self.series(limit, limit.warn.of(limit.bytes).unwrap_or(limit.bytes))),
                    None => Ok(self.series(self.limit, Bytes::ZERO)),
                }
            };
            usage.workgroups.insert(name, seen);
        }
        if self.about == About::Several {
            let last = usage.workgroups.keys().rfind(|name| *name != self.workgroup).cloned();
            usage.workgroups.extend(last.map(|name| (name, Err(Unknown::MetricsOff))));
        }
        let running = |n: i64, parts: u64| InFlight {
            id: id(90 + n),
            started: self.before(7 + 4 * n),
            scanned: Some(self.part(parts)),
        };
        // What is over has nothing to be stopped.
        if self.about != About::Resolved {
            let flights = Flights { running: vec![running(0, 4), running(1, 1)], ..Flights::default() };
            usage.flights.insert(self.workgroup.to_owned(), flights);
        }
        usage
    }

    /// So many hundredths of the limit.
    fn part(&self, hundredths: u64) -> Bytes {
        Bytes::new(self.limit.bytes.get() / 100 * hundredths)
    }

    fn before(&self, minutes: i64) -> Timestamp {
        self.at.checked_sub(SignedDuration::from_mins(minutes)).unwrap_or(self.at)
    }

    /// A past with nothing in it but this use of this limit's window, which comes in four parts.
    fn series(&self, limit: &Limit, used: Bytes) -> Series {
        let span = limit.window.span(self.at);
        // The longest window of all, and what the forecast reads.
        let longest = 7 * 86_400 + i64::try_from(HISTORY).unwrap_or(0) * BUCKET;
        let first = floor(self.at).as_second() - longest;
        let length = usize::try_from(longest / BUCKET + 1).unwrap_or(0);
        let mut buckets = vec![Bytes::ZERO; length];
        // One byte before the window, so that there is a history and with it a forecast.
        let seen = usize::try_from(longest / BUCKET).unwrap_or(0).saturating_sub(HISTORY - 14);
        if let Some(bucket) = buckets.get_mut(seen) {
            *bucket = Bytes::new(1);
        }
        let (start, elapsed) = (span.start.as_second(), self.at.as_second() - span.start.as_second());
        let mut rest = used;
        for (n, (place, part)) in [(12, 15), (38, 20), (63, 25), (86, 100)].into_iter().enumerate() {
            let bytes = if n == 3 { rest } else { Bytes::new(used.get() / 100 * part) };
            rest = rest.saturating_sub(bytes);
            let bucket = usize::try_from((start + elapsed * place / 100 - first) / BUCKET).unwrap_or(0);
            if let Some(bucket) = buckets.get_mut(bucket) {
                *bucket = Bytes::new(bucket.get().saturating_add(bytes.get()));
            }
        }
        Series::from_buckets(Timestamp::from_second(first).unwrap_or(Timestamp::MIN), buckets)
    }

    /// Somebody of the first allowed domain, as Identity Center signs them in.
    fn person(&self, name: &str) -> Principal {
        let domain = self.policy.mail.allowed_domains.first().map_or("example.com", String::as_str);
        Principal::Session {
            role: "AWSReservedSSO_Analysts_0123456789abcdef".to_owned(),
            session: format!("{name}@{domain}"),
            by_identity_center: true,
            source_identity: None,
        }
    }

    /// The queries behind the use, of two people and a service.
    fn gathered(&self) -> Gathered {
        let person = |name| self.person(name);
        let service = Principal::User { name: "nightly-report".to_owned() };
        let used = self.used();
        let of_it = |hundredths: u64| Bytes::new(used.get() / 100 * hundredths);
        let rest = used.saturating_sub(of_it(85));
        let elapsed = self.limit.window.span(self.at).start.duration_until(self.at).as_secs();
        let ended = |place: i64| self.before(elapsed * (100 - place) / 100 / 60);
        let landed = [
            (1, person("alex"), of_it(40), 86),
            (2, person("alex"), of_it(20), 38),
            (3, person("kim"), of_it(25), 63),
            (4, service, rest, 12),
        ];
        let mut gathered = Gathered::default();
        for (n, principal, bytes, place) in landed {
            gathered.principals.insert(id(n), principal);
            gathered.executions.push(self.query(n, State::Succeeded, Some(ended(place)), Some(bytes)));
        }
        if self.about != About::Resolved {
            gathered.principals.insert(id(90), person("alex"));
            gathered.executions.push(self.query(90, State::Running, None, Some(self.part(4))));
        }
        gathered
    }

    fn query(&self, n: i64, state: State, completed: Option<Timestamp>, scanned: Option<Bytes>) -> Execution {
        let began = completed
            .map_or_else(|| self.before(7), |at| at.saturating_sub(SignedDuration::from_mins(6)).unwrap_or(at));
        Execution {
            id: id(n),
            workgroup: self.workgroup.to_owned(),
            state,
            submitted: Some(began),
            completed,
            scanned,
            kind: Kind::Dml,
            sql: Some("SELECT * FROM events JOIN sessions USING (session_id)".to_owned()),
        }
    }

    fn broken(&self) -> Standing {
        let text = "[mail]\nsender = \"w@example.com\"\nadmins = [\"ops@example.com\"]\nallowed_domains = [\"example.com\"]\n\
             [[workgroup]]\nname = \"exploratory\"\n[[workgroup.limit]]\nwindow = \"61min\"\nlimit = \"700\"\n";
        let document = Document { name: "20-team.toml".to_owned(), text: text.to_owned() };
        match Policy::parse(&[document]) {
            Err(problems) => Standing::LastValid { problems, since: self.before(3 * 1440) },
            Ok(_) => Standing::Current,
        }
    }
}

/// An id as Athena gives them.
fn id(n: i64) -> String {
    format!("5e6f7a80-1b2c-4d3e-8f90-a1b2c3d4{n:04}")
}
