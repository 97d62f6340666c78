//! A small AWS account of a test's own, on the local AWS: workgroups, use, a policy, a table, and runs at chosen times.
//!
//! The local AWS keeps accounts apart by the access key id, so each test takes an account number of its own and all of them may run
//! at once.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_athena::types::{WorkGroupConfiguration, WorkGroupConfigurationUpdates, WorkGroupState};
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, MetricDatum};
use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};
use aws_sdk_ssm::config::{Credentials, Region};
use jiff::{SignedDuration, Timestamp};
use watchdog_aws::clients::{self, Clients};
use watchdog_aws::gather::PolicySource;
use watchdog_aws::pass::{self, RunError, Settings};
use watchdog_core::catalogue::Catalogue;
use watchdog_core::event::{Invocation, Source};
use watchdog_core::mail::Mail;
use watchdog_core::report::RunReport;

/// Where the policy of a test's account is.
pub const POLICY_PATH: &str = "/watchdog/test/policy";
/// The state table of a test's account.
pub const TABLE: &str = "watchdog-state";
/// The sender that a new account has verified.
pub const SENDER: &str = "watchdog@example.com";

/// After which a run is cut off.
const LONGEST: SignedDuration = SignedDuration::from_mins(5);

/// An account with a watchdog in it.
pub struct Account {
    /// Clients of this account.
    pub clients: Clients,
    /// The configuration that they were built from.
    pub config: SdkConfig,
    /// Its number, which is also the access key id that leads to it.
    pub number: String,
    /// What the watchdog remembers between the runs of one warm process.
    pub catalogue: Catalogue,
    runs: u32,
}

impl Account {
    /// A new account, its number made of the test's name, with a table and a verified sender, and no policy.
    ///
    /// # Panics
    /// Where there is no local AWS: these tests are run by `make test`.
    pub async fn new(test: &str) -> Self {
        let endpoint =
            std::env::var("AWS_ENDPOINT_URL").expect("AWS_ENDPOINT_URL leads to the local AWS: run `make test`");
        assert!(
            endpoint.contains("127.0.0.1") || endpoint.contains("localhost"),
            "`{endpoint}` is not on this machine"
        );
        // FNV-1a: any spread will do, as long as the names of the tests do not meet.
        let hash =
            test.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        let number = format!("{:012}", 200_000_000_000 + hash % 700_000_000_000);
        let loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .credentials_provider(Credentials::new(number.clone(), "test", None, None, "test"))
            .region(Region::new("eu-central-1"))
            .endpoint_url(endpoint);
        let config = clients::config(loader).await;
        let clients = Clients::new(&config);
        let account = Self { clients, config, number, catalogue: Catalogue::default(), runs: 0 };
        account.create_table().await;
        account.verify(SENDER).await;
        account
    }

    async fn create_table(&self) {
        let attribute = |name: &str| {
            AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build().unwrap()
        };
        let key = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap();
        let created = self
            .clients
            .dynamodb
            .create_table()
            .table_name(TABLE)
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(attribute("pk"))
            .attribute_definitions(attribute("sk"))
            .key_schema(key("pk", KeyType::Hash))
            .key_schema(key("sk", KeyType::Range))
            .send()
            .await;
        created.unwrap();
    }

    /// Verifies an address in SES.
    pub async fn verify(&self, address: &str) {
        self.clients.ses.verify_email_identity().email_address(address).send().await.unwrap();
    }

    /// Takes an address's verification back.
    pub async fn unverify(&self, address: &str) {
        self.clients.ses.delete_identity().identity(address).send().await.unwrap();
    }

    /// Stores one document of the policy.
    pub async fn policy(&self, name: &str, text: &str) {
        let put = self.clients.ssm.put_parameter().name(format!("{POLICY_PATH}/{name}")).value(text);
        put.r#type(aws_sdk_ssm::types::ParameterType::String).overwrite(true).send().await.unwrap();
    }

    /// Creates a workgroup.
    pub async fn workgroup(&self, name: &str, publishes_metrics: bool) {
        let configuration =
            WorkGroupConfiguration::builder().publish_cloud_watch_metrics_enabled(publishes_metrics).build();
        let create = self.clients.athena.create_work_group().name(name).configuration(configuration);
        create.send().await.unwrap();
    }

    /// Switches a workgroup's metrics on or off.
    pub async fn metrics(&self, name: &str, on: bool) {
        let updates = WorkGroupConfigurationUpdates::builder().publish_cloud_watch_metrics_enabled(on).build();
        self.clients.athena.update_work_group().work_group(name).configuration_updates(updates).send().await.unwrap();
    }

    /// Enables or disables a workgroup.
    pub async fn enabled(&self, name: &str, on: bool) {
        let state = if on { WorkGroupState::Enabled } else { WorkGroupState::Disabled };
        self.clients.athena.update_work_group().work_group(name).state(state).send().await.unwrap();
    }

    /// Publishes use as Athena does: by workgroup alone, and by state, type and workgroup.
    pub async fn use_bytes(&self, workgroup: &str, at: Timestamp, bytes: f64) {
        let dimension = |name: &str, value: &str| Dimension::builder().name(name).value(value).build();
        let alone = vec![dimension("WorkGroup", workgroup)];
        let mut split = alone.clone();
        split.extend([dimension("QueryState", "SUCCEEDED"), dimension("QueryType", "DML")]);
        let datum = |dimensions| {
            let datum = MetricDatum::builder().metric_name("ProcessedBytes").set_dimensions(Some(dimensions));
            datum.timestamp(DateTime::from_secs(at.as_second())).value(bytes).build()
        };
        let put = self.clients.cloudwatch.put_metric_data().namespace("AWS/Athena");
        put.metric_data(datum(alone)).metric_data(datum(split)).send().await.unwrap();
    }

    /// Publishes the most queries that were active at once, as AWS counts them for its quotas.
    pub async fn active_queries(&self, class: &str, at: Timestamp, most: f64) {
        let all = [("Service", "Athena"), ("Resource", "ActiveQueryCount"), ("Type", "Resource"), ("Class", class)];
        self.publish("AWS/Usage", "ResourceCount", &all, at, most).await;
    }

    /// Publishes how long a query had waited, as Athena does when it has ended.
    pub async fn waited(&self, workgroup: &str, at: Timestamp, millis: f64) {
        let all = [("QueryState", "SUCCEEDED"), ("QueryType", "DML"), ("WorkGroup", workgroup)];
        self.publish("AWS/Athena", "QueryQueueTime", &all, at, millis).await;
    }

    async fn publish(&self, namespace: &str, name: &str, dimensions: &[(&str, &str)], at: Timestamp, value: f64) {
        let dimension = |(name, value): &(&str, &str)| Dimension::builder().name(*name).value(*value).build();
        let datum = MetricDatum::builder().metric_name(name).timestamp(DateTime::from_secs(at.as_second()));
        let datum = datum.set_dimensions(Some(dimensions.iter().map(dimension).collect())).value(value).build();
        self.clients.cloudwatch.put_metric_data().namespace(namespace).metric_data(datum).send().await.unwrap();
    }

    /// One run of the schedule at `at`, by a clock that says the same.
    ///
    /// # Errors
    /// As [`pass::run`].
    pub async fn run_at(&mut self, at: Timestamp) -> Result<(RunReport, Vec<Mail>), RunError> {
        let invocation = Invocation { dry_run: false, source: Source::Scheduler, time: Some(at) };
        self.run(&invocation, at).await
    }

    /// One run for any invocation and clock.
    ///
    /// # Errors
    /// As [`pass::run`].
    pub async fn run(&mut self, invocation: &Invocation, now: Timestamp) -> Result<(RunReport, Vec<Mail>), RunError> {
        self.runs += 1;
        // A run is as long as it is in truth, whatever its clock says.
        let settings = Settings { deadline: now + LONGEST, ..self.settings(&format!("run-{}", self.runs)) };
        // The setting-up of the test is not the run's.
        self.clients.calls.take();
        pass::run(&self.clients, &settings, &mut self.catalogue, invocation, now).await
    }

    /// The settings of a run.
    pub fn settings(&self, run_id: &str) -> Settings {
        Settings {
            policy: PolicySource::Parameters(POLICY_PATH.to_owned()),
            table: Some(TABLE.to_owned()),
            run_id: run_id.to_owned(),
            name: "watchdog".to_owned(),
            feed: true,
            deadline: Timestamp::now() + LONGEST,
        }
    }
}

/// A report in a few lines: what a test looks at.
pub fn story(outcome: &Result<(RunReport, Vec<Mail>), RunError>) -> String {
    let (report, failure) = match outcome {
        Ok((report, _)) => (Some(report), None),
        Err(error) => (error.report.as_deref(), Some(error)),
    };
    let mut lines = Vec::new();
    if let Some(error) = failure {
        lines.push(format!("failed {}: {}", error.word, error.message));
    }
    if let Some(report) = report {
        lines.extend(report.skipped.iter().map(|why| format!("skipped: {why}")));
        lines.extend(report.limits.iter().map(|l| format!("{}/{} {}: {}", l.workgroup, l.window, l.level, l.reason)));
        // Most stories are about bytes: what is idle is left out.
        let queries = report.query_limits.iter().filter(|limit| limit.used != Some(0));
        lines.extend(queries.map(|l| {
            let of = l.workgroup.as_deref().or(l.class).unwrap_or_default();
            format!("{} {of} {}: {}", l.measure, l.level, l.reason)
        }));
        let mails = [("sent", &report.sent), ("would send", &report.would_send), ("owed", &report.failed)];
        for (what, mails) in mails {
            for mail in mails {
                let why = mail.why.iter().map(|w| format!("{} {} {}", w.alert, w.reason, w.level));
                lines.push(format!("{what} {}: {}", mail.to, why.collect::<Vec<_>>().join(", ")));
            }
        }
        lines.extend(report.warnings.iter().map(|warning| format!("warning: {warning}")));
    }
    lines.join("\n")
}
