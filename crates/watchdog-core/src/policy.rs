//! The operator's document: which workgroups are watched, their limits, and who hears of them.
//!
//! A policy is one or several TOML documents. They are read twice: as typed (`typed`, by `read`), then as meant
//! (`meant`, `limit`, `value`).
//! Whatever is wrong is reported at once, each problem with its place and what would have been accepted.
//! After that nothing is checked again: the values here are right by construction.

mod active;
mod address;
mod economy;
mod limit;
mod meant;
mod pattern;
mod plan;
mod problem;
mod promises;
mod read;
mod report;
mod submitters;
mod typed;
mod value;

use std::collections::BTreeMap;

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

pub use self::active::{ActiveQueries, Class, QueryRules, WaitingRule};
pub use self::address::{Address, BadAddress};
pub use self::pattern::{BadPattern, Pattern};
pub use self::plan::{BadPlanRule, PlanRule, plan_rules, usual_rules};
pub use self::problem::{Place, Problem, Problems};
pub use self::promises::SHORTEST_PROMISE;
pub use self::report::ATHENA_TB;
pub use self::typed::json_schema_text;
use crate::bytes::{Bytes, Size, Units};
use crate::percent::Percent;
use crate::principal::PrincipalKey;
use crate::window::Window;

/// The most that one SSM parameter holds (Advanced tier); the Standard tier holds half of it.
pub const PARAMETER_MAX_BYTES: usize = 8_192;

/// The most text a policy may have in all its documents together. A thousand workgroups with two limits each need
/// about 200 KB; and the last valid policy must fit a DynamoDB item (400 KB).
pub const POLICY_MAX_BYTES: usize = 300 * 1024;

/// One of the documents that make up a policy.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Document {
    /// The file's or parameter's name, as it shall appear in messages. Documents are merged in the order of names.
    pub name: String,
    /// TOML text.
    pub text: String,
}

/// The policy as meant.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Who sends, who is told, and where mail may go at all.
    pub mail: MailRules,
    /// How the people behind queries are found, and when they are told.
    pub submitters: Submitters,
    /// How near the account may come to its quotas of active queries.
    pub active_queries: ActiveQueries,
    /// How long a workgroup may go unasked; where there is none, every workgroup is asked in every run.
    pub economy: Option<Economy>,
    /// Who may raise which limits for a while; nobody where there is none.
    pub grants: Option<GrantRules>,
    /// Who may hold alerts back for a while; nobody where there is none.
    pub silences: Option<SilenceRules>,
    /// The weekly report; none where there is none.
    pub report: Option<ReportRules>,
    /// Rules for exact names, in the order of [`Pattern::cmp_exact`], then for patterns, the most specific first: the first match counts.
    rules: Vec<WorkgroupRule>,
}

/// Who sends, who is told, and where mail may go at all.
#[derive(Debug, Clone, PartialEq)]
pub struct MailRules {
    /// The From address.
    pub sender: Address,
    /// Where answers go, when not to the sender.
    pub reply_to: Option<Address>,
    /// At least one; each in an allowed domain.
    pub admins: Vec<Address>,
    /// Lower case, no wildcards; compared whole.
    pub allowed_domains: Vec<String>,
    /// The zone of times in mails.
    pub zone: TimeZone,
    /// How often the admins are reminded of something that cannot be seen.
    pub repeat_cannot_see_every: SignedDuration,
}

/// How the people behind queries are found, and when they are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitters {
    /// Whose principal belongs to whom. Each address is in an allowed domain.
    pub people: BTreeMap<PrincipalKey, Address>,
    /// Roles, by name, in whose session names an address is its person's.
    pub trusted_roles: Vec<String>,
    /// Roles, by name, in whose sessions' source identity an address is its person's.
    pub trusted_source_identity: Vec<String>,
    /// Share of the window from which somebody is told: from 1 % to 100 %, inclusive.
    pub share_floor: Percent,
    /// Bytes from which somebody is told, inclusive; both floors must be reached.
    pub bytes_floor: Bytes,
    /// How soon the same person may be told again of the same alert.
    pub repeat_every: SignedDuration,
    /// Whether mails show the text of queries.
    pub show_sql: bool,
}

/// How long a workgroup may go unasked where its level cannot change meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Economy {
    /// The longest from one asking to the next, from 10 minutes to an hour; as runs are never exactly on time, one run more at most.
    pub at_most: SignedDuration,
}

/// Who may raise which limits for a while, how far and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantRules {
    /// Who may grant, approve, extend and revoke. Not empty.
    pub granters: Vec<PrincipalKey>,
    /// Exact names.
    pub workgroups: Vec<String>,
    /// The most that a limit may be raised to, inclusive; `None` where no limit may.
    pub highest_limit: Option<Size>,
    /// The same of a per-query cutoff. Never is neither given.
    pub highest_per_query: Option<Size>,
    /// The longest that a grant may last with its extensions, from 5 minutes to 31 days, inclusive.
    pub longest: SignedDuration,
    /// Whether somebody else has to approve.
    pub second_approver: bool,
}

/// Who may hold alerts back for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SilenceRules {
    /// Who may silence an alert. Not empty.
    pub silencers: Vec<PrincipalKey>,
    /// The longest that a silence may last, from 5 minutes to 31 days, inclusive.
    pub longest: SignedDuration,
    /// Levels that are told all the same: of `warn`, `critical` and `exhausted`.
    pub never: Vec<&'static str>,
}

/// The weekly report: when, and to whom.
#[derive(Debug, Clone, PartialEq)]
pub struct ReportRules {
    /// When it is due.
    pub weekly: Weekly,
    /// Who gets it. Not empty; each in an allowed domain.
    pub to: Vec<Address>,
    /// US dollars for 10^12 bytes scanned; from 0 to 1,000.
    pub price_per_tb: f64,
}

/// A time of each week.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weekly {
    /// The day.
    pub day: Weekday,
    /// The time, by the clock of the zone.
    pub time: Time,
    /// The zone.
    pub zone: TimeZone,
}

/// What a grant makes of a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnderGrant {
    /// The limit is raised.
    Raised {
        /// The grant's id.
        id: String,
        /// Who asked for it.
        by: String,
        /// Until when, exclusive.
        until: Timestamp,
        /// The limit without it.
        usual: Bytes,
    },
    /// The limit was raised until then, and what was scanned before does not count against the usual one.
    Ended {
        /// When it ended.
        at: Timestamp,
    },
}

/// What holds for one workgroup, or for all that match a pattern.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkgroupRule {
    /// Whom it is for.
    pub pattern: Pattern,
    /// Whom `owner` means.
    pub owner: Option<Address>,
    /// What one query may scan, enforced by Athena and not by the watchdog.
    pub per_query_cutoff: Option<Size>,
    /// How long its queries may wait.
    pub waiting: Option<WaitingRule>,
    /// How `watchdog plan` is to compute its limits; nothing where the policy does not say. Runs take no notice of it.
    pub plan: Vec<PlanRule>,
    /// One per window.
    pub limits: Vec<Limit>,
}

/// How many bytes may be scanned in one window.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// How long it looks back.
    pub window: Window,
    /// The limit. At least 1.
    pub bytes: Bytes,
    /// The units it was written in.
    pub units: Units,
    /// How it was computed.
    pub origin: Origin,
    /// Share of the limit at which the level is `warn`; below `critical`.
    pub warn: Percent,
    /// The same where the forecast has nothing to say, for it is off or there is too little history. Not above `warn`, and the same
    /// where the policy states `warn`.
    pub warn_unforeseen: Percent,
    /// Whether the level is also `warn` where the forecast says that the limit will run out.
    pub forecast: bool,
    /// How long use must have been below by `hysteresis`, and the forecast calm, before the alert resolves.
    pub hold: SignedDuration,
    /// Share of the limit at which the level is `critical`; below 100 %.
    pub critical: Percent,
    /// How far below a threshold use must fall before the level falls; less than `warn`.
    pub hysteresis: Percent,
    /// How often an open alert is repeated.
    pub repeat_every: SignedDuration,
    /// Who hears of it.
    pub audience: Audience,
    /// What a grant makes of it at the instant that is judged; `None` in a policy as it is written.
    pub grant: Option<UnderGrant>,
}

/// Where a limit's number came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Given as it is.
    Given,
    /// `quota × (1 + buffer)`.
    QuotaAndBuffer {
        /// The quota.
        quota: Size,
        /// What was put on top.
        buffer: Percent,
    },
    /// `quota × share`.
    ShareOfQuota {
        /// The quota.
        quota: Size,
        /// The part that may be used.
        share: Percent,
    },
}

/// Who hears of each level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audience {
    /// Of `warn`; may be empty.
    pub warn: Vec<Who>,
    /// Of `critical`; may be empty.
    pub critical: Vec<Who>,
    /// Of `exhausted`; never empty.
    pub exhausted: Vec<Who>,
}

/// Somebody in an audience.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// The policy's admins.
    Admins,
    /// The workgroup's owner, and the admins where it has none.
    Owner,
    /// Those whose queries use the limit up. Where none can be named, the owner or the admins in their place.
    Submitters,
    /// This address.
    Address(Address),
}

impl Policy {
    /// Reads a policy from its documents, in the order of their names whatever order they come in.
    ///
    /// # Errors
    /// [`Problems`]: everything that is wrong, in order.
    pub fn parse(documents: &[Document]) -> Result<Self, Problems> {
        let mut documents: Vec<&Document> = documents.iter().collect();
        documents.sort_by(|a, b| a.name.cmp(&b.name));
        let total: usize = documents.iter().map(|d| d.text.len()).sum();
        if total > POLICY_MAX_BYTES {
            return Err(Problems(vec![Problem {
                place: None,
                message: format!(
                    "the policy's documents have {total} bytes together: at most {POLICY_MAX_BYTES} are read"
                ),
            }]));
        }
        let mut problems = Vec::new();
        let typed = documents.iter().map(|d| read::read(&d.name, &d.text, &mut problems)).collect();
        let policy = meant::policy(typed, &mut problems);
        match policy {
            Some(policy) if problems.is_empty() => Ok(policy),
            _ => {
                problems.sort();
                problems.dedup();
                Err(Problems(problems))
            }
        }
    }

    /// The rule for a workgroup: that of its exact name, or of the most specific pattern that matches.
    pub fn rule_for(&self, workgroup: &str) -> Option<&WorkgroupRule> {
        let (exact, patterns) = self.rules.split_at(self.rules.partition_point(|rule| rule.pattern.is_exact()));
        // A thousand workgroups with a rule each are looked up several times in a run.
        match exact.binary_search_by(|rule| rule.pattern.cmp_exact(workgroup)) {
            Ok(n) => exact.get(n),
            Err(_) => patterns.iter().find(|rule| rule.pattern.matches(workgroup)),
        }
    }

    /// The same policy with each limit replaced.
    pub fn with_limits(&self, replace: impl Fn(&Limit) -> Limit) -> Self {
        let mut policy = self.clone();
        for limit in policy.rules.iter_mut().flat_map(|rule| &mut rule.limits) {
            *limit = replace(limit);
        }
        policy
    }

    /// The same policy that asks every workgroup in every run.
    pub fn without_economy(&self) -> Self {
        Self { economy: None, ..self.clone() }
    }

    /// The same policy with the rule of one workgroup changed; others that share its pattern keep theirs.
    pub(crate) fn with_rule(&self, workgroup: &str, change: impl FnOnce(&mut WorkgroupRule)) -> Self {
        let mut policy = self.clone();
        let (Some(mut rule), Ok(pattern)) = (self.rule_for(workgroup).cloned(), Pattern::parse(workgroup)) else {
            return policy;
        };
        rule.pattern = pattern;
        change(&mut rule);
        policy.rules.retain(|other| other.pattern != rule.pattern);
        // The first match counts, and exact names are in their order.
        let n = policy
            .rules
            .partition_point(|other| other.pattern.is_exact() && other.pattern.cmp_exact(workgroup).is_lt());
        policy.rules.insert(n, rule);
        policy
    }

    /// How far back the longest window of all limits looks: nothing without limits. A calendar day may have 25 hours.
    pub fn longest_window(&self) -> SignedDuration {
        let windows = self.rules.iter().flat_map(|rule| &rule.limits).map(|limit| &limit.window);
        let minutes = windows.map(|window| match window {
            Window::Rolling { minutes } => i64::from(*minutes),
            Window::Calendar { .. } => 25 * 60,
        });
        SignedDuration::from_mins(minutes.max().unwrap_or(0))
    }

    /// All rules, the most specific first.
    pub fn rules(&self) -> &[WorkgroupRule] {
        &self.rules
    }
}

impl WorkgroupRule {
    /// Whether any of its limits, at any level, is told to those whose queries they are.
    pub fn tells_submitters(&self) -> bool {
        let audiences = self.limits.iter().map(|limit| &limit.audience);
        let mut audiences = audiences.chain(self.waiting.as_ref().map(|waiting| &waiting.rules.audience));
        audiences.any(|audience| {
            [&audience.warn, &audience.critical, &audience.exhausted].iter().any(|who| who.contains(&Who::Submitters))
        })
    }
}

impl Document {
    /// The problem of a document that no SSM parameter can hold, where it is one.
    pub fn too_large_for_parameter(&self) -> Option<Problem> {
        let size = self.text.len();
        (size > PARAMETER_MAX_BYTES).then(|| Problem {
            place: Some(Place { document: self.name.clone(), line: 1, column: 1 }),
            message: format!(
                "this document has {size} bytes: an SSM parameter holds at most {PARAMETER_MAX_BYTES} (Advanced tier) \
                 or 4096 (Standard tier); split it into several parameters under the same path"
            ),
        })
    }
}
