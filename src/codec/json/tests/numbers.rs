//! What number text becomes: exact integers, correctly rounded floats, and refusals of everything else.

use half::{bf16, f16};

use super::random::Random;
use super::{decode, signature};
use crate::codec::DecodeFault;
use crate::codec::json::scalar::Scalar;
use crate::tensor::Tensor;

/// The element that the text is, if all of it is one. What follows in a body stands behind it.
fn parse<T: Scalar>(text: &str) -> Option<T> {
    let short = whole::<T>(text, "]");
    // Near the body's end words cannot be read, so each number is tried on both paths.
    let long = whole::<T>(text, "]                       ");
    assert_eq!(short.is_some(), long.is_some(), "{text}");
    long
}

fn whole<T: Scalar>(text: &str, after: &str) -> Option<T> {
    let body = format!("{text}{after}");
    let (value, rest) = T::parse(body.as_bytes())?;
    (rest == after.as_bytes()).then_some(value)
}

fn check_f32(text: &str) {
    let expected: f32 = text.parse().expect("a number");
    let got = parse::<f32>(text);
    assert_eq!(got.map(f32::to_bits), expected.is_finite().then(|| expected.to_bits()), "{text}: {got:?}, {expected}");
}

fn check_f64(text: &str) {
    let expected: f64 = text.parse().expect("a number");
    let got = parse::<f64>(text);
    assert_eq!(got.map(f64::to_bits), expected.is_finite().then(|| expected.to_bits()), "{text}: {got:?}, {expected}");
}

#[test]
fn floats_are_rounded_as_the_standard_library_rounds() {
    let mut random = Random::new(11);
    for _ in 0..100_000 {
        let text = random.decimal();
        check_f32(&text);
        check_f64(&text);
    }
    for _ in 0..30_000 {
        let bits = random.bits();
        let (wide, narrow) = (f64::from_bits(bits), f32::from_bits(bits as u32));
        if wide.is_finite() && narrow.is_finite() {
            for text in [format!("{wide:?}"), format!("{narrow:?}"), format!("{:?}", f64::from(narrow))] {
                check_f32(&text);
                check_f64(&text);
            }
        }
    }
}

/// The middle between two neighbouring `f32`, exactly, a little less and a little more: where a double-rounding parser errs.
#[test]
fn middles_between_floats_go_to_even() {
    let mut random = Random::new(12);
    for _ in 0..20_000 {
        let low = f32::from_bits((random.bits() as u32) & 0x7fff_ffff);
        let high = f32::from_bits(low.to_bits() + 1);
        if !high.is_finite() {
            continue;
        }
        let middle = (f64::from(low) + f64::from(high)) / 2.0;
        let exact = format!("{middle:.160}").trim_end_matches('0').to_owned();
        let exact = if exact.ends_with('.') { format!("{exact}0") } else { exact };
        check_f32(&exact);
        check_f32(&format!("{exact}0000000000000000000000000000001"));
        check_f32(&format!("{middle:.17e}"));
        let below = f64::from_bits(middle.to_bits() - 1);
        check_f32(&format!("{below:?}"));
    }
    for text in
        ["16777217", "16777217.0", "16777219", "16777217.00000000000000000000000001", "0.500000029802322387695312"]
    {
        check_f32(text);
    }
}

#[test]
fn the_ends_of_the_float_ranges() {
    for text in [
        "0",
        "-0",
        "-0.0",
        "0e5",
        "-0e-400",
        "1e-45",
        "7e-46",
        "8e-46",
        "1.17549435e-38",
        "1.1754942e-38",
        "1e-400",
        "3.4028234663852886e38",
        "3.4028235e38",
        "3.4028236e38",
        "3.5e38",
        "1e39",
        "1e400",
        "1e999999999999",
        "1e-999999999999",
        "4.9e-324",
        "2e-324",
        "2.4703282292062327208e-324",
        "1.7976931348623157e308",
        "1.7976931348623159e308",
        "2.2250738585072011e-308",
        "9007199254740993",
        "0.1",
        "123456789012345678",
        "1234567890123456789012345678",
    ] {
        check_f32(text);
        check_f64(text);
    }
    // Digits and exponents that cancel, beyond what parsers of exponents keep.
    let zeros = "0".repeat(200_000);
    assert_eq!(parse::<f32>(&format!("1{zeros}e-200000")), Some(1.0));
    assert_eq!(parse::<f64>(&format!("0.{zeros}25e200001")), Some(2.5));
    assert_eq!(parse::<i32>(&format!("0.{zeros}25e200002")), Some(25));
    assert_eq!(parse::<u8>(&format!("7{zeros}e-200000")), Some(7));
}

/// Rounds to the nearest of all values of the type, by exact comparison with each middle.
fn check_narrow<T: Scalar + Copy>(values: &[(f64, T)], bits: impl Fn(T) -> u16, limit: f64, text: &str) {
    let exact: f64 = text.parse().expect("a number");
    let got = parse::<T>(text).map(&bits);
    // The texts are the exact digits of doubles.
    let above = values.partition_point(|(value, _)| *value <= exact);
    let (low, high) = (values[above - 1], values.get(above));
    let high_value = high.map_or(limit, |high| high.0);
    let middle = (low.0 + high_value) / 2.0;
    let up = exact > middle || (exact == middle && bits(low.1) & 1 == 1);
    let expected = if up { high.map(|high| bits(high.1)) } else { Some(bits(low.1)) };
    assert_eq!(got, expected, "{text}");
}

#[test]
fn narrow_floats_are_rounded_once() {
    let halves: Vec<(f64, f16)> = (0..0x7c00).map(f16::from_bits).map(|half| (half.to_f64(), half)).collect();
    let brains: Vec<(f64, bf16)> = (0..0x7f80).map(bf16::from_bits).map(|brain| (brain.to_f64(), brain)).collect();
    for pair in halves.windows(2).step_by(5) {
        let middle = (pair[0].0 + pair[1].0) / 2.0;
        for value in [pair[0].0, middle, f64::from_bits(middle.to_bits() - 1), f64::from_bits(middle.to_bits() + 1)] {
            check_narrow(&halves, f16::to_bits, 65536.0, &format!("{value:.180e}"));
        }
    }
    for pair in brains.windows(2).step_by(11) {
        let middle = (pair[0].0 + pair[1].0) / 2.0;
        for value in [pair[0].0, middle, f64::from_bits(middle.to_bits() - 1), f64::from_bits(middle.to_bits() + 1)] {
            check_narrow(&brains, bf16::to_bits, 2f64.powi(128), &format!("{value:.180e}"));
        }
    }
    // Closer to a middle than a double can say: 2049 lies between 2048 and 2050.
    assert_eq!(parse::<f16>("2049"), Some(f16::from_f32(2048.0)));
    assert_eq!(parse::<f16>("2049.00000000000000000000001"), Some(f16::from_f32(2050.0)));
    assert_eq!(parse::<f16>("-2048.99999999999999999999999"), Some(f16::from_f32(-2048.0)));
    assert_eq!(parse::<f16>("2051"), Some(f16::from_f32(2052.0)));
    assert_eq!(parse::<f16>("2050.99999999999999999999999"), Some(f16::from_f32(2050.0)));
    assert_eq!(parse::<f16>("65519.999999999999999999999"), Some(f16::MAX));
    assert_eq!(parse::<f16>("65520"), None);
    assert_eq!(parse::<bf16>("3.4e38"), None);
    assert_eq!(parse::<f16>("1e-400"), Some(f16::ZERO));
    assert_eq!(parse::<f16>("-0").map(f16::to_bits), Some(0x8000));
}

/// What a decimal is as an integer, in simple arithmetic: digits as a number, moved by the exponent.
fn integer_of(text: &str) -> Option<i128> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: String = whole.chars().chain(fraction.chars()).collect();
    let mut value: i128 = digits.parse().ok()?;
    let mut exponent: i32 = exponent.parse::<i32>().ok()? - fraction.len() as i32;
    while exponent < 0 && value % 10 == 0 && value != 0 {
        value /= 10;
        exponent += 1;
    }
    match exponent {
        _ if value == 0 => Some(0),
        0..=25 => value.checked_mul(10i128.checked_pow(exponent as u32)?),
        _ => None,
    }
}

#[test]
fn integers_are_exact() {
    fn check<T: Scalar + TryFrom<i128> + PartialEq + std::fmt::Debug>(text: &str, value: Option<i128>) {
        assert_eq!(parse::<T>(text), value.and_then(|value| T::try_from(value).ok()), "{text}");
    }
    let mut random = Random::new(13);
    for round in 0..60_000 {
        let mut text = String::from(random.pick(&["", "-"]));
        let count = 1 + random.below(20);
        text.push_str(&random.digits(count));
        if random.chance(40) {
            let count = 1 + random.below(4);
            text = format!("{text}.{}", if random.chance(50) { "0".repeat(count) } else { random.digits(count) });
        }
        if random.chance(40) {
            text = format!("{text}e{}", random.below(12) as i64 - 6);
        }
        let edges = [i64::MAX as i128, i64::MIN as i128, u64::MAX as i128, 128, -129, 256, 65536, 0];
        if round % 10 == 0 {
            text = (edges[random.below(edges.len())] + random.below(3) as i128 - 1).to_string();
        }
        let value = integer_of(&text);
        check::<i8>(&text, value);
        check::<i16>(&text, value);
        check::<i32>(&text, value);
        check::<i64>(&text, value);
        check::<u8>(&text, value);
        check::<u16>(&text, value);
        check::<u32>(&text, value);
        check::<u64>(&text, value);
    }
}

#[test]
fn integers_may_be_written_as_decimals() {
    for (text, expected) in [
        ("3", Some(3)),
        ("3.0", Some(3)),
        ("3e2", Some(300)),
        ("30e-1", Some(3)),
        ("-0", Some(0)),
        ("-0.0e-7", Some(0)),
        ("0e999999999999999999999", Some(0)),
        ("9223372036854775807", Some(i64::MAX)),
        ("-9223372036854775808", Some(i64::MIN)),
        ("9223372036854775807.0", Some(i64::MAX)),
        ("922337203685477580.7e1", Some(i64::MAX)),
        ("9223372036854775808", None),
        ("0.9", None),
        ("1e400", None),
        ("1e-1", None),
        ("1e999999999999999999999", None),
        ("1.0000000000000000000000000001", None),
    ] {
        assert_eq!(parse::<i64>(text), expected, "{text}");
    }
    assert_eq!(parse::<u64>("18446744073709551615"), Some(u64::MAX));
    assert_eq!(parse::<u64>("18446744073709551616"), None);
    assert_eq!(parse::<u64>("-0"), Some(0));
    assert_eq!(parse::<u64>("-1"), None);
}

#[test]
fn the_grammar_is_json_s() {
    for text in [
        "+1",
        ".5",
        "1.",
        "-",
        "-.5",
        "1e",
        "1e+",
        "1E-",
        "01",
        "-01",
        "00",
        "1.e5",
        "0x10",
        "1_000",
        "NaN",
        "nan",
        "Infinity",
        "-Infinity",
        "inf",
        "1f",
        "٣",
        "1,5",
        "--1",
        "1.5.5",
        "1e5e5",
        "1e5.5",
        "",
    ] {
        assert_eq!(parse::<f32>(text), None, "{text}");
        assert_eq!(parse::<f64>(text), None, "{text}");
        assert_eq!(parse::<i64>(text), None, "{text}");
        assert_eq!(parse::<u8>(text), None, "{text}");
        for dtype in ["float32", "float64", "int64", "uint8", "float16"] {
            let error = decode(&signature(&[("x", &format!("{dtype}[N]"))]), format!("{{\"data\": [1, {text}]}}"));
            // A comma makes two numbers of it.
            if text != "1,5" {
                let error = error.expect_err(text);
                assert_eq!(error.fault, DecodeFault::Malformed, "{text}: {error}");
            }
        }
    }
}

#[test]
fn a_number_that_does_not_fit_is_refused_by_name() {
    for (dtype, text, said) in [
        ("int64", "0.9", "0.9 is not an integer, and the input is int64"),
        ("int8", "128", "128 is out of the range of int8"),
        ("uint8", "-1", "-1 is out of the range of uint8"),
        ("int32", "1e400", "1e400 is out of the range of int32"),
        ("float32", "1e39", "1e39 is too large for float32"),
        ("float16", "70000", "70000 is too large for float16"),
        ("float64", "-1e309", "-1e309 is too large for float64"),
    ] {
        let error = decode(&signature(&[("x", &format!("{dtype}[N]"))]), format!("{{\"data\": [1, {text}, 2]}}"))
            .expect_err("the number does not fit");
        assert_eq!(error.fault, DecodeFault::LossyNumber);
        assert!(error.message.contains(said), "{}", error.message);
        assert_eq!(error.path.as_deref(), Some("$.data[1]"));
        assert_eq!(error.expected.as_deref(), Some(dtype));
        assert_eq!(error.got.as_deref(), Some(text));
    }
    let long = format!("{{\"data\": [{}]}}", "9".repeat(1_000_000));
    let error = decode(&signature(&[("x", "int64[N]")]), long).expect_err("out of range");
    assert_eq!(error.fault, DecodeFault::LossyNumber);
    assert!(error.got.as_deref().is_some_and(|got| got.chars().count() <= 41), "{:?}", error.got);
}

/// Random arrays of numbers, with whitespace anywhere, become what serde_json reads from them.
#[test]
fn arrays_agree_with_serde_json() {
    let mut random = Random::new(14);
    for _ in 0..3_000 {
        let spaces = ["", "", " ", "\n  ", "\t\r\n"];
        let values: Vec<f64> = (0..random.below(30))
            .map(|_| (random.bits() as i64 >> 20) as f64 / f64::from(1 << random.below(30)))
            .collect();
        let mut body = String::from("{\"data\":[");
        for (index, value) in values.iter().enumerate() {
            body.push_str(random.pick(&spaces));
            body.push_str(&value.to_string());
            body.push_str(random.pick(&spaces));
            body.push_str(if index + 1 < values.len() { "," } else { "" });
        }
        body.push_str("] }\n");
        let tree: serde_json::Value = serde_json::from_str(&body).expect("valid");
        let theirs: Vec<f64> = tree["data"].as_array().expect("a list").iter().filter_map(|v| v.as_f64()).collect();
        let decoded = decode(&signature(&[("x", "float64[N]")]), &body).expect("valid");
        let Tensor::F64(array) = &decoded.inputs[0] else { panic!("{:?}", decoded.inputs) };
        let ours = array.as_slice().expect("contiguous");
        assert_eq!(ours, values, "{body}");
        // serde_json may be off by the last bit, as it is built without `float_roundtrip`.
        assert_eq!(ours.len(), theirs.len(), "{body}");
        assert!(ours.iter().zip(&theirs).all(|(a, b)| (a - b).abs() <= a.abs() * f64::EPSILON), "{body}");
    }
}
