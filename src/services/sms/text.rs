//! Messages with places for what is each recipient's own: `Hello {{ name }}, order {{ order.id }} is ready.`
//!
//! No template engine: who submits a message may be anybody, and the only thing that a short text needs is a value put in its place.

use serde_json::{Map, Value};

/// A message with places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageText(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Given(String),
    Place(String),
}

impl MessageText {
    /// A text that is sent as it is.
    pub fn given(text: &str) -> Self {
        Self(vec![Part::Given(text.to_owned())])
    }

    /// A text with places; the error is for the user.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((before, behind)) = rest.split_once("{{") {
            let (name, behind) = behind.split_once("}}").ok_or("has a {{ without its }}")?;
            let name = name.trim();
            let is_name = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if !name.split('.').all(is_name) {
                let shortened: String = name.chars().take(50).collect();
                return Err(format!(
                    "has the place {shortened:?}; allowed is a name of the context, as in {{{{ name }}}} or {{{{ order.id }}}}"
                ));
            }
            parts.extend([Part::Given(before.to_owned()), Part::Place(name.to_owned())]);
            rest = behind;
        }
        parts.push(Part::Given(rest.to_owned()));
        Ok(Self(parts))
    }

    /// Whether anything is to be put into it.
    pub fn has_places(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Place(_)))
    }

    /// The message where `own` goes over `common`. The error names what is missing.
    pub fn fill(&self, common: &Map<String, Value>, own: &Map<String, Value>) -> Result<String, String> {
        let mut text = String::new();
        for part in &self.0 {
            let name = match part {
                Part::Given(given) => {
                    text.push_str(given);
                    continue;
                }
                Part::Place(name) => name,
            };
            let mut words = name.split('.');
            let first = words.next().unwrap_or_default();
            let top = own.get(first).or_else(|| common.get(first));
            match words.try_fold(top, |value, word| Some(value?.get(word))).flatten() {
                Some(Value::String(value)) => text.push_str(value),
                Some(value @ (Value::Number(_) | Value::Bool(_))) => text.push_str(&value.to_string()),
                Some(_) => return Err(format!("the message needs {name} as a text or a number")),
                None => return Err(format!("the message needs {name}, which the context does not give")),
            }
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filled(text: &str, own: Value) -> Result<String, String> {
        let Value::Object(own) = own else { panic!("an object") };
        let Value::Object(common) = json!({ "farm": "Akosombo", "name": "farmer" }) else { panic!("an object") };
        MessageText::parse(text)?.fill(&common, &own)
    }

    #[test]
    fn a_place_takes_what_is_the_recipients_own_before_what_is_common() {
        let text = "Hello {{ name }}, {{order.count}} birds for {{ farm }}: {{ order.paid }}.";
        let own = json!({ "name": "Ama {{ farm }}", "order": { "count": 12, "paid": true } });
        assert_eq!(filled(text, own), Ok("Hello Ama {{ farm }}, 12 birds for Akosombo: true.".into()));
        assert_eq!(filled("{{ name }}", json!({})), Ok("farmer".into()));
    }

    #[test]
    fn what_cannot_be_filled_is_named() {
        for (text, why) in [
            ("{{ code }}", "needs code, which"),
            ("{{ order.id }}", "needs order.id as a text"),
            ("{{ order }}", "needs order as a text"),
            ("{{ order.more.less }}", "needs order.more.less, which"),
            ("{{ name", "without its }}"),
            ("{{ name | upper }}", "has the place \"name | upper\""),
            ("{{ }}", "has the place \"\""),
            ("{{ a..b }}", "has the place"),
        ] {
            let said = filled(text, json!({ "order": { "id": null } })).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
        let given = MessageText::given("{{ as it is }}").fill(&Map::new(), &Map::new());
        assert_eq!(given, Ok("{{ as it is }}".into()));
    }
}
