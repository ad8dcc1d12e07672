//! Storage and list together.

use std::sync::Arc;

use legwork::clock::{Clock as _, ManualClock};
use legwork::domain::TaskId;
use legwork::services::files::{FileKeeper, LinkError};
use legwork::store::{FileRegistry as _, FileRow};

use super::{ABC, all_files};
use crate::support::files::{MemoryFileList, path, storage, task_files};
use crate::support::tasks::{at, start};

#[tokio::test]
async fn what_an_attempt_makes_is_on_the_list_as_its_tasks() {
    let folder = tempfile::tempdir().unwrap();
    let task = TaskId::made(at(0));
    let files = task_files(storage(folder.path()), task, Arc::new(ManualClock::at(start())));
    let mut writer = files.create(path("exports/x.csv"), "text/csv", Some(at(60))).await.unwrap();
    writer.write(b"abc").await.unwrap();
    assert!(files.keeper.find(&path("exports/x.csv")).await.unwrap().is_none());
    let row = writer.finish().await.unwrap();
    let expected = FileRow {
        path: path("exports/x.csv"),
        size: 3,
        content_type: "text/csv".into(),
        sha256: ABC,
        principal: "ann".into(),
        task: Some(task),
        created_at: at(0),
        expires_at: Some(at(60)),
    };
    assert_eq!(row, expected);
    assert_eq!(files.keeper.find(&row.path).await.unwrap(), Some(expected.clone()));

    let scratch = files.scratch().await.unwrap();
    std::fs::write(scratch.path(), b"abc").unwrap();
    let published = files.publish(scratch, path("images/x.jpg"), "image/jpeg", None).await.unwrap();
    let image = FileRow { path: path("images/x.jpg"), content_type: "image/jpeg".into(), expires_at: None, ..expected };
    assert_eq!(published, image);
    assert_eq!(std::fs::read(files.local(&image.path).await.unwrap().path()).unwrap(), b"abc");
}

#[tokio::test]
async fn a_link_of_an_attempt_is_good_until_it_expires() {
    let folder = tempfile::tempdir().unwrap();
    let files = task_files(storage(folder.path()), TaskId::made(at(0)), Arc::new(ManualClock::at(start())));
    let link = files.link(&path("exports/x.csv"), at(60));
    let (start, signature) = link.split_once("&signature=").unwrap();
    assert_eq!(start, format!("http://legwork.test/api/v1/files/exports/x.csv?expires={}", at(60).as_second()));
    let check = |now| files.storage().check_link(&path("exports/x.csv"), at(60).as_second(), signature, now);
    assert_eq!(check(at(59)), Ok(()));
    assert_eq!(check(at(60)), Err(LinkError::Expired));
}

#[tokio::test]
async fn what_has_expired_goes_with_its_row_and_the_rest_stays() {
    let folder = tempfile::tempdir().unwrap();
    let list = Arc::new(MemoryFileList::default());
    let clock = Arc::new(ManualClock::at(start()));
    let keeper = FileKeeper::new(storage(folder.path()), list.clone());
    let mut files = task_files(storage(folder.path()), TaskId::made(at(0)), clock.clone());
    files.keeper = keeper.clone();
    for (name, expires) in [("a", Some(at(10))), ("b", Some(at(10))), ("later", Some(at(11))), ("kept", None)] {
        files.create(path(name), "text/csv", expires).await.unwrap().finish().await.unwrap();
    }
    // A row whose file never came, and one whose path leads elsewhere, do not stay on the list for ever.
    for name in ["never", "a/below"] {
        let row = FileRow { path: path(name), ..keeper.find(&path("a")).await.unwrap().unwrap() };
        list.write_file(&row).await.unwrap();
    }
    assert_eq!(keeper.remove_expired(clock.now(), 100).await.unwrap(), 0);
    assert_eq!(keeper.remove_expired(at(10), 1).await.unwrap(), 1);
    assert_eq!(keeper.remove_expired(at(10), 100).await.unwrap(), 3);
    assert_eq!(all_files(folder.path()), ["kept", "later"]);
    assert_eq!(list.0.lock().keys().cloned().collect::<Vec<_>>(), ["kept", "later"].map(path));
    keeper.remove(&path("kept")).await.unwrap();
    assert_eq!(all_files(folder.path()), ["later"]);
    assert_eq!(list.0.lock().len(), 1);
}
