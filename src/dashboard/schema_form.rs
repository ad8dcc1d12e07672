//! A form made of a JSON Schema, and JSON made of what was filled in.

use serde::Serialize;
use serde_json::{Map, Value};

use super::access::Fields;
use super::view::Item;
use legwork_engine::domain::FieldError;

/// Objects inside objects down to this depth have fields of their own; deeper ones are written as JSON.
const MAX_DEPTH: usize = 2;
/// Texts that may be longer get more than one line.
const LINE_CHARS: u64 = 1_000;
/// Texts of these names have more than one line, whatever their schema says.
const LONG_TEXTS: [&str; 5] = ["text", "html", "body", "message", "content"];

/// A field of a form.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Field {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) label: String,
    pub(super) control: &'static str,
    pub(super) value: Value,
    pub(super) required: bool,
    pub(super) hint: Option<String>,
    pub(super) help: Option<String>,
    pub(super) error: Option<String>,
    pub(super) options: Vec<Item>,
    pub(super) min: Option<Value>,
    pub(super) max: Option<Value>,
    pub(super) step: Option<&'static str>,
    pub(super) rows: Option<usize>,
    pub(super) placeholder: Option<String>,
    pub(super) autocomplete: Option<&'static str>,
    pub(super) wide: bool,
    pub(super) fields: Vec<Self>,
}

impl Field {
    /// A field that no schema describes.
    pub(super) fn plain(name: &str, label: &str, control: &'static str, value: impl Into<Value>) -> Self {
        Self { id: id_of(name), name: name.into(), label: label.into(), control, value: value.into(), ..Self::default() }
    }

    /// With a sentence beneath it.
    pub(super) fn help(self, help: &str) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

fn id_of(name: &str) -> String {
    format!("f-{}", name.replace(|sign: char| !sign.is_ascii_alphanumeric(), "-"))
}

/// A schema whose references can be followed.
pub(super) struct SchemaForm<'a> {
    root: &'a Value,
}

/// A property of a schema in words.
pub(super) struct Described {
    pub(super) name: String,
    pub(super) words: String,
    pub(super) required: bool,
    pub(super) description: String,
    pub(super) default: Option<String>,
}

/// What a property of a schema is to a form.
struct Shape<'a> {
    schema: &'a Value,
    control: &'static str,
}

impl<'a> SchemaForm<'a> {
    /// Over a self-contained schema of an object.
    pub(super) fn new(root: &'a Value) -> Self {
        Self { root }
    }

    /// The fields, filled with `values`.
    pub(super) fn fields(&self, values: &Value) -> Vec<Field> {
        self.fields_of(self.root, values, "args", 0)
    }

    /// What was filled in, as JSON; and errors of fields that are no JSON where they have to be.
    pub(super) fn read(&self, fields: &Fields) -> (Value, Vec<FieldError>) {
        let mut errors = Vec::new();
        let object = self.read_object(self.root, fields, "args", 0, &mut errors);
        (Value::Object(object), errors)
    }

    /// The properties in words, for those who read.
    pub(super) fn described(&self) -> Vec<Described> {
        let describe = |(name, property, required): (&String, &'a Value, bool)| {
            let schema = self.resolve(property);
            let text = property["description"].as_str().or_else(|| schema["description"].as_str());
            let default = property.get("default").or_else(|| schema.get("default")).filter(|default| !default.is_null());
            Described {
                name: name.clone(),
                words: self.words(schema),
                required,
                description: text.unwrap_or_default().replace('\n', " "),
                default: default.map(ToString::to_string),
            }
        };
        self.properties(self.root).into_iter().map(describe).collect()
    }

    fn words(&self, schema: &'a Value) -> String {
        if let Some(allowed) = schema["enum"].as_array() {
            return allowed.iter().map(plain_text).collect::<Vec<_>>().join(", ");
        }
        match type_of(schema) {
            "" => "any value".into(),
            "array" => format!("list of {}", self.words(self.resolve(&schema["items"]))),
            plain => schema["format"].as_str().map_or_else(|| plain.to_owned(), |format| format!("{plain} ({format})")),
        }
    }

    fn properties(&self, schema: &'a Value) -> Vec<(&'a String, &'a Value, bool)> {
        let schema = self.resolve(schema);
        let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mut properties: Vec<_> = schema["properties"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, property)| (name, property, required.contains(&name.as_str())))
            .collect();
        // What must be filled in comes first.
        properties.sort_by_key(|(_, _, is_required)| !is_required);
        properties
    }

    fn fields_of(&self, schema: &'a Value, values: &Value, prefix: &str, depth: usize) -> Vec<Field> {
        self.properties(schema)
            .into_iter()
            .map(|(name, property, required)| {
                self.field(&format!("{prefix}.{name}"), name, property, &values[name.as_str()], required, depth)
            })
            .collect()
    }

    fn field(&self, path: &str, name: &str, property: &'a Value, value: &Value, required: bool, depth: usize) -> Field {
        let Shape { schema, control } = self.shape(property, depth);
        let control = if control == "text" && LONG_TEXTS.contains(&name) { "textarea" } else { control };
        let value = if value.is_null() { &schema["default"] } else { value };
        let control = if fits(control, value) { control } else { "json" };
        let text = |key: &str| property[key].as_str().or_else(|| schema[key].as_str()).map(str::to_owned);
        let mut field = Field {
            id: id_of(path),
            name: path.to_owned(),
            label: name.to_owned(),
            control,
            required: required && control != "checkbox",
            help: text("description").map(|help| help.replace('\n', " ")),
            min: schema.get("minimum").cloned(),
            max: schema.get("maximum").cloned(),
            step: (control == "number").then_some("any"),
            wide: matches!(control, "textarea" | "json" | "group" | "list"),
            autocomplete: Some("off"),
            ..Field::default()
        };
        match control {
            "group" => field.fields = self.fields_of(schema, value, path, depth + 1),
            "select" => {
                let choices = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).map(Item::same);
                field.options = (!required).then(|| Item::new("", "Not set")).into_iter().chain(choices).collect();
                field.value = value.as_str().unwrap_or_default().into();
            }
            "list" => {
                field.hint = Some("one per line".into());
                let lines: Vec<String> = value.as_array().into_iter().flatten().map(plain_text).collect();
                field.rows = Some(lines.len().clamp(2, 12));
                field.value = lines.join("\n").into();
            }
            "json" => {
                field.hint = Some("JSON".into());
                let json = if value.is_null() { String::new() } else { serde_json::to_string_pretty(value).unwrap_or_default() };
                field.rows = Some(json.lines().count().clamp(3, 20));
                field.value = json.into();
            }
            "checkbox" => field.value = value.as_bool().unwrap_or(false).into(),
            _ => field.value = if value.is_null() { "".into() } else { plain_text(value).into() },
        }
        field
    }

    /// Follows references, and takes what may be null for what it is otherwise.
    fn resolve(&self, schema: &'a Value) -> &'a Value {
        let mut schema = schema;
        for _ in 0..16 {
            if let Some(target) = schema["$ref"].as_str() {
                schema = target.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer)).unwrap_or(&Value::Null);
                continue;
            }
            let branches = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array());
            let mut others = branches.into_iter().flatten().filter(|branch| branch["type"] != "null");
            match (others.next(), others.next()) {
                (Some(only), None) => schema = only,
                _ => return schema,
            }
        }
        schema
    }

    fn shape(&self, property: &'a Value, depth: usize) -> Shape<'a> {
        let schema = self.resolve(property);
        let control = match type_of(schema) {
            "string" if schema["enum"].is_array() => "select",
            "string" => match schema["format"].as_str() {
                Some("email") => "email",
                Some("date") => "date",
                Some("password") => "password",
                _ if schema["maxLength"].as_u64().is_some_and(|most| most > LINE_CHARS) => "textarea",
                _ => "text",
            },
            "integer" | "number" => "number",
            "boolean" => "checkbox",
            "array" if matches!(type_of(self.resolve(&schema["items"])), "string" | "integer" | "number") => "list",
            "object" if depth < MAX_DEPTH && schema["properties"].as_object().is_some_and(|fields| !fields.is_empty()) => "group",
            _ => "json",
        };
        Shape { schema, control }
    }

    fn read_object(
        &self,
        schema: &'a Value,
        fields: &Fields,
        prefix: &str,
        depth: usize,
        errors: &mut Vec<FieldError>,
    ) -> Map<String, Value> {
        let mut object = Map::new();
        for (name, property, required) in self.properties(schema) {
            let path = format!("{prefix}.{name}");
            if let Some(value) = self.read_value(&path, property, required, fields, depth, errors) {
                object.insert(name.clone(), value);
            }
        }
        object
    }

    fn read_value(
        &self,
        path: &str,
        property: &'a Value,
        required: bool,
        fields: &Fields,
        depth: usize,
        errors: &mut Vec<FieldError>,
    ) -> Option<Value> {
        let Shape { schema, control } = self.shape(property, depth);
        let raw = fields.raw(path);
        if control == "group" && raw.is_none() {
            let inner = self.read_object(schema, fields, path, depth + 1, errors);
            return (required || !inner.is_empty()).then_some(Value::Object(inner));
        }
        if control == "checkbox" && raw.is_none_or(|raw| raw == "true") {
            let is_set = raw.is_some();
            return (is_set || required || schema["default"] == true).then_some(Value::Bool(is_set));
        }
        let raw = raw?.replace("\r\n", "\n");
        let trimmed = raw.trim();
        if trimmed.is_empty() && (!required || control != "text") {
            return None;
        }
        // A value that fitted no control was shown as JSON, whatever the schema says.
        let is_json =
            control == "json" || control == "group" || control == "checkbox" || (control == "list" && trimmed.starts_with('['));
        if is_json {
            return match serde_json::from_str(trimmed) {
                Ok(value) => Some(value),
                Err(error) => {
                    errors.push(FieldError::new(pointer_of(path), format!("must be JSON: {error}")));
                    None
                }
            };
        }
        Some(match control {
            "number" => number(trimmed),
            "list" => {
                let is_text = type_of(self.resolve(&schema["items"])) == "string";
                let item = |line: &str| if is_text { Value::from(line) } else { number(line) };
                trimmed.lines().map(str::trim).filter(|line| !line.is_empty()).map(item).collect()
            }
            "textarea" => raw.into(),
            _ => trimmed.into(),
        })
    }
}

/// The first type that is not null.
fn type_of(schema: &Value) -> &str {
    match &schema["type"] {
        Value::String(one) => one,
        Value::Array(several) => several.iter().filter_map(Value::as_str).find(|one| *one != "null").unwrap_or(""),
        _ if schema["enum"].is_array() => "string",
        _ if schema["properties"].is_object() => "object",
        _ => "",
    }
}

fn fits(control: &str, value: &Value) -> bool {
    match control {
        _ if value.is_null() => true,
        "json" => true,
        "group" => value.is_object(),
        "list" => value.as_array().is_some_and(|items| {
            items.iter().all(|item| item.is_string() && !plain_text(item).contains('\n') || item.is_number())
        }),
        "checkbox" => value.is_boolean(),
        "number" => value.is_number(),
        _ => value.is_string(),
    }
}

fn plain_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A number, or the text as it came: the check of the kind says then what it has to be.
fn number(text: &str) -> Value {
    match serde_json::from_str::<Value>(text) {
        Ok(value) if value.is_number() => value,
        _ => text.into(),
    }
}

fn pointer_of(path: &str) -> String {
    path.split('.').fold(String::new(), |pointer, part| format!("{pointer}/{}", part.replace('~', "~0").replace('/', "~1")))
}

/// An error as the summary above a form lists it.
#[derive(Debug, Serialize)]
pub(super) struct FormError {
    id: String,
    label: String,
    error: String,
}

/// Puts errors at their fields, or at the field around them, and lists all.
pub(super) fn place_errors(fields: &mut [Field], errors: &[FieldError]) -> Vec<FormError> {
    errors
        .iter()
        .map(|error| {
            let found = field_at(fields, &error.pointer);
            let listed = FormError {
                id: found.as_ref().map_or_else(|| "main".into(), |field| field.id.clone()),
                label: found.as_ref().map_or_else(|| error.pointer.clone(), |field| field.label.clone()),
                error: error.detail.clone(),
            };
            if let Some(field) = found {
                field.error = Some(error.detail.clone());
            }
            listed
        })
        .collect()
}

fn field_at<'f>(fields: &'f mut [Field], pointer: &str) -> Option<&'f mut Field> {
    for field in fields {
        let own = pointer_of(&field.name);
        if pointer != own && pointer.strip_prefix(&own).is_none_or(|rest| !rest.starts_with('/')) {
            continue;
        }
        if field.fields.iter().any(|inner| {
            let inner = pointer_of(&inner.name);
            pointer == inner || pointer.strip_prefix(&inner).is_some_and(|rest| rest.starts_with('/'))
        }) {
            return field_at(&mut field.fields, pointer);
        }
        return Some(field);
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        json!({
            "type": "object", "required": ["to", "count"],
            "properties": {
                "to": {"type": "string", "format": "email", "description": "Whom to\nreach"},
                "count": {"type": "integer", "minimum": 1},
                "mode": {"oneOf": [{"type": "null"}, {"$ref": "#/$defs/Mode"}]},
                "tags": {"type": ["array", "null"], "items": {"type": "string"}},
                "urgent": {"type": "boolean"},
                "keep": {"type": "boolean", "default": true},
                "extra": {"type": "object"},
                "place": {"type": "object", "properties": {"city": {"type": "string"}}},
            },
            "$defs": {"Mode": {"type": "string", "enum": ["a", "b"]}},
        })
    }

    fn by_name(fields: &[Field], name: &str) -> Field {
        fields.iter().find(|field| field.label == name).unwrap().clone()
    }

    #[test]
    fn each_type_has_its_control_and_what_is_required_comes_first() {
        let schema = schema();
        let fields = SchemaForm::new(&schema).fields(&json!({"to": "a@b.c", "tags": ["x", "y"], "place": {"city": "Accra"}}));
        let controls: Vec<_> =
            ["to", "count", "mode", "tags", "urgent", "keep", "extra", "place"].map(|name| by_name(&fields, name).control).into();
        assert_eq!(controls, ["email", "number", "select", "list", "checkbox", "checkbox", "json", "group"]);
        assert!(fields[0].required && fields[1].required && !fields[2].required);
        assert_eq!(by_name(&fields, "to").help.as_deref(), Some("Whom to reach"));
        assert_eq!(by_name(&fields, "tags").value, "x\ny");
        assert_eq!(by_name(&fields, "keep").value, true);
        assert_eq!(by_name(&fields, "place").fields[0].value, "Accra");
        assert_eq!(by_name(&fields, "mode").options.len(), 3);
    }

    #[test]
    fn what_was_filled_in_becomes_json_of_the_right_types() {
        let schema = schema();
        let form = Fields::parse(b"args.to=a%40b.c&args.count=3&args.mode=&args.tags=x%0D%0Ay%0D%0A&args.urgent=true&args.extra=%7B%22k%22%3A1%7D&args.place.city=Accra");
        let (args, errors) = SchemaForm::new(&schema).read(&form);
        assert!(errors.is_empty());
        let expected = json!({"to": "a@b.c", "count": 3, "tags": ["x", "y"], "urgent": true, "keep": false, "extra": {"k": 1}, "place": {"city": "Accra"}});
        assert_eq!(args, expected);
    }

    #[test]
    fn errors_stand_at_the_field_or_the_field_around_them() {
        let schema = schema();
        let (args, mut errors) = SchemaForm::new(&schema).read(&Fields::parse(b"args.to=&args.count=many&args.extra=%7B"));
        assert_eq!(args["count"], "many");
        errors.push(FieldError::new("/args/tags/3", "must be short"));
        errors.push(FieldError::new("/args/place/city", "is unknown"));
        errors.push(FieldError::new("/elsewhere", "is wrong"));
        let mut fields = SchemaForm::new(&schema).fields(&args);
        let listed = place_errors(&mut fields, &errors);
        assert!(by_name(&fields, "extra").error.unwrap().starts_with("must be JSON"));
        assert_eq!(by_name(&fields, "tags").error.as_deref(), Some("must be short"));
        assert_eq!(by_name(&fields, "place").fields[0].error.as_deref(), Some("is unknown"));
        assert_eq!(listed.last().unwrap().label, "/elsewhere");
    }

    #[test]
    fn a_value_of_another_type_is_shown_as_json_and_read_back() {
        let schema = schema();
        let fields = SchemaForm::new(&schema).fields(&json!({"count": "[sensitive]"}));
        assert_eq!(by_name(&fields, "count").control, "json");
    }
}
