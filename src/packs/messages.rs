//! Messages to several recipients: a child task for each of them, submitted once whatever the attempts of the task read.

use std::collections::HashSet;

use legwork_engine::domain::TaskFailure;
use serde_json::{Value, json};

use super::attempt::PackAttempt;
use crate::kinds::Child;

/// Recipients of one task.
const MOST_RECIPIENTS: usize = 100;

/// Whom a message goes to.
pub(super) enum Recipients {
    /// A text: the message is handed over in this attempt.
    One(String),
    /// A list, of which each gets a child task, so that one bad address does not hold up the others.
    Each(Vec<String>),
}

impl Recipients {
    /// Sorts the value of `to`. A list stays a list when it has one item: it may have had more in an earlier attempt.
    pub(super) fn of(value: Value) -> Self {
        match value {
            Value::Null => Self::Each(Vec::new()),
            Value::String(text) if text.trim().is_empty() => Self::Each(Vec::new()),
            Value::Array(items) => {
                let mut seen = HashSet::new();
                let texts = items.into_iter().filter(|item| !item.is_null()).map(text_of).filter(|text| !text.is_empty());
                Self::Each(texts.filter(|text| seen.insert(normalized(text))).collect())
            }
            other => Self::One(text_of(other)),
        }
    }
}

fn text_of(value: Value) -> String {
    match value {
        Value::String(text) => text.trim().to_owned(),
        other => other.to_string(),
    }
}

/// Submits the child task of each recipient, whose args `args` gives; the answers name their tasks under `field`. A child is named by its
/// recipient, so that another attempt that reads more, fewer or other recipients gives nobody a second message.
pub(super) async fn submit(
    attempt: &PackAttempt,
    kind: &'static str,
    field: &str,
    recipients: &[String],
    args: impl Fn(&str) -> Result<Value, TaskFailure>,
) -> Result<Vec<Value>, TaskFailure> {
    if recipients.len() > MOST_RECIPIENTS {
        let message = format!("`to` gives {} recipients; at most {MOST_RECIPIENTS} are allowed. Use a fan_out", recipients.len());
        return Err(TaskFailure::fail("TooManyRecipients", message));
    }
    let children = recipients.iter().map(|recipient| {
        let part = format!("{kind}-{}", hashed(&normalized(recipient)));
        Ok(Child::new(part, kind, args(recipient)?))
    });
    let children = children.collect::<Result<Vec<_>, TaskFailure>>()?;
    let answers = attempt.cx.submit(children).await?;
    let tasks = recipients.iter().zip(answers).map(|(recipient, answer)| {
        let task = answer?.to_string();
        Ok(json!({ field: recipient, "task_id": task }))
    });
    tasks.collect()
}

/// The form in which two spellings of a recipient are the same: `Ann <ann@example.org>` and `ann@example.ORG`, `+233 20 123` and `+23320123`.
fn normalized(recipient: &str) -> String {
    let bare = match (recipient.rfind('<'), recipient.rfind('>')) {
        (Some(start), Some(end)) if start < end => &recipient[start + 1..end],
        _ => recipient,
    };
    bare.chars().filter(|letter| !letter.is_whitespace()).flat_map(char::to_lowercase).collect()
}

/// The SHA-256 of a text, in hexadecimal digits.
pub(super) fn hashed(text: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    let digits = digest.as_ref().iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Recipients, hashed};

    fn each(value: Value) -> Option<Vec<String>> {
        match Recipients::of(value) {
            Recipients::Each(recipients) => Some(recipients),
            Recipients::One(_) => None,
        }
    }

    #[test]
    fn a_recipient_that_is_spelled_in_two_ways_is_one() {
        let mails = json!(["Ann <ann@example.org>", "ann@Example.org ", null, "", "bob@example.org"]);
        assert_eq!(each(mails).unwrap(), ["Ann <ann@example.org>", "bob@example.org"]);
        assert_eq!(each(json!(["+233 20 123", "+23320123"])).unwrap(), ["+233 20 123"]);
    }

    #[test]
    fn a_list_of_one_is_a_list_and_a_number_is_one_recipient() {
        assert_eq!(each(json!(["ann@example.org"])).unwrap(), ["ann@example.org"]);
        assert!(each(json!(null)).unwrap().is_empty() && each(json!("")).unwrap().is_empty());
        assert!(matches!(Recipients::of(json!(233_201)), Recipients::One(number) if number == "233201"));
    }

    #[test]
    fn a_hash_is_64_digits() {
        assert_eq!(hashed("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
