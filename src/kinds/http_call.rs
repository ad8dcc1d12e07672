//! `http.call`: work that stays in the application. One signed request, and what its answer means.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::{Kind, TaskContext};
use crate::services::Services;
use legwork_engine::domain::{FieldError, TaskFailure};
use legwork_outbound::{Answer, Call, FetchError, Redirects};

/// Where `timeout_seconds` is not given.
const DEFAULT_TIMEOUT: f64 = 30.0;
/// The longest, inside the kind's hard limit of half an hour.
const LONGEST_TIMEOUT: f64 = 1_700.0;
const MOST_HEADERS: usize = 50;
const LONGEST_HEADER: usize = 8 * 1024;
const MOST_STATUSES: usize = 50;
/// Of a body in the result, in bytes as JSON.
const BODY_KEPT: usize = 64 * 1024;
/// A JSON body may be written longer than it came (`9e15`); beyond this it is given as text.
const JSON_KEPT: usize = 2 * BODY_KEPT;

/// What the call itself needs and sets: the connection's headers, the body's length, the signature.
const OWN_HEADERS: [&str; 13] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "proxy-authenticate",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "accept-encoding",
];
/// So do the headers of the signature start.
const SIGNATURE_PREFIX: &str = "webhook-";
/// The headers of an answer that a result shows.
const KEPT_HEADERS: [&str; 7] = ["content-type", "date", "etag", "last-modified", "location", "retry-after", "x-request-id"];

/// Args of `http.call`. It has no `Debug`: headers and body may be secret.
#[derive(Deserialize, ToSchema)]
#[schema(as = HttpCallArgs)]
#[serde(deny_unknown_fields)]
pub struct HttpCall {
    /// The HTTP method of the call.
    #[serde(default)]
    pub method: HttpMethod,
    /// Where to: http or https, a public address unless `OUTBOUND_ALLOW` names it, no user name in it.
    #[schema(example = "https://app.example.org/jobs/rebuild-index", max_length = 8000)]
    pub url: String,
    /// Headers to send, at most 50. Those of the connection and of the signature are not for the taking. They are kept secret.
    #[serde(default)]
    #[schema(value_type = Option<Object>, example = json!({ "authorization": "Bearer secret" }))]
    pub headers: Option<BTreeMap<String, String>>,
    /// The body, which is sent unchanged and kept secret. Not allowed with GET or HEAD.
    #[serde(default)]
    #[schema(value_type = Option<serde_json::Value>, example = json!({ "index": "articles" }))]
    pub json: Option<Box<RawValue>>,
    /// For all of the call, redirects and the answer included. Default: 30.
    #[schema(exclusive_minimum = 0, maximum = 1_700, example = 30)]
    pub timeout_seconds: Option<f64>,
    /// The statuses that are a success. Default: 200 to 299.
    #[schema(value_type = Option<Vec<u16>>, example = json!([200, 204]))]
    pub expected_status: Option<Vec<u16>>,
}

/// How a call is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpMethod {
    /// GET, without a body.
    Get,
    /// Without a body, and none comes back.
    Head,
    /// POST, the default.
    #[default]
    Post,
    /// With a body or without.
    Put,
    /// With a body or without.
    Patch,
    /// With a body or without.
    Delete,
}

impl From<HttpMethod> for Method {
    fn from(method: HttpMethod) -> Self {
        match method {
            HttpMethod::Get => Self::GET,
            HttpMethod::Head => Self::HEAD,
            HttpMethod::Post => Self::POST,
            HttpMethod::Put => Self::PUT,
            HttpMethod::Patch => Self::PATCH,
            HttpMethod::Delete => Self::DELETE,
        }
    }
}

impl Kind for HttpCall {
    const NAME: &'static str = "http.call";
    const DESCRIPTION: &'static str = "Calls the application over HTTP, for work that stays there: signed as Standard Webhooks says, with the task's id as webhook-id. Tried again after a network error, a timeout, 408, 425, 429 and 5xx.";
    const ROUTE: Option<&'static str> = Some("/http/call");
    const SENSITIVE: &'static [&'static str] = &["/headers", "/json"];

    fn example() -> Value {
        json!({
            "method": "POST",
            "url": "https://example.org/jobs/rebuild-index",
            "json": { "index": "articles" },
            "timeout_seconds": 30,
        })
    }

    fn check(&self, services: &Services) -> Vec<FieldError> {
        let mut field_errors = Vec::new();
        if let Err(reason) = self.check_url(services) {
            field_errors.push(FieldError::new("/url", reason));
        }
        if self.json.is_some() && matches!(self.method, HttpMethod::Get | HttpMethod::Head) {
            field_errors.push(FieldError::new("/json", "is sent with POST, PUT, PATCH or DELETE, not with GET or HEAD"));
        }
        if let Some(seconds) = self.timeout_seconds.filter(|seconds| !(*seconds > 0.0 && *seconds <= LONGEST_TIMEOUT)) {
            let detail = format!("must be greater than 0 and at most {LONGEST_TIMEOUT} seconds; got {seconds}");
            field_errors.push(FieldError::new("/timeout_seconds", detail));
        }
        self.check_statuses(&mut field_errors);
        self.check_headers(&mut field_errors);
        field_errors
    }

    async fn run(self, cx: TaskContext) -> Result<Value, TaskFailure> {
        let signer = cx.services.webhook_signer.clone().ok_or_else(|| {
            TaskFailure::fail("NoWebhookSecret", "WEBHOOK_SECRET is not set on this worker, and calls are not sent unsigned")
        })?;
        let body = self.json.as_ref().map_or_else(Vec::new, |json| json.get().as_bytes().to_vec());
        let mut headers: Vec<(String, String)> = self.headers.into_iter().flatten().collect();
        if !body.is_empty() && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            headers.push(("content-type".into(), "application/json".into()));
        }
        let now = cx.clock.now();
        let signature = signer.headers(&cx.task.to_string(), now, &body);
        headers.extend(signature.map(|(name, value)| (name.to_owned(), value)));
        let call = Call {
            method: self.method.into(),
            url: self.url,
            headers,
            body,
            time_limit: Duration::from_secs_f64(self.timeout_seconds.unwrap_or(DEFAULT_TIMEOUT)),
            redirects: Redirects::Careful,
        };
        let answer = cx.or_cancelled(cx.services.fetcher.call(call)).await?.map_err(|error| match error {
            FetchError::Refused { reason } => TaskFailure::fail("AddressRefused", reason),
            FetchError::Unreachable { reason } | FetchError::Failed { reason } => TaskFailure::retry("HttpError", reason),
        })?;
        to_result(&answer, self.expected_status.as_deref(), cx.clock.now())
    }
}

impl HttpCall {
    fn check_url(&self, services: &Services) -> Result<(), String> {
        // The URL's parser drops some of them in silence.
        if self.url.chars().any(char::is_control) {
            return Err("holds a control character; a URL has none".into());
        }
        if services.webhook_signer.is_none() {
            return Err("cannot be called: calls are signed, and no WEBHOOK_SECRET is set".into());
        }
        services.fetcher.check_url(&self.url).map(drop)
    }

    fn check_statuses(&self, field_errors: &mut Vec<FieldError>) {
        let Some(statuses) = &self.expected_status else { return };
        if statuses.is_empty() || statuses.len() > MOST_STATUSES {
            field_errors.push(FieldError::new("/expected_status", format!("must be a list of 1 to {MOST_STATUSES} statuses")));
        }
        for (index, status) in statuses.iter().enumerate().filter(|(_, status)| !(200..=599).contains(*status)) {
            field_errors
                .push(FieldError::new(format!("/expected_status/{index}"), format!("must be between 200 and 599; got {status}")));
        }
    }

    /// Names are told, values never.
    fn check_headers(&self, field_errors: &mut Vec<FieldError>) {
        let Some(headers) = &self.headers else { return };
        if headers.len() > MOST_HEADERS {
            field_errors
                .push(FieldError::new("/headers", format!("has {} headers; at most {MOST_HEADERS} are allowed", headers.len())));
        }
        let mut known = BTreeSet::new();
        for (name, value) in headers {
            let lower = name.to_ascii_lowercase();
            let wrong = if HeaderName::from_bytes(name.as_bytes()).is_err() {
                "is not the name of a header"
            } else if OWN_HEADERS.contains(&lower.as_str()) {
                "is set by the call itself"
            } else if lower.starts_with(SIGNATURE_PREFIX) {
                "is a header of the signature, which the call itself sets"
            } else if !known.insert(lower) {
                "is there twice, in capitals and in small letters"
            } else if !is_visible(value) || value.len() > LONGEST_HEADER {
                "has a value that is not visible ASCII, or is longer than 8 KiB"
            } else {
                continue;
            };
            field_errors.push(FieldError::within("/headers", name, wrong));
        }
    }
}

fn is_visible(value: &str) -> bool {
    value.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'))
}

/// What an answer means.
fn to_result(answer: &Answer, expected: Option<&[u16]>, now: jiff::Timestamp) -> Result<Value, TaskFailure> {
    let status = answer.status;
    let is_expected = expected.map_or(status.is_success(), |list| list.contains(&status.as_u16()));
    let message = format!("the receiver answered {status}");
    if is_expected {
        let (body, is_cut) = render_body(answer);
        return Ok(json!({
            "success": true,
            "message": message,
            "status": status.as_u16(),
            "headers": kept_headers(&answer.headers),
            "body": body,
            "body_truncated": is_cut,
        }));
    }
    if !may_pass(status) {
        return Err(TaskFailure::fail("UnexpectedStatus", message));
    }
    Err(match answer.retry_after(now) {
        Some(after) => TaskFailure::retry_after("UnexpectedStatus", message, after),
        None => TaskFailure::retry("UnexpectedStatus", message),
    })
}

/// Whether the same call may get another answer later.
fn may_pass(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429)
}

fn kept_headers(headers: &HeaderMap) -> Map<String, Value> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(|value| Value::from(cut(value, 1_000).0));
    KEPT_HEADERS.iter().filter_map(|name| Some(((*name).to_owned(), text(name)?))).collect()
}

/// The body as JSON where it says that it is and is whole, else as text, and whether some of it is missing.
fn render_body(answer: &Answer) -> (Value, bool) {
    if answer.body.is_empty() {
        return (Value::Null, false);
    }
    let media = answer.headers.get(CONTENT_TYPE).and_then(|media| media.to_str().ok()).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_json = media == "application/json" || media.ends_with("+json");
    if is_json
        && !answer.is_cut
        && let Ok(value) = serde_json::from_slice::<Value>(&answer.body)
        && value.to_string().len() <= JSON_KEPT
    {
        return (value, false);
    }
    let (text, is_cut) = cut(&String::from_utf8_lossy(&answer.body), BODY_KEPT);
    (text.into(), is_cut || answer.is_cut)
}

/// As much of a text as takes at most `limit` bytes as JSON.
fn cut(text: &str, limit: usize) -> (String, bool) {
    let mut size = 0;
    let end = text.char_indices().find_map(|(at, c)| {
        size += match c {
            '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
            c if c.is_ascii_control() => 6,
            c => c.len_utf8(),
        };
        (size > limit).then_some(at)
    });
    (text[..end.unwrap_or(text.len())].to_owned(), end.is_some())
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn answer(media: &'static str, body: &[u8]) -> Answer {
        let headers = [(CONTENT_TYPE, HeaderValue::from_static(media))].into_iter().collect();
        Answer { status: StatusCode::OK, headers, body: body.to_vec(), is_cut: false }
    }

    #[test]
    fn a_body_is_json_only_where_it_says_so_and_is() {
        for (media, body, rendered) in [
            ("application/json; charset=utf-8", r#"{"a":1}"#, json!({ "a": 1 })),
            ("application/problem+json", "[1]", json!([1])),
            ("text/plain", "[1]", json!("[1]")),
            ("application/json", "{rubbish", json!("{rubbish")),
            ("application/json", "", Value::Null),
        ] {
            assert_eq!(render_body(&answer(media, body.as_bytes())), (rendered, false), "{media} {body}");
        }
    }

    #[test]
    fn a_body_in_a_result_is_bounded_as_it_is_written_there() {
        let rendered = |body: &[u8]| render_body(&answer("text/plain", body));
        for body in [vec![1_u8; 65_536], vec![b'"'; 65_536], "ä".repeat(40_000).into_bytes(), vec![0xff; 65_536]] {
            let (text, is_cut) = rendered(&body);
            assert!(is_cut && text.to_string().len() <= BODY_KEPT + 2, "{}", text.to_string().len());
        }
        assert_eq!(rendered(&vec![b'x'; 65_536]), ("x".repeat(65_536).into(), false));
        let numbers = format!("[{}9e15]", "9e15,".repeat(13_000));
        let (text, is_cut) = render_body(&answer("application/json", numbers.as_bytes()));
        assert_eq!((text, is_cut), (numbers.into(), false));
    }
}
