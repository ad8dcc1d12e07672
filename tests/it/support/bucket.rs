//! An S3 server in memory that behaves: objects whole or in parts, ranges, and on demand failures. It takes what is signed with its key.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, RawQuery, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, LAST_MODIFIED, RANGE};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use legwork::config::{BucketConfig, FilesConfig, Storage};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// The key id that it knows.
const KEY: &str = "AKIATEST";

/// What is in it, and what was done to it.
#[derive(Debug, Default)]
pub struct Contents {
    /// Objects by key.
    pub objects: BTreeMap<String, Bytes>,
    /// Uploads that have neither ended nor been aborted, with their parts.
    pub uploads: HashMap<String, BTreeMap<u32, Bytes>>,
    /// Requests, as in `PUT part`.
    pub requests: Vec<String>,
    /// Hears of every upload that was aborted.
    pub aborted: Arc<Notify>,
    /// Requests of this sort fail from now on.
    pub failing: Option<&'static str>,
}

/// The server; it ends with the test.
pub struct BucketServer {
    port: u16,
    pub contents: Arc<Mutex<Contents>>,
    serving: JoinHandle<()>,
}

impl BucketServer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let contents = Arc::new(Mutex::new(Contents::default()));
        let router = Router::new().fallback(answer).layer(DefaultBodyLimit::disable()).with_state(contents.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { port, contents, serving }
    }

    /// The settings of a storage below `prefix` in the bucket `media`.
    pub fn settings(&self, prefix: &str, scratch: &std::path::Path) -> FilesConfig {
        FilesConfig {
            storage: Storage::Bucket(BucketConfig {
                bucket: "media".into(),
                prefix: prefix.into(),
                endpoint: Some(format!("http://127.0.0.1:{}", self.port)),
                region: "us-east-1".into(),
                login: Some((KEY.into(), "secret".into())),
                session_token: None,
            }),
            scratch: scratch.to_owned(),
            ..super::files::settings(scratch)
        }
    }
}

impl Drop for BucketServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

type Shared = State<Arc<Mutex<Contents>>>;

async fn answer(
    State(contents): Shared,
    method: Method,
    uri: Uri,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let is_signed = headers.get("authorization").is_some_and(|value| value.to_str().unwrap().contains(KEY));
    let key = percent_decoded(uri.path()).strip_prefix("/media").map(|key| key.trim_start_matches('/').to_owned());
    let (true, Some(key)) = (is_signed, key) else { return StatusCode::FORBIDDEN.into_response() };
    let query: HashMap<String, String> = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect();
    let sort = match (method.as_str(), query.contains_key("uploadId"), query.contains_key("uploads")) {
        ("POST", false, true) => "POST start",
        ("PUT", true, _) => "PUT part",
        ("POST", true, _) => "POST complete",
        ("DELETE", true, _) => "DELETE upload",
        ("PUT", ..) => "PUT",
        ("GET", ..) if key.is_empty() => "GET list",
        ("GET", ..) => "GET",
        ("HEAD", ..) => "HEAD",
        ("DELETE", ..) => "DELETE",
        _ => "other",
    };
    let mut contents = contents.lock();
    contents.requests.push(sort.to_owned());
    if contents.failing == Some(sort) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let upload = query.get("uploadId").cloned().unwrap_or_default();
    match sort {
        "PUT" => {
            contents.objects.insert(key, body);
            [(ETAG, "\"whole\"")].into_response()
        }
        "POST start" => {
            let upload = format!("upload-{}", contents.requests.len());
            contents.uploads.insert(upload.clone(), BTreeMap::new());
            xml(&format!("<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"))
        }
        "PUT part" => {
            let number: u32 = query["partNumber"].parse().unwrap();
            contents.uploads.get_mut(&upload).unwrap().insert(number, body);
            [(ETAG, format!("\"part-{number}\""))].into_response()
        }
        "POST complete" => {
            let parts = contents.uploads.remove(&upload).unwrap();
            let whole: Vec<u8> = parts.into_values().flatten().collect();
            contents.objects.insert(key, whole.into());
            xml("<CompleteMultipartUploadResult><ETag>\"parts\"</ETag></CompleteMultipartUploadResult>")
        }
        "DELETE upload" => {
            contents.uploads.remove(&upload);
            contents.aborted.notify_one();
            StatusCode::NO_CONTENT.into_response()
        }
        "DELETE" => {
            contents.objects.remove(&key);
            StatusCode::NO_CONTENT.into_response()
        }
        "GET list" => listed(&contents.objects, &query["prefix"]),
        "GET" | "HEAD" => contents.objects.get(&key).map_or_else(
            || StatusCode::NOT_FOUND.into_response(),
            |object| object_of(object, headers.get(RANGE).and_then(|range| range.to_str().ok())),
        ),
        _ => StatusCode::NOT_IMPLEMENTED.into_response(),
    }
}

/// All objects below `prefix`.
fn listed(objects: &BTreeMap<String, Bytes>, prefix: &str) -> Response {
    let of = |(key, object): (&String, &Bytes)| {
        let (size, modified) = (object.len(), "2026-11-21T08:00:00.000Z");
        format!(
            "<Contents><Key>{key}</Key><LastModified>{modified}</LastModified><ETag>\"x\"</ETag><Size>{size}</Size></Contents>"
        )
    };
    let all: String = objects.iter().filter(|(key, _)| key.starts_with(prefix)).map(of).collect();
    xml(&format!("<ListBucketResult><IsTruncated>false</IsTruncated>{all}</ListBucketResult>"))
}

fn object_of(object: &Bytes, range: Option<&str>) -> Response {
    let size = object.len();
    let part = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let part = part.map(|(first, last)| {
        let last: usize = last.parse().unwrap_or(usize::MAX);
        first.parse::<usize>().unwrap()..last.saturating_add(1).min(size)
    });
    let known = [(ETAG, "\"x\"".to_owned()), (LAST_MODIFIED, "Sat, 21 Nov 2026 08:00:00 GMT".to_owned())];
    let Some(part) = part else {
        return (known, [(CONTENT_LENGTH, size.to_string())], Body::from(object.clone())).into_response();
    };
    if part.start >= part.end {
        return StatusCode::RANGE_NOT_SATISFIABLE.into_response();
    }
    let actual = [(CONTENT_RANGE, format!("bytes {}-{}/{size}", part.start, part.end - 1))];
    (StatusCode::PARTIAL_CONTENT, known, actual, Body::from(object.slice(part))).into_response()
}

fn xml(text: &str) -> Response {
    ([("content-type", "application/xml")], text.to_owned()).into_response()
}

fn percent_decoded(text: &str) -> String {
    let text = text.replace('+', "%2B");
    url::form_urlencoded::parse(format!("v={text}").as_bytes()).next().unwrap().1.into_owned()
}
