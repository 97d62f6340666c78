//! What goes where, what a closed pipe does, and how long an AWS that is not there is waited for.

use std::process::Stdio;
use std::time::{Duration, Instant};

use expect_test::expect;

use super::{POLICY, file, nowhere, output, shown, watchdog};

/// A person waits this long without wondering; the retries of one call take up to seven seconds of it.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn a_reader_that_goes_away_is_no_error() {
    for args in [&["check", "--schema"][..], &["completions", "bash"], &["--help"]] {
        let mut command = watchdog(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), stderr.as_str()), (Some(0), ""), "{args:?}");
    }
}

#[test]
fn colours_are_for_terminals_and_for_who_wants_them() {
    let said = |variables: &[(&str, &str)]| {
        let mut command = watchdog(&["check", "there-is-none.toml"]);
        command.envs(variables.iter().copied());
        output(command, "").stderr
    };
    let plain = b"error: `there-is-none.toml` cannot be read: No such file or directory (os error 2)\n";
    assert_eq!(String::from_utf8_lossy(&said(&[])), String::from_utf8_lossy(plain));
    assert!(said(&[("CLICOLOR_FORCE", "1")]).starts_with(b"\x1b["));
    assert_eq!(said(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]), plain);
}

#[test]
fn a_full_disk_is_an_error() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = watchdog(&["check", "--schema"]);
    let output = command.stdout(full).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    expect![[r#"
        error: standard output cannot be written: No space left on device (os error 28)
    "#]]
    .assert_eq(&String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(2));
}

/// The commands wait side by side, each for the retries of its calls.
#[test]
fn an_aws_that_is_not_there_is_said_in_one_line() {
    let started = Instant::now();
    let name = file("aws-that-is-not-there.toml", POLICY);
    let commands = [
        vec!["status"],
        vec!["status", "--policy", &name],
        vec!["run", "--dry-run", "--stack", "prod"],
        vec!["run", "--dry-run", "--json", "--policy", &name, "--state-table", "state"],
    ];
    let all = std::thread::scope(|scope| {
        let waiting = commands.each_ref().map(|args| scope.spawn(|| shown(&output(nowhere(args), ""))));
        waiting.map(|thread| thread.join().unwrap()).concat()
    });
    expect![[r#"
        exit 3
        --- stderr
        error: the policy in the SSM parameters under `/athena-quota-watchdog/athena-quota-watchdog/policy` cannot be read: `ssm:GetParametersByPath` failed with `Unreachable`: io error: client error (Connect): tcp connect error: Connection refused (os error 111)
        exit 3
        --- stderr
        error: nothing could be seen in AWS: `athena:ListWorkGroups` failed with `Unreachable`: io error: client error (Connect): tcp connect error: Connection refused (os error 111)
        exit 3
        --- stderr
        error: the policy in the SSM parameters under `/athena-quota-watchdog/prod/policy` cannot be read: `ssm:GetParametersByPath` failed with `Unreachable`: io error: client error (Connect): tcp connect error: Connection refused (os error 111)
        exit 3
        --- stderr
        error: the state table `state` cannot be used: `dynamodb:Query` failed with `Unreachable`: io error: client error (Connect): tcp connect error: Connection refused (os error 111)
    "#]].assert_eq(&all);
    assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
}
