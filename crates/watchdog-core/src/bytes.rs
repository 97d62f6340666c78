//! Byte counts: what is scanned, and what may be scanned.
//!
//! Integers only. CloudWatch's floating point is converted once, in [`crate::usage`], and never comes further.

use std::fmt;
use std::str::FromStr;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

/// A number of bytes, exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes(u64);

impl Bytes {
    /// No bytes at all.
    pub const ZERO: Self = Self(0);

    /// `count` bytes.
    pub const fn new(count: u64) -> Self {
        Self(count)
    }

    /// The number of bytes.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// What is left after taking `other` away; zero where nothing is.
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// For people, rounded to one decimal: `82.3 GB`, `700 GiB`.
    pub fn human(self, units: Units) -> String {
        let display = ByteSize::b(self.0).display();
        let text = match units {
            Units::Decimal => display.si().to_string(),
            Units::Binary => display.iec().to_string(),
        };
        text.replace(".0 ", " ")
    }

    /// For people who decide on it: `700 GB (700,000,000,000 bytes)`.
    pub fn exact(self, units: Units) -> String {
        if self.0 < 1000 {
            return format!("{} bytes", self.0);
        }
        format!("{} ({} bytes)", self.human(units), grouped(self.0))
    }
}

/// `n` with a comma between each three digits.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Which family of units a size was written in, so that it is shown in the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Units {
    /// kB, MB, GB, TB: powers of 1000. What Athena bills in.
    #[default]
    Decimal,
    /// KiB, MiB, GiB, TiB: powers of 1024.
    Binary,
}

/// Decimals of a size: with more, the arithmetic would not fit; a PiB has 15 that matter.
const MOST_DECIMALS: usize = 18;

/// A size as somebody wrote it: the bytes and the family of units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// How many bytes.
    pub bytes: Bytes,
    /// The family it was written in.
    pub units: Units,
}

/// Why a text is not a size. The message says what would have been accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSize {
    /// A number and nothing else.
    #[error("`{0}` has no unit: write for example `{0} GB` (10^9 bytes) or `{0} GiB` (2^30 bytes)")]
    NoUnit(String),
    /// Not a number with a unit.
    #[error("`{0}` is not a size: write a number and one of B, kB, MB, GB, TB, PB, KiB, MiB, GiB, TiB, PiB")]
    NotASize(String),
    /// Beyond what fits.
    #[error("`{0}` is too large: a size must be less than 16 EiB")]
    TooLarge(String),
    /// Nothing may ever be zero bytes here.
    #[error("`{0}` is zero: a size must be at least 1 B")]
    Zero(String),
}

impl FromStr for Size {
    type Err = BadSize;

    /// Reads `700 GB`, `1.5 TiB`: exactly, and what is less than a byte is dropped. The unit is required and must end
    /// in `B`.
    fn from_str(text: &str) -> Result<Self, BadSize> {
        let not_a_size = || BadSize::NotASize(text.to_owned());
        let trimmed = text.trim();
        let number = trimmed.trim_end_matches(|c: char| c.is_ascii_alphabetic()).trim_end();
        let unit = trimmed[number.len()..].trim_start().to_ascii_lowercase();
        let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
        let all_digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        if !all_digits(whole) || !all_digits(decimals) || decimals.len() > MOST_DECIMALS {
            return Err(not_a_size());
        }
        if unit.is_empty() {
            return Err(BadSize::NoUnit(trimmed.to_owned()));
        }
        if !unit.ends_with('b') {
            return Err(not_a_size());
        }
        // `bytesize` knows the units; the number is ours, as it reads decimals in floating point.
        let factor = format!("1 {unit}").parse::<ByteSize>().map_err(|_| not_a_size())?.as_u64();
        let count = exact(whole, decimals, u128::from(factor));
        match count.and_then(|count| u64::try_from(count).ok()) {
            Some(0) => Err(BadSize::Zero(text.to_owned())),
            None => Err(BadSize::TooLarge(text.to_owned())),
            Some(count) => Ok(Self {
                bytes: Bytes(count),
                units: if unit.ends_with("ib") { Units::Binary } else { Units::Decimal },
            }),
        }
    }
}

/// `whole.decimals × factor`, rounded down; `None` where it is out of all bounds.
fn exact(whole: &str, decimals: &str, factor: u128) -> Option<u128> {
    let whole: u128 = whole.parse::<u64>().ok()?.into();
    let scale = 10u128.pow(u32::try_from(decimals.len()).ok()?);
    let part: u128 = decimals.parse::<u64>().ok()?.into();
    (whole * factor).checked_add(part * factor / scale)
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.bytes.human(self.units))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let got = match text.parse::<Size>() {
            Ok(size) => format!("{} {:?} {size}", size.bytes.get(), size.units),
            Err(error) => error.to_string(),
        };
        assert_eq!(got, expected, "{text}");
    }

    #[test]
    fn sizes_are_exact_and_carry_their_unit() {
        check("700 GB", "700000000000 Decimal 700 GB");
        check("700GiB", "751619276800 Binary 700 GiB");
        check(" 1.5 tib ", "1649267441664 Binary 1.5 TiB");
        check("1 TB", "1000000000000 Decimal 1 TB");
        check("9007199254740993 B", "9007199254740993 Decimal 9 PB");
        check("50000 TB", "50000000000000000 Decimal 50 PB");
        // In floating point each of these would be a byte less, or many.
        check("2.3 TB", "2300000000000 Decimal 2.3 TB");
        check("9.007199254740993 PB", "9007199254740993 Decimal 9 PB");
        check("1.000000001 GiB", "1073741825 Binary 1 GiB");
        check("18446744073709551615 B", "18446744073709551615 Decimal 18.4 EB");
        check("15.999999999999999999 EiB", "18446744073709551614 Binary 16 EiB");
        check("5 b", "5 Decimal 5 B");
        check("700\u{a0}GB", "700000000000 Decimal 700 GB");
    }

    #[test]
    fn anything_else_is_refused_with_a_remedy() {
        let not_a_size = |t: &str| {
            format!("`{t}` is not a size: write a number and one of B, kB, MB, GB, TB, PB, KiB, MiB, GiB, TiB, PiB")
        };
        check("700", "`700` has no unit: write for example `700 GB` (10^9 bytes) or `700 GiB` (2^30 bytes)");
        for bad in [
            "700 GB/h",
            "GB",
            "",
            "-1 GB",
            "1e3 GB",
            "1..2 GB",
            "1. GB",
            ".5 GB",
            ".",
            "7 G",
            "700 Gbit",
            "700 GB GB",
            "NaN GB",
            "１ GB",
            "7 b b",
            "1,5 TB",
            "1_000 GB",
            "0.1234567890123456789 GB",
            "7 xb",
        ] {
            check(bad, &not_a_size(bad));
        }
        check("99999 EB", "`99999 EB` is too large: a size must be less than 16 EiB");
        check("16 EiB", "`16 EiB` is too large: a size must be less than 16 EiB");
        let long = format!("{} B", "9".repeat(400));
        check(&long, &format!("`{long}` is too large: a size must be less than 16 EiB"));
        check("99999.5 EB", "`99999.5 EB` is too large: a size must be less than 16 EiB");
        check("0 GB", "`0 GB` is zero: a size must be at least 1 B");
        check("0.0001 B", "`0.0001 B` is zero: a size must be at least 1 B");
    }

    #[test]
    fn exact_shows_both_forms() {
        assert_eq!(Bytes::new(700_000_000_000).exact(Units::Decimal), "700 GB (700,000,000,000 bytes)");
        assert_eq!(Bytes::new(999).exact(Units::Decimal), "999 bytes");
        assert_eq!(Bytes::new(1_100_000_000_000).exact(Units::Binary), "1 TiB (1,100,000,000,000 bytes)");
    }

    #[test]
    fn people_see_one_decimal() {
        let human =
            |n: u64| format!("{} | {}", Bytes::new(n).human(Units::Decimal), Bytes::new(n).human(Units::Binary));
        assert_eq!(human(0), "0 B | 0 B");
        assert_eq!(human(999), "999 B | 999 B");
        assert_eq!(human(1_000), "1 kB | 1000 B");
        assert_eq!(human(82_340_000_000), "82.3 GB | 76.7 GiB");
        assert_eq!(human(u64::MAX), "18.4 EB | 16 EiB");
        assert_eq!(human(100_000_000_000), "100 GB | 93.1 GiB");
        assert_eq!(human(999_960_000_000), "1000 GB | 931.3 GiB");
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(100), "100");
        assert_eq!(grouped(u64::MAX), "18,446,744,073,709,551,615");
    }

    #[test]
    fn nothing_is_left_where_more_is_used() {
        assert_eq!(Bytes::new(3).saturating_sub(Bytes::new(1)), Bytes::new(2));
        assert_eq!(Bytes::new(1).saturating_sub(Bytes::new(3)), Bytes::ZERO);
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

        /// Long multiplication, a digit at a time.
        #[test]
        fn sizes_are_exact(whole in 0..2000u64, decimals in "[0-9]{0,12}", unit in 0..11usize) {
            let units = ["B", "kB", "MB", "GB", "TB", "PB", "KiB", "MiB", "GiB", "TiB", "PiB"];
            let mut factor: u128 = 1;
            for _ in 0..if unit < 6 { unit } else { unit - 5 } {
                factor *= if unit < 6 { 1000 } else { 1024 };
            }
            let mut expected = u128::from(whole) * factor;
            // Each digit's share is rounded down once, at the end.
            let scaled: u128 = decimals.parse().unwrap_or(0);
            expected += scaled * factor / 10u128.pow(decimals.len() as u32);
            let point = if decimals.is_empty() { "" } else { "." };
            let text = format!("{whole}{point}{decimals} {}", units[unit]);
            match text.parse::<Size>() {
                Ok(size) => proptest::prop_assert_eq!(u128::from(size.bytes.get()), expected),
                Err(error) => proptest::prop_assert_eq!((expected, error), (0, BadSize::Zero(text))),
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC*", size in "[0-9.]{0,30} ?[a-zA-Z]{0,4}") {
            let _ = (text.parse::<Size>(), size.parse::<Size>());
        }
    }
}
