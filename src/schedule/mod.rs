//! When, where and with whom a request's model run takes place.
//!
//! A [`Scheduler`] owns one deployment's sessions, each in a [`Lane`](lane::Lane). Short runs are done by the threads that serve
//! connections ([`combining`]), long ones by workers ([`pooled`]) on a lease of the server's [`Cores`]; either way, requests
//! that wait at the same time share a run where the deployment's rows may be joined ([`batch`]). They wait in one bounded
//! [`queue`], which [`overload`] keeps short. Deadlines are kept by one [`Watchdog`] that no run can block.
//!
//! Policy is pure: [`plan`](mod@plan), [`device`], [`overload`], [`cost`], [`company`] and [`Crowd`] know no thread and read no clock.

mod batch;
mod combining;
mod company;
mod cores;
mod cost;
mod crowd;
mod device;
mod job;
mod lane;
mod others_first;
mod outcome;
mod overload;
mod plan;
mod pooled;
mod queue;
mod reply;
mod scheduler;
mod watchdog;

pub use cores::Cores;
pub use cost::{Cost, Sample};
pub use crowd::{Crowd, Narrow};
pub use device::device_layout;
pub use job::{Place, Priority, Size};
pub use lane::Lane;
pub use outcome::{Completed, Limits, ScheduleError};
pub use plan::{
    BATCH_ROWS_MAX, BATCH_TIMES_MAX, Execution, INLINE_RUN_MAX, Plan, Timed, Wishes, batch_rows, gain, layout, plan,
    threads_to_try,
};
pub use scheduler::{Parts, Scheduler};
pub use watchdog::{Watchdog, WatchdogHandle};

#[cfg(test)]
mod tests;
