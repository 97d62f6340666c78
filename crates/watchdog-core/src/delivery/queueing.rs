//! Alerts about queries: what is told of active and waiting ones, to whom, and who fills the quota.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{Case, Facts, Records, Shown, addresses, who_hears};
use crate::alert::{Ending, Reason, Record, Severity, Sighting, Subject, sighting_queries};
use crate::history::Share;
use crate::occupancy::{Occupancy, tells_submitters};
use crate::people::Party;
use crate::percent::Percent;
use crate::policy::{Address, Class, MailRules, Policy, Who, WorkgroupRule};
use crate::usage::Unknown;
use crate::verdict::{Detail, Findings, Level, Pressure, QueryVerdict, Strain};

/// How long after an alert opened its causes are looked for in every run: CloudTrail is some minutes behind, and a person is told as soon as
/// the record is there. Later they are looked for when somebody is to be told anyway.
const LOOK_FOR: SignedDuration = SignedDuration::from_mins(30);
/// Workgroups whose waiting is told beside the quota.
const MOST_VICTIMS: usize = 10;

/// The numbers of a limit on queries.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryFacts {
    /// What it is about.
    pub pressure: Pressure,
    /// The numbers.
    pub strain: Strain,
    /// How far back was looked.
    pub look_back: SignedDuration,
    /// Where `warn` begins.
    pub warn: Percent,
    /// Where `critical` begins.
    pub critical: Percent,
    /// Where the alert resolves: below this share.
    pub resolves_below: Percent,
    /// For how long it must have been below it.
    pub hold: SignedDuration,
    /// The workgroup with the most active queries, where somebody looked and there is one.
    pub cause: Option<Cause>,
    /// Workgroups whose queries wait longer than they should.
    pub victims: Vec<Victim>,
}

/// The workgroup that has the most queries active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The workgroup.
    pub workgroup: String,
    /// How many it has.
    pub active: usize,
    /// How many there are in all that count.
    pub all: usize,
}

/// A workgroup whose queries wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Victim {
    /// The workgroup.
    pub workgroup: String,
    /// How long, in milliseconds.
    pub waited: u64,
    /// How many wait now, where that is known.
    pub queued: Option<usize>,
}

/// A person's own active queries.
#[derive(Debug, Clone, PartialEq)]
pub struct Filling {
    /// The queries.
    pub party: Party,
    /// How many there are in the account that count.
    pub all: usize,
    /// Whom to ask: the workgroup's owner, or the admins. Not empty.
    pub ask: Vec<Address>,
    /// Whether the text of queries may be shown.
    pub show_sql: bool,
}

/// Who fills what a case is about, and who of them is told.
pub(super) struct Crowd<'p> {
    occupancy: &'p Arc<Occupancy>,
    cause: Option<Cause>,
    fillers: BTreeMap<&'p Address, &'p Party>,
    ask: Vec<&'p Address>,
    show_sql: bool,
}

/// The cases of all limits on queries, and of their sight.
pub(super) fn cases<'p>(
    policy: &'p Policy,
    findings: &Findings<'p>,
    records: &Records,
    occupancy: Option<&'p Arc<Occupancy>>,
    at: Timestamp,
) -> Vec<(Subject, Case<'p>)> {
    let victims: Vec<Victim> = findings.queries.iter().filter_map(victim).take(MOST_VICTIMS).collect();
    let story = |subject: &Subject| records.get(subject).and_then(|record| record.story);
    // Who is told that they fill the quota is not told once more that others wait for it.
    let is_told_of_dml = findings.queries.iter().any(|verdict| {
        verdict.pressure == Pressure::Active(Class::Dml)
            && verdict.finding.as_ref().is_ok_and(|strain| strain.level != Level::Ok)
    });
    let mut cases = Vec::new();
    for verdict in &findings.queries {
        let subject = Subject::Queries(verdict.pressure.clone());
        let sight = Subject::QuerySight(verdict.pressure.clone());
        let is_workgroup_unseen = match &verdict.pressure {
            Pressure::Active(_) => false,
            Pressure::Waiting { workgroup } => findings.unseen.iter().any(|(name, _)| name == workgroup),
        };
        match &verdict.finding {
            Ok(strain) => {
                let sighting = sighting_queries(verdict.rules, strain.used, strain.limit, story(&subject), at);
                let is_second = is_told_of_dml && matches!(verdict.pressure, Pressure::Waiting { .. });
                let crowd = occupancy.map(|occupancy| Crowd::of(policy, verdict, occupancy, !is_second));
                let facts = QueryFacts::of(verdict, strain, crowd.as_ref(), &victims);
                let severity = match sighting {
                    Sighting::Wrong { severity, .. } => Some(severity),
                    Sighting::Held { .. } => story(&subject).map(|story| story.severity),
                    Sighting::Calm(_) | Sighting::Unseen => None,
                };
                let who = severity.map_or(&[][..], |severity| who_hears(&verdict.rules.audience, severity));
                let is_held = matches!(sighting, Sighting::Held { .. });
                let audience = audience(who, verdict.rule, &policy.mail, crowd.as_ref(), is_held || severity.is_none());
                let repeat_every = if is_held { SignedDuration::MAX } else { verdict.rules.repeat_every };
                let facts = Facts::Queries(Box::new(facts));
                let share = strain.limit.map(|limit| Share { used: strain.used, limit });
                cases.push((subject, Case { crowd, share, ..Case::new(sighting, facts, audience, repeat_every) }));
                cases.push((sight, sight_case(Sighting::Calm(Ending::Over), None, &policy.mail)));
            }
            // The sight of the workgroup tells it already.
            Err(why) => {
                let unseen = Case::new(Sighting::Unseen, Facts::Over, BTreeSet::new(), SignedDuration::MAX);
                cases.push((subject, unseen));
                let is_told = is_workgroup_unseen || why.is_passing();
                let wrong = Sighting::Wrong { severity: Severity::CannotSee, window_began: None };
                let sighting = if is_told { Sighting::Unseen } else { wrong };
                cases.push((sight, sight_case(sighting, Some(why), &policy.mail)));
            }
        }
    }
    cases
}

/// Whether it must be found out who fills the quota, for somebody is to be told.
pub(super) fn wants_occupancy(
    subject: &Subject,
    case: &Case<'_>,
    record: &Record,
    is_owed: bool,
    at: Timestamp,
) -> bool {
    let Sighting::Wrong { .. } = case.sighting else { return false };
    let is_young = record.story.is_some_and(|story| at.duration_since(story.opened) <= LOOK_FOR);
    matches!(subject, Subject::Queries(_)) && case.crowd.is_none() && (is_owed || is_young)
}

fn sight_case<'p>(sighting: Sighting, why: Option<&Unknown>, mail: &'p MailRules) -> Case<'p> {
    let facts = why.map_or(Facts::Over, |why| Facts::Unseen { workgroup: None, why: why.clone(), limits: Vec::new() });
    Case::new(sighting, facts, mail.admins.iter().collect(), mail.repeat_cannot_see_every)
}

fn audience<'p>(
    who: &'p [Who],
    rule: Option<&'p WorkgroupRule>,
    mail: &'p MailRules,
    crowd: Option<&Crowd<'p>>,
    is_calm: bool,
) -> BTreeSet<&'p Address> {
    let mut all: BTreeSet<&Address> = who.iter().flat_map(|who| addresses(who, rule, mail)).collect();
    let fillers = crowd.map(|crowd| &crowd.fillers).filter(|fillers| !is_calm && !fillers.is_empty());
    match fillers {
        Some(fillers) => all.extend(fillers.keys().copied()),
        // Nobody can be named, or nobody has looked: somebody must hear of it.
        None if who.contains(&Who::Submitters) && !is_calm => all.extend(addresses(&Who::Owner, rule, mail)),
        None => {}
    }
    all
}

fn victim(verdict: &QueryVerdict<'_>) -> Option<Victim> {
    let Pressure::Waiting { workgroup } = &verdict.pressure else { return None };
    let strain = verdict.finding.as_ref().ok().filter(|strain| strain.level != Level::Ok)?;
    let queued = match &strain.detail {
        Detail::Waiting { queue, .. } => queue.map(|queue| queue.queued),
        Detail::Active { .. } => None,
    };
    Some(Victim { workgroup: workgroup.clone(), waited: strain.used, queued })
}

impl QueryFacts {
    fn of(verdict: &QueryVerdict<'_>, strain: &Strain, crowd: Option<&Crowd<'_>>, victims: &[Victim]) -> Self {
        let own = match &verdict.pressure {
            Pressure::Waiting { workgroup } => Some(workgroup),
            Pressure::Active(_) => None,
        };
        Self {
            pressure: verdict.pressure.clone(),
            strain: strain.clone(),
            look_back: verdict.look_back,
            warn: verdict.rules.warn,
            critical: verdict.rules.critical,
            resolves_below: verdict.rules.resolves_below(),
            hold: verdict.rules.hold,
            cause: crowd.and_then(|crowd| crowd.cause.clone()),
            victims: victims.iter().filter(|victim| Some(&victim.workgroup) != own).cloned().collect(),
        }
    }
}

impl<'p> Crowd<'p> {
    fn of(policy: &'p Policy, verdict: &QueryVerdict<'p>, occupancy: &'p Arc<Occupancy>, tells: bool) -> Self {
        let filling = occupancy.filling(&verdict.pressure);
        let all = filling.iter().map(|(_, active)| active).sum();
        let first = filling.first();
        let cause = first.map(|(holder, active)| Cause { workgroup: holder.workgroup.clone(), active: *active, all });
        let named = |who: &[Who]| who.contains(&Who::Submitters);
        let rules = &verdict.rules.audience;
        let is_audience = [&rules.warn, &rules.critical, &rules.exhausted].iter().any(|who| named(who));
        let told = first.filter(|(holder, _)| tells && (is_audience || tells_submitters(policy, &holder.workgroup)));
        let fillers = told.map(|(holder, _)| occupancy.fillers(&holder.workgroup, all)).unwrap_or_default();
        let owner = first.and_then(|(holder, _)| policy.rule_for(&holder.workgroup)?.owner.as_ref());
        let ask = owner.map_or_else(|| policy.mail.admins.iter().collect(), |owner| vec![owner]);
        Self { occupancy, cause, fillers, ask, show_sql: policy.submitters.show_sql }
    }

    /// What a person may know of who fills the quota: the admins everything, others in the audience the workgroups without people, and who
    /// is told for their own queries these.
    pub(super) fn shown(&self, person: &Address, reason: Reason, mail: &MailRules) -> Option<Shown> {
        let is_over = matches!(reason, Reason::Resolved(_));
        if is_over {
            return None;
        }
        if mail.admins.contains(person) {
            return Some(Shown::Crowd(Arc::clone(self.occupancy)));
        }
        let Some(party) = self.fillers.get(person) else {
            let nameless = Occupancy { people: BTreeMap::new(), ..(**self.occupancy).clone() };
            return Some(Shown::Crowd(Arc::new(nameless)));
        };
        Some(Shown::Filling(Box::new(Filling {
            party: (*party).clone(),
            all: self.cause.as_ref().map_or(0, |cause| cause.all),
            ask: self.ask.iter().map(|address| (*address).clone()).collect(),
            show_sql: self.show_sql,
        })))
    }
}
