//! The rules of `watchdog plan`: how a workgroup's limits are computed from its measured use. Runs take no notice of them.

use std::fmt;
use std::str::FromStr;

use jiff::tz::TimeZone;

use crate::bytes::Size;
use crate::percent::Percent;
use crate::window::{SHORTEST_ROLLING_MINUTES, Window};

/// One limit that is to be computed.
#[derive(Debug, Clone, PartialEq)]
pub enum PlanRule {
    /// The quota that windows of this length need, and a buffer on top: `1h + 10 %`.
    Windows {
        /// A rolling window.
        window: Window,
        /// What goes on top.
        buffer: Percent,
    },
    /// What one query may scan, from the distribution of queries: `per query`.
    PerQuery,
    /// A share of what the account can take beside production: `70 % of spare`.
    Spare {
        /// From 1 % to 100 %.
        share: Percent,
    },
    /// A value that somebody states: `100 GB in 1h`; `None` where it is stated elsewhere, or still has to be.
    Stated {
        /// How much in which window.
        amount: Option<(Size, Window)>,
    },
}

/// Why a text is no rule of a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no rule to compute a limit by: write a rolling window with a buffer, such as `1h + 10 %`, or `per query`, or \
     `70 % of spare`, or a value, such as `100 GB in 1h`; several with commas between them"
)]
pub struct BadPlanRule(String);

/// The rules for the product's own workgroups, by their names; `None` for any other.
pub fn usual_rules(workgroup: &str) -> Option<Vec<PlanRule>> {
    let windows = |hours: u32, buffer| PlanRule::Windows {
        window: Window::Rolling { minutes: hours * 60 },
        buffer: Percent::whole(buffer),
    };
    let rule = match workgroup {
        "predictable" => windows(1, 10),
        "long-query" => windows(24, 100),
        "fast-query" => PlanRule::PerQuery,
        "exploratory" => PlanRule::Spare { share: Percent::whole(70) },
        "ad-hoc" => PlanRule::Stated { amount: None },
        _ => return None,
    };
    Some(vec![rule])
}

/// Reads one rule or several with commas between them; each window, and each of the other forms, at most once.
///
/// # Errors
/// [`BadPlanRule`] with the part that is wrong.
pub fn plan_rules(text: &str) -> Result<Vec<PlanRule>, BadPlanRule> {
    let mut rules: Vec<PlanRule> = Vec::new();
    for part in text.split(',') {
        let rule: PlanRule = part.parse()?;
        if rules.iter().any(|other| other.concerns() == rule.concerns()) {
            return Err(BadPlanRule(text.to_owned()));
        }
        rules.push(rule);
    }
    Ok(rules)
}

impl PlanRule {
    /// What it gives a number to: two rules must not give it twice.
    fn concerns(&self) -> String {
        match self {
            Self::Windows { window, .. } | Self::Stated { amount: Some((_, window)) } => window.id(),
            Self::PerQuery => "query".to_owned(),
            Self::Spare { .. } | Self::Stated { amount: None } => "1h".to_owned(),
        }
    }
}

impl FromStr for PlanRule {
    type Err = BadPlanRule;

    fn from_str(text: &str) -> Result<Self, BadPlanRule> {
        let bad = || BadPlanRule(text.trim().to_owned());
        // Calendar windows begin with nothing: a plan would have to know in which zone, and people reason about the last hour.
        let rolling = |text: &str| match Window::parse(text, &TimeZone::UTC) {
            Ok(window @ Window::Rolling { minutes }) if minutes >= SHORTEST_ROLLING_MINUTES => Ok(window),
            _ => Err(bad()),
        };
        let text = text.trim();
        if text == "per query" {
            return Ok(Self::PerQuery);
        }
        if let Some(share) = text.strip_suffix("of spare") {
            let share: Percent = share.parse().map_err(|_| bad())?;
            let fits = (Percent::whole(1)..=Percent::HUNDRED).contains(&share);
            return if fits { Ok(Self::Spare { share }) } else { Err(bad()) };
        }
        if let Some((size, window)) = text.split_once(" in ") {
            let size: Size = size.parse().map_err(|_| bad())?;
            return Ok(Self::Stated { amount: Some((size, rolling(window)?)) });
        }
        let (window, buffer) = text.split_once('+').ok_or_else(bad)?;
        Ok(Self::Windows { window: rolling(window)?, buffer: buffer.parse().map_err(|_| bad())? })
    }
}

impl fmt::Display for PlanRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Windows { window, buffer } => write!(f, "{window} + {buffer}"),
            Self::PerQuery => f.write_str("per query"),
            Self::Spare { share } => write!(f, "{share} of spare"),
            Self::Stated { amount: Some((size, window)) } => write!(f, "{size} in {window}"),
            Self::Stated { amount: None } => f.write_str("a stated value"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let got = match plan_rules(text) {
            Ok(rules) => rules.iter().map(PlanRule::to_string).collect::<Vec<_>>().join(" | "),
            Err(error) => error.to_string().split(" is no rule").next().unwrap_or_default().to_owned(),
        };
        assert_eq!(got, expected, "{text}");
    }

    #[test]
    fn rules_are_read_and_shown() {
        check("1h + 10 %", "1h + 10 %");
        check(" 60min+10% , 1d + 100 %", "1h + 10 % | 24h + 100 %");
        check("per query, 24h + 0 %", "per query | 24h + 0 %");
        check("70 % of spare", "70 % of spare");
        check("100 GB in 1h", "100 GB in 1h");
    }

    #[test]
    fn anything_else_is_shown() {
        for bad in [
            "",
            "1h",
            "1h + ",
            "1h + 10",
            "5m + 10 %",
            "calendar day + 10 %",
            "0 % of spare",
            "101 % of spare",
            "100 in 1h",
        ] {
            check(bad, &format!("`{bad}`").replace("1h + `", "1h +`"));
        }
        check("1h + 10 %, 60 min + 20 %", "`1h + 10 %, 60 min + 20 %`");
        check("70 % of spare, 1h + 10 %", "`70 % of spare, 1h + 10 %`");
        check("1h + 10 %,", "``");
    }

    #[test]
    fn the_products_own_workgroups_have_rules() {
        let of = |name: &str| usual_rules(name).map(|rules| rules[0].to_string());
        assert_eq!(of("predictable").as_deref(), Some("1h + 10 %"));
        assert_eq!(of("long-query").as_deref(), Some("24h + 100 %"));
        assert_eq!(of("fast-query").as_deref(), Some("per query"));
        assert_eq!(of("exploratory").as_deref(), Some("70 % of spare"));
        assert_eq!(of("ad-hoc").as_deref(), Some("a stated value"));
        assert_eq!(of("analysts"), None);
    }
}
