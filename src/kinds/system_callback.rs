//! `system.callback`: tells a `callback_url` that a task has ended. The engine makes these tasks
//! ([`legwork_engine::domain::callback_task`]), users do not.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{Kind, TaskContext};
use crate::services::Services;
use legwork_engine::domain::{Backoff, CALLBACK_KIND, CALLBACK_QUEUE, FieldError, RetryPolicy, TaskFailure, TaskId};
use legwork_outbound::webhook::Signer;
use legwork_outbound::{Call, FetchError, Fetcher, Redirects};

/// For one call, its redirects included; well inside the hard limit of an attempt.
const CALL_LIMIT: Duration = Duration::from_secs(30);

/// Args of `system.callback`: the ended task and the URL to notify.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = CallbackArgs)]
pub struct Callback {
    /// The URL that gets the callback.
    #[schema(example = "https://example.org/hooks/legwork")]
    pub url: String,
    /// The ended task; it is the `webhook-id`.
    #[schema(value_type = uuid::Uuid)]
    pub webhook_id: TaskId,
    /// What is sent, as it is.
    #[schema(value_type = Object)]
    pub body: Box<RawValue>,
}

impl Kind for Callback {
    const NAME: &'static str = CALLBACK_KIND;
    const DESCRIPTION: &'static str = "Sends the end of a task to its callback_url, signed as Standard Webhooks says.";
    const QUEUE: &'static str = CALLBACK_QUEUE;
    const RETRY: RetryPolicy = RetryPolicy {
        max_retries: 8,
        backoff: Backoff::Exponential { first: Duration::from_secs(10), cap: Duration::from_hours(1), jitter: 0.1 },
    };
    const HARD_LIMIT: Duration = Duration::from_mins(1);
    const PUBLIC: bool = false;

    fn example() -> Value {
        json!({
            "url": "https://example.org/hooks/legwork",
            "webhook_id": "019a8f6e-7c1b-7c3e-9b1a-2f6d1c0a4e55",
            "body": { "type": "task.ended", "data": { "status": "SUCCESS" } },
        })
    }

    fn check(&self, services: &Services) -> Vec<FieldError> {
        let refused = services.fetcher.check_url(&self.url).err();
        refused.map(|reason| FieldError::new("/url", reason)).into_iter().collect()
    }

    async fn run(self, cx: TaskContext) -> Result<Value, TaskFailure> {
        let services = cx.services.clone();
        cx.or_cancelled(self.deliver(&services.fetcher, services.webhook_signer.as_ref(), cx.clock.now())).await?
    }
}

impl Callback {
    /// Sends the body, signed, and judges the answer: 2xx is done, 410 is never again, all else is tried again.
    pub async fn deliver(self, fetcher: &Fetcher, signer: Option<&Signer>, now: jiff::Timestamp) -> Result<Value, TaskFailure> {
        let signer = signer.ok_or_else(|| {
            TaskFailure::fail("NoWebhookSecret", "WEBHOOK_SECRET is not set on this worker, and callbacks are not sent unsigned")
        })?;
        let body = self.body.get().as_bytes().to_vec();
        let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        headers.extend(signer.headers(&self.webhook_id.to_string(), now, &body).map(|(name, value)| (name.to_owned(), value)));
        let call = Call { method: Method::POST, url: self.url, headers, body, time_limit: CALL_LIMIT, redirects: Redirects::Any };
        let answer = fetcher.call(call).await.map_err(|error| match error {
            FetchError::Refused { reason } => TaskFailure::fail("AddressRefused", reason),
            FetchError::Unreachable { reason } | FetchError::Failed { reason } => TaskFailure::retry("CallbackError", reason),
        })?;
        let status = answer.status;
        if status.is_success() {
            return Ok(json!({ "success": true, "message": "delivered", "status": status.as_u16() }));
        }
        let message = format!("the receiver answered {status}");
        if status == StatusCode::GONE {
            return Err(TaskFailure::fail("ReceiverGone", message));
        }
        let asks_for_time = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        match answer.retry_after(now).filter(|_| asks_for_time) {
            Some(after) => Err(TaskFailure::retry_after("CallbackError", message, after)),
            None => Err(TaskFailure::retry("CallbackError", message)),
        }
    }
}
