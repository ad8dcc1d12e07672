use proptest::prelude::*;
use serde_json::json;

use super::*;

fn written_rows(rows: &[Vec<Option<String>>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for row in rows {
        for (index, cell) in row.iter().enumerate() {
            if index > 0 {
                bytes.push(b',');
            }
            write_cell(&mut bytes, cell.as_deref());
        }
        bytes.push(b'\n');
    }
    bytes
}

fn read_rows(bytes: &[u8]) -> Vec<Vec<Option<String>>> {
    let mut rows = vec![Vec::new()];
    for cell in Cells::of(bytes) {
        rows.last_mut().unwrap().push(cell.text().map(Cow::into_owned));
        if cell.is_last {
            rows.push(Vec::new());
        }
    }
    rows.pop();
    rows
}

proptest! {
    #[test]
    fn what_is_written_is_read_again_however_it_was_cut(
        rows in prop::collection::vec(prop::collection::vec(prop::option::of("[a\",\n\r é=]{0,6}"), 2..4), 0..8),
        cuts in prop::collection::vec(1..9_usize, 1..20),
    ) {
        let bytes = written_rows(&rows);
        let mut collector = Collector::default();
        let (mut seen, mut count, mut rest) = (Vec::new(), 0, bytes.as_slice());
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, later) = rest.split_at((*cut).min(rest.len()));
            rest = later;
            collector.push(piece);
            let chunk = collector.take(16);
            count += chunk.rows;
            prop_assert!(chunk.bytes.is_empty() || chunk.bytes.ends_with(b"\n"));
            seen.extend_from_slice(&chunk.bytes);
        }
        prop_assert_eq!(&seen, &bytes);
        prop_assert_eq!(count, rows.len() as u64);
        prop_assert_eq!(read_rows(&seen), rows);
    }
}

#[test]
fn cells_become_json_of_their_type() {
    for (kind, text, expected) in [
        (FieldType::Integer, Some("-7"), json!(-7)),
        (FieldType::Integer, Some("x"), json!("x")),
        (FieldType::Number, Some("12.50"), json!(12.5)),
        (FieldType::Number, Some("3"), json!(3)),
        (FieldType::Number, Some("NaN"), Value::Null),
        (FieldType::Boolean, Some("true"), json!(true)),
        (FieldType::Timestamp, Some("2026-01-31 12:00:00+00"), json!("2026-01-31T12:00:00Z")),
        (FieldType::Timestamp, Some("2026-01-31 12:00:00.5+00"), json!("2026-01-31T12:00:00.5Z")),
        (FieldType::Timestamp, Some("infinity"), json!("infinity")),
        (FieldType::Date, Some("2026-01-31"), json!("2026-01-31")),
        (FieldType::Json, Some("{\"a\": [1]}"), json!({ "a": [1] })),
        (FieldType::Text, Some(""), json!("")),
        (FieldType::Text, None, Value::Null),
    ] {
        assert_eq!(json_of(kind, text), expected, "{kind} {text:?}");
    }
}
