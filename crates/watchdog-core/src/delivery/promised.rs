//! What promises make of a run's plan: grants are told of, and what is silenced is held back.
//!
//! A grant is a story like an alert's: it opens when it is asked for or granted, rises when it is about to end or something is amiss, and
//! resolves when everything is taken back. So it is told once to each person, and again where a mail did not arrive.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::{Case, Facts, Notice, Plan, Records, ranked, told_of};
use crate::alert::{Ending, Reason, Severity, Sighting, Subject};
use crate::bytes::{Bytes, Units};
use crate::grant::cutoff::Cutoff;
use crate::grant::{Grant, Grants, Phase};
use crate::meter::Meter;
use crate::policy::{Address, Policy};
use crate::silence::{Quiet, Silences, may_be_held_back};
use crate::usage::Usage;
use crate::window::{Span, ceil, floor};

/// What is promised, as it stands in this run.
#[derive(Debug, Clone, Copy)]
pub struct Promises<'a> {
    /// All grants.
    pub grants: &'a Grants,
    /// Why a workgroup's cutoff could not be raised or taken back in this run.
    pub troubles: &'a BTreeMap<String, String>,
    /// All silences.
    pub silences: &'a Silences,
}

/// What a notice says of a grant.
#[derive(Debug, Clone, PartialEq)]
pub struct GrantFacts {
    /// The grant.
    pub grant: Grant,
    /// Where it stands.
    pub phase: Phase,
    /// The limit without it, and its units, where the policy has one.
    pub usual: Option<(Bytes, Units)>,
    /// What was used since it began; `None` where that is not known.
    pub used: Option<Bytes>,
    /// Why the cutoff could not be raised or taken back.
    pub trouble: Option<String>,
}

/// The plan with what is promised. `policy` is the one as it is written, `usage` what the run has seen; `before` are the records that the plan
/// was made from. Returns the silences that have ended because their alert did, too.
pub fn promised(
    plan: Plan,
    policy: &Policy,
    usage: &Usage,
    before: &Records,
    promises: &Promises<'_>,
    at: Timestamp,
) -> (Plan, Silences) {
    let Plan { messages, mut records, mut wants, wants_occupancy } = plan;
    let mut people: BTreeMap<Address, Vec<Notice>> = messages.into_iter().map(|m| (m.to, m.notices)).collect();
    let mut ended = Silences::new();
    for (subject, silence) in promises.silences {
        let Some(record) = records.get(subject) else { continue };
        let was_open = before.get(subject).is_some_and(|record| record.story.is_some() || !record.told.is_empty());
        let over = was_open && record.story.is_none();
        let mut silence = silence.clone();
        let in_force = silence.is_in_force(at);
        if in_force && over {
            silence.resolved = Some(at);
            ended.insert(subject.clone(), silence.clone());
        }
        let holds = in_force && !over;
        let began = record.story.map(|story| story.opened);
        for (person, notices) in &mut people {
            notices.retain_mut(|notice| {
                if notice.subject != *subject {
                    return true;
                }
                let never = policy.silences.as_ref().map_or(&[][..], |rules| rules.never.as_slice());
                if holds && may_be_held_back(notice.severity, never) {
                    return false;
                }
                let last_told = before.get(subject).and_then(|record| record.told.get(person)).map(|told| told.at);
                // A story that opened after its end was never silenced; whoever was told since has heard of it.
                let concerns = began.is_none_or(|opened| opened < silence.end())
                    && last_told.is_none_or(|told| told < silence.end())
                    && silence.from <= at;
                if holds || concerns {
                    let quiet =
                        Quiet { silence: silence.clone(), in_force: holds, with_alert: silence.resolved.is_some() };
                    notice.quiet = Some(Box::new(quiet));
                }
                true
            });
        }
        if holds {
            wants.retain(|wanted| wanted.subject != *subject);
        }
    }
    let told: BTreeSet<Subject> = before.keys().filter(|s| matches!(s, Subject::Grant { .. })).cloned().collect();
    let mut cases: BTreeMap<Subject, Case<'_>> = BTreeMap::new();
    for grant in promises.grants.values().flat_map(|book| &book.grants) {
        let subject = Subject::Grant { workgroup: grant.workgroup.clone(), id: grant.id.clone() };
        // What was closed and told long ago is only listed.
        if grant.closed.is_none() || told.contains(&subject) {
            cases.insert(subject, case(grant, policy, usage, promises.troubles, at));
        }
    }
    for subject in told {
        let gone = Sighting::Calm(Ending::NotWatched);
        cases.entry(subject).or_insert_with(|| Case::new(gone, Facts::Over, BTreeSet::new(), SignedDuration::MAX));
    }
    for (subject, case) in cases {
        let record = before.get(&subject).cloned().unwrap_or_default();
        let (record, notices, _) = told_of(&subject, &case, &record, at, policy, None);
        for (person, notice) in notices {
            people.entry(person).or_default().push(notice);
        }
        records.insert(subject, record);
    }
    people.retain(|_, notices| !notices.is_empty());
    (Plan { messages: ranked(people), records, wants, wants_occupancy }, ended)
}

fn case<'p>(
    grant: &Grant,
    policy: &'p Policy,
    usage: &Usage,
    troubles: &BTreeMap<String, String>,
    at: Timestamp,
) -> Case<'p> {
    let phase = grant.phase(at);
    let rule = policy.rule_for(&grant.workgroup);
    let trouble = troubles.get(&grant.workgroup).filter(|_| matches!(phase, Phase::InForce | Phase::Over)).cloned();
    let amiss = trouble.is_some() || (phase == Phase::InForce && grant.cutoff.is_left());
    let wrong = |severity| Sighting::Wrong { severity, window_began: None };
    let sighting = match phase {
        Phase::Closed => Sighting::Calm(Ending::Over),
        _ if amiss => wrong(Severity::Amiss),
        Phase::Pending => wrong(Severity::Asked),
        Phase::InForce if at >= grant.ends_soon_from() => wrong(Severity::EndsSoon),
        Phase::Planned | Phase::InForce => wrong(Severity::Granted),
        // It will be closed in this run or the next.
        Phase::Over => Sighting::Unseen,
    };
    let usual = grant.limit.as_ref().and_then(|raise| {
        let limit = rule?.limits.iter().find(|limit| limit.window.id() == raise.window)?;
        Some((limit.bytes, limit.units))
    });
    let facts = GrantFacts { grant: grant.clone(), phase, usual, used: used(grant, usage, at), trouble };
    let mut audience: BTreeSet<&Address> = policy.mail.admins.iter().collect();
    audience.extend(rule.and_then(|rule| rule.owner.as_ref()));
    // A cutoff that cannot be taken back is a reminder's worth; that a grant goes on is not.
    let repeat_every = if amiss { policy.mail.repeat_cannot_see_every } else { SignedDuration::MAX };
    Case::new(sighting, Facts::Grant(Box::new(facts)), audience, repeat_every)
}

/// What was scanned from the grant's beginning to its end or `at`, by whole buckets; `None` where so much is not known.
fn used(grant: &Grant, usage: &Usage, at: Timestamp) -> Option<Bytes> {
    let until = grant.end().min(at);
    if until <= grant.from || !grant.has_been_in_force(at) {
        return None;
    }
    let meter = Meter::from(usage.workgroups.get(&grant.workgroup)?.as_ref().ok()?);
    meter.sum(Span { start: floor(grant.from), end: ceil(until) }).ok()
}

impl GrantFacts {
    /// Whether the cutoff is another than it was before, after the end.
    pub fn is_left_otherwise(&self) -> bool {
        matches!(self.grant.cutoff, Cutoff::Left { before, found } if before.is_none_or(|before| before.cutoff != found))
    }

    /// Whether this is the end of it.
    pub fn has_ended(&self, reason: Reason) -> bool {
        matches!(reason, Reason::Resolved(_))
    }
}
