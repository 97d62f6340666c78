//! `watchdog preview`: the mails of a policy, about use that is made up or about that of now.

mod live;

use std::fs;
use std::path::Path;

use jiff::Timestamp;
use watchdog_aws::gather;
use watchdog_aws::gather::PolicySource;
use watchdog_core::alert::Severity;
use watchdog_core::delivery;
use watchdog_core::mail::{Mail, Origins, compose};
use watchdog_core::policy::{Document, Policy};
use watchdog_core::preview::{About, Asked, Reader, preview};
use watchdog_core::sample;

use crate::args::{PreviewArgs, PreviewAudience, PreviewForm, PreviewLevel, PreviewReason};
use crate::exit::{Exit, Failure};
use crate::out;
use crate::place::{self, Place};

/// The policy of `--sample`: one of each kind of audience.
pub const SAMPLE: &str = include_str!("preview/sample.toml");

/// The Region of links and commands where none is set: a preview with a policy in a file asks AWS nothing.
pub const ANY_REGION: &str = "eu-central-1";

/// Runs the command.
///
/// # Errors
/// [`Failure`] where the policy cannot be read, sends no such mail, or the files cannot be written.
pub async fn run(args: &PreviewArgs) -> Result<Exit, Failure> {
    if args.live {
        return live::run(args).await;
    }
    let reason = args.reason.unwrap_or(PreviewReason::Opened);
    let level = args.level.unwrap_or(PreviewLevel::Critical);
    let audience = args.audience.unwrap_or(PreviewAudience::Admins);
    let at = args.at.unwrap_or_else(Timestamp::now);
    let (policy, origins) = policy(args).await?;
    let mail = |asked: &Asked| {
        let message = preview(&policy, asked, at)?;
        Ok::<_, watchdog_core::preview::NoMessage>(compose(&message, &policy.mail, &origins, at))
    };
    let weekly = || {
        let (due, facts) = sample::week(&policy, at)?;
        let to = policy.report.as_ref()?.to.first()?.clone();
        Some(compose(&delivery::message(to, due, facts), &policy.mail, &origins, due))
    };
    let no_week = "the policy asks for no weekly report: add `[report]` with `weekly = \"mon 08:00\"`";
    if args.all {
        let directory = args.out.as_deref().unwrap_or_else(|| Path::new("."));
        let mut written = 0;
        for (name, asked) in all(args) {
            match mail(&asked) {
                Ok(mail) => {
                    write(directory, &name, &mail, at)?;
                    written += 1;
                }
                Err(why) => out::note(&format!("no {name}: {why}")),
            }
        }
        match weekly() {
            Some(mail) => {
                write(directory, "weekly", &mail, at)?;
                written += 1;
            }
            None => out::note(&format!("no weekly: {no_week}")),
        }
        wrote(written, directory);
        return Ok(Exit::Fine);
    }
    let none = |why: &dyn std::fmt::Display| Failure::usage(format!("there is no such mail: {why}"));
    let mail = match about(reason) {
        Some(about) => {
            let asked = Asked {
                about,
                level: level.into(),
                reader: audience.into(),
                workgroup: args.workgroup.clone(),
                window: args.window.clone(),
            };
            mail(&asked).map_err(|why| none(&why))?
        }
        None => weekly().ok_or_else(|| none(&no_week))?,
    };
    if let Some(directory) = &args.out {
        write(directory, &name(reason, level, audience), &mail, at)?;
        out::note(&format!("wrote it as .eml, .html and .txt into {}", directory.display()));
        return Ok(Exit::Fine);
    }
    print(&mail, args.form, at)?;
    Ok(Exit::Fine)
}

fn print(mail: &Mail, form: PreviewForm, at: Timestamp) -> Result<(), Failure> {
    match form {
        PreviewForm::Text => out::data(&format!("To: {}\nSubject: {}\n\n{}\n", mail.to, mail.subject, mail.text)),
        PreviewForm::Html => out::data(&mail.page()),
        PreviewForm::Eml => out::data(&String::from_utf8_lossy(&mime(mail, at)?)),
    }
}

fn wrote(mails: usize, directory: &Path) {
    let mails = out::count(mails, "mail");
    out::note(&format!("wrote {mails} as .eml, .html and .txt into {}", directory.display()));
}

async fn policy(args: &PreviewArgs) -> Result<(Policy, Origins), Failure> {
    let region =
        || args.aws.region.clone().or_else(|| std::env::var("AWS_REGION").ok().filter(|region| !region.is_empty()));
    let documents = if args.sample {
        vec![Document { name: "sample.toml".to_owned(), text: SAMPLE.to_owned() }]
    } else {
        let place = Place::here(&args.policy)?;
        if let PolicySource::Documents(documents) = place.source {
            documents
        } else {
            let clients = place::clients(&args.aws).await?;
            let read = gather::documents(&clients, &place.source).await;
            let documents = read.map_err(|failure| Failure::unseen(format!("the policy cannot be read: {failure}")))?;
            let origins = Origins { region: clients.region.clone(), name: place.stack };
            return Ok((parsed(&documents)?, origins));
        }
    };
    let origins = Origins {
        region: region().unwrap_or_else(|| ANY_REGION.to_owned()),
        name: place::stack(None, |name| std::env::var(name).ok())?,
    };
    Ok((parsed(&documents)?, origins))
}

fn parsed(documents: &[Document]) -> Result<Policy, Failure> {
    if documents.is_empty() {
        return Err(Failure::usage("there is no policy there: name its files with `--policy`, or take `--sample`"));
    }
    Policy::parse(documents).map_err(|problems| {
        let n = out::count(problems.0.len(), "problem");
        Failure::usage(format!("the policy has {n}:\n{problems}"))
    })
}

/// Every mail there is, with a name for its files.
fn all(args: &PreviewArgs) -> Vec<(String, Asked)> {
    use PreviewAudience::{Admins, Submitter};
    use PreviewLevel::{Critical, Exhausted, Warn};
    use PreviewReason::{
        ActiveQueries, ActiveQueriesOver, CannotSee, CutoffAmiss, Escalated, GrantAsked, GrantEnded, GrantEndsSoon,
        Granted, Listing, Opened, Policy, PolicyAgain, Repeated, Resolved, SeenAgain, Several, Silenced, Waiting,
        WaitingOver,
    };
    let mut kinds = Vec::new();
    for audience in [Admins, Submitter] {
        for level in [Warn, Critical, Exhausted] {
            let of_levels = [Opened, Repeated, Resolved, Silenced, ActiveQueries, Waiting];
            kinds.extend(of_levels.map(|reason| (reason, level, audience)));
        }
    }
    // A submitter hears of queries that are new, whatever the level.
    kinds.extend([Critical, Exhausted].map(|level| (Escalated, level, Admins)));
    let for_admins = [
        Several,
        ActiveQueriesOver,
        WaitingOver,
        CannotSee,
        SeenAgain,
        Listing,
        Policy,
        PolicyAgain,
        GrantAsked,
        Granted,
        GrantEndsSoon,
        GrantEnded,
        CutoffAmiss,
    ];
    kinds.extend(for_admins.map(|reason| (reason, Critical, Admins)));
    let asked = |(reason, level, audience): (PreviewReason, PreviewLevel, PreviewAudience)| {
        let asked = Asked {
            about: about(reason)?,
            level: level.into(),
            reader: audience.into(),
            workgroup: args.workgroup.clone(),
            window: args.window.clone(),
        };
        Some((name(reason, level, audience), asked))
    };
    kinds.into_iter().filter_map(asked).collect()
}

fn name(reason: PreviewReason, level: PreviewLevel, audience: PreviewAudience) -> String {
    let word = |value: &dyn std::fmt::Debug| {
        let text = format!("{value:?}");
        let dash = |(n, c): (usize, char)| if n > 0 && c.is_uppercase() { format!("-{c}") } else { c.to_string() };
        text.chars().enumerate().map(dash).collect::<String>().to_lowercase()
    };
    use PreviewReason::{
        ActiveQueriesOver, CannotSee, CutoffAmiss, GrantAsked, GrantEnded, GrantEndsSoon, Granted, Listing, Policy,
        PolicyAgain, SeenAgain, Several, WaitingOver, Weekly,
    };
    match reason {
        CannotSee | SeenAgain | Listing | Policy | PolicyAgain | Several | Weekly => word(&reason),
        ActiveQueriesOver | WaitingOver => word(&reason),
        GrantAsked | Granted | GrantEndsSoon | GrantEnded | CutoffAmiss => word(&reason),
        _ => format!("{}-{}-{}", word(&reason), word(&level), word(&audience)),
    }
}

fn mime(mail: &Mail, at: Timestamp) -> Result<Vec<u8>, Failure> {
    mail.mime(at).map_err(|error| Failure::usage(error.to_string()))
}

fn write(directory: &Path, name: &str, mail: &Mail, at: Timestamp) -> Result<(), Failure> {
    let cannot =
        |path: &Path, error: std::io::Error| Failure::usage(format!("`{}` cannot be written: {error}", path.display()));
    fs::create_dir_all(directory).map_err(|error| cannot(directory, error))?;
    let text = format!("Subject: {}\n\n{}\n", mail.subject, mail.text);
    for (extension, content) in
        [("eml", mime(mail, at)?), ("html", mail.page().into_bytes()), ("txt", text.into_bytes())]
    {
        let path = directory.join(format!("{name}.{extension}"));
        fs::write(&path, content).map_err(|error| cannot(&path, error))?;
    }
    Ok(())
}

/// What the mail is about; `None` for the report, which is about no alert.
fn about(reason: PreviewReason) -> Option<About> {
    Some(match reason {
        PreviewReason::Opened => About::Opened,
        PreviewReason::Escalated => About::Escalated,
        PreviewReason::Repeated => About::Repeated,
        PreviewReason::Resolved => About::Resolved,
        PreviewReason::CannotSee => About::CannotSee,
        PreviewReason::SeenAgain => About::SeenAgain,
        PreviewReason::Listing => About::Listing,
        PreviewReason::Policy => About::Policy,
        PreviewReason::PolicyAgain => About::PolicyAgain,
        PreviewReason::Several => About::Several,
        PreviewReason::Silenced => About::Silenced,
        PreviewReason::ActiveQueries => About::ActiveQueries,
        PreviewReason::ActiveQueriesOver => About::ActiveQueriesOver,
        PreviewReason::Waiting => About::Waiting,
        PreviewReason::WaitingOver => About::WaitingOver,
        PreviewReason::GrantAsked => About::GrantAsked,
        PreviewReason::Granted => About::Granted,
        PreviewReason::GrantEndsSoon => About::GrantEndsSoon,
        PreviewReason::GrantEnded => About::GrantEnded,
        PreviewReason::CutoffAmiss => About::CutoffAmiss,
        PreviewReason::Weekly => return None,
    })
}

impl From<PreviewLevel> for Severity {
    fn from(level: PreviewLevel) -> Self {
        match level {
            PreviewLevel::Warn => Self::Warn,
            PreviewLevel::Critical => Self::Critical,
            PreviewLevel::Exhausted => Self::Exhausted,
        }
    }
}

impl From<PreviewAudience> for Reader {
    fn from(audience: PreviewAudience) -> Self {
        match audience {
            PreviewAudience::Admins => Self::Admin,
            PreviewAudience::Submitter => Self::Submitter,
        }
    }
}
