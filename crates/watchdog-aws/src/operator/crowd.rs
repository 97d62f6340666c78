//! What a plan reads beside the bytes of weeks: how many queries were active, in which minutes queries waited, and how much single queries
//! have scanned lately.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use watchdog_core::bytes::Bytes;
use watchdog_core::policy::Class;
use watchdog_core::proposal::band::Counted;
use watchdog_core::proposal::capacity::SHORTEST_WAIT_MS;
use watchdog_core::queries::Kind;
use watchdog_core::usage::{Listed, Peaks, Unknown};
use watchdog_core::window::Span;

use crate::athena::executions::{self, Cut};
use crate::clients::Clients;
use crate::cloudwatch::{self, Wanted};
use crate::servicequotas;

/// Workgroups whose waiting is in memory at once.
const AT_ONCE: usize = 40;

/// Workgroups whose queries are listed at once; the pace is the same for all of them.
const LISTS_AT_ONCE: usize = 4;

/// Athena keeps executions for 45 days.
const KEPT: SignedDuration = SignedDuration::from_hours(45 * 24);

/// For listing the newest queries of all workgroups that are asked about: at four calls a second some 24,000 queries.
const PATIENCE: Duration = Duration::from_secs(120);

/// The active queries of one class, and what is odd about them.
#[derive(Debug)]
pub struct ActiveThen {
    /// What was counted, or why that is not known.
    pub counted: Result<Counted, Unknown>,
    /// Why its quota is not known, where it is not.
    pub no_quota: Option<Unknown>,
}

/// Reads how many queries of each class were active in `span`, which CloudWatch keeps by five minutes, and what they are measured by now.
pub async fn active(clients: &Clients, classes: &[Class], span: Span, now: Timestamp) -> Vec<ActiveThen> {
    let wanted: Vec<Wanted> = classes.iter().map(|class| Wanted::Active(*class)).collect();
    let answers = cloudwatch::answers(&clients.cloudwatch, span, &wanted).await;
    let each = classes.iter().zip(&answers).map(|(class, answer)| async move {
        let peaks = match Peaks::from_answers(std::slice::from_ref(answer)) {
            Ok(peaks) => peaks,
            Err(why) => return ActiveThen { counted: Err(why), no_quota: None },
        };
        // Where nothing was active there is nothing to be measured.
        let (quota, no_quota) = match peaks.largest(span) {
            None => (None, None),
            Some(_) => match servicequotas::quota(&clients.servicequotas, *class, now).await {
                Ok(quota) => (Some(quota), None),
                Err(failure) => {
                    tracing::warn!(code = failure.code, "{failure}");
                    (None, Some(failure.unknown()))
                }
            },
        };
        ActiveThen { counted: Ok(Counted { class: *class, peaks, span, quota }), no_quota }
    });
    futures_util::future::join_all(each).await
}

/// The five-minute buckets in `span` in which a query of any of these workgroups had waited for as long as counts as waiting. It is stamped
/// when the query ends.
///
/// # Errors
/// The first workgroup of which it is not known, and why: without it, a bucket without waiting would not be proven.
pub async fn waited(
    clients: &Clients,
    listed: &Listed,
    names: &[&str],
    span: Span,
) -> Result<BTreeSet<Timestamp>, (String, Unknown)> {
    let times = listed.times();
    let mut strained = BTreeSet::new();
    for group in names.chunks(AT_ONCE) {
        let of = |name: &str| {
            let name = name.to_owned();
            times.iter().map(move |set| Wanted::Waited { workgroup: name.clone(), dimensions: set.clone() })
        };
        let wanted: Vec<Wanted> = group.iter().flat_map(|name| of(name)).collect();
        let answers = cloudwatch::answers(&clients.cloudwatch, span, &wanted).await;
        for (name, answers) in group.iter().zip(answers.chunks(times.len().max(1))) {
            let peaks = Peaks::from_answers(answers).map_err(|why| ((*name).to_owned(), why))?;
            strained.extend(peaks.within(span).filter(|(_, waited)| *waited >= SHORTEST_WAIT_MS).map(|(at, _)| at));
        }
    }
    Ok(strained)
}

/// How much single queries of a workgroup have scanned.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Of each that read data and has ended.
    pub bytes: Vec<Bytes>,
    /// Whether there are more that were not read: the newest come first.
    pub is_cut: bool,
    /// Why not all of them could be read, where that is so.
    pub unseen: Option<Unknown>,
}

/// Reads what the newest queries of these workgroups have scanned, as far back as `since`, or as Athena keeps them: at most 2,000 of each.
pub async fn sizes(clients: &Clients, names: &[&str], since: Timestamp, now: Timestamp) -> Vec<(String, Sizes)> {
    let since = since.max(now.saturating_sub(KEPT).unwrap_or(since));
    let until = Instant::now() + PATIENCE;
    let lists = names.iter().map(|name| async move {
        let pages = executions::MOST_PAGES;
        let found = executions::executions(&clients.athena, &clients.paces, name, since, None, pages, until).await;
        let ended = found.executions.into_iter().filter(|query| {
            // A cutoff acts on nothing else, and what was answered from a cache has scanned nothing.
            query.kind == Kind::Dml
                && query.state.is_over()
                && query.landed().is_some_and(|at| at >= since && at <= now)
        });
        let bytes = ended.filter_map(|query| query.scanned).filter(|bytes| *bytes > Bytes::ZERO).collect();
        let (is_cut, unseen) = match found.cut {
            None => (false, None),
            Some(Cut::TooMany | Cut::TooLate) => (true, None),
            Some(Cut::Failed(failure)) => (true, Some(failure.unknown())),
        };
        ((*name).to_owned(), Sizes { bytes, is_cut, unseen })
    });
    stream::iter(lists).buffered(LISTS_AT_ONCE).collect().await
}
