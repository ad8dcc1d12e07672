//! A kind's args on the command line: `--arg name=value`, or all of them as JSON.

use clap::Args;
use serde_json::{Map, Value};

use super::CliError;

/// What is said of `--arg` in the help of the commands that take it.
pub(super) const ARG_HELP: &str = "\
The value of --arg is JSON where it reads as JSON, else text: seconds=2 is a number, name=Ann is text, code='\"007\"' is text too.
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

    /// The args as the text of a JSON object. Those of `--args` alone stay as they were written, big numbers and the order of fields included.
    pub(super) fn text(&self) -> Result<String, CliError> {
        let args = self.object()?;
        match &self.json {
            Some(json) if self.pairs.is_empty() => Ok(json.clone()),
            _ => Ok(Value::Object(args).to_string()),
        }
    }

    /// The args as an object.
    fn object(&self) -> Result<Map<String, Value>, CliError> {
        let mut args = match self.json.as_deref().map(serde_json::from_str) {
            None => Map::new(),
            Some(Ok(Value::Object(args))) => args,
            Some(Ok(_)) => return Err(CliError::Usage("--args is not a JSON object like {\"seconds\": 2}".into())),
            Some(Err(error)) => return Err(CliError::Usage(format!("--args is not JSON: {error}"))),
        };
        for pair in &self.pairs {
            put(&mut args, pair).map_err(CliError::Usage)?;
        }
        Ok(args)
    }
}

fn put(args: &mut Map<String, Value>, pair: &str) -> Result<(), String> {
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
    let value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
    match into.insert(last.to_owned(), value) {
        Some(_) => Err(format!("{name} is given twice")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(pairs: &[&str], json: Option<&str>) -> Result<Value, String> {
        let args = KindArgs { pairs: pairs.iter().map(|&pair| pair.to_owned()).collect(), json: json.map(str::to_owned) };
        args.object().map(Value::Object).map_err(|error| error.to_string())
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
    fn a_dot_leads_into_an_object() {
        let args = object(&["context.user.name=Ann", "context.n=1", "to=x"], Some("{\"context\": {\"m\": 0}}"));
        assert_eq!(args.unwrap(), json!({"context": {"user": {"name": "Ann"}, "n": 1, "m": 0}, "to": "x"}));
    }

    #[test]
    fn args_that_are_given_as_json_stay_as_they_were_written() {
        let json = "{\"z\": 123456789012345678901234567890, \"a\": 1.10}".to_owned();
        let args = KindArgs { pairs: Vec::new(), json: Some(json.clone()) };
        assert_eq!(args.text().unwrap(), json);
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
