//! What is being served: endpoints, their deployments, and the table that routes to them.
//!
//! The data plane reads an immutable [`RoutingTable`] without a lock; only `control` publishes a new one.

mod admission;
mod comparison;
#[allow(clippy::module_inception)]
mod deployment;
mod endpoint;
mod mirror;
mod recent;
mod routing_table;
mod row_joining;
mod statistics;
mod traffic;

pub use admission::{Admission, Permit};
pub use comparison::{Comparison, Difference, Measured, Times};
pub use deployment::{Deployment, Labels, Lifeline, ModelInfo};
pub use endpoint::{Endpoint, EndpointSettings, Unpicked};
pub use mirror::{Drawn, Mirror, MirrorThread, Target};
// What a deployment answers with is part of what it is: `http` knows deployments, and nothing of what is below them.
pub use crate::schedule::{Completed, Execution, Priority, ScheduleError};
pub use routing_table::{Beginning, Entry, Routing, RoutingTable, Standing, State};
pub use row_joining::{JoinVerdict, RowJoining};
pub use statistics::{Reported, Statistics};
pub use traffic::{Dice, Traffic};
