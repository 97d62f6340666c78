//! What must hold of the repository itself.

use std::collections::BTreeSet;
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
    use watchdog_core::submitter::{Reading, read_event};
    let read = |name: &str| {
        let text = fs::read_to_string(root().join("events").join(name)).unwrap();
        Invocation::parse(&serde_json::from_str(&text).unwrap())
    };
    assert_eq!(read("schedule-rule.json").unwrap().source, Source::Rule);
    assert_eq!(read("schedule-scheduler.json").unwrap().source, Source::Scheduler);
    assert!(read("dry-run.json").unwrap().dry_run);
    let text = fs::read_to_string(root().join("events/start-query-execution.json")).unwrap();
    let event = serde_json::from_str(&text).unwrap();
    let Some(Ok(Reading::Submitted(submission))) = read_event(&event) else { panic!("no submission") };
    assert_eq!(submission.query, "5e6f7a80-1b2c-4d3e-8f90-a1b2c3d4e5f6");
    assert_eq!(submission.principal.to_string(), "role/AWSReservedSSO_Analysts_0123456789abcdef/ann@example.com");
    let foreign = read("foreign-s3.json").unwrap_err().to_string();
    assert!(foreign.contains("a record of `aws:s3`"), "{foreign}");
}

fn template() -> String {
    fs::read_to_string(root().join("template.yaml")).unwrap()
}

/// The documents of the stack's default policy, with the parameters' values in their places.
fn default_policies() -> Vec<String> {
    let template = template();
    let (_, resource) = template.split_once("\n  DefaultPolicy:\n").unwrap();
    let (resource, _) = resource.split_once("\n  # -- ").unwrap();
    let blocks = resource.split("- |\n").skip(1).map(|block| {
        let lines = block.lines().take_while(|line| line.is_empty() || line.starts_with("            "));
        lines.map(|line| line.trim_start().to_owned() + "\n").collect::<String>()
    });
    let values = [
        ("${AWS::StackName}", "watchdog"),
        ("${SenderEmail}", "watchdog@example.com"),
        ("${Admins}", "ann@example.com\", \"bob@example.com"),
        ("${Domains}", "example.com\", \"example.org"),
        ("${TimeZone}", "Europe/Berlin"),
        ("${PredictableQuotaGB}", "9999999"),
        ("${FastQueryQuotaGB}", "1"),
        ("${LongQueryQuotaGB}", "9999999"),
        ("${ExploratoryQuotaGB}", "1000"),
        ("${AdHocQuotaGB}", "10"),
    ];
    blocks.map(|block| values.iter().fold(block, |text, (name, value)| text.replace(name, value))).collect()
}

#[test]
fn the_stacks_default_policy_is_valid_and_says_what_the_design_says() {
    use watchdog_core::policy::{Document, Policy, Who};
    let policies = default_policies();
    assert_eq!(policies.len(), 2, "one with the five workgroups, one without");
    let read = |text: &String| {
        assert!(!text.contains("${"), "a parameter without a value:\n{text}");
        assert!(text.len() < 4096, "more than a parameter of the Standard tier holds");
        Policy::parse(&[Document { name: "00-stack".to_owned(), text: text.clone() }]).unwrap()
    };
    let policies: Vec<Policy> = policies.iter().map(read).collect();
    let rule = |name: &str| policies[0].rule_for(name).unwrap();
    let limit = |name: &str| {
        let limit = &rule(name).limits[0];
        (limit.window.id(), limit.bytes.get())
    };
    let gb = 1_000_000_000;
    assert_eq!(limit("predictable"), ("1h".to_owned(), 10_999_998_900_000_000), "10 % on top");
    assert_eq!(limit("long-query"), ("24h".to_owned(), 2 * 9_999_999 * gb), "100 % on top");
    assert_eq!(limit("exploratory"), ("1h".to_owned(), 700 * gb), "70 %");
    assert_eq!(limit("ad-hoc"), ("1h".to_owned(), 10 * gb));
    assert!(rule("fast-query").limits.is_empty());
    let submitters = [Who::Submitters, Who::Admins];
    let told = &rule("exploratory").limits[0].audience;
    assert_eq!([&told.warn[..], &told.critical, &told.exhausted], [submitters.as_slice(); 3]);
    assert_eq!(rule("predictable").limits[0].audience.warn, [Who::Admins]);
    assert_eq!(rule("fast-query").per_query_cutoff.unwrap().bytes.get(), gb);
    assert!(policies[1].rule_for("whatever").is_some());
}

/// Every `service:Operation` that the code names in its failures is what it calls.
fn called() -> BTreeSet<String> {
    let mut called = BTreeSet::new();
    let mut files = Vec::new();
    rust_files(&root().join("crates/watchdog-aws/src"), &mut files);
    for path in files {
        for line in fs::read_to_string(path).unwrap().lines() {
            let line = line.strip_prefix("pub ").unwrap_or(line);
            let Some((_, value)) = line.split_once(": &str = \"").filter(|_| line.starts_with("const ")) else {
                continue;
            };
            let value = value.trim_end_matches("\";");
            let Some((service, operation)) = value.split_once(':') else { continue };
            if operation == "TransactWriteItems" {
                // IAM knows no such action: it asks for those of the parts.
                called.extend(["PutItem", "DeleteItem"].map(|part| format!("{service}:{part}")));
            } else {
                called.insert(value.to_owned());
            }
        }
    }
    called
}

#[test]
fn the_functions_role_allows_what_the_code_calls_and_nothing_else() {
    let template = template();
    let (_, role) = template.split_once("\n  FunctionRole:\n").unwrap();
    let (role, _) = role.split_once("\n  # The opt-in feed").unwrap();
    let ours = ["athena:", "cloudtrail:", "cloudwatch:", "dynamodb:", "iam:", "ses:", "ssm:"];
    let words = role.split_whitespace().filter(|word| ours.iter().any(|service| word.starts_with(service)));
    // Condition keys stand with a colon at their end.
    let allowed: BTreeSet<String> = words.filter(|word| !word.ends_with(':')).map(str::to_owned).collect();
    assert_eq!(allowed, called());
}

#[test]
fn the_stacks_alarms_name_metrics_that_the_function_writes() {
    let template = template();
    let log = fs::read_to_string(root().join("crates/watchdog-lambda/src/log.rs")).unwrap();
    let names: Vec<_> = template
        .split("Namespace: AthenaQuotaWatchdog")
        .skip(1)
        .map(|rest| rest.lines().find_map(|line| line.trim().strip_prefix("MetricName: ")).unwrap())
        .collect();
    assert!(names.len() >= 2, "{names:?}");
    for name in names {
        assert!(log.contains(&format!("\"{name}\"")), "`{name}`");
    }
}
