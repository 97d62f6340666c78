//! Decisions of the Athena quota watchdog: values in, values out.
//!
//! Nothing here waits, asks AWS, looks at a clock, reads the environment or draws a random number. The same decision
//! is therefore made in the Lambda, in the operator's tool, over a year of history, and in a test.
//!
//! The modules stand in the order of the flow, and each imports only from those above it.

pub mod bytes;
pub mod percent;
pub mod window;

mod untrusted;

pub mod instant;
pub mod principal;
pub mod proof;

pub mod event;

pub mod policy;

pub mod stack;

pub mod grant;

pub mod usage;

pub mod meter;

pub mod trace;

pub mod trail;

pub mod forecast;

pub mod economy;

pub mod identity;
pub mod queries;
pub mod submitter;

pub mod fit;

pub mod catalogue;

pub mod verdict;

pub mod history;

pub mod alert;

pub mod silence;

pub mod request;

pub mod people;

pub mod occupancy;

pub mod review;

pub mod delivery;

pub mod mail;

pub mod preview;

pub mod ledger;

pub mod report;

pub mod score;

pub mod backtest;

pub mod sample;

pub mod proposal;

pub mod checkup;

pub mod cost;
