//! A submission's body: JSON to kind, args and options, without building a tree of it.
//!
//! On the typed routes the options stand beside the args; on `POST /tasks` they stand beside `kind` and `args`. What is kept of the args is
//! their own text.

use serde_json::value::RawValue;

use super::options::{TaskOptions, whole_number};
use crate::domain::raw_object::{ObjectText, RawObject};
use crate::domain::{FieldError, parser_words};

/// So much of a bad value is told.
const MESSAGE_CHARS: usize = 100;

/// Why a body is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// It is not JSON.
    Malformed(String),
    /// It is JSON, but not what is asked for.
    Invalid(Vec<FieldError>),
}

/// A body, taken apart.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskBody {
    /// The kind, where the body names it.
    pub kind: Option<String>,
    /// The args as JSON text.
    pub args: String,
    /// The submission options of the body.
    pub options: TaskOptions,
    /// An item's own key, in a batch.
    pub idempotency_key: Option<String>,
}

impl TaskBody {
    /// Takes the body of a typed route apart: every field that is no option is an arg.
    pub fn of_typed(json: &[u8]) -> Result<Self, BodyError> {
        let fields = parse_object(json)?;
        let mut args = ObjectText::new(json.len());
        let mut options = OptionsReader::default();
        for (name, value) in &fields.0 {
            if TaskOptions::NAMES.contains(&name.as_ref()) {
                options.read(name, value);
            } else {
                args.push(name, value.get());
            }
        }
        if !options.field_errors.is_empty() {
            return Err(BodyError::Invalid(options.field_errors));
        }
        Ok(Self { kind: None, args: args.finish(), options: options.options, idempotency_key: None })
    }

    /// Takes the body of `POST /tasks` apart: `kind`, `args` and options.
    pub fn of_named(json: &[u8]) -> Result<Self, BodyError> {
        Self::of_fields(&parse_object(json)?, false)
    }

    /// Takes the body of `POST /tasks/batch` apart: `{"tasks": […]}`. Each item answers for itself.
    pub fn of_batch(json: &[u8]) -> Result<Vec<Result<Self, BodyError>>, BodyError> {
        let fields = parse_object(json)?;
        let mut items = None;
        let mut field_errors = Vec::new();
        for (name, value) in &fields.0 {
            match name.as_ref() {
                "tasks" => match serde_json::from_str::<Vec<&RawValue>>(value.get()) {
                    Ok(list) => items = Some(list),
                    Err(_) => field_errors.push(FieldError::new("/tasks", "must be a list of tasks")),
                },
                other => field_errors.push(unknown(other, "tasks")),
            }
        }
        if items.is_none() && field_errors.is_empty() {
            field_errors.push(FieldError::new("/tasks", "is missing; give a list of {\"kind\", \"args\", …}"));
        }
        match items {
            Some(items) if field_errors.is_empty() => Ok(items
                .into_iter()
                .map(|item| parse_object(item.get().as_bytes()).and_then(|fields| Self::of_fields(&fields, true)))
                .collect()),
            _ => Err(BodyError::Invalid(field_errors)),
        }
    }

    fn of_fields(fields: &RawObject<'_>, in_batch: bool) -> Result<Self, BodyError> {
        let (mut kind, mut args, mut key) = (None, None, None);
        let mut options = OptionsReader::default();
        let mut field_errors = Vec::new();
        for (name, value) in &fields.0 {
            match name.as_ref() {
                "kind" => match serde_json::from_str::<String>(value.get()) {
                    Ok(name) => kind = Some(name),
                    Err(_) => field_errors.push(FieldError::new("/kind", "must be a string")),
                },
                "args" if value.get().starts_with('{') => args = Some(value.get().to_owned()),
                "args" => field_errors.push(FieldError::new("/args", "must be an object")),
                "idempotency_key" if in_batch => match serde_json::from_str::<String>(value.get()) {
                    Ok(text) => key = Some(text),
                    Err(_) => field_errors.push(FieldError::new("/idempotency_key", "must be a string")),
                },
                name if TaskOptions::NAMES.contains(&name) => options.read(name, value),
                other => field_errors.push(unknown(other, &format!("kind, args, {}", TaskOptions::NAMES.join(", ")))),
            }
        }
        if kind.is_none() && !field_errors.iter().any(|field_error| field_error.pointer == "/kind") {
            field_errors.push(FieldError::new("/kind", "is missing; GET /api/v1/tasks/kinds lists the kinds"));
        }
        let OptionsReader { options, field_errors: more } = options;
        field_errors.extend(more);
        if !field_errors.is_empty() {
            return Err(BodyError::Invalid(field_errors));
        }
        Ok(Self { kind, args: args.unwrap_or_else(|| "{}".to_owned()), options, idempotency_key: key })
    }
}

fn unknown(name: &str, allowed: &str) -> FieldError {
    FieldError::new(format!("/{}", name.replace('~', "~0").replace('/', "~1")), format!("is unknown; allowed are {allowed}"))
}

/// Parses an object, and keeps the texts of its values.
pub fn parse_object(json: &[u8]) -> Result<RawObject<'_>, BodyError> {
    let error = match serde_json::from_slice(json) {
        Ok(fields) => return Ok(fields),
        Err(error) => error,
    };
    if json.iter().all(u8::is_ascii_whitespace) {
        return Err(BodyError::Malformed("the body is empty; a JSON object is asked for".into()));
    }
    if error.is_data() {
        return Err(BodyError::Invalid(vec![FieldError::new("", parser_words(&error))]));
    }
    Err(BodyError::Malformed(format!("the body is not JSON: {error}")))
}

/// Options, each read for itself, so that every bad one is told.
#[derive(Default)]
struct OptionsReader {
    options: TaskOptions,
    field_errors: Vec<FieldError>,
}

impl OptionsReader {
    /// Reads the option `name`, one of [`TaskOptions::NAMES`].
    fn read(&mut self, name: &str, value: &RawValue) {
        let text = value.get();
        let is_read = match name {
            "queue" => put(&mut self.options.queue, serde_json::from_str(text)),
            "priority" => put(&mut self.options.priority, whole_number(&mut serde_json::Deserializer::from_str(text))),
            "countdown" => put(&mut self.options.countdown, serde_json::from_str(text)),
            "eta" => put(&mut self.options.eta, serde_json::from_str(text)),
            "expires" => put(&mut self.options.expires, serde_json::from_str(text)),
            "max_retries" => put(&mut self.options.max_retries, whole_number(&mut serde_json::Deserializer::from_str(text))),
            "time_limit" => put(&mut self.options.time_limit, serde_json::from_str(text)),
            "soft_time_limit" => put(&mut self.options.soft_time_limit, serde_json::from_str(text)),
            _ => put(&mut self.options.callback_url, serde_json::from_str(text)),
        };
        if !is_read {
            let shortened: String = text.chars().take(MESSAGE_CHARS).collect();
            self.field_errors
                .push(FieldError::new(format!("/{name}"), format!("must be {}; got {shortened}", TaskOptions::wanted(name))));
        }
    }
}

fn put<T>(place: &mut Option<T>, read: Result<Option<T>, serde_json::Error>) -> bool {
    read.map(|value| *place = value).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typed_body_keeps_its_args_as_they_came() {
        let body = TaskBody::of_typed(br#"{"a": {"b" : [1, 2.50]}, "queue": "q", "c\n": null, "countdown": 5}"#).unwrap();
        assert_eq!(body.args, r#"{"a":{"b" : [1, 2.50]},"c\n":null}"#);
        assert_eq!(body.options.queue.as_deref(), Some("q"));
        assert_eq!(body.options.countdown, Some(5.0));
    }

    #[test]
    fn a_named_body_wants_a_kind_and_knows_its_fields() {
        let body = TaskBody::of_named(br#"{"kind":"system.echo","args":{"x":1},"expires":60}"#).unwrap();
        assert_eq!((body.kind.as_deref(), body.args.as_str()), (Some("system.echo"), r#"{"x":1}"#));
        let BodyError::Invalid(field_errors) = TaskBody::of_named(br#"{"args": [], "colour": 1, "priority": "x"}"#).unwrap_err()
        else {
            panic!("invalid")
        };
        let pointers: Vec<_> = field_errors.iter().map(|field_error| field_error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/args", "/colour", "/kind", "/priority"]);
    }

    #[test]
    fn every_option_of_a_wrong_type_is_told_with_what_is_wanted() {
        let body =
            br#"{"queue": 7, "priority": 5.5, "max_retries": 70000, "expires": [], "time_limit": "1", "eta": null, "x": 1}"#;
        let BodyError::Invalid(field_errors) = TaskBody::of_typed(body).unwrap_err() else { panic!("invalid") };
        let lines: Vec<_> =
            field_errors.iter().map(|field_error| format!("{} {}", field_error.pointer, field_error.detail)).collect();
        assert_eq!(
            lines,
            [
                "/queue must be a string; got 7",
                "/priority must be a whole number from 0 to 9; got 5.5",
                "/max_retries must be a whole number from 0 to 100; got 70000",
                "/expires must be a number of seconds from 0 to ten years, or a time (RFC 3339, with an offset); got []",
                "/time_limit must be a number of seconds above 0, up to 86400; got \"1\"",
            ]
        );
    }

    #[test]
    fn what_is_not_json_is_malformed_and_what_is_no_object_is_invalid() {
        assert!(matches!(TaskBody::of_typed(b"{"), Err(BodyError::Malformed(_))));
        assert!(matches!(TaskBody::of_typed(b""), Err(BodyError::Malformed(_))));
        assert!(matches!(TaskBody::of_typed(b"[1]"), Err(BodyError::Invalid(_))));
        assert!(matches!(TaskBody::of_typed(br#"{"a":1,"a":2}"#), Err(BodyError::Invalid(_))));
    }

    #[test]
    fn each_item_of_a_batch_answers_for_itself() {
        let items = TaskBody::of_batch(br#"{"tasks":[{"kind":"a","idempotency_key":"k"},{"args":{}},7]}"#).unwrap();
        assert_eq!(items[0].as_ref().unwrap().idempotency_key.as_deref(), Some("k"));
        assert!(items[1].is_err() && items[2].is_err());
        assert!(matches!(TaskBody::of_batch(br#"{"items":[]}"#), Err(BodyError::Invalid(_))));
    }
}
