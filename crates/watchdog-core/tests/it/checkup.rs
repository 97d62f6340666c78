//! Each fault is found, a healthy installation is fine, and what was not seen is never called so.

use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use jiff::{SignedDuration, Timestamp};
use watchdog_core::bytes::Bytes;
use watchdog_core::checkup::{
    Alarm, Blind, Candidate, Check, Checkup, Function, Kind, Outcome, Place, Principal, Principals, Quota, Resource,
    Schedule, Severity, Stack, State, Subscription, TableState, TimeToLive, Verification, Workgroup, checkup,
    identities, policy_in_force,
};
use watchdog_core::ledger::StoredPolicy;
use watchdog_core::policy::{Document, Policy};
use watchdog_core::usage::Listed;

const POLICY: &str = r#"
[mail]
sender = "watchdog@example.com"
admins = ["ann@example.com"]
allowed_domains = ["example.com", "team.example.org"]

[report]
weekly = "mon 08:00"
to = ["vp@example.com"]

[[workgroup]]
name = "exploratory"
owner = "eve@team.example.org"
[[workgroup.limit]]
window = "1h"
limit = "700 GB"
audience = ["owner", "oncall@example.com"]

[[workgroup]]
name = "fast-query"
per_query_cutoff = "50 GB"
"#;

const PATH: &str = "/athena-quota-watchdog/prod/policy";

fn now() -> Timestamp {
    "2026-03-01T14:05:00Z".parse().unwrap()
}

fn document(text: &str) -> Document {
    Document { name: "00-stack".to_owned(), text: text.to_owned() }
}

fn workgroup(per_query_cutoff: Option<u64>) -> Workgroup {
    Workgroup {
        enabled: true,
        publishes_metrics: true,
        enforces: true,
        per_query_cutoff: per_query_cutoff.map(Bytes::new),
        output: None,
    }
}

fn alarm(name: &str, namespace: &str, metric: &str, dimension: (&str, &str)) -> Alarm {
    Alarm {
        name: name.to_owned(),
        namespace: namespace.to_owned(),
        metric: metric.to_owned(),
        dimensions: [(dimension.0.to_owned(), dimension.1.to_owned())].into(),
        statistic: "Sum".to_owned(),
        seconds: 3600,
        periods: 1,
        threshold: Some(700_000_000_000),
        comparison: "GreaterThanOrEqualToThreshold".to_owned(),
        actions_enabled: true,
        actions: ["arn:aws:sns:eu-central-1:111122223333:prod-AlarmTopic-X".to_owned()].into(),
    }
}

fn silence_alarm() -> Alarm {
    let mut alarm =
        alarm("prod-SilenceAlarm-X", "AthenaQuotaWatchdog", "CompletedRuns", ("FunctionName", "prod-Function-X"));
    (alarm.seconds, alarm.threshold) = (900, Some(1));
    alarm
}

fn limit_alarm() -> Alarm {
    alarm("prod-ExploratoryLimitAlarm-X", "AWS/Athena", "ProcessedBytes", ("WorkGroup", "exploratory"))
}

fn stack() -> Stack {
    let resource = |kind: &str, id: &str| Resource {
        kind: kind.to_owned(),
        id: id.to_owned(),
        status: "CREATE_COMPLETE".to_owned(),
        updated: Some(now() - SignedDuration::from_hours(24)),
    };
    let resources = [
        ("Function", "AWS::Lambda::Function", "prod-Function-X"),
        ("FunctionRun", "AWS::Scheduler::Schedule", "prod-FunctionRun-X"),
        ("FunctionRunRole", "AWS::IAM::Role", "prod-FunctionRunRole-X"),
        ("StateTable", "AWS::DynamoDB::Table", "prod-StateTable-X"),
        ("AlarmTopic", "AWS::SNS::Topic", "arn:aws:sns:eu-central-1:111122223333:prod-AlarmTopic-X"),
        ("SilenceAlarm", "AWS::CloudWatch::Alarm", "prod-SilenceAlarm-X"),
        ("ExploratoryLimitAlarm", "AWS::CloudWatch::Alarm", "prod-ExploratoryLimitAlarm-X"),
        ("ConfinementPolicy", "AWS::IAM::ManagedPolicy", "arn:aws:iam::111122223333:policy/prod-ConfinementPolicy-X"),
        ("ExploratoryPolicy", "AWS::IAM::ManagedPolicy", "arn:aws:iam::111122223333:policy/exploratory"),
        ("FastQueryPolicy", "AWS::IAM::ManagedPolicy", "arn:aws:iam::111122223333:policy/fast-query"),
    ];
    Stack {
        status: "UPDATE_COMPLETE".to_owned(),
        resources: resources.map(|(logical, kind, id)| (logical.to_owned(), resource(kind, id))).into(),
    }
}

fn principal(kind: Kind, name: &str, policies: &[&str], any: bool, may: &[&str]) -> Principal {
    let word = if kind == Kind::User { "user" } else { "role" };
    Principal {
        who: Candidate {
            kind,
            name: name.to_owned(),
            arn: format!("arn:aws:iam::111122223333:{word}/{name}"),
            path: "/".to_owned(),
            policies: policies.iter().map(|&arn| arn.to_owned()).collect(),
            tags: BTreeMap::new(),
        },
        any,
        may: may.iter().map(|&name| name.to_owned()).collect(),
    }
}

/// Everything is as it should be.
fn healthy() -> State {
    let mut listed = Listed::default();
    listed.insert(&[("WorkGroup", "exploratory")]);
    let verified = [("example.com", Verification::Verified), ("example.org", Verification::Verified)];
    let exploratory =
        principal(Kind::User, "eve", &["arn:aws:iam::111122223333:policy/exploratory"], false, &["exploratory"]);
    State {
        place: Place {
            partition: "aws".to_owned(),
            region: "eu-central-1".to_owned(),
            account: "111122223333".to_owned(),
            stack: "prod".to_owned(),
            policy_path: PATH.to_owned(),
            policy_from_files: false,
        },
        now: now(),
        clock: Some(SignedDuration::ZERO),
        stack: Ok(Some(stack())),
        documents: Ok(vec![document(POLICY)]),
        stored: Ok(Some(StoredPolicy {
            documents: vec![document(POLICY)],
            since: now() - SignedDuration::from_hours(9),
        })),
        workgroups: Ok([
            ("exploratory".to_owned(), Ok(workgroup(None))),
            ("fast-query".to_owned(), Ok(workgroup(Some(50_000_000_000)))),
        ]
        .into()),
        metrics: Ok(listed),
        alarms: Ok(vec![silence_alarm(), limit_alarm()]),
        principals: Ok(Principals { evaluated: vec![exploratory], total: 7, blind: Vec::new() }),
        schedule: Ok(Some(Schedule {
            name: "prod-FunctionRun-X".to_owned(),
            expression: "rate(5 minutes)".to_owned(),
            enabled: true,
            target: "arn:aws:lambda:eu-central-1:111122223333:function:prod-Function-X".to_owned(),
            ends: None,
        })),
        function: Ok(Some(Function { name: "prod-Function-X".to_owned(), invocations: 12, errors: 0, throttles: 0 })),
        table: Ok(Some(TableState {
            name: "prod-StateTable-X".to_owned(),
            status: "ACTIVE".to_owned(),
            keys: vec![("pk".to_owned(), "HASH".to_owned()), ("sk".to_owned(), "RANGE".to_owned())],
        })),
        time_to_live: Ok(TimeToLive { enabled: true, attribute: Some("expires_at".to_owned()) }),
        last_run: Ok(Some(now() - SignedDuration::from_mins(4))),
        identities: Ok(verified.map(|(name, verification)| (name.to_owned(), verification)).into()),
        quota: Ok(Quota { per_day: Some(50_000), per_second: 14, sent: 12 }),
        sending: Ok(true),
        subscriptions: Ok(Some(vec![Subscription {
            protocol: "email".to_owned(),
            endpoint: "ann@example.com".to_owned(),
            confirmed: true,
        }])),
    }
}

fn denied(operation: &str) -> Blind {
    Blind::Denied { operation: operation.to_owned() }
}

fn lines(check: &Check, out: &mut String) {
    let outcome = check.outcome();
    if outcome == Outcome::Fine {
        return;
    }
    for finding in &check.findings {
        out.push_str(&format!("{} {}: {} [{}]\n", check.id, finding.severity.word(), finding.what, finding.on));
        for command in &finding.remedy {
            out.push_str(&format!("  $ {command}\n"));
        }
    }
    for blind in &check.blind {
        out.push_str(&format!("{} unknown: {blind}\n", check.id));
    }
}

fn shown(checkup: &Checkup) -> String {
    let mut out = format!("{}\n", checkup.outcome().word());
    checkup.checks.iter().for_each(|check| lines(check, &mut out));
    out
}

/// What is found once something of a healthy installation is changed.
#[track_caller]
fn check(change: impl FnOnce(&mut State), expected: &Expect) {
    let mut state = healthy();
    change(&mut state);
    expected.assert_eq(&shown(&checkup(&state)));
}

fn exploratory(state: &mut State) -> &mut Workgroup {
    state.workgroups.as_mut().unwrap().get_mut("exploratory").unwrap().as_mut().unwrap()
}

fn alarms(state: &mut State) -> &mut Vec<Alarm> {
    state.alarms.as_mut().unwrap()
}

fn people(state: &mut State) -> &mut Vec<Principal> {
    &mut state.principals.as_mut().unwrap().evaluated
}

#[test]
fn a_healthy_installation_is_fine_and_says_what_was_looked_at() {
    let checkup = checkup(&healthy());
    let fine: Vec<String> = checkup.checks.iter().map(|check| format!("{}: {}", check.id, check.fine)).collect();
    assert_eq!(checkup.outcome(), Outcome::Fine, "{}", shown(&checkup));
    expect![[r#"
        stack: stack `prod` is deployed, each resource as CloudFormation made it
        policy: the policy is valid: 1 document from /athena-quota-watchdog/prod/policy
        workgroups: the policy's workgroups exist: 2 workgroups
        metrics: 2 watched workgroups publish metrics to CloudWatch
        enforced settings: the settings of 2 watched workgroups win over those of a query
        cutoffs: 1 per-query cutoff as the policy says
        watched: every workgroup is covered by a rule
        limit alarms: 1 alarm of CloudWatch as the policy says
        stack alarms: 1 alarm of the stack there, and heard
        alarm topic: 1 subscription to the alarm topic confirmed
        confinement: no user or role beside administrators can use any workgroup (7 read, 1 of them evaluated by IAM)
        several policies: 1 holder of a workgroup's policy can use what they were given
        schedule: the schedule fires: rate(5 minutes)
        function: the function failed none of 12 invocations in the last hour
        last run: the last run was completed 4 minutes ago
        state table: the state table is active, its key is `pk` and `sk`
        table TTL: the state table forgets by `expires_at`
        sender: SES has verified the sender `watchdog@example.com`
        sending: SES lets the account send: 12 of 50000 mails used in the last 24 hours
        sandbox: the account is out of the SES sandbox
        recipients: SES takes mail to 4 addresses of the policy
        clock: this machine's clock agrees with AWS's"#]]
    .assert_eq(&fine.join("\n"));
}

#[test]
fn ids_are_distinct() {
    let checks = checkup(&healthy()).checks;
    let ids: std::collections::BTreeSet<&str> = checks.iter().map(|check| check.id).collect();
    assert_eq!(ids.len(), checks.len());
}

#[test]
fn the_stack() {
    check(
        |state| state.stack = Ok(None),
        &expect![[r#"
            unknown
            stack critical: there is no stack `prod` in eu-central-1 [stack/prod]
              $ aws cloudformation list-stacks --query 'StackSummaries[].[StackName,StackStatus]' --output text --region eu-central-1
              $ sam build && sam deploy --stack-name prod --region eu-central-1
            stack alarms unknown: there is no such stack
            several policies unknown: there is no such stack
        "#]],
    );
    // The workgroups, the table and the like are retained, and still listed.
    let is_in = |status: &'static str| {
        move |state: &mut State| state.stack.as_mut().unwrap().as_mut().unwrap().status = status.to_owned()
    };
    check(
        is_in("ROLLBACK_COMPLETE"),
        &expect![[r#"
        critical
        stack critical: the first deployment of the stack `prod` failed: it is in ROLLBACK_COMPLETE [stack/prod]
          $ aws cloudformation delete-stack --stack-name prod --region eu-central-1
          $ aws cloudformation wait stack-delete-complete --stack-name prod --region eu-central-1
          $ sam build && sam deploy --stack-name prod --region eu-central-1
    "#]],
    );
    check(
        is_in("UPDATE_ROLLBACK_FAILED"),
        &expect![[r#"
        warning
        stack warning: the stack's last change failed, and so did taking it back: it is in UPDATE_ROLLBACK_FAILED [stack/prod]
          $ aws cloudformation continue-update-rollback --stack-name prod --region eu-central-1
    "#]],
    );
    check(
        is_in("UPDATE_ROLLBACK_COMPLETE"),
        &expect![[r#"
        fine
    "#]],
    );
    check(
        |state| {
            let stack = state.stack.as_mut().unwrap().as_mut().unwrap();
            stack.resources.get_mut("StateTable").unwrap().status = "UPDATE_FAILED".to_owned();
        },
        &expect![[r#"
            warning
            stack warning: the stack's last change failed at `StateTable` [stack/prod]
              $ aws cloudformation describe-stack-events --stack-name prod --max-items 20 --region eu-central-1
        "#]],
    );
}

#[test]
fn a_stack_whose_first_deployment_failed_is_not_fine() {
    let mut state = healthy();
    state.stack = Ok(Some(Stack::default()));
    let stack = &checkup(&state).checks[0];
    assert_eq!((stack.id, stack.outcome()), ("stack", Outcome::Critical));
    assert!(stack.findings[0].remedy[0].contains("delete-stack --stack-name prod"), "{:?}", stack.findings);
}

#[test]
fn the_policy() {
    check(
        |state| state.documents = Ok(vec![]),
        &expect![[r#"
            warning
            policy warning: there is no policy: no parameter below `/athena-quota-watchdog/prod/policy` [/athena-quota-watchdog/prod/policy]
              $ watchdog check 10-mine.toml
              $ aws ssm put-parameter --name /athena-quota-watchdog/prod/policy/10-mine --type String --overwrite --value "$(cat 10-mine.toml)" --region eu-central-1
        "#]],
    );
    check(
        |state| {
            state.documents = Ok(vec![]);
            state.stored = Ok(None);
        },
        &expect![[r#"
            unknown
            policy critical: there is no policy: no parameter below `/athena-quota-watchdog/prod/policy` [/athena-quota-watchdog/prod/policy]
              $ watchdog check 10-mine.toml
              $ aws ssm put-parameter --name /athena-quota-watchdog/prod/policy/10-mine --type String --overwrite --value "$(cat 10-mine.toml)" --region eu-central-1
            workgroups unknown: there is no valid policy to compare with
            metrics unknown: there is no valid policy to compare with
            enforced settings unknown: there is no valid policy to compare with
            cutoffs unknown: there is no valid policy to compare with
            watched unknown: there is no valid policy to compare with
            limit alarms unknown: there is no valid policy to compare with
            sender unknown: there is no valid policy to compare with
            recipients unknown: there is no valid policy to compare with
        "#]],
    );
    // An older one is in force: the rest is compared with that.
    check(
        |state| state.documents = Ok(vec![document(&POLICY.replace("700 GB", "700"))]),
        &expect![[r#"
            warning
            policy warning: the policy has 1 problem; the first: 00-stack:16:9: `limit`: `700` has no unit: write for example `700 GB` (10^9 bytes) or `700 GiB` (2^30 bytes) [/athena-quota-watchdog/prod/policy]
              $ aws ssm get-parameter --name /athena-quota-watchdog/prod/policy/00-stack --query Parameter.Value --output text --region eu-central-1 > 00-stack.toml
              $ watchdog check 00-stack.toml
              $ aws ssm put-parameter --name /athena-quota-watchdog/prod/policy/00-stack --type String --overwrite --value "$(cat 00-stack.toml)" --region eu-central-1
        "#]],
    );
    check(
        |state| state.documents = Err(denied("ssm:GetParametersByPath")),
        &expect![[r#"
        unknown
        policy unknown: the permission `ssm:GetParametersByPath` is missing
    "#]],
    );
}

#[test]
fn workgroups() {
    check(
        |state| drop(state.workgroups.as_mut().unwrap().remove("fast-query")),
        &expect![[r#"
            warning
            workgroups warning: workgroup `fast-query` does not exist [workgroup/fast-query]
              $ aws athena create-work-group --name fast-query --configuration 'PublishCloudWatchMetricsEnabled=true,EnforceWorkGroupConfiguration=true,ResultConfiguration={OutputLocation=s3://BUCKET/fast-query/,EncryptionConfiguration={EncryptionOption=SSE_S3}},BytesScannedCutoffPerQuery=50000000000' --region eu-central-1
        "#]],
    );
    check(
        |state| {
            exploratory(state).output = Some("s3://results/prod/exploratory/".to_owned());
            state.workgroups.as_mut().unwrap().remove("fast-query");
        },
        &expect![[r#"
            warning
            workgroups warning: workgroup `fast-query` does not exist [workgroup/fast-query]
              $ aws athena create-work-group --name fast-query --configuration 'PublishCloudWatchMetricsEnabled=true,EnforceWorkGroupConfiguration=true,ResultConfiguration={OutputLocation=s3://results/prod/fast-query/,EncryptionConfiguration={EncryptionOption=SSE_S3}},BytesScannedCutoffPerQuery=50000000000' --region eu-central-1
        "#]],
    );
    check(
        |state| exploratory(state).enabled = false,
        &expect![[r#"
            note
            workgroups note: workgroup `exploratory` is disabled [workgroup/exploratory]
              $ aws athena update-work-group --work-group exploratory --state ENABLED --region eu-central-1
        "#]],
    );
    check(
        |state| exploratory(state).publishes_metrics = false,
        &expect![[r#"
            critical
            metrics critical: workgroup `exploratory` publishes no metrics [workgroup/exploratory]
              $ aws athena update-work-group --work-group exploratory --configuration-updates PublishCloudWatchMetricsEnabled=true --region eu-central-1
        "#]],
    );
    check(
        |state| exploratory(state).enforces = false,
        &expect![[r#"
            warning
            enforced settings warning: workgroup `exploratory` does not enforce its settings [workgroup/exploratory]
              $ aws athena update-work-group --work-group exploratory --configuration-updates EnforceWorkGroupConfiguration=true --region eu-central-1
        "#]],
    );
    check(
        |state| drop(state.workgroups.as_mut().unwrap().insert("fast-query".to_owned(), Ok(workgroup(None)))),
        &expect![[r#"
            warning
            cutoffs warning: workgroup `fast-query` cuts no query off, and the policy says 50 GB (50,000,000,000 bytes) [workgroup/fast-query]
              $ aws athena update-work-group --work-group fast-query --configuration-updates BytesScannedCutoffPerQuery=50000000000 --region eu-central-1
        "#]],
    );
    check(
        |state| {
            drop(
                state.workgroups.as_mut().unwrap().insert("fast-query".to_owned(), Ok(workgroup(Some(60_000_000_000)))),
            )
        },
        &expect![[r#"
            warning
            cutoffs warning: workgroup `fast-query` cuts a query off at 60 GB (60,000,000,000 bytes), and the policy says 50 GB (50,000,000,000 bytes) [workgroup/fast-query]
              $ aws athena update-work-group --work-group fast-query --configuration-updates BytesScannedCutoffPerQuery=50000000000 --region eu-central-1
        "#]],
    );
    check(
        |state| state.documents = Ok(vec![document(&POLICY.replace("\"fast-query\"", "\"fats-*\""))]),
        &expect![[r#"
            note
            workgroups note: the rule `fats-*` matches no workgroup [policy]
              $ aws athena list-work-groups --query 'WorkGroups[].Name' --output text --region eu-central-1
            watched note: workgroup `fast-query` is covered by no rule; a query is cut off at 50 GB [workgroup/fast-query]
              $ printf '[[workgroup]]\nname = "fast-query"\n[[workgroup.limit]]\nwindow = "24h"\nlimit = "1 TB"\n' > 50-fast-query.toml
              $ aws ssm put-parameter --name /athena-quota-watchdog/prod/policy/50-fast-query --type String --overwrite --value "$(cat 50-fast-query.toml)" --region eu-central-1
        "#]],
    );
}

#[test]
fn a_workgroup_that_nobody_watches_matters_as_much_as_it_can_be_used() {
    let add = |state: &mut State, cutoff| {
        state.workgroups.as_mut().unwrap().insert("primary".to_owned(), Ok(workgroup(cutoff)));
    };
    check(
        |state| add(state, None),
        &expect![[r#"
            note
            watched note: workgroup `primary` is covered by no rule and has no limit at all [workgroup/primary]
              $ printf '[[workgroup]]\nname = "primary"\n[[workgroup.limit]]\nwindow = "24h"\nlimit = "1 TB"\n' > 50-primary.toml
              $ aws ssm put-parameter --name /athena-quota-watchdog/prod/policy/50-primary --type String --overwrite --value "$(cat 50-primary.toml)" --region eu-central-1
        "#]],
    );
    check(
        |state| {
            add(state, Some(10_000_000));
            people(state).push(principal(Kind::User, "dan", &[], true, &["primary"]));
        },
        &expect![[r#"
            warning
            watched warning: workgroup `primary` is covered by no rule; a query is cut off at 10 MB [workgroup/primary]
              $ printf '[[workgroup]]\nname = "primary"\n[[workgroup.limit]]\nwindow = "24h"\nlimit = "1 TB"\n' > 50-primary.toml
              $ aws ssm put-parameter --name /athena-quota-watchdog/prod/policy/50-primary --type String --overwrite --value "$(cat 50-primary.toml)" --region eu-central-1
            confinement warning: user `dan` can use any workgroup [arn:aws:iam::111122223333:user/dan]
              $ aws iam attach-user-policy --user-name dan --policy-arn arn:aws:iam::111122223333:policy/prod-ConfinementPolicy-X
        "#]],
    );
    check(
        |state| {
            add(state, None);
            state.principals = Err(denied("iam:GetAccountAuthorizationDetails"));
        },
        &expect![[r#"
            unknown
            watched warning: workgroup `primary` is covered by no rule and has no limit at all [workgroup/primary]
              $ printf '[[workgroup]]\nname = "primary"\n[[workgroup.limit]]\nwindow = "24h"\nlimit = "1 TB"\n' > 50-primary.toml
              $ aws ssm put-parameter --name /athena-quota-watchdog/prod/policy/50-primary --type String --overwrite --value "$(cat 50-primary.toml)" --region eu-central-1
            confinement unknown: the permission `iam:GetAccountAuthorizationDetails` is missing
            several policies unknown: the permission `iam:GetAccountAuthorizationDetails` is missing
        "#]],
    );
}

#[test]
fn alarms_of_limits() {
    check(
        |state| drop(alarms(state).pop()),
        &expect![[r#"
            warning
            limit alarms warning: the stack's alarm on `exploratory` does not exist (`prod-ExploratoryLimitAlarm-X`) [alarm/prod-ExploratoryLimitAlarm-X]
              $ aws cloudwatch put-metric-alarm --alarm-name prod-ExploratoryLimitAlarm-X --namespace AWS/Athena --metric-name ProcessedBytes --dimensions Name=WorkGroup,Value=exploratory --statistic Sum --period 3600 --evaluation-periods 1 --comparison-operator GreaterThanOrEqualToThreshold --threshold 700000000000 --treat-missing-data notBreaching --alarm-actions arn:aws:sns:eu-central-1:111122223333:prod-AlarmTopic-X --region eu-central-1
        "#]],
    );
    check(
        |state| alarms(state)[1].threshold = Some(600_000_000_000),
        &expect![[r#"
            warning
            limit alarms warning: alarm `prod-ExploratoryLimitAlarm-X` on `exploratory` goes off at 600 GB (600,000,000,000 bytes), and the policy's limit for 1h is 700 GB (700,000,000,000 bytes) [alarm/prod-ExploratoryLimitAlarm-X]
              $ aws cloudwatch put-metric-alarm --alarm-name prod-ExploratoryLimitAlarm-X --namespace AWS/Athena --metric-name ProcessedBytes --dimensions Name=WorkGroup,Value=exploratory --statistic Sum --period 3600 --evaluation-periods 1 --comparison-operator GreaterThanOrEqualToThreshold --threshold 700000000000 --treat-missing-data notBreaching --alarm-actions arn:aws:sns:eu-central-1:111122223333:prod-AlarmTopic-X --region eu-central-1
        "#]],
    );
    check(
        |state| alarms(state)[1].statistic = "Maximum".to_owned(),
        &expect![[r#"
            warning
            limit alarms warning: alarm `prod-ExploratoryLimitAlarm-X` compares `Maximum` of the use in `exploratory` by `GreaterThanOrEqualToThreshold` [alarm/prod-ExploratoryLimitAlarm-X]
              $ aws cloudwatch put-metric-alarm --alarm-name prod-ExploratoryLimitAlarm-X --namespace AWS/Athena --metric-name ProcessedBytes --dimensions Name=WorkGroup,Value=exploratory --statistic Sum --period 3600 --evaluation-periods 1 --comparison-operator GreaterThanOrEqualToThreshold --threshold 700000000000 --treat-missing-data notBreaching --alarm-actions arn:aws:sns:eu-central-1:111122223333:prod-AlarmTopic-X --region eu-central-1
        "#]],
    );
    check(
        |state| alarms(state)[1].actions_enabled = false,
        &expect![[r#"
            warning
            limit alarms warning: the actions of alarm `prod-ExploratoryLimitAlarm-X` are switched off [alarm/prod-ExploratoryLimitAlarm-X]
              $ aws cloudwatch enable-alarm-actions --alarm-names prod-ExploratoryLimitAlarm-X --region eu-central-1
        "#]],
    );
    check(
        |state| alarms(state)[1].actions.clear(),
        &expect![[r#"
            warning
            limit alarms warning: alarm `prod-ExploratoryLimitAlarm-X` has no action [alarm/prod-ExploratoryLimitAlarm-X]
              $ aws cloudwatch put-metric-alarm --alarm-name prod-ExploratoryLimitAlarm-X --namespace AWS/Athena --metric-name ProcessedBytes --dimensions Name=WorkGroup,Value=exploratory --statistic Sum --period 3600 --evaluation-periods 1 --comparison-operator GreaterThanOrEqualToThreshold --threshold 700000000000 --treat-missing-data notBreaching --alarm-actions arn:aws:sns:eu-central-1:111122223333:prod-AlarmTopic-X --region eu-central-1
        "#]],
    );
    check(
        |state| {
            alarms(state)[1].dimensions.extend([
                ("QueryState".to_owned(), "SUCCEEDED".to_owned()),
                ("QueryType".to_owned(), "DML".to_owned()),
            ]);
        },
        &expect![[r#"
            warning
            limit alarms warning: alarm `prod-ExploratoryLimitAlarm-X` is on a metric that Athena does not publish for `exploratory` [alarm/prod-ExploratoryLimitAlarm-X]
              $ aws cloudwatch put-metric-alarm --alarm-name prod-ExploratoryLimitAlarm-X --namespace AWS/Athena --metric-name ProcessedBytes --dimensions Name=WorkGroup,Value=exploratory --statistic Sum --period 3600 --evaluation-periods 1 --comparison-operator GreaterThanOrEqualToThreshold --threshold 700000000000 --treat-missing-data notBreaching --alarm-actions arn:aws:sns:eu-central-1:111122223333:prod-AlarmTopic-X --region eu-central-1
        "#]],
    );
}

#[track_caller]
fn limit_alarm_is_wrong(change: impl FnOnce(&mut State), what: &str) {
    let mut state = healthy();
    change(&mut state);
    let checkup = checkup(&state);
    let check = checkup.checks.iter().find(|check| check.id == "limit alarms").unwrap();
    let found: Vec<_> = check.findings.iter().map(|finding| (finding.severity, finding.what.as_str())).collect();
    assert_eq!(found, [(Severity::Warning, what)]);
}

#[test]
fn an_alarm_on_a_part_of_the_use_or_on_parts_of_the_window_is_not_the_limits() {
    limit_alarm_is_wrong(
        |state| alarms(state)[1].periods = 12,
        "alarm `prod-ExploratoryLimitAlarm-X` on `exploratory` compares 12 periods one by one, not their sum",
    );
    limit_alarm_is_wrong(
        |state| {
            let set = [("WorkGroup", "exploratory"), ("QueryState", "SUCCEEDED"), ("QueryType", "DML")];
            state.metrics.as_mut().unwrap().insert(&set);
            alarms(state)[1].dimensions = set.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        },
        "alarm `prod-ExploratoryLimitAlarm-X` sees a part of the use in `exploratory` only",
    );
}

#[test]
fn alarms_that_are_right_in_other_ways() {
    let fine = &expect![["fine\n"]];
    // As Athena's console makes them.
    check(|state| alarms(state)[1].comparison = "GreaterThanThreshold".to_owned(), fine);
    // An early warning beside the limit's own.
    check(
        |state| {
            let mut early = limit_alarm();
            (early.name, early.threshold) = ("early".to_owned(), Some(350_000_000_000));
            alarms(state).push(early);
        },
        fine,
    );
    // Idle for two weeks, so that no metric is listed.
    check(|state| state.metrics = Ok(Listed::default()), fine);
}

#[test]
fn alarms_of_the_stack_and_who_hears_them() {
    check(
        |state| drop(alarms(state).remove(0)),
        &expect![[r#"
            warning
            stack alarms warning: the stack's alarm `SilenceAlarm` does not exist (`prod-SilenceAlarm-X`) [alarm/prod-SilenceAlarm-X]
              $ aws cloudwatch put-metric-alarm --alarm-name prod-SilenceAlarm-X --namespace AthenaQuotaWatchdog --metric-name CompletedRuns --dimensions Name=FunctionName,Value=prod-Function-X --statistic Sum --period 900 --evaluation-periods 1 --comparison-operator LessThanThreshold --threshold 1 --treat-missing-data breaching --ok-actions arn:aws:sns:eu-central-1:111122223333:prod-AlarmTopic-X --alarm-actions arn:aws:sns:eu-central-1:111122223333:prod-AlarmTopic-X --region eu-central-1
        "#]],
    );
    check(
        |state| alarms(state)[0].actions_enabled = false,
        &expect![[r#"
            warning
            stack alarms warning: the actions of the stack's alarm `SilenceAlarm` are switched off [alarm/prod-SilenceAlarm-X]
              $ aws cloudwatch enable-alarm-actions --alarm-names prod-SilenceAlarm-X --region eu-central-1
        "#]],
    );
    check(
        |state| state.subscriptions = Ok(Some(vec![])),
        &expect![[r#"
            warning
            alarm topic warning: nobody has confirmed a subscription to the alarm topic [arn:aws:sns:eu-central-1:111122223333:prod-AlarmTopic-X]
              $ aws sns subscribe --topic-arn arn:aws:sns:eu-central-1:111122223333:prod-AlarmTopic-X --protocol email --notification-endpoint ann@example.com --region eu-central-1
        "#]],
    );
    check(
        |state| state.subscriptions.as_mut().unwrap().as_mut().unwrap()[0].confirmed = false,
        &expect![[r#"
            warning
            alarm topic warning: nobody has confirmed a subscription to the alarm topic [arn:aws:sns:eu-central-1:111122223333:prod-AlarmTopic-X]
              $ aws sns subscribe --topic-arn arn:aws:sns:eu-central-1:111122223333:prod-AlarmTopic-X --protocol email --notification-endpoint ann@example.com --region eu-central-1
        "#]],
    );
    check(
        |state| {
            let waiting = Subscription {
                protocol: "email".to_owned(),
                endpoint: "o'neil@example.com".to_owned(),
                confirmed: false,
            };
            state.subscriptions.as_mut().unwrap().as_mut().unwrap().push(waiting);
        },
        &expect![[r#"
            note
            alarm topic note: not confirmed yet: `o'neil@example.com` [arn:aws:sns:eu-central-1:111122223333:prod-AlarmTopic-X]
              $ aws sns subscribe --topic-arn arn:aws:sns:eu-central-1:111122223333:prod-AlarmTopic-X --protocol email --notification-endpoint 'o'\''neil@example.com' --region eu-central-1
        "#]],
    );
    check(
        |state| state.subscriptions = Ok(None),
        &expect![[r#"
            critical
            alarm topic critical: the alarm topic `arn:aws:sns:eu-central-1:111122223333:prod-AlarmTopic-X` does not exist [arn:aws:sns:eu-central-1:111122223333:prod-AlarmTopic-X]
              $ aws sns create-topic --name prod-AlarmTopic-X --region eu-central-1
        "#]],
    );
}

#[test]
fn who_can_use_any_workgroup() {
    check(
        |state| {
            let mut sign_on = principal(Kind::Role, "AWSReservedSSO_Analyst_0123", &[], true, &[]);
            sign_on.who.path = "/aws-reserved/sso.amazonaws.com/eu-central-1/".to_owned();
            people(state).extend([
                principal(
                    Kind::User,
                    "dan",
                    &["arn:aws:iam::aws:policy/AmazonAthenaFullAccess"],
                    true,
                    &["exploratory"],
                ),
                principal(Kind::Role, "etl", &[], true, &[]),
                sign_on,
                principal(Kind::User, "root-ish", &["arn:aws:iam::aws:policy/AdministratorAccess"], true, &["primary"]),
                principal(Kind::User, "old", &[], false, &["primary"]),
            ]);
        },
        &expect![[r#"
            warning
            confinement warning: user `dan` can use any workgroup [arn:aws:iam::111122223333:user/dan]
              $ aws iam attach-user-policy --user-name dan --policy-arn arn:aws:iam::111122223333:policy/prod-ConfinementPolicy-X
            confinement warning: role `etl` can use any workgroup [arn:aws:iam::111122223333:role/etl]
              $ aws iam attach-role-policy --role-name etl --policy-arn arn:aws:iam::111122223333:policy/prod-ConfinementPolicy-X
            confinement warning: role `AWSReservedSSO_Analyst_0123` can use any workgroup [arn:aws:iam::111122223333:role/AWSReservedSSO_Analyst_0123]
              $ aws sso-admin attach-customer-managed-policy-reference-to-permission-set --instance-arn INSTANCE_ARN --permission-set-arn PERMISSION_SET_ARN --customer-managed-policy-reference Name=prod-ConfinementPolicy-X --region eu-central-1
            confinement note: user `old` can use the workgroup `primary` [arn:aws:iam::111122223333:user/old]
              $ aws iam attach-user-policy --user-name old --policy-arn arn:aws:iam::111122223333:policy/prod-ConfinementPolicy-X
            confinement note: 1 administrator can use any workgroup: `root-ish` [administrators]
        "#]],
    );
    check(
        |state| {
            state.principals.as_mut().unwrap().blind = vec![denied("iam:SimulatePrincipalPolicy")];
        },
        &expect![[r#"
            unknown
            confinement unknown: the permission `iam:SimulatePrincipalPolicy` is missing
        "#]],
    );
    // A stack from before there was such a policy.
    check(
        |state| {
            state.stack.as_mut().unwrap().as_mut().unwrap().resources.remove("ConfinementPolicy");
            people(state).push(principal(Kind::User, "dan", &[], true, &[]));
        },
        &expect![[r#"
            warning
            confinement warning: user `dan` can use any workgroup [arn:aws:iam::111122223333:user/dan]
              $ sam build && sam deploy --stack-name prod --region eu-central-1
        "#]],
    );
}

#[test]
fn policies_that_shut_each_other_out() {
    let both = ["arn:aws:iam::111122223333:policy/exploratory", "arn:aws:iam::111122223333:policy/fast-query"];
    check(
        |state| people(state).push(principal(Kind::Role, "two", &both, false, &[])),
        &expect![[r#"
            warning
            several policies warning: role `two` holds the policies of `exploratory`, `fast-query` without the tags that name them [arn:aws:iam::111122223333:role/two]
              $ aws iam tag-role --role-name two --tags Key=athena-workgroup-1,Value=exploratory Key=athena-workgroup-2,Value=fast-query
        "#]],
    );
    let tagged = |values: [&'static str; 2]| {
        move |state: &mut State| {
            let mut two = principal(Kind::User, "two", &both, false, &["exploratory", "fast-query"]);
            two.who.tags = [("athena-workgroup-1", values[0]), ("athena-workgroup-2", values[1])]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into();
            people(state).push(two);
        }
    };
    check(tagged(["fast-query", "exploratory"]), &expect![["fine\n"]]);
    check(
        tagged(["fast-query", "ad-hoc"]),
        &expect![[r#"
            warning
            several policies warning: user `two` holds the policies of `exploratory`, `fast-query` without the tags that name them [arn:aws:iam::111122223333:user/two]
              $ aws iam tag-user --user-name two --tags Key=athena-workgroup-3,Value=exploratory
        "#]],
    );
}

#[test]
fn schedule_and_function() {
    let schedule =
        |state: &mut State, change: fn(&mut Schedule)| change(state.schedule.as_mut().unwrap().as_mut().unwrap());
    check(
        |state| state.schedule = Ok(None),
        &expect![[r#"
            critical
            schedule critical: the schedule does not exist [schedule]
              $ aws scheduler create-schedule --name prod-FunctionRun-X --schedule-expression 'rate(5 minutes)' --flexible-time-window Mode=OFF --target Arn=arn:aws:lambda:eu-central-1:111122223333:function:prod-Function-X,RoleArn=arn:aws:iam::111122223333:role/prod-FunctionRunRole-X --region eu-central-1
        "#]],
    );
    check(
        |state| schedule(state, |s| s.enabled = false),
        &expect![[r#"
            critical
            schedule critical: the schedule `prod-FunctionRun-X` is disabled [schedule/prod-FunctionRun-X]
              $ aws scheduler update-schedule --cli-input-json "$(aws scheduler get-schedule --name prod-FunctionRun-X --output json --query "{Name:Name,GroupName:GroupName,ScheduleExpression:ScheduleExpression,FlexibleTimeWindow:FlexibleTimeWindow,Target:Target,State:'ENABLED'}" --region eu-central-1)" --region eu-central-1
        "#]],
    );
    check(
        |state| schedule(state, |s| s.ends = Some(now())),
        &expect![[r#"
            critical
            schedule critical: the schedule `prod-FunctionRun-X` has ended [schedule/prod-FunctionRun-X]
              $ aws scheduler update-schedule --cli-input-json "$(aws scheduler get-schedule --name prod-FunctionRun-X --output json --query "{Name:Name,GroupName:GroupName,ScheduleExpression:ScheduleExpression,FlexibleTimeWindow:FlexibleTimeWindow,Target:Target,State:'ENABLED'}" --region eu-central-1)" --region eu-central-1
        "#]],
    );
    check(
        |state| schedule(state, |s| s.target.push_str("-old")),
        &expect![[r#"
            critical
            schedule critical: the schedule `prod-FunctionRun-X` invokes `arn:aws:lambda:eu-central-1:111122223333:function:prod-Function-X-old` and not the watchdog's function [schedule/prod-FunctionRun-X]
              $ aws scheduler update-schedule --cli-input-json "$(aws scheduler get-schedule --name prod-FunctionRun-X --output json --query "{Name:Name,GroupName:GroupName,ScheduleExpression:ScheduleExpression,FlexibleTimeWindow:FlexibleTimeWindow,Target:{Arn:'arn:aws:lambda:eu-central-1:111122223333:function:prod-Function-X',RoleArn:Target.RoleArn,RetryPolicy:Target.RetryPolicy,DeadLetterConfig:Target.DeadLetterConfig},State:'ENABLED'}" --region eu-central-1)" --region eu-central-1
        "#]],
    );
    check(|state| schedule(state, |s| s.target.push_str(":live")), &expect![["fine\n"]]);
    check(
        |state| schedule(state, |s| s.expression = "rate(1 hour)".to_owned()),
        &expect![[r#"
            warning
            schedule warning: the silence alarm waits 15 minutes and a run comes every 1 hour [schedule/prod-FunctionRun-X]
              $ sam build && sam deploy --stack-name prod --region eu-central-1 --parameter-overrides SilenceAlarmSeconds=10800
            schedule warning: a run comes every 1 hour and looks back 10 minutes at active queries [schedule/prod-FunctionRun-X]
              $ in the policy, below `[active_queries]`: look_back = "60 min"
        "#]],
    );
    let function = |invocations, errors, throttles| {
        move |state: &mut State| {
            let name = "prod-Function-X".to_owned();
            state.function = Ok(Some(Function { name, invocations, errors, throttles }));
        }
    };
    check(
        |state| state.function = Ok(None),
        &expect![[r#"
        critical
        function critical: the stack has no function [function]
          $ sam build && sam deploy --stack-name prod --region eu-central-1
    "#]],
    );
    check(function(0, 0, 0), &expect![["fine\n"]]);
    check(
        function(0, 0, 12),
        &expect![[r#"
            critical
            function critical: Lambda refused 12 invocations of `prod-Function-X` in the last hour [function/prod-Function-X]
              $ aws lambda get-function-concurrency --function-name prod-Function-X --region eu-central-1
              $ aws lambda delete-function-concurrency --function-name prod-Function-X --region eu-central-1
        "#]],
    );
    check(
        function(12, 1, 0),
        &expect![[r#"
            warning
            function warning: 1 of 12 invocations of `prod-Function-X` failed in the last hour [function/prod-Function-X]
              $ aws logs tail /aws/lambda/prod --since 1h --region eu-central-1
        "#]],
    );
    check(
        function(36, 36, 0),
        &expect![[r#"
            critical
            function critical: 36 of 36 invocations of `prod-Function-X` failed in the last hour [function/prod-Function-X]
              $ aws logs tail /aws/lambda/prod --since 1h --region eu-central-1
        "#]],
    );
}

#[test]
fn runs_that_are_too_old_by_the_schedule() {
    let last =
        |minutes: i64| move |state: &mut State| state.last_run = Ok(Some(now() - SignedDuration::from_mins(minutes)));
    check(
        last(15),
        &expect![[r#"
            fine
        "#]],
    );
    check(
        last(16),
        &expect![[r#"
            critical
            last run critical: no run has been completed for 16 minutes (since 2026-03-01 13:49 UTC) [function]
              $ aws logs tail /aws/lambda/prod --since 1h --region eu-central-1
        "#]],
    );
    // A machine whose clock is ten minutes behind sees an old run as young; AWS's clock decides.
    check(
        |state| {
            state.clock = Some(SignedDuration::from_mins(10));
            last(14)(state);
        },
        &expect![[r#"
            critical
            last run critical: no run has been completed for 24 minutes (since 2026-03-01 13:51 UTC) [function]
              $ aws logs tail /aws/lambda/prod --since 1h --region eu-central-1
            clock critical: this machine's clock is 10 minutes behind AWS's [this machine]
              $ sudo timedatectl set-ntp true
        "#]],
    );
    let cron = |minutes: i64| {
        move |state: &mut State| {
            state.schedule.as_mut().unwrap().as_mut().unwrap().expression = "cron(0 12 * * ? *)".to_owned();
            last(minutes)(state);
        }
    };
    check(
        cron(15),
        &expect![[r#"
            fine
        "#]],
    );
    check(
        cron(16),
        &expect![[r#"
            critical
            last run critical: no run has been completed for 16 minutes (since 2026-03-01 13:49 UTC) [function]
              $ aws logs tail /aws/lambda/prod --since 1h --region eu-central-1
        "#]],
    );
    check(
        |state| state.last_run = Ok(None),
        &expect![[r#"
            critical
            last run critical: no run has ever been completed [function]
              $ aws logs tail /aws/lambda/prod --since 1h --region eu-central-1
        "#]],
    );
    check(
        |state| {
            state.last_run = Ok(None);
            let stack = state.stack.as_mut().unwrap().as_mut().unwrap();
            stack.resources.get_mut("FunctionRun").unwrap().updated = Some(now() - SignedDuration::from_mins(3));
        },
        &expect![[r#"
            note
            last run note: no run has been completed yet; the stack is 3 minutes old [function]
        "#]],
    );
}

#[test]
fn the_table() {
    let table =
        |state: &mut State, change: fn(&mut TableState)| change(state.table.as_mut().unwrap().as_mut().unwrap());
    check(
        |state| state.table = Ok(None),
        &expect![[r#"
            critical
            state table critical: the state table `prod-StateTable-X` does not exist [table/prod-StateTable-X]
              $ aws dynamodb create-table --table-name prod-StateTable-X --billing-mode PAY_PER_REQUEST --attribute-definitions AttributeName=pk,AttributeType=S AttributeName=sk,AttributeType=S --key-schema AttributeName=pk,KeyType=HASH AttributeName=sk,KeyType=RANGE --region eu-central-1
              $ aws dynamodb update-time-to-live --table-name prod-StateTable-X --time-to-live-specification Enabled=true,AttributeName=expires_at --region eu-central-1
        "#]],
    );
    check(
        |state| table(state, |t| t.status = "ARCHIVED".to_owned()),
        &expect![[r#"
            critical
            state table critical: the state table `prod-StateTable-X` is `ARCHIVED` [table/prod-StateTable-X]
              $ aws dynamodb wait table-exists --table-name prod-StateTable-X --region eu-central-1
        "#]],
    );
    check(
        |state| table(state, |t| drop(t.keys.pop())),
        &expect![[r#"
            critical
            state table critical: the state table `prod-StateTable-X` has the key `pk` (HASH), not `pk` (HASH) and `sk` (RANGE) [table/prod-StateTable-X]
              $ aws dynamodb delete-table --table-name prod-StateTable-X --region eu-central-1
              $ aws dynamodb wait table-not-exists --table-name prod-StateTable-X --region eu-central-1
              $ aws dynamodb create-table --table-name prod-StateTable-X --billing-mode PAY_PER_REQUEST --attribute-definitions AttributeName=pk,AttributeType=S AttributeName=sk,AttributeType=S --key-schema AttributeName=pk,KeyType=HASH AttributeName=sk,KeyType=RANGE --region eu-central-1
              $ aws dynamodb update-time-to-live --table-name prod-StateTable-X --time-to-live-specification Enabled=true,AttributeName=expires_at --region eu-central-1
        "#]],
    );
    check(
        |state| state.time_to_live = Ok(TimeToLive { enabled: false, attribute: None }),
        &expect![[r#"
            warning
            table TTL warning: TTL is off on the state table `prod-StateTable-X` [table/prod-StateTable-X]
              $ aws dynamodb update-time-to-live --table-name prod-StateTable-X --time-to-live-specification Enabled=true,AttributeName=expires_at --region eu-central-1
        "#]],
    );
    check(
        |state| state.time_to_live = Ok(TimeToLive { enabled: true, attribute: Some("ttl".to_owned()) }),
        &expect![[r#"
            warning
            table TTL warning: TTL of the state table `prod-StateTable-X` is on `ttl`, not on `expires_at` [table/prod-StateTable-X]
              $ aws dynamodb update-time-to-live --table-name prod-StateTable-X --time-to-live-specification Enabled=false,AttributeName=ttl --region eu-central-1
              $ aws dynamodb update-time-to-live --table-name prod-StateTable-X --time-to-live-specification Enabled=true,AttributeName=expires_at --region eu-central-1
        "#]],
    );
}

#[test]
fn mail() {
    let sandbox = Quota { per_day: Some(200), per_second: 1, sent: 0 };
    check(
        |state| state.identities = Ok(BTreeMap::new()),
        &expect![[r#"
            critical
            sender critical: the sender `watchdog@example.com` is not known to SES in eu-central-1 [identity/watchdog@example.com]
              $ aws ses verify-email-identity --email-address watchdog@example.com --region eu-central-1
        "#]],
    );
    check(
        |state| state.identities = Ok([("watchdog@example.com".to_owned(), Verification::Pending)].into()),
        &expect![[r#"
            critical
            sender critical: the sender `watchdog@example.com` waits for its confirmation in eu-central-1 [identity/watchdog@example.com]
              $ aws ses verify-email-identity --email-address watchdog@example.com --region eu-central-1
        "#]],
    );
    check(
        |state| state.sending = Ok(false),
        &expect![[r#"
            critical
            sending critical: sending is switched off for the whole account [ses]
              $ aws ses update-account-sending-enabled --enabled --region eu-central-1
        "#]],
    );
    check(
        |state| state.quota = Ok(Quota { per_day: Some(1000), per_second: 14, sent: 800 }),
        &expect![[r#"
            warning
            sending warning: 800 of 1000 mails of the last 24 hours are used up [ses]
              $ aws service-quotas request-service-quota-increase --service-code ses --quota-code L-804C8AE8 --desired-value 50000 --region eu-central-1
        "#]],
    );
    check(
        |state| state.quota = Ok(sandbox),
        &expect![[r#"
            warning
            sandbox warning: SES is in the sandbox in eu-central-1 [ses]
              $ aws sesv2 put-account-details --production-access-enabled --mail-type TRANSACTIONAL --website-url https://example.com --use-case-description 'Operational alerts to our own staff' --region eu-central-1
        "#]],
    );
    // Admins, owners, addresses of audiences and of the weekly report, each by itself or by a domain above it.
    check(
        |state| {
            state.quota = Ok(sandbox);
            let verified = ["watchdog@example.com", "ann@example.com", "team.example.org"];
            state.identities = Ok(verified.map(|name| (name.to_owned(), Verification::Verified)).into());
        },
        &expect![[r#"
            critical
            sandbox warning: SES is in the sandbox in eu-central-1 [ses]
              $ aws sesv2 put-account-details --production-access-enabled --mail-type TRANSACTIONAL --website-url https://example.com --use-case-description 'Operational alerts to our own staff' --region eu-central-1
            recipients critical: SES refuses mail to `oncall@example.com`, `vp@example.com` [policy]
              $ aws ses verify-email-identity --email-address oncall@example.com --region eu-central-1
              $ aws ses verify-email-identity --email-address vp@example.com --region eu-central-1
        "#]],
    );
    check(
        |state| state.quota = Err(denied("ses:GetSendQuota")),
        &expect![[r#"
        unknown
        sending unknown: the permission `ses:GetSendQuota` is missing
        sandbox unknown: the permission `ses:GetSendQuota` is missing
        recipients unknown: the permission `ses:GetSendQuota` is missing
    "#]],
    );
}

#[test]
fn everybody_who_can_be_mailed_is_asked_about() {
    let policy = Policy::parse(&[document(POLICY)]).unwrap();
    let asked: Vec<String> = identities(&policy).into_iter().collect();
    expect![[r#"
        ann@example.com
        eve@team.example.org
        example.com
        example.org
        oncall@example.com
        team.example.org
        vp@example.com
        watchdog@example.com"#]]
    .assert_eq(&asked.join("\n"));
}

#[test]
fn clocks() {
    check(|state| state.clock = Some(SignedDuration::from_secs(-59)), &expect![["fine\n"]]);
    check(
        |state| state.clock = Some(SignedDuration::from_secs(-90)),
        &expect![[r#"
            warning
            clock warning: this machine's clock is 1 minute 30 seconds ahead of AWS's [this machine]
              $ sudo timedatectl set-ntp true
        "#]],
    );
    check(
        |state| state.clock = None,
        &expect![[r#"
        unknown
        clock unknown: no answer of AWS said what time it is
    "#]],
    );
}

/// Whatever single answer is denied: its checks are unknown, name the permission, and nothing else changes.
#[test]
fn what_was_not_seen_is_unknown_and_the_rest_goes_on() {
    type Deny = fn(&mut State);
    let denials: [(Deny, &[&str]); 13] = [
        (|s| s.stack = Err(denied("x:Y")), &["stack", "stack alarms", "several policies"]),
        (
            |s| s.workgroups = Err(denied("x:Y")),
            &["workgroups", "metrics", "enforced settings", "cutoffs", "watched", "limit alarms"],
        ),
        (|s| s.metrics = Err(denied("x:Y")), &["limit alarms"]),
        (|s| s.alarms = Err(denied("x:Y")), &["limit alarms", "stack alarms"]),
        (|s| s.principals = Err(denied("x:Y")), &["confinement", "several policies"]),
        (|s| s.schedule = Err(denied("x:Y")), &["schedule"]),
        (|s| s.function = Err(denied("x:Y")), &["function"]),
        (|s| s.table = Err(denied("x:Y")), &["state table"]),
        (|s| s.time_to_live = Err(denied("x:Y")), &["table TTL"]),
        (|s| s.last_run = Err(denied("x:Y")), &["last run"]),
        (|s| s.identities = Err(denied("x:Y")), &["sender"]),
        (|s| s.sending = Err(denied("x:Y")), &["sending"]),
        (|s| s.subscriptions = Err(denied("x:Y")), &["alarm topic"]),
    ];
    for (deny, ids) in denials {
        let mut state = healthy();
        deny(&mut state);
        let checkup = checkup(&state);
        let unknown: Vec<&str> =
            checkup.checks.iter().filter(|check| check.outcome() == Outcome::Unknown).map(|check| check.id).collect();
        assert_eq!(unknown, ids);
        assert_eq!(checkup.outcome(), Outcome::Unknown);
        for check in checkup.checks.iter().filter(|check| unknown.contains(&check.id)) {
            assert_eq!(check.blind[0].permission(), Some("x:Y"), "{}", check.id);
        }
    }
}

#[test]
fn without_a_valid_policy_nothing_is_compared_with_a_guess() {
    let mut state = healthy();
    state.documents = Ok(vec![document("nonsense")]);
    state.stored = Ok(None);
    assert_eq!(policy_in_force(&state), None);
    let checkup = checkup(&state);
    for id in
        ["workgroups", "metrics", "enforced settings", "cutoffs", "watched", "limit alarms", "sender", "recipients"]
    {
        let check = checkup.checks.iter().find(|check| check.id == id).unwrap();
        assert_eq!(check.outcome(), Outcome::Unknown, "{id}");
    }
}

/// The commands for the first finding of a check.
fn remedies(change: impl FnOnce(&mut State), id: &str) -> Vec<String> {
    let mut state = healthy();
    change(&mut state);
    let checkup = checkup(&state);
    let check = checkup.checks.iter().find(|check| check.id == id).unwrap();
    check.findings.first().map(|finding| finding.remedy.clone()).unwrap_or_default()
}

#[test]
fn somebody_elses_alarm_is_never_written_over() {
    let theirs = |state: &mut State| {
        let alarm = &mut alarms(state)[1];
        alarm.name = "our-early-warning".to_owned();
        alarm.threshold = Some(350_000_000_000);
    };
    let commands = remedies(theirs, "limit alarms");
    assert!(
        commands[0].contains("--alarm-name prod-ExploratoryLimitAlarm-X "),
        "the stack's own is made anew: {commands:?}"
    );
    let without_own = |state: &mut State| {
        theirs(state);
        state.stack.as_mut().unwrap().as_mut().unwrap().resources.remove("ExploratoryLimitAlarm");
    };
    let commands = remedies(without_own, "limit alarms");
    assert!(commands[0].contains("--alarm-name prod-exploratory-1h "), "{commands:?}");
}

#[test]
fn the_stacks_alarm_on_one_window_is_not_taken_for_another() {
    let longer = POLICY.replacen("window = \"1h\"", "window = \"2h\"", 1);
    let commands = remedies(|state| state.documents = Ok(vec![document(&longer)]), "limit alarms");
    assert!(
        commands[0].contains("--alarm-name prod-exploratory-2h ") && commands[0].contains("--period 7200"),
        "{commands:?}"
    );
}

#[test]
fn no_alarm_is_made_on_a_metric_that_is_not_there() {
    let split = |state: &mut State| {
        let mut listed = Listed::default();
        listed.insert(&[("QueryState", "SUCCEEDED"), ("QueryType", "DML"), ("WorkGroup", "exploratory")]);
        state.metrics = Ok(listed);
    };
    check_finds(split, "limit alarms", "is on a metric that Athena does not publish");
    assert_eq!(remedies(split, "limit alarms"), [""; 0]);
}

#[track_caller]
fn check_finds(change: impl FnOnce(&mut State), id: &str, what: &str) {
    let mut state = healthy();
    change(&mut state);
    let checkup = checkup(&state);
    let check = checkup.checks.iter().find(|check| check.id == id).unwrap();
    assert!(check.findings.iter().any(|finding| finding.what.contains(what)), "{check:?}");
}

#[test]
fn tags_that_are_there_stay_and_single_sign_on_is_no_fault() {
    let two = ["arn:aws:iam::111122223333:policy/exploratory", "arn:aws:iam::111122223333:policy/fast-query"];
    let tagged = |state: &mut State| {
        let mut role = principal(Kind::Role, "lead", &two, false, &[]);
        role.who.tags.insert("athena-workgroup-1".to_owned(), "analysts".to_owned());
        role.who.tags.insert("athena-workgroup-3".to_owned(), "fast-query".to_owned());
        people(state).push(role);
    };
    assert!(
        remedies(tagged, "several policies")[0].contains("--tags Key=athena-workgroup-2,Value=exploratory"),
        "{:?}",
        remedies(tagged, "several policies")
    );
    let sign_on = |state: &mut State| {
        let mut role = principal(Kind::Role, "AWSReservedSSO_Leads_0", &two, false, &[]);
        role.who.path = "/aws-reserved/sso.amazonaws.com/".to_owned();
        people(state).push(role);
    };
    check_finds(sign_on, "several policies", "whether its sessions name them cannot be seen");
    assert_eq!(remedies(sign_on, "several policies"), [""; 0], "IAM refuses tags on such a role");
}

#[test]
fn the_silence_alarm_is_made_anew_to_fit_the_schedule_and_says_when_it_is_over() {
    let gone = |state: &mut State| {
        alarms(state).remove(0);
        state.schedule.as_mut().unwrap().as_mut().unwrap().expression = "rate(1 hour)".to_owned();
    };
    let command = &remedies(gone, "stack alarms")[0];
    assert!(command.contains("--period 10800 ") && command.contains("--ok-actions arn:aws:sns:"), "{command}");
}
