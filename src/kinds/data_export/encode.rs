//! Chunks of rows into the bytes of a file.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::csv::CsvEncoder;
use super::ndjson::NdjsonEncoder;
use super::{ExportData, ExportFormat};
use legwork_engine::domain::TaskFailure;
use legwork_source::Chunk;
use legwork_source::model::ModelField;

/// Quick, and not much larger than what takes three times as long.
const COMPRESSION: u32 = 4;

/// Turns chunks into a format, compressed or not.
pub(super) struct Encoder {
    format: Format,
    gzip: Option<GzEncoder<Vec<u8>>>,
    has_started: bool,
}

enum Format {
    Csv(CsvEncoder),
    Ndjson(NdjsonEncoder),
}

impl Encoder {
    pub(super) fn new(args: &ExportData, fields: &[ModelField]) -> Self {
        let format = match args.format {
            ExportFormat::Ndjson => Format::Ndjson(NdjsonEncoder::new(fields)),
            ExportFormat::Csv | ExportFormat::Xlsx => Format::Csv(CsvEncoder::new(fields, args.bom, args.formula_guard)),
        };
        let gzip = args.gzip.then(|| GzEncoder::new(Vec::new(), Compression::new(COMPRESSION)));
        Self { format, gzip, has_started: false }
    }

    /// The bytes of a chunk, those of the start before the first; `None` ends the file.
    pub(super) fn take(&mut self, chunk: Option<&Chunk>) -> Result<Vec<u8>, TaskFailure> {
        let rows = chunk.map_or(&[][..], |chunk| &chunk.bytes);
        let mut bytes = Vec::with_capacity(rows.len() + rows.len() / 8 + 1_024);
        if !self.has_started {
            self.has_started = true;
            if let Format::Csv(csv) = &self.format {
                csv.start(&mut bytes);
            }
        }
        match &mut self.format {
            Format::Csv(csv) => csv.rows(rows, &mut bytes),
            Format::Ndjson(ndjson) => ndjson.rows(rows, &mut bytes),
        }
        let Some(gzip) = &mut self.gzip else { return Ok(bytes) };
        let failed = |error| TaskFailure::fail("Compression", error);
        gzip.write_all(&bytes).map_err(failed)?;
        if chunk.is_none() {
            gzip.try_finish().map_err(failed)?;
        }
        Ok(std::mem::take(gzip.get_mut()))
    }
}

#[cfg(test)]
mod tests;
