//! `watchdog who`: whose queries used a workgroup up, and how each person was found.

mod answer;
mod table;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use watchdog_aws::dynamodb::Table;
use watchdog_aws::{gather, pass, submitters};
use watchdog_core::event::{Tick, Timing};
use watchdog_core::people::{Gathered, Shares};
use watchdog_core::usage::Unknown;
use watchdog_core::window::{Span, floor};

use crate::args::WhoArgs;
use crate::exit::{Exit, Failure};
use crate::out::{self, Page};
use crate::place::{self, Place};

/// All that is shown, with nothing left to find out.
struct Who<'a> {
    workgroup: &'a str,
    since: SignedDuration,
    as_of: Timestamp,
    region: &'a str,
    shares: &'a Shares,
    /// Why the metric is not known, where it is not.
    metric: Option<&'a Unknown>,
    /// Why CloudTrail's records were not read in full, where they were not.
    unrecorded: Option<&'a str>,
    warnings: &'a [String],
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] where there is no such workgroup, and where nothing at all could be seen.
pub async fn who(args: &WhoArgs) -> Result<Exit, Failure> {
    let now = Timestamp::now();
    let place = Place::here(&args.policy)?;
    let clients = place::clients(&args.aws).await?;
    let tick = Tick { at: now, timing: Timing::Now };
    let looked = pass::look(&clients, &place.settings(args.state_table.clone(), now), tick, now).await;
    let (look, catalogue) = looked.map_err(|error| place::failed(&error))?;
    let workgroup = args.workgroup.as_str();
    if look.usage.incomplete.is_none() && !catalogue.names.contains_key(workgroup) {
        let names: Vec<&str> = catalogue.names.keys().take(20).map(String::as_str).collect();
        return Err(Failure::usage(format!(
            "there is no workgroup `{workgroup}` here; there are: {}",
            names.join(", ")
        )));
    }
    // Whole buckets, so that the metric and the list of queries speak of the same time.
    let span = Span { start: floor(now - args.since), end: now };
    let used = gather::used(&clients, &catalogue, workgroup, span, now).await;
    let table = args.state_table.as_ref();
    let table = table.map(|name| Table { client: clients.dynamodb.clone(), name: name.clone() });
    let until = Instant::now() + submitters::PATIENCE;
    let gathered =
        submitters::look(&clients, table.as_ref(), workgroup, span, used.as_ref().ok().copied(), now, until).await;
    blind(&gathered)?;
    let (rules, mail) = (&look.policy.submitters, &look.policy.mail);
    let shares = Shares::of(&gathered, span, used.as_ref().ok().copied(), now, rules, mail);
    let mut warnings = look.notes.warnings;
    warnings.extend(gathered.warnings.iter().cloned());
    let who = Who {
        workgroup,
        since: args.since,
        as_of: now,
        region: &clients.region,
        shares: &shares,
        metric: used.as_ref().err(),
        unrecorded: gathered.unrecorded.as_deref(),
        warnings: &warnings,
    };
    if args.json {
        out::json(&answer::Answer::of(&who))?;
    } else {
        for warning in &warnings {
            out::warning(warning);
        }
        out::data(&table::text(&who, mail, Page::of_stdout()))?;
    }
    Ok(who.exit())
}

/// Where Athena told of no query because it could not be asked, an empty table would say that there was none.
fn blind(gathered: &Gathered) -> Result<(), Failure> {
    match &gathered.cut {
        Some(why) if gathered.executions.is_empty() => {
            let why = gathered.warnings.first().unwrap_or(why);
            Err(Failure::unseen(format!("the workgroup's queries could not be listed: {why}")))
        }
        _ => Ok(()),
    }
}

impl Who<'_> {
    fn exit(&self) -> Exit {
        let shares = self.shares;
        let is_blind = shares.cut.is_some() || shares.unread > 0 || self.metric.is_some() || self.unrecorded.is_some();
        let (queries, named) = shares.counts();
        match (is_blind, named == queries) {
            (true, _) => Exit::Unseen,
            (false, true) => Exit::Fine,
            (false, false) => Exit::Over,
        }
    }
}

#[cfg(test)]
mod tests;
