//! Limits that measured use asks for: a workgroup's past and its rule in, a number with its evidence out, or the reason why there is none.
//!
//! Nothing here is a verdict on use, and no run asks it: it is what an operator looks at before a limit is written down. The statistic is
//! [`need`]'s, how sure it is [`expected`] says, and [`document`] puts the numbers into a policy's text.

pub mod band;
pub mod capacity;
pub mod days;
pub mod document;
pub mod expected;
pub mod need;
pub mod words;

use jiff::Timestamp;

use self::capacity::{Account, Learnt, Unlearnt, learn};
use self::days::{Day, History};
use self::expected::{Expected, clump, expected};
use self::need::{FEWEST_DAYS, FEWEST_QUERIES, Need, NoNeed, Peak, QueryNeed, need, query_need};
use crate::bytes::{Bytes, Size, Units};
use crate::percent::Percent;
use crate::policy::PlanRule;
use crate::window::Window;

/// The days to come that a proposal speaks of.
pub const NEXT_DAYS: u32 = 30;

/// Athena's least `BytesScannedCutoffPerQuery`.
const LEAST_CUTOFF: Bytes = Bytes::new(10_000_000);

/// An hour of the day counts with its production from this many days on, as days do.
const FEWEST_HOURS: usize = FEWEST_DAYS as usize;

/// One workgroup and what is known of it.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Its name.
    pub workgroup: String,
    /// How its limits are to be computed.
    pub rules: Vec<PlanRule>,
    /// The units that its numbers are written in.
    pub units: Units,
    /// Its use.
    pub history: Option<History>,
    /// The sizes of its queries, where they are known.
    pub queries: Vec<Bytes>,
}

/// What is stated, and what is known of the whole account.
#[derive(Debug, Clone, Default)]
pub struct Stated {
    /// What the account can take, and in which window.
    pub capacity: Option<(Size, Window)>,
    /// What is known of the account's queries, to learn from where that is not stated.
    pub account: Option<Account>,
    /// The low value of workgroups whose rule is a stated value.
    pub low: Option<Size>,
    /// The days to come that are spoken of.
    pub next: Option<u32>,
}

/// One limit that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// The workgroup.
    pub workgroup: String,
    /// The rule that asked for it.
    pub rule: PlanRule,
    /// The number, or why there is none.
    pub outcome: Result<Proposed, Unproposed>,
}

/// A number with its evidence.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposed {
    /// The window of the limit; `None` of a cutoff for each query.
    pub window: Option<Window>,
    /// What is needed, rounded up to three digits.
    pub quota: Size,
    /// What becomes of it.
    pub part: Part,
    /// The limit, or the cutoff.
    pub limit: Bytes,
    /// What it stands on.
    pub basis: Basis,
    /// How often it would have been passed; `None` where that cannot be known.
    pub passed: Option<Passed>,
}

/// How a limit comes from its quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The quota itself.
    Whole,
    /// With this much on top.
    Buffer(Percent),
    /// This share of it.
    Share(Percent),
}

/// What a number stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Basis {
    /// The peaks of days.
    Windows(Need),
    /// The sizes of queries.
    Queries(QueryNeed),
    /// What the account can take beside production.
    Spare {
        /// What the account can take.
        capacity: Bytes,
        /// Where that was learnt; `None` where it is stated.
        learnt: Option<Learnt>,
        /// The hour of the day, UTC, at which production needs most.
        hour: u8,
        /// What production needs at that hour.
        production: Bytes,
        /// Days on which that hour is known.
        days: usize,
        /// Whose use production is.
        workgroups: Vec<String>,
    },
    /// Somebody's word.
    Stated,
}

/// How often a limit would have been passed, and is likely to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Passed {
    /// Days, or queries, that passed it.
    pub times: u32,
    /// Of so many.
    pub of: u32,
    /// The last day that did, by its first second; `None` where there is none, and of queries.
    pub last: Option<i64>,
    /// Of the next days, or of the next thousand queries.
    pub expected: Expected,
}

/// Why there is no number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unproposed {
    /// Nothing is known of its use.
    NoHistory,
    /// Too few days with most of their windows known.
    TooLittle {
        /// How many there are.
        days: u32,
    },
    /// Nothing was scanned.
    Idle {
        /// On how many days.
        days: u32,
    },
    /// There is no log of its queries. No query scanned more than the largest five minutes.
    NoQueries {
        /// These, where anything is known.
        bound: Option<(Bytes, Timestamp)>,
    },
    /// There are too few queries.
    FewQueries {
        /// How many.
        queries: usize,
    },
    /// Nobody has stated what the account can take, and it could not be learnt.
    NoCapacity {
        /// Why; `None` where nothing is known of queries that wait.
        why: Option<Unlearnt>,
    },
    /// No workgroup of production is known for long enough at each hour of the day.
    NoProduction,
    /// Production alone needs all that the account can take.
    NoRoom {
        /// At this hour of the day, UTC.
        hour: u8,
        /// So much.
        production: Bytes,
        /// Of this.
        capacity: Bytes,
    },
    /// Nobody has stated the value.
    NotStated,
    /// The number is beyond 16 EiB.
    TooLarge,
}

/// Proposes a number for each rule of each subject, in their order.
pub fn propose(subjects: &[Subject], stated: &Stated) -> Vec<Proposal> {
    let mut proposals = Vec::new();
    for subject in subjects {
        for rule in &subject.rules {
            let outcome = match rule {
                PlanRule::Windows { window, buffer } => windows(subject, window, *buffer, stated),
                PlanRule::PerQuery => per_query(subject),
                PlanRule::Spare { share } => spare(subject, *share, subjects, stated),
                PlanRule::Stated { amount } => word(subject, amount.as_ref(), stated),
            };
            proposals.push(Proposal { workgroup: subject.workgroup.clone(), rule: rule.clone(), outcome });
        }
    }
    proposals
}

fn windows(subject: &Subject, window: &Window, buffer: Percent, stated: &Stated) -> Result<Proposed, Unproposed> {
    let days = subject.history.as_ref().ok_or(Unproposed::NoHistory)?.days(window);
    let need = need(&days).map_err(|why| match why {
        NoNeed::TooLittle { days } => Unproposed::TooLittle { days },
        NoNeed::Idle { days } => Unproposed::Idle { days },
    })?;
    let quota = rounded_up(need.bytes, subject.units).ok_or(Unproposed::TooLarge)?;
    let limit = buffer.on_top_of(quota.bytes).ok_or(Unproposed::TooLarge)?;
    let passed = Some(passed(&days, limit, window, stated));
    let window = Some(window.clone());
    Ok(Proposed { window, quota, part: Part::Buffer(buffer), limit, basis: Basis::Windows(need), passed })
}

/// How often `limit` would have been passed on these days, and is likely to be on the next.
pub fn passed(days: &[Day], limit: Bytes, window: &Window, stated: &Stated) -> Passed {
    let over = days.iter().filter(|day| day.peak >= limit);
    let (times, last) = over.fold((0u32, None), |(times, _), day| (times + 1, Some(day.start)));
    let of = u32::try_from(days.len()).unwrap_or(u32::MAX);
    Passed { times, of, last, expected: expected(times, of, stated.next.unwrap_or(NEXT_DAYS), clump(window)) }
}

fn per_query(subject: &Subject) -> Result<Proposed, Unproposed> {
    if subject.queries.is_empty() {
        return Err(Unproposed::NoQueries { bound: subject.history.as_ref().and_then(History::largest_bucket) });
    }
    let few = Unproposed::FewQueries { queries: subject.queries.len() };
    let need = query_need(&subject.queries).ok_or(few)?;
    let quota = rounded_up(need.bytes.max(LEAST_CUTOFF), subject.units).ok_or(Unproposed::TooLarge)?;
    let times = subject.queries.iter().filter(|bytes| **bytes > quota.bytes).count();
    let (times, of) = (u32::try_from(times).unwrap_or(u32::MAX), u32::try_from(need.queries).unwrap_or(u32::MAX));
    // What is tried once is tried again: two in a row count as one here, too.
    let passed = Passed { times, of, last: None, expected: expected(times, of, 1_000, 2) };
    let basis = Basis::Queries(need);
    Ok(Proposed { window: None, quota, part: Part::Whole, limit: quota.bytes, basis, passed: Some(passed) })
}

fn spare(subject: &Subject, share: Percent, all: &[Subject], stated: &Stated) -> Result<Proposed, Unproposed> {
    let (capacity, window, learnt) = match (&stated.capacity, stated.account.as_ref().map(learn)) {
        (Some((capacity, window)), _) => (capacity.bytes, window.clone(), None),
        (None, Some(Ok(learnt))) => (learnt.bytes(), Window::Rolling { minutes: 60 }, Some(learnt)),
        (None, why) => return Err(Unproposed::NoCapacity { why: why.and_then(Result::err) }),
    };
    let produces = |rule: &PlanRule| matches!(rule, PlanRule::Windows { .. } | PlanRule::PerQuery);
    let production = || all.iter().filter(|other| other.rules.iter().any(produces));
    // A part of production that is not known is not zero: what it takes would be given away.
    if production().any(|other| other.history.is_none()) {
        return Err(Unproposed::NoProduction);
    }
    let sum = History::sum(production().filter_map(|other| other.history.as_ref())).ok_or(Unproposed::NoProduction)?;
    let hours = sum.hours(&window);
    if hours.iter().any(|days| days.len() < FEWEST_HOURS) {
        return Err(Unproposed::NoProduction);
    }
    let needs = (0u8..).zip(&hours).map(|(hour, days)| (hour, need(days).map_or(Bytes::ZERO, |need| need.bytes), days));
    // The earliest of several that are alike.
    let worst = needs.max_by_key(|(hour, bytes, _)| (*bytes, std::cmp::Reverse(*hour)));
    let (hour, needed, days) = worst.ok_or(Unproposed::NoProduction)?;
    let threshold = capacity.saturating_sub(needed);
    let no_room = Unproposed::NoRoom { hour, production: needed, capacity };
    // Down and not up: what is taken here is taken from production.
    let quota = rounded_down(threshold, subject.units).ok_or(no_room.clone())?;
    let limit = share.of(quota.bytes).filter(|limit| *limit > Bytes::ZERO).ok_or(no_room)?;
    let own = subject.history.as_ref().map(|history| history.days(&window)).unwrap_or_default();
    let passed = (!own.is_empty()).then(|| passed(&own, limit, &window, stated));
    let basis = Basis::Spare {
        capacity,
        learnt,
        hour,
        production: needed,
        days: days.len(),
        workgroups: production().map(|other| other.workgroup.clone()).collect(),
    };
    Ok(Proposed { window: Some(window), quota, part: Part::Share(share), limit, basis, passed })
}

fn word(subject: &Subject, amount: Option<&(Size, Window)>, stated: &Stated) -> Result<Proposed, Unproposed> {
    let low = || stated.low.map(|size| (size, Window::Rolling { minutes: 60 }));
    let (size, window) = amount.cloned().or_else(low).ok_or(Unproposed::NotStated)?;
    let own = subject.history.as_ref().map(|history| history.days(&window)).unwrap_or_default();
    let passed = (!own.is_empty()).then(|| passed(&own, size.bytes, &window, stated));
    let limit = size.bytes;
    Ok(Proposed { window: Some(window), quota: size, part: Part::Whole, limit, basis: Basis::Stated, passed })
}

/// The next size of three digits: what people write down, and at most one part in a hundred more. `None` beyond 16 EiB.
pub fn rounded_up(bytes: Bytes, units: Units) -> Option<Size> {
    let step = step(bytes, units);
    let up = u64::try_from(u128::from(bytes.get()).div_ceil(step) * step).ok()?;
    Some(Size { bytes: Bytes::new(up.max(1)), units })
}

/// The same downwards; `None` where nothing is left.
fn rounded_down(bytes: Bytes, units: Units) -> Option<Size> {
    let step = step(bytes, units);
    let down = u64::try_from(u128::from(bytes.get()) / step * step).ok()?;
    (down > 0).then_some(Size { bytes: Bytes::new(down), units })
}

/// The largest power of ten times a unit that leaves three digits.
fn step(bytes: Bytes, units: Units) -> u128 {
    let of = u128::from(bytes.get());
    let thousand: u128 = match units {
        Units::Decimal => 1_000,
        Units::Binary => 1_024,
    };
    let mut unit: u128 = 1;
    while unit * thousand <= of {
        unit *= thousand;
    }
    let whole = of / unit;
    // Of binary units, tens and hundreds of the next smaller one: a tenth of a TiB is no whole number of bytes.
    let (tenth, hundredth) = match units {
        Units::Decimal => (unit / 10, unit / 100),
        Units::Binary => (unit / thousand * 100, unit / thousand * 10),
    };
    match whole {
        0..10 => hundredth.max(1),
        10..100 => tenth.max(1),
        _ => unit,
    }
}

/// A size as it is written in a policy, to the byte, in the largest unit that has it in two decimals: `1.25 TB`.
pub fn written(size: Size) -> String {
    let (names, thousand): ([&str; 6], u128) = match size.units {
        Units::Decimal => (["PB", "TB", "GB", "MB", "kB", "B"], 1_000),
        Units::Binary => (["PiB", "TiB", "GiB", "MiB", "KiB", "B"], 1_024),
    };
    let of = u128::from(size.bytes.get());
    let mut unit = thousand.pow(5);
    for name in names {
        if of >= unit && (of * 100).is_multiple_of(unit) {
            let digits = format!("{:02}", of % unit * 100 / unit);
            let digits = digits.trim_end_matches('0');
            return if digits.is_empty() {
                format!("{} {name}", of / unit)
            } else {
                format!("{}.{digits} {name}", of / unit)
            };
        }
        unit /= thousand;
    }
    format!("{of} B")
}

impl Proposal {
    /// The peak that it stands on, where it stands on one.
    pub fn peak(&self) -> Option<Peak> {
        match self.outcome.as_ref().map(|proposed| &proposed.basis) {
            Ok(Basis::Windows(need)) => Some(need.peak),
            _ => None,
        }
    }
}

impl std::fmt::Display for Unproposed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let human = |bytes: &Bytes| bytes.human(Units::Decimal);
        match self {
            Self::NoHistory => {
                f.write_str("nothing is known of its use: give a file with its rows, or a longer `--since`")
            }
            Self::TooLittle { days } => write!(
                f,
                "too little history: {days} {} known well enough, and it takes {FEWEST_DAYS}; wait, or give a longer one",
                if *days == 1 { "day is" } else { "days are" }
            ),
            Self::Idle { days } => {
                write!(f, "nothing was scanned on {days} days: there is nothing to compute a limit from")
            }
            Self::NoQueries { bound: Some((bytes, at)) } => write!(
                f,
                "the sizes of its queries are not known, for CloudWatch gives their sum: no query scanned more than {}, the largest \
                 five minutes ({}), so that a higher cutoff would never have acted; give a log with `--queries`",
                human(bytes),
                at.strftime("%Y-%m-%d %H:%M UTC")
            ),
            Self::NoQueries { bound: None } => {
                f.write_str("the sizes of its queries are not known: give a log with `--queries`")
            }
            Self::FewQueries { queries } => {
                write!(
                    f,
                    "too few queries: {queries} are known, and it takes {FEWEST_QUERIES} to say something of rare ones"
                )
            }
            Self::NoCapacity { why } => {
                f.write_str(
                    "nobody has stated what the account can take before queries queue: give it, such as `--account-capacity 5TiB/1h`",
                )?;
                why.map_or(Ok(()), |why| write!(f, "; {why}"))
            }
            Self::NoProduction => write!(
                f,
                "what production needs is not known: it takes each hour of {FEWEST_DAYS} days of the workgroups whose rule is a window \
                 or a cutoff"
            ),
            Self::NoRoom { hour, production, capacity } => write!(
                f,
                "there is no room: at {hour:02}:00 UTC production alone needs {} of the {} that the account can take",
                human(production),
                human(capacity)
            ),
            Self::NotStated => f.write_str(
                "its limit is a stated value, and nobody has stated one: give `--ad-hoc`, such as `--ad-hoc 100GB`",
            ),
            Self::TooLarge => f.write_str("the limit would be 16 EiB or more: is the history in bytes?"),
        }
    }
}
