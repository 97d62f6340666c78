//! What is known about the account's workgroups from earlier runs, how old it is, and what to ask again.
//!
//! Names, settings and metric sets change rarely and cost a call each to read; use changes always. So the former are
//! remembered across runs and refreshed a slice at a time, and every run knows their age.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;
use crate::usage::Listed;

/// How long knowledge counts as fresh. `ListMetrics` itself lags by up to 15 minutes, so asking sooner gains little; and a
/// workgroup whose metrics were switched off is noticed within this time in a small account.
pub const FRESH: SignedDuration = SignedDuration::from_mins(15);

/// How long knowledge that could not be refreshed may still be used. Longer, and "metrics are on" is a guess.
pub const USABLE: SignedDuration = SignedDuration::from_hours(6);

/// How many known workgroups are examined again in one run: a thousand take under nine hours at a run every five
/// minutes, and no run pays for more than these.
const SLICE: usize = 10;

/// Names that `ListWorkGroups` returns in one page. As long as one page holds them all, it is asked in every run.
const PAGE: usize = 50;

/// All that is remembered of the account's workgroups.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalogue {
    /// Every workgroup, and whether it is enabled.
    pub names: BTreeMap<String, bool>,
    /// When the names were last read in full.
    pub names_read: Option<Timestamp>,
    /// What was found out about each by asking for its configuration.
    pub settings: BTreeMap<String, Settings>,
    /// The metrics that exist.
    pub listed: Listed,
    /// When they were last listed in full.
    pub listed_read: Option<Timestamp>,
}

/// What `GetWorkGroup` says of one workgroup, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Whether it publishes metrics to CloudWatch.
    pub publishes_metrics: bool,
    /// The per-query cutoff that Athena enforces.
    pub per_query_cutoff: Option<Bytes>,
    /// When this was read.
    pub read: Timestamp,
}

impl Catalogue {
    /// Whether to list the workgroups now.
    pub fn names_due(&self, now: Timestamp) -> bool {
        self.names.len() < PAGE || is_due(self.names_read, now)
    }

    /// Whether to list the metrics now.
    pub fn metrics_due(&self, now: Timestamp) -> bool {
        is_due(self.listed_read, now)
    }

    /// Which of `watched` to examine now: those never examined, all of them, and a slice of those that are no
    /// longer fresh, the oldest first.
    pub fn to_examine<'a>(&self, watched: impl Iterator<Item = &'a str>, now: Timestamp) -> Vec<&'a str> {
        let mut fresh_needed = Vec::new();
        let mut stale = Vec::new();
        for name in watched {
            match self.settings.get(name) {
                None => fresh_needed.push(name),
                Some(settings) if is_due(Some(settings.read), now) => stale.push((settings.read, name)),
                Some(_) => {}
            }
        }
        stale.sort();
        fresh_needed.extend(stale.into_iter().take(SLICE).map(|(_, name)| name));
        fresh_needed
    }

    /// Notes a complete list of names, and forgets what is known of those that are gone.
    pub fn replace_names(&mut self, names: BTreeMap<String, bool>, now: Timestamp) {
        self.settings.retain(|name, _| names.contains_key(name));
        self.names = names;
        self.names_read = Some(now);
    }

    /// What is known of a workgroup, where it is not too old to be used.
    pub fn usable(&self, workgroup: &str, now: Timestamp) -> Option<&Settings> {
        self.settings.get(workgroup).filter(|settings| now.duration_since(settings.read) <= USABLE)
    }
}

fn is_due(read: Option<Timestamp>, now: Timestamp) -> bool {
    // A time ahead of the clock is not to be trusted either.
    read.is_none_or(|read| now.duration_since(read) >= FRESH || read > now)
}
