//! Checks args, and applies defaults. All faults are told at once, each with a JSON Pointer.

use std::fmt;

use jiff::{Timestamp, civil};
use serde_json::{Map, Value as Json};

use super::{Param, ParamType, Params};
use crate::fault::nearest;

/// What is wrong with an arg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArgFault {
    /// Which: a JSON Pointer into the args, as in `/user_ids/3`.
    pub pointer: String,
    /// What is wrong, what is allowed.
    pub detail: String,
}

impl fmt::Display for ArgFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.pointer, self.detail)
    }
}

impl Params {
    /// Checks args as submitted, and applies the defaults: a param that is left out has its default, or null.
    pub fn parse(&self, text: &str) -> Result<Map<String, Json>, Vec<ArgFault>> {
        let wrong = |detail: String| vec![ArgFault { pointer: String::new(), detail }];
        match serde_json::from_str(text) {
            Ok(Json::Object(args)) => self.apply(&args),
            Ok(other) => Err(wrong(format!("must be an object; got {}", described(&other)))),
            Err(error) => Err(wrong(format!("is not JSON: {error}"))),
        }
    }

    /// The same for args that are JSON already.
    pub fn apply(&self, args: &Map<String, Json>) -> Result<Map<String, Json>, Vec<ArgFault>> {
        let mut faults = Vec::new();
        let complete = self.complete(args, "", false, &mut faults);
        if faults.is_empty() { Ok(complete) } else { Err(faults) }
    }

    /// `hidden` is whether they are inside a secret, so that no fault may quote a value.
    fn complete(&self, args: &Map<String, Json>, pointer: &str, hidden: bool, faults: &mut Vec<ArgFault>) -> Map<String, Json> {
        let mut complete = Map::new();
        for (name, param) in self.iter() {
            let pointer = format!("{pointer}/{name}");
            match args.get(name).filter(|value| !value.is_null()) {
                Some(value) => drop(complete.insert(name.to_owned(), param.checked(value, &pointer, hidden, faults))),
                None if param.optional => {
                    complete.insert(name.to_owned(), param.default.clone().unwrap_or_default());
                }
                None => faults.push(ArgFault { pointer, detail: "is missing".into() }),
            }
        }
        for name in args.keys().filter(|name| self.get(name).is_none()) {
            let known: Vec<&str> = self.names().collect();
            let detail = match (known.is_empty(), nearest(name, known.iter().copied())) {
                (true, _) => "is unknown: this kind takes no args".to_owned(),
                (false, None) => format!("is unknown; allowed are {}", known.join(", ")),
                (false, Some(meant)) => format!("is unknown; allowed are {}; did you mean {meant:?}?", known.join(", ")),
            };
            faults.push(ArgFault { pointer: format!("{pointer}/{}", escaped(name)), detail });
        }
        complete
    }
}

/// A name as a part of a JSON Pointer.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

impl Param {
    /// The first thing that is wrong with a value.
    pub(super) fn value_fault(&self, value: &Json) -> Option<ArgFault> {
        let mut faults = Vec::new();
        self.checked(value, "", false, &mut faults);
        faults.into_iter().next()
    }

    /// The value with the defaults of its fields.
    fn checked(&self, value: &Json, pointer: &str, hidden: bool, faults: &mut Vec<ArgFault>) -> Json {
        let hidden = hidden || self.secret;
        let told = faults.len();
        let mut fault = |detail: String| faults.push(ArgFault { pointer: pointer.to_owned(), detail });
        if let Some(detail) = self.value_kind_fault(value, hidden) {
            fault(detail);
        } else if !self.allowed.is_empty() && !self.allowed.iter().any(|allowed| is_same(allowed, value)) {
            let allowed: Vec<String> = self.allowed.iter().map(Json::to_string).collect();
            let got = if hidden { "the value".to_owned() } else { value.to_string() };
            fault(format!("{got} is not allowed; allowed are {}", allowed.join(", ")));
        }
        if faults.len() > told {
            return value.clone();
        }
        match (&self.kind, value) {
            (ParamType::List { items, .. }, Json::Array(values)) => {
                let checked = values.iter().enumerate();
                checked.map(|(index, item)| items.checked(item, &format!("{pointer}/{index}"), hidden, faults)).collect()
            }
            (ParamType::Object(Some(fields)), Json::Object(object)) => fields.complete(object, pointer, hidden, faults).into(),
            (ParamType::Integer { .. }, Json::Number(number)) => whole(number).map_or_else(|| value.clone(), Json::from),
            _ => value.clone(),
        }
    }

    /// What is wrong with a value of the type, the parts of lists and objects aside.
    pub(super) fn kind_fault(&self, value: &Json) -> Option<String> {
        self.value_kind_fault(value, self.secret)
    }

    fn value_kind_fault(&self, value: &Json, hidden: bool) -> Option<String> {
        let got = || if hidden { "another value".to_owned() } else { described(value) };
        if !is_of(&self.kind, value) {
            return Some(format!("must be {}; got {}", article(&self.kind), got()));
        }
        match (&self.kind, value) {
            (ParamType::String { min_length, max_length, pattern }, Json::String(text)) => {
                let length = text.chars().count();
                if min_length.is_some_and(|min| length < min) || max_length.is_some_and(|max| length > max) {
                    return Some(format!("has {length} characters; it must have {}", range(*min_length, *max_length)));
                }
                let pattern = pattern.as_ref().filter(|pattern| !pattern.is_match(text))?;
                Some(format!("does not match the pattern {}", pattern.as_str()))
            }
            (ParamType::Integer { min, max } | ParamType::Number { min, max }, Json::Number(number)) => {
                let number = number.as_f64()?;
                let is_within = min.is_none_or(|min| number >= min) && max.is_none_or(|max| number <= max);
                (!is_within).then(|| format!("must be {}; got {}", range(*min, *max), got()))
            }
            (ParamType::List { min_items, max_items, .. }, Json::Array(items)) => {
                let count = items.len();
                let is_within = min_items.is_none_or(|min| count >= min) && max_items.is_none_or(|max| count <= max);
                (!is_within).then(|| format!("has {count} items; it must have {}", range(*min_items, *max_items)))
            }
            _ => None,
        }
    }
}

/// Whether a value is of a type, bounds aside.
fn is_of(kind: &ParamType, value: &Json) -> bool {
    let text = value.as_str();
    match kind {
        ParamType::String { .. } => text.is_some(),
        ParamType::Integer { .. } => value.as_number().is_some_and(|number| whole(number).is_some()),
        ParamType::Number { .. } => value.is_number(),
        ParamType::Boolean => value.is_boolean(),
        ParamType::Date => text.is_some_and(|text| text.len() == 10 && text.parse::<civil::Date>().is_ok()),
        ParamType::Datetime => text.is_some_and(|text| text.parse::<Timestamp>().is_ok()),
        ParamType::Uuid => text.is_some_and(is_uuid),
        ParamType::Email => text.is_some_and(is_email),
        ParamType::Phone => text.is_some_and(is_phone),
        ParamType::List { .. } => value.is_array(),
        ParamType::Object(_) => value.is_object(),
    }
}

/// `5`, or `5.0`: JSON knows one sort of numbers, and some languages write whole ones so.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
fn whole(number: &serde_json::Number) -> Option<i64> {
    number.as_i64().or_else(|| {
        let float = number.as_f64()?;
        (float.fract() == 0.0 && float.abs() <= 9_007_199_254_740_992.0).then_some(float as i64)
    })
}

/// 32 hexadecimal digits with four hyphens.
pub(crate) fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// `local@domain` in a form that no mail server takes for anything else; whether it exists only a mail can tell.
pub(crate) fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let is_plain = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with('.') && !part.contains("..");
    let has_forbidden = text.chars().any(|c| c.is_whitespace() || c.is_control() || "<>()[]\\,;:\"".contains(c));
    text.len() <= 254 && local.len() <= 64 && !local.contains('@') && is_plain(local) && is_plain(domain) && !has_forbidden
}

/// `+` and 7 to 15 digits, the first of which is no 0.
pub(crate) fn is_phone(text: &str) -> bool {
    let Some(digits) = text.strip_prefix('+') else { return false };
    (7..=15).contains(&digits.len()) && !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// `1` and `1.0` are the same.
fn is_same(one: &Json, other: &Json) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => (one - other).abs() < f64::EPSILON,
        _ => one == other,
    }
}

fn article(kind: &ParamType) -> &'static str {
    match kind {
        ParamType::String { .. } => "a text",
        ParamType::Integer { .. } => "a whole number",
        ParamType::Number { .. } => "a number",
        ParamType::Boolean => "true or false",
        ParamType::Date => "a day like \"2026-01-31\"",
        ParamType::Datetime => "a time with an offset (RFC 3339) like \"2026-01-31T09:00:00Z\"",
        ParamType::Uuid => "a UUID like \"0198c5a4-7d1e-7c3a-9f00-2b8d1c6e4a57\"",
        ParamType::Email => "a mail address like \"user@example.com\"",
        ParamType::Phone => "a number in the international form like \"+233244123456\"",
        ParamType::List { .. } => "a list",
        ParamType::Object(_) => "an object",
    }
}

fn range<T: fmt::Display>(min: Option<T>, max: Option<T>) -> String {
    match (min, max) {
        (Some(min), Some(max)) => format!("from {min} to {max}"),
        (Some(min), None) => format!("at least {min}"),
        (None, Some(max)) => format!("at most {max}"),
        (None, None) => "any".into(),
    }
}

/// A value in words that follow "got".
fn described(value: &Json) -> String {
    match value {
        Json::Array(_) => "a list".into(),
        Json::Object(_) => "an object".into(),
        Json::String(text) if text.chars().count() > 60 => "a long text".into(),
        other => other.to_string(),
    }
}
