//! The policy as meant: the one conversion from texts to values, where every rule about a policy lives.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;
use std::str::FromStr;

use jiff::SignedDuration;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::pattern::Pattern;
use super::problem::{Place, Problem};
use super::typed::{At, TypedAudience, TypedLimit, TypedMail, TypedPolicy, TypedRules, TypedWorkgroup, Unread};
use super::{Address, Audience, Limit, MailRules, Origin, Policy, Who, WorkgroupRule};
use crate::bytes::{Bytes, Size};
use crate::percent::Percent;
use crate::window::{Window, duration};

/// Warn with a fifth left: at a steady pace that is twelve minutes of a one-hour limit, about what a person needs
/// to read a mail and stop a query. At 90 % half of that; at 70 % normal days begin to warn.
const WARN: Percent = Percent::whole(80);
/// Critical with a twentieth left: one bucket of a one-hour window at a steady pace, the last look before it is gone.
const CRITICAL: Percent = Percent::whole(95);
/// A level falls 5 points below where it rose: with less, use that hovers at a threshold opens and resolves all day.
const HYSTERESIS: Percent = Percent::whole(5);
/// A reminder twice in a working day; more often is noise, less often is forgotten by the next shift.
const REPEAT_EVERY: SignedDuration = SignedDuration::from_hours(4);
/// What cannot be seen is usually a setting that somebody must change: once a day.
const REPEAT_CANNOT_SEE_EVERY: SignedDuration = SignedDuration::from_hours(24);
/// Reminders closer than the bucket of usage say nothing new.
const SHORTEST_REPEAT: SignedDuration = SignedDuration::from_mins(5);
/// The ledger forgets what it told after this long, so a longer interval could not be kept.
const LONGEST_REPEAT: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Athena's own lower bound of `BytesScannedCutoffPerQuery`: ten million bytes.
const SMALLEST_CUTOFF: Bytes = Bytes::new(10_000_000);
/// People in one list. A mail goes to each on its own; a distribution list does it better from here on.
const MOST_PEOPLE: usize = 50;
/// Rules with wildcards: overlap is checked pair by pair.
const MOST_PATTERNS: usize = 100;

struct Problems<'a> {
    found: &'a mut Vec<Problem>,
    /// Whether a document is no TOML in places: what seems to be missing may stand there, and is not called missing.
    broken: bool,
}

impl Problems<'_> {
    fn at(&mut self, place: &Place, message: impl Display) {
        self.found.push(Problem::new(Some(place.clone()), &message.to_string()));
    }

    /// `key` is missing, unless it is there and unreadable.
    fn missing(&mut self, place: Option<&Place>, key: &str, unread: &Unread, message: &str) {
        if !self.broken && !unread.contains(&key) {
            self.found.push(Problem::new(place.cloned(), message));
        }
    }

    fn parsed<T: FromStr<Err: Display>>(&mut self, key: &str, text: &At<String>) -> Option<T> {
        self.ok(key, &text.place, text.value.parse())
    }

    fn ok<T, E: Display>(&mut self, key: &str, place: &Place, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.at(place, format!("`{key}`: {error}"))).ok()
    }
}

pub(super) fn policy(documents: Vec<TypedPolicy>, problems: &mut Vec<Problem>) -> Option<Policy> {
    let broken = documents.iter().any(|document| document.broken);
    let mut problems = Problems { found: problems, broken };
    let mut unread = Unread::new();
    let mut named_none = false;
    let mut mail = TypedMail::default();
    let mut defaults = TypedRules::default();
    let mut workgroups: BTreeMap<String, TypedWorkgroup> = BTreeMap::new();
    for document in documents {
        unread.extend(&document.unread);
        mail = later_mail(document.mail, mail);
        defaults = later_rules(&document.defaults, &defaults);
        // A later document replaces the rule of the same name; twice in one document is a slip.
        let mut here = HashSet::new();
        for workgroup in document.workgroup {
            let Some(name) = &workgroup.name else {
                named_none = true;
                let message = "this `[[workgroup]]` has no `name`: write `name = \"exploratory\"`, or a pattern with `*`";
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
    let mail_zone = mail_zone.unwrap_or(TimeZone::UTC);
    let context = Context { defaults: &defaults, zone: &mail_zone, domains: domains.as_deref() };
    // For what no limit uses; what one does use is found twice and told once.
    rules(&defaults, &context, &mut problems);
    let mut found: Vec<(Place, WorkgroupRule)> =
        workgroups.into_values().filter_map(|w| workgroup(w, &context, &mut problems)).collect();
    if nothing_watched {
        let message =
            "the policy has no `[[workgroup]]`: nothing would be watched; add one, with `name = \"*\"` for all workgroups";
        problems.missing(None, "workgroup", &unread, message);
    }
    overlaps(&found, &mut problems);
    found.sort_by(|(_, a), (_, b)| {
        b.pattern.specificity().cmp(&a.pattern.specificity()).then(a.pattern.cmp(&b.pattern))
    });
    Some(Policy { mail: mail?, rules: found.into_iter().map(|(_, rule)| rule).collect() })
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

fn later_rules(later: &TypedRules, earlier: &TypedRules) -> TypedRules {
    let pick = |l: &Option<At<String>>, e: &Option<At<String>>| l.clone().or_else(|| e.clone());
    let audience = match (&later.audience, &earlier.audience) {
        (Some(At { value: TypedAudience::Each(l), place }), Some(earlier)) => {
            let e = match &earlier.value {
                TypedAudience::Each(each) => each.clone(),
                TypedAudience::Every(all) => {
                    let list = Some(At { value: all.clone(), place: earlier.place.clone() });
                    super::typed::TypedAudiences { warn: list.clone(), critical: list.clone(), exhausted: list }
                }
            };
            let each = super::typed::TypedAudiences {
                warn: l.warn.clone().or(e.warn),
                critical: l.critical.clone().or(e.critical),
                exhausted: l.exhausted.clone().or(e.exhausted),
            };
            Some(At { value: TypedAudience::Each(each), place: place.clone() })
        }
        (Some(audience), _) => Some(audience.clone()),
        (None, earlier) => earlier.clone(),
    };
    TypedRules {
        warn: pick(&later.warn, &earlier.warn),
        critical: pick(&later.critical, &earlier.critical),
        hysteresis: pick(&later.hysteresis, &earlier.hysteresis),
        repeat_every: pick(&later.repeat_every, &earlier.repeat_every),
        audience,
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

/// All of them, or none; in any case all are looked at, so that every problem is reported.
fn all<T>(items: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    items.collect::<Vec<_>>().into_iter().collect()
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
            let message =
                "`[mail]` has no `admins`: somebody must hear of it; write `admins = [\"ops@example.com\"]`";
            problems.missing(None, "admins", &mail.unread, message);
            None
        }
    };
    let sender = match &mail.sender {
        Some(text) => problems.ok("sender", &text.place, Address::parse(&text.value)),
        None => {
            let message = "`[mail]` has no `sender`: write an address that SES has verified, `sender = \"watchdog@example.com\"`";
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

struct Context<'a> {
    defaults: &'a TypedRules,
    zone: &'a TimeZone,
    /// `None` where they could not be read: then no address is judged by them.
    domains: Option<&'a [String]>,
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
    let rules_here = later_rules(&typed.rules, context.defaults);
    rules(&rules_here, context, problems);
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
    if typed.limit.is_empty() && typed.per_query_cutoff.is_none() && !typed.unread.contains(&"per_query_cutoff") {
        let message = format!(
            "workgroup `{}` has neither a `[[workgroup.limit]]` nor a `per_query_cutoff`: give it one",
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
    Some((name.place.clone(), WorkgroupRule { pattern: pattern?, owner, per_query_cutoff: cutoff, limits }))
}

fn limit(typed: &TypedLimit, above: &TypedRules, context: &Context<'_>, problems: &mut Problems<'_>) -> Option<Limit> {
    let zone = match &typed.time_zone {
        Some(name) => zone(name, problems),
        None => Some(context.zone.clone()),
    };
    let window = match &typed.window {
        Some(text) => {
            let window = problems.ok("window", &text.place, Window::parse(&text.value, &zone.unwrap_or(TimeZone::UTC)));
            if let (Some(Window::Rolling { .. }), Some(name)) = (&window, &typed.time_zone) {
                problems.at(
                    &name.place,
                    format!(
                        "`time_zone` has no meaning for the rolling window `{}`: remove it, or write `calendar day`",
                        text.value
                    ),
                );
            }
            window
        }
        None => {
            let message = "this `[[workgroup.limit]]` has no `window`: write `window = \"1h\"`";
            problems.missing(Some(&typed.place), "window", &typed.unread, message);
            None
        }
    };
    let amount = amount(typed, problems);
    let typed_rules = later_rules(&typed.rules, above);
    let rules = rules(&typed_rules, context, problems);
    related(&typed_rules, &rules, problems);
    let (bytes, units, origin) = amount?;
    Some(Limit {
        window: window?,
        bytes,
        units,
        origin,
        warn: rules.warn?,
        critical: rules.critical?,
        hysteresis: rules.hysteresis?,
        repeat_every: rules.repeat_every?,
        audience: rules.audience?,
    })
}

/// What was made of a [`TypedRules`]: `None` where it is wrong, the product's default where it says nothing.
struct Rules {
    warn: Option<Percent>,
    critical: Option<Percent>,
    hysteresis: Option<Percent>,
    repeat_every: Option<SignedDuration>,
    audience: Option<Audience>,
}

fn rules(typed: &TypedRules, context: &Context<'_>, problems: &mut Problems<'_>) -> Rules {
    Rules {
        warn: threshold("warn", typed.warn.as_ref(), WARN, problems),
        critical: threshold("critical", typed.critical.as_ref(), CRITICAL, problems),
        hysteresis: match &typed.hysteresis {
            Some(text) => problems.parsed("hysteresis", text),
            None => Some(HYSTERESIS),
        },
        repeat_every: match &typed.repeat_every {
            Some(text) => interval("repeat_every", text, problems),
            None => Some(REPEAT_EVERY),
        },
        audience: audience(typed.audience.as_ref(), context, problems),
    }
}

/// What must hold between the rules of one limit. Each problem is placed at the value that was written last.
fn related(typed: &TypedRules, rules: &Rules, problems: &mut Problems<'_>) {
    let mut at_last = |a: &Option<At<String>>, b: &Option<At<String>>, message: String| {
        if let Some(text) = a.iter().chain(b).max_by_key(|text| &text.place) {
            problems.at(&text.place, message);
        }
    };
    if let (Some(warn), Some(critical)) = (rules.warn, rules.critical) {
        if warn >= critical {
            let message = format!("`warn` is {warn} and `critical` {critical}: `warn` must be below `critical`");
            at_last(&typed.warn, &typed.critical, message);
        }
    }
    if let (Some(hysteresis), Some(warn)) = (rules.hysteresis, rules.warn) {
        if hysteresis >= warn {
            let message = format!(
                "`hysteresis` is {hysteresis} and `warn` {warn}: an alert could never resolve; make `hysteresis` smaller"
            );
            at_last(&typed.hysteresis, &typed.warn, message);
        }
    }
}

fn amount(typed: &TypedLimit, problems: &mut Problems<'_>) -> Option<(Bytes, crate::bytes::Units, Origin)> {
    let part = |text: &Option<At<String>>, key: &str, problems: &mut Problems<'_>| -> Option<Option<Percent>> {
        text.as_ref().map(|text| problems.parsed(key, text))
    };
    let buffer = part(&typed.buffer, "buffer", problems);
    let share = part(&typed.share, "share", problems);
    match (&typed.limit, &typed.quota) {
        (Some(limit), None) => {
            for (key, text) in [("buffer", &typed.buffer), ("share", &typed.share)] {
                if let Some(text) = text {
                    problems.at(&text.place, format!("`{key}` belongs to a `quota`, and this limit is given directly: remove it, or write `quota` instead of `limit`"));
                }
            }
            let size: Size = problems.parsed("limit", limit)?;
            Some((size.bytes, size.units, Origin::Given))
        }
        (None, Some(quota)) => {
            let size: Option<Size> = problems.parsed("quota", quota);
            let (computed, origin) = match (buffer, share) {
                (Some(_), Some(_)) => {
                    // Both are read above, so that what is wrong with them is told too.
                    problems.at(&quota.place, "this limit has both `buffer` and `share`: `buffer` goes on top of the quota, `share` is a part of it; keep one");
                    return None;
                }
                (Some(buffer), None) => {
                    let (size, buffer) = (size?, buffer?);
                    (buffer.on_top_of(size.bytes), Origin::QuotaAndBuffer { quota: size, buffer })
                }
                (None, Some(share)) => {
                    let share = share?;
                    if share > Percent::HUNDRED || share == Percent::whole(0) {
                        let place = typed.share.as_ref().map_or(&quota.place, |t| &t.place);
                        problems.at(place, format!("`share` is `{share}`: it must be more than 0 % and at most 100 %"));
                        return None;
                    }
                    let size = size?;
                    (share.of(size.bytes), Origin::ShareOfQuota { quota: size, share })
                }
                (None, None) => {
                    let size = size?;
                    (Some(size.bytes), Origin::QuotaAndBuffer { quota: size, buffer: Percent::whole(0) })
                }
            };
            match computed {
                Some(bytes) if bytes > Bytes::ZERO => Some((bytes, size?.units, origin)),
                _ => {
                    problems.at(
                        &quota.place,
                        format!("the limit computed from `quota = \"{}\"` is not between 1 B and 16 EiB", quota.value),
                    );
                    None
                }
            }
        }
        (Some(limit), Some(_)) => {
            problems.at(&limit.place, "this limit has both `limit` and `quota`: write the number in one way only");
            None
        }
        (None, None) => {
            let message = "this `[[workgroup.limit]]` has neither `limit` nor `quota`: write `limit = \"700 GB\"`, or `quota = \"1 TB\"` with `buffer` or `share`";
            if !typed.unread.contains(&"limit") {
                problems.missing(Some(&typed.place), "quota", &typed.unread, message);
            }
            None
        }
    }
}

fn threshold(key: &str, text: Option<&At<String>>, default: Percent, problems: &mut Problems<'_>) -> Option<Percent> {
    let Some(text) = text else { return Some(default) };
    let percent: Percent = problems.parsed(key, text)?;
    if percent == Percent::whole(0) || percent >= Percent::HUNDRED {
        problems.at(
            &text.place,
            format!(
                "`{key}` is `{}`: it must be more than 0 % and less than 100 %, where the limit is exhausted",
                text.value
            ),
        );
        return None;
    }
    Some(percent)
}

fn interval(key: &str, text: &At<String>, problems: &mut Problems<'_>) -> Option<SignedDuration> {
    match duration(&text.value) {
        Some(length) if (SHORTEST_REPEAT..=LONGEST_REPEAT).contains(&length) => Some(length),
        _ => {
            problems.at(
                &text.place,
                format!(
                    "`{key}` is `{}`: write a time from 5 minutes to 30 days with its unit, such as `4h` or `30 min`",
                    text.value
                ),
            );
            None
        }
    }
}

fn zone(name: &At<String>, problems: &mut Problems<'_>) -> Option<TimeZone> {
    // The bundled database only: what a zone means must not depend on the machine.
    let found = TimeZoneDatabase::bundled().get(&name.value);
    if found.is_err() {
        problems.at(
            &name.place,
            format!("`time_zone` is `{}`: no such IANA zone; write for example `Europe/Berlin` or `UTC`", name.value),
        );
    }
    found.ok()
}

fn domain(text: &At<String>, problems: &mut Problems<'_>) -> Option<String> {
    let lower = text.value.to_ascii_lowercase();
    let label = |l: &str| !l.is_empty() && l.len() <= 63 && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if lower.len() <= 253 && lower.contains('.') && lower.split('.').all(label) {
        return Some(lower);
    }
    problems.at(
        &text.place,
        format!("`allowed_domains`: `{}` is not a domain: write it as `example.com`, without `@` or `*`", text.value),
    );
    None
}

fn allowed_address(
    key: &str,
    text: &At<String>,
    domains: Option<&[String]>,
    problems: &mut Problems<'_>,
) -> Option<Address> {
    let address = problems.ok(key, &text.place, Address::parse(&text.value))?;
    if let Some(domains) = domains {
        if !domains.iter().any(|domain| domain == address.domain()) {
            let allowed = domains.iter().take(10).map(|d| format!("`{d}`")).collect::<Vec<_>>().join(", ");
            problems.at(&text.place, format!("`{key}`: `{address}` is outside the allowed domains {allowed}: add `{}` to `allowed_domains`, or remove the address", address.domain()));
            return None;
        }
    }
    Some(address)
}

fn people_bound(key: &str, list: &At<Vec<At<String>>>, problems: &mut Problems<'_>) {
    if list.value.len() > MOST_PEOPLE {
        problems.at(
            &list.place,
            format!("`{key}` names {} people: at most {MOST_PEOPLE}; use a distribution list", list.value.len()),
        );
    }
}

fn audience(typed: Option<&At<TypedAudience>>, context: &Context<'_>, problems: &mut Problems<'_>) -> Option<Audience> {
    let admins = || vec![Who::Admins];
    let Some(typed) = typed else {
        return Some(Audience { warn: admins(), critical: admins(), exhausted: admins() });
    };
    let never_empty = |place: &Place, problems: &mut Problems<'_>| {
        problems.at(
            place,
            "the audience of `exhausted` is empty: somebody must hear that a limit is gone; write `[\"admins\"]`",
        );
    };
    match &typed.value {
        TypedAudience::Every(list) => {
            if list.is_empty() {
                never_empty(&typed.place, problems);
            }
            let list = people(&At { value: list.clone(), place: typed.place.clone() }, context, problems)?;
            Some(Audience { warn: list.clone(), critical: list.clone(), exhausted: list })
        }
        TypedAudience::Each(each) => {
            if let Some(list) = each.exhausted.as_ref().filter(|list| list.value.is_empty()) {
                never_empty(&list.place, problems);
            }
            let mut level = |list: &Option<At<Vec<At<String>>>>| match list {
                Some(list) => people(list, context, problems),
                None => Some(admins()),
            };
            let (warn, critical, exhausted) = (level(&each.warn), level(&each.critical), level(&each.exhausted));
            Some(Audience { warn: warn?, critical: critical?, exhausted: exhausted? })
        }
    }
}

fn people(list: &At<Vec<At<String>>>, context: &Context<'_>, problems: &mut Problems<'_>) -> Option<Vec<Who>> {
    people_bound("audience", list, problems);
    let read = |text: &At<String>, problems: &mut Problems<'_>| match text.value.as_str() {
        "admins" => Some(Who::Admins),
        "owner" => Some(Who::Owner),
        other if other.contains('@') => allowed_address("audience", text, context.domains, problems).map(Who::Address),
        other => {
            problems
                .at(&text.place, format!("`audience`: `{other}` is nobody: write `admins`, `owner` or a mail address"));
            None
        }
    };
    all(list.value.iter().map(|text| read(text, problems)))
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
