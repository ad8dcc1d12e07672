//! The runner `fan_out`: child tasks for each row of a query, each once over all attempts.

use legwork_engine::domain::{Priority, QueueName, TaskFailure};
use legwork_pack::{ChildSpec, FanOut, NoRow, Scope};
use legwork_source::{Access, Row};
use serde_json::{Value, json};

use super::attempt::PackAttempt;
use super::effect::Effect;
use super::messages::hashed;
use super::steps::value_failure;
use crate::kinds::{Child, ChildStart, OrFail as _};

/// Rows of one fan-out: their keys are held in memory.
const MOST_ROWS: usize = 1_000_000;
/// The longest key that stands in the name of a child as it is.
const LONGEST_KEY: usize = 120;

#[derive(Default)]
struct Counts {
    created: u64,
    existing: u64,
    /// Rows without a child.
    skipped: u64,
    refused: u64,
}

pub(super) async fn run(attempt: &mut PackAttempt, spec: &FanOut) -> Result<Effect, TaskFailure> {
    let rows = read(attempt, spec).await?;
    if rows.is_empty() && spec.no_row == NoRow::Fail && attempt.cx.is_first_attempt() {
        return Err(TaskFailure::fail("NotFound", "the query found no row: there is nothing that fits the args"));
    }
    let total = rows.len() as u64;
    let began = attempt.cx.clock.now();
    let mut counts = Counts::default();
    let mut first_refusal = None;
    let mut done = 0;
    for batch in rows.chunks(spec.batch.max(1) as usize) {
        let mut children = Vec::with_capacity(batch.len() * spec.children.len());
        for row in batch {
            let of_row = children_of(attempt, spec, row)?;
            counts.skipped += u64::from(of_row.is_empty());
            children.extend(of_row);
        }
        for answer in attempt.cx.submit(children).await? {
            match answer {
                // An id tells when it was made: one of an earlier attempt is older than this one.
                Ok(id) if !attempt.cx.is_first_attempt() && id.made_at() < began => counts.existing += 1,
                Ok(_) => counts.created += 1,
                Err(TaskFailure::Fail(error)) => {
                    counts.refused += 1;
                    first_refusal.get_or_insert(error);
                }
                Err(other) => return Err(other),
            }
        }
        done += batch.len() as u64;
        attempt.cx.report_progress(done, Some(total), None);
    }
    let Counts { created, existing, skipped, refused } = counts;
    if let (Some(error), 0, 0) = (first_refusal, created, existing) {
        return Err(TaskFailure::Fail(error));
    }
    let fields = json!({ "rows": total, "created": created, "existing": existing, "skipped": skipped, "refused": refused });
    Ok(Effect::new(format!("{created} tasks were submitted for {total} rows"), fields))
}

async fn read(attempt: &PackAttempt, spec: &FanOut) -> Result<Vec<Row>, TaskFailure> {
    let source = attempt.source()?;
    let statements = source.statements(&spec.query, &attempt.scope)?;
    let mut transaction =
        attempt.cx.or_cancelled(source.source.begin_within(Access::Read, attempt.cx.time_left())).await?.or_fail()?;
    let mut rows = Vec::new();
    for statement in &statements {
        rows = attempt.cx.or_cancelled(transaction.rows(statement, MOST_ROWS + 1)).await?.or_fail()?;
    }
    if rows.len() > MOST_ROWS {
        return Err(TaskFailure::fail("TooManyRows", format!("the query gives more than {MOST_ROWS} rows. Narrow it")));
    }
    Ok(rows)
}

fn children_of(attempt: &PackAttempt, spec: &FanOut, row: &Row) -> Result<Vec<Child>, TaskFailure> {
    let key = key_of(spec, row)?;
    let scope = attempt.scope.clone().with("row", row.clone().into());
    let mut children = Vec::new();
    for (index, child) in spec.children.iter().enumerate() {
        let engine = &attempt.kind.runtime.pack.engine;
        let holds = child.when.as_ref().map_or(Ok(true), |when| engine.holds(when, &scope)).map_err(value_failure)?;
        if holds {
            children.push(child_of(attempt, child, format!("{index}-{key}"), &scope)?);
        }
    }
    Ok(children)
}

fn child_of(attempt: &PackAttempt, spec: &ChildSpec, part: String, scope: &Scope) -> Result<Child, TaskFailure> {
    let engine = &attempt.kind.runtime.pack.engine;
    let mut args = engine.value(&spec.args, scope).map_err(value_failure)?;
    if let Some(fields) = args.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    } else {
        args = json!({});
    }
    let mut child = Child::new(part, spec.kind.clone(), args);
    let wrong = |error: &dyn std::fmt::Display| TaskFailure::fail("BadChild", error.to_string());
    child.queue = spec.queue.as_deref().map(QueueName::parse).transpose().map_err(|error| wrong(&error))?;
    child.priority = spec.priority.map(Priority::new).transpose().map_err(|error| wrong(&error))?;
    child.expires = spec.expires;
    child.start = match (&spec.eta, spec.countdown) {
        (Some(eta), _) => match engine.value(eta, scope).map_err(value_failure)? {
            Value::Null => None,
            Value::String(time) => Some(ChildStart::At(time)),
            other => return Err(wrong(&format!("{other} is not a time; `eta` is RFC 3339 with an offset"))),
        },
        (None, countdown) => countdown.map(ChildStart::After),
    };
    Ok(child)
}

/// The key of a row, as it stands in the name of its children.
fn key_of(spec: &FanOut, row: &Row) -> Result<String, TaskFailure> {
    let column = &spec.key;
    let text = match row.get(column) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Bool(is)) => is.to_string(),
        Some(_) => {
            let message = format!("the column {column:?}, the key of the fan-out, is null or no plain value in a row");
            return Err(TaskFailure::fail("BadKey", message));
        }
        None => {
            return Err(TaskFailure::fail(
                "BadKey",
                format!("the query gives no column {column:?}, which is the key of the fan-out"),
            ));
        }
    };
    let is_plain = !text.is_empty() && text.len() <= LONGEST_KEY && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_plain {
        return Ok(text);
    }
    Ok(hashed(&text))
}
