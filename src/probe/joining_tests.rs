use ndarray::{ArrayD, Axis, IxDyn};

use super::*;
use crate::engine::{Lookup, RunError};
use crate::tensor::{DType, OutputSpec, TensorSpec, Value};

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

/// A graph whose operators are taken to keep rows apart.
fn graph(inputs: &[&str], outputs: &[&str]) -> Graph {
    Graph { signature: signature(inputs, outputs), row_wise: RowWise::Proven, ..Graph::default() }
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
fn first_dimensions_that_are_dynamic_are_no_obstacle_whatever_they_are_called() {
    assert_eq!(obstacle(&signature(&["N,3", "N", "?,2"], &["N,1", "M,2"])), None);
}

#[test]
fn each_obstacle_is_told_with_its_place() {
    let kind = |inputs: &[&str], outputs: &[&str]| {
        let found = obstacle(&signature(inputs, outputs)).unwrap();
        (found.name, found.kind)
    };
    let at = |name: &str, kind| (name.to_owned(), kind);
    assert_eq!(kind(&[], &["N"]), at("", ObstacleKind::None));
    assert_eq!(kind(&["N"], &[]), at("", ObstacleKind::None));
    assert_eq!(kind(&["1,3"], &["N"]), at("x0", ObstacleKind::FixedRows(1)));
    assert_eq!(kind(&["N"], &["8,N"]), at("y0", ObstacleKind::FixedRows(8)));
    assert_eq!(kind(&["N", ""], &["N"]), at("x1", ObstacleKind::Scalar));
    assert_eq!(kind(&["N", "…"], &["N"]), at("x1", ObstacleKind::UnknownRank));
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
    assert!(absolute > 1e-6 && absolute < 1e-2 && relative > 1e-7 && relative < 2e-5, "{absolute} {relative}");
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
    assert_eq!(found(sum), Evidence::OtherRowCount { output: "y0".into(), rows: 5, got: Some(1) });
    let scalar = |x: &ArrayD<f32>| answer(ArrayD::from_elem(IxDyn(&[]), x.sum()));
    assert_eq!(found(scalar), Evidence::OtherRowCount { output: "y0".into(), rows: 5, got: None });
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
fn without_a_proof_nothing_is_safe_and_a_proof_has_to_be_borne_out() {
    let mut same = |inputs: &[Tensor]| answer(rows(&inputs[0]).clone());
    for row_wise in [RowWise::Unknown, RowWise::Unproven { operator: "'Scan'".into() }] {
        let named = Graph { row_wise: row_wise.clone(), ..graph(&["N,3"], &["N,3"]) };
        let joining = examine(&named, None, 1 << 20, &mut same);
        assert_eq!(joining.evidence, Some(Evidence::Same));
        assert!(!joining.is_safe() && joining.is_shown());
        assert!(doubt(&row_wise).is_some());
    }
    assert!(examine(&graph(&["?,3"], &["M,3"]), None, 1 << 20, &mut same).is_safe());
    let fixed = graph(&["2,3"], &["2,3"]);
    let fixed = examine(&fixed, None, 1 << 20, &mut |_| panic!("there is nothing to try"));
    assert_eq!((fixed.evidence.as_ref(), fixed.is_safe(), fixed.is_shown()), (None, false, false));
}

/// The greatest number of all rows.
fn most(x: &ArrayD<f32>) -> f32 {
    x.iter().copied().fold(f32::MIN, f32::max)
}

#[test]
fn what_only_large_values_mix_is_found_out() {
    let beyond = |limit: f32| move |x: &ArrayD<f32>| answer(x - (most(x) - limit).max(0.0));
    for limit in [1.5, 20.0, 1_000.0] {
        assert!(matches!(found(beyond(limit)), Evidence::Differs { .. }), "{limit}");
    }
    // As DynamicQuantizeLinear does: 8 bits between the least and the greatest of all rows.
    let quantised = |x: &ArrayD<f32>| {
        let least = x.iter().copied().fold(0f32, f32::min);
        let step = ((most(x).max(0.0) - least) / 255.0).max(f32::MIN_POSITIVE);
        answer(x.mapv(|x| (x / step).round_ties_even() * step))
    };
    assert!(matches!(found(quantised), Evidence::Differs { .. }));
    // And where what comes out is small whatever goes in.
    assert!(matches!(found(move |x| answer((x / most(x).max(1.0)).mapv(f32::tanh))), Evidence::Differs { .. }));
}

#[test]
fn one_rows_nan_in_anothers_answer_is_found_out_and_its_own_is_not_judged() {
    let spread = |x: &ArrayD<f32>| answer(x + if x.iter().any(|x| x.is_nan()) { 1.0 } else { 0.0 });
    assert!(matches!(found(spread), Evidence::Differs { .. }));
    // A vectorised loop and its tail take NaN differently.
    let tail = |x: &ArrayD<f32>| answer(x.mapv(|number| if number.is_nan() && x.len() > 3 { 0.0 } else { number }));
    assert_eq!(found(tail), Evidence::Same);
}

#[test]
fn the_samples_own_values_are_tried() {
    // Only numbers like the sample's show it.
    let odd = |x: f32| (x - 0.123_456).abs() < 1e-5;
    let mut run = |inputs: &[Tensor]| {
        let x = rows(&inputs[0]);
        answer(x + if x.len() > 3 && x.iter().any(|&x| odd(x)) { 1.0 } else { 0.0 })
    };
    let graph = graph(&["N,3"], &["N,3"]);
    assert!(examine(&graph, None, 1 << 20, &mut run).is_safe());
    let sample = [Tensor::F32(ArrayD::from_elem(IxDyn(&[2, 3]), 0.123_456))];
    let joining = examine(&graph, Some(&sample), 1 << 20, &mut run);
    assert!(matches!(joining.evidence, Some(Evidence::Differs { .. })));
}

/// `x`, and how another order of adding up moves it where there are several rows.
fn shifted(x: &ArrayD<f32>, by: f32) -> ArrayD<f32> {
    let by = if x.shape()[0] > 1 { by } else { 0.0 };
    x.mapv(|x| x + x * by)
}

#[test]
fn a_row_that_goes_as_far_by_itself_is_no_evidence() {
    // What is left of large numbers that cancel out, and which of two equal scores is the greater.
    assert!(found(|x| answer(shifted(x, 5e-7).mapv(|x| (x * 1e3).sin()))).is_for());
    assert!(found(|x| answer(shifted(x, 5e-7).mapv(|x| (x * 1e4).rem_euclid(2.0).round()))).is_for());
    // Moved by more than kernels round, the same computation is evidence.
    assert!(matches!(found(|x| answer(shifted(x, 0.03))), Evidence::Differs { .. }));
}

#[test]
fn rounding_of_16_bits_inside_is_believed_of_what_is_proven_alone() {
    let mut run = |inputs: &[Tensor]| answer(shifted(rows(&inputs[0]), 4e-4));
    let proven = graph(&["N,3"], &["N,3"]);
    assert!(examine(&proven, None, 1 << 20, &mut run).is_safe());
    let unproven = Graph { row_wise: RowWise::Unproven { operator: "'Scan'".into() }, ..proven };
    assert!(!examine(&unproven, None, 1 << 20, &mut run).is_shown());
}

/// A graph of `[N, 4]` integers.
fn of_integers(lookups: Vec<Lookup>, row_wise: RowWise) -> Graph {
    let mut signature = signature(&["N,4"], &["N,4"]);
    signature.inputs[0].dtype = DType::I64;
    signature.outputs[0].value = ValueType::Tensor { dtype: DType::I64, dims: dims("N,4") };
    Graph { signature, lookups, row_wise, ..Graph::default() }
}

fn integers(tensor: &Tensor) -> &ArrayD<i64> {
    let Tensor::I64(array) = tensor else { panic!("this test is of int64") };
    array
}

#[test]
fn integers_go_as_far_as_the_model_takes_them() {
    for limit in [3, 90, 7_000, 1 << 40, i64::MAX] {
        let mut largest = 0;
        let mut mixes = |inputs: &[Tensor]| {
            let x = integers(&inputs[0]);
            if x.iter().any(|&x| x.saturating_abs() > limit) {
                return Err(RunError::Rejected("out of range".into()));
            }
            let most = x.iter().copied().max().unwrap_or(0);
            largest = largest.max(most);
            Ok(vec![Value::Tensor(Tensor::I64(x.mapv(|x| x / 2 - most / 2)))])
        };
        let graph = of_integers(Vec::new(), RowWise::Proven);
        let joining = examine(&graph, None, 1 << 20, &mut mixes);
        assert!(matches!(joining.evidence, Some(Evidence::Differs { .. })), "{limit}: {joining:?}");
        assert!(largest > limit / 100 || limit == 1 << 40, "{limit} {largest}");
    }
}

#[test]
fn what_is_looked_up_is_drawn_from_the_whole_table() {
    let mut seen = Vec::new();
    let mut run = |inputs: &[Tensor]| {
        let x = integers(&inputs[0]);
        seen.extend(x.iter().copied());
        if x.iter().any(|x| !(0..30_000).contains(x)) {
            return Err(RunError::Rejected("no such word".into()));
        }
        Ok(vec![Value::Tensor(inputs[0].clone())])
    };
    let graph = of_integers(vec![Lookup { input: 0, places: 30_000 }], RowWise::Proven);
    assert!(examine(&graph, None, 1 << 20, &mut run).is_safe());
    assert!(seen.contains(&29_999) && seen.iter().any(|x| (1_000..29_000).contains(x)), "{seen:?}");
}

#[test]
fn there_are_no_more_runs_than_sixty_or_so() {
    let mut runs = 0;
    let mut run = |inputs: &[Tensor]| {
        runs += 1;
        Ok(inputs.iter().cloned().map(Value::Tensor).collect())
    };
    let mut graph = of_integers(Vec::new(), RowWise::Proven);
    for index in 1..6 {
        let input = TensorSpec { name: format!("x{index}"), ..graph.signature.inputs[0].clone() };
        graph.signature.inputs.push(input);
    }
    assert!(examine(&graph, None, 1 << 20, &mut run).is_safe());
    assert!((20..=60).contains(&runs), "{runs}");
}
