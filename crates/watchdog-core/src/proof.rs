//! Who asks, proven: a request to AWS STS that the caller has signed, and the function makes.
//!
//! Lambda does not tell a function who invoked it, and what an event says of its sender is a claim. A signed `GetCallerIdentity` is not:
//! AWS checks the signature and answers with the signer's ARN. (HashiCorp Vault and the Kubernetes authenticator of AWS know people in this
//! way.) The signature covers a header with the hash of the request that it vouches for, so that it vouches for nothing else; and the function
//! itself says which host is asked, so that nobody's server can answer in the place of AWS.

use jiff::{SignedDuration, Timestamp};

use crate::untrusted::plain;

/// The header that the signature must cover, with the SHA-256 of the request's text in lower-case hexadecimal.
pub const HEADER: &str = "x-watchdog-request";
/// How long a proof may be good for: as long as a signed URL of STS.
pub const LONGEST: SignedDuration = SignedDuration::from_mins(15);
/// How far clocks may differ.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);
/// Characters of a URL. Session tokens are long; a Lambda event may be longer than anything that AWS takes.
const LONGEST_URL: usize = 8_192;
/// Everything that may stand in the query, by its exact name, and must: except for the last, which long-term credentials have not.
const NEEDED: [&str; 8] = [
    "Action",
    "Version",
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
];
const TOKEN: &str = "X-Amz-Security-Token";

/// A proof that is worth being shown to AWS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// What follows the host, from `/?` on.
    pub path_and_query: String,
}

/// Why a proof is none. It is never shown to AWS.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the proof of who asks is not good: {0}; sign a `GetCallerIdentity` anew, as `docs/grants.md` says")]
pub struct BadProof(String);

impl Proof {
    /// Reads a signed URL to `endpoint`, such as `https://sts.eu-central-1.amazonaws.com`.
    ///
    /// # Errors
    /// [`BadProof`] where it leads to another host, asks for anything else, has expired, or does not cover [`HEADER`].
    pub fn parse(url: &str, endpoint: &str, now: Timestamp) -> Result<Self, BadProof> {
        let bad = |why: &str| BadProof(why.to_owned());
        if url.len() > LONGEST_URL || !url.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(bad("it is no URL"));
        }
        let rest = url.strip_prefix(endpoint.trim_end_matches('/'));
        let Some(query) = rest.and_then(|rest| rest.strip_prefix("/?")) else {
            let shown: String = plain(url).chars().take_while(|c| *c != '?').take(80).collect();
            return Err(BadProof(format!("it leads to `{shown}`, and not to `{endpoint}/`")));
        };
        let mut found: Vec<(&str, &str)> = Vec::new();
        for part in query.split('&') {
            let (name, value) = part.split_once('=').ok_or_else(|| bad("it has a part without a value"))?;
            if !NEEDED.contains(&name) && name != TOKEN {
                let shown: String = plain(name).chars().take(40).collect();
                return Err(BadProof(format!("it has `{shown}`, which no such request has")));
            }
            if found.iter().any(|(known, _)| *known == name) {
                return Err(BadProof(format!("it has `{name}` twice")));
            }
            // The characters of an encoded value, and of those that need not be encoded.
            if value.is_empty() || !value.bytes().all(|b| b.is_ascii_alphanumeric() || b"%-_.~/+=:;".contains(&b)) {
                return Err(BadProof(format!("its `{name}` has characters that it cannot have")));
            }
            found.push((name, value));
        }
        let get = |name: &str| found.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        let needed = |name: &str| get(name).ok_or_else(|| BadProof(format!("it has no `{name}`")));
        let exactly = |name: &str, wanted: &str| match needed(name)? {
            value if value == wanted => Ok(()),
            _ => Err(BadProof(format!("its `{name}` is not `{wanted}`"))),
        };
        exactly("Action", "GetCallerIdentity")?;
        exactly("Version", "2011-06-15")?;
        exactly("X-Amz-Algorithm", "AWS4-HMAC-SHA256")?;
        needed("X-Amz-Credential")?;
        needed("X-Amz-Signature")?;
        let headers = needed("X-Amz-SignedHeaders")?.replace("%3B", ";").replace("%3b", ";");
        if !headers.split(';').any(|header| header == HEADER) {
            return Err(BadProof(format!("its signature does not cover the header `{HEADER}`")));
        }
        let signed = needed("X-Amz-Date")?;
        let signed = instant(signed).ok_or_else(|| bad("its `X-Amz-Date` is no time"))?;
        let expires: i64 = needed("X-Amz-Expires")?.parse().map_err(|_| bad("its `X-Amz-Expires` is no number"))?;
        // Our own bounds: an emulated or older STS may have others.
        if now.duration_since(signed) > LONGEST || now.duration_since(signed).as_secs() > expires {
            return Err(BadProof(format!("it was signed at {signed} and has expired")));
        }
        if signed.duration_since(now) > AHEAD {
            return Err(BadProof(format!("it was signed at {signed}, which is yet to come")));
        }
        Ok(Self { path_and_query: format!("/?{query}") })
    }
}

/// `20260301T140500Z`.
fn instant(text: &str) -> Option<Timestamp> {
    let digits =
        |range: std::ops::Range<usize>| text.get(range).filter(|part| part.bytes().all(|b| b.is_ascii_digit()));
    if text.len() != 16 || text.get(8..9) != Some("T") || text.get(15..) != Some("Z") {
        return None;
    }
    let (date, time) = (digits(0..8)?, digits(9..15)?);
    let form = format!("{}-{}-{}T{}:{}:{}Z", &date[..4], &date[4..6], &date[6..], &time[..2], &time[2..4], &time[4..]);
    form.parse().ok()
}

/// The account and ARN in STS's answer; `None` where it is no answer of STS.
pub fn identity(answer: &str) -> Option<(String, String)> {
    let between = |name: &str| {
        let (_, rest) = answer.split_once(&format!("<{name}>"))?;
        let (value, rest) = rest.split_once(&format!("</{name}>"))?;
        // Once: an answer that says two things says nothing. Neither value can hold a character that XML would escape.
        let once = !rest.contains(&format!("<{name}>"));
        (once && !value.contains(['<', '&'])).then(|| value.to_owned())
    };
    Some((between("Account")?, between("Arn")?))
}
