//! Statements that a pack must not have, or must not have in that place.

use super::lex::{RawStatement, Word};

/// Words with which statements begin that control the transaction.
const TRANSACTION: [&str; 10] =
    ["begin", "start", "commit", "rollback", "end", "abort", "savepoint", "release", "prepare", "deallocate"];
/// Words with which statements begin that work on a database or a connection as a whole.
const WHOLE: [&str; 7] = ["pragma", "attach", "detach", "vacuum", "reset", "discard", "checkpoint"];
/// Words with which statements begin that read.
const READS: [&str; 4] = ["select", "with", "values", "table"];
/// Words that change rows.
const WRITES: [&str; 4] = ["insert", "update", "delete", "merge"];

/// Why no pack may have a statement, as the message of a fault.
pub(super) fn refused(words: &[Word]) -> Option<String> {
    let verb = words.first()?.text.as_str();
    let word = |index: usize| words.get(index).map_or("", |word| word.text.as_str());
    let shown = verb.to_uppercase();
    Some(match verb {
        _ if TRANSACTION.contains(&verb) => {
            format!("{shown} is not allowed: each list of steps is one transaction already. Remove the statement.")
        }
        "copy" => {
            "COPY is not allowed: its rows come and go beside the statement. Use INSERT, or the runner `export` for a file."
                .into()
        }
        "set" if word(1) == "local" && !["role", "session", "transaction"].contains(&word(2)) => return None,
        "set" => {
            let shown = format!("SET {}", word(1).to_uppercase());
            format!(
                "{shown} is not allowed: it changes the connection, which other tasks use as well. Remove the statement, use SET LOCAL for a setting, or give the URL of the source another user."
            )
        }
        _ if WHOLE.contains(&verb) => {
            format!("{shown} is not allowed: it works on the database or the connection as a whole. Do it outside of tasks.")
        }
        _ => return None,
    })
}

impl RawStatement<'_> {
    /// What in it does more than read: where it is, and its words.
    pub(crate) fn write(&self) -> Option<(usize, String)> {
        let words = &self.words;
        let first = words.first().filter(|word| !word.text.is_empty() && !READS.contains(&word.text.as_str()));
        if let Some(first) = first {
            return Some((first.at, first.text.to_uppercase()));
        }
        let followed = |index: usize| words.get(index + 1).filter(|word| word.after == Some('a')).map(|word| word.text.as_str());
        words.iter().enumerate().find_map(|(index, word)| {
            let next = followed(index);
            let shown = match (word.text.as_str(), next) {
                // The beginning of an entry of a WITH, or what comes after its list.
                (verb, Some(_)) if WRITES.contains(&verb) && matches!(word.after, Some('(' | ')')) => verb.to_uppercase(),
                ("for", Some(mode @ ("update" | "share"))) => format!("FOR {}", mode.to_uppercase()),
                ("for", Some("no")) if followed(index + 1) == Some("key") => "FOR NO KEY UPDATE".into(),
                ("for", Some("key")) if followed(index + 1) == Some("share") => "FOR KEY SHARE".into(),
                ("into", Some(_)) => "INTO".into(),
                _ => return None,
            };
            Some((word.at, shown))
        })
    }
}
