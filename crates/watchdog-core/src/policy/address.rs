//! Mail addresses that may stand in a header.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A mail address of plain ASCII, its domain in lower case. Order and equality are those of the text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Address(String);

impl TryFrom<String> for Address {
    type Error = BadAddress;

    /// What is remembered is read with the same care as what is typed.
    fn try_from(text: String) -> Result<Self, BadAddress> {
        Self::parse(&text)
    }
}

/// Why a text is not an address that mail can go to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// SES takes 7-bit ASCII only.
    #[error("`{0}` is not ASCII: SES takes no other; write the domain in Punycode (`xn--…`)")]
    NotAscii(String),
    /// Anything else.
    #[error("`{0}` is not a mail address: write it as `name@example.com`")]
    NotAnAddress(String),
}

impl Address {
    /// Reads an address.
    pub fn parse(text: &str) -> Result<Self, BadAddress> {
        if !text.is_ascii() {
            return Err(BadAddress::NotAscii(text.to_owned()));
        }
        let bad = || BadAddress::NotAnAddress(text.to_owned());
        let (local, domain) = text.rsplit_once('@').ok_or_else(bad)?;
        // Quoted local parts are legal and are how headers get broken: nobody's real address has one.
        let plain = |b: u8| b.is_ascii_graphic() && !b"\"(),:;<>[]\\@".contains(&b);
        let of_a_host = |b: u8| b.is_ascii_alphanumeric() || b"-.".contains(&b);
        // Mail programs read `=?utf-8?…?=` as something else.
        let is_local = local.bytes().all(plain) && !local.contains("=?");
        if text.len() > 254 || !domain.contains('.') || !domain.bytes().all(of_a_host) || !is_local {
            return Err(bad());
        }
        let address = format!("{local}@{}", domain.to_ascii_lowercase());
        address.parse::<lettre::Address>().map_err(|_| bad())?;
        Ok(Self(address))
    }

    /// The part after the `@`, in lower case.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
