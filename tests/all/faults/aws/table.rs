//! The state table: what it holds, and the conditions of those who write.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use serde_json::{Map, Value, json};

use super::wire::{Call, response};
use super::{World, expression};

impl World {
    /// A write of one item, on its condition where it has one.
    pub(super) fn put_one(&mut self, call: &Call) -> HttpResponse {
        let body = call.json();
        if !fits(body, self.items.get(&key(&body["Item"])).unwrap_or(&Map::new())) {
            let refused = json!({ "__type": "ConditionalCheckFailedException", "message": "no" });
            return response(400, "application/x-amz-json-1.0", refused.to_string().into_bytes());
        }
        self.put(&body["Item"]);
        response(200, "application/x-amz-json-1.0", b"{}".to_vec())
    }

    fn put(&mut self, item: &Value) {
        self.items.insert(key(item), item.as_object().cloned().unwrap_or_default());
    }

    /// What was written under these keys, as `BatchGetItem` answers.
    pub(super) fn several(&self, call: &Call) -> HttpResponse {
        let tables = call.json()["RequestItems"].as_object().cloned().unwrap_or_default();
        let found = tables.into_iter().map(|(table, asked)| {
            let keys = asked["Keys"].as_array().cloned().unwrap_or_default();
            let items = keys.iter().filter_map(|at| self.items.get(&key(at)));
            (table, items.cloned().map(Value::from).collect::<Vec<_>>().into())
        });
        let found: Map<String, Value> = found.collect();
        response(200, "application/x-amz-json-1.0", json!({ "Responses": found }).to_string().into_bytes())
    }

    /// An update of a lease, as its expressions say.
    pub(super) fn update(&mut self, call: &Call) -> HttpResponse {
        let body = call.json();
        let key = key(&body["Key"]);
        let mut item = self.items.get(&key).cloned().unwrap_or_default();
        if !fits(body, &item) {
            let mut answer = json!({ "__type": "ConditionalCheckFailedException", "message": "no" });
            if body["ReturnValuesOnConditionCheckFailure"] == "ALL_OLD" && !item.is_empty() {
                answer["Item"] = item.into();
            }
            return response(400, "application/x-amz-json-1.0", answer.to_string().into_bytes());
        }
        item.extend(body["Key"].as_object().cloned().unwrap_or_default());
        let change = body["UpdateExpression"].as_str().expect("an update");
        expression::update(change, &mut item, &body["ExpressionAttributeValues"]);
        self.items.insert(key, item.clone());
        let answer = if body["ReturnValues"] == "ALL_NEW" { json!({ "Attributes": item }) } else { json!({}) };
        response(200, "application/x-amz-json-1.0", answer.to_string().into_bytes())
    }

    pub(super) fn transact(&mut self, call: &Call) -> HttpResponse {
        let body = call.json();
        let done = response(200, "application/x-amz-json-1.0", b"{}".to_vec());
        let token = body["ClientRequestToken"].as_str().expect("the SDK's token").to_owned();
        let parts = body["TransactItems"].as_array().cloned().unwrap_or_default();
        if let Some(before) = self.tokens.get(&token) {
            assert_eq!(*before, parts, "one token for two transactions");
            return done;
        }
        let fits = |part: &Value, at: &Value| fits(part, self.items.get(&key(at)).unwrap_or(&Map::new()));
        let all = parts.iter().all(|part| match (part.get("Put"), part.get("Delete")) {
            (Some(put), _) => fits(put, &put["Item"]),
            (_, Some(delete)) => fits(delete, &delete["Key"]),
            _ => panic!("{part}"),
        });
        if !all {
            let body = json!({ "__type": "TransactionCanceledException", "message": "ConditionalCheckFailed" });
            return response(400, "application/x-amz-json-1.0", body.to_string().into_bytes());
        }
        for part in &parts {
            if let Some(put) = part.get("Put") {
                // What IAM asks for in the place of a transaction.
                self.actions.insert("dynamodb:PutItem".to_owned());
                self.put(&put["Item"]);
            } else {
                self.actions.insert("dynamodb:DeleteItem".to_owned());
                self.items.remove(&key(&part["Delete"]["Key"]));
            }
        }
        self.tokens.insert(token, parts);
        done
    }
}

/// Of an item, or of a key alone.
fn key(at: &Value) -> (String, String) {
    let of = |name: &str| at[name]["S"].as_str().unwrap_or_default().to_owned();
    (of("pk"), of("sk"))
}

/// Whether the condition of a write holds for the item that is there; without one it does.
fn fits(write: &Value, item: &Map<String, Value>) -> bool {
    let condition = write["ConditionExpression"].as_str();
    condition.is_none_or(|condition| expression::holds(condition, item, &write["ExpressionAttributeValues"]))
}
