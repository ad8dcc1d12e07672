//! Splits SQL into statements, and finds named parameters.

use super::refuse::refused;
use super::{Dialect, Parameter, SqlType, Statement};
use crate::fault::Place;

/// A piece of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    /// A name, without the colon.
    Named(&'a str, usize),
}

/// A statement as it is written.
#[derive(Clone, Debug)]
pub(crate) struct RawStatement<'a> {
    pieces: Vec<Piece<'a>>,
    /// Where its first word is.
    pub(crate) at: usize,
    /// Its words outside of literals, quoted names and comments.
    pub(super) words: Vec<Word>,
}

/// A word of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// The word in small letters; empty for a parameter.
    pub(super) text: String,
    /// Where it is.
    pub(super) at: usize,
    /// The character before it, white space and comments aside; `a` for a word.
    pub(super) after: Option<char>,
}

/// What is wrong with a text, and where.
pub(crate) type SqlFault = (usize, String);

impl<'a> RawStatement<'a> {
    /// The named parameters, each with where it is.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&'a str, usize)> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Named(name, at) => Some((*name, *at)),
            Piece::Text(_) => None,
        })
    }

    /// The statement for a dialect. `kind_of` gives the type of a parameter; one without is bound as text.
    pub(crate) fn rendered(&self, dialect: Dialect, place: Place, kind_of: impl Fn(&str) -> Option<SqlType>) -> Statement {
        let mut text = String::new();
        let mut parameters: Vec<Parameter> = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(part) => text.push_str(part),
                Piece::Named(name, _) => {
                    let index = parameters.iter().position(|parameter| parameter.name == *name).unwrap_or_else(|| {
                        let kind = kind_of(name).unwrap_or(SqlType::Text);
                        parameters.push(Parameter { name: (*name).to_owned(), kind });
                        parameters.len() - 1
                    });
                    text.push_str(&parameters[index].kind.placeholder(dialect, index + 1));
                }
            }
        }
        Statement { text: text.trim().to_owned(), parameters, place }
    }
}

/// The statements of a text; those that are blank or hold comments only are passed over.
pub(crate) fn split(text: &str) -> Result<Vec<RawStatement<'_>>, Vec<SqlFault>> {
    let mut lexer = Lexer { text, at: 0, faults: Vec::new() };
    let mut statements = Vec::new();
    while lexer.at < text.len() {
        statements.extend(lexer.statement());
    }
    if statements.is_empty() && lexer.faults.is_empty() {
        lexer.faults.push((0, "holds no statement. Write one, or remove the file.".into()));
    }
    for statement in &statements {
        if let Some(message) = refused(&statement.words) {
            lexer.faults.push((statement.at, message));
        }
    }
    if lexer.faults.is_empty() { Ok(statements) } else { Err(lexer.faults) }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    faults: Vec<SqlFault>,
}

/// What the words of a statement say so far.
#[derive(Default)]
struct Words {
    all: Vec<Word>,
    /// The last character before, white space and comments aside.
    last: Option<char>,
    is_create: bool,
    is_trigger: bool,
    /// BEGIN and CASE without their END, in a trigger's body.
    open: usize,
}

impl Words {
    fn take(&mut self, word: &str, at: usize) {
        let word = word.to_ascii_lowercase();
        let after = self.last.replace('a');
        self.all.push(Word { text: word.clone(), at, after });
        if self.all.len() == 1 {
            self.is_create = word == "create";
            return;
        }
        match word.as_str() {
            "trigger" if self.is_create => self.is_trigger = true,
            "begin" | "case" => self.open += 1,
            "end" => self.open = self.open.saturating_sub(1),
            _ => {}
        }
    }

    /// Whether a semicolon ends the statement: in the body of a trigger it ends a part of it.
    fn may_end(&self) -> bool {
        !self.is_trigger || self.open == 0
    }
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The statement up to the next semicolon.
    fn statement(&mut self) -> Option<RawStatement<'a>> {
        let mut pieces = Vec::new();
        let mut words = Words::default();
        let mut piece_start = self.at;
        let mut end = self.text.len();
        while let Some(c) = self.rest().chars().next() {
            let start = self.at;
            match c {
                ';' if words.may_end() => {
                    end = self.at;
                    self.at += 1;
                    break;
                }
                ':' => {
                    words.last = Some(c);
                    if let Some(name) = self.parameter() {
                        pieces.push(Piece::Text(&self.text[piece_start..start]));
                        pieces.push(Piece::Named(name, start));
                        piece_start = self.at;
                        words.take("", start);
                    }
                }
                c if is_word_start(c) => {
                    let word = self.word();
                    if word.eq_ignore_ascii_case("e") && self.rest().starts_with('\'') {
                        self.quoted('\'', true);
                    } else {
                        words.take(word, start);
                    }
                }
                _ => {
                    let is_comment = self.rest().starts_with("--") || self.rest().starts_with("/*");
                    if !c.is_whitespace() && !is_comment {
                        words.last = Some(c);
                    }
                    self.other(c);
                }
            }
        }
        pieces.push(Piece::Text(&self.text[piece_start..end]));
        let at = words.all.first()?.at;
        Some(RawStatement { pieces, at, words: words.all })
    }

    /// Steps over whatever is neither a word nor a parameter.
    fn other(&mut self, c: char) {
        let rest = self.rest();
        match c {
            '\'' | '"' | '`' => self.quoted(c, false),
            '-' if rest.starts_with("--") => self.at += rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => self.block_comment(),
            '$' => self.dollar(),
            '{' if rest.starts_with("{{") => {
                let message = "SQL is no template: a value never becomes part of a statement. Bind it: write :name, and declare a param or a `bind`.";
                self.faults.push((self.at, message.into()));
                self.at = self.text.len();
            }
            c if c.is_ascii_digit() => {
                let digits = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '_').unwrap_or(rest.len());
                self.at += digits;
            }
            c => self.at += c.len_utf8(),
        }
    }

    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|c: char| !is_word_part(c)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    /// `:name`; steps over `::`, `:=` and a colon between bounds of a slice.
    fn parameter(&mut self) -> Option<&'a str> {
        let before = self.text[..self.at].chars().next_back();
        self.at += 1;
        let rest = self.rest();
        if rest.starts_with(':') {
            self.at += 1;
            return None;
        }
        let follows_word = before.is_some_and(is_word_part);
        if follows_word || !rest.starts_with(is_word_start) {
            return None;
        }
        Some(self.word())
    }

    fn quoted(&mut self, quote: char, has_escapes: bool) {
        let start = self.at;
        let mut chars = self.rest().char_indices().skip(1).peekable();
        while let Some((offset, c)) = chars.next() {
            if has_escapes && c == '\\' {
                chars.next();
            } else if c == quote {
                if chars.peek().is_some_and(|(_, next)| *next == quote) {
                    chars.next();
                } else {
                    self.at = start + offset + 1;
                    return;
                }
            }
        }
        self.faults.push((start, format!("a quote {quote} is opened here and never closed.")));
        self.at = self.text.len();
    }

    /// Comments nest, as in Postgres.
    fn block_comment(&mut self) {
        let start = self.at;
        let mut depth = 0_usize;
        while self.at < self.text.len() {
            let rest = self.rest();
            if rest.starts_with("/*") {
                depth += 1;
                self.at += 2;
            } else if rest.starts_with("*/") {
                depth -= 1;
                self.at += 2;
                if depth == 0 {
                    return;
                }
            } else {
                self.at += rest.chars().next().map_or(1, char::len_utf8);
            }
        }
        self.faults.push((start, "a comment is opened here and never closed.".into()));
    }

    /// `$tag$ … $tag$`; `$1` is refused.
    fn dollar(&mut self) {
        let start = self.at;
        self.at += 1;
        let rest = self.rest();
        if rest.starts_with(|c: char| c.is_ascii_digit()) {
            let message = "numbered parameters like $1 are not allowed. Write a named one, like :user_id.";
            self.faults.push((start, message.into()));
            return;
        }
        let tag_length = rest.find(|c: char| !is_word_part(c)).unwrap_or(rest.len());
        if !rest[tag_length..].starts_with('$') {
            return;
        }
        let tag = &self.text[start..=self.at + tag_length];
        let body = self.at + tag_length + 1;
        if let Some(length) = self.text[body..].find(tag) {
            self.at = body + length + tag.len();
        } else {
            self.faults.push((start, format!("a quote {tag} is opened here and never closed.")));
            self.at = self.text.len();
        }
    }
}

fn is_word_start(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

fn is_word_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
