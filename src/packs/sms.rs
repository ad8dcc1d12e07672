//! The runner `sms`: text messages, delivered by `sms.send`.

use legwork_engine::domain::TaskFailure;
use legwork_pack::{OnUnknown, Sms};
use serde_json::{Value, json};

use super::attempt::PackAttempt;
use super::builtin::run_compiled;
use super::effect::Effect;
use super::messages::{self, Recipients};
use crate::kinds::TaskKind;
use crate::kinds::sms_send::SendSms;

/// One number gets its message in this attempt, and those of a list get a child task each.
pub(super) async fn run(attempt: &PackAttempt, spec: &Sms) -> Result<Effect, TaskFailure> {
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
    match Recipients::of(attempt.value(&spec.to)?) {
        Recipients::Each(numbers) if numbers.is_empty() => Err(TaskFailure::fail(
            "NoNumber",
            "`to` gives no number: a text message needs one. Use `when` for rows without a number",
        )),
        Recipients::One(number) => run_compiled(attempt, &TaskKind::of::<SendSms>(), &args(&number)).await,
        Recipients::Each(numbers) => {
            let tasks = messages::submit(attempt, "sms.send", "recipient", &numbers, |number| Ok(args(number))).await?;
            Ok(Effect::new(format!("{} text messages are on their way", tasks.len()), json!({ "messages": tasks })))
        }
    }
}
