//! The account's quotas of active queries, from Service Quotas.

use aws_sdk_servicequotas::Client;
use aws_sdk_servicequotas::operation::get_service_quota::GetServiceQuotaError;
use jiff::Timestamp;
use watchdog_core::policy::Class;
use watchdog_core::usage::Quota;

use crate::failure::AwsFailure;

const APPLIED: &str = "servicequotas:GetServiceQuota";
const DEFAULT: &str = "servicequotas:GetAWSDefaultServiceQuota";

/// The service's code there.
const SERVICE: &str = "athena";

/// More queries at once than any account has; a larger value is a broken answer.
const MOST: f64 = 1e6;

/// The quota as it is applied to the account: what it was raised to, and where it never was AWS's default for the Region.
///
/// # Errors
/// [`AwsFailure`], also where the value is no number of queries.
pub async fn quota(client: &Client, class: Class, now: Timestamp) -> Result<Quota, AwsFailure> {
    let applied = client.get_service_quota().service_code(SERVICE).quota_code(class.quota_code()).send().await;
    let (operation, value, is_default) = match applied {
        Ok(answer) => (APPLIED, answer.quota.and_then(|quota| quota.value), false),
        Err(error) => match error.as_service_error() {
            // An account has an applied value only where somebody has asked for one.
            Some(GetServiceQuotaError::NoSuchResourceException(_)) => {
                let default = client.get_aws_default_service_quota();
                let default = default.service_code(SERVICE).quota_code(class.quota_code()).send().await;
                let default = default.map_err(|error| AwsFailure::of(DEFAULT, &error))?;
                (DEFAULT, default.quota.and_then(|quota| quota.value), true)
            }
            _ => return Err(AwsFailure::of(APPLIED, &error)),
        },
    };
    match value {
        // Down: half a query cannot be started.
        Some(value) if (1.0..=MOST).contains(&value) => Ok(Quota { most: value as u64, is_default, read: now }),
        other => {
            let other = other.map_or("nothing".to_owned(), |value| value.to_string());
            let message = format!("`{other}` is no number of active {} queries", class.word());
            Err(AwsFailure::own(operation, "Implausible", message))
        }
    }
}
