//! Grants and silences in the table, and the lease under which they are changed.
//!
//! They stand in the ledger's partition, so that a run reads them with the one query that it makes in any case. Unlike an alert's record, one
//! that cannot be read is never written over: what a cutoff was before a grant is in it.

use aws_sdk_dynamodb::types::{Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem};
use jiff::Timestamp;
use watchdog_core::alert::Subject;
use watchdog_core::grant::Book;
use watchdog_core::ledger;
use watchdog_core::silence::Silence;

use super::{Ledger, TRANSACT, Table, UPDATE, get_instant, held, key, number, text};
use crate::failure::AwsFailure;

impl Ledger {
    /// Takes the promises of a ledger that was read later.
    pub fn take_promises(&mut self, later: Self) {
        self.grants = later.grants;
        self.silences = later.silences;
        self.promised = later.promised;
    }

    /// Takes an item that is a promise; `false` where it is none.
    pub(super) fn promise(&mut self, sk: &str, body: &str, revision: Option<u64>) -> bool {
        if let Some(workgroup) = sk.strip_prefix("grant#") {
            match (ledger::decode_grants(body), revision) {
                (Ok(book), Some(revision)) => {
                    self.grants.insert(workgroup.to_owned(), book);
                    self.promised.insert(sk.to_owned(), revision);
                }
                (read, _) => {
                    let why = read.err().map_or_else(|| "it has no revision".to_owned(), |error| error.to_string());
                    let cutoff = "a per-query cutoff that it raised has to be taken back by hand";
                    self.unreadable.push(format!("the grants of `{workgroup}`: {why}; {cutoff}"));
                }
            }
            return true;
        }
        let Some(Ok(subject)) = sk.strip_prefix("silence#").map(str::parse::<Subject>) else { return false };
        match (ledger::decode_silence(body), revision) {
            (Ok(silence), Some(revision)) => {
                self.silences.insert(subject, silence);
                self.promised.insert(sk.to_owned(), revision);
            }
            (read, _) => {
                let why = read.err().map_or_else(|| "it has no revision".to_owned(), |error| error.to_string());
                self.unreadable.push(format!("the silence of `{subject}`: {why}"));
            }
        }
        true
    }
}

impl Table {
    /// Takes the lease for changing promises, until `until`: whoever raises or takes back a cutoff must be alone.
    ///
    /// Not the lease of a run: a request takes it for a moment, and no run may be passed over for that.
    ///
    /// # Errors
    /// [`AwsFailure`]. `Ok(false)` where somebody else holds it.
    pub async fn hold_promises(&self, holder: &str, now: Timestamp, until: Timestamp) -> Result<bool, AwsFailure> {
        let sent = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key("run", "promises")))
            .update_expression("SET holder = :me, held_until = :until")
            .condition_expression("attribute_not_exists(holder) OR held_until < :now OR holder = :me")
            .expression_attribute_values(":me", text(holder))
            .expression_attribute_values(":until", number(until.as_millisecond()))
            .expression_attribute_values(":now", number(now.as_millisecond()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match sent {
            Ok(_) => Ok(true),
            Err(error) => match held(&error) {
                Some(item) if get_instant(item, "held_until").is_some() => Ok(false),
                _ => Err(AwsFailure::of(UPDATE, &error)),
            },
        }
    }

    /// Gives that lease back.
    ///
    /// # Errors
    /// [`AwsFailure`]; then it ends by itself.
    pub async fn free_promises(&self, holder: &str) -> Result<(), AwsFailure> {
        let update = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key("run", "promises")))
            .update_expression("REMOVE holder, held_until")
            .condition_expression("holder = :me")
            .expression_attribute_values(":me", text(holder))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match update.send().await {
            Ok(_) => Ok(()),
            // Our own first try, whose reply was lost; or somebody who took it after its end.
            Err(error) if held(&error).is_some() => Ok(()),
            Err(error) => Err(AwsFailure::of(UPDATE, &error)),
        }
    }

    /// Writes a workgroup's grants, on the condition that they are as they were read.
    ///
    /// # Errors
    /// [`AwsFailure`], also where somebody else has written meanwhile.
    pub async fn write_grants(&self, ledger: &mut Ledger, workgroup: &str, book: Book) -> Result<(), AwsFailure> {
        let body = ledger::encode_grants(&book);
        self.write_promise(ledger, format!("grant#{workgroup}"), body, book.expires()).await?;
        ledger.grants.insert(workgroup.to_owned(), book);
        Ok(())
    }

    /// Writes an alert's silence, on the same condition.
    ///
    /// # Errors
    /// As there.
    pub async fn write_silence(
        &self,
        ledger: &mut Ledger,
        subject: &Subject,
        silence: Silence,
    ) -> Result<(), AwsFailure> {
        let body = ledger::encode_silence(&silence);
        self.write_promise(ledger, format!("silence#{subject}"), body, Some(silence.expires())).await?;
        ledger.silences.insert(subject.clone(), silence);
        Ok(())
    }

    /// A transaction of one, for its token: a retry whose first answer was lost does not look like somebody else's write.
    async fn write_promise(
        &self,
        ledger: &mut Ledger,
        sk: String,
        body: String,
        expires: Option<Timestamp>,
    ) -> Result<(), AwsFailure> {
        let known = ledger.promised.get(&sk).copied();
        let next = known.map_or(1, |revision| revision + 1);
        let mut item = key("ledger", &sk);
        item.insert("rev".into(), number(next));
        item.insert("body".into(), text(body));
        if let Some(expires) = expires {
            item.insert("expires_at".into(), number(expires.as_second()));
        }
        let put = Put::builder().table_name(&self.name).set_item(Some(item));
        let put = match known {
            Some(revision) => {
                put.condition_expression("rev = :rev").expression_attribute_values(":rev", number(revision))
            }
            None => put.condition_expression("attribute_not_exists(pk)"),
        };
        let put = put.build().map_err(|error| AwsFailure::own(TRANSACT, "BadRequest", error.to_string()))?;
        let item = TransactWriteItem::builder().put(put).build();
        let sent = self.client.transact_write_items().transact_items(item).send().await;
        sent.map_err(|error| AwsFailure::of(TRANSACT, &error))?;
        ledger.promised.insert(sk, next);
        Ok(())
    }
}
