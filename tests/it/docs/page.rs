//! A Markdown page, and the fenced blocks in it.

use serde_json::Value;

use super::root;

/// What a fenced block is for.
pub enum Block {
    /// `sh`: commands that are run.
    Commands { line: usize, text: String },
    /// `json` after commands: the fields of their last answer. `json result`: those of the result of the task that they submitted.
    Answer { line: usize, value: Value, is_result: bool },
    /// `LANGUAGE NAME`: a file that later commands use.
    File { name: String, text: String },
    /// `console`, `text`, `toml`, `mermaid`, and `json example`: shown only.
    Shown,
}

pub struct Page {
    /// Relative to the repository.
    pub path: String,
    pub text: String,
    pub blocks: Vec<Block>,
}

impl Page {
    pub fn read(path: &str) -> Self {
        let text = std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        let blocks = blocks(path, &text);
        Self { path: path.to_owned(), text, blocks }
    }
}

fn blocks(path: &str, text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let Some(info) = line.strip_prefix("```") else { continue };
        let inside: Vec<&str> = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
        let (line, text) = (at + 1, format!("{}\n", inside.join("\n")));
        let words: Vec<&str> = info.split_whitespace().collect();
        blocks.push(match words.as_slice() {
            ["sh"] => Block::Commands { line, text },
            ["json"] | ["json", "result"] => {
                let value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}:{line}: {error}"));
                Block::Answer { line, value, is_result: words.len() == 2 }
            }
            ["console" | "text" | "toml" | "mermaid" | "rust"] | ["json", "example"] => Block::Shown,
            [_, name] if name.contains('.') => Block::File { name: (*name).to_owned(), text },
            _ => panic!("{path}:{line}: a block cannot be marked {info:?}; CONTRIBUTING.md lists what is allowed"),
        });
    }
    blocks
}
