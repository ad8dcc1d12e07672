//! Reads params out of `pack.toml`.

use regex::Regex;
use serde_json::Value as Json;

use super::{Param, ParamType, Params, RESERVED_PARAMS};
use crate::fault::allowed;
use crate::fields::PARAM_TYPES;
use crate::read::{Reader, text_of};
use crate::shape::is_name;
use crate::tree::{Entry, Node, Path, Toml};

/// Names that statements know already.
const BOUND_ALWAYS: [&str; 3] = ["now", "today", "task_id"];

/// Fields of a param that some types take only.
const BOUNDS: [&str; 9] = ["min_length", "max_length", "pattern", "min", "max", "items", "min_items", "max_items", "fields"];

/// The params of a kind.
pub(crate) fn read_params(reader: &mut Reader<'_>, node: Option<&Node>, path: &Path) -> Params {
    let Some(node) = node else { return Params::default() };
    let mut entries = Vec::new();
    for entry in node.entries() {
        let path = path.at(&entry.key);
        if RESERVED_PARAMS.contains(&entry.key.as_str()) {
            let message =
                format!("{:?} is an option of every submission, so no param can have this name. Call it otherwise.", entry.key);
            reader.fault(entry.key_at, &path, message);
        } else if BOUND_ALWAYS.contains(&entry.key.as_str()) {
            let message = format!("statements know {:?} already, so no param can have this name. Call it otherwise.", entry.key);
            reader.fault(entry.key_at, &path, message);
        }
        entries.extend(named(reader, entry, &path));
    }
    Params::new(entries)
}

fn named(reader: &mut Reader<'_>, entry: &Entry, path: &Path) -> Option<(String, Param)> {
    if !is_name(&entry.key) {
        let message = format!("{:?} is not a name: a-z, 0-9 and _, beginning with a letter, 63 characters at most.", entry.key);
        reader.fault(entry.key_at, path, message);
    }
    read_param(reader, &entry.node, path).map(|param| (entry.key.clone(), param))
}

/// `"string"`, or a table with a type.
fn read_param(reader: &mut Reader<'_>, node: &Node, path: &Path) -> Option<Param> {
    let (name, at) = match &node.value {
        Toml::Text(name) => (name.as_str(), node.at),
        _ => node.get("type").and_then(|kind| Some((kind.text()?, kind.at)))?,
    };
    let kind = read_type(reader, name, at, node, path)?;
    // Bounds of other types were told by `read_type`.
    let mut param = Param {
        kind,
        description: text_of(node, "description"),
        optional: node.get("optional").and_then(Node::boolean).unwrap_or(node.get("default").is_some()),
        default: None,
        example: None,
        allowed: read_enum(reader, node, path),
        secret: node.get("secret").and_then(Node::boolean).unwrap_or(false),
    };
    if let Some(entry) = node.entry("optional").filter(|entry| entry.node.boolean() == Some(false))
        && node.get("default").is_some()
    {
        reader.fault(
            entry.key_at,
            &path.at("optional"),
            "a param with a default may be left out. Remove `optional = false`, or the default.",
        );
    }
    for value in std::mem::take(&mut param.allowed) {
        match param.kind_fault(&value) {
            None => param.allowed.push(value),
            Some(what) => {
                let at = node.entry("enum").map_or(node.at, |entry| entry.key_at);
                reader.fault(at, &path.at("enum"), format!("{value} {what}."));
            }
        }
    }
    param.default = checked(reader, node, "default", &param, path);
    param.example = checked(reader, node, "example", &param, path);
    Some(param)
}

fn read_enum(reader: &mut Reader<'_>, node: &Node, path: &Path) -> Vec<Json> {
    let Some(entry) = node.entry("enum") else { return Vec::new() };
    match &entry.node.value {
        Toml::List(items) if !items.is_empty() => items.iter().map(Node::json).collect(),
        _ => {
            let got = entry.node.described();
            reader.fault(entry.node.at, &path.at("enum"), format!("must be a list of the values that are allowed; got {got}."));
            Vec::new()
        }
    }
}

/// A default or an example that the param itself takes.
fn checked(reader: &mut Reader<'_>, node: &Node, name: &str, param: &Param, path: &Path) -> Option<Json> {
    let entry = node.entry(name)?;
    let value = entry.node.json();
    match param.value_fault(&value) {
        None => Some(value),
        Some(fault) => {
            let pointer = if fault.pointer.is_empty() { String::new() } else { format!(" at {}", fault.pointer) };
            reader.fault(entry.node.at, &path.at(name), format!("does not fit the param itself{pointer}: {}.", fault.detail));
            None
        }
    }
}

fn read_type(reader: &mut Reader<'_>, name: &str, at: usize, node: &Node, path: &Path) -> Option<ParamType> {
    let usable: &[&str] = match name {
        "string" => &["min_length", "max_length", "pattern"],
        "integer" | "number" => &["min", "max"],
        "list" => &["items", "min_items", "max_items"],
        "object" => &["fields"],
        _ => &[],
    };
    for bound in BOUNDS.iter().filter(|bound| !usable.contains(bound)) {
        if let Some(entry) = node.entry(bound) {
            let message = format!("has no meaning for the type {name}. Remove it.{}", usable_words(usable));
            reader.fault(entry.key_at, &path.at(bound), message);
        }
    }
    let length = |name: &str| node.get(name).and_then(Node::integer).and_then(|length| usize::try_from(length).ok());
    let number = |name: &str| node.get(name).and_then(Node::number);
    match name {
        "string" => Some(ParamType::String {
            min_length: length("min_length"),
            max_length: length("max_length"),
            pattern: read_pattern(reader, node, path),
        }),
        "integer" => Some(ParamType::Integer { min: number("min"), max: number("max") }),
        "number" => Some(ParamType::Number { min: number("min"), max: number("max") }),
        "list" => {
            let Some(items) = node.entry("items") else {
                reader.fault(
                    at,
                    path,
                    "is a list, and `items` does not say of what. Write { type = \"list\", items = \"integer\" }.",
                );
                return None;
            };
            let items = read_param(reader, &items.node, &path.at("items"))?;
            Some(ParamType::List { items: Box::new(items), min_items: length("min_items"), max_items: length("max_items") })
        }
        "object" => {
            let fields = node.get("fields").map(|fields| {
                let path = path.at("fields");
                let entries = fields.entries().iter();
                Params::new(entries.filter_map(|entry| named(reader, entry, &path.at(&entry.key))).collect())
            });
            Some(ParamType::Object(fields))
        }
        other => {
            let plain = ParamType::plain(other);
            // In the long form the shape told it.
            if plain.is_none() && matches!(node.value, Toml::Text(_)) {
                reader.fault(at, path, format!("the type {other:?} is unknown.{}", allowed(other, PARAM_TYPES)));
            }
            plain
        }
    }
}

fn usable_words(usable: &[&str]) -> String {
    if usable.is_empty() { String::new() } else { format!(" This type takes {}.", usable.join(", ")) }
}

fn read_pattern(reader: &mut Reader<'_>, node: &Node, path: &Path) -> Option<Regex> {
    let entry = node.entry("pattern")?;
    match Regex::new(entry.node.text()?) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            let reason = error.to_string();
            let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ");
            reader.fault(entry.node.at, &path.at("pattern"), format!("is not a regular expression: {reason}."));
            None
        }
    }
}
