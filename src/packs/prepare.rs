//! What a database says of the statements that are for it, before any of them is run.

use std::sync::Arc;

use jiff::Timestamp;
use legwork_pack::{
    Dialect, ExportRows, Fault, Kind, Pack, PackSet, Query, Rows, Runner, Source as Declared, SourceUrl, Sql, Statement, Step,
};
use legwork_source::{Access, Now, Source, SourceError, Sources, Wanted};

use super::sources::in_memory;

/// What was found wrong.
#[derive(Default)]
pub(super) struct Refusals {
    /// Statements and scripts that a database refuses.
    pub refused: Vec<Fault>,
    /// Databases that do not answer.
    pub away: Vec<Fault>,
}

/// Prepares the statements of packs for databases in memory that are made of their scripts, as far as the sources have some.
pub async fn rehearse(set: &PackSet, now: Timestamp) -> Vec<Fault> {
    let mut found = Refusals::default();
    for pack in set.packs() {
        let clock: Now = Arc::new(move || now);
        let Ok(sources) = Sources::new(&in_memory(pack), &clock) else { continue };
        for declared in &pack.sources {
            if let Ok(source) = sources.get(Some(&declared.name)).cloned() {
                found.source(pack, declared, &source).await;
            }
        }
        sources.close().await;
    }
    found.refused
}

impl Refusals {
    /// Prepares every statement of a pack for its source.
    pub(super) async fn pack(&mut self, pack: &Pack, sources: &Sources) {
        for declared in &pack.sources {
            match sources.get(Some(&declared.name)) {
                Err(reason) => self.refused.push(fault_of(declared, reason)),
                Ok(source) => self.source(pack, declared, source).await,
            }
        }
    }

    async fn source(&mut self, pack: &Pack, declared: &Declared, source: &Source) {
        if let Err(error) = source.ping().await {
            if source.is_scripted() {
                let message =
                    format!("the scripts do not make the demonstration: {}. Correct `schema` or `demo`.", error.reason());
                self.refused.push(fault_of(declared, message));
            } else {
                self.away.push(fault_of(declared, format!("{error}. {}.", cure(declared))));
            }
            return;
        }
        let is_refused = self.statements(pack, source).await;
        if let (Some(file), true) = (source.made_file(), is_refused) {
            let file = file.display();
            let message = format!(
                "the demonstration {file} was made of the scripts as they were at that time. If they were changed since, delete this file; the next start makes it again."
            );
            self.refused.push(fault_of(declared, message));
        }
    }

    /// Returns whether the database refused a statement.
    async fn statements(&mut self, pack: &Pack, source: &Source) -> bool {
        let mut is_refused = false;
        let dialect = if source.is_postgres() { Dialect::Postgres } else { Dialect::Sqlite };
        for kind in pack.kinds.iter().filter(|kind| kind.source.as_deref() == Some(source.name())) {
            for found in statements_of(kind) {
                for statement in found.sql.statements(dialect) {
                    let messages = match prepared(source, statement, found.wanted).await {
                        Ok(names) => found.faults(&names),
                        Err(error) => {
                            is_refused = true;
                            vec![format!("{dialect} refuses the statement: {}. Correct it, or the tables.", error.reason())]
                        }
                    };
                    let field = format!("kinds.{:?}", kind.name);
                    let fault = |message| Fault { place: statement.place.clone(), field: field.clone(), message };
                    self.refused.extend(messages.into_iter().map(fault));
                }
            }
        }
        is_refused
    }
}

fn fault_of(declared: &Declared, message: String) -> Fault {
    Fault { place: declared.place.clone(), field: format!("sources.{}", declared.name), message }
}

/// The names of the columns that a statement gives.
async fn prepared(source: &Source, statement: &Statement, wanted: Wanted) -> Result<Vec<String>, SourceError> {
    // A transaction each: in Postgres a refused statement ends its transaction.
    source.begin(Access::Read).await?.prepare(&statement.text, wanted).await
}

/// What to do about a database that does not answer.
fn cure(source: &Declared) -> String {
    let place = match &source.url {
        Some(SourceUrl::Env(name)) => format!("the variable {name}"),
        Some(SourceUrl::Url(_)) => "the `url` of the source".to_owned(),
        None => "its URL in the file SOURCES".to_owned(),
    };
    format!("Start the database, or correct {place}; where the file SOURCES declares the source, it is the URL there that counts")
}

/// SQL of a kind, and how its answer is used.
struct Found<'a> {
    sql: &'a Sql,
    wanted: Wanted,
    /// The column that has to be among those of the answer.
    key: Option<&'a str>,
    /// Whether expressions name the columns; an export just writes them.
    is_named: bool,
}

impl<'a> Found<'a> {
    fn rows(sql: &'a Sql) -> Self {
        Self { sql, wanted: Wanted::Rows, key: None, is_named: true }
    }

    fn query(query: &'a Query) -> Self {
        Self::rows(&query.sql)
    }

    fn step(step: &'a Step) -> Self {
        let wanted = if step.rows == Rows::Affected { Wanted::Count } else { Wanted::Rows };
        Self { wanted, ..Self::rows(&step.sql) }
    }

    /// What is wrong with the columns of the answer.
    fn faults(&self, names: &[String]) -> Vec<String> {
        if self.wanted == Wanted::Count {
            return Vec::new();
        }
        let mut faults = Vec::new();
        for (index, name) in names.iter().enumerate() {
            if self.is_named && is_made_up(name) {
                faults.push(format!(
                    "column {}, {name:?}, has no name by which an expression could call it. Give it one, as in COUNT(*) AS number.",
                    index + 1
                ));
            } else if names[..index].contains(name) {
                faults.push(format!(
                    "two columns are called {name:?}, so that one hides the other. Rename one, as in {name} AS other."
                ));
            }
        }
        if let Some(key) = self.key.filter(|key| !names.iter().any(|name| name == key)) {
            let known = names.join(", ");
            faults.push(format!("the query gives no column {key:?}, which is the `key` of the fan_out; it gives {known}. Name one of these as `key`."));
        }
        faults
    }
}

/// Whether a database made the name of a column up: `SQLite` takes the text of the expression, Postgres says `?column?`.
fn is_made_up(name: &str) -> bool {
    name.is_empty() || name.contains(|c: char| "()*+/|?<>='\"".contains(c)) || name.starts_with(|c: char| c.is_ascii_digit())
}

/// All SQL of a kind.
fn statements_of(kind: &Kind) -> Vec<Found<'_>> {
    let mut all: Vec<Found<'_>> = Vec::new();
    all.extend(kind.data.query.iter().map(Found::query));
    all.extend(kind.data.queries.iter().map(|(_, query)| Found::query(query)));
    for steps in [&kind.steps.before, &kind.steps.after, &kind.steps.on_failure] {
        all.extend(steps.iter().map(Found::step));
    }
    match &kind.runner {
        Runner::Sql(steps) => all.extend(steps.iter().map(Found::step)),
        Runner::FanOut(fan_out) => all.push(Found { key: Some(&fan_out.key), ..Found::rows(&fan_out.query) }),
        Runner::Export(export) => {
            if let ExportRows::Query(sql) = &export.rows {
                all.push(Found { is_named: false, ..Found::rows(sql) });
            }
        }
        _ => {}
    }
    all
}
