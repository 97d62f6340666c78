//! Links the function that ships without the tables that a stack is unwound by.
//!
//! With `panic = "abort"` nothing reads them: a panic ends the process. The compiler writes them all the same, for debuggers, and they are a
//! twelfth of the artefact. No debugger ever looks into the function that ships.
//!
//! Cargo tells a build script the profile and not what it says of panics; that the release profile says `abort` is a test of `tests`.

#![expect(clippy::print_stdout, reason = "how a build script speaks to Cargo")]

use std::env::var;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=no-unwinding.ld");
    if var("PROFILE").as_deref() == Ok("release") && var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        let here = var("CARGO_MANIFEST_DIR").expect("Cargo sets it");
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{here}/no-unwinding.ld");
    }
}
