//! `.npy` headers that lie, and ones that are merely unusual.

use super::fixtures::one;
use super::*;

/// A version 1.0 file of this literal and data.
fn file(literal: &str, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(literal.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\x00".as_slice(), &length, literal.as_bytes(), data].concat()
}

fn of_shape(descr: &str, shape: &str) -> Vec<u8> {
    file(&format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"), &[])
}

fn npy(dtype: DType, body: &[u8]) -> Result<Vec<Tensor>, DecodeError> {
    decode_in(Format::Npy, request(&one(dtype)), body, [])
}

#[test]
fn unusual_literals_are_read() {
    for literal in [
        r#"{"shape":(2,3),"fortran_order":False,"descr":"<f4"}"#,
        "  { 'descr' : '=f4' ,\t'fortran_order' : False , 'shape' : ( 2 , 3 , ) , }  \n",
        "{'fortran_order': False, 'shape': (2, 3), 'descr': 'f4'}\n",
    ] {
        let data: Vec<u8> = (0..6).flat_map(|i| (i as f32).to_le_bytes()).collect();
        assert_eq!(npy(DType::F32, &file(literal, &data)).unwrap(), [counting(DType::F32, &[2, 3])], "{literal}");
    }
}

#[test]
fn literals_that_are_no_header_are_refused() {
    for literal in [
        "",
        "{",
        "{}",
        "[]",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': [3]}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-3,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3.0,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (,)}",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (3,)}",
        "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (3,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), 'more': 1}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3,)} + 1",
        "{'descr': '\\x3cf4', 'fortran_order': False, 'shape': (3,)}",
        "{'descr': '<f4",
        "{,}",
        "{\u{e9}: 1}",
    ] {
        assert_refused(npy(DType::F32, &file(literal, &[0; 12])), DecodeFault::Malformed, &["header"]);
    }
    let deep = "{".repeat(60_000);
    assert_refused(npy(DType::F32, &file(&deep, &[])), DecodeFault::Malformed, &["header"]);
    let latin = [b"\x93NUMPY\x01\x00\x02\x00".as_slice(), b"\xe9\xe9"].concat();
    assert_refused(npy(DType::F32, &latin), DecodeFault::Malformed, &["not text"]);
}

#[test]
fn sizes_beyond_memory_are_refused() {
    let refuse = |dtype, descr, shape, words: &[&str]| {
        assert_refused(npy(dtype, &of_shape(descr, shape)), DecodeFault::TooLarge, words);
    };
    refuse(DType::F32, "<f4", "(1099511627776, 1099511627776)", &["[1099511627776, 1099511627776]"]);
    refuse(DType::F32, "<f4", "(99999999999999999999,)", &["memory"]);
    refuse(DType::F32, "<f4", "(100001,)", &["100000 elements"]);
    refuse(DType::String, "<U4611686018427387905", "(1,)", &["wider than memory"]);
    refuse(DType::String, "<U1000000", "(1,)", &["1048576 bytes"]);
    refuse(DType::String, "<U0", "(70000,)", &["no width"]);

    let body = of_shape("<f4", "(100,)");
    let signature = one(DType::F32);
    let request = Request { announced_bytes: Some(body.len() + 8), ..request(&signature) };
    let result = decode_in(Format::Npy, request, &body, []);
    assert_refused(result, DecodeFault::Malformed, &["takes 400 bytes", "only 8"]);
}

#[test]
fn headers_have_a_limit() {
    for length in [64 * 1024 + 1, u32::MAX] {
        let body = [b"\x93NUMPY\x02\x00".as_slice(), &length.to_le_bytes()].concat();
        let error = assert_refused(npy(DType::F32, &body), DecodeFault::Malformed, &["at most 65536"]);
        assert_eq!(error.got, Some(format!("{length} bytes")));
    }
    assert_refused(npy(DType::F32, b"\x93NUMPY\x04\x00"), DecodeFault::Malformed, &["4.0"]);
}

#[test]
fn other_formats_are_recognized() {
    let cases: [(&[u8], &str); 4] = [
        (b"PK\x03\x04", "application/x-npz"),
        (b"{\"data\": [1]}", "application/json"),
        (b"\x80\x04\x95", "pickle"),
        (b"\x93NUMPX", "numpy.save"),
    ];
    for (body, word) in cases {
        assert_refused(npy(DType::F32, body), DecodeFault::Malformed, &[word]);
    }
}

#[test]
fn data_must_end_with_the_array() {
    let literal = "{'descr': '|b1', 'fortran_order': False, 'shape': (2,), }";
    let result = npy(DType::Bool, &file(literal, &[1, 0, 0]));
    assert_refused(result, DecodeFault::Malformed, &["goes on after the last element"]);
    assert_refused(npy(DType::Bool, &file(literal, &[1, 7])), DecodeFault::Malformed, &["element 1", "is 7"]);
    assert_refused(npy(DType::Bool, &file(literal, &[1])), DecodeFault::Malformed, &["1 of the 2 bytes"]);
}

#[test]
fn strings_must_be_text() {
    let wide = file("{'descr': '<U1', 'fortran_order': False, 'shape': (2,), }", b"a\0\0\0\0\xd8\0\0");
    assert_refused(npy(DType::String, &wide), DecodeFault::Malformed, &["element 1", "no character"]);
    let bytes = file("{'descr': '|S2', 'fortran_order': False, 'shape': (2,), }", b"ok\xc3\x28");
    assert_refused(npy(DType::String, &bytes), DecodeFault::Malformed, &["element 1", "UTF-8"]);

    let inner_nul = file("{'descr': '|S4', 'fortran_order': False, 'shape': (), }", b"a\0b\0");
    assert_eq!(npy(DType::String, &inner_nul).unwrap(), [tensor(&[], vec!["a\0b".to_owned()])]);
    let no_width = file("{'descr': '<U0', 'fortran_order': False, 'shape': (2,), }", b"");
    assert_eq!(npy(DType::String, &no_width).unwrap(), [tensor(&[2], vec![String::new(), String::new()])]);
}

#[test]
fn unknown_types_are_named() {
    for descr in ["<f16", "<M8[ns]", "|V3", "<c16", "", "<", "<Uπ", "<U-1", "é", "float32"] {
        let error = assert_refused(npy(DType::F32, &of_shape(descr, "(1,)")), DecodeFault::WrongType, &["float32"]);
        assert_eq!(error.got.as_deref(), Some(descr));
    }
}

#[test]
fn one_array_serves_one_input_only() {
    let two = identity(vec![any_shape("a", DType::F32), any_shape("b", DType::F32)]);
    let result = decode_in(Format::Npy, request(&two), &[], []);
    assert_refused(result, DecodeFault::WrongInputs, &["2 inputs", "application/x-npz", "application/x-safetensors"]);
}
