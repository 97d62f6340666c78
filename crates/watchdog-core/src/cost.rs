//! What a month of the watchdog costs, computed from what a quiet run does; beside it one CloudWatch alarm for each limit.
//!
//! A quiet run is one in which no limit is over a level: nearly all are. What a mail or a search for submitters adds is small beside it.
//! Dollars are floating point: nothing is decided by them.

use serde::Serialize;

use crate::catalogue::{LOOKUPS, PAGES};
use crate::window::BUCKET;

/// Days in a month of this module: 8,640 runs at one every five minutes.
const DAYS: u64 = 30;
/// Five-minute datapoints that a run reads of each workgroup with a limit of a day and the forecast: 27 hours and a half, and its two ends.
const POINTS: u64 = 337;
/// Datapoints in a request and metrics in it: CloudWatch's bounds.
const MOST_POINTS: u64 = 100_800;
const MOST_QUERIES: u64 = 500;
/// Active DML and DDL queries, asked beside the bytes.
const ACCOUNT_METRICS: u64 = 2;
/// How often what changes rarely is read, in seconds; names that fit one page in every run.
const REFRESH: u64 = 15 * 60;
/// Names on a page of `ListWorkGroups`, and metrics on one of `ListMetrics`.
const NAMES: u64 = 50;
const METRICS: u64 = 500;
/// Hours after which settings are read again whatever a run has calls for.
const PRESSING: u64 = 16;
/// Memory of the function in GB, and its share of a processor: Lambda gives a whole one at 1,769 MB.
const MEMORY_GB: f64 = 0.125;
const PROCESSOR: f64 = 128.0 / 1769.0;
/// Seconds: four calls one after the other at 20 ms, and own processor time, no less than `make bench` measures (2.4, 7.2
/// and 40 ms on idle cores, 3, 11 and 71 ms on busy ones).
const WAITING: f64 = 4.0 * 0.02;
const OWN: f64 = 0.003;
const OWN_PER_WORKGROUP: f64 = 0.000_07;
/// Bytes in the log: a run's line without limits, each limit in it, and how many are listed at most before only those over a level are.
const LINE: u64 = 1500;
const LIMIT: u64 = 250;
const MOST_LIMITS: u64 = 200;
/// The stack's own alarms and metrics.
const ALARMS: u64 = 9;
const OWN_METRICS: u64 = 4;

/// Prices in US dollars. The default is us-east-1's public list, on demand and without any free tier, as known in November 2026; from
/// <https://aws.amazon.com/cloudwatch/pricing/> and the like pages of Lambda, DynamoDB and SES.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Prices {
    /// `GetMetricData`, for 1,000 metrics asked for.
    pub metrics_1000: f64,
    /// A million invocations.
    pub invocations_1m: f64,
    /// A GB-second of Lambda on x86-64.
    pub gb_second: f64,
    /// A million write request units of DynamoDB.
    pub writes_1m: f64,
    /// A million read request units.
    pub reads_1m: f64,
    /// 1,000 mails of SES.
    pub mails_1000: f64,
    /// A GB taken in by CloudWatch Logs.
    pub log_gb: f64,
    /// A metric of one's own, for a month.
    pub metric: f64,
    /// An alarm at standard resolution on one metric, for a month.
    pub alarm: f64,
}

impl Default for Prices {
    fn default() -> Self {
        Self {
            metrics_1000: 0.01,
            invocations_1m: 0.20,
            gb_second: 0.000_016_666_7,
            writes_1m: 0.625,
            reads_1m: 0.125,
            mails_1000: 0.10,
            log_gb: 0.50,
            metric: 0.30,
            alarm: 0.10,
        }
    }
}

impl Prices {
    /// Every price by its name, to be set.
    pub fn named(&mut self) -> [(&'static str, &mut f64); 9] {
        [
            ("metrics_1000", &mut self.metrics_1000),
            ("invocations_1m", &mut self.invocations_1m),
            ("gb_second", &mut self.gb_second),
            ("writes_1m", &mut self.writes_1m),
            ("reads_1m", &mut self.reads_1m),
            ("mails_1000", &mut self.mails_1000),
            ("log_gb", &mut self.log_gb),
            ("metric", &mut self.metric),
            ("alarm", &mut self.alarm),
        ]
    }
}

/// What is watched, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Setup {
    /// Workgroups with limits.
    pub workgroups: u64,
    /// Limits on each.
    pub limits: u64,
    /// Minutes between two runs; at least one.
    pub every_minutes: u64,
    /// Mails in a month.
    pub mails: u64,
    /// Of a hundred times that a workgroup could be asked, how often it is: all, without an economy.
    #[serde(skip_serializing_if = "is_all")]
    pub asked_percent: u64,
}

/// Whether there is no economy to speak of.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_all(percent: &u64) -> bool {
    *percent >= 100
}

/// A month.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Month {
    /// Invocations.
    pub runs: u64,
    /// Calls of AWS's services, rounded up.
    pub requests: u64,
    /// Metrics asked for. Limits and windows do not count: each metric is asked for once a run.
    pub metrics: u64,
    /// Writes into the table.
    pub writes: u64,
    /// Memory times billed time.
    pub gb_seconds: f64,
    /// US dollars for `GetMetricData` alone.
    pub metrics_usd: f64,
    /// US dollars for everything, the stack's own metrics and alarms included.
    pub usd: f64,
    /// US dollars for one alarm for each limit instead, which tells one SNS topic at one threshold.
    pub alarms_usd: f64,
}

/// What a month of `setup` comes to.
pub fn month(setup: Setup, prices: &Prices) -> Month {
    let Setup { workgroups, limits, every_minutes, mails, asked_percent } = setup;
    let every = every_minutes.max(1);
    let runs = DAYS * 24 * 60 / every;
    let refreshes = runs.min(DAYS * 24 * 3600 / REFRESH);
    let asked_a_run = workgroups * asked_percent.min(100);
    // Those of the account are asked for in every run.
    let metrics = (asked_a_run * runs).div_ceil(100) + ACCOUNT_METRICS * runs;
    let data = (asked_a_run.div_ceil(100) + ACCOUNT_METRICS).div_ceil((MOST_POINTS / POINTS).min(MOST_QUERIES));
    // The lease taken and given back, the ledger, the policy.
    let always = (4 + data) * runs;
    // A list that is longer than what is read of it in a run is read on in the next; then it rests for as long as it is fresh.
    let listed = |pages: u64| {
        let one = pages.div_ceil(PAGES as u64);
        pages * (runs / (one - 1 + runs.div_ceil(refreshes)))
    };
    let names = match workgroups < NAMES {
        true => runs,
        false => listed(workgroups.div_ceil(NAMES)),
    };
    let lists = listed(workgroups.div_ceil(METRICS));
    // As if none were used: one that is proves itself.
    let room = (LOOKUPS as u64 * runs).saturating_sub(names + lists);
    let settings = room.max(workgroups * DAYS * 24 / PRESSING).min(workgroups * refreshes);
    // The lease twice, and what was learnt of the workgroups wherever something was: a write unit a KB, 150 bytes a workgroup.
    let slices = workgroups.div_ceil(LOOKUPS as u64).max(1);
    let learnt = (refreshes * slices).min(runs);
    let cached = (workgroups * 150).div_ceil(1024).max(1);
    let writes = 2 * runs + learnt + mails;
    let write_units = 2 * runs + learnt * cached + 2 * mails;
    let limits_in_line = if workgroups * limits > MOST_LIMITS { 0 } else { workgroups * limits };
    let log_bytes = runs * (LINE + limits_in_line * LIMIT);
    let own = OWN + OWN_PER_WORKGROUP * workgroups as f64;
    let gb_seconds = runs as f64 * MEMORY_GB * (WAITING + own / PROCESSOR);
    let metrics_usd = metrics as f64 / 1000.0 * prices.metrics_1000;
    let usd = metrics_usd
        + runs as f64 / 1e6 * prices.invocations_1m
        + gb_seconds * prices.gb_second
        + write_units as f64 / 1e6 * prices.writes_1m
        + runs as f64 / 1e6 * prices.reads_1m
        + mails as f64 / 1000.0 * prices.mails_1000
        + log_bytes as f64 / 1e9 * prices.log_gb
        + OWN_METRICS as f64 * prices.metric
        + ALARMS as f64 * prices.alarm;
    Month {
        runs,
        requests: always + names + settings + lists + learnt + 2 * mails,
        metrics,
        writes,
        gb_seconds,
        metrics_usd,
        usd,
        alarms_usd: (workgroups * limits) as f64 * prices.alarm,
    }
}

// What is said of a run above stands on this.
const _: () = assert!(BUCKET == 300);

#[cfg(test)]
mod tests {
    use super::*;

    fn of(workgroups: u64, limits: u64, every_minutes: u64) -> Month {
        month(Setup { workgroups, limits, every_minutes, mails: 0, asked_percent: 100 }, &Prices::default())
    }

    #[test]
    fn metrics_are_asked_for_once_whatever_the_number_of_limits() {
        assert_eq!(of(100, 1, 5).metrics, 102 * 8640);
        assert_eq!(of(100, 1, 5).metrics, of(100, 7, 5).metrics);
        assert!((of(100, 2, 5).metrics_usd - 8.8128).abs() < 1e-9);
        assert!((of(100, 2, 5).alarms_usd - 20.0).abs() < 1e-9);
    }

    #[test]
    fn a_month_follows_its_runs() {
        assert_eq!([1, 5, 15].map(|every| of(5, 2, every).runs), [43_200, 8640, 2880]);
        // A run without a minute is none that a schedule could have.
        assert_eq!(of(5, 2, 0).runs, 43_200);
        // Six calls of a quiet run, a list of metrics and five settings in every third, and what was learnt written down.
        assert_eq!(of(5, 2, 5).requests, 6 * 8640 + (1 + 5 + 1) * 2880);
        // 1,000 workgroups: lease, ledger, policy, four pages of data; ten of lists and settings, whichever; what was learnt.
        assert_eq!(of(1000, 2, 5).requests, (8 + 10 + 1) * 8640);
        // Where runs are rare there is too little room: what is sixteen hours old is read again all the same. Names take seven runs each time.
        let settings = 1000 * 30 * 24 / 16;
        assert_eq!(of(1000, 2, 15).requests, (8 + 1 + 2) * 2880 + 20 * (2880 / 7) + settings);
    }

    #[test]
    fn an_economy_asks_for_a_part_of_the_workgroups_and_for_all_of_the_account() {
        let setup = Setup { workgroups: 1000, limits: 2, every_minutes: 5, mails: 0, asked_percent: 40 };
        let (with, without) = (month(setup, &Prices::default()), of(1000, 2, 5));
        assert_eq!(with.metrics, 402 * 8640);
        // 402 metrics are two requests, 1,002 four.
        assert_eq!(without.requests - with.requests, 2 * 8640);
        assert!((without.usd - with.usd - 600.0 * 8640.0 / 1e5).abs() < 1e-9);
    }

    #[test]
    fn every_price_counts() {
        let setup = Setup { workgroups: 100, limits: 2, every_minutes: 5, mails: 1000, asked_percent: 100 };
        let before = month(setup, &Prices::default()).usd;
        for i in 0..Prices::default().named().len() {
            let mut prices = Prices::default();
            *prices.named()[i].1 *= 1000.0;
            assert!(month(setup, &prices).usd > before + 0.001, "{}", prices.named()[i].0);
        }
    }
}
