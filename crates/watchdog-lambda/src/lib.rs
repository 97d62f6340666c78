//! The Lambda function's handler and its log, as a library so that tests run the very handler that ships.

pub mod handler;
pub mod log;
