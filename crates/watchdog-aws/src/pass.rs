//! One whole run: take the lease, load the ledger, gather, plan, send, remember, report.
//!
//! The Lambda and the operator's tool call the same function; a dry run stops before anything is changed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};
use watchdog_core::catalogue::Catalogue;
use watchdog_core::delivery::{People, Promises, Standing, plan, promised, weekly};
use watchdog_core::economy;
use watchdog_core::event::{Invocation, Tick};
use watchdog_core::grant::{Grants, in_force};
use watchdog_core::ledger::StoredPolicy;
use watchdog_core::mail::{Mail, Origins, compose};
use watchdog_core::meter::Meter;
use watchdog_core::policy::{Document, Limit, Policy, Problem, Problems};
use watchdog_core::report::{KnownReport, MailReport, OccupancyReport, PolicyReport, RunReport, SubmittersReport};
use watchdog_core::usage::{Seen, Usage};
use watchdog_core::verdict::{judge, worth_asking};

use crate::budget::Budget;
use crate::clients::Clients;
use crate::deliver::{NotWritten, deliver};
use crate::dynamodb::{Lease, Ledger, PUT, TRANSACT, Table, UPDATE};
use crate::economy::Thrift;
use crate::failure::AwsFailure;
use crate::gather::{self, Notes, PolicySource};
use crate::granting::{self, Troubles};
use crate::{concurrency, flights, submitters, week};

/// Problems of a policy in one error message; `watchdog check` shows them all.
const MOST_PROBLEMS: usize = 20;

/// Time of a run that is kept for what comes after, so that everything has its turn however slow AWS is: after grants are carried out, after
/// the use is read, after what was learnt is written down, and after submitters are looked for, for the mails. Giving the lease back is last.
const AFTER_GRANTS: Duration = Duration::from_secs(30);
const AFTER_USE: Duration = Duration::from_secs(20);
const AFTER_LEARNING: Duration = Duration::from_secs(17);
const FOR_MAILS: Duration = Duration::from_secs(15);
const AFTER_RELEASE: Duration = Duration::from_millis(500);

/// What a run needs to know about itself.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the policy is.
    pub policy: PolicySource,
    /// The state table; none for a look that remembers nothing.
    pub table: Option<String>,
    /// The run's own name, different for every invocation: two of the same event at once must not take each other for themselves.
    pub run_id: String,
    /// The watchdog's name in mails.
    pub name: String,
    /// Whether who submitted which query is written into the table by the feed.
    pub feed: bool,
    /// When this run will be cut off.
    pub deadline: Timestamp,
}

/// Why a run did not do its job. The word is stable: alarms and scripts may match on it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct RunError {
    /// `PolicyMissing`, `PolicyUnreadable`, `PolicyInvalid`, `LedgerUnavailable`, `DeliveryFailed`, `NotRemembered`.
    pub word: &'static str,
    /// For people: the thing, what is wrong with it, what to do.
    pub message: String,
    /// What was done all the same, where the run got that far.
    pub report: Option<Box<RunReport>>,
}

/// When a run began, and what time it has.
#[derive(Debug, Clone, Copy)]
struct Clock {
    now: Timestamp,
    budget: Budget,
}

/// The world as it was found, before anything is decided.
#[derive(Debug)]
pub struct Look {
    /// The policy in force.
    pub policy: Policy,
    /// Its documents.
    pub documents: Vec<Document>,
    /// Whether it is the current one.
    pub standing: Standing,
    /// The use.
    pub usage: Usage,
    /// The workgroups whose queries were worth asking for, the nearest to a limit first.
    pub listed: Vec<String>,
    /// What went wrong on the way.
    pub notes: Notes,
}

/// Does one run and reports it, with the mails that it sent or would have sent.
///
/// # Errors
/// [`RunError`] where the run could not look, or where somebody is still owed a mail; then the report is in it.
pub async fn run(
    clients: &Clients,
    settings: &Settings,
    catalogue: &mut Catalogue,
    invocation: &Invocation,
    now: Timestamp,
) -> Result<(RunReport, Vec<Mail>), RunError> {
    let tick = invocation.tick(now);
    let mut report = RunReport::new(settings.run_id.clone(), invocation.source, tick, invocation.dry_run);
    let table = settings.table.as_ref().map(|name| Table { client: clients.dynamodb.clone(), name: name.clone() });
    let held = table.as_ref().filter(|_| !invocation.dry_run);
    let clock = Clock { now, budget: Budget::new(now, settings.deadline) };
    let result = locked(clients, settings, catalogue, tick, clock, table.as_ref(), held, &mut report).await;
    report.calls = clients.calls.take();
    // Different parts of a run may meet the same trouble.
    let mut told = BTreeSet::new();
    report.warnings.retain(|warning| told.insert(warning.clone()));
    match result {
        Ok(mails) if report.failed.is_empty() => Ok((report, mails)),
        Ok(_) => {
            let first = &report.failed[0];
            let error = first.error.as_deref().unwrap_or("no reason given");
            let message = format!(
                "{} of {} mails could not be delivered and will be tried again in the next run; first, to `{}`: {error}",
                report.failed.len(),
                report.failed.len() + report.sent.len(),
                first.to
            );
            Err(RunError { word: "DeliveryFailed", message, report: Some(Box::new(report)) })
        }
        Err(mut error) => {
            // Mails may have gone out before the error: the report says so.
            error.report.get_or_insert_with(|| Box::new(report));
            Err(error)
        }
    }
}

/// Reads the world without lease or plan, for somebody who only wants to see. Where the settings name a table, the last valid policy and
/// what is known of the workgroups come from it; a table that cannot be read is a warning. Returns what is now known of the workgroups, too.
///
/// # Errors
/// [`RunError`].
pub async fn look(
    clients: &Clients,
    settings: &Settings,
    tick: Tick,
    now: Timestamp,
) -> Result<(Look, Catalogue), RunError> {
    let table = settings.table.as_ref().map(|name| Table { client: clients.dynamodb.clone(), name: name.clone() });
    let remembered = async {
        match &table {
            Some(table) => {
                let (ledger, catalogue) = futures_util::join!(table.ledger(), table.catalogue());
                ledger.and_then(|ledger| Ok((ledger, catalogue?)))
            }
            None => Ok((Ledger::default(), Catalogue::default())),
        }
    };
    let (remembered, documents) = futures_util::join!(remembered, gather::documents(clients, &settings.policy));
    let mut warnings = Vec::new();
    let (ledger, mut catalogue) = remembered.unwrap_or_else(|failure: AwsFailure| {
        warnings.push(failure.to_string());
        (Ledger::default(), Catalogue::default())
    });
    let (policy, documents, standing) = choose(settings, documents, ledger.policy.as_ref(), tick.at)?;
    let mut notes = gather::refresh(clients, &mut catalogue, None, now).await;
    notes.warnings.append(&mut warnings);
    let clock = Clock { now, budget: Budget::new(now, settings.deadline) };
    let look = see(clients, tick, clock, &mut catalogue, policy, documents, standing, notes, None).await;
    Ok((look, catalogue))
}

#[expect(clippy::too_many_arguments, reason = "the one place where everything that a run has comes together")]
async fn locked(
    clients: &Clients,
    settings: &Settings,
    catalogue: &mut Catalogue,
    tick: Tick,
    clock: Clock,
    table: Option<&Table>,
    held: Option<&Table>,
    report: &mut RunReport,
) -> Result<Vec<Mail>, RunError> {
    let now = clock.now;
    // A process that is new, or one that could not read what is stored or has not heard whether it wrote.
    let is_unread = catalogue.revision.is_none();
    let remembered = async {
        let Some(table) = table else { return (Ok(None), Ok(Ledger::default())) };
        let lease = match held {
            Some(table) => table.acquire(&settings.run_id, tick.at, now, settings.deadline).await.map(Some),
            None => Ok(None),
        };
        let ledger = match &lease {
            Ok(None) => table.ledger().await,
            Ok(Some(lease)) if skipped(lease, tick, now).is_none() => table.ledger().await,
            _ => Ok(Ledger::default()),
        };
        (lease, ledger)
    };
    let world = async {
        let Some(table) = table.filter(|_| is_unread) else {
            return gather::refresh(clients, catalogue, None, now).await;
        };
        let (known, first) = futures_util::join!(table.catalogue(), gather::first_pages(clients));
        let (knows_more, warning) = match known {
            Ok(known) => (catalogue.catch_up(known), None),
            Err(failure) => (false, Some(failure.to_string())),
        };
        let mut notes = gather::refresh(clients, catalogue, Some(first), now).await;
        notes.catalogue_changed |= knows_more;
        notes.warnings.extend(warning);
        notes
    };
    let ((lease, ledger), documents, mut notes) =
        futures_util::join!(remembered, gather::documents(clients, &settings.policy), world);
    let unavailable = |failure: AwsFailure| RunError {
        word: "LedgerUnavailable",
        message: format!(
            "the state table `{}` cannot be used: {failure}",
            settings.table.as_deref().unwrap_or_default()
        ),
        report: None,
    };
    let lease = lease.map_err(unavailable)?;
    if let Some(Lease::Taken { last_tick, learnt }) = &lease {
        // Another process has written since: one that slept through that would know its workgroups by what is hours old.
        let is_behind = catalogue.revision.is_some_and(|known| learnt.is_some_and(|learnt| learnt > known));
        if let Some(table) = held.filter(|_| is_behind) {
            match table.catalogue().await {
                Ok(stored) => notes.catalogue_changed |= catalogue.catch_up(stored),
                Err(failure) => notes.warnings.push(failure.to_string()),
            }
        }
        catalogue.economy.resume(*last_tick);
    }
    let done = match lease.as_ref().and_then(|lease| skipped(lease, tick, now)) {
        Some(why) => {
            report.skipped = Some(why);
            Ok(Vec::new())
        }
        None => match ledger {
            Ok(ledger) => {
                judged(clients, settings, catalogue, tick, clock, table, held, ledger, documents, notes, report).await
            }
            Err(failure) => Err(unavailable(failure)),
        },
    };
    // Whatever came of it, a lease that was taken is given back.
    if matches!(lease, Some(Lease::Taken { .. })) {
        let completed = (done.is_ok() && report.failed.is_empty() && report.skipped.is_none()).then_some(tick.at);
        release(held, settings, clock.budget, completed, catalogue.revision, report).await;
    }
    done
}

/// Why there is nothing to do for this tick, where there is not.
fn skipped(lease: &Lease, tick: Tick, now: Timestamp) -> Option<String> {
    match lease {
        Lease::Held { until } => Some(format!("another run is at work; its lease ends at {until}")),
        Lease::Superseded { by } => {
            Some(format!("the tick {} is in the past: a later one, {by}, has been judged already", tick.at))
        }
        Lease::Taken { last_tick: Some(last), .. } if *last == tick.at => {
            Some(format!("the tick {} has been judged already, at {now} once more", tick.at))
        }
        Lease::Taken { .. } => None,
    }
}

#[expect(clippy::too_many_arguments, reason = "the second half of `locked`, for one who holds the lease")]
async fn judged(
    clients: &Clients,
    settings: &Settings,
    catalogue: &mut Catalogue,
    tick: Tick,
    clock: Clock,
    table: Option<&Table>,
    held: Option<&Table>,
    mut ledger: Ledger,
    documents: Result<Vec<Document>, AwsFailure>,
    notes: Notes,
    report: &mut RunReport,
) -> Result<Vec<Mail>, RunError> {
    let Clock { now, budget } = clock;
    report.warnings.append(&mut ledger.unreadable);
    let (policy, documents, standing) = choose(settings, documents, ledger.policy.as_ref(), tick.at)?;
    report.policy = Some(PolicyReport::new(documents.iter().map(|d| d.name.clone()).collect(), &standing));
    let troubles = match held {
        Some(table) => {
            let doing = granting::carry_out(clients, table, &mut ledger, &settings.run_id, now, settings.deadline);
            // It may be cut off between any two calls: the next one goes on from what is written down.
            timeout_at(budget.but(AFTER_GRANTS), doing).await.unwrap_or_else(|_| Troubles {
                warnings: vec!["the run's time for grants was up; the next run goes on".to_owned()],
                ..Troubles::default()
            })
        }
        None => Troubles::default(),
    };
    report.warnings.extend(troubles.warnings.iter().cloned());
    let granted = in_force(&policy, &ledger.grants, tick.at);
    // Only a run that counts leaves anybody out: whoever asks for a dry one wants to see.
    let thrift = held.and_then(|_| Thrift::new(&granted, &ledger.records, &ledger.grants));
    if thrift.is_none() && held.is_some() {
        catalogue.economy = economy::Memory::default();
    }
    let look = see(clients, tick, clock, catalogue, policy, documents, standing, notes, thrift.as_ref()).await;
    report.warnings.extend(look.notes.warnings.iter().cloned());
    report.known =
        Some(KnownReport { names: catalogue.names_read, metrics: catalogue.listed_read, settings: look.notes.oldest });
    let has_noted = note_yesterday(catalogue, &look, &ledger.grants, tick.at);
    let mut findings = judge(&granted, &tick, &look.usage);
    for verdict in findings.verdicts.iter_mut().chain(&mut findings.remembered) {
        verdict.misfit = catalogue.fits.misfit(&verdict.workgroup, verdict.limit);
    }
    let findings = findings;
    report.found(&findings);
    if let Some(thrift) = &thrift {
        report.thrifty(&findings, thrift.rules);
    }
    report.promised(&ledger.grants, &ledger.silences, tick.at);
    let incomplete = look.usage.incomplete.as_ref();
    report.incomplete = incomplete.map(ToString::to_string);
    // Before the search, which may take long: a run that is cut off in it must not have learnt for nothing.
    if let Some(table) = held {
        remember_policy(table, &look, ledger.policy.as_ref(), tick.at, budget, report).await;
        if look.notes.catalogue_changed || has_noted || catalogue.economy.is_due(tick.at) {
            match budget.within(AFTER_LEARNING, PUT, table.write_catalogue(catalogue, now)).await {
                Ok(true) => catalogue.economy.written(),
                // Somebody has written meanwhile: the next run of this process reads that first.
                Ok(false) => {}
                Err(failure) => report.warnings.push(failure.to_string()),
            }
        }
    }
    let promises = Promises { grants: &ledger.grants, troubles: &troubles.told, silences: &ledger.silences };
    let decide = |people: &People| {
        let plan = plan(&look.policy, &look.standing, &tick, &findings, incomplete, &ledger.records, people);
        promised(plan, &look.policy, &look.usage, &ledger.records, &promises, tick.at)
    };
    let nobody = People::new();
    let (mut plan, mut silenced) = decide(&nobody);
    let mut people = People::new();
    let (known, feed) = (&mut catalogue.submitters, table.filter(|_| settings.feed));
    if plan.wants_occupancy {
        let (names, until) = (&catalogue.names, patience(budget));
        let (policy, usage) = (&look.policy, &look.usage);
        let found = concurrency::occupancy(clients, feed, known, names, policy, usage, tick.at, until).await;
        report.warnings.extend(found.1);
        report.active_queries = Some(OccupancyReport::from(&found.0));
        people.occupancy = Some(Arc::new(found.0));
    }
    if !plan.wants.is_empty() {
        let until = patience(budget);
        let sought = submitters::people(clients, feed, known, &look.policy, &plan.wants, tick.at, until).await;
        report.warnings.extend(sought.warnings);
        report.submitters = sought.people.shares.iter().map(SubmittersReport::from).collect();
        people.shares = sought.people.shares;
    }
    if plan.wants_occupancy || !plan.wants.is_empty() {
        (plan, silenced) = decide(&people);
    }
    if let Some(week) = weekly(&mut plan, &look.policy, &ledger.records, tick.at) {
        let until = week::patience(budget.but(FOR_MAILS));
        let review =
            week::review(clients, catalogue, &look.policy, &look.usage, &ledger.records, &week, now, until).await;
        if week.can_wait(&review, tick.at) {
            report.warnings.push("the weekly report waits for the next run, because no use could be read".to_owned());
        } else {
            week.tell(&mut plan, &look.policy, review);
        }
    }
    let origins = Origins { region: clients.region.clone(), name: settings.name.clone() };
    let mails: Vec<Mail> = plan.messages.iter().map(|m| compose(m, &look.policy.mail, &origins, tick.at)).collect();
    let Some(table) = held else {
        report.would_send = plan.messages.iter().map(MailReport::new).collect();
        return Ok(mails);
    };
    // Before the mails that say so: a silence that is written down as ended is said to be so once more where a mail fails.
    for (subject, silence) in silenced {
        let writing = table.write_silence(&mut ledger, &subject, silence);
        if let Err(failure) = budget.within(FOR_MAILS, TRANSACT, writing).await {
            report.warnings.push(format!("the end of the silence of `{subject}` could not be written down: {failure}"));
        }
    }
    let delivered = deliver(clients, budget, table, &tick, &mut ledger, plan, &mails, report).await;
    if let Some(thrift) = &thrift {
        let is_done = delivered.is_ok() && report.failed.is_empty();
        thrift.note(catalogue, &look.usage, &look.listed, tick.at, is_done);
    }
    let (word, message) = match delivered {
        Ok(()) => return Ok(mails),
        Err(NotWritten::BeforeSending(failure)) => (
            "LedgerUnavailable",
            format!("nothing was sent, because the state table `{}` takes no records: {failure}", table.name),
        ),
        Err(NotWritten::AfterSending(failure)) => (
            "NotRemembered",
            format!("what people were told could not be written down, so some may be told again: {failure}"),
        ),
    };
    Err(RunError { word, message, report: None })
}

/// The policy to use: the current one, or the last valid one where the current one has problems.
fn choose(
    settings: &Settings,
    documents: Result<Vec<Document>, AwsFailure>,
    last_valid: Option<&StoredPolicy>,
    at: Timestamp,
) -> Result<(Policy, Vec<Document>, Standing), RunError> {
    let place = match &settings.policy {
        PolicySource::Parameters(path) => format!("the SSM parameters under `{path}`"),
        PolicySource::Documents(documents) => {
            documents.iter().map(|d| format!("`{}`", d.name)).collect::<Vec<_>>().join(", ")
        }
    };
    let unreadable = |failure: &AwsFailure| format!("the policy in {place} cannot be read: {failure}");
    let problems = match documents {
        // A hiccup is no reason to stop watching; what is denied or misnamed stays so until somebody mends it, and must be loud.
        Err(failure) if failure.retryable && last_valid.is_some() => {
            Problems(vec![Problem { place: None, message: unreadable(&failure) }])
        }
        Err(failure) => {
            return Err(RunError { word: "PolicyUnreadable", message: unreadable(&failure), report: None });
        }
        Ok(documents) if documents.is_empty() => {
            let message = format!("there is no policy in {place}: store one as a parameter below that path");
            return Err(RunError { word: "PolicyMissing", message, report: None });
        }
        Ok(documents) => match Policy::parse(&documents) {
            Ok(policy) => return Ok((policy, documents, Standing::Current)),
            Err(problems) => problems,
        },
    };
    // A policy that an older or newer version of this program found valid may not be so for this one.
    let older = last_valid.and_then(|stored| Policy::parse(&stored.documents).ok().map(|policy| (policy, stored)));
    let Some((policy, stored)) = older else {
        let shown = Problems(problems.0.iter().take(MOST_PROBLEMS).cloned().collect());
        let message = format!(
            "the policy in {place} has {} problems, and no earlier valid one is remembered:\n{shown}",
            problems.0.len()
        );
        return Err(RunError { word: "PolicyInvalid", message, report: None });
    };
    let since = stored.since.min(at);
    Ok((policy, stored.documents.clone(), Standing::LastValid { problems, since }))
}

#[expect(clippy::too_many_arguments, reason = "a `Look` in the making")]
async fn see(
    clients: &Clients,
    tick: Tick,
    Clock { now, budget }: Clock,
    catalogue: &mut Catalogue,
    policy: Policy,
    documents: Vec<Document>,
    standing: Standing,
    mut notes: Notes,
    thrift: Option<&Thrift<'_>>,
) -> Look {
    let until = budget.but(AFTER_USE);
    let reading = gather::usage(clients, &policy, &tick, now, catalogue, &mut notes, thrift);
    let mut usage = match timeout_at(until, reading).await {
        Ok(usage) => usage,
        Err(_) => gather::too_late(&policy, catalogue, tick.at, &mut notes),
    };
    let asked = worth_asking(&policy, &tick, &usage);
    let listed: Vec<String> = asked.iter().map(|name| (*name).to_owned()).collect();
    match timeout_at(until, flights::flights(&clients.athena, &clients.paces, &asked, tick.at)).await {
        Ok((flights, warnings)) => {
            usage.flights = flights;
            notes.warnings.extend(warnings);
        }
        Err(_) => notes.warnings.push("the run's time for reading what runs now was up".to_owned()),
    }
    if let Some(thrift) = thrift {
        let after_all = thrift.ask_after_all(clients, catalogue, &listed, tick.at, &mut usage);
        if timeout_at(until, after_all).await.is_err() {
            notes.warnings.push("the run's time for asking those after all whose queries run was up".to_owned());
        }
    }
    let broken = |(name, seen): (&String, &Seen)| gather::broken(name, seen.as_ref().ok()?);
    notes.warnings.extend(usage.workgroups.iter().filter_map(broken));
    if let Some(workgroup) = usage.uncounted(tick.at, policy.active_queries.look_back) {
        notes.warnings.push(format!(
            "a query has been running in `{workgroup}` for a while, and AWS counts no active query: it is on a capacity reservation, or \
             `AWS/Usage` is not published here, and then nobody is warned before queries are refused"
        ));
    }
    Look { policy, documents, standing, usage, listed, notes }
}

/// Notes how much of each limit the day before has used, once a day; returns whether there was anything to note.
fn note_yesterday(catalogue: &mut Catalogue, look: &Look, grants: &Grants, at: Timestamp) -> bool {
    let mut has_noted = false;
    for (name, seen) in &look.usage.workgroups {
        let (Ok(series), Some(rule)) = (seen, look.policy.rule_for(name)) else { continue };
        let due = |limit: &&Limit| catalogue.fits.is_due(name, limit, at);
        let due: Vec<&Limit> = rule.limits.iter().filter(due).collect();
        if due.is_empty() {
            continue;
        }
        let meter = Meter::from(series);
        for limit in due {
            catalogue.fits.note(name, limit, &meter, grants, at);
            has_noted = true;
        }
    }
    has_noted
}

async fn remember_policy(
    table: &Table,
    look: &Look,
    known: Option<&StoredPolicy>,
    at: Timestamp,
    budget: Budget,
    report: &mut RunReport,
) {
    let is_new = known.is_none_or(|known| known.documents != look.documents);
    if look.standing == Standing::Current && is_new {
        let stored = StoredPolicy { documents: look.documents.clone(), since: at };
        if let Err(failure) = budget.within(AFTER_LEARNING, PUT, table.write_policy(&stored)).await {
            report.warnings.push(format!("the policy could not be remembered as the last valid one: {failure}"));
        }
    }
}

/// Until when submitters may be looked for: whoever waits for the mail waits for this, and the mails need time, too.
fn patience(budget: Budget) -> Instant {
    budget.but(FOR_MAILS).min(Instant::now() + submitters::PATIENCE)
}

async fn release(
    held: Option<&Table>,
    settings: &Settings,
    budget: Budget,
    completed: Option<Timestamp>,
    learnt: Option<u64>,
    report: &mut RunReport,
) {
    let Some(table) = held else { return };
    let releasing = table.release(&settings.run_id, completed, learnt);
    if let Err(failure) = budget.within(AFTER_RELEASE, UPDATE, releasing).await {
        // It ends by itself at the deadline; the tick counts as not completed, and is judged again when it comes again.
        report.warnings.push(format!("the lease could not be given back: {failure}"));
    }
}
