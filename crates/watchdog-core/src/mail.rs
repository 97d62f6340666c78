//! From a message to a mail: the words, the HTML and text forms, and the MIME that goes out.
//!
//! Everything that stands in a mail is text of ours or has gone through [`plain`] and the template's escaping: names
//! of workgroups, error codes and policy texts are other people's input.

mod people;
mod promises;
mod queries;
mod words;

use std::time::{Duration, SystemTime};

use askama::Template;
use jiff::Timestamp;
use lettre::message::header::{ContentTransferEncoding, ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, Message as Mime, MultiPart, SinglePart};

use self::words::{Case, MOST_NOTICES, StepKind, Words, plain};
use crate::delivery::{Message, Notice};
use crate::policy::{Address, MailRules};

/// `References` kept: enough for threads, and the header stays below a line's 998 characters when folded.
const MOST_REFERENCES: usize = 8;

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
    /// The sender.
    pub from: Address,
    /// Where answers go, when not to the sender.
    pub reply_to: Option<Address>,
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
    /// In one line each.
    rest: Vec<String>,
    /// How many are not even that.
    more: usize,
    as_of: String,
    to: String,
    origins: Origins,
}

/// Puts a person's message into words.
pub fn compose(message: &Message, mail: &MailRules, origins: &Origins, as_of: Timestamp) -> Mail {
    let words = Words { zone: &mail.zone, region: &origins.region, as_of };
    let (mut cases, all) = words.cases(&message.notices);
    let (badge, title) = cases.first().map_or(("", ""), |case| (case.badge, case.title.as_str()));
    let others = if all > 1 { format!(", and {} more", all - 1) } else { String::new() };
    let subject = format!("[{badge}] {title}{others}");
    let more = all - cases.len();
    let rest = cases.split_off(cases.len().min(MOST_NOTICES));
    let rest = rest.into_iter().map(|case| format!("[{}] {}", case.badge, case.title)).collect();
    let view = View {
        subject: subject.clone(),
        cases,
        rest,
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
        from: mail.sender.clone(),
        reply_to: mail.reply_to.clone(),
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
    pub fn mime(&self, date: Timestamp) -> Result<Vec<u8>, Unmailable> {
        let fail = |what: String| Unmailable { to: self.to.clone(), what };
        let mailbox = |name: Option<&str>, address: &Address| {
            let parsed = address.as_str().parse::<lettre::Address>().map_err(|e| fail(e.to_string()))?;
            Ok::<_, Unmailable>(Mailbox::new(name.map(str::to_owned), parsed))
        };
        let mut builder = Mime::builder()
            .from(mailbox(Some("Athena Quota Watchdog"), &self.from)?)
            .to(mailbox(None, &self.to)?)
            .subject(plain(&self.subject))
            .date(SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(date.as_second()).unwrap_or(0)))
            .header(AutoSubmitted);
        if let Some(reply_to) = &self.reply_to {
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
