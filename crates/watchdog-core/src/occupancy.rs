//! Who has the account's queries active: by workgroup, and by the people of the one that has the most.
//!
//! Looked for only where somebody is to be told. It is a list of a moment and never adds up to the metric, which is the most of minutes
//! past: it says who fills the quota now, not how full it was.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::people::Party;
use crate::policy::{Address, Class, Policy, WorkgroupRule};
use crate::queries::{Execution, Kind, State};
use crate::usage::{Queue, Unknown};
use crate::verdict::Pressure;

/// Share of the account's active queries, in percent, from which a person is told that theirs fill the quota. A tenth is what `critical`
/// leaves: without it, nobody would be told.
const FILLS_PERCENT: usize = 10;
/// And so many of them at least: one query is nobody's burst.
const FILLS_QUERIES: usize = 2;

/// Who has queries active at one instant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Occupancy {
    /// Those with any, the one with the most first.
    pub holders: Vec<Holder>,
    /// Whose they are, by workgroup, the one with the most first; for those workgroups where it was looked for.
    pub people: BTreeMap<String, Vec<Party>>,
    /// The account's capacity reservations: on these queries do not count.
    pub reservations: Reservations,
    /// Why there may be more active queries than these, a sentence each.
    pub cut: Vec<String>,
}

/// One workgroup's active queries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The workgroup.
    pub workgroup: String,
    /// Those that run and those that wait, the oldest first.
    pub active: Vec<Execution>,
    /// Whether it runs on a capacity reservation, so that they do not count against the quota.
    pub is_reserved: bool,
}

/// Capacity reservations, as far as they are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Reservations {
    /// Nobody asked.
    #[default]
    NotAsked,
    /// The names of those that there are, and the workgroups that run on them.
    Known {
        /// Of the reservations; none where there is none.
        names: Vec<String>,
        /// Of the workgroups.
        workgroups: BTreeSet<String>,
    },
    /// They could not be read.
    Unknown(Unknown),
}

impl Occupancy {
    /// Sorts out the active ones of what was found by workgroup. What is over by now is left aside.
    pub fn of(found: Vec<(String, Vec<Execution>)>, reservations: Reservations, cut: Vec<String>) -> Self {
        let reserved = match &reservations {
            Reservations::Known { workgroups, .. } => workgroups.clone(),
            Reservations::NotAsked | Reservations::Unknown(_) => BTreeSet::new(),
        };
        let mut holders: Vec<Holder> = Vec::new();
        for (workgroup, executions) in found {
            let mut active: Vec<Execution> = executions.into_iter().filter(|e| !e.state.is_over()).collect();
            active.sort_by_key(|execution| execution.submitted);
            if !active.is_empty() {
                holders.push(Holder { is_reserved: reserved.contains(&workgroup), workgroup, active });
            }
        }
        // Those that count first: the others are only there to be shown.
        holders.sort_by_key(|holder| (holder.is_reserved, std::cmp::Reverse(holder.active.len())));
        Self { holders, people: BTreeMap::new(), reservations, cut }
    }

    /// Those that fill what `pressure` is about, and how many each has of it; the one with the most first. For waiting: the DML queries,
    /// for these it is that wait for each other.
    pub fn filling(&self, pressure: &Pressure) -> Vec<(&Holder, usize)> {
        let class = match pressure {
            Pressure::Active(class) => *class,
            Pressure::Waiting { .. } => Class::Dml,
        };
        let counted = self.holders.iter().filter(|holder| !holder.is_reserved);
        let mut filling: Vec<_> = counted.map(|holder| (holder, holder.of(class).count())).collect();
        filling.retain(|(_, active)| *active > 0);
        filling.sort_by_key(|(_, active)| std::cmp::Reverse(*active));
        filling
    }

    /// The people of a workgroup who have enough of `all` active queries to be told, by their address.
    pub fn fillers(&self, workgroup: &str, all: usize) -> BTreeMap<&Address, &Party> {
        let parties = self.people.get(workgroup).into_iter().flatten();
        let fills = parties.filter(|party| {
            let own = party.in_flight.len();
            own >= FILLS_QUERIES && own * 100 >= all * FILLS_PERCENT
        });
        fills.filter_map(|party| Some((party.person()?, party))).collect()
    }
}

impl Holder {
    /// Its queries of a class. Where Athena does not say what a statement is, it may be of either.
    pub fn of(&self, class: Class) -> impl Iterator<Item = &Execution> {
        self.active.iter().filter(move |execution| match execution.kind {
            Kind::Dml => class == Class::Dml,
            Kind::Ddl | Kind::Utility => class == Class::Ddl,
            Kind::Unknown => true,
        })
    }

    /// How many of them wait and run.
    pub fn queue(&self) -> Queue {
        queue(&self.active)
    }
}

/// How many of these executions wait and run, and since when the oldest waits.
pub fn queue(executions: &[Execution]) -> Queue {
    let of = |state: State| executions.iter().filter(move |execution| execution.state == state);
    let oldest: Option<Timestamp> = of(State::Queued).filter_map(|execution| execution.submitted).min();
    Queue { queued: of(State::Queued).count(), running: of(State::Running).count(), oldest }
}

/// Whether the people of a workgroup that fills a quota are told, whatever the quota's own audience says: where its own limits tell them.
pub fn tells_submitters(policy: &Policy, workgroup: &str) -> bool {
    policy.rule_for(workgroup).is_some_and(WorkgroupRule::tells_submitters)
}
