//! A kind's args on the command line: `--arg name=value`, or all of them as JSON.

use clap::Args;
use serde_json::{Map, Value};

use super::CliError;

/// What is said of `--arg` in the help of the commands that take it.
pub(super) const ARG_HELP: &str = "\
The value of --arg is what the kind takes: code=123456 is text for a kind that takes a text there, else a number. What is not JSON is text,
as in name=Ann, and so is what is in quotes, as in code='\"123456\"'.
A dot leads into an object: context.name=Ann is {\"context\": {\"name\": \"Ann\"}}.";

#[derive(Debug, Default, Args)]
pub(super) struct KindArgs {
    /// An arg of the task; repeat it for more
    #[arg(long = "arg", value_name = "NAME=VALUE")]
    pairs: Vec<String>,
    /// All args as a JSON object; --arg adds to it
    #[arg(long = "args", value_name = "JSON")]
    json: Option<String>,
}

impl KindArgs {
    /// Whether any args are given, be they an empty object.
    pub(super) fn are_given(&self) -> bool {
        self.json.is_some() || !self.pairs.is_empty()
    }

    /// The args as the text of a JSON object that fits a JSON Schema as far as that says so. Those of `--args` alone stay as they were written,
    /// big numbers and the order of fields included.
    pub(super) fn text_for(&self, schema: &Value) -> Result<String, CliError> {
        let args = self.object_for(schema)?;
        match &self.json {
            Some(json) if self.pairs.is_empty() => Ok(json.clone()),
            _ => Ok(Value::Object(args).to_string()),
        }
    }

    /// Whether what the kind takes decides about a value: one that reads as JSON, and might be meant as text.
    pub(super) fn need_schema(&self) -> bool {
        let texts = self.pairs.iter().filter_map(|pair| pair.split_once('='));
        texts.into_iter().any(|(_, text)| serde_json::from_str::<Value>(text).is_ok_and(|value| !value.is_string()))
    }

    /// The args as an object that fits a JSON Schema as far as that says so.
    fn object_for(&self, schema: &Value) -> Result<Map<String, Value>, CliError> {
        let mut args = match self.json.as_deref().map(serde_json::from_str) {
            None => Map::new(),
            Some(Ok(Value::Object(args))) => args,
            Some(Ok(_)) => return Err(CliError::Usage("--args is not a JSON object like {\"seconds\": 2}".into())),
            Some(Err(error)) => return Err(CliError::Usage(format!("--args is not JSON: {error}"))),
        };
        for pair in &self.pairs {
            put(&mut args, pair, schema).map_err(CliError::Usage)?;
        }
        Ok(args)
    }
}

fn put(args: &mut Map<String, Value>, pair: &str, schema: &Value) -> Result<(), String> {
    let root = schema;
    let (name, text) = pair.split_once('=').ok_or_else(|| format!("--arg {pair:?} is not name=value"))?;
    let mut path: Vec<&str> = name.split('.').collect();
    let last = path.pop().unwrap_or_default();
    if last.is_empty() || path.iter().any(|part| part.is_empty()) {
        return Err(format!("--arg {pair:?} has an empty name"));
    }
    let mut into = args;
    for part in path {
        let inner = into.entry(part).or_insert_with(|| Value::Object(Map::new()));
        into = inner
            .as_object_mut()
            .ok_or_else(|| format!("--arg {pair:?}: {part} has a value of its own, so nothing can be put into it"))?;
    }
    let wanted = name.split('.').try_fold(schema, |schema, part| field_of(root, schema, part));
    let types = wanted.map(|wanted| types_of(root, wanted)).unwrap_or_default();
    let value = value_of(text, &types);
    match into.insert(last.to_owned(), value) {
        Some(_) => Err(format!("{name} is given twice")),
        None => Ok(()),
    }
}

/// The value that a text stands for, where these types are allowed; all are where there are none.
fn value_of(text: &str, types: &[&str]) -> Value {
    let as_text = || Value::String(text.to_owned());
    let Ok(value) = serde_json::from_str::<Value>(text) else { return as_text() };
    let is_allowed = match &value {
        Value::Null => types.contains(&"null"),
        Value::Bool(_) => types.contains(&"boolean"),
        Value::Number(number) => types.contains(&"number") || (types.contains(&"integer") && !number.is_f64()),
        Value::Array(_) => types.contains(&"array"),
        Value::Object(_) => types.contains(&"object"),
        Value::String(_) => true,
    };
    if !is_allowed && types.contains(&"string") { as_text() } else { value }
}

/// The schema of a field, where the schema of its object has one.
fn field_of<'s>(root: &'s Value, schema: &'s Value, name: &str) -> Option<&'s Value> {
    branches(root, schema).into_iter().find_map(|branch| branch["properties"].get(name))
}

/// The JSON types that a schema allows, as far as it says so.
fn types_of<'s>(root: &'s Value, schema: &'s Value) -> Vec<&'s str> {
    let types = branches(root, schema).into_iter().flat_map(|branch| match &branch["type"] {
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        name => name.as_str().into_iter().collect::<Vec<_>>(),
    });
    types.collect()
}

/// A schema without its reference, and the alternatives of it.
fn branches<'s>(root: &'s Value, schema: &'s Value) -> Vec<&'s Value> {
    let target = schema["$ref"].as_str().and_then(|target| root.pointer(target.strip_prefix('#')?)).unwrap_or(schema);
    let alternatives = ["anyOf", "oneOf", "allOf"].into_iter().flat_map(|name| target[name].as_array().into_iter().flatten());
    let of_reference =
        |schema: &'s Value| schema["$ref"].as_str().and_then(|target| root.pointer(target.strip_prefix('#')?)).unwrap_or(schema);
    std::iter::once(target).chain(alternatives.map(of_reference)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(pairs: &[&str], json: Option<&str>) -> Result<Value, String> {
        let args = KindArgs { pairs: pairs.iter().map(|&pair| pair.to_owned()).collect(), json: json.map(str::to_owned) };
        args.object_for(&Value::Null).map(Value::Object).map_err(|error| error.to_string())
    }

    #[test]
    fn a_value_is_json_where_it_reads_as_json_and_text_elsewhere() {
        let args = object(&["a=2", "b=Ann Example", "c=[1,\"x\"]", "d=\"2\"", "e=", "f=x=y", "g=true", "h=007"], None);
        assert_eq!(
            args.unwrap(),
            json!({"a": 2, "b": "Ann Example", "c": [1, "x"], "d": "2", "e": "", "f": "x=y", "g": true, "h": "007"})
        );
    }

    #[test]
    fn a_value_is_what_the_kind_takes() {
        let schema = json!({
            "properties": {
                "code": { "type": "string" },
                "note": { "type": ["string", "null"] },
                "count": { "type": "integer" },
                "any": {},
                "either": { "oneOf": [{ "type": "null" }, { "$ref": "#/$defs/Text" }] },
                "login": { "$ref": "#/$defs/Login" },
            },
            "$defs": { "Text": { "type": "string" }, "Login": { "properties": { "pin": { "type": "string" }, "level": { "type": "number" } } } },
        });
        let pairs =
            ["code=123456", "note=null", "count=5", "any=5", "either=true", "login.pin=0042", "login.level=1.5", "other=7"];
        let args = KindArgs { pairs: pairs.map(str::to_owned).into(), json: None };
        assert!(args.need_schema());
        let expected = json!({
            "code": "123456", "note": null, "count": 5, "any": 5, "either": "true", "login": { "pin": "0042", "level": 1.5 }, "other": 7,
        });
        assert_eq!(Value::Object(args.object_for(&schema).unwrap()), expected);
    }

    #[test]
    fn a_dot_leads_into_an_object() {
        let args = object(&["context.user.name=Ann", "context.n=1", "to=x"], Some("{\"context\": {\"m\": 0}}"));
        assert_eq!(args.unwrap(), json!({"context": {"user": {"name": "Ann"}, "n": 1, "m": 0}, "to": "x"}));
    }

    #[test]
    fn args_that_are_given_as_json_stay_as_they_were_written() {
        let json = "{\"z\": 123456789012345678901234567890, \"a\": 1.10}".to_owned();
        let args = KindArgs { pairs: Vec::new(), json: Some(json.clone()) };
        assert_eq!(args.text_for(&Value::Null).unwrap(), json);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (pairs, json, said) in [
            (&["seconds"][..], None, "not name=value"),
            (&["=1"], None, "empty name"),
            (&["a..b=1"], None, "empty name"),
            (&["a=1", "a=2"], None, "twice"),
            (&["a=1", "a.b=2"], None, "value of its own"),
            (&["a.b=1", "a=2"], None, "twice"),
            (&[], Some("[1]"), "not a JSON object"),
            (&[], Some("{"), "not JSON"),
        ] {
            let error = object(pairs, json).unwrap_err();
            assert!(error.contains(said), "{pairs:?} {json:?}: {error}");
        }
    }
}
