//! Grants and silences on the command line: wrong usage, and a function that cannot be asked.

use expect_test::expect;

use super::{check, nowhere, output, shown};

#[test]
fn a_grant_says_what_for_how_long_and_why() {
    check(
        nowhere(&["grant", "ad-hoc", "--limit", "2TiB"]),
        &expect![[r#"
            exit 2
            --- stderr
            error: the following required arguments were not provided:
              --for <TIME>
              --reason <TEXT>

            Usage: watchdog grant --limit <SIZE> --for <TIME> --reason <TEXT> <WORKGROUP>

            For more information, try '--help'.
        "#]],
    );
    check(
        nowhere(&["grant", "ad-hoc", "--for", "3h", "--reason", "backfill"]),
        &expect![[r#"
            exit 2
            --- stderr
            error: a grant raises something: give `--limit 2TiB`, `--per-query 500GiB`, or both
        "#]],
    );
    check(
        nowhere(&["grant", "ad-hoc", "--limit", "2", "--for", "3h", "--reason", "backfill"]),
        &expect![[r#"
            exit 2
            --- stderr
            error: invalid value '2' for '--limit <SIZE>': `2` has no unit: write for example `2 GB` (10^9 bytes) or `2 GiB` (2^30 bytes)

            For more information, try '--help'.
        "#]],
    );
}

#[test]
fn durations_that_are_none() {
    for length in ["-3h", "0h", "3", "for ever", "3 parsecs", ""] {
        let text = shown(&output(
            nowhere(&["grant", "ad-hoc", "--limit", "2TiB", &format!("--for={length}"), "--reason", "x"]),
            "",
        ));
        assert!(text.starts_with("exit 2\n--- stderr\n"), "{length}: {text}");
        assert!(text.contains("write a time with its unit, such as `3h` or `90 min`"), "{length}: {text}");
    }
}

#[test]
fn one_thing_at_a_time() {
    check(
        nowhere(&["grant", "ad-hoc", "--approve", "g-1a2b3c4d"]),
        &expect![[r#"
            exit 2
            --- stderr
            error: the argument '[WORKGROUP]' cannot be used with '--approve <ID>'

            Usage: watchdog grant <WORKGROUP>

            For more information, try '--help'.
        "#]],
    );
    check(
        nowhere(&["silence", "exploratory/1h", "--for", "2h"]),
        &expect![[r#"
            exit 2
            --- stderr
            error: the following required arguments were not provided:
              --reason <TEXT>

            Usage: watchdog silence --for <TIME> --reason <TEXT> <WORKGROUP/WINDOW>

            For more information, try '--help'.
        "#]],
    );
}

#[test]
fn a_function_that_cannot_be_asked() {
    check(
        nowhere(&["revoke", "ad-hoc", "--function", "watchdog", "--write"]),
        &expect![[r#"
            exit 3
            --- stderr
            error: the function `watchdog` could not be asked: `lambda:InvokeFunction` failed with `Unreachable`: io error: client error (Connect): tcp connect error: Connection refused (os error 111)
        "#]],
    );
    check(
        nowhere(&["grants"]),
        &expect![[r#"
            exit 3
            --- stderr
            error: the function of the stack `athena-quota-watchdog` could not be looked up: `cloudformation:ListStackResources` failed with `Unreachable`: io error: client error (Connect): tcp connect error: Connection refused (os error 111); give `--function NAME` to do without
        "#]],
    );
}
