//! What a mail of a bulk task costs before it goes anywhere: `cargo bench --bench mail_drafts` prints microseconds a mail for each step, on one
//! thread, for the newsletter of the repository.

use std::hint::black_box;
use std::io::{self, Write as _};
use std::time::Instant;

use legwork::config::RenderConfig;
use legwork::services::render::{Context, Renderer, Scope};
use legwork_mail::{DraftExtras, MailConfig, MailDraft, Mailer, Recipient, SenderDomains};
use serde_json::json;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MAILS: u32 = 20_000;
const SUBJECT: &str = "The news of November";

fn main() -> io::Result<()> {
    let renderer = Renderer::new(&RenderConfig {
        templates_dir: "templates".into(),
        site_name: "Example".into(),
        frontend_url: "https://example.org".into(),
    })
    .map_err(io::Error::other)?;
    let config = MailConfig {
        smtp: None,
        outbox: "unused".into(),
        from: "Example <news@example.org>".into(),
        sender_domains: SenderDomains::OfSender,
    };
    let mailer = Mailer::new(&config).map_err(io::Error::other)?;
    let mut rendering = 0.0;
    let mut composing = 0.0;
    let mut packing = 0.0;
    for number in 0..MAILS {
        let to = Recipient::parse(&format!("r{number}@example.net")).map_err(io::Error::other)?;
        let link = format!("https://tasks.example.org/api/v1/unsubscribe/{number:0100}");
        let started = Instant::now();
        let context = context(number, &link);
        let scope = Scope { recipient_email: to.address(), subject: SUBJECT };
        let mail = renderer.render("newsletter", scope, &context).map_err(io::Error::other)?;
        rendering += started.elapsed().as_secs_f64();

        let key = format!("{number:032}");
        let headers =
            [("List-Unsubscribe", format!("<{link}>")), ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned())];
        let now = jiff::Timestamp::UNIX_EPOCH;
        let (text, html) = (mail.text, mail.html);
        let draft = MailDraft {
            key: &key,
            to: &to,
            subject: SUBJECT,
            text,
            html,
            submitted_at: now,
            now,
            extras: DraftExtras::default(),
        };
        let started = Instant::now();
        let message = mailer.compose_with(draft, &format!("<{key}@example.org>"), &headers).map_err(io::Error::other)?;
        composing += started.elapsed().as_secs_f64();
        let started = Instant::now();
        black_box(message.wire_message());
        packing += started.elapsed().as_secs_f64();
    }
    let each = |seconds: f64| (seconds * 1e7 / f64::from(MAILS)).round() / 10.0;
    let figures = json!({ "render_us": each(rendering), "compose_us": each(composing), "pack_us": each(packing) });
    writeln!(io::stdout(), "{figures}")
}

fn context(number: u32, link: &str) -> Context {
    let context = json!({
        "content": "Newsletter content here.\nTwo lines of it.",
        "name": format!("Reader {number}"),
        "unsubscribe_url": link,
    });
    Context::new(context.as_object().cloned().unwrap_or_default())
}
