//! The rounds, and the figures that come of them.

use std::collections::BTreeMap;
use std::io::{Error, Result};
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::fake::{Call, Endpoints, Fake};
use crate::function::{Function, Invocation, Program};
use crate::trust::Trust;

/// How many workgroups, and whether they are idle: of those that are used, bytes prove that their metrics are on; the others are asked about.
const ACCOUNTS: [(usize, bool); 4] = [(5, false), (100, false), (1000, false), (1000, true)];
/// A call within a Region.
const LATENCY: Duration = Duration::from_millis(20);
/// Runs in which an account must have been learnt: a thousand workgroups that are used take two, and idle ones a hundred.
const MOST_LEARNING: usize = 120;
/// Of so many rounds a peer takes part in one where there are a thousand workgroups: its run takes half a minute there.
const PEERS_EVERY: usize = 3;

/// What somebody would write instead.
pub struct Peer {
    /// As in the JSON.
    pub name: &'static str,
    pub program: Program,
}

/// What is kept of the runs of one program in one account.
#[derive(Default)]
struct Figures {
    values: BTreeMap<&'static str, Vec<f64>>,
    /// Of a warm run, by operation.
    calls: BTreeMap<String, usize>,
}

impl Figures {
    fn note(&mut self, name: &'static str, value: f64) {
        self.values.entry(name).or_default().push(value);
    }

    fn json(&self) -> Value {
        let median = |values: &Vec<f64>| {
            let mut values = values.clone();
            values.sort_by(f64::total_cmp);
            // To a hundredth: more is noise.
            values.get(values.len() / 2).map(|value| (value * 100.0).round() / 100.0)
        };
        let medians: BTreeMap<_, _> = self.values.iter().map(|(name, values)| (*name, median(values))).collect();
        json!({ "medians": medians, "calls": self.calls })
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// The longest chain of stretches of time of which each began when the one before had ended.
fn depth(stretches: impl IntoIterator<Item = (Instant, Instant)>) -> usize {
    let mut stretches: Vec<_> = stretches.into_iter().collect();
    stretches.sort();
    let mut depths = Vec::with_capacity(stretches.len());
    for (i, (start, _)) in stretches.iter().enumerate() {
        let before = (0..i).filter(|j| stretches[*j].1 <= *start).map(|j| depths[j]).max().unwrap_or(0);
        depths.push(before + 1);
    }
    depths.into_iter().max().unwrap_or(0)
}

fn depth_of(calls: &[Call]) -> usize {
    depth(calls.iter().map(|call| (call.start, call.end)))
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
    drop((fake.take_calls(), fake.take_opened()));
    let invocation = function.invoke()?;
    let refused = fake.refused();
    if !refused.is_empty() {
        return Err(Error::other(format!("the fake does not know {refused:?}: teach it, in tools/bench/src/fake.rs")));
    }
    Ok((invocation, fake.take_calls()))
}

/// One run that must be quiet, its figures noted under these names: wall clock, depth, calls, processor time.
fn noted(
    fake: &Fake,
    function: &Function,
    latency: Duration,
    workgroups: usize,
    names: [&'static str; 4],
    figures: &mut Figures,
) -> Result<Vec<Call>> {
    let (invocation, made) = run(fake, function, latency)?;
    if !is_quiet(&invocation.report, workgroups) {
        return Err(Error::other(format!("a run that is not quiet: {}", invocation.report)));
    }
    let values =
        [milliseconds(invocation.wall), depth_of(&made) as f64, made.len() as f64, milliseconds(invocation.cpu)];
    names.into_iter().zip(values).for_each(|(name, value)| figures.note(name, value));
    Ok(made)
}

const FIRST: [&str; 4] = ["first_wall_ms", "first_depth", "first_calls", "first_cpu_ms"];
const WARM: [&str; 4] = ["warm_wall_ms", "warm_depth", "warm_calls", "warm_cpu_ms"];
const WARM_AT_0: [&str; 4] = ["warm_wall_at_0_ms", "warm_depth_at_0", "warm_calls_at_0", "warm_cpu_at_0_ms"];
const TLS: [&str; 4] = ["tls_first_wall_ms", "tls_first_depth", "tls_first_calls", "tls_first_cpu_ms"];

/// Whether every limit of the report is `ok`.
fn is_quiet(report: &Value, workgroups: usize) -> bool {
    let bytes = report["limits"].as_array().into_iter().flatten().filter(|limit| !limit["limit_bytes"].is_null());
    let levels: Vec<_> = bytes.map(|limit| limit["level"].as_str().unwrap_or_default()).collect();
    levels.len() == 2 * workgroups && levels.iter().all(|level| *level == "ok")
}

/// An account, and what is known of each program's runs in it.
struct Account {
    workgroups: usize,
    idle: bool,
    fake: Fake,
    ours: Figures,
    peers: Vec<Figures>,
}

/// Measures `ours` and the peers in so many rounds. What is written on the way lies beside `out`.
pub fn measure(ours: &Program, peers: &[Peer], out: &Path, rounds: usize) -> Result<Value> {
    let size = std::fs::metadata(&ours.path)?.len();
    let trust = Trust::new(out.parent().unwrap_or(Path::new(".")))?;
    let mut accounts = Vec::new();
    for (workgroups, idle) in ACCOUNTS {
        let fake = Fake::start(workgroups, idle, &trust)?;
        learn(ours, &fake, workgroups)?;
        let peers = peers.iter().map(|_| Figures::default()).collect();
        accounts.push(Account { workgroups, idle, fake, ours: Figures::default(), peers });
    }
    for round in 0..rounds {
        for account in &mut accounts {
            one_round(ours, account)?;
            // A peer asks everybody everything, used or not.
            for (peer, figures) in peers.iter().zip(&mut account.peers).filter(|_| !account.idle) {
                if account.workgroups < 1000 || round % PEERS_EVERY == 0 {
                    one_round_of_a_peer(&peer.program, &account.fake, account.workgroups, figures)?;
                }
            }
        }
    }
    let accounts = accounts.iter().map(|account| {
        let mut json = account.ours.json();
        json["workgroups"] = json!(account.workgroups);
        json["idle"] = json!(account.idle);
        let of_peers = peers
            .iter()
            .zip(&account.peers)
            .filter(|_| !account.idle)
            .map(|(peer, figures)| (peer.name.to_owned(), figures.json()));
        json["peers"] = Value::Object(of_peers.collect());
        json
    });
    let accounts: Vec<Value> = accounts.collect();
    Ok(json!({ "artefact_bytes": size, "latency_ms": milliseconds(LATENCY), "rounds": rounds, "accounts": accounts }))
}

/// The account is learnt once, whatever that takes, and is in the table from then on.
fn learn(ours: &Program, fake: &Fake, workgroups: usize) -> Result<()> {
    let function = Function::start(ours, &fake.plain)?;
    for _ in 0..MOST_LEARNING {
        let (invocation, _) = run(fake, &function, Duration::ZERO)?;
        if is_quiet(&invocation.report, workgroups) {
            return Ok(());
        }
    }
    Err(Error::other(format!("not all of {workgroups} workgroups are `ok` after {MOST_LEARNING} runs")))
}

fn one_round(ours: &Program, account: &mut Account) -> Result<()> {
    let Account { workgroups, fake, ours: figures, .. } = account;
    let function = Function::start(ours, &fake.plain)?;
    figures.note("init_ms", milliseconds(function.init));
    noted(fake, &function, LATENCY, *workgroups, FIRST, figures)?;
    let made = noted(fake, &function, LATENCY, *workgroups, WARM, figures)?;
    figures.calls = by_operation(&made);
    let made = noted(fake, &function, Duration::ZERO, *workgroups, WARM_AT_0, figures)?;
    figures.note("fake_ms", milliseconds(made.iter().map(|call| call.end - call.start).sum()));
    figures.note("peak_kb", function.peak_kb()? as f64);
    drop(function);
    // A first run whose connections are over TLS, each service at an address of its own.
    let function = Function::start(ours, &fake.secure)?;
    noted(fake, &function, LATENCY, *workgroups, TLS, figures)?;
    let opened = fake.take_opened();
    figures.note("tls_opened", opened.len() as f64);
    figures.note("tls_opened_depth", depth(opened.iter().map(|opened| (opened.start, opened.end))) as f64);
    figures.note("tls_peak_kb", function.peak_kb()? as f64);
    drop(function);
    // And a first run in which everything that is refreshed now and then is due.
    if !fake.age(Timestamp::now()) {
        return Err(Error::other("no catalogue in the table to age"));
    }
    let due = Function::start(ours, &fake.plain)?;
    let (_, made) = run(fake, &due, LATENCY)?;
    figures.note("due_depth", depth_of(&made) as f64);
    figures.note("due_calls", made.len() as f64);
    // The runs after it, until all of it is fresh again, as the next round has to find it: the most that one of them takes.
    let (mut most_depth, mut most_calls) = (0, 0);
    loop {
        let (_, made) = run(fake, &due, LATENCY)?;
        let counts = by_operation(&made);
        let pages = counts.get("athena:ListWorkGroups").copied().unwrap_or(0);
        if pages <= 1 && !counts.contains_key("athena:GetWorkGroup") && !counts.contains_key("cloudwatch:ListMetrics") {
            break;
        }
        most_depth = most_depth.max(depth_of(&made));
        most_calls = most_calls.max(made.len());
    }
    figures.note("going_on_depth", most_depth as f64);
    figures.note("going_on_calls", most_calls as f64);
    Ok(())
}

fn one_round_of_a_peer(peer: &Program, fake: &Fake, workgroups: usize, figures: &mut Figures) -> Result<()> {
    let once = |endpoints: &Endpoints| Function::start(peer, endpoints);
    let function = once(&fake.plain)?;
    figures.note("init_ms", milliseconds(function.init));
    // Its first run is like all others; it learns nothing.
    run(fake, &function, Duration::ZERO)?;
    let made = noted(fake, &function, LATENCY, workgroups, WARM, figures)?;
    figures.calls = by_operation(&made);
    noted(fake, &function, Duration::ZERO, workgroups, WARM_AT_0, figures)?;
    figures.note("peak_kb", function.peak_kb()? as f64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The depth of calls from and to these milliseconds.
    #[track_caller]
    fn check(calls: &[(u64, u64)], expected: usize) {
        let zero = Instant::now();
        let at = |ms| zero + Duration::from_millis(ms);
        assert_eq!(depth(calls.iter().map(|(start, end)| (at(*start), at(*end)))), expected, "{calls:?}");
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
