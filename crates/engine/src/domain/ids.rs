//! Ids and names as types, parsed once at the edge.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! uuid_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// The bare UUID, for the store and the wire.
            pub const fn as_uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self).map_err(|_| NotAnId)
            }
        }
    };
}

/// A text is no id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not a UUID like 0198c5a4-7d1e-7c3a-9f00-2b8d1c6e4a57")]
pub struct NotAnId;

uuid_newtype! {
    /// A task's id: a `UUIDv7`, so it tells when the task was submitted.
    TaskId
}
uuid_newtype! {
    /// One start of one worker process. Never used again, so a restarted worker is a new one.
    WorkerId
}

uuid_newtype! {
    /// The id of a schedule: a `UUIDv7` of the time at which it was made.
    ScheduleId
}

impl ScheduleId {
    /// A fresh id, made at `at`.
    pub fn made(at: Timestamp) -> Self {
        Self(uuid_v7(at))
    }
}

/// A `UUIDv7` of `at`.
pub(super) fn uuid_v7(at: Timestamp) -> Uuid {
    let seconds = u64::try_from(at.as_second()).unwrap_or(0);
    let nanos = u32::try_from(at.subsec_nanosecond()).unwrap_or(0);
    Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos))
}

impl WorkerId {
    /// A fresh id, made at `at`.
    pub fn made(at: Timestamp) -> Self {
        Self(uuid_v7(at))
    }
}

impl TaskId {
    /// A fresh id, made at `at`: ids sort by time, and a look-up knows how far back to look.
    pub fn made(at: Timestamp) -> Self {
        Self(uuid_v7(at))
    }

    /// When the id was made, to the millisecond; the epoch for an id that is not a `UUIDv7`.
    pub fn made_at(self) -> Timestamp {
        let (seconds, nanos) = self.0.get_timestamp().map_or((0, 0), |stamp| stamp.to_unix());
        Timestamp::new(i64::try_from(seconds).unwrap_or(0), i32::try_from(nanos).unwrap_or(0)).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

/// The number of an attempt: 0 before the first start, and one higher with every start, whatever ended the one before.
///
/// Only a start raises it, so that it tells the runs of a task apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attempt(pub i32);

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The version of a waiting or running task: the fence. Every write that decides what becomes of the task (a start, a settlement, a change)
/// names the version that it knows, matches no other, and raises it. It only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(pub i32);

impl Version {
    /// The version of a task as it is inserted.
    pub const FIRST: Self = Self(0);

    /// The version after a write.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a name was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} {name:?} is not a name: 1 to {max} characters of a-z, 0-9, '_', '-' and '.', start with a letter or digit")]
pub struct NameError {
    what: &'static str,
    name: String,
    max: usize,
}

const MAX_NAME_CHARS: usize = 100;

fn check_name(what: &'static str, name: &str) -> Result<(), NameError> {
    let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    let all_allowed = name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.'));
    if starts_well && all_allowed && name.len() <= MAX_NAME_CHARS {
        return Ok(());
    }
    let shortened: String = name.chars().take(MAX_NAME_CHARS).collect();
    Err(NameError { what, name: shortened, max: MAX_NAME_CHARS })
}

macro_rules! name_newtype {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Parses a name and checks its length and characters.
            pub fn parse(name: &str) -> Result<Self, NameError> {
                check_name($what, name)?;
                Ok(Self(name.into()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Takes a name that the store gives back; what was written was parsed before.
            pub fn from_store(name: &str) -> Self {
                Self(name.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(name: &str) -> Result<Self, Self::Err> {
                Self::parse(name)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
                let name = std::borrow::Cow::<'de, str>::deserialize(input)?;
                Self::parse(&name).map_err(serde::de::Error::custom)
            }
        }
    };
}

name_newtype! {
    /// The name of a queue, as in `default`.
    QueueName, "queue"
}
name_newtype! {
    /// The name of a kind, as in `email.send`.
    KindName, "kind"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_lower_case_short_and_plain() {
        for good in ["default", "email.send", "a", "0-x_y.z"] {
            assert!(QueueName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "Default", ".x", "a b", "a/b", "ü", &"x".repeat(101)] {
            assert!(QueueName::parse(bad).is_err(), "{bad}");
        }
    }
}
