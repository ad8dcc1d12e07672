//! Links between the documents.

use super::page::Page;
use super::{documents, root};

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut broken = Vec::new();
    let others = ["ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(str::to_owned);
    for path in documents().into_iter().chain(others) {
        let text = Page::read(&path).text;
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split(')').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.contains(char::is_whitespace) {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let folder = root().join(&path).parent().unwrap().to_owned();
            let found = if file.is_empty() { root().join(&path) } else { folder.join(file) };
            let has_heading = || {
                let text = std::fs::read_to_string(&found).unwrap_or_default();
                text.lines().filter(|line| line.starts_with('#')).any(|line| anchor(line) == heading)
            };
            if !found.exists() || !heading.is_empty() && !has_heading() {
                broken.push(format!("{path}: {target}"));
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
}

/// The anchor that GitHub gives a heading.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | ' ')).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Folders below which paths without a leading folder of the repository are looked for.
const BASES: [&str; 2] = ["", "crates/engine/src"];

#[test]
fn every_path_that_the_documents_of_contributors_name_exists() {
    let mut missing = Vec::new();
    for page in ["ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let text = Page::read(page).text;
        for word in text.split('`').skip(1).step_by(2).filter(|word| is_path(word)) {
            if BASES.iter().all(|base| !root().join(base).join(word).exists()) {
                missing.push(format!("{page}: {word}"));
            }
        }
    }
    assert!(missing.is_empty(), "paths that do not exist:\n{}", missing.join("\n"));
}

/// Whether a word in backquotes is a path of the repository: it has a folder and no placeholder.
fn is_path(word: &str) -> bool {
    const ROOTS: [&str; 12] = [
        "src/",
        "crates/",
        "tests/",
        "docs/",
        "migrations/",
        "scripts/",
        "queue/",
        "store/",
        "worker/",
        "scheduler/",
        "broker/",
        "domain/",
    ];
    ROOTS.iter().any(|folder| word.starts_with(folder)) && !word.contains(['*', '{', ' ']) && word.to_lowercase() == word
}
