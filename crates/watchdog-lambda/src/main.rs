//! The Lambda function: cold start, and a handler that hands each event to [`watchdog_aws::pass`].

mod handler;
mod log;
mod panic;

use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::Value;

/// One thread: a run waits for AWS nearly all of its time, and at the smallest memory sizes there is a fraction of a CPU.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    log::start();
    panic::tell();
    let function = handler::Function::from_env();
    lambda_runtime::run(service_fn(|event: LambdaEvent<Value>| {
        let function = &function;
        async move {
            panic::at_work(Some(&event.context.request_id));
            let answer = function.handle(event).await.map_err(Diagnostic::from);
            panic::at_work(None);
            answer
        }
    }))
    .await
}
