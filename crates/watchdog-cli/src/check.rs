//! `watchdog check`: is a policy valid, and what does it mean?

mod meaning;

use serde::Serialize;
use watchdog_core::policy::{Document, Policy, Problem, json_schema_text};

use crate::args::CheckArgs;
use crate::exit::{Exit, Failure};
use crate::{documents, out};

/// What a Standard-tier SSM parameter holds. More is possible and costs money, so it is said.
const STANDARD_TIER_BYTES: usize = 4_096;

/// The answer of `check --json`.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    valid: bool,
    documents: Vec<DocumentAnswer<'a>>,
    problems: Vec<ProblemAnswer<'a>>,
    /// What the policy means; `null` where it has problems.
    policy: Option<meaning::PolicyMeaning>,
}

#[derive(Debug, Serialize)]
struct DocumentAnswer<'a> {
    name: &'a str,
    bytes: usize,
}

/// A problem with its place taken apart, for editors and scripts. A place of `null` means that something is missing
/// from the whole.
#[derive(Debug, Serialize)]
struct ProblemAnswer<'a> {
    document: Option<&'a str>,
    line: Option<usize>,
    column: Option<usize>,
    message: &'a str,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] where a document cannot be read. Problems in one are an answer, with [`Exit::Usage`].
pub fn check(args: &CheckArgs) -> Result<Exit, Failure> {
    if args.schema {
        out::data(&json_schema_text())?;
        return Ok(Exit::Fine);
    }
    let documents = documents::read(&args.files)?;
    let judged = judge(&documents);
    let exit = if judged.is_ok() { Exit::Fine } else { Exit::Usage };
    if args.json {
        out::json(&answer(&documents, &judged))?;
        return Ok(exit);
    }
    match &judged {
        Ok(policy) => {
            out::data(&meaning::text(policy, &documents))?;
            for document in documents.iter().filter(|d| d.text.len() > STANDARD_TIER_BYTES) {
                out::warning(&format!(
                    "`{}` has {} bytes: as an SSM parameter it needs the Advanced tier, as the Standard tier holds \
                     {STANDARD_TIER_BYTES}",
                    document.name,
                    document.text.len()
                ));
            }
        }
        Err(problems) => {
            for problem in problems {
                out::note(&out::printable(&problem.to_string()));
            }
            out::note(&out::count(problems.len(), "problem"));
        }
    }
    Ok(exit)
}

/// The policy, or all that is wrong with it, size included.
fn judge(documents: &[Document]) -> Result<Policy, Vec<Problem>> {
    let too_large = documents.iter().filter_map(Document::too_large_for_parameter);
    let mut problems: Vec<Problem> = too_large.collect();
    match Policy::parse(documents) {
        Ok(policy) if problems.is_empty() => return Ok(policy),
        Ok(_) => {}
        Err(more) => problems.extend(more.0),
    }
    problems.sort();
    Err(problems)
}

fn answer<'a>(documents: &'a [Document], judged: &'a Result<Policy, Vec<Problem>>) -> Answer<'a> {
    let problems = judged.as_ref().err().map_or(&[][..], Vec::as_slice);
    Answer {
        valid: judged.is_ok(),
        documents: documents.iter().map(|d| DocumentAnswer { name: &d.name, bytes: d.text.len() }).collect(),
        problems: problems
            .iter()
            .map(|problem| ProblemAnswer {
                document: problem.place.as_ref().map(|place| place.document.as_str()),
                line: problem.place.as_ref().map(|place| place.line),
                column: problem.place.as_ref().map(|place| place.column),
                message: &problem.message,
            })
            .collect(),
        policy: judged.as_ref().ok().map(meaning::PolicyMeaning::of),
    }
}
