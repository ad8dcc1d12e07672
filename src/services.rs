//! The outside world, as kinds use it: mail, templates, outbound calls.

pub mod fetch;
pub mod mail;
pub mod render;
pub mod webhook;

use crate::config::{MailConfig, OutboundConfig, RenderConfig};

/// What kinds may use. One a process.
pub struct Services {
    /// Sends mail.
    pub mailer: mail::Mailer,
    /// Renders templates.
    pub renderer: render::Renderer,
    /// Calls others, with limits on where, how long and how much.
    pub fetcher: fetch::Fetcher,
    /// Signs what we send to others; `None` where no secret is set.
    pub webhook_signer: Option<webhook::Signer>,
}

/// Why the outside world cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Mail.
    #[error("mail: {0}")]
    Mail(#[from] mail::MailError),
    /// Templates.
    #[error("templates: {0}")]
    Render(#[from] render::RenderError),
    /// Outbound calls.
    #[error("outbound calls: {0}")]
    Fetch(#[from] fetch::SetupError),
    /// What signs callbacks.
    #[error("WEBHOOK_SECRET: {0}")]
    Webhook(#[from] webhook::BadSecret),
}

impl Services {
    /// The outside world as configured. Connects to nothing yet; reads the templates.
    pub fn open(mail: &MailConfig, render: &RenderConfig, outbound: &OutboundConfig) -> Result<Self, SetupError> {
        Ok(Self {
            mailer: mail::Mailer::new(mail)?,
            renderer: render::Renderer::new(render)?,
            fetcher: fetch::Fetcher::new(outbound)?,
            webhook_signer: outbound.webhook_secret.as_ref().map(webhook::Signer::new).transpose()?,
        })
    }
}
