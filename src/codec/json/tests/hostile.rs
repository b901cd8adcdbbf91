//! Bodies that are wrong in every way: never a panic, bounded work, and a message that says where and why.

use super::random::Random;
use super::{POLICY, decode, decode_with, signature};
use crate::codec::{DecodeError, DecodeFault, NullInput, Policy};
use crate::tensor::{Signature, Tensor};

fn matrix() -> Signature {
    signature(&[("x", "float32[N, 3]")])
}

#[track_caller]
fn refused(model: &Signature, body: impl AsRef<[u8]>, fault: DecodeFault, says: &str) -> DecodeError {
    let error = decode(model, body.as_ref()).expect_err("the body is wrong");
    assert_eq!(error.fault, fault, "{error}");
    assert!(error.message.contains(says), "{error}");
    assert!(error.message.len() < 1_000, "{} bytes", error.message.len());
    assert!(error.path.as_deref().is_some_and(|path| path.starts_with('$')), "{:?}", error.path);
    error
}

#[test]
fn nesting_is_followed_64_deep() {
    let any = signature(&[("x", "float32[…]")]);
    let nested = |depth: usize| format!("{{\"data\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(decode(&any, nested(63)).expect("63 and the object").inputs[0].shape(), [1; 63]);
    refused(&any, nested(64), DecodeFault::Malformed, "more than 64 levels deep");
    refused(&any, nested(100_000), DecodeFault::Malformed, "more than 64 levels deep");
    refused(&matrix(), nested(100_000), DecodeFault::Malformed, "more than 64 levels deep");
    refused(&matrix(), "[".repeat(10_000_000), DecodeFault::Malformed, "more than 64 levels deep");
    refused(&matrix(), format!("{{\"data\":{}", "[".repeat(10_000_000)), DecodeFault::Malformed, "64 levels deep");
    refused(&matrix(), "{\"a\":".repeat(100_000), DecodeFault::Malformed, "64 levels deep");
    refused(
        &matrix(),
        format!("{{\"data\":[[1,2,3]],\"z\":{}", "[{\"a\":".repeat(50_000)),
        DecodeFault::Malformed,
        "64",
    );
}

#[test]
fn long_numbers_are_read_in_one_pass() {
    let digits = "7".repeat(1_000_000);
    let error = refused(&matrix(), format!("{{\"data\":[[1,{digits},3]]}}"), DecodeFault::LossyNumber, "is too large");
    assert_eq!(error.path.as_deref(), Some("$.data[0][1]"));
    let fraction = format!("{{\"data\":[[1,0.{digits},3]]}}");
    let Tensor::F32(array) = &decode(&matrix(), fraction).expect("valid").inputs[0] else { panic!("float32") };
    assert_eq!(array[[0, 1]], 7.0 / 9.0);
    for (exponent, value) in [("1e-999999999999", Some(0.0)), ("0e999999999999", Some(0.0)), ("1e999999999999", None)] {
        let body = format!("{{\"data\":[[1,{exponent},3]]}}");
        match (decode(&matrix(), &body), value) {
            (Ok(decoded), Some(value)) => {
                let Tensor::F32(array) = &decoded.inputs[0] else { panic!("float32") };
                assert_eq!(array[[0, 1]], value);
            }
            (Err(error), None) => assert_eq!(error.fault, DecodeFault::LossyNumber),
            (got, _) => panic!("{exponent}: {got:?}"),
        }
    }
}

/// One valid body of each form, for tests that damage them.
const BODIES: [&str; 8] = [
    r#"{"data": [[1, 2.5, -3e1], [0.25, 5, 60000]]}"#,
    r#"{"x": [[1.25,2,3]] }"#,
    r#"{"a": [1, 20, 255], "b": ["p", "q\n", "\u00e9\ud83d\ude00"], "c": [true, false, true]}"#,
    r#"{"dataframe_split": {"columns": ["b", "a", "c"], "index": [0, 1], "data": [["p", 1, true], ["é", 2, false]]}}"#,
    r#"{"dataframe_records": [{"a": 1, "b": "p", "c": true}, {"c": false, "b": "q", "a": 2.0}]}"#,
    r#"{"instances": [{"a": 1, "b": "p", "c": true}]}"#,
    r#"{"Inputs": {"data": [[1, 2, 3]]}, "GlobalParameters": {"a": [null, {}, -0.5e-3]}}"#,
    r#"{"input_data": {"index": [0], "data": [[1, 2, 3]], "columns": ["u", "v", "w"]}}"#,
];

fn models() -> [Signature; 2] {
    [matrix(), signature(&[("a", "uint8[N]"), ("b", "string[N]"), ("c", "bool[N]")])]
}

fn model_of(body: &str) -> Signature {
    let [matrix, columns] = models();
    if decode(&matrix, body).is_ok() { matrix } else { columns }
}

#[test]
fn a_body_cut_anywhere_is_malformed() {
    for body in BODIES {
        let model = model_of(body);
        decode(&model, body).expect(body);
        for cut in 0..body.trim_end().len() {
            let error = decode(&model, &body.as_bytes()[..cut]).expect_err("cut short");
            assert_eq!(
                error.fault,
                DecodeFault::Malformed,
                "{}: {error}",
                &String::from_utf8_lossy(&body.as_bytes()[..cut])
            );
        }
    }
}

/// Whatever happens to the bytes, nothing panics, and what is still accepted is JSON in serde_json's eyes too.
#[test]
fn damaged_bodies_are_refused_or_valid() {
    let mut random = Random::new(21);
    let models = models();
    let alphabet = br#"{}[]",:.-+eE0123456789 \ntfun/u"#;
    let mut accepted = 0;
    for round in 0..50_000 {
        let mut body = random.pick::<str>(&BODIES).as_bytes().to_vec();
        for _ in 0..1 + random.below(3) {
            let at = random.below(body.len());
            let byte = if random.chance(80) { alphabet[random.below(alphabet.len())] } else { random.bits() as u8 };
            match random.below(4) {
                0 => body[at] = byte,
                1 => body.insert(at, byte),
                2 => drop(body.remove(at)),
                _ => {
                    let end = (at + random.below(12)).min(body.len());
                    let piece = body[at..end].to_vec();
                    body.splice(at..at, piece);
                }
            }
        }
        let null_input = if round % 2 == 0 { NullInput::NaN } else { NullInput::Reject };
        for model in &models {
            if decode_with(model, Policy { null_input, ..POLICY }, &body).is_ok() {
                accepted += 1;
                let theirs = serde_json::from_slice::<serde_json::Value>(&body);
                let text = String::from_utf8_lossy(&body);
                // In a part that nobody reads, a number of any size is JSON.
                let huge = theirs.as_ref().is_err_and(|error| error.to_string().contains("number out of range"));
                assert!(theirs.is_ok() || huge, "{text}: {theirs:?}");
            }
        }
    }
    assert!(accepted > 2_000, "only {accepted} bodies survived, which tests little");
}

#[test]
fn rows_that_differ_are_named() {
    let any = signature(&[("x", "float32[…]")]);
    for (body, path, says) in [
        ("[[1,2],[3]]", "$.data[1]", "the first such list has 2 items, this has 1"),
        ("[[1],[2,3]]", "$.data[1]", "the first such list has 1 item, this has 2"),
        ("[[1],[]]", "$.data[1]", "has 1 item, this has 0"),
        ("[[],[1]]", "$.data[1]", "has 0 items, this has 1"),
        ("[[1],2]", "$.data[1]", "expected a list of elements here"),
        ("[1,[2]]", "$.data[1]", "nested deeper than its neighbours"),
        ("[[1],[[2]]]", "$.data[1][0]", "nested deeper than its neighbours"),
        ("[[[1,2],[3,4]],[[5,6]]]", "$.data[1]", "has 2 items, this has 1"),
        ("[[[1,2],[3,4]],[[5,6],[7]]]", "$.data[1][1]", "has 2 items, this has 1"),
        ("[[[1,2],[3,4]],[[5,6],7]]", "$.data[1][1]", "expected a list of elements here"),
        ("[[],[[]]]", "$.data[1]", "has 0 items, this has 1"),
    ] {
        let error = refused(&any, format!("{{\"data\":{body}}}"), DecodeFault::WrongShape, says);
        assert_eq!(error.path.as_deref(), Some(path), "{body}");
    }
    let deep = format!("{{\"data\":[[1,2,3],[{}]]}}", "1,".repeat(1_000_000) + "1");
    refused(&matrix(), deep, DecodeFault::WrongShape, "dimension 1 must be 3, this has 1000001");
}

#[test]
fn types_are_not_converted() {
    for (dtype, value, says) in [
        ("float32", "\"7\"", "expected float32, got string \"7\": numbers are written without quotes"),
        ("float32", "true", "expected float32, got true"),
        ("int64", "false", "expected int64, got false"),
        ("int64", "null", "only float inputs have a value for null"),
        ("bool", "1", "expected bool, got number 1: write true or false"),
        ("bool", "\"true\"", "expected bool, got string \"true\""),
        ("string", "7", "expected string, got number 7"),
        ("string", "null", "only float inputs"),
        ("float32", "{}", "expected float32, got an object: {}"),
    ] {
        let model = signature(&[("my input", &format!("{dtype}[N]"))]);
        let good = match dtype {
            "bool" => "true",
            "string" => "\"s\"",
            _ => "1",
        };
        let body = format!("{{\"my input\":[{good}, {value}]}}");
        let error = refused(&model, body, DecodeFault::WrongType, says);
        assert_eq!(error.path.as_deref(), Some("$[\"my input\"][1]"));
        assert_eq!(error.expected.as_deref(), Some(dtype));
    }
}

#[test]
fn null_is_nan_where_the_endpoint_says_so() {
    let policy = Policy { null_input: NullInput::NaN, ..POLICY };
    let decoded = decode_with(&matrix(), policy, b"{\"data\":[[1,null,3], [null,null , null]]}").expect("allowed");
    let Tensor::F32(array) = &decoded.inputs[0] else { panic!("float32") };
    assert_eq!(array.iter().filter(|value| value.is_nan()).count(), 4);
    let integers = signature(&[("x", "int64[N]")]);
    let error = decode_with(&integers, policy, b"{\"data\":[null]}").expect_err("no integer");
    assert_eq!(error.fault, DecodeFault::WrongType);
    let error = decode_with(&matrix(), policy, b"{\"data\":[[1,nul,3]]}").expect_err("no JSON");
    assert_eq!(error.fault, DecodeFault::Malformed);
}

#[test]
fn text_is_unicode_and_escapes_are_resolved() {
    let strings = signature(&[("t\"\u{e9}", "string[N]")]);
    let body = r#"{"\u0074\"\u00E9": ["\u0000", "\ud83d\ude00", "\"\\\/\b\f\n\r\t", "", "plain", "exactly8", "é😀"]}"#;
    let Tensor::String(array) = &decode(&strings, body).expect("valid").inputs[0] else { panic!("strings") };
    let expected = ["\0", "😀", "\"\\/\u{8}\u{c}\n\r\t", "", "plain", "exactly8", "é😀"];
    assert!(array.iter().eq(expected), "{array:?}");

    let model = signature(&[("x", "string[N]")]);
    for (text, says) in [
        (&br#"\ud83d"#[..], "half of a surrogate pair"),
        (br#"\ude00"#, "half of a surrogate pair"),
        (br#"\ud83d\u0041"#, "half of a surrogate pair"),
        (br#"\ud83dx"#, "half of a surrogate pair"),
        (br#"\x41"#, "unknown escape"),
        (br#"\u12g4"#, "four hex digits"),
        (br#"\u+123"#, "four hex digits"),
        (b"\xff", "not valid UTF-8"),
        (b"\xc0\xaf", "not valid UTF-8"),
        (b"\xed\xa0\x80", "not valid UTF-8"),
        (b"a\nb", "control character"),
        (b"12345678\x1f", "control character"),
    ] {
        let in_value = [&b"{\"x\":[\"ok\", \""[..], text, b"\"]}"].concat();
        let error = refused(&model, &in_value, DecodeFault::Malformed, says);
        assert_eq!(error.path.as_deref(), Some("$.x[1]"));
        let in_key = [&b"{\""[..], text, b"\": 1}"].concat();
        refused(&model, &in_key, DecodeFault::Malformed, says);
        let in_ignored = [&b"{\"data\":[\"ok\"],\"other\":[\""[..], text, b"\"]}"].concat();
        refused(&model, &in_ignored, DecodeFault::Malformed, says);
    }
}

#[test]
fn the_syntax_is_json_s() {
    for (body, says) in [
        ("{\"data\":[[1,2,3],]}", "no trailing commas"),
        ("{\"data\":[[1,2,3,]]}", "no trailing commas"),
        ("{\"data\":[[1,2,3]],}", "expected a key in double quotes"),
        ("{\"data\":[[1 2,3]]}", "expected ',' or ']'"),
        ("{\"data\" [[1,2,3]]}", "expected ':'"),
        ("{data:[[1,2,3]]}", "expected a key in double quotes"),
        ("{'data':[[1,2,3]]}", "expected a key in double quotes"),
        ("{\"data\":[[1,2,3]]} x", "more after the end"),
        ("{\"data\":[[1,2,3]]}{}", "more after the end"),
        ("{\"data\":[[1,2,3]] // no\n}", "expected ',' or '}'"),
        ("{\"data\":/* no */[[1,2,3]]}", "no comments"),
        ("{\"data\":[[1,2,NaN]]}", "JSON has no NaN"),
        ("{\"data\":[[1,2,-Infinity]]}", "JSON has no NaN or infinity"),
        ("{\"data\":[[1,2,None]]}", "true, false and null"),
        ("{\"data\":[[1,2,True]]}", "true, false and null"),
        ("{\"data\":[[1,2,01]]}", "leading zero"),
        ("{\"data\":[[1,2,+1]]}", "must not start with '+'"),
        ("{\"data\":[[1,2,.5]]}", "must not start with '.'"),
        ("{\"data\":[[1,2,1.]]}", "a number is incomplete"),
        ("{\"data\":[[1,2,1.5.5]]}", "a number is incomplete"),
        ("{\"data\":[[1,2,\u{a0}3]]}", "expected a value, found the byte 0xc2"),
        ("{\"data\":[[1,2,3]],\"a\":{\"b\":1,\"b\":2}}", "the key 'b' is given twice"),
        ("{\"data\":[[1,2,3]],\"a\":{\"b\":1,\"\\u0062\":2}}", "the key 'b' is given twice"),
        ("{\"data\":[[1,2,3]],\"a\":tru}", "expected a value"),
        ("nonsense", "expected a value"),
        ("[1,2", "expected ',' or ']'"),
    ] {
        refused(&matrix(), body, DecodeFault::Malformed, says);
    }
    let error = refused(&matrix(), "{\"data\":\n [[1,2,x]]}", DecodeFault::Malformed, "at line 2, column 8:");
    assert_eq!(error.path.as_deref(), Some("$.data[0][2]"));
}

#[test]
fn many_keys_are_compared_in_linear_time() {
    let keys: Vec<String> = (0..200_000).map(|key| format!("\"k{key}\":0")).collect();
    let body = format!("{{\"data\":[[1,2,3]],{}}}", keys.join(","));
    decode(&matrix(), &body).expect("all keys differ");
    refused(&matrix(), body.replace("\"k199999\"", "\"k77777\""), DecodeFault::Malformed, "'k77777' is given twice");
}

#[test]
fn elements_are_limited_over_all_inputs() {
    let model = signature(&[("a", "int64[N]"), ("b", "int64[N]")]);
    let policy = Policy { max_elements: 5, ..POLICY };
    decode_with(&model, policy, b"{\"a\":[1,2],\"b\":[1,2,3]}").expect("five");
    for body in [
        "{\"a\":[1,2,3],\"b\":[1,2,3]}",
        "{\"a\":[1,2,3,4,5,6],\"b\":[]}",
        "{\"instances\":[{\"a\":1,\"b\":1},{\"a\":1,\"b\":1},{\"a\":1,\"b\":1}]}",
        "{\"dataframe_split\":{\"columns\":[\"a\",\"b\"],\"data\":[[1,1],[1,1],[1,1]]}}",
    ] {
        let error = decode_with(&model, policy, body.as_bytes()).expect_err("six");
        assert_eq!(error.fault, DecodeFault::TooLarge, "{body}: {error}");
        assert!(error.message.contains("more than 5 elements"), "{error}");
    }
}
