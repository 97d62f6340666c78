//! Reads the world: the policy's documents, the workgroups, their use. Decides nothing but what to ask.

use std::collections::BTreeMap;
#[cfg(feature = "operator")]
use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use watchdog_core::bytes::Bytes;
use watchdog_core::catalogue::{Catalogue, Settings};
use watchdog_core::event::Tick;
use watchdog_core::policy::{Document, Policy};
use watchdog_core::usage::{Answer, Seen, Series, Unknown, Usage, looked_at};
use watchdog_core::window::{BUCKET, Span, ceil, floor};

use crate::clients::Clients;
use crate::cloudwatch::Wanted;
use crate::concurrency::{self, Asked};
use crate::failure::AwsFailure;
use crate::{athena, cloudwatch, ssm};

/// `GetWorkGroup` calls under way at once. Its rate is not published; Athena's published ones start at five a second with
/// bursts of ten.
const EXAMINE_AT_ONCE: usize = 5;
/// Time for examining workgroups in one run. What is not done by then is done in the next: a thousand new ones
/// may take a few runs, and no run is late because of them.
const EXAMINE_FOR: Duration = Duration::from_secs(15);

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

/// Refreshes the names and metric sets in the catalogue where they are due, side by side.
pub async fn refresh(clients: &Clients, catalogue: &mut Catalogue, now: Timestamp) -> Notes {
    let mut notes = Notes::default();
    let names = async {
        match catalogue.names_due(now) {
            true => Some(athena::workgroups(&clients.athena).await),
            false => None,
        }
    };
    let metrics = async {
        match catalogue.metrics_due(now) {
            true => Some(cloudwatch::listed(&clients.cloudwatch).await),
            false => None,
        }
    };
    let (names, metrics) = futures_util::join!(names, metrics);
    match names {
        Some(Ok(names)) => {
            notes.catalogue_changed |= names != catalogue.names;
            catalogue.replace_names(names, now);
        }
        Some(Err(failure)) => {
            notes.warnings.push(failure.to_string());
            notes.incomplete = Some(failure.unknown());
            notes.out_of_reach = failure.is_out_of_reach().then(|| failure.unknown());
        }
        None => notes.names_are_old = true,
    }
    match metrics {
        Some(Ok(listed)) => {
            notes.catalogue_changed = true;
            catalogue.listed = listed;
            catalogue.listed_read = Some(now);
        }
        // Not fatal: where nothing is known of the sets, both forms are asked for.
        Some(Err(failure)) => notes.warnings.push(failure.to_string()),
        None => {}
    }
    notes
}

/// Reads the use of every workgroup that the policy covers, and what queries are active and wait; the use as far back as its longest window and its forecast ask for: with the forecast
/// that is 27 hours and a half, 337 buckets, of which 299 metrics fill a request. A thousand workgroups so take four requests, and cost the
/// same as a look at the last hour would: CloudWatch charges by the metric.
pub async fn usage(
    clients: &Clients,
    policy: &Policy,
    tick: &Tick,
    now: Timestamp,
    catalogue: &mut Catalogue,
    notes: &mut Notes,
) -> Usage {
    let mut known: Vec<String> = catalogue.names.keys().cloned().collect();
    // Without the whole and present list those that the policy names are asked for by name.
    if notes.incomplete.is_some() || notes.names_are_old {
        let named = policy.rules().iter().map(|rule| &rule.pattern).filter(|p| p.is_exact()).map(|p| p.as_str());
        known.extend(named.filter(|name| !catalogue.names.contains_key(*name)).map(str::to_owned));
        known.sort();
    }
    let watched: Vec<&str> = known.iter().map(String::as_str).filter(|name| policy.rule_for(name).is_some()).collect();
    let failed = examine(clients, catalogue, &watched, now, notes).await;
    let mut usage = Usage { incomplete: notes.incomplete.clone(), ..Usage::default() };
    let mut readable = Vec::new();
    let mut waiting = Vec::new();
    for name in &known {
        let seen = match policy.rule_for(name) {
            // Covered by no rule: only named in the report.
            None => Ok(Series::from_buckets(tick.at, Vec::new())),
            Some(rule) => match examined(catalogue, name, now, &failed).inspect(|()| {
                waiting.extend(rule.waiting.as_ref().map(|_| name.clone()));
            }) {
                Ok(()) if rule.limits.is_empty() => Ok(Series::from_buckets(tick.at, Vec::new())),
                Ok(()) => {
                    readable.push(name.as_str());
                    continue;
                }
                Err(why) => Err(why),
            },
        };
        usage.workgroups.insert(name.clone(), seen);
    }
    let mut by_start: BTreeMap<Timestamp, Vec<&str>> = BTreeMap::new();
    for name in readable {
        let limits = policy.rule_for(name).map_or(&[][..], |rule| &rule.limits);
        let start = limits.iter().map(|limit| limit.reads_from(tick.at)).min().unwrap_or(tick.at);
        by_start.entry(start).or_default().push(name);
    }
    let mut by_span = fewest_requests(by_start, tick.at);
    let asked = Asked::new(policy, &catalogue.listed, waiting);
    // What is asked beside the bytes rides with them, where a request looks back far enough: no call more.
    let beside = looked_at(tick.at, policy.active_queries.look_back);
    let ride = by_span.iter().position(|(span, _)| span.start <= beside.start).unwrap_or_else(|| {
        by_span.push((beside, Vec::new()));
        by_span.len() - 1
    });
    let groups = by_span.into_iter().enumerate().map(|(i, (span, names))| {
        let (catalogue, beside) = (&*catalogue, if i == ride { &asked.wanted[..] } else { &[] });
        async move { read_with(clients, catalogue, span, &names, beside).await }
    });
    let groups: Vec<_> = stream::iter(groups).buffer_unordered(4).collect().await;
    let mut answers = Vec::new();
    for (series, beside) in groups {
        usage.workgroups.extend(series);
        answers.extend(beside);
    }
    usage.concurrency = asked.read(&answers);
    let known = catalogue.quotas.clone();
    notes.warnings.extend(concurrency::complete(clients, policy, tick.at, now, catalogue, &mut usage).await);
    // A quota that is as it was is read again soon enough; only another one is worth a write.
    let values =
        |quotas: &BTreeMap<_, watchdog_core::usage::Quota>| quotas.values().map(|q| q.most).collect::<Vec<_>>();
    notes.catalogue_changed |= values(&known) != values(&catalogue.quotas);
    usage
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

/// Asks for the configuration of those workgroups that are due. Returns why, for those where it failed.
async fn examine(
    clients: &Clients,
    catalogue: &mut Catalogue,
    watched: &[&str],
    now: Timestamp,
    notes: &mut Notes,
) -> BTreeMap<String, Unknown> {
    let due = catalogue.to_examine(watched.iter().copied(), now);
    let mut due: Vec<String> = due.into_iter().map(str::to_owned).collect();
    // Another one first in each run, so that some that never answer do not keep the others from being asked.
    if !due.is_empty() {
        let turn = usize::try_from(now.as_second() / BUCKET).unwrap_or(0) % due.len();
        due.rotate_left(turn);
    }
    if let Some(why) = &notes.out_of_reach {
        return due.into_iter().map(|name| (name, why.clone())).collect();
    }
    let mut failed = BTreeMap::new();
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
                notes.warnings.push("not all workgroups could be examined in time; the next run goes on".to_owned());
                // Slow is one thing: what is left comes next time. No answer at all is another, and may last.
                if !answered {
                    let why = Unknown::Failed { operation: athena::GET.to_owned(), code: "Timeout".to_owned() };
                    failed.extend(due.iter().map(|name| (name.clone(), why.clone())));
                }
                None
            }
        };
        answered |= next.is_some();
        match next {
            None => break,
            Some((name, Ok(settings))) => {
                notes.catalogue_changed = true;
                catalogue.settings.insert(name.clone(), settings);
            }
            Some((name, Err(failure))) => {
                *failures.entry(failure.to_string()).or_insert(0) += 1;
                let gone = failure.code == "InvalidRequestException";
                failed.insert(name.clone(), if gone { Unknown::NoSuchWorkgroup } else { failure.unknown() });
            }
        }
    }
    notes.warnings.extend(failures.into_iter().map(|(failure, n)| format!("{failure}, for {n} workgroups")));
    failed
}

/// Whether a missing datapoint of this workgroup would mean zero, as far as the catalogue knows.
///
/// # Errors
/// [`Unknown`]: why it would not.
pub(crate) fn may_be_read(catalogue: &Catalogue, name: &str, now: Timestamp) -> Result<(), Unknown> {
    examined(catalogue, name, now, &BTreeMap::new())
}

/// The same in a run that could not examine all.
fn examined(
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
    let failed = examine(clients, catalogue, &watched, now, notes).await;
    let readable = names.iter().map(|name| examined(catalogue, name, now, &failed)).collect::<Vec<_>>();
    names.into_iter().zip(readable).collect()
}

/// What the metrics say of these workgroups in `span`, in the order of `names`. The catalogue must know them.
pub(crate) async fn read(clients: &Clients, catalogue: &Catalogue, span: Span, names: &[&str]) -> Vec<(String, Seen)> {
    read_with(clients, catalogue, span, names, &[]).await.0
}

/// The same by hours, of what is older than CloudWatch keeps by five minutes, and of a whole week at a fraction of the answer: what an hour has stands in its first bucket. `span` has whole
/// hours of the clock.
pub(crate) async fn read_hours(
    clients: &Clients,
    catalogue: &Catalogue,
    span: Span,
    names: &[&str],
) -> Vec<(String, Seen)> {
    let stretch = cloudwatch::Stretch { start: span.start, end: span.end, period: 3600 };
    read_by(clients, catalogue, stretch, names, &[]).await.0
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
