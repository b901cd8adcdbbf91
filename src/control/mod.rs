//! Makes what is served match what was asked for: reads the request, loads, warms, publishes.

mod controller;
mod loader;
mod measure;
mod model_spec;
mod repository;

pub use controller::{Controller, Settings};
pub use loader::{Loader, digest_file, sample_path};
pub use model_spec::{ModelSpec, SpecError, resolve_models};
pub use repository::{Prepare, Repository, RepositoryError, Worker};

#[cfg(test)]
mod tests;
