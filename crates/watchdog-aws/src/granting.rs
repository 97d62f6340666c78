//! Carries grants out and takes them back: looks at each cutoff, does the next step, looks again.
//!
//! What the next step is, [`watchdog_core::grant::cutoff`] knows; this only does it. It may be cut off between any two calls, and whoever comes next
//! goes on from what is written down and what Athena says.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use watchdog_core::grant::Phase;
use watchdog_core::grant::cutoff::{Live, Step, next};

use crate::athena;
use crate::clients::Clients;
use crate::dynamodb::{Ledger, Table};
use crate::failure::AwsFailure;

/// Steps for one grant in one run. Six lead from nothing to closed; more mean that a change does not stay.
const MOST_STEPS: usize = 10;
/// A failure that may pass is told once it has lasted this long after the grant's end, or its beginning.
const PASSING: SignedDuration = SignedDuration::from_mins(10);

/// What could not be done, in words: for the report, and of each workgroup for the mail.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Troubles {
    /// For the report.
    pub warnings: Vec<String>,
    /// By workgroup, what its admins should hear of.
    pub told: BTreeMap<String, String>,
}

/// Whether anything is to be looked at or done at `now`.
pub fn is_due(ledger: &Ledger, now: Timestamp) -> bool {
    ledger.grants.values().any(|book| book.open().is_some_and(|grant| grant.is_due(now)))
}

/// Carries out what is due, under the lease for it: alone, and with what is written down now. Where somebody else holds the lease they are at it.
pub async fn carry_out(
    clients: &Clients,
    table: &Table,
    ledger: &mut Ledger,
    holder: &str,
    now: Timestamp,
    deadline: Timestamp,
) -> Troubles {
    let mut troubles = Troubles::default();
    if !is_due(ledger, now) {
        return troubles;
    }
    let failed = |failure: AwsFailure| format!("grants could not be looked after in this run: {failure}");
    match table.hold_promises(holder, now, deadline).await {
        Ok(true) => {}
        Ok(false) => return troubles,
        Err(failure) => {
            troubles.warnings.push(failed(failure));
            return troubles;
        }
    }
    // What was read before the lease was taken may have been changed by whoever held it.
    match table.ledger().await {
        Ok(fresh) => {
            ledger.take_promises(fresh);
            held(clients, table, ledger, now, &mut troubles).await;
        }
        Err(failure) => troubles.warnings.push(failed(failure)),
    }
    if let Err(failure) = table.free_promises(holder).await {
        troubles.warnings.push(format!("the lease for grants could not be given back, it ends by itself: {failure}"));
    }
    troubles
}

/// The same for one who holds the lease and has read the ledger since.
pub async fn held(clients: &Clients, table: &Table, ledger: &mut Ledger, now: Timestamp, troubles: &mut Troubles) {
    let due: Vec<String> = ledger
        .grants
        .iter()
        .filter(|(_, book)| book.open().is_some_and(|grant| grant.is_due(now)))
        .map(|(workgroup, _)| workgroup.clone())
        .collect();
    for workgroup in due {
        let Err(failure) = one(clients, table, ledger, &workgroup, now).await else { continue };
        troubles.warnings.push(format!("the grant of `{workgroup}`: {failure}"));
        let Some(grant) = ledger.grants.get(&workgroup).and_then(|book| book.open()) else { continue };
        let since = if grant.phase(now) == Phase::Over { grant.end() } else { grant.from };
        if !failure.retryable || now.duration_since(since) >= PASSING {
            troubles.told.insert(workgroup, failure.to_string());
        }
    }
}

async fn one(
    clients: &Clients,
    table: &Table,
    ledger: &mut Ledger,
    workgroup: &str,
    now: Timestamp,
) -> Result<(), AwsFailure> {
    for _ in 0..MOST_STEPS {
        let Some(mut book) = ledger.grants.get(workgroup).cloned() else { return Ok(()) };
        let Some(grant) = book.open_mut() else { return Ok(()) };
        // A grant of a limit alone needs nothing of Athena, not even that it answers.
        let live = match grant.per_query {
            Some(_) => athena::cutoff::cutoff(&clients.athena, workgroup).await?,
            None => Live::Is(None),
        };
        match next(grant, live, now) {
            Step::Nothing => return Ok(()),
            Step::Note(cutoff) => grant.cutoff = cutoff,
            Step::Close(cutoff) => {
                grant.cutoff = cutoff;
                grant.closed = Some(now);
            }
            Step::Set(cutoff) => {
                athena::cutoff::set_cutoff(&clients.athena, workgroup, cutoff).await?;
                continue;
            }
        }
        book.forget(now);
        table.write_grants(ledger, workgroup, book).await?;
    }
    let message = format!("the cutoff of `{workgroup}` does not stay as it is set; it is tried again in the next run");
    Err(AwsFailure::own(athena::GET, "NotVerified", message))
}
