//! What time brings.
