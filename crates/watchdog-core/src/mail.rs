//! From a message to a mail: the words, the HTML and text forms, and the MIME that goes out.
//!
//! Everything that stands in a mail is text of ours or has gone through [`plain`] and the template's escaping: names
//! of workgroups, error codes and policy texts are other people's input.

use std::time::{Duration, SystemTime};

use askama::Template;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use lettre::message::header::{ContentTransferEncoding, ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, Message as Mime, MultiPart, SinglePart};

use crate::alert::{Ending, Reason, Severity};
use crate::delivery::{Facts, LimitFacts, Message, Notice};
use crate::percent::whole_percent;
use crate::policy::{Address, MailRules, Origin};
use crate::window::zone_name;

/// Notices spelled out in one mail. A person reads a handful; the rest are counted, and the whole stays far below
/// the size at which mail programs cut a message off (about 100 KB).
const MOST_NOTICES: usize = 25;
/// Names in a list of workgroups that share one trouble.
const MOST_NAMES: usize = 12;
/// Policy problems spelled out.
const MOST_PROBLEMS: usize = 20;
/// `References` kept: enough for threads, and the header stays below a line's 998 characters when folded.
const MOST_REFERENCES: usize = 8;
/// Characters of one text of other people's.
const LONGEST_TEXT: usize = 400;

/// Where the watchdog runs, for links and for the reader to know which one writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origins {
    /// The AWS Region, such as `eu-central-1`.
    pub region: String,
    /// The name of the function or stack, as it shall appear in the mail's footer.
    pub name: String,
}

/// A mail, ready to be looked at or to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The one recipient.
    pub to: Address,
    /// The subject, unencoded.
    pub subject: String,
    /// The text form.
    pub text: String,
    /// The HTML form.
    pub html: String,
    /// One id per story that this mail speaks of, for `References`.
    pub threads: Vec<String>,
}

/// Why a mail could not be put together. Not seen to happen; named so that nothing is swallowed.
#[derive(Debug, thiserror::Error)]
#[error("the mail to `{to}` could not be put together: {what}")]
pub struct Unmailable {
    to: Address,
    what: String,
}

#[derive(Template)]
#[template(path = "mail.html")]
struct Html<'a> {
    view: &'a View,
}

#[derive(Template)]
#[template(path = "mail.txt")]
struct Text<'a> {
    view: &'a View,
}

struct View {
    subject: String,
    cases: Vec<Case>,
    more: usize,
    as_of: String,
    to: String,
    origins: Origins,
}

struct Case {
    badge: &'static str,
    colour: &'static str,
    ink: &'static str,
    title: String,
    sentence: String,
    consequence: String,
    bar: Option<Bar>,
    rows: Vec<(&'static str, String)>,
    problems: Vec<String>,
    steps: Vec<Step>,
    why: String,
}

struct Bar {
    percent: u64,
    /// Of the bar's width, 0 to 100.
    filled: u64,
    text: String,
    used: String,
    left: String,
}

struct Step {
    words: &'static str,
    command: String,
    link: bool,
}

/// Puts a person's message into words.
pub fn compose(message: &Message, mail: &MailRules, origins: &Origins, as_of: Timestamp) -> Mail {
    let words = Words { zone: &mail.zone, region: &origins.region, as_of };
    let cases = words.cases(&message.notices);
    let first = cases.first().map_or("", |case| case.title.as_str());
    let subject = match message.notices.len() {
        0 | 1 => first.to_owned(),
        n if cases.len() == 1 => format!("{first} ({n} workgroups)"),
        n => format!("{first}, and {} more", n - 1),
    };
    let subject = format!("[{}] {subject}", cases.first().map_or("", |case| case.badge));
    let more = cases.len().saturating_sub(MOST_NOTICES);
    let view = View {
        subject: subject.clone(),
        cases: cases.into_iter().take(MOST_NOTICES).collect(),
        more,
        as_of: words.day_and_time(as_of),
        to: message.to.to_string(),
        origins: origins.clone(),
    };
    let mut threads: Vec<String> = Vec::new();
    for notice in message.notices.iter().take(MOST_REFERENCES) {
        threads.push(thread(notice, mail.sender.domain()));
    }
    Mail {
        to: message.to.clone(),
        subject,
        // A template fails only where a value's `Display` does; ours do not.
        text: Text { view: &view }.render().unwrap_or_else(|error| error.to_string()),
        html: Html { view: &view }.render().unwrap_or_else(|error| error.to_string()),
        threads,
    }
}

/// The id that all mails of one story refer to, so that mail programs show them as one conversation. No mail bears
/// it: SES gives each its own `Message-ID`.
fn thread(notice: &Notice, domain: &str) -> String {
    let key: String =
        notice.subject.to_string().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(180).collect();
    format!("<{key}.{}@{domain}>", notice.opened.as_second())
}

impl Mail {
    /// The mail as MIME, as `SendRawEmail` takes it and as an `.eml` file holds it.
    ///
    /// # Errors
    /// [`Unmailable`] where an address or header cannot be encoded.
    pub fn mime(&self, mail: &MailRules, date: Timestamp) -> Result<Vec<u8>, Unmailable> {
        let fail = |what: String| Unmailable { to: self.to.clone(), what };
        let mailbox = |name: Option<&str>, address: &Address| {
            let parsed = address.as_str().parse::<lettre::Address>().map_err(|e| fail(e.to_string()))?;
            Ok::<_, Unmailable>(Mailbox::new(name.map(str::to_owned), parsed))
        };
        let mut builder = Mime::builder()
            .from(mailbox(Some("Athena Quota Watchdog"), &mail.sender)?)
            .to(mailbox(None, &self.to)?)
            .subject(plain(&self.subject))
            .date(SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(date.as_second()).unwrap_or(0)))
            .header(AutoSubmitted);
        if let Some(reply_to) = &mail.reply_to {
            builder = builder.reply_to(mailbox(None, reply_to)?);
        }
        if let Some(first) = self.threads.first() {
            builder = builder.in_reply_to(first.clone()).references(self.threads.join(" "));
        }
        // Quoted-printable writes every `=` as `=3D`, so that no text can contain this boundary.
        let parts = MultiPart::alternative().boundary("=_athena_quota_watchdog");
        let part = |kind: ContentType, text: &str| {
            let body = Body::new_with_encoding(text.to_owned(), ContentTransferEncoding::QuotedPrintable)
                .map_err(|_| fail("its text cannot be encoded".to_owned()))?;
            Ok::<_, Unmailable>(SinglePart::builder().header(kind).body(body))
        };
        let parts = parts.singlepart(part(ContentType::TEXT_PLAIN, &self.text)?);
        let parts = parts.singlepart(part(ContentType::TEXT_HTML, &self.html)?);
        let message = builder.multipart(parts).map_err(|error| fail(error.to_string()))?;
        Ok(message.formatted())
    }
}

/// `Auto-Submitted: auto-generated` (RFC 3834): keeps out-of-office replies away.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }
    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }
    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// Other people's text on one line, without control characters, and bounded.
fn plain(text: &str) -> String {
    let mut out: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_TEXT).collect();
    if text.chars().nth(LONGEST_TEXT).is_some() {
        out.push('…');
    }
    out
}

struct Words<'a> {
    zone: &'a TimeZone,
    region: &'a str,
    as_of: Timestamp,
}

impl Words<'_> {
    /// `14:05 UTC`, or `15:05 Europe/Berlin (14:05 UTC)`.
    fn time(&self, at: Timestamp) -> String {
        self.format(at, "%H:%M")
    }

    /// With the day; for what is not from just now.
    fn day_and_time(&self, at: Timestamp) -> String {
        self.format(at, "%Y-%m-%d %H:%M")
    }

    fn format(&self, at: Timestamp, form: &str) -> String {
        let utc = format!("{} UTC", at.strftime("%H:%M"));
        let local = at.to_zoned_datetime(self.zone.clone()).strftime(form);
        match zone_name(self.zone) {
            "UTC" | "Etc/UTC" => format!("{local} UTC"),
            name => format!("{local} {name} ({utc})"),
        }
    }

    /// The notices as cases; those that cannot be seen for the same reason are one.
    fn cases(&self, notices: &[Notice]) -> Vec<Case> {
        let mut cases: Vec<Case> = Vec::new();
        let mut unseen: Vec<(&Notice, Vec<&str>)> = Vec::new();
        for notice in notices {
            match &notice.facts {
                Facts::Unseen { workgroup: Some(workgroup), why } => {
                    let same = unseen.iter_mut().find(|(n, _)| {
                        n.reason.word() == notice.reason.word()
                            && matches!(&n.facts, Facts::Unseen { why: other, .. } if other.word() == why.word())
                    });
                    match same {
                        Some((_, names)) => names.push(workgroup),
                        None => unseen.push((notice, vec![workgroup])),
                    }
                }
                _ => cases.push(self.case(notice)),
            }
        }
        // After what is as bad or worse: notices come the worst first.
        let groups = unseen.into_iter().map(|(notice, names)| self.unseen(notice, &names));
        let at = notices.iter().filter(|n| !matches!(n.facts, Facts::Unseen { workgroup: Some(_), .. }));
        let at =
            at.take_while(|n| n.severity > Severity::CannotSee && !matches!(n.reason, Reason::Resolved(_))).count();
        cases.splice(at..at, groups);
        cases
    }

    fn case(&self, notice: &Notice) -> Case {
        match &notice.facts {
            Facts::Limit(limit) => self.limit(notice, limit),
            Facts::Unseen { workgroup, why } => {
                let mut case = self.frame(notice, "the list of workgroups cannot be read".to_owned());
                debug_assert!(workgroup.is_none());
                case.sentence =
                    format!("The watchdog cannot list the account's workgroups: {}.", plain(&why.to_string()));
                case.consequence =
                    "Workgroups that it already knew are still watched; new ones are not seen until this is mended."
                        .to_owned();
                case.steps.extend(why.remedy("").map(|r| Step {
                    words: "To mend it",
                    command: plain(&r),
                    link: false,
                }));
                case
            }
            Facts::Policy { problems, in_force_since } => {
                let mut case = self.frame(notice, "the policy has problems".to_owned());
                case.sentence = "The policy in SSM cannot be used as it is.".to_owned();
                case.consequence = format!(
                    "The watchdog goes on with the last valid policy, in force since {}. Nothing of the new one holds yet.",
                    self.day_and_time(*in_force_since)
                );
                case.problems = problems.0.iter().take(MOST_PROBLEMS).map(|p| plain(&p.to_string())).collect();
                if let Some(rest) = problems.0.len().checked_sub(MOST_PROBLEMS).filter(|n| *n > 0) {
                    case.problems.push(format!("and {rest} more"));
                }
                case.steps.push(Step {
                    words: "Check a file before you store it",
                    command: "watchdog check FILE".into(),
                    link: false,
                });
                case
            }
            Facts::Over => {
                let mut case = self.frame(notice, self.over_title(notice));
                case.sentence = match notice.reason {
                    Reason::Resolved(Ending::NotWatched) => {
                        "It is no longer watched: the policy has changed, or the workgroup is gone.".to_owned()
                    }
                    _ => "What could not be seen can be seen again.".to_owned(),
                };
                case
            }
        }
    }

    fn over_title(&self, notice: &Notice) -> String {
        use crate::alert::Subject;
        match &notice.subject {
            Subject::Limit { workgroup, window } => {
                format!("{} ({}) is no longer watched", plain(workgroup), plain(window))
            }
            Subject::Sight { workgroup } => match notice.reason {
                Reason::Resolved(Ending::NotWatched) => format!("{} is no longer watched", plain(workgroup)),
                _ => format!("{} can be seen again", plain(workgroup)),
            },
            Subject::Listing => "the list of workgroups can be read again".to_owned(),
            Subject::Policy => "the policy is valid again".to_owned(),
        }
    }

    fn limit(&self, notice: &Notice, facts: &LimitFacts) -> Case {
        let percent = whole_percent(facts.used, facts.limit);
        let (used, limit) = (facts.used.human(facts.units), facts.limit.human(facts.units));
        let workgroup = plain(&facts.workgroup);
        let window = &facts.window_words;
        let mut case = self.frame(notice, format!("{workgroup}: {percent} % of {limit} used {window}"));
        case.sentence =
            format!("{workgroup} has used {percent} % of its {limit} {window} (as of {}).", self.time(self.as_of));
        let left = facts.limit.saturating_sub(facts.used).human(facts.units);
        let over = facts.used.saturating_sub(facts.limit).human(facts.units);
        case.consequence = match (notice.reason, notice.severity) {
            (Reason::Resolved(Ending::WindowEnded), _) => {
                "A new window has begun, and its use is back to normal.".to_owned()
            }
            (Reason::Resolved(_), _) => format!("That is below {}: the alert is over.", facts.resolves_below),
            (_, Severity::Exhausted) if facts.used >= facts.limit => {
                format!("The limit is gone, by {over}. Athena stops nothing at this limit by itself: queries go on.")
            }
            (_, Severity::Exhausted) => format!("The limit was gone and is close to it still: {left} are left."),
            _ => format!("{left} are left."),
        };
        case.bar = Some(Bar {
            percent,
            filled: percent.min(100),
            text: ascii_bar(percent),
            used: used.clone(),
            left: if facts.used >= facts.limit { format!("{over} over") } else { format!("{left} left") },
        });
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
                format!("{}; critical at {}; resolves below {}", facts.warn, facts.critical, facts.resolves_below),
            ),
        ];
        if !matches!(notice.reason, Reason::Resolved(_)) {
            let region = self.region;
            case.steps = vec![
                Step { words: "Open the workgroup", command: console_link(region, &workgroup), link: true },
                Step {
                    words: "List its newest queries",
                    command: format!(
                        "aws athena list-query-executions --region {region} --work-group {workgroup} --max-items 20"
                    ),
                    link: false,
                },
                Step {
                    words: "Stop one",
                    command: format!("aws athena stop-query-execution --region {region} --query-execution-id ID"),
                    link: false,
                },
            ];
        }
        case
    }

    fn unseen(&self, notice: &Notice, names: &[&str]) -> Case {
        let Facts::Unseen { why, .. } = &notice.facts else {
            return self.case(notice);
        };
        let why_text = plain(&why.to_string());
        let first = plain(names[0]);
        let mut case = self.frame(notice, format!("{first}: {why_text}"));
        let mut list = names.iter().take(MOST_NAMES).map(|n| plain(n)).collect::<Vec<_>>().join(", ");
        if names.len() > MOST_NAMES {
            list.push_str(&format!(" and {} more", names.len() - MOST_NAMES));
        }
        case.sentence = format!("The watchdog cannot see {list}: {why_text}.");
        case.consequence =
            "Its use is unknown, which is not the same as fine: a limit may be passed without a warning.".to_owned();
        case.steps.extend(why.remedy(&first).map(|r| Step { words: "To mend it", command: plain(&r), link: false }));
        case
    }

    fn frame(&self, notice: &Notice, title: String) -> Case {
        let over = matches!(notice.reason, Reason::Resolved(_));
        // Okabe and Ito's palette, which colour-blind people can tell apart; the badge's word says the same.
        let (badge, colour, ink) = match (over, notice.severity) {
            (true, _) => ("resolved", "#00664a", "#ffffff"),
            (_, Severity::Warn) => ("warn", "#e69f00", "#1c1c1c"),
            (_, Severity::Critical) => ("critical", "#b84a00", "#ffffff"),
            (_, Severity::Exhausted) => ("exhausted", "#4b1248", "#ffffff"),
            (_, Severity::CannotSee) => ("cannot see", "#0b5a8a", "#ffffff"),
        };
        let opened = self.day_and_time(notice.opened);
        let why = match notice.reason {
            Reason::Opened if notice.opened < self.as_of => {
                format!("the alert is open since {opened} and you have not been told yet")
            }
            Reason::Opened => "the alert has just opened".to_owned(),
            Reason::Escalated { from } => {
                format!("it is worse than what you were last told, `{}`; open since {opened}", from.words())
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
            rows: Vec::new(),
            problems: Vec::new(),
            steps: Vec::new(),
            why,
        }
    }
}

/// Twenty characters wide.
fn ascii_bar(percent: u64) -> String {
    let filled = usize::try_from(percent.min(100) / 5).unwrap_or(20);
    format!("[{}{}]", "#".repeat(filled), ".".repeat(20 - filled))
}

/// The workgroup's page in the Athena console of the Region's partition.
fn console_link(region: &str, workgroup: &str) -> String {
    let domain = match region.split_once('-').map(|(first, _)| first) {
        Some("cn") => "console.amazonaws.cn",
        _ if region.starts_with("us-gov-") => "console.amazonaws-us-gov.com",
        _ => "console.aws.amazon.com",
    };
    format!("https://{region}.{domain}/athena/home?region={region}#/workgroups/details/{workgroup}")
}
