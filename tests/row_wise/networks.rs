//! Graphs of several operators at random, in the notation: branches that join, batch axes that move and merge, sizes that are
//! computed, bodies that use values from outside.
//!
//! The generator knows the shapes of its values, so that most graphs run; it knows nothing of which operators keep rows apart.

use std::collections::HashSet;

use scoria::splitmix::SplitMix64;

use super::tally::Case;

/// Statements of a graph, beside those that bring its batch back to the front; what the output does not need is left out.
const STATEMENTS: usize = 10;

/// A size: so many, or so many times the number of rows.
#[derive(Clone, Copy, PartialEq)]
struct Size {
    count: usize,
    is_of_rows: bool,
}

/// A float tensor of the graph.
#[derive(Clone)]
struct Named {
    name: String,
    sizes: Vec<Size>,
}

impl Named {
    fn rows_axis(&self) -> Option<usize> {
        self.sizes.iter().position(|size| size.is_of_rows)
    }
}

fn fixed(count: usize) -> Size {
    Size { count, is_of_rows: false }
}

/// The graph of a number.
pub fn network(number: u64) -> Case {
    let mut draft =
        Draft { numbers: SplitMix64::new(number.wrapping_mul(7919)), text: Vec::new(), values: Vec::new(), names: 0 };
    let inputs = 1 + draft.below(2);
    let mut sizes = vec![Size { count: 1, is_of_rows: true }];
    sizes.extend((0..1 + draft.below(3)).map(|_| fixed([2, 3, 4, 1][draft.below(4)])));
    for input in 0..inputs {
        let name = format!("x{input}");
        let dims: Vec<String> =
            sizes.iter().map(|size| if size.is_of_rows { "N".to_owned() } else { size.count.to_string() }).collect();
        draft.text.push(format!("Identity {name}[{}] > {name}i", dims.join(",")));
        draft.values.push(Named { name: format!("{name}i"), sizes: sizes.clone() });
    }
    for _ in 0..3 + draft.below(STATEMENTS) {
        draft.step();
    }
    let output = draft.brought_back();
    let text = format!("{} => {output}", needed(&draft.text, &output).join(" ; "));
    Case { text, versions: vec![[13, 15, 17, 18, 20, 22][draft.below(6)]] }
}

/// A graph being made.
struct Draft {
    numbers: SplitMix64,
    text: Vec<String>,
    values: Vec<Named>,
    names: usize,
}

impl Draft {
    fn below(&mut self, end: usize) -> usize {
        (self.numbers.draw() % end as u64) as usize
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("v{}", self.names)
    }

    /// One of the values, a late one more often.
    fn value(&mut self) -> Named {
        let count = self.values.len();
        let index = if self.below(3) > 0 { count - 1 } else { self.below(count) };
        self.values[index].clone()
    }

    /// Adds a statement that makes a value of these sizes. `{}` stands for its name.
    fn push(&mut self, statement: &str, sizes: Vec<Size>) -> Named {
        let name = self.name();
        self.text.push(statement.replace("{}", &name));
        let value = Named { name, sizes };
        self.values.push(value.clone());
        value
    }

    /// The same for a value that later statements do not take by themselves.
    fn hidden(&mut self, statement: &str) -> String {
        let name = self.name();
        self.text.push(statement.replace("{}", &name));
        name
    }

    fn step(&mut self) {
        let value = self.value();
        match self.below(24) {
            0 | 1 => self.unary(&value),
            2 | 3 => self.with_constant(&value),
            4..=6 => self.join(&value),
            7 | 8 => self.product(&value),
            9 | 10 => self.transpose(&value),
            11..=13 => self.reshape(&value),
            14 | 15 => self.reduce(&value),
            16 => self.along(&value),
            17 => self.part(&value),
            18 => self.size_of_rows(&value),
            19 => self.body(&value),
            20 => self.spread(&value),
            21 => self.extended(&value),
            22 => self.masked(&value),
            _ => self.quantised(&value),
        }
    }

    fn unary(&mut self, value: &Named) {
        let op = self.pick(&[
            "Relu",
            "Tanh",
            "Sigmoid",
            "Neg",
            "Abs",
            "Exp",
            "LeakyRelu",
            "Erf",
            "Floor",
            "Sqrt",
            "Identity",
        ]);
        self.push(&format!("{op} {} > {{}}", value.name), value.sizes.clone());
    }

    /// Beside a constant that is broadcast; where the batch is, it has one element.
    fn with_constant(&mut self, value: &Named) {
        let keep = self.below(value.sizes.len() + 1);
        let dims: Vec<String> = value.sizes[keep..]
            .iter()
            .map(|size| if size.is_of_rows || self.below(4) == 0 { "1".to_owned() } else { size.count.to_string() })
            .collect();
        let op = self.pick(&["Add", "Sub", "Mul", "Div", "Max", "Min"]);
        let constant = self.name();
        self.push(&format!("{op} {} {constant}[{}] > {{}}", value.name, dims.join(",")), value.sizes.clone());
    }

    /// Two values, broadcast where they fit, along any axes.
    fn join(&mut self, value: &Named) {
        let other = self.value();
        let Some(sizes) = broadcast(&value.sizes, &other.sizes) else { return self.concat(value, &other) };
        let op = self.pick(&["Add", "Sub", "Mul", "Max", "Min", "Div"]);
        let (left, right) = if self.below(2) == 0 { (value, &other) } else { (&other, value) };
        self.push(&format!("{op} {} {} > {{}}", left.name, right.name), sizes);
    }

    fn concat(&mut self, value: &Named, other: &Named) {
        if value.sizes.len() != other.sizes.len() || value.sizes.is_empty() {
            return self.unary(value);
        }
        let axis = self.below(value.sizes.len());
        let fit = |index: usize| index == axis || value.sizes[index] == other.sizes[index];
        let (one, two) = (value.sizes[axis], other.sizes[axis]);
        if !(0..value.sizes.len()).all(fit) || one.is_of_rows != two.is_of_rows {
            return self.unary(value);
        }
        let mut sizes = value.sizes.clone();
        sizes[axis].count += two.count;
        self.push(&format!("Concat {} {} > {{}} axis={axis}", value.name, other.name), sizes);
    }

    fn product(&mut self, value: &Named) {
        let rank = value.sizes.len();
        let Some(last) = value.sizes.last().copied().filter(|_| rank >= 2) else { return self.unary(value) };
        let (weights, mut sizes) = (self.name(), value.sizes.clone());
        let second = value.sizes[rank - 2];
        match self.below(4) {
            0 if rank == 2 && !last.is_of_rows => {
                sizes[1] = fixed(3);
                self.push(&format!("Gemm {} {weights}[3,{}] > {{}} transB=1", value.name, last.count), sizes);
            }
            // From the left, so that it adds up over the last axis but one.
            1 if !second.is_of_rows => {
                sizes[rank - 2] = fixed(2);
                self.push(&format!("MatMul {weights}[2,{}] {} > {{}}", second.count, value.name), sizes);
            }
            2 => {
                let turned: Vec<usize> = (0..rank - 2).chain([rank - 1, rank - 2]).collect();
                let other = self.hidden(&format!("Transpose {} > {{}} perm=[{}]", value.name, list(&turned)));
                sizes[rank - 1] = second;
                self.push(&format!("MatMul {} {other} > {{}}", value.name), sizes);
            }
            _ if !last.is_of_rows => {
                sizes[rank - 1] = fixed(3);
                self.push(&format!("MatMul {} {weights}[{},3] > {{}}", value.name, last.count), sizes);
            }
            _ => self.unary(value),
        }
    }

    fn transpose(&mut self, value: &Named) {
        let mut order: Vec<usize> = (0..value.sizes.len()).collect();
        for index in (1..order.len()).rev() {
            let other = self.below(index + 1);
            order.swap(index, other);
        }
        let sizes = order.iter().map(|&axis| value.sizes[axis]).collect();
        self.push(&format!("Transpose {} > {{}} perm=[{}]", value.name, list(&order)), sizes);
    }

    /// Merges two neighbouring axes, or splits one, by constants, or by sizes that are computed.
    fn reshape(&mut self, value: &Named) {
        let rank = value.sizes.len();
        if rank == 0 {
            return self.unary(value);
        }
        let mut sizes = value.sizes.clone();
        let axis = self.below(rank);
        match self.below(3) {
            0 if rank >= 2 && axis + 1 < rank => {
                let next = sizes.remove(axis + 1);
                // Rows times rows have no size here.
                if next.is_of_rows && sizes[axis].is_of_rows {
                    return self.unary(value);
                }
                sizes[axis] = Size {
                    count: sizes[axis].count * next.count,
                    is_of_rows: sizes[axis].is_of_rows || next.is_of_rows,
                };
            }
            1 if sizes[axis].count > 1 && (2..=4).any(|part| sizes[axis].count.is_multiple_of(part)) => {
                let count = sizes[axis].count;
                let part = (2..=4).find(|part| count.is_multiple_of(*part)).expect("just found");
                let is_before = self.below(2) == 0;
                sizes[axis].count /= part;
                sizes.insert(if is_before { axis } else { axis + 1 }, fixed(part));
            }
            _ => sizes.insert(axis, fixed(1)),
        }
        self.bring_to(value, sizes);
    }

    /// Reshapes to sizes, of which at most one can be told by -1.
    fn bring_to(&mut self, value: &Named, sizes: Vec<Size>) {
        let of_rows = sizes.iter().filter(|size| size.is_of_rows).count();
        if of_rows <= 1 && self.below(2) == 0 {
            // Without rows, any size may be left to be found.
            let open = sizes.iter().position(|size| size.is_of_rows).unwrap_or(self.below(sizes.len().max(1)));
            let zero = self.below(3) == 0 && value.rows_axis() == Some(open) && sizes[open] == value.sizes[open];
            let dims: Vec<String> = (0..sizes.len())
                .map(|axis| match axis == open {
                    true if zero => "0".to_owned(),
                    true => "-1".to_owned(),
                    false => sizes[axis].count.to_string(),
                })
                .collect();
            self.push(&format!("Reshape {} i({}) > {{}}", value.name, dims.join(",")), sizes);
            return;
        }
        let shape = self.computed_shape(&sizes);
        self.push(&format!("Reshape {} {shape} > {{}}", value.name), sizes);
    }

    /// A shape as exporters compute it.
    fn computed_shape(&mut self, sizes: &[Size]) -> String {
        let rows = self.rows();
        let part = |draft: &mut Draft, size: &Size| match size {
            Size { is_of_rows: true, count: 1 } => rows.clone(),
            Size { is_of_rows: true, count } => draft.hidden(&format!("Mul {rows} i({count}) > {{}}")),
            Size { count, .. } => format!("i({count})"),
        };
        let parts: Vec<String> = sizes.iter().map(|size| part(self, size)).collect();
        if parts.is_empty() {
            return "i()".to_owned();
        }
        self.hidden(&format!("Concat {} > {{}} axis=0", parts.join(" ")))
    }

    /// The number of rows as a list of one.
    fn rows(&mut self) -> String {
        let shape = self.hidden("Shape x0i > {}");
        match self.below(3) {
            0 => self.hidden(&format!("Gather {shape} i(0) > {{}}")),
            1 => self.hidden(&format!("Slice {shape} i(0) i(1) i(0) > {{}}")),
            _ => {
                let scalar = self.hidden(&format!("Gather {shape} i:0 > {{}}"));
                self.hidden(&format!("Unsqueeze {scalar} i(0) > {{}}"))
            }
        }
    }

    fn reduce(&mut self, value: &Named) {
        if value.sizes.is_empty() {
            return self.unary(value);
        }
        let mut axis = self.below(value.sizes.len());
        // Twice as often along another axis than that of the rows.
        if Some(axis) == value.rows_axis() && self.below(2) == 0 {
            axis = self.below(value.sizes.len());
        }
        let keeps = self.below(2);
        let mut sizes = value.sizes.clone();
        match keeps {
            1 => sizes[axis] = fixed(1),
            _ => drop(sizes.remove(axis)),
        }
        let op = self.pick(&["ReduceMax", "ReduceMin", "ReduceProd", "ReduceL2", "ReduceMean", "ArgMax"]);
        // Before version 18 the axes are an attribute, but for the sum.
        match op {
            "ArgMax" => {
                let index = self.hidden(&format!("ArgMax {} > {{}} axis={axis} keepdims={keeps}", value.name));
                self.push(&format!("Cast {index} > {{}} to=1"), sizes);
            }
            _ => {
                self.push(&format!("ReduceSum {} i({axis}) > {{}} keepdims={keeps}", value.name), sizes);
            }
        }
    }

    fn along(&mut self, value: &Named) {
        if value.sizes.is_empty() {
            return self.unary(value);
        }
        let axis = self.below(value.sizes.len());
        let statement = match self.below(5) {
            0 => format!("Softmax {} > {{}} axis={axis}", value.name),
            1 => format!("LogSoftmax {} > {{}} axis={axis}", value.name),
            2 => format!("CumSum {} i:{axis} > {{}} reverse={}", value.name, self.below(2)),
            3 => format!("LpNormalization {} > {{}} axis={axis}", value.name),
            _ => format!("Hardmax {} > {{}} axis={axis}", value.name),
        };
        self.push(&statement, value.sizes.clone());
    }

    fn part(&mut self, value: &Named) {
        if value.sizes.is_empty() {
            return self.unary(value);
        }
        let axis = self.below(value.sizes.len());
        let mut sizes = value.sizes.clone();
        let size = sizes[axis];
        match self.below(3) {
            // Every element again, in reverse.
            0 => {
                self.push(&format!("Slice {} i(-1) i(-1000000) i({axis}) i(-1) > {{}}", value.name), sizes);
            }
            1 if !size.is_of_rows && size.count > 1 => {
                sizes[axis] = fixed(size.count - 1);
                self.push(&format!("Slice {} i(1) i(1000000) i({axis}) > {{}}", value.name), sizes);
            }
            _ => {
                sizes.remove(axis);
                self.push(&format!("Gather {} i:0 > {{}} axis={axis}", value.name), sizes);
            }
        }
    }

    /// A value that is made of the number of rows alone.
    fn size_of_rows(&mut self, value: &Named) {
        match (self.below(3), value.rows_axis()) {
            (0, _) => {
                let rows = self.rows();
                let number = self.hidden(&format!("Cast {rows} > {{}} to=1"));
                self.push(&format!("Div {} {number} > {{}}", value.name), value.sizes.clone());
            }
            (1, Some(axis)) if value.sizes[axis].count == 1 => {
                let rows = self.rows();
                let scalar = self.hidden(&format!("Squeeze {rows} i(0) > {{}}"));
                let range = self.hidden(&format!("Range i:0 {scalar} i:1 > {{}}"));
                self.push(&format!("Cast {range} > {{}} to=1"), vec![value.sizes[axis]]);
            }
            _ => {
                let shape = self.computed_shape(&value.sizes.clone());
                self.push(&format!("ConstantOfShape {shape} > {{}} value=<f(0.5)>"), value.sizes.clone());
            }
        }
    }

    /// Control flow whose bodies see a value from outside, or a function.
    fn body(&mut self, value: &Named) {
        // The runtime's optimiser ends the process over a dequantised value, moved or not, that a body captures: not the value
        // itself, then.
        let mut captured = self.value();
        captured.name = self.hidden(&format!("Abs {} > {{}}", captured.name));
        let name = &self.hidden(&format!("Softsign {} > {{}}", value.name));
        let inner = match self.below(4) {
            0 if broadcast(&value.sizes, &captured.sizes).is_some_and(|sizes| sizes == value.sizes) => {
                format!("Add a {} > b", captured.name)
            }
            1 => "ReduceMax a > m keepdims=0 ; Sub a m > b".to_owned(),
            2 => "Tanh a > t ; Mul a t > b".to_owned(),
            _ => "Relu a > b".to_owned(),
        };
        match self.below(4) {
            0 => {
                let body = format!("(k:i64[] g:b[] a -> {inner} ; Identity g > h => h b)");
                self.push(&format!("Loop i:2 b:1 {name} > {{}} body={body}"), value.sizes.clone());
            }
            1 if !value.sizes.is_empty() => {
                let axis = self.below(value.sizes.len());
                let inner = if inner.contains(" v") || inner.contains(" x") { "Relu a > b".to_owned() } else { inner };
                let body = format!("(a -> {inner} => b)");
                let axes = format!("num_scan_inputs=1 scan_input_axes=[{axis}] scan_output_axes=[{axis}]");
                self.push(&format!("Scan {name} > {{}} body={body} {axes}"), value.sizes.clone());
            }
            2 => {
                let most = self.hidden(&format!("ReduceMax {name} > {{}} keepdims=0"));
                let condition = match self.below(2) {
                    0 => self.hidden(&format!("Greater {most} f:1.9 > {{}}")),
                    _ => "b:1".to_owned(),
                };
                let inner = inner.replace(" a", &format!(" {name}"));
                let branches = format!("then_branch=(-> {inner} => b) else_branch=(-> Neg {name} > e => e)");
                self.push(&format!("If {condition} > {{}} {branches}"), value.sizes.clone());
            }
            _ => {
                let inner = if inner.contains(" v") || inner.contains(" x") { "Relu a > b".to_owned() } else { inner };
                let function = self.name();
                self.text.insert(0, format!("def:own.F{function}=(a -> {inner} => b)"));
                self.push(&format!("own.F{function} {name} > {{}}"), value.sizes.clone());
            }
        }
    }

    /// Expanded along axes of one element, or repeated along one.
    fn spread(&mut self, value: &Named) {
        let mut sizes = value.sizes.clone();
        match (sizes.iter().position(|size| *size == fixed(1)), self.below(2)) {
            (Some(axis), 0) => {
                sizes[axis] = if self.below(2) == 0 && value.rows_axis().is_none() {
                    Size { count: 1, is_of_rows: true }
                } else {
                    fixed(3)
                };
                let shape = self.computed_shape(&sizes);
                self.push(&format!("Expand {} {shape} > {{}}", value.name), sizes);
            }
            (_, _) if !sizes.is_empty() => {
                let axis = self.below(sizes.len());
                sizes[axis].count *= 2;
                let repeats: Vec<usize> = (0..sizes.len()).map(|index| if index == axis { 2 } else { 1 }).collect();
                self.push(&format!("Tile {} i({}) > {{}}", value.name, list(&repeats)), sizes);
            }
            _ => self.unary(value),
        }
    }

    fn extended(&mut self, value: &Named) {
        let axes = value.sizes.len();
        let axis = self.below(axes.max(1));
        if axes == 0 || value.sizes[axis].is_of_rows {
            return self.unary(value);
        }
        let mut sizes = value.sizes.clone();
        sizes[axis].count += 1;
        let pads: Vec<usize> = (0..2 * axes).map(|index| usize::from(index == axis)).collect();
        let mode = self.pick(&["constant", "edge"]);
        self.push(&format!("Pad {} i({}) > {{}} mode={mode}", value.name, list(&pads)), sizes);
    }

    fn masked(&mut self, value: &Named) {
        let other = self.value();
        let Some(sizes) = broadcast(&value.sizes, &other.sizes) else { return self.unary(value) };
        let mask = self.hidden(&format!("Greater {} f:0.3 > {{}}", value.name));
        self.push(&format!("Where {mask} {} f:-1 > {{}}", other.name), sizes);
    }

    fn quantised(&mut self, value: &Named) {
        if self.below(3) == 0 {
            let (quantised, scale, zero) = (self.name(), self.name(), self.name());
            self.text.push(format!("DynamicQuantizeLinear {} > {quantised} {scale} {zero}", value.name));
            self.push(&format!("DequantizeLinear {quantised} {scale} {zero} > {{}}"), value.sizes.clone());
            return;
        }
        let quantised = self.hidden(&format!("QuantizeLinear {} f:0.05 u8:120 > {{}}", value.name));
        self.push(&format!("DequantizeLinear {quantised} f:0.05 u8:120 > {{}}"), value.sizes.clone());
    }

    /// The last value that has rows, with its rows in front and as many as came in, where that can be.
    fn brought_back(&mut self) -> String {
        let last =
            self.values.iter().rev().find(|value| value.rows_axis().is_some()).expect("inputs have rows").clone();
        let axis = last.rows_axis().expect("just found");
        let mut value = last.clone();
        if axis > 0 {
            let order: Vec<usize> =
                [axis].into_iter().chain((0..last.sizes.len()).filter(|&other| other != axis)).collect();
            let sizes = order.iter().map(|&axis| last.sizes[axis]).collect();
            value = self.push(&format!("Transpose {} > {{}} perm=[{}]", last.name, list(&order)), sizes);
        }
        let several = value.sizes[1..].iter().any(|size| size.is_of_rows);
        if value.sizes[0].count == 1 || several || self.below(8) == 0 {
            return value.name;
        }
        let mut sizes = value.sizes.clone();
        let merged = std::mem::replace(&mut sizes[0].count, 1);
        sizes.insert(1, fixed(merged));
        self.bring_to(&value, sizes);
        self.values.last().expect("just added").name.clone()
    }
}

/// The statements that an output is made by.
fn needed<'a>(statements: &'a [String], output: &'a str) -> Vec<&'a str> {
    let mut names = HashSet::from([output]);
    let mut kept: Vec<&str> = Vec::new();
    for statement in statements.iter().rev() {
        let made = match statement.strip_prefix("def:") {
            Some(definition) => definition.split('=').take(1).collect::<Vec<_>>(),
            None => {
                let (_, after) = statement.split_once(" > ").expect("a statement has outputs");
                after.split(' ').take_while(|word| !word.contains('=')).collect()
            }
        };
        if made.iter().any(|name| names.contains(name)) {
            names.extend(statement.split(' '));
            kept.push(statement);
        }
    }
    kept.reverse();
    kept
}

fn list(numbers: &[usize]) -> String {
    numbers.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
}

/// The sizes of two values together; `None` if they do not fit, or fit for some numbers of rows only.
fn broadcast(one: &[Size], two: &[Size]) -> Option<Vec<Size>> {
    let rank = one.len().max(two.len());
    let at = |sizes: &[Size], axis: usize| (axis + sizes.len()).checked_sub(rank).map_or(fixed(1), |axis| sizes[axis]);
    (0..rank)
        .map(|axis| match (at(one, axis), at(two, axis)) {
            (a, b) if a == b => Some(a),
            (a, b) if b == fixed(1) => Some(a),
            (a, b) if a == fixed(1) => Some(b),
            _ => None,
        })
        .collect()
}
