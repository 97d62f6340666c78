//! Reads the world: the policy's documents, the workgroups, their use. Decides nothing but what to ask.

mod known;

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use watchdog_core::bytes::Bytes;
use watchdog_core::catalogue::{Catalogue, LOOKUPS, Settings};
use watchdog_core::event::Tick;
use watchdog_core::policy::{Document, Policy};
use watchdog_core::usage::{Answer, Concurrency, Remembered, Seen, Series, Unknown, Usage, looked_at};
use watchdog_core::window::{BUCKET, Span, ceil, floor};

use self::known::{due, examine, learn};
pub use self::known::{first_pages, refresh};
use crate::clients::Clients;
use crate::cloudwatch::Wanted;
use crate::concurrency::{self, Asked};
use crate::economy::{Thrift, missed};
use crate::failure::AwsFailure;
use crate::{cloudwatch, ssm};

/// Where the policy is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicySource {
    /// SSM parameters under this path.
    Parameters(String),
    /// These documents, read from files.
    Documents(Vec<Document>),
}

/// What was read beside the use, and what went wrong on the way without stopping it.
#[derive(Debug, Default)]
pub struct Notes {
    /// In words, for the run report.
    pub warnings: Vec<String>,
    /// Whether the catalogue holds something worth writing down.
    pub catalogue_changed: bool,
    /// Why the list of workgroups is not complete, where it is not.
    pub incomplete: Option<Unknown>,
    /// Whether the names are from an earlier run: a workgroup that was made since is not among them.
    names_are_old: bool,
    /// Why Athena could not be reached at all, where it could not: then it is not asked anything more.
    out_of_reach: Option<Unknown>,
    /// Pages of lists that were read.
    pages: usize,
    /// How old the oldest knowledge is that the run stands on of those workgroups that are watched; `None` where nothing is known.
    pub oldest: Option<Timestamp>,
}

/// Reads the policy's documents.
///
/// # Errors
/// [`AwsFailure`].
pub async fn documents(clients: &Clients, source: &PolicySource) -> Result<Vec<Document>, AwsFailure> {
    match source {
        PolicySource::Parameters(path) => ssm::documents(&clients.ssm, path).await,
        PolicySource::Documents(documents) => Ok(documents.clone()),
    }
}

/// Reads the use of every workgroup that the policy covers, and what queries are active and wait; the use as far back as its longest window
/// and its forecast ask for: with the forecast that is 27 hours and a half, 337 buckets, of which 299 metrics fill a request. A thousand
/// workgroups so take four requests, and cost the same as a look at the last hour would: CloudWatch charges by the metric. Those that
/// `thrift` leaves out are not asked for their bytes.
pub async fn usage(
    clients: &Clients,
    policy: &Policy,
    tick: &Tick,
    now: Timestamp,
    catalogue: &mut Catalogue,
    notes: &mut Notes,
    thrift: Option<&Thrift<'_>>,
) -> Usage {
    let mut known: Vec<String> = catalogue.names.keys().cloned().collect();
    // Without the whole and present list those that the policy names are asked for by name.
    if notes.incomplete.is_some() || notes.names_are_old {
        let named = policy.rules().iter().map(|rule| &rule.pattern).filter(|p| p.is_exact()).map(|p| p.as_str());
        known.extend(named.filter(|name| !catalogue.names.contains_key(*name)).map(str::to_owned));
        known.sort();
    }
    let watched: Vec<&str> = known.iter().map(String::as_str).filter(|name| policy.rule_for(name).is_some()).collect();
    // What CloudWatch says comes first, also of those that were never examined: bytes are proof that metrics are on, so that only the others
    // need to be asked about.
    let may_publish = |name: &&str| {
        let known = catalogue.settings.get(*name);
        catalogue.names.get(*name) != Some(&false) && known.is_none_or(|known| known.publishes_metrics)
    };
    let wanted: Vec<&str> = watched.iter().copied().filter(may_publish).collect();
    let spared = |name: &&str| Some(((*name).to_owned(), thrift?.leaves_out(catalogue, name, tick.at)?));
    let mut left_out: BTreeMap<String, Remembered> = wanted.iter().filter_map(spared).collect();
    let (mut series, mut concurrency) = measured(clients, policy, tick.at, catalogue, &wanted, &left_out, thrift).await;
    for (name, seen) in &series {
        if let Some(newest) = seen.as_ref().ok().and_then(Series::newest) {
            catalogue.used.insert(name.clone(), newest.min(now));
        }
    }
    // Of those that were left out nothing has been seen; their turn comes when they are asked again, within the hour.
    let seen: Vec<&str> = watched.iter().copied().filter(|name| !left_out.contains_key(*name)).collect();
    let due = due(catalogue, &seen, now, LOOKUPS.saturating_sub(notes.pages).max(1));
    let examined = examine(clients, &due, now, notes.out_of_reach.as_ref()).await;
    let failed = learn(catalogue, examined, notes);
    let mut usage = Usage { incomplete: notes.incomplete.clone(), ..Usage::default() };
    let mut readable: Vec<&str> = Vec::new();
    for name in &known {
        let nothing = || Ok(Series::from_buckets(tick.at, Vec::new()));
        let seen = match policy.rule_for(name) {
            // Covered by no rule: only named in the report.
            None => nothing(),
            Some(rule) => match as_examined(catalogue, name, now, &failed) {
                Ok(()) if rule.limits.is_empty() => nothing(),
                Ok(()) => {
                    if let Some(known) = left_out.remove(name) {
                        drop(usage.left_out.insert(name.clone(), known));
                        continue;
                    }
                    readable.push(name);
                    // Its metrics have been switched on: they are asked for in the next run.
                    series.remove(name).unwrap_or(Err(Unknown::NotExaminedYet))
                }
                Err(why) => {
                    concurrency.waiting.remove(name);
                    Err(why)
                }
            },
        };
        usage.workgroups.insert(name.clone(), seen);
    }
    usage.missed = missed(catalogue, &readable);
    usage.concurrency = concurrency;
    notes.oldest = catalogue.oldest(watched.iter().copied());
    let known = catalogue.quotas.clone();
    notes.warnings.extend(concurrency::complete(clients, policy, tick.at, now, catalogue, &mut usage).await);
    // A quota that is as it was is read again soon enough; only another one is worth a write.
    let values =
        |quotas: &BTreeMap<_, watchdog_core::usage::Quota>| quotas.values().map(|q| q.most).collect::<Vec<_>>();
    notes.catalogue_changed |= values(&known) != values(&catalogue.quotas);
    usage
}

/// What goes without, where a datapoint of `workgroup` cannot be true.
pub fn broken(workgroup: &str, series: &Series) -> Option<String> {
    let (_, newest) = series.holes().last()?;
    let more = match series.holes().len() {
        1 => String::new(),
        many => format!(", the newest of {many} such"),
    };
    Some(format!(
        "`{workgroup}`: {newest}{more}; limits with this in their window are not judged, and the forecast knows nothing from before it"
    ))
}

/// What the metrics say of `names`, of the bytes without those that are `left_out`, and of the account's queries. Those of a workgroup that
/// turns out to publish none are to be dropped.
async fn measured(
    clients: &Clients,
    policy: &Policy,
    at: Timestamp,
    catalogue: &Catalogue,
    names: &[&str],
    left_out: &BTreeMap<String, Remembered>,
    thrift: Option<&Thrift<'_>>,
) -> (BTreeMap<String, Seen>, Concurrency) {
    let mut by_start: BTreeMap<Timestamp, Vec<&str>> = BTreeMap::new();
    let mut waiting = Vec::new();
    for name in names {
        let Some(rule) = policy.rule_for(name) else { continue };
        waiting.extend(rule.waiting.as_ref().map(|_| (*name).to_owned()));
        let start = rule.limits.iter().map(|limit| limit.reads_from(at)).min();
        if let Some(start) = start.filter(|_| !left_out.contains_key(*name)) {
            let start = thrift.map_or(start, |thrift| start.min(thrift.reads_from(catalogue, name, at)));
            by_start.entry(start).or_default().push(name);
        }
    }
    let mut by_span = fewest_requests(by_start, at);
    let asked = Asked::new(policy, &catalogue.listed, waiting);
    // What is asked beside the bytes rides with them, where a request looks back far enough: no call more.
    let beside = looked_at(at, policy.active_queries.look_back);
    let ride = by_span.iter().position(|(span, _)| span.start <= beside.start).unwrap_or_else(|| {
        by_span.push((beside, Vec::new()));
        by_span.len() - 1
    });
    let groups = by_span.into_iter().enumerate().map(|(i, (span, names))| {
        let beside = if i == ride { &asked.wanted[..] } else { &[] };
        async move { read_with(clients, catalogue, span, &names, beside).await }
    });
    let groups: Vec<_> = stream::iter(groups).buffer_unordered(4).collect().await;
    let (mut series, mut answers) = (BTreeMap::new(), Vec::new());
    for (some, beside) in groups {
        series.extend(some);
        answers.extend(beside);
    }
    (series, asked.read(&answers))
}

/// The use where there was no time to read it: nothing is known, and that is said of each workgroup and class that is watched.
pub fn too_late(policy: &Policy, catalogue: &Catalogue, at: Timestamp, notes: &mut Notes) -> Usage {
    notes.warnings.push("the run's time for reading the use was up; the next run looks again".to_owned());
    let why = || Unknown::Failed { operation: cloudwatch::GET.to_owned(), code: "Timeout".to_owned() };
    let named = policy.rules().iter().map(|rule| &rule.pattern).filter(|p| p.is_exact()).map(|p| p.as_str().to_owned());
    let names: BTreeSet<String> = catalogue.names.keys().cloned().chain(named).collect();
    let waits = |name: &String| policy.rule_for(name).is_some_and(|rule| rule.waiting.is_some());
    let waiting = names.iter().filter(|name| waits(name)).cloned().collect();
    let seen = |name: String| match policy.rule_for(&name).is_some_and(|rule| !rule.limits.is_empty()) {
        true => (name, Err(why())),
        false => (name, Ok(Series::from_buckets(at, Vec::new()))),
    };
    Usage {
        concurrency: Asked::new(policy, &catalogue.listed, waiting).read(&[]),
        workgroups: names.into_iter().map(seen).collect(),
        incomplete: notes.incomplete.clone(),
        ..Usage::default()
    }
}

/// What the metric says of one workgroup in `span`, for somebody who asks about that alone. The catalogue must know the workgroup.
///
/// # Errors
/// [`Unknown`].
pub async fn used(
    clients: &Clients,
    catalogue: &Catalogue,
    workgroup: &str,
    span: Span,
    now: Timestamp,
) -> Result<Bytes, Unknown> {
    may_be_read(catalogue, workgroup, now)?;
    let answers = read(clients, catalogue, span, &[workgroup]).await;
    answers.into_iter().next().map_or(Err(Unknown::NotAnswered), |(_, seen)| seen?.sum(span))
}

/// Groups workgroups that need to be read from different starts. All together from the earliest one where a single request
/// holds that; otherwise apart, so that one day-long limit does not make every workgroup fetch a day. CloudWatch charges by the metric and not
/// by the datapoint, so that this is about the number of calls only.
fn fewest_requests(by_start: BTreeMap<Timestamp, Vec<&str>>, end: Timestamp) -> Vec<(Span, Vec<&str>)> {
    let names: usize = by_start.values().map(Vec::len).sum();
    match by_start.keys().next().map(|start| Span { start: *start, end }) {
        // Most workgroups are one metric each; where some are more, a second request is made and nothing is lost.
        Some(span) if names <= cloudwatch::most_per_request(span) => {
            vec![(span, by_start.into_values().flatten().collect())]
        }
        _ => by_start.into_iter().map(|(start, names)| (Span { start, end }, names)).collect(),
    }
}

/// Whether a missing datapoint of this workgroup would mean zero, as far as the catalogue knows.
///
/// # Errors
/// [`Unknown`]: why it would not.
pub(crate) fn may_be_read(catalogue: &Catalogue, name: &str, now: Timestamp) -> Result<(), Unknown> {
    as_examined(catalogue, name, now, &BTreeMap::new())
}

/// The same in a run that could not examine all.
fn as_examined(
    catalogue: &Catalogue,
    name: &str,
    now: Timestamp,
    failed: &BTreeMap<String, Unknown>,
) -> Result<(), Unknown> {
    if catalogue.names.get(name) == Some(&false) {
        return Err(Unknown::Disabled);
    }
    if failed.get(name) == Some(&Unknown::NoSuchWorkgroup) {
        return Err(Unknown::NoSuchWorkgroup);
    }
    match catalogue.usable(name, now) {
        Some(Settings { publishes_metrics: true, .. }) => Ok(()),
        Some(_) => Err(Unknown::MetricsOff),
        None => Err(failed.get(name).cloned().unwrap_or(Unknown::NotExaminedYet)),
    }
}

/// The workgroups with limits in the policy, and with `cutoffs` those with nothing but a cutoff, by name, and whether a missing datapoint of theirs would mean zero; for somebody who then
/// asks [`read`] for a longer time than a run does.
#[cfg(feature = "operator")]
pub(crate) async fn covered(
    clients: &Clients,
    policy: &Policy,
    cutoffs: bool,
    now: Timestamp,
    catalogue: &mut Catalogue,
    notes: &mut Notes,
) -> Vec<(String, Result<(), Unknown>)> {
    let limited = |name: &str| policy.rule_for(name).is_some_and(|rule| cutoffs || !rule.limits.is_empty());
    let named = policy.rules().iter().map(|rule| &rule.pattern).filter(|p| p.is_exact()).map(|p| p.as_str());
    // Those that the policy names are asked for by name: one that is gone is told of.
    let names: BTreeSet<String> = catalogue.names.keys().cloned().chain(named.map(str::to_owned)).collect();
    let names: Vec<String> = names.into_iter().filter(|name| limited(name)).collect();
    let watched: Vec<&str> = names.iter().map(String::as_str).collect();
    let due = due(catalogue, &watched, now, LOOKUPS);
    let examined = examine(clients, &due, now, notes.out_of_reach.as_ref()).await;
    let failed = learn(catalogue, examined, notes);
    let readable = names.iter().map(|name| as_examined(catalogue, name, now, &failed)).collect::<Vec<_>>();
    names.into_iter().zip(readable).collect()
}

/// What the metrics say of these workgroups in `span`, in the order of `names`. The catalogue must know them. A bucket of which CloudWatch says
/// what cannot be true is a hole.
pub(crate) async fn read(clients: &Clients, catalogue: &Catalogue, span: Span, names: &[&str]) -> Vec<(String, Seen)> {
    read_with(clients, catalogue, span, names, &[]).await.0
}

/// The same, for somebody who looks at every bucket: one with a hole is not known.
#[cfg(feature = "operator")]
pub(crate) async fn read_whole(
    clients: &Clients,
    catalogue: &Catalogue,
    span: Span,
    names: &[&str],
) -> Vec<(String, Seen)> {
    let read = read(clients, catalogue, span, names).await;
    read.into_iter().map(|(name, seen)| (name, seen.and_then(Series::whole))).collect()
}

/// The same by hours, of what is older than CloudWatch keeps by five minutes, and of a whole week at a fraction of the answer: what an hour has
/// stands in its first bucket, so that a workgroup with a hole is not known. `span` has whole hours of the clock.
pub(crate) async fn read_hours(
    clients: &Clients,
    catalogue: &Catalogue,
    span: Span,
    names: &[&str],
) -> Vec<(String, Seen)> {
    let stretch = cloudwatch::Stretch { start: span.start, end: span.end, period: 3600 };
    let read = read_by(clients, catalogue, stretch, names, &[]).await.0;
    read.into_iter().map(|(name, seen)| (name, seen.and_then(Series::whole))).collect()
}

/// The same, and the answers for what is asked `beside` it, in its order.
async fn read_with(
    clients: &Clients,
    catalogue: &Catalogue,
    span: Span,
    names: &[&str],
    beside: &[Wanted],
) -> (Vec<(String, Seen)>, Vec<Answer>) {
    let stretch = cloudwatch::Stretch { start: floor(span.start), end: ceil(span.end), period: BUCKET };
    read_by(clients, catalogue, stretch, names, beside).await
}

async fn read_by(
    clients: &Clients,
    catalogue: &Catalogue,
    stretch: cloudwatch::Stretch,
    names: &[&str],
    beside: &[Wanted],
) -> (Vec<(String, Seen)>, Vec<Answer>) {
    let span = Span { start: stretch.start, end: stretch.end };
    let choices: Vec<_> = names.iter().map(|name| (*name, catalogue.listed.metrics_of(name))).collect();
    let wanted: Vec<Wanted> = choices
        .iter()
        .flat_map(|(name, alternatives)| {
            let all = alternatives.iter().flatten();
            all.map(|dimensions| Wanted::Bytes { workgroup: (*name).to_owned(), dimensions: dimensions.clone() })
        })
        .chain(beside.iter().cloned())
        .collect();
    let mut answers = cloudwatch::answers_by(&clients.cloudwatch, stretch, &wanted).await.into_iter();
    let series = choices.into_iter().map(|(name, alternatives)| {
        let shaped: Vec<Vec<_>> = alternatives.iter().map(|sets| answers.by_ref().take(sets.len()).collect()).collect();
        (name.to_owned(), Series::from_answers(span, &shaped))
    });
    let series = series.collect();
    (series, answers.collect())
}
