//! The policy as meant: the one conversion from texts to values. Limits have their own file, [`super::limit`].

use std::collections::{BTreeMap, HashSet};

use jiff::SignedDuration;
use jiff::tz::TimeZone;

use super::active::{self, active_queries, waiting};
use super::economy::{self, economy};
use super::limit::{limit, rules};
use super::pattern::Pattern;
use super::plan::plan_rules;
use super::problem::{Place, Problem};
use super::promises;
use super::report;
use super::submitters::{self, submitters};
use super::typed::{
    TypedActive, TypedEconomy, TypedGrants, TypedMail, TypedPolicy, TypedReport, TypedRules, TypedSilences,
    TypedSubmitters, TypedWorkgroup, Unread,
};
use super::value::{Context, Problems, all, allowed_address, domain, interval, later_rules, people_bound, zone};
use super::{Address, Limit, MailRules, Policy, WorkgroupRule};
use crate::bytes::{Bytes, Size};

/// What cannot be seen is usually a setting that somebody must change: once a day.
const REPEAT_CANNOT_SEE_EVERY: SignedDuration = SignedDuration::from_hours(24);
/// Athena's own lower bound of `BytesScannedCutoffPerQuery`: ten million bytes.
pub(super) const SMALLEST_CUTOFF: Bytes = Bytes::new(10_000_000);
/// Rules with wildcards: overlap is checked pair by pair.
const MOST_PATTERNS: usize = 100;

pub(super) fn policy(documents: Vec<TypedPolicy>, problems: &mut Vec<Problem>) -> Option<Policy> {
    let broken = documents.iter().any(|document| document.broken);
    let mut problems = Problems { found: problems, broken };
    let mut unread = Unread::new();
    let mut named_none = false;
    let mut mail = TypedMail::default();
    let mut defaults = TypedRules::default();
    let mut typed_submitters = TypedSubmitters::default();
    let mut typed_active = TypedActive::default();
    let mut typed_economy = TypedEconomy::default();
    let mut typed_grants = TypedGrants::default();
    let mut typed_silences = TypedSilences::default();
    let mut typed_report = TypedReport::default();
    let mut workgroups: BTreeMap<String, TypedWorkgroup> = BTreeMap::new();
    for document in documents {
        unread.extend(&document.unread);
        mail = later_mail(document.mail, mail);
        defaults = later_rules(&document.defaults, &defaults);
        typed_submitters = submitters::later(document.submitters, typed_submitters);
        typed_active = active::later(document.active_queries, typed_active);
        typed_economy = economy::later(document.economy, typed_economy);
        typed_grants = promises::later_grants(document.grants, typed_grants);
        typed_silences = promises::later_silences(document.silences, typed_silences);
        typed_report = report::later(document.report, typed_report);
        // A later document replaces the rule of the same name; twice in one document is a slip.
        let mut here = HashSet::new();
        for workgroup in document.workgroup {
            let Some(name) = &workgroup.name else {
                named_none = true;
                let message =
                    "this `[[workgroup]]` has no `name`: write `name = \"exploratory\"`, or a pattern with `*`";
                problems.missing(Some(&workgroup.place), "name", &workgroup.unread, message);
                continue;
            };
            if here.insert(name.value.clone()) {
                workgroups.insert(name.value.clone(), workgroup);
            } else {
                problems.at(
                    &name.place,
                    format!("workgroup `{}` stands twice in this document: merge the two", name.value),
                );
            }
        }
    }
    if unread.contains(&"mail") {
        mail.unread.extend(["sender", "admins", "allowed_domains"]);
    }
    let nothing_watched = workgroups.is_empty() && !named_none;
    // The zone and the domains are needed to read the rest; with a stand-in all other problems are still found.
    let mail_zone = match &mail.time_zone {
        Some(name) => zone(name, &mut problems),
        None => Some(TimeZone::UTC),
    };
    let domains = allowed_domains(&mail, &mut problems);
    let mail = mail_rules(mail, mail_zone.clone(), domains.clone(), &mut problems);
    let submitters = submitters(&typed_submitters, domains.as_deref(), &mut problems);
    let economy = economy(&typed_economy, &mut problems);
    let grants = promises::grants(&typed_grants, SMALLEST_CUTOFF, &mut problems);
    let silences = promises::silences(&typed_silences, &mut problems);
    let mail_zone = mail_zone.unwrap_or(TimeZone::UTC);
    let admins = mail.as_ref().map(|mail| mail.admins.as_slice());
    let report = report::report(&typed_report, admins, domains.as_deref(), &mail_zone, &mut problems);
    let context = Context { defaults: &defaults, zone: &mail_zone, domains: domains.as_deref() };
    let active_queries = active_queries(&typed_active, &context, &mut problems);
    // For what no limit uses; what one does use is found twice and told once.
    rules(&defaults, &context, &mut problems);
    let mut found: Vec<(Place, WorkgroupRule)> =
        workgroups.into_values().filter_map(|w| workgroup(w, &context, &mut problems)).collect();
    if nothing_watched {
        let message = "the policy has no `[[workgroup]]`: nothing would be watched; add one, with `name = \"*\"` for all workgroups";
        problems.missing(None, "workgroup", &unread, message);
    }
    overlaps(&found, &mut problems);
    found.sort_by(|(_, a), (_, b)| {
        b.pattern.specificity().cmp(&a.pattern.specificity()).then(a.pattern.cmp(&b.pattern))
    });
    Some(Policy {
        mail: mail?,
        submitters: submitters?,
        active_queries: active_queries?,
        economy: economy?,
        grants: grants?,
        silences: silences?,
        report: report?,
        rules: found.into_iter().map(|(_, rule)| rule).collect(),
    })
}

fn later_mail(later: TypedMail, mut earlier: TypedMail) -> TypedMail {
    earlier.unread.extend(later.unread);
    TypedMail {
        unread: earlier.unread,
        sender: later.sender.or(earlier.sender),
        reply_to: later.reply_to.or(earlier.reply_to),
        admins: later.admins.or(earlier.admins),
        allowed_domains: later.allowed_domains.or(earlier.allowed_domains),
        time_zone: later.time_zone.or(earlier.time_zone),
        repeat_cannot_see_every: later.repeat_cannot_see_every.or(earlier.repeat_cannot_see_every),
    }
}

fn allowed_domains(mail: &TypedMail, problems: &mut Problems<'_>) -> Option<Vec<String>> {
    match &mail.allowed_domains {
        Some(list) if mail.unread.contains(&"allowed_domains") && list.value.is_empty() => None,
        Some(list) if list.value.is_empty() => {
            let message =
                "`allowed_domains` is empty: nobody could be told; write `allowed_domains = [\"example.com\"]`";
            problems.at(&list.place, message);
            None
        }
        Some(list) => all(list.value.iter().map(|d| domain(d, problems))),
        None => {
            let message = "`[mail]` has no `allowed_domains`: write `allowed_domains = [\"example.com\"]`; mail goes nowhere else";
            problems.missing(None, "allowed_domains", &mail.unread, message);
            None
        }
    }
}

fn mail_rules(
    mail: TypedMail,
    zone: Option<TimeZone>,
    domains: Option<Vec<String>>,
    problems: &mut Problems<'_>,
) -> Option<MailRules> {
    let admins = match &mail.admins {
        Some(list) if !list.value.is_empty() => {
            people_bound("admins", list, problems);
            all(list.value.iter().map(|a| allowed_address("admins", a, domains.as_deref(), problems)))
        }
        Some(_) if mail.unread.contains(&"admins") => None,
        Some(list) => {
            problems
                .at(&list.place, "`admins` is empty: somebody must hear of it; write `admins = [\"ops@example.com\"]`");
            None
        }
        None => {
            let message = "`[mail]` has no `admins`: somebody must hear of it; write `admins = [\"ops@example.com\"]`";
            problems.missing(None, "admins", &mail.unread, message);
            None
        }
    };
    let sender = match &mail.sender {
        Some(text) => problems.ok("sender", &text.place, Address::parse(&text.value)),
        None => {
            let message =
                "`[mail]` has no `sender`: write an address that SES has verified, `sender = \"watchdog@example.com\"`";
            problems.missing(None, "sender", &mail.unread, message);
            None
        }
    };
    let reply_to = mail.reply_to.as_ref();
    let reply_to = reply_to.map(|text| problems.ok("reply_to", &text.place, Address::parse(&text.value)));
    let repeat = match &mail.repeat_cannot_see_every {
        Some(text) => interval("repeat_cannot_see_every", text, problems),
        None => Some(REPEAT_CANNOT_SEE_EVERY),
    };
    let mut admins = admins?;
    admins.sort();
    admins.dedup();
    Some(MailRules {
        sender: sender?,
        reply_to: match reply_to {
            Some(reply_to) => Some(reply_to?),
            None => None,
        },
        admins,
        allowed_domains: domains?,
        zone: zone?,
        repeat_cannot_see_every: repeat?,
    })
}

fn workgroup(
    typed: TypedWorkgroup,
    context: &Context<'_>,
    problems: &mut Problems<'_>,
) -> Option<(Place, WorkgroupRule)> {
    let name = typed.name.as_ref()?;
    let pattern = problems.ok("name", &name.place, Pattern::parse(&name.value));
    let owner = typed.owner.as_ref().map(|o| allowed_address("owner", o, context.domains, problems));
    let cutoff = typed.per_query_cutoff.as_ref().map(|text| {
        let size: Size = problems.parsed("per_query_cutoff", text)?;
        if size.bytes < SMALLEST_CUTOFF {
            problems.at(
                &text.place,
                format!("`per_query_cutoff`: `{}` is below Athena's own minimum: write `10 MB` or more", text.value),
            );
        }
        Some(size)
    });
    let plan = typed.plan.as_ref().map(|text| problems.ok("plan", &text.place, plan_rules(&text.value)));
    let rules_here = later_rules(&typed.rules, context.defaults);
    rules(&rules_here, context, problems);
    let waits = typed.waiting.as_ref().map(|text| waiting(text, &rules_here, context, problems));
    let mut limits = Vec::new();
    for typed_limit in &typed.limit {
        let Some(limit) = limit(typed_limit, &rules_here, context, problems) else { continue };
        if limits.iter().any(|other: &Limit| other.window == limit.window) {
            let place = typed_limit.window.as_ref().map_or(&typed_limit.place, |w| &w.place);
            problems.at(
                place,
                format!("workgroup `{}` has two limits with the window `{}`: keep one", name.value, limit.window),
            );
        }
        limits.push(limit);
    }
    let has_other = typed.per_query_cutoff.is_some() || typed.waiting.is_some();
    if typed.limit.is_empty() && !has_other && !["per_query_cutoff", "waiting"].iter().any(|k| typed.unread.contains(k))
    {
        let message = format!(
            "workgroup `{}` has no `[[workgroup.limit]]`, no `per_query_cutoff` and no `waiting`: give it one of them",
            name.value
        );
        problems.missing(Some(&typed.place), "limit", &typed.unread, &message);
    }
    let owner = match owner {
        Some(owner) => Some(owner?),
        None => None,
    };
    let cutoff = match cutoff {
        Some(cutoff) => Some(cutoff?),
        None => None,
    };
    let waiting = match waits {
        Some(waiting) => Some(waiting?),
        None => None,
    };
    let plan = match plan {
        Some(plan) => plan?,
        None => Vec::new(),
    };
    Some((
        name.place.clone(),
        WorkgroupRule { pattern: pattern?, owner, per_query_cutoff: cutoff, waiting, plan, limits },
    ))
}

fn overlaps(rules: &[(Place, WorkgroupRule)], problems: &mut Problems<'_>) {
    let patterns: Vec<_> = rules.iter().filter(|(_, rule)| !rule.pattern.is_exact()).collect();
    if let Some((place, _)) = patterns.get(MOST_PATTERNS) {
        problems.at(place, format!("the policy has {} names with wildcards: at most {MOST_PATTERNS}", patterns.len()));
        return;
    }
    for (i, (_, a)) in patterns.iter().enumerate() {
        for (place, b) in &patterns[i + 1..] {
            if a.pattern.specificity() == b.pattern.specificity() && a.pattern.overlaps(&b.pattern) {
                problems.at(place, format!(
                    "the names `{}` and `{}` can match the same workgroup and neither is more specific: spell out more of one of them",
                    b.pattern, a.pattern
                ));
            }
        }
    }
}
