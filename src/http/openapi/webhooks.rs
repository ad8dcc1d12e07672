//! The request that the server makes itself: the callback at the end of a task. Made as JSON, because utoipa has no words for webhooks.

use serde_json::{Value, json};

/// The name of the event, as its body has it.
const TASK_ENDED: &str = "task.ended";
/// An id and a time of the example.
const EXAMPLE_ID: &str = "0198c5a4-7d1e-7c3a-9f00-2b8d1c6e4a57";
const EXAMPLE_TIME: &str = "2030-01-01T09:00:00Z";

/// Adds the section `webhooks` and the schemas that it refers to.
pub(super) fn add(document: &mut Value) {
    document["webhooks"] = json!({ TASK_ENDED: { "post": operation() } });
    if let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) {
        schemas.insert("TaskEndedEvent".into(), event());
        schemas.insert("EndedTask".into(), ended_task());
    }
}

fn operation() -> Value {
    let header = |name: &str, description: &str, schema: Value| json!({ "name": name, "in": "header", "required": true, "description": description, "schema": schema });
    json!({
        "operationId": "receiveTaskEnded",
        "tags": ["tasks"],
        "summary": "A task has ended",
        "description": "Sent to the `callback_url` of a submission when its task has ended, signed as Standard Webhooks describes. It is tried up to eight times more, with the same `webhook-id`, until the receiver answers 2xx or 410.",
        "security": [{}],
        "parameters": [
            header("webhook-id", "The id of the ended task; the same in every attempt of the delivery.", json!({ "type": "string", "format": "uuid" })),
            header("webhook-timestamp", "The time of this attempt, in seconds since 1970.", json!({ "type": "string", "pattern": "^[0-9]+$" })),
            header(
                "webhook-signature",
                "Signatures with spaces between them, each `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`.",
                json!({ "type": "string", "pattern": "^v1,", "example": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" }),
            ),
        ],
        "requestBody": {
            "required": true,
            "description": "The event.",
            "content": { "application/json": {
                "schema": { "$ref": "#/components/schemas/TaskEndedEvent" },
                "examples": { "success": { "summary": "A task that succeeded.", "value": example() } },
            } },
        },
        "responses": {
            "2XX": { "description": "The receiver has it, and it is not sent again." },
            "410": { "description": "The receiver never wants it again, and it is not sent again." },
            "default": { "description": "It is sent again later; `Retry-After` of a 429 or 503 is kept." },
        },
    })
}

fn event() -> Value {
    json!({
        "type": "object",
        "description": "The body of a callback: a task has ended.",
        "required": ["type", "timestamp", "data"],
        "properties": {
            "type": { "type": "string", "const": TASK_ENDED, "description": "What happened." },
            "timestamp": { "type": "string", "format": "date-time", "description": "When the task ended." },
            "data": { "$ref": "#/components/schemas/EndedTask", "description": "The task as it was at its end." },
        },
    })
}

fn ended_task() -> Value {
    let time = |description: &str| json!({ "type": "string", "format": "date-time", "description": description });
    let started = json!({ "type": ["string", "null"], "format": "date-time", "description": "When the last attempt started; null if there was none." });
    let error = json!({ "oneOf": [
        { "$ref": "#/components/schemas/ErrorReport", "description": "The error of the last attempt that failed; null if none did." },
        { "type": "null" },
    ] });
    json!({
        "type": "object",
        "description": "What a callback says of a task that has ended.",
        "required": [
            "task_id", "kind", "queue", "status", "successful", "result", "error", "reason", "attempts", "submitted_at", "started_at",
            "ended_at",
        ],
        "properties": {
            "task_id": { "type": "string", "format": "uuid", "description": "Id of the task." },
            "kind": { "type": "string", "description": "Kind of the task.", "example": "email.send" },
            "queue": { "type": "string", "description": "Queue of the task.", "example": "default" },
            "status": { "type": "string", "enum": ["SUCCESS", "FAILURE", "REVOKED"], "description": "State in which the task ended." },
            "successful": { "type": "boolean", "description": "Whether the task ended as SUCCESS." },
            "result": { "description": "The result of a task that succeeded, by the kind; else null." },
            "error": error,
            "reason": { "type": ["string", "null"], "description": "The reason why the task is REVOKED: `revoked`, `expired` or `purged`." },
            "attempts": { "type": "integer", "minimum": 0, "description": "How often the task was started." },
            "submitted_at": time("When the task was submitted."),
            "started_at": started,
            "ended_at": time("When the task ended."),
        },
    })
}

fn example() -> Value {
    json!({
        "type": TASK_ENDED,
        "timestamp": EXAMPLE_TIME,
        "data": {
            "task_id": EXAMPLE_ID, "kind": "system.echo", "queue": "default", "status": "SUCCESS", "successful": true,
            "result": {}, "error": null, "reason": null, "attempts": 1,
            "submitted_at": EXAMPLE_TIME, "started_at": EXAMPLE_TIME, "ended_at": EXAMPLE_TIME,
        },
    })
}
