//! Several warm processes of one function: with the feed of submitters one of them may sleep for days and then have its turn.
//!
//! What is remembered of the account must not get older by that, nobody may go without a mail, and a process that is alone must make no call more.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde_json::{Value, json};
use watchdog_aws::clients::Clients;
use watchdog_core::report::RunReport;
use watchdog_lambda::handler::Function;

use super::{POLICY, Stage, aws, environment, scheduled};

/// Hours for which the one sleeps and the other has all the turns: three days are noted meanwhile.
const ASLEEP: i64 = 75;

struct Pair {
    stage: Stage,
    awake: Function,
}

impl Pair {
    /// The function of the stage has had a turn, and has been asleep since.
    async fn new() -> Self {
        // With the forecast on a look goes back far enough to note the day before.
        let stage = Stage::with(&POLICY.replace("forecast = \"off\"", "")).await;
        let awake = Function::new(Clients::new(&aws::config(&stage.world).await), environment());
        let mut pair = Self { stage, awake };
        pair.used(0.0);
        pair.turn(0, true).await;
        for hour in 1..=ASLEEP {
            pair.turn(hour, false).await;
        }
        pair
    }

    fn used(&mut self, etl: f64) {
        let used = BTreeMap::from([("etl".to_owned(), etl), ("exploratory".to_owned(), 0.0)]);
        self.stage.world.lock().expect("a world").used = used;
    }

    /// One run so many hours after the beginning: its report, and its calls in the order of their names.
    async fn turn(&mut self, hour: i64, of_the_sleeper: bool) -> (RunReport, Vec<String>) {
        self.stage.world.lock().expect("a world").calls.clear();
        let tick = self.stage.begin + SignedDuration::from_hours(hour);
        let now = tick + SignedDuration::from_secs(2);
        let context = self.stage.context(now);
        let function = if of_the_sleeper { &self.stage.function } else { &self.awake };
        let report = function.run(&scheduled(tick), &context, now).await.map_err(|(failure, _)| failure);
        let mut calls = self.stage.world.lock().expect("a world").calls.clone();
        calls.sort();
        (report.expect("a run that is done"), calls)
    }

    /// What is stored of the account.
    fn stored(&self) -> Value {
        let world = self.stage.world.lock().expect("a world");
        let piece = &world.items[&("cache".to_owned(), "catalogue#000".to_owned())];
        serde_json::from_str(piece["body"]["S"].as_str().expect("a body")).expect("JSON")
    }

    fn days(&self) -> usize {
        self.stored()["fits"]["etl"]["1h"]["shares"].as_array().map_or(0, Vec::len)
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_slept_reads_what_the_others_learnt_and_takes_nothing_back() {
    let mut pair = Pair::new().await;
    let (_, alone) = pair.turn(ASLEEP + 1, false).await;
    let days = pair.days();
    assert!(days >= 3, "{days}");
    let (report, calls) = pair.turn(ASLEEP + 2, true).await;
    assert_eq!((report.unknown_limits(), report.warnings), (0, Vec::new()));
    // One question more, and no other: what the others know need not be asked again.
    let mut expected = alone.clone();
    expected.push("Query".to_owned());
    expected.sort();
    assert_eq!(calls, expected);
    assert_eq!(pair.days(), days, "days that the others noted are gone");
    // From now on it is as good as they are; and they notice in their turn.
    assert_eq!(pair.turn(ASLEEP + 3, true).await.1, alone);
    assert_eq!(pair.turn(ASLEEP + 4, false).await.1, expected);
    assert_eq!(pair.days(), days);
}

/// A process that dies between writing down what it learnt and giving back the lease tells nobody that there is something to read.
#[tokio::test(start_paused = true)]
async fn one_that_slept_and_heard_of_nothing_writes_nothing_and_mails_all_the_same() {
    let mut pair = Pair::new().await;
    let lease = ("run".to_owned(), "lease".to_owned());
    let heard = pair.stage.world.lock().expect("a world").items.get_mut(&lease).expect("a lease").remove("learnt");
    assert!(heard.is_some(), "the lease says what was learnt");
    let before = pair.stored();
    pair.used(96.0);
    let (report, _) = pair.turn(ASLEEP + 1, true).await;
    assert_eq!((report.failed.len(), &report.warnings), (0, &Vec::new()));
    let told: Vec<_> = report.sent.iter().flat_map(|mail| &mail.why).map(|why| json!([why.alert, why.level])).collect();
    assert_eq!(told, vec![json!(["limit/etl/1h", "critical"]); 2]);
    assert_eq!(pair.stored(), before, "what it remembers is days old");
    // Refused once, it reads what there is, and goes on from that.
    let (_, calls) = pair.turn(ASLEEP + 2, true).await;
    assert_eq!(calls.iter().filter(|call| *call == "Query").count(), 2);
    let (stored, days) = (pair.stored(), pair.days());
    assert!(stored != before && days >= 3, "{days}");
}
