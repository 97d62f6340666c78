//! A request for a grant or a silence: proves who asks, decides, writes down, carries out at once, answers.
//!
//! Whoever may invoke the function may ask; whether they may have it is the policy's to say, about who AWS says they are. What is refused is an
//! answer and no error: a slip of somebody's is no failure of the watchdog, and must not ring its alarms.

use std::time::Duration;

use jiff::Timestamp;
use watchdog_core::grant::cutoff::Live;
use watchdog_core::policy::Policy;
use watchdog_core::report::Answer;
use watchdog_core::request::{Change, Decision, Event, Refused, Request, Signed, Situation, decide, stands_in};

use crate::athena;
use crate::clients::Clients;
use crate::dynamodb::{Ledger, Table};
use crate::failure::AwsFailure;
use crate::gather::{self, PolicySource};
use crate::granting::{self, Troubles};
use crate::identity::{self, Unproven};

/// Tries to get the lease, and the pause between them: longer than a run holds it as a rule.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(500);

/// Where a request has come to.
#[derive(Debug, Clone)]
pub struct Desk {
    /// The function's own name: requests to others are refused.
    pub function: String,
    /// The account that it runs in.
    pub account: String,
    /// The STS that proofs are shown to, see [`identity::sts_endpoint`].
    pub sts: String,
    /// Where the policy is.
    pub policy: PolicySource,
    /// The state table.
    pub table: Table,
    /// This invocation's own name.
    pub run_id: String,
    /// When it will be cut off.
    pub deadline: Timestamp,
}

enum Stop {
    Refused(Refused),
    Failed(AwsFailure),
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<AwsFailure> for Stop {
    fn from(failure: AwsFailure) -> Self {
        Self::Failed(failure)
    }
}

/// Handles an event of this kind.
///
/// # Errors
/// [`AwsFailure`] where AWS could not be asked, or the table takes no record. Nothing is changed then, or it is written down and the next run
/// goes on with it.
pub async fn ask(clients: &Clients, desk: &Desk, event: &Event, now: Timestamp) -> Result<Answer, AwsFailure> {
    let signed = match event {
        Event::List => return Ok(listed(&desk.table.ledger().await?, now)),
        Event::Signed(signed) => signed,
    };
    match asked(clients, desk, signed, now).await {
        Ok(answer) => Ok(answer),
        Err(Stop::Refused(refused)) => Ok(Answer::refused(&refused)),
        Err(Stop::Failed(failure)) => Err(failure),
    }
}

/// All promises that are remembered.
pub fn listed(ledger: &Ledger, now: Timestamp) -> Answer {
    let mut answer = Answer::listed(&ledger.grants, &ledger.silences, now);
    answer.warnings.clone_from(&ledger.unreadable);
    answer
}

async fn asked(clients: &Clients, desk: &Desk, signed: &Signed, now: Timestamp) -> Result<Answer, Stop> {
    let request = Request::parse(&signed.text)?;
    if request.to != desk.function {
        let message = format!("the request is for the function `{}`, and this is `{}`", request.to, desk.function);
        return Err(Refused(message.chars().filter(|c| !c.is_control()).collect()).into());
    }
    let caller = identity::caller(&signed.proof, &signed.text, &desk.sts, &desk.account, now).await;
    let who = caller.map_err(|unproven| match unproven {
        Unproven::Refused(refused) => Stop::Refused(refused),
        Unproven::Failed(failure) => Stop::Failed(failure),
    })?;
    let documents = gather::documents(clients, &desk.policy).await?;
    let policy = Policy::parse(&documents).map_err(|problems| {
        let first = problems.0.first().map_or_else(String::new, ToString::to_string);
        Refused(format!("the policy has problems, and nothing is promised by an old one; first: {first}"))
    })?;
    let live = match stands_in(&request) {
        Some(workgroup) if policy.rule_for(workgroup).is_some() => {
            Some(athena::cutoff::cutoff(&clients.athena, workgroup).await?)
        }
        _ => None,
    };
    if !request.dry_run {
        hold(desk, now).await?;
    }
    let done = decided(clients, desk, &request, &who, &policy, live, now).await;
    if !request.dry_run
        && let Err(failure) = desk.table.free_promises(&desk.run_id).await
    {
        tracing::warn!("the lease for grants could not be given back, it ends by itself: {failure}");
    }
    done
}

async fn hold(desk: &Desk, now: Timestamp) -> Result<(), Stop> {
    for n in 1..=TRIES {
        if desk.table.hold_promises(&desk.run_id, now, desk.deadline).await? {
            return Ok(());
        }
        if n < TRIES {
            tokio::time::sleep(PAUSE).await;
        }
    }
    Err(Refused("another run is changing grants right now: try again in a minute".to_owned()).into())
}

async fn decided(
    clients: &Clients,
    desk: &Desk,
    request: &Request,
    who: &watchdog_core::grant::Asker,
    policy: &Policy,
    live: Option<Live>,
    now: Timestamp,
) -> Result<Answer, Stop> {
    let mut ledger = desk.table.ledger().await?;
    let situation = Situation { policy, grants: &ledger.grants, silences: &ledger.silences, live, now };
    let Decision { change, says } = decide(request, who, &situation)?;
    let mut troubles = Troubles::default();
    if !request.dry_run {
        let workgroup = match &change {
            Change::Grants(workgroup, _) => Some(workgroup.clone()),
            _ => None,
        };
        match change {
            Change::Nothing => {}
            Change::Grants(workgroup, book) => desk.table.write_grants(&mut ledger, &workgroup, book).await?,
            Change::Silence(subject, silence) => desk.table.write_silence(&mut ledger, &subject, *silence).await?,
        }
        if workgroup.is_some() {
            granting::held(clients, &desk.table, &mut ledger, now, &mut troubles).await;
        }
    }
    let mut answer = listed(&ledger, now);
    answer.warnings.extend(troubles.warnings);
    Ok(answer.said(who, request.dry_run, says))
}
