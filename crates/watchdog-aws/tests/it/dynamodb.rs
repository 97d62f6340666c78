//! The state table: the lease, the ledger's conditions, what cannot be read, and the catalogue's pieces.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::put_item::{PutItemInput, PutItemOutput};
use aws_sdk_dynamodb::operation::query::{QueryInput, QueryOutput};
use aws_sdk_dynamodb::operation::transact_write_items::{TransactWriteItemsInput, TransactWriteItemsOutput};
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemInput, UpdateItemOutput};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodb::types::error::ConditionalCheckFailedException;
use aws_smithy_mocks::{RuleMode, mock, mock_client};
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
            let is_number = matches!(*name, "rev" | "held_until" | "last_tick" | "of");
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
            UpdateItemOutput::builder().set_attributes(Some(item(&[("last_tick", "1772373900000")]))).build()
        });
    let table = table(mock_client!(aws_sdk_dynamodb, [&rule]));
    let lease = table.acquire("me", at(NOW), at(NOW), at("2026-03-01T14:06:00Z")).await.unwrap();
    assert_eq!(lease, Lease::Taken { last_tick: Some(at(NOW)) });
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
    assert_eq!(table(mock_client!(aws_sdk_dynamodb, [&rule])).release("me", Some(at(NOW))).await, Ok(()));
    let rule = mock!(Client::update_item).then_error(|| taken_by(&[("holder", "other")]));
    let failure = table(mock_client!(aws_sdk_dynamodb, [&rule])).release("me", Some(at(NOW))).await.unwrap_err();
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
    let (sink, source) = (pieces.clone(), pieces.clone());
    let put = mock!(Client::put_item).then_compute_output(move |input: &PutItemInput| {
        sink.lock().unwrap().push(input.item().unwrap().clone());
        PutItemOutput::builder().build()
    });
    let query = mock!(Client::query).then_compute_output(move |_: &QueryInput| {
        QueryOutput::builder().set_items(Some(source.lock().unwrap().clone())).build()
    });
    let table = table(mock_client!(aws_sdk_dynamodb, RuleMode::MatchAny, [&put, &query]));
    assert_eq!(table.catalogue().await.unwrap(), Catalogue::default());
    table.write_catalogue(&catalogue, at(NOW)).await.unwrap();
    assert!(pieces.lock().unwrap().len() >= 2, "needs several pieces to mean anything");
    assert_eq!(table.catalogue().await.unwrap(), catalogue);
    // The second piece is of another writing: as good as nothing, never half of each.
    pieces.lock().unwrap()[1].insert("stamp".into(), AttributeValue::S("2026-03-01T14:10:00Z".into()));
    assert_eq!(table.catalogue().await.unwrap(), Catalogue::default());
}
