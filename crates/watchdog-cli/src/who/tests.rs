//! The table, the JSON and the exit code, of shares made by hand.

use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use jiff::{SignedDuration, Timestamp};
use watchdog_core::bytes::Bytes;
use watchdog_core::identity::Tag;
use watchdog_core::people::{Gathered, Shares};
use watchdog_core::policy::{Document, Policy};
use watchdog_core::principal::Principal;
use watchdog_core::queries::{Execution, Kind, State};
use watchdog_core::usage::Unknown;
use watchdog_core::window::Span;

use super::{Who, answer, table};
use crate::exit::Exit;
use crate::out::Page;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    at("2026-03-01T14:05:00Z")
}

fn policy() -> Policy {
    let text = "[mail]\nsender = \"w@example.com\"\nadmins = [\"ops@example.com\"]\nallowed_domains = [\"example.com\"]\n\
                [[workgroup]]\nname = \"*\"\nper_query_cutoff = \"1 GB\"\n";
    Policy::parse(&[Document { name: "p".to_owned(), text: text.to_owned() }]).unwrap()
}

fn execution(id: &str, gb: Option<u64>) -> Execution {
    let submitted = now() - SignedDuration::from_mins(50);
    Execution {
        id: id.to_owned(),
        workgroup: "exploratory".to_owned(),
        state: if gb.is_some() { State::Succeeded } else { State::Running },
        submitted: Some(submitted),
        completed: gb.map(|_| submitted + SignedDuration::from_mins(5)),
        scanned: gb.map(|gb| Bytes::new(gb * 1_000_000_000)),
        kind: Kind::Dml,
        sql: None,
    }
}

fn gathered() -> Gathered {
    let user = |name: &str| Principal::User { name: name.to_owned() };
    let session = Principal::session("analyst", None, "ceo@example.com\u{1b}[2J", None);
    let principals = [("a1", user("ann")), ("a2", user("ann")), ("b", user("bob")), ("c", session)];
    Gathered {
        executions: vec![
            execution("a1", Some(50)),
            execution("a2", None),
            execution("b", Some(30)),
            execution("c", Some(5)),
            execution("lost", Some(1)),
        ],
        principals: principals.map(|(id, who)| (id.to_owned(), who)).into(),
        tags: BTreeMap::from([
            ("ann".to_owned(), Tag::Value("ann@example.com".to_owned())),
            ("bob".to_owned(), Tag::Absent),
        ]),
        ..Gathered::default()
    }
}

fn shares(gathered: &Gathered, metric: Option<u64>) -> Shares {
    let policy = policy();
    let span = Span { start: now() - SignedDuration::from_hours(1), end: now() };
    let metric = metric.map(|gb| Bytes::new(gb * 1_000_000_000));
    Shares::of(gathered, span, metric, now(), &policy.submitters, &policy.mail)
}

fn who<'a>(shares: &'a Shares, metric: Option<&'a Unknown>) -> Who<'a> {
    Who {
        workgroup: "exploratory",
        since: SignedDuration::from_hours(1),
        as_of: now(),
        region: "eu-central-1",
        shares,
        metric,
        unrecorded: None,
        warnings: &[],
    }
}

#[track_caller]
fn check(shares: &Shares, width: Option<usize>, expected: Expect) {
    let text = table::text(&who(shares, None), &policy().mail, Page { width, blocks: false });
    expected.assert_eq(&anstream::adapter::strip_str(&text).to_string());
}

#[test]
fn everybody_with_how_they_were_found_and_why_not() {
    check(
        &shares(&gathered(), Some(90)),
        None,
        expect![[r#"
        exploratory in the last 1h, as of 2026-03-01 14:05 UTC

        SHARE  SCANNED        QUERIES  WHO                               HOW
         55 %    50 GB  1 + 1 running  ann@example.com                   known by the IAM user's tag
         33 %    30 GB              1  user/bob                          the IAM user has no tag `email`
          5 %     5 GB              1  role/analyst/ceo@example.com [2J  whoever assumes the role chooses the session's name, which proves nothing
          1 %     1 GB              1  no record                         CloudTrail has no record of them

        2 of 5 queries (40 %) have a person's name.
        Athena's list of queries adds up to 86 GB, 4 GB less than the metric says.
    "#]],
    );
}

#[test]
fn a_narrow_page_puts_the_reasons_below() {
    check(
        &shares(&gathered(), Some(86)),
        Some(80),
        expect![[r#"
        exploratory in the last 1h, as of 2026-03-01 14:05 UTC

        SHARE  SCANNED        QUERIES  WHO
         58 %    50 GB  1 + 1 running  ann@example.com
                                       known by the IAM user's tag
         34 %    30 GB              1  user/bob
                                       the IAM user has no tag `email`
          5 %     5 GB              1  role/analyst/ceo@example.com [2J
                                       whoever assumes the role chooses the session's name, which proves nothing
          1 %     1 GB              1  no record
                                       CloudTrail has no record of them

        2 of 5 queries (40 %) have a person's name.
        Athena's list of queries adds up to 86 GB, as the metric says.
    "#]],
    );
}

#[test]
fn nobody() {
    check(
        &shares(&Gathered::default(), Some(0)),
        None,
        expect![[r#"
        exploratory in the last 1h, as of 2026-03-01 14:05 UTC

        No query ended in that time, and none is in flight.
        Athena's list of queries adds up to 0 B, as the metric says.
    "#]],
    );
}

#[test]
fn json() {
    let shares = shares(&gathered(), Some(90));
    let who = who(&shares, None);
    expect![[r#"
        {
          "workgroup": "exploratory",
          "since": "1h",
          "as_of": "2026-03-01T14:05:00Z",
          "region": "eu-central-1",
          "queries": 5,
          "named": 2,
          "queries_bytes": 86000000000,
          "metric_bytes": 90000000000,
          "difference_bytes": 4000000000,
          "parties": [
            {
              "who": "ann@example.com",
              "kind": "person",
              "how": "known by the IAM user's tag",
              "principals": [
                "user/ann"
              ],
              "bytes": 50000000000,
              "share_percent": 55,
              "is_heavy": true,
              "queries": [
                {
                  "id": "a1",
                  "state": "succeeded",
                  "submitted": "2026-03-01T13:15:00Z",
                  "completed": "2026-03-01T13:20:00Z",
                  "scanned_bytes": 50000000000
                },
                {
                  "id": "a2",
                  "state": "running",
                  "submitted": "2026-03-01T13:15:00Z",
                  "completed": null,
                  "scanned_bytes": null
                }
              ]
            },
            {
              "who": "user/bob",
              "kind": "unnamed",
              "how": "the IAM user has no tag `email`",
              "principals": [
                "user/bob"
              ],
              "bytes": 30000000000,
              "share_percent": 33,
              "is_heavy": true,
              "queries": [
                {
                  "id": "b",
                  "state": "succeeded",
                  "submitted": "2026-03-01T13:15:00Z",
                  "completed": "2026-03-01T13:20:00Z",
                  "scanned_bytes": 30000000000
                }
              ]
            },
            {
              "who": "role/analyst/ceo@example.com [2J",
              "kind": "unnamed",
              "how": "whoever assumes the role chooses the session's name, which proves nothing",
              "principals": [
                "role/analyst/ceo@example.com [2J"
              ],
              "bytes": 5000000000,
              "share_percent": 5,
              "is_heavy": true,
              "queries": [
                {
                  "id": "c",
                  "state": "succeeded",
                  "submitted": "2026-03-01T13:15:00Z",
                  "completed": "2026-03-01T13:20:00Z",
                  "scanned_bytes": 5000000000
                }
              ]
            },
            {
              "who": "no record",
              "kind": "unrecorded",
              "how": "CloudTrail has no record of them",
              "principals": [],
              "bytes": 1000000000,
              "share_percent": 1,
              "is_heavy": false,
              "queries": [
                {
                  "id": "lost",
                  "state": "succeeded",
                  "submitted": "2026-03-01T13:15:00Z",
                  "completed": "2026-03-01T13:20:00Z",
                  "scanned_bytes": 1000000000
                }
              ]
            }
          ],
          "cut": null,
          "unrecorded": null,
          "unread": 0,
          "warnings": []
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&answer::Answer::of(&who)).unwrap());
}

#[test]
fn exit_codes() {
    let all = shares(&gathered(), Some(90));
    assert_eq!(who(&all, None).exit(), Exit::Over, "bob, a session and a query without a record have no name");
    assert_eq!(who(&all, Some(&Unknown::Partial)).exit(), Exit::Unseen);
    let mut ann = gathered();
    ann.executions.truncate(2);
    let shares_of_ann = shares(&ann, Some(50));
    assert_eq!(who(&shares_of_ann, None).exit(), Exit::Fine);
    let unrecorded = Who { unrecorded: Some("denied"), ..who(&shares_of_ann, None) };
    assert_eq!(unrecorded.exit(), Exit::Unseen);
    ann.cut = Some("only the newest".to_owned());
    assert_eq!(who(&shares(&ann, Some(50)), None).exit(), Exit::Unseen);
}
