//! Storage and list together.

use std::sync::Arc;

use jiff::Timestamp;
use legwork::app::place_image;
use legwork::files::{FileError, FileService, LinkError, NewFile, RemovedExpired, TaskFiles};
use legwork_engine::clock::{Clock as _, ManualClock};
use legwork_engine::domain::{Principal, TaskId};
use legwork_engine::store::{FileRegistry as _, FileRow};

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
    assert!(files.file_service.find(&path("exports/x.csv")).await.unwrap().is_none());
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
    assert_eq!(files.file_service.find(&row.path).await.unwrap(), Some(expected.clone()));

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
    let file_service = FileService::new(storage(folder.path()), list.clone());
    let mut files = task_files(storage(folder.path()), TaskId::made(at(0)), clock.clone());
    files.file_service = file_service.clone();
    for (name, expires) in [("a", Some(at(10))), ("b", Some(at(10))), ("later", Some(at(11))), ("kept", None)] {
        files.create(path(name), "text/csv", expires).await.unwrap().finish().await.unwrap();
    }
    // A row whose file never came, and one whose path leads elsewhere, do not stay on the list for ever.
    for name in ["never", "a/below"] {
        let row = FileRow { path: path(name), ..file_service.find(&path("a")).await.unwrap().unwrap() };
        list.write_file(&row, None).await.unwrap();
    }
    assert_eq!(file_service.remove_expired(clock.now(), 100).await.unwrap().count, 0);
    let step = |count, has_more| RemovedExpired { count, has_more };
    assert_eq!(file_service.remove_expired(at(10), 1).await.unwrap(), step(1, true));
    assert_eq!(file_service.remove_expired(at(10), 100).await.unwrap(), step(3, false));
    assert_eq!(all_files(folder.path()), ["kept", "later"]);
    assert_eq!(list.0.lock().keys().cloned().collect::<Vec<_>>(), ["kept", "later"].map(path));
    file_service.remove(&path("kept")).await.unwrap();
    assert_eq!(all_files(folder.path()), ["later"]);
    assert_eq!(list.0.lock().len(), 1);
}

#[tokio::test]
async fn an_attempt_reads_its_principals_files_and_nobodys_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let files = task_files(storage(folder.path()), TaskId::made(at(0)), Arc::new(ManualClock::at(start())));
    place_image(&files.file_service, at(0)).await.unwrap();
    let bobs = TaskFiles { principal: "bob".into(), ..files.clone() };
    for (owner, name) in [(&files, "images/a.jpg"), (&bobs, "images/b.jpg")] {
        owner.create(path(name), "image/jpeg", None).await.unwrap().finish().await.unwrap();
    }
    // Somebody has put it there by hand.
    std::fs::write(folder.path().join("images/c.jpg"), b"c").unwrap();
    for name in ["images/a.jpg", "images/c.jpg", "uploads/image.jpg"] {
        files.local(&path(name)).await.unwrap();
    }
    for name in ["images/b.jpg", "images/none.jpg"] {
        let actual = files.local(&path(name)).await.unwrap_err();
        assert_eq!(actual.to_string(), format!("there is no stored file {name}"));
        assert!(matches!(actual, FileError::NotFound(_)));
    }
    // What a task made in the system's name is nobody else's.
    let systems = TaskFiles { principal: Principal::system().subject, ..files.clone() };
    systems.create(path("images/d.jpg"), "image/jpeg", None).await.unwrap().finish().await.unwrap();
    assert!(files.local(&path("images/d.jpg")).await.is_err());
}

#[tokio::test]
async fn old_files_on_no_list_are_removed_from_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let file_service = FileService::new(storage(folder.path()), Arc::new(MemoryFileList::default()));
    assert_eq!(file_service.remove_unlisted("exports", Timestamp::MAX).await.unwrap(), 0);
    let listed = NewFile {
        path: path("exports/listed.csv"),
        content_type: "text/csv".into(),
        principal: "ann".into(),
        produced_by: None,
        created_at: at(0),
        expires_at: None,
    };
    file_service.create(listed).await.unwrap().finish().await.unwrap();
    for name in ["exports/old.csv", "exports/young.csv", "other.csv"] {
        std::fs::write(folder.path().join(name), b"1").unwrap();
    }
    std::fs::create_dir(folder.path().join("exports/folder")).unwrap();
    std::os::unix::fs::symlink("../other.csv", folder.path().join("exports/link.csv")).unwrap();
    for name in ["exports/listed.csv", "exports/old.csv", "other.csv"] {
        let file = std::fs::File::options().write(true).open(folder.path().join(name)).unwrap();
        file.set_modified(at(0).into()).unwrap();
    }
    let young = std::fs::File::options().write(true).open(folder.path().join("exports/young.csv")).unwrap();
    young.set_modified(at(10).into()).unwrap();
    assert_eq!(file_service.remove_unlisted("exports", at(10)).await.unwrap(), 1);
    let left = ["exports/link.csv", "exports/listed.csv", "exports/young.csv", "other.csv"];
    assert_eq!(all_files(folder.path()), left);
}

#[tokio::test]
async fn the_image_of_the_examples_is_placed_once() {
    let folder = tempfile::tempdir().unwrap();
    let file_service = FileService::new(storage(folder.path()), Arc::new(MemoryFileList::default()));
    place_image(&file_service, at(0)).await.unwrap();
    place_image(&file_service, at(1)).await.unwrap();
    let row = file_service.find(&path("uploads/image.jpg")).await.unwrap().unwrap();
    assert_eq!((row.content_type.as_str(), row.created_at, row.expires_at), ("image/jpeg", at(0), None));
    let bytes = file_service.storage().read(&row.path, 200 << 10).await.unwrap();
    assert!(bytes.starts_with(b"\xff\xd8\xff") && bytes.ends_with(b"\xff\xd9"));
}
