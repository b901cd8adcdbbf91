//! When and where a model runs.
//!
//! A [`Scheduler`] owns one deployment's sessions, each in a [`Lane`](lane::Lane) with a worker thread. A request is run
//! *inline*, on the thread that decoded it, when the model is known to be quick, a lane is free and nobody waits: a hand-over
//! to another thread costs more than such a run. Otherwise it waits in a bounded queue for a worker. Deadlines are kept by
//! one [`Watchdog`] that no run can block.

mod job;
mod lane;
mod plan;
mod queue;
mod scheduler;
mod watchdog;

pub use lane::{Lane, Place};
pub use plan::{Execution, Measurement, Plan, Wishes, plan};
pub use scheduler::{Completed, Limits, ScheduleError, Scheduler};
pub use watchdog::{Watchdog, WatchdogHandle};
