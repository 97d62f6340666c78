//! Every call of a run times every fault, in stories of several runs: what a fault breaks in one shows in the next.
//!
//! A brute-force model knows what the use was at each tick, and so what every person had to be told; it reads the mails back with a parser of
//! its own and knows nothing of records, leases or revisions.

mod aws;
mod stories;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use mail_parser::MessageParser;
use watchdog_aws::clients::Clients;
use watchdog_aws::gather::PolicySource;
use watchdog_aws::pass::{self, RunError, Settings};
use watchdog_core::catalogue::Catalogue;
use watchdog_core::event::{Invocation, Source};
use watchdog_core::report::RunReport;

use self::aws::{Fault, Shared, Strike, World};

const POLICY: &str = r#"
[mail]
sender = "watchdog@example.com"
admins = ["ann@example.com", "bob@example.com"]
allowed_domains = ["example.com"]

[active_queries]
hold = "0 min"

[defaults]
hold = "0 min"
forecast = "off"

[[workgroup]]
name = "etl"
[[workgroup.limit]]
window = "1h"
limit = "100 GB"

[[workgroup]]
name = "exploratory"
owner = "cem@example.com"
audience = ["owner"]
[[workgroup.limit]]
window = "1h"
limit = "100 GB"
"#;

/// Who hears of which workgroup's limit.
const AUDIENCE: [(&str, &str); 5] = [
    ("ann@example.com", "etl"),
    ("bob@example.com", "etl"),
    ("cem@example.com", "exploratory"),
    ("ann@example.com", ACTIVE),
    ("bob@example.com", ACTIVE),
];

/// The account's active DML queries, which have a quota and no workgroup.
const ACTIVE: &str = "DML";

/// Use in percent at each tick, five minutes apart: opened, escalated, as it was, one resolved, both resolved, and calm; and beside it active
/// queries in percent of their quota.
const STORY: [(u8, u8, u8); 6] =
    [(10, 82, 30), (96, 82, 85), (97, 100, 100), (82, 20, 100), (20, 20, 20), (20, 20, 20)];

fn level(percent: u8, critical: u8) -> &'static str {
    match percent {
        100.. => "exhausted",
        percent if percent >= critical => "critical",
        80.. => "warn",
        _ => "resolved",
    }
}

fn rank(level: &str) -> usize {
    ["resolved", "warn", "critical", "exhausted"].iter().position(|known| *known == level).unwrap_or(9)
}

fn truth(run: usize, workgroup: &str) -> &'static str {
    let (etl, exploratory, active) = STORY[run];
    match workgroup {
        "etl" => level(etl, 95),
        "exploratory" => level(exploratory, 95),
        _ => level(active, 90),
    }
}

/// Something that a mail has told somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Said {
    run: usize,
    to: String,
    /// A workgroup's limit, or [`ACTIVE`]; or `sight` and either.
    of: String,
    level: String,
}

/// What all mails so far have said, read from their text parts.
fn said(world: &World) -> Vec<Said> {
    let mut all = Vec::new();
    for mail in &world.mailed {
        let message = MessageParser::default().parse(&mail.raw).expect("a message");
        let text = message.body_text(0).expect("a text part");
        let lines: Vec<&str> = text.lines().collect();
        for (n, line) in lines.iter().enumerate() {
            let Some((level, title)) = line.strip_prefix('[').and_then(|rest| rest.split_once("] ")) else { continue };
            if let Some(of) = title.contains(" DML queries ").then(|| {
                let is_sight = title.starts_with("how near");
                if is_sight { format!("sight {ACTIVE}") } else { ACTIVE.to_owned() }
            }) {
                all.push(Said { run: mail.run, to: mail.to.clone(), of, level: level.to_owned() });
                continue;
            }
            // Of several workgroups the title gives the number, and the sentence below it the names.
            let is_of_a_limit = title.contains("% of ");
            let words = if is_of_a_limit { (*title).to_owned() } else { lines[n..].iter().take(3).copied().collect() };
            for workgroup in ["etl", "exploratory"].into_iter().filter(|name| words.contains(name)) {
                let of = if is_of_a_limit { workgroup.to_owned() } else { format!("sight {workgroup}") };
                all.push(Said { run: mail.run, to: mail.to.clone(), of, level: level.to_owned() });
            }
        }
    }
    all
}

/// What was found to be wrong, by kind. All of it has to be nothing.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Count {
    stories: usize,
    lost: usize,
    beyond: usize,
    wrong: usize,
    unknown_as_fine: usize,
    claimed: usize,
    /// The first of them, for whoever has to mend it.
    first: Option<String>,
}

impl Count {
    fn add(&mut self, other: Self) {
        self.stories += other.stories;
        self.lost += other.lost;
        self.beyond += other.beyond;
        self.wrong += other.wrong;
        self.unknown_as_fine += other.unknown_as_fine;
        self.claimed += other.claimed;
        self.first = self.first.take().or(other.first);
    }

    fn note(&mut self, what: String) {
        self.first.get_or_insert(what);
    }
}

/// A watchdog in its world.
struct Stage {
    world: Shared,
    clients: Clients,
    catalogue: Catalogue,
    begin: Timestamp,
    invocations: usize,
}

/// How an invocation ended.
enum End {
    Done(Box<RunReport>),
    Failed(RunError),
    Killed,
}

impl Stage {
    async fn new() -> Self {
        let world = Arc::new(Mutex::new(World { policy: POLICY.to_owned(), ..World::default() }));
        let clients = Clients::new(&aws::config(&world).await);
        // On a border of five minutes, and in no past: a run's deadline is about real time.
        let now = Timestamp::now().as_second();
        let begin = Timestamp::from_second(now / 300 * 300 + 300).expect("a time");
        Self { world, clients, catalogue: Catalogue::default(), begin, invocations: 0 }
    }

    /// One invocation for the tick of `run`, `late` seconds after it.
    async fn invoke(&mut self, run: usize, late: i64, strike: Option<Strike>) -> End {
        let (tick, now) = self.set(run, late, strike);
        let settings = self.settings(now + SignedDuration::from_secs(60));
        let invocation = Invocation { dry_run: false, source: Source::Scheduler, time: Some(tick) };
        let death = self.world.lock().expect("a world").death.clone();
        let end = tokio::select! {
            outcome = pass::run(&self.clients, &settings, &mut self.catalogue, &invocation, now) => match outcome {
                Ok((report, _)) => End::Done(Box::new(report)),
                Err(error) => End::Failed(error),
            },
            () = death.notified() => End::Killed,
        };
        if matches!(end, End::Killed) {
            // A new process: it knows nothing, and has new connections.
            self.catalogue = Catalogue::default();
            self.clients = Clients::new(&aws::config(&self.world).await);
        }
        end
    }

    /// Sets the scene for `run`: the tick, and the clock `late` seconds after it.
    fn set(&mut self, run: usize, late: i64, strike: Option<Strike>) -> (Timestamp, Timestamp) {
        let tick = self.begin + SignedDuration::from_mins(5 * i64::try_from(run).expect("few"));
        let mut world = self.world.lock().expect("a world");
        let (etl, exploratory, active) = STORY[run];
        world.active = f64::from(active);
        world.used = BTreeMap::from([("etl".into(), f64::from(etl)), ("exploratory".into(), f64::from(exploratory))]);
        (world.run, world.strike, world.struck) = (run, strike, None);
        world.calls.clear();
        world.metrics_answered = false;
        (tick, tick + SignedDuration::from_secs(late))
    }

    fn settings(&mut self, deadline: Timestamp) -> Settings {
        self.invocations += 1;
        Settings {
            policy: PolicySource::Parameters("/w".to_owned()),
            table: Some("state".to_owned()),
            run_id: format!("run-{}", self.invocations),
            name: "watchdog".to_owned(),
            feed: false,
            deadline,
        }
    }
}

/// What came of a story.
struct Played {
    count: Count,
    /// The operation that was struck.
    struck: String,
    /// Whether the invocation that was struck did its job all the same.
    is_survived: bool,
}

/// Plays the story with one strike in one run; `retries` says whether Lambda tries a failed invocation again, as it does by default.
async fn play(struck_run: usize, strike: Option<Strike>, retries: bool) -> Played {
    let mut stage = Stage::new().await;
    let mut count = Count { stories: 1, ..Count::default() };
    let (mut struck, mut is_survived) = (String::new(), true);
    for run in 0..STORY.len() {
        let now = strike.clone().filter(|_| run == struck_run);
        let mut end = stage.invoke(run, 2, now).await;
        if run == struck_run {
            struck = stage.world.lock().expect("a world").struck.clone().unwrap_or_default();
            is_survived = matches!(end, End::Done(_));
        }
        judge(&stage, run, &end, &mut count);
        if retries && !matches!(end, End::Done(_)) {
            // Lambda waits a minute.
            end = stage.invoke(run, 63, None).await;
            judge(&stage, run, &end, &mut count);
        }
    }
    let world = stage.world.lock().expect("a world");
    let said = said(&world);
    // Two ticks of calm have passed: whoever was told of anything has been told that it is over.
    for (to, of) in AUDIENCE {
        let last = said.iter().rfind(|said| said.to == to && said.of == of);
        if last.is_none_or(|last| last.level != "resolved") {
            count.lost += 1;
            count.note(format!("{to} was last told {last:?} of {of}, and all is calm"));
        }
    }
    let may_repeat = strike.as_ref().is_some_and(|strike| {
        let cuts = ["SendRawEmail", "TransactWriteItems"].contains(&struck.as_str());
        strike.fault.kills() || cuts
    });
    for (n, one) in said.iter().enumerate() {
        let same = |other: &&Said| (&other.to, &other.of, &other.level) == (&one.to, &one.of, &one.level);
        let times = said[..=n].iter().filter(same).count();
        if times > if may_repeat { 2 } else { 1 } {
            count.beyond += 1;
            count.note(format!("{one:?} for the {times}. time"));
        }
        let is_true = match one.of.strip_prefix("sight ") {
            Some(_) => true,
            None => truth(one.run, &one.of) == one.level,
        };
        if !is_true {
            count.wrong += 1;
            count.note(format!("{one:?}, and it was {}", truth(one.run, &one.of)));
        }
    }
    Played { count, struck, is_survived }
}

/// Holds an invocation's end against what people have been told by then.
fn judge(stage: &Stage, run: usize, end: &End, count: &mut Count) {
    let world = stage.world.lock().expect("a world");
    let report = match end {
        End::Done(report) => Some(report),
        End::Failed(error) => error.report.as_ref(),
        End::Killed => None,
    };
    for limit in report.iter().flat_map(|report| &report.limits) {
        let is_known = world.metrics_answered;
        let right = match limit.level {
            "unknown" => limit.used_bytes.is_none(),
            "ok" => is_known && truth(run, &limit.workgroup) == "resolved",
            // Below the threshold by less than the margin the story stays as bad as it was; the report says what is.
            level => is_known && truth(run, &limit.workgroup) == level,
        };
        if !right {
            count.unknown_as_fine += 1;
            count.note(format!("run {run}: {limit:?}, and it was {}", truth(run, &limit.workgroup)));
        }
    }
    for limit in report.iter().flat_map(|report| &report.query_limits).filter(|limit| limit.class == Some(ACTIVE)) {
        let is_right = match limit.level {
            "unknown" => limit.used.is_none(),
            level => world.metrics_answered && truth(run, ACTIVE) == if level == "ok" { "resolved" } else { level },
        };
        if !is_right {
            count.unknown_as_fine += 1;
            count.note(format!("run {run}: {limit:?}, and it was {}", truth(run, ACTIVE)));
        }
    }
    let End::Done(report) = end else { return };
    if report.skipped.is_some() {
        return;
    }
    let said = said(&world);
    let unknown = |of: &str| match report.query_limits.iter().find(|limit| limit.class == Some(of)) {
        Some(limit) => limit.level == "unknown",
        None => report.unseen.iter().any(|unseen| unseen.workgroup == of),
    };
    for (to, of) in AUDIENCE {
        let last = said.iter().rfind(|said| said.to == to && said.of == of).map_or("resolved", |said| &said.level);
        let is = truth(run, of);
        // One that cannot be seen stays as it was; one that falls is not told until it is over.
        let right = unknown(of) || (rank(last) >= rank(is) && (is != "resolved" || last == "resolved"));
        if !right {
            count.claimed += 1;
            count.note(format!("run {run} was done, and {to} was last told `{last}` of {of}, which is {is}"));
        }
    }
    // What will be examined in the next run is no trouble yet.
    let passes = |workgroup: &str| {
        report.unseen.iter().any(|unseen| unseen.workgroup == workgroup && unseen.why == "not_examined_yet")
    };
    for workgroup in ["etl", "exploratory", ACTIVE].into_iter().filter(|workgroup| !passes(workgroup)) {
        for to in ["ann@example.com", "bob@example.com"] {
            let of = format!("sight {workgroup}");
            let last = said.iter().rfind(|said| said.to == to && said.of == of).map_or("resolved", |said| &said.level);
            if (last == "cannot see") != unknown(workgroup) {
                count.claimed += 1;
                count.note(format!("run {run} was done, and {to} was last told `{last}` of {of}: {:?}", report.unseen));
            }
        }
    }
}

/// How many calls each run of the undisturbed story makes.
async fn calls() -> Vec<usize> {
    let mut stage = Stage::new().await;
    let mut calls = Vec::new();
    for run in 0..STORY.len() {
        let end = stage.invoke(run, 2, None).await;
        assert!(matches!(end, End::Done(_)));
        calls.push(stage.world.lock().expect("a world").calls.len());
    }
    calls
}

#[tokio::test(start_paused = true)]
async fn undisturbed_everybody_is_told_once() {
    let played = play(0, None, true).await;
    assert_eq!(played.count, Count { stories: 1, ..Count::default() });
}

/// Whether more of it is tried, for a minute, as in the end-to-end tests; otherwise a part of it, for seconds. `make faults` tries all.
const THOROUGH: bool = cfg!(feature = "local-aws");

/// Whether `docs/faults.md` is to be made anew, which takes all strikes.
fn is_for_the_page() -> bool {
    std::env::var_os("WATCHDOG_FAULTS_PAGE").is_some()
}

/// The page: what came of it, by operation and fault.
fn page(table: &Table, all: &Count) -> String {
    let heading = |all: &[&str]| format!("| {} |\n|{}\n", all.join(" | "), "---|".repeat(all.len()));
    let counts = |count: &Count| {
        let Count { stories, lost, beyond, wrong, unknown_as_fine, claimed, .. } = count;
        format!("{stories} | {lost} | {beyond} | {wrong} | {unknown_as_fine} | {claimed}")
    };
    let columns = [
        "stories",
        "alerts lost",
        "repeats beyond the bound",
        "wrong levels",
        "unknown shown as fine",
        "success claimed wrongly",
    ];
    let mut page = include_str!("page.md").to_owned();
    page.push_str(&heading(&[&["call that is struck"], &columns[..]].concat()));
    for (operation, faults) in table {
        let mut sum = Count::default();
        faults.values().for_each(|count| sum.add(count.clone()));
        page.push_str(&format!("| `{operation}` | {} |\n", counts(&sum)));
    }
    page.push_str(&format!("| **all** | {} |\n\n", counts(all)));
    page.push_str(&heading(&[&["fault"], &columns[..]].concat()));
    for fault in Fault::ALL {
        let mut sum = Count::default();
        table.values().filter_map(|faults| faults.get(&fault)).for_each(|count| sum.add(count.clone()));
        page.push_str(&format!("| {} | {} |\n", fault.words(), counts(&sum)));
    }
    page
}

/// Strikes to try, by run: every call times every fault.
fn strikes(calls: &[usize]) -> Vec<(usize, Strike)> {
    // The last runs are calm: what is to be told is told in those before.
    let mut all = Vec::new();
    for (run, calls) in calls.iter().enumerate().take(5) {
        for call in 0..*calls {
            for fault in Fault::ALL {
                all.push((run, Strike { call, fault, lasting: false }));
                // A process dies once.
                all.extend((!fault.kills()).then_some((run, Strike { call, fault, lasting: true })));
            }
        }
    }
    let step = match (is_for_the_page(), THOROUGH) {
        (true, _) => 1,
        // Primes, so that every fault and every operation has its turn.
        (_, true) => 7,
        (_, false) => 41,
    };
    all.into_iter().step_by(step).collect()
}

/// What came of each operation's faults.
type Table = BTreeMap<String, BTreeMap<Fault, Count>>;

/// Plays these stories, each on a clock of its own that does not wait.
fn play_all(strikes: &[(usize, Strike)]) -> Table {
    let mut table = Table::new();
    for (run, strike) in strikes {
        // With Lambda's retries, and then without, where there was one: the next tick has to do.
        for retries in [true, false] {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
            let played = play(*run, Some(strike.clone()), retries);
            let Played { count, struck, is_survived } = runtime.expect("a runtime").block_on(played);
            if let Some(first) = &count.first {
                eprintln!("run {run}, {strike:?} on {struck}, retries {retries}: {first}");
            }
            table.entry(struck).or_default().entry(strike.fault).or_default().add(count);
            if is_survived {
                break;
            }
        }
    }
    table
}

#[test]
fn no_fault_at_any_call_loses_an_alert() {
    let started = std::time::Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let strikes = strikes(&runtime.expect("a runtime").block_on(calls()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let parts = std::thread::scope(|scope| {
        let part = |n| strikes.iter().skip(n).step_by(threads).cloned().collect::<Vec<_>>();
        let running: Vec<_> = (0..threads).map(|n| scope.spawn(move || play_all(&part(n)))).collect();
        running.into_iter().map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>()
    });
    let mut table = Table::new();
    for (operation, faults) in parts.into_iter().flatten() {
        let operation = table.entry(operation).or_default();
        faults.into_iter().for_each(|(fault, count)| operation.entry(fault).or_default().add(count));
    }
    let mut all = Count::default();
    for count in table.values().flat_map(BTreeMap::values) {
        all.add(count.clone());
    }
    if is_for_the_page() {
        let place = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/faults.md");
        std::fs::write(place, page(&table, &all)).expect("the page is written");
    }
    eprintln!("{} stories in {:.0?}", all.stories, started.elapsed());
    assert_eq!(Count { stories: 0, ..all }, Count::default());
}
