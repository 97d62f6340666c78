//! `watchdog grant`, `grants`, `revoke`, `silence`, `silences`, `unsilence`: requests to the deployed function.
//!
//! The tool signs who asks and shows what the function answers. It decides nothing: the same caps hold for a script that invokes the function
//! itself, as `docs/grants.md` says.

mod table;

use std::hash::{BuildHasher, RandomState};

use jiff::Timestamp;
use serde_json::{Value, json};
use watchdog_aws::failure::AwsFailure;
use watchdog_aws::operator::{Operator, asking, cloudformation};
use watchdog_core::report::Answer;

use crate::args::{AskArgs, FunctionArgs, GrantArgs, ListArgs, RevokeArgs, SilenceArgs, UnsilenceArgs};
use crate::exit::{Exit, Failure};
use crate::{out, place};

/// Raises, approves or extends.
///
/// # Errors
/// [`Failure`] where the request is refused, and where the function could not be asked.
pub async fn grant(args: &GrantArgs) -> Result<Exit, Failure> {
    let wish = match (&args.approve, &args.extend, &args.workgroup) {
        (Some(id), ..) => json!({ "approve": { "grant": id } }),
        (_, Some(id), _) => json!({ "extend": { "grant": id, "for": args.length } }),
        (_, _, workgroup) => {
            if args.limit.is_none() && args.per_query.is_none() {
                return Err(Failure::usage(
                    "a grant raises something: give `--limit 2TiB`, `--per-query 500GiB`, or both",
                ));
            }
            let mut grant = json!({ "workgroup": workgroup, "for": args.length, "reason": args.reason });
            let optional = [
                ("limit", args.limit.clone()),
                ("per_query", args.per_query.clone()),
                ("window", args.window.clone()),
                ("start", args.start.map(|start| start.to_string())),
            ];
            for (name, value) in optional {
                if let Some(value) = value {
                    grant[name] = Value::from(value);
                }
            }
            json!({ "grant": grant })
        }
    };
    ask(&args.asking, wish).await
}

/// Ends a grant.
///
/// # Errors
/// As [`grant`].
pub async fn revoke(args: &RevokeArgs) -> Result<Exit, Failure> {
    ask(&args.asking, json!({ "revoke": { "grant": args.grant } })).await
}

/// Silences an alert.
///
/// # Errors
/// As [`grant`].
pub async fn silence(args: &SilenceArgs) -> Result<Exit, Failure> {
    let silence = json!({ "alert": args.alert, "for": args.length, "reason": args.reason });
    ask(&args.asking, json!({ "silence": silence })).await
}

/// Ends a silence.
///
/// # Errors
/// As [`grant`].
pub async fn unsilence(args: &UnsilenceArgs) -> Result<Exit, Failure> {
    ask(&args.asking, json!({ "unsilence": { "alert": args.alert } })).await
}

/// Lists grants.
///
/// # Errors
/// [`Failure`] where the function could not be asked.
pub async fn grants(args: &ListArgs) -> Result<Exit, Failure> {
    list(args, table::grants).await
}

/// Lists silences.
///
/// # Errors
/// As [`grants`].
pub async fn silences(args: &ListArgs) -> Result<Exit, Failure> {
    list(args, |answer, _| table::silences(answer)).await
}

async fn list(args: &ListArgs, text: impl Fn(&Answer, bool) -> String) -> Result<Exit, Failure> {
    let config = place::config(&args.function.aws).await?;
    let operator = Operator::new(&config);
    let function = function(&operator, &args.function).await?;
    let event = json!({ "list": "promises" });
    let mut answer = asking::invoke(&operator.lambda, &function, &event).await.map_err(|f| unasked(&function, &f))?;
    if !args.all {
        answer.grants.retain(|grant| !grant.is_closed());
    }
    if args.json {
        out::json(&answer)?;
    } else {
        warn(&answer);
        out::data(&text(&answer, args.all))?;
    }
    Ok(Exit::Fine)
}

async fn ask(args: &AskArgs, wish: Value) -> Result<Exit, Failure> {
    let now = Timestamp::now();
    let config = place::config(&args.function.aws).await?;
    let operator = Operator::new(&config);
    let function = function(&operator, &args.function).await?;
    let mut request = wish;
    request["to"] = Value::from(function.as_str());
    request["id"] = Value::from(new_id(now));
    request["dry_run"] = Value::from(!args.write);
    let event = asking::signed(&config, &request.to_string(), now).await;
    let event = event.map_err(|failure| Failure::unseen(failure.to_string()))?;
    let answer = asking::invoke(&operator.lambda, &function, &event).await.map_err(|f| unasked(&function, &f))?;
    if args.json {
        out::json(&answer)?;
    } else {
        warn(&answer);
    }
    if let Some(refused) = &answer.refused {
        return Err(Failure::usage(format!("refused: {refused}")));
    }
    if !args.json {
        out::data(&table::said(&answer))?;
    }
    if answer.dry_run {
        out::note("nothing is changed: add `--write` to do it");
    }
    Ok(Exit::Fine)
}

/// The function's name: as said, or as the stack has it.
async fn function(operator: &Operator, args: &FunctionArgs) -> Result<String, Failure> {
    if let Some(function) = &args.function {
        return Ok(function.clone());
    }
    let name = place::stack(args.stack.as_deref(), |name| std::env::var(name).ok())?;
    let resources = cloudformation::resources(&operator.cloudformation, &name).await;
    let resources = resources.map_err(|failure| {
        let remedy = "give `--function NAME` to do without";
        Failure::unseen(format!("the function of the stack `{name}` could not be looked up: {failure}; {remedy}"))
    })?;
    let function = resources.and_then(|all| all.get("Function").map(|resource| resource.id.clone()));
    function.ok_or_else(|| {
        Failure::usage(format!(
            "there is no stack `{name}` with a watchdog in this account and Region: give `--stack NAME`"
        ))
    })
}

fn unasked(function: &str, failure: &AwsFailure) -> Failure {
    Failure::unseen(format!("the function `{function}` could not be asked: {failure}"))
}

fn warn(answer: &Answer) {
    for warning in &answer.warnings {
        out::warning(warning);
    }
}

/// A name that no other request has: by the clock, and by the random keys that the standard library draws for every process.
fn new_id(now: Timestamp) -> String {
    let hash = RandomState::new().hash_one((now.as_nanosecond(), std::process::id()));
    format!("g-{:08x}", hash & 0xffff_ffff)
}
