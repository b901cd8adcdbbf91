//! JSON Schemas of answers that no OpenAPI document describes whole. `schemas/` keeps them; a test holds the two together.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;

use super::error::Wire;
use super::service_status::ServiceList;

/// Each schema's name, and its text: `error`, the body of every refusal, and `services`, the admin API's list.
pub fn schemas() -> [(&'static str, String); 2] {
    [("error", of::<Wire<'_>>()), ("services", of::<ServiceList>())]
}

fn of<T: JsonSchema>() -> String {
    let schema = SchemaSettings::draft07().for_serialize().into_generator().into_root_schema_for::<T>();
    format!("{:#}\n", schema.to_value())
}
