//! Archives whose directory or header lies: `.npz` and safetensors.

use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::fixtures::{named_arrays, named_tensors, one};
use super::*;

fn archive(method: CompressionMethod, members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(method);
    for (name, bytes) in members {
        writer.start_file(name.to_string(), options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn stored(members: &[(&str, &[u8])]) -> Vec<u8> {
    archive(CompressionMethod::Stored, members)
}

fn npz(signature: &Signature, body: &[u8]) -> Result<Vec<Tensor>, DecodeError> {
    decode(Format::Npz, signature, body)
}

/// A safetensors file.
fn file(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
}

fn safetensors(signature: &Signature, header: &str, data: &[u8]) -> Result<Vec<Tensor>, DecodeError> {
    decode(Format::Safetensors, signature, &file(header, data))
}

#[test]
fn members_are_the_inputs() {
    let array = fixture!("float32.npy");
    let two = identity(vec![any_shape("a", DType::F32), any_shape("b", DType::F32)]);
    let refuse = |body: &[u8], words: &[&str]| assert_refused(npz(&two, body), DecodeFault::WrongInputs, words);

    refuse(&stored(&[("a.npy", array)]), &["'b' (float32[…]) is missing", "np.savez(file, **{\"b\": array})"]);
    refuse(&stored(&[("a.npy", array), ("c.npy", array)]), &["no input 'c'", "'a', 'b'"]);
    refuse(&stored(&[("a.npy", array), ("arr_0.npy", array)]), &["no input 'arr_0'"]);
    refuse(&stored(&[("a.npy", array), ("b", array)]), &["with .npy at the end"]);
    refuse(&stored(&[]), &["missing"]);

    let both = stored(&[("x.npy", array), ("arr_0.npy", array)]);
    assert_refused(npz(&one(DType::F32), &both), DecodeFault::WrongInputs, &["'x' is given twice"]);

    // The writer refuses two files of one name, so the second is renamed in its bytes.
    let mut twice = stored(&[("a.npy", array), ("b.npy", array)]);
    for at in memchr::memmem::find_iter(&twice.clone(), b"b.npy") {
        twice[at] = b'a';
    }
    refuse(&twice, &["two files of the same name"]);
}

#[test]
fn an_error_in_a_member_names_it() {
    let body = stored(&[("x.npy", fixture!("float64.npy"))]);
    let error = assert_refused(npz(&one(DType::F32), &body), DecodeFault::WrongType, &[".astype(np.float32)"]);
    assert_eq!(error.path.as_deref(), Some("x.npy"));

    let mut damaged = stored(&[("x.npy", fixture!("float32.npy"))]);
    let at = memchr::memmem::find(&damaged, b"\x93NUMPY").unwrap() + fixture!("float32.npy").len() - 1;
    damaged[at] ^= 1;
    let error = assert_refused(npz(&one(DType::F32), &damaged), DecodeFault::Malformed, &["'x.npy'", "damaged"]);
    assert_eq!(error.path.as_deref(), Some("x.npy"));
}

#[test]
fn encrypted_and_exotic_members_are_refused() {
    let body = fixture!("unnamed.npz");
    let directory = memchr::memmem::find(body, b"PK\x01\x02").unwrap();

    let mut encrypted = body.to_vec();
    encrypted[directory + 8] |= 1;
    assert_refused(npz(&one(DType::F32), &encrypted), DecodeFault::Malformed, &["arr_0.npy", "encrypted"]);

    let mut exotic = body.to_vec();
    exotic[directory + 10] = 12;
    assert_refused(npz(&one(DType::F32), &exotic), DecodeFault::Malformed, &["arr_0.npy", "compressed by"]);
}

#[test]
fn what_is_no_archive_is_recognized() {
    let cases: [(&[u8], &str); 4] = [
        (fixture!("float32.npy"), "application/x-npy"),
        (b"{\"x\": 1}", "application/json"),
        (b"", "numpy.savez"),
        (b"PK\x05\x06", "numpy.savez"),
    ];
    for (body, word) in cases {
        assert_refused(npz(&one(DType::F32), body), DecodeFault::Malformed, &[word]);
    }
}

#[test]
fn bombs_do_not_unfold() {
    let zeros = vec![0; 64 * MAX_BYTES];
    let bomb = archive(CompressionMethod::Deflated, &[("x.npy", &zeros)]);
    assert!(bomb.len() < MAX_BYTES);
    assert_refused(npz(&one(DType::F64), &bomb), DecodeFault::Malformed, &["numpy.save"]);

    let header = |shape: &str| {
        let literal = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({shape},), }}");
        [b"\x93NUMPY\x01\x00", &(literal.len() as u16).to_le_bytes()[..], literal.as_bytes()].concat()
    };
    let roomy = |signature| Request { policy: Policy { max_elements: usize::MAX, ..POLICY }, ..request(signature) };
    let long = [header("8388608"), zeros.clone()].concat();
    let long = archive(CompressionMethod::Deflated, &[("x.npy", &long)]);
    let signature = one(DType::F64);
    let result = decode_in(Format::Npz, roomy(&signature), &long, []);
    assert_refused(result, DecodeFault::TooLarge, &["1048576 bytes"]);

    let trailing = [header("1"), zeros.clone()].concat();
    let trailing = archive(CompressionMethod::Deflated, &[("x.npy", &trailing)]);
    assert_refused(npz(&signature, &trailing), DecodeFault::Malformed, &["goes on"]);

    // Each fits, both together do not.
    let half = [header("100000"), zeros[..800_000].to_vec()].concat();
    let halves = archive(CompressionMethod::Deflated, &[("a.npy", &half), ("b.npy", &half)]);
    let two = identity(vec![any_shape("a", DType::F64), any_shape("b", DType::F64)]);
    let result = decode_in(Format::Npz, roomy(&two), &halves, []);
    assert_refused(result, DecodeFault::TooLarge, &["'b'", "together"]);
}

#[test]
fn archives_of_many_files_or_bytes_are_refused() {
    let names: Vec<String> = (0..5000).map(|i| i.to_string()).collect();
    let members: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    let body = stored(&members);
    assert_refused(npz(&one(DType::F32), &body), DecodeFault::Malformed, &["more than 4096 files"]);

    let signature = one(DType::F32);
    let result = decode_in(Format::Npz, Request { max_bytes: 10, ..request(&signature) }, &[0; 11], []);
    assert_refused(result, DecodeFault::TooLarge, &["10 bytes"]);
}

#[test]
fn mixed_types_in_an_archive_need_their_own_inputs() {
    let mut signature = named_arrays();
    signature.inputs[2].dtype = DType::F32;
    let result = npz(&signature, fixture!("named.npz"));
    let error = assert_refused(result, DecodeFault::WrongType, &["'naïve' takes float32", "<U2"]);
    assert_eq!(error.path.as_deref(), Some("naïve.npy"));
}

#[test]
fn safetensors_headers_have_a_limit() {
    for length in [1 << 40, u64::MAX, (1 << 20) + 1] {
        let result = decode(Format::Safetensors, &one(DType::F32), &length.to_le_bytes());
        let error = assert_refused(result, DecodeFault::Malformed, &["at most 1048576"]);
        assert_eq!(error.got, Some(format!("{length} bytes")));
    }
}

#[test]
fn safetensors_headers_must_be_exact() {
    let entry = r#"{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#;
    let deep = format!("{{\"x\":{}1{}}}", "[".repeat(200_000), "]".repeat(200_000));
    for header in [
        "",
        " {}",
        "[]",
        "{",
        "{\"x\":1}",
        &format!("{{\"x\":{entry}}} x"),
        &deep,
        r#"{"x":{"dtype":"F32","shape":[1]}}"#,
        r#"{"x":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#,
        r#"{"x":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}"#,
        r#"{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}"#,
        r#"{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"more":1}}"#,
        r#"{"x":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
        &format!(r#"{{"__metadata__":{{"a":1}},"x":{entry}}}"#),
        &format!(r#"{{"__metadata__":{{}},"__metadata__":{{}},"x":{entry}}}"#),
        &format!("{{\"x\":{entry},}}"),
    ] {
        let result = safetensors(&one(DType::F32), header, &[0; 4]);
        assert_refused(result, DecodeFault::Malformed, &["header of the safetensors file"]);
    }
    let twice = format!("{{\"x\":{entry},\"x\":{entry}}}");
    assert_refused(safetensors(&one(DType::F32), &twice, &[0; 4]), DecodeFault::WrongInputs, &["'x' is given twice"]);
}

#[test]
fn tensors_must_cover_the_data_once() {
    let two = identity(vec![any_shape("a", DType::F32), any_shape("b", DType::F32)]);
    let place = |a: &str, b: &str| {
        let header = format!(
            r#"{{"a":{{"dtype":"F32","shape":[1],"data_offsets":[{a}]}},"b":{{"dtype":"F32","shape":[1],"data_offsets":[{b}]}}}}"#
        );
        safetensors(&two, &header, &[0; 12])
    };
    assert_refused(place("0,4", "2,6"), DecodeFault::Malformed, &["'b' overlaps"]);
    assert_refused(place("0,4", "0,4"), DecodeFault::Malformed, &["'b' overlaps"]);
    assert_refused(place("0,4", "8,12"), DecodeFault::Malformed, &["'b' leaves a hole"]);
    assert_refused(place("4,8", "8,12"), DecodeFault::Malformed, &["'a' leaves a hole", "not at 0"]);
    assert_refused(place("4,0", "0,4"), DecodeFault::Malformed, &["before it begins"]);
    assert_refused(place("0,8", "8,12"), DecodeFault::Malformed, &["takes 4 bytes", "span 8"]);
    assert_refused(place("0,4", "4,8"), DecodeFault::Malformed, &["goes on"]);
    let error = assert_refused(place("0,18446744073709551615", "4,8"), DecodeFault::Malformed, &["takes 4 bytes"]);
    assert_eq!(error.path.as_deref(), Some("a"));
}

#[test]
fn safetensors_must_match_the_inputs() {
    let header = |dtype: &str, shape: &str, end: usize| {
        format!(r#"{{"x":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[0,{end}]}}}}"#)
    };
    let signature = identity(vec![input("x", DType::F32, &["N", "10"])]);
    let refuse =
        |header: String, fault, words: &[&str]| assert_refused(safetensors(&signature, &header, &[]), fault, words);
    let error = refuse(header("F64", "[1,10]", 80), DecodeFault::WrongType, &["convert the tensor to float32"]);
    assert_eq!((error.expected.as_deref(), error.got.as_deref()), (Some("float32"), Some("float64")));
    refuse(header("F8_E4M3", "[1,10]", 10), DecodeFault::WrongType, &["F8_E4M3"]);
    let error = refuse(header("F32", "[2,9]", 72), DecodeFault::WrongShape, &["dimension 1 must be 10, got 9"]);
    assert_eq!((error.expected.as_deref(), error.got.as_deref()), (Some("float32[N, 10]"), Some("[2, 9]")));
    refuse(header("F32", "[1844674407370955162,10]", 0), DecodeFault::TooLarge, &["memory"]);
    refuse(header("F32", "[20000,10]", 800_000), DecodeFault::TooLarge, &["100000 elements"]);

    let body = fixture!("named.safetensors");
    let mut fewer = named_tensors();
    fewer.inputs.remove(1);
    assert_refused(
        decode(Format::Safetensors, &fewer, body),
        DecodeFault::WrongInputs,
        &["no input 'ids'", "'mask', 'x'"],
    );
    let mut more = named_tensors();
    more.inputs.push(any_shape("extra", DType::U8));
    assert_refused(
        decode(Format::Safetensors, &more, body),
        DecodeFault::WrongInputs,
        &["'extra' (uint8[…]) is missing"],
    );
}

#[test]
fn safetensors_cannot_carry_strings() {
    let result = decode(Format::Safetensors, &one(DType::String), &[]);
    assert_refused(result, DecodeFault::WrongType, &["'x'", "application/json", "application/x-npz"]);
}

#[test]
fn refusals_do_not_repeat_long_names() {
    let name = "n".repeat(60_000);
    let header = format!(r#"{{"{name}":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}}}"#);
    let dtype = format!(r#"{{"x":{{"dtype":"{name}","shape":[1],"data_offsets":[0,4]}}}}"#);
    let field = format!(r#"{{"x":{{"{name}":1}}}}"#);
    let signature = one(DType::F32);
    let results = [
        npz(&signature, &stored(&[(&name, b"")])),
        safetensors(&signature, &header, &[]),
        safetensors(&signature, &dtype, &[]),
        safetensors(&signature, &field, &[]),
        decode_in(Format::Raw, Request { raw_shape: Some(&name), ..request(&signature) }, &[], []),
    ];
    for result in results {
        let error = result.expect_err("no such name");
        let length = format!("{error:?}").len();
        assert!(length < 2000, "{length} bytes");
    }
}
