use ndarray::ArrayD;

use super::*;

fn input(name: &str, dtype: DType, dims: &[Dim]) -> TensorSpec {
    TensorSpec { name: name.to_owned(), dtype, dims: Some(dims.to_vec()) }
}

fn named(symbol: &str) -> Dim {
    Dim::Dynamic(Some(symbol.to_owned()))
}

fn zeros(shape: &[usize]) -> Tensor {
    Tensor::F32(ArrayD::zeros(shape))
}

#[test]
fn a_shape_with_a_zero_has_no_elements_whatever_else_it_says() {
    assert_eq!(element_count(&[]), Some(1));
    assert_eq!(element_count(&[2, 3]), Some(6));
    assert_eq!(element_count(&[usize::MAX, 2]), None);
    assert_eq!(element_count(&[usize::MAX, 2, 0]), Some(0));
    assert_eq!(extent(&[3, 0, 2]), Some(6));
    assert_eq!(extent(&[usize::MAX, 2, 0]), None);
    assert_eq!(extent(&[usize::MAX, 0]), None);
}

#[test]
fn types_and_shapes_read_as_people_write_them() {
    assert_eq!(Shape(&[]).to_string(), "[]");
    assert_eq!(Shape(&[2, 10]).to_string(), "[2, 10]");
    let spec = input("x", DType::F32, &[named("N"), Dim::Fixed(10), Dim::Dynamic(None)]);
    assert_eq!(spec.to_string(), "float32[N, 10, ?]");
    assert_eq!(TensorSpec { dims: None, ..spec }.to_string(), "float32[…]");
}

#[test]
fn a_shape_is_checked_by_rank_and_by_fixed_sizes() {
    let spec = input("x", DType::F32, &[named("N"), Dim::Fixed(10)]);
    assert_eq!(spec.check_shape(&[0, 10]), Ok(()));
    assert_eq!(spec.check_shape(&[10]), Err(ShapeMismatch::Rank { expected: 2, got: 1 }));
    assert_eq!(spec.check_shape(&[3, 9]), Err(ShapeMismatch::Size { axis: 1, expected: 10, got: 9 }));
    assert_eq!(TensorSpec { dims: None, ..spec }.check_shape(&[7, 7, 7]), Ok(()));
}

#[test]
fn inputs_that_disagree_on_a_named_dimension_are_named() {
    let inputs = vec![input("a", DType::F32, &[named("N"), named("M")]), input("b", DType::F32, &[named("N")])];
    let signature = Signature { inputs, outputs: Vec::new() };
    assert_eq!(signature.symbol_conflict(&[zeros(&[2, 3]), zeros(&[2])]), None);
    let conflict = signature.symbol_conflict(&[zeros(&[2, 3]), zeros(&[4])]).unwrap();
    assert_eq!(conflict, "dimension 'N' is 2 in input 'a' but 4 in input 'b' (shape [4])");
}

#[test]
fn examples_are_as_small_as_the_shapes_allow_and_bounded() {
    let inputs = vec![
        input("image", DType::U8, &[named("N"), Dim::Fixed(3)]),
        input("text", DType::String, &[]),
        TensorSpec { name: "any".to_owned(), dtype: DType::F64, dims: None },
    ];
    let signature = Signature { inputs, outputs: Vec::new() };
    let examples = signature.example_inputs(5).unwrap();
    assert_eq!(examples.iter().map(Tensor::shape).collect::<Vec<_>>(), [&[1, 3][..], &[], &[]]);
    assert_eq!(examples.iter().map(Tensor::dtype).collect::<Vec<_>>(), [DType::U8, DType::String, DType::F64]);
    assert_eq!(signature.example_inputs(4), None);
    for dims in [&[Dim::Fixed(usize::MAX), Dim::Fixed(2)][..], &[Dim::Fixed(usize::MAX), Dim::Fixed(0)]] {
        let huge = Signature { inputs: vec![input("x", DType::F32, dims)], outputs: Vec::new() };
        assert_eq!(huge.example_inputs(usize::MAX), None);
    }
}

#[test]
fn every_type_knows_its_onnx_number_and_size() {
    for dtype in DType::ALL {
        let known = (0..30).filter(|number| DType::from_onnx(*number) == Some(dtype)).count();
        assert_eq!(known, 1, "{dtype}");
    }
    assert_eq!(DType::ALL.iter().filter_map(|dtype| dtype.size()).sum::<usize>(), 3 + 4 * 2 + 3 * 4 + 3 * 8);
}

#[test]
fn the_first_rows_are_kept() {
    let tensor =
        |rows: usize| i64::wrap(ArrayD::from_shape_fn(vec![rows, 2], |index| (index[0] * 2 + index[1]) as i64));
    assert_eq!(first_rows(tensor(4), 3), Some(tensor(3)));
    assert_eq!(first_rows(tensor(4), 4), Some(tensor(4)));
    assert_eq!(first_rows(tensor(4), 0), Some(tensor(0)));
    assert_eq!(first_rows(tensor(4), 5), None);
    assert_eq!(first_rows(zeros(&[]), 1), None, "a scalar has no rows");
}
