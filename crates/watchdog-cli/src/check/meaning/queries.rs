//! The limits on queries in a policy, in words and as JSON: active ones, and waiting.

use std::fmt::Write;

use serde::Serialize;
use watchdog_core::policy::{ActiveQueries, MailRules, QueryRules, WaitingRule, WorkgroupRule};
use watchdog_core::verdict::{Level, in_the_last, waited};

use super::{LEVELS, addresses, of_level, people};
use crate::out::style_of;

#[derive(Debug, Serialize)]
pub(super) struct ActiveMeaning {
    /// Those that are watched.
    classes: Vec<&'static str>,
    look_back: String,
    #[serde(flatten)]
    rules: QueryRulesMeaning,
}

#[derive(Debug, Serialize)]
pub(super) struct WaitingMeaning {
    longest_seconds: i64,
    #[serde(flatten)]
    rules: QueryRulesMeaning,
}

#[derive(Debug, Serialize)]
struct QueryRulesMeaning {
    thresholds: Vec<QueryThresholdMeaning>,
    resolves_below: String,
    hold: String,
    repeat_every: String,
}

#[derive(Debug, Serialize)]
struct QueryThresholdMeaning {
    level: &'static str,
    share: String,
    /// As for limits on bytes.
    told: Vec<String>,
}

impl ActiveMeaning {
    pub(super) fn of(active: &ActiveQueries, mail: &MailRules) -> Self {
        Self {
            classes: active.classes.iter().map(|class| class.word()).collect(),
            look_back: format!("{:#}", active.look_back),
            rules: QueryRulesMeaning::of(&active.rules, None, mail),
        }
    }
}

impl QueryRulesMeaning {
    fn of(rules: &QueryRules, rule: Option<&WorkgroupRule>, mail: &MailRules) -> Self {
        let threshold = |level| QueryThresholdMeaning {
            level: Level::word(level),
            share: rules.threshold(level).to_string(),
            told: addresses(of_level(&rules.audience, level), rule, mail),
        };
        Self {
            thresholds: LEVELS.map(threshold).into(),
            resolves_below: rules.resolves_below().to_string(),
            hold: format!("{:#}", rules.hold),
            repeat_every: format!("{:#}", rules.repeat_every),
        }
    }
}

impl WaitingMeaning {
    pub(super) fn of(waiting: &WaitingRule, rule: &WorkgroupRule, mail: &MailRules) -> Self {
        let rules = QueryRulesMeaning::of(&waiting.rules, Some(rule), mail);
        Self { longest_seconds: waiting.longest.as_secs(), rules }
    }
}

pub(super) fn write_active(out: &mut String, active: &ActiveQueries) -> std::fmt::Result {
    let classes: Vec<_> = active.classes.iter().map(|class| class.word()).collect();
    if classes.is_empty() {
        return writeln!(out, "\nActive queries are not watched.");
    }
    let most = in_the_last(active.look_back);
    writeln!(out, "\nActive {} queries of the account, against its quotas: the most {most}", classes.join(" and "))?;
    write_rules(out, "  ", &active.rules, None)
}

pub(super) fn write_waiting(out: &mut String, waiting: &WaitingRule, rule: &WorkgroupRule) -> std::fmt::Result {
    let longest = u64::try_from(waiting.longest.as_millis()).unwrap_or(u64::MAX);
    writeln!(out, "  waiting: at most {}", waited(longest))?;
    write_rules(out, "    ", &waiting.rules, Some(rule))
}

fn write_rules(out: &mut String, margin: &str, rules: &QueryRules, rule: Option<&WorkgroupRule>) -> std::fmt::Result {
    for level in LEVELS {
        let (style, word) = (style_of(level.word()), level.word());
        let who = people(of_level(&rules.audience, level), rule);
        let gap = " ".repeat(9 - word.len());
        writeln!(out, "{margin}{style}{word}{style:#}{gap}  {:>5}  tells {who}", rules.threshold(level).to_string())?;
    }
    let hold = if rules.hold.is_zero() { String::new() } else { format!(" for {:#}", rules.hold) };
    writeln!(out, "{margin}resolves below {}{hold}; reminders every {:#}", rules.resolves_below(), rules.repeat_every)
}
