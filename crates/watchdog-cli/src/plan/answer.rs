//! A plan for scripts.

use serde::Serialize;
use watchdog_core::proposal::words::because;
use watchdog_core::proposal::{Basis, Part};

use super::Found;

/// The answer of `plan --json`.
#[derive(Debug, Serialize)]
pub struct Answer<'a> {
    proposals: Vec<ProposalAnswer<'a>>,
    backtest: Vec<BacktestAnswer<'a>>,
    without_rule: &'a [String],
}

#[derive(Debug, Serialize)]
struct ProposalAnswer<'a> {
    workgroup: &'a str,
    rule: String,
    /// `null` of a cutoff for each query, and where nothing is proposed.
    window: Option<String>,
    /// `null` where nothing is proposed; `why` says the reason then.
    limit_bytes: Option<u64>,
    quota_bytes: Option<u64>,
    buffer: Option<String>,
    share: Option<String>,
    present_bytes: Option<u64>,
    /// `windows`, `queries`, `spare` or `stated`.
    basis: Option<&'static str>,
    days: Option<u32>,
    windows: Option<u64>,
    peak_bytes: Option<u64>,
    peak_at: Option<jiff::Timestamp>,
    accident_at: Option<jiff::Timestamp>,
    passed: Option<PassedAnswer>,
    why: Vec<String>,
}

#[derive(Debug, Serialize)]
struct PassedAnswer {
    times: u32,
    of: u32,
    next: u32,
    expected: f64,
    likely_from: u32,
    likely_to: u32,
}

#[derive(Debug, Serialize)]
struct BacktestAnswer<'a> {
    workgroup: &'a str,
    policy: &'static str,
    mails: usize,
    alerts: usize,
    reached: usize,
}

/// The answer as JSON.
pub fn answer(found: &Found) -> Answer<'_> {
    let proposals = found.entries.iter().map(|entry| {
        let proposal = &entry.proposal;
        let ok = proposal.outcome.as_ref().ok();
        let need = ok.and_then(|proposed| match &proposed.basis {
            Basis::Windows(need) => Some(need),
            _ => None,
        });
        let at = |second: i64| jiff::Timestamp::from_second(second).ok();
        let passed = ok.and_then(|proposed| proposed.passed).map(|passed| PassedAnswer {
            times: passed.times,
            of: passed.of,
            next: passed.expected.of,
            expected: (passed.expected.mean * 100.0).round() / 100.0,
            likely_from: passed.expected.fewest,
            likely_to: passed.expected.most,
        });
        ProposalAnswer {
            workgroup: &proposal.workgroup,
            rule: proposal.rule.to_string(),
            window: ok.and_then(|proposed| proposed.window.as_ref()).map(|window| window.id()),
            limit_bytes: ok.map(|proposed| proposed.limit.get()),
            quota_bytes: ok.map(|proposed| proposed.quota.bytes.get()),
            buffer: ok.and_then(|proposed| match proposed.part {
                Part::Buffer(buffer) => Some(buffer.to_string()),
                _ => None,
            }),
            share: ok.and_then(|proposed| match proposed.part {
                Part::Share(share) => Some(share.to_string()),
                _ => None,
            }),
            present_bytes: entry.present.map(|bytes| bytes.get()),
            basis: ok.map(|proposed| match &proposed.basis {
                Basis::Windows(_) => "windows",
                Basis::Queries(_) => "queries",
                Basis::Spare { .. } => "spare",
                Basis::Stated => "stated",
            }),
            days: need.map(|need| need.days),
            windows: need.map(|need| need.windows),
            peak_bytes: need.map(|need| need.peak.bytes.get()),
            peak_at: need.and_then(|need| at(need.peak.at)),
            accident_at: need.and_then(|need| need.accident).and_then(|peak| at(peak.at)),
            passed,
            why: match &proposal.outcome {
                Ok(_) => because(proposal),
                Err(why) => vec![why.to_string()],
            },
        }
    });
    let backtest = found.replayed.iter().flat_map(|replayed| {
        let policies = ["proposed", "present"].into_iter().zip(&replayed.outcome.mails).enumerate();
        policies.map(move |(n, (policy, mails))| {
            let tallies = || replayed.outcome.tallies.values().filter_map(move |tallies| tallies.get(n));
            BacktestAnswer {
                workgroup: &replayed.workgroup,
                policy,
                mails: *mails,
                alerts: tallies().map(|tally| tally.alerts).sum(),
                reached: tallies().map(|tally| tally.leads.len()).sum(),
            }
        })
    });
    Answer { proposals: proposals.collect(), backtest: backtest.collect(), without_rule: &found.without_rule }
}
