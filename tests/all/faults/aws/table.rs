//! The state table: what it holds, and the conditions of those who write.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use serde_json::{Map, Value, json};

use super::World;
use super::wire::{Call, response};

impl World {
    pub(super) fn put(&mut self, item: Map<String, Value>) {
        let of = |name: &str| item[name]["S"].as_str().unwrap_or_default().to_owned();
        self.items.insert((of("pk"), of("sk")), item.clone());
    }

    /// A write of one item, on the condition that the catalogue's first piece has, or on none.
    pub(super) fn put_on_condition(&mut self, call: &Call) -> HttpResponse {
        let body = call.json();
        let item = body["Item"].as_object().cloned().unwrap_or_default();
        let of = |name: &str| item[name]["S"].as_str().unwrap_or_default().to_owned();
        let held = self.items.get(&(of("pk"), of("sk")));
        let values = &body["ExpressionAttributeValues"];
        let fits = match (body["ConditionExpression"].as_str(), held.and_then(|held| held.get("rev"))) {
            (None, _) | (Some(_), None) => true,
            (Some("attribute_not_exists(rev) OR rev = :known OR (rev = :next AND stamp = :stamp)"), Some(rev)) => {
                let is_retry = *rev == values[":next"] && held.is_some_and(|held| held["stamp"] == values[":stamp"]);
                *rev == values[":known"] || is_retry
            }
            (Some(other), _) => panic!("a condition that is not known here: {other}"),
        };
        if !fits {
            let body = json!({ "__type": "ConditionalCheckFailedException", "message": "no" });
            return response(400, "application/x-amz-json-1.0", body.to_string().into_bytes());
        }
        self.put(item);
        response(200, "application/x-amz-json-1.0", b"{}".to_vec())
    }

    /// What was written under these keys, as `BatchGetItem` answers.
    pub(super) fn several(&self, call: &Call) -> HttpResponse {
        let tables = call.json()["RequestItems"].as_object().cloned().unwrap_or_default();
        let found = tables.into_iter().map(|(table, asked)| {
            let keys = asked["Keys"].as_array().cloned().unwrap_or_default();
            let of = |key: &Value, name: &str| key[name]["S"].as_str().unwrap_or_default().to_owned();
            let items = keys.iter().filter_map(|key| self.items.get(&(of(key, "pk"), of(key, "sk"))));
            (table, items.cloned().map(Value::from).collect::<Vec<_>>().into())
        });
        let found: Map<String, Value> = found.collect();
        response(200, "application/x-amz-json-1.0", json!({ "Responses": found }).to_string().into_bytes())
    }

    /// The two updates that each lease knows, as their expressions say: a run's, and that of changing promises, which knows no ticks.
    pub(super) fn lease(&mut self, call: &Call) -> HttpResponse {
        let body = call.json();
        let values = &body["ExpressionAttributeValues"];
        let number = |value: &Value| value["N"].as_str().and_then(|n| n.parse::<i64>().ok());
        let key = ("run".to_owned(), body["Key"]["sk"]["S"].as_str().expect("a lease").to_owned());
        let item = self.items.get(&key).cloned().unwrap_or_default();
        let of = |name: &str| item.get(name).and_then(number);
        let holder = item.get("holder").and_then(|holder| holder["S"].as_str());
        let me = values[":me"]["S"].as_str();
        let takes = body["UpdateExpression"].as_str().is_some_and(|update| update.starts_with("SET holder"));
        let fits = if takes {
            let is_free = holder.is_none() || of("held_until") < number(&values[":now"]) || holder == me;
            let begun = of("begun_tick").filter(|_| key.1 == "lease");
            is_free
                && begun.is_none_or(|begun| {
                    Some(begun) <= number(&values[":tick"]) || Some(begun) > number(&values[":ahead"])
                })
        } else {
            holder.is_some() && holder == me
        };
        if !fits {
            let body = json!({ "__type": "ConditionalCheckFailedException", "message": "no", "Item": item });
            return response(400, "application/x-amz-json-1.0", body.to_string().into_bytes());
        }
        let mut next = item.clone();
        next.insert("pk".to_owned(), json!({"S": "run"}));
        next.insert("sk".to_owned(), json!({ "S": key.1 }));
        if takes {
            for (name, value) in [("holder", ":me"), ("held_until", ":until"), ("begun_tick", ":tick")] {
                if !values[value].is_null() {
                    next.insert(name.to_owned(), values[value].clone());
                }
            }
        } else {
            for (name, value) in [("last_tick", ":tick"), ("learnt", ":learnt")] {
                if !values[value].is_null() {
                    next.insert(name.to_owned(), values[value].clone());
                }
            }
            next.remove("holder");
            next.remove("held_until");
        }
        self.items.insert(key, next.clone());
        response(200, "application/x-amz-json-1.0", json!({ "Attributes": next }).to_string().into_bytes())
    }

    pub(super) fn transact(&mut self, call: &Call) -> HttpResponse {
        let body = call.json();
        let done = response(200, "application/x-amz-json-1.0", b"{}".to_vec());
        let token = body["ClientRequestToken"].as_str().expect("the SDK's token").to_owned();
        if self.tokens.contains(&token) {
            return done;
        }
        let parts = body["TransactItems"].as_array().cloned().unwrap_or_default();
        let key = |at: &Value| {
            let of = |name: &str| at[name]["S"].as_str().unwrap_or_default().to_owned();
            (of("pk"), of("sk"))
        };
        let fits = |part: &Value, key: &(String, String)| match part["ConditionExpression"].as_str() {
            None => true,
            Some("attribute_not_exists(pk)") => !self.items.contains_key(key),
            Some("rev = :rev") => {
                self.items.get(key).is_some_and(|item| item["rev"] == part["ExpressionAttributeValues"][":rev"])
            }
            Some(other) => panic!("a condition that is not known here: {other}"),
        };
        let all = parts.iter().all(|part| match (part.get("Put"), part.get("Delete")) {
            (Some(put), _) => fits(put, &key(&put["Item"])),
            (_, Some(delete)) => fits(delete, &key(&delete["Key"])),
            _ => panic!("{part}"),
        });
        if !all {
            let body = json!({ "__type": "TransactionCanceledException", "message": "ConditionalCheckFailed" });
            return response(400, "application/x-amz-json-1.0", body.to_string().into_bytes());
        }
        for part in parts {
            if let Some(put) = part.get("Put") {
                // What IAM asks for in the place of a transaction.
                self.actions.insert("dynamodb:PutItem".to_owned());
                self.put(put["Item"].as_object().cloned().unwrap_or_default());
            } else {
                self.actions.insert("dynamodb:DeleteItem".to_owned());
                self.items.remove(&key(&part["Delete"]["Key"]));
            }
        }
        self.tokens.insert(token);
        done
    }
}
