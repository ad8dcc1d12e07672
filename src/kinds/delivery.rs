//! Delivers one message once: the use of the ledger that `email.send` and `sms.send` share.
//!
//! The outcome of the message is in the ledger, one row a task, because an attempt can die between the hand-over and its end. The row says
//! `sending` right before the message goes out. An attempt that finds it so does not send again, because the message may have arrived.
//! That write is a claim, which an attempt that was given up meanwhile does not get: a worker that froze cannot send a second time.

use std::future::Future;
use std::time::Duration;

use legwork_engine::domain::{Attempt, TaskFailure};
use legwork_engine::store::{LedgerEntry, LedgerState, StoreError};
use legwork_mail::MailOutcome;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::TaskContext;
use crate::services::sms::SmsOutcome;

/// The part of the ledger: a task has one message.
pub(super) const PART: i32 = 0;

/// What to do with a message whose outcome is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnUnknown {
    /// Fail: it may have arrived.
    #[default]
    Hold,
    /// Send it again: it may arrive twice.
    Resend,
}

/// How a channel names its message and its errors.
pub(super) struct ChannelNames {
    /// The message in sentences, as in "the mail was refused".
    pub thing: &'static str,
    /// The type of the error where the recipient was refused for good.
    pub rejected: &'static str,
    /// The type of the error where the provider refuses our settings, not this message.
    pub provider_refused: &'static str,
    /// The type of the error where the message was refused for now.
    pub deferred: &'static str,
    /// The type of the error where nothing was handed over.
    pub not_sent: &'static str,
    /// The type of the error where no answer came to the hand-over.
    pub unknown: &'static str,
    /// Whether the ledger keeps the provider's own id beside its answer.
    pub has_references: bool,
}

/// The outcome of a hand-over, in any channel.
pub(super) enum Outcome {
    /// The other side took the message.
    Accepted(Accepted),
    /// The message was refused for good; further attempts would be refused too.
    Rejected { response: String },
    /// The provider does not work with these settings.
    ProviderRefused { response: String },
    /// Refused for now; `after` is the pause that the other side asked for.
    Deferred { response: String, after: Option<Duration> },
    /// Nothing was handed over. Another attempt is safe.
    NotSent { reason: String },
    /// Handed over, and no answer came. The message may or may not arrive.
    Unknown { reason: String },
}

/// The answer to a message that was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Accepted {
    /// The answer of the other side; the name of the file with the outbox.
    pub response: String,
    /// The provider's own id of the message, where it gives one.
    pub reference: Option<String>,
}

impl From<MailOutcome> for Outcome {
    fn from(outcome: MailOutcome) -> Self {
        match outcome {
            MailOutcome::Accepted { response } => Self::Accepted(Accepted { response, reference: None }),
            MailOutcome::Rejected { response, .. } => Self::Rejected { response },
            MailOutcome::Deferred { response, .. } => Self::Deferred { response, after: None },
            MailOutcome::NotSent { reason } => Self::NotSent { reason },
            MailOutcome::Unknown { reason } => Self::Unknown { reason },
        }
    }
}

impl From<SmsOutcome> for Outcome {
    fn from(outcome: SmsOutcome) -> Self {
        match outcome {
            SmsOutcome::Accepted { reference, response } => Self::Accepted(Accepted { response, reference }),
            SmsOutcome::Rejected { response } => Self::Rejected { response },
            SmsOutcome::ProviderRefused { response } => Self::ProviderRefused { response },
            SmsOutcome::Deferred { response, after } => Self::Deferred { response, after },
            SmsOutcome::NotSent { reason } => Self::NotSent { reason },
            SmsOutcome::Unknown { reason } => Self::Unknown { reason },
        }
    }
}

/// The one message of a task.
pub(super) struct OneMessage<'a> {
    pub cx: &'a TaskContext,
    pub names: &'static ChannelNames,
    /// The address or number.
    pub recipient: &'a str,
    /// The same in all attempts of the task.
    pub message_id: &'a str,
    pub on_unknown: OnUnknown,
    /// In the outbox a message that is handed over again replaces itself, so the file is its own ledger.
    pub is_outbox: bool,
}

impl OneMessage<'_> {
    /// Delivers the message. `prepare` does all that can be undone, `hand_over` sends. Ask [`Self::settled_before`] first.
    pub async fn deliver<R, P, H, F>(&self, prepare: P, hand_over: H) -> Result<Accepted, TaskFailure>
    where
        P: Future<Output = Result<R, Outcome>> + Send,
        H: FnOnce(R) -> F + Send,
        F: Future<Output = Outcome> + Send,
        R: Send,
    {
        let ready = match self.cx.or_cancelled(prepare).await? {
            Ok(ready) => ready,
            // Nothing was handed over, so there is nothing to remember.
            Err(outcome) => return self.result(outcome),
        };
        if self.is_outbox {
            return self.result(hand_over(ready).await);
        }
        let claim = self.entry(LedgerState::Sending, None);
        let resends = self.on_unknown == OnUnknown::Resend;
        if !self.cx.ledger.claim_mail(&claim, self.cx.attempt, resends).await.map_err(unavailable)? {
            return self.overtaken().await;
        }
        let outcome = hand_over(ready).await;
        self.record(&outcome).await;
        self.result(outcome)
    }

    /// What an earlier attempt wrote down, where that decides: the answer, and the id of the message. `None` means that the message is to be sent.
    pub async fn settled_before(&self) -> Result<Option<(Accepted, String)>, TaskFailure> {
        if self.cx.attempt <= Attempt(1) {
            return Ok(None);
        }
        let Some(entry) = self.cx.or_cancelled(self.remembered()).await?? else { return Ok(None) };
        if entry.state.is_to_be_sent(self.on_unknown == OnUnknown::Resend) {
            return Ok(None);
        }
        let message_id = entry.message_id.clone();
        self.result(self.outcome_of(entry)).map(|accepted| Some((accepted, message_id)))
    }

    /// What to answer where the message could not be claimed: this attempt was given up while it got ready, or the message is settled.
    async fn overtaken(&self) -> Result<Accepted, TaskFailure> {
        match self.remembered().await? {
            Some(entry) if matches!(entry.state, LedgerState::Accepted | LedgerState::Rejected) => {
                self.result(self.outcome_of(entry))
            }
            // If that is wrong, the next attempt reads the ledger before all else.
            _ => {
                let thing = self.names.thing;
                let what = format!("the task was given to another attempt: this one did not hand the {thing} over");
                Err(TaskFailure::retry("Overtaken", what))
            }
        }
    }

    async fn remembered(&self) -> Result<Option<LedgerEntry>, TaskFailure> {
        let entries = self.cx.ledger.read_ledger(self.cx.task).await.map_err(unavailable)?;
        Ok(entries.into_iter().find(|entry| entry.part == PART))
    }

    /// Writes the outcome down. Where that fails the entry stays `sending`, which a later attempt treats as unknown.
    async fn record(&self, outcome: &Outcome) {
        let (state, response) = match outcome {
            Outcome::Accepted(accepted) => (LedgerState::Accepted, accepted.clone()),
            Outcome::Rejected { response } | Outcome::ProviderRefused { response } => (LedgerState::Rejected, answer(response)),
            // A later attempt may send after either of these.
            Outcome::Deferred { response, .. } | Outcome::NotSent { reason: response } => {
                (LedgerState::Deferred, answer(response))
            }
            Outcome::Unknown { reason } => (LedgerState::Unknown, answer(reason)),
        };
        let response = if self.names.has_references { serde_json::to_string(&response).ok() } else { Some(response.response) };
        if let Err(error) = self.cx.ledger.write_ledger(&[self.entry(state, response)]).await {
            let (task, attempt, thing) = (self.cx.task, self.cx.attempt, self.names.thing);
            tracing::warn!(task.id = %task, attempt = %attempt, thing, state = state.as_str(), %error, "the outcome of a message could not be written down");
        }
    }

    fn outcome_of(&self, entry: LedgerEntry) -> Outcome {
        let text = entry.response.unwrap_or_default();
        let accepted = if self.names.has_references { serde_json::from_str(&text).unwrap_or_default() } else { answer(&text) };
        match entry.state {
            LedgerState::Accepted => Outcome::Accepted(accepted),
            LedgerState::Rejected => Outcome::Rejected { response: accepted.response },
            LedgerState::Deferred => Outcome::NotSent { reason: accepted.response },
            LedgerState::Unknown => Outcome::Unknown { reason: accepted.response },
            LedgerState::Sending => {
                let reason = format!("an earlier attempt ended while it handed the {} over", self.names.thing);
                Outcome::Unknown { reason }
            }
        }
    }

    fn result(&self, outcome: Outcome) -> Result<Accepted, TaskFailure> {
        let ChannelNames { thing, rejected, provider_refused, deferred, not_sent, unknown, .. } = *self.names;
        Err(match outcome {
            Outcome::Accepted(accepted) => return Ok(accepted),
            Outcome::Rejected { response } => TaskFailure::fail(rejected, format!("the {thing} was refused: {response}")),
            Outcome::ProviderRefused { response } => {
                TaskFailure::fail(provider_refused, format!("the provider will not work with these settings: {response}"))
            }
            Outcome::Deferred { response, after } => {
                let what = format!("the {thing} was refused for now: {response}");
                match after {
                    Some(after) => TaskFailure::retry_after(deferred, what, after),
                    None => TaskFailure::retry(deferred, what),
                }
            }
            Outcome::NotSent { reason } => TaskFailure::retry(not_sent, format!("the {thing} was not sent: {reason}")),
            Outcome::Unknown { reason } => {
                let what = format!("the {thing} was handed over and may have arrived, but no answer says so: {reason}");
                match self.on_unknown {
                    OnUnknown::Hold => TaskFailure::fail(unknown, what + "; it is not sent again (on_unknown is hold)"),
                    OnUnknown::Resend => TaskFailure::retry(unknown, what + "; it is sent again (on_unknown is resend)"),
                }
            }
        })
    }

    fn entry(&self, state: LedgerState, response: Option<String>) -> LedgerEntry {
        LedgerEntry {
            task: self.cx.task,
            part: PART,
            recipient: self.recipient.to_owned(),
            message_id: self.message_id.to_owned(),
            state,
            response,
            updated_at: self.cx.clock.now(),
        }
    }
}

fn answer(response: &str) -> Accepted {
    Accepted { response: response.to_owned(), reference: None }
}

fn unavailable(error: StoreError) -> TaskFailure {
    TaskFailure::retry("LedgerUnavailable", error)
}
