//! What a month costs.

use expect_test::expect;

use super::{check, watchdog};

#[test]
fn the_table() {
    check(watchdog(&["cost"]), &expect![[""]]);
}

#[test]
fn for_scripts_and_at_another_price() {
    let args = ["cost", "--workgroups", "40", "--every", "5", "--price", "metrics_1000=0.02", "--json"];
    check(watchdog(&args), &expect![[""]]);
}

#[test]
fn wrong_usage() {
    check(watchdog(&["cost", "--price", "metric=cheap"]), &expect![[""]]);
    check(watchdog(&["cost", "--price", "coffee=3"]), &expect![[""]]);
    check(watchdog(&["cost", "--every", "0"]), &expect![[""]]);
    check(watchdog(&["cost", "--workgroups", "5,many"]), &expect![[""]]);
}
