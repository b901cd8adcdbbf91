#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use bytes::Bytes;
use ndarray::{ArrayD, IxDyn, arr1};
use prost::Message as _;

use super::messages as proto;
use super::messages::infer_parameter::ParameterChoice;
use super::{Message, Opening, ROOM_BYTES, Receiver, encode};
use crate::codec::open_inference::{Answering, InferRequest, NoRegions, Region, Regions, Wanted, datatype};
use crate::codec::{DecodeError, DecodeFault, EncodeError, ExtraColumns, NonFiniteOutput, NullInput, Policy, Request};
use crate::tensor::{DType, Dim, OutputSpec, Signature, Tensor, TensorSpec, Value, ValueType};

const MAX_BYTES: usize = 1 << 20;

fn spec(name: &str, dtype: DType) -> TensorSpec {
    let dims = Some(vec![Dim::Dynamic(Some("N".to_owned())), Dim::Dynamic(None)]);
    TensorSpec { name: name.to_owned(), dtype, dims }
}

fn signature(inputs: &[(&str, DType)]) -> Signature {
    let output = |(name, dtype): &(&str, DType)| OutputSpec {
        name: format!("{name}_out"),
        value: ValueType::Tensor { dtype: *dtype, dims: None },
    };
    Signature {
        inputs: inputs.iter().map(|(name, dtype)| spec(name, *dtype)).collect(),
        outputs: inputs.iter().map(output).collect(),
    }
}

/// Reads a message that comes in pieces of this size.
fn read(
    signature: &Signature,
    message: &[u8],
    piece_bytes: usize,
    length: Option<usize>,
) -> Result<InferRequest, DecodeError> {
    read_with(signature, message, piece_bytes, length, &NoRegions)
}

fn read_with(
    signature: &Signature,
    message: &[u8],
    piece_bytes: usize,
    length: Option<usize>,
    regions: &dyn Regions,
) -> Result<InferRequest, DecodeError> {
    let policy = Policy {
        null_input: NullInput::Reject,
        extra_columns: ExtraColumns::Refuse,
        non_finite_output: NonFiniteOutput::Null,
        max_elements: 10_000,
        max_rank: 8,
        max_json_depth: 8,
    };
    let request = Request { signature, policy, announced_bytes: length, max_bytes: MAX_BYTES, raw_shape: None };
    let mut opening = Some(Opening::new(length));
    let mut receiver = None;
    for mut piece in message.chunks(piece_bytes.max(1)) {
        if let Some(begun) = &mut opening
            && begun.push(&mut piece)?
        {
            assert_eq!(begun.model()?.name, "m");
            receiver = opening.take().map(|opening| Receiver::new(opening, request, regions));
        }
        if let Some(receiver) = &mut receiver {
            receiver.as_mut().map_err(|error| error.clone())?.push(piece)?;
        }
    }
    match (receiver, opening) {
        (Some(receiver), _) => receiver?.finish(),
        (None, Some(opening)) => {
            opening.model()?;
            Receiver::new(opening, request, regions)?.finish()
        }
        (None, None) => unreachable!("either has begun"),
    }
}

/// The same however it is cut, and whether its length is known or not.
fn read_all_ways(signature: &Signature, message: &[u8]) -> Result<InferRequest, DecodeError> {
    let whole = read(signature, message, message.len(), Some(message.len()));
    for piece_bytes in [1, 2, 3, 7, 64] {
        for length in [Some(message.len()), None] {
            let again = read(signature, message, piece_bytes, length);
            match (&whole, &again) {
                (Ok(whole), Ok(again)) => assert_eq!(whole.inputs, again.inputs),
                (Err(_), Err(_)) => {}
                (whole, again) => panic!("{whole:?} and, by {piece_bytes}, {again:?}"),
            }
        }
    }
    whole
}

fn input(name: &str, datatype: &str, shape: &[i64]) -> proto::model_infer_request::InferInputTensor {
    proto::model_infer_request::InferInputTensor {
        name: name.to_owned(),
        datatype: datatype.to_owned(),
        shape: shape.to_vec(),
        ..Default::default()
    }
}

fn request(inputs: Vec<proto::model_infer_request::InferInputTensor>, raw: Vec<Vec<u8>>) -> proto::ModelInferRequest {
    proto::ModelInferRequest {
        model_name: "m".to_owned(),
        id: "7".to_owned(),
        inputs,
        raw_input_contents: raw,
        ..Default::default()
    }
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn tensor(shape: &[usize], values: &[f32]) -> Tensor {
    Tensor::F32(ArrayD::from_shape_vec(IxDyn(shape), values.to_vec()).unwrap())
}

#[test]
fn raw_contents_go_to_their_inputs_in_order() {
    let signature = signature(&[("a", DType::F32), ("b", DType::String), ("c", DType::F32)]);
    // Another order than the signature's; one without elements.
    let inputs = vec![input("c", "FP32", &[2, 1]), input("b", "BYTES", &[1, 2]), input("a", "FP32", &[0, 3])];
    let texts = [&[2, 0, 0, 0, b'h', b'i', 1, 0, 0, 0][..], b"x"].concat();
    let message = request(inputs.clone(), vec![floats(&[1.0, 2.0]), texts.clone(), vec![]]).encode_to_vec();
    let read = read_all_ways(&signature, &message).unwrap();
    assert_eq!(read.inputs[0], tensor(&[0, 3], &[]));
    let expected = ArrayD::from_shape_vec(IxDyn(&[1, 2]), vec!["hi".to_owned(), "x".to_owned()]).unwrap();
    assert_eq!(read.inputs[1], Tensor::String(expected));
    assert_eq!(read.inputs[2], tensor(&[2, 1], &[1.0, 2.0]));
    assert_eq!((read.id.as_str(), read.wanted.outputs.len()), ("7", 3));
    // What has no elements may be left out.
    let message = request(inputs, vec![floats(&[1.0, 2.0]), texts]).encode_to_vec();
    assert!(read_all_ways(&signature, &message).is_ok());
}

#[test]
fn typed_contents_of_every_type_are_read() {
    use proto::InferTensorContents as Contents;
    let none = Contents::default;
    let cases: Vec<(DType, Contents, Tensor)> = vec![
        (
            DType::Bool,
            Contents { bool_contents: vec![true, false], ..none() },
            Tensor::Bool(arr1(&[true, false]).into_dyn()),
        ),
        (DType::I8, Contents { int_contents: vec![-128, 127], ..none() }, Tensor::I8(arr1(&[-128, 127]).into_dyn())),
        (DType::I16, Contents { int_contents: vec![-3, 4], ..none() }, Tensor::I16(arr1(&[-3, 4]).into_dyn())),
        (
            DType::I32,
            Contents { int_contents: vec![i32::MIN, 4], ..none() },
            Tensor::I32(arr1(&[i32::MIN, 4]).into_dyn()),
        ),
        (
            DType::I64,
            Contents { int64_contents: vec![i64::MIN, 4], ..none() },
            Tensor::I64(arr1(&[i64::MIN, 4]).into_dyn()),
        ),
        (DType::U8, Contents { uint_contents: vec![255, 0], ..none() }, Tensor::U8(arr1(&[255, 0]).into_dyn())),
        (DType::U16, Contents { uint_contents: vec![65_535, 0], ..none() }, Tensor::U16(arr1(&[65_535, 0]).into_dyn())),
        (
            DType::U32,
            Contents { uint_contents: vec![u32::MAX, 0], ..none() },
            Tensor::U32(arr1(&[u32::MAX, 0]).into_dyn()),
        ),
        (
            DType::U64,
            Contents { uint64_contents: vec![u64::MAX, 0], ..none() },
            Tensor::U64(arr1(&[u64::MAX, 0]).into_dyn()),
        ),
        (DType::F32, Contents { fp32_contents: vec![0.5, -0.0], ..none() }, Tensor::F32(arr1(&[0.5, -0.0]).into_dyn())),
        (
            DType::F64,
            Contents { fp64_contents: vec![0.1, 1e300], ..none() },
            Tensor::F64(arr1(&[0.1, 1e300]).into_dyn()),
        ),
        (
            DType::String,
            Contents { bytes_contents: vec!["é".into(), "".into()], ..none() },
            Tensor::String(arr1(&["é".to_owned(), String::new()]).into_dyn()),
        ),
    ];
    for (dtype, contents, expected) in cases {
        let mut signature = signature(&[("x", dtype)]);
        signature.inputs[0].dims = None;
        let mut tensor = input("x", datatype::name(dtype), &[2]);
        tensor.contents = Some(contents);
        let message = request(vec![tensor], Vec::new()).encode_to_vec();
        assert_eq!(read_all_ways(&signature, &message).unwrap().inputs, [expected], "{dtype}");
    }
}

#[test]
fn contents_are_refused_where_a_number_or_a_count_would_have_to_change() {
    use proto::InferTensorContents as Contents;
    let refusal = |dtype: DType, contents: Contents| {
        let signature = signature(&[("x", dtype)]);
        let mut tensor = input("x", datatype::name(dtype), &[1, 2]);
        tensor.contents = Some(contents);
        read_all_ways(&signature, &request(vec![tensor], Vec::new()).encode_to_vec()).unwrap_err()
    };
    let error = refusal(DType::U8, Contents { uint_contents: vec![1, 256], ..Default::default() });
    assert_eq!(
        (error.fault, error.message.as_str()),
        (DecodeFault::LossyNumber, "element 1 of 'x' is 256, which UINT8 cannot hold")
    );
    let error = refusal(DType::I8, Contents { int_contents: vec![-129, 0], ..Default::default() });
    assert!(error.message.contains("is -129, which INT8"), "{}", error.message);
    for count in [0, 1, 3] {
        let error = refusal(DType::F32, Contents { fp32_contents: vec![0.5; count], ..Default::default() });
        assert!(error.message.contains(if count == 0 { "neither" } else { "2 elements" }), "{}", error.message);
    }
    let error = refusal(DType::F32, Contents { int_contents: vec![1, 2], ..Default::default() });
    assert!(error.message.contains("fp32_contents, not int_contents"), "{}", error.message);
    let error = refusal(DType::F16, Contents { fp32_contents: vec![1.0, 2.0], ..Default::default() });
    assert!(error.message.contains("raw_input_contents"), "{}", error.message);
    let error = refusal(DType::String, Contents { bytes_contents: vec![vec![0xff], vec![]], ..Default::default() });
    assert!(error.message.contains("element 0 of 'x' is not valid UTF-8"), "{}", error.message);
}

#[test]
fn numbers_may_come_one_by_one() {
    let signature = signature(&[("x", DType::I32)]);
    // fields: name, datatype, shape twice unpacked, contents with two unpacked int_contents.
    let mut tensor = vec![0x0a, 1, b'x', 0x12, 5];
    tensor.extend(b"INT32");
    tensor.extend([0x18, 1, 0x18, 2, 0x2a, 4, 0x10, 5, 0x10, 6]);
    let mut message = vec![0x0a, 1, b'm', 0x2a, tensor.len() as u8];
    message.extend(tensor);
    let expected = Tensor::I32(ArrayD::from_shape_vec(IxDyn(&[1, 2]), vec![5, 6]).unwrap());
    assert_eq!(read_all_ways(&signature, &message).unwrap().inputs, [expected]);
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let signature = signature(&[("x", DType::F32), ("y", DType::F32)]);
    let pair = || vec![input("x", "FP32", &[1, 1]), input("y", "FP32", &[1, 1])];
    let one = || floats(&[1.0]);
    let mut mixed = request(pair(), vec![one()]);
    mixed.inputs[0].contents = Some(proto::InferTensorContents { fp32_contents: vec![1.0], ..Default::default() });
    let mut unknown = pair();
    unknown[0].name = "z".to_owned();
    let mut negative = pair();
    negative[0].shape = vec![-1, 1];
    let mut nameless = request(pair(), vec![one(), one()]);
    nameless.model_name.clear();
    for (message, words) in [
        (mixed, "both `contents` and raw_input_contents"),
        (request(pair(), vec![one(), one(), one()]), "more entries"),
        (request(pair(), vec![one()]), "input 'y' has neither"),
        (request(pair(), vec![one(), floats(&[1.0, 2.0])]), "takes 4 bytes; it has 8"),
        (request(pair()[..1].to_vec(), vec![one()]), "input 'y' (float32[N, ?]) is missing"),
        (request([pair(), pair()].concat(), vec![]), "given twice"),
        (request(unknown, vec![]), "no input 'z'"),
        (request(negative, vec![]), "size -1"),
        (request(vec![input("x", "INT32", &[1, 1])], vec![]), "datatype FP32"),
        (request(vec![input("x", "FP32", &[1; 9])], vec![]), "at most 8 dimensions"),
        (request(vec![input("x", "FP32", &[1 << 40, 1 << 40])], vec![]), "neither"),
        (request(vec![input("x", "FP32", &[1_000, 1_000])], vec![floats(&[0.5; 10])]), "takes 4000000 bytes"),
        (nameless, "names no model"),
    ] {
        let error = read_all_ways(&signature, &message.encode_to_vec()).unwrap_err();
        assert!(error.message.contains(words), "{words}: {}", error.message);
    }
}

#[test]
fn fields_may_come_in_another_order() {
    let signature = signature(&[("x", DType::F32)]);
    let part = |message: proto::ModelInferRequest| message.encode_to_vec();
    let name = part(proto::ModelInferRequest { model_name: "m".to_owned(), ..Default::default() });
    let inputs = part(proto::ModelInferRequest { inputs: vec![input("x", "FP32", &[1, 2])], ..Default::default() });
    let raw = part(proto::ModelInferRequest { raw_input_contents: vec![floats(&[1.0, 2.0])], ..Default::default() });
    for order in [[&raw, &inputs, &name], [&inputs, &name, &raw], [&name, &raw, &inputs], [&raw, &name, &inputs]] {
        let read = read_all_ways(&signature, &order.map(Vec::as_slice).concat()).unwrap();
        assert_eq!(read.inputs, [tensor(&[1, 2], &[1.0, 2.0])]);
    }
    // But not another name once the first has been acted upon.
    let other = part(proto::ModelInferRequest { model_name: "o".to_owned(), ..Default::default() });
    let error = read_all_ways(&signature, &[&name[..], &inputs, &other].concat()).unwrap_err();
    assert!(error.message.contains("model_name"), "{}", error.message);
}

#[test]
fn parameters_and_wanted_outputs_are_read() {
    let signature = signature(&[("x", DType::F32), ("y", DType::F32)]);
    let choice = |choice| proto::InferParameter { parameter_choice: Some(choice) };
    let mut message = request(vec![input("x", "FP32", &[0, 0]), input("y", "FP32", &[0, 0])], Vec::new());
    message.parameters = [
        ("priority".to_owned(), choice(ParameterChoice::Uint64Param(2))),
        ("timeout".to_owned(), choice(ParameterChoice::Int64Param(5))),
        ("triton_enable_empty_final_response".to_owned(), choice(ParameterChoice::BoolParam(true))),
        ("other".to_owned(), choice(ParameterChoice::DoubleParam(0.5))),
    ]
    .into();
    message.outputs = vec![proto::model_infer_request::InferRequestedOutputTensor {
        name: "y_out".to_owned(),
        parameters: [("classification".to_owned(), choice(ParameterChoice::Int64Param(3)))].into(),
    }];
    let read = read_all_ways(&signature, &message.encode_to_vec()).unwrap();
    assert_eq!((read.parameters.priority, read.parameters.queue_timeout.unwrap().as_micros()), (2, 5));
    assert_eq!((read.wanted.outputs[0].index, read.wanted.outputs[0].classes), (1, 3));
    let region = choice(ParameterChoice::StringParam("r".to_owned()));
    message.inputs[0].parameters = [
        ("shared_memory_region".to_owned(), region),
        ("shared_memory_byte_size".to_owned(), choice(ParameterChoice::Int64Param(0))),
    ]
    .into();
    let error = read_all_ways(&signature, &message.encode_to_vec()).unwrap_err();
    assert!(error.message.contains("shared memory region 'r'"), "{}", error.message);
}

#[test]
fn every_mutant_of_a_message_is_read_or_refused() {
    let signature = signature(&[("x", DType::F32), ("y", DType::String)]);
    let inputs = vec![input("x", "FP32", &[1, 2]), input("y", "BYTES", &[1, 1])];
    let message = request(inputs, vec![floats(&[1.0, 2.0]), vec![1, 0, 0, 0, b'a']]).encode_to_vec();
    let mut refused = 0;
    for end in 0..message.len() {
        refused += usize::from(read_all_ways(&signature, &message[..end]).is_err());
    }
    assert_eq!(refused, message.len(), "no part of it is a request");
    for at in 0..message.len() {
        for byte in [0, 1, 0x7f, 0x80, 0xff, message[at] ^ 1, message[at] ^ 8] {
            let mut mutant = message.clone();
            mutant[at] = byte;
            // Whatever comes of it, it is the same for all pieces; the assertion is inside. A name that is another one is not `m`.
            if !mutant.starts_with(&[0x0a, 1, b'm']) {
                continue;
            }
            drop(read_all_ways(&signature, &mutant));
        }
    }
}

fn bytes_of(message: Message) -> Vec<u8> {
    let length = message.len();
    let parts: Vec<Bytes> =
        std::iter::once(Bytes::from(message.head).slice(ROOM_BYTES..)).chain(message.rest).collect();
    let bytes = parts.concat();
    assert_eq!(bytes.len(), length);
    bytes
}

#[test]
fn answers_are_what_generated_code_reads() {
    let signature = signature(&[("a", DType::F32), ("b", DType::I64), ("c", DType::String), ("d", DType::F32)]);
    let large: Vec<f32> = (0..2_000u16).map(f32::from).collect();
    let outputs = || -> Vec<Value> {
        vec![
            tensor(&[2, 1_000], &large).into(),
            Tensor::I64(ArrayD::from_elem(IxDyn(&[]), -1)).into(),
            Tensor::String(arr1(&["é".to_owned()]).into_dyn()).into(),
            tensor(&[0, 3], &[]).into(),
        ]
    };
    let answering = Answering { model_name: "m", model_version: 3, id: "7", signature: &signature, labels: &[] };
    let all = Wanted::all(&signature, true).unwrap();
    let answer =
        proto::ModelInferResponse::decode(&*bytes_of(encode(outputs(), &all, &answering, &NoRegions).unwrap()))
            .unwrap();
    assert_eq!((answer.model_name.as_str(), answer.model_version.as_str(), answer.id.as_str()), ("m", "3", "7"));
    let heads: Vec<_> = answer
        .outputs
        .iter()
        .map(|output| (output.name.as_str(), output.datatype.as_str(), output.shape.clone()))
        .collect();
    assert_eq!(
        heads,
        [
            ("a_out", "FP32", vec![2, 1_000]),
            ("b_out", "INT64", vec![]),
            ("c_out", "BYTES", vec![1]),
            ("d_out", "FP32", vec![0, 3]),
        ]
    );
    let expected = [floats(&large), (-1i64).to_le_bytes().to_vec(), vec![2, 0, 0, 0, 0xc3, 0xa9], vec![]];
    assert_eq!(answer.raw_output_contents, expected);
    // The large one in its own memory, between what stands before and behind it.
    assert_eq!(encode(outputs(), &all, &answering, &NoRegions).unwrap().rest.len(), 2);
}

/// Shared memory that holds ones.
struct Ones;

impl Regions for Ones {
    fn read(&self, region: &Region, take: &mut dyn FnMut(&[u8]) -> Result<(), DecodeError>) -> Result<(), DecodeError> {
        (0..region.size_bytes / 4).try_for_each(|_| take(&1f32.to_le_bytes()))
    }

    fn write(&self, _: &Region, _: &str, _: &[u8]) -> Result<(), EncodeError> {
        Ok(())
    }
}

#[test]
fn what_is_in_shared_memory_may_be_longer_than_the_message() {
    let signature = signature(&[("x", DType::F32), ("y", DType::F32)]);
    let choice = |choice| proto::InferParameter { parameter_choice: Some(choice) };
    let region = |bytes| {
        [
            ("shared_memory_region".to_owned(), choice(ParameterChoice::StringParam("r".to_owned()))),
            ("shared_memory_byte_size".to_owned(), choice(ParameterChoice::Int64Param(bytes))),
        ]
    };
    let mut message = request(vec![input("x", "FP32", &[100, 20]), input("y", "FP32", &[1, 1])], vec![floats(&[0.5])]);
    message.inputs[0].parameters = region(8_000).into();
    let message = message.encode_to_vec();
    let read = read_with(&signature, &message, 7, Some(message.len()), &Ones).unwrap();
    // The only raw contents are those of the input that is not in shared memory.
    assert_eq!(read.inputs, [tensor(&[100, 20], &[1.0; 2_000]), tensor(&[1, 1], &[0.5])]);
    let answering = Answering { model_name: "m", model_version: 1, id: "", signature: &signature, labels: &[] };
    let mut wanted = Wanted::all(&signature, true).unwrap();
    wanted.outputs[0].region = Some(Region { name: "r".to_owned(), offset_bytes: 0, size_bytes: 8_000 });
    let outputs = read.inputs.into_iter().map(Value::Tensor).collect();
    let answer = bytes_of(encode(outputs, &wanted, &answering, &Ones).unwrap());
    let answer = proto::ModelInferResponse::decode(&*answer).unwrap();
    assert_eq!(answer.raw_output_contents, [vec![], floats(&[0.5])]);
}
