//! The checkup of an installation on the local AWS: healthy, and broken in each way that the local AWS can show.

use std::collections::BTreeSet;

use aws_sdk_athena::types::{ResultConfiguration, WorkGroupConfigurationUpdates};
use aws_sdk_cloudformation::types::Capability;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, MetricDatum};
use aws_sdk_dynamodb::types::TimeToLiveSpecification;
use aws_sdk_scheduler::types::{FlexibleTimeWindow, FlexibleTimeWindowMode, ScheduleState, Target};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use watchdog_aws::dynamodb::Table;
use watchdog_aws::gather::PolicySource;
use watchdog_aws::operator::cloudformation;
use watchdog_aws::operator::permissions::{Command, Scope};
use watchdog_aws::operator::{Operator, survey};
use watchdog_aws::pass::{self, Settings};
use watchdog_core::catalogue::Catalogue;
use watchdog_core::checkup::{Checkup, Outcome, Severity, checkup};
use watchdog_core::event::{Invocation, Source, Tick, Timing};
use watchdog_tests::{Account, SENDER};

const STACK: &str = "doctor";
const PATH: &str = "/athena-quota-watchdog/doctor/policy";

const POLICY: &str = r#"
[mail]
sender = "watchdog@example.com"
admins = ["ann@example.com"]
allowed_domains = ["example.com"]
[[workgroup]]
name = "exploratory"
per_query_cutoff = "50 GB"
[[workgroup.limit]]
window = "1h"
limit = "700 GB"
[[workgroup]]
name = "primary"
[[workgroup.limit]]
window = "24h"
limit = "1 TB"
"#;

/// The parts of the stack's template that a checkup looks at, by the same logical ids.
fn template() -> Value {
    let function = json!({ "Fn::GetAtt": ["Function", "Arn"] });
    let role = |service: &str| {
        json!({ "Type": "AWS::IAM::Role", "Properties": { "AssumeRolePolicyDocument": { "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Principal": { "Service": service }, "Action": "sts:AssumeRole" }] } } })
    };
    let limit_alarm = |workgroup: &str, period: u32, threshold: u64| {
        json!({ "Type": "AWS::CloudWatch::Alarm", "Properties": {
            "Namespace": "AWS/Athena", "MetricName": "ProcessedBytes", "Dimensions": [{ "Name": "WorkGroup", "Value": workgroup }],
            "Statistic": "Sum", "Period": period, "EvaluationPeriods": 1, "Threshold": threshold,
            "ComparisonOperator": "GreaterThanOrEqualToThreshold", "AlarmActions": [{ "Ref": "AlarmTopic" }] } })
    };
    json!({ "Resources": {
        "Function": { "Type": "AWS::Lambda::Function", "Properties": {
            "Runtime": "python3.12", "Handler": "index.handler", "Role": { "Fn::GetAtt": ["FunctionRole", "Arn"] },
            "Code": { "ZipFile": "def handler(event, context): return None" },
            "Environment": { "Variables": { "POLICY_PATH": PATH, "STATE_TABLE": { "Ref": "StateTable" } } } } },
        "FunctionRole": role("lambda.amazonaws.com"),
        "FunctionRunRole": role("scheduler.amazonaws.com"),
        "FunctionRun": { "Type": "AWS::Scheduler::Schedule", "Properties": {
            "ScheduleExpression": "rate(5 minutes)", "FlexibleTimeWindow": { "Mode": "OFF" },
            "Target": { "Arn": function, "RoleArn": { "Fn::GetAtt": ["FunctionRunRole", "Arn"] } } } },
        "StateTable": { "Type": "AWS::DynamoDB::Table", "Properties": {
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{ "AttributeName": "pk", "AttributeType": "S" }, { "AttributeName": "sk", "AttributeType": "S" }],
            "KeySchema": [{ "AttributeName": "pk", "KeyType": "HASH" }, { "AttributeName": "sk", "KeyType": "RANGE" }],
            "TimeToLiveSpecification": { "AttributeName": "expires_at", "Enabled": true } } },
        "DefaultPolicy": { "Type": "AWS::SSM::Parameter", "Properties": {
            "Name": format!("{PATH}/00-stack"), "Type": "String", "Value": POLICY } },
        "AlarmTopic": { "Type": "AWS::SNS::Topic", "Properties": {} },
        "OnCall": { "Type": "AWS::SQS::Queue", "Properties": {} },
        "AlarmSubscription": { "Type": "AWS::SNS::Subscription", "Properties": {
            "TopicArn": { "Ref": "AlarmTopic" }, "Protocol": "sqs", "Endpoint": { "Fn::GetAtt": ["OnCall", "Arn"] } } },
        "SilenceAlarm": { "Type": "AWS::CloudWatch::Alarm", "Properties": {
            "Namespace": "AthenaQuotaWatchdog", "MetricName": "CompletedRuns",
            "Dimensions": [{ "Name": "FunctionName", "Value": { "Ref": "Function" } }], "Statistic": "Sum", "Period": 900,
            "EvaluationPeriods": 1, "Threshold": 1, "ComparisonOperator": "LessThanThreshold",
            "AlarmActions": [{ "Ref": "AlarmTopic" }] } },
        "ExploratoryLimitAlarm": limit_alarm("exploratory", 3600, 700_000_000_000),
        "PrimaryLimitAlarm": limit_alarm("primary", 86_400, 1_000_000_000_000),
        "ExploratoryPolicy": managed("exploratory"),
        "AdHocPolicy": managed("ad-hoc"),
        "ConfinementPolicy": { "Type": "AWS::IAM::ManagedPolicy", "Properties": { "PolicyDocument": {
            "Version": "2012-10-17", "Statement": [{
                "Effect": "Deny", "Action": "athena:StartQueryExecution",
                "NotResource": "arn:aws:athena:*:*:workgroup/nobodys" }] } } },
    } })
}

fn managed(workgroup: &str) -> Value {
    json!({ "Type": "AWS::IAM::ManagedPolicy", "Properties": { "PolicyDocument": { "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "athena:StartQueryExecution", "Resource": format!("arn:aws:athena:*:*:workgroup/{workgroup}") }] } } })
}

/// An account with a healthy installation in it, and a run that has just been completed.
struct Installation {
    account: Account,
    operator: Operator,
}

impl Installation {
    async fn new(test: &str) -> Self {
        let account = Account::new(test).await;
        let operator = Operator::new(&account.config);
        let create = operator.cloudformation.create_stack().stack_name(STACK).template_body(template().to_string());
        create.capabilities(Capability::CapabilityIam).send().await.unwrap();
        let installation = Self { account, operator };
        for attempt in 0.. {
            let resources = installation.operator.cloudformation.list_stack_resources().stack_name(STACK).send().await;
            let done = resources
                .unwrap()
                .stack_resource_summaries()
                .iter()
                .filter(|r| r.resource_status().is_some_and(|status| status.as_str() == "CREATE_COMPLETE"))
                .count();
            if done == template()["Resources"].as_object().unwrap().len() {
                break;
            }
            assert!(attempt < 100, "the stack is not complete: {done} resources");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        // The local CloudFormation leaves this out of a table.
        let on = TimeToLiveSpecification::builder().enabled(true).attribute_name("expires_at").build().unwrap();
        let update = installation.account.clients.dynamodb.update_time_to_live();
        let table = installation.id("StateTable").await;
        update.table_name(table).time_to_live_specification(on).send().await.unwrap();
        installation.account.workgroup("exploratory", true).await;
        installation
            .configure("exploratory", |updates| {
                updates.enforce_work_group_configuration(true).bytes_scanned_cutoff_per_query(50_000_000_000)
            })
            .await;
        installation
            .configure("primary", |updates| {
                updates.enforce_work_group_configuration(true).publish_cloud_watch_metrics_enabled(true)
            })
            .await;
        installation.account.use_bytes("exploratory", Timestamp::now() - SignedDuration::from_mins(7), 1e9).await;
        installation.account.use_bytes("primary", Timestamp::now() - SignedDuration::from_mins(7), 1e9).await;
        installation.run().await;
        installation
    }

    async fn configure(
        &self,
        workgroup: &str,
        change: impl FnOnce(
            aws_sdk_athena::types::builders::WorkGroupConfigurationUpdatesBuilder,
        ) -> aws_sdk_athena::types::builders::WorkGroupConfigurationUpdatesBuilder,
    ) {
        let updates = change(WorkGroupConfigurationUpdates::builder()).build();
        let update = self.account.clients.athena.update_work_group().work_group(workgroup);
        update.configuration_updates(updates).send().await.unwrap();
    }

    async fn id(&self, logical: &str) -> String {
        let resource = self.operator.cloudformation.describe_stack_resource().stack_name(STACK);
        let answer = resource.logical_resource_id(logical).send().await.unwrap();
        answer.stack_resource_detail().unwrap().physical_resource_id().unwrap().to_owned()
    }

    fn settings(&self, table: Option<String>) -> Settings {
        Settings {
            policy: PolicySource::Parameters(PATH.to_owned()),
            table,
            run_id: "run".to_owned(),
            name: STACK.to_owned(),
            feed: false,
            deadline: Timestamp::now() + SignedDuration::from_mins(5),
        }
    }

    async fn run(&self) {
        let settings = self.settings(Some(self.id("StateTable").await));
        let now = Timestamp::now();
        let invocation = Invocation { dry_run: false, source: Source::Scheduler, time: Some(now) };
        let mut catalogue = Catalogue::default();
        pass::run(&self.account.clients, &settings, &mut catalogue, &invocation, now).await.unwrap();
    }

    async fn checkup(&self) -> Checkup {
        checkup(&survey(&self.operator, STACK, None, Timestamp::now()).await.unwrap())
    }

    /// The findings that are no notes, by check; what the local AWS cannot answer is left out.
    async fn findings(&self) -> Vec<String> {
        let checkup = self.checkup().await;
        let found = checkup.checks.iter().flat_map(|check| {
            let faults = check.findings.iter().filter(|finding| finding.severity != Severity::Note);
            let faults = faults.map(|finding| format!("{}: {}", check.id, finding.what));
            let blind = check.blind.iter().filter(|_| check.id != UNKNOWN_HERE);
            faults.chain(blind.map(|blind| format!("{}: {blind}", check.id)))
        });
        found.collect()
    }

    #[track_caller]
    fn assert_only(found: &[String], expected: &[&str]) {
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found}\nand not\n{expected}");
        }
    }
}

/// The local AWS has no `GetAccountSendingEnabled`.
const UNKNOWN_HERE: &str = "sending";

#[tokio::test]
async fn a_healthy_installation_is_fine() {
    let installation = Installation::new("doctor: healthy").await;
    let checkup = installation.checkup().await;
    for check in &checkup.checks {
        let expected = if check.id == UNKNOWN_HERE { Outcome::Unknown } else { Outcome::Fine };
        assert_eq!(check.outcome(), expected, "{check:#?}");
    }
}

/// What the tool says that it needs is what it asks, no more and no less.
#[tokio::test]
async fn every_permission_is_used_and_no_call_lacks_one() {
    let installation = Installation::new("doctor: permissions").await;
    installation.user("dan", "athena:*").await;
    let scope = Scope { region: "eu-central-1".to_owned(), stack: STACK.to_owned() };
    let lower = |action: String| {
        let (service, operation) = action.split_once(':').unwrap();
        format!("{}:{operation}", service.to_ascii_lowercase())
    };
    let needed = |command: Command| -> BTreeSet<String> {
        command.statements(&scope).into_iter().flat_map(|statement| statement.actions).map(lower).collect()
    };
    let calls = &installation.account.clients.calls;
    let called = || -> BTreeSet<String> { installation.operator.clients.calls.take().into_keys().map(lower).collect() };

    called();
    installation.checkup().await;
    let mut doctor = called();
    assert!(doctor.remove("sts:GetCallerIdentity"), "{doctor:?}");
    assert_eq!(doctor, needed(Command::Doctor));

    // A seventh of the limit, and a query: then it is also asked what runs.
    let (account, now) = (&installation.account, Timestamp::now());
    account.use_bytes("exploratory", now - SignedDuration::from_mins(10), 100e9).await;
    let place = ResultConfiguration::builder().output_location("s3://results/").build();
    let start = account.clients.athena.start_query_execution().work_group("exploratory").query_string("SELECT 1");
    start.result_configuration(place).send().await.unwrap();
    // And something is active: then the quota is asked for, and its default only where it was never raised.
    account.active_queries("DML", now - SignedDuration::from_mins(2), 1.0).await;
    let clients = &account.clients;
    calls.take();
    let tick = Tick { at: now, timing: Timing::Now };
    pass::look(clients, &installation.settings(None), tick, now).await.unwrap();
    // And what the stack's table remembers of alerts, grants and silences.
    let resources = cloudformation::resources(&installation.operator.cloudformation, STACK).await.unwrap().unwrap();
    let table = Table { client: clients.dynamodb.clone(), name: resources["StateTable"].id.clone() };
    table.ledger().await.unwrap();
    let mut asked: BTreeSet<String> = calls.take().into_keys().map(lower).collect();
    asked.extend(called());
    let mut status = needed(Command::Status);
    assert!(status.remove("servicequotas:GetAWSDefaultServiceQuota"), "{status:?}");
    assert_eq!(asked, status);

    let invocation = Invocation { dry_run: true, source: Source::Person, time: None };
    let settings = installation.settings(Some(installation.id("StateTable").await));
    pass::run(clients, &settings, &mut Catalogue::default(), &invocation, now).await.unwrap();
    let report = calls.take();
    let run: BTreeSet<String> = report.into_keys().map(lower).collect();
    assert!(run.is_subset(&needed(Command::Run)), "{run:?}");
}

#[tokio::test]
async fn broken_workgroups_and_alarms_are_found() {
    let it = Installation::new("doctor: workgroups").await;
    it.configure("exploratory", |updates| {
        let updates = updates.publish_cloud_watch_metrics_enabled(false).enforce_work_group_configuration(false);
        updates.bytes_scanned_cutoff_per_query(60_000_000_000)
    })
    .await;
    it.account.workgroup("unwatched", true).await;
    it.user("dan", "athena:*").await;
    let alarms = it.operator.clients.cloudwatch.clone();
    alarms.delete_alarms().alarm_names(it.id("SilenceAlarm").await).send().await.unwrap();
    alarms.disable_alarm_actions().alarm_names(it.id("PrimaryLimitAlarm").await).send().await.unwrap();
    it.policy(&POLICY.replace("700 GB", "800 GB")).await;
    Installation::assert_only(
        &it.findings().await,
        &[
            "metrics: workgroup `exploratory` publishes no metrics",
            "enforced settings: workgroup `exploratory` does not enforce its settings",
            "cutoffs: workgroup `exploratory` cuts a query off at 60 GB (60,000,000,000 bytes), and the policy says 50 GB",
            "watched: workgroup `unwatched` is covered by no rule",
            "limit alarms: alarm `",
            "limit alarms: the actions of alarm `",
            "stack alarms: the stack's alarm `SilenceAlarm` does not exist",
            "confinement: user `dan` can use any workgroup",
        ],
    );
    it.account.clients.athena.delete_work_group().work_group("exploratory").send().await.unwrap();
    let found = it.findings().await;
    assert!(found.contains(&"workgroups: workgroup `exploratory` does not exist".to_owned()), "{found:#?}");
}

#[tokio::test]
async fn people_who_can_use_any_workgroup_are_found_and_the_remedy_mends_it() {
    let it = Installation::new("doctor: people").await;
    let iam = &it.operator.iam;
    it.user("dan", "athena:*").await;
    it.user("sue", "s3:*").await;
    iam.create_user().user_name("two").send().await.unwrap();
    for policy in ["ExploratoryPolicy", "AdHocPolicy"] {
        iam.attach_user_policy().user_name("two").policy_arn(it.id(policy).await).send().await.unwrap();
    }
    let two =
        "several policies: user `two` holds the policies of `ad-hoc`, `exploratory` without the tags that name them";
    Installation::assert_only(&it.findings().await, &["confinement: user `dan` can use any workgroup", two]);
    iam.attach_user_policy().user_name("dan").policy_arn(it.id("ConfinementPolicy").await).send().await.unwrap();
    for (key, value) in [("athena-workgroup-1", "ad-hoc"), ("athena-workgroup-2", "exploratory")] {
        let tag = aws_sdk_iam::types::Tag::builder().key(key).value(value).build().unwrap();
        iam.tag_user().user_name("two").tags(tag).send().await.unwrap();
    }
    Installation::assert_only(&it.findings().await, &[]);
}

#[tokio::test]
async fn a_broken_machinery_is_found() {
    let it = Installation::new("doctor: machinery").await;
    let scheduler = &it.operator.scheduler;
    let name = it.id("FunctionRun").await;
    let schedule = scheduler.get_schedule().name(&name).send().await.unwrap();
    let target = schedule.target().unwrap();
    let window = FlexibleTimeWindow::builder().mode(FlexibleTimeWindowMode::Off).build().unwrap();
    let update =
        scheduler.update_schedule().name(&name).schedule_expression("rate(5 minutes)").flexible_time_window(window);
    let target = Target::builder().arn(target.arn()).role_arn(target.role_arn()).build().unwrap();
    update.target(target).state(ScheduleState::Disabled).send().await.unwrap();
    let function = it.id("Function").await;
    // As Lambda counts what a reserved concurrency of 0 refuses.
    let dimension = Dimension::builder().name("FunctionName").value(&function).build();
    let refused = MetricDatum::builder().metric_name("Throttles").dimensions(dimension).value(3.0);
    let refused = refused.timestamp(DateTime::from_secs(Timestamp::now().as_second() - 600)).build();
    let put = it.account.clients.cloudwatch.put_metric_data().namespace("AWS/Lambda");
    put.metric_data(refused).send().await.unwrap();
    let table = it.id("StateTable").await;
    let off = TimeToLiveSpecification::builder().enabled(false).attribute_name("expires_at").build().unwrap();
    let dynamodb = &it.account.clients.dynamodb;
    dynamodb.update_time_to_live().table_name(&table).time_to_live_specification(off).send().await.unwrap();
    let topic = it.id("AlarmTopic").await;
    let subscriptions = it.operator.sns.list_subscriptions_by_topic().topic_arn(&topic).send().await.unwrap();
    for subscription in subscriptions.subscriptions() {
        it.operator.sns.unsubscribe().subscription_arn(subscription.subscription_arn().unwrap()).send().await.unwrap();
    }
    it.account.unverify(SENDER).await;
    Installation::assert_only(
        &it.findings().await,
        &[
            "alarm topic: nobody has confirmed a subscription to the alarm topic",
            "schedule: the schedule `",
            "function: Lambda refused 3 invocations of `",
            "table TTL: TTL is off on the state table `",
            "sender: the sender `watchdog@example.com`",
        ],
    );
    // Half an hour later, and nobody has run.
    let later = Timestamp::now() + SignedDuration::from_mins(30);
    let mut state = survey(&it.operator, STACK, None, later).await.unwrap();
    state.clock = Some(SignedDuration::ZERO);
    let late = checkup(&state);
    let last_run = late.checks.iter().find(|check| check.id == "last run").unwrap();
    assert_eq!(last_run.outcome(), Outcome::Critical, "{last_run:#?}");

    scheduler.delete_schedule().name(&name).send().await.unwrap();
    dynamodb.delete_table().table_name(&table).send().await.unwrap();
    it.operator.sns.delete_topic().topic_arn(&topic).send().await.unwrap();
    let found = it.findings().await;
    for expected in [
        "schedule: the schedule does not exist".to_owned(),
        format!("state table: the state table `{table}` does not exist"),
        format!("alarm topic: the alarm topic `{topic}` does not exist"),
    ] {
        assert!(found.contains(&expected), "{expected}\n{found:#?}");
    }
}

#[tokio::test]
async fn a_broken_policy_is_found_and_the_older_one_stays_the_measure() {
    let it = Installation::new("doctor: policy").await;
    it.policy("nonsense").await;
    let found = it.findings().await;
    assert!(found[0].starts_with("policy: the policy has 1 problem; the first: 00-stack:1:"), "{found:#?}");
    Installation::assert_only(&found, &["policy: "]);
    it.account.clients.ssm.delete_parameter().name(format!("{PATH}/00-stack")).send().await.unwrap();
    Installation::assert_only(&it.findings().await, &["policy: there is no policy: no parameter below `"]);
}

#[tokio::test]
async fn a_stack_that_is_not_there_is_said_so() {
    let account = Account::new("doctor: no stack").await;
    let operator = Operator::new(&account.config);
    let checkup = checkup(&survey(&operator, STACK, None, Timestamp::now()).await.unwrap());
    assert_eq!(checkup.checks[0].findings[0].what, "there is no stack `doctor` in eu-central-1");
    assert_eq!(checkup.outcome(), Outcome::Unknown);
}

impl Installation {
    async fn policy(&self, text: &str) {
        let put = self.account.clients.ssm.put_parameter().name(format!("{PATH}/00-stack")).value(text).overwrite(true);
        put.r#type(aws_sdk_ssm::types::ParameterType::String).send().await.unwrap();
    }

    /// A user who may do this with everything.
    async fn user(&self, name: &str, action: &str) {
        let document = json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Action": action, "Resource": "*" }] });
        let iam = &self.operator.iam;
        iam.create_user().user_name(name).send().await.unwrap();
        let put = iam.put_user_policy().user_name(name).policy_name("inline").policy_document(document.to_string());
        put.send().await.unwrap();
    }
}
