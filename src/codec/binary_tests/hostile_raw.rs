//! Raw bodies that do not fit, and headers that do not help.

use super::*;

fn matrix() -> Signature {
    identity(vec![input("x", DType::F32, &["N", "10"])])
}

fn shaped<'a>(signature: &'a Signature, shape: &'a str) -> Request<'a> {
    Request { raw_shape: Some(shape), ..request(signature) }
}

fn raw(request: Request<'_>, body: &[u8]) -> Result<Vec<Tensor>, DecodeError> {
    decode_in(Format::Raw, request, body, [])
}

#[test]
fn one_open_dimension_follows_from_the_length() {
    let signature = matrix();
    for announced_bytes in [None, Some(80)] {
        let decoded = raw(Request { announced_bytes, ..request(&signature) }, &[0; 80]).unwrap();
        assert_eq!(decoded[0].shape(), [2, 10]);
    }
    let empty = raw(Request { announced_bytes: Some(0), ..request(&signature) }, &[]).unwrap();
    assert_eq!(empty[0].shape(), [0, 10]);

    let beside = identity(vec![input("x", DType::F32, &["N", "2"]), input("k", DType::I64, &[])]);
    let decoded = raw(request(&beside), &[0; 8 + 3 * 8]).unwrap();
    assert_eq!(decoded.iter().map(Tensor::shape).collect::<Vec<_>>(), [&[3, 2][..], &[]]);
}

#[test]
fn a_length_that_does_not_divide_is_explained() {
    for announced_bytes in [None, Some(41)] {
        let signature = matrix();
        let result = raw(Request { announced_bytes, ..request(&signature) }, &[0; 41]);
        let error = assert_refused(result, DecodeFault::Malformed, &["41 bytes", "float32[N, 10]", "a multiple of 40"]);
        assert_eq!(error.got.as_deref(), Some("41 bytes"));
    }
}

#[test]
fn what_a_length_cannot_tell_asks_for_the_header() {
    let asks = |signature: Signature, example: &str| {
        let result = raw(Request { announced_bytes: Some(80), ..request(&signature) }, &[0; 80]);
        assert_refused(result, DecodeFault::WrongShape, &["x-scoria-shape", example]);
    };
    asks(identity(vec![input("x", DType::F32, &["N", "M", "3"])]), ": 1,1,3'");
    asks(identity(vec![input("x", DType::F32, &["N"]), input("y", DType::F32, &["N"])]), ": 1;1'");
    asks(identity(vec![input("x", DType::F32, &["N", "0"])]), ": 1,0'");
    asks(identity(vec![input("x", DType::String, &["N"])]), ": 1'");
    asks(identity(vec![any_shape("x", DType::F32)]), "x-scoria-shape");
}

#[test]
fn the_header_takes_spaces_and_nothing_else() {
    let signature = identity(vec![any_shape("x", DType::U8), any_shape("y", DType::U8)]);
    let decoded = raw(shaped(&signature, " 2 , 3 ; "), &[0; 7]).unwrap();
    assert_eq!(decoded.iter().map(Tensor::shape).collect::<Vec<_>>(), [&[2, 3][..], &[]]);
    for text in ["2,;", "-1;1", "+2;1", "2x3;1", "[2];1", "1e3;1", "99999999999999999999;1", "2.0;1", "1;\u{661}"] {
        let error = assert_refused(raw(shaped(&signature, text), &[]), DecodeFault::WrongShape, &["x-scoria-shape"]);
        assert_eq!(error.got.as_deref(), Some(text));
    }
    for text in ["1", "1;1;1"] {
        assert_refused(raw(shaped(&signature, text), &[]), DecodeFault::WrongShape, &["the model has 2 inputs"]);
    }
    let signature = matrix();
    let error =
        assert_refused(raw(shaped(&signature, "2,9"), &[]), DecodeFault::WrongShape, &["dimension 1 must be 10"]);
    assert_eq!(error.got.as_deref(), Some("[2, 9]"));
}

#[test]
fn too_many_or_too_few_bytes_are_counted() {
    let signature = matrix();
    for length in [0, 39, 41] {
        for announced_bytes in [None, Some(length)] {
            let result = raw(Request { announced_bytes, ..shaped(&signature, "1,10") }, &vec![0; length]);
            let error = assert_refused(result, DecodeFault::Malformed, &["40"]);
            assert_eq!(error.expected.as_deref(), Some("40 bytes"));
        }
    }
}

#[test]
fn shapes_beyond_the_limits_take_no_memory() {
    let signature = identity(vec![any_shape("x", DType::F64)]);
    let refuse =
        |shape, words: &[&str]| assert_refused(raw(shaped(&signature, shape), &[]), DecodeFault::TooLarge, words);
    refuse("1099511627776,1099511627776", &["[1099511627776, 1099511627776]"]);
    refuse("1099511627776,1099511627776,0", &["too large"]);
    refuse("18446744073709551615,0", &["too large"]);
    refuse("65537,0", &["[65537, 0]", "no elements", "65536"]);
    refuse("0,65537", &["too large"]);
    assert_eq!(raw(shaped(&signature, "65536,0"), &[]).unwrap()[0].shape(), [65536, 0]);
    refuse("100001", &["100000 elements"]);

    let small = Request { max_bytes: 79, ..shaped(&signature, "10") };
    assert_refused(raw(small, &[]), DecodeFault::TooLarge, &["79 bytes"]);
    let announced = Request { announced_bytes: Some(72), ..shaped(&signature, "10") };
    assert_refused(raw(announced, &[0; 72]), DecodeFault::Malformed, &["80 bytes", "72"]);

    let ranks = vec!["1"; 65].join(",");
    assert_refused(raw(shaped(&signature, &ranks), &[0; 8]), DecodeFault::WrongShape, &["at most 64 dimensions"]);

    let two = identity(vec![any_shape("x", DType::Bool), any_shape("y", DType::Bool)]);
    assert_refused(raw(shaped(&two, "60000;60000"), &[]), DecodeFault::TooLarge, &["'y'", "together"]);

    let open = identity(vec![input("x", DType::U8, &["N"])]);
    let result = raw(Request { max_bytes: 10, ..request(&open) }, &[0; 11]);
    assert_refused(result, DecodeFault::TooLarge, &["10 bytes"]);
}

#[test]
fn a_bool_is_zero_or_one() {
    let signature = identity(vec![input("b", DType::Bool, &["4"])]);
    for cut in 0..=4 {
        let result = decode_in(Format::Raw, request(&signature), &[1, 0, 2, 1], [cut]);
        let error = assert_refused(result, DecodeFault::Malformed, &["element 2", "'b'"]);
        assert_eq!(error.got.as_deref(), Some("2"));
    }
}

#[test]
fn strings_are_bounded_and_text() {
    let signature = identity(vec![input("s", DType::String, &["2"])]);
    let claims = |announced_bytes| {
        let body = [&1u32.to_le_bytes()[..], b"a", &u32::MAX.to_le_bytes(), b"bc"].concat();
        let result = raw(Request { announced_bytes, ..request(&signature) }, &body);
        assert_refused(result, DecodeFault::Malformed, &["element 1", "4294967295 bytes"]);
    };
    claims(None);
    claims(Some(11));

    let bad = [&1u32.to_le_bytes()[..], b"a", &2u32.to_le_bytes(), b"\xc3\x28"].concat();
    assert_refused(raw(request(&signature), &bad), DecodeFault::Malformed, &["element 1", "UTF-8"]);

    let short = [&1u32.to_le_bytes()[..], b"a"].concat();
    assert_refused(raw(request(&signature), &short), DecodeFault::Malformed, &["1 of the 2 strings"]);

    let long = [&0u32.to_le_bytes()[..], &0u32.to_le_bytes(), b"x"].concat();
    assert_refused(raw(request(&signature), &long), DecodeFault::Malformed, &["goes on"]);
}
