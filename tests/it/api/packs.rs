//! The packs of a server, and their reload.

use std::path::Path;

use axum::http::{Method, StatusCode};
use legwork::http::Readiness;
use legwork_engine::domain::Scope;
use serde_json::json;

use crate::support::engine::Engine;
use crate::support::service::TestService;

fn write(folder: &Path, kinds: &[(&str, &str)]) {
    let mut text = "[pack]\nname = \"shop\"\ndescription = \"Says hello.\"\n".to_owned();
    for (name, compiled) in kinds {
        let declared =
            ["[kinds.\"shop.", name, "\"]\ndescription = \"Greets.\"\nrunner = \"builtin\"\nkind = \"", compiled, "\"\n"];
        text.push_str(&declared.concat());
    }
    std::fs::write(folder.join("pack.toml"), text).unwrap();
}

pub async fn packs_are_listed_and_reloaded_as_a_whole(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[("hello", "system.echo")]);
    let service = TestService::with(engine, &[("PACKS", folder.path().to_str().unwrap())], Readiness::new());
    let listed = service.get("/api/v1/packs").await.json();
    assert_eq!(listed["items"][0]["name"], "shop", "{listed}");
    assert_eq!(listed["items"][0]["kinds"], json!(["shop.hello"]));

    write(folder.path(), &[("hello", "system.echo"), ("goodbye", "system.echo")]);
    let reloaded = service.post("/api/v1/packs/reload", &json!(null)).await;
    assert_eq!(reloaded.status, StatusCode::OK, "{reloaded}");
    assert_eq!(reloaded.json()["items"][0]["kinds"], json!(["shop.hello", "shop.goodbye"]));
    let kinds = service.get("/api/v1/tasks/kinds").await.json();
    assert!(kinds["kinds"].as_array().unwrap().iter().any(|kind| kind["kind"] == "shop.goodbye"), "{kinds}");
    assert!(service.get("/openapi.json").await.to_string().contains("shop.goodbye"), "the document has the new kind");
    let accepted = service.post("/api/v1/tasks", &json!({ "kind": "shop.goodbye" })).await;
    assert_eq!(accepted.status, StatusCode::ACCEPTED, "{accepted}");

    write(folder.path(), &[("goodbye", "system.ecco")]);
    let refused = service.post("/api/v1/packs/reload", &json!(null)).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{refused}");
    let detail = refused.text_at("/errors/0/detail");
    assert!(detail.contains("pack.toml:") && detail.contains("system.ecco"), "{detail}");
    let listed = service.get("/api/v1/packs").await.json();
    assert_eq!(listed["items"][0]["kinds"], json!(["shop.hello", "shop.goodbye"]), "those that ran go on");

    let audit = service.get("/api/v1/audit?action=pack.reload").await.json();
    let mut details: Vec<_> =
        audit["items"].as_array().unwrap().iter().map(|entry| (&entry["outcome"], &entry["detail"])).collect();
    details.sort_by_key(|(outcome, _)| outcome.to_string());
    assert_eq!(details, [(&json!("done"), &json!("packs: 1, kinds: 2")), (&json!("failed"), &json!(""))]);
    // What is for administrators stays so behind a chain of kinds.
    write(folder.path(), &[("prune", "results.prune")]);
    let mut text = std::fs::read_to_string(folder.path().join("pack.toml")).unwrap();
    for (name, link) in [("outer", "inner"), ("inner", "prune")] {
        let declared = [
            "\n[kinds.\"shop.",
            name,
            "\"]\ndescription = \"Runs another one.\"\nrunner = \"chain\"\n[[kinds.\"shop.",
            name,
            "\".links]]\nname = \"only\"\nkind = \"shop.",
            link,
            "\"\n",
        ];
        text.push_str(&declared.concat());
    }
    std::fs::write(folder.path().join("pack.toml"), text).unwrap();
    let reloaded = service.post("/api/v1/packs/reload", &json!(null)).await;
    assert_eq!(reloaded.status, StatusCode::OK, "{reloaded}");
    let submitter = service.token("bob", &[Scope::Submit]);
    for kind in ["shop.prune", "shop.inner", "shop.outer"] {
        let body = json!({ "kind": kind });
        let denied = service.anonymous(Method::POST, "/api/v1/tasks").bearer(&submitter).json(&body).send().await;
        assert_eq!(denied.status, StatusCode::FORBIDDEN, "{kind}: {denied}");
    }

    let reader = service.token("bob", &[Scope::Read]);
    let denied = service.anonymous(Method::POST, "/api/v1/packs/reload").bearer(&reader).send().await;
    assert_eq!(denied.status, StatusCode::FORBIDDEN, "{denied}");
}
