//! Messages: headers and parts as bytes.

use std::time::SystemTime;

use jiff::Timestamp;
use lettre::address::Envelope;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};

use super::{MailError, Recipient, WireMessage};

/// The parts from which a message is composed.
#[derive(Clone, Debug)]
pub struct MailDraft<'a> {
    /// The same in every attempt, and in no other mail; letters, digits, `-` and `.`. The Message-ID and the file's name are derived from it.
    pub key: &'a str,
    /// The recipient, for the envelope and the `To` header.
    pub to: &'a Recipient,
    /// The subject, which the caller has checked with [`super::check_subject`].
    pub subject: &'a str,
    /// The `text/plain` part. Every mail has one.
    pub text: String,
    /// The HTML part, if there is one.
    pub html: Option<String>,
    /// The time of submission. It is the same in every attempt, because the outbox sorts by it.
    pub submitted_at: Timestamp,
    /// The present, for its Date.
    pub now: Timestamp,
    /// Copies, other senders and attachments.
    pub extras: DraftExtras,
}

/// The optional parts of a draft. By default there are none.
#[derive(Clone, Debug, Default)]
pub struct DraftExtras {
    /// Recipients of copies, whom everybody sees.
    pub cc: Vec<Recipient>,
    /// Recipients of copies, whom nobody sees.
    pub bcc: Vec<Recipient>,
    /// The address for replies, if it is not the sender's.
    pub reply_to: Option<Recipient>,
    /// The sender, instead of the configured one, which then is in the header Sender and in the envelope.
    pub from: Option<Recipient>,
    /// Files that go with the mail.
    pub attachments: Vec<Attachment>,
}

/// A file that goes with a mail.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// The name that the recipient sees.
    pub name: String,
    /// The media type, as in `text/csv`.
    pub content_type: String,
    /// The decoded content; base64 is applied when the mail is composed.
    pub bytes: Vec<u8>,
}

/// A message as it goes out.
#[derive(Clone, Debug)]
pub struct Message {
    pub(super) envelope: Envelope,
    pub(super) bytes: Vec<u8>,
    id: String,
    file_name: String,
}

impl Message {
    /// The Message-ID, with its angle brackets.
    pub fn message_id(&self) -> &str {
        &self.id
    }

    /// The name that it has in the outbox.
    pub fn file_name(&self) -> &str {
        &self.file_name
    }

    /// Composes the message for an SMTP connection.
    pub fn wire_message(&self) -> WireMessage {
        let from = self.envelope.from().map(AsRef::as_ref).unwrap_or_default();
        let to = self.envelope.to().iter().map(ToString::to_string).collect();
        WireMessage::new(from, to, &self.bytes)
    }
}

pub(super) fn id_of(from: &Mailbox, key: &str) -> String {
    format!("<{key}@{}>", from.email.domain())
}

pub(super) fn compose(from: &Mailbox, draft: MailDraft<'_>) -> Result<Message, MailError> {
    let id = id_of(from, draft.key);
    compose_with(from, draft, &id, &[])
}

pub(super) fn compose_with(
    from: &Mailbox,
    draft: MailDraft<'_>,
    id: &str,
    headers: &[(&'static str, String)],
) -> Result<Message, MailError> {
    let wrong = |error: &dyn std::fmt::Display| MailError::Message(error.to_string());
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    if draft.key.is_empty() || draft.key.starts_with('.') || !draft.key.chars().all(is_plain) {
        return Err(MailError::Message(format!("{:?} is not a key", draft.key)));
    }
    super::check_subject(draft.subject).map_err(|error| wrong(&error))?;

    if id.bytes().chain(headers.iter().flat_map(|(_, value)| value.bytes())).any(|byte| !(b' '..=b'~').contains(&byte)) {
        return Err(MailError::Message("a header is not one line of ASCII".into()));
    }
    let DraftExtras { cc, bcc, reply_to, from: author, attachments } = draft.extras;
    let to = std::iter::once(draft.to).chain(&cc).chain(&bcc).map(|to| to.mailbox().email.clone());
    let envelope = Envelope::new(Some(from.email.clone()), to.collect()).map_err(|error| wrong(&error))?;
    let mut builder = lettre::Message::builder().to(draft.to.mailbox().clone());
    builder = match author {
        // RFC 5322, 3.6.2: who transmits the mail is told where the author is somebody else.
        Some(author) if author.mailbox().email != from.email => builder.from(author.into_mailbox()).sender(from.clone()),
        Some(author) => builder.from(author.into_mailbox()),
        None => builder.from(from.clone()),
    };
    for copy in cc {
        builder = builder.cc(copy.into_mailbox());
    }
    if let Some(reply_to) = reply_to {
        builder = builder.reply_to(reply_to.into_mailbox());
    }
    builder = builder
        .subject(draft.subject.trim())
        .date(SystemTime::from(draft.now))
        .message_id(Some(id.to_owned()))
        .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()))
        .envelope(envelope.clone());
    for (name, value) in headers {
        let name = HeaderName::new_from_ascii_str(name);
        // Links must not be folded, and these are ASCII as they are.
        builder = builder.raw_header(HeaderValue::dangerous_new_pre_encoded(name, value.clone(), value.clone()));
    }
    // The boundaries follow from the key, so that every attempt makes the same bytes.
    let text = SinglePart::plain(cleaned(draft.text));
    let body = match draft.html {
        Some(html) => Body::Alternative(
            MultiPart::alternative()
                .boundary(format!("=_{}", draft.key))
                .singlepart(text)
                .singlepart(SinglePart::html(cleaned(html))),
        ),
        None => Body::Text(text),
    };
    let built = if attachments.is_empty() {
        match body {
            Body::Alternative(parts) => builder.multipart(parts),
            Body::Text(text) => builder.singlepart(text),
        }
    } else {
        let mixed = MultiPart::mixed().boundary(format!("=_mixed-{}", draft.key));
        let mut mixed = match body {
            Body::Alternative(parts) => mixed.multipart(parts),
            Body::Text(text) => mixed.singlepart(text),
        };
        for Attachment { name, content_type, bytes } in attachments {
            let content_type = ContentType::parse(&content_type).map_err(|error| wrong(&error))?;
            mixed = mixed.singlepart(lettre::message::Attachment::new(name).body(bytes, content_type));
        }
        builder.multipart(mixed)
    };
    let bytes = built.map_err(|error| wrong(&error))?.formatted();
    let file_name = format!("{}-{}.eml", draft.submitted_at.strftime("%Y%m%dT%H%M%S%.6fZ"), draft.key);
    Ok(Message { envelope, bytes, id: id.to_owned(), file_name })
}

/// The text of a mail, in one or two forms.
enum Body {
    Text(SinglePart),
    Alternative(MultiPart),
}

/// Without what no mail may hold: NUL and other control characters, and a CR that stands alone (some servers take it for the end of a line).
fn cleaned(text: String) -> String {
    if is_clean(text.as_bytes()) {
        return text;
    }
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    text.chars().filter(|&c| !c.is_ascii_control() || matches!(c, '\n' | '\t')).collect()
}

/// Every byte of every mail comes by here, and nearly all texts are clean.
fn is_clean(bytes: &[u8]) -> bool {
    // An iterator's adapters are calls at the level at which this crate is optimised.
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        if (byte < b' ' && byte != b'\n' && byte != b'\t') || byte == 0x7f {
            return false;
        }
        at += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft<'a>(to: &'a Recipient, subject: &'a str, text: &str, html: Option<&str>) -> MailDraft<'a> {
        MailDraft {
            key: "0190-aa.0",
            to,
            subject,
            text: text.into(),
            html: html.map(str::to_owned),
            submitted_at: "2026-11-21T08:00:00.123456Z".parse().unwrap(),
            now: "2026-11-21T09:00:00Z".parse().unwrap(),
            extras: DraftExtras::default(),
        }
    }

    #[test]
    fn copies_other_senders_and_attachments_are_in_their_headers_and_parts() {
        let recipient = |text: &str| Recipient::parse(text).unwrap();
        let (from, to) = (recipient("Legwork <legwork@example.org>"), recipient("ann@example.net"));
        let extras = DraftExtras {
            cc: vec![recipient("Bo <bo@example.net>")],
            bcc: vec![recipient("secret@example.net")],
            reply_to: Some(recipient("help@example.org")),
            from: Some(recipient("Shop <shop@example.org>")),
            attachments: vec![Attachment {
                name: "figures 1.csv".into(),
                content_type: "text/csv".into(),
                bytes: b"a,b\n".to_vec(),
            }],
        };
        let message = compose(from.mailbox(), MailDraft { extras, ..draft(&to, "Hello", "text", Some("<p>html</p>")) }).unwrap();
        let bytes = String::from_utf8(message.bytes.clone()).unwrap();
        for line in [
            "From: Shop <shop@example.org>",
            "Sender: Legwork <legwork@example.org>",
            "Cc: Bo <bo@example.net>",
            "Reply-To: help@example.org",
            "Content-Type: multipart/mixed;",
            "Content-Disposition: attachment; filename=\"figures 1.csv\"",
        ] {
            assert!(bytes.lines().any(|header| header.starts_with(line)), "{line} in {bytes}");
        }
        assert!(!bytes.contains("secret@"), "{bytes}");
        let envelope: Vec<String> = message.envelope.to().iter().map(ToString::to_string).collect();
        assert_eq!(envelope, ["ann@example.net", "bo@example.net", "secret@example.net"]);
    }

    fn composed(subject: &str, text: &str, html: Option<&str>) -> Message {
        let from = Recipient::parse("Legwork <legwork@example.org>").unwrap();
        let to = Recipient::parse("Jürgen <j@example.net>").unwrap();
        compose(from.mailbox(), draft(&to, subject, text, html)).unwrap()
    }

    #[test]
    fn headers_are_complete_and_stable() {
        let message = composed("Hello", "text", Some("<p>html</p>"));
        let bytes = String::from_utf8(message.bytes.clone()).unwrap();
        let (headers, _) = bytes.split_once("\r\n\r\n").unwrap();
        for line in [
            "From: Legwork <legwork@example.org>",
            "To: =?utf-8?b?SsO8cmdlbg==?= <j@example.net>",
            "Subject: Hello",
            "Date: Sat, 21 Nov 2026 09:00:00 +0000",
            "Message-ID: <0190-aa.0@example.org>",
            "Auto-Submitted: auto-generated",
            "MIME-Version: 1.0",
        ] {
            assert!(headers.lines().any(|header| header == line), "{line} in {headers}");
        }
        assert_eq!(message.bytes, composed("Hello", "text", Some("<p>html</p>")).bytes);
        assert_eq!(message.file_name(), "20261121T080000.123456Z-0190-aa.0.eml");
        assert_eq!(message.message_id(), "<0190-aa.0@example.org>");
    }

    #[test]
    fn no_line_is_longer_than_mail_allows_and_none_ends_in_a_bare_newline() {
        let long = "x".repeat(5_000);
        for text in [long.as_str(), &"ü".repeat(3_000), "a\nb\r\nc\rd\0e", "日本語\n.\n..\n"] {
            let message = composed(&"Änderung ".repeat(50), text, Some(&format!("<p>{text}</p>")));
            assert!(message.bytes.is_ascii());
            let bytes = String::from_utf8(message.bytes).unwrap();
            assert!(!bytes.replace("\r\n", "").contains(['\r', '\n']), "{bytes:?}");
            assert!(bytes.split("\r\n").all(|line| line.len() <= 998));
        }
        let message = composed(&"x".repeat(500), "t", None);
        assert!(String::from_utf8(message.bytes).unwrap().split("\r\n").all(|line| line.len() <= 998));
    }

    #[test]
    fn control_characters_are_left_out_and_tabs_are_not() {
        let message = composed("Hello", "a\u{7f}b\0c\u{7}d\te", None);
        let bytes = String::from_utf8(message.bytes).unwrap();
        assert!(bytes.ends_with("\r\n\r\nabcd\te\r\n"), "{bytes:?}");
    }

    #[test]
    fn a_subject_that_is_two_lines_makes_no_message() {
        let from = Recipient::parse("legwork@example.org").unwrap();
        assert!(compose(from.mailbox(), draft(&from, "a\r\nBcc: x@example.org", "t", None)).is_err());
    }
}
