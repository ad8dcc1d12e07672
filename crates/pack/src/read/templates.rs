//! The templates of a pack, and the names that they may use.

use std::collections::{BTreeMap, BTreeSet};

use super::statements::file_start;
use super::{Known, ended};
use crate::engine::Engine;
use crate::fault::Fault;
use crate::files::PackFiles;
use crate::param::Params;

pub(super) const EMAILS: &str = "templates/emails/";
pub(super) const REPORTS: &str = "templates/reports/";
/// What mails see beside the scope of the kind.
const OF_MAILS: [&str; 6] = ["recipient_email", "recipient_name", "subject", "user", "site_name", "frontend_url"];

/// A kind that renders a template, and what it gives to it.
pub(super) struct TemplateUse {
    pub(super) files: Vec<String>,
    params: Params,
    row: bool,
    results: BTreeSet<String>,
    outcome: bool,
    extra: BTreeSet<String>,
}

impl TemplateUse {
    /// `is_mail` adds what every mail sees.
    pub(super) fn new(files: Vec<String>, known: &Known<'_>, is_mail: bool) -> Self {
        let mut extra = known.extra.clone();
        if is_mail {
            extra.extend(OF_MAILS.map(str::to_owned));
        }
        extra.insert("site_name".into());
        Self {
            files,
            params: known.params.clone(),
            row: known.row,
            results: known.results.clone(),
            outcome: known.outcome,
            extra,
        }
    }

    fn known(&self) -> Known<'_> {
        Known {
            params: &self.params,
            row: self.row,
            rows: self.row,
            results: self.results.clone(),
            outcome: self.outcome,
            error: false,
            extra: self.extra.clone(),
        }
    }
}

/// The files of a folder, by name with ending.
pub(super) fn files_of(files: &PackFiles, folder: &str) -> BTreeMap<String, String> {
    let named = files.paths().filter_map(|path| Some((path.strip_prefix(folder)?, files.text(path)?)));
    named.filter(|(name, _)| !name.contains('/')).map(|(name, text)| (name.to_owned(), text.to_owned())).collect()
}

/// Checks that all templates parse, and that those that kinds render use known names only.
pub(super) fn check(files: &PackFiles, engine: &Engine, uses: &[TemplateUse], settings: &BTreeSet<String>) -> Vec<Fault> {
    let mut faults = Vec::new();
    for path in files.paths().filter(|path| path.starts_with(EMAILS) || path.starts_with(REPORTS)) {
        let text = files.text(path).unwrap_or_default();
        let at_line = |line: usize, message: String| {
            let mut place = file_start(files.label_of(path));
            place.line = line;
            Fault { place, field: String::new(), message }
        };
        let names = match engine.names_of_template(path, text) {
            Ok(names) => names,
            Err((line, reason)) => {
                faults.push(at_line(line, format!("the template does not parse: {}", ended(&reason))));
                continue;
            }
        };
        let uses: Vec<&TemplateUse> = uses.iter().filter(|one| one.files.iter().any(|file| file == path)).collect();
        for name in names {
            // A template of several kinds may ask whether one of them gives a name.
            let told: Vec<String> = uses.iter().filter_map(|one| one.known().fault_of(&name, settings)).collect();
            if let Some(message) = told.first().filter(|_| told.len() == uses.len()) {
                faults.push(at_line(line_of(text, &name), message.clone()));
            }
        }
    }
    faults
}

/// The line at which a name is first written in a tag.
fn line_of(text: &str, name: &str) -> usize {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let is_whole =
        |line: &str, at: usize, length: usize| !line[..at].ends_with(is_part) && !line[at + length..].starts_with(is_part);
    let has = |line: &str, name: &str| line.match_indices(name).any(|(at, name)| is_whole(line, at, name.len()));
    let is_tagged = |line: &str| line.contains("{{") || line.contains("{%");
    let root = name.split('.').next().unwrap_or(name);
    let position = text
        .lines()
        .position(|line| is_tagged(line) && has(line, name))
        .or_else(|| text.lines().position(|line| has(line, root)));
    position.map_or(1, |index| index + 1)
}
