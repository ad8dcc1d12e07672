//! The API for one test: the real router in process, over the engine of [`super::engine`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use futures_util::StreamExt as _;
use legwork::auth::Tokens;
use legwork::config::Config;
use legwork::dashboard::DashboardConfig;
use legwork::http::{ApiParts, ApiState, Readiness, router};
use legwork::packs::RunningPacks;
use legwork_engine::domain::{Principal, Scope};
use serde_json::Value;
use tower::ServiceExt as _;

use super::engine::Engine;

/// The secret of the tests' tokens.
pub const SECRET: &str = "a secret of the tests that is long enough for HS256";

/// One process's API.
pub struct TestService {
    pub engine: Engine,
    pub tokens: Arc<Tokens>,
    router: legwork::http::Service,
}

impl TestService {
    /// The API as set by default.
    pub fn over(engine: Engine) -> Self {
        Self::with(engine, &[], Readiness::new())
    }

    /// The API with some settings.
    pub fn with(engine: Engine, settings: &[(&str, &str)], readiness: Readiness) -> Self {
        Self::made(engine, settings, readiness, None)
    }

    /// The API of a server without accounts that printed a link for the first sign-in.
    pub fn with_first_link(engine: Engine, link: &str) -> Self {
        Self::made(engine, &[], Readiness::new(), Some(link.to_owned()))
    }

    fn made(engine: Engine, settings: &[(&str, &str)], readiness: Readiness, first_link: Option<String>) -> Self {
        let vars = settings.iter().chain(&[("JWT_SECRET", SECRET)]).map(|&(name, value)| (name.to_owned(), value.to_owned()));
        let mut config = Config::read(vars.collect()).unwrap();
        let has_packs = settings.iter().any(|(name, _)| *name == "PACKS");
        if !has_packs {
            config.packs.folders.clear();
        }
        let packs = RunningPacks::load(&config.packs, &config.render, &mut config.sources, true).unwrap();
        let tokens = Arc::new(Tokens::new(&config.auth).unwrap());
        let parts = ApiParts {
            queue: engine.queue.clone(),
            kinds: engine.kinds.clone(),
            packs: Arc::new(packs),
            services: engine.services.clone(),
            files: engine.files.clone(),
            tokens: tokens.clone(),
            config: config.http,
            readiness,
            shutdown: engine.shutdown.clone(),
            dashboard: DashboardConfig { secret: config.auth.secrets.first().cloned(), first_link, is_embedded: true },
            serves_tasks: true,
        };
        Self { router: router(ApiState::new(parts)), tokens, engine }
    }

    /// A token of `subject`.
    pub fn token(&self, subject: &str, scopes: &[Scope]) -> String {
        let principal = Principal { subject: subject.into(), scopes: scopes.iter().copied().collect() };
        self.tokens.issue(&principal, Duration::from_hours(1), self.engine.now()).unwrap()
    }

    /// An admin's request.
    pub fn request(&self, method: Method, path: &str) -> Call<'_> {
        self.anonymous(method, path).bearer(&self.token("root", &[Scope::Admin]))
    }

    /// A stranger's request.
    pub fn anonymous(&self, method: Method, path: &str) -> Call<'_> {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        Call { service: self, request }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.request(Method::GET, path).send().await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.request(Method::POST, path).json(body).send().await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.request(Method::PATCH, path).json(body).send().await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.request(Method::PUT, path).json(body).send().await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.request(Method::DELETE, path).send().await
    }

    /// The id of a task submitted by the admin, as it stands in paths.
    pub async fn submitted(&self, body: &Value) -> String {
        let answer = self.post("/api/v1/tasks", body).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer}");
        answer.text_at("/task_id")
    }
}

/// A request being made.
pub struct Call<'a> {
    service: &'a TestService,
    request: Request<Body>,
}

impl Call<'_> {
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.request.headers_mut().append(name, value.parse().unwrap());
        self
    }

    pub fn bearer(mut self, token: &str) -> Self {
        self.request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        self
    }

    pub fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    pub fn body(mut self, body: impl Into<Body>) -> Self {
        *self.request.body_mut() = body.into();
        self
    }

    /// Sends it, and gives the head and the body as it comes.
    pub async fn open(self) -> (StatusCode, HeaderMap, Body) {
        let (head, body) = self.service.router.clone().oneshot(self.request).await.unwrap().into_parts();
        (head.status, head.headers, Body::new(body))
    }

    pub async fn send(self) -> Answer {
        let (status, headers, body) = self.open().await;
        let mut whole = Vec::new();
        let mut pieces = body.into_data_stream();
        while let Some(piece) = pieces.next().await {
            whole.extend_from_slice(&piece.unwrap());
        }
        Answer { status, headers, body: whole.into() }
    }
}

/// An answer. Shown as a snapshot: status, the headers that matter, the body; ids are named by the order in which they appear.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Headers that are the same in every answer are looked at in a test of their own.
const SHOWN: [&str; 8] = [
    "allow",
    "content-type",
    "idempotency-replayed",
    "location",
    "retry-after",
    "www-authenticate",
    "access-control-allow-origin",
    "strict-transport-security",
];

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self}"))
    }

    pub fn text_at(&self, pointer: &str) -> String {
        self.json().pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no text at {pointer}: {self}")).to_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = format!("{}\n", self.status);
        for name in SHOWN {
            for value in self.headers.get_all(name) {
                text += &[name, ": ", value.to_str().unwrap(), "\n"].concat();
            }
        }
        let body = serde_json::from_slice::<Value>(&self.body).map_or_else(|_| self.text().to_owned(), |value| pretty(&value));
        f.write_str(&named_ids(&format!("{text}\n{body}")))
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

/// Each UUID by a draft, in the order of appearance: the tests fix the time in an id, not its random part.
fn named_ids(text: &str) -> String {
    const LENGTH: usize = 36;
    let mut known: Vec<String> = Vec::new();
    let mut named = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let id = rest.get(..LENGTH).filter(|id| uuid::Uuid::parse_str(id).is_ok());
        let Some(id) = id else {
            named.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        let place = known.iter().position(|seen| seen == id).unwrap_or_else(|| {
            known.push(id.to_owned());
            known.len() - 1
        });
        named += &["<id ", &(place + 1).to_string(), ">"].concat();
        rest = &rest[LENGTH..];
    }
    named
}
