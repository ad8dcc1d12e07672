//! Who asks, and what they may do.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use legwork_engine::domain::{Principal, Scope};
use serde_json::{Value, json};

use crate::support::engine::Engine;
use crate::support::service::TestService;

const PASSWORD: &str = "correct horse battery";

async fn with_account(engine: Engine) -> TestService {
    let service = TestService::over(engine);
    let user = json!({ "name": "anna", "password": PASSWORD, "scopes": ["tasks:read"] });
    assert_eq!(service.post("/api/v1/auth/users", &user).await.status, StatusCode::CREATED);
    service
}

pub async fn a_login_gives_a_token_that_works(engine: Engine) {
    let service = with_account(engine).await;
    let login = json!({ "name": "anna", "password": PASSWORD });
    let answer = service.anonymous(Method::POST, "/api/v1/auth/token/").json(&login).send().await;
    assert_eq!((answer.json()["token_type"].clone(), answer.json()["expires_in"].clone()), (json!("Bearer"), json!(28_800)));
    let token = answer.text_at("/access_token");
    let list = service.anonymous(Method::GET, "/api/v1/tasks").bearer(&token).send().await;
    assert_eq!(list.status, StatusCode::OK);
    let form = service.anonymous(Method::POST, "/api/v1/auth/token").header("content-type", "application/x-www-form-urlencoded");
    let form = form.body("grant_type=password&username=anna&password=correct+horse+battery").send().await;
    assert_eq!(form.status, StatusCode::OK, "{form}");
}

pub async fn who_guesses_passwords_is_told_to_wait(engine: Engine) {
    let service = with_account(engine).await;
    let guess = || {
        let login = json!({ "name": "anna", "password": "wrong password" });
        service.anonymous(Method::POST, "/api/v1/auth/token").json(&login).send()
    };
    assert_snapshot!(guess().await, @r#"
    401 Unauthorized
    content-type: application/problem+json
    www-authenticate: Bearer realm="legwork"

    {
      "code": "login_refused",
      "detail": "there is no account with this name and password",
      "errors": [],
      "status": 401,
      "title": "Name or password is wrong",
      "type": "urn:legwork:problem:login_refused"
    }
    "#);
    for _ in 0..4 {
        assert_eq!(guess().await.status, StatusCode::UNAUTHORIZED);
    }
    assert_snapshot!(guess().await, @r#"
    429 Too Many Requests
    content-type: application/problem+json
    retry-after: 10

    {
      "code": "rate_limited",
      "detail": "too many failed logins for this name or from this address; see Retry-After",
      "errors": [],
      "status": 429,
      "title": "Too many requests",
      "type": "urn:legwork:problem:rate_limited"
    }
    "#);
}

pub async fn a_token_that_is_missing_or_refused_is_401_and_says_why(engine: Engine) {
    let service = TestService::over(engine);
    let ask = |token: String| service.anonymous(Method::GET, "/api/v1/tasks").bearer(&token).send();
    assert_snapshot!(service.anonymous(Method::GET, "/api/v1/tasks").send().await, @r#"
    401 Unauthorized
    content-type: application/problem+json
    www-authenticate: Bearer realm="legwork"

    {
      "code": "token_missing",
      "detail": "send Authorization: Bearer and a token, from POST /api/v1/auth/token or legwork token create",
      "errors": [],
      "status": 401,
      "title": "A bearer token is needed",
      "type": "urn:legwork:problem:token_missing"
    }
    "#);
    let principal = Principal { subject: "ann".into(), scopes: [Scope::Read].into_iter().collect() };
    let hour = Duration::from_hours(1);
    let issued_by = |settings: &[(&str, &str)]| {
        let vars = settings.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let tokens = legwork::auth::Tokens::new(&legwork::config::Config::read(vars).unwrap().auth).unwrap();
        tokens.issue(&principal, hour, service.engine.now()).unwrap()
    };
    let forged = issued_by(&[("JWT_SECRET", "a secret that is not the one of the tests")]);
    assert_snapshot!(ask(forged).await, @r#"
    401 Unauthorized
    content-type: application/problem+json
    www-authenticate: Bearer realm="legwork", error="invalid_token", error_description="the token's signature was made by none of this server's keys, or the token was changed"

    {
      "code": "token_refused",
      "detail": "the token's signature was made by none of this server's keys, or the token was changed",
      "errors": [],
      "status": 401,
      "title": "The bearer token is refused",
      "type": "urn:legwork:problem:token_refused"
    }
    "#);
    let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJyb290Iiwic2NvcGUiOiJhZG1pbiJ9.".to_owned();
    assert_snapshot!(ask(unsigned).await.text_at("/detail"), @"the token's alg is none; allowed is HS256");
    let two_hours_ago = service.engine.now() - hour * 2;
    let early = service.tokens.issue(&principal, hour, two_hours_ago).unwrap();
    assert_snapshot!(ask(early).await.text_at("/detail"), @"the token expired at 2026-11-21T07:00:00Z");
    let elsewhere = issued_by(&[("JWT_SECRET", crate::support::service::SECRET), ("JWT_AUDIENCE", "shop")]);
    assert_snapshot!(ask(elsewhere).await.text_at("/detail"), @r#"the token's aud must be "legwork""#);
}

pub async fn a_token_without_the_scope_is_403_and_names_it(engine: Engine) {
    let service = TestService::over(engine);
    let reader = service.token("ann", &[Scope::Read]);
    let body = json!({ "kind": "system.echo" });
    assert_snapshot!(service.anonymous(Method::POST, "/api/v1/tasks").bearer(&reader).json(&body).send().await, @r#"
    403 Forbidden
    content-type: application/problem+json
    www-authenticate: Bearer realm="legwork", error="insufficient_scope", scope="tasks:submit"

    {
      "code": "scope_missing",
      "detail": "the token lacks the scope tasks:submit",
      "errors": [],
      "status": 403,
      "title": "The token does not allow this",
      "type": "urn:legwork:problem:scope_missing"
    }
    "#);
}

pub async fn a_revoked_token_is_refused_at_once(engine: Engine) {
    let service = TestService::over(engine);
    let token = service.token("ann", &[Scope::Read]);
    let ask = || service.anonymous(Method::GET, "/api/v1/tasks").bearer(&token).send();
    assert_eq!(ask().await.status, StatusCode::OK);
    let jti = service.tokens.verify(&token, service.engine.now()).unwrap().jti.unwrap();
    assert_eq!(service.delete(&format!("/api/v1/auth/tokens/{jti}")).await.status, StatusCode::NO_CONTENT);
    assert_eq!(ask().await.text_at("/detail"), "the token was revoked");
    assert_eq!(service.engine.store.revoked_tokens(service.engine.now()).await.unwrap(), [jti.to_string()]);
}

pub async fn an_account_is_made_once_and_its_password_set_on_request(engine: Engine) {
    let service = with_account(engine).await;
    let mut user = json!({ "name": "anna", "password": "another long password", "scopes": ["tasks:read"] });
    assert_snapshot!(service.post("/api/v1/auth/users", &user).await, @r#"
    409 Conflict
    content-type: application/problem+json

    {
      "code": "account_exists",
      "detail": "the account \"anna\" exists; \"replace\": true sets its password",
      "errors": [],
      "status": 409,
      "title": "The current state does not allow this",
      "type": "urn:legwork:problem:account_exists"
    }
    "#);
    user["replace"] = true.into();
    user["scopes"] = Value::Null;
    assert_snapshot!(service.post("/api/v1/auth/users", &user).await, @r#"
    200 OK
    content-type: application/json

    {
      "created": false,
      "name": "anna"
    }
    "#);
    let login = json!({ "name": "anna", "password": "another long password" });
    assert_eq!(service.anonymous(Method::POST, "/api/v1/auth/token").json(&login).send().await.status, StatusCode::OK);
    let nobody = json!({ "name": "nobody", "password": "another long password", "replace": true });
    let answer = service.post("/api/v1/auth/users", &nobody).await;
    assert_eq!((answer.status, answer.text_at("/detail").as_str()), (StatusCode::NOT_FOUND, "there is no account \"nobody\""));
    for scopes in [json!({}), json!({ "scopes": null }), json!({ "scopes": [] })] {
        let mut user = json!({ "name": "bob", "password": "another long password" });
        user.as_object_mut().unwrap().extend(scopes.as_object().unwrap().clone());
        let answer = service.post("/api/v1/auth/users", &user).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{user}: an account without scopes is not made");
        assert_eq!(answer.text_at("/errors/0/pointer"), "/scopes");
    }
    let short = json!({ "name": "a b", "password": "short" });
    assert_snapshot!(service.post("/api/v1/auth/users", &short).await.text_at("/detail"), @"/name: is not 1 to 100 characters of A-Z, a-z, 0-9, '_', '.', '@' and '-'");
}

pub async fn others_tasks_are_not_to_be_seen_or_touched(engine: Engine) {
    let service = TestService::over(engine);
    let id = service.submitted(&json!({ "kind": "system.echo", "countdown": 60 })).await;
    let ann = service.token("ann", &[Scope::Read, Scope::Control, Scope::Submit]);
    let ask = |method, path: String| service.anonymous(method, &path).bearer(&ann).send();
    for path in [format!("/api/v1/tasks/status/{id}"), format!("/api/v1/tasks/{id}"), format!("/api/v1/tasks/{id}/events")] {
        assert_eq!(ask(Method::GET, path).await.status, StatusCode::NOT_FOUND);
    }
    assert_eq!(ask(Method::DELETE, format!("/api/v1/tasks/revoke/{id}")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(ask(Method::POST, format!("/api/v1/tasks/{id}/retry")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(ask(Method::GET, "/api/v1/tasks".into()).await.json()["items"], json!([]));
}

pub async fn a_kind_may_ask_for_more_than_the_right_to_submit(engine: Engine) {
    let service = TestService::over(engine);
    let submitter = service.token("ann", &[Scope::Submit]);
    let prune = json!({ "kind": "results.prune", "args": { "older_than_days": 1 } });
    let send = |token: &str, path: &str, body: &Value| service.anonymous(Method::POST, path).bearer(token).json(body).send();
    let refused = send(&submitter, "/api/v1/tasks", &prune).await;
    assert_eq!((refused.status, refused.text_at("/code").as_str()), (StatusCode::FORBIDDEN, "scope_missing"));
    let batch = json!({ "tasks": [prune, { "kind": "system.echo" }] });
    let answer = send(&submitter, "/api/v1/tasks/batch", &batch).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer}");
    assert_eq!(answer.text_at("/tasks/0/error/code"), "scope_missing");
    assert!(answer.json()["tasks"][1]["task_id"].is_string());
    let admin = service.token("root", &[Scope::Admin]);
    assert_eq!(send(&admin, "/api/v1/tasks", &prune).await.status, StatusCode::ACCEPTED);
}
