//! The workgroups against the policy: there, seen, enforced, cut off, watched.

use std::collections::BTreeMap;

use super::remedy::quote;
use super::state::{Blind, Read, State, Workgroup};
use super::{Check, Severity, count, names};
use crate::bytes::Units;
use crate::policy::{Policy, WorkgroupRule};

/// The checks, in order.
pub(super) fn checks(state: &State, policy: Option<&Policy>) -> Vec<Check> {
    vec![
        exist(state, policy),
        metrics(state, policy),
        enforced(state, policy),
        cutoffs(state, policy),
        watched(state, policy),
    ]
}

/// The workgroups that a rule covers, with the rule.
pub(super) fn covered<'a>(
    state: &'a State,
    policy: &'a Policy,
) -> impl Iterator<Item = (&'a str, &'a Read<Workgroup>, &'a WorkgroupRule)> {
    let all = state.workgroups.iter().flatten();
    all.filter_map(|(name, workgroup)| Some((name.as_str(), workgroup, policy.rule_for(name)?)))
}

/// Goes through those that a rule covers, noting those that cannot be seen.
fn each(
    check: &mut Check,
    state: &State,
    policy: Option<&Policy>,
    mut look: impl FnMut(&mut Check, &str, &Workgroup, &WorkgroupRule),
) -> usize {
    let Some(policy) = check.policy(policy) else { return 0 };
    if check.seen(&state.workgroups).is_none() {
        return 0;
    }
    let mut n = 0;
    for (name, workgroup, rule) in covered(state, policy) {
        n += 1;
        if let Some(workgroup) = check.seen(workgroup).cloned() {
            look(check, name, &workgroup, rule);
        }
    }
    n
}

fn exist(state: &State, policy: Option<&Policy>) -> Check {
    let place = &state.place;
    let mut check = Check::new("workgroups", "");
    let Some(policy) = check.policy(policy) else { return check };
    let Some(workgroups) = check.seen(&state.workgroups) else { return check };
    check.fine = format!("the policy's workgroups exist: {}", count(covered(state, policy).count(), "workgroup"));
    for rule in policy.rules() {
        let name = rule.pattern.as_str();
        if !rule.pattern.is_exact() {
            // One that another, more specific rule takes counts as matched too: the pattern is not mistyped.
            if !workgroups.keys().any(|workgroup| rule.pattern.matches(workgroup)) {
                check.find(
                    Severity::Note,
                    "policy",
                    format!("the rule `{name}` matches no workgroup"),
                    "It watches nothing today; perhaps its name is mistyped.",
                    vec![place.aws("athena list-work-groups --query 'WorkGroups[].Name' --output text")],
                );
            }
        } else if !workgroups.contains_key(name) {
            check.find(
                Severity::Warning,
                format!("workgroup/{name}"),
                format!("workgroup `{name}` does not exist"),
                "The policy watches it by name, so every day the admins are told that it cannot be seen, and \
                 whoever was given it has nowhere to run.",
                vec![create(state, name, rule, workgroups)],
            );
        }
    }
    for (name, workgroup, _) in covered(state, policy) {
        if matches!(workgroup, Ok(workgroup) if !workgroup.enabled) {
            check.find(
                Severity::Note,
                format!("workgroup/{name}"),
                format!("workgroup `{name}` is disabled"),
                "It takes no queries, and the watchdog says that it cannot see it.",
                vec![place.aws(&format!("athena update-work-group --work-group {} --state ENABLED", quote(name)))],
            );
        }
    }
    check
}

fn create(state: &State, name: &str, rule: &WorkgroupRule, workgroups: &BTreeMap<String, Read<Workgroup>>) -> String {
    // Beside a sibling's results, where one has a folder of its own name.
    let beside = workgroups.iter().find_map(|(sibling, workgroup)| {
        let output = workgroup.as_ref().ok()?.output.as_deref()?;
        output.trim_end_matches('/').strip_suffix(sibling.as_str()).map(|above| format!("{above}{name}/"))
    });
    let output = beside.unwrap_or_else(|| format!("s3://BUCKET/{name}/"));
    let cutoff =
        rule.per_query_cutoff.map_or(String::new(), |size| format!(",BytesScannedCutoffPerQuery={}", size.bytes.get()));
    state.place.aws(&format!(
        "athena create-work-group --name {} --configuration {}",
        quote(name),
        quote(&format!(
            "PublishCloudWatchMetricsEnabled=true,EnforceWorkGroupConfiguration=true,\
             ResultConfiguration={{OutputLocation={output},EncryptionConfiguration={{EncryptionOption=SSE_S3}}}}{cutoff}"
        ))
    ))
}

fn metrics(state: &State, policy: Option<&Policy>) -> Check {
    let mut check = Check::new("metrics", "");
    let n = each(&mut check, state, policy, |check, name, workgroup, rule| {
        if workgroup.publishes_metrics {
            return;
        }
        let (severity, why) = if rule.limits.is_empty() && rule.waiting.is_none() {
            (Severity::Warning, "Nobody can see what is scanned in it.")
        } else {
            (Severity::Critical, "The watchdog is blind there: its limits cannot be judged, however much is scanned.")
        };
        let remedy = state.place.update_workgroup(name, "PublishCloudWatchMetricsEnabled=true");
        check.find(
            severity,
            format!("workgroup/{name}"),
            format!("workgroup `{name}` publishes no metrics"),
            why,
            vec![remedy],
        );
    });
    check.fine = format!("{} to CloudWatch", publish(n));
    check
}

fn publish(n: usize) -> String {
    if n == 1 {
        "1 watched workgroup publishes metrics".to_owned()
    } else {
        format!("{n} watched workgroups publish metrics")
    }
}

fn enforced(state: &State, policy: Option<&Policy>) -> Check {
    let mut check = Check::new("enforced settings", "");
    let n = each(&mut check, state, policy, |check, name, workgroup, _| {
        if !workgroup.enforces {
            check.find(
                Severity::Warning,
                format!("workgroup/{name}"),
                format!("workgroup `{name}` does not enforce its settings"),
                "Each query's client may choose where results go and whether they are encrypted, past the folder \
                 that its people were given.",
                vec![state.place.update_workgroup(name, "EnforceWorkGroupConfiguration=true")],
            );
        }
    });
    check.fine = format!("the settings of {} win over those of a query", count(n, "watched workgroup"));
    check
}

fn cutoffs(state: &State, policy: Option<&Policy>) -> Check {
    let mut check = Check::new("cutoffs", "");
    let mut n = 0;
    each(&mut check, state, policy, |check, name, workgroup, rule| {
        let Some(size) = rule.per_query_cutoff else { return };
        n += 1;
        if workgroup.per_query_cutoff == Some(size.bytes) {
            return;
        }
        let wanted = size.bytes.exact(size.units);
        let what = match workgroup.per_query_cutoff {
            Some(bytes) => {
                let has = bytes.exact(size.units);
                format!("workgroup `{name}` cuts a query off at {has}, and the policy says {wanted}")
            }
            None => format!("workgroup `{name}` cuts no query off, and the policy says {wanted}"),
        };
        check.find(
            Severity::Warning,
            format!("workgroup/{name}"),
            what,
            "The cutoff is the only limit that Athena enforces itself, and people rely on the one in the policy.",
            vec![state.place.update_workgroup(name, &format!("BytesScannedCutoffPerQuery={}", size.bytes.get()))],
        );
    });
    check.fine = format!("{} as the policy says", count(n, "per-query cutoff"));
    check
}

/// Workgroups that no rule covers. How much that matters depends on who can use them.
fn watched(state: &State, policy: Option<&Policy>) -> Check {
    let place = &state.place;
    let mut check = Check::new("watched", "every workgroup is covered by a rule");
    let Some(policy) = check.policy(policy) else { return check };
    let Some(workgroups) = check.seen(&state.workgroups) else { return check };
    for (name, workgroup) in workgroups.iter().filter(|(name, _)| policy.rule_for(name).is_none()) {
        if matches!(workgroup, Ok(workgroup) if !workgroup.enabled) {
            continue;
        }
        let (cutoff, metrics) = match workgroup {
            Ok(workgroup) => (workgroup.per_query_cutoff, workgroup.publishes_metrics),
            Err(blind) => {
                check.cannot_see(&blind.clone());
                (None, false)
            }
        };
        let users = users_of(state, name);
        let severity = match &users {
            Ok(users) if users.is_empty() => Severity::Note,
            _ => Severity::Warning,
        };
        let limits = match cutoff {
            Some(bytes) => format!("is covered by no rule; a query is cut off at {}", bytes.human(Units::Decimal)),
            None => "is covered by no rule and has no limit at all".to_owned(),
        };
        let why = match users {
            Ok(users) if users.is_empty() => {
                "Only administrators can run queries in it; what they scan is seen by nobody.".to_owned()
            }
            Ok(users) => format!("What {} can scan in it is seen by nobody.", names(users)),
            Err(_) => "What is scanned in it is seen by nobody, and who can use it is not known.".to_owned(),
        };
        let mut remedy = Vec::new();
        if !metrics {
            remedy.push(place.update_workgroup(name, "PublishCloudWatchMetricsEnabled=true"));
        }
        let rule =
            format!("[[workgroup]]\\nname = \"{name}\"\\n[[workgroup.limit]]\\nwindow = \"24h\"\\nlimit = \"1 TB\"\\n");
        let document = format!("50-{name}");
        remedy.push(format!("printf {} > {}", quote(&rule), quote(&format!("{document}.toml"))));
        remedy.extend(place.store_policy(&document).into_iter().skip(1));
        check.find(severity, format!("workgroup/{name}"), format!("workgroup `{name}` {limits}"), why, remedy);
    }
    check
}

/// Who can use a workgroup without being an administrator.
fn users_of<'a>(state: &'a State, workgroup: &str) -> Result<Vec<&'a str>, Blind> {
    let principals = state.principals.as_ref().map_err(Clone::clone)?;
    if let Some(blind) = principals.blind.first() {
        return Err(blind.clone());
    }
    let may = principals.evaluated.iter().filter(|p| !p.who.is_administrator() && (p.any || p.may.contains(workgroup)));
    Ok(may.map(|p| p.who.name.as_str()).collect())
}
