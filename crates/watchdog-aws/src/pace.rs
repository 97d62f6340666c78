//! How often an operation may be called: one token bucket for everybody in this process who calls it.
//!
//! AWS counts Athena's calls for the whole account and Region. A watchdog that used the rate up would make the console and the ETL
//! wait that it is there to protect, so it takes less than there is.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A bucket of tokens that fills at a steady rate. Clones share it.
#[derive(Debug, Clone)]
pub struct Pace {
    /// Between two calls, once the burst is used up.
    every: Duration,
    /// Calls that may be made at once after a rest.
    burst: u32,
    state: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    /// When all that was taken will have been filled up again.
    full_at: Option<Instant>,
    /// How long callers have had to wait.
    waited: Duration,
}

/// The paces of those operations whose rates are low enough to be met.
#[derive(Debug, Clone)]
pub struct Paces {
    /// `athena:ListQueryExecutions`: 5 a second with bursts of 10 for the account. One a second is left to others.
    pub list_queries: Pace,
    /// `athena:BatchGetQueryExecution`: 20 a second for the account. Half is left to others: every console asks for it.
    pub get_queries: Pace,
    /// `cloudtrail:LookupEvents`: 2 a second for the account, all attributes together. No more than one at once: a burst is refused.
    pub lookup_events: Pace,
}

impl Default for Paces {
    fn default() -> Self {
        Self {
            list_queries: Pace::new(Duration::from_millis(250), 8),
            get_queries: Pace::new(Duration::from_millis(100), 20),
            // A little slower than two a second: AWS's seconds are not ours.
            lookup_events: Pace::new(Duration::from_millis(550), 1),
        }
    }
}

impl Pace {
    /// One call `every` so often, and up to `burst` (at least 1) at once after a rest.
    pub fn new(every: Duration, burst: u32) -> Self {
        Self { every, burst: burst.max(1), state: Arc::default() }
    }

    /// Waits until the next call may be made. Callers are served in the order in which they ask.
    pub async fn take(&self) {
        let wait = self.reserve(Instant::now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// How long callers have waited since this was last asked; what the run report shows where it bites.
    pub fn waited(&self) -> Duration {
        std::mem::take(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner).waited)
    }

    /// Takes a token, and says how long to wait before it may be used.
    fn reserve(&self, now: Instant) -> Duration {
        let mut taken = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at = taken.full_at.map_or(now, |at| at.max(now));
        let wait = full_at.duration_since(now).saturating_sub(self.every * (self.burst - 1));
        taken.full_at = Some(full_at + self.every);
        taken.waited += wait;
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In any second no more than the rate and the burst, and as many as that where they are asked for.
    #[tokio::test(start_paused = true)]
    async fn a_burst_then_the_rate() {
        let pace = Pace::new(Duration::from_millis(250), 8);
        let start = Instant::now();
        let mut times = Vec::new();
        for _ in 0..20 {
            pace.take().await;
            times.push(start.elapsed().as_millis());
        }
        assert_eq!(times[..8], [0; 8]);
        assert_eq!(times[8..12], [250, 500, 750, 1000]);
        assert_eq!(times[19], 3000);
        assert_eq!(pace.waited(), Duration::from_millis(250 * 12));
        assert_eq!(pace.waited(), Duration::ZERO, "told once");
    }

    #[tokio::test(start_paused = true)]
    async fn a_rest_fills_it_up_to_the_burst_and_not_beyond() {
        let pace = Pace::new(Duration::from_millis(100), 3);
        for _ in 0..3 {
            pace.take().await;
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
        let start = Instant::now();
        for _ in 0..4 {
            pace.take().await;
        }
        assert_eq!(start.elapsed(), Duration::from_millis(100));
    }

    #[tokio::test(start_paused = true)]
    async fn clones_share_one_bucket() {
        let pace = Pace::new(Duration::from_secs(1), 1);
        let other = pace.clone();
        let start = Instant::now();
        futures_util::join!(pace.take(), other.take(), pace.take());
        assert_eq!(start.elapsed(), Duration::from_secs(2));
    }
}
