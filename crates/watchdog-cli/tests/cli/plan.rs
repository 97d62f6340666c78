//! `watchdog plan`: its evidence, the policy that it writes, and a past that is not what it should be.

use std::path::PathBuf;
use std::process::Command;

use expect_test::{Expect, expect};
use serde_json::Value;

use super::{check, file, nowhere, output, shown, watchdog};

const POLICY: &str = r#"# Ours.
[mail]
sender = "watchdog@example.com"
admins = ["ops@example.com"]
allowed_domains = ["example.com"]

# The nightly jobs.
[[workgroup]]
name = "predictable"
owner = "etl@example.com" # the team
[[workgroup.limit]]
window = "1h"
warn = "85 %"
quota = "1 GB"
buffer = "10 %"

# Everybody else.
[[workgroup]]
name = "team-*"
plan = "1h + 50 %"
[[workgroup.limit]]
window = "24h"
limit = "9 GB"
"#;

const GB: u64 = 1_000_000_000;

/// Five-minute rows of `days` days from Monday 2026-03-02 on, of workgroups that scan evenly through the hour from three in the
/// morning on, by day.
fn rows(days: u64, of: &[(&str, &dyn Fn(u64) -> u64)]) -> Vec<String> {
    let mut rows = Vec::new();
    for (day, five) in (0..days).flat_map(|day| (0..288).map(move |five| (day, five))) {
        let date =
            jiff::civil::date(2026, 3, 2).checked_add(jiff::Span::new().days(i64::try_from(day).unwrap())).unwrap();
        for (name, bytes) in of {
            let bytes = if (36..48).contains(&five) { bytes(day) / 12 } else { 0 };
            rows.push(format!("{date}T{:02}:{:02}:00Z,{name},{bytes}", five / 12, five % 12 * 5));
        }
    }
    rows
}

fn text(rows: &[String]) -> String {
    format!("timestamp,workgroup,bytes\n{}\n", rows.join("\n"))
}

fn plan(args: &[&str]) -> Command {
    let mut all = vec!["plan"];
    all.extend(args);
    watchdog(&all)
}

/// What is said of a past of `predictable`, in JSON.
#[track_caller]
fn answer(name: &str, text: &str, more: &[&str]) -> (Option<i32>, Value) {
    let usage = file(name, text);
    let mut args = vec!["--usage", usage.as_str(), "--json"];
    args.extend(more);
    let output = output(plan(&args), "");
    let answer = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", shown(&output)));
    (output.status.code(), answer)
}

#[test]
fn the_evidence_and_the_policy_that_comes_of_it() {
    let usage = file("plan-use.csv", &text(&rows(20, &[("predictable", &|day| (10 + day % 7) * GB)])));
    let policy = file("plan-policy.toml", POLICY);
    // An empty line of context is a space, which an indented text cannot hold.
    let shown = shown(&output(plan(&["--usage", &usage, "--policy", &policy, "--diff"]), "")).replace("\n \n", "\n\n");
    expect![[r#"
            exit 1
            --- stdout
            predictable  (1h + 10 %)
              17.6 GB an hour: 16 GB and 10 % on top.
              In the policy: 1.1 GB now; the proposal is 1600 % of that.
                Of the peaks of 20 days (2026-03-02 to 2026-03-21, 5,749 windows of 1h) the largest counts, which about one day in 21 passes: 16 GB at 2026-03-08 04:00 UTC.
                It would have been passed on 0 of 20 days; of the next 30 days about 1.4 (eight times out of ten 0 to 4).

            Back-test of predictable: under the proposed policy 10 mails, 5 alerts, never reached; under the present policy 51 mails, 20 alerts, reached 20 times.
            A limit is always quiet over the past that it was computed from: what it will send is better judged by the days above.

            --- plan-policy.toml (now)
            +++ plan-policy.toml (proposed)
            @@ -11,7 +11,11 @@
             [[workgroup.limit]]
             window = "1h"
             warn = "85 %"
            -quota = "1 GB"
            +# plan: 17.6 GB an hour: 16 GB and 10 % on top.
            +# plan: Of the peaks of 20 days (2026-03-02 to 2026-03-21, 5,749 windows of 1h) the largest counts, which about one
            +# plan: day in 21 passes: 16 GB at 2026-03-08 04:00 UTC.
            +# plan: It would have been passed on 0 of 20 days; of the next 30 days about 1.4 (eight times out of ten 0 to 4).
            +quota = "16 GB"
             buffer = "10 %"
 
             # Everybody else.
        "#]]
    .assert_eq(&shown);
    // What it writes is a policy, and planned again it is the same.
    let new = file("plan-new.toml", "");
    assert_eq!(output(plan(&["--usage", &usage, "--policy", &policy, "--out", &new]), "").status.code(), Some(1));
    check(
        watchdog(&["check", "--json", &new]),
        &expect![[r#"
            exit 0
            --- stdout
            {
              "valid": true,
              "documents": [
                {
                  "name": "plan-new.toml",
                  "bytes": 736
                }
              ],
              "problems": [],
              "policy": {
                "mail": {
                  "sender": "watchdog@example.com",
                  "reply_to": null,
                  "admins": [
                    "ops@example.com"
                  ],
                  "allowed_domains": [
                    "example.com"
                  ],
                  "time_zone": "UTC",
                  "repeat_cannot_see_every": "24h"
                },
                "submitters": {
                  "people": {},
                  "trusted_roles": [],
                  "trusted_source_identity": [],
                  "share_floor": "2 %",
                  "bytes_floor_bytes": 1000000000,
                  "repeat_every": "1h",
                  "show_sql": false
                },
                "active_queries": {
                  "classes": [
                    "DML",
                    "DDL"
                  ],
                  "look_back": "10m",
                  "thresholds": [
                    {
                      "level": "warn",
                      "share": "80 %",
                      "told": [
                        "ops@example.com"
                      ]
                    },
                    {
                      "level": "critical",
                      "share": "90 %",
                      "told": [
                        "ops@example.com"
                      ]
                    },
                    {
                      "level": "exhausted",
                      "share": "100 %",
                      "told": [
                        "ops@example.com"
                      ]
                    }
                  ],
                  "resolves_below": "60 %",
                  "hold": "30m",
                  "repeat_every": "4h"
                },
                "report": null,
                "workgroups": [
                  {
                    "name": "predictable",
                    "is_pattern": false,
                    "owner": "etl@example.com",
                    "per_query_cutoff_bytes": null,
                    "waiting": null,
                    "limits": [
                      {
                        "window": "1h",
                        "limit_bytes": 17600000000,
                        "computed": "17.6 GB = 16 GB + 10 %",
                        "thresholds": [
                          {
                            "level": "warn",
                            "from_bytes": 14960000000,
                            "share": "85 %",
                            "told": [
                              "ops@example.com"
                            ]
                          },
                          {
                            "level": "critical",
                            "from_bytes": 16720000000,
                            "share": "95 %",
                            "told": [
                              "ops@example.com"
                            ]
                          },
                          {
                            "level": "exhausted",
                            "from_bytes": 17600000000,
                            "share": "100 %",
                            "told": [
                              "ops@example.com"
                            ]
                          }
                        ],
                        "hysteresis": "10 %",
                        "resolves_below": "75 %",
                        "hold": "30m",
                        "forecast": true,
                        "warn_without_forecast": "85 %",
                        "repeat_every": "4h"
                      }
                    ]
                  },
                  {
                    "name": "team-*",
                    "is_pattern": true,
                    "owner": null,
                    "per_query_cutoff_bytes": null,
                    "waiting": null,
                    "limits": [
                      {
                        "window": "24h",
                        "limit_bytes": 9000000000,
                        "computed": "9 GB",
                        "thresholds": [
                          {
                            "level": "warn",
                            "from_bytes": 8100000000,
                            "share": "90 %",
                            "told": [
                              "ops@example.com"
                            ]
                          },
                          {
                            "level": "critical",
                            "from_bytes": 8550000000,
                            "share": "95 %",
                            "told": [
                              "ops@example.com"
                            ]
                          },
                          {
                            "level": "exhausted",
                            "from_bytes": 9000000000,
                            "share": "100 %",
                            "told": [
                              "ops@example.com"
                            ]
                          }
                        ],
                        "hysteresis": "15 %",
                        "resolves_below": "75 %",
                        "hold": "30m",
                        "forecast": true,
                        "warn_without_forecast": "80 %",
                        "repeat_every": "4h"
                      }
                    ]
                  }
                ]
              }
            }
        "#]],
    );
    check(
        plan(&["--usage", &usage, "--policy", &new, "--diff", "--out", "-"]),
        &expect![[r#"
        exit 0
        --- stdout
        # Ours.
        [mail]
        sender = "watchdog@example.com"
        admins = ["ops@example.com"]
        allowed_domains = ["example.com"]

        # The nightly jobs.
        [[workgroup]]
        name = "predictable"
        owner = "etl@example.com" # the team
        [[workgroup.limit]]
        window = "1h"
        warn = "85 %"
        # plan: 17.6 GB an hour: 16 GB and 10 % on top.
        # plan: Of the peaks of 20 days (2026-03-02 to 2026-03-21, 5,749 windows of 1h) the largest counts, which about one
        # plan: day in 21 passes: 16 GB at 2026-03-08 04:00 UTC.
        # plan: It would have been passed on 0 of 20 days; of the next 30 days about 1.4 (eight times out of ten 0 to 4).
        quota = "16 GB"
        buffer = "10 %"

        # Everybody else.
        [[workgroup]]
        name = "team-*"
        plan = "1h + 50 %"
        [[workgroup.limit]]
        window = "24h"
        limit = "9 GB"
        --- stderr
        `plan-new.toml` stays as it is

    "#]],
    );
}

#[test]
fn nothing_is_changed_without_write() {
    let usage = file("plan-write.csv", &text(&rows(20, &[("predictable", &|_| 12 * GB)])));
    let policy = file("plan-write.toml", POLICY);
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(&policy);
    let args = ["--usage", &usage, "--policy", &policy];
    assert_eq!(output(plan(&args), "").status.code(), Some(1), "it differs");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), POLICY);
    let written = output(plan(&[&args[..], &["--write"]].concat()), "");
    assert_eq!(written.status.code(), Some(0), "{}", shown(&written));
    assert!(shown(&written).contains("-quota = \"1 GB\"\n"), "what is done is shown: {}", shown(&written));
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        text.contains("owner = \"etl@example.com\" # the team\n") && text.contains("quota = \"12 GB\"\n"),
        "{text}"
    );
    assert_eq!(output(plan(&args), "").status.code(), Some(0), "now it is as the plan says");
    check(
        plan(&["--usage", &usage, "--write"]),
        &expect![[r#"
            exit 2
            --- stderr
            error: `--write` needs a policy to write into: give `--policy FILE` or `--stack NAME`; a new one is begun with `--out FILE`
        "#]],
    );
}

/// A rule for a pattern becomes one of the workgroup's own beside it, with all that the pattern's says.
#[test]
fn a_workgroup_under_a_pattern_gets_a_rule_of_its_own() {
    let usage = file("plan-pattern.csv", &text(&rows(8, &[("team-a", &|_| 3 * GB)])));
    let policy = file("plan-pattern.toml", POLICY);
    check(
        plan(&["--usage", &usage, "--policy", &policy, "--out", "-"]),
        &expect![[r#"
        exit 3
        --- stdout
        # Ours.
        [mail]
        sender = "watchdog@example.com"
        admins = ["ops@example.com"]
        allowed_domains = ["example.com"]

        # The nightly jobs.
        [[workgroup]]
        name = "predictable"
        owner = "etl@example.com" # the team
        [[workgroup.limit]]
        window = "1h"
        warn = "85 %"
        quota = "1 GB"
        buffer = "10 %"

        # Everybody else.
        [[workgroup]]
        name = "team-*"
        plan = "1h + 50 %"
        [[workgroup.limit]]
        window = "24h"
        limit = "9 GB"

        [[workgroup]]
        name = "team-a"
        plan = "1h + 50 %"
        [[workgroup.limit]]
        window = "24h"
        limit = "9 GB"
        [[workgroup.limit]]
        window = "1h"
        # plan: 4.5 GB an hour: 3 GB and 50 % on top.
        # plan: Of the peaks of 8 days (2026-03-02 to 2026-03-09, 2,293 windows of 1h) the largest counts, which about one day
        # plan: in 9 passes: 3 GB at 2026-03-02 04:00 UTC.
        # plan: It would have been passed on 0 of 8 days; of the next 30 days about 3.0 (eight times out of ten 0 to 8).
        # plan: Unsure: 8 days are less than two weeks, so that no weekday was seen twice for sure.
        quota = "3 GB"
        buffer = "50 %"
    "#]],
    );
}

/// In a directory, as under a path of SSM, the numbers go into a document of their own.
#[test]
fn beside_several_documents_goes_one() {
    let usage = file("plan-folder.csv", &text(&rows(8, &[("predictable", &|_| 3 * GB)])));
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("plan.d");
    let _ = std::fs::remove_dir_all(&folder);
    file("plan.d/00-stack.toml", POLICY);
    let args = ["--usage", &usage, "--policy", "plan.d", "--write"];
    assert_eq!(output(plan(&args), "").status.code(), Some(0));
    expect![[r##"
        # Limits from `watchdog plan`: each rule here replaces that of the same name in an earlier document.

        [[workgroup]]
        name = "predictable"
        owner = "etl@example.com" # the team
        [[workgroup.limit]]
        window = "1h"
        warn = "85 %"
        # plan: 3.3 GB an hour: 3 GB and 10 % on top.
        # plan: Of the peaks of 8 days (2026-03-02 to 2026-03-09, 2,293 windows of 1h) the largest counts, which about one day
        # plan: in 9 passes: 3 GB at 2026-03-02 04:00 UTC.
        # plan: It would have been passed on 0 of 8 days; of the next 30 days about 3.0 (eight times out of ten 0 to 8).
        # plan: Unsure: 8 days are less than two weeks, so that no weekday was seen twice for sure.
        quota = "3 GB"
        buffer = "10 %"
    "##]].assert_eq(&std::fs::read_to_string(folder.join("90-plan.toml")).unwrap());
    check(
        watchdog(&["check", "--json", "plan.d"]),
        &expect![[r#"
            exit 0
            --- stdout
            {
              "valid": true,
              "documents": [
                {
                  "name": "plan.d/00-stack.toml",
                  "bytes": 400
                },
                {
                  "name": "plan.d/90-plan.toml",
                  "bytes": 674
                }
              ],
              "problems": [],
              "policy": {
                "mail": {
                  "sender": "watchdog@example.com",
                  "reply_to": null,
                  "admins": [
                    "ops@example.com"
                  ],
                  "allowed_domains": [
                    "example.com"
                  ],
                  "time_zone": "UTC",
                  "repeat_cannot_see_every": "24h"
                },
                "submitters": {
                  "people": {},
                  "trusted_roles": [],
                  "trusted_source_identity": [],
                  "share_floor": "2 %",
                  "bytes_floor_bytes": 1000000000,
                  "repeat_every": "1h",
                  "show_sql": false
                },
                "active_queries": {
                  "classes": [
                    "DML",
                    "DDL"
                  ],
                  "look_back": "10m",
                  "thresholds": [
                    {
                      "level": "warn",
                      "share": "80 %",
                      "told": [
                        "ops@example.com"
                      ]
                    },
                    {
                      "level": "critical",
                      "share": "90 %",
                      "told": [
                        "ops@example.com"
                      ]
                    },
                    {
                      "level": "exhausted",
                      "share": "100 %",
                      "told": [
                        "ops@example.com"
                      ]
                    }
                  ],
                  "resolves_below": "60 %",
                  "hold": "30m",
                  "repeat_every": "4h"
                },
                "report": null,
                "workgroups": [
                  {
                    "name": "predictable",
                    "is_pattern": false,
                    "owner": "etl@example.com",
                    "per_query_cutoff_bytes": null,
                    "waiting": null,
                    "limits": [
                      {
                        "window": "1h",
                        "limit_bytes": 3300000000,
                        "computed": "3.3 GB = 3 GB + 10 %",
                        "thresholds": [
                          {
                            "level": "warn",
                            "from_bytes": 2805000000,
                            "share": "85 %",
                            "told": [
                              "ops@example.com"
                            ]
                          },
                          {
                            "level": "critical",
                            "from_bytes": 3135000000,
                            "share": "95 %",
                            "told": [
                              "ops@example.com"
                            ]
                          },
                          {
                            "level": "exhausted",
                            "from_bytes": 3300000000,
                            "share": "100 %",
                            "told": [
                              "ops@example.com"
                            ]
                          }
                        ],
                        "hysteresis": "10 %",
                        "resolves_below": "75 %",
                        "hold": "30m",
                        "forecast": true,
                        "warn_without_forecast": "85 %",
                        "repeat_every": "4h"
                      }
                    ]
                  },
                  {
                    "name": "team-*",
                    "is_pattern": true,
                    "owner": null,
                    "per_query_cutoff_bytes": null,
                    "waiting": null,
                    "limits": [
                      {
                        "window": "24h",
                        "limit_bytes": 9000000000,
                        "computed": "9 GB",
                        "thresholds": [
                          {
                            "level": "warn",
                            "from_bytes": 8100000000,
                            "share": "90 %",
                            "told": [
                              "ops@example.com"
                            ]
                          },
                          {
                            "level": "critical",
                            "from_bytes": 8550000000,
                            "share": "95 %",
                            "told": [
                              "ops@example.com"
                            ]
                          },
                          {
                            "level": "exhausted",
                            "from_bytes": 9000000000,
                            "share": "100 %",
                            "told": [
                              "ops@example.com"
                            ]
                          }
                        ],
                        "hysteresis": "15 %",
                        "resolves_below": "75 %",
                        "hold": "30m",
                        "forecast": true,
                        "warn_without_forecast": "80 %",
                        "repeat_every": "4h"
                      }
                    ]
                  }
                ]
              }
            }
        "#]],
    );
    assert_eq!(output(plan(&args), "").status.code(), Some(0));
}

#[test]
fn the_five_workgroups_by_their_kind() {
    let log: Vec<String> = (0..1_200u32)
        .map(|n| {
            format!(
                "2026-03-02T03:{:02}:00Z,2026-03-02T03:{:02}:30Z,fast-query,{}",
                n % 60,
                n % 60,
                1_000_000 * u64::from(n + 10)
            )
        })
        .collect();
    let queries = file("plan-five-q.csv", &format!("submitted,completed,workgroup,bytes\n{}\n", log.join("\n")));
    let usage = text(&rows(
        20,
        &[
            ("predictable", &|_| 500 * GB),
            ("long-query", &|day| (100 + day) * GB),
            ("exploratory", &|_| 20 * GB),
            ("ad-hoc", &|_| 0),
            ("other", &|_| GB),
        ],
    ));
    let usage = file("plan-five.csv", &usage);
    let more = ["--queries", &queries, "--account-capacity", "3TB/1h", "--ad-hoc", "5GB"];
    check(
        plan(&[&["--usage", usage.as_str()][..], &more].concat()),
        &expect![[r#"
            exit 0
            --- stdout
            ad-hoc  (a stated value)
              5 GB an hour.
                A stated value; nothing was computed.
                It would have been passed on 0 of 20 days; of the next 30 days about 1.4 (eight times out of ten 0 to 4).

            exploratory  (70 % of spare)
              1162 GB an hour: 70 % of 1.66 TB.
                The account can take 3 TB an hour, as stated; in its busiest hour of the day, from 03:00 UTC, production (fast-query, long-query, predictable) needs 1.34 TB of it, by 20 days.
                It would have been passed on 0 of 20 days; of the next 30 days about 1.4 (eight times out of ten 0 to 4).

            fast-query  (per query)
              1.21 GB for each query, without a buffer.
                Of 1,200 queries, the largest has scanned 1.21 GB; half have scanned 609 MB or less, and the largest 1.21 GB.
                It would have cut off 0 of them; of the next 1,000 queries about 0.8 (eight times out of ten 0 to 2).

            long-query  (24h + 100 %)
              266 GB a day: 133 GB and 100 % on top.
                Of the peaks of 19 days (2026-03-03 to 2026-03-21, 5,472 windows of 24h) the largest counts, which about one day in 20 passes: 119 GB at 2026-03-21 04:00 UTC.
                It would have been passed on 0 of 19 days; of the next 30 days about 2.0 (eight times out of ten 0 to 6).
                Use grows: half of the days reached 104 GB or more in the first weeks and 116 GB in as many at the end; as much growth again is in the number, at most a half.

            predictable  (1h + 10 %)
              550 GB an hour: 500 GB and 10 % on top.
                Of the peaks of 20 days (2026-03-02 to 2026-03-21, 5,749 windows of 1h) the largest counts, which about one day in 21 passes: 500 GB at 2026-03-02 04:00 UTC.
                It would have been passed on 0 of 20 days; of the next 30 days about 1.4 (eight times out of ten 0 to 4).

            Back-test of ad-hoc: under the proposed policy 0 mails, 0 alerts, never reached.
            Back-test of exploratory: under the proposed policy 0 mails, 0 alerts, never reached.
            Back-test of fast-query: under the proposed policy 0 mails, 0 alerts, never reached.
            Back-test of long-query: under the proposed policy 0 mails, 0 alerts, never reached.
            Back-test of predictable: under the proposed policy 40 mails, 20 alerts, never reached.
            A limit is always quiet over the past that it was computed from: what it will send is better judged by the days above.
            Without a rule, and not looked at: other. Give one with `--rule`, or `plan` in the policy.
        "#]],
    );
    // What is not known is said, and the rest goes on.
    check(
        plan(&["--usage", &usage]),
        &expect![[r#"
        exit 3
        --- stdout
        ad-hoc  (a stated value)
          No proposal: its limit is a stated value, and nobody has stated one: give `--ad-hoc`, such as `--ad-hoc 100GB`.

        exploratory  (70 % of spare)
          No proposal: nobody has stated what the account can take before queries queue: give it, such as `--account-capacity 5TiB/1h`.

        long-query  (24h + 100 %)
          266 GB a day: 133 GB and 100 % on top.
            Of the peaks of 19 days (2026-03-03 to 2026-03-21, 5,472 windows of 24h) the largest counts, which about one day in 20 passes: 119 GB at 2026-03-21 04:00 UTC.
            It would have been passed on 0 of 19 days; of the next 30 days about 2.0 (eight times out of ten 0 to 6).
            Use grows: half of the days reached 104 GB or more in the first weeks and 116 GB in as many at the end; as much growth again is in the number, at most a half.

        predictable  (1h + 10 %)
          550 GB an hour: 500 GB and 10 % on top.
            Of the peaks of 20 days (2026-03-02 to 2026-03-21, 5,749 windows of 1h) the largest counts, which about one day in 21 passes: 500 GB at 2026-03-02 04:00 UTC.
            It would have been passed on 0 of 20 days; of the next 30 days about 1.4 (eight times out of ten 0 to 4).

        Back-test of long-query: under the proposed policy 0 mails, 0 alerts, never reached.
        Back-test of predictable: under the proposed policy 40 mails, 20 alerts, never reached.
        A limit is always quiet over the past that it was computed from: what it will send is better judged by the days above.
        Without a rule, and not looked at: other. Give one with `--rule`, or `plan` in the policy.
    "#]],
    );
}

#[track_caller]
fn check_why(name: &str, text: &str, more: &[&str], expected: &Expect) {
    let (code, answer) = answer(name, text, more);
    let proposal = &answer["proposals"][0];
    let why = proposal["why"].as_array().unwrap().iter().map(|line| format!("{}\n", line.as_str().unwrap()));
    expected.assert_eq(&format!("exit {} {}\n{}", code.unwrap(), proposal["limit_bytes"], why.collect::<String>()));
}

#[test]
fn a_past_that_says_little_or_odd_things() {
    let some: &dyn Fn(u64) -> u64 = &|_| 12 * GB;
    // A single day, and four.
    check_why(
        "plan-one.csv",
        &text(&rows(1, &[("predictable", some)])),
        &[],
        &expect![[r#"
        exit 3 null
        too little history: 1 day is known well enough, and it takes 5; wait, or give a longer one
    "#]],
    );
    check_why(
        "plan-four.csv",
        &text(&rows(4, &[("predictable", some)])),
        &[],
        &expect![[r#"
        exit 3 null
        too little history: 4 days are known well enough, and it takes 5; wait, or give a longer one
    "#]],
    );
    // All zeros.
    check_why(
        "plan-zero.csv",
        &text(&rows(30, &[("predictable", &|_| 0)])),
        &[],
        &expect![[r#"
        exit 0 null
        nothing was scanned on 30 days: there is nothing to compute a limit from
    "#]],
    );
    // One giant spike.
    let spike: &dyn Fn(u64) -> u64 = &|day| if day == 9 { 900 * GB } else { 12 * GB };
    check_why(
        "plan-spike.csv",
        &text(&rows(20, &[("predictable", spike)])),
        &[],
        &expect![[r#"
        exit 0 13200000000
        13.2 GB an hour: 12 GB and 10 % on top.
        Of the peaks of 20 days (2026-03-02 to 2026-03-21, 5,749 windows of 1h) number 2 from above counts, which about one day in 10 passes: 12 GB at 2026-03-02 04:00 UTC.
        It would have been passed on 1 of 20 days, last on 2026-03-11; of the next 30 days about 2.7 (eight times out of ten 0 to 8).
        Left out as an accident: 900 GB at 2026-03-11 04:00 UTC, more than three times of any other day. With it the limit would be 990 GB.
    "#]],
    );
    // 5e16 bytes a day: the sums of a day pass 2^53, and are exact.
    let much: &dyn Fn(u64) -> u64 = &|_| 50_000_000_000_000_004;
    check_why(
        "plan-much.csv",
        &text(&rows(20, &[("long-query", much)])),
        &[],
        &expect![[r#"
        exit 0 100200000000000000
        100.2 PB a day: 50.1 PB and 100 % on top.
        Of the peaks of 19 days (2026-03-03 to 2026-03-21, 5,472 windows of 24h) the largest counts, which about one day in 20 passes: 50.1 PB at 2026-03-03 00:05 UTC.
        It would have been passed on 0 of 19 days; of the next 30 days about 2.0 (eight times out of ten 0 to 6).
    "#]],
    );
    // More than can be counted.
    let most: &dyn Fn(u64) -> u64 = &|_| u64::MAX;
    check_why(
        "plan-most.csv",
        &text(&rows(20, &[("long-query", most)])),
        &[],
        &expect![[r#"
        exit 0 null
        the limit would be 16 EiB or more: is the history in bytes?
    "#]],
    );
}

/// Whatever the order of rows, and however they are cut: the same bytes make the same plan.
#[test]
fn the_order_and_the_cut_of_rows_do_not_matter() {
    let ordered = rows(20, &[("predictable", &|day| (10 + day) * GB)]);
    let plain = answer("plan-ordered.csv", &text(&ordered), &[]);
    let mut reversed = ordered.clone();
    reversed.reverse();
    assert_eq!(answer("plan-reversed.csv", &text(&reversed), &[]), plain);
    // Duplicates are two parts of one bucket: half and half.
    let halves = |row: &String| {
        let (stamp, bytes) = row.rsplit_once(',').unwrap();
        let bytes: u64 = bytes.parse().unwrap();
        [format!("{stamp},{}", bytes / 2), format!("{stamp},{}", bytes - bytes / 2)]
    };
    let doubled: Vec<String> = ordered.iter().flat_map(halves).collect();
    assert_eq!(answer("plan-doubled.csv", &text(&doubled), &[]), plain);
    // Windows line ends, and other zones: the same instants.
    assert_eq!(answer("plan-crlf.csv", &text(&ordered).replace('\n', "\r\n"), &[]), plain);
    let zoned = |(n, row): (usize, &String)| match n % 3 {
        0 => row.replace("Z,", "+00:00,"),
        1 => row.clone(),
        _ => row.replace('Z', "-00:00"),
    };
    let mixed: Vec<String> = ordered.iter().enumerate().map(zoned).collect();
    assert_eq!(answer("plan-zones.csv", &text(&mixed), &[]), plain);
    // Rows without bytes may be missing, as CloudWatch leaves them out.
    let mut sparse = ordered.clone();
    let last = sparse.pop().unwrap();
    let first = sparse.remove(0);
    sparse.retain(|row| !row.ends_with(",0"));
    sparse.insert(0, first);
    sparse.push(last);
    assert_eq!(answer("plan-sparse.csv", &text(&sparse), &[]), plain);
}

#[test]
fn a_hole_is_told_of_and_counts_for_nothing() {
    let mut with_hole = rows(20, &[("predictable", &|_| 12 * GB)]);
    with_hole.drain(288 * 6 + 100..288 * 9 + 10);
    let usage = file("plan-hole.csv", &text(&with_hole));
    let output = output(plan(&["--usage", &usage, "--json"]), "");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    // Of 20 days two are unknown; a third ends too early, and of the fourth only minutes are missing.
    assert_eq!(answer["proposals"][0]["days"], 17);
    expect![[r#"
        warning: `plan-hole.csv` has no row at all from 2026-03-08 08:20 UTC to 2026-03-11 00:50 UTC: that time is not known, and counts for nothing
    "#]].assert_eq(&String::from_utf8(output.stderr).unwrap());
}

#[test]
fn what_is_wrong_is_named() {
    let bad = |name: &str, text: &str| {
        let usage = file(name, text);
        shown(&output(plan(&["--usage", &usage]), ""))
    };
    let mut all = String::new();
    all += &bad("plan-bad-header.csv", "time,workgroup,bytes\n");
    all += &bad("plan-bad-empty.csv", "");
    all += &bad("plan-bad-none.csv", "timestamp,workgroup,bytes\n");
    all += &bad("plan-bad-zone.csv", "timestamp,workgroup,bytes\n2026-03-01T00:00:00,predictable,1\n");
    all += &bad("plan-bad-bytes.csv", "timestamp,workgroup,bytes\r\n2026-03-01T00:00:00Z,predictable,1.5e16\r\n");
    all += &bad(
        "plan-bad-year.csv",
        "timestamp,workgroup,bytes\n2026-03-01T00:00:00Z,predictable,1\n2206-03-01T00:00:00Z,predictable,1\n",
    );
    all += &bad("plan-bad-rule.csv", "timestamp,workgroup,bytes\n2026-03-01T00:00:00Z,mine,1\n");
    expect![[r#"
        exit 2
        --- stderr
        error: `plan-bad-header.csv`, line 1: the header is `time,workgroup,bytes`, and it must be `timestamp,workgroup,bytes`
        exit 2
        --- stderr
        error: `plan-bad-empty.csv` is empty: its first line must be `timestamp,workgroup,bytes`
        exit 2
        --- stderr
        error: `plan-bad-none.csv` has no rows below its header: there is nothing to look at
        exit 2
        --- stderr
        error: `plan-bad-zone.csv`, line 2: `timestamp` is `2026-03-01T00:00:00`: write an RFC 3339 instant with its zone, such as `2026-03-01T13:05:00Z`
        exit 2
        --- stderr
        error: `plan-bad-bytes.csv`, line 2: `bytes` is `1.5e16`: write a whole number from 0 to 18446744073709551615, without a unit
        exit 2
        --- stderr
        error: `plan-bad-year.csv`: the rows reach from 2026-03-01 00:00 UTC to 2206-03-01 00:00 UTC, more than 20 years; is a year wrong?
        exit 2
        --- stderr
        error: no workgroup has a rule to compute limits by: give one, such as `--rule 'etl-*=1h + 10 %'`, or `plan` in the policy
    "#]].assert_eq(&all);
}

#[test]
fn wrong_usage() {
    check(
        plan(&[]),
        &expect![[r#"
        exit 2
        --- stderr
        error: the following required arguments were not provided:
          --usage <FILE>

        Usage: watchdog plan --usage <FILE>

        For more information, try '--help'.
    "#]],
    );
    check(
        plan(&["--since", "64d"]),
        &expect![[r#"
            exit 2
            --- stderr
            error: no AWS Region is set: give `--region eu-central-1`, or set `AWS_REGION`, or name one in the profile
        "#]],
    );
    check(
        plan(&["--usage", "x", "--rule", "etl"]),
        &expect![[r#"
        exit 2
        --- stderr
        error: invalid value 'etl' for '--rule <NAME=RULE>': write it as `NAME=RULE`, such as `etl=1h + 10 %`

        For more information, try '--help'.
    "#]],
    );
    check(
        plan(&["--usage", "x", "--rule", "etl=1h plus 10 %"]),
        &expect![[r#"
        exit 2
        --- stderr
        error: invalid value 'etl=1h plus 10 %' for '--rule <NAME=RULE>': `1h plus 10 %` is no rule to compute a limit by: write a rolling window with a buffer, such as `1h + 10 %`, or `per query`, or `70 % of spare`, or a value, such as `100 GB in 1h`; several with commas between them

        For more information, try '--help'.
    "#]],
    );
    check(
        plan(&["--usage", "x", "--account-capacity", "5TiB"]),
        &expect![[r#"
        exit 2
        --- stderr
        error: invalid value '5TiB' for '--account-capacity <SIZE/TIME>': write a size and a time, such as `5TiB/1h`

        For more information, try '--help'.
    "#]],
    );
    check(
        plan(&["--usage", "x", "--account-capacity", "5TiB/calendar day"]),
        &expect![[r#"
        exit 2
        --- stderr
        error: invalid value '5TiB/calendar day' for '--account-capacity <SIZE/TIME>': `calendar day` is no time that it can be counted in: write one from 15 minutes to 24 hours, such as `1h`

        For more information, try '--help'.
    "#]],
    );
    check(
        plan(&["--usage", "x", "--ad-hoc", "5"]),
        &expect![[r#"
        exit 2
        --- stderr
        error: invalid value '5' for '--ad-hoc <SIZE>': `5` has no unit: write for example `5 GB` (10^9 bytes) or `5 GiB` (2^30 bytes)

        For more information, try '--help'.
    "#]],
    );
    check(
        nowhere(&["plan", "--since", "30d"]),
        &expect![[r#"
        exit 3
        --- stderr
        error: the policy could not be read: `ssm:GetParametersByPath` failed with `Unreachable`: io error: client error (Connect): tcp connect error: Connection refused (os error 111)
    "#]],
    );
}

#[test]
fn the_page_needs_nothing_from_elsewhere_and_keeps_text_text() {
    let rows = rows(20, &[("<b>w&amp;", &|day| (10 + day) * GB)]);
    let usage = file("plan-page.csv", &text(&rows));
    let page = file("plan-page.html", "");
    let made = output(plan(&["--usage", &usage, "--rule", "*=1h + 10 %", "--html", &page]), "");
    // Such a name is none that a policy could hold.
    assert_eq!(made.status.code(), Some(2), "{}", shown(&made));
    let rows: Vec<String> = rows.iter().map(|row| row.replace("<b>w&amp;", "w")).collect();
    let usage = file("plan-page.csv", &text(&rows));
    let made = output(plan(&["--usage", &usage, "--rule", "*=1h + 10 %", "--html", &page]), "");
    assert_eq!(made.status.code(), Some(0), "{}", shown(&made));
    let html = std::fs::read_to_string(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(&page)).unwrap();
    assert!(!html.contains("<script") && !html.contains("http:") && !html.contains("https:"), "nothing from elsewhere");
    for there in ["<h3>w, 1h</h3>", "class=\"use\" d=\"M", ">proposed</text>", "Back-test of w"] {
        assert!(html.contains(there), "{there}");
    }
}

/// A month of active queries: sixty to a hundred and forty from six to 22 o'clock, and on Thursdays at two as many as there may be.
fn active(days: u64) -> String {
    let mut rows = vec!["timestamp,class,active".to_owned()];
    for (day, five) in (0..days).flat_map(|day| (0..288).map(move |five| (day, five))) {
        let date =
            jiff::civil::date(2026, 3, 2).checked_add(jiff::Span::new().days(i64::try_from(day).unwrap())).unwrap();
        let stamp = format!("{date}T{:02}:{:02}:00Z", five / 12, five % 12 * 5);
        let n = match five / 12 {
            14 if day % 7 == 3 => 200,
            6..22 => 60 + (day * 288 + five) * 7919 % 81,
            _ => 0,
        };
        if n > 0 {
            rows.push(format!("{stamp},DML,{n}"));
        }
        if five == 0 || five == 287 {
            rows.push(format!("{stamp},ddl,1"));
        }
    }
    rows.join("\n")
}

#[test]
fn the_band_of_active_queries_its_busiest_hours_and_what_is_left() {
    let usage = file("plan-band-use.csv", &text(&rows(20, &[("predictable", &|_| 10 * GB)])));
    let active = file("plan-band.csv", &active(20));
    let args = ["--usage", &usage, "--active", &active, "--active-quota", "dml=200", "--region", "eu-central-1"];
    let shown = shown(&output(plan(&args), ""));
    let (_, of_queries) = shown.split_once("Active DML").unwrap();
    expect![[r#"
         queries  (quota 200; 2026-03-02 to 2026-03-21)
          Eight times out of ten 68 to 133 active, 34 % to 66 % of the quota, while there are any.
            There were any in 3,840 of 5,760 stretches of five minutes.
            At most 200 at 2026-03-05 14:00 UTC, 100 %: nothing was left, and the next ones would have been refused.
            Busiest hours, UTC, with the most that half of the days reach in them: 06:00 (138), 09:00 (138), 12:00 (138).
            Of the peaks of 20 days the largest counts, which about one day in 21 passes: 200.
            The quota was reached on 3 of 20 days, last on 2026-03-19; of the next 30 days about 5.5 (eight times out of ten 0 to 12).
            Too near: the next burst is refused. With a quota of 250 what is needed would be four fifths of it; ask AWS for it: https://eu-central-1.console.aws.amazon.com/servicequotas/home/services/athena/quotas/L-FC5F6546

        Active DDL queries  (2026-03-02 to 2026-03-21)
          Eight times out of ten 1 active, while there are any.
            There were any in 40 of 5,760 stretches of five minutes.
            Their quota is not known, so that nothing is said of what is left.
            At most 1 at 2026-03-02 00:00 UTC.
            Busiest hours, UTC, with the most that half of the days reach in them: 00:00 (1), 23:00 (1).
            Of the peaks of 20 days the largest counts, which about one day in 21 passes: 1.

        Back-test of predictable: under the proposed policy 40 mails, 20 alerts, never reached.
        A limit is always quiet over the past that it was computed from: what it will send is better judged by the days above.
        --- stderr
        warning: the quota of active DDL queries is not known: give it, such as `--active-quota DDL=200`
    "#]].assert_eq(of_queries);

    let (code, answer) = answer("plan-band-use.csv", &text(&rows(20, &[("predictable", &|_| 10 * GB)])), &args[2..]);
    assert_eq!(code, Some(0));
    let dml = &answer["active_queries"][0];
    assert_eq!(
        (&dml["low_percent"], &dml["high_percent"], &dml["left"], &dml["better_quota"], &dml["hours"][3]),
        (&34.into(), &66.into(), &0.into(), &250.into(), &0.into())
    );
    assert_eq!(dml["days"].as_array().unwrap().len(), 20);
    assert_eq!(answer["active_queries"][1]["quota"], Value::Null);

    // The page has a plot of each class, and the quota in it where it is known.
    let page = file("plan-band.html", "");
    output(plan(&[&args[..], &["--html", &page]].concat()), "");
    let page = std::fs::read_to_string(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(page)).unwrap();
    assert_eq!(page.matches("aria-label=\"Active D").count(), 2);
    assert_eq!(page.matches(">quota</text>").count(), 1);
}

/// What the account can take, from the hours in which queries waited.
#[test]
fn capacity_that_is_learnt_from_waiting() {
    // From three to four predictable has its bytes; exploration has the hour from three on, too, and it grows by the day.
    let explored = |day: u64| (20 + day * 5) * GB;
    let use_of = text(&rows(20, &[("predictable", &|_| 10 * GB), ("exploratory", &explored)]));
    let waits = |from: u64, until: u64| {
        let each = (0..20).map(|day| {
            let date =
                jiff::civil::date(2026, 3, 2).checked_add(jiff::Span::new().days(i64::try_from(day).unwrap())).unwrap();
            let waited = if (from..until).contains(&day) { 45_000 } else { 900 };
            format!(
                "{date}T03:20:00Z,predictable,{waited}\n{date}T00:00:00Z,predictable,0\n{date}T23:55:00Z,exploratory,0"
            )
        });
        let each: Vec<String> = each.collect();
        file(
            &format!("plan-waits-{from}-{until}.csv"),
            &format!("timestamp,workgroup,waited_ms\n{}\n", each.join("\n")),
        )
    };
    let found = |waits: &str| {
        let (code, answer) = answer("plan-waits-use.csv", &use_of, &["--waits", waits]);
        let of = answer["proposals"].as_array().unwrap().iter().find(|p| p["workgroup"] == "exploratory").unwrap();
        let why = of["why"].as_array().unwrap().iter().map(|w| w.as_str().unwrap()).collect::<Vec<_>>().join("\n");
        format!("exit {}\n{} bytes\n{why}", code.unwrap(), of["limit_bytes"])
    };
    expect![[r#"
        exit 0
        55930000000 bytes
        55.93 GB an hour: 70 % of 79.9 GB.
        Learnt from when queries waited ten seconds and more, or as many were active as the quota has: so it was in 8 of the 8 hours with 90 GB or more, from where on it is more likely than not, and in 0 of the 472 hours with less.
        The account can take 90 GB an hour, as learnt; in its busiest hour of the day, from 03:00 UTC, production (predictable) needs 10 GB of it, by 20 days.
        It would have been passed on 12 of 20 days, last on 2026-03-21; of the next 30 days about 18 (eight times out of ten 10 to 24)."#]].assert_eq(&found(&waits(12, 20)));
    expect![[r#"
        exit 0
        79800000000 bytes
        79.8 GB an hour: 70 % of 114 GB.
        Learnt: in none of 480 hours a query waited ten seconds or the quota of active ones was reached; the account took 125 GB at most, and may take more.
        The account can take 125 GB an hour, as learnt; in its busiest hour of the day, from 03:00 UTC, production (predictable) needs 10 GB of it, by 20 days.
        It would have been passed on 8 of 20 days, last on 2026-03-21; of the next 30 days about 12 (eight times out of ten 6 to 20)."#]].assert_eq(&found(&waits(20, 20)));
    expect![[r#"
        exit 3
        null bytes
        nobody has stated what the account can take before queries queue: give it, such as `--account-capacity 5TiB/1h`; it cannot be learnt, for queries waited, or as many were active as the quota has, in 3 of 480 hours, and it takes 5"#]].assert_eq(&found(&waits(0, 3)));
}

#[test]
fn files_and_quotas_of_queries_that_are_not_what_they_should_be() {
    let usage = file("plan-bad-use.csv", &text(&rows(1, &[("predictable", &|_| GB)])));
    let check = |args: &[&str], expected: Expect| {
        expected.assert_eq(&shown(&output(plan(&[&["--usage", usage.as_str()], args].concat()), "")));
    };
    let active = file("plan-bad-active.csv", "timestamp,class,active\n2026-03-02T00:00:00Z,UTILITY,3\n");
    check(
        &["--active", &active],
        expect![[r#"
        exit 2
        --- stderr
        error: `plan-bad-active.csv`, line 2: `class` is `UTILITY`: write `DML` or `DDL`
    "#]],
    );
    let header = file("plan-bad-header.csv", "timestamp,active\n2026-03-02T00:00:00Z,3\n");
    check(
        &["--active", &header],
        expect![[r#"
        exit 2
        --- stderr
        error: `plan-bad-header.csv`, line 1: the header is `timestamp,active`, and it must be `timestamp,class,active`
    "#]],
    );
    let empty = file("plan-bad-empty.csv", "timestamp,workgroup,waited_ms\n");
    check(
        &["--waits", &empty],
        expect![[r#"
        exit 2
        --- stderr
        error: `plan-bad-empty.csv` has no rows below its header: there is nothing to look at
    "#]],
    );
    let half = file("plan-bad-half.csv", "timestamp,workgroup,waited_ms\n2026-03-02T00:00:00Z,etl,1.5\n");
    check(
        &["--waits", &half],
        expect![[r#"
        exit 2
        --- stderr
        error: `plan-bad-half.csv`, line 2: `waited_ms` is `1.5`: write a whole number from 0 to 18446744073709551615, without a unit
    "#]],
    );
    check(
        &["--active-quota", "200"],
        expect![[r#"
        exit 2
        --- stderr
        error: invalid value '200' for '--active-quota <CLASS=QUERIES>': write a class and its quota, such as `DML=200`

        For more information, try '--help'.
    "#]],
    );
    check(
        &["--active-quota", "DML=0"],
        expect![[r#"
        exit 2
        --- stderr
        error: invalid value 'DML=0' for '--active-quota <CLASS=QUERIES>': the quota is `0`: write a whole number from 1 to 1000000

        For more information, try '--help'.
    "#]],
    );
    check(
        &["--active-quota", "SQL=3"],
        expect![[r#"
        exit 2
        --- stderr
        error: invalid value 'SQL=3' for '--active-quota <CLASS=QUERIES>': the class is `SQL`: write `DML` or `DDL`

        For more information, try '--help'.
    "#]],
    );
}
