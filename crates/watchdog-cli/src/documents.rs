//! Policy documents from files, directories and standard input.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use watchdog_core::policy::{Document, POLICY_MAX_BYTES};

use crate::exit::Failure;

/// How standard input is called in messages.
const STDIN: &str = "<stdin>";

/// Reads documents: each path is a file, a directory (all its `*.toml`), or `-` for standard input.
///
/// # Errors
/// [`Failure`] for the first that cannot be read.
pub fn read(paths: &[PathBuf]) -> Result<Vec<Document>, Failure> {
    let mut documents = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            documents.push(document(STDIN, io::stdin().lock())?);
        } else if path.is_dir() {
            for file in toml_files(path)? {
                documents.push(open(&file)?);
            }
        } else {
            documents.push(open(path)?);
        }
    }
    Ok(documents)
}

/// Not those of subdirectories: as with SSM parameters, what is below is somebody else's.
fn toml_files(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = |error| cannot_read(&directory.display().to_string(), &error);
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") && path.is_file() {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(Failure::usage(format!("`{}` has no file that ends in `.toml`", directory.display())));
    }
    files.sort();
    Ok(files)
}

fn open(path: &Path) -> Result<Document, Failure> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|error| cannot_read(&name, &error))?;
    document(&name, file)
}

fn document(name: &str, from: impl Read) -> Result<Document, Failure> {
    let mut bytes = Vec::new();
    // One byte more than is allowed, to know that there is more: a device or a log given by mistake may never end.
    let bound = u64::try_from(POLICY_MAX_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    from.take(bound).read_to_end(&mut bytes).map_err(|error| cannot_read(name, &error))?;
    if bytes.len() > POLICY_MAX_BYTES {
        return Err(Failure::usage(format!("`{name}` has more than {POLICY_MAX_BYTES} bytes: that is no policy")));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Failure::usage(format!("`{name}` is not UTF-8 text, from byte {at} on: a policy is TOML"))
    })?;
    Ok(Document { name: name.to_owned(), text })
}

fn cannot_read(name: &str, error: &io::Error) -> Failure {
    Failure::usage(format!("`{name}` cannot be read: {error}"))
}
