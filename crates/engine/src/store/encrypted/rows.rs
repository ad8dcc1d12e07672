//! What is encrypted in each shape that goes into the store, and opened in each that comes out.

use serde_json::Value;

use super::key_ring::{Column, KeyRing};
use crate::domain::{CALLBACK_KIND, ErrorReport, KindName, Next, Progress, StartedTask, TaskId, TaskRow};
use crate::store::{LedgerEntry, NewRecipient, RecipientRow, RecipientStep, StoreResult};

/// JSON encrypted is a JSON string, so that whoever takes the column for JSON below may do so.
fn encrypt_json(key_ring: &KeyRing, task: TaskId, text: &str, column: Column) -> StoreResult<String> {
    let encrypted = key_ring.encrypt(text, task, column)?;
    // A text that was left as it is is no string that we made.
    Ok(if encrypted == text { encrypted } else { format!("\"{encrypted}\"") })
}

/// The JSON that was encrypted in a JSON string; `None` where none was.
fn open_json(key_ring: &KeyRing, task: TaskId, text: &str, column: Column) -> Option<Result<String, String>> {
    key_ring.open(text.strip_prefix('"')?.strip_suffix('"')?, task, column)
}

pub(super) fn encrypt_args(key_ring: &KeyRing, task: TaskId, args: &str) -> StoreResult<String> {
    encrypt_json(key_ring, task, args, Column::Args)
}

fn encrypt_error(key_ring: &KeyRing, task: TaskId, error: &ErrorReport) -> StoreResult<ErrorReport> {
    Ok(ErrorReport { message: key_ring.encrypt(&error.message, task, Column::Error)?, ..error.clone() })
}

pub(super) fn encrypt_next(key_ring: &KeyRing, task: TaskId, next: &Next) -> StoreResult<Next> {
    let mut next = next.clone();
    match &mut next {
        Next::End { result, error, .. } => {
            if let Some(result) = result {
                *result = encrypt_json(key_ring, task, result, Column::Result)?;
            }
            if let Some(error) = error {
                *error = encrypt_error(key_ring, task, error)?;
            }
        }
        Next::Retry { error, .. } | Next::Crashed { error, .. } => *error = encrypt_error(key_ring, task, error)?,
        Next::Release { .. } => {}
    }
    Ok(next)
}

pub(super) fn encrypt_progress(key_ring: &KeyRing, task: TaskId, progress: &Progress) -> StoreResult<Progress> {
    let message = progress.message.as_ref().map(|text| key_ring.encrypt(text, task, Column::Progress)).transpose()?;
    Ok(Progress { message, ..progress.clone() })
}

pub(super) fn encrypt_entry(key_ring: &KeyRing, entry: &LedgerEntry) -> StoreResult<LedgerEntry> {
    Ok(LedgerEntry {
        recipient: key_ring.encrypt(&entry.recipient, entry.task, Column::Recipient)?,
        response: entry.response.as_ref().map(|text| key_ring.encrypt(text, entry.task, Column::Response)).transpose()?,
        ..entry.clone()
    })
}

/// Rows of recipients move on to the task that retries theirs by hand, below this. So they are encrypted for what they keep: the Message-ID, which
/// no other recipient has, and for what is said of one, its part. The bare address stays in clear: suppressions are compared with it.
pub(super) fn encrypt_recipient(key_ring: &KeyRing, recipient: &NewRecipient) -> StoreResult<NewRecipient> {
    let owner = recipient.message_id.as_bytes();
    let context = recipient.context.as_ref().map(|text| key_ring.encrypt_for(text, owner, Column::Context)).transpose()?;
    Ok(NewRecipient {
        recipient: key_ring.encrypt_for(&recipient.recipient, owner, Column::Recipient)?,
        context,
        refused: encrypt_said(key_ring, recipient.part, recipient.refused.as_ref())?,
        ..recipient.clone()
    })
}

fn encrypt_said(key_ring: &KeyRing, part: i32, text: Option<&String>) -> StoreResult<Option<String>> {
    text.map(|text| key_ring.encrypt_for(text, &part.to_be_bytes(), Column::Response)).transpose()
}

pub(super) fn encrypt_step(key_ring: &KeyRing, step: &RecipientStep) -> StoreResult<RecipientStep> {
    Ok(RecipientStep { response: encrypt_said(key_ring, step.part, step.response.as_ref())?, ..step.clone() })
}

pub(super) fn open_recipient(key_ring: &KeyRing, row: &mut RecipientRow) {
    let owner = row.message_id.as_bytes();
    open_or_mark(&mut row.recipient, |text| key_ring.open_for(text, owner, Column::Recipient));
    if let Some(response) = &mut row.response {
        open_or_mark(response, |text| key_ring.open_for(text, &row.part.to_be_bytes(), Column::Response));
    }
    if let Some(context) = &mut row.context {
        open_or_mark(context, |text| key_ring.open_for(text, owner, Column::Context));
    }
}

/// Opens a text, or puts in brackets why it cannot be.
fn open_text(key_ring: &KeyRing, task: TaskId, text: &mut String, column: Column) {
    open_or_mark(text, |text| key_ring.open(text, task, column));
}

fn open_or_mark(text: &mut String, open: impl FnOnce(&str) -> Option<Result<String, String>>) {
    match open(text) {
        None => {}
        Some(Ok(opened)) => *text = opened,
        Some(Err(reason)) => *text = format!("[{reason}]"),
    }
}

pub(super) fn open_error(key_ring: &KeyRing, task: TaskId, error: Option<&mut ErrorReport>) {
    if let Some(error) = error {
        open_text(key_ring, task, &mut error.message, Column::Error);
    }
}

pub(super) fn open_entry(key_ring: &KeyRing, entry: &mut LedgerEntry) {
    open_text(key_ring, entry.task, &mut entry.recipient, Column::Recipient);
    if let Some(response) = &mut entry.response {
        open_text(key_ring, entry.task, response, Column::Response);
    }
}

/// Opens the args. Where that cannot be, they stay encrypted, for whoever would run them or give them to another task.
pub(super) fn open_args(key_ring: &KeyRing, task: TaskId, kind: &KindName, args: &mut String) {
    match open_json(key_ring, task, args, Column::Args) {
        Some(Ok(opened)) => *args = opened,
        Some(Err(_)) => return,
        None => {}
    }
    if kind.as_str() == CALLBACK_KIND {
        open_callback(key_ring, args);
    }
}

/// A callback was made of what was encrypted of the ended task. Where a part cannot be opened, that part is all that is left of the args: it
/// says that they are encrypted.
fn open_callback(key_ring: &KeyRing, args: &mut String) {
    // Cheap, and true of every encrypted part: it is a string.
    if !args.contains("\"sealed:") {
        return;
    }
    let Ok(mut value) = serde_json::from_str::<Value>(args) else { return };
    let Some(ended) = value["webhook_id"].as_str().and_then(|id| id.parse::<TaskId>().ok()) else { return };
    let data = &mut value["body"]["data"];
    let opened = data["result"].as_str().and_then(|text| key_ring.open(text, ended, Column::Result));
    match opened {
        Some(Ok(result)) => data["result"] = serde_json::from_str(&result).unwrap_or_default(),
        Some(Err(_)) => return *args = data["result"].to_string(),
        None => {}
    }
    let opened = data["error"]["message"].as_str().and_then(|text| key_ring.open(text, ended, Column::Error));
    match opened {
        Some(Ok(message)) => data["error"]["message"] = message.into(),
        Some(Err(_)) => return *args = data["error"]["message"].to_string(),
        None => {}
    }
    *args = value.to_string();
}

pub(super) fn open_started(key_ring: &KeyRing, task: &mut StartedTask) {
    let id = task.id;
    open_args(key_ring, id, &task.kind, &mut task.args);
}

pub(super) fn open_row(key_ring: &KeyRing, row: &mut TaskRow) {
    let id = row.id;
    open_args(key_ring, id, &row.kind, &mut row.args);
    if let Some(result) = &mut row.result {
        match open_json(key_ring, id, result, Column::Result) {
            Some(Ok(opened)) => *result = opened,
            Some(Err(reason)) => *result = Value::String(format!("[{reason}]")).to_string(),
            None => {}
        }
    }
    open_error(key_ring, id, row.error.as_mut());
    if let Some(message) = row.progress.as_mut().and_then(|progress| progress.message.as_mut()) {
        open_text(key_ring, id, message, Column::Progress);
    }
}
