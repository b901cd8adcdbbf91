//! The extensions that the server metadata lists: those that work here, and no others.

/// What depends on how the server was set up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Models can be loaded and unloaded by clients.
    pub repository_control: bool,
    /// Regions of system shared memory can be registered.
    pub system_shared_memory: bool,
}

/// The names, as Triton spells them.
pub fn extensions(capabilities: Capabilities) -> Vec<&'static str> {
    let mut names = vec![
        "classification",
        "schedule_policy",
        "model_configuration",
        "binary_tensor_data",
        "parameters",
        "statistics",
    ];
    if capabilities.repository_control {
        names.extend(["model_repository", "model_repository(unload_dependents)"]);
    }
    if capabilities.system_shared_memory {
        names.push("system_shared_memory");
    }
    names.push("logging");
    names
}
