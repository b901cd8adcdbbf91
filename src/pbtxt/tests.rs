use super::*;

fn fault(text: &str) -> String {
    parse(text.as_bytes()).expect_err("it is no text of the format").to_string()
}

fn fields(text: &str) -> Vec<(String, Value)> {
    let message = parse(text.as_bytes()).unwrap_or_else(|fault| panic!("{fault}\n{text}"));
    message.fields.into_iter().map(|field| (field.name, field.value)).collect()
}

fn value(text: &str) -> Value {
    let mut fields = fields(text);
    assert_eq!(fields.len(), 1, "{text}");
    fields.remove(0).1
}

fn string(text: &str) -> Vec<u8> {
    match value(text) {
        Value::String(bytes) => bytes,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_form_of_a_field_is_read() {
    let integer = |number| Value::Integer(number);
    assert_eq!(fields("a: 1 b: 2, c: 3; d:4").iter().map(|(name, _)| name.as_str()).collect::<String>(), "abcd");
    assert_eq!(
        fields("dims: [ 1, -2, 0x10, 010 ]").into_iter().map(|(_, value)| value).collect::<Vec<_>>(),
        [integer(1), integer(-2), integer(16), integer(8),]
    );
    assert_eq!(fields("dims: []"), []);
    let nested = |text: &str| match value(text) {
        Value::Message(message) => message.fields.len(),
        other => panic!("{other:?}"),
    };
    for text in
        ["m { a: 1 b: 2 }", "m: { a: 1, b: 2, }", "m < a: 1; b: 2; >", "m: < a: 1 b: 2 >", "m [ { a: 1 b: 2 } ]"]
    {
        assert_eq!(nested(text), 2, "{text}");
    }
    assert_eq!(fields("m [ { a: 1 }, < a: 2 > ]").len(), 2);
    assert_eq!(fields("# nothing\n  \t\r\n# more"), []);
    assert_eq!(value("kind: KIND_GPU # of the enum"), Value::Word("KIND_GPU".to_owned()));
    assert_eq!(value("\u{feff}a: 1"), integer(1));
}

#[test]
fn numbers_are_those_of_the_format() {
    for (text, number) in
        [("1.5", 1.5), ("1.5f", 1.5), (".5", 0.5), ("2.", 2.0), ("1e3", 1e3), ("1E-3", 1e-3), ("1f", 1.0)]
    {
        assert_eq!(value(&format!("a: {text}")), Value::Float(number), "{text}");
        assert_eq!(value(&format!("a: - {text}")), Value::Float(-number), "{text}");
    }
    assert_eq!(value("a: -inf"), Value::Float(f64::NEG_INFINITY));
    assert!(matches!(value("a: NaN"), Value::Float(number) if number.is_nan()));
    assert_eq!(value("a: 18446744073709551615"), Value::Integer(u64::MAX.into()));
    assert_eq!(value("a: -9223372036854775808"), Value::Integer(i64::MIN.into()));
    assert_eq!(value("a: 18446744073709551616"), Value::Float(18_446_744_073_709_551_616.0));
    for text in ["08", "0x", "1.2.3", "1e", "12a", "0xfg", "1_000", "."] {
        assert!(fault(&format!("a: {text}")).contains("is not a number"), "{text}");
    }
    assert!(fault(&format!("a: {}", "9".repeat(65))).contains("more than 64 characters"));
}

#[test]
fn strings_are_joined_and_their_escapes_resolved() {
    assert_eq!(string(r#"a: "x" 'y' "z""#), b"xyz");
    assert_eq!(string(r#"a: "\a\b\f\n\r\t\v\?\\\'\"""#), b"\x07\x08\x0c\n\r\t\x0b?\\'\"");
    assert_eq!(string(r#"a: "\101\0\x41\x4g""#), b"A\0A\x04g");
    assert_eq!(string(r#"a: "\u00e4\U0001F600""#), "ä😀".as_bytes());
    assert_eq!(string("a: \"ä\""), "ä".as_bytes());
    assert_eq!(string(r#"a: "\377""#), b"\xff");
    let field = &parse(br#"a: "\377""#).unwrap().fields[0];
    assert_eq!(field.text().unwrap_err().to_string(), "1:1: a: the string is not UTF-8");
    for text in [r#"a: "\q""#, r#"a: "\x""#, r#"a: "\400""#, r#"a: "\u12""#, r#"a: "\ud800""#, r#"a: "\U00110000""#] {
        assert!(fault(text).contains("an escape that the text format does not know"), "{text}");
    }
    for text in ["a: \"x", "a: \"x\ny\"", "a: 'x\"", "a: \"x\\\""] {
        assert!(fault(text).contains("the string has no end"), "{text}");
    }
    assert_eq!(fault("a: \"x\0\""), "1:6: a string has a zero byte in it; write it as \\0");
}

#[test]
fn faults_say_where() {
    for (text, place_and_words) in [
        ("a: 1\n  b 2", "2:5: expected ':' or '{', got 2"),
        ("a {", "1:4: expected a field's name or '}', got the end of the file"),
        ("a < b: 1 }", "1:10: expected a field's name or '>', got '}'"),
        ("a: [1 2]", "1:7: expected ',' or ']', got 2"),
        ("a: [1,]", "1:7: expected a value, got ']'"),
        ("a:", "1:3: expected a value, got the end of the file"),
        ("a: -x", "1:5: expected a number after '-', got x"),
        ("ä: 1", "1:1: unexpected 'ä'"),
        ("a: 1\n\u{e4}", "2:1: unexpected 'ä'"),
        ("a: 1 \0", "1:6: unexpected byte 0x00"),
        ("# ä\n/* a */", "2:1: unexpected '/'"),
        ("[a.b]: 1", "1:1: extensions and Any ([package.name]) are not read here"),
        ("}", "1:1: expected a field's name, got '}'"),
        ("1: 1", "1:1: expected a field's name, got 1"),
        ("a: 1 ,, b: 2", "1:7: expected a field's name, got ','"),
    ] {
        assert_eq!(fault(text), place_and_words, "{text}");
    }
}

#[test]
fn fields_are_of_the_type_that_is_asked_for() {
    let message = parse(b"s: 'x' i: 7 b: true e: KIND_CPU m {} n: 3").unwrap();
    let [s, i, b, e, m, n] = message.fields.as_slice() else { panic!() };
    assert_eq!((s.text(), i.integer(0, 7), b.flag()), (Ok("x"), Ok(7), Ok(true)));
    const KINDS: &[(&str, i128, u8)] = &[("KIND_AUTO", 0, 0), ("KIND_CPU", 2, 1), ("KIND_MODEL", 3, 2)];
    assert_eq!((e.choice(KINDS), n.choice(KINDS)), (Ok(1), Ok(2)));
    assert_eq!(m.message().unwrap().fields, []);
    let words = |fault: Result<i64, Fault>| fault.unwrap_err().to_string();
    assert_eq!(words(i.integer(0, 6)), "1:8: i: expected a whole number from 0 to 6, got 7");
    assert_eq!(words(s.integer(0, 6)), "1:1: s: expected a whole number from 0 to 6, got the string \"x\"");
    assert_eq!(i.text().unwrap_err().to_string(), "1:8: i: expected a string in quotes, got 7");
    assert_eq!(m.flag().unwrap_err().to_string(), "1:33: m: expected true or false, got a message in braces");
    assert_eq!(
        b.choice(KINDS).unwrap_err().to_string(),
        "1:13: b: expected one of KIND_AUTO, KIND_CPU, KIND_MODEL, got true"
    );
}

#[test]
fn hostile_texts_are_refused_by_bounds() {
    assert!(fault(&"a {".repeat(MAX_DEPTH + 1)).contains("more than 32 deep"));
    assert!(fault(&"a {".repeat(300_000)).contains("more than 32 deep"));
    let deepest = format!("{}{}", "a {".repeat(MAX_DEPTH), "}".repeat(MAX_DEPTH));
    assert_eq!(fields(&deepest).len(), 1);
    assert!(fault(&"a:1 ".repeat(MAX_FIELDS + 1)).contains("more than 65536 fields"));
    assert!(fault(&format!("a: [{}1]", "1,".repeat(MAX_FIELDS))).contains("more than 65536 fields"));
    assert!(fault(&format!("a: \"{}\"", "x".repeat(MAX_BYTES))).contains("longer than 1048576 bytes"));
    assert_eq!(parse(&[0; 100]).unwrap_err().to_string(), "1:1: unexpected byte 0x00");
    assert!(parse(&[0xff, 0xfe]).is_err());
    let name = "n".repeat(500_000);
    assert_eq!(fields(&format!("{name}: 1"))[0].0, name);
}
