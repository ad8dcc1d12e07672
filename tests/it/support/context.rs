//! A task's context without an engine.

use std::sync::Arc;

use legwork::files::{FileService, TaskFiles};
use legwork::kinds::upkeep::NoEngine;
use legwork::kinds::{NoChildren, ProgressSink, TaskContext};
use legwork::services::Services;
use legwork_engine::clock::Clock;
use legwork_engine::domain::{Attempt, KindName, Principal, Progress, TaskId};
use legwork_engine::store::transient::{TransientFiles, TransientLedger};
use tokio_util::sync::CancellationToken;

struct NoProgress;

impl ProgressSink for NoProgress {
    fn report(&self, _progress: Progress) {}
}

/// The first attempt of a task of `kind` over `services`, with ledgers of its own.
pub fn context(kind: &KindName, services: impl Into<Arc<Services>>, clock: Arc<dyn Clock>) -> TaskContext {
    let (ledger, services) = (Arc::new(TransientLedger::default()), services.into());
    let task = TaskId::made(clock.now());
    TaskContext {
        task,
        attempt: Attempt(1),
        kind: kind.clone(),
        submitted_at: clock.now(),
        retry_origin: None,
        retries_left: 0,
        deadline: None,
        ledger: ledger.clone(),
        effects: ledger.clone(),
        recipients: ledger,
        suppressions: None,
        files: TaskFiles {
            file_service: FileService::new(services.files.clone(), Arc::new(TransientFiles::default())),
            task,
            attempt: Attempt(1),
            principal: Principal::system().subject,
            clock: clock.clone(),
        },
        services,
        upkeep: Arc::new(NoEngine),
        clock,
        stop: CancellationToken::new(),
        progress: Arc::new(NoProgress),
        children: Arc::new(NoChildren),
    }
}
