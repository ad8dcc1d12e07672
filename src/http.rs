//! The API (a placeholder until the branch `http` is merged).

/// Parts.
pub struct ApiParts {
    /// q
    pub queue: std::sync::Arc<crate::queue::Queue>,
    /// t
    pub tokens: std::sync::Arc<crate::auth::Tokens>,
    /// c
    pub config: crate::config::HttpConfig,
    /// r
    pub readiness: Readiness,
    /// s
    pub shutdown: crate::shutdown::Shutdown,
    /// Whether tasks are served, or health and metrics only.
    pub serves_tasks: bool,
}

/// Readiness.
#[derive(Default)]
pub struct Readiness;

impl Readiness {
    /// n
    pub fn new() -> Self {
        Self
    }
    /// c
    #[must_use]
    pub fn check<F, Fut>(self, _name: &'static str, _run: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        self
    }
}

/// Serve.
pub async fn serve(listener: tokio::net::TcpListener, parts: ApiParts) -> std::io::Result<()> {
    drop(listener);
    parts.shutdown.begun().await;
    Ok(())
}
