//! The members of a request, before they have types: each wrong one is named, and the args stay as they were written.

use legwork_engine::domain::raw_object::RawObject;
use legwork_engine::domain::{FieldError, parser_words};
use legwork_engine::queue::body::parse_object;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::super::super::error::ApiError;

/// The members of an object.
#[derive(Clone, Debug)]
pub(super) struct Members {
    /// All but the args.
    pub(super) values: Map<String, Value>,
    /// The args as they were written; `None` where they are null or not given.
    pub(super) args: Option<Box<RawValue>>,
    /// Whether `args` is given, be it as null.
    pub(super) has_args: bool,
}

impl Members {
    /// Parses a request. A member that is given twice is refused, also within another one.
    pub(super) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let RawObject(fields) = parse_object(body)?;
        let mut members = Self { values: Map::new(), args: None, has_args: false };
        let mut errors = Vec::new();
        for (name, value) in fields {
            if value.get().starts_with('{')
                && let Err(error) = serde_json::from_str::<RawObject<'_>>(value.get())
            {
                errors.push(FieldError::within("", &name, parser_words(&error)));
            }
            if name != "args" {
                match serde_json::from_str(value.get()) {
                    Ok(value) => drop(members.values.insert(name.into_owned(), value)),
                    // It is JSON, but a number that is too large for any type.
                    Err(error) => errors.push(FieldError::within("", &name, parser_words(&error))),
                }
                continue;
            }
            members.has_args = true;
            if value.get().starts_with('{') {
                members.args = Some(value.to_owned());
            } else if value.get() != "null" {
                errors.push(FieldError::new("/args", "must be an object"));
            }
        }
        if errors.is_empty() { Ok(members) } else { Err(ApiError::Invalid(errors)) }
    }

    /// The members that are not among `allowed`; they are taken away.
    pub(super) fn unknown(&mut self, allowed: &[&str]) -> Vec<FieldError> {
        let unknown = |name: &str| FieldError::unknown("", name, allowed);
        let errors = self.values.keys().filter(|name| !allowed.contains(&name.as_str())).map(|name| unknown(name)).collect();
        self.values.retain(|name, _| allowed.contains(&name.as_str()));
        errors
    }

    /// Takes a number away that is not whole, or not from `least` to `most`: what is wrong with it.
    pub(super) fn take_bad_number(&mut self, name: &str, least: i64, most: i64) -> Option<FieldError> {
        let value = self.values.get(name).filter(|value| !value.is_null())?;
        if value.as_i64().is_some_and(|number| (least..=most).contains(&number)) {
            return None;
        }
        let error = FieldError::within("", name, format!("must be a whole number from {least} to {most}; got {value}"));
        self.values.remove(name);
        Some(error)
    }

    /// Takes the members of these names as a type; a member that is null counts as one that is not given.
    pub(super) fn take<T: DeserializeOwned>(&mut self, names: &[&str]) -> Result<T, Vec<FieldError>> {
        let mut taken = Map::new();
        for &name in names {
            if let Some(value) = self.values.remove(name).filter(|value| !value.is_null()) {
                taken.insert(name.to_owned(), value);
            }
        }
        let text = Value::Object(taken).to_string();
        let mut input = serde_json::Deserializer::from_str(&text);
        serde_path_to_error::deserialize(&mut input).map_err(|error| vec![FieldError::of_parser(&error)])
    }
}
