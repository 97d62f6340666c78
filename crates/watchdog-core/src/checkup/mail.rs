//! Whether mail leaves, and arrives.

use std::collections::BTreeSet;

use super::remedy::quote;
use super::state::{State, Verification};
use super::{Check, Severity, names};
use crate::policy::{Address, Policy, Who};

/// What SES grants an account in the sandbox.
const SANDBOX_A_DAY: u64 = 200;
/// The same, by the second.
const SANDBOX_A_SECOND: u64 = 1;
/// From this percentage of the daily quota on there is little left for a bad day.
const NEARLY_ALL_PERCENT: u64 = 80;

/// Everybody the policy can mail by name: admins, owners, addresses in audiences, who gets the weekly report, and those that submitters
/// are mapped to.
fn people(policy: &Policy) -> BTreeSet<&Address> {
    let mut people: BTreeSet<&Address> = policy.mail.admins.iter().chain(policy.submitters.people.values()).collect();
    people.extend(policy.report.iter().flat_map(|rules| &rules.to));
    for rule in policy.rules() {
        people.extend(&rule.owner);
        for limit in &rule.limits {
            let audience = &limit.audience;
            let who = [&audience.warn, &audience.critical, &audience.exhausted].into_iter().flatten();
            people.extend(who.filter_map(|who| match who {
                Who::Address(address) => Some(address),
                Who::Admins | Who::Owner | Who::Submitters => None,
            }));
        }
    }
    people
}

/// An address and the domains whose verification would cover it: its own and those above, none of a single label.
fn covering(address: &Address) -> Vec<&str> {
    let mut all = vec![address.as_str()];
    let mut domain = address.domain();
    while domain.contains('.') {
        all.push(domain);
        domain = domain.split_once('.').map_or("", |(_, above)| above);
    }
    all
}

/// What to ask SES about: the sender, everybody who can be mailed, and their domains.
pub fn identities(policy: &Policy) -> BTreeSet<String> {
    let people = people(policy).into_iter().chain([&policy.mail.sender]);
    people.flat_map(covering).map(str::to_owned).collect()
}

/// The best that SES knows of an address or a domain above it.
fn verification(state: &State, address: &Address) -> Option<Verification> {
    let known = state.identities.as_ref().ok()?;
    let all: Vec<Verification> =
        covering(address).into_iter().filter_map(|identity| known.get(identity).copied()).collect();
    let best = [Verification::Verified, Verification::Pending, Verification::Failed];
    best.into_iter().find(|wanted| all.contains(wanted))
}

fn verify(state: &State, address: &Address) -> String {
    state.place.aws(&format!("ses verify-email-identity --email-address {}", quote(address.as_str())))
}

/// Whether SES takes mail from the sender.
pub(super) fn sender(state: &State, policy: Option<&Policy>) -> Check {
    let mut check = Check::new("sender", "");
    let Some(policy) = check.policy(policy) else { return check };
    if check.seen(&state.identities).is_none() {
        return check;
    }
    let sender = &policy.mail.sender;
    check.fine = format!("SES has verified the sender `{sender}`");
    let how = match verification(state, sender) {
        Some(Verification::Verified) => return check,
        Some(Verification::Pending) => "waits for its confirmation",
        Some(Verification::Failed) => "was not confirmed in time",
        None => "is not known to SES",
    };
    check.find(
        Severity::Critical,
        format!("identity/{sender}"),
        format!("the sender `{sender}` {how} in {}", state.place.region),
        "SES refuses every mail of the watchdog. The command sends the sender a mail with a link to confirm.",
        vec![verify(state, sender)],
    );
    check
}

/// Whether the account may send, and how much.
pub(super) fn account(state: &State) -> Check {
    let place = &state.place;
    let mut check = Check::new("sending", "SES lets the account send");
    if check.seen(&state.sending) == Some(&false) {
        check.find(
            Severity::Critical,
            "ses",
            "sending is switched off for the whole account",
            "SES refuses every mail; somebody or an alarm on bounces has paused it.",
            vec![place.aws("ses update-account-sending-enabled --enabled")],
        );
    }
    if let Some(quota) = check.seen(&state.quota)
        && let Some(per_day) = quota.per_day
    {
        if quota.sent.saturating_mul(100) >= per_day.saturating_mul(NEARLY_ALL_PERCENT) {
            check.find(
                Severity::Warning,
                "ses",
                format!("{} of {per_day} mails of the last 24 hours are used up", quota.sent),
                "When they are gone SES refuses every mail; the watchdog sends few, so others use this account's \
                 SES too.",
                vec![place.aws(
                    "service-quotas request-service-quota-increase --service-code ses --quota-code \
                                L-804C8AE8 --desired-value 50000",
                )],
            );
        }
        check.fine = format!("SES lets the account send: {} of {per_day} mails used in the last 24 hours", quota.sent);
    }
    check
}

fn is_sandbox(state: &State) -> Option<bool> {
    let quota = state.quota.as_ref().ok()?;
    Some(quota.per_day == Some(SANDBOX_A_DAY) && quota.per_second <= SANDBOX_A_SECOND)
}

/// Whether SES takes mail to others than those it has verified.
pub(super) fn sandbox(state: &State, policy: Option<&Policy>) -> Check {
    let mut check = Check::new("sandbox", "the account is out of the SES sandbox");
    check.seen(&state.quota);
    if is_sandbox(state) == Some(true) {
        let domain = policy.map_or("example.com", |policy| policy.mail.sender.domain());
        check.find(
            Severity::Warning,
            "ses",
            format!("SES is in the sandbox in {}", state.place.region),
            "Mail goes to verified addresses only, 200 a day and one a second: not enough for a bad day.",
            vec![state.place.aws(&format!(
                "sesv2 put-account-details --production-access-enabled --mail-type TRANSACTIONAL --website-url {} \
                 --use-case-description 'Operational alerts to our own staff'",
                quote(&format!("https://{domain}"))
            ))],
        );
    }
    check
}

/// Who would not get a mail in the sandbox.
pub(super) fn recipients(state: &State, policy: Option<&Policy>) -> Check {
    let mut check = Check::new("recipients", "");
    let Some(policy) = check.policy(policy) else { return check };
    let people = people(policy);
    check.fine = format!(
        "SES takes mail to {} address{} of the policy",
        people.len(),
        if people.len() == 1 { "" } else { "es" }
    );
    if check.seen(&state.quota).is_none() || is_sandbox(state) != Some(true) {
        return check;
    }
    if check.seen(&state.identities).is_none() {
        return check;
    }
    let refused: Vec<&Address> =
        people.into_iter().filter(|address| verification(state, address) != Some(Verification::Verified)).collect();
    if !refused.is_empty() {
        check.find(
            Severity::Critical,
            "policy",
            format!("SES refuses mail to {}", names(refused.iter().map(|address| address.as_str()))),
            "In the sandbox it takes mail to verified addresses only: these people are told nothing. Each command \
             sends a mail with a link to confirm.",
            refused.iter().map(|address| verify(state, address)).collect(),
        );
    }
    check
}
