//! A plan for scripts.

use serde::Serialize;
use watchdog_core::bytes::Bytes;
use watchdog_core::percent::whole_percent;
use watchdog_core::proposal::words::{because, crowded};
use watchdog_core::proposal::{Basis, Part};

use super::{Crowded, Found};

/// The answer of `plan --json`.
#[derive(Debug, Serialize)]
pub struct Answer<'a> {
    proposals: Vec<ProposalAnswer<'a>>,
    active_queries: Vec<ActiveAnswer>,
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

/// How full a quota of active queries has been.
#[derive(Debug, Serialize)]
struct ActiveAnswer {
    class: &'static str,
    /// `null` where it is not known.
    quota: Option<u64>,
    from: jiff::Timestamp,
    until: jiff::Timestamp,
    /// The rest is `null` where nothing was active.
    low: Option<u64>,
    high: Option<u64>,
    low_percent: Option<u64>,
    high_percent: Option<u64>,
    /// Of all five-minute stretches those in which anything was active.
    active_percent: Option<u64>,
    peak: Option<u64>,
    peak_at: Option<jiff::Timestamp>,
    /// What the quota left at the peak; negative where more were active than it has now.
    left: Option<i64>,
    /// By hour of the day, UTC: the most that half of the days reach in it.
    hours: Option<[u64; 24]>,
    busiest_hours: Vec<u8>,
    days: Vec<DayAnswer>,
    reached: Option<PassedAnswer>,
    better_quota: Option<u64>,
    why: Vec<String>,
}

#[derive(Debug, Serialize)]
struct DayAnswer {
    day: String,
    low: u64,
    high: u64,
    peak: u64,
}

fn active(crowd: &Crowded, region: &str) -> ActiveAnswer {
    let (counted, band) = (&crowd.counted, crowd.band.as_ref());
    let quota = counted.quota.map(|quota| quota.most);
    let share = |n: u64, of: u64| whole_percent(Bytes::new(n), Bytes::new(of));
    let day =
        |start: i64| jiff::Timestamp::from_second(start).map_or(String::new(), |at| at.strftime("%F").to_string());
    let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let days = band.into_iter().flat_map(|band| &band.days).map(|of| DayAnswer {
        day: day(of.start),
        low: of.swing.map_or(0, |swing| swing.low),
        high: of.swing.map_or(0, |swing| swing.high),
        peak: of.peak,
    });
    ActiveAnswer {
        class: counted.class.word(),
        quota,
        from: counted.span.start,
        until: counted.span.end,
        low: band.map(|band| band.usual.low),
        high: band.map(|band| band.usual.high),
        low_percent: band.zip(quota).map(|(band, quota)| share(band.usual.low, quota)),
        high_percent: band.zip(quota).map(|(band, quota)| share(band.usual.high, quota)),
        active_percent: band.map(|band| share(band.active.0, band.active.1.max(1))),
        peak: band.map(|band| band.peak.0),
        peak_at: band.map(|band| band.peak.1),
        left: band.zip(quota).map(|(band, quota)| signed(quota) - signed(band.peak.0)),
        hours: band.map(|band| band.hours),
        busiest_hours: band.map(|band| band.busiest()).unwrap_or_default(),
        days: days.collect(),
        reached: band.and_then(|band| band.reached).map(|reached| PassedAnswer {
            times: reached.times,
            of: reached.of,
            next: reached.expected.of,
            expected: (reached.expected.mean * 100.0).round() / 100.0,
            likely_from: reached.expected.fewest,
            likely_to: reached.expected.most,
        }),
        better_quota: band.zip(quota).and_then(|(band, quota)| band.better(quota)),
        why: band.map(|band| crowded(counted, band, region)).unwrap_or_default(),
    }
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
    let active_queries = found.crowded.iter().map(|crowd| active(crowd, &found.region)).collect();
    Answer {
        proposals: proposals.collect(),
        active_queries,
        backtest: backtest.collect(),
        without_rule: &found.without_rule,
    }
}
