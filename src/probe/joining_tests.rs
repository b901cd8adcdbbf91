use ndarray::{ArrayD, Axis, IxDyn};

use super::*;
use crate::tensor::{OutputSpec, TensorSpec};

fn dims(text: &str) -> Option<Vec<Dim>> {
    let dim = |text: &str| match text.parse() {
        Ok(size) => Dim::Fixed(size),
        Err(_) if text == "?" => Dim::Dynamic(None),
        Err(_) => Dim::Dynamic(Some(text.to_owned())),
    };
    (text != "…").then(|| text.split(',').filter(|text| !text.is_empty()).map(dim).collect())
}

fn signature(inputs: &[&str], outputs: &[&str]) -> Signature {
    let input =
        |(index, text): (usize, &&str)| TensorSpec { name: format!("x{index}"), dtype: DType::F32, dims: dims(text) };
    let output = |(index, text): (usize, &&str)| OutputSpec {
        name: format!("y{index}"),
        value: ValueType::Tensor { dtype: DType::F32, dims: dims(text) },
    };
    Signature {
        inputs: inputs.iter().enumerate().map(input).collect(),
        outputs: outputs.iter().enumerate().map(output).collect(),
    }
}

/// A graph whose operators nobody has looked at.
fn graph(inputs: &[&str], outputs: &[&str]) -> Graph {
    Graph { signature: signature(inputs, outputs), ..Graph::default() }
}

fn rows(tensor: &Tensor) -> &ArrayD<f32> {
    let Tensor::F32(array) = tensor else { panic!("these tests are of float32") };
    array
}

fn answer(array: ArrayD<f32>) -> Result<Vec<Value>, RunError> {
    Ok(vec![Value::Tensor(Tensor::F32(array))])
}

/// What is found about `[N, 3] → [N, 3]`.
fn found(mut run: impl FnMut(&ArrayD<f32>) -> Result<Vec<Value>, RunError>) -> Evidence {
    let joining = examine(&graph(&["N,3"], &["N,3"]), None, 1 << 20, &mut |inputs| run(rows(&inputs[0])));
    assert_eq!(joining.is_safe(), joining.evidence.as_ref().unwrap().is_for());
    joining.evidence.unwrap()
}

#[test]
fn a_name_shared_by_every_first_dimension_is_no_obstacle() {
    assert_eq!(obstacle(&signature(&["N,3", "N"], &["N,1", "N,M,2"])), None);
}

#[test]
fn each_obstacle_is_told_with_its_place() {
    let kind = |inputs: &[&str], outputs: &[&str]| {
        let found = obstacle(&signature(inputs, outputs)).unwrap();
        (found.name, found.kind)
    };
    let at = |name: &str, kind| (name.to_owned(), kind);
    let other = ObstacleKind::OtherRows { symbol: "M".into(), expected: "N".into() };
    assert_eq!(kind(&[], &["N"]), at("", ObstacleKind::None));
    assert_eq!(kind(&["N"], &[]), at("", ObstacleKind::None));
    assert_eq!(kind(&["1,3"], &["N"]), at("x0", ObstacleKind::FixedRows(1)));
    assert_eq!(kind(&["N"], &["8,N"]), at("y0", ObstacleKind::FixedRows(8)));
    assert_eq!(kind(&["N", ""], &["N"]), at("x1", ObstacleKind::Scalar));
    assert_eq!(kind(&["N", "…"], &["N"]), at("x1", ObstacleKind::UnknownRank));
    assert_eq!(kind(&["?,3"], &["?,3"]), at("x0", ObstacleKind::UnnamedRows));
    assert_eq!(kind(&["N,3"], &["M,3"]), at("y0", other));
    // What leaves nothing to try is told before what could be true all the same.
    assert_eq!(kind(&["?,3"], &["4"]), at("y0", ObstacleKind::FixedRows(4)));
    let mut maps = signature(&["N"], &["N"]);
    maps.outputs[0].value = ValueType::Sequence(Box::new(maps.outputs[0].value.clone()));
    assert_eq!(obstacle(&maps).unwrap().kind, ObstacleKind::NotATensor);
}

#[test]
fn rows_by_themselves_are_the_same_together() {
    assert_eq!(found(|x| answer(x * 2.0)), Evidence::Same);
}

#[test]
fn rounding_is_measured_and_allowed() {
    let Evidence::Rounded { absolute, relative } = found(|x| answer(x + x.len() as f32 * 1e-6)) else {
        panic!("it depends on the number of rows, a little")
    };
    assert!(absolute > 1e-6 && absolute < 2e-5 && relative > 1e-6 && relative < 2e-5, "{absolute} {relative}");
}

#[test]
fn what_mixes_rows_is_found_out() {
    // As batch normalisation does that was exported in training mode.
    let mixed = found(|x| answer(x - &x.mean_axis(Axis(0)).unwrap()));
    let Evidence::Differs { output, absolute: Some(absolute) } = mixed else { panic!("{mixed:?}") };
    assert!(output == "y0" && absolute > 0.1, "{absolute}");
    let first = |x: &ArrayD<f32>| {
        answer(x.index_axis(Axis(0), 0).insert_axis(Axis(0)).broadcast(x.raw_dim()).unwrap().to_owned())
    };
    assert!(matches!(found(first), Evidence::Differs { .. }));
}

#[test]
fn rows_that_go_missing_are_found_out() {
    let sum = |x: &ArrayD<f32>| answer(x.sum_axis(Axis(0)).insert_axis(Axis(0)));
    assert_eq!(found(sum), Evidence::OtherRowCount { output: "y0".into(), rows: 3, got: Some(1) });
    let scalar = |x: &ArrayD<f32>| answer(ArrayD::from_elem(IxDyn(&[]), x.sum()));
    assert_eq!(found(scalar), Evidence::OtherRowCount { output: "y0".into(), rows: 3, got: None });
}

#[test]
fn chance_is_found_out() {
    let mut count = 0.0;
    let lots = |x: &ArrayD<f32>| {
        count += 1.0;
        answer(x + count)
    };
    assert_eq!(found(lots), Evidence::NotRepeatable { output: "y0".into() });
}

#[test]
fn a_model_for_single_rows_is_found_out() {
    let fails = |x: &ArrayD<f32>| match x.shape()[0] {
        1 | 2 => answer(x.clone()),
        _ => Err(RunError::Rejected("too many rows".into())),
    };
    assert!(matches!(found(fails), Evidence::JoinedFails { reason } if reason.contains("too many rows")));
    let never = |_: &ArrayD<f32>| Err(RunError::Failed("out of order".into()));
    assert!(matches!(found(never), Evidence::NotRun { reason } if reason.contains("out of order")));
}

#[test]
fn sizes_are_tried_until_the_model_runs_and_a_sample_is_tried_first() {
    let graph = graph(&["N,T"], &["N,T"]);
    let mut sizes = Vec::new();
    let mut run = |inputs: &[Tensor]| {
        let x = rows(&inputs[0]);
        sizes.push(x.shape()[1]);
        if x.shape()[1] < 30 { Err(RunError::Rejected("too short".into())) } else { answer(x.clone()) }
    };
    assert!(examine(&graph, None, 1 << 20, &mut run).is_safe());
    let sample = [Tensor::F32(ArrayD::zeros(IxDyn(&[4, 37])))];
    assert!(examine(&graph, Some(&sample), 1 << 20, &mut run).is_safe());
    assert_eq!(sizes[..7], [1, 1, 1, 8, 8, 8, 64]);
    assert!(sizes.contains(&37) && !sizes.contains(&224));
}

#[test]
fn a_declaration_that_says_too_little_is_tried_all_the_same() {
    let mut same = |inputs: &[Tensor]| answer(rows(&inputs[0]).clone());
    for (inputs, outputs) in [("?,3", "?,3"), ("N,3", "M,3")] {
        let unnamed = graph(&[inputs], &[outputs]);
        let joining = examine(&unnamed, None, 1 << 20, &mut same);
        assert_eq!(joining.evidence, Some(Evidence::Same));
        assert!(!joining.is_safe());
        // What the operators prove need not be declared.
        let proven = Graph { row_wise: RowWise::Proven, ..unnamed };
        assert!(examine(&proven, None, 1 << 20, &mut same).is_safe());
    }
    let fixed = Graph { row_wise: RowWise::Proven, ..graph(&["2,3"], &["2,3"]) };
    let fixed = examine(&fixed, None, 1 << 20, &mut |_| panic!("there is nothing to try"));
    assert_eq!((fixed.evidence.as_ref(), fixed.is_safe()), (None, false));
}
