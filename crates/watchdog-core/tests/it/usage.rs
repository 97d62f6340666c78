//! From CloudWatch's answers to bytes: pages, zeros, broken values, and which metrics hold a workgroup's bytes.

use expect_test::{Expect, expect};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use watchdog_core::bytes::Bytes;
use watchdog_core::usage::{Answer, Dimensions, Listed, PageStatus, Series, Unknown};
use watchdog_core::window::{BUCKET, Span};

use crate::support::{at, cases};

const START: &str = "2026-03-01T13:00:00Z";

fn bucket(n: i64) -> Timestamp {
    at(START) + SignedDuration::from_secs(n * BUCKET)
}

/// The first `n` buckets.
fn span(n: i64) -> Span {
    Span { start: bucket(0), end: bucket(n) }
}

/// One page: its status as a word, and its points by bucket.
type Page<'a> = (&'a str, &'a [(i64, f64)]);

fn absorb(pages: &[Page<'_>]) -> Answer {
    let mut answer = Answer::default();
    for (status, points) in pages {
        let status = match *status {
            "complete" => PageStatus::Complete,
            "partial" => PageStatus::Partial,
            "forbidden" => PageStatus::Bad(Unknown::Denied { operation: "cloudwatch:GetMetricData".to_owned() }),
            other => panic!("{other}"),
        };
        answer.absorb(points.iter().map(|(n, value)| (bucket(*n), *value)), status);
    }
    answer
}

fn outcome(answers: &[Vec<Answer>]) -> String {
    match Series::from_answers(span(3), answers) {
        Ok(series) => {
            let sum = |n: i64| series.sum(Span { start: bucket(n), end: bucket(n + 1) });
            (0..3).map(|n| sum(n).map_or_else(|e| e.to_string(), |b| b.get().to_string())).collect::<Vec<_>>().join(" ")
        }
        Err(why) => why.to_string(),
    }
}

#[track_caller]
fn check(pages: &[Page<'_>], expected: &str) {
    assert_eq!(outcome(&[vec![absorb(pages)]]), expected);
}

#[test]
fn pages_come_in_any_order_and_more_than_once() {
    check(&[("partial", &[(0, 1.0)]), ("complete", &[(1, 2.0)])], "1 2 0");
    check(&[("complete", &[(1, 2.0)]), ("partial", &[(0, 1.0)])], "1 2 0");
    check(&[("complete", &[(1, 2.0)]), ("complete", &[(1, 2.0)])], "0 2 0");
    check(&[("complete", &[(2, 1.0), (0, 3.0)])], "3 0 1");
    // A page asked for again after more has landed: the larger.
    check(&[("partial", &[(0, 1.0)]), ("complete", &[(0, 5.0)])], "5 0 0");
    check(&[("complete", &[(0, 5.0)]), ("partial", &[(0, 1.0)])], "5 0 0");
    // Points outside of what was asked for are no use of this window.
    check(&[("complete", &[(-1, 1.0), (3, 1.0)])], "0 0 0");
}

#[test]
fn a_missing_point_is_zero_only_where_the_answer_is_complete() {
    check(&[("complete", &[])], "0 0 0");
    check(&[], "CloudWatch did not answer for this metric");
    check(&[("partial", &[])], "CloudWatch answered only a part");
    check(&[("partial", &[(0, 1.0), (1, 1.0), (2, 1.0)])], "CloudWatch answered only a part");
    check(&[("forbidden", &[])], "AWS denied `cloudwatch:GetMetricData`");
    check(&[("complete", &[(0, 1.0)]), ("forbidden", &[])], "AWS denied `cloudwatch:GetMetricData`");
    check(&[("forbidden", &[]), ("complete", &[(0, 1.0)])], "AWS denied `cloudwatch:GetMetricData`");
}

#[test]
fn values_that_cannot_be_true_are_refused() {
    let impossible = |first: u64, value: &str| {
        format!("{first} CloudWatch gave the impossible value `{value}` at 2026-03-01T13:05:00Z 3")
    };
    for (value, shown) in [
        (f64::NAN, "NaN"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
        (-1.0, "-1"),
        (-0.5, "-0.5"),
        (1.1e18, "1100000000000000000"),
        (2e18, "2000000000000000000"),
    ] {
        // The others are as good as they were.
        check(&[("complete", &[(0, 1.0), (1, value), (2, 3.0)])], &impossible(1, shown));
        // Neither a good page nor a better value makes it good again.
        check(&[("partial", &[(1, value)]), ("complete", &[(1, 7.0), (2, 3.0)])], &impossible(0, shown));
        check(&[("partial", &[(1, 7.0), (2, 3.0)]), ("complete", &[(1, value)])], &impossible(0, shown));
        // Nor does it make good what was not answered, or stand for what was not asked.
        check(&[("partial", &[(1, value)])], "CloudWatch answered only a part");
        check(&[("forbidden", &[(1, value)])], "AWS denied `cloudwatch:GetMetricData`");
        check(&[("complete", &[(-1, value), (2, 1.0), (3, value)])], "0 0 1");
        // Of several metrics one is enough.
        let of = |points: &[(i64, f64)]| absorb(&[("complete", points)]);
        let (bad, good) = (of(&[(1, value), (2, 3.0)]), of(&[(0, 1.0), (1, 1.0)]));
        assert_eq!(outcome(&[vec![good.clone(), bad.clone()]]), impossible(1, shown));
        assert_eq!(outcome(&[vec![good.clone()], vec![bad.clone()]]), impossible(1, shown));
        assert_eq!(outcome(&[vec![bad], vec![good]]), impossible(1, shown));
    }
    check(&[("complete", &[(0, -0.0), (1, 1e18), (2, 0.2)])], "0 1000000000000000000 1");
}

#[test]
fn parts_are_added_and_alternatives_are_not() {
    let one = |value: f64| absorb(&[("complete", &[(0, value)])]);
    assert_eq!(outcome(&[vec![one(1.0), one(2.0), one(4.0)]]), "7 0 0");
    // The same bytes asked for in two forms: the larger, never the sum.
    assert_eq!(outcome(&[vec![one(7.0)], vec![one(1.0), one(6.0)]]), "7 0 0");
    assert_eq!(outcome(&[vec![one(0.0)], vec![one(1.0), one(6.0)]]), "7 0 0");
    assert_eq!(outcome(&[vec![one(7.0)], vec![one(0.0), one(0.0)]]), "7 0 0");
    // A sum that lacks a part is not a sum.
    assert_eq!(outcome(&[vec![one(1.0), Answer::default()]]), "CloudWatch did not answer for this metric");
    assert_eq!(outcome(&[vec![one(1.0)], vec![Answer::default()]]), "CloudWatch did not answer for this metric");
    // Nothing asked is nothing known.
    assert_eq!(outcome(&[]), "CloudWatch did not answer for this metric");
    assert_eq!(outcome(&[vec![]]), "CloudWatch did not answer for this metric");
    assert_eq!(outcome(&[vec![one(1.0)], vec![]]), "CloudWatch did not answer for this metric");
}

#[track_caller]
fn check_sum(first: i64, buckets: &[u64], from: i64, to: i64, expected: &str) {
    let series = Series::from_buckets(bucket(first), buckets.iter().copied().map(Bytes::new).collect());
    let span =
        Span { start: bucket(0) + SignedDuration::from_secs(from), end: bucket(0) + SignedDuration::from_secs(to) };
    let sum = series.sum(span).map_or_else(|e| e.to_string(), |b| b.get().to_string());
    assert_eq!(sum, expected, "{from}..{to}");
}

#[test]
fn a_sum_takes_the_buckets_that_start_inside_the_span() {
    let four = &[1, 10, 100, 1000];
    check_sum(0, four, 0, 1200, "1111");
    check_sum(0, four, 0, 0, "0");
    check_sum(0, four, 0, 1, "1");
    check_sum(0, four, 0, 300, "1");
    check_sum(0, four, 0, 301, "11");
    check_sum(0, four, 1, 600, "10");
    check_sum(0, four, 300, 600, "10");
    check_sum(0, four, 900, 1100, "1000");
    check_sum(0, four, 600, 300, "0");
    check_sum(0, four, -1, 300, "CloudWatch answered only a part");
    check_sum(0, four, 0, 1201, "CloudWatch answered only a part");
    check_sum(1, four, 0, 600, "CloudWatch answered only a part");
    check_sum(0, &[], 0, 300, "CloudWatch answered only a part");
}

#[test]
fn sums_beyond_2_to_53_are_exact_and_beyond_the_type_are_refused() {
    let big = (1 << 53) + 1;
    check_sum(0, &[big, 1, big], 0, 900, &(2 * big + 1).to_string());
    check_sum(0, &[u64::MAX - 1, 1], 0, 600, &u64::MAX.to_string());
    check_sum(
        0,
        &[u64::MAX, 1],
        0,
        600,
        "CloudWatch gave the impossible value `18446744073709551616` at 2026-03-01T13:00:00Z",
    );
    // Twenty-four hours of two petabytes each five minutes, in the form CloudWatch gives.
    let mut answer = Answer::default();
    answer.absorb((0..288).map(|n| (bucket(n), 2e15 + 1.0)), PageStatus::Complete);
    let sum = Series::from_answers(span(288), &[vec![answer]]).unwrap().sum(span(288)).unwrap();
    assert_eq!(sum.get(), 288 * 2_000_000_000_000_001);
}

#[test]
fn the_newest_use_is_the_end_of_its_bucket() {
    let newest =
        |buckets: &[u64]| Series::from_buckets(bucket(0), buckets.iter().copied().map(Bytes::new).collect()).newest();
    assert_eq!(newest(&[]), None);
    assert_eq!(newest(&[0, 0]), None);
    assert_eq!(newest(&[1, 5, 0]), Some(bucket(2)));
    assert_eq!(newest(&[0, 0, 1]), Some(bucket(3)));
}

proptest! {
    #![proptest_config(cases(256))]

    /// However the points are cut into pages, in whatever order and however often these come, the answer is the same.
    #[test]
    fn paging_does_not_matter(
        points in prop::collection::btree_map(0..12i64, 0..1000u32, 0..12),
        cuts in prop::collection::vec(0..4usize, 12),
        order in Just((0..8usize).collect::<Vec<_>>()).prop_shuffle(),
        complete in 0..4usize,
    ) {
        let pages: Vec<Vec<(Timestamp, f64)>> = (0..4)
            .map(|page| {
                let mine = points.iter().filter(|(n, _)| cuts[**n as usize] == page);
                mine.map(|(n, value)| (bucket(*n), f64::from(*value))).collect()
            })
            .collect();
        let mut paged = Answer::default();
        for page in order {
            let status = if page % 4 == complete { PageStatus::Complete } else { PageStatus::Partial };
            paged.absorb(pages[page % 4].clone(), status);
        }
        let series = Series::from_answers(span(12), &[vec![paged]]).unwrap();
        for n in 0..12 {
            let expected = points.get(&n).copied().unwrap_or(0);
            prop_assert_eq!(series.sum(Span { start: bucket(n), end: bucket(n + 1) }).unwrap().get(), u64::from(expected));
        }
    }

    /// Whatever CloudWatch gives is either refused in its bucket or a number, and never a panic.
    #[test]
    fn no_value_panics(values in prop::collection::vec((any::<i32>(), any::<f64>()), 0..20), complete: bool) {
        let mut answer = Answer::default();
        let points = values.iter().map(|(s, v)| (Timestamp::from_second(i64::from(*s) * 60).unwrap(), *v));
        answer.absorb(points, if complete { PageStatus::Complete } else { PageStatus::Partial });
        let outcome = Series::from_answers(span(12), &[vec![answer]]);
        prop_assert_eq!(outcome.is_ok(), complete);
    }
}

/// Metrics as `ListMetrics` gives them, one a line: `name=value` dimensions.
fn listed(metrics: &str) -> Listed {
    let mut listed = Listed::default();
    for line in metrics.lines().filter(|line| !line.trim().is_empty()) {
        let dimensions: Vec<(&str, &str)> = line.split_whitespace().map(|d| d.split_once('=').unwrap()).collect();
        listed.insert(&dimensions);
    }
    listed
}

#[track_caller]
fn check_metrics(metrics: &str, workgroup: &str, expected: Expect) {
    let listed = listed(metrics);
    let show = |d: &Dimensions| match d {
        Dimensions::WorkGroup {} => "whole".to_owned(),
        Dimensions::StateAndType { state, query_type } => format!("{state}/{query_type}"),
    };
    let alternatives = listed.metrics_of(workgroup);
    let text: Vec<String> =
        alternatives.iter().map(|parts| parts.iter().map(show).collect::<Vec<_>>().join(" + ")).collect();
    expected.assert_eq(&text.join("\nor "));
    for parts in &alternatives {
        let whole = parts.contains(&Dimensions::WorkGroup {});
        assert!(!parts.is_empty() && (!whole || parts.len() == 1), "the whole and its parts are added");
    }
    // What is remembered is what was learnt.
    let remembered: Listed = serde_json::from_str(&serde_json::to_string(&listed).unwrap()).unwrap();
    assert_eq!(remembered, listed);
}

const SPLIT: &str = "QueryState=SUCCEEDED QueryType=DML WorkGroup=etl";

#[test]
fn the_whole_where_it_exists_and_otherwise_all_its_parts() {
    check_metrics("WorkGroup=etl", "etl", expect!["whole"]);
    check_metrics(SPLIT, "etl", expect!["CANCELED/DML + FAILED/DML + SUCCEEDED/DML"]);
    check_metrics(&format!("{SPLIT}\nWorkGroup=etl"), "etl", expect!["whole"]);
    check_metrics(
        "QueryType=UTILITY WorkGroup=etl QueryState=FAILED",
        "etl",
        expect!["CANCELED/DML + CANCELED/UTILITY + FAILED/DML + FAILED/UTILITY + SUCCEEDED/DML + SUCCEEDED/UTILITY"],
    );
    // A state that nobody has documented is a part of its bytes all the same.
    check_metrics(
        "QueryState=TIMED_OUT QueryType=DML WorkGroup=etl",
        "etl",
        expect!["CANCELED/DML + FAILED/DML + SUCCEEDED/DML + TIMED_OUT/DML"],
    );
}

#[test]
fn a_workgroup_that_is_not_listed_is_asked_for_as_the_others_are() {
    check_metrics("WorkGroup=other", "etl", expect!["whole"]);
    check_metrics(&format!("{SPLIT}\nWorkGroup=other"), "new", expect!["whole"]);
    check_metrics(SPLIT, "new", expect!["CANCELED/DML + FAILED/DML + SUCCEEDED/DML"]);
    check_metrics(
        "",
        "etl",
        expect![[r#"
        whole
        or CANCELED/DML + FAILED/DML + SUCCEEDED/DML"#]],
    );
}

#[test]
fn sets_that_hold_more_or_less_than_the_known_ones_are_ignored() {
    let supersets = "
        QueryState=SUCCEEDED QueryType=DML WorkGroup=etl ExtraDimension=x
        WorkGroup=etl ExtraDimension=x
        QueryState=SUCCEEDED WorkGroup=etl
        QueryType=DML WorkGroup=etl
        QueryState=SUCCEEDED QueryType=DML ExtraDimension=x
        QueryState=SUCCEEDED QueryType=DML
        A=1 B=2 WorkGroup=etl";
    check_metrics(
        supersets,
        "etl",
        expect![[r#"
        whole
        or CANCELED/DML + FAILED/DML + SUCCEEDED/DML"#]],
    );
    check_metrics(&format!("{supersets}\nWorkGroup=etl"), "etl", expect!["whole"]);
}

#[test]
fn every_unknown_has_a_word_a_sentence_and_a_remedy_where_there_is_one() {
    let all = [
        Unknown::NoSuchWorkgroup,
        Unknown::Disabled,
        Unknown::MetricsOff,
        Unknown::NotExaminedYet,
        Unknown::Denied { operation: "athena:GetWorkGroup".to_owned() },
        Unknown::Failed { operation: "athena:GetWorkGroup".to_owned(), code: "Throttling".to_owned() },
        Unknown::Partial,
        Unknown::NotAnswered,
        Unknown::Implausible { value: "NaN".to_owned(), at: bucket(0) },
    ];
    let lines: Vec<String> = all
        .iter()
        .map(|u| format!("{}: {} -> {}", u.word(), u, u.remedy("etl").unwrap_or_else(|| "-".to_owned())))
        .collect();
    expect![[r#"
        no_such_workgroup: there is no workgroup of this name -> Create `etl`, or take it out of the policy.
        disabled: the workgroup is disabled -> aws athena update-work-group --work-group etl --state ENABLED
        metrics_off: the workgroup publishes no metrics to CloudWatch -> aws athena update-work-group --work-group etl --configuration-updates PublishCloudWatchMetricsEnabled=true
        not_examined_yet: it has not been looked at yet -> -
        denied: AWS denied `athena:GetWorkGroup` -> Allow `athena:GetWorkGroup` in the role of the watchdog's function.
        failed: `athena:GetWorkGroup` failed with `Throttling` -> -
        partial: CloudWatch answered only a part -> -
        not_answered: CloudWatch did not answer for this metric -> -
        implausible: CloudWatch gave the impossible value `NaN` at 2026-03-01T13:00:00Z -> -"#]].assert_eq(&lines.join("\n"));
    for unknown in &all {
        assert_eq!(unknown.is_passing(), *unknown == Unknown::NotExaminedYet);
        let json = serde_json::to_string(unknown).unwrap();
        assert_eq!(&serde_json::from_str::<Unknown>(&json).unwrap(), unknown);
    }
}
