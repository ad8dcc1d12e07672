//! Recipients of a task, and the addresses that get nothing in bulk, as users see them.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Queue, QueueError};
use crate::domain::{Principal, TaskId};
use crate::store::{
    RecipientCounts, RecipientFilter, RecipientRow, RecipientState, Suppression, SuppressionFilter, SuppressionReason,
};

/// A recipient of a task.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Recipient)]
pub struct RecipientView {
    /// Its place in the list, from 0.
    #[schema(minimum = 0)]
    pub part: i32,
    /// Whom to reach, as it was given.
    #[schema(example = "user1@example.com")]
    pub recipient: String,
    /// What became of it.
    pub outcome: RecipientState,
    /// What the other side said.
    #[schema(example = "250 2.0.0 queued")]
    pub response: Option<String>,
    /// What tells a repetition to the other side: a mail's Message-ID.
    pub message_id: String,
    /// What the other side calls it.
    pub reference: Option<String>,
    /// How often a hand-over was tried.
    #[schema(minimum = 0)]
    pub attempts: u32,
    /// When it is tried again.
    pub next_at: Option<Timestamp>,
    /// When this was last written.
    pub updated_at: Timestamp,
}

impl From<RecipientRow> for RecipientView {
    fn from(row: RecipientRow) -> Self {
        Self {
            part: row.part,
            recipient: row.recipient,
            outcome: row.state,
            response: row.response,
            message_id: row.message_id,
            reference: row.reference,
            attempts: row.attempts,
            next_at: row.next_at,
            updated_at: row.updated_at,
        }
    }
}

/// An address that gets no bulk mail.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Suppression)]
pub struct SuppressionView {
    /// The bare address, in lower case.
    #[schema(example = "user1@example.com")]
    pub address: String,
    /// The reason of the suppression.
    pub reason: SuppressionReason,
    /// A note, or the mail server's reply.
    pub detail: Option<String>,
    /// Name of the principal that added the address; null if its owner did, or if a mail bounced.
    pub principal: Option<String>,
    /// The task that mailed it, where it bounced or was unsubscribed.
    #[schema(value_type = Option<uuid::Uuid>)]
    pub task_id: Option<TaskId>,
    /// When the address was added.
    pub created_at: Timestamp,
}

impl From<Suppression> for SuppressionView {
    fn from(row: Suppression) -> Self {
        let Suppression { address, reason, detail, principal, task, created_at } = row;
        Self { address, reason, detail, principal, task_id: task, created_at }
    }
}

impl Queue {
    /// A page of a task's recipients, by part; `None` where the principal sees no such task.
    pub async fn recipients(
        &self,
        id: TaskId,
        filter: &RecipientFilter,
        limit: u32,
        principal: &Principal,
    ) -> Result<Option<Vec<RecipientView>>, QueueError> {
        if !self.sees(id, principal).await? {
            return Ok(None);
        }
        let rows = self.store.recipients(id, filter, limit).await?;
        Ok(Some(rows.into_iter().map(RecipientView::from).collect()))
    }

    /// How many recipients of a task are in each state. Who asks must see the task.
    pub async fn count_recipients(&self, id: TaskId) -> Result<RecipientCounts, QueueError> {
        Ok(self.store.count_recipients(id).await?)
    }

    /// Puts addresses on the suppression list; returns how many of them are new there.
    pub async fn suppress(&self, suppressions: &[Suppression]) -> Result<u64, QueueError> {
        Ok(self.store.suppress(suppressions).await?)
    }

    /// Takes an address off the suppression list; `false` where it is not on it.
    pub async fn unsuppress(&self, address: &str) -> Result<bool, QueueError> {
        Ok(self.store.unsuppress(address).await?)
    }

    /// A page of the suppression list, by address.
    pub async fn list_suppressions(&self, filter: &SuppressionFilter, limit: u32) -> Result<Vec<SuppressionView>, QueueError> {
        Ok(self.store.suppressions(filter, limit).await?.into_iter().map(SuppressionView::from).collect())
    }
}
