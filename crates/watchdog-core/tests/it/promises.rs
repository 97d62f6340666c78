//! Grants and silences: who may have what, what a grant makes of a limit, and what the plan makes of both.

use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};
use watchdog_core::alert::{Record, Subject};
use watchdog_core::bytes::Bytes;
use watchdog_core::delivery::{People, Plan, Promises, Records, Standing, plan, promised};
use watchdog_core::event::{Tick, Timing};
use watchdog_core::grant::cutoff::{Cutoff, Live, Step, next};
use watchdog_core::grant::{Asker, Book, Grants, in_force};
use watchdog_core::mail::{Mail, Origins, compose};
use watchdog_core::policy::{Policy, UnderGrant};
use watchdog_core::principal::Principal;
use watchdog_core::proof::{HEADER, Proof, identity};
use watchdog_core::request::{Change, Event, Request, Situation, decide};
use watchdog_core::silence::Silences;
use watchdog_core::usage::{Series, Usage};
use watchdog_core::verdict::judge;

use crate::support::{at, document};

const NOW: &str = "2026-03-01T14:05:00Z";

const POLICY: &str = r#"
[mail]
sender = "w@example.com"
admins = ["ops@example.com"]
allowed_domains = ["example.com"]
[submitters]
trusted_roles = ["sso"]
[grants]
granters = ["role/admin", "role/sso", "user/deploy"]
workgroups = ["ad-hoc", "etl", "gone", "none"]
highest_limit = "5 TB"
highest_per_query = "1 TB"
longest = "8h"
[silences]
silencers = ["role/admin"]
longest = "4h"
never = ["exhausted"]
[[workgroup]]
name = "ad-hoc"
owner = "ann@example.com"
per_query_cutoff = "10 GB"
[[workgroup.limit]]
window = "1h"
limit = "10 GB"
hold = "0 min"
[[workgroup]]
name = "etl"
[[workgroup.limit]]
window = "1h"
limit = "1 TB"
[[workgroup.limit]]
window = "24h"
limit = "9 TB"
[[workgroup]]
name = "gone"
[[workgroup.limit]]
window = "1h"
limit = "1 TB"
"#;

fn policy() -> Policy {
    Policy::parse(&[document("a", POLICY)]).unwrap_or_else(|problems| panic!("{problems}"))
}

fn asker(arn: &str) -> Asker {
    let arn = match arn.split_once('/') {
        Some(("user", _)) => format!("arn:aws:iam::123456789012:{arn}"),
        _ => format!("arn:aws:sts::123456789012:assumed-{arn}"),
    };
    Asker { principal: Principal::of_arn(&arn).unwrap(), arn }
}

fn text(wish: Value) -> String {
    let mut request = wish;
    request["to"] = json!("watchdog");
    if request["id"].is_null() {
        request["id"] = json!("g-one");
    }
    request.to_string()
}

fn grant(change: Value) -> Value {
    let mut grant =
        json!({ "workgroup": "ad-hoc", "limit": "2 TB", "per_query": "500 GB", "for": "3h", "reason": "backfill" });
    for (key, value) in change.as_object().unwrap() {
        if value.is_null() {
            grant.as_object_mut().unwrap().remove(key);
        } else {
            grant[key] = value.clone();
        }
    }
    json!({ "grant": grant })
}

/// Everything that is promised, as requests make it.
#[derive(Default)]
struct Promised {
    grants: Grants,
    silences: Silences,
}

impl Promised {
    fn ask(&mut self, who: &str, wish: Value, now: Timestamp) -> Result<String, String> {
        let request = Request::parse(&text(wish)).map_err(|refused| refused.to_string())?;
        let live = match &request.wish {
            watchdog_core::request::Wish::Grant { workgroup, .. } if workgroup == "gone" => Live::NoWorkgroup,
            _ => Live::Is(Some(Bytes::new(10_000_000_000))),
        };
        let policy = policy();
        let situation =
            Situation { policy: &policy, grants: &self.grants, silences: &self.silences, live: Some(live), now };
        let decision = decide(&request, &asker(who), &situation).map_err(|refused| refused.to_string())?;
        match decision.change {
            Change::Nothing => {}
            Change::Grants(workgroup, book) => drop(self.grants.insert(workgroup, book)),
            Change::Silence(subject, silence) => drop(self.silences.insert(subject, *silence)),
        }
        Ok(decision.says)
    }
}

#[track_caller]
fn check(who: &str, wish: Value, expected: Expect) {
    let mut promised = Promised::default();
    let said = promised.ask(who, wish, at(NOW)).unwrap_or_else(|refused| format!("refused: {refused}"));
    expected.assert_eq(&said);
}

#[test]
fn a_grant_within_the_caps() {
    check(
        "role/admin/ann",
        grant(json!({})),
        expect![
            "`g-one` is granted: the limit of ad-hoc for 1h to 2 TB and its per-query cutoff to 500 GB until 2026-03-01T17:05:00Z"
        ],
    );
    check(
        "user/deploy",
        grant(json!({ "per_query": null, "start": "2026-03-01T22:00:00Z" })),
        expect![
            "`g-one` is planned: the limit of ad-hoc for 1h to 2 TB from 2026-03-01T22:00:00Z until 2026-03-02T01:00:00Z"
        ],
    );
    check(
        "role/admin/ann",
        grant(json!({ "workgroup": "etl", "window": "1h", "limit": "2 TiB", "per_query": null })),
        expect!["`g-one` is granted: the limit of etl for 1h to 2 TiB until 2026-03-01T17:05:00Z"],
    );
}

#[test]
fn a_grant_beyond_them() {
    let ann = "role/admin/ann";
    for (who, wish) in [
        ("user/intern", grant(json!({}))),
        ("role/administrator/ann", grant(json!({}))),
        (ann, grant(json!({ "limit": "5.1 TB" }))),
        (ann, grant(json!({ "limit": "10 GB" }))),
        (ann, grant(json!({ "limit": null, "per_query": "1.1 TB" }))),
        (ann, grant(json!({ "limit": null, "per_query": "9 GB" }))),
        (ann, grant(json!({ "limit": null, "per_query": null }))),
        (ann, grant(json!({ "limit": "2" }))),
        (ann, grant(json!({ "for": "-3h" }))),
        (ann, grant(json!({ "for": "0h" }))),
        (ann, grant(json!({ "for": "for ever" }))),
        (ann, grant(json!({ "for": "1 min" }))),
        (ann, grant(json!({ "for": "8h 1min" }))),
        (ann, grant(json!({ "for": "999999999h" }))),
        (ann, grant(json!({ "reason": " \n\u{200b} " }))),
        (ann, grant(json!({ "reason": null }))),
        (ann, grant(json!({ "reason": "x".repeat(301) }))),
        (ann, grant(json!({ "workgroup": "predictable" }))),
        (ann, grant(json!({ "workgroup": "none" }))),
        (ann, grant(json!({ "workgroup": "gone" }))),
        (ann, grant(json!({ "workgroup": "../etc" }))),
        (ann, grant(json!({ "workgroup": "etl", "per_query": null }))),
        (ann, grant(json!({ "workgroup": "etl", "window": "6h", "per_query": null }))),
        (ann, grant(json!({ "start": "2026-03-01T12:00:00Z" }))),
        (ann, grant(json!({ "start": "2027-03-01T12:00:00Z" }))),
        (ann, grant(json!({ "start": "tomorrow" }))),
        (ann, grant(json!({ "colour": "red" }))),
        (ann, json!({ "revoke": { "grant": "g-none" } })),
        (ann, json!({ "extend": { "grant": "g-none", "for": "1h" } })),
        (ann, json!({ "id": "x", "revoke": { "grant": "g-none" } })),
        (ann, json!({})),
        (ann, json!({ "revoke": { "grant": "ad-hoc" }, "approve": { "grant": "ad-hoc" } })),
        ("user/deploy", json!({ "silence": { "alert": "ad-hoc/1h", "for": "1h", "reason": "x" } })),
        (ann, json!({ "silence": { "alert": "ad-hoc/6h", "for": "1h", "reason": "x" } })),
        (ann, json!({ "silence": { "alert": "sight/ad-hoc", "for": "1h", "reason": "x" } })),
        (ann, json!({ "silence": { "alert": "policy", "for": "1h", "reason": "x" } })),
        (ann, json!({ "silence": { "alert": "ad-hoc/1h", "for": "5h", "reason": "x" } })),
        (ann, json!({ "silence": { "alert": "ad-hoc/1h", "for": "1h", "reason": "" } })),
        (ann, json!({ "unsilence": { "alert": "ad-hoc/1h" } })),
    ] {
        let mut promised = Promised::default();
        let refused = promised.ask(who, wish.clone(), at(NOW)).err().unwrap_or_else(|| panic!("not refused: {wish}"));
        assert!(promised.grants.is_empty() && promised.silences.is_empty());
        REFUSED.with_borrow_mut(|all| all.push(refused));
    }
    let all = REFUSED.take().join("\n");
    expect![[r#"
        `user/intern` is none of the policy's `granters`: `role/admin`, `role/sso`, `user/deploy`
        `role/administrator/ann` is none of the policy's `granters`: `role/admin`, `role/sso`, `user/deploy`
        `limit` is 5.1 TB: the policy grants up to 5 TB
        `limit` is 10 GB, and the limit of `ad-hoc` is 10 GB already: a grant raises it
        `per_query` is 1.1 TB: the policy grants up to 1 TB
        `per_query` is 9 GB, and the cutoff of `ad-hoc` is 10 GB already: a grant raises it
        a grant raises something: give a `limit`, a `per_query`, or both
        `limit`: `2` has no unit: write for example `2 GB` (10^9 bytes) or `2 GiB` (2^30 bytes)
        `for` is `-3h`: write a time with its unit, such as `3h` or `90 min`
        `for` is `0h`: write a time with its unit, such as `3h` or `90 min`
        `for` is `for ever`: write a time with its unit, such as `3h` or `90 min`
        `for` is 1m: the policy grants from 5m to 8h
        `for` is 8h 1m: the policy grants from 5m to 8h
        `for` is `999999999h`: write a time with its unit, such as `3h` or `90 min`
        there is no `reason`: say why, for whoever reads the mail
        the request cannot be read: missing field `reason` at line 1 column 78
        the `reason` has 301 characters: at most 300
        `predictable` is none of the workgroups that the policy's `[grants]` names: `ad-hoc`, `etl`, `gone`, `none`
        no rule of the policy covers `none`: what is not watched has no limit to raise
        there is no workgroup `gone` in Athena
        `../etc` is no workgroup's name and no grant's id
        `etl` has several limits: give the `window`, one of `1h`, `24h`
        `etl` has no limit for `6h`: give one of `1h`, `24h`
        `start` is 2026-03-01T12:00:00Z, which is past: leave it out to begin at once
        `start` is 2027-03-01T12:00:00Z: a grant is planned at most 31 days ahead
        `start` is `tomorrow`: write an instant such as `2026-03-01T14:00:00Z`
        the request cannot be read: unknown field `colour`, expected one of `workgroup`, `window`, `limit`, `per_query`, `for`, `start`, `reason` at line 1 column 106
        there is no grant `g-none`; `watchdog grants` lists them
        there is no grant `g-none`; `watchdog grants` lists them
        `id` is `x`: it has 4 to 64 letters, digits and `-`
        the request must have one of `grant`, `approve`, `extend`, `revoke`, `silence` and `unsilence`
        the request must have one of `grant`, `approve`, `extend`, `revoke`, `silence` and `unsilence`
        `user/deploy` is none of the policy's `silencers`: `role/admin`
        the policy has no limit `ad-hoc/6h`: `watchdog status` lists them
        the policy has no limit `sight/ad-hoc`: `watchdog status` lists them
        `policy` is no limit's alert: write the workgroup and the window, such as `exploratory/1h`; what cannot be seen is not silenced, for nobody would know
        `for` is 5h: the policy allows from 5m to 4h
        there is no `reason`: say why, for whoever reads the mail
        `ad-hoc/1h` is not silenced"#]].assert_eq(&all);
}

thread_local! {
    static REFUSED: std::cell::RefCell<Vec<String>> = const { std::cell::RefCell::new(Vec::new()) };
}

#[test]
fn without_its_table_nobody_may() {
    let bare = POLICY.split("[grants]").next().unwrap().to_owned()
        + "[[workgroup]]\nname = \"ad-hoc\"\n[[workgroup.limit]]\nwindow = \"1h\"\nlimit = \"1 GB\"\n";
    let policy = Policy::parse(&[document("a", &bare)]).unwrap();
    let (grants, silences) = (Grants::new(), Silences::new());
    let situation = Situation { policy: &policy, grants: &grants, silences: &silences, live: None, now: at(NOW) };
    for (wish, words) in [
        (grant(json!({})), "the policy has no `[grants]`"),
        (json!({ "silence": { "alert": "ad-hoc/1h", "for": "1h", "reason": "x" } }), "the policy has no `[silences]`"),
    ] {
        let request = Request::parse(&text(wish)).unwrap();
        let refused = decide(&request, &asker("role/admin/ann"), &situation).unwrap_err().to_string();
        assert!(refused.contains(words), "{refused}");
    }
}

#[test]
fn overlaps_are_refused_and_extensions_end_at_the_longest_time() {
    let ann = "role/admin/ann";
    let mut promised = Promised::default();
    promised.ask(ann, grant(json!({})), at(NOW)).unwrap();
    let mut ask = |who: &str, minutes: i64, wish: Value| {
        let now = at(NOW) + SignedDuration::from_mins(minutes);
        promised.ask(who, wish, now).unwrap_or_else(|refused| format!("refused: {refused}"))
    };
    let mut second = grant(json!({ "start": "2026-03-02T14:00:00Z" }));
    second["id"] = json!("g-two");
    let said = [
        ask(ann, 1, second),
        ask(ann, 2, json!({ "id": "e-one", "extend": { "grant": "g-one", "for": "4h" } })),
        ask(ann, 2, json!({ "id": "e-one", "extend": { "grant": "g-one", "for": "4h" } })),
        ask(ann, 3, json!({ "id": "e-two", "extend": { "grant": "g-one", "for": "1h" } })),
        ask(ann, 4, json!({ "id": "e-three", "extend": { "grant": "g-one", "for": "8h" } })),
        ask(ann, 5, json!({ "id": "a-one", "approve": { "grant": "g-one" } })),
        ask("user/intern", 6, json!({ "id": "r-one", "revoke": { "grant": "ad-hoc" } })),
        ask("user/deploy", 7, json!({ "id": "r-two", "revoke": { "grant": "ad-hoc" } })),
        ask(ann, 8, json!({ "id": "e-four", "extend": { "grant": "g-one", "for": "2h" } })),
    ];
    expect![[r#"
        refused: `ad-hoc` has a grant already, `g-one` by `role/admin/ann` until 2026-03-01T17:05:00Z (in force): extend it, or revoke it first
        `g-one` is extended: the limit of ad-hoc for 1h to 2 TB and its per-query cutoff to 500 GB until 2026-03-01T18:07:00Z
        the request `e-one` has had its effect already; nothing is changed
        refused: `g-one` lasts until 2026-03-01T18:07:00Z already: revoke it to end it sooner
        refused: `for` is 8h, which is until 2026-03-01T22:09:00Z: `g-one` began at 2026-03-01T14:05:00Z and may last 8h in all, until 2026-03-01T22:05:00Z
        refused: the grant `g-one` waits for nobody: it is in force
        refused: `user/intern` is none of the policy's `granters`: `role/admin`, `role/sso`, `user/deploy`
        `g-one` is revoked: the limit of ad-hoc for 1h to 2 TB and its per-query cutoff to 500 GB is taken back
        refused: the grant `g-one` is over"#]].assert_eq(&said.join("\n"));
}

#[test]
fn a_second_person_is_another_person() {
    let two = POLICY.replace("longest = \"8h\"", "longest = \"8h\"\nsecond_approver = true");
    let policy = Policy::parse(&[document("a", &two)]).unwrap();
    let approved = |first: &str, second: &str| {
        let mut grants = Grants::new();
        let silences = Silences::new();
        let mut said = String::new();
        for (who, wish) in
            [(first, grant(json!({}))), (second, json!({ "id": "a-one", "approve": { "grant": "g-one" } }))]
        {
            let request = Request::parse(&text(wish)).unwrap();
            let live = Some(Live::Is(None));
            let situation = Situation { policy: &policy, grants: &grants, silences: &silences, live, now: at(NOW) };
            said = match decide(&request, &asker(who), &situation) {
                Ok(decision) => {
                    let Change::Grants(workgroup, book) = decision.change else { panic!("no grant") };
                    grants.insert(workgroup, book);
                    decision.says
                }
                Err(refused) => format!("refused: {refused}"),
            };
        }
        (said, grants["ad-hoc"].open().unwrap().phase(at(NOW)).word())
    };
    assert_eq!(approved("role/admin/ann", "user/deploy").1, "in force");
    assert_eq!(approved("role/admin/ann", "role/sso/bob").1, "in force");
    assert_eq!(approved("role/sso/ann", "role/sso/bob").1, "in force", "the policy trusts these names");
    // Whoever may assume a role calls their session as they like.
    let (said, phase) = approved("role/admin/ann", "role/admin/bob");
    assert!(said.contains("somebody else has to approve it; two sessions of one role count as one person"), "{said}");
    assert_eq!(phase, "pending");
    assert_eq!(approved("user/deploy", "user/deploy").1, "pending");
    assert_eq!(approved("role/sso/ann", "role/sso/ann").1, "pending");
}

fn granted() -> Promised {
    let mut promised = Promised::default();
    promised.ask("role/admin/ann", grant(json!({ "for": "1h" })), at(NOW)).unwrap();
    promised
}

#[test]
fn the_raised_limit_holds_from_the_beginning_inclusive_to_the_end_exclusive() {
    let promised = granted();
    let limit = |seconds: i64| {
        let policy = in_force(&policy(), &promised.grants, at(NOW) + SignedDuration::from_secs(seconds));
        policy.rule_for("ad-hoc").unwrap().limits[0].clone()
    };
    assert_eq!(limit(-1).bytes.get(), 10_000_000_000);
    assert_eq!(limit(-1).grant, None);
    assert_eq!(limit(0).bytes.get(), 2_000_000_000_000);
    assert_eq!(limit(3599).bytes.get(), 2_000_000_000_000);
    assert_eq!(limit(3600).bytes.get(), 10_000_000_000);
    // What was scanned under the grant does not count against the usual limit, for as long as it is in the window.
    let ended = at(NOW) + SignedDuration::from_hours(1);
    assert_eq!(limit(3600).grant, Some(UnderGrant::Ended { at: ended }));
    let look = ended + SignedDuration::from_mins(20);
    assert_eq!(limit(3600 + 1200).span(look).start, ended);
    assert_eq!(limit(2 * 3600 + 300).grant, None);
    assert!(!limit(3600).forecast && limit(2 * 3600 + 300).forecast);
    // Nobody else's limit is raised.
    let policy = in_force(&policy(), &promised.grants, at(NOW));
    assert_eq!(policy.rule_for("etl").unwrap().limits[0].grant, None);
}

#[test]
fn a_workgroup_of_a_pattern_is_raised_alone() {
    let text = POLICY.replace("name = \"gone\"", "name = \"team-*\"").replace("\"gone\"", "\"team-a\"");
    let policy = Policy::parse(&[document("a", &text)]).unwrap();
    let mut grants = Grants::new();
    let request = Request::parse(&self::text(grant(json!({ "workgroup": "team-a", "per_query": null })))).unwrap();
    let silences = Silences::new();
    let situation = Situation { policy: &policy, grants: &grants, silences: &silences, live: None, now: at(NOW) };
    let Change::Grants(workgroup, book) = decide(&request, &asker("user/deploy"), &situation).unwrap().change else {
        panic!("no grant");
    };
    grants.insert(workgroup, book);
    let raised = in_force(&policy, &grants, at(NOW));
    let limit = |name: &str| raised.rule_for(name).unwrap().limits[0].bytes.get();
    assert_eq!((limit("team-a"), limit("team-b")), (2_000_000_000_000, 1_000_000_000_000));
}

/// Use of ad-hoc: `bytes` in the bucket before each instant.
fn usage(now: Timestamp, points: &[(i64, u64)]) -> Usage {
    let mut buckets = vec![Bytes::ZERO; 28 * 12];
    for (minutes_ago, bytes) in points {
        let index = buckets.len() - 1 - usize::try_from(minutes_ago / 5).unwrap();
        buckets[index] = Bytes::new(*bytes);
    }
    let series = Series::from_buckets(now - SignedDuration::from_hours(28), buckets);
    Usage { workgroups: BTreeMap::from([("ad-hoc".to_owned(), Ok(series))]), ..Usage::default() }
}

struct World {
    promised: Promised,
    records: Records,
    troubles: BTreeMap<String, String>,
}

impl World {
    /// One run in which every mail arrives; what each person is told, and the mails.
    fn run(&mut self, now: Timestamp, points: &[(i64, u64)]) -> (String, Vec<Mail>) {
        let policy = policy();
        let usage = usage(now, points);
        let tick = Tick { at: now, timing: Timing::Event };
        let effective = in_force(&policy, &self.promised.grants, now);
        let findings = judge(&effective, &tick, &usage);
        let before = std::mem::take(&mut self.records);
        let none = People::new();
        let plan = plan(&policy, &Standing::Current, &tick, &findings, None, &before, &none);
        let promises =
            Promises { grants: &self.promised.grants, troubles: &self.troubles, silences: &self.promised.silences };
        let (plan, ended) = promised(plan, &policy, &usage, &before, &promises, now);
        self.promised.silences.extend(ended);
        let origins = Origins { region: "eu-central-1".to_owned(), name: "watchdog".to_owned() };
        let mails = plan.messages.iter().map(|m| compose(m, &policy.mail, &origins, now)).collect();
        let Plan { messages, mut records, .. } = plan;
        let mut lines = Vec::new();
        for message in &messages {
            for notice in &message.notices {
                if matches!(notice.subject, Subject::Limit { .. } | Subject::Grant { .. }) {
                    let (reason, level) = (notice.reason.word(), notice.severity.words());
                    lines.push(format!("{} {}: {reason} {level}", message.to, notice.subject));
                }
                notice.told(&message.to, records.get_mut(&notice.subject).unwrap(), now);
            }
        }
        records.retain(|_, record: &mut Record| !record.is_over());
        self.records = records;
        (lines.join("\n"), mails)
    }
}

#[test]
fn everybody_hears_of_a_grant_three_times_and_of_its_use() {
    let mut world = World { promised: granted(), records: Records::new(), troubles: BTreeMap::new() };
    let minute = |n: i64| at(NOW) + SignedDuration::from_mins(n);
    let mut said = Vec::new();
    let (first, mails) = world.run(minute(0), &[]);
    said.push(first);
    expect![[r#"
        Subject: [cannot see] 2 workgroups cannot be seen: there is no workgroup of this name, and 1 more

        2 alerts, the worst first:
          [cannot see] 2 workgroups cannot be seen: there is no workgroup of this name
          [granted] ad-hoc: a 1h limit of 2 TB and a per-query cutoff of 500 GB until 15:05 UTC

        ----------------------------------------------------------------

        [cannot see] 2 workgroups cannot be seen: there is no workgroup of this name

        The watchdog cannot see etl and gone: there is no workgroup of this name (as of 14:05 UTC).
        Their use is unknown, which is not the same as fine: a limit may be passed without a warning.

        What to do now
          Mend it, for each of them:
            Create `etl`, or take it out of the policy.

        Why now: the alert has just opened.

        ----------------------------------------------------------------

        [granted] ad-hoc: a 1h limit of 2 TB and a per-query cutoff of 500 GB until 15:05 UTC

        ad-hoc has a 1h limit of 2 TB and a per-query cutoff of 500 GB until 15:05 UTC.
        It ends by itself then. A CloudWatch alarm on the usual limit does not know of it, and may go off meanwhile.

        What to do now
          End it now:
            watchdog revoke g-one --region eu-central-1 --stack watchdog --write

        The numbers
          Grant         g-one
          Asked for by  role/admin/ann
          Reason        backfill
          Limit         2 TB (2,000,000,000,000 bytes) for 1h; usually 10 GB (10,000,000,000 bytes)
          Per query     500 GB (500,000,000,000 bytes)
          From          2026-03-01 14:05 UTC
          Until         2026-03-01 15:05 UTC

        Why now: a grant stands.

        --
        Athena Quota Watchdog (watchdog, eu-central-1), as of 2026-03-01 14:05 UTC.
        You (ops@example.com) get this because you are one of the policy's admins.
        To hear less: `audience`, `warn` and `repeat_every` in the policy say who is told, from when on, and how often again."#]]
    .assert_eq(&format!("Subject: {}\n\n{}", mails[0].subject, mails[0].text));
    // 900 GB are no alert now.
    said.push(world.run(minute(20), &[(5, 900_000_000_000)]).0);
    let (soon, mails) = world.run(minute(50), &[(35, 900_000_000_000)]);
    said.push(soon);
    expect![[r#"
        Subject: [ends soon] ad-hoc: the grant ends at 15:05 UTC

        [ends soon] ad-hoc: the grant ends at 15:05 UTC

        The grant for ad-hoc ends at 15:05 UTC; 900 GB were scanned in it so far.
        Then the usual limit holds again. Queries that still run keep running, and what they scan counts once they end.

        What to do now
          Make it last this long from now:
            watchdog grant --extend g-one --for 1h --region eu-central-1 --stack watchdog --write

        The numbers
          Grant         g-one
          Asked for by  role/admin/ann
          Reason        backfill
          Limit         2 TB (2,000,000,000,000 bytes) for 1h; usually 10 GB (10,000,000,000 bytes)
          Per query     500 GB (500,000,000,000 bytes)
          From          2026-03-01 14:05 UTC
          Until         2026-03-01 15:05 UTC
          Used          900 GB (900,000,000,000 bytes)

        Why now: it is about to end.

        --
        Athena Quota Watchdog (watchdog, eu-central-1), as of 2026-03-01 14:55 UTC.
        You (ann@example.com) get this because the policy names you for it, or you own the workgroup.
        Every grant is told to the admins, and to the workgroup's owner."#]]
    .assert_eq(&format!("Subject: {}\n\n{}", mails[0].subject, mails[0].text));
    said.push(world.run(minute(55), &[(40, 900_000_000_000)]).0);
    // Over, and not looked at yet.
    said.push(world.run(minute(60), &[(45, 900_000_000_000)]).0);
    let grant = world.promised.grants.get_mut("ad-hoc").unwrap().open_mut().unwrap();
    grant.cutoff = Cutoff::Restored { before: Some(Bytes::new(10_000_000_000)) };
    grant.closed = Some(minute(65));
    let (ended, mails) = world.run(minute(65), &[(50, 900_000_000_000)]);
    said.push(ended);
    expect![[r#"
        Subject: [grant ended] ad-hoc: the grant has ended

        [grant ended] ad-hoc: the grant has ended

        The grant for ad-hoc ended at 15:05 UTC.
        900 GB were scanned in it. The limit is 10 GB again, and counts what is scanned from now on. The per-query cutoff is 10 GB again, as before.

        The numbers
          Grant         g-one
          Asked for by  role/admin/ann
          Reason        backfill
          Limit         2 TB (2,000,000,000,000 bytes) for 1h; usually 10 GB (10,000,000,000 bytes)
          Per query     500 GB (500,000,000,000 bytes); before: 10 GB
          From          2026-03-01 14:05 UTC
          Until         2026-03-01 15:05 UTC
          Used          900 GB (900,000,000,000 bytes)

        Why now: everything that the grant raised has been looked at again.

        --
        Athena Quota Watchdog (watchdog, eu-central-1), as of 2026-03-01 15:10 UTC.
        You (ann@example.com) get this because you were told when it began.
        Nothing more comes of what is over."#]].assert_eq(&format!("Subject: {}\n\n{}", mails[0].subject, mails[0].text));
    said.push(world.run(minute(70), &[(55, 900_000_000_000)]).0);
    expect![[r#"
        ops@example.com grant/ad-hoc/g-one: opened granted
        ann@example.com grant/ad-hoc/g-one: opened granted
        --

        --
        ann@example.com grant/ad-hoc/g-one: escalated ends soon
        ops@example.com grant/ad-hoc/g-one: escalated ends soon
        --

        --

        --
        ann@example.com grant/ad-hoc/g-one: resolved ends soon
        ops@example.com grant/ad-hoc/g-one: resolved ends soon
        --
    "#]]
    .assert_eq(&said.join("\n--\n"));
}

#[test]
fn a_cutoff_that_is_not_as_it_should_be_is_told_at_once() {
    let mut world = World { promised: granted(), records: Records::new(), troubles: BTreeMap::new() };
    let minute = |n: i64| at(NOW) + SignedDuration::from_mins(n);
    world.run(minute(0), &[]);
    let before = Some(watchdog_core::grant::cutoff::Before { cutoff: Some(Bytes::new(10_000_000_000)) });
    let grant = world.promised.grants.get_mut("ad-hoc").unwrap().open_mut().unwrap();
    grant.cutoff = Cutoff::Left { before, found: Some(Bytes::new(77_000_000_000)) };
    let (_, mails) = world.run(minute(5), &[]);
    expect![[r#"
        Subject: [cutoff amiss] ad-hoc: somebody has changed the per-query cutoff during the grant

        [cutoff amiss] ad-hoc: somebody has changed the per-query cutoff during the grant

        Somebody has set the per-query cutoff of ad-hoc to 77 GB during the grant.
        It is left so, now and when the grant ends: what is not the watchdog's doing is not overwritten.

        What to do now
          End it now:
            watchdog revoke g-one --region eu-central-1 --stack watchdog --write
          Set the cutoff to what it was before:
            aws athena update-work-group --region eu-central-1 --work-group ad-hoc --configuration-updates BytesScannedCutoffPerQuery=10000000000

        The numbers
          Grant         g-one
          Asked for by  role/admin/ann
          Reason        backfill
          Limit         2 TB (2,000,000,000,000 bytes) for 1h; usually 10 GB (10,000,000,000 bytes)
          Per query     500 GB (500,000,000,000 bytes); before: 10 GB
          From          2026-03-01 14:05 UTC
          Until         2026-03-01 15:05 UTC
          Used          0 bytes

        Why now: the cutoff is not as the grant says.

        --
        Athena Quota Watchdog (watchdog, eu-central-1), as of 2026-03-01 14:10 UTC.
        You (ann@example.com) get this because the policy names you for it, or you own the workgroup.
        Every grant is told to the admins, and to the workgroup's owner."#]].assert_eq(&format!("Subject: {}\n\n{}", mails[0].subject, mails[0].text));
    let grant = world.promised.grants.get_mut("ad-hoc").unwrap().open_mut().unwrap();
    grant.cutoff = Cutoff::Raised { before: Some(Bytes::new(10_000_000_000)), again: 0 };
    world
        .troubles
        .insert("ad-hoc".to_owned(), "`athena:UpdateWorkGroup` failed with `AccessDeniedException`".to_owned());
    let mut told = Vec::new();
    for n in [65, 70, 65 + 24 * 60, 70 + 24 * 60] {
        told.push(world.run(minute(n), &[]).0);
    }
    expect![[r#"

        --

        --
        ann@example.com grant/ad-hoc/g-one: repeated amiss
        ops@example.com grant/ad-hoc/g-one: repeated amiss
        --
    "#]]
    .assert_eq(&told.join("\n--\n"));
}

#[test]
fn hostile_reasons_stay_text() {
    let mut promised = Promised::default();
    let reason = "x\r\nBcc: evil@example.org\r\n\r\n<img src=x onerror=alert(1)> </title>\u{202e} \"'";
    promised.ask("role/admin/ann", grant(json!({ "reason": reason })), at(NOW)).unwrap();
    let mut world = World { promised, records: Records::new(), troubles: BTreeMap::new() };
    let (_, mails) = world.run(at(NOW), &[]);
    let mail = &mails[0];
    assert!(!mail.html.contains("<img") && mail.html.contains("&#60;img src=x"), "{}", mail.html);
    let mime = String::from_utf8(mail.mime(at(NOW)).unwrap()).unwrap();
    let (headers, _) = mime.split_once("\r\n\r\n").unwrap();
    assert!(!headers.contains("Bcc") && !mail.subject.contains("Bcc"), "{headers}");
    assert!(mail.text.contains("Reason        x Bcc: evil@example.org <img"), "{}", mail.text);
}

#[test]
fn a_silence_holds_mails_back_until_it_ends() {
    let mut world = World { promised: Promised::default(), records: Records::new(), troubles: BTreeMap::new() };
    let minute = |n: i64| at(NOW) + SignedDuration::from_mins(n);
    let mut said = vec![world.run(minute(0), &[(0, 9_100_000_000)]).0];
    let silence = json!({ "id": "s-one", "silence": { "alert": "ad-hoc/1h", "for": "30 min", "reason": "known" } });
    world.promised.ask("role/admin/ann", silence, minute(1)).unwrap();
    said.push(world.run(minute(5), &[(5, 9_600_000_000)]).0);
    // Its end: what was held back is told, and that there was a silence.
    let (after, mails) = world.run(minute(35), &[(35, 9_600_000_000)]);
    said.push(after);
    expect![[r#"
        Subject: [critical] ad-hoc: 96 % of 10 GB used in the last hour

        [critical] ad-hoc: 96 % of 10 GB used in the last hour

        ad-hoc has used 96 % of its 10 GB in the last hour (as of 14:40 UTC).
        Worse than when you were last told (warn). 400 MB are left. The silence of this alert ended at 14:36 UTC.

        [###################.] 96 %   9.6 GB used, 400 MB left

        Scanned since 13:40 UTC, added up; full height is the limit
                          ▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇
          13:40 UTC - now, 14:40 UTC
          steepest rise: 9.6 GB until 14:05 UTC

        What to do now
          See its queries (choose this workgroup at the top right):
            https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/query-editor/history
          Open the workgroup:
            https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/workgroups/details/ad-hoc
          List its newest queries:
            aws athena list-query-executions --region eu-central-1 --work-group ad-hoc --max-items 20
          Stop one of them, by its id:
            aws athena stop-query-execution --region eu-central-1 --query-execution-id ID
          Raise the limit for an hour:
            watchdog grant ad-hoc --limit 15GB --window 1h --for 1h --reason "WHY" --region eu-central-1 --stack watchdog --write
          Silence this alert for an hour:
            watchdog silence ad-hoc/1h --for 1h --reason "WHY" --region eu-central-1 --stack watchdog --write

        The numbers
          Used          9.6 GB (9,600,000,000 bytes)
          Limit         10 GB (10,000,000,000 bytes)
          The limit is  given directly in the policy
          Window        1h, since 2026-03-01 13:40 UTC
          Warns at      90 %, or sooner by the forecast; critical at 95 %; resolves below 75 %
          This time     critical since 14:10 UTC, at most 96 %, 1 mail so far
          Silenced      by role/admin/ann, from 2026-03-01 14:06 UTC until 2026-03-01 14:36 UTC: known

        Why now: it is worse than what you were last told (warn); open since 2026-03-01 14:05 UTC.

        --
        Athena Quota Watchdog (watchdog, eu-central-1), as of 2026-03-01 14:40 UTC.
        You (ops@example.com) get this because you are one of the policy's admins.
        To hear less: `audience`, `warn` and `repeat_every` in the policy say who is told, from when on, and how often again."#]]
    .assert_eq(&format!("Subject: {}\n\n{}", mails[0].subject, mails[0].text));
    said.push(world.run(minute(40), &[(40, 9_600_000_000)]).0);
    // A level that is never silenced.
    let silence = json!({ "id": "s-two", "silence": { "alert": "ad-hoc/1h", "for": "30 min", "reason": "known" } });
    world.promised.ask("role/admin/ann", silence, minute(41)).unwrap();
    let (never, mails) = world.run(minute(45), &[(45, 10_600_000_000)]);
    said.push(never);
    assert!(mails[0].text.contains("This alert is silenced until 15:16 UTC, and this level is told all the same."));
    // The alert ends, and the silence with it.
    let (over, mails) = world.run(minute(60), &[]);
    said.push(over);
    assert!(mails[0].text.contains("Its silence has ended with it."), "{}", mails[0].text);
    // The next alert is told again.
    said.push(world.run(minute(65), &[(0, 9_100_000_000)]).0);
    expect![[r#"
        ops@example.com limit/ad-hoc/1h: opened warn
        --

        --
        ops@example.com limit/ad-hoc/1h: escalated critical
        --

        --
        ops@example.com limit/ad-hoc/1h: escalated exhausted
        --
        ops@example.com limit/ad-hoc/1h: resolved exhausted
        --
        ops@example.com limit/ad-hoc/1h: opened warn"#]]
    .assert_eq(&said.join("\n--\n"));
}

const ENDPOINT: &str = "https://sts.eu-central-1.amazonaws.com";

fn url(change: impl Fn(&str) -> String) -> String {
    change(&format!(
        "{ENDPOINT}/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256\
         &X-Amz-Credential=AKIA%2F20260301%2Feu-central-1%2Fsts%2Faws4_request&X-Amz-Date=20260301T140000Z&X-Amz-Expires=900\
         &X-Amz-SignedHeaders=host%3B{HEADER}&X-Amz-Signature=00ff"
    ))
}

#[test]
fn a_proof_is_a_signed_question_to_sts_and_nothing_else() {
    assert!(Proof::parse(&url(str::to_owned), ENDPOINT, at(NOW)).is_ok());
    let token = |url: &str| format!("{url}&X-Amz-Security-Token=abc%2F%3D");
    assert!(Proof::parse(&url(token), ENDPOINT, at(NOW)).is_ok());
    let bad: Vec<(&str, String)> = vec![
        ("it leads to", url(|u| u.replace("amazonaws.com", "amazonaws.com.evil.example"))),
        ("it leads to", url(|u| u.replace("https://", "http://"))),
        ("it leads to", url(|u| u.replace("https://sts", "https://evil.example@sts"))),
        ("it leads to", url(|u| u.replace("eu-central-1.amazonaws.com/", "us-east-1.amazonaws.com/"))),
        ("it leads to", url(|u| u.replace("/?", "/evil?"))),
        ("is not `GetCallerIdentity`", url(|u| u.replace("GetCallerIdentity", "GetSessionToken"))),
        ("it has `Action` twice", url(|u| format!("{u}&Action=GetSessionToken"))),
        ("it has `action`, which", url(|u| format!("{u}&action=GetSessionToken"))),
        ("it has `Acti%6fn`, which", url(|u| format!("{u}&Acti%6fn=GetSessionToken"))),
        ("it has no `X-Amz-Signature`", url(|u| u.replace("&X-Amz-Signature=00ff", ""))),
        ("does not cover the header", url(|u| u.replace(&format!("host%3B{HEADER}"), "host"))),
        ("has expired", url(|u| u.replace("T140000Z", "T134900Z"))),
        ("has expired", url(|u| u.replace("Expires=900", "Expires=60"))),
        ("is yet to come", url(|u| u.replace("T140000Z", "T141100Z"))),
        ("is no time", url(|u| u.replace("T140000Z", "T14000é"))),
        ("it is no URL", url(|u| format!("{u}\r\nHost: evil.example"))),
        ("it is no URL", url(|u| format!("{u}&X-Amz-Security-Token={}", "a".repeat(9000)))),
    ];
    for (words, url) in bad {
        let error = Proof::parse(&url, ENDPOINT, at(NOW)).unwrap_err().to_string();
        assert!(error.contains(words) || error.contains("it is no URL"), "{words}: {error}");
    }
    let answer = "<A><Arn>arn:aws:iam::1:user/a</Arn><Account>1</Account></A>";
    assert_eq!(identity(answer), Some(("1".to_owned(), "arn:aws:iam::1:user/a".to_owned())));
    assert_eq!(identity("<Arn>a</Arn><Arn>b</Arn><Account>1</Account>"), None);
    assert_eq!(identity("{}"), None);
}

#[test]
fn only_events_of_this_kind_are_taken() {
    assert!(Event::parse(&json!({ "dry_run": true })).is_none());
    assert!(Event::parse(&json!({ "source": "aws.events" })).is_none());
    assert_eq!(Event::parse(&json!({ "list": "promises" })), Some(Ok(Event::List)));
    assert!(Event::parse(&json!({ "list": "all" })).unwrap().is_err());
    assert!(Event::parse(&json!({ "request": "{}" })).unwrap().is_err());
    assert!(Event::parse(&json!({ "request": {}, "proof": "x" })).unwrap().is_err());
    assert!(Event::parse(&json!({ "request": "{}", "proof": "x", "by": "root" })).unwrap().is_err());
}

proptest! {
    /// Whatever is written down and whatever Athena says: a value that is neither the one before nor the raised one is never written over, what
    /// is set is one of these two, and steps come to an end.
    #[test]
    fn steps_end_and_touch_nobody_elses_value(
        before in prop::option::of(1u64..4), raised in 5u64..7, live in prop::option::of(1u64..9), minutes in 0i64..120,
        kind in 0usize..4, again in 0u8..7,
    ) {
        let mut promised = granted();
        let book: &mut Book = promised.grants.get_mut("ad-hoc").unwrap();
        let grant = book.open_mut().unwrap();
        grant.per_query.as_mut().unwrap().bytes = Bytes::new(raised);
        let before = before.map(Bytes::new);
        grant.cutoff = match kind {
            0 => Cutoff::Untouched,
            1 => Cutoff::Noted { before, again },
            2 => Cutoff::Raised { before, again },
            _ => Cutoff::Restored { before },
        };
        let at = at(NOW) + SignedDuration::from_mins(minutes);
        let mut world = live.map(Bytes::new);
        let found = world;
        for n in 0.. {
            prop_assert!(n < 8, "no end: {grant:?}");
            match next(grant, Live::Is(world), at) {
                Step::Nothing => break,
                Step::Note(cutoff) => grant.cutoff = cutoff,
                Step::Close(cutoff) => {
                    grant.cutoff = cutoff;
                    grant.closed = Some(at);
                }
                Step::Set(value) => {
                    let known = grant.cutoff.before().unwrap().cutoff;
                    prop_assert!(world == known || world == Some(Bytes::new(raised)), "{world:?} is somebody's");
                    prop_assert!(value == known || value == Some(Bytes::new(raised)));
                    world = value;
                }
            }
        }
        if found != before && found != Some(Bytes::new(raised)) && kind != 0 {
            prop_assert_eq!(world, found);
        }
    }
}
