//! Talks to a running server, as any other client of its API does.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::CliError;
use crate::app;
use crate::auth::Tokens;
use crate::auth::secrets::JWT_SECRET_FILE;
use crate::config::Config;
use legwork_engine::clock::{Clock as _, SyncedClock};
use legwork_engine::domain::{FieldError, Principal, Scope, ScopeSet};
use legwork_outbound::{USER_AGENT, compiled_in_roots};

/// Whom the server sees where no token is given.
const SUBJECT: &str = "legwork-cli";
/// How long a token lasts that is made for one request.
const TOKEN_TTL: Duration = Duration::from_mins(2);
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// One long poll; servers and proxies between do not keep longer ones.
const POLL: Duration = Duration::from_secs(25);

/// A request to the API.
pub(super) struct ApiRequest<'a> {
    method: Method,
    path: &'a [&'a str],
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
    idempotency_key: Option<String>,
}

impl<'a> ApiRequest<'a> {
    /// Asks for `path` below `/api/v1`, given by its parts.
    pub(super) fn new(method: Method, path: &'a [&'a str]) -> Self {
        Self { method, path, query: Vec::new(), body: None, idempotency_key: None }
    }

    pub(super) fn query(mut self, name: &'static str, value: impl std::fmt::Display) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    pub(super) fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    pub(super) fn idempotency_key(mut self, key: Option<String>) -> Self {
        self.idempotency_key = key;
        self
    }
}

/// What shows who we are.
enum Credentials {
    Token(String),
    Tokens(Box<Tokens>),
}

/// A server, and the credentials to show it.
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    credentials: Credentials,
    clock: SyncedClock,
}

impl Client {
    /// The server of `LEGWORK_URL`, or the one that has this configuration.
    pub(super) fn new(config: &Config) -> Result<Self, CliError> {
        let url = &config.client.url;
        let base = Url::parse(url).map_err(|error| CliError::Usage(format!("LEGWORK_URL {url:?}: {error}")))?;
        Ok(Self { http: http_client()?, base, credentials: credentials(config)?, clock: SyncedClock::start() })
    }

    /// Sends it and returns the answer's JSON (null where there is none). An answer that is a problem is the error.
    pub(super) async fn send(&self, request: ApiRequest<'_>) -> Result<Value, CliError> {
        self.send_within(request, ANSWER_LIMIT).await
    }

    async fn send_within(&self, request: ApiRequest<'_>, limit: Duration) -> Result<Value, CliError> {
        let mut url = self.base.clone();
        let unreachable = |reason: String| CliError::Unreachable { url: self.base.to_string(), reason };
        url.path_segments_mut()
            .map_err(|()| unreachable("the URL has no path".into()))?
            .pop_if_empty()
            .extend(["api", "v1"])
            .extend(request.path);
        // Without pairs this would leave a question mark behind.
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        let mut http_request = self.http.request(request.method, url).bearer_auth(self.token()?).timeout(limit);
        if let Some(body) = &request.body {
            http_request = http_request.json(body);
        }
        if let Some(key) = request.idempotency_key {
            http_request = http_request.header("idempotency-key", key);
        }
        let answer = http_request.send().await.map_err(|error| unreachable(chain_of(&error)))?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(|error| unreachable(chain_of(&error)))?;
        if !status.is_success() {
            return Err(refusal(status, &body));
        }
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).map_err(|_| {
            CliError::Failed(format!("{} answered {status} with something that is not JSON: is it a Legwork?", self.base))
        })
    }

    /// How a task stands; with `wait`, once it has ended or so much time has passed.
    pub(super) async fn status(&self, task: &str, wait: Option<Duration>) -> Result<Value, CliError> {
        let until = Instant::now() + wait.unwrap_or_default();
        loop {
            let left = until.saturating_duration_since(Instant::now()).min(POLL);
            let path = ["tasks", "status", task];
            let request = ApiRequest::new(Method::GET, &path);
            let request = if left.is_zero() { request } else { request.query("wait", left.as_secs_f64()) };
            let status = self.send_within(request, ANSWER_LIMIT + left).await?;
            if status["ready"] == true || left.is_zero() {
                return Ok(status);
            }
        }
    }

    fn token(&self) -> Result<String, CliError> {
        match &self.credentials {
            Credentials::Token(token) => Ok(token.clone()),
            Credentials::Tokens(tokens) => {
                let principal = Principal { subject: SUBJECT.into(), scopes: ScopeSet::from_iter([Scope::Admin]) };
                Ok(tokens.issue(&principal, TOKEN_TTL, self.clock.now())?)
            }
        }
    }
}

/// A client that goes straight to the server, with the certificates of the system or, where there are none, with the compiled-in ones.
pub(super) fn http_client() -> Result<reqwest::Client, CliError> {
    let builder = || {
        let plain = reqwest::Client::builder().user_agent(USER_AGENT).no_proxy().connect_timeout(CONNECT_LIMIT);
        plain.redirect(reqwest::redirect::Policy::none())
    };
    let on_system = builder().build();
    on_system
        .or_else(|_| builder().tls_backend_preconfigured(compiled_in_roots()).build())
        .map_err(|error| CliError::Failed(format!("TLS could not be set up: {}", chain_of(&error))))
}

fn credentials(config: &Config) -> Result<Credentials, CliError> {
    if let Some(token) = &config.client.token {
        return Ok(Credentials::Token(token.expose_secret().to_owned()));
    }
    let secret_is_kept = config.is_embedded() && config.data_dir.join(JWT_SECRET_FILE).exists();
    if config.auth.secrets.is_empty() && !secret_is_kept {
        return Err(CliError::Unreachable {
            url: config.client.url.clone(),
            reason: format!(
                "there is nothing to make a token with. Start `legwork serve` here first (it keeps its secret in {}), \
                 or set LEGWORK_TOKEN, or JWT_SECRET as the server has it",
                config.data_dir.display()
            ),
        });
    }
    Ok(Credentials::Tokens(Box::new(Tokens::new(&app::with_secrets(config.clone())?.auth)?)))
}

/// What is wanted of `application/problem+json`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    title: String,
    detail: String,
    errors: Vec<FieldError>,
}

fn refusal(status: StatusCode, body: &[u8]) -> CliError {
    let problem: Problem = serde_json::from_slice(body).unwrap_or_default();
    let said = [problem.detail, problem.title].into_iter().find(|text| !text.is_empty());
    let detail = said.unwrap_or_else(|| format!("the server answered {status}"));
    // A single bad field is told in the detail already.
    let errors =
        if problem.errors.len() == 1 && detail.contains(&problem.errors[0].detail) { Vec::new() } else { problem.errors };
    match status {
        StatusCode::NOT_FOUND => CliError::NotFound(detail),
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => CliError::BadArgs { detail, errors },
        _ => CliError::Failed(detail),
    }
}

/// An error and its causes: the outermost only says that sending failed.
pub(super) fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
