//! Parameters and answers that many operations share.

use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{ContentBuilder, HeaderBuilder, Ref, RefOr, Required, Response, ResponseBuilder};
use utoipa::{IntoParams, ToResponse};

/// What a name is made of: kinds, queues.
pub(super) const NAME_PATTERN: &str = "^[a-z0-9][a-z0-9_.-]{0,99}$";

macro_rules! parameter {
    ($(#[$doc:meta])* $name:ident => $parameter:expr) => {
        $(#[$doc])*
        pub(in crate::http) struct $name;

        impl IntoParams for $name {
            fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
                vec![$parameter.build()]
            }
        }
    };
}

fn path_parameter(name: &str, description: &str, schema: ObjectBuilder) -> ParameterBuilder {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(description))
        .schema(Some(schema.build()))
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn key_parameter(most: usize) -> ParameterBuilder {
    let pattern = format!("^[!-~]([ -~]{{0,{}}}[!-~])?$", most - 2);
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "Any text of your own, kept for 24 hours by principal and path: the same key and body gives the first answer again, \
             with `Idempotency-Replayed: true`.",
        ))
        .schema(Some(text().min_length(Some(1)).max_length(Some(most)).pattern(Some(pattern)).build()))
}

parameter! {
    /// A task's id in the path.
    TaskParam => path_parameter("task_id", "The task's id.", text().format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid))))
}
parameter! {
    /// A schedule in the path.
    ScheduleParam => path_parameter("schedule", "The schedule's id, or its name.", text().min_length(Some(1)).max_length(Some(200)).pattern(Some("^[^/\\x00-\\x1f\\x7f-\\x9f]+$")).examples(["publish_scheduled_content"]))
}
parameter! {
    /// A queue in the path.
    QueueParam => path_parameter("queue", "The queue's name.", text().pattern(Some(NAME_PATTERN)).examples(["default"]))
}
parameter! {
    /// A worker in the path.
    WorkerParam => path_parameter(
        "name",
        "The worker's name, as `GET /api/v1/tasks/workers` lists it.",
        text().min_length(Some(1)).max_length(Some(200)).pattern(Some("^[^/\\x00-\\x1f\\x7f-\\x9f]+$")).examples(["worker-1"]),
    )
}
parameter! {
    /// An address in the path.
    AddressParam => path_parameter(
        "address",
        "The address, as the list has it.",
        text().min_length(Some(1)).max_length(Some(200)).pattern(Some("^[^/\\x00-\\x1f\\x7f-\\x9f]+$")).examples(["user1@example.com"]),
    )
}
parameter! {
    /// What a link to unsubscribe says.
    UnsubscribeParam => path_parameter("token", "What the link in the mail says.", text().pattern(Some("^[A-Za-z0-9_-]+$")))
}
parameter! {
    /// A token's id in the path.
    JtiParam => path_parameter(
        "jti",
        "The token's `jti`.",
        text().min_length(Some(1)).max_length(Some(200)).pattern(Some("^[^/\\x00-\\x1f\\x7f-\\x9f]+$")).examples(["mQ0bV3p1Tq2x9yZkF4aBcg"]),
    )
}
parameter! {
    /// A stored file in the path.
    FileParam => path_parameter(
        "path",
        "The path of the file, slashes and all, as results of tasks name it.",
        text().min_length(Some(1)).max_length(Some(500)).examples(["uploads/image.jpg"]),
    )
}

/// What a signed link carries.
pub(in crate::http) struct LinkParams;

impl IntoParams for LinkParams {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let of = |name: &str, description: &str, schema: ObjectBuilder| {
            let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Query).required(Required::False);
            parameter.description(Some(description)).schema(Some(schema.build())).build()
        };
        let seconds = ObjectBuilder::new().schema_type(Type::Integer).format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)));
        vec![
            of("expires", "Until when the link holds, in seconds since 1970; needed without a token.", seconds.minimum(Some(0))),
            of(
                "signature",
                "The server's signature over path and expiry; needed without a token.",
                text().min_length(Some(1)).max_length(Some(200)),
            ),
        ]
    }
}

parameter! {
    /// The key of one submission.
    KeyParam => key_parameter(255)
}
parameter! {
    /// The key of a batch.
    BatchKeyParam => key_parameter(240)
}

/// An answer that is a problem.
pub(super) fn problem(description: &str) -> ResponseBuilder {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new().description(description).content("application/problem+json", content)
}

/// Seconds to wait, in a header.
pub(super) fn with_retry_after(response: ResponseBuilder) -> ResponseBuilder {
    let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
    response
        .header("Retry-After", HeaderBuilder::new().schema(Some(seconds.build())).description(Some("Seconds to wait.")).build())
}

fn text_header(description: &str) -> utoipa::openapi::Header {
    HeaderBuilder::new().schema(Some(text().build())).description(Some(description)).build()
}

fn accepted() -> ResponseBuilder {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("TaskAccepted"))).build();
    ResponseBuilder::new()
        .description("The task is durable.")
        .content("application/json", content)
        .header("Location", text_header("Where its status is."))
        .header("Idempotency-Replayed", text_header("`true` where an earlier request with this key had made the task."))
}

macro_rules! responses {
    ($($(#[$doc:meta])* $name:ident => $response:expr;)*) => {
        $(
            $(#[$doc])*
            pub(in crate::http) struct $name;

            impl<'r> ToResponse<'r> for $name {
                fn response() -> (&'r str, RefOr<Response>) {
                    (stringify!($name), RefOr::T($response.build()))
                }
            }
        )*

        /// All shared answers, for the components.
        pub(super) fn all_responses() -> Vec<(&'static str, RefOr<Response>)> {
            vec![$($name::response()),*]
        }
    };
}

responses! {
    /// 202 of one submission.
    Accepted => accepted();
    /// 400.
    Malformed => problem("The body is not JSON, or did not arrive whole.");
    /// 401.
    Unauthenticated => problem("There is no token, or it is refused; for a login, name or password is wrong.")
        .header("WWW-Authenticate", text_header("What is asked for (RFC 6750)."));
    /// 403.
    Forbidden => problem("The token lacks the scope that the operation needs; `detail` names it.")
        .header("WWW-Authenticate", text_header("Which scope is needed (RFC 6750)."));
    /// 404.
    NotFound => problem("Nothing has this name or id, or it belongs to another principal.");
    /// 405.
    MethodNotAllowed => problem("The path does not support this method.").header("Allow", text_header("The methods that it takes."));
    /// 408.
    BodyTimeout => problem("The body came too slowly.");
    /// 409.
    Conflict => problem("The current state does not allow the operation; `code` and `detail` say why.");
    /// 409 of a submission.
    KeyReused => problem("The `Idempotency-Key` was used before with another body.");
    /// 403 of a link.
    LinkForged => problem("The link is not one that this server made: its path, its expiry or its signature was changed.");
    /// 403 of a file.
    LinkRefused => problem("The request has neither a valid link nor a token, or the token lacks the scope `tasks:read`.");
    /// 410.
    LinkExpired => problem("The link has expired.");
    /// 416.
    RangeOutside => problem("The file does not have the bytes that `Range` names.")
        .header("Content-Range", text_header("How many bytes it has."));
    /// 413.
    TooLarge => problem("The body, or the args in it, are larger than allowed.");
    /// 415.
    UnsupportedMedia => problem("The body's `Content-Type` is not taken.");
    /// 422.
    Invalid => problem("Fields are wrong; `errors` points at each one.");
    /// 429.
    RateLimited => with_retry_after(problem("A limit is used up; wait for the time in `Retry-After`."));
    /// 500.
    Internal => problem("Something went wrong in the server; its log has the cause under the `x-request-id` of the answer.");
    /// 503.
    Unavailable => with_retry_after(problem("The database, or the storage of files, is not available at the moment."));
    /// 504.
    Timeout => problem("The answer was not ready in time; whether it was done is not known.");
}
