//! Outbound HTTP.

/// Calls others.
pub struct Fetcher;
