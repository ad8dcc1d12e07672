//! The outside world, as kinds use it: mail, templates, outbound calls.

pub mod bulk;
pub mod fetch;
pub mod mail;
pub mod render;
pub mod webhook;

/// What kinds may use. One a process.
pub struct Services {
    /// Sends mail.
    pub mailer: mail::Mailer,
    /// Renders templates.
    pub renderer: render::Renderer,
    /// What mail to many at once may do.
    pub bulk: bulk::Bulk,
    /// Calls others, with limits on where, how long and how much.
    pub fetcher: fetch::Fetcher,
    /// Signs what we send to others; `None` where no secret is set.
    pub webhook_signer: Option<webhook::Signer>,
}
