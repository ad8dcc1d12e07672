//! Hubtel: one POST a message, with basic authentication, JSON both ways.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value, json};

use super::{SmsMessage, SmsOutcome, accepted, refusal};
use legwork_outbound::{Answer, Call, Redirects};

/// Longer ids are cut: it is a stranger's text.
const LONGEST_ID: usize = 200;
/// The code for a message that was taken.
const TAKEN: i64 = 0;
/// The code for an account without money.
const NO_CREDIT: i64 = 12;

pub(super) struct Hubtel {
    url: String,
    authorization: SecretString,
}

impl Hubtel {
    pub(super) fn new(url: &str, client_id: &str, client_secret: &SecretString) -> Self {
        let login = STANDARD.encode(format!("{client_id}:{}", client_secret.expose_secret()));
        Self { url: url.to_owned(), authorization: format!("Basic {login}").into() }
    }

    pub(super) fn call(&self, message: &SmsMessage, time_limit: Duration) -> Call {
        let headers = [
            ("authorization", self.authorization.expose_secret()),
            ("content-type", "application/json"),
            ("accept", "application/json"),
        ];
        let body = json!({ "From": message.from, "To": message.to.as_str(), "Content": message.text });
        Call {
            method: Method::POST,
            url: self.url.clone(),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            body: body.to_string().into_bytes(),
            time_limit,
            redirects: Redirects::Never,
        }
    }
}

/// What an answer means. A success without a body that says so is none: somebody else may have answered.
pub(super) fn to_outcome(answer: &Answer, now: Timestamp) -> SmsOutcome {
    let status = answer.status;
    let said: Option<Map<String, Value>> = serde_json::from_slice(&answer.body).ok();
    let field = |name: &str| said.iter().flatten().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    let code = field("status").and_then(|code| code.as_i64().or_else(|| code.as_str()?.trim().parse().ok()));
    let id = field("messageid").and_then(Value::as_str).filter(|id| !id.is_empty());
    let id = id.map(|id| id.chars().filter(|c| !c.is_control()).take(LONGEST_ID).collect::<String>());
    let describe = |code: i64| match meaning(code) {
        Some(meaning) => format!("the provider answered {status}, code {code}: {meaning}"),
        None => format!("the provider answered {status}, code {code}"),
    };
    match (status.as_u16(), code) {
        (200..=299, Some(TAKEN)) => accepted(status, id),
        (200..=299, None) if id.is_some() => accepted(status, id),
        (200..=299 | 400, Some(NO_CREDIT)) => SmsOutcome::ProviderRefused { response: describe(NO_CREDIT) },
        (200..=299 | 400, Some(code)) if code != TAKEN => SmsOutcome::Rejected { response: describe(code) },
        (200..=299, _) => {
            SmsOutcome::Unknown { reason: format!("the provider answered {status} with what is no answer of Hubtel's") }
        }
        // The person has not agreed to messages: that says nothing about others.
        (403, _) => {
            SmsOutcome::Rejected { response: format!("the provider answered {status}: the recipient has not agreed to it") }
        }
        // There was no gateway to give it to.
        (502, _) => SmsOutcome::Deferred { response: format!("the provider answered {status}"), after: None },
        _ => refusal(answer, now),
    }
}

/// What Hubtel's documentation says of a code.
fn meaning(code: i64) -> Option<&'static str> {
    Some(match code {
        1 => "the number is not valid",
        2 => "the sender is not valid",
        3 => "the message is too long",
        4 => "there is no route to the number",
        5 => "the time of delivery is not valid",
        6 => "the message was refused or is not valid",
        7 => "something is not allowed in the message",
        8 => "something is not valid in the message",
        12 => "the account has to be paid for",
        100 => "the request is not valid",
        _ => return None,
    })
}
