//! Who is evaluated, for what, with which context; and what is made of the simulator's answers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws_sdk_iam::Client;
use aws_sdk_iam::error::ErrorMetadata;
use aws_sdk_iam::operation::get_account_authorization_details::GetAccountAuthorizationDetailsOutput;
use aws_sdk_iam::operation::simulate_principal_policy::{SimulatePrincipalPolicyError, SimulatePrincipalPolicyOutput};
use aws_sdk_iam::types::{
    AttachedPolicy, EvaluationResult, GroupDetail, ManagedPolicyDetail, PolicyDetail, PolicyEvaluationDecisionType,
    PolicyVersion, ResourceSpecificResult, RoleDetail, Tag, UserDetail,
};
use aws_smithy_mocks::{RuleMode, mock, mock_client};
use watchdog_aws::operator::iam::principals;
use watchdog_core::checkup::{Blind, Kind, NO_WORKGROUP, Place, Principals};

const ATHENA: &str = "arn:aws:iam::aws:policy/AmazonAthenaFullAccess";

fn place() -> Place {
    Place {
        partition: "aws".to_owned(),
        region: "eu-central-1".to_owned(),
        account: "111122223333".to_owned(),
        stack: "prod".to_owned(),
        policy_path: "/p".to_owned(),
        policy_from_files: false,
    }
}

fn workgroup_arn(name: &str) -> String {
    format!("arn:aws:athena:eu-central-1:111122223333:workgroup/{name}")
}

/// As IAM writes it: encoded.
fn allows(action: &str) -> String {
    format!(
        "%7B%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C%22Action%22%3A%22{action}%22%2C%22Resource%22%3A%22*%22%7D%5D%7D"
    )
}

fn managed(arn: &str, old: &str, default: &str) -> ManagedPolicyDetail {
    let version = |action: &str, is_default| {
        PolicyVersion::builder().document(allows(action)).is_default_version(is_default).build()
    };
    let policy = ManagedPolicyDetail::builder().arn(arn);
    policy.policy_version_list(version(old, false)).policy_version_list(version(default, true)).build()
}

fn user(name: &str) -> aws_sdk_iam::types::builders::UserDetailBuilder {
    UserDetail::builder().user_name(name).path("/").arn(format!("arn:aws:iam::111122223333:user/{name}"))
}

fn role(name: &str, path: &str) -> aws_sdk_iam::types::builders::RoleDetailBuilder {
    RoleDetail::builder().role_name(name).path(path).arn(format!("arn:aws:iam::111122223333:role{path}{name}"))
}

fn attached(arn: &str) -> AttachedPolicy {
    AttachedPolicy::builder().policy_arn(arn).build()
}

fn inline(action: &str) -> PolicyDetail {
    PolicyDetail::builder().policy_name("inline").policy_document(allows(action)).build()
}

/// Two pages: the policies come after those who hold them.
fn pages() -> Vec<GetAccountAuthorizationDetailsOutput> {
    let group = GroupDetail::builder().group_name("analysts").attached_managed_policies(attached(ATHENA)).build();
    let first = GetAccountAuthorizationDetailsOutput::builder()
        .user_detail_list(user("reader").user_policy_list(inline("s3:*")).build())
        .user_detail_list(user("by-group").group_list("analysts").build())
        .user_detail_list(
            user("inline")
                .user_policy_list(inline("athena:Start*"))
                .tags(Tag::builder().key("team").value("x").build().unwrap())
                .build(),
        )
        .user_detail_list(
            user("admin").attached_managed_policies(attached("arn:aws:iam::aws:policy/AdministratorAccess")).build(),
        )
        .is_truncated(true)
        .marker("more")
        .build();
    let second = GetAccountAuthorizationDetailsOutput::builder()
        .group_detail_list(group)
        .role_detail_list(
            role("AWSServiceRoleForX", "/aws-service-role/x.amazonaws.com/").role_policy_list(inline("*")).build(),
        )
        .role_detail_list(role("etl", "/").attached_managed_policies(attached("arn:own")).build())
        .role_detail_list(role("was", "/").attached_managed_policies(attached("arn:was")).build())
        .role_detail_list(role("odd", "/").attached_managed_policies(attached("arn:not-in-the-answer")).build())
        .policies(managed(ATHENA, "athena:*", "athena:*"))
        .policies(managed("arn:own", "s3:*", "athena:StartQueryExecution"))
        .policies(managed("arn:was", "athena:*", "s3:*"))
        .policies(managed("arn:aws:iam::aws:policy/AdministratorAccess", "*", "*"))
        .build();
    vec![first, second]
}

fn result(name: &str, decision: PolicyEvaluationDecisionType) -> EvaluationResult {
    EvaluationResult::builder()
        .eval_action_name("athena:StartQueryExecution")
        .eval_resource_name(workgroup_arn(name))
        .eval_decision(decision)
        .build()
        .unwrap()
}

/// Everybody may use `own`; who `any` names may use any.
async fn evaluated(
    pages: Vec<GetAccountAuthorizationDetailsOutput>,
    any: &'static [&'static str],
    answer: fn(&[String], bool) -> SimulatePrincipalPolicyOutput,
) -> (Principals, Vec<BTreeMap<String, String>>) {
    let pages = Arc::new(Mutex::new(pages.into_iter()));
    let contexts = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&contexts);
    let details = mock!(Client::get_account_authorization_details)
        .then_compute_output(move |_| pages.lock().unwrap().next().unwrap());
    let simulate = mock!(Client::simulate_principal_policy).then_compute_output(move |input| {
        assert_eq!(input.action_names(), ["athena:StartQueryExecution"]);
        let context = input.context_entries().iter();
        let context = context.map(|e| (e.context_key_name().unwrap().to_owned(), e.context_key_values().join(",")));
        noted.lock().unwrap().push(context.collect());
        let who = input.policy_source_arn().unwrap().rsplit('/').next().unwrap();
        answer(input.resource_arns(), any.contains(&who))
    });
    let client = mock_client!(aws_sdk_iam, RuleMode::MatchAny, [&details, &simulate]);
    let principals = principals(&client, &place(), &["own", "other"]).await.unwrap();
    (principals, contexts.lock().unwrap().clone())
}

fn decision(arn: &str, any: bool) -> PolicyEvaluationDecisionType {
    if any || arn.ends_with("/own") {
        PolicyEvaluationDecisionType::Allowed
    } else {
        PolicyEvaluationDecisionType::ExplicitDeny
    }
}

fn name_of(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap()
}

#[tokio::test]
async fn those_who_might_are_evaluated_by_iam_administrators_last() {
    let all = |arns: &[String], any: bool| {
        let results = arns.iter().map(|arn| result(name_of(arn), decision(arn, any)));
        SimulatePrincipalPolicyOutput::builder().set_evaluation_results(Some(results.collect())).build()
    };
    let (principals, contexts) = evaluated(pages(), &["by-group", "admin"], all).await;
    assert_eq!((principals.total, &principals.blind), (8, &vec![]));
    let found: Vec<(Kind, &str, bool, Vec<&str>)> = principals
        .evaluated
        .iter()
        .map(|p| (p.who.kind, p.who.name.as_str(), p.any, p.may.iter().map(String::as_str).collect()))
        .collect();
    assert_eq!(
        found,
        [
            (Kind::User, "by-group", true, vec!["other", "own"]),
            (Kind::User, "inline", false, vec!["own"]),
            (Kind::Role, "etl", false, vec!["own"]),
            // Its policy is not in the answer: it might.
            (Kind::Role, "odd", false, vec!["own"]),
            (Kind::User, "admin", true, vec!["other", "own"]),
        ]
    );
    assert!(principals.evaluated[0].who.policies.contains(ATHENA), "those of a group count");
    let expected = [
        ("aws:MultiFactorAuthPresent", "true"),
        ("aws:PrincipalTag/team", "x"),
        ("aws:RequestedRegion", "eu-central-1"),
    ];
    assert_eq!(contexts[1], expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
}

/// IAM may put the answers for several resources into one result, or answer for some of them only.
#[tokio::test]
async fn answers_are_read_in_every_form_and_the_rest_is_asked_again() {
    let specific = |arns: &[String], any: bool| {
        let one = |arn: &String| {
            ResourceSpecificResult::builder()
                .eval_resource_name(arn)
                .eval_resource_decision(decision(arn, any))
                .build()
                .unwrap()
        };
        let result = EvaluationResult::builder()
            .eval_action_name("athena:StartQueryExecution")
            .eval_decision(PolicyEvaluationDecisionType::ImplicitDeny)
            .set_resource_specific_results(Some(arns.iter().map(one).collect()))
            .build();
        SimulatePrincipalPolicyOutput::builder().evaluation_results(result.unwrap()).build()
    };
    let first_only = |arns: &[String], any: bool| {
        let result = result(name_of(&arns[0]), decision(&arns[0], any));
        SimulatePrincipalPolicyOutput::builder().evaluation_results(result).is_truncated(true).build()
    };
    let (by_resource, contexts) = evaluated(pages(), &["etl"], specific).await;
    assert_eq!(contexts.len(), 5);
    let (one_by_one, contexts) = evaluated(pages(), &["etl"], first_only).await;
    assert_eq!(contexts.len(), 5 * 3);
    assert_eq!(by_resource, one_by_one);
    assert!(by_resource.evaluated.iter().any(|p| p.who.name == "etl" && p.any && !p.may.contains(NO_WORKGROUP)));
}

#[tokio::test]
async fn a_simulator_that_says_nothing_decides_nothing() {
    let silent = |_: &[String], _: bool| SimulatePrincipalPolicyOutput::builder().build();
    let (principals, _) = evaluated(pages(), &[], silent).await;
    assert_eq!(principals.evaluated, []);
    assert!(principals.blind[0].to_string().contains("NoDecision"), "{}", principals.blind[0]);
}

#[tokio::test]
async fn a_simulation_that_is_denied_is_not_tried_for_everybody() {
    let pages = Arc::new(Mutex::new(pages().into_iter()));
    let details = mock!(Client::get_account_authorization_details)
        .then_compute_output(move |_| pages.lock().unwrap().next().unwrap());
    let simulate = mock!(Client::simulate_principal_policy).then_error(|| {
        SimulatePrincipalPolicyError::generic(ErrorMetadata::builder().code("AccessDenied").message("no").build())
    });
    let client = mock_client!(aws_sdk_iam, RuleMode::MatchAny, [&details, &simulate]);
    let principals = principals(&client, &place(), &["own"]).await.unwrap();
    assert_eq!(principals.blind, [Blind::Denied { operation: "iam:SimulatePrincipalPolicy".to_owned() }]);
    assert!(simulate.num_calls() <= 5, "{}", simulate.num_calls());
}

#[tokio::test]
async fn too_many_are_cut_with_a_word() {
    let users = (0..400).map(|n| user(&format!("u{n:03}")).user_policy_list(inline("athena:*")).build());
    let page = GetAccountAuthorizationDetailsOutput::builder().set_user_detail_list(Some(users.collect())).build();
    let all = |arns: &[String], any: bool| {
        let results = arns.iter().map(|arn| result(name_of(arn), decision(arn, any)));
        SimulatePrincipalPolicyOutput::builder().set_evaluation_results(Some(results.collect())).build()
    };
    let (principals, _) = evaluated(vec![page], &[], all).await;
    assert_eq!(principals.evaluated.len(), 300);
    assert_eq!(
        principals.blind[0].to_string(),
        "400 users and roles may start queries, and only 300 of them were evaluated"
    );
}

#[tokio::test]
async fn a_denial_for_want_of_a_conditions_key_is_not_known() {
    let lacking = |arns: &[String], any: bool| {
        let one = |arn: &String| {
            EvaluationResult::builder()
                .eval_action_name("athena:StartQueryExecution")
                .eval_resource_name(arn)
                .eval_decision(if any {
                    PolicyEvaluationDecisionType::Allowed
                } else {
                    PolicyEvaluationDecisionType::ImplicitDeny
                })
                .missing_context_values("aws:SourceVpce")
                .missing_context_values("aws:PrincipalTag/athena-workgroup-2")
                .build()
                .unwrap()
        };
        SimulatePrincipalPolicyOutput::builder().set_evaluation_results(Some(arns.iter().map(one).collect())).build()
    };
    // What is allowed is known, and a tag of the stack's own policies that somebody lacks gives nothing.
    let (principals, _) = evaluated(pages(), &["by-group", "inline", "odd", "admin"], lacking).await;
    let blind: Vec<String> = principals.blind.iter().map(ToString::to_string).collect();
    assert_eq!(blind, ["what `etl` can use hangs on conditions of `aws:SourceVpce`, which is not known here"]);
}
