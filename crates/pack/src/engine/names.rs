//! The filters and tests that a source names and that do not exist. The template engine finds out about them only when it comes to them.

use minijinja::{Environment, ErrorKind};

use crate::fault::allowed;

/// The filters that are most used, for the message about an unknown one.
const USUAL: [&str; 24] = [
    "date", "datetime", "default", "first", "float", "int", "join", "last", "length", "list", "lower", "minus", "number",
    "percent", "plus", "replace", "round", "safe", "sort", "start_of", "sum", "title", "trim", "upper",
];

/// What is wrong with the filters and tests of an expression.
pub(super) fn of_expression(env: &Environment<'_>, source: &str) -> Option<String> {
    let words = words_of(source);
    words.windows(3).find_map(|three| {
        let [before, word, next] = three else { return None };
        let is_name = word.starts_with(|c: char| c.is_alphabetic() || c == '_');
        match before.as_str() {
            "|" if is_name => {
                let name = if next.starts_with('.') { format!("{word}{next}") } else { word.clone() };
                is_unknown(env, &format!("none|{name}"), ErrorKind::UnknownFilter)
                    .then(|| format!("there is no filter {name:?}.{}", allowed(&name, USUAL)))
            }
            "is" if is_name && !matches!(word.as_str(), "not" | "none" | "true" | "false") => {
                is_unknown(env, &format!("none is {word}"), ErrorKind::UnknownTest).then(|| {
                    format!("there is no test {word:?}, as it would follow `is`. Compare with ==, or use one like `defined`")
                })
            }
            _ => None,
        }
    })
}

/// What is wrong with the filters and tests of a template, and in which line.
pub(super) fn of_template(env: &Environment<'_>, source: &str) -> Option<(usize, String)> {
    let (mut rest, mut at) = (source, 0);
    while let Some(start) = rest.find('{') {
        let closing = match rest.as_bytes().get(start + 1) {
            Some(b'{') => "}}",
            Some(b'%') => "%}",
            Some(b'#') => "#}",
            _ => {
                at += start + 1;
                rest = &rest[start + 1..];
                continue;
            }
        };
        let tag = &rest[start + 2..];
        let length = tag.find(closing)?;
        if closing != "#}"
            && let Some(message) = of_expression(env, &tag[..length])
        {
            let line = source[..at + start].matches('\n').count() + 1;
            return Some((line, message));
        }
        let end = start + 2 + length + 2;
        at += end;
        rest = &rest[end..];
    }
    None
}

fn is_unknown(env: &Environment<'_>, probe: &str, kind: ErrorKind) -> bool {
    let outcome = env.compile_expression(probe).and_then(|compiled| compiled.eval(()));
    outcome.is_err_and(|error| error.kind() == kind)
}

/// The names and signs of an expression, literals aside, and an empty word at the end.
fn words_of(source: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut chars = source.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '"' || c == '\'' {
            let mut is_escaped = false;
            for inner in chars.by_ref() {
                if !is_escaped && inner == c {
                    break;
                }
                is_escaped = !is_escaped && inner == '\\';
            }
            words.push(String::new());
        } else if c.is_alphanumeric() || c == '_' {
            let mut word = String::from(c);
            while let Some(next) = chars.next_if(|next| next.is_alphanumeric() || *next == '_') {
                word.push(next);
            }
            words.push(word);
        } else if !c.is_whitespace() {
            words.push(c.into());
        }
    }
    words.push(String::new());
    words
}
