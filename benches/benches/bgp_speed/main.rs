//! BGP end to end, in network namespaces: how soon real routers have our routes, beside a minimal sender of the same
//! bytes; how soon a change is in the socket; whether KEEPALIVEs come in time while a million prefixes go.
//!
//! It takes root, and FRR, BIRD and GoBGP (`make setup`).
//!
//! ```text
//! cargo bench -p metal-benches --bench bgp_speed -- [SECTION]... [--turns N]
//! ```
//!
//! Without a section it runs all of them. It prints a table and then the same as JSON. Under `cargo test` it does
//! everything once with small numbers, and asserts nothing about time.

#![expect(clippy::print_stdout, reason = "its result")]

mod convergence;
mod keepalive;
mod lab;
mod latency;
mod report;
mod router;
mod wire;

use std::env;

use router::Kind;

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// How often each is measured.
    pub(crate) turns: usize,
    /// All numbers of routes are divided by this.
    pub(crate) divisor: u32,
}

const SECTIONS: [(&str, fn(Scale) -> Vec<report::Row>); 6] = [
    ("bird", |scale| convergence::measure(Kind::Bird, 100_000, scale)),
    ("frr", |scale| convergence::measure(Kind::Frr, 100_000, scale)),
    ("frr-services", |scale| convergence::measure(Kind::Frr, 5_000, scale)),
    ("gobgp", |scale| convergence::measure(Kind::Gobgp, 10_000, scale)),
    ("latency", latency::measure),
    ("keepalive", keepalive::measure),
];

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let is_bench = arguments.iter().any(|argument| argument == "--bench");
    let mut scale = if is_bench { Scale { turns: 5, divisor: 1 } } else { Scale { turns: 1, divisor: 100 } };
    let mut wanted = Vec::new();
    let mut rest = arguments.iter().filter(|argument| *argument != "--bench");
    while let Some(argument) = rest.next() {
        if argument == "--turns" {
            let turns = rest.next().and_then(|turns| turns.parse().ok()).filter(|turns| *turns > 0);
            scale.turns = turns.expect("--turns takes a number from 1");
        } else {
            let names = SECTIONS.map(|(name, _)| name);
            assert!(names.contains(&&**argument), "there is no {argument:?}, only {names:?}");
            wanted.push(argument.as_str());
        }
    }
    let rows: Vec<_> = SECTIONS
        .into_iter()
        .filter(|(name, _)| wanted.is_empty() || wanted.contains(name))
        .flat_map(|(name, measure)| {
            eprintln(name);
            measure(scale)
        })
        .collect();
    println!("{}", report::table(&rows));
    println!("{}", report::json(&rows));
}

#[expect(clippy::print_stderr, reason = "some of it takes a minute")]
fn eprintln(name: &str) {
    eprintln!("measuring: {name}");
}
