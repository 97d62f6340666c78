//! The time that a run has: it begins nothing that it could not end, so that it is never cut off before it has said what it did.
//!
//! By the clock that only goes on, from the run's start: what the wall's clock does meanwhile is no matter.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};

use crate::failure::AwsFailure;

/// No run has longer; what says so is a mistake.
const LONGEST: Duration = Duration::from_secs(86_400);

/// When a run will be cut off.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    end: Instant,
}

impl Budget {
    /// Of a run that begins at `now`, which is this instant, and is cut off at `deadline`.
    pub fn new(now: Timestamp, deadline: Timestamp) -> Self {
        let left = Duration::try_from(deadline.duration_since(now)).unwrap_or_default().min(LONGEST);
        Self { end: Instant::now() + left }
    }

    /// The instant from which on only `kept` is left; now, where that is past.
    pub fn but(self, kept: Duration) -> Instant {
        let now = Instant::now();
        self.end.checked_duration_since(now).map_or(now, |left| now + left.saturating_sub(kept))
    }

    /// Whether no more than `kept` is left.
    pub fn is_down_to(self, kept: Duration) -> bool {
        self.but(kept) <= Instant::now()
    }

    /// Does what is called `operation` until only `kept` is left.
    ///
    /// # Errors
    /// That of `doing`; and a [`AwsFailure`] with the code `Timeout` where the time was up. Then it may have been done all the same.
    pub async fn within<T>(
        self,
        kept: Duration,
        operation: &'static str,
        doing: impl Future<Output = Result<T, AwsFailure>>,
    ) -> Result<T, AwsFailure> {
        let late = || AwsFailure {
            retryable: true,
            ..AwsFailure::own(operation, "Timeout", "the run's time for it was up".to_owned())
        };
        timeout_at(self.but(kept), doing).await.unwrap_or_else(|_| Err(late()))
    }
}
