//! `input` and `output`: what a configuration says of a model's tensors, and whether the model agrees.

use super::Notice;
use super::draft::Draft;
use super::schema::{self, Fields};
use crate::pbtxt::{Fault, Field, Place};
use crate::tensor::{DType, Dim, Signature, TensorSpec, ValueType};

/// A tensor as the configuration has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TensorConfig {
    pub place: Place,
    pub name: String,
    dtype: Option<DType>,
    /// As the model has them, but for the batch dimension; -1 is any size. `None` where the file does not say them.
    dims: Option<Vec<i64>>,
    /// Of an output: the file with its classes' names.
    pub labels: Option<String>,
}

/// Whether dims leave the first dimension out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Batch {
    /// `max_batch_size` is above 0: dims begin behind the batch dimension.
    Left,
    /// It is 0: dims are all there are.
    None,
    /// It is not given, so that either may be meant.
    Unsaid,
}

const TYPES: &[(&str, i128, Option<DType>)] = &[
    ("TYPE_INVALID", 0, None),
    ("TYPE_BOOL", 1, Some(DType::Bool)),
    ("TYPE_UINT8", 2, Some(DType::U8)),
    ("TYPE_UINT16", 3, Some(DType::U16)),
    ("TYPE_UINT32", 4, Some(DType::U32)),
    ("TYPE_UINT64", 5, Some(DType::U64)),
    ("TYPE_INT8", 6, Some(DType::I8)),
    ("TYPE_INT16", 7, Some(DType::I16)),
    ("TYPE_INT32", 8, Some(DType::I32)),
    ("TYPE_INT64", 9, Some(DType::I64)),
    ("TYPE_FP16", 10, Some(DType::F16)),
    ("TYPE_FP32", 11, Some(DType::F32)),
    ("TYPE_FP64", 12, Some(DType::F64)),
    ("TYPE_STRING", 13, Some(DType::String)),
    ("TYPE_BF16", 14, Some(DType::BF16)),
];

/// A `data_type`.
pub(super) fn data_type(field: &Field) -> Result<Option<DType>, Fault> {
    field.choice(TYPES)
}

/// One of `dims` or of a shape; -1 is any size.
pub(super) fn dim(field: &Field) -> Result<i64, Fault> {
    field.integer(-1, i64::MAX)
}

impl TensorConfig {
    pub(super) fn read_input(field: &Field, draft: &mut Draft) -> Result<TensorConfig, Fault> {
        TensorConfig::read(field, &schema::INPUT, draft)
    }

    pub(super) fn read_output(field: &Field, draft: &mut Draft) -> Result<TensorConfig, Fault> {
        TensorConfig::read(field, &schema::OUTPUT, draft)
    }

    fn read(tensor: &Field, fields: &Fields, draft: &mut Draft) -> Result<TensorConfig, Fault> {
        let (mut name, mut dtype, mut dims, mut reshape, mut labels) = (None, None, None, None, None);
        for field in fields.of(tensor.message()?)? {
            match field.name.as_str() {
                "name" => name = Some(field.text()?),
                "data_type" => dtype = data_type(field)?,
                "dims" => dims.get_or_insert_with(Vec::new).push(dim(field)?),
                "reshape" => reshape = Some((field, read_shape(field)?)),
                "label_filename" => labels = Some(field.text()?.to_owned()).filter(|name| !name.is_empty()),
                "format" => {
                    field.choice(&[("FORMAT_NONE", 0, ()), ("FORMAT_NHWC", 1, ()), ("FORMAT_NCHW", 2, ())])?;
                }
                "optional" => {
                    if field.flag()? {
                        draft.notice(
                            field,
                            "an input is optional if the model itself has a default for it, and only then",
                        );
                    }
                }
                "allow_ragged_batch" => {
                    if field.flag()? {
                        draft.notice(field, "requests of different shapes are not joined, but run one after the other");
                    }
                }
                _ => {
                    if field.flag()? {
                        draft.notice(field, "has no counterpart here");
                    }
                }
            }
        }
        let name = name.filter(|name| !name.is_empty()).ok_or_else(|| tensor.fault("has no name"))?.to_owned();
        if let Some((field, shape)) = reshape {
            if dims.as_ref() != Some(&shape) {
                draft.notice_of(
                    field,
                    &format!("{name}: reshape"),
                    "shapes are not changed: clients send and get the model's own, which is the one given here",
                );
            }
            dims = Some(shape);
        }
        Ok(TensorConfig { place: tensor.place, name, dtype, dims, labels })
    }

    /// Whether the model's input is what the configuration says.
    pub(super) fn check_input(&self, signature: &Signature, batch: Batch) -> Result<(), Fault> {
        let Some(input) = signature.inputs.iter().find(|input| input.name == self.name) else {
            let names: Vec<_> = signature.inputs.iter().map(|input| input.name.as_str()).collect();
            return Err(self.not_there("input", &names));
        };
        self.check("input", input, batch)
    }

    /// The same for an output.
    pub(super) fn check_output(&self, signature: &Signature, batch: Batch) -> Result<(), Fault> {
        let Some(output) = signature.outputs.iter().find(|output| output.name == self.name) else {
            let names: Vec<_> = signature.outputs.iter().map(|output| output.name.as_str()).collect();
            return Err(self.not_there("output", &names));
        };
        match &output.value {
            ValueType::Tensor { dtype, dims } => {
                let spec = TensorSpec { name: output.name.clone(), dtype: *dtype, dims: dims.clone() };
                self.check("output", &spec, batch)
            }
            other if self.dtype.is_some() || self.dims.is_some() => Err(Fault::new(
                self.place,
                format!("output '{}' of the model is a {other}, which a configuration has no words for", self.name),
            )),
            _ => Ok(()),
        }
    }

    fn not_there(&self, what: &str, names: &[&str]) -> Fault {
        let name: String = self.name.chars().take(80).collect();
        Fault::new(self.place, format!("the model has no {what} '{name}'; its {what}s are {}", names.join(", ")))
    }

    fn check(&self, what: &str, model: &TensorSpec, batch: Batch) -> Result<(), Fault> {
        let agrees = self.dtype.is_none_or(|dtype| dtype == model.dtype)
            && match (&self.dims, &model.dims) {
                (Some(dims), Some(own)) => agree(dims, own, batch),
                _ => true,
            };
        if agrees {
            return Ok(());
        }
        let mut config = model.clone();
        config.dtype = self.dtype.unwrap_or(model.dtype);
        if let Some(dims) = &self.dims {
            let batch = (batch == Batch::Left).then_some(Dim::Dynamic(None));
            let size = |dim: &i64| usize::try_from(*dim).map_or(Dim::Dynamic(None), Dim::Fixed);
            config.dims = Some(batch.into_iter().chain(dims.iter().map(size)).collect());
        }
        let batch = match batch {
            Batch::Left => " (max_batch_size is above 0, so dims begin behind the batch dimension)",
            Batch::None => " (max_batch_size is 0, so dims are all of the dimensions)",
            Batch::Unsaid => "",
        };
        Err(Fault::new(
            self.place,
            format!(
                "{what} '{}' is {config} by this configuration{batch}, and {model} by the model: correct data_type and dims, \
                 or leave them out",
                self.name
            ),
        ))
    }
}

/// Whether dims are those of the model: a size that the model leaves open may be given, one that it gives may not be left open.
fn agree(dims: &[i64], model: &[Dim], batch: Batch) -> bool {
    let behind = match (batch, model) {
        (Batch::None, _) => model,
        (Batch::Left, [Dim::Dynamic(_), behind @ ..]) => behind,
        (Batch::Left, _) => return false,
        (Batch::Unsaid, _) => return agree(dims, model, Batch::None) || agree(dims, model, Batch::Left),
    };
    let same = |(dim, own): (&i64, &Dim)| match own {
        Dim::Fixed(size) => usize::try_from(*dim) == Ok(*size),
        Dim::Dynamic(_) => true,
    };
    dims.len() == behind.len() && dims.iter().zip(behind).all(same)
}

fn read_shape(field: &Field) -> Result<Vec<i64>, Fault> {
    schema::RESHAPE.of(field.message()?)?.iter().map(dim).collect()
}

/// What the model has beyond the outputs that a configuration lists.
pub(super) fn unlisted_outputs(listed: &[TensorConfig], signature: &Signature) -> Option<Notice> {
    let first = listed.first()?;
    let is_listed = |name: &str| listed.iter().any(|output| output.name == name);
    let others: Vec<_> =
        signature.outputs.iter().map(|output| output.name.as_str()).filter(|name| !is_listed(name)).collect();
    (!others.is_empty()).then(|| Notice {
        place: first.place,
        field: "output".to_owned(),
        reason: format!(
            "the model's other outputs are answered too, unless a request names the ones it wants: {}",
            others.join(", ")
        ),
    })
}
