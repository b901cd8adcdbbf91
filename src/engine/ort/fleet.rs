//! One model on several GPUs: a loaded graph on each, given to sessions in turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::graph::LoadedGraph;

/// The graphs of one model. On the processor there is one.
pub(super) struct Fleet {
    graphs: Vec<Arc<LoadedGraph>>,
    given: AtomicUsize,
}

impl Fleet {
    /// `graphs` are at least one.
    pub(super) fn new(graphs: Vec<Arc<LoadedGraph>>) -> Fleet {
        Fleet { graphs, given: AtomicUsize::new(0) }
    }

    /// The graph that the next session runs.
    pub(super) fn next(&self) -> Arc<LoadedGraph> {
        Arc::clone(&self.graphs[turn(&self.given, self.graphs.len())])
    }
}

/// Whose turn it is of so many.
fn turn(given: &AtomicUsize, count: usize) -> usize {
    given.fetch_add(1, Ordering::Relaxed) % count.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_turn() {
        let given = AtomicUsize::new(0);
        let turns: Vec<_> = (0..5).map(|_| turn(&given, 2)).collect();
        assert_eq!(turns, [0, 1, 0, 1, 0]);
    }
}
