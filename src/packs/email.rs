//! The runner `email`: mails of a template of the pack or of a text, delivered by `email.send`.

use legwork_engine::domain::TaskFailure;
use legwork_pack::{Body, Email, OnUnknown};
use serde_json::{Map, Value, json};

use super::attempt::PackAttempt;
use super::builtin::run_compiled;
use super::effect::Effect;
use super::messages::{self, Recipients};
use crate::kinds::TaskKind;
use crate::kinds::email_send::SendEmail;
use crate::services::render::{Context, Scope};

/// One address gets its mail in this attempt, and those of a list get a child task each.
pub(super) async fn run(attempt: &PackAttempt, spec: &Email) -> Result<Effect, TaskFailure> {
    let subject = attempt.text(&spec.subject)?;
    match Recipients::of(attempt.value(&spec.to)?) {
        Recipients::Each(addresses) if addresses.is_empty() => {
            Err(TaskFailure::fail("NoAddress", "`to` gives no address: a mail needs one. Use `when` for rows without an address"))
        }
        Recipients::One(address) => {
            let args = args(attempt, spec, &address, &subject)?;
            run_compiled(attempt, &TaskKind::of::<SendEmail>(), &args).await
        }
        Recipients::Each(addresses) => {
            let args = |address: &str| args(attempt, spec, address, &subject);
            let tasks = messages::submit(attempt, "email.send", "recipient", &addresses, args).await?;
            Ok(Effect::new(format!("{} mails are on their way", tasks.len()), json!({ "messages": tasks })))
        }
    }
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
