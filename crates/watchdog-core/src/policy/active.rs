//! Limits on queries rather than bytes, as meant: how near the account may come to its quotas of active queries (the table
//! `[active_queries]`), and how long a workgroup's queries may wait (its key `waiting`).

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::Audience;
use super::limit::{HOLD, REPEAT_EVERY, audience, threshold, warns_below_critical};
use super::typed::{At, TypedActive, TypedRules};
use super::value::{Context, Problems, hold, interval, switch};
use crate::percent::Percent;
use crate::window::duration;

/// How far back a look goes. Twice the usual schedule: a burst between two runs is seen by the next one, also where that comes late or
/// the newest minutes are not published yet. Longer, and a burst that is over would be told as if it were there.
const LOOK_BACK: SignedDuration = SignedDuration::from_mins(10);
/// Metrics come in buckets of five minutes; within less nothing can be seen for sure.
const SHORTEST_LOOK_BACK: SignedDuration = SignedDuration::from_mins(5);
const LONGEST_LOOK_BACK: SignedDuration = SignedDuration::from_hours(1);

/// Active queries swing by the minute, and an account that lives between 30 and 70 % of its quota is well: that is no warning. From 80 % one
/// orchestrator that starts its jobs on the hour is enough for the rest.
const WARN: Percent = Percent::whole(80);
/// A tenth left: at the common quota of 200, twenty queries; one person's tool opens as many at once.
const CRITICAL: Percent = Percent::whole(90);
/// An alert resolves below 60 %: within the usual swing of 40 points nothing resolves only to open again.
const HYSTERESIS: Percent = Percent::whole(20);

/// Of a time to wait, half: queries that wait so long are not stuck yet, and what makes them wait is still running.
const WAITING_WARN: Percent = Percent::whole(50);
const WAITING_CRITICAL: Percent = Percent::whole(80);
/// It resolves below a quarter of it.
const WAITING_HYSTERESIS: Percent = Percent::whole(25);
/// Athena queues for a moment now and then; less than this is no waiting.
const SHORTEST_WAIT: SignedDuration = SignedDuration::from_secs(10);
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(24);

/// Which of Athena's quotas of active queries a statement counts against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Reads and writes data.
    Dml,
    /// Defines tables.
    Ddl,
}

/// How near the account may come to its quotas of active queries.
#[derive(Debug, Clone, PartialEq)]
pub struct ActiveQueries {
    /// Those that are watched; may be empty.
    pub classes: Vec<Class>,
    /// How far back a look goes, for waiting too; from 5 minutes to an hour.
    pub look_back: SignedDuration,
    /// When an alert opens and falls, and who hears of it.
    pub rules: QueryRules,
}

/// How long a workgroup's queries may wait before they run.
#[derive(Debug, Clone, PartialEq)]
pub struct WaitingRule {
    /// The limit: from 10 seconds to 24 hours.
    pub longest: SignedDuration,
    /// When an alert opens and falls, and who hears of it.
    pub rules: QueryRules,
}

/// When an alert about queries opens, falls, resolves and is repeated, and who hears of it.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryRules {
    /// Share of the limit at which the level is `warn`; below `critical`.
    pub warn: Percent,
    /// Share of the limit at which the level is `critical`; below 100 %.
    pub critical: Percent,
    /// How far below a threshold it must fall before the level falls; less than `warn`.
    pub hysteresis: Percent,
    /// How long it must have been low before the alert resolves.
    pub hold: SignedDuration,
    /// How often an open alert is repeated.
    pub repeat_every: SignedDuration,
    /// Who hears of it.
    pub audience: Audience,
}

impl Class {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Dml, Self::Ddl];

    /// As AWS writes it, for people too.
    pub fn word(self) -> &'static str {
        match self {
            Self::Dml => "DML",
            Self::Ddl => "DDL",
        }
    }

    /// In keys and in the policy.
    pub fn key(self) -> &'static str {
        match self {
            Self::Dml => "dml",
            Self::Ddl => "ddl",
        }
    }

    /// The code of the quota in Service Quotas, of the service `athena`.
    pub fn quota_code(self) -> &'static str {
        match self {
            Self::Dml => "L-FC5F6546",
            Self::Ddl => "L-3CE0BBA0",
        }
    }
}

/// Of two documents the later one's values win key by key.
pub(super) fn later(later: TypedActive, earlier: TypedActive) -> TypedActive {
    TypedActive {
        dml: later.dml.or(earlier.dml),
        ddl: later.ddl.or(earlier.ddl),
        look_back: later.look_back.or(earlier.look_back),
        warn: later.warn.or(earlier.warn),
        critical: later.critical.or(earlier.critical),
        hysteresis: later.hysteresis.or(earlier.hysteresis),
        hold: later.hold.or(earlier.hold),
        repeat_every: later.repeat_every.or(earlier.repeat_every),
        audience: later.audience.or(earlier.audience),
    }
}

pub(super) fn active_queries(
    typed: &TypedActive,
    context: &Context<'_>,
    problems: &mut Problems<'_>,
) -> Option<ActiveQueries> {
    let mut is_on = |class: Class, text: &Option<At<String>>| match text {
        Some(text) => switch(class.key(), text, problems).map(|on| on.then_some(class)),
        None => Some(Some(class)),
    };
    let (dml, ddl) = (is_on(Class::Dml, &typed.dml), is_on(Class::Ddl, &typed.ddl));
    let look_back = match &typed.look_back {
        Some(text) => {
            let bounds = (SHORTEST_LOOK_BACK, LONGEST_LOOK_BACK);
            between("look_back", text, bounds, "5 minutes to 1 hour", "10 min", problems)
        }
        None => Some(LOOK_BACK),
    };
    let warn = threshold("warn", typed.warn.as_ref(), WARN, problems);
    let critical = threshold("critical", typed.critical.as_ref(), CRITICAL, problems);
    let hysteresis = match &typed.hysteresis {
        Some(text) => problems.parsed::<Percent>("hysteresis", text),
        // A default gives way to what is stated.
        None => warn.map(|warn| if HYSTERESIS < warn { HYSTERESIS } else { Percent::whole(0) }),
    };
    warns_below_critical(
        (typed.warn.as_ref(), warn),
        (typed.critical.as_ref(), critical),
        (typed.hysteresis.as_ref(), hysteresis),
        problems,
    );
    let hold = match &typed.hold {
        Some(text) => hold(text, problems),
        None => Some(HOLD),
    };
    let repeat_every = match &typed.repeat_every {
        Some(text) => interval("repeat_every", text, problems),
        None => Some(REPEAT_EVERY),
    };
    let audience = audience(typed.audience.as_ref(), context, problems);
    Some(ActiveQueries {
        classes: [dml?, ddl?].into_iter().flatten().collect(),
        look_back: look_back?,
        rules: QueryRules {
            warn: warn?,
            critical: critical?,
            hysteresis: hysteresis?,
            hold: hold?,
            repeat_every: repeat_every?,
            audience: audience?,
        },
    })
}

/// A workgroup's `waiting`. Its thresholds are the product's; how long it is held, how often repeated and who hears of it are the
/// workgroup's own.
pub(super) fn waiting(
    text: &At<String>,
    typed: &TypedRules,
    context: &Context<'_>,
    problems: &mut Problems<'_>,
) -> Option<WaitingRule> {
    let longest = between("waiting", text, (SHORTEST_WAIT, LONGEST_WAIT), "10 seconds to 24 hours", "2 min", problems);
    let hold = typed.hold.as_ref().map_or(Some(HOLD), |text| hold(text, problems));
    let repeat_every = typed.repeat_every.as_ref();
    let repeat_every = repeat_every.map_or(Some(REPEAT_EVERY), |text| interval("repeat_every", text, problems));
    let audience = audience(typed.audience.as_ref(), context, problems);
    Some(WaitingRule {
        longest: longest?,
        rules: QueryRules {
            warn: WAITING_WARN,
            critical: WAITING_CRITICAL,
            hysteresis: WAITING_HYSTERESIS,
            hold: hold?,
            repeat_every: repeat_every?,
            audience: audience?,
        },
    })
}

fn between(
    key: &str,
    text: &At<String>,
    (shortest, longest): (SignedDuration, SignedDuration),
    words: &str,
    example: &str,
    problems: &mut Problems<'_>,
) -> Option<SignedDuration> {
    let length = duration(&text.value).filter(|length| (shortest..=longest).contains(length));
    if length.is_none() {
        let message =
            format!("`{key}` is `{}`: write a time from {words} with its unit, such as `{example}`", text.value);
        problems.at(&text.place, message);
    }
    length
}
