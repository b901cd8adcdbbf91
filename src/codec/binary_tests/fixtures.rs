//! Files that numpy and safetensors have written themselves.

use super::*;

const NUMBERS: [(DType, &[u8]); 13] = [
    (DType::Bool, fixture!("bool.npy")),
    (DType::I8, fixture!("int8.npy")),
    (DType::I16, fixture!("int16.npy")),
    (DType::I32, fixture!("int32.npy")),
    (DType::I64, fixture!("int64.npy")),
    (DType::U8, fixture!("uint8.npy")),
    (DType::U16, fixture!("uint16.npy")),
    (DType::U32, fixture!("uint32.npy")),
    (DType::U64, fixture!("uint64.npy")),
    (DType::F16, fixture!("float16.npy")),
    (DType::BF16, fixture!("bfloat16.npy")),
    (DType::F32, fixture!("float32.npy")),
    (DType::F64, fixture!("float64.npy")),
];

pub(super) fn one(dtype: DType) -> Signature {
    identity(vec![any_shape("x", dtype)])
}

fn words() -> Tensor {
    tensor(&[2, 3], ["", "a", "bé", "日本", "\u{1f980}", "x y"].map(str::to_owned).to_vec())
}

/// The model of `named.npz` and `compressed.npz`.
pub(super) fn named_arrays() -> Signature {
    identity(vec![
        input("layer/ids", DType::I64, &["N"]),
        input("x", DType::F32, &["M", "3"]),
        input("naïve", DType::String, &["K"]),
    ])
}

/// The model of `named.safetensors`.
pub(super) fn named_tensors() -> Signature {
    identity(vec![
        input("mask", DType::Bool, &["3"]),
        input("ids", DType::I64, &["N"]),
        input("x", DType::F32, &["M", "3"]),
    ])
}

#[test]
fn numpy_arrays_are_read_and_written_byte_for_byte() {
    for (dtype, file) in NUMBERS {
        let expected = [counting(dtype, &[2, 3])];
        assert_eq!(decode(Format::Npy, &one(dtype), file).unwrap(), expected, "{dtype}");
        assert_eq!(encoded(Format::Npy, &one(dtype), &expected), file, "{dtype}");
    }
    for (file, expected) in [
        (fixture!("scalar.npy"), tensor(&[], vec![2.5f32])),
        (fixture!("empty.npy"), tensor::<f32>(&[0, 3], Vec::new())),
        (fixture!("strings.npy"), words()),
    ] {
        let signature = one(expected.dtype());
        assert_eq!(decode(Format::Npy, &signature, file).unwrap(), std::slice::from_ref(&expected));
        assert_eq!(encoded(Format::Npy, &signature, &[expected]), file);
    }
}

#[test]
fn other_orders_and_versions_are_the_same_array() {
    let floats =
        [fixture!("big_endian.npy"), fixture!("fortran.npy"), fixture!("version_2.npy"), fixture!("version_3.npy")];
    for file in floats {
        assert_eq!(decode(Format::Npy, &one(DType::F32), file).unwrap(), [counting(DType::F32, &[2, 3])]);
    }
    for file in [fixture!("strings_big_endian.npy"), fixture!("strings_bytes.npy")] {
        assert_eq!(decode(Format::Npy, &one(DType::String), file).unwrap(), [words()]);
    }
    let letters = tensor(&[2, 3], ["a", "b", "c", "d", "e", "f"].map(str::to_owned).to_vec());
    assert_eq!(decode(Format::Npy, &one(DType::String), fixture!("fortran_strings.npy")).unwrap(), [letters]);
}

#[test]
fn an_array_of_another_type_is_refused_with_its_conversion() {
    let refuse = |dtype, file| assert_refused(decode(Format::Npy, &one(dtype), file), DecodeFault::WrongType, &["'x'"]);

    let error = refuse(DType::F32, fixture!("float64.npy"));
    assert_eq!((error.expected.as_deref(), error.got.as_deref()), (Some("float32"), Some("float64")));
    assert!(error.message.contains(".astype(np.float32)"), "{error}");

    assert!(refuse(DType::F64, fixture!("float32.npy")).message.contains("np.float64"));
    assert!(refuse(DType::F16, fixture!("bfloat16.npy")).message.contains("<V2"));
    assert!(refuse(DType::String, fixture!("int64.npy")).message.contains(".astype(str)"));
    assert!(refuse(DType::F32, fixture!("strings.npy")).message.contains(".astype(np.float32)"));
    assert!(refuse(DType::F32, fixture!("complex.npy")).message.contains("<c8"));
    let objects = refuse(DType::String, fixture!("objects.npy"));
    assert!(objects.message.contains("pickled") && objects.message.contains(".astype(str)"), "{objects}");

    let structured = decode(Format::Npy, &one(DType::F32), fixture!("structured.npy"));
    assert_refused(structured, DecodeFault::WrongType, &["structured"]);
}

#[test]
fn an_array_of_another_shape_is_refused() {
    let signature = identity(vec![input("x", DType::F32, &["N", "10"])]);
    let result = decode(Format::Npy, &signature, fixture!("float32.npy"));
    let error = assert_refused(result, DecodeFault::WrongShape, &["'x'", "dimension 1 must be 10, got 3"]);
    assert_eq!((error.expected.as_deref(), error.got.as_deref()), (Some("float32[N, 10]"), Some("[2, 3]")));
    assert_eq!(error.path.as_deref(), Some("x"));
}

#[test]
fn numpy_archives_are_read() {
    let expected = [
        tensor(&[2], vec![7i64, 8]),
        counting(DType::F32, &[2, 3]),
        tensor(&[2], vec!["a".to_owned(), "bc".to_owned()]),
    ];
    for file in [fixture!("named.npz"), fixture!("compressed.npz")] {
        assert_eq!(decode(Format::Npz, &named_arrays(), file).unwrap(), expected);
    }
    let unnamed = decode(Format::Npz, &one(DType::F32), fixture!("unnamed.npz"));
    assert_eq!(unnamed.unwrap(), [counting(DType::F32, &[2, 3])]);
}

#[test]
fn safetensors_files_are_read_in_any_order() {
    let expected = [tensor(&[3], vec![true, false, true]), tensor(&[2], vec![7i64, 8]), counting(DType::F32, &[2, 3])];
    let file = fixture!("named.safetensors");
    for cut in 0..=file.len() {
        let decoded = decode_in(Format::Safetensors, request(&named_tensors()), file, [cut]);
        assert_eq!(decoded.unwrap(), expected, "cut at {cut}");
    }
    let inputs = NUMBERS.map(|(dtype, _)| any_shape(dtype.name(), dtype));
    let all = decode(Format::Safetensors, &identity(inputs.to_vec()), fixture!("all.safetensors")).unwrap();
    assert_eq!(all, NUMBERS.map(|(dtype, _)| counting(dtype, &[2, 3])));
}
