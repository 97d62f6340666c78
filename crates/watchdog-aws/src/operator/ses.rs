//! What SES has verified, and what it lets the account send.

use std::collections::BTreeMap;

use aws_sdk_ses::Client;
use aws_sdk_ses::types::VerificationStatus;
use watchdog_core::checkup::{Quota, Verification};

use crate::failure::AwsFailure;

const VERIFICATION: &str = "ses:GetIdentityVerificationAttributes";
const QUOTA: &str = "ses:GetSendQuota";
const ENABLED: &str = "ses:GetAccountSendingEnabled";
/// Identities in one call: SES's bound.
const MOST: usize = 100;

/// How far each identity is verified. One that SES does not know is not in the answer.
///
/// # Errors
/// [`AwsFailure`].
pub async fn identities(client: &Client, asked: &[String]) -> Result<BTreeMap<String, Verification>, AwsFailure> {
    let mut known = BTreeMap::new();
    for some in asked.chunks(MOST) {
        let answer = client.get_identity_verification_attributes().set_identities(Some(some.to_vec())).send().await;
        let answer = answer.map_err(|error| AwsFailure::of(VERIFICATION, &error))?;
        for (identity, attributes) in answer.verification_attributes() {
            let verification = match attributes.verification_status() {
                VerificationStatus::Success => Verification::Verified,
                VerificationStatus::Pending | VerificationStatus::TemporaryFailure => Verification::Pending,
                VerificationStatus::Failed => Verification::Failed,
                _ => continue,
            };
            known.insert(identity.clone(), verification);
        }
    }
    Ok(known)
}

/// What the account may send.
///
/// # Errors
/// [`AwsFailure`].
pub async fn quota(client: &Client) -> Result<Quota, AwsFailure> {
    let answer = client.get_send_quota().send().await.map_err(|error| AwsFailure::of(QUOTA, &error))?;
    // Whole mails; out of range it saturates.
    let whole = |n: f64| n as u64;
    Ok(Quota {
        // -1 stands for no bound.
        per_day: (answer.max24_hour_send() >= 0.0).then(|| whole(answer.max24_hour_send())),
        per_second: whole(answer.max_send_rate()),
        sent: whole(answer.sent_last24_hours()),
    })
}

/// Whether the account may send at all.
///
/// # Errors
/// [`AwsFailure`].
pub async fn sending(client: &Client) -> Result<bool, AwsFailure> {
    let answer = client.get_account_sending_enabled().send().await;
    answer.map(|answer| answer.enabled()).map_err(|error| AwsFailure::of(ENABLED, &error))
}
