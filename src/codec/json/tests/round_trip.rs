//! What is written is read back the same, bit for bit; and the texts that replies have.

use half::{bf16, f16};
use ndarray::{ArrayD, IxDyn};

use super::random::Random;
use super::{POLICY, decode, outputs};
use crate::codec::json::{JsonReply, encode, example_body};
use crate::codec::{EncodeError, NonFiniteOutput, Policy};
use crate::tensor::{
    DType, Dim, Element, MapKeys, OutputSpec, Signature, Tensor, TensorSpec, Value, ValueType, element_count,
    with_dtype,
};

/// A random element, of all magnitudes; floats are finite.
trait Arbitrary: Element {
    fn arbitrary(random: &mut Random) -> Self;
}

macro_rules! arbitrary {
    ($($t:ty: $random:ident => $value:expr),* $(,)?) => {$(
        impl Arbitrary for $t {
            fn arbitrary($random: &mut Random) -> Self {
                $value
            }
        }
    )*};
}

macro_rules! arbitrary_integers {
    ($($t:ty),*) => {
        arbitrary! {$($t: random => {
            let shift = random.below(64);
            (random.bits() as i64 >> shift) as $t
        }),*}
    };
}

arbitrary_integers!(i8, i16, i32, i64, u8, u16, u32, u64);

arbitrary! {
    bool: random => random.chance(50),
    f16: random => Some(f16::from_bits(random.bits() as u16)).filter(|value| value.is_finite()).unwrap_or_default(),
    bf16: random => Some(bf16::from_bits(random.bits() as u16)).filter(|value| value.is_finite()).unwrap_or_default(),
    f32: random => Some(f32::from_bits(random.bits() as u32)).filter(|value| value.is_finite()).unwrap_or(0.1),
    f64: random => Some(f64::from_bits(random.bits())).filter(|value| value.is_finite()).unwrap_or(0.1),
    String: random => {
        let length = random.below(12);
        let characters = ['a', 'Z', '"', '\\', '\n', '\u{0}', '\u{1f}', 'é', '😀', '/', ' ', '\u{2028}'];
        (0..length).map(|_| characters[random.below(characters.len())]).collect()
    },
}

fn random_tensor<T: Arbitrary>(random: &mut Random, shape: &[usize]) -> Tensor {
    let count = element_count(shape).expect("small");
    let values = (0..count).map(|_| T::arbitrary(random)).collect();
    T::wrap(ArrayD::from_shape_vec(IxDyn(shape), values).expect("as many as the shape has"))
}

fn text(values: &[Value], model: &Signature, form: JsonReply) -> String {
    let encoded = encode(values, model, form, &POLICY).expect("finite");
    String::from_utf8(encoded.parts.concat()).expect("JSON is UTF-8")
}

/// The values' bits: `-0` is not `0`.
fn bits(tensor: &Tensor) -> String {
    match tensor {
        Tensor::F16(array) => format!("{:?}", array.mapv(f16::to_bits)),
        Tensor::BF16(array) => format!("{:?}", array.mapv(bf16::to_bits)),
        Tensor::F32(array) => format!("{:?}", array.mapv(f32::to_bits)),
        Tensor::F64(array) => format!("{:?}", array.mapv(f64::to_bits)),
        other => format!("{other:?}"),
    }
}

#[test]
fn every_type_and_shape_is_read_back_bit_for_bit() {
    let mut random = Random::new(31);
    for dtype in DType::ALL {
        for round in 0..120 {
            let rank = round % 5;
            let shape: Vec<usize> = (0..rank).map(|_| random.below(5)).collect();
            let tensor = with_dtype!(dtype, T => random_tensor::<T>(&mut random, &shape));
            let dims = shape.iter().map(|&size| if random.chance(50) { Dim::Fixed(size) } else { Dim::Dynamic(None) });
            let spec = TensorSpec { name: "x".to_owned(), dtype, dims: Some(dims.collect()) };
            let value = ValueType::Tensor { dtype, dims: spec.dims.clone() };
            let outputs = vec![OutputSpec { name: "x".to_owned(), value }];
            let model = Signature { inputs: vec![spec], outputs };
            let written = text(&[tensor.clone().into()], &model, JsonReply::Bare);
            serde_json::from_str::<serde_json::Value>(&written).expect("valid JSON");
            let decoded = decode(&model, format!("{{\"data\":{written}}}")).expect(&written);
            // The sizes behind an empty dimension are not in the text.
            if shape.iter().position(|&size| size == 0).is_none_or(|empty| empty + 1 == rank) {
                assert_eq!(bits(&decoded.inputs[0]), bits(&tensor), "{written}");
            } else {
                assert!(decoded.inputs[0].is_empty(), "{written}");
            }
        }
    }
}

#[test]
fn floats_have_their_shortest_text() {
    let model = outputs(&[("y", "float32[N]")]);
    let values = vec![0.1, 3.0, -0.0, 1e-7, 1.5e16, 1e16, f32::MAX, f32::MIN_POSITIVE, 1e-45, 16777216.0];
    let tensor = f32::wrap(ArrayD::from_shape_vec(IxDyn(&[10]), values).expect("ten"));
    let expected = "[0.1,3.0,-0.0,1e-7,1.5e16,1e16,3.4028235e38,1.1754944e-38,1e-45,16777216.0]";
    assert_eq!(text(&[tensor.into()], &model, JsonReply::Bare), expected);
    let model = outputs(&[("y", "float16[]")]);
    let tensor = f16::wrap(ArrayD::from_elem(IxDyn(&[]), f16::from_f32(0.1)));
    assert_eq!(text(&[tensor.into()], &model, JsonReply::Bare), "0.099975586");
}

#[test]
fn what_json_has_no_number_for_is_null_or_an_error() {
    let model = outputs(&[("fine", "float32[N]"), ("y", "float64[N]")]);
    let fine = f32::wrap(ArrayD::from_elem(IxDyn(&[1]), 1.0f32));
    for (value, name) in [(f64::NAN, "NaN"), (f64::INFINITY, "Infinity"), (f64::NEG_INFINITY, "-Infinity")] {
        let values = [fine.clone().into(), f64::wrap(ArrayD::from_elem(IxDyn(&[1]), value)).into()];
        assert_eq!(text(&values, &model, JsonReply::Bare), "{\"fine\":[1.0],\"y\":[null]}");
        let strict = Policy { non_finite_output: NonFiniteOutput::Error, ..POLICY };
        for form in [JsonReply::Bare, JsonReply::Predictions { rows: 1 }] {
            let error = encode(&values, &model, form, &strict).expect_err("no number");
            assert_eq!(error, EncodeError::NonFinite { output: "y".to_owned(), value: name });
        }
    }
}

#[test]
fn a_tensor_of_nothing_is_not_written_out_without_end() {
    let model = outputs(&[("y", "float32[…]")]);
    let empty = |shape: &[usize]| f32::wrap(ArrayD::from_shape_vec(IxDyn(shape), Vec::new()).expect("no elements"));
    assert_eq!(text(&[empty(&[2, 0, 1 << 40]).into()], &model, JsonReply::Bare), "[[],[]]");
    for value in [empty(&[1 << 40, 0]).into(), Value::Sequence(vec![empty(&[1 << 20, 1 << 20, 0]).into()])] {
        let error = encode(&[value], &model, JsonReply::Bare, &POLICY).expect_err("too long");
        let EncodeError::NotRepresentable(message) = error else { panic!("{error}") };
        assert!(message.contains("'y'") && message.contains("application/x-npy"), "{message}");
    }
}

#[test]
fn sequences_and_maps_of_scikit_learn() {
    let label = i64::wrap(ArrayD::from_shape_vec(IxDyn(&[2]), vec![1, 0]).expect("two"));
    let map = |keys, values: [f32; 2]| Value::Map {
        keys,
        values: f32::wrap(ArrayD::from_shape_vec(IxDyn(&[2]), values.to_vec()).expect("two")),
    };
    let integers = || MapKeys::I64(vec![-1, 7]);
    let strings = || MapKeys::String(vec!["a\"b".to_owned(), "é".to_owned()]);
    let probabilities = Value::Sequence(vec![map(integers(), [0.25, 0.75]), map(strings(), [1.0, 0.0])]);
    let value =
        ValueType::Map { key: DType::I64, value: Box::new(ValueType::Tensor { dtype: DType::F32, dims: None }) };
    let mut model = outputs(&[("label", "int64[N]")]);
    model.inputs = super::signature(&[("x", "float32[N, 4]")]).inputs;
    model.outputs.push(OutputSpec { name: "prob".to_owned(), value: ValueType::Sequence(Box::new(value)) });
    let values = [label.into(), probabilities];
    let inner = r#"{"label":[1,0],"prob":[{"-1":0.25,"7":0.75},{"a\"b":1.0,"é":0.0}]}"#;
    assert_eq!(text(&values, &model, JsonReply::Bare), inner);
    let rows = r#"{"predictions":[{"label":1,"prob":{"-1":0.25,"7":0.75}},{"label":0,"prob":{"a\"b":1.0,"é":0.0}}]}"#;
    assert_eq!(text(&values, &model, JsonReply::Predictions { rows: 2 }), rows);
    assert_eq!(text(&values, &model, JsonReply::Outputs), format!("{{\"outputs\":{inner}}}"));
    assert_eq!(text(&values, &model, JsonReply::Results), format!("{{\"Results\":{inner}}}"));
}

#[test]
fn rows_that_are_not_the_requests_are_refused_and_not_written_otherwise() {
    let mut model = outputs(&[("boxes", "float32[?, 4]"), ("scores", "float32[?]")]);
    model.inputs = super::signature(&[("x", "float32[?, 4]")]).inputs;
    let found = |rows: usize| {
        let zeros = |shape: &[usize]| f32::wrap(ArrayD::zeros(IxDyn(shape)));
        [zeros(&[rows, 4]).into(), zeros(&[rows]).into()]
    };
    let error = encode(&found(2), &model, JsonReply::Predictions { rows: 1 }, &POLICY).expect_err("two for one");
    let EncodeError::NotRepresentable(message) = error else { panic!("{error}") };
    assert!(message.contains("'boxes' has 2 rows where the request has 1"), "{message}");
    assert!(message.contains("under \"inputs\""), "{message}");
    let columns = r#"{"outputs":{"boxes":[[0.0,0.0,0.0,0.0],[0.0,0.0,0.0,0.0]],"scores":[0.0,0.0]}}"#;
    assert_eq!(text(&found(2), &model, JsonReply::Outputs), columns);
    let none = text(&found(0), &model, JsonReply::Predictions { rows: 0 });
    assert_eq!(none, r#"{"predictions":[]}"#);
}

#[test]
fn the_example_is_a_valid_body() {
    for dtype in DType::ALL {
        for shape in ["[]", "[N]", "[N, 3]", "[2, N, 2]", "[…]", "[0]", "[N, 0, 4]"] {
            let kind = format!("{}{shape}", dtype.name());
            let one = super::signature(&[("x", &kind)]);
            let body = example_body(&one).expect("small");
            let decoded = decode(&one, &body).expect(&body);
            assert_eq!(
                decoded.inputs[0].len(),
                element_count(&one.inputs[0].example_shape()).expect("small"),
                "{body}"
            );
            let two = super::signature(&[("a b\"", &kind), ("data", &kind)]);
            let body = example_body(&two).expect("small");
            decode(&two, &body).expect(&body);
        }
    }
    let matrix = super::signature(&[("x", "float32[N, 3]")]);
    assert_eq!(example_body(&matrix).as_deref(), Some("{\"data\": [[0.0, 0.0, 0.0]]}"));
    assert_eq!(example_body(&Signature::default()).as_deref(), Some("{}"));
    let mixed = super::signature(&[("name", "string[N]"), ("flag", "bool[]")]);
    assert_eq!(example_body(&mixed).as_deref(), Some("{\"name\": [\"text\"], \"flag\": false}"));
    assert!(example_body(&super::signature(&[("x", "float32[N, 1000]")])).is_some());
    assert!(example_body(&super::signature(&[("x", "float32[N, 1001]")])).is_none());
}
