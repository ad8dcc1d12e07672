//! Changes of many rows of the application, a batch a transaction.

use crate::kinds::OrFail as _;
use std::future::Future;

use serde_json::Value;

use super::TaskContext;
use legwork_engine::domain::TaskFailure;
use legwork_source::model::{FieldRole, Model, ModelField};
use legwork_source::{Batch, SourceError};

/// Rows in one transaction: few enough to lock nobody out for long.
pub const BATCH_ROWS: u32 = 500;

/// Takes batch after batch until all is done: how many rows were changed. `done` is what was changed before, for the progress.
pub async fn all_of<F, Fut>(cx: &TaskContext, done: u64, step: F) -> Result<u64, TaskFailure>
where
    F: Fn(Option<Value>) -> Fut,
    Fut: Future<Output = Result<Batch, SourceError>>,
{
    let mut changed = 0;
    let mut after = None;
    loop {
        cx.checkpoint()?;
        let batch = step(after).await.or_fail()?;
        changed += batch.rows;
        if batch.rows > 0 {
            cx.report_progress(done + changed, None, None);
        }
        after = batch.next;
        if after.is_none() {
            return Ok(changed);
        }
    }
}

/// The field of a model with a role, which its declaration has to have.
pub fn field(model: &Model, role: FieldRole) -> Result<&ModelField, SourceError> {
    model.field_with(role).ok_or_else(|| {
        SourceError::Undeclared(format!("no field of the model {} has the role {role}; declare it in SOURCES", model.name))
    })
}

/// A named value of the status of a model, which its declaration has to have.
pub fn named_value<'m>(model: &'m Model, name: &str) -> Result<&'m Value, SourceError> {
    model.values.get(name).ok_or_else(|| {
        SourceError::Undeclared(format!("the model {} names no value {name:?} of its status; declare it in SOURCES", model.name))
    })
}
