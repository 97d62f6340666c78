//! Name patterns for workgroups, and which of two is the more specific.

use std::cmp::Ordering;
use std::fmt;

/// A workgroup name, or a pattern for several: `*` stands for any run of characters, `?` for exactly one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pattern(String);

/// Why a text cannot be a workgroup name or pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` can be no workgroup's name: write 1 to 128 letters, digits, `.`, `_` or `-`, with `*` and `?` as wildcards"
)]
pub struct BadPattern(String);

impl Pattern {
    /// Reads a name or pattern in the characters that Athena allows in workgroup names.
    pub fn parse(text: &str) -> Result<Self, BadPattern> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-*?".contains(&b);
        if (1..=128).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadPattern(text.to_owned()))
        }
    }

    /// Whether it names one workgroup and not several.
    pub fn is_exact(&self) -> bool {
        !self.0.contains(['*', '?'])
    }

    /// The text as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `name` is one of the names this stands for.
    pub fn matches(&self, name: &str) -> bool {
        meet(self.0.as_bytes(), name.as_bytes(), true)
    }

    /// Whether some name is matched by both.
    pub fn overlaps(&self, other: &Self) -> bool {
        meet(self.0.as_bytes(), other.0.as_bytes(), false)
    }

    /// Where this exact name stands beside another in a policy's rules: the longer before the shorter, as with patterns, then by letters.
    pub fn cmp_exact(&self, name: &str) -> Ordering {
        name.len().cmp(&self.0.len()).then_with(|| self.0.as_str().cmp(name))
    }

    /// How specific it is, to be compared: an exact name before any pattern, then the one that spells out more
    /// characters, then the one that leaves less open (`?` before `*`).
    pub fn specificity(&self) -> (bool, usize, usize) {
        let literal = self.0.bytes().filter(|b| !b"*?".contains(b)).count();
        let single = self.0.bytes().filter(|b| *b == b'?').count();
        (self.is_exact(), literal, single)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether some string is described by both `a` and `b`; with `b_is_literal`, `b` is that string itself.
/// `O(len a × len b)`: no input makes it explode.
fn meet(a: &[u8], b: &[u8], b_is_literal: bool) -> bool {
    let star_b = |j: usize| !b_is_literal && b[j] == b'*';
    let any_b = |j: usize| !b_is_literal && b[j] == b'?';
    // below[j]: whether a[i+1..] and b[j..] meet; computed from the ends backwards.
    let mut below = vec![false; b.len() + 1];
    for i in (0..=a.len()).rev() {
        let mut here = vec![false; b.len() + 1];
        for j in (0..=b.len()).rev() {
            here[j] = if i == a.len() && j == b.len() {
                true
            } else if i < a.len() && a[i] == b'*' {
                below[j] || (j < b.len() && here[j + 1])
            } else if j < b.len() && star_b(j) {
                here[j + 1] || (i < a.len() && below[j])
            } else {
                i < a.len() && j < b.len() && (a[i] == b'?' || any_b(j) || a[i] == b[j]) && below[j + 1]
            };
        }
        below = here;
    }
    below[0]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    /// The plain recursive definition of matching.
    fn model(pattern: &[u8], name: &[u8]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some((b'*', rest)) => (0..=name.len()).any(|k| model(rest, &name[k..])),
            Some((b'?', rest)) => !name.is_empty() && model(rest, &name[1..]),
            Some((c, rest)) => name.first() == Some(c) && model(rest, &name[1..]),
        }
    }

    #[test]
    fn the_more_specific_has_more_spelled_out() {
        let order = ["*", "?*", "team-*", "team-etl-*", "team-etl-?", "team-etl-1"];
        for pair in order.windows(2) {
            assert!(pattern(pair[0]).specificity() < pattern(pair[1]).specificity(), "{pair:?}");
        }
    }

    #[test]
    fn names_outside_athenas_characters_are_refused() {
        for bad in ["", "two words", "a/b", "ä", "a\n", &"x".repeat(129)] {
            assert!(Pattern::parse(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn matching_is_the_plain_definition(p in "[ab*?]{0,7}", name in "[ab]{0,7}") {
            prop_assert_eq!(Pattern(p.clone()).matches(&name), model(p.as_bytes(), name.as_bytes()));
        }

        #[test]
        fn a_name_both_match_means_overlap(p in "[ab*?]{1,6}", q in "[ab*?]{1,6}", name in "[ab]{0,6}") {
            let (p, q) = (Pattern(p), Pattern(q));
            if p.matches(&name) && q.matches(&name) {
                prop_assert!(p.overlaps(&q) && q.overlaps(&p));
            }
        }

        #[test]
        fn overlap_means_a_name_both_match(p in "[ab*?]{1,4}", q in "[ab*?]{1,4}") {
            let (p, q) = (Pattern(p), Pattern(q));
            // Two patterns of at most four characters that meet at all meet in a name of at most eight.
            let names = (0..=8u32).flat_map(|n| (0..1u32 << n).map(move |bits| {
                (0..n).map(|i| if bits >> i & 1 == 1 { 'a' } else { 'b' }).collect::<String>()
            }));
            let witness = names.into_iter().any(|name| p.matches(&name) && q.matches(&name));
            prop_assert_eq!(p.overlaps(&q), witness);
        }
    }
}
