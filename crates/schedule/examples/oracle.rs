//! Answers questions about timings, one JSON object a line, so that `scripts/check-schedules` can compare them with other implementations.
//!
//! A question is `{"timing": {…}, "after": "2026-01-01T00:00:00Z", "until": "…", "count": 10}`; the answer is `{"times": [1767225600, …]}`, in seconds
//! since 1970, or `{"error": "…", "field": "…"}`.

use std::io::{BufRead, Write};

use jiff::Timestamp;
use legwork_schedule::{FiringPlan, ScheduleError, TimingDefaults, TimingSpec, Zone};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Question {
    timing: TimingSpec,
    after: Timestamp,
    until: Timestamp,
    count: usize,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Answer {
    Times { times: Vec<i64> },
    Refused { error: String, field: &'static str },
}

fn main() -> std::io::Result<()> {
    let mut answers = std::io::BufWriter::new(std::io::stdout().lock());
    for line in std::io::stdin().lock().lines() {
        let question: Question = serde_json::from_str(&line?)?;
        let answer = times(&question).unwrap_or_else(|error| Answer::Refused { error: error.to_string(), field: error.field() });
        serde_json::to_writer(&mut answers, &answer)?;
        answers.write_all(b"\n")?;
    }
    answers.flush()
}

fn times(question: &Question) -> Result<Answer, ScheduleError> {
    let timing = question.timing.resolve(&TimingDefaults { timezone: Zone::UTC, from: None })?;
    let upcoming = FiringPlan::new(timing).upcoming(question.after, question.count);
    let times = upcoming
        .into_iter()
        .map(|next| next.nominal)
        .filter(|nominal| *nominal <= question.until)
        .map(Timestamp::as_second)
        .collect();
    Ok(Answer::Times { times })
}
