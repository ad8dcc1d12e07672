//! Who asks: tokens and passwords.
//!
//! A request carries a token ([`jwt`]); a person gets one for a name and a [`password`], held back by a [`throttle`]. [`secrets`]
//! keeps what the embedded setting makes for itself. Nothing here knows HTTP, and nothing here writes a token, a password or a
//! key to a log.

pub mod jwt;
pub mod password;
pub mod secrets;
pub mod throttle;

pub use jwt::{IssueError, KeyError, MAX_SUBJECT_CHARS, TokenError, Tokens, Verified};
pub use password::{PasswordError, Passwords};
pub use throttle::{Caller, LoginThrottle};
