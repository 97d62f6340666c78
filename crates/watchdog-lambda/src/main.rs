//! The Lambda function: cold start. What it does with an event is in [`watchdog_lambda::handler`].

use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::Value;
use watchdog_lambda::{handler, log};

/// One thread: a run waits for AWS nearly all of its time, and at the smallest memory sizes there is a fraction of a CPU.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    log::start();
    let function = handler::Function::from_env().await;
    lambda_runtime::run(service_fn(|event: LambdaEvent<Value>| {
        let function = &function;
        async move { function.handle(event).await.map_err(Diagnostic::from) }
    }))
    .await
}
