//! The forecast: what it knows, what it guesses, and when it says nothing.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use watchdog_core::bytes::Bytes;
use watchdog_core::forecast::{HISTORY, Inflow, Memo, Outlook, View};
use watchdog_core::meter::Meter;
use watchdog_core::usage::{Flights, InFlight, Landed, Series};
use watchdog_core::window::{BUCKET, Window};

use crate::support::{at, cases};

const NOW: &str = "2026-03-03T12:00:00Z";
const GB: u64 = 1_000_000_000;

/// A meter whose newest bucket ends at [`NOW`].
fn meter(buckets: &[u64]) -> Meter {
    let length = i64::try_from(buckets.len()).unwrap();
    let first = at(NOW) - SignedDuration::from_secs(length * BUCKET);
    Meter::from(&Series::from_buckets(first, buckets.iter().copied().map(Bytes::new).collect()))
}

fn view<'a>(meter: &'a Meter, window: &'a Window, limit: u64, flights: &'a Flights) -> View<'a> {
    View { meter, window, limit: Bytes::new(limit), at: at(NOW), flights }
}

fn window(text: &str) -> Window {
    Window::parse(text, &TimeZone::UTC).unwrap()
}

fn shown(outlook: Option<Outlook>) -> String {
    let Some(outlook) = outlook else { return "nothing".to_owned() };
    let time = |at: Option<Timestamp>| at.map_or("-".to_owned(), |at| at.strftime("%H:%M").to_string());
    let verdict = if outlook.will_exhaust { "runs out" } else { "lasts" };
    format!("{verdict}: {} {} {}", time(outlook.earliest), time(outlook.about), time(outlook.latest))
}

#[track_caller]
fn check(buckets: &[u64], text: &str, limit: u64, in_flight: &[InFlight], expected: &str) {
    let (meter, window) = (meter(buckets), window(text));
    let inflow = Inflow::guess(&meter, at(NOW), &[], &mut Memo::default());
    let flights = Flights { running: in_flight.to_vec(), ..Flights::default() };
    let view = view(&meter, &window, limit, &flights);
    assert_eq!(shown(view.outlook(inflow.as_ref())), expected);
    let will = view.outlook(inflow.as_ref()).map(|outlook| outlook.will_exhaust);
    assert_eq!(view.will_exhaust(inflow.as_ref()), will);
}

fn steady(n: usize, each: u64) -> Vec<u64> {
    vec![each; n]
}

#[test]
fn steady_use_lasts_where_what_leaves_is_what_comes() {
    // Twelve a hour of a limit of fourteen, for a day: it stays so.
    check(&steady(HISTORY, GB), "1h", 14 * GB, &[], "lasts: - - -");
    check(&steady(HISTORY, GB), "24h", 300 * GB, &[], "runs out: - - -");
    check(&steady(HISTORY, GB), "24h", 310 * GB, &[], "lasts: - - -");
}

#[test]
fn what_leaves_the_window_is_known() {
    // Half an hour of heavy use after a quiet day: nothing of it leaves within half an hour, and it goes on.
    let mut rising = steady(HISTORY - 6, 0);
    rising[20] = 1;
    rising.extend(steady(6, GB));
    check(&rising, "1h", 9 * GB, &[], "runs out: 12:30 12:30 12:30");
    // The same bytes, all of them about to leave.
    let mut leaving = steady(HISTORY - 12, 0);
    leaving[20] = 1;
    leaving.extend(steady(6, GB));
    leaving.extend(steady(6, 0));
    check(&leaving, "1h", 9 * GB, &[], "lasts: - - -");
}

#[test]
fn a_calendar_window_loses_nothing_and_ends() {
    // At noon a day that began at midnight has 144 buckets; at this pace 156 are reached at one o'clock.
    check(&steady(HISTORY, GB), "calendar day", 150 * GB, &[], "runs out: 12:30 12:30 12:30");
    check(&steady(HISTORY, GB), "calendar day", 156 * GB, &[], "runs out: 13:00 13:00 13:00");
    check(&steady(HISTORY, GB), "calendar day", 170 * GB, &[], "lasts: - - -");
    // An hour that has just begun: twelve of thirteen within it, and what comes after is another window's.
    check(&steady(HISTORY, GB), "calendar hour", 13 * GB, &[], "lasts: - - -");
    check(&steady(HISTORY, GB), "calendar hour", 12 * GB, &[], "runs out: 13:00 13:00 13:00");
}

#[test]
fn with_too_little_history_it_says_nothing() {
    for n in [0, 1, 12, 48, 80] {
        check(&steady(n, GB), "1h", 12 * GB, &[], "nothing");
    }
    check(&steady(100, GB), "1h", 12 * GB, &[], "runs out: 12:05 12:05 12:05");
    // Nor does a day of nothing before the first use count as history.
    let mut fresh = steady(HISTORY - 12, 0);
    fresh.extend(steady(12, GB));
    check(&fresh, "1h", 12 * GB, &[], "nothing");
    check(&steady(HISTORY, 0), "1h", 12 * GB, &[], "nothing");
}

#[test]
fn one_spike_is_no_habit() {
    let mut spike = steady(HISTORY, GB);
    spike[100] = 1000 * GB;
    check(&spike, "1h", 16 * GB, &[], "lasts: - - -");
}

#[test]
fn no_number_of_bytes_panics() {
    // 5e16 bytes a day, and the most that a bucket can hold.
    check(&steady(HISTORY, 50_000_000_000_000_000 / 288), "24h", 51_000_000_000_000_000, &[], "runs out: - - -");
    check(&steady(HISTORY, u64::MAX), "1h", u64::MAX, &[], "runs out: 12:05 12:05 12:05");
    check(&steady(HISTORY, 1), "1h", 1, &[], "runs out: 12:05 12:05 12:05");
}

fn running(minutes: i64, scanned: Option<u64>) -> InFlight {
    let started = at(NOW) - SignedDuration::from_mins(minutes);
    InFlight { id: "q".to_owned(), started, scanned: scanned.map(Bytes::new) }
}

#[test]
fn a_giant_query_is_told_before_it_ends() {
    let day = steady(HISTORY, GB / 10);
    check(&day, "1h", 100 * GB, &[], "lasts: - - -");
    // Seventy of a hundred so far in twenty minutes: half as much again in ten more.
    check(&day, "1h", 100 * GB, &[running(20, Some(70 * GB))], "runs out: 12:10 12:10 12:10");
    check(&day, "1h", 100 * GB, &[running(20, Some(20 * GB))], "lasts: - - -");
    // What is not known is not zero, and not something either.
    check(&day, "1h", 100 * GB, &[running(20, None)], "lasts: - - -");
    // It needs no history; but then nothing says how sure it is.
    check(&steady(12, 0), "1h", 100 * GB, &[running(20, Some(70 * GB))], "runs out: - 12:10 -");
    check(&steady(12, 0), "1h", 100 * GB, &[running(20, Some(5 * GB))], "nothing");
    // Clocks differ: one that is yet to start has scanned what it says.
    check(&day, "1h", 100 * GB, &[running(-5, Some(95 * GB))], "runs out: - - -");
    // Many are added up, and no number of them overflows.
    let many = vec![running(10, Some(u64::MAX)); 10_000];
    check(&day, "1h", 100 * GB, &many, "runs out: 12:05 12:05 12:05");
    // One that goes back to the queue and starts anew counts by its new start.
    check(&day, "1h", 100 * GB, &[running(0, Some(0))], "lasts: - - -");
}

#[test]
fn a_giant_that_has_landed_is_no_pace() {
    let window = window("1h");
    // Quiet use, and a giant that landed twenty minutes ago: as a pace that would be sixty gigabytes an hour and more.
    let mut day = steady(HISTORY, GB / 10);
    day[HISTORY - 4] += 60 * GB;
    let look = |minutes_ago: i64, bytes: u64, running: Vec<InFlight>| {
        let meter = meter(&day);
        let landed = Landed { at: at(NOW) - SignedDuration::from_mins(minutes_ago), bytes: Bytes::new(bytes) };
        let flights = Flights { running, landed: if bytes > 0 { vec![landed] } else { vec![] }, may_be_more: false };
        let inflow = Inflow::guess(&meter, at(NOW), &flights.landed, &mut Memo::default());
        shown(view(&meter, &window, 100 * GB, &flights).outlook(inflow.as_ref()))
    };
    assert_eq!(look(0, 0, vec![]), "runs out: 12:35 12:35 12:35");
    assert_eq!(look(18, 60 * GB, vec![]), "lasts: - - -");
    // Where the metric does not have it yet, it takes nothing away from the others' use.
    assert_eq!(look(3, 60 * GB, vec![]), "runs out: 12:35 12:35 12:35");
    // The next one is seen on its own.
    assert_eq!(look(18, 60 * GB, vec![running(10, Some(35 * GB))]), "runs out: 12:05 12:05 12:05");
}

proptest! {
    #![proptest_config(cases(64))]

    /// The result hangs on the last day and on nothing before it; and the earliest is never after the latest.
    #[test]
    fn what_is_older_than_the_history_does_not_matter(
        older in prop::collection::vec(0..1_000_000u64, 0..100),
        newer in prop::collection::vec(0..1_000_000u64, HISTORY),
        limit in 1..30_000_000u64,
        minutes in 0..5i64,
        text in prop::sample::select(vec!["15m", "1h", "90m", "24h", "calendar hour", "calendar day"]),
    ) {
        let window = window(text);
        let both: Vec<u64> = older.iter().chain(&newer).copied().collect();
        let none = Flights::default();
        let looks = [meter(&newer), meter(&both)].map(|meter| {
            let now = at(NOW) - SignedDuration::from_mins(minutes);
            let inflow = Inflow::guess(&meter, now, &[], &mut Memo::default());
            let view = View { meter: &meter, window: &window, limit: Bytes::new(limit), at: now, flights: &none };
            view.outlook(inflow.as_ref())
        });
        prop_assert_eq!(looks[0].is_some(), minutes == 0 || looks[0].is_some());
        if minutes == 0 {
            prop_assert_eq!(looks[0], looks[1]);
        }
        if let Some(Outlook { about, earliest, latest, .. }) = looks[1] {
            if let (Some(about), Some(latest)) = (about, latest) {
                prop_assert!(about <= latest);
            }
            if let Some(about) = about {
                prop_assert!(earliest.is_some_and(|earliest| earliest <= about));
            }
        }
    }

    /// A memo that is carried along changes nothing.
    #[test]
    fn a_memo_changes_nothing(buckets in prop::collection::vec(0..1_000u64, HISTORY + 40)) {
        let mut memo = Memo::default();
        let first = at(NOW);
        let mut meter = Meter::new(first, HISTORY + 1);
        for (n, bytes) in buckets.iter().enumerate() {
            let start = first + SignedDuration::from_secs(i64::try_from(n).unwrap() * BUCKET);
            meter.add(start, Bytes::new(*bytes));
            let now = start + SignedDuration::from_secs(BUCKET);
            prop_assert_eq!(Inflow::guess(&meter, now, &[], &mut memo), Inflow::guess(&meter, now, &[], &mut Memo::default()));
        }
    }
}
