//! `watchdog cost`: what a month costs, computed; nothing is asked of AWS.

use std::fmt::Write;

use anstyle::Style;
use serde::Serialize;
use watchdog_core::cost::{Month, Prices, Setup, month};

use crate::exit::{Exit, Failure};
use crate::out;

/// Below the help.
pub const EXAMPLES: &str = "\
Prices are us-east-1's list, without any free tier, as known in November 2026. For another Region or your own contract name them
with `--price`, in US dollars: metrics_1000, invocations_1m, gb_second, writes_1m, reads_1m, mails_1000, log_gb, metric, alarm.

Examples:
  watchdog cost
  watchdog cost --workgroups 40 --every 5 --limits 3
  watchdog cost --workgroups 1000 --every 5 --asked 45
  watchdog cost --price metrics_1000=0.012 --price alarm=0.12
  watchdog cost --json | jq '.months[] | select(.usd > 50)'

Exit codes: 0 computed; 2 wrong usage.";

/// Of `cost`.
#[derive(Debug, clap::Args)]
pub struct CostArgs {
    /// How many workgroups have limits; several, separated by commas
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "5,100,1000",
          value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub workgroups: Vec<u64>,
    /// Minutes between two runs; several, separated by commas
    #[arg(long, value_name = "MINUTES", value_delimiter = ',', default_value = "1,5,15",
          value_parser = clap::value_parser!(u64).range(1..=60))]
    pub every: Vec<u64>,
    /// Limits on each workgroup
    #[arg(long, value_name = "N", default_value = "2", value_parser = clap::value_parser!(u64).range(1..=20))]
    pub limits: u64,
    /// Mails in a month
    #[arg(long, value_name = "N", default_value = "100", value_parser = clap::value_parser!(u64).range(0..=10_000_000))]
    pub mails: u64,
    /// Of a hundred askings, how many an economy leaves, as `watchdog backtest` says
    #[arg(long, value_name = "PERCENT", default_value = "100", value_parser = clap::value_parser!(u64).range(1..=100))]
    pub asked: u64,
    /// Another price than the list's
    #[arg(long = "price", value_name = "NAME=USD", value_parser = price)]
    pub prices: Vec<(String, f64)>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// A price's name and its dollars.
fn price(text: &str) -> Result<(String, f64), String> {
    let (name, dollars) = text.split_once('=').unwrap_or((text, ""));
    let known = Prices::default().named().map(|(name, _)| name);
    if !known.contains(&name) {
        return Err(format!("`{name}` is no price; there are {}", known.join(", ")));
    }
    match dollars.parse() {
        Ok(dollars) if (0.0..=1e6).contains(&dollars) => Ok((name.to_owned(), dollars)),
        _ => Err(format!("`{dollars}` is no price in US dollars, such as `0.012`")),
    }
}

#[derive(Serialize)]
struct Answer {
    prices: Prices,
    months: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    setup: Setup,
    #[serde(flatten)]
    month: Month,
}

/// Prints the table.
///
/// # Errors
/// [`Failure`] where standard output cannot be written.
pub fn cost(args: &CostArgs) -> Result<Exit, Failure> {
    let mut prices = Prices::default();
    for (name, dollars) in &args.prices {
        prices.named().into_iter().filter(|(known, _)| known == name).for_each(|(_, price)| *price = *dollars);
    }
    let setups = args.workgroups.iter().flat_map(|workgroups| {
        let of = |every: &u64| Setup {
            workgroups: *workgroups,
            limits: args.limits,
            every_minutes: *every,
            mails: args.mails,
            asked_percent: args.asked,
        };
        args.every.iter().map(of).collect::<Vec<_>>()
    });
    let months = setups.map(|setup| Row { setup, month: month(setup, &prices) }).collect();
    let answer = Answer { prices, months };
    match args.json {
        true => out::json(&answer)?,
        false => out::data(&text(&answer, args))?,
    }
    Ok(Exit::Fine)
}

fn text(answer: &Answer, args: &CostArgs) -> String {
    let (bold, dim) = (Style::new().bold(), Style::new().dimmed());
    let limits = args.limits;
    let asked = if args.asked < 100 { format!(", {} % of them asked in each", args.asked) } else { String::new() };
    let mut out = format!("{bold}A month of quiet runs, {limits} limits a workgroup{asked}, in US dollars{bold:#}\n\n");
    let heading =
        ["WORKGROUPS", "EVERY", "REQUESTS", "METRICS", "WRITES", "MAILS", "GB-S", "COST", "OF IT METRICS", "ALARMS"];
    let widths = [10, 6, 10, 11, 7, 6, 7, 8, 13, 8];
    let mut line = |cells: [String; 10], style: Style| {
        let cells: Vec<String> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:>width$}")).collect();
        // Writing to a string does not fail.
        let _ = writeln!(out, "{style}{}{style:#}", cells.join("  "));
    };
    line(heading.map(str::to_owned), dim);
    for Row { setup, month } in &answer.months {
        let cells = [
            setup.workgroups.to_string(),
            format!("{} min", setup.every_minutes),
            month.requests.to_string(),
            month.metrics.to_string(),
            month.writes.to_string(),
            setup.mails.to_string(),
            format!("{:.0}", month.gb_seconds),
            format!("{:.2}", month.usd),
            format!("{:.2}", month.metrics_usd),
            format!("{:.2}", month.alarms_usd),
        ];
        line(cells, Style::new());
    }
    out.push_str(
        "\nALARMS: one CloudWatch alarm for each limit instead, which tells one topic at one threshold. COST has the stack's own\n\
         alarms and metrics in it. Workgroups and runs make the cost, not limits: each metric is asked for once a run. A workgroup\n\
         with `waiting` is asked for four metrics more, which is not counted here. With `[economy]` in the policy only a part of them is\n\
         asked: `watchdog backtest` says which, and how much later people may hear of something because of it.\n",
    );
    out
}
