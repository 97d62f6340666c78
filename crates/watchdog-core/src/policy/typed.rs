//! The policy as typed: TOML read into texts with their places, nothing interpreted yet.
//!
//! Read by hand from the parsed tree and not by `serde`, because `serde` stops at the first error and people
//! deserve all of them. The same structures give the JSON Schema for editors.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Place, Problem};

/// Characters of one text. The longest that means anything is an address, of 254.
const LONGEST_TEXT: usize = 300;

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
    /// Which workgroups are watched, and their limits.
    #[schemars(default)]
    pub workgroup: Vec<TypedWorkgroup>,
}

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
    /// Share of the limit at which the level is `warn`; `80 %` when absent.
    #[schemars(example = &"80 %", regex(pattern = PERCENT))]
    pub warn: Option<At<String>>,
    /// Share of the limit at which the level is `critical`; `95 %` when absent.
    #[schemars(example = &"95 %", regex(pattern = PERCENT))]
    pub critical: Option<At<String>>,
    /// How far below a threshold use must fall before the level falls, in points; `5 %` when absent.
    #[schemars(example = &"5 %", regex(pattern = PERCENT))]
    pub hysteresis: Option<At<String>>,
    /// How often an open alert is repeated; `4h` when absent.
    #[schemars(example = &"4h")]
    pub repeat_every: Option<At<String>>,
    /// Who is told: `admins`, `owner`, or addresses; one list for all levels, or one per level.
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

/// Reads one document; whatever is wrong goes to `problems`, whatever is right is kept.
pub(super) fn read(name: &str, text: &str, problems: &mut Vec<Problem>) -> TypedPolicy {
    let (tree, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader { name, text, problems };
    let broken = !errors.is_empty();
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let found = text.get(span.clone()).and_then(|found| found.lines().next()).unwrap_or("");
        let found: String = found.chars().take(40).collect();
        let found = if found.is_empty() { found } else { format!(" `{found}`") };
        reader.problem(span.start, &format!("not valid TOML: {}{found}", error.message().replace('\n', ", ")));
    }
    let root = tree.get_ref();
    let mut fields = Fields::of(root, 0, &mut reader);
    let mut policy = TypedPolicy {
        broken,
        unread: Unread::new(),
        mail: fields.table("mail").map(read_mail).unwrap_or_default(),
        defaults: fields
            .table("defaults")
            .map(|mut f| {
                let rules = read_rules(&mut f);
                f.finish("`[defaults]`");
                rules
            })
            .unwrap_or_default(),
        workgroup: fields.tables("workgroup", read_workgroup),
    };
    policy.unread = fields.finish("a policy");
    policy
}

fn read_mail(mut f: Fields<'_, '_>) -> TypedMail {
    let mut mail = TypedMail {
        unread: Unread::new(),
        sender: f.text("sender"),
        reply_to: f.text("reply_to"),
        admins: f.texts("admins"),
        allowed_domains: f.texts("allowed_domains"),
        time_zone: f.text("time_zone"),
        repeat_cannot_see_every: f.text("repeat_cannot_see_every"),
    };
    mail.unread = f.finish("`[mail]`");
    mail
}

fn read_rules(f: &mut Fields<'_, '_>) -> TypedRules {
    TypedRules {
        warn: f.text("warn"),
        critical: f.text("critical"),
        hysteresis: f.text("hysteresis"),
        repeat_every: f.text("repeat_every"),
        audience: f.audience("audience"),
    }
}

fn read_workgroup(mut f: Fields<'_, '_>) -> TypedWorkgroup {
    let mut workgroup = TypedWorkgroup {
        place: f.place(),
        unread: Unread::new(),
        name: f.text("name"),
        owner: f.text("owner"),
        per_query_cutoff: f.text("per_query_cutoff"),
        rules: read_rules(&mut f),
        limit: f.tables("limit", read_limit),
    };
    workgroup.unread = f.finish("`[[workgroup]]`");
    workgroup
}

fn read_limit(mut f: Fields<'_, '_>) -> TypedLimit {
    let mut limit = TypedLimit {
        place: f.place(),
        unread: Unread::new(),
        window: f.text("window"),
        time_zone: f.text("time_zone"),
        limit: f.text("limit"),
        quota: f.text("quota"),
        buffer: f.text("buffer"),
        share: f.text("share"),
        rules: read_rules(&mut f),
    };
    limit.unread = f.finish("`[[workgroup.limit]]`");
    limit
}

struct Reader<'a> {
    name: &'a str,
    text: &'a str,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn place(&self, offset: usize) -> Place {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        Place {
            document: self.name.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    fn problem(&mut self, offset: usize, message: &str) {
        let place = self.place(offset);
        self.problems.push(Problem::new(Some(place), message));
    }
}

/// The fields of one table. Whatever is asked for becomes known; [`Fields::finish`] reports the rest.
struct Fields<'a, 'r> {
    table: &'a DeTable<'a>,
    offset: usize,
    known: Vec<&'static str>,
    unread: Unread,
    reader: &'a mut Reader<'r>,
}

impl<'a, 'r> Fields<'a, 'r> {
    fn of(table: &'a DeTable<'a>, offset: usize, reader: &'a mut Reader<'r>) -> Self {
        Self { table, offset, known: Vec::new(), unread: Unread::new(), reader }
    }

    fn place(&self) -> Place {
        self.reader.place(self.offset)
    }

    fn get(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.known.push(key);
        self.table.get(key)
    }

    fn wrong(&mut self, key: &'static str, found: &Spanned<DeValue<'_>>, wanted: &str) {
        self.unread.push(key);
        let raw: String = self.reader.text.get(found.span()).unwrap_or("").chars().take(40).collect();
        let message = format!("`{key}` must be {wanted}, not the {} `{raw}`", found.get_ref().type_str());
        self.reader.problem(found.span().start, &message);
    }

    fn text(&mut self, key: &'static str) -> Option<At<String>> {
        let found = self.get(key)?;
        self.as_text(key, found)
    }

    fn as_text(&mut self, key: &'static str, found: &Spanned<DeValue<'_>>) -> Option<At<String>> {
        match found.get_ref() {
            DeValue::String(text) if text.chars().nth(LONGEST_TEXT).is_none() => {
                Some(At { value: text.to_string(), place: self.reader.place(found.span().start) })
            }
            DeValue::String(text) => {
                self.unread.push(key);
                let message = format!("`{key}` has {} characters: at most {LONGEST_TEXT}", text.chars().count());
                self.reader.problem(found.span().start, &message);
                None
            }
            _ => {
                self.wrong(key, found, &format!("a text in quotes, such as `\"{}\"`", example(key)));
                None
            }
        }
    }

    fn texts(&mut self, key: &'static str) -> Option<At<Vec<At<String>>>> {
        let found = self.get(key)?;
        match found.get_ref() {
            DeValue::Array(items) => {
                let value = items.iter().filter_map(|item| self.as_text(key, item)).collect();
                Some(At { value, place: self.reader.place(found.span().start) })
            }
            _ => {
                self.wrong(key, found, &format!("a list of texts, such as `[\"{}\"]`", example(key)));
                None
            }
        }
    }

    fn audience(&mut self, key: &'static str) -> Option<At<TypedAudience>> {
        let found = self.get(key)?;
        let place = self.reader.place(found.span().start);
        match found.get_ref() {
            DeValue::Array(items) => {
                let value = items.iter().filter_map(|item| self.as_text(key, item)).collect();
                Some(At { value: TypedAudience::Every(value), place })
            }
            DeValue::Table(table) => {
                let mut f = Fields::of(table, found.span().start, self.reader);
                let each = TypedAudiences {
                    warn: f.texts("warn"),
                    critical: f.texts("critical"),
                    exhausted: f.texts("exhausted"),
                };
                f.finish("`audience`");
                Some(At { value: TypedAudience::Each(each), place })
            }
            _ => {
                self.wrong(key, found, "a list such as `[\"admins\"]`, or a table of lists by level such as `{ exhausted = [\"admins\"] }`");
                None
            }
        }
    }

    fn table(&mut self, key: &'static str) -> Option<Fields<'_, 'r>> {
        let found = self.get(key)?;
        match found.get_ref() {
            DeValue::Table(table) => Some(Fields::of(table, found.span().start, self.reader)),
            _ => {
                self.wrong(key, found, &format!("a table: write `[{key}]`"));
                None
            }
        }
    }

    fn tables<T>(&mut self, key: &'static str, read: fn(Fields<'_, '_>) -> T) -> Vec<T> {
        let Some(found) = self.get(key) else { return Vec::new() };
        let DeValue::Array(items) = found.get_ref() else {
            self.wrong(key, found, &format!("a list of tables: write `[[{key}]]` with double brackets"));
            return Vec::new();
        };
        let mut out = Vec::new();
        for item in items.iter() {
            match item.get_ref() {
                DeValue::Table(table) => out.push(read(Fields::of(table, item.span().start, self.reader))),
                _ => self.wrong(key, item, &format!("a list of tables: write `[[{key}]]` with double brackets")),
            }
        }
        out
    }

    /// Reports the keys that nobody asked for; returns those that could not be read.
    fn finish(self, of: &str) -> Unread {
        let known = self.known.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ");
        for (key, _) in self.table.iter() {
            if !self.known.contains(&key.get_ref().as_ref()) {
                let shown: String = key.get_ref().chars().take(60).collect();
                self.reader.problem(key.span().start, &format!("unknown key `{shown}`: {of} knows {known}"));
            }
        }
        self.unread
    }
}

/// What a key's text looks like, for messages.
fn example(key: &str) -> &'static str {
    match key {
        "limit" | "quota" | "per_query_cutoff" => "700 GB",
        "warn" | "critical" => "80 %",
        "share" => "70 %",
        "buffer" | "hysteresis" => "10 %",
        "window" => "1h",
        "repeat_every" | "repeat_cannot_see_every" => "4h",
        "time_zone" => "Europe/Berlin",
        "allowed_domains" => "example.com",
        "name" => "exploratory",
        "audience" => "admins",
        _ => "ops@example.com",
    }
}

/// The JSON Schema of a policy document, for editors, as pretty-printed JSON.
pub fn json_schema_text() -> String {
    let mut schema = schemars::schema_for!(TypedPolicy).to_value();
    without_null(&mut schema);
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
