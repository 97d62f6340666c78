//! Who may start queries, by IAM's own evaluation.
//!
//! All documents of the account are read once, and a coarse look at them leaves those users and roles that might start queries
//! at all; IAM's simulator then says of each which workgroups that is true for. Conditions, boundaries and organisations' policies are
//! IAM's matter, not ours.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_iam::Client;
use aws_sdk_iam::types::{
    ContextEntry, ContextKeyTypeEnum, GroupDetail, ManagedPolicyDetail, PolicyDetail, PolicyEvaluationDecisionType,
    RoleDetail, Tag, UserDetail,
};
use futures_util::{StreamExt, stream};
use percent_encoding::percent_decode_str;
use watchdog_core::checkup::{Blind, Candidate, Kind, NO_WORKGROUP, Place, Principal, Principals, may_start_queries};

use super::blind;
use crate::failure::AwsFailure;

const DETAILS: &str = "iam:GetAccountAuthorizationDetails";
const SIMULATE: &str = "iam:SimulatePrincipalPolicy";

/// Pages of up to a thousand users, roles, groups and policies: IAM allows 5,000 users and as many roles.
const MOST_PAGES: usize = 60;
/// Users and roles that are evaluated: at about ten a second half a minute, which is what somebody waits for a checkup.
const MOST_EVALUATED: usize = 300;
/// Workgroups that each is evaluated for.
const MOST_WORKGROUPS: usize = 60;
/// Users and roles that are named in one sentence.
const MOST_NAMED: usize = 12;
/// The tags that the stack's policies ask for, in lower case as keys of conditions have none: whoever lacks them was given nothing by them.
const OWN_TAGS: &str = "principaltag/athena-workgroup-";
/// Simulations under way at once.
const AT_ONCE: usize = 4;
/// Roles of AWS's own services: nobody signs in with them.
const SERVICE_LINKED: &str = "/aws-service-role/";

/// Everything that the account's documents say, by name.
#[derive(Debug, Default)]
struct Details {
    users: Vec<UserDetail>,
    groups: BTreeMap<String, GroupDetail>,
    roles: Vec<RoleDetail>,
    policies: BTreeMap<String, ManagedPolicyDetail>,
}

/// Who may start queries in which of `workgroups`.
///
/// # Errors
/// [`AwsFailure`] where the account's users and roles cannot be listed. One that cannot be evaluated is named in
/// [`Principals::blind`].
pub async fn principals(client: &Client, place: &Place, workgroups: &[&str]) -> Result<Principals, AwsFailure> {
    let details = details(client).await?;
    let total = details.users.len() + details.roles.len();
    let mut candidates = candidates(&details);
    let mut principals = Principals { total, ..Principals::default() };
    if candidates.len() > MOST_EVALUATED {
        let n = candidates.len();
        let words = format!("{n} users and roles may start queries, and only {MOST_EVALUATED} of them were evaluated");
        principals.blind.push(Blind::Bound(words));
        candidates.truncate(MOST_EVALUATED);
    }
    if workgroups.len() > MOST_WORKGROUPS {
        let n = workgroups.len();
        principals.blind.push(Blind::Bound(format!(
            "who can use them was evaluated for {MOST_WORKGROUPS} of the {n} workgroups that nobody watches"
        )));
    }
    let workgroups = &workgroups[..workgroups.len().min(MOST_WORKGROUPS)];
    let calls = candidates.into_iter().map(|who| async move {
        let may = simulate(client, place, &who, workgroups).await;
        (who, may)
    });
    let mut hanging: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut answers = stream::iter(calls).buffered(AT_ONCE);
    while let Some((who, may)) = answers.next().await {
        match may {
            Ok((mut may, missing)) => {
                if !missing.is_empty() {
                    hanging.entry(missing.join(", ")).or_default().push(format!("`{}`", who.name));
                }
                principals.evaluated.push(Principal { who, any: may.remove(NO_WORKGROUP), may });
            }
            Err(failure) => {
                let blind = blind(&failure);
                if !principals.blind.contains(&blind) {
                    principals.blind.push(blind);
                }
                // The next would be denied as well.
                if failure.is_denied() || failure.is_out_of_reach() {
                    break;
                }
            }
        }
    }
    for (keys, who) in hanging {
        let more = who.len().saturating_sub(MOST_NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let who = who[..who.len().min(MOST_NAMED)].join(", ");
        principals.blind.push(Blind::Bound(format!(
            "what {who}{more} can use hangs on conditions of {keys}, which is not known here"
        )));
    }
    Ok(principals)
}

async fn details(client: &Client) -> Result<Details, AwsFailure> {
    let mut details = Details::default();
    let mut marker = None;
    for _ in 0..MOST_PAGES {
        let page = client.get_account_authorization_details().max_items(1000).set_marker(marker).send().await;
        let page = page.map_err(|error| AwsFailure::of(DETAILS, &error))?;
        details.users.extend(page.user_detail_list.unwrap_or_default());
        details.roles.extend(page.role_detail_list.unwrap_or_default());
        let groups = page.group_detail_list.unwrap_or_default().into_iter();
        details.groups.extend(groups.map(|group| (group.group_name().unwrap_or_default().to_owned(), group)));
        let policies = page.policies.unwrap_or_default().into_iter();
        details.policies.extend(policies.map(|policy| (policy.arn().unwrap_or_default().to_owned(), policy)));
        marker = page.marker.filter(|_| page.is_truncated);
        if marker.is_none() {
            return Ok(details);
        }
    }
    Err(AwsFailure::own(DETAILS, "EndlessList", format!("the list goes on after {MOST_PAGES} pages")))
}

/// Those that some document might let start queries, administrators last: of them the answer is known.
fn candidates(details: &Details) -> Vec<Candidate> {
    let users = details.users.iter().filter_map(|user| {
        let groups: Vec<&GroupDetail> = user.group_list().iter().filter_map(|name| details.groups.get(name)).collect();
        let inline = user.user_policy_list().iter().chain(groups.iter().flat_map(|group| group.group_policy_list()));
        let attached = user.attached_managed_policies().iter();
        let attached = attached.chain(groups.iter().flat_map(|group| group.attached_managed_policies()));
        let policies: BTreeSet<String> = attached.filter_map(|policy| policy.policy_arn()).map(str::to_owned).collect();
        might(details, inline, &policies).then(|| Candidate {
            kind: Kind::User,
            name: user.user_name().unwrap_or_default().to_owned(),
            arn: user.arn().unwrap_or_default().to_owned(),
            path: user.path().unwrap_or_default().to_owned(),
            policies,
            tags: tags(user.tags()),
        })
    });
    let people_or_programs =
        details.roles.iter().filter(|role| !role.path().unwrap_or("/").starts_with(SERVICE_LINKED));
    let roles = people_or_programs.filter_map(|role| {
        let attached = role.attached_managed_policies().iter();
        let policies: BTreeSet<String> = attached.filter_map(|policy| policy.policy_arn()).map(str::to_owned).collect();
        might(details, role.role_policy_list().iter(), &policies).then(|| Candidate {
            kind: Kind::Role,
            name: role.role_name().unwrap_or_default().to_owned(),
            arn: role.arn().unwrap_or_default().to_owned(),
            path: role.path().unwrap_or_default().to_owned(),
            policies,
            tags: tags(role.tags()),
        })
    });
    let mut all: Vec<Candidate> = users.chain(roles).collect();
    all.sort_by(|a, b| (a.is_administrator(), a.kind, &a.name).cmp(&(b.is_administrator(), b.kind, &b.name)));
    all
}

/// Whether some document might allow it. One that is not there or cannot be read might.
fn might<'a>(details: &Details, inline: impl Iterator<Item = &'a PolicyDetail>, attached: &BTreeSet<String>) -> bool {
    let written = |document: Option<&str>| {
        document.is_none_or(|encoded| may_start_queries(&percent_decode_str(encoded).decode_utf8_lossy()))
    };
    let managed = attached.iter().any(|arn| {
        let versions = details.policies.get(arn).map(|policy| policy.policy_version_list());
        let default = versions.and_then(|versions| versions.iter().find(|version| version.is_default_version()));
        default.is_none_or(|version| written(version.document()))
    });
    let mut inline = inline;
    managed || inline.any(|policy| written(policy.policy_document()))
}

fn tags(tags: &[Tag]) -> BTreeMap<String, String> {
    tags.iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect()
}

/// The workgroups, [`NO_WORKGROUP`] among them, in which `who` may start queries; and the keys of conditions, in backticks,
/// whose values the simulator lacked where it did not allow it: with the right ones it might.
async fn simulate(
    client: &Client,
    place: &Place,
    who: &Candidate,
    workgroups: &[&str],
) -> Result<(BTreeSet<String>, Vec<String>), AwsFailure> {
    let arn =
        |name: &str| format!("arn:{}:athena:{}:{}:workgroup/{name}", place.partition, place.region, place.account);
    let mut open: BTreeMap<String, &str> =
        workgroups.iter().copied().chain([NO_WORKGROUP]).map(|name| (arn(name), name)).collect();
    let mut may = BTreeSet::new();
    let mut missing = BTreeSet::new();
    // The simulator's answer may be cut, or be about a part of what was asked: the rest is asked again.
    while !open.is_empty() {
        let answer = client
            .simulate_principal_policy()
            .policy_source_arn(&who.arn)
            // Who may not do this uses no quota.
            .action_names("athena:StartQueryExecution")
            .set_resource_arns(Some(open.keys().cloned().collect()))
            .set_context_entries(Some(context(place, who)))
            .max_items(1000)
            .send()
            .await
            .map_err(|error| AwsFailure::of(SIMULATE, &error))?;
        let before = open.len();
        for result in answer.evaluation_results() {
            let specific = result.resource_specific_results().iter();
            let specific = specific.map(|one| {
                let lacks = [one.missing_context_values(), result.missing_context_values()];
                (Some(one.eval_resource_name()), one.eval_resource_decision(), lacks)
            });
            let whole = [(result.eval_resource_name(), result.eval_decision(), [result.missing_context_values(), &[]])];
            for (resource, decision, lacks) in specific.chain(whole) {
                let Some(name) = resource.and_then(|resource| open.remove(resource)) else { continue };
                if *decision == PolicyEvaluationDecisionType::Allowed {
                    may.insert(name.to_owned());
                } else {
                    let keys = lacks.into_iter().flatten();
                    let keys = keys.filter(|key| !key.to_ascii_lowercase().contains(OWN_TAGS));
                    missing.extend(keys.map(|key| format!("`{key}`")));
                }
            }
        }
        if open.len() == before {
            let message =
                format!("the simulator said nothing of `{}` for `{}`", open.keys().next().map_or("", |a| a), who.arn);
            return Err(AwsFailure::own(SIMULATE, "NoDecision", message));
        }
    }
    Ok((may, missing.into_iter().collect()))
}

/// What the simulator does not know by itself: the principal's tags, where it is, and that a second factor was given, so that the
/// answer is about what somebody can do at most.
fn context(place: &Place, who: &Candidate) -> Vec<ContextEntry> {
    let entry = |key: String, kind: ContextKeyTypeEnum, value: &str| {
        ContextEntry::builder().context_key_name(key).context_key_type(kind).context_key_values(value).build()
    };
    let tags = who.tags.iter();
    let mut context: Vec<ContextEntry> =
        tags.map(|(key, value)| entry(format!("aws:PrincipalTag/{key}"), ContextKeyTypeEnum::String, value)).collect();
    context.push(entry("aws:RequestedRegion".to_owned(), ContextKeyTypeEnum::String, &place.region));
    context.push(entry("aws:MultiFactorAuthPresent".to_owned(), ContextKeyTypeEnum::Boolean, "true"));
    context
}
