//! Who is left out of a run's questions to CloudWatch, where the policy has an economy, and who is asked after all.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use watchdog_core::catalogue::Catalogue;
use watchdog_core::delivery::Records;
use watchdog_core::economy::{note, reads_from};
use watchdog_core::grant::Grants;
use watchdog_core::policy::{Economy, Policy};
use watchdog_core::usage::{Remembered, Usage};
use watchdog_core::window::Span;

use crate::clients::Clients;
use crate::{flights, gather};

/// What decides who is left out.
#[derive(Debug)]
pub struct Thrift<'a> {
    /// How long somebody may go unasked.
    pub rules: Economy,
    /// The policy as grants make it.
    policy: &'a Policy,
    /// Workgroups with an alert or a grant that is not closed.
    pending: BTreeSet<String>,
}

impl<'a> Thrift<'a> {
    /// Of a policy with an economy; `policy` is as the grants make it.
    pub fn new(policy: &'a Policy, records: &Records, grants: &Grants) -> Option<Self> {
        let open = records.iter().filter(|(_, record)| record.is_pending());
        let open = open.filter_map(|(subject, _)| subject.of_bytes());
        let granted = grants.iter().filter(|(_, book)| book.grants.iter().any(|grant| grant.closed.is_none()));
        let pending = open.chain(granted.map(|(workgroup, _)| workgroup.as_str())).map(str::to_owned).collect();
        policy.economy.map(|rules| Self { rules, policy, pending })
    }

    /// What is known of `workgroup`, where it need not be asked.
    pub fn leaves_out(&self, catalogue: &Catalogue, workgroup: &str, at: Timestamp) -> Option<Remembered> {
        if self.pending.contains(workgroup) {
            return None;
        }
        let limits = &self.policy.rule_for(workgroup)?.limits;
        catalogue.economy.leaves_out(workgroup, limits, at, self.rules).cloned()
    }

    /// How far back `workgroup` has to be asked beside what its limits ask for: the windows of the looks that are made up for, and what
    /// was scanned since the last one.
    pub fn reads_from(&self, catalogue: &Catalogue, workgroup: &str, at: Timestamp) -> Timestamp {
        let limits = self.policy.rule_for(workgroup).map_or(&[][..], |rule| &rule.limits);
        let missed = catalogue.economy.missed(workgroup);
        let windows = limits.iter().flat_map(|limit| missed.iter().map(|at| limit.window.span(*at).start));
        windows.min().unwrap_or(at).min(reads_from(at))
    }

    /// Asks after all for those that were left out and of which queries run, or of which that could not be learnt although they were in
    /// `listed`, those whose queries were asked for. What runs may land as more than was ever seen.
    pub async fn ask_after_all(
        &self,
        clients: &Clients,
        catalogue: &Catalogue,
        listed: &[String],
        at: Timestamp,
        usage: &mut Usage,
    ) {
        let listed: BTreeSet<&str> = listed.iter().take(flights::MOST_WORKGROUPS).map(String::as_str).collect();
        let flies = |name: &str| match usage.flights.get(name) {
            Some(flights) => !flights.running.is_empty() || flights.may_be_more,
            None => listed.contains(name),
        };
        let names: Vec<&String> = usage.left_out.keys().filter(|name| flies(name)).collect();
        let names: Vec<String> = names.into_iter().cloned().collect();
        if names.is_empty() {
            return;
        }
        let limits = |name: &String| self.policy.rule_for(name).map_or(&[][..], |rule| &rule.limits);
        let starts = names.iter().flat_map(|name| {
            let own = limits(name).iter().map(|limit| limit.reads_from(at));
            own.chain([self.reads_from(catalogue, name, at)])
        });
        let span = Span { start: starts.min().unwrap_or(at), end: at };
        let asked: Vec<&str> = names.iter().map(String::as_str).collect();
        for (name, seen) in gather::read(clients, catalogue, span, &asked).await {
            usage.left_out.remove(&name);
            usage.missed.insert(name.clone(), catalogue.economy.missed(&name).to_vec());
            usage.workgroups.insert(name, seen);
        }
    }

    /// Notes who was asked and what came of it, and who was not. `listed` as above. Where somebody is still owed a mail or it is not
    /// written down who is not (`is_done` is false), this look is one more that has to be made up for.
    pub fn note(&self, catalogue: &mut Catalogue, usage: &Usage, listed: &[String], at: Timestamp, is_done: bool) {
        let memory = &mut catalogue.economy;
        if !is_done {
            usage.left_out.keys().chain(usage.workgroups.keys()).for_each(|name| memory.left_out(name, at));
            return;
        }
        memory.done(at);
        let listed: BTreeSet<&str> = listed.iter().take(flights::MOST_WORKGROUPS).map(String::as_str).collect();
        for name in usage.left_out.keys() {
            memory.left_out(name, at);
        }
        for (name, seen) in &usage.workgroups {
            let Some(rule) = self.policy.rule_for(name).filter(|rule| !rule.limits.is_empty()) else { continue };
            let Ok(series) = seen else {
                memory.is_unseen(name);
                continue;
            };
            let may_land = match usage.flights.get(name) {
                Some(flights) => !flights.running.is_empty() || flights.may_be_more,
                None => listed.contains(name.as_str()),
            };
            note(memory, name, &rule.limits, series, may_land, at, self.rules);
        }
    }
}

/// The looks that were left out of those that are asked now.
pub fn missed(catalogue: &Catalogue, names: &[&str]) -> BTreeMap<String, Vec<Timestamp>> {
    let missed = names.iter().map(|name| (name, catalogue.economy.missed(name)));
    missed.filter(|(_, missed)| !missed.is_empty()).map(|(name, at)| ((*name).to_owned(), at.to_vec())).collect()
}
