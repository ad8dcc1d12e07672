//! A workbook, written row by row: what is not yet compressed is in a file without a name beside the one that is made.

use crate::kinds::OrFail as _;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use rust_xlsxwriter::{Format, Workbook, Worksheet, XlsxError};
use tokio::sync::mpsc;

use crate::files::ScratchFile;
use crate::kinds::TaskContext;
use legwork_engine::domain::TaskFailure;
use legwork_source::model::{FieldType, ModelField};
use legwork_source::{Chunk, Query, Source, time_of};

/// Rows of a sheet, the header included; the format has no more.
const MOST_ROWS: u32 = 1_048_576;
/// Whole numbers beyond this have no exact cell, which holds a double.
const MOST_EXACT: i64 = 1 << 53;
const CHUNKS_WAITING: usize = 2;
/// Between the first day that a cell counts from and 1970.
const DAYS_BEFORE_1970: f64 = 25_569.0;
const SECONDS_A_DAY: f64 = 86_400.0;

/// What the writing thread is told.
enum Step {
    Rows(Chunk),
    /// There are no more: save it.
    Save,
}

/// Writes a query's rows into `scratch` and returns how many.
pub(super) async fn write(cx: &TaskContext, source: &Source, query: &Query, scratch: &ScratchFile) -> Result<u64, TaskFailure> {
    let (steps, todo) = mpsc::channel(CHUNKS_WAITING);
    let (fields, path) = (query.fields().to_vec(), scratch.path().to_owned());
    // Ends by itself without a trace when nobody tells it to save any more.
    let mut writing = tokio::task::spawn_blocking(move || work(&fields, &path, todo));
    let (sender, mut chunks) = mpsc::channel(CHUNKS_WAITING);
    let total = AtomicU64::new(0);
    let read = async { source.copy(query, |rows| total.store(rows, Relaxed), sender).await.or_fail() };
    let passed = async {
        let mut rows = 0;
        while let Some(chunk) = chunks.recv().await {
            rows += chunk.rows;
            // A writer that has failed says why below.
            if steps.send(Step::Rows(chunk)).await.is_err() {
                break;
            }
            cx.report_progress(rows, Some(total.load(Relaxed).max(rows)), None);
        }
        // The total was an estimate.
        cx.report_progress(rows, Some(rows), None);
        Ok::<_, TaskFailure>(rows)
    };
    let read = async { tokio::try_join!(read, passed) };
    let panicked = |error| TaskFailure::fail("Panic", error);
    tokio::select! {
        biased;
        ended = &mut writing => {
            ended.map_err(panicked)??;
            return Err(TaskFailure::fail("XlsxError", "the workbook was ended too early"));
        }
        done = read => drop(done?),
    }
    // The thread stays for as long as it is not told; a failure is its answer.
    drop(steps.send(Step::Save).await);
    writing.await.map_err(panicked)?
}

fn work(fields: &[ModelField], path: &Path, mut todo: mpsc::Receiver<Step>) -> Result<u64, TaskFailure> {
    let failed = |error: XlsxError| TaskFailure::fail("XlsxError", error);
    let mut workbook = Workbook::new();
    if let Some(folder) = path.parent() {
        workbook.set_tempdir(folder).map_err(|error| TaskFailure::retry("StorageUnavailable", error))?;
    }
    let sheet = workbook.add_worksheet_with_constant_memory().map_err(|error| TaskFailure::retry("StorageUnavailable", error))?;
    let bold = Format::new().set_bold();
    sheet.set_freeze_panes(1, 0).map_err(failed)?;
    for (column, field) in (0_u16..).zip(fields) {
        sheet.set_column_width(column, width_of(field)).map_err(failed)?;
        sheet.write_string_with_format(0, column, field.name.as_str(), &bold).map_err(failed)?;
    }
    let mut rows = Rows {
        fields,
        row: 1,
        time: Format::new().set_num_format("yyyy-mm-dd hh:mm:ss"),
        day: Format::new().set_num_format("yyyy-mm-dd"),
    };
    loop {
        match todo.blocking_recv() {
            Some(Step::Rows(chunk)) => rows.write(sheet, &chunk)?,
            Some(Step::Save) => break,
            None => return Ok(0),
        }
    }
    let file =
        File::options().write(true).truncate(true).open(path).map_err(|error| TaskFailure::retry("StorageUnavailable", error))?;
    workbook.save_to_writer(file).map_err(|error| TaskFailure::retry("StorageUnavailable", error))?;
    Ok(u64::from(rows.row - 1))
}

/// In characters. A time that does not fit is shown as `####`.
fn width_of(field: &ModelField) -> f64 {
    let of_values = match field.kind {
        FieldType::Timestamp => 19,
        FieldType::Text => 24,
        _ => 12,
    };
    #[expect(clippy::cast_precision_loss, reason = "a number below 61")]
    let width = field.name.chars().count().clamp(of_values, 60) as f64;
    width + 1.0
}

struct Rows<'a> {
    fields: &'a [ModelField],
    /// The next row; the header is 0.
    row: u32,
    time: Format,
    day: Format,
}

impl Rows<'_> {
    fn write(&mut self, sheet: &mut Worksheet, chunk: &Chunk) -> Result<(), TaskFailure> {
        let mut column = 0;
        for cell in chunk.cells() {
            if self.row >= MOST_ROWS {
                let most = MOST_ROWS - 1;
                return Err(TaskFailure::fail(
                    "TooManyRows",
                    format!("an XLSX sheet takes {most} rows and there are more; choose the format csv or ndjson, or filters"),
                ));
            }
            if let (Some(field), Some(text)) = (self.fields.get(usize::from(column)), cell.text()) {
                self.cell(sheet, column, field, &text)?;
            }
            column += 1;
            if cell.is_last {
                self.row += 1;
                column = 0;
            }
        }
        Ok(())
    }

    /// Texts are strings to the format: nothing in them is a formula.
    fn cell(&self, sheet: &mut Worksheet, column: u16, field: &ModelField, text: &str) -> Result<(), TaskFailure> {
        let row = self.row;
        let written = match (field.kind, text) {
            (FieldType::Boolean, "true") => sheet.write_boolean(row, column, true),
            (FieldType::Boolean, "false") => sheet.write_boolean(row, column, false),
            (FieldType::Timestamp, text) => match time_of(text) {
                Some(at) => sheet.write_number_with_format(row, column, days(at), &self.time),
                None => sheet.write_string(row, column, text),
            },
            (FieldType::Date, text) => match time_of(text) {
                Some(at) => sheet.write_number_with_format(row, column, days(at), &self.day),
                None => sheet.write_string(row, column, text),
            },
            (kind, text) => match exact(kind, text) {
                Some(number) => sheet.write_number(row, column, number),
                None => sheet.write_string(row, column, text),
            },
        };
        match written {
            Ok(_) => Ok(()),
            Err(XlsxError::MaxStringLengthExceeded) => Err(TaskFailure::fail(
                "TextTooLong",
                format!(
                    "the {} of row {row} has {} characters, and a cell of XLSX takes 32767; choose the format csv or ndjson",
                    field.name,
                    text.chars().count()
                ),
            )),
            Err(error) => Err(TaskFailure::fail("XlsxError", error)),
        }
    }
}

/// A number that a cell holds as it is.
fn exact(kind: FieldType, text: &str) -> Option<f64> {
    match kind {
        FieldType::Integer => {
            let number: i64 = text.parse().ok()?;
            (-MOST_EXACT..=MOST_EXACT).contains(&number).then(|| text.parse().ok()).flatten()
        }
        FieldType::Number => text.parse().ok().filter(|number: &f64| number.is_finite()),
        _ => None,
    }
}

/// Days since the day that cells count from.
fn days(at: jiff::Timestamp) -> f64 {
    at.as_duration().as_secs_f64() / SECONDS_A_DAY + DAYS_BEFORE_1970
}
