//! A grant and a silence that are made up, as they stand at an instant of the preview.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{About, World};
use crate::alert::Subject;
use crate::bytes::{Bytes, Size};
use crate::grant::cutoff::Cutoff;
use crate::grant::{Asker, Book, Grant, Grants, Raise};
use crate::silence::{Silence, Silences};

/// A name as the tool gives them.
pub(super) const ID: &str = "g-5e6f7a80";

/// What is promised, and what went wrong in keeping it.
#[derive(Default)]
pub(super) struct Made {
    pub grants: Grants,
    pub silences: Silences,
    pub troubles: BTreeMap<String, String>,
}

impl About {
    /// Whether it is about a grant.
    pub(super) fn is_of_a_grant(self) -> bool {
        use About::{CutoffAmiss, GrantAsked, GrantEnded, GrantEndsSoon, Granted};
        matches!(self, GrantAsked | Granted | GrantEndsSoon | GrantEnded | CutoffAmiss)
    }
}

impl World<'_> {
    /// What is promised at this look.
    pub(super) fn made(&self) -> Made {
        let mut made = Made::default();
        if self.about.is_of_a_grant() {
            let book = Book { grants: vec![self.grant()] };
            made.grants.insert(self.workgroup.to_owned(), book);
        }
        if self.about == About::CutoffAmiss {
            made.troubles.insert(self.workgroup.to_owned(), "AWS denied `athena:UpdateWorkGroup`".to_owned());
        }
        if self.about == About::Silenced {
            let subject = Subject::Limit { workgroup: self.workgroup.to_owned(), window: self.limit.window.id() };
            made.silences.insert(subject, self.silence());
        }
        made
    }

    /// So many minutes after the preview's instant, or before it.
    fn minutes(&self, minutes: i64) -> Timestamp {
        self.now.checked_add(SignedDuration::from_mins(minutes)).unwrap_or(self.now)
    }

    fn asker(&self, name: &str) -> Asker {
        let principal = self.person(name);
        let arn = format!("arn:aws:sts::123456789012:assumed-{principal}");
        Asker { principal, arn }
    }

    fn grant(&self) -> Grant {
        let (from, until) = match self.about {
            About::GrantEndsSoon => (-160, 20),
            About::GrantEnded | About::CutoffAmiss => (-185, -5),
            _ => (0, 180),
        };
        let (from, until) = (self.minutes(from), self.minutes(until));
        let times = |size: Size, n: u64| Size { bytes: Bytes::new(size.bytes.get().saturating_mul(n)), ..size };
        let limit = Size { bytes: self.limit.bytes, units: self.limit.units };
        let usual = self.policy.rule_for(self.workgroup).and_then(|rule| rule.per_query_cutoff);
        // There is a cutoff in it only where there is one, or something is wrong with it.
        let raised = usual.map(|usual| times(usual, 5)).or((self.about == About::CutoffAmiss).then_some(limit));
        let before = usual.map(|usual| usual.bytes);
        let is_over = self.about == About::GrantEnded && self.at >= until;
        Grant {
            id: ID.to_owned(),
            workgroup: self.workgroup.to_owned(),
            by: self.asker("alex"),
            reason: "backfill of February, agreed with finance".to_owned(),
            limit: Some(Raise { window: self.limit.window.id(), to: times(limit, 2).into() }),
            per_query: raised.map(Into::into),
            asked: from,
            from,
            until,
            needs_approval: self.about == About::GrantAsked,
            approved: None,
            extended: None,
            revoked: None,
            cutoff: match (raised, is_over) {
                (None, _) => Cutoff::Untouched,
                (Some(_), true) => Cutoff::Restored { before },
                (Some(_), false) => Cutoff::Raised { before, again: 0 },
            },
            closed: is_over.then_some(self.at),
            requests: Vec::new(),
        }
    }

    /// Over a moment ago, and meanwhile an alert has opened.
    fn silence(&self) -> Silence {
        Silence {
            id: "s-5e6f7a81".to_owned(),
            by: self.asker("kim"),
            reason: "a known backfill, ends by itself".to_owned(),
            from: self.minutes(-62),
            until: self.minutes(-2),
            taken_back: None,
            resolved: None,
        }
    }
}
