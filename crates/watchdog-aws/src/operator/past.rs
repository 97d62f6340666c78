//! The use of weeks, from CloudWatch: what a back-test goes through in the place of a file.
//!
//! CloudWatch keeps sums of five minutes for 63 days, and of hours for 455. A month is 8,640 values a metric, so that a request holds eleven metrics; they
//! are read a group of workgroups at a time, so that memory does not grow with the account.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use watchdog_core::bytes::Bytes;
use watchdog_core::catalogue::Catalogue;
use watchdog_core::policy::Policy;
use watchdog_core::usage::{Seen, Series, Unknown};
use watchdog_core::window::{BUCKET, Span, floor};

use super::crowd;
use crate::clients::Clients;
use crate::gather;

/// How far back CloudWatch keeps five-minute sums.
pub const LONGEST: SignedDuration = SignedDuration::from_hours(63 * 24);

/// And those of hours.
pub const LONGEST_HOURS: SignedDuration = SignedDuration::from_hours(455 * 24);

/// Seconds of an hour.
const HOUR: i64 = 3_600;

/// Workgroups whose use is in memory at once: of 63 days, some 20,000 values each.
const AT_ONCE: usize = 40;

/// Rounds of asking for the workgroups' configuration. One asks for as long as a run would; a thousand workgroups take a few.
const MOST_ROUNDS: usize = 20;

/// The past of the workgroups that a policy covers, read a group at a time.
#[derive(Debug)]
pub struct Past<'c> {
    clients: &'c Clients,
    catalogue: Catalogue,
    /// The stretch that is read: whole buckets, the unfinished one left out.
    pub span: Span,
    /// Until when it is read by hours, which are taken to have come evenly; `None` where all of it is by five minutes.
    pub hours_until: Option<Timestamp>,
    /// Those that can be read.
    readable: Vec<String>,
    /// Those of them that are still to be read.
    names: Vec<String>,
    /// Covered workgroups whose use cannot be known, and why.
    pub unseen: Vec<(String, Unknown)>,
    /// Why not all workgroups are known, where they are not.
    pub incomplete: Option<Unknown>,
    /// What else went wrong, in words.
    pub warnings: Vec<String>,
}

impl<'c> Past<'c> {
    /// Finds out which workgroups there are and which of them can be read, for the `length` before `now`, at most [`LONGEST_HOURS`]. With `cutoffs`
    /// also those that the policy has nothing but a cutoff for.
    pub async fn open(
        clients: &'c Clients,
        policy: &Policy,
        cutoffs: bool,
        length: SignedDuration,
        now: Timestamp,
    ) -> Past<'c> {
        let mut catalogue = Catalogue::default();
        let mut notes = gather::refresh(clients, &mut catalogue, None, now).await;
        let mut covered = Vec::new();
        for _ in 0..MOST_ROUNDS {
            covered = gather::covered(clients, policy, cutoffs, now, &mut catalogue, &mut notes).await;
            if !covered.iter().any(|(_, seen)| seen == &Err(Unknown::NotExaminedYet)) {
                break;
            }
        }
        let end = floor(now);
        let start = floor(end.saturating_sub(length.min(LONGEST_HOURS)).unwrap_or(Timestamp::MIN));
        let (start, hours_until) = match length > LONGEST {
            true => {
                // Up, so that nothing is asked by five minutes that is kept by hours only.
                let kept = end.saturating_sub(LONGEST).unwrap_or(Timestamp::MIN);
                (hour(start), Some(hour(kept.saturating_add(SignedDuration::from_secs(HOUR - 1)).unwrap_or(kept))))
            }
            false => (start, None),
        };
        let (mut names, mut unseen) = (Vec::new(), Vec::new());
        for (name, seen) in covered {
            match seen {
                Ok(()) => names.push(name),
                Err(why) => unseen.push((name, why)),
            }
        }
        let readable = names.clone();
        names.reverse();
        let span = Span { start, end };
        notes.warnings.dedup();
        let (incomplete, warnings) = (notes.incomplete, notes.warnings);
        Self { clients, catalogue, span, hours_until, readable, names, unseen, incomplete, warnings }
    }

    /// The part of the span that CloudWatch keeps by five minutes.
    pub fn by_five_minutes(&self) -> Span {
        Span { start: self.hours_until.unwrap_or(self.span.start), end: self.span.end }
    }

    /// In which five-minute buckets of [`by_five_minutes`](Self::by_five_minutes) a query of any readable workgroup had waited.
    ///
    /// # Errors
    /// As [`crowd::waited`].
    pub async fn waited(&self) -> Result<BTreeSet<Timestamp>, (String, Unknown)> {
        let names: Vec<&str> = self.readable.iter().map(String::as_str).collect();
        crowd::waited(self.clients, &self.catalogue.listed, &names, self.by_five_minutes()).await
    }

    /// The next workgroups with their use, or why it is not known; in the order of their names, and empty at the end.
    pub async fn next(&mut self) -> Vec<(String, Seen)> {
        let group: Vec<String> = (0..AT_ONCE).map_while(|_| self.names.pop()).collect();
        let names: Vec<&str> = group.iter().map(String::as_str).collect();
        if names.is_empty() {
            return Vec::new();
        }
        let Some(middle) = self.hours_until else {
            return gather::read_whole(self.clients, &self.catalogue, self.span, &names).await;
        };
        let older = Span { start: self.span.start, end: middle };
        let newer = Span { start: middle, end: self.span.end };
        let (older, newer) = futures_util::join!(
            gather::read_hours(self.clients, &self.catalogue, older, &names),
            gather::read_whole(self.clients, &self.catalogue, newer, &names)
        );
        let both = older.into_iter().zip(newer);
        both.map(|((name, older), (_, newer))| (name, joined(older, newer))).collect()
    }
}

/// Two series, the second of which begins where the first one ends; the hours of the first are cut into buckets that are alike.
fn joined(older: Seen, newer: Seen) -> Seen {
    let (older, newer) = (older?, newer?);
    let (first, hours) = older.buckets();
    let per_hour = usize::try_from(HOUR / BUCKET).unwrap_or(1);
    let mut buckets = Vec::with_capacity(hours.len() + newer.buckets().1.len());
    for hour in hours.chunks(per_hour) {
        let sum = hour.iter().fold(0u64, |sum, bytes| sum.saturating_add(bytes.get()));
        let parts = u64::try_from(hour.len()).unwrap_or(1).max(1);
        let (each, rest) = (sum / parts, sum % parts);
        buckets.extend((0..parts).map(|n| Bytes::new(if n == 0 { each + rest } else { each })));
    }
    buckets.extend_from_slice(newer.buckets().1);
    Ok(Series::from_buckets(first, buckets))
}

/// The start of the hour of the clock, UTC.
fn hour(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second().div_euclid(HOUR) * HOUR).unwrap_or(at)
}
