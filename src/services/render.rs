//! Templates.

/// Renders templates.
pub struct Renderer;
