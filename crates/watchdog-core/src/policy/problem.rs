//! What is wrong with a policy, and where.

use std::fmt;

use crate::untrusted::plain;

/// A place in one of a policy's documents; lines and columns count from one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The document: a file's or a parameter's name.
    pub document: String,
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

/// One thing wrong with a policy: where, what, and what would have been accepted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where; `None` for something missing from the whole.
    pub place: Option<Place>,
    /// What is wrong, the value in backticks, and the remedy.
    pub message: String,
}

/// Everything wrong with a policy, in the order of its documents. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl Problem {
    /// A problem whose message is one line, whatever the value in it.
    pub(super) fn new(place: Option<Place>, message: &str) -> Self {
        Self { place, message: plain(message) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.document, self.line, self.column)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{place}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}
