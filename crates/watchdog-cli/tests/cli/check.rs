//! `watchdog check` on valid policies, and how its documents are found and merged.

use expect_test::expect;

use super::{POLICY, check, check_with_input, file, watchdog};

#[test]
fn a_valid_policy_is_explained() {
    let name = file("explained.toml", POLICY);
    check(
        watchdog(&["check", &name]),
        &expect![[r#"
            exit 0
            --- stdout
            Valid: 1 document, 4 workgroup rules, 4 limits.

            Mail      from watchdog@example.com
                      answers to data-platform@example.com
                      admins: dba@example.com, ops@example.com
                      only ever to: example.com
                      times in Europe/Berlin
                      what cannot be seen is repeated to the admins every 24h

            Active DML and DDL queries of the account, against its quotas: the most in the last 10 minutes
              warn        80 %  tells the admins
              critical    90 %  tells the admins
              exhausted  100 %  tells the admins
              resolves below 60 % for 30m; reminders every 4h

            For a workgroup that several of these match, the first one counts.

            exploratory, owner lead@example.com
              1h: 700 GB = 70 % of 1 TB
                warn       66.67 %  from 466,690,000,000 bytes (466.7 GB)  tells the owner lead@example.com
                critical      95 %  from 665,000,000,000 bytes (665 GB)    tells the owner lead@example.com, the admins
                exhausted    100 %  from 700,000,000,000 bytes (700 GB)    tells the admins
                warns sooner where the forecast says that it runs out
                a level ends 5 % of the limit below its threshold; resolves below 61.67 % for 30m; reminders every 2h
              calendar-day@Europe/Berlin: 4 TiB
                warn        90 %  from 3,958,241,859,994 bytes (3.6 TiB)  tells analysts@example.com
                critical    95 %  from 4,178,144,185,549 bytes (3.8 TiB)  tells analysts@example.com
                exhausted  100 %  from 4,398,046,511,104 bytes (4 TiB)    tells analysts@example.com
                warns sooner where the forecast says that it runs out; while there is too little history for it, at 80 %
                a level ends 15 % of the limit below its threshold; resolves below 75 % for 30m; reminders every 2h

            predictable
              one query: 500 GB (500,000,000,000 bytes), stated here to be shown; set in Athena, which enforces it
              waiting: at most 2 min
                warn        50 %  tells the admins
                critical    80 %  tells the admins
                exhausted  100 %  tells the admins
                resolves below 25 % for 30m; reminders every 2h
              1h: 1.1 TB = 1 TB + 10 %
                warn        90 %  from 990,000,000,000 bytes (990 GB)    tells the admins
                critical    95 %  from 1,045,000,000,000 bytes (1 TB)    tells the admins
                exhausted  100 %  from 1,100,000,000,000 bytes (1.1 TB)  tells the admins
                warns sooner where the forecast says that it runs out; while there is too little history for it, at 80 %
                a level ends 15 % of the limit below its threshold; resolves below 75 % for 30m; reminders every 2h

            fast-query
              one query: 50 GB (50,000,000,000 bytes), stated here to be shown; set in Athena, which enforces it

            team-* (pattern)
              24h: 999 B
                warn        90 %  from 900 bytes  tells the owner, for want of one the admins
                critical    95 %  from 950 bytes  tells the owner, for want of one the admins
                exhausted  100 %  from 999 bytes  tells the owner, for want of one the admins
                warns sooner where the forecast says that it runs out; while there is too little history for it, at 80 %
                a level ends 15 % of the limit below its threshold; resolves below 75 % for 30m; reminders every 2h
        "#]],
    );
}

#[test]
fn a_valid_policy_as_json() {
    let name = file("json.toml", POLICY);
    check(
        watchdog(&["check", "--json", &name]),
        &expect![[r#"
            exit 0
            --- stdout
            {
              "valid": true,
              "documents": [
                {
                  "name": "json.toml",
                  "bytes": 927
                }
              ],
              "problems": [],
              "policy": {
                "mail": {
                  "sender": "watchdog@example.com",
                  "reply_to": "data-platform@example.com",
                  "admins": [
                    "dba@example.com",
                    "ops@example.com"
                  ],
                  "allowed_domains": [
                    "example.com"
                  ],
                  "time_zone": "Europe/Berlin",
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
                        "dba@example.com",
                        "ops@example.com"
                      ]
                    },
                    {
                      "level": "critical",
                      "share": "90 %",
                      "told": [
                        "dba@example.com",
                        "ops@example.com"
                      ]
                    },
                    {
                      "level": "exhausted",
                      "share": "100 %",
                      "told": [
                        "dba@example.com",
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
                    "name": "exploratory",
                    "is_pattern": false,
                    "owner": "lead@example.com",
                    "per_query_cutoff_bytes": null,
                    "waiting": null,
                    "limits": [
                      {
                        "window": "1h",
                        "limit_bytes": 700000000000,
                        "computed": "700 GB = 70 % of 1 TB",
                        "thresholds": [
                          {
                            "level": "warn",
                            "from_bytes": 466690000000,
                            "share": "66.67 %",
                            "told": [
                              "lead@example.com"
                            ]
                          },
                          {
                            "level": "critical",
                            "from_bytes": 665000000000,
                            "share": "95 %",
                            "told": [
                              "dba@example.com",
                              "lead@example.com",
                              "ops@example.com"
                            ]
                          },
                          {
                            "level": "exhausted",
                            "from_bytes": 700000000000,
                            "share": "100 %",
                            "told": [
                              "dba@example.com",
                              "ops@example.com"
                            ]
                          }
                        ],
                        "hysteresis": "5 %",
                        "resolves_below": "61.67 %",
                        "hold": "30m",
                        "forecast": true,
                        "warn_without_forecast": "66.67 %",
                        "repeat_every": "2h"
                      },
                      {
                        "window": "calendar-day@Europe/Berlin",
                        "limit_bytes": 4398046511104,
                        "computed": "4 TiB",
                        "thresholds": [
                          {
                            "level": "warn",
                            "from_bytes": 3958241859994,
                            "share": "90 %",
                            "told": [
                              "analysts@example.com"
                            ]
                          },
                          {
                            "level": "critical",
                            "from_bytes": 4178144185549,
                            "share": "95 %",
                            "told": [
                              "analysts@example.com"
                            ]
                          },
                          {
                            "level": "exhausted",
                            "from_bytes": 4398046511104,
                            "share": "100 %",
                            "told": [
                              "analysts@example.com"
                            ]
                          }
                        ],
                        "hysteresis": "15 %",
                        "resolves_below": "75 %",
                        "hold": "30m",
                        "forecast": true,
                        "warn_without_forecast": "80 %",
                        "repeat_every": "2h"
                      }
                    ]
                  },
                  {
                    "name": "predictable",
                    "is_pattern": false,
                    "owner": null,
                    "per_query_cutoff_bytes": 500000000000,
                    "waiting": {
                      "longest_seconds": 120,
                      "thresholds": [
                        {
                          "level": "warn",
                          "share": "50 %",
                          "told": [
                            "dba@example.com",
                            "ops@example.com"
                          ]
                        },
                        {
                          "level": "critical",
                          "share": "80 %",
                          "told": [
                            "dba@example.com",
                            "ops@example.com"
                          ]
                        },
                        {
                          "level": "exhausted",
                          "share": "100 %",
                          "told": [
                            "dba@example.com",
                            "ops@example.com"
                          ]
                        }
                      ],
                      "resolves_below": "25 %",
                      "hold": "30m",
                      "repeat_every": "2h"
                    },
                    "limits": [
                      {
                        "window": "1h",
                        "limit_bytes": 1100000000000,
                        "computed": "1.1 TB = 1 TB + 10 %",
                        "thresholds": [
                          {
                            "level": "warn",
                            "from_bytes": 990000000000,
                            "share": "90 %",
                            "told": [
                              "dba@example.com",
                              "ops@example.com"
                            ]
                          },
                          {
                            "level": "critical",
                            "from_bytes": 1045000000000,
                            "share": "95 %",
                            "told": [
                              "dba@example.com",
                              "ops@example.com"
                            ]
                          },
                          {
                            "level": "exhausted",
                            "from_bytes": 1100000000000,
                            "share": "100 %",
                            "told": [
                              "dba@example.com",
                              "ops@example.com"
                            ]
                          }
                        ],
                        "hysteresis": "15 %",
                        "resolves_below": "75 %",
                        "hold": "30m",
                        "forecast": true,
                        "warn_without_forecast": "80 %",
                        "repeat_every": "2h"
                      }
                    ]
                  },
                  {
                    "name": "fast-query",
                    "is_pattern": false,
                    "owner": null,
                    "per_query_cutoff_bytes": 50000000000,
                    "waiting": null,
                    "limits": []
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
                        "limit_bytes": 999,
                        "computed": "999 B",
                        "thresholds": [
                          {
                            "level": "warn",
                            "from_bytes": 900,
                            "share": "90 %",
                            "told": [
                              "dba@example.com",
                              "ops@example.com"
                            ]
                          },
                          {
                            "level": "critical",
                            "from_bytes": 950,
                            "share": "95 %",
                            "told": [
                              "dba@example.com",
                              "ops@example.com"
                            ]
                          },
                          {
                            "level": "exhausted",
                            "from_bytes": 999,
                            "share": "100 %",
                            "told": [
                              "dba@example.com",
                              "ops@example.com"
                            ]
                          }
                        ],
                        "hysteresis": "15 %",
                        "resolves_below": "75 %",
                        "hold": "30m",
                        "forecast": true,
                        "warn_without_forecast": "80 %",
                        "repeat_every": "2h"
                      }
                    ]
                  }
                ]
              }
            }
        "#]],
    );
}

#[test]
fn standard_input_is_a_document() {
    let text = "[[workgroup]]\nname = \"x\"\nlimits = 3\n";
    check_with_input(
        watchdog(&["check", "-"]),
        text,
        &expect![[r#"
            exit 2
            --- stderr
            `[mail]` has no `admins`: somebody must hear of it; write `admins = ["ops@example.com"]`
            `[mail]` has no `allowed_domains`: write `allowed_domains = ["example.com"]`; mail goes nowhere else
            `[mail]` has no `sender`: write an address that SES has verified, `sender = "watchdog@example.com"`
            <stdin>:1:1: workgroup `x` has no `[[workgroup.limit]]`, no `per_query_cutoff` and no `waiting`: give it one of them
            <stdin>:3:1: unknown key `limits`: `[[workgroup]]` knows `name`, `owner`, `per_query_cutoff`, `waiting`, `plan`, `warn`, `critical`, `hysteresis`, `forecast`, `hold`, `repeat_every`, `audience`, `limit`
            5 problems
        "#]],
    );
}

#[test]
fn a_directory_is_merged_in_the_order_of_names() {
    file("merged.d/10-base.toml", POLICY);
    file(
        "merged.d/20-team.toml",
        "[[workgroup]]\nname = \"predictable\"\nlimit = [{ window = \"2h\", limit = \"1 GB\" }]\n",
    );
    file("merged.d/notes.txt", "not a policy");
    let output = super::shown(&super::output(watchdog(&["check", "merged.d"]), ""));
    let predictable: Vec<_> = output.lines().skip_while(|line| *line != "predictable").take(2).collect();
    assert_eq!(predictable, ["predictable", "  2h: 1 GB"], "{output}");
    assert!(output.contains("Valid: 2 documents, 4 workgroup rules, 4 limits."), "{output}");
}

#[test]
fn the_schema_is_json() {
    let output = super::output(watchdog(&["check", "--schema"]), "");
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), schema["title"].as_str()), (Some(0), Some("Athena quota watchdog policy")));
}

#[test]
fn what_a_parameter_cannot_hold_is_a_problem() {
    let comment = |n: usize| format!("{POLICY}#{}\n", "x".repeat(n - POLICY.len() - 2));
    let name = file("9000-bytes.toml", &comment(9000));
    check(
        watchdog(&["check", &name]),
        &expect![[r#"
        exit 2
        --- stderr
        9000-bytes.toml:1:1: this document has 9000 bytes: an SSM parameter holds at most 8192 (Advanced tier) or 4096 (Standard tier); split it into several parameters under the same path
        1 problem
    "#]],
    );
    let name = file("8192-bytes.toml", &comment(8192));
    let output = super::output(watchdog(&["check", &name]), "");
    let warning = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0));
    expect![[r#"
        warning: `8192-bytes.toml` has 8192 bytes: as an SSM parameter it needs the Advanced tier, as the Standard tier holds 4096
    "#]].assert_eq(&warning);
}

#[test]
fn an_economy_is_explained_with_what_it_may_cost() {
    let policy = r#"
        [mail]
        sender = "watchdog@example.com"
        admins = ["ops@example.com"]
        allowed_domains = ["example.com"]
        [active_queries]
        dml = "off"
        ddl = "off"
        [economy]
        at_most = "30 min"
        [[workgroup]]
        name = "*"
        per_query_cutoff = "50 GB"
    "#;
    check(
        watchdog(&["check", &file("economy.toml", policy)]),
        &expect![[r#"
        exit 0
        --- stdout
        Valid: 1 document, 1 workgroup rule, 0 limits.

        Mail      from watchdog@example.com
                  admins: ops@example.com
                  only ever to: example.com
                  times in UTC
                  what cannot be seen is repeated to the admins every 24h

        Active queries are not watched.

        Economy     a workgroup whose level cannot change by what it was ever seen to scan is asked every 30m only
                    once it is known for a week; never one above a level, with an open alert, a grant or running queries
                    who breaks its own record is told of up to 30m later; `watchdog backtest` shows how often

        For a workgroup that several of these match, the first one counts.

        * (pattern)
          one query: 50 GB (50,000,000,000 bytes), stated here to be shown; set in Athena, which enforces it
    "#]],
    );
}
