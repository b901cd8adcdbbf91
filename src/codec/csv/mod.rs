//! `text/csv`: a table with the names of its columns in the first line (RFC 4180), as MLflow's clients and spreadsheets send it.
//!
//! For a model with one matrix as its input the columns are the matrix's, by position, whatever their names. For a model with
//! an input for each column the names say which is which, in any order. Numbers are JSON's: what an input cannot hold is
//! refused with row and column. A cell with nothing in it is a missing value, as `null` is in JSON; `""` is an empty text.
//! Refused, too: rows of another length than the first line, quotes that do not close, columns
//! that are no inputs. Inputs of more than two dimensions cannot be sent this way.

mod encode;
mod quoting;

use csv::{ByteRecord, ReaderBuilder};

use self::quoting::RawFields;

pub use encode::encode;

use super::json::{Cells, cells, refuse};
use super::refusal::{self, malformed, quoted};
use super::{DecodeError, DecodeFault, ExtraColumns, Request, encoding};
use crate::tensor::{DType, Dim, Shape, Tensor, TensorSpec};

/// Takes in one CSV body.
#[derive(Debug)]
pub struct Receiver<'a> {
    request: Request<'a>,
    body: Vec<u8>,
}

impl<'a> Receiver<'a> {
    /// Fails at once if some input has no place in a table.
    pub fn new(request: Request<'a>) -> Result<Self, DecodeError> {
        Layout::of(&request)?;
        let capacity = request.announced_bytes.unwrap_or(0).min(request.max_bytes);
        Ok(Receiver { request, body: Vec::with_capacity(capacity) })
    }

    /// Takes the next bytes.
    pub fn push(&mut self, chunk: &[u8]) {
        self.body.extend_from_slice(chunk);
    }

    /// Ends the body: the model's inputs.
    pub fn finish(self) -> Result<Vec<Tensor>, DecodeError> {
        let look =
            |error| encoding::look(&self.body).map_or(error, |look| malformed(format!("the body is not CSV: {look}")));
        decode(&self.body, &self.request).map_err(look)
    }
}

/// What the columns are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// Those of the only input, in their order.
    Matrix,
    /// An input each, by name.
    Named,
}

impl Layout {
    fn of(request: &Request<'_>) -> Result<Layout, DecodeError> {
        let inputs = &request.signature.inputs;
        let rank = |spec: &TensorSpec| spec.dims.as_ref().map_or(2, Vec::len);
        match inputs.as_slice() {
            [single] if rank(single) == 2 => return Ok(Layout::Matrix),
            [] => return Err(malformed("the model has no inputs, so there is no table to be sent; send {} as JSON")),
            _ => {}
        }
        let is_column = |spec: &&TensorSpec| match spec.dims.as_deref() {
            None | Some([_]) => true,
            Some([_, columns]) => matches!(columns, Dim::Fixed(1) | Dim::Dynamic(_)),
            Some(_) => false,
        };
        match inputs.iter().find(|spec| !is_column(spec)) {
            None => Ok(Layout::Named),
            Some(spec) => {
                let why = "a column of a table has one value in each row; send JSON or a binary form";
                let message = format!("input '{}' is {spec}, which CSV cannot carry: {why}", spec.name);
                Err(DecodeError::new(DecodeFault::WrongShape, message).at(&spec.name).expected(spec.to_string()))
            }
        }
    }
}

/// A table on its way into the model's inputs.
struct Table<'r> {
    request: &'r Request<'r>,
    body: &'r [u8],
    layout: Layout,
    header: Vec<String>,
    /// For each column, the input it belongs to; `None` for what is dropped.
    input_of: Vec<Option<usize>>,
    /// For each input, its elements.
    cells: Vec<Box<dyn Cells>>,
    rows: usize,
}

fn decode(body: &[u8], request: &Request<'_>) -> Result<Vec<Tensor>, DecodeError> {
    // Whether quotes match cannot be told from the records: a quote that does not close takes in all that follows it.
    if memchr::memchr_iter(b'"', body).count() % 2 == 1 {
        return Err(malformed(
            "the body is not valid CSV: a quote is not closed; a quote inside of quotes is written twice",
        ));
    }
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(body);
    let mut record = ByteRecord::new();
    let mut next = |record: &mut ByteRecord| {
        reader.read_byte_record(record).map_err(|error| malformed(format!("the body is not valid CSV: {error}")))
    };
    if !next(&mut record)? {
        return Err(malformed("the body is empty; its first line must have the names of the columns"));
    }
    let mut table = Table::new(request, body, &record)?;
    while next(&mut record)? {
        table.take_row(&record)?;
    }
    table.finish()
}

impl<'r> Table<'r> {
    fn new(request: &'r Request<'r>, body: &'r [u8], header: &ByteRecord) -> Result<Self, DecodeError> {
        let layout = Layout::of(request)?;
        let name = |field: &[u8]| {
            let name = std::str::from_utf8(field).map_err(|_| malformed("the name of a column is not UTF-8"))?;
            Ok(name.trim().to_owned())
        };
        let header = header.iter().map(name).collect::<Result<Vec<_>, DecodeError>>()?;
        let inputs = &request.signature.inputs;
        let input_of = match layout {
            Layout::Matrix => {
                check_width(&inputs[0], &header)?;
                vec![Some(0); header.len()]
            }
            Layout::Named => by_name(request, &header)?,
        };
        let cells = inputs.iter().map(|spec| cells(spec.dtype, request.policy.null_input)).collect();
        Ok(Table { request, body, layout, header, input_of, cells, rows: 0 })
    }

    fn take_row(&mut self, record: &ByteRecord) -> Result<(), DecodeError> {
        self.rows += 1;
        let (width, got) = (self.header.len(), record.len());
        if got != width {
            let message = format!("row {} has {got} values, the first line names {width} columns", self.rows);
            let error = DecodeError::new(DecodeFault::WrongShape, message).at(format!("row {}", self.rows));
            return Err(error.expected(format!("{width} values")).got(format!("{got} values")));
        }
        let max = self.request.policy.max_elements;
        if self.rows.checked_mul(width).is_none_or(|elements| elements > max) {
            let message = format!("the table has more than {max} values, the most that one request may have");
            return Err(DecodeError::new(DecodeFault::TooLarge, message).expected(format!("at most {max} elements")));
        }
        let start = record.position().map_or(0, |position| usize::try_from(position.byte()).unwrap_or(usize::MAX));
        let mut raw = RawFields::new(self.body, start);
        for (column, text) in record.iter().enumerate() {
            let Some(input) = self.input_of[column] else { continue };
            let spec = &self.request.signature.inputs[input];
            let is_missing = text.is_empty() && spec.dtype == DType::String && !raw.is_quoted(column);
            if is_missing || !self.cells[input].push(text) {
                let mut error = refuse(text, spec, self.request.policy.null_input);
                let place = format!("row {}, column '{}'", self.rows, quoted(&self.header[column]));
                error.message = format!("{place}: {}", error.message);
                return Err(error.at(place));
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Vec<Tensor>, DecodeError> {
        let (rows, width) = (self.rows, self.header.len());
        let shape = |spec: &TensorSpec| match (self.layout, spec.dims.as_deref()) {
            (Layout::Matrix, _) => vec![rows, width],
            (Layout::Named, Some([_, _])) => vec![rows, 1],
            (Layout::Named, _) => vec![rows],
        };
        let tensor = |(cells, spec): (Box<dyn Cells>, &TensorSpec)| {
            let shape = shape(spec);
            refusal::check_rank(spec, shape.len(), self.request.policy.max_rank)?;
            spec.check_shape(&shape).map_err(|mismatch| refusal::wrong_shape(spec, &shape, mismatch))?;
            cells.finish(&shape).ok_or_else(|| refusal::wrong_shape(spec, &shape, Shape(&shape)))
        };
        self.cells.into_iter().zip(&self.request.signature.inputs).map(tensor).collect()
    }
}

/// The matrix must have as many columns as there are names.
fn check_width(spec: &TensorSpec, header: &[String]) -> Result<(), DecodeError> {
    let got = header.len();
    match spec.dims.as_deref() {
        Some([_, Dim::Fixed(width)]) if *width != got => {
            let message = format!(
                "input '{}' is {spec}, which has {width} columns; the first line names {got}{}",
                spec.name,
                index_hint(header)
            );
            let error = DecodeError::new(DecodeFault::WrongShape, message).at("row 0");
            Err(error.expected(format!("{width} columns")).got(format!("{got} columns")))
        }
        _ => Ok(()),
    }
}

/// The input that each column is; every input once.
fn by_name(request: &Request<'_>, header: &[String]) -> Result<Vec<Option<usize>>, DecodeError> {
    let signature = request.signature;
    let mut taken = vec![false; signature.inputs.len()];
    let mut input_of = Vec::with_capacity(header.len());
    for name in header {
        let Some(index) = signature.input_index(name) else {
            if request.policy.extra_columns == ExtraColumns::Drop {
                input_of.push(None);
                continue;
            }
            let mut error = refusal::unknown_input(signature, name);
            error.message.push_str(index_hint(header));
            return Err(error.at("row 0"));
        };
        if std::mem::replace(&mut taken[index], true) {
            return Err(refusal::repeated_input(name).at("row 0"));
        }
        input_of.push(Some(index));
    }
    match taken.iter().position(|taken| !taken) {
        Some(missing) => Err(refusal::missing_input(signature, &signature.inputs[missing]).at("row 0")),
        None => Ok(input_of),
    }
}

/// pandas writes the row labels as a first column without a name.
fn index_hint(header: &[String]) -> &'static str {
    match header.first().map(String::as_str) {
        Some("" | "Unnamed: 0") => {
            "; the first column has no name: pandas leaves the row labels out with to_csv(index=False)"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests;
