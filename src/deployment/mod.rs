//! What is being served: endpoints, their deployments, and the table that routes to them.
//!
//! The data plane reads an immutable [`RoutingTable`] without a lock; only `control` publishes a new one.

mod admission;
#[allow(clippy::module_inception)]
mod deployment;
mod endpoint;
mod routing_table;

pub use admission::{Admission, Permit};
pub use deployment::{Deployment, ModelInfo};
pub use endpoint::{Endpoint, EndpointSettings, Labels};
// What a deployment answers with is part of what it is: `http` knows deployments, and nothing of what is below them.
pub use crate::schedule::{Completed, Execution, Priority, ScheduleError};
pub use routing_table::{Entry, Routing, RoutingTable, State};
