//! Active and waiting queries that are made up: so many that the account's quota is nearly or quite used up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::World;
use crate::bytes::Bytes;
use crate::occupancy::{Occupancy, Reservations, queue};
use crate::people::{Gathered, Shares};
use crate::policy::{Class, WaitingRule};
use crate::principal::Principal;
use crate::queries::{Execution, Kind, State};
use crate::usage::{Active, Concurrency, Peaks, Quota, Waiting};
use crate::window::{Span, floor};

/// An account's quota of active DML queries, as AWS sets it in most Regions.
const QUOTA: u64 = 200;
/// Those that wait.
const QUEUED: usize = 6;
/// Athena's own quota holds for the account; this is whose queries are active in it, in hundredths: two people and a service.
const PARTS: [(&str, usize); 3] = [("alex", 70), ("kim", 22), ("nightly-report", 8)];

impl World<'_> {
    /// What CloudWatch and Athena say of active and waiting queries.
    pub(super) fn concurrency(&self) -> Concurrency {
        let mut made = Concurrency::default();
        let newest = floor(self.before(1));
        if self.about.is_of_active() || self.about.is_of_waiting() {
            let peaks = Ok(Peaks::from_buckets([(newest, self.active())]));
            let quota = Quota { most: QUOTA, is_default: true, read: self.before(40) };
            made.active.insert(Class::Dml, Active { peaks, quota: Some(Ok(quota)) });
        }
        if let Some((workgroup, rule)) = self.waiting() {
            let longest = u64::try_from(rule.longest.as_millis()).unwrap_or(u64::MAX);
            let waited = Ok(Peaks::from_buckets([(newest, longest.saturating_mul(self.share) / 10_000)]));
            let queue = Some(Ok(queue(&self.queued(&workgroup))));
            made.waiting.insert(workgroup, Waiting { waited, queue });
        }
        made
    }

    /// How many are active: of the quota while that is what it is about, and half of it otherwise.
    fn active(&self) -> u64 {
        if self.about.is_of_active() { (QUOTA * self.share / 10_000).min(QUOTA) } else { QUOTA / 2 }
    }

    /// The workgroup whose queries wait.
    pub(super) fn waiting(&self) -> Option<(String, &WaitingRule)> {
        let rule = self.policy.rule_for(self.workgroup)?.waiting.as_ref()?;
        self.about.is_of_waiting().then(|| (self.workgroup.to_owned(), rule))
    }

    /// Who has them active: the workgroup that it is about, or where that waits, the next one.
    pub(super) fn occupancy(&self) -> Option<Arc<Occupancy>> {
        let filler = match self.about {
            about if about.is_of_active() => self.workgroup.to_owned(),
            about if about.is_of_waiting() => {
                super::names(self.policy).into_iter().find(|name| name != self.workgroup)?
            }
            _ => return None,
        };
        let active = usize::try_from(self.active()).unwrap_or(0);
        let running: Vec<Execution> = (0..active).map(|n| self.execution(&filler, n, State::Running)).collect();
        let mut gathered = Gathered { executions: running.clone(), ..Gathered::default() };
        for (n, execution) in running.iter().enumerate() {
            let mut upto = 0;
            let name = PARTS.iter().find(|(_, part)| {
                upto += part;
                n * 100 < upto * active
            });
            let name = name.map_or("alex", |(name, _)| name);
            let is_service = name == "nightly-report";
            let principal = if is_service { Principal::User { name: name.to_owned() } } else { self.person(name) };
            gathered.principals.insert(execution.id.clone(), principal);
        }
        let moment = Span { start: self.at, end: self.at };
        let (submitters, mail) = (&self.policy.submitters, &self.policy.mail);
        let mut parties = Shares::of(&gathered, moment, None, self.at, submitters, mail).parties;
        parties.sort_by_key(|party| std::cmp::Reverse(party.in_flight.len()));
        let mut found = vec![(filler.clone(), running)];
        found.extend(self.waiting().map(|(name, _)| (name.clone(), self.queued(&name))));
        let none = Reservations::Known { names: Vec::new(), workgroups: BTreeSet::new() };
        let people = BTreeMap::from([(filler, parties)]);
        Some(Arc::new(Occupancy { people, ..Occupancy::of(found, none, Vec::new()) }))
    }

    fn queued(&self, workgroup: &str) -> Vec<Execution> {
        // Nobody waits any more where the longest wait is none to be warned of.
        let warn = self.waiting().map_or(0.0, |(_, rule)| rule.rules.warn.as_f64() * 100.0);
        if self.share < warn as u64 {
            return Vec::new();
        }
        (0..QUEUED).map(|n| self.execution(workgroup, n, State::Queued)).collect()
    }

    fn execution(&self, workgroup: &str, n: usize, state: State) -> Execution {
        let n = i64::try_from(n).unwrap_or(0);
        let is_queued = state == State::Queued;
        Execution {
            id: super::id(if is_queued { 5000 + n } else { 1000 + n }),
            workgroup: workgroup.to_owned(),
            state,
            submitted: Some(self.before(if is_queued { 1 } else { 2 + n / 3 })),
            completed: None,
            scanned: (!is_queued).then(|| Bytes::new(self.limit.bytes.get() / 20_000 * (100 + n.unsigned_abs()))),
            kind: Kind::Dml,
            sql: None,
        }
    }
}
