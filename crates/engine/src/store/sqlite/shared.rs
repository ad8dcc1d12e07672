//! The shared commit: batches that stand in line for the writer go into one transaction, and one sync of the disk serves them all.
//!
//! Who has written its part leaves the transaction open and stands in line again; whoever stood there meanwhile adds its own part. The first
//! that comes back commits for all. The line is fair, so nobody waits for more than it held, and at low load a part is committed at once.
//!
//! A part that fails or is dropped half-way is undone alone, by whoever takes the writer next: the first part of a transaction by a rollback,
//! a later one by a savepoint.

use std::sync::{Arc, OnceLock};

use sqlx::SqliteConnection;
use tokio::sync::{MutexGuard, OwnedMutexGuard};

use super::statement_error::StatementError;
use super::{BEGIN, SqliteStore, Writer, closed};
use crate::store::{StoreError, StoreResult};

/// An open transaction that several writes share.
#[derive(Debug)]
pub(super) struct Group {
    /// What became of it, for those who have a part in it.
    outcome: Arc<OnceLock<StoreResult<()>>>,
    /// The part that was started and not finished.
    unfinished: Option<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    First,
    Later,
}

/// A part of a shared transaction. Dropped before its commit, it is undone.
pub(super) struct SharedWrite<'a> {
    store: &'a SqliteStore,
    guard: MutexGuard<'a, Option<Writer>>,
}

impl SqliteStore {
    /// The writer, within a transaction whose commit may be shared.
    pub(super) async fn shared(&self) -> Result<SharedWrite<'_>, StatementError> {
        let mut guard = self.writer.lock().await;
        let writer = guard.as_mut().ok_or_else(closed)?;
        writer.undo_unfinished().await;
        if let Some(group) = &mut writer.group {
            // It is never released: undoing twice must do no harm, and the commit ends them all.
            execute(&mut writer.connection, "SAVEPOINT part").await?;
            group.unfinished = Some(Part::Later);
        } else {
            // Set before it is begun: who is dropped in between leaves a transaction that the next one undoes.
            writer.group = Some(Group { outcome: Arc::default(), unfinished: Some(Part::First) });
            if let Err(error) = execute(&mut writer.connection, BEGIN).await {
                let reason = StoreError::from(error).to_string();
                writer.replace_connection(&self.writing, &reason).await?;
                execute(&mut writer.connection, BEGIN).await?;
            }
        }
        Ok(SharedWrite { store: self, guard })
    }
}

impl SharedWrite<'_> {
    /// The connection, within the transaction.
    pub(super) fn connection(&mut self) -> Result<&mut SqliteConnection, StatementError> {
        self.guard.as_mut().map(|writer| &mut writer.connection).ok_or_else(closed)
    }

    /// Returns once the part is on the disk.
    pub(super) async fn commit(mut self) -> Result<(), StatementError> {
        let group = self.guard.as_mut().and_then(|writer| writer.group.as_mut()).ok_or_else(closed)?;
        group.unfinished = None;
        let outcome = group.outcome.clone();
        let Self { store, guard } = self;
        drop(guard);
        let guard = store.writer.clone().lock_owned().await;
        // Once it has an outcome, the open transaction, if there is one, is another.
        if outcome.get().is_none() {
            drop(with_group_ended(guard).await);
        }
        Ok(outcome.get().cloned().ok_or_else(closed)??)
    }
}

/// The writer without an open transaction. It is committed aside: a future that was dropped within a commit would leave nobody who knows
/// what became of it.
/// `None` where the process is ending and the runtime with it.
pub(super) async fn with_group_ended(mut guard: OwnedMutexGuard<Option<Writer>>) -> Option<OwnedMutexGuard<Option<Writer>>> {
    if guard.as_ref().is_none_or(|writer| writer.group.is_none()) {
        return Some(guard);
    }
    let ended = tokio::spawn(async move {
        if let Some(writer) = guard.as_mut() {
            writer.end_group().await;
        }
        guard
    });
    ended.await.ok()
}

impl Writer {
    /// Commits the open transaction, if there is one, and says so to those who have a part in it.
    async fn end_group(&mut self) {
        self.undo_unfinished().await;
        if let Some(group) = &self.group {
            let outcome = group.outcome.clone();
            match execute(&mut self.connection, "COMMIT").await {
                Ok(()) => self.conclude(&outcome, Ok(())),
                Err(error) => self.give_up(&outcome, error).await,
            }
        }
    }

    /// Takes back what an unfinished part has written.
    async fn undo_unfinished(&mut self) {
        let Some(Group { outcome, unfinished: Some(part) }) = &self.group else { return };
        let (outcome, part) = (outcome.clone(), *part);
        if part == Part::First {
            // Nobody else has a part in it.
            return self.give_up(&outcome, StatementError::Other(StoreError::Unavailable("the write was given up".into()))).await;
        }
        match execute(&mut self.connection, "ROLLBACK TO part").await {
            Ok(()) => {
                if let Some(group) = &mut self.group {
                    group.unfinished = None;
                }
            }
            // SQLite has undone the whole transaction itself: a full disk, an error of the disk.
            Err(error) => self.give_up(&outcome, error).await,
        }
    }

    async fn give_up(&mut self, outcome: &OnceLock<StoreResult<()>>, error: StatementError) {
        // It fails where there is nothing left to undo.
        drop(execute(&mut self.connection, "ROLLBACK").await);
        self.conclude(outcome, Err(error.into()));
    }

    fn conclude(&mut self, outcome: &OnceLock<StoreResult<()>>, result: StoreResult<()>) {
        self.group = None;
        // It has none yet: only who holds the writer concludes, and then the group is gone.
        drop(outcome.set(result));
    }
}

async fn execute(connection: &mut SqliteConnection, sql: &'static str) -> Result<(), StatementError> {
    sqlx::raw_sql(sql).execute(connection).await?;
    Ok(())
}
