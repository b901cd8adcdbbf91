use super::*;
use crate::engine::onnx::{
    Attribute, Dimension, DimensionValue, Function, Graph, Model, Node, OperatorSet, Shape, Tensor, TensorType, Type,
    TypeValue, ValueInfo,
};

/// An operator of a test: its name, inputs and outputs, as in `"Gemm x w b > y"`; `_` is an input that is left out, `ml.` the other
/// domain.
fn node(text: &str, attributes: Attributes<'_>) -> Node {
    let (call, outputs) = text.split_once(" > ").expect("an arrow");
    let mut words = call.split(' ');
    let op = words.next().expect("a name");
    let attribute = |(name, ints): &(&str, &[i64])| Attribute {
        name: name.to_string(),
        i: ints.first().copied().unwrap_or_default(),
        ints: ints.to_vec(),
        ..Attribute::default()
    };
    Node {
        op_type: op.trim_start_matches("ml.").to_owned(),
        domain: if op.starts_with("ml.") { "ai.onnx.ml".to_owned() } else { String::new() },
        input: words.map(|word| if word == "_" { String::new() } else { word.to_owned() }).collect(),
        output: outputs.split(' ').map(str::to_owned).collect(),
        attribute: attributes.iter().map(attribute).collect(),
        ..Node::default()
    }
}

fn value(name: &str, dims: &[Option<i64>]) -> ValueInfo {
    let dim = |size: &Option<i64>| Dimension { value: size.map(DimensionValue::Size) };
    let shape = Some(Shape { dim: dims.iter().map(dim).collect() });
    let kind = Some(Type { value: Some(TypeValue::Tensor(TensorType { elem_type: 1, shape })) });
    ValueInfo { name: name.to_owned(), kind }
}

fn constant(name: &str, dims: &[i64]) -> Tensor {
    Tensor { name: name.to_owned(), dims: dims.to_vec(), data_type: 1, ..Tensor::default() }
}

fn integers(name: &str, elements: &[i64]) -> Tensor {
    let dims = vec![elements.len() as i64];
    Tensor { name: name.to_owned(), dims, data_type: 7, int64_data: elements.to_vec(), ..Tensor::default() }
}

fn scalar(name: &str, element: i64) -> Tensor {
    Tensor { dims: Vec::new(), ..integers(name, &[element]) }
}

/// What is said of `[?, 4]` input `x`, `[?, 2, 3]` input `z` and these nodes, whose output is `y`.
fn said(nodes: &[Node]) -> RowWise {
    let raw = Tensor {
        int64_data: Vec::new(),
        raw_data: [-1i64, 2, 2].map(i64::to_le_bytes).concat().into(),
        ..integers("to_2_2", &[0; 3])
    };
    let graph = Graph {
        node: nodes.to_vec(),
        input: vec![value("x", &[None, Some(4)]), value("z", &[None, Some(2), Some(3)])],
        output: vec![value("y", &[None])],
        initializer: vec![
            constant("w4x5", &[4, 5]),
            constant("w5x4", &[5, 4]),
            constant("w3x6", &[3, 6]),
            constant("w7x2", &[7, 2]),
            constant("b4", &[4]),
            constant("b1x4", &[1, 4]),
            constant("b8x4", &[8, 4]),
            constant("kernel", &[8, 2, 3]),
            constant("one", &[]),
            constant("names", &[3]),
            integers("line", &[-1]),
            integers("column", &[-1, 1]),
            integers("keep", &[0, -1]),
            integers("eight", &[8, -1]),
            integers("axis0", &[0]),
            integers("axis1", &[1]),
            integers("last", &[-1]),
            integers("two", &[2]),
            integers("four", &[4]),
            integers("row3", &[-1, 3]),
            integers("to_2_3", &[-1, 2, 3]),
            scalar("first", 0),
            scalar("zero", 0),
            scalar("step", 1),
            scalar("two_scalar", 2),
            scalar("four_scalar", 4),
            raw,
        ],
        ..Graph::default()
    };
    said_of(model(graph))
}

fn model(graph: Graph) -> Model {
    let opset_import = vec![OperatorSet { domain: String::new(), version: 17 }];
    Model { graph: Some(graph), opset_import, ..Model::default() }
}

fn said_of(model: Model) -> RowWise {
    let signature = crate::engine::graph::signature(model.graph.as_ref().expect("a graph")).expect("tensors");
    RowWise::of(&model, &signature)
}

/// An operator's attributes, with their integers.
type Attributes<'a> = &'a [(&'a str, &'a [i64])];

const NONE: Attributes<'_> = &[];

/// What is said of one node.
fn of(text: &str, attributes: Attributes<'_>) -> RowWise {
    said(&[node(text, attributes)])
}

fn unproven(operator: &str) -> RowWise {
    RowWise::Unproven { operator: operator.to_owned() }
}

#[test]
fn operators_on_rows_keep_them_apart() {
    let cases: &[(&str, Attributes<'_>)] = &[
        ("Relu x > y", NONE),
        ("Add x b4 > y", NONE),
        ("Add b1x4 x > y", NONE),
        ("Mul x one > y", NONE),
        ("Add x x > y", NONE),
        ("Clip x _ one > y", NONE),
        ("MatMul x w4x5 > y", NONE),
        ("MatMul z w3x6 > y", NONE),
        ("MatMul w7x2 z > y", NONE),
        ("MatMul z z > y", NONE),
        ("Gemm x w4x5 b4 > y", NONE),
        ("Gemm x w5x4 > y", &[("transB", &[1])]),
        ("Concat x x > y", &[("axis", &[1])]),
        ("Concat x x > y", &[("axis", &[-1])]),
        ("Softmax x > y", NONE),
        ("ReduceMean z > y", &[("axes", &[1, -1]), ("keepdims", &[0])]),
        ("ReduceSum x axis1 > y", NONE),
        ("ArgMax x > y", &[("axis", &[1])]),
        ("Transpose z > y", &[("perm", &[0, 2, 1])]),
        ("Squeeze z axis1 > y", NONE),
        ("Unsqueeze x last > y", NONE),
        ("Reshape x to_2_2 > y", NONE),
        ("Reshape z keep > y", NONE),
        ("Flatten z > y", NONE),
        ("Gather x two > y", &[("axis", &[1])]),
        ("Slice x axis0 two axis1 > y", NONE),
        ("Split x > y rest", &[("axis", &[1])]),
        ("TopK x two > best y", NONE),
        ("Conv z kernel > y", NONE),
        ("GlobalAveragePool z > y", NONE),
        ("BatchNormalization x b4 b4 b4 b4 > y", NONE),
        ("LayerNormalization x b4 > y", NONE),
        ("Dropout x > y", NONE),
        ("ml.Scaler x > y", NONE),
        ("ml.TreeEnsembleRegressor x > y", &[("n_targets", &[1])]),
        ("ml.TreeEnsembleClassifier x > label y", NONE),
        ("ml.TreeEnsembleClassifier x > y scores", NONE),
        ("ml.ArrayFeatureExtractor x two > y", NONE),
    ];
    for (text, attributes) in cases {
        assert_eq!(of(text, attributes), RowWise::Proven, "{text}");
    }
}

#[test]
fn what_reaches_across_rows_is_not_proven() {
    let cases: &[(&str, Attributes<'_>)] = &[
        ("Add x b8x4 > y", NONE),
        // Rows of one would meet columns of the other.
        ("Add x z > y", NONE),
        ("MatMul w5x4 x > y", NONE),
        ("Gemm x w4x5 > y", &[("transA", &[1])]),
        ("Gemm x w4x5 b8x4 > y", NONE),
        ("Concat x x > y", &[("axis", &[0])]),
        ("Concat x b8x4 > y", &[("axis", &[1])]),
        ("Softmax x > y", &[("axis", &[0])]),
        ("ReduceSum x > y", NONE),
        ("ReduceSum x axis0 > y", NONE),
        ("ReduceMean x > y", &[("axes", &[-2])]),
        ("ArgMax x > y", NONE),
        ("Transpose x > y", NONE),
        ("Transpose x > y", &[("perm", &[1, 0])]),
        ("Squeeze x > y", NONE),
        ("Unsqueeze x axis0 > y", NONE),
        ("Reshape x line > y", NONE),
        ("Reshape x column > y", NONE),
        ("Reshape x eight > y", NONE),
        ("Reshape z to_2_2 > y", NONE),
        ("Flatten x > y", &[("axis", &[0])]),
        ("Gather x two > y", NONE),
        ("Slice x axis0 two > y", NONE),
        ("Slice x axis0 two axis0 > y", NONE),
        ("Split x > y rest", NONE),
        ("CumSum x axis0 > y", NONE),
        ("MaxPool z > pooled y", NONE),
        ("BatchNormalization x b4 b4 b4 b4 > y mean var", NONE),
        ("BatchNormalization x b4 b4 b4 b4 > y", &[("training_mode", &[1])]),
        ("Dropout x one one > y", NONE),
        ("Shape x > y", NONE),
        ("RandomNormalLike x > y", NONE),
        ("ml.Scaler z > y", NONE),
    ];
    for (text, attributes) in cases {
        assert!(matches!(of(text, attributes), RowWise::Unproven { .. }), "{text}");
    }
}

#[test]
fn the_first_operator_that_is_not_known_is_told() {
    let nodes = [node("NonZero x > s", NONE), node("Loop s > l", NONE), node("Mul x l > y", NONE)];
    assert_eq!(said(&nodes), unproven("'NonZero'"));
    assert_eq!(of("CumSum x axis0 > y", NONE), unproven("'CumSum'"));
    assert_eq!(of("DynamicQuantizeLinear x > y scale zero", NONE), unproven("'DynamicQuantizeLinear'"));
    assert_eq!(of("Shape x > y", NONE), unproven("output 'y'"));
    // What no output needs does not matter.
    assert_eq!(said(&[node("Shape x > s", NONE), node("Relu x > y", NONE)]), RowWise::Proven);
    assert_eq!(said(&[node("Relu b4 > y", NONE)]), unproven("output 'y'"));
}

#[test]
fn constants_may_be_computed_and_lots_may_not_be_drawn() {
    let table = [node("Transpose w5x4 > t", NONE), node("Gather w7x2 two > g", NONE), node("Mul x one > y", NONE)];
    assert_eq!(said(&table), RowWise::Proven);
    let shape = node("Constant > to", &[("value_ints", &[-1, 4])]);
    let shape = Node { input: Vec::new(), ..shape };
    assert_eq!(said(&[shape, node("Reshape x to > y", NONE)]), RowWise::Proven);
    let noise = Node { input: Vec::new(), ..node("RandomNormal > noise", NONE) };
    assert_eq!(said(&[noise, node("Add x noise > y", NONE)]), unproven("'RandomNormal'"));
}

#[test]
fn the_names_of_classes_are_found_row_by_row() {
    let class = || node("ArgMax x > class", &[("axis", &[1])]);
    let name = || node("ml.ArrayFeatureExtractor names class > line1", NONE);
    let cast = || node("Cast line1 > line2", NONE);
    assert_eq!(said(&[class(), name(), cast(), node("Reshape line2 line > y", NONE)]), RowWise::Proven);
    assert_eq!(said(&[class(), name(), cast(), node("Reshape line2 column > y", NONE)]), RowWise::Proven);
    // Rows are columns there.
    assert_eq!(said(&[class(), name(), node("Cast line1 > y", NONE)]), unproven("output 'y'"));
    assert_eq!(said(&[class(), name(), node("Add line1 one > y", NONE)]), unproven("output 'y'"));
    let two = node("ml.ArrayFeatureExtractor names x > line2", NONE);
    assert_eq!(said(&[two, node("Reshape line2 line > y", NONE)]), unproven("'ArrayFeatureExtractor'"));
}

#[test]
fn a_function_with_an_operators_name_proves_nothing() {
    let graph = Graph {
        node: vec![node("Relu x > y", NONE)],
        input: vec![value("x", &[None, Some(4)])],
        output: vec![value("y", &[None, Some(4)])],
        ..Graph::default()
    };
    let function = |domain: &str| Function { name: "Relu".into(), domain: domain.into(), ..Function::default() };
    let with = |functions| said_of(Model { functions, ..model(graph.clone()) });
    assert_eq!(with(vec![function("own")]), RowWise::Proven);
    assert_eq!(with(vec![function("")]), unproven("'Relu'"));
}

#[test]
fn inputs_need_rows() {
    let of_input = |dims: &[Option<i64>]| {
        let graph = Graph {
            node: vec![node("Relu x > y", NONE)],
            input: vec![value("x", dims)],
            output: vec![value("y", dims)],
            ..Graph::default()
        };
        said_of(model(graph))
    };
    assert_eq!(of_input(&[None]), RowWise::Proven);
    assert_eq!(of_input(&[]), unproven("input 'x'"));
    assert_eq!(of_input(&[Some(1), None]), unproven("input 'x'"));
}

/// Nodes, one a line, as in [`node`], with the integers of attributes behind: `"Concat a b > c | axis=0"`.
fn nodes(text: &str) -> Vec<Node> {
    let line = |line: &str| {
        let (call, attributes) = line.split_once(" | ").unwrap_or((line, ""));
        let mut node = node(call.trim(), NONE);
        node.attribute = attributes
            .split(' ')
            .filter_map(|attribute| attribute.split_once('='))
            .map(|(name, list)| {
                let ints: Vec<i64> = list.split(',').map(|number| number.parse().expect("an integer")).collect();
                Attribute { name: name.to_owned(), i: ints[0], ints, ..Attribute::default() }
            })
            .collect();
        node
    };
    text.lines().filter(|text| !text.trim().is_empty()).map(line).collect()
}

fn said_of_lines(text: &str) -> RowWise {
    said(&nodes(text))
}

#[test]
fn shapes_that_the_graph_computes_are_followed() {
    // As PyTorch exports `view(x.size(0), -1)`, `view(n * 2, 3)` and back, and `permute`.
    let flat =
        "Shape z > s\n Gather s first > n\n Unsqueeze n axis0 > n1\n Concat n1 last > to | axis=0\n Reshape z to > y";
    assert_eq!(said_of_lines(flat), RowWise::Proven);
    let merged = "Shape z > s\n Slice s axis0 axis1 > n\n Mul n two > n2\n Concat n2 last > to | axis=0\n Reshape z to > m\n \
                  MatMul m w3x6 > p\n Concat n two last > back | axis=0\n Reshape p back > y";
    assert_eq!(said_of_lines(merged), RowWise::Proven);
    // What is inside a row may not become rows, nor rows a part of what is before them.
    let astray = "Shape z > s\n Slice s axis0 axis1 > n\n Concat two n last > to | axis=0\n Reshape z to > m\n \
                  Transpose m > y | perm=1,0,2";
    assert!(matches!(said_of_lines(astray), RowWise::Unproven { .. }));
    // Time first, through a merge of time and rows, and back.
    let merged = "Transpose z > t | perm=1,0,2\n Shape t > s\n Reshape t row3 > m\n MatMul m w3x6 > p\n Slice s axis0 two > head\n \
                  Concat head last > back | axis=0\n Reshape p back > q\n Transpose q > y | perm=1,0,2";
    assert_eq!(said_of_lines(merged), RowWise::Proven);
    let swapped = "Transpose z > t | perm=1,0,2\n Reshape t row3 > m\n Reshape m to_2_3 > y";
    assert!(matches!(said_of_lines(swapped), RowWise::Unproven { .. }));
}

#[test]
fn what_counts_rows_is_no_value() {
    for text in [
        "Shape x > s\n Gather s first > n\n Cast n > f | to=1\n Div x f > y",
        "Shape x > s\n Gather s first > n\n Range zero n step > r\n Unsqueeze r axis1 > c\n Add x c > y",
        "Shape x > s\n Gather s first > n\n Sub n step > m\n Gather x m > y",
        "Shape x > s\n Gather s first > n\n Equal n step > c\n Where c x b4 > y",
    ] {
        assert!(matches!(said_of_lines(text), RowWise::Unproven { .. }), "{text}");
    }
    // Filled with one number, as many as there are rows.
    let states = "Shape x > s\n Gather s first > n\n Unsqueeze n axis0 > n1\n Concat n1 four > to | axis=0\n ConstantOfShape to > h\n \
                  Add x h > y";
    assert_eq!(said_of_lines(states), RowWise::Proven);
    // Found by the number of the row and a place of its own.
    let found = "Shape z > s\n Gather s first > n\n Range zero n step > r\n Unsqueeze r axis1 > a\n \
                 ArgMax x > b | axis=1 keepdims=1\n Concat a b > p | axis=1\n GatherND z p > y";
    assert_eq!(said_of_lines(found), RowWise::Proven);
    // Found among all places of all rows: those of a row are two behind each other.
    let flat = |times: &str, place: &str| {
        let range = "Shape z > s\n Gather s first > n\n Range zero n step > r";
        let places =
            "ArgMax z > two_of | axis=1 keepdims=0\n ReduceMax two_of > most | axes=1 keepdims=0\n Abs most > any";
        said_of_lines(&format!(
            "{range}\n {places}\n Mul r {times} > t\n ArgMax x > four_of | axis=1 keepdims=0\n Add t {place} > at\n \
             Reshape z row3 > flat\n Gather flat at > y"
        ))
    };
    assert!(matches!(flat("two_scalar", "four_of"), RowWise::Unproven { .. }), "up to the fourth of two");
    assert!(matches!(flat("two_scalar", "any"), RowWise::Unproven { .. }), "anywhere");
    assert!(matches!(flat("four_scalar", "four_of"), RowWise::Unproven { .. }), "the rows of another tensor");
    let first = "Shape z > s\n Gather s first > n\n Range zero n step > r\n Mul r two_scalar > t\n Reshape z row3 > flat\n \
                 Gather flat t > y";
    assert_eq!(said_of_lines(first), RowWise::Proven);
    let within = "Shape z > s\n Gather s first > n\n Range zero n step > r\n Mul r two_scalar > t\n \
                  ReduceMax z > column | axes=2 keepdims=0\n ArgMax column > two_of | axis=1 keepdims=0\n Add t two_of > at\n \
                  Reshape z row3 > flat\n Gather flat at > y";
    assert_eq!(said_of_lines(within), RowWise::Proven);
}

#[test]
fn graphs_inside_nodes_are_walked_through() {
    let body = |text: &str, inputs: &[&str], outputs: &[&str]| Graph {
        node: nodes(text),
        input: inputs.iter().map(|name| value(name, &[])).collect(),
        output: outputs.iter().map(|name| value(name, &[])).collect(),
        ..Graph::default()
    };
    let with = |call: &str, graphs: Vec<(&str, Graph)>| {
        let mut node = node(call, NONE);
        node.attribute = graphs
            .into_iter()
            .map(|(name, graph)| Attribute { name: name.into(), graph: Some(Box::new(graph)), ..Attribute::default() })
            .collect();
        node
    };
    let choice = |no: &str, condition: &str| {
        let graphs = vec![("then_branch", body("Relu x > a", &[], &["a"])), ("else_branch", body(no, &[], &["b"]))];
        said(&[with(&format!("If {condition} > y"), graphs)])
    };
    assert_eq!(choice("Neg x > b", "one"), RowWise::Proven);
    assert_eq!(choice("CumSum x axis0 > b", "one"), unproven("'CumSum'"));
    assert_eq!(choice("Neg x > b", "x"), unproven("'If'"));
    let rounds = |text: &str| {
        let body = body(text, &["i", "go", "state"], &["go2", "next", "kept"]);
        said(&[with("Loop two _ x > y all", vec![("body", body)])])
    };
    assert_eq!(rounds("Identity go > go2\n Add state x > next\n Relu state > kept"), RowWise::Proven);
    assert_eq!(rounds("Identity go > go2\n CumSum state axis0 > next\n Relu state > kept"), unproven("'CumSum'"));
    assert_eq!(rounds("ReduceMax next > go2\n Add state x > next\n Relu state > kept"), unproven("'Loop'"));
}

#[test]
fn functions_are_walked_through_with_what_a_call_gives() {
    let axis = Attribute { name: "axis".into(), ref_attr_name: "along".into(), ..Attribute::default() };
    let function = Function {
        name: "Share".into(),
        domain: "own".into(),
        input: vec!["a".into()],
        output: vec!["b".into()],
        node: vec![Node { attribute: vec![axis], ..node("Softmax a > b", NONE) }],
        opset_import: vec![OperatorSet { domain: String::new(), version: 17 }],
        ..Function::default()
    };
    let of = |along: i64| {
        let call = Node { domain: "own".into(), ..node("Share x > y", &[("along", &[along])]) };
        let graph = Graph {
            node: vec![call],
            input: vec![value("x", &[None, Some(4)])],
            output: vec![value("y", &[None, Some(4)])],
            ..Graph::default()
        };
        said_of(Model { functions: vec![function.clone()], ..model(graph) })
    };
    assert_eq!(of(1), RowWise::Proven);
    assert_eq!(of(0), unproven("'Softmax'"));
}
