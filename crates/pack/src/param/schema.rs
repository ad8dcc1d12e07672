//! The JSON Schema (2020-12) of args.

use serde_json::{Map, Value as Json, json};

use super::{Param, ParamType, Params};

impl Params {
    /// The schema of the args: self-contained, for `/tasks/kinds`, `OpenAPI` and forms.
    pub fn json_schema(&self) -> Json {
        let properties: Map<String, Json> = self.iter().map(|(name, param)| (name.to_owned(), param.json_schema())).collect();
        let required: Vec<&str> = self.iter().filter(|(_, param)| !param.optional).map(|(name, _)| name).collect();
        let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
        if !required.is_empty() {
            schema["required"] = required.into();
        }
        schema
    }
}

impl Param {
    /// The schema of a value.
    pub fn json_schema(&self) -> Json {
        let mut schema = Map::new();
        let mut put = |name: &str, value: Option<Json>| {
            if let Some(value) = value {
                schema.insert(name.to_owned(), value);
            }
        };
        let json_type = self.json_type();
        // Without a default, leaving it out and null mean the same.
        let may_be_null = self.optional && self.default.is_none();
        put("type", Some(if may_be_null { json!([json_type, "null"]) } else { json_type.into() }));
        put("description", self.description.clone().map(Json::from));
        put("format", self.format().map(Json::from));
        match &self.kind {
            ParamType::String { min_length, max_length, pattern } => {
                put("minLength", min_length.map(Json::from));
                put("maxLength", max_length.map(Json::from));
                put("pattern", pattern.as_ref().map(|pattern| pattern.as_str().into()));
            }
            ParamType::Integer { min, max } | ParamType::Number { min, max } => {
                put("minimum", min.map(shortest));
                put("maximum", max.map(shortest));
            }
            ParamType::Phone => put("pattern", Some(r"^\+[1-9][0-9]{6,14}$".into())),
            ParamType::List { items, min_items, max_items } => {
                put("items", Some(items.json_schema()));
                put("minItems", min_items.map(Json::from));
                put("maxItems", max_items.map(Json::from));
            }
            ParamType::Object(Some(fields)) => {
                if let Json::Object(of_fields) = fields.json_schema() {
                    for name in ["properties", "required", "additionalProperties"] {
                        put(name, of_fields.get(name).cloned());
                    }
                }
            }
            _ => {}
        }
        if !self.allowed.is_empty() {
            let mut allowed = self.allowed.clone();
            allowed.extend(may_be_null.then_some(Json::Null));
            put("enum", Some(allowed.into()));
        }
        put("default", self.default.clone());
        put("examples", self.example.clone().map(|example| vec![example].into()));
        put("writeOnly", self.secret.then_some(true.into()));
        Json::Object(schema)
    }

    fn json_type(&self) -> &'static str {
        match self.kind {
            ParamType::Integer { .. } => "integer",
            ParamType::Number { .. } => "number",
            ParamType::Boolean => "boolean",
            ParamType::List { .. } => "array",
            ParamType::Object(_) => "object",
            _ => "string",
        }
    }

    fn format(&self) -> Option<&'static str> {
        match self.kind {
            ParamType::Integer { .. } => Some("int64"),
            ParamType::Date => Some("date"),
            ParamType::Datetime => Some("date-time"),
            ParamType::Uuid => Some("uuid"),
            ParamType::Email => Some("email"),
            _ => None,
        }
    }
}

/// `1` rather than `1.0`.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
fn shortest(number: f64) -> Json {
    if number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0 { (number as i64).into() } else { number.into() }
}
