//! A TOML document as a tree whose nodes know where they stand.

use std::fmt;

use serde_json::Value as Json;
use toml::de::{DeTable, DeValue};

use crate::fault::{Fault, Place};

/// A value, and the byte at which it begins.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) at: usize,
    pub(crate) value: Toml,
}

/// What a node is.
#[derive(Clone, Debug)]
pub(crate) enum Toml {
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    /// A TOML date or time, as written.
    Datetime(String),
    List(Vec<Node>),
    /// In the order of the file.
    Table(Vec<Entry>),
}

/// A key, the byte at which it begins, and its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_at: usize,
    pub(crate) node: Node,
}

impl Node {
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.value {
            Toml::Table(entries) => entries,
            _ => &[],
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.node)
    }

    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    pub(crate) fn items(&self) -> &[Self] {
        match &self.value {
            Toml::List(items) => items,
            _ => &[],
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Toml::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn boolean(&self) -> Option<bool> {
        match self.value {
            Toml::Boolean(is) => Some(is),
            _ => None,
        }
    }

    pub(crate) fn integer(&self) -> Option<i64> {
        match self.value {
            Toml::Integer(number) => Some(number),
            _ => None,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a setting, not a count")]
    pub(crate) fn number(&self) -> Option<f64> {
        match self.value {
            Toml::Integer(number) => Some(number as f64),
            Toml::Float(number) => Some(number),
            _ => None,
        }
    }

    /// The same as JSON. A TOML date becomes its text.
    pub(crate) fn json(&self) -> Json {
        match &self.value {
            Toml::Text(text) | Toml::Datetime(text) => text.as_str().into(),
            Toml::Integer(number) => (*number).into(),
            Toml::Float(number) => (*number).into(),
            Toml::Boolean(is) => (*is).into(),
            Toml::List(items) => items.iter().map(Self::json).collect(),
            Toml::Table(entries) => entries.iter().map(|entry| (entry.key.clone(), entry.node.json())).collect(),
        }
    }

    /// What the node is, in words that follow "got".
    pub(crate) fn described(&self) -> String {
        match &self.value {
            Toml::Text(text) if text.chars().count() <= 60 => format!("{text:?}"),
            Toml::Text(_) => "a long text".into(),
            Toml::Integer(number) => number.to_string(),
            Toml::Float(number) => number.to_string(),
            Toml::Boolean(is) => is.to_string(),
            Toml::Datetime(text) => text.clone(),
            Toml::List(_) => "a list".into(),
            Toml::Table(_) => "a table".into(),
        }
    }
}

/// The path of a field, as in `kinds."x.y".steps[0].sql`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Path(String);

impl Path {
    pub(crate) fn at(&self, key: &str) -> Self {
        let is_bare = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        let key = if is_bare { key.to_owned() } else { format!("{key:?}") };
        Self(if self.0.is_empty() { key } else { format!("{}.{key}", self.0) })
    }

    pub(crate) fn item(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A file's text, for turning bytes into lines and columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a> {
    pub(crate) label: &'a str,
    pub(crate) text: &'a str,
}

impl Text<'_> {
    pub(crate) fn place(&self, at: usize) -> Place {
        let mut at = at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        let before = &self.text[..at];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place {
            file: self.label.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    pub(crate) fn fault(&self, at: usize, field: impl fmt::Display, message: impl Into<String>) -> Fault {
        Fault { place: self.place(at), field: field.to_string(), message: message.into() }
    }
}

/// Parses a document. All syntax errors are told.
pub(crate) fn parse(text: Text<'_>) -> Result<Node, Vec<Fault>> {
    let (root, errors) = DeTable::parse_recoverable(text.text);
    if errors.is_empty() {
        return Ok(Node { at: 0, value: Toml::Table(entries_of(root.get_ref())) });
    }
    let told = errors.iter().map(|error| {
        let what = error.message().trim().replace('\n', "; ");
        text.fault(error.span().unwrap_or_default().start, "", format!("the file is not valid TOML: {what}"))
    });
    Err(told.collect())
}

fn entries_of(table: &DeTable<'_>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = table
        .iter()
        .map(|(key, item)| Entry {
            key: key.get_ref().to_string(),
            key_at: key.span().start,
            node: Node { at: item.span().start, value: value_of(item.get_ref()) },
        })
        .collect();
    entries.sort_by_key(|entry| entry.key_at);
    entries
}

fn value_of(value: &DeValue<'_>) -> Toml {
    match value {
        DeValue::String(text) => Toml::Text(text.to_string()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Toml::Integer(number),
            Err(_) => Toml::Float(number.as_str().parse().unwrap_or(f64::INFINITY)),
        },
        DeValue::Float(number) => Toml::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(is) => Toml::Boolean(*is),
        DeValue::Datetime(time) => Toml::Datetime(time.to_string()),
        DeValue::Array(items) => {
            Toml::List(items.iter().map(|item| Node { at: item.span().start, value: value_of(item.get_ref()) }).collect())
        }
        DeValue::Table(table) => Toml::Table(entries_of(table)),
    }
}
