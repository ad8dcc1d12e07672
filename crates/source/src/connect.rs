//! A source that is not declared: a database of a URL, without models.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret as _, SecretString};

use super::{Now, Source, SourceConfig, SourceError, SourcePlace};

impl Source {
    /// The database of `postgres://user:password@host/database` or `sqlite:path`, under a name for messages. It has no models: it is for raw statements.
    /// Nothing is connected yet. The error does not show the URL, which may hold a password.
    pub fn connect(name: &str, url: &SecretString, now: &Now) -> Result<Self, SourceError> {
        let place = SourcePlace::parse(url.expose_secret().trim()).ok_or_else(|| {
            SourceError::Undeclared(format!(
                "{name} must be postgres://user:password@host/database or sqlite:path; got another form"
            ))
        })?;
        Self::new(name, &SourceConfig { place, models: BTreeMap::new() }, now)
    }
}
