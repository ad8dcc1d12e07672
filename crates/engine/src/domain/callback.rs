//! The task that tells a `callback_url` of another task's end: durable and retried like any other, made in the transaction of that end.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use serde_json::value::RawValue;

use super::{KindName, NewTask, Priority, QueueName, TaskId, TaskRow};

/// The kind that delivers callbacks.
pub const CALLBACK_KIND: &str = "system.callback";
/// The queue that it runs in, so that slow receivers hold up nobody.
pub const CALLBACK_QUEUE: &str = "callbacks";

const MAX_RETRIES: u16 = 8;
const HARD_LIMIT: Duration = Duration::from_mins(1);

/// The callback task of `ended`, a task that has just ended; `None` where it names no `callback_url`.
///
/// Its args are `{url, webhook_id, body}`: the body is the status answer as it stands now, so that what is delivered later is what happened.
pub fn callback_task(ended: &TaskRow, now: Timestamp) -> Option<NewTask> {
    let url = ended.callback_url.as_ref()?;
    let result = ended.result.as_deref().and_then(|text| serde_json::from_str::<&RawValue>(text).ok());
    let body = json!({
        "type": "task.ended",
        "timestamp": ended.ended_at,
        "data": {
            "task_id": ended.id,
            "kind": ended.kind,
            "queue": ended.queue,
            "status": ended.status,
            "successful": ended.status == super::TaskStatus::Success,
            "result": result,
            "error": ended.error,
            "reason": ended.reason,
            "attempts": ended.latest_attempt(),
            "submitted_at": ended.submitted_at,
            "started_at": ended.started_at,
            "ended_at": ended.ended_at,
        },
    });
    let args = json!({ "url": url, "webhook_id": ended.id, "body": body });
    Some(NewTask {
        id: TaskId::made(now),
        kind: KindName::from_store(CALLBACK_KIND),
        queue: QueueName::from_store(CALLBACK_QUEUE),
        priority: Priority::DEFAULT,
        args: args.to_string(),
        principal: ended.principal.clone(),
        submitted_at: now,
        due_at: now,
        expires_at: None,
        max_retries: MAX_RETRIES,
        hard_limit: HARD_LIMIT,
        soft_limit: None,
        callback_url: None,
        retry_of: None,
    })
}
