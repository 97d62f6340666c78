//! Commands in mails: whoever may give them by the policy can paste them, and where nobody may, none is offered.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::json;
use watchdog_core::alert::Subject;
use watchdog_core::bytes::Bytes;
use watchdog_core::delivery::{People, Records, Standing, plan};
use watchdog_core::event::{Tick, Timing};
use watchdog_core::grant::cutoff::Live;
use watchdog_core::grant::{Asker, Grants};
use watchdog_core::mail::{Origins, compose};
use watchdog_core::policy::Policy;
use watchdog_core::principal::Principal;
use watchdog_core::request::{Change, Request, Situation, decide};
use watchdog_core::silence::Silences;
use watchdog_core::usage::{Series, Usage};
use watchdog_core::verdict::judge;

use crate::support::{at, policy};

const NOW: &str = "2026-03-01T14:05:00Z";
const LIMIT: u64 = 700_000_000_000;

/// A workgroup with a limit of 700 GB for an hour, and what the policy says of raises and silences.
fn rules(promises: &str) -> Policy {
    policy(&format!(
        "{promises}\n[[workgroup]]\nname = \"etl\"\n[[workgroup.limit]]\nwindow = \"1h\"\nlimit = \"700 GB\"\nforecast = \"off\"\n"
    ))
}

/// The text of the mail that the admins get, where `used` bytes were scanned just now.
fn text(policy: &Policy, used: u64) -> String {
    let now = at(NOW);
    let mut buckets = vec![Bytes::ZERO; 28 * 12];
    buckets[28 * 12 - 2] = Bytes::new(used);
    let series = Series::from_buckets(now - SignedDuration::from_hours(28), buckets);
    let usage = Usage { workgroups: BTreeMap::from([("etl".to_owned(), Ok(series))]), ..Usage::default() };
    let tick = Tick { at: now, timing: Timing::Event };
    let findings = judge(policy, &tick, &usage);
    let plan = plan(policy, &Standing::Current, &tick, &findings, None, &Records::new(), &People::new());
    let origins = Origins { region: "eu-central-1".to_owned(), name: "athena-quota-watchdog".to_owned() };
    plan.messages.iter().map(|message| compose(message, &policy.mail, &origins, now).text).collect()
}

/// The words of each command of the operator's tool.
fn commands(text: &str) -> Vec<Vec<&str>> {
    let lines = text.lines().map(str::trim).filter(|line| line.starts_with("watchdog "));
    lines.map(|line| line.split(' ').collect()).collect()
}

/// What the function would be asked for by a command of a mail.
fn request(words: &[&str]) -> Request {
    let value = |name: &str| words.iter().position(|word| *word == name).map(|place| words[place + 1]);
    let wish = match words[1] {
        "grant" => json!({ "grant": {
            "workgroup": words[2], "limit": value("--limit"), "window": value("--window"), "for": value("--for"), "reason": "WHY",
        } }),
        "silence" => json!({ "silence": { "alert": words[2], "for": value("--for"), "reason": "WHY" } }),
        other => panic!("a command that nobody knows: {other}"),
    };
    let mut request = wish;
    request["to"] = json!("watchdog");
    request["id"] = json!("g-one");
    Request::parse(&request.to_string()).unwrap_or_else(|refused| panic!("{words:?}: {refused}"))
}

/// What the commands of the mail come to, given by somebody whom the policy names.
fn outcome(policy: &Policy, used: u64) -> Vec<String> {
    let arn = "arn:aws:sts::123456789012:assumed-role/admin/ann".to_owned();
    let asker = Asker { principal: Principal::of_arn(&arn).unwrap(), arn };
    let (grants, silences) = (Grants::new(), Silences::new());
    let live = Some(Live::Is(None));
    let text = text(policy, used);
    let outcomes = commands(&text).into_iter().map(|words| {
        let situation = Situation { policy, grants: &grants, silences: &silences, live, now: at(NOW) };
        let decision =
            decide(&request(&words), &asker, &situation).unwrap_or_else(|refused| panic!("{words:?}: {refused}"));
        match decision.change {
            Change::Grants(_, book) => {
                let to = book.grants[0].limit.as_ref().map_or(0, |raise| raise.to.bytes.get());
                assert!(to > used.max(LIMIT), "{words:?} ends nothing where {used} are used");
                "grant".to_owned()
            }
            Change::Silence(subject, _) => {
                assert_eq!(subject, Subject::Limit { workgroup: "etl".to_owned(), window: "1h".to_owned() });
                "silence".to_owned()
            }
            Change::Nothing => panic!("{words:?} does nothing"),
        }
    });
    outcomes.collect()
}

#[track_caller]
fn check(promises: &str, percent: u64, expected: &[&str], words: &str) {
    let policy = rules(promises);
    let used = LIMIT / 100 * percent;
    assert_eq!(outcome(&policy, used), expected, "{}", text(&policy, used));
    assert!(text(&policy, used).contains(words), "{}", text(&policy, used));
}

const GRANTS: &str = "[grants]\ngranters = [\"role/admin\"]\nworkgroups = [\"etl\"]\nlongest = \"8h\"\n";
const SILENCES: &str = "[silences]\nsilencers = [\"role/admin\"]\nlongest = \"8h\"\n";

#[test]
fn a_command_is_offered_where_the_policy_lets_somebody_give_it() {
    let both = format!("{GRANTS}highest_limit = \"5 TB\"\n{SILENCES}");
    check(&both, 92, &["silence"], "Silence this alert for an hour");
    check(&both, 97, &["grant", "silence"], "watchdog grant etl --limit 1.1TB --window 1h --for 1h");
    check(&both, 140, &["grant", "silence"], "Raise the limit for an hour");
    // Where nobody may, it says so and what there is instead.
    check("", 92, &[], "[warn]");
    check(
        "",
        97,
        &[],
        "nobody may for a while (`[grants]` in the policy); for good, change the limit of `etl` for `1h` there",
    );
    let others = both.replace("[\"etl\"]", "[\"ad-hoc\"]");
    check(&others, 97, &["silence"], "nobody may for a while");
    // Only cutoffs may be raised.
    check(&format!("{GRANTS}highest_per_query = \"1 TB\"\n{SILENCES}"), 97, &["silence"], "nobody may for a while");
    // What is told in spite of a silence is not to be silenced.
    let never = format!("{both}never = [\"exhausted\"]\n");
    check(&never, 97, &["grant", "silence"], "Silence");
    check(&never, 120, &["grant"], "Raise the limit for an hour");
}

#[test]
fn a_command_stays_within_what_the_policy_grants() {
    let both = |highest: &str| format!("{GRANTS}highest_limit = \"{highest}\"\n{SILENCES}");
    check(&both("800 GB"), 97, &["grant", "silence"], "--limit 800GB");
    // To the byte, where it has no short form.
    check(&both("700000000001 B"), 97, &["grant", "silence"], "--limit 700000000001B");
    check(&both("800 GB"), 120, &["silence"], "goes no further than 800 GB, which would not help");
    check(&both("700 GB"), 97, &["silence"], "goes no further than 700 GB, which would not help");
    let short = both("5 TB").replace("8h", "20 min");
    check(&short, 97, &["grant", "silence"], "Raise the limit for a while");
    check(&short, 97, &["grant", "silence"], "watchdog silence etl/1h --for 20m");
}

proptest! {
    /// Whatever was used and whatever the policy grants.
    #[test]
    fn no_command_of_a_mail_is_refused(
        used in LIMIT / 2..LIMIT * 4, highest in LIMIT / 2..LIMIT * 6, minutes in 5..700u64, never in prop::sample::subsequence(vec!["warn", "critical", "exhausted"], 0..=3),
    ) {
        let never: Vec<String> = never.iter().map(|level| format!("\"{level}\"")).collect();
        let promises = format!("{GRANTS}highest_limit = \"{highest} B\"\n{SILENCES}never = [{}]\n", never.join(", "));
        outcome(&rules(&promises.replace("8h", &format!("{minutes} min"))), used);
    }
}
