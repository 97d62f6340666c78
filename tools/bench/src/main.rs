//! Measures the function as it ships: start, calls, how deep they wait for each other, processor time and memory, for accounts of 5, 100
//! and 1,000 workgroups; and beside it what somebody would write instead, `peer.py`, in the same run. Prints tables and writes them as JSON.
//! Not a test: nothing fails because a machine is busy.
//!
//!     watchdog-bench ARTEFACT PYTHON OUT.json [ROUNDS]
//!
//! PYTHON is one that has boto3; `-` leaves the peers out. Every round starts a new process of each program for each account in turn, so that
//! what the machine does meanwhile meets all alike; the figures are medians.

#![expect(clippy::print_stdout, reason = "the tables")]

mod fake;
mod function;
mod http;
mod measure;
mod table;
mod trust;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use function::Program;
use measure::Peer;

const ROUNDS: usize = 7;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (artefact, python, out, rounds) = match &arguments[..] {
        [artefact, python, out] => (artefact, python, out, Ok(ROUNDS)),
        [artefact, python, out, rounds] => (artefact, python, out, rounds.parse()),
        _ => return fail("usage: watchdog-bench ARTEFACT PYTHON OUT.json [ROUNDS]", 2),
    };
    let Ok(rounds @ 1..=1000) = rounds else { return fail("ROUNDS is a number from 1 to 1000", 2) };
    let peers = if python == "-" { Vec::new() } else { peers(python) };
    let ours = Program { path: PathBuf::from(artefact), arguments: Vec::new(), variables: Vec::new() };
    match measure::measure(&ours, &peers, Path::new(out), rounds) {
        Ok(measured) => {
            table::print(&measured);
            match std::fs::write(out, format!("{measured:#}\n")) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(&format!("`{out}` cannot be written: {error}"), 1),
            }
        }
        Err(error) => fail(&format!("`{artefact}`: {error}"), 1),
    }
}

fn peers(python: &str) -> Vec<Peer> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peer.py");
    let peer = |name, threads: u32| Peer {
        name,
        program: Program {
            path: PathBuf::from(python),
            arguments: vec![script.to_owned()],
            variables: vec![("PEER_THREADS".to_owned(), threads.to_string())],
        },
    };
    vec![peer("python", 1), peer("python_8_threads", 8)]
}

fn fail(message: &str, code: u8) -> ExitCode {
    eprintln!("error: {message}");
    ExitCode::from(code)
}
