//! Makes what is served match what was asked for: reads the request, loads, warms, publishes, drains.

mod aside;
mod batching;
mod controller;
mod description;
mod engine_cache;
mod loader;
mod measure;
mod model_spec;
mod namesakes;
pub mod operations;
mod publication;
mod replica;
mod replica_status;
mod repository;
mod shelf;
mod slot;
mod threads;
mod wanted;

pub use aside::give_way;
pub use controller::{Controller, Done, Job, Means, NotLoaded, Part};
pub use description::Description;
pub use engine_cache::EngineCache;
pub use loader::{Loader, Seat, digest_file, sample_path};
pub use model_spec::{ModelSpec, SpecError, models_of_folder, resolve_models};
pub use replica::{Interpret, Known, Replica};
pub use replica_status::{DeploymentStatus, HEARTBEAT_S, ReplicaStatus, keys_used, ledger, statuses};
pub use repository::{Prepare, Repository, RepositoryError};
pub use shelf::{Open, Shelf, Trial};
pub use threads::{Obtain, Obtained, Order, Orders, Running, Workshop, start};
pub use wanted::{Settings, Source, Wanted, WantedDeployment};

#[cfg(test)]
mod swap_tests;
#[cfg(test)]
mod tests;
