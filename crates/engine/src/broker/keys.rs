//! Every name that the broker gives to something in Redis. All names of a prefix share one hash tag, so that a Cluster keeps them in
//! one slot and one script can read them all.
//!
//! | name | what |
//! |---|---|
//! | `{legwork}:queue:<queue>:<band>` | a stream; one entry a dispatch, deleted when it has been handed out |
//! | `{legwork}:signals` | a Pub/Sub channel |
//! | `{legwork}:probe` | a stream that never exists: whether writes are taken |
//!
//! An ACL user needs `~{legwork}:*` and `&{legwork}:*`.

use crate::domain::{PriorityBand, QueueName};

/// The consumer group of every stream. It starts at 0, never at `$`, so that a stream that was made anew loses nothing.
pub const GROUP: &str = "workers";

/// The one consumer of the group. Nothing is kept by consumer, because reads do not ask for acknowledgements.
pub const CONSUMER: &str = "worker";

/// The one field of an entry.
pub const FIELD: &str = "r";

/// The names below one prefix.
#[derive(Clone, Debug)]
pub struct Keys {
    tag: String,
}

impl Keys {
    /// Names that start with `{prefix}`.
    pub fn new(prefix: &str) -> Self {
        Self { tag: format!("{{{prefix}}}") }
    }

    /// The stream of one queue and band.
    pub fn stream(&self, queue: &QueueName, band: PriorityBand) -> String {
        format!("{}:queue:{queue}:{}", self.tag, band.as_str())
    }

    /// A stream that never exists: a write into it tells whether writes are taken.
    pub fn probe(&self) -> String {
        format!("{}:probe", self.tag)
    }

    /// The channel of the signals.
    pub fn signals(&self) -> String {
        format!("{}:signals", self.tag)
    }

    /// What all keys of the prefix are hashed by.
    pub fn hash_tag(&self) -> &str {
        &self.tag
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_names_of_a_prefix_share_one_hash_tag() {
        let keys = Keys::new("legwork");
        let queue = QueueName::parse("email.bulk").unwrap();
        assert_eq!(keys.stream(&queue, PriorityBand::High), "{legwork}:queue:email.bulk:high");
        assert_eq!(keys.signals(), "{legwork}:signals");
        assert_eq!(keys.hash_tag(), "{legwork}");
    }
}
