//! The SDK clients: one configuration, one HTTP client and connection pool for all services, everything bounded.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_sdk_ssm::config::SharedCredentialsProvider;
use aws_sdk_ssm::config::retry::RetryConfig;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::{HttpClient, SharedHttpClient};
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};

use crate::pace::Paces;

/// A connection inside a Region takes milliseconds; two seconds mean that there is none.
const CONNECT: Duration = Duration::from_secs(2);
/// One try. CloudWatch's slowest answers (a full page of 100,800 datapoints) were seen to take about two seconds.
const ATTEMPT: Duration = Duration::from_secs(8);
/// All tries of one call, pauses included: a run has a minute, and several calls in a row to make.
const OPERATION: Duration = Duration::from_secs(20);
/// Tries of one call. With pauses of up to a second or two this outlasts the usual hiccup and not an outage, for which the
/// next run is the retry.
const ATTEMPTS: u32 = 4;

/// The services that the watchdog talks to.
#[derive(Debug, Clone)]
pub struct Clients {
    /// Workgroups.
    pub athena: aws_sdk_athena::Client,
    /// Who called what.
    pub cloudtrail: aws_sdk_cloudtrail::Client,
    /// Metrics.
    pub cloudwatch: aws_sdk_cloudwatch::Client,
    /// The state table.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// Users' tags.
    pub iam: aws_sdk_iam::Client,
    /// The account's quotas.
    pub servicequotas: aws_sdk_servicequotas::Client,
    /// Mail.
    pub ses: aws_sdk_ses::Client,
    /// The policy.
    pub ssm: aws_sdk_ssm::Client,
    /// The Region that all of them use.
    pub region: String,
    /// Counts the calls of all of them.
    pub calls: Calls,
    /// How often the slow ones may be called.
    pub paces: Paces,
}

impl Clients {
    /// Builds the clients from what Lambda sets in the environment of every function. Makes no call and reads no file.
    pub fn from_env() -> Self {
        Self::new(&environment())
    }

    /// Clients of a given configuration.
    pub fn new(config: &SdkConfig) -> Self {
        let calls = Calls::default();
        macro_rules! client {
            ($service:ident) => {
                $service::Client::from_conf($service::config::Builder::from(config).interceptor(calls.clone()).build())
            };
        }
        // SES has no idempotency: a second try after a lost answer is a second mail. `ses::send` retries what is safe.
        let ses = aws_sdk_ses::config::Builder::from(config).interceptor(calls.clone());
        let ses = aws_sdk_ses::Client::from_conf(ses.retry_config(RetryConfig::disabled()).build());
        Self {
            athena: client!(aws_sdk_athena),
            cloudtrail: client!(aws_sdk_cloudtrail),
            cloudwatch: client!(aws_sdk_cloudwatch),
            dynamodb: client!(aws_sdk_dynamodb),
            iam: client!(aws_sdk_iam),
            servicequotas: client!(aws_sdk_servicequotas),
            ses,
            ssm: client!(aws_sdk_ssm),
            region: config.region().map_or_else(String::new, ToString::to_string),
            calls,
            paces: Paces::default(),
        }
    }
}

/// The configuration of every client: one HTTP client and connection pool, everything bounded.
pub async fn config(loader: ConfigLoader) -> SdkConfig {
    bounded(loader, https()).await
}

/// [`config`] with an HTTP client of somebody else's.
pub async fn bounded(loader: ConfigLoader, http: impl HttpClient + 'static) -> SdkConfig {
    loader.http_client(http).timeout_config(timeouts()).retry_config(retries()).load().await
}

/// [`config`] for a function. Lambda puts credentials and Region into the environment, always and only there; so the chain that looks for
/// profiles, roles, containers and instances besides is left out, with the code for it: 0.4 MB.
fn environment() -> SdkConfig {
    let is_true = |name: &str| variable(name).map(|value| value.eq_ignore_ascii_case("true"));
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .credentials_provider(SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new()))
        .region(variable("AWS_REGION").map(Region::new))
        .http_client(https())
        .timeout_config(timeouts())
        .retry_config(retries())
        .service_config(Endpoints);
    config.set_endpoint_url(variable("AWS_ENDPOINT_URL"));
    config.set_use_fips(is_true("AWS_USE_FIPS_ENDPOINT"));
    config.set_use_dual_stack(is_true("AWS_USE_DUALSTACK_ENDPOINT"));
    config.build()
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// `AWS_ENDPOINT_URL_DYNAMODB` and the like, which count before `AWS_ENDPOINT_URL`.
#[derive(Debug)]
struct Endpoints;

impl LoadServiceConfig for Endpoints {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        variable(&format!("{}_{}", key.env(), key.service_id().to_ascii_uppercase().replace(' ', "_")))
    }
}

fn https() -> SharedHttpClient {
    Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
}

fn timeouts() -> TimeoutConfig {
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT);
    timeouts.operation_attempt_timeout(ATTEMPT).operation_timeout(OPERATION).build()
}

fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(ATTEMPTS)
}

/// Counts what is sent to AWS, every try of it, by service and operation.
#[derive(Debug, Clone, Default)]
pub struct Calls(Arc<Mutex<BTreeMap<String, u32>>>);

impl Calls {
    /// The counts since the last time this was asked.
    pub fn take(&self) -> BTreeMap<String, u32> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[dyn_dispatch_hint]
impl Intercept for Calls {
    fn name(&self) -> &'static str {
        "count calls"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(metadata) = cfg.load::<Metadata>() {
            // As IAM writes it, as far as the SDK's names of services go.
            let service = metadata.service().to_ascii_lowercase().replace(' ', "");
            let key = format!("{service}:{}", metadata.name());
            *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_insert(0) += 1;
        }
        Ok(())
    }
}
