//! The document of the API.

use legwork::http::openapi;
use legwork::kinds::KindSet;
use serde_json::Value;

fn document() -> Value {
    serde_json::from_str(&openapi::json(&KindSet::compiled())).unwrap()
}

fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of_path = |(path, item): (&String, &'_ Value)| (path.clone(), item.as_object().unwrap().clone());
    let named: Vec<(String, String)> = paths
        .iter()
        .map(of_path)
        .flat_map(|(path, item)| item.keys().map(|method| (path.clone(), method.clone())).collect::<Vec<_>>())
        .collect();
    named.into_iter().map(|(path, method)| (format!("{method} {path}"), &document["paths"][&path][&method])).collect()
}

#[test]
fn the_kept_document_is_the_present_one() {
    let kept = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/openapi.json")).unwrap_or_default();
    let present = openapi::json(&KindSet::compiled());
    assert!(kept == present, "openapi/openapi.json is not the present document; run: legwork openapi > openapi/openapi.json");
}

#[test]
fn every_operation_is_described_with_all_its_answers() {
    let document = document();
    let (mut field_errors, mut open) = (Vec::new(), Vec::new());
    for (name, operation) in operations(&document) {
        for field in ["summary", "description", "operationId", "tags", "security", "responses"] {
            if operation.get(field).is_none() {
                field_errors.push(format!("{name} has no {field}"));
            }
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            if parameter["description"].as_str().unwrap_or_default().is_empty() {
                field_errors.push(format!("{name}: {} is not described", parameter["name"]));
            }
        }
        let answers = operation["responses"].as_object().unwrap();
        let is_open = operation["security"] == serde_json::json!([{}]);
        if is_open {
            open.push(name.clone());
        } else if name.contains("/api/v1/") {
            for status in ["401", "403", "500", "503", "504"] {
                if !answers.contains_key(status) {
                    field_errors.push(format!("{name} does not name {status}"));
                }
            }
        }
        if operation.get("requestBody").is_some() && operation["requestBody"].to_string().contains("\"$ref\"") {
            for status in ["400", "413", "415", "422"] {
                if !answers.contains_key(status) {
                    field_errors.push(format!("{name} takes a body and does not name {status}"));
                }
            }
        }
    }
    assert_eq!(field_errors, Vec::<String>::new());
    let links = ["get /api/v1/unsubscribe/{token}", "post /api/v1/unsubscribe/{token}"];
    let named = [&["post /api/v1/auth/token"][..], &links, &["get /healthz", "get /metrics", "get /readyz"]].concat();
    assert_eq!(open, named, "what needs no token");
}

#[test]
fn every_field_is_described() {
    let document = document();
    let mut field_errors = Vec::new();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        let parts = schema["allOf"].as_array().into_iter().flatten().chain([schema]);
        for (field, property) in parts.filter_map(|part| part["properties"].as_object()).flatten() {
            // What may be null and is a type of its own carries the text beside its reference.
            let alternatives = property["oneOf"].as_array().into_iter().flatten().chain([property]);
            if !alternatives.into_iter().any(|one| one.get("description").is_some()) {
                field_errors.push(format!("{name}.{field}"));
            }
        }
    }
    assert_eq!(field_errors, Vec::<String>::new());
}

#[test]
fn every_reference_leads_somewhere_and_operation_ids_are_unique() {
    let document = document();
    let mut missing = Vec::new();
    let text = document.to_string();
    for target in text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        if document.pointer(target).is_none() {
            missing.push(target.to_owned());
        }
    }
    assert_eq!(missing, Vec::<String>::new());
    let mut ids: Vec<&str> = operations(&document).into_iter().filter_map(|(_, op)| op["operationId"].as_str()).collect();
    ids.sort_unstable();
    let all = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), all);
}

/// The verbs that operation ids begin with, so that the functions of a generated client read alike.
const VERBS: [&str; 20] = [
    "get", "list", "create", "update", "delete", "set", "submit", "retry", "revoke", "pause", "resume", "purge", "enable",
    "disable", "run", "preview", "upload", "stream", "sync", "reload",
];
/// Verbs that only workers take.
const VERBS_OF_WORKERS: [&str; 2] = ["drain", "shutdown"];

#[test]
fn operation_ids_are_a_verb_and_a_resource_and_tags_are_declared() {
    let document = document();
    let declared: Vec<&Value> = document["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
    let mut wrong = Vec::new();
    for (name, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        let (verb, resource) = id.split_at(id.find(|c: char| c.is_ascii_uppercase()).unwrap_or(id.len()));
        let is_known = VERBS.contains(&verb) || VERBS_OF_WORKERS.contains(&verb);
        if !is_known || resource.is_empty() || !resource.chars().all(|c| c.is_ascii_alphanumeric()) {
            wrong.push(format!("{name}: {id} is not a verb and a resource in camelCase, as in listTasks"));
        }
        let tags = operation["tags"].as_array().unwrap();
        if tags.len() != 1 || !declared.contains(&&tags[0]) {
            wrong.push(format!("{name}: its tags {tags:?} are not one of the declared tags {declared:?}"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn a_new_account_names_its_scopes_unless_only_its_password_is_set() {
    let document = document();
    let schema = serde_json::json!({ "$ref": "#/components/schemas/NewUser", "components": document["components"] });
    let validator = jsonschema::options().build(&schema).unwrap();
    let body =
        |more: &str| serde_json::from_str(&format!(r#"{{"name": "anna", "password": "correct horse battery"{more}}}"#)).unwrap();
    for (more, is_taken) in [
        (r#", "scopes": ["tasks:read"]"#, true),
        (r#", "replace": true"#, true),
        (r#", "scopes": null, "replace": true"#, true),
        ("", false),
        (r#", "scopes": []"#, false),
        (r#", "scopes": null"#, false),
        (r#", "replace": false"#, false),
    ] {
        assert_eq!(validator.is_valid(&body(more)), is_taken, "{more}");
    }
}

#[test]
fn every_example_of_a_body_fits_its_schema() {
    let document = document();
    for (name, operation) in operations(&document) {
        let Some(content) = operation.pointer("/requestBody/content/application~1json") else { continue };
        let mut schema = content["schema"].clone();
        schema["components"] = document["components"].clone();
        let validator = jsonschema::options().build(&schema).unwrap();
        for (example_name, example) in content["examples"].as_object().into_iter().flatten() {
            let field_errors: Vec<String> = validator.iter_errors(&example["value"]).map(|error| error.to_string()).collect();
            assert_eq!(field_errors, Vec::<String>::new(), "{name}: {example_name}");
        }
    }
}
