//! Parses what ends up in a header: addresses and subjects. Line breaks and other characters that could end the header are refused here.

use lettre::Address;
use lettre::message::Mailbox;

/// The longest subject, in characters.
pub const LONGEST_SUBJECT: usize = 500;
/// The longest address, in bytes (RFC 5321: a path of 256 with its brackets).
const LONGEST_ADDRESS: usize = 254;
/// The longest display name, in characters.
const LONGEST_NAME: usize = 200;

/// A recipient: an address with an optional display name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient(Mailbox);

impl Recipient {
    /// Parses `ann@example.org` or `Ann Example <ann@example.org>`: one address. An international domain becomes its ASCII form.
    /// The error says what came and what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("{:?} is not an e-mail address: {why}", shortened(text));
        if text.chars().any(is_break) {
            return Err(wrong("it has a line break or a control character"));
        }
        let (name, address) = split_name(text.trim()).map_err(wrong)?;
        let (local, domain) = address.rsplit_once('@').ok_or_else(|| wrong("it has no '@'"))?;
        check_local(local).map_err(wrong)?;
        let domain = ascii_domain(domain).map_err(wrong)?;
        if local.len() + 1 + domain.len() > LONGEST_ADDRESS {
            return Err(wrong("it has more than 254 characters"));
        }
        let address = Address::new(local, domain).map_err(|error| wrong(&error.to_string().to_lowercase()))?;
        Ok(Self(Mailbox::new(name, address)))
    }

    /// The address alone, without the display name.
    pub fn address(&self) -> &str {
        self.0.email.as_ref()
    }

    pub(super) fn mailbox(&self) -> &Mailbox {
        &self.0
    }

    pub(super) fn into_mailbox(self) -> Mailbox {
        self.0
    }
}

/// Checks a subject: one line, not blank, at most [`LONGEST_SUBJECT`] characters. The error says what is wrong.
pub fn check_subject(subject: &str) -> Result<(), String> {
    if subject.chars().any(is_break) {
        return Err(format!("{:?} has a line break or a control character; a subject is one line of text", shortened(subject)));
    }
    if subject.trim().is_empty() {
        return Err("is blank; a subject is one line of text".into());
    }
    let length = subject.chars().count();
    if length > LONGEST_SUBJECT {
        return Err(format!("has {length} characters; {LONGEST_SUBJECT} are allowed"));
    }
    Ok(())
}

/// Control characters, and what some programs take for the end of a line.
fn is_break(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}

fn split_name(text: &str) -> Result<(Option<String>, &str), &'static str> {
    let Some(rest) = text.strip_suffix('>') else { return Ok((None, text)) };
    let (name, address) = rest.rsplit_once('<').ok_or("it has '>' but no '<'")?;
    let name = name.trim();
    let name = match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\\\"", "\"").replace("\\\\", "\\"),
        None if name.contains(['@', ',', ';', '<', '>', '"']) => {
            return Err("its display name has one of @ , ; < > and no quotes around it; one address is allowed");
        }
        None => name.to_owned(),
    };
    if name.chars().count() > LONGEST_NAME {
        return Err("its display name has more than 200 characters");
    }
    Ok(((!name.is_empty()).then_some(name), address))
}

fn check_local(local: &str) -> Result<(), &'static str> {
    if local.is_empty() {
        return Err("there is nothing before its '@'");
    }
    if local.chars().any(|c| c.is_whitespace() || r#"<>()[],;:"\@"#.contains(c)) {
        return Err(r#"before its '@' there is a blank or one of < > ( ) [ ] , ; : " \ @"#);
    }
    Ok(())
}

/// The domain as DNS knows it.
fn ascii_domain(domain: &str) -> Result<String, &'static str> {
    let wrong = "what is behind its '@' is not a domain name";
    // The parser of URLs would decode percent signs; a domain has none.
    if domain.contains('%') {
        return Err(wrong);
    }
    let ascii = match url::Host::parse(domain) {
        _ if domain.is_ascii() => domain.to_owned(),
        Ok(url::Host::Domain(ascii)) => ascii,
        _ => return Err(wrong),
    };
    let literal = ascii.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_literal = literal.is_some_and(|ip| ip.trim_start_matches("IPv6:").parse::<std::net::IpAddr>().is_ok());
    if is_literal || ascii.split('.').all(is_label) { Ok(ascii) } else { Err(wrong) }
}

fn is_label(label: &str) -> bool {
    let is_plain = label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    is_plain && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_with_and_without_a_name() {
        for (text, address, name) in [
            ("user@example.com", "user@example.com", None),
            ("  user@example.com ", "user@example.com", None),
            ("Ann Example <ann+tag@example.org>", "ann+tag@example.org", Some("Ann Example")),
            ("\"Example, Ann\" <ann@example.org>", "ann@example.org", Some("Example, Ann")),
            ("<ann@localhost>", "ann@localhost", None),
            ("Jürgen <j@bücher.example>", "j@xn--bcher-kva.example", Some("Jürgen")),
            ("jürgen@example.org", "jürgen@example.org", None),
            ("o'neil_1.2@sub.example.co", "o'neil_1.2@sub.example.co", None),
        ] {
            let recipient = Recipient::parse(text).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((recipient.address(), recipient.mailbox().name.as_deref()), (address, name), "{text}");
        }
    }

    #[test]
    fn what_is_not_one_address_is_refused_and_shown() {
        for text in [
            "",
            "nobody",
            "@example.org",
            "a@",
            "a b@example.org",
            "a@b@example.org",
            "a@exa mple.org",
            "a@example.org, b@example.org",
            "a@example.org>, Evil <b@example.org>",
            "a@example.org, Evil <b@example.org>",
            "a@example.org\r\nBcc: b@example.org",
            "a@example.org\nx",
            "Ann\r\nBcc: <b@example.org>",
            "a\0@example.org",
            "a@example.org\u{2028}",
            "a@b%0d%0a.org",
            "a@b%0aü.org",
            "\"a b\"@example.org",
            "<a@example.org> x",
            "a@example..org",
            "a@-",
            "a@x-.org",
            "a@[not.an.address]",
            "a@x_{y}.org",
            &format!("{}@example.org", "x".repeat(300)),
        ] {
            let error = Recipient::parse(text).expect_err(text);
            assert!(error.contains("is not an e-mail address: ") && !error.chars().any(char::is_control), "{error}");
        }
    }

    #[test]
    fn a_subject_is_one_line() {
        assert_eq!(check_subject("Willkommen, Jürgen 🎉"), Ok(()));
        for subject in ["", "  ", "a\r\nBcc: x@example.org", "a\nb", "a\rb", "a\0", "a\u{85}b", "a\u{2029}b", &"x".repeat(501)] {
            assert!(check_subject(subject).is_err(), "{subject:?}");
        }
    }
}
