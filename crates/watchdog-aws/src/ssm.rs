//! The policy's documents in SSM Parameter Store.

use aws_sdk_ssm::Client;
use watchdog_core::policy::Document;

use crate::failure::AwsFailure;

const OPERATION: &str = "ssm:GetParametersByPath";

/// Pages of ten parameters: 40 documents, which at 8 KB are as much text as a policy may have.
const MOST_PAGES: usize = 4;

/// Reads all documents under `path`, none deeper. None at all is an empty list.
///
/// # Errors
/// [`AwsFailure`], also where there are more than 40 documents.
pub async fn documents(client: &Client, path: &str) -> Result<Vec<Document>, AwsFailure> {
    let mut documents = Vec::new();
    let mut token = None;
    for _ in 0..MOST_PAGES {
        let page = client.get_parameters_by_path().path(path).max_results(10).set_next_token(token).send().await;
        let page = page.map_err(|error| AwsFailure::of(OPERATION, &error))?;
        for parameter in page.parameters() {
            let name = parameter.name().unwrap_or_default();
            let name = name.rsplit('/').next().unwrap_or_default().to_owned();
            documents.push(Document { name, text: parameter.value().unwrap_or_default().to_owned() });
        }
        token = page.next_token;
        if token.is_none() {
            return Ok(documents);
        }
    }
    let message = format!("there are more than {} parameters under `{path}`; merge some of them", MOST_PAGES * 10);
    Err(AwsFailure::own(OPERATION, "TooManyParameters", message))
}
