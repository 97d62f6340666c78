//! The use of weeks, from CloudWatch: what a back-test goes through in the place of a file.
//!
//! CloudWatch keeps sums of five minutes for 63 days. A month is 8,640 values a metric, so that a request holds eleven metrics; they
//! are read a group of workgroups at a time, so that memory does not grow with the account.

use jiff::{SignedDuration, Timestamp};
use watchdog_core::catalogue::Catalogue;
use watchdog_core::policy::Policy;
use watchdog_core::usage::{Seen, Unknown};
use watchdog_core::window::{Span, floor};

use crate::clients::Clients;
use crate::gather;

/// How far back CloudWatch keeps five-minute sums.
pub const LONGEST: SignedDuration = SignedDuration::from_hours(63 * 24);

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
    /// Those that are still to be read.
    names: Vec<String>,
    /// Covered workgroups whose use cannot be known, and why.
    pub unseen: Vec<(String, Unknown)>,
    /// Why not all workgroups are known, where they are not.
    pub incomplete: Option<Unknown>,
    /// What else went wrong, in words.
    pub warnings: Vec<String>,
}

impl<'c> Past<'c> {
    /// Finds out which workgroups there are and which of them can be read, for the `length` before `now`, at most [`LONGEST`]. With `cutoffs`
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
        let start = floor(end.saturating_sub(length.min(LONGEST)).unwrap_or(Timestamp::MIN));
        let (mut names, mut unseen) = (Vec::new(), Vec::new());
        for (name, seen) in covered {
            match seen {
                Ok(()) => names.push(name),
                Err(why) => unseen.push((name, why)),
            }
        }
        names.reverse();
        let span = Span { start, end };
        notes.warnings.dedup();
        Self { clients, catalogue, span, names, unseen, incomplete: notes.incomplete, warnings: notes.warnings }
    }

    /// The next workgroups with their use, or why it is not known; in the order of their names, and empty at the end.
    pub async fn next(&mut self) -> Vec<(String, Seen)> {
        let group: Vec<String> = (0..AT_ONCE).map_while(|_| self.names.pop()).collect();
        let names: Vec<&str> = group.iter().map(String::as_str).collect();
        if names.is_empty() {
            return Vec::new();
        }
        gather::read(self.clients, &self.catalogue, self.span, &names).await
    }
}
