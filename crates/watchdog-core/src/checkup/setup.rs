//! The stack, its policy, and the function.

use super::remedy::quote;
use super::state::{Function, State};
use super::{Check, Severity, count, names};
use crate::policy::{Policy, Problems};

/// Where all else is found.
pub(super) fn stack(state: &State) -> Check {
    let place = &state.place;
    let mut check =
        Check::new("stack", format!("stack `{}` is deployed, each resource as CloudFormation made it", place.stack));
    let Some(stack) = check.seen(&state.stack).cloned() else { return check };
    let Some(stack) = stack else {
        check.find(
            Severity::Critical,
            format!("stack/{}", place.stack),
            format!("there is no stack `{}` in {}", place.stack, place.region),
            "Nothing is watched by it; or it has another name, which `--stack` takes, or is in another Region.",
            vec![
                place
                    .aws("cloudformation list-stacks --query 'StackSummaries[].[StackName,StackStatus]' --output text"),
                place.deploy(),
            ],
        );
        return check;
    };
    // Its first deployment failed. What the template says to retain is still among its resources.
    let is_unborn = matches!(stack.status.as_str(), "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" | "CREATE_FAILED");
    if is_unborn || stack.resources.is_empty() {
        let wait = format!("cloudformation wait stack-delete-complete --stack-name {}", quote(&place.stack));
        check.find(
            Severity::Critical,
            format!("stack/{}", place.stack),
            match is_unborn {
                true => format!("the first deployment of the stack `{}` failed: it is in {}", place.stack, stack.status),
                false => format!("the stack `{}` has no resources: its first deployment was not finished", place.stack),
            },
            "Nothing is watched by it, and CloudFormation refuses to update it: it has to be deleted first. What is to be \
             retained stays.",
            vec![
                place.aws(&format!("cloudformation delete-stack --stack-name {}", quote(&place.stack))),
                place.aws(&wait),
                place.deploy(),
            ],
        );
        return check;
    }
    if stack.status == "UPDATE_ROLLBACK_FAILED" {
        check.find(
            Severity::Warning,
            format!("stack/{}", place.stack),
            "the stack's last change failed, and so did taking it back: it is in UPDATE_ROLLBACK_FAILED",
            "It is half of the old and half of the new, and cannot be updated before it has been taken back.",
            vec![place.aws(&format!("cloudformation continue-update-rollback --stack-name {}", quote(&place.stack)))],
        );
        return check;
    }
    let broken: Vec<&str> = stack
        .resources
        .iter()
        .filter(|(_, resource)| resource.status.ends_with("_FAILED"))
        .map(|(logical, _)| logical.as_str())
        .collect();
    if !broken.is_empty() {
        check.find(
            Severity::Warning,
            format!("stack/{}", place.stack),
            format!("the stack's last change failed at {}", names(broken)),
            "Until it is mended the stack is half of the old and half of the new, and cannot be updated.",
            vec![place.aws(&format!(
                "cloudformation describe-stack-events --stack-name {} --max-items 20",
                quote(&place.stack)
            ))],
        );
    }
    check
}

/// The policy that counts: the current one where it is valid, otherwise the last one that was.
pub fn policy_in_force(state: &State) -> Option<Policy> {
    match current(state) {
        Some(Ok(policy)) => Some(policy),
        _ => Policy::parse(&state.stored.as_ref().ok()?.as_ref()?.documents).ok(),
    }
}

fn current(state: &State) -> Option<Result<Policy, Problems>> {
    let documents = state.documents.as_ref().ok()?;
    (!documents.is_empty()).then(|| Policy::parse(documents))
}

/// Whether it can be read, and is valid.
pub(super) fn policy(state: &State) -> Check {
    let place = &state.place;
    let mut check = Check::new("policy", "");
    let Some(documents) = check.seen(&state.documents) else { return check };
    let from = if place.policy_from_files { "its files" } else { &place.policy_path };
    check.fine = format!("the policy is valid: {} from {from}", count(documents.len(), "document"));
    let in_force = match &state.stored {
        Ok(Some(stored)) => format!(
            "The last valid one, first read at {}, stays in force meanwhile.",
            stored.since.strftime("%Y-%m-%d %H:%M UTC")
        ),
        Ok(None) => "There is no earlier valid one either: nothing is watched.".to_owned(),
        Err(_) => "The last valid one stays in force, where there was one.".to_owned(),
    };
    let severity = if matches!(state.stored, Ok(Some(_))) { Severity::Warning } else { Severity::Critical };
    match current(state) {
        None => {
            check.find(
                severity,
                &place.policy_path,
                format!("there is no policy: no parameter below `{}`", place.policy_path),
                in_force,
                place.store_policy("10-mine"),
            );
        }
        Some(Err(problems)) => {
            let mut broken: Vec<&str> =
                problems.0.iter().filter_map(|p| p.place.as_ref()).map(|place| place.document.as_str()).collect();
            broken.sort_unstable();
            broken.dedup();
            let first = problems.0.first().map(ToString::to_string).unwrap_or_default();
            let remedy = if broken.is_empty() {
                vec![]
            } else {
                broken.into_iter().flat_map(|name| read_and_store(state, name)).collect()
            };
            check.find(
                severity,
                from,
                format!(
                    "the policy has {}; the first: {}",
                    count(problems.0.len(), "problem"),
                    crate::untrusted::plain(&first)
                ),
                in_force,
                remedy,
            );
        }
        Some(Ok(_)) => {}
    }
    check
}

/// Fetch, correct, check, store.
fn read_and_store(state: &State, name: &str) -> Vec<String> {
    let place = &state.place;
    let parameter = quote(&format!("{}/{name}", place.policy_path));
    let file = quote(&format!("{name}.toml"));
    let mut commands = vec![
        place.aws(&format!("ssm get-parameter --name {parameter} --query Parameter.Value --output text"))
            + &format!(" > {file}"),
    ];
    commands.extend(place.store_policy(name));
    commands
}

/// How the function fared: its runs, and what a feed or a deployment asked of it. Whether any was completed is another check's matter.
pub(super) fn function(state: &State) -> Check {
    let place = &state.place;
    let mut check = Check::new("function", "");
    let Some(function) = check.seen(&state.function) else { return check };
    let Some(function) = function else {
        check.find(
            Severity::Critical,
            "function",
            "the stack has no function",
            "Nobody is watching.",
            vec![place.deploy()],
        );
        return check;
    };
    let Function { name, invocations, errors, throttles } = function;
    check.fine = format!("the function failed none of {} in the last hour", count_u64(*invocations, "invocation"));
    let on = format!("function/{name}");
    if *throttles > 0 {
        check.find(
            Severity::Critical,
            &on,
            format!("Lambda refused {} of `{name}` in the last hour", count_u64(*throttles, "invocation")),
            "Its reserved concurrency is 0, or the account has none left: nobody is watching meanwhile.",
            vec![
                place.aws(&format!("lambda get-function-concurrency --function-name {}", quote(name))),
                place.aws(&format!("lambda delete-function-concurrency --function-name {}", quote(name))),
            ],
        );
    }
    if *errors > 0 {
        let all = errors >= invocations;
        check.find(
            if all { Severity::Critical } else { Severity::Warning },
            &on,
            format!("{errors} of {} of `{name}` failed in the last hour", count_u64(*invocations, "invocation")),
            if all { "Nobody is watching; the log says why." } else { "Limits were judged late; the log says why." },
            vec![place.read_log()],
        );
    }
    check
}

/// `1 invocation`, `2 invocations`, of what was counted elsewhere.
fn count_u64(n: u64, what: &str) -> String {
    count(usize::try_from(n).unwrap_or(usize::MAX), what)
}
