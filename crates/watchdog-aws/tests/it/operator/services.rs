//! The other services, one after the other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use aws_sdk_cloudformation::operation::describe_stacks::DescribeStacksOutput;
use aws_sdk_cloudformation::operation::list_stack_resources::ListStackResourcesOutput;
use aws_sdk_cloudformation::types::{ResourceStatus, StackResourceSummary, StackStatus};
use aws_sdk_cloudwatch::operation::describe_alarms::DescribeAlarmsOutput;
use aws_sdk_cloudwatch::operation::get_metric_data::GetMetricDataOutput;
use aws_sdk_cloudwatch::types::{
    ComparisonOperator, Dimension, MetricAlarm, MetricDataResult, Statistic, StatusCode as MetricStatus,
};
use aws_sdk_dynamodb::operation::describe_time_to_live::DescribeTimeToLiveOutput;
use aws_sdk_dynamodb::types::{TimeToLiveDescription, TimeToLiveStatus};
use aws_sdk_scheduler::operation::get_schedule::GetScheduleOutput;
use aws_sdk_scheduler::types::{ScheduleState, Target};
use aws_sdk_ses::operation::get_identity_verification_attributes::GetIdentityVerificationAttributesOutput;
use aws_sdk_ses::operation::get_send_quota::GetSendQuotaOutput;
use aws_sdk_ses::types::{IdentityVerificationAttributes, VerificationStatus};
use aws_sdk_sns::operation::list_subscriptions_by_topic::ListSubscriptionsByTopicOutput;
use aws_sdk_sns::types::Subscription;
use aws_smithy_mocks::{RuleMode, mock, mock_client};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use watchdog_aws::operator::{cloudformation, cloudwatch, dynamodb, scheduler, ses, sns};
use watchdog_core::checkup::{Function, Quota, TimeToLive, Verification};

/// An error as a service of the query protocol writes it.
fn xml_error(status: u16, code: &str, message: &str) -> HttpResponse {
    let body = format!("<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>");
    HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::from(body))
}

/// An error as a service of the JSON protocols writes it.
fn json_error(status: u16, code: &str) -> HttpResponse {
    let mut response = HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::from("{}"));
    response.headers_mut().insert("x-amzn-errortype", code.to_owned());
    response
}

/// Each answer once, the last one for ever.
fn in_turn<T: Clone + Send + Sync + 'static>(pages: Vec<T>) -> impl Fn() -> T + Send + Sync {
    let left = Arc::new(Mutex::new(pages));
    move || {
        let mut left = left.lock().unwrap();
        if left.len() > 1 { left.remove(0) } else { left[0].clone() }
    }
}

#[tokio::test]
async fn a_stacks_resources_over_pages_without_those_that_are_gone() {
    use aws_sdk_cloudformation::Client;
    let resource = |logical: &str, status| {
        StackResourceSummary::builder()
            .logical_resource_id(logical)
            .physical_resource_id(format!("prod-{logical}"))
            .resource_type("T")
            .resource_status(status)
            .last_updated_timestamp(aws_smithy_types::DateTime::from_secs(0))
            .build()
    };
    let page = |summaries, next: Option<&str>| {
        let page = ListStackResourcesOutput::builder().set_stack_resource_summaries(Some(summaries));
        page.set_next_token(next.map(str::to_owned)).build()
    };
    let next = in_turn(vec![
        page(vec![resource("Function", ResourceStatus::UpdateFailed)], Some("more")),
        page(
            vec![resource("Old", ResourceStatus::DeleteComplete), resource("Table", ResourceStatus::CreateComplete)],
            None,
        ),
    ]);
    let described = || {
        let stack = aws_sdk_cloudformation::types::Stack::builder().stack_name("prod");
        let stack = stack.creation_time(aws_smithy_types::DateTime::from_secs(0));
        let stack = stack.stack_status(StackStatus::UpdateRollbackComplete).build();
        mock!(Client::describe_stacks)
            .match_requests(|request| request.stack_name() == Some("prod"))
            .then_output(move || DescribeStacksOutput::builder().stacks(stack.clone()).build())
    };
    let exists = described();
    let rule = mock!(Client::list_stack_resources).then_compute_output(move |_| next());
    let client = mock_client!(aws_sdk_cloudformation, RuleMode::MatchAny, [&exists, &rule]);
    let stack = cloudformation::stack(&client, "prod").await.unwrap().unwrap();
    assert_eq!(stack.resources.keys().collect::<Vec<_>>(), ["Function", "Table"]);
    assert_eq!((stack.id("Function"), stack.id("Old")), (Some("prod-Function"), None));
    assert_eq!(stack.resources["Function"].status, "UPDATE_FAILED");
    assert_eq!(stack.status, "UPDATE_ROLLBACK_COMPLETE");

    let rule = mock!(Client::describe_stacks)
        .then_http_response(|| xml_error(400, "ValidationError", "Stack with id prod does not exist"));
    let client = mock_client!(aws_sdk_cloudformation, RuleMode::MatchAny, [&rule]);
    assert_eq!(cloudformation::stack(&client, "prod").await, Ok(None));
    let rule = mock!(Client::list_stack_resources).then_http_response(|| xml_error(403, "AccessDenied", "no"));
    let client = mock_client!(aws_sdk_cloudformation, RuleMode::MatchAny, [&exists, &rule]);
    assert!(cloudformation::stack(&client, "prod").await.unwrap_err().is_denied());
    let rule = mock!(Client::list_stack_resources).then_compute_output(move |_| page(vec![], Some("again")));
    let client = mock_client!(aws_sdk_cloudformation, RuleMode::MatchAny, [&exists, &rule]);
    assert_eq!(cloudformation::stack(&client, "prod").await.unwrap_err().code, "EndlessList");
}

#[tokio::test]
async fn alarms_over_pages_without_those_on_expressions() {
    use aws_sdk_cloudwatch::Client;
    let alarm = |name: &str, threshold: f64| {
        MetricAlarm::builder()
            .alarm_name(name)
            .namespace("AWS/Athena")
            .metric_name("ProcessedBytes")
            .dimensions(Dimension::builder().name("WorkGroup").value("w").build())
            .statistic(Statistic::Sum)
            .period(1800)
            .evaluation_periods(2)
            .threshold(threshold)
            .comparison_operator(ComparisonOperator::GreaterThanThreshold)
            .alarm_actions("arn:topic")
            .build()
    };
    let page = |alarms, next: Option<&str>| {
        DescribeAlarmsOutput::builder().set_metric_alarms(Some(alarms)).set_next_token(next.map(str::to_owned)).build()
    };
    let expression = MetricAlarm::builder().alarm_name("on an expression").build();
    let next =
        in_turn(vec![page(vec![alarm("a", 7e11), expression], Some("more")), page(vec![alarm("b", f64::NAN)], None)]);
    let rule = mock!(Client::describe_alarms).then_compute_output(move |_| next());
    let client = mock_client!(aws_sdk_cloudwatch, RuleMode::MatchAny, [&rule]);
    let alarms = cloudwatch::alarms(&client).await.unwrap();
    let shown: Vec<_> = alarms.iter().map(|a| (a.name.as_str(), a.seconds, a.threshold, a.actions_enabled)).collect();
    assert_eq!(shown, [("a", 3600, Some(700_000_000_000), true), ("b", 3600, None, true)]);
    assert_eq!(alarms[0].periods, 2);
    assert_eq!((alarms[0].statistic.as_str(), alarms[0].comparison.as_str()), ("Sum", "GreaterThanThreshold"));
}

#[tokio::test]
async fn a_schedule_and_a_table_that_do_not_exist() {
    let rule = mock!(aws_sdk_scheduler::Client::get_schedule)
        .then_http_response(|| json_error(404, "ResourceNotFoundException"));
    let client = mock_client!(aws_sdk_scheduler, RuleMode::MatchAny, [&rule]);
    assert_eq!(scheduler::schedule(&client, "s").await, Ok(None));
    let rule =
        mock!(aws_sdk_scheduler::Client::get_schedule).then_http_response(|| json_error(403, "AccessDeniedException"));
    let client = mock_client!(aws_sdk_scheduler, RuleMode::MatchAny, [&rule]);
    assert!(scheduler::schedule(&client, "s").await.unwrap_err().is_denied());
    let rule = mock!(aws_sdk_dynamodb::Client::describe_table)
        .then_http_response(|| json_error(400, "ResourceNotFoundException"));
    let client = mock_client!(aws_sdk_dynamodb, RuleMode::MatchAny, [&rule]);
    assert_eq!(dynamodb::table(&client, "t").await, Ok(None));
}

#[tokio::test]
async fn a_schedule_that_is_disabled_and_one_that_is_not() {
    for (state, enabled) in [(Some(ScheduleState::Disabled), false), (Some(ScheduleState::Enabled), true), (None, true)]
    {
        let rule = mock!(aws_sdk_scheduler::Client::get_schedule).then_output(move || {
            let target = Target::builder().arn("arn:function").role_arn("arn:role").build().unwrap();
            let answer = GetScheduleOutput::builder().schedule_expression("rate(5 minutes)").target(target);
            answer.set_state(state.clone()).build()
        });
        let client = mock_client!(aws_sdk_scheduler, RuleMode::MatchAny, [&rule]);
        let schedule = scheduler::schedule(&client, "s").await.unwrap().unwrap();
        assert_eq!((schedule.enabled, schedule.target.as_str()), (enabled, "arn:function"));
    }
}

#[tokio::test]
async fn no_datapoint_of_the_function_is_zero_and_half_an_answer_is_none() {
    let result = |id: &str, status, values: &[f64]| {
        MetricDataResult::builder().id(id).status_code(status).set_values(Some(values.to_vec())).build()
    };
    let fared = |throttles: MetricStatus| async move {
        let rule = mock!(aws_sdk_cloudwatch::Client::get_metric_data).then_output(move || {
            GetMetricDataOutput::builder()
                .metric_data_results(result("errors", MetricStatus::Complete, &[]))
                .metric_data_results(result("throttles", throttles.clone(), &[2.0]))
                .metric_data_results(result("invocations", MetricStatus::Complete, &[1.0, 4.0]))
                .build()
        });
        let client = mock_client!(aws_sdk_cloudwatch, RuleMode::MatchAny, [&rule]);
        cloudwatch::function(&client, "f", crate::at("2026-03-01T14:05:00Z")).await
    };
    let expected = Function { name: "f".to_owned(), invocations: 5, errors: 0, throttles: 2 };
    assert_eq!(fared(MetricStatus::Complete).await, Ok(expected));
    assert_eq!(fared(MetricStatus::PartialData).await.unwrap_err().code, "PartialAnswer");
}

#[tokio::test]
async fn time_to_live_that_is_on_its_way() {
    for (status, enabled) in [(TimeToLiveStatus::Enabling, true), (TimeToLiveStatus::Disabling, false)] {
        let rule = mock!(aws_sdk_dynamodb::Client::describe_time_to_live).then_output(move || {
            let said =
                TimeToLiveDescription::builder().time_to_live_status(status.clone()).attribute_name("expires_at");
            DescribeTimeToLiveOutput::builder().time_to_live_description(said.build()).build()
        });
        let client = mock_client!(aws_sdk_dynamodb, RuleMode::MatchAny, [&rule]);
        let expected = TimeToLive { enabled, attribute: Some("expires_at".to_owned()) };
        assert_eq!(dynamodb::time_to_live(&client, "t").await, Ok(expected));
    }
}

#[tokio::test]
async fn identities_are_asked_a_hundred_at_a_time_and_the_unknown_are_left_out() {
    let rule = mock!(aws_sdk_ses::Client::get_identity_verification_attributes).then_compute_output(|input| {
        assert!(input.identities().len() <= 100);
        let mut known = HashMap::new();
        for identity in input.identities() {
            let status = match identity.as_str() {
                "verified@example.com" => VerificationStatus::Success,
                "pending@example.com" => VerificationStatus::Pending,
                "failed@example.com" => VerificationStatus::Failed,
                "started@example.com" => VerificationStatus::NotStarted,
                _ => continue,
            };
            let attributes = IdentityVerificationAttributes::builder().verification_status(status).build().unwrap();
            known.insert(identity.clone(), attributes);
        }
        GetIdentityVerificationAttributesOutput::builder().set_verification_attributes(Some(known)).build().unwrap()
    });
    let client = mock_client!(aws_sdk_ses, RuleMode::MatchAny, [&rule]);
    let mut asked: Vec<String> = (0..150).map(|n| format!("n{n}.example.org")).collect();
    asked.extend(["verified", "pending", "failed", "started"].map(|name| format!("{name}@example.com")));
    let known = ses::identities(&client, &asked).await.unwrap();
    assert_eq!(rule.num_calls(), 2);
    let expected = [
        ("failed@example.com", Verification::Failed),
        ("pending@example.com", Verification::Pending),
        ("verified@example.com", Verification::Verified),
    ];
    assert_eq!(known, expected.map(|(name, verification)| (name.to_owned(), verification)).into());
}

#[tokio::test]
async fn minus_one_mail_a_day_is_no_bound() {
    for (max, per_day) in [(200.0, Some(200)), (-1.0, None)] {
        let rule = mock!(aws_sdk_ses::Client::get_send_quota).then_output(move || {
            GetSendQuotaOutput::builder().max24_hour_send(max).max_send_rate(1.0).sent_last24_hours(3.0).build()
        });
        let client = mock_client!(aws_sdk_ses, RuleMode::MatchAny, [&rule]);
        assert_eq!(ses::quota(&client).await, Ok(Quota { per_day, per_second: 1, sent: 3 }));
    }
}

#[tokio::test]
async fn subscriptions_over_pages_and_those_that_wait() {
    let subscription =
        |arn: &str| Subscription::builder().subscription_arn(arn).protocol("email").endpoint("a@example.com").build();
    let page = |one, next: Option<&str>| {
        let page = ListSubscriptionsByTopicOutput::builder().subscriptions(one);
        page.set_next_token(next.map(str::to_owned)).build()
    };
    let next = in_turn(vec![
        page(subscription("PendingConfirmation"), Some("more")),
        page(subscription("arn:aws:sns:eu-central-1:111122223333:t:1"), None),
    ]);
    let rule = mock!(aws_sdk_sns::Client::list_subscriptions_by_topic).then_compute_output(move |_| next());
    let client = mock_client!(aws_sdk_sns, RuleMode::MatchAny, [&rule]);
    let found = sns::subscriptions(&client, "arn:t").await.unwrap().unwrap();
    assert_eq!(found.iter().map(|s| s.confirmed).collect::<Vec<_>>(), [false, true]);
    let rule = mock!(aws_sdk_sns::Client::list_subscriptions_by_topic)
        .then_http_response(|| xml_error(404, "NotFound", "Topic does not exist"));
    let client = mock_client!(aws_sdk_sns, RuleMode::MatchAny, [&rule]);
    assert_eq!(sns::subscriptions(&client, "arn:t").await, Ok(None));
    let rule = mock!(aws_sdk_sns::Client::list_subscriptions_by_topic)
        .then_http_response(|| xml_error(403, "AuthorizationError", "no"));
    let client = mock_client!(aws_sdk_sns, RuleMode::MatchAny, [&rule]);
    assert!(sns::subscriptions(&client, "arn:t").await.unwrap_err().is_denied());
}
