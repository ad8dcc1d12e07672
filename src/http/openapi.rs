//! The document: `OpenAPI` 3.1, made from the routes and the registry of kinds.
//!
//! utoipa reads the handlers; what it cannot know is added here: the typed routes of the kinds, the body of a submission (args and options in
//! one object), and the errors that every operation of a sort can answer, from one list.

mod bodies;
mod conditions;
mod errors;
mod parts;
mod webhooks;

use std::collections::HashMap;

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{Components, ContactBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Server};

use super::router::routes;
use crate::kinds::KindSet;

pub(super) use parts::{
    Accepted, AddressParam, BatchKeyParam, Conflict, FileParam, Invalid, JtiParam, KeyParam, KeyReused, LinkExpired, LinkForged,
    LinkParams, LinkRefused, NotFound, QueueParam, RangeOutside, RateLimited, ScheduleParam, TaskParam, Unauthenticated,
    UnsubscribeParam, WorkerParam,
};

const DESCRIPTION: &str = "\
Durable background tasks over HTTP. A submission answers 202 once the task is in the database; from then on it is run, whatever happens to any process.

**Tokens.** Everything but health, metrics, these pages and the login needs `Authorization: Bearer` and a JWT, from `POST /api/v1/auth/token`, from \
`legwork token create`, or, started without any configuration, from the server's first lines. Scopes: `tasks:submit`, `tasks:read`, `tasks:control`; \
`admin` implies all, and sees the tasks of every principal. Others see their own.

**Errors** are `application/problem+json` (RFC 9457); `code` is for programs, `errors` points at each bad field.

**Idempotency.** With an `Idempotency-Key`, the same key and body on the same path gives the first task's id again, for 24 hours.

**Paths** answer with and without a slash at the end.";

const TAGS: &[(&str, &str)] = &[
    ("submit", "Ask for work: any kind by name, many at once, or by a kind's own route."),
    ("tasks", "Look at tasks, wait for them, steer them."),
    ("files", "Images in, results out."),
    ("queues", "Queues: depth, age, pause, resume, limit, purge."),
    ("schedules", "Schedules: kinds that are run by the clock, their firings, and the maintenance switch."),
    ("packs", "Packs: kinds and schedules that are declared in folders, and their reload."),
    ("suppressions", "Addresses that get no bulk mail, and how their owners get there."),
    ("workers", "The processes that run tasks."),
    ("auth", "Tokens and accounts."),
    ("audit", "Who changed what, and when."),
    ("health", "For probes and Prometheus; no token needed."),
];

/// The document without paths: what it says of itself.
pub(super) fn frame() -> OpenApi {
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some("A JWT with the scopes that the operation names."));
    let mut components = Components::new();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer.build()));
    let tags = TAGS.iter().map(|(name, text)| TagBuilder::new().name(*name).description(Some(*text)).build());
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("Legwork")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(DESCRIPTION))
                .contact(Some(ContactBuilder::new().name(Some("The operators of this server")).build()))
                .license(Some(LicenseBuilder::new().name("MIT OR Apache-2.0").identifier(Some("MIT OR Apache-2.0")).build()))
                .build(),
        )
        .servers(Some([Server::new("/")]))
        .components(Some(components))
        .tags(Some(tags))
        .build()
}

/// The document of a process that knows these kinds; [`json`] adds what utoipa has no words for.
pub fn document(kinds: &KindSet) -> OpenApi {
    let mut document = routes(kinds).into_openapi();
    // The router marks a parameter that may hold slashes; the document has no such mark.
    document.paths.paths =
        std::mem::take(&mut document.paths.paths).into_iter().map(|(path, item)| (path.replace("{*", "{"), item)).collect();
    bodies::describe(&mut document, kinds);
    errors::describe(&mut document);
    document
}

/// The document as `openapi/openapi.json` keeps it.
pub fn json(kinds: &KindSet) -> String {
    // What utoipa has built always serializes.
    let mut whole = serde_json::to_value(document(kinds)).unwrap_or_default();
    conditions::add(&mut whole, kinds);
    let mut text = serde_json::to_string_pretty(&conditions::Ordered::of(whole)).unwrap_or_default();
    text.push('\n');
    text
}

/// The methods that each path of a document takes, as in `GET, POST`.
pub(super) fn methods(document: &[u8]) -> HashMap<String, String> {
    let document: serde_json::Value = serde_json::from_slice(document).unwrap_or_default();
    let paths = document["paths"].as_object().into_iter().flatten();
    let methods = |item: &serde_json::Value| {
        let names = item.as_object().into_iter().flatten().map(|(name, _)| name.to_uppercase());
        names.filter(|name| matches!(&**name, "GET" | "POST" | "PATCH" | "PUT" | "DELETE")).collect::<Vec<_>>().join(", ")
    };
    paths.map(|(path, item)| (path.clone(), methods(item))).collect()
}

#[cfg(test)]
mod tests;
