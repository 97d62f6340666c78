//! The Lambda function.

use lambda_runtime::{LambdaEvent, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    lambda_runtime::run(service_fn(async |_event: LambdaEvent<serde_json::Value>| {
        Ok::<_, lambda_runtime::Error>(serde_json::json!({}))
    }))
    .await
}
