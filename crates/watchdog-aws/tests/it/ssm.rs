//! The policy's documents.

use std::sync::{Arc, Mutex};

use aws_sdk_ssm::Client;
use aws_sdk_ssm::operation::get_parameters_by_path::GetParametersByPathOutput;
use aws_sdk_ssm::types::Parameter;
use aws_smithy_mocks::{RuleMode, mock, mock_client};
use watchdog_aws::ssm::documents;
use watchdog_core::policy::Document;

fn page(names: &[&str], next: Option<&str>) -> GetParametersByPathOutput {
    let parameters =
        names.iter().map(|name| Parameter::builder().name(format!("/x/policy/{name}")).value(*name).build());
    let page = GetParametersByPathOutput::builder().set_parameters(Some(parameters.collect()));
    page.set_next_token(next.map(str::to_owned)).build()
}

async fn read(pages: Vec<GetParametersByPathOutput>) -> Result<Vec<Document>, String> {
    let pages = Arc::new(Mutex::new(pages.into_iter().cycle()));
    let rule = mock!(Client::get_parameters_by_path)
        .match_requests(|input| input.path() == Some("/x/policy"))
        .then_compute_output(move |_| pages.lock().unwrap().next().unwrap());
    let client = mock_client!(aws_sdk_ssm, RuleMode::MatchAny, [&rule]);
    documents(&client, "/x/policy").await.map_err(|failure| failure.to_string())
}

#[tokio::test]
async fn documents_are_read_over_pages_and_named_by_their_last_part() {
    let document = |name: &str| Document { name: name.to_owned(), text: name.to_owned() };
    let got = read(vec![page(&["00-stack"], Some("more")), page(&["50-own"], None)]).await;
    assert_eq!(got, Ok(vec![document("00-stack"), document("50-own")]));
    assert_eq!(read(vec![page(&[], None)]).await, Ok(vec![]));
}

#[tokio::test]
async fn more_than_forty_are_refused_and_not_cut() {
    let got = read(vec![page(&["a"], Some("again"))]).await;
    assert_eq!(got, Err(
        "`ssm:GetParametersByPath` failed with `TooManyParameters`: there are more than 40 parameters under `/x/policy`; \
         merge some of them".to_owned()
    ));
}
