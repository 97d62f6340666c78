//! `watchdog status`: every limit as it stands now.

mod answer;
mod bar;
mod table;

use jiff::Timestamp;
use watchdog_aws::clients::Clients;
use watchdog_aws::dynamodb::Ledger;
use watchdog_aws::gather::PolicySource;
use watchdog_aws::pass::{self, Look};
use watchdog_core::bytes::Bytes;
use watchdog_core::catalogue::Catalogue;
use watchdog_core::event::{Tick, Timing};
use watchdog_core::grant::{Grants, in_force};
use watchdog_core::policy::{Policy, WorkgroupRule};
use watchdog_core::report::Answer;
use watchdog_core::usage::Unknown;
use watchdog_core::verdict::{Findings, QueryVerdict, Verdict, judge};

use crate::args::StatusArgs;
use crate::exit::{Exit, Failure};
use crate::out::{self, Page};
use crate::place::{self, Place};
use crate::state::{self, State};

/// All that is shown, with nothing left to find out.
struct Status<'a> {
    policy: &'a Policy,
    findings: &'a Findings<'a>,
    /// What is set in Athena.
    catalogue: &'a Catalogue,
    /// Why the list of workgroups is not complete, where it is not.
    incomplete: Option<&'a Unknown>,
    as_of: Timestamp,
    region: &'a str,
    /// Where the policy is, in words.
    policy_place: &'a str,
    warnings: &'a [String],
    /// What the state table remembers; none where it is not known.
    ledger: Option<&'a Ledger>,
    /// What is promised, for people and for JSON alike.
    promises: &'a Answer,
}

/// A watched workgroup that has a per-query cutoff in the policy.
struct Cutoff<'a> {
    workgroup: &'a str,
    bytes: Bytes,
    enforced: Enforced,
    rule: &'a WorkgroupRule,
    /// Why the workgroup cannot be seen, where it cannot.
    unseen: Option<&'a Unknown>,
}

/// What Athena enforces, against what the policy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Enforced {
    /// The same.
    Same,
    /// Something else, or nothing.
    Differs(Option<Bytes>),
    /// Not known.
    Unknown,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] where nothing at all could be seen.
pub async fn status(args: &StatusArgs) -> Result<Exit, Failure> {
    let now = Timestamp::now();
    let place = Place::here(&args.policy)?;
    let policy_place = match &place.source {
        PolicySource::Parameters(path) => path.clone(),
        PolicySource::Documents(documents) => documents.iter().map(|d| d.name.as_str()).collect::<Vec<_>>().join(", "),
    };
    let config = place::config(&args.aws).await?;
    let clients = Clients::new(&config);
    let tick = Tick { at: now, timing: Timing::Now };
    let looked = pass::look(&clients, &place.settings(None, now), tick, now).await;
    let (look, catalogue) = looked.map_err(|error| place::failed(&error))?;
    blind(&look, &judge(&look.policy, &tick, &look.usage))?;
    let state = state::read(&config, &clients, &args.policy, args.state_table.as_deref()).await;
    let mut warnings = look.notes.warnings.clone();
    if let State::Unread(why) = &state {
        warnings.push(format!("grants, silences and past alerts are not shown: {why}"));
    }
    // As a run would: under the grants that are in force.
    let none = Grants::new();
    let policy = in_force(&look.policy, state.ledger().map_or(&none, |ledger| &ledger.grants), now);
    let findings = judge(&policy, &tick, &look.usage);
    let mut promises =
        state.ledger().map_or_else(Answer::default, |ledger| Answer::listed(&ledger.grants, &ledger.silences, now));
    promises.grants.retain(|grant| !grant.is_closed());
    let status = Status {
        policy: &policy,
        findings: &findings,
        catalogue: &catalogue,
        incomplete: look.usage.incomplete.as_ref(),
        as_of: now,
        region: &clients.region,
        policy_place: &policy_place,
        warnings: &warnings,
        ledger: state.ledger(),
        promises: &promises,
    };
    if args.json {
        out::json(&answer::Answer::of(&status))?;
    } else {
        for warning in status.warnings {
            out::warning(warning);
        }
        out::data(&table::text(&status, Page::of_stdout()))?;
    }
    Ok(status.exit())
}

/// Where AWS said nothing at all, a table full of `unknown` says less than the one cause.
fn blind(look: &Look, findings: &Findings<'_>) -> Result<(), Failure> {
    match &look.usage.incomplete {
        Some(why) if findings.seen.is_empty() => {
            let why = look.notes.warnings.first().cloned().unwrap_or_else(|| why.to_string());
            Err(Failure::unseen(format!("nothing could be seen in AWS: {why}")))
        }
        _ => Ok(()),
    }
}

impl Status<'_> {
    fn exit(&self) -> Exit {
        let bytes = self.findings.verdicts.iter().map(Verdict::level_word);
        let levels = bytes.chain(self.findings.queries.iter().map(QueryVerdict::level_word));
        Exit::of(levels, self.incomplete.is_none() && self.findings.unseen.is_empty())
    }

    /// By workgroup name.
    fn cutoffs(&self) -> Vec<Cutoff<'_>> {
        let seen = self.findings.seen.iter().map(|name| (name.as_str(), None));
        let unseen = self.findings.unseen.iter().map(|(name, why)| (name.as_str(), Some(why)));
        let cutoff = |(workgroup, unseen)| {
            let rule = self.policy.rule_for(workgroup)?;
            let bytes = rule.per_query_cutoff?.bytes;
            let enforced = match self.catalogue.settings.get(workgroup).map(|settings| settings.per_query_cutoff) {
                None => Enforced::Unknown,
                Some(Some(enforced)) if enforced == bytes => Enforced::Same,
                Some(other) => Enforced::Differs(other),
            };
            Some(Cutoff { workgroup, bytes, enforced, rule, unseen })
        };
        let mut cutoffs: Vec<_> = seen.chain(unseen).filter_map(cutoff).collect();
        cutoffs.sort_by_key(|cutoff| cutoff.workgroup);
        cutoffs
    }
}

#[cfg(test)]
mod tests;
