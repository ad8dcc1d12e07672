//! A strict reader of mail messages: it takes what the RFCs allow a sender to write, and panics at anything else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A message or a part of one.
#[derive(Debug)]
pub struct Mime {
    headers: Vec<(String, String)>,
    /// The decoded body; empty where there are parts.
    pub body: String,
    /// The parts of a multipart.
    pub parts: Vec<Mime>,
}

impl Mime {
    /// Reads a whole message.
    pub fn parse(bytes: &[u8]) -> Self {
        assert!(bytes.is_ascii(), "a message without SMTPUTF8 is ASCII");
        let text = std::str::from_utf8(bytes).unwrap();
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "every line ends in CRLF");
        assert!(text.split("\r\n").all(|line| line.len() <= 998), "no line is longer than 998");
        Self::part(text)
    }

    fn part(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").expect("an empty line behind the headers");
        let mut headers: Vec<(String, String)> = Vec::new();
        for line in head.split("\r\n") {
            if line.starts_with([' ', '\t']) {
                headers.last_mut().expect("a header to go on with").1.push_str(line);
            } else {
                let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("{line:?} is no header"));
                assert!(!name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'), "{name:?}");
                headers.push((name.to_owned(), value.to_owned()));
            }
        }
        let mut part = Self { headers, body: String::new(), parts: Vec::new() };
        let kind = part.header("Content-Type").unwrap_or_default();
        match kind.split_once("boundary=\"").and_then(|(_, rest)| rest.split_once('"')) {
            Some((boundary, _)) => part.parts = parts(body, boundary),
            None => part.body = decoded(body, &part.header("Content-Transfer-Encoding").unwrap_or_default()),
        }
        part
    }

    /// A header as it is written, unfolded; it may be there only once.
    pub fn header(&self, name: &str) -> Option<String> {
        let mut found = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        let value = found.next().map(|(_, value)| value.clone());
        assert!(found.next().is_none(), "{name} is there twice");
        value
    }

    /// A header with its encoded words (RFC 2047) decoded.
    pub fn decoded_header(&self, name: &str) -> String {
        let mut text = String::new();
        let mut last_was_encoded = false;
        for word in self.header(name).unwrap_or_default().split_whitespace() {
            let encoded = word.strip_prefix("=?utf-8?b?").and_then(|word| word.strip_suffix("?="));
            assert!(word.len() <= 75 || encoded.is_none(), "an encoded word has at most 75 characters");
            let goes_on = last_was_encoded && encoded.is_some();
            if !text.is_empty() && !goes_on {
                text.push(' ');
            }
            last_was_encoded = encoded.is_some();
            text.push_str(&encoded.map_or_else(
                || word.to_owned(),
                |word| String::from_utf8(STANDARD.decode(word).unwrap()).expect("no character is cut in two"),
            ));
        }
        text
    }

    /// The names of all headers.
    pub fn header_names(&self) -> Vec<&str> {
        self.headers.iter().map(|(name, _)| name.as_str()).collect()
    }
}

fn parts(body: &str, boundary: &str) -> Vec<Mime> {
    let body = format!("\r\n{body}");
    let (inner, rest) = body.split_once(&format!("\r\n--{boundary}--")).expect("the last boundary");
    assert!(rest.trim().is_empty(), "nothing stands behind the last boundary");
    inner.split(&format!("\r\n--{boundary}\r\n")).skip(1).map(Mime::part).collect()
}

fn decoded(body: &str, encoding: &str) -> String {
    let bytes = match encoding {
        "7bit" => body.as_bytes().to_vec(),
        "base64" => STANDARD.decode(body.replace("\r\n", "")).expect("base64"),
        "quoted-printable" => unquoted(body),
        other => panic!("{other:?} is no encoding for the way by SMTP"),
    };
    String::from_utf8(bytes).expect("UTF-8").replace("\r\n", "\n")
}

fn unquoted(body: &str) -> Vec<u8> {
    let text = body.replace("=\r\n", "");
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        if byte == b'=' {
            let digits = std::str::from_utf8(&tail[..2]).unwrap();
            bytes.push(u8::from_str_radix(digits, 16).expect("two hex digits behind ="));
            rest = &tail[2..];
        } else {
            bytes.push(byte);
            rest = tail;
        }
    }
    bytes
}
