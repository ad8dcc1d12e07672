//! Addresses, numbers and URLs that are written into a pack, so that they can be wrong before any task runs.

use serde_json::Value as Json;

use super::Reader;
use crate::engine::Value;
use crate::param::{is_email, is_phone};
use crate::tree::{Node, Path};

/// What a value has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Address,
    Number,
    Url,
}

impl Target {
    fn takes(self, text: &str) -> bool {
        match self {
            Self::Address => {
                is_email(text.trim().strip_suffix('>').and_then(|text| text.rsplit_once('<')).map_or(text, |(_, bare)| bare))
            }
            Self::Number => is_phone(text),
            Self::Url => is_url(text),
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Address => "a mail address like user@example.com",
            Self::Number => "a number in the international form like +233244123456",
            Self::Url => "a URL like https://app.example/jobs",
        }
    }
}

impl Reader<'_> {
    /// Checks the plain texts of a field; what expressions give is known at each attempt only.
    pub(super) fn targets(&mut self, node: &Node, name: &str, path: &Path, value: Option<&Value>, target: Target) {
        let (Some(node), Some(value)) = (node.get(name), value.and_then(Value::constant)) else { return };
        let texts: Vec<&str> = match &value {
            Json::Array(items) => items.iter().filter_map(Json::as_str).collect(),
            other => other.as_str().into_iter().collect(),
        };
        for text in texts.into_iter().filter(|text| !target.takes(text)) {
            self.fault(node.at, &path.at(name), format!("{text:?} is not {}.", target.words()));
        }
    }
}

fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or_default();
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (_, host_and_port) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (host, port) = match host_and_port.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (host_and_port, "80"),
    };
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && !"<>\"{}|\\^`".contains(c);
    !host.is_empty() && port.parse::<u16>().is_ok() && text.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::Target;

    #[test]
    fn targets_are_told_from_other_texts() {
        for (target, text, does) in [
            (Target::Address, "user@example.com", true),
            (Target::Address, "Ann Example <ann@example.org>", true),
            (Target::Address, "user.example.com", false),
            (Target::Number, "+233244123456", true),
            (Target::Number, "0244123456", false),
            (Target::Url, "https://a.example:8443/b?c=d#e", true),
            (Target::Url, "http://u:p@[::1]:80/", true),
            (Target::Url, "a.example/b", false),
            (Target::Url, "ftp://a.example", false),
            (Target::Url, "https:///b", false),
            (Target::Url, "https://a.example:x/", false),
            (Target::Url, "https://a example/", false),
        ] {
            assert_eq!(target.takes(text), does, "{text}");
        }
    }
}
