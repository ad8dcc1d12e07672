//! The storage in a bucket.

use std::fs;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use legwork::files::{FileError, FileService, Files};
use legwork_engine::domain::TaskFailure;
use legwork_engine::store::{FileRegistry as _, FileRow};

use super::{ABC, all_files, bytes_of, put};
use crate::support::bucket::BucketServer;
use crate::support::engine::PATIENCE;
use crate::support::files::{MemoryFileList, path};

/// More than goes in one request.
const LARGE: usize = 20 << 20;

struct Place {
    server: BucketServer,
    files: Arc<Files>,
    scratch: tempfile::TempDir,
}

async fn place() -> Place {
    let (server, scratch) = (BucketServer::start().await, tempfile::tempdir().unwrap());
    let files = Arc::new(Files::new(&server.settings("app/one", scratch.path())).unwrap());
    Place { server, files, scratch }
}

impl Place {
    fn keys(&self) -> Vec<String> {
        self.server.contents.lock().objects.keys().cloned().collect()
    }

    fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.server.contents.lock().requests)
    }
}

#[tokio::test]
async fn a_small_file_goes_in_one_request_and_is_read_back() {
    let place = place().await;
    let name = path("exports/grün 1.csv");
    assert!(!place.files.exists(&name).await.unwrap());
    place.requests();
    let mut writer = place.files.create(&name, None).await.unwrap();
    writer.write(b"ab").await.unwrap();
    writer.write(b"c").await.unwrap();
    assert_eq!(place.requests(), [] as [&str; 0]);
    let digest = writer.finish().await.unwrap();
    assert_eq!((digest.size, digest.sha256), (3, ABC));
    assert_eq!(place.requests(), ["PUT"]);
    assert_eq!(place.keys(), ["app/one/exports/grün 1.csv"]);
    assert_eq!(place.files.read(&name, 3).await.unwrap(), b"abc");
    assert_eq!(place.files.metadata(&name).await.unwrap().unwrap().size, 3);
    let reader = place.files.open_range(&name, Some(1..99)).await.unwrap();
    assert_eq!((reader.metadata.size, reader.range.clone()), (3, 1..3));
    assert_eq!(bytes_of(reader).await, b"bc");
    place.files.delete(&name).await.unwrap();
    place.files.delete(&name).await.unwrap();
    assert!(matches!(place.files.open(&name).await, Err(FileError::NotFound(_))));
}

#[tokio::test]
async fn a_large_file_goes_in_parts_and_is_visible_at_its_end_only() {
    let place = place().await;
    let name = path("exports/x.bin");
    let mut writer = place.files.create(&name, None).await.unwrap();
    let bytes: Vec<u8> = (0..LARGE).map(|n| u8::try_from(n % 251).unwrap()).collect();
    for piece in bytes.chunks(100_000) {
        writer.write(piece).await.unwrap();
    }
    assert_eq!(place.keys(), [] as [&str; 0]);
    assert_eq!(writer.finish().await.unwrap().size, LARGE as u64);
    let requests = place.requests();
    assert_eq!((requests.first().unwrap().as_str(), requests.last().unwrap().as_str()), ("POST start", "POST complete"));
    assert_eq!(requests.iter().filter(|request| *request == "PUT part").count(), 3);
    assert_eq!(place.files.read(&name, LARGE).await.unwrap(), bytes);
    assert!(place.server.contents.lock().uploads.is_empty());
}

#[tokio::test]
async fn a_file_that_is_dropped_before_its_end_leaves_nothing() {
    let place = place().await;
    let mut small = place.files.create(&path("a"), None).await.unwrap();
    small.write(b"1").await.unwrap();
    drop(small);
    assert_eq!(place.requests(), [] as [&str; 0]);
    let mut large = place.files.create(&path("b"), None).await.unwrap();
    large.write(&vec![0; LARGE]).await.unwrap();
    assert_eq!(place.server.contents.lock().uploads.len(), 1);
    drop(large);
    let aborted = place.server.contents.lock().aborted.clone();
    tokio::time::timeout(PATIENCE, aborted.notified()).await.expect("the bucket was told");
    assert!(place.server.contents.lock().uploads.is_empty());
    assert_eq!(place.keys(), [] as [&str; 0]);
}

#[tokio::test]
async fn a_part_that_is_refused_fails_the_file_and_aborts_it() {
    let place = place().await;
    place.server.contents.lock().failing = Some("PUT part");
    let mut writer = place.files.create(&path("a"), None).await.unwrap();
    let mut outcome = Ok(());
    for _ in 0..3 {
        if outcome.is_ok() {
            outcome = writer.write(&vec![0; LARGE / 2]).await;
        }
    }
    let error = match outcome {
        Ok(()) => writer.finish().await.unwrap_err(),
        Err(error) => error,
    };
    assert!(matches!(error, FileError::Unavailable(_)), "{error:?}");
    assert!(matches!(error.failure(), TaskFailure::Retry { .. }));
    assert_eq!(place.keys(), [] as [&str; 0]);
}

#[tokio::test]
async fn a_child_process_reads_a_copy_and_what_it_wrote_is_published() {
    let place = place().await;
    put(&place.files, &path("uploads/x.jpg"), b"abc").await;
    let local = place.files.local(&path("uploads/x.jpg"), None).await.unwrap();
    assert!(local.path().starts_with(place.scratch.path()));
    assert_eq!(fs::read(local.path()).unwrap(), b"abc");
    drop(local);
    let scratch = place.files.scratch(None).await.unwrap();
    fs::write(scratch.path(), vec![7; LARGE]).unwrap();
    place.files.publish(scratch, &path("images/x.jpg")).await.unwrap();
    assert_eq!(place.files.read(&path("images/x.jpg"), LARGE).await.unwrap(), vec![7; LARGE]);
    assert_eq!(all_files(place.scratch.path()), [] as [&str; 0]);
    let kept = place.files.scratch(None).await.unwrap();
    std::mem::forget(kept);
    let tomorrow = Timestamp::try_from(fs::metadata(place.scratch.path()).unwrap().modified().unwrap()).unwrap()
        + SignedDuration::from_hours(24);
    assert_eq!(place.files.old_scratch(tomorrow).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_bucket_that_refuses_us_is_not_taken_for_an_empty_one() {
    let place = place().await;
    put(&place.files, &path("a"), b"1").await;
    for (failing, is_read) in [("GET", true), ("HEAD", false)] {
        place.server.contents.lock().failing = Some(failing);
        let error = if is_read { place.files.open(&path("a")).await.err() } else { place.files.metadata(&path("a")).await.err() };
        assert!(matches!(error, Some(FileError::Unavailable(_))), "{error:?}");
    }
}

#[tokio::test]
async fn old_files_on_no_list_are_removed_from_a_bucket() {
    let place = place().await;
    for name in ["exports/listed.csv", "exports/old.csv", "exports-of-others/x.csv", "uploads/x.jpg"] {
        put(&place.files, &path(name), b"1").await;
    }
    let before = place.keys();
    let list = MemoryFileList::default();
    let row = FileRow {
        path: path("exports/listed.csv"),
        size: 1,
        content_type: "text/csv".into(),
        sha256: ABC,
        principal: "ann".into(),
        task: None,
        created_at: Timestamp::UNIX_EPOCH,
        expires_at: None,
    };
    list.write_file(&row, None).await.unwrap();
    let file_service = FileService::new(place.files.clone(), Arc::new(list));
    let written: Timestamp = "2026-11-21T08:00:00Z".parse().unwrap();
    assert_eq!(file_service.remove_unlisted("exports", written).await.unwrap(), 0);
    assert_eq!(file_service.remove_unlisted("exports", written + SignedDuration::from_secs(1)).await.unwrap(), 1);
    let left: Vec<String> = before.into_iter().filter(|key| !key.ends_with("exports/old.csv")).collect();
    assert_eq!(place.keys(), left);
}
