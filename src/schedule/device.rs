//! How a model is run on GPUs. Pure.

use super::plan::Wishes;

/// While one run computes, the next one's inputs are copied to the GPU and the last one's outputs back.
const WORKERS_PER_DEVICE: usize = 2;

/// Sessions and threads where the model computes on so many GPUs: a thread that waits for a GPU computes nothing itself.
pub fn device_layout(devices: usize, wishes: Wishes) -> (usize, usize) {
    let workers = if wishes.workers == 0 { WORKERS_PER_DEVICE * devices } else { wishes.workers };
    (workers.max(1), wishes.intra_op_threads.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_gpu_has_two_workers_unless_something_else_is_asked_for() {
        assert_eq!(device_layout(1, Wishes::default()), (2, 1));
        assert_eq!(device_layout(4, Wishes::default()), (8, 1));
        assert_eq!(device_layout(4, Wishes { workers: 3, intra_op_threads: 2, ..Wishes::default() }), (3, 2));
    }
}
