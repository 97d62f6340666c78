//! `watchdog doctor`: what is wrong with the installation, and how to mend it.

mod answer;
mod text;

use jiff::Timestamp;
use serde_json::{Map, Value};
use watchdog_aws::operator::permissions::{Command, Scope};
use watchdog_aws::operator::{Operator, survey};
use watchdog_core::checkup::{Checkup, Place, checkup, policy_in_force};

use crate::args::{CommandName, DoctorArgs};
use crate::exit::{Exit, Failure};
use crate::out::{self, Page};
use crate::place;

/// All that is shown.
struct Shown<'a> {
    checkup: &'a Checkup,
    place: &'a Place,
    as_of: Timestamp,
    /// The policy's time zone, or UTC where there is no policy.
    zone: jiff::tz::TimeZone,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] where nothing at all could be seen.
pub async fn doctor(args: &DoctorArgs) -> Result<Exit, Failure> {
    let stack = place::stack(args.stack.as_deref(), |name| std::env::var(name).ok())?;
    let files = match args.policy.as_slice() {
        [] => None,
        files => Some(place::valid_documents(files)?),
    };
    let operator = Operator::new(&place::config(&args.aws).await?);
    let now = Timestamp::now();
    let state = survey(&operator, &stack, files, now).await;
    let state = state.map_err(|failure| Failure::unseen(format!("nothing could be seen in AWS: {failure}")))?;
    let checkup = checkup(&state);
    let shown = Shown {
        checkup: &checkup,
        place: &state.place,
        as_of: now,
        zone: policy_in_force(&state).map_or(jiff::tz::TimeZone::UTC, |policy| policy.mail.zone),
    };
    if args.json {
        out::json(&answer::Answer::of(&shown))?;
    } else {
        out::data(&text::text(&shown, Page::of_stdout()))?;
    }
    Ok(checkup.outcome().into())
}

/// Prints what each command needs, or what one does.
///
/// # Errors
/// [`Failure`] where the stack's name in the environment cannot be right.
pub fn print_iam(args: &DoctorArgs, command: Option<CommandName>) -> Result<Exit, Failure> {
    let env = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let region = args.aws.region.clone().or_else(|| env("AWS_REGION")).or_else(|| env("AWS_DEFAULT_REGION"));
    let scope =
        Scope { region: region.unwrap_or_else(|| "*".to_owned()), stack: place::stack(args.stack.as_deref(), env)? };
    let document = match command {
        Some(command) => Command::from(command).document(&scope),
        None => {
            let all = Command::ALL.iter().map(|command| (command.word().to_owned(), command.document(&scope)));
            Value::Object(all.collect::<Map<_, _>>())
        }
    };
    out::json(&document)?;
    Ok(Exit::Fine)
}

impl From<CommandName> for Command {
    fn from(name: CommandName) -> Self {
        match name {
            CommandName::Check => Self::Check,
            CommandName::Status => Self::Status,
            CommandName::Run => Self::Run,
            CommandName::Who => Self::Who,
            CommandName::Doctor => Self::Doctor,
            CommandName::Backtest => Self::Backtest,
            CommandName::Grant => Self::Grant,
            CommandName::Plan => Self::Plan,
            CommandName::Report => Self::Report,
        }
    }
}

#[cfg(test)]
mod tests;
