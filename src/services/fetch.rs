//! Outbound HTTP.

/// Calls others.
pub struct Fetcher;

impl Fetcher {
    /// Checks a URL.
    pub fn check_url(&self, url: &str) -> Result<url::Url, String> {
        url.parse().map_err(|error: url::ParseError| error.to_string())
    }
}
