use crate::codec::{
    DecodeError, Decoded, Dialect, EncodeError, ExtraColumns, Format, JsonReply, NonFiniteOutput, NullInput, Policy,
    Receiver, Reply, Request, encode,
};
use crate::tensor::{DType, Dim, OutputSpec, Signature, Tensor, TensorSpec, Value, ValueType};

const POLICY: Policy = Policy {
    null_input: NullInput::Reject,
    extra_columns: ExtraColumns::Refuse,
    non_finite_output: NonFiniteOutput::Null,
    max_elements: 100,
    max_rank: 8,
    max_json_depth: 8,
};

/// Inputs, and the same as outputs: `("x", F32, "N,2")`.
fn model(tensors: &[(&str, DType, &str)]) -> Signature {
    let dim = |text: &str| text.parse().map_or_else(|_| Dim::Dynamic(Some(text.to_owned())), Dim::Fixed);
    let dims = |text: &str| Some(text.split(',').filter(|dim| !dim.is_empty()).map(dim).collect::<Vec<_>>());
    let inputs = tensors.iter().map(|(name, dtype, text)| TensorSpec {
        name: (*name).to_owned(),
        dtype: *dtype,
        dims: dims(text),
    });
    let outputs = tensors.iter().map(|(name, dtype, text)| OutputSpec {
        name: (*name).to_owned(),
        value: ValueType::Tensor { dtype: *dtype, dims: dims(text) },
    });
    Signature { inputs: inputs.collect(), outputs: outputs.collect() }
}

fn receive(signature: &Signature, policy: Policy, dialect: Dialect, body: &[u8]) -> Result<Decoded, DecodeError> {
    let request = Request { signature, policy, announced_bytes: None, max_bytes: 1 << 20, raw_shape: None };
    let mut receiver = Receiver::of(dialect, Format::Csv, request)?;
    for piece in body.chunks(7) {
        receiver.push(piece)?;
    }
    receiver.finish()
}

fn decode(signature: &Signature, body: &str) -> Result<Vec<Tensor>, DecodeError> {
    receive(signature, POLICY, Dialect::Any, body.as_bytes()).map(|decoded| decoded.inputs)
}

fn write(signature: &Signature, tensors: Vec<Tensor>, policy: &Policy) -> Result<String, EncodeError> {
    let values = tensors.into_iter().map(Value::Tensor).collect();
    let encoded = encode(values, signature, Reply::Csv, policy)?;
    assert_eq!(encoded.format, Format::Csv);
    Ok(String::from_utf8(encoded.parts.concat()).unwrap())
}

#[test]
fn a_table_is_a_matrix_or_an_input_for_each_column() {
    let matrix = model(&[("x", DType::F32, "N,2")]);
    let tensors = decode(&matrix, "a,b\n1,2.5\r\n-3e2, 0.1 \n").unwrap();
    assert_eq!(tensors, [Tensor::F32(ndarray::arr2(&[[1.0, 2.5], [-300.0, 0.1]]).into_dyn())]);
    assert_eq!(write(&matrix, tensors, &POLICY).unwrap(), "x_0,x_1\n1.0,2.5\n-300.0,0.1\n");
    assert_eq!(decode(&matrix, "a,b\n").unwrap()[0].shape(), [0, 2]);

    let columns = model(&[("age", DType::I64, "N"), ("name", DType::String, "N,1"), ("new", DType::Bool, "N")]);
    let body = "name,new,age\n\"Braund, \"\"Owen\"\"\",True,22\n Ann ,false,38\n";
    let tensors = decode(&columns, body).unwrap();
    let names = ["Braund, \"Owen\"".to_owned(), " Ann ".to_owned()];
    assert_eq!(tensors[0], Tensor::I64(ndarray::arr1(&[22, 38]).into_dyn()));
    assert_eq!(tensors[1], Tensor::String(ndarray::Array2::from_shape_vec((2, 1), names.into()).unwrap().into_dyn()));
    assert_eq!(tensors[2], Tensor::Bool(ndarray::arr1(&[true, false]).into_dyn()));
    let text = "age,name,new\n22,\"Braund, \"\"Owen\"\"\",true\n38, Ann ,false\n";
    assert_eq!(write(&columns, tensors, &POLICY).unwrap(), text);

    let vector = model(&[("x", DType::U8, "N")]);
    assert_eq!(decode(&vector, "x\n255\n0").unwrap(), [Tensor::U8(ndarray::arr1(&[255, 0]).into_dyn())]);
    let unranked = Signature {
        inputs: vec![TensorSpec { name: "x".to_owned(), dtype: DType::F64, dims: None }],
        outputs: Vec::new(),
    };
    assert_eq!(decode(&unranked, "a,b,c\n1,2,3").unwrap()[0].shape(), [1, 3]);
    assert_eq!(decode(&matrix, "\u{feff}a,b\n1,2").unwrap()[0].shape(), [1, 2], "as spreadsheets write it");
}

#[test]
fn no_number_is_changed() {
    for (dtype, text, words) in [
        (DType::I64, "1.5", "row 1, column 'a': 1.5 is not an integer"),
        (DType::U8, "256", "row 1, column 'a': 256 is out of the range of uint8"),
        (DType::U8, "-1", "out of the range"),
        (DType::F32, "1e39", "1e39 is too large for float32"),
        (DType::F32, "abc", "row 1, column 'a': expected float32, got 'abc'"),
        (DType::F32, "1,0x", "the first line names 1 columns"),
        (DType::F32, "007", "got '007'"),
        (DType::F32, "+1", "got '+1'"),
        (DType::F32, "inf", "got 'inf'"),
        (DType::F32, "1.", "got '1.'"),
        (DType::F32, "1 2", "got '1 2'"),
        (DType::F32, "true", "got 'true'"),
        (DType::F32, "nan", "does not take a missing value for NaN (its setting null_input)"),
        (DType::F32, "\"\"", "got nothing: this endpoint does not take a missing value"),
        (DType::I32, "\"\"", "only float inputs have a value for what is missing"),
        (DType::Bool, "1", "write true or false"),
        (DType::Bool, "yes", "expected bool, got 'yes'"),
    ] {
        let error = decode(&model(&[("x", dtype, "N,1")]), &format!("a\n{text}\n")).unwrap_err();
        assert!(error.message.contains(words), "{dtype} {text}: {}", error.message);
    }
    assert_eq!(decode(&model(&[("x", DType::I64, "N,1")]), "a\n3.0\n3e2").unwrap()[0].len(), 2);
    let error = decode(&model(&[("x", DType::F32, "N,2")]), "a,b\n1,2\n3,x\n").unwrap_err();
    assert_eq!(error.path.as_deref(), Some("row 2, column 'b'"));
}

#[test]
fn what_is_missing_is_nan_where_the_endpoint_takes_it() {
    let policy = Policy { null_input: NullInput::NaN, ..POLICY };
    let signature = model(&[("x", DType::F32, "N,2")]);
    let decoded = receive(&signature, policy, Dialect::Any, b"a,b\n,NaN\n1,nan\n").unwrap();
    let Tensor::F32(array) = &decoded.inputs[0] else { panic!() };
    assert_eq!(array.iter().map(|value| value.is_nan()).collect::<Vec<_>>(), [true, true, false, true]);
    let ids = model(&[("x", DType::I64, "N,1")]);
    assert!(receive(&ids, policy, Dialect::Any, b"a\nnan\n").is_err());
    let error = Policy { non_finite_output: NonFiniteOutput::Error, ..POLICY };
    assert_eq!(write(&signature, decoded.inputs.clone(), &POLICY).unwrap(), "x_0,x_1\n,\n1.0,\n");
    assert!(matches!(write(&signature, decoded.inputs, &error), Err(EncodeError::NonFinite { value: "NaN", .. })));
}

#[test]
fn a_table_and_json_agree_on_what_is_missing() {
    let lenient = Policy { null_input: NullInput::NaN, ..POLICY };
    let json = |dtype, policy, cell: &str| {
        let body = format!("{{\"dataframe_split\": {{\"columns\": [\"x\", \"n\"], \"data\": [[{cell}, 1]]}}}}");
        let signature = model(&[("x", dtype, "N"), ("n", DType::I64, "N")]);
        let request =
            Request { signature: &signature, policy, announced_bytes: None, max_bytes: 1 << 20, raw_shape: None };
        crate::codec::json::decode(body.as_bytes(), request).map(|decoded| decoded.inputs)
    };
    let table = |dtype, policy, cell: &str| {
        let signature = model(&[("x", dtype, "N"), ("n", DType::I64, "N")]);
        receive(&signature, policy, Dialect::Any, format!("x,n\n{cell},1\n").as_bytes()).map(|decoded| decoded.inputs)
    };
    for dtype in DType::ALL {
        for policy in [POLICY, lenient] {
            let (null, nothing) = (json(dtype, policy, "null"), table(dtype, policy, ""));
            let takes = dtype.is_float() && policy.null_input == NullInput::NaN;
            assert_eq!((null.is_ok(), nothing.is_ok()), (takes, takes), "{dtype}");
            if let (Err(null), Err(nothing)) = (&null, &nothing) {
                assert_eq!(null.fault, nothing.fault, "{dtype}: {null} / {nothing}");
            }
            if let (Ok(null), Ok(nothing)) = (null, nothing) {
                // NaN is not equal to itself.
                assert_eq!(format!("{null:?}"), format!("{nothing:?}"));
            }
        }
    }
    let empty = json(DType::String, POLICY, "\"\"").unwrap();
    assert_eq!(table(DType::String, POLICY, "\"\"").unwrap(), empty);
    assert_eq!(table(DType::String, POLICY, "nan").unwrap(), json(DType::String, POLICY, "\"nan\"").unwrap());
    let error = table(DType::String, POLICY, "").unwrap_err();
    assert!(error.message.contains("an empty text is written \"\""), "{}", error.message);
    assert_eq!(error.path.as_deref(), Some("row 1, column 'x'"));
}

#[test]
fn columns_that_are_no_inputs_are_dropped_where_the_endpoint_says_so() {
    let policy = Policy { extra_columns: ExtraColumns::Drop, ..POLICY };
    let signature = model(&[("a", DType::F32, "N"), ("b", DType::String, "N")]);
    let expected = decode(&signature, "a,b\n1,x\n2,y\n").unwrap();
    let table = b"id,b,more,a\n7,x,,1\n8,y,\"\",2\n";
    assert_eq!(receive(&signature, policy, Dialect::Any, table).unwrap().inputs, expected);
    assert!(receive(&signature, POLICY, Dialect::Any, table).is_err());
    for body in [
        r#"{"dataframe_split": {"columns": ["id", "b", "a"], "data": [[7, "x", 1], [[8], "y", 2]]}}"#,
        r#"{"dataframe_records": [{"id": 7, "b": "x", "a": 1}, {"b": "y", "a": 2, "more": {"c": []}}]}"#,
    ] {
        let request = |policy| Request {
            signature: &signature,
            policy,
            announced_bytes: None,
            max_bytes: 1 << 20,
            raw_shape: None,
        };
        assert_eq!(crate::codec::json::decode(body.as_bytes(), request(policy)).unwrap().inputs, expected, "{body}");
        assert!(crate::codec::json::decode(body.as_bytes(), request(POLICY)).is_err(), "{body}");
    }
    assert!(receive(&signature, policy, Dialect::Any, b"a,more\n1,2\n").unwrap_err().message.contains("'b'"));
}

#[test]
fn a_table_in_another_encoding_says_which_it_looks_like() {
    let signature = model(&[("x", DType::String, "N")]);
    let utf16: Vec<u8> = "\u{feff}x\ny\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (body, words) in [(&utf16[..], "UTF-16"), (b"x\nRen\xe9\n", "Windows-1252")] {
        let error = receive(&signature, POLICY, Dialect::Any, body).unwrap_err();
        assert!(error.message.contains(words) && error.message.contains("encode it as UTF-8"), "{}", error.message);
    }
}

#[test]
fn a_body_that_is_no_table_for_the_model_says_why() {
    let matrix = || model(&[("x", DType::F32, "N,2")]);
    let columns = || model(&[("age", DType::F32, "N"), ("fare", DType::F32, "N,1")]);
    for (signature, body, words) in [
        (matrix(), "", "the body is empty; its first line must have the names of the columns"),
        (matrix(), "\n\n", "the body is empty"),
        (matrix(), "a,b,c\n1,2,3", "float32[N, 2], which has 2 columns; the first line names 3"),
        (
            matrix(),
            ",a,b\n0,1,2",
            "the first column has no name: pandas leaves the row labels out with to_csv(index=False)",
        ),
        (matrix(), "a,b\n1,2\n3", "row 2 has 1 values, the first line names 2 columns"),
        (matrix(), "a,b\n1,2,3", "row 1 has 3 values"),
        (matrix(), "a,b\n\"1,2", "a quote is not closed"),
        (columns(), "age\n1", "input 'fare' (float32[N, 1]) is missing"),
        (columns(), "age,fare,sex\n1,2,3", "the model has no input 'sex'"),
        (columns(), "age,age\n1,2", "input 'age' is given twice"),
        (model(&[("x", DType::F32, "N,2,2")]), "x\n1", "which CSV cannot carry"),
        (model(&[("x", DType::F32, "")]), "x\n1", "float32[], which CSV cannot carry"),
        (
            model(&[("x", DType::F32, "N"), ("y", DType::F32, "N,3")]),
            "x,y\n1,2",
            "input 'y' is float32[N, 3], which CSV",
        ),
        (model(&[]), "x\n1", "the model has no inputs"),
        (model(&[("x", DType::F32, "3")]), "x\n1", "cannot have the shape [1]: dimension 0 must be 3, got 1"),
    ] {
        let error = decode(&signature, body).unwrap_err();
        assert!(error.message.contains(words), "{body}: {}", error.message);
    }
    assert!(receive(&matrix(), POLICY, Dialect::Any, b"a,\xff\n1,2").unwrap_err().message.contains("not UTF-8"));
    let text = model(&[("x", DType::String, "N")]);
    assert!(receive(&text, POLICY, Dialect::Any, b"x\n\xff").unwrap_err().message.contains("it is not UTF-8"));
    let long = format!("a,b\n{}", "1,2\n".repeat(51));
    assert!(decode(&matrix(), &long).unwrap_err().message.contains("more than 100 values"));
}

#[test]
fn an_answer_that_is_no_table_says_why() {
    let signature = model(&[("x", DType::F32, "N"), ("y", DType::F32, "N")]);
    let vector = |length| Tensor::F32(ndarray::Array1::zeros(length).into_dyn());
    let error = |tensors| write(&signature, tensors, &POLICY).unwrap_err().to_string();
    assert!(error(vec![vector(2), vector(3)]).contains("the outputs differ in their number of rows"));
    let cube = Tensor::F32(ndarray::Array3::zeros((1, 2, 2)).into_dyn());
    assert!(error(vec![vector(1), cube]).contains("output 'y' of shape [1, 2, 2] is no table"));
    let scalar = Tensor::F32(ndarray::arr0(1.0).into_dyn());
    assert!(error(vec![scalar, vector(1)]).contains("output 'x' of shape [] is no table"));
    let wide = Tensor::F32(ndarray::Array2::zeros((0, 1_000)).into_dyn());
    assert!(error(vec![vector(0), wide]).contains("have 1001 columns"));
}

#[test]
fn the_columns_of_an_answer_are_those_that_the_signature_declares() {
    let one = || vec![Tensor::F32(ndarray::Array2::zeros((1, 1)).into_dyn())];
    let header = |dims: &str| {
        write(&model(&[("y", DType::F32, dims)]), one(), &POLICY).unwrap().lines().next().map(str::to_owned)
    };
    assert_eq!(header("N,1").as_deref(), Some("y"));
    assert_eq!(header("N,M").as_deref(), Some("y_0"), "M may be 2 next time");
    let vectors = || vec![Tensor::F32(ndarray::Array1::zeros(1).into_dyn()); 2];
    let of = |a, b| write(&model(&[("a", DType::F32, a), ("b", DType::F32, b)]), vectors(), &POLICY);
    assert_eq!(of("found", "found").unwrap(), "a,b\n0.0,0.0\n");
    let error = of("found", "1").unwrap_err().to_string();
    assert!(error.contains("does not declare its outputs with the same rows"), "{error}");
}

#[test]
fn mlflow_answers_a_table_in_json() {
    let signature = model(&[("x", DType::F32, "N,2")]);
    let reply = |dialect| receive(&signature, POLICY, dialect, b"a,b\n1,2").unwrap().reply;
    assert_eq!(reply(Dialect::Mlflow), Reply::Json(JsonReply::Predictions { rows: 1 }));
    assert_eq!(reply(Dialect::Any), Reply::Csv);
}
