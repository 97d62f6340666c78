//! The exit codes of the interface contract, and what ends a command early.

use watchdog_core::checkup::Outcome;

/// How a command ended. The numbers are a contract with scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything was seen, and it is fine.
    Fine = 0,
    /// Everything was seen, and something is over a threshold or to be mended.
    Over = 1,
    /// Wrong usage, or input that cannot be read or understood.
    Usage = 2,
    /// Something could not be seen.
    Unseen = 3,
}

/// What stopped a command: one sentence that names the thing, says what is wrong with it and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Which code it exits with.
    pub exit: Exit,
    /// For people.
    pub message: String,
}

impl Exit {
    /// The code for what was found.
    ///
    /// Not having seen everything beats being over a threshold: 0 and 1 both say "this is the whole picture", and a script
    /// may act on them. The limits that are over are printed in any case.
    pub fn of<'a>(levels: impl IntoIterator<Item = &'a str>, all_seen: bool) -> Self {
        let mut exit = if all_seen { Self::Fine } else { Self::Unseen };
        for level in levels {
            match level {
                "ok" => {}
                "unknown" => exit = Self::Unseen,
                _ if exit == Self::Fine => exit = Self::Over,
                _ => {}
            }
        }
        exit
    }
}

impl From<Outcome> for Exit {
    /// A note is no fault; not having seen everything beats all else.
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Fine | Outcome::Note => Self::Fine,
            Outcome::Warning | Outcome::Critical => Self::Over,
            Outcome::Unknown => Self::Unseen,
        }
    }
}

impl Failure {
    /// Wrong usage, or input that cannot be read.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into() }
    }

    /// Nothing could be seen.
    pub fn unseen(message: impl Into<String>) -> Self {
        Self { exit: Exit::Unseen, message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(levels: &[&'static str], all_seen: bool, expected: Exit) {
        assert_eq!(Exit::of(levels.iter().copied(), all_seen), expected, "{levels:?}");
    }

    #[test]
    fn one_is_only_said_of_the_whole_picture() {
        check(&[], true, Exit::Fine);
        check(&["ok", "ok"], true, Exit::Fine);
        check(&["ok", "warn"], true, Exit::Over);
        check(&["exhausted", "critical", "ok"], true, Exit::Over);
        check(&["exhausted", "unknown"], true, Exit::Unseen);
        check(&["unknown", "exhausted"], true, Exit::Unseen);
        check(&["ok"], false, Exit::Unseen);
        check(&["exhausted"], false, Exit::Unseen);
    }
}
