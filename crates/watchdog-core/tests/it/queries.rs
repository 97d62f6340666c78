//! Which executions belong to a window, and what they add up to.

use expect_test::{Expect, expect};
use proptest::prelude::*;
use watchdog_core::bytes::Bytes;
use watchdog_core::queries::{Execution, Executions, Kind, State};
use watchdog_core::usage::Flights;
use watchdog_core::window::Span;

use crate::support::{at, cases};

fn execution(id: &str, state: State, submitted: &str, completed: &str, scanned: Option<u64>) -> Execution {
    let time = |text: &str| (!text.is_empty()).then(|| at(&format!("2026-03-01T{text}:00Z")));
    Execution {
        id: id.to_owned(),
        workgroup: "exploratory".to_owned(),
        state,
        submitted: time(submitted),
        completed: time(completed),
        scanned: scanned.map(Bytes::new),
        kind: Kind::Dml,
        sql: None,
    }
}

fn hour() -> Span {
    Span { start: at("2026-03-01T13:00:00Z"), end: at("2026-03-01T14:00:00Z") }
}

#[track_caller]
fn check(executions: Vec<Execution>, expected: Expect) {
    let found = Executions::inside(hour(), executions);
    let ids = |all: &[Execution]| all.iter().map(|e| e.id.as_str()).collect::<Vec<_>>().join(" ");
    let sums = found.reconcile(Some(Bytes::new(1000)));
    expected.assert_eq(&format!(
        "landed: {}; in flight: {}; untimed: {}; {} bytes, {} without, {} off",
        ids(&found.landed),
        ids(&found.in_flight),
        found.untimed,
        sums.queries.get(),
        sums.without_bytes,
        sums.difference().unwrap()
    ));
}

#[test]
fn bytes_land_when_a_query_ends_whatever_its_end() {
    use State::{Cancelled, Failed, Succeeded};
    check(
        vec![
            execution("early", Succeeded, "12:00", "12:59", Some(1)),
            execution("first", Succeeded, "09:10", "13:00", Some(10)),
            execution("stopped", Cancelled, "13:10", "13:20", Some(100)),
            execution("broken", Failed, "13:10", "13:30", Some(1000)),
            execution("after", Succeeded, "13:50", "14:00", Some(10_000)),
        ],
        expect!["landed: broken stopped first; in flight: ; untimed: 0; 1110 bytes, 0 without, -110 off"],
    );
}

#[test]
fn what_still_runs_is_beside_the_window_and_never_in_its_sum() {
    check(
        vec![
            execution("young", State::Queued, "13:55", "", None),
            execution("old", State::Running, "11:00", "", Some(700)),
            // Once it ran; then it went back.
            execution("back", State::Queued, "13:01", "", Some(3)),
        ],
        expect!["landed: ; in flight: old back young; untimed: 0; 0 bytes, 0 without, 1000 off"],
    );
}

#[test]
fn absent_bytes_are_no_zero_and_absent_times_no_instant() {
    check(
        vec![
            execution("unknown", State::Succeeded, "13:10", "13:20", None),
            execution("no end", State::Failed, "13:15", "", Some(5)),
            execution("no times", State::Failed, "", "", Some(7)),
            execution("nothing", State::Running, "", "", None),
        ],
        expect!["landed: unknown no end; in flight: nothing; untimed: 1; 5 bytes, 1 without, 995 off"],
    );
}

#[test]
fn an_id_that_comes_twice_counts_once_as_it_was_told_last() {
    check(
        vec![
            execution("a", State::Running, "13:10", "", None),
            execution("a", State::Succeeded, "13:10", "13:20", Some(9)),
        ],
        expect!["landed: a; in flight: ; untimed: 0; 9 bytes, 0 without, 991 off"],
    );
}

#[test]
fn a_state_that_nobody_knows_is_judged_by_whether_it_has_ended() {
    let read = |word, ended| State::read(word, ended);
    assert_eq!(read(Some("CANCELED"), true), State::Cancelled);
    assert_eq!(read(Some("cancelled"), true), State::Cancelled);
    assert_eq!(read(Some("HIBERNATED"), true), State::Failed);
    assert_eq!(read(Some("HIBERNATED"), false), State::Running);
    assert_eq!(read(None, true), State::Failed);
    assert!(!read(Some("QUEUED"), false).is_over());
}

#[test]
fn sums_beyond_everything_stop_there() {
    let huge = |id: &str| execution(id, State::Succeeded, "13:10", "13:20", Some(u64::MAX));
    let found = Executions::inside(hour(), [huge("a"), huge("b")]);
    let sums = found.reconcile(Some(Bytes::new(5)));
    assert_eq!(sums.whole(), Bytes::new(u64::MAX));
    assert_eq!(sums.difference(), Some(5 - i128::from(u64::MAX)));
    assert_eq!(found.reconcile(None).difference(), None);
}

#[track_caller]
fn check_flights(executions: Vec<Execution>, is_whole: bool, expected: &str) {
    let flights = Flights::of(&executions, at("2026-03-01T14:00:00Z"), is_whole);
    let time = |at: jiff::Timestamp| at.strftime("%H:%M").to_string();
    let running = flights.running.iter().map(|query| {
        let scanned = query.scanned.map_or("?".to_owned(), |bytes| bytes.get().to_string());
        format!("{} since {} {scanned}", query.id, time(query.started))
    });
    let landed = flights.landed.iter().map(|landed| format!("+{} at {}", landed.bytes.get(), time(landed.at)));
    assert_eq!(running.chain(landed).collect::<Vec<_>>().join(", "), expected);
}

#[test]
fn what_is_in_flight_and_what_was_seen_to_land() {
    use State::{Cancelled, Queued, Running, Succeeded};
    check_flights(
        vec![
            execution("runs", Running, "13:30", "", Some(7)),
            execution("waits", Queued, "13:55", "", None),
            execution("waits again", Queued, "13:40", "", Some(3)),
            execution("since when", Running, "", "", Some(2)),
        ],
        true,
        "runs since 13:30 7, waits again since 13:40 3, since when since 14:00 2",
    );
    // Ten minutes are seen, nine need not be; what ended more than two hours ago is of no pace, and what ends now is of the next.
    check_flights(
        vec![
            execution("long", Succeeded, "13:00", "13:10", Some(1)),
            execution("short", Succeeded, "13:00", "13:09", Some(2)),
            execution("stopped", Cancelled, "11:00", "12:00", Some(4)),
            execution("long ago", Succeeded, "11:00", "11:59", Some(8)),
            execution("now", Succeeded, "13:00", "14:00", Some(16)),
            execution("no end", Succeeded, "13:00", "", Some(32)),
            execution("no start", Succeeded, "", "13:00", Some(64)),
            execution("no bytes", Succeeded, "12:00", "13:00", None),
        ],
        true,
        "+1 at 13:10, +4 at 12:00",
    );
}

#[test]
fn where_not_all_is_known_of_what_runs_no_landing_is_explained_away() {
    let landed = execution("landed", State::Succeeded, "13:00", "13:30", Some(5));
    check_flights(vec![landed.clone()], false, "");
    check_flights(
        vec![landed.clone(), execution("runs", State::Running, "13:30", "", Some(1))],
        true,
        "runs since 13:30 1, +5 at 13:30",
    );
    // A zero is as unknown as nothing.
    for scanned in [None, Some(0)] {
        check_flights(
            vec![landed.clone(), execution("runs", State::Running, "13:30", "", scanned)],
            true,
            "runs since 13:30 ?",
        );
    }
}

/// A sum of what could be read is no sum of what runs: it would be told as the whole.
#[test]
fn what_may_be_more_is_said_to_be() {
    let runs = execution("x", State::Running, "13:30", "", Some(5));
    let at = at("2026-03-01T14:00:00Z");
    assert_eq!([true, false].map(|is_whole| Flights::of([&runs], at, is_whole).may_be_more), [false, true]);
}

#[test]
fn only_what_the_metric_counts_is_in_flight() {
    for (kind, expected) in
        [(Kind::Dml, "x since 13:30 5"), (Kind::Unknown, "x since 13:30 5"), (Kind::Ddl, ""), (Kind::Utility, "")]
    {
        check_flights(vec![Execution { kind, ..execution("x", State::Running, "13:30", "", Some(5)) }], true, expected);
    }
}

proptest! {
    #![proptest_config(cases(300))]

    /// Against the plain definition, in any order and with repetitions.
    #[test]
    fn every_execution_is_in_exactly_one_place(
        raw in prop::collection::vec((0u8..12, 0i64..180, prop::option::of(0i64..60), 0u8..5, prop::option::of(0u64..9)), 0..30),
    ) {
        let minute = |m: i64| at("2026-03-01T11:30:00Z") + jiff::SignedDuration::from_mins(m);
        let all: Vec<Execution> = raw.iter().map(|(id, submitted, took, state, scanned)| Execution {
            id: id.to_string(),
            workgroup: "w".to_owned(),
            state: [State::Queued, State::Running, State::Succeeded, State::Failed, State::Cancelled][usize::from(*state)],
            submitted: Some(minute(*submitted)),
            completed: took.map(|took| minute(submitted + took)),
            scanned: scanned.map(Bytes::new),
            kind: Kind::Unknown,
            sql: None,
        }).collect();
        let found = Executions::inside(hour(), all.clone());
        for id in 0u8..12 {
            let Some(last) = all.iter().rev().find(|e| e.id == id.to_string()) else { continue };
            let end = last.completed.or(last.submitted).unwrap();
            let over = !matches!(last.state, State::Queued | State::Running);
            let inside = over && end >= hour().start && end < hour().end;
            prop_assert_eq!(found.landed.iter().filter(|e| e.id == last.id).count(), usize::from(inside));
            prop_assert_eq!(found.in_flight.iter().filter(|e| e.id == last.id).count(), usize::from(!over));
        }
        let times: Vec<_> = found.landed.iter().map(Execution::landed).collect();
        prop_assert!(times.windows(2).all(|pair| pair[0] >= pair[1]));
    }
}
