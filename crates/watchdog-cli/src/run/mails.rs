//! Mails as files: `.eml` for a mail program, `.html` for a browser.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use watchdog_core::mail::Mail;

use crate::exit::Failure;

/// Writes each mail twice, numbered in the order in which they would be sent. Returns the files.
///
/// # Errors
/// [`Failure`] for the first that cannot be written.
pub fn write(directory: &Path, mails: &[Mail], as_of: Timestamp) -> Result<Vec<PathBuf>, Failure> {
    let cannot =
        |path: &Path, error: std::io::Error| Failure::usage(format!("`{}` cannot be written: {error}", path.display()));
    fs::create_dir_all(directory).map_err(|error| cannot(directory, error))?;
    let mut written = Vec::new();
    for (i, mail) in mails.iter().enumerate() {
        let mime = mail.mime(as_of).map_err(|error| Failure::usage(error.to_string()))?;
        let stem = format!("{:02}-{}", i + 1, file_name(mail.to.as_str()));
        for (extension, content) in [("eml", mime.as_slice()), ("html", mail.page().as_bytes())] {
            let path = directory.join(format!("{stem}.{extension}"));
            fs::write(&path, content).map_err(|error| cannot(&path, error))?;
            written.push(path);
        }
    }
    Ok(written)
}

/// An address may hold a `/`, and more than a file's name may be long.
pub fn file_name(address: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "@.-_+".contains(c) { c } else { '_' };
    address.chars().map(plain).take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_stays_one_file() {
        assert_eq!(file_name("ops+aqw@example.com"), "ops+aqw@example.com");
        assert_eq!(file_name("../../etc/passwd@example.com"), ".._.._etc_passwd@example.com");
    }
}
