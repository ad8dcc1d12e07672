//! Any provider that takes a message by one HTTP request: URL, headers and body are templates, and expressions say what an answer means.
//!
//! What a message brings cannot leave its place: in the URL it is percent-encoded, in a body as its content type asks, and a header that would
//! hold anything but visible ASCII is not sent. `| safe` leaves a value as it is.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Output, State, UndefinedBehavior, Value, context};
use reqwest::Method;
use reqwest::header::HeaderName;
use secrecy::{ExposeSecret as _, SecretString};

use super::{SmsMessage, SmsOutcome, SmsSetupError, accepted, refusal};
use crate::config::SmsHttpConfig;
use legwork_outbound::{Answer, Call, Redirects};

const URL: &str = "SMS_HTTP_URL";
const HEADERS: &str = "SMS_HTTP_HEADERS";
const BODY: &str = "SMS_HTTP_BODY";
const ACCEPTED_IF: &str = "SMS_HTTP_ACCEPTED_IF";
const MESSAGE_ID: &str = "SMS_HTTP_MESSAGE_ID";
/// How values are written that are part of a URL or a form.
const PERCENT: &str = "percent";
/// Longer ids are cut: it is a stranger's text.
const LONGEST_ID: usize = 200;

/// A request cannot be made of a message. It holds nothing of either.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting} does not work for this message: {reason}")]
pub(super) struct TemplateError {
    setting: &'static str,
    reason: String,
}

impl TemplateError {
    /// The same, where it is found at start.
    pub(super) fn setup(self) -> SmsSetupError {
        SmsSetupError { setting: self.setting, reason: self.reason }
    }
}

pub(super) struct TemplateProvider {
    env: Environment<'static>,
    method: Method,
    headers: Vec<String>,
    accepted: Vec<u16>,
    accepted_if: Option<String>,
    message_id: Option<String>,
}

impl TemplateProvider {
    pub(super) fn new(config: &SmsHttpConfig) -> Result<Self, SmsSetupError> {
        let mut env = Environment::new();
        env.set_undefined_behavior(UndefinedBehavior::Strict);
        let of_body = body_escape(&config.headers);
        env.set_auto_escape_callback(move |name| match name {
            URL => AutoEscape::Custom(PERCENT.into()),
            BODY => of_body.clone(),
            _ => AutoEscape::None,
        });
        env.set_formatter(formatted);
        let mut add = |name: String, setting: &'static str, source: &SecretString| {
            let added = env.add_template_owned(name, source.expose_secret().to_owned());
            added.map_err(|error| SmsSetupError { setting, reason: kind_and_line(&error) })
        };
        add(URL.into(), URL, &config.url)?;
        add(BODY.into(), BODY, &config.body)?;
        for (name, value) in &config.headers {
            if HeaderName::from_bytes(name.as_bytes()).is_err() {
                return Err(SmsSetupError { setting: HEADERS, reason: format!("{name:?} is not the name of a header") });
            }
            add(header_template(name), HEADERS, value)?;
        }
        for (setting, expression) in [(ACCEPTED_IF, &config.accepted_if), (MESSAGE_ID, &config.message_id)] {
            if let Some(expression) = expression {
                let compiled = env.compile_expression_owned(expression.clone());
                compiled.map(drop).map_err(|error| SmsSetupError { setting, reason: kind_and_line(&error) })?;
            }
        }
        let method = Method::from_bytes(config.method.as_bytes());
        Ok(Self {
            method: method.map_err(|error| SmsSetupError { setting: "SMS_HTTP_METHOD", reason: error.to_string() })?,
            headers: config.headers.iter().map(|(name, _)| name.clone()).collect(),
            accepted: config.accepted.clone(),
            accepted_if: config.accepted_if.clone(),
            message_id: config.message_id.clone(),
            env,
        })
    }

    pub(super) fn call(&self, message: &SmsMessage, time_limit: Duration) -> Result<Call, TemplateError> {
        let scope = context! {
            to => message.to.as_str(),
            to_digits => message.to.digits(),
            from => message.from.clone(),
            message => message.text.clone(),
            message_id => message.key.clone(),
        };
        let render = |name: &str, setting: &'static str| {
            let rendered = self.env.get_template(name).and_then(|template| template.render(scope.clone()));
            rendered.map_err(|error| TemplateError { setting, reason: kind_and_line(&error) })
        };
        let mut headers = Vec::with_capacity(self.headers.len());
        for name in &self.headers {
            let value = render(&header_template(name), HEADERS)?;
            if !value.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t')) {
                return Err(TemplateError { setting: HEADERS, reason: format!("the header {name} would not be visible ASCII") });
            }
            headers.push((name.clone(), value));
        }
        let body = if self.method == Method::GET { Vec::new() } else { render(BODY, BODY)?.into_bytes() };
        let url = render(URL, URL)?;
        Ok(Call { method: self.method.clone(), url, headers, body, time_limit, redirects: Redirects::Never })
    }

    /// What an answer means: taken where its status is one of `SMS_HTTP_ACCEPTED` and `SMS_HTTP_ACCEPTED_IF` holds, or is not set.
    pub(super) fn to_outcome(&self, answer: &Answer, now: Timestamp) -> SmsOutcome {
        let status = answer.status;
        if !self.accepted.contains(&status.as_u16()) {
            return refusal(answer, now);
        }
        let said = response_variables(answer);
        match self.accepted_if.as_deref().map(|condition| self.evaluated(condition, &said)) {
            None => {}
            Some(Ok(value)) if value.is_true() => {}
            Some(Ok(_)) => {
                return SmsOutcome::Rejected {
                    response: format!("the provider answered {status}, and {ACCEPTED_IF} does not hold"),
                };
            }
            Some(Err(_)) => {
                let reason = format!("the provider answered {status} with what {ACCEPTED_IF} cannot be asked of");
                return SmsOutcome::Unknown { reason };
            }
        }
        let id = self.message_id.as_deref().and_then(|id| self.evaluated(id, &said).ok());
        accepted(status, id.as_ref().and_then(id_of))
    }

    fn evaluated(&self, expression: &str, said: &Value) -> Result<Value, minijinja::Error> {
        self.env.compile_expression(expression)?.eval(said.clone())
    }
}

/// What expressions are asked about. Without `json` where the body is none.
fn response_variables(answer: &Answer) -> Value {
    let (status, text) = (answer.status.as_u16(), String::from_utf8_lossy(&answer.body).into_owned());
    if let Ok(json) = serde_json::from_slice::<serde_json::Value>(&answer.body) {
        context! { status, text, json => Value::from(Serde(json)) }
    } else {
        context! { status, text }
    }
}

fn id_of(value: &Value) -> Option<String> {
    if value.is_none() || value.is_undefined() {
        return None;
    }
    let id: String = value.to_string().chars().filter(|c| !c.is_control()).take(LONGEST_ID).collect();
    (!id.is_empty()).then_some(id)
}

fn header_template(name: &str) -> String {
    format!("{HEADERS}/{name}")
}

/// How a value is written into a body of the content type that the headers name.
fn body_escape(headers: &[(String, SecretString)]) -> AutoEscape {
    let media = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let media = media.map_or_else(String::new, |(_, value)| value.expose_secret().to_ascii_lowercase());
    let media = media.split(';').next().unwrap_or_default().trim();
    match media {
        "application/x-www-form-urlencoded" => AutoEscape::Custom(PERCENT.into()),
        _ if media.ends_with("json") => AutoEscape::Json,
        _ if media.ends_with("xml") || media == "text/html" => AutoEscape::Html,
        _ => AutoEscape::None,
    }
}

fn formatted(out: &mut Output, state: &mut State, value: &Value) -> Result<(), minijinja::Error> {
    if value.is_safe() || !matches!(state.auto_escape(), AutoEscape::Custom(_)) {
        return minijinja::escape_formatter(out, state, value);
    }
    if value.is_undefined() {
        return Err(minijinja::ErrorKind::UndefinedError.into());
    }
    for byte in value.to_string().bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.write_char(byte.into())?;
        } else {
            write!(out, "%{byte:02X}")?;
        }
    }
    Ok(())
}

/// Kind and line only: more would quote the template, which may hold a key.
fn kind_and_line(error: &minijinja::Error) -> String {
    match error.line() {
        Some(line) => format!("{} (line {line})", error.kind()),
        None => error.kind().to_string(),
    }
}
