//! The storage in a folder.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use jiff::{SignedDuration, Timestamp};
use legwork::files::{FileError, ProducedBy};
use legwork_engine::domain::{Attempt, TaskId};

use super::{ABC, all_files, bytes_of, put};
use crate::support::files::{path, storage};
use crate::support::tasks::at;

#[tokio::test]
async fn a_finished_file_is_there_whole_with_its_size_and_hash() {
    let folder = tempfile::tempdir().unwrap();
    let files = storage(&folder.path().join("root"));
    let name = path("exports/2026/grün.csv");
    assert!(!files.exists(&name).await.unwrap());
    let mut writer = files.create(&name, None).await.unwrap();
    writer.write(b"a").await.unwrap();
    writer.write(b"bc").await.unwrap();
    assert_eq!(writer.digest().size, 3);
    assert!(!files.exists(&name).await.unwrap(), "nothing is visible before the end");
    let digest = writer.finish().await.unwrap();
    assert_eq!((digest.size, digest.sha256), (3, ABC));
    assert_eq!(files.metadata(&name).await.unwrap().unwrap().size, 3);
    assert_eq!(files.read(&name, 3).await.unwrap(), b"abc");
    assert_eq!(all_files(folder.path()), ["root/exports/2026/grün.csv"]);
    let mode = |file: &str| fs::metadata(folder.path().join(file)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("root/exports/2026/grün.csv"), mode("root/exports"), mode("root")), (0o600, 0o700, 0o700));
}

#[tokio::test]
async fn a_file_that_is_dropped_before_its_end_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let files = storage(folder.path());
    put(&files, &path("a/old"), b"old").await;
    for name in ["a/old", "a/new"] {
        let mut writer = files.create(&path(name), None).await.unwrap();
        writer.write(&vec![7; 1 << 20]).await.unwrap();
        drop(writer);
    }
    drop(files.scratch(None).await.unwrap());
    assert_eq!(all_files(folder.path()), ["a/old"]);
    assert_eq!(files.read(&path("a/old"), 9).await.unwrap(), b"old");
}

#[tokio::test]
async fn a_file_is_replaced_while_a_reader_reads_the_old_one_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let files = storage(folder.path());
    put(&files, &path("x"), b"old").await;
    let reader = files.open(&path("x")).await.unwrap();
    put(&files, &path("x"), b"newer").await;
    assert_eq!(bytes_of(reader).await, b"old");
    assert_eq!(files.read(&path("x"), 9).await.unwrap(), b"newer");
}

#[tokio::test]
async fn a_range_is_cut_at_the_end_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let files = storage(folder.path());
    put(&files, &path("x"), b"0123456789").await;
    for (range, bytes) in [(2..5, "234"), (0..10, "0123456789"), (8..99, "89"), (10..20, ""), (50..60, "")] {
        let reader = files.open_range(&path("x"), Some(range)).await.unwrap();
        assert_eq!(reader.range.end - reader.range.start, bytes.len() as u64);
        assert_eq!(bytes_of(reader).await, bytes.as_bytes());
    }
}

#[tokio::test]
async fn more_than_the_reader_takes_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let files = storage(folder.path());
    put(&files, &path("x"), b"12345").await;
    let error = files.read(&path("x"), 4).await.unwrap_err();
    assert_eq!(error.to_string(), "the stored file x has 5 bytes; at most 4 can be taken here");
}

#[tokio::test]
async fn a_scratch_file_is_published_whole_and_a_local_path_leads_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let files = storage(folder.path());
    let scratch = files.scratch(Some(produced_by())).await.unwrap();
    fs::write(scratch.path(), b"abc").unwrap();
    assert_eq!(files.measure(&scratch).await.unwrap().sha256, ABC);
    files.publish(scratch, &path("images/x.jpg")).await.unwrap();
    assert_eq!(all_files(folder.path()), ["images/x.jpg"]);
    let local = files.local(&path("images/x.jpg"), None).await.unwrap();
    assert_eq!(fs::read(local.path()).unwrap(), b"abc");
    assert!(matches!(files.local(&path("images/y.jpg"), None).await, Err(FileError::NotFound(_))));
}

#[tokio::test]
async fn a_removed_file_is_gone_and_removing_it_again_is_no_fault() {
    let folder = tempfile::tempdir().unwrap();
    let files = storage(&folder.path().join("not made yet"));
    files.delete(&path("x")).await.unwrap();
    put(&files, &path("x"), b"1").await;
    files.delete(&path("x")).await.unwrap();
    files.delete(&path("x")).await.unwrap();
    assert!(matches!(files.open(&path("x")).await, Err(FileError::NotFound(_))));
    assert!(files.old_scratch(Timestamp::MAX).await.unwrap().is_empty());
}

#[tokio::test]
async fn links_are_not_followed_wherever_they_lead() {
    let folder = tempfile::tempdir().unwrap();
    let outside = folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), b"secret").unwrap();
    let root = folder.path().join("root");
    let files = storage(&root);
    put(&files, &path("in/x"), b"x").await;
    symlink(outside.join("secret"), root.join("in/link")).unwrap();
    symlink(&outside, root.join("folder")).unwrap();
    symlink("..", root.join("in/up")).unwrap();
    symlink("x", root.join("in/beside")).unwrap();
    for name in ["in/link", "folder/secret", "in/up/in/x", "in/beside", "in/x/y", "in"] {
        let name = path(name);
        for error in [
            files.open(&name).await.err(),
            files.metadata(&name).await.err(),
            files.local(&name, None).await.err(),
            files.read(&name, 9).await.err(),
        ] {
            assert!(matches!(error, Some(FileError::Refused { .. })), "{name}: {error:?}");
        }
    }
    // A write replaces the link, not what it leads to; a folder that is a link is not written into.
    put(&files, &path("in/link"), b"mine").await;
    assert_eq!(files.read(&path("in/link"), 9).await.unwrap(), b"mine");
    let mut writer = files.create(&path("folder/secret"), None).await.unwrap();
    writer.write(b"overwritten").await.unwrap();
    assert!(matches!(writer.finish().await, Err(FileError::Refused { .. })));
    assert!(matches!(files.delete(&path("folder/secret")).await, Err(FileError::Refused { .. })));
    assert_eq!(fs::read(outside.join("secret")).unwrap(), b"secret");
    assert_eq!(all_files(&outside), ["secret"]);
    assert_eq!(all_files(&root).iter().filter(|name| name.starts_with(".tmp")).count(), 0);
}

#[tokio::test]
async fn the_folder_itself_may_be_reached_by_a_link() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("real")).unwrap();
    symlink("real", folder.path().join("root")).unwrap();
    let files = storage(&folder.path().join("root"));
    put(&files, &path("a/x"), b"1").await;
    assert_eq!(files.read(&path("a/x"), 1).await.unwrap(), b"1");
    assert_eq!(all_files(&folder.path().join("real")), ["a/x"]);
}

#[tokio::test]
async fn a_pipe_in_the_folder_does_not_stop_a_reader() {
    let folder = tempfile::tempdir().unwrap();
    let status = std::process::Command::new("mkfifo").arg(folder.path().join("pipe")).status().unwrap();
    assert!(status.success());
    let error = storage(folder.path()).open(&path("pipe")).await.err();
    assert!(matches!(error, Some(FileError::Refused { .. })), "{error:?}");
}

fn produced_by() -> ProducedBy {
    ProducedBy { task: TaskId::made(at(0)), attempt: Attempt(12) }
}

#[tokio::test]
async fn a_scratch_file_that_a_killed_process_left_is_found_with_its_task() {
    let folder = tempfile::tempdir().unwrap();
    let files = storage(folder.path());
    let produced_by = produced_by();
    for owner in [Some(produced_by), None] {
        let mut writer = files.create(&path("x"), owner).await.unwrap();
        writer.write(b"half").await.unwrap();
        // As if the process had been killed: nobody drops it.
        std::mem::forget(writer);
    }
    let made = Timestamp::try_from(fs::metadata(folder.path().join(".tmp")).unwrap().modified().unwrap()).unwrap();
    let hour = SignedDuration::from_hours(1);
    assert!(files.old_scratch(made - hour).await.unwrap().is_empty());
    let old = files.old_scratch(made + hour).await.unwrap();
    let mut makers: Vec<_> = old.iter().map(|old| old.produced_by).collect();
    makers.sort_by_key(Option::is_some);
    assert_eq!(makers, [None, Some(produced_by)]);
    for old in &old {
        files.remove_scratch(old).await.unwrap();
        files.remove_scratch(old).await.unwrap();
    }
    assert_eq!(all_files(folder.path()), [] as [&str; 0]);
}

#[tokio::test]
async fn a_storage_that_cannot_be_written_says_so_and_another_attempt_may_help() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), b"").unwrap();
    let files = storage(&folder.path().join("file"));
    let error = files.create(&path("x"), None).await.err().unwrap();
    assert!(matches!(error, FileError::Unavailable(_)), "{error:?}");
    assert!(matches!(error.failure(), legwork_engine::domain::TaskFailure::Retry { .. }));
}
