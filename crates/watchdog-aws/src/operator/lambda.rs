//! The function.

use aws_sdk_lambda::Client;
use watchdog_core::checkup::Function;

use super::found;
use crate::failure::AwsFailure;

const CONFIGURATION: &str = "lambda:GetFunctionConfiguration";
const CONCURRENCY: &str = "lambda:GetFunctionConcurrency";

/// The function; `None` where it does not exist.
///
/// # Errors
/// [`AwsFailure`].
pub async fn function(client: &Client, name: &str) -> Result<Option<Function>, AwsFailure> {
    let answer = client.get_function_configuration().function_name(name).send().await;
    let answer = found(answer.map_err(|error| AwsFailure::of(CONFIGURATION, &error)))?;
    Ok(answer.map(|answer| Function {
        name: name.to_owned(),
        arn: answer.function_arn().unwrap_or_default().to_owned(),
        state: answer.state().map(|state| state.as_str().to_owned()),
        last_update: answer.last_update_status().map(|status| status.as_str().to_owned()),
        environment: answer.environment().and_then(|e| e.variables()).into_iter().flatten().map(owned).collect(),
    }))
}

fn owned((name, value): (&String, &String)) -> (String, String) {
    (name.clone(), value.clone())
}

/// Its reserved concurrency, where it has one.
///
/// # Errors
/// [`AwsFailure`].
pub async fn reserved(client: &Client, name: &str) -> Result<Option<i32>, AwsFailure> {
    let answer = client.get_function_concurrency().function_name(name).send().await;
    let answer = found(answer.map_err(|error| AwsFailure::of(CONCURRENCY, &error)))?;
    Ok(answer.and_then(|answer| answer.reserved_concurrent_executions()))
}
