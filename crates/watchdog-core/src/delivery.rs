//! Who is told what in this run: one message per person, with all that concerns them.

mod promised;
mod queueing;
mod submitting;
mod weekly;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

pub use self::promised::{GrantFacts, Promises, promised};
pub use self::queueing::{Cause, Filling, QueryFacts, Victim};
use self::queueing::{Crowd, wants_occupancy};
use self::submitting::Submitting;
pub use self::weekly::{Week, WeekFacts, message, weekly};
use crate::alert::{Ending, Reason, Record, Severity, Sighting, Story, Subject, sighting};
use crate::bytes::{Bytes, Size, Units};
use crate::event::Tick;
use crate::fit::Misfit;
use crate::forecast::Outlook;
use crate::history::{History, Share};
use crate::occupancy::Occupancy;
use crate::people::{Party, Shares};
use crate::percent::Percent;
use crate::policy::{Address, Audience, Limit, MailRules, Origin, Policy, Problems, UnderGrant, Who, WorkgroupRule};
use crate::silence::Quiet;
use crate::trail::Trail;
use crate::usage::{InFlight, Unknown};
use crate::verdict::{Finding, Findings, Foresight, Level, Reading, Verdict};
use crate::window::Span;

/// Running queries that a notice names. The largest is what somebody can do something about; a list of all is a console.
const MOST_QUERIES: usize = 3;

/// Everything that is remembered of alerts, by subject.
pub type Records = BTreeMap<Subject, Record>;

/// Whose queries it is, as far as somebody has looked.
#[derive(Debug, Clone, Default)]
pub struct People {
    /// Whose queries use up which limit.
    pub shares: BTreeMap<Subject, Arc<Shares>>,
    /// Who has how many queries active.
    pub occupancy: Option<Arc<Occupancy>>,
}

impl People {
    /// Nobody, for nobody has looked.
    pub fn new() -> Self {
        Self::default()
    }
}

/// What a run will do. It leaves no choices to the carrying out.
#[derive(Debug, Clone)]
pub struct Plan {
    /// One per person, the one with the worst first; what is over comes last. Among equals in the order of addresses.
    pub messages: Vec<Message>,
    /// The records after this run's sightings, nobody told yet.
    pub records: Records,
    /// Limits whose submitters are to be told and have not been looked for. Once they have been, the plan is made anew with them;
    /// until then those who stand in for them are told.
    pub wants: Vec<Wanted>,
    /// Whether somebody is to be told of active or waiting queries, and nobody has looked whose they are.
    pub wants_occupancy: bool,
}

/// A limit whose submitters are to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The limit's alert.
    pub subject: Subject,
    /// The workgroup.
    pub workgroup: String,
    /// The window that its queries landed in.
    pub span: Span,
    /// What the metric says of that window.
    pub used: Bytes,
}

/// All that one person is told in this run, the worst first.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The person.
    pub to: Address,
    /// At least one.
    pub notices: Vec<Notice>,
}

/// One thing that a person is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// What it is about.
    pub subject: Subject,
    /// Why now.
    pub reason: Reason,
    /// How bad it is, or was when it ended.
    pub severity: Severity,
    /// The story it belongs to: when the alert opened.
    pub opened: Timestamp,
    /// The facts.
    pub facts: Facts,
    /// Whose queries it is about, as far as this person may know.
    pub people: Option<Shown>,
    /// The silence that it comes after, or in spite of.
    pub quiet: Option<Box<Quiet>>,
    /// What the alert was about so far; empty where none is kept.
    pub history: History,
}

/// What a person may know of whose queries they are.
#[derive(Debug, Clone, PartialEq)]
pub enum Shown {
    /// Their own, and nobody else's name.
    Own(Box<Own>),
    /// Everybody's shares: for the admins and the workgroup's owner.
    Everyone(Arc<Shares>),
    /// Their own active queries, and nobody else's name.
    Filling(Box<Filling>),
    /// Who has how many queries active, by workgroup; by people for the admins.
    Crowd(Arc<Occupancy>),
}

/// A submitter's own queries.
#[derive(Debug, Clone, PartialEq)]
pub struct Own {
    /// The queries.
    pub party: Party,
    /// What the share is taken of: the whole window.
    pub whole: Bytes,
    /// Whom to ask: the workgroup's owner, or the admins. Not empty.
    pub ask: Vec<Address>,
    /// Whether the text of queries may be shown.
    pub show_sql: bool,
}

/// What a notice says beside its reason.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly all facts are about a limit, and there are few at a time")]
pub enum Facts {
    /// A limit and its use.
    Limit(LimitFacts),
    /// A limit on queries.
    Queries(Box<QueryFacts>),
    /// Something that cannot be seen.
    Unseen {
        /// The workgroup, where it is one.
        workgroup: Option<String>,
        /// Why not.
        why: Unknown,
        /// Its limits, which cannot be judged, and the names of their windows.
        limits: Vec<(Size, String)>,
    },
    /// The policy cannot be understood; an older one is in force.
    Policy {
        /// What is wrong with it.
        problems: Problems,
        /// When the policy that is in force was first read.
        in_force_since: Timestamp,
    },
    /// A grant.
    Grant(Box<GrantFacts>),
    /// The weekly report.
    Week(Box<WeekFacts>),
    /// It is over, and there is no more to say.
    Over,
}

/// A limit's numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct LimitFacts {
    /// The workgroup.
    pub workgroup: String,
    /// The window's name, such as `1h`.
    pub window: String,
    /// The window in words: `in the last hour`.
    pub window_words: String,
    /// The stretch that was added up.
    pub span: Span,
    /// What was used in it.
    pub used: Bytes,
    /// The limit.
    pub limit: Bytes,
    /// The units it was written in.
    pub units: Units,
    /// Where the number comes from.
    pub origin: Origin,
    /// What the forecast says.
    pub foresight: Foresight,
    /// When it runs out, where that can be guessed.
    pub outlook: Option<Outlook>,
    /// The largest of the queries that are running, with bytes that are not in `used` yet.
    pub in_flight: Vec<InFlight>,
    /// How many run, of which the above are the largest, and what all of them have scanned so far, where that is known of each.
    pub flying: (usize, Option<Bytes>),
    /// Whether more may be running than these.
    pub may_be_more: bool,
    /// How the window has filled.
    pub trail: Trail,
    /// Where `warn` begins.
    pub warn: Percent,
    /// Where `critical` begins.
    pub critical: Percent,
    /// Where the alert resolves: below this share.
    pub resolves_below: Percent,
    /// For how long use must have been below it.
    pub hold: SignedDuration,
    /// What a grant makes of it.
    pub grant: Option<UnderGrant>,
    /// How the limit itself does not fit, where that is known.
    pub misfit: Option<Misfit>,
    /// What may be done about it for a while.
    pub relief: Relief,
}

/// What the policy lets be done about a limit for a while. By whom it says, too, but as AWS knows them, and of a mail's reader only the address
/// is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Relief {
    /// The most that it may be raised to, and for how long at most; `None` where nobody may raise it.
    pub raise: Option<(Size, SignedDuration)>,
    /// Levels that are told in spite of a silence, and how long one may last; `None` where nobody may silence anything.
    pub silence: Option<(Vec<&'static str>, SignedDuration)>,
}

impl Relief {
    /// For the limits of this workgroup.
    fn of(policy: &Policy, workgroup: &str) -> Self {
        let grants = policy.grants.as_ref().filter(|rules| rules.workgroups.iter().any(|name| name == workgroup));
        Self {
            raise: grants.and_then(|rules| Some((rules.highest_limit?, rules.longest))),
            silence: policy.silences.as_ref().map(|rules| (rules.never.clone(), rules.longest)),
        }
    }
}

/// Whether the policy that is in force is the current one.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// It is.
    Current,
    /// The current one has problems; this is the last that had none.
    LastValid {
        /// What is wrong with the current one.
        problems: Problems,
        /// When the one in force was first read.
        since: Timestamp,
    },
}

/// One alert of this run, before anybody is told.
struct Case<'p> {
    sighting: Sighting,
    facts: Facts,
    audience: BTreeSet<&'p Address>,
    repeat_every: SignedDuration,
    /// Where its submitters are among the audience.
    submitters: bool,
    /// The rule and the stretch, where it is about a limit.
    limit: Option<(&'p WorkgroupRule, Span, Bytes)>,
    /// Who fills the quota, where it is about queries and somebody has looked.
    crowd: Option<Crowd<'p>>,
    /// What is used of the limit, where a history of it is kept.
    share: Option<Share>,
}

impl<'p> Case<'p> {
    /// A case without submitters.
    fn new(sighting: Sighting, facts: Facts, audience: BTreeSet<&'p Address>, repeat_every: SignedDuration) -> Self {
        Self { sighting, facts, audience, repeat_every, submitters: false, limit: None, crowd: None, share: None }
    }
}

/// Decides what every person is told in this run. `people` are the submitters that have been looked for; who is missing there is in
/// the plan's `wants`.
pub fn plan<'p>(
    policy: &'p Policy,
    standing: &Standing,
    tick: &Tick,
    findings: &Findings<'p>,
    incomplete: Option<&Unknown>,
    records: &Records,
    people: &'p People,
) -> Plan {
    let mail = &policy.mail;
    let mut cases: BTreeMap<Subject, Case<'p>> = BTreeMap::new();
    for verdict in &findings.verdicts {
        let subject = Subject::Limit { workgroup: verdict.workgroup.clone(), window: verdict.limit.window.id() };
        let story = records.get(&subject).and_then(|record| record.story);
        cases.insert(subject, limit_case(verdict, story, policy));
    }
    cases.extend(queueing::cases(policy, findings, records, people.occupancy.as_ref(), tick.at));
    let admins = || mail.admins.iter().collect::<BTreeSet<_>>();
    let sight = |sighting, facts| Case::new(sighting, facts, admins(), mail.repeat_cannot_see_every);
    let wrong = Sighting::Wrong { severity: Severity::CannotSee, window_began: None };
    let over = Sighting::Calm(Ending::Over);
    for (workgroup, why) in &findings.unseen {
        let size = |limit: &Limit| (Size { bytes: limit.bytes, units: limit.units }, limit.window.id());
        let limits = policy.rule_for(workgroup).map_or(Vec::new(), |rule| rule.limits.iter().map(size).collect());
        let facts = Facts::Unseen { workgroup: Some(workgroup.clone()), why: why.clone(), limits };
        let sighting = if why.is_passing() { Sighting::Unseen } else { wrong };
        cases.insert(Subject::Sight { workgroup: workgroup.clone() }, sight(sighting, facts));
    }
    for workgroup in &findings.seen {
        cases.insert(Subject::Sight { workgroup: workgroup.clone() }, sight(over, Facts::Over));
    }
    cases.insert(
        Subject::Listing,
        match incomplete {
            Some(why) => sight(wrong, Facts::Unseen { workgroup: None, why: why.clone(), limits: Vec::new() }),
            None => sight(over, Facts::Over),
        },
    );
    cases.insert(
        Subject::Policy,
        match standing {
            Standing::Current => sight(over, Facts::Over),
            Standing::LastValid { problems, since } => {
                sight(wrong, Facts::Policy { problems: problems.clone(), in_force_since: *since })
            }
        },
    );
    // Nothing about those that were not asked is open; what is remembered beside that stays.
    let left_out: BTreeSet<&str> = findings.remembered.iter().map(|verdict| verdict.workgroup.as_str()).collect();
    let is_left_out = |subject: &Subject| subject.of_bytes().is_some_and(|workgroup| left_out.contains(workgroup));
    // What is remembered and no longer judged: the policy or the account has changed. Where the list of workgroups is not
    // complete, absence says nothing.
    let gone = if incomplete.is_some() { Sighting::Unseen } else { Sighting::Calm(Ending::NotWatched) };
    for subject in records.keys().filter(|subject| !matches!(subject, Subject::Grant { .. } | Subject::Weekly)) {
        let sighting = if is_left_out(subject) { Sighting::Unseen } else { gone };
        cases.entry(subject.clone()).or_insert_with(|| sight(sighting, Facts::Over));
    }
    carry(cases, tick.at, policy, records, people)
}

impl Notice {
    /// Notes in the record of its subject that `person` has been told this.
    pub fn told(&self, person: &Address, record: &mut Record, at: Timestamp) {
        record.tell(person, self.reason, at);
        match &self.people {
            Some(Shown::Own(own)) => record.hear(person, own.party.ids(), at),
            // An admin or owner whose queries are among them has heard of those, too.
            Some(Shown::Everyone(shares)) => {
                if let Some(party) = shares.heavy_people().get(person) {
                    record.hear(person, party.ids(), at);
                }
            }
            Some(Shown::Filling(_) | Shown::Crowd(_)) | None => {}
        }
    }
}

fn carry(
    cases: BTreeMap<Subject, Case<'_>>,
    at: Timestamp,
    policy: &Policy,
    records: &Records,
    found: &People,
) -> Plan {
    let mut people: BTreeMap<Address, Vec<Notice>> = BTreeMap::new();
    let mut after = Records::new();
    let mut wants = Vec::new();
    let mut occupancy_wanted = false;
    for (subject, case) in cases {
        let before = records.get(&subject).cloned().unwrap_or_default();
        let shares = found.shares.get(&subject);
        let (record, notices, wanted) = told_of(&subject, &case, &before, at, policy, shares);
        occupancy_wanted |= wants_occupancy(&subject, &case, &record, !notices.is_empty(), at);
        wants.extend(wanted);
        for (person, notice) in notices {
            people.entry(person).or_default().push(notice);
        }
        after.insert(subject, record);
    }
    Plan { messages: ranked(people), records: after, wants, wants_occupancy: occupancy_wanted }
}

/// One message per person, the worst first in each and among them: a run that is cut short has told the worst.
fn ranked(people: BTreeMap<Address, Vec<Notice>>) -> Vec<Message> {
    let rank = |notice: &Notice| (matches!(notice.reason, Reason::Resolved(_)), Reverse(notice.severity));
    let messages = people.into_iter().map(|(to, mut notices)| {
        notices.sort_by_key(rank);
        Message { to, notices }
    });
    let mut messages: Vec<Message> = messages.collect();
    messages.sort_by_key(|message| message.notices.first().map(rank));
    messages
}

/// What everybody is told of one subject, by address; its record before anybody is; and the search for submitters that is still to be
/// made. `shares` are its submitters, where they have been looked for.
fn told_of(
    subject: &Subject,
    case: &Case<'_>,
    before: &Record,
    at: Timestamp,
    policy: &Policy,
    shares: Option<&Arc<Shares>>,
) -> (Record, Vec<(Address, Notice)>, Option<Wanted>) {
    let mail = &policy.mail;
    let mut record = before.after(case.sighting, at);
    let mut notices = Vec::new();
    // Somebody whose domain is no longer allowed is told nothing more, not even the end.
    record.told.retain(|person, _| mail.allowed_domains.iter().any(|d| d == person.domain()));
    if case.sighting == Sighting::Unseen {
        return (record, notices, None);
    }
    record.follow(case.share, at);
    let submitting = Submitting::new(case, shares, &policy.submitters);
    submitting.remember(&mut record, case, at);
    let wanted = submitting.wanted(subject, &record, case);
    let rule = case.limit.map(|(rule, ..)| rule);
    let mut audience = case.audience.clone();
    audience.extend(submitting.stand_ins(&record, rule, mail));
    let concerned = audience.iter().copied().chain(record.told.keys()).chain(submitting.people(&record));
    let concerned: BTreeSet<&Address> = concerned.collect();
    for person in concerned {
        let reason = if audience.contains(person) {
            record.owed(person, true, case.repeat_every, at)
        } else {
            submitting.owed(&record, person, at)
        };
        let Some(reason) = reason else { continue };
        let last = record.told.get(person);
        let ended = matches!(reason, Reason::Resolved(_));
        let (severity, opened) = match (record.story, last) {
            (Some(story), _) if !ended => (story.severity, story.opened),
            (_, Some(told)) => (told.severity, told.story),
            (Some(story), None) => (story.severity, story.opened),
            // Somebody who was waited for, and hears of it only now.
            (None, None) => record.waiting.as_ref().map_or((Severity::Warn, at), |w| (w.severity, w.opened)),
        };
        let facts = match &case.facts {
            // A newer story is somebody else's: this person hears no more than the end of the old one.
            Facts::Unseen { .. } | Facts::Policy { .. } if ended => Facts::Over,
            facts => facts.clone(),
        };
        let shown = match &case.crowd {
            Some(crowd) => crowd.shown(person, reason, mail),
            None => submitting.shown(person, reason, rule, mail),
        };
        let history = record.history.clone();
        let notice =
            Notice { subject: subject.clone(), reason, severity, opened, facts, people: shown, quiet: None, history };
        notices.push((person.clone(), notice));
    }
    (record, notices, wanted)
}

/// What everybody is told of one limit, and its record before anybody is: the part of [`plan`] that a back-test is about. It knows of
/// no submitters, so that those who stand in for them are told. `at` is the run's instant, which a verdict that makes up for a look may be before.
pub fn plan_limit(
    verdict: &Verdict<'_>,
    subject: &Subject,
    before: &Record,
    policy: &Policy,
    at: Timestamp,
) -> (Record, Vec<(Address, Notice)>) {
    // Of a past that is gone through no history is kept: nobody reads it.
    let case = Case { share: None, ..limit_case(verdict, before.story, policy) };
    let (record, notices, _) = told_of(subject, &case, before, at, policy, None);
    (record, notices)
}

fn limit_case<'p>(verdict: &Verdict<'p>, story: Option<Story>, policy: &'p Policy) -> Case<'p> {
    let limit = verdict.limit;
    let Finding::Seen { used, foresight, outlook, .. } = verdict.finding else {
        return Case::new(Sighting::Unseen, Facts::Over, BTreeSet::new(), limit.repeat_every);
    };
    let sighting = sighting(limit, Reading { used, foresight }, story, verdict.as_of);
    let who: &'p [Who] = match sighting {
        Sighting::Calm(_) | Sighting::Unseen => &[],
        Sighting::Wrong { severity, .. } => who_hears(&limit.audience, severity),
        // Who was to be told and could not be is still owed it; there is nothing to remind anybody of.
        Sighting::Held { .. } => story.map_or(&[], |story| who_hears(&limit.audience, story.severity)),
    };
    let is_held = matches!(sighting, Sighting::Held { .. });
    let warn = limit.threshold_when(Level::Warn, foresight);
    let facts = LimitFacts {
        workgroup: verdict.workgroup.clone(),
        window: limit.window.id(),
        window_words: limit.window.words(),
        span: verdict.span,
        used,
        limit: limit.bytes,
        units: limit.units,
        origin: limit.origin,
        foresight,
        outlook,
        in_flight: verdict.in_flight.iter().flatten().take(MOST_QUERIES).cloned().collect(),
        flying: (verdict.in_flight.iter().flatten().count(), verdict.in_flight_bytes()),
        may_be_more: verdict.may_be_more,
        trail: verdict.trail.clone(),
        warn,
        critical: limit.critical,
        resolves_below: limit.resolves_below(),
        hold: limit.hold,
        grant: limit.grant.clone(),
        misfit: verdict.misfit,
        relief: Relief::of(policy, &verdict.workgroup),
    };
    Case {
        sighting,
        facts: Facts::Limit(facts),
        audience: who.iter().flat_map(|who| addresses(who, Some(verdict.rule), &policy.mail)).collect(),
        repeat_every: if is_held { SignedDuration::MAX } else { limit.repeat_every },
        submitters: !is_held && who.contains(&Who::Submitters),
        limit: Some((verdict.rule, verdict.span, used)),
        crowd: None,
        share: Some(Share { used: used.get(), limit: limit.bytes.get() }),
    }
}

fn who_hears(audience: &Audience, severity: Severity) -> &[Who] {
    match severity {
        Severity::Critical => &audience.critical,
        Severity::Exhausted => &audience.exhausted,
        _ => &audience.warn,
    }
}

/// Without a rule, which is without an owner, the admins are meant.
fn addresses<'p>(who: &'p Who, rule: Option<&'p WorkgroupRule>, mail: &'p MailRules) -> Vec<&'p Address> {
    match who {
        Who::Address(address) => vec![address],
        // They are not the policy's to name: see `submitting`.
        Who::Submitters => Vec::new(),
        Who::Owner => {
            rule.and_then(|rule| rule.owner.as_ref()).map_or_else(|| mail.admins.iter().collect(), |owner| vec![owner])
        }
        Who::Admins => mail.admins.iter().collect(),
    }
}
