//! A bar of a limit: what is used, and the headroom that is left of it.

use anstyle::Style;
use watchdog_core::bytes::Bytes;

/// The bar, `cells` characters wide where it is drawn in blocks and two more in ASCII, as in a mail's text form.
///
/// Rounded to the nearest cell, but only a limit that is gone fills it. Whatever is over the limit does not lengthen it.
pub fn bar(used: Bytes, limit: Bytes, cells: usize, blocks: bool, style: Style) -> String {
    let (part, whole) = (u128::from(used.get()), u128::from(limit.get().max(1)));
    let nearest = (part * u128::try_from(cells).unwrap_or(0) + whole / 2) / whole;
    let most = if used >= limit { cells } else { cells.saturating_sub(1) };
    let filled = usize::try_from(nearest).unwrap_or(cells).min(most);
    let empty = cells - filled;
    if blocks {
        format!("{style}{}{style:#}{}", "█".repeat(filled), "░".repeat(empty))
    } else {
        format!("[{style}{}{style:#}{}]", "#".repeat(filled), ".".repeat(empty))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(used: u64, limit: u64, expected: &str) {
        let style = Style::new();
        assert_eq!(bar(Bytes::new(used), Bytes::new(limit), 10, false, style), expected, "{used} of {limit}");
    }

    #[test]
    fn only_a_limit_that_is_gone_fills_it() {
        check(0, 1000, "[..........]");
        check(49, 1000, "[..........]");
        check(50, 1000, "[#.........]");
        check(100, 1000, "[#.........]");
        check(999, 1000, "[#########.]");
        check(1000, 1000, "[##########]");
        check(u64::MAX, 1, "[##########]");
        check(u64::MAX - 1, u64::MAX, "[#########.]");
        assert_eq!(bar(Bytes::new(1), Bytes::new(2), 4, true, Style::new()), "██░░");
    }
}
