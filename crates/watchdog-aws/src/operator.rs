//! What only the operator's tool asks AWS: how the installation itself stands.
//!
//! One file per service, as beside it; [`survey`] asks them all and goes on where one is denied. [`permissions`] says which
//! IAM policy each command of the tool needs at least. The function is built without all of this.

pub mod clock;
pub mod crowd;
pub mod past;
pub mod permissions;

pub mod asking;
pub mod athena;
pub mod cloudformation;
pub mod cloudwatch;
pub mod dynamodb;
pub mod iam;
pub mod scheduler;
pub mod ses;
pub mod sns;
pub mod ssm;
pub mod sts;

mod survey;

use aws_config::SdkConfig;
use watchdog_core::checkup::Blind;

pub use self::survey::survey;
use crate::clients::Clients;
use crate::failure::AwsFailure;

/// The services that only the operator's tool talks to, beside those of a run.
#[derive(Debug, Clone)]
pub struct Operator {
    /// Those of a run.
    pub clients: Clients,
    /// The stack.
    pub cloudformation: aws_sdk_cloudformation::Client,
    /// Users, roles, and what they may do.
    pub iam: aws_sdk_iam::Client,
    /// The function.
    pub lambda: aws_sdk_lambda::Client,
    /// The schedule.
    pub scheduler: aws_sdk_scheduler::Client,
    /// The alarm topic.
    pub sns: aws_sdk_sns::Client,
    /// Whose credentials these are.
    pub sts: aws_sdk_sts::Client,
    /// AWS's clock, from the answers of these services.
    pub clock: clock::Clock,
}

impl Operator {
    /// Clients of a given configuration, see [`crate::clients::config`].
    pub fn new(config: &SdkConfig) -> Self {
        let clients = Clients::new(config);
        let clock = clock::Clock::default();
        macro_rules! client {
            ($service:ident) => {{
                let config = $service::config::Builder::from(config).interceptor(clients.calls.clone());
                $service::Client::from_conf(config.interceptor(clock.clone()).build())
            }};
        }
        Self {
            cloudformation: client!(aws_sdk_cloudformation),
            iam: client!(aws_sdk_iam),
            lambda: client!(aws_sdk_lambda),
            scheduler: client!(aws_sdk_scheduler),
            sns: client!(aws_sdk_sns),
            sts: client!(aws_sdk_sts),
            clients,
            clock,
        }
    }
}

/// What a failed call means for what it was to read.
fn blind(failure: &AwsFailure) -> Blind {
    let operation = failure.operation.to_owned();
    if failure.is_denied() {
        return Blind::Denied { operation };
    }
    let why = if failure.message.is_empty() {
        format!("`{}`", failure.code)
    } else {
        format!("`{}`: {}", failure.code, failure.message)
    };
    Blind::Failed { operation, why }
}

/// `None` where AWS says that there is no such thing.
fn found<T>(read: Result<T, AwsFailure>) -> Result<Option<T>, AwsFailure> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(failure) if NOT_FOUND.contains(&failure.code.as_str()) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Codes that mean "there is no such thing".
const NOT_FOUND: [&str; 3] = ["ResourceNotFoundException", "NotFound", "NotFoundException"];
