//! A function as a process, the one that ships or a peer, with the Runtime API around it.

use std::io::{Error, Result};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::fake::Endpoints;
use crate::http::{Response, serve};

/// Longer than any run may take.
const PATIENCE: Duration = Duration::from_secs(70);

/// What there is to run.
pub struct Program {
    pub path: PathBuf,
    pub arguments: Vec<String>,
    /// Environment variables beside those that Lambda and the stack set.
    pub variables: Vec<(String, String)>,
}

/// A running function.
pub struct Function {
    process: Child,
    events: Sender<Value>,
    said: Receiver<(Said, Instant)>,
    /// From the start of the process to its first poll.
    pub init: Duration,
}

enum Said {
    /// It waits for an event.
    Polled,
    /// It has answered one; the body.
    Answered(Vec<u8>),
    /// It has failed, in the body's words.
    Failed(Vec<u8>),
}

/// One invocation.
pub struct Invocation {
    pub wall: Duration,
    /// Processor time of the process, user and system.
    pub cpu: Duration,
    pub report: Value,
}

impl Function {
    /// Starts it and waits for its first poll.
    pub fn start(program: &Program, aws: &Endpoints) -> Result<Self> {
        let (events, queue) = channel::<Value>();
        let (says, said) = channel();
        let (queue, says) = (Mutex::new(queue), Mutex::new(says));
        let api = serve(
            move |request| {
                let say = |said| {
                    let says = says.lock().ok()?;
                    says.send((said, request.read)).ok()
                };
                let answer = |headers: String, body: Vec<u8>| {
                    Some(Response { status: 200, headers, body, delay: Duration::ZERO })
                };
                if request.path.ends_with("/invocation/next") {
                    say(Said::Polled)?;
                    let event = queue.lock().ok()?.recv().ok()?;
                    let deadline = Timestamp::now().as_millisecond() + 60_000;
                    let headers = format!(
                        "Lambda-Runtime-Aws-Request-Id: bench\r\nLambda-Runtime-Deadline-Ms: {deadline}\r\n\
                         Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:eu-central-1:123456789012:function:bench\r\n\
                         Content-Type: application/json\r\n"
                    );
                    return answer(headers, event.to_string().into_bytes());
                }
                let failed = request.path.ends_with("/error");
                say(if failed { Said::Failed(request.body.clone()) } else { Said::Answered(request.body.clone()) })?;
                answer(String::new(), Vec::new())
            },
            |_, _| {},
        )?;
        let start = Instant::now();
        let process = Command::new(&program.path)
            .args(&program.arguments)
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", api.to_string())
            .envs(program.variables.iter().chain(aws).map(|(name, value)| (name, value)))
            .envs([
                ("AWS_LAMBDA_FUNCTION_NAME", "bench"),
                ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
                ("AWS_REGION", "eu-central-1"),
                ("AWS_DEFAULT_REGION", "eu-central-1"),
                ("AWS_ACCESS_KEY_ID", "123456789012"),
                ("AWS_SECRET_ACCESS_KEY", "bench"),
                ("AWS_SESSION_TOKEN", "bench"),
                ("POLICY_PATH", "/bench/policy"),
                ("STATE_TABLE", "bench"),
                ("WATCHDOG_NAME", "bench"),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()?;
        let mut function = Self { process, events, said, init: Duration::ZERO };
        match function.hear()? {
            (Said::Polled, at) => function.init = at - start,
            (Said::Answered(body) | Said::Failed(body), _) => return Err(unexpected("before its first event", &body)),
        }
        Ok(function)
    }

    /// Sends it a schedule's event of now and waits for the answer, and for it to be ready for the next.
    pub fn invoke(&self) -> Result<Invocation> {
        let event = json!({ "source": "aws.scheduler", "detail": "{}", "detail-type": "Scheduled Event", "time": Timestamp::now() });
        let cpu = self.cpu()?;
        let start = Instant::now();
        self.events.send(event).map_err(Error::other)?;
        let (body, end) = match self.hear()? {
            (Said::Answered(body), end) => (body, end),
            (Said::Failed(body), _) => return Err(unexpected("for an answer", &body)),
            (Said::Polled, _) => return Err(unexpected("for an answer", b"another poll")),
        };
        let (Said::Polled, _) = self.hear()? else { return Err(unexpected("for a poll", b"another answer")) };
        let report = serde_json::from_slice(&body).map_err(Error::other)?;
        Ok(Invocation { wall: end - start, cpu: self.cpu()?.saturating_sub(cpu), report })
    }

    fn hear(&self) -> Result<(Said, Instant)> {
        self.said.recv_timeout(PATIENCE).map_err(|_| Error::other("the function says nothing; its log is above"))
    }

    /// Processor time of all of its threads that live. In nanoseconds: `stat` counts in hundredths of a second, several runs each.
    fn cpu(&self) -> Result<Duration> {
        let mut nanoseconds = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.process.id()))? {
            let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
            nanoseconds += text.split(' ').next().and_then(|first| first.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// The most memory that it has held, in kB.
    pub fn peak_kb(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.and_then(|line| line.trim().split(' ').next()).and_then(|number| number.parse().ok());
        number.ok_or_else(|| Error::other("no VmHWM in /proc/PID/status: Linux is needed"))
    }
}

fn unexpected(waited: &str, body: &[u8]) -> Error {
    Error::other(format!("waited {waited}, and the function said: {}", String::from_utf8_lossy(body)))
}

impl Drop for Function {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
