//! What is wrong with a field of what a user sent.

use serde::{Deserialize, Serialize};

/// One bad field. It names the field, what came, and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FieldError {
    /// A JSON Pointer (RFC 6901) into the body, or the name of a query parameter or header.
    #[schema(example = "/recipient_email")]
    pub pointer: String,
    /// What is wrong, and what is allowed.
    #[schema(example = "\"nobody\" is not an e-mail address: it has no '@'")]
    pub detail: String,
}

impl FieldError {
    /// An error at `pointer` (as in `/recipient_email`).
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}
