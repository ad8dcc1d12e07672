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
    /// What a parser that tracks its path found.
    pub fn of_parser(error: &serde_path_to_error::Error<serde_json::Error>) -> Self {
        let mut pointer = String::new();
        for segment in error.path() {
            pointer.push('/');
            pointer.push_str(&segment.to_string().replace('~', "~0").replace('/', "~1"));
        }
        Self { pointer, detail: error.inner().to_string() }
    }

    /// An error at `pointer` (as in `/recipient_email`).
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}
