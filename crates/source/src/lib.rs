//! Sources: the application's databases, as far as they are declared (`SOURCES`), and what kinds may do with them.
//!
//! Names in a statement come out of the declaration, values are bound. A row is a JSON object by field name: times in RFC 3339 in UTC,
//! days as `2026-01-31`. Statements never wait for ever; what streams does so from one snapshot, at the pace of who reads.

mod aggregation;
mod connect;
mod declaration;
mod demo;
mod error;
pub mod model;
mod postgres;
mod query;
mod raw;
mod record;
mod sql;
mod sqlite;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;

use secrecy::ExposeSecret as _;
use serde_json::{Map, Value};
use tokio::sync::mpsc;

use self::postgres::Pg;
use self::query::{Condition, Operand, bound};
use self::sql::{Dialect, Sql, select};
use self::sqlite::File;
use crate::model::{FieldType, Model, ModelField, ModelRole};
pub use declaration::{DEFAULT_SOURCE, DemoScript, SourceConfig, SourcePlace, SourcesConfig};

pub use aggregation::{Aggregation, AggregationRow, Group, Measure, Order};
pub use error::{QueryError, SourceError};
pub use query::{Filter, Operator, Query};
pub use raw::{Access, Bound, RawStatement, Transaction, Wanted};
pub use record::{Cell, Cells, Chunk, json_of, time_of};
pub use write::Batch;

/// Tells the present time; the caller decides which clock it is.
pub type Now = Arc<dyn Fn() -> jiff::Timestamp + Send + Sync>;

/// A row: values by field name.
pub type Row = Map<String, Value>;

/// The sources of a process, by name.
pub struct Sources {
    by_name: BTreeMap<String, Arc<Source>>,
}

impl Sources {
    /// Sets them up; nothing is connected yet. `now` dates the rows of the demonstration.
    pub fn new(config: &SourcesConfig, now: &Now) -> Result<Self, SourceError> {
        let made = config.sources.iter().map(|(name, source)| Ok((name.clone(), Arc::new(Source::new(name, source, now)?))));
        Ok(Self { by_name: made.collect::<Result<_, SourceError>>()? })
    }

    /// A source by name; without one `app`, or the only one that there is. The error names those that there are.
    pub fn get(&self, name: Option<&str>) -> Result<&Arc<Source>, String> {
        let found = match name {
            Some(name) => self.by_name.get(name),
            None if self.by_name.len() == 1 => self.by_name.values().next(),
            None => self.by_name.get(DEFAULT_SOURCE),
        };
        found.ok_or_else(|| {
            let known: Vec<&str> = self.by_name.keys().map(String::as_str).collect();
            let known = known.join(", ");
            match name {
                Some(name) => format!("there is no source {name:?}; there are {known}"),
                None => format!("is missing: no source is called {DEFAULT_SOURCE}; there are {known}"),
            }
        })
    }

    /// All declared sources, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Source>> {
        self.by_name.values()
    }

    /// Makes the demonstration file, where one is to be made and is missing.
    pub async fn prepare(&self) -> Result<(), SourceError> {
        for source in self.iter() {
            if let Database::Sqlite(file) = &source.database {
                file.prepare().await.map_err(|error| SourceError::of(&source.name, error))?;
            }
        }
        Ok(())
    }

    /// Closes the connections of all sources. Called once, at shutdown.
    pub async fn close(&self) {
        for source in self.iter() {
            match &source.database {
                Database::Postgres(database) => database.close().await,
                Database::Sqlite(file) => file.close().await,
            }
        }
    }
}

enum Database {
    Postgres(Box<Pg>),
    Sqlite(File),
}

/// One database of the application, and its models.
pub struct Source {
    name: String,
    models: BTreeMap<String, Arc<Model>>,
    database: Database,
}

impl Source {
    fn new(name: &str, config: &SourceConfig, now: &Now) -> Result<Self, SourceError> {
        let database = match &config.place {
            SourcePlace::Postgres(url) => {
                Database::Postgres(Box::new(Pg::new(url.expose_secret()).map_err(|error| SourceError::of(name, error))?))
            }
            SourcePlace::Sqlite(path) => Database::Sqlite(File::new(path, None)),
            SourcePlace::Memory(script) => {
                let file = File::in_memory(now.clone(), script.clone()).map_err(|error| SourceError::of(name, error))?;
                Database::Sqlite(file)
            }
            SourcePlace::Demo(path) => Database::Sqlite(File::new(path, Some((now.clone(), None)))),
            SourcePlace::Scripted(path, script) => Database::Sqlite(File::new(path, Some((now.clone(), Some(script.clone()))))),
        };
        Ok(Self { name: name.to_owned(), models: config.models.clone(), database })
    }

    /// The name under which the source was declared.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether its database is made by a script of somebody else.
    pub fn is_scripted(&self) -> bool {
        matches!(&self.database, Database::Sqlite(file) if file.is_scripted())
    }

    /// The file of its demonstration, where it is one.
    pub fn made_file(&self) -> Option<&std::path::Path> {
        match &self.database {
            Database::Postgres(_) => None,
            Database::Sqlite(file) => file.made_file(),
        }
    }

    /// Its models, by name.
    pub fn models(&self) -> impl Iterator<Item = &Arc<Model>> {
        self.models.values()
    }

    /// A model by name. The error names those that there are.
    pub fn model(&self, name: &str) -> Result<&Arc<Model>, String> {
        self.models.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.models.keys().map(String::as_str).collect();
            format!("there is no model {name:?} in the source {}; there are {}", self.name, known.join(", "))
        })
    }

    /// The model with a role.
    pub fn model_with(&self, role: ModelRole) -> Result<&Arc<Model>, SourceError> {
        self.models.values().find(|model| model.role == Some(role)).ok_or_else(|| {
            let name = &self.name;
            SourceError::Undeclared(format!(
                "no model of the source {name} has the role {role}: declare [sources.{name}.models.{role}] in SOURCES"
            ))
        })
    }

    /// Asks for an answer.
    pub async fn ping(&self) -> Result<(), SourceError> {
        self.rows(&Sql::new(self.dialect(), "SELECT '1'")).await.map(drop)
    }

    /// The row with a key, with all declared fields.
    pub async fn find(&self, model: &Arc<Model>, key: &Value) -> Result<Option<Row>, SourceError> {
        let filter = Filter::all(model).and(&model.key, Operator::Eq, key)?;
        Ok(self.page(&Query::of(filter), None, 1).await?.pop())
    }

    /// At most `limit` rows in the order of the key, those after the key `after`. The last row's key is the next `after`, so the key has to
    /// be among the fields of the query.
    pub async fn page(&self, query: &Query, after: Option<&Value>, limit: u32) -> Result<Vec<Row>, SourceError> {
        let mut sql = select(self.dialect(), query.model(), &query.fields);
        let after = after.map(|key| key_condition(query.model(), Operator::Gt, key)).transpose()?;
        sql.filter(&query.filter, after.as_slice());
        let order = self.ordered_by(query.model(), key_of(query.model())?);
        sql.push(&[" ORDER BY ", &order, " LIMIT ", &limit.to_string()]);
        Ok(self.rows(&sql).await?.into_iter().map(|cells| row_of(&query.fields, cells)).collect())
    }

    /// How many rows a filter lets through.
    pub async fn count(&self, filter: &Filter) -> Result<u64, SourceError> {
        let mut sql = Sql::new(self.dialect(), "SELECT CAST(COUNT(*) AS text) FROM ");
        sql.push(&[&self.dialect().table(filter.model())]).filter(filter, &[]);
        let rows = self.rows(&sql).await?;
        Ok(rows.first().and_then(|row| row.first()?.as_ref()?.parse().ok()).unwrap_or(0))
    }

    /// Streams the rows of a query as CSV, in chunks, from one snapshot, in whatever order the database gives them. `total` is told before
    /// the first row how many there will be, about. Ends early where the receiver was dropped. Returns the rows sent.
    ///
    /// Dropping the future ends the statement.
    pub async fn copy(&self, query: &Query, total: impl FnOnce(u64) + Send, to: mpsc::Sender<Chunk>) -> Result<u64, SourceError> {
        let copied = match &self.database {
            Database::Postgres(database) => database.copy(query, total, &to).await,
            Database::Sqlite(file) => file.copy(query, total, &to).await,
        };
        copied.map_err(|error| SourceError::of(&self.name, error))
    }

    /// A column to order by, with its table: alone it would be that of the answer, which is text, where `10` comes before `9`.
    fn ordered_by(&self, model: &Model, field: &ModelField) -> String {
        format!("{}.{}", self.dialect().table(model), self.dialect().quoted(&field.column))
    }

    fn dialect(&self) -> Dialect {
        match &self.database {
            Database::Postgres(_) => Dialect::Postgres,
            Database::Sqlite(_) => Dialect::Sqlite,
        }
    }

    async fn rows(&self, sql: &Sql) -> Result<Vec<Vec<Option<String>>>, SourceError> {
        let rows = match &self.database {
            Database::Postgres(database) => database.rows(sql).await,
            Database::Sqlite(file) => file.rows(sql).await,
        };
        rows.map_err(|error| SourceError::of(&self.name, error))
    }
}

/// The rows of a chunk as JSON; `fields` are those of its query.
pub fn rows_of(fields: &[ModelField], chunk: &Chunk) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut cells = Vec::with_capacity(fields.len());
    for cell in chunk.cells() {
        cells.push(cell.text().map(std::borrow::Cow::into_owned));
        if cell.is_last {
            rows.push(row_of(fields, std::mem::take(&mut cells)));
        }
    }
    rows
}

fn row_of(fields: &[ModelField], cells: Vec<Option<String>>) -> Row {
    fields.iter().zip(cells).map(|(field, text)| (field.name.clone(), json_of(field.kind, text.as_deref()))).collect()
}

fn key_of(model: &Model) -> Result<&ModelField, SourceError> {
    model.key_field().ok_or_else(|| SourceError::Undeclared(format!("the key of the model {} is none of its fields", model.name)))
}

fn key_condition(model: &Model, operator: Operator, key: &Value) -> Result<Condition, SourceError> {
    let field = key_of(model)?;
    let bound =
        |value: &Value| bound(field.kind, value).map_err(|reason| SourceError::Undeclared(format!("{}: {reason}", field.name)));
    Ok(Condition { column: field.column.clone(), kind: field.kind, operator, operand: Operand::One(bound(key)?) })
}

/// A key as the database gave it, as JSON.
fn key_value(kind: FieldType, text: &str) -> Value {
    json_of(kind, Some(text))
}
