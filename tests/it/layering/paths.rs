//! Reads the paths that a source file uses: a small tokenizer, `use` trees, and where `super` and `self` lead.

use std::collections::BTreeMap;
use std::fmt;

/// A path that a file uses, from `crate` or from the name of a crate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathUse {
    /// Its segments, as in `["crate", "store", "StoreError"]`.
    pub segments: Vec<String>,
    /// Its line, from 1.
    pub line: usize,
}

impl fmt::Display for PathUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.segments.join("::"))
    }
}

/// Every path with at least two segments in `text`, the file of this name; a path that starts with an imported name is resolved.
pub fn paths_of(file: &str, text: &str) -> Vec<PathUse> {
    let tokens = tokens_of(&without_comments_and_strings(text));
    let mut reader = Reader { tokens: &tokens, at: 0, module: module_of(file), inline: Vec::new(), found: Vec::new() };
    reader.read();
    resolve_imported(reader.found)
}

/// The lines of `text` that hold code, numbered from 1, comments and the insides of strings removed.
pub fn code_lines(text: &str) -> Vec<(usize, String)> {
    let code = without_comments_and_strings(text);
    code.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(|(at, line)| (at + 1, line.to_owned())).collect()
}

/// `src/a/b.rs` is the module `["crate", "a", "b"]`.
fn module_of(file: &str) -> Vec<String> {
    let below = file.trim_start_matches("src/").trim_start_matches("tests/it/").trim_end_matches(".rs");
    let names = below.split('/').filter(|name| !matches!(*name, "lib" | "main"));
    std::iter::once("crate").chain(names).map(str::to_owned).collect()
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Name(String),
    /// `::`
    Sep,
    Other(char),
}

struct Reader<'a> {
    tokens: &'a [(Token, usize)],
    at: usize,
    module: Vec<String>,
    /// Inline modules around the present token, with the depth of braces below each.
    inline: Vec<(String, usize)>,
    found: Vec<Found>,
}

/// A path as written, and whether it came from a `use`.
struct Found {
    path: PathUse,
    import_as: Option<String>,
}

impl Reader<'_> {
    fn read(&mut self) {
        let mut depth = 0_usize;
        while let Some((token, line)) = self.tokens.get(self.at).cloned() {
            match token {
                Token::Name(name) if name == "use" => {
                    self.at += 1;
                    self.use_tree(&[]);
                }
                Token::Name(name) if name == "mod" && self.opens_inline_module() => {
                    let Some((Token::Name(inner), _)) = self.tokens.get(self.at + 1).cloned() else { continue };
                    depth += 1;
                    self.inline.push((inner, depth));
                    self.at += 3;
                }
                Token::Name(name) if name == "mod" => {
                    self.at += 1;
                    self.declared_module(line);
                }
                Token::Name(_) => self.path_expression(line),
                Token::Other('{') => {
                    depth += 1;
                    self.at += 1;
                }
                Token::Other('}') => {
                    if self.inline.last().is_some_and(|(_, at)| *at == depth) {
                        self.inline.pop();
                    }
                    depth = depth.saturating_sub(1);
                    self.at += 1;
                }
                Token::Sep | Token::Other(_) => self.at += 1,
            }
        }
    }

    fn opens_inline_module(&self) -> bool {
        matches!(self.tokens.get(self.at + 1), Some((Token::Name(_), _)))
            && matches!(self.tokens.get(self.at + 2), Some((Token::Other('{'), _)))
    }

    /// `mod name;`: from here on, `name::…` is this module and no crate.
    fn declared_module(&mut self, line: usize) {
        let Some((Token::Name(name), _)) = self.tokens.get(self.at).cloned() else { return };
        self.at += 1;
        self.note(&["self".to_owned(), name.clone()], line, Some(name));
    }

    fn path_expression(&mut self, line: usize) {
        let mut segments = Vec::new();
        while let Some((Token::Name(name), _)) = self.tokens.get(self.at) {
            segments.push(name.clone());
            self.at += 1;
            let followed = matches!(self.tokens.get(self.at), Some((Token::Sep, _)))
                && matches!(self.tokens.get(self.at + 1), Some((Token::Name(_), _)));
            if !followed {
                break;
            }
            self.at += 1;
        }
        if segments.len() > 1 {
            self.note(&segments, line, None);
        }
    }

    /// Reads one tree after `use` or inside its braces, up to the `;`, `,` or `}` that ends it.
    fn use_tree(&mut self, prefix: &[String]) {
        let mut segments = prefix.to_vec();
        while let Some((token, line)) = self.tokens.get(self.at).cloned() {
            self.at += 1;
            match token {
                Token::Name(name) if name == "as" => {
                    let Some((Token::Name(alias), _)) = self.tokens.get(self.at).cloned() else { continue };
                    self.at += 1;
                    self.note(&segments, line, Some(alias));
                    segments.clear();
                }
                Token::Name(name) => {
                    segments.push(name);
                    if !matches!(self.tokens.get(self.at), Some((Token::Sep | Token::Name(_), _))) {
                        self.end_of_use(&mut segments, prefix, line);
                    }
                }
                Token::Other('*') => {
                    self.note(&segments, line, None);
                    segments.clear();
                }
                Token::Other('{') => {
                    while !matches!(self.tokens.get(self.at), Some((Token::Other('}'), _)) | None) {
                        self.use_tree(&segments);
                        if matches!(self.tokens.get(self.at), Some((Token::Other(','), _))) {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    segments.clear();
                }
                Token::Other(',' | '}' | ';') => {
                    self.at -= usize::from(!prefix.is_empty() || token == Token::Other('}'));
                    return;
                }
                Token::Sep | Token::Other(_) => {}
            }
        }
    }

    fn end_of_use(&mut self, segments: &mut Vec<String>, prefix: &[String], line: usize) {
        // `use a::{self}` imports `a`.
        if segments.len() > prefix.len() && segments.last().is_some_and(|last| last == "self") && !prefix.is_empty() {
            segments.pop();
        }
        let name = segments.last().cloned();
        self.note(segments, line, name);
        segments.clear();
    }

    fn note(&mut self, segments: &[String], line: usize, import_as: Option<String>) {
        if segments.is_empty() {
            return;
        }
        let segments = self.resolved(segments);
        self.found.push(Found { path: PathUse { segments, line }, import_as });
    }

    /// Replaces `self` and `super` at the front by where they lead.
    fn resolved(&self, segments: &[String]) -> Vec<String> {
        if !matches!(segments[0].as_str(), "self" | "super") {
            return segments.to_vec();
        }
        let mut module = self.module.clone();
        module.extend(self.inline.iter().map(|(name, _)| name.clone()));
        let mut rest = segments;
        while let Some((first, after)) = rest.split_first() {
            match first.as_str() {
                "self" => {}
                "super" if module.len() > 1 => {
                    module.pop();
                }
                _ => break,
            }
            rest = after;
        }
        module.extend_from_slice(rest);
        module
    }
}

/// A path that starts with a name which the file imports is the imported path and what follows.
fn resolve_imported(found: Vec<Found>) -> Vec<PathUse> {
    let imports: BTreeMap<String, Vec<String>> =
        found.iter().filter_map(|found| found.import_as.clone().map(|name| (name, found.path.segments.clone()))).collect();
    let mut paths = Vec::new();
    for Found { path, import_as } in found {
        let mut segments = path.segments;
        if let (None, Some(import)) = (import_as, imports.get(&segments[0])) {
            segments.splice(..1, import.iter().cloned());
        }
        paths.push(PathUse { segments, line: path.line });
    }
    paths
}

fn tokens_of(code: &str) -> Vec<(Token, usize)> {
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut chars = code.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' => line += 1,
            c if c.is_whitespace() => {}
            c if c.is_alphanumeric() || c == '_' => {
                let mut name = String::from(c);
                while let Some(next) = chars.next_if(|next| next.is_alphanumeric() || *next == '_') {
                    name.push(next);
                }
                tokens.push((Token::Name(name), line));
            }
            ':' if chars.next_if_eq(&':').is_some() => tokens.push((Token::Sep, line)),
            other => tokens.push((Token::Other(other), line)),
        }
    }
    tokens
}

/// The text with comments and the insides of literals as spaces; line breaks stay.
fn without_comments_and_strings(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = literal_or_comment_end(&chars, at);
        if end > at {
            out.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        } else {
            out.push(chars[at]);
            at += 1;
        }
    }
    out
}

/// Where the comment or literal that starts at `at` ends; `at` where none starts.
fn literal_or_comment_end(chars: &[char], at: usize) -> usize {
    let next = chars.get(at + 1).copied().unwrap_or(' ');
    match chars[at] {
        '/' if next == '/' => chars[at..].iter().position(|c| *c == '\n').map_or(chars.len(), |len| at + len),
        '/' if next == '*' => block_comment_end(chars, at),
        '"' => string_end(chars, at),
        'r' if matches!(next, '"' | '#') && !continues_a_name(chars, at) => raw_string_end(chars, at),
        '\'' => char_end(chars, at),
        _ => at,
    }
}

fn continues_a_name(chars: &[char], at: usize) -> bool {
    at > 0
        && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_')
        && !(chars[at - 1] == 'b' && !(at > 1 && chars[at - 2].is_alphanumeric()))
}

fn block_comment_end(chars: &[char], mut at: usize) -> usize {
    let mut depth = 0;
    while at + 1 < chars.len() {
        match (chars[at], chars[at + 1]) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    chars.len()
}

fn string_end(chars: &[char], mut at: usize) -> usize {
    at += 1;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

fn raw_string_end(chars: &[char], at: usize) -> usize {
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    let open = at + 1 + hashes;
    if chars.get(open) != Some(&'"') {
        return at;
    }
    let closing =
        |from: usize| chars[from] == '"' && chars[from + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes;
    (open + 1..chars.len()).find(|from| closing(*from)).map_or(chars.len(), |from| from + 1 + hashes)
}

/// A character literal; a lifetime is none.
fn char_end(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) => chars[at + 3..].iter().position(|c| *c == '\'').map_or(chars.len(), |len| at + 4 + len),
        (Some(_), Some('\'')) => at + 3,
        _ => at,
    }
}

#[test]
fn paths_are_found_wherever_they_are_written() {
    let text = r##"
use std::{fmt, time::Duration};
use crate::store::{self, answers::{Ended, Settled as Done}, *};
use super::sibling;
// use crate::http::comment;
/* crate::http::block /* nested */ crate::http::still */
mod tests {
    use super::super::sibling::Deep;
    fn inside() { let text = "crate::http::string"; let raw = r#"crate::http::raw"#; let c = '"'; crate::cli::run::<u8>(); }
}
mod redis;
fn f<'a>(x: &'a str) -> fmt::Result { store::Row::new(); self::inner::g(); tokio::time::sleep(Duration::ZERO); redis::open() }
"##;
    let found: Vec<String> = paths_of("src/queue/submit.rs", text).iter().map(|path| format!("{}:{path}", path.line)).collect();
    let expected = [
        "2:std::fmt",
        "2:std::time::Duration",
        "3:crate::store",
        "3:crate::store::answers::Ended",
        "3:crate::store::answers::Settled",
        "3:crate::store",
        "4:crate::queue::sibling",
        "8:crate::queue::sibling::Deep",
        "9:crate::cli::run",
        "11:crate::queue::submit::redis",
        "12:std::fmt::Result",
        "12:crate::store::Row::new",
        "12:crate::queue::submit::inner::g",
        "12:tokio::time::sleep",
        "12:std::time::Duration::ZERO",
        "12:crate::queue::submit::redis::open",
    ];
    assert_eq!(found, expected);
}
