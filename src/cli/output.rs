//! How results are printed: text for people, JSON for programs.

use std::io::{self, Write as _};

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::CliError;

/// The form of a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

#[derive(Clone, Copy, Debug, Args)]
pub(super) struct OutputArgs {
    /// The form of the result and of errors
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub(super) format: Format,
}

impl OutputArgs {
    /// Prints `value` as JSON, or as what `text` makes of it.
    pub(super) fn print(self, value: &Value, text: impl FnOnce(&Value) -> String) -> Result<(), CliError> {
        match self.format {
            Format::Text => print(&text(value)),
            Format::Json => print(&format!("{value:#}")),
        }
    }
}

/// Prints to standard output, with a line end.
pub(super) fn print(text: &str) -> Result<(), CliError> {
    let end = if text.ends_with('\n') || text.is_empty() { "" } else { "\n" };
    print_bytes(&[text.as_bytes(), end.as_bytes()].concat())
}

/// Prints to standard output. A reader that stops reading (`| head`) is no error.
pub(super) fn print_bytes(bytes: &[u8]) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CliError::io("standard output")(error)),
        _ => Ok(()),
    }
}

/// Prints a message beside the result, to standard error.
pub(super) fn say(text: &str) {
    // A closed standard error leaves nowhere to print to.
    drop(writeln!(io::stderr(), "{text}"));
}

/// The fields of an object, one a line, those in `first` first; what is null is left out.
pub(super) fn fields(value: &Value, first: &[&str]) -> String {
    let Some(object) = value.as_object() else { return cell(value) };
    let in_order = first.iter().filter_map(|&name| object.get_key_value(name));
    let others = object.iter().filter(|(name, _)| !first.contains(&name.as_str()));
    let rendered: Vec<(&String, &Value)> = in_order.chain(others).filter(|(_, value)| !value.is_null()).collect();
    let width = rendered.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines: Vec<String> = rendered.into_iter().map(|(name, value)| format!("{name:width$}  {}\n", cell(value))).collect();
    lines.concat()
}

/// The `items` of a list as a table; `cell` makes the text of a column.
pub(super) fn item_table(list: &Value, columns: &[&str], cell: impl Fn(&Value, &str) -> String) -> String {
    let row = |item: &Value| columns.iter().map(|column| cell(item, column)).collect();
    let rows: Vec<Vec<String>> = list["items"].as_array().into_iter().flatten().map(row).collect();
    table(columns, &rows)
}

/// Rows under a head, in columns.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|&name| name.replace('_', " ").to_uppercase()).collect();
    let lines: Vec<&Vec<String>> = std::iter::once(&head).chain(rows).collect();
    let width =
        |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &Vec<String>| {
        let padded: Vec<String> = cells.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
        format!("{}\n", padded.join("  ").trim_end())
    };
    lines.into_iter().map(line).collect()
}

/// A value in one line; control characters of others do not reach the terminal.
pub(super) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => {
            text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
        }
        Value::Array(items) if items.iter().all(Value::is_string) => items.iter().map(cell).collect::<Vec<_>>().join(","),
        Value::Number(number) if number.is_f64() => number.as_f64().map_or_else(String::new, rounded),
        other => other.to_string(),
    }
}

/// With two decimals at most.
fn rounded(number: f64) -> String {
    format!("{number:.2}").trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_stand_in_their_order_and_nothing_is_said_of_nulls() {
        let value = json!({"a": [1], "status": "SUCCESS", "none": null, "task_id": "x"});
        assert_eq!(fields(&value, &["task_id", "status"]), "task_id  x\nstatus   SUCCESS\na        [1]\n");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["default".to_owned(), "3".to_owned()], vec!["m".to_owned(), "12".to_owned()]];
        assert_eq!(table(&["name", "depth"], &rows), "NAME     DEPTH\ndefault  3\nm        12\n");
    }

    #[test]
    fn escape_sequences_in_a_result_stay_harmless() {
        assert_eq!(cell(&json!("\u{1b}[2J")), "\u{fffd}[2J");
    }

    #[test]
    fn a_rate_is_rounded_and_a_whole_number_is_not() {
        let rendered = [json!(0.033_333), json!(2.0), json!(0.0), json!(100)].map(|number| cell(&number));
        assert_eq!(rendered, ["0.03", "2", "0", "100"]);
    }
}
