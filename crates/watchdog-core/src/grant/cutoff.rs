//! What is to be done about the per-query cutoff of a granted workgroup, one step at a time.
//!
//! Whoever carries it out looks at the cutoff, asks for the next step, does it, and looks again. Every step is safe to repeat and every
//! pause between two of them is safe to die in: what a change will need to be taken back is written down *before* the change, and a change
//! is only believed once it has been read back. A value that is neither the one before nor the raised one is somebody else's doing, and is
//! left alone and told.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Grant, Phase};
use crate::bytes::Bytes;

/// How often a cutoff that was set back meanwhile is raised again. Every update of a stack sets it back; somebody who does so by hand time and
/// again means it.
const MOST_AGAIN: u8 = 5;

/// What has become of the cutoff, as it is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Cutoff {
    /// It has not been touched.
    Untouched,
    /// It is about to be raised.
    Noted {
        /// What it was before; `None` for none.
        before: Option<Bytes>,
        /// How often it was found set back and raised again.
        again: u8,
    },
    /// It was raised, and read back.
    Raised {
        /// What it was before; `None` for none.
        before: Option<Bytes>,
        /// How often it was found set back and raised again.
        again: u8,
    },
    /// It was taken back, and read back.
    Restored {
        /// What it was before and is again.
        before: Option<Bytes>,
    },
    /// Somebody else has changed it, and it is left as they set it.
    Left {
        /// What it was before; `None` where it was never raised.
        before: Option<Before>,
        /// What it was found to be; `None` for none.
        found: Option<Bytes>,
    },
    /// There is no such workgroup any more.
    Gone,
}

/// A cutoff as it was before; `None` in it for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    /// The bytes.
    pub cutoff: Option<Bytes>,
}

/// The cutoff as Athena has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Live {
    /// This; `None` for none.
    Is(Option<Bytes>),
    /// There is no such workgroup.
    NoWorkgroup,
}

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing: it is as it should be.
    Nothing,
    /// Write down what has become of it.
    Note(Cutoff),
    /// Set it to this, or remove it, and look again.
    Set(Option<Bytes>),
    /// Write down what has become of it, and that the grant is closed.
    Close(Cutoff),
}

impl Cutoff {
    /// Whether it is left as it is, whatever the grant says.
    pub fn is_left(self) -> bool {
        matches!(self, Self::Left { .. } | Self::Gone)
    }

    /// What it was before the grant; `None` where that was never needed.
    pub fn before(self) -> Option<Before> {
        match self {
            Self::Untouched | Self::Gone => None,
            Self::Noted { before, .. } | Self::Raised { before, .. } | Self::Restored { before } => {
                Some(Before { cutoff: before })
            }
            Self::Left { before, .. } => before,
        }
    }
}

/// The next step for `grant` at `at`, where the cutoff is `live`. Looks at nothing but its arguments, so that a process that died anywhere
/// is continued by whoever comes next.
pub fn next(grant: &Grant, live: Live, at: Timestamp) -> Step {
    let over = match grant.phase(at) {
        Phase::Pending | Phase::Planned | Phase::Closed => return Step::Nothing,
        Phase::InForce => false,
        Phase::Over => true,
    };
    let Some(raised) = grant.per_query.map(|amount| amount.bytes) else {
        return if over { Step::Close(grant.cutoff) } else { Step::Nothing };
    };
    let live = match live {
        Live::Is(live) => live,
        Live::NoWorkgroup if over => return Step::Close(Cutoff::Gone),
        Live::NoWorkgroup => {
            return if grant.cutoff == Cutoff::Gone { Step::Nothing } else { Step::Note(Cutoff::Gone) };
        }
    };
    if over { take_back(grant.cutoff, raised, live) } else { raise(grant.cutoff, raised, live) }
}

fn raise(cutoff: Cutoff, raised: Bytes, live: Option<Bytes>) -> Step {
    match cutoff {
        // Somebody has raised it as far already: theirs.
        Cutoff::Untouched if live.is_some_and(|live| live >= raised) => {
            Step::Note(Cutoff::Left { before: None, found: live })
        }
        Cutoff::Untouched => Step::Note(Cutoff::Noted { before: live, again: 0 }),
        Cutoff::Noted { before, again } if live == Some(raised) => Step::Note(Cutoff::Raised { before, again }),
        Cutoff::Noted { before, .. } if live == before => Step::Set(Some(raised)),
        Cutoff::Raised { .. } if live == Some(raised) => Step::Nothing,
        // As an update of a stack does.
        Cutoff::Raised { before, again } if live == before && again < MOST_AGAIN => {
            Step::Note(Cutoff::Noted { before, again: again + 1 })
        }
        Cutoff::Noted { before, .. } | Cutoff::Raised { before, .. } => {
            Step::Note(Cutoff::Left { before: Some(Before { cutoff: before }), found: live })
        }
        Cutoff::Restored { .. } | Cutoff::Left { .. } | Cutoff::Gone => Step::Nothing,
    }
}

fn take_back(cutoff: Cutoff, raised: Bytes, live: Option<Bytes>) -> Step {
    match cutoff {
        Cutoff::Noted { before, .. } | Cutoff::Raised { before, .. } if live == before => {
            Step::Close(Cutoff::Restored { before })
        }
        Cutoff::Noted { before, .. } | Cutoff::Raised { before, .. } if live == Some(raised) => Step::Set(before),
        Cutoff::Noted { before, .. } | Cutoff::Raised { before, .. } => {
            Step::Close(Cutoff::Left { before: Some(Before { cutoff: before }), found: live })
        }
        // Left during the grant: what it is at the end is what its admins are told.
        Cutoff::Left { before, .. } => Step::Close(Cutoff::Left { before, found: live }),
        Cutoff::Untouched | Cutoff::Restored { .. } | Cutoff::Gone => Step::Close(cutoff),
    }
}
