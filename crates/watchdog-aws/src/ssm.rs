//! The policy's documents in SSM Parameter Store.

use aws_sdk_ssm::Client;
use aws_sdk_ssm::types::ParameterType;
use watchdog_core::policy::Document;

use crate::failure::AwsFailure;

const OPERATION: &str = "ssm:GetParametersByPath";

/// Documents of one policy: at 8 KB they are as much text as a policy may have.
const MOST_DOCUMENTS: usize = 40;
/// Pages of up to ten parameters. SSM may return short and even empty ones, so this is not about documents but about an end.
const MOST_PAGES: usize = 50;

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
            if parameter.r#type() == Some(&ParameterType::SecureString) {
                let message = format!("`{name}` is a SecureString; store it as a String, a policy holds no secrets");
                return Err(AwsFailure::own(OPERATION, "SecureString", message));
            }
            let name = name.rsplit('/').next().unwrap_or_default().to_owned();
            documents.push(Document { name, text: parameter.value().unwrap_or_default().to_owned() });
        }
        if documents.len() > MOST_DOCUMENTS {
            let message = format!("there are more than {MOST_DOCUMENTS} parameters under `{path}`; merge some of them");
            return Err(AwsFailure::own(OPERATION, "TooManyParameters", message));
        }
        token = page.next_token;
        if token.is_none() {
            // In one order whatever SSM's, so that the same policy is known as the same.
            documents.sort_by(|a, b| a.name.cmp(&b.name));
            return Ok(documents);
        }
    }
    Err(AwsFailure::own(OPERATION, "EndlessPages", format!("`{path}` goes on after {MOST_PAGES} pages")))
}
