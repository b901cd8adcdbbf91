//! Options of providers: what is read, and what the errors say.

use super::*;

fn options(text: &str) -> ProviderOptions {
    ProviderOptions::parse(text).expect("they are sound")
}

fn refusal(text: &str) -> String {
    ProviderOptions::parse(text).expect_err("it is refused")
}

#[test]
fn options_are_read_by_provider_and_given_as_the_runtime_reads_them() {
    let text = "cuda.use_tf32=false, cuda.gpu_mem_limit=1073741824, tensorrt.trt_fp16_enable=1";
    let read = options(text);
    let cuda: Vec<_> = read.of(Provider::Cuda).collect();
    assert_eq!(cuda, [("gpu_mem_limit", "1073741824"), ("use_tf32", "0")]);
    assert_eq!(read.of(Provider::TensorRt).collect::<Vec<_>>(), [("trt_fp16_enable", "1")]);
    assert_eq!(read.of(Provider::Cpu).count(), 0);
    assert_eq!(read.devices(), [0], "the first GPU unless something else is said");
}

#[test]
fn values_may_hold_commas_and_are_written_as_they_are_read() {
    let text = "cuda.device_id=1,0,tensorrt.trt_profile_min_shapes=ids:1x8,mask:1x8";
    let read = options(text);
    assert_eq!(read.devices(), [1, 0]);
    assert_eq!(read.of(Provider::TensorRt).collect::<Vec<_>>(), [("trt_profile_min_shapes", "ids:1x8,mask:1x8")]);
    assert_eq!(read.to_string(), text);
    assert_eq!(options(&read.to_string()), read);
    assert_eq!(options(""), ProviderOptions::default());
}

#[test]
fn unknown_names_are_errors_with_what_may_have_been_meant_and_all_there_are() {
    let text = refusal("cuda.gpu_memory_limit=1");
    assert!(text.contains("did you mean 'gpu_mem_limit'?") && text.contains("device_id, gpu_mem_limit, "), "{text}");
    let text = refusal("gpu.device_id=0");
    assert!(text.contains("'gpu' is not a provider") && text.contains("tensorrt, cuda, cpu"), "{text}");
    let text = refusal("cpu.use_arena=0");
    assert!(text.contains("intra_op_threads"), "{text}");
    // A library that the runtime would load.
    refusal("tensorrt.trt_extra_plugin_lib_paths=/tmp/x.so");
}

#[test]
fn values_of_another_kind_are_errors_that_say_what_was_expected() {
    for (text, expected) in [
        ("cuda.use_tf32=2", "cuda.use_tf32: expected 1 or 0, got '2'"),
        ("cuda.gpu_mem_limit=0", "expected a whole number of at least 1, got '0'"),
        ("cuda.gpu_mem_limit=8GiB", "got '8GiB'"),
        ("cuda.cudnn_conv_algo_search=exhaustive", "expected EXHAUSTIVE or HEURISTIC or DEFAULT"),
        ("cuda.device_id=0,0", "each once"),
        ("cuda.device_id=-1", "got '-1'"),
        ("cuda.device_id=", "got ''"),
        ("tensorrt.trt_builder_optimization_level=6", "from 0 to 5"),
        ("tensorrt.trt_profile_opt_shapes=image", "image:1x3x224x224"),
        ("tensorrt.trt_profile_opt_shapes=image:1x0", "got 'image:1x0'"),
        ("cuda.enable_cuda_graph=yes", "expected 1 or 0"),
        ("tensorrt.trt_cuda_graph_enable=1", "cuda.enable_cuda_graph"),
        ("0", "provider.option=value"),
        ("device_id=0", "names no provider"),
        ("cuda.use_tf32=1,cuda.use_tf32=1", "set twice"),
    ] {
        let refused = refusal(text);
        assert!(refused.contains(expected), "{text}: {refused}");
    }
}

#[test]
fn an_option_needs_its_provider_in_the_list() {
    let list = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
    let read = options("cuda.use_tf32=0");
    read.check_listed(&list(&["cuda", "cpu"])).expect("it is listed");
    let text = read.check_listed(&list(&["cpu"])).expect_err("it is not");
    assert!(text.contains("cuda.use_tf32 is set, but cuda is not among the providers (cpu)"), "{text}");
    options("cuda.device_id=1").check_listed(&list(&["cpu"])).expect_err("its GPU counts as well");
    options("").check_listed(&list(&["cpu"])).expect("nothing is asked");
}

#[test]
fn both_providers_work_on_the_same_gpus() {
    assert_eq!(options("tensorrt.device_id=2").devices(), [2]);
    assert_eq!(options("tensorrt.device_id=2,cuda.device_id=2").devices(), [2]);
    let text = refusal("tensorrt.device_id=0,1,cuda.device_id=0");
    assert!(text.contains("tensorrt.device_id is 0,1 and cuda.device_id is 0"), "{text}");
}

#[test]
fn what_names_a_place_on_disk_is_told() {
    assert_eq!(options("tensorrt.trt_fp16_enable=1,cuda.use_tf32=0").path(), None);
    let read = options("tensorrt.trt_engine_cache_path=/var/cache/trt");
    assert_eq!(read.path().as_deref(), Some("tensorrt.trt_engine_cache_path"));
}

#[test]
fn engines_are_kept_unless_something_is_said_of_that() {
    let kept = options("tensorrt.trt_fp16_enable=1").with_engine_cache(Path::new("/state/engines"));
    let text = kept.to_string();
    assert_eq!(options(&text), kept, "{text}");
    assert!(
        text.contains("trt_engine_cache_path=/state/engines") && text.contains("trt_timing_cache_enable=1"),
        "{text}"
    );
    let own = options("tensorrt.trt_engine_cache_enable=0");
    assert_eq!(own.clone().with_engine_cache(Path::new("/state/engines")), own);
}
