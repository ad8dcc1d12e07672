//! Text messages: hands them over to a provider by HTTP (Hubtel, or any other by templates), or into the outbox, a folder of `.sms.json` files.
//!
//! As with mail, handing over has two steps: [`Sms::prepare`] does all that can be undone, and [`Ready::hand_over`] calls. Dropped before that,
//! nothing was sent; within it, the outcome of the message is unknown, which is what the caller wrote down. No call is made twice from here,
//! and no redirect is followed.

mod hubtel;
mod number;
mod segments;
mod template;
mod text;

use std::time::Duration;

use jiff::Timestamp;
use reqwest::StatusCode;
use serde_json::json;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::config::{SmsConfig, SmsProvider};
use legwork_mail::outbox::Outbox;
use legwork_outbound::{Answer, Call, FetchError, Fetcher};

pub use number::{PhoneNumber, check_sender};
pub use segments::{SmsEncoding, SmsLength};
pub use text::MessageText;

use hubtel::Hubtel;
use template::{TemplateError, TemplateProvider};

/// How long a provider is left alone that says that there was too much, where it does not say for how long.
const THROTTLED: Duration = Duration::from_secs(30);
/// The longest that a provider is left alone because it asks for it.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// Text messages cannot be sent as configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {reason}")]
pub struct SmsSetupError {
    /// The setting that is wrong.
    pub setting: &'static str,
    /// Why. Holds no secret.
    pub reason: String,
}

/// A message for one number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmsMessage {
    /// The recipient's number.
    pub to: PhoneNumber,
    /// Who it comes from, as [`check_sender`] allows it.
    pub from: String,
    /// The text, of any length; the provider splits it into segments.
    pub text: String,
    /// What tells a repetition, the same in all attempts; of letters, digits, `-` and `.`.
    pub key: String,
    /// When its task was submitted.
    pub submitted_at: Timestamp,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SmsOutcome {
    /// The provider took it, or it is in the outbox.
    Accepted {
        /// What the provider calls it.
        reference: Option<String>,
        /// What the provider said; the file's name with the outbox.
        response: String,
    },
    /// Refused for good: another attempt would be refused too.
    Rejected {
        /// What the provider said.
        response: String,
    },
    /// The provider refused the message for now; a later attempt may succeed.
    Deferred {
        /// What the provider said.
        response: String,
        /// How long to leave the provider alone, where that is why.
        after: Option<Duration>,
    },
    /// Nothing was handed over: there was no connection. Another attempt is safe.
    NotSent {
        /// What failed, as text for the task's error.
        reason: String,
    },
    /// The provider refused us, whatever the message: the login, the credit, the URL. It was not taken.
    ProviderRefused {
        /// What the provider said.
        response: String,
    },
    /// It was handed over, and no answer came that could be understood. It may or may not arrive.
    Unknown {
        /// What failed, as text for the task's error.
        reason: String,
    },
}

/// Sends text messages. One a process.
pub struct Sms {
    from: String,
    max_segments: u32,
    connections: usize,
    time_limit: Duration,
    slots: Semaphore,
    fetcher: Fetcher,
    route: Route,
}

enum Route {
    Outbox(Outbox),
    Hubtel(Hubtel),
    Template(Box<TemplateProvider>),
}

impl Sms {
    /// As configured. Calls nobody yet; templates are compiled and tried.
    pub fn new(config: &SmsConfig, fetcher: Fetcher) -> Result<Self, SmsSetupError> {
        check_sender(&config.from).map_err(|reason| SmsSetupError { setting: "SMS_FROM", reason })?;
        let route = match &config.provider {
            SmsProvider::Outbox => Route::Outbox(Outbox::new(config.outbox.clone())),
            SmsProvider::Hubtel { url, client_id, client_secret } => {
                fetcher.check_url(url).map_err(|reason| SmsSetupError { setting: "HUBTEL_URL", reason })?;
                Route::Hubtel(Hubtel::new(url, client_id, client_secret))
            }
            SmsProvider::Http(http) => {
                let provider = TemplateProvider::new(http)?;
                let tried = provider.call(&sample(&config.from), config.timeout).map_err(TemplateError::setup)?;
                fetcher.check_url(&tried.url).map_err(|reason| SmsSetupError { setting: "SMS_HTTP_URL", reason })?;
                Route::Template(Box::new(provider))
            }
        };
        Ok(Self {
            from: config.from.clone(),
            max_segments: config.max_segments,
            connections: config.connections,
            time_limit: config.timeout,
            slots: Semaphore::new(config.connections),
            fetcher,
            route,
        })
    }

    /// The sender where a task names none.
    pub fn sender(&self) -> &str {
        &self.from
    }

    /// Calls to the provider at once.
    pub fn connections(&self) -> usize {
        self.connections
    }

    /// Whether messages go into the outbox. There a message that is handed over again replaces itself, so no ledger is needed.
    pub fn is_outbox(&self) -> bool {
        matches!(self.route, Route::Outbox(_))
    }

    /// The provider's name, as in `SMS_PROVIDER`.
    pub fn provider(&self) -> &'static str {
        match self.route {
            Route::Outbox(_) => "outbox",
            Route::Hubtel(_) => "hubtel",
            Route::Template(_) => "http",
        }
    }

    /// Checks a text: that it can be sent, and how long it is. The error is for the user.
    pub fn check_text(&self, text: &str) -> Result<SmsLength, String> {
        if text.trim().is_empty() {
            return Err("is blank".into());
        }
        if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            return Err("has a control character; allowed are line breaks and tabs".into());
        }
        let length = SmsLength::of(text);
        if length.segments > usize::try_from(self.max_segments).unwrap_or(usize::MAX) {
            let (segments, most) = (length.segments, self.max_segments);
            return Err(format!("takes {segments} segments; allowed are {most} (SMS_MAX_SEGMENTS)"));
        }
        Ok(length)
    }

    /// Does all but the hand-over, and waits for its turn. `Err` says what became of the message if that was its end.
    pub async fn prepare(&self, message: &SmsMessage) -> Result<Ready<'_>, SmsOutcome> {
        let provider_request = match &self.route {
            Route::Outbox(_) => {
                ProviderRequest::File(format!("{}-{}.sms.json", stamp(message.submitted_at), message.key), file_of(message))
            }
            Route::Hubtel(hubtel) => ProviderRequest::Call(hubtel.call(message, self.time_limit)),
            Route::Template(provider) => {
                let call = provider.call(message, self.time_limit);
                ProviderRequest::Call(call.map_err(|error| SmsOutcome::Rejected { response: error.to_string() })?)
            }
        };
        let slot = self.slots.acquire().await.map_err(|_| SmsOutcome::NotSent { reason: "the process is ending".into() })?;
        Ok(Ready { sms: self, provider_request, _slot: slot })
    }
}

/// A message that only waits for its hand-over. Dropped, it is not sent.
pub struct Ready<'a> {
    sms: &'a Sms,
    provider_request: ProviderRequest,
    _slot: SemaphorePermit<'a>,
}

enum ProviderRequest {
    File(String, Vec<u8>),
    Call(Call),
}

impl Ready<'_> {
    /// Hands the message over. Call it without a stop in between: once started, only its answer tells the message's outcome.
    pub async fn hand_over(self, now: Timestamp) -> SmsOutcome {
        let call = match (self.provider_request, &self.sms.route) {
            (ProviderRequest::File(name, bytes), Route::Outbox(outbox)) => {
                return match outbox.put(&name, bytes).await {
                    Ok(()) => SmsOutcome::Accepted { reference: None, response: name },
                    Err(reason) => SmsOutcome::NotSent { reason },
                };
            }
            (ProviderRequest::Call(call), _) => call,
            (ProviderRequest::File(..), _) => return SmsOutcome::NotSent { reason: "there is no outbox".into() },
        };
        match self.sms.fetcher.call(call).await {
            Ok(answer) => match &self.sms.route {
                Route::Hubtel(_) => hubtel::to_outcome(&answer, now),
                Route::Template(provider) => provider.to_outcome(&answer, now),
                Route::Outbox(_) => refusal(&answer, now),
            },
            Err(FetchError::Refused { reason }) => SmsOutcome::ProviderRefused { response: reason },
            Err(FetchError::Unreachable { reason }) => SmsOutcome::NotSent { reason },
            Err(FetchError::Failed { reason }) => SmsOutcome::Unknown { reason },
        }
    }
}

/// What an answer means that is no success. What stands in its body may hold what was sent: it is not told.
fn refusal(answer: &Answer, now: Timestamp) -> SmsOutcome {
    let status = answer.status;
    let response = format!("the provider answered {status}");
    let asked = answer.retry_after(now).map(|after| after.min(LONGEST_WAIT));
    match status.as_u16() {
        429 => SmsOutcome::Deferred { response, after: Some(asked.unwrap_or(THROTTLED)) },
        // Somebody in between speaks, who does not know what the provider did.
        502 | 504 => SmsOutcome::Unknown { reason: response },
        408 | 425 | 500..=599 => SmsOutcome::Deferred { response, after: asked },
        300..=399 | 401..=405 | 407 | 410 => SmsOutcome::ProviderRefused { response },
        400..=499 => SmsOutcome::Rejected { response },
        _ => SmsOutcome::Unknown { reason: format!("{response}, which does not say whether the message was taken") },
    }
}

fn accepted(status: StatusCode, reference: Option<String>) -> SmsOutcome {
    SmsOutcome::Accepted { reference, response: format!("the provider answered {status}") }
}

fn stamp(at: Timestamp) -> impl std::fmt::Display {
    at.strftime("%Y%m%dT%H%M%S%.6fZ")
}

fn file_of(message: &SmsMessage) -> Vec<u8> {
    let SmsLength { encoding, units, segments } = SmsLength::of(&message.text);
    let value = json!({
        "to": message.to.as_str(),
        "from": message.from,
        "message": message.text,
        "encoding": encoding,
        "units": units,
        "segments": segments,
        "message_id": message.key,
        "submitted_at": message.submitted_at.to_string(),
    });
    format!("{value:#}\n").into_bytes()
}

/// What templates are tried with at start.
fn sample(from: &str) -> SmsMessage {
    SmsMessage {
        to: PhoneNumber::example(),
        from: from.to_owned(),
        text: "\"Hello\" & <welcome>".into(),
        key: "019a8f6e-7c1b-7c3e-9b1a-2f6d1c0a4e55.0".into(),
        submitted_at: Timestamp::UNIX_EPOCH,
    }
}
