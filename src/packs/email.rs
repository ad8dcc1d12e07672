//! The runner `email`: mails of a template of the pack or of a text, delivered by `email.send`.

use legwork_engine::domain::TaskFailure;
use legwork_pack::{Body, Email, OnUnknown};
use serde_json::{Map, Value, json};

use super::attempt::{Effect, PackAttempt};
use super::builtin::run_compiled;
use crate::kinds::email_send::SendEmail;
use crate::kinds::{Child, TaskKind};
use crate::services::render::{Context, Scope};

/// Addresses of one task.
const MOST_ADDRESSES: usize = 100;

/// One address gets its mail in this attempt. Several get a child task each, so that one bad address does not hold up the others.
pub(super) async fn run(attempt: &PackAttempt, spec: &Email) -> Result<Effect, TaskFailure> {
    let addresses = attempt.texts(Some(&spec.to))?;
    let subject = attempt.text(&spec.subject)?;
    match addresses.as_slice() {
        [] => {
            Err(TaskFailure::fail("NoAddress", "`to` gives no address: a mail needs one. Use `when` for rows without an address"))
        }
        [address] => {
            let args = args(attempt, spec, address, &subject)?;
            run_compiled(attempt, &TaskKind::of::<SendEmail>(), &args).await
        }
        several if several.len() > MOST_ADDRESSES => {
            let message = format!("`to` gives {} addresses; at most {MOST_ADDRESSES} are allowed. Use a fan_out", several.len());
            Err(TaskFailure::fail("TooManyAddresses", message))
        }
        several => {
            let children = several.iter().enumerate().map(|(index, address)| {
                Ok(Child::new(format!("email-{index}"), "email.send", args(attempt, spec, address, &subject)?))
            });
            submit_all(attempt, several, children.collect::<Result<_, TaskFailure>>()?).await
        }
    }
}

/// Submits a child for each recipient; the result names their tasks.
pub(super) async fn submit_all(
    attempt: &PackAttempt,
    recipients: &[String],
    children: Vec<Child>,
) -> Result<Effect, TaskFailure> {
    let answers = attempt.cx.submit(children).await?;
    let mut tasks = Vec::new();
    for (recipient, answer) in recipients.iter().zip(answers) {
        tasks.push(json!({ "recipient": recipient, "task_id": answer?.to_string() }));
    }
    Ok(Effect::new(format!("{} messages are on their way", tasks.len()), json!({ "messages": tasks })))
}

fn args(attempt: &PackAttempt, spec: &Email, address: &str, subject: &str) -> Result<Value, TaskFailure> {
    let (text, html) = body(attempt, &spec.body, address, subject)?;
    let mut args = Map::new();
    args.insert("recipient_email".into(), address.into());
    args.insert("subject".into(), subject.into());
    args.insert("text".into(), text.into());
    if let Some(html) = html {
        args.insert("html".into(), html.into());
    }
    for (name, value) in [("cc", &spec.cc), ("bcc", &spec.bcc), ("attachments", &spec.attachments)] {
        let texts = attempt.texts(value.as_ref())?;
        if !texts.is_empty() {
            args.insert(name.into(), texts.into());
        }
    }
    for (name, value) in [("reply_to", &spec.reply_to), ("from", &spec.from)] {
        if let Some(text) = attempt.optional_text(value.as_ref())? {
            args.insert(name.into(), text.into());
        }
    }
    if spec.on_unknown == OnUnknown::Resend {
        args.insert("on_unknown".into(), "resend".into());
    }
    Ok(args.into())
}

/// The text of a mail, and its HTML where it has one.
pub(super) fn body(
    attempt: &PackAttempt,
    body: &Body,
    address: &str,
    subject: &str,
) -> Result<(String, Option<String>), TaskFailure> {
    match body {
        Body::Template { name, context, .. } => {
            let extra = match attempt.value(context)? {
                Value::Object(fields) => fields,
                _ => Map::new(),
            };
            let context = Context::of(attempt.scope.values()).and(&Context::new(extra));
            let scope = Scope { recipient_email: address, subject };
            let rendered = attempt.kind.runtime.renderer.render(name, scope, &context);
            let rendered = rendered.map_err(|error| TaskFailure::fail("TemplateError", error))?;
            Ok((rendered.text, rendered.html))
        }
        Body::Text { text, html } => {
            let engine = &attempt.kind.runtime.pack.engine;
            let html = html.as_ref().map(|html| engine.html(html, &attempt.scope)).transpose();
            Ok((attempt.text(text)?, html.map_err(super::steps::value_failure)?))
        }
    }
}
