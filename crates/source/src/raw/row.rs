//! The rows of statements as JSON.

use serde_json::value::RawValue;
use serde_json::{Map, Value};
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Column as _, Row as _, TypeInfo as _, ValueRef as _};

use crate::Row;

/// Significant digits that every double keeps.
const SAFE_DIGITS: usize = 15;

/// A row that came as one JSON text.
pub(super) fn of_postgres(row: &PgRow) -> Result<Row, sqlx::Error> {
    row_of(&row.try_get::<String, _>(0)?).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// A row without loss: a number that a double does not keep becomes the text of its digits.
fn row_of(text: &str) -> Result<Row, serde_json::Error> {
    // Only long runs of digits can lose any, and they are rare.
    let has_long_number = text.split(|c: char| !c.is_ascii_digit() && c != '.').any(|run| run.len() > SAFE_DIGITS);
    if !has_long_number {
        return serde_json::from_str(text);
    }
    match exact(serde_json::from_str(text)?)? {
        Value::Object(row) => Ok(row),
        _ => serde_json::from_str(text),
    }
}

fn exact(raw: &RawValue) -> Result<Value, serde_json::Error> {
    let text = raw.get().trim();
    Ok(match text.as_bytes().first() {
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text)?;
            items.into_iter().map(exact).collect::<Result<_, _>>()?
        }
        Some(b'{') => {
            let fields: Fields<'_> = serde_json::from_str(text)?;
            fields.0.into_iter().map(|(name, value)| Ok((name, exact(value)?))).collect::<Result<Map<_, _>, _>>()?.into()
        }
        Some(b'-' | b'0'..=b'9') => number(text),
        _ => serde_json::from_str(text)?,
    })
}

/// The number where it keeps all of its digits, else their text.
fn number(text: &str) -> Value {
    let whole = text.parse::<i64>().map(Value::from).or_else(|_| text.parse::<u64>().map(Value::from));
    whole.unwrap_or_else(|_| {
        let float = text.parse::<f64>().ok().filter(|float| decimal(&float.to_string()) == decimal(text));
        float.and_then(serde_json::Number::from_f64).map_or_else(|| text.into(), Value::Number)
    })
}

/// The sign, the significant digits and the power of ten of the last one.
fn decimal(text: &str) -> Option<(bool, String, i64)> {
    let (mantissa, power) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (sign, digits) = mantissa.strip_prefix('-').map_or((false, mantissa), |digits| (true, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_end_matches('0');
    let dropped = i64::try_from(digits.len() - significant.len()).ok()?;
    let power = power.parse::<i64>().ok()? - i64::try_from(fraction.len()).ok()? + dropped;
    let significant = significant.trim_start_matches('0');
    Some((sign, significant.to_owned(), if significant.is_empty() { 0 } else { power }))
}

/// The fields of an object, in order.
struct Fields<'t>(Vec<(String, &'t RawValue)>);

impl<'de> serde::Deserialize<'de> for Fields<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// A row by the types that its values have; columns that were declared as `BOOLEAN` hold true and false.
pub(super) fn of_sqlite(row: &SqliteRow) -> Result<Row, sqlx::Error> {
    let mut object = Row::new();
    for (index, column) in row.columns().iter().enumerate() {
        let kind = row.try_get_raw(index)?.type_info().name().to_owned();
        let is_null = row.try_get_raw(index)?.is_null();
        let is_boolean = column.type_info().name().eq_ignore_ascii_case("BOOLEAN");
        let value = match kind.as_str() {
            _ if is_null => Value::Null,
            "BOOLEAN" => row.try_get_unchecked::<i64, _>(index).map(|number| Value::Bool(number != 0))?,
            "INTEGER" if is_boolean => row.try_get_unchecked::<i64, _>(index).map(|number| Value::Bool(number != 0))?,
            "INTEGER" => row.try_get_unchecked::<i64, _>(index)?.into(),
            "REAL" => row.try_get_unchecked::<f64, _>(index)?.into(),
            "BLOB" => {
                row.try_get_unchecked::<Vec<u8>, _>(index).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())?.into()
            }
            _ => row.try_get_unchecked::<String, _>(index)?.into(),
        };
        object.insert(column.name().to_owned(), value);
    }
    Ok(object)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_lose_no_digits() {
        for (text, value) in [
            ("0.1", json!(0.1)),
            ("120.50", json!(120.5)),
            ("9007199254740993", json!(9_007_199_254_740_993_i64)),
            ("18446744073709551615", json!(u64::MAX)),
            ("12345678901234567890123", json!("12345678901234567890123")),
            ("0.12345678901234567890", json!("0.12345678901234567890")),
            ("-123456789012345678.90", json!("-123456789012345678.90")),
            ("1.00000000000000000000", json!(1.0)),
            ("0.00000000000000000000", json!(0.0)),
            ("1e+20", json!(1e20)),
            ("100000000000000000000", json!(1e20)),
        ] {
            assert_eq!(number(text), value, "{text}");
        }
        let endless = format!("1{}", "0".repeat(400));
        assert_eq!(number(&endless), json!(endless), "larger than any double");
    }

    #[test]
    fn a_row_keeps_the_order_and_the_depth_of_its_values() {
        let row =
            row_of(r#"{"z":12345678901234567890123,"a":[1,{"n":0.12345678901234567890}],"t":"12345678901234567890","x":null}"#);
        let expected =
            r#"{"z":"12345678901234567890123","a":[1,{"n":"0.12345678901234567890"}],"t":"12345678901234567890","x":null}"#;
        assert_eq!(row.unwrap(), serde_json::from_str::<Row>(expected).unwrap());
    }
}
