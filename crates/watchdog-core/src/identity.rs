//! Which person a principal stands for: a chain of proofs, the strongest first, that says which one it was, or why none held.
//!
//! 1. the policy maps the principal, or all sessions of its role, to an address;
//! 2. the session's name is an address, and the role is Identity Center's or one whose session names the policy trusts;
//! 3. the IAM user has a tag `email`;
//! 4. the source identity is an address, and the role is one whose source identities the policy trusts.
//!
//! An ordinary role's session was named by its caller: `ceo@corp.example` there is a word and no person. Whatever a proof says, only an
//! address in an allowed domain comes out.

use std::fmt;

use serde::Serialize;

use crate::policy::{Address, MailRules, Submitters};
use crate::principal::Principal;
use crate::untrusted::plain;
use crate::usage::Unknown;

/// The tag of an IAM user that holds their address; compared without case, as people write it.
pub const EMAIL_TAG: &str = "email";

/// Characters of other people's text in a reason.
const LONGEST_TEXT: usize = 100;

/// Which proof named a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The policy's mapping.
    Mapping,
    /// The session's name.
    SessionName,
    /// The IAM user's tag.
    EmailTag,
    /// The session's source identity.
    SourceIdentity,
}

/// A person, and how they were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// In an allowed domain.
    pub address: Address,
    /// The proof.
    pub step: Step,
}

/// Why a proof did not hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// A service is nobody.
    Service,
    /// The role's session names are chosen by whoever assumes it.
    OrdinaryRole,
    /// The role's session names count, and this one is no address.
    SessionIsNoAddress,
    /// The source identity is an address, and the policy does not trust it for this role.
    SourceIdentityNotTrusted,
    /// The source identity counts, and is no address.
    SourceIdentityIsNoAddress,
    /// The user has no such tag.
    NoTag,
    /// The tag is no address.
    TagIsNoAddress(String),
    /// The tags could not be read.
    TagsUnread(TagsUnread),
    /// The proof named somebody in a domain that mail never goes to.
    OutsideDomains(String),
    /// This kind of principal has nothing that could name a person: only the policy's mapping can.
    OnlyMapping,
}

/// Why tags were not read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum TagsUnread {
    /// More users than are asked for in one run.
    NotAsked,
    /// AWS did not say.
    Failed(String),
}

/// What is known of an IAM user's tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tag {
    /// Its value.
    Value(String),
    /// The user has none, or there is no such user any more.
    Absent,
    /// It could not be read.
    Unread(TagsUnread),
}

impl Tag {
    /// The tag of a user whose tags could not be read.
    pub fn unread(why: &Unknown) -> Self {
        Self::Unread(TagsUnread::Failed(why.to_string()))
    }
}

/// Names the person behind a principal; `tag` is that of an IAM user, and of no meaning otherwise.
///
/// # Errors
/// Why none of the proofs that apply held; never empty.
pub fn identify(
    principal: &Principal,
    tag: Option<&Tag>,
    rules: &Submitters,
    mail: &MailRules,
) -> Result<Named, Vec<Why>> {
    if let Some(address) = principal.keys().iter().find_map(|key| rules.people.get(key)) {
        // The policy's own addresses were checked when it was read.
        return Ok(Named { address: address.clone(), step: Step::Mapping });
    }
    let mut whys = Vec::new();
    let mut proof = |text: &str, step: Step, no_address: Why| {
        let Ok(address) = Address::parse(text.trim()) else {
            whys.push(no_address);
            return None;
        };
        if !mail.allowed_domains.iter().any(|domain| domain == address.domain()) {
            whys.push(Why::OutsideDomains(address.to_string()));
            return None;
        }
        Some(Named { address, step })
    };
    let named = match principal {
        Principal::Session { role, session, by_identity_center, source_identity } => {
            let mut named = None;
            let is_trusted = rules.trusted_roles.contains(role);
            if *by_identity_center || is_trusted {
                named = proof(session, Step::SessionName, Why::SessionIsNoAddress);
            }
            let source = source_identity.as_deref().filter(|_| named.is_none());
            if let Some(source) = source.filter(|_| rules.trusted_source_identity.contains(role)) {
                named = proof(source, Step::SourceIdentity, Why::SourceIdentityIsNoAddress);
            } else if source.is_some_and(|source| Address::parse(source).is_ok()) {
                whys.push(Why::SourceIdentityNotTrusted);
            }
            if named.is_none() && !*by_identity_center && !is_trusted {
                whys.insert(0, Why::OrdinaryRole);
            }
            named
        }
        Principal::User { .. } => match tag {
            Some(Tag::Value(text)) => proof(text, Step::EmailTag, Why::TagIsNoAddress(clip(text))),
            Some(Tag::Absent) => {
                whys.push(Why::NoTag);
                None
            }
            Some(Tag::Unread(why)) => {
                whys.push(Why::TagsUnread(why.clone()));
                None
            }
            None => {
                whys.push(Why::TagsUnread(TagsUnread::NotAsked));
                None
            }
        },
        Principal::Service { .. } => {
            whys.push(Why::Service);
            None
        }
        Principal::Root | Principal::IdentityCenter { .. } | Principal::Federated { .. } | Principal::Other { .. } => {
            whys.push(Why::OnlyMapping);
            None
        }
    };
    named.ok_or(whys)
}

impl Step {
    /// For people, to follow "known by".
    pub fn words(self) -> &'static str {
        match self {
            Self::Mapping => "the policy's mapping",
            Self::SessionName => "the session's name",
            Self::EmailTag => "the IAM user's tag",
            Self::SourceIdentity => "the source identity",
        }
    }
}

impl Why {
    /// The stable word, without other people's text: for reports and logs.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::OrdinaryRole => "ordinary_role",
            Self::SessionIsNoAddress => "session_is_no_address",
            Self::SourceIdentityNotTrusted => "source_identity_not_trusted",
            Self::SourceIdentityIsNoAddress => "source_identity_is_no_address",
            Self::NoTag => "no_tag",
            Self::TagIsNoAddress(_) => "tag_is_no_address",
            Self::TagsUnread(_) => "tags_unread",
            Self::OutsideDomains(_) => "outside_domains",
            Self::OnlyMapping => "only_mapping",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service => f.write_str("a service is no person"),
            Self::OrdinaryRole => {
                f.write_str("whoever assumes the role chooses the session's name, which proves nothing")
            }
            Self::SessionIsNoAddress => f.write_str("the session's name is no mail address"),
            Self::SourceIdentityNotTrusted => f.write_str("the policy does not trust the role's source identities"),
            Self::SourceIdentityIsNoAddress => f.write_str("the source identity is no mail address"),
            Self::NoTag => f.write_str("the IAM user has no tag `email`"),
            Self::TagIsNoAddress(text) => write!(f, "the IAM user's tag `email` is `{text}`, which is no mail address"),
            Self::TagsUnread(TagsUnread::NotAsked) => {
                f.write_str("no address known: the IAM user's tags were not looked at")
            }
            Self::TagsUnread(TagsUnread::Failed(why)) => write!(f, "the IAM user's tags could not be read: {why}"),
            Self::OutsideDomains(address) => write!(f, "`{}` is outside the allowed domains", clip(address)),
            Self::OnlyMapping => f.write_str("only the policy's mapping can name its person"),
        }
    }
}

/// Reasons in one sentence.
pub fn words(whys: &[Why]) -> String {
    whys.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn clip(text: &str) -> String {
    plain(text).chars().take(LONGEST_TEXT).collect()
}
