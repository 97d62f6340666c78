//! The state table: the lease, the ledger's conditions, what cannot be read, and the catalogue's pieces.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::put_item::{PutItemError, PutItemInput, PutItemOutput};
use aws_sdk_dynamodb::operation::query::{QueryInput, QueryOutput};
use aws_sdk_dynamodb::operation::transact_write_items::{TransactWriteItemsInput, TransactWriteItemsOutput};
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemInput, UpdateItemOutput};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodb::types::error::ConditionalCheckFailedException;
use aws_smithy_mocks::{MockResponse, RuleMode, mock, mock_client};
use expect_test::expect;
use watchdog_aws::dynamodb::{Lease, Table};
use watchdog_core::alert::{Record, Severity, Story, Subject};
use watchdog_core::catalogue::{Catalogue, Settings};

use crate::at;

const NOW: &str = "2026-03-01T14:05:00Z";

type Item = HashMap<String, AttributeValue>;

fn item(fields: &[(&str, &str)]) -> Item {
    fields
        .iter()
        .map(|(name, value)| {
            let is_number = matches!(*name, "rev" | "held_until" | "last_tick" | "learnt" | "of");
            let value =
                if is_number { AttributeValue::N((*value).to_owned()) } else { AttributeValue::S((*value).to_owned()) };
            ((*name).to_owned(), value)
        })
        .collect()
}

fn table(client: Client) -> Table {
    Table { client, name: "state".to_owned() }
}

fn taken_by(fields: &'static [(&str, &str)]) -> UpdateItemError {
    let failed = ConditionalCheckFailedException::builder().set_item(Some(item(fields))).build();
    UpdateItemError::ConditionalCheckFailedException(failed)
}

#[tokio::test]
async fn a_free_lease_is_taken_and_tells_the_last_tick() {
    let rule = mock!(Client::update_item)
        .match_requests(|input: &UpdateItemInput| {
            input
                .condition_expression()
                .is_some_and(|c| c.contains("attribute_not_exists(holder)") && c.contains("held_until < :now"))
        })
        .then_output(|| {
            let known = item(&[("last_tick", "1772373900000"), ("learnt", "7")]);
            UpdateItemOutput::builder().set_attributes(Some(known)).build()
        });
    let table = table(mock_client!(aws_sdk_dynamodb, [&rule]));
    let lease = table.acquire("me", at(NOW), at(NOW), at("2026-03-01T14:06:00Z")).await.unwrap();
    assert_eq!(lease, Lease::Taken { last_tick: Some(at(NOW)), learnt: Some(7) });
}

#[tokio::test]
async fn a_lease_of_somebody_else_is_held_and_no_error() {
    let rule =
        mock!(Client::update_item).then_error(|| taken_by(&[("holder", "other"), ("held_until", "1772373960000")]));
    let table = table(mock_client!(aws_sdk_dynamodb, [&rule]));
    let lease = table.acquire("me", at(NOW), at(NOW), at("2026-03-01T14:06:00Z")).await.unwrap();
    assert_eq!(lease, Lease::Held { until: at("2026-03-01T14:06:00Z") });
}

#[tokio::test]
async fn giving_back_twice_is_fine_and_losing_the_lease_is_not() {
    let rule = mock!(Client::update_item).then_error(|| taken_by(&[("last_tick", "1772373900000")]));
    assert_eq!(table(mock_client!(aws_sdk_dynamodb, [&rule])).release("me", Some(at(NOW)), None).await, Ok(()));
    let rule = mock!(Client::update_item).then_error(|| taken_by(&[("holder", "other")]));
    let failure = table(mock_client!(aws_sdk_dynamodb, [&rule])).release("me", Some(at(NOW)), None).await.unwrap_err();
    assert_eq!(failure.code, "LeaseLost");
}

fn open_record() -> Record {
    let story = Story { opened: at(NOW), severity: Severity::Warn, window_began: None, calm_since: None };
    Record { story: Some(story), ..Record::default() }
}

fn ledger_client(items: Vec<Item>, written: Arc<Mutex<Vec<TransactWriteItemsInput>>>) -> Client {
    let query = mock!(Client::query)
        .match_requests(|input: &QueryInput| input.consistent_read() == Some(true))
        .then_compute_output(move |_: &QueryInput| QueryOutput::builder().set_items(Some(items.clone())).build());
    let write = mock!(Client::transact_write_items).then_compute_output(move |input: &TransactWriteItemsInput| {
        written.lock().unwrap().push(input.clone());
        TransactWriteItemsOutput::builder().build()
    });
    mock_client!(aws_sdk_dynamodb, RuleMode::MatchAny, [&query, &write])
}

#[tokio::test]
async fn what_cannot_be_read_is_named_and_counts_as_nothing_remembered() {
    let good = watchdog_core::ledger::encode_record(&open_record());
    let items = vec![
        item(&[("pk", "ledger"), ("sk", "alert#limit/a/1h"), ("rev", "3"), ("body", &good)]),
        item(&[("pk", "ledger"), ("sk", "alert#limit/b/1h"), ("rev", "4"), ("body", r#"{"v":99}"#)]),
        item(&[("pk", "ledger"), ("sk", "alert#limit/c/1h"), ("rev", "5"), ("body", "nonsense")]),
        item(&[("pk", "ledger"), ("sk", "alert#what/is/this"), ("rev", "6"), ("body", &good)]),
        item(&[("pk", "ledger"), ("sk", "policy"), ("body", "{}")]),
    ];
    let written = Arc::default();
    let table = table(ledger_client(items, Arc::clone(&written)));
    let mut ledger = table.ledger().await.unwrap();
    assert_eq!(ledger.records.keys().map(ToString::to_string).collect::<Vec<_>>(), ["limit/a/1h"]);
    expect![[r#"
        the alert `limit/b/1h`: it has version 99, and this watchdog reads up to 1
        the alert `limit/c/1h`: it is broken: expected ident at line 1 column 2
        `alert#what/is/this` is no item of the ledger that this watchdog knows
        the last valid policy: it is broken: missing field `v` at line 1 column 2"#]]
    .assert_eq(&ledger.unreadable.join("\n"));

    // The next write of each is conditional on the revision that was read, also of those that could not be understood.
    let record = open_record();
    let subjects: Vec<Subject> =
        ["limit/a/1h", "limit/b/1h", "limit/new/1h"].iter().map(|s| s.parse().unwrap()).collect();
    table.write(&mut ledger, subjects.iter().map(|s| (s, &record)), at(NOW)).await.unwrap();
    let over = Record::default();
    table
        .write(&mut ledger, [(&subjects[0], &over), (&"limit/never/1h".parse().unwrap(), &over)], at(NOW))
        .await
        .unwrap();
    let written = written.lock().unwrap();
    let describe = |input: &TransactWriteItemsInput| {
        let items = input.transact_items().iter().map(|item| {
            let rev = |values: Option<&Item>| {
                values.and_then(|v| v.get(":rev")).map(|n| n.as_n().unwrap().clone()).unwrap_or_default()
            };
            match (item.put(), item.delete()) {
                (Some(put), _) => {
                    let field =
                        |name: &str| put.item().get(name).map(|v| v.as_s().or(v.as_n()).unwrap().clone()).unwrap();
                    let condition = put.condition_expression().unwrap();
                    format!(
                        "put {} rev {} if {condition} {}",
                        field("sk"),
                        field("rev"),
                        rev(put.expression_attribute_values())
                    )
                }
                (_, Some(delete)) => format!(
                    "delete {} if {} {}",
                    delete.key()["sk"].as_s().unwrap(),
                    delete.condition_expression().unwrap(),
                    rev(delete.expression_attribute_values())
                ),
                _ => "nothing".to_owned(),
            }
        });
        items.map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
    };
    expect![[r#"
        put alert#limit/a/1h rev 4 if rev = :rev 3
        put alert#limit/b/1h rev 5 if rev = :rev 4
        put alert#limit/new/1h rev 1 if attribute_not_exists(pk)
        --
        delete alert#limit/a/1h if rev = :rev 4"#]]
    .assert_eq(&written.iter().map(describe).collect::<Vec<_>>().join("\n--\n"));
}

#[tokio::test]
async fn many_changes_are_written_a_hundred_at_a_time() {
    let written = Arc::default();
    let table = table(ledger_client(Vec::new(), Arc::clone(&written)));
    let mut ledger = table.ledger().await.unwrap();
    let record = open_record();
    let subjects: Vec<Subject> = (0..250).map(|i| format!("limit/w{i}/1h").parse().unwrap()).collect();
    table.write(&mut ledger, subjects.iter().map(|s| (s, &record)), at(NOW)).await.unwrap();
    let sizes: Vec<usize> =
        written.lock().unwrap().iter().map(|input: &TransactWriteItemsInput| input.transact_items().len()).collect();
    assert_eq!(sizes, [100, 100, 50]);
    assert_eq!(ledger.records.len(), 250);
}

/// A lost reply to the first try, and the words of the four ways to give a lease back.
#[tokio::test]
async fn what_was_learnt_is_said_with_the_lease() {
    for (completed, learnt, words) in [
        (Some(at(NOW)), Some(7), "SET last_tick = :tick, last_run = :me, learnt = :learnt REMOVE holder, held_until"),
        (Some(at(NOW)), None, "SET last_tick = :tick, last_run = :me REMOVE holder, held_until"),
        (None, Some(7), "SET learnt = :learnt REMOVE holder, held_until"),
        (None, None, "REMOVE holder, held_until"),
    ] {
        let rule = mock!(Client::update_item)
            .match_requests(move |input: &UpdateItemInput| {
                let values = input.expression_attribute_values().unwrap();
                // A value that no expression names is an error to DynamoDB.
                let is_named = |name: &String| words.contains(name.as_str()) || name == ":me";
                input.update_expression() == Some(words)
                    && values.keys().all(is_named)
                    && values.get(":learnt") == learnt.map(|n: u64| AttributeValue::N(n.to_string())).as_ref()
            })
            .then_output(|| UpdateItemOutput::builder().build());
        let table = table(mock_client!(aws_sdk_dynamodb, [&rule]));
        assert_eq!(table.release("me", completed, learnt).await, Ok(()), "{words}");
    }
}

/// A table that keeps what is put, by the condition of the catalogue.
fn keeping(pieces: &Arc<Mutex<Vec<Item>>>, puts: &Arc<Mutex<usize>>) -> Table {
    let (sink, source, count) = (pieces.clone(), pieces.clone(), puts.clone());
    let put = mock!(Client::put_item).then_compute_response(move |input: &PutItemInput| {
        *count.lock().unwrap() += 1;
        let (item, mut kept) = (input.item().unwrap().clone(), sink.lock().unwrap());
        let held = kept.iter().position(|held| held["sk"] == item["sk"]);
        let values = input.expression_attribute_values();
        let rev = held.and_then(|held| kept[held].get("rev"));
        if let (Some(values), Some(rev), Some(_)) = (values, rev, input.condition_expression()) {
            let is_retry = *rev == values[":next"] && kept[held.unwrap()]["stamp"] == values[":stamp"];
            if *rev != values[":known"] && !is_retry {
                let failed = ConditionalCheckFailedException::builder().build();
                return MockResponse::Error(PutItemError::ConditionalCheckFailedException(failed));
            }
        }
        match held {
            Some(held) => kept[held] = item,
            None => kept.push(item),
        }
        MockResponse::Output(PutItemOutput::builder().build())
    });
    let query = mock!(Client::query).then_compute_output(move |_: &QueryInput| {
        QueryOutput::builder().set_items(Some(source.lock().unwrap().clone())).build()
    });
    table(mock_client!(aws_sdk_dynamodb, RuleMode::MatchAny, [&put, &query]))
}

fn named(name: &str) -> Catalogue {
    Catalogue { names: [(name.to_owned(), true)].into(), ..Catalogue::default() }
}

#[tokio::test]
async fn whoever_has_slept_writes_nothing_over_what_others_learnt() {
    let (pieces, puts) = (Arc::default(), Arc::default());
    let table = keeping(&pieces, &puts);
    let empty = table.catalogue().await.unwrap();
    assert_eq!(empty.revision, Some(0));
    let [mut early, mut late] = ["early", "late"].map(|name| Catalogue { revision: empty.revision, ..named(name) });
    assert_eq!(table.write_catalogue(&mut early, at(NOW)).await, Ok(true));
    assert_eq!(table.write_catalogue(&mut early, at("2026-03-01T14:10:00Z")).await, Ok(true));
    assert_eq!(early.revision, Some(2));
    // Later by the clock, and from before either: dropped, and known to be behind.
    assert_eq!(table.write_catalogue(&mut late, at("2026-03-01T18:00:00Z")).await, Ok(false));
    assert_eq!((table.catalogue().await.unwrap(), late.revision), (early.clone(), None));
    // Until it has read what there is, it does not even try.
    let before = *puts.lock().unwrap();
    assert_eq!(table.write_catalogue(&mut late, at("2026-03-01T18:05:00Z")).await, Ok(false));
    assert_eq!(*puts.lock().unwrap(), before);
    assert!(late.catch_up(table.catalogue().await.unwrap()) || late.names == early.names);
    assert_eq!(table.write_catalogue(&mut late, at("2026-03-01T18:10:00Z")).await, Ok(true));
    assert_eq!(table.catalogue().await.unwrap().revision, Some(3));
    // The same writing once more, whose first reply was lost, is no other's.
    let mut again = Catalogue { revision: Some(2), ..late.clone() };
    assert_eq!(table.write_catalogue(&mut again, at("2026-03-01T18:10:00Z")).await, Ok(true));
    // What an older version of this program wrote has no revision, and is written over.
    pieces.lock().unwrap().iter_mut().for_each(|piece: &mut Item| drop(piece.remove("rev")));
    let mut old = table.catalogue().await.unwrap();
    assert_eq!((old.revision, old.names.len()), (Some(0), 1));
    assert_eq!(table.write_catalogue(&mut old, at("2026-03-02T00:00:00Z")).await, Ok(true));
    assert_eq!(table.catalogue().await.unwrap().revision, Some(1));
}

#[tokio::test]
async fn the_catalogue_comes_back_from_its_pieces_and_never_from_a_mixture() {
    let mut catalogue = Catalogue::default();
    for i in 0..3000 {
        let name = format!("workgroup-with-a-rather-long-name-{i:04}");
        let settings = Settings { publishes_metrics: i % 2 == 0, per_query_cutoff: None, read: at(NOW) };
        catalogue.names.insert(name.clone(), true);
        catalogue.settings.insert(name, settings);
    }
    let pieces: Arc<Mutex<Vec<Item>>> = Arc::default();
    let table = keeping(&pieces, &Arc::default());
    let nothing = |revision: u64| Catalogue { revision: Some(revision), ..Catalogue::default() };
    assert_eq!(table.catalogue().await.unwrap(), nothing(0));
    catalogue.revision = Some(0);
    assert_eq!(table.write_catalogue(&mut catalogue, at(NOW)).await, Ok(true));
    assert!(pieces.lock().unwrap().len() >= 2, "needs several pieces to mean anything");
    assert_eq!(table.catalogue().await.unwrap(), catalogue);
    // The second piece is of another writing: as good as nothing, never half of each.
    pieces.lock().unwrap()[1].insert("stamp".into(), AttributeValue::S("2026-03-01T14:10:00Z".into()));
    assert_eq!(table.catalogue().await.unwrap(), nothing(1));
    // It is written over, and whole again.
    catalogue.revision = Some(1);
    assert_eq!(table.write_catalogue(&mut catalogue, at("2026-03-01T14:15:00Z")).await, Ok(true));
    assert_eq!(table.catalogue().await.unwrap(), catalogue);
}
