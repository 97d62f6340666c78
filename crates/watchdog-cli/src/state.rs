//! The stack's state table, for commands that only read it.

use aws_config::SdkConfig;
use watchdog_aws::clients::Clients;
use watchdog_aws::dynamodb::{Ledger, Table};
use watchdog_aws::operator::{Operator, cloudformation};

use crate::args::PolicyArgs;
use crate::place;

/// What is known of the state table.
pub enum State {
    /// It is read.
    Read(Box<(Table, Ledger)>),
    /// Nobody said which it is: the policy is from files or from a path, and of no stack.
    NotSaid,
    /// It could not be read, and why.
    Unread(String),
}

impl State {
    /// The ledger, where it is read.
    pub fn ledger(&self) -> Option<&Ledger> {
        match self {
            Self::Read(read) => Some(&read.1),
            _ => None,
        }
    }

    /// The table, where it is read.
    pub fn table(&self) -> Option<&Table> {
        match self {
            Self::Read(read) => Some(&read.0),
            _ => None,
        }
    }

    /// Why there is none, in words; empty where it is read.
    pub fn why(&self) -> String {
        match self {
            Self::Read(_) => String::new(),
            Self::NotSaid => {
                "no state table was named: give `--state-table NAME`, the stack's output `StateTableName`".to_owned()
            }
            Self::Unread(why) => why.clone(),
        }
    }
}

/// Reads the state table: the one that is `said`, or the stack's where the policy is the stack's, too.
pub async fn read(config: &SdkConfig, clients: &Clients, policy: &PolicyArgs, said: Option<&str>) -> State {
    let name = match table_name(config, policy, said).await {
        Ok(Some(name)) => name,
        Ok(None) => return State::NotSaid,
        Err(why) => return State::Unread(why),
    };
    let table = Table { client: clients.dynamodb.clone(), name };
    match table.ledger().await {
        Ok(ledger) => State::Read(Box::new((table, ledger))),
        Err(failure) => State::Unread(format!("the state table `{}` could not be read: {failure}", table.name)),
    }
}

/// The name of the table: the one that is `said`, or that of the stack whose policy is meant; `None` where the policy is from files or from a
/// path, and of no stack.
///
/// # Errors
/// Why it could not be found out, and what to do.
pub async fn table_name(config: &SdkConfig, policy: &PolicyArgs, said: Option<&str>) -> Result<Option<String>, String> {
    match said {
        Some(name) => Ok(Some(name.to_owned())),
        None => named(config, policy).await,
    }
}

/// The name of the stack's table.
async fn named(config: &SdkConfig, policy: &PolicyArgs) -> Result<Option<String>, String> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let is_path =
        policy.policy_path.is_some() || (policy.stack.is_none() && variable("WATCHDOG_POLICY_PATH").is_some());
    if !policy.policy.is_empty() || is_path {
        return Ok(None);
    }
    let stack = place::stack(policy.stack.as_deref(), |name| std::env::var(name).ok()).map_err(|why| why.message)?;
    let found = cloudformation::resources(&Operator::new(config).cloudformation, &stack).await;
    let remedy = "give `--state-table NAME` to do without";
    match found {
        Ok(Some(found)) => match found.get("StateTable") {
            Some(table) => Ok(Some(table.id.clone())),
            None => Err(format!("the stack `{stack}` has no state table; {remedy}")),
        },
        Ok(None) => Err(format!("there is no stack `{stack}` whose state table could be read; {remedy}")),
        Err(failure) => {
            Err(format!("the state table of the stack `{stack}` could not be looked up: {failure}; {remedy}"))
        }
    }
}
