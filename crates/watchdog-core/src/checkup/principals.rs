//! Who can use any workgroup, and who holds policies that shut each other out.

use std::collections::BTreeSet;

use super::remedy::{quote, resource};
use super::state::{Blind, Candidate, Kind, Place, Principal, State};
use super::{Check, Severity, count, names};

/// A workgroup that nobody gives to anybody: who may use it may use any.
pub const NO_WORKGROUP: &str = "watchdog-doctor-any-workgroup";

/// The stack's policies and the workgroup of each.
const POLICIES: [(&str, &str); 5] = [
    ("PredictablePolicy", "predictable"),
    ("FastQueryPolicy", "fast-query"),
    ("LongQueryPolicy", "long-query"),
    ("ExploratoryPolicy", "exploratory"),
    ("AdHocPolicy", "ad-hoc"),
];
/// The tags whose values name the workgroups that somebody with several policies was given.
const TAGS: [&str; 5] =
    ["athena-workgroup-1", "athena-workgroup-2", "athena-workgroup-3", "athena-workgroup-4", "athena-workgroup-5"];
/// AWS's policy for who may do everything.
const ADMINISTRATOR: &str = ":iam::aws:policy/AdministratorAccess";
/// Roles of IAM Identity Center: changed by their permission set only.
const SIGN_ON: &str = "/aws-reserved/sso.amazonaws.com/";

impl Candidate {
    /// Whether it may do everything in the account on purpose, so that no confinement would hold it.
    pub fn is_administrator(&self) -> bool {
        self.policies.iter().any(|arn| arn.ends_with(ADMINISTRATOR))
    }
}

/// People and roles that are not confined to the workgroups they were given.
pub(super) fn any_workgroup(state: &State) -> Check {
    let mut check = Check::new("confinement", "");
    let Some(principals) = check.seen(&state.principals) else { return check };
    for blind in &principals.blind {
        check.cannot_see(blind);
    }
    check.fine = format!(
        "no user or role beside administrators can use any workgroup ({} read, {} of them evaluated by IAM)",
        principals.total,
        principals.evaluated.len()
    );
    let (administrators, others): (Vec<&Principal>, Vec<&Principal>) =
        principals.evaluated.iter().filter(|principal| principal.any).partition(|p| p.who.is_administrator());
    for principal in others {
        let who = &principal.who;
        check.find(
            Severity::Warning,
            &who.arn,
            format!("{} can use any workgroup", named(who)),
            "It can spend what another team's workgroup needs, and run where nobody watches.",
            confine(state, who),
        );
    }
    for principal in principals.evaluated.iter().filter(|p| !p.any && p.may.contains("primary")) {
        check.find(
            Severity::Note,
            &principal.who.arn,
            format!("{} can use the workgroup `primary`", named(&principal.who)),
            "Queries without a workgroup's name run there, beside the workgroups that were given.",
            confine(state, &principal.who),
        );
    }
    if !administrators.is_empty() {
        check.find(
            Severity::Note,
            "administrators",
            format!(
                "{} any workgroup: {}",
                if administrators.len() == 1 { "1 administrator can use" } else { "administrators can use" },
                names(administrators.iter().map(|principal| principal.who.name.as_str()))
            ),
            "AdministratorAccess allows everything, and it is meant to.",
            vec![],
        );
    }
    check
}

fn named(who: &Candidate) -> String {
    match who.kind {
        Kind::User => format!("user `{}`", who.name),
        Kind::Role => format!("role `{}`", who.name),
    }
}

/// Puts the stack's confinement on somebody.
fn confine(state: &State, who: &Candidate) -> Vec<String> {
    let place = &state.place;
    let Some(policy) = resource(state, "ConfinementPolicy") else {
        // A stack from before there was one.
        return vec![place.deploy()];
    };
    match who.kind {
        Kind::User => vec![place.iam(&format!(
            "attach-user-policy --user-name {} --policy-arn {}",
            quote(&who.name),
            quote(policy)
        ))],
        Kind::Role if who.path.starts_with(SIGN_ON) => vec![sign_on(place, policy)],
        Kind::Role => vec![place.iam(&format!(
            "attach-role-policy --role-name {} --policy-arn {}",
            quote(&who.name),
            quote(policy)
        ))],
    }
}

fn sign_on(place: &Place, policy: &str) -> String {
    let name = policy.rsplit('/').next().unwrap_or(policy);
    place.aws(&format!(
        "sso-admin attach-customer-managed-policy-reference-to-permission-set --instance-arn INSTANCE_ARN \
         --permission-set-arn PERMISSION_SET_ARN --customer-managed-policy-reference Name={}",
        quote(name)
    ))
}

/// Who holds the policies of several workgroups without the tags that let them stand side by side.
pub(super) fn several_policies(state: &State) -> Check {
    let mut check = Check::new("several policies", "");
    let Some(principals) = check.seen(&state.principals) else { return check };
    let Some(stack) = check.seen(&state.stack) else { return check };
    let Some(stack) = stack else {
        check.cannot_see(&Blind::After("there is no such stack".to_owned()));
        return check;
    };
    let ours: Vec<(&str, &str)> =
        POLICIES.iter().filter_map(|(logical, workgroup)| Some((stack.id(logical)?, *workgroup))).collect();
    let mut holders = 0;
    for principal in &principals.evaluated {
        let who = &principal.who;
        let held: BTreeSet<&str> =
            ours.iter().filter(|(arn, _)| who.policies.contains(*arn)).map(|(_, workgroup)| *workgroup).collect();
        holders += usize::from(!held.is_empty());
        if held.len() < 2 {
            continue;
        }
        let tagged: BTreeSet<&str> = TAGS.iter().filter_map(|tag| who.tags.get(*tag)).map(String::as_str).collect();
        if held.is_subset(&tagged) {
            continue;
        }
        if who.path.starts_with(SIGN_ON) {
            check.find(
                Severity::Note,
                &who.arn,
                format!("{} holds the policies of {}; whether its sessions name them cannot be seen", named(who), names(held.iter().copied())),
                "IAM Identity Center passes such tags with each session, where its attributes for access control name them \
                 `athena-workgroup-1` and so on. Without them these policies leave no workgroup.",
                vec![],
            );
            continue;
        }
        // What a tag names already is somebody's and stays; the missing ones take the free keys.
        let free = TAGS.iter().filter(|tag| !who.tags.contains_key(**tag));
        let missing = held.iter().filter(|workgroup| !tagged.contains(*workgroup));
        let tags: Vec<String> =
            free.zip(missing).map(|(tag, workgroup)| format!("Key={tag},Value={workgroup}")).collect();
        let verb = match who.kind {
            Kind::User => format!("tag-user --user-name {}", quote(&who.name)),
            Kind::Role => format!("tag-role --role-name {}", quote(&who.name)),
        };
        check.find(
            Severity::Warning,
            &who.arn,
            format!(
                "{} holds the policies of {} without the tags that name \
                     them",
                named(who),
                names(held.iter().copied())
            ),
            "Each of these policies denies every workgroup but its own and those that the tags name, so together \
             they leave none.",
            vec![state.place.iam(&format!("{verb} --tags {}", tags.join(" ")))],
        );
    }
    check.fine = format!("{} of a workgroup's policy can use what they were given", count(holders, "holder"));
    check
}
