//! `watchdog report`: with use that is made up, and where nothing can be asked.

use expect_test::expect;
use serde_json::Value;

use super::{check, nowhere, output, shown, watchdog};

#[test]
fn the_report_of_a_week_that_is_made_up() {
    check(
        watchdog(&["report", "--sample"]),
        &expect![[r#"
            exit 0
            --- stdout
            Athena use and quotas (use that is made up), 2026-02-23 09:00 CET (08:00 UTC) to 2026-03-02 09:00 CET (08:00 UTC)
              70.3 TB scanned, at $5.00 a TB about $351.75
              3 alerts; a limit was reached once; people were told 15 min before
              1 limit does not fit the work under it

            Use against limits, the fullest first; the full height is the limit
              exploratory, 1h: exhausted, 103 %
                |▂▃▃▁▁▁▁▁▂▃▃▁▁▁▁▁▂▇█▁▁▁▁▁▂▃▃▁▁▁▁▁▂▃▃▁▁▁▁▁▁▅▆▁▁▁▁▁▁▁▁▁▁▁▁▁|
                at most 726.7 GiB of 700 GiB, 2026-02-25 15:20 CET (14:20 UTC)
              predictable, 1h: warn, 84 %
                |▄▅▅▃▁▁▁▃▄▅▅▂▁▁▁▃▄▅▅▂▁▁▁▃▄▅▅▂▁▁▁▃▄▅▅▃▁▁▁▁▁▁▁▁▁▁▁▁▁▅▆▁▁▁▁▃|
                at most 932.7 GB of 1.1 TB, 2026-03-01 15:20 CET (14:20 UTC)
              long-query, 24h: ok, 32 %
                |▁▁▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁|
                at most 3.3 TB of 10 TB, 2026-02-24 09:55 CET (08:55 UTC)
              ad-hoc, 1h: ok, 17 %
                |▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁|
                at most 1.7 GB of 10 GB, 2026-02-26 16:20 CET (15:20 UTC)

            Alerts and how early they were told, the newest first
              2026-03-01 15:05 CET (14:05 UTC)  predictable, 1h: warn, 84 % of 1.1 TB; not reached; open for 55 min, 2 mails
              2026-02-28 15:05 CET (14:05 UTC)  exploratory, 1h: warn, 80 % of 700 GiB; not reached; open for 50 min, 2 mails
              2026-02-25 14:50 CET (13:50 UTC)  exploratory, 1h: exhausted, 103 % of 700 GiB; told 15 min before; open for 1 h 25 min, 3 mails

            Who used most, of 60.5 TB in the queries that were read
                18.8 TB   31 %    412 queries  alex@example.com
                16.9 TB   28 %     96 queries  user/nightly-report
                13.3 TB   22 %    187 queries  kim@example.com
                11.5 TB   19 %    240 queries  sam@example.com

            The heaviest queries
                 2.4 TB  5e6f7a80-1b2c-4d3e-8f90-a1b2c3d40000  predictable  succeeded, 2026-03-01 20:00 CET (19:00 UTC), alex@example.com
                 1.2 TB  5e6f7a80-1b2c-4d3e-8f90-a1b2c3d40001  exploratory  succeeded, 2026-02-28 18:00 CET (17:00 UTC), user/nightly-report
               806.7 GB  5e6f7a80-1b2c-4d3e-8f90-a1b2c3d40002  exploratory  succeeded, 2026-02-27 16:00 CET (15:00 UTC), kim@example.com
                 605 GB  5e6f7a80-1b2c-4d3e-8f90-a1b2c3d40003  predictable  cancelled, 2026-02-26 14:00 CET (13:00 UTC), alex@example.com
                 484 GB  5e6f7a80-1b2c-4d3e-8f90-a1b2c3d40004  exploratory  succeeded, 2026-02-25 12:00 CET (11:00 UTC), user/nightly-report
               403.3 GB  5e6f7a80-1b2c-4d3e-8f90-a1b2c3d40005  exploratory  succeeded, 2026-02-24 10:00 CET (09:00 UTC), kim@example.com

            Limits that do not fit
              ad-hoc, 1h: At most 17 % of it was used on any of the last 14 days: the limit looks too high. About 2 GB would have held; `watchdog plan` computes it from more weeks.

            Cost, at $5.00 for 10^12 bytes
                  37 TB          $185.22  predictable
                17.5 TB           $87.50  long-query
                15.7 TB           $78.61  exploratory
                84.4 GB            $0.42  ad-hoc
                70.3 TB          $351.75  together

            What this leaves out
              exploratory: not all queries are known: only the newest are read in one run.
              Limits are those of now: what a grant made of them meanwhile is left out. Cost is an estimate from what was scanned; Athena counts at least 10 MB a query, and does not charge for those that fail.
        "#]],
    );
}

/// Page, text and JSON say the same, and the page asks nobody for anything.
#[test]
fn a_page_says_what_the_text_says_and_stands_alone() {
    let output =
        output(watchdog(&["report", "--sample", "--html", "report.html", "--price-per-tb", "4", "--json"]), "");
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let page = std::fs::read_to_string(std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("report.html")).unwrap();
    assert!(page.len() < 400_000, "{}", page.len());
    for none in ["http:", "https:", "<script", "url(", "@import", "src="] {
        assert!(!page.contains(none), "{none}");
    }
    assert!(page.contains("made up"));
    let text = self::output(watchdog(&["report", "--sample", "--price-per-tb", "4"]), "");
    let text = String::from_utf8(text.stdout).unwrap();
    let total = answer["total"]["scanned_bytes"].as_u64().unwrap();
    let usd = total as f64 / 1e12 * 4.0;
    assert!((answer["total"]["usd"].as_f64().unwrap() - usd).abs() < 0.01);
    let mut numbers = vec![format!("${usd:.2}")];
    for limit in answer["limits"].as_array().unwrap() {
        numbers.push(format!("{} %", limit["peak_percent"]));
    }
    for alert in answer["alerts"].as_array().unwrap() {
        numbers.push(format!("{} % of", alert["peak_percent"]));
    }
    for person in answer["people"].as_array().unwrap() {
        numbers.push(person["who"].as_str().unwrap().to_owned());
        numbers.push(format!("{} %", person["share_percent"]));
    }
    for query in answer["queries"].as_array().unwrap() {
        numbers.push(query["id"].as_str().unwrap().to_owned());
    }
    let lead = answer["alerts"].as_array().unwrap().iter().find_map(|alert| alert["lead_seconds"].as_i64()).unwrap();
    numbers.push(format!("{} min before", lead / 60));
    for number in numbers {
        assert!(page.contains(&number), "the page lacks `{number}`");
        assert!(text.contains(&number), "the text lacks `{number}`");
    }
}

#[test]
fn wrong_usage() {
    check(
        watchdog(&["report", "--sample", "--since", "7d"]),
        &expect![[r#"
        exit 2
        --- stderr
        error: the argument '--sample' cannot be used with '--since <TIME>'

        Usage: watchdog report --sample

        For more information, try '--help'.
    "#]],
    );
    check(
        watchdog(&["report", "--since", "70d"]),
        &expect![[r#"
        exit 2
        --- stderr
        error: invalid value '70d' for '--since <TIME>': write a time from 1 hour to 63 days with its unit, such as `30d`

        For more information, try '--help'.
    "#]],
    );
    check(
        watchdog(&["report", "--price-per-tb=-1"]),
        &expect![[r#"
            exit 2
            --- stderr
            error: invalid value '-1' for '--price-per-tb <USD>': write US dollars for 10^12 bytes, from 0 to 1000, such as `5.00`

            For more information, try '--help'.
        "#]],
    );
    check(
        watchdog(&["report", "--sample", "--html", "/no/such/directory/report.html"]),
        &expect![[r#"
        exit 2
        --- stderr
        error: `/no/such/directory/report.html` cannot be written: No such file or directory (os error 2)
    "#]],
    );
}

#[test]
fn nothing_can_be_asked() {
    check(
        nowhere(&["report"]),
        &expect![[r#"
        exit 3
        --- stderr
        error: the policy could not be read: `ssm:GetParametersByPath` failed with `Unreachable`: io error: client error (Connect): tcp connect error: Connection refused (os error 111)
    "#]],
    );
    let policy = super::file("report/policy.toml", super::POLICY);
    check(
        nowhere(&["report", "--policy", &policy]),
        &expect![[r#"
        exit 3
        --- stderr
        warning: `athena:ListWorkGroups` failed with `Unreachable`: io error: client error (Connect): tcp connect error: Connection refused (os error 111)
        warning: `cloudwatch:ListMetrics` failed with `Unreachable`: io error: client error (Connect): tcp connect error: Connection refused (os error 111)
        error: nothing could be seen in AWS: `athena:ListWorkGroups` failed with `Unreachable`: io error: client error (Connect): tcp connect error: Connection refused (os error 111)
    "#]],
    );
}
