//! A notice in words: the sentences, numbers and steps that both forms of a mail show.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::people::{LONGEST_LABEL, People};
use super::picture::Plot;
use super::promises::badge as badge_of_grant;
use super::queries;
use super::weekly::Week;
use crate::alert::{Ending, Reason, Severity, Subject};
use crate::bytes::{Size, Units};
use crate::delivery::{Facts, LimitFacts, Notice, Shown};
use crate::forecast::Outlook;
use crate::history::length;
use crate::people::{Party, Whose};
use crate::percent::whole_percent;
use crate::policy::{Class, Origin, Pattern};
use crate::untrusted;
use crate::usage::{InFlight, Unknown};
use crate::verdict::{Foresight, Pressure};
use crate::window::{zone_name, zone_word};

/// Notices spelled out in one mail. A person reads a handful; the rest are counted, and the whole stays below the size at
/// which mail programs cut a message off (about 100 KB): an alert with its picture and people is some 25 KB
/// as it goes out, one of the later ones without them some 8 KB.
pub(super) const MOST_NOTICES: usize = 6;
/// Cases after those, in one line each, so that nothing that somebody counts as told about is without its name.
pub(super) const MOST_LINES: usize = 39;
/// A time of day alone is clear for so long: then it soon comes round again.
const CLEAR: SignedDuration = SignedDuration::from_hours(20);
/// Names in a list of workgroups that share one trouble.
const MOST_NAMES: usize = 12;
/// Policy problems spelled out.
const MOST_PROBLEMS: usize = 20;
/// Characters of one text of other people's.
const LONGEST_TEXT: usize = 400;

pub(super) struct Case {
    pub badge: &'static str,
    pub colour: &'static str,
    pub ink: &'static str,
    pub title: String,
    pub sentence: String,
    pub consequence: String,
    pub bar: Option<Bar>,
    pub plot: Option<Plot>,
    pub people: Option<People>,
    pub week: Option<Week>,
    pub rows: Vec<(&'static str, String)>,
    pub problems: Vec<String>,
    pub steps: Vec<Step>,
    pub why: String,
}

impl Case {
    /// What stands above the steps: a weekly report asks for nothing.
    pub(super) fn to_do(&self) -> &'static str {
        if self.week.is_some() { "To look closer" } else { "What to do now" }
    }
}

pub(super) struct Bar {
    pub percent: u64,
    /// Of the bar's width, 0 to 100.
    pub filled: u64,
    /// Of the bar's width, what is in flight, after that; together at most 100.
    pub flying: u64,
    pub text: String,
    pub used: String,
    /// Empty where nothing is in flight.
    pub in_flight: String,
    pub left: String,
}

pub(super) struct Step {
    pub words: &'static str,
    pub command: String,
    pub kind: StepKind,
}

/// What a step's `command` is.
#[derive(PartialEq)]
pub(super) enum StepKind {
    Link,
    Command,
    Words,
}

/// Other people's text on one line, without control characters, and bounded.
pub(super) fn plain(text: &str) -> String {
    clip(text, LONGEST_TEXT)
}

/// Whatever leaves room empty is one space: headers are folded there and HTML shows no more, and both forms say the same.
pub(super) fn clip(text: &str, longest: usize) -> String {
    let mut out = String::new();
    let mut length = 0;
    for word in untrusted::plain(text).split_whitespace() {
        for c in (length > 0).then_some(' ').into_iter().chain(word.chars()) {
            if length == longest {
                out.push('…');
                return out;
            }
            out.push(c);
            length += 1;
        }
    }
    out
}

pub(super) struct Words<'a> {
    pub zone: &'a TimeZone,
    pub region: &'a str,
    pub as_of: Timestamp,
    /// The stack, for commands to paste.
    pub stack: &'a str,
}

impl Words<'_> {
    /// `14:05 UTC`, or `15:05 CET, 14:05 UTC`; stands in brackets.
    pub(super) fn time(&self, at: Timestamp) -> String {
        match self.local(at, "%H:%M") {
            Some(local) => format!("{local}, {}", at.strftime("%H:%M UTC")),
            None => at.strftime("%H:%M UTC").to_string(),
        }
    }

    /// `14:05 UTC`, or `15:05 CET`; where there is no room for both, such as in a subject.
    pub(super) fn clock(&self, at: Timestamp) -> String {
        self.local(at, "%H:%M").unwrap_or_else(|| at.strftime("%H:%M UTC").to_string())
    }

    /// With the day where that is not clear: for what is past.
    pub(super) fn when(&self, at: Timestamp) -> String {
        if self.as_of.duration_since(at) < CLEAR { self.time(at) } else { self.day_and_time(at) }
    }

    /// With the day; for what is not from just now.
    pub(super) fn day_and_time(&self, at: Timestamp) -> String {
        match self.local(at, "%Y-%m-%d %H:%M") {
            Some(local) => format!("{local} ({})", at.strftime("%H:%M UTC")),
            None => at.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        }
    }

    /// `Tue 14:05 UTC`, or `Tue 15:05 CET (14:05 UTC)`; for what is of the last days.
    pub(super) fn day_of_week(&self, at: Timestamp) -> String {
        match self.local(at, "%a %H:%M") {
            Some(local) => format!("{local} ({})", at.strftime("%H:%M UTC")),
            None => at.strftime("%a %H:%M UTC").to_string(),
        }
    }

    /// `Feb 23`, by the policy's zone.
    pub(super) fn local_day(&self, at: Timestamp) -> String {
        at.to_zoned_datetime(self.zone.clone()).strftime("%b %-d").to_string()
    }

    /// In the policy's zone, where that is not UTC.
    fn local(&self, at: Timestamp, form: &str) -> Option<String> {
        let local = at.to_zoned_datetime(self.zone.clone()).strftime(form).to_string();
        let is_utc = matches!(zone_name(self.zone), "UTC" | "Etc/UTC");
        (!is_utc).then(|| format!("{local} {}", zone_word(self.zone, at)))
    }

    /// The first notices as cases, in their order, and how many cases there are in all. Those about the sight of workgroups
    /// that say the same are one, where the first of them stands.
    pub(super) fn cases(&self, notices: &[Notice]) -> (Vec<Case>, usize) {
        let mut groups: Vec<(&Notice, Vec<&str>)> = Vec::new();
        let mut group_of: BTreeMap<String, usize> = BTreeMap::new();
        for notice in notices {
            let Subject::Sight { workgroup } = &notice.subject else {
                groups.push((notice, Vec::new()));
                continue;
            };
            let what = match &notice.facts {
                Facts::Unseen { why, .. } => why.to_string(),
                _ => format!("{:?}", notice.reason),
            };
            let group = *group_of.entry(format!("{} {what}", notice.reason.word())).or_insert(groups.len());
            match groups.get_mut(group) {
                Some((_, names)) => names.push(workgroup),
                None => groups.push((notice, vec![workgroup])),
            }
        }
        let all = groups.len();
        // Who fills a quota is said once, and not again with each workgroup that waits.
        let mut is_crowd_shown = false;
        let case = |(notice, names): (&Notice, Vec<&str>)| {
            let mut case = self.case(notice, &names);
            if matches!(notice.people, Some(Shown::Crowd(_))) && std::mem::replace(&mut is_crowd_shown, true) {
                case.people = None;
                case.steps.clear();
                case.rows.retain(|(label, _)| !queries::OF_CROWD.contains(label));
            }
            case
        };
        (groups.into_iter().take(MOST_NOTICES + MOST_LINES).map(case).collect(), all)
    }

    /// `names` are the workgroups of a case about their sight.
    fn case(&self, notice: &Notice, names: &[&str]) -> Case {
        let mut case = self.case_alone(notice, names);
        if let Some(known) = self.known(notice) {
            case.consequence = format!("{known} {}", case.consequence).trim_end().to_owned();
        }
        case.rows.extend(self.history(notice));
        if let Some(quiet) = &notice.quiet {
            let (sentence, row) = self.quiet(quiet);
            case.consequence = format!("{} {sentence}", case.consequence).trim_start().to_owned();
            case.rows.push(("Silenced", row));
        }
        case
    }

    /// What sets this mail apart from the first about the same, for the first screen.
    fn known(&self, notice: &Notice) -> Option<String> {
        if matches!(notice.subject, Subject::Grant { .. } | Subject::Weekly) {
            return None;
        }
        let opened = self.when(notice.opened);
        match notice.reason {
            Reason::Repeated { .. } => Some(format!("A reminder: open since {opened}.")),
            Reason::Escalated { from } => Some(format!("Worse than when you were last told ({}).", from.words())),
            Reason::Opened if notice.opened < self.as_of => Some(format!("Open since {opened}, and new to you.")),
            Reason::Opened | Reason::Resolved(_) => None,
        }
    }

    fn case_alone(&self, notice: &Notice, names: &[&str]) -> Case {
        if let Subject::QuerySight(pressure) = &notice.subject {
            let why = match &notice.facts {
                Facts::Unseen { why, .. } => Some(why),
                _ => None,
            };
            return self.query_sight(notice, pressure, why);
        }
        match &notice.facts {
            Facts::Limit(limit) => self.limit(notice, limit),
            Facts::Grant(grant) => self.grant(notice, grant),
            Facts::Queries(facts) => self.queries(notice, facts),
            Facts::Week(facts) => self.weekly(notice, facts),
            Facts::Unseen { why, limits, .. } if !names.is_empty() => self.unseen(notice, why, limits, names),
            Facts::Unseen { why, .. } => {
                let mut case = self.frame(notice, "the list of workgroups cannot be read".to_owned());
                let why_text = plain(&why.to_string());
                let as_of = self.time(self.as_of);
                case.sentence =
                    format!("The watchdog cannot list the account's workgroups: {why_text} (as of {as_of}).");
                case.consequence =
                    "Workgroups that it already knew are still watched; new ones are not seen until this is mended."
                        .to_owned();
                self.remedy(&mut case, why, "");
                case
            }
            Facts::Policy { problems, in_force_since } => {
                let count = if problems.0.len() == 1 {
                    "a problem".to_owned()
                } else {
                    format!("{} problems", problems.0.len())
                };
                let mut case = self.frame(notice, format!("the policy has {count}"));
                case.sentence = format!("The policy has {count} and cannot be used as it is.");
                case.consequence = format!(
                    "The watchdog goes on with the last valid policy, in force since {}. Nothing of the new one holds until it is mended.",
                    self.day_and_time(*in_force_since)
                );
                case.problems = problems.0.iter().take(MOST_PROBLEMS).map(|p| plain(&p.to_string())).collect();
                if let Some(rest) = problems.0.len().checked_sub(MOST_PROBLEMS).filter(|n| *n > 0) {
                    case.problems.push(format!("and {rest} more"));
                }
                case.steps.push(Step {
                    words: "Mend it in its file, and check that before you store it",
                    command: "watchdog check FILE".into(),
                    kind: StepKind::Command,
                });
                case
            }
            Facts::Over => self.over(notice, names),
        }
    }

    /// It is over, and nothing is to be said of its numbers.
    fn over(&self, notice: &Notice, names: &[&str]) -> Case {
        let gone = matches!(notice.reason, Reason::Resolved(Ending::NotWatched));
        let unwatched = "The policy has changed, or there is no such workgroup any more.".to_owned();
        let as_of = self.time(self.as_of);
        let long = length(self.as_of.duration_since(notice.opened));
        let (title, sentence, consequence) = match &notice.subject {
            Subject::Limit { workgroup, window } if gone => {
                let (workgroup, window) = (name(workgroup), plain(window));
                let sentence = format!("The limit of {workgroup} for {window} is no longer watched.");
                (format!("{workgroup}: limit for {window} no longer watched"), sentence, unwatched)
            }
            Subject::Limit { workgroup, window } => {
                let (workgroup, window) = (name(workgroup), plain(window));
                let sentence = format!("The alert about the limit of {workgroup} for {window} is over.");
                (format!("{workgroup}: alert for {window} over"), sentence, String::new())
            }
            Subject::Queries(pressure) | Subject::QuerySight(pressure) => {
                let what = match pressure {
                    Pressure::Active(class) => format!("active {} queries", class.word()),
                    Pressure::Waiting { workgroup } => format!("waiting in {}", name(workgroup)),
                };
                if gone {
                    let sentence = format!("The limit of {what} is no longer watched.");
                    (format!("{what}: no longer watched"), sentence, unwatched)
                } else {
                    (format!("{what}: alert over"), format!("The alert about {what} is over."), String::new())
                }
            }
            Subject::Sight { .. } if gone => {
                let are = if names.len() > 1 { "are" } else { "is" };
                let title = format!("{} {are} no longer watched", short_list(names));
                (title, format!("The watchdog no longer watches {}.", list(names)), unwatched)
            }
            Subject::Sight { .. } => {
                let title = format!("{} can be seen again", short_list(names));
                let sentence = format!("The watchdog can see {} again (as of {as_of}).", list(names));
                // Of several each may have been out of sight for another time.
                let after = if names.len() > 1 { String::new() } else { format!(", after {long} out of sight") };
                (title, sentence, format!("Limits are judged again{after}."))
            }
            Subject::Grant { workgroup, .. } => {
                let workgroup = name(workgroup);
                let sentence = format!("The grant for {workgroup} is not remembered any more.");
                (format!("{workgroup}: a grant is not remembered any more"), sentence, String::new())
            }
            Subject::Weekly => {
                let sentence = "The policy asks for no weekly report any more.".to_owned();
                ("no weekly report".to_owned(), sentence, String::new())
            }
            Subject::Listing => (
                "the list of workgroups can be read again".to_owned(),
                format!("The watchdog can list the account's workgroups again (as of {as_of})."),
                format!("New workgroups are seen again, after {long} in which they were not."),
            ),
            Subject::Policy => (
                "the policy is valid again".to_owned(),
                format!("The policy can be used again (as of {as_of})."),
                format!("What it says holds from now on; for {long} the last valid one did."),
            ),
        };
        let mut case = self.frame(notice, title);
        case.sentence = sentence;
        case.consequence = consequence;
        case
    }

    fn limit(&self, notice: &Notice, facts: &LimitFacts) -> Case {
        let percent = whole_percent(facts.used, facts.limit);
        let (used, limit) = (facts.used.human(facts.units), facts.limit.human(facts.units));
        let workgroup = name(&facts.workgroup);
        let window = &facts.window_words;
        let ended = matches!(notice.reason, Reason::Resolved(_));
        let outlook = facts.outlook.filter(|_| !ended && facts.used < facts.limit);
        let out = outlook.and_then(|outlook| outlook.about);
        let out = out.map_or(String::new(), |at| format!(", out at about {}", self.clock(at)));
        let still = if matches!(notice.reason, Reason::Repeated { .. }) { "still " } else { "" };
        let mut case = self.frame(
            notice,
            format!(
                "{workgroup}: {still}{percent} % of {limit} used{}",
                if out.is_empty() { format!(" {window}") } else { out }
            ),
        );
        case.sentence =
            format!("{workgroup} has used {percent} % of its {limit} {window} (as of {}).", self.time(facts.span.end));
        let left = facts.limit.saturating_sub(facts.used).human(facts.units);
        let over = facts.used.saturating_sub(facts.limit).human(facts.units);
        case.consequence = match (notice.reason, notice.severity) {
            (Reason::Resolved(Ending::WindowEnded), _) => {
                "A new window has begun: the alert about the last one is over.".to_owned()
            }
            // A newer alert about the same limit may be open, of which others hear.
            (Reason::Resolved(_), _) if facts.resolves_below.reached(facts.used, facts.limit) => {
                "That alert is over. Where use is high again, others are told of it.".to_owned()
            }
            (Reason::Resolved(_), _) if facts.hold.is_zero() => {
                format!("That is below {}: the alert is over.", facts.resolves_below)
            }
            (Reason::Resolved(_), _) => {
                format!("It has been below {} for {}: the alert is over.", facts.resolves_below, length(facts.hold))
            }
            (_, Severity::Exhausted) if facts.used >= facts.limit => {
                let by = if facts.used > facts.limit { format!("passed by {over}") } else { "reached".to_owned() };
                format!("The limit is {by}. Athena stops nothing at this limit by itself: queries go on.")
            }
            (_, Severity::Exhausted) => {
                format!("The limit was reached, and use is still close to it: {left} {} left.", are(&left))
            }
            _ => format!("{left} {} left.", are(&left)),
        };
        if let Some(coming) = outlook.and_then(|outlook| self.coming(outlook)) {
            case.consequence = format!("{} {coming}", case.consequence);
        }
        case.bar = Some(Bar {
            percent,
            filled: percent.min(100),
            flying: facts.flying_percent(),
            text: ascii_bar(percent, facts.flying_percent()),
            used: format!("{used} used"),
            in_flight: facts.flying_words(),
            left: match facts.used.cmp(&facts.limit) {
                Ordering::Less => format!("{left} left"),
                Ordering::Equal => "nothing left".to_owned(),
                Ordering::Greater => format!("{over} over"),
            },
        });
        case.plot = self.plot(facts, outlook.and_then(|outlook| outlook.about));
        case.rows = vec![
            ("Used", facts.used.exact(facts.units)),
            ("Limit", facts.limit.exact(facts.units)),
            (
                "The limit is",
                match facts.origin {
                    Origin::Given => "given directly in the policy".to_owned(),
                    Origin::QuotaAndBuffer { quota, buffer } => format!("a quota of {quota} and a buffer of {buffer}"),
                    Origin::ShareOfQuota { quota, share } => format!("{share} of a quota of {quota}"),
                },
            ),
            ("Window", format!("{}, since {}", facts.window, self.day_and_time(facts.span.start))),
            (
                "Warns at",
                format!(
                    "{}{}; critical at {}; resolves below {}{}",
                    facts.warn,
                    if facts.foresight == Foresight::Silent { "" } else { ", or sooner by the forecast" },
                    facts.critical,
                    facts.resolves_below,
                    if facts.hold.is_zero() { String::new() } else { format!(" for {}", length(facts.hold)) }
                ),
            ),
        ];
        case.rows.extend(self.under_grant(facts));
        case.rows.extend(facts.misfit.map(|misfit| ("Does it fit", misfit.words(facts.units))));
        // A person's mail has that person's queries, and nobody else's.
        if !ended && !matches!(notice.people, Some(Shown::Own(_))) {
            let running = |query: &InFlight| ("Running", self.running(query, whose(notice, query), facts.units));
            case.rows.extend(facts.in_flight.iter().map(running));
        }
        if !matches!(notice.reason, Reason::Resolved(_)) && is_a_name(&facts.workgroup) {
            let region = self.region;
            case.steps = look(region, &workgroup, ITS);
            case.steps.extend([
                Step {
                    words: "List its newest queries",
                    command: format!(
                        "aws athena list-query-executions --region {region} --work-group {workgroup} --max-items 20"
                    ),
                    kind: StepKind::Command,
                },
                match facts.in_flight.first().filter(|query| is_an_id(&query.id)) {
                    Some(query) => Step {
                        words: match query.scanned {
                            Some(_) => "Stop the largest one that is running",
                            None => "Stop the one that has run longest",
                        },
                        command: format!(
                            "aws athena stop-query-execution --region {region} --query-execution-id {}",
                            query.id
                        ),
                        kind: StepKind::Command,
                    },
                    None => Step {
                        words: "Stop one of them, by its id",
                        command: format!("aws athena stop-query-execution --region {region} --query-execution-id ID"),
                        kind: StepKind::Command,
                    },
                },
            ]);
        }
        self.people(&mut case, notice, facts);
        self.advise(&mut case, notice, facts);
        case
    }

    /// When it runs out, and how sure that is.
    fn coming(&self, outlook: Outlook) -> Option<String> {
        // Without the zone, which stands beside it.
        let clock = |at: Timestamp| self.clock(at).split(' ').next().unwrap_or_default().to_owned();
        let Some(about) = outlook.about else {
            let earliest = outlook.earliest.map(|at| {
                format!(
                    "At this pace it lasts for the next hour; one time in ten it would run out by {}.",
                    self.time(at)
                )
            });
            return earliest.filter(|_| outlook.will_exhaust);
        };
        let range = match (outlook.earliest, outlook.latest) {
            (Some(earliest), Some(latest)) if earliest < latest => {
                format!(", between {} and {}", clock(earliest), clock(latest))
            }
            (Some(earliest), None) if earliest < about => format!(", at {} at the earliest", clock(earliest)),
            _ => String::new(),
        };
        Some(format!("At this pace it runs out at about {}{range}.", self.time(about)))
    }

    /// A query that is running, whose it is, and what it has scanned so far.
    fn running(&self, query: &InFlight, whose: Option<String>, units: Units) -> String {
        let minutes = self.as_of.duration_since(query.started).as_mins().max(0);
        let so_far = match (query.scanned, query.rate(self.as_of)) {
            (Some(scanned), Some(rate)) => {
                format!("{} so far, {} a second, not counted above", scanned.human(units), rate.human(units))
            }
            (Some(scanned), None) => format!("{} so far, not counted above", scanned.human(units)),
            (None, _) => "Athena does not say what it has scanned so far".to_owned(),
        };
        let whose = whose.map_or(String::new(), |whose| format!(" of {whose},"));
        format!("{}{whose} for {minutes} min: {so_far}", plain(&query.id))
    }

    fn unseen(&self, notice: &Notice, why: &Unknown, limits: &[(Size, String)], names: &[&str]) -> Case {
        let why_text = plain(&why.to_string());
        let mut case = self.frame(notice, format!("{} cannot be seen: {why_text}", short_list(names)));
        let as_of = self.time(self.as_of);
        case.sentence = format!("The watchdog cannot see {}: {why_text} (as of {as_of}).", list(names));
        let whose = if names.len() > 1 { "Their" } else { "Its" };
        case.consequence = match why {
            // What does not hold that one point is judged as ever.
            Unknown::Implausible { .. } => format!(
                "{whose} use is unknown in every window that holds this time, which is not the same as fine: such a limit may be passed \
                 without a warning."
            ),
            _ => format!(
                "{whose} use is unknown, which is not the same as fine: a limit may be passed without a warning."
            ),
        };
        self.remedy(&mut case, why, names.first().copied().unwrap_or(""));
        if names.len() > 1 {
            case.steps.iter_mut().for_each(|step| step.words = "Mend it, for each of them");
        }
        if let [workgroup] = names
            && is_a_name(workgroup)
            && *why != Unknown::NoSuchWorkgroup
        {
            case.steps.extend(look(self.region, workgroup, ITS));
            // Of one bad point it depends on the window.
            if !limits.is_empty() && !matches!(why, Unknown::Implausible { .. }) {
                let words = limits.iter().map(|(size, window)| format!("{size} for {window}"));
                case.rows.push(("Not judged", words.collect::<Vec<_>>().join(", ")));
            }
        }
        case
    }

    pub(super) fn remedy(&self, case: &mut Case, why: &Unknown, workgroup: &str) {
        // A name that is none of Athena's is never put into a command: somebody will paste it.
        if !workgroup.is_empty() && !is_a_name(workgroup) {
            return;
        }
        let Some(remedy) = why.remedy(workgroup) else { return };
        let step = if remedy.starts_with("aws ") {
            let command = format!("{remedy} --region {}", self.region);
            Step { words: "Mend it", command, kind: StepKind::Command }
        } else {
            Step { words: "Mend it", command: plain(&remedy), kind: StepKind::Words }
        };
        case.steps.push(step);
    }

    pub(super) fn frame(&self, notice: &Notice, title: String) -> Case {
        let over = matches!(notice.reason, Reason::Resolved(_));
        // Near Okabe and Ito's palette, which colour-blind people can tell apart; the badge's word says the same.
        let (badge, colour, ink) = match (over, notice.severity) {
            (true, _) => ("resolved", "#00795a", "#ffffff"),
            (_, Severity::Warn) => ("warn", "#e69f00", "#1c1c1c"),
            (_, Severity::Critical) => ("critical", "#b84a00", "#ffffff"),
            (_, Severity::Exhausted) => ("exhausted", "#9f4d9a", "#ffffff"),
            (_, Severity::CannotSee) if notice.subject == Subject::Policy => ("policy", "#1a73ad", "#ffffff"),
            (_, Severity::CannotSee) => ("cannot see", "#1a73ad", "#ffffff"),
            (_, Severity::Weekly) => ("weekly", "#1a73ad", "#ffffff"),
            // Those of grants, see below.
            _ => ("grant", "#1a73ad", "#ffffff"),
        };
        let (badge, colour, ink) = badge_of_grant(notice.severity, over).unwrap_or((badge, colour, ink));
        let opened = self.day_and_time(notice.opened);
        let why = match notice.reason {
            Reason::Opened if notice.opened < self.as_of => {
                format!("the alert is open since {opened} and you have not been told yet")
            }
            Reason::Opened => match &notice.facts {
                Facts::Limit(facts) if is_foreseen(notice, facts) => {
                    "the alert has just opened, because the forecast says that the limit will run out".to_owned()
                }
                _ => "the alert has just opened".to_owned(),
            },
            Reason::Escalated { from } => {
                format!("it is worse than what you were last told ({}); open since {opened}", from.words())
            }
            Reason::Repeated { last_told } => {
                format!("a reminder: open since {opened}, last told {}", self.day_and_time(last_told))
            }
            Reason::Resolved(_) => format!("the alert that opened {opened} is over"),
        };
        Case {
            badge,
            colour,
            ink,
            title,
            sentence: String::new(),
            consequence: String::new(),
            bar: None,
            plot: None,
            people: None,
            week: None,
            rows: Vec::new(),
            problems: Vec::new(),
            steps: Vec::new(),
            why,
        }
    }
}

/// `is` after `1 GB`, and `are` after any other size.
fn are(size: &str) -> &'static str {
    if size.starts_with("1 ") { "is" } else { "are" }
}

/// Whose query it is, as far as the reader may know and somebody has looked.
fn whose(notice: &Notice, query: &InFlight) -> Option<String> {
    let Some(Shown::Everyone(shares)) = &notice.people else { return None };
    let is_theirs = |party: &&Party| party.in_flight.iter().any(|execution| execution.id == query.id);
    let party = shares.parties.iter().find(is_theirs)?;
    (!matches!(party.whose, Whose::Unrecorded(_))).then(|| clip(&party.whose.label(), LONGEST_LABEL))
}

/// Whether it is the forecast and not the use that asks for a warning.
fn is_foreseen(notice: &Notice, facts: &LimitFacts) -> bool {
    notice.severity == Severity::Warn
        && facts.foresight == Foresight::RunsOut
        && !facts.warn.reached(facts.used, facts.limit)
}

/// A workgroup's name for people. Athena's longest has 128 characters; what is longer is somebody's joke.
pub(super) fn name(workgroup: &str) -> String {
    clip(workgroup, 128)
}

/// Whether a workgroup in Athena can have this name.
pub(super) fn is_a_name(workgroup: &str) -> bool {
    Pattern::parse(workgroup).is_ok_and(|name| name.is_exact())
}

/// Whether Athena gives ids of this form; anything else is never put into a command.
pub(super) fn is_an_id(id: &str) -> bool {
    id.len() <= 128 && !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// For a title: one name, or how many there are.
fn short_list(names: &[&str]) -> String {
    match names {
        [one] => name(one),
        many => format!("{} workgroups", many.len()),
    }
}

/// For a sentence: the names, as far as people read them.
fn list(names: &[&str]) -> String {
    let shown = &names[..names.len().min(MOST_NAMES)];
    let mut shown: Vec<String> = shown.iter().map(|one| name(one)).collect();
    let last = match names.len() - shown.len() {
        0 => shown.pop().unwrap_or_default(),
        rest => format!("{rest} more"),
    };
    if shown.is_empty() { last } else { format!("{} and {last}", shown.join(", ")) }
}

/// Twenty characters wide: what is used, what is in flight, and what is left.
pub(super) fn ascii_bar(percent: u64, flying: u64) -> String {
    let filled = usize::try_from(percent.min(100) / 5).unwrap_or(20);
    let both = usize::try_from((percent + flying).min(100) / 5).unwrap_or(20).max(filled);
    format!("[{}{}{}]", "#".repeat(filled), "+".repeat(both - filled), ".".repeat(20 - both))
}

/// The words of [`look`] where it is clear which workgroup is meant.
const ITS: [&str; 2] = ["See its queries (choose this workgroup at the top right)", "Open the workgroup"];

/// Where a workgroup is looked at in the Athena console, in these words: its queries, and its settings. The console lists the queries of the
/// workgroup that is chosen in it, and no address is known that chooses one: the words have to say so.
pub(super) fn look(region: &str, workgroup: &str, [queries, settings]: [&'static str; 2]) -> Vec<Step> {
    let link = |words, page: &str| Step { words, command: console(region, page), kind: StepKind::Link };
    vec![link(queries, "query-editor/history"), link(settings, &format!("workgroups/details/{workgroup}"))]
}

/// A page of the Athena console of the Region's partition.
pub(super) fn console(region: &str, page: &str) -> String {
    format!("https://{region}.{}/athena/home?region={region}#/{page}", console_host(region))
}

/// The page at which a higher quota of active queries is asked for, of the Region's partition.
pub fn quota_link(region: &str, class: Class) -> String {
    let (host, code) = (console_host(region), class.quota_code());
    format!("https://{region}.{host}/servicequotas/home/services/athena/quotas/{code}")
}

/// The host of the console of the Region's partition, behind the Region.
fn console_host(region: &str) -> &'static str {
    match region.split_once('-').map(|(first, _)| first) {
        Some("cn") => "console.amazonaws.cn",
        _ if region.starts_with("us-gov-") => "console.amazonaws-us-gov.com",
        _ => "console.aws.amazon.com",
    }
}
