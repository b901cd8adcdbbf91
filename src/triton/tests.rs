use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::codec::{ExtraColumns, NonFiniteOutput, NullInput, Policy};
use crate::config::{SETTINGS, Scope};
use crate::tensor::{DType, Dim, OutputSpec, Signature, Tensor, TensorSpec, ValueType};

fn config(text: &str) -> ModelConfig {
    ModelConfig::parse(text.as_bytes()).unwrap_or_else(|fault| panic!("{fault}\n{text}"))
}

fn fault(text: &str) -> String {
    ModelConfig::parse(text.as_bytes()).expect_err("the configuration cannot be used").to_string()
}

fn settings(text: &str) -> Vec<(&'static str, String)> {
    config(text).settings.into_iter().map(|setting| (setting.key, setting.text)).collect()
}

fn notices(text: &str) -> Vec<String> {
    config(text).notices.iter().map(Notice::to_string).collect()
}

fn own(pairs: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    pairs.iter().map(|(key, text)| (*key, (*text).to_owned())).collect()
}

/// `x: float32[N, 10]`, `ids: int64[N, T]` to `y: float32[N, 3]`, `labels: string[N]`.
fn signature() -> Signature {
    let free = |name: &str| Dim::Dynamic(Some(name.to_owned()));
    let input = |name: &str, dtype, dims| TensorSpec { name: name.to_owned(), dtype, dims: Some(dims) };
    let output = |name: &str, dtype, dims| OutputSpec {
        name: name.to_owned(),
        value: ValueType::Tensor { dtype, dims: Some(dims) },
    };
    Signature {
        inputs: vec![
            input("x", DType::F32, vec![free("N"), Dim::Fixed(10)]),
            input("ids", DType::I64, vec![free("N"), free("T")]),
        ],
        outputs: vec![
            output("y", DType::F32, vec![free("N"), Dim::Fixed(3)]),
            output("labels", DType::String, vec![free("N")]),
        ],
    }
}

fn check(text: &str) -> Result<Vec<String>, String> {
    let notices = config(text).check(&signature()).map_err(|error| error.to_string())?;
    Ok(notices.iter().map(Notice::to_string).collect())
}

/// As Triton's documentation shows them, field by field.
const WHOLE: &str = r#"
name: "ranker"
platform: "onnxruntime_onnx"
max_batch_size: 32
input [
  { name: "x" data_type: TYPE_FP32 dims: [ 10 ] format: FORMAT_NONE },
  {
    name: "ids"
    data_type: TYPE_INT64
    dims: [ -1 ]
  }
]
output [
  { name: "y" data_type: TYPE_FP32 dims: [ 3 ] label_filename: "labels.txt" },
  { name: "labels" data_type: TYPE_STRING dims: [ 1 ] reshape { shape: [ ] } }
]
instance_group [ { count: 2 kind: KIND_CPU }, { count: 1 kind: KIND_GPU gpus: [ 0, 1 ] } ]
dynamic_batching {
  preferred_batch_size: [ 8, 16 ]
  max_queue_delay_microseconds: 100
  preserve_ordering: true
  priority_levels: 5
  default_priority_level: 2
  default_queue_policy {
    timeout_action: DELAY
    default_timeout_microseconds: 2500
    allow_timeout_override: true
    max_queue_size: 64
  }
  priority_queue_policy { key: 1 value { max_queue_size: 3 } }
}
version_policy: { latest { num_versions: 1 } }
optimization {
  graph { level: 1 }
  execution_accelerators {
    gpu_execution_accelerator : [ { name : "tensorrt" parameters { key: "precision_mode" value: "FP16" } } ]
  }
}
parameters { key: "intra_op_thread_count" value: { string_value: "4" } }
parameters { key: "execution_mode" value: { string_value: "1" } }
parameters { key: "enable_mem_arena" value: { string_value: "0" } }
model_warmup [
  {
    name: "zeros"
    batch_size: 4
    inputs { key: "x" value: { data_type: TYPE_FP32 dims: [ 10 ] zero_data: true } }
    inputs { key: "ids" value: { data_type: TYPE_INT64 dims: 7 random_data: true } }
    count: 3
  }
]
"#;

#[test]
fn a_whole_configuration_becomes_settings_and_notices() {
    let config = config(WHOLE);
    assert_eq!(
        settings(WHOLE),
        own(&[
            ("max_batch", "32"),
            ("max_batch_delay_us", "100"),
            ("queue_max_wait_ms", "3"),
            ("queue_max_length", "64"),
            ("workers", "3"),
            ("intra_op_threads", "4"),
        ])
    );
    let told: Vec<_> = config.notices.iter().map(|notice| (notice.place.line, notice.field.as_str())).collect();
    assert_eq!(
        told,
        [
            (15, "labels: reshape"),
            (17, "kind"),
            (17, "gpus"),
            (17, "gpus"),
            (19, "preferred_batch_size"),
            (21, "preserve_ordering"),
            (22, "priority_levels"),
            (23, "default_priority_level"),
            (25, "timeout_action"),
            (30, "priority_queue_policy"),
            (34, "graph"),
            (36, "gpu_execution_accelerator tensorrt"),
            (40, "execution_mode"),
            (41, "enable_mem_arena"),
        ]
    );
    assert_eq!(config.name.as_ref().map(|(name, place)| (name.as_str(), place.line)), Some(("ranker", 2)));
    assert_eq!(check(WHOLE), Ok(Vec::new()));
}

#[test]
fn every_setting_that_is_given_is_one_of_an_endpoint() {
    for (key, _) in settings(WHOLE) {
        let setting = SETTINGS.iter().find(|setting| setting.key == key).unwrap_or_else(|| panic!("{key}"));
        assert_eq!(setting.scope, Scope::Endpoint, "{key}");
    }
}

#[test]
fn an_empty_file_says_nothing() {
    assert_eq!((settings(""), notices("")), (Vec::new(), Vec::new()));
    assert_eq!(check("# nothing yet\n"), Ok(Vec::new()));
}

#[test]
fn how_requests_are_joined_follows_from_both_fields() {
    assert_eq!(settings("max_batch_size: 0"), own(&[("max_batch", "1")]));
    assert_eq!(settings("max_batch_size: 1"), own(&[("max_batch", "1")]));
    assert_eq!(settings("max_batch_size: 8"), own(&[]));
    assert_eq!(settings("max_batch_size: 8 dynamic_batching {}"), own(&[("max_batch", "8")]));
    assert_eq!(settings("dynamic_batching { max_queue_delay_microseconds: 5 }"), own(&[("max_batch_delay_us", "5")]));
    assert_eq!(settings("max_batch_size: 0 dynamic_batching {}"), own(&[("max_batch", "1")]));
    assert!(notices("max_batch_size: 0 dynamic_batching {}")[0].contains("max_batch_size is 0"));
}

#[test]
fn versions_are_those_of_the_policy() {
    let pick = |text: &str, there_are: &[u64]| config(text).versions.pick(there_are.to_vec());
    assert_eq!(pick("", &[1, 2, 3]), [3]);
    assert_eq!(pick("version_policy { latest { num_versions: 2 } }", &[1, 2, 3]), [2, 3]);
    assert_eq!(pick("version_policy { latest { num_versions: 9 } }", &[1, 2]), [1, 2]);
    assert_eq!(pick("version_policy { all {} }", &[1, 3]), [1, 3]);
    assert_eq!(pick("version_policy: { specific: { versions: [1, 2] } }", &[1, 2, 3]), [1, 2]);
    assert_eq!(pick("version_policy: { specific: { versions: 7 } }", &[1, 2, 3]), Vec::<u64>::new());
    assert_eq!(notices("version_policy { all {} }"), Vec::<String>::new());
    assert!(fault("version_policy { all {} latest {} }").starts_with("1:1: version_policy: expected one of"));
    assert!(fault("version_policy { specific {} }").contains("names no version"));
}

#[test]
fn what_contradicts_the_model_is_refused_with_both_sides() {
    assert_eq!(
        check("max_batch_size: 8\ninput { name: \"x\" data_type: TYPE_FP32 dims: [ 3 ] }").unwrap_err(),
        "config.pbtxt:2:1: input 'x' is float32[?, 3] by this configuration (max_batch_size is above 0, so dims begin \
         behind the batch dimension), and float32[N, 10] by the model: correct data_type and dims, or leave them out"
    );
    for (text, words) in [
        ("input { name: \"x\" data_type: TYPE_FP64 }", "float64[N, 10] by this configuration, and float32[N, 10]"),
        (
            "max_batch_size: 0 input { name: \"x\" dims: [10] }",
            "float32[10] by this configuration (max_batch_size is 0,",
        ),
        ("max_batch_size: 4 input { name: \"x\" dims: [-1, 10] }", "float32[?, ?, 10] by"),
        ("max_batch_size: 4 input { name: \"x\" dims: [-1] }", "float32[?, ?] by"),
        ("output { name: \"y\" dims: [4] }", "output 'y' is float32[4] by"),
        ("input { name: \"X\" }", "the model has no input 'X'; its inputs are x, ids"),
        ("output { name: \"z\" }", "the model has no output 'z'; its outputs are y, labels"),
    ] {
        let error = check(text).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
    for text in [
        "input { name: \"x\" dims: [10] }",
        "input { name: \"x\" dims: [-1, 10] }",
        "input { name: \"x\" dims: [4, 10] }",
        "max_batch_size: 0 input { name: \"ids\" dims: [-1, 7] }",
        "max_batch_size: 9 input { name: \"ids\" dims: [7] }",
        "max_batch_size: 9 input { name: \"x\" dims: [2, 5] reshape { shape: [10] } }",
    ] {
        assert_eq!(check(text), Ok(Vec::new()), "{text}");
    }
    assert_eq!(
        check("output { name: \"y\" }").unwrap(),
        ["1:1: output: the model's other outputs are answered too, unless a request names the ones it wants: labels"]
    );
}

#[test]
fn what_would_answer_otherwise_than_promised_is_refused() {
    for (text, words) in [
        (
            "platform: \"tensorflow_graphdef\"",
            "1:1: platform: expected \"onnxruntime_onnx\", got \"tensorflow_graphdef\"",
        ),
        ("backend: \"python\"", "expected \"onnxruntime\", got \"python\""),
        ("sequence_batching { direct {} }", "state is not kept between requests"),
        ("ensemble_scheduling { step [] }", "ensembles are not served"),
        ("batch_input { kind: BATCH_ELEMENT_COUNT }", "ragged batches are not made"),
    ] {
        let fault = fault(text);
        assert!(fault.contains(words), "{fault}");
    }
    assert_eq!(notices("response_cache { enable: false } model_transaction_policy { decoupled: false }").len(), 0);
    assert_eq!(notices("response_cache { enable: true } model_transaction_policy { decoupled: true }").len(), 2);
}

#[test]
fn faults_name_the_place_the_field_and_what_was_expected() {
    for (text, words) in [
        (
            "max_batch_sise: 8",
            "1:1: max_batch_sise: a model's configuration has no such field; did you mean max_batch_size?",
        ),
        ("zzz: 8", "1:1: zzz: a model's configuration has no such field; it has name, platform,"),
        ("max_batch_size: 8\nmax_batch_size: 9", "2:1: max_batch_size: given twice"),
        (
            "max_batch_size: \"8\"",
            "1:1: max_batch_size: expected a whole number from 0 to 2147483647, got the string \"8\"",
        ),
        ("max_batch_size: -1", "got -1"),
        ("input { data_type: TYPE_FP32 }", "1:1: input: has no name"),
        ("input { name: \"x\" data_type: TYPE_FLOAT }", "1:19: data_type: expected one of TYPE_INVALID, TYPE_BOOL,"),
        ("input { name: \"x\" dims: [1.5] }", "1:19: dims: expected a whole number from -1"),
        ("input: 3", "1:1: input: expected a message in braces, got 3"),
        ("instance_group { count: 5000 }", "count: expected a whole number from 0 to 1024, got 5000"),
        ("instance_group [{ count: 1000 }, { count: 1000 }]", "the groups have more than 1024 instances"),
        ("instance_group { kind: KIND_TPU }", "kind: expected one of KIND_AUTO, KIND_GPU, KIND_CPU, KIND_MODEL"),
        ("dynamic_batching { max_queue_delay_microseconds: 60000001 }", "from 0 to 60000000"),
        ("parameters { key: \"intra_op_thread_count\" value { string_value: \"four\" } }", "got \"four\""),
        ("parameters { value { string_value: \"1\" } }", "an entry needs a key"),
        ("optimization { execution_accelerators { cpu_execution_accelerator { name: \"x\" } } }", "got \"x\""),
        ("default_model_filename: \"../../etc/passwd\"", "expected the name of a file in the version folder"),
        ("model_warmup { inputs { key: \"x\" value { data_type: TYPE_FP32 dims: 1 } } }", "expected zero_data: true"),
        ("max_batch_size: 0 model_warmup { batch_size: 2 }", "batch_size can only be 1"),
        ("model_warmup { count: 1001 }", "from 0 to 1000"),
    ] {
        let fault = fault(text);
        assert!(fault.contains(words), "{fault}");
    }
    assert_eq!(config("default_model_filename: \"net.onnx\"").model_file.as_deref(), Some("net.onnx"));
    assert_eq!(config("default_model_filename: \"model.onnx\"").model_file, None);
}

/// A model's folder with files in it, removed with the test.
struct Folder(PathBuf);

impl Folder {
    fn with(files: &[(&str, &[u8])]) -> Folder {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("scoria-triton-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for (name, bytes) in files {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        Folder(folder)
    }

    fn config(&self) -> ModelConfig {
        ModelConfig::read(&self.0).unwrap().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn policy(max_elements: usize) -> Policy {
    Policy {
        null_input: NullInput::Reject,
        extra_columns: ExtraColumns::Refuse,
        non_finite_output: NonFiniteOutput::Null,
        max_elements,
        max_rank: 8,
        max_json_depth: 8,
    }
}

#[test]
fn files_are_read_from_the_models_folder_within_bounds() {
    let folder = Folder::with(&[]);
    assert!(ModelConfig::read(&folder.0).unwrap().is_none());
    let folder = Folder::with(&[("config.pbtxt", b"max_batch_size: x")]);
    let error = ModelConfig::read(&folder.0).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("{}/config.pbtxt:1:1: max_batch_size: expected", folder.0.display())),
        "{error}"
    );
    let folder = Folder::with(&[("config.pbtxt", &vec![b' '; crate::pbtxt::MAX_BYTES + 1])]);
    assert!(ModelConfig::read(&folder.0).unwrap_err().to_string().contains("longer than 1048576 bytes"));
    let folder = Folder::with(&[("config.pbtxt/x", b"")]);
    assert!(ModelConfig::read(&folder.0).unwrap_err().to_string().starts_with("cannot read "));
}

#[test]
fn labels_are_the_lines_of_their_file() {
    let text = b"output { name: \"y\" label_filename: \"labels.txt\" }";
    let folder = Folder::with(&[("config.pbtxt", text), ("labels.txt", b"cat\ndog\r\nmouse")]);
    let read = labels(&folder.config()).unwrap();
    assert_eq!(read["y"].iter().map(String::as_str).collect::<Vec<_>>(), ["cat", "dog", "mouse"]);
    let folder = Folder::with(&[("config.pbtxt", text)]);
    assert!(
        labels(&folder.config()).unwrap_err().to_string().contains("config.pbtxt:1:1: label_filename: cannot read")
    );
    let folder = Folder::with(&[("config.pbtxt", b"output { name: \"y\" label_filename: \"../labels.txt\" }")]);
    assert!(
        labels(&folder.config()).unwrap_err().to_string().contains("expected the name of a file in the model's folder")
    );
}

#[test]
fn samples_become_inputs_of_the_model() {
    let inputs =
        |config: &ModelConfig, max| config.warm_up(&signature(), policy(max)).map_err(|error| error.to_string());
    let warm_up = inputs(&config(WHOLE), 1_000).unwrap();
    assert_eq!((warm_up.len(), warm_up[0].runs, warm_up[0].name.as_str()), (1, 3, "zeros"));
    let [x, ids] = warm_up[0].inputs.as_slice() else { panic!() };
    assert_eq!((x.shape(), ids.shape()), (&[4, 10][..], &[4, 7][..]));
    assert!(matches!(x, Tensor::F32(array) if array.iter().all(|value| *value == 0.0)));
    assert!(matches!(ids, Tensor::I64(array) if array.iter().any(|value| *value != 0)));
    assert!(inputs(&config(WHOLE), 67).unwrap_err().contains("too large"));
    assert!(inputs(&config(WHOLE), 39).unwrap_err().contains("has more than 39 elements"));

    let sample = |inputs: &str| format!("model_warmup {{ name: \"s\" {inputs} }}");
    let input = |name: &str, kind: &str, dims: &str, data: &str| {
        format!("inputs {{ key: \"{name}\" value {{ data_type: {kind} dims: [{dims}] {data} }} }}")
    };
    let ids = input("ids", "TYPE_INT64", "2", "zero_data: true");
    // Without max_batch_size the model says whether there is a batch dimension.
    let file = input("x", "TYPE_FP32", "10", "input_data_file: \"x.bin\"");
    let text = sample(&format!("{file}{ids}"));
    let bytes: Vec<u8> = (0..10u8).flat_map(|number| f32::from(number).to_le_bytes()).collect();
    let folder = Folder::with(&[("config.pbtxt", text.as_bytes()), ("warmup/x.bin", &bytes)]);
    let warm_up = inputs(&folder.config(), 100).unwrap();
    assert!(matches!(&warm_up[0].inputs[0], Tensor::F32(array) if array.shape() == [1, 10] && array[[0, 9]] == 9.0));
    let folder = Folder::with(&[("config.pbtxt", text.as_bytes()), ("warmup/x.bin", &bytes[..39])]);
    assert!(inputs(&folder.config(), 100).unwrap_err().contains("input 'x' needs 40 bytes, "));
    let folder = Folder::with(&[("config.pbtxt", text.as_bytes())]);
    assert!(inputs(&folder.config(), 100).unwrap_err().contains("model_warmup 's': cannot read"));

    let zeros = |dims: &str| input("x", "TYPE_FP32", dims, "zero_data: true");
    let escaping = input("x", "TYPE_FP32", "10", "input_data_file: \"../config.pbtxt\"");
    for (text, words) in [
        (sample(&ids), "expected input 'x' (float32[N, 10]) once"),
        (sample(&format!("{}{0}{ids}", zeros("10"))), "expected input 'x'"),
        (sample(&format!("{}{ids}{}", zeros("10"), input("z", "TYPE_BOOL", "", "zero_data: true"))), "no input 'z'"),
        (sample(&format!("{}{ids}", zeros("11"))), "cannot have the shape [1, 11]"),
        (
            sample(&format!("{}{ids}", input("x", "TYPE_FP64", "10", "zero_data: true"))),
            "takes float32, the sample has",
        ),
        (sample(&format!("{escaping}{ids}")), "expected a file in the folder warmup"),
    ] {
        let error = inputs(&config(&text), 100).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
}
