//! The runner `export`: the rows of a model, as `data.export` writes them, or those of a query, as a file in private storage.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use legwork_engine::domain::{FilePath, TaskFailure};
use legwork_pack::{Export, ExportRows, Sql};
use legwork_source::{Access, Row};
use rust_xlsxwriter::{Format, Workbook};
use serde_json::{Value, json};

use super::attempt::PackAttempt;
use super::builtin::run_compiled;
use super::effect::Effect;
use super::report::send;
use crate::files::FileError;
use crate::kinds::data_export::ExportData;
use crate::kinds::{OrFail as _, TaskKind};

/// The file of a query is made in memory, so its size has a limit, in bytes before compression.
const LARGEST_FILE: usize = 256 << 20;
/// Rows of a sheet beside the header; the format has no more.
const MOST_SHEET_ROWS: usize = 1_048_575;
const COMPRESSION: u32 = 4;
const BOM: &[u8] = b"\xEF\xBB\xBF";

pub(super) async fn run(attempt: &mut PackAttempt, spec: &Export) -> Result<Effect, TaskFailure> {
    let mut effect = match &spec.rows {
        ExportRows::Model { model, filters, fields } => of_model(attempt, spec, model, filters.as_ref(), fields).await?,
        ExportRows::Query(sql) => of_query(attempt, spec, sql).await?,
    };
    attempt.scope.set("outcome", effect.fields.clone().into());
    if let Some(mail) = &spec.mail {
        let path = effect.fields.get("file_path").and_then(Value::as_str).and_then(|path| FilePath::parse(path).ok());
        let mails = send(attempt, mail, path.as_ref()).await?;
        effect.fields.insert("emails".into(), mails.into());
    }
    Ok(effect)
}

async fn of_model(
    attempt: &PackAttempt,
    spec: &Export,
    model: &str,
    filters: Option<&legwork_pack::Value>,
    fields: &[String],
) -> Result<Effect, TaskFailure> {
    let mut args = json!({
        "model_name": model,
        "format": spec.format,
        "gzip": spec.gzip,
        "bom": spec.bom,
        "formula_guard": spec.formula_guard,
        "fields": fields,
        "source": attempt.kind.kind.source,
    });
    if let Some(filters) = filters {
        args["filters"] = attempt.value(filters)?;
    }
    if let Some(args) = args.as_object_mut() {
        args.retain(|_, value| !value.is_null());
    }
    run_compiled(attempt, &TaskKind::of::<ExportData>(), &args).await
}

async fn of_query(attempt: &PackAttempt, spec: &Export, sql: &Sql) -> Result<Effect, TaskFailure> {
    let source = attempt.source()?;
    let statements = source.statements(sql, &attempt.scope)?;
    let Some(statement) = statements.last() else {
        return Err(TaskFailure::fail("BadQuery", "the export has no statement"));
    };
    let mut transaction =
        attempt.cx.or_cancelled(source.source.begin_within(Access::Read, attempt.cx.time_left())).await?.or_fail()?;
    let columns = transaction.columns(&statement.text).await.or_fail()?;
    let (mut rows, mut size) = (Vec::new(), 0);
    let reading = transaction.each(statement, |row| {
        size += row.values().map(|value| value.as_str().map_or(12, str::len) + 1).sum::<usize>();
        rows.push(row);
        size <= LARGEST_FILE
    });
    attempt.cx.or_cancelled(reading).await?.or_fail()?;
    drop(transaction);
    if size > LARGEST_FILE {
        let message = format!("the rows take more than {} MiB. Narrow the query, or export a model", LARGEST_FILE >> 20);
        return Err(TaskFailure::fail("TooLarge", message));
    }
    let count = rows.len();
    let format = FileFormat { name: spec.format.clone(), bom: spec.bom, guard: spec.formula_guard, gzip: spec.gzip };
    let (ending, content_type) = (format.ending(), format.content_type());
    // Off the threads that serve everybody: this is work for a processor.
    let encoded = tokio::task::spawn_blocking(move || format.encode(&columns, &rows)).await;
    let bytes = encoded.map_err(|error| TaskFailure::fail("Panic", error))??;
    let cx = &attempt.cx;
    let name = attempt.optional_text(spec.file.as_ref())?.unwrap_or_else(|| format!("export.{ending}"));
    let path =
        FilePath::parse(&format!("exports/{}/{name}", cx.task)).map_err(|error| TaskFailure::fail("FileRefused", error))?;
    let expires_at = cx.clock.now().checked_add(cx.services.export_retention).ok();
    let kept = async {
        let mut writer = cx.files.create(path.clone(), content_type, expires_at).await?;
        writer.write(&bytes).await?;
        writer.finish().await
    };
    cx.or_cancelled(kept).await?.map_err(FileError::failure)?;
    let fields = json!({
        "file_path": path.as_str(),
        "rows": count,
        "bytes": bytes.len(),
        "download_url": expires_at.map(|at| cx.files.link(&path, at)),
        "expires_at": expires_at,
    });
    Ok(Effect::new(format!("exported {count} rows"), fields))
}

/// How rows become a file.
struct FileFormat {
    name: String,
    bom: bool,
    guard: bool,
    gzip: bool,
}

impl FileFormat {
    fn ending(&self) -> String {
        if self.gzip { format!("{}.gz", self.name) } else { self.name.clone() }
    }

    fn content_type(&self) -> &'static str {
        match self.name.as_str() {
            _ if self.gzip => "application/gzip",
            "ndjson" => "application/x-ndjson",
            "xlsx" => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            _ => "text/csv; charset=utf-8",
        }
    }

    fn encode(&self, columns: &[String], rows: &[Row]) -> Result<Vec<u8>, TaskFailure> {
        let bytes = match self.name.as_str() {
            "xlsx" => return sheet(columns, rows),
            "ndjson" => lines(columns, rows),
            _ => self.csv(columns, rows),
        };
        if !self.gzip {
            return Ok(bytes);
        }
        let failed = |error| TaskFailure::fail("Compression", error);
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(COMPRESSION));
        encoder.write_all(&bytes).map_err(failed)?;
        encoder.finish().map_err(failed)
    }

    fn csv(&self, columns: &[String], rows: &[Row]) -> Vec<u8> {
        let mut out = if self.bom { BOM.to_vec() } else { Vec::new() };
        let header: Vec<String> = columns.iter().map(|column| cell(column, false)).collect();
        out.extend_from_slice(header.join(",").as_bytes());
        out.extend_from_slice(b"\r\n");
        for row in rows {
            let cells: Vec<String> = columns
                .iter()
                .map(|column| match row.get(column) {
                    None | Some(Value::Null) => String::new(),
                    Some(Value::String(text)) => cell(text, self.guard),
                    Some(other) => cell(&other.to_string(), false),
                })
                .collect();
            out.extend_from_slice(cells.join(",").as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        out
    }
}

/// A cell by RFC 4180. With the guard, a text that a spreadsheet would take for a formula begins with an apostrophe.
fn cell(text: &str, guard: bool) -> String {
    let is_formula = guard && text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    let text = if is_formula && text.parse::<f64>().is_err() { format!("'{text}") } else { text.to_owned() };
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// A JSON object a line, its fields in the order of the columns.
fn lines(columns: &[String], rows: &[Row]) -> Vec<u8> {
    let line = |row: &Row| {
        let fields: Vec<String> = columns
            .iter()
            .map(|column| format!("{}:{}", Value::from(column.as_str()), row.get(column).unwrap_or(&Value::Null)))
            .collect();
        format!("{{{}}}\n", fields.join(","))
    };
    rows.iter().map(line).collect::<Vec<_>>().concat().into_bytes()
}

fn sheet(columns: &[String], rows: &[Row]) -> Result<Vec<u8>, TaskFailure> {
    let failed = |error: rust_xlsxwriter::XlsxError| TaskFailure::fail("XlsxError", error);
    if rows.len() > MOST_SHEET_ROWS {
        return Err(TaskFailure::fail("TooManyRows", format!("a sheet holds {MOST_SHEET_ROWS} rows; the query gives more")));
    }
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet();
    let bold = Format::new().set_bold();
    sheet.set_freeze_panes(1, 0).map_err(failed)?;
    for (column, name) in (0_u16..).zip(columns) {
        sheet.write_string_with_format(0, column, name.as_str(), &bold).map_err(failed)?;
    }
    for (index, row) in (1_u32..).zip(rows) {
        for (column, name) in (0_u16..).zip(columns) {
            match row.get(name) {
                None | Some(Value::Null) => {}
                Some(Value::Number(number)) => {
                    sheet.write_number(index, column, number.as_f64().unwrap_or_default()).map_err(failed)?;
                }
                Some(Value::Bool(is)) => drop(sheet.write_boolean(index, column, *is).map_err(failed)?),
                Some(Value::String(text)) => drop(sheet.write_string(index, column, text.as_str()).map_err(failed)?),
                Some(other) => drop(sheet.write_string(index, column, other.to_string()).map_err(failed)?),
            }
        }
    }
    workbook.save_to_buffer().map_err(failed)
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;

    #[test]
    fn cells_are_quoted_and_formulas_are_disarmed() {
        for (text, guard, written) in [
            ("plain", true, "plain"),
            ("a,b", true, "\"a,b\""),
            ("say \"hi\"", true, "\"say \"\"hi\"\"\""),
            ("=1+1", true, "'=1+1"),
            ("=1+1", false, "=1+1"),
            ("-5.5", true, "-5.5"),
        ] {
            assert_eq!(cell(text, guard), written, "{text}");
        }
    }

    #[test]
    fn columns_keep_the_order_of_the_query() {
        let row = Map::from_iter([("a".to_owned(), json!(1)), ("b".to_owned(), json!(null))]);
        let columns = ["b".to_owned(), "a".to_owned()];
        let format = FileFormat { name: "csv".into(), bom: false, guard: true, gzip: false };
        assert_eq!(format.csv(&columns, std::slice::from_ref(&row)), b"b,a\r\n,1\r\n");
        assert_eq!(lines(&columns, &[row]), b"{\"b\":null,\"a\":1}\n");
    }
}
