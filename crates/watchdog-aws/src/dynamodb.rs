//! The state table: the lease of the one run at a time, the ledger, and the catalogue.
//!
//! | `pk` | `sk` | what |
//! |---|---|---|
//! | `run` | `lease` | who is running until when, the last tick that was completed, and the catalogue's revision after it |
//! | `ledger` | `alert#KEY` | one alert's record |
//! | `ledger` | `policy` | the last valid policy |
//! | `ledger` | `grant#WORKGROUP` | a workgroup's grants |
//! | `ledger` | `silence#KEY` | the silence of an alert |
//! | `run` | `promises` | who is changing grants or silences until when |
//! | `submitter#ID` | `principal` | who submitted the query, where the feed is on |
//! | `cache` | `catalogue#N` | what is known of the account's workgroups, in pieces |
//!
//! Every write of a record is conditional on the revision that was read; the SDK's own retries are idempotent through the
//! transaction's token, so a lost reply does not look like somebody else's write. The catalogue has a revision, too: of several warm processes
//! one that has slept through what the others learnt writes nothing over it, and hears with the lease that there is something to read.

mod promises;
mod submissions;

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, Delete, Put, ReturnValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
};
use jiff::{SignedDuration, Timestamp};
use watchdog_core::alert::{Record, Subject};
use watchdog_core::catalogue::Catalogue;
use watchdog_core::delivery::Records;
use watchdog_core::grant::Grants;
use watchdog_core::ledger::{self, StoredPolicy};
use watchdog_core::silence::Silences;

use crate::failure::AwsFailure;

const QUERY: &str = "dynamodb:Query";
pub(crate) const UPDATE: &str = "dynamodb:UpdateItem";
pub(crate) const PUT: &str = "dynamodb:PutItem";
/// IAM knows no action for transactions: they need those of their parts.
pub(crate) const TRANSACT: &str = "dynamodb:TransactWriteItems";

/// Pages of a megabyte: about 100,000 alerts.
const MOST_PAGES: usize = 100;
/// Items in one transaction: DynamoDB's bound.
const MOST_ITEMS: usize = 100;
/// Characters in one piece of the catalogue; an item holds 400 KB.
const PIECE: usize = 350_000;
/// How far clocks may differ. A tick further ahead than this was judged by a clock that is wrong.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);
/// A record is forgotten this long after it was last written. Open alerts are repeated, and so written, at least every
/// 30 days (the longest interval that a policy may set).
const KEEP: SignedDuration = SignedDuration::from_hours(45 * 24);

type Item = HashMap<String, AttributeValue>;

/// The table and the client for it.
#[derive(Debug, Clone)]
pub struct Table {
    /// The client.
    pub client: Client,
    /// The table's name.
    pub name: String,
}

/// Whether this run may go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lease {
    /// It may. The last tick that was completed by any run.
    Taken {
        /// `None` before the first.
        last_tick: Option<Timestamp>,
        /// The revision of the catalogue after the last run that knew it.
        learnt: Option<u64>,
    },
    /// Another run is at work.
    Held {
        /// When its lease ends, at the latest.
        until: Timestamp,
    },
    /// A later tick has been judged, or begun to be: judging this one now would tell people of the past.
    Superseded {
        /// The later tick.
        by: Timestamp,
    },
}

/// What the table remembers.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// Every alert's record.
    pub records: Records,
    /// The last valid policy.
    pub policy: Option<StoredPolicy>,
    /// The grants of each workgroup.
    pub grants: Grants,
    /// The silence of each alert.
    pub silences: Silences,
    /// Items that could not be read, in words. They count as nothing remembered, and are overwritten when next written.
    pub unreadable: Vec<String>,
    /// The revision of each item that is there; `None` where it has none that can be read.
    revisions: BTreeMap<Subject, Option<u64>>,
    /// The same of grants and silences, by `sk`.
    promised: BTreeMap<String, u64>,
}

impl Table {
    /// Takes the lease for `holder` until `until`, to judge `tick`, where nobody else holds it and no later tick has been begun.
    ///
    /// The tick is noted here and not at the end: a run that fails half way has told some people the newer state, and a retry
    /// of an older event must not tell them the older one.
    ///
    /// # Errors
    /// [`AwsFailure`].
    pub async fn acquire(
        &self,
        holder: &str,
        tick: Timestamp,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Lease, AwsFailure> {
        let sent = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key("run", "lease")))
            .update_expression("SET holder = :me, held_until = :until, begun_tick = :tick")
            // `holder = :me` lets the SDK's retry succeed where the first reply was lost. A tick from far ahead of our clock was a
            // mistake of another clock and holds nobody up.
            .condition_expression(
                "(attribute_not_exists(holder) OR held_until < :now OR holder = :me) \
                 AND (attribute_not_exists(begun_tick) OR begun_tick <= :tick OR begun_tick > :ahead)",
            )
            .expression_attribute_values(":tick", number(tick.as_millisecond()))
            .expression_attribute_values(":ahead", number((now + AHEAD).as_millisecond()))
            .expression_attribute_values(":me", text(holder))
            .expression_attribute_values(":until", number(until.as_millisecond()))
            .expression_attribute_values(":now", number(now.as_millisecond()))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match sent {
            Ok(answer) => {
                let item = answer.attributes.as_ref();
                let last_tick = item.and_then(|item| get_instant(item, "last_tick"));
                let learnt = item.and_then(|item| get_revision(item, "learnt"));
                Ok(Lease::Taken { last_tick, learnt })
            }
            Err(error) => match held(&error) {
                Some(item) => match get_instant(item, "held_until").filter(|until| *until >= now) {
                    Some(until) => Ok(Lease::Held { until }),
                    None => Ok(Lease::Superseded { by: get_instant(item, "begun_tick").unwrap_or(now) }),
                },
                None => Err(AwsFailure::of(UPDATE, &error)),
            },
        }
    }

    /// Gives the lease back; `completed` is the tick that this run has done in full, if it has, and `learnt` the revision of the catalogue, where
    /// it knows that.
    ///
    /// # Errors
    /// [`AwsFailure`]. A lease that somebody else has taken meanwhile is an error too: this run took longer than it said.
    pub async fn release(
        &self,
        holder: &str,
        completed: Option<Timestamp>,
        learnt: Option<u64>,
    ) -> Result<(), AwsFailure> {
        let update = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key("run", "lease")))
            .condition_expression("holder = :me")
            .expression_attribute_values(":me", text(holder))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let values = [(":tick", completed.map(|tick| number(tick.as_millisecond()))), (":learnt", learnt.map(number))];
        let values = values.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let update = values.fold(update, |update, (name, value)| update.expression_attribute_values(name, value));
        let update = update.update_expression(match (completed, learnt) {
            (Some(_), Some(_)) => "SET last_tick = :tick, last_run = :me, learnt = :learnt REMOVE holder, held_until",
            (Some(_), None) => "SET last_tick = :tick, last_run = :me REMOVE holder, held_until",
            (None, Some(_)) => "SET learnt = :learnt REMOVE holder, held_until",
            (None, None) => "REMOVE holder, held_until",
        });
        let Err(error) = update.send().await else { return Ok(()) };
        match held(&error) {
            // Our own first try, whose reply was lost, has released it already.
            Some(item) if !item.contains_key("holder") => Ok(()),
            Some(_) => {
                let message = "another run has taken the lease meanwhile".to_owned();
                Err(AwsFailure::own(UPDATE, "LeaseLost", message))
            }
            None => Err(AwsFailure::of(UPDATE, &error)),
        }
    }

    /// The last tick that a run has completed; `None` before the first.
    ///
    /// # Errors
    /// [`AwsFailure`].
    pub async fn last_completed(&self) -> Result<Option<Timestamp>, AwsFailure> {
        let items = self.partition("run").await?;
        let lease = items.iter().find(|item| get_text(item, "sk") == Some("lease"));
        Ok(lease.and_then(|item| get_instant(item, "last_tick")))
    }

    /// Reads the whole ledger, consistently.
    ///
    /// # Errors
    /// [`AwsFailure`].
    pub async fn ledger(&self) -> Result<Ledger, AwsFailure> {
        let mut ledger = Ledger::default();
        for item in self.partition("ledger").await? {
            let Some(sk) = get_text(&item, "sk") else { continue };
            // An item without a body is as broken as one with a wrong body.
            let body = get_text(&item, "body").unwrap_or_default();
            let revision = get_revision(&item, "rev");
            if sk == "policy" {
                match ledger::decode_policy(body) {
                    Ok(policy) => ledger.policy = Some(policy),
                    Err(error) => ledger.unreadable.push(format!("the last valid policy: {error}")),
                }
                continue;
            }
            if ledger.promise(sk, body, revision) {
                continue;
            }
            let Some(Ok(subject)) = sk.strip_prefix("alert#").map(str::parse::<Subject>) else {
                ledger.unreadable.push(format!("`{sk}` is no item of the ledger that this watchdog knows"));
                continue;
            };
            match ledger::decode_record(body) {
                Ok(record) => drop(ledger.records.insert(subject.clone(), record)),
                Err(error) => ledger.unreadable.push(format!("the alert `{subject}`: {error}")),
            }
            ledger.revisions.insert(subject, revision);
        }
        Ok(ledger)
    }

    /// Writes `changed` records, in transactions of up to a hundred; those that are over are removed.
    ///
    /// # Errors
    /// [`AwsFailure`]; transactions before the one that failed are written.
    pub async fn write<'a>(
        &self,
        ledger: &mut Ledger,
        changed: impl IntoIterator<Item = (&'a Subject, &'a Record)>,
        now: Timestamp,
    ) -> Result<(), AwsFailure> {
        let changed: Vec<_> = changed.into_iter().collect();
        for chunk in changed.chunks(MOST_ITEMS) {
            let mut items = Vec::with_capacity(chunk.len());
            for (subject, record) in chunk {
                items.extend(self.write_item(ledger, subject, record, now)?);
            }
            if items.is_empty() {
                continue;
            }
            let sent = self.client.transact_write_items().set_transact_items(Some(items)).send().await;
            sent.map_err(|error| AwsFailure::of(TRANSACT, &error))?;
            for (subject, record) in chunk {
                if record.is_over() {
                    ledger.revisions.remove(*subject);
                    ledger.records.remove(*subject);
                } else {
                    let next = next_revision(ledger.revisions.get(*subject));
                    ledger.revisions.insert((*subject).clone(), Some(next));
                    ledger.records.insert((*subject).clone(), (*record).clone());
                }
            }
        }
        Ok(())
    }

    fn write_item(
        &self,
        ledger: &Ledger,
        subject: &Subject,
        record: &Record,
        now: Timestamp,
    ) -> Result<Option<TransactWriteItem>, AwsFailure> {
        let revision = ledger.revisions.get(subject);
        let invalid =
            |error: aws_sdk_dynamodb::error::BuildError| AwsFailure::own(TRANSACT, "BadRequest", error.to_string());
        let sk = format!("alert#{subject}");
        if record.is_over() {
            let Some(revision) = revision else { return Ok(None) };
            let delete = Delete::builder().table_name(&self.name).set_key(Some(key("ledger", &sk)));
            let delete = match revision {
                Some(revision) => {
                    delete.condition_expression("rev = :rev").expression_attribute_values(":rev", number(*revision))
                }
                None => delete,
            };
            return Ok(Some(TransactWriteItem::builder().delete(delete.build().map_err(invalid)?).build()));
        }
        let mut item = key("ledger", &sk);
        item.insert("rev".into(), number(next_revision(revision)));
        item.insert("body".into(), text(ledger::encode_record(record)));
        item.insert("expires_at".into(), number((now + KEEP).as_second()));
        if let Some(story) = record.story {
            // For the person who looks into the table; the watchdog itself reads the body.
            item.insert("level".into(), text(story.severity.words()));
            item.insert("opened".into(), text(story.opened.to_string()));
        }
        let put = Put::builder().table_name(&self.name).set_item(Some(item));
        let put = match revision {
            Some(Some(revision)) => {
                put.condition_expression("rev = :rev").expression_attribute_values(":rev", number(*revision))
            }
            // An item that is broken down to its revision: nothing to compare with, and the lease guards it. With a condition that
            // cannot hold it would keep every later run from telling anybody anything.
            Some(None) => put,
            None => put.condition_expression("attribute_not_exists(pk)"),
        };
        Ok(Some(TransactWriteItem::builder().put(put.build().map_err(invalid)?).build()))
    }

    /// Remembers a policy as the last valid one.
    ///
    /// # Errors
    /// [`AwsFailure`].
    pub async fn write_policy(&self, policy: &StoredPolicy) -> Result<(), AwsFailure> {
        let mut item = key("ledger", "policy");
        item.insert("body".into(), text(ledger::encode_policy(policy)));
        self.put(item).await
    }

    /// Reads the catalogue; an empty one where there is none, or none that can be read. Its revision is in it in either case.
    ///
    /// # Errors
    /// [`AwsFailure`].
    pub async fn catalogue(&self) -> Result<Catalogue, AwsFailure> {
        let items = self.partition("cache").await?;
        // The first piece is written first, and on condition; an older version of this program wrote none.
        let revision = Some(items.first().and_then(|item| get_revision(item, "rev")).unwrap_or(0));
        let mut stamp = None;
        let mut body = String::new();
        for (i, item) in items.iter().enumerate() {
            // Pieces come in the order of `sk`. Those of a longer, older catalogue may follow; a piece of another writing
            // in between means that the last writing was cut.
            let piece = (get_text(item, "stamp"), get_number(item, "of"), get_text(item, "body"));
            let (Some(this), Some(of), Some(piece)) = piece else { break };
            if *stamp.get_or_insert(this) != this {
                break;
            }
            body.push_str(piece);
            if i64::try_from(i + 1) == Ok(of) {
                let known: Catalogue = serde_json::from_str(&body).unwrap_or_default();
                return Ok(Catalogue { revision, ..known });
            }
        }
        Ok(Catalogue { revision, ..Catalogue::default() })
    }

    /// Writes the catalogue, where it comes from what is stored and nobody has written since; `false` where that is not so, or not known, and nothing
    /// is written. What a process learnt that slept through what others did is not worth more than what they have: it learns it again. Afterwards the
    /// catalogue knows its revision, or that it has to be read anew.
    ///
    /// # Errors
    /// [`AwsFailure`].
    pub async fn write_catalogue(&self, catalogue: &mut Catalogue, now: Timestamp) -> Result<bool, AwsFailure> {
        // Until all of it is written nothing is known of what is stored.
        let Some(known) = catalogue.revision.take() else { return Ok(false) };
        let body =
            serde_json::to_string(catalogue).map_err(|error| AwsFailure::own(PUT, "BadRequest", error.to_string()))?;
        let bytes = body.as_bytes();
        // Workgroup names and all else in it are ASCII, so that any cut falls between characters.
        let pieces: Vec<&[u8]> = bytes.chunks(PIECE).collect();
        for (i, piece) in pieces.iter().enumerate() {
            let mut item = key("cache", &format!("catalogue#{i:03}"));
            item.insert("rev".into(), number(known + 1));
            item.insert("stamp".into(), text(now.to_string()));
            item.insert("of".into(), number(pieces.len()));
            item.insert("body".into(), text(String::from_utf8_lossy(piece)));
            item.insert("expires_at".into(), number((now + KEEP).as_second()));
            let put = self.client.put_item().table_name(&self.name).set_item(Some(item));
            // Under the lease whoever writes the first piece writes the others. `stamp` lets the SDK's retry succeed where the first reply was lost.
            let put = if i > 0 {
                put
            } else {
                put.condition_expression(
                    "attribute_not_exists(rev) OR rev = :known OR (rev = :next AND stamp = :stamp)",
                )
                .expression_attribute_values(":known", number(known))
                .expression_attribute_values(":next", number(known + 1))
                .expression_attribute_values(":stamp", text(now.to_string()))
            };
            let Err(error) = put.send().await else { continue };
            let is_newer = |error: &PutItemError| error.is_conditional_check_failed_exception();
            if error.as_service_error().is_some_and(is_newer) {
                return Ok(false);
            }
            return Err(AwsFailure::of(PUT, &error));
        }
        catalogue.revision = Some(known + 1);
        Ok(true)
    }

    async fn put(&self, item: Item) -> Result<(), AwsFailure> {
        let sent = self.client.put_item().table_name(&self.name).set_item(Some(item)).send().await;
        sent.map(drop).map_err(|error| AwsFailure::of(PUT, &error))
    }

    async fn partition(&self, pk: &str) -> Result<Vec<Item>, AwsFailure> {
        let mut items = Vec::new();
        let mut start = None;
        for _ in 0..MOST_PAGES {
            let page = self
                .client
                .query()
                .table_name(&self.name)
                .key_condition_expression("pk = :pk")
                .expression_attribute_values(":pk", text(pk))
                .consistent_read(true)
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(|error| AwsFailure::of(QUERY, &error))?;
            items.extend(page.items.unwrap_or_default());
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(items);
            }
        }
        Err(AwsFailure::own(QUERY, "EndlessPages", format!("`{pk}` goes on after {MOST_PAGES} pages")))
    }
}

fn next_revision(known: Option<&Option<u64>>) -> u64 {
    known.copied().flatten().map_or(1, |revision| revision + 1)
}

fn key(pk: &str, sk: &str) -> Item {
    HashMap::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text(sk))])
}

fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn get_text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

fn get_number(item: &Item, name: &str) -> Option<i64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

fn get_revision(item: &Item, name: &str) -> Option<u64> {
    u64::try_from(get_number(item, name)?).ok()
}

fn get_instant(item: &Item, name: &str) -> Option<Timestamp> {
    Timestamp::from_millisecond(get_number(item, name)?).ok()
}

/// The item that stood in the way, where an update failed because of its condition.
fn held<R>(error: &SdkError<UpdateItemError, R>) -> Option<&Item> {
    match error.as_service_error()? {
        UpdateItemError::ConditionalCheckFailedException(failed) => failed.item(),
        _ => None,
    }
}
