//! Who of a limit's submitters is told, and who stands in for those that cannot be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{Case, Own, Shown, Wanted};
use crate::alert::{Ending, Reason, Record, Sighting, Subject, Waiting};
use crate::people::{Missing, Party, Shares, Whose};
use crate::policy::{Address, MailRules, Submitters, WorkgroupRule};

/// What a case's submitters come to in this run.
pub(super) struct Submitting<'a> {
    shares: Option<&'a Arc<Shares>>,
    /// Those who used enough to be told.
    heavy: BTreeMap<&'a Address, &'a Party>,
    rules: &'a Submitters,
    /// Whether they are among the audience.
    is_audience: bool,
}

impl<'a> Submitting<'a> {
    pub(super) fn new(case: &Case<'_>, shares: Option<&'a Arc<Shares>>, rules: &'a Submitters) -> Self {
        let heavy = shares.map(|shares| shares.heavy_people()).unwrap_or_default();
        Self { shares, heavy, rules, is_audience: case.submitters }
    }

    /// Those who are told in the place of submitters that cannot be named, so that no alert is nobody's.
    ///
    /// The admins, for whom CloudTrail has no record of yet: they hear at once, and the person once it is there. The owner, and without one
    /// the admins, for all others; and where nobody used enough to be told, nobody of those is told of this, or nobody has looked.
    pub(super) fn stand_ins(
        &self,
        record: &Record,
        rule: Option<&'a WorkgroupRule>,
        mail: &'a MailRules,
    ) -> BTreeSet<&'a Address> {
        if !self.is_audience {
            return BTreeSet::new();
        }
        let owner = || match rule.and_then(|rule| rule.owner.as_ref()) {
            Some(owner) => BTreeSet::from([owner]),
            None => mail.admins.iter().collect(),
        };
        let Some(shares) = self.shares else { return owner() };
        let mut stand_ins = BTreeSet::new();
        let mut is_nobody = true;
        for party in shares.parties.iter().filter(|party| party.is_heavy) {
            // Who has heard of all their queries and not of this story, or not that it is so bad, is told nothing: it is others' doing.
            is_nobody &= party.person().is_some_and(|person| !self.is_told(record, person, party, shares));
            match &party.whose {
                Whose::Person(_) => {}
                Whose::Unrecorded(Missing::NotYet) => stand_ins.extend(&mail.admins),
                Whose::Unnamed { .. } | Whose::Unrecorded(_) => stand_ins.extend(owner()),
            }
        }
        // What could not be listed may be anybody's.
        let is_cut = shares.cut.is_some();
        if is_nobody || is_cut { stand_ins.into_iter().chain(owner()).collect() } else { stand_ins }
    }

    /// Whether a person has been told of the open story as it is, or is told now.
    fn is_told(&self, record: &Record, person: &Address, party: &Party, shares: &Shares) -> bool {
        let told = record.told.get(person).zip(record.story);
        told.is_some_and(|(told, story)| told.story == story.opened && told.severity >= story.severity)
            || party.has_news(record.heard.get(person), shares.floor)
    }

    /// Those who used enough, and are told if they have not heard of it.
    pub(super) fn people(&self, record: &Record) -> impl Iterator<Item = &'a Address> {
        let some = self.is_audience || is_late(record);
        self.heavy.keys().copied().filter(move |_| some)
    }

    /// What somebody is owed who is not in the audience otherwise.
    ///
    /// Without queries that they have not heard of they are told nothing, however bad it gets: it is not their doing. With such queries they
    /// are told again after the repeat interval, and at once where it has become worse.
    pub(super) fn owed(&self, record: &Record, person: &Address, at: Timestamp) -> Option<Reason> {
        let party = self.heavy.get(person);
        let heard = record.heard.get(person);
        let has_news = self.is_audience
            && party.zip(self.shares).is_some_and(|(party, shares)| party.has_news(heard, shares.floor));
        let is_waited_for = is_late(record) && party.is_some_and(|party| waits_for(record, party));
        let is_open = record.story.is_some();
        let reason = record.owed(person, has_news || (is_open && is_waited_for), self.rules.repeat_every, at);
        let is_late = is_waited_for && !is_open;
        reason.or_else(|| is_late.then(|| Reason::Resolved(record.ended.unwrap_or(Ending::Over))))
    }

    /// What a person may know of whose queries they are.
    pub(super) fn shown(
        &self,
        person: &Address,
        reason: Reason,
        rule: Option<&WorkgroupRule>,
        mail: &MailRules,
    ) -> Option<Shown> {
        let shares = self.shares?;
        let owner = rule.and_then(|rule| rule.owner.as_ref());
        let is_over = matches!(reason, Reason::Resolved(_));
        if !is_over && (mail.admins.contains(person) || owner == Some(person)) {
            return Some(Shown::Everyone(Arc::clone(shares)));
        }
        let party = self.heavy.get(person)?;
        Some(Shown::Own(Box::new(Own {
            party: (*party).clone(),
            whole: shares.sums.whole(),
            ask: owner.map_or_else(|| mail.admins.clone(), |owner| vec![owner.clone()]),
            show_sql: self.rules.show_sql,
        })))
    }

    /// Brings what is remembered of submitters up to date: whom to wait for, and what may be forgotten.
    pub(super) fn remember(&self, record: &mut Record, case: &Case<'_>, at: Timestamp) {
        // What somebody has heard of has left every window after the length of one.
        let memory = case.limit.map_or(SignedDuration::ZERO, |(_, span, _)| span.end.duration_since(span.start));
        record.forget(at, memory);
        let Some(shares) = self.shares else { return };
        let unknown = |party: &&Party| matches!(party.whose, Whose::Unrecorded(_));
        if let (Some(story), Some((_, span, used)), true) = (record.story, case.limit, self.is_audience) {
            let heavy = shares.parties.iter().filter(unknown).filter(|party| party.is_heavy);
            let queries = heavy.flat_map(Party::ids);
            record.waiting = Waiting::new(story, queries, span, used, at);
        } else if let Some(waiting) = &mut record.waiting {
            // Those that are still unknown, and those whose person is told in this run: they are struck off once they have been.
            let is_kept = |party: &&Party| unknown(party) || (party.is_heavy && party.person().is_some());
            let kept: BTreeSet<String> = shares.parties.iter().filter(is_kept).flat_map(Party::ids).collect();
            waiting.queries.retain(|id| kept.contains(id));
        }
    }

    /// The search that is still to be made, where one is.
    pub(super) fn wanted(&self, subject: &Subject, record: &Record, case: &Case<'_>) -> Option<Wanted> {
        let Subject::Limit { workgroup, .. } = subject else { return None };
        if self.shares.is_some() || case.sighting == Sighting::Unseen {
            return None;
        }
        let (span, used) = match &record.waiting {
            Some(waiting) if is_late(record) => (waiting.span(), waiting.used),
            _ => case.limit.filter(|_| self.is_audience).map(|(_, span, used)| (span, used))?,
        };
        Some(Wanted { subject: subject.clone(), workgroup: workgroup.clone(), span, used })
    }
}

/// Whether submitters are still waited for though the alert is over, or is about to be and only held.
fn is_late(record: &Record) -> bool {
    record.waiting.is_some() && record.story.is_none_or(|story| story.calm_since.is_some())
}

fn waits_for(record: &Record, party: &Party) -> bool {
    record.waiting.as_ref().is_some_and(|waiting| party.ids().any(|id| waiting.queries.contains(&id)))
}
