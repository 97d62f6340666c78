//! Proposals and the policy's text that they go into.

use expect_test::{Expect, expect};
use watchdog_core::bytes::{Bytes, Size, Units};
use watchdog_core::policy::{Document, PlanRule, plan_rules, usual_rules};
use watchdog_core::proposal::days::History;
use watchdog_core::proposal::document::draft;
use watchdog_core::proposal::{Proposal, Stated, Subject, propose, rounded_up, written};
use watchdog_core::usage::Series;
use watchdog_core::window::Window;

use crate::support::{MAIL, at, document};

const GB: u64 = 1_000_000_000;

/// Three weeks in which the hour from `hour` on has so many bytes.
fn history(hour: usize, bytes: u64) -> History {
    let bucket = |n: usize| if n / 12 % 24 == hour { bytes / 12 } else { 0 };
    let buckets = (0..288 * 21).map(|n| Bytes::new(bucket(n))).collect();
    History { series: Series::from_buckets(at("2026-03-02T00:00:00Z"), buckets), holes: Vec::new() }
}

fn subject(name: &str, rules: &str, history: Option<History>) -> Subject {
    let rules = if rules.is_empty() { usual_rules(name).unwrap() } else { plan_rules(rules).unwrap() };
    Subject { workgroup: name.to_owned(), rules, units: Units::Decimal, history, queries: Vec::new() }
}

fn stated(capacity: &str) -> Stated {
    let capacity: Size = capacity.parse().unwrap();
    Stated { capacity: Some((capacity, Window::Rolling { minutes: 60 })), ..Stated::default() }
}

#[track_caller]
fn check_last(subjects: &[Subject], stated: &Stated, expected: &str) {
    let got = match &propose(subjects, stated).last().unwrap().outcome {
        Ok(proposed) => format!("{} from {}", proposed.limit.get(), written(proposed.quota)),
        Err(why) => why.to_string(),
    };
    assert_eq!(got, expected);
}

/// The hour in which production needs most decides; what people explore themselves is no production.
#[test]
fn what_is_spare_is_what_production_leaves() {
    let all = |capacity: &str, expected: &str| {
        let subjects = [
            subject("predictable", "", Some(history(3, 300 * GB))),
            subject("long-query", "", Some(history(3, 240 * GB))),
            subject("etl", "1h + 10 %", Some(history(5, 480 * GB))),
            subject("ad-hoc", "", Some(history(3, 800 * GB))),
            subject("exploratory", "", Some(history(3, 900 * GB))),
        ];
        check_last(&subjects, &stated(capacity), expected);
    };
    all("1 TB", "322000000000 from 460 GB");
    all("800 GB", "182000000000 from 260 GB");
    all(
        "540 GB",
        "there is no room: at 03:00 UTC production alone needs 540 GB of the 540 GB that the account can take",
    );
    all("1 GB", "there is no room: at 03:00 UTC production alone needs 540 GB of the 1 GB that the account can take");
    let unknown = [
        subject("predictable", "", Some(history(3, 300 * GB))),
        subject("etl", "1h + 10 %", None),
        subject("exploratory", "", None),
    ];
    check_last(
        &unknown,
        &stated("1 TB"),
        "what production needs is not known: it takes each hour of 5 days of the workgroups whose rule is a window or a cutoff",
    );
    let alone = [subject("exploratory", "", Some(history(3, GB)))];
    check_last(
        &alone,
        &stated("1 TB"),
        "what production needs is not known: it takes each hour of 5 days of the workgroups whose rule is a window or a cutoff",
    );
}

#[test]
fn a_cutoff_needs_queries_and_without_them_there_is_a_bound() {
    let mut fast = subject("fast-query", "", Some(history(3, 12 * GB)));
    check_last(
        std::slice::from_ref(&fast),
        &Stated::default(),
        "the sizes of its queries are not known, for CloudWatch gives their sum: no query scanned more than 1 GB, the largest five \
         minutes (2026-03-02 03:00 UTC), so that a higher cutoff would never have acted; give a log with `--queries`",
    );
    // Athena takes none below ten million bytes.
    fast.queries = vec![Bytes::new(1_000); 100];
    check_last(&[fast], &Stated::default(), "10000000 from 10 MB");
}

#[test]
fn sizes_have_three_digits_and_are_read_back_to_the_byte() {
    for units in [Units::Decimal, Units::Binary] {
        for n in [
            1,
            999,
            1_000,
            1_023,
            1_024,
            1_025,
            123_456_789,
            5_000_000_000_000_001,
            1_099_511_627_777,
            18_000_000_000_000_000_000,
        ] {
            let size = rounded_up(Bytes::new(n), units).unwrap();
            let text = written(size);
            assert_eq!(text.parse::<Size>().map(|read| read.bytes), Ok(size.bytes), "{n} {text}");
            assert!(size.bytes.get() >= n && size.bytes.get() - n <= n / 50, "{n} {text}: rounded up, and by little");
            assert!(text.len() <= 9, "{n} {text}");
        }
    }
    assert_eq!(rounded_up(Bytes::new(u64::MAX), Units::Decimal), None);
}

/// The numbers of `etl`: an hour's limit of 330 GB, and nothing else.
fn proposals(rule: &str) -> Vec<Proposal> {
    propose(&[subject("etl", rule, Some(history(3, 300 * GB)))], &Stated::default())
}

#[track_caller]
fn check_draft(documents: &[Document], apart: bool, expected: &Expect) {
    let got = match draft(documents, apart, &proposals("1h + 10 %")) {
        Ok(Some(draft)) => {
            let lines: Vec<&str> = draft.document.text.lines().filter(|line| !line.starts_with("# plan: ")).collect();
            format!("{}\n{}\n", draft.document.name, lines.join("\n").replace(MAIL.trim(), "…"))
        }
        Ok(None) => "nothing".to_owned(),
        Err(error) => error.to_string(),
    };
    expected.assert_eq(&got);
}

#[test]
fn a_text_keeps_what_its_author_wrote() {
    let text = format!(
        "{MAIL}
[[ workgroup ]] # odd, and not ours
name = \"a\"
per_query_cutoff = \"1 TB\"

[[workgroup]]   # ours
name = 'etl'
limit = [{{ window = \"24h\", limit = \"1 TB\" }}]

# Behind it.
[[workgroup]]
name = \"z\"
[[workgroup.limit]]
window = \"1h\"
limit = \"1 TB\"
"
    );
    // Limits in a list of tables in one line: nothing is guessed.
    check_draft(
        &[document("p.toml", &text)],
        false,
        &expect![[r#"
            the policy cannot be edited by lines: write its limits as `[[workgroup.limit]]` tables, a key a line. With the proposals in it, it would have problems:
            p.toml:14:13: not valid TOML: duplicate key `limit`"#]],
    );
    let text = text.replace(
        "limit = [{ window = \"24h\", limit = \"1 TB\" }]",
        "[[workgroup.limit]]\nlimit = \"7 GB\"\nwindow = \"60 min\" # ours",
    );
    check_draft(
        &[document("p.toml", &text)],
        false,
        &expect![[r#"
        p.toml

        …

        [[ workgroup ]] # odd, and not ours
        name = "a"
        per_query_cutoff = "1 TB"

        [[workgroup]]   # ours
        name = 'etl'
        [[workgroup.limit]]
        quota = "300 GB"
        buffer = "10 %"
        window = "60 min" # ours

        # Behind it.
        [[workgroup]]
        name = "z"
        [[workgroup.limit]]
        window = "1h"
        limit = "1 TB"
    "#]],
    );
}

#[test]
fn beside_the_stacks_document_goes_one_that_counts() {
    let stack = format!(
        "{MAIL}[[workgroup]]\nname = \"etl\"\nowner = \"a@example.com\"\n[[workgroup.limit]]\nwindow = \"24h\"\nlimit = \"1 TB\"\n"
    );
    check_draft(
        &[document("00-stack", &stack)],
        true,
        &expect![[r#"
        90-plan
        # Limits from `watchdog plan`: each rule here replaces that of the same name in an earlier document.

        [[workgroup]]
        name = "etl"
        owner = "a@example.com"
        [[workgroup.limit]]
        window = "24h"
        limit = "1 TB"
        [[workgroup.limit]]
        window = "1h"
        quota = "300 GB"
        buffer = "10 %"
    "#]],
    );
    let later = "[[workgroup]]\nname = \"etl\"\n[[workgroup.limit]]\nwindow = \"1h\"\nlimit = \"1 TB\"\n";
    check_draft(
        &[document("00-stack", &stack), document("95-mine", later)],
        true,
        &expect![
            "the document `95-mine` comes after `90-plan` and has a rule for `etl`, which would count: give it another name"
        ],
    );
    check_draft(
        &[],
        false,
        &expect![[r#"
        90-plan
        # Begun by `watchdog plan`. Write your own addresses and domains here.
        …

        [[workgroup]]
        name = "etl"
        [[workgroup.limit]]
        window = "1h"
        quota = "300 GB"
        buffer = "10 %"
    "#]],
    );
}

/// A plan takes back what an earlier one has said, and does not write below it.
#[test]
fn planned_twice_is_planned_once() {
    let first = draft(&[], false, &proposals("1h + 10 %, 24h + 100 %")).unwrap().unwrap();
    let again = draft(&first.documents[..], false, &proposals("1h + 10 %, 24h + 100 %")).unwrap().unwrap();
    assert_eq!(again.document.text, first.document.text);
    let rule = again.policy.rule_for("etl").unwrap();
    assert_eq!(rule.limits.iter().map(|limit| limit.bytes.get() / GB).collect::<Vec<_>>(), [330, 600]);
    assert_eq!(draft(&[], false, &[]), Ok(None));
}

/// A range that is said to hold eight times out of ten does so, where days are what it takes them for.
#[test]
fn ranges_hold_as_often_as_they_say() {
    use watchdog_core::proposal::expected::expected;
    // Days that pass with a chance of one in `in`, by a generator that is written down here.
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut draw = |one_in: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed.is_multiple_of(one_in)
    };
    for one_in in [4, 10, 25] {
        let mut held = 0;
        for _ in 0..2_000 {
            let passed = (0..60).filter(|_| draw(one_in)).count();
            let said = expected(u32::try_from(passed).unwrap(), 60, 30, 1);
            let came = u32::try_from((0..30).filter(|_| draw(one_in)).count()).unwrap();
            held += u32::from((said.fewest..=said.most).contains(&came));
        }
        assert!((1_560..=1_960).contains(&held), "one in {one_in}: {held} of 2,000");
    }
}

#[test]
fn a_workgroups_rule_is_that_of_the_policy() {
    let policy = crate::support::policy(
        "[[workgroup]]\nname = \"etl-*\"\nplan = \"1h + 20 %, per query\"\nper_query_cutoff = \"1 TB\"\n",
    );
    let rules = &policy.rule_for("etl-a").unwrap().plan;
    assert_eq!(rules.iter().map(PlanRule::to_string).collect::<Vec<_>>(), ["1h + 20 %", "per query"]);
    let bad = document(
        "p.toml",
        &format!("{MAIL}[[workgroup]]\nname = \"a\"\nplan = \"weekly\"\nper_query_cutoff = \"1 TB\"\n"),
    );
    let problems = watchdog_core::policy::Policy::parse(&[bad]).unwrap_err().to_string();
    assert!(problems.starts_with("p.toml:8:8: `plan`: `weekly` is no rule"), "{problems}");
}
