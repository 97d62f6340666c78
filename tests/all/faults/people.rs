//! The story with people and promises in it: submitters who are looked for, a grant that is carried out and taken back, and a silence.
//!
//! Use is the same as in the plain story. `exploratory` tells the one who submitted its queries, an IAM user; an alert of `etl` is silenced until
//! shortly before the third run; and the cutoff of `ad-hoc` is raised from shortly before the second run to shortly before the fourth.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use mail_parser::MessageParser;
use serde_json::json;
use watchdog_aws::dynamodb::Table;
use watchdog_core::alert::Subject;
use watchdog_core::bytes::Bytes;
use watchdog_core::grant::cutoff::Cutoff;
use watchdog_core::grant::{Amount, Asker, Book, Grant};
use watchdog_core::principal::Principal;
use watchdog_core::silence::Silence;

use super::aws::{Strike, World};
use super::{Bound, Count, End, Played, STORY, Stage, has_no_reason_to_skip, rank, said, see, truth};

pub const POLICY: &str = r#"
[mail]
sender = "watchdog@example.com"
admins = ["ann@example.com", "bob@example.com"]
allowed_domains = ["example.com"]

[submitters]
show_sql = true

[active_queries]
hold = "0 min"

[grants]
granters = ["role/admin"]
workgroups = ["ad-hoc"]
highest_per_query = "1 TB"
longest = "8h"

[silences]
silencers = ["role/admin"]
longest = "4h"

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
audience = ["submitters"]
[[workgroup.limit]]
window = "1h"
limit = "100 GB"

[[workgroup]]
name = "ad-hoc"
per_query_cutoff = "10 GB"
"#;

/// Whom `exploratory` may be told to: its submitter, and who stands in where nobody can be named.
const OF_EXPLORATORY: [&str; 4] = ["dan@example.com", "cem@example.com", "ann@example.com", "bob@example.com"];
const ADMINS: [&str; 2] = ["ann@example.com", "bob@example.com"];
const USUAL: i64 = 10_000_000_000;
const RAISED: i64 = 50_000_000_000;
/// The first run in which the silence is over, and the runs in which the grant is in force.
const HEARD_FROM: usize = 2;
const GRANTED: [usize; 2] = [1, 2];

/// What Athena and CloudTrail know of the queries behind the use: one that has ended just before the run, and three that run.
pub fn queries(world: &mut World, run: usize, tick: Timestamp, used: u8) {
    let ids = [10 + run, 1, 2, 3].map(|id| format!("{id:08}-2222-3333-4444-555555555555"));
    let seconds = |ago: i64| (tick - SignedDuration::from_secs(ago)).as_second() as f64;
    let sql = "SELECT 'planted-sql'";
    let executions = ids.iter().enumerate().map(|(n, id)| {
        let mut status = json!({ "State": "RUNNING", "SubmissionDateTime": seconds(2000) });
        if n == 0 {
            status["State"] = "SUCCEEDED".into();
            status["CompletionDateTime"] = seconds(100).into();
        }
        json!({
            "QueryExecutionId": id, "WorkGroup": "exploratory", "Status": status, "StatementType": "DML", "Query": sql,
            "Statistics": { "DataScannedInBytes": u64::from(used) * 1_000_000_000 },
        })
    });
    world.executions.insert("exploratory".to_owned(), executions.collect());
    let records = ids.iter().map(|id| {
        json!({
            "eventID": id, "eventName": "StartQueryExecution", "eventSource": "athena.amazonaws.com",
            "eventTime": tick - SignedDuration::from_secs(2000),
            "userIdentity": { "type": "IAMUser", "userName": "dan", "arn": "arn:aws:iam::123456789012:user/dan" },
            "requestParameters": { "queryString": sql, "workGroup": "exploratory" },
            "responseElements": { "queryExecutionId": id },
        })
    });
    world.trail = records.collect();
}

/// The stage of this story, with what has been promised.
pub async fn stage() -> Stage {
    let stage = Stage::with(POLICY).await;
    {
        let mut world = stage.world.lock().expect("a world");
        world.emails.insert("dan".to_owned(), "dan@example.com".to_owned());
        world.cutoffs.insert("ad-hoc".to_owned(), USUAL);
    }
    let tick = |run: i64| stage.begin + SignedDuration::from_mins(5 * run) - SignedDuration::from_mins(1);
    let arn = "arn:aws:sts::123456789012:assumed-role/admin/ann";
    let by = Asker { principal: Principal::of_arn(arn).expect("a principal"), arn: arn.to_owned() };
    let amount = Amount { bytes: Bytes::new(u64::try_from(RAISED).expect("more than none")), binary: false };
    let grant = Grant {
        id: "g-one".to_owned(),
        workgroup: "ad-hoc".to_owned(),
        by: by.clone(),
        reason: "backfill".to_owned(),
        limit: None,
        per_query: Some(amount),
        asked: tick(1),
        from: tick(1),
        until: tick(3),
        needs_approval: false,
        approved: None,
        extended: None,
        revoked: None,
        cutoff: Cutoff::Untouched,
        closed: None,
        requests: vec!["g-one".to_owned()],
    };
    let silence = Silence {
        id: "s-one".to_owned(),
        by,
        reason: "known".to_owned(),
        from: tick(0),
        until: tick(2),
        taken_back: None,
        resolved: None,
    };
    let table = Table { client: stage.clients.dynamodb.clone(), name: "state".to_owned() };
    let mut ledger = table.ledger().await.expect("a ledger");
    table.write_grants(&mut ledger, "ad-hoc", Book { grants: vec![grant] }).await.expect("written");
    let subject = Subject::Limit { workgroup: "etl".to_owned(), window: "1h".to_owned() };
    table.write_silence(&mut ledger, &subject, silence).await.expect("written");
    stage
}

/// What each person was told of the grant, by the badge, in order.
fn told_of_grant(world: &World) -> BTreeMap<String, Vec<String>> {
    let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for mail in &world.mailed {
        let message = MessageParser::default().parse(&mail.raw).expect("a message");
        let text = message.body_text(0).expect("a text part");
        let badges = text.lines().filter_map(|line| line.strip_prefix('[')?.split_once("] ad-hoc: "));
        told.entry(mail.to.clone()).or_default().extend(badges.map(|(badge, _)| badge.to_owned()));
    }
    told
}

/// Plays the story with one strike in one run; `retries` as in the plain story.
pub async fn play(struck_run: usize, strike: Option<Strike>, retries: bool) -> Played {
    let mut stage = stage().await;
    let mut count = Count { stories: 1, ..Count::default() };
    let (mut struck, mut is_survived) = (String::new(), true);
    for run in 0..STORY.len() {
        let now = strike.clone().filter(|_| run == struck_run);
        let mut end = stage.invoke(run, 2, now).await;
        if run == struck_run {
            struck = stage.world.lock().expect("a world").struck.clone().unwrap_or_default();
            is_survived = matches!(end, End::Done(_));
        }
        judge(&stage, run, run > struck_run, &end, &mut count);
        if retries && !matches!(end, End::Done(_)) {
            end = stage.invoke(run, 63, None).await;
            judge(&stage, run, true, &end, &mut count);
        }
    }
    if stage.cut_off > 0 {
        count.cut_off += stage.cut_off;
        count.note("a run did not end in time".to_owned());
    }
    let world = stage.world.lock().expect("a world");
    if world.cutoffs.get("ad-hoc") != Some(&USUAL)
        || world.cutoffs_set.iter().any(|set| ![Some(USUAL), Some(RAISED)].contains(set))
    {
        count.left_raised += 1;
        count.note(format!(
            "the cutoff is {:?} in the end, after {:?}",
            world.cutoffs.get("ad-hoc"),
            world.cutoffs_set
        ));
    }
    let said = said(&world);
    let bound = Bound::new(strike.as_ref(), &struck);
    let mut repeated = BTreeSet::new();
    for (n, one) in said.iter().enumerate().filter(|(_, one)| ["etl", "exploratory"].contains(&one.of.as_str())) {
        let last = said.iter().rfind(|other| (&other.to, &other.of) == (&one.to, &one.of)).expect("itself");
        if last.level != "resolved" {
            count.lost += 1;
            count.note(format!("{} was last told `{}` of {}, and all is calm", one.to, last.level, one.of));
        }
        let same =
            said[..=n].iter().filter(|other| (&other.to, &other.of, &other.level) == (&one.to, &one.of, &one.level));
        let times = same.count();
        if times > 1 {
            repeated.insert(one.to.as_str());
        }
        if times > bound.times {
            count.beyond += 1;
            count.note(format!("{one:?} once more"));
        }
        let is_silenced = one.of == "etl" && one.run < HEARD_FROM;
        if truth(one.run, &one.of) != one.level || is_silenced || !OF_EXPLORATORY.contains(&one.to.as_str()) {
            count.wrong += 1;
            count.note(format!(
                "{one:?}, and it was {}{}",
                truth(one.run, &one.of),
                if is_silenced { ", silenced" } else { "" }
            ));
        }
    }
    let told = told_of_grant(&world);
    for (to, badges) in told.iter().filter(|(_, badges)| !badges.is_empty()) {
        if badges.last().is_none_or(|last| last != "grant ended") || !ADMINS.contains(&to.as_str()) {
            count.lost += 1;
            count.note(format!("{to} was told {badges:?} of the grant, and it is over"));
        }
        let times = badges.iter().map(|badge| badges.iter().filter(|other| *other == badge).count()).max();
        if times > Some(1) {
            repeated.insert(to.as_str());
        }
        if times > Some(bound.times) {
            count.beyond += 1;
            count.note(format!("{to} was told {badges:?} of the grant"));
        }
    }
    bound.judge(&repeated, &mut count);
    Played { count, struck, is_survived }
}

/// Holds an invocation's end against what is; and where it says that it did its job, against what people have been told, and what the cutoff is, by
/// then. Whose queries they were is known at the latest where the strike `is_over`.
fn judge(stage: &Stage, run: usize, is_over: bool, end: &End, count: &mut Count) {
    let world = stage.world.lock().expect("a world");
    see(&world, run, end.report(), count);
    let End::Done(report) = end else { return };
    if let Some(why) = has_no_reason_to_skip(report) {
        count.claimed += 1;
        count.note(format!("run {run} did nothing: {why}"));
    }
    let said = said(&world);
    let unknown = |of: &str| report.unseen.iter().any(|unseen| unseen.workgroup == of);
    let worst = |to: &str, of: &str| {
        let last = said.iter().rfind(|said| said.to == to && said.of == of);
        last.map_or(0, |last| rank(&last.level))
    };
    let exploratory = OF_EXPLORATORY.iter().map(|to| worst(to, "exploratory")).max().unwrap_or(0);
    if !unknown("exploratory") && exploratory < rank(truth(run, "exploratory")) {
        count.claimed += 1;
        count.note(format!(
            "run {run} was done, and nobody has been told that exploratory is {}",
            truth(run, "exploratory")
        ));
    }
    if is_over && !unknown("exploratory") && worst("dan@example.com", "exploratory") < rank(truth(run, "exploratory")) {
        count.claimed += 1;
        count.note(format!(
            "run {run} was done, and dan has not been told that exploratory is {}",
            truth(run, "exploratory")
        ));
    }
    for to in ADMINS {
        if run >= HEARD_FROM && !unknown("etl") && worst(to, "etl") < rank(truth(run, "etl")) {
            count.claimed += 1;
            count.note(format!("run {run} was done, and {to} has not been told that etl is {}", truth(run, "etl")));
        }
    }
    // What could not be done is said where it is so.
    let says = |words: &str| report.warnings.iter().any(|warning| warning.contains(words));
    let is_said = says("grant") || says("UpdateWorkGroup") || says("GetWorkGroup");
    let cutoff = world.cutoffs.get("ad-hoc").copied().unwrap_or_default();
    let expected = if GRANTED.contains(&run) { RAISED } else { USUAL };
    if cutoff != expected && !is_said {
        count.claimed += 1;
        count.note(format!("run {run} was done, the cutoff is {cutoff}, and it says only {:?}", report.warnings));
    }
    let told = told_of_grant(&world);
    for to in ADMINS.into_iter().filter(|_| GRANTED.contains(&run)) {
        if told.get(to).is_none_or(Vec::is_empty) {
            count.claimed += 1;
            count.note(format!("run {run} was done, and {to} has not been told of the grant"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn undisturbed_submitters_hear_the_silence_holds_and_the_cutoff_is_taken_back() {
    let played = play(0, None, true).await;
    assert_eq!(played.count, Count { stories: 1, ..Count::default() });
    let mut stage = stage().await;
    for run in 0..STORY.len() {
        stage.invoke(run, 2, None).await;
    }
    let world = stage.world.lock().expect("a world");
    let said = said(&world);
    let of = |to: &str, of: &str| {
        let levels =
            said.iter().filter(|said| said.to.starts_with(to) && said.of == of).map(|said| said.level.as_str());
        levels.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(of("dan", "exploratory"), "warn exhausted resolved");
    assert_eq!((of("cem", "exploratory"), of("ann", "exploratory")), (String::new(), String::new()));
    assert_eq!((of("ann", "etl"), of("bob", "etl")), ("critical resolved".to_owned(), "critical resolved".to_owned()));
    assert_eq!(told_of_grant(&world)["bob@example.com"], ["granted", "grant ended"]);
    assert_eq!(world.cutoffs_set, [Some(RAISED), Some(USUAL)]);
}
