//! `watchdog backtest`: its output, its score against an independent one, and input that is not what it should be.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};

use expect_test::{Expect, expect};
use serde_json::Value;

use super::{check, check_with_input, file, output, shown, watchdog};

const POLICY: &str = r#"
[mail]
sender = "watchdog@example.com"
admins = ["ops@example.com"]
allowed_domains = ["example.com"]
[[workgroup]]
name = "w"
[[workgroup.limit]]
window = "1h"
limit = "1000 B"
"#;

/// Written once: tests run side by side, and one would read what another is just writing.
fn policy_file() -> String {
    static FILE: OnceLock<String> = OnceLock::new();
    FILE.get_or_init(|| file("backtest-policy.toml", POLICY)).clone()
}

/// Held while the file of bad rows is written and read.
static BAD_ROWS: Mutex<()> = Mutex::new(());

fn backtest(usage: &str, more: &[&str]) -> Command {
    let policy = policy_file();
    let mut args = vec!["backtest", "--policy", &policy, "--usage", usage];
    args.extend(more);
    watchdog(&args)
}

/// Rows of a day: calm, then to the limit within twenty minutes.
fn day() -> String {
    let mut text = "timestamp,workgroup,bytes\n".to_owned();
    for n in 0..288 {
        let bytes = match n {
            200 => 820,
            202 => 180,
            _ => n % 7,
        };
        text.push_str(&format!("2026-03-01T{:02}:{:02}:00Z,w,{bytes}\n", n / 12, n % 12 * 5));
    }
    text
}

#[test]
fn lines_and_figures() {
    let usage = file("backtest-day.csv", &day());
    check(
        backtest(&usage, &["--out", "-"]),
        &expect![[r#"
        exit 0
        --- stdout
        {"time":"2026-03-01T16:45:00Z","workgroup":"w","window":"1h","event":"opened","level":"warn","reason":"will_exhaust","used_bytes":847,"limit_bytes":1000,"exhausts_at":"2026-03-01T16:55:00Z"}
        {"time":"2026-03-01T16:55:00Z","workgroup":"w","window":"1h","event":"escalated","level":"exhausted","reason":"threshold","used_bytes":1031,"limit_bytes":1000,"exhausts_at":null}
        {"time":"2026-03-01T18:15:00Z","workgroup":"w","window":"1h","event":"resolved","level":"exhausted","reason":"over","used_bytes":37,"limit_bytes":1000,"exhausts_at":null}
    "#]],
    );
    check(
        backtest(&usage, &[]),
        &expect![[r#"
        exit 0
        --- stdout
        1 workgroup from 2026-03-01 00:00 UTC to 2026-03-02 00:00 UTC
        one run every 5 min; a row stands for 5 min

        window  rule         reached  recall 5     15     30  60 min  median lead  alerts  false/day   open  needless h/day
        1h      policy             1   100.0 %  0.0 %  0.0 %   0.0 %       10 min       1       0.00  2.9 %            0.50
        1h      static 80 %        1   100.0 %  0.0 %  0.0 %   0.0 %       10 min       1       0.00  0.7 %            0.00

        policy: 3 mails, 3.00 a day
        static 80 %: 3 mails, 3.00 a day
    "#]],
    );
    // The same rows in any order, from the last to the first.
    let mut rows: Vec<String> = day().lines().skip(1).map(str::to_owned).collect();
    rows.reverse();
    let usage = file("backtest-reversed.csv", &format!("timestamp,workgroup,bytes\n{}\n", rows.join("\n")));
    let [ordered, reversed] =
        ["backtest-day.csv", &usage].map(|usage| output(backtest(usage, &["--out", "-"]), "").stdout);
    assert_eq!(String::from_utf8(ordered), String::from_utf8(reversed));
}

/// What is said of a file with this header and these rows.
#[track_caller]
fn check_rows(header: &str, rows: &str, expected: &Expect) {
    let _held = BAD_ROWS.lock();
    let usage = file("backtest-bad.csv", &format!("{header}\n{rows}"));
    let output = output(backtest(&usage, &["--out", "-"]), "");
    expected.assert_eq(&shown(&output));
}

const HEADER: &str = "timestamp,workgroup,bytes";

#[test]
fn what_is_wrong_is_named_with_its_line_and_value() {
    check_rows(
        "time,workgroup,bytes",
        "",
        &expect![[r#"
        exit 2
        --- stderr
        error: `backtest-bad.csv`, line 1: the header is `time,workgroup,bytes`, and it must be `timestamp,workgroup,bytes`
    "#]],
    );
    check_rows(
        "timestamp,workgroup,bytes,note",
        "",
        &expect![[r#"
        exit 2
        --- stderr
        error: `backtest-bad.csv`, line 1: the header has the column `note` beside `timestamp,workgroup,bytes`: leave it out
    "#]],
    );
    check_rows(
        HEADER,
        "",
        &expect![[r#"
        exit 2
        --- stderr
        error: `backtest-bad.csv` has no rows below its header: there is nothing to look at
    "#]],
    );
    check_rows(
        HEADER,
        "2026-03-01T00:00:00Z,w,1\n\n2026-03-01T00:05:00Z,w\n",
        &expect![[r#"
        exit 2
        --- stderr
        error: `backtest-bad.csv`, line 4: it has 2 values, and there are 3 columns: timestamp,workgroup,bytes
    "#]],
    );
    check_rows(
        HEADER,
        "2026-03-01 00:00,w,1\n",
        &expect![[r#"
        exit 2
        --- stderr
        error: `backtest-bad.csv`, line 2: `timestamp` is `2026-03-01 00:00`: write an RFC 3339 instant with its zone, such as `2026-03-01T13:05:00Z`
    "#]],
    );
    check_rows(
        HEADER,
        "2026-03-01T00:00:00,w,1\n",
        &expect![[r#"
        exit 2
        --- stderr
        error: `backtest-bad.csv`, line 2: `timestamp` is `2026-03-01T00:00:00`: write an RFC 3339 instant with its zone, such as `2026-03-01T13:05:00Z`
    "#]],
    );
    check_rows(
        HEADER,
        "2026-13-01T00:00:00Z,w,1\n",
        &expect![[r#"
        exit 2
        --- stderr
        error: `backtest-bad.csv`, line 2: `timestamp` is `2026-13-01T00:00:00Z`: write an RFC 3339 instant with its zone, such as `2026-03-01T13:05:00Z`
    "#]],
    );
    check_rows(
        HEADER,
        "2026-03-01T00:00:00.5Z,w,1\n",
        &expect![[r#"
        exit 2
        --- stderr
        error: `backtest-bad.csv`, line 2: `timestamp` is `2026-03-01T00:00:00.5Z`: it has a fraction of a second: write whole seconds
    "#]],
    );
    check_rows(
        HEADER,
        "2026-03-01T00:00:00Z,,1\n",
        &expect![[r#"
        exit 2
        --- stderr
        error: `backtest-bad.csv`, line 2: `workgroup` is empty: write the workgroup's name
    "#]],
    );
    for bytes in ["-1", "1.5", "1e9", "", "18446744073709551616", "7 GB"] {
        let _held = BAD_ROWS.lock();
        let usage = file("backtest-bad.csv", &format!("{HEADER}\n2026-03-01T00:00:00Z,w,{bytes}\n"));
        let text = shown(&output(backtest(&usage, &[]), ""));
        let wanted =
            format!("error: `backtest-bad.csv`, line 2: `bytes` is `{bytes}`: write a whole number from 0 to ");
        assert!(text.starts_with("exit 2\n") && text.contains(&wanted), "{text}");
    }
    check_rows(
        HEADER,
        "2026-03-01T00:00:00Z,w,1\n2206-03-01T00:05:00Z,w,1\n",
        &expect![[r#"
            exit 2
            --- stderr
            error: `backtest-bad.csv`, line 3: `timestamp` is `2206-03-01T00:05:00Z`: more than 20 years from another row; is the year right?
        "#]],
    );
    check_rows(
        HEADER,
        "2026-03-01T00:00:00Z,w,1\n2026-03-01T00:07:00Z,w,1\n",
        &expect![[r#"
        exit 2
        --- stderr
        error: `backtest-bad.csv`: the step of 420 s, which is the smallest gap between two rows, does not fit buckets of five minutes: it must divide 300 s or be a multiple of it; give `--step`, such as `--step 5min`
    "#]],
    );
}

#[test]
fn what_can_be_understood_is_taken_and_said() {
    // Mixed zones are instants; Windows line ends, a byte order mark, another order of columns, the same stamp twice.
    let rows = "w,2026-03-01T01:00:00+01:00,400\r\nw,2026-03-01T00:00:00Z,400\r\nw,2026-03-01T00:05:00Z,200\r\n";
    check_rows(
        "\u{feff}workgroup,timestamp,bytes",
        rows,
        &expect![[r#"
            exit 0
            --- stdout
            {"time":"2026-03-01T00:05:00Z","workgroup":"w","window":"1h","event":"opened","level":"warn","reason":"threshold","used_bytes":800,"limit_bytes":1000,"exhausts_at":null}
            {"time":"2026-03-01T00:10:00Z","workgroup":"w","window":"1h","event":"escalated","level":"exhausted","reason":"threshold","used_bytes":1000,"limit_bytes":1000,"exhausts_at":null}
            --- stderr
            warning: 1 row with the stamp of another row of the same workgroup: added to it
        "#]],
    );
    // Nobody watches it.
    check_rows(
        HEADER,
        "2026-03-01T00:00:00Z,other,5\n",
        &expect![[r#"
        exit 0
        --- stderr
        warning: no rule of the policy covers the workgroup `other`: its rows are left out
    "#]],
    );
    // Standard input cannot be read twice.
    let rows = format!("{HEADER}\n2026-03-01T00:05:00Z,w,1\n2026-03-01T00:00:00Z,w,1\n");
    check_with_input(
        backtest("-", &["--step", "5min"]),
        &rows,
        &expect![[r#"
        exit 2
        --- stderr
        error: `<stdin>`, line 3: `timestamp` is `2026-03-01T00:00:00Z`, which is before that of an earlier row of the same workgroup: sort the rows by time
    "#]],
    );
}

#[test]
fn a_log_of_queries_lands_at_its_end_and_is_seen_before() {
    let log = file(
        "backtest-queries.csv",
        "submitted,completed,workgroup,bytes\n2026-03-01T00:00:00Z,2026-03-01T00:01:00Z,w,10\n\
         2026-03-01T01:00:00Z,2026-03-01T02:00:00Z,w,1000\n",
    );
    let policy = policy_file();
    let args = |more: &str| {
        let mut args = vec!["backtest", "--policy", &policy, "--queries", &log, "--out", "-"];
        args.extend(Some(more).filter(|more| !more.is_empty()));
        watchdog(&args)
    };
    check(
        args(""),
        &expect![[r#"
            exit 0
            --- stdout
            {"time":"2026-03-01T02:05:00Z","workgroup":"w","window":"1h","event":"opened","level":"exhausted","reason":"threshold","used_bytes":1000,"limit_bytes":1000,"exhausts_at":null}
        "#]],
    );
    check(
        args("--growing"),
        &expect![[r#"
            exit 0
            --- stdout
            {"time":"2026-03-01T01:40:00Z","workgroup":"w","window":"1h","event":"opened","level":"warn","reason":"will_exhaust","used_bytes":0,"limit_bytes":1000,"exhausts_at":null}
            {"time":"2026-03-01T02:05:00Z","workgroup":"w","window":"1h","event":"escalated","level":"exhausted","reason":"threshold","used_bytes":1000,"limit_bytes":1000,"exhausts_at":null}
        "#]],
    );
    let log = file(
        "backtest-queries-bad.csv",
        "submitted,completed,workgroup,bytes\n2026-03-01T01:00:00Z,2026-03-01T00:59:59Z,w,1\n",
    );
    check(
        watchdog(&["backtest", "--policy", &policy, "--queries", &log]),
        &expect![[r#"
            exit 2
            --- stderr
            error: `backtest-queries-bad.csv`, line 2: `completed` is `2026-03-01T00:59:59Z`, before `submitted`, `2026-03-01T01:00:00Z`
        "#]],
    );
}

fn shared() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    root.join("tools/score.py").is_file().then_some(root)
}

/// The tool's own figures against those of an independent scorer on public series.
#[test]
fn the_score_is_that_of_the_independent_scorer() {
    let Some(shared) = shared() else {
        eprintln!("skipped: there is no `../shared` with `tools/score.py` beside this checkout");
        return;
    };
    let limits: Value =
        serde_json::from_str(&std::fs::read_to_string(shared.join("data/usage/limits_p97.json")).unwrap()).unwrap();
    for workgroup in ["ec2_disk_write_bytes_1ef3de", "elb_request_count_8c0756"] {
        let entry = &limits[workgroup];
        let from = entry["score_from"].as_str().unwrap();
        let mut policy = POLICY.split("[[workgroup]]").next().unwrap().to_owned()
            + &format!("[[workgroup]]\nname = \"{workgroup}\"\n");
        for (window, bytes) in entry["limits"].as_object().unwrap() {
            policy += &format!("[[workgroup.limit]]\nwindow = \"{window}\"\nlimit = \"{bytes} B\"\n");
        }
        let policy = file(&format!("score-{workgroup}.toml"), &policy);
        let series = shared.join(format!("data/usage/{workgroup}.csv"));
        let (series, sent) = (series.to_str().unwrap(), format!("score-{workgroup}.jsonl"));
        let ours = output(
            watchdog(&[
                "backtest",
                "--policy",
                &policy,
                "--usage",
                series,
                "--out",
                &sent,
                "--score-from",
                from,
                "--json",
            ]),
            "",
        );
        let ours: Value = serde_json::from_slice(&ours.stdout).unwrap();
        let one = serde_json::json!({ workgroup: entry });
        let limits = file(&format!("score-{workgroup}.json"), &one.to_string());
        let tests = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let theirs = Command::new("python3")
            .arg(shared.join("tools/score.py"))
            .args([series, "--limits", &limits, "--notifications", &sent])
            .current_dir(tests)
            .output()
            .unwrap();
        // `score.py` takes a line that is neither an opening nor an end for a slip; it counts them, and nothing else changes.
        let theirs: Value = serde_json::from_slice(&theirs.stdout).unwrap();
        for window in ours["windows"].as_array().unwrap().iter().filter(|window| window["rule"] == "policy") {
            let name = window["window"].as_str().unwrap();
            let same = &theirs["windows"][name];
            for (a, b) in [
                ("episodes", "episodes"),
                ("alerts", "alerts"),
                ("false_alarms", "false_alarms"),
                ("false_alarms_per_day", "false_alarms_per_day"),
                ("open_share", "open_share"),
                ("needless_hours_per_day", "false_open_h_per_day"),
                ("median_lead_minutes", "median_lead_min"),
            ] {
                near(&window[a], &same[b], &format!("{workgroup}/{name} {a}"));
            }
            assert!(window["alerts"].as_u64().unwrap() > 0, "{workgroup}/{name}: nothing was compared");
            for recall in window["recall"].as_array().unwrap() {
                let minutes = recall["minutes"].to_string();
                near(&recall["recall"], &same["recall"][&minutes], &format!("{workgroup}/{name} recall {minutes}"));
                near(&recall["fresh"], &same["fresh_recall"][&minutes], &format!("{workgroup}/{name} fresh {minutes}"));
            }
        }
    }
}

/// Twelve days without anything to speak of, and a giant in the eleventh.
fn weeks() -> String {
    let mut text = "timestamp,workgroup,bytes\n".to_owned();
    for n in 0..12 * 288 {
        let bytes = match n {
            0..12 => 40,
            3000 => 990,
            _ => n % 4,
        };
        text.push_str(&format!("2026-03-{:02}T{:02}:{:02}:00Z,w,{bytes}\n", 1 + n / 288, n / 12 % 24, n % 12 * 5));
    }
    text
}

#[test]
fn an_economy_says_what_it_saves_and_who_hears_later() {
    let usage = file("backtest-weeks.csv", &weeks());
    let policy = file("backtest-economy.toml", &format!("[economy]\nat_most = \"30 min\"\n{POLICY}"));
    check(
        watchdog(&["backtest", "--policy", &policy, "--usage", &usage]),
        &expect![[r#"
            exit 0
            --- stdout
            1 workgroup from 2026-03-01 00:00 UTC to 2026-03-13 00:00 UTC
            one run every 5 min; a row stands for 5 min

            window  rule         reached  recall 5     15     30  60 min  median lead  alerts  false/day   open  needless h/day
            1h      policy             1     0.0 %  0.0 %  0.0 %   0.0 %        0 min       1       0.00  0.2 %            0.04
            1h      static 80 %        1     0.0 %  0.0 %  0.0 %   0.0 %        0 min       1       0.00  0.0 %            0.00

            policy: 2 mails, 0.17 a day
            static 80 %: 2 mails, 0.17 a day

            economy: 2871 metrics asked for instead of 3456, 83 %
                     saves $0.01, in a month $0.01
                     alerts and escalations: 1 told, 0 at once, 1 later, by 25 min at most
        "#]],
    );
    let output = watchdog(&["backtest", "--policy", &policy, "--usage", &usage, "--json"]).output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let economy = &answer["economy"];
    assert_eq!(economy["metrics_without"], 3456);
    assert!(economy["metrics"].as_u64().unwrap() < 3456);
    // Without an economy nothing of it shows.
    let output = backtest(&usage, &["--json"]).output().unwrap();
    assert!(!String::from_utf8(output.stdout).unwrap().contains("economy"));
}

#[track_caller]
fn near(a: &Value, b: &Value, what: &str) {
    let same = match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() < 1e-3,
        (a, b) => a == b,
    };
    assert!(same, "{what}: {a} here, {b} there");
}

/// The page has everything in it, and other people's text is text.
#[test]
fn the_page_is_whole_and_steers_nothing() {
    let policy = file("backtest-page-policy.toml", &POLICY.replace("name = \"w\"", "name = \"*\""));
    let name = "<script>alert(1)</script>&";
    let mut rows = day().replace(",w,", &format!(",{name},"));
    for n in 0..40 {
        rows.push_str(&format!("2026-03-01T00:00:00Z,calm-{n:02},{n}\n"));
    }
    let usage = file("backtest-page.csv", &rows);
    let page = std::env::temp_dir().join(format!("backtest-page-{}.html", std::process::id()));
    let path = page.to_str().unwrap();
    let output = output(watchdog(&["backtest", "--policy", &policy, "--usage", &usage, "--html", path]), "");
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    let html = std::fs::read_to_string(&page).unwrap();
    std::fs::remove_file(&page).unwrap();
    assert!(html.contains("&#60;script&#62;alert(1)&#60;/script&#62;&#38;, 1h"), "{html}");
    for word in ["<script", "http://", "https://", "javascript:", "url(", "<img", "@import"] {
        assert!(!html.contains(word), "`{word}`");
    }
    // The worst first, and what is not shown is said.
    let titles: Vec<&str> = html.split("<h3>").skip(1).map(|rest| rest.split("</h3>").next().unwrap()).collect();
    assert_eq!(titles.len(), 24);
    assert!(titles[0].starts_with("&#60;script") && titles[1] == "calm-39, 1h", "{titles:?}");
    assert!(html.contains("17 others are left out."), "{html}");
    assert!(html.contains("reached once; the most was 1 kB"), "{html}");
    assert!(html.contains("<li>exhausted: opened 2026-03-01 16:45 UTC, resolved 2026-03-01 18:"), "{html}");
    assert!(html.contains("static 80 %"));
    assert!(!html.contains("NaN") && !html.contains("inf\""));
}

#[test]
fn the_stacks_policy_is_only_that_of_cloudwatchs_use() {
    let usage = file("backtest-no-policy.csv", &day());
    check(
        watchdog(&["backtest", "--usage", &usage]),
        &expect![[r#"
            exit 2
            --- stderr
            error: give the policy: `--policy FILE`; only with `--since` it is that of the stack
        "#]],
    );
    check(
        watchdog(&["backtest", "--since", "64d"]),
        &expect![[r#"
        exit 2
        --- stderr
        error: invalid value '64d' for '--since <TIME>': write a time from 1 hour to 63 days with its unit, such as `30d`

        For more information, try '--help'.
    "#]],
    );
    check(
        watchdog(&["backtest", "--since", "30d", "--usage", &usage]),
        &expect![[r#"
        exit 2
        --- stderr
        error: the argument '--since <TIME>' cannot be used with '--usage <FILE>'

        Usage: watchdog backtest --since <TIME>

        For more information, try '--help'.
    "#]],
    );
}
