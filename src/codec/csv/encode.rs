//! Outputs as a table: a column for each output, or for each column of it.

use bytes::Bytes;
use csv::{Terminator, WriterBuilder};

use crate::codec::json::write_cell;
use crate::codec::refusal::only_tensors;
use crate::codec::{EncodeError, Encoded, Format, Policy};
use crate::tensor::{Dim, Shape, Signature, Tensor, Value, ValueType};

/// Writes outputs that share their rows, as the signature says. `y` declared as `[N]` or `[N, 1]` is a column `y`; as `[N, 3]`,
/// the columns `y_0` to `y_2`; as `[N, M]` it is numbered, too, even where `M` is 1 this time. A value that JSON could not carry is an empty cell, where the endpoint has `null` for it.
pub fn encode(outputs: Vec<Value>, signature: &Signature, policy: &Policy) -> Result<Encoded, EncodeError> {
    if !signature.outputs_share_rows() {
        return Err(not_a_table("the model does not declare its outputs with the same rows".to_owned()));
    }
    let outputs = only_tensors(outputs, signature, Format::Csv)?;
    let mut rows = None;
    for (name, tensor) in &outputs {
        let (1 | 2, Some(own)) = (tensor.shape().len(), tensor.shape().first().copied()) else {
            return Err(not_a_table(format!("output '{name}' of shape {} is no table", Shape(tensor.shape()))));
        };
        if *rows.get_or_insert(own) != own {
            return Err(not_a_table("the outputs differ in their number of rows".to_owned()));
        }
    }
    let widths: Vec<usize> = outputs.iter().map(|(_, tensor)| tensor.shape().get(1).copied().unwrap_or(1)).collect();
    let width = widths.iter().fold(0usize, |total, width| total.saturating_add(*width));
    if width == 0 || width > policy.max_elements {
        return Err(not_a_table(format!("the outputs have {width} columns")));
    }
    let mut writer = WriterBuilder::new().terminator(Terminator::Any(b'\n')).from_writer(Vec::new());
    let failed = |_| not_a_table("the table could not be written".to_owned());
    for (((name, _), width), spec) in outputs.iter().zip(&widths).zip(&signature.outputs) {
        match width {
            1 if is_one_column(&spec.value) => writer.write_field(name).map_err(failed)?,
            _ => (0..*width).try_for_each(|column| writer.write_field(format!("{name}_{column}"))).map_err(failed)?,
        }
    }
    let end = writer.write_record(None::<&[u8]>);
    end.map_err(failed)?;
    let mut text = Vec::new();
    for row in 0..rows.unwrap_or(0) {
        for ((name, tensor), width) in outputs.iter().zip(&widths) {
            for column in 0..*width {
                cell(name, tensor, row * width + column, policy, &mut text)?;
                writer.write_field(&text).map_err(failed)?;
            }
        }
        let end = writer.write_record(None::<&[u8]>);
        end.map_err(failed)?;
    }
    let body = writer.into_inner().map_err(|_| not_a_table("the table could not be written".to_owned()))?;
    Ok(Encoded { format: Format::Csv, parts: vec![Bytes::from(body)], raw_layout: None })
}

/// Whether an output is declared with one value for each row.
fn is_one_column(declared: &ValueType) -> bool {
    let ValueType::Tensor { dims: Some(dims), .. } = declared else { return false };
    matches!(dims.as_slice(), [_] | [_, Dim::Fixed(1)])
}

/// One element's text.
fn cell(name: &str, tensor: &Tensor, index: usize, policy: &Policy, text: &mut Vec<u8>) -> Result<(), EncodeError> {
    use crate::config::NonFiniteOutput;
    text.clear();
    match write_cell(tensor, index, text) {
        Ok(()) => Ok(()),
        Err(_) if policy.non_finite_output == NonFiniteOutput::Null => Ok(()),
        Err(value) => Err(EncodeError::NonFinite { output: name.to_owned(), value }),
    }
}

fn not_a_table(why: String) -> EncodeError {
    EncodeError::NotRepresentable(format!("{why}, so the answer cannot be CSV; ask for application/json"))
}
