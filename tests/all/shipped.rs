//! The artefact as it ships: deployed with the stack and fired by its schedule, and under the emulator that `sam local` uses.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use jiff::{SignedDuration, Timestamp};
use mail_parser::{HeaderValue, MessageParser};
use serde_json::{Value, json};
use watchdog_aws::clients::Clients;
use watchdog_aws::dynamodb::Table;
use watchdog_aws::operator::{Operator, survey};
use watchdog_core::checkup::{Outcome, Severity, checkup};
use watchdog_tests::{Account, POLICY_PATH, TABLE};

/// The largest artefact that is put up with, everything included: a bound against growth unseen. Lambda takes 250 MB; but what is loaded is
/// read first, and a start that waits for it is the slowest part of a run.
const LARGEST: u64 = 10_000_000;

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("`{name}` is not set: this test is run by `make test`"))
}

fn read_event(name: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../events").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// A request to the local AWS, signed as the stack's account.
fn signed(service: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Value {
    let (endpoint, region) = (variable("AWS_ENDPOINT_URL"), variable("AWS_REGION"));
    let url = format!("{endpoint}{path}");
    let key = variable("AWS_ACCESS_KEY_ID");
    let identity = Credentials::new(key, variable("AWS_SECRET_ACCESS_KEY"), None, None, "test").into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(&region)
        .name(service)
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .unwrap()
        .into();
    let signable =
        SignableRequest::new("POST", &url, headers.iter().copied(), SignableBody::Bytes(body.as_bytes())).unwrap();
    let (instructions, _) = sign(signable, &parameters).unwrap().into_parts();
    let mut request = ureq::post(&url);
    for (name, value) in headers.iter().copied().chain(instructions.headers()) {
        request = request.header(name, value);
    }
    let mut answer = request.send(body).unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

fn invoke(kind: &str, event: &Value) -> Value {
    let path = format!("/2015-03-31/functions/{}/invocations", variable("WATCHDOG_FUNCTION"));
    signed("lambda", &path, &[("x-amz-invocation-type", kind)], &event.to_string())
}

/// Asks again and again until there is an answer.
async fn wait_for<T>(what: &str, at_most: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(start.elapsed() < at_most, "no {what} after {at_most:?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

struct Received {
    subject: String,
    references: String,
    text: String,
    html: String,
    raw: String,
}

/// The mails that were delivered to an address.
fn mails_to(address: &str) -> Vec<Received> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(variable("WATCHDOG_MAILS")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "eml") {
            continue;
        }
        let raw = std::fs::read(path).unwrap();
        let Some(mail) = MessageParser::new().parse(&raw) else { continue };
        let to = mail.to().and_then(|to| to.first()).and_then(|to| to.address());
        if to == Some(address) {
            found.push(Received {
                subject: mail.subject().unwrap_or_default().to_owned(),
                references: match mail.references() {
                    HeaderValue::Text(one) => one.to_string(),
                    HeaderValue::TextList(many) => many.join(" "),
                    _ => String::new(),
                },
                text: mail.body_text(0).unwrap_or_default().into_owned(),
                html: mail.body_html(0).unwrap_or_default().into_owned(),
                raw: String::from_utf8_lossy(&raw).into_owned(),
            });
        }
    }
    found
}

#[tokio::test]
async fn the_schedule_fires_and_the_admins_are_mailed_before_the_limit_is_gone() {
    let clients = Clients::from_env();
    let put = |bytes: f64| {
        let dimension = aws_sdk_cloudwatch::types::Dimension::builder().name("WorkGroup").value("exploratory").build();
        let datum =
            aws_sdk_cloudwatch::types::MetricDatum::builder().metric_name("ProcessedBytes").dimensions(dimension);
        let put = clients.cloudwatch.put_metric_data().namespace("AWS/Athena");
        put.metric_data(datum.value(bytes).build()).send()
    };
    // The stack's limit: 70 % of 1000 GB.
    put(600e9).await.unwrap();
    let arrived = |address: &'static str, words: &'static str| {
        move || mails_to(address).into_iter().find(|mail| mail.subject.contains(words))
    };
    let fire = Duration::from_secs(180);
    let warned = wait_for("warning", fire, arrived("ann@example.com", "[warn] exploratory: 85 % of 700 GB")).await;
    wait_for("warning to the second admin", fire, arrived("bob@example.com", "[warn] exploratory")).await;
    // In HTML a number stays with its unit by a space of another kind.
    for part in [warned.text.clone(), warned.html.replace('\u{a0}', " ").replace("&nbsp;", " ")] {
        assert!(part.contains("600 GB") && part.contains("700,000,000,000 bytes"), "{part}");
    }
    assert!(warned.raw.contains("Auto-Submitted: auto-generated"));

    put(120e9).await.unwrap();
    let gone =
        wait_for("escalation", fire, arrived("ann@example.com", "[exhausted] exploratory: 102 % of 700 GB")).await;
    assert_eq!(gone.references, warned.references, "both belong to one conversation");
    assert!(gone.references.contains("limit-exploratory-1h."));
    // Nobody was told twice.
    assert_eq!(mails_to("ann@example.com").iter().filter(|m| m.subject.contains("of 700 GB")).count(), 2);
}

#[tokio::test]
async fn the_deployed_function_answers_with_a_run_report() {
    let report = invoke("RequestResponse", &read_event("dry-run.json"));
    assert_eq!(report["dry_run"], true, "{report}");
    let windows: Vec<String> = report["limits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|limit| {
            for field in ["level", "reason", "used_bytes", "limit_bytes", "as_of"] {
                assert!(!limit[field].is_null(), "`{field}` in {limit}");
            }
            format!("{}/{}", limit["workgroup"].as_str().unwrap(), limit["window"].as_str().unwrap())
        })
        .collect();
    assert_eq!(windows, ["ad-hoc/1h", "exploratory/1h", "long-query/24h", "predictable/1h"]);
    assert!(report["uncovered"].as_array().unwrap().contains(&json!("primary")));
    let foreign = invoke("RequestResponse", &read_event("foreign-s3.json"));
    assert_eq!(foreign["errorType"], "ForeignEvent", "{foreign}");
}

#[tokio::test]
async fn an_event_that_fails_for_good_ends_in_the_dead_letter_queue() {
    invoke("Event", &read_event("foreign-s3.json"));
    let url = variable("WATCHDOG_DEAD_LETTER_QUEUE");
    let body = json!({ "QueueUrl": url, "WaitTimeSeconds": 1 }).to_string();
    let headers = [("x-amz-target", "AmazonSQS.ReceiveMessage"), ("content-type", "application/x-amz-json-1.0")];
    let message = wait_for("dead letter", Duration::from_secs(60), || {
        let answer = signed("sqs", "/", &headers, &body);
        answer["Messages"][0]["Body"].as_str().map(str::to_owned)
    })
    .await;
    assert!(message.contains("aws:s3"), "{message}");
}

/// The stack as it was deployed is what the checkup takes for healthy, beside what the local AWS cannot know.
#[tokio::test]
async fn the_checkup_finds_nothing_to_mend_in_the_stack_as_deployed() {
    let loader = aws_config::defaults(aws_config::BehaviorVersion::v2026_01_12());
    let operator = Operator::new(&watchdog_aws::clients::config(loader).await);
    let stack = variable("WATCHDOG_STACK");
    let start = Instant::now();
    let checkup = loop {
        let now = Timestamp::now();
        let checkup = checkup(&survey(&operator, &stack, None, now).await.unwrap());
        let last_run = checkup.checks.iter().find(|check| check.id == "last run").unwrap();
        // The first run comes with the schedule.
        if last_run.outcome() == Outcome::Fine {
            break checkup;
        }
        assert!(start.elapsed() < Duration::from_secs(180), "{last_run:#?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    for check in &checkup.checks {
        let faults: Vec<_> = check.findings.iter().filter(|finding| finding.severity != Severity::Note).collect();
        match check.id {
            // The local AWS has no `GetAccountSendingEnabled`.
            "sending" => assert!(faults.is_empty(), "{check:#?}"),
            // Other tests let a run fail on purpose, before or after this one.
            "function" => assert!(faults.len() <= 1 && check.blind.is_empty(), "{check:#?}"),
            // Nobody is there to confirm a subscription by mail.
            "alarm topic" => assert!(faults.len() <= 1 && check.blind.is_empty(), "{check:#?}"),
            _ => assert!(faults.is_empty() && check.blind.is_empty(), "{check:#?}"),
        }
    }
}

/// The function under the Runtime Interface Emulator, as `sam local invoke` runs it.
struct Emulator {
    process: Child,
    address: String,
}

impl Emulator {
    fn start(account: &Account) -> Self {
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let (address, api) = (free(), free());
        let mut process = Command::new(variable("WATCHDOG_RIE"))
            .args(["--runtime-interface-emulator-address", &address, "--runtime-api-address", &api])
            .arg(variable("WATCHDOG_BOOTSTRAP"))
            .envs([
                ("AWS_LAMBDA_FUNCTION_NAME", "watchdog"),
                ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
                ("AWS_LAMBDA_FUNCTION_TIMEOUT", "60"),
                ("AWS_SESSION_TOKEN", "test"),
                ("AWS_ACCESS_KEY_ID", &account.number),
                ("POLICY_PATH", POLICY_PATH),
                ("STATE_TABLE", TABLE),
                ("WATCHDOG_NAME", "watchdog"),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Read to the end in the background, or the emulator would stop at a full pipe.
        let errors = BufReader::new(process.stderr.take().unwrap());
        std::thread::spawn(move || errors.lines().for_each(drop));
        Self { process, address }
    }

    async fn invoke(&self, event: &Value) -> Value {
        let url = format!("http://{}/2015-03-31/functions/function/invocations", self.address);
        let ask = || ureq::post(&url).send(event.to_string()).ok().and_then(|mut a| a.body_mut().read_json().ok());
        wait_for("answer of the emulator", Duration::from_secs(20), ask).await
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const POLICY: &str = r#"
[mail]
sender = "watchdog@example.com"
admins = ["rie@example.com"]
allowed_domains = ["example.com"]
[[workgroup]]
name = "*"
[[workgroup.limit]]
window = "1h"
limit = "1 GB"
"#;

#[tokio::test]
async fn every_event_in_the_repository_gets_its_answer_under_the_emulator() {
    let account = Account::new("under the emulator").await;
    account.policy("00-test", POLICY).await;
    account.workgroup("team", true).await;
    account.metrics("primary", true).await;
    let emulator = Emulator::start(&account);
    let dry = emulator.invoke(&read_event("dry-run.json")).await;
    assert_eq!((&dry["source"], &dry["limits"][1]["level"]), (&json!("person"), &json!("ok")), "{dry}");
    let foreign = emulator.invoke(&read_event("foreign-s3.json")).await;
    assert_eq!(foreign["errorType"], "ForeignEvent", "{foreign}");
    // As recorded they are long past, which makes them a wish to run now.
    let rule = emulator.invoke(&read_event("schedule-rule.json")).await;
    assert_eq!((&rule["source"], &rule["tick"]["timing"]), (&json!("rule"), &json!("too_old")), "{rule}");
    // With a time of today they are judged at it.
    let mut scheduler = read_event("schedule-scheduler.json");
    assert_eq!(scheduler["detail"], "{}", "a string, as EventBridge Scheduler sends it");
    let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap() + SignedDuration::from_secs(1);
    scheduler["time"] = json!(now);
    let report = emulator.invoke(&scheduler).await;
    assert_eq!((&report["source"], &report["as_of"]), (&json!("scheduler"), &json!(now)), "{report}");
    assert!(report["calls"]["dynamodb:UpdateItem"].as_u64().unwrap() >= 2);
    // The feed of submitters: written down, and not taken for a run.
    let mut fed = read_event("start-query-execution.json");
    let query = fed["detail"]["responseElements"]["queryExecutionId"].as_str().unwrap().to_owned();
    assert_eq!(emulator.invoke(&fed).await, json!({ "remembered": query }));
    let table = Table { client: account.clients.dynamodb.clone(), name: TABLE.to_owned() };
    let mut found = BTreeMap::new();
    table.submissions(&[query.clone()].into(), &mut found).await.unwrap();
    assert!(found.contains_key(&query), "{found:?}");
    // A call that was refused made no query; it is passed over, and is no failure that EventBridge would repeat.
    fed["detail"]["responseElements"] = json!(null);
    let passed = emulator.invoke(&fed).await;
    assert!(passed["passed_over"].as_str().unwrap().contains("no query"), "{passed}");
    // The same event again is answered without another look.
    let again = emulator.invoke(&scheduler).await;
    assert!(again["skipped"].as_str().unwrap().contains("judged already"), "{again}");
}

#[test]
fn the_artefact_is_small_and_runs_on_lambdas_glibc() {
    let path = variable("WATCHDOG_BOOTSTRAP");
    let size = std::fs::metadata(&path).unwrap().len();
    assert!(size <= LARGEST, "{size} bytes");
    let output =
        Command::new("objdump").args(["-T", &path]).output().expect("objdump comes with the C compiler's binutils");
    let symbols = String::from_utf8_lossy(&output.stdout);
    let versions = symbols.split("GLIBC_").skip(1).filter_map(|rest| {
        let (major, minor) = rest.split(|c: char| c != '.' && !c.is_ascii_digit()).next()?.split_once('.')?;
        Some((major.parse::<u32>().ok()?, minor.split('.').next()?.parse::<u32>().ok()?))
    });
    let newest = versions.max().expect("a dynamically linked artefact names its glibc versions");
    eprintln!("artefact: {size} bytes, newest symbol GLIBC_{}.{}", newest.0, newest.1);
    assert!(newest <= (2, 34), "GLIBC_{}.{}: `provided.al2023` has 2.34", newest.0, newest.1);
}
