//! `watchdog run --dry-run`: a whole run that stops before anything is sent or written.

pub mod mails;
mod story;

use jiff::Timestamp;
use watchdog_aws::pass;
use watchdog_core::catalogue::Catalogue;
use watchdog_core::event::{Invocation, Source};
use watchdog_core::mail::Mail;
use watchdog_core::report::RunReport;

use crate::args::{AwsArgs, PolicyArgs, RunArgs};
use crate::exit::{Exit, Failure};
use crate::out;
use crate::place::{self, Place};

/// Why there is no `run` without `--dry-run`: two places that send and remember would need the same lease, role and sender.
const ONLY_DRY: &str = "\
`watchdog run` needs `--dry-run`: real runs, which send mail and remember it, are the deployed function's; to have \
one now: aws lambda invoke --function-name NAME --cli-binary-format raw-in-base64-out --payload '{\"dry_run\": false}' \
/dev/stdout, where NAME is the stack's output `WatchdogFunctionName`";

/// Runs the command.
///
/// # Errors
/// [`Failure`] where the run could not look, and where the mails cannot be written to their directory.
pub async fn run(args: &RunArgs) -> Result<Exit, Failure> {
    if !args.dry_run {
        return Err(Failure::usage(ONLY_DRY));
    }
    let (report, mails) = rehearse(&args.policy, &args.aws, args.state_table.as_deref()).await?;
    let written = match &args.mails {
        Some(directory) => mails::write(directory, &mails, report.as_of)?,
        None => Vec::new(),
    };
    if args.json {
        out::json(&report)?;
    } else {
        for warning in &report.warnings {
            out::warning(warning);
        }
        let story = story::Story { report: &report, mails: &mails, table: args.state_table.as_deref() };
        out::data(&story::text(&story, args.show_mails))?;
    }
    for path in written {
        out::note(&format!("wrote {}", path.display()));
    }
    Ok(exit(&report))
}

/// What a run would find now and send, with what a state table remembers or as if nobody had been told anything.
///
/// # Errors
/// [`Failure`] where the run could not look.
pub async fn rehearse(
    policy: &PolicyArgs,
    aws: &AwsArgs,
    state_table: Option<&str>,
) -> Result<(RunReport, Vec<Mail>), Failure> {
    let now = Timestamp::now();
    let place = Place::here(policy)?;
    let clients = place::clients(aws).await?;
    let settings = place.settings(state_table.map(str::to_owned), now);
    let invocation = Invocation { dry_run: true, source: Source::Person, time: None };
    let ran = pass::run(&clients, &settings, &mut Catalogue::default(), &invocation, now).await;
    ran.map_err(|error| place::failed(&error))
}

fn exit(report: &RunReport) -> Exit {
    let is_current = report.policy.as_ref().is_none_or(|policy| policy.standing == "current");
    Exit::of(report.levels(), report.unseen.is_empty() && report.incomplete.is_none() && is_current)
}
