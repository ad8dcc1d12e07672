//! The runner `sms`: text messages, delivered by `sms.send`.

use legwork_engine::domain::TaskFailure;
use legwork_pack::{OnUnknown, Sms};
use serde_json::{Value, json};

use super::attempt::{Effect, PackAttempt};
use super::builtin::run_compiled;
use super::email::submit_all;
use crate::kinds::sms_send::SendSms;
use crate::kinds::{Child, TaskKind};

/// Numbers of one task.
const MOST_NUMBERS: usize = 100;

/// One number gets its message in this attempt, several get a child task each.
pub(super) async fn run(attempt: &PackAttempt, spec: &Sms) -> Result<Effect, TaskFailure> {
    let numbers = attempt.texts(Some(&spec.to))?;
    let message = attempt.text(&spec.message)?;
    let sender = attempt.optional_text(spec.sender_id.as_ref())?;
    let args = |number: &str| -> Value {
        let mut args = json!({ "phone_number": number, "message": message });
        if let Some(sender) = &sender {
            args["sender_id"] = sender.as_str().into();
        }
        if spec.on_unknown == OnUnknown::Resend {
            args["on_unknown"] = "resend".into();
        }
        args
    };
    match numbers.as_slice() {
        [] => Err(TaskFailure::fail(
            "NoNumber",
            "`to` gives no number: a text message needs one. Use `when` for rows without a number",
        )),
        [number] => run_compiled(attempt, &TaskKind::of::<SendSms>(), &args(number)).await,
        several if several.len() > MOST_NUMBERS => {
            let message = format!("`to` gives {} numbers; at most {MOST_NUMBERS} are allowed. Use a fan_out", several.len());
            Err(TaskFailure::fail("TooManyNumbers", message))
        }
        several => {
            let children =
                several.iter().enumerate().map(|(index, number)| Child::new(format!("sms-{index}"), "sms.send", args(number)));
            submit_all(attempt, several, children.collect()).await
        }
    }
}
