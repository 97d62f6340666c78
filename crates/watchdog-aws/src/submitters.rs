//! Finds the submitters of the limits that want them: the executions, who submitted them, and the tags of IAM users. Decides nothing.
//!
//! All of it within a time of its own: whoever waits for the mail waits for this first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};
use watchdog_core::bytes::Bytes;
use watchdog_core::catalogue::KnownSubmitters;
use watchdog_core::delivery::{People, Wanted};
use watchdog_core::identity::{Tag, TagsUnread};
use watchdog_core::people::{Gathered, Shares};
use watchdog_core::policy::Policy;
use watchdog_core::principal::Principal;
use watchdog_core::queries::{Execution, LONGEST_QUERY};
use watchdog_core::window::Span;

use crate::athena::executions::{self, Found};
use crate::clients::Clients;
use crate::cloudtrail;
use crate::dynamodb::Table;
use crate::iam;

/// Time for all of it, of the minute that a run has: twenty seconds are left for the mails.
pub const PATIENCE: Duration = Duration::from_secs(35);
/// Time for executions of it; the rest is for CloudTrail.
const FOR_EXECUTIONS: Duration = Duration::from_secs(12);
/// Users whose tags are asked for in one run, those who used most first: as many as can be above the default floor.
const MOST_USERS: usize = 50;
/// Tags asked for at once. IAM is one for the whole world, and slow.
const TAGS_AT_ONCE: usize = 4;

/// One workgroup whose submitters are looked for.
struct Search {
    workgroup: String,
    /// The longest of the windows.
    span: Span,
    /// What the metric says of it.
    used: Option<Bytes>,
}

/// What was found, for the plan and for the report.
#[derive(Debug, Default)]
pub struct Sought {
    /// Whose queries use up which limit.
    pub people: People,
    /// What went wrong without stopping it.
    pub warnings: Vec<String>,
}

/// Finds the submitters of all that is wanted. `table` is given where the feed writes records into it.
pub async fn people(
    clients: &Clients,
    table: Option<&Table>,
    known: &mut KnownSubmitters,
    policy: &Policy,
    wants: &[Wanted],
    at: Timestamp,
    until: Instant,
) -> Sought {
    let mut searches: BTreeMap<&str, Search> = BTreeMap::new();
    for want in wants {
        let search = Search { workgroup: want.workgroup.clone(), span: want.span, used: Some(want.used) };
        let widest = searches.entry(&want.workgroup).or_insert_with(|| Search {
            used: search.used,
            workgroup: search.workgroup.clone(),
            ..search
        });
        if want.span.start < widest.span.start {
            *widest = Search { workgroup: want.workgroup.clone(), span: want.span, used: Some(want.used) };
        }
    }
    // The one that used most first: what is not reached in time is what matters least.
    let mut searches: Vec<Search> = searches.into_values().collect();
    searches.sort_by_key(|search| std::cmp::Reverse(search.used));
    let mut gathered = gather(clients, table, known, &searches, at, until).await;
    let mut sought = Sought::default();
    for gathered in gathered.values_mut() {
        sought.warnings.append(&mut gathered.warnings);
    }
    sought.warnings.sort();
    sought.warnings.dedup();
    for want in wants {
        let Some(gathered) = gathered.get(&want.workgroup) else { continue };
        let shares = Shares::of(gathered, want.span, Some(want.used), at, &policy.submitters, &policy.mail);
        sought.people.shares.insert(want.subject.clone(), Arc::new(shares));
    }
    sought
}

/// What is known of one workgroup's executions in `span`, for somebody who only wants to see.
pub async fn look(
    clients: &Clients,
    table: Option<&Table>,
    workgroup: &str,
    span: Span,
    used: Option<Bytes>,
    at: Timestamp,
    until: Instant,
) -> Gathered {
    let search = Search { workgroup: workgroup.to_owned(), span, used };
    let mut known = KnownSubmitters::default();
    gather(clients, table, &mut known, &[search], at, until).await.remove(workgroup).unwrap_or_default()
}

async fn gather(
    clients: &Clients,
    table: Option<&Table>,
    known: &mut KnownSubmitters,
    searches: &[Search],
    at: Timestamp,
    until: Instant,
) -> BTreeMap<String, Gathered> {
    let until_executions = until.min(Instant::now() + FOR_EXECUTIONS);
    let mut all = BTreeMap::new();
    for search in searches {
        let Search { workgroup, span, used } = search;
        let found = if Instant::now() < until_executions {
            let (client, paces) = (&clients.athena, &clients.paces);
            let pages = executions::MOST_PAGES;
            executions::executions(client, paces, workgroup, span.start, *used, pages, until_executions).await
        } else {
            Found { cut: Some(executions::Cut::TooLate), ..Found::default() }
        };
        all.insert(workgroup.clone(), of_executions(found, span.start));
    }
    let executions = || all.values().flat_map(|gathered: &Gathered| &gathered.executions);
    // What is no longer in any window need not be known any more.
    let ids: BTreeSet<String> = executions().map(|execution| execution.id.clone()).collect();
    known.principals.retain(|id, _| ids.contains(id));
    known.absent.retain(|id| ids.contains(id));
    principals(clients, table, known, all, at, until).await
}

/// Finds who submitted the executions of each workgroup, and the tags of those who are IAM users.
pub(crate) async fn principals(
    clients: &Clients,
    table: Option<&Table>,
    known: &mut KnownSubmitters,
    mut all: BTreeMap<String, Gathered>,
    at: Timestamp,
    until: Instant,
) -> BTreeMap<String, Gathered> {
    let executions = || all.values().flat_map(|gathered: &Gathered| &gathered.executions);
    let ids: BTreeSet<String> = executions().map(|execution| execution.id.clone()).collect();
    let is_unknown = |known: &KnownSubmitters, id: &String| !known.principals.contains_key(id);
    let mut warnings = Vec::new();
    if let Some(table) = table {
        let unknown: BTreeSet<String> = ids.iter().filter(|id| is_unknown(known, id)).cloned().collect();
        match timeout_at(until, table.submissions(&unknown, &mut known.principals)).await {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => warnings.push(failure.to_string()),
            Err(_) => warnings.push("the feed's records could not all be read in time".to_owned()),
        }
    }
    let unknown: Vec<&Execution> =
        executions().filter(|e| is_unknown(known, &e.id) && !known.absent.contains(&e.id)).collect();
    let mut unrecorded = None;
    if !unknown.is_empty() {
        let wanted: BTreeSet<String> = unknown.iter().map(|execution| execution.id.clone()).collect();
        // Where Athena does not say when it was submitted, as long before its end as a query can run.
        let submitted = |e: &&Execution| e.submitted.or(e.completed.map(|end| end - LONGEST_QUERY)).unwrap_or(at);
        let since = unknown.iter().map(submitted).min().unwrap_or(at);
        let looked = cloudtrail::submissions(&clients.cloudtrail, &clients.paces, &wanted, since, until).await;
        known.principals.extend(looked.principals);
        warnings.extend(looked.unreadable);
        match looked.cut {
            // Read in full, so that what is not there by now need not be looked for in every run again.
            None => {
                let settled = unknown.iter().filter(|e| is_unknown(known, &e.id) && KnownSubmitters::is_settled(e, at));
                let settled: Vec<String> = settled.map(|execution| execution.id.clone()).collect();
                known.absent.extend(settled);
            }
            Some(cloudtrail::Cut::TooMany) => {
                unrecorded = Some(format!("there are more than the {} pages that are read in one run", looked.pages));
            }
            Some(cloudtrail::Cut::TooLate) => unrecorded = Some("the run's time for it was up".to_owned()),
            Some(cloudtrail::Cut::Failed(failure)) => {
                unrecorded = Some(failure.unknown().to_string());
                warnings.push(failure.to_string());
            }
        }
    }
    tags(clients, known, &all, at, until, &mut warnings).await;
    let waited = [
        ("athena:ListQueryExecutions", &clients.paces.list_queries),
        ("athena:BatchGetQueryExecution", &clients.paces.get_queries),
        ("cloudtrail:LookupEvents", &clients.paces.lookup_events),
    ];
    for (operation, pace) in waited {
        let waited = pace.waited();
        // Less is the ordinary pace of a look; this long, and people are told later because of it.
        if waited >= Duration::from_secs(5) {
            warnings.push(format!("`{operation}` had to wait {} s in all for AWS's rate", waited.as_secs()));
        }
    }
    for gathered in all.values_mut() {
        let own = gathered.executions.iter().filter_map(|execution| known.principals.get_key_value(&execution.id));
        gathered.principals = own.map(|(id, principal)| (id.clone(), principal.clone())).collect();
        gathered.unrecorded.clone_from(&unrecorded);
        gathered.tags = known.tags.iter().map(|(name, (tag, _))| (name.clone(), tag.clone())).collect();
        gathered.warnings.append(&mut warnings);
    }
    all
}

fn of_executions(found: Found, start: Timestamp) -> Gathered {
    let mut warnings = Vec::new();
    let cut = found.cut.map(|cut| match cut {
        executions::Cut::TooMany => "only the newest are read in one run".to_owned(),
        executions::Cut::TooLate => "the run's time for reading them was up".to_owned(),
        executions::Cut::Failed(failure) => {
            warnings.push(failure.to_string());
            failure.unknown().to_string()
        }
    });
    let executions = found.executions.into_iter().filter(|execution| !execution.is_before(start)).collect();
    Gathered { executions, unread: found.unread.len(), cut, warnings, ..Gathered::default() }
}

/// Asks for the tags of those users who submitted something and whose tags are not known, or no longer for sure.
async fn tags(
    clients: &Clients,
    known: &mut KnownSubmitters,
    all: &BTreeMap<String, Gathered>,
    at: Timestamp,
    until: Instant,
    warnings: &mut Vec<String>,
) {
    let mut bytes: BTreeMap<&str, u64> = BTreeMap::new();
    for execution in all.values().flat_map(|gathered| &gathered.executions) {
        if let Some(Principal::User { name }) = known.principals.get(&execution.id) {
            let sum = bytes.entry(name).or_default();
            *sum = sum.saturating_add(execution.scanned.map_or(0, Bytes::get));
        }
    }
    let mut due: Vec<(&str, u64)> = bytes.into_iter().filter(|(name, _)| known.tag_is_due(name, at)).collect();
    due.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    let names: Vec<String> = due.iter().take(MOST_USERS).map(|(name, _)| (*name).to_owned()).collect();
    let asked = names.into_iter().map(|name| async move {
        let answer = tokio::time::timeout_at(until, iam::email_tag(&clients.iam, &name)).await;
        (name, answer)
    });
    let answers: Vec<_> = stream::iter(asked).buffer_unordered(TAGS_AT_ONCE).collect().await;
    for (name, answer) in answers {
        let tag = match answer {
            Ok(Ok(tag)) => tag,
            Ok(Err(failure)) => {
                warnings.push(failure.to_string());
                Tag::unread(&failure.unknown())
            }
            Err(_) => Tag::Unread(TagsUnread::NotAsked),
        };
        known.tags.insert(name, (tag, at));
    }
}
