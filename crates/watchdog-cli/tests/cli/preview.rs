//! `watchdog preview`: the mails of a policy, without AWS.

use expect_test::expect;

use super::{POLICY, check, file, nowhere, output, shown, watchdog};

const AT: [&str; 2] = ["--at", "2026-03-01T14:05:00Z"];

fn preview(args: &[&str]) -> std::process::Command {
    let args: Vec<&str> = ["preview"].iter().chain(args).chain(&AT).copied().collect();
    watchdog(&args)
}

#[test]
fn a_submitters_mail() {
    check(
        preview(&["--sample", "--audience", "submitter"]),
        &expect![[r#"
            exit 0
            --- stdout
            To: alex@example.com
            Subject: [critical] exploratory: 96 % of 700 GiB used, out at about 15:10 CET, 404.2 GiB by your queries

            [critical] exploratory: 96 % of 700 GiB used, out at about 15:10 CET, 404.2 GiB by your queries

            exploratory has used 96 % of its 700 GiB in the last hour (as of 15:05 CET, 14:05 UTC).
            Your 2 queries scanned 404.2 GiB, 59 % of it. 26.2 GiB are left. At this pace it runs out at about 15:10 CET, 14:10 UTC.

            [###################+] 96 %   673.8 GiB used, 35 GiB in flight (2 queries), 26.2 GiB left

            Scanned since 14:05 CET, 13:05 UTC, added up; full height is the limit
                    ▁▁▁▁▁▁▁▁▁▁▂▂▂▂▂▂▂▂▂▂▄▄▄▄▄▄▄▄▄▄▇▇▇▇
              14:05 CET, 13:05 UTC - 15:10 CET, 14:10 UTC
              steepest rise: 269.5 GiB until 15:00 CET, 14:00 UTC

            What to do now
              Stop one that still runs:
                aws athena stop-query-execution --region eu-central-1 --query-execution-id 5e6f7a80-1b2c-4d3e-8f90-a1b2c3d40090
              Read fewer partitions:
                put the partition columns into WHERE, such as the day; what they rule out is not scanned.
              Read fewer columns:
                name those that you need instead of SELECT *; in Parquet and ORC only they are scanned.
              LIMIT does not help:
                it shortens what you see, and not what is scanned.
              If you need more, ask:
                ops@example.com

            Your queries
              - 269.5 GiB (39 %), succeeded, ended 14:57 CET, 13:57 UTC
                https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/query-editor/history/5e6f7a80-1b2c-4d3e-8f90-a1b2c3d40001
              - 134.7 GiB (19 %), succeeded, ended 14:28 CET, 13:28 UTC
                https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/query-editor/history/5e6f7a80-1b2c-4d3e-8f90-a1b2c3d40002
              - running since 14:58 CET, 13:58 UTC, 28 GiB so far
                https://eu-central-1.console.aws.amazon.com/athena/home?region=eu-central-1#/query-editor/history/5e6f7a80-1b2c-4d3e-8f90-a1b2c3d40090
              What still waits or runs is not counted yet: its bytes are known for sure when it has ended.

            The numbers
              Used          673.8 GiB (723,433,553,920 bytes)
              Limit         700 GiB (751,619,276,800 bytes)
              The limit is  70 % of a quota of 1000 GiB
              Window        1h, since 2026-03-01 14:05 CET (13:05 UTC)
              Warns at      90 %, or sooner by the forecast; critical at 95 %; resolves below 75 % for 30 min
              Before        the third time in 7 days; last on 2026-02-27 18:05 CET (17:05 UTC): exhausted, at most 118 %, open for 2 h 30 min

            Why now: the alert has just opened.

            --
            Athena Quota Watchdog (athena-quota-watchdog, eu-central-1), as of 2026-03-01 15:05 CET (14:05 UTC).
            You (alex@example.com) get this because your queries are among those that use it up.
            To hear less, ask your admins: the policy says who is told, from when on, and how often again.
        "#]],
    );
}

#[test]
fn an_admins_mail_of_their_own_policy() {
    let policy = file("preview/policy.toml", POLICY);
    check(
        preview(&["--policy", &policy, "--reason", "resolved", "--workgroup", "predictable"]),
        &expect![[r#"
            exit 0
            --- stdout
            To: dba@example.com
            Subject: [resolved] predictable: 60 % of 1.1 TB used in the last hour

            [resolved] predictable: 60 % of 1.1 TB used in the last hour

            predictable has used 60 % of its 1.1 TB in the last hour (as of 15:05 CET, 14:05 UTC).
            It has been below 75 % for 30 min: the alert is over.

            [############........] 60 %   660 GB used, 440 GB left

            Scanned since 14:05 CET, 13:05 UTC, added up; full height is the limit
                    ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▂▂▂▂▂▂▂▂▂▂▄▄▄▄
              14:05 CET, 13:05 UTC - now, 15:05 CET, 14:05 UTC
              steepest rise: 264 GB until 15:00 CET, 14:00 UTC

            The numbers
              Used          660 GB (660,000,000,000 bytes)
              Limit         1.1 TB (1,100,000,000,000 bytes)
              The limit is  a quota of 1 TB and a buffer of 10 %
              Window        1h, since 2026-03-01 14:05 CET (13:05 UTC)
              Warns at      90 %, or sooner by the forecast; critical at 95 %; resolves below 75 % for 30 min
              This time     critical since 13:35 CET, 12:35 UTC, at most 96 %, open for 1 h 30 min, 2 mails so far
              Before        the third time in 7 days; last on 2026-02-27 18:05 CET (17:05 UTC): exhausted, at most 118 %, open for 2 h 30 min

            Why now: the alert that opened 2026-03-01 13:35 CET (12:35 UTC) is over.

            --
            Athena Quota Watchdog (athena-quota-watchdog, eu-central-1), as of 2026-03-01 15:05 CET (14:05 UTC).
            You (dba@example.com) get this because you are one of the policy's admins.
            Nothing more comes of what is over.
        "#]],
    );
}

#[test]
fn a_mail_that_nobody_would_get() {
    let policy = file("preview/nobody.toml", POLICY);
    check(
        preview(&["--policy", &policy, "--workgroup", "predictable", "--audience", "submitter"]),
        &expect![[r#"
        exit 2
        --- stderr
        error: there is no such mail: the policy tells no submitters of `critical` of predictable for 1h: see its `audience`
    "#]],
    );
    check(
        preview(&["--policy", &policy, "--workgroup", "fast-query"]),
        &expect![[r#"
        exit 2
        --- stderr
        error: there is no such mail: the policy has no limit of `fast-query`
    "#]],
    );
    check(
        preview(&["--sample", "--reason", "escalated", "--level", "warn"]),
        &expect![[r#"
        exit 2
        --- stderr
        error: there is no such mail: nothing gets worse to `warn`, the lowest level: ask for `critical` or `exhausted`
    "#]],
    );
}

#[test]
fn wrong_usage() {
    check(
        preview(&["--sample", "--all"]),
        &expect![[r#"
        exit 2
        --- stderr
        error: the following required arguments were not provided:
          --out <DIR>

        Usage: watchdog preview --out <DIR> --sample --all --at <INSTANT>

        For more information, try '--help'.
    "#]],
    );
    check(
        preview(&["--sample", "--level", "bad"]),
        &expect![[r#"
        exit 2
        --- stderr
        error: invalid value 'bad' for '--level <LEVEL>'
          [possible values: warn, critical, exhausted]

        For more information, try '--help'.
    "#]],
    );
    check(
        preview(&["--sample", "--stack", "prod"]),
        &expect![[r#"
        exit 2
        --- stderr
        error: the argument '--sample' cannot be used with '--stack <NAME>'

        Usage: watchdog preview --sample --at <INSTANT>

        For more information, try '--help'.
    "#]],
    );
}

#[test]
fn wrong_usage_of_what_is_there_now() {
    check(
        watchdog(&["preview", "--live", "--sample"]),
        &expect![[r#"
        exit 2
        --- stderr
        error: the argument '--live' cannot be used with '--sample'

        Usage: watchdog preview --live

        For more information, try '--help'.
    "#]],
    );
    check(
        watchdog(&["preview", "--live", "--at", AT[1]]),
        &expect![[r#"
        exit 2
        --- stderr
        error: the argument '--live' cannot be used with '--at <INSTANT>'

        Usage: watchdog preview --live

        For more information, try '--help'.
    "#]],
    );
    check(
        watchdog(&["preview", "--live", "--reason", "silenced"]),
        &expect![[r#"
        exit 2
        --- stderr
        error: `--reason silenced` cannot be chosen among the mails of now: a mail after a silence is one about an alert that `opened`
    "#]],
    );
    // The variable is of no account to what is made up.
    let mut command = preview(&["--sample", "--out", "preview/variable"]);
    command.env("WATCHDOG_STATE_TABLE", "table");
    check(
        command,
        &expect![[r#"
        exit 0
        --- stderr
        wrote it as .eml, .html and .txt into preview/variable
    "#]],
    );
}

#[test]
fn a_policy_that_cannot_be_asked_for() {
    check(
        nowhere(&["preview", "--live"]),
        &expect![[r#"
            exit 3
            --- stderr
            warning: the state table of the stack `athena-quota-watchdog` could not be looked up: `cloudformation:ListStackResources` failed with `Unreachable`: io error: client error (Connect): tcp connect error: Connection refused (os error 111); give `--state-table NAME` to do without
            no state table is read: this is as if nobody had been told anything yet, and without grants and silences
            error: the policy in the SSM parameters under `/athena-quota-watchdog/athena-quota-watchdog/policy` cannot be read: `ssm:GetParametersByPath` failed with `Unreachable`: io error: client error (Connect): tcp connect error: Connection refused (os error 111)
        "#]],
    );
    check(
        nowhere(&["preview"]),
        &expect![[r#"
        exit 3
        --- stderr
        error: the policy cannot be read: `ssm:GetParametersByPath` failed with `Unreachable`: io error: client error (Connect): tcp connect error: Connection refused (os error 111)
    "#]],
    );
}

/// All mails of the sample, in a directory that has nothing else.
fn every_mail(directory: &str) -> (std::path::PathBuf, std::process::Output) {
    let path = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(directory);
    let _ = std::fs::remove_dir_all(&path);
    let output = output(preview(&["--sample", "--all", "--out", directory]), "");
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    (path, output)
}

#[test]
fn every_mail_as_files() {
    let (directory, output) = every_mail("preview/all");
    assert!(shown(&output).contains("wrote 50 mails as .eml, .html and .txt"), "{}", shown(&output));
    let mut names: Vec<_> = std::fs::read_dir(&directory).unwrap().map(|file| file.unwrap().path()).collect();
    names.sort();
    assert_eq!(names.len(), 150, "{names:?}");
    let mut seen = 0;
    for path in names {
        let bytes = std::fs::read(&path).unwrap();
        assert!(bytes.len() > 400 && bytes.len() < 100_000, "{}: {}", path.display(), bytes.len());
        if path.extension().is_some_and(|e| e == "txt") {
            // Whoever pastes a command may work in another Region.
            let text = std::str::from_utf8(&bytes).unwrap();
            let commands =
                text.lines().map(str::trim).filter(|line| line.starts_with("aws ") || line.starts_with("watchdog "));
            for command in commands.filter(|command| *command != "watchdog check FILE") {
                assert!(command.contains(" --region eu-central-1"), "{}: {command}", path.display());
                seen += 1;
            }
        }
        if path.extension().is_some_and(|e| e == "html") {
            let page = String::from_utf8(bytes).unwrap();
            assert!(!page.contains("cid:") && !page.contains("http:"), "{}", path.display());
            can_be_read(&path.display().to_string(), &page);
        }
    }
    assert!(seen > 80, "{seen} commands");
}

/// The gallery has each of these mails four times, and no other. What stands in its pictures only a browser can say: `make gallery`.
#[test]
fn the_gallery_has_every_mail() {
    let (directory, _) = every_mail("preview/gallery");
    let files = |directory: &std::path::Path, extension: &str| {
        let names = std::fs::read_dir(directory).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let stems = names.filter_map(|name| name.strip_suffix(extension).map(str::to_owned));
        stems.collect::<std::collections::BTreeSet<_>>()
    };
    let made = files(&directory, ".html");
    let gallery = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/gallery");
    let kept = files(&gallery, ".webp");
    let looks = |widths: [&'static str; 2]| {
        widths.into_iter().flat_map(|width| ["light", "dark"].map(|scheme| format!("{width}-{scheme}")))
    };
    let mails = made.iter().flat_map(|name| looks(["600", "320"]).map(move |look| format!("{name}-{look}")));
    let report = looks(["1200", "320"]).map(|look| format!("report-{look}"));
    let wanted = mails.chain(report).collect();
    let other: Vec<_> = kept.symmetric_difference(&wanted).collect();
    assert!(other.is_empty(), "`make gallery` makes it anew: {other:?}");
    let page = std::fs::read_to_string(gallery.join("README.md")).unwrap();
    for name in &kept {
        assert_eq!(page.matches(&format!("({name}.webp)")).count(), 1, "{name}");
    }
}

/// The relative luminance of a colour such as `#1c2128`: WCAG 2.2, "relative luminance".
fn luminance(colour: &str) -> f64 {
    let part = |at: usize| {
        let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).expect("a colour")) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
}

/// Contrast of two colours, from 1 to 21: WCAG 2.2, "contrast ratio".
fn contrast(one: &str, other: &str) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

/// The colour that a style gives, such as `#1c2128`, by the name of the property.
fn colour<'a>(style: &'a str, property: &str) -> Option<&'a str> {
    // The last one holds.
    let mut parts = style.split(';').rev().filter_map(|part| part.trim().split_once(':'));
    let (_, value) = parts.find(|(name, _)| *name == property)?;
    let value = value.trim().trim_end_matches(" !important");
    (value.starts_with('#') && value.len() == 7).then_some(value)
}

/// Text has the contrast that WCAG's level AA asks for, 4.5, by day and by night, and the bar's fill stands out from a dark screen, 3.
fn can_be_read(mail: &str, page: &str) {
    let (head, body) = page.split_once("</style>").expect("a style");
    let mut seen = 0;
    for style in body.split("style=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
        let Some(ink) = colour(style, "color") else { continue };
        // Where nothing is said, paper: the darker of the two that there are by day.
        let ground = colour(style, "background").unwrap_or("#f2f3f5");
        assert!(contrast(ink, ground) >= 4.5, "{mail}: {ink} on {ground}, {}", contrast(ink, ground));
        seen += 1;
    }
    assert!(seen >= 4, "{mail}: {seen} styles with a colour");
    let (_, night) = head.split_once("prefers-color-scheme: dark) {").expect("a dark scheme");
    let rules: Vec<(&str, &str)> =
        night.lines().filter_map(|line| line.trim_end_matches(" }").split_once(" { ")).collect();
    let of = |selector: &str, property: &str| {
        let rule = rules.iter().find(|(selectors, _)| selectors.split(", ").any(|one| one == selector));
        rule.and_then(|(_, style)| colour(style, property))
            .unwrap_or_else(|| panic!("{selector} has no {property} by night"))
    };
    for (text, ground) in [
        (".card p", ".card"),
        (".card td", ".card"),
        (".card .soft", ".card"),
        (".card a", ".card"),
        (".foot", ".paper"),
        (".foot a", ".paper"),
        (".card code", ".command"),
    ] {
        let ground = if ground == ".command" { ".card .command" } else { ground };
        let ratio = contrast(of(text, "color"), of(ground, "background"));
        assert!(ratio >= 4.5, "{mail}: {text} on {ground} by night, {ratio}");
    }
    for fill in body.split("<td width=\"").skip(1).filter(|rest| rest.contains("height=\"14\"")) {
        let Some(fill) = fill.split("background:").nth(1).and_then(|rest| rest.get(..7)) else { continue };
        let ratio = contrast(fill, of(".track", "background"));
        assert!(ratio >= 3.0, "{mail}: a bar of {fill} by night, {ratio}");
    }
}

/// What a reader has of a page: no styles, no tags, pictures as the words that stand for them, entities as what they stand for.
fn visible(page: &str) -> String {
    let mut text = String::new();
    // Where a word may be broken it is one all the same.
    for (n, part) in page.replace("<wbr>", "").split('<').enumerate() {
        let is_style = part.starts_with("style") || part.starts_with("title");
        let (tag, rest) = if n == 0 { ("", part) } else { part.split_once('>').unwrap_or_default() };
        if let Some((_, alt)) = tag.strip_prefix("img").and_then(|tag| tag.split_once("alt=\"")) {
            text.push_str(alt.split('"').next().unwrap_or_default());
        }
        if !is_style {
            text.push_str(rest);
            text.push(' ');
        }
    }
    for (entity, c) in [
        ("&nbsp;", " "),
        ("&ensp;", " "),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&#60;", "<"),
        ("&#62;", ">"),
        ("&#38;", "&"),
    ] {
        text = text.replace(entity, c);
    }
    text
}

/// A row of a mail's text form, `Used          728 GB (728,000,000,000 bytes)`, with one space between its words.
fn row(line: &str) -> Option<String> {
    let (label, value) = line.strip_prefix("  ")?.split_once("  ")?;
    let is_row = label.starts_with(|c: char| c.is_ascii_alphabetic()) && value.contains(|c: char| c.is_ascii_digit());
    is_row.then(|| format!("{label} {value}").split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Every number in one form of every mail stands in the other form, too; those with a name have the same one.
#[test]
fn both_forms_of_every_mail_carry_the_same_numbers() {
    let (directory, _) = every_mail("preview/numbers");
    let numbers = |text: &str| {
        let words: Vec<&str> = text.split_whitespace().collect();
        let is_number = |word: &str| word.trim_start_matches(['(', '$', '[']).starts_with(|c: char| c.is_ascii_digit());
        let trim = |word: &str| word.trim_matches(|c: char| !c.is_alphanumeric() && c != '%').to_owned();
        words.iter().filter(|word| is_number(word)).map(|word| trim(word)).collect::<std::collections::BTreeSet<_>>()
    };
    let (mut mails, mut all, mut rows) = (0, 0, 0);
    for path in std::fs::read_dir(&directory).unwrap().map(|file| file.unwrap().path()) {
        if path.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        mails += 1;
        let text = std::fs::read_to_string(&path).unwrap();
        let (_, text) = text.split_once("\n\n").unwrap();
        let page = visible(&std::fs::read_to_string(path.with_extension("html")).unwrap());
        let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
        for row in text.lines().filter_map(row) {
            assert!(page.contains(&row), "{}: not in the page: {row}", path.display());
            rows += 1;
        }
        let (text, page) = (numbers(text), numbers(&page));
        all += text.len();
        let missing: Vec<_> = text.symmetric_difference(&page).collect();
        assert!(missing.is_empty(), "{}: only in one form: {missing:?}", path.display());
    }
    assert!(mails == 50 && all > 500 && rows > 100, "{mails} mails with {all} numbers, {rows} rows");
}
