//! Rows on their way: CSV as Postgres's `COPY` writes it (line feeds, an empty cell is null, `""` is an empty text), from either
//! database, and cells as JSON.

use std::borrow::Cow;

use memchr::{memchr, memchr2, memchr2_iter};
use serde_json::{Number, Value};

use super::query::{moment, written};
use crate::model::FieldType;

/// Whole rows as CSV.
#[derive(Clone, Debug, Default)]
pub struct Chunk {
    /// The rows, each ended by a line feed.
    pub bytes: Vec<u8>,
    /// Number of rows in `bytes`.
    pub rows: u64,
}

impl Chunk {
    /// Iterates over the cells of all rows in the chunk, row by row.
    pub fn cells(&self) -> Cells<'_> {
        Cells { bytes: &self.bytes }
    }
}

/// Collects pieces that may end anywhere into chunks of whole rows.
#[derive(Debug, Default)]
pub(super) struct Collector {
    bytes: Vec<u8>,
    /// Up to where the rows were counted.
    seen: usize,
    /// Up to where they are whole.
    whole: usize,
    rows: u64,
    in_quotes: bool,
}

impl Collector {
    pub(super) fn push(&mut self, piece: &[u8]) {
        self.bytes.extend_from_slice(piece);
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The whole rows so far.
    pub(super) fn take(&mut self, room: usize) -> Chunk {
        for at in memchr2_iter(b'"', b'\n', &self.bytes[self.seen..]) {
            let at = self.seen + at;
            if self.bytes[at] == b'"' {
                self.in_quotes = !self.in_quotes;
            } else if !self.in_quotes {
                self.rows += 1;
                self.whole = at + 1;
            }
        }
        let mut rest = Vec::with_capacity(room);
        rest.extend_from_slice(&self.bytes[self.whole..]);
        let mut bytes = std::mem::replace(&mut self.bytes, rest);
        bytes.truncate(self.whole);
        self.seen = self.bytes.len();
        self.whole = 0;
        Chunk { bytes, rows: std::mem::take(&mut self.rows) }
    }
}

/// Writes one cell as `COPY` does.
pub(super) fn write_cell(out: &mut Vec<u8>, text: Option<&str>) {
    let Some(text) = text else { return };
    let is_plain = !text.is_empty() && !text.bytes().any(|byte| matches!(byte, b'"' | b',' | b'\n' | b'\r'));
    if is_plain {
        return out.extend_from_slice(text.as_bytes());
    }
    out.push(b'"');
    out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
    out.push(b'"');
}

/// The value of one field in one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell<'a> {
    /// As it is written, quotes included.
    pub raw: &'a [u8],
    /// Whether it is the last of its row.
    pub is_last: bool,
}

impl<'a> Cell<'a> {
    /// Whether it is written in quotes.
    pub fn is_quoted(&self) -> bool {
        self.raw.first() == Some(&b'"')
    }

    /// What it holds; `None` is null.
    pub fn text(&self) -> Option<Cow<'a, str>> {
        if !self.is_quoted() {
            return (!self.raw.is_empty()).then(|| String::from_utf8_lossy(self.raw));
        }
        let inner = String::from_utf8_lossy(self.raw.get(1..self.raw.len().saturating_sub(1)).unwrap_or_default());
        Some(if inner.contains('"') { inner.replace("\"\"", "\"").into() } else { inner })
    }
}

/// The cells of whole rows, one after another.
#[derive(Clone, Debug)]
pub struct Cells<'a> {
    bytes: &'a [u8],
}

impl<'a> Cells<'a> {
    /// The cells of `bytes`, which holds whole rows.
    pub fn of(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }
}

impl<'a> Iterator for Cells<'a> {
    type Item = Cell<'a>;

    #[inline]
    fn next(&mut self) -> Option<Cell<'a>> {
        let first = *self.bytes.first()?;
        let end = if first == b'"' { end_of_quoted(self.bytes) } else { memchr2(b',', b'\n', self.bytes) };
        let end = end.unwrap_or(self.bytes.len());
        let is_last = self.bytes.get(end).is_none_or(|&byte| byte == b'\n');
        let raw = &self.bytes[..end];
        self.bytes = self.bytes.get(end + 1..).unwrap_or_default();
        Some(Cell { raw, is_last })
    }
}

/// Where the cell ends that starts with a quote.
fn end_of_quoted(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        at += memchr(b'"', bytes.get(at..)?)? + 1;
        if bytes.get(at) != Some(&b'"') {
            return Some(at);
        }
        at += 1;
    }
}

/// A cell as JSON: times in RFC 3339 in UTC, JSON as it is. What does not fit its type is given as text.
pub fn json_of(kind: FieldType, text: Option<&str>) -> Value {
    let Some(text) = text else { return Value::Null };
    let parsed = match kind {
        FieldType::Integer => text.parse::<i64>().ok().map(Value::from),
        FieldType::Number => number_of(text),
        FieldType::Boolean => match text {
            "true" | "t" | "1" => Some(true.into()),
            "false" | "f" | "0" => Some(false.into()),
            _ => None,
        },
        FieldType::Timestamp => time_of(text).map(|at| at.to_string().into()),
        FieldType::Json => serde_json::from_str(text).ok(),
        FieldType::Text | FieldType::Date | FieldType::Uuid => None,
    };
    parsed.unwrap_or_else(|| text.into())
}

/// Where the database says that a number is none, there is none.
fn number_of(text: &str) -> Option<Value> {
    if let Ok(whole) = text.parse::<i64>() {
        return Some(whole.into());
    }
    let number = text.parse::<f64>().ok()?;
    Some(Number::from_f64(number).map_or(Value::Null, Value::Number))
}

/// A time as Postgres writes it, `2026-01-31 12:00:00.5+00`, or `SQLite`.
pub fn time_of(text: &str) -> Option<jiff::Timestamp> {
    moment(text)
}

/// A time as it is written into a `SQLite` file: `2026-01-31 12:00:00`, in UTC.
pub(super) fn sqlite_time(at: jiff::Timestamp) -> String {
    written(at, 6)
}

#[cfg(test)]
mod tests;
