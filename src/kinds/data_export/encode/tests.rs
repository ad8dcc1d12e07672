use std::io::Read as _;

use flate2::read::GzDecoder;

use super::*;
use legwork_source::model::FieldType;

fn fields() -> Vec<ModelField> {
    let field =
        |name: &str, kind| ModelField { name: name.into(), column: name.into(), kind, may_export: true, may_filter: true };
    vec![field("n", FieldType::Number), field("t", FieldType::Text), field("at", FieldType::Timestamp)]
}

fn args(more: &serde_json::Value) -> ExportData {
    let mut args = serde_json::json!({ "model_name": "user" });
    args.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(args).unwrap()
}

fn encoded(args: &ExportData, rows: &str) -> Vec<u8> {
    let mut encoder = Encoder::new(args, &fields());
    let chunk = Chunk { bytes: rows.into(), rows: 1 };
    let mut bytes = encoder.take(Some(&chunk)).unwrap();
    bytes.extend(encoder.take(None).unwrap());
    bytes
}

fn text(more: &serde_json::Value, rows: &str) -> String {
    String::from_utf8(encoded(&args(more), rows)).unwrap()
}

#[test]
fn what_a_spreadsheet_would_take_for_a_formula_is_disarmed_and_numbers_are_not() {
    for (row, guarded) in [
        ("-5,ok,\n", "-5,ok,\r\n"),
        ("-1.5e3,-5,\n", "-1.5e3,'-5,\r\n"),
        ("=1+1,=1+1,\n", "'=1+1,'=1+1,\r\n"),
        ("1,\"=cmd|' /C calc'!A0, \"\"x\"\"\",\n", "1,\"'=cmd|' /C calc'!A0, \"\"x\"\"\",\r\n"),
        ("1,+233 55,\n", "1,'+233 55,\r\n"),
        ("1,@sum,\n", "1,'@sum,\r\n"),
        ("1,\tx,\n", "1,'\tx,\r\n"),
        ("1,\"\r=x\",\n", "1,\"'\r=x\",\r\n"),
        ("1,\"\n=x\",\n", "1,\"'\n=x\",\r\n"),
        ("1,\u{ff1d}1,\n", "1,'\u{ff1d}1,\r\n"),
        ("1,a=b,2026-01-31 12:00:00+00\n", "1,a=b,2026-01-31 12:00:00+00\r\n"),
        ("1,\"\",\n", "1,\"\",\r\n"),
        ("-x,\"\"\"=\",\n", "'-x,\"\"\"=\",\r\n"),
    ] {
        assert_eq!(text(&serde_json::json!({}), row), format!("n,t,at\r\n{guarded}"), "{row}");
        let bare = format!("n,t,at\r\n{}\r\n", &row[..row.len() - 1]);
        assert_eq!(text(&serde_json::json!({ "formula_guard": false }), row), bare, "{row}");
    }
}

#[test]
fn an_empty_answer_is_a_header_alone() {
    assert_eq!(text(&serde_json::json!({ "bom": true }), ""), "\u{feff}n,t,at\r\n");
    assert_eq!(text(&serde_json::json!({ "format": "ndjson" }), ""), "");
}

#[test]
fn ndjson_keeps_the_order_of_the_fields_and_their_types() {
    let rows = "1.50,\"a \"\"b\"\"\nc\",2026-01-31 12:00:00+00\n,,\n";
    let expected = "{\"n\":1.5,\"t\":\"a \\\"b\\\"\\nc\",\"at\":\"2026-01-31T12:00:00Z\"}\n{\"n\":null,\"t\":null,\"at\":null}\n";
    assert_eq!(text(&serde_json::json!({ "format": "ndjson" }), rows), expected);
}

#[test]
fn gzip_holds_the_same_bytes() {
    let rows = "1,x,\n".repeat(10_000);
    let packed = encoded(&args(&serde_json::json!({ "gzip": true })), &rows);
    let mut unpacked = String::new();
    GzDecoder::new(packed.as_slice()).read_to_string(&mut unpacked).unwrap();
    assert_eq!(unpacked, text(&serde_json::json!({}), &rows));
    assert!(packed.len() < unpacked.len() / 20);
}
