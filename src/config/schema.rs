//! The JSON Schema of the configuration file. `schemas/config.schema.json` is this text; a test keeps it so.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value as Json, json};

use super::{Form, SETTINGS, Setting, endpoints};

/// The text of `schemas/config.schema.json`. Draft 7, since that is the one that editors know best, and nothing newer is needed.
pub fn schema() -> String {
    let mut generator = SchemaSettings::draft07().into_generator();
    let mut properties: Map<_, _> = SETTINGS
        .iter()
        .map(|setting| (setting.key.to_owned(), describe(setting, (setting.schema)(&mut generator).to_value())))
        .collect();
    properties.insert("models".to_owned(), models());
    properties.insert("endpoints".to_owned(), endpoint_tables());
    let schema = json!({
        "$schema": generator.settings().meta_schema,
        "title": "Scoria's configuration file",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    format!("{schema:#}\n")
}

/// Adds what is known of the setting beside its type.
fn describe(setting: &Setting, mut schema: Json) -> Json {
    let doc = setting.doc.lines().map(str::trim).collect::<Vec<_>>().join("\n");
    schema["description"] = json!(doc.trim());
    match setting.form {
        Form::Number => {
            schema["minimum"] = json!(setting.at_least);
            // TOML has no larger numbers than this.
            if setting.at_most <= i64::MAX as u64 {
                schema["maximum"] = json!(setting.at_most);
            }
        }
        Form::List if setting.at_least > 0 => schema["minItems"] = json!(setting.at_least),
        Form::List | Form::Switch | Form::Text => {}
    }
    if let Some(default) = default(setting) {
        schema["default"] = default;
    }
    schema
}

/// The default as the file would write it; a text or a list that is empty is none.
fn default(setting: &Setting) -> Option<Json> {
    let text = (setting.default)();
    match setting.form {
        Form::Number | Form::Switch => serde_json::from_str(&text).ok(),
        Form::List => Some(text.split(',').filter(|item| !item.is_empty()).collect()),
        Form::Text => Some(text).filter(|text| !text.is_empty()).map(Json::String),
    }
}

fn endpoint_tables() -> Json {
    // What a setting may be is said once, above.
    let reference = |setting: &Setting| json!({ "$ref": format!("#/properties/{}", setting.key) });
    let properties: Map<_, _> =
        endpoints::settings().map(|setting| (setting.key.to_owned(), reference(setting))).collect();
    json!({
        "description": "Settings of single endpoints, by name. They go before what holds for the whole server, flags included.",
        "type": "object",
        "propertyNames": { "pattern": "^[a-z0-9][a-z0-9._-]{0,63}$" },
        "additionalProperties": { "type": "object", "properties": properties, "additionalProperties": false },
        "default": {},
    })
}

fn models() -> Json {
    json!({
        "description": "What to serve when the command line names nothing: `file.onnx`, `name=file.onnx`, a folder of `.onnx` \
                        files, or a repository (`<name>/<version>/model.onnx`).",
        "type": "array",
        "items": { "type": "string" },
        "default": [],
    })
}
