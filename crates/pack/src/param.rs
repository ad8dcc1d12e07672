//! The typed args of a kind, their JSON Schema, and the check of args against them.

mod args;
mod read;
mod schema;

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::{Map, Value as Json};

pub use args::ArgFault;
pub(crate) use args::{is_email, is_phone, is_uuid};
pub(crate) use read::read_params;

use crate::sql::SqlType;

/// Names that params must not have, because submission options use them.
pub const RESERVED_PARAMS: [&str; 12] = [
    "kind",
    "args",
    "queue",
    "priority",
    "countdown",
    "eta",
    "expires",
    "max_retries",
    "time_limit",
    "soft_time_limit",
    "callback_url",
    "unique",
];

/// The type of a param's values.
#[derive(Clone, Debug)]
pub enum ParamType {
    /// A string.
    String {
        /// Least number of characters.
        min_length: Option<usize>,
        /// Largest number of characters.
        max_length: Option<usize>,
        /// The regular expression that the string must match.
        pattern: Option<Regex>,
    },
    /// A whole number of 64 bits.
    Integer {
        /// Smallest value allowed.
        min: Option<f64>,
        /// Largest value allowed.
        max: Option<f64>,
    },
    /// A number, with or without decimals.
    Number {
        /// Smallest value allowed.
        min: Option<f64>,
        /// Largest value allowed.
        max: Option<f64>,
    },
    /// A boolean.
    Boolean,
    /// A day, as in `2026-01-31`.
    Date,
    /// A moment: RFC 3339 with an offset.
    Datetime,
    /// A UUID, as text.
    Uuid,
    /// A mail address, for example `user@example.com`.
    Email,
    /// A telephone number in the international form, as in `+233244123456`.
    Phone,
    /// A list whose items have one type.
    List {
        /// The type of the items.
        items: Box<Param>,
        /// Least number of items.
        min_items: Option<usize>,
        /// Largest number of items.
        max_items: Option<usize>,
    },
    /// An object with these fields; with any fields if there are none.
    Object(Option<Params>),
}

impl ParamType {
    /// The name of the type in `pack.toml`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::String { .. } => "string",
            Self::Integer { .. } => "integer",
            Self::Number { .. } => "number",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::Datetime => "datetime",
            Self::Uuid => "uuid",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::List { .. } => "list",
            Self::Object(_) => "object",
        }
    }

    /// The type of this name in `pack.toml`, without limits.
    pub(crate) fn plain(name: &str) -> Option<Self> {
        Some(match name {
            "string" => Self::String { min_length: None, max_length: None, pattern: None },
            "integer" => Self::Integer { min: None, max: None },
            "number" => Self::Number { min: None, max: None },
            "boolean" => Self::Boolean,
            "date" => Self::Date,
            "datetime" => Self::Datetime,
            "uuid" => Self::Uuid,
            "email" => Self::Email,
            "phone" => Self::Phone,
            "object" => Self::Object(None),
            _ => return None,
        })
    }

    /// The SQL type with which a statement binds the value.
    pub fn sql_type(&self) -> SqlType {
        match self {
            Self::String { .. } | Self::Email | Self::Phone => SqlType::Text,
            Self::Integer { .. } => SqlType::Integer,
            Self::Number { .. } => SqlType::Number,
            Self::Boolean => SqlType::Boolean,
            Self::Date => SqlType::Date,
            Self::Datetime => SqlType::Datetime,
            Self::Uuid => SqlType::Uuid,
            Self::List { items, .. } => items.kind.sql_type().listed(),
            Self::Object(_) => SqlType::Json,
        }
    }
}

/// A param: one typed arg of a kind.
#[derive(Clone, Debug)]
pub struct Param {
    /// The type of its values.
    pub kind: ParamType,
    /// A sentence that says what the param means.
    pub description: Option<String>,
    /// Whether the param may be omitted.
    pub optional: bool,
    /// The value of a param that is omitted; null if there is no default.
    pub default: Option<Json>,
    /// A value that passes the check.
    pub example: Option<Json>,
    /// The only values allowed; empty if every value of the type is.
    pub allowed: Vec<Json>,
    /// Whether the value is kept out of logs and answers.
    pub secret: bool,
}

/// The params of a kind, or the fields of an object, in the order of the file.
#[derive(Clone, Debug, Default)]
pub struct Params {
    entries: Vec<(String, Param)>,
}

impl Params {
    pub(crate) fn new(entries: Vec<(String, Param)>) -> Self {
        Self { entries }
    }

    /// The params in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Param)> {
        self.entries.iter().map(|(name, param)| (name.as_str(), param))
    }

    /// Finds a param by its name.
    pub fn get(&self, name: &str) -> Option<&Param> {
        self.entries.iter().find(|(known, _)| known == name).map(|(_, param)| param)
    }

    /// The names, in the order of the file.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(name, _)| name.as_str())
    }

    /// Whether the kind has no params.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The JSON Pointers of the secret params, as in `/code`, also of those inside objects and lists: `/login/code`, `/codes/*`.
    pub fn secrets(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        self.secrets_below("", &mut found);
        found
    }

    fn secrets_below(&self, pointer: &str, found: &mut BTreeSet<String>) {
        for (name, param) in self.iter() {
            param.secrets_at(format!("{pointer}/{name}"), found);
        }
    }

    /// Args that pass the check: the examples and defaults, and a made-up value for each required param that has neither.
    pub fn example(&self) -> Map<String, Json> {
        let value = |param: &Param| param.example.clone().or_else(|| (!param.optional).then(|| param.made_up()));
        self.iter().filter_map(|(name, param)| Some((name.to_owned(), value(param)?))).collect()
    }
}

impl Param {
    fn secrets_at(&self, pointer: String, found: &mut BTreeSet<String>) {
        match &self.kind {
            _ if self.secret => drop(found.insert(pointer)),
            ParamType::List { items, .. } => items.secrets_at(pointer + "/*", found),
            ParamType::Object(Some(fields)) => fields.secrets_below(&pointer, found),
            _ => {}
        }
    }

    /// A value of the type, for an example.
    fn made_up(&self) -> Json {
        if let Some(first) = self.allowed.first() {
            return first.clone();
        }
        match &self.kind {
            ParamType::String { min_length, max_length, .. } => {
                let text = "text".repeat(min_length.unwrap_or(0) / 4 + 1);
                text.chars().take(max_length.unwrap_or(usize::MAX).max(1)).collect::<String>().into()
            }
            ParamType::Integer { min, max } => integer_within(*min, *max).into(),
            ParamType::Number { min, max } => number_within(*min, *max).into(),
            ParamType::Boolean => true.into(),
            ParamType::Date => "2026-01-31".into(),
            ParamType::Datetime => "2026-01-31T09:00:00Z".into(),
            ParamType::Uuid => "0198c5a4-7d1e-7c3a-9f00-2b8d1c6e4a57".into(),
            ParamType::Email => "user@example.com".into(),
            ParamType::Phone => "+233244123456".into(),
            ParamType::List { items, min_items, .. } => {
                let item = items.example.clone().unwrap_or_else(|| items.made_up());
                vec![item; min_items.unwrap_or(1).max(1)].into()
            }
            ParamType::Object(fields) => fields.as_ref().map(Params::example).unwrap_or_default().into(),
        }
    }
}

fn number_within(min: Option<f64>, max: Option<f64>) -> f64 {
    1.0_f64.max(min.unwrap_or(f64::MIN)).min(max.unwrap_or(f64::MAX))
}

#[expect(clippy::cast_possible_truncation, reason = "an example")]
fn integer_within(min: Option<f64>, max: Option<f64>) -> i64 {
    number_within(min.map(f64::ceil), max.map(f64::floor)) as i64
}

#[cfg(test)]
mod tests;
