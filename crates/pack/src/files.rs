//! The files of a pack, read into memory before anything is checked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The largest file of a pack, in bytes.
const LARGEST_FILE: u64 = 4 << 20;
/// The most files of a pack.
const MOST_FILES: usize = 2_000;
/// The depth to which folders are read.
const DEEPEST: usize = 6;
/// Name of the file that declares a pack.
pub(crate) const DECLARATION: &str = "pack.toml";

/// The reasons why the folder of a pack cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The folder holds no `pack.toml`.
    #[error("{folder}: holds no pack.toml. A pack is a folder with a file pack.toml; `legwork pack new NAME` makes one")]
    NoDeclaration {
        /// Path of the folder.
        folder: String,
    },
    /// A file or folder cannot be read.
    #[error("{path}: cannot be read: {reason}")]
    Unreadable {
        /// The file or folder.
        path: String,
        /// The operating system's error, as text.
        reason: String,
    },
    /// A link leads out of the folder.
    #[error("{path}: is a link that leads out of the pack's folder. Copy the file into the folder")]
    Outside {
        /// Path of the link.
        path: String,
    },
    /// The folder holds too much.
    #[error("{path}: {reason}")]
    TooMuch {
        /// The file or folder.
        path: String,
        /// The limit that is exceeded, as the end of the message.
        reason: String,
    },
}

/// The text files of one pack: `pack.toml`, and the SQL and template files beside it.
#[derive(Clone, Debug, Default)]
pub struct PackFiles {
    label: String,
    texts: BTreeMap<String, String>,
}

impl PackFiles {
    /// Reads the files of a folder: those that end in `.toml`, `.sql`, `.html`, `.txt`, `.csv`, `.json` or `.md`. Hidden ones are passed over.
    pub fn read(folder: &Path) -> Result<Self, FilesError> {
        let label = folder.display().to_string();
        let root = folder.canonicalize().map_err(|error| unreadable(folder, &error))?;
        let mut files = Self { label, texts: BTreeMap::new() };
        files.read_folder(folder, &root, "", 0)?;
        if files.texts.contains_key(DECLARATION) { Ok(files) } else { Err(FilesError::NoDeclaration { folder: files.label }) }
    }

    /// Files that are already in memory, as in `("pack.toml", "…")`; `label` stands before their names in messages.
    pub fn from_texts<P: Into<String>, T: Into<String>>(label: &str, texts: impl IntoIterator<Item = (P, T)>) -> Self {
        let texts = texts.into_iter().map(|(path, text)| (path.into(), text.into())).collect();
        Self { label: label.to_owned(), texts }
    }

    /// The text of a file; paths are relative to the folder.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    /// The paths of all files, sorted.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.texts.keys().map(String::as_str)
    }

    /// How messages call a file.
    pub(crate) fn label_of(&self, path: &str) -> String {
        if self.label.is_empty() { path.to_owned() } else { format!("{}/{path}", self.label.trim_end_matches('/')) }
    }

    fn read_folder(&mut self, folder: &Path, root: &Path, prefix: &str, depth: usize) -> Result<(), FilesError> {
        if depth > DEEPEST {
            let reason = format!("folders are nested more than {DEEPEST} deep");
            return Err(FilesError::TooMuch { path: folder.display().to_string(), reason });
        }
        let entries = std::fs::read_dir(folder).map_err(|error| unreadable(folder, &error))?;
        for entry in entries {
            let path = entry.map_err(|error| unreadable(folder, &error))?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|name| !name.starts_with('.')) else {
                continue;
            };
            let target = path.canonicalize().map_err(|error| unreadable(&path, &error))?;
            if !target.starts_with(root) {
                return Err(FilesError::Outside { path: path.display().to_string() });
            }
            let relative = format!("{prefix}{name}");
            if target.is_dir() {
                self.read_folder(&path, root, &format!("{relative}/"), depth + 1)?;
            } else if is_text(name) {
                self.read_file(&path, relative)?;
            }
        }
        Ok(())
    }

    fn read_file(&mut self, path: &PathBuf, relative: String) -> Result<(), FilesError> {
        let size = path.metadata().map_err(|error| unreadable(path, &error))?.len();
        let too_much = |reason: String| FilesError::TooMuch { path: path.display().to_string(), reason };
        if size > LARGEST_FILE {
            return Err(too_much(format!("has {size} bytes; at most {LARGEST_FILE} are allowed")));
        }
        if self.texts.len() >= MOST_FILES {
            return Err(too_much(format!("the pack has more than {MOST_FILES} files")));
        }
        let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
        self.texts.insert(relative, text);
        Ok(())
    }
}

fn is_text(name: &str) -> bool {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending);
    matches!(ending, Some("toml" | "sql" | "html" | "txt" | "csv" | "json" | "md"))
}

fn unreadable(path: &Path, error: &std::io::Error) -> FilesError {
    FilesError::Unreadable { path: path.display().to_string(), reason: error.to_string() }
}
