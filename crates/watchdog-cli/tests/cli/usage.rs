//! Help, wrong usage, and input that cannot be read.

use expect_test::{expect, expect_file};

use super::{POLICY, check, file, nowhere, output, shown, watchdog};

#[test]
fn help_has_examples() {
    for (args, golden) in [
        (&["--help"][..], expect_file!["help/watchdog.txt"]),
        (&["check", "--help"], expect_file!["help/check.txt"]),
        (&["status", "--help"], expect_file!["help/status.txt"]),
        (&["backtest", "--help"], expect_file!["help/backtest.txt"]),
        (&["plan", "--help"], expect_file!["help/plan.txt"]),
        (&["run", "--help"], expect_file!["help/run.txt"]),
        (&["doctor", "--help"], expect_file!["help/doctor.txt"]),
        (&["who", "--help"], expect_file!["help/who.txt"]),
        (&["grant", "--help"], expect_file!["help/grant.txt"]),
        (&["grants", "--help"], expect_file!["help/grants.txt"]),
        (&["revoke", "--help"], expect_file!["help/revoke.txt"]),
        (&["silence", "--help"], expect_file!["help/silence.txt"]),
        (&["silences", "--help"], expect_file!["help/silences.txt"]),
        (&["unsilence", "--help"], expect_file!["help/unsilence.txt"]),
        (&["cost", "--help"], expect_file!["help/cost.txt"]),
        (&["report", "--help"], expect_file!["help/report.txt"]),
        (&["preview", "--help"], expect_file!["help/preview.txt"]),
        (&["completions", "--help"], expect_file!["help/completions.txt"]),
    ] {
        let output = output(watchdog(args), "");
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{args:?}");
        golden.assert_eq(&String::from_utf8(output.stdout).unwrap());
    }
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let text = shown(&output(watchdog(&["completions", shell]), ""));
        assert!(text.starts_with("exit 0\n--- stdout\n"), "{text}");
        for word in ["check", "status", "run", "who", "dry-run", "policy-path", "doctor", "print-iam"] {
            assert!(text.contains(word), "{shell} lacks {word}");
        }
    }
}

#[test]
fn unknown_command() {
    check(
        watchdog(&["statsu"]),
        &expect![[r#"
        exit 2
        --- stderr
        error: unrecognized subcommand 'statsu'

          tip: a similar subcommand exists: 'status'

        Usage: watchdog [OPTIONS] <COMMAND>

        For more information, try '--help'.
    "#]],
    );
}

#[test]
fn unknown_shell() {
    check(
        watchdog(&["completions", "tcsh"]),
        &expect![[r#"
        exit 2
        --- stderr
        error: invalid value 'tcsh' for '<SHELL>'
          [possible values: bash, elvish, fish, powershell, zsh]

          tip: a similar value exists: 'zsh'

        For more information, try '--help'.
    "#]],
    );
}

#[test]
fn no_command() {
    let output = output(watchdog(&[]), "");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
}

#[test]
fn check_without_a_file() {
    check(
        watchdog(&["check"]),
        &expect![[r#"
        exit 2
        --- stderr
        error: the following required arguments were not provided:
          <FILE>...

        Usage: watchdog check <FILE>...

        For more information, try '--help'.
    "#]],
    );
}

#[test]
fn a_policy_from_two_places() {
    check(
        watchdog(&["status", "--policy", "a.toml", "--policy-path", "/x"]),
        &expect![[r#"
        exit 2
        --- stderr
        error: the argument '--policy <FILE>...' cannot be used with '--policy-path <PATH>'

        Usage: watchdog status --policy <FILE>...

        For more information, try '--help'.
    "#]],
    );
    check(
        watchdog(&["run", "--dry-run", "--stack", "prod", "--policy-path", "/x"]),
        &expect![[r#"
        exit 2
        --- stderr
        error: the argument '--stack <NAME>' cannot be used with '--policy-path <PATH>'

        Usage: watchdog run --dry-run --stack <NAME>

        For more information, try '--help'.
    "#]],
    );
}

#[test]
fn names_that_cannot_be_right() {
    check(
        watchdog(&["status", "--stack", "my stack"]),
        &expect![[r#"
            exit 2
            --- stderr
            error: invalid value 'my stack' for '--stack <NAME>': a stack's name starts with a letter and has letters, digits and `-`

            For more information, try '--help'.
        "#]],
    );
    check(
        watchdog(&["status", "--policy-path", "policy"]),
        &expect![[r#"
            exit 2
            --- stderr
            error: invalid value 'policy' for '--policy-path <PATH>': a parameter path starts with `/` and has letters, digits, `.`, `_`, `-` and `/`

            For more information, try '--help'.
        "#]],
    );
    let mut command = watchdog(&["status"]);
    command.env("WATCHDOG_STACK", "1");
    check(
        command,
        &expect![[r#"
            exit 2
            --- stderr
            error: the environment variable `WATCHDOG_STACK` is `1`: a stack's name starts with a letter and has letters, digits and `-`
        "#]],
    );
}

#[test]
fn run_only_rehearses() {
    check(
        watchdog(&["run"]),
        &expect![[r#"
        exit 2
        --- stderr
        error: `watchdog run` needs `--dry-run`: real runs, which send mail and remember it, are the deployed function's; to have one now: aws lambda invoke --function-name NAME --cli-binary-format raw-in-base64-out --payload '{"dry_run": false}' /dev/stdout, where NAME is the stack's output `WatchdogFunctionName`
    "#]],
    );
}

#[test]
fn missing_file() {
    check(
        watchdog(&["check", "missing.toml"]),
        &expect![[r#"
        exit 2
        --- stderr
        error: `missing.toml` cannot be read: No such file or directory (os error 2)
    "#]],
    );
    check(
        watchdog(&["status", "--policy", "missing.toml"]),
        &expect![[r#"
        exit 2
        --- stderr
        error: `missing.toml` cannot be read: No such file or directory (os error 2)
    "#]],
    );
}

#[test]
fn files_that_are_no_policy() {
    file("empty.d/readme.txt", "");
    check(
        watchdog(&["check", "empty.d"]),
        &expect![[r#"
        exit 2
        --- stderr
        error: `empty.d` has no file that ends in `.toml`
    "#]],
    );
    check(
        watchdog(&["check", "/dev/zero"]),
        &expect![[r#"
        exit 2
        --- stderr
        error: `/dev/zero` has more than 307200 bytes: that is no policy
    "#]],
    );
    std::fs::write(concat!(env!("CARGO_TARGET_TMPDIR"), "/latin-1.toml"), b"# caf\xe9\n").unwrap();
    check(
        watchdog(&["check", "latin-1.toml"]),
        &expect![[r#"
        exit 2
        --- stderr
        error: `latin-1.toml` is not UTF-8 text, from byte 5 on: a policy is TOML
    "#]],
    );
}

#[test]
fn no_region() {
    let name = file("no-region.toml", POLICY);
    let mut command = watchdog(&["status", "--policy", &name]);
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    check(
        command,
        &expect![[r#"
        exit 2
        --- stderr
        error: no AWS Region is set: give `--region eu-central-1`, or set `AWS_REGION`, or name one in the profile
    "#]],
    );
}

#[test]
fn a_profile_beside_a_key() {
    let name = file("profile.toml", POLICY);
    let mut command = watchdog(&["status", "--profile", "prod", "--policy", &name]);
    command.env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE");
    check(
        command,
        &expect![[r#"
        exit 2
        --- stderr
        error: `--profile prod` and the environment variable `AWS_ACCESS_KEY_ID` name different credentials: leave out the one, or unset the other
    "#]],
    );
}

#[test]
fn who_of_which_workgroup_and_how_far_back() {
    check(
        watchdog(&["who"]),
        &expect![[r#"
        exit 2
        --- stderr
        error: the following required arguments were not provided:
          --workgroup <NAME>

        Usage: watchdog who --workgroup <NAME>

        For more information, try '--help'.
    "#]],
    );
    check(
        watchdog(&["who", "--workgroup", "team-*"]),
        &expect![[r#"
        exit 2
        --- stderr
        error: invalid value 'team-*' for '--workgroup <NAME>': one workgroup at a time: write its name without wildcards

        For more information, try '--help'.
    "#]],
    );
    check(
        watchdog(&["who", "--workgroup", "two words"]),
        &expect![[r#"
        exit 2
        --- stderr
        error: invalid value 'two words' for '--workgroup <NAME>': a workgroup's name has 1 to 128 letters, digits, `.`, `_` and `-`

        For more information, try '--help'.
    "#]],
    );
    check(
        watchdog(&["who", "--workgroup", "exploratory", "--since", "60"]),
        &expect![[r#"
        exit 2
        --- stderr
        error: invalid value '60' for '--since <TIME>': write a time from 5 minutes to 7 days with its unit, such as `1h` or `90 min`

        For more information, try '--help'.
    "#]],
    );
    check(
        watchdog(&["who", "--workgroup", "exploratory", "--since", "30d"]),
        &expect![[r#"
        exit 2
        --- stderr
        error: invalid value '30d' for '--since <TIME>': write a time from 5 minutes to 7 days with its unit, such as `1h` or `90 min`

        For more information, try '--help'.
    "#]],
    );
    let policy = file("who/policy.toml", POLICY);
    check(
        nowhere(&["who", "--workgroup", "exploratory", "--policy", &policy]),
        &expect![[r#"
        exit 3
        --- stderr
        error: the workgroup's queries could not be listed: `athena:ListQueryExecutions` failed with `Unreachable`: io error: client error (Connect): tcp connect error: Connection refused (os error 111)
    "#]],
    );
}
