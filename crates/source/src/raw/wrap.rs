//! A statement of Postgres that gives each of its rows as one JSON text.

/// The wrapped statement. A statement that writes gives rows only inside a `WITH` at the top, and so do the writing parts of its own `WITH`:
/// therefore the list of a `WITH` stays at the top, and what follows it becomes its last entry.
pub(super) fn as_json(text: &str) -> String {
    let statement = text.trim().trim_end_matches(';');
    let words = top_words(statement);
    let is_verb = |word: &&(usize, String)| VERBS.contains(&word.1.as_str());
    let rows = "SELECT CAST(row_to_json(legwork_row) AS text) FROM";
    match words.first().map(|(at, word)| (*at, word.as_str())) {
        Some((_, "with")) => match words.iter().find(is_verb) {
            Some((at, _)) => {
                let (entries, main) = statement.split_at(*at);
                format!("{entries}, legwork_row AS (\n{main}\n) {rows} legwork_row")
            }
            None => format!("{rows} (\n{statement}\n) AS legwork_row"),
        },
        Some((_, "insert" | "update" | "delete" | "merge")) => {
            format!("WITH legwork_row AS (\n{statement}\n) {rows} legwork_row")
        }
        _ => format!("{rows} (\n{statement}\n) AS legwork_row"),
    }
}

/// The words that can follow the list of a `WITH`.
const VERBS: [&str; 7] = ["select", "insert", "update", "delete", "merge", "values", "table"];

/// The words outside of parentheses, literals, quoted names and comments, in small letters, each with where it is.
fn top_words(text: &str) -> Vec<(usize, String)> {
    let mut words = Vec::new();
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let length = match c {
            '(' | '[' => {
                depth += 1;
                1
            }
            ')' | ']' => {
                depth = depth.saturating_sub(1);
                1
            }
            '\'' | '"' => quoted(rest, c, false),
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => comment(rest),
            '$' => dollar_quoted(rest),
            c if c.is_alphanumeric() || c == '_' => {
                let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '$').unwrap_or(rest.len());
                let has_escapes = rest[..length].eq_ignore_ascii_case("e") && rest[length..].starts_with('\'');
                if depth == 0 {
                    words.push((at, rest[..length].to_ascii_lowercase()));
                }
                if has_escapes { length + quoted(&rest[length..], '\'', true) } else { length }
            }
            c => c.len_utf8(),
        };
        at += length.max(1);
    }
    words
}

/// The length of a literal or a quoted name; a doubled quote is part of it.
fn quoted(rest: &str, quote: char, has_escapes: bool) -> usize {
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if has_escapes && c == '\\' {
            chars.next();
        } else if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return at + 1;
        }
    }
    rest.len()
}

/// The length of a comment; comments nest.
fn comment(rest: &str) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(c) = rest[at..].chars().next() {
        if rest[at..].starts_with("/*") {
            (at, depth) = (at + 2, depth + 1);
        } else if rest[at..].starts_with("*/") {
            (at, depth) = (at + 2, depth - 1);
            if depth == 0 {
                return at;
            }
        } else {
            at += c.len_utf8();
        }
    }
    rest.len()
}

/// The length of `$tag$ … $tag$`, or of the dollar alone.
fn dollar_quoted(rest: &str) -> usize {
    let tag_length = rest[1..].find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len() - 1);
    let is_tag = rest[1 + tag_length..].starts_with('$') && !rest[1..].starts_with(|c: char| c.is_ascii_digit());
    if !is_tag {
        return 1;
    }
    let tag = &rest[..tag_length + 2];
    rest[tag.len()..].find(tag).map_or(rest.len(), |length| tag.len() * 2 + length)
}

#[cfg(test)]
mod tests {
    use super::as_json;

    const ROWS: &str = "SELECT CAST(row_to_json(legwork_row) AS text) FROM";

    #[test]
    fn what_reads_becomes_a_subquery() {
        for text in ["SELECT 1 AS a", "VALUES (1)", "(SELECT 1) UNION SELECT 2", "-- update\nSELECT 'x'", "/* with */ TABLE t"] {
            assert_eq!(as_json(text), format!("{ROWS} (\n{text}\n) AS legwork_row"));
        }
    }

    #[test]
    fn what_writes_becomes_an_entry_of_a_with() {
        for text in ["-- why\nUPDATE a SET b = 1 RETURNING b", "/* x */ insert into a values (1) returning a"] {
            assert_eq!(as_json(text), format!("WITH legwork_row AS (\n{text}\n) {ROWS} legwork_row"));
        }
    }

    #[test]
    fn the_list_of_a_with_stays_at_the_top() {
        for (entries, main) in [
            ("WITH gone AS (DELETE FROM t RETURNING id) ", "SELECT id FROM gone ORDER BY id"),
            ("WITH RECURSIVE a(n) AS (SELECT 1), \"select\" AS (SELECT ') select' AS x) ", "UPDATE t SET n = 1 RETURNING n"),
            ("-- select\nwith a AS MATERIALIZED (SELECT E'\\') select', $x$ ) select $x$ /* ( */) ", "select * from a"),
        ] {
            let wrapped = as_json(&format!("{entries}{main}"));
            assert_eq!(wrapped, format!("{entries}, legwork_row AS (\n{main}\n) {ROWS} legwork_row"));
        }
    }
}
