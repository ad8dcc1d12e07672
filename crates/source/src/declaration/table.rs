//! The entries of one table of the declaration, taken one at a time; what nobody takes is unknown.

use std::fmt;

use serde_json::Value;
use toml::de::DeValue;

use super::{Item, Key, Reader, Table};

/// Where in the declaration we are, as in `sources.app.models.user`.
#[derive(Clone)]
pub(super) struct DeclarationPath(String);

impl DeclarationPath {
    pub(super) fn root() -> Self {
        Self(String::new())
    }

    pub(super) fn at(&self, name: &str) -> Self {
        Self(if self.0.is_empty() { name.to_owned() } else { format!("{}.{name}", self.0) })
    }
}

impl fmt::Display for DeclarationPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The known entries of a table.
pub(super) struct Entries<'t, 'a> {
    table: &'t Table<'a>,
    place: DeclarationPath,
}

impl<'a> Reader<'a> {
    /// The entries of the whole file.
    pub(super) fn entries<'t>(
        &mut self,
        table: &'t Table<'a>,
        place: &DeclarationPath,
        known: &[&str],
        required: &[&str],
    ) -> Entries<'t, 'a> {
        self.entries_at(table, place, 0, known, required)
    }

    /// The entries of a table that starts at `at`: unknown and missing ones are mistakes.
    pub(super) fn entries_at<'t>(
        &mut self,
        table: &'t Table<'a>,
        place: &DeclarationPath,
        at: usize,
        known: &[&str],
        required: &[&str],
    ) -> Entries<'t, 'a> {
        for key in table.keys() {
            if !known.contains(&key.get_ref().as_ref()) {
                let place = place.at(key.get_ref());
                self.wrong(key.span().start, format!("{place}: is unknown; allowed are {}", known.join(", ")));
            }
        }
        for name in required {
            if !table.contains_key(*name) {
                self.wrong(at, format!("{}: is missing", place.at(name)));
            }
        }
        Entries { table, place: place.clone() }
    }

    /// Names and texts of a table.
    pub(super) fn texts_of(
        &mut self,
        item: Option<(&Key<'a>, &Item<'a>)>,
        place: &DeclarationPath,
    ) -> Vec<(String, (String, usize))> {
        let Some((_, item)) = item else { return Vec::new() };
        let DeValue::Table(table) = item.get_ref() else {
            self.wrong(item.span().start, format!("{place}: is not a table of name = \"field\""));
            return Vec::new();
        };
        let mut found = Vec::new();
        for (name, item) in table {
            match item.get_ref() {
                DeValue::String(text) => found.push((name.get_ref().to_string(), (text.to_string(), item.span().start))),
                other => {
                    self.wrong(item.span().start, format!("{}: is {}, not a text", place.at(name.get_ref()), other.type_str()));
                }
            }
        }
        found
    }
}

impl<'t, 'a> Entries<'t, 'a> {
    /// An entry as it is.
    pub(super) fn take(&self, name: &str) -> Option<(&'t Key<'a>, &'t Item<'a>)> {
        self.table.get_key_value(name)
    }

    /// A text, and where it is.
    pub(super) fn text(&mut self, name: &str, reader: &mut Reader<'a>) -> Option<(String, usize)> {
        let (_, item) = self.take(name)?;
        let at = item.span().start;
        match item.get_ref() {
            DeValue::String(text) => Some((text.to_string(), at)),
            other => {
                reader.wrong(at, format!("{}: is {}, not a text", self.place.at(name), other.type_str()));
                None
            }
        }
    }

    /// A list of texts, each with where it is.
    pub(super) fn texts(&mut self, name: &str, reader: &mut Reader<'a>) -> Option<Vec<(String, usize)>> {
        let (_, item) = self.take(name)?;
        let DeValue::Array(items) = item.get_ref() else {
            reader.wrong(item.span().start, format!("{}: is not a list of texts", self.place.at(name)));
            return None;
        };
        let mut found = Vec::new();
        for item in items {
            match item.get_ref() {
                DeValue::String(text) => found.push((text.to_string(), item.span().start)),
                other => reader
                    .wrong(item.span().start, format!("{}: holds {}, not only texts", self.place.at(name), other.type_str())),
            }
        }
        Some(found)
    }

    /// Takes a boolean entry. `None` if it is absent, or is not a boolean, which is reported.
    pub(super) fn switch(&mut self, name: &str, reader: &mut Reader<'a>) -> Option<bool> {
        let (_, item) = self.take(name)?;
        let found = item.get_ref().as_bool();
        if found.is_none() {
            reader.wrong(item.span().start, format!("{}: must be true or false", self.place.at(name)));
        }
        found
    }

    /// The tables of a table, in the order of the file.
    pub(super) fn tables(&mut self, name: &str, reader: &mut Reader<'a>) -> Vec<(&'t Key<'a>, &'t Table<'a>)> {
        let Some((_, item)) = self.take(name) else { return Vec::new() };
        let DeValue::Table(table) = item.get_ref() else {
            reader.wrong(item.span().start, format!("{}: is not a table", self.place.at(name)));
            return Vec::new();
        };
        let mut found = Vec::new();
        for (key, item) in table {
            match item.get_ref() {
                DeValue::Table(table) => found.push((key, table)),
                _ => reader.wrong(item.span().start, format!("{}: is not a table", self.place.at(name).at(key.get_ref()))),
            }
        }
        found.sort_by_key(|(key, _)| key.span().start);
        found
    }
}

/// A plain value as JSON.
pub(super) fn json_of(value: &DeValue<'_>) -> Option<Value> {
    match value {
        DeValue::String(text) => Some(text.as_ref().into()),
        DeValue::Boolean(is) => Some((*is).into()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok().map(Value::from),
        DeValue::Float(number) => number.as_str().parse::<f64>().ok().map(Value::from),
        _ => None,
    }
}
