//! Every call of a run times every fault, in stories of several runs: what a fault breaks in one shows in the next.
//!
//! A brute-force model knows what the use was at each tick, and so what every person had to be told; it reads the mails back with a parser of
//! its own and knows nothing of records, leases or revisions.

mod aws;
mod page;
mod people;
mod permitted;
mod silent;
mod stories;
mod warm;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lambda_runtime::Context;
use mail_parser::MessageParser;
use serde_json::{Value, json};
use watchdog_aws::clients::Clients;
use watchdog_aws::gather::PolicySource;
use watchdog_aws::pass::Settings;
use watchdog_core::report::RunReport;
use watchdog_lambda::handler::{Environment, Failure, Function};

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
/// queries in percent of their quota, in one tick only, for each call of theirs is a hundred stories.
const STORY: [(u8, u8, u8); 6] = [(10, 82, 0), (96, 82, 100), (97, 100, 20), (82, 20, 20), (20, 20, 20), (20, 20, 20)];

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
    // A look at active queries goes ten minutes back: a run that fails or never happens does not make a burst go unseen.
    let active = active.max(run.checked_sub(1).map_or(0, |before| STORY[before].2));
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
    /// Invocations that Lambda had to cut off, because they did not end in time.
    cut_off: usize,
    /// Of the story with a grant: the cutoff was not as before in the end, or meanwhile anything but that and the raised one.
    left_raised: usize,
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
        self.left_raised += other.left_raised;
        self.cut_off += other.cut_off;
        self.first = self.first.take().or(other.first);
    }

    fn note(&mut self, what: String) {
        self.first.get_or_insert(what);
    }
}

/// A watchdog in its world: the handler that ships, and the clients that it has.
struct Stage {
    world: Shared,
    clients: Clients,
    function: Function,
    begin: Timestamp,
    invocations: usize,
    /// Invocations that were cut off by their time-out.
    cut_off: usize,
}

/// How an invocation ended.
enum End {
    Done(Box<RunReport>),
    Failed(Failure, Option<Box<RunReport>>),
    Killed,
}

impl End {
    /// What it said of itself, where it got that far.
    fn report(&self) -> Option<&RunReport> {
        match self {
            Self::Done(report) => Some(report),
            Self::Failed(_, report) => report.as_deref(),
            Self::Killed => None,
        }
    }
}

/// The function's time-out in the template.
const TIME: Duration = Duration::from_secs(60);

/// What the stack sets, here with the feed of submitters.
fn environment() -> Environment {
    let text = |text: &str| text.to_owned();
    Environment { policy_path: text("/w"), state_table: text("state"), name: text("watchdog"), feed: true }
}

impl Stage {
    async fn new() -> Self {
        Self::with(POLICY).await
    }

    async fn with(policy: &str) -> Self {
        let old = json!({
            "QueryExecutionId": "11111111-2222-3333-4444-555555555555",
            "Status": { "State": "SUCCEEDED", "SubmissionDateTime": 1.0, "CompletionDateTime": 2.0 },
            "Statistics": { "DataScannedInBytes": 5 },
        });
        let executions = ["etl", "exploratory"].map(|name| (name.to_owned(), vec![old.clone()]));
        let world = World { policy: policy.to_owned(), executions: executions.into(), ..World::default() };
        let world = Arc::new(Mutex::new(world));
        let clients = Clients::new(&aws::config(&world).await);
        // The same in every story, so that what fails once fails again: no midnight falls into one now and then.
        let begin = "2027-03-02T10:00:00Z".parse().expect("a time");
        Self {
            function: Function::new(clients.clone(), environment()),
            world,
            clients,
            begin,
            invocations: 0,
            cut_off: 0,
        }
    }

    /// One invocation for the tick of `run`, `late` seconds after it.
    async fn invoke(&mut self, run: usize, late: i64, strike: Option<Strike>) -> End {
        let (tick, now) = self.set(run, late, strike);
        let death = self.world.lock().expect("a world").death.clone();
        let (context, event) = (self.context(now), scheduled(tick));
        let end = tokio::select! {
            outcome = self.function.run(&event, &context, now) => match outcome {
                Ok(report) => End::Done(Box::new(report)),
                Err((failure, report)) => End::Failed(failure, report),
            },
            () = death.notified() => End::Killed,
            // As Lambda does, at the deadline that it gave.
            () = tokio::time::sleep(TIME) => {
                self.cut_off += 1;
                End::Killed
            }
        };
        if matches!(end, End::Killed) {
            self.begin_anew().await;
        }
        end
    }

    /// A new process: it knows nothing, and has new connections.
    async fn begin_anew(&mut self) {
        self.clients = Clients::new(&aws::config(&self.world).await);
        self.function = Function::new(self.clients.clone(), environment());
    }

    /// What Lambda says of an invocation that it cuts off a minute after `now`.
    fn context(&mut self, now: Timestamp) -> Context {
        self.invocations += 1;
        let mut context = Context::default();
        context.request_id = format!("request-{}", self.invocations);
        context.invoked_function_arn = "arn:aws:lambda:eu-central-1:123456789012:function:watchdog".to_owned();
        let deadline = (now + SignedDuration::try_from(TIME).expect("short")).as_millisecond();
        context.deadline = u64::try_from(deadline).expect("after 1970");
        context
    }

    /// Sets the scene for `run`: the tick, and the clock `late` seconds after it.
    fn set(&mut self, run: usize, late: i64, strike: Option<Strike>) -> (Timestamp, Timestamp) {
        let tick = self.begin + SignedDuration::from_mins(5 * i64::try_from(run).expect("few"));
        let mut world = self.world.lock().expect("a world");
        let (etl, exploratory, active) = STORY[run];
        world.active.insert(tick.as_second() - 300, f64::from(active));
        world.used = BTreeMap::from([("etl".into(), f64::from(etl)), ("exploratory".into(), f64::from(exploratory))]);
        if !world.emails.is_empty() {
            people::queries(&mut world, run, tick, exploratory);
        }
        let granted: Vec<String> = world.cutoffs.keys().cloned().collect();
        world.used.extend(granted.into_iter().map(|name| (name, 0.0)));
        (world.run, world.strike, world.struck) = (run, strike, None);
        world.calls.clear();
        world.of_run.clear();
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

/// The event of EventBridge Scheduler for a tick.
fn scheduled(tick: Timestamp) -> Value {
    json!({
        "version": "0", "id": "1", "detail-type": "Scheduled Event", "source": "aws.scheduler", "account": "123456789012", "time": tick,
        "region": "eu-central-1", "resources": [], "detail": "{}",
    })
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
    if stage.cut_off > 0 {
        count.cut_off += stage.cut_off;
        count.note("a run did not end in time".to_owned());
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
    let bound = Bound::new(strike.as_ref(), &struck);
    let mut repeated = BTreeSet::new();
    for (n, one) in said.iter().enumerate() {
        let same = |other: &&Said| (&other.to, &other.of, &other.level) == (&one.to, &one.of, &one.level);
        let times = said[..=n].iter().filter(same).count();
        if times > 1 {
            repeated.insert(one.to.as_str());
        }
        if times > bound.times {
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
    bound.judge(&repeated, &mut count);
    Played { count, struck, is_survived }
}

/// How much may come twice.
struct Bound {
    /// How often anything may be told: twice where a mail left without its record.
    times: usize,
    /// How many people may be told something twice: the one whose mail it was, as everybody's is written down before the next is sent.
    people: usize,
}

impl Bound {
    fn new(strike: Option<&Strike>, struck: &str) -> Self {
        let Some(strike) = strike else { return Self { times: 1, people: 0 } };
        let has_left_without = match struck {
            // It was sent, and nobody said so.
            "SendRawEmail" => strike.fault.acts(),
            "TransactWriteItems" => !strike.fault.acts(),
            _ => false,
        };
        match struck {
            _ if !has_left_without => Self { times: 1, people: 0 },
            "SendRawEmail" if strike.lasting => Self { times: 2, people: usize::MAX },
            _ => Self { times: 2, people: 1 },
        }
    }

    fn judge(&self, repeated: &BTreeSet<&str>, count: &mut Count) {
        if repeated.len() > self.people {
            count.beyond += 1;
            count.note(format!("all of {repeated:?} were told something twice"));
        }
    }
}

/// Why a run stepped back though nobody else is ever at work in a story. Whose process died at the very end has done its tick: then it is right.
fn has_no_reason_to_skip(report: &RunReport) -> Option<&str> {
    report.skipped.as_deref().filter(|why| !why.contains("has been judged already, at"))
}

/// Holds the levels of a report against what is. What is unknown is no number, and nothing that is not known is fine.
fn see(world: &World, run: usize, report: Option<&RunReport>, count: &mut Count) {
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
}

/// Holds an invocation's end against what people have been told by then.
fn judge(stage: &Stage, run: usize, end: &End, count: &mut Count) {
    let world = stage.world.lock().expect("a world");
    see(&world, run, end.report(), count);
    let End::Done(report) = end else { return };
    if let Some(why) = has_no_reason_to_skip(report) {
        count.claimed += 1;
        count.note(format!("run {run} did nothing: {why}"));
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

/// Which of the stories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tale {
    /// Three people, two workgroups, and the account's quota.
    Plain,
    /// The same with submitters, a grant and a silence.
    People,
}

impl Tale {
    async fn stage(self) -> Stage {
        match self {
            Self::Plain => Stage::new().await,
            Self::People => people::stage().await,
        }
    }

    async fn play(self, run: usize, strike: Strike, retries: bool) -> Played {
        match self {
            Self::Plain => play(run, Some(strike), retries).await,
            Self::People => people::play(run, Some(strike), retries).await,
        }
    }
}

/// How many calls each run of the undisturbed story makes.
async fn calls(tale: Tale) -> Vec<usize> {
    let mut stage = tale.stage().await;
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
fn is_thorough() -> bool {
    cfg!(feature = "local-aws") || for_the_page().is_some()
}

/// Whether `docs/faults.md` is to be made anew, and from every how many-th strike: `WATCHDOG_FAULTS_PAGE=1` tries all.
fn for_the_page() -> Option<usize> {
    std::env::var("WATCHDOG_FAULTS_PAGE").ok().map(|step| step.parse().expect("a number"))
}

/// Strikes to try, by run: every call times every fault.
fn strikes(tale: Tale, calls: &[usize]) -> Vec<(usize, Strike)> {
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
    let step = match (for_the_page(), is_thorough()) {
        (Some(step), _) => step,
        // Primes, so that every fault and every operation has its turn.
        (_, true) => 7,
        (_, false) if tale == Tale::Plain => 41,
        (_, false) => 131,
    };
    all.into_iter().step_by(step).collect()
}

/// What came of each operation's faults.
type Table = BTreeMap<String, BTreeMap<Fault, Count>>;

/// Plays these stories, each on a clock of its own that does not wait.
fn play_all(tale: Tale, strikes: &[(usize, Strike)]) -> Table {
    let mut table = Table::new();
    for (run, strike) in strikes {
        // With Lambda's retries, and then without, where there was one: the next tick has to do.
        for retries in [true, false] {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
            let played = tale.play(*run, strike.clone(), retries);
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

/// Plays a story with every strike, and returns what came of it, by operation and in all.
fn sweep(tale: Tale) -> (Table, Count) {
    let started = std::time::Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let strikes = strikes(tale, &runtime.expect("a runtime").block_on(calls(tale)));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let parts = std::thread::scope(|scope| {
        let part = |n| strikes.iter().skip(n).step_by(threads).cloned().collect::<Vec<_>>();
        let running: Vec<_> = (0..threads).map(|n| scope.spawn(move || play_all(tale, &part(n)))).collect();
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
    eprintln!("{tale:?}: {} stories in {:.0?}", all.stories, started.elapsed());
    (table, all)
}

#[test]
fn no_fault_at_any_call_loses_an_alert() {
    let (plain, people) = (sweep(Tale::Plain), sweep(Tale::People));
    if let Some(step) = for_the_page() {
        let place = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/faults.md");
        std::fs::write(place, page::page(&plain, &people, step)).expect("the page is written");
    }
    for (_, all) in [plain, people] {
        assert_eq!(Count { stories: 0, ..all }, Count::default());
    }
}
