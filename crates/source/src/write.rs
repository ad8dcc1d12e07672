//! What kinds may change: rows inserted once, changed and deleted by filter, in batches that are each a transaction of their own. Only in
//! models that the declaration opens (`write = true`).

use serde_json::{Map, Value};

use super::query::{Condition, Filter, Operand, Operator, moment};
use super::record::sqlite_time;
use super::sql::{Dialect, Sql};
use super::{Database, Row, Source, SourceError, key_condition, key_of, key_value};
use crate::model::{FieldType, Model, ModelField};

/// What one batch did.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Rows changed or deleted.
    pub rows: u64,
    /// Where the next batch goes on; `None` when all is done.
    pub next: Option<Value>,
}

/// What happens to the rows of a batch.
enum Change<'a> {
    Update(&'a Row),
    Delete,
}

impl Source {
    /// Inserts rows in one statement; each row has the same fields as the first. A row for which the table holds one with the same values
    /// of `once_by` is left out, so that a second attempt inserts nobody twice; empty inserts all. Returns the rows inserted.
    pub async fn insert(&self, model: &Model, rows: &[Row], once_by: &[&str]) -> Result<u64, SourceError> {
        self.may_write(model)?;
        let Some(first) = rows.first() else { return Ok(0) };
        let fields = first.keys().map(|name| declared(model, name)).collect::<Result<Vec<_>, _>>()?;
        let unique = once_by.iter().map(|name| declared(model, name)).collect::<Result<Vec<_>, _>>()?;
        let values: Vec<Value> = rows.iter().map(|row| self.by_column(&fields, row).into()).collect();
        let mut sql = Sql::new(self.dialect(), "INSERT INTO ");
        let table = self.dialect().table(model);
        let columns: Vec<String> = fields.iter().map(|field| self.dialect().quoted(&field.column)).collect();
        sql.push(&[&table, " (", &columns.join(", "), ") SELECT "]);
        let bound = sql.bind(Value::Array(values).to_string());
        let of_row = |field: &ModelField| self.of_record(field);
        sql.push(&[&fields.iter().map(|field| of_row(field)).collect::<Vec<_>>().join(", "), " FROM "]);
        match self.dialect() {
            Dialect::Sqlite => sql.push(&["json_each(", &bound, ") AS r WHERE TRUE"]),
            _ => sql.push(&["jsonb_populate_recordset(CAST(NULL AS ", &table, "), CAST(", &bound, " AS jsonb)) AS r WHERE TRUE"]),
        };
        if !unique.is_empty() {
            let same = if self.dialect() == Dialect::Sqlite { "IS" } else { "IS NOT DISTINCT FROM" };
            let equal: Vec<String> = unique
                .iter()
                .map(|field| format!("known.{} {same} {}", self.dialect().quoted(&field.column), of_row(field)))
                .collect();
            sql.push(&[" AND NOT EXISTS (SELECT 1 FROM ", &table, " AS known WHERE ", &equal.join(" AND "), ")"]);
        }
        self.execute(&sql).await
    }

    /// Sets fields of at most `limit` rows that a filter lets through, those after the key `after`, in one transaction. Call it again with
    /// `next` until that is `None`.
    pub async fn update(&self, filter: &Filter, set: &Row, after: Option<&Value>, limit: u32) -> Result<Batch, SourceError> {
        self.change(filter, &Change::Update(set), after, limit).await
    }

    /// Deletes at most `limit` rows that a filter lets through, those after the key `after`, in one transaction. Call it again with `next`
    /// until that is `None`.
    pub async fn delete(&self, filter: &Filter, after: Option<&Value>, limit: u32) -> Result<Batch, SourceError> {
        self.change(filter, &Change::Delete, after, limit).await
    }

    async fn change(
        &self,
        filter: &Filter,
        change: &Change<'_>,
        after: Option<&Value>,
        limit: u32,
    ) -> Result<Batch, SourceError> {
        let model = filter.model();
        self.may_write(model)?;
        let key = key_of(model)?;
        let column = self.dialect().quoted(&key.column);
        let after = after.map(|key| key_condition(model, Operator::Gt, key)).transpose()?;
        let mut keys = Sql::new(self.dialect(), "SELECT CAST(");
        keys.push(&[&column, " AS text) FROM ", &self.dialect().table(model)]).filter(filter, after.as_slice());
        keys.push(&[" ORDER BY ", &self.ordered_by(model, key), " LIMIT ", &limit.to_string()]);
        if self.dialect() != Dialect::Sqlite {
            keys.push(&[" FOR UPDATE"]);
        }
        // Made before anything is locked: what the declaration lacks is found now.
        let head = match change {
            Change::Update(set) => self.update_head(model, set)?,
            Change::Delete => {
                let mut sql = Sql::new(self.dialect(), "DELETE FROM ");
                sql.push(&[&self.dialect().table(model)]);
                sql
            }
        };
        let then = |found: &[String]| {
            let operand = Operand::Many(found.to_vec());
            let mut sql = head;
            sql.filter(
                &Filter::all(model),
                &[Condition { column: key.column.clone(), kind: key.kind, operator: Operator::In, operand }],
            );
            sql
        };
        let changed = match &self.database {
            Database::Postgres(database) => database.keys_then(&keys, then).await,
            Database::Sqlite(file) => file.keys_then(&keys, then).await,
        };
        let (found, rows) = changed.map_err(|error| SourceError::of(&self.name, error))?;
        let is_full = u32::try_from(found.len()).is_ok_and(|found| found >= limit);
        Ok(Batch { rows, next: found.last().filter(|_| is_full).map(|last| key_value(key.kind, last)) })
    }

    fn update_head(&self, model: &Model, set: &Row) -> Result<Sql, SourceError> {
        let fields = set.keys().map(|name| declared(model, name)).collect::<Result<Vec<_>, _>>()?;
        let table = self.dialect().table(model);
        let mut sql = Sql::new(self.dialect(), "UPDATE ");
        let record = Value::from(self.by_column(&fields, set)).to_string();
        if self.dialect() == Dialect::Sqlite {
            let bound = sql.bind(record);
            let set = |field: &&ModelField| format!("{} = {}", self.dialect().quoted(&field.column), extracted(&bound, field));
            sql.push(&[&table, " SET ", &fields.iter().map(set).collect::<Vec<_>>().join(", ")]);
            return Ok(sql);
        }
        let bound = sql.bind(record);
        let record = format!("(jsonb_populate_record(CAST(NULL AS {table}), CAST({bound} AS jsonb)))");
        let set = |field: &&ModelField| format!("{column} = {record}.{column}", column = self.dialect().quoted(&field.column));
        sql.push(&[&table, " SET ", &fields.iter().map(set).collect::<Vec<_>>().join(", ")]);
        Ok(sql)
    }

    /// A field out of a record `r` of a statement.
    fn of_record(&self, field: &ModelField) -> String {
        if self.dialect() != Dialect::Sqlite {
            return format!("r.{}", self.dialect().quoted(&field.column));
        }
        extracted("r.value", field)
    }

    /// A row as the database takes it: by column, times in its own form.
    fn by_column(&self, fields: &[&ModelField], row: &Row) -> Map<String, Value> {
        let is_sqlite = self.dialect() == Dialect::Sqlite;
        let one = |field: &&ModelField| {
            let value = row.get(&field.name).cloned().unwrap_or_default();
            let value = match (&value, field.kind) {
                (Value::String(text), FieldType::Timestamp) if is_sqlite => {
                    moment(text).map_or(value.clone(), |at| sqlite_time(at).into())
                }
                (Value::Object(_) | Value::Array(_), FieldType::Json) if is_sqlite => value.to_string().into(),
                _ => value,
            };
            (field.column.clone(), value)
        };
        fields.iter().map(one).collect()
    }

    async fn execute(&self, sql: &Sql) -> Result<u64, SourceError> {
        let done = match &self.database {
            Database::Postgres(database) => database.execute(sql).await,
            Database::Sqlite(file) => file.execute(sql).await,
        };
        done.map_err(|error| SourceError::of(&self.name, error))
    }

    fn may_write(&self, model: &Model) -> Result<(), SourceError> {
        if model.may_write {
            return Ok(());
        }
        let (source, model) = (&self.name, &model.name);
        Err(SourceError::Undeclared(format!(
            "the model {model} may not be written: set write = true in [sources.{source}.models.{model}] in SOURCES"
        )))
    }
}

fn declared<'m>(model: &'m Model, name: &str) -> Result<&'m ModelField, SourceError> {
    model
        .field(name)
        .ok_or_else(|| SourceError::Undeclared(format!("the model {} has no field {name:?}; declare it in SOURCES", model.name)))
}

/// A field out of a JSON object, in `SQLite`.
fn extracted(object: &str, field: &ModelField) -> String {
    let path = format!("$.{}", Value::from(field.column.as_str()));
    format!("json_extract({object}, '{}')", path.replace('\'', "''"))
}
