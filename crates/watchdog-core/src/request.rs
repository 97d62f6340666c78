//! Requests to the function: a grant or a silence, asked for by somebody whose identity is proven.
//!
//! The event holds the request as *text*, so that there is no doubt what a signature is about, and the proof of who asks
//! ([`crate::proof`]). Deciding about it is here: who may, what the policy's caps are, what stands in the way. What is decided is a new record;
//! writing it down and carrying it out are the function's.

mod decide;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

pub use self::decide::{Change, Decision, Situation, decide, stands_in};
use crate::alert::Subject;
use crate::bytes::{BadSize, Size};
use crate::untrusted::plain;
use crate::window::duration;

/// Characters of a request's text. A reason has 300; the rest is names and numbers.
const LONGEST_TEXT: usize = 4_000;
/// Characters of a reason: what a person reads in a mail.
const LONGEST_REASON: usize = 300;

/// Bytes of a size: its number and its unit have a few dozen.
const LONGEST_SIZE: usize = 60;

/// An event with a request, nothing of it believed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The request's text, which the proof is about.
    pub text: String,
    /// A signed URL.
    pub proof: String,
}

/// What an event of this kind asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The list of grants and silences. Whoever may invoke the function may have it.
    List,
    /// A request.
    Signed(Signed),
}

/// A request, as its text says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The function that it is for: one stack's request is of no use at another.
    pub to: String,
    /// Its own name: a request that comes twice has one effect.
    pub id: String,
    /// Only say what would be done.
    pub dry_run: bool,
    /// What is wished.
    pub wish: Wish,
}

/// What is wished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// Raise a limit, a cutoff, or both.
    Grant {
        /// Of which workgroup.
        workgroup: String,
        /// Which limit; may be left out where there is one.
        window: Option<String>,
        /// What the limit is raised to.
        limit: Option<Size>,
        /// What the per-query cutoff is raised to.
        per_query: Option<Size>,
        /// For how long. More than zero.
        length: SignedDuration,
        /// From when on; at once where there is none.
        start: Option<Timestamp>,
        /// Why. Not empty.
        reason: String,
    },
    /// Approve a grant that waits for it.
    Approve {
        /// The grant's id.
        grant: String,
    },
    /// Have a grant end later: so long from now.
    Extend {
        /// The grant's id.
        grant: String,
        /// How long from now. More than zero.
        length: SignedDuration,
    },
    /// End a grant, or take back the request for one.
    Revoke {
        /// The grant's id, or the workgroup.
        grant: String,
    },
    /// Hold an alert's mails back.
    Silence {
        /// The alert.
        alert: Subject,
        /// For how long. More than zero.
        length: SignedDuration,
        /// Why. Not empty.
        reason: String,
    },
    /// End a silence.
    Unsilence {
        /// The alert.
        alert: Subject,
    },
}

/// Why a request is refused: a sentence for the person who asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

impl Event {
    /// Reads an event; `None` where it is of another kind.
    ///
    /// # Errors
    /// [`Refused`] where it is of this kind and not as it must be.
    pub fn parse(event: &Value) -> Option<Result<Self, Refused>> {
        let fields = event.as_object()?;
        if let Some(list) = fields.get("list") {
            return Some(match (list.as_str(), fields.len()) {
                (Some("promises"), 1) => Ok(Self::List),
                _ => Err(Refused("write `{\"list\": \"promises\"}` and nothing beside it".to_owned())),
            });
        }
        let request = fields.get("request")?;
        if let Some(other) = fields.keys().find(|key| !["request", "proof"].contains(&key.as_str())) {
            let message = format!("beside `request` and `proof` the event has the unknown field `{}`", clip(other));
            return Some(Err(Refused(message)));
        }
        let text = |name: &str, value: Option<&Value>| match value.and_then(Value::as_str) {
            Some(text) => Ok(text.to_owned()),
            None => Err(Refused(format!("the event's `{name}` must be a text, see `docs/grants.md`"))),
        };
        let signed = text("request", Some(request))
            .and_then(|request| Ok(Signed { text: request, proof: text("proof", fields.get("proof"))? }));
        Some(signed.map(Self::Signed))
    }
}

impl Request {
    /// Reads a request's text.
    ///
    /// # Errors
    /// [`Refused`], naming what is wrong and what would be right.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        if text.len() > LONGEST_TEXT {
            return Err(Refused(format!("the request has {} bytes: at most {LONGEST_TEXT}", text.len())));
        }
        let written: Written = serde_json::from_str(text)
            .map_err(|error| Refused(format!("the request cannot be read: {}", clip(&error.to_string()))))?;
        let id = identifier("id", &written.id)?;
        let Written { to, dry_run, grant, approve, extend, revoke, silence, unsilence, .. } = written;
        let mut wishes = [
            grant.map(WrittenGrant::read),
            approve.map(|WrittenName { grant }| Ok(Wish::Approve { grant: identifier("grant", &grant)? })),
            extend.map(|WrittenLonger { grant, length }| {
                Ok(Wish::Extend { grant: identifier("grant", &grant)?, length: how_long(&length)? })
            }),
            revoke.map(|WrittenName { grant }| Ok(Wish::Revoke { grant: name(&grant)? })),
            silence.map(|WrittenSilence { alert, length, reason }| {
                Ok(Wish::Silence { alert: limit_alert(&alert)?, length: how_long(&length)?, reason: why(&reason)? })
            }),
            unsilence.map(|WrittenAlert { alert }| Ok(Wish::Unsilence { alert: limit_alert(&alert)? })),
        ]
        .into_iter()
        .flatten();
        let one = "the request must have one of `grant`, `approve`, `extend`, `revoke`, `silence` and `unsilence`";
        let (Some(wish), None) = (wishes.next(), wishes.next()) else { return Err(Refused(one.to_owned())) };
        Ok(Self { to, id, dry_run, wish: wish? })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    to: String,
    id: String,
    #[serde(default)]
    dry_run: bool,
    grant: Option<WrittenGrant>,
    approve: Option<WrittenName>,
    extend: Option<WrittenLonger>,
    revoke: Option<WrittenName>,
    silence: Option<WrittenSilence>,
    unsilence: Option<WrittenAlert>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenGrant {
    workgroup: String,
    window: Option<String>,
    limit: Option<String>,
    per_query: Option<String>,
    #[serde(rename = "for")]
    length: String,
    start: Option<String>,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenName {
    grant: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenLonger {
    grant: String,
    #[serde(rename = "for")]
    length: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSilence {
    alert: String,
    #[serde(rename = "for")]
    length: String,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenAlert {
    alert: String,
}

impl WrittenGrant {
    fn read(self) -> Result<Wish, Refused> {
        let size = |what: &str, text: Option<String>| match text {
            Some(text) if text.len() > LONGEST_SIZE => {
                Err(Refused(format!("`{what}` has {} bytes: write a size such as `500 GB`", text.len())))
            }
            Some(text) => {
                let refused = |error: BadSize| Refused(format!("`{what}`: {}", plain(&error.to_string())));
                text.parse::<Size>().map(Some).map_err(refused)
            }
            None => Ok(None),
        };
        let limit = size("limit", self.limit)?;
        let per_query = size("per_query", self.per_query)?;
        if limit.is_none() && per_query.is_none() {
            return Err(Refused("a grant raises something: give a `limit`, a `per_query`, or both".to_owned()));
        }
        if self.window.is_some() && limit.is_none() {
            return Err(Refused("`window` says which limit is raised: give the `limit`, too".to_owned()));
        }
        let start = self.start.map(|text| {
            let bad =
                |_| Refused(format!("`start` is `{}`: write an instant such as `2026-03-01T14:00:00Z`", clip(&text)));
            text.parse::<Timestamp>().map_err(bad)
        });
        Ok(Wish::Grant {
            workgroup: name(&self.workgroup)?,
            window: self.window.as_deref().map(clip),
            limit,
            per_query,
            length: how_long(&self.length)?,
            start: start.transpose()?,
            reason: why(&self.reason)?,
        })
    }
}

fn why(text: &str) -> Result<String, Refused> {
    let reason = plain(text).split_whitespace().collect::<Vec<_>>().join(" ");
    match reason.chars().count() {
        0 => Err(Refused("there is no `reason`: say why, for whoever reads the mail".to_owned())),
        n if n > LONGEST_REASON => Err(Refused(format!("the `reason` has {n} characters: at most {LONGEST_REASON}"))),
        _ => Ok(reason),
    }
}

/// A length of time, before it is known what it is for.
fn how_long(text: &str) -> Result<SignedDuration, Refused> {
    match duration(text) {
        Some(length) if length > SignedDuration::ZERO => Ok(length),
        _ => Err(Refused(format!("`for` is `{}`: write a time with its unit, such as `3h` or `90 min`", clip(text)))),
    }
}

fn identifier(what: &str, text: &str) -> Result<String, Refused> {
    let fits = (4..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !fits {
        let message = format!("`{what}` is `{}`: it has 4 to 64 letters, digits and `-`", clip(text));
        return Err(Refused(message));
    }
    Ok(text.to_owned())
}

/// A workgroup's name, or an id: bounded here, and looked for later.
fn name(text: &str) -> Result<String, Refused> {
    let fits =
        (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if !fits {
        return Err(Refused(format!("`{}` is no workgroup's name and no grant's id", clip(text))));
    }
    Ok(text.to_owned())
}

/// `exploratory/1h`, or the alert's key with `limit/` before it.
fn limit_alert(text: &str) -> Result<Subject, Refused> {
    let whole = text.strip_prefix("limit/").unwrap_or(text);
    let subject = whole.split_once('/').filter(|(workgroup, window)| {
        name(workgroup).is_ok() && !window.is_empty() && window.len() <= 64 && *window == plain(window)
    });
    let Some((workgroup, window)) = subject else {
        let message = format!(
            "`{}` is no limit's alert: write the workgroup and the window, such as `exploratory/1h`; what cannot be seen is not \
             silenced, for nobody would know",
            clip(text)
        );
        return Err(Refused(message));
    };
    Ok(Subject::Limit { workgroup: workgroup.to_owned(), window: window.to_owned() })
}

fn clip(text: &str) -> String {
    plain(text).chars().take(160).collect()
}
