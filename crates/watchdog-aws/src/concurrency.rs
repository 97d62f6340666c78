//! Active and waiting queries: what to ask CloudWatch beside the bytes, the quotas, and the queues; and, where somebody is to be told, who
//! has how many.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use tokio::time::Instant;
use watchdog_core::catalogue::{Catalogue, KnownSubmitters};
use watchdog_core::occupancy::{Occupancy, Reservations, queue};
use watchdog_core::people::{Gathered, Shares};
use watchdog_core::policy::{Class, Policy};
use watchdog_core::queries::Execution;
use watchdog_core::usage::{
    Active, Answer, Concurrency, Listed, Peaks, Queue, Quota, Unknown, Usage, Waiting, looked_at,
};
use watchdog_core::verdict::Pressure;
use watchdog_core::window::Span;

use crate::athena::executions::{self, Cut, Found};
use crate::athena::reservations::reservations;
use crate::clients::Clients;
use crate::cloudwatch::Wanted;
use crate::dynamodb::Table;
use crate::{servicequotas, submitters};

/// Workgroups whose queue is read in one run, those that waited longest by the metric first: ten calls of Athena's at most.
const MOST_QUEUES: usize = 5;
/// Time for reading them.
const FOR_QUEUES: Duration = Duration::from_secs(5);
/// Workgroups whose executions are listed to find who fills a quota: at four calls a second ten seconds.
const MOST_HOLDERS: usize = 40;
/// Lists under way at once; the pace is the same for all of them.
const LISTS_AT_ONCE: usize = 4;
/// Time for finding who fills a quota, without the people.
const FOR_OCCUPANCY: Duration = Duration::from_secs(12);
/// And for the people after it.
const FOR_PEOPLE: Duration = Duration::from_secs(10);
/// Submitters that a process remembers before it forgets those that are no longer active.
const MOST_KNOWN: usize = 5000;

/// What is asked of CloudWatch beside the bytes, and in which order.
#[derive(Debug, Default)]
pub struct Asked {
    classes: Vec<Class>,
    waiting: Vec<String>,
    /// Metrics per workgroup.
    times: usize,
    /// The metrics.
    pub wanted: Vec<Wanted>,
}

impl Asked {
    /// The classes that the policy watches, and those of the workgroups that may not wait long.
    pub fn new(policy: &Policy, listed: &Listed, waiting: Vec<String>) -> Self {
        let classes = policy.active_queries.classes.clone();
        let mut wanted: Vec<Wanted> = classes.iter().map(|class| Wanted::Active(*class)).collect();
        let times = listed.times();
        for workgroup in &waiting {
            let one = |dimensions| Wanted::Waited { workgroup: workgroup.clone(), dimensions };
            wanted.extend(times.iter().cloned().map(one));
        }
        Self { classes, waiting, times: times.len(), wanted }
    }

    /// What the answers, in the order of `wanted`, come to. Quotas and queues are not asked for yet.
    pub fn read(self, answers: &[Answer]) -> Concurrency {
        let (of_classes, of_workgroups) = answers.split_at(self.classes.len().min(answers.len()));
        let active = self.classes.into_iter().enumerate().map(|(i, class)| {
            let peaks = Peaks::from_answers(of_classes.get(i..=i).unwrap_or_default());
            (class, Active { peaks, quota: None })
        });
        let mut of_workgroups = of_workgroups.chunks(self.times.max(1));
        let waiting = self.waiting.into_iter().map(|workgroup| {
            let waited = Peaks::from_answers(of_workgroups.next().unwrap_or_default());
            (workgroup, Waiting { waited, queue: None })
        });
        Concurrency { active: active.collect(), waiting: waiting.collect() }
    }
}

/// Asks for the quotas and the queues, side by side, as far as there is anything active. Returns what went wrong on the way.
pub async fn complete(
    clients: &Clients,
    policy: &Policy,
    at: Timestamp,
    now: Timestamp,
    catalogue: &mut Catalogue,
    usage: &mut Usage,
) -> Vec<String> {
    let (quotas, queues) = futures_util::join!(
        quotas(clients, policy, at, now, catalogue, &usage.concurrency),
        queues(clients, policy, at, &usage.concurrency)
    );
    let mut warnings = Vec::new();
    for (class, quota) in quotas {
        let (quota, warning) = quota;
        warnings.extend(warning);
        if let Ok(quota) = &quota {
            catalogue.quotas.insert(class, *quota);
        }
        if let Some(active) = usage.concurrency.active.get_mut(&class) {
            active.quota = Some(quota);
        }
    }
    for (workgroup, (queue, warning)) in queues {
        warnings.extend(warning);
        if let Some(waiting) = usage.concurrency.waiting.get_mut(&workgroup) {
            waiting.queue = Some(queue);
        }
    }
    warnings
}

/// What was read, or why it is not known; and what went wrong on the way, in words.
type Answered<T> = (Result<T, Unknown>, Option<String>);

/// The quotas of those classes that have anything active, or of which that is not known.
async fn quotas(
    clients: &Clients,
    policy: &Policy,
    at: Timestamp,
    now: Timestamp,
    catalogue: &Catalogue,
    concurrency: &Concurrency,
) -> Vec<(Class, Answered<Quota>)> {
    let rules = &policy.active_queries.rules;
    let span = looked_at(at, policy.active_queries.look_back);
    let used = |active: &Active| active.peaks.as_ref().ok()?.largest(span).map(|(_, value)| value);
    let busy = concurrency.active.iter().filter_map(|(class, active)| Some((*class, used(active)?)));
    let asked = busy.map(|(class, used)| async move {
        // Near a threshold, or where an alert may still be open: raised meanwhile, it is no longer true.
        let matters = |most| rules.resolves_below().reached_by(used, most);
        let known = catalogue.usable_quota(class, now);
        if let Some(quota) = known.filter(|_| !catalogue.quota_due(class, now, matters)) {
            return (class, (Ok(quota), None));
        }
        let read = match servicequotas::quota(&clients.servicequotas, class, now).await {
            Ok(quota) => (Ok(quota), None),
            Err(failure) => (known.ok_or_else(|| failure.unknown()), Some(failure.to_string())),
        };
        (class, read)
    });
    futures_util::future::join_all(asked).await
}

/// The queues of those workgroups that may not wait long, where anything is active in the account.
async fn queues(
    clients: &Clients,
    policy: &Policy,
    at: Timestamp,
    concurrency: &Concurrency,
) -> BTreeMap<String, Answered<Queue>> {
    let span = looked_at(at, policy.active_queries.look_back);
    // Not known is not idle, and neither is a class that nobody watches.
    let is_idle = |active: &Active| active.peaks.as_ref().is_ok_and(|peaks| peaks.largest(span).is_none());
    let dml = concurrency.active.get(&Class::Dml);
    let has_waited = |waiting: &Waiting| {
        waiting.waited.as_ref().ok().and_then(|peaks| peaks.largest(span)).map_or(0, |(_, value)| value)
    };
    let mut names: Vec<(&String, u64)> = concurrency.waiting.iter().map(|(name, w)| (name, has_waited(w))).collect();
    if dml.is_some_and(is_idle) {
        names.retain(|(_, waited)| *waited > 0);
    }
    // Another one first in each run among those that have not waited.
    if !names.is_empty() {
        let turn = usize::try_from(at.as_second() / watchdog_core::window::BUCKET).unwrap_or(0) % names.len();
        names.rotate_left(turn);
    }
    names.sort_by_key(|(_, waited)| std::cmp::Reverse(*waited));
    let until = Instant::now() + FOR_QUEUES;
    let lists = names.into_iter().take(MOST_QUEUES).map(|(name, _)| async move {
        let found = list(clients, name, span.start, until).await;
        let active: Vec<Execution> = found.executions.into_iter().filter(|e| !e.state.is_over()).collect();
        let read = match found.cut {
            // What was read is there; more can only make it worse.
            None | Some(Cut::TooMany) => (Ok(queue(&active)), None),
            Some(Cut::TooLate) => {
                let code = "Timeout".to_owned();
                (Err(Unknown::Failed { operation: executions::LIST.to_owned(), code }), None)
            }
            Some(Cut::Failed(failure)) => (Err(failure.unknown()), Some(failure.to_string())),
        };
        (name.clone(), read)
    });
    stream::iter(lists).buffer_unordered(LISTS_AT_ONCE).collect().await
}

async fn list(clients: &Clients, workgroup: &str, since: Timestamp, until: Instant) -> Found {
    let (client, paces) = (&clients.athena, &clients.paces);
    executions::executions(client, paces, workgroup, since, None, executions::MOST_PAGES, until).await
}

/// Finds who has how many queries active, and whose those of the workgroup with the most are. Returns with it what went wrong.
#[expect(clippy::too_many_arguments, reason = "what is known, and what may be asked until when")]
pub async fn occupancy(
    clients: &Clients,
    table: Option<&Table>,
    known: &mut KnownSubmitters,
    names: &BTreeMap<String, bool>,
    policy: &Policy,
    usage: &Usage,
    at: Timestamp,
    until: Instant,
) -> (Occupancy, Vec<String>) {
    let since = looked_at(at, policy.active_queries.look_back).start;
    let until_listed = until.min(Instant::now() + FOR_OCCUPANCY);
    // Those that may be the victim, those that were at work lately, then the rest: what is not reached in time matters least.
    let newest = |name: &String| match usage.left_out.get(name) {
        Some(known) => known.newest,
        None => usage.workgroups.get(name).and_then(|seen| seen.as_ref().ok()?.newest()),
    };
    let mut order: Vec<&String> = names.iter().filter(|(_, enabled)| **enabled).map(|(name, _)| name).collect();
    order.sort_by_key(|name| std::cmp::Reverse((usage.concurrency.waiting.contains_key(*name), newest(name))));
    let beyond = order.len().saturating_sub(MOST_HOLDERS);
    let lists = order.into_iter().take(MOST_HOLDERS).map(|name| async move {
        let found = if Instant::now() < until_listed {
            list(clients, name, since, until_listed).await
        } else {
            Found { cut: Some(Cut::TooLate), ..Found::default() }
        };
        (name.clone(), found)
    });
    let lists = stream::iter(lists).buffered(LISTS_AT_ONCE).collect::<Vec<_>>();
    let reserved = async { tokio::time::timeout_at(until_listed, reservations(&clients.athena)).await };
    let (lists, reserved) = futures_util::join!(lists, reserved);
    let (mut warnings, mut cut) = (Vec::new(), Vec::new());
    let reservations = match reserved {
        Ok(Ok(reservations)) => reservations,
        Ok(Err(failure)) => {
            warnings.push(failure.to_string());
            Reservations::Unknown(failure.unknown())
        }
        Err(_) => Reservations::NotAsked,
    };
    let mut found = Vec::new();
    let mut late = 0;
    let mut failures: BTreeMap<String, usize> = BTreeMap::new();
    for (name, list) in lists {
        match list.cut {
            None => {}
            Some(Cut::TooMany) => cut.push(format!("Only the newest queries of {name} were read.")),
            Some(Cut::TooLate) => late += 1,
            Some(Cut::Failed(failure)) => {
                *failures.entry(failure.unknown().to_string()).or_insert(0) += 1;
                warnings.push(failure.to_string());
            }
        }
        found.push((name, list.executions));
    }
    cut.extend(failures.into_iter().map(|(why, n)| format!("The queries of {n} workgroups could not be read: {why}.")));
    if late + beyond > 0 {
        cut.push(format!("{} workgroups were not looked at for want of time.", late + beyond));
    }
    let mut occupancy = Occupancy::of(found, reservations, cut);
    let causes: BTreeSet<String> = [Pressure::Active(Class::Dml), Pressure::Active(Class::Ddl)]
        .iter()
        .filter_map(|pressure| {
            let filling = occupancy.filling(pressure);
            filling.first().map(|(holder, _)| holder.workgroup.clone())
        })
        .collect();
    let active: BTreeMap<String, Gathered> = causes
        .into_iter()
        .map(|name| {
            let own = occupancy.holders.iter().filter(|holder| holder.workgroup == name);
            let executions = own.flat_map(|holder| holder.active.iter().cloned()).collect();
            (name, Gathered { executions, ..Gathered::default() })
        })
        .collect();
    let until_people = until.min(Instant::now() + FOR_PEOPLE);
    let people = submitters::principals(clients, table, known, active, at, until_people).await;
    if known.principals.len() > MOST_KNOWN {
        let ids: BTreeSet<&String> = occupancy.holders.iter().flat_map(|h| h.active.iter().map(|e| &e.id)).collect();
        known.principals.retain(|id, _| ids.contains(id));
    }
    for (name, mut gathered) in people {
        warnings.append(&mut gathered.warnings);
        // Nothing has landed in an empty stretch: all of it is in flight.
        let none = Span { start: at, end: at };
        let shares = Shares::of(&gathered, none, None, at, &policy.submitters, &policy.mail);
        let mut parties = shares.parties;
        parties.sort_by_key(|party| std::cmp::Reverse(party.in_flight.len()));
        occupancy.people.insert(name, parties);
    }
    warnings.sort();
    warnings.dedup();
    (occupancy, warnings)
}
