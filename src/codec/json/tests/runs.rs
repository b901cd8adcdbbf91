//! Long arrays, which are read many elements at a time where the processor can: the same numbers, and the same refusals.

use super::random::Random;
use super::{decode, signature};
use crate::codec::{DecodeFault, DecodeRefusal};
use crate::tensor::{DType, Tensor};

/// A number as clients write them: few digits or many, near the middle between two floats, sometimes with an exponent.
fn number(random: &mut Random) -> String {
    let narrow = f32::from_bits((random.bits() as u32 & 0x807f_ffff) | (107 + random.below(40) as u32) << 23);
    let next = f32::from_bits(narrow.to_bits() + 1);
    let middle = (f64::from(narrow) + f64::from(next)) / 2.0;
    match random.below(9) {
        0 => format!("{narrow}"),
        1 => format!("{}", f64::from(narrow)),
        2 => format!("{middle}"),
        3 => format!("{}", f64::from_bits(middle.to_bits() + random.below(41) as u64 - 20)),
        4 => format!("{narrow:.2}"),
        5 => format!("{narrow:.*}", random.below(25)),
        6 => format!("{}", random.below(2_000_000) as i64 - 1_000_000),
        7 => ["0", "-0", "0.0", "-0.0", "1", "9", "0.5"][random.below(7)].to_owned(),
        _ if random.chance(10) => random.decimal(),
        _ => format!("{}", random.below(10)),
    }
}

fn array(elements: &[String], separator: &str) -> String {
    format!("{{\"data\":[{}]}}", elements.join(separator))
}

#[test]
fn floats_of_long_arrays_are_rounded_as_the_standard_library_rounds() {
    let mut random = Random::new(41);
    let (narrow, wide) = (signature(&[("x", "float32[N]")]), signature(&[("x", "float64[N]")]));
    for round in 0..400 {
        // Every length up to some blocks of text, so that arrays end at every place of a block.
        let texts: Vec<String> = (0..round).map(|_| number(&mut random)).collect();
        for separator in [",", ", ", ",\n"] {
            let body = array(&texts, separator);
            let Ok(decoded) = decode(&narrow, &body) else {
                assert!(texts.iter().any(|text| text.parse::<f32>().expect("a number").is_infinite()), "{body}");
                continue;
            };
            let Tensor::F32(array) = &decoded.inputs[0] else { panic!("{:?}", decoded.inputs) };
            let expected = texts.iter().map(|text| text.parse::<f32>().expect("a number").to_bits());
            assert!(array.iter().map(|value| value.to_bits()).eq(expected), "{body}");
            let decoded = decode(&wide, &body).expect("what fits an f32 fits");
            let Tensor::F64(array) = &decoded.inputs[0] else { panic!("{:?}", decoded.inputs) };
            let expected = texts.iter().map(|text| text.parse::<f64>().expect("a number").to_bits());
            assert!(array.iter().map(|value| value.to_bits()).eq(expected), "{body}");
        }
    }
}

#[test]
fn integers_of_long_arrays_are_exact() {
    let mut random = Random::new(42);
    for round in 0..300 {
        let values: Vec<i64> = (0..round).map(|_| random.bits() as i64 >> random.below(64)).collect();
        let texts: Vec<String> = values.iter().map(i64::to_string).collect();
        let decoded = decode(&signature(&[("x", "int64[N]")]), array(&texts, ",")).expect("integers");
        let Tensor::I64(array) = &decoded.inputs[0] else { panic!("{:?}", decoded.inputs) };
        assert!(array.iter().eq(&values), "{texts:?}");
    }
}

/// What was read, or where and why not. Messages name lines and columns, which differ.
fn outcome(kind: &str, body: &str) -> Result<Tensor, DecodeRefusal> {
    match decode(&signature(&[("x", kind)]), body) {
        Ok(mut decoded) => Ok(decoded.inputs.remove(0)),
        Err(error) => Err(DecodeRefusal { message: String::new(), ..error.into_refusal() }),
    }
}

/// With a line break behind each comma, elements are read one by one.
#[test]
fn long_arrays_are_refused_as_short_ones() {
    const ODD: [&str; 36] = [
        "",
        "-",
        "+1",
        ".5",
        "1.",
        "01",
        "-01",
        "00",
        "1..2",
        "1.2.3",
        "1.-2",
        "--1",
        "1-",
        "1-2",
        "- 1",
        "1 2",
        "1e5",
        "1E-5",
        "1e",
        "null",
        "true",
        "\"1\"",
        "[1]",
        "{}",
        "1]",
        "1}",
        "NaN",
        "Infinity",
        "1f",
        "0x1",
        "1_0",
        "\u{663}",
        "1e400",
        "0.9",
        "99999999999999999999",
        "12345678901234567890123456789012345.5",
    ];
    let mut random = Random::new(43);
    for kind in ["float32[N]", "float64[N]", "int64[N]", "uint8[N]", "float32[3]"] {
        for odd in ODD {
            for before in [0, 1, 2, 7, 8, 9, 30] {
                let mut elements: Vec<String> = (0..before + 6).map(|_| random.below(256).to_string()).collect();
                elements[before] = odd.to_owned();
                let (together, apart) = (array(&elements, ","), array(&elements, ",\n"));
                assert_eq!(outcome(kind, &together), outcome(kind, &apart), "{together}");
            }
        }
    }
}

#[test]
fn an_array_that_does_not_end_is_refused() {
    for dtype in DType::ALL.into_iter().filter(|dtype| dtype.is_float()) {
        for count in 0..140 {
            let body = format!("{{\"data\":[{}", "0.25,".repeat(count));
            for body in [body.as_str(), body.trim_end_matches(','), body.trim_end_matches("5,")] {
                let error = decode(&signature(&[("x", &format!("{dtype}[N]"))]), body).expect_err("it has no end");
                assert_eq!(error.fault, DecodeFault::Malformed, "{body}");
            }
        }
    }
}
