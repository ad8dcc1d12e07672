//! The commands, as the program that users start: with an environment of their own and a folder of their own.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tempfile::TempDir;

/// What came of a command.
struct Ended {
    code: i32,
    out: String,
    err: String,
}

impl Ended {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self}"))
    }

    /// The claims of the token that was printed, unverified.
    fn claims(&self) -> Value {
        let parts: Vec<&str> = self.out.trim_end().split('.').collect();
        assert_eq!(parts.len(), 3, "{self}");
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap()
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit {}\n--- out\n{}--- err\n{}", self.code, self.out, self.err)
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// A folder to run commands in, and their environment.
struct Place {
    folder: TempDir,
    vars: Vec<(&'static str, String)>,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), vars: Vec::new() }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.vars.push((name, value.to_owned()));
        self
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn legwork(&self, args: &[&str]) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_legwork"));
        command.args(args).env_clear().envs(self.vars.iter().cloned()).current_dir(self.path()).stdin(Stdio::null());
        command.output().unwrap().into()
    }
}

#[test]
fn every_command_has_a_help_with_an_example() {
    let place = Place::new();
    let top = place.legwork(&["--help"]);
    assert_eq!(top.code, 0, "{top}");
    assert!(top.out.contains("Exit codes:"), "{top}");
    for command in [
        "serve",
        "worker",
        "migrate",
        "run",
        "submit",
        "status",
        "revoke",
        "task",
        "task submit",
        "task list",
        "task status",
        "task show",
        "task events",
        "task recipients",
        "task change",
        "task retry",
        "task revoke",
        "kind",
        "queue",
        "schedule",
        "schedule edit",
        "maintenance",
        "suppression",
        "file",
        "import",
        "schedule",
        "token create",
        "token revoke",
        "user create",
        "user set-password",
        "encryption-key",
        "openapi",
        "check-config",
        "healthcheck",
        "completions",
        "man",
    ] {
        let words: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let help = place.legwork(&words);
        assert_eq!(help.code, 0, "{command}: {help}");
        assert!(help.out.contains("Example"), "{command}: {help}");
        assert!(top.out.contains(words[0]), "{command} is not in the list: {top}");
        let about = help.out.lines().next().unwrap_or_default();
        assert!(
            !about.contains("server a command asks") && about.split(' ').count() > 1,
            "{command} does not say what it does: {help}"
        );
    }
    assert!(!top.out.contains("asks a server"), "{top}");
    assert!(place.path().read_dir().unwrap().next().is_none(), "help leaves nothing behind");
}

#[test]
fn an_unknown_command_or_flag_is_wrong_usage() {
    let place = Place::new();
    for words in [
        &["sevre"][..],
        &["run"],
        &["submit", "k", "--priority", "high"],
        &["submit", "k", "--eta", "x", "--countdown", "1"],
        &["schedule", "edit", "x", "--token", "t"],
        &["schedule", "edit", "x", "--token", "t", "--clear", "colour"],
        &["schedule", "edit", "x", "--token", "t", "--clear", "queue", "--queue", "q"],
        &["schedule", "add", "x", "system.echo", "--jitter", "500ms"],
        &["schedule", "add", "x", "system.echo", "--interval", "5m", "--latitude", "5"],
        &["schedule", "delete", "..", "--token", "t"],
    ] {
        let ended = place.legwork(words);
        assert_eq!((ended.code, ended.out.as_str()), (2, ""), "{words:?}: {ended}");
    }
}

#[test]
fn every_command_that_reads_the_configuration_lists_all_its_mistakes() {
    let place = Place::new().with("LISTEN", "nowhere").with("LEASE", "1s").with("LOG_FORMAT", "xml");
    for words in [
        &["check-config"][..],
        &["serve"],
        &[],
        &["worker"],
        &["migrate"],
        &["run", "system.echo"],
        &["status", "019a8f6e-7c1b-7c3e-9b1a-2f6d1c0a4e55"],
        &["token", "create", "--subject", "a", "--scope", "admin"],
        &["healthcheck"],
    ] {
        let ended = place.legwork(words);
        assert_eq!((ended.code, ended.out.as_str()), (2, ""), "{words:?}: {ended}");
        for setting in ["LISTEN: ", "LEASE: ", "LOG_FORMAT: "] {
            assert!(ended.err.contains(setting), "{words:?}: {ended}");
        }
    }
    assert!(place.path().read_dir().unwrap().next().is_none(), "nothing was started");
}

#[test]
fn mistakes_are_json_too_where_asked_for() {
    let ended = Place::new().with("LEASE", "1s").legwork(&["check-config", "--format", "json"]);
    assert_eq!(ended.code, 2, "{ended}");
    assert_eq!(ended.json()["mistakes"][0]["setting"], "LEASE");
}

#[test]
fn mistakes_in_the_declared_sources_are_told_with_their_lines() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sources.toml");
    std::fs::write(&file, "[sources.app]\nurl = \"mysql://u:hidden@h\"\n[sources.app.models.user]\nfields = { id = \"int\" }\n")
        .unwrap();
    for (path, lines) in [
        (file.to_str().unwrap(), &[", line 2: sources.app.url: it is neither", ", line 4: sources.app.models.user"][..]),
        ("/nowhere", &[" cannot be read"]),
    ] {
        for words in [&["check-config"][..], &["serve"]] {
            let ended = Place::new().with("SOURCES", path).legwork(words);
            assert_eq!((ended.code, ended.out.as_str()), (2, ""), "{ended}");
            assert!(lines.iter().all(|line| ended.err.contains(&format!("SOURCES: {path}{line}"))), "{ended}");
            assert!(!ended.err.contains("hidden"), "{ended}");
        }
    }
}

#[test]
fn flags_of_serve_and_worker_stand_before_the_environment() {
    let place = Place::new().with("CONCURRENCY", "5");
    let ended = place.legwork(&["serve", "--concurrency", "none", "--roles", "cook", "--listen", "here"]);
    assert_eq!(ended.code, 2, "{ended}");
    for said in ["CONCURRENCY: \"none\"", "ROLES: \"cook\"", "LISTEN: \"here\""] {
        assert!(ended.err.contains(said), "{ended}");
    }
}

#[test]
fn a_worker_by_itself_needs_postgres_and_redis() {
    let embedded = Place::new().legwork(&["worker"]);
    assert_eq!(embedded.code, 2, "{embedded}");
    assert!(embedded.err.contains("DATABASE_URL and REDIS_URL"), "{embedded}");
    let without_redis = Place::new().with("DATABASE_URL", "postgres://u@h/db").legwork(&["worker"]);
    assert_eq!(without_redis.code, 2, "{without_redis}");
    assert!(without_redis.err.contains("REDIS_URL: is required"), "{without_redis}");
}

#[test]
fn the_settings_in_effect_are_shown_without_their_secrets() {
    let place = Place::new()
        .with("DATABASE_URL", "postgres://ann:hidden-1@db.example/legwork")
        .with("JWT_SECRET", "hidden-2-hidden-2-hidden-2-hidden-2")
        .with("CONCURRENCY", "7");
    let text = place.legwork(&["check-config"]);
    assert_eq!(text.code, 0, "{text}");
    assert!(text.out.contains("CONCURRENCY=7\n") && text.out.contains("RATE_LIMIT=1000  # default\n"), "{text}");
    assert!(text.out.contains("DATABASE_URL=postgres://ann:***@db.example/legwork\n"), "{text}");
    assert!(!text.out.contains("hidden"), "{text}");
    let as_json = place.legwork(&["check-config", "--format", "json"]).json();
    let settings = as_json["settings"].as_array().unwrap();
    assert!(settings.contains(&json!({"name": "JWT_SECRET", "value": "***", "is_set": true})), "{as_json}");
}

#[test]
fn the_example_environment_is_the_file_of_the_repository() {
    let ended = Place::new().with("LEASE", "wrong").legwork(&["check-config", "--example"]);
    assert_eq!(ended.code, 0, "{ended}");
    assert_eq!(ended.out, include_str!("../../.env.example"));
}

#[test]
fn a_token_is_printed_alone_and_says_what_was_asked_for() {
    let place = Place::new();
    let create = ["token", "create", "--subject", "shop", "--scope", "tasks:submit", "--scope", "tasks:read", "--ttl", "2h"];
    let ended = place.legwork(&create);
    assert_eq!((ended.code, ended.out.lines().count(), ended.err.as_str()), (0, 1, ""), "{ended}");
    let claims = ended.claims();
    assert_eq!(claims["sub"], "shop");
    assert_eq!(claims["scope"], "tasks:submit tasks:read");
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!("legwork"), &json!("legwork")));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 7200);
    assert!(place.path().join("data/jwt-secret").exists(), "the embedded secret is made where there is none");
}

#[test]
fn a_token_is_valid_for_a_server_with_the_same_secret() {
    use legwork::config::Config;
    use legwork_engine::clock::{Clock as _, SyncedClock};
    use legwork_engine::domain::Scope;

    let secret = "a-secret-of-more-than-32-characters";
    let ended = Place::new().with("JWT_SECRET", secret).legwork(&["token", "create", "--subject", "me", "--scope", "admin"]);
    assert_eq!(ended.code, 0, "{ended}");
    let config = Config::read([("JWT_SECRET".to_owned(), secret.to_owned())].into()).unwrap();
    let tokens = legwork::auth::Tokens::new(&config.auth).unwrap();
    let verified = tokens.verify(ended.out.trim_end(), SyncedClock::start().now()).unwrap();
    assert_eq!(&*verified.principal.subject, "me");
    assert!(verified.principal.may(Scope::Control));
}

#[test]
fn a_token_needs_known_scopes_a_length_and_a_secret() {
    let place = Place::new();
    let unknown = place.legwork(&["token", "create", "--subject", "a", "--scope", "tasks:eat"]);
    assert_eq!(unknown.code, 2, "{unknown}");
    assert!(unknown.err.contains("tasks:submit, tasks:read, tasks:control, tasks:all, admin"), "{unknown}");
    assert_eq!(place.legwork(&["token", "create", "--subject", "a"]).code, 2);
    assert_eq!(place.legwork(&["token", "create", "--subject", "a", "--scope", "admin", "--ttl", "0s"]).code, 2);

    let pem =
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    let public_key_only =
        Place::new().with("JWT_PUBLIC_KEY", pem).legwork(&["token", "create", "--subject", "a", "--scope", "admin"]);
    assert_eq!(public_key_only.code, 2, "{public_key_only}");
    assert!(public_key_only.err.contains("JWT_SECRET"), "{public_key_only}");
}

#[test]
fn run_gives_the_result_of_a_kind_and_keeps_no_row() {
    let place = Place::new();
    let ended = place.legwork(&["run", "system.echo", "--arg", "hello=world", "--arg", "a.b=2", "--format", "json"]);
    assert_eq!(ended.code, 0, "{ended}");
    assert_eq!(ended.json(), json!({"success": true, "message": "echo", "hello": "world", "a": {"b": 2}}));
    assert!(!place.path().join("data/legwork.db").exists());
}

#[test]
fn run_tells_progress_beside_the_result() {
    let ended = Place::new().legwork(&["run", "system.sleep", "--args", "{\"seconds\": 0.01}"]);
    assert_eq!(ended.code, 0, "{ended}");
    assert!(ended.out.starts_with("success  true\nmessage  slept 0.01 s\n"), "{ended}");
    assert!(ended.err.contains("progress 0/0"), "{ended}");
}

#[test]
fn run_sends_a_mail_into_the_outbox() {
    let place = Place::new();
    let ended = place.legwork(&[
        "run",
        "email.send",
        "--arg",
        "recipient_email=ann@example.org",
        "--arg",
        "subject=Come and see",
        "--arg",
        "text=Here it is.",
    ]);
    assert_eq!(ended.code, 0, "{ended}");
    let mails: Vec<_> = place.path().join("data/outbox").read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    let [mail] = &mails[..] else { panic!("one mail: {mails:?}") };
    let text = std::fs::read_to_string(mail).unwrap();
    assert!(text.contains("Subject: Come and see") && text.contains("To: ann@example.org"), "{text}");
}

#[test]
fn run_refuses_what_a_submission_would_refuse() {
    let place = Place::new();
    let unknown = place.legwork(&["run", "system.eko"]);
    assert_eq!((unknown.code, unknown.out.as_str()), (2, ""), "{unknown}");
    assert!(unknown.err.contains("email.send") && unknown.err.contains("system.echo"), "{unknown}");
    assert!(!unknown.err.contains("system.callback"), "the engine's own kinds are not for users: {unknown}");
    let wrong_type = place.legwork(&["run", "system.sleep", "--arg", "seconds=soon"]);
    assert_eq!(wrong_type.code, 2, "{wrong_type}");
    assert!(wrong_type.err.contains("/seconds: "), "{wrong_type}");
    let bad_address =
        place.legwork(&["run", "email.send", "--arg", "recipient_email=nobody", "--arg", "subject=", "--arg", "text=x"]);
    assert_eq!(bad_address.code, 2, "{bad_address}");
    assert!(bad_address.err.contains("/recipient_email: ") && bad_address.err.contains("/subject: "), "{bad_address}");
    assert_eq!(place.legwork(&["run", "system.echo", "--arg", "hello"]).code, 2);
    let of_the_engine = place.legwork(&["run", "system.health_check"]);
    assert!(of_the_engine.code == 2 && of_the_engine.err.contains("legwork submit system.health_check"), "{of_the_engine}");
}

#[test]
fn run_ends_a_task_that_takes_too_long() {
    let ended = Place::new().legwork(&["run", "system.sleep", "--arg", "seconds=60", "--time-limit", "20ms"]);
    assert_eq!((ended.code, ended.out.as_str()), (1, ""), "{ended}");
    assert!(ended.err.contains("past its limit of 0.02 s"), "{ended}");
}

#[test]
fn an_id_that_is_none_is_wrong_usage_and_no_server_is_asked() {
    let place = Place::new();
    for words in [&["status", "abc"][..], &["revoke", "abc"], &["task", "retry", "abc"]] {
        let ended = place.legwork(words);
        assert_eq!((ended.code, ended.out.as_str()), (2, ""), "{words:?}: {ended}");
        assert!(ended.err.contains("'abc'"), "{words:?}: {ended}");
    }
}

#[test]
fn a_subject_may_be_as_long_as_a_servers() {
    let place = Place::new();
    let create = |length: usize| place.legwork(&["token", "create", "--scope", "admin", "--subject", &"x".repeat(length)]);
    assert_eq!((create(255).code, create(256).code), (0, 2));
}

#[test]
fn a_token_is_revoked_in_the_database_where_no_server_answers() {
    // Bound and never listened on, so nobody can answer there.
    let unheard = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let listen = unheard.local_addr().unwrap().to_string();
    let place = Place::new().with("LISTEN", &listen);
    let token = place.legwork(&["token", "create", "--scope", "admin", "--subject", "me"]);
    for which in [token.out.trim_end(), "an-id"] {
        let revoked = place.legwork(&["token", "revoke", which]);
        assert_eq!(revoked.code, 0, "{revoked}");
    }
    assert!(place.path().join("data/legwork.db").exists());

    let elsewhere = Place::new().with("LEGWORK_URL", &format!("http://{listen}")).with("LEGWORK_TOKEN", "t");
    let refused = elsewhere.legwork(&["token", "revoke", "an-id"]);
    assert_eq!(refused.code, 3, "a server that was named is not gone round: {refused}");
}

#[test]
fn a_command_without_a_server_says_where_it_looked_and_exits_with_3() {
    // Bound and never listened on, so nobody can answer there.
    let unheard = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let listen = unheard.local_addr().unwrap().to_string();
    let place = Place::new().with("LISTEN", &listen).with("JWT_SECRET", "a-secret-of-more-than-32-characters");
    for words in [
        &["status", "019a8f6e-7c1b-7c3e-9b1a-2f6d1c0a4e55"][..],
        &["submit", "system.echo"],
        &["queue", "list"],
        &["worker", "list"],
    ] {
        let ended = place.legwork(words);
        assert_eq!((ended.code, ended.out.as_str()), (3, ""), "{words:?}: {ended}");
        assert!(ended.err.contains(&listen) && !ended.err.contains('?'), "{words:?}: {ended}");
    }
    let unhealthy = place.legwork(&["healthcheck"]);
    assert_eq!((unhealthy.code, unhealthy.out.as_str()), (1, ""), "{unhealthy}");
}

#[test]
fn a_command_without_a_secret_says_how_to_come_by_a_token() {
    let place = Place::new();
    let ended = place.legwork(&["queue", "list"]);
    assert_eq!(ended.code, 2, "{ended}");
    assert!(ended.err.contains("LEGWORK_TOKEN") && ended.err.contains("legwork serve"), "{ended}");
    assert!(place.path().read_dir().unwrap().next().is_none(), "asking leaves nothing behind");
}

#[test]
fn a_made_encryption_key_is_one_that_the_configuration_takes() {
    let key = Place::new().legwork(&["encryption-key", "--id", "k2"]);
    assert!(key.code == 0 && key.out.starts_with("k2:"), "{key}");
    let (new, old) = (key.out.trim(), "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    // Two keys that are made on one day can be used together.
    let [one, other] = [(); 2].map(|()| Place::new().legwork(&["encryption-key"]).out.trim().to_owned());
    let together = Place::new().with("ENCRYPTION_KEYS", &format!("{one},{other}")).legwork(&["check-config"]);
    assert_eq!(together.code, 0, "{together}");
    let taken = Place::new().with("ENCRYPTION_KEYS", &format!("{new},{old}")).legwork(&["check-config"]);
    assert!(taken.code == 0 && taken.out.contains("ENCRYPTION_KEYS=***\n"), "{taken}");
    assert!(!taken.out.contains("AAAA") && !taken.err.contains("AAAA"), "{taken}");
    for (keys, actual) in [
        ("AAAA", "a key without an id"),
        ("a b:AAAA", "a key without an id"),
        ("k1:AAAA", "\"k1\", whose key is not the base64 of 32 bytes"),
        ("k1:%%", "\"k1\", whose key is not the base64 of 32 bytes"),
        (&format!("{old},{old}"), "\"k1\" twice"),
    ] {
        let refused = Place::new().with("ENCRYPTION_KEYS", keys).legwork(&["check-config"]);
        assert!(refused.code == 2 && refused.err.contains(actual) && !refused.err.contains("AAAA"), "{keys}: {refused}");
    }
}

#[test]
fn settings_are_read_from_the_env_file_and_the_environment_has_precedence() {
    let place = Place::new().with("CONCURRENCY", "7");
    let file = "# a comment\nCONCURRENCY=5\nSITE_NAME=\"The Clinic\"\nexport LOG_FORMAT=json\nPOSTGRES_PASSWORD=x\n";
    std::fs::write(place.path().join(".env"), file).unwrap();
    let shown = place.legwork(&["check-config"]);
    assert_eq!(shown.code, 0, "{shown}");
    for line in ["CONCURRENCY=7\n", "SITE_NAME=The Clinic\n", "LOG_FORMAT=json\n"] {
        assert!(shown.out.contains(line), "{shown}");
    }
    std::fs::write(place.path().join(".env"), "LEASE=1s\n").unwrap();
    assert_eq!(place.legwork(&["check-config"]).code, 2);
    std::fs::write(place.path().join(".env"), "JWT_SECRET=hidden word\n").unwrap();
    let wrong = place.legwork(&["check-config"]);
    assert!(wrong.code == 2 && wrong.err.contains(".env has a line") && !wrong.err.contains("hidden"), "{wrong}");
}

#[test]
fn errors_are_json_where_the_format_is() {
    let place = Place::new().with("LEASE", "1s");
    let error = |words: &[&str]| -> (i32, Value) {
        let ended = place.legwork(words);
        assert_eq!(ended.out, "", "{ended}");
        (ended.code, serde_json::from_str(&ended.err).unwrap_or_else(|error| panic!("{error}: {ended}")))
    };
    let (code, mistakes) = error(&["queue", "list", "--format", "json"]);
    assert_eq!((code, &mistakes["error"]["code"]), (2, &json!("configuration")));
    assert_eq!(mistakes["error"]["errors"][0]["setting"], "LEASE");
    let (code, usage) = error(&["queue", "lst", "--format=json"]);
    assert_eq!((code, &usage["error"]["code"]), (2, &json!("usage")));
}

#[test]
fn completions_and_the_manual_page_know_the_commands() {
    let place = Place::new();
    for (words, known) in [
        (&["completions", "bash"][..], "suppression"),
        (&["completions", "zsh"], "suppression"),
        (&["completions", "fish"], "suppression"),
        (&["man"], "legwork\\-suppression"),
    ] {
        let ended = place.legwork(words);
        assert!(ended.code == 0 && ended.out.contains(known), "{words:?}: {ended}");
    }
    assert_eq!(place.legwork(&["completions", "cmd"]).code, 2);
}
