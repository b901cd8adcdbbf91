//! Requests without JSON.

use super::{decode, echo, model};
use crate::tensor::{Signature, Tensor};

fn input(model: &Signature, body: &[u8]) -> Result<Tensor, String> {
    let request = decode(model, body, Some(0)).map_err(|error| error.message.clone())?;
    assert!(request.wanted.outputs.iter().all(|output| output.binary), "all outputs come in binary form");
    Ok(request.inputs.into_iter().next().expect("one input"))
}

#[test]
fn the_shape_follows_from_the_length() {
    let bytes: Vec<u8> = (1..=6u8).flat_map(|n| f32::from(n).to_le_bytes()).collect();
    for (kind, shape) in [
        ("float32[2, 3]", vec![2, 3]),
        ("float32[N, 3]", vec![2, 3]),
        ("float32[N]", vec![6]),
        // Of several open dimensions, the batch is 1.
        ("float32[N, T]", vec![1, 6]),
        ("float32[N, T, 2]", vec![1, 3, 2]),
    ] {
        assert_eq!(input(&echo(kind), &bytes).unwrap().shape(), shape, "{kind}");
    }
    assert_eq!(input(&echo("float32[N, 3]"), b"").unwrap().shape(), [0, 3]);
}

#[test]
fn a_string_is_the_whole_body() {
    for kind in ["string[N]", "string[1]", "string[]", "string[N, 1]"] {
        let Ok(Tensor::String(texts)) = input(&echo(kind), "hé\0".as_bytes()) else { panic!("{kind}") };
        assert_eq!((texts.len(), texts.first().map(String::as_str)), (1, Some("hé\0")), "{kind}");
    }
    assert!(input(&echo("string[N]"), b"\xff").unwrap_err().contains("UTF-8"));
    assert!(input(&echo("string[2]"), b"x").is_err());
}

#[test]
fn what_the_length_does_not_tell_is_refused() {
    assert!(input(&echo("float32[2, 3]"), &[0; 20]).unwrap_err().contains("24 bytes"));
    assert!(input(&echo("float32[N, 3]"), &[0; 20]).unwrap_err().contains("multiple of 12"));
    assert!(input(&echo("float32[…]"), &[0; 20]).unwrap_err().contains("does not tell its shape"));
    assert!(input(&echo("float32[N, A, B]"), &[0; 16]).unwrap_err().contains("does not tell its shape"));
    let two = model(&[("a", "float32[N]"), ("b", "float32[N]")], &[("y", "float32[N]")]);
    assert!(input(&two, &[0; 16]).unwrap_err().contains("this one has 2"));
    assert!(input(&echo("float32[N]"), &vec![0; 2 << 20]).is_err(), "longer than a body may be");
}
