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
    rust_files(&root().join("tools"), &mut files);
    files.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// The function is linked without what unwinding needs, in the release profile: with another `panic` there a first one would end in nothing.
#[test]
fn what_is_linked_without_unwinding_does_not_unwind() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let (_, release) = manifest.split_once("\n[profile.release]\n").unwrap();
    let release = release.split("\n[").next().unwrap();
    assert!(release.lines().any(|line| line == r#"panic = "abort""#), "{release}");
    let script = fs::read_to_string(root().join("crates/watchdog-lambda/build.rs")).unwrap();
    assert!(script.contains(r#"var("PROFILE").as_deref() == Ok("release")"#), "no other profile is linked so");
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

/// The page is made from all of them, and what the README says of it stands there.
#[test]
fn the_page_of_faults_is_of_every_strike_and_the_readme_says_the_same() {
    let page = fs::read_to_string(root().join("docs/faults.md")).unwrap();
    let (_, stories) = page.split_once("what came of every strike: ").expect("`make faults` makes the page from all");
    let (stories, _) = stories.split_once(" stories").unwrap();
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(
        readme.contains(&format!(" {stories} stories of six runs")),
        "{stories} stories, and the README has another number"
    );
    let sums = page.lines().filter_map(|line| line.strip_prefix("| **all** | ")?.split_once(" | "));
    let sums: Vec<&str> = sums.map(|(_, found)| found).collect();
    assert_eq!(sums, ["0 | 0 | 0 | 0 | 0 | 0 |"; 2]);
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
    use watchdog_core::request::{Event, Request, Wish};
    use watchdog_core::submitter::{Reading, read_event};
    let read = |name: &str| {
        let text = fs::read_to_string(root().join("events").join(name)).unwrap();
        Invocation::parse(&serde_json::from_str(&text).unwrap())
    };
    assert_eq!(read("schedule-rule.json").unwrap().source, Source::Rule);
    assert_eq!(read("schedule-scheduler.json").unwrap().source, Source::Scheduler);
    assert!(read("dry-run.json").unwrap().dry_run);
    let promise = |name: &str| {
        let text = fs::read_to_string(root().join("events").join(name)).unwrap();
        Event::parse(&serde_json::from_str(&text).unwrap()).unwrap().unwrap()
    };
    assert_eq!(promise("list-promises.json"), Event::List);
    let Event::Signed(signed) = promise("grant.json") else { panic!("no request") };
    assert!(matches!(Request::parse(&signed.text).unwrap().wish, Wish::Grant { .. }));
    let sts = "https://sts.eu-central-1.amazonaws.com";
    let signed_at = "2026-03-01T14:01:00Z".parse().unwrap();
    watchdog_core::proof::Proof::parse(&signed.proof, sts, signed_at).unwrap();
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
    // The lines in quotation marks of the branch with granters, and what stands between them.
    let (_, joined) = template.split_once("\n            Grants: !If\n").unwrap();
    let (joined, _) = joined.split_once("\n              - \"\"\n").unwrap();
    let parts = joined.lines().skip(3).map(|line| line.trim().trim_start_matches("- ").trim_start_matches("- "));
    let granted: String = parts
        .map(|part| match part {
            "!Ref GrantHighestGB" => "5000".to_owned(),
            "!Join ['\", \"', !Split [\",\", !Ref Granters]]" => "role/admin\", \"user/deploy".to_owned(),
            quoted => serde_json::from_str(quoted).unwrap_or_else(|error| panic!("{quoted}: {error}")),
        })
        .collect();
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
        // What the template joins where there are granters.
        ("${Grants}", &granted),
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
    assert_eq!(rule("predictable").waiting.as_ref().unwrap().longest.as_secs(), 120);
    assert_eq!(rule("fast-query").per_query_cutoff.unwrap().bytes.get(), gb);
    assert!(policies[1].rule_for("whatever").is_some());
    let grants = policies[0].grants.as_ref().unwrap();
    assert_eq!((grants.workgroups.as_slice(), grants.granters.len()), (&["ad-hoc".to_owned()][..], 2));
    assert_eq!(grants.highest_limit.unwrap().bytes.get(), 5000 * gb);
    assert_eq!(policies[0].silences.as_ref().unwrap().never, ["exhausted"]);
}

#[test]
fn every_limit_of_the_default_policy_has_an_alarm_on_the_same_bytes_and_window() {
    use watchdog_core::policy::{Document, Policy};
    use watchdog_core::stack::Request;
    let text = default_policies().remove(0);
    // What the function answers to the stack's question, by attribute.
    let request = serde_json::json!({
        "RequestType": "Create", "RequestId": "1", "StackId": "s", "LogicalResourceId": "PolicyLimits", "ResponseURL": "u",
        "ResourceType": "Custom::PolicyLimits", "ResourceProperties": { "Policy": text },
    });
    let answer: serde_json::Value = serde_json::from_str(&Request::parse(&request).unwrap().answer().json()).unwrap();
    let given: BTreeSet<&str> = answer["Data"].as_object().unwrap().keys().map(String::as_str).collect();
    let policy = Policy::parse(&[Document { name: "00-stack".to_owned(), text }]).unwrap();
    let limits = policy.rules().iter().flat_map(|rule| rule.limits.iter().map(move |limit| (rule, limit)));
    let expected: BTreeSet<String> = limits
        .map(|(rule, limit)| {
            let hours: u32 = limit.window.id().trim_end_matches('h').parse().unwrap();
            format!("{} {}", rule.pattern.as_str(), hours * 3600)
        })
        .collect();
    let template = template();
    let mut alarmed = BTreeSet::new();
    let mut used = BTreeSet::new();
    for alarm in template.split("Namespace: AWS/Athena\n").skip(1) {
        let value = |key: &str| {
            let line = alarm.lines().find_map(|line| line.trim().strip_prefix(key));
            line.unwrap_or_else(|| panic!("an alarm without `{key}`")).trim_end_matches(" }").to_owned()
        };
        assert_eq!((value("MetricName: "), value("Statistic: ")), ("ProcessedBytes".to_owned(), "Sum".to_owned()));
        let workgroup = value("- { Name: WorkGroup, Value: ");
        let attribute = value("Threshold: !GetAtt PolicyLimits.");
        let letters: String = workgroup.chars().filter(char::is_ascii_alphanumeric).collect();
        assert!(attribute.starts_with(&letters), "the alarm on `{workgroup}` has the limit `{attribute}`");
        alarmed.insert(format!("{workgroup} {}", value("Period: ")));
        used.insert(attribute);
    }
    assert_eq!(alarmed, expected);
    assert_eq!(used.iter().map(String::as_str).collect::<BTreeSet<_>>(), given);
}

/// Every `service:Operation` that the code names in its failures is what it calls; that of the function, or that which only
/// the operator's tool has.
fn called(by_the_operator: bool) -> BTreeSet<String> {
    let mut called = BTreeSet::new();
    let mut files = Vec::new();
    rust_files(&root().join("crates/watchdog-aws/src"), &mut files);
    let operator = root().join("crates/watchdog-aws/src/operator");
    for path in files.into_iter().filter(|path| path.starts_with(&operator) == by_the_operator) {
        for line in fs::read_to_string(path).unwrap().lines() {
            let line = line.trim_start_matches("pub ").trim_start_matches("pub(crate) ");
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

/// The actions of the function's role: of the services that the function calls itself, and not of those that Lambda uses in its name.
pub fn allowed_by_the_role() -> BTreeSet<String> {
    let template = template();
    let (_, role) = template.split_once("\n  FunctionRole:\n").unwrap();
    let (role, _) = role.split_once("\n  # The opt-in feed").unwrap();
    let ours = ["athena:", "cloudtrail:", "cloudwatch:", "dynamodb:", "iam:", "servicequotas:", "ses:", "ssm:"];
    let words = role.split_whitespace().filter(|word| ours.iter().any(|service| word.starts_with(service)));
    // Condition keys stand with a colon at their end.
    words.filter(|word| !word.ends_with(':')).map(str::to_owned).collect()
}

#[test]
fn the_functions_role_allows_what_the_code_calls_and_nothing_else() {
    assert_eq!(allowed_by_the_role(), called(false));
}

/// What the operator's tool says that its commands need, against what the code calls.
#[test]
fn the_operators_permissions_are_for_what_the_code_calls_and_nothing_else() {
    use watchdog_aws::operator::permissions::{Command, Scope};
    let scope = Scope { region: "eu-central-1".to_owned(), stack: "watchdog".to_owned() };
    let needed = |command: Command| -> BTreeSet<String> {
        command.statements(&scope).into_iter().flat_map(|statement| statement.actions).collect()
    };
    let own = called(true);
    assert!(own.len() > 10, "{own:?}");
    let mut doctor = own.clone();
    let asks = ["cloudformation:ListStackResources", "lambda:InvokeFunction"].map(str::to_owned);
    assert_eq!(needed(Command::Grant), BTreeSet::from(asks));
    assert!(doctor.remove("lambda:InvokeFunction"), "only grants ask the function");
    // AWS lets everybody ask whose credentials these are.
    assert!(doctor.remove("sts:GetCallerIdentity"));
    // It writes nothing.
    assert!(doctor.remove("ssm:PutParameter"));
    // What it asks as a run does.
    doctor.extend(
        [
            "athena:GetWorkGroup",
            "athena:ListWorkGroups",
            "cloudwatch:ListMetrics",
            "dynamodb:Query",
            "ssm:GetParametersByPath",
        ]
        .map(str::to_owned),
    );
    assert_eq!(needed(Command::Doctor), doctor);
    // A rehearsal reads what a run reads, and writes and sends nothing.
    let of_a_run = called(false);
    let reads = |action: &&String| {
        ["Get", "List", "Query", "BatchGet", "Describe", "Lookup"]
            .iter()
            .any(|verb| action.split(':').nth(1).unwrap().starts_with(verb))
    };
    assert_eq!(needed(Command::Run), of_a_run.iter().filter(reads).cloned().collect());
    assert_eq!(needed(Command::Who), needed(Command::Run));
    // What a run reads beside what stands now: what it remembers, and whose queries it was.
    let without = |beside: &[&str]| -> BTreeSet<String> {
        let reads = of_a_run.iter().filter(reads);
        reads.filter(|action| !beside.iter().any(|b| action.starts_with(b))).cloned().collect()
    };
    let beside = ["dynamodb:", "cloudtrail:", "iam:", "athena:ListCapacity", "athena:GetCapacity"];
    // And which grants and silences there are, in the table that the stack names.
    let table = ["cloudformation:ListStackResources", "dynamodb:Query"].map(str::to_owned);
    let mut status = without(&beside);
    status.extend(table.clone());
    assert_eq!(needed(Command::Status), status);
    // A back-test reads the use of weeks in the place of a day, and nothing of what stands now.
    let now = ["servicequotas:", "athena:ListQueryExecutions", "athena:BatchGetQueryExecution"];
    assert_eq!(needed(Command::Backtest), without(&[&beside[..], &now].concat()));
    // A plan does as well, asks for the quotas and lists queries, and writes one document of the policy.
    let mut plan = without(&beside);
    plan.insert("ssm:PutParameter".to_owned());
    assert_eq!(needed(Command::Plan), plan);
    // A report reads the same, and whose queries it was.
    let mut report = needed(Command::Who);
    report.retain(|action| !action.starts_with("servicequotas:") && !action.contains("Capacity"));
    report.extend(table);
    assert_eq!(needed(Command::Report), report);
    assert!(needed(Command::Check).is_empty());
}

/// The artefact that ships neither compiles nor links what only the operator's tool needs.
#[test]
fn the_function_is_built_without_what_only_the_operator_needs() {
    let manifest = |name: &str| -> toml::Table {
        fs::read_to_string(root().join("crates").join(name).join("Cargo.toml")).unwrap().parse().unwrap()
    };
    let aws = manifest("watchdog-aws");
    let features = aws["features"].as_table().unwrap();
    assert_eq!(features.keys().collect::<Vec<_>>(), ["operator"], "no default feature brings it in");
    for enabled in features["operator"].as_array().unwrap() {
        let name = enabled.as_str().unwrap().strip_prefix("dep:").unwrap();
        assert_eq!(aws["dependencies"][name]["optional"], toml::Value::Boolean(true), "{name}");
    }
    let dependency = &manifest("watchdog-lambda")["dependencies"]["watchdog-aws"];
    assert_eq!(dependency.as_table().unwrap().keys().collect::<Vec<_>>(), ["workspace"], "no features");
    let all: toml::Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    assert!(all["workspace"]["dependencies"]["watchdog-aws"].get("features").is_none());
}

/// The checkup finds the stack's parts by their logical ids.
#[test]
fn the_checkup_knows_the_templates_resources() {
    let template = template();
    let mut files = Vec::new();
    rust_files(&root().join("crates/watchdog-core/src/checkup"), &mut files);
    files.push(root().join("crates/watchdog-aws/src/operator/survey.rs"));
    let mut found = 0;
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        for call in ["resource(state, \"", "stack.id(\"", "id(&stack, \"", "resources.get(\""] {
            for (_, rest) in text.match_indices(call).map(|(at, call)| text.split_at(at + call.len())) {
                let logical = rest.split('"').next().unwrap();
                found += 1;
                // SAM makes these of the function's event.
                let made =
                    ["FunctionRun", "FunctionRunRole"].contains(&logical) && template.contains("\n        Run:\n");
                assert!(made || template.contains(&format!("\n  {logical}:\n")), "`{logical}` of {}", path.display());
            }
        }
    }
    assert!(found >= 8, "{found}");
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

/// The stack's dashboard, as CloudFormation would fill it in: with the default workgroups or without.
fn dashboard(with_workgroups: bool) -> serde_json::Value {
    let template = template();
    let (_, resource) = template.split_once("\n  Dashboard:\n").unwrap();
    let (resource, _) = resource.split_once("\n  # -- ").unwrap();
    let mut blocks = resource.split("|\n").skip(1).map(|block| {
        let lines = block.lines().take_while(|line| line.trim_start().starts_with(['{', '$', ']']));
        lines.map(|line| line.trim_start()).collect::<Vec<_>>().join("\n")
    });
    let whole = blocks.next().unwrap();
    let usage = blocks.nth(usize::from(!with_workgroups)).unwrap();
    let mut text = whole.replace("${Usage}", &usage).replace("${Function}", "fn").replace("${LogGroup}", "log");
    for (name, value) in [("${AWS::Region}", "eu-central-1"), ("${AWS::StackName}", "watchdog")] {
        text = text.replace(name, value);
    }
    for attribute in ["predictable1h", "longquery24h", "exploratory1h", "adhoc1h"] {
        text = text.replace(&format!("${{PolicyLimits.{attribute}}}"), "700000000000");
    }
    assert!(!text.contains("${"), "something that nothing fills in:\n{text}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}:\n{text}"))
}

#[test]
fn the_dashboard_shows_metrics_that_the_function_and_athena_write() {
    let log = fs::read_to_string(root().join("crates/watchdog-lambda/src/log.rs")).unwrap();
    for with_workgroups in [true, false] {
        let dashboard = dashboard(with_workgroups);
        let widgets = dashboard["widgets"].as_array().unwrap();
        let mut own = BTreeSet::new();
        let mut limited = BTreeSet::new();
        for widget in widgets.iter().filter(|widget| widget["type"] == "metric") {
            for metric in widget["properties"]["metrics"].as_array().unwrap() {
                match (metric[0].as_str(), metric[1].as_str().unwrap_or_default()) {
                    (Some("AthenaQuotaWatchdog"), name) => {
                        assert!(log.contains(&format!("\"{name}\"")), "the function writes no `{name}`");
                        assert_eq!((&metric[2], &metric[3]), (&"FunctionName".into(), &"fn".into()));
                        own.insert(name.to_owned());
                    }
                    (Some("AWS/Athena"), name) => {
                        assert_eq!((name, &metric[2]), ("ProcessedBytes", &"WorkGroup".into()));
                        let limit = &widget["properties"]["annotations"]["horizontal"][0];
                        assert!(limit["value"].is_u64(), "{widget}");
                        limited.insert(metric[3].as_str().unwrap().to_owned());
                    }
                    (Some(namespace), _) => assert_eq!(namespace, "AWS/Lambda"),
                    (None, _) => assert!(metric[0]["expression"].as_str().unwrap().contains("AWS/Athena"), "{metric}"),
                }
            }
        }
        let all = ["CompletedRuns", "MailsFailed", "MailsSent", "UnknownLimits"].map(str::to_owned);
        assert_eq!(own, BTreeSet::from(all));
        let names = ["ad-hoc", "exploratory", "long-query", "predictable"].map(str::to_owned);
        assert_eq!(limited, if with_workgroups { BTreeSet::from(names) } else { BTreeSet::new() });
        // Nothing lies on anything else.
        let mut taken = BTreeSet::new();
        for widget in widgets {
            let n = |key: &str| widget[key].as_u64().unwrap();
            for (x, y) in
                (n("x")..n("x") + n("width")).flat_map(|x| (n("y")..n("y") + n("height")).map(move |y| (x, y)))
            {
                assert!(x < 24 && taken.insert((x, y)), "{widget}");
            }
        }
    }
}

/// The table of limits reads what each run logs, by the names under which it is logged.
#[test]
fn the_dashboards_table_reads_what_runs_log() {
    let log = fs::read_to_string(root().join("crates/watchdog-lambda/src/log.rs")).unwrap();
    assert!(log.contains("\"message\": \"run\"") && log.contains("\"report\": bounded(report)"));
    let report = fs::read_to_string(root().join("crates/watchdog-core/src/report.rs")).unwrap();
    let fields = |name: &str| {
        let (_, body) = report.split_once(&format!("\npub struct {name} {{\n")).unwrap();
        let lines = body.lines().take_while(|line| *line != "}");
        let names =
            lines.filter_map(|line| line.trim_start().strip_prefix("pub ")?.split_once(": ")).map(|(name, _)| name);
        names.map(str::to_owned).collect::<BTreeSet<_>>()
    };
    assert!(fields("RunReport").contains("limits"));
    let known = fields("LimitReport");
    for with_workgroups in [true, false] {
        let dashboard = dashboard(with_workgroups);
        let tables: Vec<_> =
            dashboard["widgets"].as_array().unwrap().iter().filter(|widget| widget["type"] == "log").collect();
        assert_eq!(tables.len(), 1);
        let query = tables[0]["properties"]["query"].as_str().unwrap();
        let begin = "SOURCE 'log' | filter message = \"run\" | fields jsonParse(@message) as run | unnest run.report.limits into one | ";
        let rest = query.strip_prefix(begin).unwrap_or_else(|| panic!("{query}"));
        let is_letter = |c: char| c.is_ascii_lowercase() || c == '_';
        let read: BTreeSet<_> =
            rest.split("one.").skip(1).map(|word| word.split(|c| !is_letter(c)).next().unwrap().to_owned()).collect();
        assert_eq!(read.len(), 5, "{read:?}");
        assert!(read.is_subset(&known), "{read:?} of {known:?}");
    }
}

/// A limit in the dashboard is that of its own workgroup.
#[test]
fn the_dashboards_limits_stand_beside_their_own_workgroups() {
    let template = template();
    let (_, resource) = template.split_once("\n  Dashboard:\n").unwrap();
    let lines = resource.lines().filter(|line| line.contains("\"annotations\""));
    let mut found = 0;
    for line in lines {
        let between = |from: &str, to: &str| line.split(from).nth(1).unwrap().split(to).next().unwrap().to_owned();
        let workgroup = between("\"WorkGroup\", \"", "\"");
        let letters: String = workgroup.chars().filter(char::is_ascii_alphanumeric).collect();
        let hours = between("\"period\": ", ",").parse::<u32>().unwrap() / 3600;
        assert_eq!(between("${PolicyLimits.", "}"), format!("{letters}{hours}h"));
        found += 1;
    }
    assert_eq!(found, 4);
}

/// The code map's rows: the core's modules, all of them, in the order in which `lib.rs` has them.
#[test]
fn the_code_map_names_the_cores_modules_in_their_order() {
    let library = fs::read_to_string(root().join("crates/watchdog-core/src/lib.rs")).unwrap();
    let modules: Vec<&str> =
        library.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    assert_eq!(modules.len(), library.matches("mod ").count(), "a module that this does not read");
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (_, table) = page.split_once("\n| module | what it knows |\n|---|---|\n").unwrap();
    let rows = table.lines().take_while(|line| line.starts_with('|'));
    let named: Vec<&str> = rows
        .flat_map(|row| row.split('|').nth(1).unwrap().split(", ").map(|name| name.trim().trim_matches('`')))
        .collect();
    assert_eq!(named, modules);
}

/// What the README says that a month costs is what `watchdog cost` says.
#[test]
fn the_readme_has_the_costs_that_are_computed() {
    use watchdog_core::cost::{Prices, Setup, month};
    let page = fs::read_to_string(root().join("README.md")).unwrap();
    let head =
        "| workgroups | every minute | every 5 minutes | every 15 minutes | alarms instead |\n|---|---|---|---|---|\n";
    let (_, table) = page.split_once(head).unwrap();
    let rows: Vec<&str> = table.lines().take_while(|line| line.starts_with('|')).collect();
    let computed = [(5, "5"), (100, "100"), (1000, "1,000")].map(|(workgroups, name)| {
        // The tool's own defaults: two limits a workgroup, a hundred mails.
        let months = [1, 5, 15].map(|every_minutes| {
            month(Setup { workgroups, limits: 2, every_minutes, mails: 100, asked_percent: 100 }, &Prices::default())
        });
        let [one, five, fifteen] = months.map(|month| month.usd);
        format!("| {name} | {one:.2} | {five:.2} | {fifteen:.2} | {:.2} |", months[0].alarms_usd)
    });
    assert_eq!(rows, computed);
}

/// Nobody comes to read what the watchdog keeps, or to hear its alarms, by the policies that the stack has for people.
#[test]
fn the_policies_for_people_allow_nothing_of_what_the_watchdog_keeps() {
    let template = template();
    let (_, policies) = template.split_once("\n  # -- The right to use a workgroup").unwrap();
    let (policies, _) = policies.split_once("\nOutputs:\n").unwrap();
    let (mut allows, mut denies) = (BTreeSet::new(), BTreeSet::new());
    let mut is_allowed = true;
    for line in policies.lines().map(str::trim) {
        if let Some((_, effect)) = line.split_once("Effect: ") {
            is_allowed = effect == "Allow";
        }
        let word = line.trim_start_matches("Action: ").trim_start_matches("- ");
        let Some((service, action)) = word.split_once(':') else { continue };
        let is_action = service.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
            && action.starts_with(|c: char| c.is_ascii_uppercase() || c == '*');
        if is_action {
            if is_allowed { &mut allows } else { &mut denies }.insert(service.to_owned());
        }
    }
    assert!(denies.contains("dynamodb") && denies.contains("ssm"), "{denies:?}");
    assert_eq!(allows, ["athena", "glue", "lakeformation", "lambda", "s3"].map(str::to_owned).into());
}
