//! What stands around the news itself: several at a glance, commands to paste, and why somebody is told.

use jiff::SignedDuration;

use super::words::{Case, Step, StepKind, Words, is_a_name};
use crate::alert::{Reason, Severity, Subject};
use crate::bytes::{Bytes, Size};
use crate::delivery::{LimitFacts, Message, Notice, Shown};
use crate::percent::whole_percent;
use crate::policy::MailRules;

/// The stack's name where nobody has chosen one: the operator's tool takes it for granted.
const USUAL_STACK: &str = "athena-quota-watchdog";

/// One case in a line.
pub(super) struct Brief {
    pub badge: &'static str,
    pub colour: &'static str,
    pub ink: &'static str,
    pub title: String,
}

/// The table at the top, of as many as are spelled out below it; empty where there is only one case.
pub(super) fn briefs(cases: &[Case], spelled_out: usize) -> Vec<Brief> {
    if cases.len() < 2 {
        return Vec::new();
    }
    let brief =
        |case: &Case| Brief { badge: case.badge, colour: case.colour, ink: case.ink, title: case.title.clone() };
    cases.iter().take(spelled_out).map(brief).collect()
}

/// Why this person gets this mail, and how to get fewer; two sentences.
pub(super) fn why_you(message: &Message, mail: &MailRules) -> Vec<String> {
    let to = &message.to;
    let is_own = |notice: &Notice| matches!(notice.people, Some(Shown::Own(_)));
    let is_filling = |notice: &Notice| matches!(notice.people, Some(Shown::Filling(_)));
    if message.notices.iter().all(|notice| notice.severity == Severity::Weekly) {
        return vec![
            format!("You ({to}) get this because the policy names you, or the admins, for its weekly report."),
            "To get it no more: `to` and `weekly` in the policy's table `[report]` say who gets it, and when."
                .to_owned(),
        ];
    }
    let why = if mail.admins.contains(to) {
        "because you are one of the policy's admins"
    } else if message.notices.iter().any(is_own) {
        "because your queries are among those that use it up"
    } else if message.notices.iter().any(is_filling) {
        "because your queries are among those that are active"
    } else if message.notices.iter().all(|notice| matches!(notice.reason, Reason::Resolved(_))) {
        "because you were told when it began"
    } else {
        "because the policy names you for it, or you own the workgroup"
    };
    let is_open = message.notices.iter().any(|notice| !matches!(notice.reason, Reason::Resolved(_)));
    let less = if !is_open {
        "Nothing more comes of what is over."
    } else if message.notices.iter().all(|notice| matches!(notice.subject, Subject::Grant { .. })) {
        "Every grant is told to the admins, and to the workgroup's owner."
    } else if message.notices.iter().all(|notice| notice.severity == Severity::CannotSee) {
        "Admins are always told of this; `repeat_cannot_see_every` in the policy says how often again."
    } else if mail.admins.contains(to) {
        "To hear less: `audience`, `warn` and `repeat_every` in the policy say who is told, from when on, and how often again."
    } else {
        "To hear less, ask your admins: the policy says who is told, from when on, and how often again."
    };
    vec![format!("You ({to}) get this {why}."), less.to_owned()]
}

impl Words<'_> {
    /// What the operator's tool is told of the place: the Region, since that of whoever pastes the command may be another, and the stack,
    /// unless it is the one that the tool takes for granted.
    pub(super) fn place_options(&self) -> String {
        let option =
            |name: &str, value: &str| if is_a_name(value) { format!(" --{name} {value}") } else { String::new() };
        let stack = if self.stack == USUAL_STACK { "" } else { self.stack };
        option("region", self.region) + &option("stack", stack)
    }

    /// Commands that buy time, as far as the policy lets anybody have it; not for a submitter, who can ask.
    pub(super) fn advise(&self, case: &mut Case, notice: &Notice, facts: &LimitFacts) {
        let is_own = matches!(notice.people, Some(Shown::Own(_)));
        if is_own || matches!(notice.reason, Reason::Resolved(_)) || !is_a_name(&facts.workgroup) {
            return;
        }
        if notice.severity >= Severity::Critical && facts.grant.is_none() {
            case.steps.push(self.raise(facts));
        }
        let silenced = |(never, longest): &(Vec<&'static str>, SignedDuration)| {
            (!never.contains(&notice.severity.level().word())).then_some(*longest)
        };
        if let Some(longest) = facts.relief.silence.as_ref().and_then(silenced) {
            let (words, length) = match longest < AN_HOUR {
                true => ("Silence this alert for a while", whole_minutes(longest)),
                false => ("Silence this alert for an hour", "1h".to_owned()),
            };
            let (workgroup, window, place) = (&facts.workgroup, &facts.window, self.place_options());
            let command =
                format!("watchdog silence {workgroup}/{window} --for {length} --reason \"WHY\"{place} --write");
            case.steps.push(Step { words, command, kind: StepKind::Command });
        }
    }

    /// To half as much again, or to the most that the policy grants; or why not.
    fn raise(&self, facts: &LimitFacts) -> Step {
        let words = |text: String| Step { words: "Raise the limit", command: text, kind: StepKind::Words };
        let Some((highest, longest)) = facts.relief.raise else {
            let (workgroup, window) = (&facts.workgroup, &facts.window);
            return words(format!(
                "nobody may for a while (`[grants]` in the policy); for good, change the limit of `{workgroup}` for `{window}` there"
            ));
        };
        // A raise to less than is used by now would end nothing.
        let least = facts.limit.max(facts.used);
        if highest.bytes <= least {
            return words(format!("the policy's `[grants]` goes no further than {highest}, which would not help"));
        }
        let half_more = Bytes::new(least.get().saturating_add(least.get() / 2)).human(facts.units).replace(' ', "");
        // As it will be read: in a few figures it may be more than it is.
        let is_granted = half_more.parse::<Size>().is_ok_and(|size| size.bytes <= highest.bytes);
        let to = if is_granted { half_more } else { exactly(highest) };
        let (words, length) = match longest < AN_HOUR {
            true => ("Raise the limit for a while", whole_minutes(longest)),
            false => ("Raise the limit for an hour", "1h".to_owned()),
        };
        let (workgroup, window, place) = (&facts.workgroup, &facts.window, self.place_options());
        let command = format!(
            "watchdog grant {workgroup} --limit {to} --window {window} --for {length} --reason \"WHY\"{place} --write"
        );
        Step { words, command, kind: StepKind::Command }
    }
}

const AN_HOUR: SignedDuration = SignedDuration::from_hours(1);

/// As the operator's tool reads it: a policy's times are five minutes and more.
fn whole_minutes(length: SignedDuration) -> String {
    format!("{}m", length.as_mins())
}

/// To the byte, where the figures that people read are not that.
fn exactly(size: Size) -> String {
    let short = size.to_string().replace(' ', "");
    if short.parse() == Ok(size) { short } else { format!("{}B", size.bytes.get()) }
}

impl LimitFacts {
    /// What is in flight, as a share of the limit that fits beside what is used: 0 to 100.
    pub(super) fn flying_percent(&self) -> u64 {
        let used = whole_percent(self.used, self.limit).min(100);
        let flying = self.flying.1.map_or(0, |bytes| whole_percent(bytes, self.limit));
        flying.min(100 - used)
    }

    /// `60 GB in 2 queries that run`; empty where nothing is known to run.
    pub(super) fn flying_words(&self) -> String {
        let n = self.flying.0;
        let queries = if n == 1 { "1 query".to_owned() } else { format!("{n} queries") };
        match self.flying.1 {
            _ if n == 0 => String::new(),
            Some(bytes) if bytes > Bytes::ZERO => format!("{} in flight ({queries})", bytes.human(self.units)),
            _ if self.may_be_more => format!("at least {queries} in flight"),
            _ => format!("{queries} in flight"),
        }
    }
}
