//! What the runner of a kind did, and its record: an attempt that finds the record goes on behind the effect and does not repeat it.

use legwork_engine::domain::TaskFailure;
use legwork_engine::store::EffectRecord;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::kinds::TaskContext;

/// The part of the only effect that a kind of a pack has.
const PART: &str = "effect";
/// What a record holds at most. The rows that were read are left out of a larger one, and are read again.
const LARGEST_RECORD: usize = 8 << 20;

/// The outcome of a runner.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Effect {
    /// Stands where the kind has no `summary`.
    pub message: String,
    /// The fields of the result.
    pub fields: Map<String, Value>,
}

impl Effect {
    pub(super) fn new(message: impl Into<String>, fields: Value) -> Self {
        let fields = match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        Self { message: message.into(), fields }
    }

    /// The result of a compiled kind.
    pub(super) fn of_result(result: Value) -> Self {
        let message = result["message"].as_str().unwrap_or("done").to_owned();
        let mut effect = Self::new(message, result);
        effect.fields.remove("success");
        effect.fields.remove("message");
        effect
    }
}

/// An effect that took place, with what expressions behind it may refer to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RecordedEffect {
    pub effect: Effect,
    /// `None` where it would have been too large.
    pub read: Option<ReadData>,
}

/// What an attempt has read: the rows of its queries, and the results of its steps.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ReadData {
    pub rows: Option<Vec<Value>>,
    pub results: Map<String, Value>,
}

/// Looks for the effect of an earlier attempt, or of an earlier task of the chain of retries by hand. Every attempt looks: one that was released
/// (its worker was shut down) is not counted.
pub(super) async fn find(cx: &TaskContext) -> Result<Option<RecordedEffect>, TaskFailure> {
    let found = cx.or_cancelled(cx.effects.effect_outcome(cx.origin().task, PART)).await?;
    let outcome = found.map_err(|error| TaskFailure::retry("LedgerUnavailable", error))?;
    let Some(outcome) = outcome else { return Ok(None) };
    let recorded = serde_json::from_str(&outcome);
    recorded.map(Some).map_err(|error| {
        let message =
            format!("the record of the effect of an earlier attempt cannot be read, and the effect is not repeated: {error}");
        TaskFailure::fail("BadRecord", message)
    })
}

/// Records an effect. Where that is not possible, the attempt goes on: a failure would surely repeat the effect, and the steps behind it may
/// succeed yet.
pub(super) async fn record(cx: &TaskContext, effect: &Effect, read: ReadData) {
    if let Err(error) = write(cx, effect, read).await {
        tracing::warn!(task.id = %cx.task, task.kind = %cx.kind, error, "the effect of the task could not be recorded; if this attempt fails, the next one repeats it");
    }
}

async fn write(cx: &TaskContext, effect: &Effect, read: ReadData) -> Result<(), String> {
    let mut recorded = RecordedEffect { effect: effect.clone(), read: Some(read) };
    let mut outcome = to_json(&recorded)?;
    if outcome.len() > LARGEST_RECORD {
        recorded.read = None;
        outcome = to_json(&recorded)?;
    }
    let record = EffectRecord { task: cx.origin().task, part: PART.into(), outcome, recorded_at: cx.clock.now() };
    cx.effects.record_effect(&record).await.map_err(|error| error.to_string())
}

fn to_json(recorded: &RecordedEffect) -> Result<String, String> {
    serde_json::to_string(recorded).map_err(|error| error.to_string())
}
