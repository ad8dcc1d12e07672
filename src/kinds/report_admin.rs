//! `report.admin`: figures of the application over a range of days, as a result and as a page with charts.
//!
//! The page belongs to the task: a second attempt starts anew and takes the place of whatever the first made. Mails are tasks of their own,
//! submitted once however many attempts do so.

mod figures;
mod page;
mod range;

use crate::kinds::OrFail as _;
use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use self::figures::Report;
use self::range::DayRange;
use super::{Child, Kind, TaskContext};
use crate::files::FileError;
use crate::services::Services;
use legwork_engine::domain::{FieldError, FilePath, TaskFailure};
use legwork_mail::Recipient;
use legwork_source::model::ModelRole;
use legwork_source::{Source, SourceError};

/// The most addresses that one report is sent to.
const MOST_ADDRESSES: usize = 20;
/// The template of the page, and that of the mail.
const TEMPLATE: &str = "report";
const CONTENT_TYPE: &str = "text/html; charset=utf-8";

/// Args of `report.admin`: the period of the report and its recipients.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = AdminReportArgs)]
#[serde(deny_unknown_fields)]
pub struct AdminReport {
    /// The subject of the report.
    pub report_type: ReportType,
    /// The first day (UTC), as in `2024-01-01`.
    #[schema(example = "2024-01-01", format = Date)]
    pub date_from: String,
    /// The last day (UTC), as in `2024-01-31`: it is part of the range. At most five years after the first.
    #[schema(example = "2024-01-31", format = Date)]
    pub date_to: String,
    /// Who gets the report by mail, with its totals and a link to the page: one address, or a list of up to 20.
    #[schema(example = json!(["admin@example.com"]))]
    pub email_to: Option<Addresses>,
    /// The source; `app`, or the only one that is declared, by default.
    pub source: Option<String>,
}

/// The subject of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReportType {
    /// Who did what: the model with the role `activity`.
    Activity,
    /// Who came: the model with the role `user`, and what they did where there is a model `activity`.
    Users,
    /// What was made and published: the model with the role `content`.
    Content,
}

impl ReportType {
    fn as_str(self) -> &'static str {
        match self {
            Self::Activity => "activity",
            Self::Users => "users",
            Self::Content => "content",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Activity => "Activity report",
            Self::Users => "Users report",
            Self::Content => "Content report",
        }
    }

    /// The role of the model that it cannot do without.
    fn role(self) -> ModelRole {
        match self {
            Self::Activity => ModelRole::Activity,
            Self::Users => ModelRole::User,
            Self::Content => ModelRole::Content,
        }
    }
}

/// One address or several.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Addresses {
    /// A single address.
    One(String),
    /// A list of addresses.
    Several(Vec<String>),
}

impl Addresses {
    fn all(&self) -> &[String] {
        match self {
            Self::One(address) => std::slice::from_ref(address),
            Self::Several(addresses) => addresses,
        }
    }

    fn field_errors(&self) -> Vec<FieldError> {
        let all = self.all();
        if all.len() > MOST_ADDRESSES {
            let detail = format!("has {} addresses; {MOST_ADDRESSES} are allowed", all.len());
            return vec![FieldError::new("/email_to", detail)];
        }
        let pointer = |index| match self {
            Self::One(_) => "/email_to".to_owned(),
            Self::Several(_) => format!("/email_to/{index}"),
        };
        let wrong = |(index, address): (usize, &String)| {
            Recipient::parse(address).err().map(|detail| FieldError::new(pointer(index), detail))
        };
        all.iter().enumerate().filter_map(wrong).collect()
    }

    /// Each address once, as it was written first; with its place in the list, which is the same in every attempt.
    fn each(&self) -> Vec<(usize, &String)> {
        let mut known = BTreeSet::new();
        let is_new = |(_, address): &(usize, &String)| {
            known.insert(Recipient::parse(address).map_or_else(|_| address.to_lowercase(), |to| to.address().to_lowercase()))
        };
        self.all().iter().enumerate().filter(is_new).collect()
    }
}

impl Kind for AdminReport {
    const NAME: &'static str = "report.admin";
    const DESCRIPTION: &'static str = "Reports on the application's activity, users or content over a range of days: totals, a series, top lists and the range before, as figures and as a page with charts in private storage; sends it by mail where asked.";
    const ROUTE: Option<&'static str> = Some("/report");

    fn example() -> Value {
        json!({ "report_type": "activity", "date_from": "2024-01-01", "date_to": "2024-01-31" })
    }

    fn check(&self, services: &Services) -> Vec<FieldError> {
        let mut field_errors = DayRange::parse(&self.date_from, &self.date_to).err().unwrap_or_default();
        match services.sources.get(self.source.as_deref()) {
            Err(detail) => field_errors.push(FieldError::new("/source", detail)),
            Ok(source) => {
                let undeclared = figures::check(source, self.report_type.role()).err();
                field_errors.extend(undeclared.map(|error| FieldError::new("/report_type", error.to_string())));
            }
        }
        field_errors.extend(self.email_to.iter().flat_map(Addresses::field_errors));
        field_errors
    }

    async fn run(self, cx: TaskContext) -> Result<Value, TaskFailure> {
        // Both were checked at the submission; the declaration may have changed since.
        let range = DayRange::parse(&self.date_from, &self.date_to).map_err(|field_errors| refused(&field_errors))?;
        let source = cx.services.sources.get(self.source.as_deref()).map_err(SourceError::Undeclared).or_fail()?.clone();
        let report = figures::collect(&cx, &source, self.report_type, range).await?;
        let made_at = cx.clock.now();
        let expires_at = made_at.checked_add(cx.services.export_retention).ok();
        let path = self.keep(&cx, &report, made_at, expires_at).await?;
        let url = expires_at.map(|at| cx.files.link(&path, at));
        let mails = self.send(&cx, &report, url.as_deref(), expires_at).await?;
        let mut result = report.result();
        let own = [
            ("success", Value::Bool(true)),
            ("message", self.message(&report, mails.len()).into()),
            ("report_type", self.report_type.as_str().into()),
            ("file_path", path.as_str().into()),
            ("download_url", json!(url)),
            ("expires_at", json!(expires_at)),
            ("emails", mails.into()),
        ];
        result.extend(own.map(|(name, value)| (name.to_owned(), value)));
        Ok(Value::Object(result))
    }
}

impl AdminReport {
    fn message(&self, report: &Report, mails: usize) -> String {
        let (title, range) = (self.report_type.title(), report.range);
        let first = report.totals.first().map(|total| format!(": {} {}", total.now, total.label.to_lowercase()));
        let mailed = match mails {
            0 => String::new(),
            1 => ", on its way to 1 address".to_owned(),
            mails => format!(", on its way to {mails} addresses"),
        };
        let nothing = if report.is_empty { "; there is nothing in this range" } else { "" };
        format!("{title} from {} to {}{}{nothing}{mailed}", range.from, range.to, first.unwrap_or_default())
    }

    /// Makes the page and keeps it.
    async fn keep(
        &self,
        cx: &TaskContext,
        report: &Report,
        made_at: Timestamp,
        expires_at: Option<Timestamp>,
    ) -> Result<FilePath, TaskFailure> {
        cx.checkpoint()?;
        let context = page::context(report, self.report_type, made_at);
        let html = cx.services.renderer.page(TEMPLATE, context).map_err(|error| TaskFailure::fail("TemplateError", error))?;
        let path =
            FilePath::parse(&format!("reports/{}.html", cx.task)).map_err(|error| TaskFailure::fail("FileRefused", error))?;
        let kept = async {
            let mut writer = cx.files.create(path.clone(), CONTENT_TYPE, expires_at).await?;
            writer.write(html.as_bytes()).await?;
            writer.finish().await
        };
        cx.or_cancelled(kept).await?.map_err(FileError::failure)?;
        Ok(path)
    }

    /// Submits a mail for each address: who gets it, and its task.
    async fn send(
        &self,
        cx: &TaskContext,
        report: &Report,
        url: Option<&str>,
        expires_at: Option<Timestamp>,
    ) -> Result<Vec<Value>, TaskFailure> {
        let addresses = self.email_to.as_ref().map(Addresses::each).unwrap_or_default();
        if addresses.is_empty() {
            return Ok(Vec::new());
        }
        let subject = format!("{}, {} to {}", self.report_type.title(), report.range.from, report.range.to);
        let context = page::mail_context(report, self.report_type, url, expires_at);
        let child = |(index, address): &(usize, &String)| {
            let args = json!({ "recipient_email": address, "subject": subject, "template_name": TEMPLATE, "context": context });
            Child::new(format!("email-{index}"), "email.send", args)
        };
        let submitted = cx.submit(addresses.iter().map(child).collect()).await?;
        let messages = addresses.iter().zip(submitted);
        messages.map(|((_, address), task)| Ok(json!({ "recipient_email": address, "task_id": task? }))).collect()
    }
}

fn refused(field_errors: &[FieldError]) -> TaskFailure {
    let messages: Vec<String> =
        field_errors.iter().map(|field_error| format!("{}: {}", field_error.pointer, field_error.detail)).collect();
    TaskFailure::fail("BadArgs", messages.join("; "))
}

/// The source, and the attempt that asks it.
struct ReportQuery<'a> {
    cx: &'a TaskContext,
    source: &'a Arc<Source>,
    range: DayRange,
}

/// The object under construction for the result.
type Object = Map<String, Value>;
