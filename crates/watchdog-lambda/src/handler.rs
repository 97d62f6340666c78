//! One invocation: the event in, the run report or a typed failure out, and one summary line in the log.

use jiff::Timestamp;
use lambda_runtime::{Context, Diagnostic, LambdaEvent};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Mutex;
use watchdog_aws::asking::{self, Desk};
use watchdog_aws::callback;
use watchdog_aws::clients::Clients;
use watchdog_aws::dynamodb::Table;
use watchdog_aws::gather::PolicySource;
use watchdog_aws::identity::sts_endpoint;
use watchdog_aws::pass::{self, RunError, Settings};
use watchdog_core::catalogue::Catalogue;
use watchdog_core::event::Invocation;
use watchdog_core::report::{Answer, RunReport};
use watchdog_core::request;
use watchdog_core::stack;
use watchdog_core::submitter::{self, Reading, Unreadable};

use crate::log;

/// What a cold start sets up and every invocation uses.
pub struct Function {
    clients: Clients,
    settings: Result<Environment, Failure>,
    /// What earlier invocations of this process have learnt of the account.
    catalogue: Mutex<Catalogue>,
}

/// What the stack's template sets.
#[derive(Debug, Clone)]
struct Environment {
    policy_path: String,
    state_table: String,
    /// The stack's name, for mails: the function's own has letters at its end that nobody chose.
    name: String,
    /// Whether the stack has the feed of submitters.
    feed: bool,
}

/// What became of an event of the feed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fed {
    /// The id of the query whose submitter was written down.
    Remembered(String),
    /// Why nothing was.
    PassedOver(String),
}

/// Why an invocation failed: a stable word for alarms and scripts, and a sentence for people.
#[derive(Debug, Clone)]
pub struct Failure {
    word: String,
    message: String,
}

/// What the function answers.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Reply {
    /// To its schedule and to people.
    Run(Box<RunReport>),
    /// To CloudFormation, which reads the same at the URL that it gave.
    Stack(stack::Answer),
    /// To an event of the feed.
    Fed(Fed),
    /// To a request for a grant or a silence.
    Asked(Box<Answer>),
}

impl Function {
    /// Reads the environment and builds the clients. Makes no call to AWS, and fails nowhere: what is missing is said by the
    /// first invocation, where the error reaches the caller, the alarm and the dead-letter queue.
    pub fn from_env() -> Self {
        let required = |name: &str| {
            std::env::var(name).ok().filter(|value| !value.is_empty()).ok_or_else(|| Failure {
                word: "NotConfigured".to_owned(),
                message: format!("the environment variable `{name}` is not set: the stack's template sets it"),
            })
        };
        let environment = || {
            Ok(Environment {
                policy_path: required("POLICY_PATH")?,
                state_table: required("STATE_TABLE")?,
                name: required("WATCHDOG_NAME")?,
                feed: std::env::var("SUBMITTER_FEED").is_ok_and(|value| value == "true"),
            })
        };
        let settings = environment();
        Self { clients: Clients::from_env(), settings, catalogue: Mutex::new(Catalogue::default()) }
    }

    /// Handles one event.
    pub async fn handle(&self, event: LambdaEvent<Value>) -> Result<Reply, Failure> {
        if let Some(request) = stack::Request::parse(&event.payload) {
            return answer(&request).await.map(Reply::Stack);
        }
        if let Some(reading) = submitter::read_event(&event.payload) {
            return self.fed(reading).await.map(Reply::Fed);
        }
        if let Some(asked) = request::Event::parse(&event.payload) {
            return self.asked(asked, &event.context).await.map(|answer| Reply::Asked(Box::new(answer)));
        }
        let name = event.context.env_config.function_name.clone();
        let result = self.run(&event.payload, &event.context).await;
        match result {
            Ok(report) => {
                log::run(&name, &report, None);
                Ok(Reply::Run(Box::new(report)))
            }
            Err((failure, report)) => {
                match report {
                    Some(report) => log::run(&name, &report, Some((&failure.word, &failure.message))),
                    None => tracing::error!(error_type = failure.word, "{}", failure.message),
                }
                Err(failure)
            }
        }
    }

    /// Writes down who submitted a query. A record that cannot be read is named in the log and stops nothing: a retry would read the
    /// same. A table that cannot be written is a failure, and EventBridge's retries help.
    async fn fed(&self, reading: Result<Reading, Unreadable>) -> Result<Fed, Failure> {
        let submission = match reading {
            Ok(Reading::Submitted(submission)) => submission,
            Ok(Reading::Refused) => {
                return Ok(Fed::PassedOver("the call had no answer, so no query came of it".to_owned()));
            }
            Ok(Reading::Foreign) => return Ok(Fed::PassedOver("it is about another call".to_owned())),
            Err(error) => {
                tracing::warn!("{error}");
                return Ok(Fed::PassedOver(error.to_string()));
            }
        };
        let environment = self.settings.clone()?;
        let table = Table { client: self.clients.dynamodb.clone(), name: environment.state_table };
        match table.write_submission(&submission, Timestamp::now()).await {
            Ok(()) => Ok(Fed::Remembered(submission.query)),
            Err(failure) => {
                let message = format!("the submitter of `{}` could not be written down: {failure}", submission.query);
                tracing::error!(error_type = "NotRemembered", "{message}");
                Err(Failure { word: "NotRemembered".to_owned(), message })
            }
        }
    }

    /// Answers a request for a grant or a silence. What is refused is an answer; only what AWS could not be asked is a failure.
    async fn asked(
        &self,
        asked: Result<request::Event, request::Refused>,
        context: &Context,
    ) -> Result<Answer, Failure> {
        let asked = match asked {
            Ok(asked) => asked,
            Err(refused) => return Ok(Answer::refused(&refused)),
        };
        let environment = self.settings.clone()?;
        let now = Timestamp::now();
        let endpoint = std::env::var("AWS_ENDPOINT_URL").ok().filter(|endpoint| !endpoint.is_empty());
        let desk = Desk {
            function: context.env_config.function_name.clone(),
            // arn:PARTITION:lambda:REGION:ACCOUNT:function:NAME
            account: context.invoked_function_arn.split(':').nth(4).unwrap_or_default().to_owned(),
            sts: sts_endpoint(&self.clients.region, endpoint.as_deref()),
            policy: PolicySource::Parameters(environment.policy_path),
            table: Table { client: self.clients.dynamodb.clone(), name: environment.state_table },
            run_id: format!("{}@{}", context.request_id, now.as_nanosecond()),
            deadline: deadline(context, now),
        };
        match asking::ask(&self.clients, &desk, &asked, now).await {
            Ok(answer) => {
                // Who asked for what, and what came of it: the trace that is left where the table forgets.
                let (by, said) = (answer.by.as_deref().unwrap_or("-"), answer.says.as_deref().unwrap_or("-"));
                let refused = answer.refused.as_deref().unwrap_or("-");
                tracing::info!(by, said, refused, dry_run = answer.dry_run, "asked");
                Ok(answer)
            }
            Err(failure) => {
                let message = format!("the request could not be looked at to its end: {failure}; it may be sent again");
                tracing::error!(error_type = "NotAnswered", "{message}");
                Err(Failure { word: "NotAnswered".to_owned(), message })
            }
        }
    }

    async fn run(&self, event: &Value, context: &Context) -> Result<RunReport, (Failure, Option<Box<RunReport>>)> {
        let environment = self.settings.clone().map_err(|failure| (failure, None))?;
        let invocation = Invocation::parse(event)
            .map_err(|error| (Failure { word: "ForeignEvent".to_owned(), message: error.to_string() }, None))?;
        let now = Timestamp::now();
        let settings = Settings {
            policy: PolicySource::Parameters(environment.policy_path),
            table: Some(environment.state_table),
            // The request id alone is the same for two deliveries of one event, which may be at work at once.
            run_id: format!("{}@{}", context.request_id, now.as_nanosecond()),
            name: environment.name,
            feed: environment.feed,
            deadline: deadline(context, now),
        };
        let mut catalogue = self.catalogue.lock().await;
        match pass::run(&self.clients, &settings, &mut catalogue, &invocation, now).await {
            Ok((report, _)) => Ok(report),
            Err(RunError { word, message, report }) => Err((Failure { word: word.to_owned(), message }, report)),
        }
    }
}

/// When the invocation is cut off.
fn deadline(context: &Context, now: Timestamp) -> Timestamp {
    let deadline = i64::try_from(context.deadline).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    deadline.unwrap_or(now)
}

/// Answers CloudFormation. What is wrong with the policy is part of the answer; only an answer that does not arrive is a failure here.
async fn answer(request: &stack::Request) -> Result<stack::Answer, Failure> {
    let answer = request.answer();
    if let Some(reason) = answer.failure() {
        tracing::error!(error_type = "StackRequest", "{reason}");
    }
    let endpoint = std::env::var("AWS_ENDPOINT_URL").ok();
    let put = callback::put(&request.response_url, answer.json(), endpoint.as_deref()).await;
    let failed = |error: callback::CallbackError| {
        let failure = Failure { word: "StackNotAnswered".to_owned(), message: error.to_string() };
        tracing::error!(error_type = failure.word, "{}", failure.message);
        failure
    };
    put.map(|()| answer).map_err(failed)
}

impl From<Failure> for Diagnostic {
    fn from(failure: Failure) -> Self {
        Self { error_type: failure.word, error_message: failure.message }
    }
}
