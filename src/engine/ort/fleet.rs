//! One model on several GPUs: loaded graphs on each, given to sessions in turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::graph::LoadedGraph;

/// What each device has of one model. The processor is one device.
pub(super) struct Fleet {
    members: Vec<Arc<Graphs>>,
    given: AtomicUsize,
}

/// What one device has of a model.
pub(super) struct Graphs {
    /// For runs of any size.
    pub any: LoadedGraph,
    /// For runs of so many rows only, each.
    pub sized: Vec<(usize, LoadedGraph)>,
}

impl Graphs {
    /// The one for so many rows.
    pub(super) fn for_rows(&self, rows: Option<usize>) -> &LoadedGraph {
        let own = self.sized.iter().find(|(size, _)| Some(*size) == rows);
        own.map_or(&self.any, |(_, graph)| graph)
    }
}

impl Fleet {
    /// `members` are at least one.
    pub(super) fn new(members: Vec<Arc<Graphs>>) -> Fleet {
        Fleet { members, given: AtomicUsize::new(0) }
    }

    /// What the next session runs.
    pub(super) fn next(&self) -> Arc<Graphs> {
        Arc::clone(&self.members[turn(&self.given, self.members.len())])
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
