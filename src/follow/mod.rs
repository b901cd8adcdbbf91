//! What a server does about experiments and rollouts by itself: tells the registry what it has counted, takes the steps that
//! [`rollout`](crate::rollout) says are due, and tells others what happened.
//!
//! All state is in the registry: [`Reporter`] writes `status/<endpoint>/<replica>.json`, [`Follower`] creates revisions of
//! endpoints. [`Announcer`] reads both logs and posts events. Any number of servers do this side by side.

mod announcer;
mod answers;
mod companion;
mod events;
mod follower;
mod identity;
mod profiling;
mod reporter;
mod trials;
mod trouble;

pub use announcer::Announcer;
pub use answers::{Divergence, diverge};
pub use companion::{Accompanied, Companion};
pub use events::{of_endpoint, of_model};
pub use follower::{Follower, Waits, newest};
pub use identity::{Identity, IdentityError};
pub use profiling::ProfileCommand;
pub use reporter::Reporter;
