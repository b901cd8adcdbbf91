//! Holds the proofs about a graph's rows against the runtime.
//!
//! `operators.txt` has each operator with its attributes, `networks` makes graphs of several at random: where the server says
//! that the rows stay apart, hostile rows must be answered together as alone. `proven.txt` lists uses that the proof has to
//! cover, so that it stays of use, and `mixing.txt` ways to mix rows, which the runtime shows.
//!
//! `SCORIA_ROW_WISE_GRAPHS` is how many graphs to make at random: `make rows` makes ten times as many as a plain run, takes each
//! operator in all operator sets, and looks at what is not proven too. `SCORIA_ROW_WISE_OPERATORS`, `…_PROVEN` and `…_MIXING` name
//! other tables; with `SCORIA_ROW_WISE_TRACE`, each graph is printed before it is tried, for one that ends the process.

#![allow(clippy::disallowed_methods, reason = "a test binary is its own main, and config/env.rs is the server's")]

mod alternatives;
mod networks;
mod notation;
mod rows;
#[path = "../support/mod.rs"]
mod support;
mod tally;
mod trial;

use scoria::engine::RowWise;

use alternatives::expand;
use tally::Case;
use trial::Outcome;

/// Random graphs of a plain run.
const NETWORKS: usize = 3_000;

/// Operator sets whose operators differ from the one before in what they take, up to the newest that the runtime takes.
const VERSIONS: &[i64] = &[7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26];

/// The graphs of a table: each line, in each of its operator sets.
///
/// A line may begin with those, as in `@13,17`.
fn table(name: &str) -> Vec<Case> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/row_wise/");
    let path =
        std::env::var(format!("SCORIA_ROW_WISE_{}", name.to_uppercase())).unwrap_or(format!("{folder}{name}.txt"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let cases = lines.flat_map(|line| {
        let (versions, line) = match line.strip_prefix('@').and_then(|line| line.split_once(' ')) {
            Some((versions, line)) => {
                (versions.split(',').map(|version| version.parse().expect("a number")).collect(), line)
            }
            None => (VERSIONS.to_vec(), line),
        };
        expand(line).into_iter().map(|text| Case { text, versions: versions.clone() }).collect::<Vec<_>>()
    });
    cases.collect()
}

/// How many random graphs to make, and whether the unproven ones are looked at.
fn size() -> (usize, bool) {
    match std::env::var("SCORIA_ROW_WISE_GRAPHS") {
        Ok(count) => (count.parse().expect("SCORIA_ROW_WISE_GRAPHS is a number of graphs, as in 30000"), true),
        Err(_) => (NETWORKS, false),
    }
}

#[test]
fn proven_operators_keep_hostile_rows_apart() {
    let (_, thorough) = size();
    let mut cases = table("operators");
    if !thorough {
        let spread = |(number, case): (usize, &mut Case)| case.thin_out(number);
        cases.iter_mut().enumerate().for_each(spread);
    }
    let tally = tally::of(&cases, thorough);
    tally.report("operators");
    assert!(tally.ran >= 3_000, "only {} graphs ran", tally.ran);
    tally.fail_if_proven_mixes();
}

#[test]
fn proven_networks_keep_hostile_rows_apart() {
    let (count, thorough) = size();
    let cases: Vec<Case> = (0..count as u64).map(networks::network).collect();
    let tally = tally::of(&cases, thorough);
    tally.report("networks");
    assert!(tally.ran * 10 >= count * 8, "only {} of {count} graphs ran", tally.ran);
    tally.fail_if_proven_mixes();
}

#[test]
fn ordinary_uses_are_proven() {
    let tally = tally::of(&table("proven"), true);
    tally.report("ordinary uses");
    tally.fail_if_proven_mixes();
    tally.fail_if_a_case_never_ran();
    tally.fail("not proven", |trial| !matches!(trial.row_wise, RowWise::Proven));
}

#[test]
fn ways_to_mix_rows_are_not_proven() {
    let tally = tally::of(&table("mixing"), true);
    tally.report("ways to mix");
    tally.fail_if_a_case_never_ran();
    tally.fail("proven", |trial| matches!(trial.row_wise, RowWise::Proven));
    tally.fail("not shown to mix", |trial| !matches!(trial.outcome, Some(Outcome::Mixes(_))));
}
