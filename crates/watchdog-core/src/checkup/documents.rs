//! A coarse look at IAM policy documents: might this one let anybody start queries?

use serde_json::Value;

use crate::policy::Pattern;

/// Whether a policy document (JSON) might allow `athena:StartQueryExecution` somewhere.
///
/// It says yes too often rather than too rarely: resources, conditions and denials are left to IAM's own evaluation, and what
/// cannot be read might allow anything.
pub fn may_start_queries(document: &str) -> bool {
    let Ok(document) = serde_json::from_str::<Value>(document) else { return true };
    let Some(statements) = document.get("Statement") else { return true };
    each(statements).any(|statement| {
        let allows = statement.get("Effect").and_then(Value::as_str) != Some("Deny");
        allows
            && match statement.get("Action") {
                Some(actions) => each(actions).any(|action| action.as_str().is_none_or(covers)),
                // `NotAction`, or something unheard of.
                None => true,
            }
    })
}

/// IAM writes one thing as itself and several as a list.
fn each(value: &Value) -> impl Iterator<Item = &Value> {
    match value {
        Value::Array(many) => many.iter(),
        one => std::slice::from_ref(one).iter(),
    }
}

/// Whether an action of a statement, with IAM's wildcards and in any case, is or includes starting a query.
fn covers(action: &str) -> bool {
    let (service, operation) = action.split_once(':').unwrap_or((action, "*"));
    let matches = |pattern: &str, name: &str| {
        Pattern::parse(&pattern.to_ascii_lowercase()).map_or(true, |pattern| pattern.matches(name))
    };
    matches(service, "athena") && matches(operation, "startqueryexecution")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(statement: &str, expected: bool) {
        let document = format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#);
        assert_eq!(may_start_queries(&document), expected, "{statement}");
    }

    #[test]
    fn what_might_is_never_missed() {
        for action in [
            "*",
            "athena:*",
            "Athena:Start*",
            "athena:StartQueryExecution",
            "a*:*",
            "athena:?tartQueryExecution",
            "*:*",
        ] {
            check(&format!(r#"[{{"Effect":"Allow","Action":"{action}","Resource":"*"}}]"#), true);
            check(&format!(r#"{{"Effect":"Allow","Action":["s3:GetObject","{action}"],"Resource":"*"}}"#), true);
        }
        check(r#"[{"Effect":"Allow","NotAction":"iam:*","Resource":"*"}]"#, true);
        check(
            r#"[{"Effect":"Deny","Action":"*","Resource":"*"},{"Effect":"Allow","Action":"athena:*","Resource":"*"}]"#,
            true,
        );
        for unreadable in ["", "{}", "not JSON", r#"{"Statement":[{"Effect":"Allow","Action":7}]}"#] {
            assert!(may_start_queries(unreadable), "{unreadable}");
        }
    }

    #[test]
    fn what_cannot_is_left_out() {
        for action in
            ["s3:*", "athena:Get*", "athena:StartSession", "athena:List*", "athenaX:*", "glue:StartQueryExecution"]
        {
            check(&format!(r#"[{{"Effect":"Allow","Action":["{action}"],"Resource":"*"}}]"#), false);
        }
        check(r#"[{"Effect":"Deny","Action":"athena:*","Resource":"*"}]"#, false);
        check(r#"[{"Effect":"Deny","NotAction":"athena:*","Resource":"*"}]"#, false);
        check("[]", false);
    }
}
