//! Lists come in pages; a page starts after a key, never at an offset.

use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;

use super::{KindName, QueueName, TaskId, TaskStatus};

/// Where the next page starts: after this id. Opaque to users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(pub TaskId);

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0.as_uuid().as_bytes()))
    }
}

impl FromStr for Cursor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
        bytes
            .map(|bytes| Self(uuid::Uuid::from_bytes(bytes).into()))
            .ok_or_else(|| format!("{text:?} is not a cursor; take it from next_cursor of the page before"))
    }
}

/// Which tasks are asked for. Empty fields ask for all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskFilter {
    /// In one of these states.
    pub statuses: Vec<TaskStatus>,
    /// Of this kind.
    pub kind: Option<KindName>,
    /// In this queue.
    pub queue: Option<QueueName>,
    /// Run by the worker of this name.
    pub worker: Option<String>,
    /// Submitted at or after.
    pub submitted_from: Option<Timestamp>,
    /// Submitted before.
    pub submitted_to: Option<Timestamp>,
    /// With this text in kind, args or error, in any case.
    pub text: Option<String>,
    /// Submitted by this principal.
    pub principal: Option<Arc<str>>,
}

/// One page of a list: newest first.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// Start after this.
    pub after: Option<Cursor>,
    /// At most so many, 1 to 500.
    pub limit: u16,
}

/// A page.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next one starts; `None` on the last.
    pub next: Option<Cursor>,
}
