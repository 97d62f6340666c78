//! Grants: a workgroup's limit, its per-query cutoff, or both, raised for a while.
//!
//! A grant is a record with a beginning and an end. What it does to a *limit* is arithmetic, and takes itself back: [`in_force`] gives the
//! policy as it is at an instant. What it does to the *cutoff* that Athena enforces is a change of the world, which somebody has to make and
//! take back: [`cutoff`] says what is to be done next, given what the cutoff is.
//!
//! One workgroup has one grant at a time, from when it is asked for until it is closed: overlapping raises would have to say whose
//! "before" is whose. A longer one is an extension of the same grant, a higher one is a new one after the old was revoked.

pub mod cutoff;

use std::collections::BTreeMap;
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use self::cutoff::Cutoff;
use crate::bytes::{Bytes, Size, Units};
use crate::policy::{Policy, Submitters, UnderGrant};
use crate::principal::Principal;
use crate::window::{Span, ceil};

/// Closed grants of a workgroup that are remembered, to be listed and to know a request again that comes twice.
const MOST_CLOSED: usize = 20;
/// How long a closed grant is remembered.
const KEEP_CLOSED: SignedDuration = SignedDuration::from_hours(45 * 24);
/// A grant that is about to end is said to be so this long before, and not before three quarters of it are over.
const ENDS_SOON: SignedDuration = SignedDuration::from_mins(30);

/// All grants that are remembered, by workgroup. Not empty lists, the oldest first.
pub type Grants = BTreeMap<String, Book>;

/// The grants of one workgroup.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book {
    /// The oldest first; at most the last is not closed.
    pub grants: Vec<Grant>,
}

/// One grant, and what has become of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Its name, chosen by whoever asked.
    pub id: String,
    /// The workgroup.
    pub workgroup: String,
    /// Who asked for it.
    pub by: Asker,
    /// Why, in their words.
    pub reason: String,
    /// Which limit is raised to what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Raise>,
    /// What the per-query cutoff is raised to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_query: Option<Amount>,
    /// When it was asked for.
    pub asked: Timestamp,
    /// Its beginning, inclusive. Never changes.
    pub from: Timestamp,
    /// Its end, exclusive. Extensions move it.
    pub until: Timestamp,
    /// Whether somebody else has to approve it before it stands.
    pub needs_approval: bool,
    /// Who approved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<Act>,
    /// Who extended it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extended: Option<Act>,
    /// Who revoked it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Act>,
    /// What has become of the cutoff.
    pub cutoff: Cutoff,
    /// When everything was found to be taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<Timestamp>,
    /// Ids of the requests that have changed it: none counts twice.
    pub requests: Vec<String>,
}

/// Which limit is raised, and to what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raise {
    /// The window's name, such as `1h`.
    pub window: String,
    /// The raised limit.
    pub to: Amount,
}

/// Bytes, and the units they were asked for in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// The bytes.
    pub bytes: Bytes,
    /// Whether they were written in powers of 1024.
    pub binary: bool,
}

/// Somebody whose identity AWS has vouched for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asker {
    /// As the policy may name them.
    pub principal: Principal,
    /// As AWS names them.
    pub arn: String,
}

/// Something that somebody did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// Who.
    pub by: Asker,
    /// When.
    pub at: Timestamp,
}

/// Where a grant stands at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Somebody else has to approve it.
    Pending,
    /// It stands, and has not begun.
    Planned,
    /// It is in force.
    InForce,
    /// It is over, and something may still have to be taken back.
    Over,
    /// It is over, and everything is taken back.
    Closed,
}

impl Grant {
    /// Where it stands at `at`.
    pub fn phase(&self, at: Timestamp) -> Phase {
        if self.closed.is_some() {
            Phase::Closed
        } else if at >= self.end() {
            Phase::Over
        } else if self.needs_approval && self.approved.is_none() {
            Phase::Pending
        } else if at < self.from {
            Phase::Planned
        } else {
            Phase::InForce
        }
    }

    /// When it ends or ended, exclusive: at its time, or when it was revoked.
    pub fn end(&self) -> Timestamp {
        self.revoked.as_ref().map_or(self.until, |act| act.at.min(self.until))
    }

    /// Whether it was ever in force before `at`.
    pub fn has_been_in_force(&self, at: Timestamp) -> bool {
        self.begun().is_some_and(|begun| begun < self.end().min(at))
    }

    /// From when it was in force, where it ever stood: not before somebody had approved it.
    fn begun(&self) -> Option<Timestamp> {
        let stands =
            self.approved.as_ref().map_or(if self.needs_approval { None } else { Some(self.asked) }, |a| Some(a.at));
        stands.map(|stood| self.from.max(stood))
    }

    /// From when it is said to end soon.
    pub fn ends_soon_from(&self) -> Timestamp {
        let length = self.until.duration_since(self.from);
        self.until - ENDS_SOON.min(length / 4)
    }

    /// Whether the world has to be looked at, or the record changed, at `at`.
    pub fn is_due(&self, at: Timestamp) -> bool {
        match self.phase(at) {
            Phase::Pending | Phase::Planned | Phase::Closed => false,
            Phase::InForce => self.per_query.is_some() && !self.cutoff.is_left(),
            Phase::Over => true,
        }
    }
}

impl Book {
    /// The grant that is not closed, if there is one.
    pub fn open(&self) -> Option<&Grant> {
        self.grants.last().filter(|grant| grant.closed.is_none())
    }

    /// The same, to be changed.
    pub fn open_mut(&mut self) -> Option<&mut Grant> {
        self.grants.last_mut().filter(|grant| grant.closed.is_none())
    }

    /// The grant with this id.
    pub fn get(&self, id: &str) -> Option<&Grant> {
        self.grants.iter().find(|grant| grant.id == id)
    }

    /// Whether a request has had its effect already.
    pub fn knows(&self, request: &str) -> bool {
        self.grants.iter().any(|grant| grant.requests.iter().any(|known| known == request))
    }

    /// Forgets what was closed long ago.
    pub fn forget(&mut self, at: Timestamp) {
        self.grants.retain(|grant| grant.closed.is_none_or(|closed| at.duration_since(closed) <= KEEP_CLOSED));
        let surplus = self.grants.len().saturating_sub(MOST_CLOSED + 1);
        self.grants.drain(..surplus);
    }

    /// When the whole record may be forgotten; `None` while a grant is open.
    pub fn expires(&self) -> Option<Timestamp> {
        let closed: Option<Vec<Timestamp>> = self.grants.iter().map(|grant| grant.closed).collect();
        closed?.into_iter().max().map(|last| last + KEEP_CLOSED)
    }
}

impl Asker {
    /// Whether this is certainly another person than `other`.
    ///
    /// Two sessions of one role are not: who assumes an ordinary role calls their session as they like, and would approve their own
    /// request under another name. They are where the policy trusts the role's session names.
    pub fn is_another_person_than(&self, other: &Self, submitters: &Submitters) -> bool {
        match (&self.principal, &other.principal) {
            (Principal::Session { role: a, session: one, .. }, Principal::Session { role: b, session: two, .. }) => {
                a != b || (one != two && submitters.trusted_roles.contains(a))
            }
            (a, b) => a != b,
        }
    }
}

impl Amount {
    /// As a size with its units.
    pub fn size(self) -> Size {
        Size { bytes: self.bytes, units: if self.binary { Units::Binary } else { Units::Decimal } }
    }
}

impl From<Size> for Amount {
    fn from(size: Size) -> Self {
        Self { bytes: size.bytes, binary: size.units == Units::Binary }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.bytes.human(self.size().units))
    }
}

impl fmt::Display for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.principal.fmt(f)
    }
}

impl Phase {
    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Planned => "planned",
            Self::InForce => "in force",
            Self::Over => "over",
            Self::Closed => "closed",
        }
    }
}

/// Whether a grant has raised the workgroup's limit of this window at any time of `span`.
pub fn was_raised(grants: &Grants, workgroup: &str, window: &str, span: Span) -> bool {
    let raises = |grant: &&Grant| grant.limit.as_ref().is_some_and(|raise| raise.window == window);
    let meets = |grant: &Grant| {
        grant.begun().is_some_and(|begun| begun < grant.end().min(span.end) && grant.end() > span.start)
    };
    grants.get(workgroup).is_some_and(|book| book.grants.iter().filter(raises).any(meets))
}

/// The policy as grants make it at `at`: limits raised where one is in force, from its beginning inclusive to its end exclusive.
///
/// After the end the usual limit holds again at once. What was scanned before does not count against it: it was allowed. Otherwise every
/// grant would end with an alert, which nobody could do anything about, for the length of the window. Nor does the forecast say anything
/// for that long, as all it knows is the pace that was granted.
pub fn in_force(policy: &Policy, grants: &Grants, at: Timestamp) -> Policy {
    let mut policy = policy.clone();
    for (workgroup, book) in grants {
        for grant in &book.grants {
            let Some(raise) = &grant.limit else { continue };
            let under = match grant.phase(at) {
                Phase::InForce => None,
                _ if grant.has_been_in_force(at) => Some(UnderGrant::Ended { at: grant.end() }),
                _ => continue,
            };
            policy = policy.with_rule(workgroup, |rule| {
                let Some(limit) = rule.limits.iter_mut().find(|limit| limit.window.id() == raise.window) else {
                    return;
                };
                match under {
                    Some(UnderGrant::Ended { at: ended }) if limit.window.span(at).start < ceil(ended) => {
                        limit.forecast = false;
                        limit.warn = limit.warn_unforeseen;
                        limit.grant = Some(UnderGrant::Ended { at: ended });
                    }
                    // A limit that the policy has raised above it meanwhile stays there.
                    None if raise.to.bytes > limit.bytes => {
                        let (id, by, until) = (grant.id.clone(), grant.by.to_string(), grant.until);
                        limit.grant = Some(UnderGrant::Raised { id, by, until, usual: limit.bytes });
                        limit.bytes = raise.to.bytes;
                        limit.units = raise.to.size().units;
                    }
                    _ => {}
                }
            });
        }
    }
    policy
}
