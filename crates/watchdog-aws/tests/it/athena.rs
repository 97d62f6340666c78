//! Workgroups: paging, the meaning of what is absent, and the bound.

use std::sync::{Arc, Mutex};

use aws_sdk_athena::Client;
use aws_sdk_athena::operation::get_work_group::GetWorkGroupOutput;
use aws_sdk_athena::operation::list_work_groups::ListWorkGroupsOutput;
use aws_sdk_athena::types::{WorkGroup, WorkGroupConfiguration, WorkGroupState, WorkGroupSummary};
use aws_smithy_mocks::{RuleMode, mock, mock_client};
use watchdog_aws::athena::{settings, workgroups};
use watchdog_core::bytes::Bytes;

use crate::at;

fn summary(name: &str, state: Option<WorkGroupState>) -> WorkGroupSummary {
    WorkGroupSummary::builder().name(name).set_state(state).build()
}

#[tokio::test]
async fn all_pages_are_read_and_only_disabled_is_disabled() {
    let pages = [
        ListWorkGroupsOutput::builder()
            .work_groups(summary("a", Some(WorkGroupState::Enabled)))
            .work_groups(summary("b", Some(WorkGroupState::Disabled)))
            .next_token("more")
            .build(),
        ListWorkGroupsOutput::builder().work_groups(summary("c", None)).build(),
    ];
    let pages = Arc::new(Mutex::new(pages.into_iter()));
    let rule = mock!(Client::list_work_groups).then_compute_output(move |_| pages.lock().unwrap().next().unwrap());
    let client = mock_client!(aws_sdk_athena, RuleMode::MatchAny, [&rule]);
    let names = workgroups(&client).await.unwrap();
    let expected = [("a", true), ("b", false), ("c", true)].map(|(name, enabled)| (name.to_owned(), enabled));
    assert_eq!(names, expected.into());
}

#[tokio::test]
async fn a_list_without_end_is_an_error() {
    let rule = mock!(Client::list_work_groups)
        .then_compute_output(|_| ListWorkGroupsOutput::builder().next_token("again").build());
    let client = mock_client!(aws_sdk_athena, RuleMode::MatchAny, [&rule]);
    let failure = workgroups(&client).await.unwrap_err();
    assert_eq!((failure.code.as_str(), rule.num_calls()), ("EndlessList", 40));
}

#[tokio::test]
async fn absent_settings_mean_off() {
    let now = at("2026-03-01T14:05:00Z");
    let configured = |configuration: Option<WorkGroupConfiguration>| async move {
        let rule = mock!(Client::get_work_group).then_output(move || {
            let group = WorkGroup::builder().name("a").set_configuration(configuration.clone()).build();
            GetWorkGroupOutput::builder().work_group(group.unwrap()).build()
        });
        settings(&mock_client!(aws_sdk_athena, [&rule]), "a", now).await.unwrap()
    };
    assert!(!configured(None).await.publishes_metrics);
    assert!(!configured(Some(WorkGroupConfiguration::builder().build())).await.publishes_metrics);
    let on = WorkGroupConfiguration::builder()
        .publish_cloud_watch_metrics_enabled(true)
        .bytes_scanned_cutoff_per_query(50_000_000_000)
        .build();
    let on = configured(Some(on)).await;
    assert!(on.publishes_metrics);
    assert_eq!(on.per_query_cutoff, Some(Bytes::new(50_000_000_000)));
}
