//! Whether answers come in rows or in columns, as the signature alone says.
//!
//! The sizes of one answer have no say: two outputs may have as many rows as the request by chance, and a client's parser must
//! find the same form every time.

use super::{Dim, Signature, ValueType};

impl Signature {
    /// Whether every output has a row for each row of the request: its first dimension is declared as that of an input, by the
    /// same name, without a name as there, or of the same fixed size. What is declared otherwise may have another number of
    /// rows, and a model with such an output is answered in columns.
    pub fn has_row_for_row(&self) -> bool {
        let is_of_an_input =
            |dim: &Dim| self.inputs.iter().any(|input| input.dims.iter().flatten().next() == Some(dim));
        !self.inputs.is_empty()
            && !self.outputs.is_empty()
            && self.outputs.iter().all(|output| match output.value.rows() {
                DeclaredRows::Dim(dim) => is_of_an_input(dim),
                DeclaredRows::OfTheInputs => true,
                DeclaredRows::None => false,
            })
    }

    /// Whether all outputs have the same number of rows, though maybe not the request's: what a table takes.
    pub fn outputs_share_rows(&self) -> bool {
        let mut rows = self.outputs.iter().map(|output| output.value.rows());
        let first = rows.next();
        self.outputs.len() == 1 || rows.all(|rows| rows != DeclaredRows::None && Some(rows) == first)
    }
}

/// What an output's declaration says of its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DeclaredRows<'a> {
    Dim(&'a Dim),
    /// A sequence of maps, which only `ZipMap` makes: a map for each row of the model's input.
    OfTheInputs,
    None,
}

impl ValueType {
    fn rows(&self) -> DeclaredRows<'_> {
        match self {
            ValueType::Tensor { dims, .. } => {
                dims.as_deref().and_then(<[Dim]>::first).map_or(DeclaredRows::None, DeclaredRows::Dim)
            }
            ValueType::Sequence(item) if matches!(**item, ValueType::Map { .. }) => DeclaredRows::OfTheInputs,
            ValueType::Sequence(_) | ValueType::Map { .. } => DeclaredRows::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{DType, OutputSpec, TensorSpec};

    fn dims(text: &str) -> Option<Vec<Dim>> {
        let dim = |text: &str| match text.parse() {
            Ok(size) => Dim::Fixed(size),
            Err(_) => Dim::Dynamic((text != "?").then(|| text.to_owned())),
        };
        (text != "…").then(|| text.split_whitespace().map(dim).collect())
    }

    fn output(text: &str) -> ValueType {
        let map = || ValueType::Map { key: DType::I64, value: Box::new(tensor("")) };
        let sequence = |item| ValueType::Sequence(Box::new(item));
        match text {
            "zipmap" => sequence(map()),
            "sequence" => sequence(tensor("N")),
            "map" => map(),
            text => tensor(text),
        }
    }

    fn tensor(text: &str) -> ValueType {
        ValueType::Tensor { dtype: DType::F32, dims: dims(text) }
    }

    fn signature(inputs: &[&str], outputs: &[&str]) -> Signature {
        let input = |text: &&str| TensorSpec { name: (*text).to_owned(), dtype: DType::F32, dims: dims(text) };
        let output = |text: &&str| OutputSpec { name: (*text).to_owned(), value: output(text) };
        Signature { inputs: inputs.iter().map(input).collect(), outputs: outputs.iter().map(output).collect() }
    }

    #[test]
    fn an_output_has_a_row_for_each_of_the_request_where_it_is_declared_so() {
        for (inputs, outputs) in [
            (&["N 4"][..], &["N", "N 3"][..]),
            (&["? 4"], &["?", "? 3"]),
            (&["N 1", "M"], &["N", "M"]),
            (&["2 4"], &["2", "2 3"]),
            (&["N 4"], &["N", "zipmap"]),
            (&["? 4"], &["?", "zipmap"]),
        ] {
            assert!(signature(inputs, outputs).has_row_for_row(), "{inputs:?} {outputs:?}");
        }
        for (inputs, outputs) in [
            (&["N 1"][..], &["found", "1"][..]),
            (&["N 1"], &["found", "found"]),
            (&["N 1"], &["N", "1"]),
            (&["N 1"], &["N", ""]),
            (&["N 1"], &["N", "…"]),
            (&["N 1"], &["N", "?"]),
            (&["? 1"], &["N", "N"]),
            (&["N 1"], &["N", "sequence"]),
            (&["N 1"], &["N", "map"]),
            (&["2 1"], &["2", "3"]),
            (&["…"], &["N", "N"]),
            (&["", "4"], &["N"]),
            (&[], &["1", "1"]),
        ] {
            assert!(!signature(inputs, outputs).has_row_for_row(), "{inputs:?} {outputs:?}");
        }
    }

    #[test]
    fn outputs_share_rows_by_what_is_declared() {
        for (outputs, shared) in [
            (&["…"][..], true),
            (&["found", "found 4"], true),
            (&["?", "? 2"], true),
            (&["3", "3"], true),
            (&["found", "1"], false),
            (&["N", "?"], false),
            (&["…", "…"], false),
        ] {
            assert_eq!(signature(&["N 1"], outputs).outputs_share_rows(), shared, "{outputs:?}");
        }
    }
}
