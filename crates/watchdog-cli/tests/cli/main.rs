//! The real binary, from the outside: its words, its streams and its exit codes.
//!
//! The goldens are updated by running the tests with `UPDATE_EXPECT=1`; read the difference before committing it.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says where it failed")]

mod backtest;
mod bad_policies;
mod check;
mod cost;
mod doctor;
mod plan;
mod preview;
mod promises;
mod report;
mod streams;
mod usage;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use expect_test::Expect;

/// A policy that has something of everything.
const POLICY: &str = include_str!("policy.toml");

/// The binary in an environment of its own: nothing of the machine's AWS configuration, terminal or locale.
fn watchdog(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_watchdog"));
    command.args(args).env_clear().current_dir(env!("CARGO_TARGET_TMPDIR"));
    command
}

/// Credentials and an address at which nothing listens.
fn nowhere(args: &[&str]) -> Command {
    let mut command = watchdog(args);
    command
        .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    command
}

/// Writes a file into the tests' own directory, which is also the binary's, and returns its name.
fn file(name: &str, text: &str) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).unwrap();
    }
    std::fs::write(path, text).unwrap();
    name.to_owned()
}

fn output(mut command: Command, stdin: &str) -> Output {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Whether it reads its input or not is its own business.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap()
}

/// Everything that came out, as one text.
fn shown(output: &Output) -> String {
    let mut text = format!("exit {}\n", output.status.code().map_or("none".to_owned(), |code| code.to_string()));
    for (name, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
        if !bytes.is_empty() {
            text.push_str(&format!("--- {name}\n{}", String::from_utf8_lossy(bytes)));
        }
    }
    text
}

#[track_caller]
fn check(command: Command, expected: &Expect) {
    check_with_input(command, "", expected);
}

#[track_caller]
fn check_with_input(command: Command, stdin: &str, expected: &Expect) {
    expected.assert_eq(&shown(&output(command, stdin)));
}
