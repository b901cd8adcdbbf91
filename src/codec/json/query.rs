//! A URL's query as a JSON body, for `GET` on a scoring URI: `?data=[[1,2]]` means `{"data": [[1,2]]}`.
//!
//! As Azure's server does it: each argument is JSON if it parses as such, else a text; one given several times is a list.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::value::RawValue;

/// The body that a query stands for.
pub fn from_query(query: &str) -> String {
    let mut members: Vec<(Cow<'_, str>, Vec<String>)> = Vec::new();
    // Where each name's member is: looking through all of them would make thousands of names quadratic.
    let mut places: HashMap<Cow<'_, str>, usize> = HashMap::new();
    for (name, text) in form_urlencoded::parse(query.as_bytes()) {
        let value = match serde_json::from_str::<&RawValue>(&text) {
            Ok(value) => value.get().to_owned(),
            Err(_) => quote(&text),
        };
        match places.get(&name) {
            Some(&place) => members[place].1.push(value),
            None => {
                places.insert(name.clone(), members.len());
                members.push((name, vec![value]));
            }
        }
    }
    let members = members.into_iter().map(|(name, values)| match values.as_slice() {
        [value] => format!("{}: {value}", quote(&name)),
        values => format!("{}: [{}]", quote(&name), values.join(", ")),
    });
    format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
}

fn quote(text: &str) -> String {
    serde_json::to_string(text).expect("a text always serializes")
}

#[cfg(test)]
mod tests {
    use super::from_query;

    #[test]
    fn arguments_become_members() {
        assert_eq!(from_query("data=[[1,2]]"), r#"{"data": [[1,2]]}"#);
        assert_eq!(from_query("data=%5B1%2C+2%5D&name=a%20b"), r#"{"data": [1, 2], "name": "a b"}"#);
        assert_eq!(from_query("x=1&y=2&x=3"), r#"{"x": [1, 3], "y": 2}"#);
        assert_eq!(from_query("b=1&a=2&b=3&c=4&a=5"), r#"{"b": [1, 3], "a": [2, 5], "c": 4}"#);
        assert_eq!(from_query(""), "{}");
        assert_eq!(from_query("a\"b=[1"), r#"{"a\"b": "[1"}"#);
    }
}
