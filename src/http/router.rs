//! All routes, once: the router and the document are both made from this list.

use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Router, middleware};
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::normalize_path::NormalizePath;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;

use super::api::{
    PREFIX, audit, auth, events, files, packs, queues, recipients, schedules, submit, suppressions, tasks, workers,
};
use super::error::ApiError;
use super::middleware::request_layer;
use super::state::ApiState;
use super::{docs, health, openapi};
use crate::kinds::KindSet;

/// The whole API as a service: paths answer with and without a slash at the end.
pub type Service = NormalizePath<Router>;

/// Health, readiness and metrics: also of a process that serves no tasks.
fn probes() -> Vec<UtoipaMethodRouter<ApiState>> {
    vec![routes!(health::healthz), routes!(health::readyz), routes!(health::metrics)]
}

/// Everything with a token, and the login.
fn operations() -> Vec<UtoipaMethodRouter<ApiState>> {
    vec![
        routes!(submit::submit_task, tasks::list),
        routes!(submit::submit_batch),
        routes!(tasks::status),
        routes!(tasks::detail, tasks::change),
        routes!(tasks::retry),
        routes!(events::events),
        routes!(recipients::recipients),
        routes!(tasks::revoke),
        routes!(tasks::kinds),
        routes!(workers::workers),
        routes!(workers::drain),
        routes!(workers::shutdown),
        routes!(queues::list),
        routes!(queues::change),
        routes!(queues::pause),
        routes!(queues::resume),
        routes!(queues::purge),
        routes!(schedules::list, schedules::create),
        routes!(schedules::preview),
        routes!(schedules::sync::sync),
        routes!(schedules::show, schedules::change, schedules::delete),
        routes!(schedules::enable),
        routes!(schedules::disable),
        routes!(schedules::run),
        routes!(schedules::firings),
        routes!(schedules::maintenance, schedules::set_maintenance),
        routes!(packs::list),
        routes!(packs::reload),
        routes!(suppressions::list, suppressions::add),
        routes!(suppressions::remove),
        routes!(suppressions::ask, suppressions::unsubscribe),
        routes!(files::upload),
        routes!(files::fetch, files::remove),
        routes!(audit::list),
        routes!(auth::login),
        routes!(auth::create_user),
        routes!(auth::revoke_token),
    ]
}

/// The schemas that the operations bring, each time that they bring them: for the test that no two types share a name.
#[cfg(test)]
pub(super) fn schemas_brought() -> Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::Schema>)> {
    probes().into_iter().chain(operations()).flat_map(|(schemas, _, _)| schemas).collect()
}

/// The routes with their part of the document.
pub(super) fn routes(kinds: &KindSet) -> OpenApiRouter<ApiState> {
    let documented = probes().into_iter().chain(operations());
    let router = documented.fold(OpenApiRouter::with_openapi(openapi::frame()), OpenApiRouter::routes);
    // Their part of the document is made from the registry.
    kinds.public().filter_map(|kind| kind.route.map(|route| (kind, format!("{PREFIX}/tasks{route}")))).fold(
        router,
        |router, (kind, path)| {
            let method = submit::typed_route(&kind, &path);
            router.route(&path, method)
        },
    )
}

/// The API in front of `state`.
pub fn router(state: ApiState) -> Service {
    let routes = if state.serves_tasks {
        let (api, _) = routes(&state.kinds).split_for_parts();
        api.merge(docs::routes()).merge(crate::dashboard::routes())
    } else {
        let only = probes().into_iter().fold(OpenApiRouter::default(), OpenApiRouter::routes);
        only.split_for_parts().0.route("/", get(docs::index))
    };
    let mut routes = routes.fallback(no_route).layer(middleware::from_fn_with_state(state.clone(), request_layer));
    if !state.config.cors_origins.is_empty() {
        routes = routes.layer(cors(&state.config.cors_origins));
    }
    NormalizePath::trim_trailing_slash(routes.with_state(state))
}

/// People get a page, programs a problem.
async fn no_route(uri: Uri, headers: HeaderMap) -> Response {
    let is_browser =
        headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).is_some_and(|accept| accept.contains("text/html"));
    if is_browser && !uri.path().starts_with("/api/") {
        return crate::dashboard::not_found();
    }
    ApiError::NoRoute(super::params::shortened(uri.path()).to_owned()).into_response()
}

fn cors(origins: &[String]) -> CorsLayer {
    let allowed = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().filter_map(|origin| origin.parse::<HeaderValue>().ok()))
    };
    let sent = ["authorization", "content-type", "idempotency-key", "range", "x-request-id"];
    let exposed = ["location", "retry-after", "idempotency-replayed", "x-request-id", "www-authenticate"];
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers(sent.map(HeaderName::from_static))
        .expose_headers(exposed.map(HeaderName::from_static))
        .max_age(std::time::Duration::from_hours(1))
}
