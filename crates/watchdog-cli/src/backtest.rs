//! `watchdog backtest`: what a policy would have sent over a stretch of the past, and how good that would have been.

mod landings;
mod mails;
pub mod page;
pub mod replays;
pub mod rows;
mod shards;
mod table;

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use watchdog_aws::failure::AwsFailure;
use watchdog_aws::gather;
use watchdog_aws::operator::past::Past;
use watchdog_core::backtest::{Notification, fixed};
use watchdog_core::policy::{Document, Policy};

pub use self::replays::seconds;
use self::replays::{Outcome, Wanted};
use crate::args::BacktestArgs;
use crate::exit::{Exit, Failure};
use crate::place::{self, Place};
use crate::{documents, out};

/// The place of the policy that asks everybody in every run, after the one that is tested and the static rule; it is there where the first
/// one has an economy.
const ALWAYS: usize = 2;

/// Notifications that are written at once: of a bad policy there are hundreds of thousands.
const LINES: usize = 4096;

/// A policy, and what it is compared with.
fn compared(policy: &Policy) -> Vec<Policy> {
    let mut all = vec![policy.clone(), fixed(policy)];
    if policy.economy.is_some() {
        all.push(policy.without_economy());
    }
    all
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] where the policy or the use cannot be read or understood, or the notifications cannot be written.
pub fn backtest(args: &BacktestArgs) -> Result<Exit, Failure> {
    let wanted = Wanted { step: args.step, every: args.every, score_from: args.score_from, trace: args.html.is_some() };
    let mut exit = Exit::Fine;
    let outcome = match (&args.usage, &args.queries, args.since) {
        (_, _, Some(length)) => {
            let (outcome, whole) = from_cloudwatch(args, length, wanted)?;
            exit = if whole { Exit::Fine } else { Exit::Unseen };
            outcome
        }
        (Some(usage), _, None) => {
            let policies = compared(&policy_in_files(args)?);
            replays::run(usage, &policies.iter().collect::<Vec<_>>(), wanted)?
        }
        (None, Some(queries), None) => {
            let policies = compared(&policy_in_files(args)?);
            landings::run(queries, &policies.iter().collect::<Vec<_>>(), wanted, args.growing)?
        }
        (None, None, None) => return Err(Failure::usage("give `--usage FILE`, `--queries FILE` or `--since TIME`")),
    };
    for name in outcome.uncovered.iter().take(10) {
        out::warning(&format!("no rule of the policy covers the workgroup `{name}`: its rows are left out"));
    }
    if outcome.uncovered.len() > 10 {
        out::warning(&format!("and {} more that no rule covers", outcome.uncovered.len() - 10));
    }
    if outcome.sorted {
        out::warning("rows are not in the order of time: they were sorted in memory");
    }
    if outcome.repeated > 0 {
        let rows = out::count(usize::try_from(outcome.repeated).unwrap_or(usize::MAX), "row");
        out::warning(&format!("{rows} with the stamp of another row of the same workgroup: added to it"));
    }
    if let Some(path) = &args.out {
        write_lines(path, &outcome.notifications)?;
    }
    if let Some(path) = &args.html {
        let page = page::page(&outcome)
            .map_err(|error| Failure::usage(format!("the page cannot be put together: {error}")))?;
        write_file(path, page.as_bytes())?;
    }
    let on_stdout = args.out.as_ref().is_some_and(|path| path.as_os_str() == "-");
    match (args.json, on_stdout) {
        (true, false) => out::json(&table::answer(&outcome))?,
        (false, false) => out::data(&table::text(&outcome))?,
        (_, true) => {}
    }
    Ok(exit)
}

/// The policy of a back-test over a file: that of the deployed stack is only taken where AWS is asked in any case.
fn policy_in_files(args: &BacktestArgs) -> Result<Policy, Failure> {
    if args.policy.policy.is_empty() {
        return Err(Failure::usage("give the policy: `--policy FILE`; only with `--since` it is that of the stack"));
    }
    parsed(&documents::read(&args.policy.policy)?)
}

pub fn parsed(documents: &[Document]) -> Result<Policy, Failure> {
    Policy::parse(documents).map_err(|problems| {
        let n = out::count(problems.0.len(), "problem");
        Failure::usage(format!("the policy has {n}:\n{problems}"))
    })
}

/// Goes through what CloudWatch knows; also returns whether all of it could be read. What could not is told of here.
fn from_cloudwatch(args: &BacktestArgs, length: SignedDuration, wanted: Wanted) -> Result<(Outcome, bool), Failure> {
    let place = Place::here(&args.policy)?;
    let runtime = crate::runtime()?;
    let (clients, documents) = runtime.block_on(async {
        let clients = place::clients(&args.aws).await?;
        let documents = gather::documents(&clients, &place.source).await;
        let unread = |failure: AwsFailure| Failure::unseen(format!("the policy could not be read: {failure}"));
        Ok::<_, Failure>((clients, documents.map_err(unread)?))
    })?;
    let policy = parsed(&documents)?;
    let mut past = runtime.block_on(Past::open(&clients, &policy, false, length, Timestamp::now()));
    let mut unseen = std::mem::take(&mut past.unseen);
    for warning in &past.warnings {
        out::warning(warning);
    }
    if let Some(why) = &past.incomplete {
        out::warning(&format!("the list of workgroups could not be read: {why}"));
    }
    let mut next = || {
        let mut known = Vec::new();
        let group = runtime.block_on(past.next());
        let is_last = group.is_empty();
        for (name, seen) in group {
            match seen {
                Ok(series) => known.push((name, series)),
                Err(why) => unseen.push((name, why)),
            }
        }
        (!is_last).then_some(known)
    };
    let policies = compared(&policy);
    let outcome = replays::run_series(&mut next, &policies.iter().collect::<Vec<_>>(), wanted)?;
    for (name, why) in &unseen {
        out::warning(&format!("the use of the workgroup `{name}` is not known and not in the figures: {why}"));
    }
    match outcome {
        Some(outcome) => Ok((outcome, unseen.is_empty() && past.incomplete.is_none())),
        None => Err(Failure::unseen("there is no workgroup under the policy whose use could be read")),
    }
}

/// One JSON object a line, a piece at a time.
fn write_lines(path: &Path, notifications: &[Notification]) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::usage(format!("`{}` cannot be written: {error}", path.display()));
    let on_stdout = path.as_os_str() == "-";
    let mut file = if on_stdout { None } else { Some(File::create(path).map_err(failed)?) };
    let mut text = Vec::new();
    for lines in notifications.chunks(LINES) {
        text.clear();
        for notification in lines {
            serde_json::to_writer(&mut text, notification)
                .map_err(|error| Failure::usage(format!("a notification cannot be written as JSON: {error}")))?;
            text.push(b'\n');
        }
        match &mut file {
            Some(file) => file.write_all(&text).map_err(failed)?,
            None => out::data(&String::from_utf8_lossy(&text))?,
        }
    }
    Ok(())
}

pub fn write_file(path: &Path, text: &[u8]) -> Result<(), Failure> {
    std::fs::write(path, text)
        .map_err(|error| Failure::usage(format!("`{}` cannot be written: {error}", path.display())))
}
