//! The model's inputs as they are filled from a body, in whatever order they come.

use super::array::{self, Bounds, Rows, Strings};
use super::mismatch;
use super::path::Within;
use super::refusal::shown;
use super::scan::Scanner;
use crate::codec::{DecodeError, DecodeFault, Dialect, ExtraColumns, Request, refusal};
use crate::tensor::{DType, Signature, Tensor, TensorSpec};

/// The most inputs that a message lists.
const LISTED: usize = 12;

/// One place for each input.
#[derive(Debug)]
pub(super) struct Inputs<'r> {
    request: Request<'r>,
    strings: Strings,
    tensors: Vec<Option<Tensor>>,
    /// Elements in `tensors`.
    elements: usize,
}

impl<'r> Inputs<'r> {
    pub fn new(request: Request<'r>, dialect: Dialect) -> Self {
        let strings = if dialect == Dialect::TensorFlowServing { Strings::TextOrBase64 } else { Strings::Text };
        Inputs { request, strings, tensors: request.signature.inputs.iter().map(|_| None).collect(), elements: 0 }
    }

    pub fn signature(&self) -> &'r Signature {
        self.request.signature
    }

    /// The only input, where there is one only.
    pub fn single(&self) -> Option<&'r TensorSpec> {
        match self.request.signature.inputs.as_slice() {
            [single] => Some(single),
            _ => None,
        }
    }

    /// Whether the only input is of strings, which may come as base64.
    pub fn takes_base64(&self) -> bool {
        self.strings == Strings::TextOrBase64 && self.single().is_some_and(|input| input.dtype == DType::String)
    }

    /// Reads the input of this index from the value here. `columns` as in [`array::read`].
    pub fn read(&mut self, index: usize, scanner: &mut Scanner<'_>, columns: Option<usize>) -> Result<(), DecodeError> {
        let spec = &self.request.signature.inputs[index];
        let tensor = array::read(scanner, spec, self.bounds(), columns)?;
        self.put(index, tensor)
    }

    /// Reads the members of an object as inputs by name.
    pub fn read_named(&mut self, scanner: &mut Scanner<'_>) -> Result<(), DecodeError> {
        let mut members = super::members::Members::open(scanner)?;
        while let Some(key) = members.next(scanner)? {
            let index = self.signature().input_index(&key).ok_or_else(|| self.unknown(&key))?;
            self.read(index, scanner, None).in_member(&key)?;
        }
        Ok(())
    }

    /// Starts to read an input row by row; it ends with [`Self::put`].
    pub fn rows(&self, index: usize) -> Box<dyn Rows + 'r> {
        array::rows(&self.request.signature.inputs[index], self.bounds())
    }

    pub fn put(&mut self, index: usize, tensor: Tensor) -> Result<(), DecodeError> {
        self.elements = self.elements.saturating_add(tensor.len());
        if self.elements > self.request.policy.max_elements {
            return Err(mismatch::too_large(self.request.policy.max_elements));
        }
        refusal::check_rank(&self.request.signature.inputs[index], tensor.shape().len(), self.request.policy.max_rank)?;
        self.tensors[index] = Some(tensor);
        Ok(())
    }

    /// The rows of an input that has been read.
    pub fn row_count(&self, index: usize) -> usize {
        self.tensors[index].as_ref().and_then(|tensor| tensor.shape().first().copied()).unwrap_or(0)
    }

    /// All inputs, if none is missing.
    pub fn finish(self) -> Result<Vec<Tensor>, DecodeError> {
        if self.tensors.iter().any(Option::is_none) {
            let brought: Vec<bool> = self.tensors.iter().map(Option::is_some).collect();
            self.check_brought("input", &brought)?;
        }
        Ok(self.tensors.into_iter().flatten().collect())
    }

    /// A row or a frame must bring every input.
    pub fn check_columns(&self, brought: &[bool]) -> Result<(), DecodeError> {
        self.check_brought("column", brought)
    }

    fn check_brought(&self, noun: &str, brought: &[bool]) -> Result<(), DecodeError> {
        let inputs = self.request.signature.inputs.iter().zip(brought);
        let missing: Vec<String> =
            inputs.filter(|(_, brought)| !**brought).map(|(input, _)| shown(&input.name)).take(LISTED).collect();
        let plural = match missing.len() {
            0 => return Ok(()),
            1 => "",
            _ => "s",
        };
        let missing = missing.join(", ");
        let message = format!("missing {noun}{plural} {missing}; {}", self.listing());
        Err(self.wrong(message).got(format!("no {missing}")))
    }

    /// The input that a column is; `None` if it is none and is dropped.
    pub fn known_column(&self, name: &str) -> Result<Option<usize>, DecodeError> {
        match (self.signature().input_index(name), self.request.policy.extra_columns) {
            (Some(index), _) => Ok(Some(index)),
            (None, ExtraColumns::Drop) => Ok(None),
            (None, ExtraColumns::Refuse) => Err(self.unknown_column(name)),
        }
    }

    /// A column that is none of the inputs.
    fn unknown_column(&self, name: &str) -> DecodeError {
        let message = format!("there is no column {}{}: {}", shown(name), self.suggestion(name), self.listing());
        self.wrong(message).got(shown(name))
    }

    /// A key that is none of the inputs' names.
    pub fn unknown(&self, key: &str) -> DecodeError {
        let message = format!("there is no input {}{}: {}", shown(key), self.suggestion(key), self.listing());
        self.wrong(message).got(shown(key)).in_member(key)
    }

    /// The input that was most likely meant.
    fn suggestion(&self, key: &str) -> String {
        let names = self.signature().inputs.iter().map(|input| input.name.as_str());
        let near = names.map(|name| (strsim::jaro_winkler(name, key), name)).max_by(|a, b| a.0.total_cmp(&b.0));
        match near {
            Some((likeness, name)) if likeness > 0.85 && key.len() < 200 => format!(" (did you mean {}?)", shown(name)),
            _ => String::new(),
        }
    }

    /// An error about which inputs there are, with the list of them as what was expected.
    pub fn wrong(&self, message: impl Into<String>) -> DecodeError {
        DecodeError::new(DecodeFault::WrongInputs, message).expected(self.names())
    }

    /// `the model's inputs are 'x' float32[N, 10], 'mask' bool[N]`.
    pub fn listing(&self) -> String {
        match self.signature().inputs.len() {
            0 => "the model has no inputs, so send {}".to_owned(),
            1 => format!("the model's only input is {}", self.names()),
            _ => format!("the model's inputs are {}", self.names()),
        }
    }

    fn names(&self) -> String {
        let inputs = &self.signature().inputs;
        let mut names: Vec<String> =
            inputs.iter().take(LISTED).map(|input| format!("{} {input}", shown(&input.name))).collect();
        if inputs.len() > LISTED {
            names.push(format!("and {} more", inputs.len() - LISTED));
        }
        names.join(", ")
    }

    fn bounds(&self) -> Bounds {
        let policy = self.request.policy;
        Bounds {
            null_input: policy.null_input,
            max_elements: policy.max_elements,
            elements_left: policy.max_elements.saturating_sub(self.elements),
            strings: self.strings,
        }
    }
}
