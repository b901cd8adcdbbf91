//! Every remedy that names a value is followed, and what comes of it is taken.

use super::{decode, signature};
use crate::codec::DecodeFault;

/// The text after the last `: ` or `such as ` of a message: what it says to send.
fn proposed(message: &str) -> &str {
    let (_, proposal) = message.rsplit_once("such as ").or_else(|| message.rsplit_once(": ")).expect("a proposal");
    proposal
}

#[test]
fn a_proposed_nesting_is_taken() {
    for (kind, value, proposal) in [
        ("float32[?, 1]", "[1, 2, 3]", "[[1], [2], [3]]"),
        ("float32[N, 3]", "[1, 2, 3]", "[[1, 2, 3]]"),
        ("float32[N, 3]", "1", "[[0.0, 0.0, 0.0]]"),
        ("float32[N, M]", "[1, 2, 3]", "[[1, 2, 3]]"),
        ("float32[N, 1]", "7", "[[7]]"),
        ("float32[N]", "7", "[7]"),
        ("float32[N]", "[[1], [2]]", "[1, 2]"),
        ("float32[N]", "[[1, 2]]", "[1, 2]"),
        ("float32[N]", "[[1, 2], [3, 4]]", "[0.0]"),
        ("float32[]", "[5]", "5"),
        ("float32[]", "[5, 6]", "0.0"),
        ("float32[N, 2]", "[[[1, 2]], [[3, 4]]]", "[[1, 2], [3, 4]]"),
        ("float32[N, 1, 2]", "[[1, 2], [3, 4]]", "[[[1, 2]], [[3, 4]]]"),
        ("float32[N, 2, 1]", "[[1, 2], [3, 4]]", "[[[1], [2]], [[3], [4]]]"),
        ("float32[N, 3, 1]", "[1, 2, 3]", "[[[1], [2], [3]]]"),
        ("string[N, 1]", "[\"a\", \"b\"]", "[[\"a\"], [\"b\"]]"),
        ("bool[N, 1]", "[true, false]", "[[true], [false]]"),
        ("int64[3, 1]", "[1, 2, 3]", "[[1], [2], [3]]"),
        ("int64[N, 4]", "[1, 2]", "[[0, 0, 0, 0]]"),
        ("int64[N, 2]", "[[[1, 2], [3]]]", "[[0, 0]]"),
    ] {
        let model = signature(&[("a", kind)]);
        for body in [format!("{{\"a\": {value}}}"), format!("{{\"data\": {value}}}")] {
            let error = decode(&model, &body).expect_err(&body);
            assert_eq!(error.fault, DecodeFault::WrongShape, "{body}: {error}");
            assert_eq!(proposed(&error.message), proposal, "{kind}: {error}");
            let mended = body.replacen(value, proposed(&error.message), 1);
            decode(&model, &mended).unwrap_or_else(|error| panic!("{kind}: {body} became {mended}: {error}"));
        }
    }
}

#[test]
fn long_values_are_shortened() {
    let model = signature(&[("a", "float32[N, 1]")]);
    let error = decode(&model, format!("{{\"a\": [{}0]}}", "123456789012345678901234, ".repeat(99))).expect_err("flat");
    assert!(
        error.message.ends_with(
            "put each value into a list of its own: [[12345678901234567890…], [12345678901234567890…], \
        [12345678901234567890…], [12345678901234567890…], …]"
        ),
        "{error}"
    );
    assert!(error.message.len() < 400, "{error}");
}

#[test]
fn named_columns_bound_the_proposal() {
    let model = signature(&[("a", "float32[N, M]")]);
    let body = "{\"dataframe_split\": {\"columns\": [\"x\", \"y\"], \"data\": [1, 2]}}";
    let error = decode(&model, body).expect_err("flat");
    let mended = body.replacen("[1, 2]", proposed(&error.message), 1);
    assert_eq!(decode(&model, &mended).expect(&mended).inputs[0].shape(), [1, 2]);
}

#[test]
fn other_remedies_are_followed_by_hand() {
    for (kind, bad, words, good) in [
        ("float32[N]", "{\"a\": [\"1\"]}", "numbers are written without quotes", "{\"a\": [1]}"),
        ("bool[N]", "{\"a\": [1]}", "write true or false", "{\"a\": [true]}"),
        ("string[N]", "{\"a\": [null]}", "an empty text is written \"\"", "{\"a\": [\"\"]}"),
        ("float32[N]", "{\"b\": [1]}", "the model's only input is 'a' float32[N]", "{\"a\": [1]}"),
        ("float32[N]", "[1]", "send {\"data\": …} or {\"a\": …}", "{\"data\": [1]}"),
        ("float32[N]", "{}", "send {\"data\": …} or {\"a\": …}", "{\"a\": [1]}"),
        ("float32[N]", "", "send {\"data\": …} or {\"a\": …}", "{\"a\": [1]}"),
        ("float32[N]", "{\"a\": [01]}", "leading zero", "{\"a\": [1]}"),
        ("float32[N]", "{\"a\": [1.]}", "digits before and after", "{\"a\": [1.0]}"),
        ("string[N]", "{\"a\": [\"\n\"]}", "write it as an escape such as \\n", "{\"a\": [\"\\n\"]}"),
        (
            "float32[N]",
            "{\"dataframe_split\": {\"data\": [[1]]}}",
            "add \"columns\"",
            "{\"dataframe_split\": {\"columns\": [\"a\"], \"data\": [[1]]}}",
        ),
        ("float32[N]", "{\"inputs\": [{\"a\": 1}]}", "goes under \"instances\"", "{\"instances\": [{\"a\": 1}]}"),
    ] {
        let model = signature(&[("a", kind)]);
        let error = decode(&model, bad).expect_err(bad);
        assert!(error.message.contains(words), "{bad}: {error}");
        decode(&model, good).unwrap_or_else(|error| panic!("{good}: {error}"));
    }
    let scalar = signature(&[("a", "float32[]"), ("b", "float32[]")]);
    let error = decode(&scalar, "{\"dataframe_records\": [{\"a\": 1, \"b\": 2}]}").expect_err("no rows");
    assert!(error.message.ends_with("name it instead"), "{error}");
    decode(&scalar, "{\"a\": 1, \"b\": 2}").expect("by name");
}

#[test]
fn other_encodings_are_named_and_utf_8_is_taken() {
    let model = signature(&[("a", "string[N]")]);
    let body = "{\"a\": [\"é\"]}";
    let utf16: Vec<u8> = format!("\u{feff}{body}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let latin: Vec<u8> = body.chars().map(|character| u8::try_from(u32::from(character)).expect("Latin-1")).collect();
    for (bytes, words) in [(utf16, "UTF-16"), (latin, "Latin-1")] {
        let error = decode(&model, bytes).expect_err(words);
        assert_eq!(error.fault, DecodeFault::Malformed);
        assert!(error.message.contains(words) && error.message.contains("encode it as UTF-8"), "{error}");
    }
    for good in [body.to_owned(), format!("\u{feff}{body}")] {
        decode(&model, good).expect("UTF-8");
    }
}
