//! What JSON Schema can say and utoipa cannot: fields that exclude each other, and args by kind. Added to the finished document.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::webhooks;
use crate::kinds::{KindSet, TaskKind};

/// The document in the order in which people read it.
#[derive(Serialize)]
pub(super) struct Ordered {
    openapi: Value,
    info: Value,
    servers: Value,
    tags: Value,
    paths: Value,
    webhooks: Value,
    components: Value,
}

impl Ordered {
    pub(super) fn of(mut document: Value) -> Self {
        let mut take = |name: &str| document.get_mut(name).map(Value::take).unwrap_or_default();
        Self {
            openapi: take("openapi"),
            info: take("info"),
            servers: take("servers"),
            tags: take("tags"),
            paths: take("paths"),
            webhooks: take("webhooks"),
            components: take("components"),
        }
    }
}

/// Adds the conditions, and the requests that the server makes itself.
pub(super) fn add(document: &mut Value, kinds: &KindSet) {
    webhooks::add(document);
    let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) else { return };
    for schema in schemas.values_mut().filter_map(Value::as_object_mut) {
        if has_all(schema, &["eta", "countdown"]) {
            schema.insert("not".into(), both("eta", "string", "countdown", "number"));
        }
        // A new account names its scopes; a new password needs none.
        if has_all(schema, &["password", "scopes", "replace"]) {
            schema.insert("anyOf".into(), scopes_or_replace());
        }
        // A submission, and not the answers that hold the same fields: those are open to more.
        if has_all(schema, &["kind", "args", "priority"]) && schema.get("additionalProperties") == Some(&Value::Bool(false)) {
            schema.insert("oneOf".into(), kinds.public().map(|kind| args_of(&kind)).collect());
        }
    }
}

fn has_all(schema: &Map<String, Value>, names: &[&str]) -> bool {
    schema.get("properties").is_some_and(|properties| names.iter().all(|name| properties.get(name).is_some()))
}

/// Scopes that are not null, or `"replace": true`.
fn scopes_or_replace() -> Value {
    json!([
        { "title": "A new account", "required": ["scopes"], "properties": { "scopes": { "type": "array" } } },
        { "title": "A new password", "required": ["replace"], "properties": { "replace": { "const": true } } },
    ])
}

/// Two fields of these types at once; null is as good as not given.
fn both(one: &str, one_type: &str, other: &str, other_type: &str) -> Value {
    let mut properties = Map::new();
    properties.insert(one.into(), json!({ "type": one_type }));
    properties.insert(other.into(), json!({ "type": other_type }));
    json!({ "required": [one, other], "properties": properties })
}

/// The kind is this one and the args are its own; where some of them are required, so are the args.
fn args_of(kind: &TaskKind) -> Value {
    let mut required = vec!["kind"];
    let needs_some = kind.json_schema.get("required").and_then(Value::as_array).is_some_and(|names| !names.is_empty());
    if needs_some {
        required.push("args");
    }
    let args = json!({ "$ref": format!("#/components/schemas/{}", kind.schema_name) });
    json!({ "title": kind.policy.name, "properties": { "kind": { "const": kind.policy.name }, "args": args }, "required": required })
}
