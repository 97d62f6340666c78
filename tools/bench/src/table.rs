//! The tables.

use serde_json::Value;

const OURS: [(&str, &str); 20] = [
    ("init_ms", "process start to first poll, ms"),
    ("first_depth", "first run after a cold start: calls one after the other"),
    ("first_calls", "  calls in all"),
    ("first_wall_ms", "  at 20 ms a call, ms"),
    ("first_cpu_ms", "  own processor time, ms"),
    ("tls_first_wall_ms", "  with connections over TLS that take 20 ms to open, ms"),
    ("tls_opened", "    connections opened"),
    ("tls_opened_depth", "    of which one after the other"),
    ("warm_depth", "warm run: calls one after the other"),
    ("warm_calls", "  calls in all"),
    ("warm_wall_ms", "  at 20 ms a call, ms"),
    ("warm_wall_at_0_ms", "  at no latency, ms"),
    ("warm_cpu_ms", "  own processor time, ms"),
    ("fake_ms", "  the fake's own time in it at no latency, ms"),
    ("due_depth", "first run with all that is refreshed due: one after the other"),
    ("due_calls", "  calls in all"),
    ("going_on_depth", "runs after it until all is fresh, at most: one after the other"),
    ("going_on_calls", "  calls in all"),
    ("peak_kb", "peak memory, kB"),
    ("tls_peak_kb", "  with TLS, kB"),
];

const SIDE_BY_SIDE: [(&str, &str); 6] = [
    ("init_ms", "process start to first poll, ms"),
    ("warm_calls", "warm run: calls"),
    ("warm_wall_ms", "  at 20 ms a call, ms"),
    ("warm_wall_at_0_ms", "  at no latency, ms"),
    ("warm_cpu_at_0_ms", "  own processor time, ms"),
    ("peak_kb", "peak memory, kB"),
];

/// Prints what [`crate::measure::measure`] has measured.
pub fn print(measured: &Value) {
    let accounts = measured["accounts"].as_array().map_or(&[][..], Vec::as_slice);
    println!("artefact: {} bytes; medians of {} rounds\n", measured["artefact_bytes"], measured["rounds"]);
    head("workgroups, a 1-hour and a 24-hour limit each", accounts.iter().map(name));
    for (name, words) in OURS {
        row(words, accounts.iter().map(|account| &account["medians"][name]));
    }
    println!("\nof the warm run, by operation:");
    for account in accounts {
        println!("  {:>9}: {}", name(account), account["calls"]);
    }
    for account in accounts {
        let Some(peers) = account["peers"].as_object().filter(|peers| !peers.is_empty()) else { continue };
        println!();
        let names = std::iter::once("ours".to_owned()).chain(peers.keys().map(|name| name.replace('_', " ")));
        head(&format!("{} workgroups, side by side", account["workgroups"]), names);
        for (name, words) in SIDE_BY_SIDE {
            let of_peers = peers.values().map(|peer| &peer["medians"][name]);
            row(words, std::iter::once(&account["medians"][name]).chain(of_peers));
        }
    }
}

fn name(account: &Value) -> String {
    format!("{}{}", account["workgroups"], if account["idle"] == true { " idle" } else { "" })
}

const WIDTH: usize = 16;

fn head(first: &str, columns: impl Iterator<Item = String>) {
    let columns: Vec<String> = columns.collect();
    print!("| {first:<64} |");
    columns.iter().for_each(|column| print!(" {column:>WIDTH$} |"));
    println!("\n|{:-<66}|{}", "", format!("{:->width$}|", ":", width = WIDTH + 2).repeat(columns.len()));
}

fn row<'a>(words: &str, cells: impl Iterator<Item = &'a Value>) {
    print!("| {words:<64} |");
    cells.for_each(|cell| print!(" {:>WIDTH$} |", cell.to_string().trim_end_matches(".0")));
    println!();
}
