//! `files.prune`: removes expired files now. The scheduler does it by itself every few minutes.

use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::upkeep::PrunedFiles;
use super::{Kind, TaskContext};
use legwork_engine::domain::TaskFailure;

/// Args of `files.prune`: none.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = FilesPruneArgs)]
#[serde(deny_unknown_fields)]
pub struct PruneFiles {}

impl Kind for PruneFiles {
    const NAME: &'static str = "files.prune";
    const DESCRIPTION: &'static str = "Removes stored files that have expired, old exports and reports that are on no list, and \
        temporary files that failed, killed or revoked tasks have left.";
    const NEEDS_ENGINE: bool = true;

    fn example() -> Value {
        json!({})
    }

    async fn run(self, cx: TaskContext) -> Result<Value, TaskFailure> {
        let mut all = PrunedFiles::default();
        loop {
            let step = cx.or_cancelled(cx.upkeep.prune_files()).await?.map_err(crate::files::FileError::failure)?;
            all.expired += step.expired;
            all.unlisted += step.unlisted;
            all.temporary += step.temporary;
            if !step.has_more {
                break;
            }
            cx.report_progress(all.expired as u64, None, None);
        }
        let PrunedFiles { expired, unlisted, temporary, .. } = all;
        let message = format!("{expired} expired, {unlisted} unlisted and {temporary} temporary files are removed");
        Ok(json!({ "success": true, "message": message, "expired": expired, "unlisted": unlisted, "temporary": temporary }))
    }
}
