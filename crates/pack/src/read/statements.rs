//! Reads SQL, steps and queries.

use std::collections::BTreeSet;

use super::runners::leads_out;
use super::{Known, Reader, text_of};
use crate::fault::{Place, allowed};
use crate::kind::{DEFAULT_MAX_ROWS, Data, EffectSteps, NoRow, Query, Rows, Step};
use crate::pack::Script;
use crate::param::{ParamType, Params};
use crate::sql::{Bind, Dialect, RawStatement, Sql, SqlType, Statement, split};
use crate::tree::{Node, Path, Text};

/// Parameters that every statement may use.
const ALWAYS: [(&str, SqlType); 3] = [("now", SqlType::Datetime), ("today", SqlType::Date), ("task_id", SqlType::Text)];
/// Fields that every result has.
const RESERVED_RESULTS: [&str; 3] = ["success", "message", "skipped"];

/// What SQL is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SqlForm {
    /// One statement that only reads.
    Query,
    /// One statement whose rows are used.
    Rows,
    /// Any number of statements.
    Statements,
}

/// Where the SQL of a dialect stands.
struct SqlText<'a> {
    /// The file, and its text; `None` for SQL inside `pack.toml`.
    file: Option<(String, &'a str)>,
    inline: &'a str,
}

impl<'a> Reader<'a> {
    /// The SQL of a field, with the values of the field `bind` beside it.
    pub(super) fn sql(&mut self, node: &Node, name: &str, path: &Path, known: &Known<'_>, form: SqlForm) -> Option<Sql> {
        let field = node.get(name)?;
        let written = field.text()?;
        let bind = self.binds(node.get("bind"), &path.at("bind"), known);
        let kind_of = |name: &str| kind_of(name, &bind, known.params);
        let path_of_sql = path.at(name);
        let sqlite = self.statements(field, written, &path_of_sql, Dialect::Sqlite, form, &kind_of)?;
        let postgres = self.statements(field, written, &path_of_sql, Dialect::Postgres, form, &kind_of)?;
        let used: BTreeSet<&str> = sqlite
            .iter()
            .chain(&postgres)
            .flat_map(|statement| &statement.parameters)
            .map(|parameter| parameter.name.as_str())
            .collect();
        for entry in node.get("bind").map(Node::entries).unwrap_or_default() {
            if !used.contains(entry.key.as_str()) {
                let message = format!(
                    "no statement uses :{}. Remove the value, or use it.{}",
                    entry.key,
                    allowed(&entry.key, used.iter().copied())
                );
                self.fault(entry.key_at, &path.at("bind").at(&entry.key), message);
            }
        }
        Some(Sql { sqlite, postgres, bind, place: self.text.place(field.at) })
    }

    /// A script of statements, whose parameters are `:now` and `:today`.
    pub(super) fn script(&mut self, node: &Node, name: &str, path: &Path) -> Option<Script> {
        let field = node.get(name)?;
        let written = field.text()?;
        let path = path.at(name);
        if !is_sql_file(written) {
            self.fault(field.at, &path, format!("must be a file of the pack that ends in .sql; got {written:?}."));
            return None;
        }
        let kind_of =
            |name: &str| ALWAYS.into_iter().find(|(known, _)| *known == name && name != "task_id").map(|(_, kind)| kind);
        let sqlite = self.statements(field, written, &path, Dialect::Sqlite, SqlForm::Statements, &kind_of)?;
        let postgres = self.statements(field, written, &path, Dialect::Postgres, SqlForm::Statements, &kind_of)?;
        Some(Script { sqlite, postgres })
    }

    fn statements(
        &mut self,
        field: &Node,
        written: &str,
        path: &Path,
        dialect: Dialect,
        form: SqlForm,
        kind_of: &dyn Fn(&str) -> Option<SqlType>,
    ) -> Option<Vec<Statement>> {
        let text = self.sql_text(field, written, path, dialect)?;
        let source = text.file.as_ref().map_or(text.inline, |(_, text)| *text);
        let raw = match split(source) {
            Ok(raw) => raw,
            Err(faults) => {
                for (at, message) in faults {
                    self.sql_fault(field, path, &text, at, message);
                }
                return None;
            }
        };
        self.undeclared(field, path, &text, &raw, kind_of);
        if form == SqlForm::Query {
            self.writes(field, path, &text, &raw);
        }
        if form != SqlForm::Statements && raw.len() > 1 {
            let at = raw.get(1).map_or(0, |second| second.at);
            let message =
                format!("must be one statement, because its rows are used; there are {}. Use steps of their own.", raw.len());
            self.sql_fault(field, path, &text, at, message);
        }
        let place = |statement: &RawStatement<'_>| match &text.file {
            Some((label, text)) => Text { label, text }.place(statement.at),
            None => self.text.place(field.at),
        };
        Some(raw.iter().map(|statement| statement.rendered(dialect, place(statement), kind_of)).collect())
    }

    /// Queries run in a transaction that only reads.
    fn writes(&mut self, field: &Node, path: &Path, text: &SqlText<'_>, raw: &[RawStatement<'_>]) {
        for (at, words) in raw.iter().filter_map(RawStatement::write) {
            let message =
                format!("{words} is not allowed here: a query only reads, and locks nothing. Use a step for what writes.");
            self.sql_fault(field, path, text, at, message);
        }
    }

    /// Each undeclared parameter is told once.
    fn undeclared(
        &mut self,
        field: &Node,
        path: &Path,
        text: &SqlText<'_>,
        raw: &[RawStatement<'_>],
        kind_of: &dyn Fn(&str) -> Option<SqlType>,
    ) {
        let mut told = BTreeSet::new();
        for (name, at) in raw.iter().flat_map(RawStatement::names) {
            if kind_of(name).is_none() && told.insert(name) {
                let message = format!(
                    "the parameter :{name} is not declared. Declare a param or a `bind` of this name, or use :now, :today or :task_id."
                );
                self.sql_fault(field, path, text, at, message);
            }
        }
    }

    /// A fault inside SQL: in a file at its line, else at the field.
    fn sql_fault(&mut self, field: &Node, path: &Path, text: &SqlText<'_>, at: usize, message: String) {
        match &text.file {
            Some((label, text)) => {
                let fault = Text { label, text }.fault(at, path, message);
                self.faults.push(fault);
            }
            None => self.fault(field.at, path, message),
        }
    }

    fn sql_text<'t>(&mut self, field: &Node, written: &'t str, path: &Path, dialect: Dialect) -> Option<SqlText<'t>>
    where
        'a: 't,
    {
        if !is_sql_file(written) {
            return Some(SqlText { file: None, inline: written });
        }
        let files = self.files;
        let Some(text) = files.text(written) else {
            // Told once, not for each dialect.
            if dialect == Dialect::Sqlite && leads_out(written) {
                let message = format!(
                    "{written:?} leads out of the pack. Put the file into the folder of pack.toml, or into one below it."
                );
                self.fault(field.at, path, message);
            } else if dialect == Dialect::Sqlite {
                let known = allowed(written, files.paths().filter(|path| is_sql_file(path) && !path.ends_with(".postgres.sql")));
                self.fault(
                    field.at,
                    path,
                    format!("the pack has no file {written:?}. Paths are relative to the folder of pack.toml.{known}"),
                );
            }
            return None;
        };
        let own = format!("{}.postgres.sql", written.trim_end_matches(".sql"));
        let file = match files.text(&own).filter(|_| dialect == Dialect::Postgres) {
            Some(text) => (files.label_of(&own), text),
            None => (files.label_of(written), text),
        };
        Some(SqlText { file: Some(file), inline: "" })
    }

    fn binds(&mut self, node: Option<&Node>, path: &Path, known: &Known<'_>) -> Vec<Bind> {
        let mut binds = Vec::new();
        for entry in node.map(Node::entries).unwrap_or_default() {
            let path = path.at(&entry.key);
            if known.params.get(&entry.key).is_some() {
                self.fault(
                    entry.key_at,
                    &path,
                    format!("{:?} is a param already, and bound as it is. Choose another name.", entry.key),
                );
            } else if ALWAYS.iter().any(|(name, _)| *name == entry.key) {
                self.fault(entry.key_at, &path, format!(":{} is bound already. Choose another name.", entry.key));
            }
            let (kind, value) = match entry.node.text() {
                Some(_) => (Some(SqlType::Text), self.value(&entry.node, &path, known)),
                None => match entry.node.get("value") {
                    Some(value) => (self.bound_type(&entry.node, &path), self.value(value, &path.at("value"), known)),
                    None => continue,
                },
            };
            binds.extend(kind.map(|kind| Bind { name: entry.key.clone(), kind, value }));
        }
        binds
    }

    fn bound_type(&mut self, node: &Node, path: &Path) -> Option<SqlType> {
        let plain = |name: Option<&str>| name.and_then(ParamType::plain).map(|kind| kind.sql_type());
        let name = node.get("type").and_then(Node::text);
        if name != Some("list") {
            return plain(name);
        }
        let items = plain(node.get("items").and_then(Node::text));
        if items.is_none() {
            self.fault(
                node.at,
                path,
                "is a list, and `items` does not say of what. Write { type = \"list\", items = \"integer\", value = … }.",
            );
        }
        // Some type: the parameter is declared, if badly.
        Some(items.map_or(SqlType::Json, SqlType::listed))
    }

    /// A list of steps. Their names are added to what is known, each for those after it.
    pub(super) fn steps(
        &mut self,
        node: &Node,
        name: &str,
        path: &Path,
        known: &mut Known<'_>,
        source: Option<&str>,
    ) -> Vec<Step> {
        let path = path.at(name);
        let mut steps = Vec::new();
        for (index, item) in node.get(name).map(Node::items).unwrap_or_default().iter().enumerate() {
            let path = path.item(index);
            let name = text_of(item, "name");
            let step = self.step(item, name.clone(), &path, known);
            if let Some(name) = &name {
                self.result_name(item.get("name").map_or(item.at, |node| node.at), &path.at("name"), name, known);
            }
            steps.extend(step);
        }
        if let (Some(entry), None) = (node.entry(name).filter(|_| !steps.is_empty()), source) {
            self.no_source(entry.key_at, &path);
        }
        steps
    }

    /// One step: the fields `sql`, `rows`, `max_rows`, `required`, `when` and `bind` of a table.
    pub(super) fn step(&mut self, node: &Node, name: Option<String>, path: &Path, known: &Known<'_>) -> Option<Step> {
        let rows = rows_of(node, Rows::Affected);
        let form = if rows == Rows::Affected { SqlForm::Statements } else { SqlForm::Rows };
        let when =
            if name.is_some() || node.get("name").is_none() { self.expression_field(node, "when", path, known) } else { None };
        let sql = self.sql(node, "sql", path, known, form)?;
        let required = node.get("required").and_then(Node::boolean).unwrap_or(false);
        Some(Step { name, sql, rows, max_rows: max_rows(node), required, when })
    }

    /// A name under which a result becomes known.
    pub(super) fn result_name(&mut self, at: usize, path: &Path, name: &str, known: &mut Known<'_>) {
        if RESERVED_RESULTS.contains(&name) {
            self.fault(at, path, format!("every result has a field {name:?} already. Choose another name."));
        }
        if !known.results.insert(name.to_owned()) {
            self.fault(at, path, format!("the name {name:?} is taken by a step, query or link before. Choose another name."));
        }
    }

    pub(super) fn data(&mut self, node: &Node, path: &Path, known: &mut Known<'_>, source: Option<&str>) -> Data {
        let query = self.sql(node, "query", path, known, SqlForm::Query).map(|sql| Query {
            sql,
            rows: Rows::Many,
            max_rows: max_rows(node),
        });
        self.query_options(node, path);
        let has_query = node.get("query").is_some();
        (known.row, known.rows) = (has_query, has_query);
        let mut queries = Vec::new();
        let path_of_queries = path.at("queries");
        for entry in node.get("queries").map(Node::entries).unwrap_or_default() {
            let path = path_of_queries.at(&entry.key);
            if !crate::shape::is_name(&entry.key) {
                self.fault(
                    entry.key_at,
                    &path,
                    format!("{:?} is not a name: a-z, 0-9 and _, beginning with a letter.", entry.key),
                );
            }
            let sql = self.sql(&entry.node, "sql", &path, known, SqlForm::Query);
            self.result_name(entry.key_at, &path, &entry.key, known);
            queries.extend(sql.map(|sql| {
                (entry.key.clone(), Query { sql, rows: rows_of(&entry.node, Rows::Many), max_rows: max_rows(&entry.node) })
            }));
        }
        for name in ["query", "queries"] {
            if let (Some(entry), None) = (node.entry(name), source) {
                self.no_source(entry.key_at, &path.at(name));
            }
        }
        let no_row = match node.get("no_row").and_then(Node::text) {
            Some("skip") => NoRow::Skip,
            Some("continue") => NoRow::Continue,
            _ => NoRow::Fail,
        };
        Data { query, no_row, queries }
    }

    /// Options of `query` have no meaning without one.
    fn query_options(&mut self, node: &Node, path: &Path) {
        if node.get("query").is_some() {
            return;
        }
        for name in ["bind", "max_rows", "no_row"] {
            if let Some(entry) = node.entry(name) {
                self.fault(
                    entry.key_at,
                    &path.at(name),
                    format!("{name} belongs to `query`, which is missing. Give a `query`, or remove it."),
                );
            }
        }
    }

    /// Steps around an effect. What is known afterwards has the names of all of them.
    pub(super) fn effect_before(&mut self, node: &Node, path: &Path, known: &mut Known<'_>, source: Option<&str>) -> Vec<Step> {
        self.steps(node, "before", path, known, source)
    }

    pub(super) fn effect_steps(
        &mut self,
        node: &Node,
        path: &Path,
        before: Vec<Step>,
        known: &mut Known<'_>,
        source: Option<&str>,
    ) -> EffectSteps {
        let mut when_failed = Known { error: true, ..known.clone() };
        let on_failure = self.steps(node, "on_failure", path, &mut when_failed, source);
        known.outcome = true;
        let after = self.steps(node, "after", path, known, source);
        EffectSteps { before, after, on_failure }
    }

    pub(super) fn no_source(&mut self, at: usize, path: &Path) {
        let message = if self.sources.is_empty() {
            "needs a database, and the pack declares none. Declare one, as in [sources.app].".to_owned()
        } else {
            format!("does not say in which database. Give the kind a `source`, or [defaults] one: {}.", self.sources.join(", "))
        };
        self.fault(at, path, message);
    }
}

fn kind_of(name: &str, binds: &[Bind], params: &Params) -> Option<SqlType> {
    let bound = binds.iter().find(|bind| bind.name == name).map(|bind| bind.kind.clone());
    let always = || ALWAYS.into_iter().find(|(known, _)| *known == name).map(|(_, kind)| kind);
    bound.or_else(|| params.get(name).map(|param| param.kind.sql_type())).or_else(always)
}

fn rows_of(node: &Node, default: Rows) -> Rows {
    match node.get("rows").and_then(Node::text) {
        Some("none") => Rows::Affected,
        Some("one") => Rows::One,
        Some("many") => Rows::Many,
        _ => default,
    }
}

fn max_rows(node: &Node) -> u32 {
    node.get("max_rows").and_then(Node::integer).and_then(|rows| u32::try_from(rows).ok()).unwrap_or(DEFAULT_MAX_ROWS)
}

/// Whether a text names a file, in small letters, rather than being SQL itself.
fn is_sql_file(text: &str) -> bool {
    text.rsplit_once('.').is_some_and(|(_, ending)| ending.trim_end() == "sql")
}

/// The place of a file's first character.
pub(super) fn file_start(label: String) -> Place {
    Place { file: label, line: 1, column: 1 }
}
