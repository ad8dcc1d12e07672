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

/// Conditions that listed tasks meet. An empty field sets no condition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskFilter {
    /// Tasks in one of these states.
    pub statuses: Vec<TaskStatus>,
    /// Tasks of this kind.
    pub kind: Option<KindName>,
    /// Tasks in this queue.
    pub queue: Option<QueueName>,
    /// Tasks whose last attempt ran on the worker of this name.
    pub worker: Option<String>,
    /// Tasks submitted at or after this time.
    pub submitted_from: Option<Timestamp>,
    /// Tasks submitted before this time.
    pub submitted_to: Option<Timestamp>,
    /// Tasks with this text in kind, args or error, in upper or lower case.
    pub text: Option<String>,
    /// Tasks submitted by this principal.
    pub principal: Option<Arc<str>>,
}

/// The page of a list to read. Lists begin with the newest task.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// The entry after which the page starts; `None` for the first page.
    pub after: Option<Cursor>,
    /// Most entries on the page, 1 to 500.
    pub limit: u16,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// The entries of the page.
    pub items: Vec<T>,
    /// The start of the next page; `None` on the last page.
    pub next: Option<Cursor>,
}
