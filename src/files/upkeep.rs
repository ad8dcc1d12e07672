//! Removes files that have expired, and those that nobody needs.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use legwork_engine::clock::Clock;
use legwork_engine::domain::TaskStatus;
use legwork_engine::scheduler::run_duty;
use legwork_engine::shutdown::Shutdown;
use legwork_engine::store::{SharedStore, StoreError, StoreResult};

use super::{FileError, FileResult, FileService, RemovedExpired};

/// How often expired and unneeded files are looked for.
const PRUNE_FILES_EVERY: Duration = Duration::from_mins(10);
/// Expired files that one step removes at most.
const PRUNE_BATCH: u32 = 1_000;
/// A temporary file that was not written for this long is removed, unless its attempt still runs.
const SCRATCH_KEPT: SignedDuration = SignedDuration::from_hours(1);
/// The folders in which every file expires. A file there that is on no list was made by `legwork run`, which keeps no list.
const EXPIRING: [&str; 2] = ["exports", "reports"];

/// What one step has removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrunedFiles {
    /// Files that had expired.
    pub expired: usize,
    /// Old exports and reports that were on no list.
    pub unlisted: usize,
    /// Temporary files that nobody needs any more.
    pub temporary: usize,
    /// Whether more files have expired. Until that is over, a step removes only those.
    pub has_more: bool,
}

/// Removes files of one storage and its list.
#[derive(Clone)]
pub struct FileUpkeep {
    file_service: FileService,
    store: SharedStore,
    clock: Arc<dyn Clock>,
    export_retention: Duration,
}

impl FileUpkeep {
    /// `export_retention` is how long exports and reports are kept that are on no list.
    pub fn new(file_service: FileService, store: SharedStore, clock: Arc<dyn Clock>, export_retention: Duration) -> Self {
        Self { file_service, store, clock, export_retention }
    }

    /// Removes expired files; once none is left also exports and reports that are on no list, and temporary files of this machine that
    /// nobody needs. A file that cannot be removed does not hold up the others; the first error is returned.
    pub async fn prune_once(&self) -> FileResult<PrunedFiles> {
        let expired = self.file_service.remove_expired(self.clock.now(), PRUNE_BATCH).await;
        if let Ok(RemovedExpired { count: expired, has_more: true }) = expired {
            return Ok(PrunedFiles { expired, has_more: true, ..PrunedFiles::default() });
        }
        let unlisted = self.prune_unlisted().await;
        let temporary = self.prune_scratch_once().await;
        Ok(PrunedFiles { expired: expired?.count, unlisted: unlisted?, temporary: temporary?, has_more: false })
    }

    async fn prune_unlisted(&self) -> FileResult<usize> {
        let Ok(before) = self.clock.now().checked_sub(self.export_retention) else { return Ok(0) };
        let (mut removed, mut failure) = (0, None);
        for folder in EXPIRING {
            match self.file_service.remove_unlisted(folder, before).await {
                Ok(count) => removed += count,
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(removed), Err)
    }

    /// Removes temporary files of this machine that were not written for an hour and whose attempt does not run; returns how many.
    pub async fn prune_scratch_once(&self) -> FileResult<usize> {
        let now = self.clock.now();
        let files = self.file_service.storage();
        let (mut removed, mut failure) = (0, None);
        for old in files.old_scratch(now.checked_sub(SCRATCH_KEPT).unwrap_or(now)).await? {
            let row = match old.produced_by {
                Some(produced_by) => self.store.find(produced_by.task).await?,
                None => None,
            };
            let attempt = old.produced_by.map(|produced_by| produced_by.attempt);
            if row.is_none_or(|row| row.status != TaskStatus::Started || Some(row.attempt) != attempt) {
                match files.remove_scratch(&old).await {
                    Ok(()) => removed += 1,
                    Err(error) => failure = failure.or(Some(error)),
                }
            }
        }
        failure.map_or(Ok(removed), Err)
    }

    /// Removes files until none is left that can be removed; returns how many were.
    pub async fn prune(&self) -> StoreResult<usize> {
        let mut removed = 0;
        loop {
            let step = self.prune_once().await.map_err(as_store_error)?;
            removed += step.expired + step.unlisted + step.temporary;
            if !step.has_more {
                return Ok(removed);
            }
        }
    }

    /// Prunes every ten minutes until `shutdown`. A process without the scheduler's role removes only the temporary files of its machine.
    pub fn start(self, is_scheduler: bool, shutdown: &Shutdown) {
        let until = shutdown.clone();
        shutdown.spawn(async move {
            let clock = self.clock.clone();
            if is_scheduler {
                run_duty("prune_files", PRUNE_FILES_EVERY, until, clock, || self.prune()).await;
            } else {
                let step = || async { self.prune_scratch_once().await.map_err(as_store_error) };
                run_duty("prune_scratch", PRUNE_FILES_EVERY, until, clock, step).await;
            }
        });
    }
}

fn as_store_error(error: FileError) -> StoreError {
    match error {
        FileError::Registry(error) => error,
        error => StoreError::Unavailable(error.to_string()),
    }
}
