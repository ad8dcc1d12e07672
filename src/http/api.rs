//! The operations, by resource. A handler takes the request apart, calls the queue once and answers.

pub(super) mod audit;
pub(super) mod auth;
pub(super) mod events;
pub(super) mod files;
pub(super) mod kinds;
pub(super) mod packs;
pub(super) mod queues;
pub(super) mod recipients;
pub(super) mod schedules;
pub(super) mod submit;
pub(super) mod suppressions;
pub(super) mod tasks;
pub(super) mod workers;

use std::time::Duration;

use axum::http::Method;

/// What every path of the API starts with.
pub(super) const PREFIX: &str = "/api/v1";

/// The longest long poll. Many proxies cut a request that is silent for 60 s.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(50);

/// How long an upload may take that goes on.
pub(super) const LONGEST_UPLOAD: Duration = Duration::from_mins(10);

/// The route of the status, which waits for the end of a task if it is asked to.
const STATUS_ROUTE: &str = "/api/v1/tasks/status/{task_id}";
/// The route that takes uploads.
const UPLOAD_ROUTE: &str = "/api/v1/files";

/// How much longer than `REQUEST_TIMEOUT` the answer of a route may take. `route` is the pattern of the route, with names in braces.
pub(super) fn extra_time(method: &Method, route: &str) -> Duration {
    match (method, route) {
        (&Method::GET | &Method::HEAD, STATUS_ROUTE) => LONGEST_WAIT,
        (&Method::POST, UPLOAD_ROUTE) => LONGEST_UPLOAD,
        _ => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::openapi;
    use crate::kinds::KindSet;

    #[test]
    fn only_the_status_and_uploads_may_take_longer_and_both_routes_exist() {
        let document = openapi::json(&KindSet::compiled());
        let document: serde_json::Value = serde_json::from_str(&document).unwrap();
        let mut longer = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for method in item.as_object().unwrap().keys() {
                let name = method.to_uppercase();
                if extra_time(&name.parse().unwrap(), path) > Duration::ZERO {
                    longer.push(format!("{name} {path}"));
                }
            }
        }
        assert_eq!(longer, ["POST /api/v1/files", "GET /api/v1/tasks/status/{task_id}"]);
    }
}
