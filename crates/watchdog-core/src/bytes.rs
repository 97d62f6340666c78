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
    #[error("`{0}` is too large: the largest size is 16 EiB")]
    TooLarge(String),
    /// Nothing may ever be zero bytes here.
    #[error("`{0}` is zero: a size must be at least 1 B")]
    Zero(String),
}

impl FromStr for Size {
    type Err = BadSize;

    /// Reads `700 GB`, `1.5 TiB`. Whole numbers are exact; the unit is required and must end in `B`.
    fn from_str(text: &str) -> Result<Self, BadSize> {
        let trimmed = text.trim();
        let digits = trimmed.trim_end_matches(|c: char| c.is_ascii_alphabetic()).trim_end();
        let unit = trimmed[digits.len()..].trim_start().to_ascii_lowercase();
        let is_number = !digits.is_empty()
            && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
            && digits.parse::<f64>().is_ok();
        if !is_number || (!unit.is_empty() && !unit.ends_with('b')) {
            return Err(BadSize::NotASize(text.to_owned()));
        }
        if unit.is_empty() {
            return Err(BadSize::NoUnit(trimmed.to_owned()));
        }
        let size: ByteSize = format!("{digits} {unit}").parse().map_err(|_| BadSize::NotASize(text.to_owned()))?;
        match size.as_u64() {
            0 => Err(BadSize::Zero(text.to_owned())),
            // `bytesize` saturates: a size that fills the type did not fit it.
            u64::MAX => Err(BadSize::TooLarge(text.to_owned())),
            count => Ok(Self {
                bytes: Bytes(count),
                units: if unit.ends_with("ib") { Units::Binary } else { Units::Decimal },
            }),
        }
    }
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
    }

    #[test]
    fn anything_else_is_refused_with_a_remedy() {
        let not_a_size = |t: &str| {
            format!("`{t}` is not a size: write a number and one of B, kB, MB, GB, TB, PB, KiB, MiB, GiB, TiB, PiB")
        };
        check("700", "`700` has no unit: write for example `700 GB` (10^9 bytes) or `700 GiB` (2^30 bytes)");
        for bad in
            ["700 GB/h", "GB", "", "-1 GB", "1e3 GB", "1..2 GB", "7 G", "700 Gbit", "700 GB GB", "NaN GB", "１ GB"]
        {
            check(bad, &not_a_size(bad));
        }
        check("99999 EB", "`99999 EB` is too large: the largest size is 16 EiB");
        check("99999.5 EB", "`99999.5 EB` is too large: the largest size is 16 EiB");
        check("0 GB", "`0 GB` is zero: a size must be at least 1 B");
        check("0.0001 B", "`0.0001 B` is zero: a size must be at least 1 B");
    }

    #[test]
    fn exact_shows_both_forms() {
        assert_eq!(Bytes::new(700_000_000_000).exact(Units::Decimal), "700 GB (700,000,000,000 bytes)");
        assert_eq!(Bytes::new(999).exact(Units::Decimal), "999 bytes");
        assert_eq!(Bytes::new(1_100_000_000_000).exact(Units::Binary), "1 TiB (1,100,000,000,000 bytes)");
    }
}
