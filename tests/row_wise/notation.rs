//! Graphs as text, so that a table of hundreds can be read, and a graph that fails a test can be printed.
//!
//! Statements are separated by `;`, words by spaces:
//!
//! ```text
//! Gemm x[N,4] w[4,5] _ > h transB=0 alpha=0.5 ; ml.Scaler h > y scale=[2.0] => y h
//! ```
//!
//! - `x[N,4]`, `x:i64[N,4]`: an input, because a dimension has no size. `w[4,5]`, `w:i8[2]=1,2`: a constant, of these values or of
//!   some. `i(0,1)`, `f(0.5)`, `s(a,b)`: a list; `i:5`: a scalar. `_`: left out. Any other word is the name of a value.
//! - `ml.`, `ms.`: the domains `ai.onnx.ml` and `com.microsoft`; any other prefix is the domain of a function.
//! - After the outputs, attributes: `a=1`, `a=0.5`, `a=word`, `a=[1,2]`, `a=<i(1)>` (a tensor), `a=(i:i64[] c:b[] v -> … => o)` (a
//!   graph, whose inputs have types where the runtime does not find them).
//! - `def:own.Name=(a b -> … => c)` defines a function.
//! - After `=>`, the graph's outputs; without it, those of the last statement.

use std::collections::HashMap;

use half::{bf16, f16};
use scoria::splitmix::{SplitMix64, fnv1a};
use scoria::tensor::DType;

use crate::support::onnx::{self, Constant, Model, Node, Type};

/// What a text says.
pub struct Written {
    model: Model,
    outputs: Vec<String>,
    /// The names of all operators, those of bodies too.
    pub operators: Vec<String>,
}

/// The types of outputs, which the text does not tell.
pub type Types = HashMap<String, Type>;

impl Written {
    /// The graph of a text, with the operators of this version.
    pub fn of(text: &str, version: i64) -> Written {
        let (ml, ir) = (
            if version < 9 {
                1
            } else if version < 16 {
                3
            } else {
                5
            },
            if version < 15 { 7 } else { 10 },
        );
        let model = Model::new().ir_version(ir).operator_set("", version).operator_set("ai.onnx.ml", ml);
        let model = model.operator_set("com.microsoft", 1).operator_set("own", 1);
        let numbers = SplitMix64::new(fnv1a(text.as_bytes(), 1));
        let mut scope = Scope { model, outputs: Vec::new(), operators: Vec::new(), literals: 0, numbers };
        scope.statements(text);
        Written { model: scope.model, outputs: scope.outputs, operators: scope.operators }
    }

    /// The model, its outputs being float32 where nothing else is said.
    pub fn with(&self, types: &Types) -> Model {
        let unknown = || onnx::unranked(DType::F32);
        let add = |model: Model, name: &String| model.output(name, types.get(name).cloned().unwrap_or_else(unknown));
        self.outputs.iter().fold(self.model.clone(), add)
    }
}

/// A graph being read.
struct Scope {
    model: Model,
    /// Of the last statement, or those that are named.
    outputs: Vec<String>,
    operators: Vec<String>,
    literals: usize,
    numbers: SplitMix64,
}

impl Scope {
    fn statements(&mut self, text: &str) {
        for statement in split(text, ';') {
            let words = split(statement, ' ');
            let named = words.iter().position(|&word| word == "=>").unwrap_or(words.len());
            if let Some(definition) = words.first().filter(|_| named > 0).and_then(|word| word.strip_prefix("def:")) {
                self.define(definition);
            } else if named > 0 {
                self.node(&words[..named]);
            }
            if named < words.len() {
                self.outputs = words[named + 1..].iter().map(|word| word.to_string()).collect();
            }
        }
    }

    fn node(&mut self, words: &[&str]) {
        let arrow = words.iter().position(|&word| word == ">").unwrap_or_else(|| panic!("no '>' in {words:?}"));
        let inputs: Vec<String> = words[1..arrow].iter().map(|word| self.operand(word)).collect();
        let (attributes, outputs): (Vec<&str>, Vec<&str>) =
            words[arrow + 1..].iter().partition(|word| word.contains('='));
        let outputs: Vec<&str> = outputs.into_iter().map(|name| if name == "_" { "" } else { name }).collect();
        let (domain, op) = words[0].rsplit_once('.').unwrap_or(("", words[0]));
        let domain =
            HashMap::from([("ml", "ai.onnx.ml"), ("ms", "com.microsoft")]).get(domain).copied().unwrap_or(domain);
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let node = Node::new(op, &inputs, &outputs).domain(domain);
        let node = attributes.into_iter().fold(node, |node, attribute| self.attribute(node, attribute));
        self.outputs = outputs.into_iter().filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let kind = words.iter().find(|word| words[0] == "Cast" && word.starts_with("to="));
        self.operators.push([&words[..1], kind.map_or(&[][..], std::slice::from_ref)].concat().join(" "));
        self.change(|model| model.node(node));
    }

    fn change(&mut self, change: impl FnOnce(Model) -> Model) {
        self.model = change(std::mem::take(&mut self.model));
    }

    fn define(&mut self, definition: &str) {
        let (name, body) = definition.split_once('=').expect("a function has a body");
        let (domain, name) = name.split_once('.').expect("a function has a domain");
        let body = self.body(body);
        self.change(|model| model.function(domain, name, body));
    }

    /// The name of what a word stands for, which is added if it is new.
    fn operand(&mut self, word: &str) -> String {
        if word == "_" {
            return String::new();
        }
        if let Some((name, dims)) = word.split_once('[') {
            let (dims, values) = dims.split_once(']').unwrap_or_else(|| panic!("no ']' in {word}"));
            let (name, dtype) = name.split_once(':').map_or((name, DType::F32), |(name, dtype)| (name, type_of(dtype)));
            let sizes: Result<Vec<i64>, _> = dims.split(',').filter(|dim| !dim.is_empty()).map(str::parse).collect();
            match sizes {
                Ok(sizes) => {
                    let constant = self.constant(dtype, &sizes, values.strip_prefix('='));
                    self.change(|model| model.constant(name, constant));
                }
                Err(_) => self.change(|model| model.input(name, onnx::tensor(dtype, dims))),
            }
            return name.to_owned();
        }
        let Some(constant) = self.literal(word) else { return word.to_owned() };
        self.literals += 1;
        let name = format!("literal{}", self.literals);
        self.change(|model| model.constant(&name, constant));
        name
    }

    fn literal(&mut self, word: &str) -> Option<Constant> {
        if let Some((dtype, values)) = word.split_once('(') {
            let values = values.strip_suffix(')')?;
            let count = if values.is_empty() { 0 } else { values.split(',').count() };
            return Some(self.constant(type_of(dtype), &[count as i64], Some(values)));
        }
        let (dtype, value) = word.split_once(':')?;
        Some(self.constant(type_of(dtype), &[], Some(value)))
    }

    fn constant(&mut self, dtype: DType, dims: &[i64], values: Option<&str>) -> Constant {
        let count = dims.iter().product::<i64>() as usize;
        let given: Vec<&str> = values.iter().flat_map(|text| text.split(',')).filter(|text| !text.is_empty()).collect();
        let number = |index: usize| match given.get(index % given.len().max(1)) {
            Some(text) => text.parse::<f64>().unwrap_or_else(|_| panic!("'{text}' is no number")),
            None if dtype.is_float() => self.numbers.share() * 1.6 - 0.8,
            None => (self.numbers.draw() % 3) as f64,
        };
        if dtype == DType::String {
            let texts: Vec<&str> = (0..count).map(|index| given.get(index).copied().unwrap_or("a")).collect();
            return Constant::strings(dims, &texts);
        }
        let bytes: Vec<u8> = (0..count).map(number).flat_map(|number| bytes_of(dtype, number)).collect();
        Constant::raw(dtype, dims, &bytes)
    }

    fn attribute(&mut self, node: Node, text: &str) -> Node {
        let (name, value) = text.split_once('=').expect("an attribute has a value");
        if value.starts_with('(') {
            return node.graph(name, self.body(value));
        }
        if let Some(constant) = value.strip_prefix('<').and_then(|value| value.strip_suffix('>')) {
            let constant = self.literal(constant).unwrap_or_else(|| panic!("{value} is no constant"));
            return node.tensor(name, constant);
        }
        if let Some(list) = value.strip_prefix('[').and_then(|value| value.strip_suffix(']')) {
            let items: Vec<&str> = list.split(',').filter(|item| !item.is_empty()).collect();
            let integers: Result<Vec<i64>, _> = items.iter().map(|item| item.parse()).collect();
            let floats: Result<Vec<f32>, _> = items.iter().map(|item| item.parse()).collect();
            return match (integers, floats) {
                (Ok(integers), _) => node.ints(name, &integers),
                (_, Ok(floats)) => node.floats(name, &floats),
                _ => node.strings(name, &items),
            };
        }
        match (value.parse(), value.parse()) {
            (Ok(integer), _) => node.int(name, integer),
            (_, Ok(float)) => node.float(name, float),
            _ => node.string(name, value),
        }
    }

    /// `(a b -> statements => c)`.
    fn body(&mut self, text: &str) -> Model {
        let text = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')).expect("a body has parentheses");
        let (inputs, statements) = text.split_once("->").expect("a body has an arrow");
        let model = inputs.split_whitespace().fold(Model::new(), body_input);
        self.literals += 1;
        let (literals, numbers) = (1000 * self.literals, self.numbers.clone());
        let mut scope = Scope { model, outputs: Vec::new(), operators: Vec::new(), literals, numbers };
        scope.statements(statements);
        self.operators.append(&mut scope.operators);
        scope.outputs.iter().fold(scope.model, |model, name| model.untyped_output(name))
    }
}

/// Adds an input to a body, of a type only if the runtime cannot find it.
fn body_input(model: Model, word: &str) -> Model {
    let Some((name, dims)) = word.trim_end_matches(']').split_once('[') else { return model.untyped_input(word) };
    let (name, dtype) = name.split_once(':').unwrap_or((name, "f"));
    model.input(name, onnx::tensor(type_of(dtype), dims))
}

/// The parts of a text between marks that are in no brackets, without empty ones.
fn split(text: &str, mark: char) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, letter) in text.char_indices() {
        match letter {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            _ if letter == mark && depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).collect()
}

fn type_of(name: &str) -> DType {
    match name {
        "b" => DType::Bool,
        "i" | "i64" => DType::I64,
        "i32" => DType::I32,
        "i16" => DType::I16,
        "i8" => DType::I8,
        "u8" => DType::U8,
        "u16" => DType::U16,
        "u32" => DType::U32,
        "u64" => DType::U64,
        "f" => DType::F32,
        "f16" => DType::F16,
        "bf16" => DType::BF16,
        "f64" => DType::F64,
        "s" => DType::String,
        _ => panic!("'{name}' is no type of the notation"),
    }
}

fn bytes_of(dtype: DType, number: f64) -> Vec<u8> {
    match dtype {
        DType::Bool => vec![u8::from(number != 0.0)],
        DType::I8 => (number as i8).to_le_bytes().to_vec(),
        DType::I16 => (number as i16).to_le_bytes().to_vec(),
        DType::I32 => (number as i32).to_le_bytes().to_vec(),
        DType::I64 => (number as i64).to_le_bytes().to_vec(),
        DType::U8 => vec![number as u8],
        DType::U16 => (number as u16).to_le_bytes().to_vec(),
        DType::U32 => (number as u32).to_le_bytes().to_vec(),
        DType::U64 => (number as u64).to_le_bytes().to_vec(),
        DType::F16 => f16::from_f64(number).to_le_bytes().to_vec(),
        DType::BF16 => bf16::from_f64(number).to_le_bytes().to_vec(),
        DType::F32 => (number as f32).to_le_bytes().to_vec(),
        DType::F64 => number.to_le_bytes().to_vec(),
        DType::String => unreachable!("strings are no numbers"),
    }
}
