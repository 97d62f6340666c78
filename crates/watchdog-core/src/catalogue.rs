//! What is known about the account's workgroups from earlier runs, how old it is, and what to ask again.
//!
//! Names, settings and metric sets change rarely and cost a call each to read; use changes always. So the former are
//! remembered across runs and refreshed a slice at a time, and every run knows their age.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;
use crate::economy;
use crate::fit::Fits;
use crate::identity::Tag;
use crate::policy::Class;
use crate::principal::Principal;
use crate::queries::Execution;
use crate::submitter::GIVE_UP;
use crate::usage::{Listed, Quota};

/// How long knowledge counts as fresh. `ListMetrics` itself lags by up to 15 minutes, so asking sooner gains little; and a
/// workgroup whose metrics were switched off is noticed within this time in a small account.
pub const FRESH: SignedDuration = SignedDuration::from_mins(15);

/// How long knowledge that could not be refreshed may still be used. Longer, and "metrics are on" is a guess.
pub const USABLE: SignedDuration = SignedDuration::from_hours(6);

/// How long a quota counts as fresh while few queries are active. AWS raises one on request, within days; and where it matters it is read
/// in every run.
const QUOTA_FRESH: SignedDuration = SignedDuration::from_hours(1);

/// How long a quota that could not be read again may still be used: hardly anybody has one lowered.
const QUOTA_USABLE: SignedDuration = SignedDuration::from_hours(24);

/// How many known workgroups are examined again in one run. At a run every five minutes a thousand take just over four
/// hours, well within [`USABLE`].
const SLICE: usize = 20;

/// Knowledge this old is examined again whatever the slice: where runs are rare or workgroups many, it would otherwise
/// outlive [`USABLE`], and a workgroup would go unwatched until its turn.
const PRESSING: SignedDuration = SignedDuration::from_hours(5);

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
    /// The account's quotas of active queries, as they were last read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub quotas: BTreeMap<Class, Quota>,
    /// How much of their limits the last days have used.
    #[serde(default, skip_serializing_if = "Fits::is_empty")]
    pub fits: Fits,
    /// What workgroups were seen to scan at most, and when each was last asked; nothing where the policy has no economy.
    #[serde(default, skip_serializing_if = "economy::Memory::is_empty")]
    pub economy: economy::Memory,
    /// Who submitted what, as long as the process lives: the next one asks again.
    #[serde(skip)]
    pub submitters: KnownSubmitters,
}

/// What is known of submitters from earlier runs of the same process. An alert stays open for hours, and its queries and people stay the
/// same; CloudTrail gives two pages a second.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownSubmitters {
    /// Who submitted which query, by its id. Never changes.
    pub principals: BTreeMap<String, Principal>,
    /// Queries of which CloudTrail has no record, and will have none.
    pub absent: BTreeSet<String>,
    /// IAM users' tags, and when each was read.
    pub tags: BTreeMap<String, (Tag, Timestamp)>,
}

impl KnownSubmitters {
    /// Whether to ask for a user's tag: where it was never read, could not be, or was read long enough ago that somebody may have set it.
    pub fn tag_is_due(&self, user: &str, now: Timestamp) -> bool {
        match self.tags.get(user) {
            None | Some((Tag::Unread(_), _)) => true,
            Some((_, read)) => is_due(Some(*read), now),
        }
    }

    /// Whether a record that is not there by `now` will not come any more.
    pub fn is_settled(execution: &Execution, now: Timestamp) -> bool {
        let submitted = execution.submitted.or(execution.completed);
        submitted.is_some_and(|submitted| now.duration_since(submitted) >= GIVE_UP)
    }
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

    /// Which of `watched` to examine now: all that were never examined or are about to be too old to be used, and
    /// a slice of those that are no longer fresh, the oldest first.
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
        let pressing = stale.partition_point(|(read, _)| now.duration_since(*read) >= PRESSING);
        fresh_needed.extend(stale.into_iter().take(SLICE.max(pressing)).map(|(_, name)| name));
        fresh_needed
    }

    /// Whether to read a quota now: where it is not known or no longer fresh, and where so many queries are active that it matters whether
    /// it has been raised meanwhile. `matters` is told the quota that is known.
    pub fn quota_due(&self, class: Class, now: Timestamp, matters: impl Fn(u64) -> bool) -> bool {
        let Some(quota) = self.quotas.get(&class) else { return true };
        now.duration_since(quota.read) >= QUOTA_FRESH || quota.read > now || matters(quota.most)
    }

    /// A quota that is known, where it is not too old to be used.
    pub fn usable_quota(&self, class: Class, now: Timestamp) -> Option<Quota> {
        self.quotas.get(&class).copied().filter(|quota| now.duration_since(quota.read) <= QUOTA_USABLE)
    }

    /// Notes a complete list of names, and forgets what is known of those that are gone.
    pub fn replace_names(&mut self, names: BTreeMap<String, bool>, now: Timestamp) {
        self.settings.retain(|name, _| names.contains_key(name));
        self.fits.retain(|name| names.contains_key(name));
        self.economy.retain(|name| names.contains_key(name));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn read_at(read: Timestamp) -> Settings {
        Settings { publishes_metrics: true, per_query_cutoff: None, read }
    }

    /// Which of `w00`, `w01`, … are examined, where each was read so many minutes ago; never, where negative.
    #[track_caller]
    fn check(minutes_ago: &[i64], expected: &[&str]) {
        let now = at("2026-03-01T12:00:00Z");
        let mut catalogue = Catalogue::default();
        let names: Vec<String> = (0..minutes_ago.len()).map(|n| format!("w{n:02}")).collect();
        for (name, minutes) in names.iter().zip(minutes_ago).filter(|(_, minutes)| **minutes >= 0) {
            catalogue.settings.insert(name.clone(), read_at(now - SignedDuration::from_mins(*minutes)));
        }
        assert_eq!(catalogue.to_examine(names.iter().map(String::as_str), now), expected);
    }

    #[test]
    fn the_unknown_first_and_then_the_oldest() {
        check(&[-1, 0, 14, 15, 16, -1], &["w00", "w05", "w04", "w03"]);
        check(&[], &[]);
        // No more than a slice of what is merely stale.
        let expected: Vec<String> = (5..25).rev().map(|n| format!("w{n:02}")).collect();
        let ages: Vec<i64> = (20..45).collect();
        check(&ages, &expected.iter().map(String::as_str).collect::<Vec<_>>());
        // But all that would soon be too old to be used.
        let expected: Vec<String> = (0..30).map(|n| format!("w{n:02}")).collect();
        check(&[300; 30], &expected.iter().map(String::as_str).collect::<Vec<_>>());
    }

    #[test]
    fn a_time_ahead_of_the_clock_is_not_trusted() {
        let now = at("2026-03-01T12:00:00Z");
        let mut catalogue = Catalogue::default();
        catalogue.settings.insert("w".to_owned(), read_at(now + SignedDuration::from_mins(1)));
        assert_eq!(catalogue.to_examine(["w"].into_iter(), now), ["w"]);
        catalogue.listed_read = Some(now + SignedDuration::from_secs(1));
        assert!(catalogue.metrics_due(now));
    }

    /// However many workgroups there are and however rare the runs, none becomes too old to be used between two.
    #[test]
    fn nothing_known_is_ever_too_old_to_be_used() {
        for (workgroups, minutes) in [(5, 5), (1000, 5), (1000, 15), (200, 60)] {
            let names: Vec<String> = (0..workgroups).map(|n| format!("w{n:04}")).collect();
            let mut catalogue = Catalogue::default();
            let mut now = at("2026-03-01T00:00:00Z");
            for run in 0..24 * 60 / minutes {
                let due: Vec<String> = catalogue
                    .to_examine(names.iter().map(String::as_str), now)
                    .into_iter()
                    .map(str::to_owned)
                    .collect();
                for name in due {
                    catalogue.settings.insert(name, read_at(now));
                }
                let usable = names.iter().filter(|name| catalogue.usable(name, now).is_some()).count();
                assert_eq!(usable, names.len(), "in run {run} every {minutes} minutes of {workgroups}");
                now += SignedDuration::from_mins(minutes);
            }
        }
    }

    #[test]
    fn what_is_too_old_is_not_used() {
        let read = at("2026-03-01T00:00:00Z");
        let mut catalogue = Catalogue::default();
        catalogue.settings.insert("w".to_owned(), read_at(read));
        assert!(catalogue.usable("w", read + USABLE).is_some());
        assert!(catalogue.usable("w", read + USABLE + SignedDuration::from_secs(1)).is_none());
        assert!(catalogue.usable("other", read).is_none());
    }

    #[test]
    fn names_are_listed_each_run_while_one_page_holds_them() {
        let now = at("2026-03-01T12:00:00Z");
        let names = |n: usize| (0..n).map(|n| (format!("w{n}"), true)).collect::<BTreeMap<_, _>>();
        let mut catalogue = Catalogue::default();
        assert!(catalogue.names_due(now) && catalogue.metrics_due(now));
        catalogue.settings.insert("w1".to_owned(), read_at(now));
        catalogue.settings.insert("gone".to_owned(), read_at(now));
        catalogue.replace_names(names(49), now);
        assert_eq!(catalogue.settings.keys().collect::<Vec<_>>(), ["w1"]);
        assert!(catalogue.names_due(now));
        catalogue.replace_names(names(50), now);
        assert!(!catalogue.names_due(now) && !catalogue.names_due(now + SignedDuration::from_mins(14)));
        assert!(catalogue.names_due(now + FRESH));
    }

    #[test]
    fn it_is_remembered_as_it_is() {
        let now = at("2026-03-01T12:00:00Z");
        let mut catalogue = Catalogue::default();
        catalogue.replace_names(BTreeMap::from([("etl".to_owned(), true), ("old".to_owned(), false)]), now);
        catalogue.settings.insert("etl".to_owned(), read_at(now));
        catalogue.listed.insert(&[("WorkGroup", "etl")]);
        catalogue.listed.insert(&[("QueryState", "SUCCEEDED"), ("QueryType", "DML"), ("WorkGroup", "old")]);
        catalogue.listed_read = Some(now);
        let text = serde_json::to_string(&catalogue).unwrap();
        assert_eq!(serde_json::from_str::<Catalogue>(&text).unwrap(), catalogue);
    }
}
