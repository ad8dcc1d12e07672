//! The runner `report`: the rows of queries in a page, which is kept in private storage and sent by mail where the pack says so.

use legwork_engine::domain::{FilePath, TaskFailure};
use legwork_pack::{FileMail, Report, ReportFile};
use serde_json::{Map, Value, json};

use super::attempt::PackAttempt;
use super::effect::Effect;
use super::email::body;
use super::messages::{self, Recipients};
use super::steps::value_failure;
use crate::files::FileError;

pub(super) async fn run(attempt: &mut PackAttempt, spec: &Report) -> Result<Effect, TaskFailure> {
    let mut fields = attempt.results.clone();
    let mut kept = None;
    if let Some(template) = &spec.template {
        let page = page(attempt, spec, template)?;
        if let Some(name) = file_name(attempt, spec, template)? {
            let (path, url) = keep(attempt, &name, template, &page).await?;
            fields.insert("file_path".into(), path.as_str().into());
            fields.insert("download_url".into(), json!(url));
            kept = Some(path);
        } else {
            fields.insert("page".into(), page.into());
        }
    }
    attempt.scope.set("outcome", fields.clone().into());
    if let Some(mail) = &spec.mail {
        let mails = send(attempt, mail, kept.as_ref()).await?;
        fields.insert("emails".into(), mails.into());
    }
    Ok(Effect { message: "the report was made".into(), fields })
}

fn page(attempt: &PackAttempt, spec: &Report, template: &str) -> Result<String, TaskFailure> {
    let extra = match spec.context.as_ref().map(|context| attempt.value(context)).transpose()? {
        Some(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let renderer = &attempt.kind.runtime.renderer;
    renderer.pack_page(template, &attempt.scope.values(), extra).map_err(|error| TaskFailure::fail("TemplateError", error))
}

fn file_name(attempt: &PackAttempt, spec: &Report, template: &str) -> Result<Option<String>, TaskFailure> {
    Ok(match &spec.file {
        ReportFile::None => None,
        ReportFile::Named(name) => Some(attempt.text(name)?),
        ReportFile::Default => {
            let (stem, ending) = template.rsplit_once('.').unwrap_or((template, "html"));
            let today = attempt.cx.clock.now().to_zoned(attempt.kind.runtime.pack.zone.clone()).date();
            Some(format!("{stem}-{today}.{ending}"))
        }
    })
}

/// Keeps a page in a folder of the task, so that each attempt takes the place of the one before.
async fn keep(attempt: &PackAttempt, name: &str, template: &str, page: &str) -> Result<(FilePath, Option<String>), TaskFailure> {
    let cx = &attempt.cx;
    let path =
        FilePath::parse(&format!("reports/{}/{name}", cx.task)).map_err(|error| TaskFailure::fail("FileRefused", error))?;
    let content_type = match template.rsplit_once('.').map(|(_, ending)| ending) {
        Some("csv") => "text/csv; charset=utf-8",
        Some("json") => "application/json",
        Some("txt" | "md") => "text/plain; charset=utf-8",
        _ => "text/html; charset=utf-8",
    };
    let expires_at = cx.clock.now().checked_add(cx.services.export_retention).ok();
    let kept = async {
        let mut writer = cx.files.create(path.clone(), content_type, expires_at).await?;
        writer.write(page.as_bytes()).await?;
        writer.finish().await
    };
    cx.or_cancelled(kept).await?.map_err(FileError::failure)?;
    let url = expires_at.map(|at| cx.files.link(&path, at));
    Ok((path, url))
}

/// Submits a mail for each address.
pub(super) async fn send(attempt: &PackAttempt, mail: &FileMail, kept: Option<&FilePath>) -> Result<Vec<Value>, TaskFailure> {
    let engine = &attempt.kind.runtime.pack.engine;
    let holds = mail.when.as_ref().map_or(Ok(true), |when| engine.holds(when, &attempt.scope)).map_err(value_failure)?;
    if !holds {
        return Ok(Vec::new());
    }
    let addresses = match Recipients::of(attempt.value(&mail.to)?) {
        Recipients::One(address) => vec![address],
        Recipients::Each(addresses) => addresses,
    };
    let subject = attempt.text(&mail.subject)?;
    let args = |address: &str| {
        let (text, html) = body(attempt, &mail.body, address, &subject)?;
        let mut args = json!({ "recipient_email": address, "subject": subject, "text": text });
        if let Some(html) = html {
            args["html"] = html.into();
        }
        if let (true, Some(path)) = (mail.attach, kept) {
            args["attachments"] = json!([path.as_str()]);
        }
        Ok(args)
    };
    messages::submit(attempt, "email.send", "recipient_email", &addresses, args).await
}
