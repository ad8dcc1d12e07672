//! Images as tasks, through the engine: limits that truly end, and children that are killed.

use legwork::files::NewFile;
use legwork_engine::domain::TaskStatus;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::make;
use crate::support::engine::{Engine, PATIENCE, embedded, production};
use crate::support::files::path;

fn upload(engine: &Engine, path: &str, bytes: &[u8]) {
    let stored = engine.config.data_dir.join("files").join(path);
    std::fs::create_dir_all(stored.parent().unwrap()).unwrap();
    std::fs::write(stored, bytes).unwrap();
}

fn slow() -> Value {
    json!({ "file_path": "uploads/slow.gif", "max_width": 500, "max_height": 500, "animated": "keep" })
}

async fn children(engine: &Engine, count: usize) -> Vec<u32> {
    let mut children = engine.services.isolate.children();
    let found = tokio::time::timeout(PATIENCE, children.wait_for(|ids| ids.len() == count)).await;
    found.expect("children come and go").unwrap().clone()
}

async fn is_made(engine: &Engine) {
    let id = engine.submit("image.process", json!({ "file_path": "uploads/image.jpg" })).await;
    let status = engine.ended(id).await;
    assert_eq!(status.status, TaskStatus::Success, "{:?}", status.error);
}

async fn the_hard_limit_ends_an_image_that_takes_for_ever_and_its_child(engine: Engine) {
    upload(&engine, "uploads/slow.gif", &make::slow_gif(90));
    upload(&engine, "uploads/image.jpg", &make::jpeg(64, 48));
    let pool = engine.start_pool().await;
    let id = engine.submit_with("image.process", slow(), json!({ "time_limit": 0.3 })).await;
    let status = engine.ended(id).await;
    let error = status.error.unwrap();
    assert_eq!((status.status, error.kind.as_str(), error.retryable), (TaskStatus::Failure, "TimeLimitExceeded", false));
    children(&engine, 0).await;
    is_made(&engine).await;
    pool.end().await;
}

async fn an_image_whose_child_is_killed_is_tried_again(engine: Engine) {
    upload(&engine, "uploads/slow.gif", &make::slow_gif(90));
    upload(&engine, "uploads/image.jpg", &make::jpeg(64, 48));
    let pool = engine.start_pool().await;
    let scheduler = engine.scheduler();
    let id = engine.submit("image.process", slow()).await;
    let child = children(&engine, 1).await[0];
    kill_process(Pid::from_raw(child.cast_signed()).unwrap(), Signal::KILL).unwrap();
    let status = engine.settled(id).await;
    let error = status.error.unwrap();
    assert_eq!((status.status, error.kind.as_str(), error.retryable), (TaskStatus::Retry, "ChildKilled", true));
    is_made(&engine).await;
    // The file behind the path is a good one by then.
    upload(&engine, "uploads/slow.gif", &make::gif(64, 48, &[1, 2]));
    engine.pass_delay(&scheduler, id).await;
    let status = engine.ended(id).await;
    assert_eq!(status.status, TaskStatus::Success, "{:?}", status.error);
    pool.end().await;
}

async fn a_bad_image_fails_at_once_and_is_not_tried_again(engine: Engine) {
    upload(&engine, "uploads/bad.jpg", &make::jpeg(640, 480)[..3_000]);
    let pool = engine.start_pool().await;
    let id = engine.submit("image.process", json!({ "file_path": "uploads/bad.jpg" })).await;
    let status = engine.ended(id).await;
    assert_eq!((status.status, status.attempts), (TaskStatus::Failure, 1));
    assert_eq!(
        status.error.unwrap().message,
        "uploads/bad.jpg: it is a damaged JPEG image: it is cut off, or its data is damaged"
    );
    pool.end().await;
}

async fn an_image_that_turns_out_to_be_anothers_is_not_read(engine: Engine) {
    upload(&engine, "uploads/image.jpg", &make::jpeg(64, 48));
    let id = engine.submit("image.process", json!({ "file_path": "uploads/image.jpg" })).await;
    // Its row comes after the submission, which could not know.
    let new_file = NewFile {
        path: path("uploads/image.jpg"),
        content_type: "image/jpeg".into(),
        principal: "bob".into(),
        produced_by: None,
        created_at: engine.now(),
        expires_at: None,
    };
    let mut writer = engine.files.clone().create(new_file).await.unwrap();
    writer.write(&make::jpeg(64, 48)).await.unwrap();
    writer.finish().await.unwrap();
    let pool = engine.start_pool().await;
    let status = engine.ended(id).await;
    let error = status.error.unwrap();
    let actual = (error.kind.as_str(), error.message.as_str());
    assert_eq!((status.status, actual), (TaskStatus::Failure, ("FileNotFound", "there is no stored file uploads/image.jpg")));
    pool.end().await;
}

macro_rules! on_both {
    ($($case:ident),+ $(,)?) => {$(
        mod $case {
            #[tokio::test]
            async fn embedded() {
                super::embedded(super::$case).await;
            }

            #[tokio::test]
            async fn production() {
                super::production(super::$case).await;
            }
        }
    )+};
}

on_both!(
    the_hard_limit_ends_an_image_that_takes_for_ever_and_its_child,
    an_image_whose_child_is_killed_is_tried_again,
    a_bad_image_fails_at_once_and_is_not_tried_again,
    an_image_that_turns_out_to_be_anothers_is_not_read,
);
