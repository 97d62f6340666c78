//! What is remembered, as it is written down.

use expect_test::expect;
use jiff::Timestamp;
use proptest::prelude::*;
use watchdog_core::alert::{Ending, Record, Severity, Story, Told};
use watchdog_core::history::{History, MOST_EPISODES, Share};
use watchdog_core::ledger::{StoredPolicy, Unreadable, decode_policy, decode_record, encode_policy, encode_record};
use watchdog_core::policy::{Address, Document};
use watchdog_core::verdict::Level;

use crate::support::{at, cases, document};

fn severity() -> impl Strategy<Value = Severity> {
    prop::sample::select(vec![Severity::Warn, Severity::CannotSee, Severity::Critical, Severity::Exhausted])
}

fn instant() -> impl Strategy<Value = Timestamp> {
    (-10_000_000_000..10_000_000_000i64, 0..1_000_000_000i32)
        .prop_map(|(s, n)| Timestamp::new(s, if s < 0 { -n } else { n }).unwrap())
}

/// Episodes of all kinds, the last of them perhaps open.
fn history() -> impl Strategy<Value = History> {
    let level = prop::sample::select(vec![Level::Warn, Level::Critical, Level::Exhausted]);
    let look = (level, any::<u64>(), any::<u64>(), any::<bool>(), any::<bool>());
    prop::collection::vec(look, 0..40).prop_map(|looks| {
        let mut history = History::default();
        for (n, (level, used, limit, told, ends)) in looks.into_iter().enumerate() {
            let now = at("2026-03-01T00:00:00Z") + jiff::SignedDuration::from_hours(i64::try_from(n).unwrap());
            let opened = history.open().map_or(now, |open| open.opened);
            history.see(opened, level, Share { used, limit }, now);
            if told {
                history.tell(opened, now);
            }
            if ends {
                history.end(now);
            }
        }
        history
    })
}

fn record() -> impl Strategy<Value = Record> {
    let story = (instant(), severity(), prop::option::of(instant()))
        .prop_map(|(opened, severity, window_began)| Story { opened, severity, window_began, calm_since: None });
    let told = (instant(), severity(), instant()).prop_map(|(story, severity, at)| Told { story, severity, at });
    let person =
        "[a-z!#$%&'*+=^_`{|}~-]{1,20}".prop_map(|local| Address::parse(&format!("{local}@example.com")).unwrap());
    let ended =
        prop::sample::select(vec![None, Some(Ending::Over), Some(Ending::WindowEnded), Some(Ending::NotWatched)]);
    (prop::option::of(story), ended, prop::collection::btree_map(person, told, 0..5), history())
        .prop_map(|(story, ended, told, history)| Record { story, ended, told, history, ..Record::default() })
}

proptest! {
    #![proptest_config(cases(192))]

    #[test]
    fn a_record_is_read_as_it_was_written(record in record()) {
        prop_assert_eq!(decode_record(&encode_record(&record)), Ok(record));
    }

    #[test]
    fn a_policy_is_read_as_it_was_written(texts in prop::collection::vec(("\\PC{0,20}", any::<String>()), 0..4), since in instant()) {
        let documents: Vec<Document> = texts.iter().map(|(name, text)| document(name, text)).collect();
        let policy = StoredPolicy { documents, since };
        prop_assert_eq!(decode_policy(&encode_policy(&policy)), Ok(policy));
    }

    #[test]
    fn no_body_panics(text in any::<String>(), record in record(), cut in 0..400usize, put in "[\"{}:,0-9a-z]{0,3}") {
        let _ = (decode_record(&text), decode_policy(&text));
        let mut body: Vec<char> = encode_record(&record).chars().collect();
        let at = cut.min(body.len());
        body.splice(at..(at + 1).min(body.len()), put.chars());
        let _ = decode_record(&body.into_iter().collect::<String>());
    }
}

/// The form that is in people's tables: what reads it must go on reading it.
#[test]
fn the_form_is_stable() {
    let record = Record {
        story: Some(Story {
            opened: at("2026-03-01T14:05:00Z"),
            severity: Severity::CannotSee,
            window_began: Some(at("2026-03-01T00:00:00Z")),
            calm_since: None,
        }),
        ended: Some(Ending::NotWatched),
        told: [(
            Address::parse("ops@example.com").unwrap(),
            Told { story: at("2026-03-01T14:05:00Z"), severity: Severity::Warn, at: at("2026-03-01T14:10:00Z") },
        )]
        .into(),
        ..Record::default()
    };
    expect![[r#"{"v":1,"story":{"opened":"2026-03-01T14:05:00Z","severity":"cannot_see","window_began":"2026-03-01T00:00:00Z"},"ended":"not_watched","told":{"ops@example.com":{"story":"2026-03-01T14:05:00Z","severity":"warn","at":"2026-03-01T14:10:00Z"}}}"#]].assert_eq(&encode_record(&record));
    expect![[r#"{"v":1,"story":null,"ended":null,"told":{}}"#]].assert_eq(&encode_record(&Record::default()));
    let policy = StoredPolicy { documents: vec![document("10-stack", "[mail]\n")], since: at("2026-03-01T14:05:00Z") };
    expect![[r#"{"v":1,"documents":[{"name":"10-stack","text":"[mail]\n"}],"since":"2026-03-01T14:05:00Z"}"#]]
        .assert_eq(&encode_policy(&policy));
}

#[track_caller]
fn check(body: &str, expected: &str) {
    assert_eq!(decode_record(body).expect_err("it was read").to_string(), expected);
}

#[test]
fn what_cannot_be_read_says_why() {
    check(r#"{"v":2,"anything":"else"}"#, "it has version 2, and this watchdog reads up to 1");
    check(r#"{"v":4294967295}"#, "it has version 4294967295, and this watchdog reads up to 1");
    for broken in [
        "",
        "null",
        "[]",
        "{}",
        r#"{"v":"1"}"#,
        r#"{"v":-1}"#,
        r#"{"v":1}"#,
        r#"{"v":1,"story":null,"ended":null}"#,
        r#"{"v":1,"story":{"opened":"yesterday","severity":"warn","window_began":null},"ended":null,"told":{}}"#,
        r#"{"v":1,"story":null,"ended":"maybe","told":{}}"#,
        r#"{"v":1,"story":null,"ended":null,"told":{"ops@example.com":{}}}"#,
        // Nobody's address, however it got into the table.
        r#"{"v":1,"story":null,"ended":null,"told":{"a@b.c\r\nBcc: x@example.com":{"story":"2026-03-01T14:05:00Z","severity":"warn","at":"2026-03-01T14:05:00Z"}}}"#,
    ] {
        assert!(matches!(decode_record(broken), Err(Unreadable::Broken(_))), "{broken}");
    }
}

/// A field that a later version of the same form adds is not in the way.
#[test]
fn unknown_fields_are_passed_over() {
    let body = r#"{"v":1,"story":null,"ended":null,"told":{},"silenced_until":null}"#;
    assert_eq!(decode_record(body), Ok(Record::default()));
}

/// Records of a version that kept no history are read as they are; and one that is passed every hour for a month stays a small item.
#[test]
fn a_history_is_read_from_any_version_and_stays_small() {
    let body = r#"{"v":1,"story":{"opened":"2026-03-01T14:05:00Z","severity":"warn","window_began":null},"ended":null,"told":{}}"#;
    assert!(decode_record(body).unwrap().history.is_empty());
    let mut record = Record::default();
    let minutes = jiff::SignedDuration::from_mins;
    for n in 0..720 {
        let opened = at("2026-03-01T14:05:00Z") + minutes(60 * n);
        let share = Share { used: u64::MAX - 1, limit: u64::MAX };
        record.history.see(opened, Level::Exhausted, share, opened);
        record.history.tell(opened, opened);
        record.history.end(opened + minutes(35));
    }
    assert_eq!(record.history.episodes().count(), MOST_EPISODES);
    let written = encode_record(&record);
    assert!(written.len() < 4_000, "{}", written.len());
    assert_eq!(decode_record(&written), Ok(record));
    let mut one = Record::default();
    one.history.see(
        at("2026-03-01T14:05:00Z"),
        Level::Critical,
        Share { used: 96, limit: 100 },
        at("2026-03-01T14:10:00Z"),
    );
    expect![[r#"{"v":1,"story":null,"ended":null,"told":{},"history":{"open":{"opened":"2026-03-01T14:05:00Z","critical":"2026-03-01T14:10:00Z","peak":{"used":96,"limit":100},"mails":0}}}"#]].assert_eq(&encode_record(&one));
}
