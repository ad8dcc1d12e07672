//! The JSON Schema of `pack.toml`, for editors. It is made of the tables that the loader checks documents against.

use serde_json::{Map, Value as Json, json};

use crate::fields;
use crate::shape::{Field, Shape, Table};

/// The schema (draft 7, which the editors' TOML plugins know).
pub fn pack_schema() -> Json {
    let mut writer = Writer { definitions: Map::new() };
    let mut schema = writer.object(fields::ROOT.fields());
    let definitions = std::mem::take(&mut writer.definitions);
    schema["$schema"] = "http://json-schema.org/draft-07/schema#".into();
    schema["title"] = "pack.toml".into();
    schema["description"] = fields::ROOT.doc.into();
    schema["definitions"] = definitions.into();
    schema
}

struct Writer {
    definitions: Map<String, Json>,
}

impl Writer {
    fn object(&mut self, fields: impl Iterator<Item = &'static Field> + Clone) -> Json {
        let required: Vec<&str> = fields.clone().filter(|field| field.required).map(|field| field.name).collect();
        let properties: Map<String, Json> = fields
            .map(|field| {
                let mut shape = self.shape(field.shape);
                if shape.get("$ref").is_some() {
                    // Beside a reference, draft 7 reads nothing.
                    shape = json!({ "allOf": [shape] });
                }
                shape["description"] = field.doc.into();
                (field.name.to_owned(), shape)
            })
            .collect();
        let mut object = json!({ "type": "object", "properties": properties, "additionalProperties": false });
        if !required.is_empty() {
            object["required"] = required.into();
        }
        object
    }

    fn reference(&mut self, table: &'static Table) -> Json {
        if !self.definitions.contains_key(table.name) {
            // First a place for it: tables may hold themselves.
            self.definitions.insert(table.name.to_owned(), Json::Null);
            let mut object = self.object(table.fields());
            object["description"] = table.doc.into();
            self.definitions.insert(table.name.to_owned(), object);
        }
        json!({ "$ref": format!("#/definitions/{}", table.name) })
    }

    /// One form for each runner.
    fn kind(&mut self) -> Json {
        if !self.definitions.contains_key("kind") {
            let forms: Vec<Json> = fields::RUNNERS
                .iter()
                .map(|(name, table)| {
                    let mut form = self.object(fields::KIND.iter().chain(table.fields()));
                    form["title"] = (*name).into();
                    form["description"] = table.doc.into();
                    form["properties"]["runner"] = json!({ "const": name, "description": table.doc });
                    json!({ "if": { "properties": { "runner": { "const": name } } }, "then": form })
                })
                .collect();
            let runners = json!({ "enum": fields::RUNNER_NAMES });
            let kind = json!({ "type": "object", "required": ["runner"], "properties": { "runner": runners }, "allOf": forms });
            self.definitions.insert("kind".into(), kind);
        }
        json!({ "$ref": "#/definitions/kind" })
    }

    fn shape(&mut self, shape: Shape) -> Json {
        let text = || json!({ "type": "string", "minLength": 1 });
        let list_of = |items: Json| json!({ "type": "array", "items": items });
        match shape {
            Shape::Text | Shape::Expression | Shape::Sql => text(),
            Shape::Name => json!({ "type": "string", "pattern": "^[a-z][a-z0-9_]{0,62}$" }),
            Shape::Choice(names) => json!({ "enum": names }),
            Shape::Boolean => json!({ "type": "boolean" }),
            Shape::Integer(min, max) => bounded("integer", min, max),
            Shape::Number(min, max) if min <= f64::MIN && max >= f64::MAX => json!({ "type": "number" }),
            Shape::Number(min, max) => json!({ "type": "number", "minimum": min, "maximum": max }),
            Shape::Duration(..) => duration(),
            Shape::Rate => json!({ "type": "string", "pattern": "^\\s*[1-9][0-9]*\\s*/\\s*[smhd]\\s*$" }),
            Shape::Time => json!({ "type": "string" }),
            Shape::Value | Shape::AnyPlain => json!({}),
            Shape::Values | Shape::Plain => json!({ "type": "object" }),
            Shape::Texts => list_of(json!({ "type": "string" })),
            Shape::Integers(min, max) => {
                let mut list = list_of(bounded("integer", min, max));
                list["minItems"] = 1.into();
                list
            }
            Shape::TextOrFalse => json!({ "anyOf": [text(), { "const": false }] }),
            Shape::Table(table) => self.reference(table),
            Shape::DurationOr(table) => json!({ "anyOf": [duration(), self.reference(table)] }),
            Shape::TextOr(table) => json!({ "anyOf": [text(), self.reference(table)] }),
            Shape::PlainOr(table) => {
                let plain = json!({ "type": ["string", "number", "boolean", "array"] });
                json!({ "anyOf": [plain, self.reference(table)] })
            }
            Shape::Map(of) => json!({ "type": "object", "additionalProperties": self.shape(*of) }),
            Shape::List(table) => list_of(self.reference(table)),
            Shape::Kind => self.kind(),
        }
    }
}

fn bounded(kind: &str, min: i64, max: i64) -> Json {
    let mut schema = json!({ "type": kind, "minimum": min });
    if max != i64::MAX {
        schema["maximum"] = max.into();
    }
    schema
}

fn duration() -> Json {
    let text = json!({ "type": "string", "pattern": "^\\s*([0-9]+(ms|[wdhms])\\s*)+$" });
    json!({ "anyOf": [text, { "type": "number", "minimum": 0 }] })
}

#[cfg(test)]
mod tests;
