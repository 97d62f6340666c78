//! One subject, done once under valgrind: `tools/counts.py` counts the instructions of [`measured`] and of nothing else.
//!
//! Without an argument it names the subjects, one a line.

mod subjects;

use std::io::Write;

fn main() -> std::io::Result<()> {
    // `cargo bench` adds a flag of its own.
    match std::env::args().skip(1).find(|arg| !arg.starts_with("--")) {
        Some(subject) => {
            let mut work = subjects::set_up(&subject);
            // What is done once in the life of a process is no part of a decision.
            work();
            measured(&mut work);
            Ok(())
        }
        None => writeln!(std::io::stdout(), "{}", subjects::ALL.join("\n")),
    }
}

#[inline(never)]
fn measured(work: &mut subjects::Work) {
    work();
}
