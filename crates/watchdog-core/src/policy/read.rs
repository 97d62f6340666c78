//! Reading one TOML document into [`super::typed`].
//!
//! By hand from the parsed tree and not by `serde`, because `serde` stops at the first error and people deserve all of
//! them.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Place, Problem};
use super::typed::{
    At, TypedActive, TypedAudience, TypedAudiences, TypedEconomy, TypedGrants, TypedLimit, TypedMail, TypedPolicy,
    TypedReport, TypedRules, TypedSilences, TypedSubmitters, TypedWorkgroup, Unread,
};

/// Characters of one text. The longest that means anything is an address, of 254.
const LONGEST_TEXT: usize = 300;

/// Reads one document; whatever is wrong goes to `problems`, whatever is right is kept.
pub(super) fn read(name: &str, text: &str, problems: &mut Vec<Problem>) -> TypedPolicy {
    let (tree, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader { name, text, lines: line_starts(text), problems };
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
        submitters: fields.table("submitters").map(read_submitters).unwrap_or_default(),
        active_queries: fields.table("active_queries").map(read_active).unwrap_or_default(),
        economy: fields.table("economy").map(read_economy).unwrap_or_default(),
        grants: fields.table("grants").map(read_grants).unwrap_or_default(),
        silences: fields.table("silences").map(read_silences).unwrap_or_default(),
        report: fields.table("report").map(read_report).unwrap_or_default(),
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
        forecast: f.text("forecast"),
        hold: f.text("hold"),
        repeat_every: f.text("repeat_every"),
        audience: f.audience("audience"),
    }
}

fn read_submitters(mut f: Fields<'_, '_>) -> TypedSubmitters {
    let people = f.table("people").map(|f| f.entries("people")).unwrap_or_default();
    let submitters = TypedSubmitters {
        people: people.into_iter().map(|(key, address)| (key.value.clone(), (key, address))).collect(),
        trusted_roles: f.texts("trusted_roles"),
        trusted_source_identity: f.texts("trusted_source_identity"),
        share_floor: f.text("share_floor"),
        bytes_floor: f.text("bytes_floor"),
        repeat_every: f.text("repeat_every"),
        show_sql: f.flag("show_sql"),
    };
    f.finish("`[submitters]`");
    submitters
}

fn read_active(mut f: Fields<'_, '_>) -> TypedActive {
    let active = TypedActive {
        dml: f.text("dml"),
        ddl: f.text("ddl"),
        look_back: f.text("look_back"),
        warn: f.text("warn"),
        critical: f.text("critical"),
        hysteresis: f.text("hysteresis"),
        hold: f.text("hold"),
        repeat_every: f.text("repeat_every"),
        audience: f.audience("audience"),
    };
    f.finish("`[active_queries]`");
    active
}

fn read_economy(mut f: Fields<'_, '_>) -> TypedEconomy {
    let economy = TypedEconomy { at_most: f.text("at_most") };
    f.finish("`[economy]`");
    economy
}

fn read_grants(mut f: Fields<'_, '_>) -> TypedGrants {
    let grants = TypedGrants {
        granters: f.texts("granters"),
        workgroups: f.texts("workgroups"),
        highest_limit: f.text("highest_limit"),
        highest_per_query: f.text("highest_per_query"),
        longest: f.text("longest"),
        second_approver: f.flag("second_approver"),
    };
    f.finish("`[grants]`");
    grants
}

fn read_silences(mut f: Fields<'_, '_>) -> TypedSilences {
    let silences =
        TypedSilences { silencers: f.texts("silencers"), longest: f.text("longest"), never: f.texts("never") };
    f.finish("`[silences]`");
    silences
}

fn read_report(mut f: Fields<'_, '_>) -> TypedReport {
    let report = TypedReport { weekly: f.text("weekly"), to: f.texts("to"), price_per_tb: f.text("price_per_tb") };
    f.finish("`[report]`");
    report
}

fn read_workgroup(mut f: Fields<'_, '_>) -> TypedWorkgroup {
    let mut workgroup = TypedWorkgroup {
        place: f.place(),
        unread: Unread::new(),
        name: f.text("name"),
        owner: f.text("owner"),
        per_query_cutoff: f.text("per_query_cutoff"),
        waiting: f.text("waiting"),
        plan: f.text("plan"),
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

/// Where each line starts: a thousand workgroups have ten thousand values with a place each.
fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(n, _)| n + 1)).collect()
}

struct Reader<'a> {
    name: &'a str,
    text: &'a str,
    /// The start of each line.
    lines: Vec<usize>,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn place(&self, offset: usize) -> Place {
        // A place within a letter is none, and stands for the end.
        let offset = if self.text.is_char_boundary(offset) { offset } else { self.text.len() };
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = line.checked_sub(1).and_then(|n| self.lines.get(n)).copied().unwrap_or(0);
        let column = self.text.get(start..offset).map_or(0, |before| before.chars().count()) + 1;
        Place { document: self.name.to_owned(), line, column }
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

    fn flag(&mut self, key: &'static str) -> Option<bool> {
        let found = self.get(key)?;
        match found.get_ref() {
            DeValue::Boolean(flag) => Some(*flag),
            _ => {
                self.wrong(key, found, "`true` or `false`");
                None
            }
        }
    }

    /// All keys of a table whose keys are names and not words of the policy, each with its text.
    fn entries(mut self, of: &'static str) -> Vec<(At<String>, At<String>)> {
        let mut entries = Vec::new();
        for (key, value) in self.table.iter() {
            let name = At { value: key.get_ref().to_string(), place: self.reader.place(key.span().start) };
            entries.extend(self.as_text(of, value).map(|text| (name, text)));
        }
        entries
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
        "highest_limit" | "highest_per_query" => "5 TB",
        "granters" | "silencers" => "role/admin",
        "workgroups" => "ad-hoc",
        "longest" => "8h",
        "never" => "exhausted",
        "weekly" => "mon 08:00",
        "price_per_tb" => "5.00",
        "plan" => "1h + 10 %",
        "share_floor" => "2 %",
        "bytes_floor" => "1 GB",
        "trusted_roles" | "trusted_source_identity" => "analyst",
        "people" => "ann@example.com",
        "warn" | "critical" => "80 %",
        "share" => "70 %",
        "buffer" | "hysteresis" => "10 %",
        "window" => "1h",
        "forecast" | "dml" | "ddl" => "on",
        "look_back" => "10 min",
        "waiting" => "2 min",
        "hold" | "at_most" => "30 min",
        "repeat_every" | "repeat_cannot_see_every" => "4h",
        "time_zone" => "Europe/Berlin",
        "allowed_domains" => "example.com",
        "name" => "exploratory",
        "audience" => "admins",
        _ => "ops@example.com",
    }
}
