//! `/v2/logging`: what is logged, read and changed while the server runs.
//!
//! Source: Triton's `extension_logging.md`. Levels are a ladder here: who asks for less important lines gets the others, too.

use serde_json::{Map, Value as Json, json};

use crate::error::ErrorKind;
use crate::http::error::ApiError;
use crate::telemetry::{LevelFilter, log_level, set_log_level};

/// The settings as they are.
pub fn show() -> Json {
    let level = log_level();
    json!({
        "log_file": "",
        "log_info": level >= LevelFilter::INFO,
        "log_warning": level >= LevelFilter::WARN,
        "log_error": level >= LevelFilter::ERROR,
        "log_verbose_level": u8::from(level >= LevelFilter::DEBUG),
        "log_format": "default",
    })
}

/// Changes those that are given.
pub fn change(wanted: &Map<String, Json>) -> Result<Json, ApiError> {
    let level = level(log_level(), wanted)?;
    set_log_level(level);
    tracing::info!(%level, "the log level was changed");
    Ok(show())
}

/// The level that the given switches make of the present one: the least important line that is wanted.
fn level(now: LevelFilter, wanted: &Map<String, Json>) -> Result<LevelFilter, ApiError> {
    let mut switches = [
        (LevelFilter::ERROR, "log_error", None),
        (LevelFilter::WARN, "log_warning", None),
        (LevelFilter::INFO, "log_info", None),
        (LevelFilter::DEBUG, "log_verbose_level", None),
    ];
    for (key, value) in wanted {
        match (switches.iter_mut().find(|(_, name, _)| name == key), value) {
            (_, Json::Null) => {}
            (Some((LevelFilter::DEBUG, ..)), value) if value.as_u64().is_none() => {
                return Err(refuse(format!("'{key}' is a whole number, 0 or more")));
            }
            (Some((LevelFilter::DEBUG, _, switch)), value) => *switch = Some(value.as_u64() > Some(0)),
            (Some((_, _, switch)), Json::Bool(value)) => *switch = Some(*value),
            (Some(_), _) => return Err(refuse(format!("'{key}' is true or false"))),
            (None, Json::String(format)) if key == "log_format" && format == "default" => {}
            (None, _) if matches!(key.as_str(), "log_file" | "log_format") => {
                return Err(refuse(format!("'{key}' is set when the server is started")));
            }
            (None, _) => return Err(refuse(format!("there is no log setting '{key}'"))),
        }
    }
    let is_on = |(level, _, switch): &(LevelFilter, &str, Option<bool>)| switch.unwrap_or(now >= *level);
    let least = switches.iter().filter(|switch| is_on(switch)).map(|(level, ..)| *level).max();
    Ok(least.unwrap_or(LevelFilter::OFF))
}

fn refuse(message: String) -> ApiError {
    ApiError::new(ErrorKind::BadInput, "bad_setting", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(now: LevelFilter, wanted: Json) -> Result<LevelFilter, String> {
        level(now, wanted.as_object().expect("an object")).map_err(|error| error.message)
    }

    #[test]
    fn the_least_important_line_that_is_wanted_sets_the_level() {
        use LevelFilter as L;
        assert_eq!(changed(L::INFO, json!({})), Ok(L::INFO));
        assert_eq!(changed(L::INFO, json!({ "log_verbose_level": 1 })), Ok(L::DEBUG));
        assert_eq!(changed(L::DEBUG, json!({ "log_verbose_level": 0 })), Ok(L::INFO));
        assert_eq!(changed(L::INFO, json!({ "log_info": false })), Ok(L::WARN));
        assert_eq!(
            changed(L::INFO, json!({ "log_info": false, "log_warning": false, "log_error": null })),
            Ok(L::ERROR)
        );
        let none = json!({ "log_info": false, "log_warning": false, "log_error": false });
        assert_eq!(changed(L::INFO, none), Ok(L::OFF));
        assert_eq!(changed(L::INFO, json!({ "log_format": "default" })), Ok(L::INFO));
        for (bad, words) in [
            (json!({ "log_info": 1 }), "true or false"),
            (json!({ "log_verbose_level": -1 }), "whole number"),
            (json!({ "log_file": "x" }), "when the server is started"),
            (json!({ "log_format": "ISO8601" }), "when the server is started"),
            (json!({ "log_loud": true }), "no log setting"),
        ] {
            let error = changed(L::INFO, bad).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
