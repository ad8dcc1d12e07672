//! Records who did what: every request that changes tasks, queues, workers, lists or accounts, over the API and from the dashboard alike.
//! Submissions are not recorded here: the task itself names who submitted it.

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use legwork_engine::domain::TaskId;
use legwork_engine::store::AuditEntry;

use super::extract::bearer;
use super::params::shortened;
use super::state::ApiState;

/// The longest detail, in characters.
const MAX_DETAIL: usize = 300;

/// What a handler adds to the entry of its request. It travels beside the answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct AuditNote {
    /// Who did it, where the request itself does not tell: the name at a sign-in.
    pub(crate) principal: Option<String>,
    /// To what, where the path does not tell.
    pub(crate) target: Option<String>,
    /// More about it.
    pub(crate) detail: String,
    /// Whether a handler that answers with a page has not done it.
    pub(crate) not_done: bool,
}

impl AuditNote {
    /// With a detail.
    pub(crate) fn detail(text: impl Into<String>) -> Self {
        Self { detail: text.into(), ..Self::default() }
    }

    /// Puts it beside an answer.
    pub(crate) fn on(self, mut response: Response) -> Response {
        response.extensions_mut().insert(self);
        response
    }
}

/// What is kept of a request that is to be recorded.
pub(super) struct Audited {
    action: &'static str,
    principal: Option<String>,
    target: String,
    source: &'static str,
    address: String,
}

/// The actions by method and path. Paths of the dashboard are those without the prefix of the API.
const ACTIONS: &[(&str, &str, &str)] = &[
    ("POST", "/api/v1/tasks/{task_id}/retry", "task.retry"),
    ("PATCH", "/api/v1/tasks/{task_id}", "task.change"),
    ("DELETE", "/api/v1/tasks/revoke/{task_id}", "task.revoke"),
    ("PATCH", "/api/v1/queues/{queue}", "queue.change"),
    ("POST", "/api/v1/queues/{queue}/pause", "queue.pause"),
    ("POST", "/api/v1/queues/{queue}/resume", "queue.resume"),
    ("DELETE", "/api/v1/queues/{queue}/tasks", "queue.purge"),
    ("POST", "/api/v1/schedules", "schedule.create"),
    ("PATCH", "/api/v1/schedules/{schedule}", "schedule.change"),
    ("DELETE", "/api/v1/schedules/{schedule}", "schedule.delete"),
    ("POST", "/api/v1/schedules/{schedule}/enable", "schedule.enable"),
    ("POST", "/api/v1/schedules/{schedule}/disable", "schedule.disable"),
    ("POST", "/api/v1/schedules/{schedule}/run", "schedule.run"),
    ("POST", "/api/v1/schedules/sync", "schedule.sync"),
    ("POST", "/api/v1/packs/reload", "pack.reload"),
    ("PUT", "/api/v1/maintenance", "maintenance.set"),
    ("POST", "/api/v1/workers/{name}/drain", "worker.drain"),
    ("POST", "/api/v1/workers/{name}/shutdown", "worker.shutdown"),
    ("POST", "/api/v1/suppressions", "suppression.add"),
    ("DELETE", "/api/v1/suppressions/{address}", "suppression.remove"),
    ("POST", "/api/v1/auth/users", "account.set"),
    ("DELETE", "/api/v1/auth/tokens/{jti}", "token.revoke"),
    ("DELETE", "/api/v1/files/{*path}", "file.remove"),
    ("POST", "/tasks", "task.submit"),
    ("POST", "/tasks/bulk", "task.bulk"),
    ("POST", "/tasks/{task_id}/retry", "task.retry"),
    ("POST", "/tasks/{task_id}/revoke", "task.revoke"),
    ("POST", "/queues/{queue}/pause", "queue.pause"),
    ("POST", "/queues/{queue}/resume", "queue.resume"),
    ("POST", "/queues/{queue}/limits", "queue.change"),
    ("POST", "/queues/{queue}/purge", "queue.purge"),
    ("POST", "/workers/{name}/drain", "worker.drain"),
    ("POST", "/suppressions", "suppression.add"),
    ("POST", "/suppressions/remove", "suppression.remove"),
    ("POST", "/login", "sign_in"),
    ("POST", "/logout", "sign_out"),
    ("POST", "/welcome", "account.first"),
    ("POST", "/accounts", "account.set"),
    ("POST", "/accounts/{name}", "account.change"),
    ("POST", "/accounts/{name}/delete", "account.delete"),
    ("POST", "/tokens", "token.make"),
    ("POST", "/tokens/revoke", "token.revoke"),
];

/// The names of all actions, for filters.
pub(crate) fn actions() -> Vec<&'static str> {
    let mut names: Vec<_> = ACTIONS.iter().map(|(.., action)| *action).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// What is recorded of a request, if it is one that changes something. Reads and submissions cost one comparison.
pub(super) fn of_request(request: &Request, state: &ApiState) -> Option<Audited> {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return None;
    }
    let path = request.extensions().get::<MatchedPath>()?.as_str();
    let method = request.method().as_str();
    let (.., action) = ACTIONS.iter().find(|(known, pattern, _)| *known == method && *pattern == path)?;
    let is_api = path.starts_with("/api/");
    let (parts, ()) = Request::new(()).into_parts();
    let mut parts = parts;
    parts.extensions = request.extensions().clone();
    parts.headers = request.headers().clone();
    Some(Audited {
        action,
        principal: principal(request.headers(), is_api, state),
        target: target(path, request.uri().path()),
        source: if is_api { "api" } else { "dashboard" },
        address: state.client_address(&parts).to_string(),
    })
}

fn principal(headers: &HeaderMap, is_api: bool, state: &ApiState) -> Option<String> {
    if is_api {
        let verified = state.tokens.verify(bearer(headers)?, state.now()).ok()?;
        return Some(verified.principal.subject.to_string());
    }
    state.dashboard.name_of(headers, state)
}

/// What stands in the path where the pattern has a name.
fn target(pattern: &str, path: &str) -> String {
    let place = pattern.split('/').position(|part| part.starts_with('{'));
    let Some(place) = place else { return String::new() };
    let rest = path.splitn(place + 1, '/').nth(place).unwrap_or_default();
    let is_rest = pattern.contains("{*");
    let text = if is_rest { rest } else { rest.split('/').next().unwrap_or_default() };
    let pair = format!("t={}", text.replace('+', "%2B"));
    let decoded = url::form_urlencoded::parse(pair.as_bytes()).next();
    decoded.map(|(_, value)| shortened(&value).to_owned()).unwrap_or_default()
}

/// The entry of a request that has been answered. Requests of strangers are not recorded, but for refused sign-ins.
pub(super) fn entry(audited: Audited, response: &Response, state: &ApiState) -> Option<AuditEntry> {
    let note = response.extensions().get::<AuditNote>().cloned().unwrap_or_default();
    let principal = note.principal.or(audited.principal)?;
    let outcome = match response.status() {
        _ if note.not_done => "failed",
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "refused",
        // The throttle has told already; whoever goes on guessing does not fill the log.
        StatusCode::TOO_MANY_REQUESTS => return None,
        status if status.is_client_error() || status.is_server_error() => "failed",
        _ => "done",
    };
    let now = state.now();
    Some(AuditEntry {
        id: TaskId::made(now).as_uuid(),
        at: now,
        principal,
        action: audited.action.into(),
        target: note.target.unwrap_or(audited.target),
        detail: note.detail.chars().filter(|sign| *sign != '\0').take(MAX_DETAIL).collect(),
        outcome: outcome.into(),
        source: audited.source.into(),
        address: audited.address,
    })
}

/// Writes an entry before its request is answered.
pub(super) async fn write(entry: AuditEntry, state: &ApiState) {
    if let Err(error) = state.queue.store().write_audit(&entry).await {
        let AuditEntry { action, target, principal, outcome, .. } = &entry;
        tracing::error!(%error, action, target, principal, outcome, "an entry of the audit log could not be written");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_what_stands_in_the_place_of_the_name() {
        assert_eq!(target("/queues/{queue}/pause", "/queues/default/pause"), "default");
        assert_eq!(target("/api/v1/suppressions/{address}", "/api/v1/suppressions/a%40b.c"), "a@b.c");
        assert_eq!(target("/api/v1/files/{*path}", "/api/v1/files/images/a.png"), "images/a.png");
        assert_eq!(target("/logout", "/logout"), "");
    }
}
