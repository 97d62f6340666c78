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

/// How long knowledge that could not be refreshed may still be used. Longer, and "metrics are on" is a guess. A workgroup that is used proves
/// with every datapoint that its metrics are on, and one that falls silent is asked about first ([`Catalogue::to_examine`]); so this is
/// about one that lies idle, and how long it might be used unseen after somebody switches its metrics off.
pub const USABLE: SignedDuration = SignedDuration::from_hours(18);

/// How long a quota counts as fresh while few queries are active. AWS raises one on request, within days; and where it matters it is read
/// in every run.
const QUOTA_FRESH: SignedDuration = SignedDuration::from_hours(1);

/// How long a quota that could not be read again may still be used: hardly anybody has one lowered.
const QUOTA_USABLE: SignedDuration = SignedDuration::from_hours(24);

/// Calls in one run for what changes rarely: pages of lists, and settings of known workgroups with what the lists leave. A quiet run of a
/// thousand workgroups makes ten calls for what changes always, and so at most twenty.
pub const LOOKUPS: usize = 10;

/// Pages of each list in one run, for they come one after the other. A thousand workgroups have twenty pages of names and two of metrics or
/// more: at a run every five minutes the names are read in 35 minutes. What a page has new counts at once.
pub const PAGES: usize = 3;

/// Knowledge this old is examined again whatever the calls: where runs are rare or idle workgroups many, it would otherwise outlive
/// [`USABLE`], and a workgroup would go unwatched until its turn. At a run every five minutes a thousand idle ones take twelve hours.
const PRESSING: SignedDuration = SignedDuration::from_hours(16);

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
    /// The names that are being read anew, where that takes several runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names_begun: Option<Reading<BTreeMap<String, bool>>>,
    /// The metrics that exist.
    pub listed: Listed,
    /// When they were last listed in full.
    pub listed_read: Option<Timestamp>,
    /// The metrics that are being listed anew, where that takes several runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed_begun: Option<Reading<Listed>>,
    /// The account's quotas of active queries, as they were last read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub quotas: BTreeMap<Class, Quota>,
    /// How much of their limits the last days have used.
    #[serde(default, skip_serializing_if = "Fits::is_empty")]
    pub fits: Fits,
    /// When each workgroup's newest bytes were seen, as long as the process lives: the next one sees them in its first run.
    #[serde(skip)]
    pub used: BTreeMap<String, Timestamp>,
    /// What workgroups were seen to scan at most, and when each was last asked; nothing where the policy has no economy.
    #[serde(default, skip_serializing_if = "economy::Memory::is_empty")]
    pub economy: economy::Memory,
    /// Who submitted what, as long as the process lives: the next one asks again.
    #[serde(skip)]
    pub submitters: KnownSubmitters,
    /// Which writing this comes from: what was stored when it was last read or written, 0 for nothing. `None` where that is not known: then it is to
    /// be read before anything is written. Several processes are warm at once, and one of them may have slept for hours.
    #[serde(skip)]
    pub revision: Option<u64>,
}

/// A list of several pages, as far as it has been read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading<T> {
    /// What the pages so far have in them.
    pub so_far: T,
    /// How many those are.
    pub pages: usize,
    /// The token of the next page; `None` at the start and at the end.
    pub next: Option<String>,
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
    /// Whether to list the workgroups now, or to go on with it.
    pub fn names_due(&self, now: Timestamp) -> bool {
        self.names.len() < PAGE || self.names_begun.is_some() || is_due(self.names_read, now)
    }

    /// Whether to list the metrics now, or to go on with it.
    pub fn metrics_due(&self, now: Timestamp) -> bool {
        self.listed_begun.is_some() || is_due(self.listed_read, now)
    }

    /// Which of `watched` to examine now: all that were never examined or of which what is known is about to be too old to be used; and of
    /// the others about which nothing fresh is known as many as `room` has calls for. Of these first the ones that have been used since they
    /// were examined and are silent now: of one whose metrics have been switched off that is all there is to see. Then the oldest.
    pub fn to_examine<'a>(&self, watched: impl Iterator<Item = &'a str>, now: Timestamp, room: usize) -> Vec<&'a str> {
        let mut chosen = Vec::new();
        let mut stale = Vec::new();
        for name in watched {
            let Some(settings) = self.settings.get(name) else {
                chosen.push(name);
                continue;
            };
            let known = self.known(name, settings);
            if now.duration_since(known) >= PRESSING {
                chosen.push(name);
            } else if is_due(Some(known), now) {
                stale.push((known == settings.read, known, name));
            }
        }
        stale.sort();
        let room = room.saturating_sub(chosen.len());
        chosen.extend(stale.into_iter().take(room).map(|(_, _, name)| name));
        chosen
    }

    /// When it was last known that a workgroup's settings are so: they were read, or bytes came of it that a workgroup without metrics does
    /// not show.
    fn known(&self, workgroup: &str, settings: &Settings) -> Timestamp {
        let used = self.used.get(workgroup).filter(|_| settings.publishes_metrics);
        used.map_or(settings.read, |used| settings.read.max(*used))
    }

    /// The oldest of what is known of `watched`, of those that are known at all.
    pub fn oldest<'a>(&self, watched: impl Iterator<Item = &'a str>) -> Option<Timestamp> {
        watched.filter_map(|name| Some(self.known(name, self.settings.get(name)?))).min()
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
        self.names = names;
        self.names_read = Some(now);
        self.names_begun = None;
        self.forget_what_is_gone();
    }

    /// Takes what other processes have written down since this one last read it or wrote, and keeps what it knows that is newer: the lists by
    /// when they were read in full, settings and quotas each by when it was read. Returns whether there is any of it that is worth a write.
    pub fn catch_up(&mut self, stored: Self) -> bool {
        let mut knows_more = false;
        if stored.names_read >= self.names_read {
            self.names_read = stored.names_read;
            self.names = stored.names;
            self.names_begun = stored.names_begun;
        } else {
            knows_more |= self.names != stored.names;
        }
        if stored.listed_read >= self.listed_read {
            self.listed_read = stored.listed_read;
            self.listed = stored.listed;
            self.listed_begun = stored.listed_begun;
        } else {
            knows_more |= self.listed != stored.listed;
        }
        let own = std::mem::replace(&mut self.settings, stored.settings);
        for (name, settings) in own {
            let is_there = self.names_read.is_none() || self.names.contains_key(&name);
            if is_there && self.settings.get(&name).is_none_or(|known| known.read < settings.read) {
                self.settings.insert(name, settings);
                knows_more = true;
            }
        }
        for (class, quota) in stored.quotas {
            let own = self.quotas.entry(class).or_insert(quota);
            *own = if own.read > quota.read { *own } else { quota };
        }
        // A day that only this process has noted is noted anew: it is still due there. Where nothing can be read, there is nothing to take.
        if stored.names_read.is_some() {
            self.fits = stored.fits;
        }
        self.economy.learn(stored.economy);
        self.revision = stored.revision;
        if self.names_read.is_some() {
            self.forget_what_is_gone();
        }
        knows_more
    }

    fn forget_what_is_gone(&mut self) {
        let Self { names, settings, used, fits, economy, .. } = self;
        settings.retain(|name, _| names.contains_key(name));
        used.retain(|name, _| names.contains_key(name));
        fits.retain(|name| names.contains_key(name));
        economy.retain(|name| names.contains_key(name));
    }

    /// What is known of a workgroup, where it is not too old to be used.
    pub fn usable(&self, workgroup: &str, now: Timestamp) -> Option<&Settings> {
        let known = |settings: &&Settings| self.known(workgroup, settings);
        self.settings.get(workgroup).filter(|settings| now.duration_since(known(settings)) <= USABLE)
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

    const ROOM: usize = 6;

    /// Which of `w00`, `w01`, … are examined, where each was read so many minutes ago (never, where negative), and used so many.
    #[track_caller]
    fn check(minutes_ago: &[(i64, Option<i64>)], expected: &[&str]) {
        let now = at("2026-03-01T12:00:00Z");
        let mut catalogue = Catalogue::default();
        let names: Vec<String> = (0..minutes_ago.len()).map(|n| format!("w{n:02}")).collect();
        for (name, (read, used)) in names.iter().zip(minutes_ago) {
            if *read >= 0 {
                catalogue.settings.insert(name.clone(), read_at(now - SignedDuration::from_mins(*read)));
            }
            if let Some(used) = used {
                catalogue.used.insert(name.clone(), now - SignedDuration::from_mins(*used));
            }
        }
        assert_eq!(catalogue.to_examine(names.iter().map(String::as_str), now, ROOM), expected);
    }

    #[test]
    fn the_unknown_first_and_then_the_oldest() {
        let read = |minutes: i64| (minutes, None);
        check(&[-1, 0, 14, 15, 16, -1].map(read), &["w00", "w05", "w04", "w03"]);
        check(&[], &[]);
        // All that would soon be too old to be used.
        check(&[read(960); 7], &["w00", "w01", "w02", "w03", "w04", "w05", "w06"]);
        // No more than there is room for, of what is merely stale; the unknown all, and then nothing else.
        let ages: Vec<_> = (20..45).map(read).collect();
        check(&ages, &["w24", "w23", "w22", "w21", "w20", "w19"]);
        let ages = [-1, -1, -1, -1, -1, -1, -1, 20, 21].map(read);
        check(&ages, &["w00", "w01", "w02", "w03", "w04", "w05", "w06"]);
        check(&ages[2..], &["w00", "w01", "w02", "w03", "w04", "w06"]);
    }

    #[test]
    fn one_that_is_used_proves_itself_and_one_that_falls_silent_goes_first() {
        // Used lately; silent since it was read; silent for longer; never seen; read after it was used; used lately, and never examined.
        let ages =
            [(600, Some(10)), (300, Some(20)), (400, Some(60)), (900, None), (30, Some(50)), (-1, Some(0)), (1, None)];
        check(&ages, &["w05", "w02", "w01", "w03", "w04"]);
    }

    /// Bytes that were seen before the metrics were switched off say nothing of the time since.
    #[test]
    fn use_proves_nothing_where_metrics_are_off() {
        let now = at("2026-03-01T12:00:00Z");
        let mut catalogue = Catalogue::default();
        let read = now - SignedDuration::from_mins(20);
        catalogue.settings.insert("w".to_owned(), Settings { publishes_metrics: false, ..read_at(read) });
        catalogue.used.insert("w".to_owned(), now);
        assert_eq!(catalogue.to_examine(["w"].into_iter(), now, ROOM), ["w"]);
        assert_eq!(catalogue.oldest(["w", "unknown"].into_iter()), Some(read));
        catalogue.settings.insert("w".to_owned(), read_at(read));
        assert_eq!(catalogue.oldest(["w"].into_iter()), Some(now));
    }

    #[test]
    fn a_time_ahead_of_the_clock_is_not_trusted() {
        let now = at("2026-03-01T12:00:00Z");
        let mut catalogue = Catalogue::default();
        catalogue.settings.insert("w".to_owned(), read_at(now + SignedDuration::from_mins(1)));
        assert_eq!(catalogue.to_examine(["w"].into_iter(), now, ROOM), ["w"]);
        catalogue.listed_read = Some(now + SignedDuration::from_secs(1));
        assert!(catalogue.metrics_due(now));
    }

    /// However many workgroups there are and however rare the runs, none becomes too old to be used between two, also where none is used.
    #[test]
    fn nothing_known_is_ever_too_old_to_be_used() {
        for (workgroups, minutes) in [(5, 5), (1000, 5), (1000, 15), (200, 60)] {
            let names: Vec<String> = (0..workgroups).map(|n| format!("w{n:04}")).collect();
            let watched = || names.iter().map(String::as_str);
            let mut catalogue = Catalogue::default();
            let mut now = at("2026-03-01T00:00:00Z");
            for run in 0..72 * 60 / minutes {
                let due: Vec<&str> = catalogue.to_examine(watched(), now, ROOM);
                // At a run every five minutes the room is enough.
                assert!(minutes > 5 || run == 0 || due.len() <= ROOM, "{} in run {run}", due.len());
                for name in due {
                    catalogue.settings.insert(name.to_owned(), read_at(now));
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
        catalogue.used.insert("w".to_owned(), read + SignedDuration::from_hours(1));
        assert!(catalogue.usable("w", read + USABLE + SignedDuration::from_hours(1)).is_some());
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
        // What is half read is read on.
        catalogue.names_begun = Some(Reading::default());
        catalogue.listed_read = Some(now);
        assert!(catalogue.names_due(now) && !catalogue.metrics_due(now));
        catalogue.replace_names(names(50), now);
        assert!(!catalogue.names_due(now));
        catalogue.listed_begun = Some(Reading::default());
        assert!(catalogue.metrics_due(now));
    }

    /// Of two processes' knowledge the newer of each part; what only the process knows stays with it.
    #[test]
    fn what_others_have_written_is_taken_and_what_is_newer_is_kept() {
        let (old, new) = (at("2026-03-01T12:00:00Z"), at("2026-03-01T20:00:00Z"));
        let names = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), true)).collect::<BTreeMap<_, _>>();
        let quota = |most, read| Quota { most, is_default: false, read };
        let of = |names_of: &[&str], read: Timestamp, revision| {
            let mut catalogue = Catalogue { revision, ..Catalogue::default() };
            catalogue.replace_names(names(names_of), read);
            catalogue.settings = names_of.iter().map(|name| ((*name).to_owned(), read_at(read))).collect();
            names_of.iter().for_each(|name| catalogue.listed.insert(&[("WorkGroup", name)]));
            catalogue.listed_read = Some(read);
            catalogue.quotas = [(Class::Dml, quota(read.as_second().unsigned_abs(), read))].into();
            catalogue
        };
        // It slept, and is as good as a new process; but for what no other process can tell it.
        let mut sleeper = of(&["a", "gone"], old, Some(1));
        sleeper.used = [("a".to_owned(), old), ("gone".to_owned(), old)].into();
        sleeper.submitters.absent.insert("q".to_owned());
        let stored = of(&["a", "made"], new, Some(9));
        assert!(!sleeper.catch_up(stored.clone()));
        let mut expected = stored.clone();
        expected.used = [("a".to_owned(), old)].into();
        expected.submitters.absent.insert("q".to_owned());
        assert_eq!(sleeper, expected);
        // It has looked meanwhile, and nobody took it down.
        let mut busy = of(&["a"], new, None);
        busy.settings.insert("a".to_owned(), read_at(new));
        let stored = of(&["a", "gone"], old, Some(9));
        assert!(busy.catch_up(stored));
        assert_eq!(busy, Catalogue { revision: Some(9), ..of(&["a"], new, None) });
        // What is stored cannot be read: there is nothing to take, and something to write.
        let days: Fits = serde_json::from_str(r#"{"a":{"1h":{"limit":100,"last":20000,"shares":[7]}}}"#).unwrap();
        let mut alone = Catalogue { fits: days.clone(), ..of(&["a"], new, Some(1)) };
        assert!(alone.catch_up(Catalogue { revision: Some(2), ..Catalogue::default() }));
        assert_eq!(alone, Catalogue { revision: Some(2), fits: days, ..of(&["a"], new, None) });
        // A new process takes all of it.
        let mut first = Catalogue::default();
        assert!(!first.catch_up(alone.clone()));
        assert_eq!(first, alone);
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
        let next = Some("page 4".to_owned());
        catalogue.names_begun = Some(Reading { so_far: catalogue.names.clone(), pages: 3, next: next.clone() });
        catalogue.listed_begun = Some(Reading { so_far: catalogue.listed.clone(), pages: 3, next });
        let text = serde_json::to_string(&catalogue).unwrap();
        assert_eq!(serde_json::from_str::<Catalogue>(&text).unwrap(), catalogue);
    }
}
