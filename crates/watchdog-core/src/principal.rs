//! Who called AWS, as a value: what CloudTrail's `userIdentity` comes down to.
//!
//! A principal is no person. A session's name was chosen by whoever assumed the role, and proves nothing by itself; which person a
//! principal stands for is decided in [`crate::identity`].

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::untrusted::plain;

/// How the roles that IAM Identity Center makes are called. Nobody else can make one below its path.
const SSO_NAME: &str = "AWSReservedSSO_";
/// The path of those roles, where an ARN names its resource. AWS lets nobody else make one below it.
const SSO_PATH: &str = "role/aws-reserved/sso.amazonaws.com/";
/// Characters of a part of a key. IAM's names have at most 128; what is longer is not IAM's.
const LONGEST_PART: usize = 256;

/// Who called AWS. Its text form is the key that the policy maps to a person.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Principal {
    /// An IAM user.
    User {
        /// Its name, without the path.
        name: String,
    },
    /// A session of a role.
    Session {
        /// The role's name, without the path.
        role: String,
        /// The session's name: whatever the caller liked.
        session: String,
        /// Whether the role is one that IAM Identity Center made: then the session's name is the directory user's.
        #[serde(default)]
        by_identity_center: bool,
        /// Set when the first role of a chain was assumed, and the same ever since.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source_identity: Option<String>,
    },
    /// The account's root user.
    Root,
    /// A user of IAM Identity Center, without a role between.
    IdentityCenter {
        /// The identity store's id of them.
        user_id: String,
    },
    /// A session by `GetFederationToken`.
    Federated {
        /// The name that the caller gave it.
        name: String,
    },
    /// An AWS service by itself.
    Service {
        /// Such as `quicksight.amazonaws.com`.
        name: String,
    },
    /// Anything else, as CloudTrail calls it.
    Other {
        /// `AWSAccount`, `WebIdentityUser`, `SAMLUser`, `Directory`, `Unknown`, or what AWS adds later.
        kind: String,
        /// Its name, where it has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
}

/// A principal as the policy names it: one, or all sessions of a role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrincipalKey(String);

/// Why a text names no principal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` names no principal: write `user/NAME`, `role/NAME` for all sessions of a role or `role/NAME/SESSION` for one, \
     `service/NAME`, `identity-center/USER-ID`, `federated/NAME`, `root`, or the ARN of a user, role or session"
)]
pub struct BadPrincipal(String);

impl Principal {
    /// A session of a role, given the role's ARN where it is known.
    ///
    /// A role whose name looks like Identity Center's and which does not stand below its path was made by somebody else, for
    /// whatever purpose: it counts as an ordinary one.
    pub fn session(role: &str, role_arn: Option<&str>, session: &str, source_identity: Option<&str>) -> Self {
        Self::Session {
            role: bounded(role),
            session: bounded(session),
            by_identity_center: role.starts_with(SSO_NAME) && role_arn.is_some_and(is_of_identity_center),
            source_identity: source_identity.map(bounded),
        }
    }

    /// The principal that an ARN names; `None` for an ARN of something else.
    pub fn of_arn(arn: &str) -> Option<Self> {
        // arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE
        let mut parts = arn.splitn(6, ':');
        if parts.next() != Some("arn") {
            return None;
        }
        let resource = parts.nth(4)?;
        if resource == "root" {
            return Some(Self::Root);
        }
        let (kind, rest) = resource.split_once('/')?;
        match kind {
            "user" => Some(Self::User { name: bounded(rest.rsplit('/').next()?) }),
            "assumed-role" => {
                let (role, session) = rest.split_once('/')?;
                Some(Self::session(role, None, session, None))
            }
            "federated-user" => Some(Self::Federated { name: bounded(rest) }),
            _ => None,
        }
    }

    /// Whether a person may stand behind it at all.
    pub fn may_be_a_person(&self) -> bool {
        !matches!(self, Self::Service { .. })
    }

    /// The keys that the policy may map it by, the narrower first.
    pub fn keys(&self) -> Vec<PrincipalKey> {
        let mut keys = vec![PrincipalKey(self.to_string())];
        if let Self::Session { role, .. } = self {
            keys.push(PrincipalKey(format!("role/{role}")));
        }
        keys
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User { name } => write!(f, "user/{name}"),
            Self::Session { role, session, .. } => write!(f, "role/{role}/{session}"),
            Self::Root => f.write_str("root"),
            Self::IdentityCenter { user_id } => write!(f, "identity-center/{user_id}"),
            Self::Federated { name } => write!(f, "federated/{name}"),
            Self::Service { name } => write!(f, "service/{name}"),
            Self::Other { kind, name: Some(name) } => write!(f, "{kind}/{name}"),
            Self::Other { kind, name: None } => f.write_str(kind),
        }
    }
}

impl PrincipalKey {
    /// Reads a key or an ARN.
    ///
    /// # Errors
    /// [`BadPrincipal`].
    pub fn parse(text: &str) -> Result<Self, BadPrincipal> {
        let bad = || BadPrincipal(text.to_owned());
        if text.starts_with("arn:") {
            if let Some(principal) = Principal::of_arn(text) {
                return Ok(Self(principal.to_string()));
            }
            let resource = text.splitn(6, ':').nth(5).ok_or_else(bad)?;
            let role = resource.strip_prefix("role/").and_then(|path| path.rsplit('/').next()).ok_or_else(bad)?;
            return if role.is_empty() { Err(bad()) } else { Ok(Self(format!("role/{role}"))) };
        }
        if text == "root" {
            return Ok(Self(text.to_owned()));
        }
        let (kind, name) = text.split_once('/').ok_or_else(bad)?;
        let most_parts = match kind {
            "role" => 2,
            "user" | "service" | "identity-center" | "federated" => 1,
            "WebIdentityUser" | "SAMLUser" | "Directory" | "AWSAccount" => return Ok(Self(text.to_owned())),
            _ => return Err(bad()),
        };
        let parts: Vec<&str> = name.split('/').collect();
        if parts.len() > most_parts || parts.iter().any(|part| part.is_empty() || *part != plain(part)) {
            return Err(bad());
        }
        Ok(Self(text.to_owned()))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PrincipalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Other people's text as part of a key: one line, bounded.
pub(crate) fn bounded(text: &str) -> String {
    plain(text).chars().take(LONGEST_PART).collect()
}

/// Whether a role's ARN says that IAM Identity Center made it. The start of the resource and nothing else counts: a path that somebody chose
/// may hold any text, colons included.
fn is_of_identity_center(arn: &str) -> bool {
    arn.splitn(6, ':').nth(5).is_some_and(|resource| resource.starts_with(SSO_PATH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(arn: &str, expected: bool) {
        assert_eq!(is_of_identity_center(arn), expected, "{arn}");
    }

    #[test]
    fn only_the_path_that_aws_keeps_for_itself_is_identity_centers() {
        check("arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_A_0", true);
        check("arn:aws-cn:iam::123456789012:role/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_A_0", true);
        check("arn:aws:iam::123456789012:role/AWSReservedSSO_A_0", false);
        // A path of somebody's own may hold colons.
        check("arn:aws:iam::123456789012:role/x:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_A_0", false);
        check("arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com.example/AWSReservedSSO_A_0", false);
    }
}
