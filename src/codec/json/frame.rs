//! Tables: pandas frames in `split` and `records` orientation.
//!
//! For a model with one matrix as its input the columns are the matrix's, by position, whatever their names. For a model
//! with an input for each column the names say which is which, in any order.

use std::borrow::Cow;

use super::array::Rows;
use super::inputs::Inputs;
use super::members::{Items, Members};
use super::path::Within;
use super::refusal::{shown, wrong_type};
use super::scan::Scanner;
use super::string;
use crate::codec::{DecodeError, DecodeFault};
use crate::tensor::Dim;

/// Whether the object here is a frame in `split` orientation rather than inputs by name.
pub(super) fn is_split(mut scanner: Scanner<'_>, inputs: &Inputs<'_>) -> Result<bool, DecodeError> {
    let is_part = |key: &str| matches!(key, "columns" | "index" | "data");
    let ambiguous = inputs.signature().inputs.iter().any(|input| is_part(&input.name));
    let mut members = Members::open(&mut scanner)?;
    let (mut parts, mut named) = (true, true);
    let mut any = false;
    while let Some(key) = members.next(&mut scanner)? {
        any = true;
        parts &= is_part(&key);
        named &= inputs.signature().input_index(&key).is_some();
        if !ambiguous {
            break;
        }
        scanner.skip_value().in_member(&key)?;
    }
    Ok(any && parts && !named)
}

/// Reads `{"columns": […], "index": […], "data": [[…], …]}`; without `index`, and for a matrix also without `columns`.
pub(super) fn read_split(scanner: &mut Scanner<'_>, inputs: &mut Inputs<'_>) -> Result<(), DecodeError> {
    let (mut columns, mut index, mut rows, mut later) = (None, None, None, None);
    if scanner.peek() != Some(b'{') {
        return Err(wrong_type("an object with \"columns\" and \"data\"", scanner.skip_value()?));
    }
    let mut members = Members::open(scanner)?;
    while let Some(key) = members.next(scanner)? {
        match key.as_ref() {
            "columns" => columns = Some(read_columns(scanner, inputs).in_member("columns")?),
            "index" => index = Some(count_index(scanner).in_member("index")?),
            "data" if columns.is_some() => {
                rows = Some(read_rows(scanner, inputs, columns.as_deref()).in_member("data")?);
            }
            // The names decide what the values are, so the values have to wait.
            "data" => {
                later = Some(scanner.clone());
                scanner.skip_value().in_member("data")?;
            }
            other => {
                let message = format!("a frame has the keys columns, index and data, not {}", shown(other));
                return Err(inputs.wrong(message).got(shown(other)).in_member(other));
            }
        }
    }
    if let Some(mut data) = later {
        rows = Some(read_rows(&mut data, inputs, columns.as_deref()).in_member("data")?);
    }
    let Some(rows) = rows else {
        return Err(inputs.wrong("the frame has no \"data\"").got("no \"data\""));
    };
    match index {
        Some(labels) if labels != rows => {
            let message = format!("the index has {labels} labels, but there are {rows} rows");
            let error = DecodeError::new(DecodeFault::WrongShape, message);
            Err(error.expected(format!("length {rows}")).got(format!("length {labels}")).in_member("index"))
        }
        _ => Ok(()),
    }
}

/// The names of the columns. pandas also makes numbers of them, which are taken as written.
fn read_columns<'a>(scanner: &mut Scanner<'a>, inputs: &Inputs<'_>) -> Result<Vec<Cow<'a, str>>, DecodeError> {
    if scanner.peek() != Some(b'[') {
        return Err(wrong_type("a list of column names", scanner.skip_value()?));
    }
    let mut names = Vec::new();
    let mut items = Items::open(scanner)?;
    while items.next(scanner)? {
        let name = match scanner.peek() {
            Some(b'"') => string::take(scanner).in_item(items.index())?,
            Some(b'-' | b'0'..=b'9') => String::from_utf8_lossy(scanner.skip_value().in_item(items.index())?),
            _ => return Err(wrong_type("a column name", scanner.skip_value()?).in_item(items.index())),
        };
        names.push(name);
    }
    let declared = inputs.single().and_then(|spec| spec.dims.as_ref()).and_then(|dims| dims.get(1));
    match (declared, inputs.single()) {
        (Some(&Dim::Fixed(size)), Some(spec)) if size != names.len() => {
            let message = format!("expected {spec}, which has {size} columns, got {} column names", names.len());
            let error = DecodeError::new(DecodeFault::WrongShape, message);
            Err(error.expected(spec.to_string()).got(format!("{} columns", names.len())))
        }
        _ => Ok(names),
    }
}

fn count_index(scanner: &mut Scanner<'_>) -> Result<usize, DecodeError> {
    if scanner.peek() != Some(b'[') {
        return Err(wrong_type("a list of row labels", scanner.skip_value()?));
    }
    let mut items = Items::open(scanner)?;
    while items.next(scanner)? {
        scanner.skip_value().in_item(items.index())?;
    }
    Ok(items.count())
}

/// Reads a frame's rows and returns their number.
fn read_rows(
    scanner: &mut Scanner<'_>,
    inputs: &mut Inputs<'_>,
    columns: Option<&[Cow<'_, str>]>,
) -> Result<usize, DecodeError> {
    if columns.is_none() && matches!(scanner.brackets_ahead(), (1, Some(b'{'))) {
        return read_record_rows(scanner, inputs);
    }
    match (inputs.single(), columns) {
        (Some(spec), _) if spec.dims.as_ref().is_none_or(|dims| dims.len() != 1) => {
            inputs.read(0, scanner, columns.map(<[_]>::len))?;
            Ok(inputs.row_count(0))
        }
        (_, Some(columns)) => {
            let order = column_order(inputs, columns)?;
            read_columnar(scanner, inputs, &order)
        }
        (_, None) => Err(inputs.wrong(format!("the columns have no names: add \"columns\"; {}", inputs.listing()))),
    }
}

/// The input that each column is; `None` for what is dropped.
fn column_order(inputs: &Inputs<'_>, columns: &[Cow<'_, str>]) -> Result<Vec<Option<usize>>, DecodeError> {
    let mut taken = vec![false; inputs.signature().inputs.len()];
    let mut order = Vec::with_capacity(columns.len());
    for name in columns {
        // The error is about the columns; the caller is at the data, so the path stays there and the text names it.
        let Some(index) = inputs.known_column(name)? else {
            order.push(None);
            continue;
        };
        if std::mem::replace(&mut taken[index], true) {
            return Err(inputs.wrong(format!("the column {} is named twice", shown(name))).got(shown(name)));
        }
        order.push(Some(index));
    }
    inputs.check_columns(&taken)?;
    Ok(order)
}

/// Reads rows of one value for each column.
fn read_columnar(
    scanner: &mut Scanner<'_>,
    inputs: &mut Inputs<'_>,
    order: &[Option<usize>],
) -> Result<usize, DecodeError> {
    let mut table = Table::new(inputs);
    if scanner.peek() != Some(b'[') {
        return Err(wrong_type("a list of rows", scanner.skip_value()?));
    }
    let mut rows = Items::open(scanner)?;
    while rows.next(scanner)? {
        table.read_row(scanner, order).in_item(rows.index())?;
    }
    table.finish(inputs)?;
    Ok(rows.count())
}

/// Reads `[{"<column>": value, …}, …]`.
pub(super) fn read_records(scanner: &mut Scanner<'_>, inputs: &mut Inputs<'_>) -> Result<(), DecodeError> {
    read_record_rows(scanner, inputs).map(|_| ())
}

fn read_record_rows(scanner: &mut Scanner<'_>, inputs: &mut Inputs<'_>) -> Result<usize, DecodeError> {
    if scanner.peek() != Some(b'[') {
        return Err(wrong_type("a list of records: [{…}, …]", scanner.skip_value()?));
    }
    match inputs.single() {
        Some(spec) if spec.dims.as_ref().is_none_or(|dims| dims.len() == 2) => {
            let keys = first_keys(scanner.clone())?;
            if keys != [spec.name.as_str()] {
                return read_matrix(scanner, inputs, &keys);
            }
        }
        _ => {}
    }
    let mut table = Table::new(inputs);
    let mut rows = Items::open(scanner)?;
    while rows.next(scanner)? {
        table.read_record(scanner, inputs).in_item(rows.index())?;
    }
    table.finish(inputs)?;
    Ok(rows.count())
}

/// The keys of the first record.
fn first_keys(mut scanner: Scanner<'_>) -> Result<Vec<Cow<'_, str>>, DecodeError> {
    let mut keys = Vec::new();
    let mut items = Items::open(&mut scanner)?;
    if items.next(&mut scanner)? && scanner.peek() == Some(b'{') {
        let mut members = Members::open(&mut scanner)?;
        while let Some(key) = members.next(&mut scanner).in_item(0)? {
            scanner.skip_value().in_member(&key).in_item(0)?;
            keys.push(key);
        }
    }
    Ok(keys)
}

/// Reads records as the rows of a matrix. Their order is all that says which value is which, so it must be the same in each.
fn read_matrix(
    scanner: &mut Scanner<'_>,
    inputs: &mut Inputs<'_>,
    keys: &[Cow<'_, str>],
) -> Result<usize, DecodeError> {
    let mut matrix = inputs.rows(0);
    let mut rows = Items::open(scanner)?;
    while rows.next(scanner)? {
        read_matrix_row(scanner, inputs, matrix.as_mut(), keys).in_item(rows.index())?;
    }
    inputs.put(0, matrix.finish()?)?;
    Ok(rows.count())
}

fn read_matrix_row(
    scanner: &mut Scanner<'_>,
    inputs: &Inputs<'_>,
    matrix: &mut dyn Rows,
    keys: &[Cow<'_, str>],
) -> Result<(), DecodeError> {
    if scanner.peek() != Some(b'{') {
        return Err(wrong_type("a record: {…}", scanner.skip_value()?));
    }
    let mut expected = keys.iter();
    let differs = |found: String| {
        let message = format!(
            "the records differ: {found}. All must have the same columns in the same order, as the model takes one matrix; \
             \"dataframe_split\" says the columns once",
        );
        inputs.wrong(message)
    };
    let mut members = Members::open(scanner)?;
    while let Some(key) = members.next(scanner)? {
        match expected.next() {
            Some(wanted) if *wanted == key => matrix.push_cell(scanner).in_member(&key)?,
            Some(wanted) => {
                let error = differs(format!("the first has {} where this has {}", shown(wanted), shown(&key)));
                return Err(error.got(shown(&key)).in_member(&key));
            }
            None => {
                let error = differs(format!("this has {} beside the first's columns", shown(&key)));
                return Err(error.got(shown(&key)).in_member(&key));
            }
        }
    }
    if let Some(missing) = expected.next() {
        return Err(differs(format!("this has no {}", shown(missing))).got(format!("no {}", shown(missing))));
    }
    matrix.end_cells(keys.len())
}

/// All inputs of a model, growing row by row together.
struct Table<'r> {
    columns: Vec<Box<dyn Rows + 'r>>,
    /// The input that each member of the last record was: the next one most likely has the same order.
    order: Vec<usize>,
    /// Which inputs the current record has brought.
    brought: Vec<bool>,
}

impl<'r> Table<'r> {
    fn new(inputs: &Inputs<'r>) -> Self {
        let count = inputs.signature().inputs.len();
        Table {
            columns: (0..count).map(|index| inputs.rows(index)).collect(),
            order: Vec::new(),
            brought: vec![false; count],
        }
    }

    /// Reads one row of a frame.
    fn read_row(&mut self, scanner: &mut Scanner<'_>, order: &[Option<usize>]) -> Result<(), DecodeError> {
        if scanner.peek() != Some(b'[') {
            return Err(wrong_type("a row: a list with one value for each column", scanner.skip_value()?));
        }
        let mut cells = Items::open(scanner)?;
        while cells.next(scanner)? {
            match order.get(cells.index()) {
                Some(&Some(index)) => self.columns[index].push_row(scanner).in_item(cells.index())?,
                Some(None) | None => {
                    scanner.skip_value().in_item(cells.index())?;
                }
            }
        }
        if cells.count() == order.len() {
            return Ok(());
        }
        let message = format!("the row has {} values for {} columns", cells.count(), order.len());
        let error = DecodeError::new(DecodeFault::WrongShape, message);
        Err(error.expected(format!("length {}", order.len())).got(format!("length {}", cells.count())))
    }

    /// Reads one record.
    fn read_record(&mut self, scanner: &mut Scanner<'_>, inputs: &Inputs<'_>) -> Result<(), DecodeError> {
        if scanner.peek() != Some(b'{') {
            return Err(wrong_type("a record: {…}", scanner.skip_value()?));
        }
        let specs = &inputs.signature().inputs;
        self.brought.fill(false);
        let mut members = Members::open(scanner)?;
        for position in 0.. {
            let Some(key) = members.next(scanner)? else { break };
            let likely = self.order.get(position).copied().filter(|&index| specs[index].name == key);
            let found = likely.map_or_else(|| inputs.known_column(&key).in_member(&key), |index| Ok(Some(index)))?;
            let Some(index) = found else {
                scanner.skip_value().in_member(&key)?;
                continue;
            };
            if position == self.order.len() {
                self.order.push(index);
            }
            self.columns[index].push_row(scanner).in_member(&key)?;
            self.brought[index] = true;
        }
        inputs.check_columns(&self.brought)
    }

    fn finish(self, inputs: &mut Inputs<'_>) -> Result<(), DecodeError> {
        for (index, column) in self.columns.into_iter().enumerate() {
            let tensor = column.finish()?;
            inputs.put(index, tensor)?;
        }
        Ok(())
    }
}
