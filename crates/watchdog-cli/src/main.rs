//! The operator's command line: look at a policy, at the use, and at what a run would do; compute limits; ask for grants and silences. It
//! changes nothing without `--write`.
//!
//! Data goes to standard output, everything else to standard error. Each command returns its [`exit::Exit`]; what stops
//! it is an [`exit::Failure`], printed here and nowhere else.

mod args;
mod exit;
mod out;

mod documents;
mod place;
mod plot;
mod state;

mod backtest;
mod check;
mod cost;
mod doctor;
mod plan;
mod preview;
mod promises;
mod report;
mod run;
mod status;
mod who;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use tracing_subscriber::EnvFilter;

use crate::args::{Args, Command};
use crate::exit::{Exit, Failure};

fn main() -> ExitCode {
    let args = Args::parse();
    log(args.verbose);
    let exit = dispatch(args.command).unwrap_or_else(|failure| {
        out::error(&failure);
        failure.exit
    });
    ExitCode::from(exit as u8)
}

fn dispatch(command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Check(args) => check::check(&args),
        Command::Backtest(args) => backtest::backtest(&args),
        Command::Plan(args) => plan::plan(&args),
        Command::Status(args) => waiting(status::status(&args)),
        Command::Run(args) => waiting(run::run(&args)),
        Command::Doctor(args) => match args.print_iam {
            Some(command) => doctor::print_iam(&args, command),
            None => waiting(doctor::doctor(&args)),
        },
        Command::Cost(args) => cost::cost(&args),
        Command::Report(args) => waiting(report::report(&args)),
        Command::Preview(args) => waiting(preview::run(&args)),
        Command::Who(args) => waiting(who::who(&args)),
        Command::Grant(args) => waiting(promises::grant(&args)),
        Command::Grants(args) => waiting(promises::grants(&args)),
        Command::Revoke(args) => waiting(promises::revoke(&args)),
        Command::Silence(args) => waiting(promises::silence(&args)),
        Command::Silences(args) => waiting(promises::silences(&args)),
        Command::Unsilence(args) => waiting(promises::unsilence(&args)),
        Command::Completions { shell } => {
            // Into memory first: `generate` panics where its writer fails, and a closed pipe is nobody's fault.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "watchdog", &mut script);
            out::data(&String::from_utf8_lossy(&script))?;
            Ok(Exit::Fine)
        }
    }
}

/// One thread: the tool waits for AWS nearly all of its time. Only what asks AWS pays for the runtime.
fn waiting(command: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    runtime()?.block_on(command)
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure { exit: Exit::Unseen, message: format!("cannot wait for AWS: {error}") })
}

/// What the libraries have to say goes to standard error, and only where somebody asks: every failure that matters comes back
/// as an error and is printed once.
fn log(verbose: u8) {
    let filter = match verbose {
        0 => "off",
        1 => "info",
        _ => "debug",
    };
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(EnvFilter::new(filter)).init();
}
