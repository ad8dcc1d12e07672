//! Mail: messages as they arrive, what became of each, and the ledger of `email.send`.

mod message;
mod outcome;
mod pool;
mod send;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use legwork::config::{BulkConfig, RenderConfig};
use legwork::services::bulk::Bulk;
use legwork::services::render::Renderer;
use legwork_mail::{DraftExtras, MailDraft, MailOutcome, Mailer, Message, Recipient, SenderDomains};
use legwork_mail::{MailConfig, SmtpConfig, SmtpSecurity};

use crate::support::smtp::SmtpServer;

const IDLE: Duration = Duration::from_secs(30);

fn smtp(server: &SmtpServer, security: SmtpSecurity) -> SmtpConfig {
    SmtpConfig {
        host: "127.0.0.1".into(),
        port: server.port(),
        security,
        login: None,
        connections: 4,
        messages_per_connection: 100,
        timeout: Duration::from_secs(20),
    }
}

fn to_relay(smtp: SmtpConfig) -> MailConfig {
    MailConfig {
        smtp: Some(smtp),
        outbox: "/nonexistent".into(),
        from: "Legwork <legwork@example.org>".into(),
        sender_domains: SenderDomains::OfSender,
    }
}

fn to_outbox(folder: &Path) -> MailConfig {
    MailConfig {
        smtp: None,
        outbox: folder.join("outbox"),
        from: "Legwork <legwork@example.org>".into(),
        sender_domains: SenderDomains::OfSender,
    }
}

/// A mailer to `server` that trusts it.
fn mailer(server: &SmtpServer, change: impl FnOnce(&mut SmtpConfig)) -> Mailer {
    let mut config = smtp(server, SmtpSecurity::Plain);
    change(&mut config);
    Mailer::with_tls(&to_relay(config), server.trust(), IDLE).unwrap()
}

fn bulk() -> Bulk {
    let config = BulkConfig {
        recipient_limit: 100,
        connections: 2,
        suppress_bounces: true,
        public_url: "https://tasks.example.org".into(),
        is_public: true,
    };
    Bulk::new(&config, &["a-secret-of-the-mail-tests-long-enough".into()])
}

fn renderer() -> Renderer {
    let config = RenderConfig {
        templates_dir: "templates".into(),
        site_name: "Example".into(),
        frontend_url: "https://example.org".into(),
    };
    Renderer::new(&config).unwrap()
}

fn draft(mailer: &Mailer, key: &str, to: &str) -> Message {
    let to = Recipient::parse(to).unwrap();
    let draft = MailDraft {
        key,
        to: &to,
        subject: "Hello",
        text: "Hello.\n".into(),
        html: Some("<p>Hello.</p>".into()),
        submitted_at: "2026-11-21T08:00:00Z".parse().unwrap(),
        now: "2026-11-21T08:00:01Z".parse().unwrap(),
        extras: DraftExtras::default(),
    };
    mailer.compose(draft).unwrap()
}

async fn send(mailer: &Mailer, message: &Message) -> MailOutcome {
    match mailer.prepare(message).await {
        Ok(ready) => ready.hand_over().await,
        Err(outcome) => outcome,
    }
}

async fn send_one(mailer: &Mailer) -> MailOutcome {
    send(mailer, &draft(mailer, "key-1.0", "ann@example.net")).await
}

/// Sends `count` mails at once, to `0@example.net` and so on.
async fn send_many(mailer: Arc<Mailer>, count: usize) -> Vec<MailOutcome> {
    let mut sending = tokio::task::JoinSet::new();
    for number in 0..count {
        let mailer = mailer.clone();
        sending.spawn(async move {
            let message = draft(&mailer, &format!("key-{number}"), &format!("{number}@example.net"));
            send(&mailer, &message).await
        });
    }
    sending.join_all().await
}
