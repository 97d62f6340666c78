//! The mails that the next run would send, about the use as it is.

use watchdog_core::alert::{Severity, Subject};
use watchdog_core::mail::Mail;
use watchdog_core::report::{MailReport, RunReport, WhyReport};
use watchdog_core::verdict::Pressure;

use super::{print, write, wrote};
use crate::args::{PreviewArgs, PreviewAudience, PreviewForm, PreviewReason};
use crate::exit::{Exit, Failure};
use crate::run::mails::file_name;
use crate::run::rehearse;
use crate::{out, place, state};

/// Between mails that are printed one after the other; no line of a mail is like it.
const RULE: &str = "========================================================================";

/// Runs the command with `--live`.
///
/// # Errors
/// [`Failure`] where the use cannot be seen, where nobody would be sent such a mail, and where the files cannot be written.
pub async fn run(args: &PreviewArgs) -> Result<Exit, Failure> {
    if args.reason == Some(PreviewReason::Silenced) {
        return Err(Failure::usage(
            "`--reason silenced` cannot be chosen among the mails of now: a mail after a silence is one about an alert that `opened`",
        ));
    }
    let config = place::config(&args.aws).await?;
    let named = state::table_name(&config, &args.policy, args.state_table.as_deref()).await;
    let table = named.unwrap_or_else(|why| {
        out::warning(&why);
        None
    });
    if table.is_none() {
        out::note(
            "no state table is read: this is as if nobody had been told anything yet, and without grants and silences",
        );
    }
    let (report, mails) = rehearse(&args.policy, &args.aws, table.as_deref()).await?;
    for warning in &report.warnings {
        out::warning(warning);
    }
    if let Some(skipped) = &report.skipped {
        return Err(Failure::unseen(format!("nothing was judged: {skipped}")));
    }
    let chosen: Vec<&Mail> =
        report.would_send.iter().zip(&mails).filter(|(entry, _)| fits(args, entry)).map(|(_, mail)| mail).collect();
    let Some((first, more)) = chosen.split_first() else {
        if mails.is_empty() && !is_choosy(args) {
            out::note(&format!("nobody would be sent a mail now; {}", stands(&report)));
            return Ok(Exit::Fine);
        }
        return Err(none(&report));
    };
    if let Some(directory) = &args.out {
        for (n, mail) in chosen.iter().enumerate() {
            write(directory, &format!("{:02}-{}", n + 1, file_name(mail.to.as_str())), mail, report.as_of)?;
        }
        wrote(chosen.len(), directory);
        return Ok(Exit::Fine);
    }
    print(first, args.form, report.as_of)?;
    if args.form == PreviewForm::Text {
        for mail in more {
            out::data(&format!("\n{RULE}\n\n"))?;
            print(mail, args.form, report.as_of)?;
        }
    } else if !more.is_empty() {
        out::note(&format!("the first of {} that fit: all are written with `--out DIR`", chosen.len()));
    }
    Ok(Exit::Fine)
}

/// Whether not any mail will do.
fn is_choosy(args: &PreviewArgs) -> bool {
    args.reason.is_some()
        || args.level.is_some()
        || args.audience.is_some()
        || args.workgroup.is_some()
        || args.window.is_some()
}

/// Whether a mail is one of those that are asked for: one of its notices is all that.
fn fits(args: &PreviewArgs, mail: &MailReport) -> bool {
    let is_several = args.reason == Some(PreviewReason::Several);
    !is_choosy(args) || (!is_several || mail.why.len() > 1) && mail.why.iter().any(|why| is_asked_for(args, why))
}

fn is_asked_for(args: &PreviewArgs, why: &WhyReport) -> bool {
    // What cannot be read cannot be chosen; `none` names it all the same.
    let Ok(subject) = why.alert.parse::<Subject>() else { return false };
    let (workgroup, window) = place_of(&subject);
    let is = |asked: Option<&String>, found: Option<&str>| asked.is_none_or(|asked| found == Some(asked));
    let is_level = args.level.is_none_or(|level| why.level == Severity::from(level).words());
    let is_reader = args.audience.is_none_or(|audience| (audience == PreviewAudience::Submitter) == why.own_queries);
    is(args.workgroup.as_ref(), workgroup)
        && is(args.window.as_ref(), window)
        && is_level
        && is_reader
        && args.reason.is_none_or(|reason| is_reason(reason, &subject, why))
}

/// The workgroup and the window that an alert is about, where it is about one.
fn place_of(subject: &Subject) -> (Option<&str>, Option<&str>) {
    match subject {
        Subject::Limit { workgroup, window } => (Some(workgroup), Some(window)),
        Subject::Sight { workgroup } | Subject::Grant { workgroup, .. } => (Some(workgroup), None),
        Subject::Queries(Pressure::Waiting { workgroup }) | Subject::QuerySight(Pressure::Waiting { workgroup }) => {
            (Some(workgroup), None)
        }
        Subject::Queries(Pressure::Active(_)) | Subject::QuerySight(Pressure::Active(_)) => (None, None),
        Subject::Weekly | Subject::Listing | Subject::Policy => (None, None),
    }
}

fn is_reason(reason: PreviewReason, subject: &Subject, why: &WhyReport) -> bool {
    let is_over = why.reason == "resolved";
    let is_a_grant = matches!(subject, Subject::Grant { .. });
    let is_grant = |level: Severity| is_a_grant && !is_over && why.level == level.words();
    let is_sight = matches!(subject, Subject::Sight { .. } | Subject::QuerySight(_));
    let is_alert = !is_a_grant && *subject != Subject::Weekly;
    match reason {
        PreviewReason::Opened => is_alert && why.reason == "opened",
        PreviewReason::Escalated => is_alert && why.reason == "escalated",
        PreviewReason::Repeated => is_alert && why.reason == "repeated",
        PreviewReason::Resolved => is_alert && is_over,
        PreviewReason::CannotSee => is_sight && !is_over,
        PreviewReason::SeenAgain => (is_sight || *subject == Subject::Listing) && is_over,
        PreviewReason::Listing => *subject == Subject::Listing && !is_over,
        PreviewReason::Policy => *subject == Subject::Policy && !is_over,
        PreviewReason::PolicyAgain => *subject == Subject::Policy && is_over,
        // Of the mail, not of a notice.
        PreviewReason::Several => true,
        PreviewReason::Silenced => false,
        PreviewReason::ActiveQueries => !is_over && matches!(subject, Subject::Queries(Pressure::Active(_))),
        PreviewReason::ActiveQueriesOver => is_over && matches!(subject, Subject::Queries(Pressure::Active(_))),
        PreviewReason::Waiting => !is_over && matches!(subject, Subject::Queries(Pressure::Waiting { .. })),
        PreviewReason::WaitingOver => is_over && matches!(subject, Subject::Queries(Pressure::Waiting { .. })),
        PreviewReason::GrantAsked => is_grant(Severity::Asked),
        PreviewReason::Granted => is_grant(Severity::Granted),
        PreviewReason::GrantEndsSoon => is_grant(Severity::EndsSoon),
        PreviewReason::GrantEnded => is_a_grant && is_over,
        PreviewReason::CutoffAmiss => is_grant(Severity::Amiss),
        PreviewReason::Weekly => *subject == Subject::Weekly,
    }
}

/// That there is no such mail, and which there are.
fn none(report: &RunReport) -> Failure {
    let mut message = match report.would_send.len() {
        0 => format!("nobody would be sent a mail now; {}", stands(report)),
        _ => "nobody would be sent such a mail now; there are these:".to_owned(),
    };
    for mail in &report.would_send {
        for why in &mail.why {
            let theirs = if why.own_queries { ", by their queries" } else { "" };
            message += &format!("\nto {}: {} {}: {}{theirs}", mail.to, why.alert, why.reason, why.level);
        }
    }
    Failure::usage(message)
}

/// How the limits are, in one line.
fn stands(report: &RunReport) -> String {
    let levels: Vec<&str> = report.levels().collect();
    if levels.is_empty() {
        return "no workgroup has a limit".to_owned();
    }
    let known = ["exhausted", "critical", "warn", "unknown", "ok"];
    let counted = known.iter().filter_map(|level| {
        let n = levels.iter().filter(|found| *found == level).count();
        (n > 0).then(|| format!("{n} `{level}`"))
    });
    format!("of {}: {}", out::count(levels.len(), "limit"), counted.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Args, Command};

    const MAILS: [(&str, &str, &str, bool); 19] = [
        ("limit/exploratory/1h", "opened", "critical", false),
        ("limit/exploratory/1h", "opened", "critical", true),
        ("limit/etl/24h", "repeated", "exhausted", false),
        ("limit/etl/1h", "resolved", "warn", false),
        ("sight/etl", "opened", "cannot see", false),
        ("sight-waiting/etl", "opened", "cannot see", false),
        ("active/dml", "escalated", "exhausted", true),
        ("waiting/etl", "opened", "critical", false),
        ("grant/etl/g1", "opened", "granted", false),
        ("grant/etl/g1", "escalated", "ends soon", false),
        ("grant/etl/g1", "resolved", "granted", false),
        ("policy", "opened", "cannot see", false),
        ("weekly", "opened", "weekly", false),
        ("grant/etl/g2", "resolved", "asked for", false),
        ("grant/etl/g3", "opened", "amiss", false),
        ("sight/etl", "resolved", "cannot see", false),
        ("policy", "resolved", "cannot see", false),
        ("listing", "opened", "cannot see", false),
        ("waiting/etl", "resolved", "critical", false),
    ];

    /// Which of [`MAILS`] the options choose.
    #[track_caller]
    fn check(options: &str, expected: &[usize]) {
        let words = ["watchdog", "preview", "--live"].into_iter().chain(options.split_whitespace());
        let Command::Preview(args) = Args::try_parse_from(words).unwrap().command else { panic!("{options}") };
        let is_chosen = |&n: &usize| {
            let (alert, reason, level, own_queries) = MAILS[n];
            is_asked_for(&args, &WhyReport { alert: alert.to_owned(), reason, level, own_queries })
        };
        assert_eq!((0..MAILS.len()).filter(is_chosen).collect::<Vec<_>>(), expected, "{options}");
    }

    #[test]
    fn options_choose_among_the_mails_of_now() {
        check("", &(0..MAILS.len()).collect::<Vec<_>>());
        check("--reason opened --level critical", &[0, 1, 7]);
        check("--reason opened --level critical --audience submitter", &[1]);
        check("--audience admins --workgroup exploratory", &[0]);
        check("--workgroup etl", &[2, 3, 4, 5, 7, 8, 9, 10, 13, 14, 15, 18]);
        check("--workgroup etl --window 1h", &[3]);
        check("--window 24h --level warn", &[]);
        check("--reason opened", &[0, 1, 4, 5, 7, 11, 17]);
        check("--reason resolved", &[3, 15, 16, 18]);
        check("--reason repeated", &[2]);
        check("--reason escalated --audience submitter", &[6]);
        check("--reason cannot-see", &[4, 5]);
        check("--reason policy", &[11]);
        check("--reason active-queries", &[6]);
        check("--reason active-queries-over", &[]);
        check("--reason waiting", &[7]);
        check("--reason waiting-over", &[18]);
        check("--reason seen-again", &[15]);
        check("--reason policy-again", &[16]);
        check("--reason listing", &[17]);
        check("--reason cutoff-amiss", &[14]);
        check("--reason granted", &[8]);
        check("--reason grant-ends-soon", &[9]);
        check("--reason grant-ended", &[10, 13]);
        check("--reason grant-asked", &[]);
        check("--reason weekly", &[12]);
    }

    #[test]
    fn several_is_said_of_a_mail() {
        let any = Args::try_parse_from(["watchdog", "preview", "--live"]).unwrap().command;
        let Command::Preview(any) = any else { panic!() };
        let strange = WhyReport { alert: "a/b".to_owned(), reason: "opened", level: "warn", own_queries: false };
        let strange = MailReport { to: "a@b.example".to_owned(), why: vec![strange], message_id: None, error: None };
        assert!(fits(&any, &strange), "no mail is lost where any will do");
        let words = ["watchdog", "preview", "--live", "--reason", "several", "--level", "critical"];
        let Command::Preview(args) = Args::try_parse_from(words).unwrap().command else { panic!() };
        let mail = |numbers: &[usize]| {
            let why = numbers.iter().map(|n| {
                let (alert, reason, level, own_queries) = MAILS[*n];
                WhyReport { alert: alert.to_owned(), reason, level, own_queries }
            });
            MailReport { to: "ann@example.com".to_owned(), why: why.collect(), message_id: None, error: None }
        };
        assert!(fits(&args, &mail(&[0, 2])) && !fits(&args, &mail(&[0])) && !fits(&args, &mail(&[2, 4])));
    }
}
