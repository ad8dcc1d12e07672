//! `data.export`: the rows of a model as a file in private storage.
//!
//! Rows come from one snapshot in chunks; each is turned into the format and written while the next one comes, so that memory does not
//! depend on how many there are. The file belongs to the task: a second attempt starts anew and takes the place of whatever the first made.

mod csv;
mod encode;
mod ndjson;
mod xlsx;

use crate::kinds::OrFail as _;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use utoipa::ToSchema;

use self::encode::Encoder;
use super::{Kind, TaskContext};
use crate::files::{FileError, NewFileWriter};
use crate::services::Services;
use legwork_engine::domain::{FieldError, FilePath, TaskFailure};
use legwork_engine::store::FileRow;
use legwork_source::{Chunk, Query, Source};

/// Chunks that wait between the database and the file.
const CHUNKS_WAITING: usize = 2;

/// Args of `data.export`: the rows to export and the format of the file.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = DataExportArgs)]
#[serde(deny_unknown_fields)]
pub struct ExportData {
    /// Name of the declared model whose rows are exported.
    #[schema(example = "user", min_length = 1)]
    pub model_name: String,
    /// Which rows: a value for a field, or an object of operators (`eq`, `ne`, `lt`, `lte`, `gt`, `gte`, `in`, `contains`, `is_null`), as in
    /// `{"age": {"gte": 18, "lt": 65}}`. All of them hold. Without any, every row.
    #[serde(default)]
    #[schema(value_type = Option<Object>, example = json!({ "status": 1 }))]
    pub filters: Option<Map<String, Value>>,
    /// Which fields, in this order; all that are declared for export by default.
    #[serde(default)]
    #[schema(example = json!(["id", "email", "first_name"]))]
    pub fields: Vec<String>,
    /// The format of the exported file.
    #[serde(default)]
    pub format: ExportFormat,
    /// Whether the file is compressed by gzip; CSV and NDJSON only.
    #[serde(default)]
    pub gzip: bool,
    /// Whether a byte order mark comes first, by which old spreadsheets know UTF-8; CSV only.
    #[serde(default)]
    pub bom: bool,
    /// Whether texts that a spreadsheet would take for a formula are disarmed by an apostrophe; CSV only.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub formula_guard: bool,
    /// The source; `app`, or the only one that is declared, by default.
    pub source: Option<String>,
}

fn yes() -> bool {
    true
}

/// The format of an export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExportFormat {
    /// Comma-separated values (RFC 4180): a header, lines ended by CRLF, an empty cell for null.
    #[default]
    Csv,
    /// A JSON object a line.
    Ndjson,
    /// A workbook of one sheet; 1,048,575 rows at most.
    Xlsx,
}

impl ExportFormat {
    fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
            Self::Xlsx => "xlsx",
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Ndjson => "application/x-ndjson",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        }
    }
}

impl Kind for ExportData {
    const NAME: &'static str = "data.export";
    const DESCRIPTION: &'static str = "Exports rows of a declared model as CSV, NDJSON or XLSX into private storage, from one snapshot, and gives a link that expires.";
    const HARD_LIMIT: Duration = Duration::from_hours(2);
    const ROUTE: Option<&'static str> = Some("/export");

    fn example() -> Value {
        json!({ "model_name": "user", "filters": { "status": 1 }, "fields": ["id", "email", "first_name"] })
    }

    fn check(&self, services: &Services) -> Vec<FieldError> {
        let mut field_errors = Vec::new();
        if self.bom && self.format != ExportFormat::Csv {
            field_errors.push(FieldError::new("/bom", "is only allowed with the format csv"));
        }
        if self.gzip && self.format == ExportFormat::Xlsx {
            field_errors.push(FieldError::new("/gzip", "is not allowed with the format xlsx, which is compressed already"));
        }
        if let Err(more) = self.query(services) {
            field_errors.extend(more);
        }
        field_errors
    }

    async fn run(self, cx: TaskContext) -> Result<Value, TaskFailure> {
        let (source, query) = self.query(&cx.services).map_err(|field_errors| {
            let messages: Vec<String> =
                field_errors.iter().map(|field_error| format!("{}: {}", field_error.pointer, field_error.detail)).collect();
            // The declaration has changed since the submission.
            TaskFailure::fail("BadArgs", messages.join("; "))
        })?;
        let expires_at = cx.clock.now().checked_add(cx.services.export_retention).ok();
        let path = self.path(&cx)?;
        let (rows, row) = if self.format == ExportFormat::Xlsx {
            let scratch = cx.files.scratch().await.map_err(FileError::failure)?;
            let rows = cx.or_cancelled(Box::pin(xlsx::write(&cx, &source, &query, &scratch))).await??;
            let kept = cx.files.publish(scratch, path, self.format.content_type(), expires_at).await;
            (rows, kept.map_err(FileError::failure)?)
        } else {
            let content_type = if self.gzip { "application/gzip" } else { self.format.content_type() };
            let writer = cx.files.create(path, content_type, expires_at).await.map_err(FileError::failure)?;
            let encoder = Encoder::new(&self, query.fields());
            let (rows, writer) = cx.or_cancelled(Box::pin(stream(&cx, &source, &query, encoder, writer))).await??;
            (rows, writer.finish().await.map_err(FileError::failure)?)
        };
        Ok(self.result(&cx, rows, &row))
    }
}

impl ExportData {
    fn query(&self, services: &Services) -> Result<(Arc<Source>, Query), Vec<FieldError>> {
        let one = |pointer: &str, detail: String| vec![FieldError::new(pointer, detail)];
        let source = services.sources.get(self.source.as_deref()).map_err(|detail| one("/source", detail))?;
        let model = source.model(&self.model_name).map_err(|detail| one("/model_name", detail))?;
        let no_filters = Map::new();
        let filters = self.filters.as_ref().unwrap_or(&no_filters);
        let query = Query::parse(model, &self.fields, filters).map_err(crate::kinds::to_field_errors)?;
        Ok((source.clone(), query))
    }

    /// The task's own, so that each attempt takes the place of the one before.
    fn path(&self, cx: &TaskContext) -> Result<FilePath, TaskFailure> {
        let end = if self.gzip { ".gz" } else { "" };
        let path = format!("exports/{}.{}{end}", cx.task, self.format.extension());
        FilePath::parse(&path).map_err(|error| TaskFailure::fail("FileRefused", error))
    }

    fn result(&self, cx: &TaskContext, rows: u64, file: &FileRow) -> Value {
        let noun = if rows == 1 { "row" } else { "rows" };
        let digits = file.sha256.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let sha256: String = digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect();
        json!({
            "success": true,
            "message": format!("exported {rows} {noun} of {}", self.model_name),
            "file_path": file.path.as_str(),
            "rows": rows,
            "bytes": file.size,
            "sha256": sha256,
            "download_url": file.expires_at.map(|at| cx.files.link(&file.path, at)),
            "expires_at": file.expires_at,
        })
    }
}

/// Reads and writes at the same time; what either fails with ends both.
async fn stream(
    cx: &TaskContext,
    source: &Source,
    query: &Query,
    encoder: Encoder,
    mut writer: NewFileWriter,
) -> Result<(u64, NewFileWriter), TaskFailure> {
    let (sender, receiver) = mpsc::channel(CHUNKS_WAITING);
    let total = AtomicU64::new(0);
    let read = async { source.copy(query, |rows| total.store(rows, Relaxed), sender).await.or_fail() };
    let (rows, ()) = tokio::try_join!(read, write(cx, &total, receiver, encoder, &mut writer))?;
    Ok((rows, writer))
}

async fn write(
    cx: &TaskContext,
    total: &AtomicU64,
    mut chunks: mpsc::Receiver<Chunk>,
    mut encoder: Encoder,
    writer: &mut NewFileWriter,
) -> Result<(), TaskFailure> {
    let mut rows = 0;
    loop {
        let chunk = chunks.recv().await;
        let is_last = chunk.is_none();
        rows += chunk.as_ref().map_or(0, |chunk| chunk.rows);
        // Off the threads that serve everybody: this is work for a processor.
        let worked = tokio::task::spawn_blocking(move || {
            let bytes = encoder.take(chunk.as_ref());
            (encoder, bytes)
        });
        let (back, bytes) = worked.await.map_err(|error| TaskFailure::fail("Panic", error))?;
        encoder = back;
        writer.write(&bytes?).await.map_err(FileError::failure)?;
        // The total was an estimate.
        cx.report_progress(rows, Some(if is_last { rows } else { total.load(Relaxed).max(rows) }), None);
        if is_last {
            return Ok(());
        }
    }
}
