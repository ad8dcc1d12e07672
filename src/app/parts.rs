//! Makes the ports and services that a configuration asks for.

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};

use super::AppError;
use crate::auth::secrets::{ensure_secret, new_jwt_secret, new_webhook_secret};
use crate::config::{BrokerConfig, Config, Database, StoreConfig};
use crate::files::Files;
use crate::services::Services;
use crate::services::bulk::Bulk;
use crate::services::render::Renderer;
use crate::services::sms::Sms;
use legwork_engine::broker::memory::MemoryBroker;
use legwork_engine::broker::redis::RedisBroker;
use legwork_engine::broker::{BrokerError, SharedBroker};
use legwork_engine::clock::Clock;
use legwork_engine::store::encrypted::{EncryptedStore, KeyRing};
use legwork_engine::store::postgres::PgStore;
use legwork_engine::store::sqlite::SqliteStore;
use legwork_engine::store::{SharedStore, StoreError};
use legwork_image::ImageLimits;
use legwork_isolate::Isolate;
use legwork_mail::Mailer;
use legwork_outbound::Fetcher;
use legwork_outbound::webhook::Signer;
use legwork_source::Sources;

/// Where everything lives in Postgres.
const SCHEMA: &str = "legwork";

/// Fills in the secrets that an embedded process makes for itself, at its first start.
pub fn with_secrets(mut config: Config) -> Result<Config, AppError> {
    if !config.is_embedded() {
        return Ok(config);
    }
    if config.auth.secrets.is_empty() && config.auth.public_key.is_none() {
        config.auth.secrets.push(kept(&config, "jwt-secret", new_jwt_secret)?);
    }
    if config.outbound.webhook_secret.is_none() {
        config.outbound.webhook_secret = Some(kept(&config, "webhook-secret", new_webhook_secret)?);
    }
    if config.files.secrets.is_empty() {
        config.files.secrets.push(kept(&config, "files-secret", new_jwt_secret)?);
    }
    Ok(config)
}

fn kept(config: &Config, name: &str, make: fn() -> std::io::Result<SecretString>) -> Result<SecretString, AppError> {
    let path = config.data_dir.join(name);
    ensure_secret(&path, make).map_err(|source| AppError::Secret { path: path.display().to_string(), source })
}

/// Opens the store; it need not answer yet, and is not migrated.
pub async fn build_store(config: &StoreConfig) -> Result<SharedStore, StoreError> {
    let key_ring = KeyRing::new(&config.encryption).map_err(|error| StoreError::Database(error.to_string()))?;
    let store: SharedStore = match &config.database {
        Database::Sqlite(path) => Arc::new(SqliteStore::open(path).await?),
        Database::Postgres(url) => Arc::new(PgStore::connect(url.expose_secret(), SCHEMA, config.connections).await?),
    };
    // Also without keys: rows that were encrypted once are told from such that never were.
    Ok(Arc::new(EncryptedStore::over(store, key_ring)))
}

/// Makes the broker; it need not answer yet.
pub fn build_broker(config: &BrokerConfig) -> Result<SharedBroker, BrokerError> {
    match &config.redis {
        Some(url) => Ok(Arc::new(RedisBroker::connect(url, &config.prefix)?)),
        None => Ok(Arc::new(MemoryBroker::default())),
    }
}

/// Sets up mail, templates, outbound calls and sources.
pub fn build_services(config: &Config, clock: &Arc<dyn Clock>) -> Result<Services, AppError> {
    let failed = |what: &'static str, reason: String| AppError::Service { what, reason };
    let clock = clock.clone();
    let now: legwork_source::Now = Arc::new(move || clock.now());
    let signer = config.outbound.webhook_secret.as_ref().map(Signer::new).transpose();
    let fetcher = Fetcher::new(&config.outbound).map_err(|error| failed("outbound calls", error.to_string()))?;
    Ok(Services {
        export_retention: config.export_retention,
        image_retention: config.image.retention,
        sources: Sources::new(&config.sources, &now).map_err(|error| failed("SOURCES", error.to_string()))?,
        mailer: Mailer::new(&config.mail).map_err(|error| failed("mail", error.to_string()))?,
        renderer: Renderer::new(&config.render).map_err(|error| failed("the templates", error.to_string()))?,
        bulk: Bulk::new(&config.bulk, &config.auth.secrets),
        sms: Sms::new(&config.sms, fetcher.clone()).map_err(|error| failed("text messages", error.to_string()))?,
        fetcher,
        files: Arc::new(Files::new(&config.files).map_err(|error| failed("the storage of files", error.to_string()))?),
        isolate: Isolate::new(config.isolate.clone()),
        image_limits: ImageLimits {
            max_bytes: config.image.max_bytes,
            max_pixels: config.image.max_pixels,
            max_memory: config.isolate.max_memory,
        },
        webhook_signer: signer.map_err(|error| failed("WEBHOOK_SECRET", error.to_string()))?,
    })
}
