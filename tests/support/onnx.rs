//! Writes small ONNX files, so that tests need neither Python nor binary fixtures.
//!
//! The messages are a subset of onnx.proto; field numbers are the format's. Only what a test uses is here.

use std::path::Path;

use prost::Message;
use scoria::tensor::DType;

/// An ONNX model being written.
#[derive(Clone, Debug)]
pub struct Model {
    wire: wire::Model,
}

/// A node being written.
#[derive(Clone, Debug)]
pub struct Node {
    wire: wire::Node,
}

/// The type of a graph's input or output.
#[derive(Clone, Debug)]
pub struct Type(wire::Type);

/// A constant tensor.
#[derive(Clone, Debug)]
pub struct Constant(wire::Tensor);

/// A tensor type. `dims` lists its dimensions as in `"N,3,?"`: a size, a symbol, or `?` for one without a name; `""` is a
/// scalar.
pub fn tensor(dtype: DType, dims: &str) -> Type {
    raw_tensor(number(dtype), Some(dims))
}

/// A tensor type that does not state even its rank.
pub fn unranked(dtype: DType) -> Type {
    raw_tensor(number(dtype), None)
}

/// A tensor type by its element type's number in onnx.proto, for those that Scoria does not serve.
pub fn raw_tensor(elem_type: i32, dims: Option<&str>) -> Type {
    let dim = |dim: &str| wire::Dimension {
        value: match dim.parse() {
            Ok(size) => Some(wire::DimensionValue::Size(size)),
            Err(_) if dim == "?" => None,
            Err(_) => Some(wire::DimensionValue::Symbol(dim.to_owned())),
        },
    };
    let shape = |dims: &str| wire::Shape { dim: dims.split(',').filter(|dim| !dim.is_empty()).map(dim).collect() };
    Type::of(wire::TypeValue::Tensor(wire::TensorType { elem_type, shape: dims.map(shape) }))
}

/// A sequence of values of one type.
pub fn sequence(item: Type) -> Type {
    Type::of(wire::TypeValue::Sequence(wire::Holder { elem_type: Some(Box::new(item.0)) }))
}

/// A value that may be absent.
pub fn optional(item: Type) -> Type {
    Type::of(wire::TypeValue::Optional(wire::Holder { elem_type: Some(Box::new(item.0)) }))
}

/// A map from keys of `key` to `value`.
pub fn map(key: DType, value: Type) -> Type {
    let map = wire::MapType { key_type: number(key), value_type: Some(Box::new(value.0)) };
    Type::of(wire::TypeValue::Map(map))
}

impl Type {
    fn of(value: wire::TypeValue) -> Type {
        Type(wire::Type { value: Some(value) })
    }
}

impl Constant {
    pub fn f32(dims: &[i64], values: &[f32]) -> Constant {
        Constant(wire::Tensor { float_data: values.to_vec(), ..wire::Tensor::new(DType::F32, dims) })
    }

    pub fn i64(dims: &[i64], values: &[i64]) -> Constant {
        Constant(wire::Tensor { int64_data: values.to_vec(), ..wire::Tensor::new(DType::I64, dims) })
    }

    pub fn bool(dims: &[i64], values: &[bool]) -> Constant {
        let int32_data = values.iter().map(|&value| value.into()).collect();
        Constant(wire::Tensor { int32_data, ..wire::Tensor::new(DType::Bool, dims) })
    }

    pub fn strings(dims: &[i64], values: &[&str]) -> Constant {
        let string_data = values.iter().map(|&value| value.into()).collect();
        Constant(wire::Tensor { string_data, ..wire::Tensor::new(DType::String, dims) })
    }

    /// A tensor given by its bytes in memory.
    pub fn raw(dtype: DType, dims: &[i64], bytes: &[u8]) -> Constant {
        Constant(wire::Tensor { raw_data: bytes.to_vec(), ..wire::Tensor::new(dtype, dims) })
    }

    /// A tensor whose bytes are the file `location` beside the model.
    pub fn external(dtype: DType, dims: &[i64], location: &str) -> Constant {
        Constant::external_part(dtype, dims, &[("location", location)])
    }

    /// A tensor whose bytes are where these entries say: `location`, `offset`, `length`.
    pub fn external_part(dtype: DType, dims: &[i64], entries: &[(&str, &str)]) -> Constant {
        let entry = |(key, value): &(&str, &str)| wire::StringEntry { key: key.to_string(), value: value.to_string() };
        let external_data = entries.iter().map(entry).collect();
        Constant(wire::Tensor { external_data, data_location: 1, ..wire::Tensor::new(dtype, dims) })
    }
}

impl Node {
    /// A node of the default domain; an absent optional input is `""`.
    pub fn new(op: &str, inputs: &[&str], outputs: &[&str]) -> Node {
        let owned = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
        let name = format!("{op}-{}", outputs.join("-"));
        let wire = wire::Node {
            input: owned(inputs),
            output: owned(outputs),
            name,
            op_type: op.to_owned(),
            ..wire::Node::default()
        };
        Node { wire }
    }

    pub fn domain(mut self, domain: &str) -> Node {
        self.wire.domain = domain.to_owned();
        self
    }

    pub fn int(self, name: &str, value: i64) -> Node {
        self.attribute(wire::Attribute { i: value, ..wire::Attribute::new(name, 2) })
    }

    pub fn float(self, name: &str, value: f32) -> Node {
        self.attribute(wire::Attribute { f: value, ..wire::Attribute::new(name, 1) })
    }

    pub fn string(self, name: &str, value: &str) -> Node {
        self.attribute(wire::Attribute { s: value.into(), ..wire::Attribute::new(name, 3) })
    }

    pub fn tensor(self, name: &str, value: Constant) -> Node {
        self.attribute(wire::Attribute { t: Some(value.0), ..wire::Attribute::new(name, 4) })
    }

    /// A graph attribute: the body of a `Loop`, the branches of an `If`.
    pub fn graph(self, name: &str, body: Model) -> Node {
        let graph = body.wire.graph.map(Box::new);
        self.attribute(wire::Attribute { g: graph, ..wire::Attribute::new(name, 5) })
    }

    pub fn floats(self, name: &str, values: &[f32]) -> Node {
        self.attribute(wire::Attribute { floats: values.to_vec(), ..wire::Attribute::new(name, 6) })
    }

    pub fn ints(self, name: &str, values: &[i64]) -> Node {
        self.attribute(wire::Attribute { ints: values.to_vec(), ..wire::Attribute::new(name, 7) })
    }

    pub fn strings(self, name: &str, values: &[&str]) -> Node {
        let strings = values.iter().map(|&value| value.into()).collect();
        self.attribute(wire::Attribute { strings, ..wire::Attribute::new(name, 8) })
    }

    fn attribute(mut self, attribute: wire::Attribute) -> Node {
        self.wire.attribute.push(attribute);
        self
    }
}

impl Default for Model {
    fn default() -> Self {
        Model::new()
    }
}

impl Model {
    /// An empty model of a version that both engines know: IR 8, operator set 17, `ai.onnx.ml` 3.
    pub fn new() -> Model {
        let set = |domain: &str, version| wire::OperatorSet { domain: domain.to_owned(), version };
        let graph = wire::Graph { name: "g".to_owned(), ..wire::Graph::default() };
        Model {
            wire: wire::Model {
                ir_version: 8,
                producer_name: "scoria-tests".to_owned(),
                producer_version: "1".to_owned(),
                graph: Some(graph),
                opset_import: vec![set("", 17), set("ai.onnx.ml", 3)],
                functions: Vec::new(),
            },
        }
    }

    pub fn ir_version(mut self, version: i64) -> Model {
        self.wire.ir_version = version;
        self
    }

    /// Asks for this version of a domain's operators, `""` being the default domain.
    pub fn operator_set(mut self, domain: &str, version: i64) -> Model {
        self.wire.opset_import.retain(|set| set.domain != domain);
        self.wire.opset_import.push(wire::OperatorSet { domain: domain.to_owned(), version });
        self
    }

    /// An input of a body, whose type is found by the runtime.
    pub fn untyped_input(mut self, name: &str) -> Model {
        self.graph().input.push(wire::ValueInfo { name: name.to_owned(), kind: None });
        self
    }

    /// An output of a body, whose type is found by the runtime.
    pub fn untyped_output(mut self, name: &str) -> Model {
        self.graph().output.push(wire::ValueInfo { name: name.to_owned(), kind: None });
        self
    }

    /// A function: the nodes of `body`, and the names of its inputs and outputs. It uses the model's operator sets so far.
    pub fn function(mut self, domain: &str, name: &str, body: Model) -> Model {
        let graph = body.wire.graph.unwrap_or_default();
        let names = |values: Vec<wire::ValueInfo>| values.into_iter().map(|value| value.name).collect();
        self.wire.functions.push(wire::Function {
            name: name.to_owned(),
            input: names(graph.input),
            output: names(graph.output),
            node: graph.node,
            opset_import: self.wire.opset_import.clone(),
            domain: domain.to_owned(),
        });
        self
    }

    pub fn input(mut self, name: &str, kind: Type) -> Model {
        self.graph().input.push(wire::ValueInfo { name: name.to_owned(), kind: Some(kind.0) });
        self
    }

    pub fn output(mut self, name: &str, kind: Type) -> Model {
        self.graph().output.push(wire::ValueInfo { name: name.to_owned(), kind: Some(kind.0) });
        self
    }

    pub fn constant(mut self, name: &str, value: Constant) -> Model {
        self.graph().initializer.push(wire::Tensor { name: name.to_owned(), ..value.0 });
        self
    }

    pub fn node(mut self, node: Node) -> Model {
        self.graph().node.push(node.wire);
        self
    }

    /// The file's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        self.wire.encode_to_vec()
    }

    /// Writes the file.
    pub fn write(&self, path: &Path) {
        std::fs::write(path, self.bytes()).expect("the model is written");
    }

    fn graph(&mut self) -> &mut wire::Graph {
        self.wire.graph.as_mut().expect("a model is made with its graph")
    }
}

/// The number of an element type in onnx.proto.
fn number(dtype: DType) -> i32 {
    (0..32).find(|&number| DType::from_onnx(number) == Some(dtype)).expect("every type has a number")
}

mod wire {
    use prost::{Message, Oneof};

    #[derive(Clone, PartialEq, Message)]
    pub struct Model {
        #[prost(int64, tag = "1")]
        pub ir_version: i64,
        #[prost(string, tag = "2")]
        pub producer_name: String,
        #[prost(string, tag = "3")]
        pub producer_version: String,
        #[prost(message, optional, tag = "7")]
        pub graph: Option<Graph>,
        #[prost(message, repeated, tag = "8")]
        pub opset_import: Vec<OperatorSet>,
        #[prost(message, repeated, tag = "25")]
        pub functions: Vec<Function>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Function {
        #[prost(string, tag = "1")]
        pub name: String,
        #[prost(string, repeated, tag = "4")]
        pub input: Vec<String>,
        #[prost(string, repeated, tag = "5")]
        pub output: Vec<String>,
        #[prost(message, repeated, tag = "7")]
        pub node: Vec<Node>,
        #[prost(message, repeated, tag = "9")]
        pub opset_import: Vec<OperatorSet>,
        #[prost(string, tag = "10")]
        pub domain: String,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct OperatorSet {
        #[prost(string, tag = "1")]
        pub domain: String,
        #[prost(int64, tag = "2")]
        pub version: i64,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Graph {
        #[prost(message, repeated, tag = "1")]
        pub node: Vec<Node>,
        #[prost(string, tag = "2")]
        pub name: String,
        #[prost(message, repeated, tag = "5")]
        pub initializer: Vec<Tensor>,
        #[prost(message, repeated, tag = "11")]
        pub input: Vec<ValueInfo>,
        #[prost(message, repeated, tag = "12")]
        pub output: Vec<ValueInfo>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Node {
        #[prost(string, repeated, tag = "1")]
        pub input: Vec<String>,
        #[prost(string, repeated, tag = "2")]
        pub output: Vec<String>,
        #[prost(string, tag = "3")]
        pub name: String,
        #[prost(string, tag = "4")]
        pub op_type: String,
        #[prost(message, repeated, tag = "5")]
        pub attribute: Vec<Attribute>,
        #[prost(string, tag = "7")]
        pub domain: String,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Attribute {
        #[prost(string, tag = "1")]
        pub name: String,
        #[prost(float, tag = "2")]
        pub f: f32,
        #[prost(int64, tag = "3")]
        pub i: i64,
        #[prost(bytes = "vec", tag = "4")]
        pub s: Vec<u8>,
        #[prost(message, optional, tag = "5")]
        pub t: Option<Tensor>,
        #[prost(message, optional, boxed, tag = "6")]
        pub g: Option<Box<Graph>>,
        #[prost(float, repeated, packed = "false", tag = "7")]
        pub floats: Vec<f32>,
        #[prost(int64, repeated, packed = "false", tag = "8")]
        pub ints: Vec<i64>,
        #[prost(bytes = "vec", repeated, tag = "9")]
        pub strings: Vec<Vec<u8>>,
        #[prost(int32, tag = "20")]
        pub kind: i32,
    }

    impl Attribute {
        /// An attribute without its value; `kind` is its number in onnx.proto's `AttributeType`.
        pub fn new(name: &str, kind: i32) -> Attribute {
            Attribute { name: name.to_owned(), kind, ..Attribute::default() }
        }
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Tensor {
        #[prost(int64, repeated, tag = "1")]
        pub dims: Vec<i64>,
        #[prost(int32, tag = "2")]
        pub data_type: i32,
        #[prost(float, repeated, tag = "4")]
        pub float_data: Vec<f32>,
        #[prost(int32, repeated, tag = "5")]
        pub int32_data: Vec<i32>,
        #[prost(bytes = "vec", repeated, tag = "6")]
        pub string_data: Vec<Vec<u8>>,
        #[prost(int64, repeated, tag = "7")]
        pub int64_data: Vec<i64>,
        #[prost(string, tag = "8")]
        pub name: String,
        #[prost(bytes = "vec", tag = "9")]
        pub raw_data: Vec<u8>,
        #[prost(message, repeated, tag = "13")]
        pub external_data: Vec<StringEntry>,
        #[prost(int32, tag = "14")]
        pub data_location: i32,
    }

    impl Tensor {
        pub fn new(dtype: scoria::tensor::DType, dims: &[i64]) -> Tensor {
            Tensor { dims: dims.to_vec(), data_type: super::number(dtype), ..Tensor::default() }
        }
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct StringEntry {
        #[prost(string, tag = "1")]
        pub key: String,
        #[prost(string, tag = "2")]
        pub value: String,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct ValueInfo {
        #[prost(string, tag = "1")]
        pub name: String,
        #[prost(message, optional, tag = "2")]
        pub kind: Option<Type>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Type {
        #[prost(oneof = "TypeValue", tags = "1, 4, 5, 9")]
        pub value: Option<TypeValue>,
    }

    #[derive(Clone, PartialEq, Oneof)]
    pub enum TypeValue {
        #[prost(message, tag = "1")]
        Tensor(TensorType),
        #[prost(message, tag = "4")]
        Sequence(Holder),
        #[prost(message, tag = "5")]
        Map(MapType),
        #[prost(message, tag = "9")]
        Optional(Holder),
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct TensorType {
        #[prost(int32, tag = "1")]
        pub elem_type: i32,
        #[prost(message, optional, tag = "2")]
        pub shape: Option<Shape>,
    }

    /// A sequence or an optional: both hold one type, at the same number.
    #[derive(Clone, PartialEq, Message)]
    pub struct Holder {
        #[prost(message, optional, boxed, tag = "1")]
        pub elem_type: Option<Box<Type>>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct MapType {
        #[prost(int32, tag = "1")]
        pub key_type: i32,
        #[prost(message, optional, boxed, tag = "2")]
        pub value_type: Option<Box<Type>>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Shape {
        #[prost(message, repeated, tag = "1")]
        pub dim: Vec<Dimension>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Dimension {
        #[prost(oneof = "DimensionValue", tags = "1, 2")]
        pub value: Option<DimensionValue>,
    }

    #[derive(Clone, PartialEq, Oneof)]
    pub enum DimensionValue {
        #[prost(int64, tag = "1")]
        Size(i64),
        #[prost(string, tag = "2")]
        Symbol(String),
    }
}
