//! The policy as typed: texts with their places, nothing interpreted yet. The same structures give the JSON Schema for
//! editors.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use super::problem::Place;

/// What an editor checks of a size while it is typed; the reader knows the whole truth.
const SIZE: &str = r"^\s*[0-9]{1,20}(\.[0-9]{1,18})?\s*([kKmMgGtTpPeE][iI]?)?[bB]\s*$";
/// The same of a percentage.
const PERCENT: &str = r"^\s*[0-9]{1,5}(\.[0-9]{1,2})?\s*%\s*$";
/// The same of a workgroup's name.
const NAME: &str = r"^[A-Za-z0-9._*?-]{1,128}$";

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct At<T> {
    pub value: T,
    pub place: Place,
}

/// Keys of a table that are there and could not be read. They have been reported, so they do not count as missing.
pub(super) type Unread = Vec<&'static str>;

impl<T: JsonSchema> JsonSchema for At<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn inline_schema() -> bool {
        T::inline_schema()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// Policy of the Athena quota watchdog. One document of several that are merged in the order of their names:
/// for `mail` and `defaults` the later document wins key by key, a `workgroup` replaces the earlier one of the same name.
#[derive(Debug, Default, JsonSchema)]
#[schemars(title = "Athena quota watchdog policy", deny_unknown_fields)]
pub(super) struct TypedPolicy {
    /// Whether the text is no TOML in places. Then what seems to be missing may stand there.
    #[schemars(skip)]
    pub broken: bool,
    #[schemars(skip)]
    pub unread: Unread,
    /// Who sends, who is told, and where mail may go at all.
    #[schemars(default)]
    pub mail: TypedMail,
    /// What holds for every limit that does not say otherwise.
    #[schemars(default)]
    pub defaults: TypedRules,
    /// How the people behind queries are found, and when they are told.
    #[schemars(default)]
    pub submitters: TypedSubmitters,
    /// How near the account may come to its quotas of active queries.
    #[schemars(default)]
    pub active_queries: TypedActive,
    /// Asking less often where a level cannot change before the next look. Without this table every workgroup is asked in every run.
    #[schemars(default)]
    pub economy: TypedEconomy,
    /// Who may raise which limits for a while. Without this table nobody may.
    #[schemars(default)]
    pub grants: TypedGrants,
    /// Who may hold alerts back for a while. Without this table nobody may.
    #[schemars(default)]
    pub silences: TypedSilences,
    /// A report of each week by mail. Without this table there is none.
    #[schemars(default)]
    pub report: TypedReport,
    /// Which workgroups are watched, and their limits.
    #[schemars(default)]
    pub workgroup: Vec<TypedWorkgroup>,
}

/// Who may raise which limits for a while, how far and for how long.
#[derive(Debug, Default, JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Grants")]
pub(super) struct TypedGrants {
    /// Who may grant, approve, extend and revoke: `user/NAME`, `role/NAME` (all its sessions), `role/NAME/SESSION`, or an ARN.
    #[schemars(example = ["role/admin"])]
    pub granters: Option<At<Vec<At<String>>>>,
    /// The workgroups whose limits and cutoffs may be raised, each by its exact name.
    #[schemars(example = ["ad-hoc"])]
    pub workgroups: Option<At<Vec<At<String>>>>,
    /// How far a limit may be raised; when absent, no limit may.
    #[schemars(example = &"5 TB", regex(pattern = SIZE))]
    pub highest_limit: Option<At<String>>,
    /// How far a per-query cutoff may be raised; when absent, no cutoff may.
    #[schemars(example = &"1 TB", regex(pattern = SIZE))]
    pub highest_per_query: Option<At<String>>,
    /// How long a grant may last with all its extensions, from 5 minutes to 31 days.
    #[schemars(example = &"8h")]
    pub longest: Option<At<String>>,
    /// Whether a grant stands only once a second person has approved it; `false` when absent.
    pub second_approver: Option<bool>,
}

/// Who may hold alerts back for a while.
#[derive(Debug, Default, JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Silences")]
pub(super) struct TypedSilences {
    /// Who may silence an alert: as `granters`.
    #[schemars(example = ["role/admin"])]
    pub silencers: Option<At<Vec<At<String>>>>,
    /// How long a silence may last, from 5 minutes to 31 days.
    #[schemars(example = &"8h")]
    pub longest: Option<At<String>>,
    /// Levels that are told whatever is silenced: `warn`, `critical`, `exhausted`; none when absent.
    #[schemars(example = ["exhausted"])]
    pub never: Option<At<Vec<At<String>>>>,
}

/// A report of each week by mail.
#[derive(Debug, Default, JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Report")]
pub(super) struct TypedReport {
    /// When it is sent: a day and a time of 24 hours, by the clock of `time_zone` in `[mail]`; the first run after it sends it.
    #[schemars(example = &"mon 08:00")]
    pub weekly: Option<At<String>>,
    /// Who gets it; the admins when absent.
    #[schemars(example = ["vp@example.com"])]
    pub to: Option<At<Vec<At<String>>>>,
    /// What 10^12 bytes scanned cost in US dollars; `5.00` when absent.
    #[schemars(example = &"5.00")]
    pub price_per_tb: Option<At<String>>,
}

/// How the people behind queries are found, and when they are told.
#[derive(Debug, Default, JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Submitters")]
pub(super) struct TypedSubmitters {
    /// Whose principal belongs to whom: `user/NAME`, `role/NAME` (all its sessions), `role/NAME/SESSION`, `service/NAME`, or an
    /// ARN; and a mail address.
    #[schemars(with = "BTreeMap<String, String>", default, example = People::from([("user/etl", "etl-team@example.com")]))]
    pub people: BTreeMap<String, (At<String>, At<String>)>,
    /// Roles whose session names are set by something you trust, so that an address in one is its person's. Those of IAM
    /// Identity Center (`AWSReservedSSO_…`) always count.
    #[schemars(example = ["analyst"])]
    pub trusted_roles: Option<At<Vec<At<String>>>>,
    /// Roles whose trust policy makes sure of `sts:SourceIdentity`, so that an address in it is its person's.
    #[schemars(example = ["analyst"])]
    pub trusted_source_identity: Option<At<Vec<At<String>>>>,
    /// Who used less of the window is not told; from `1 %`, and `2 %` when absent.
    #[schemars(example = &"2 %", regex(pattern = PERCENT))]
    pub share_floor: Option<At<String>>,
    /// Who used fewer bytes is not told either; `1 GB` when absent.
    #[schemars(example = &"1 GB", regex(pattern = SIZE))]
    pub bytes_floor: Option<At<String>>,
    /// How soon the same person may be told again, and then only of new queries; `1h` when absent.
    #[schemars(example = &"1h")]
    pub repeat_every: Option<At<String>>,
    /// Whether mails show the text of queries; `false` when absent, for it may hold personal data.
    pub show_sql: Option<bool>,
}

/// How near the account may come to Athena's quotas of active queries (those that run and those that wait, in all workgroups together).
#[derive(Debug, Default, JsonSchema)]
#[schemars(deny_unknown_fields, rename = "ActiveQueries")]
pub(super) struct TypedActive {
    /// Whether active DML queries are watched: `on` or `off`; `on` when absent.
    #[schemars(example = &"on", regex(pattern = "^(on|off)$"))]
    pub dml: Option<At<String>>,
    /// Whether active DDL queries are watched: `on` or `off`; `on` when absent.
    #[schemars(example = &"on", regex(pattern = "^(on|off)$"))]
    pub ddl: Option<At<String>>,
    /// How far back a look goes, for `waiting` too: the most in this time counts. From 5 minutes to an hour, at least twice the
    /// schedule; `10 min` when absent.
    #[schemars(example = &"10 min")]
    pub look_back: Option<At<String>>,
    /// Share of the quota at which the level is `warn`; `80 %` when absent.
    #[schemars(example = &"80 %", regex(pattern = PERCENT))]
    pub warn: Option<At<String>>,
    /// Share of the quota at which the level is `critical`; `90 %` when absent.
    #[schemars(example = &"90 %", regex(pattern = PERCENT))]
    pub critical: Option<At<String>>,
    /// How far below a threshold the number must fall before the level falls, in points; `20 %` when absent.
    #[schemars(example = &"20 %", regex(pattern = PERCENT))]
    pub hysteresis: Option<At<String>>,
    /// How long it must stay low before an alert resolves; `30 min` when absent, `0 min` for at once.
    #[schemars(example = &"30 min")]
    pub hold: Option<At<String>>,
    /// How often an open alert is repeated; `4h` when absent.
    #[schemars(example = &"4h")]
    pub repeat_every: Option<At<String>>,
    /// Who is told: `admins`, addresses, or `submitters` for those who have the most queries active. These are told in any case where
    /// the limits of their own workgroup tell its submitters. `admins` when absent.
    #[schemars(example = ["admins"])]
    pub audience: Option<At<TypedAudience>>,
}

/// Asking less often where a level cannot change before the next look: the most of the cost is what CloudWatch asks for each metric.
#[derive(Debug, Default, JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Economy")]
pub(super) struct TypedEconomy {
    /// How long a workgroup may go unasked, from 10 minutes to an hour, where it stays below every level even if it scans as much
    /// meanwhile as it was ever seen to. Should it scan more, people hear of it that much later at most. `0 min`, or absent: every
    /// workgroup is asked in every run.
    #[schemars(example = &"30 min")]
    pub at_most: Option<At<String>>,
}

/// An example of them.
type People = BTreeMap<&'static str, &'static str>;

/// Who sends, who is told, and where mail may go at all.
#[derive(Debug, Default, JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Mail")]
pub(super) struct TypedMail {
    #[schemars(skip)]
    pub unread: Unread,
    /// The From address; its identity must be verified in SES.
    #[schemars(example = &"watchdog@example.com")]
    pub sender: Option<At<String>>,
    /// Where answers go, when not to the sender.
    #[schemars(example = &"data-platform@example.com")]
    pub reply_to: Option<At<String>>,
    /// The people called `admins` in an audience. At least one.
    #[schemars(example = ["ops@example.com"])]
    pub admins: Option<At<Vec<At<String>>>>,
    /// The only domains that mail is ever sent to; subdomains are not included.
    #[schemars(example = ["example.com"])]
    pub allowed_domains: Option<At<Vec<At<String>>>>,
    /// IANA time zone of the times in mails, beside UTC; `UTC` when absent.
    #[schemars(example = &"Europe/Berlin")]
    pub time_zone: Option<At<String>>,
    /// How often the admins are reminded of a workgroup that cannot be seen; `24h` when absent.
    #[schemars(example = &"24h")]
    pub repeat_cannot_see_every: Option<At<String>>,
}

/// When a limit's alert opens, rises, is repeated and resolves, and who hears of it.
#[derive(Debug, Default, Clone, JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Rules")]
pub(super) struct TypedRules {
    /// Share of the limit at which the level is `warn`. When absent: `90 %`, or sooner by the forecast; `80 %` where the forecast is off or
    /// has too little history.
    #[schemars(example = &"80 %", regex(pattern = PERCENT))]
    pub warn: Option<At<String>>,
    /// Share of the limit at which the level is `critical`; `95 %` when absent.
    #[schemars(example = &"95 %", regex(pattern = PERCENT))]
    pub critical: Option<At<String>>,
    /// How far below a threshold use must fall before the level falls, in points. When absent: `5 %`, or as much as it takes for the
    /// alert to resolve below 75 % of the limit.
    #[schemars(example = &"5 %", regex(pattern = PERCENT))]
    pub hysteresis: Option<At<String>>,
    /// Whether a forecast that the limit will run out within the hour opens a warning too: `on` or `off`; `on` when absent.
    #[schemars(example = &"on", regex(pattern = "^(on|off)$"))]
    pub forecast: Option<At<String>>,
    /// How long use must stay low, and the forecast calm, before an alert resolves; `30 min` when absent, `0 min` for at once.
    #[schemars(example = &"30 min")]
    pub hold: Option<At<String>>,
    /// How often an open alert is repeated; `4h` when absent.
    #[schemars(example = &"4h")]
    pub repeat_every: Option<At<String>>,
    /// Who is told: `admins`, `owner`, `submitters`, or addresses; one list for all levels, or one per level.
    #[schemars(example = ["admins"])]
    pub audience: Option<At<TypedAudience>>,
}

/// Who is told: one list for every level, or one for each.
#[derive(Debug, Clone, PartialEq, JsonSchema)]
#[schemars(untagged, rename = "Audience")]
pub(super) enum TypedAudience {
    /// For every level.
    Every(Vec<At<String>>),
    /// For each level on its own; absent ones keep what the defaults say.
    Each(TypedAudiences),
}

/// Audiences by level.
#[derive(Debug, Default, Clone, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Audiences")]
pub(super) struct TypedAudiences {
    /// Who hears of `warn`.
    pub warn: Option<At<Vec<At<String>>>>,
    /// Who hears of `critical`.
    pub critical: Option<At<Vec<At<String>>>>,
    /// Who hears of `exhausted`. Never empty.
    pub exhausted: Option<At<Vec<At<String>>>>,
}

/// One workgroup, or several by a name pattern.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Workgroup")]
pub(super) struct TypedWorkgroup {
    #[schemars(skip)]
    pub place: Place,
    #[schemars(skip)]
    pub unread: Unread,
    /// The workgroup's name, or a pattern with `*` and `?`; of several that match, the most specific counts.
    #[schemars(example = &"exploratory", required, regex(pattern = NAME))]
    pub name: Option<At<String>>,
    /// Whom `owner` means in an audience.
    #[schemars(example = &"etl-team@example.com")]
    pub owner: Option<At<String>>,
    /// What one query may scan. Athena enforces this itself; it is stated here to be shown and compared.
    #[schemars(example = &"50 GB", regex(pattern = SIZE))]
    pub per_query_cutoff: Option<At<String>>,
    /// How long its queries may wait before they run, from 10 seconds to 24 hours.
    #[schemars(example = &"2 min")]
    pub waiting: Option<At<String>>,
    /// How `watchdog plan` computes the limits: `1h + 10 %`, `per query`, `70 % of spare`, `100 GB in 1h`, or several with commas
    /// between them. Runs take no notice of it.
    #[schemars(example = &"1h + 10 %")]
    pub plan: Option<At<String>>,
    #[schemars(flatten)]
    pub rules: TypedRules,
    /// The workgroup's limits, one per window.
    #[schemars(default)]
    pub limit: Vec<TypedLimit>,
}

/// How many bytes a workgroup may scan in one window: given directly, or computed from a quota.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Limit")]
pub(super) struct TypedLimit {
    #[schemars(skip)]
    pub place: Place,
    #[schemars(skip)]
    pub unread: Unread,
    /// How long the limit looks back: `1h`, `24h` and so on roll; `calendar hour` and `calendar day` begin anew.
    #[schemars(example = &"1h", required)]
    pub window: Option<At<String>>,
    /// IANA time zone of a calendar window; that of `mail` when absent.
    #[schemars(example = &"Europe/Berlin")]
    pub time_zone: Option<At<String>>,
    /// The limit itself. Either this or `quota`.
    #[schemars(example = &"700 GiB", regex(pattern = SIZE))]
    pub limit: Option<At<String>>,
    /// What the limit is computed from: `quota × (1 + buffer)`, or `quota × share`.
    #[schemars(example = &"1 TB", regex(pattern = SIZE))]
    pub quota: Option<At<String>>,
    /// What is put on top of the quota.
    #[schemars(example = &"10 %", regex(pattern = PERCENT))]
    pub buffer: Option<At<String>>,
    /// The part of the quota that may be used.
    #[schemars(example = &"70 %", regex(pattern = PERCENT))]
    pub share: Option<At<String>>,
    #[schemars(flatten)]
    pub rules: TypedRules,
}

/// The JSON Schema of a policy document, for editors, as pretty-printed JSON.
pub fn json_schema_text() -> String {
    let mut schema = schemars::schema_for!(TypedPolicy).to_value();
    without_null(&mut schema);
    // In the order of names, whatever the build: another crate may have switched `serde_json` to the order of insertion.
    schema.sort_all_objects();
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

/// TOML has no null: what may be absent is not required, and that is all.
fn without_null(schema: &mut Value) {
    let null = Value::from("null");
    match schema {
        Value::Object(fields) => {
            if let Some(Value::Array(types)) = fields.get_mut("type") {
                types.retain(|kind| *kind != null);
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    fields.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(forms)) = fields.get_mut("anyOf") {
                forms.retain(|form| form.get("type") != Some(&null));
                if let [Value::Object(only)] = forms.as_mut_slice() {
                    let mut only = std::mem::take(only);
                    fields.remove("anyOf");
                    fields.append(&mut only);
                }
            }
            fields.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        _ => {}
    }
}

impl JsonSchema for Place {
    fn schema_name() -> Cow<'static, str> {
        "Place".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!(true)
    }
}
