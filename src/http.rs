//! Placeholder of this branch.

/// Placeholder of this branch.
pub mod openapi;
