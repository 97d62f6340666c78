//! What is left of a panic: a line in the log, and an invocation that has failed and says why.
//!
//! The function is built with `panic = "abort"`, for a panic here is a bug, and after one the process has no more business than to say so:
//! the lease of a run that was cut short ends by itself, and AWS repeats the invocation in a new process. The runtime's own answer to a panic
//! needs unwinding, which costs 1.3 MB of tables and as much code as they describe; so the hook gives that answer, before the process ends.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::panic::PanicHookInfo;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The word of an invocation that a panic has ended, for alarms and scripts.
const WORD: &str = "Panic";

/// The Runtime API is on the same machine and answers at once. Where it does not, the process ends without it, and Lambda itself notes that.
const PATIENCE: Duration = Duration::from_millis(500);

/// The request id of the invocation that is being handled.
static AT_WORK: Mutex<Option<String>> = Mutex::new(None);

/// Names the invocation that a panic ends from now on; `None` between two.
pub fn at_work(request: Option<&str>) {
    *AT_WORK.lock().unwrap_or_else(PoisonError::into_inner) = request.map(str::to_owned);
}

/// Has panics told, from now on. After what it does the process ends, as `panic = "abort"` has it.
pub fn tell() {
    let api = std::env::var("AWS_LAMBDA_RUNTIME_API").ok();
    std::panic::set_hook(Box::new(move |info| {
        let message = message(info);
        // First, for this hardly fails.
        tracing::error!(error_type = WORD, "{message}");
        // Never waits: a panic while it is held would wait for itself.
        let request = AT_WORK.try_lock().ok().and_then(|mut request| request.take());
        if let (Some(api), Some(request)) = (&api, request)
            && let Err(error) = answer(api, &request, &message)
        {
            tracing::error!(
                error_type = WORD,
                "the invocation could not be failed: {error}; it fails as the process ends"
            );
        }
    }));
}

fn message(info: &PanicHookInfo<'_>) -> String {
    let what = info.payload_as_str().unwrap_or("without words");
    let place = info.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    format!("a bug in the watchdog, at {place}: {what}")
}

/// Fails the invocation, as the runtime would. With the standard library alone: what has panicked may be anything else.
fn answer(api: &str, request: &str, message: &str) -> std::io::Result<()> {
    let body = serde_json::json!({ "errorType": WORD, "errorMessage": message }).to_string();
    let address = api.to_socket_addrs()?.next().ok_or(std::io::ErrorKind::AddrNotAvailable)?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "POST /2018-06-01/runtime/invocation/{request}/error HTTP/1.1\r\nHost: {api}\r\n\
         Lambda-Runtime-Function-Error-Type: {WORD}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )?;
    // Its first byte means that the request has arrived; what it says changes nothing.
    stream.read_exact(&mut [0])
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;
    use std::process::{Command, Stdio};

    use super::*;

    /// The process of a test that is to panic knows itself by this.
    const IS_THE_ONE: &str = "WATCHDOG_TEST_PANICS";

    /// No test of the others': does something only in the process that [`a_panic_is_told_and_fails_the_invocation`] starts.
    #[test]
    fn panics_where_it_is_asked_to() {
        let Ok(request) = std::env::var(IS_THE_ONE) else { return };
        crate::log::start();
        tell();
        at_work(Some("an earlier one"));
        at_work(Some(&request).filter(|request| !request.is_empty()).map(String::as_str));
        let nothing: Vec<u8> = Vec::new();
        let at = nothing.len() + 3;
        // The end of the process is not what this can show: a test is always built to unwind.
        let _ = nothing[at];
    }

    /// A process that panics while it handles `request`; what it wrote to its output.
    fn panicking(request: &str, api: &str) -> String {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "panic::tests::panics_where_it_is_asked_to", "--nocapture"])
            .env(IS_THE_ONE, request)
            .env("AWS_LAMBDA_RUNTIME_API", api)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn a_panic_is_told_and_fails_the_invocation() {
        let api = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = api.local_addr().unwrap().to_string();
        let heard = std::thread::spawn(move || {
            let mut reader = BufReader::new(api.accept().unwrap().0);
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if let Some(value) = line.strip_prefix("Content-Length: ") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
                head.push_str(&line);
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            reader.get_mut().write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n").unwrap();
            (head, serde_json::from_slice::<serde_json::Value>(&body).unwrap())
        });
        let output = panicking("8476a536-e9f4-11e8-9739-2dfe598c3fcd", &address);
        let (head, body) = heard.join().unwrap();
        let path = "/2018-06-01/runtime/invocation/8476a536-e9f4-11e8-9739-2dfe598c3fcd/error";
        assert!(head.starts_with(&format!("POST {path} HTTP/1.1\r\n")), "{head}");
        assert!(head.contains("Lambda-Runtime-Function-Error-Type: Panic\r\n"), "{head}");
        assert_eq!(body["errorType"], "Panic");
        let message = body["errorMessage"].as_str().unwrap();
        assert!(message.contains("panic.rs:") && message.contains("the len is 0 but the index is 3"), "{message}");
        // In the log as well, in its form.
        let line = output.lines().find(|line| line.starts_with('{')).expect("a line of JSON");
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!((&line["level"], &line["error_type"]), (&"ERROR".into(), &"Panic".into()));
        assert_eq!(line["message"], message);
    }

    /// Nobody's invocation is failed by a panic between two; and an API that is gone keeps nothing from the log.
    #[test]
    fn the_log_has_it_whatever_else_fails() {
        let nobody = "127.0.0.1:9";
        for (request, lines) in [("", 1), ("one", 2)] {
            let output = panicking(request, nobody);
            let told: Vec<&str> = output.lines().filter(|line| line.contains("\"error_type\":\"Panic\"")).collect();
            assert_eq!(told.len(), lines, "{output}");
            assert!(told[0].contains("the index is 3"), "{output}");
        }
    }
}
