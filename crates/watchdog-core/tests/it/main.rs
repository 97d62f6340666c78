//! The core's larger tests, in one binary, a module per topic.
//!
//! Each topic has one `check` that the tests feed with data, and property tests that compare the code with a model written
//! in the most naive way. Snapshots are inline; `UPDATE_EXPECT=1 cargo test` fills them, and a person reads them.

#![allow(clippy::unwrap_used, reason = "a test may; clippy sees that of test functions only, not of their helpers")]

mod support;

mod active;
mod active_mail;
mod advice;
mod alert;
mod backtest;
mod bounds;
mod checkup;
mod economy;
mod event;
mod fit;
mod forecast;
mod holes;
mod hostile;
mod ledger;
mod mail;
mod meter;
mod parsers;
mod people;
mod plan;
mod policy;
mod preview;
mod promises;
mod proposal;
mod queries;
mod schema;
mod stack;
mod submitter;
mod tidy;
mod usage;
mod weekly;
mod window;
