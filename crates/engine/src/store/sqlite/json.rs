//! Batches as JSON arrays of arrays, the one shape in which SQLite takes many rows in one statement.

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::statement_error::StatementError;
use crate::domain::TaskId;

/// Rows to be unpacked by `jsonb_each(?1)`: the `n`th value of a row is `value ->> n`, an id in it `unhex(value ->> n)`.
#[derive(Debug)]
pub(super) struct JsonRows(Vec<u8>);

impl JsonRows {
    /// Creates a parameter without rows.
    pub(super) fn new() -> Self {
        Self(vec![b'['])
    }

    /// Starts the next row.
    pub(super) fn row(&mut self) -> JsonRow<'_> {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        self.0.push(b'[');
        JsonRow { bytes: &mut self.0, error: None, empty: true }
    }

    /// Whether no row was added.
    pub(super) fn is_empty(&self) -> bool {
        self.0.len() <= 1
    }

    /// The finished parameter, as JSON text.
    pub(super) fn text(mut self) -> Result<String, StatementError> {
        self.0.push(b']');
        String::from_utf8(self.0).map_err(|error| StatementError::BadValue(error.to_string()))
    }
}

/// One row under way.
pub(super) struct JsonRow<'a> {
    bytes: &'a mut Vec<u8>,
    error: Option<StatementError>,
    empty: bool,
}

impl JsonRow<'_> {
    /// Adds a number, a word of ours, or a null.
    pub(super) fn value(mut self, value: &impl Serialize) -> Self {
        if !std::mem::take(&mut self.empty) {
            self.bytes.push(b',');
        }
        if let Err(error) = serde_json::to_writer(&mut *self.bytes, value) {
            self.error = Some(StatementError::BadValue(error.to_string()));
        }
        self
    }

    /// Adds a text from outside, which may not hold a NUL: SQLite would keep it and cut it off in comparisons.
    pub(super) fn text(mut self, text: Option<&str>) -> Self {
        if text.is_some_and(|text| text.as_bytes().contains(&0)) {
            self.error = Some(StatementError::BadValue("a text holds a NUL character".into()));
        }
        self.value(&text)
    }

    /// Adds 16 bytes as hex.
    pub(super) fn id(self, id: Option<Uuid>) -> Self {
        self.value(&id.map(Uuid::simple).as_ref().map(ToString::to_string))
    }

    /// Adds bytes as hex.
    pub(super) fn bytes(self, bytes: &[u8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 0xf)]);
        let hex: String = bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect();
        self.value(&hex)
    }

    /// Adds a time as microseconds.
    pub(super) fn time(self, at: Option<Timestamp>) -> Self {
        self.value(&at.map(Timestamp::as_microsecond))
    }

    /// Ends the row. An error of one of its values is returned here.
    pub(super) fn end(self) -> Result<(), StatementError> {
        self.bytes.push(b']');
        self.error.map_or(Ok(()), Err)
    }
}

/// Ids as one array: `unhex(value)`.
pub(super) fn ids(ids: impl IntoIterator<Item = TaskId>) -> Result<String, StatementError> {
    texts(ids.into_iter().map(|id| id.as_uuid().simple().to_string()))
}

/// Texts as one array: `value`.
pub(super) fn texts<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Result<String, StatementError> {
    let all: Vec<String> = texts.into_iter().map(|text| text.as_ref().to_owned()).collect();
    json(&all)
}

/// Encodes a value as JSON text.
pub(super) fn json(value: &impl Serialize) -> Result<String, StatementError> {
    serde_json::to_string(value).map_err(|error| StatementError::BadValue(error.to_string()))
}
