//! `config.pbtxt`: protobuf's text format, and what is made of it for a model.

#![no_main]

use scoria::codec::{ExtraColumns, NonFiniteOutput, NullInput, Policy};
use scoria::config::{SETTINGS, Scope};
use scoria::tensor::{DType, Dim, OutputSpec, Signature, TensorSpec, ValueType};
use scoria::triton::ModelConfig;
use scoria_fuzz::bounds;

/// Elements that a warm-up sample may have.
const MAX_ELEMENTS: usize = 1 << 16;

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    // The least text of a field, `a:1`, takes a field's name, its place and its value, in lists that grow by doubling.
    let bytes_allowed = 256 * text.len() + (64 << 10);
    let Some(config) = bounds::within(bytes_allowed, || ModelConfig::parse(text).ok()) else { return };
    for setting in &config.settings {
        let known = SETTINGS.iter().find(|known| known.key == setting.key).expect("a setting that there is");
        assert_eq!(known.scope, Scope::Endpoint);
        let number: u64 = setting.text.parse().expect("each of them is a number");
        assert!((known.at_least..=known.at_most).contains(&number), "{} = {number}", setting.key);
    }
    let lines = text.split(|byte| *byte == b'\n').count();
    for notice in &config.notices {
        assert!((1..=lines).contains(&(notice.place.line as usize)) && notice.place.column > 0);
        assert!(!notice.reason.is_empty());
    }
    let rows = || Dim::Dynamic(Some("N".to_owned()));
    let dims = || Some(vec![rows(), Dim::Fixed(2)]);
    let signature = Signature {
        inputs: vec![TensorSpec { name: "x".to_owned(), dtype: DType::F32, dims: dims() }],
        outputs: vec![OutputSpec {
            name: "y".to_owned(),
            value: ValueType::Tensor { dtype: DType::F32, dims: dims() },
        }],
    };
    let policy = Policy {
        null_input: NullInput::Reject,
        non_finite_output: NonFiniteOutput::Null,
        max_elements: MAX_ELEMENTS,
        max_rank: 8,
        max_json_depth: 8,
        extra_columns: ExtraColumns::Refuse,
    };
    if config.check(&signature).is_ok() && !text.windows(15).any(|word| word == b"input_data_file") {
        // Each sample may have all the elements that a request may, as bytes and as tensors.
        let samples = text.windows(12).filter(|word| *word == b"model_warmup").count() + text.len() / 16;
        bounds::within(bytes_allowed + samples * 16 * MAX_ELEMENTS, || drop(config.warm_up(&signature, policy)));
    }
});
