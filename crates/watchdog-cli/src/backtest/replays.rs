//! The rows of a file through the replays of their workgroups.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::thread::{self, Scope};

use jiff::{SignedDuration, Timestamp};
use watchdog_core::backtest::{Asked, Delays, Notification, Pace, Scored, Traced, delays};
use watchdog_core::bytes::Bytes;
use watchdog_core::policy::Policy;
use watchdog_core::score::Tally;
use watchdog_core::usage::Series;
use watchdog_core::window::BUCKET;

use super::mails::Mails;
use super::rows::Rows;
use super::shards::{Found, Home, Shards};
use crate::exit::Failure;

/// Rows from whose gaps the step of the data is learnt.
const SAMPLE: usize = 20_000;

/// The longest stretch between the first row and the last, in seconds. It is there for slips of the pen: with the year 2206 for 2026 the
/// watchdog would run for two centuries.
pub const LONGEST: i64 = 20 * 366 * 86_400;

/// What a back-test found.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Every notification under the policy, in the order of time, then of workgroup and window.
    pub notifications: Vec<Notification>,
    /// Counts by window and policy, the windows in the order of their length.
    pub tallies: BTreeMap<(i64, String), Vec<Tally>>,
    /// Mails under each policy: one per person and run.
    pub mails: Vec<usize>,
    /// Workgroups that were looked at.
    pub workgroups: usize,
    /// Those that no rule covers.
    pub uncovered: BTreeSet<String>,
    /// Rows that were read.
    pub rows: u64,
    /// Rows with the same stamp as the one before them; they were added up.
    pub repeated: u64,
    /// Whether the rows had to be sorted.
    pub sorted: bool,
    /// First stamp and end of the last row.
    pub span: Option<(Timestamp, Timestamp)>,
    /// How time went by.
    pub step: i64,
    /// Seconds between two runs.
    pub every: i64,
    /// What the policy's economy saves and costs, where it has one.
    pub saved: Option<Saved>,
    /// How use went, limit by limit, where plots will be drawn.
    pub traced: Vec<(Scored, Traced)>,
}

/// What an economy saves, and what it costs.
#[derive(Debug, Clone, Copy)]
pub struct Saved {
    /// Askings with it and without, of all workgroups together.
    pub asked: Asked,
    /// How much later people hear of something.
    pub delays: Delays,
}

/// How time passes, as far as it was said.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    /// Seconds that a row stands for.
    pub step: Option<i64>,
    /// Seconds between two runs.
    pub every: Option<i64>,
    /// From when on it is scored.
    pub score_from: Option<Timestamp>,
    /// Whether plots will be drawn.
    pub trace: bool,
}

/// Why reading row by row came to an end.
enum Stop {
    /// A row is older than one of its workgroup before it.
    Unordered(Failure),
    Failed(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// One row, apart from its file.
#[derive(Debug, Clone, Copy)]
struct Plain {
    at: i64,
    workgroup: u32,
    bytes: u64,
}

/// All workgroups of a file, at their place in it.
struct Crowd<'s> {
    policies: &'s [&'s Policy],
    pace: Pace,
    shards: Shards<'s>,
    places: HashMap<String, usize>,
    members: Vec<Member>,
    latest: usize,
    latest_name: String,
    first: i64,
    last: i64,
    outcome: Outcome,
}

/// One workgroup.
struct Member {
    /// `None` where no rule covers it.
    home: Option<Home>,
    /// Its newest stamp.
    newest: i64,
}

/// Goes through a file. The first of `policies` is the one that is tested, the others are compared with it.
///
/// # Errors
/// [`Failure`] where the file cannot be read or understood.
pub fn run(path: &Path, policies: &[&Policy], wanted: Wanted) -> Result<Outcome, Failure> {
    match stream(path, policies, wanted) {
        Ok(outcome) => Ok(outcome),
        Err(Stop::Failed(failure)) => Err(failure),
        // What has been read from standard input is gone.
        Err(Stop::Unordered(failure)) if path.as_os_str() == "-" => Err(failure),
        Err(Stop::Unordered(_)) => sorted(path, policies, wanted),
    }
}

fn stream(path: &Path, policies: &[&Policy], wanted: Wanted) -> Result<Outcome, Stop> {
    let mut rows = Rows::open(path)?;
    let mut sample: Vec<(u64, i64, String, Bytes)> = Vec::new();
    while sample.len() < SAMPLE
        && let Some(row) = rows.next()?
    {
        sample.push((row.line, row.at.as_second(), row.workgroup.to_owned(), row.bytes));
    }
    let stamps = sample.iter().map(|(_, at, workgroup, _)| (*at, workgroup.as_str()));
    let pace = pace(&learnt(stamps, rows.name(), wanted)?, policies, wanted)?;
    let name = rows.name().to_owned();
    thread::scope(|scope| {
        let mut crowd = Crowd::new(scope, policies, pace);
        for (line, at, workgroup, bytes) in sample.drain(..) {
            crowd.push(&name, line, at, &workgroup, bytes)?;
        }
        while let Some(row) = rows.next()? {
            crowd.push(&name, row.line, row.at.as_second(), row.workgroup, row.bytes)?;
        }
        Ok(crowd.finish())
    })
}

/// Goes through series of five-minute buckets, some workgroups at a time until `next` has no more; `None` where there was none at all.
///
/// # Errors
/// As [`run`].
pub fn run_series(
    next: &mut dyn FnMut() -> Option<Vec<(String, Series)>>,
    policies: &[&Policy],
    wanted: Wanted,
) -> Result<Option<Outcome>, Failure> {
    let pace = pace(&BUCKET, policies, wanted)?;
    thread::scope(|scope| {
        let mut crowd = Crowd::new(scope, policies, pace);
        while let Some(group) = next() {
            for (name, series) in group {
                let (first, buckets) = series.buckets();
                let stamps = (0..).map(|n| first.as_second() + n * BUCKET);
                // What is missing is zero, but for the first, which says since when use is known, and the last, until when.
                let last = buckets.len().saturating_sub(1);
                for (n, (at, bytes)) in stamps.zip(buckets).enumerate() {
                    if *bytes > Bytes::ZERO || n == 0 || n == last {
                        match crowd.push("CloudWatch", 0, at, &name, *bytes) {
                            Ok(()) => {}
                            Err(Stop::Failed(failure) | Stop::Unordered(failure)) => return Err(failure),
                        }
                    }
                }
            }
        }
        Ok((!crowd.members.is_empty()).then(|| crowd.finish()))
    })
}

/// The whole file in memory, at 24 bytes a row.
fn sorted(path: &Path, policies: &[&Policy], wanted: Wanted) -> Result<Outcome, Failure> {
    let mut rows = Rows::open(path)?;
    let file = rows.name().to_owned();
    let mut ids: HashMap<String, u32> = HashMap::new();
    let mut names: Vec<String> = Vec::new();
    let mut all: Vec<Plain> = Vec::new();
    while let Some(row) = rows.next()? {
        let workgroup = match ids.get(row.workgroup) {
            Some(id) => *id,
            None => {
                let id = u32::try_from(names.len()).unwrap_or(u32::MAX);
                ids.insert(row.workgroup.to_owned(), id);
                names.push(row.workgroup.to_owned());
                id
            }
        };
        all.push(Plain { at: row.at.as_second(), workgroup, bytes: row.bytes.get() });
    }
    all.sort_by_key(|row| (row.workgroup, row.at));
    let name = |id: u32| names.get(usize::try_from(id).unwrap_or(usize::MAX)).map_or("", String::as_str);
    let pace = pace(&learnt(all.iter().map(|row| (row.at, name(row.workgroup))), &file, wanted)?, policies, wanted)?;
    thread::scope(|scope| {
        let mut crowd = Crowd::new(scope, policies, pace);
        crowd.outcome.sorted = true;
        for row in &all {
            match crowd.push(&file, 0, row.at, name(row.workgroup), Bytes::new(row.bytes)) {
                Ok(()) => {}
                Err(Stop::Failed(failure) | Stop::Unordered(failure)) => return Err(failure),
            }
        }
        Ok(crowd.finish())
    })
}

/// The step of the data: what was said, or the smallest gap between two rows of a workgroup.
pub fn learnt<'r>(rows: impl Iterator<Item = (i64, &'r str)>, file: &str, wanted: Wanted) -> Result<i64, Failure> {
    let mut newest: HashMap<&str, i64> = HashMap::new();
    let mut least: Option<i64> = None;
    let mut any = false;
    for (at, workgroup) in rows {
        any = true;
        if let Some(before) = newest.insert(workgroup, at)
            && at > before
        {
            least = Some(least.map_or(at - before, |least| least.min(at - before)));
        }
    }
    if !any {
        return Err(Failure::usage(format!("`{file}` has no rows below its header: there is nothing to look at")));
    }
    // Rows a day and more apart are pauses, or slips of the pen, and no step.
    let step = wanted.step.or(least.filter(|least| *least <= 86_400)).unwrap_or(BUCKET);
    if (step < BUCKET && BUCKET % step != 0) || (step > BUCKET && step % BUCKET != 0) {
        let from = if wanted.step.is_some() { "was given" } else { "is the smallest gap between two rows" };
        return Err(Failure::usage(format!(
            "`{file}`: the step of {step} s, which {from}, does not fit buckets of five minutes: it must divide 300 s or be a \
             multiple of it; give `--step`, such as `--step 5min`"
        )));
    }
    Ok(step)
}

fn pace(step: &i64, policies: &[&Policy], wanted: Wanted) -> Result<Pace, Failure> {
    let every = wanted.every.unwrap_or(*step);
    for limit in policies.iter().flat_map(|policy| policy.rules()).flat_map(|rule| &rule.limits) {
        let length = watchdog_core::backtest::length(&limit.window);
        if length < *step {
            return Err(Failure::usage(format!(
                "the window `{}` is shorter than the {step} s that a row stands for: take finer data, or a policy without it",
                limit.window
            )));
        }
    }
    Ok(Pace { step: *step, every, score_from: wanted.score_from, trace: wanted.trace })
}

impl<'s> Crowd<'s> {
    fn new<'p: 's>(scope: &'s Scope<'s, 'p>, policies: &'p [&'p Policy], pace: Pace) -> Self {
        Self {
            policies,
            pace,
            shards: Shards::start(scope, policies, pace),
            places: HashMap::new(),
            members: Vec::new(),
            latest: usize::MAX,
            latest_name: String::new(),
            first: i64::MAX,
            last: i64::MIN,
            outcome: Outcome { step: pace.step, every: pace.every, ..Outcome::default() },
        }
    }

    fn push(&mut self, file: &str, line: u64, at: i64, workgroup: &str, bytes: Bytes) -> Result<(), Stop> {
        let place = || if line > 0 { format!("`{file}`, line {line}") } else { format!("`{file}`") };
        let stamp = || Timestamp::from_second(at).map_or_else(|_| at.to_string(), |at| at.to_string());
        self.outcome.rows += 1;
        (self.first, self.last) = (self.first.min(at), self.last.max(at));
        if self.last - self.first > LONGEST {
            return Err(Stop::Failed(Failure::usage(format!(
                "{}: `timestamp` is `{}`: more than 20 years from another row; is the year right?",
                place(),
                stamp()
            ))));
        }
        if self.latest_name != workgroup || self.latest == usize::MAX {
            self.latest = match self.places.get(workgroup) {
                Some(place) => *place,
                None => self.join(workgroup, at),
            };
            self.latest_name.clear();
            self.latest_name.push_str(workgroup);
        }
        let Some(Member { home, newest }) = self.members.get_mut(self.latest) else { return Ok(()) };
        if at < *newest {
            return Err(Stop::Unordered(Failure::usage(format!(
                "{}: `timestamp` is `{}`, which is before that of an earlier row of the same workgroup: sort the rows by time",
                place(),
                stamp()
            ))));
        }
        if (at - *newest) % self.pace.step != 0 {
            return Err(Stop::Failed(Failure::usage(format!(
                "{}: `timestamp` is `{}`, which is not a multiple of the step of {} s after the row before it of the same \
                 workgroup: give the step with `--step`, such as `--step 5min`",
                place(),
                stamp(),
                self.pace.step
            ))));
        }
        self.outcome.repeated = self.outcome.repeated.wrapping_add(u64::from(at == *newest));
        *newest = at;
        if let Some(home) = *home {
            self.shards.push(home, at, bytes);
        }
        Ok(())
    }

    /// Takes in a workgroup whose first row is stamped `at`.
    fn join(&mut self, workgroup: &str, at: i64) -> usize {
        let place = self.members.len();
        let first = Timestamp::from_second(at).unwrap_or(Timestamp::MIN);
        let home = if self.policies.iter().any(|policy| policy.rule_for(workgroup).is_some()) {
            Some(self.shards.begins(u32::try_from(place).unwrap_or(u32::MAX), workgroup, first))
        } else {
            self.outcome.uncovered.insert(workgroup.to_owned());
            None
        };
        self.places.insert(workgroup.to_owned(), place);
        self.members.push(Member { home, newest: at });
        // The first is no repetition of itself.
        self.outcome.repeated = self.outcome.repeated.wrapping_sub(1);
        place
    }

    fn finish(self) -> Outcome {
        let end = Timestamp::from_second(self.last + self.pace.step).unwrap_or(Timestamp::MAX);
        let mut outcome = self.outcome;
        let (found, mails) = self.shards.finish(end);
        outcome.collect(found, &mails);
        outcome.span = Timestamp::from_second(self.first).ok().map(|first| (first, end));
        outcome
    }
}

impl Outcome {
    /// Takes what the workgroups have come to.
    pub(super) fn collect(&mut self, found: Vec<Found>, mails: &Mails) {
        let mut asked: Option<Asked> = None;
        for found in found {
            if let Some(more) = found.asked {
                let all = asked.get_or_insert_default();
                (all.looks, all.asked) = (all.looks + more.looks, all.asked + more.asked);
            }
            self.workgroups += 1;
            self.notifications.extend(found.notifications);
            for scored in found.scored {
                let mut scored = scored;
                if let Some(traced) = scored.traced.take() {
                    self.traced.push((scored.clone(), traced));
                }
                let tallies = self.tallies.entry((scored.seconds, scored.window)).or_default();
                tallies.resize(tallies.len().max(scored.policy + 1), Tally::default());
                if let Some(tally) = tallies.get_mut(scored.policy) {
                    tally.add(scored.tally);
                }
            }
        }
        self.mails = mails.counts();
        self.notifications.sort_by(|a, b| (a.time, &a.workgroup, &a.window).cmp(&(b.time, &b.workgroup, &b.window)));
        let always: Vec<_> = self.notifications.extract_if(.., |notification| notification.policy != 0).collect();
        self.saved = asked.map(|asked| Saved { asked, delays: delays(&self.notifications, &always) });
    }
}

/// A length of time on the command line, in whole seconds.
pub fn seconds(text: &str) -> Result<i64, String> {
    let length = watchdog_core::window::duration(text).filter(|length| *length >= SignedDuration::from_mins(1));
    let length = length.filter(|length| length.subsec_nanos() == 0 && *length <= SignedDuration::from_hours(24));
    length
        .map(|length| length.as_secs())
        .ok_or_else(|| "write a time from 1 minute to 24 hours, such as `5min` or `1h`".to_owned())
}
