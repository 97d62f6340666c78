//! Reads the state of an installation. What is denied or fails is noted where it would have been, and the rest goes on.

use std::collections::BTreeMap;

use jiff::Timestamp;
use watchdog_core::checkup::{Blind, Place, Read, Stack, State, Workgroup, identities, policy_in_force};
use watchdog_core::policy::{Document, Policy};

use super::{Operator, athena, blind, cloudformation, cloudwatch, dynamodb, iam, scheduler, ses, sns, sts};
use crate::dynamodb::Table;
use crate::failure::AwsFailure;
use crate::{athena as run_athena, cloudwatch as run_cloudwatch, ssm};

/// Reads everything that a checkup of the stack looks at. `files` stand in for the policy in SSM.
///
/// # Errors
/// [`AwsFailure`] where not even the account can be found out: then nothing else could be.
pub async fn survey(
    operator: &Operator,
    stack: &str,
    files: Option<Vec<Document>>,
    now: Timestamp,
) -> Result<State, AwsFailure> {
    let clients = &operator.clients;
    let (partition, account) = sts::account(&operator.sts).await?;
    let place = Place {
        partition,
        region: clients.region.clone(),
        account,
        stack: stack.to_owned(),
        policy_path: format!("/athena-quota-watchdog/{stack}/policy"),
        policy_from_files: files.is_some(),
    };
    let documents = async {
        match files {
            Some(documents) => Ok(documents),
            None => ssm::documents(&clients.ssm, &place.policy_path).await,
        }
    };
    let (stack, documents, workgroups, metrics, alarms, quota, sending) = futures_util::join!(
        cloudformation::stack(&operator.cloudformation, stack),
        documents,
        workgroups(operator),
        run_cloudwatch::listed(&clients.cloudwatch),
        cloudwatch::alarms(&clients.cloudwatch),
        ses::quota(&clients.ses),
        ses::sending(&clients.ses),
    );
    let stack = read(stack);
    let function = id(&stack, "Function");
    let table = id(&stack, "StateTable");
    let topic = id(&stack, "AlarmTopic");
    let schedule = id(&stack, "FunctionRun");
    let state_table = table.clone().map(|name| name.map(|name| Table { client: clients.dynamodb.clone(), name }));
    let names = open_workgroups(documents.as_deref().unwrap_or_default(), &workgroups);
    let (function, schedule, table, time_to_live, last_run, stored, subscriptions, principals) = futures_util::join!(
        maybe(&function, |name| async move { cloudwatch::function(&clients.cloudwatch, name, now).await.map(Some) }),
        maybe(&schedule, |name| scheduler::schedule(&operator.scheduler, name)),
        maybe(&table, |name| dynamodb::table(&clients.dynamodb, name)),
        maybe(&table, |name| async move { dynamodb::time_to_live(&clients.dynamodb, name).await.map(Some) }),
        maybe(&state_table, |table| table.last_completed()),
        maybe(&state_table, |table| async move { table.ledger().await.map(|ledger| ledger.policy) }),
        maybe(&topic, |topic| sns::subscriptions(&operator.sns, topic)),
        iam::principals(&operator.iam, &place, &names),
    );
    let without = || Blind::After("there is no state table".to_owned());
    let mut state = State {
        now,
        clock: None,
        stack,
        documents: read(documents),
        stored,
        workgroups,
        metrics: read(metrics),
        alarms: read(alarms),
        principals: read(principals),
        schedule,
        function,
        time_to_live: match table {
            // Asked of a table that is not there, DynamoDB says so, and that was said already.
            Ok(None) => Err(without()),
            _ => time_to_live.and_then(|ttl| ttl.ok_or_else(without)),
        },
        last_run: if table == Ok(None) { Err(without()) } else { last_run },
        table,
        identities: Ok(BTreeMap::new()),
        quota: read(quota),
        sending: read(sending),
        subscriptions,
        place,
    };
    if let Some(policy) = policy_in_force(&state) {
        let asked: Vec<String> = identities(&policy).into_iter().collect();
        state.identities = read(ses::identities(&clients.ses, &asked).await);
    }
    state.clock = operator.clock.off();
    Ok(state)
}

/// The workgroups for which it matters who can use them: those that nobody watches, and `primary`, which is used where none is
/// named. Where the policy cannot be read these are all of them.
fn open_workgroups<'a>(
    documents: &[Document],
    workgroups: &'a Read<BTreeMap<String, Read<Workgroup>>>,
) -> Vec<&'a str> {
    let policy = Policy::parse(documents).ok();
    let watched = |name: &str| policy.as_ref().is_some_and(|policy| policy.rule_for(name).is_some());
    let names = workgroups.iter().flatten().map(|(name, _)| name.as_str());
    names.filter(|name| *name == "primary" || !watched(name)).collect()
}

async fn workgroups(operator: &Operator) -> Read<BTreeMap<String, Read<Workgroup>>> {
    let client = &operator.clients.athena;
    let names = read(run_athena::workgroups(client).await)?;
    Ok(athena::workgroups(client, names.into_iter().collect()).await.into_iter().collect())
}

fn read<T>(read: Result<T, AwsFailure>) -> Read<T> {
    read.map_err(|failure| blind(&failure))
}

/// The name or ARN of one of the stack's resources; `None` where the stack has none such.
fn id(stack: &Read<Option<Stack>>, logical: &str) -> Read<Option<String>> {
    match stack {
        Ok(Some(stack)) => Ok(stack.id(logical).map(str::to_owned)),
        Ok(None) => Err(Blind::After("there is no such stack".to_owned())),
        Err(_) => Err(Blind::After("the stack's resources could not be read".to_owned())),
    }
}

/// Asks about something that is known by its name, where the name is known.
async fn maybe<'a, N, T, F>(name: &'a Read<Option<N>>, ask: impl FnOnce(&'a N) -> F) -> Read<Option<T>>
where
    F: Future<Output = Result<Option<T>, AwsFailure>>,
{
    match name {
        Ok(Some(name)) => read(ask(name).await),
        Ok(None) => Ok(None),
        Err(blind) => Err(blind.clone()),
    }
}
