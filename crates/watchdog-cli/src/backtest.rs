//! `watchdog backtest`: what a policy would have sent over a stretch of the past, and how good that would have been.

mod replays;
mod rows;
mod table;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use watchdog_core::backtest::{Notification, fixed};
use watchdog_core::policy::Policy;

use self::replays::Wanted;
pub use self::replays::seconds;
use crate::args::BacktestArgs;
use crate::exit::{Exit, Failure};
use crate::{documents, out};

/// Runs the command.
///
/// # Errors
/// [`Failure`] where the policy or the use cannot be read or understood, or the notifications cannot be written.
pub fn backtest(args: &BacktestArgs) -> Result<Exit, Failure> {
    let policy = read_policy(&args.policy)?;
    let fixed = fixed(&policy);
    let wanted = Wanted { step: args.step, every: args.every, score_from: args.score_from };
    let policies = [&policy, &fixed];
    let outcome = match (&args.usage, &args.queries) {
        (Some(usage), _) => replays::run(usage, &policies, wanted)?,
        (None, Some(queries)) => replays::run_queries(queries, &policies, wanted, args.growing)?,
        (None, None) => return Err(Failure::usage("give `--usage FILE` or `--queries FILE`")),
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
    let on_stdout = args.out.as_ref().is_some_and(|path| path.as_os_str() == "-");
    match (args.json, on_stdout) {
        (true, false) => out::json(&table::answer(&outcome))?,
        (false, false) => out::data(&table::text(&outcome))?,
        (_, true) => {}
    }
    Ok(Exit::Fine)
}

fn read_policy(paths: &[std::path::PathBuf]) -> Result<Policy, Failure> {
    let documents = documents::read(paths)?;
    Policy::parse(&documents).map_err(|problems| {
        let n = out::count(problems.0.len(), "problem");
        Failure::usage(format!("the policy has {n}:\n{problems}"))
    })
}

/// One JSON object a line.
fn write_lines(path: &Path, notifications: &[Notification]) -> Result<(), Failure> {
    let mut text = Vec::new();
    for notification in notifications {
        serde_json::to_writer(&mut text, notification)
            .map_err(|error| Failure::usage(format!("a notification cannot be written as JSON: {error}")))?;
        text.push(b'\n');
    }
    if path.as_os_str() == "-" {
        return out::data(&String::from_utf8_lossy(&text));
    }
    let written = File::create(path).map(BufWriter::new).and_then(|mut file| {
        file.write_all(&text)?;
        file.flush()
    });
    written.map_err(|error| Failure::usage(format!("`{}` cannot be written: {error}", path.display())))
}
