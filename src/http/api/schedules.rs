//! Schedules and the maintenance switch.
//!
//! Reading takes `tasks:read`. `tasks:control` may enable, disable and run what exists; making, changing and deleting schedules decides which work is
//! done and takes `admin`, as does the maintenance switch.

#![expect(unused_qualifications, reason = "utoipa's macro writes longer paths than it needs to, in our name")]

mod body;
mod members;
pub(in crate::http) mod sync;
mod view;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use legwork_engine::domain::{FieldError, Maintenance, Principal, ScheduleId, Scope, TaskId};
use legwork_engine::store::{ScheduleFilter, ScheduleKey};
use legwork_schedule::FiringPlan;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::super::error::ApiError;
use super::super::extract::{Admin, Controller, JsonBytes, JsonOf, NamePath, Reader, principal_with};
use super::super::openapi;
use super::super::params::{Params, shortened};
use super::super::state::ApiState;
use super::PREFIX;
use body::{ScheduleBody, TIMING_FIELDS, TimingBody};
use members::Members;
use view::{FiringList, FiringView, NextRun, ScheduleList, ScheduleView, UnreadableView, next_runs};

/// So many coming firings are shown of a schedule.
const NEXT_RUNS: usize = 5;
/// So many a preview shows at most.
const MOST_PREVIEWED: i64 = 100;
/// So many it shows where nothing is said.
const PREVIEWED: usize = 10;

fn key(text: &str) -> ScheduleKey {
    text.parse::<ScheduleId>().map_or_else(|_| ScheduleKey::Name(text.to_owned()), ScheduleKey::Id)
}

/// Which schedules, and which page of them.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the query is parsed by name, so that all errors are told at once; the struct describes it")]
pub(in crate::http) struct SchedulesQuery {
    /// Enabled ones, or disabled ones.
    enabled: Option<bool>,
    /// Declared by this pack.
    #[param(min_length = 1, max_length = 100, pattern = "^[^\\x00]+$", example = "au-vlp")]
    pack: Option<String>,
    /// With this text in the name, in any case.
    #[param(min_length = 1, max_length = 200, pattern = "^[^\\x00]+$")]
    q: Option<String>,
    /// At most so many.
    #[param(minimum = 1, maximum = 500, default = 100)]
    limit: Option<u32>,
    /// Where the page starts: `next_cursor` of the page before.
    #[param(min_length = 2, max_length = 1200, pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
}

/// The schedules
///
/// By name, each with its timing in words, its coming runs and its last firing. Stored schedules that this version cannot read are listed apart.
#[utoipa::path(get, path = "/api/v1/schedules", tag = "schedules", operation_id = "listSchedules",
    security(("bearer" = ["tasks:read"])), params(SchedulesQuery),
    responses((status = 200, description = "A page of schedules.", body = ScheduleList)))]
pub(in crate::http) async fn list(
    Reader(principal): Reader,
    State(state): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Json<ScheduleList>, ApiError> {
    let mut params = Params::of(query.as_deref());
    let (enabled, pack) = (params.switch("enabled"), params.text("pack", 100));
    let text = params.text("q", 200).map(|text| text.to_lowercase());
    let limit = params.number("limit", 1..=500).unwrap_or(100_u32);
    let after = params.one("cursor", |text| {
        let name = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        name.filter(|name| !name.contains('\0'))
            .ok_or_else(|| format!("{:?} is not a cursor; take it from next_cursor of the page before", shortened(text)))
    });
    params.finish()?;
    let mut rows = state.queue.schedules(&ScheduleFilter { enabled, pack, text, after }, limit + 1).await?;
    let has_more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let name_of_last = rows.last().map(|last| last.as_ref().map_or_else(|row| &row.name, |row| &row.name));
    let next_cursor = name_of_last.filter(|_| has_more).map(|name| URL_SAFE_NO_PAD.encode(name));
    let (mut items, mut unreadable) = (Vec::with_capacity(rows.len()), Vec::new());
    for row in rows {
        match row {
            Ok(row) => items.push(ScheduleView::of(row, &state, &principal).await?),
            Err(row) => unreadable.push(UnreadableView::from(*row)),
        }
    }
    Ok(Json(ScheduleList { items, unreadable, next_cursor }))
}

/// Make a schedule
///
/// Exactly one of `crontab`, `interval`, `clocked` and `solar` says when. The args are checked by the kind now, and again at each firing. The first
/// firing lies in the future: making a schedule never fires by itself.
#[utoipa::path(post, path = "/api/v1/schedules", tag = "schedules", operation_id = "createSchedule",
    security(("bearer" = ["admin"])), request_body = ScheduleBody,
    responses((status = 201, description = "The schedule.", body = ScheduleView,
        headers(("Location" = String, description = "Its address."))), (status = 409, response = openapi::Conflict)))]
pub(in crate::http) async fn create(
    headers: HeaderMap,
    State(state): State<ApiState>,
    JsonBytes(body): JsonBytes,
) -> Result<Response, ApiError> {
    let principal = principal_with(Scope::Admin, &headers, &state)?;
    let body = ScheduleBody::parse(Members::parse(&body)?).map_err(ApiError::Invalid)?;
    let draft = body.draft(&state.config.timezone, state.now()).map_err(ApiError::Invalid)?;
    let row = state.queue.create_schedule(draft, principal.subject.clone()).await?;
    let location = format!("{PREFIX}/schedules/{}", row.id);
    let view = ScheduleView::of(row, &state, &principal).await?;
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(view)).into_response())
}

/// A schedule
///
/// With its timing in words, its coming runs and its last firing.
#[utoipa::path(get, path = "/api/v1/schedules/{schedule}", tag = "schedules", operation_id = "getSchedule",
    security(("bearer" = ["tasks:read"])), params(openapi::ScheduleParam),
    responses((status = 200, description = "The schedule.", body = ScheduleView)))]
pub(in crate::http) async fn show(
    Reader(principal): Reader,
    State(state): State<ApiState>,
    NamePath(name): NamePath,
) -> Result<Json<ScheduleView>, ApiError> {
    let row = state.queue.schedule(&key(&name)).await?;
    Ok(Json(ScheduleView::of(row, &state, &principal).await?))
}

/// Change a schedule
///
/// The fields of the body replace those of the schedule; null takes a field away. A field of another timing replaces the timing. The change counts within
/// five seconds and never fires by itself. A change of the times (timing, `start`, `end`, `one_off`, `jitter`, `enabled`) plans anew from now on: what it passes over is
/// recorded as missed. Any other change leaves the planned times as they are. An arg that is sent as `[sensitive]` keeps its value.
#[utoipa::path(patch, path = "/api/v1/schedules/{schedule}", tag = "schedules", operation_id = "updateSchedule",
    security(("bearer" = ["admin"])), params(openapi::ScheduleParam), request_body = body::SchedulePatch,
    responses((status = 200, description = "The schedule.", body = ScheduleView), (status = 409, response = openapi::Conflict)))]
pub(in crate::http) async fn change(
    _principal: Admin,
    State(state): State<ApiState>,
    NamePath(name): NamePath,
    JsonBytes(body): JsonBytes,
) -> Result<Json<ScheduleView>, ApiError> {
    let patch = Members::parse(&body)?;
    let now = state.now();
    let changed = state.queue.change_schedule(&key(&name), |row| body::patched(row, &patch, &state.config.timezone, now)).await?;
    Ok(Json(ScheduleView::of(changed, &state, &Principal::system()).await?))
}

/// Delete a schedule
///
/// Its firings are deleted with it; its tasks stay. A schedule that a pack declares comes back with the next synchronization: disable it instead.
#[utoipa::path(delete, path = "/api/v1/schedules/{schedule}", tag = "schedules", operation_id = "deleteSchedule",
    security(("bearer" = ["admin"])), params(openapi::ScheduleParam),
    responses((status = 204, description = "It is deleted.")))]
pub(in crate::http) async fn delete(
    _principal: Admin,
    State(state): State<ApiState>,
    NamePath(name): NamePath,
) -> Result<StatusCode, ApiError> {
    state.queue.delete_schedule(&key(&name)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Enable a schedule
///
/// It fires at its next nominal time. What was due while it was disabled is not made up for.
#[utoipa::path(post, path = "/api/v1/schedules/{schedule}/enable", tag = "schedules", operation_id = "enableSchedule",
    security(("bearer" = ["tasks:control"])), params(openapi::ScheduleParam),
    responses((status = 200, description = "The schedule.", body = ScheduleView), (status = 409, response = openapi::Conflict)))]
pub(in crate::http) async fn enable(
    Controller(principal): Controller,
    State(state): State<ApiState>,
    NamePath(name): NamePath,
) -> Result<Json<ScheduleView>, ApiError> {
    let row = state.queue.enable_schedule(&key(&name)).await?;
    Ok(Json(ScheduleView::of(row, &state, &principal).await?))
}

/// Disable a schedule
///
/// It does not fire until it is enabled. Its tasks go on. A stored schedule that this version cannot read is disabled too; there is nothing to show of it.
#[utoipa::path(post, path = "/api/v1/schedules/{schedule}/disable", tag = "schedules", operation_id = "disableSchedule",
    security(("bearer" = ["tasks:control"])), params(openapi::ScheduleParam),
    responses((status = 200, description = "The schedule.", body = ScheduleView),
        (status = 204, description = "It is disabled, and this version cannot read it."), (status = 409, response = openapi::Conflict)))]
pub(in crate::http) async fn disable(
    Controller(principal): Controller,
    State(state): State<ApiState>,
    NamePath(name): NamePath,
) -> Result<Response, ApiError> {
    match state.queue.disable_schedule(&key(&name)).await? {
        Some(row) => Ok(Json(ScheduleView::of(row, &state, &principal).await?).into_response()),
        None => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}

/// The task of a manual firing.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct ScheduleRun {
    /// The schedule.
    #[schema(value_type = uuid::Uuid)]
    schedule_id: ScheduleId,
    /// The task that was made.
    #[schema(value_type = uuid::Uuid)]
    task_id: TaskId,
    /// The state of the task: `PENDING`.
    #[schema(example = "PENDING")]
    status: &'static str,
    /// Where the status of the task is read.
    #[schema(example = "/api/v1/tasks/status/0198c5a4-7d1e-7c3a-9f00-2b8d1c6e4a57")]
    status_url: String,
}

/// Run a schedule now
///
/// Makes one task now, whether the schedule is enabled or not. Its nominal times are not touched. A kind that only an administrator may submit takes the
/// scope `admin`. The firing records who ran it.
#[utoipa::path(post, path = "/api/v1/schedules/{schedule}/run", tag = "schedules", operation_id = "runSchedule",
    security(("bearer" = ["tasks:control"])), params(openapi::ScheduleParam),
    responses((status = 202, description = "The task is durable.", body = ScheduleRun), (status = 409, response = openapi::Conflict)))]
pub(in crate::http) async fn run(
    Controller(principal): Controller,
    State(state): State<ApiState>,
    NamePath(name): NamePath,
) -> Result<Response, ApiError> {
    let row = state.queue.schedule(&key(&name)).await?;
    // Who may not submit the kind may not have it submitted either.
    if let Some(kind) = state.kinds.get(&row.spec.kind)
        && kind.scope == Scope::Admin
        && !principal.may(Scope::Admin)
    {
        return Err(ApiError::MissingScope(Scope::Admin));
    }
    let task_id = state.queue.run_schedule(&row, &principal.subject).await?;
    let status_url = format!("{PREFIX}/tasks/status/{task_id}");
    let run = ScheduleRun { schedule_id: row.id, task_id, status: "PENDING", status_url: status_url.clone() };
    Ok((StatusCode::ACCEPTED, [(LOCATION, status_url)], Json(run)).into_response())
}

/// Which page of firings.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the query is parsed by name, so that all errors are told at once; the struct describes it")]
pub(in crate::http) struct FiringsQuery {
    /// At most so many.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u32>,
    /// Where the page starts: `next_cursor` of the page before, a nominal time.
    #[param(value_type = Option<Timestamp>)]
    cursor: Option<String>,
}

/// The firings of a schedule
///
/// What became of each nominal time, the newest first, and why. Firings are kept for 90 days.
#[utoipa::path(get, path = "/api/v1/schedules/{schedule}/firings", tag = "schedules", operation_id = "listScheduleFirings",
    security(("bearer" = ["tasks:read"])), params(openapi::ScheduleParam, FiringsQuery),
    responses((status = 200, description = "A page of firings.", body = FiringList)))]
pub(in crate::http) async fn firings(
    _principal: Reader,
    State(state): State<ApiState>,
    NamePath(name): NamePath,
    RawQuery(query): RawQuery,
) -> Result<Json<FiringList>, ApiError> {
    let mut params = Params::of(query.as_deref());
    let limit = params.number("limit", 1..=500).unwrap_or(50_u32);
    let before = params.one("cursor", |text| {
        text.parse::<Timestamp>()
            .map_err(|_| format!("{:?} is not a cursor; take it from next_cursor of the page before", shortened(text)))
    });
    params.finish()?;
    let row = state.queue.schedule(&key(&name)).await?;
    let mut firings = state.queue.firings(row.id, before, limit + 1).await?;
    let has_more = firings.len() > limit as usize;
    firings.truncate(limit as usize);
    let next_cursor = firings.last().filter(|_| has_more).map(|last| last.nominal.to_string());
    Ok(Json(FiringList { items: firings.into_iter().map(FiringView::from).collect(), next_cursor }))
}

/// A timing to be shown before it is saved.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "the members are parsed apart, so that each wrong one is named; the struct describes them")]
pub(in crate::http) struct PreviewBody {
    /// When, as in a schedule.
    #[serde(flatten)]
    timing: TimingBody,
    /// How many coming instants are shown, 1 to 100. Default: 10.
    #[schema(minimum = 1, maximum = 100, default = 10)]
    count: Option<u8>,
}

/// What a timing means.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Preview {
    /// The timing in words.
    #[schema(example = "At 09:00 on Monday (Africa/Accra)")]
    description: String,
    /// The coming instants.
    next_runs: Vec<NextRun>,
}

/// Preview a timing
///
/// The timing in words, and its coming instants with their offsets from UTC, so that changes of the clocks are seen before they matter.
#[utoipa::path(post, path = "/api/v1/schedules/preview", tag = "schedules", operation_id = "previewSchedule",
    security(("bearer" = ["tasks:read"])), request_body = PreviewBody,
    responses((status = 200, description = "What it means.", body = Preview)))]
pub(in crate::http) async fn preview(
    _principal: Reader,
    State(state): State<ApiState>,
    JsonBytes(body): JsonBytes,
) -> Result<Json<Preview>, ApiError> {
    let mut members = Members::parse(&body)?;
    let mut errors = members.unknown(&[&TIMING_FIELDS[..], &["count"]].concat());
    if members.has_args {
        errors.push(FieldError::unknown("", "args", &TIMING_FIELDS));
    }
    errors.extend(members.take_bad_number("count", 1, MOST_PREVIEWED));
    let count = members.values.remove("count").and_then(|count| count.as_u64()).and_then(|count| usize::try_from(count).ok());
    let now = state.now();
    let timing = TimingBody::take(&mut members).and_then(|timing| timing.timing(&state.config.timezone, now));
    let timing = match timing {
        Ok(timing) if errors.is_empty() => timing,
        timing => {
            errors.extend(timing.err().unwrap_or_default());
            return Err(ApiError::Invalid(errors));
        }
    };
    let description = timing.describe();
    let zone = timing.timezone().clone();
    let plan = FiringPlan::new(timing);
    Ok(Json(Preview { description, next_runs: next_runs(&plan, &zone, now, count.unwrap_or(PREVIEWED)) }))
}

/// Whether maintenance is on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Maintenance)]
pub(in crate::http) struct MaintenanceView {
    /// Whether all firings and all fetching are stopped.
    on: bool,
    /// Since when; null while it is off.
    since: Option<Timestamp>,
    /// The reason that was given.
    #[schema(example = "database upgrade")]
    reason: Option<String>,
    /// Who switched it on.
    principal: Option<String>,
}

impl From<Option<Maintenance>> for MaintenanceView {
    fn from(on: Option<Maintenance>) -> Self {
        match on {
            Some(on) => Self { on: true, since: Some(on.since), reason: Some(on.reason), principal: Some(on.principal) },
            None => Self { on: false, since: None, reason: None, principal: None },
        }
    }
}

/// The switch.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct MaintenanceBody {
    /// Whether all firings and all fetching are to be stopped.
    on: bool,
    /// The reason, at most 500 characters, which is shown to everybody who asks.
    #[serde(default)]
    #[schema(max_length = 500, pattern = "^[^\\x00]*$", example = "database upgrade")]
    reason: String,
}

/// The longest reason, in characters.
const LONGEST_REASON: usize = 500;

/// The maintenance switch
///
/// Whether all firings and all fetching are stopped, since when, why and by whom.
#[utoipa::path(get, path = "/api/v1/maintenance", tag = "schedules", operation_id = "getMaintenance",
    security(("bearer" = ["tasks:read"])),
    responses((status = 200, description = "Whether it is on.", body = MaintenanceView)))]
pub(in crate::http) async fn maintenance(
    _principal: Reader,
    State(state): State<ApiState>,
) -> Result<Json<MaintenanceView>, ApiError> {
    Ok(Json(state.queue.maintenance().await?.into()))
}

/// Switch maintenance on or off
///
/// While it is on, no schedule fires and no worker fetches a task; submissions are taken, and running tasks go on. It counts within two seconds on every
/// machine. After it, missed firings follow the policy of their schedule.
#[utoipa::path(put, path = "/api/v1/maintenance", tag = "schedules", operation_id = "setMaintenance",
    security(("bearer" = ["admin"])), request_body = MaintenanceBody,
    responses((status = 200, description = "Whether it is on.", body = MaintenanceView)))]
pub(in crate::http) async fn set_maintenance(
    headers: HeaderMap,
    State(state): State<ApiState>,
    JsonOf(MaintenanceBody { on, reason }): JsonOf<MaintenanceBody>,
) -> Result<Json<MaintenanceView>, ApiError> {
    let principal = principal_with(Scope::Admin, &headers, &state)?;
    if reason.chars().count() > LONGEST_REASON || reason.contains('\0') {
        return Err(ApiError::field("/reason", format!("must be a text of at most {LONGEST_REASON} characters, without NUL")));
    }
    let switched = state.queue.set_maintenance(on.then_some(reason), &principal.subject).await?;
    Ok(Json(switched.into()))
}
