//! How long the core's decisions take: `make bench-core`. Nothing fails because a machine is busy; see `counts` for what does.

mod subjects;

fn main() {
    divan::main();
}

#[divan::bench(args = subjects::ALL)]
fn decisions(bencher: divan::Bencher<'_, '_>, subject: &str) {
    let mut work = subjects::set_up(subject);
    bencher.bench_local(&mut work);
}
