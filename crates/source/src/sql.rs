//! Statements for both dialects. Names come quoted out of the declaration, values are bound as text and cast to the type of their field.

use super::query::{Condition, Filter, Operand, Operator};
use crate::model::{FieldType, Model, ModelField};

/// The database for which SQL text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Postgres, with `$1` parameters.
    Postgres,
    /// Postgres, where a statement takes no parameters (`COPY`): each value is a setting of the transaction, `legwork.p1` and so on,
    /// read once by a subquery of its own.
    PostgresSettings,
    /// `SQLite`, with `?1` parameters.
    Sqlite,
}

/// A statement being written, and the values that are bound.
#[derive(Debug)]
pub(super) struct Sql {
    pub(super) dialect: Dialect,
    pub(super) text: String,
    pub(super) values: Vec<String>,
}

impl Sql {
    pub(super) fn new(dialect: Dialect, text: &str) -> Self {
        Self { dialect, text: text.to_owned(), values: Vec::new() }
    }

    /// Appends the parts to the statement's text.
    pub(super) fn push(&mut self, parts: &[&str]) -> &mut Self {
        for part in parts {
            self.text.push_str(part);
        }
        self
    }

    /// The expression of a value to bind: text.
    pub(super) fn bind(&mut self, value: impl Into<String>) -> String {
        self.values.push(value.into());
        let number = self.values.len();
        match self.dialect {
            Dialect::Postgres => format!("${number}::text"),
            Dialect::PostgresSettings => format!("current_setting('legwork.p{number}')"),
            Dialect::Sqlite => format!("?{number}"),
        }
    }

    /// The expression of a bound value of a type.
    pub(super) fn bind_as(&mut self, kind: FieldType, value: &str) -> String {
        let bound = self.bind(value);
        match self.dialect {
            Dialect::Postgres => format!("CAST({bound} AS {})", postgres_type(kind)),
            Dialect::PostgresSettings => format!("(SELECT CAST({bound} AS {}))", postgres_type(kind)),
            Dialect::Sqlite => sqlite_value(kind, &bound),
        }
    }

    /// The `WHERE` of a filter, and of further conditions; nothing where there are none.
    pub(super) fn filter(&mut self, filter: &Filter, more: &[Condition]) -> &mut Self {
        for (index, condition) in filter.conditions.iter().chain(more).enumerate() {
            let word = if index == 0 { " WHERE " } else { " AND " };
            let text = self.condition(condition);
            self.push(&[word, &text]);
        }
        self
    }

    fn condition(&mut self, condition: &Condition) -> String {
        let Condition { column, kind, operator, operand } = condition;
        let column = self.compared(*kind, column);
        match operand {
            Operand::Whether(true) => format!("{column} IS NULL"),
            Operand::Whether(false) => format!("{column} IS NOT NULL"),
            Operand::Many(values) => {
                let list = serde_json::Value::from(values.as_slice()).to_string();
                let bound = self.bind(list);
                match self.dialect {
                    Dialect::Sqlite => {
                        format!("{column} IN (SELECT {} FROM json_each({bound}) AS j)", sqlite_value(*kind, "j.value"))
                    }
                    _ => format!(
                        "{column} = ANY(ARRAY(SELECT CAST(j AS {}) FROM jsonb_array_elements_text(CAST({bound} AS jsonb)) AS j))",
                        postgres_type(*kind)
                    ),
                }
            }
            Operand::One(value) if *operator == Operator::Contains => {
                let bound = self.bind_as(*kind, value);
                if self.dialect == Dialect::Sqlite {
                    format!("instr({column}, {bound}) > 0")
                } else {
                    format!("strpos({column}, {bound}) > 0")
                }
            }
            Operand::One(value) => {
                let sign = self.sign(*operator);
                let bound = self.bind_as(*kind, value);
                format!("{column} {sign} {bound}")
            }
        }
    }

    fn sign(&self, operator: Operator) -> &'static str {
        match operator {
            Operator::Ne if self.dialect == Dialect::Sqlite => "IS NOT",
            Operator::Ne => "IS DISTINCT FROM",
            Operator::Lt => "<",
            Operator::Lte => "<=",
            Operator::Gt => ">",
            Operator::Gte => ">=",
            Operator::Eq | Operator::In | Operator::Contains | Operator::IsNull => "=",
        }
    }

    /// A column as it is compared.
    pub(super) fn compared(&self, kind: FieldType, column: &str) -> String {
        let column = self.dialect.quoted(column);
        match (self.dialect, kind) {
            (Dialect::Sqlite, FieldType::Timestamp) => sqlite_moment(&column),
            (Dialect::Sqlite, FieldType::Date) => format!("date({column}, 'auto')"),
            (Dialect::Sqlite, FieldType::Uuid) => format!("replace(lower({column}), '-', '')"),
            // An enum or a text of its own compares with text only when it is made one; for text this costs nothing.
            (Dialect::Postgres | Dialect::PostgresSettings, FieldType::Text) => format!("CAST({column} AS text)"),
            _ => column,
        }
    }

    /// A column as the text that an answer holds, the same from both databases.
    pub(super) fn answered(&self, field: &ModelField) -> String {
        let column = self.dialect.quoted(&field.column);
        if self.dialect != Dialect::Sqlite {
            return match field.kind {
                // COPY writes t and f.
                FieldType::Boolean => format!("CAST({column} AS text)"),
                FieldType::Timestamp => format!("CAST({column} AS timestamptz)"),
                FieldType::Date => format!("CAST({column} AS date)"),
                _ => column,
            };
        }
        match field.kind {
            FieldType::Boolean => {
                format!(
                    "CASE WHEN {column} IS NULL THEN NULL WHEN {column} IN (1, '1', 'true', 't', 'TRUE') THEN 'true' ELSE 'false' END"
                )
            }
            FieldType::Timestamp => {
                format!("COALESCE(replace({} || '+00', '.000+00', '+00'), CAST({column} AS TEXT))", sqlite_moment(&column))
            }
            FieldType::Date => format!("COALESCE(date({column}, 'auto'), CAST({column} AS TEXT))"),
            _ => format!("CAST({column} AS TEXT)"),
        }
    }
}

fn postgres_type(kind: FieldType) -> &'static str {
    match kind {
        FieldType::Integer => "bigint",
        FieldType::Number => "numeric",
        FieldType::Text => "text",
        FieldType::Boolean => "boolean",
        FieldType::Timestamp => "timestamptz",
        FieldType::Date => "date",
        FieldType::Uuid => "uuid",
        FieldType::Json => "jsonb",
    }
}

fn sqlite_value(kind: FieldType, bound: &str) -> String {
    match kind {
        FieldType::Integer | FieldType::Boolean => format!("CAST({bound} AS INTEGER)"),
        FieldType::Number => format!("CAST({bound} AS REAL)"),
        FieldType::Timestamp => sqlite_moment(bound),
        FieldType::Date => format!("date({bound})"),
        FieldType::Uuid => format!("replace(lower({bound}), '-', '')"),
        FieldType::Text | FieldType::Json => bound.to_owned(),
    }
}

/// A time in the one form in which all are compared, whether it is kept as text, as seconds since 1970 or as a Julian day.
fn sqlite_moment(expression: &str) -> String {
    format!("strftime('%Y-%m-%d %H:%M:%f', {expression}, 'auto')")
}

impl Dialect {
    /// A name of the declaration, quoted. In `SQLite` by backquotes: there a name in double quotes that is no column's is taken for a text.
    pub(super) fn quoted(self, name: &str) -> String {
        match self {
            Self::Sqlite => format!("`{}`", name.replace('`', "``")),
            Self::Postgres | Self::PostgresSettings => format!("\"{}\"", name.replace('"', "\"\"")),
        }
    }

    /// The table of a model, quoted.
    pub(super) fn table(self, model: &Model) -> String {
        model.table.split('.').map(|part| self.quoted(part)).collect::<Vec<_>>().join(".")
    }
}

/// `SELECT … FROM …` of fields, as text.
pub(super) fn select(dialect: Dialect, model: &Model, fields: &[ModelField]) -> Sql {
    let mut sql = Sql::new(dialect, "SELECT ");
    for (index, field) in fields.iter().enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        let mut column = sql.answered(field);
        // Rows are read as text, COPY writes text by itself.
        if dialect == Dialect::Postgres {
            column = format!("CAST({column} AS text)");
        }
        sql.push(&[separator, &column]);
    }
    sql.push(&[" FROM ", &dialect.table(model)]);
    sql
}
