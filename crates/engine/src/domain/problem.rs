//! What is wrong with a field of what a user sent.

use serde::{Deserialize, Serialize};
use serde_path_to_error::Segment;

/// One bad field. It names the field, what came, and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FieldError {
    /// A JSON Pointer (RFC 6901) into the body, or the name of a query parameter or header.
    #[schema(example = "/recipient_email")]
    pub pointer: String,
    /// What is wrong, and what is allowed.
    #[schema(example = "\"nobody\" is not an e-mail address: it has no '@'")]
    pub detail: String,
}

impl FieldError {
    /// What a parser that tracks its path found.
    pub fn of_parser(error: &serde_path_to_error::Error<serde_json::Error>) -> Self {
        let mut pointer = String::new();
        for segment in error.path() {
            match segment {
                Segment::Seq { index } => pointer.extend(["/", &index.to_string()]),
                Segment::Map { key } => pointer = pointer_to(&pointer, key),
                Segment::Enum { variant } => pointer = pointer_to(&pointer, variant),
                Segment::Unknown => {}
            }
        }
        let words = parser_words(error.inner());
        let quoted = |rest: &str| rest.split_once('`').map(|(name, rest)| (name.to_owned(), rest.to_owned()));
        if let Some((name, _)) = words.strip_prefix("missing field `").and_then(quoted) {
            return Self::missing(&pointer, &name);
        }
        if let Some((name, rest)) = words.strip_prefix("unknown field `").and_then(quoted) {
            // The parser names the fields that there are in back quotes.
            let allowed: Vec<&str> = rest.split('`').skip(1).step_by(2).collect();
            let at = pointer_to("", &name);
            return Self::unknown(pointer.strip_suffix(&at).unwrap_or(&pointer), &name, &allowed);
        }
        Self::new(pointer, words)
    }

    /// A field of the object at `parent` that is not there.
    pub fn missing(parent: &str, name: &str) -> Self {
        Self::new(pointer_to(parent, name), "is missing")
    }

    /// A field of the object at `parent` that nobody knows; `allowed` are those that there are, where they are known.
    pub fn unknown(parent: &str, name: &str, allowed: &[&str]) -> Self {
        let detail =
            if allowed.is_empty() { "is unknown".into() } else { format!("is unknown; allowed are {}", allowed.join(", ")) };
        Self::new(pointer_to(parent, name), detail)
    }

    /// An error at the field `name` of the object at `parent`.
    pub fn within(parent: &str, name: &str, detail: impl Into<String>) -> Self {
        Self::new(pointer_to(parent, name), detail)
    }

    /// An error at `pointer` (as in `/recipient_email`).
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: shortened(pointer.into(), MOST_POINTER_CHARS), detail: shortened(detail.into(), MOST_DETAIL_CHARS) }
    }
}

/// What came may be megabytes: an answer shows its start and its end.
const MOST_DETAIL_CHARS: usize = 1_000;
const MOST_POINTER_CHARS: usize = 300;

fn shortened(text: String, most: usize) -> String {
    // A character has a byte at least.
    if text.len() <= most || text.chars().count() <= most {
        return text;
    }
    let (first, last) = (most * 3 / 4, most / 4);
    let end = text.char_indices().rev().nth(last.saturating_sub(1)).map_or(0, |(at, _)| at);
    let start: String = text.chars().take(first).collect();
    format!("{start} … {}", &text[end..])
}

/// The pointer to the field `name` of the object at `parent`.
fn pointer_to(parent: &str, name: &str) -> String {
    format!("{parent}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// A parser's words without its line and column: they are those of a part of the body, or of none.
pub fn parser_words(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    in_plain_words(text.strip_suffix(&place).unwrap_or(&text))
}

/// Without the names of Rust's types.
fn in_plain_words(text: &str) -> String {
    if text.starts_with("data did not match any variant of untagged enum") {
        return "is none of the forms that are allowed here".to_owned();
    }
    let Some((found, wanted)) = text.rsplit_once("expected ") else { return text.to_owned() };
    let whole = |from: String, to: String| format!("expected a whole number from {from} to {to}");
    let wanted = match wanted {
        "u8" => whole(u8::MIN.to_string(), u8::MAX.to_string()),
        "u16" => whole(u16::MIN.to_string(), u16::MAX.to_string()),
        "u32" => whole(u32::MIN.to_string(), u32::MAX.to_string()),
        "i32" => whole(i32::MIN.to_string(), i32::MAX.to_string()),
        "u64" | "usize" => "expected a whole number of at least 0".to_owned(),
        "i64" => "expected a whole number".to_owned(),
        "f64" => "expected a number".to_owned(),
        other if other.starts_with("struct ") => "expected an object".to_owned(),
        other => format!("expected {other}"),
    };
    format!("{found}{wanted}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "it is parsed only")]
    struct Letter {
        to: Vec<u8>,
        #[serde(default)]
        copy: Option<Box<Letter>>,
    }

    fn field_error(json: &str) -> (String, String) {
        let mut input = serde_json::Deserializer::from_str(json);
        let error = serde_path_to_error::deserialize::<_, Letter>(&mut input).unwrap_err();
        let field_error = FieldError::of_parser(&error);
        (field_error.pointer, field_error.detail)
    }

    #[test]
    fn what_came_is_shown_in_short() {
        let long = format!("\"{}ö\" is too long", "ä".repeat(5_000));
        let shortened = FieldError::new(format!("/{}", "x".repeat(500)), long);
        assert!(shortened.detail.starts_with("\"ää") && shortened.detail.ends_with("äö\" is too long"), "{}", shortened.detail);
        assert_eq!((shortened.detail.chars().count(), shortened.pointer.chars().count()), (1_003, 303));
        assert_eq!(FieldError::new("/x", "ä".repeat(1_000)).detail.chars().count(), 1_000);
    }

    #[test]
    fn no_type_of_ours_is_named() {
        assert_eq!(field_error("5"), (String::new(), "invalid type: integer `5`, expected an object".into()));
        assert_eq!(
            in_plain_words("data did not match any variant of untagged enum RowKey"),
            "is none of the forms that are allowed here"
        );
    }

    #[test]
    fn a_parsers_error_points_at_the_field_without_a_place_in_the_text() {
        assert_eq!(field_error("{}"), ("/to".into(), "is missing".into()));
        assert_eq!(field_error(r#"{"to":[],"copy":{}}"#), ("/copy/to".into(), "is missing".into()));
        assert_eq!(field_error(r#"{"to":[1,"x"]}"#).0, "/to/1");
        assert_eq!(field_error(r#"{"to":[1,"x"]}"#).1, "invalid type: string \"x\", expected a whole number from 0 to 255");
        assert_eq!(
            field_error(r#"{"to":[],"copy":{"a/b":1}}"#),
            ("/copy/a~1b".into(), "is unknown; allowed are to, copy".into())
        );
    }
}
