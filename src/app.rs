//! The composition root.

use crate::config::{Config, StoreConfig};
use crate::services::Services;
use crate::store::{SharedStore, StoreError};

/// Placeholder of this branch.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The store cannot be used at all.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A service could not be set up.
    #[error("{what} could not be set up: {reason}")]
    Service {
        /// Which.
        what: &'static str,
        /// Why.
        reason: String,
    },
}

/// Placeholder of this branch.
pub async fn serve(config: Config) -> Result<(), AppError> {
    build_store(&config.store).await?;
    Ok(())
}

/// Placeholder of this branch.
pub fn with_secrets(mut config: Config) -> Result<Config, AppError> {
    let failed = |error: std::io::Error| AppError::Service { what: "secrets", reason: error.to_string() };
    if config.is_embedded() && config.auth.secrets.is_empty() && config.auth.public_key.is_none() {
        let path = config.data_dir.join("jwt-secret");
        config
            .auth
            .secrets
            .push(crate::auth::secrets::ensure_secret(&path, crate::auth::secrets::new_jwt_secret).map_err(failed)?);
    }
    Ok(config)
}

/// Placeholder of this branch.
pub async fn build_store(_config: &StoreConfig) -> Result<SharedStore, StoreError> {
    Err(StoreError::Unavailable("placeholder".into()))
}

/// Placeholder of this branch.
pub fn build_services(config: &Config) -> Result<Services, AppError> {
    let failed = |what: &'static str, reason: String| AppError::Service { what, reason };
    Ok(Services {
        mailer: crate::services::mail::Mailer::new(&config.mail).map_err(|error| failed("mail", error.to_string()))?,
        renderer: crate::services::render::Renderer::new(&config.render)
            .map_err(|error| failed("the templates", error.to_string()))?,
        fetcher: crate::services::fetch::Fetcher::new(&config.outbound)
            .map_err(|error| failed("outbound calls", error.to_string()))?,
        webhook_signer: None,
    })
}
