//! The list of stored files.

use std::sync::Arc;

use legwork_engine::domain::{Attempt, FilePath, Next, TaskId};
use legwork_engine::store::{FileRow, Store};

use crate::support::files::path;
use crate::support::tasks::{at, ended, inserted, mishap, reference, settle, start_ref, started, task};

pub async fn a_file_is_found_by_its_path(store: Arc<dyn Store>) {
    let upload = row("uploads/grün 1.jpg", None);
    let export = FileRow { task: Some(TaskId::made(at(0))), size: 1 << 40, ..row("exports/x.csv", Some(100)) };
    for file in [&upload, &export] {
        assert!(store.write_file(file, None).await.unwrap());
    }
    assert_eq!(store.find_file(&upload.path).await.unwrap(), Some(upload));
    assert_eq!(store.find_file(&export.path).await.unwrap(), Some(export));
    assert_eq!(store.find_file(&path("uploads")).await.unwrap(), None);
}

pub async fn a_file_that_is_written_anew_replaces_what_was_known(store: Arc<dyn Store>) {
    assert!(store.write_file(&row("exports/x.csv", Some(100)), None).await.unwrap());
    let later = FileRow { size: 7, sha256: [9; 32], principal: "bob".into(), ..row("exports/x.csv", None) };
    assert!(store.write_file(&later, None).await.unwrap());
    assert_eq!(store.find_file(&later.path).await.unwrap(), Some(later));
    assert_eq!(expired(&store, 1_000).await, [] as [FilePath; 0]);
}

pub async fn a_file_of_an_attempt_is_written_only_while_its_task_is_in_it(store: Arc<dyn Store>) {
    let of = |task: TaskId, size| FileRow { task: Some(task), size, ..row("exports/x.csv", None) };
    let write = async |task, size, attempt| store.write_file(&of(task, size), Some(Attempt(attempt))).await.unwrap();
    let waiting = inserted(&store, task(0)).await;
    assert!(!write(waiting, 1, 0).await);
    let first = started(&store, task(0), 1).await;
    assert!(write(first.id, 1, 1).await);
    settle(&store, &first, at(2), Next::Crashed { due_at: at(2), crashes: 1, error: mishap() }).await;
    assert!(!write(first.id, 2, 1).await);
    start_ref(&store, 2, reference(first.id, 2), at(3)).await;
    assert!(!write(first.id, 3, 1).await);
    assert_eq!(store.find_file(&path("exports/x.csv")).await.unwrap(), Some(of(first.id, 1)));
    assert!(write(first.id, 4, 2).await);
    let over = ended(&store, task(0), 1, Next::success("1".into())).await;
    assert!(!write(over, 5, 1).await);
    assert!(!write(TaskId::made(at(9)), 6, 1).await);
    assert_eq!(store.find_file(&path("exports/x.csv")).await.unwrap(), Some(of(first.id, 4)));
}

pub async fn a_forgotten_file_is_gone(store: Arc<dyn Store>) {
    let first = row("a", None);
    assert!(store.write_file(&first, None).await.unwrap());
    for anew in [FileRow { created_at: at(9), ..first.clone() }, FileRow { sha256: [9; 32], ..first.clone() }] {
        assert!(store.write_file(&anew, None).await.unwrap());
        assert!(!store.forget_file(&first).await.unwrap(), "it was written anew");
        assert_eq!(store.find_file(&path("a")).await.unwrap(), Some(anew));
    }
    assert!(store.write_file(&first, None).await.unwrap());
    assert!(store.forget_file(&first).await.unwrap());
    assert!(!store.forget_file(&first).await.unwrap());
    assert_eq!(store.find_file(&path("a")).await.unwrap(), None);
}

pub async fn expired_files_are_found_up_to_the_limit_earliest_first(store: Arc<dyn Store>) {
    for (name, expires) in [("kept", None), ("z", Some(10)), ("b", Some(20)), ("a", Some(20)), ("later", Some(21))] {
        assert!(store.write_file(&row(name, expires), None).await.unwrap());
    }
    assert_eq!(expired(&store, 9).await, [] as [FilePath; 0]);
    assert_eq!(expired(&store, 20).await, [path("z"), path("a"), path("b")]);
    assert_eq!(store.expired_files(at(20), 2).await.unwrap(), [path("z"), path("a")]);
}

pub async fn only_what_has_expired_is_forgotten_as_expired(store: Arc<dyn Store>) {
    for (name, expires) in [("a", Some(10)), ("b", Some(10)), ("anew", Some(99)), ("kept", None)] {
        assert!(store.write_file(&row(name, expires), None).await.unwrap());
    }
    let actual = ["a", "anew", "kept", "unknown"].map(path);
    assert_eq!(store.forget_expired(&actual, at(10)).await.unwrap(), 1);
    assert_eq!(store.find_file(&path("a")).await.unwrap(), None);
    for name in ["b", "anew", "kept"] {
        assert!(store.find_file(&path(name)).await.unwrap().is_some(), "{name}");
    }
    assert_eq!(store.forget_expired(&[], at(10)).await.unwrap(), 0);
}

async fn expired(store: &Arc<dyn Store>, now: i64) -> Vec<FilePath> {
    store.expired_files(at(now), 100).await.unwrap()
}

fn row(name: &str, expires: Option<i64>) -> FileRow {
    FileRow {
        path: path(name),
        size: 3,
        content_type: "image/jpeg".into(),
        sha256: [1; 32],
        principal: "ann".into(),
        task: None,
        created_at: at(1),
        expires_at: expires.map(at),
    }
}
