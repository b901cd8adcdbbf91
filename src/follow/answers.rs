//! How far one JSON answer is from another.

use serde_json::Value;

/// What there is between two answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Divergence {
    /// The largest difference of two numbers, relative to the larger if that is above 1.
    Numbers(f64),
    /// They differ in form, or in something that is no number.
    Form,
}

impl Divergence {
    /// Whether the answers pass for the same.
    pub fn is_within(self, tolerance: f64) -> bool {
        matches!(self, Divergence::Numbers(difference) if difference <= tolerance)
    }

    fn and(self, other: Divergence) -> Divergence {
        match (self, other) {
            (Divergence::Numbers(one), Divergence::Numbers(two)) => Divergence::Numbers(one.max(two)),
            _ => Divergence::Form,
        }
    }
}

/// Compares two answers, place by place.
pub fn diverge(expected: &Value, got: &Value) -> Divergence {
    const SAME: Divergence = Divergence::Numbers(0.0);
    match (expected, got) {
        (Value::Number(expected), Value::Number(got)) => match (expected.as_f64(), got.as_f64()) {
            _ if expected == got => SAME,
            (Some(expected), Some(got)) => {
                Divergence::Numbers((expected - got).abs() / expected.abs().max(got.abs()).max(1.0))
            }
            _ => Divergence::Form,
        },
        (Value::Array(expected), Value::Array(got)) if expected.len() == got.len() => {
            expected.iter().zip(got).map(|(expected, got)| diverge(expected, got)).fold(SAME, Divergence::and)
        }
        (Value::Object(expected), Value::Object(got)) if expected.len() == got.len() => {
            let pair = |(key, expected): (&String, &Value)| {
                got.get(key).map_or(Divergence::Form, |got| diverge(expected, got))
            };
            expected.iter().map(pair).fold(SAME, Divergence::and)
        }
        _ if expected == got => SAME,
        _ => Divergence::Form,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_are_compared_place_by_place() {
        for (expected, got, divergence) in [
            (json!([[1.0, 2]]), json!([[1, 2.0]]), Divergence::Numbers(0.0)),
            (json!([[1.0, 100.0]]), json!([[1.25, 101.0]]), Divergence::Numbers(0.2)),
            (json!([0.0]), json!([0.001]), Divergence::Numbers(0.001)),
            (json!({"a": [1], "b": ["x"]}), json!({"b": ["x"], "a": [1]}), Divergence::Numbers(0.0)),
            (json!({"b": ["x"]}), json!({"b": ["y"]}), Divergence::Form),
            (json!([1]), json!([1, 2]), Divergence::Form),
            (json!([null]), json!([1]), Divergence::Form),
            (json!({"a": 1}), json!({"b": 1}), Divergence::Form),
            (json!([true, null]), json!([true, null]), Divergence::Numbers(0.0)),
        ] {
            assert_eq!(diverge(&expected, &got), divergence, "{expected} {got}");
        }
        assert!(Divergence::Numbers(1e-4).is_within(1e-4) && !Divergence::Form.is_within(f64::MAX));
    }
}
