//! An economy on the local AWS: what is remembered in the table, and what a process that begins anew makes of it.

use jiff::{SignedDuration, Timestamp};
use watchdog_core::catalogue::Catalogue;
use watchdog_tests::Account;

const POLICY: &str = r#"
[mail]
sender = "watchdog@example.com"
admins = ["ann@example.com"]
allowed_domains = ["example.com"]
[economy]
at_most = "30 min"
[defaults]
forecast = "off"
hold = "0 min"
[[workgroup]]
name = "idle"
[[workgroup.limit]]
window = "1h"
limit = "100 GB"
"#;

fn minutes(n: i64) -> SignedDuration {
    SignedDuration::from_mins(n)
}

/// One run: the level, the use and the age of the figures in minutes.
async fn look(account: &mut Account, at: Timestamp) -> (String, Option<u64>, Option<i64>) {
    let report = account.run_at(at).await.expect("a run").0;
    let limit = report.limits.first().expect("a limit");
    (limit.level.to_owned(), limit.used_bytes, limit.age_seconds.map(|age| age / 60))
}

#[tokio::test]
async fn a_week_later_an_idle_workgroup_is_asked_now_and_then_and_a_giant_is_told_of() {
    let mut account = Account::new("a_week_later_an_idle_workgroup_is_asked_now_and_then").await;
    account.policy("00-test", POLICY).await;
    account.workgroup("idle", true).await;
    let now = Timestamp::now().as_second();
    let t = Timestamp::from_second(now / 300 * 300 - 12 * 3600).expect("a time");
    let ok = |age| ("ok".to_owned(), Some(0), age);
    // Known since then, by a process that is gone; it has written down what it learnt with what it learnt next.
    for later in [0, 15] {
        assert_eq!(look(&mut account, t - minutes(10 * 24 * 60 - later)).await, ok(None));
    }
    account.catalogue = Catalogue::default();
    assert_eq!(look(&mut account, t).await, ok(None));
    assert_eq!(look(&mut account, t + minutes(5)).await, ok(Some(5)));
    // A new process knows the record from the table, and asks; the next run knows that nothing can come.
    account.catalogue = Catalogue::default();
    assert_eq!(look(&mut account, t + minutes(10)).await, ok(None));
    assert_eq!(look(&mut account, t + minutes(15)).await, ok(Some(5)));
    // It breaks its record right after, and is found out at the next asking.
    account.use_bytes("idle", t + minutes(16), 96e9).await;
    assert_eq!(look(&mut account, t + minutes(35)).await, ok(Some(25)));
    let found = look(&mut account, t + minutes(40)).await;
    assert_eq!(found, ("critical".to_owned(), Some(96_000_000_000), None));
    // And is asked in every run from then on, as long as it is open.
    assert_eq!(look(&mut account, t + minutes(45)).await, ("critical".to_owned(), Some(96_000_000_000), None));
    assert_eq!(look(&mut account, t + minutes(80)).await, ok(None));
}
