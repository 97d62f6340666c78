//! `watchdog check` on policies with problems. What each message says is the core's own test; here: all of them come out, one
//! a line, on standard error, and nothing else does.

use std::path::Path;

use expect_test::expect;

use super::{check, file, output, watchdog};

const MANY: &str = r#"
[mail]
sender = "watchdog@example.com"
allowed_domains = ["example.com"]
time_zone = "Europe/Atlantis"
colour = "red"

[[workgroup]]
name = "a"
[[workgroup.limit]]
window = "1h"
limit = 700

[[workgroup]]
name = "b"
[[workgroup.limit]]
window = "1h"
limit = "700 GB/h"
warn = "0 %"
critical = "130 %"

[[workgroup]]
name = "team-*"
limit = [{ window = "1h", limit = "1 GB" }]

[[workgroup]]
name = "*-data"
limit = [{ window = "1h", limit = "1 GB" }]
"#;

#[test]
fn all_problems_come_out_at_once() {
    let name = file("many.toml", MANY);
    check(
        watchdog(&["check", &name]),
        &expect![[r#"
            exit 2
            --- stderr
            `[mail]` has no `admins`: somebody must hear of it; write `admins = ["ops@example.com"]`
            many.toml:5:13: `time_zone` is `Europe/Atlantis`: no such IANA zone; write for example `Europe/Berlin` or `UTC`
            many.toml:6:1: unknown key `colour`: `[mail]` knows `sender`, `reply_to`, `admins`, `allowed_domains`, `time_zone`, `repeat_cannot_see_every`
            many.toml:12:9: `limit` must be a text in quotes, such as `"700 GB"`, not the integer `700`
            many.toml:18:9: `limit`: `700 GB/h` is not a size: write a number and one of B, kB, MB, GB, TB, PB, KiB, MiB, GiB, TiB, PiB
            many.toml:19:8: `warn` is `0 %`: it must be more than 0 % and less than 100 %, where the limit is exhausted
            many.toml:20:12: `critical` is `130 %`: it must be more than 0 % and less than 100 %, where the limit is exhausted
            many.toml:23:8: the names `team-*` and `*-data` can match the same workgroup and neither is more specific: spell out more of one of them
            8 problems
        "#]],
    );
}

#[test]
fn problems_as_json_are_data() {
    let name = file("json-bad.toml", "[[workgroup]]\nname = \"a\"\nlimits = 3\n");
    check(
        watchdog(&["check", "--json", &name]),
        &expect![[r#"
            exit 2
            --- stdout
            {
              "valid": false,
              "documents": [
                {
                  "name": "json-bad.toml",
                  "bytes": 36
                }
              ],
              "problems": [
                {
                  "document": null,
                  "line": null,
                  "column": null,
                  "message": "`[mail]` has no `admins`: somebody must hear of it; write `admins = [\"ops@example.com\"]`"
                },
                {
                  "document": null,
                  "line": null,
                  "column": null,
                  "message": "`[mail]` has no `allowed_domains`: write `allowed_domains = [\"example.com\"]`; mail goes nowhere else"
                },
                {
                  "document": null,
                  "line": null,
                  "column": null,
                  "message": "`[mail]` has no `sender`: write an address that SES has verified, `sender = \"watchdog@example.com\"`"
                },
                {
                  "document": "json-bad.toml",
                  "line": 1,
                  "column": 1,
                  "message": "workgroup `a` has no `[[workgroup.limit]]`, no `per_query_cutoff` and no `waiting`: give it one of them"
                },
                {
                  "document": "json-bad.toml",
                  "line": 3,
                  "column": 1,
                  "message": "unknown key `limits`: `[[workgroup]]` knows `name`, `owner`, `per_query_cutoff`, `waiting`, `warn`, `critical`, `hysteresis`, `forecast`, `hold`, `repeat_every`, `audience`, `limit`"
                }
              ],
              "policy": null
            }
        "#]],
    );
}

#[test]
fn a_policy_given_to_status_is_checked_before_aws_is_asked() {
    let name = file("status-bad.toml", "[mail]\nadmins = 3\n");
    check(
        watchdog(&["status", "--policy", &name]),
        &expect![[r#"
        exit 2
        --- stderr
        error: the policy has 4 problems:
        `[mail]` has no `allowed_domains`: write `allowed_domains = ["example.com"]`; mail goes nowhere else
        `[mail]` has no `sender`: write an address that SES has verified, `sender = "watchdog@example.com"`
        the policy has no `[[workgroup]]`: nothing would be watched; add one, with `name = "*"` for all workgroups
        status-bad.toml:2:10: `admins` must be a list of texts, such as `["ops@example.com"]`, not the integer `3`
    "#]],
    );
}

#[test]
fn other_peoples_text_does_not_steer_the_terminal() {
    let name = file("escape.toml", "\"\\u001b[2J\\nkey\" = 1\n");
    let output = output(watchdog(&["check", &name]), "");
    let stderr = String::from_utf8(output.stderr).unwrap();
    let line = stderr.lines().find(|line| line.starts_with("escape.toml:1:1: unknown key")).unwrap_or_default();
    assert!(line.contains("[2J") && line.contains("key`") && !stderr.contains('\x1b'), "{stderr}");
}

/// Every policy of which the core's tests know that it is bad.
#[test]
fn every_bad_policy_of_the_core_is_refused() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../watchdog-core/tests/policies/bad");
    let mut seen = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        seen += 1;
        let name = path.to_str().unwrap();
        let output = output(watchdog(&["check", name]), "");
        let stderr = String::from_utf8(output.stderr).unwrap();
        let mut lines: Vec<_> = stderr.lines().collect();
        let last = lines.pop().unwrap_or_default();
        let count = format!("{} problem{}", lines.len(), if lines.len() == 1 { "" } else { "s" });
        assert!(!lines.is_empty() && last == count, "{name}:\n{stderr}");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{name}:\n{stderr}");
    }
    assert!(seen > 30, "only {seen} policies");
}
