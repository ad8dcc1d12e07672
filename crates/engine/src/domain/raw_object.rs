//! JSON objects whose values stay as they came: big integers, decimals and the order of fields are not altered on the way.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// The fields of an object, in order, their values unparsed. A field that is given twice is an error.
#[derive(Debug)]
pub struct RawObject<'a>(pub Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for RawObject<'de> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;

        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = RawObject<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::with_capacity(8);
                while let Some(Name(name)) = map.next_key()? {
                    if fields.iter().any(|(known, _)| *known == name) {
                        return Err(serde::de::Error::custom(format!("the field {name:?} is given twice")));
                    }
                    fields.push((name, map.next_value()?));
                }
                Ok(RawObject(fields))
            }
        }

        input.deserialize_map(FieldsVisitor)
    }
}

/// A key, borrowed where it holds no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct NameVisitor;

        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }

        input.deserialize_str(NameVisitor)
    }
}

/// An object that is written from the texts of its values.
pub struct ObjectText(String);

impl ObjectText {
    /// An object without fields, with room for so many bytes.
    pub fn new(capacity: usize) -> Self {
        Self(String::with_capacity(capacity))
    }

    /// Adds a field; `value` is JSON.
    pub fn push(&mut self, name: &str, value: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        self.0.push_str(&Value::from(name).to_string());
        self.0.push(':');
        self.0.push_str(value);
    }

    /// The object as JSON.
    pub fn finish(mut self) -> String {
        self.0.push_str(if self.0.is_empty() { "{}" } else { "}" });
        self.0
    }
}

/// The text of the value that a JSON Pointer leads to.
pub fn value_at<'a>(text: &'a str, pointer: &str) -> Option<&'a str> {
    names(pointer).iter().try_fold(text, |text, name| {
        if let Ok(RawObject(fields)) = serde_json::from_str(text) {
            return fields.into_iter().find(|(known, _)| known == name).map(|(_, value)| value.get());
        }
        let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
        items.get(name.parse::<usize>().ok()?).map(|item| item.get())
    })
}

/// The text with another value where a JSON Pointer leads to one. All else stays as it is, as far as the way leads through objects only.
pub fn with_value_at(text: &str, pointer: &str, value: &str) -> String {
    if let Some(replaced) = replaced(text, &names(pointer), value) {
        return replaced;
    }
    let (Ok(mut tree), Ok(value)) = (serde_json::from_str::<Value>(text), serde_json::from_str(value)) else {
        return text.to_owned();
    };
    match tree.pointer_mut(pointer) {
        Some(place) => *place = value,
        None => return text.to_owned(),
    }
    tree.to_string()
}

fn replaced(text: &str, names: &[String], value: &str) -> Option<String> {
    let Some((first, rest)) = names.split_first() else { return Some(value.to_owned()) };
    let RawObject(fields) = serde_json::from_str(text).ok()?;
    if fields.iter().all(|(name, _)| name != first) {
        return None;
    }
    let mut object = ObjectText::new(text.len() + value.len());
    for (name, old) in &fields {
        if name == first {
            object.push(name, &replaced(old.get(), rest, value)?);
        } else {
            object.push(name, old.get());
        }
    }
    Some(object.finish())
}

/// The names of a JSON Pointer.
fn names(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(|name| name.replace("~1", "/").replace("~0", "~")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_is_replaced_and_the_others_stay_as_they_were_written() {
        let text = r#"{"z":123456789012345678901234567890,"headers":{"b":1.10,"a":[1, 2]},"a":1e2}"#;
        assert_eq!(value_at(text, "/headers/a"), Some("[1, 2]"));
        assert_eq!(value_at(text, "/headers/c"), None);
        let masked = with_value_at(text, "/headers/a", "\"x\"");
        assert_eq!(masked, r#"{"z":123456789012345678901234567890,"headers":{"b":1.10,"a":"x"},"a":1e2}"#);
        assert_eq!(with_value_at(text, "/none", "1"), text);
        // A way through a list, and a field that is given twice, cost the form and not the secret.
        assert_eq!(with_value_at(r#"{"l":[{"s":1}]}"#, "/l/0/s", "2"), r#"{"l":[{"s":2}]}"#);
        assert_eq!(with_value_at(r#"{"s":1,"s":3}"#, "/s", "2"), r#"{"s":2}"#);
    }
}
