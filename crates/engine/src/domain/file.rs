//! The path of a stored file, parsed once at the edge.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};

use super::ids::uuid_v7;

/// The longest path, in bytes; what S3 takes is twice as long.
const MOST_BYTES: usize = 500;
/// The longest part; file systems take 255.
const MOST_PART_BYTES: usize = 200;
/// So many parts at most.
const MOST_PARTS: usize = 10;

/// Where a file is in the storage, as in `uploads/image.jpg`: relative, below the root, and the same text wherever it is used.
///
/// Parts are separated by `/` and are not empty. None starts with a dot (so there is neither `..` nor a hidden file) or with a blank, or
/// ends with a blank. There is no backslash, no `%` (so nothing can be encoded in it), no control and no invisible character. A link in the
/// file system is another matter: the storage refuses it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FilePath(String);

/// Why a path was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{path:?} is not the path of a stored file: {reason}; allowed is a relative path like uploads/image.jpg, of at most {MOST_BYTES} bytes"
)]
pub struct FilePathError {
    path: String,
    reason: &'static str,
}

impl FilePath {
    /// Parses what somebody else wrote.
    pub fn parse(text: &str) -> Result<Self, FilePathError> {
        match error_of(text) {
            None => Ok(Self(text.to_owned())),
            Some(reason) => Err(FilePathError { path: text.chars().take(MOST_PART_BYTES).collect(), reason }),
        }
    }

    /// A fresh path for an upload of `now`, as in `uploads/0198c5a4-7d1e-7c3a-9f00-2b8d1c6e4a57.jpg`. `extension` is a word of ours.
    pub fn for_upload(now: Timestamp, extension: &'static str) -> Self {
        Self(format!("uploads/{}.{extension}", uuid_v7(now)))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its parts, one at least.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// The part after the last slash.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// What follows the last dot of its last part, as it is written; empty where there is none.
    pub fn extension(&self) -> &str {
        self.file_name().rsplit_once('.').map_or("", |(_, extension)| extension)
    }
}

fn error_of(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("it is empty");
    }
    if text.len() > MOST_BYTES {
        return Some("it is too long");
    }
    if text.starts_with('/') {
        return Some("it is absolute");
    }
    if text.contains('\\') {
        return Some("it holds a backslash");
    }
    if text.contains('%') {
        return Some("it holds a %: paths are not percent-encoded");
    }
    if text.chars().any(|c| c.is_control() || is_invisible(c)) {
        return Some("it holds a control character or an invisible one");
    }
    if text.split('/').count() > MOST_PARTS {
        return Some("it has too many parts");
    }
    text.split('/').find_map(error_of_part)
}

fn error_of_part(part: &str) -> Option<&'static str> {
    if part.is_empty() {
        Some("it has an empty part")
    } else if part == ".." || part == "." {
        Some("it leads out of its folder")
    } else if part.starts_with('.') {
        Some("a part of it is hidden")
    } else if part.starts_with(' ') || part.ends_with(' ') {
        Some("a part of it starts or ends with a blank")
    } else if part.len() > MOST_PART_BYTES {
        Some("a part of it is too long")
    } else {
        None
    }
}

/// Characters that change how a name looks, and nothing else.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

impl FromStr for FilePath {
    type Err = FilePathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for FilePath {
    type Error = FilePathError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<FilePath> for String {
    fn from(path: FilePath) -> Self {
        path.0
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl utoipa::PartialSchema for FilePath {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("The path of a stored file: relative, as in uploads/image.jpg."))
            .min_length(Some(1))
            .max_length(Some(MOST_BYTES))
            .examples([serde_json::json!("uploads/image.jpg")])
            .into()
    }
}

impl utoipa::ToSchema for FilePath {
    fn name() -> Cow<'static, str> {
        "FilePath".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_path_is_taken_as_it_is() {
        for text in ["uploads/image.jpg", "image.jpg", "exports/2026/users (1).csv", "bilder/grün_ä-1.jpeg", "a..b/c", "x.tar.gz"]
        {
            assert_eq!(FilePath::parse(text).unwrap().as_str(), text);
        }
        let path = FilePath::parse("a/b.c/x.tar.gz").unwrap();
        assert_eq!((path.file_name(), path.extension()), ("x.tar.gz", "gz"));
        assert_eq!(path.parts().collect::<Vec<_>>(), ["a", "b.c", "x.tar.gz"]);
        assert_eq!(FilePath::parse("a.b/x").unwrap().extension(), "");
    }

    #[test]
    fn a_path_that_leads_elsewhere_is_refused_with_its_reason() {
        let long_part = "x".repeat(201);
        let long = "abcdefghi/".repeat(60);
        for (text, reason) in [
            ("", "empty"),
            ("/etc/passwd", "absolute"),
            ("//host/share", "absolute"),
            ("../secret", "leads out"),
            ("uploads/../../etc/passwd", "leads out"),
            ("uploads/..", "leads out"),
            ("uploads/./x", "leads out"),
            ("..\\..\\windows", "backslash"),
            ("C:\\windows", "backslash"),
            ("uploads%2f..%2fsecret", "percent-encoded"),
            ("%2e%2e/secret", "percent-encoded"),
            ("uploads/%252e%252e/x", "percent-encoded"),
            ("uploads//x", "empty part"),
            ("uploads/", "empty part"),
            (".tmp/x", "hidden"),
            ("uploads/.htaccess", "hidden"),
            ("uploads/...", "hidden"),
            ("uploads/x\0.jpg", "control"),
            ("uploads/x\n.jpg", "control"),
            ("uploads/x\u{202e}gpj.exe", "invisible"),
            ("uploads/ x", "blank"),
            ("uploads/x ", "blank"),
            ("a/b/c/d/e/f/g/h/i/j/k", "too many"),
            (long_part.as_str(), "too long"),
            (long.as_str(), "too long"),
        ] {
            let reported = FilePath::parse(text).unwrap_err().to_string();
            assert!(reported.contains(reason), "{text:?}: {reported}");
            assert!(serde_json::from_value::<FilePath>(text.into()).is_err());
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_taken_stays_below_its_root(text in "[a./\\\\% ~\u{202e}]{0,24}|\\PC{0,40}") {
            if let Ok(path) = FilePath::parse(&text) {
                let mut depth = 0_i32;
                for part in std::path::Path::new(path.as_str()).components() {
                    proptest::prop_assert!(matches!(part, std::path::Component::Normal(_)), "{part:?}");
                    depth += 1;
                }
                proptest::prop_assert!(depth > 0);
                proptest::prop_assert_eq!(path.as_str(), text.as_str());
            }
        }
    }
}
