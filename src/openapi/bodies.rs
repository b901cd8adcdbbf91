//! The schemas of request and answer bodies: the JSON dialects that a model can be asked in, and those it answers in.
//!
//! They say what `codec/json/` reads, no less: a body that a schema refuses is refused by the server too. Where an input has
//! an envelope's name, that envelope is left out.

use serde_json::{Map, Value as Json, json};

use super::schema::{self, any_of, reference};
use super::{Service, Version};
use crate::config::ExtraColumns;
use crate::tensor::{Dim, TensorSpec};

/// Every key that says in which form the inputs follow.
const ENVELOPES: [&str; 7] =
    ["data", "input_data", "dataframe_split", "dataframe_records", "instances", "inputs", "Inputs"];

/// The bodies of one endpoint.
pub(super) struct Bodies<'a> {
    pub version: Version,
    pub service: &'a Service<'a>,
    /// What the names of its schemas end with.
    pub suffix: &'a str,
}

impl Bodies<'_> {
    /// Adds the endpoint's schemas.
    pub fn define(&self, schemas: &mut Map<String, Json>) {
        let mut define = |name: &str, schema: Json| schemas.insert(format!("{name}{}", self.suffix), schema);
        for (index, input) in self.inputs().iter().enumerate() {
            define(&format!("Input{}", index + 1), schema::input(self.version, input, self.service.null_input()));
        }
        define("NamedInputs", self.named());
        if self.version != Version::V2 {
            if let Some(records) = self.records() {
                define("Records", records);
            }
            define("Frame", self.frame());
            define("Outputs", self.outputs());
            if let Some(rows) = self.rows() {
                define("Rows", rows);
            }
        }
        define("ServiceInput", self.service_input());
        define("ServiceOutput", self.service_output());
    }

    fn inputs(&self) -> &[TensorSpec] {
        &self.service.signature.inputs
    }

    /// The only input, where there is one only.
    fn single(&self) -> Option<&TensorSpec> {
        if let [single] = self.inputs() { Some(single) } else { None }
    }

    /// Whether a table is the only input itself, and not a column for each input.
    fn is_matrix(&self) -> bool {
        self.single().is_some_and(|input| input.dims.as_ref().is_none_or(|dims| dims.len() != 1))
    }

    fn drops_columns(&self) -> bool {
        self.service.extra_columns == ExtraColumns::Drop
    }

    fn reference(&self, name: &str) -> Json {
        reference(self.version, &format!("{name}{}", self.suffix))
    }

    /// What a form without a name of its own is called by generators and pages, which would number it otherwise.
    fn titled(&self, title: &str) -> String {
        format!("{title}{}", self.suffix)
    }

    fn service_input(&self) -> Json {
        let mut schema = match (self.version, self.single()) {
            (Version::V2, Some(input)) if input.name != "data" => {
                json!({ "type": "object", "required": ["data"], "properties": { "data": self.reference("Input1") } })
            }
            (Version::V2, _) => self.named(),
            (Version::V3_0 | Version::V3_1, _) => {
                let enveloped = ENVELOPES.into_iter().filter_map(|key| self.envelope(key));
                let forms: Vec<_> = std::iter::once(self.reference("NamedInputs")).chain(enveloped).collect();
                json!({ "anyOf": forms })
            }
        };
        schema::show(self.version, &mut schema, self.service.example);
        schema
    }

    /// Every input by its name, and nothing else.
    fn named(&self) -> Json {
        let inputs = self.inputs().iter().enumerate();
        let properties: Map<_, _> =
            inputs.map(|(index, input)| (input.name.clone(), self.reference(&format!("Input{}", index + 1)))).collect();
        closed_object(properties)
    }

    /// A body under this key. What stands beside it is ignored, but for what would say otherwise where the inputs are.
    fn envelope(&self, key: &str) -> Option<Json> {
        let is_input = |name: &str| self.inputs().iter().any(|input| input.name == name);
        if is_input(key) {
            return None;
        }
        let tensor = self.single().map(|_| self.reference("Input1"));
        let records = self.records().map(|_| self.reference("Records"));
        let (named, frame) = (Some(self.reference("NamedInputs")), Some(self.reference("Frame")));
        let (forms, title, about) = match key {
            "data" => ([tensor, named, records, frame], "Data", "Azure's scoring scripts"),
            "input_data" => ([tensor, named, records, frame], "InputData", "Azure's MLflow models"),
            "Inputs" => ([tensor, named, records, frame], "PowerBi", "Power BI and AutoML"),
            "inputs" => ([tensor, named, self.no_rows(), None], "TensorFlowColumns", "TensorFlow Serving, by columns"),
            "instances" => ([tensor, records, None, None], "TensorFlowRows", "TensorFlow Serving, by rows"),
            "dataframe_records" => ([records, None, None, None], "MlflowRecords", "MLflow, pandas by records"),
            _ => ([frame, None, None, None], "MlflowSplit", "MLflow, a pandas frame in split form"),
        };
        let forms: Vec<_> = forms.into_iter().flatten().collect();
        if forms.is_empty() {
            return None;
        }
        let others = ENVELOPES.into_iter().filter(|other| *other != key && !is_input(other));
        let others: Vec<_> = others.chain(self.inputs().iter().map(|input| input.name.as_str())).collect();
        let contradictions: Vec<_> = others.into_iter().map(|other| json!({ "required": [other] })).collect();
        Some(json!({
            "type": "object",
            "title": self.titled(title),
            "description": about,
            "required": [key],
            "properties": { key: any_of(self.version, forms) },
            "not": { "anyOf": contradictions },
        }))
    }

    /// An empty list is a table without rows, where several inputs could be columns of it.
    fn no_rows(&self) -> Option<Json> {
        (self.inputs().len() > 1 && self.records().is_some())
            .then(|| json!({ "type": "array", "items": {}, "maxItems": 0 }))
    }

    /// `[{"<column>": value, …}, …]`; `None` if an input has no rows.
    fn records(&self) -> Option<Json> {
        let cells: Option<Vec<_>> = self.inputs().iter().map(|input| self.cell(input)).collect();
        let names = self.inputs().iter().map(|input| input.name.clone());
        let mut by_name = closed_object(names.zip(cells?).collect());
        if self.drops_columns() {
            by_name["additionalProperties"] = json!(true);
        }
        let record = match self.single() {
            Some(input) if input.dims.as_ref().is_none_or(|dims| dims.len() == 2) => {
                let value = schema::element(self.version, input.dtype, self.service.null_input());
                let mut by_position = json!({ "type": "object", "additionalProperties": value });
                if let Some(&[_, Dim::Fixed(columns)]) = input.dims.as_deref() {
                    by_position["minProperties"] = json!(columns);
                    by_position["maxProperties"] = json!(columns);
                }
                any_of(self.version, vec![by_position, by_name])
            }
            _ => by_name,
        };
        let mut records = json!({ "type": "array", "items": record });
        if let Some(Some(Dim::Fixed(rows))) =
            self.single().map(|input| input.dims.as_ref().and_then(|dims| dims.first()))
        {
            records["minItems"] = json!(rows);
            records["maxItems"] = json!(rows);
        }
        Some(records)
    }

    /// What an input takes in one row of a table.
    fn cell(&self, input: &TensorSpec) -> Option<Json> {
        let Some(dims) = &input.dims else { return Some(json!({})) };
        let (_, inner) = dims.split_first()?;
        let list = schema::nested(self.version, input.dtype, Some(inner), self.service.null_input());
        // A bare value does for a list of one.
        let is_single = inner.iter().all(|dim| matches!(dim, Dim::Fixed(1) | Dim::Dynamic(_)));
        Some(if is_single && !inner.is_empty() {
            any_of(self.version, vec![list, schema::element(self.version, input.dtype, self.service.null_input())])
        } else {
            list
        })
    }

    /// A pandas frame in `split` form: one matrix by position, or a column for each input in any order.
    fn frame(&self) -> Json {
        let mut columns = json!({ "type": "array", "items": any_of(self.version, vec![
            json!({ "type": "string" }),
            json!({ "type": "number" }),
        ])});
        let index = json!({ "type": "array", "items": {} });
        let mut forms = Vec::new();
        match self.single() {
            Some(input) if self.is_matrix() => {
                if let Some(Dim::Fixed(size)) = input.dims.as_ref().and_then(|dims| dims.get(1)) {
                    columns["minItems"] = json!(size);
                    columns["maxItems"] = json!(size);
                }
                let properties = json!({ "columns": columns, "index": index, "data": self.reference("Input1") });
                forms.push(json!({
                    "type": "object", "required": ["data"], "properties": properties, "additionalProperties": false,
                }));
            }
            _ => {
                let names: Vec<_> = self.inputs().iter().map(|input| input.name.as_str()).collect();
                let mut columns =
                    json!({ "type": "array", "uniqueItems": true, "minItems": names.len(), "maxItems": names.len() });
                columns["items"] = if names.is_empty() { json!({}) } else { json!({ "enum": names }) };
                let cells: Vec<_> = self.inputs().iter().filter_map(|input| self.cell(input)).collect();
                let cell = if cells.is_empty() { json!({}) } else { any_of(self.version, cells) };
                let mut row =
                    json!({ "type": "array", "items": cell, "minItems": names.len(), "maxItems": names.len() });
                if self.drops_columns() {
                    // The others may have any name and hold anything.
                    columns = json!({ "type": "array", "items": {}, "minItems": names.len() });
                    row = json!({ "type": "array", "items": {}, "minItems": names.len() });
                }
                let properties =
                    json!({ "columns": columns, "index": index, "data": { "type": "array", "items": row } });
                forms.push(json!({
                    "type": "object", "required": ["columns", "data"], "properties": properties,
                    "additionalProperties": false,
                }));
            }
        }
        if self.records().is_some() {
            let mut data = self.reference("Records");
            if !self.is_matrix() {
                // Without a first record there is nothing to tell the columns by.
                data = json!({ "allOf": [data], "minItems": 1 });
            }
            let properties = json!({ "index": index, "data": data });
            forms.push(json!({
                "type": "object", "required": ["data"], "properties": properties, "additionalProperties": false,
            }));
        }
        any_of(self.version, forms)
    }

    /// The answer in the dialect of the request.
    fn service_output(&self) -> Json {
        if self.version == Version::V2 {
            return self.outputs();
        }
        let outputs = self.reference("Outputs");
        let predictions = self.rows().map_or_else(|| outputs.clone(), |_| self.reference("Rows"));
        let mut forms = vec![outputs.clone()];
        for (key, title, schema) in [
            ("predictions", "Predictions", predictions),
            ("outputs", "TensorFlowOutputs", outputs.clone()),
            ("Results", "PowerBiResults", outputs),
        ] {
            let mut form = closed_object(Map::from_iter([(key.to_owned(), schema)]));
            form["title"] = json!(self.titled(title));
            forms.push(form);
        }
        json!({ "anyOf": forms })
    }

    /// One output as it is, several as an object.
    fn outputs(&self) -> Json {
        let outputs = &self.service.signature.outputs;
        let mut described = outputs.iter().map(|output| {
            let mut schema = schema::output(self.version, &output.value, self.service.null_output());
            schema["description"] = json!(format!("{} {}", output.name, output.value));
            (output.name.clone(), schema)
        });
        match (described.next(), outputs.len()) {
            (Some((_, only)), 1) => only,
            (first, _) => closed_object(first.into_iter().chain(described).collect()),
        }
    }

    /// Several outputs with a row for each of the request's: `[{"<output>": row, …}, …]`.
    fn rows(&self) -> Option<Json> {
        let outputs = &self.service.signature.outputs;
        if !self.service.signature.has_row_for_row() {
            return None;
        }
        let row = |value| schema::row(self.version, value, self.service.null_output());
        let cells: Option<Map<_, _>> =
            outputs.iter().map(|output| Some((output.name.clone(), row(&output.value)?))).collect();
        cells.filter(|_| outputs.len() > 1).map(|cells| json!({ "type": "array", "items": closed_object(cells) }))
    }
}

/// An object of exactly these members.
fn closed_object(properties: Map<String, Json>) -> Json {
    let required: Vec<_> = properties.keys().cloned().collect();
    let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    // JSON Schema's draft 4, which Swagger 2.0 and OpenAPI 3.0 follow, does not take an empty list.
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}
