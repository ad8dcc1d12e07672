//! Statements of a pack in a transaction of its source: their values bound, their answers as JSON.

use legwork_engine::domain::TaskFailure;
use legwork_pack::{Dialect, Engine, Query, Rows, Scope, Sql, Step, ValueError};
use legwork_source::{Access, RawStatement, Source, Transaction};
use serde_json::{Map, Value};

use super::sources::to_bound;
use crate::kinds::{OrFail as _, TaskContext};

/// What a value means that could not be evaluated: no later attempt mends it.
pub(super) fn value_failure(error: ValueError) -> TaskFailure {
    TaskFailure::fail("ValueError", error)
}

/// A source that a kind of a pack works on, and how its statements are made.
#[derive(Clone, Copy)]
pub(super) struct PackSource<'a> {
    pub source: &'a Source,
    pub engine: &'a Engine,
}

impl PackSource<'_> {
    fn dialect(self) -> Dialect {
        if self.source.is_postgres() { Dialect::Postgres } else { Dialect::Sqlite }
    }

    /// The statements of `sql` with their values.
    pub(super) fn statements(self, sql: &Sql, scope: &Scope) -> Result<Vec<RawStatement>, TaskFailure> {
        let dialect = self.dialect();
        let bound = sql.statements(dialect).iter().map(|statement| {
            let values = self.engine.bound(sql, statement, dialect, scope).map_err(value_failure)?;
            Ok(RawStatement { text: statement.text.clone(), values: values.into_iter().map(to_bound).collect() })
        });
        bound.collect()
    }

    /// The rows of queries, each by its name, from one snapshot.
    pub(super) async fn read(
        self,
        cx: &TaskContext,
        queries: &[(&str, &Query)],
        scope: &Scope,
    ) -> Result<Vec<Vec<Value>>, TaskFailure> {
        let mut transaction = cx.or_cancelled(self.source.begin_within(Access::Read, cx.time_left())).await?.or_fail()?;
        let mut answers = Vec::with_capacity(queries.len());
        for (name, query) in queries {
            let statements = self.statements(&query.sql, scope)?;
            let reading = rows_of(&mut transaction, &statements, query.max_rows, name);
            answers.push(cx.or_cancelled(reading).await??);
        }
        Ok(answers)
    }

    /// Runs steps in one transaction; the result of each step that has a name is put into `results`, and is known to later ones.
    pub(super) async fn run(
        self,
        cx: &TaskContext,
        steps: &[Step],
        scope: &mut Scope,
        results: &mut Map<String, Value>,
    ) -> Result<(), TaskFailure> {
        let mut transaction = cx.or_cancelled(self.source.begin_within(Access::Write, cx.time_left())).await?.or_fail()?;
        for step in steps {
            let holds = step.when.as_ref().map_or(Ok(true), |when| self.engine.holds(when, scope)).map_err(value_failure)?;
            let value = if holds {
                let statements = self.statements(&step.sql, scope)?;
                cx.or_cancelled(value_of(&mut transaction, step, &statements)).await??
            } else {
                Value::Null
            };
            if let Some(name) = &step.name {
                results.insert(name.clone(), value);
                scope.set("results", results.clone().into());
            }
        }
        cx.checkpoint()?;
        transaction.commit().await.or_fail()
    }
}

/// All rows of the last statement, at most `max_rows`.
async fn rows_of(
    transaction: &mut Transaction<'_>,
    statements: &[RawStatement],
    max_rows: u32,
    name: &str,
) -> Result<Vec<Value>, TaskFailure> {
    let mut rows = Vec::new();
    for statement in statements {
        rows = transaction.rows(statement, max_rows as usize + 1).await.or_fail()?;
    }
    if rows.len() > max_rows as usize {
        let message = format!("{name} gives more than {max_rows} rows. Narrow it, or raise max_rows");
        return Err(TaskFailure::fail("TooManyRows", message));
    }
    Ok(rows.into_iter().map(Value::Object).collect())
}

async fn value_of(transaction: &mut Transaction<'_>, step: &Step, statements: &[RawStatement]) -> Result<Value, TaskFailure> {
    let name = step.name.as_deref().unwrap_or("a step without a name");
    let (value, is_empty) = match step.rows {
        Rows::Affected => {
            let mut changed = 0;
            for statement in statements {
                changed += transaction.execute(statement).await.or_fail()?;
            }
            (Value::from(changed), changed == 0)
        }
        Rows::One => {
            let rows = rows_of(transaction, statements, step.max_rows, name).await?;
            let first = rows.into_iter().next();
            let is_empty = first.is_none();
            (first.unwrap_or_default(), is_empty)
        }
        Rows::Many => {
            let rows = rows_of(transaction, statements, step.max_rows, name).await?;
            let is_empty = rows.is_empty();
            (Value::from(rows), is_empty)
        }
    };
    if is_empty && step.required {
        return Err(TaskFailure::fail("NotFound", format!("{name} found no row: there is nothing that fits the args")));
    }
    Ok(value)
}
