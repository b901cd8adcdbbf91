//! Nested arrays into a tensor's buffer.
//!
//! A [`Filler`] reads one input, either all of it at once or row by row where a body brings it so (records, columns). It
//! holds the buffer that becomes the tensor: every number goes from the body's text to its final place. What it is in the
//! middle of is told by the callers' positions; errors are put together afterwards, in [`super::mismatch`].

use ndarray::{Array2, ArrayD};

use super::base64;
use super::members::Items;
use super::mismatch;
use super::path::Within;
use super::scalar::Scalar;
use super::scan::{Scanner, skip_space};
use super::vector::Stop;
use crate::codec::{DecodeError, NullInput};
use crate::tensor::{Dim, Tensor, TensorSpec, with_dtype};

/// What a filler must not exceed.
#[derive(Clone, Copy, Debug)]
pub(in crate::codec) struct Bounds {
    pub null_input: NullInput,
    /// Elements that all inputs together may have.
    pub max_elements: usize,
    /// Elements of these that this input may have.
    pub elements_left: usize,
    /// What strings may come as.
    pub strings: Strings,
}

/// The forms of a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::codec) enum Strings {
    Text,
    /// Also as [`base64`].
    TextOrBase64,
}

/// The size of one dimension, once it is known.
#[derive(Clone, Debug, Default)]
pub(super) struct Axis {
    pub size: Option<usize>,
    pub source: Source,
}

/// Who says how large a dimension is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Source {
    /// The model.
    #[default]
    Model,
    /// The list of column names that came with the data.
    Columns,
    /// The first row of this body.
    FirstRow,
    /// The shape that came with the data.
    Shape,
}

/// Reads one input.
#[derive(Debug)]
pub(super) struct Filler<'s, T> {
    spec: &'s TensorSpec,
    bounds: Bounds,
    values: Vec<T>,
    /// Outermost first. `None` until the number of dimensions is known.
    axes: Option<Vec<Axis>>,
    /// Complete rows, where the input comes row by row.
    rows: usize,
}

/// A [`Filler`] of whatever type, for inputs that come row by row.
pub(super) trait Rows {
    /// Reads one row of the input: a value for each element behind the first dimension. A bare value will do where a row has
    /// only one.
    fn push_row(&mut self, scanner: &mut Scanner<'_>) -> Result<(), DecodeError>;

    /// Reads one bare value of a row that is spread over an object's members.
    fn push_cell(&mut self, scanner: &mut Scanner<'_>) -> Result<(), DecodeError>;

    /// Ends a row that was read cell by cell.
    fn end_cells(&mut self, cells: usize) -> Result<(), DecodeError>;

    /// The tensor.
    fn finish(self: Box<Self>) -> Result<Tensor, DecodeError>;
}

/// Reads a whole input. `columns` is the number of column names that came with it, if any did.
pub(super) fn read(
    scanner: &mut Scanner<'_>,
    spec: &TensorSpec,
    bounds: Bounds,
    columns: Option<usize>,
) -> Result<Tensor, DecodeError> {
    with_dtype!(spec.dtype, T => {
        let mut filler = Filler::<T>::new(spec, bounds);
        filler.read_whole(scanner, columns)?;
        filler.into_tensor()
    })
}

/// Reads an input whose shape came with it, and has been checked: its elements in one flat list, or nested as the shape says.
pub(in crate::codec) fn read_shaped(
    scanner: &mut Scanner<'_>,
    spec: &TensorSpec,
    bounds: Bounds,
    shape: &[usize],
) -> Result<Tensor, DecodeError> {
    let axes = |sizes: &[usize]| -> Vec<Axis> {
        sizes.iter().map(|&size| Axis { size: Some(size), source: Source::Shape }).collect()
    };
    let (brackets, _) = scanner.brackets_ahead();
    with_dtype!(spec.dtype, T => {
        let mut filler = Filler::<T>::new(spec, bounds);
        filler.axes = Some(axes(shape));
        if brackets != shape.len() {
            if brackets != 1 {
                return Err(mismatch::nesting(scanner, shape));
            }
            filler.axes = Some(axes(&[bounds.elements_left]));
        }
        filler.reserve(scanner);
        filler.read_array(scanner, 0)?;
        filler.axes = Some(axes(shape));
        filler.into_tensor()
    })
}

/// Starts to read an input row by row.
pub(super) fn rows<'s>(spec: &'s TensorSpec, bounds: Bounds) -> Box<dyn Rows + 's> {
    with_dtype!(spec.dtype, T => Box::new(Filler::<T>::new(spec, bounds)))
}

/// A run of fewer elements is not worth looking for.
const RUN_LENGTH_MIN: usize = 4;

/// So many times in sequence, and no more runs are looked for in a row.
const RUN_MISSES_MAX: u32 = 3;

impl<'s, T: Scalar> Filler<'s, T> {
    fn new(spec: &'s TensorSpec, bounds: Bounds) -> Self {
        let axis = |dim: &Dim| match *dim {
            Dim::Fixed(size) => Axis { size: Some(size), source: Source::Model },
            Dim::Dynamic(_) => Axis::default(),
        };
        let axes = spec.dims.as_ref().map(|dims| dims.iter().map(axis).collect());
        Filler { spec, bounds, values: Vec::new(), axes, rows: 0 }
    }

    fn read_whole(&mut self, scanner: &mut Scanner<'_>, columns: Option<usize>) -> Result<(), DecodeError> {
        let (brackets, next) = scanner.brackets_ahead();
        let least = if columns.is_some() { 2 } else { 0 };
        let rank = self.axes.get_or_insert_with(|| vec![Axis::default(); brackets.max(least)]).len();
        // An empty list may stand for one of more dimensions, and a body that ends here is refused as that.
        let shallow = brackets < rank && !(brackets > 0 && matches!(next, None | Some(b']')));
        if brackets > rank || shallow {
            return Err(mismatch::rank::<T>(scanner, self.spec, self.bounds.null_input, rank, columns));
        }
        if let (Some(axis), Some(columns)) = (self.axes.as_mut().and_then(|axes| axes.get_mut(1)), columns) {
            axis.size = Some(columns);
            axis.source = Source::Columns;
        }
        self.reserve(scanner);
        self.rows = self.read_array(scanner, 0)?;
        Ok(())
    }

    /// Makes room for what the declared dimensions promise, or for a guess; never for more than the body has bytes to fill.
    fn reserve(&mut self, scanner: &Scanner<'_>) {
        let bytes_left = scanner.rest().len();
        let axes = self.axes.as_deref().unwrap_or_default();
        let promised = axes.iter().filter_map(|axis| axis.size).try_fold(1usize, usize::checked_mul);
        // Numbers of full precision take 8 to 20 bytes; an element and its comma take at least 2.
        let guess = (bytes_left / 8).max(promised.unwrap_or(usize::MAX).min(bytes_left / 2)) + 1;
        let element = size_of::<T>().max(1);
        let room = guess.min(bytes_left * 4 / element + 1).min(self.bounds.elements_left);
        // Elements are appended eight at a time, and those that are too many cut off again.
        self.values.reserve_exact(room + 7);
    }

    /// Reads the array at this axis, or one element behind the last. Returns the number of its items.
    fn read_array(&mut self, scanner: &mut Scanner<'_>, axis: usize) -> Result<usize, DecodeError> {
        let rank = self.axes.as_ref().map_or(0, Vec::len);
        if axis == rank {
            self.read_element(scanner)?;
            return Ok(1);
        }
        if scanner.peek() != Some(b'[') {
            return Err(mismatch::not_an_array::<T>(scanner, self.spec, self.bounds.null_input, rank - axis));
        }
        let start = scanner.clone();
        let count = if axis + 1 == rank { self.read_row(scanner, axis)? } else { self.read_outer(scanner, axis)? };
        self.settle(axis, count).map_err(|known| self.wrong_size(&start, axis, &known))?;
        Ok(count)
    }

    /// Reads an array of arrays.
    fn read_outer(&mut self, scanner: &mut Scanner<'_>, axis: usize) -> Result<usize, DecodeError> {
        let known = self.known(axis);
        let most = known.size.unwrap_or(usize::MAX);
        let start = scanner.clone();
        let mut items = Items::open(scanner)?;
        while items.next(scanner)? {
            if items.index() >= most {
                return Err(self.wrong_size(&start, axis, &known));
            }
            self.read_array(scanner, axis + 1).in_item(items.index())?;
        }
        Ok(items.count())
    }

    /// Reads an array of elements: the loop in which a large body's time is spent.
    fn read_row(&mut self, scanner: &mut Scanner<'_>, axis: usize) -> Result<usize, DecodeError> {
        let known = self.known(axis);
        let budget = self.bounds.elements_left - self.values.len();
        let most = known.size.unwrap_or(usize::MAX);
        let start = scanner.clone();
        scanner.open(b'[')?;
        if scanner.peek() == Some(b']') {
            scanner.close();
            return Ok(0);
        }
        let first = self.values.len();
        let stop = first + most.min(budget);
        // A local list, so that the loop keeps it in registers. It is lost if there is an error, as all is.
        let mut values = std::mem::take(&mut self.values);
        let mut rest = scanner.rest();
        // How often a run of plain numbers was looked for in vain.
        let mut misses = 0;
        loop {
            if misses < RUN_MISSES_MAX {
                let before = values.len();
                scanner.resume(rest);
                let (body, at) = scanner.position();
                match T::parse_run(body, at, &mut values, stop) {
                    Stop::End(at) => {
                        scanner.resume_at(at);
                        scanner.close();
                        break;
                    }
                    Stop::Before(at) => {
                        scanner.resume_at(at);
                        rest = skip_space(scanner.rest());
                        misses = if values.len() - before < RUN_LENGTH_MIN { misses + 1 } else { 0 };
                    }
                }
            }
            if values.len() == stop {
                let too_many = budget < most;
                return Err(if too_many {
                    mismatch::too_large(self.bounds.max_elements)
                } else {
                    self.wrong_size(&start, axis, &known)
                });
            }
            match T::parse(rest) {
                Some((value, after)) => {
                    values.push(value);
                    rest = after;
                }
                None => {
                    scanner.resume(rest);
                    self.values = values;
                    self.read_element(scanner).in_item(self.values.len() - first)?;
                    values = std::mem::take(&mut self.values);
                    rest = scanner.rest();
                }
            }
            if let [b',', next @ ..] = rest {
                rest = next;
            } else {
                scanner.resume(rest);
                if scanner.peek() == Some(b']') {
                    scanner.close();
                    break;
                }
                if !scanner.take(b',') {
                    // Most often what follows is the rest of a bad number, such as `01` or `1.`.
                    scanner.resume(rest);
                    return Err(mismatch::separator::<T>(scanner).in_item(values.len() - first - 1));
                }
                rest = scanner.rest();
            }
            if matches!(rest, [..=b' ', ..]) {
                rest = skip_space(rest);
            }
        }
        self.values = values;
        Ok(self.values.len() - first)
    }

    /// Reads one element, or says why the value here is none.
    fn read_element(&mut self, scanner: &mut Scanner<'_>) -> Result<(), DecodeError> {
        if self.values.len() >= self.bounds.elements_left {
            return Err(mismatch::too_large(self.bounds.max_elements));
        }
        let first = scanner.peek();
        if let Some((value, rest)) = T::parse(scanner.rest()) {
            scanner.resume(rest);
            // `01` parses as `0`: what follows must not be the rest of a number.
            if matches!(rest.first(), Some(b'0'..=b'9')) {
                return Err(mismatch::separator::<T>(scanner));
            }
            self.values.push(value);
            return Ok(());
        }
        if first == Some(b'n')
            && self.bounds.null_input == NullInput::NaN
            && let (Some(value), Some(rest)) = (T::NULL, scanner.rest().strip_prefix(b"null"))
        {
            scanner.resume(rest);
            self.values.push(value);
            return Ok(());
        }
        if first == Some(b'{') && self.bounds.strings == Strings::TextOrBase64 && base64::is_wrapped(scanner.clone())? {
            let wrapped = scanner.clone();
            let text = base64::take(scanner)?;
            let value = T::from_text(text);
            let value = value.ok_or_else(|| mismatch::element::<T>(&wrapped, self.spec, self.bounds.null_input))?;
            self.values.push(value);
            return Ok(());
        }
        Err(mismatch::element::<T>(scanner, self.spec, self.bounds.null_input))
    }

    fn known(&self, axis: usize) -> Axis {
        self.axes.as_ref().and_then(|axes| axes.get(axis)).cloned().unwrap_or_default()
    }

    /// An array at this axis had so many items: as many as it must have?
    fn settle(&mut self, axis: usize, count: usize) -> Result<(), Axis> {
        let Some(known) = self.axes.as_mut().and_then(|axes| axes.get_mut(axis)) else { return Ok(()) };
        match known.size {
            None => *known = Axis { size: Some(count), source: Source::FirstRow },
            Some(size) if size != count => return Err(known.clone()),
            Some(_) => {}
        }
        Ok(())
    }

    /// The array that starts here has another size than it must.
    #[cold]
    fn wrong_size(&self, start: &Scanner<'_>, axis: usize, known: &Axis) -> DecodeError {
        mismatch::size(start, self.spec, axis, known)
    }

    fn into_tensor(mut self) -> Result<Tensor, DecodeError> {
        // The guess was for the whole rest of the body: many small inputs must not keep that much each.
        if self.values.capacity() / 2 > self.values.len() + 64 {
            self.values.shrink_to_fit();
        }
        let axes = self.axes.unwrap_or_default();
        // A dimension behind an empty one was never seen: it is as the model says, or zero.
        let size = |axis: &Axis| axis.size.unwrap_or(0);
        // Most inputs have two dimensions, and arrays of a known number of them are put together at a fraction of the cost.
        let array = match axes.as_slice() {
            [rows, columns] => Array2::from_shape_vec((size(rows), size(columns)), self.values).map(Array2::into_dyn),
            _ => ArrayD::from_shape_vec(axes.iter().map(size).collect::<Vec<_>>(), self.values),
        };
        array.map(T::wrap).map_err(|_| mismatch::too_large(self.bounds.max_elements))
    }
}

impl<T: Scalar> Rows for Filler<'_, T> {
    fn push_row(&mut self, scanner: &mut Scanner<'_>) -> Result<(), DecodeError> {
        let (brackets, _) = scanner.brackets_ahead();
        let axes = self.axes.get_or_insert_with(|| vec![Axis::default(); brackets + 1]);
        if axes.is_empty() {
            return Err(mismatch::no_rows(self.spec));
        }
        let single = axes[1..].iter().all(|axis| matches!(axis.size, None | Some(1)));
        if axes.len() > 1 && brackets == 0 && single {
            axes[1..].iter_mut().for_each(|axis| axis.size = Some(1));
            self.read_element(scanner)?;
        } else {
            self.read_array(scanner, 1)?;
        }
        self.rows += 1;
        Ok(())
    }

    fn push_cell(&mut self, scanner: &mut Scanner<'_>) -> Result<(), DecodeError> {
        self.read_element(scanner)
    }

    fn end_cells(&mut self, cells: usize) -> Result<(), DecodeError> {
        self.axes.get_or_insert_with(|| vec![Axis::default(); 2]);
        self.settle(1, cells).map_err(|known| mismatch::cells(self.spec, cells, &known))?;
        self.rows += 1;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<Tensor, DecodeError> {
        let rows = self.rows;
        self.axes.get_or_insert_with(|| vec![Axis::default()]);
        self.settle(0, rows).map_err(|known| mismatch::row_count(self.spec, rows, &known))?;
        self.into_tensor()
    }
}
