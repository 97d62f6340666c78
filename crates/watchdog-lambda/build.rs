//! Links the function without the tables that a stack is unwound by, where a panic ends the process and nothing reads them.
//!
//! With `panic = "abort"` the compiler still writes them, for debuggers. They are a ninth of the artefact, and no debugger ever looks
//! into the function that ships.

#![expect(clippy::print_stdout, reason = "how a build script speaks to Cargo")]

use std::env::var;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=no-unwinding.ld");
    if var("CARGO_CFG_PANIC").as_deref() == Ok("abort") && var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        let here = var("CARGO_MANIFEST_DIR").expect("Cargo sets it");
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{here}/no-unwinding.ld");
    }
}
