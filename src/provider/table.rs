//! What can be set of each provider: ONNX Runtime's names, and what each may be.
//!
//! Sources: <https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html> and
//! <https://onnxruntime.ai/docs/execution-providers/TensorRT-ExecutionProvider.html>. Left out is what passes pointers, has the runtime
//! load further code, or writes what it compiles to where it was not asked to.

use super::Provider;

/// One option of a provider.
#[derive(Debug)]
pub struct ProviderOption {
    pub name: &'static str,
    pub kind: Kind,
}

/// What an option may be.
#[derive(Debug)]
pub enum Kind {
    /// `0` or `1`.
    Switch,
    Number {
        least: i64,
        most: i64,
    },
    OneOf(&'static [&'static str]),
    /// A place on the server's disk.
    Path,
    Text,
    /// `input:1x3x224x224`, several with commas between them.
    Shapes,
    /// The numbers of GPUs.
    Devices,
    /// Known to the runtime, and not to be had here.
    Refused(&'static str),
}

/// More GPUs than a machine has.
const DEVICES_MAX: usize = 64;

const GRAPHS: &str = "TensorRT's own recordings are of one shape in all; leave it out, or have the runs of CUDA's provider \
                      recorded (cuda.enable_cuda_graph)";

const fn option(name: &'static str, kind: Kind) -> ProviderOption {
    ProviderOption { name, kind }
}

const fn up_to(most: i64) -> Kind {
    Kind::Number { least: 0, most }
}

const fn at_least_one() -> Kind {
    Kind::Number { least: 1, most: i64::MAX }
}

const CUDA: &[ProviderOption] = &[
    option("device_id", Kind::Devices),
    option("gpu_mem_limit", at_least_one()),
    option("arena_extend_strategy", Kind::OneOf(&["kNextPowerOfTwo", "kSameAsRequested"])),
    option("cudnn_conv_algo_search", Kind::OneOf(&["EXHAUSTIVE", "HEURISTIC", "DEFAULT"])),
    option("cudnn_conv_use_max_workspace", Kind::Switch),
    option("cudnn_conv1d_pad_to_nc1d", Kind::Switch),
    option("do_copy_in_default_stream", Kind::Switch),
    option("enable_cuda_graph", Kind::Switch),
    option("enable_skip_layer_norm_strict_mode", Kind::Switch),
    option("fuse_conv_bias", Kind::Switch),
    option("prefer_nhwc", Kind::Switch),
    option("sdpa_kernel", up_to(i32::MAX as i64)),
    option("tunable_op_enable", Kind::Switch),
    option("tunable_op_tuning_enable", Kind::Switch),
    option("tunable_op_max_tuning_duration_ms", up_to(i32::MAX as i64)),
    option("use_tf32", Kind::Switch),
];

const TENSORRT: &[ProviderOption] = &[
    option("device_id", Kind::Devices),
    option("trt_auxiliary_streams", Kind::Number { least: -1, most: 64 }),
    option("trt_bf16_enable", Kind::Switch),
    option("trt_build_heuristics_enable", Kind::Switch),
    option("trt_builder_optimization_level", up_to(5)),
    option("trt_context_memory_sharing_enable", Kind::Switch),
    option("trt_cuda_graph_enable", Kind::Refused(GRAPHS)),
    option("trt_detailed_build_log", Kind::Switch),
    option("trt_dla_core", up_to(15)),
    option("trt_dla_enable", Kind::Switch),
    option("trt_engine_cache_enable", Kind::Switch),
    option("trt_engine_cache_path", Kind::Path),
    option("trt_engine_cache_prefix", Kind::Text),
    option("trt_engine_hw_compatible", Kind::Switch),
    option("trt_force_sequential_engine_build", Kind::Switch),
    option("trt_force_timing_cache", Kind::Switch),
    option("trt_fp16_enable", Kind::Switch),
    option("trt_int8_calibration_table_name", Kind::Text),
    option("trt_int8_enable", Kind::Switch),
    option("trt_int8_use_native_calibration_table", Kind::Switch),
    option("trt_layer_norm_fp32_fallback", Kind::Switch),
    option("trt_max_partition_iterations", up_to(i32::MAX as i64)),
    option("trt_max_workspace_size", at_least_one()),
    option("trt_min_subgraph_size", Kind::Number { least: 1, most: i32::MAX as i64 }),
    option("trt_op_types_to_exclude", Kind::Text),
    option("trt_profile_max_shapes", Kind::Shapes),
    option("trt_profile_min_shapes", Kind::Shapes),
    option("trt_profile_opt_shapes", Kind::Shapes),
    option("trt_sparsity_enable", Kind::Switch),
    option("trt_tactic_sources", Kind::Text),
    option("trt_timing_cache_enable", Kind::Switch),
    option("trt_timing_cache_path", Kind::Path),
];

/// All that can be set of a provider.
pub fn options(provider: Provider) -> &'static [ProviderOption] {
    match provider {
        Provider::TensorRt => TENSORRT,
        Provider::Cuda => CUDA,
        Provider::Cpu => &[],
    }
}

impl Kind {
    /// Checks a value, and gives it as the runtime reads it.
    pub fn check(&self, value: &str) -> Result<String, String> {
        let is_sound = match self {
            Kind::Switch => match value {
                "1" | "true" => return Ok("1".to_owned()),
                "0" | "false" => return Ok("0".to_owned()),
                _ => false,
            },
            Kind::Number { least, most } => value.parse::<i64>().is_ok_and(|number| (*least..=*most).contains(&number)),
            Kind::OneOf(values) => values.contains(&value),
            Kind::Path | Kind::Text => !value.is_empty() && !value.contains('\0'),
            Kind::Shapes => !value.is_empty() && value.split(',').all(is_shape),
            Kind::Devices => is_device_list(value),
            Kind::Refused(reason) => return Err((*reason).to_owned()),
        };
        if is_sound { Ok(value.to_owned()) } else { Err(format!("expected {}, got '{value}'", self.expected())) }
    }

    fn expected(&self) -> String {
        match self {
            Kind::Switch => "1 or 0".to_owned(),
            Kind::Number { least, most: i64::MAX } => format!("a whole number of at least {least}"),
            Kind::Number { least, most } => format!("a whole number from {least} to {most}"),
            Kind::OneOf(values) => values.join(" or "),
            Kind::Path => "a path".to_owned(),
            Kind::Text => "a text".to_owned(),
            Kind::Shapes => "shapes of inputs such as image:1x3x224x224, with commas between them".to_owned(),
            Kind::Devices => format!("at most {DEVICES_MAX} numbers of GPUs, each once, such as 0 or 0,1"),
            Kind::Refused(_) => "nothing".to_owned(),
        }
    }
}

/// An input's name, which may hold colons itself, and its sizes.
fn is_shape(text: &str) -> bool {
    let sizes =
        text.rsplit_once(':').filter(|(name, _)| !name.is_empty() && !name.contains('\0')).map(|(_, sizes)| sizes);
    sizes.is_some_and(|sizes| sizes.split('x').all(|size| size.parse::<u32>().is_ok_and(|size| size > 0)))
}

fn is_device_list(text: &str) -> bool {
    let devices: Option<Vec<u16>> = text.split(',').map(|device| device.parse().ok()).collect();
    devices.is_some_and(|mut devices| {
        let count = devices.len();
        devices.sort_unstable();
        devices.dedup();
        devices.len() == count && count <= DEVICES_MAX
    })
}
