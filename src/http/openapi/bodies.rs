//! The bodies of submissions: the args of a kind and the options in one object, so that a reader sees every field; and the typed routes.

use serde_json::{Value, json};
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, ParameterIn};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, KnownFormat, Object, ObjectBuilder, OneOfBuilder, Schema, SchemaFormat, Type,
};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, Required};
use utoipa::{IntoParams as _, PartialSchema as _, ToResponse as _};

use super::parts::{Accepted, KeyParam, KeyReused, RateLimited};
use crate::kinds::{KindSet, TaskKind};
use legwork_engine::queue::options::TaskOptions;

/// Describes everything that submits.
pub(super) fn describe(document: &mut OpenApi, kinds: &KindSet) {
    let components = document.components.get_or_insert_default();
    components.schemas.insert("Moment".into(), moment().into());
    for kind in kinds.public() {
        components.schemas.insert(kind.schema_name.clone(), kind.schema.clone());
        components.schemas.extend(kind.components.iter().cloned());
        if kind.route.is_some() {
            components.schemas.insert(typed_name(&kind), typed_body(&kind).into());
        }
    }
    let named = named_body(kinds);
    components.schemas.insert("BatchItem".into(), batch_item(named.clone()).into());
    components.schemas.insert("TaskSubmission".into(), named.into());
    components.schemas.insert("BatchSubmission".into(), batch().into());
    let examples = kinds.public().map(|kind| {
        (kind.policy.name.to_string(), kind.description.to_string(), json!({ "kind": kind.policy.name, "args": kind.example }))
    });
    set_body(document, "/api/v1/tasks", body("TaskSubmission", "Kind, args and options.", examples.collect()));
    let all: Vec<Value> = kinds.public().map(|kind| json!({ "kind": kind.policy.name, "args": kind.example })).collect();
    let example = vec![("batch".to_owned(), "One task of each kind.".to_owned(), json!({ "tasks": all }))];
    let text = "The tasks, at most `BATCH_LIMIT` (1,000 by default) of them.";
    set_body(document, "/api/v1/tasks/batch", body("BatchSubmission", text, example));
    for kind in kinds.public() {
        if let Some(route) = kind.route {
            let path = format!("{}/tasks{route}", super::super::api::PREFIX);
            document.paths.add_path_operation(path, vec![HttpMethod::Post], typed_operation(&kind));
        }
    }
}

fn set_body(document: &mut OpenApi, path: &str, body: RequestBody) {
    if let Some(operation) = document.paths.paths.get_mut(path).and_then(|item| item.post.as_mut()) {
        operation.request_body = Some(RefOr::T(body));
    }
}

fn body(schema: &str, description: &str, examples: Vec<(String, String, Value)>) -> RequestBody {
    let examples = examples
        .into_iter()
        .map(|(name, summary, value)| (name, ExampleBuilder::new().summary(summary).value(Some(value)).build()));
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).examples_from_iter(examples).build();
    RequestBodyBuilder::new()
        .description(Some(description))
        .required(Some(Required::True))
        .content("application/json", content)
        .build()
}

fn options() -> Object {
    match TaskOptions::schema() {
        RefOr::T(Schema::Object(object)) => object,
        _ => Object::new(),
    }
}

/// utoipa knows no bounds of an untagged variant.
fn moment() -> Schema {
    let seconds = ObjectBuilder::new()
        .schema_type(Type::Number)
        .description(Some("Seconds from now."))
        .exclusive_minimum(Some(0))
        .maximum(Some(315_360_000));
    let time = ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .description(Some("RFC 3339, with an offset."));
    OneOfBuilder::new().item(seconds).item(time).description(Some("A moment: seconds from now, or a time.")).build().into()
}

/// `SendEmailArgs` is submitted as `SendEmailSubmission`.
pub(super) fn typed_name(kind: &TaskKind) -> String {
    format!("{}Submission", kind.schema_name.trim_end_matches("Args"))
}

/// The args' own fields first, then the options.
fn typed_body(kind: &TaskKind) -> Object {
    let mut whole = match &kind.schema {
        RefOr::T(Schema::Object(object)) => object.clone(),
        _ => Object::new(),
    };
    whole.description = Some(format!("{} Its args, and beside them the options of every submission.", kind.description));
    whole.properties.extend(options().properties);
    whole
}

fn named_body(kinds: &KindSet) -> Object {
    let names = kinds.public().map(|kind| kind.policy.name.to_string());
    let kind =
        ObjectBuilder::new().schema_type(Type::String).description(Some("What sort of work.")).enum_values(Some(names)).build();
    let args = ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("Its parameters, by the kind's own schema (`GET /api/v1/tasks/kinds`). Default: none."))
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(true)))
        .build();
    let mut whole = ObjectBuilder::new()
        .description(Some("A task of any kind, with the options of every submission."))
        .property("kind", kind)
        .required("kind")
        .property("args", args)
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)))
        .build();
    whole.properties.extend(options().properties);
    whole
}

fn batch_item(mut named: Object) -> Object {
    let key = ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("This item's own key; not together with an `Idempotency-Key` header."))
        .min_length(Some(1))
        .max_length(Some(255))
        .pattern(Some("^[ -~]+$"))
        .build();
    named.description = Some("A task of a batch.".into());
    named.properties.insert("idempotency_key".into(), RefOr::T(key.into()));
    named
}

fn batch() -> Object {
    let items = ArrayBuilder::new().items(Ref::from_schema_name("BatchItem")).min_items(Some(1)).max_items(Some(1_000));
    ObjectBuilder::new()
        .description(Some("Many tasks."))
        .property("tasks", items.description(Some("The tasks, in order.")).build())
        .required("tasks")
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)))
        .build()
}

fn typed_operation(kind: &TaskKind) -> utoipa::openapi::path::Operation {
    let example = vec![(kind.policy.name.to_string(), kind.description.to_string(), kind.example.clone())];
    let text = "The args, and beside them the options of every submission.";
    let response = |name: &str| RefOr::<utoipa::openapi::Response>::Ref(Ref::from_response_name(name));
    let operation_id = kind.policy.name.as_str().split(['.', '_', '-']).fold(String::from("submit"), |mut id, word| {
        let mut letters = word.chars();
        id.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        id.push_str(letters.as_str());
        id
    });
    let mut operation = OperationBuilder::new()
        .tag("submit")
        .operation_id(Some(operation_id))
        .summary(Some(format!("Submit a task of the kind {}", kind.policy.name)))
        .description(Some(kind.description.to_string()))
        .request_body(Some(body(&typed_name(kind), text, example)))
        .security(SecurityRequirement::new("bearer", ["tasks:submit"]))
        .response("202", response(Accepted::response().0))
        .response("409", response(KeyReused::response().0))
        .response("429", response(RateLimited::response().0));
    for parameter in KeyParam::into_params(|| Some(ParameterIn::Header)) {
        operation = operation.parameter(parameter);
    }
    operation.build()
}
