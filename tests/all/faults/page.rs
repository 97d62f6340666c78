//! `docs/faults.md`: what came of all faults, by the call that was struck and by the fault.

use super::aws::Fault;
use super::{Count, Table};

/// The page, from the plain story and the one with people in it.
pub fn page(plain: &(Table, Count), people: &(Table, Count), step: usize) -> String {
    let stories = grouped(plain.1.stories + people.1.stories);
    let part = if step == 1 { "every strike".to_owned() } else { format!("one strike of {step}, by turns") };
    let part = format!("{part}: {stories} stories");
    let (before, between) = include_str!("page.md").split_once("{{ plain }}\n").expect("a place for the tables");
    let (between, after) = between.split_once("{{ people }}\n").expect("a place for the tables");
    let tables = [tables(plain, false), tables(people, true)];
    format!("{before}{}{between}{}{after}", tables[0], tables[1]).replace("{{ part }}", &part)
}

/// With commas between the thousands.
fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let mut grouped = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn tables((table, all): &(Table, Count), with_cutoff: bool) -> String {
    let heading = |first: &str| {
        let mut columns = vec![first, "stories", "alerts lost", "repeats beyond the bound", "wrong levels"];
        columns.push(if with_cutoff { "cutoffs left raised" } else { "unknown shown as fine" });
        columns.extend(["success claimed wrongly", "not ended in time"]);
        format!("| {} |\n|{}\n", columns.join(" | "), "---|".repeat(columns.len()))
    };
    let counts = |count: &Count| {
        let Count { stories, lost, beyond, wrong, unknown_as_fine, claimed, left_raised, cut_off, .. } = count;
        let third = if with_cutoff { left_raised } else { unknown_as_fine };
        format!("{stories} | {lost} | {beyond} | {wrong} | {third} | {claimed} | {cut_off}")
    };
    let mut page = heading("call that is struck");
    for (operation, faults) in table {
        let mut sum = Count::default();
        faults.values().for_each(|count| sum.add(count.clone()));
        page.push_str(&format!("| `{operation}` | {} |\n", counts(&sum)));
    }
    page.push_str(&format!("| **all** | {} |\n\n", counts(all)));
    page.push_str(&heading("fault"));
    for fault in Fault::ALL {
        let mut sum = Count::default();
        table.values().filter_map(|faults| faults.get(&fault)).for_each(|count| sum.add(count.clone()));
        page.push_str(&format!("| {} | {} |\n", fault.words(), counts(&sum)));
    }
    page
}
