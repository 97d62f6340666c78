//! How much is needed: one number from the peaks of many days, or from the sizes of many queries.
//!
//! It is an order statistic: a peak that was there, with its date, and not the parameter of a curve. For days it is the one that a day
//! in twenty passes; with less than forty days that is the largest. `docs/plan.md` has the figures by which this was chosen among
//! others, on series that were left out of the choice.

use jiff::civil::Weekday;

use super::days::{Day, median, weekday};
use crate::bytes::Bytes;

/// Fewer days than this say nothing of the next ones: neither a week nor a weekend is in them for sure, and the largest of four is passed
/// on one day in five.
pub const FEWEST_DAYS: u32 = 5;

/// Two weeks: from here on each weekday was there twice, and two halves can be compared.
const TWO_WEEKS: usize = 14;

/// One day in so many may pass what is needed. With one in ten the number that was stated was off by 0.18 of a day on days that were left
/// out, with one in twenty by 0.14; one in thirty makes no difference before two months.
const ONE_DAY_IN: usize = 20;

/// A single day with more than three times of any other is an accident and no need. A limit that has room for the last accident does not
/// tell of the next one. With three the limits of the public series are a quarter lower on average, and passed as often;
/// with two they would be passed more often.
const ACCIDENT: u128 = 3;

/// Growth from the first weeks to as many at the end counts from a tenth on, and up to a half: it is taken to go on for as long again.
const LEAST_GROWTH: (u128, u128) = (11, 10);
const MOST_GROWTH: (u128, u128) = (3, 2);

/// Fewer queries than this say nothing of rare ones.
pub const FEWEST_QUERIES: usize = 100;

/// One query in so many may be cut off: in a workgroup with a thousand queries a day, one a day.
const ONE_QUERY_IN: usize = 1_000;

/// A peak and when it was: the end of the window, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peak {
    /// The most that a window held.
    pub bytes: Bytes,
    /// The end of that window.
    pub at: i64,
}

/// What is needed, and what it stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// The number: that of `base`, and growth on top.
    pub bytes: Bytes,
    /// Days that were looked at.
    pub days: u32,
    /// Windows that were looked at.
    pub windows: u64,
    /// First second of the first day, and of the last.
    pub span: (i64, i64),
    /// The largest of all.
    pub peak: Peak,
    /// The day's peak that is the statistic.
    pub base: Peak,
    /// Which it is from above; the largest is 1, and an accident counts.
    pub rank: u32,
    /// The largest, where it is left out.
    pub accident: Option<Peak>,
    /// The medians of the first weeks and of as many at the end, where they are far enough apart to be growth.
    pub growth: Option<(Bytes, Bytes)>,
    /// The weekday with the largest median and that with the smallest, where there are two weeks.
    pub week: Option<[(Weekday, Bytes); 2]>,
    /// Days with less than a tenth of the median: holidays, for example. They count like others.
    pub quiet: u32,
}

/// What the sizes of queries say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryNeed {
    /// The size that is the statistic.
    pub bytes: Bytes,
    /// Queries that were looked at.
    pub queries: usize,
    /// Which it is from above; the largest is 1.
    pub rank: usize,
    /// The largest of all.
    pub largest: Bytes,
    /// The median.
    pub median: Bytes,
}

/// Why nothing is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoNeed {
    /// Too few days with most of their windows known.
    TooLittle {
        /// How many there are.
        days: u32,
    },
    /// Nothing was scanned at all.
    Idle {
        /// How many days there are.
        days: u32,
    },
}

/// What windows need, from the peak of each day.
///
/// # Errors
/// [`NoNeed`] where that cannot be said.
pub fn need(days: &[Day]) -> Result<Need, NoNeed> {
    let n = u32::try_from(days.len()).unwrap_or(u32::MAX);
    let mut peaks: Vec<Peak> = days.iter().map(|day| Peak { bytes: day.peak, at: day.at }).collect();
    // The earlier of two that are alike first.
    peaks.sort_by(|a, b| b.bytes.cmp(&a.bytes).then(a.at.cmp(&b.at)));
    let (Some(peak), Some(second), true) = (peaks.first().copied(), peaks.get(1), n >= FEWEST_DAYS) else {
        return Err(NoNeed::TooLittle { days: n });
    };
    if peak.bytes == Bytes::ZERO {
        return Err(NoNeed::Idle { days: n });
    }
    // Beside days without any use every use would be an accident.
    let is_accident =
        second.bytes > Bytes::ZERO && u128::from(peak.bytes.get()) > u128::from(second.bytes.get()) * ACCIDENT;
    let rank = ((days.len() + 1) / ONE_DAY_IN).max(1);
    let from_above = if is_accident { rank.max(2) } else { rank };
    let base = peaks.get(from_above - 1).copied().unwrap_or(peak);
    let growth = growth(days);
    let bytes = match growth {
        Some((before, after)) => grown(base.bytes, before, after),
        None => base.bytes,
    };
    let middle = median(days.iter().map(|day| day.peak)).unwrap_or(Bytes::ZERO);
    let quiet = days.iter().filter(|day| u128::from(day.peak.get()) * 10 < u128::from(middle.get())).count();
    Ok(Need {
        bytes,
        days: n,
        windows: days.iter().map(|day| u64::from(day.windows)).sum(),
        span: (days.first().map_or(0, |day| day.start), days.last().map_or(0, |day| day.start)),
        peak,
        base,
        rank: u32::try_from(from_above).unwrap_or(u32::MAX),
        accident: is_accident.then_some(peak),
        growth,
        week: week(days),
        quiet: u32::try_from(quiet).unwrap_or(u32::MAX),
    })
}

/// What a query needs, from the sizes of queries in any order.
pub fn query_need(sizes: &[Bytes]) -> Option<QueryNeed> {
    let mut sizes = sizes.to_vec();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    let rank = ((sizes.len() + 1) / ONE_QUERY_IN).max(1);
    let (largest, bytes) = (*sizes.first()?, *sizes.get(rank - 1)?);
    let median = sizes.get(sizes.len() / 2).copied()?;
    (sizes.len() >= FEWEST_QUERIES).then_some(QueryNeed { bytes, queries: sizes.len(), rank, largest, median })
}

fn growth(days: &[Day]) -> Option<(Bytes, Bytes)> {
    if days.len() < TWO_WEEKS {
        return None;
    }
    // Whole weeks at both ends: of other halves one has a weekend more, and that would be growth.
    let half = days.len() / 2 / 7 * 7;
    let (first, second) = (days.get(..half)?, days.get(days.len() - half..)?);
    let medians = (median(first.iter().map(|day| day.peak))?, median(second.iter().map(|day| day.peak))?);
    let (before, after) = (u128::from(medians.0.get()), u128::from(medians.1.get()));
    let (more, of) = LEAST_GROWTH;
    (before > 0 && after * of >= before * more).then_some(medians)
}

fn grown(bytes: Bytes, before: Bytes, after: Bytes) -> Bytes {
    let (before, after) = (u128::from(before.get()).max(1), u128::from(after.get()));
    let (more, of) = MOST_GROWTH;
    let (after, before) = if after * of > before * more { (more, of) } else { (after, before) };
    u64::try_from(u128::from(bytes.get()) * after / before).map_or(Bytes::new(u64::MAX), Bytes::new)
}

fn week(days: &[Day]) -> Option<[(Weekday, Bytes); 2]> {
    if days.len() < TWO_WEEKS {
        return None;
    }
    let of = |wanted: Weekday| {
        let peaks = days.iter().filter(|day| weekday(day.start) == Some(wanted)).map(|day| day.peak);
        median(peaks).map(|middle| (wanted, middle))
    };
    let medians: Vec<(Weekday, Bytes)> = Weekday::Monday.cycle_forward().take(7).filter_map(of).collect();
    // The first of several that are alike.
    let most = medians.iter().rev().max_by_key(|(_, middle)| *middle)?;
    let least = medians.iter().min_by_key(|(_, middle)| *middle)?;
    Some([*most, *least])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Days from a Monday on, with these peaks.
    fn days(peaks: impl IntoIterator<Item = u64>) -> Vec<Day> {
        let monday = "2026-03-02T00:00:00Z".parse::<jiff::Timestamp>().unwrap().as_second();
        let day = |(n, peak): (usize, u64)| {
            let start = monday + i64::try_from(n).unwrap() * 86_400;
            Day { start, peak: Bytes::new(peak), at: start + 43_200, windows: 288 }
        };
        peaks.into_iter().enumerate().map(day).collect()
    }

    #[track_caller]
    fn check(peaks: impl IntoIterator<Item = u64>, expected: &str) {
        let got = match need(&days(peaks)) {
            Ok(need) => format!(
                "{} rank {} of {}{}{}",
                need.bytes.get(),
                need.rank,
                need.days,
                need.accident.map_or(String::new(), |peak| format!(", without {}", peak.bytes.get())),
                need.growth.map_or(String::new(), |(a, b)| format!(", {} to {}", a.get(), b.get())),
            ),
            Err(why) => format!("{why:?}"),
        };
        assert_eq!(got, expected);
    }

    #[test]
    fn one_day_in_twenty_may_pass_it() {
        check([5, 3, 9, 4, 8], "9 rank 1 of 5");
        check((1..=38).rev(), "38 rank 1 of 38");
        check((1..=39).rev(), "38 rank 2 of 39");
        check((1..=59).rev(), "57 rank 3 of 59");
    }

    #[test]
    fn too_little_and_nothing_are_said() {
        check([], "TooLittle { days: 0 }");
        check([7], "TooLittle { days: 1 }");
        check([7, 8, 7, 8], "TooLittle { days: 4 }");
        check([0; 30], "Idle { days: 30 }");
    }

    #[test]
    fn a_single_giant_is_left_out_and_two_are_not() {
        check([10, 11, 12, 10, 37, 11], "12 rank 2 of 6, without 37");
        check([10, 11, 12, 10, 36, 11], "36 rank 1 of 6");
        check([10, 11, 37, 10, 37, 11], "37 rank 1 of 6");
        // The only use there was is no accident.
        check([0, 0, 0, 0, 0, 4], "4 rank 1 of 6");
        check((0..60).map(|n| if n == 7 { 1 << 60 } else { 100 - n }), "99 rank 3 of 60, without 1152921504606846976");
    }

    #[test]
    fn growth_goes_on_but_not_without_end() {
        check((0..14).map(|n| if n < 7 { 100 } else { 120 }), "144 rank 1 of 14, 100 to 120");
        check((0..14).map(|n| if n < 7 { 100 } else { 109 }), "109 rank 1 of 14");
        check((0..14).map(|n| if n < 7 { 100 } else { 250 }), "375 rank 1 of 14, 100 to 250");
        // A week of seven days is no growth, wherever it is cut.
        check((0..20).map(|n| 100 + n % 7 * 20), "220 rank 1 of 20");
        // Use that falls does not lower what is needed.
        check((0..14).map(|n| if n < 7 { 100 } else { 50 }), "100 rank 1 of 14");
        check((0..13).map(|n| if n < 7 { 100 } else { 120 }), "120 rank 1 of 13");
    }

    #[test]
    fn the_week_and_its_quiet_days_are_told() {
        let need = need(&days((0..28).map(|n| match n % 7 {
            1 => 900,
            6 => 20,
            _ => 400,
        })));
        let need = need.unwrap();
        let [most, least] = need.week.unwrap();
        assert_eq!((most.0, least.0, need.quiet), (Weekday::Tuesday, Weekday::Sunday, 4));
    }

    #[test]
    fn queries() {
        let sizes = |n: u64| (1..=n).map(Bytes::new).collect::<Vec<_>>();
        assert_eq!(query_need(&sizes(99)), None);
        assert_eq!(query_need(&sizes(100)).map(|need| (need.bytes.get(), need.rank)), Some((100, 1)));
        assert_eq!(query_need(&sizes(1_998)).map(|need| (need.bytes.get(), need.rank)), Some((1_998, 1)));
        assert_eq!(query_need(&sizes(1_999)).map(|need| (need.bytes.get(), need.rank)), Some((1_998, 2)));
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

        /// Whatever the days: the base is one of them, no more days pass it than its rank and the accident allow, and the order of days with
        /// the same halves does not matter to it.
        #[test]
        fn the_base_is_a_day_that_few_pass(peaks in proptest::collection::vec(0..1_000_000u64, 5..90)) {
            if let Ok(need) = need(&days(peaks.clone())) {
                proptest::prop_assert!(peaks.contains(&need.base.bytes.get()));
                let above = peaks.iter().filter(|peak| **peak > need.base.bytes.get()).count();
                proptest::prop_assert!(above < (peaks.len() + 1) / 20 + 1 + usize::from(need.accident.is_some()));
                proptest::prop_assert!(need.bytes >= need.base.bytes);
            }
        }
    }
}
