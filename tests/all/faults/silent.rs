//! What must never be seen: texts of queries, credentials, and AWS's answers as they are, in the log, in errors and in the function's answer.
//!
//! The handler that ships writes its own log at the lowest level there is, while each operation fails in each way once.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use lambda_runtime::{Diagnostic, LambdaEvent};
use serde_json::Value;
use tracing::Level;
use watchdog_lambda::log;

use super::aws::{Fault, SECRET, Strike, TOKEN};
use super::{Stage, people, scheduled};

/// What is planted: in queries and CloudTrail's records, in every answer and in those that cannot be read, and as credentials.
const PLANTED: [&str; 5] = ["planted-sql", "planted-answer", SECRET, TOKEN, "AKIAPLANTED"];

/// Everything that was written.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("paper").extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Paper {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("paper")).into_owned()
    }
}

/// Handles an event as Lambda has it handled: what the caller reads.
async fn answer(stage: &mut Stage, event: Value, now: Timestamp) -> String {
    let event = LambdaEvent::new(event, stage.context(now));
    let death = stage.world.lock().expect("a world").death.clone();
    tokio::select! {
        answer = stage.function.handle_at(event, now) => match answer {
            Ok(reply) => serde_json::to_string(&reply).expect("JSON"),
            Err(failure) => {
                let Diagnostic { error_type, error_message } = failure.into();
                format!("{error_type}: {error_message}")
            }
        },
        () = death.notified() => String::new(),
    }
}

/// The story to its third run, the last of which is struck; the log, and what callers read.
async fn told(strike: Option<Strike>, paper: &Paper) -> (Stage, String) {
    let mut stage = people::stage().await;
    stage.world.lock().expect("a world").planted = Some("planted-answer".to_owned());
    let mut answers = String::new();
    for run in 0..3 {
        let (tick, now) = stage.set(run, 2, strike.clone().filter(|_| run == 2));
        if run == 2 {
            // Everything is asked once more, as after a cold start.
            stage.begin_anew().await;
        }
        answers += &answer(&mut stage, scheduled(tick), now).await;
    }
    let feed: Value = serde_json::from_str(include_str!("../../../events/start-query-execution.json")).expect("JSON");
    let feed = feed.to_string().replace("HIDDEN_DUE_TO_SECURITY_REASONS", "SELECT 'planted-sql'");
    let now = stage.begin + SignedDuration::from_mins(11);
    for event in [
        serde_json::from_str(&feed).expect("JSON"),
        serde_json::json!({ "request": "{\"planted\":1}", "proof": format!("https://sts.example/?X-Amz-Security-Token={TOKEN}") }),
        serde_json::json!({ "source": "planted", "detail": "SELECT 'planted-sql'" }),
    ] {
        answers += &answer(&mut stage, event, now).await;
    }
    assert!(!paper.text().is_empty(), "nothing was logged");
    (stage, answers)
}

#[tokio::test(start_paused = true)]
async fn nothing_secret_is_in_the_log_or_in_an_answer_whatever_fails() {
    let paper = Paper::default();
    let writer = paper.clone();
    let _guard = tracing::subscriber::set_default(log::subscriber(Level::TRACE, move || writer.clone()));
    // Seen where they may be: the text of a query in a mail to its submitter. So the planting is real.
    let (stage, mut answers) = told(None, &paper).await;
    let calls = {
        let world = stage.world.lock().expect("a world");
        let mails: Vec<String> =
            world.mailed.iter().map(|mail| String::from_utf8_lossy(&mail.raw).into_owned()).collect();
        assert!(mails.iter().any(|mail| mail.contains("planted-sql")), "{mails:#?}");
        assert!(!mails.iter().any(|mail| mail.contains("planted-answer") || mail.contains(TOKEN)));
        let kept = world.items.values().map(|item| Value::Object(item.clone()).to_string()).collect::<Vec<_>>();
        assert!(kept.iter().any(|item| item.contains("alert#")), "nothing is remembered");
        for planted in PLANTED {
            assert!(!kept.iter().any(|item| item.contains(planted)), "`{planted}` is in the table");
        }
        world.of_run.clone()
    };
    let mut first = BTreeMap::new();
    for (call, operation) in calls.iter().enumerate() {
        first.entry(operation.clone()).or_insert(call);
    }
    assert!(first.len() > 12, "{first:?}");
    for call in first.values() {
        for fault in Fault::ALL {
            answers += &told(Some(Strike { call: *call, fault, lasting: true }), &paper).await.1;
        }
    }
    let log = paper.text();
    for planted in PLANTED {
        for (text, what) in [(&log, "the log"), (&answers, "an answer")] {
            let line = text.lines().find(|line| line.contains(planted)).map(|line| {
                let at = line.find(planted).unwrap_or(0);
                line.chars().skip(at.saturating_sub(300)).take(600).collect::<String>()
            });
            assert_eq!(line, None, "`{planted}` is in {what}");
        }
    }
    // It is not empty either: failures are told with AWS's code and words, and reports are there.
    assert!(
        log.contains("\"message\":\"run\"") && log.contains("AccessDeniedException") && answers.contains("BadAnswer")
    );
}
