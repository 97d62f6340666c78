//! Measures the function as it ships: start, calls, how deep they wait for each other, processor time and memory, for accounts of 5, 100
//! and 1,000 workgroups. Prints one table and writes it as JSON. Not a test: nothing fails because a machine is busy.
//!
//!     watchdog-bench ARTEFACT OUT.json [ROUNDS]
//!
//! Every round starts a new process for each account in turn, so that what the machine does meanwhile meets all alike; the figures are
//! medians. Not measured: TLS, which the fake does not speak.

#![expect(clippy::print_stdout, reason = "the table")]

mod fake;
mod function;
mod http;

use std::collections::BTreeMap;
use std::io::{Error, Result};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use fake::{Call, Fake};
use function::{Function, Invocation};
use jiff::Timestamp;
use serde_json::{Value, json};

const WORKGROUPS: [usize; 3] = [5, 100, 1000];
const ROUNDS: usize = 7;
/// A call within a Region.
const LATENCY: Duration = Duration::from_millis(20);
/// Runs in which an account must have been learnt: a thousand workgroups take two at most.
const MOST_LEARNING: usize = 10;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (artefact, out, rounds) = match &arguments[..] {
        [artefact, out] => (artefact, out, Ok(ROUNDS)),
        [artefact, out, rounds] => (artefact, out, rounds.parse()),
        _ => return fail("usage: watchdog-bench ARTEFACT OUT.json [ROUNDS]", 2),
    };
    let Ok(rounds @ 1..=1000) = rounds else { return fail("ROUNDS is a number from 1 to 1000", 2) };
    match measure(Path::new(artefact), rounds) {
        Ok(table) => {
            print(&table);
            match std::fs::write(out, format!("{table:#}\n")) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(&format!("`{out}` cannot be written: {error}"), 1),
            }
        }
        Err(error) => fail(&format!("`{artefact}`: {error}"), 1),
    }
}

fn fail(message: &str, code: u8) -> ExitCode {
    eprintln!("error: {message}");
    ExitCode::from(code)
}

/// What is kept of one run.
#[derive(Default)]
struct Figures(BTreeMap<&'static str, Vec<f64>>);

impl Figures {
    fn note(&mut self, name: &'static str, value: f64) {
        self.0.entry(name).or_default().push(value);
    }

    fn median(&self, name: &str) -> f64 {
        let mut values = self.0.get(name).cloned().unwrap_or_default();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// The longest chain of calls of which each began when the one before was answered.
fn depth(calls: &[Call]) -> usize {
    let mut calls: Vec<&Call> = calls.iter().collect();
    calls.sort_by_key(|call| call.start);
    let mut depths = Vec::with_capacity(calls.len());
    for (i, call) in calls.iter().enumerate() {
        let before = (0..i).filter(|j| calls[*j].end <= call.start).map(|j| depths[j]).max().unwrap_or(0);
        depths.push(before + 1);
    }
    depths.into_iter().max().unwrap_or(0)
}

fn by_operation(calls: &[Call]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for call in calls {
        *counts.entry(call.operation.clone()).or_insert(0) += 1;
    }
    counts
}

/// One run at `latency`, with its calls. What is not as it should be makes the figures worthless, and is an error.
fn run(fake: &Fake, function: &Function, latency: Duration) -> Result<(Invocation, Vec<Call>)> {
    fake.set_latency(latency);
    drop(fake.take_calls());
    let invocation = function.invoke()?;
    let refused = fake.refused();
    if !refused.is_empty() {
        return Err(Error::other(format!("the fake does not know {refused:?}: teach it, in tools/bench/src/fake.rs")));
    }
    Ok((invocation, fake.take_calls()))
}

/// Whether every limit of the report is `ok`.
fn is_quiet(report: &Value, workgroups: usize) -> bool {
    let bytes = report["limits"].as_array().into_iter().flatten().filter(|limit| !limit["limit_bytes"].is_null());
    let levels: Vec<_> = bytes.map(|limit| limit["level"].as_str().unwrap_or_default()).collect();
    levels.len() == 2 * workgroups && levels.iter().all(|level| *level == "ok")
}

fn measure(artefact: &Path, rounds: usize) -> Result<Value> {
    let size = std::fs::metadata(artefact)?.len();
    let mut accounts = Vec::new();
    for workgroups in WORKGROUPS {
        let fake = Fake::start(workgroups)?;
        // The account is learnt once, whatever that takes, and is in the table from then on.
        let function = Function::start(artefact, fake.address)?;
        let mut learnt = false;
        for _ in 0..MOST_LEARNING {
            let (invocation, _) = run(&fake, &function, Duration::ZERO)?;
            learnt = is_quiet(&invocation.report, workgroups);
            if learnt {
                break;
            }
        }
        if !learnt {
            return Err(Error::other(format!(
                "not all of {workgroups} workgroups are `ok` after {MOST_LEARNING} runs"
            )));
        }
        accounts.push((workgroups, fake, Figures::default(), BTreeMap::new()));
    }
    for _ in 0..rounds {
        for (workgroups, fake, figures, calls) in &mut accounts {
            let function = Function::start(artefact, fake.address)?;
            figures.note("init_ms", milliseconds(function.init));
            let mut one = |what: [&'static str; 4], latency| {
                let (invocation, made) = run(fake, &function, latency)?;
                if !is_quiet(&invocation.report, *workgroups) {
                    return Err(Error::other(format!("a run that is not quiet: {}", invocation.report)));
                }
                let fakes_own: Duration = made.iter().map(|c| (c.end - c.start).saturating_sub(latency)).sum();
                for (name, value) in what.into_iter().zip([
                    milliseconds(invocation.wall),
                    depth(&made) as f64,
                    made.len() as f64,
                    milliseconds(invocation.cpu),
                ]) {
                    figures.note(name, value);
                }
                Ok((made, fakes_own))
            };
            one(["first_wall_ms", "first_depth", "first_calls", "first_cpu_ms"], LATENCY)?;
            let (made, _) = one(["warm_wall_ms", "warm_depth", "warm_calls", "warm_cpu_ms"], LATENCY)?;
            let (_, own) =
                one(["warm_wall_at_0_ms", "warm_depth_at_0", "warm_calls_at_0", "warm_cpu_at_0_ms"], Duration::ZERO)?;
            *calls = by_operation(&made);
            figures.note("fake_ms", milliseconds(own));
            figures.note("peak_kb", function.peak_kb()? as f64);
            drop(function);
            // And a first run in which everything that is refreshed now and then is due.
            if !fake.age(Timestamp::now()) {
                return Err(Error::other("no catalogue in the table to age"));
            }
            let function = Function::start(artefact, fake.address)?;
            let (_, made) = run(fake, &function, LATENCY)?;
            figures.note("due_depth", depth(&made) as f64);
            figures.note("due_calls", made.len() as f64);
            // So that the next round finds everything fresh again: what was read has been written down by this run, and the rest is read
            // now.
            while by_operation(&run(fake, &function, Duration::ZERO)?.1).contains_key("athena:GetWorkGroup") {}
        }
    }
    let accounts = accounts.iter().map(|(workgroups, _, figures, calls)| {
        let medians: BTreeMap<_, _> = figures.0.keys().map(|name| (*name, rounded(figures.median(name)))).collect();
        json!({ "workgroups": workgroups, "medians": medians, "calls": calls })
    });
    let accounts: Vec<Value> = accounts.collect();
    Ok(json!({ "artefact_bytes": size, "latency_ms": milliseconds(LATENCY), "rounds": rounds, "accounts": accounts }))
}

/// To a hundredth: more is noise.
fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn print(table: &Value) {
    let rows = [
        ("init_ms", "process start to first poll, ms"),
        ("first_depth", "first run after a cold start: calls one after the other"),
        ("first_calls", "  calls in all"),
        ("first_wall_ms", "  at 20 ms a call, ms"),
        ("first_cpu_ms", "  own processor time, ms"),
        ("warm_depth", "warm run: calls one after the other"),
        ("warm_calls", "  calls in all"),
        ("warm_wall_ms", "  at 20 ms a call, ms"),
        ("warm_wall_at_0_ms", "  at no latency, ms"),
        ("warm_cpu_ms", "  own processor time, ms"),
        ("fake_ms", "  the fake's own time in it at no latency, ms"),
        ("due_depth", "first run with all that is refreshed due: one after the other"),
        ("due_calls", "  calls in all"),
        ("peak_kb", "peak memory, kB"),
    ];
    let accounts = table["accounts"].as_array().map_or(&[][..], Vec::as_slice);
    println!("artefact: {} bytes; medians of {} rounds\n", table["artefact_bytes"], table["rounds"]);
    print!("| {:<62} |", "workgroups, a 1-hour and a 24-hour limit each");
    accounts.iter().for_each(|account| print!(" {:>9} |", account["workgroups"].to_string()));
    println!("\n|{:-<64}|{}", "", "----------:|".repeat(accounts.len()));
    for (name, words) in rows {
        print!("| {words:<62} |");
        accounts
            .iter()
            .for_each(|account| print!(" {:>9} |", account["medians"][name].to_string().trim_end_matches(".0")));
        println!();
    }
    println!("\nof the warm run, by operation:");
    for account in accounts {
        println!("  {:>5}: {}", account["workgroups"], account["calls"]);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// The depth of calls from and to these milliseconds.
    #[track_caller]
    fn check(calls: &[(u64, u64)], expected: usize) {
        let zero = Instant::now();
        let at = |ms| zero + Duration::from_millis(ms);
        let call = |(start, end): &(u64, u64)| Call { operation: String::new(), start: at(*start), end: at(*end) };
        assert_eq!(depth(&calls.iter().map(call).collect::<Vec<_>>()), expected, "{calls:?}");
    }

    #[test]
    fn calls_side_by_side_are_one_deep() {
        check(&[], 0);
        check(&[(0, 20), (1, 21), (19, 40)], 1);
        // Each began when the one before was answered, in whatever order they are noted.
        check(&[(40, 60), (0, 20), (20, 40)], 3);
        // The longest chain counts: two short ones beside a long one.
        check(&[(0, 50), (0, 20), (20, 40), (50, 70)], 3);
        check(&[(0, 45), (0, 20), (20, 40), (42, 60)], 3);
    }
}
