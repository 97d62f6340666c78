//! `watchdog report`: what a stretch of the past came to, for somebody who was not there.

mod answer;
mod heaviest;
mod page;
mod sample;
mod text;

use std::path::PathBuf;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use watchdog_aws::clients::Clients;
use watchdog_aws::failure::AwsFailure;
use watchdog_aws::operator::past::Past;
use watchdog_aws::{gather, submitters};
use watchdog_core::fit::Fits;
use watchdog_core::grant::Grants;
use watchdog_core::meter::Meter;
use watchdog_core::people::Shares;
use watchdog_core::policy::{ATHENA_TB, Policy};
use watchdog_core::review::Review;
use watchdog_core::usage::Seen;
use watchdog_core::window::{BUCKET, Span};

pub use self::answer::EpisodeAnswer;
use self::heaviest::{Heaviest, Looked};
use crate::args::{AwsArgs, PolicyArgs, past};
use crate::backtest::{parsed, write_file};
use crate::exit::{Exit, Failure};
use crate::place::{self, Place};
use crate::state::State;
use crate::{out, state};

/// Below the help.
pub const EXAMPLES: &str = "\
Use is CloudWatch's, in five-minute sums. Alerts and how early they were told are from the state table; the heaviest queries and people are
Athena's and CloudTrail's, of the workgroups that scanned most, as far as they can be read in half a minute each. What is not known, and what
a list leaves out, is said.

Examples:
  watchdog report                                  the last 7 days of the stack `athena-quota-watchdog`, as text
  watchdog report --since 30d --html report.html   a page to take to somebody who asks
  watchdog report --policy policy.toml --state-table TABLE
  watchdog report --price-per-tb 4.20 --json | jq '.total'
  watchdog report --sample --html report.html      with use that is made up, without AWS

Exit codes: 0 written; 2 wrong usage, or a policy that cannot be read or understood; 3 the use of a workgroup, the list of them, or the
alerts could not be read: what could be is in the report, and what could not is named.";

/// How much is read at least: as many days as a limit is judged by.
const FOR_FITS: SignedDuration = SignedDuration::from_hours(15 * 24);

/// Workgroups whose queries are read, those that scanned most first. CloudTrail gives two pages a second.
const MOST_SEARCHES: usize = 4;

/// Of `report`.
#[derive(Debug, clap::Args)]
pub struct ReportArgs {
    /// How far to look back, from 1 hour to 63 days, with its unit
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = past)]
    pub since: SignedDuration,
    /// Write a page with plots to this file
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// What 10^12 bytes scanned cost in US dollars [default: that of `[report]` in the policy, otherwise 5.00, the list price]
    #[arg(long, value_name = "USD", value_parser = price)]
    pub price_per_tb: Option<f64>,
    /// Leave out the heaviest queries and people, which take the longest to find
    #[arg(long)]
    pub no_queries: bool,
    /// The table that remembers alerts: the stack's output `StateTableName` [default: that of the stack]. It is only read
    #[arg(long, value_name = "NAME", env = "WATCHDOG_STATE_TABLE", hide_env_values = true)]
    pub state_table: Option<String>,
    /// Show use that is made up, of a policy that the tool brings along
    #[arg(long, conflicts_with_all = ["policy", "stack", "policy_path", "since"])]
    pub sample: bool,
    #[command(flatten)]
    pub policy: PolicyArgs,
    #[command(flatten)]
    pub aws: AwsArgs,
}

/// US dollars.
fn price(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(dollars) if (0.0..=1000.0).contains(&dollars) => Ok(dollars),
        _ => Err("write US dollars for 10^12 bytes, from 0 to 1000, such as `5.00`".to_owned()),
    }
}

/// All that is shown, with nothing left to find out.
struct Report {
    review: Review,
    /// None where nobody wanted to know.
    heaviest: Option<Heaviest>,
    region: String,
    /// How the installation calls itself.
    name: String,
    zone: TimeZone,
    /// Whether the use is made up.
    is_sample: bool,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] where the policy cannot be read or understood, nothing at all could be seen, or the page cannot be written.
pub async fn report(args: &ReportArgs) -> Result<Exit, Failure> {
    let report =
        if args.sample { sample::report(args.price_per_tb.unwrap_or(ATHENA_TB))? } else { gathered(args).await? };
    if let Some(path) = &args.html {
        let page =
            page::page(&report).map_err(|error| Failure::usage(format!("the page cannot be put together: {error}")))?;
        write_file(path, page.as_bytes())?;
    }
    if args.json {
        out::json(&answer::Answer::of(&report))?;
    } else {
        out::data(&text::text(&report))?;
    }
    let review = &report.review;
    let whole = review.total().unknown == 0 && review.incomplete.is_none() && review.alerts.is_ok();
    Ok(if whole { Exit::Fine } else { Exit::Unseen })
}

async fn gathered(args: &ReportArgs) -> Result<Report, Failure> {
    let now = Timestamp::now();
    let place = Place::here(&args.policy)?;
    let config = place::config(&args.aws).await?;
    let clients = Clients::new(&config);
    let documents = gather::documents(&clients, &place.source).await;
    let unread = |failure: AwsFailure| Failure::unseen(format!("the policy could not be read: {failure}"));
    let policy = parsed(&documents.map_err(unread)?)?;
    let state = state::read(&config, &clients, &args.policy, args.state_table.as_deref()).await;
    let price = args.price_per_tb.or(policy.report.as_ref().map(|rules| rules.price_per_tb));
    let review = reviewed(&clients, &policy, &state, args.since, price.unwrap_or(ATHENA_TB), now).await?;
    let heaviest = match args.no_queries {
        true => None,
        false => Some(searched(&clients, &policy, &state, &review, now).await),
    };
    let zone = policy.mail.zone.clone();
    Ok(Report { review, heaviest, region: clients.region.clone(), name: place.stack, zone, is_sample: false })
}

/// Reads the use of all workgroups, a group at a time, and what the table remembers.
async fn reviewed(
    clients: &Clients,
    policy: &Policy,
    state: &State,
    since: SignedDuration,
    price: f64,
    now: Timestamp,
) -> Result<Review, Failure> {
    let length = since.checked_add(policy.longest_window()).unwrap_or(since).max(FOR_FITS);
    let mut past = Past::open(clients, policy, true, length, now).await;
    for warning in &past.warnings {
        out::warning(warning);
    }
    let end = past.span.end;
    let start = end.saturating_sub(since).unwrap_or(Timestamp::MIN).max(past.span.start);
    let none = Grants::new();
    let grants = state.ledger().map_or(&none, |ledger| &ledger.grants);
    let mut review = Review::new(Span { start, end }, price);
    review.incomplete = past.incomplete.as_ref().map(ToString::to_string);
    loop {
        let group = past.next().await;
        if group.is_empty() {
            break;
        }
        for (name, seen) in &group {
            add(&mut review, policy, name, seen, grants);
        }
    }
    for (name, why) in std::mem::take(&mut past.unseen) {
        add(&mut review, policy, &name, &Err(why), grants);
    }
    if review.is_blind() || (review.workgroups.is_empty() && review.incomplete.is_some()) {
        let why = past.warnings.first().cloned().or(review.incomplete.clone());
        let why = why.unwrap_or_else(|| "no workgroup's use could be read".to_owned());
        return Err(Failure::unseen(format!("nothing could be seen in AWS: {why}")));
    }
    match state.ledger() {
        Some(ledger) => review.remember(policy, &ledger.records),
        None => review.alerts = Err(state.why()),
    }
    review.sort();
    Ok(review)
}

/// One workgroup's use, and how its limits fit the last days of it.
fn add(review: &mut Review, policy: &Policy, name: &str, seen: &Seen, grants: &Grants) {
    let mut fits = Fits::default();
    if let Ok(series) = seen {
        let meter = Meter::from(series);
        for limit in policy.rule_for(name).map_or(&[][..], |rule| &rule.limits) {
            fits.note_days(name, limit, &meter, grants, review.span.end);
        }
    }
    review.add(policy, name, seen, BUCKET, &fits);
}

/// Looks for the heaviest queries of the workgroups that scanned most, and for their people.
async fn searched(clients: &Clients, policy: &Policy, state: &State, review: &Review, now: Timestamp) -> Heaviest {
    let used = review.workgroups.iter().filter_map(|w| Some((w.workgroup.as_str(), *w.scanned.as_ref().ok()?)));
    let used: Vec<_> = used.filter(|(_, bytes)| bytes.get() > 0).collect();
    let mut looked = Vec::new();
    for (name, bytes) in used.iter().take(MOST_SEARCHES) {
        let until = Instant::now() + submitters::PATIENCE;
        let table = state.table();
        let gathered = submitters::look(clients, table, name, review.span, Some(*bytes), now, until).await;
        for warning in &gathered.warnings {
            out::warning(warning);
        }
        let shares = Shares::of(&gathered, review.span, Some(*bytes), now, &policy.submitters, &policy.mail);
        looked.push(Looked { workgroup: (*name).to_owned(), shares, unrecorded: gathered.unrecorded });
    }
    Heaviest::of(&looked, used.len())
}
