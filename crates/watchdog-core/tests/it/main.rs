//! The core's larger tests, in one binary, a module per topic.
//!
//! Each topic has one `check` that the tests feed with data, and property tests that compare the code with a model written
//! in the most naive way. Snapshots are inline; `UPDATE_EXPECT=1 cargo test` fills them, and a person reads them.

mod support;

mod alert;
mod event;
mod ledger;
mod plan;
mod policy;
mod schema;
mod tidy;
mod usage;
mod window;
