//! tmp
use super::*;
#[test]
fn smoke() {
    let one = signature(&[("x", "float32[N, 3]")]);
    for body in [
        r#"{"data":[[1,2,3],[4,5.5,-6e-1]]}"#,
        r#"{"x":[[1,2,3]]}"#,
        r#"{"data":[1,2,3]}"#,
        r#"{"data":[[1,2,"7"]]}"#,
        "",
        "[1]",
        r#"{"data":[[1,2],[3]]}"#,
        r#"{"data":[[1,2,3],[3,1e99,2]]}"#,
        r#"{"data":[]}"#,
        r#"{"data":[[1,2,3],[3]]}"#,
        r#"{"y":[[1,2,3]]}"#,
        r#"{"data":[[1,2,3]],"x":[]}"#,
        r#"{"dataframe_split":{"columns":["a","b","c"],"data":[[1,2,3]],"index":[0]}}"#,
        r#"{"dataframe_records":[{"a":1,"b":2,"c":3},{"a":1,"c":2,"b":3}]}"#,
        r#"{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":[1,2,3]}]}"#,
        r#"{"data":[[1,2,NaN]]}"#,
        r#"{"data":[[01,2,3]]}"#,
        r#"{"data":[[1,2,null]]}"#,
        r#"{"data":[[1,2,3],]}"#,
    ] {
        println!("{body}\n   {:?}", decode(&one, body));
    }
    let many = signature(&[("a", "int64[N]"), ("b", "string[N, 1]")]);
    for body in [
        r#"{"dataframe_split":{"data":[["x",1],["y",2.0]],"columns":["b","a"]}}"#,
        r#"{"instances":[{"a":1,"b":["u"]},{"b":"v","a":0.9}]}"#,
        r#"{"data":[[1,2]]}"#,
        r#"{"data":{"a":[1],"b":[["q"]]}}"#,
        r#"{"a":[1]}"#,
        r#"{"instances":[{"a":1}]}"#,
        r#"{"data":[]}"#,
    ] {
        println!("{body}\n   {:?}", decode(&many, body));
    }
}
