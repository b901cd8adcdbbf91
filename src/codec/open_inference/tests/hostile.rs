//! Requests whose JSON lies about the bytes behind it, and others that must cost nothing.

use super::{Sent, decode, echo, joined, model, receive};
use crate::codec::DecodeFault;
use crate::codec::open_inference::{Answering, NoRegions, encode};
use crate::tensor::{Tensor, Value};

/// A request for `x`, with this shape and so many bytes.
fn head(datatype: &str, shape: &str, size: &str) -> String {
    let parameters = format!("\"parameters\":{{\"binary_data_size\":{size}}}");
    format!("{{\"inputs\":[{{\"name\":\"x\",\"datatype\":\"{datatype}\",\"shape\":{shape},{parameters}}}]}}")
}

#[test]
fn every_lie_about_bytes_is_found() {
    let model = echo("float32[N, 2]");
    for (shape, size, bytes, says) in [
        ("[1,2]", "8", 7, "8 bytes"),
        ("[1,2]", "8", 9, "8 bytes"),
        ("[1,2]", "8", 0, "8 bytes"),
        ("[1,2]", "4", 4, "takes 8 bytes; it has 4"),
        ("[1,2]", "16", 16, "takes 8 bytes; it has 16"),
        ("[1,2]", "0", 0, "takes 8 bytes; it has 0"),
        ("[0,2]", "0", 1, "0 bytes"),
        ("[1,2]", "-8", 8, "0 or more"),
        ("[1,2]", "8.0", 8, "0 or more"),
        ("[1,2]", "\"8\"", 8, "0 or more"),
        ("[1,2]", "18446744073709551616", 8, "0 or more"),
        ("[1,2]", "18446744073709551615", 8, "takes 8 bytes"),
        ("[4611686018427387904,2]", "8", 8, "too large"),
        ("[9223372036854775808,2]", "0", 0, "too large"),
        ("[100000000,2]", "800000000", 8, "800000000 bytes"),
        ("[-1,2]", "8", 8, "0 or more"),
        ("[1.5,2]", "8", 8, "0 or more"),
        ("[1]", "4", 4, "dimensions"),
        ("[1,3]", "12", 12, "must be 2"),
    ] {
        let (body, json_bytes) = joined(&head("FP32", shape, size), &vec![0; bytes]);
        let error = decode(&model, &body, json_bytes).expect_err(shape);
        assert!(error.message.contains(says), "{shape} {size} {bytes}: {}", error.message);
    }
    let (body, json_bytes) = joined(&head("FP32", "[1,2]", "4"), &[0; 4]);
    let error = decode(&model, &body, json_bytes).unwrap_err();
    assert_eq!(error.path.as_deref(), Some("$.inputs[0]"), "the place in the JSON, and not the input's name behind it");
}

#[test]
fn the_length_of_the_json_is_checked_like_any_other() {
    let model = echo("float32[N, 2]");
    let json = head("FP32", "[1,2]", "8");
    let (body, _) = joined(&json, &[0; 8]);
    for length in [1, json.len() - 1, json.len() + 1, body.len(), body.len() + 1, usize::MAX] {
        assert!(decode(&model, &body, Some(length)).is_err(), "{length}");
    }
    assert!(decode(&model, &body, None).is_err(), "without it, all is JSON");
    let error = decode(&model, json.as_bytes(), None).unwrap_err();
    assert!(error.message.contains("Inference-Header-Content-Length"), "{error}");
    assert!(decode(&model, &body, Some(json.len())).is_ok());
    // As the C++ client sends it: all of the body is JSON, and its length is told all the same.
    let plain = r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[1,2]}]}"#;
    assert!(decode(&model, plain.as_bytes(), Some(plain.len())).is_ok());
    assert!(decode(&model, format!("{plain}    ").as_bytes(), Some(plain.len())).is_err(), "leftovers");
}

#[test]
fn strings_fill_their_bytes_exactly() {
    let model = echo("string[N]");
    let good = b"\x02\0\0\0ab\0\0\0\0";
    let cases: [(&str, usize, &[u8], Option<&str>); 8] = [
        ("[2]", 10, good, None),
        ("[1]", 10, good, Some("take 6 of its 10 bytes")),
        ("[3]", 10, good, Some("2 of the 3 strings")),
        ("[2]", 9, &good[..9], Some("1 of the 2 strings")),
        ("[1]", 5, b"\xff\xff\xff\xff\xff", Some("claims 4294967295 bytes")),
        ("[1]", 5, b"\x01\0\0\0\xff", Some("UTF-8")),
        ("[0]", 0, b"", None),
        ("[0]", 4, b"\0\0\0\0", Some("take 0 of its 4 bytes")),
    ];
    for (shape, size, bytes, says) in cases {
        let (body, json_bytes) = joined(&head("BYTES", shape, &size.to_string()), bytes);
        match (decode(&model, &body, json_bytes), says) {
            (Ok(_), None) => {}
            (Err(error), Some(says)) => assert!(error.message.contains(says), "{shape}: {error}"),
            (got, says) => panic!("{shape} {bytes:?}: {got:?}, {says:?}"),
        }
    }
}

#[test]
fn elements_are_in_one_place_and_inputs_come_once() {
    let model = model(&[("x", "float32[N]"), ("b", "bool[N]")], &[("y", "float32[N]")]);
    let x = r#""name":"x","datatype":"FP32","shape":[1]"#;
    let b = r#"{"name":"b","datatype":"BOOL","shape":[1],"data":[true]}"#;
    for (inputs, says) in [
        (format!("{{{x}}},{b}"), "no elements"),
        (format!("{{{x},\"data\":[1],\"parameters\":{{\"binary_data_size\":4}}}},{b}"), "more than one place"),
        (
            format!(
                "{{{x},\"parameters\":{{\"binary_data_size\":4,\"shared_memory_region\":\"r\",\"shared_memory_byte_size\":4}}}},{b}"
            ),
            "more than one place",
        ),
        (
            format!("{{{x},\"parameters\":{{\"shared_memory_region\":\"r\",\"shared_memory_byte_size\":4}}}},{b}"),
            "no shared memory",
        ),
        (format!("{{{x},\"data\":[1]}}"), "'b'"),
        (b.to_owned(), "'x'"),
        (format!("{b},{b}"), "twice"),
        (format!("{{\"name\":\"z\",\"datatype\":\"FP32\",\"shape\":[1],\"data\":[1]}},{b}"), "no input 'z'"),
        (format!("{{{x},\"data\":[1,2]}},{b}"), "1"),
        (format!("{{{x},\"data\":[]}},{b}"), "1"),
        (format!("{{{x},\"data\":[[[1]]]}},{b}"), "nested"),
    ] {
        let error = decode(&model, format!("{{\"inputs\":[{inputs}]}}").as_bytes(), None).expect_err(&inputs);
        assert!(error.message.contains(says), "{inputs}: {}", error.message);
    }
}

#[test]
fn deep_and_long_texts_end_where_they_must() {
    let model = echo("float32[N]");
    let deep = format!("{{\"id\":{}", "[".repeat(100_000));
    assert_eq!(decode(&model, deep.as_bytes(), None).unwrap_err().fault, DecodeFault::Malformed);
    let ranks = format!("[{}1]", "1,".repeat(100_000));
    let (body, json_bytes) = joined(&head("FP32", &ranks, "4"), &[0; 4]);
    assert!(decode(&model, &body, json_bytes).unwrap_err().message.contains("at most 64 dimensions"));
}

#[test]
fn no_change_of_a_byte_does_harm() {
    let model = model(&[("x", "float32[N]"), ("s", "string[N]")], &[("x_", "float32[N]"), ("s_", "string[N]")]);
    let json = concat!(
        r#"{"id":"1","parameters":{"binary_data_output":true},"inputs":[{"name":"s","shape":[2],"datatype":"BYTES","#,
        r#""parameters":{"binary_data_size":11}},{"name":"x","shape":[2],"datatype":"FP32","data":[1,2.5]}]}"#,
    );
    let (body, json_bytes) = joined(json, b"\x03\0\0\0abc\0\0\0\0");
    assert!(decode(&model, &body, json_bytes).is_ok());
    for at in 0..body.len() {
        for byte in [0, b'"', b'9', b'{', 0xff] {
            let mut body = body.clone();
            body[at] = byte;
            let sent = Sent { body: &body, json_bytes, is_announced: at % 2 == 0, piece_bytes: 5 };
            // Whatever it is now: no panic, and nothing that does not fit the model.
            if let Ok(request) = receive(&model, sent) {
                assert_eq!(request.inputs.iter().map(Tensor::len).sum::<usize>(), 4);
                let values = request.inputs.into_iter().map(Value::Tensor).collect();
                let answering =
                    Answering { model_name: "m", model_version: 1, id: &request.id, signature: &model, labels: &[] };
                let policy = crate::codec::json::tests::POLICY;
                encode(values, &request.wanted, &answering, &policy, &NoRegions).expect("tensors can be written");
            }
        }
    }
}
