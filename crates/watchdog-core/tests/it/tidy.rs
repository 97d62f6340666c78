//! What must be so of the crate as a whole, and what must be absent from it.

use std::fs;
use std::path::{Path, PathBuf};

/// The core's dependencies, each with its reason. A new one is a decision: it ends up in the function, the tool and the
/// back-test, and it must bring no async, no AWS, no clock and no environment.
const ALLOWED: [(&str, &str); 12] = [
    ("askama", "the mail's templates, checked at compile time"),
    ("base64", "a mail's pictures inside a page of its own; lettre brings it in already"),
    ("bytesize", "units of sizes"),
    ("crc32fast", "a picture's check sums; the SDK brings it in already"),
    ("jiff", "instants, zones and lengths of time; its zones are bundled"),
    ("lettre", "MIME; its transports are switched off"),
    ("miniz_oxide", "a picture's compression; the SDK brings it in already, for its requests"),
    ("schemars", "the policy's JSON Schema"),
    ("serde", "what is remembered and reported"),
    ("serde_json", "the same, and events"),
    ("thiserror", "errors with words"),
    ("toml", "policies, with the place of each value"),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every Rust file below `folder`.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = read(&path);
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "{folder} has no sources: this test would prove nothing");
    found
}

/// A file's lines without its tests and comments.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let end = text.find("#[cfg(test)]").unwrap_or(text.len());
    text[..end].lines().enumerate().map(|(i, line)| (i + 1, line.split("//").next().unwrap_or("")))
}

#[test]
fn dependencies_are_the_allowed_ones() {
    let manifest: toml::Table = read(&root().join("Cargo.toml")).parse().unwrap();
    let dependencies: Vec<&str> = manifest["dependencies"].as_table().unwrap().keys().map(String::as_str).collect();
    let allowed: Vec<&str> = ALLOWED.iter().map(|(name, _)| *name).collect();
    assert_eq!(dependencies, allowed);
    assert!(!manifest.contains_key("target") && !manifest.contains_key("build-dependencies"));
}

/// lettre's transports, jiff's system zones and clock would come in by a feature, not by a name.
#[test]
fn dependencies_come_without_their_defaults_where_these_reach_outside() {
    let manifest: toml::Table = read(&root().join("../../Cargo.toml")).parse().unwrap();
    let all = manifest["workspace"]["dependencies"].as_table().unwrap();
    let features = |name: &str| -> Vec<String> {
        let one = all[name].as_table().unwrap();
        assert_eq!(one.get("default-features"), Some(&toml::Value::Boolean(false)), "{name}");
        one["features"].as_array().unwrap().iter().map(|f| f.as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(features("lettre"), ["builder"]);
    let jiff = features("jiff");
    assert!(jiff.contains(&"tzdb-bundle-always".to_owned()), "{jiff:?}");
    assert!(!jiff.iter().any(|f| f.contains("system") || f.contains("zoneinfo")), "{jiff:?}");
}

#[test]
fn nothing_waits_asks_aws_or_looks_around() {
    let banned = [
        "async ",
        ".await",
        "tokio",
        "aws_",
        "futures",
        "SystemTime::now",
        "Instant::now",
        "Timestamp::now",
        "ZonedDateTime::now",
        "std::env",
        "env!(",
        "std::fs",
        "std::net",
        "std::thread",
        "std::process",
        "rand",
        "unsafe",
    ];
    for (path, text) in sources("src") {
        for (line, code) in code(&text) {
            for word in banned {
                let found = code.find(word).filter(|at| {
                    !code[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_') || word.starts_with('.')
                });
                assert!(found.is_none(), "{}:{line}: `{word}` has no place in the core", path.display());
            }
        }
    }
}

/// "Modules declared in the order of the flow; each imports only from those above it."
#[test]
fn modules_import_only_from_those_above_them() {
    let lib = read(&root().join("src/lib.rs"));
    let order: Vec<&str> = lib
        .lines()
        .filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';'))
        .collect();
    assert!(order.len() > 10, "{order:?}");
    for (path, text) in sources("src") {
        let inside = path.strip_prefix(root().join("src")).unwrap();
        let module = inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        if module == "lib" {
            continue;
        }
        let here = order.iter().position(|m| *m == module).unwrap_or_else(|| panic!("`{module}` is not in lib.rs"));
        for (line, code) in code(&text) {
            for used in code.match_indices("crate::").map(|(at, word)| &code[at + word.len()..]) {
                let used = used.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("");
                let there = order.iter().position(|m| *m == used);
                assert!(
                    there.is_some_and(|there| there < here || used == module),
                    "{}:{line}: `{module}` imports from `{used}`, which does not stand above it in lib.rs",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn no_test_is_switched_off() {
    let ignore = concat!("#[", "ignore");
    for (path, text) in sources("src").into_iter().chain(sources("tests")) {
        assert!(!text.contains(ignore), "{}", path.display());
    }
}
