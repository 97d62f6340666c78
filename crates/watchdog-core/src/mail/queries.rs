//! Active and waiting queries in words: what happens next, who fills the quota, and what to do about it.

use super::people::{LONGEST_LABEL, People, QueryLine, STANDS_OUT_PERCENT, ShareLine};
use super::words::{Bar, Case, Step, StepKind, Words, ascii_bar, clip, is_a_name, is_an_id, look, quota_link};
use super::words::{name, plain};
use crate::alert::{Ending, Reason, Severity};
use crate::bytes::Units;
use crate::delivery::{Filling, Notice, QueryFacts, Shown};
use crate::history::length;
use crate::occupancy::{Holder, Occupancy, Reservations};
use crate::people::{Party, Whose};
use crate::policy::Class;
use crate::queries::{Execution, State};
use crate::usage::Unknown;
use crate::verdict::{Detail, Pressure, in_the_last, waited};

/// Queries that a command is given for, and that a person's own list has: those that have run the longest.
const MOST_COMMANDS: usize = 3;
const MOST_QUERIES: usize = 10;
/// Workgroups and people in the table of who fills it.
const MOST_HOLDERS: usize = 8;
const MOST_PARTIES: usize = 8;

/// Rows that say something of everybody's queries, and not of the limit.
pub(super) const OF_CROWD: [&str; 2] = ["Reservations", "Longest run"];

impl Words<'_> {
    pub(super) fn queries(&self, notice: &Notice, facts: &QueryFacts) -> Case {
        let is_over = matches!(notice.reason, Reason::Resolved(_));
        let mut case = match &facts.pressure {
            Pressure::Active(class) => self.active(notice, facts, *class),
            Pressure::Waiting { workgroup } => self.waiting(notice, facts, &name(workgroup)),
        };
        if is_over {
            case.consequence = over(notice, facts);
        }
        let percent = facts.strain.percent();
        case.rows.push((
            "Warns at",
            format!(
                "{}; critical at {}; resolves below {}{}",
                facts.warn,
                facts.critical,
                facts.resolves_below,
                if facts.hold.is_zero() { String::new() } else { format!(" for {}", length(facts.hold)) }
            ),
        ));
        if let (Some(percent), Some(limit)) = (percent, facts.strain.limit) {
            let (used, left) = match &facts.pressure {
                Pressure::Active(_) => {
                    let left = limit.saturating_sub(facts.strain.used);
                    let left = if left == 0 { "none left".to_owned() } else { format!("{left} left") };
                    (format!("{} active", facts.strain.used), left)
                }
                Pressure::Waiting { .. } => {
                    (format!("{} waited", waited(facts.strain.used)), format!("at most {}", waited(limit)))
                }
            };
            case.bar = Some(Bar {
                percent,
                filled: percent.min(100),
                flying: 0,
                text: ascii_bar(percent, 0),
                used,
                in_flight: String::new(),
                left,
            });
        }
        match &notice.people {
            Some(Shown::Crowd(occupancy)) if !is_over => self.crowd(&mut case, facts, occupancy),
            Some(Shown::Filling(filling)) if !is_over => self.filling(&mut case, facts, filling),
            _ if !is_over => case.steps = self.steps(facts, None),
            _ => {}
        }
        case
    }

    fn active(&self, notice: &Notice, facts: &QueryFacts, class: Class) -> Case {
        let (used, class) = (facts.strain.used, class.word());
        let here = if self.region.is_empty() { String::new() } else { format!(" in {}", self.region) };
        let minutes = in_the_last(facts.look_back);
        let as_of = self.time(self.as_of);
        let Some(limit) = facts.strain.limit else {
            let mut case = self.frame(notice, format!("Athena{here}: no {class} query active"));
            case.sentence = format!("No {class} query has been active {minutes} (as of {as_of}).");
            return case;
        };
        let is_over = matches!(notice.reason, Reason::Resolved(_));
        let is_gone = used >= limit;
        let next = match notice.severity {
            _ if is_over => "",
            _ if is_gone => ", the next will be refused",
            Severity::Critical | Severity::Exhausted => ", the next may soon be refused",
            _ => "",
        };
        let mut case = self.frame(notice, format!("Athena{here}: {used} of {limit} {class} queries active{next}"));
        case.sentence = if is_gone {
            format!(
                "All {limit} {class} queries that the account may have active{here} were active at once (as of {as_of})."
            )
        } else {
            format!(
                "Up to {used} of {limit} {class} queries that the account may have active{here} were active at once {minutes} (as of {as_of})."
            )
        };
        let left = limit.saturating_sub(used);
        let mut sentences = vec![if is_gone {
            "While it is so, the next queries will be refused, in every workgroup.".to_owned()
        } else {
            format!("With {left} more, the next queries will be refused, in every workgroup.")
        }];
        if let Detail::Active { peak, newest, quota } = &facts.strain.detail {
            if *newest < used {
                sentences.push(format!("In the newest minutes it was up to {newest}."));
            }
            let when = peak.map(|start| format!(", in the five minutes from {}", self.time(start))).unwrap_or_default();
            case.rows.push(("Most at once", format!("{used} that ran or waited{when}")));
            if let Some(quota) = quota {
                let whose = if quota.is_default { "AWS's default" } else { "as applied to this account" };
                case.rows.push(("Quota", format!("{limit}, {whose}, read {}", self.day_and_time(quota.read))));
            }
        }
        sentences.extend(cause(facts, None));
        sentences.extend(victims(facts));
        case.consequence = sentences.join(" ");
        case
    }

    fn waiting(&self, notice: &Notice, facts: &QueryFacts, workgroup: &str) -> Case {
        let limit = waited(facts.strain.limit.unwrap_or(u64::MAX));
        let used = waited(facts.strain.used);
        let minutes = in_the_last(facts.look_back);
        let as_of = self.time(self.as_of);
        if matches!(notice.reason, Reason::Resolved(_)) {
            let mut case = self.frame(notice, format!("{workgroup}: queries no longer wait too long"));
            case.sentence = match facts.strain.used {
                0 => format!("No query in {workgroup} has waited {minutes} (as of {as_of})."),
                _ => {
                    format!("Queries in {workgroup} waited up to {used} {minutes}, of at most {limit} (as of {as_of}).")
                }
            };
            return case;
        }
        let title = format!("{workgroup}: queries are waiting, up to {used} where {limit} is the most");
        let mut case = self.frame(notice, title);
        case.sentence = format!(
            "Queries in {workgroup} are waiting: up to {used} {minutes}, and {limit} is the most that they should (as of {as_of})."
        );
        let mut sentences = Vec::new();
        if let Detail::Waiting { ended, queue, unread } = &facts.strain.detail {
            if let Some(queue) = queue {
                let since = queue.oldest.map(|at| format!(", the oldest since {}", self.when(at))).unwrap_or_default();
                let now = format!("{} waiting{since}; {} running", queue.queued, queue.running);
                case.rows.push(("Right now", now));
                if queue.queued > 0 {
                    let are = if queue.queued == 1 {
                        "1 query waits".to_owned()
                    } else {
                        format!("{} queries wait", queue.queued)
                    };
                    sentences.push(format!("Right now {are}."));
                }
            }
            if let Some(why) = unread {
                case.rows.push(("Right now", format!("not known: {}", plain(&why.to_string()))));
            }
            let ended =
                ended.map_or("none had waited".to_owned(), |ended| format!("the longest had waited {}", waited(ended)));
            case.rows.push(("Ended lately", format!("{ended} {minutes}")));
        }
        case.rows.push(("May wait", format!("{limit}, the workgroup's `waiting` in the policy")));
        sentences.extend(cause(facts, Some(workgroup)));
        sentences.extend(victims(facts));
        case.consequence = sentences.join(" ");
        case
    }

    /// Who has how many, for whoever may know.
    fn crowd(&self, case: &mut Case, facts: &QueryFacts, occupancy: &Occupancy) {
        let filling = occupancy.filling(&facts.pressure);
        let all: usize = filling.iter().map(|(_, active)| active).sum();
        let percent = |part: usize| (part * 100).checked_div(all).unwrap_or(0);
        let line = |who: String, active: usize, running: usize, how: String| ShareLine {
            who: clip(&who, LONGEST_LABEL),
            share: format!("{} %", percent(active)),
            much: format!("{active} active"),
            detail: format!(
                "{running} running, {} waiting{}",
                active - running,
                if how.is_empty() { String::new() } else { format!("; {how}") }
            ),
        };
        let class = match facts.pressure {
            Pressure::Active(class) => class,
            Pressure::Waiting { .. } => Class::Dml,
        };
        let running = |holder: &Holder| holder.of(class).filter(|e| e.state == State::Running).count();
        let first = filling.first().map(|(holder, _)| *holder);
        let mut shares = Vec::new();
        for (holder, active) in filling.iter().take(MOST_HOLDERS) {
            shares.push(line(holder.workgroup.clone(), *active, running(holder), String::new()));
            // Below the workgroup that has the most, its people.
            let people = occupancy.people.get(&holder.workgroup).filter(|_| Some(*holder) == first);
            shares.extend(people.into_iter().flatten().take(MOST_PARTIES).map(|party| {
                let running = party.in_flight.iter().filter(|e| e.state == State::Running).count();
                let who = format!("– {}", party.whose.label());
                line(who, party.in_flight.len(), running, plain(&party.whose.explained()))
            }));
        }
        let parties = first.and_then(|holder| occupancy.people.get(&holder.workgroup)?.first());
        let stands_out = |party: &&Party| {
            !matches!(party.whose, Whose::Unrecorded(_)) && percent(party.in_flight.len()) >= STANDS_OUT_PERCENT
        };
        if let Some(party) = parties.filter(stands_out) {
            let who = clip(&party.whose.label(), LONGEST_LABEL);
            case.consequence.push_str(&format!(" {who} has {} of them.", party.in_flight.len()));
        }
        let mut notes = Vec::new();
        if let Some(rest) = filling.len().checked_sub(MOST_HOLDERS).filter(|rest| *rest > 0) {
            let active: usize = filling.iter().skip(MOST_HOLDERS).map(|(_, active)| active).sum();
            notes.push(format!("And {rest} more workgroups with {active} active queries together."));
        }
        if all == 0 {
            notes.push("When the watchdog looked, no query was active any more.".to_owned());
        } else {
            notes.push(format!("That is who was active when the watchdog looked: {all} queries."));
        }
        notes.extend(occupancy.cut.iter().map(|why| plain(why)));
        case.people =
            Some(People { heading: "Who has them active", queries: Vec::new(), shares, heaviest: Vec::new(), notes });
        case.rows.extend(self.reserved(occupancy));
        if let Some((execution, holder)) = first.and_then(|holder| Some((longest(&holder.active).next()?, holder))) {
            let longest =
                format!("{} in {}, {}", clip(&execution.id, 128), name(&holder.workgroup), self.since(execution));
            case.rows.push(("Longest run", longest));
        }
        case.steps = self.steps(facts, first);
    }

    fn reserved(&self, occupancy: &Occupancy) -> Option<(&'static str, String)> {
        let said = match &occupancy.reservations {
            Reservations::NotAsked => return None,
            Reservations::Unknown(why) => {
                format!("not known ({}); queries on one do not count against the quota", plain(&why.to_string()))
            }
            Reservations::Known { names, .. } if names.is_empty() => "none in this account".to_owned(),
            Reservations::Known { names, workgroups } => {
                let names: Vec<String> = names.iter().take(5).map(|one| clip(one, 128)).collect();
                let of: Vec<String> = workgroups.iter().take(8).map(|one| name(one)).collect();
                let of = if of.is_empty() { String::new() } else { format!(", which {} run on,", of.join(", ")) };
                format!("queries on {}{of} do not count against the quota", names.join(", "))
            }
        };
        Some(("Reservations", said))
    }

    /// A person's own active queries.
    fn filling(&self, case: &mut Case, facts: &QueryFacts, filling: &Filling) {
        let own = &filling.party.in_flight;
        case.title = format!("{}, {} of them yours", case.title, own.len());
        let share = own.len() * 100 / filling.all.max(1);
        let mine = format!("{} of the {} active queries are yours ({share} %).", own.len(), filling.all);
        let first = match facts.strain.limit {
            Some(limit) if matches!(facts.pressure, Pressure::Active(_)) && facts.strain.used >= limit => {
                " The next queries will be refused, yours and everybody's."
            }
            _ if matches!(facts.pressure, Pressure::Active(_)) => {
                " Once the rest is taken, the next queries will be refused, yours and everybody's."
            }
            _ => "",
        };
        let victims = victims(facts).map(|victims| format!(" {victims}")).unwrap_or_default();
        case.consequence = format!("{mine}{first}{victims}");
        let mut queries: Vec<&Execution> =
            longest(own).chain(own.iter().filter(|e| e.state != State::Running)).collect();
        let rest = queries.len().saturating_sub(MOST_QUERIES);
        queries.truncate(MOST_QUERIES);
        let lines = queries.iter().map(|execution| QueryLine {
            what: self.since(execution),
            link: self.query_link(&execution.id),
            sql: execution.sql.as_deref().filter(|_| filling.show_sql).map(|sql| clip(sql, super::people::LONGEST_SQL)),
        });
        let notes = if rest > 0 { vec![format!("And {rest} more.")] } else { Vec::new() };
        let queries = lines.collect();
        case.people =
            Some(People { heading: "Your active queries", queries, shares: Vec::new(), heaviest: Vec::new(), notes });
        let step = |words, command: String, kind| Step { words, command, kind };
        case.steps = self.stops(own);
        case.steps.push(step(
            "Start fewer at once",
            "queries that wait count, too; let one end before the next begins.".to_owned(),
            StepKind::Words,
        ));
        let ask: Vec<&str> = filling.ask.iter().map(|address| address.as_str()).collect();
        case.steps.push(step("If you need more, ask", ask.join(", "), StepKind::Words));
    }

    /// What admins can do. `cause` is the workgroup that has the most active queries, where somebody looked.
    fn steps(&self, facts: &QueryFacts, cause: Option<&Holder>) -> Vec<Step> {
        let mut steps = cause.map(|holder| self.stops(&holder.active)).unwrap_or_default();
        if let Some(holder) = cause.filter(|holder| is_a_name(&holder.workgroup)) {
            let queries = "See the queries of the workgroup that has the most (choose it at the top right)";
            steps.extend(look(self.region, &holder.workgroup, [queries, "Open that workgroup"]));
        }
        let class = match facts.pressure {
            Pressure::Active(class) => class,
            Pressure::Waiting { .. } => Class::Dml,
        };
        if !self.region.is_empty() {
            let command = quota_link(self.region, class);
            steps.push(Step { words: "Ask AWS for a higher quota", command, kind: StepKind::Link });
        }
        if class == Class::Dml {
            let whose = match &facts.pressure {
                Pressure::Waiting { workgroup } => name(workgroup),
                Pressure::Active(_) => facts.victims.first().map_or("a workgroup".to_owned(), |v| name(&v.workgroup)),
            };
            steps.push(Step {
                words: "Where it must never wait",
                command: format!(
                    "a capacity reservation gives {whose} capacity of its own; its queries then wait for no others and do not count \
                     against the quota."
                ),
                kind: StepKind::Words,
            });
        }
        steps
    }

    /// Commands that stop those that have run the longest. The watchdog stops nothing by itself.
    fn stops(&self, executions: &[Execution]) -> Vec<Step> {
        let words = ["Stop the one that has run the longest", "The second longest", "The third longest"];
        let region = if self.region.is_empty() { String::new() } else { format!(" --region {}", self.region) };
        let ids = longest(executions).map(|execution| execution.id.as_str()).filter(|id| is_an_id(id));
        let stop = |(words, id): (&'static str, &str)| Step {
            words,
            command: format!("aws athena stop-query-execution{region} --query-execution-id {id}"),
            kind: StepKind::Command,
        };
        words.into_iter().zip(ids.take(MOST_COMMANDS)).map(stop).collect()
    }

    /// `running since 14:02 UTC, 12 min, 3.4 GB so far`.
    fn since(&self, execution: &Execution) -> String {
        let since = execution.submitted.map(|at| {
            let long = u64::try_from(self.as_of.duration_since(at).as_mins()).unwrap_or(0) * 60_000;
            format!(" since {}, {}", self.when(at), waited(long))
        });
        let so_far = execution.scanned.filter(|bytes| bytes.get() > 0).map(|bytes| bytes.human(Units::Decimal));
        let so_far = so_far.map(|bytes| format!(", {bytes} so far")).unwrap_or_default();
        format!("{}{}{so_far}", execution.state, since.unwrap_or_default())
    }

    pub(super) fn query_sight(&self, notice: &Notice, pressure: &Pressure, why: Option<&Unknown>) -> Case {
        let what = match pressure {
            Pressure::Active(class) => format!("how near the active {} queries are to their quota", class.word()),
            Pressure::Waiting { workgroup } => format!("how long queries in {} wait", name(workgroup)),
        };
        let Some(why) = why else {
            let gone = matches!(notice.reason, Reason::Resolved(Ending::NotWatched));
            let end = if gone { "is no longer watched" } else { "can be seen again" };
            let mut case = self.frame(notice, format!("{what} {end}"));
            case.sentence = if gone {
                format!("The watchdog no longer watches {what}.")
            } else {
                format!("The watchdog can see again {what}.")
            };
            return case;
        };
        let why_text = plain(&why.to_string());
        let mut case = self.frame(notice, format!("{what}: {why_text}"));
        case.sentence = format!("The watchdog cannot see {what}: {why_text}.");
        let risk = match pressure {
            Pressure::Active(_) => "Queries may be refused without a warning.",
            Pressure::Waiting { .. } => "They may be stuck without a warning.",
        };
        case.consequence =
            format!("It is unknown, which is not the same as fine. {risk} Limits on bytes are watched as before.");
        self.remedy(&mut case, why, "");
        case
    }
}

/// Those that run, the one that has run the longest first.
fn longest(executions: &[Execution]) -> impl Iterator<Item = &Execution> {
    executions.iter().filter(|execution| execution.state == State::Running)
}

/// Whose doing it is. `victim` is the workgroup whose queries wait.
fn cause(facts: &QueryFacts, victim: Option<&str>) -> Option<String> {
    let cause = facts.cause.as_ref()?;
    let (workgroup, active, all) = (name(&cause.workgroup), cause.active, cause.all);
    Some(match victim {
        Some(victim) if victim == workgroup => {
            format!("{workgroup} itself has the most queries active: {active} of {all}.")
        }
        // With less than half it is one among others.
        Some(victim) if active * 2 >= all => {
            format!("{workgroup} has {active} of the {all} queries that are active, and {victim} waits for them.")
        }
        Some(_) => format!("{workgroup} has the most queries active: {active} of {all}."),
        None if active == all => format!("All {all} that are active now are in {workgroup}."),
        None => format!("{workgroup} has {active} of the {all} that are active now."),
    })
}

fn victims(facts: &QueryFacts) -> Option<String> {
    let one = |victim: &crate::delivery::Victim| {
        let queued = victim.queued.filter(|queued| *queued > 0).map(|queued| format!(", {queued} right now"));
        format!("{} (up to {}{})", name(&victim.workgroup), waited(victim.waited), queued.unwrap_or_default())
    };
    let all: Vec<String> = facts.victims.iter().map(one).collect();
    (!all.is_empty()).then(|| format!("Meanwhile queries are waiting in {}.", all.join(", ")))
}

fn over(notice: &Notice, facts: &QueryFacts) -> String {
    let is_low = facts.strain.limit.is_none_or(|limit| !facts.resolves_below.reached_by(facts.strain.used, limit));
    match notice.reason {
        Reason::Resolved(_) if !is_low => {
            "That alert is over. Where it is bad again, others are told of it.".to_owned()
        }
        _ if facts.hold.is_zero() => format!("That is below {}: the alert is over.", facts.resolves_below),
        _ => format!("It has been below {} for {}: the alert is over.", facts.resolves_below, length(facts.hold)),
    }
}
