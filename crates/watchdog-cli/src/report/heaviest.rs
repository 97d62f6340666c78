//! The heaviest queries and the people who used most, over several workgroups.

use std::collections::BTreeMap;

use jiff::Timestamp;
use watchdog_core::bytes::Bytes;
use watchdog_core::people::Shares;
use watchdog_core::percent::whole_percent;
use watchdog_core::queries::Execution;

use crate::out::count;

/// Queries that are shown, and people.
const MOST_QUERIES: usize = 10;
const MOST_PEOPLE: usize = 10;

/// What was found of one workgroup.
pub struct Looked {
    /// The workgroup.
    pub workgroup: String,
    /// Its executions by their people.
    pub shares: Shares,
    /// Why CloudTrail's records were not read in full, where they were not.
    pub unrecorded: Option<String>,
}

/// The heaviest.
#[derive(Debug, Default)]
pub struct Heaviest {
    /// Those that scanned most first.
    pub queries: Vec<HeavyQuery>,
    /// Those who used most first; principals without a name and queries without a record among them.
    pub people: Vec<HeavyPerson>,
    /// What all queries that were read scanned.
    pub known: Bytes,
    /// What this leaves out, each in a sentence.
    pub notes: Vec<String>,
}

/// A query.
#[derive(Debug)]
pub struct HeavyQuery {
    /// Its id.
    pub id: String,
    /// Where it ran.
    pub workgroup: String,
    /// Whose it was.
    pub who: String,
    /// What it scanned.
    pub scanned: Bytes,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// `succeeded`, `failed` or `cancelled`.
    pub state: &'static str,
}

/// Somebody, or what is missing to say who.
#[derive(Debug)]
pub struct HeavyPerson {
    /// An address, a principal, or what is missing.
    pub who: String,
    /// What their queries scanned, as far as it is known.
    pub bytes: Bytes,
    /// How many queries.
    pub queries: usize,
    /// In whole percent of all that was read, rounded down.
    pub percent: u64,
}

impl Heaviest {
    /// The heaviest of all that was looked at; `all` is in how many workgroups anything was scanned.
    pub fn of(looked: &[Looked], all: usize) -> Self {
        let mut queries: Vec<(&Execution, &Looked, String)> = Vec::new();
        let mut people: BTreeMap<String, (u64, usize)> = BTreeMap::new();
        for looked in looked {
            for party in &looked.shares.parties {
                let who = party.whose.label();
                let sum = people.entry(who.clone()).or_default();
                *sum = (sum.0.saturating_add(party.bytes.get()), sum.1 + party.landed.len());
                queries.extend(party.landed.iter().map(|query| (query, looked, who.clone())));
            }
        }
        let known = Bytes::new(people.values().fold(0, |sum, (bytes, _)| sum.saturating_add(*bytes)));
        queries.retain(|(query, ..)| query.scanned.is_some_and(|bytes| bytes > Bytes::ZERO));
        queries.sort_by(|(a, ..), (b, ..)| b.scanned.cmp(&a.scanned).then_with(|| a.id.cmp(&b.id)));
        let heavy = queries.into_iter().take(MOST_QUERIES).map(|(query, looked, who)| HeavyQuery {
            id: query.id.clone(),
            workgroup: looked.workgroup.clone(),
            who,
            scanned: query.scanned.unwrap_or(Bytes::ZERO),
            ended: query.landed(),
            state: query.state.word(),
        });
        let person = |(who, (bytes, queries)): (String, (u64, usize))| HeavyPerson {
            who,
            bytes: Bytes::new(bytes),
            queries,
            percent: if known == Bytes::ZERO { 0 } else { whole_percent(Bytes::new(bytes), known) },
        };
        let mut people: Vec<HeavyPerson> = people.into_iter().filter(|(_, (_, n))| *n > 0).map(person).collect();
        people.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.who.cmp(&b.who)));
        let mut notes = notes(looked, all);
        if people.len() > MOST_PEOPLE {
            notes.push(format!("{} who used less are left out.", of(people.len() - MOST_PEOPLE, "party", "parties")));
            people.truncate(MOST_PEOPLE);
        }
        Self { queries: heavy.collect(), people, known, notes }
    }
}

/// What is not complete, workgroup by workgroup.
fn notes(looked: &[Looked], all: usize) -> Vec<String> {
    let mut notes = Vec::new();
    if all > looked.len() {
        notes.push(format!(
            "Only the queries of the {} that scanned most were read, of {all} in which anything was scanned.",
            count(looked.len(), "workgroup")
        ));
    }
    for Looked { workgroup, shares, unrecorded } in looked {
        if let Some(why) = &shares.cut {
            notes.push(format!("{workgroup}: not all queries are known: {why}."));
        }
        if shares.unread > 0 {
            notes.push(format!("{workgroup}: Athena gave no details of {}.", of(shares.unread, "query", "queries")));
        }
        if shares.sums.without_bytes > 0 {
            let queries = of(shares.sums.without_bytes, "query", "queries");
            notes.push(format!("{workgroup}: what {queries} scanned is not known."));
        }
        if let Some(why) = unrecorded {
            notes.push(format!(
                "{workgroup}: not all submitters are known: CloudTrail's records were not read in full: {why}."
            ));
        }
        if let (Some(metric), Some(missing)) = (shares.sums.metric, shares.sums.difference())
            && missing > 0
            && whole_percent(Bytes::new(u64::try_from(missing).unwrap_or(u64::MAX)), metric) >= 1
        {
            let missing = Bytes::new(u64::try_from(missing).unwrap_or(u64::MAX));
            notes.push(format!(
                "{workgroup}: {} of the {} in the metric are in none of these queries.",
                missing.human(Default::default()),
                metric.human(Default::default())
            ));
        }
    }
    notes
}

/// `1 query`, `2 queries`.
fn of(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}
