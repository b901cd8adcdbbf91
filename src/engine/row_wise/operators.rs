//! Which operators keep rows apart, and how.
//!
//! The rules follow the operators' definitions (<https://onnx.ai/onnx/operators/>), in all versions of the operator sets that a
//! runtime still takes; where versions differ, a rule holds for each. What a rule leaves out is not known to keep rows apart.

use std::collections::HashMap;

use super::known::{Constant, Known};
use crate::engine::graph::domain_name;
use crate::engine::onnx::{Attribute, Node};

/// The sizes of a row's dimensions.
type Row = Vec<Option<usize>>;

/// Made of the elements at the same place of all inputs, with dimensions of 1 repeated.
const ELEMENTWISE: &[&str] = &[
    "Abs",
    "Acos",
    "Acosh",
    "Add",
    "And",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "BitShift",
    "BitwiseAnd",
    "BitwiseNot",
    "BitwiseOr",
    "BitwiseXor",
    "Cast",
    "CastLike",
    "Ceil",
    "Celu",
    "Clip",
    "Cos",
    "Cosh",
    "Div",
    "Elu",
    "Equal",
    "Erf",
    "Exp",
    "Floor",
    "Gelu",
    "Greater",
    "GreaterOrEqual",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "IsInf",
    "IsNaN",
    "LeakyRelu",
    "Less",
    "LessOrEqual",
    "Log",
    "Max",
    "Mean",
    "Min",
    "Mish",
    "Mod",
    "Mul",
    "Neg",
    "Not",
    "Or",
    "PRelu",
    "Pow",
    "Reciprocal",
    "Relu",
    "Round",
    "Selu",
    "Shrink",
    "Sigmoid",
    "Sign",
    "Sin",
    "Sinh",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Sub",
    "Sum",
    "Swish",
    "Tan",
    "Tanh",
    "ThresholdedRelu",
    "Where",
    "Xor",
];

const REDUCTIONS: [&str; 10] = [
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
];

/// What is known of a node's outputs.
pub fn apply(node: &Node, values: &HashMap<&str, Known>) -> Vec<Known> {
    let unknown = || Known::Mixed { operator: format!("'{}'", node.op_type) };
    let inputs: Vec<Option<Known>> = (node.input.iter())
        .map(|name| (!name.is_empty()).then(|| values.get(name.as_str()).cloned().unwrap_or_else(unknown)))
        .collect();
    let mixed = inputs.iter().flatten().find(|input| matches!(input, Known::Mixed { .. }));
    let call = Call { node, inputs: &inputs };
    let known = match mixed {
        Some(mixed) => vec![mixed.clone(); node.output.len()],
        None if call.is_constant() => vec![Known::Constant(call.constant()); node.output.len()],
        None => match call.line() {
            Some(line) => vec![line],
            None => call.outputs().unwrap_or_default().into_iter().map(Known::Rows).collect(),
        },
    };
    // What a rule does not speak of.
    known.into_iter().chain(std::iter::repeat_with(unknown)).take(node.output.len()).collect()
}

/// An operator with what is known of its inputs, none of which mixes rows.
struct Call<'a> {
    node: &'a Node,
    inputs: &'a [Option<Known>],
}

impl Call<'_> {
    fn is_standard(&self) -> bool {
        domain_name(&self.node.domain) == "ai.onnx"
    }

    /// Whether the outputs are the same each time: those of standard operators on constants, unless they draw lots or run graphs,
    /// which see more than their inputs.
    fn is_constant(&self) -> bool {
        let op = self.node.op_type.as_str();
        let draws = op.starts_with("Random") || matches!(op, "Multinomial" | "Bernoulli" | "Dropout");
        let has_graphs =
            self.node.attribute.iter().any(|attribute| attribute.graph.is_some() || !attribute.graphs.is_empty());
        let is_of_constants = self.inputs.iter().flatten().all(|input| matches!(input, Known::Constant(_)));
        self.is_standard() && is_of_constants && !draws && !has_graphs
    }

    fn constant(&self) -> Constant {
        if self.node.op_type != "Constant" {
            return Constant::default();
        }
        match self.node.attribute.first() {
            Some(Attribute { tensor: Some(tensor), .. }) => Constant::of(tensor),
            Some(value) if value.name == "value_int" => Constant::scalar(Some(value.i)),
            Some(value) if value.name == "value_ints" => Constant::list(&value.ints),
            Some(value) if value.name == "value_float" => Constant::scalar(None),
            _ => Constant::default(),
        }
    }

    /// The rows of the outputs that are known to have any.
    fn outputs(&self) -> Option<Vec<Row>> {
        match domain_name(&self.node.domain) {
            "ai.onnx" => self.standard(),
            "ai.onnx.ml" => self.classical(),
            _ => None,
        }
    }

    /// The way of a class from its number to its name in what scikit-learn's exporter writes: an extractor, which makes one line
    /// of all, and, perhaps after casts, a reshape that makes rows of the line again.
    fn line(&self) -> Option<Known> {
        let is_of_line = matches!(self.inputs.first(), Some(Some(Known::Line)));
        match (domain_name(&self.node.domain), self.node.op_type.as_str()) {
            ("ai.onnx.ml", "ArrayFeatureExtractor") => {
                let names = self.given(0)?.dims.as_deref()?;
                let has_one_line = matches!(names, [_] | [1, _]);
                (has_one_line && elements(self.rows(1)?) == Some(1)).then_some(Known::Line)
            }
            ("ai.onnx", "Cast" | "Identity") if is_of_line => Some(Known::Line),
            ("ai.onnx", "Reshape") if is_of_line => match self.integers("shape", 1)?.as_slice() {
                [-1] => Some(Known::Rows(Vec::new())),
                [-1, 1] => Some(Known::Rows(vec![Some(1)])),
                _ => None,
            },
            _ => None,
        }
    }

    fn standard(&self) -> Option<Vec<Row>> {
        let op = self.node.op_type.as_str();
        let one = |row: Option<Row>| row.map(|row| vec![row]);
        match op {
            _ if ELEMENTWISE.contains(&op) => one(self.elementwise()),
            _ if REDUCTIONS.contains(&op) => one(self.reduced(&self.axes(1)?)),
            "ArgMax" | "ArgMin" => one(self.reduced(&[self.number("axis").unwrap_or(0)])),
            "BatchNormalization" => one(self.normalised(2).filter(|_| !self.is_training())),
            "Concat" => one(self.concatenated()),
            "Conv" | "ConvTranspose" => one(self.convolved()),
            "Dropout" => {
                self.rows(0).filter(|_| self.inputs.get(2).is_none_or(Option::is_none)).map(|row| vec![row.clone(); 2])
            }
            "Flatten" => one(self.flattened()),
            "Gather" => one(self.gathered()),
            "Gemm" => one(self.gemm()),
            "GlobalAveragePool" | "GlobalMaxPool" => one(self.pooled(Some(1))),
            "GroupNormalization" | "InstanceNormalization" => one(self.normalised(2)),
            "LayerNormalization" | "RMSNormalization" => one(self.normalised(1).filter(|_| self.axis(-1).is_some())),
            "LogSoftmax" | "Softmax" | "Hardmax" | "LpNormalization" => one(self.along()),
            "LRN" => one(self.normalised(2)),
            "MatMul" => one(self.matmul()),
            "AveragePool" | "MaxPool" => one(self.pooled(None)),
            "Reshape" => one(self.reshaped()),
            "Slice" => one(self.sliced()),
            "Split" => self.split(),
            "Squeeze" => one(self.squeezed()),
            "TopK" => self.top(),
            "Transpose" => one(self.transposed()),
            "Unsqueeze" => one(self.unsqueezed()),
            _ => None,
        }
    }

    /// The operators of classical machine learning. Where a vector is taken for one row, it has to be a matrix.
    fn classical(&self) -> Option<Vec<Row>> {
        let row = self.rows(0)?;
        let matrix = || (row.len() == 1).then_some(());
        let width = |name| vec![self.number(name).and_then(|count| usize::try_from(count).ok())];
        match self.node.op_type.as_str() {
            "Binarizer" | "Imputer" | "Normalizer" | "Scaler" => matrix().map(|()| vec![row.clone()]),
            "CategoryMapper" | "LabelEncoder" => Some(vec![row.clone()]),
            "LinearClassifier" | "SVMClassifier" | "TreeEnsembleClassifier" => {
                matrix().map(|()| vec![Vec::new(), vec![None]])
            }
            "LinearRegressor" => matrix().map(|()| vec![width("targets")]),
            "TreeEnsembleRegressor" | "TreeEnsemble" => matrix().map(|()| vec![width("n_targets")]),
            "SVMRegressor" => matrix().map(|()| vec![vec![None]]),
            "OneHotEncoder" => Some(vec![with_last(row.clone(), None)]),
            "ArrayFeatureExtractor" => {
                self.given(1)?;
                let (_, others) = row.split_last()?;
                Some(vec![with_last(others.to_vec(), None)])
            }
            "FeatureVectorizer" => {
                let all = self.inputs.iter().flatten().all(|input| matches!(input, Known::Rows(row) if row.len() == 1));
                all.then(|| vec![vec![None]])
            }
            _ => None,
        }
    }

    /// An input that has rows.
    fn rows(&self, index: usize) -> Option<&Row> {
        match self.inputs.get(index)?.as_ref()? {
            Known::Rows(row) => Some(row),
            _ => None,
        }
    }

    /// An input that is constant.
    fn given(&self, index: usize) -> Option<&Constant> {
        match self.inputs.get(index)?.as_ref()? {
            Known::Constant(constant) => Some(constant),
            _ => None,
        }
    }

    fn are_given(&self, from: usize) -> bool {
        self.inputs.iter().skip(from).flatten().all(|input| matches!(input, Known::Constant(_)))
    }

    fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.node.attribute.iter().find(|attribute| attribute.name == name)
    }

    fn number(&self, name: &str) -> Option<i64> {
        self.attribute(name).map(|attribute| attribute.i)
    }

    /// Integers by an attribute, as in old versions of an operator, or by an input.
    fn integers(&self, name: &str, input: usize) -> Option<Vec<i64>> {
        match self.attribute(name) {
            Some(attribute) => Some(attribute.ints.clone()),
            None => self.given(input)?.integers.clone(),
        }
    }

    fn axes(&self, input: usize) -> Option<Vec<i64>> {
        self.integers("axes", input).filter(|axes| !axes.is_empty())
    }

    /// The attribute `axis` of the first input, as an index into its row.
    fn axis(&self, default: i64) -> Option<usize> {
        in_row(self.number("axis").unwrap_or(default), self.rows(0)?.len())
    }

    /// All inputs with rows have as many dimensions, so that rows meet rows; and no constant has something else for each row.
    fn elementwise(&self) -> Option<Row> {
        let mut rows = (0..self.inputs.len()).filter_map(|index| self.rows(index));
        let first = rows.next()?.clone();
        let row = rows.try_fold(first, |so_far, row| (so_far.len() == row.len()).then(|| broadcast(&so_far, row)))?;
        let mut constants = (0..self.inputs.len()).filter_map(|index| self.given(index));
        constants.try_fold(row, |so_far, constant| {
            let dims = match constant.dims.as_deref()? {
                [1, dims @ ..] if dims.len() == so_far.len() => dims,
                dims => dims,
            };
            let repeated = so_far.len().checked_sub(dims.len())?;
            let sizes: Row = std::iter::repeat_n(1, repeated).chain(dims.iter().copied()).map(Some).collect();
            Some(broadcast(&so_far, &sizes))
        })
    }

    fn reduced(&self, axes: &[i64]) -> Option<Row> {
        let mut row = self.rows(0)?.clone();
        let axes = axes.iter().map(|&axis| in_row(axis, row.len())).collect::<Option<Vec<_>>>()?;
        if self.number("keepdims").unwrap_or(1) != 0 {
            axes.iter().for_each(|&axis| row[axis] = Some(1));
            return Some(row);
        }
        Some(without(&row, &axes))
    }

    /// The first input with constants beside it, and at least so many dimensions.
    fn normalised(&self, rank_min: usize) -> Option<Row> {
        self.rows(0).filter(|row| row.len() + 1 >= rank_min && self.are_given(1)).cloned()
    }

    /// Along one axis, which is the last or, before version 13, the second, unless it is said.
    fn along(&self) -> Option<Row> {
        self.axis(-1)?;
        self.rows(0).cloned()
    }

    /// Of a batch normalisation, which then mixes rows; before version 14 it says so by its outputs.
    fn is_training(&self) -> bool {
        self.number("training_mode").unwrap_or(0) != 0 || self.node.output.len() > 1
    }

    fn concatenated(&self) -> Option<Row> {
        let first = self.rows(0)?;
        let axis = in_row(self.number("axis")?, first.len())?;
        let mut result = first.clone();
        for index in 1..self.inputs.len() {
            let row = self.rows(index).filter(|row| row.len() == first.len())?;
            result[axis] = result[axis].zip(row[axis]).and_then(|(a, b)| a.checked_add(b));
        }
        Some(result)
    }

    fn convolved(&self) -> Option<Row> {
        let row = self.rows(0).filter(|row| row.len() >= 2 && self.are_given(1))?;
        let weights = self.given(1)?.dims.as_ref()?;
        let channels = (self.node.op_type == "Conv").then(|| weights.first().copied()).flatten();
        Some(std::iter::once(channels).chain(std::iter::repeat_n(None, row.len() - 1)).collect())
    }

    /// Windows over all but channels. Only the first output: the others count over the whole batch.
    fn pooled(&self, size: Option<usize>) -> Option<Row> {
        let row = self.rows(0).filter(|row| row.len() >= 2)?;
        Some(std::iter::once(row[0]).chain(std::iter::repeat_n(size, row.len() - 1)).collect())
    }

    fn flattened(&self) -> Option<Row> {
        let row = self.rows(0)?;
        let rank = i64::try_from(row.len() + 1).ok()?;
        let axis = self.number("axis").unwrap_or(1);
        (axis == 1 || axis + rank == 1).then(|| vec![elements(row)])
    }

    /// Columns by constant indices, or rows of a constant table by indices that have rows.
    fn gathered(&self) -> Option<Row> {
        if let (Some(table), Some(indices)) = (self.given(0), self.rows(1)) {
            let dims = table.dims.as_ref().filter(|dims| !dims.is_empty())?;
            let is_first = [0, -i64::try_from(dims.len()).ok()?].contains(&self.number("axis").unwrap_or(0));
            return is_first.then(|| indices.iter().copied().chain(dims[1..].iter().copied().map(Some)).collect());
        }
        let row = self.rows(0)?;
        let axis = self.axis(0)?;
        let indices = self.given(1)?.dims.as_ref()?.iter().copied().map(Some);
        Some(row[..axis].iter().copied().chain(indices).chain(row[axis + 1..].iter().copied()).collect())
    }

    fn gemm(&self) -> Option<Row> {
        let is_plain = self.number("transA").unwrap_or(0) == 0 && self.rows(0)?.len() == 1;
        let weights = self.given(1)?.dims.as_ref().filter(|dims| is_plain && dims.len() == 2)?;
        let width = weights[if self.number("transB").unwrap_or(0) == 0 { 1 } else { 0 }];
        match self.inputs.get(2).and_then(Option::as_ref) {
            None => {}
            Some(Known::Rows(row)) if row.len() == 1 => {}
            Some(Known::Constant(bias)) => {
                let dims = bias.dims.as_ref()?;
                (dims.len() < 2 || dims[0] == 1).then_some(())?;
            }
            Some(_) => return None,
        }
        Some(vec![Some(width)])
    }

    fn matmul(&self) -> Option<Row> {
        match (self.inputs.first()?.as_ref()?, self.inputs.get(1)?.as_ref()?) {
            (Known::Rows(left), Known::Constant(right)) => {
                let (_, others) = left.split_last()?;
                match right.dims.as_deref()? {
                    [_] => Some(others.to_vec()),
                    [_, width] => Some(with_last(others.to_vec(), Some(*width))),
                    _ => None,
                }
            }
            (Known::Constant(left), Known::Rows(right)) => match (left.dims.as_deref()?, right.as_slice()) {
                ([height, _], [others @ .., _, width]) => {
                    Some(others.iter().copied().chain([Some(*height), *width]).collect())
                }
                _ => None,
            },
            (Known::Rows(left), Known::Rows(right)) if left.len() == right.len() => {
                match (left.as_slice(), right.as_slice()) {
                    ([left @ .., height, _], [right @ .., _, width]) => {
                        Some(broadcast(left, right).into_iter().chain([*height, *width]).collect())
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// To a shape that leaves the first dimension to the rows: by a 0, which keeps it, or by a -1 that can be nothing else.
    fn reshaped(&self) -> Option<Row> {
        let row = self.rows(0)?;
        let shape = self.integers("shape", 1)?;
        let (&first, rest) = shape.split_first()?;
        let count = elements(row).filter(|&count| count > 0);
        let allows_zero = self.number("allowzero").unwrap_or(0) != 0;
        let size = |(axis, &size): (usize, &i64)| match size {
            0 => row.get(axis).copied().flatten(),
            size => usize::try_from(size).ok(),
        };
        let sizes: Row = rest.iter().enumerate().map(size).collect();
        match first {
            _ if allows_zero && shape.contains(&0) => None,
            0 if rest.iter().all(|&size| size >= -1) => Some(sizes),
            -1 if count.is_some() && elements(&sizes) == count => Some(sizes),
            _ => None,
        }
    }

    fn sliced(&self) -> Option<Row> {
        let mut row = self.rows(0).filter(|_| self.are_given(1))?.clone();
        for axis in self.axes(3)? {
            let axis = in_row(axis, row.len())?;
            row[axis] = None;
        }
        Some(row)
    }

    fn split(&self) -> Option<Vec<Row>> {
        let axis = self.axis(0).filter(|_| self.are_given(1))?;
        let mut part = self.rows(0)?.clone();
        part[axis] = None;
        Some(vec![part; self.node.output.len()])
    }

    fn top(&self) -> Option<Vec<Row>> {
        let axis = self.axis(-1).filter(|_| self.are_given(1))?;
        let mut best = self.rows(0)?.clone();
        best[axis] = None;
        Some(vec![best; 2])
    }

    fn squeezed(&self) -> Option<Row> {
        let row = self.rows(0)?;
        let axes = self.axes(1)?.into_iter().map(|axis| in_row(axis, row.len())).collect::<Option<Vec<_>>>()?;
        Some(without(row, &axes))
    }

    fn unsqueezed(&self) -> Option<Row> {
        let row = self.rows(0)?;
        let axes = self.axes(1)?;
        let length = row.len() + axes.len();
        let mut axes = axes.into_iter().map(|axis| in_row(axis, length)).collect::<Option<Vec<_>>>()?;
        axes.sort_unstable();
        let mut result = row.clone();
        for axis in axes {
            result.insert(axis.min(result.len()), Some(1));
        }
        Some(result)
    }

    fn transposed(&self) -> Option<Row> {
        let row = self.rows(0)?;
        let order = &self.attribute("perm")?.ints;
        let (first, others) = order.split_first()?;
        (*first == 0 && others.len() == row.len()).then_some(())?;
        others.iter().map(|&axis| in_row(axis, row.len()).map(|axis| row[axis])).collect()
    }
}

/// An axis of a value with rows, which has one dimension more than `row_rank`, as an index into its row; `None` for the first.
fn in_row(axis: i64, row_rank: usize) -> Option<usize> {
    let rank = i64::try_from(row_rank + 1).ok()?;
    let axis = if axis < 0 { axis.checked_add(rank)? } else { axis };
    usize::try_from(axis).ok()?.checked_sub(1).filter(|&axis| axis < row_rank)
}

fn broadcast(a: &[Option<usize>], b: &[Option<usize>]) -> Row {
    let size = |(a, b): (&Option<usize>, &Option<usize>)| match (a, b) {
        (Some(1), other) | (other, Some(1)) => *other,
        // What is neither 1 nor unknown decides.
        (Some(size), _) | (_, Some(size)) => Some(*size),
        (None, None) => None,
    };
    a.iter().zip(b).map(size).collect()
}

/// How many elements a row has.
fn elements(row: &[Option<usize>]) -> Option<usize> {
    row.iter().try_fold(1usize, |count, size| count.checked_mul((*size)?))
}

fn without(row: &[Option<usize>], axes: &[usize]) -> Row {
    row.iter().enumerate().filter(|(axis, _)| !axes.contains(axis)).map(|(_, size)| *size).collect()
}

fn with_last(mut row: Row, size: Option<usize>) -> Row {
    row.push(size);
    row
}
