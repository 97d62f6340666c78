//! What becomes of a request: the new record and a sentence, or why not.

use jiff::Timestamp;

use super::{Refused, Request, Wish};
use crate::alert::Subject;
use crate::bytes::{Bytes, Size};
use crate::grant::cutoff::{Cutoff, Live};
use crate::grant::{Act, Asker, Book, Grant, Grants, Phase, Raise};
use crate::policy::{GrantRules, Policy, SHORTEST_PROMISE, WorkgroupRule};
use crate::principal::PrincipalKey;
use crate::silence::{Silence, Silences};

/// How far ahead a grant may be planned: further ahead nobody knows the policy that will hold then.
const FURTHEST_AHEAD: jiff::SignedDuration = jiff::SignedDuration::from_hours(31 * 24);
/// Athena's own lower bound of the cutoff.
const SMALLEST_CUTOFF: Bytes = Bytes::new(10_000_000);
/// Requests that may change one grant.
const MOST_REQUESTS: usize = 20;

/// What is known when a request comes.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// The policy as it is written, without grants.
    pub policy: &'a Policy,
    /// All grants.
    pub grants: &'a Grants,
    /// All silences.
    pub silences: &'a Silences,
    /// The cutoff of the workgroup that the request is about; `None` where it was not asked for.
    pub live: Option<Live>,
    /// Now.
    pub now: Timestamp,
}

/// What is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What is to be written down.
    pub change: Change,
    /// In words, for the person who asked.
    pub says: String,
}

/// What is to be written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Nothing: the request has had its effect already.
    Nothing,
    /// The grants of this workgroup.
    Grants(String, Book),
    /// The silence of this alert.
    Silence(Subject, Box<Silence>),
}

/// Decides about a request by `who`.
///
/// # Errors
/// [`Refused`]; then nothing changes.
pub fn decide(request: &Request, who: &Asker, situation: &Situation<'_>) -> Result<Decision, Refused> {
    match &request.wish {
        Wish::Silence { .. } | Wish::Unsilence { .. } => silence(request, who, situation),
        wish => {
            let rules = may_grant(who, situation.policy)?;
            if let Wish::Grant { workgroup, .. } = wish {
                return grant(request, workgroup, who, rules, situation);
            }
            change(request, who, rules, situation)
        }
    }
}

/// What a granted workgroup's cutoff has to be asked for, before deciding.
pub fn stands_in(request: &Request) -> Option<&str> {
    match &request.wish {
        Wish::Grant { workgroup, .. } => Some(workgroup),
        _ => None,
    }
}

fn refused<T>(message: impl Into<String>) -> Result<T, Refused> {
    Err(Refused(message.into()))
}

fn may_grant<'a>(who: &Asker, policy: &'a Policy) -> Result<&'a GrantRules, Refused> {
    let Some(rules) = &policy.grants else {
        return refused("the policy has no `[grants]`: nobody may raise anything until it names who and how far");
    };
    if !is_named(who, &rules.granters) {
        return refused(format!("`{who}` is none of the policy's `granters`: {}", list(&rules.granters)));
    }
    Ok(rules)
}

fn is_named(who: &Asker, named: &[PrincipalKey]) -> bool {
    who.principal.keys().iter().any(|key| named.contains(key))
}

fn list(keys: &[PrincipalKey]) -> String {
    let shown = keys.iter().take(10).map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
    if keys.len() > 10 { format!("{shown} and {} more", keys.len() - 10) } else { shown }
}

fn grant(
    request: &Request,
    workgroup: &str,
    who: &Asker,
    rules: &GrantRules,
    situation: &Situation<'_>,
) -> Result<Decision, Refused> {
    let Situation { policy, grants, now, .. } = *situation;
    let Wish::Grant { window, limit, per_query, length, start, reason, .. } = &request.wish else {
        return refused("this is no grant");
    };
    let mut book = grants.get(workgroup).cloned().unwrap_or_default();
    if book.knows(&request.id) {
        return Ok(known(&request.id));
    }
    if let Some(other) = grants.values().flat_map(|book| &book.grants).find(|other| other.id == request.id) {
        return refused(format!(
            "there is a grant `{}` already, of `{}`: choose another `id`",
            other.id, other.workgroup
        ));
    }
    if !rules.workgroups.iter().any(|allowed| allowed == workgroup) {
        let allowed = rules.workgroups.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        return refused(format!(
            "`{workgroup}` is none of the workgroups that the policy's `[grants]` names: {allowed}"
        ));
    }
    let Some(rule) = policy.rule_for(workgroup) else {
        return refused(format!(
            "no rule of the policy covers `{workgroup}`: what is not watched has no limit to raise"
        ));
    };
    if situation.live == Some(Live::NoWorkgroup) {
        return refused(format!("there is no workgroup `{workgroup}` in Athena"));
    }
    if let Some(open) = book.open() {
        return refused(format!(
            "`{workgroup}` has a grant already, `{}` by `{}` until {} ({}): extend it, or revoke it first",
            open.id,
            open.by,
            open.until,
            open.phase(now).word()
        ));
    }
    let from = start.unwrap_or(now).max(now);
    if start.is_some_and(|start| now.duration_since(start) > SHORTEST_PROMISE) {
        return refused(format!("`start` is {}, which is past: leave it out to begin at once", start.unwrap_or(now)));
    }
    if from.duration_since(now) > FURTHEST_AHEAD {
        return refused(format!("`start` is {from}: a grant is planned at most 31 days ahead"));
    }
    if *length < SHORTEST_PROMISE || *length > rules.longest {
        return refused(format!("`for` is {length:#}: the policy grants from 5m to {:#}", rules.longest));
    }
    let until = from.checked_add(*length).map_err(|_| Refused("`start` is beyond all time".to_owned()))?;
    let raise = match limit {
        Some(size) => Some(raised_limit(rule, workgroup, window.as_deref(), *size, rules)?),
        None => None,
    };
    if let Some(size) = per_query {
        raised_cutoff(workgroup, *size, rules, situation.live)?;
    }
    let grant = Grant {
        id: request.id.clone(),
        workgroup: workgroup.to_owned(),
        by: who.clone(),
        reason: reason.clone(),
        limit: raise,
        per_query: per_query.map(Into::into),
        asked: now,
        from,
        until,
        needs_approval: rules.second_approver,
        approved: None,
        extended: None,
        revoked: None,
        cutoff: Cutoff::Untouched,
        closed: None,
        requests: vec![request.id.clone()],
    };
    let what = what(&grant);
    let says = match grant.phase(now) {
        Phase::Pending => format!(
            "`{}` waits for somebody else to approve it (`watchdog grant --approve {}`): {what} from {from} until {until}",
            grant.id, grant.id
        ),
        Phase::Planned => format!("`{}` is planned: {what} from {from} until {until}", grant.id),
        _ => format!("`{}` is granted: {what} until {until}", grant.id),
    };
    book.grants.push(grant);
    book.forget(now);
    Ok(Decision { change: Change::Grants(workgroup.to_owned(), book), says })
}

fn raised_limit(
    rule: &WorkgroupRule,
    workgroup: &str,
    window: Option<&str>,
    size: Size,
    rules: &GrantRules,
) -> Result<Raise, Refused> {
    let windows = || rule.limits.iter().map(|l| format!("`{}`", l.window.id())).collect::<Vec<_>>().join(", ");
    let limit = match (window, rule.limits.as_slice()) {
        (_, []) => {
            return refused(format!(
                "`{workgroup}` has no limit that could be raised, only a cutoff: give `per_query`"
            ));
        }
        (None, [one]) => one,
        (None, _) => {
            return refused(format!("`{workgroup}` has several limits: give the `window`, one of {}", windows()));
        }
        (Some(window), limits) => match limits.iter().find(|limit| limit.window.id() == window) {
            Some(limit) => limit,
            None => return refused(format!("`{workgroup}` has no limit for `{window}`: give one of {}", windows())),
        },
    };
    let present = limit.bytes.human(limit.units);
    if size.bytes <= limit.bytes {
        return refused(format!(
            "`limit` is {size}, and the limit of `{workgroup}` is {present} already: a grant raises it"
        ));
    }
    match rules.highest_limit {
        Some(highest) if size.bytes <= highest.bytes => {}
        Some(highest) => return refused(format!("`limit` is {size}: the policy grants up to {highest}")),
        None => {
            return refused("the policy's `[grants]` has no `highest_limit`: no limit may be raised, only a cutoff");
        }
    }
    Ok(Raise { window: limit.window.id(), to: size.into() })
}

fn raised_cutoff(workgroup: &str, size: Size, rules: &GrantRules, live: Option<Live>) -> Result<(), Refused> {
    if size.bytes < SMALLEST_CUTOFF {
        return refused(format!("`per_query` is {size}: Athena takes 10 MB or more"));
    }
    match rules.highest_per_query {
        Some(highest) if size.bytes <= highest.bytes => {}
        Some(highest) => return refused(format!("`per_query` is {size}: the policy grants up to {highest}")),
        None => {
            return refused(
                "the policy's `[grants]` has no `highest_per_query`: no cutoff may be raised, only a limit",
            );
        }
    }
    if let Some(Live::Is(Some(present))) = live
        && size.bytes <= present
    {
        let present = present.human(size.units);
        return refused(format!(
            "`per_query` is {size}, and the cutoff of `{workgroup}` is {present} already: a grant raises it"
        ));
    }
    Ok(())
}

/// Approving, extending and revoking.
fn change(request: &Request, who: &Asker, rules: &GrantRules, situation: &Situation<'_>) -> Result<Decision, Refused> {
    let Situation { policy, grants, now, .. } = *situation;
    if grants.values().any(|book| book.knows(&request.id)) {
        return Ok(known(&request.id));
    }
    let (Wish::Approve { grant: named } | Wish::Extend { grant: named, .. } | Wish::Revoke { grant: named }) =
        &request.wish
    else {
        return refused("this changes no grant");
    };
    let by_workgroup = matches!(request.wish, Wish::Revoke { .. }).then(|| grants.get(named)).flatten();
    let book = by_workgroup.or_else(|| grants.values().find(|book| book.get(named).is_some()));
    let Some(mut book) = book.cloned() else {
        return refused(format!("there is no grant `{named}`; `watchdog grants` lists them"));
    };
    let is_meant = |grant: &Grant| by_workgroup.is_some() || grant.id == *named;
    let Some(grant) = book.open_mut().filter(|grant| is_meant(grant) && grant.phase(now) != Phase::Over) else {
        return refused(format!("the grant `{named}` is over"));
    };
    if grant.requests.len() >= MOST_REQUESTS {
        return refused(format!(
            "the grant `{}` has been changed {MOST_REQUESTS} times: revoke it and ask anew",
            grant.id
        ));
    }
    let act = Act { by: who.clone(), at: now };
    let is_another = who.is_another_person_than(&grant.by, &policy.submitters);
    let same = format!(
        "`{}` was asked for by `{}`: somebody else has to approve it; two sessions of one role count as one person unless the \
         policy's `trusted_roles` name the role",
        grant.id, grant.by
    );
    let says = match &request.wish {
        Wish::Approve { .. } => {
            if grant.phase(now) != Phase::Pending {
                return refused(format!(
                    "the grant `{}` waits for nobody: it is {}",
                    grant.id,
                    grant.phase(now).word()
                ));
            }
            if !is_another {
                return refused(same);
            }
            grant.approved = Some(act);
            format!("`{}` is approved: {} until {}", grant.id, what(grant), grant.until)
        }
        Wish::Extend { length, .. } => {
            if grant.needs_approval && !is_another {
                return refused(same);
            }
            let until = now.checked_add(*length).map_err(|_| Refused("`for` is beyond all time".to_owned()))?;
            let last = grant.from + rules.longest;
            if until > last {
                return refused(format!(
                    "`for` is {length:#}, which is until {until}: `{}` began at {} and may last {:#} in all, until {last}",
                    grant.id, grant.from, rules.longest
                ));
            }
            if until <= grant.until {
                return refused(format!(
                    "`{}` lasts until {} already: revoke it to end it sooner",
                    grant.id, grant.until
                ));
            }
            grant.until = until;
            grant.extended = Some(act);
            format!("`{}` is extended: {} until {until}", grant.id, what(grant))
        }
        _ => {
            grant.revoked = Some(act);
            format!("`{}` is revoked: {} is taken back", grant.id, what(grant))
        }
    };
    grant.requests.push(request.id.clone());
    let workgroup = grant.workgroup.clone();
    Ok(Decision { change: Change::Grants(workgroup, book), says })
}

fn silence(request: &Request, who: &Asker, situation: &Situation<'_>) -> Result<Decision, Refused> {
    let Situation { policy, silences, now, .. } = *situation;
    let Some(rules) = &policy.silences else {
        return refused("the policy has no `[silences]`: nobody may silence anything until it names who and how long");
    };
    if !is_named(who, &rules.silencers) {
        return refused(format!("`{who}` is none of the policy's `silencers`: {}", list(&rules.silencers)));
    }
    let (Wish::Silence { alert, .. } | Wish::Unsilence { alert }) = &request.wish else {
        return refused("this is no silence");
    };
    let Subject::Limit { workgroup, window } = alert else { return refused("only a limit's alert is silenced") };
    let shown = format!("{workgroup}/{window}");
    let present = silences.get(alert);
    if present.is_some_and(|silence| silence.id == request.id) {
        return Ok(known(&request.id));
    }
    let present = present.filter(|silence| silence.is_in_force(now));
    if let Wish::Silence { length, reason, .. } = &request.wish {
        let limits = policy.rule_for(workgroup).map_or(&[][..], |rule| rule.limits.as_slice());
        if !limits.iter().any(|limit| limit.window.id() == *window) {
            return refused(format!("the policy has no limit `{shown}`: `watchdog status` lists them"));
        }
        if let Some(present) = present {
            return refused(format!(
                "`{shown}` is silenced already, by `{}` until {}: end that silence first",
                present.by, present.until
            ));
        }
        if *length < SHORTEST_PROMISE || *length > rules.longest {
            return refused(format!("`for` is {length:#}: the policy allows from 5m to {:#}", rules.longest));
        }
        let until = now.checked_add(*length).map_err(|_| Refused("`for` is beyond all time".to_owned()))?;
        let silence = Silence {
            id: request.id.clone(),
            by: who.clone(),
            reason: reason.clone(),
            from: now,
            until,
            taken_back: None,
            resolved: None,
        };
        let but = match rules.never.as_slice() {
            [] => String::new(),
            never => format!("; {} is told all the same", never.join(" and ")),
        };
        let says = format!("`{shown}` is silenced until {until}, or until its alert resolves{but}");
        return Ok(Decision { change: Change::Silence(alert.clone(), Box::new(silence)), says });
    }
    let Some(present) = present else { return refused(format!("`{shown}` is not silenced")) };
    let silence = Silence { taken_back: Some(Act { by: who.clone(), at: now }), ..present.clone() };
    let says = format!("the silence of `{shown}` is ended");
    Ok(Decision { change: Change::Silence(alert.clone(), Box::new(silence)), says })
}

fn known(id: &str) -> Decision {
    Decision {
        change: Change::Nothing,
        says: format!("the request `{id}` has had its effect already; nothing is changed"),
    }
}

/// What a grant raises, in words.
pub(super) fn what(grant: &Grant) -> String {
    let limit = grant
        .limit
        .as_ref()
        .map(|raise| format!("the limit of {} for {} to {}", grant.workgroup, raise.window, raise.to));
    let cutoff = grant.per_query.map(|amount| match limit {
        Some(_) => format!("its per-query cutoff to {amount}"),
        None => format!("the per-query cutoff of {} to {amount}", grant.workgroup),
    });
    limit.into_iter().chain(cutoff).collect::<Vec<_>>().join(" and ")
}
