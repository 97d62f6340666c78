//! A grant's life with the real clients, a world in memory, and a fault at any call: at the end the cutoff is what it was before.

mod sts;
mod world;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use watchdog_aws::asking::{Desk, ask};
use watchdog_aws::gather::PolicySource;
use watchdog_aws::granting::carry_out;
use watchdog_aws::operator::asking::signed;
use watchdog_core::report::Answer;
use watchdog_core::request::Event;

use self::sts::{Sts, config};
use self::world::{Kill, World};
use crate::at;

const START: &str = "2026-03-01T14:00:00Z";
const GB: i64 = 1_000_000_000;

fn minutes(n: i64) -> SignedDuration {
    SignedDuration::from_mins(n)
}

/// What happens in a story, beside the run every twenty minutes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Doing {
    /// Somebody asks for something.
    Ask(&'static str),
    /// Somebody or something sets the cutoff in Athena.
    Set(Option<i64>),
    /// There are no runs until then.
    NoRunsFor(i64),
}

struct Story {
    name: &'static str,
    before: Option<i64>,
    /// When and what.
    doings: &'static [(i64, Doing)],
    /// What the cutoff is at the end, where it is not what it was before.
    left: Option<Option<i64>>,
}

const GRANT: &str = r#"{"to":"watchdog","id":"g-one","grant":{"workgroup":"ad-hoc","limit":"2 TB","per_query":"500 GB","for":"1h","reason":"backfill"}}"#;
const LATER: &str = r#"{"to":"watchdog","id":"g-one","grant":{"workgroup":"ad-hoc","per_query":"500 GB","for":"30 min","start":"2026-03-01T14:20:00Z","reason":"backfill"}}"#;
const REVOKE: &str = r#"{"to":"watchdog","id":"r-one","revoke":{"grant":"ad-hoc"}}"#;
const EXTEND: &str = r#"{"to":"watchdog","id":"e-one","extend":{"grant":"g-one","for":"1h"}}"#;

const STORIES: [Story; 9] = [
    Story { name: "to its end", before: Some(10 * GB), doings: &[(0, Doing::Ask(GRANT))], left: None },
    Story { name: "no cutoff before", before: None, doings: &[(0, Doing::Ask(GRANT))], left: None },
    Story { name: "planned", before: Some(10 * GB), doings: &[(0, Doing::Ask(LATER))], left: None },
    Story {
        name: "revoked",
        before: Some(10 * GB),
        doings: &[(0, Doing::Ask(GRANT)), (17, Doing::Ask(REVOKE))],
        left: None,
    },
    Story {
        name: "extended",
        before: Some(10 * GB),
        doings: &[(0, Doing::Ask(GRANT)), (31, Doing::Ask(EXTEND))],
        left: None,
    },
    Story {
        name: "runs are missed",
        before: Some(10 * GB),
        doings: &[(0, Doing::Ask(GRANT)), (1, Doing::NoRunsFor(100))],
        left: None,
    },
    Story {
        name: "a stack update sets it back",
        before: Some(10 * GB),
        doings: &[(0, Doing::Ask(GRANT)), (22, Doing::Set(Some(10 * GB)))],
        left: None,
    },
    Story {
        name: "a stack update sets it back just before the end",
        before: Some(10 * GB),
        doings: &[(0, Doing::Ask(GRANT)), (58, Doing::Set(Some(10 * GB)))],
        left: None,
    },
    Story {
        name: "somebody changes it by hand",
        before: Some(10 * GB),
        doings: &[(0, Doing::Ask(GRANT)), (22, Doing::Set(Some(77 * GB)))],
        left: Some(Some(77 * GB)),
    },
];

async fn asked(
    world: &World,
    sts: &Sts,
    text: &str,
    now: Timestamp,
) -> Result<Answer, watchdog_aws::failure::AwsFailure> {
    let event = signed(&config(&sts.endpoint, "admin"), text, now).await.unwrap();
    send(world, sts, &event, now).await
}

async fn send(
    world: &World,
    sts: &Sts,
    event: &Value,
    now: Timestamp,
) -> Result<Answer, watchdog_aws::failure::AwsFailure> {
    let clients = world.clients();
    let desk = Desk {
        function: "watchdog".to_owned(),
        account: "123456789012".to_owned(),
        sts: sts.endpoint.clone(),
        policy: PolicySource::Parameters("/w/policy".to_owned()),
        table: world.table(&clients),
        run_id: format!("ask@{}", now.as_second()),
        deadline: now + SignedDuration::from_secs(60),
    };
    let event = match Event::parse(event).unwrap() {
        Ok(event) => event,
        Err(refused) => return Ok(Answer::refused(&refused)),
    };
    ask(&clients, &desk, &event, now).await
}

async fn tick(world: &World, now: Timestamp) {
    let clients = world.clients();
    let table = world.table(&clients);
    // A run whose ledger cannot be read ends here; the next one goes on.
    let Ok(mut ledger) = table.ledger().await else { return };
    let deadline = now + SignedDuration::from_secs(60);
    carry_out(&clients, &table, &mut ledger, &format!("run@{}", now.as_second()), now, deadline).await;
}

/// Plays a story with a process that dies at a call; returns how many calls there were.
async fn play(story: &Story, sts: &Sts, kill: Option<Kill>) -> (World, usize) {
    let world = World::new(story.before, kill);
    let mut no_runs_until = -1;
    let mut again: Vec<(i64, &str)> = Vec::new();
    for minute in 0..=150 {
        let now = at(START) + minutes(minute);
        let retries: Vec<&str> = again.iter().filter(|(at, _)| *at == minute).map(|(_, text)| *text).collect();
        let doings = story.doings.iter().filter(|(at, _)| *at == minute).map(|(_, doing)| *doing);
        for doing in doings.chain(retries.into_iter().map(Doing::Ask)) {
            world.revive();
            match doing {
                // Whoever gets no answer asks again, once the lease of the one that died is over.
                Doing::Ask(text) if asked(&world, sts, text, now).await.is_err() => again.push((minute + 2, text)),
                Doing::Ask(_) => {}
                Doing::Set(cutoff) => world.set(cutoff),
                Doing::NoRunsFor(length) => no_runs_until = minute + length,
            }
        }
        if minute % 20 == 3 && minute > no_runs_until {
            world.revive();
            tick(&world, now).await;
        }
    }
    let calls = world.calls();
    (world, calls)
}

#[tokio::test]
async fn whatever_call_a_process_dies_at_the_cutoff_ends_as_it_was_before() {
    let sts = Sts::start();
    let mut deaths = 0;
    for story in &STORIES {
        let (world, calls) = play(story, &sts, None).await;
        assert!(calls > 10, "{}: {calls} calls", story.name);
        let expected = story.left.unwrap_or(story.before);
        assert_eq!((world.cutoff(), world.open()), (expected, 0), "{}", story.name);
        assert!(world.has_been(Some(500 * GB)), "{}: it was never raised", story.name);
        for n in 0..calls {
            for after in [false, true] {
                deaths += 1;
                let (world, _) = play(story, &sts, Some(Kill { at: n, after })).await;
                let what = format!("{}: died at call {n} {}", story.name, if after { "after it" } else { "before it" });
                assert_eq!((world.cutoff(), world.open()), (expected, 0), "{what}\n{:#?}", world.history());
                assert!(world.died(), "{what}: it did not die");
            }
        }
    }
    assert!(deaths > 600, "{deaths}");
}

#[tokio::test]
async fn a_stack_update_meanwhile_does_not_end_a_grant() {
    let sts = Sts::start();
    let world = World::new(Some(10 * GB), None);
    asked(&world, &sts, GRANT, at(START)).await.unwrap();
    for n in 1..=5 {
        world.set(Some(10 * GB));
        tick(&world, at(START) + minutes(5 * n)).await;
        assert_eq!(world.cutoff(), Some(500 * GB), "{n}");
    }
    // Somebody who sets it back time and again means it.
    world.set(Some(10 * GB));
    tick(&world, at(START) + minutes(30)).await;
    assert_eq!(world.cutoff(), Some(10 * GB));
}

#[tokio::test]
async fn a_cutoff_that_cannot_be_taken_back_is_told_and_tried_again() {
    let sts = Sts::start();
    let world = World::new(Some(10 * GB), None);
    asked(&world, &sts, GRANT, at(START)).await.unwrap();
    world.deny_updates(true);
    let over = at(START) + minutes(61);
    let clients = world.clients();
    let table = world.table(&clients);
    let mut ledger = table.ledger().await.unwrap();
    let troubles = carry_out(&clients, &table, &mut ledger, "run", over, over + minutes(1)).await;
    assert!(
        troubles.told["ad-hoc"].contains("`athena:UpdateWorkGroup` failed with `AccessDeniedException`"),
        "{troubles:?}"
    );
    assert_eq!(world.cutoff(), Some(500 * GB));
    world.deny_updates(false);
    tick(&world, over + minutes(5)).await;
    assert_eq!((world.cutoff(), world.open()), (Some(10 * GB), 0));
}

#[track_caller]
fn refused(answer: &Answer, words: &str) {
    let why = answer.refused.as_deref().unwrap_or_else(|| panic!("not refused: {answer:?}"));
    assert!(why.contains(words), "{why}");
}

#[tokio::test]
async fn only_aws_says_who_asks() {
    let sts = Sts::start();
    let world = World::new(Some(10 * GB), None);
    let now = at(START);
    let event = signed(&config(&sts.endpoint, "admin"), GRANT, now).await.unwrap();

    // A proof for another request: the signature does not fit.
    let mut other = event.clone();
    other["request"] = GRANT.replace("500 GB", "900 GB").into();
    refused(&send(&world, &sts, &other, now).await.unwrap(), "AWS STS does not take the proof");
    // Signed with credentials that are none.
    let forged = signed(&config(&sts.endpoint, "forged"), GRANT, now).await.unwrap();
    refused(&send(&world, &sts, &forged, now).await.unwrap(), "AWS STS does not take the proof");
    // Too late, by our own clock and not only that of STS.
    refused(&send(&world, &sts, &event, now + minutes(16)).await.unwrap(), "has expired");
    // Somebody's own server is not asked.
    let mut elsewhere = event.clone();
    elsewhere["proof"] = event["proof"].as_str().unwrap().replace("127.0.0.1", "127.0.0.2").into();
    let asked_before = sts.asked();
    refused(&send(&world, &sts, &elsewhere, now).await.unwrap(), "it leads to `http://127.0.0.2");
    assert_eq!(sts.asked(), asked_before, "STS was asked all the same");
    // Of another account, and somebody without the right.
    let foreign = signed(&config(&sts.endpoint, "foreign"), GRANT, now).await.unwrap();
    refused(&send(&world, &sts, &foreign, now).await.unwrap(), "is not of the account 123456789012");
    let intern = signed(&config(&sts.endpoint, "intern"), GRANT, now).await.unwrap();
    refused(
        &send(&world, &sts, &intern, now).await.unwrap(),
        "`user/intern` is none of the policy's `granters`: `role/admin`",
    );
    // For another function.
    let misled = GRANT.replace("\"watchdog\"", "\"other\"");
    refused(&asked(&world, &sts, &misled, now).await.unwrap(), "is for the function `other`");
    assert_eq!((world.cutoff(), world.open(), world.history().len()), (Some(10 * GB), 0, 1), "nothing was changed");

    // The real one; and the same once more, as somebody who has seen it would send it.
    let answer = send(&world, &sts, &event, now).await.unwrap();
    assert_eq!(answer.by.as_deref(), Some("arn:aws:sts::123456789012:assumed-role/admin/ann"));
    assert_eq!((answer.grants[0].phase.as_str(), answer.grants[0].per_query_raised), ("in force", true), "{answer:?}");
    assert_eq!(world.cutoff(), Some(500 * GB), "at once");
    asked(&world, &sts, REVOKE, now + minutes(1)).await.unwrap();
    assert_eq!(world.cutoff(), Some(10 * GB));
    let replayed = send(&world, &sts, &event, now + minutes(2)).await.unwrap();
    assert!(replayed.says.unwrap().contains("has had its effect already"));
    assert_eq!((world.cutoff(), world.open()), (Some(10 * GB), 0));
}

#[tokio::test]
async fn a_dry_run_changes_nothing_and_a_busy_table_is_waited_for() {
    let sts = Sts::start();
    let world = World::new(Some(10 * GB), None);
    let now = at(START);
    let dry = GRANT.replacen('{', "{\"dry_run\":true,", 1);
    let answer = asked(&world, &sts, &dry, now).await.unwrap();
    assert!(
        answer.dry_run
            && answer.says.unwrap().starts_with("`g-one` is granted: the limit of ad-hoc for 1h to 2 TB and")
    );
    assert_eq!((world.items(), world.cutoff()), (0, Some(10 * GB)));
    // Somebody else is changing grants: it waits, and then has its turn.
    let clients = world.clients();
    let table = world.table(&clients);
    assert!(table.hold_promises("other", now, now + minutes(1)).await.unwrap());
    let free = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        table.free_promises("other").await.unwrap();
    };
    let (answer, ()) = futures_util::join!(asked(&world, &sts, GRANT, now), free);
    assert_eq!(answer.unwrap().refused, None);
    assert_eq!(world.cutoff(), Some(500 * GB));
}
