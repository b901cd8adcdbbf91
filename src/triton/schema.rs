//! Which fields there are: the messages of Triton's `model_config.proto`, as far as they are looked into.
//!
//! A name that is not here is a slip of the pen, and refused as protobuf itself does.

use crate::pbtxt::{Fault, Field, Message};

/// The fields of one message.
#[derive(Debug)]
pub(super) struct Fields {
    /// What the message is called in a refusal.
    pub of: &'static str,
    /// Those that may be given once.
    pub single: &'static [&'static str],
    /// Those that may be given any number of times.
    pub repeated: &'static [&'static str],
}

impl Fields {
    /// The message's fields, if all are among these and none is given too often.
    pub fn of<'m>(&self, message: &'m Message) -> Result<&'m [Field], Fault> {
        let mut seen: Vec<&str> = Vec::new();
        for field in &message.fields {
            let name = field.name.as_str();
            if self.repeated.contains(&name) {
                continue;
            }
            if !self.single.contains(&name) {
                return Err(self.unknown(field));
            }
            if seen.contains(&name) {
                return Err(field.fault(format_args!("given twice; {} has it once", self.of)));
            }
            seen.push(name);
        }
        Ok(&message.fields)
    }

    fn unknown(&self, field: &Field) -> Fault {
        let names = self.single.iter().chain(self.repeated);
        let near = names.map(|name| (strsim::jaro_winkler(name, &field.name), name)).max_by(|a, b| a.0.total_cmp(&b.0));
        let name: String = field.name.chars().take(60).collect();
        let hint = match near {
            Some((likeness, name)) if likeness > 0.8 => format!("did you mean {name}?"),
            _ => format!("it has {}", [self.single, self.repeated].concat().join(", ")),
        };
        Fault::new(field.place, format!("{name}: {} has no such field; {hint}", self.of))
    }
}

pub(super) const MODEL_CONFIG: Fields = Fields {
    of: "a model's configuration",
    single: &[
        "name",
        "platform",
        "backend",
        "runtime",
        "version_policy",
        "max_batch_size",
        "optimization",
        "dynamic_batching",
        "sequence_batching",
        "ensemble_scheduling",
        "default_model_filename",
        "model_operations",
        "model_transaction_policy",
        "model_repository_agents",
        "response_cache",
        "model_metrics",
    ],
    repeated: &[
        "input",
        "output",
        "batch_input",
        "batch_output",
        "instance_group",
        "cc_model_filenames",
        "metric_tags",
        "parameters",
        "model_warmup",
    ],
};

pub(super) const INPUT: Fields = Fields {
    of: "an input",
    single: &[
        "name",
        "data_type",
        "format",
        "reshape",
        "is_shape_tensor",
        "allow_ragged_batch",
        "optional",
        "is_non_linear_format_io",
    ],
    repeated: &["dims"],
};

pub(super) const OUTPUT: Fields = Fields {
    of: "an output",
    single: &["name", "data_type", "reshape", "label_filename", "is_shape_tensor", "is_non_linear_format_io"],
    repeated: &["dims"],
};

pub(super) const RESHAPE: Fields = Fields { of: "reshape", single: &[], repeated: &["shape"] };

pub(super) const VERSION_POLICY: Fields =
    Fields { of: "version_policy", single: &["latest", "all", "specific"], repeated: &[] };
pub(super) const LATEST: Fields = Fields { of: "latest", single: &["num_versions"], repeated: &[] };
pub(super) const ALL: Fields = Fields { of: "all", single: &[], repeated: &[] };
pub(super) const SPECIFIC: Fields = Fields { of: "specific", single: &[], repeated: &["versions"] };

pub(super) const DYNAMIC_BATCHING: Fields = Fields {
    of: "dynamic_batching",
    single: &[
        "max_queue_delay_microseconds",
        "preserve_ordering",
        "priority_levels",
        "default_priority_level",
        "default_queue_policy",
    ],
    repeated: &["preferred_batch_size", "priority_queue_policy"],
};

pub(super) const QUEUE_POLICY: Fields = Fields {
    of: "a queue policy",
    single: &["timeout_action", "default_timeout_microseconds", "allow_timeout_override", "max_queue_size"],
    repeated: &[],
};

pub(super) const INSTANCE_GROUP: Fields = Fields {
    of: "an instance group",
    single: &["name", "kind", "count", "rate_limiter", "passive", "host_policy"],
    repeated: &["gpus", "secondary_devices", "profile"],
};

/// An entry of `map<string, ModelParameter>`, and of every other map.
pub(super) const ENTRY: Fields = Fields { of: "an entry", single: &["key", "value"], repeated: &[] };

pub(super) const PARAMETER: Fields = Fields { of: "a parameter", single: &["string_value"], repeated: &[] };

pub(super) const OPTIMIZATION: Fields = Fields {
    of: "optimization",
    single: &[
        "graph",
        "priority",
        "cuda",
        "execution_accelerators",
        "input_pinned_memory",
        "output_pinned_memory",
        "gather_kernel_buffer_threshold",
        "eager_batching",
    ],
    repeated: &[],
};

pub(super) const ACCELERATORS: Fields = Fields {
    of: "execution_accelerators",
    single: &[],
    repeated: &["gpu_execution_accelerator", "cpu_execution_accelerator"],
};

pub(super) const ACCELERATOR: Fields = Fields { of: "an accelerator", single: &["name"], repeated: &["parameters"] };

pub(super) const TRANSACTION_POLICY: Fields =
    Fields { of: "model_transaction_policy", single: &["decoupled"], repeated: &[] };

pub(super) const RESPONSE_CACHE: Fields = Fields { of: "response_cache", single: &["enable"], repeated: &[] };

pub(super) const WARM_UP: Fields =
    Fields { of: "model_warmup", single: &["name", "batch_size", "count"], repeated: &["inputs"] };

pub(super) const WARM_UP_INPUT: Fields = Fields {
    of: "an input of model_warmup",
    single: &["data_type", "zero_data", "random_data", "input_data_file"],
    repeated: &["dims"],
};
