//! From a message to a mail: the words, the HTML and text forms, and the MIME that goes out.
//!
//! Everything that stands in a mail is text of ours or has gone through [`plain`] and the template's escaping: names
//! of workgroups, error codes and policy texts are other people's input.

mod advice;
pub mod filters;
mod history;
mod people;
mod picture;
mod promises;
mod queries;
mod raster;
mod weekly;
mod words;

use std::time::{Duration, SystemTime};

use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use lettre::message::header::{ContentTransferEncoding, ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Attachment, Body, Mailbox, Message as Mime, MultiPart, SinglePart};

use self::advice::{Brief, briefs, why_you};
pub use self::words::quota_link;
use self::words::{Case, MOST_LINES, MOST_NOTICES, StepKind, Words, plain};
use crate::delivery::{Message, Notice};
use crate::policy::{Address, MailRules};

/// `References` kept: enough for threads, and the header stays below a line's 998 characters when folded.
const MOST_REFERENCES: usize = 8;

/// Pictures in one mail: the first is what somebody looks at; at up to 6 KB each on the wire, all of them leave room for the words.
const MOST_PICTURES: usize = 4;

/// Bytes of a mail as it goes out, pictures included. At about 100 KB mail programs cut a message off.
const MOST_ON_THE_WIRE: usize = 96_000;

/// Alerts that are spelled out and those that have a line, from what is usual down to what fits whatever is in it.
const ROOMS: [(usize, usize); 8] = [
    (MOST_NOTICES, MOST_LINES),
    (5, MOST_LINES),
    (4, MOST_LINES),
    (3, MOST_LINES),
    (2, MOST_LINES),
    (1, MOST_LINES),
    (1, 12),
    (1, 0),
];

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
    /// The HTML form. It names its pictures by `cid:`, as parts of the same mail.
    pub html: String,
    /// The pictures.
    pub pictures: Vec<Picture>,
    /// One id per story that this mail speaks of, for `References`.
    pub threads: Vec<String>,
}

/// A picture in a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// The name by which the HTML form calls it.
    pub cid: String,
    /// The picture itself.
    pub png: Vec<u8>,
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

impl View {
    /// The level of a case's heading: below that of the table of all, where there is one.
    fn level(&self) -> u8 {
        if self.briefs.is_empty() { 1 } else { 2 }
    }
}

struct View {
    subject: String,
    /// What a mail program shows beside the subject, before the mail is opened.
    preheader: String,
    /// All cases in a line each, where there are several.
    briefs: Vec<Brief>,
    cases: Vec<Case>,
    /// In one line each.
    rest: Vec<String>,
    /// How many are not even that.
    more: usize,
    as_of: String,
    /// Why this person gets it, and how to get less; the last with no word of anybody else.
    why_you: Vec<String>,
    origins: Origins,
}

/// Puts a person's message into words. Where other people's texts are so long that it would not stay below [`MOST_ON_THE_WIRE`], fewer alerts
/// are spelled out, and the rest have a line each, or are counted.
pub fn compose(message: &Message, mail: &MailRules, origins: &Origins, as_of: Timestamp) -> Mail {
    let mut composed = composed(message, mail, origins, as_of, ROOMS[0]);
    for room in &ROOMS[1..] {
        if composed.weight() <= MOST_ON_THE_WIRE {
            break;
        }
        composed = self::composed(message, mail, origins, as_of, *room);
    }
    composed
}

fn composed(
    message: &Message,
    mail: &MailRules,
    origins: &Origins,
    as_of: Timestamp,
    (most_cases, most_lines): (usize, usize),
) -> Mail {
    let words = Words { zone: &mail.zone, region: &origins.region, as_of, stack: &origins.name };
    let (mut cases, all) = words.cases(&message.notices);
    let (badge, title) = cases.first().map_or(("", ""), |case| (case.badge, case.title.as_str()));
    let others = if all > 1 { format!(", and {} more", all - 1) } else { String::new() };
    let subject = plain(&format!("[{badge}] {title}{others}"));
    cases.truncate(most_cases + most_lines);
    let more = all - cases.len();
    let briefs = briefs(&cases, most_cases);
    let rest = cases.split_off(cases.len().min(most_cases));
    let rest = rest.into_iter().map(|case| format!("[{}] {}", case.badge, case.title)).collect();
    let mut pictures = Vec::new();
    for case in &mut cases {
        let weeks = case.week.iter_mut().flat_map(|week| &mut week.limits).map(|limit| &mut limit.plot);
        for place in std::iter::once(&mut case.plot).chain(weeks) {
            let Some(plot) = place else { continue };
            if pictures.len() == MOST_PICTURES {
                *place = None;
                continue;
            }
            plot.cid = format!("picture-{}@{}", pictures.len() + 1, mail.sender.domain());
            pictures.push(Picture { cid: plot.cid.clone(), png: std::mem::take(&mut plot.png) });
        }
    }
    let preheader = cases.first().map_or(String::new(), |case| format!("{} {}", case.sentence, case.consequence));
    let view = View {
        subject: subject.clone(),
        preheader,
        briefs,
        cases,
        rest,
        more,
        as_of: words.day_and_time(as_of),
        why_you: why_you(message, mail),
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
        pictures,
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

/// Whether a text is shorter in quoted-printable, as nearly every one is, or in base64, as one of emoji is; and how long it then is.
fn encoding(text: &str) -> (ContentTransferEncoding, usize) {
    let escaped = text.bytes().filter(|b| !matches!(b, b'\n' | b' '..=b'~') || *b == b'=').count();
    // A line of at most 76 characters loses one or three to its end.
    let quoted = (text.len() + 2 * escaped) * 79 / 75;
    let base64 = text.len().div_ceil(3) * 4 * 78 / 76;
    if base64 < quoted {
        (ContentTransferEncoding::Base64, base64)
    } else {
        (ContentTransferEncoding::QuotedPrintable, quoted)
    }
}

impl Mail {
    /// About how many bytes it has on its way, and rather more than less.
    fn weight(&self) -> usize {
        let pictures = self.pictures.iter().map(|picture| picture.png.len().div_ceil(3) * 4 * 78 / 76 + 300);
        let texts = [&self.text, &self.html].map(|text| encoding(text).1);
        texts.iter().sum::<usize>() + pictures.sum::<usize>() + 3_000
    }

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
            .header(Subject(plain(&self.subject)))
            .date(SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(date.as_second()).unwrap_or(0)))
            .header(AutoSubmitted);
        if let Some(reply_to) = &self.reply_to {
            builder = builder.reply_to(mailbox(None, reply_to)?);
        }
        if let Some(first) = self.threads.first() {
            builder = builder.in_reply_to(first.clone()).references(self.threads.join(" "));
        }
        // Quoted-printable writes every `=` as `=3D` and base64 has no `_`, so that no text can contain this boundary.
        let parts = MultiPart::alternative().boundary("=_athena_quota_watchdog");
        let part = |kind: ContentType, text: &str| {
            let body = Body::new_with_encoding(text.to_owned(), encoding(text).0)
                .map_err(|_| fail("its text cannot be encoded".to_owned()))?;
            Ok::<_, Unmailable>(SinglePart::builder().header(kind).body(body))
        };
        let parts = parts.singlepart(part(ContentType::TEXT_PLAIN, &self.text)?);
        let html = part(ContentType::TEXT_HTML, &self.html)?;
        let parts =
            if self.pictures.is_empty() { parts.singlepart(html) } else { parts.multipart(self.related(html)?) };
        let message = builder.multipart(parts).map_err(|error| fail(error.to_string()))?;
        Ok(message.formatted())
    }
}

impl Mail {
    /// The HTML form and its pictures, as one part.
    fn related(&self, html: SinglePart) -> Result<MultiPart, Unmailable> {
        let fail = |what: String| Unmailable { to: self.to.clone(), what };
        // The same holds as for the other boundary.
        let mut parts = MultiPart::related().boundary("=_athena_quota_watchdog_pictures").singlepart(html);
        let kind = ContentType::parse("image/png").map_err(|error| fail(error.to_string()))?;
        for picture in &self.pictures {
            parts =
                parts.singlepart(Attachment::new_inline(picture.cid.clone()).body(picture.png.clone(), kind.clone()));
        }
        Ok(parts)
    }

    /// The HTML form as a page of its own: its pictures are inside, for a browser that knows of no mail.
    pub fn page(&self) -> String {
        self.pictures.iter().fold(self.html.clone(), |html, picture| {
            let data = format!("data:image/png;base64,{}", STANDARD.encode(&picture.png));
            html.replace(&format!("cid:{}", picture.cid), &data)
        })
    }
}

/// The subject. Programs that read mail decode what looks like an encoded word (RFC 2047), whoever wrote it: a subject in which other people's
/// text looks so is encoded as a whole, and comes out as it went in.
#[derive(Clone)]
struct Subject(String);

/// Bytes of a text in one encoded word: in base64 and with what stands around it, 72 of the 75 characters that there may be.
const ENCODED_WORD: usize = 45;

impl Subject {
    /// In encoded words that each hold whole characters, a line each.
    fn encoded(&self) -> String {
        let mut words: Vec<String> = vec![String::new()];
        for c in self.0.chars() {
            match words.last_mut() {
                Some(last) if last.len() + c.len_utf8() <= ENCODED_WORD => last.push(c),
                _ => words.push(c.to_string()),
            }
        }
        let words = words.iter().map(|word| format!("=?utf-8?b?{}?=", STANDARD.encode(word)));
        words.collect::<Vec<_>>().join("\r\n ")
    }
}

impl Header for Subject {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Subject")
    }
    fn parse(subject: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self(subject.to_owned()))
    }
    fn display(&self) -> HeaderValue {
        if self.0.contains("=?") {
            HeaderValue::dangerous_new_pre_encoded(Self::name(), self.0.clone(), self.encoded())
        } else {
            HeaderValue::new(Self::name(), self.0.clone())
        }
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
