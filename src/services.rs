//! The outside world, as kinds use it: mail, text messages, templates, outbound calls, the application's databases, stored files.

use std::sync::Arc;
use std::time::Duration;

pub mod bulk;
pub mod chart;
pub mod render;
pub mod sms;

/// What kinds may use. One a process.
pub struct Services {
    /// Sends single mails, by SMTP or into the outbox.
    pub mailer: legwork_mail::Mailer,
    /// Sends text messages, by a provider or into the outbox.
    pub sms: sms::Sms,
    /// Renders the templates of mails.
    pub renderer: render::Renderer,
    /// What mail to many at once may do.
    pub bulk: bulk::Bulk,
    /// Calls others, with limits on where, how long and how much.
    pub fetcher: legwork_outbound::Fetcher,
    /// The application's databases, as declared in `SOURCES`.
    pub sources: legwork_source::Sources,
    /// Signs what we send to others; `None` where no secret is set.
    pub webhook_signer: Option<legwork_outbound::webhook::Signer>,
    /// How long an exported file can be fetched.
    pub export_retention: Duration,
    /// How long images are kept that were made; `None` for good.
    pub image_retention: Option<Duration>,
    /// Keeps files. What an attempt makes goes through its context, which writes the list too.
    pub files: Arc<crate::files::Files>,
    /// Runs CPU-bound work in child processes.
    pub isolate: legwork_isolate::Isolate,
    /// What an image may cost.
    pub image_limits: legwork_image::ImageLimits,
}
