//! The operator's tool as it is built, on the local AWS.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use watchdog_tests::{Account, TABLE};

const POLICY: &str = r#"
[mail]
sender = "watchdog@example.com"
admins = ["ann@example.com"]
allowed_domains = ["example.com"]

[[workgroup]]
name = "exploratory"
[[workgroup.limit]]
window = "1h"
limit = "100 GB"

[[workgroup]]
name = "silent"
[[workgroup.limit]]
window = "1h"
limit = "100 GB"
"#;

/// Runs `watchdog` in a test's account: its exit code, what it printed, and what it complained of.
fn watchdog(account: &Account, args: &[&str]) -> (i32, String, String) {
    let program = std::env::current_exe().unwrap();
    let program = program.ancestors().nth(2).unwrap().join("watchdog");
    assert!(program.is_file(), "there is no {}: run `cargo test --workspace` first", program.display());
    let output = Command::new(program)
        .args(args)
        .env("AWS_ACCESS_KEY_ID", &account.number)
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_REGION", "eu-central-1")
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn file(name: &str, text: &str) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_back_test_over_what_cloudwatch_remembers() {
    let account = Account::new("a_back_test_over_what_cloudwatch_remembers").await;
    account.workgroup("exploratory", true).await;
    account.workgroup("silent", false).await;
    let policy = file("since.toml", POLICY);
    // Six hours ago at the border of five minutes: 82 % of the limit, and five minutes later all of it.
    let then = Timestamp::from_second(Timestamp::now().as_second() / 300 * 300 - 6 * 3600).unwrap();
    let minutes = SignedDuration::from_mins;
    account.use_bytes("exploratory", then + minutes(1), 82e9).await;
    account.use_bytes("exploratory", then + minutes(6), 30e9).await;

    let lines = file("since.jsonl", "");
    let args = ["backtest", "--policy", &policy, "--since", "12h", "--out", &lines, "--json"];
    let (code, out, complaints) = watchdog(&account, &args);
    let answer: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{code}: {out}\n{complaints}"));
    let lines: Vec<Value> =
        fs::read_to_string(&lines).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told = |line: &Value| {
        let time: Timestamp = line["time"].as_str().unwrap().parse().unwrap();
        let minutes = time.duration_since(then).as_mins();
        format!(
            "{minutes} {} {} {}",
            line["event"].as_str().unwrap(),
            line["level"].as_str().unwrap(),
            line["used_bytes"]
        )
    };
    // As a run would: what is stamped 12:01 is judged at 12:05, and a bucket leaves the window an hour and five minutes after its start. Then
    // half an hour of calm.
    assert_eq!(
        lines.iter().map(told).collect::<Vec<_>>(),
        ["5 opened warn 82000000000", "10 escalated exhausted 112000000000", "95 resolved exhausted 0"],
        "{answer:#}"
    );
    // What cannot be known is said, and is not counted as use of nothing.
    assert!(complaints.contains("silent") && complaints.contains("publishes no metrics"), "{complaints}");
    assert_eq!(answer["workgroups"], 1, "{answer:#}");
}

#[tokio::test]
async fn a_status_shows_limits_and_what_could_not_be_seen() {
    let account = Account::new("a_status_shows_limits_and_what_could_not_be_seen").await;
    account.workgroup("exploratory", true).await;
    account.workgroup("silent", false).await;
    let policy = file("status.toml", POLICY);
    account.use_bytes("exploratory", Timestamp::now() - SignedDuration::from_mins(12), 20e9).await;
    let (code, out, complaints) = watchdog(&account, &["status", "--policy", &policy, "--json"]);
    let answer: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{code}: {out}\n{complaints}"));
    assert_eq!(code, 3, "one is unknown");
    let limits = answer["limits"].as_array().unwrap();
    assert_eq!((&limits[0]["used_bytes"], &limits[0]["used_percent"]), (&20_000_000_000_u64.into(), &20.into()));
    // More than a tenth is used, so that Athena was asked what runs: nothing, which is not the same as not known.
    assert_eq!((&limits[0]["in_flight_queries"], &limits[0]["in_flight_bytes"]), (&0.into(), &0.into()));
    assert_eq!((&limits[1]["level"], &limits[1]["used_bytes"]), (&"unknown".into(), &Value::Null));
    assert_eq!(limits[1]["in_flight_queries"], Value::Null);
    assert_eq!(answer["unseen"][0]["why"], "metrics_off");
}

/// The mails of now: before anybody was told, and after.
#[tokio::test]
async fn a_preview_of_the_use_as_it_is() {
    let mut account = Account::new("a_preview_of_the_use_as_it_is").await;
    account.workgroup("exploratory", true).await;
    account.workgroup("silent", false).await;
    account.policy("00-test", POLICY).await;
    let policy = file("live.toml", POLICY);
    account.use_bytes("exploratory", Timestamp::now() - SignedDuration::from_mins(12), 97e9).await;
    let live = |account: &Account, more: &[&str]| {
        let args = [&["preview", "--live", "--policy", &policy, "--state-table", TABLE][..], more].concat();
        watchdog(account, &args)
    };
    let (code, out, complaints) = live(&account, &["--level", "critical"]);
    assert_eq!(code, 0, "{complaints}");
    assert!(
        out.starts_with(
            "To: ann@example.com\nSubject: [critical] exploratory: 97 % of 100 GB used in the last hour, and 1 more"
        ),
        "{out}"
    );
    assert!(out.contains("97 % of 100 GB used") && out.contains("silent"), "{out}");
    let (code, out, complaints) = live(&account, &["--level", "critical", "--form", "html"]);
    assert!(code == 0 && out.starts_with("<!doctype html>") && out.contains("97&nbsp;%"), "{out}{complaints}");
    let (code, out, complaints) = live(&account, &["--reason", "resolved"]);
    assert!(code == 2 && out.is_empty(), "{out}");
    assert!(complaints.contains("nobody would be sent such a mail now; there are these:"), "{complaints}");
    assert!(complaints.contains("to ann@example.com: limit/exploratory/1h opened: critical"), "{complaints}");

    // A real run tells them; then there is nothing new. Two of the four limits are those of active queries.
    account.run_at(Timestamp::now()).await.unwrap();
    let (code, out, complaints) = live(&account, &["--level", "critical"]);
    assert!(code == 2 && out.is_empty(), "{out}{complaints}");
    let (code, out, complaints) = live(&account, &[]);
    assert!(code == 0 && out.is_empty(), "{out}{complaints}");
    assert!(
        complaints.contains("nobody would be sent a mail now; of 4 limits: 1 `critical`, 1 `unknown`, 2 `ok`"),
        "{complaints}"
    );
}

/// Two runs with an alert in between, and then what `report` and `status` say of them.
#[tokio::test]
async fn a_report_of_a_week_and_a_status_with_its_past() {
    let mut account = Account::new("a_report_of_a_week_and_a_status_with_its_past").await;
    account.workgroup("exploratory", true).await;
    account.workgroup("silent", false).await;
    account.policy("00-test", POLICY).await;
    let then = Timestamp::from_second(Timestamp::now().as_second() / 300 * 300 - 6 * 3600).unwrap();
    let minutes = SignedDuration::from_mins;
    account.use_bytes("exploratory", then + minutes(1), 92e9).await;
    account.run_at(then + minutes(5)).await.unwrap();
    account.use_bytes("exploratory", then + minutes(6), 30e9).await;
    account.run_at(then + minutes(10)).await.unwrap();
    for n in [75, 80, 110] {
        account.run_at(then + minutes(n)).await.unwrap();
    }
    let policy = file("report.toml", POLICY);
    let page = file("report.html", "");
    let args = ["report", "--policy", &policy, "--state-table", TABLE, "--json", "--html", &page];
    let (code, out, complaints) = watchdog(&account, &args);
    let answer: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{code}: {out}\n{complaints}"));
    assert_eq!(code, 3, "what `silent` scanned is not known: {answer:#}");
    let (total, limits) = (&answer["total"], answer["limits"].as_array().unwrap());
    assert_eq!((&total["scanned_bytes"], &total["unknown_workgroups"]), (&122_000_000_000_u64.into(), &1.into()));
    assert_eq!((&limits[0]["level"], &limits[0]["peak_percent"]), (&"exhausted".into(), &122.into()));
    assert_eq!((&limits[1]["level"], &limits[1]["peak_bytes"]), (&"unknown".into(), &Value::Null));
    let alert = &answer["alerts"][0];
    assert_eq!((&alert["alert"], &alert["level"]), (&"limit/exploratory/1h".into(), &"exhausted".into()));
    assert_eq!(
        (&alert["lead_seconds"], &alert["peak_percent"], &alert["mails"]),
        (&300.into(), &122.into(), &3.into())
    );
    assert_eq!(answer["leads"]["told_before"], 1);
    // It asked Athena for queries, and there are none.
    assert_eq!(answer["queries"], Value::Array(vec![]));
    let html = fs::read_to_string(&page).unwrap();
    assert!(html.contains("5 min before") && html.contains("silent is not known"), "{html}");

    let (code, out, complaints) =
        watchdog(&account, &["status", "--policy", &policy, "--state-table", TABLE, "--json"]);
    let answer: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{code}: {out}\n{complaints}"));
    let history = answer["limits"][0]["history"].as_array().unwrap();
    assert_eq!((history.len(), &history[0]["level"], &history[0]["mails"]), (1, &"exhausted".into(), &3.into()));
    assert_eq!((&answer["grants"], &answer["silences"]), (&Value::Array(vec![]), &Value::Array(vec![])));
    // Without the table nothing is claimed of it.
    let (_, out, _) = watchdog(&account, &["status", "--policy", &policy, "--json"]);
    let answer: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&answer["limits"][0]["history"], &answer["grants"]), (&Value::Null, &Value::Null));
    let (code, out, _) = watchdog(&account, &["report", "--policy", &policy, "--json", "--no-queries"]);
    let answer: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &answer["alerts"], &answer["queries"]), (3, &Value::Null, &Value::Null));
}

/// A week's report by mail, with the use of real metrics by the hour; and nothing more of it in the next run.
#[tokio::test]
async fn a_weekly_report_goes_out_with_the_first_run_after_its_time() {
    let mut account = Account::new("a_weekly_report_goes_out_with_the_first_run").await;
    account.workgroup("exploratory", true).await;
    account.workgroup("silent", false).await;
    let now = Timestamp::from_second(Timestamp::now().as_second() / 3600 * 3600).unwrap();
    let due = now.to_zoned_datetime(jiff::tz::TimeZone::UTC).strftime("%a %H:%M").to_string();
    account
        .policy(
            "00-test",
            &POLICY.replace(
                "[[workgroup]]\nname = \"exploratory\"",
                &format!("[report]\nweekly = \"{due}\"\nprice_per_tb = \"10\"\n[[workgroup]]\nname = \"exploratory\""),
            ),
        )
        .await;
    let hours = SignedDuration::from_hours;
    for (ago, bytes) in [(50, 40e9), (50, 20e9), (30, 70e9)] {
        account.use_bytes("exploratory", now - hours(ago) + SignedDuration::from_mins(20), bytes).await;
    }
    // `silent` publishes no metrics, of which the admins hear first: the report comes alone, in the next run.
    let (report, _) = account.run_at(now + SignedDuration::from_mins(1)).await.unwrap();
    assert_eq!(report.sent[0].why[0].alert, "sight/silent");
    let (report, mails) = account.run_at(now + SignedDuration::from_mins(6)).await.unwrap();
    assert_eq!((report.sent.len(), report.sent[0].why[0].alert.as_str()), (1, "weekly"));
    assert!(
        mails[0].subject.starts_with("[weekly] ") && mails[0].subject.contains("at least 130 GB scanned"),
        "{}",
        mails[0].subject
    );
    for said in ["exploratory, 1h: ok, 70 %", "at least $1.30 at $10.00 a TB", "silent, 1h: unknown, ?"] {
        assert!(mails[0].text.contains(said), "{said}: {}", mails[0].text);
    }
    let (report, _) = account.run_at(now + SignedDuration::from_mins(11)).await.unwrap();
    assert!(report.sent.is_empty(), "{:?}", report.sent);
}

/// The whole of a plan from what AWS knows: limits, the band of active queries, what the account can take, and sizes of queries.
#[tokio::test]
async fn a_plan_over_what_aws_remembers() {
    let account = Account::new("a_plan_over_what_aws_remembers").await;
    for name in ["predictable", "exploratory", "fast-query"] {
        account.workgroup(name, true).await;
    }
    let names = ["predictable", "exploratory", "fast-query"].map(|name| format!("[[workgroup]]\nname = \"{name}\"\n"));
    let limits = "[[workgroup.limit]]\nwindow = \"1h\"\nlimit = \"100 GB\"\n";
    let (mail, _) = POLICY.split_once("[[workgroup]]").unwrap();
    let policy = file("plan-since.toml", &format!("{mail}{}", names.map(|name| format!("{name}{limits}")).concat()));
    // Eight days in which production works from three o'clock on, and queries of its own wait where exploration works as well.
    let day = |n: i64| Timestamp::from_second((Timestamp::now().as_second() / 86_400 - n) * 86_400).unwrap();
    let minutes = SignedDuration::from_mins;
    for n in 1..=8 {
        let three = day(n) + minutes(3 * 60 + 12);
        account.use_bytes("predictable", three, 40e9).await;
        account.active_queries("DML", three, 60.0 + 10.0 * n as f64).await;
        if n <= 6 {
            account.use_bytes("exploratory", three, 160e9).await;
            account.waited("predictable", three, 60_000.0).await;
        }
    }
    let args = ["plan", "--policy", &policy, "--since", "9d", "--active-quota", "DML=200", "--json"];
    let (code, out, complaints) = watchdog(&account, &args);
    let answer: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{code}: {out}\n{complaints}"));
    let of = |name: &str| answer["proposals"].as_array().unwrap().iter().find(|p| p["workgroup"] == name).unwrap();
    assert_eq!(of("predictable")["limit_bytes"], 44_000_000_000_u64, "{answer:#}");
    // What the account can take less what production needs, and of that 70 %.
    let why = of("exploratory")["why"].to_string();
    assert!(why.contains("in 6 of the 6 hours with 200 GB or more") && why.contains("as learnt"), "{why}");
    assert_eq!(of("exploratory")["limit_bytes"], 112_000_000_000_u64);
    assert!(complaints.contains("Athena tells of no query of `fast-query` that has read data"), "{complaints}");
    let dml = &answer["active_queries"][0];
    assert_eq!((&dml["peak"], &dml["left"], &dml["busiest_hours"]), (&140.into(), &60.into(), &[3].into()), "{dml:#}");
    assert_eq!(answer["active_queries"][1]["peak"], Value::Null, "no DDL was active");
    assert_eq!(code, 3, "of `fast-query` nothing is known");

    // Without a stated quota: the local AWS has no Service Quotas, which is said and is not zero.
    let (code, out, complaints) = watchdog(&account, &["plan", "--policy", &policy, "--since", "9d", "--json"]);
    let answer: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &answer["active_queries"][0]["quota"]), (3, &Value::Null));
    assert!(complaints.contains("the quota of active DML queries is not known"), "{complaints}");
}
