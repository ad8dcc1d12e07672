//! A JSON object a line, fields in the order of the query.

use serde_json::Value;

use legwork_source::model::{FieldType, ModelField};
use legwork_source::{Cells, json_of};

pub(super) struct NdjsonEncoder {
    /// What stands before each value: `{"id":`, then `,"email":`.
    fields: Vec<(Vec<u8>, FieldType)>,
}

impl NdjsonEncoder {
    pub(super) fn new(fields: &[ModelField]) -> Self {
        let before = |(index, field): (usize, &ModelField)| {
            let start = if index == 0 { '{' } else { ',' };
            (format!("{start}{}:", Value::from(field.name.as_str())).into_bytes(), field.kind)
        };
        Self { fields: fields.iter().enumerate().map(before).collect() }
    }

    pub(super) fn rows(&self, rows: &[u8], out: &mut Vec<u8>) {
        let mut fields = self.fields.iter();
        for cell in Cells::of(rows) {
            if let Some((before, kind)) = fields.next() {
                out.extend_from_slice(before);
                let text = cell.text();
                out.extend_from_slice(json_of(*kind, text.as_deref()).to_string().as_bytes());
            }
            if cell.is_last {
                out.extend_from_slice(b"}\n");
                fields = self.fields.iter();
            }
        }
    }
}
