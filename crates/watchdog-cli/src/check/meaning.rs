//! What a valid policy means, in words and as JSON: each limit as computed, its thresholds in bytes, who hears of it.

mod queries;

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;
use watchdog_core::bytes::{Bytes, Units, grouped};
use watchdog_core::policy::{
    Audience, Document, Economy, Limit, MailRules, Origin, Policy, Submitters, Who, WorkgroupRule,
};
use watchdog_core::review::dollars;
use watchdog_core::verdict::Level;
use watchdog_core::window::zone_name;

use self::queries::{ActiveMeaning, WaitingMeaning, write_active, write_waiting};
use crate::out::{count, style_of};

/// The levels that somebody hears of, in the order in which they are reached.
const LEVELS: [Level; 3] = [Level::Warn, Level::Critical, Level::Exhausted];

/// A policy as JSON.
#[derive(Debug, Serialize)]
pub struct PolicyMeaning {
    mail: MailMeaning,
    submitters: SubmittersMeaning,
    active_queries: ActiveMeaning,
    #[serde(skip_serializing_if = "Option::is_none")]
    economy: Option<EconomyMeaning>,
    /// `null` where the policy asks for none.
    report: Option<ReportMeaning>,
    workgroups: Vec<WorkgroupMeaning>,
}

#[derive(Debug, Serialize)]
struct EconomyMeaning {
    at_most: String,
    /// By how much later people may hear of a level because of it.
    longest_delay: String,
}

#[derive(Debug, Serialize)]
struct MailMeaning {
    sender: String,
    reply_to: Option<String>,
    admins: Vec<String>,
    allowed_domains: Vec<String>,
    time_zone: String,
    repeat_cannot_see_every: String,
}

#[derive(Debug, Serialize)]
struct ReportMeaning {
    weekly: String,
    to: Vec<String>,
    price_per_tb_usd: f64,
}

#[derive(Debug, Serialize)]
struct SubmittersMeaning {
    people: BTreeMap<String, String>,
    trusted_roles: Vec<String>,
    trusted_source_identity: Vec<String>,
    share_floor: String,
    bytes_floor_bytes: u64,
    repeat_every: String,
    show_sql: bool,
}

#[derive(Debug, Serialize)]
struct WorkgroupMeaning {
    name: String,
    is_pattern: bool,
    owner: Option<String>,
    per_query_cutoff_bytes: Option<u64>,
    waiting: Option<WaitingMeaning>,
    limits: Vec<LimitMeaning>,
}

#[derive(Debug, Serialize)]
struct LimitMeaning {
    window: String,
    limit_bytes: u64,
    computed: String,
    thresholds: Vec<ThresholdMeaning>,
    hysteresis: String,
    /// The share below which an alert resolves, and for how long use must be there.
    resolves_below: String,
    hold: String,
    /// Whether the forecast opens a warning too.
    forecast: bool,
    /// Where `warn` begins while the forecast has nothing to say.
    warn_without_forecast: String,
    repeat_every: String,
}

#[derive(Debug, Serialize)]
struct ThresholdMeaning {
    level: &'static str,
    from_bytes: u64,
    share: String,
    /// Addresses, as they would be mailed; and `submitters` for people who are not known before they submit.
    told: Vec<String>,
}

impl PolicyMeaning {
    /// What `policy` means.
    pub fn of(policy: &Policy) -> Self {
        let mail = &policy.mail;
        Self {
            mail: MailMeaning {
                sender: mail.sender.to_string(),
                reply_to: mail.reply_to.as_ref().map(ToString::to_string),
                admins: mail.admins.iter().map(ToString::to_string).collect(),
                allowed_domains: mail.allowed_domains.clone(),
                time_zone: zone_name(&mail.zone).to_owned(),
                repeat_cannot_see_every: format!("{:#}", mail.repeat_cannot_see_every),
            },
            submitters: SubmittersMeaning::of(&policy.submitters),
            active_queries: ActiveMeaning::of(&policy.active_queries, mail),
            economy: policy.economy.map(|economy| {
                let at_most = format!("{:#}", economy.at_most);
                EconomyMeaning { longest_delay: at_most.clone(), at_most }
            }),
            report: policy.report.as_ref().map(|rules| ReportMeaning {
                weekly: rules.weekly.words(),
                to: rules.to.iter().map(ToString::to_string).collect(),
                price_per_tb_usd: rules.price_per_tb,
            }),
            workgroups: policy.rules().iter().map(|rule| WorkgroupMeaning::of(rule, mail)).collect(),
        }
    }
}

impl SubmittersMeaning {
    fn of(rules: &Submitters) -> Self {
        Self {
            people: rules.people.iter().map(|(key, address)| (key.to_string(), address.to_string())).collect(),
            trusted_roles: rules.trusted_roles.clone(),
            trusted_source_identity: rules.trusted_source_identity.clone(),
            share_floor: rules.share_floor.to_string(),
            bytes_floor_bytes: rules.bytes_floor.get(),
            repeat_every: format!("{:#}", rules.repeat_every),
            show_sql: rules.show_sql,
        }
    }
}

impl WorkgroupMeaning {
    fn of(rule: &WorkgroupRule, mail: &MailRules) -> Self {
        let threshold = |limit: &Limit, level| ThresholdMeaning {
            level: Level::word(level),
            from_bytes: reached_from(limit, level).get(),
            share: limit.threshold(level).to_string(),
            told: addresses(audience(limit, level), Some(rule), mail),
        };
        let limit = |limit: &Limit| LimitMeaning {
            window: limit.window.id(),
            limit_bytes: limit.bytes.get(),
            computed: computed(limit),
            thresholds: LEVELS.map(|level| threshold(limit, level)).into(),
            hysteresis: limit.hysteresis.to_string(),
            resolves_below: limit.resolves_below().to_string(),
            hold: format!("{:#}", limit.hold),
            forecast: limit.forecast,
            warn_without_forecast: limit.warn_unforeseen.to_string(),
            repeat_every: format!("{:#}", limit.repeat_every),
        };
        Self {
            name: rule.pattern.to_string(),
            is_pattern: !rule.pattern.is_exact(),
            owner: rule.owner.as_ref().map(ToString::to_string),
            per_query_cutoff_bytes: rule.per_query_cutoff.map(|size| size.bytes.get()),
            waiting: rule.waiting.as_ref().map(|waiting| WaitingMeaning::of(waiting, rule, mail)),
            limits: rule.limits.iter().map(limit).collect(),
        }
    }
}

/// A policy in words.
pub fn text(policy: &Policy, documents: &[Document]) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write(&mut out, policy, documents);
    out
}

fn write(out: &mut String, policy: &Policy, documents: &[Document]) -> std::fmt::Result {
    let (mail, rules) = (&policy.mail, policy.rules());
    let limits: usize = rules.iter().map(|rule| rule.limits.len()).sum();
    writeln!(
        out,
        "Valid: {}, {}, {}.\n",
        count(documents.len(), "document"),
        count(rules.len(), "workgroup rule"),
        count(limits, "limit")
    )?;
    let list = |items: &[String]| items.join(", ");
    let addresses: Vec<String> = mail.admins.iter().map(ToString::to_string).collect();
    writeln!(out, "Mail      from {}", mail.sender)?;
    if let Some(reply_to) = &mail.reply_to {
        writeln!(out, "          answers to {reply_to}")?;
    }
    writeln!(out, "          admins: {}", list(&addresses))?;
    writeln!(out, "          only ever to: {}", list(&mail.allowed_domains))?;
    writeln!(out, "          times in {}", zone_name(&mail.zone))?;
    writeln!(out, "          what cannot be seen is repeated to the admins every {:#}", mail.repeat_cannot_see_every)?;
    if tells_submitters(policy) {
        write_submitters(out, &policy.submitters)?;
    }
    write_active(out, &policy.active_queries)?;
    if let Some(economy) = policy.economy {
        write_economy(out, economy)?;
    }
    if let Some(rules) = &policy.report {
        let to: Vec<String> = rules.to.iter().map(ToString::to_string).collect();
        writeln!(out, "\nReport    every {}", rules.weekly.words())?;
        writeln!(out, "          to {}", list(&to))?;
        writeln!(out, "          a TB scanned costs {}", dollars(rules.price_per_tb))?;
    }
    if rules.iter().any(|rule| !rule.pattern.is_exact()) {
        writeln!(out, "\nFor a workgroup that several of these match, the first one counts.")?;
    }
    for rule in rules {
        let kind = if rule.pattern.is_exact() { "" } else { " (pattern)" };
        write!(out, "\n{}{kind}", rule.pattern)?;
        match &rule.owner {
            Some(owner) => writeln!(out, ", owner {owner}")?,
            None => writeln!(out)?,
        }
        if let Some(cutoff) = rule.per_query_cutoff {
            writeln!(
                out,
                "  one query: {}, stated here to be shown; set in Athena, which enforces it",
                cutoff.bytes.exact(cutoff.units)
            )?;
        }
        if let Some(waiting) = &rule.waiting {
            write_waiting(out, waiting, rule)?;
        }
        for limit in &rule.limits {
            write_limit(out, limit, rule)?;
        }
    }
    Ok(())
}

fn write_economy(out: &mut String, economy: Economy) -> std::fmt::Result {
    let at_most = economy.at_most;
    writeln!(
        out,
        "\nEconomy     a workgroup whose level cannot change by what it was ever seen to scan is asked every {at_most:#} only"
    )?;
    writeln!(
        out,
        "            once it is known for a week; never one above a level, with an open alert, a grant or running queries"
    )?;
    writeln!(
        out,
        "            who breaks its own record is told of up to {at_most:#} later; `watchdog backtest` shows how often"
    )
}

/// Whether any limit tells its submitters; without one the rules for them mean nothing.
fn tells_submitters(policy: &Policy) -> bool {
    let mut limits = policy.rules().iter().flat_map(|rule| &rule.limits);
    limits.any(|limit| LEVELS.iter().any(|level| audience(limit, *level).contains(&Who::Submitters)))
}

fn write_submitters(out: &mut String, rules: &Submitters) -> std::fmt::Result {
    let floor = rules.bytes_floor.human(Units::Decimal);
    writeln!(out, "\nSubmitters  told from {} of the window and {floor} on", rules.share_floor)?;
    writeln!(out, "            again after {:#}, and only of new queries", rules.repeat_every)?;
    let sql = if rules.show_sql { "shown" } else { "not shown" };
    writeln!(out, "            the text of queries is {sql} in mails")?;
    for (key, address) in &rules.people {
        writeln!(out, "            {key} is {address}")?;
    }
    for (what, roles) in
        [("session names", &rules.trusted_roles), ("source identities", &rules.trusted_source_identity)]
    {
        if !roles.is_empty() {
            writeln!(out, "            {what} are trusted of the roles {}", roles.join(", "))?;
        }
    }
    Ok(())
}

fn write_limit(out: &mut String, limit: &Limit, rule: &WorkgroupRule) -> std::fmt::Result {
    writeln!(out, "  {}: {}", limit.window, computed(limit))?;
    let shares = LEVELS.map(|level| limit.threshold(level).to_string());
    let bytes = LEVELS.map(|level| both_forms(reached_from(limit, level), limit.units));
    let width = |cells: &[String; 3]| cells.iter().map(|cell| cell.chars().count()).max().unwrap_or(0);
    let (share_width, bytes_width) = (width(&shares), width(&bytes));
    for ((level, share), bytes) in LEVELS.into_iter().zip(&shares).zip(&bytes) {
        let style = style_of(level.word());
        let who = people(audience(limit, level), Some(rule));
        // Padded outside of the style, so that widths count what is seen.
        let gap = " ".repeat(9 - level.word().len());
        writeln!(
            out,
            "    {style}{level}{style:#}{gap}  {share:>share_width$}  from {bytes:<bytes_width$}  tells {who}"
        )?;
    }
    let instead = if limit.warn_unforeseen < limit.warn {
        format!("; while there is too little history for it, at {}", limit.warn_unforeseen)
    } else {
        String::new()
    };
    match limit.forecast {
        true => writeln!(out, "    warns sooner where the forecast says that it runs out{instead}")?,
        false => writeln!(out, "    without the forecast")?,
    }
    let hold = if limit.hold.is_zero() { String::new() } else { format!(" for {:#}", limit.hold) };
    writeln!(
        out,
        "    a level ends {} of the limit below its threshold; resolves below {}{hold}; reminders every {:#}",
        limit.hysteresis,
        limit.resolves_below(),
        limit.repeat_every
    )
}

/// How a limit came about: `700 GB = 70 % of 1 TB`.
fn computed(limit: &Limit) -> String {
    let bytes = limit.bytes.human(limit.units);
    match limit.origin {
        Origin::Given => bytes,
        Origin::QuotaAndBuffer { quota, buffer } => format!("{bytes} = {quota} + {buffer}"),
        Origin::ShareOfQuota { quota, share } => format!("{bytes} = {share} of {quota}"),
    }
}

/// The exact bytes first: thresholds close to each other look the same when rounded.
fn both_forms(bytes: Bytes, units: Units) -> String {
    if bytes.get() < 1000 {
        return format!("{} bytes", bytes.get());
    }
    format!("{} bytes ({})", grouped(bytes.get()), bytes.human(units))
}

/// The least use that reaches a level. A share rounds down, and a level is reached only at the full share.
fn reached_from(limit: &Limit, level: Level) -> Bytes {
    let threshold = limit.threshold(level);
    let share = threshold.of(limit.bytes).unwrap_or(limit.bytes);
    if threshold.reached(share, limit.bytes) { share } else { Bytes::new(share.get().saturating_add(1)) }
}

fn audience(limit: &Limit, level: Level) -> &[Who] {
    of_level(&limit.audience, level)
}

fn of_level(audience: &Audience, level: Level) -> &[Who] {
    match level {
        Level::Ok => &[],
        Level::Warn => &audience.warn,
        Level::Critical => &audience.critical,
        Level::Exhausted => &audience.exhausted,
    }
}

/// An audience in words. Without a rule, which is without an owner, it is the account's.
fn people(who: &[Who], rule: Option<&WorkgroupRule>) -> String {
    let words = who.iter().map(|who| match who {
        Who::Admins => "the admins".to_owned(),
        Who::Owner => match rule.and_then(|rule| rule.owner.as_ref()) {
            Some(owner) => format!("the owner {owner}"),
            None => "the owner, for want of one the admins".to_owned(),
        },
        Who::Submitters => "those whose queries use it up".to_owned(),
        Who::Address(address) => address.to_string(),
    });
    let words: Vec<_> = words.collect();
    if words.is_empty() { "nobody".to_owned() } else { words.join(", ") }
}

/// An audience as addresses.
fn addresses(who: &[Who], rule: Option<&WorkgroupRule>, mail: &MailRules) -> Vec<String> {
    let mut all: Vec<String> = who
        .iter()
        .flat_map(|who| match (who, rule.and_then(|rule| rule.owner.as_ref())) {
            (Who::Address(address), _) => vec![address.to_string()],
            (Who::Submitters, _) => vec!["submitters".to_owned()],
            (Who::Owner, Some(owner)) => vec![owner.to_string()],
            (Who::Owner, None) | (Who::Admins, _) => mail.admins.iter().map(ToString::to_string).collect(),
        })
        .collect();
    all.sort();
    all.dedup();
    all
}
