//! Talks to a running server, as any other client of its API does.

use std::time::Duration;

use clap::Args;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, Response, StatusCode};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::output::OutputArgs;
use super::{CliError, Vars};
use crate::app;
use crate::auth::Tokens;
use crate::auth::secrets::JWT_SECRET_FILE;
use crate::config::Config;
use legwork_engine::clock::{Clock as _, SyncedClock};
use legwork_engine::domain::raw_object::ObjectText;
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
/// Items in one page of a list: no list of the API allows less.
const PAGE: usize = 500;

// Which server a command asks, as whom, and how the answer is printed. A doc comment would replace the help of the commands that flatten it.
#[derive(Debug, Args)]
pub(super) struct ClientArgs {
    /// The server, as in <http://127.0.0.1:8000> [`LEGWORK_URL`]
    #[arg(long, global = true, value_name = "URL")]
    pub(super) url: Option<String>,
    /// The bearer token; other users of this machine can see it [`LEGWORK_TOKEN`]
    #[arg(long, global = true, value_name = "TOKEN")]
    pub(super) token: Option<String>,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

impl ClientArgs {
    /// Flags have precedence over the environment.
    pub(super) fn put_into(self, mut vars: Vars) -> Vars {
        for (name, value) in [("LEGWORK_URL", self.url), ("LEGWORK_TOKEN", self.token)] {
            if let Some(value) = value {
                vars.insert(name.to_owned(), value);
            }
        }
        vars
    }
}

/// A request to the API.
pub(super) struct ApiRequest<'a> {
    method: Method,
    path: &'a [&'a str],
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
    args: Option<String>,
    idempotency_key: Option<String>,
    upload: Option<Upload>,
}

/// A file that is sent as the field `file` of a form.
pub(super) struct Upload {
    pub(super) name: String,
    pub(super) content: Vec<u8>,
}

impl<'a> ApiRequest<'a> {
    /// A request for `path` below `/api/v1`, given by its parts.
    pub(super) fn new(method: Method, path: &'a [&'a str]) -> Self {
        Self { method, path, query: Vec::new(), body: None, args: None, idempotency_key: None, upload: None }
    }

    pub(super) fn query(mut self, name: &'static str, value: impl std::fmt::Display) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    pub(super) fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// The field `args` of the body, as JSON text, which is sent as it is.
    pub(super) fn args(mut self, args: String) -> Self {
        self.args = Some(args);
        self
    }

    /// The body as JSON.
    fn body_text(&self) -> Option<String> {
        let Some(args) = &self.args else { return self.body.as_ref().map(ToString::to_string) };
        let mut text = ObjectText::new(args.len());
        for (name, value) in self.body.as_ref().and_then(Value::as_object).into_iter().flatten() {
            text.push(name, &value.to_string());
        }
        text.push("args", args);
        Some(text.finish())
    }

    pub(super) fn idempotency_key(mut self, key: Option<String>) -> Self {
        self.idempotency_key = key;
        self
    }

    pub(super) fn upload(mut self, upload: Upload) -> Self {
        self.upload = Some(upload);
        self
    }
}

impl Upload {
    /// The content type and the body of the form.
    fn form(self) -> (String, Vec<u8>) {
        // A boundary must not occur in the content; 128 random bits do not.
        let boundary = format!("legwork-{:032x}", fastrand::u128(..));
        // The name ends in a header: characters that could end it are replaced.
        let name: String = self.name.chars().map(|c| if c.is_control() || matches!(c, '"' | '\\') { '_' } else { c }).collect();
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: application/octet-stream\r\n\r\n"
        );
        let body = [head.as_bytes(), &self.content, format!("\r\n--{boundary}--\r\n").as_bytes()].concat();
        (format!("multipart/form-data; boundary={boundary}"), body)
    }
}

/// How a request shows whom it comes from.
enum Credentials {
    Token(String),
    Tokens(Box<Tokens>),
}

/// A server, and the credentials for it.
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
        let work = async {
            let response = self.open(request).await?;
            response.bytes().await.map_err(|error| self.unreachable(chain_of(&error)))
        };
        let body = tokio::time::timeout(limit, work).await;
        let body = body.map_err(|_| self.unreachable(format!("no answer within {} s", limit.as_secs())))??;
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).map_err(|_| {
            CliError::Failed(format!("{} answered with something that is not JSON; is it a Legwork server?", self.base))
        })
    }

    /// Sends it and returns the answer when its head has come, without a limit for its body. An answer that is a problem is the error.
    pub(super) async fn open(&self, request: ApiRequest<'_>) -> Result<Response, CliError> {
        // These mean the folder itself or the one above it, also where they are escaped: another resource would be asked for.
        if let Some(part) = request.path.iter().find(|part| matches!(**part, "" | "." | "..")) {
            return Err(CliError::Usage(format!("{part:?} names nothing on a server; give a name or an id")));
        }
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| self.unreachable("the URL has no path".into()))?
            .pop_if_empty()
            .extend(["api", "v1"])
            .extend(request.path);
        // Without pairs this would leave a question mark behind.
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        let body = request.body_text();
        let mut http_request = self.http.request(request.method, url).bearer_auth(self.token()?);
        if let Some(body) = body {
            http_request = http_request.header(CONTENT_TYPE, "application/json").body(body);
        }
        if let Some(key) = request.idempotency_key {
            http_request = http_request.header("idempotency-key", key);
        }
        if let Some(upload) = request.upload {
            let (content_type, body) = upload.form();
            http_request = http_request.header(CONTENT_TYPE, content_type).body(body);
        }
        let answer = http_request.send().await.map_err(|error| self.unreachable(chain_of(&error)))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body = answer.bytes().await.map_err(|error| self.unreachable(chain_of(&error)))?;
        Err(refusal(status, &body))
    }

    /// All items of a list, at most `limit`, page by page.
    pub(super) async fn list(
        &self,
        path: &[&str],
        query: &[(&'static str, String)],
        limit: usize,
    ) -> Result<Vec<Value>, CliError> {
        let mut items: Vec<Value> = Vec::new();
        let mut cursor: Option<String> = None;
        while items.len() < limit {
            let mut request = ApiRequest::new(Method::GET, path).query("limit", (limit - items.len()).min(PAGE));
            for (name, value) in query {
                request = request.query(name, value);
            }
            if let Some(cursor) = &cursor {
                request = request.query("cursor", cursor);
            }
            let mut page = self.send(request).await?;
            if let Some(more) = page["items"].as_array_mut() {
                items.append(more);
            }
            cursor = page["next_cursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        Ok(items)
    }

    fn unreachable(&self, reason: String) -> CliError {
        CliError::Unreachable { url: self.base.to_string(), reason }
    }

    /// The status of a task; with `wait`, once it has ended or this time has passed.
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
        return Err(CliError::Usage(format!(
            "there is no token for {}. Set LEGWORK_TOKEN, or JWT_SECRET as the server has it, or run this in the folder where \
             `legwork serve` runs (it keeps its secret in {})",
            config.client.url,
            config.data_dir.display()
        )));
    }
    Ok(Credentials::Tokens(Box::new(Tokens::new(&app::with_secrets(config.clone())?.auth)?)))
}

/// The fields of `application/problem+json` that are read.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    code: String,
    title: String,
    detail: String,
    errors: Vec<FieldError>,
}

fn refusal(status: StatusCode, body: &[u8]) -> CliError {
    let problem: Problem = serde_json::from_slice(body).unwrap_or_default();
    let said = [problem.detail, problem.title].into_iter().find(|text| !text.is_empty());
    let detail = said.unwrap_or_else(|| format!("the server answered {status}"));
    let code = if problem.code.is_empty() { "failed".to_owned() } else { problem.code };
    CliError::Refused { status: status.as_u16(), code, detail, errors: problem.errors }
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
