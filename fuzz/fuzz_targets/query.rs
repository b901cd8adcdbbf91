#![no_main]

mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let [model, query @ ..] = data else { return };
    let Ok(query) = std::str::from_utf8(query) else { return };
    // What stands for a query is always a JSON object, whatever the query.
    let json = scoria::codec::json::from_query(query);
    assert!(json.starts_with('{') && json.ends_with('}'));
    body::decode(scoria::codec::Format::Json, &[&[*model, 255], json.as_bytes()].concat(), None);
});
