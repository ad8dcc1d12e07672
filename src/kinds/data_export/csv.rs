//! CSV by RFC 4180 out of what `COPY` writes: the line ends change, and with the guard what a spreadsheet would take for a formula.

use memchr::memchr2_iter;

use legwork_source::Cells;
use legwork_source::model::ModelField;

/// What a byte order mark is in UTF-8.
const BOM: &[u8] = b"\xEF\xBB\xBF";

pub(super) struct CsvEncoder {
    header: Vec<u8>,
    /// Whether a column holds numbers, which may start with a sign; `None` without the guard.
    numeric: Option<Vec<bool>>,
}

impl CsvEncoder {
    pub(super) fn new(fields: &[ModelField], bom: bool, guard: bool) -> Self {
        let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        // Names are letters, digits and underscores.
        let mut header = if bom { BOM.to_vec() } else { Vec::new() };
        header.extend_from_slice(names.join(",").as_bytes());
        header.extend_from_slice(b"\r\n");
        Self { header, numeric: guard.then(|| fields.iter().map(|field| field.kind.is_numeric()).collect()) }
    }

    pub(super) fn start(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.header);
    }

    pub(super) fn rows(&self, rows: &[u8], out: &mut Vec<u8>) {
        match &self.numeric {
            None => with_line_ends(rows, out),
            Some(numeric) => guarded(rows, numeric, out),
        }
    }
}

/// Each line feed that ends a row becomes CRLF; those in quotes stay.
fn with_line_ends(rows: &[u8], out: &mut Vec<u8>) {
    let mut in_quotes = false;
    let mut from = 0;
    for at in memchr2_iter(b'"', b'\n', rows) {
        if rows[at] == b'"' {
            in_quotes = !in_quotes;
        } else if !in_quotes {
            out.extend_from_slice(&rows[from..at]);
            out.extend_from_slice(b"\r\n");
            from = at + 1;
        }
    }
}

fn guarded(rows: &[u8], numeric: &[bool], out: &mut Vec<u8>) {
    let mut column = 0;
    for cell in Cells::of(rows) {
        let inner = if cell.is_quoted() { &cell.raw[1..] } else { cell.raw };
        let is_number = numeric.get(column).copied().unwrap_or(false) && is_number(inner);
        if is_formula(inner) && !is_number {
            out.extend_from_slice(if cell.is_quoted() { b"\"'" } else { b"'" });
            out.extend_from_slice(inner);
        } else {
            out.extend_from_slice(cell.raw);
        }
        if cell.is_last {
            out.extend_from_slice(b"\r\n");
            column = 0;
        } else {
            out.push(b',');
            column += 1;
        }
    }
}

/// Whether a spreadsheet would take a cell for a formula by how it starts: by a sign, in full width too, or by white space that it drops.
fn is_formula(cell: &[u8]) -> bool {
    match cell {
        [b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r' | b'\n', ..] => true,
        [0xEF, 0xBC, third, ..] => matches!(third, 0x9D | 0x8B | 0x8D | 0xA0),
        _ => false,
    }
}

fn is_number(cell: &[u8]) -> bool {
    cell.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'))
        && cell.iter().skip(1).all(|byte| !matches!(byte, b'=' | b'@'))
        && std::str::from_utf8(cell).is_ok_and(|text| text.parse::<f64>().is_ok())
}
