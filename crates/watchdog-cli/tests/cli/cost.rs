//! What a month costs.

use expect_test::expect;

use super::{check, watchdog};

#[test]
fn the_table() {
    check(
        watchdog(&["cost"]),
        &expect![[r#"
            exit 0
            --- stdout
            A month of quiet runs, 2 limits a workgroup, in US dollars

            WORKGROUPS   EVERY    REQUESTS      METRICS   WRITES   MAILS     GB-S      COST  OF IT METRICS    ALARMS
                     5   1 min      279560       302400    89380     100      682      5.30           3.02      1.00
                     5   5 min       72200        60480    20260     100      136      2.75           0.60      1.00
                     5  15 min       37640        20160     8740     100       45      2.32           0.20      1.00
                   100   1 min      541640      4406400   115300     100     1178     47.64          44.06     20.00
                   100   5 min      138440       881280    26020     100      236     11.24           8.81     20.00
                   100  15 min       46280       293760     8740     100       79      5.15           2.94     20.00
                  1000   1 min      821000     43286400   129700     100     5880    439.14         432.86    200.00
                  1000   5 min      164360      8657280    26020     100     1176     89.52          86.57    200.00
                  1000  15 min       85100      2885760     8740     100      392     31.25          28.86    200.00

            ALARMS: one CloudWatch alarm for each limit instead, which tells one topic at one threshold. COST has the stack's own
            alarms and metrics in it. Workgroups and runs make the cost, not limits: each metric is asked for once a run. A workgroup
            with `waiting` is asked for four metrics more, which is not counted here. With `[economy]` in the policy only a part of them is
            asked: `watchdog backtest` says which, and how much later people may hear of something because of it.
        "#]],
    );
}

#[test]
fn for_scripts_and_at_another_price() {
    let args = ["cost", "--workgroups", "40", "--every", "5", "--price", "metrics_1000=0.02", "--json"];
    check(
        watchdog(&args),
        &expect![[r#"
            exit 0
            --- stdout
            {
              "prices": {
                "metrics_1000": 0.02,
                "invocations_1m": 0.2,
                "gb_second": 0.0000166667,
                "writes_1m": 0.625,
                "reads_1m": 0.125,
                "mails_1000": 0.1,
                "log_gb": 0.5,
                "metric": 0.3,
                "alarm": 0.1
              },
              "months": [
                {
                  "workgroups": 40,
                  "limits": 2,
                  "every_minutes": 5,
                  "mails": 100,
                  "runs": 8640,
                  "requests": 138440,
                  "metrics": 362880,
                  "writes": 26020,
                  "gb_seconds": 172.9704375,
                  "metrics_usd": 7.2576,
                  "usd": 9.509495846390681,
                  "alarms_usd": 8.0
                }
              ]
            }
        "#]],
    );
}

#[test]
fn wrong_usage() {
    check(
        watchdog(&["cost", "--price", "metric=cheap"]),
        &expect![[r#"
        exit 2
        --- stderr
        error: invalid value 'metric=cheap' for '--price <NAME=USD>': `cheap` is no price in US dollars, such as `0.012`

        For more information, try '--help'.
    "#]],
    );
    check(
        watchdog(&["cost", "--price", "coffee=3"]),
        &expect![[r#"
        exit 2
        --- stderr
        error: invalid value 'coffee=3' for '--price <NAME=USD>': `coffee` is no price; there are metrics_1000, invocations_1m, gb_second, writes_1m, reads_1m, mails_1000, log_gb, metric, alarm

        For more information, try '--help'.
    "#]],
    );
    check(
        watchdog(&["cost", "--every", "0"]),
        &expect![[r#"
        exit 2
        --- stderr
        error: invalid value '0' for '--every <MINUTES>': 0 is not in 1..=60

        For more information, try '--help'.
    "#]],
    );
    check(
        watchdog(&["cost", "--workgroups", "5,many"]),
        &expect![[r#"
        exit 2
        --- stderr
        error: invalid value 'many' for '--workgroups <N>': invalid digit found in string

        For more information, try '--help'.
    "#]],
    );
}
