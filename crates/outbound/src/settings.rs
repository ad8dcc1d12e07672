//! The settings of outbound calls.

use secrecy::SecretString;

use crate::IpRange;

/// How we call others.
#[derive(Clone, Debug)]
pub struct OutboundConfig {
    /// Private ranges that may be called all the same.
    pub allow: Vec<IpRange>,
    /// What signs callbacks (Standard Webhooks, `whsec_…`).
    pub webhook_secret: Option<SecretString>,
}
