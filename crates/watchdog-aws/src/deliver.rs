//! Carries a run's plan out: sends each mail, and writes down what its person was told before the next one.

use std::collections::BTreeSet;

use std::time::Duration;

use jiff::Timestamp;
use watchdog_core::alert::Subject;
use watchdog_core::delivery::{Message, Plan, Records};
use watchdog_core::event::Tick;
use watchdog_core::mail::Mail;
use watchdog_core::report::{MailReport, RunReport};

use crate::budget::Budget;
use crate::clients::Clients;
use crate::dynamodb::{Ledger, TRANSACT, Table};
use crate::failure::AwsFailure;
use crate::ses;

/// Time kept back at the end of a run for writing down what was done. No mail is begun in it.
const CLOSING: Duration = Duration::from_secs(5);
/// What is left of it for the record of a mail whose answer came late, and for giving the lease back.
const RECORDING: Duration = Duration::from_secs(3);
const LEAVING: Duration = Duration::from_millis(1500);

/// Records that the table did not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotWritten {
    /// Before anything was sent; and so nothing was.
    BeforeSending(AwsFailure),
    /// After something was sent.
    AfterSending(AwsFailure),
}

/// Sends each message and writes down what its person was told, one by one; then writes what changed without a mail.
///
/// A mail that is not taken stays in `report.failed` and never keeps the others from being sent.
///
/// # Errors
/// [`NotWritten`] where the table takes no records.
#[expect(clippy::too_many_arguments, reason = "everything that is needed to send and to remember")]
pub async fn deliver(
    clients: &Clients,
    budget: Budget,
    table: &Table,
    tick: &Tick,
    ledger: &mut Ledger,
    mut plan: Plan,
    mails: &[Mail],
    report: &mut RunReport,
) -> Result<(), NotWritten> {
    // Written once before anything is sent: a table that takes no records would otherwise have the same mails sent in every
    // run, and nobody could stop it.
    let touched: BTreeSet<&Subject> = plan.messages.iter().flat_map(|m| m.notices.iter().map(|n| &n.subject)).collect();
    let touched: Vec<Subject> = touched.into_iter().cloned().collect();
    let intended = touched.iter().filter_map(|subject| plan.records.get_key_value(subject));
    let proving = table.write(ledger, intended, tick.at);
    budget.within(CLOSING, TRANSACT, proving).await.map_err(NotWritten::BeforeSending)?;
    let mut not_remembered: Option<AwsFailure> = None;
    for (message, mail) in plan.messages.iter().zip(mails) {
        let mut entry = MailReport::new(message);
        let sent = match &not_remembered {
            Some(_) => Err("not tried, because an earlier mail of this run could not be written down".to_owned()),
            None => send(clients, budget, tick, mail).await,
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
        not_remembered = budget.within(LEAVING, TRANSACT, table.write(ledger, changed, tick.at)).await.err();
    }
    let before = ledger.records.clone();
    let rest = plan.records.iter().filter(|(subject, record)| match before.get(subject) {
        Some(old) => old != *record,
        None => !record.is_over(),
    });
    let rest = budget.within(LEAVING, TRANSACT, table.write(ledger, rest, tick.at)).await.err();
    not_remembered.or(rest).map_or(Ok(()), |failure| Err(NotWritten::AfterSending(failure)))
}

async fn send(clients: &Clients, budget: Budget, tick: &Tick, mail: &Mail) -> Result<String, String> {
    if budget.is_down_to(CLOSING) {
        return Err("the run's time is up; the next run sends it".to_owned());
    }
    let mime = mail.mime(tick.at).map_err(|error| error.to_string())?;
    let sending = ses::send(&clients.ses, &mail.from, &mail.to, mime);
    // Cut off, it may be on its way all the same: it counts as not sent, and may come twice.
    let sent = budget.within(RECORDING, ses::SEND, sending).await;
    sent.map_err(|failure| failure.to_string())
}

/// Notes in the records what a message has told its person. Returns the subjects that it touched.
fn told<'m>(records: &mut Records, message: &'m Message, at: Timestamp) -> BTreeSet<&'m Subject> {
    for notice in &message.notices {
        if let Some(record) = records.get_mut(&notice.subject) {
            notice.told(&message.to, record, at);
        }
    }
    message.notices.iter().map(|notice| &notice.subject).collect()
}
