//! What is read from outside, at its largest: one byte more is refused where there is a bound of ours, and whatever its size, what is kept or said
//! of it is no larger than it, or short. Sizes and not times, for these say the same on every machine.
//!
//! The policy's bound is at `policy`, a row of CSV's at the tool's `rows`; `parsers` has all bounds in a list.

use serde_json::{Value, json};
use watchdog_core::alert::{Record, Severity, Story, Told};
use watchdog_core::catalogue::Catalogue;
use watchdog_core::event::Invocation;
use watchdog_core::grant::Asker;
use watchdog_core::ledger::{
    StoredPolicy, Unreadable, decode_grants, decode_policy, decode_principal, decode_record, decode_silence,
    encode_grants, encode_policy, encode_principal, encode_record, encode_silence,
};
use watchdog_core::policy::{Address, POLICY_MAX_BYTES};
use watchdog_core::principal::Principal;
use watchdog_core::request::{Event, Request};
use watchdog_core::silence::Silence;
use watchdog_core::stack;
use watchdog_core::submitter::{Reading, Submission, read_event, read_text};

use crate::hostile::world::{NOW, World};
use crate::support::{at, document};

/// Bytes of a request to the function: a bound of ours.
const REQUEST: usize = 4_000;
/// Bytes of an item that DynamoDB holds.
const ITEM: usize = 400_000;
/// Bytes of an event that Lambda takes.
const EVENT: usize = 6 * 1024 * 1024;
/// Levels of JSON that are read.
const DEEPEST: usize = 127;
/// What is said of something that was refused, in bytes: a sentence or two, whatever it was.
const SENTENCES: usize = 600;

#[track_caller]
fn is_short(what: &str, said: &str) {
    assert!(said.len() <= SENTENCES, "{what}: {} bytes: {}", said.len(), said.chars().take(200).collect::<String>());
    assert!(!said.contains(|c: char| c.is_control()), "{what}: {said:?}");
}

fn nested(levels: usize) -> String {
    "[".repeat(levels) + &"]".repeat(levels)
}

/// `text` in which the word `PAD` is so much longer that all has `bytes`.
fn padded(text: &str, bytes: usize) -> String {
    let pad = "x".repeat(bytes + 3 - text.len());
    let whole = text.replacen("PAD", &pad, 1);
    assert_eq!(whole.len(), bytes);
    whole
}

#[test]
fn a_request_is_read_up_to_its_bound_and_not_beyond() {
    let requests = [
        json!({ "to": "PAD", "id": "g-one", "grant": { "workgroup": "ad-hoc", "limit": "2 TB", "for": "3h", "reason": "x" } }),
        json!({ "to": "PAD", "id": "s-one", "silence": { "alert": "ad-hoc/1h", "for": "1h", "reason": "x" } }),
    ];
    for request in requests {
        let text = request.to_string();
        let largest = Request::parse(&padded(&text, REQUEST)).unwrap();
        assert!(largest.to.len() < REQUEST);
        for bytes in [REQUEST + 1, ITEM, EVENT] {
            let text = padded(&text, bytes);
            let refused = Request::parse(&text).unwrap_err().to_string();
            assert_eq!(refused, format!("the request has {bytes} bytes: at most {REQUEST}"));
            // The event that brings it holds it once.
            let event = json!({ "request": text, "proof": "p" });
            let Some(Ok(Event::Signed(signed))) = Event::parse(&event) else { panic!("no request") };
            assert_eq!(signed.text.len(), bytes);
        }
    }
}

/// Where the texts of a value are, as JSON pointers.
fn texts(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::String(_) => found.push(at.to_owned()),
        Value::Array(all) => {
            for (n, one) in all.iter().enumerate() {
                texts(one, &format!("{at}/{n}"), found);
            }
        }
        Value::Object(all) => {
            for (name, one) in all {
                texts(one, &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// One kind of item: what is written of it, and how it is read and written again.
type Item = (&'static str, String, fn(&str) -> Result<String, Unreadable>);

fn items() -> [Item; 5] {
    let now = at(NOW);
    let world = World { texts: vec!["etl".to_owned(); 12], used: 820, active: 0, kind: 0b1100, seed: 0 };
    let story = Story { opened: now, severity: Severity::Warn, window_began: None, calm_since: Some(now) };
    let told = Told { story: now, severity: Severity::Warn, at: now };
    let to = Address::parse("ops@example.com").unwrap();
    let record = Record { story: Some(story), told: [(to, told)].into(), ..Record::default() };
    let admin = Principal::session("admin", None, "ann", None);
    let by = Asker { principal: admin.clone(), arn: "arn:aws:sts::1:assumed-role/admin/ann".to_owned() };
    let silence = Silence { by, ..world.silences(now).pop_first().unwrap().1 };
    let policy = StoredPolicy { documents: vec![document("00-stack", "# a policy")], since: now };
    [
        ("an alert", encode_record(&record), |body| decode_record(body).map(|read| encode_record(&read))),
        ("grants", encode_grants(&world.grants(now)["etl"]), |body| {
            decode_grants(body).map(|read| encode_grants(&read))
        }),
        ("a silence", encode_silence(&silence), |body| decode_silence(body).map(|read| encode_silence(&read))),
        ("a policy", encode_policy(&policy), |body| decode_policy(body).map(|read| encode_policy(&read))),
        ("a submitter", encode_principal(&admin), |body| decode_principal(body).map(|read| encode_principal(&read))),
    ]
}

/// Whichever of its texts fills the item, and where it is cut off: read, and then no larger, or refused in a sentence.
#[test]
fn an_item_as_large_as_the_table_takes_is_read_or_refused_in_a_sentence() {
    let mut refused = 0;
    for (what, body, again) in items() {
        assert_eq!(again(&body).as_deref(), Ok(body.as_str()), "{what}");
        let value: Value = serde_json::from_str(&body).unwrap();
        let mut found = Vec::new();
        texts(&value, "", &mut found);
        assert!(!found.is_empty(), "{what}: {body}");
        for place in found {
            let mut large = value.clone();
            *large.pointer_mut(&place).unwrap() = "PAD".into();
            let large = padded(&large.to_string(), ITEM);
            match again(&large) {
                Ok(kept) => assert!(kept.len() <= ITEM, "{what}{place}: {} bytes", kept.len()),
                Err(why) => {
                    refused += 1;
                    is_short(&format!("{what}{place}"), &why.to_string());
                }
            }
            is_short(what, &again(&large[..ITEM - 1]).unwrap_err().to_string());
        }
    }
    assert!(refused > 10, "{refused}: hardly anything was refused");
    let name = format!("{}@example.com", "a".repeat(ITEM));
    let told = json!({ "v": 1, "told": { name: { "story": NOW, "severity": "warn", "at": NOW } } }).to_string();
    is_short("an address", &decode_record(&told).unwrap_err().to_string());
}

/// As many people as an item has room for.
#[test]
fn an_item_with_as_many_people_as_it_has_room_for_is_read_as_it_was_written() {
    let now = at(NOW);
    let told = Told { story: now, severity: Severity::Exhausted, at: now };
    let people = (0..).map(|n| (Address::parse(&format!("person-{n:05}@example.com")).unwrap(), told));
    let one = encode_record(&Record { told: people.clone().take(2).collect(), ..Record::default() }).len()
        - encode_record(&Record { told: people.clone().take(1).collect(), ..Record::default() }).len();
    let record = Record { told: people.take(ITEM / one).collect(), ..Record::default() };
    let body = encode_record(&record);
    assert!(body.len() > ITEM * 9 / 10, "{}", body.len());
    assert_eq!(decode_record(&body), Ok(record));
}

#[test]
fn an_event_as_large_as_lambda_takes_is_refused_in_a_sentence() {
    let large = "x\u{1b}".repeat(EVENT / 2);
    let events = [
        json!(large),
        json!({ "source": large }),
        json!({ "source": "aws.events", "detail-type": large }),
        json!({ "source": "aws.events", "detail-type": "Scheduled Event", "time": large }),
        json!({ "dry_run": large }),
        json!({ "dry_run": true, large.clone(): 1 }),
        json!({ "Records": [{ "eventSource": large }] }),
    ];
    for event in &events {
        is_short("an event", &Invocation::parse(event).unwrap_err().to_string());
        assert!(read_event(event).is_none() && stack::Request::parse(event).is_none());
    }
    for event in [json!({ "list": large }), json!({ "request": 1, large.clone(): 1 }), json!({ "request": [large] })] {
        is_short("a request", &Event::parse(&event).unwrap().unwrap_err().to_string());
    }
    // CloudFormation takes 4 KB, and gets its own names back beside that.
    for policy in [large.clone(), "#".repeat(POLICY_MAX_BYTES + 1)] {
        let event = json!({
            "RequestType": "Create", "RequestId": "1", "StackId": "s", "LogicalResourceId": "PolicyLimits", "ResponseURL": "u",
            "ResourceType": "Custom::PolicyLimits", "ResourceProperties": { "Policy": policy },
        });
        let answer = stack::Request::parse(&event).unwrap().answer().json();
        assert!(answer.contains("FAILED") && answer.len() < 4_096, "{}", answer.len());
    }
}

/// Deeper than that nothing is read, and nothing runs out of stack: by whoever reads it, also where it is a text inside a text.
#[test]
fn json_is_read_as_deep_as_its_bound_and_no_deeper() {
    assert!(serde_json::from_str::<Value>(&nested(DEEPEST)).is_ok());
    for levels in [DEEPEST + 1, DEEPEST + 2, 100_000, EVENT / 2] {
        let text = nested(levels);
        assert!(serde_json::from_str::<Value>(&text).is_err(), "{levels}");
        assert!(serde_json::from_str::<Catalogue>(&text).is_err(), "{levels}");
        is_short("a record", &read_text("e-1", &text).unwrap_err().to_string());
        let event = json!({ "detail-type": "AWS API Call via CloudTrail", "source": "aws.athena", "detail": text });
        is_short("a detail", &read_event(&event).unwrap().unwrap_err().to_string());
        for (what, body, again) in items().into_iter().filter(|_| levels < ITEM) {
            // In the place of a field that is known, and of one that is not.
            for field in ["story", "told", "grants", "by", "documents", "principal", "else"] {
                let deep = body.replacen('{', &format!("{{\"{field}\":{text},"), 1);
                match again(&deep) {
                    // What nobody knows is passed over, without a level of stack for each of its own.
                    Ok(kept) => assert!(kept.len() <= body.len(), "{what} {field}"),
                    Err(why) => is_short(what, &why.to_string()),
                }
            }
        }
    }
    for levels in [1, DEEPEST - 1] {
        let inner: Value = serde_json::from_str(&nested(levels)).unwrap();
        for name in ["source", "dry_run", "detail-type", "Records", "list", "request", "RequestType"] {
            let mut event = json!({ "source": "aws.events" });
            event[name] = inner.clone();
            is_short(name, &Invocation::parse(&event).unwrap_err().to_string());
            if let Some(Err(refused)) = Event::parse(&event) {
                is_short(name, &refused.to_string());
            }
            assert!(stack::Request::parse(&event).is_none() && read_event(&event).is_none());
        }
    }
}

/// Bytes that are kept of a submission.
fn kept(submission: &Submission) -> usize {
    submission.query.len() + submission.workgroup.len() + encode_principal(&submission.principal).len()
}

/// A record of CloudTrail with this in its place, and a text of any size in all others.
fn record(identity: &Value, large: &str) -> String {
    json!({
        "eventID": large, "eventName": "StartQueryExecution", "eventSource": "athena.amazonaws.com", "eventTime": large,
        "userIdentity": identity, "userAgent": large,
        "requestParameters": { "queryString": large, "workGroup": large },
        "responseElements": { "queryExecutionId": large },
    })
    .to_string()
}

fn identities(large: &str) -> Vec<Value> {
    let kinds =
        ["IAMUser", "AssumedRole", "Root", "FederatedUser", "IdentityCenterUser", "AWSService", "AWSAccount", ""];
    let kinds = kinds.into_iter().chain([large]);
    let identity = |kind: &str| {
        json!({
            "type": kind, "userName": large, "principalId": format!("AROA:{large}"), "invokedBy": large, "accountId": large,
            "arn": format!("arn:aws:sts::1:assumed-role/{large}/{large}"), "onBehalfOf": { "userId": large },
            "sessionContext": { "sourceIdentity": large, "sessionIssuer": {
                "userName": large, "arn": format!("arn:aws:iam::1:role/{large}") } },
        })
    };
    kinds.map(identity).collect()
}

/// What is kept of a record does not grow with it, whoever it is of.
#[test]
fn a_record_of_cloudtrail_however_large_is_kept_small() {
    let sizes = [300, EVENT / 12];
    let largest = sizes.map(|size| {
        let large = "x".repeat(size);
        let of = identities(&large).into_iter().map(|identity| {
            let Ok(Reading::Submitted(submission)) = read_text("e-1", &record(&identity, &large)) else {
                panic!("no submission")
            };
            kept(&submission)
        });
        of.max().unwrap()
    });
    assert_eq!(largest[0], largest[1], "the same of a small one and of a huge one");
    assert!(largest[1] < 2_000, "{largest:?}");
    let large = "x".repeat(EVENT);
    let odd = json!({
        "eventID": large, "eventName": "StartQueryExecution", "responseElements": { "queryExecutionId": [large] },
    });
    is_short("a record", &read_text("e-1", &odd.to_string()).unwrap_err().to_string());
    is_short("a record", &read_text(&large, &large).unwrap_err().to_string());
}
