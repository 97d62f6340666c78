//! Grants and silences in words.

use super::words::{Case, Step, StepKind, Words, is_an_id, name, plain};
use crate::alert::{Reason, Severity};
use crate::bytes::{Bytes, Units};
use crate::delivery::{GrantFacts, LimitFacts, Notice};
use crate::grant::cutoff::Cutoff;
use crate::grant::{Amount, Asker, Phase};
use crate::policy::UnderGrant;
use crate::principal::Principal;
use crate::silence::Quiet;

impl Words<'_> {
    pub(super) fn grant(&self, notice: &Notice, facts: &GrantFacts) -> Case {
        let grant = &facts.grant;
        let workgroup = name(&grant.workgroup);
        let by = plain(&grant.by.to_string());
        let raised = raised(facts);
        let until = self.time(grant.until);
        let end = grant.end();
        let ended = matches!(notice.reason, Reason::Resolved(_));
        let (title, sentence, consequence) = if ended {
            let title = format!("{workgroup}: the grant has ended");
            let how = match (&grant.revoked, grant.has_been_in_force(end)) {
                (Some(act), true) => format!("was ended by {} at {}", short(&act.by), self.time(end)),
                (Some(act), false) => format!("was taken back by {} before it began", short(&act.by)),
                (None, true) => format!("ended at {}", self.time(end)),
                (None, false) => format!("was approved by nobody and lapsed at {}", self.time(end)),
            };
            (title, format!("The grant for {workgroup} {how}."), self.taken_back(facts))
        } else {
            match notice.severity {
                Severity::Asked => (
                    format!("{workgroup}: {raised}, if somebody approves"),
                    format!("{} asks for {raised} in {workgroup} until {until}.", short(&grant.by)),
                    "Somebody else has to approve it; nothing is raised before.".to_owned(),
                ),
                Severity::EndsSoon => (
                    format!("{workgroup}: the grant ends at {}", self.clock(grant.until)),
                    format!("The grant for {workgroup} ends at {until}; {} so far.", used_words(facts)),
                    "Then the usual limit holds again. Queries that still run keep running, and what they scan counts once \
                     they end."
                        .to_owned(),
                ),
                Severity::Amiss => self.amiss(facts, &workgroup),
                _ if facts.phase == Phase::Planned => (
                    format!("{workgroup}: {raised} from {}", self.clock(grant.from)),
                    format!(
                        "From {} until {} {workgroup} has {raised}.",
                        self.day_and_time(grant.from),
                        self.day_and_time(grant.until)
                    ),
                    "It begins and ends by itself.".to_owned(),
                ),
                _ => (
                    format!("{workgroup}: {raised} until {}", self.clock(grant.until)),
                    format!("{workgroup} has {raised} until {until}."),
                    "It ends by itself then. A CloudWatch alarm on the usual limit does not know of it, and may go off \
                     meanwhile."
                        .to_owned(),
                ),
            }
        };
        let mut case = self.frame(notice, title);
        case.sentence = sentence;
        case.consequence = consequence;
        case.rows = self.grant_rows(facts, &by);
        if !ended && facts.phase != Phase::Over {
            case.steps = steps(notice.severity, &grant.id, &self.place_options());
        }
        if facts.is_left_otherwise() || notice.severity == Severity::Amiss {
            case.steps.extend(mend(facts, self.region));
        }
        case.why = match (notice.reason, notice.severity) {
            (Reason::Resolved(_), _) => "everything that the grant raised has been looked at again".to_owned(),
            (Reason::Repeated { last_told }, _) => {
                format!("a reminder: it is still so; last told {}", self.day_and_time(last_told))
            }
            (_, Severity::Asked) => "a grant has been asked for".to_owned(),
            (_, Severity::EndsSoon) => "it is about to end".to_owned(),
            (_, Severity::Amiss) => "the cutoff is not as the grant says".to_owned(),
            _ => "a grant stands".to_owned(),
        };
        case
    }

    fn amiss(&self, facts: &GrantFacts, workgroup: &str) -> (String, String, String) {
        let over = facts.phase == Phase::Over;
        if let Some(trouble) = &facts.trouble {
            let what = if over { "taken back" } else { "raised" };
            return (
                format!("{workgroup}: the per-query cutoff could not be {what}"),
                format!("The per-query cutoff of {workgroup} could not be {what}: {}.", plain(trouble)),
                if over {
                    "The grant is over, and queries may still scan as much as it allowed. It is tried again in every run.".to_owned()
                } else {
                    "Queries beyond the usual cutoff are cancelled by Athena. It is tried again in every run."
                        .to_owned()
                },
            );
        }
        match facts.grant.cutoff {
            Cutoff::Left { before: Some(_), found } => (
                format!("{workgroup}: somebody has changed the per-query cutoff during the grant"),
                format!(
                    "Somebody has set the per-query cutoff of {workgroup} to {} during the grant.",
                    cutoff(found, facts)
                ),
                "It is left so, now and when the grant ends: what is not the watchdog's doing is not overwritten."
                    .to_owned(),
            ),
            Cutoff::Left { before: None, found } => (
                format!("{workgroup}: the per-query cutoff was raised already"),
                format!(
                    "The per-query cutoff of {workgroup} was {} when the grant began, which is as high already.",
                    cutoff(found, facts)
                ),
                "It is left so, now and when the grant ends.".to_owned(),
            ),
            _ => (
                format!("{workgroup}: there is no such workgroup any more"),
                format!("There is no workgroup {workgroup} any more, and so no cutoff to raise or to take back."),
                String::new(),
            ),
        }
    }

    /// What was used, and that everything is as it was before; or what is not.
    fn taken_back(&self, facts: &GrantFacts) -> String {
        let now = match facts.grant.cutoff {
            Cutoff::Restored { before } => {
                format!("The per-query cutoff is {} again, as before.", cutoff(before, facts))
            }
            Cutoff::Left { found, .. } if facts.is_left_otherwise() => format!(
                "The per-query cutoff is {}, as somebody has set it meanwhile: it was left so. Please look whether it is meant.",
                cutoff(found, facts)
            ),
            Cutoff::Left { found, .. } => format!("The per-query cutoff is {}, as before.", cutoff(found, facts)),
            Cutoff::Gone => "There is no such workgroup any more.".to_owned(),
            Cutoff::Untouched | Cutoff::Noted { .. } | Cutoff::Raised { .. } => String::new(),
        };
        let limit = facts.usual.filter(|_| facts.grant.limit.is_some());
        let limit = limit.map(|(usual, units)| {
            format!("The limit is {} again, and counts what is scanned from now on.", usual.human(units))
        });
        let mut parts: Vec<String> = Vec::new();
        if facts.grant.has_been_in_force(facts.grant.end()) {
            let used = used_words(facts);
            parts.push(format!("{}{}.", used[..1].to_uppercase(), &used[1..]));
        }
        parts.extend(limit);
        parts.extend((!now.is_empty()).then_some(now));
        parts.join(" ")
    }

    fn grant_rows(&self, facts: &GrantFacts, by: &str) -> Vec<(&'static str, String)> {
        let grant = &facts.grant;
        let mut rows =
            vec![("Grant", plain(&grant.id)), ("Asked for by", by.to_owned()), ("Reason", plain(&grant.reason))];
        if let Some(act) = &grant.approved {
            rows.push(("Approved by", plain(&act.by.to_string())));
        }
        if let Some(act) = &grant.extended {
            rows.push(("Extended by", plain(&act.by.to_string())));
        }
        if let Some(raise) = &grant.limit {
            let usual = facts.usual.map_or(String::new(), |(usual, units)| format!("; usually {}", usual.exact(units)));
            rows.push(("Limit", format!("{} for {}{usual}", exact(raise.to), plain(&raise.window))));
        }
        if let Some(amount) = grant.per_query {
            let before =
                grant.cutoff.before().map_or(String::new(), |b| format!("; before: {}", cutoff(b.cutoff, facts)));
            rows.push(("Per query", format!("{}{before}", exact(amount))));
        }
        rows.push(("From", self.day_and_time(grant.from)));
        rows.push(("Until", self.day_and_time(grant.end())));
        if let Some(used) = facts.used {
            rows.push(("Used", used.exact(units(facts))));
        }
        rows
    }

    /// What a mail about a limit says of the grant that the limit is under.
    pub(super) fn under_grant(&self, facts: &LimitFacts) -> Option<(&'static str, String)> {
        Some(match facts.grant.as_ref()? {
            UnderGrant::Raised { by, until, usual, .. } => (
                "Raised",
                format!("by {} until {}; usually {}", plain(by), self.day_and_time(*until), usual.human(facts.units)),
            ),
            UnderGrant::Ended { at } => ("Counted", format!("from {} on, when a grant ended", self.day_and_time(*at))),
        })
    }

    /// What a mail says of the silence that it comes after, or in spite of.
    pub(super) fn quiet(&self, quiet: &Quiet) -> (String, String) {
        let silence = &quiet.silence;
        let by = short(&silence.by);
        let sentence = match (quiet.in_force, quiet.with_alert, &silence.taken_back) {
            (true, ..) => format!(
                "This alert is silenced until {}, and this level is told all the same.",
                self.time(silence.end())
            ),
            (false, true, _) => "Its silence has ended with it.".to_owned(),
            (false, false, Some(act)) => {
                format!("The silence of this alert was ended by {} at {}.", short(&act.by), self.time(act.at))
            }
            (false, false, None) => format!("The silence of this alert ended at {}.", self.time(silence.end())),
        };
        let row = format!(
            "by {by}, from {} until {}: {}",
            self.day_and_time(silence.from),
            self.day_and_time(silence.end()),
            plain(&silence.reason)
        );
        (sentence, row)
    }
}

/// Who it is, in a sentence: somebody whom Identity Center has signed in by their name there, which nobody else can take; otherwise all of it.
fn short(asker: &Asker) -> String {
    match &asker.principal {
        Principal::Session { session, by_identity_center: true, .. } => plain(session),
        principal => plain(&principal.to_string()),
    }
}

/// `a 1h limit of 2 TiB and a per-query cutoff of 500 GiB`.
fn raised(facts: &GrantFacts) -> String {
    let limit = facts.grant.limit.as_ref().map(|raise| format!("a {} limit of {}", plain(&raise.window), raise.to));
    let cutoff = facts.grant.per_query.map(|amount| format!("a per-query cutoff of {amount}"));
    limit.into_iter().chain(cutoff).collect::<Vec<_>>().join(" and ")
}

fn units(facts: &GrantFacts) -> Units {
    let amount = facts.grant.limit.as_ref().map(|raise| raise.to).or(facts.grant.per_query);
    amount.map_or(Units::Decimal, |amount| amount.size().units)
}

fn exact(amount: Amount) -> String {
    amount.bytes.exact(amount.size().units)
}

fn cutoff(bytes: Option<Bytes>, facts: &GrantFacts) -> String {
    // What was set in decimal units reads as such: a cutoff of 10 GB is no 9.3 GiB to anybody.
    let units = if bytes.is_some_and(|bytes| bytes.get() % 1_000_000 == 0) { Units::Decimal } else { units(facts) };
    bytes.map_or_else(|| "none".to_owned(), |bytes| bytes.human(units))
}

fn used_words(facts: &GrantFacts) -> String {
    match facts.used {
        Some(used) => {
            let used = used.human(units(facts));
            format!("{used} {} scanned in it", if used.starts_with("1 ") { "was" } else { "were" })
        }
        None => "it is not known what was scanned in it".to_owned(),
    }
}

fn steps(severity: Severity, id: &str, stack: &str) -> Vec<Step> {
    // What is remembered may have been written by anybody who may write the table, and somebody will paste a command.
    if !is_an_id(id) {
        return Vec::new();
    }
    let command = |words, command: String| Step { words, command, kind: StepKind::Command };
    let revoke = command("End it now", format!("watchdog revoke {id}{stack} --write"));
    match severity {
        Severity::Asked => vec![
            command("Approve it", format!("watchdog grant --approve {id}{stack} --write")),
            command("Refuse it", format!("watchdog revoke {id}{stack} --write")),
        ],
        Severity::EndsSoon => {
            vec![command(
                "Make it last this long from now",
                format!("watchdog grant --extend {id} --for 1h{stack} --write"),
            )]
        }
        _ => vec![revoke],
    }
}

/// How somebody sets the cutoff to what it was.
fn mend(facts: &GrantFacts, region: &str) -> Option<Step> {
    let workgroup = &facts.grant.workgroup;
    let before = facts.grant.cutoff.before()?.cutoff;
    let update = match before {
        Some(bytes) => format!("BytesScannedCutoffPerQuery={}", bytes.get()),
        None => "RemoveBytesScannedCutoffPerQuery=true".to_owned(),
    };
    super::words::is_a_name(workgroup).then(|| Step {
        words: "Set the cutoff to what it was before",
        command: format!(
            "aws athena update-work-group --region {region} --work-group {workgroup} --configuration-updates {update}"
        ),
        kind: StepKind::Command,
    })
}

/// Badge, colour and ink of a grant's severity; the palette is that of the other badges.
pub(super) fn badge(severity: Severity, ended: bool) -> Option<(&'static str, &'static str, &'static str)> {
    Some(match severity {
        Severity::Asked | Severity::Granted | Severity::EndsSoon | Severity::Amiss if ended => {
            ("grant ended", "#00664a", "#ffffff")
        }
        Severity::Asked => ("approve?", "#0b5a8a", "#ffffff"),
        Severity::Granted => ("granted", "#0b5a8a", "#ffffff"),
        Severity::EndsSoon => ("ends soon", "#e69f00", "#1c1c1c"),
        Severity::Amiss => ("cutoff amiss", "#b84a00", "#ffffff"),
        _ => return None,
    })
}
