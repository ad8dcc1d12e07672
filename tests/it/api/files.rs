//! Uploads, and files by signed links.

use std::path::PathBuf;

use axum::body::{Body, Bytes};
use axum::http::{Method, StatusCode};
use futures_util::stream;
use legwork::app::place_image;
use legwork::files::NewFile;
use legwork::http::Readiness;
use legwork_engine::domain::{FilePath, Scope};
use serde_json::json;

use crate::support::engine::Engine;
use crate::support::files::path;
use crate::support::service::{Answer, Call, TestService};
use crate::support::tasks::at;

const UPLOAD: &str = "/api/v1/files";
/// Longer than the bytes that tell what it is.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\
    \0\0\0\x1etEXtComment\0for more than its head\0\0\0\0\0\0\0\0IEND\xaeB`\x82";

/// An image that no kind reads.
const AVIF: &[u8] = b"\0\0\0\x1cftypavif\0\0\0\0mif1miaf";

/// A form of one part, as browsers and curl send it.
fn form(field: &str, file_name: &str, content: &[u8]) -> Vec<u8> {
    let head = format!(
        "--XX\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{file_name}\"\r\nContent-Type: image/jpeg\r\n\r\n"
    );
    [head.as_bytes(), content, b"\r\n--XX--\r\n"].concat()
}

fn upload(service: &TestService, body: impl Into<Body>) -> Call<'_> {
    let token = service.token("ann", &[Scope::Submit]);
    let call = service.anonymous(Method::POST, UPLOAD).bearer(&token);
    call.header("content-type", "multipart/form-data; boundary=XX").body(body)
}

async fn uploaded(service: &TestService, file_name: &str, content: &[u8]) -> Answer {
    upload(service, form("file", file_name, content)).send().await
}

/// What the engine's storage holds, scratch files included.
fn stored(engine: &Engine) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root(engine)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path.display().to_string()) }
        }
    }
    found
}

fn root(engine: &Engine) -> PathBuf {
    engine.config.data_dir.join("files")
}

/// A link as it is asked for here.
fn link(engine: &Engine, path: &FilePath) -> String {
    let link = engine.services.files.link(path, at(60));
    link.strip_prefix("http://127.0.0.1:8000").unwrap().to_owned()
}

async fn keep(engine: &Engine, name: &str, content_type: &str, bytes: &[u8]) -> FilePath {
    let new_file = NewFile {
        path: path(name),
        content_type: content_type.into(),
        principal: "ann".into(),
        produced_by: None,
        created_at: at(0),
        expires_at: Some(at(30)),
    };
    let mut writer = engine.files.clone().create(new_file).await.unwrap();
    writer.write(bytes).await.unwrap();
    writer.finish().await.unwrap();
    path(name)
}

pub async fn an_image_is_stored_by_its_content_under_a_name_of_our_own(engine: Engine) {
    let service = TestService::over(engine.clone());
    let answer = uploaded(&service, "../../../etc/cron.d/evil.php", PNG).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer}");
    let stored_at = answer.text_at("/file_path");
    let (folder, id) = stored_at.strip_suffix(".png").unwrap().split_once('/').unwrap();
    assert_eq!((folder, uuid::Uuid::parse_str(id).is_ok()), ("uploads", true));
    assert_eq!((&answer.json()["size"], &answer.json()["content_type"]), (&json!(PNG.len()), &json!("image/png")));
    assert_eq!(stored(&engine), [root(&engine).join(&stored_at).display().to_string()]);

    let fetched = service.anonymous(Method::GET, &link(&engine, &path(&stored_at))).send().await;
    assert_eq!((fetched.status, &fetched.body[..]), (StatusCode::OK, PNG));
    for (name, value) in [
        ("content-type", "image/png"),
        ("content-length", &PNG.len().to_string()),
        ("content-disposition", &format!("inline; filename=\"{id}.png\"; filename*=UTF-8''{id}.png")),
        ("x-content-type-options", "nosniff"),
        ("accept-ranges", "bytes"),
        ("cache-control", "private, no-cache"),
        ("etag", &format!("\"{}\"", answer.text_at("/sha256"))),
    ] {
        assert_eq!(fetched.header(name), value, "{name}");
    }
    assert!(fetched.header("content-security-policy").starts_with("default-src 'none'"));
    assert!(fetched.header("content-security-policy").ends_with("sandbox"));
}

pub async fn every_sort_of_image_is_told_by_its_first_bytes(engine: Engine) {
    let service = TestService::over(engine);
    for (content, expected) in [
        (b"\xff\xd8\xff\xe0".as_slice(), "image/jpeg"),
        (b"GIF89a\x01\0\x01\0\0\0\0", "image/gif"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "image/webp"),
    ] {
        let answer = uploaded(&service, "page.html", content).await;
        assert_eq!((answer.status, answer.text_at("/content_type").as_str()), (StatusCode::CREATED, expected));
    }
}

pub async fn what_is_no_image_is_refused_whatever_it_is_called(engine: Engine) {
    let service = TestService::over(engine.clone());
    let page = [b"<!doctype html><script>alert(1)</script>".as_slice(), &[b' '; 100]].concat();
    assert_snapshot!(uploaded(&service, "image.jpg", &page).await, @r#"
    415 Unsupported Media Type
    content-type: application/problem+json

    {
      "code": "file_type",
      "detail": "the file is not a JPEG, PNG, WebP or GIF image; its content decides, not its name",
      "errors": [],
      "status": 415,
      "title": "The file's type is not taken",
      "type": "urn:legwork:problem:file_type"
    }
    "#);
    for content in [b"<svg onload=alert(1)>".as_slice(), b"MZ\x90", b"%PDF-1.7", b"PK\x03\x04", b"\xff\xd8", b"x", AVIF] {
        assert_eq!(uploaded(&service, "image.jpg", content).await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    let empty = uploaded(&service, "image.jpg", b"").await;
    assert_eq!(
        (empty.status, empty.text_at("/errors/0/detail").as_str()),
        (StatusCode::UNPROCESSABLE_ENTITY, "the file is empty")
    );
    assert_eq!(stored(&engine), [] as [&str; 0]);
}

pub async fn an_image_that_is_something_else_too_is_refused_and_leaves_nothing(engine: Engine) {
    let service = TestService::over(engine.clone());
    let archive = [b"PK\x05\x06".as_slice(), &[0; 18]].concat();
    for (content, reason) in [
        ([PNG, &archive].concat(), "it is an archive (ZIP) too"),
        ([PNG, b"<html>"].concat(), "6 bytes of something else follows the image's end"),
        (b"GIF89a/*\0\0\0\0*/=1;alert(1);//".to_vec(), "its blocks are broken at byte"),
        (b"\xff\xd8\xff\xfe\0\x10<?php exec(1);".to_vec(), "it holds a script (<?php) outside its pixels"),
        (b"\xff\xd8\xff\xfe\0\x10%PDF-1.7 and so".to_vec(), "it is a PDF too"),
    ] {
        let answer = uploaded(&service, "image.jpg", &content).await;
        assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{reason}: {answer}");
        let actual = format!("the file is not only an image: {reason}");
        assert!(answer.text_at("/detail").starts_with(&actual), "{answer}");
    }
    assert_eq!(stored(&engine), [] as [&str; 0]);
}

pub async fn a_file_too_large_is_413_and_leaves_nothing(engine: Engine) {
    let service = TestService::with(engine.clone(), &[("UPLOAD_LIMIT", "100KiB")], Readiness::new());
    let large = [PNG, &vec![0; 101 << 10]].concat();
    assert_snapshot!(uploaded(&service, "a.png", &large).await, @r#"
    413 Payload Too Large
    content-type: application/problem+json

    {
      "code": "upload_too_large",
      "detail": "the file has more than the 102400 bytes that are allowed (UPLOAD_LIMIT)",
      "errors": [],
      "status": 413,
      "title": "The file is too large",
      "type": "urn:legwork:problem:upload_too_large"
    }
    "#);
    // One that does not say how large it is, and would go on.
    let start = form("file", "a.png", PNG);
    let pieces = std::iter::once(start[..start.len() - 10].to_vec()).chain(std::iter::repeat(vec![0; 10_000]));
    let endless = stream::iter(pieces.map(|piece| Ok::<_, std::io::Error>(Bytes::from(piece))));
    let answer = upload(&service, Body::from_stream(endless)).send().await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{answer}");
    // One that says so is not even read.
    let never = stream::pending::<Result<Bytes, std::io::Error>>();
    let actual = upload(&service, Body::from_stream(never)).header("content-length", "99999999").send().await;
    assert_eq!(actual.status, StatusCode::PAYLOAD_TOO_LARGE, "{actual}");
    // The limit itself is allowed.
    let exact = [PNG, &vec![0; (100 << 10) - PNG.len()]].concat();
    assert_eq!(uploaded(&service, "a.png", &exact).await.status, StatusCode::CREATED);
    assert_eq!(stored(&engine).len(), 1);
}

pub async fn a_form_that_is_broken_or_holds_something_else_is_refused_and_leaves_nothing(engine: Engine) {
    let service = TestService::over(engine.clone());
    let whole = form("file", "a.png", PNG);
    let status_of = async |body: Vec<u8>| upload(&service, body).send().await;
    for cut in [10, 60, whole.len() - 30, whole.len() - 6] {
        let answer = status_of(whole[..cut].to_vec()).await;
        assert_eq!((answer.status, answer.text_at("/code").as_str()), (StatusCode::BAD_REQUEST, "malformed"), "{cut}: {answer}");
    }
    let two = [&whole[..whole.len() - 8], b"\r\n", &whole].concat();
    let answer = status_of(two).await;
    assert_eq!(
        (answer.status, answer.text_at("/errors/0/pointer").as_str()),
        (StatusCode::UNPROCESSABLE_ENTITY, "/file"),
        "{answer}"
    );
    for (body, pointer, detail) in
        [(b"--XX--\r\n".to_vec(), "/file", "is missing"), (form("image", "a.png", PNG), "/image", "is unknown; allowed is file")]
    {
        let answer = status_of(body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{answer}");
        assert_eq!(
            (answer.text_at("/errors/0/pointer").as_str(), answer.text_at("/errors/0/detail").as_str()),
            (pointer, detail)
        );
    }
    let token = service.token("ann", &[Scope::Submit]);
    for (content_type, status) in [
        ("multipart/form-data", StatusCode::BAD_REQUEST),
        ("application/json", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("image/png", StatusCode::UNSUPPORTED_MEDIA_TYPE),
    ] {
        let call = service.anonymous(Method::POST, UPLOAD).bearer(&token).header("content-type", content_type);
        assert_eq!(call.body(whole.clone()).send().await.status, status, "{content_type}");
    }
    assert_eq!(stored(&engine), [] as [&str; 0]);
}

pub async fn an_upload_takes_a_token_that_may_submit(engine: Engine) {
    async fn send(call: Call<'_>) -> Answer {
        let call = call.header("content-type", "multipart/form-data; boundary=XX");
        call.body(form("file", "a.png", PNG)).send().await
    }
    let service = TestService::over(engine);
    assert_eq!(send(service.anonymous(Method::POST, UPLOAD)).await.status, StatusCode::UNAUTHORIZED);
    let reader = service.token("bob", &[Scope::Read]);
    let answer = send(service.anonymous(Method::POST, UPLOAD).bearer(&reader)).await;
    assert_eq!((answer.status, answer.text_at("/code").as_str()), (StatusCode::FORBIDDEN, "scope_missing"));
    // The list of files is nobody's.
    assert_eq!(service.get(UPLOAD).await.status, StatusCode::METHOD_NOT_ALLOWED);
}

pub async fn a_storage_that_is_away_is_503(engine: Engine) {
    let service = TestService::over(engine.clone());
    std::fs::create_dir_all(&engine.config.data_dir).unwrap();
    std::fs::write(root(&engine), b"not a folder").unwrap();
    let answer = uploaded(&service, "a.png", PNG).await;
    assert_eq!((answer.status, answer.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "2"));
}

pub async fn a_link_holds_for_its_path_and_its_time_only(engine: Engine) {
    let service = TestService::over(engine.clone());
    let report = keep(&engine, "pages/a b.html", "text/html", b"<h1>hello</h1>").await;
    keep(&engine, "pages/other.html", "text/html", b"<h1>secret</h1>").await;
    let good = link(&engine, &report);
    let get = |path: &str| service.anonymous(Method::GET, path).send();
    let fetched = get(&good).await;
    assert_eq!((fetched.status, fetched.text()), (StatusCode::OK, "<h1>hello</h1>"));
    // A page is not shown, but kept: it is from the same place as the API.
    assert_eq!(fetched.header("content-disposition"), "attachment; filename=\"a b.html\"; filename*=UTF-8''a%20b.html");

    assert_snapshot!(get(&good.replace("a%20b", "other")).await, @r#"
    403 Forbidden
    content-type: application/problem+json

    {
      "code": "link_forged",
      "detail": "the link is not one that this server made: its path, its expiry or its signature was changed",
      "errors": [],
      "status": 403,
      "title": "The link is not valid",
      "type": "urn:legwork:problem:link_forged"
    }
    "#);
    let (bare, query) = good.split_once('?').unwrap();
    let (expires, signature) = query.split_once('&').unwrap();
    let later = format!("expires={}", at(9_999).as_second());
    let wrong = signature.replace('=', "=A");
    for forged in [
        bare.to_owned(),
        format!("{bare}?{expires}"),
        format!("{bare}?{signature}"),
        format!("{bare}?{later}&{signature}"),
        format!("{bare}?{expires}&{wrong}"),
        format!("{bare}?{expires}&signature=x"),
        format!("/api/v1/files/pages/nowhere.html?{query}"),
    ] {
        assert_eq!(get(&forged).await.status, StatusCode::FORBIDDEN, "{forged}");
    }
    for nonsense in [format!("{bare}?expires=soon&{signature}"), format!("{good}&more=1"), format!("{good}&{expires}")] {
        assert_eq!(get(&nonsense).await.status, StatusCode::UNPROCESSABLE_ENTITY, "{nonsense}");
    }
    engine.clock.advance(std::time::Duration::from_mins(1));
    let late = get(&good).await;
    assert_eq!((late.status, late.text_at("/code").as_str()), (StatusCode::GONE, "link_expired"));
}

pub async fn a_path_that_leads_elsewhere_reaches_nothing(engine: Engine) {
    let service = TestService::over(engine.clone());
    std::fs::create_dir_all(&engine.config.data_dir).unwrap();
    std::fs::write(engine.config.data_dir.join("secret"), b"secret").unwrap();
    let query = "expires=9999999999&signature=AAAA";
    for path in [
        "..%2fsecret",
        "uploads/..%2f..%2fsecret",
        "uploads/../../secret",
        "%2e%2e/secret",
        "%252e%252e%252fsecret",
        "%2fetc%2fpasswd",
        "/etc/passwd",
        "..%5csecret",
        "uploads%00.jpg",
        ".tmp/x",
        "uploads//x",
    ] {
        let answer = service.anonymous(Method::GET, &format!("/api/v1/files/{path}?{query}")).send().await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}: {answer}");
        assert_eq!(answer.text_at("/errors/0/pointer"), "path");
    }
    // A link in the folder, for which somebody has got a good URL, is not followed.
    let folder = root(&engine).join("uploads");
    std::fs::create_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink("../../secret", folder.join("x.jpg")).unwrap();
    let answer = service.anonymous(Method::GET, &link(&engine, &path("uploads/x.jpg"))).send().await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND, "{answer}");
}

pub async fn a_file_that_is_gone_or_has_expired_is_404(engine: Engine) {
    let service = TestService::over(engine.clone());
    let report = keep(&engine, "reports/a.html", "text/html", b"1").await;
    let get = |path: String| service.anonymous(Method::GET, &path).send();
    let link_to = |name: &str| link(&engine, &path(name));
    assert_eq!(get(link_to("reports/never.html")).await.status, StatusCode::NOT_FOUND);
    // The file ends before its link.
    engine.clock.advance(std::time::Duration::from_secs(30));
    assert_snapshot!(get(link_to("reports/a.html")).await, @r#"
    404 Not Found
    content-type: application/problem+json

    {
      "code": "not_found",
      "detail": "there is no file reports/a.html any more",
      "errors": [],
      "status": 404,
      "title": "Not found",
      "type": "urn:legwork:problem:not_found"
    }
    "#);
    assert_eq!(engine.upkeep.prune().await.unwrap(), 1);
    assert_eq!(get(link(&engine, &report)).await.status, StatusCode::NOT_FOUND);
    assert_eq!(stored(&engine), [] as [&str; 0]);
}

pub async fn a_part_of_a_file_is_given_and_what_is_known_is_not_sent_again(engine: Engine) {
    let service = TestService::over(engine.clone());
    let name = keep(&engine, "exports/ü.csv", "text/csv; charset=utf-8", b"0123456789").await;
    let url = link(&engine, &name);
    let get = || service.anonymous(Method::GET, &url);
    let whole = get().send().await;
    assert_eq!(whole.header("content-disposition"), "attachment; filename=\"_.csv\"; filename*=UTF-8''%C3%BC.csv");
    let part = get().header("range", "bytes=2-4").send().await;
    assert_eq!((part.status, part.text(), part.header("content-range")), (StatusCode::PARTIAL_CONTENT, "234", "bytes 2-4/10"));
    assert_eq!(part.header("content-length"), "3");
    let outside = get().header("range", "bytes=10-").send().await;
    assert_eq!((outside.status, outside.header("content-range")), (StatusCode::RANGE_NOT_SATISFIABLE, "bytes */10"));
    let known = get().header("if-none-match", whole.header("etag")).send().await;
    assert_eq!((known.status, known.text(), known.header("etag")), (StatusCode::NOT_MODIFIED, "", whole.header("etag")));
    let other = get().header("range", "bytes=2-4").header("if-range", "\"another\"").send().await;
    assert_eq!((other.status, other.text()), (StatusCode::OK, "0123456789"));
    let head = service.anonymous(Method::HEAD, &url).send().await;
    assert_eq!((head.status, head.text(), head.header("content-length")), (StatusCode::OK, "", "10"));
}

/// The problem of an answer, with `<path>` where the path stands.
fn refusal(answer: &Answer, path: &str) -> (StatusCode, String) {
    (answer.status, answer.text().replace(path, "<path>"))
}

pub async fn an_image_of_another_is_as_good_as_missing(engine: Engine) {
    let service = TestService::over(engine.clone());
    let uploads = uploaded(&service, "a.png", PNG).await.text_at("/file_path");
    let made = keep(&engine, "images/made.png", "image/png", PNG).await.to_string();
    place_image(&engine.files.clone(), at(0)).await.unwrap();
    let process = async |who: &str, scopes: &[Scope], name: &str| {
        let call = service.anonymous(Method::POST, "/api/v1/tasks/image/process").bearer(&service.token(who, scopes));
        call.json(&json!({ "file_path": name })).send().await
    };
    let missing = process("bob", &[Scope::Submit], "images/none.png").await;
    assert_eq!(missing.status, StatusCode::UNPROCESSABLE_ENTITY);
    for name in [&uploads, &made] {
        assert_eq!(process("ann", &[Scope::Submit], name).await.status, StatusCode::ACCEPTED);
        // An admin too works on its own: a task does not know what its submitter might.
        for scope in [Scope::Submit, Scope::Admin] {
            let answer = process("bob", &[scope], name).await;
            assert_eq!(refusal(&answer, name), refusal(&missing, "images/none.png"));
        }
    }
    assert_eq!(process("bob", &[Scope::Submit], "uploads/image.jpg").await.status, StatusCode::ACCEPTED);
    // Every field that is wrong is named, this one as if it were missing.
    let token = service.token("bob", &[Scope::Submit]);
    let items =
        [&made, "images/none.png"].map(|name| json!({ "kind": "image.process", "args": { "file_path": name, "quality": 0 } }));
    let call = service.anonymous(Method::POST, "/api/v1/tasks/batch").bearer(&token);
    let batch = call.json(&json!({ "tasks": items })).send().await;
    let actual = |index: usize| batch.json()["errors"].as_array().unwrap()[2 * index..][..2].to_vec();
    let pointers = actual(0).iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(pointers, ["/tasks/0/args/quality", "/tasks/0/args/file_path"], "{batch}");
    let as_of_the_other = json!(actual(1)).to_string().replace("/tasks/1", "/tasks/0").replace("images/none.png", &made);
    assert_eq!(json!(actual(0)).to_string(), as_of_the_other);
}

pub async fn a_file_is_fetched_by_a_token_of_its_owner_or_of_an_admin(engine: Engine) {
    let service = TestService::over(engine.clone());
    keep(&engine, "images/a.png", "image/png", PNG).await;
    let url = "/api/v1/files/images/a.png";
    let get = async |who: &str, scope, url: &str| {
        service.anonymous(Method::GET, url).bearer(&service.token(who, &[scope])).send().await
    };
    for (who, scope, status) in [
        ("ann", Scope::Read, StatusCode::OK),
        ("root", Scope::Admin, StatusCode::OK),
        ("bob", Scope::Read, StatusCode::NOT_FOUND),
        ("ann", Scope::Submit, StatusCode::FORBIDDEN),
    ] {
        assert_eq!(get(who, scope, url).await.status, status, "{who} {scope}");
    }
    assert_eq!(&get("ann", Scope::Read, url).await.body[..], PNG);
    let never = get("bob", Scope::Read, "/api/v1/files/images/b.png").await;
    assert_eq!(refusal(&get("bob", Scope::Read, url).await, "images/a.png"), refusal(&never, "images/b.png"));
    assert_eq!(service.anonymous(Method::GET, url).bearer("nonsense").send().await.status, StatusCode::UNAUTHORIZED);
    // A link counts whoever brings it, and a bad one is not mended by a token.
    assert_eq!(get("bob", Scope::Submit, &link(&engine, &path("images/a.png"))).await.status, StatusCode::OK);
    assert_eq!(get("ann", Scope::Read, &format!("{url}?expires=1&signature=x")).await.status, StatusCode::FORBIDDEN);
    engine.clock.advance(std::time::Duration::from_secs(30));
    assert_eq!(get("ann", Scope::Read, url).await.status, StatusCode::NOT_FOUND);
}

pub async fn a_file_is_removed_by_its_owner_or_an_admin(engine: Engine) {
    let service = TestService::over(engine.clone());
    let mine = uploaded(&service, "a.png", PNG).await.text_at("/file_path");
    keep(&engine, "exports/x.csv", "text/csv", b"1").await;
    let remove = async |who: &str, scope, name: &str| {
        let call = service.anonymous(Method::DELETE, &format!("/api/v1/files/{name}"));
        call.bearer(&service.token(who, &[scope])).send().await
    };
    let url = format!("/api/v1/files/{mine}");
    assert_eq!(service.anonymous(Method::DELETE, &url).send().await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(remove("ann", Scope::Read, &mine).await.status, StatusCode::FORBIDDEN);
    let anothers = remove("bob", Scope::Submit, &mine).await;
    assert_eq!(anothers.status, StatusCode::NOT_FOUND);
    assert_eq!(refusal(&anothers, &mine), refusal(&remove("bob", Scope::Submit, "uploads/b.png").await, "uploads/b.png"));
    assert_eq!(stored(&engine).len(), 2);
    let gone = remove("ann", Scope::Submit, &mine).await;
    assert_eq!((gone.status, gone.text()), (StatusCode::NO_CONTENT, ""));
    assert_eq!(remove("ann", Scope::Submit, &mine).await.status, StatusCode::NOT_FOUND);
    assert_eq!(remove("root", Scope::Admin, "exports/x.csv").await.status, StatusCode::NO_CONTENT);
    assert_eq!(stored(&engine), [] as [&str; 0]);
    assert_eq!(remove("root", Scope::Admin, "exports/x.csv").await.status, StatusCode::NOT_FOUND);
    assert_eq!(remove("root", Scope::Admin, "..%2fsecret").await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(service.anonymous(Method::GET, &link(&engine, &path(&mine))).send().await.status, StatusCode::NOT_FOUND);
}

pub async fn an_upload_is_kept_as_long_as_the_setting_says(engine: Engine) {
    let service = TestService::with(engine.clone(), &[("UPLOAD_RETENTION", "1h")], Readiness::new());
    uploaded(&service, "a.png", PNG).await;
    let for_good = TestService::over(engine.clone());
    let kept = uploaded(&for_good, "b.png", PNG).await.text_at("/file_path");
    engine.clock.advance(std::time::Duration::from_mins(59));
    assert_eq!(engine.upkeep.prune().await.unwrap(), 0);
    engine.clock.advance(std::time::Duration::from_mins(1));
    assert_eq!(engine.upkeep.prune().await.unwrap(), 1);
    assert_eq!(stored(&engine), [root(&engine).join(kept).display().to_string()]);
}
