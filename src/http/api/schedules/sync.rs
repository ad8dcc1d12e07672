//! Brings the schedules of packs in line with what they declare, as at the start of a server.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use legwork_engine::queue::declared::SyncReport;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::super::audit::AuditNote;
use super::super::super::error::ApiError;
use super::super::super::extract::Admin;
use super::super::super::state::ApiState;

/// What was done to the schedules of one pack.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct PackSync {
    /// The pack.
    #[schema(example = "au-vlp")]
    pack: String,
    /// The names of its schedules, by what was done.
    #[serde(flatten)]
    report: SyncReport,
}

impl PackSync {
    pub(in crate::http) fn new(pack: String, report: SyncReport) -> Self {
        Self { pack, report }
    }
}

/// What was done, pack by pack.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct ScheduleSync {
    /// The packs that the server has loaded.
    packs: Vec<PackSync>,
}

/// Synchronize the schedules of packs
///
/// Does what a start of the server does: makes the schedules that its packs declare and that are missing, and takes over what a pack changed. What an
/// administrator changed stays. Doing it twice changes nothing, and it never fires by itself.
#[utoipa::path(post, path = "/api/v1/schedules/sync", tag = "schedules", operation_id = "syncSchedules",
    security(("bearer" = ["admin"])), responses((status = 200, description = "What was done.", body = ScheduleSync)))]
pub(in crate::http) async fn sync(_principal: Admin, State(state): State<ApiState>) -> Result<Response, ApiError> {
    let reports = state.packs.sync_schedules(&state.queue).await?;
    let packs: Vec<PackSync> = reports.into_iter().map(|(pack, report)| PackSync { pack, report }).collect();
    let count = |names: fn(&SyncReport) -> &Vec<String>| packs.iter().map(|one| names(&one.report).len()).sum::<usize>();
    let detail = format!(
        "{} added, {} changed, {} disabled",
        count(|report| &report.added),
        count(|report| &report.changed),
        count(|report| &report.disabled)
    );
    Ok(AuditNote::detail(detail).on(Json(ScheduleSync { packs }).into_response()))
}
