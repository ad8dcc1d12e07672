//! Which variable a template missed. The engine tells a place, and seldom a name.

use std::collections::BTreeSet;
use std::error::Error as _;

use minijinja::{Environment, Error, Value};

/// What a template may read though nobody gives it.
const OF_THE_LANGUAGE: [&str; 5] = ["loop", "super", "self", "caller", "varargs"];

/// An error and its causes, the innermost first: what an include or a parent says of its child only repeats it.
pub(super) fn chain(error: &Error) -> Vec<&Error> {
    let mut errors = vec![error];
    let mut outer = error;
    while let Some(cause) = outer.source().and_then(|cause| cause.downcast_ref::<Error>()) {
        errors.push(cause);
        outer = cause;
    }
    errors.reverse();
    errors
}

/// What the place of `error` needs and `given` lacks, as in `order.total`, sorted. Empty where that line lacks nothing; where the line
/// does not tell and `looks_further`, what the rest of that file lacks.
pub(super) fn at(env: &Environment<'_>, error: &Error, given: &Value, looks_further: bool) -> BTreeSet<String> {
    let Some(template) = error.name().and_then(|name| env.get_template(name).ok()) else { return BTreeSet::new() };
    let globals: BTreeSet<&str> = env.globals().map(|(name, _)| name).chain(OF_THE_LANGUAGE).collect();
    let undeclared = template.undeclared_variables(true);
    let lacking: BTreeSet<String> = undeclared.iter().filter_map(|path| lacking(path, given, &globals)).collect();
    let code = code_of(template.source());
    let line = error.line().and_then(|line| code.lines().nth(line.saturating_sub(1))).unwrap_or_default();
    let within = |code: &str| lacking.iter().filter(|path| is_needed(path, code)).cloned().collect::<BTreeSet<_>>();
    let here = within(line);
    if here.is_empty() && looks_further { within(&code) } else { here }
}

/// The shortest part of `path` that is not given; `None` where all of it is.
fn lacking(path: &str, given: &Value, globals: &BTreeSet<&str>) -> Option<String> {
    let mut names = path.split('.').peekable();
    if names.peek().is_some_and(|name| globals.contains(name)) {
        return None;
    }
    let mut value = given.clone();
    let mut so_far = String::new();
    for name in names {
        value = value.get_attr(name).unwrap_or_default();
        so_far = if so_far.is_empty() { name.to_owned() } else { format!("{so_far}.{name}") };
        if value.is_undefined() {
            return Some(so_far);
        }
    }
    None
}

/// Whether `code` reads `path` and neither asks whether it is defined nor brings a default for it.
fn is_needed(path: &str, code: &str) -> bool {
    let is_of_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut reads = code.match_indices(path).filter_map(|(at, _)| {
        let (before, after) = (&code[..at], &code[at + path.len()..]);
        let is_whole = !before.ends_with(|c| is_of_name(c) || c == '.') && !after.starts_with(is_of_name);
        is_whole.then_some(after)
    });
    let Some(first) = reads.next() else { return false };
    !std::iter::once(first).chain(reads).any(is_guarded)
}

fn is_guarded(after: &str) -> bool {
    let mut words =
        after.split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '%' | '}')).filter(|word| !word.is_empty());
    let Some(first) = words.next() else { return false };
    let second = words.next().unwrap_or_default();
    match first {
        "is" => matches!(second, "defined" | "undefined") || second == "not" && words.next() == Some("defined"),
        "|" => matches!(second, "default" | "d"),
        word => matches!(word, "|default" | "|d"),
    }
}

/// The source with everything blanked that is not within `{{ }}` or `{% %}`; its lines stay where they are.
fn code_of(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = [rest.find("{{"), rest.find("{%")].into_iter().flatten().min() {
        let (text, tag) = rest.split_at(start);
        let closing = if tag.starts_with("{{") { "}}" } else { "%}" };
        let (tag, after) = tag.split_at(tag.find(closing).map_or(tag.len(), |end| end + closing.len()));
        code.extend(text.chars().filter(|&c| c == '\n').chain([' ']));
        code.push_str(tag);
        rest = after;
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_needed_where_it_is_read_without_a_guard() {
        for (code, is_read) in [
            ("{{ stats | items }}", true),
            ("{{ stats }}", true),
            ("{{ stats.open }}", true),
            ("{{ my_stats }} {{ x.stats }} {{ statsy }}", false),
            ("{{ stats | default(1) }}", false),
            ("{{ stats|default }}", false),
            ("{% if stats is defined and stats %}{{ stats }}{% endif %}", false),
            ("{% if stats is not defined %}", false),
        ] {
            assert_eq!(is_needed("stats", code), is_read, "{code}");
        }
    }

    #[test]
    fn only_what_is_within_tags_is_code() {
        assert_eq!(
            code_of("stats {{ a }}\nstats\n{% b %} c").split('\n').map(str::trim).collect::<Vec<_>>(),
            ["{{ a }}", "", "{% b %}"]
        );
    }
}
