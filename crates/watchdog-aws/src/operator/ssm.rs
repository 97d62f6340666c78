//! The one document of the policy that the operator's tool writes.

use aws_sdk_ssm::Client;
use aws_sdk_ssm::types::{ParameterTier, ParameterType};
use watchdog_core::policy::Document;

use crate::failure::AwsFailure;

const PUT: &str = "ssm:PutParameter";

/// Writes a document below `path`, in the place of one of the same name. What is longer than the Standard tier holds goes to the
/// Advanced one, which is charged for.
///
/// # Errors
/// [`AwsFailure`]; then what was there is still there.
pub async fn put(client: &Client, path: &str, document: &Document) -> Result<(), AwsFailure> {
    let put = client
        .put_parameter()
        .name(format!("{path}/{}", document.name))
        .description("Limits that `watchdog plan` computed from measured use.")
        .value(&document.text)
        .r#type(ParameterType::String)
        .tier(ParameterTier::IntelligentTiering)
        .overwrite(true);
    put.send().await.map_err(|error| AwsFailure::of(PUT, &error))?;
    Ok(())
}
