//! The shapes of fields, and the check that a document has them.
//!
//! The tables of `fields` are the one list of what `pack.toml` may hold. The loader checks a document against them before it reads anything,
//! and the JSON Schema for editors is made of them, so that the two cannot differ.

use std::time::Duration;

use crate::fault::{Fault, allowed};
use crate::fields;
use crate::tree::{Entry, Node, Path, Text, Toml};
use crate::units::{Rate, parse_duration};

/// What a field may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// Any text but an empty one.
    Text,
    /// Letters, digits and underscores, beginning with a letter.
    Name,
    /// One of these texts.
    Choice(&'static [&'static str]),
    Boolean,
    Integer(i64, i64),
    /// A number in a range.
    Number(f64, f64),
    /// `"5m"`, or a number of seconds, of at least the first and at most the second.
    Duration(Duration, Duration),
    /// A rate, for example `"10/m"`.
    Rate,
    /// A TOML date and time, or a text that holds one.
    Time,
    /// Anything; texts in it are evaluated.
    Value,
    /// A table of values.
    Values,
    /// An expression without braces around it.
    Expression,
    /// A statement, or a file that ends in `.sql`.
    Sql,
    /// A table of plain values.
    Plain,
    /// Anything that is plain.
    AnyPlain,
    /// A list of texts.
    Texts,
    /// A list of integers in a range.
    Integers(i64, i64),
    /// A text or `false`.
    TextOrFalse,
    /// A table with these fields.
    Table(&'static Table),
    /// A duration, or a table with these fields.
    DurationOr(&'static Table),
    /// A plain value, or a table with these fields.
    PlainOr(&'static Table),
    /// A text, or a table with these fields.
    TextOr(&'static Table),
    /// A table of such things, by name.
    Map(&'static Self),
    /// A list of tables.
    List(&'static Table),
    /// A kind: its fields depend on its runner.
    Kind,
}

/// One field of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) required: bool,
    /// One or two sentences for editors.
    pub(crate) doc: &'static str,
}

/// The fields of a table.
#[derive(Debug)]
pub(crate) struct Table {
    /// Its name in the JSON Schema.
    pub(crate) name: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) fields: &'static [&'static [Field]],
}

impl Table {
    pub(crate) fn fields(&self) -> impl Iterator<Item = &'static Field> + Clone {
        self.fields.iter().copied().flatten()
    }
}

/// Checks a document against the shapes. Returns the faults.
pub(crate) fn check(root: &Node, text: Text<'_>) -> Vec<Fault> {
    let mut walk = Walk { text, faults: Vec::new() };
    walk.table(root, 0, &fields::ROOT, &Path::default());
    walk.faults
}

struct Walk<'a> {
    text: Text<'a>,
    faults: Vec<Fault>,
}

impl Walk<'_> {
    fn fault(&mut self, at: usize, path: &Path, message: impl Into<String>) {
        self.faults.push(self.text.fault(at, path, message));
    }

    fn table(&mut self, node: &Node, at: usize, table: &'static Table, path: &Path) {
        self.fields_of(node, at, table.fields(), path);
    }

    fn fields_of(&mut self, node: &Node, at: usize, fields: impl Iterator<Item = &'static Field> + Clone, path: &Path) {
        let Toml::Table(entries) = &node.value else {
            return self.wrong(node, path, "a table");
        };
        for Entry { key, key_at, node } in entries {
            let path = path.at(key);
            if let Some(field) = fields.clone().find(|field| field.name == key) {
                self.shape(node, *key_at, field.shape, &path);
            } else {
                let known = allowed(key, fields.clone().map(|field| field.name));
                self.fault(*key_at, &path, format!("the field {key:?} is unknown here.{known}"));
            }
        }
        for field in fields.filter(|field| field.required && node.get(field.name).is_none()) {
            self.fault(at, &path.at(field.name), format!("is missing. {}", field.doc));
        }
    }

    /// A kind has the fields that all kinds have, and those of its runner.
    fn kind(&mut self, node: &Node, at: usize, path: &Path) {
        let runner = node.get("runner").and_then(Node::text).and_then(fields::runner);
        if let Some(runner) = runner {
            return self.fields_of(node, at, fields::KIND.iter().chain(runner.fields()), path);
        }
        // The fields of an unknown runner are not known either.
        match (&node.value, node.get("runner")) {
            (Toml::Table(_), Some(runner)) => {
                self.shape(runner, runner.at, Shape::Choice(&fields::RUNNER_NAMES), &path.at("runner"));
            }
            (Toml::Table(_), None) => {
                let known = fields::RUNNER_NAMES.join(", ");
                self.fault(at, &path.at("runner"), format!("is missing. Give the runner of the kind: {known}."));
            }
            _ => self.wrong(node, path, "a table"),
        }
    }

    fn shape(&mut self, node: &Node, key_at: usize, shape: Shape, path: &Path) {
        match shape {
            Shape::Table(table) => self.table(node, key_at, table, path),
            Shape::Kind => self.kind(node, key_at, path),
            Shape::Map(of) => match &node.value {
                Toml::Table(entries) => {
                    for entry in entries {
                        self.shape(&entry.node, entry.key_at, *of, &path.at(&entry.key));
                    }
                }
                _ => self.wrong(node, path, "a table"),
            },
            Shape::List(table) => match &node.value {
                Toml::List(items) => {
                    for (index, item) in items.iter().enumerate() {
                        self.table(item, item.at, table, &path.item(index));
                    }
                }
                _ => self.wrong(node, path, "a list of tables"),
            },
            Shape::DurationOr(table) | Shape::TextOr(table) if matches!(node.value, Toml::Table(_)) => {
                self.table(node, key_at, table, path);
            }
            Shape::PlainOr(table) if matches!(node.value, Toml::Table(_)) => self.table(node, key_at, table, path),
            Shape::DurationOr(_) => self.shape(node, key_at, Shape::Duration(Duration::ZERO, Duration::MAX), path),
            scalar => {
                if let Some(what) = what_else(node, scalar) {
                    self.wrong(node, path, &what);
                }
            }
        }
    }

    fn wrong(&mut self, node: &Node, path: &Path, what: &str) {
        let got = node.described();
        let hint = match (&node.value, what) {
            (Toml::Text(text), what) if what.starts_with("one of ") => {
                let known = what.trim_start_matches("one of ").split(", ");
                crate::fault::nearest(text, known).map_or_else(String::new, |name| format!(" Did you mean {name:?}?"))
            }
            _ => String::new(),
        };
        self.fault(node.at, path, format!("must be {what}; got {got}.{hint}"));
    }
}

/// What the node would have to be, where it is not of the shape.
fn what_else(node: &Node, shape: Shape) -> Option<String> {
    let unless = |holds: bool, what: &str| (!holds).then(|| what.to_owned());
    let text = node.text();
    match shape {
        Shape::Text | Shape::TextOr(_) => unless(text.is_some_and(|text| !text.trim().is_empty()), "a text that is not empty"),
        Shape::Name => unless(text.is_some_and(is_name), "a name: a-z, 0-9 and _, beginning with a letter"),
        Shape::Choice(names) => unless(text.is_some_and(|text| names.contains(&text)), &format!("one of {}", names.join(", "))),
        Shape::Boolean => unless(node.boolean().is_some(), "true or false"),
        Shape::Integer(min, max) => {
            unless(node.integer().is_some_and(|number| (min..=max).contains(&number)), &range("a whole number", min, max))
        }
        Shape::Number(min, max) => {
            unless(node.number().is_some_and(|number| (min..=max).contains(&number)), &format!("a number from {min} to {max}"))
        }
        Shape::Duration(min, max) => duration_else(node, min, max),
        Shape::Rate => unless(text.is_some_and(|text| Rate::parse(text).is_some()), "a rate like \"10/m\": N/s, N/m, N/h or N/d"),
        Shape::Time => unless(text.is_some() || matches!(node.value, Toml::Datetime(_)), "a time like \"2026-12-24T18:00:00Z\""),
        Shape::Expression => unless(text.is_some_and(|text| !text.trim().is_empty()), "an expression like \"params.days > 0\""),
        Shape::Sql => unless(
            text.is_some_and(|text| !text.trim().is_empty()),
            "SQL: a statement, or a file of the pack that ends in .sql, like \"sql/due.sql\"",
        ),
        Shape::Values | Shape::Plain => unless(matches!(node.value, Toml::Table(_)), "a table"),
        Shape::Texts => {
            unless(matches!(&node.value, Toml::List(items) if items.iter().all(|item| item.text().is_some())), "a list of texts")
        }
        Shape::Integers(min, max) => {
            let fits = |item: &Node| item.integer().is_some_and(|number| (min..=max).contains(&number));
            let all_fit = matches!(&node.value, Toml::List(items) if !items.is_empty() && items.iter().all(fits));
            unless(all_fit, &format!("{}, each written out, as in [{min}]", range("a list of whole numbers", min, max)))
        }
        Shape::TextOrFalse => unless(
            text.is_some_and(|text| !text.trim().is_empty()) || node.boolean() == Some(false),
            "a text that is not empty, or false",
        ),
        // Any value is right, and what has parts was looked at before.
        Shape::Value
        | Shape::AnyPlain
        | Shape::PlainOr(_)
        | Shape::Table(_)
        | Shape::DurationOr(_)
        | Shape::Map(_)
        | Shape::List(_)
        | Shape::Kind => None,
    }
}

fn range(what: &str, min: i64, max: i64) -> String {
    if max == i64::MAX { format!("{what} of at least {min}") } else { format!("{what} from {min} to {max}") }
}

fn duration_else(node: &Node, min: Duration, max: Duration) -> Option<String> {
    let Some(duration) = duration_of(node) else {
        return Some("a duration like \"90s\", \"5m\", \"4m30s\", \"1h\" or \"2d\", or a number of seconds".into());
    };
    if duration < min {
        return Some(format!("a duration of at least {min:?}"));
    }
    (duration > max).then(|| format!("a duration of at most {} seconds", max.as_secs()))
}

/// The duration that a node gives.
pub(crate) fn duration_of(node: &Node) -> Option<Duration> {
    match node.text() {
        Some(text) => parse_duration(text),
        None => node.number().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
    }
}

/// a-z, 0-9 and `_`, beginning with a letter; 63 bytes at most, as names of the databases.
pub(crate) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.len() <= 63
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}
