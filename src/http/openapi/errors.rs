//! The errors that an operation can answer, by what it takes.

use utoipa::PartialSchema as _;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::{OpenApi, Ref, RefOr};

use super::super::error::Problem;
use super::parts::all_responses;
use legwork_engine::domain::FieldError;

/// Adds to every operation what it can answer beside what its handler names.
pub(super) fn describe(document: &mut OpenApi) {
    let components = document.components.get_or_insert_default();
    components.schemas.insert("Problem".into(), Problem::schema());
    components.schemas.insert("FieldError".into(), FieldError::schema());
    for (name, response) in all_responses() {
        components.responses.insert(name.into(), response);
    }
    for (path, item) in &mut document.paths.paths {
        let operations = [&mut item.get, &mut item.post, &mut item.patch, &mut item.delete, &mut item.put];
        for operation in operations.into_iter().flatten() {
            add_errors(operation, path.starts_with(super::super::api::PREFIX));
        }
    }
}

fn add_errors(operation: &mut Operation, is_api: bool) {
    let takes = |wanted: ParameterIn| {
        let mut parameters = operation.parameters.iter().flatten();
        parameters.any(|parameter| matches!(parameter, RefOr::T(parameter) if parameter.parameter_in == wanted))
    };
    let (has_path, has_any) = (takes(ParameterIn::Path), operation.parameters.as_ref().is_some_and(|all| !all.is_empty()));
    let has_body = operation.request_body.is_some();
    let is_secured = operation.security.iter().flatten().any(|requirement| {
        // An empty requirement says that none is needed.
        serde_json::to_value(requirement).is_ok_and(|value| value.as_object().is_some_and(|names| !names.is_empty()))
    });
    let possible = [
        ("400", "Malformed", has_body),
        ("401", "Unauthenticated", is_secured),
        ("403", "Forbidden", is_secured),
        ("404", "NotFound", has_path),
        ("408", "BodyTimeout", has_body),
        ("413", "TooLarge", has_body),
        ("415", "UnsupportedMedia", has_body),
        ("422", "Invalid", has_body || has_any),
        ("500", "Internal", true),
        ("503", "Unavailable", is_api),
        ("504", "Timeout", true),
    ];
    for (status, name, is_possible) in possible {
        if is_possible && !operation.responses.responses.contains_key(status) {
            operation.responses.responses.insert(status.into(), RefOr::Ref(Ref::from_response_name(name)));
        }
    }
}
