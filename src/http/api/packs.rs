//! The packs that the server runs, and their reload.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use legwork_engine::domain::FieldError;
use legwork_pack::Pack;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::audit::AuditNote;
use super::super::error::ApiError;
use super::super::extract::{Admin, Reader};
use super::super::openapi;
use super::super::state::ApiState;
use super::schedules::sync::PackSync;
use crate::packs::{PackError, ReloadError};

/// A pack that the server runs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Pack)]
pub(in crate::http) struct PackView {
    /// The name.
    #[schema(example = "au-vlp")]
    name: String,
    /// The purpose, in words.
    description: String,
    /// The IANA zone of its schedules and dates.
    #[schema(example = "Africa/Accra")]
    timezone: String,
    /// The names of its kinds.
    #[schema(example = json!(["au_vlp.welcome"]))]
    kinds: Vec<String>,
    /// The names of the schedules that it declares.
    schedules: Vec<String>,
    /// The names of its databases.
    #[schema(example = json!(["app"]))]
    sources: Vec<String>,
}

impl PackView {
    fn of(pack: &Pack) -> Self {
        Self {
            name: pack.name.clone(),
            description: pack.description.clone(),
            timezone: pack.timezone.clone(),
            kinds: pack.kinds.iter().map(|kind| kind.name.clone()).collect(),
            schedules: pack.schedules.iter().map(|schedule| schedule.name.clone()).collect(),
            sources: pack.sources.iter().map(|source| source.name.clone()).collect(),
        }
    }
}

/// The packs.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct PackList {
    /// All packs, in the order of `PACKS`.
    items: Vec<PackView>,
    /// Always null: all packs are on one page.
    next_cursor: Option<String>,
}

/// The packs after a reload.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct PackReload {
    /// The packs that run now.
    items: Vec<PackView>,
    /// What was done to the schedules of each pack.
    schedules: Vec<PackSync>,
}

fn views(state: &ApiState) -> Vec<PackView> {
    state.packs.current().set().packs().iter().map(PackView::of).collect()
}

/// List the packs
///
/// The packs that this process runs.
#[utoipa::path(get, path = "/api/v1/packs", tag = "packs", operation_id = "listPacks",
    security(("bearer" = ["tasks:read"])), responses((status = 200, description = "The packs.", body = PackList)))]
pub(in crate::http) async fn list(_principal: Reader, State(state): State<ApiState>) -> Json<PackList> {
    Json(PackList { items: views(&state), next_cursor: None })
}

/// Reload the packs
///
/// Reads the folders of the packs anew. If all of them are right, their kinds, templates and schedules replace those that run; running attempts keep
/// theirs. If there is a mistake, nothing changes, and the answer is 422 with every mistake and its place; where a database does not answer, it is 409 (`source_away`). Sources and models need a restart. Only the process
/// that answers reloads: send SIGHUP to the others.
#[utoipa::path(post, path = "/api/v1/packs/reload", tag = "packs", operation_id = "reloadPacks",
    security(("bearer" = ["admin"])), responses((status = 200, description = "The packs that run now.", body = PackReload),
        (status = 409, response = openapi::Conflict), (status = 422, response = openapi::Invalid)))]
pub(in crate::http) async fn reload(_principal: Admin, State(state): State<ApiState>) -> Result<Response, ApiError> {
    let reports = state.packs.reload(&state.kinds, &state.services, &state.queue).await.map_err(refused)?;
    let schedules: Vec<PackSync> = reports.into_iter().map(|(pack, report)| PackSync::new(pack, report)).collect();
    let items = views(&state);
    let detail = format!("packs: {}, kinds: {}", items.len(), items.iter().map(|pack| pack.kinds.len()).sum::<usize>());
    Ok(AuditNote::detail(detail).on(Json(PackReload { items, schedules }).into_response()))
}

fn refused(error: ReloadError) -> ApiError {
    match error {
        ReloadError::Packs(PackError::Mistakes(mistakes)) => {
            ApiError::Invalid(mistakes.into_iter().map(|mistake| FieldError::new("", mistake)).collect())
        }
        ReloadError::Packs(error @ PackError::Away(_)) => ApiError::Conflict { code: "source_away", detail: error.to_string() },
        ReloadError::Source(_) => ApiError::Conflict { code: "source_changed", detail: error.to_string() },
        ReloadError::Schedules(_) => ApiError::Conflict { code: "schedules_not_kept", detail: error.to_string() },
    }
}
