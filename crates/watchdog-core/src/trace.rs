//! Use over time in few points, however long the time: what a plot needs and no more.

use crate::bytes::Bytes;
use crate::window::BUCKET;

/// The most points of a trace: about one for each dot that a plot is wide on paper and on most screens.
const MOST: usize = 1024;

/// The largest use in each of at most 1,024 equal stretches of time. Each point keeps the largest of its stretch, so that no peak is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// Beginning of the first stretch, in seconds; `None` as long as there is nothing.
    first: Option<i64>,
    /// Length of a stretch in seconds; it doubles each time there would be too many.
    stretch: i64,
    /// `None` where nothing was looked at.
    points: Vec<Option<Bytes>>,
}

impl Default for Trace {
    fn default() -> Self {
        Self { first: None, stretch: BUCKET, points: Vec::new() }
    }
}

impl Trace {
    /// Notes what a look at `at`, in seconds, found; looks come in the order of time.
    pub fn add(&mut self, at: i64, used: Bytes) {
        let first = *self.first.get_or_insert(at);
        let place = |stretch: i64| usize::try_from((at - first) / stretch).unwrap_or(0);
        while place(self.stretch) >= MOST {
            self.stretch = self.stretch.saturating_mul(2);
            self.points = self.points.chunks(2).map(|two| two.iter().copied().max().flatten()).collect();
        }
        let place = place(self.stretch);
        if self.points.len() <= place {
            self.points.resize(place + 1, None);
        }
        if let Some(point) = self.points.get_mut(place) {
            *point = (*point).max(Some(used));
        }
    }

    /// The middle of each stretch in seconds, with the largest use that was seen in it.
    pub fn points(&self) -> impl Iterator<Item = (i64, Bytes)> {
        let first = self.first.unwrap_or(0);
        let middle = move |n: usize| first + i64::try_from(n).unwrap_or(0) * self.stretch + self.stretch / 2;
        self.points.iter().enumerate().filter_map(move |(n, used)| Some((middle(n), (*used)?)))
    }

    /// The largest use of all.
    pub fn peak(&self) -> Bytes {
        self.points.iter().flatten().copied().max().unwrap_or(Bytes::ZERO)
    }
}

/// A block as high as the share of `limit` that is used, in eighths; only a limit that is gone is full, and what is used at all is seen.
pub fn block(used: Bytes, limit: Bytes) -> char {
    let eighths = (u128::from(used.get()) * 8 / u128::from(limit.get().max(1))).min(8);
    let height = eighths.max(u128::from(used > Bytes::ZERO));
    let blocks = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    usize::try_from(height).ok().and_then(|height| blocks.get(height)).copied().unwrap_or('█')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However many looks there are, each peak of the use is in the trace, and within a stretch of where it was.
    #[test]
    fn no_peak_is_lost() {
        let mut trace = Trace::default();
        let spikes = [17, 4_000, 9_999, 123_456, 199_999];
        for n in 0..200_000 {
            let used = if spikes.contains(&n) { 1_000 + u64::try_from(n).unwrap() } else { 5 };
            trace.add(n * 300 + 60, Bytes::new(used));
        }
        let points: Vec<_> = trace.points().collect();
        assert!(points.len() <= MOST && points.len() > MOST / 2, "{}", points.len());
        assert!(points.windows(2).all(|two| two[0].0 < two[1].0));
        for spike in spikes {
            let used = Bytes::new(1_000 + u64::try_from(spike).unwrap());
            let (at, _) = points.iter().find(|(_, found)| *found == used).unwrap();
            assert!((at - spike * 300).abs() <= trace.stretch, "{spike}");
        }
        assert_eq!(trace.peak(), Bytes::new(200_999));
    }

    #[test]
    fn only_a_limit_that_is_gone_is_a_full_block() {
        let blocks =
            |used: &[u64]| used.iter().map(|used| block(Bytes::new(*used), Bytes::new(800))).collect::<String>();
        assert_eq!(blocks(&[0, 1, 199, 200, 400, 799, 800, u64::MAX]), " ▁▁▂▄▇██");
    }

    #[test]
    fn a_pause_is_no_use_and_costs_nothing() {
        let mut trace = Trace::default();
        trace.add(0, Bytes::new(3));
        trace.add(1 << 40, Bytes::new(4));
        assert!(trace.points.len() <= MOST);
        assert_eq!(trace.points().map(|(_, used)| used).collect::<Vec<_>>(), [Bytes::new(3), Bytes::new(4)]);
        assert_eq!(Trace::default().points().count(), 0);
    }
}
