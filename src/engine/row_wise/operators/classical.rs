//! The operators of classical machine learning, and those on texts. They take a matrix, whose rows are the batch; a vector is one
//! row to most of them.

use crate::engine::row_wise::call::Call;
use crate::engine::row_wise::known::{Batch, Tensor, size};
use crate::engine::row_wise::size::{Size, product};

pub fn outputs(call: &Call<'_>) -> Option<Vec<Tensor>> {
    match call.op() {
        "CategoryMapper" | "LabelEncoder" => Some(vec![call.tensor(0)?.alike()]),
        "OneHotEncoder" => {
            let tensor = call.tensor(0)?;
            let of = |name: &str| call.attribute(name).map_or(0, |list| list.ints.len().max(list.strings.len()));
            let categories = size(of("cats_int64s").max(of("cats_strings")));
            let dims = tensor.dims.iter().cloned().chain([categories]).collect();
            Some(vec![Tensor::new(dims, tensor.batch.clone())])
        }
        "ArrayFeatureExtractor" => extracted(call).map(|tensor| vec![tensor]),
        "FeatureVectorizer" => {
            let first = matrix(call, 0)?;
            let are_matrices = (0..call.inputs.len())
                .all(|index| matrix(call, index).is_some_and(|tensor| tensor.batch == first.batch));
            are_matrices.then(|| vec![with_width(first, None, call)])
        }
        op => of_matrix(call, op),
    }
}

fn of_matrix(call: &Call<'_>, op: &str) -> Option<Vec<Tensor>> {
    let rows = matrix(call, 0)?;
    let labels = || Tensor::new(rows.dims[..1].to_vec(), rows.batch.clone());
    let width = |name: &str| with_width(rows, call.number(name).map(Size::of), call);
    match op {
        "Binarizer" | "Imputer" | "Normalizer" | "Scaler" => Some(vec![rows.alike()]),
        "LinearClassifier" | "SVMClassifier" | "TreeEnsembleClassifier" => {
            Some(vec![labels(), with_width(rows, None, call)])
        }
        "LinearRegressor" => Some(vec![width("targets")]),
        "TreeEnsembleRegressor" | "TreeEnsemble" => Some(vec![width("n_targets")]),
        "SVMRegressor" => Some(vec![with_width(rows, Some(Size::ONE), call)]),
        _ => None,
    }
}

/// A tensor of two dimensions, the first of which has the rows.
fn matrix<'a>(call: &'a Call<'_>, index: usize) -> Option<&'a Tensor> {
    call.rows_first(index).filter(|tensor| tensor.rank() == 2)
}

fn with_width(rows: &Tensor, width: Option<Size>, call: &Call<'_>) -> Tensor {
    Tensor::new(vec![rows.dims[0].clone(), width.unwrap_or_else(|| call.symbols.size())], rows.batch.clone())
}

/// Elements of the last dimension, by places that are one list. Of a vector, which counts as a matrix of one row, the places may be
/// rows, as scikit-learn's exporter finds the name of each row's class.
fn extracted(call: &Call<'_>) -> Option<Tensor> {
    let (data, places) = (call.tensor(0)?, call.tensor(1)?);
    let count = product(&places.dims)?;
    let last = data.rank().checked_sub(1)?;
    if !data.has_no_rows_along(&[last]) {
        return None;
    }
    let mut dims = if data.rank() == 1 { vec![Size::ONE, Size::ONE] } else { data.dims.clone() };
    let width = dims.len() - 1;
    match (&data.batch, &places.batch) {
        (_, None) => {
            dims[width] = count;
            Some(Tensor::new(dims, data.batch.clone()))
        }
        (None, Some(batch)) => {
            let is_list = batch.axis == 0 && places.dims[1..].iter().all(|size| size.is(1));
            dims[width] = count;
            is_list.then(|| Tensor::new(dims, Some(batch.at(width))))
        }
        (Some(_), Some(_)) => None,
    }
}

/// Texts in another case. With words to leave out there would be fewer texts than before.
pub fn normalized_texts(call: &Call<'_>) -> Option<Tensor> {
    let texts = call.tensor(0)?;
    let leaves_out = call.attribute("stopwords").is_some();
    (!leaves_out && texts.rank() == 1).then(|| texts.alike())
}

/// Counts the terms of each row of a matrix.
pub fn counted_terms(call: &Call<'_>) -> Option<Tensor> {
    let rows = matrix(call, 0).filter(|rows| rows.batch == Some(Batch::plain(0)))?;
    Some(with_width(rows, None, call))
}
