//! Whose queries use a limit up: a window's executions, by the people behind them.
//!
//! Every execution belongs to exactly one [`Party`]: a person, a principal that stands for no person that could be named, or those
//! of which CloudTrail has no record. So the parties add up to the window, and what is not explained is shown with the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;

use crate::alert::{Heard, short};
use crate::bytes::{Bytes, Units};
use crate::identity::{Named, Tag, Why, identify, words};
use crate::percent::whole_percent;
use crate::policy::{Address, MailRules, Submitters};
use crate::principal::Principal;
use crate::queries::{Execution, Executions, Reconciliation, sum};
use crate::submitter::LAG;
use crate::window::Span;

/// All that was found out about the executions of one workgroup, before anything is concluded.
#[derive(Debug, Clone, Default)]
pub struct Gathered {
    /// The executions, of the window and perhaps older.
    pub executions: Vec<Execution>,
    /// Executions of which Athena gave no details.
    pub unread: usize,
    /// Why there may be more executions than these, where there may be.
    pub cut: Option<String>,
    /// Who submitted which, by the query's id, as far as CloudTrail tells.
    pub principals: BTreeMap<String, Principal>,
    /// Why CloudTrail's records are not complete, where they are not.
    pub unrecorded: Option<String>,
    /// Tags of IAM users, by name.
    pub tags: BTreeMap<String, Tag>,
    /// What went wrong on the way without stopping it.
    pub warnings: Vec<String>,
}

/// A window's executions by who submitted them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shares {
    /// The one who used most first.
    pub parties: Vec<Party>,
    /// What all of them add up to, beside the metric.
    pub sums: Reconciliation,
    /// From how many bytes somebody is told; both floors in one.
    pub floor: Bytes,
    /// Executions that are over at no known time.
    pub untimed: usize,
    /// Executions of which Athena gave no details.
    pub unread: usize,
    /// Why there may be more executions, where there may be.
    pub cut: Option<String>,
}

/// The executions of one person or principal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// Whose they are.
    pub whose: Whose,
    /// The principals that submitted them; none without a record.
    pub principals: BTreeSet<Principal>,
    /// Those that ended in the window, the one that scanned most first.
    pub landed: Vec<Execution>,
    /// Those that wait or run, the oldest first.
    pub in_flight: Vec<Execution>,
    /// What the landed ones scanned, as far as it is known.
    pub bytes: Bytes,
    /// Whether that reaches both floors.
    pub is_heavy: bool,
}

/// Whose executions they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// A person's.
    Person(Named),
    /// A principal's that stands for no person that could be named.
    Unnamed {
        /// Who.
        principal: Principal,
        /// Why not; never empty.
        whys: Vec<Why>,
    },
    /// Nobody knows.
    Unrecorded(Missing),
}

/// Why there is no record of an execution.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Missing {
    /// It was submitted so recently that the record may still come.
    NotYet,
    /// CloudTrail was asked in full and has none.
    None,
    /// CloudTrail could not be asked in full.
    NotSeen(String),
}

impl Shares {
    /// Sorts what was gathered by who submitted it. `metric` is what CloudWatch says of the same `span`; `at` is the instant that is
    /// judged.
    pub fn of(
        gathered: &Gathered,
        span: Span,
        metric: Option<Bytes>,
        at: Timestamp,
        rules: &Submitters,
        mail: &MailRules,
    ) -> Self {
        let executions = Executions::inside(span, gathered.executions.iter().cloned());
        let sums = executions.reconcile(metric);
        let whole = sums.whole();
        let mut parties: BTreeMap<String, Party> = BTreeMap::new();
        let named = |principal: &Principal| {
            let tag = match principal {
                Principal::User { name } => gathered.tags.get(name),
                _ => None,
            };
            identify(principal, tag, rules, mail)
        };
        let in_flight = executions.in_flight.into_iter().map(|execution| (execution, false));
        for (execution, has_landed) in executions.landed.into_iter().map(|e| (e, true)).chain(in_flight) {
            let principal = gathered.principals.get(&execution.id);
            let whose = match principal {
                Some(principal) => match named(principal) {
                    Ok(named) => Whose::Person(named),
                    Err(whys) => Whose::Unnamed { principal: principal.clone(), whys },
                },
                None => Whose::Unrecorded(missing(&execution, gathered.unrecorded.as_ref(), at)),
            };
            let party = parties.entry(whose.label()).or_insert_with(|| Party {
                whose,
                principals: BTreeSet::new(),
                landed: Vec::new(),
                in_flight: Vec::new(),
                bytes: Bytes::ZERO,
                is_heavy: false,
            });
            party.principals.extend(principal.cloned());
            if has_landed { party.landed.push(execution) } else { party.in_flight.push(execution) }
        }
        let mut parties: Vec<Party> = parties.into_values().collect();
        for party in &mut parties {
            party.bytes = sum(&party.landed);
            party.is_heavy = party.bytes >= rules.bytes_floor && rules.share_floor.reached(party.bytes, whole);
            // What is not known may be anything, and so stands with the largest.
            party.landed.sort_by_key(|e| std::cmp::Reverse(e.scanned.map_or(u64::MAX, Bytes::get)));
        }
        parties.sort_by_key(|party| std::cmp::Reverse(party.bytes));
        Self {
            parties,
            sums,
            floor: rules.bytes_floor.max(rules.share_floor.of(whole).unwrap_or(whole)),
            untimed: executions.untimed,
            unread: gathered.unread,
            cut: gathered.cut.clone(),
        }
    }

    /// The people who used enough to be told, by their address.
    pub fn heavy_people(&self) -> BTreeMap<&Address, &Party> {
        let people = self.parties.iter().filter(|party| party.is_heavy);
        people.filter_map(|party| Some((party.person()?, party))).collect()
    }

    /// How many executions there are, and of how many the person is known.
    pub fn counts(&self) -> (usize, usize) {
        let count = |party: &Party| party.landed.len() + party.in_flight.len();
        let named = self.parties.iter().filter(|party| party.person().is_some());
        (self.parties.iter().map(count).sum(), named.map(count).sum())
    }

    /// How the list of queries stands to the metric, and what is missing from it: one sentence each.
    pub fn reconciled(&self, units: Units) -> Vec<String> {
        let sums = &self.sums;
        let total = sums.queries.human(units);
        let off = |by: i128| Bytes::new(u64::try_from(by.unsigned_abs()).unwrap_or(u64::MAX)).human(units);
        let adds_up = format!("Athena's list of queries adds up to {total}");
        let mut notes = vec![match sums.difference() {
            None => format!("{adds_up}; what the metric says is not known."),
            Some(0) => format!("{adds_up}, as the metric says."),
            Some(by @ 1..) => format!("{adds_up}, {} less than the metric says.", off(by)),
            Some(by) => format!("{adds_up}, {} more than the metric says so far.", off(by)),
        }];
        if sums.without_bytes > 0 {
            notes.push(format!("Of {} of them Athena does not say what they scanned.", sums.without_bytes));
        }
        if self.untimed > 0 {
            notes.push(format!("{} more have ended at a time that Athena does not say.", self.untimed));
        }
        if self.unread > 0 {
            notes.push(format!("Athena gave no details of {} more.", self.unread));
        }
        notes.extend(self.cut.as_ref().map(|why| format!("There may be more queries: {why}.")));
        notes
    }

    /// A party's share of the window in whole percent, rounded down.
    pub fn percent(&self, party: &Party) -> u64 {
        percent_of(party.bytes, self.sums.whole())
    }
}

/// `part` of `whole` in whole percent, rounded down; nothing of nothing is nothing.
pub fn percent_of(part: Bytes, whole: Bytes) -> u64 {
    if whole == Bytes::ZERO { 0 } else { whole_percent(part, whole) }
}

fn missing(execution: &Execution, unrecorded: Option<&String>, at: Timestamp) -> Missing {
    // Without a time of submission the end says the most; it is later, and so errs towards waiting.
    match execution.submitted.or(execution.completed) {
        Some(submitted) if at.duration_since(submitted) < LAG => Missing::NotYet,
        _ => unrecorded.map_or(Missing::None, |why| Missing::NotSeen(why.clone())),
    }
}

impl Party {
    /// The person, where it is one.
    pub fn person(&self) -> Option<&Address> {
        match &self.whose {
            Whose::Person(named) => Some(&named.address),
            _ => None,
        }
    }

    /// Whether what this person has not heard of yet is enough to tell them (again): the floor holds for the new alone.
    pub fn has_news(&self, heard: Option<&Heard>, floor: Bytes) -> bool {
        let is_new = |execution: &&Execution| heard.is_none_or(|heard| heard.is_new(execution));
        sum(self.landed.iter().filter(is_new)) >= floor && self.is_heavy
    }

    /// The ids under which what they have heard is remembered.
    pub fn ids(&self) -> impl Iterator<Item = String> {
        self.landed.iter().map(|execution| short(&execution.id))
    }
}

impl Whose {
    /// The name of the party, for admins: an address, a principal, or what is missing.
    pub fn label(&self) -> String {
        match self {
            Self::Person(named) => named.address.to_string(),
            Self::Unnamed { principal, .. } => principal.to_string(),
            Self::Unrecorded(Missing::NotYet) => "no record yet".to_owned(),
            Self::Unrecorded(Missing::None) => "no record".to_owned(),
            Self::Unrecorded(Missing::NotSeen(_)) => "not looked up".to_owned(),
        }
    }

    /// How they were found, or why not.
    pub fn explained(&self) -> String {
        match self {
            Self::Person(named) => format!("known by {}", named.step.words()),
            Self::Unnamed { whys, .. } => words(whys),
            Self::Unrecorded(missing) => missing.to_string(),
        }
    }

    /// The stable word for why there is no person, without other people's text; `None` where there is one.
    pub fn why_word(&self) -> Option<&'static str> {
        match self {
            Self::Person(_) => None,
            Self::Unnamed { whys, .. } => Some(whys.first().map_or("only_mapping", Why::word)),
            Self::Unrecorded(Missing::NotYet) => Some("no_record_yet"),
            Self::Unrecorded(Missing::None) => Some("no_record"),
            Self::Unrecorded(Missing::NotSeen(_)) => Some("not_looked_up"),
        }
    }

    /// The stable word for it, for scripts.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Person(_) => "person",
            Self::Unnamed { .. } => "unnamed",
            Self::Unrecorded(_) => "unrecorded",
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotYet => f.write_str("CloudTrail has no record of them yet; it is usually some minutes behind"),
            Self::None => f.write_str("CloudTrail has no record of them"),
            Self::NotSeen(why) => write!(f, "CloudTrail's records could not be read in full: {why}"),
        }
    }
}
