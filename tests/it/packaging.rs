//! What ships beside the program. No container engine is at hand where the tests run, so these files are read, not built; the reading is by a
//! YAML parser and by line.

use std::fs;
use std::path::Path;

use saphyr::{LoadableYamlNode, Yaml};
use serde_json::{Map, Value};

#[test]
fn compose_starts_the_three_roles_from_one_image() {
    let services = &compose()["services"];
    for (service, role) in [("api", "api"), ("worker", "worker"), ("scheduler", "scheduler")] {
        let service = &services[service];
        assert_eq!(service["image"], "legwork", "{role}");
        assert_eq!(service["command"], serde_json::json!(["serve", "--roles", role]));
        assert_eq!(service["container_name"], Value::Null, "a fixed name of {role} would stand in the way of --scale");
        for wanted in ["postgres", "redis"] {
            assert_eq!(service["depends_on"][wanted]["condition"], "service_healthy", "{role} waits for {wanted}");
        }
    }
    assert_eq!(services["worker"]["ports"], Value::Null, "a published port of the worker would stand in the way of --scale");
    assert!(services["mail"].is_object(), "a mail catcher");
}

#[test]
fn compose_publishes_no_database_and_no_redis() {
    let services = &compose()["services"];
    for service in ["postgres", "redis"] {
        assert!(services[service].is_object(), "{service} is there");
        assert_eq!(services[service]["ports"], Value::Null, "{service} is reached from inside only");
    }
    for (name, service) in services.as_object().unwrap() {
        for port in service["ports"].as_array().into_iter().flatten() {
            let port = port.as_str().unwrap();
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port} is published to everybody");
        }
    }
    let command = services["redis"]["command"].as_array().unwrap();
    assert!(command.iter().any(|word| word == "--requirepass"), "redis asks for a password");
}

#[test]
fn compose_has_no_secret_and_no_default_for_one() {
    let text = read("docker-compose.yml");
    for secret in ["POSTGRES_PASSWORD", "REDIS_PASSWORD", "JWT_SECRET", "WEBHOOK_SECRET"] {
        let uses: Vec<&str> = text.split("${").skip(1).filter(|rest| rest.starts_with(secret)).collect();
        assert!(!uses.is_empty(), "{secret} is a variable");
        for used in uses {
            assert!(used[secret.len()..].starts_with(":?"), "{secret} is required: ${{{secret}:?…}}");
        }
    }
}

#[test]
fn compose_sets_only_settings_that_exist() {
    let known: Vec<&str> = legwork::config::SETTINGS.iter().map(|setting| setting.name).collect();
    for service in ["api", "worker", "scheduler"] {
        for name in compose()["services"][service]["environment"].as_object().unwrap().keys() {
            assert!(known.contains(&name.as_str()), "{service}: {name} is no setting");
        }
    }
}

#[test]
fn the_image_is_built_in_two_stages_and_runs_without_root() {
    let lines = instructions(&read("Dockerfile"));
    let of = |name: &str| -> Vec<&str> {
        lines.iter().filter(|(instruction, _)| instruction == name).map(|(_, rest)| rest.as_str()).collect()
    };
    let stages = of("FROM");
    assert_eq!(stages.len(), 2, "{stages:?}");
    assert!(stages[0].ends_with(" AS build") && stages[1].contains("-slim"), "{stages:?}");
    assert_eq!(of("USER"), ["legwork"]);
    assert_eq!(of("ENTRYPOINT"), [r#"["legwork"]"#]);
    assert_eq!(of("CMD"), [r#"["serve"]"#]);
    assert!(of("HEALTHCHECK")[0].contains(r#"["legwork", "healthcheck""#));
    let order: Vec<&str> = lines.iter().map(|(instruction, _)| instruction.as_str()).collect();
    let at = |name: &str| order.iter().position(|instruction| *instruction == name).unwrap();
    assert!(at("USER") < at("ENTRYPOINT"), "the user is set before the program");
}

#[test]
fn the_image_is_built_with_the_compiler_that_cargo_asks_for() {
    let wanted = read("Cargo.toml")
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = ").map(|version| version.trim_matches('"').to_owned()))
        .unwrap();
    let from = format!("FROM rust:{wanted}-slim-bookworm AS build");
    assert!(read("Dockerfile").lines().any(|line| line == from), "Dockerfile: expected {from}");
}

#[test]
fn the_image_takes_what_the_build_reads_and_nothing_else() {
    let text = read(".dockerignore");
    let kept: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix('!')).collect();
    assert!(text.lines().any(|line| line == "*"), ".dockerignore leaves out everything first");
    for name in kept {
        assert!(root().join(name).exists(), ".dockerignore keeps {name}, which is not there");
    }
}

#[test]
fn the_workflows_run_the_one_test_command_and_build_both_architectures() {
    let ci = yaml(".github/workflows/ci.yml");
    let runs: Vec<&str> =
        ci["jobs"]["test"]["steps"].as_array().unwrap().iter().filter_map(|step| step["run"].as_str()).collect();
    assert_eq!(runs, ["scripts/test"]);
    let release = yaml(".github/workflows/release.yml");
    let targets = release["jobs"]["binary"]["strategy"]["matrix"]["include"].as_array().unwrap();
    let targets: Vec<&str> = targets.iter().filter_map(|one| one["target"].as_str()).collect();
    assert_eq!(targets, ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"]);
    let steps = release["jobs"]["image"]["steps"].as_array().unwrap();
    assert!(steps.iter().any(|step| step["with"]["platforms"] == "linux/amd64,linux/arm64"));
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// `docker-compose.yml` as JSON, merge keys (`<<`) resolved.
fn compose() -> Value {
    yaml("docker-compose.yml")
}

/// A YAML file as JSON.
fn yaml(name: &str) -> Value {
    let text = read(name);
    let documents = Yaml::load_from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(documents.len(), 1, "{name}: one document");
    json_of(&documents[0])
}

fn json_of(yaml: &Yaml<'_>) -> Value {
    if let Some(items) = yaml.as_sequence() {
        return items.iter().map(json_of).collect();
    }
    let Some(pairs) = yaml.as_mapping() else { return scalar_of(yaml) };
    let (mut own, mut merged) = (Map::new(), Map::new());
    for (key, value) in pairs {
        match (key.as_str(), json_of(value)) {
            (Some("<<"), Value::Object(more)) => merged.extend(more),
            (Some(key), value) => drop(own.insert(key.to_owned(), value)),
            (None, _) => panic!("{key:?} is not a name"),
        }
    }
    merged.extend(own);
    Value::Object(merged)
}

fn scalar_of(yaml: &Yaml<'_>) -> Value {
    if let Some(text) = yaml.as_str() {
        return text.into();
    }
    if let Some(number) = yaml.as_integer() {
        return number.into();
    }
    yaml.as_bool().map_or(Value::Null, Value::Bool)
}

/// The Dockerfile's instructions: continued lines joined, comments left out.
fn instructions(text: &str) -> Vec<(String, String)> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()).collect();
    let joined = lines.join("\n").replace("\\\n", " ");
    joined
        .lines()
        .map(|line| {
            let (instruction, rest) = line.split_once(' ').unwrap_or((line, ""));
            (instruction.to_owned(), rest.split_whitespace().collect::<Vec<_>>().join(" "))
        })
        .collect()
}
