//! Standard Webhooks signatures.

/// Signs.
pub struct Signer;
