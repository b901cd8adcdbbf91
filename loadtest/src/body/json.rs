//! Tensors as JSON.

use super::Tensor;

/// `{"<key>": <nested lists>}`.
pub fn keyed(key: &str, tensor: &Tensor) -> String {
    format!("{{{}:{}}}", quoted(key), nested(tensor))
}

/// `{"<input>": <nested lists>, …}`.
pub fn named(tensors: &[Tensor]) -> String {
    let members: Vec<String> =
        tensors.iter().map(|tensor| format!("{}:{}", quoted(&tensor.name), nested(tensor))).collect();
    format!("{{{}}}", members.join(","))
}

/// The elements in one list, whatever the shape.
pub fn flat(tensor: &Tensor) -> String {
    let elements: Vec<String> = (0..tensor.elements()).map(|index| tensor.json_element(index)).collect();
    format!("[{}]", elements.join(","))
}

/// A text as JSON.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn nested(tensor: &Tensor) -> String {
    let mut text = String::new();
    let mut next = 0;
    nest(tensor, &tensor.shape, &mut next, &mut text);
    text
}

fn nest(tensor: &Tensor, sizes: &[u64], next: &mut usize, text: &mut String) {
    let Some((size, inner)) = sizes.split_first() else {
        text.push_str(&tensor.json_element(*next));
        *next += 1;
        return;
    };
    text.push('[');
    for index in 0..*size {
        if index > 0 {
            text.push(',');
        }
        nest(tensor, inner, next, text);
    }
    text.push(']');
}
