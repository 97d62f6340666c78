//! Where the policy is, and the AWS account and Region that are looked at.

use std::path::PathBuf;
use std::process;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use jiff::{SignedDuration, Timestamp};
use watchdog_aws::clients::{self, Clients};
use watchdog_aws::gather::PolicySource;
use watchdog_aws::pass::{RunError, Settings};
use watchdog_core::policy::{Document, Policy};

use crate::args::{AwsArgs, PolicyArgs, parameter_path, stack_name};
use crate::exit::Failure;
use crate::{documents, out};

/// The stack's name where nobody says otherwise; `samconfig.toml` deploys under the same.
const STACK: &str = "athena-quota-watchdog";

/// The longest that a command may take. A person gives up at about this time; AWS's own time-outs come long before.
const PATIENCE: SignedDuration = SignedDuration::from_secs(60);

/// Where the policy is, and how messages and mails call the watchdog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Where it is.
    pub source: PolicySource,
    /// The stack's name.
    pub stack: String,
}

impl Place {
    /// Decides where the policy is. What is said on the command line beats the environment, a path beats a stack's name.
    ///
    /// # Errors
    /// [`Failure`] where a file cannot be read, where the policy in files has problems (they are printed), and where an
    /// environment variable has a value that cannot be right.
    pub fn find(args: &PolicyArgs, env: impl Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        if !args.policy.is_empty() {
            let documents = valid_documents(&args.policy)?;
            return Ok(Self { source: PolicySource::Documents(documents), stack: STACK.to_owned() });
        }
        let (path, stack) = match (&args.policy_path, &args.stack) {
            (Some(path), _) => (Some(path.clone()), None),
            (None, Some(stack)) => (None, Some(stack.clone())),
            (None, None) => {
                (checked(&env, "WATCHDOG_POLICY_PATH", parameter_path)?, checked(&env, "WATCHDOG_STACK", stack_name)?)
            }
        };
        let stack = stack.unwrap_or_else(|| STACK.to_owned());
        let path = path.unwrap_or_else(|| format!("/athena-quota-watchdog/{stack}/policy"));
        Ok(Self { source: PolicySource::Parameters(path), stack })
    }

    /// [`Place::find`] in this process's environment.
    ///
    /// # Errors
    /// As there.
    pub fn here(args: &PolicyArgs) -> Result<Self, Failure> {
        Self::find(args, |name| std::env::var(name).ok())
    }

    /// What a run needs to know about itself.
    pub fn settings(self, table: Option<String>, now: Timestamp) -> Settings {
        Settings {
            policy: self.source,
            table,
            run_id: format!("cli-{}-{}", now.as_second(), process::id()),
            name: self.stack,
            feed: true,
            deadline: now.saturating_add(PATIENCE).unwrap_or(Timestamp::MAX),
        }
    }
}

/// An environment variable's value, where it has one.
fn checked(
    env: &impl Fn(&str) -> Option<String>,
    name: &str,
    read: fn(&str) -> Result<String, String>,
) -> Result<Option<String>, Failure> {
    let Some(value) = env(name).filter(|value| !value.is_empty()) else { return Ok(None) };
    let wrong = |why| Failure::usage(format!("the environment variable `{name}` is `{value}`: {why}"));
    read(&value).map(Some).map_err(wrong)
}

/// The policy's documents in files.
///
/// # Errors
/// [`Failure`] where one cannot be read, or the policy has problems.
pub fn valid_documents(files: &[PathBuf]) -> Result<Vec<Document>, Failure> {
    let documents = documents::read(files)?;
    // Before AWS is asked anything: these problems are about the command's own input.
    if let Err(problems) = Policy::parse(&documents) {
        let n = out::count(problems.0.len(), "problem");
        return Err(Failure::usage(format!("the policy has {n}:\n{problems}")));
    }
    Ok(documents)
}

/// The stack that is meant: as said on the command line, then by `WATCHDOG_STACK`.
///
/// # Errors
/// [`Failure`] where the variable has a value that cannot be right.
pub fn stack(said: Option<&str>, env: impl Fn(&str) -> Option<String>) -> Result<String, Failure> {
    match said {
        Some(stack) => Ok(stack.to_owned()),
        None => Ok(checked(&env, "WATCHDOG_STACK", stack_name)?.unwrap_or_else(|| STACK.to_owned())),
    }
}

/// Builds the clients. Makes no call, except that a named profile may ask for its credentials.
///
/// # Errors
/// As [`config`].
pub async fn clients(args: &AwsArgs) -> Result<Clients, Failure> {
    config(args).await.map(|config| Clients::new(&config))
}

/// The configuration of all clients.
///
/// # Errors
/// [`Failure`] where it is not clear whose credentials are meant, and where no Region is known: every call would fail with a message about an endpoint.
pub async fn config(args: &AwsArgs) -> Result<SdkConfig, Failure> {
    // The SDK would take the variable's, and look at another account than the one that was asked for.
    if let (Some(profile), Ok(_)) = (&args.profile, std::env::var("AWS_ACCESS_KEY_ID")) {
        return Err(Failure::usage(format!(
            "`--profile {profile}` and the environment variable `AWS_ACCESS_KEY_ID` name different credentials: leave \
             out the one, or unset the other"
        )));
    }
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12());
    if let Some(profile) = &args.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = &args.region {
        loader = loader.region(Region::new(region.clone()));
    }
    let config = clients::config(loader).await;
    if config.region().is_none() {
        return Err(Failure::usage(
            "no AWS Region is set: give `--region eu-central-1`, or set `AWS_REGION`, or name one in the profile",
        ));
    }
    Ok(config)
}

/// A run that could not look, as what ends a command.
pub fn failed(error: &RunError) -> Failure {
    Failure::unseen(error.message.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(args: &PolicyArgs, env: &[(&str, &str)], expected: Result<(&str, &str), &str>) {
        let env = |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        let found = Place::find(args, env).map_err(|failure| failure.message);
        let expected = expected
            .map_err(str::to_owned)
            .map(|(path, stack)| Place { source: PolicySource::Parameters(path.to_owned()), stack: stack.to_owned() });
        assert_eq!(found, expected);
    }

    #[test]
    fn the_command_line_beats_the_environment_and_a_path_beats_a_stack() {
        let none = PolicyArgs::default();
        let default = "/athena-quota-watchdog/athena-quota-watchdog/policy";
        check(&none, &[], Ok((default, STACK)));
        check(&none, &[("WATCHDOG_STACK", ""), ("WATCHDOG_POLICY_PATH", "")], Ok((default, STACK)));
        check(&none, &[("WATCHDOG_STACK", "prod")], Ok(("/athena-quota-watchdog/prod/policy", "prod")));
        let both = [("WATCHDOG_STACK", "prod"), ("WATCHDOG_POLICY_PATH", "/my/policy")];
        check(&none, &both, Ok(("/my/policy", "prod")));
        let stack = PolicyArgs { stack: Some("test".to_owned()), ..PolicyArgs::default() };
        check(&stack, &both, Ok(("/athena-quota-watchdog/test/policy", "test")));
        let path = PolicyArgs { policy_path: Some("/other".to_owned()), ..PolicyArgs::default() };
        check(&path, &both, Ok(("/other", STACK)));
    }

    #[test]
    fn a_wrong_variable_is_named() {
        check(
            &PolicyArgs::default(),
            &[("WATCHDOG_POLICY_PATH", "policy")],
            Err(
                "the environment variable `WATCHDOG_POLICY_PATH` is `policy`: a parameter path starts with `/` and has letters, \
 digits, `.`, `_`, `-` and `/`",
            ),
        );
    }
}
