//! The economy in a back-test: who would have been asked, and how much later people would have heard because of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::Notification;
use crate::economy::{Asking, Memory};
use crate::policy::{Economy, Limit};

/// How often a workgroup was looked at, and how often it was asked for that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// Runs in which it would be asked without an economy.
    pub looks: u64,
    /// Those in which it was.
    pub asked: u64,
}

/// The economy of one policy.
#[derive(Debug)]
pub(super) struct Thrift<'p> {
    /// Whose, by its place.
    pub policy: usize,
    pub limits: &'p [Limit],
    rules: Economy,
    memory: Memory,
    pub counts: Asked,
    /// Whether the workgroup is left out of the run that is under way.
    pub leaves_out: bool,
}

/// One workgroup is all that a replay is about.
const THIS: &str = "";

impl<'p> Thrift<'p> {
    pub fn new(policy: usize, rules: Economy, limits: &'p [Limit]) -> Self {
        Self { policy, limits, rules, memory: Memory::default(), counts: Asked::default(), leaves_out: false }
    }

    /// Begins a run; `must_ask` where an alert is open or a query runs.
    pub fn begin(&mut self, at: Timestamp, must_ask: bool) {
        self.leaves_out = !must_ask && self.memory.leaves_out(THIS, self.limits, at, self.rules).is_some();
        self.counts.looks += 1;
        self.counts.asked += u64::from(!self.leaves_out);
        if self.leaves_out {
            self.memory.left_out(THIS, at);
        }
    }

    /// The looks that this run makes up for.
    pub fn missed(&self) -> &[Timestamp] {
        self.memory.missed(THIS)
    }

    pub fn note(&mut self, asking: &Asking<'_>) {
        self.memory.note(THIS, asking, self.rules);
    }
}

/// How much later people hear of a level with an economy than without.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Delays {
    /// Times that somebody hears of a level without it: an alert that opens, or gets worse.
    pub told: usize,
    /// Those of them that are told at the same time with it, or were told before.
    pub at_once: usize,
    /// Those that are told later.
    pub later: usize,
    /// The longest delay of those, in seconds.
    pub longest_seconds: i64,
    /// Warnings of the forecast alone that had passed by the time that the workgroup was asked.
    pub passed: usize,
    /// Those that are never told. There should be none.
    pub never: usize,
}

/// Compares what would have been told with and without an economy, both in the order of time.
pub fn delays(with: &[Notification], without: &[Notification]) -> Delays {
    let mut lines: BTreeMap<(&str, &str), Vec<&Notification>> = BTreeMap::new();
    for line in with {
        lines.entry((&line.workgroup, &line.window)).or_default().push(line);
    }
    let mut delays = Delays::default();
    for told in without.iter().filter(|line| matches!(line.event, "opened" | "escalated")) {
        delays.told += 1;
        let lines = lines.get(&(&*told.workgroup, &*told.window)).map_or(&[][..], Vec::as_slice);
        let is_it = |line: &&&Notification| line.event != "resolved" && rank(line.level) >= rank(told.level);
        let until = lines.partition_point(|line| line.time <= told.time);
        let (before, after) = lines.split_at(until);
        // What stands is what was told last.
        if before.last().filter(is_it).is_some() {
            delays.at_once += 1;
            continue;
        }
        // As long as it is open without an economy, and for an hour: an economy may be no longer.
        let late = after.iter().take_while(|line| line.time.duration_since(told.time).as_secs() <= 3600).find(is_it);
        match late {
            Some(line) => {
                delays.later += 1;
                let seconds = line.time.duration_since(told.time).as_secs();
                delays.longest_seconds = delays.longest_seconds.max(seconds);
            }
            None if told.reason == "will_exhaust" => delays.passed += 1,
            None => delays.never += 1,
        }
    }
    delays
}

fn rank(level: &str) -> usize {
    ["warn", "critical", "exhausted"].iter().position(|word| *word == level).map_or(0, |n| n + 1)
}
