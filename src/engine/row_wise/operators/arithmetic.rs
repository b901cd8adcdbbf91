//! Shapes that the graph computes: operators on short lists of integers, element by element.

use crate::engine::row_wise::call::{Call, axis};
use crate::engine::row_wise::known::{Known, Tensor};
use crate::engine::row_wise::size::{Size, Symbols, product};

use super::is_standard;

/// Numbers of the element types that hold every size: float32, int32, int64, float64, uint32, uint64.
const WIDE: [i64; 6] = [1, 6, 7, 11, 12, 13];

/// The numbers that come out, if all inputs are short lists or scalars whose elements are known, if only as symbols.
pub fn output(call: &Call<'_>) -> Option<Tensor> {
    if !is_standard(call) || call.inputs.is_empty() {
        return None;
    }
    let op = call.op();
    match op {
        "Gather" => return gathered(call),
        "Slice" => return sliced(call).or_else(|| turned(call)),
        "Reshape" | "Squeeze" | "Unsqueeze" => return reshaped(call).or_else(|| in_pairs(call)),
        "Transpose" => return transposed(call),
        _ => {}
    }
    let lists = (0..call.inputs.len()).map(|index| list(call, index)).collect::<Option<Vec<_>>>()?;
    match op {
        "Identity" => Some(lists.first()?.tensor()),
        "Cast" => cast(call, lists.first()?),
        "Concat" => concatenated(&lists),
        "ReduceProd" | "ReduceSum" if lists.len() == 1 => reduced(call, op, lists.first()?),
        "Where" => each(&lists, |of| chosen(of, call.symbols)),
        "Neg" => each(&lists, |of| of[0].negated()),
        _ => each(&lists, |of| computed(op, of, call.symbols)),
    }
}

/// A vector or a scalar.
struct List<'a> {
    is_scalar: bool,
    elements: &'a [Size],
}

impl List<'_> {
    fn tensor(&self) -> Tensor {
        made(self.is_scalar, self.elements.to_vec())
    }
}

fn made(is_scalar: bool, elements: Vec<Size>) -> Tensor {
    let tensor = Tensor::list(elements);
    if is_scalar { Tensor { dims: Vec::new(), ..tensor } } else { tensor }
}

fn list<'a>(call: &'a Call<'_>, index: usize) -> Option<List<'a>> {
    let elements = call.elements(index)?;
    match call.input(index)? {
        Known::Tensor(tensor) => Some(List { is_scalar: tensor.rank() == 0, elements }),
        _ => None,
    }
}

/// One element after the other, of lists of one length or 1.
fn each(lists: &[List<'_>], compute: impl Fn(&[&Size]) -> Option<Size>) -> Option<Tensor> {
    let count = lists.iter().map(|list| list.elements.len()).find(|&count| count != 1).unwrap_or(1);
    if lists.iter().any(|list| list.elements.len() != 1 && list.elements.len() != count) {
        return None;
    }
    let element = |index: usize| {
        let of: Vec<&Size> =
            lists.iter().map(|list| &list.elements[if list.elements.len() == 1 { 0 } else { index }]).collect();
        compute(&of)
    };
    let elements = (0..count).map(element).collect::<Option<Vec<_>>>()?;
    Some(made(lists.iter().all(|list| list.is_scalar), elements))
}

/// `None` where the result would depend on the number of rows in a way that a [`Size`] cannot say, or the operator is not one of
/// these.
fn computed(op: &str, of: &[&Size], symbols: &Symbols) -> Option<Size> {
    let exact = match (op, of) {
        ("Add", [a, b]) => a.plus(b),
        ("Sub", [a, b]) => a.plus(&b.negated()?),
        ("Mul", [a, b]) => a.times(b),
        ("Div", [a, b]) => a.divided_by(b),
        ("Max" | "Min" | "Mod", [a, b]) => match (a.known(), b.known()) {
            (Some(a), Some(b)) if op == "Max" => Some(Size::of(a.max(b))),
            (Some(a), Some(b)) if op == "Min" => Some(Size::of(a.min(b))),
            (Some(a), Some(b)) if a >= 0 && b > 0 => Some(Size::of(a % b)),
            _ => (a == b && op != "Mod").then(|| (*a).clone()),
        },
        ("Equal" | "Less" | "Greater" | "LessOrEqual" | "GreaterOrEqual", [a, b]) => compared(op, a, b),
        ("Not", [a]) => a.known().map(|a| Size::of((a == 0).into())),
        ("And" | "Or", [a, b]) => {
            let (a, b) = (a.known()? != 0, b.known()? != 0);
            Some(Size::of(if op == "And" { a && b } else { a || b }.into()))
        }
        _ => return None,
    };
    let how = match op {
        "Add" => "add",
        "Sub" => "subtract",
        "Mul" => "multiply",
        "Div" => "divide",
        "Max" => "greatest",
        "Min" => "least",
        "Mod" => "remainder",
        "Equal" => "equal",
        "Less" => "less",
        "Greater" => "greater",
        "LessOrEqual" => "less or equal",
        "GreaterOrEqual" => "greater or equal",
        "Not" => "not",
        _ => "logic",
    };
    exact.or_else(|| (!of.iter().any(|size| size.has_rows())).then(|| symbols.integer_from(how, of)))
}

/// There is at least one row, and no size is negative.
fn compared(op: &str, a: &Size, b: &Size) -> Option<Size> {
    let truth = |is: bool| Some(Size::of(is.into()));
    if let (Some(a), Some(b)) = (a.known(), b.known()) {
        return truth(match op {
            "Equal" => a == b,
            "Less" => a < b,
            "Greater" => a > b,
            "LessOrEqual" => a <= b,
            _ => a >= b,
        });
    }
    if a == b {
        return truth(matches!(op, "Equal" | "LessOrEqual" | "GreaterOrEqual"));
    }
    let is_negative = |size: &Size| size.known().is_some_and(|number| number < 0);
    if a.is_not_negative() && is_negative(b) {
        return truth(matches!(op, "Greater" | "GreaterOrEqual"));
    }
    if is_negative(a) && b.is_not_negative() {
        return truth(matches!(op, "Less" | "LessOrEqual"));
    }
    None
}

fn chosen(of: &[&Size], symbols: &Symbols) -> Option<Size> {
    let [condition, yes, no] = of else { return None };
    match condition.known() {
        Some(0) => Some((*no).clone()),
        Some(_) => Some((*yes).clone()),
        None if yes == no => Some((*yes).clone()),
        None => (!of.iter().any(|size| size.has_rows())).then(|| symbols.integer_from("where", of)),
    }
}

fn cast(call: &Call<'_>, list: &List<'_>) -> Option<Tensor> {
    let is_wide = WIDE.contains(&call.number("to")?);
    let element = |size: &Size| match size.known() {
        Some(0 | 1) => Some(size.clone()),
        known if is_wide && (known.is_some() || size.is_not_negative()) => Some(size.clone()),
        // Of what is not known to be an integer something may be cut off.
        _ => (!size.has_rows()).then(|| call.symbols.integer_from("cast", &[size])),
    };
    let elements = list.elements.iter().map(element).collect::<Option<Vec<_>>>()?;
    Some(made(list.is_scalar, elements))
}

fn concatenated(lists: &[List<'_>]) -> Option<Tensor> {
    if lists.iter().any(|list| list.is_scalar) {
        return None;
    }
    Some(Tensor::list(lists.iter().flat_map(|list| list.elements).cloned().collect()))
}

fn reduced(call: &Call<'_>, op: &str, list: &List<'_>) -> Option<Tensor> {
    if list.is_scalar || call.is_set("noop_with_empty_axes") {
        return None;
    }
    let result = match op {
        "ReduceProd" => product(list.elements)?,
        _ => list.elements.iter().try_fold(Size::ZERO, |sum, size| sum.plus(size))?,
    };
    Some(made(call.number("keepdims") == Some(0), vec![result]))
}

fn gathered(call: &Call<'_>) -> Option<Tensor> {
    let (data, places) = (list(call, 0).filter(|data| !data.is_scalar)?, list(call, 1)?);
    let element = |place: &Size| {
        let place = axis(place.known()?, data.elements.len())?;
        Some(data.elements[place].clone())
    };
    let elements = places.elements.iter().map(element).collect::<Option<Vec<_>>>()?;
    Some(made(places.is_scalar, elements))
}

fn sliced(call: &Call<'_>) -> Option<Tensor> {
    let data = list(call, 0).filter(|data| !data.is_scalar)?;
    let single = |name: &str, input: usize, default: i64| match call.list(name, input).ok()? {
        Some(numbers) if numbers.len() == 1 => Some(numbers[0]),
        Some(_) => None,
        None => Some(default),
    };
    let (start, end, step) = (single("starts", 1, 0)?, single("ends", 2, 0)?, single("steps", 4, 1)?);
    if !matches!(single("axes", 3, 0)?, 0 | -1) || step != 1 {
        return None;
    }
    let count = i64::try_from(data.elements.len()).ok()?;
    let place = |number: i64| if number < 0 { number.saturating_add(count) } else { number }.clamp(0, count) as usize;
    let (start, end) = (place(start), place(end));
    Some(Tensor::list(data.elements.get(start..end.max(start))?.to_vec()))
}

/// The same elements as a vector or a scalar.
fn reshaped(call: &Call<'_>) -> Option<Tensor> {
    let data = list(call, 0)?;
    let count = data.elements.len();
    let is_scalar = match call.op() {
        "Reshape" => match call.list("shape", 1).ok()??.as_slice() {
            [] if count == 1 => true,
            &[size] if size == -1 || usize::try_from(size) == Ok(count) => false,
            _ => return None,
        },
        "Unsqueeze" if data.is_scalar && call.list("axes", 1).ok()??.len() == 1 => false,
        "Squeeze" if !data.is_scalar && count == 1 => true,
        "Squeeze" if data.is_scalar => true,
        _ => return None,
    };
    Some(made(is_scalar, data.elements.to_vec()))
}

/// A short table: rows of so many elements.
fn table<'a>(call: &'a Call<'_>) -> Option<(&'a [Size], usize)> {
    match call.input(0)? {
        Known::Tensor(Tensor { dims, elements: Some(elements), .. }) if dims.len() == 2 => {
            Some((elements, usize::try_from(dims[1].known()?).ok().filter(|&width| width > 0)?))
        }
        _ => None,
    }
}

fn made_table(elements: Vec<Size>, width: usize) -> Option<Tensor> {
    let height = elements.len().checked_div(width)?;
    let dims = [height, width].map(|size| Size::of(size as i64)).to_vec();
    Some(Tensor { dims, ..Tensor::list(elements) })
}

/// A list as a table, or a table as a list. PyTorch exports the sizes of a padding so, since ONNX wants them in another order.
fn in_pairs(call: &Call<'_>) -> Option<Tensor> {
    if call.op() != "Reshape" {
        return None;
    }
    match call.list("shape", 1).ok()??.as_slice() {
        [-1] => table(call).map(|(elements, _)| Tensor::list(elements.to_vec())),
        &[-1, width] => {
            let (elements, width) = (list(call, 0)?.elements, usize::try_from(width).ok()?);
            let is_whole = width > 0 && elements.len() % width == 0;
            is_whole.then(|| made_table(elements.to_vec(), width)).flatten()
        }
        _ => None,
    }
}

/// A table whose last row comes first.
fn turned(call: &Call<'_>) -> Option<Tensor> {
    let (elements, width) = table(call)?;
    let is = |input: usize, number: i64| call.numbers(input).as_deref() == Some(&[number]);
    let is_to_first = call.numbers(2).is_some_and(|end| matches!(end.as_slice(), [end] if *end < -1_000));
    let is_turned = is(1, -1) && is_to_first && is(3, 0) && is(4, -1);
    is_turned.then(|| made_table(elements.chunks(width).rev().flatten().cloned().collect(), width)).flatten()
}

fn transposed(call: &Call<'_>) -> Option<Tensor> {
    let (elements, width) = table(call)?;
    let is_swapped = call.attribute("perm").is_none_or(|order| order.ints == [1, 0]);
    let height = elements.len() / width;
    let columns = (0..width).flat_map(|column| elements.iter().skip(column).step_by(width).cloned());
    is_swapped.then(|| made_table(columns.collect(), height)).flatten()
}
