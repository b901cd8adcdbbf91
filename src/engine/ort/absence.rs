//! Why an execution provider could not be had: the runtime's words turned into what is missing, and how to get it.
//!
//! The texts that are looked for are those of ONNX Runtime 1.31 and of the system's loader.

use crate::provider::Provider;

/// What brings a library, by the beginning of its name. The longer of two that fit comes first.
const PACKAGES: &[(&str, &str)] = &[
    ("libonnxruntime_providers_", ""),
    ("libcudart", "nvidia-cuda-runtime"),
    ("libcudnn", "nvidia-cudnn-cu13"),
    ("libcublas", "nvidia-cublas"),
    ("libcufft", "nvidia-cufft"),
    ("libcurand", "nvidia-curand"),
    ("libnvrtc", "nvidia-cuda-nvrtc"),
    ("libnvJitLink", "nvidia-nvjitlink"),
    ("libnvinfer", "tensorrt-cu13"),
    ("libnvonnxparser", "tensorrt-cu13"),
];

/// Where the runtime with these providers comes from.
const GPU_RUNTIME: &str =
    "`make gpu` fetches one that has it, as does the Python package onnxruntime-gpu beside scoria";

/// The reason in the operator's words, from the runtime's.
pub(super) fn explain(provider: Provider, message: &str) -> String {
    let message = plain(message);
    if let Some(library) = missing_library(message) {
        return format!("{library} is missing: {}", remedy(provider, library));
    }
    let lower = message.to_lowercase();
    if lower.contains("not enabled in this build") {
        return format!("the ONNX Runtime library is built without {provider}: {GPU_RUNTIME}");
    }
    if lower.contains("undefined symbol") || lower.contains("' not found (required by") {
        return format!(
            "a library of NVIDIA's is of another version than ONNX Runtime wants: {message}; {}",
            product(provider)
        );
    }
    if lower.contains("no cuda-capable device") || lower.contains("cuda failure 100") {
        return "there is no NVIDIA GPU that this process may use: see `nvidia-smi`, and whether the container was given one"
            .to_owned();
    }
    if lower.contains("driver version is insufficient") || lower.contains("cuda failure 35") {
        return "the NVIDIA driver is older than CUDA 13 needs: install driver 580 or later".to_owned();
    }
    if lower.contains("invalid device id") || lower.contains("invalid device ordinal") {
        return format!("{message}; `nvidia-smi -L` lists the GPUs that {provider}.device_id can name");
    }
    if lower.contains("cannot use the graph capture feature") {
        return "runs of this model cannot be recorded, since not all of its operators are the GPU's, or some choose among graphs; leave \
                out cuda.enable_cuda_graph"
            .to_owned();
    }
    if lower.contains("out of memory") {
        return format!("the GPU's memory is full: {message}; free some, or bound deployments by cuda.gpu_mem_limit");
    }
    message.to_owned()
}

/// The message without the place in the runtime's source and its own codes.
fn plain(message: &str) -> &str {
    let message = message.rsplit_once("[ONNXRuntimeError] : ").map_or(message, |(_, rest)| rest);
    let mut parts = message.splitn(3, " : ");
    let is_coded = parts.next().is_some_and(|code| code.parse::<u32>().is_ok());
    parts.nth(1).filter(|_| is_coded).unwrap_or(message).trim()
}

/// The library that the system's loader did not find, as it names it.
fn missing_library(message: &str) -> Option<&str> {
    let (before, _) = message.split_once(": cannot open shared object file")?;
    let name = before.rsplit([' ', '/']).next()?;
    name.contains(".so").then_some(name)
}

fn remedy(provider: Provider, library: &str) -> String {
    // The driver's own is on every machine that can use a GPU.
    if library.starts_with("libcuda.so") {
        return "install the NVIDIA driver, 580 or later".to_owned();
    }
    let package = PACKAGES.iter().find(|(beginning, _)| library.starts_with(beginning)).map(|(_, package)| *package);
    let product = product(provider);
    match package {
        Some("") => format!("it belongs beside the ONNX Runtime library: {GPU_RUNTIME}"),
        Some(package) => format!(
            "{product} (`pip install {package}` has this one), and name its folder in LD_LIBRARY_PATH before scoria starts"
        ),
        None => format!("{product}, and name its folder in LD_LIBRARY_PATH before scoria starts"),
    }
}

fn product(provider: Provider) -> &'static str {
    match provider {
        Provider::TensorRt => "install CUDA 13, cuDNN 9 and TensorRT 10",
        Provider::Cuda | Provider::Cpu => "install CUDA 13 and cuDNN 9",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_is_named_with_what_brings_it() {
        let message = "Failed to load library /opt/ort/libonnxruntime_providers_cuda.so with error: libcublas.so.13: cannot open \
                       shared object file: No such file or directory";
        let text = explain(Provider::Cuda, message);
        for part in ["libcublas.so.13 is missing", "CUDA 13 and cuDNN 9", "nvidia-cublas", "LD_LIBRARY_PATH"] {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
        let text = explain(Provider::TensorRt, &message.replace("libcublas.so.13", "libnvinfer.so.10"));
        assert!(text.starts_with("libnvinfer.so.10 is missing") && text.contains("TensorRT 10"), "{text}");
        let text = explain(
            Provider::Cuda,
            "This session cannot use the graph capture feature as requested by the user  as all compute graph nodes have not been \
             partitioned to the CUDAExecutionProvider",
        );
        assert!(text.contains("leave out cuda.enable_cuda_graph"), "{text}");
        let text = explain(Provider::Cuda, &message.replace("libcublas.so.13", "libcuda.so.1"));
        assert_eq!(text, "libcuda.so.1 is missing: install the NVIDIA driver, 580 or later");
        let own = "Failed to load library libonnxruntime_providers_shared.so with error: \
                   /opt/ort/libonnxruntime_providers_shared.so: cannot open shared object file: No such file or directory";
        let text = explain(Provider::Cuda, own);
        assert!(text.starts_with("libonnxruntime_providers_shared.so is missing: it belongs beside"), "{text}");
    }

    #[test]
    fn other_reasons_come_with_a_remedy_and_what_is_unknown_as_it_is() {
        for (message, part) in [
            ("CUDA execution provider is not enabled in this build. ", "make gpu"),
            ("CUDA failure 100: no CUDA-capable device is detected ; GPU=-1", "nvidia-smi"),
            ("CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version", "580"),
            ("Invalid device ID: 3, must be between 0 (inclusive) and 1 (exclusive).", "cuda.device_id"),
            ("CUDA failure 2: out of memory", "gpu_mem_limit"),
        ] {
            let text = explain(Provider::Cuda, message);
            assert!(text.contains(part), "{part} is not in: {text}");
        }
        let place =
            "/src/core/provider_bridge.cc:2043 Provider& ProviderLibrary::Get() [ONNXRuntimeError] : 1 : FAIL : ";
        let symbol = "libonnxruntime_providers_cuda.so: undefined symbol: cuTensorMapEncodeTiled";
        let text = explain(Provider::Cuda, &format!("{place}{symbol}"));
        assert!(text.starts_with("a library of NVIDIA's is of another version") && text.ends_with("cuDNN 9"), "{text}");
        assert!(text.contains(symbol) && !text.contains("provider_bridge"), "{text}");
        assert_eq!(explain(Provider::Cuda, &format!("{place}one : two : three\n")), "one : two : three");
        assert_eq!(explain(Provider::Cuda, "something else\n"), "something else");
    }
}
