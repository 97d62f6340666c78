//! Policies: what good ones mean, and what bad ones are told.

use std::fs;
use std::path::PathBuf;

use expect_test::{Expect, expect};
use proptest::prelude::*;
use watchdog_core::policy::{Document, PARAMETER_MAX_BYTES, POLICY_MAX_BYTES, Policy, Who, WorkgroupRule};

use crate::support::{MAIL, cases, document, policy};

fn bad_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/policies/bad")
}

/// Every problem of the fixture, complete.
#[track_caller]
fn check_bad(fixture: &str, expected: Expect) {
    let name = format!("{fixture}.toml");
    let text = fs::read_to_string(bad_folder().join(&name)).unwrap();
    let problems = Policy::parse(&[document(&name, &text)]).expect_err("it was accepted");
    expected.assert_eq(&problems.to_string());
}

#[test]
fn bad_address_not_ascii() {
    check_bad(
        "address-not-ascii",
        expect![
            "address-not-ascii.toml:3:11: `admins`: `jörg@example.com` is not ASCII: SES takes no other; write the domain in Punycode (`xn--…`)"
        ],
    );
}

#[test]
fn bad_address_outside_allowed_domains() {
    check_bad(
        "address-outside-allowed-domains",
        expect![[r#"
        address-outside-allowed-domains.toml:3:30: `admins`: `me@gmail.com` is outside the allowed domains `example.com`: add `gmail.com` to `allowed_domains`, or remove the address
        address-outside-allowed-domains.toml:3:46: `admins`: `ops@sub.example.com` is outside the allowed domains `example.com`: add `sub.example.com` to `allowed_domains`, or remove the address
        address-outside-allowed-domains.toml:8:9: `owner`: `etl@partner.example` is outside the allowed domains `example.com`: add `partner.example` to `allowed_domains`, or remove the address
        address-outside-allowed-domains.toml:12:22: `audience`: `boss@example.com.evil.example` is outside the allowed domains `example.com`: add `example.com.evil.example` to `allowed_domains`, or remove the address"#]],
    );
}

#[test]
fn bad_addresses_that_are_none() {
    check_bad(
        "addresses-that-are-none",
        expect![[r#"
        addresses-that-are-none.toml:2:10: `sender`: `watchdog` is not a mail address: write it as `name@example.com`
        addresses-that-are-none.toml:3:11: `admins`: `ops` is not a mail address: write it as `name@example.com`
        addresses-that-are-none.toml:3:18: `admins`: `Ops <ops@example.com>` is not a mail address: write it as `name@example.com`
        addresses-that-are-none.toml:3:43: `admins`: `ops@example.com, dba@example.com` is not a mail address: write it as `name@example.com`
        addresses-that-are-none.toml:3:79: `admins`: `ops@localhost` is not a mail address: write it as `name@example.com`
        addresses-that-are-none.toml:5:12: `reply_to`: `nobody` is not a mail address: write it as `name@example.com`
        addresses-that-are-none.toml:6:27: `repeat_cannot_see_every` is `never`: write a time from 5 minutes to 30 days with its unit, such as `4h` or `30 min`"#]],
    );
}

#[test]
fn bad_admins_empty() {
    check_bad(
        "admins-empty",
        expect![[
            r#"admins-empty.toml:3:10: `admins` is empty: somebody must hear of it; write `admins = ["ops@example.com"]`"#
        ]],
    );
}

#[test]
fn bad_allowed_domains_empty() {
    check_bad(
        "allowed-domains-empty",
        expect![[
            r#"allowed-domains-empty.toml:4:19: `allowed_domains` is empty: nobody could be told; write `allowed_domains = ["example.com"]`"#
        ]],
    );
}

#[test]
fn bad_allowed_domains_that_are_none() {
    check_bad(
        "allowed-domains-that-are-none",
        expect![[r#"
        allowed-domains-that-are-none.toml:4:20: `allowed_domains`: `@example.com` is not a domain: write it as `example.com`, without `@` or `*`
        allowed-domains-that-are-none.toml:4:36: `allowed_domains`: `*.example.com` is not a domain: write it as `example.com`, without `@` or `*`
        allowed-domains-that-are-none.toml:4:53: `allowed_domains`: `example` is not a domain: write it as `example.com`, without `@` or `*`
        allowed-domains-that-are-none.toml:4:64: `allowed_domains`: `exämple.com` is not a domain: write it as `example.com`, without `@` or `*`"#]],
    );
}

#[test]
fn bad_audience_not_a_list() {
    check_bad(
        "audience-not-a-list",
        expect![[
            r#"audience-not-a-list.toml:11:12: `audience` must be a list such as `["admins"]`, or a table of lists by level such as `{ exhausted = ["admins"] }`, not the string `"admins"`"#
        ]],
    );
}

#[test]
fn bad_audience_of_exhausted_empty() {
    check_bad(
        "audience-of-exhausted-empty",
        expect![[r#"
        audience-of-exhausted-empty.toml:7:13: the audience of `exhausted` is empty: somebody must hear that a limit is gone; write `["admins"]`
        audience-of-exhausted-empty.toml:17:12: the audience of `exhausted` is empty: somebody must hear that a limit is gone; write `["admins"]`"#]],
    );
}

#[test]
fn bad_audience_unknown_word() {
    check_bad(
        "audience-unknown-word",
        expect![[r#"
        audience-unknown-word.toml:11:22: `audience`: `admin` is nobody: write `admins`, `owner`, `submitters` or a mail address
        audience-unknown-word.toml:11:44: `audience`: `submitter` is nobody: write `admins`, `owner`, `submitters` or a mail address
        audience-unknown-word.toml:11:57: `audience`: `Owner` is nobody: write `admins`, `owner`, `submitters` or a mail address
        audience-unknown-word.toml:11:67: unknown key `panic`: `audience` knows `warn`, `critical`, `exhausted`"#]],
    );
}

#[test]
fn bad_buffer_and_share() {
    check_bad(
        "buffer-and-share",
        expect![
            "buffer-and-share.toml:10:9: this limit has both `buffer` and `share`: `buffer` goes on top of the quota, `share` is a part of it; keep one"
        ],
    );
}

#[test]
fn bad_buffer_without_quota() {
    check_bad(
        "buffer-without-quota",
        expect![
            "buffer-without-quota.toml:11:10: `buffer` belongs to a `quota`, and this limit is given directly: remove it, or write `quota` instead of `limit`"
        ],
    );
}

#[test]
fn bad_control_characters() {
    check_bad(
        "control-characters",
        expect![
            "control-characters.toml:9:10: `window`: `1h  [31m admin: all is well` is not a window: write a rolling one as a multiple of 5 minutes from 15 minutes to 7 days, such as `1h` or `24h`, or `calendar hour` or `calendar day`"
        ],
    );
}

#[test]
fn bad_defaults_nobody_uses() {
    check_bad(
        "defaults-nobody-uses",
        expect![[r#"
        defaults-nobody-uses.toml:7:8: `warn` is `800 %`: it must be more than 0 % and less than 100 %, where the limit is exhausted
        defaults-nobody-uses.toml:8:13: `audience`: `everyone` is nobody: write `admins`, `owner`, `submitters` or a mail address
        defaults-nobody-uses.toml:9:16: `repeat_every` is `1s`: write a time from 5 minutes to 30 days with its unit, such as `4h` or `30 min`
        defaults-nobody-uses.toml:14:12: `critical`: `zero` is not a percentage: write a number from 0 to 10000 with at most two decimals and the sign, such as `80 %`"#]],
    );
}

#[test]
fn bad_double_brackets() {
    check_bad(
        "double-brackets",
        expect!["double-brackets.toml:1:1: `mail` must be a table: write `[mail]`, not the array `[[mail]]`"],
    );
}

#[test]
fn bad_empty() {
    check_bad(
        "empty",
        expect![[r#"
        `[mail]` has no `admins`: somebody must hear of it; write `admins = ["ops@example.com"]`
        `[mail]` has no `allowed_domains`: write `allowed_domains = ["example.com"]`; mail goes nowhere else
        `[mail]` has no `sender`: write an address that SES has verified, `sender = "watchdog@example.com"`
        the policy has no `[[workgroup]]`: nothing would be watched; add one, with `name = "*"` for all workgroups"#]],
    );
}

#[test]
fn bad_hysteresis_not_below_warn() {
    check_bad(
        "hysteresis-not-below-warn",
        expect![
            "hysteresis-not-below-warn.toml:12:14: `hysteresis` is 20 % and `warn` 20 %: an alert could never resolve; make `hysteresis` smaller"
        ],
    );
}

#[test]
fn bad_limit_and_quota() {
    check_bad(
        "limit-and-quota",
        expect!["limit-and-quota.toml:10:9: this limit has both `limit` and `quota`: write the number in one way only"],
    );
}

#[test]
fn bad_lists_instead_of_tables() {
    check_bad(
        "lists-instead-of-tables",
        expect![[r#"
        lists-instead-of-tables.toml:1:8: `mail` must be a table: write `[mail]`, not the string `"ops@example.com"`
        lists-instead-of-tables.toml:2:12: `defaults` must be a table: write `[defaults]`, not the array `[]`
        lists-instead-of-tables.toml:3:14: `workgroup` must be a list of tables: write `[[workgroup]]` with double brackets, not the string `"etl"`
        lists-instead-of-tables.toml:3:21: `workgroup` must be a list of tables: write `[[workgroup]]` with double brackets, not the string `"ad-hoc"`"#]],
    );
}

#[test]
fn bad_neither_limit_nor_quota() {
    check_bad(
        "neither-limit-nor-quota",
        expect![[
            r#"neither-limit-nor-quota.toml:8:1: this `[[workgroup.limit]]` has neither `limit` nor `quota`: write `limit = "700 GB"`, or `quota = "1 TB"` with `buffer` or `share`"#
        ]],
    );
}

#[test]
fn bad_no_admins() {
    check_bad(
        "no-admins",
        expect![[r#"`[mail]` has no `admins`: somebody must hear of it; write `admins = ["ops@example.com"]`"#]],
    );
}

#[test]
fn bad_no_mail_table() {
    check_bad(
        "no-mail-table",
        expect![[r#"
        `[mail]` has no `admins`: somebody must hear of it; write `admins = ["ops@example.com"]`
        `[mail]` has no `allowed_domains`: write `allowed_domains = ["example.com"]`; mail goes nowhere else
        `[mail]` has no `sender`: write an address that SES has verified, `sender = "watchdog@example.com"`"#]],
    );
}

#[test]
fn bad_no_sender() {
    check_bad(
        "no-sender",
        expect![[
            r#"`[mail]` has no `sender`: write an address that SES has verified, `sender = "watchdog@example.com"`"#
        ]],
    );
}

#[test]
fn bad_no_window() {
    check_bad(
        "no-window",
        expect![[r#"no-window.toml:8:1: this `[[workgroup.limit]]` has no `window`: write `window = "1h"`"#]],
    );
}

#[test]
fn bad_no_workgroup() {
    check_bad(
        "no-workgroup",
        expect![[
            r#"the policy has no `[[workgroup]]`: nothing would be watched; add one, with `name = "*"` for all workgroups"#
        ]],
    );
}

#[test]
fn bad_not_toml_but_json() {
    check_bad(
        "not-toml-but-json",
        expect![[r#"
        not-toml-but-json.toml:1:1: not valid TOML: invalid key-value pair, expected key
        not-toml-but-json.toml:2:9: not valid TOML: key with no value, expected `=`
        not-toml-but-json.toml:3:1: not valid TOML: invalid key-value pair, expected key"#]],
    );
}

#[test]
fn bad_not_toml_but_prose() {
    check_bad(
        "not-toml-but-prose",
        expect![[r#"
        not-toml-but-prose.toml:1:6: not valid TOML: key with no value, expected `=`
        not-toml-but-prose.toml:2:8: not valid TOML: key with no value, expected `=`"#]],
    );
}

#[test]
fn bad_number_without_quotes() {
    check_bad(
        "number-without-quotes",
        expect![[
            r#"number-without-quotes.toml:10:9: `quota` must be a text in quotes, such as `"700 GB"`, not the integer `700`"#
        ]],
    );
}

#[test]
fn bad_number_without_unit() {
    check_bad(
        "number-without-unit",
        expect![
            "number-without-unit.toml:10:9: `quota`: `700` has no unit: write for example `700 GB` (10^9 bytes) or `700 GiB` (2^30 bytes)"
        ],
    );
}

#[test]
fn bad_overlapping_patterns() {
    check_bad(
        "overlapping-patterns",
        expect![
            "overlapping-patterns.toml:7:8: the names `team-*` and `*-prod` can match the same workgroup and neither is more specific: spell out more of one of them"
        ],
    );
}

#[test]
fn bad_per_query_cutoff_too_small() {
    check_bad(
        "per-query-cutoff-too-small",
        expect![
            "per-query-cutoff-too-small.toml:8:20: `per_query_cutoff`: `9 MB` is below Athena's own minimum: write `10 MB` or more"
        ],
    );
}

#[test]
fn bad_quota_and_buffer_too_large() {
    check_bad(
        "quota-and-buffer-too-large",
        expect![[
            r#"quota-and-buffer-too-large.toml:10:9: the limit computed from `quota = "10 EB"` is not between 1 B and 16 EiB"#
        ]],
    );
}

#[test]
fn bad_repeat_too_often() {
    check_bad(
        "repeat-too-often",
        expect![
            "repeat-too-often.toml:11:16: `repeat_every` is `1 min`: write a time from 5 minutes to 30 days with its unit, such as `4h` or `30 min`"
        ],
    );
}

#[test]
fn bad_repeat_without_unit() {
    check_bad(
        "repeat-without-unit",
        expect![
            "repeat-without-unit.toml:11:16: `repeat_every` is `4`: write a time from 5 minutes to 30 days with its unit, such as `4h` or `30 min`"
        ],
    );
}

#[test]
fn bad_share_120_percent() {
    check_bad(
        "share-120-percent",
        expect![[r#"
        share-120-percent.toml:10:9: `quota`: `700` has no unit: write for example `700 GB` (10^9 bytes) or `700 GiB` (2^30 bytes)
        share-120-percent.toml:11:9: `share` is `120 %`: it must be more than 0 % and at most 100 %"#]],
    );
}

#[test]
fn bad_share_zero_percent() {
    check_bad(
        "share-zero-percent",
        expect!["share-zero-percent.toml:11:9: `share` is `0 %`: it must be more than 0 % and at most 100 %"],
    );
}

#[test]
fn bad_single_brackets() {
    check_bad(
        "single-brackets",
        expect![
            "single-brackets.toml:6:1: `workgroup` must be a list of tables: write `[[workgroup]]` with double brackets, not the table `[workgroup]`"
        ],
    );
}

#[test]
fn bad_size_per_hour() {
    check_bad(
        "size-per-hour",
        expect![
            "size-per-hour.toml:10:9: `limit`: `700 GB/h` is not a size: write a number and one of B, kB, MB, GB, TB, PB, KiB, MiB, GiB, TiB, PiB"
        ],
    );
}

#[test]
fn bad_size_too_large() {
    check_bad(
        "size-too-large",
        expect!["size-too-large.toml:10:9: `limit`: `99 EB` is too large: a size must be less than 16 EiB"],
    );
}

#[test]
fn bad_size_zero() {
    check_bad("size-zero", expect!["size-zero.toml:10:9: `limit`: `0 GB` is zero: a size must be at least 1 B"]);
}

#[test]
fn bad_table_instead_of_text() {
    check_bad(
        "table-instead-of-text",
        expect![[r#"
        table-instead-of-text.toml:7:8: `name` must be a text in quotes, such as `"exploratory"`, not the array `["etl"]`
        table-instead-of-text.toml:8:9: `owner` must be a text in quotes, such as `"ops@example.com"`, not the table `{ address = "etl@example.com" }`
        table-instead-of-text.toml:9:20: `per_query_cutoff` must be a text in quotes, such as `"700 GB"`, not the boolean `true`
        table-instead-of-text.toml:12:9: `limit` must be a text in quotes, such as `"700 GB"`, not the datetime `2026-03-01`"#]],
    );
}

#[test]
fn bad_text_instead_of_list() {
    check_bad(
        "text-instead-of-list",
        expect![[r#"
        text-instead-of-list.toml:3:10: `admins` must be a list of texts, such as `["ops@example.com"]`, not the string `"ops@example.com"`
        text-instead-of-list.toml:4:20: `allowed_domains` must be a text in quotes, such as `"example.com"`, not the integer `1`"#]],
    );
}

#[test]
fn bad_threshold_100_percent() {
    check_bad(
        "threshold-100-percent",
        expect![
            "threshold-100-percent.toml:11:12: `critical` is `100 %`: it must be more than 0 % and less than 100 %, where the limit is exhausted"
        ],
    );
}

#[test]
fn bad_threshold_130_percent() {
    check_bad(
        "threshold-130-percent",
        expect![
            "threshold-130-percent.toml:11:12: `critical` is `130 %`: it must be more than 0 % and less than 100 %, where the limit is exhausted"
        ],
    );
}

#[test]
fn bad_threshold_without_percent_sign() {
    check_bad(
        "threshold-without-percent-sign",
        expect![[r#"
        threshold-without-percent-sign.toml:11:8: `warn`: `0.8` is not a percentage: write a number from 0 to 10000 with at most two decimals and the sign, such as `80 %`
        threshold-without-percent-sign.toml:12:12: `critical` must be a text in quotes, such as `"80 %"`, not the float `0.95`"#]],
    );
}

#[test]
fn bad_threshold_zero_percent() {
    check_bad(
        "threshold-zero-percent",
        expect![
            "threshold-zero-percent.toml:11:8: `warn` is `0 %`: it must be more than 0 % and less than 100 %, where the limit is exhausted"
        ],
    );
}

#[test]
fn bad_time_zone_for_rolling_window() {
    check_bad(
        "time-zone-for-rolling-window",
        expect![
            "time-zone-for-rolling-window.toml:10:13: `time_zone` has no meaning for the rolling window `1h`: remove it, or write `calendar day`"
        ],
    );
}

#[test]
fn bad_toml_key_twice() {
    check_bad("toml-key-twice", expect!["toml-key-twice.toml:3:1: not valid TOML: duplicate key `sender`"]);
}

#[test]
fn bad_toml_missing_quote() {
    check_bad(
        "toml-missing-quote",
        expect![[r#"toml-missing-quote.toml:2:31: not valid TOML: invalid basic string, expected `"`"#]],
    );
}

#[test]
fn bad_two_limits_same_window() {
    check_bad(
        "two-limits-same-window",
        expect!["two-limits-same-window.toml:12:10: workgroup `etl` has two limits with the window `1h`: keep one"],
    );
}

#[test]
fn bad_unknown_key() {
    check_bad(
        "unknown-key",
        expect![[r#"
            unknown-key.toml:2:1: unknown key `smtp_host`: `[mail]` knows `sender`, `reply_to`, `admins`, `allowed_domains`, `time_zone`, `repeat_cannot_see_every`
            unknown-key.toml:8:1: unknown key `warning`: `[defaults]` knows `warn`, `critical`, `hysteresis`, `forecast`, `hold`, `repeat_every`, `audience`
            unknown-key.toml:12:1: unknown key `onwer`: `[[workgroup]]` knows `name`, `owner`, `per_query_cutoff`, `waiting`, `plan`, `warn`, `critical`, `hysteresis`, `forecast`, `hold`, `repeat_every`, `audience`, `limit`
            unknown-key.toml:16:1: unknown key `limits`: `[[workgroup.limit]]` knows `window`, `time_zone`, `limit`, `quota`, `buffer`, `share`, `warn`, `critical`, `hysteresis`, `forecast`, `hold`, `repeat_every`, `audience`
            unknown-key.toml:18:2: unknown key `workgroups`: a policy knows `mail`, `defaults`, `submitters`, `active_queries`, `economy`, `grants`, `silences`, `report`, `workgroup`"#]],
    );
}

#[test]
fn bad_unknown_time_zone() {
    check_bad(
        "unknown-time-zone",
        expect![[r#"
        unknown-time-zone.toml:5:13: `time_zone` is `Berlin`: no such IANA zone; write for example `Europe/Berlin` or `UTC`
        unknown-time-zone.toml:11:13: `time_zone` is `CEST`: no such IANA zone; write for example `Europe/Berlin` or `UTC`"#]],
    );
}

#[test]
fn bad_warn_not_below_critical() {
    check_bad(
        "warn-not-below-critical",
        expect![[r#"
        warn-not-below-critical.toml:14:8: `warn` is 90 % and `critical` 90 %: `warn` must be below `critical`
        warn-not-below-critical.toml:21:12: `warn` is 80 % and `critical` 70 %: `warn` must be below `critical`"#]],
    );
}

#[test]
fn bad_window_that_is_none() {
    check_bad(
        "window-that-is-none",
        expect![
            "window-that-is-none.toml:9:10: `window`: `7 min` is not a window: write a rolling one as a multiple of 5 minutes from 15 minutes to 7 days, such as `1h` or `24h`, or `calendar hour` or `calendar day`"
        ],
    );
}

#[test]
fn bad_workgroup_name_that_is_none() {
    check_bad(
        "workgroup-name-that-is-none",
        expect![
            "workgroup-name-that-is-none.toml:7:8: `name`: `data engineers` can be no workgroup's name: write 1 to 128 letters, digits, `.`, `_` or `-`, with `*` and `?` as wildcards"
        ],
    );
}

#[test]
fn bad_workgroup_twice() {
    check_bad(
        "workgroup-twice",
        expect!["workgroup-twice.toml:13:8: workgroup `etl` stands twice in this document: merge the two"],
    );
}

#[test]
fn bad_workgroup_without_limits() {
    check_bad(
        "workgroup-without-limits",
        expect![
            "workgroup-without-limits.toml:6:1: workgroup `etl` has no `[[workgroup.limit]]`, no `per_query_cutoff` and no `waiting`: give it one of them"
        ],
    );
}

#[test]
fn bad_workgroup_without_name() {
    check_bad(
        "workgroup-without-name",
        expect![[
            r#"workgroup-without-name.toml:6:1: this `[[workgroup]]` has no `name`: write `name = "exploratory"`, or a pattern with `*`"#
        ]],
    );
}

/// A fixture without a test is a message that nobody has read.
#[test]
fn every_bad_fixture_has_its_test() {
    let here = fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/policy.rs")).unwrap();
    for entry in fs::read_dir(bad_folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let fixture = name.strip_suffix(".toml").unwrap_or_else(|| panic!("{name}: not a policy"));
        assert!(here.contains(&format!("\"{fixture}\",")), "{name} is not tested");
    }
}

/// The problems of several documents.
#[track_caller]
fn check_problems(documents: &[(&str, &str)], expected: Expect) {
    let documents: Vec<Document> = documents.iter().map(|(name, text)| document(name, text)).collect();
    expected.assert_eq(&Policy::parse(&documents).expect_err("it was accepted").to_string());
}

#[test]
fn all_problems_of_all_documents_are_told_in_order() {
    let etl = r#"
[[workgroup]]
name = "etl"
colour = "red"
[[workgroup.limit]]
window = "1h"
limit = "700"
[[workgroup.limit]]
window = "1 fortnight"
limit = "5 TB"
warn = "96 %"
"#;
    let mail = "[mail]\nsender = \"watchdog\"\nallowed_domains = [\"example.com\"]\n[mial]\n";
    check_problems(
        &[("20-etl.toml", etl), ("10-mail.toml", mail)],
        expect![[r#"
            `[mail]` has no `admins`: somebody must hear of it; write `admins = ["ops@example.com"]`
            10-mail.toml:2:10: `sender`: `watchdog` is not a mail address: write it as `name@example.com`
            10-mail.toml:4:2: unknown key `mial`: a policy knows `mail`, `defaults`, `submitters`, `active_queries`, `economy`, `grants`, `silences`, `report`, `workgroup`
            20-etl.toml:4:1: unknown key `colour`: `[[workgroup]]` knows `name`, `owner`, `per_query_cutoff`, `waiting`, `plan`, `warn`, `critical`, `hysteresis`, `forecast`, `hold`, `repeat_every`, `audience`, `limit`
            20-etl.toml:7:9: `limit`: `700` has no unit: write for example `700 GB` (10^9 bytes) or `700 GiB` (2^30 bytes)
            20-etl.toml:9:10: `window`: `1 fortnight` is not a window: write a rolling one as a multiple of 5 minutes from 15 minutes to 7 days, such as `1h` or `24h`, or `calendar hour` or `calendar day`
            20-etl.toml:11:8: `warn` is 96 % and `critical` 95 %: `warn` must be below `critical`"#]],
    );
}

#[test]
fn a_document_that_is_too_large() {
    let mut text = String::from(MAIL);
    text.push_str(&"#".repeat(PARAMETER_MAX_BYTES - text.len()));
    assert_eq!(document("policy", &text).too_large_for_parameter(), None);
    text.push('#');
    let problem = document("/athena/policy", &text).too_large_for_parameter().unwrap();
    expect!["/athena/policy:1:1: this document has 8193 bytes: an SSM parameter holds at most 8192 (Advanced tier) or 4096 (Standard tier); split it into several parameters under the same path"].assert_eq(&problem.to_string());

    let half = "#".repeat(POLICY_MAX_BYTES / 2);
    check_problems(
        &[("a", &half), ("b", &half), ("c", "#")],
        expect!["the policy's documents have 307201 bytes together: at most 307200 are read"],
    );
    // At the bound it is read, and found to be empty.
    check_problems(
        &[("a", &half), ("b", &half)],
        expect![[r#"
        `[mail]` has no `admins`: somebody must hear of it; write `admins = ["ops@example.com"]`
        `[mail]` has no `allowed_domains`: write `allowed_domains = ["example.com"]`; mail goes nowhere else
        `[mail]` has no `sender`: write an address that SES has verified, `sender = "watchdog@example.com"`
        the policy has no `[[workgroup]]`: nothing would be watched; add one, with `name = "*"` for all workgroups"#]],
    );
}

#[test]
fn a_text_that_is_too_long() {
    let text = format!("{MAIL}[[workgroup]]\nname = \"{}\"\nper_query_cutoff = \"1 GB\"\n", "x".repeat(301));
    check_problems(&[("a", &text)], expect!["a:7:8: `name` has 301 characters: at most 300"]);
}

#[test]
fn too_many_patterns_and_people() {
    let people: Vec<String> = (0..51).map(|n| format!("\"p{n}@example.com\"")).collect();
    let mut text = MAIL.replace("\"ops@example.com\"", &people.join(", "));
    for n in 0..101 {
        text.push_str(&format!("[[workgroup]]\nname = \"team-{n:03}-*\"\nper_query_cutoff = \"1 GB\"\n"));
    }
    check_problems(
        &[("a", &text)],
        expect![[r#"
        a:4:10: `admins` names 51 people: at most 50; use a distribution list
        a:307:8: the policy has 101 names with wildcards: at most 100"#]],
    );
}

#[test]
fn bad_active_queries_rules() {
    check_bad(
        "active-queries-rules",
        expect![[r#"
        active-queries-rules.toml:7:7: `dml` is `yes`: write `on` or `off`
        active-queries-rules.toml:8:7: `ddl` must be a text in quotes, such as `"on"`, not the boolean `true`
        active-queries-rules.toml:9:13: `look_back` is `2 min`: write a time from 5 minutes to 1 hour with its unit, such as `10 min`
        active-queries-rules.toml:11:12: `warn` is 80 % and `critical` 70 %: `warn` must be below `critical`
        active-queries-rules.toml:12:14: `hysteresis` is 90 % and `warn` 80 %: an alert could never resolve; make `hysteresis` smaller
        active-queries-rules.toml:13:8: `hold` is `30`: write a time from 0 minutes to 24 hours with its unit, such as `30 min` or `2h`
        active-queries-rules.toml:14:16: `repeat_every` is `1 min`: write a time from 5 minutes to 30 days with its unit, such as `4h` or `30 min`
        active-queries-rules.toml:15:13: `audience`: `everybody` is nobody: write `admins`, `owner`, `submitters` or a mail address
        active-queries-rules.toml:16:1: unknown key `quota`: `[active_queries]` knows `dml`, `ddl`, `look_back`, `warn`, `critical`, `hysteresis`, `hold`, `repeat_every`, `audience`
        active-queries-rules.toml:20:11: `waiting` is `2`: write a time from 10 seconds to 24 hours with its unit, such as `2 min`
        active-queries-rules.toml:24:11: `waiting` is `2 days`: write a time from 10 seconds to 24 hours with its unit, such as `2 min`
        active-queries-rules.toml:28:11: `waiting` must be a text in quotes, such as `"2 min"`, not the integer `120`"#]],
    );
}

#[test]
fn bad_economy_too_long() {
    check_bad(
        "economy-too-long",
        expect![
            "economy-too-long.toml:7:11: `at_most` is `2h`: write a time from 10 minutes to 1 hour with its unit, such as `30 min`; `0 min` asks every workgroup in every run"
        ],
    );
}

#[test]
fn bad_promises_rules() {
    check_bad(
        "promises-rules",
        expect![[r#"
        promises-rules.toml:7:13: `granters`: `admin` names no principal: write `user/NAME`, `role/NAME` for all sessions of a role or `role/NAME/SESSION` for one, `service/NAME`, `identity-center/USER-ID`, `federated/NAME`, `root`, or the ARN of a user, role or session
        promises-rules.toml:7:22: `granters` must be a text in quotes, such as `"role/admin"`, not the integer `7`
        promises-rules.toml:8:15: `workgroups`: `team-*` is a pattern: name each workgroup whose limits may be raised, for the function's role has to name them, too
        promises-rules.toml:8:25: `workgroups`: `a b` can be no workgroup's name: write 1 to 128 letters, digits, `.`, `_` or `-`, with `*` and `?` as wildcards
        promises-rules.toml:9:17: `highest_limit`: `5` has no unit: write for example `5 GB` (10^9 bytes) or `5 GiB` (2^30 bytes)
        promises-rules.toml:10:21: `highest_per_query`: `9 MB` is below Athena's own minimum: write `10 MB` or more
        promises-rules.toml:11:11: `longest` is `for ever`: write a time from 5 minutes to 31 days with its unit, such as `8h`
        promises-rules.toml:12:19: `second_approver` must be `true` or `false`, not the string `"yes"`
        promises-rules.toml:13:1: unknown key `who`: `[grants]` knows `granters`, `workgroups`, `highest_limit`, `highest_per_query`, `longest`, `second_approver`
        promises-rules.toml:16:13: `silencers` is empty: name somebody, such as `["role/admin"]`, or leave the table out
        promises-rules.toml:17:11: `longest` is `32d`: write a time from 5 minutes to 31 days with its unit, such as `8h`
        promises-rules.toml:18:22: `never`: `loud` is no level: write `warn`, `critical` or `exhausted`"#]],
    );
}

#[test]
fn bad_promises_missing() {
    check_bad(
        "promises-missing",
        expect![[r#"
        promises-missing.toml:7:12: `[grants]` has no `highest_limit` and no `highest_per_query`: give one at least, such as `highest_limit = "5 TB"`
        promises-missing.toml:7:12: `[grants]` has no `longest`: say how long a grant may last at most, such as `longest = "8h"`
        promises-missing.toml:7:12: `[grants]` has no `workgroups`: name those whose limits may be raised, such as `workgroups = ["ad-hoc"]`
        promises-missing.toml:10:9: `[silences]` has no `longest`: say how long a silence may last at most, such as `longest = "8h"`
        promises-missing.toml:10:9: `[silences]` has no `silencers`: name who may silence an alert, such as `silencers = ["role/admin"]`"#]],
    );
}

#[test]
fn bad_report_rules() {
    check_bad(
        "report-rules",
        expect![[r#"
        report-rules.toml:7:10: `weekly` is `mon 8:00`: write a day and a time of 24 hours, such as `mon 08:00`
        report-rules.toml:8:7: `to`: `vp@example.org` is outside the allowed domains `example.com`: add `example.org` to `allowed_domains`, or remove the address
        report-rules.toml:9:16: `price_per_tb` is `5 cents`: write US dollars for 10^12 bytes, such as `5.00`
        report-rules.toml:10:1: unknown key `daily`: `[report]` knows `weekly`, `to`, `price_per_tb`"#]],
    );
}

#[test]
fn bad_report_without_a_time() {
    check_bad(
        "report-without-a-time",
        expect![[r#"
        report-without-a-time.toml:7:6: `[report]` has no `weekly`: write `weekly = "mon 08:00"`, or leave the table out
        report-without-a-time.toml:7:6: `to` is empty: name somebody, or leave it out for the admins"#]],
    );
}

#[test]
fn a_report_is_asked_for_in_the_zone_of_mails() {
    let rules = "time_zone = \"Europe/Berlin\"\n[report]\nweekly = \"Sunday 18:30\"\nprice_per_tb = \"$4.20\"\n\
                 [[workgroup]]\nname = \"a\"\nper_query_cutoff = \"1 GB\"\n";
    let report = policy(rules).report.unwrap();
    assert_eq!((report.weekly.words().as_str(), report.price_per_tb), ("Sunday at 18:30 Europe/Berlin", 4.2));
    assert_eq!(report.weekly.zone.iana_name(), Some("Europe/Berlin"));
    assert_eq!(report.to.iter().map(ToString::to_string).collect::<Vec<_>>(), ["ops@example.com"], "the admins");
    let later = document("20-later.toml", "[report]\nto = [\"vp@example.com\"]\n");
    let both = Policy::parse(&[document("10.toml", &format!("{MAIL}{rules}")), later]).unwrap().report.unwrap();
    assert_eq!((both.to.len(), both.to[0].as_str(), both.price_per_tb), (1, "vp@example.com", 4.2));
}

#[test]
fn bad_submitters_rules() {
    check_bad(
        "submitters-rules",
        expect![[r#"
        submitters-rules.toml:7:15: `share_floor` is `0.3 %`: it must be from 1 % to 100 %; below that a hundred people and more would be told at once
        submitters-rules.toml:8:15: `bytes_floor`: `0 GB` is zero: a size must be at least 1 B
        submitters-rules.toml:9:16: `repeat_every` is `1 min`: write a time from 5 minutes to 30 days with its unit, such as `4h` or `30 min`
        submitters-rules.toml:10:12: `show_sql` must be `true` or `false`, not the string `"yes"`
        submitters-rules.toml:11:18: `trusted_roles`: `analyst-*` is no role's name: write it without its path and without wildcards, such as `analyst`
        submitters-rules.toml:11:31: `trusted_roles`: `arn:aws:iam::123456789012:role/analyst` is no role's name: write it without its path and without wildcards, such as `analyst`
        submitters-rules.toml:12:27: `trusted_source_identity` must be a list of texts, such as `["analyst"]`, not the string `"analyst"`
        submitters-rules.toml:13:1: unknown key `threshold`: `[submitters]` knows `people`, `trusted_roles`, `trusted_source_identity`, `share_floor`, `bytes_floor`, `repeat_every`, `show_sql`
        submitters-rules.toml:16:1: `people`: `ann` names no principal: write `user/NAME`, `role/NAME` for all sessions of a role or `role/NAME/SESSION` for one, `service/NAME`, `identity-center/USER-ID`, `federated/NAME`, `root`, or the ARN of a user, role or session
        submitters-rules.toml:17:14: `people`: `bob@gmail.com` is outside the allowed domains `example.com`: add `gmail.com` to `allowed_domains`, or remove the address
        submitters-rules.toml:18:1: `people`: `role/etl/nightly/x` names no principal: write `user/NAME`, `role/NAME` for all sessions of a role or `role/NAME/SESSION` for one, `service/NAME`, `identity-center/USER-ID`, `federated/NAME`, `root`, or the ARN of a user, role or session
        submitters-rules.toml:19:14: `people` must be a text in quotes, such as `"ann@example.com"`, not the integer `7`"#]],
    );
}

#[test]
fn submitters_of_several_documents_are_merged_person_by_person() {
    let first = format!(
        "{MAIL}[submitters]\nshare_floor = \"3 %\"\npeople = {{ \"user/ann\" = \"ann@example.com\", \"user/bob\" = \"old@example.com\" }}\n"
    );
    let second = "[submitters]\nshow_sql = true\n[submitters.people]\n\"user/bob\" = \"bob@example.com\"\n[[workgroup]]\nname = \"*\"\nper_query_cutoff = \"1 GB\"\n";
    let policy = Policy::parse(&[document("1", &first), document("2", second)]).unwrap();
    let rules = policy.submitters;
    let people: Vec<_> = rules.people.iter().map(|(key, address)| format!("{key} {address}")).collect();
    assert_eq!(people, ["user/ann ann@example.com", "user/bob bob@example.com"]);
    assert_eq!(
        (rules.share_floor.to_string().as_str(), rules.bytes_floor.get(), rules.show_sql),
        ("3 %", 1_000_000_000, true)
    );
    assert_eq!(rules.repeat_every, jiff::SignedDuration::from_hours(1));
}

/// What a good policy means, in a form that shows every number.
fn show(policy: &Policy) -> String {
    let who = |list: &[Who]| {
        let names = list.iter().map(|who| match who {
            Who::Admins => "admins".to_owned(),
            Who::Submitters => "submitters".to_owned(),
            Who::Owner => "owner".to_owned(),
            Who::Address(address) => address.to_string(),
        });
        names.collect::<Vec<_>>().join("+")
    };
    let rule = |rule: &WorkgroupRule| {
        let mut text = format!("{}", rule.pattern);
        if let Some(owner) = &rule.owner {
            text.push_str(&format!(", owned by {owner}"));
        }
        if let Some(cutoff) = &rule.per_query_cutoff {
            text.push_str(&format!(", {cutoff} a query"));
        }
        for limit in &rule.limits {
            text.push_str(&format!(
                "\n  {}: {} {:?}, {}/{}-{}, every {:#}, {} | {} | {}",
                limit.window.id(),
                limit.bytes.get(),
                limit.units,
                limit.warn,
                limit.critical,
                limit.hysteresis,
                limit.repeat_every,
                who(&limit.audience.warn),
                who(&limit.audience.critical),
                who(&limit.audience.exhausted),
            ));
        }
        text
    };
    policy.rules().iter().map(rule).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn check_good(rest: &str, expected: Expect) {
    expected.assert_eq(&show(&policy(rest)));
}

#[test]
fn the_smallest_policy_and_its_defaults() {
    let policy = policy("[[workgroup]]\nname = \"etl\"\n[[workgroup.limit]]\nwindow = \"1h\"\nlimit = \"700 GB\"\n");
    expect![[r#"
        etl
          1h: 700000000000 Decimal, 90 %/95 %-15 %, every 4h, admins | admins | admins"#]]
    .assert_eq(&show(&policy));
    expect![[r#"
        MailRules {
            sender: Address(
                "watchdog@example.com",
            ),
            reply_to: None,
            admins: [
                Address(
                    "ops@example.com",
                ),
            ],
            allowed_domains: [
                "example.com",
            ],
            zone: TimeZone(
                UTC,
            ),
            repeat_cannot_see_every: 86400s,
        }
    "#]]
    .assert_debug_eq(&policy.mail);
}

#[test]
fn limits_are_given_or_computed() {
    check_good(
        r#"
[[workgroup]]
name = "predictable"
[[workgroup.limit]]
window = "1h"
quota = "1 TiB"
buffer = "10 %"
[[workgroup.limit]]
window = "24h"
quota = "10 TB"
buffer = "100 %"
[[workgroup.limit]]
window = "calendar day"
time_zone = "Europe/Berlin"
quota = "1 TB"
share = "70 %"
[[workgroup.limit]]
window = "calendar hour"
quota = "3 B"
share = "50 %"
[[workgroup.limit]]
window = "2h"
quota = "1 TB"
[[workgroup.limit]]
window = "calendar day"
time_zone = "UTC"
limit = "1.5 TB"
"#,
        expect![[r#"
            predictable
              1h: 1209462790553 Binary, 90 %/95 %-15 %, every 4h, admins | admins | admins
              24h: 20000000000000 Decimal, 90 %/95 %-15 %, every 4h, admins | admins | admins
              calendar-day@Europe/Berlin: 700000000000 Decimal, 90 %/95 %-15 %, every 4h, admins | admins | admins
              calendar-hour@UTC: 1 Decimal, 90 %/95 %-15 %, every 4h, admins | admins | admins
              2h: 1000000000000 Decimal, 90 %/95 %-15 %, every 4h, admins | admins | admins
              calendar-day@UTC: 1500000000000 Decimal, 90 %/95 %-15 %, every 4h, admins | admins | admins"#]],
    );
}

#[test]
fn rules_are_inherited_from_defaults_to_workgroup_to_limit() {
    check_good(
        r#"
[defaults]
warn = "70 %"
critical = "90 %"
hysteresis = "3 %"
repeat_every = "2h"
audience = { warn = [], exhausted = ["admins", "owner"] }

[[workgroup]]
name = "a"
[[workgroup.limit]]
window = "1h"
limit = "1 TB"

[[workgroup]]
name = "b"
owner = "B@Example.COM"
warn = "50 %"
audience = { critical = ["owner"] }
[[workgroup.limit]]
window = "1h"
limit = "1 TB"
critical = "60 %"
audience = { warn = ["boss@example.com"] }
[[workgroup.limit]]
window = "2h"
limit = "1 TB"
audience = ["boss@example.com"]
repeat_every = "30 min"

[[workgroup]]
name = "c"
audience = ["boss@example.com"]
[[workgroup.limit]]
window = "1h"
limit = "1 TB"
audience.warn = []
"#,
        expect![[r#"
            a
              1h: 1000000000000 Decimal, 70 %/90 %-3 %, every 2h,  | admins | admins+owner
            b, owned by B@example.com
              1h: 1000000000000 Decimal, 50 %/60 %-3 %, every 2h, boss@example.com | owner | admins+owner
              2h: 1000000000000 Decimal, 50 %/90 %-3 %, every 30m, boss@example.com | boss@example.com | boss@example.com
            c
              1h: 1000000000000 Decimal, 70 %/90 %-3 %, every 2h,  | boss@example.com | boss@example.com"#]],
    );
}

#[test]
fn later_documents_win_key_by_key_and_replace_workgroups_whole() {
    let documents = [
        ("30", "[mail]\nadmins = [\"late@example.com\", \"late@example.com\", \"early@example.com\"]\n"),
        ("10", MAIL),
        (
            "20",
            r#"
[mail]
time_zone = "Europe/Berlin"
repeat_cannot_see_every = "1d"
[defaults]
warn = "60 %"
[defaults.audience]
warn = ["w@example.com"]
[[workgroup]]
name = "etl"
owner = "etl@example.com"
[[workgroup.limit]]
window = "1h"
limit = "1 TB"
[[workgroup.limit]]
window = "calendar day"
limit = "9 TB"
"#,
        ),
        (
            "25",
            r#"
[defaults]
critical = "80 %"
[defaults.audience]
critical = ["c@example.com"]
[[workgroup]]
name = "etl"
[[workgroup.limit]]
window = "calendar hour"
limit = "2 TB"
"#,
        ),
    ]
    .map(|(name, text)| document(name, text));
    let policy = Policy::parse(&documents).unwrap();
    expect![[r#"
        etl
          calendar-hour@Europe/Berlin: 2000000000000 Decimal, 60 %/80 %-5 %, every 4h, w@example.com | c@example.com | admins
        MailRules {
            sender: Address(
                "watchdog@example.com",
            ),
            reply_to: None,
            admins: [
                Address(
                    "early@example.com",
                ),
                Address(
                    "late@example.com",
                ),
            ],
            allowed_domains: [
                "example.com",
            ],
            zone: TimeZone(
                TZif(
                    "Europe/Berlin",
                ),
            ),
            repeat_cannot_see_every: 86400s,
        }"#]].assert_eq(&format!("{}\n{:#?}", show(&policy), policy.mail));
}

#[track_caller]
fn check_rule(names: &[&str], workgroup: &str, expected: Option<&str>) {
    let rules = names.iter().map(|name| format!("[[workgroup]]\nname = \"{name}\"\nper_query_cutoff = \"1 GB\"\n"));
    let policy = policy(&rules.collect::<String>());
    assert_eq!(policy.rule_for(workgroup).map(|rule| rule.pattern.as_str()), expected, "{workgroup}");
}

#[test]
fn the_most_specific_name_counts() {
    let names = ["*", "team-*", "team-etl-*", "team-etl-?", "team-etl-1", "team-etl-12"];
    check_rule(&names, "team-etl-1", Some("team-etl-1"));
    check_rule(&names, "team-etl-2", Some("team-etl-?"));
    check_rule(&names, "team-etl-12", Some("team-etl-12"));
    check_rule(&names, "team-etl-13", Some("team-etl-*"));
    check_rule(&names, "team-", Some("team-*"));
    check_rule(&names, "primary", Some("*"));
    check_rule(&names[1..], "primary", None);
    check_rule(&["Etl"], "etl", None);
    // Two that can match the same name are fine where one spells out more, and where they cannot.
    check_rule(&["a*", "*bc"], "abc", Some("*bc"));
    check_rule(&["a-*", "b-*"], "b-x", Some("b-*"));
}

/// Every rule about a policy that other code relies on.
fn assert_right_by_construction(policy: &Policy) {
    let mail = &policy.mail;
    assert!(!mail.admins.is_empty() && !mail.allowed_domains.is_empty() && !policy.rules().is_empty());
    let allowed = |domain: &str| mail.allowed_domains.iter().any(|d| d == domain);
    assert!(mail.admins.iter().all(|a| allowed(a.domain())));
    for rule in policy.rules() {
        assert!(rule.owner.iter().all(|a| allowed(a.domain())));
        assert!(!rule.limits.is_empty() || rule.per_query_cutoff.is_some() || rule.waiting.is_some());
        for limit in &rule.limits {
            let hundred = watchdog_core::percent::Percent::HUNDRED;
            assert!(limit.bytes.get() > 0 && limit.hysteresis < limit.warn);
            assert!(limit.warn < limit.critical && limit.critical < hundred);
            assert!(limit.repeat_every.as_secs() >= 300 && !limit.audience.exhausted.is_empty());
            for who in [&limit.audience.warn, &limit.audience.critical, &limit.audience.exhausted].into_iter().flatten()
            {
                assert!(!matches!(who, Who::Address(address) if !allowed(address.domain())));
            }
        }
    }
}

const GOOD: &str = r#"
[mail]
sender = "watchdog@example.com"
reply_to = "platform@example.org"
admins = ["ops@example.com", "dba@example.org"]
allowed_domains = ["example.com", "example.org"]
time_zone = "Europe/Berlin"
repeat_cannot_see_every = "24h"
[defaults]
warn = "80 %"
critical = "95 %"
hysteresis = "5 %"
repeat_every = "4h"
audience = { warn = ["owner"], exhausted = ["admins", "boss@example.com"] }
[[workgroup]]
name = "predictable"
owner = "etl@example.com"
per_query_cutoff = "50 GB"
[[workgroup.limit]]
window = "1h"
quota = "1 TB"
buffer = "10 %"
[[workgroup.limit]]
window = "calendar day"
time_zone = "Australia/Lord_Howe"
quota = "1.5 TiB"
share = "70 %"
[[workgroup]]
name = "team-*"
warn = "20 %"
[[workgroup.limit]]
window = "90 min"
limit = "5 GB"
"#;

/// Pieces that people put in the wrong place.
const PIECES: [&str; 24] = [
    "\"",
    "'",
    "\"\"\"",
    "[",
    "]",
    "[[",
    "{",
    "}",
    "=",
    "\n",
    "#",
    ",",
    ".",
    "0",
    "-1",
    "1e9",
    "nan",
    "true",
    " ",
    "%",
    "\0",
    "\r",
    "é",
    "\"700 GB\"",
];

proptest! {
    #![proptest_config(cases(192))]

    #[test]
    fn no_text_panics(text in "\\PC{0,200}", lines in prop::collection::vec("[\\[\\]a-z={}\"., 0-9%#\n]{0,30}", 0..20)) {
        for text in [text, lines.join("\n")] {
            let parsed = Policy::parse(&[document("a", &text)]);
            prop_assert!(parsed.is_err_and(|problems| !problems.0.is_empty()));
        }
    }

    /// A policy with something cut out, put in or swapped is read or refused, and what is read is right.
    #[test]
    fn no_slip_panics_or_gets_through(
        edits in prop::collection::vec((0..GOOD.len(), 0..12usize, 0..PIECES.len(), any::<bool>()), 1..4),
        swap in prop::option::of((0..35usize, 0..35usize)),
    ) {
        let mut text = GOOD.to_owned();
        for (from, length, piece, insert) in edits {
            let chars: Vec<char> = text.chars().collect();
            let from = from.min(chars.len());
            let to = (from + length).min(chars.len());
            let middle = if insert { PIECES[piece] } else { "" };
            text = chars[..from].iter().chain(&middle.chars().collect::<Vec<_>>()).chain(&chars[to..]).collect();
        }
        if let Some((a, b)) = swap {
            let mut lines: Vec<&str> = text.lines().collect();
            let last = lines.len() - 1;
            lines.swap(a.min(last), b.min(last));
            text = lines.join("\n");
        }
        match Policy::parse(&[document("a", &text)]) {
            Ok(policy) => assert_right_by_construction(&policy),
            Err(problems) => {
                prop_assert!(!problems.0.is_empty());
                prop_assert!(problems.0.is_sorted(), "{}", problems);
                for problem in &problems.0 {
                    prop_assert!(!problem.to_string().contains(char::is_control), "{:?}", problem);
                    if let Some(place) = &problem.place {
                        prop_assert!(place.line <= text.split('\n').count() && place.column >= 1);
                    }
                }
            }
        }
    }
}

#[test]
fn no_depth_panics() {
    assert_right_by_construction(&Policy::parse(&[document("a", GOOD)]).unwrap());
    let deep = [
        "[".repeat(100_000),
        format!("a = {}", "[".repeat(100_000)),
        format!("a = {}", "{a = ".repeat(50_000)),
        format!("{} = 1", vec!["a"; 100_000].join(".")),
        format!("[{}]", vec!["a"; 100_000].join(".")),
        "[[a]]\n".repeat(40_000),
        "\u{feff}".to_owned(),
    ];
    for text in deep {
        Policy::parse(&[document("a", &text)]).unwrap_err();
    }
}

/// What is said of queries in the policy `rest`.
#[track_caller]
fn check_queries(documents: &[&str], expected: Expect) {
    let documents: Vec<_> = documents.iter().enumerate().map(|(i, text)| document(&format!("{i}"), text)).collect();
    let policy = Policy::parse(&documents).unwrap_or_else(|problems| panic!("{problems}"));
    let rules = |rules: &watchdog_core::policy::QueryRules| {
        format!(
            "{}/{}-{}, held {:#}, every {:#}, {:?}",
            rules.warn, rules.critical, rules.hysteresis, rules.hold, rules.repeat_every, rules.audience.exhausted
        )
    };
    let active = &policy.active_queries;
    let mut text = format!("{:?}, {:#}: {}\n", active.classes, active.look_back, rules(&active.rules));
    for rule in policy.rules() {
        if let Some(waiting) = &rule.waiting {
            text.push_str(&format!("{}: {:#}: {}\n", rule.pattern, waiting.longest, rules(&waiting.rules)));
        }
    }
    expected.assert_eq(&text);
}

#[test]
fn active_queries_are_watched_unless_the_policy_says_otherwise() {
    let mail = crate::support::MAIL;
    let rule = "[[workgroup]]\nname = \"etl\"\nper_query_cutoff = \"1 GB\"\n";
    check_queries(
        &[&format!("{mail}{rule}")],
        expect![[r#"
        [Dml, Ddl], 10m: 80 %/90 %-20 %, held 30m, every 4h, [Admins]
    "#]],
    );
    // Key by key, the later document's values; and a rule's own audience and hold are those of its waiting.
    let first = format!("{mail}[active_queries]\nddl = \"off\"\nwarn = \"50 %\"\nlook_back = \"30 min\"\n{rule}");
    let second = "[active_queries]\nwarn = \"15 %\"\naudience = [\"submitters\"]\n\
                  [defaults]\nrepeat_every = \"1h\"\n\
                  [[workgroup]]\nname = \"etl\"\nwaiting = \"90s\"\nhold = \"0 min\"\naudience = [\"owner\"]\n";
    check_queries(
        &[&first, second],
        expect![[r#"
        [Dml], 30m: 15 %/90 %-0 %, held 30m, every 4h, [Submitters]
        etl: 1m 30s: 50 %/80 %-25 %, held 0s, every 1h, [Owner]
    "#]],
    );
}

#[test]
fn who_is_told_of_their_own_queries_is_known_of_a_rule() {
    let tells = |more: &str| {
        let text = format!("[[workgroup]]\nname = \"a\"\nper_query_cutoff = \"1 GB\"\n{more}");
        policy(&text).rules()[0].tells_submitters()
    };
    assert!(!tells("") && !tells("audience = [\"submitters\"]"), "nothing to tell of");
    assert!(tells("waiting = \"2 min\"\naudience = [\"submitters\"]"));
    assert!(tells("limit = [{ window = \"1h\", limit = \"1 GB\", audience = { warn = [\"submitters\"] } }]"));
    assert!(!tells("limit = [{ window = \"1h\", limit = \"1 GB\" }]"));
}
