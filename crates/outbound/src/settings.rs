//! The settings of outbound calls.

use secrecy::SecretString;

use crate::IpRange;

/// Limits, timeouts and the signing key of outbound calls.
#[derive(Clone, Debug)]
pub struct OutboundConfig {
    /// Private ranges that may be called all the same.
    pub allow: Vec<IpRange>,
    /// The key that signs callbacks (Standard Webhooks, `whsec_…`). `None` leaves them unsigned.
    pub webhook_secret: Option<SecretString>,
}
