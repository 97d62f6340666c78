//! A world that is made of somebody's texts, and the messages that a run plans in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use watchdog_core::alert::{Ending, Record, Severity, Story, Subject, Told};
use watchdog_core::bytes::{Bytes, Size};
use watchdog_core::delivery::{Message, People, Promises, Records, Standing, plan, promised};
use watchdog_core::event::{Tick, Timing};
use watchdog_core::grant::cutoff::{Before, Cutoff};
use watchdog_core::grant::{Act, Amount, Asker, Book, Grant, Grants, Raise, in_force};
use watchdog_core::identity::{Tag, TagsUnread};
use watchdog_core::occupancy::{Occupancy, Reservations};
use watchdog_core::people::{Gathered, Shares};
use watchdog_core::policy::{Address, Class, Policy};
use watchdog_core::principal::Principal;
use watchdog_core::queries::{Execution, Kind, State};
use watchdog_core::silence::{Silence, Silences};
use watchdog_core::usage::{
    Active, Answer, Flights, InFlight, PageStatus, Peaks, Queue, Quota, Series, Unknown, Usage, Waiting,
};
use watchdog_core::verdict::judge;
use watchdog_core::window::Span;

use crate::support::{at, document, whole_policy};

pub const NOW: &str = "2026-03-01T14:05:00Z";
pub const REGION: &str = "eu-central-1";
/// Domains that mail may go to, and the people whom this world has reason to mail.
pub const ALLOWED: [&str; 2] = ["example.com", "example.org"];
pub const MEANT: [&str; 3] = ["ops@example.com", "lab@example.org", "ann@example.com"];

const RULES: &str = r#"
[mail]
sender = "watchdog@example.com"
admins = ["ops@example.com"]
allowed_domains = ["example.com", "example.org"]
time_zone = "Europe/Berlin"
[submitters]
show_sql = true
bytes_floor = "1 MB"
share_floor = "1 %"
[grants]
granters = ["role/admin"]
workgroups = ["etl"]
highest_limit = "5 TB"
longest = "8h"
[silences]
silencers = ["role/admin"]
longest = "4h"
[active_queries]
hold = "0 min"
audience = ["submitters", "admins"]
[defaults]
hold = "0 min"
audience = ["submitters", "owner", "admins"]
[[workgroup]]
name = "*"
owner = "lab@example.org"
waiting = "2 min"
[[workgroup.limit]]
window = "1h"
limit = "1 GB"
"#;

/// What the world is made of.
#[derive(Debug, Clone)]
pub struct World {
    /// Twelve texts: names, codes, SQL, reasons.
    pub texts: Vec<String>,
    /// Megabytes in the last hour, of a limit of a thousand.
    pub used: u64,
    /// Active queries, of a quota of two hundred.
    pub active: u64,
    /// Which troubles there are, a bit each.
    pub kind: u8,
    /// Where things stand.
    pub seed: u8,
}

impl World {
    pub fn policy(&self) -> Policy {
        whole_policy(RULES)
    }

    fn text(&self, n: usize) -> String {
        self.texts[n].clone()
    }

    fn has(&self, bit: u8) -> bool {
        self.kind & (1 << bit) != 0
    }

    /// What a run plans at [`NOW`], and what the one five minutes later does, when all is calm again: everybody has been told by then.
    pub fn messages(&self) -> Vec<Message> {
        let (first, mut records) = self.planned(&Records::new(), at(NOW));
        for message in &first {
            for notice in &message.notices {
                if let Some(record) = records.get_mut(&notice.subject) {
                    notice.told(&message.to, record, at(NOW));
                }
            }
        }
        let calm = Self { used: 0, active: 0, kind: self.kind & 0b100, seed: 5, ..self.clone() };
        let (second, _) = calm.planned(&records, at(NOW) + SignedDuration::from_mins(20));
        first.into_iter().chain(second).collect()
    }

    /// What is planned where the table says that `to` was told of an alert that is over now.
    pub fn messages_after(&self, to: &str) -> Vec<Message> {
        let opened = at("2026-03-01T13:25:00Z");
        let story = Story { opened, severity: Severity::Critical, window_began: None, calm_since: None };
        let told = Told { story: opened, severity: Severity::Critical, at: opened };
        let told = BTreeMap::from([(Address::parse(to).unwrap(), told)]);
        let record = Record { story: Some(story), ended: None::<Ending>, told, ..Record::default() };
        let subject = Subject::Limit { workgroup: self.text(0), window: "1h".to_owned() };
        self.planned(&Records::from([(subject, record)]), at(NOW)).0
    }

    fn planned(&self, records: &Records, now: Timestamp) -> (Vec<Message>, Records) {
        self.planned_with(records, &self.grants(now), &self.silences(now), now)
    }

    /// The plan where the table says so.
    pub fn planned_with(
        &self,
        records: &Records,
        grants: &Grants,
        silences: &Silences,
        now: Timestamp,
    ) -> (Vec<Message>, Records) {
        let (policy, troubles) = (self.policy(), self.troubles());
        let granted = in_force(&policy, grants, now);
        let usage = self.usage(now);
        let tick = Tick { at: now, timing: Timing::Event };
        let findings = judge(&granted, &tick, &usage);
        let standing = self.standing();
        let failed = Unknown::Failed { operation: self.text(2), code: self.text(3) };
        let incomplete = self.has(1).then_some(&failed);
        let promises = Promises { grants, troubles: &troubles, silences };
        let decide = |people: &People| {
            let plan = plan(&policy, &standing, &tick, &findings, incomplete, records, people);
            promised(plan, &policy, &usage, records, &promises, now).0
        };
        let mut plan = decide(&People::new());
        if self.has(4) {
            let gathered = self.gathered(now);
            let shares = plan.wants.iter().map(|wanted| {
                let shares =
                    Shares::of(&gathered, wanted.span, Some(wanted.used), now, &policy.submitters, &policy.mail);
                (wanted.subject.clone(), Arc::new(shares))
            });
            let shares = shares.collect();
            plan = decide(&People { shares, occupancy: Some(Arc::new(self.occupancy(&policy, &gathered, now))) });
        }
        (plan.messages, plan.records)
    }

    fn standing(&self) -> Standing {
        if !self.has(0) {
            return Standing::Current;
        }
        let quoted = |n: usize| serde_json::to_string(&self.texts[n]).unwrap();
        // As JSON writes it, which TOML reads but for one escape.
        let text = format!(
            "{} = 1\n[mail]\nsender = {}\nadmins = [{}]\nallowed_domains = [{}]\n[[workgroup]]\nname = {}\naudience = [{}]\n\
             [[workgroup.limit]]\nwindow = {}\nlimit = {}\n{}",
            quoted(0),
            quoted(1),
            quoted(2),
            quoted(3),
            quoted(4),
            quoted(5),
            quoted(6),
            quoted(7),
            self.texts[8]
        );
        let problems = Policy::parse(&[document(&self.texts[9], &text)]).unwrap_err();
        Standing::LastValid { problems, since: at("2026-02-27T08:00:00Z") }
    }

    fn usage(&self, now: Timestamp) -> Usage {
        let first = now - SignedDuration::from_hours(8 * 24);
        let mut buckets = vec![Bytes::ZERO; 8 * 24 * 12];
        let last = buckets.len() - 3;
        buckets[last] = Bytes::new(self.used * 1_000_000);
        let series = |buckets: &[Bytes]| Ok(Series::from_buckets(first, buckets.to_vec()));
        let mut usage = Usage::default();
        usage.workgroups.insert(self.text(0), series(&buckets));
        let why = match self.seed % 4 {
            0 => Unknown::Failed { operation: self.text(2), code: self.text(3) },
            1 => Unknown::Denied { operation: self.text(2) },
            2 => Unknown::MetricsOff,
            _ => Unknown::Implausible { value: self.text(3), at: now },
        };
        if self.texts[1] != self.texts[0] {
            usage.workgroups.insert(self.text(1), Err(why.clone()));
        }
        let running = (0..4).map(|n| InFlight {
            id: self.text(3 + n),
            started: now - SignedDuration::from_mins(7),
            scanned: (n % 2 == 0).then_some(Bytes::new(1_000_000)),
        });
        usage
            .flights
            .insert(self.text(0), Flights { running: running.collect(), may_be_more: true, ..Flights::default() });
        let peaks = |value: f64| {
            let mut answer = Answer::default();
            answer.absorb([(now - SignedDuration::from_mins(2), value)], PageStatus::Complete);
            Peaks::from_answers(&[answer])
        };
        #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
        let most = self.active as f64;
        let quota = match self.seed % 5 {
            0 => Some(Err(why.clone())),
            _ => Some(Ok(Quota { most: 200, is_default: false, read: now })),
        };
        usage.concurrency.active.insert(Class::Dml, Active { peaks: peaks(most), quota });
        let queue = match self.seed % 3 {
            0 => Some(Err(why)),
            _ => Some(Ok(Queue { queued: 3, running: 2, oldest: Some(now - SignedDuration::from_mins(3)) })),
        };
        let waited = if self.active > 100 { 200_000.0 } else { 0.0 };
        usage.concurrency.waiting.insert(self.text(0), Waiting { waited: peaks(waited), queue });
        usage
    }

    fn gathered(&self, now: Timestamp) -> Gathered {
        let person = Principal::Session {
            role: "AWSReservedSSO_Analysts_0123456789abcdef".to_owned(),
            session: "ann@example.com".to_owned(),
            by_identity_center: true,
            source_identity: Some(self.text(5)),
        };
        let principals = [
            person,
            Principal::User { name: self.text(5) },
            Principal::session(&self.texts[6], Some(&self.texts[7]), &self.texts[8], Some(&self.texts[9])),
            Principal::Other { kind: self.text(7), name: Some(self.text(8)) },
            Principal::Service { name: self.text(9) },
            Principal::IdentityCenter { user_id: self.text(10) },
        ];
        let mut gathered = Gathered::default();
        let mut all = Vec::new();
        for (n, principal) in principals.into_iter().enumerate() {
            // Ids that are Athena's, and ids that are none.
            let id =
                if n < 3 { format!("5e6f7a80-1b2c-4d3e-8f90-00000000000{n}") } else { format!("{n}{}", self.texts[n]) };
            let minutes = i64::try_from(n).unwrap() + 3;
            for is_running in [false, true] {
                let id = format!("{id}{}", if is_running { "-1" } else { "" });
                gathered.principals.insert(id.clone(), principal.clone());
                all.push(Execution {
                    id,
                    workgroup: self.text(0),
                    state: if is_running { State::Running } else { State::Succeeded },
                    submitted: Some(now - SignedDuration::from_mins(minutes + 4)),
                    completed: (!is_running).then(|| now - SignedDuration::from_mins(minutes)),
                    scanned: Some(Bytes::new(self.used * 100_000)),
                    kind: Kind::Dml,
                    sql: Some(format!("SELECT '{}'", self.texts[6])),
                });
            }
        }
        gathered.executions = all;
        gathered.cut = self.has(1).then(|| self.text(9));
        gathered.unrecorded = self.has(0).then(|| self.text(10));
        let tag = match self.seed % 3 {
            0 => Tag::Absent,
            1 => Tag::Unread(TagsUnread::Failed(self.text(11))),
            _ => Tag::Value(self.text(11)),
        };
        gathered.tags.insert(self.text(5), tag);
        gathered
    }

    fn occupancy(&self, policy: &Policy, gathered: &Gathered, now: Timestamp) -> Occupancy {
        let found =
            vec![(self.text(0), gathered.executions.clone()), (self.text(4), gathered.executions[..4].to_vec())];
        let reservations = match self.seed % 3 {
            0 => Reservations::Unknown(Unknown::Failed { operation: self.text(2), code: self.text(3) }),
            1 => Reservations::NotAsked,
            _ => Reservations::Known { names: vec![self.text(8), self.text(9)], workgroups: [self.text(10)].into() },
        };
        let mut occupancy = Occupancy::of(found, reservations, vec![self.text(11)]);
        let none = Span { start: now, end: now };
        let shares = Shares::of(gathered, none, None, now, &policy.submitters, &policy.mail);
        occupancy.people.insert(self.text(0), shares.parties);
        occupancy
    }

    fn asker(&self, n: usize) -> Asker {
        Asker { principal: Principal::session("admin", None, &self.texts[n], None), arn: self.text(n) }
    }

    pub fn grants(&self, now: Timestamp) -> Grants {
        if !self.has(2) {
            return Grants::new();
        }
        let minutes = |n: i64| now + SignedDuration::from_mins(n);
        let amount = |text: &str| {
            let size: Size = text.parse().unwrap();
            Amount { bytes: size.bytes, binary: false }
        };
        let act = |n: usize| Act { by: self.asker(n), at: minutes(-1) };
        // Pending, planned, in force, about to end, over, closed.
        let phase = self.seed % 6;
        let (from, until) = [(-5, 60), (5, 60), (-30, 60), (-100, 5), (-60, -5), (-60, -5)][usize::from(phase)];
        let before = Some(Bytes::new(10_000_000));
        let cutoff = match (phase, self.seed / 6 % 5) {
            (0 | 1, _) => Cutoff::Untouched,
            (_, 0) => Cutoff::Raised { before, again: 0 },
            (_, 1) => Cutoff::Restored { before: None },
            (_, 2) => Cutoff::Left { before: Some(Before { cutoff: before }), found: Some(Bytes::new(7)) },
            (_, 3) => Cutoff::Left { before: None, found: None },
            _ => Cutoff::Gone,
        };
        let grant = Grant {
            id: if self.has(3) { self.text(10) } else { "g-one".to_owned() },
            workgroup: self.text(0),
            by: self.asker(4),
            reason: format!("because {}", self.texts[11]),
            // Of a window that the policy has not, so that it raises nothing here.
            limit: Some(Raise { window: format!("x{}", self.texts[3]), to: amount("2 TB") }),
            per_query: Some(amount("500 GB")),
            asked: minutes(-120),
            from: minutes(from),
            until: minutes(until),
            needs_approval: phase == 0,
            approved: None,
            extended: (phase > 2).then(|| act(6)),
            revoked: (self.seed > 200).then(|| act(7)),
            cutoff,
            closed: (phase == 5).then_some(now),
            requests: Vec::new(),
        };
        Grants::from([(self.text(0), Book { grants: vec![grant] })])
    }

    fn troubles(&self) -> BTreeMap<String, String> {
        if self.seed % 2 == 1 { [(self.text(0), self.text(9))].into() } else { BTreeMap::new() }
    }

    pub fn silences(&self, now: Timestamp) -> Silences {
        if !self.has(3) {
            return Silences::new();
        }
        let silence = Silence {
            id: self.text(10),
            by: self.asker(8),
            reason: self.text(7),
            from: now - SignedDuration::from_mins(60),
            until: now + SignedDuration::from_mins(if self.seed.is_multiple_of(2) { -1 } else { 60 }),
            taken_back: (self.seed % 4 == 2)
                .then(|| Act { by: self.asker(9), at: now - SignedDuration::from_mins(10) }),
            resolved: None,
        };
        let subject = Subject::Limit { workgroup: self.text(0), window: "1h".to_owned() };
        Silences::from([(subject, silence)])
    }
}
