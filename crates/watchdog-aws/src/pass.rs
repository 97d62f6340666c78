//! One whole run: take the lease, load the ledger, gather, plan, send, remember, report.
//!
//! The Lambda and the operator's tool call the same function; a dry run stops before anything is changed.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use watchdog_core::alert::Subject;
use watchdog_core::catalogue::Catalogue;
use watchdog_core::delivery::{Message, Plan, Standing, plan};
use watchdog_core::event::{Invocation, Tick};
use watchdog_core::ledger::StoredPolicy;
use watchdog_core::mail::{Mail, Origins, compose};
use watchdog_core::policy::{Document, Policy};
use watchdog_core::report::{MailReport, PolicyReport, RunReport};
use watchdog_core::usage::Usage;
use watchdog_core::verdict::judge;

use crate::clients::Clients;
use crate::dynamodb::{Lease, Ledger, Table};
use crate::failure::AwsFailure;
use crate::gather::{self, Notes, PolicySource};
use crate::ses;

/// Time kept back at the end of a run for writing down what was done. Sending stops before it.
const CLOSING: SignedDuration = SignedDuration::from_secs(5);

/// What a run needs to know about itself.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the policy is.
    pub policy: PolicySource,
    /// The state table; none for a look that remembers nothing.
    pub table: Option<String>,
    /// The run's own name: unique, and the same when the same run is tried again.
    pub run_id: String,
    /// The watchdog's name in mails.
    pub name: String,
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
    let result = locked(clients, settings, catalogue, tick, now, table.as_ref(), held, &mut report).await;
    report.calls = clients.calls.take();
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
    let mut notes = gather::refresh(clients, &mut catalogue, now).await;
    notes.warnings.append(&mut warnings);
    let look = see(clients, tick, now, &mut catalogue, policy, documents, standing, notes).await;
    Ok((look, catalogue))
}

#[expect(clippy::too_many_arguments, reason = "the one place where everything that a run has comes together")]
async fn locked(
    clients: &Clients,
    settings: &Settings,
    catalogue: &mut Catalogue,
    tick: Tick,
    now: Timestamp,
    table: Option<&Table>,
    held: Option<&Table>,
    report: &mut RunReport,
) -> Result<Vec<Mail>, RunError> {
    let cold = catalogue.names_read.is_none();
    let remembered = async {
        let Some(table) = table else { return Ok((None, Ledger::default())) };
        let lease = match held {
            Some(table) => Some(table.acquire(&settings.run_id, now, settings.deadline).await?),
            None => None,
        };
        match lease {
            Some(Lease::Held { .. }) => Ok((lease, Ledger::default())),
            Some(Lease::Taken { last_tick: Some(last) }) if last >= tick.at => Ok((lease, Ledger::default())),
            _ => Ok((lease, table.ledger().await?)),
        }
    };
    let world = async {
        let mut warnings = Vec::new();
        if let Some(table) = table.filter(|_| cold) {
            match table.catalogue().await {
                Ok(known) => *catalogue = known,
                Err(failure) => warnings.push(failure.to_string()),
            }
        }
        let mut notes = gather::refresh(clients, catalogue, now).await;
        notes.warnings.extend(warnings);
        notes
    };
    let (remembered, documents, notes) =
        futures_util::join!(remembered, gather::documents(clients, &settings.policy), world);
    let (lease, ledger) = remembered.map_err(|failure: AwsFailure| RunError {
        word: "LedgerUnavailable",
        message: format!(
            "the state table `{}` cannot be used: {failure}",
            settings.table.as_deref().unwrap_or_default()
        ),
        report: None,
    })?;
    match lease {
        Some(Lease::Held { until }) => {
            report.skipped = Some(format!("another run is at work; its lease ends at {until}"));
            return Ok(Vec::new());
        }
        Some(Lease::Taken { last_tick: Some(last) }) if last >= tick.at => {
            report.skipped = Some(format!("the tick {} has been judged already; the last one was {last}", tick.at));
            release(held, settings, None, report).await;
            return Ok(Vec::new());
        }
        _ => {}
    }
    let done = judged(clients, settings, catalogue, tick, now, held, ledger, documents, notes, report).await;
    let completed = (done.is_ok() && report.failed.is_empty()).then_some(tick.at);
    release(held, settings, completed, report).await;
    done
}

#[expect(
    clippy::too_many_arguments,
    reason = "the second half of `locked`, apart so that the lease is always given back"
)]
async fn judged(
    clients: &Clients,
    settings: &Settings,
    catalogue: &mut Catalogue,
    tick: Tick,
    now: Timestamp,
    held: Option<&Table>,
    mut ledger: Ledger,
    documents: Result<Vec<Document>, AwsFailure>,
    notes: Notes,
    report: &mut RunReport,
) -> Result<Vec<Mail>, RunError> {
    report.warnings.append(&mut ledger.unreadable);
    let (policy, documents, standing) = choose(settings, documents, ledger.policy.as_ref(), tick.at)?;
    report.policy = Some(PolicyReport::new(documents.iter().map(|d| d.name.clone()).collect(), &standing));
    let look = see(clients, tick, now, catalogue, policy, documents, standing, notes).await;
    report.warnings.extend(look.notes.warnings.iter().cloned());
    let findings = judge(&look.policy, &tick, &look.usage);
    report.found(&findings);
    let incomplete = look.usage.incomplete.as_ref();
    report.incomplete = incomplete.map(ToString::to_string);
    let plan = plan(&look.policy, &look.standing, &tick, &findings, incomplete, &ledger.records);
    let origins = Origins { region: clients.region.clone(), name: settings.name.clone() };
    let mails: Vec<Mail> = plan.messages.iter().map(|m| compose(m, &look.policy.mail, &origins, tick.at)).collect();
    let Some(table) = held else {
        report.would_send = plan.messages.iter().map(MailReport::new).collect();
        return Ok(mails);
    };
    remember_policy(table, &look, ledger.policy.as_ref(), tick.at, report).await;
    if look.notes.catalogue_changed
        && let Err(failure) = table.write_catalogue(catalogue, now).await
    {
        report.warnings.push(failure.to_string());
    }
    deliver(clients, settings, table, &tick, &mut ledger, plan, &mails, report).await?;
    Ok(mails)
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
    let documents = documents.map_err(|failure| RunError {
        word: "PolicyUnreadable",
        message: format!("the policy in {place} cannot be read: {failure}"),
        report: None,
    })?;
    if documents.is_empty() {
        let message = format!("there is no policy in {place}: store one as a parameter below that path");
        return Err(RunError { word: "PolicyMissing", message, report: None });
    }
    let problems = match Policy::parse(&documents) {
        Ok(policy) => return Ok((policy, documents, Standing::Current)),
        Err(problems) => problems,
    };
    // A policy that an older or newer version of this program found valid may not be so for this one.
    let older = last_valid.and_then(|stored| Policy::parse(&stored.documents).ok().map(|policy| (policy, stored)));
    let Some((policy, stored)) = older else {
        let message =
            format!("the policy in {place} has problems, and no earlier valid one is remembered:\n{problems}");
        return Err(RunError { word: "PolicyInvalid", message, report: None });
    };
    let since = stored.since.min(at);
    Ok((policy, stored.documents.clone(), Standing::LastValid { problems, since }))
}

#[expect(clippy::too_many_arguments, reason = "a `Look` in the making")]
async fn see(
    clients: &Clients,
    tick: Tick,
    now: Timestamp,
    catalogue: &mut Catalogue,
    policy: Policy,
    documents: Vec<Document>,
    standing: Standing,
    mut notes: Notes,
) -> Look {
    let usage = gather::usage(clients, &policy, &tick, now, catalogue, &mut notes).await;
    Look { policy, documents, standing, usage, notes }
}

async fn remember_policy(
    table: &Table,
    look: &Look,
    known: Option<&StoredPolicy>,
    at: Timestamp,
    report: &mut RunReport,
) {
    let is_new = known.is_none_or(|known| known.documents != look.documents);
    if look.standing == Standing::Current && is_new {
        let stored = StoredPolicy { documents: look.documents.clone(), since: at };
        if let Err(failure) = table.write_policy(&stored).await {
            report.warnings.push(format!("the policy could not be remembered as the last valid one: {failure}"));
        }
    }
}

/// Sends each message and writes down what its person was told, one by one; then writes what changed without a mail.
#[expect(clippy::too_many_arguments, reason = "everything that is needed to send and to remember")]
async fn deliver(
    clients: &Clients,
    settings: &Settings,
    table: &Table,
    tick: &Tick,
    ledger: &mut Ledger,
    mut plan: Plan,
    mails: &[Mail],
    report: &mut RunReport,
) -> Result<(), RunError> {
    // Written once before anything is sent: a table that takes no records would otherwise have the same mails sent in every
    // run, and nobody could stop it.
    let touched: BTreeSet<&Subject> = plan.messages.iter().flat_map(|m| m.notices.iter().map(|n| &n.subject)).collect();
    let touched: Vec<Subject> = touched.into_iter().cloned().collect();
    let intended = touched.iter().filter_map(|subject| plan.records.get_key_value(subject));
    table.write(ledger, intended, tick.at).await.map_err(|failure| RunError {
        word: "LedgerUnavailable",
        message: format!("nothing was sent, because the state table `{}` takes no records: {failure}", table.name),
        report: None,
    })?;
    let mut not_remembered: Option<AwsFailure> = None;
    for (message, mail) in plan.messages.iter().zip(mails) {
        let mut entry = MailReport::new(message);
        let sent = match &not_remembered {
            Some(_) => Err("not tried, because an earlier mail of this run could not be written down".to_owned()),
            None => send(clients, settings, tick, mail).await,
        };
        match sent {
            Ok(id) => {
                entry.message_id = Some(id);
                report.sent.push(entry);
            }
            Err(why) => {
                tracing::warn!(to = %message.to, "{why}");
                entry.error = Some(why);
                report.failed.push(entry);
                continue;
            }
        }
        let touched = told(&mut plan.records, message, tick.at);
        let changed = touched.iter().filter_map(|subject| plan.records.get_key_value(*subject));
        not_remembered = table.write(ledger, changed, tick.at).await.err();
    }
    let before = ledger.records.clone();
    let rest = plan.records.iter().filter(|(subject, record)| match before.get(subject) {
        Some(old) => old != *record,
        None => !record.is_over(),
    });
    let rest = table.write(ledger, rest, tick.at).await.err();
    match not_remembered.or(rest) {
        None => Ok(()),
        Some(failure) => Err(RunError {
            word: "NotRemembered",
            message: format!("what people were told could not be written down, so some may be told again: {failure}"),
            report: None,
        }),
    }
}

async fn send(clients: &Clients, settings: &Settings, tick: &Tick, mail: &Mail) -> Result<String, String> {
    // The clock, and not the tick: a deadline is about real time.
    if settings.deadline.duration_since(Timestamp::now()) < CLOSING {
        return Err("the run's time is up; the next run sends it".to_owned());
    }
    let mime = mail.mime(tick.at).map_err(|error| error.to_string())?;
    let sent = ses::send(&clients.ses, &mail.from, &mail.to, mime).await;
    sent.map_err(|failure| failure.to_string())
}

/// Notes in the records what a message has told its person. Returns the subjects that it touched.
fn told<'m>(
    records: &mut watchdog_core::delivery::Records,
    message: &'m Message,
    at: Timestamp,
) -> BTreeSet<&'m Subject> {
    for notice in &message.notices {
        if let Some(record) = records.get_mut(&notice.subject) {
            record.tell(&message.to, notice.reason, at);
        }
    }
    message.notices.iter().map(|notice| &notice.subject).collect()
}

async fn release(held: Option<&Table>, settings: &Settings, completed: Option<Timestamp>, report: &mut RunReport) {
    let Some(table) = held else { return };
    if let Err(failure) = table.release(&settings.run_id, completed).await {
        // It ends by itself at the deadline; the tick counts as not completed, and is judged again when it comes again.
        report.warnings.push(format!("the lease could not be given back: {failure}"));
    }
}
