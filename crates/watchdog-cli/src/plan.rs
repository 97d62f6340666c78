//! `watchdog plan`: limits from measured use, what each stands on, and what they would have sent.

mod answer;
mod crowd;
mod page;
mod past;
mod text;

use std::collections::BTreeSet;

use jiff::Timestamp;
use similar::TextDiff;
use watchdog_aws::failure::AwsFailure;
use watchdog_aws::gather::{self, PolicySource};
use watchdog_aws::operator::past::Past as CloudWatch;
use watchdog_aws::operator::ssm;
use watchdog_core::bytes::{Bytes, Units};
use watchdog_core::policy::{Document, PlanRule, Policy, usual_rules};
use watchdog_core::proposal::days::History;
use watchdog_core::proposal::document::{Draft, draft};
use watchdog_core::proposal::{Proposal, Stated, Subject, Unproposed, propose};

pub use self::crowd::class;
use self::crowd::{Crowd, Crowded};
use self::past::Past;
use crate::args::PlanArgs;
use crate::backtest::replays::{self, Outcome, Wanted};
use crate::backtest::{parsed, write_file};
use crate::exit::{Exit, Failure};
use crate::place::{self, Place};
use crate::{documents, out};

/// Everything that was found.
pub struct Found {
    /// Each limit that was asked for.
    pub entries: Vec<Entry>,
    /// What the proposed limits would have sent over the same past, and what the present ones; by workgroup.
    pub replayed: Vec<Replayed>,
    /// How full the account's quotas of active queries have been.
    pub crowded: Vec<Crowded>,
    /// The Region that is looked at; empty where none is.
    pub region: String,
    /// Workgroups with a past and without a rule.
    pub without_rule: Vec<String>,
    /// Whether there is a policy to compare with.
    pub compared: bool,
}

/// One limit that was asked for.
pub struct Entry {
    /// The proposal.
    pub proposal: Proposal,
    /// The limit of the same window, or the cutoff, that the policy has.
    pub present: Option<Bytes>,
}

/// A back-test of one workgroup.
pub struct Replayed {
    /// The workgroup.
    pub workgroup: String,
    /// First under the proposed limits, then under the present ones.
    pub outcome: Outcome,
}

/// Where the policy came from.
struct Source {
    place: Place,
    documents: Vec<Document>,
    policy: Option<Policy>,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] where the policy or the past cannot be read or understood, or something cannot be written.
pub fn plan(args: &PlanArgs) -> Result<Exit, Failure> {
    let from_stack = args.since.is_some() || args.policy.stack.is_some() || args.policy.policy_path.is_some();
    let source = if args.policy.policy.is_empty() && from_stack { Some(of_stack(args)?) } else { of_files(args)? };
    if args.write && source.is_none() {
        return Err(Failure::usage(
            "`--write` needs a policy to write into: give `--policy FILE` or `--stack NAME`; a new one is begun with `--out FILE`",
        ));
    }
    let policy = source.as_ref().and_then(|source| source.policy.as_ref());
    let (mut past, mut crowd, mut all_seen) = (Past::default(), Crowd::default(), true);
    let mut region = args.aws.region.clone().unwrap_or_default();
    if let Some(usage) = &args.usage {
        past::from_usage(usage, args.step, args.until, &mut past)?;
    } else if args.since.is_some() {
        (all_seen, region) = from_cloudwatch(args, policy, &mut past, &mut crowd)?;
    }
    crowd::from_files(args, &mut crowd, &mut past)?;
    if let Some(queries) = &args.queries {
        past::from_queries(queries, args.until, &mut past)?;
    }
    for note in &past.notes {
        out::warning(note);
    }
    let (subjects, without_rule) = subjects(args, policy, &past);
    let stated = Stated {
        capacity: args.account_capacity.clone(),
        account: crowd.account(&past),
        low: args.ad_hoc,
        next: Some(args.next_days),
    };
    let proposals = propose(&subjects, &stated);
    if proposals.is_empty() {
        return Err(Failure::usage(
            "no workgroup has a rule to compute limits by: give one, such as `--rule 'etl-*=1h + 10 %'`, or `plan` in the policy",
        ));
    }
    // A directory is merged in the order of names, as what is under a path of SSM is.
    let apart = args.policy.policy.is_empty() || args.policy.policy.iter().any(|path| path.is_dir());
    let written = source.as_ref().map_or(&[][..], |source| &source.documents);
    let draft = draft(written, apart, &proposals).map_err(|error| Failure::usage(error.to_string()))?;
    let replayed = match &draft {
        Some(draft) => replayed(&past, &proposals, &draft.policy, policy, args)?,
        None => Vec::new(),
    };
    let entry = |proposal: Proposal| Entry { present: present(policy, &proposal), proposal };
    let entries: Vec<Entry> = proposals.into_iter().map(entry).collect();
    let crowded = crowd.bands(args.next_days);
    let found = Found { entries, replayed, crowded, region, without_rule, compared: policy.is_some() };
    show(args, &found, draft.as_ref())?;
    let mut exit = exit(&found, all_seen);
    if let (true, Some(draft), Some(source)) = (args.write, &draft, &source) {
        write(args, draft, source)?;
        exit = if exit == Exit::Over { Exit::Fine } else { exit };
    }
    Ok(exit)
}

fn show(args: &PlanArgs, found: &Found, draft: Option<&Draft>) -> Result<(), Failure> {
    if let (Some(path), Some(draft)) = (&args.out, draft) {
        match path.as_os_str() == "-" {
            true => out::data(&draft.document.text)?,
            false => write_file(path, draft.document.text.as_bytes())?,
        }
    }
    if let Some(path) = &args.html {
        let page =
            page::page(found).map_err(|error| Failure::usage(format!("the page cannot be put together: {error}")))?;
        write_file(path, page.as_bytes())?;
    }
    let on_stdout = args.out.as_ref().is_some_and(|path| path.as_os_str() == "-");
    match (args.json, on_stdout) {
        (true, false) => out::json(&answer::answer(found))?,
        (false, false) => out::data(&text::text(found))?,
        (_, true) => {}
    }
    match draft {
        Some(draft) if args.diff || args.write => {
            let changes = difference(draft);
            // Beside JSON or a policy on standard output it is for people only.
            if args.json || on_stdout { out::note(&changes) } else { out::data(&format!("\n{changes}"))? }
        }
        _ => {}
    }
    Ok(())
}

/// What would change, as `diff -u` writes it.
fn difference(draft: &Draft) -> String {
    let name = out::printable(&draft.document.name).into_owned();
    let diff = TextDiff::from_lines(&draft.before, &draft.document.text);
    let diff = diff.unified_diff().header(&format!("{name} (now)"), &format!("{name} (proposed)")).to_string();
    if diff.is_empty() { format!("`{name}` stays as it is\n") } else { diff }
}

fn write(args: &PlanArgs, draft: &Draft, source: &Source) -> Result<(), Failure> {
    if draft.before == draft.document.text {
        out::note("nothing is written: the policy has these limits");
        return Ok(());
    }
    match (&source.place.source, args.policy.policy.as_slice()) {
        (PolicySource::Parameters(path), _) => {
            if let Some(problem) = draft.document.too_large_for_parameter() {
                return Err(Failure::usage(problem.message));
            }
            let runtime = crate::runtime()?;
            let put = runtime.block_on(async {
                let clients = place::clients(&args.aws).await?;
                Ok::<_, Failure>(ssm::put(&clients.ssm, path, &draft.document).await)
            })?;
            put.map_err(|failure| Failure::unseen(format!("nothing was written: {failure}")))?;
            out::note(&format!(
                "written: the parameter `{path}/{}`; it counts from the next run on",
                draft.document.name
            ));
        }
        (PolicySource::Documents(_), [file]) if file.is_file() => {
            let (Some(folder), Some(name)) = (file.parent(), file.file_name()) else {
                return Err(Failure::usage(format!("`{}` is no file that can be written", file.display())));
            };
            // Beside it first: whoever reads the policy meanwhile finds the old one or the new one, and no half.
            let beside = folder.join(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
            write_file(&beside, draft.document.text.as_bytes())?;
            std::fs::rename(&beside, file).map_err(|error| {
                let _ = std::fs::remove_file(&beside);
                Failure::usage(format!("`{}` cannot be written: {error}", file.display()))
            })?;
            out::note(&format!("written: `{}`", file.display()));
        }
        (PolicySource::Documents(_), [folder]) if folder.is_dir() => {
            let file = folder.join(format!("{}.toml", draft.document.name));
            write_file(&file, draft.document.text.as_bytes())?;
            out::note(&format!("written: `{}`", file.display()));
        }
        _ => {
            return Err(Failure::usage(
                "`--write` needs one file or one directory as `--policy`; with several, use `--out FILE`",
            ));
        }
    }
    Ok(())
}

fn exit(found: &Found, all_seen: bool) -> Exit {
    let is_unknown = |entry: &Entry| match &entry.proposal.outcome {
        Ok(_) => false,
        // It is known that there is no use, and no number comes of it; nor of a want of room.
        Err(Unproposed::Idle { .. } | Unproposed::NoRoom { .. } | Unproposed::TooLarge) => false,
        Err(_) => true,
    };
    let differs = |entry: &Entry| match &entry.proposal.outcome {
        Ok(proposed) => found.compared && entry.present != Some(proposed.limit),
        Err(Unproposed::NoRoom { .. }) => true,
        Err(_) => false,
    };
    match () {
        () if !all_seen || found.entries.iter().any(is_unknown) => Exit::Unseen,
        () if found.entries.iter().any(differs) => Exit::Over,
        () => Exit::Fine,
    }
}

/// The limit that the policy has where one is proposed.
fn present(policy: Option<&Policy>, proposal: &Proposal) -> Option<Bytes> {
    let rule = policy?.rule_for(&proposal.workgroup)?;
    let window = match (&proposal.outcome, &proposal.rule) {
        (Ok(proposed), _) => proposed.window.clone(),
        (Err(_), PlanRule::Windows { window, .. }) => Some(window.clone()),
        (Err(_), _) => None,
    };
    match window {
        Some(window) => rule.limits.iter().find(|limit| limit.window == window).map(|limit| limit.bytes),
        None => rule.per_query_cutoff.map(|size| size.bytes),
    }
}

fn of_files(args: &PlanArgs) -> Result<Option<Source>, Failure> {
    if args.policy.policy.is_empty() {
        return Ok(None);
    }
    let mut documents = documents::read(&args.policy.policy)?;
    let policy = Some(parsed(&documents)?);
    let is_folder = args.policy.policy.iter().any(|path| path.is_dir());
    if is_folder {
        // By their names, as in SSM: what a plan has written beside them before is found by its own.
        for document in &mut documents {
            let name = std::path::Path::new(&document.name).file_stem().map(|name| name.to_string_lossy().into_owned());
            document.name = name.unwrap_or_default();
        }
    }
    let place = Place { source: PolicySource::Documents(documents.clone()), stack: String::new() };
    Ok(Some(Source { place, documents, policy }))
}

fn of_stack(args: &PlanArgs) -> Result<Source, Failure> {
    let place = Place::here(&args.policy)?;
    let documents = crate::runtime()?.block_on(async {
        let clients = place::clients(&args.aws).await?;
        let documents = gather::documents(&clients, &place.source).await;
        let unread = |failure: AwsFailure| Failure::unseen(format!("the policy could not be read: {failure}"));
        documents.map_err(unread)
    })?;
    let policy = Some(parsed(&documents)?);
    Ok(Source { place, documents, policy })
}

/// Reads what AWS knows; returns whether all of it could be read, and the Region.
fn from_cloudwatch(
    args: &PlanArgs,
    policy: Option<&Policy>,
    past: &mut Past,
    crowd: &mut Crowd,
) -> Result<(bool, String), Failure> {
    let (Some(policy), Some(length)) = (policy, args.since) else { return Ok((false, String::new())) };
    let runtime = crate::runtime()?;
    let clients = runtime.block_on(place::clients(&args.aws))?;
    let until = args.until.unwrap_or_else(Timestamp::now);
    let mut read = runtime.block_on(CloudWatch::open(&clients, policy, true, length, until));
    let mut unseen = std::mem::take(&mut read.unseen);
    past.notes.append(&mut read.warnings);
    if let Some(why) = &read.incomplete {
        past.notes.push(format!("the list of workgroups could not be read: {why}"));
    }
    if let Some(middle) = read.hours_until {
        past.notes.push(format!(
            "before {} CloudWatch keeps hours only: their bytes are taken to come evenly, so that windows between two hours may have held more",
            middle.strftime("%Y-%m-%d %H:%M UTC")
        ));
    }
    let mut names = Vec::new();
    loop {
        let group = runtime.block_on(read.next());
        if group.is_empty() {
            break;
        }
        for (name, seen) in group {
            match seen {
                Ok(series) => {
                    past.histories.insert(name.clone(), begun(series));
                    names.push(name);
                }
                Err(why) => unseen.push((name, why)),
            }
        }
    }
    for (name, why) in &unseen {
        past.notes.push(format!("the use of the workgroup `{name}` is not known: {why}"));
    }
    let has =
        |name: &str, kind: fn(&PlanRule) -> bool| rules(args, Some(policy), name).is_some_and(|r| r.iter().any(kind));
    let is_spare: fn(&PlanRule) -> bool = |rule| matches!(rule, PlanRule::Spare { .. });
    let waits = args.account_capacity.is_none() && names.iter().any(|name| has(name, is_spare));
    let what = (&policy.active_queries.classes[..], waits);
    let mut all_seen = unseen.is_empty() && read.incomplete.is_none();
    all_seen &= runtime.block_on(crowd::from_cloudwatch(&clients, args, what, &read, crowd, past));
    let sized = names.iter().map(String::as_str).filter(|name| has(name, |rule| matches!(rule, PlanRule::PerQuery)));
    let sized: Vec<&str> = sized.collect();
    if args.queries.is_none() && !sized.is_empty() {
        all_seen &= runtime.block_on(crowd::sizes(&clients, &sized, read.span, past));
    }
    Ok((all_seen, clients.region.clone()))
}

/// Without the time before its first use: a workgroup that was made a week ago has not been idle for two months.
fn begun(series: watchdog_core::usage::Series) -> History {
    let (first, buckets) = series.buckets();
    let idle = buckets.iter().position(|bytes| *bytes > Bytes::ZERO).unwrap_or(0);
    let after = i64::try_from(idle).unwrap_or(0) * watchdog_core::window::BUCKET;
    let start = first.saturating_add(jiff::SignedDuration::from_secs(after)).unwrap_or(first);
    let buckets = buckets.iter().skip(idle).copied().collect();
    History { series: watchdog_core::usage::Series::from_buckets(start, buckets), holes: Vec::new() }
}

/// The workgroups with a rule, and those with a past and without one.
fn subjects(args: &PlanArgs, policy: Option<&Policy>, past: &Past) -> (Vec<Subject>, Vec<String>) {
    let mut names: BTreeSet<&str> = past.histories.keys().map(String::as_str).collect();
    names.extend(past.queries.keys().map(String::as_str));
    // Those that the policy has a rule for and nothing is known of are told of, too.
    let named = policy.into_iter().flat_map(Policy::rules).filter(|rule| rule.pattern.is_exact());
    names.extend(named.map(|rule| rule.pattern.as_str()).filter(|name| rules(args, policy, name).is_some()));
    let (mut subjects, mut without) = (Vec::new(), Vec::new());
    for name in names {
        let Some(rules) = rules(args, policy, name) else {
            without.push(name.to_owned());
            continue;
        };
        let rule = policy.and_then(|policy| policy.rule_for(name));
        let units = rule.and_then(|rule| {
            let of_limit = rule.limits.first().map(|limit| limit.units);
            of_limit.or(rule.per_query_cutoff.map(|size| size.units))
        });
        subjects.push(Subject {
            workgroup: name.to_owned(),
            rules: rules.into_iter().map(|of| with_stated(of, policy, name, args)).collect(),
            units: units.unwrap_or(Units::Decimal),
            history: past.histories.get(name).cloned(),
            queries: past.queries.get(name).cloned().unwrap_or_default(),
        });
    }
    (subjects, without)
}

fn rules(args: &PlanArgs, policy: Option<&Policy>, name: &str) -> Option<Vec<PlanRule>> {
    let typed = args.rules.iter().find(|(pattern, _)| pattern.matches(name)).map(|(_, rules)| rules.clone());
    let of_policy = || policy?.rule_for(name).map(|rule| rule.plan.clone()).filter(|rules| !rules.is_empty());
    typed.or_else(of_policy).or_else(|| usual_rules(name))
}

/// A stated value that nobody has stated anew is that of the policy.
fn with_stated(rule: PlanRule, policy: Option<&Policy>, name: &str, args: &PlanArgs) -> PlanRule {
    match rule {
        PlanRule::Stated { amount: None } if args.ad_hoc.is_none() => {
            let limit = policy.and_then(|policy| policy.rule_for(name)).and_then(|rule| rule.limits.first());
            let amount = limit.map(|limit| {
                let size = watchdog_core::bytes::Size { bytes: limit.bytes, units: limit.units };
                (size, limit.window.clone())
            });
            PlanRule::Stated { amount }
        }
        rule => rule,
    }
}

/// Each workgroup's past under the proposed limits, and under the present ones beside them.
fn replayed(
    past: &Past,
    proposals: &[Proposal],
    proposed: &Policy,
    present: Option<&Policy>,
    args: &PlanArgs,
) -> Result<Vec<Replayed>, Failure> {
    let names: BTreeSet<&str> = proposals.iter().filter(|p| p.outcome.is_ok()).map(|p| p.workgroup.as_str()).collect();
    let mut all = Vec::new();
    for name in names {
        let Some(history) = past.histories.get(name) else { continue };
        let mut once = Some(vec![(name.to_owned(), history.series.clone())]);
        let policies: Vec<&Policy> = [Some(proposed), present].into_iter().flatten().collect();
        let wanted = Wanted { trace: args.html.is_some(), ..Wanted::default() };
        let outcome = replays::run_series(&mut || once.take(), &policies, wanted)?;
        all.extend(outcome.map(|outcome| Replayed { workgroup: name.to_owned(), outcome }));
    }
    Ok(all)
}
