//! The recipients' ledger: what became of each recipient of a task that reaches many, whatever the channel (mail, SMS).
//!
//! ```text
//! queued ──▶ sending ──▶ accepted | rejected | deferred | unknown          (any) ──▶ suppressed
//!               ▲                              │   next_at        │ next_at
//!               └──────────────────────────────┴──────────────────┘
//! ```
//!
//! A recipient is *claimed* (`sending`) right before the hand-over and *recorded* right after it. A row is claimed by one attempt only, whatever
//! happens: the claim is a compare-and-set on the row, and asks that the attempt be the present one of its task. What is `sending` when its
//! attempt has ended was handed over or was about to be: nobody can tell, so [`RecipientLedger::adopt`] makes it `unknown`.
//! `deferred` and `unknown` rows with a `next_at` are tried again at that time, without one they stay.

use std::str::FromStr;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::StoreResult;
use crate::domain::{Attempt, TaskId};

/// What became of a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecipientState {
    /// Nothing was handed over yet.
    Queued,
    /// It is about to be handed over, or was a moment ago.
    Sending,
    /// The other side took it.
    Accepted,
    /// The other side refused it for good, or the address is none.
    Rejected,
    /// The other side refused it for now.
    Deferred,
    /// It was handed over and no answer came. It may have arrived.
    Unknown,
    /// The address is on the suppression list.
    Suppressed,
}

impl RecipientState {
    /// Every state there is.
    pub const ALL: [Self; 7] =
        [Self::Queued, Self::Sending, Self::Accepted, Self::Rejected, Self::Deferred, Self::Unknown, Self::Suppressed];

    /// Its word, in the API and in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Deferred => "deferred",
            Self::Unknown => "unknown",
            Self::Suppressed => "suppressed",
        }
    }
}

impl FromStr for RecipientState {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|state| state.as_str() == word).ok_or_else(|| {
            let allowed = Self::ALL.map(Self::as_str).join(", ");
            let shortened: String = word.chars().take(100).collect();
            format!("{shortened:?} is not a state of a recipient; allowed are {allowed}")
        })
    }
}

/// A recipient to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRecipient {
    /// Its place in the task, from 0.
    pub part: i32,
    /// Whom to reach, as it was given: `Ann <ann@example.org>`, `+233201234567`.
    pub recipient: String,
    /// The bare address in lower case: what suppressions are compared with.
    pub address: String,
    /// What tells a repetition to the other side, the same in all attempts: a Message-ID, a client reference.
    pub message_id: String,
    /// What is this recipient's own, as JSON. Opaque to the store.
    pub context: Option<String>,
    /// Why it is `rejected` at once, where it is no address.
    pub refused: Option<String>,
}

/// The row of one recipient of a bulk task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipientRow {
    /// The recipient's number within the task, from 0.
    pub part: i32,
    /// The recipient as it was given.
    pub recipient: String,
    /// The address alone, in lower case.
    pub address: String,
    /// The id by which the receiving side recognizes a repetition.
    pub message_id: String,
    /// The state of the recipient.
    pub state: RecipientState,
    /// The last reply of the receiving side.
    pub response: Option<String>,
    /// The id that the receiving side gave to the message.
    pub reference: Option<String>,
    /// How often a hand-over was tried.
    pub attempts: u32,
    /// When the next hand-over is due; `None` if none follows.
    pub next_at: Option<Timestamp>,
    /// The recipient's own variables, as JSON text.
    pub context: Option<String>,
    /// When the row was last written.
    pub updated_at: Timestamp,
}

/// A claim (`state` is `sending`) or a record (any other state) of one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipientStep {
    /// Id of the task.
    pub task: TaskId,
    /// The attempt that writes.
    pub attempt: Attempt,
    /// The recipient's number within the task.
    pub part: i32,
    /// The new state.
    pub state: RecipientState,
    /// The reply of the receiving side.
    pub response: Option<String>,
    /// The id that the receiving side gave to the message.
    pub reference: Option<String>,
    /// When a `deferred` or `unknown` recipient is tried again.
    pub next_at: Option<Timestamp>,
    /// The time of the write.
    pub at: Timestamp,
}

/// How many recipients of a task are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct RecipientCounts {
    /// Number of recipients in any state.
    pub total: u64,
    /// Nothing was handed over yet.
    pub queued: u64,
    /// A hand-over is under way.
    pub sending: u64,
    /// The receiving side accepted the message.
    pub accepted: u64,
    /// The receiving side refused the message for good.
    pub rejected: u64,
    /// The receiving side refused the message for now.
    pub deferred: u64,
    /// The message was handed over, and no answer came.
    pub unknown: u64,
    /// The address is on the suppression list.
    pub suppressed: u64,
    /// When the first of the deferred and unknown recipients is tried again.
    #[serde(skip)]
    pub next_at: Option<Timestamp>,
}

impl RecipientCounts {
    /// Adds `count` recipients in `state`, the earliest of which is tried again at `next_at`.
    pub fn add(&mut self, state: RecipientState, count: u64, next_at: Option<Timestamp>) {
        self.total += count;
        *match state {
            RecipientState::Queued => &mut self.queued,
            RecipientState::Sending => &mut self.sending,
            RecipientState::Accepted => &mut self.accepted,
            RecipientState::Rejected => &mut self.rejected,
            RecipientState::Deferred => &mut self.deferred,
            RecipientState::Unknown => &mut self.unknown,
            RecipientState::Suppressed => &mut self.suppressed,
        } += count;
        self.next_at = match (self.next_at, next_at) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
}

/// How recipients whose outcome is unknown are tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resend {
    /// When the next hand-over is due.
    pub at: Timestamp,
    /// Only recipients with fewer hand-overs than this are tried again.
    pub most_attempts: u32,
}

/// Whether an attempt may go on, as the ledger sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptStanding {
    /// The attempt is the present one of its task.
    Present,
    /// The attempt is the present one, and the task's queue is paused.
    Paused,
    /// The task has another attempt, or has ended.
    Overtaken,
}

/// The recipients of a task to read, by their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecipientFilter {
    /// Recipients in one of these states; empty for all.
    pub states: Vec<RecipientState>,
    /// Recipients after this number; `None` starts at the first.
    pub after: Option<i32>,
}

/// The state of each recipient of a bulk task.
#[async_trait]
pub trait RecipientLedger: Send + Sync {
    /// Opens the list of a task. Returns whether it is complete: all recipients are in, and none is to be added.
    ///
    /// The list of a task that is the retry by hand of another (`retry_of`) is that one's, taken over here once: who was reached stays
    /// reached; who was refused, deferred or suppressed is queued again (but no address that is none); what was `unknown` is `sending` here, so
    /// that [`RecipientLedger::adopt`] decides on it as on any other.
    async fn open_list(&self, task: TaskId, now: Timestamp) -> StoreResult<bool>;

    /// Adds recipients as `queued` (or `rejected`, where `refused`). Parts that are there already stay as they are.
    async fn add_recipients(&self, task: TaskId, recipients: &[NewRecipient], now: Timestamp) -> StoreResult<()>;

    /// Marks the list as complete: all recipients are in.
    async fn complete_list(&self, task: TaskId, now: Timestamp) -> StoreResult<()>;

    /// Makes `unknown` what an attempt before `attempt` left `sending`, to be tried again as `resend` says, if that is given. Then counts.
    /// Returns `None`, and does nothing, where `attempt` is not the present one.
    async fn adopt(
        &self,
        task: TaskId,
        attempt: Attempt,
        resend: Option<Resend>,
        now: Timestamp,
    ) -> StoreResult<Option<RecipientCounts>>;

    /// Up to `limit` recipients behind part `after` to whom something is to be handed over now: `queued`, or `deferred` or `unknown` with a
    /// `next_at` that has come. By part. Those whose address is suppressed come with the state [`RecipientState::Suppressed`], which is
    /// for the caller to record.
    async fn to_send(&self, task: TaskId, after: Option<i32>, now: Timestamp, limit: u32) -> StoreResult<Vec<RecipientRow>>;

    /// Writes claims and records, in one commit; the answers are in the order of the steps: the state that the row has now, or `None` where the
    /// step did not apply. A part stands at most once in a batch.
    ///
    /// A claim applies if its attempt is the present one (the task is STARTED with this number) and the row is `queued`, or `deferred` or
    /// `unknown` with a `next_at`, or `sending` by this very attempt (a claim whose answer was lost). Where the address is suppressed it writes
    /// and answers `suppressed`. Only after the answer `sending` may anything be handed over.
    /// A record applies to a row that this attempt claimed, present or not, while it is `sending` or `unknown`; and to one that the present
    /// attempt could claim (a refusal that came before the hand-over).
    async fn write_recipients(&self, steps: &[RecipientStep]) -> StoreResult<Vec<Option<RecipientState>>>;

    /// Whether an attempt may go on.
    async fn attempt_standing(&self, task: TaskId, attempt: Attempt) -> StoreResult<AttemptStanding>;

    /// Up to `limit` recipients of a task, by part.
    async fn recipients(&self, task: TaskId, filter: &RecipientFilter, limit: u32) -> StoreResult<Vec<RecipientRow>>;

    /// How many recipients of a task are in each state.
    async fn count_recipients(&self, task: TaskId) -> StoreResult<RecipientCounts>;
}

/// The reason why an address is suppressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SuppressionReason {
    /// A user added the address by hand.
    Manual,
    /// The owner of the address unsubscribed.
    Unsubscribed,
    /// The receiving side said for good that the address does not exist.
    Bounced,
    /// The owner of the address complained.
    Complained,
}

impl SuppressionReason {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Manual, Self::Unsubscribed, Self::Bounced, Self::Complained];

    /// The name used in the API and in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Unsubscribed => "unsubscribed",
            Self::Bounced => "bounced",
            Self::Complained => "complained",
        }
    }
}

impl FromStr for SuppressionReason {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word).ok_or_else(|| {
            let allowed = Self::ALL.map(Self::as_str).join(", ");
            let shortened: String = word.chars().take(100).collect();
            format!("{shortened:?} is not a reason; allowed are {allowed}")
        })
    }
}

/// An address that gets no bulk messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppression {
    /// The address alone, in lower case.
    pub address: String,
    /// The reason of the suppression.
    pub reason: SuppressionReason,
    /// A note, or the mail server's reply.
    pub detail: Option<String>,
    /// Name of the principal that added the address; `None` if its owner or the engine did.
    pub principal: Option<String>,
    /// Id of the task whose message was the cause, if there was one.
    pub task: Option<TaskId>,
    /// When the address was added.
    pub created_at: Timestamp,
}

/// The suppressions to read, ordered by address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SuppressionFilter {
    /// Addresses after this one; `None` starts at the first.
    pub after: Option<String>,
    /// Addresses that contain this text.
    pub text: Option<String>,
    /// Suppressions with this reason.
    pub reason: Option<SuppressionReason>,
}

/// The list of addresses that get nothing in bulk.
#[async_trait]
pub trait Suppressions: Send + Sync {
    /// Puts addresses on the list. One that is there stays as it is. Returns how many are new.
    async fn suppress(&self, suppressions: &[Suppression]) -> StoreResult<u64>;

    /// Takes an address off the list; `false` where it is not on it.
    async fn unsuppress(&self, address: &str) -> StoreResult<bool>;

    /// Up to `limit` of the list, by address.
    async fn suppressions(&self, filter: &SuppressionFilter, limit: u32) -> StoreResult<Vec<Suppression>>;

    /// Those of these addresses that are on the list.
    async fn suppressed_among(&self, addresses: &[String]) -> StoreResult<Vec<String>>;
}
