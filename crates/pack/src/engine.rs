//! Values and expressions: minijinja over params, rows, results, settings and the clock.

mod filters;
mod names;

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde_json::Value as Json;

use crate::fault::Place;
use crate::sql::{Dialect, Sql, SqlValue, Statement};

/// What one evaluation may cost, in instructions.
const FUEL: u64 = 1_000_000;
/// The name under which HTML is rendered, by whose ending it is escaped.
const HTML: &str = "value.html";

/// Why a value could not be evaluated. No second attempt will mend it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct ValueError {
    /// The field of the pack, as in `kinds."x.y".to`.
    pub field: String,
    /// The reason, as the end of a message.
    pub reason: String,
}

/// A bare expression, as in `row.email and params.days > 3`.
#[derive(Clone, Debug)]
pub struct Expression {
    source: String,
    /// `a.b.c` needs no engine.
    path: Option<Vec<String>>,
    field: String,
    /// Where it is declared.
    pub place: Place,
}

/// A value of the pack: plain, or with expressions in it.
#[derive(Clone, Debug)]
pub struct Value {
    form: Form,
    field: String,
    /// Where it is declared.
    pub place: Place,
}

#[derive(Clone, Debug)]
enum Form {
    Plain(Json),
    /// One single `{{ … }}`, which keeps its type.
    Typed(Expression),
    /// A text with `{{ … }}` in it.
    Text(String),
    List(Vec<Value>),
    Table(Vec<(String, Value)>),
}

impl Expression {
    pub(crate) fn new(source: &str, field: String, place: Place) -> Self {
        Self { source: source.trim().to_owned(), path: path_of(source.trim()), field, place }
    }

    /// As it is written.
    pub fn source(&self) -> &str {
        &self.source
    }
}

/// The parts of `a.b.c`.
fn path_of(source: &str) -> Option<Vec<String>> {
    const LITERALS: [&str; 6] = ["true", "false", "none", "True", "False", "None"];
    let is_part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    let parts: Vec<String> = source.split('.').map(str::to_owned).collect();
    (parts.iter().all(|part| is_part(part)) && !LITERALS.contains(&source)).then_some(parts)
}

impl Value {
    pub(crate) fn plain(value: Json, field: String, place: Place) -> Self {
        Self { form: Form::Plain(value), field, place }
    }

    pub(crate) fn text(source: &str, field: String, place: Place) -> Self {
        let form = match single(source) {
            Some(inner) => Form::Typed(Expression::new(inner, field.clone(), place.clone())),
            None if source.contains("{{") || source.contains("{%") || source.contains("{#") => Form::Text(source.to_owned()),
            None => Form::Plain(source.into()),
        };
        Self { form, field, place }
    }

    pub(crate) fn list(items: Vec<Self>, field: String, place: Place) -> Self {
        Self { form: Form::List(items), field, place }
    }

    pub(crate) fn table(entries: Vec<(String, Self)>, field: String, place: Place) -> Self {
        Self { form: Form::Table(entries), field, place }
    }

    /// The value where nothing in it has to be evaluated.
    pub fn constant(&self) -> Option<Json> {
        match &self.form {
            Form::Plain(value) => Some(value.clone()),
            Form::Typed(_) | Form::Text(_) => None,
            Form::List(items) => items.iter().map(Self::constant).collect(),
            Form::Table(entries) => entries
                .iter()
                .map(|(name, value)| Some((name.clone(), value.constant()?)))
                .collect::<Option<_>>()
                .map(Json::Object),
        }
    }

    /// The entries of a table; none where it is no table.
    pub fn entries(&self) -> &[(String, Self)] {
        match &self.form {
            Form::Table(entries) => entries,
            _ => &[],
        }
    }

    /// The names of the entries of a table.
    pub fn entry_names(&self) -> impl Iterator<Item = &str> {
        self.entries().iter().map(|(name, _)| name.as_str())
    }

    /// All expressions and texts in it.
    fn sources(&self) -> Vec<(&Self, &str, bool)> {
        match &self.form {
            Form::Plain(_) => Vec::new(),
            Form::Typed(expression) => vec![(self, &expression.source, true)],
            Form::Text(text) => vec![(self, text, false)],
            Form::List(items) => items.iter().flat_map(Self::sources).collect(),
            Form::Table(entries) => entries.iter().flat_map(|(_, value)| value.sources()).collect(),
        }
    }
}

/// What stands in a text that is one single `{{ … }}`.
fn single(text: &str) -> Option<&str> {
    let inner = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    let inner = inner.strip_prefix(['-', '+']).unwrap_or(inner);
    let inner = inner.strip_suffix('-').unwrap_or(inner);
    let mut depth = 0_i32;
    let mut quote: Option<char> = None;
    let mut is_escaped = false;
    for c in inner.chars() {
        match quote {
            Some(_) if is_escaped => is_escaped = false,
            Some(_) if c == '\\' => is_escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None => match c {
                '\'' | '"' => quote = Some(c),
                '{' | '[' | '(' => depth += 1,
                '}' | ']' | ')' => depth -= 1,
                _ => {}
            },
        }
        // A brace that closes what `inner` has not opened ends the first `{{ … }}`.
        if depth < 0 {
            return None;
        }
    }
    (depth == 0 && quote.is_none()).then_some(inner)
}

/// The variables that expressions can use.
#[derive(Clone, Debug, Default)]
pub struct Scope(BTreeMap<String, minijinja::Value>);

impl Scope {
    /// Creates a scope without variables.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a name: `params`, `row`, `rows`, `results`, `outcome`, `error`, `now`, `today`, `settings`, `pack`, `task`.
    pub fn set(&mut self, name: &str, value: Json) {
        self.0.insert(name.to_owned(), minijinja::Value::from(Serde(value)));
    }

    /// The same scope with one name more.
    #[must_use]
    pub fn with(mut self, name: &str, value: Json) -> Self {
        self.set(name, value);
        self
    }

    /// The scope as a template engine takes it.
    pub fn values(&self) -> minijinja::Value {
        minijinja::Value::from(self.0.clone())
    }

    fn find(&self, path: &[String]) -> Option<minijinja::Value> {
        let (first, rest) = path.split_first()?;
        let root = self.0.get(first)?.clone();
        rest.iter().try_fold(root, |value, name| value.get_attr(name).ok().filter(|value| !value.is_undefined()))
    }
}

/// Evaluates the values and expressions of one pack.
#[derive(Debug)]
pub struct Engine {
    env: Environment<'static>,
}

/// Adds what a pack's templates may use beside what minijinja has: the filters of times and numbers in the pack's zone; and null is rendered as
/// nothing.
pub fn install(env: &mut Environment<'_>, zone: &TimeZone) {
    filters::add(env, zone);
    env.set_formatter(|out, state, value| if value.is_none() { Ok(()) } else { minijinja::escape_formatter(out, state, value) });
}

impl Engine {
    /// An engine whose times are in a zone.
    pub fn new(zone: &TimeZone) -> Self {
        let mut env = Environment::new();
        env.set_undefined_behavior(UndefinedBehavior::Strict);
        env.set_fuel(Some(FUEL));
        if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
            env.set_syntax(syntax);
        }
        install(&mut env, zone);
        Self { env }
    }

    /// Evaluates all expressions in a value. The result has the value's shape.
    pub fn value(&self, value: &Value, scope: &Scope) -> Result<Json, ValueError> {
        match &value.form {
            Form::Plain(plain) => Ok(plain.clone()),
            Form::Typed(expression) => self.evaluated(expression, scope).and_then(|found| json_of(&found, &value.field)),
            Form::Text(text) => {
                let rendered = self.env.template_from_str(text).and_then(|template| template.render(scope.values()));
                rendered.map(Json::from).map_err(|error| failed(&value.field, &error))
            }
            Form::List(items) => items.iter().map(|item| self.value(item, scope)).collect(),
            Form::Table(entries) => entries
                .iter()
                .map(|(name, value)| Ok((name.clone(), self.value(value, scope)?)))
                .collect::<Result<_, _>>()
                .map(Json::Object),
        }
    }

    /// Evaluates a value to a text: numbers as they are written, null as nothing.
    pub fn text(&self, value: &Value, scope: &Scope) -> Result<String, ValueError> {
        match self.value(value, scope)? {
            Json::String(text) => Ok(text),
            Json::Null => Ok(String::new()),
            Json::Array(_) | Json::Object(_) => {
                Err(ValueError { field: value.field.clone(), reason: "gives a list or an object where a text is needed".into() })
            }
            other => Ok(other.to_string()),
        }
    }

    /// Evaluates a value to HTML: what its expressions give is escaped, unless they end in `| safe`.
    pub fn html(&self, value: &Value, scope: &Scope) -> Result<String, ValueError> {
        let source = match &value.form {
            Form::Typed(expression) => format!("{{{{ {} }}}}", expression.source),
            Form::Text(text) => text.clone(),
            _ => return self.text(value, scope),
        };
        let rendered = self.env.template_from_named_str(HTML, &source).and_then(|template| template.render(scope.values()));
        rendered.map_err(|error| failed(&value.field, &error))
    }

    /// Whether an expression holds. Null, 0, and what is empty do not.
    pub fn holds(&self, expression: &Expression, scope: &Scope) -> Result<bool, ValueError> {
        self.evaluated(expression, scope).map(|value| value.is_true())
    }

    /// The values for a statement, in the order of its parameters.
    pub fn bound(&self, sql: &Sql, statement: &Statement, dialect: Dialect, scope: &Scope) -> Result<Vec<SqlValue>, ValueError> {
        let field = |name: &str| format!("{}: :{name}", statement.place);
        let bound = statement.parameters.iter().map(|parameter| {
            let name = parameter.name.as_str();
            let value = if let Some(bind) = sql.bind.iter().find(|bind| bind.name == name) {
                self.value(&bind.value, scope)?
            } else {
                let path: &[&str] = match name {
                    "now" | "today" => &[name],
                    "task_id" => &["task", "id"],
                    _ => &["params", name],
                };
                let path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
                let missing = || ValueError { field: field(name), reason: "has no value here".into() };
                json_of(&scope.find(&path).ok_or_else(missing)?, &field(name))?
            };
            SqlValue::encode(&parameter.kind, &value, dialect).map_err(|reason| ValueError { field: field(name), reason })
        });
        bound.collect()
    }

    fn evaluated(&self, expression: &Expression, scope: &Scope) -> Result<minijinja::Value, ValueError> {
        let unknown = || ValueError {
            field: expression.field.clone(),
            reason: format!("{} is unknown here, or has no value", expression.source),
        };
        if let Some(path) = &expression.path {
            return scope.find(path).ok_or_else(unknown);
        }
        let value = self.env.compile_expression(&expression.source).and_then(|compiled| compiled.eval(scope.values()));
        match value {
            Ok(value) if value.is_undefined() => Err(unknown()),
            Ok(value) => Ok(value),
            Err(error) => Err(failed(&expression.field, &error)),
        }
    }

    /// The names that an expression uses, as in `params.days`; or what is wrong with it.
    pub(crate) fn names_of(&self, expression: &Expression) -> Result<BTreeSet<String>, String> {
        self.names_of_source(&expression.source)
    }

    fn names_of_source(&self, source: &str) -> Result<BTreeSet<String>, String> {
        let compiled = self.env.compile_expression(source).map_err(|error| told(&error))?;
        match names::of_expression(&self.env, source) {
            Some(unknown) => Err(unknown),
            None => Ok(self.without_globals(compiled.undeclared_variables(true))),
        }
    }

    /// Each expression and text of a value, with the names that it uses, or with what is wrong with it.
    pub(crate) fn names_in<'v>(&self, value: &'v Value) -> Vec<(&'v Value, Result<BTreeSet<String>, String>)> {
        let names = |source: &str, is_expression: bool| {
            if is_expression {
                return self.names_of_source(source);
            }
            self.names_of_template("", source).map_err(|(_, reason)| reason)
        };
        value.sources().into_iter().map(|(value, source, is_expression)| (value, names(source, is_expression))).collect()
    }

    /// The names that a template uses; or the line at which it breaks, and why.
    pub(crate) fn names_of_template(&self, name: &str, source: &str) -> Result<BTreeSet<String>, (usize, String)> {
        let template =
            self.env.template_from_named_str(name, source).map_err(|error| (error.line().unwrap_or(1), told(&error)))?;
        if let Some(unknown) = names::of_template(&self.env, source) {
            return Err(unknown);
        }
        Ok(self.without_globals(template.undeclared_variables(true)))
    }

    fn without_globals(&self, names: impl IntoIterator<Item = String>) -> BTreeSet<String> {
        let globals: BTreeSet<&str> = self.env.globals().map(|(name, _)| name).collect();
        let root = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
        names.into_iter().filter(|name| !globals.contains(root(name).as_str())).collect()
    }
}

fn json_of(value: &minijinja::Value, field: &str) -> Result<Json, ValueError> {
    serde_json::to_value(value).map_err(|error| ValueError { field: field.to_owned(), reason: error.to_string() })
}

fn failed(field: &str, error: &minijinja::Error) -> ValueError {
    ValueError { field: field.to_owned(), reason: told(error) }
}

/// The innermost words of an error, without the source.
fn told(error: &minijinja::Error) -> String {
    let mut innermost = error;
    while let Some(source) = std::error::Error::source(innermost).and_then(|source| source.downcast_ref::<minijinja::Error>()) {
        innermost = source;
    }
    let kind = innermost.kind().to_string();
    innermost.detail().map_or(kind.clone(), |detail| format!("{kind}: {detail}"))
}

#[cfg(test)]
mod tests;
