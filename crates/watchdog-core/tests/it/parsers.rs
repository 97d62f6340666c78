//! Every text that is read from outside, at its worst: nothing panics, what is read is right, and what is refused is refused in few words.
//!
//! Here are those that no other topic tests so: what people type, requests and proofs, CloudFormation's questions, and items of the table. The
//! policy, events, CloudTrail's records and alerts' records are at their topics; rows of CSV are at the tool's `rows`. How much of each is
//! read at most: a policy 300 KiB, a request 4,000 bytes, a proof 8 KiB, a row of CSV 4 KiB, an item of the table what DynamoDB holds
//! (400 KB), an event what Lambda takes (6 MB), JSON 127 levels deep. What comes of each at its largest is at `bounds`.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};
use watchdog_core::alert::{Record, Severity, Story, Subject, Told};
use watchdog_core::bytes::Size;
use watchdog_core::catalogue::Catalogue;
use watchdog_core::grant::cutoff::{Live, next};
use watchdog_core::grant::{Asker, Grants};
use watchdog_core::ledger::{
    decode_grants, decode_policy, decode_principal, decode_record, decode_silence, encode_grants, encode_record,
    encode_silence,
};
use watchdog_core::mail::{Origins, compose};
use watchdog_core::percent::Percent;
use watchdog_core::policy::{Address, PlanRule};
use watchdog_core::principal::{Principal, PrincipalKey};
use watchdog_core::proof::{HEADER, Proof, identity};
use watchdog_core::request::{Change, Event, Request, Situation, Wish, decide};
use watchdog_core::silence::Silences;
use watchdog_core::stack;
use watchdog_core::submitter;
use watchdog_core::window::{Window, duration};

use crate::hostile::world::{NOW, World};
use crate::hostile::{hostile, world};
use crate::support::{at, cases, whole_policy};

/// What somebody types, near to right and far from it.
fn typed() -> impl Strategy<Value = String> {
    prop_oneof![
        hostile(),
        "[-+]?[0-9]{0,25}(\\.[0-9]{0,25})? ?[a-zA-Zµ%]{0,6}",
        "P?T?[-0-9.]{0,12}[smhdwMY]{0,2}( [0-9]{1,20} ?(min|h|s|d|w|ns|years?|months?))?",
        "(calendar |per )?(hour|day|query|week)",
        "[0-9.]{1,8} ?% of spare|[0-9]{1,6} ?(GB|TiB) in [0-9]{1,4} ?(h|min|d)",
        "(arn:aws:(iam|sts)::[0-9]{0,12}:)?(user|role|assumed-role|service|federated)/[ -~]{0,20}(/[ -~]{0,12})?",
        "(limit|sight|active|waiting|sight-active|sight-waiting|grant|listing|policy)(/[ -~]{0,10}){0,3}",
        "[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]{4,12}(Z|UTC|[+-][0-9]{2}:?[0-9]{2})?",
        "[0-9]{0,30}e?[0-9]{0,4}",
    ]
}

/// A text with pieces of it cut out, doubled, or replaced; each edit is where, how long, and by what.
fn edited(text: &str, edits: &[(usize, usize, String)]) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for (place, length, new) in edits {
        let from = if chars.is_empty() { 0 } else { place % chars.len() };
        let to = (from + length).min(chars.len());
        chars.splice(from..to, new.chars());
    }
    chars.into_iter().collect()
}

fn edits() -> impl Strategy<Value = Vec<(usize, usize, String)>> {
    let new = prop_oneof![Just(String::new()), hostile(), "[\"{}:,\\[\\]0-9a-z]{0,4}"];
    prop::collection::vec((any::<usize>(), 0usize..9, new), 0..4)
}

/// JSON in which some leaves are replaced by what is at the edge of what they may be.
fn extreme(value: &mut Value, turn: &mut impl FnMut() -> u8) {
    const TEXTS: [&str; 9] = [
        "",
        "-009999-01-02T01:59:59Z",
        "9999-12-30T22:00:00.999999999Z",
        "1970-01-01T00:00:00Z",
        "2026-03-01T14:05:00Z",
        "2026-03-01T14:04:59Z",
        "\u{202e}\r\n",
        "warn",
        "a\"b",
    ];
    const NUMBERS: [u64; 5] = [0, 1, 255, 10_000_000, u64::MAX];
    match value {
        Value::String(text) => {
            let n = usize::from(turn());
            if let Some(new) = TEXTS.get(n / 6) {
                *text = (*new).to_owned();
            }
        }
        Value::Number(number) => {
            let n = usize::from(turn());
            if let Some(new) = NUMBERS.get(n / 12) {
                *number = (*new).into();
            }
        }
        Value::Array(all) => all.iter_mut().for_each(|one| extreme(one, turn)),
        Value::Object(all) => {
            for (name, one) in all.iter_mut().filter(|(name, _)| *name != "v") {
                if name == "told" {
                    continue;
                }
                extreme(one, turn);
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

const POLICY: &str = r#"
[mail]
sender = "w@example.com"
admins = ["ops@example.com"]
allowed_domains = ["example.com"]
[grants]
granters = ["role/admin"]
workgroups = ["ad-hoc"]
highest_limit = "5 TB"
highest_per_query = "1 TB"
longest = "8h"
[silences]
silencers = ["role/admin"]
longest = "4h"
[[workgroup]]
name = "ad-hoc"
per_query_cutoff = "10 GB"
[[workgroup.limit]]
window = "1h"
limit = "10 GB"
"#;

const STS: &str = "https://sts.eu-central-1.amazonaws.com";

fn request_texts() -> [Value; 6] {
    [
        json!({ "to": "w", "id": "g-one", "grant": {
            "workgroup": "ad-hoc", "limit": "2 TB", "per_query": "500 GB", "for": "3h", "start": "2026-03-01T15:00:00Z", "reason": "x" } }),
        json!({ "to": "w", "id": "g-two", "approve": { "grant": "g-one" } }),
        json!({ "to": "w", "id": "g-two", "extend": { "grant": "g-one", "for": "2h" } }),
        json!({ "to": "w", "id": "g-two", "revoke": { "grant": "g-one" } }),
        json!({ "to": "w", "id": "s-one", "silence": { "alert": "ad-hoc/1h", "for": "1h", "reason": "x" } }),
        json!({ "to": "w", "id": "s-two", "unsilence": { "alert": "ad-hoc/1h" } }),
    ]
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), typed().prop_map(Value::from)];
    leaf.prop_recursive(3, 24, 6, |inner| {
        let key = prop::sample::select(vec![
            "list",
            "request",
            "proof",
            "RequestType",
            "ResponseURL",
            "RequestId",
            "StackId",
            "LogicalResourceId",
            "ResourceType",
            "PhysicalResourceId",
            "ResourceProperties",
            "Policy",
            "detail",
            "detail-type",
            "source",
            "id",
            "eventName",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(key.prop_map(str::to_owned), inner, 0..9)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

#[test]
fn a_refusal_says_a_size_without_what_would_move_a_terminal() {
    let grant = serde_json::json!({ "to": "w", "id": "g-one", "grant": { "workgroup": "etl", "limit": "5\u{85}\u{1b}[1m00 GB", "for": "1h", "reason": "x" } });
    let refused = Request::parse(&grant.to_string()).unwrap_err().to_string();
    assert!(refused.contains("is not a size") && !refused.contains(|c: char| c.is_control()), "{refused:?}");
    let long = grant.to_string().replace("00 GB", &"0".repeat(2500));
    let refused = Request::parse(&long).unwrap_err().to_string();
    assert!(refused.contains("bytes: write a size such as `500 GB`") && refused.len() < 200, "{refused}");
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn what_people_type(text in typed()) {
        if let Ok(size) = text.parse::<Size>() {
            prop_assert!(size.bytes.get() > 0);
            // What is shown is rounded, and can be read.
            prop_assert!(size.to_string().parse::<Size>().is_ok(), "{} of {}", size, text);
        }
        if let Ok(percent) = text.parse::<Percent>() {
            prop_assert_eq!(percent.to_string().parse::<Percent>(), Ok(percent));
        }
        if let Ok(window) = Window::parse(&text, &TimeZone::UTC) {
            for now in [at(NOW), Timestamp::MIN, Timestamp::MAX] {
                let span = window.span(now);
                prop_assert!(span.start <= span.end || now == Timestamp::MIN);
                let _ = (window.began(now), window.ends(now), window.words());
            }
        }
        let _ = (duration(&text), text.parse::<PlanRule>().map(|rule| rule.to_string()), Principal::of_arn(&text));
        let _ = watchdog_core::instant::read(&Value::from(text.as_str()));
        if let Ok(key) = PrincipalKey::parse(&text) {
            prop_assert!(!key.as_str().is_empty());
        }
        if let Ok(subject) = text.parse::<Subject>() {
            prop_assert_eq!(subject.to_string(), text);
        }
    }

    /// What is read of a request is within the policy's caps, whatever was asked; and an answer is short.
    #[test]
    fn requests(n in 0usize..6, edits in edits(), free in typed(), who in typed(), minutes in -600i64..600) {
        let policy = whole_policy(POLICY);
        let text = edited(&request_texts()[n].to_string(), &edits);
        let now = at(NOW) + SignedDuration::from_mins(minutes);
        let admin = Asker { principal: Principal::session("admin", None, &who, None), arn: who };
        let (grants, silences) = (Grants::new(), Silences::new());
        for text in [text, free] {
            let request = match Request::parse(&text) {
                Ok(request) => request,
                Err(refused) => {
                    prop_assert!(refused.to_string().len() < 2_000, "{}", refused);
                    prop_assert!(!refused.to_string().contains(|c: char| c.is_control()), "{:?}", refused);
                    continue;
                }
            };
            if let Wish::Grant { reason, .. } | Wish::Silence { reason, .. } = &request.wish {
                prop_assert!(!reason.is_empty() && reason.len() < 1_300 && !reason.contains(|c: char| c.is_control()));
            }
            let live = Some(Live::Is(None));
            let situation = Situation { policy: &policy, grants: &grants, silences: &silences, live, now };
            match decide(&request, &admin, &situation) {
                Ok(decision) => match decision.change {
                    Change::Grants(workgroup, book) => {
                        let grant = book.open().unwrap();
                        let most = SignedDuration::from_hours(8);
                        prop_assert_eq!((workgroup.as_str(), grant.workgroup.as_str()), ("ad-hoc", "ad-hoc"));
                        prop_assert!(grant.until > now && grant.until.duration_since(grant.from) <= most && grant.from >= now);
                        prop_assert!(grant.limit.as_ref().is_none_or(|raise| raise.to.bytes.get() <= 5_000_000_000_000));
                        prop_assert!(grant.per_query.is_none_or(|amount| amount.bytes.get() <= 1_000_000_000_000));
                        prop_assert_eq!(decode_grants(&encode_grants(&book)), Ok(book));
                    }
                    Change::Silence(_, silence) => {
                        prop_assert!(silence.until.duration_since(now) <= SignedDuration::from_hours(4));
                        prop_assert_eq!(decode_silence(&encode_silence(&silence)), Ok(*silence));
                    }
                    Change::Nothing => {}
                },
                Err(refused) => prop_assert!(refused.to_string().len() < 3_000, "{}", refused),
            }
        }
    }

    /// Whatever is sent as a proof: it is refused, or it is a question to this STS, of this kind, with a signature over the request.
    #[test]
    fn proofs(edits in edits(), free in typed(), answer in prop_oneof![hostile(), "<(Arn|Account)>[ -~]{0,20}</(Arn|Account)>"], cut in 0usize..120) {
        let good = format!(
            "{STS}/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA&X-Amz-Date=\
             20260301T140000Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host%3B{HEADER}&X-Amz-Signature=00ff"
        );
        for url in [edited(&good, &edits), format!("{STS}/?{free}"), free] {
            match Proof::parse(&url, STS, at(NOW)) {
                Ok(proof) => {
                    let path = &proof.path_and_query;
                    let whole = format!("{STS}{path}");
                    prop_assert!(whole == url && path.starts_with("/?") && path.len() < 8_192);
                    prop_assert!(path.bytes().all(|b| b.is_ascii_graphic()) && path.matches("Action=").count() == 1);
                    prop_assert!(path.contains("Action=GetCallerIdentity&") && path.contains(HEADER), "{}", path);
                }
                Err(bad) => prop_assert!(bad.to_string().len() < 600 && !bad.to_string().contains(|c: char| c.is_control())),
            }
        }
        let whole = format!("<A><Arn>arn:aws:iam::1:user/a</Arn>{answer}<Account>1</Account></A>");
        let cut = whole.chars().take(cut).collect::<String>();
        for answer in [whole, cut, answer] {
            if let Some((account, arn)) = identity(&answer) {
                prop_assert!(!account.contains('<') && !arn.contains('<'));
            }
        }
    }

    #[test]
    fn events_of_every_kind(event in json_value()) {
        if let Some(Err(refused)) = Event::parse(&event) {
            prop_assert!(refused.to_string().len() < 1_000);
        }
        if let Some(request) = stack::Request::parse(&event) {
            let answer: Value = serde_json::from_str(&request.answer().json()).unwrap();
            prop_assert!(matches!(answer["Status"].as_str(), Some("SUCCESS" | "FAILED")));
            prop_assert!(answer["Reason"].as_str().unwrap().chars().count() <= 1_000);
        }
        let _ = submitter::read_event(&event);
        let _ = watchdog_core::event::Invocation::parse(&event);
    }

    /// Items of the table that another version, a tired operator or a broken disk has written: they are read or refused, and what is read
    /// stops no run. Nothing of it reaches a person outside the allowed domains.
    #[test]
    fn items_of_the_table(
        edits in edits(), turns in prop::collection::vec(any::<u8>(), 64), seed in any::<u8>(), used in 0u64..1500, free in hostile(),
    ) {
        let world = World { texts: vec!["etl".to_owned(); 12], used, active: 0, kind: 0b1100, seed };
        let mut turn = {
            let mut turns = turns.into_iter().cycle();
            move || turns.next().unwrap()
        };
        let story = Story { opened: at("2026-03-01T13:25:00Z"), severity: Severity::Warn, window_began: None, calm_since: None };
        let told = Told { story: story.opened, severity: Severity::Warn, at: story.opened };
        let to = Address::parse("ops@example.com").unwrap();
        let record = Record { story: Some(story), told: [(to, told)].into(), ..Record::default() };
        let book = &world.grants(at(NOW))["etl"];
        let (subject, silence) = world.silences(at(NOW)).pop_first().unwrap();
        let mut bodies = [encode_record(&record), encode_grants(book), encode_silence(&silence)].map(|body| {
            let mut value: Value = serde_json::from_str(&body).unwrap();
            extreme(&mut value, &mut turn);
            value.to_string()
        });
        if seed.is_multiple_of(3) {
            bodies = bodies.map(|body| edited(&body, &edits));
        }
        let now = at(NOW);
        let record = decode_record(&bodies[0]).unwrap_or_default();
        let book = decode_grants(&bodies[1]).unwrap_or_default();
        let silence = decode_silence(&bodies[2]).unwrap_or(silence);
        let _ = (decode_policy(&bodies[0]), decode_principal(&free), decode_grants(&free), decode_silence(&free));
        let _ = serde_json::from_str::<Catalogue>(&edited(&serde_json::to_string(&Catalogue::default()).unwrap(), &edits));
        let _ = (silence.expires(), silence.is_forgotten(now), silence.is_in_force(now), encode_silence(&silence));
        for grant in &book.grants {
            let _ = (grant.phase(now), grant.is_due(now), grant.ends_soon_from(), grant.has_been_in_force(now));
            for live in [Live::NoWorkgroup, Live::Is(None), Live::Is(grant.per_query.map(|amount| amount.bytes))] {
                let _ = next(grant, live, now);
            }
        }
        let mut forgetful = book.clone();
        forgetful.forget(now);
        let _ = (forgetful.expires(), encode_grants(&forgetful));
        let grants = Grants::from([("etl".to_owned(), book)]);
        let (messages, _) =
            world.planned_with(&[(subject.clone(), record)].into(), &grants, &[(subject, silence)].into(), now);
        for message in messages {
            let origins = Origins { region: "eu-central-1".to_owned(), name: "w".to_owned() };
            let mail = compose(&message, &world.policy().mail, &origins, now);
            prop_assert!(world::ALLOWED.contains(&mail.to.domain()) && mail.mime(now).is_ok());
        }
    }
}
