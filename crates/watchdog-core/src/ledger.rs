//! What is remembered between runs, as it is written down.
//!
//! Every body carries its version. One that cannot be read (newer, or broken) is never a reason to stay silent: the
//! caller goes on as if nothing were remembered, which can repeat a mail and never loses one.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::alert::Record;
use crate::grant::Book;
use crate::policy::Document;
use crate::principal::Principal;
use crate::silence::Silence;
use crate::untrusted::plain;

/// The version that this code writes, and the newest that it reads.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    v: u32,
    #[serde(flatten)]
    body: T,
}

/// The last policy that had no problems.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredPolicy {
    /// Its documents.
    pub documents: Vec<Document>,
    /// When it was first read.
    pub since: Timestamp,
}

/// Why a remembered item cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Written by a later version of the watchdog.
    #[error("it has version {0}, and this watchdog reads up to {VERSION}")]
    Newer(u32),
    /// Not what it should be.
    #[error("it is broken: {0}")]
    Broken(String),
}

/// Writes an alert's record.
pub fn encode_record(record: &Record) -> String {
    encode(record)
}

/// Reads an alert's record.
///
/// # Errors
/// [`Unreadable`].
pub fn decode_record(body: &str) -> Result<Record, Unreadable> {
    decode(body)
}

/// Writes the last valid policy.
pub fn encode_policy(policy: &StoredPolicy) -> String {
    encode(policy)
}

/// Reads the last valid policy.
///
/// # Errors
/// [`Unreadable`].
pub fn decode_policy(body: &str) -> Result<StoredPolicy, Unreadable> {
    decode(body)
}

/// Writes the grants of a workgroup.
pub fn encode_grants(book: &Book) -> String {
    encode(book)
}

/// Reads the grants of a workgroup.
///
/// # Errors
/// [`Unreadable`]. Unlike an alert's record, one that cannot be read must not be written over: the cutoff to be restored is in it.
pub fn decode_grants(body: &str) -> Result<Book, Unreadable> {
    decode(body)
}

/// Writes a silence.
pub fn encode_silence(silence: &Silence) -> String {
    encode(silence)
}

/// Reads a silence.
///
/// # Errors
/// [`Unreadable`].
pub fn decode_silence(body: &str) -> Result<Silence, Unreadable> {
    decode(body)
}

/// Writes who submitted a query.
pub fn encode_principal(principal: &Principal) -> String {
    encode(StoredPrincipal { principal: principal.clone() })
}

/// Reads who submitted a query.
///
/// # Errors
/// [`Unreadable`].
pub fn decode_principal(body: &str) -> Result<Principal, Unreadable> {
    decode(body).map(|StoredPrincipal { principal }| principal)
}

#[derive(Serialize, Deserialize)]
struct StoredPrincipal {
    principal: Principal,
}

fn encode<T: Serialize>(body: T) -> String {
    // Maps with text keys and plain values: nothing in them that JSON could refuse.
    serde_json::to_string(&Versioned { v: VERSION, body }).unwrap_or_default()
}

fn decode<T: for<'de> Deserialize<'de>>(body: &str) -> Result<T, Unreadable> {
    #[derive(Deserialize)]
    struct VersionOnly {
        v: u32,
    }
    let broken = |error: serde_json::Error| Unreadable::Broken(clip(&error.to_string()));
    let VersionOnly { v } = serde_json::from_str(body).map_err(broken)?;
    if v > VERSION {
        return Err(Unreadable::Newer(v));
    }
    let Versioned { body, .. } = serde_json::from_str::<Versioned<T>>(body).map_err(broken)?;
    Ok(body)
}

/// What is wrong with an item may quote it, which has up to 400 KB; a line of the log has 256 at most.
fn clip(text: &str) -> String {
    plain(text).chars().take(200).collect()
}
