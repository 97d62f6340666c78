//! Troubles that are not one call's: clocks, leases, refusals, quotas, a policy that breaks, and very many alerts.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::json;
use watchdog_aws::pass;
use watchdog_core::catalogue::Catalogue;
use watchdog_core::event::{Invocation, Source};

use super::{ACTIVE, AUDIENCE, End, Stage, is_thorough, said, truth};

/// What each person was told of the workgroups' limits, as `person of level`, in the order of the mails.
fn told(stage: &Stage) -> Vec<String> {
    let world = stage.world.lock().expect("a world");
    let name = |to: &str| to.split('@').next().unwrap_or_default().to_owned();
    let said = said(&world);
    let of_limits = said.iter().filter(|said| said.of != ACTIVE);
    of_limits.map(|said| format!("{} {} {}", name(&said.to), said.of, said.level)).collect()
}

fn told_since(stage: &Stage, before: usize) -> Vec<String> {
    told(stage).split_off(before)
}

fn failure(end: &End) -> String {
    match end {
        End::Done(report) => format!("done, {} sent", report.sent.len()),
        End::Failed(failure, _) => format!("{}: {}", failure.word, failure.message),
        End::Killed => "killed".to_owned(),
    }
}

/// The second begins before the first has the lease, at any time while it is at work, and after it has given it back.
#[tokio::test(start_paused = true)]
async fn two_runs_at_once_tell_everybody_once() {
    let mut ways = BTreeSet::new();
    for behind in (0..60).step_by(if is_thorough() { 1 } else { 6 }) {
        let mut stage = Stage::new().await;
        stage.invoke(0, 2, None).await;
        let before = told(&stage).len();
        let (tick, now) = stage.set(1, 2, None);
        stage.world.lock().expect("a world").takes = Duration::from_millis(20);
        let invocation = Invocation { dry_run: false, source: Source::Scheduler, time: Some(tick) };
        let deadline = now + SignedDuration::from_secs(60);
        let (one, other) = (stage.settings(deadline), stage.settings(deadline));
        let (mut known, mut also) = (Catalogue::default(), Catalogue::default());
        let (one, other) = tokio::join!(pass::run(&stage.clients, &one, &mut known, &invocation, now), async {
            tokio::time::sleep(Duration::from_millis(10 * behind)).await;
            pass::run(&stage.clients, &other, &mut also, &invocation, now).await
        });
        let skipped = [one, other].map(|outcome| outcome.expect("no failure").0.skipped);
        assert_eq!(skipped.iter().flatten().count(), 1, "{behind}: {skipped:?}");
        let why = skipped.into_iter().flatten().next().unwrap_or_default();
        ways.insert(["another run is at work", "judged already"].into_iter().find(|way| why.contains(way)));
        assert_eq!(told_since(&stage, before), ["ann etl critical", "bob etl critical"], "{behind}");
    }
    assert_eq!(ways, BTreeSet::from([Some("another run is at work"), Some("judged already")]), "not at once");
}

#[tokio::test(start_paused = true)]
async fn the_same_tick_twice_tells_nobody_anything_twice() {
    let mut stage = Stage::new().await;
    for run in 0..5 {
        stage.invoke(run, 2, None).await;
        let before = told(&stage);
        let End::Done(again) = stage.invoke(run, 40, None).await else { panic!("run {run}") };
        assert!(again.skipped.as_ref().is_some_and(|why| why.contains("judged already")), "run {run}");
        assert!(!again.has_judged(), "run {run}");
        assert_eq!(told(&stage), before);
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_cut_off_by_its_time_sends_nothing_more_and_the_next_tick_does() {
    let mut stage = Stage::new().await;
    let (tick, now) = stage.set(1, 2, None);
    let invocation = Invocation { dry_run: false, source: Source::Scheduler, time: Some(tick) };
    let settings = stage.settings(now + SignedDuration::from_secs(3));
    let outcome = pass::run(&stage.clients, &settings, &mut Catalogue::default(), &invocation, now).await;
    let error = outcome.expect_err("three people are owed a mail");
    assert_eq!((error.word, told(&stage).len()), ("DeliveryFailed", 0));
    assert!(
        error
            .report
            .expect("a report")
            .failed
            .iter()
            .all(|f| f.error.as_ref().is_some_and(|e| e.contains("time is up")))
    );
    stage.invoke(2, 2, None).await;
    assert_eq!(told(&stage), ["ann etl critical", "bob etl critical", "cem exploratory exhausted"]);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_a_dead_run_left_holds_nobody_up_for_longer_than_that_run_had() {
    let mut stage = Stage::new().await;
    let (tick, _) = stage.set(1, 2, None);
    let ends = (tick + SignedDuration::from_secs(60)).as_millisecond();
    let lease = json!({
        "pk": { "S": "run" }, "sk": { "S": "lease" }, "holder": { "S": "dead" }, "held_until": { "N": ends.to_string() },
        "begun_tick": { "N": tick.as_millisecond().to_string() },
    });
    let key = ("run".to_owned(), "lease".to_owned());
    stage.world.lock().expect("a world").items.insert(key, lease.as_object().cloned().expect("an item"));
    let End::Done(held) = stage.invoke(1, 30, None).await else { panic!("not done") };
    assert!(held.skipped.as_ref().is_some_and(|why| why.contains("another run is at work")) && !held.has_judged());
    assert_eq!(told(&stage), Vec::<String>::new());
    assert_eq!(failure(&stage.invoke(1, 63, None).await), "done, 3 sent");
    assert_eq!(told(&stage), ["ann etl critical", "bob etl critical", "cem exploratory warn"]);
}

/// From any call on, nothing answers any more.
#[tokio::test(start_paused = true)]
async fn a_run_whose_calls_hang_ends_in_time_and_says_what_is_left() {
    let mut undisturbed = Stage::new().await;
    undisturbed.invoke(0, 2, None).await;
    undisturbed.invoke(1, 2, None).await;
    let calls = undisturbed.world.lock().expect("a world").calls.len();
    let mut is_partly_sent = false;
    for from in 0..calls {
        let mut stage = Stage::new().await;
        stage.invoke(0, 2, None).await;
        stage.world.lock().expect("a world").hangs_from = Some(from);
        let end = stage.invoke(1, 2, None).await;
        let mailed = stage.world.lock().expect("a world").mailed.iter().filter(|mail| mail.run == 1).count();
        match &end {
            End::Killed => panic!("from call {from} on: it was cut off"),
            End::Done(report) => {
                assert!(report.failed.is_empty() && report.sent.len() == mailed, "from call {from} on: {report:?}");
            }
            // What was done and what is left: of each mail that it came to, whether it went out.
            End::Failed(why, report) => {
                assert!(
                    why.message.contains("Timeout") || why.message.contains("time"),
                    "from call {from} on: {why:?}"
                );
                let report = report.as_ref().expect("a report");
                let named = report.sent.len() + report.failed.len();
                assert!(report.sent.len() <= mailed && named >= mailed, "from call {from} on: {report:?}");
                is_partly_sent |= !report.sent.is_empty() && !report.failed.is_empty();
            }
        }
        stage.world.lock().expect("a world").hangs_from = None;
        for run in 2..4 {
            let end = stage.invoke(run, 2, None).await;
            assert!(matches!(end, End::Done(_)), "from call {from} on, run {run}: {}", failure(&end));
        }
        let told = told(&stage);
        for line in ["ann etl critical", "bob etl critical", "cem exploratory exhausted"] {
            let times = told.iter().filter(|told| *told == line).count();
            assert!((1..=2).contains(&times), "from call {from} on: {told:?}");
        }
    }
    assert!(is_partly_sent, "no run was stopped between two mails");
}

/// Every call takes so long that the run cannot do all it would: what it says is so, and what it could not do comes later.
#[tokio::test(start_paused = true)]
async fn a_run_whose_calls_are_slow_says_what_was_sent_and_what_is_left() {
    let mut is_partly_sent = false;
    for tenths in (5..80).step_by(if is_thorough() { 5 } else { 15 }) {
        let mut stage = Stage::new().await;
        stage.invoke(0, 2, None).await;
        let wait = |stage: &Stage, tenths: u64| {
            stage.world.lock().expect("a world").takes = Duration::from_millis(100 * tenths);
        };
        wait(&stage, tenths);
        let before = told(&stage).len();
        let end = stage.invoke(1, 2, None).await;
        let (sent, failed) = match &end {
            End::Done(report) => (&report.sent[..], &report.failed[..]),
            End::Failed(_, Some(report)) => (&report.sent[..], &report.failed[..]),
            End::Failed(why, None) => panic!("{tenths}: nothing is said: {why:?}"),
            End::Killed => panic!("{tenths}: it was cut off"),
        };
        let mailed: Vec<&str> = sent.iter().map(|mail| mail.to.as_str()).collect();
        let heard = told_since(&stage, before);
        is_partly_sent |= !sent.is_empty() && !failed.is_empty();
        assert!(mailed.len() <= heard.len(), "{tenths}: {mailed:?}, {heard:?}");
        wait(&stage, 0);
        stage.invoke(2, 2, None).await;
        let told = told_since(&stage, before);
        let is_remembered = !matches!(&end, End::Failed(why, _) if why.word == "NotRemembered");
        for (to, line) in [("ann@example.com", "ann etl critical"), ("bob@example.com", "bob etl critical")] {
            // What is sent was written down, or it is said that it was not: it comes once.
            let most = if mailed.contains(&to) && is_remembered { 1 } else { 2 };
            let times = told.iter().filter(|told| *told == line).count();
            assert!((1..=most).contains(&times), "{tenths}: {mailed:?} in time, {told:?} in all");
        }
    }
    assert!(is_partly_sent, "no run was stopped between two mails");
}

/// An hour ahead and an hour behind, for any one run; the clock of the schedule is right.
#[tokio::test(start_paused = true)]
async fn a_clock_that_is_wrong_for_one_run_loses_nothing() {
    let runs = if is_thorough() { 0..5 } else { 1..2 };
    for (wrong, when) in [3600, -3600].into_iter().flat_map(|wrong| runs.clone().map(move |when| (wrong, when))) {
        let mut stage = Stage::new().await;
        for run in 0..6 {
            stage.invoke(run, if run == when { wrong } else { 2 }, None).await;
        }
        let told = told(&stage);
        for (to, of) in AUDIENCE.into_iter().filter(|(_, of)| *of != ACTIVE) {
            let name = to.split('@').next().expect("a name");
            let mine: Vec<&String> = told.iter().filter(|line| line.starts_with(&format!("{name} {of} "))).collect();
            let worst = if of == "etl" { "critical" } else { "exhausted" };
            assert!(mine.iter().any(|line| line.ends_with(worst)), "{wrong} in run {when}: {told:?}");
            assert!(mine.last().is_some_and(|line| line.ends_with("resolved")), "{wrong} in run {when}: {told:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn ses_refuses_one_of_all_whoever_it_is_and_the_others_hear() {
    for (refused, _) in AUDIENCE {
        let mut stage = Stage::new().await;
        stage.invoke(0, 2, None).await;
        stage.world.lock().expect("a world").refused.insert(refused.to_owned());
        let end = stage.invoke(2, 2, None).await;
        assert!(failure(&end).starts_with("DeliveryFailed"), "{}", failure(&end));
        let world = stage.world.clone();
        let heard = |run: usize, to: &str| {
            let world = world.lock().expect("a world");
            world.mailed.iter().any(|mail| mail.run == run && mail.to == to)
        };
        for (to, _) in AUDIENCE {
            assert_eq!(heard(2, to), to != refused, "{to} while {refused} is refused");
        }
        // Taken off the list again: heard of with what is true by then.
        stage.world.lock().expect("a world").refused.clear();
        let end = stage.invoke(3, 2, None).await;
        assert_eq!(heard(3, refused), truth(3, "etl") != "resolved" || refused.starts_with("cem"), "{}", failure(&end));
    }
}

#[tokio::test(start_paused = true)]
async fn a_day_without_mails_is_loud_and_the_newest_state_comes_when_they_are_back() {
    let mut stage = Stage::new().await;
    stage.world.lock().expect("a world").is_quota_gone = true;
    for run in 0..2 {
        // An invocation that fails is what the alarm on undelivered mail and the dead letters see.
        let end = stage.invoke(run, 2, None).await;
        assert!(failure(&end).contains("Daily message quota exceeded"), "{}", failure(&end));
    }
    stage.world.lock().expect("a world").is_quota_gone = false;
    assert_eq!(failure(&stage.invoke(2, 2, None).await), "done, 3 sent");
    assert_eq!(told(&stage), ["ann etl critical", "bob etl critical", "cem exploratory exhausted"]);
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_breaks_between_two_runs_stops_no_alert() {
    let mut stage = Stage::new().await;
    stage.invoke(0, 2, None).await;
    stage.world.lock().expect("a world").policy.push_str("[[workgroup]]\nnme = \"typo\"\n");
    let before = told(&stage).len();
    assert_eq!(failure(&stage.invoke(1, 2, None).await), "done, 2 sent");
    // Told with the alert, in one mail.
    assert_eq!(told_since(&stage, before), ["ann etl critical", "bob etl critical"]);
    let world = stage.world.lock().expect("a world");
    let last = String::from_utf8_lossy(&world.mailed.last().expect("a mail").raw).into_owned();
    assert!(last.contains("policy"), "{last}");
}

/// Any item that has a body; of a version to come, cut off, of another form, and without a revision: each costs at most one repeat.
#[tokio::test(start_paused = true)]
async fn an_item_that_cannot_be_read_repeats_a_mail_and_loses_none() {
    let bodies = [json!({"S": "{\"v\":99}"}), json!({"S": "{\"v\":1,\"sto"}), json!({"N": "5"}), json!(null)];
    let mut stage = Stage::new().await;
    stage.invoke(1, 2, None).await;
    let items = stage.world.lock().expect("a world").items.clone();
    let keys: Vec<_> = items.into_iter().filter(|(_, item)| item.contains_key("body")).map(|(key, _)| key).collect();
    let names: BTreeSet<&str> = keys.iter().map(|(_, sk)| sk.as_str()).collect();
    for name in ["alert#limit/etl/1h", "alert#limit/exploratory/1h", "alert#active/dml", "policy", "catalogue#000"] {
        assert!(names.contains(name), "no `{name}` in {names:?}");
    }
    let all = keys.iter().flat_map(|key| bodies.iter().map(move |body| (key, body)));
    for (key, body) in all.step_by(if is_thorough() { 1 } else { 3 }) {
        let mut stage = Stage::new().await;
        stage.invoke(1, 2, None).await;
        {
            let mut world = stage.world.lock().expect("a world");
            let item = world.items.get_mut(key).expect("an item");
            match body {
                serde_json::Value::Null => {
                    item.remove("rev");
                    item.remove("body");
                }
                body => drop(item.insert("body".to_owned(), body.clone())),
            }
        }
        // A new process, so that what is written down is read.
        stage.begin_anew().await;
        for run in 2..6 {
            let end = stage.invoke(run, 2, None).await;
            assert!(matches!(end, End::Done(_)), "{key:?} {body}: run {run}: {}", failure(&end));
        }
        let told = told(&stage);
        let times = |line: &str| told.iter().filter(|told| *told == line).count();
        let is_its = |of: &str| usize::from(key.1 == format!("alert#limit/{of}/1h"));
        let found = ["ann etl critical", "ann etl resolved", "cem exploratory exhausted", "cem exploratory resolved"]
            .map(times);
        assert_eq!(found, [1 + is_its("etl"), 1, 1, 1], "{key:?} {body}: {told:?}");
    }
}

/// A thousand workgroups with ten limits each, all gone at once.
#[tokio::test(start_paused = true)]
async fn ten_thousand_alerts_at_once() {
    let (workgroups, limits) = if is_thorough() { (1000, 10) } else { (120, 10) };
    let mut stage = Stage::new().await;
    let mut policy = super::POLICY.split("[[workgroup]]").next().expect("a head").to_owned();
    policy.push_str("[[workgroup]]\nname = \"team-*\"\n");
    for minutes in (0..limits).map(|n| 60 + 5 * n) {
        policy.push_str(&format!("[[workgroup.limit]]\nwindow = \"{minutes} min\"\nlimit = \"50 GB\"\n"));
    }
    let (tick, _) = stage.set(1, 2, None);
    {
        let mut world = stage.world.lock().expect("a world");
        world.policy = policy;
        world.active.clear();
        world.used = (0..workgroups).map(|n| (format!("team-{n:04}"), 60.0)).collect();
    }
    let mut catalogue = Catalogue::default();
    let mut mailed = Vec::new();
    for run in 0..3 {
        let now = tick + SignedDuration::from_mins(5 * run);
        let settings = stage.settings(now + SignedDuration::from_secs(60));
        let invocation = Invocation { dry_run: false, source: Source::Scheduler, time: Some(now) };
        let (report, _) = pass::run(&stage.clients, &settings, &mut catalogue, &invocation, now).await.expect("done");
        let exhausted = report.limits.iter().filter(|limit| limit.level == "exhausted").count();
        let unseen = report.unseen.len();
        mailed.push((exhausted, unseen, report.sent.len()));
    }
    let all = workgroups * limits;
    assert_eq!(mailed.last(), Some(&(all, 0, 0)), "seen, and nobody is told again: {mailed:?}");
    let world = stage.world.lock().expect("a world");
    let longest = world.mailed.iter().map(|mail| mail.raw.len()).max();
    assert!(longest.is_some_and(|bytes| bytes < 100_000), "{longest:?} bytes in one mail");
    for to in ["ann@example.com", "bob@example.com"] {
        let mine = world.mailed.iter().filter(|mail| mail.to == to).count();
        assert!((1..=2).contains(&mine), "{mine} mails to {to}: {mailed:?}");
    }
    let records = world.items.keys().filter(|(_, sk)| sk.starts_with("alert#limit/")).count();
    assert_eq!(records, all);
}

/// A thousand workgroups that are used, each with a limit of an hour and one of a day, none near it, for as long as everything is read anew five times.
#[tokio::test(start_paused = true)]
async fn a_quiet_run_of_a_thousand_workgroups_makes_at_most_twenty_calls() {
    let mut stage = Stage::new().await;
    let mut policy = super::POLICY.split("[[workgroup]]").next().expect("a head").to_owned();
    policy.push_str("[[workgroup]]\nname = \"team-*\"\n");
    for window in ["1h", "24h"] {
        policy.push_str(&format!("[[workgroup.limit]]\nwindow = \"{window}\"\nlimit = \"90 TB\"\n"));
    }
    let (tick, _) = stage.set(1, 2, None);
    {
        let mut world = stage.world.lock().expect("a world");
        world.policy = policy;
        world.active.clear();
        world.used = (0..1000).map(|n| (format!("team-{n:04}"), 60.0)).collect();
    }
    let mut catalogue = Catalogue::default();
    let mut calls = Vec::new();
    for run in 0..16 {
        let now = tick + SignedDuration::from_mins(5 * run);
        let settings = stage.settings(now + SignedDuration::from_secs(60));
        let invocation = Invocation { dry_run: false, source: Source::Scheduler, time: Some(now) };
        let before = stage.world.lock().expect("a world").calls.len();
        let (report, _) = pass::run(&stage.clients, &settings, &mut catalogue, &invocation, now).await.expect("done");
        calls.push(stage.world.lock().expect("a world").calls.len() - before);
        if run >= 2 {
            let ok = report.limits.iter().filter(|limit| limit.level == "ok").count();
            assert_eq!((ok, report.unseen.len(), report.sent.len()), (2000, 0, 0), "run {run}");
        }
    }
    // The first ones learn.
    assert!(calls.iter().skip(2).all(|calls| (4..=20).contains(calls)), "{calls:?}");
    assert!(calls.iter().skip(2).any(|calls| *calls > 10), "nothing was read anew: {calls:?}");
}

/// A report of the week, due at the first tick, while one of its addresses is refused.
#[tokio::test(start_paused = true)]
async fn a_weekly_report_is_sent_once_and_owed_to_whom_it_did_not_reach() {
    let weekly = |stage: &Stage| {
        let world = stage.world.lock().expect("a world");
        let mails = world.mailed.iter().filter(|mail| String::from_utf8_lossy(&mail.raw).contains("Subject: [weekly]"));
        mails.map(|mail| format!("{} {}", mail.run, mail.to.split('@').next().expect("a name"))).collect::<Vec<_>>()
    };
    let mut stage = Stage::new().await;
    let due = stage.begin.to_zoned_datetime(jiff::tz::TimeZone::UTC).strftime("%a %H:%M").to_string();
    let report = format!("[report]\nweekly = \"{due}\"\n[defaults]");
    {
        let mut world = stage.world.lock().expect("a world");
        world.policy = world.policy.replace("[defaults]", &report);
        world.refused.insert("ann@example.com".to_owned());
    }
    // In a run in which nobody is told of an alert.
    let end = stage.invoke(4, 2, None).await;
    assert!(failure(&end).starts_with("DeliveryFailed"), "{}", failure(&end));
    assert_eq!(weekly(&stage), ["4 bob"], "one bad address keeps nobody from it");
    stage.world.lock().expect("a world").refused.clear();
    let end = stage.invoke(5, 2, None).await;
    assert_eq!(failure(&end), "done, 1 sent");
    assert_eq!(weekly(&stage), ["4 bob", "5 ann"]);
    let world = stage.world.lock().expect("a world");
    let last = String::from_utf8_lossy(&world.mailed.last().expect("a mail").raw).into_owned();
    assert!(last.contains("etl, 1h") && !last.contains("not known"), "{last}");
}
