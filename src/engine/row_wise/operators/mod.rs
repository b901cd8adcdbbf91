//! Which operators keep rows apart, and how.
//!
//! The rules follow the operators' definitions (<https://onnx.ai/onnx/operators/>, for those of `com.microsoft` ONNX Runtime's
//! `docs/ContribOperators.md`), in all versions of the operator sets that a runtime still takes. What a rule leaves out is not known
//! to keep rows apart. `tests/row_wise/` holds the rules against the runtime.

mod arithmetic;
mod attention;
mod classical;
mod convolution;
mod elementwise;
mod indexing;
mod layout;
mod normalization;
mod product;
mod quantization;
mod recurrent;
mod reduction;
mod row_numbers;
mod shape;

use super::call::Call;
use super::known::{Known, Numbers, Tensor};
use super::size::Size;
use crate::engine::graph::domain_name;

/// Inputs that say sizes, and so may say how many rows there are: operators, and which input.
const SIZE_INPUTS: &[(&str, usize)] = &[
    ("AffineGrid", 1),
    ("CenterCropPad", 1),
    ("ConstantOfShape", 0),
    ("Expand", 1),
    ("Range", 1),
    ("Reshape", 1),
    ("Resize", 3),
    ("Shape", 0),
    ("Size", 0),
    ("Slice", 2),
    ("Tile", 1),
];

/// What is known of a node's outputs, none of whose inputs mixes rows. Of outputs that are missing nothing is known.
pub fn outputs(call: &Call<'_>) -> Vec<Known> {
    let is = |kind: fn(&Known) -> bool| call.inputs.iter().flatten().any(kind);
    if is(|known| matches!(known, Known::RowNumbers(..) | Known::RowPlaces(_))) {
        return row_numbers::output(call).into_iter().collect();
    }
    if let Some(numbers) = arithmetic::output(call) {
        return vec![Known::Tensor(numbers)];
    }
    let may_count = |index: usize| is_standard(call) && SIZE_INPUTS.contains(&(call.op(), index));
    let counts = |known: &Option<Known>| matches!(known, Some(Known::Tensor(tensor)) if tensor.counts_rows());
    if call.inputs.iter().enumerate().any(|(index, known)| counts(known) && !may_count(index)) {
        return Vec::new();
    }
    if let Some(outputs) = tensors(call) {
        let below = bound(call);
        let known = |tensor: Tensor| {
            let below = tensor.below.clone().or_else(|| below.clone());
            Known::Tensor(tensor.with_below(below).with_elements(call.symbols))
        };
        return outputs.into_iter().map(known).collect();
    }
    if let Some(numbers) = row_numbers::made(call) {
        return vec![Known::RowNumbers(numbers, Numbers::Times(Size::ONE))];
    }
    if is_constant(call) { vec![Known::Shared; call.node.output.len()] } else { Vec::new() }
}

fn is_standard(call: &Call<'_>) -> bool {
    domain_name(&call.node.domain) == "ai.onnx"
}

/// Whether the outputs are the same each time: those of a standard operator on what is shared, unless it draws lots.
fn is_constant(call: &Call<'_>) -> bool {
    let op = call.op();
    let draws = op.starts_with("Random") || matches!(op, "Multinomial" | "Bernoulli") || elementwise::is_training(call);
    let is_listed = matches!(domain_name(&call.node.domain), "ai.onnx" | "ai.onnx.ml");
    let has_graphs =
        call.node.attribute.iter().any(|attribute| attribute.graph.is_some() || !attribute.graphs.is_empty());
    is_listed && !draws && !has_graphs && call.are_shared_from(0)
}

/// The bound that all elements are below, if they are those of the first input, or places along a dimension.
fn bound(call: &Call<'_>) -> Option<Size> {
    let first = call.tensor(0)?;
    match call.op() {
        _ if !is_standard(call) => None,
        "Identity" | "Unsqueeze" | "Squeeze" | "Reshape" | "Flatten" | "Transpose" | "Expand" => first.below.clone(),
        "Cast" => first.below.clone().filter(|_| matches!(call.number("to"), Some(6 | 7 | 12 | 13))),
        "ArgMax" | "ArgMin" => {
            let along = call.axis(0, first.rank())?;
            Some(first.dims[along].clone()).filter(|size| !size.has_rows())
        }
        _ => None,
    }
}

fn tensors(call: &Call<'_>) -> Option<Vec<Tensor>> {
    match domain_name(&call.node.domain) {
        "ai.onnx" => standard(call),
        "ai.onnx.ml" => classical::outputs(call),
        "com.microsoft" => microsoft(call),
        "com.microsoft.nchwc" => one(convolution::in_blocks(call)),
        _ => None,
    }
}

fn one(tensor: Option<Tensor>) -> Option<Vec<Tensor>> {
    tensor.map(|tensor| vec![tensor])
}

fn standard(call: &Call<'_>) -> Option<Vec<Tensor>> {
    let op = call.op();
    match op {
        _ if elementwise::is_listed(op) => elementwise::outputs(call),
        _ if op.starts_with("Reduce") => one(reduction::reduced(call)),
        "ArgMax" | "ArgMin" => one(reduction::arg(call)),
        "TopK" => reduction::top(call),
        "CumSum" | "CumProd" => one(reduction::cumulated(call)),
        "Softmax" | "LogSoftmax" | "Hardmax" => one(normalization::softmax(call)),
        "LpNormalization" => one(normalization::along_axis(call)),
        "BatchNormalization" => one(normalization::batch(call)),
        "InstanceNormalization" | "GroupNormalization" => one(normalization::of_channels(call)),
        "LayerNormalization" | "RMSNormalization" | "SimplifiedLayerNormalization" => one(normalization::layer(call)),
        "MeanVarianceNormalization" => one(normalization::mean_variance(call)),
        "LRN" => one(normalization::local_response(call)),
        "MatMul" => one(product::matmul(call)),
        "MatMulInteger" => one(product::matmul_integer(call)),
        "QLinearMatMul" => one(product::qlinear_matmul(call)),
        "Gemm" => one(product::gemm(call)),
        "Einsum" => one(product::einsum(call)),
        "Det" => one(product::determinant(call)),
        "Conv" => one(convolution::conv(call, 0, 1)),
        "ConvInteger" => one(convolution::conv(call, 0, 1)),
        "QLinearConv" => one(convolution::conv(call, 0, 3)),
        "ConvTranspose" => one(convolution::transposed(call)),
        "DeformConv" => one(convolution::deformed(call)),
        "AveragePool" | "MaxPool" | "LpPool" => one(convolution::pooled(call)),
        "GlobalAveragePool" | "GlobalMaxPool" | "GlobalLpPool" => one(convolution::pooled_globally(call)),
        "Resize" | "Upsample" => one(convolution::resized(call)),
        "DepthToSpace" | "SpaceToDepth" => one(convolution::depth_and_space(call)),
        "GridSample" => one(convolution::sampled(call)),
        "AffineGrid" => one(convolution::grid(call)),
        "Col2Im" => one(convolution::from_columns(call)),
        "Reshape" => one(layout::reshape(call)),
        "Flatten" => one(layout::flatten(call)),
        "Transpose" => one(layout::transpose(call)),
        "Squeeze" => one(layout::squeeze(call)),
        "Unsqueeze" => one(layout::unsqueeze(call)),
        "Expand" => one(layout::expand(call)),
        "Tile" => one(layout::tile(call)),
        "Concat" => one(layout::concat(call)),
        "Split" => layout::split(call),
        "Slice" => one(layout::slice(call)),
        "Pad" => one(layout::pad(call)),
        "CenterCropPad" => one(layout::crop(call)),
        "ReverseSequence" => one(layout::reverse(call)),
        "Trilu" => one(layout::triangle(call)),
        "Shape" => one(shape::shape(call)),
        "Size" => one(shape::size(call)),
        "Constant" => one(shape::constant(call)),
        "ConstantOfShape" => one(shape::constant_of_shape(call)),
        "Range" => one(shape::range(call)),
        "Gather" => one(indexing::gather(call)),
        "GatherElements" => one(indexing::gather_elements(call)),
        "GatherND" => one(indexing::gather_nd(call)),
        "Scatter" | "ScatterElements" => one(indexing::scatter_elements(call)),
        "OneHot" => one(indexing::one_hot(call)),
        "RNN" => recurrent::outputs(call, 1),
        "GRU" => recurrent::outputs(call, 1),
        "LSTM" => recurrent::outputs(call, 2),
        "Attention" => attention::standard(call),
        "RotaryEmbedding" => one(attention::rotary(call, [3, 1, 2])),
        "QuantizeLinear" | "DequantizeLinear" => one(quantization::linear(call)),
        "StringNormalizer" => one(classical::normalized_texts(call)),
        "TfIdfVectorizer" => one(classical::counted_terms(call)),
        _ => None,
    }
}

/// The operators that ONNX Runtime's optimisers and quantisers write.
fn microsoft(call: &Call<'_>) -> Option<Vec<Tensor>> {
    let op = call.op();
    match op {
        "FusedMatMul" => one(product::fused_matmul(call)),
        "FusedGemm" => one(product::gemm(call)),
        "MatMulNBits" | "MatMulBnb4" | "MatMulFpQ4" => one(product::matmul_blockwise(call)),
        "MatMulIntegerToFloat" => one(product::matmul_integer_to_float(call)),
        "QGemm" => one(product::qgemm(call)),
        "Inverse" => one(product::inverse(call)),
        "FusedConv" => one(convolution::fused_conv(call)),
        "QLinearConv" => one(convolution::conv(call, 0, 3)),
        "QLinearAveragePool" => one(convolution::pooled(call)),
        "QLinearGlobalAveragePool" => one(convolution::pooled_globally(call)),
        "BiasGelu" | "FastGelu" | "Gelu" | "QuickGelu" => one(elementwise::fused(call)),
        "SimplifiedLayerNormalization" => one(normalization::layer(call)),
        "SkipLayerNormalization" | "SkipSimplifiedLayerNormalization" => normalization::skip_layer(call),
        "EmbedLayerNormalization" => normalization::embed_layer(call),
        "Attention" => attention::packed(call),
        "MultiHeadAttention" => attention::multi_head(call),
        "RotaryEmbedding" => one(attention::rotary(call, [1, 2, 3])),
        "QAttention" => attention::quantized(call),
        "QuantizeLinear" | "DequantizeLinear" => one(quantization::linear(call)),
        "QLinearAdd" | "QLinearMul" | "QLinearSub" | "QLinearDiv" => one(quantization::binary(call)),
        "QLinearSigmoid" | "QLinearLeakyRelu" => one(quantization::unary(call)),
        "QLinearSoftmax" => one(quantization::softmax(call)),
        "QLinearConcat" => one(quantization::concat(call)),
        "QLinearWhere" => one(quantization::choice(call)),
        "CDist" => one(product::distances(call)),
        "Trilu" => one(layout::triangle(call)),
        _ => None,
    }
}
