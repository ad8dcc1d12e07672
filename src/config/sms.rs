//! The settings of text messages.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;

use super::parse::Reader;

/// How text messages are sent.
#[derive(Clone, Debug)]
pub struct SmsConfig {
    /// The provider that takes the messages.
    pub provider: SmsProvider,
    /// The sender where a task names none.
    pub from: String,
    /// Where the outbox is.
    pub outbox: PathBuf,
    /// Calls to the provider at once.
    pub connections: usize,
    /// How long it may take for one message.
    pub timeout: Duration,
    /// The longest message, in segments.
    pub max_segments: u32,
}

/// Who sends text messages.
#[derive(Clone, Debug)]
pub enum SmsProvider {
    /// Nobody: they are written to the outbox.
    Outbox,
    /// The Hubtel API.
    Hubtel {
        /// Where it takes messages.
        url: String,
        /// The client id of the account.
        client_id: String,
        /// The client secret of the account.
        client_secret: SecretString,
    },
    /// Any other, by templates.
    Http(SmsHttpConfig),
}

/// How a provider is called that is known by its templates only.
#[derive(Clone, Debug)]
pub struct SmsHttpConfig {
    /// Where, a template. It may hold a key.
    pub url: SecretString,
    /// How: `POST`, `PUT` or `GET`.
    pub method: String,
    /// Headers; the values are templates.
    pub headers: Vec<(String, SecretString)>,
    /// The body, a template.
    pub body: SecretString,
    /// The statuses that mean that a message was taken.
    pub accepted: Vec<u16>,
    /// An expression that holds as well where it was taken.
    pub accepted_if: Option<String>,
    /// An expression for the provider's id of the message.
    pub message_id: Option<String>,
}

impl Reader {
    pub(super) fn sms(&mut self, data_dir: &Path) -> SmsConfig {
        let provider = match self.choice("SMS_PROVIDER", &["outbox", "hubtel", "http"]).as_str() {
            "hubtel" => self.hubtel(),
            "http" => SmsProvider::Http(self.sms_http()),
            _ => SmsProvider::Outbox,
        };
        SmsConfig {
            provider,
            from: self.text("SMS_FROM"),
            outbox: data_dir.join("outbox"),
            connections: self.at_least("SMS_CONNECTIONS", 1),
            timeout: self.duration("SMS_TIMEOUT"),
            max_segments: self.at_least("SMS_MAX_SEGMENTS", 1),
        }
    }

    fn hubtel(&mut self) -> SmsProvider {
        // Given if it is none.
        self.url("HUBTEL_URL", &["http", "https"]);
        SmsProvider::Hubtel {
            url: self.text("HUBTEL_URL"),
            client_id: self.required("HUBTEL_CLIENT_ID", "SMS_PROVIDER is hubtel"),
            client_secret: self.required("HUBTEL_CLIENT_SECRET", "SMS_PROVIDER is hubtel").into(),
        }
    }

    fn sms_http(&mut self) -> SmsHttpConfig {
        let headers: BTreeMap<String, String> = self.with("SMS_HTTP_HEADERS", |text| {
            serde_json::from_str(text)
                .map_err(|_| "is not a JSON object of texts, as in {\"authorization\": \"Bearer …\"}".into())
        });
        SmsHttpConfig {
            url: self.required("SMS_HTTP_URL", "SMS_PROVIDER is http").into(),
            method: self.choice("SMS_HTTP_METHOD", &["POST", "PUT", "GET"]),
            headers: headers.into_iter().map(|(name, value)| (name, value.into())).collect(),
            body: self.text("SMS_HTTP_BODY").into(),
            accepted: self.with("SMS_HTTP_ACCEPTED", |text| {
                let statuses = text.split(',').map(str::trim).map(|item| {
                    let status = item.parse().ok().filter(|status| (200..=599).contains(status));
                    status.ok_or_else(|| format!("{item:?} is not a status from 200 to 599"))
                });
                statuses.collect()
            }),
            accepted_if: self.optional("SMS_HTTP_ACCEPTED_IF"),
            message_id: self.optional("SMS_HTTP_MESSAGE_ID"),
        }
    }

    fn required(&mut self, name: &'static str, why: &str) -> String {
        if !self.is_set(name) {
            self.wrong(name, format!("is required where {why}"));
        }
        self.text(name)
    }
}
