//! The table that remembers what people were told.

use super::remedy::{quote, resource};
use super::state::State;
use super::{Check, Severity};

/// What the function reads and writes by.
const KEYS: [(&str, &str); 2] = [("pk", "HASH"), ("sk", "RANGE")];
/// The attribute by which items expire.
const EXPIRES: &str = "expires_at";

/// Whether it is there and takes records.
pub(super) fn table(state: &State) -> Check {
    let place = &state.place;
    let mut check = Check::new("state table", "the state table is active, its key is `pk` and `sk`");
    let Some(table) = check.seen(&state.table) else { return check };
    let create = |name: &str| {
        place.aws(&format!(
            "dynamodb create-table --table-name {} --billing-mode PAY_PER_REQUEST \
             --attribute-definitions AttributeName=pk,AttributeType=S AttributeName=sk,AttributeType=S \
             --key-schema AttributeName=pk,KeyType=HASH AttributeName=sk,KeyType=RANGE",
            quote(name)
        ))
    };
    let Some(table) = table else {
        let name = resource(state, "StateTable").unwrap_or("TABLE");
        check.find(
            Severity::Critical,
            format!("table/{name}"),
            format!("the state table `{name}` does not exist"),
            "Every run fails before its first mail: without memory it would tell everybody everything every time.",
            vec![create(name), time_to_live_on(state, name)],
        );
        return check;
    };
    let name = quote(&table.name);
    if table.status != "ACTIVE" && table.status != "UPDATING" {
        check.find(
            Severity::Critical,
            format!("table/{}", table.name),
            format!("the state table `{}` is `{}`", table.name, table.status),
            "It takes no records, so every run fails before its first mail.",
            vec![place.aws(&format!("dynamodb wait table-exists --table-name {name}"))],
        );
    }
    let right = table.keys.len() == KEYS.len()
        && KEYS.iter().all(|(name, kind)| table.keys.iter().any(|(n, k)| n == name && k == kind));
    if !right {
        let keys: Vec<_> = table.keys.iter().map(|(name, kind)| format!("`{name}` ({kind})")).collect();
        check.find(
            Severity::Critical,
            format!("table/{}", table.name),
            format!(
                "the state table `{}` has the key {}, not `pk` (HASH) and `sk` (RANGE)",
                table.name,
                keys.join(", ")
            ),
            "The watchdog can neither read nor write it; a key cannot be changed, only a new table made.",
            vec![
                place.aws(&format!("dynamodb delete-table --table-name {name}")),
                place.aws(&format!("dynamodb wait table-not-exists --table-name {name}")),
                create(&table.name),
                time_to_live_on(state, &table.name),
            ],
        );
    }
    check
}

/// Whether what is no longer needed goes away.
pub(super) fn time_to_live(state: &State) -> Check {
    let mut check = Check::new("table TTL", format!("the state table forgets by `{EXPIRES}`"));
    let Some(ttl) = check.seen(&state.time_to_live) else { return check };
    let name = match &state.table {
        Ok(Some(table)) => table.name.as_str(),
        _ => "TABLE",
    };
    let why = "Records of what people were told stay for ever: old alerts and silences never leave the table.";
    match &ttl.attribute {
        _ if !ttl.enabled => {
            check.find(
                Severity::Warning,
                format!("table/{name}"),
                format!("TTL is off on the state table `{name}`"),
                why,
                vec![time_to_live_on(state, name)],
            );
        }
        Some(attribute) if attribute != EXPIRES => {
            check.find(
                Severity::Warning,
                format!("table/{name}"),
                format!("TTL of the state table `{name}` is on `{attribute}`, not on `{EXPIRES}`"),
                "Records of what people were told stay for ever: old alerts and silences never leave the table. DynamoDB takes one \
                 change of TTL an hour: give the second command an hour after the first.",
                vec![
                    state.place.aws(&format!(
                        "dynamodb update-time-to-live --table-name {} --time-to-live-specification \
                         Enabled=false,AttributeName={}",
                        quote(name),
                        quote(attribute)
                    )),
                    time_to_live_on(state, name),
                ],
            );
        }
        _ => {}
    }
    check
}

fn time_to_live_on(state: &State, table: &str) -> String {
    state.place.aws(&format!(
        "dynamodb update-time-to-live --table-name {} --time-to-live-specification \
         Enabled=true,AttributeName={EXPIRES}",
        quote(table)
    ))
}
