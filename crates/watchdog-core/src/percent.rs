//! Percentages, in hundredths of a percent, so that comparing them with bytes is integer arithmetic.

use std::fmt;
use std::str::FromStr;

use crate::bytes::Bytes;

/// A percentage from 0 % to 10,000 %, in steps of 0.01 %.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(u32);

/// Why a text is not a percentage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a percentage: write a number from 0 to 10000 with at most two decimals and the sign, such as `80 %`"
)]
pub struct BadPercent(String);

impl Percent {
    /// The whole.
    pub const HUNDRED: Self = Self::whole(100);

    /// `percent` whole percent; meant for constants.
    pub const fn whole(percent: u32) -> Self {
        Self(percent * 100)
    }

    /// What remains after taking `other` away, at least 0 %.
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// As a floating point number of percent, for plots: what is counted is compared with [`Percent::reached`].
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / 100.0
    }

    /// Whether `used` is at least this share of `limit`: `used × 10 000 ≥ limit × hundredths`, exactly.
    pub fn reached(self, used: Bytes, limit: Bytes) -> bool {
        u128::from(used.get()) * 10_000 >= u128::from(limit.get()) * u128::from(self.0)
    }

    /// The same of counts.
    pub fn reached_by(self, used: u64, limit: u64) -> bool {
        self.reached(Bytes::new(used), Bytes::new(limit))
    }

    /// This share of `bytes`, rounded down; `None` where it does not fit.
    pub fn of(self, bytes: Bytes) -> Option<Bytes> {
        // What fits 64 bits is divided there: dividing 128 of them takes ten times as long, and a back-test asks a hundred million times.
        if let Some(product) = bytes.get().checked_mul(u64::from(self.0)) {
            return Some(Bytes::new(product / 10_000));
        }
        let share = u128::from(bytes.get()) * u128::from(self.0) / 10_000;
        u64::try_from(share).ok().map(Bytes::new)
    }

    /// `bytes` and this share of them on top, rounded down; `None` where it does not fit.
    pub fn on_top_of(self, bytes: Bytes) -> Option<Bytes> {
        let sum = u128::from(bytes.get()) * u128::from(10_000 + self.0) / 10_000;
        u64::try_from(sum).ok().map(Bytes::new)
    }
}

/// How much of `limit` is `used`, in whole percent, rounded **down**, so that 100 % is only said when it is true.
pub fn whole_percent(used: Bytes, limit: Bytes) -> u64 {
    if limit == Bytes::ZERO {
        return u64::MAX;
    }
    u64::try_from(u128::from(used.get()) * 100 / u128::from(limit.get())).unwrap_or(u64::MAX)
}

impl FromStr for Percent {
    type Err = BadPercent;

    /// Reads `80 %`, `97.5%`. The sign is required: a bare `0.8` could mean either.
    fn from_str(text: &str) -> Result<Self, BadPercent> {
        let bad = || BadPercent(text.to_owned());
        let number = text.trim().strip_suffix('%').ok_or_else(bad)?.trim_end();
        let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
        let all_digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        if !all_digits(whole) || !all_digits(decimals) || decimals.len() > 2 {
            return Err(bad());
        }
        let whole: u32 = whole.parse().map_err(|_| bad())?;
        let hundredths: u32 = format!("{decimals:0<2}").parse().map_err(|_| bad())?;
        if whole > 10_000 || (whole == 10_000 && hundredths > 0) {
            return Err(bad());
        }
        Ok(Self(whole * 100 + hundredths))
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 100, self.0 % 100) {
            (whole, 0) => write!(f, "{whole} %"),
            (whole, part) if part % 10 == 0 => write!(f, "{whole}.{} %", part / 10),
            (whole, part) => write!(f, "{whole}.{part:02} %"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(text.parse::<Percent>().ok().map(|p| p.to_string()).as_deref(), expected, "{text}");
    }

    #[test]
    fn reads_and_shows() {
        check("80 %", Some("80 %"));
        check("97.5%", Some("97.5 %"));
        check(" 0.25 % ", Some("0.25 %"));
        check("0.05 %", Some("0.05 %"));
        check("10000 %", Some("10000 %"));
        for bad in ["80", "0.8", "%", "-5 %", "1e1 %", "80 % %", "1.234 %", "10001 %", "99999999999 %", "8 0 %", "+5 %"]
        {
            check(bad, None);
        }
    }

    #[test]
    fn compares_as_integers_where_floats_would_round() {
        let limit = Bytes::new(u64::MAX);
        let p80 = Percent::whole(80);
        let edge = u64::try_from((u128::from(u64::MAX) * 8_000).div_ceil(10_000)).unwrap();
        assert!(p80.reached(Bytes::new(edge), limit));
        assert!(!p80.reached(Bytes::new(edge - 1), limit));
        assert!(Percent::HUNDRED.reached(limit, limit));
        assert!(!Percent::HUNDRED.reached(Bytes::new(u64::MAX - 1), limit));
    }

    #[test]
    fn shares_and_buffers() {
        let quota = Bytes::new(1_000_000_000_000);
        assert_eq!(Percent::whole(70).of(quota), Some(Bytes::new(700_000_000_000)));
        assert_eq!(Percent::whole(10).on_top_of(quota), Some(Bytes::new(1_100_000_000_000)));
        assert_eq!(Percent::whole(100).on_top_of(Bytes::new(u64::MAX)), None);
        assert_eq!(whole_percent(Bytes::new(999), Bytes::new(1000)), 99);
        assert_eq!(whole_percent(Bytes::new(1), Bytes::ZERO), u64::MAX);
    }

    #[track_caller]
    fn check_level(limit: u64, percent: &str, first: u64) {
        let percent: Percent = percent.parse().unwrap();
        let limit = Bytes::new(limit);
        assert!(percent.reached(Bytes::new(first), limit), "{first} of {limit:?}");
        assert!(first == 0 || !percent.reached(Bytes::new(first - 1), limit), "{first} - 1 of {limit:?}");
    }

    #[test]
    fn a_threshold_begins_at_the_first_byte_that_is_not_below_it() {
        check_level(1000, "80 %", 800);
        check_level(999, "80 %", 800);
        check_level(3, "33.33 %", 1);
        check_level(3, "33.34 %", 2);
        check_level(1, "0.01 %", 1);
        check_level(700_000_000_000, "97.5 %", 682_500_000_000);
        check_level((1 << 53) + 1, "100 %", (1 << 53) + 1);
        check_level(7, "0 %", 0);
    }

    #[test]
    fn a_hundred_percent_is_only_said_when_it_is_true() {
        assert_eq!(whole_percent(Bytes::new(u64::MAX - 1), Bytes::new(u64::MAX)), 99);
        assert_eq!(whole_percent(Bytes::new(u64::MAX), Bytes::new(u64::MAX)), 100);
        assert_eq!(whole_percent(Bytes::new(u64::MAX), Bytes::new(1)), u64::MAX);
        assert_eq!(whole_percent(Bytes::ZERO, Bytes::new(1)), 0);
    }

    #[test]
    fn nothing_falls_below_zero() {
        assert_eq!(Percent::whole(80).saturating_sub(Percent::whole(5)), Percent::whole(75));
        assert_eq!(Percent::whole(5).saturating_sub(Percent::whole(80)), Percent::whole(0));
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn what_is_shown_is_read_back(hundredths in 0..=1_000_000u32) {
            let percent = Percent(hundredths);
            proptest::prop_assert_eq!(percent.to_string().parse::<Percent>(), Ok(percent));
        }

        #[test]
        fn no_text_panics(text in "\\PC*", near in "[0-9.]{0,12} ?%{0,2}") {
            let _ = (text.parse::<Percent>(), near.parse::<Percent>());
        }
    }
}
