//! What several topics need: instants, policies and the settings of property tests.

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use proptest::prelude::ProptestConfig;
use watchdog_core::policy::{Document, Policy};

/// So many random cases, or as many as `PROPTEST_CASES` says; and no files of past failures: whatever fails becomes an ordinary test.
pub fn cases(cases: u32) -> ProptestConfig {
    let usual = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { usual.cases } else { cases };
    ProptestConfig { cases, failure_persistence: None, ..usual }
}

/// An instant in RFC 3339.
#[track_caller]
pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// A zone of the bundled database.
#[track_caller]
pub fn zone(name: &str) -> TimeZone {
    TimeZoneDatabase::bundled().get(name).unwrap_or_else(|error| panic!("{error}"))
}

/// A document.
pub fn document(name: &str, text: &str) -> Document {
    Document { name: name.to_owned(), text: text.to_owned() }
}

/// The part of a policy that every policy needs.
pub const MAIL: &str = r#"
[mail]
sender = "watchdog@example.com"
admins = ["ops@example.com"]
allowed_domains = ["example.com"]
"#;

/// A good policy: [`MAIL`] and `rest`.
#[track_caller]
pub fn policy(rest: &str) -> Policy {
    whole_policy(&format!("{MAIL}{rest}"))
}

/// A good policy of one document.
#[track_caller]
pub fn whole_policy(text: &str) -> Policy {
    Policy::parse(&[document("policy.toml", text)]).unwrap_or_else(|problems| panic!("{problems}"))
}
