//! What must hold of the repository itself.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn rust_files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    rust_files(&root().join("crates"), &mut files);
    rust_files(&root().join("tests"), &mut files);
    files.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn no_test_is_ignored_and_nothing_is_left_to_do() {
    // Put together here, so that this file does not find itself.
    let forbidden =
        [["#[ig", "nore"], ["to", "do!("], ["unimpl", "emented!("], ["FIX", "ME"]].map(|parts| parts.concat());
    for (path, text) in sources() {
        for word in &forbidden {
            assert!(!text.contains(word.as_str()), "{}: `{word}`", path.display());
        }
    }
}

#[test]
fn crates_depend_in_one_direction_only() {
    let allowed: [(&str, &[&str]); 4] = [
        ("watchdog-core", &[]),
        ("watchdog-aws", &["watchdog-core"]),
        ("watchdog-lambda", &["watchdog-aws", "watchdog-core"]),
        ("watchdog-cli", &["watchdog-aws", "watchdog-core"]),
    ];
    for (name, may) in allowed {
        let manifest = fs::read_to_string(root().join("crates").join(name).join("Cargo.toml")).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        let dependencies = manifest["dependencies"].as_table().unwrap();
        let ours: Vec<&str> = dependencies.keys().map(String::as_str).filter(|d| d.starts_with("watchdog-")).collect();
        assert_eq!(ours, may, "{name}");
    }
}

#[test]
fn every_event_in_the_repository_is_what_its_name_says() {
    use watchdog_core::event::{Invocation, Source};
    let read = |name: &str| {
        let text = fs::read_to_string(root().join("events").join(name)).unwrap();
        Invocation::parse(&serde_json::from_str(&text).unwrap())
    };
    assert_eq!(read("schedule-rule.json").unwrap().source, Source::Rule);
    assert_eq!(read("schedule-scheduler.json").unwrap().source, Source::Scheduler);
    assert!(read("dry-run.json").unwrap().dry_run);
    let foreign = read("foreign-s3.json").unwrap_err().to_string();
    assert!(foreign.contains("a record of `aws:s3`"), "{foreign}");
}
