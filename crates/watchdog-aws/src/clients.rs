//! The SDK clients: one configuration, one HTTP client and connection pool for all services, everything bounded.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig};
use aws_sdk_ssm::config::retry::RetryConfig;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::HttpClient;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

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
    /// Reads the environment's AWS configuration and builds the clients. Makes no call.
    pub async fn from_env() -> Self {
        Self::load(aws_config::defaults(BehaviorVersion::v2026_01_12())).await
    }

    /// Builds the clients from a loader that may name a profile or Region.
    pub async fn load(loader: ConfigLoader) -> Self {
        Self::new(&config(loader).await)
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
    let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    bounded(loader, http).await
}

/// [`config`] with an HTTP client of somebody else's.
pub async fn bounded(loader: ConfigLoader, http: impl HttpClient + 'static) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(ATTEMPT)
        .operation_timeout(OPERATION)
        .build();
    let loader = loader.http_client(http).timeout_config(timeouts);
    loader.retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS)).load().await
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
