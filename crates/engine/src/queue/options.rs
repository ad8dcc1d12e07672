//! The options of a submission, as every way in takes them, and what they come to.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::temporal::Pieces;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::{FieldError, Priority, QueueName};

/// The longest a task may be postponed: ten years.
const LONGEST_DELAY: Duration = Duration::from_hours(87600);
/// The longest time limit: a day.
const LONGEST_LIMIT: f64 = 86_400.0;
/// Most retries that a submission may ask for.
const MOST_RETRIES: u16 = 100;

/// A moment: seconds from now, or a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Moment {
    /// A number of seconds from now.
    In(f64),
    /// A time in RFC 3339, with an offset.
    At(String),
}

/// Options that every submission takes, beside its args.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TaskOptions {
    /// The queue. Default: by the routing, else the kind's own.
    #[schema(example = "default", pattern = "^[a-z0-9][a-z0-9_.-]{0,99}$")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// 7 to 9 come before 4 to 6, and these before 0 to 3. Default: 5.
    #[schema(minimum = 0, maximum = 9, example = 5)]
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "whole_number")]
    pub priority: Option<u8>,
    /// Start after so many seconds. Not together with `eta`.
    #[schema(minimum = 0, maximum = 315_360_000, example = 60)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub countdown: Option<f64>,
    /// Start at this time (RFC 3339, with an offset). Not together with `countdown`.
    #[schema(format = DateTime, example = "2030-01-01T09:00:00Z")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eta: Option<String>,
    /// Do not start after this: seconds from now, or a time (RFC 3339). It is then REVOKED, reason `expired`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Moment>,
    /// Retries after the first attempt. Default: the kind's.
    #[schema(minimum = 0, maximum = 100, example = 3)]
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "whole_number")]
    pub max_retries: Option<u16>,
    /// An attempt past so many seconds is ended, and the task is a FAILURE. Default: the kind's, 30 minutes.
    #[schema(exclusive_minimum = 0, maximum = 86_400, example = 300)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_limit: Option<f64>,
    /// An attempt past so many seconds is asked to stop, and may be retried.
    #[schema(exclusive_minimum = 0, maximum = 86_400, example = 270)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soft_time_limit: Option<f64>,
    /// Gets a signed POST (Standard Webhooks) when the task has ended.
    #[schema(format = "uri", example = "https://example.com/hooks/legwork")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback_url: Option<String>,
}

/// A whole number from 0, or null. `5.0` is one too: JSON knows no other numbers, and some languages write it so.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
pub fn whole_number<'de, D, T>(input: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: TryFrom<u64>,
{
    let Some(number) = Option::<f64>::deserialize(input)? else { return Ok(None) };
    // 2^53: above it, not every whole number is a float.
    let is_whole = number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&number);
    let fits = is_whole.then(|| T::try_from(number as u64).ok()).flatten();
    fits.map(Some).ok_or_else(|| serde::de::Error::custom(format!("{number} is not a whole number from 0, or is too large")))
}

impl TaskOptions {
    /// The names of the options: a kind's args may not use them.
    pub const NAMES: [&'static str; 9] =
        ["queue", "priority", "countdown", "eta", "expires", "max_retries", "time_limit", "soft_time_limit", "callback_url"];

    /// What the option `name` is to be, in words that follow "must be".
    pub fn wanted(name: &str) -> String {
        match name {
            "priority" => "a whole number from 0 to 9".into(),
            "max_retries" => format!("a whole number from 0 to {MOST_RETRIES}"),
            "countdown" => "a number of seconds from 0 to ten years".into(),
            "expires" => "a number of seconds from 0 to ten years, or a time (RFC 3339, with an offset)".into(),
            "time_limit" | "soft_time_limit" => format!("a number of seconds above 0, up to {LONGEST_LIMIT}"),
            "eta" => "a time (RFC 3339, with an offset)".into(),
            _ => "a string".into(),
        }
    }
}

/// Options that were parsed and checked against each other. `None` leaves the choice to the kind.
#[derive(Clone, Debug, PartialEq)]
pub struct ResolvedOptions {
    /// The queue; `None` follows the routing.
    pub queue: Option<QueueName>,
    /// The priority, 0 to 9.
    pub priority: Priority,
    /// When the task may start.
    pub due_at: Timestamp,
    /// When the task expires; `None` if it does not.
    pub expires_at: Option<Timestamp>,
    /// Most retries after the first attempt.
    pub max_retries: Option<u16>,
    /// The run time after which an attempt is ended.
    pub hard_limit: Option<Duration>,
    /// The run time after which an attempt is asked to stop.
    pub soft_limit: Option<Duration>,
    /// The URL that gets a callback when the task has ended.
    pub callback_url: Option<String>,
}

impl TaskOptions {
    /// Checks every option; all errors are told at once. `check_callback` says what is wrong with a callback's URL.
    pub fn resolve(
        &self,
        now: Timestamp,
        check_callback: impl Fn(&str) -> Result<(), String>,
    ) -> Result<ResolvedOptions, Vec<FieldError>> {
        let mut field_errors = FieldErrors(Vec::new());
        let queue = self.queue.as_deref().and_then(|name| field_errors.take("queue", QueueName::parse(name)));
        let priority = self.priority.and_then(|number| field_errors.take("priority", Priority::new(number)));
        let due_at = self.due_at(now, &mut field_errors);
        let expires_at = self.expires.as_ref().and_then(|moment| field_errors.take("expires", moment_at(moment, now)));
        if expires_at.is_some_and(|expires_at| expires_at <= due_at) {
            field_errors.add("expires", "must be later than the time at which the task may start");
        }
        if self.max_retries.is_some_and(|retries| retries > MOST_RETRIES) {
            field_errors.add("max_retries", format!("must be between 0 and {MOST_RETRIES}"));
        }
        let hard_limit = self.time_limit.and_then(|seconds| field_errors.take("time_limit", limit(seconds)));
        let soft_limit = self.soft_time_limit.and_then(|seconds| field_errors.take("soft_time_limit", limit(seconds)));
        if let (Some(soft), Some(hard)) = (soft_limit, hard_limit)
            && soft >= hard
        {
            field_errors.add("soft_time_limit", "must be less than time_limit");
        }
        if let Some(url) = &self.callback_url {
            field_errors.take("callback_url", check_callback(url));
        }
        if !field_errors.0.is_empty() {
            return Err(field_errors.0);
        }
        Ok(ResolvedOptions {
            queue,
            priority: priority.unwrap_or(Priority::DEFAULT),
            due_at,
            expires_at,
            max_retries: self.max_retries,
            hard_limit,
            soft_limit,
            callback_url: self.callback_url.clone(),
        })
    }

    fn due_at(&self, now: Timestamp, field_errors: &mut FieldErrors) -> Timestamp {
        let due_at = match (self.countdown, &self.eta) {
            (None, None) => return now,
            (Some(_), Some(_)) => {
                field_errors.add("eta", "cannot be given together with countdown");
                return now;
            }
            (Some(seconds), None) => field_errors.take("countdown", seconds_from(now, seconds)),
            (None, Some(text)) => field_errors.take("eta", time(text)),
        };
        let due_at = due_at.unwrap_or(now);
        if due_at.duration_since(now).unsigned_abs() > LONGEST_DELAY && due_at > now {
            field_errors.add(if self.eta.is_some() { "eta" } else { "countdown" }, "is more than ten years away");
        }
        // A time that has passed is now: the row's due time never precedes its submission.
        due_at.max(now)
    }
}

struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    fn add(&mut self, field: &str, detail: impl Into<String>) {
        self.0.push(FieldError::new(format!("/{field}"), detail));
    }

    fn take<T, E: std::fmt::Display>(&mut self, field: &str, parsed: Result<T, E>) -> Option<T> {
        parsed.map_err(|detail| self.add(field, detail.to_string())).ok()
    }
}

fn limit(seconds: f64) -> Result<Duration, String> {
    if seconds > 0.0 && seconds <= LONGEST_LIMIT {
        // Kept in milliseconds; what is shorter than one is one.
        return Ok(Duration::from_secs_f64((seconds * 1000.0).round().max(1.0) / 1000.0));
    }
    Err(format!("must be greater than 0 and at most {LONGEST_LIMIT} seconds; got {seconds}"))
}

fn seconds_from(now: Timestamp, seconds: f64) -> Result<Timestamp, String> {
    let wrong = || format!("must be a number of seconds from 0 to ten years; got {seconds}");
    if !(seconds >= 0.0 && seconds <= LONGEST_DELAY.as_secs_f64()) {
        return Err(wrong());
    }
    let delay = jiff::SignedDuration::try_from_secs_f64(seconds).map_err(|_| wrong())?;
    now.checked_add(delay).map(crate::clock::to_micros).map_err(|_| wrong())
}

fn time(text: &str) -> Result<Timestamp, String> {
    if let Ok(parsed) = text.parse() {
        return Ok(crate::clock::to_micros(parsed));
    }
    // The last hours of the year 9999 are a way to say never; the last moment that there is means it too.
    let is_never = Pieces::parse(text)
        .is_ok_and(|pieces| pieces.date().year() == 9999 && pieces.time().is_some() && pieces.offset().is_some());
    is_never
        .then_some(crate::clock::to_micros(Timestamp::MAX))
        .ok_or_else(|| format!("{text:?} is not a time like 2030-01-01T09:00:00Z (RFC 3339, with an offset)"))
}

fn moment_at(moment: &Moment, now: Timestamp) -> Result<Timestamp, String> {
    match moment {
        Moment::In(seconds) => seconds_from(now, *seconds),
        Moment::At(text) => time(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(options: serde_json::Value) -> Result<ResolvedOptions, Vec<String>> {
        let options: TaskOptions = serde_json::from_value(options).unwrap();
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let named = |field_errors: Vec<FieldError>| field_errors.into_iter().map(|field_error| field_error.pointer).collect();
        options.resolve(now, |url| if url.contains("bad") { Err("bad".into()) } else { Ok(()) }).map_err(named)
    }

    #[test]
    fn nothing_given_means_now_and_the_kinds_own() {
        let resolved = resolve(serde_json::json!({})).unwrap();
        assert_eq!(resolved.due_at.to_string(), "2026-01-01T00:00:00Z");
        assert_eq!(resolved.priority, Priority::DEFAULT);
        assert_eq!(resolved.hard_limit, None);
    }

    #[test]
    fn times_are_told_in_seconds_or_as_times() {
        let resolved = resolve(serde_json::json!({"countdown": 1.5, "expires": "2026-01-01T01:00:00+00:30"})).unwrap();
        assert_eq!(resolved.due_at.to_string(), "2026-01-01T00:00:01.5Z");
        assert_eq!(resolved.expires_at.unwrap().to_string(), "2026-01-01T00:30:00Z");
        assert_eq!(
            resolve(serde_json::json!({"eta": "2020-01-01T00:00:00Z"})).unwrap().due_at.to_string(),
            "2026-01-01T00:00:00Z"
        );
    }

    #[test]
    fn the_end_of_the_calendar_is_too_far_for_a_start_and_never_for_an_expiry() {
        let options = TaskOptions { eta: Some("9999-12-31T23:59:59Z".into()), ..TaskOptions::default() };
        let field_errors = options.resolve("2026-01-01T00:00:00Z".parse().unwrap(), |_| Ok(())).unwrap_err();
        assert_eq!(field_errors, [FieldError::new("/eta", "is more than ten years away")]);
        assert_eq!(resolve(serde_json::json!({"expires": "9999-12-31T23:59:59Z"})).unwrap().expires_at, Some(Timestamp::MAX));
        assert_eq!(resolve(serde_json::json!({"eta": "9999-13-31T23:59:59Z"})).unwrap_err(), ["/eta"]);
        assert_eq!(resolve(serde_json::json!({"eta": "9999-12-31"})).unwrap_err(), ["/eta"]);
    }

    #[test]
    fn every_fault_is_told_at_once() {
        let all = serde_json::json!({
            "queue": "No Queue", "priority": 12, "countdown": -1, "expires": "soon", "max_retries": 101,
            "time_limit": 0, "soft_time_limit": 1e9, "callback_url": "bad"
        });
        let expected =
            ["/queue", "/priority", "/countdown", "/expires", "/max_retries", "/time_limit", "/soft_time_limit", "/callback_url"];
        assert_eq!(resolve(all).unwrap_err(), expected);
    }

    #[test]
    fn options_that_contradict_each_other_are_refused() {
        assert_eq!(resolve(serde_json::json!({"eta": "2027-01-01T00:00:00Z", "countdown": 1})).unwrap_err(), ["/eta"]);
        assert_eq!(resolve(serde_json::json!({"expires": 5, "countdown": 10})).unwrap_err(), ["/expires"]);
        assert_eq!(resolve(serde_json::json!({"time_limit": 5, "soft_time_limit": 5})).unwrap_err(), ["/soft_time_limit"]);
    }
}
