//! What is encoded decodes to the same, however the bytes are cut.

use super::*;

const SHAPES: [&[usize]; 6] = [&[], &[0], &[2, 0], &[3], &[2, 3, 4], &[0, 1 << 16]];

fn carries(format: Format, dtype: DType) -> bool {
    !(format == Format::Safetensors && dtype == DType::String)
}

/// The shape header of an answer, which also describes the same body as a request.
fn raw_shape(format: Format, signature: &Signature, outputs: &[Tensor]) -> Option<String> {
    let outputs = outputs.iter().cloned().map(Value::Tensor).collect();
    encode(outputs, signature, format.into(), &POLICY).unwrap().raw_layout.map(|layout| layout.shapes)
}

#[test]
fn every_format_carries_every_type_and_shape() {
    for format in BINARY {
        for dtype in DType::ALL.into_iter().filter(|&dtype| carries(format, dtype)) {
            for shape in SHAPES {
                let signature = identity(vec![any_shape("x", dtype)]);
                let tensors = [counting(dtype, shape)];
                let body = encoded(format, &signature, &tensors);
                let shapes = raw_shape(format, &signature, &tensors);
                let request =
                    Request { raw_shape: shapes.as_deref(), announced_bytes: Some(body.len()), ..request(&signature) };
                assert_eq!(decode_in(format, request, &body, []).unwrap(), tensors, "{format:?} {dtype} {shape:?}");
            }
        }
    }
}

#[test]
fn a_body_may_be_cut_anywhere() {
    for format in BINARY {
        for dtype in DType::ALL.into_iter().filter(|&dtype| carries(format, dtype)) {
            let signature = identity(vec![any_shape("x", dtype)]);
            let tensors = [counting(dtype, &[2, 3])];
            let body = encoded(format, &signature, &tensors);
            let request = Request { raw_shape: Some("2,3"), ..request(&signature) };
            for cut in 0..=body.len() {
                let decoded = decode_in(format, request, &body, [cut]);
                assert_eq!(decoded.unwrap(), tensors, "{format:?} {dtype} cut at {cut}");
            }
            let single_bytes = decode_in(format, request, &body, std::iter::repeat_n(1, body.len()));
            assert_eq!(single_bytes.unwrap(), tensors, "{format:?} {dtype} byte by byte");
        }
    }
}

#[test]
fn a_truncated_body_is_refused_at_every_length() {
    for format in BINARY {
        for dtype in DType::ALL.into_iter().filter(|&dtype| carries(format, dtype)) {
            let signature = identity(vec![any_shape("x", dtype)]);
            let body = encoded(format, &signature, &[counting(dtype, &[2, 3])]);
            let request = Request { raw_shape: Some("2,3"), ..request(&signature) };
            for length in 0..body.len() {
                let body = &body[..length];
                for announced_bytes in [None, Some(length)] {
                    let result = decode_in(format, Request { announced_bytes, ..request }, body, []);
                    assert_refused(result, DecodeFault::Malformed, &[]);
                }
            }
        }
    }
}

#[test]
fn several_inputs_keep_their_names_and_order() {
    let signature = identity(vec![
        any_shape("layer/b", DType::F32),
        any_shape("a", DType::Bool),
        any_shape("none", DType::I64),
        any_shape("naïve", DType::F64),
    ]);
    let tensors = [
        counting(DType::F32, &[2, 2]),
        counting(DType::Bool, &[3]),
        counting(DType::I64, &[0]),
        counting(DType::F64, &[]),
    ];
    for format in [Format::Npz, Format::Raw, Format::Safetensors] {
        let body = encoded(format, &signature, &tensors);
        let request = Request { raw_shape: Some("2,2;3;0;"), ..request(&signature) };
        for cut in 0..=body.len() {
            assert_eq!(decode_in(format, request, &body, [cut]).unwrap(), tensors, "{format:?} cut at {cut}");
        }
    }
}

#[test]
fn floats_keep_their_bits() {
    let bits = [0x7fc0_0001u32, 0xff80_0000, 0x8000_0000, 1];
    let signature = identity(vec![any_shape("x", DType::F32)]);
    for format in BINARY {
        let body = encoded(format, &signature, &[tensor(&[4], bits.map(f32::from_bits).to_vec())]);
        let request = Request { raw_shape: Some("4"), ..request(&signature) };
        let decoded = decode_in(format, request, &body, []).unwrap();
        let Tensor::F32(array) = &decoded[0] else { panic!("{format:?}: {decoded:?}") };
        assert_eq!(array.iter().map(|float| float.to_bits()).collect::<Vec<_>>(), bits, "{format:?}");
    }
}

#[test]
fn tensor_data_is_handed_over_without_a_copy() {
    let signature = identity(vec![any_shape("x", DType::F32)]);
    for format in [Format::Npy, Format::Raw, Format::Safetensors] {
        let output = counting(DType::F32, &[8]);
        let Tensor::F32(array) = &output else { unreachable!("made as float32") };
        let memory = array.as_ptr().cast::<u8>();
        let parts = encode(vec![output.into()], &signature, format.into(), &POLICY).unwrap().parts;
        assert_eq!(parts.last().unwrap().as_ptr(), memory, "{format:?}");
    }
}

#[test]
fn a_row_of_a_batch_is_encoded_as_that_row() {
    let Tensor::F32(mut batch) = counting(DType::F32, &[4, 2]) else { unreachable!("made as float32") };
    batch.slice_axis_inplace(ndarray::Axis(0), (2..3).into());
    let signature = identity(vec![any_shape("x", DType::F32)]);
    let body = encoded(Format::Raw, &signature, &[Tensor::F32(batch)]);
    assert_eq!(body, [4f32.to_le_bytes(), 5f32.to_le_bytes()].concat());
}

#[test]
fn an_answer_in_column_major_order_is_put_right() {
    let Tensor::F32(array) = counting(DType::F32, &[2, 2]) else { unreachable!("made as float32") };
    let signature = identity(vec![any_shape("x", DType::F32)]);
    let body = encoded(Format::Raw, &signature, &[Tensor::F32(array.reversed_axes())]);
    assert_eq!(body, [0f32, 2., 1., 3.].map(f32::to_le_bytes).concat());
}

#[test]
fn raw_answers_say_what_they_hold() {
    let signature =
        identity(vec![any_shape("x", DType::F32), any_shape("n", DType::I64), any_shape("s", DType::String)]);
    let outputs = vec![
        counting(DType::F32, &[2, 10]).into(),
        counting(DType::I64, &[]).into(),
        tensor(&[1], vec!["hé".to_owned()]).into(),
    ];
    let encoded = encode(outputs, &signature, Reply::Raw, &POLICY).unwrap();
    let layout = RawLayout { dtypes: "float32;int64;string".to_owned(), shapes: "2,10;;1".to_owned() };
    assert_eq!(encoded.raw_layout, Some(layout));
    assert_eq!(encoded.parts[2].as_ref(), b"\x03\0\0\0h\xc3\xa9");
}

#[test]
fn what_a_form_cannot_hold_is_refused_with_one_that_can() {
    let mut signature = identity(vec![any_shape("p", DType::F32)]);
    let float = ValueType::Tensor { dtype: DType::F32, dims: Some(Vec::new()) };
    let map = ValueType::Map { key: DType::I64, value: Box::new(float) };
    signature.outputs[0].value = ValueType::Sequence(Box::new(map));
    for format in BINARY {
        let error = encode(vec![Value::Sequence(Vec::new())], &signature, format.into(), &POLICY).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("'p'") && message.contains("application/json"), "{message}");
        assert!(message.contains("sequence(map(int64, float32[]))"), "{message}");
    }

    let words = identity(vec![any_shape("s", DType::String)]);
    let output = counting(DType::String, &[2]);
    let error = encode(vec![output.into()], &words, Reply::Safetensors, &POLICY).unwrap_err();
    assert!(error.to_string().contains("application/x-npz"), "{error}");

    let two = identity(vec![any_shape("a", DType::F32), any_shape("b", DType::F32)]);
    let outputs = vec![counting(DType::F32, &[1]).into(), counting(DType::F32, &[1]).into()];
    let error = encode(outputs, &two, Reply::Npy, &POLICY).unwrap_err();
    assert!(error.to_string().contains("application/x-npz"), "{error}");
}

#[test]
fn numpy_strings_that_would_change_or_explode_are_refused() {
    let signature = identity(vec![any_shape("s", DType::String)]);
    let nul = tensor(&[1], vec!["a\0".to_owned()]);
    let mut uneven = vec![String::new(); 100_000];
    uneven[0] = "a".repeat(1000);
    for (output, word) in [(nul, "NUL"), (tensor(&[100_000], uneven), "1000 characters")] {
        let error = encode(vec![output.into()], &signature, Reply::Npy, &POLICY).unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[test]
fn several_outputs_answer_an_npy_body_with_an_archive() {
    let mut signature = identity(vec![any_shape("x", DType::F32)]);
    let body = encoded(Format::Npy, &signature, &[counting(DType::F32, &[2])]);
    signature.outputs.push(signature.outputs[0].clone());
    let mut receiver = Receiver::new(Format::Npy, request(&signature)).unwrap();
    receiver.push(&body).unwrap();
    assert_eq!(receiver.finish().unwrap().reply, Reply::Npz);
}

#[test]
fn equal_answers_are_equal_archives() {
    let signature = identity(vec![any_shape("x", DType::F32)]);
    let archive = || encoded(Format::Npz, &signature, &[counting(DType::F32, &[2])]);
    assert_eq!(archive(), archive());
}
