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
    check(nowhere(&["doctor", "--stack", "my stack"]), &expect![[""]]);
    let mut command = nowhere(&["doctor"]);
    command.env("WATCHDOG_STACK", "1");
    check(command, &expect![[""]]);
    check(nowhere(&["doctor", "--policy", "missing.toml"]), &expect![[""]]);
    check(watchdog(&["doctor", "--print-iam=statsu"]), &expect![[""]]);
    check(watchdog(&["doctor", "--print-iam", "--json"]), &expect![[""]]);
}

#[test]
fn the_least_policy_of_each_command() {
    let mut command = watchdog(&["doctor", "--print-iam", "--stack", "prod"]);
    command.env("AWS_REGION", "eu-central-1");
    let output = output(command, "");
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    let commands: Vec<&str> = all.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(commands, ["check", "doctor", "run", "status"]);
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
    check(watchdog(&["doctor", "--print-iam=run", "--region", "cn-north-1"]), &expect![[""]]);
    check(watchdog(&["doctor", "--print-iam=doctor", "--region", "eu-central-1", "--stack", "prod"]), &expect![[""]]);
}
