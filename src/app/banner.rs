//! What a process says when it is up: where to look, and, in the embedded setting, lines that work when pasted.

use std::io::Write as _;
use std::time::Duration;

use jiff::Timestamp;

use crate::auth::Tokens;
use crate::config::Config;
use legwork_engine::domain::{Principal, Scope, ScopeSet};

/// How long the printed token lasts.
const TOKEN_TTL: Duration = Duration::from_hours(12);

/// Prints it. A closed standard output is no reason to end.
pub(super) fn print(config: &Config, tokens: &Tokens, first_link: Option<&str>, now: Timestamp) {
    let text = text(config, tokens, first_link, now);
    let mut out = std::io::stdout().lock();
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

fn text(config: &Config, tokens: &Tokens, first_link: Option<&str>, now: Timestamp) -> String {
    let url = &config.http.public_url;
    let mut text = format!("\nLegwork {} is up.\n\n  Dashboard   {url}/\n  Swagger UI  {url}/docs\n", env!("CARGO_PKG_VERSION"));
    if let Some(link) = first_link {
        let first = crate::dashboard::first_url(url, link);
        text.extend(["\nOpen this link to choose the password of the first administrator; it works once:\n\n  ", &first, "\n"]);
    }
    if !config.is_embedded() {
        text.push_str("\nMake a token:  legwork token create --subject NAME --scope admin\n\n");
        return text;
    }
    let admin = Principal { subject: "admin".into(), scopes: ScopeSet::from_iter([Scope::Admin]) };
    let Ok(token) = tokens.issue(&admin, TOKEN_TTL, now) else { return text };
    let outbox = config.mail.outbox.display();
    let lands = if config.mail.smtp.is_some() { "over SMTP".to_owned() } else { format!("into {outbox}") };
    let lines = format!(
        "\nAn admin's token, for 12 hours:\n\n\
         TOKEN={token}\n\n\
         Send a mail ({lands}), then read what became of it:\n\n\
         TASK=$(curl -s {url}/api/v1/tasks/email/send -H \"Authorization: Bearer $TOKEN\" -H 'Content-Type: application/json' \
         -d '{{\"recipient_email\": \"user@example.com\", \"subject\": \"Hello\", \"template_name\": \"welcome_user\", \
         \"context\": {{\"user\": {{\"first_name\": \"Ada\"}}}}}}' | tee /dev/stderr | sed 's/.*\"task_id\": *\"\\([^\"]*\\)\".*/\\1/')\n\n\
         curl -s \"{url}/api/v1/tasks/status/$TASK?wait=30\" -H \"Authorization: Bearer $TOKEN\"\n\n"
    );
    text + &lines
}
