//! One binary for every test that is about the whole.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod faults;
mod workspace;

#[cfg(feature = "local-aws")]
mod active;
#[cfg(feature = "local-aws")]
mod cli;
#[cfg(feature = "local-aws")]
mod doctor;
#[cfg(feature = "local-aws")]
mod economy;
#[cfg(feature = "local-aws")]
mod grants;
#[cfg(feature = "local-aws")]
mod scenarios;
#[cfg(feature = "local-aws")]
mod shipped;
#[cfg(feature = "local-aws")]
mod submitters;
