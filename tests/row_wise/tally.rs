//! Many graphs tried at once, counted, and told apart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use scoria::engine::RowWise;

use super::trial::{Outcome, Trial};
use crate::support::{self, Folder};

/// Failures that are printed; the others are counted.
const SHOWN: usize = 40;

/// Operator sets of each case in a plain run, at most.
const KEPT: usize = 5;

/// A graph as text, in these operator sets.
pub struct Case {
    pub text: String,
    pub versions: Vec<i64>,
}

impl Case {
    /// Leaves a few operator sets, others for each number, so that neighbouring cases have all of them between them.
    pub fn thin_out(&mut self, number: usize) {
        let count = self.versions.len();
        if count > KEPT {
            let step = count.div_ceil(KEPT);
            self.versions = self.versions[number % step..].iter().step_by(step).copied().collect();
        }
    }
}

/// One graph that was tried.
pub struct Tried {
    pub row_wise: RowWise,
    /// `None` where nobody looked.
    pub outcome: Option<Outcome>,
    /// Which of the cases it is.
    case: usize,
    version: i64,
}

/// What became of all.
pub struct Tally {
    texts: Vec<String>,
    graphs: usize,
    pub ran: usize,
    tried: Vec<Tried>,
    thorough: bool,
    /// The first reason by which each case did not run.
    refusals: BTreeMap<usize, String>,
}

/// Tries all cases. `thorough` has the rows of unproven graphs compared too.
pub fn of(cases: &[Case], thorough: bool) -> Tally {
    let graphs: Vec<(usize, i64)> = cases
        .iter()
        .enumerate()
        .flat_map(|(case, Case { versions, .. })| versions.iter().map(move |&v| (case, v)))
        .collect();
    let next = AtomicUsize::new(0);
    // For a graph that ends the process: the last ones printed.
    let traces = std::env::var_os("SCORIA_ROW_WISE_TRACE").is_some();
    let work = || {
        let (engine, folder) = (support::ort(), Folder::new());
        let path = folder.path().join("model.onnx");
        let (mut tried, mut refusals) = (Vec::new(), Vec::new());
        while let Some(&(case, version)) = graphs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let text = &cases[case].text;
            if traces {
                eprintln!("@{version} {text}");
            }
            let found = Trial::of(&engine, text, version, &path).and_then(|mut trial| {
                let row_wise = trial.row_wise.clone();
                let outcome = match (thorough || row_wise == RowWise::Proven).then(|| trial.outcome()) {
                    Some(Outcome::Fails(error)) => return Err(error),
                    Some(outcome) => Some(outcome),
                    None => trial.runs_alone().map(|()| None)?,
                };
                Ok(Tried { row_wise, outcome, case, version })
            });
            match found {
                Ok(found) => tried.push(found),
                Err(reason) => refusals.push((case, reason)),
            }
        }
        (tried, refusals)
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let parts: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread panics")).collect()
    });
    let (tried, refusals): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    let mut tried: Vec<Tried> = tried.into_iter().flatten().collect();
    tried.sort_by_key(|tried| (tried.case, tried.version));
    let refusals = refusals.into_iter().flatten().collect();
    let texts = cases.iter().map(|case| case.text.clone()).collect();
    Tally { texts, graphs: graphs.len(), ran: tried.len(), tried, thorough, refusals }
}

impl Tally {
    #[allow(clippy::print_stdout, reason = "what was counted is for whoever runs the tests with --nocapture")]
    /// Prints the counts, and what is kept from a proof although no row reached another.
    pub fn report(&self, what: &str) {
        let proven = self.tried.iter().filter(|tried| tried.row_wise == RowWise::Proven).count();
        let mixing = self.tried.iter().filter(|tried| matches!(tried.outcome, Some(Outcome::Mixes(_)))).count();
        println!("{what}: {} graphs, {} ran, {proven} proven, {mixing} seen to mix rows", self.graphs, self.ran);
        let mut kept: BTreeMap<&str, Vec<&Tried>> = BTreeMap::new();
        for tried in &self.tried {
            if let (RowWise::Unproven { operator }, Some(Outcome::Apart)) = (&tried.row_wise, &tried.outcome) {
                kept.entry(operator).or_default().push(tried);
            }
        }
        for (operator, tried) in kept {
            println!("  {} apart and unproven by {operator}, as in {}", tried.len(), self.line(tried[0]));
        }
        let never = self.never_ran();
        println!("  {} of {} cases never ran", never.len(), self.texts.len());
        never.iter().take(if self.thorough { usize::MAX } else { 0 }).for_each(|line| println!("    {line}"));
    }

    /// Fails if a proven graph mixes rows.
    pub fn fail_if_proven_mixes(&self) {
        let mixes =
            |tried: &&Tried| tried.row_wise == RowWise::Proven && matches!(tried.outcome, Some(Outcome::Mixes(_)));
        fail("proven, and mix rows", self.tried.iter().filter(mixes).map(|tried| self.line(tried)).collect());
    }

    /// Fails if a graph is so.
    pub fn fail(&self, what: &str, is_bad: impl Fn(&Tried) -> bool) {
        fail(what, self.tried.iter().filter(|tried| is_bad(tried)).map(|tried| self.line(tried)).collect());
    }

    /// Fails if a case ran in none of its operator sets.
    pub fn fail_if_a_case_never_ran(&self) {
        fail("of no use: they never ran", self.never_ran());
    }

    fn never_ran(&self) -> Vec<String> {
        let ran: BTreeSet<usize> = self.tried.iter().map(|tried| tried.case).collect();
        let never = self.refusals.iter().filter(|(case, _)| !ran.contains(case));
        never.map(|(&case, reason)| format!("{}: {reason}", self.texts[case])).collect()
    }

    fn line(&self, tried: &Tried) -> String {
        let found = match &tried.outcome {
            Some(Outcome::Mixes(text)) => text.as_str(),
            Some(Outcome::Apart) => "kept apart",
            Some(Outcome::Fails(_)) | None => "not looked at",
        };
        format!("@{} {} ({:?}): {found}", tried.version, self.texts[tried.case], tried.row_wise)
    }
}

fn fail(what: &str, lines: Vec<String>) {
    let shown = lines.iter().take(SHOWN).map(|line| format!("  {line}\n")).collect::<String>();
    assert!(lines.is_empty(), "{} graphs are {what}:\n{shown}", lines.len());
}
