//! What is known of the account from earlier runs, and refreshed: lists some pages at a time, settings some workgroups at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use watchdog_core::catalogue::{Catalogue, LOOKUPS, PAGES, Reading, Settings};
use watchdog_core::usage::{Listed, Unknown};
use watchdog_core::window::BUCKET;

use super::Notes;
use crate::athena::Names;
use crate::clients::Clients;
use crate::failure::AwsFailure;
use crate::{athena, cloudwatch};

/// `GetWorkGroup` calls under way at once: as many as a run makes as a rule, so that none waits for another. The operation's rate is not
/// published; Athena's published ones start at five a second with bursts of ten.
const EXAMINE_AT_ONCE: usize = LOOKUPS;
/// Time for examining workgroups in one run. What is not done by then is done in the next: a thousand new ones
/// may take a few runs, and no run is late because of them.
const EXAMINE_FOR: Duration = Duration::from_secs(15);

/// The first page of each list, asked before it is known whether the list is due.
#[derive(Debug)]
pub struct FirstPages {
    names: Result<Names, AwsFailure>,
    listed: Result<Reading<Listed>, AwsFailure>,
}

/// Asks for the first page of each list. For the first run of a process, while it is still being read what earlier ones have learnt: it so
/// opens its connections to Athena and CloudWatch beside those to the table and the policy, instead of one after the other. In an account of
/// one page, where the names are asked for in every run, this is no call more.
pub async fn first_pages(clients: &Clients) -> FirstPages {
    let names = athena::read_on(&clients.athena, Reading::default(), 1);
    let listed = cloudwatch::list_on(&clients.cloudwatch, Reading::default(), 1);
    let (names, listed) = futures_util::join!(names, listed);
    FirstPages { names, listed }
}

/// Refreshes the names and metric sets in the catalogue where they are due, side by side: in full where nothing is known of them, otherwise
/// some pages of them. What `first` has is not asked again.
pub async fn refresh(clients: &Clients, catalogue: &mut Catalogue, first: Option<FirstPages>, now: Timestamp) -> Notes {
    let mut notes = Notes::default();
    let (first_names, first_listed) = first.map_or((None, None), |first| (Some(first.names), Some(first.listed)));
    let names = async {
        let known = catalogue.names_read.is_some();
        let read = |reading, most| athena::read_on(&clients.athena, reading, most);
        let (due, begun) = (catalogue.names_due(now), catalogue.names_begun.as_ref());
        read_some(first_names, begun, due, known, athena::MOST_PAGES, read).await
    };
    let metrics = async {
        let known = catalogue.listed_read.is_some();
        let read = |reading, most| cloudwatch::list_on(&clients.cloudwatch, reading, most);
        let (due, begun) = (catalogue.metrics_due(now), catalogue.listed_begun.as_ref());
        read_some(first_listed, begun, due, known, cloudwatch::MOST_LIST_PAGES, read).await
    };
    let (names, metrics) = futures_util::join!(names, metrics);
    notes.names_are_old = true;
    match names {
        Some(Ok((names, pages))) => {
            notes.pages += pages;
            if names.next.is_some() {
                // What is new counts at once; what is gone is known at the end.
                catalogue.names.extend(names.so_far.clone());
                catalogue.names_begun = Some(names);
                notes.catalogue_changed = true;
            } else {
                notes.names_are_old = false;
                notes.catalogue_changed |= catalogue.names_begun.is_some() || names.so_far != catalogue.names;
                catalogue.replace_names(names.so_far, now);
            }
        }
        Some(Err(failure)) => {
            notes.names_are_old = false;
            notes.warnings.push(failure.to_string());
            notes.incomplete = Some(failure.unknown());
            notes.out_of_reach = failure.is_out_of_reach().then(|| failure.unknown());
            catalogue.names_begun = catalogue.names_begun.take().filter(|_| failure.retryable);
        }
        None => {}
    }
    match metrics {
        Some(Ok((listed, pages))) => {
            notes.pages += pages;
            // A list that nobody waited for is worth a write only where it says something else.
            notes.catalogue_changed |= catalogue.metrics_due(now) || listed.so_far != catalogue.listed;
            if listed.next.is_some() {
                catalogue.listed.extend(&listed.so_far);
                catalogue.listed_begun = Some(listed);
            } else {
                catalogue.listed = listed.so_far;
                catalogue.listed_read = Some(now);
                catalogue.listed_begun = None;
            }
        }
        // Not fatal: where nothing is known of the sets, both forms are asked for.
        Some(Err(failure)) => {
            notes.warnings.push(failure.to_string());
            catalogue.listed_begun = catalogue.listed_begun.take().filter(|_| failure.retryable);
        }
        None => {}
    }
    notes
}

/// Reads on in a list that is `due`: some pages where it is `known` from before, otherwise all of `all`. The `first` page is where it starts
/// from, unless it has been `begun`. Returns with it how many pages it were; `None` where there is nothing to learn.
async fn read_some<T: Clone + Default, F>(
    first: Option<Result<Reading<T>, AwsFailure>>,
    begun: Option<&Reading<T>>,
    due: bool,
    known: bool,
    all: usize,
    read: impl Fn(Reading<T>, usize) -> F,
) -> Option<Result<(Reading<T>, usize), AwsFailure>>
where
    F: Future<Output = Result<Reading<T>, AwsFailure>>,
{
    let asked = usize::from(first.is_some());
    let most = if known { PAGES - asked } else { all - asked };
    let (from, before) = match (first, begun) {
        // All of it, whether it was due or not.
        (Some(Ok(first)), _) if first.next.is_none() => return Some(Ok((first, 1))),
        _ if !due => return None,
        (_, Some(begun)) => (begun.clone(), begun.pages),
        (Some(Ok(first)), None) => (first, 0),
        (Some(Err(failure)), None) => return Some(Err(failure)),
        (None, None) => (Reading::default(), 0),
    };
    let goes_on = before > 0;
    let reading = match read(from, most).await {
        // For how long AWS takes a page's token is not documented. Where not until the next run, the list is read to its end at once.
        Err(failure) if goes_on && !failure.retryable && !failure.is_denied() => read(Reading::default(), all).await,
        read => read,
    };
    Some(reading.map(|reading| {
        let pages = reading.pages.saturating_sub(before) + if goes_on { asked } else { 0 };
        (reading, pages)
    }))
}

/// Which workgroups to examine in this run.
pub fn due(catalogue: &Catalogue, watched: &[&str], now: Timestamp, room: usize) -> Vec<String> {
    let due = catalogue.to_examine(watched.iter().copied(), now, room);
    let mut due: Vec<String> = due.into_iter().map(str::to_owned).collect();
    // Another one first in each run, so that some that never answer do not keep the others from being asked.
    if !due.is_empty() {
        let turn = usize::try_from(now.as_second() / BUCKET).unwrap_or(0) % due.len();
        due.rotate_left(turn);
    }
    due
}

/// What came of asking for workgroups' configurations.
#[derive(Debug, Default)]
pub struct Examined {
    /// What each answered.
    settings: Vec<(String, Settings)>,
    failed: BTreeMap<String, Unknown>,
    warnings: Vec<String>,
}

/// Asks for the configuration of these workgroups; not where Athena is out of reach.
pub async fn examine(clients: &Clients, due: &[String], now: Timestamp, out_of_reach: Option<&Unknown>) -> Examined {
    let mut examined = Examined::default();
    if let Some(why) = out_of_reach {
        examined.failed = due.iter().map(|name| (name.clone(), why.clone())).collect();
        return examined;
    }
    let mut failures: BTreeMap<String, usize> = BTreeMap::new();
    let mut answered = false;
    let calls = due.iter().map(|name| async move { (name, athena::settings(&clients.athena, name, now).await) });
    let answers = stream::iter(calls).buffer_unordered(EXAMINE_AT_ONCE);
    let mut answers = std::pin::pin!(answers);
    let deadline = tokio::time::sleep(EXAMINE_FOR);
    let mut deadline = std::pin::pin!(deadline);
    loop {
        let next = tokio::select! {
            next = answers.next() => next,
            () = &mut deadline => {
                let warning = "not all workgroups could be examined in time; the next run goes on";
                examined.warnings.push(warning.to_owned());
                // Slow is one thing: what is left comes next time. No answer at all is another, and may last.
                if !answered {
                    let why = Unknown::Failed { operation: athena::GET.to_owned(), code: "Timeout".to_owned() };
                    examined.failed.extend(due.iter().map(|name| (name.clone(), why.clone())));
                }
                None
            }
        };
        answered |= next.is_some();
        match next {
            None => break,
            Some((name, Ok(settings))) => examined.settings.push((name.clone(), settings)),
            Some((name, Err(failure))) => {
                *failures.entry(failure.to_string()).or_insert(0) += 1;
                let gone = failure.code == "InvalidRequestException";
                examined.failed.insert(name.clone(), if gone { Unknown::NoSuchWorkgroup } else { failure.unknown() });
            }
        }
    }
    examined.warnings.extend(failures.into_iter().map(|(failure, n)| format!("{failure}, for {n} workgroups")));
    examined
}

/// Notes what was examined. Returns why, for those where it failed.
pub fn learn(catalogue: &mut Catalogue, examined: Examined, notes: &mut Notes) -> BTreeMap<String, Unknown> {
    notes.catalogue_changed |= !examined.settings.is_empty();
    catalogue.settings.extend(examined.settings);
    notes.warnings.extend(examined.warnings);
    examined.failed
}
