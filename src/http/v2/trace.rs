//! `/v2/trace/setting`: tracing to files is off, and can only be left so.
//!
//! Clients read the settings before they measure; so they are answered. The extension is not in the server's list.

use serde_json::{Map, Value as Json, json};

use crate::error::ErrorKind;
use crate::http::error::ApiError;

pub fn show() -> Json {
    json!({
        "trace_level": ["OFF"],
        "trace_rate": "1000",
        "trace_count": "-1",
        "log_frequency": "0",
        "trace_file": "",
        "trace_mode": "triton",
    })
}

/// Takes what changes nothing.
pub fn change(wanted: &Map<String, Json>) -> Result<Json, ApiError> {
    let is_off = |level: &Json| match level {
        Json::Null => true,
        Json::Array(levels) => levels.iter().all(|level| level == "OFF"),
        level => level == "OFF",
    };
    if wanted.get("trace_level").is_none_or(is_off) {
        return Ok(show());
    }
    let message =
        "requests are not traced to files here: every answer has its times in Server-Timing, and passes traceparent on";
    Err(ApiError::new(ErrorKind::BadInput, "bad_setting", message).with_expected("trace_level: [\"OFF\"]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracing_is_off_and_stays_so() {
        for same in [json!({}), json!({ "trace_level": ["OFF"] }), json!({ "trace_level": null, "trace_rate": "1" })] {
            assert!(change(same.as_object().expect("an object")).is_ok(), "{same}");
        }
        let on = json!({ "trace_level": ["TIMESTAMPS"] });
        assert_eq!(change(on.as_object().expect("an object")).unwrap_err().code, "bad_setting");
    }
}
