//! Values as the databases take them.

use jiff::tz::TimeZone;
use serde_json::Value as Json;

use super::{Dialect, SqlType};
use crate::moment::Moment;
use crate::param::is_uuid;

/// A value to bind.
#[derive(Clone, Debug, PartialEq)]
pub enum SqlValue {
    /// The SQL value NULL.
    Null,
    /// A whole number; `SQLite` only.
    Integer(i64),
    /// A number; `SQLite` only.
    Real(f64),
    /// Text: all that is bound to Postgres.
    Text(String),
}

impl SqlValue {
    /// A JSON value under a type. The error says what is wrong with the value, and does not quote it: a value may be a secret, or be made of
    /// one by an expression.
    pub fn encode(kind: &SqlType, value: &Json, dialect: Dialect) -> Result<Self, String> {
        if value.is_null() {
            return Ok(Self::Null);
        }
        let wrong = |what: &str| Err(format!("must be {what}; got {}", form_of(value)));
        let encoded = match kind {
            SqlType::Text => text_of(value).map(Self::Text).ok_or("a text"),
            SqlType::Integer => integer_of(value).map(Self::Integer).ok_or("a whole number"),
            SqlType::Number => number_of(value, dialect).ok_or("a number"),
            SqlType::Boolean => boolean_of(value).map(|is| Self::boolean(is, dialect)).ok_or("true or false"),
            SqlType::Date => date_of(value).map(Self::Text).ok_or("a day like 2026-01-31"),
            SqlType::Datetime => datetime_of(value, dialect).map(Self::Text).ok_or("a time like 2026-01-31T09:00:00Z"),
            SqlType::Uuid => uuid_of(value).map(Self::Text).ok_or("a UUID like 0198c5a4-7d1e-7c3a-9f00-2b8d1c6e4a57"),
            SqlType::Json => Ok(Self::Text(value.to_string())),
            SqlType::List(item) => return Self::list(item, value, dialect),
        };
        match encoded {
            Ok(value) => Ok(if dialect == Dialect::Postgres { value.into_text() } else { value }),
            Err(what) => wrong(what),
        }
    }

    /// A list as a JSON array, whose items are as the dialect compares them.
    fn list(item: &SqlType, value: &Json, dialect: Dialect) -> Result<Self, String> {
        let Json::Array(items) = value else { return Err(format!("must be a list; got {}", form_of(value))) };
        let encode = |value: &Json| {
            Ok(match Self::encode(item, value, dialect)? {
                Self::Null => Json::Null,
                Self::Integer(number) => number.into(),
                Self::Real(number) => number.into(),
                Self::Text(text) => text.into(),
            })
        };
        let items = items.iter().map(encode).collect::<Result<Vec<Json>, String>>()?;
        Ok(Self::Text(Json::from(items).to_string()))
    }

    fn boolean(is: bool, dialect: Dialect) -> Self {
        match dialect {
            Dialect::Postgres => Self::Text(is.to_string()),
            Dialect::Sqlite => Self::Integer(is.into()),
        }
    }

    /// The same as text; null stays null.
    #[must_use]
    pub fn into_text(self) -> Self {
        match self {
            Self::Integer(number) => Self::Text(number.to_string()),
            Self::Real(number) => Self::Text(number.to_string()),
            other => other,
        }
    }
}

/// What sort of value it is, in words that follow "got".
fn form_of(value: &Json) -> String {
    match value {
        Json::Null => "null".into(),
        Json::Bool(_) => "true or false".into(),
        Json::Number(number) if number.is_f64() => "a number with decimals".into(),
        Json::Number(_) => "a number".into(),
        Json::String(text) => format!("another text, of {} characters", text.chars().count()),
        Json::Array(_) => "a list".into(),
        Json::Object(_) => "an object".into(),
    }
}

fn text_of(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(is) => Some(is.to_string()),
        _ => None,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
fn integer_of(value: &Json) -> Option<i64> {
    match value {
        Json::Number(number) => number.as_i64().or_else(|| {
            let float = number.as_f64()?;
            (float.fract() == 0.0 && float.abs() <= 9_007_199_254_740_992.0).then_some(float as i64)
        }),
        Json::String(text) => text.trim().parse().ok(),
        Json::Bool(is) => Some((*is).into()),
        _ => None,
    }
}

/// A text of digits is what a number of Postgres becomes that a double does not keep, so that it goes back as it came.
fn number_of(value: &Json, dialect: Dialect) -> Option<SqlValue> {
    let number = match value {
        Json::Number(number) => number.as_i64().map(SqlValue::Integer).or_else(|| number.as_f64().map(SqlValue::Real))?,
        Json::String(text) => {
            let text = text.trim();
            match dialect {
                Dialect::Postgres if is_decimal(text) => SqlValue::Text(text.to_owned()),
                _ => SqlValue::Real(text.parse().ok().filter(|number: &f64| number.is_finite())?),
            }
        }
        _ => return None,
    };
    Some(number)
}

/// Whether a text is digits with at most one point.
fn is_decimal(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && digits.matches('.').count() <= 1
}

/// `SQLite` keeps 0 and 1, and its rows may come back so.
fn boolean_of(value: &Json) -> Option<bool> {
    match value {
        Json::Bool(is) => Some(*is),
        Json::Number(number) => match number.as_i64() {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => None,
        },
        _ => None,
    }
}

fn uuid_of(value: &Json) -> Option<String> {
    value.as_str().filter(|text| is_uuid(text)).map(str::to_lowercase)
}

fn date_of(value: &Json) -> Option<String> {
    match Moment::parse(value.as_str()?)? {
        Moment::Day(day) => Some(day.to_string()),
        Moment::Time(_) => None,
    }
}

fn datetime_of(value: &Json, dialect: Dialect) -> Option<String> {
    let Moment::Time(time) = Moment::parse(value.as_str()?)? else { return None };
    if dialect == Dialect::Postgres {
        return Some(time.to_string());
    }
    let time = time.to_zoned(TimeZone::UTC).datetime();
    let seconds = time.strftime("%Y-%m-%d %H:%M:%S").to_string();
    let micros = time.subsec_nanosecond() / 1_000;
    Some(if micros == 0 { seconds } else { format!("{seconds}.{micros:06}") })
}
