//! The policy's JSON Schema: in step with the reader, and of use to an editor.

use std::collections::BTreeSet;

use expect_test::expect_file;
use proptest::prelude::*;
use proptest::string::string_regex;
use proptest::test_runner::TestRunner;
use serde_json::Value;
use watchdog_core::bytes::{BadSize, Size};
use watchdog_core::percent::Percent;
use watchdog_core::policy::{Pattern, Policy, json_schema_text};

use crate::support::{MAIL, cases, document};

fn schema() -> Value {
    serde_json::from_str(&json_schema_text()).unwrap()
}

/// The part of the schema at `path`, references followed.
fn part(path: &[&str]) -> Value {
    let whole = schema();
    let resolve = |mut at: Value| {
        while let Some(reference) = at.get("$ref").and_then(Value::as_str) {
            at = whole.pointer(reference.trim_start_matches('#')).unwrap_or_else(|| panic!("{reference}")).clone();
        }
        at
    };
    let mut at = whole.clone();
    for step in path {
        at = match *step {
            "[]" => at["items"].clone(),
            "{}" => resolve_audience(&whole, &at),
            key => at["properties"][key].clone(),
        };
        at = resolve(at);
    }
    at
}

/// The table form among an audience's alternatives.
fn resolve_audience(whole: &Value, audience: &Value) -> Value {
    if let Some(reference) = audience.get("$ref").and_then(Value::as_str) {
        return resolve_audience(whole, whole.pointer(reference.trim_start_matches('#')).unwrap());
    }
    let forms = audience["anyOf"].as_array().unwrap_or_else(|| panic!("no alternatives: {audience}"));
    let resolved = forms.iter().map(|form| match form.get("$ref").and_then(Value::as_str) {
        Some(reference) => whole.pointer(reference.trim_start_matches('#')).unwrap().clone(),
        None => form.clone(),
    });
    let mut tables: Vec<Value> = Vec::new();
    for form in resolved {
        if form.get("properties").is_some() {
            tables.push(form);
        }
    }
    tables.pop().unwrap_or_else(|| panic!("no table form: {audience}"))
}

#[test]
fn the_file_is_in_step() {
    expect_file!["../../policy.schema.json"].assert_eq(&json_schema_text());
}

/// Every table: where it is in the schema, and a document that has one key too many in it.
const TABLES: [(&[&str], &str); 12] = [
    (&[], "unheard = 1"),
    (&["mail"], "[mail]\nunheard = 1"),
    (&["defaults"], "[defaults]\nunheard = 1"),
    (&["defaults", "audience", "{}"], "[defaults.audience]\nunheard = 1"),
    (&["submitters"], "[submitters]\nunheard = 1"),
    (&["active_queries"], "[active_queries]\nunheard = 1"),
    (&["economy"], "[economy]\nunheard = 1"),
    (&["grants"], "[grants]\nunheard = 1"),
    (&["silences"], "[silences]\nunheard = 1"),
    (&["active_queries", "audience", "{}"], "[active_queries.audience]\nunheard = 1"),
    (&["workgroup", "[]"], "[[workgroup]]\nunheard = 1"),
    (&["workgroup", "[]", "limit", "[]"], "[[workgroup]]\n[[workgroup.limit]]\nunheard = 1"),
];

/// The reader says which keys it knows; the schema says which there are. The two cannot diverge.
#[test]
fn the_reader_and_the_schema_know_the_same_keys() {
    for (path, text) in TABLES {
        let problems = Policy::parse(&[document("a", text)]).unwrap_err().to_string();
        let line = problems.lines().find(|line| line.contains("unknown key `unheard`")).unwrap();
        let (_, known) = line.split_once(" knows ").unwrap();
        let known: BTreeSet<String> = known.split(", ").map(|key| key.trim_matches('`').to_owned()).collect();
        let here = part(path);
        let properties: BTreeSet<String> = here["properties"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(known, properties, "{path:?}");
        assert_eq!(here["additionalProperties"], Value::Bool(false), "{path:?}: an editor would accept any key");
    }
}

#[test]
fn every_key_is_described_and_nothing_of_ours_shows() {
    for (path, _) in TABLES {
        let here = part(path);
        for (key, property) in here["properties"].as_object().unwrap() {
            let description = property["description"].as_str().unwrap_or("");
            assert!(description.len() > 10, "{path:?} {key}: {property}");
        }
    }
    let text = json_schema_text();
    for ours in ["Typed", "\"place\"", "unread", "broken"] {
        assert!(!text.contains(ours), "{ours} shows");
    }
}

#[test]
fn what_is_always_needed_is_required() {
    let required = |path: &[&str]| part(path).get("required").cloned().unwrap_or(Value::Array(Vec::new()));
    // A document is one of several: nothing but what belongs together is required in it.
    assert_eq!(required(&[]), serde_json::json!([]));
    assert_eq!(required(&["mail"]), serde_json::json!([]));
    assert_eq!(required(&["defaults"]), serde_json::json!([]));
    assert_eq!(required(&["workgroup", "[]"]), serde_json::json!(["name"]));
    assert_eq!(required(&["workgroup", "[]", "limit", "[]"]), serde_json::json!(["window"]));
}

/// The reader refuses `null` (TOML has none); so the schema need not speak of it.
#[test]
fn nothing_is_null() {
    assert!(!json_schema_text().contains("null"));
}

/// Every example in the schema is one that the reader takes.
#[test]
fn examples_are_accepted() {
    let toml_value = |value: &Value| value.to_string();
    for (key, property) in part(&["defaults"])["properties"].as_object().unwrap() {
        for example in property["examples"].as_array().unwrap_or_else(|| panic!("{key} has no example")) {
            let text = format!(
                "{MAIL}[defaults]\n{key} = {}\n[[workgroup]]\nname = \"a\"\n[[workgroup.limit]]\nwindow = \"1h\"\nlimit = \"1 GB\"",
                toml_value(example)
            );
            Policy::parse(&[document("a", &text)]).unwrap_or_else(|problems| panic!("{problems}"));
        }
    }
    for (key, property) in part(&["workgroup", "[]", "limit", "[]"])["properties"].as_object().unwrap() {
        for example in property["examples"].as_array().unwrap_or_else(|| panic!("{key} has no example")) {
            let window = if key == "window" { "" } else { "window = \"calendar day\"" };
            let amount = match key.as_str() {
                "limit" | "quota" => "",
                "buffer" | "share" => "quota = \"1 TB\"",
                _ => "limit = \"1 TB\"",
            };
            let text = format!(
                "{MAIL}[[workgroup]]\nname = \"a\"\n[[workgroup.limit]]\n{window}\n{amount}\n{key} = {}",
                toml_value(example)
            );
            Policy::parse(&[document("a", &text)]).unwrap_or_else(|problems| panic!("{problems}"));
        }
    }
}

fn pattern(path: &[&str], key: &str) -> String {
    part(path)["properties"][key]["pattern"].as_str().unwrap_or_else(|| panic!("{key} has no pattern")).to_owned()
}

/// An editor must not accept what the reader refuses for its form; being out of bounds is another matter.
#[test]
fn what_fits_a_pattern_has_the_right_form() {
    let limit = ["workgroup", "[]", "limit", "[]"];
    for key in ["limit", "quota"] {
        assert_eq!(pattern(&limit, key), pattern(&["workgroup", "[]"], "per_query_cutoff"));
    }
    for key in ["critical", "hysteresis", "buffer", "share"] {
        assert_eq!(pattern(&limit, key), pattern(&["defaults"], "warn"));
    }
    let mut runner = TestRunner::new(cases(512));
    let sizes = string_regex(pattern(&limit, "limit").trim_matches(['^', '$'])).unwrap();
    let of_a_size = runner.run(&sizes, |text| {
        let fits = matches!(text.parse::<Size>(), Ok(_) | Err(BadSize::Zero(_) | BadSize::TooLarge(_)));
        prop_assert!(fits, "{:?}", text);
        Ok(())
    });
    of_a_size.unwrap();
    let percents = string_regex(pattern(&limit, "warn").trim_matches(['^', '$'])).unwrap();
    let of_a_percent = runner.run(&percents, |text| {
        let number: f64 = text.trim().trim_end_matches('%').trim().parse().unwrap();
        prop_assert_eq!(text.parse::<Percent>().is_ok(), number <= 10_000.0, "{:?}", text);
        Ok(())
    });
    of_a_percent.unwrap();
    let names = string_regex(pattern(&["workgroup", "[]"], "name").trim_matches(['^', '$'])).unwrap();
    let of_a_name = runner.run(&names, |text| {
        prop_assert!(Pattern::parse(&text).is_ok(), "{:?}", text);
        Ok(())
    });
    of_a_name.unwrap();
}
