//! The kind `data.export`, run by the engine.

use std::io::Read as _;

use legwork::kinds::KindSet;
use legwork_engine::domain::{FilePath, TaskStatus};
use legwork_source::SourcesConfig;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

use super::{both_declared, in_postgres};
use crate::support::engine::{self, Engine};
use crate::support::postgres::url;
use crate::support::service::TestService;

const FIELDS: [&str; 6] = ["id", "name", "height", "is_here", "seen_at", "odd"];

/// An engine of the embedded pair with these sources.
async fn with_sources<C, F>(config: SourcesConfig, case: C)
where
    C: FnOnce(Engine) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    engine::embedded(|engine| async move {
        let folder = engine.config.data_dir.clone();
        case(engine.tuned(|settings| settings.sources = config)).await;
        // A case may have made no file.
        drop(std::fs::remove_dir_all(folder));
    })
    .await;
}

/// The result of an export, and its file.
async fn exported(engine: &Engine, args: Value) -> (Value, Vec<u8>) {
    let id = engine.submit("data.export", args).await;
    let ended = engine.ended(id).await;
    assert_eq!(ended.status, TaskStatus::Success, "{:?}", ended.error);
    let result: Value = serde_json::from_str(ended.result.unwrap().get()).unwrap();
    let path = FilePath::parse(result["file_path"].as_str().unwrap()).unwrap();
    let bytes = engine.services.files.read(&path, 1 << 24).await.unwrap();
    assert_eq!(result["bytes"], bytes.len());
    (result, bytes)
}

async fn text_of(engine: &Engine, args: Value) -> String {
    String::from_utf8(exported(engine, args).await.1).unwrap()
}

async fn the_documents_body(engine: Engine) {
    let folder = engine.config.data_dir.clone();
    let pool = engine.start_pool().await;
    let service = TestService::over(engine.clone());
    let body = json!({ "model_name": "user", "filters": { "status": 1 }, "fields": ["id", "email", "first_name"] });
    let answer = service.post("/api/v1/tasks/export/", &body).await;
    assert_eq!(answer.status, 202, "{answer}");
    let id = answer.text_at("/task_id").parse().unwrap();
    engine.note_accepted(id);
    let ended = engine.ended(id).await;
    let result: Value = serde_json::from_str(ended.result.unwrap().get()).unwrap();
    assert_eq!((&result["success"], &result["file_path"]), (&json!(true), &json!(format!("exports/{id}.csv"))));
    let path = FilePath::parse(result["file_path"].as_str().unwrap()).unwrap();
    let bytes = engine.services.files.read(&path, 1 << 20).await.unwrap();
    let text = String::from_utf8(bytes.clone()).unwrap();
    let lines: Vec<&str> = text.split_terminator("\r\n").collect();
    assert_eq!(lines[0], "id,email,first_name");
    assert!(lines[1].starts_with("1,") && lines[1].contains('@'), "{}", lines[1]);
    assert_eq!(result["rows"], lines.len() - 1);
    assert_eq!(result["message"], format!("exported {} rows of user", lines.len() - 1));
    let sha256 = format!("{:?}", ring::digest::digest(&ring::digest::SHA256, &bytes)).replace("SHA256:", "");
    assert_eq!(result["sha256"], sha256);
    assert_eq!(result["expires_at"], "2026-11-22T08:00:00Z");
    assert!(result["download_url"].as_str().unwrap().contains(&format!("/api/v1/files/exports/{id}.csv?expires=")), "{result}");
    pool.end().await;
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documents_body_exports_the_demonstration_embedded() {
    engine::embedded(the_documents_body).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documents_body_exports_the_demonstration_in_production() {
    engine::production(the_documents_body).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn csv_is_the_same_from_both_databases_and_safe_unless_told_otherwise() {
    both_declared(|config| {
        with_sources(config, |engine| async move {
            let pool = engine.start_pool().await;
            let args = json!({ "model_name": "person", "fields": FIELDS, "filters": { "id": { "ne": 2 } } });
            let guarded = text_of(&engine, args.clone()).await;
            let height = if guarded.contains("180.00") { ["1.75", "180.00", "0.00"] } else { ["1.75", "180.0", "0.0"] };
            let expected = format!(
                "id,name,height,is_here,seen_at,odd\r\n1,Ann,{},true,2026-01-31 12:00:00+00,x\r\n3,'=1+1,,,,\r\n\
                 4,\"two\nlines\",{},true,2025-12-31 23:59:59+00,'-5\r\n5,Zoë ✓ 名,{},false,1970-01-01 00:00:00+00,'@sum\r\n",
                height[0], height[1], height[2],
            );
            assert_eq!(guarded, expected);
            let mut bare = args.clone();
            bare["formula_guard"] = false.into();
            bare["bom"] = true.into();
            assert_eq!(text_of(&engine, bare).await, format!("\u{feff}{}", expected.replace(",'", ",")));
            let quoted = text_of(
                &engine,
                json!({ "model_name": "person", "fields": ["name", "height", "odd", "token"], "filters": { "id": 2 } }),
            )
            .await;
            let minus = if quoted.contains("-2.50") { "-2.50" } else { "-2.5" };
            assert_eq!(quoted, format!("name,height,odd,token\r\n\"Bob \"\"the, builder\"\"\",{minus},\"\",\r\n"));
            let empty =
                text_of(&engine, json!({ "model_name": "person", "fields": ["id", "odd"], "filters": { "id": 99 } })).await;
            assert_eq!(empty, "id,odd\r\n");
            pool.end().await;
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_formats_hold_the_same_rows() {
    both_declared(|config| {
        with_sources(config, |engine| async move {
            let pool = engine.start_pool().await;
            let args = |format: &str| json!({ "model_name": "person", "fields": FIELDS, "format": format });
            let lines = text_of(&engine, args("ndjson")).await;
            let rows: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert_eq!(rows.len(), 5);
            assert!(
                lines.starts_with(
                    r#"{"id":1,"name":"Ann","height":1.75,"is_here":true,"seen_at":"2026-01-31T12:00:00Z","odd":"x"}"#
                )
            );
            assert_eq!((&rows[2]["name"], &rows[2]["odd"], &rows[1]["odd"]), (&json!("=1+1"), &json!(null), &json!("")));

            let mut packed = args("csv");
            packed["gzip"] = true.into();
            let (result, bytes) = exported(&engine, packed).await;
            assert!(result["file_path"].as_str().unwrap().ends_with(".csv.gz"));
            let mut text = String::new();
            flate2::read::GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).unwrap();
            assert_eq!(text, text_of(&engine, args("csv")).await);

            let (result, bytes) = exported(&engine, args("xlsx")).await;
            assert_eq!(result["rows"], 5);
            let sheet = entry_of_zip(&bytes, "xl/worksheets/sheet1.xml");
            assert!(sheet.contains("<t>=1+1</t>") && !sheet.contains("<f>"), "{sheet}");
            assert!(
                sheet.contains("<v>-2.5</v>") && sheet.contains("t=\"b\"><v>1</v>") && sheet.contains("<v>46053.5</v>"),
                "{sheet}"
            );
            assert!(sheet.contains("<cols>") && sheet.contains("state=\"frozen\""), "{sheet}");
            let left: Vec<_> = std::fs::read_dir(engine.config.data_dir.join("files/.tmp")).unwrap().collect();
            assert!(left.is_empty(), "{left:?}");
            pool.end().await;
        })
    })
    .await;
}

/// A file in a ZIP, as text.
fn entry_of_zip(zip: &[u8], wanted: &str) -> String {
    let number =
        |at: usize, bytes: usize| zip[at..at + bytes].iter().rev().fold(0_usize, |number, &byte| number << 8 | usize::from(byte));
    let end = zip.windows(4).rposition(|four| four == b"PK\x05\x06").unwrap();
    let (count, mut at) = (number(end + 10, 2), number(end + 16, 4));
    for _ in 0..count {
        let (size, name, extra, comment) = (number(at + 20, 4), number(at + 28, 2), number(at + 30, 2), number(at + 32, 2));
        if &zip[at + 46..at + 46 + name] == wanted.as_bytes() {
            let local = number(at + 42, 4);
            let data = local + 30 + number(local + 26, 2) + number(local + 28, 2);
            let mut text = String::new();
            flate2::read::DeflateDecoder::new(&zip[data..data + size]).read_to_string(&mut text).unwrap();
            return text;
        }
        at += 46 + name + extra + comment;
    }
    panic!("the ZIP holds no {wanted}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_bad_arg_is_pointed_at_when_it_is_submitted() {
    engine::embedded(|engine| async move {
        let kinds = KindSet::compiled();
        let kind = kinds.iter().find(|kind| kind.policy.name.as_str() == "data.export").unwrap();
        for (args, pointer, word) in [
            (json!({ "model_name": "users" }), "/model_name", "there are activity, admin, content, notification, user"),
            (json!({ "model_name": "user\"; DROP TABLE users; --" }), "/model_name", "there is no model"),
            (json!({ "model_name": "user", "fields": ["id", "password"] }), "/fields/1", "allowed are id, email"),
            (json!({ "model_name": "user", "fields": ["id\", (SELECT 1) AS \"x"] }), "/fields/0", "is no field"),
            (json!({ "model_name": "user", "fields": "id" }), "/fields", "array"),
            (json!({ "model_name": "user", "filters": { "1=1) --": 1 } }), "/filters/1=1) --", "is no field"),
            (json!({ "model_name": "user", "filters": { "status": { "); --": 1 } } }), "/filters/status/); --", "is no operator"),
            (json!({ "model_name": "user", "filters": { "status": { "gte": "x" } } }), "/filters/status/gte", "whole number"),
            (json!({ "model_name": "user", "filters": [] }), "/filters", "object"),
            (json!({ "model_name": "user", "format": "pdf" }), "/format", "csv"),
            (json!({ "model_name": "user", "format": "xlsx", "gzip": true }), "/gzip", "compressed already"),
            (json!({ "model_name": "user", "format": "ndjson", "bom": true }), "/bom", "format csv"),
            (json!({ "model_name": "user", "source": "shop" }), "/source", "there are app"),
            (json!({ "model_name": "user", "sheet": "x" }), "/sheet", "unknown"),
        ] {
            let field_errors = kind.check(&args.to_string(), &engine.services).unwrap_err();
            let actual: Vec<String> =
                field_errors.iter().map(|field_error| format!("{}: {}", field_error.pointer, field_error.detail)).collect();
            assert!(
                field_errors.len() == 1 && field_errors[0].pointer == pointer && field_errors[0].detail.contains(word),
                "{args}: {actual:?}"
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_missing_fails_at_once_and_a_source_that_is_away_is_tried_again() {
    both_declared(|config| {
        with_sources(config, |engine| async move {
            let pool = engine.start_pool().await;
            for format in ["csv", "xlsx"] {
                let id = engine.submit("data.export", json!({ "model_name": "ghost", "format": format })).await;
                let error = engine.ended(id).await.error.unwrap();
                assert_eq!(error.kind, "SourceMismatch");
                assert!(error.message.contains("ghosts") && error.message.contains("compare SOURCES"), "{}", error.message);
            }
            pool.end().await;
        })
    })
    .await;
    with_sources(super::declared("postgres://nobody@127.0.0.1:1/none", ""), |engine| async move {
        let pool = engine.start_pool().await;
        let id = engine.submit("data.export", json!({ "model_name": "person" })).await;
        let status = engine.settled(id).await;
        assert_eq!(status.status, TaskStatus::Retry);
        assert_eq!(engine.attempts(id).await, [(1, "retry")]);
        pool.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_that_is_killed_leaves_nothing_and_the_next_starts_anew() {
    in_postgres(&|config: SourcesConfig| {
        let table = config.sources["app"].models["person"].table.clone();
        with_sources(config, |engine| async move {
            let mut blocker = PgConnection::connect(&url()).await.unwrap();
            blocker.execute(AssertSqlSafe(format!("BEGIN; LOCK TABLE {table}"))).await.unwrap();
            let frozen = engine.another();
            let doomed = frozen.start_pool().await;
            let id = engine.submit("data.export", json!({ "model_name": "person" })).await;
            engine.row_when(id, |row| row.status == TaskStatus::Started).await;
            doomed.kill();
            blocker.execute("ROLLBACK").await.unwrap();
            let mut second = engine.start_pool().await;
            engine.pass_lease(&engine.scheduler(), &mut [&mut second]).await;
            engine.scheduler().dispatch_due().await.unwrap();
            let ended = engine.ended(id).await;
            assert_eq!((ended.status, ended.attempts), (TaskStatus::Success, 2));
            let files = engine.config.data_dir.join("files");
            let names = |folder: &str| -> Vec<_> {
                std::fs::read_dir(files.join(folder)).unwrap().map(|entry| entry.unwrap().file_name()).collect()
            };
            assert_eq!(names("exports"), [format!("{id}.csv").as_str()]);
            assert!(names(".tmp").is_empty());
            second.end().await;
        })
    })
    .await;
}
