//! `doctor` from the outside, as far as it asks AWS nothing or nobody answers.

use expect_test::expect;
use serde_json::Value;

use super::{check, nowhere, output, shown, watchdog};

#[test]
fn nobody_answers() {
    let text = shown(&output(nowhere(&["doctor"]), ""));
    assert!(
        text.starts_with(
            "exit 3\n--- stderr\nerror: nothing could be seen in AWS: `sts:GetCallerIdentity` failed with `Unreachable`"
        ),
        "{text}"
    );
}

#[test]
fn names_that_cannot_be_right() {
    check(
        nowhere(&["doctor", "--stack", "my stack"]),
        &expect![[r#"
        exit 2
        --- stderr
        error: invalid value 'my stack' for '--stack <NAME>': a stack's name starts with a letter and has letters, digits and `-`

        For more information, try '--help'.
    "#]],
    );
    let mut command = nowhere(&["doctor"]);
    command.env("WATCHDOG_STACK", "1");
    check(
        command,
        &expect![[r#"
        exit 2
        --- stderr
        error: the environment variable `WATCHDOG_STACK` is `1`: a stack's name starts with a letter and has letters, digits and `-`
    "#]],
    );
    check(
        nowhere(&["doctor", "--policy", "missing.toml"]),
        &expect![[r#"
        exit 2
        --- stderr
        error: `missing.toml` cannot be read: No such file or directory (os error 2)
    "#]],
    );
    check(
        watchdog(&["doctor", "--print-iam=statsu"]),
        &expect![[r#"
            exit 2
            --- stderr
            error: invalid value 'statsu' for '--print-iam[=<COMMAND>]'
              [possible values: check, status, run, who, doctor, backtest, grant, plan, report]

              tip: a similar value exists: 'status'

            For more information, try '--help'.
        "#]],
    );
    check(
        watchdog(&["doctor", "--print-iam", "--json"]),
        &expect![[r#"
        exit 2
        --- stderr
        error: the argument '--print-iam[=<COMMAND>]' cannot be used with '--json'

        Usage: watchdog doctor --print-iam[=<COMMAND>]

        For more information, try '--help'.
    "#]],
    );
}

#[test]
fn the_least_policy_of_each_command() {
    let mut command = watchdog(&["doctor", "--print-iam", "--stack", "prod"]);
    command.env("AWS_REGION", "eu-central-1");
    let output = output(command, "");
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut commands: Vec<&str> = all.as_object().unwrap().keys().map(String::as_str).collect();
    commands.sort_unstable();
    assert_eq!(commands, ["backtest", "check", "doctor", "grant", "plan", "report", "run", "status", "who"]);
    assert_eq!(all["check"]["Statement"], Value::Array(vec![]), "it asks AWS nothing");
    for (name, document) in all.as_object().unwrap() {
        assert_eq!(document["Version"], "2012-10-17", "{name}");
        for statement in document["Statement"].as_array().unwrap() {
            assert_eq!(statement["Effect"], "Allow");
            for action in statement["Action"].as_array().unwrap() {
                assert!(!action.as_str().unwrap().contains('*'), "{action}");
            }
        }
    }
}

#[test]
fn the_policy_of_one_command_can_be_stored_as_it_is() {
    check(
        watchdog(&["doctor", "--print-iam=run", "--region", "cn-north-1"]),
        &expect![[r#"
            exit 0
            --- stdout
            {
              "Version": "2012-10-17",
              "Statement": [
                {
                  "Sid": "ReadPolicy",
                  "Effect": "Allow",
                  "Action": [
                    "ssm:GetParametersByPath"
                  ],
                  "Resource": [
                    "arn:aws-cn:ssm:cn-north-1:*:parameter/athena-quota-watchdog/athena-quota-watchdog/policy",
                    "arn:aws-cn:ssm:cn-north-1:*:parameter/athena-quota-watchdog/athena-quota-watchdog/policy/*"
                  ]
                },
                {
                  "Sid": "FindWorkgroups",
                  "Effect": "Allow",
                  "Action": [
                    "athena:ListWorkGroups"
                  ],
                  "Resource": [
                    "*"
                  ]
                },
                {
                  "Sid": "ReadWorkgroups",
                  "Effect": "Allow",
                  "Action": [
                    "athena:GetWorkGroup"
                  ],
                  "Resource": [
                    "arn:aws-cn:athena:cn-north-1:*:workgroup/*"
                  ]
                },
                {
                  "Sid": "ReadMetrics",
                  "Effect": "Allow",
                  "Action": [
                    "cloudwatch:GetMetricData",
                    "cloudwatch:ListMetrics"
                  ],
                  "Resource": [
                    "*"
                  ]
                },
                {
                  "Sid": "ReadQueries",
                  "Effect": "Allow",
                  "Action": [
                    "athena:BatchGetQueryExecution",
                    "athena:ListQueryExecutions"
                  ],
                  "Resource": [
                    "arn:aws-cn:athena:cn-north-1:*:workgroup/*"
                  ]
                },
                {
                  "Sid": "ReadQuotas",
                  "Effect": "Allow",
                  "Action": [
                    "servicequotas:GetServiceQuota",
                    "servicequotas:GetAWSDefaultServiceQuota"
                  ],
                  "Resource": [
                    "*"
                  ]
                },
                {
                  "Sid": "FindReservations",
                  "Effect": "Allow",
                  "Action": [
                    "athena:ListCapacityReservations"
                  ],
                  "Resource": [
                    "*"
                  ]
                },
                {
                  "Sid": "ReadReservations",
                  "Effect": "Allow",
                  "Action": [
                    "athena:GetCapacityAssignmentConfiguration"
                  ],
                  "Resource": [
                    "arn:aws-cn:athena:cn-north-1:*:capacity-reservation/*"
                  ]
                },
                {
                  "Sid": "FindSubmitters",
                  "Effect": "Allow",
                  "Action": [
                    "cloudtrail:LookupEvents"
                  ],
                  "Resource": [
                    "*"
                  ]
                },
                {
                  "Sid": "ReadTheirAddress",
                  "Effect": "Allow",
                  "Action": [
                    "iam:ListUserTags"
                  ],
                  "Resource": [
                    "arn:aws-cn:iam::*:user/*"
                  ]
                },
                {
                  "Sid": "ReadState",
                  "Effect": "Allow",
                  "Action": [
                    "dynamodb:BatchGetItem",
                    "dynamodb:Query"
                  ],
                  "Resource": [
                    "arn:aws-cn:dynamodb:cn-north-1:*:table/athena-quota-watchdog-StateTable-*"
                  ]
                }
              ]
            }
        "#]],
    );
    check(
        watchdog(&["doctor", "--print-iam=doctor", "--region", "eu-central-1", "--stack", "prod"]),
        &expect![[r#"
            exit 0
            --- stdout
            {
              "Version": "2012-10-17",
              "Statement": [
                {
                  "Sid": "ReadPolicy",
                  "Effect": "Allow",
                  "Action": [
                    "ssm:GetParametersByPath"
                  ],
                  "Resource": [
                    "arn:aws:ssm:eu-central-1:*:parameter/athena-quota-watchdog/prod/policy",
                    "arn:aws:ssm:eu-central-1:*:parameter/athena-quota-watchdog/prod/policy/*"
                  ]
                },
                {
                  "Sid": "FindWorkgroups",
                  "Effect": "Allow",
                  "Action": [
                    "athena:ListWorkGroups"
                  ],
                  "Resource": [
                    "*"
                  ]
                },
                {
                  "Sid": "ReadWorkgroups",
                  "Effect": "Allow",
                  "Action": [
                    "athena:GetWorkGroup"
                  ],
                  "Resource": [
                    "arn:aws:athena:eu-central-1:*:workgroup/*"
                  ]
                },
                {
                  "Sid": "ReadAlarmsAndMetrics",
                  "Effect": "Allow",
                  "Action": [
                    "cloudwatch:DescribeAlarms",
                    "cloudwatch:GetMetricData",
                    "cloudwatch:ListMetrics"
                  ],
                  "Resource": [
                    "*"
                  ]
                },
                {
                  "Sid": "ReadState",
                  "Effect": "Allow",
                  "Action": [
                    "dynamodb:DescribeTable",
                    "dynamodb:DescribeTimeToLive",
                    "dynamodb:Query"
                  ],
                  "Resource": [
                    "arn:aws:dynamodb:eu-central-1:*:table/prod-StateTable-*"
                  ]
                },
                {
                  "Sid": "FindResources",
                  "Effect": "Allow",
                  "Action": [
                    "cloudformation:DescribeStacks",
                    "cloudformation:ListStackResources"
                  ],
                  "Resource": [
                    "arn:aws:cloudformation:eu-central-1:*:stack/prod/*"
                  ]
                },
                {
                  "Sid": "ReadSchedule",
                  "Effect": "Allow",
                  "Action": [
                    "scheduler:GetSchedule"
                  ],
                  "Resource": [
                    "arn:aws:scheduler:eu-central-1:*:schedule/default/prod*"
                  ]
                },
                {
                  "Sid": "ReadAlarmTopic",
                  "Effect": "Allow",
                  "Action": [
                    "sns:ListSubscriptionsByTopic"
                  ],
                  "Resource": [
                    "arn:aws:sns:eu-central-1:*:prod-AlarmTopic-*"
                  ]
                },
                {
                  "Sid": "ReadSending",
                  "Effect": "Allow",
                  "Action": [
                    "ses:GetAccountSendingEnabled",
                    "ses:GetIdentityVerificationAttributes",
                    "ses:GetSendQuota"
                  ],
                  "Resource": [
                    "*"
                  ]
                },
                {
                  "Sid": "ReadWhoMayQuery",
                  "Effect": "Allow",
                  "Action": [
                    "iam:GetAccountAuthorizationDetails"
                  ],
                  "Resource": [
                    "*"
                  ]
                },
                {
                  "Sid": "EvaluateWhoMayQuery",
                  "Effect": "Allow",
                  "Action": [
                    "iam:SimulatePrincipalPolicy"
                  ],
                  "Resource": [
                    "arn:aws:iam::*:role/*",
                    "arn:aws:iam::*:user/*"
                  ]
                }
              ]
            }
        "#]],
    );
}
