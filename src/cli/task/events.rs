//! `legwork task events`: the server-sent events of a task, a line each.

use clap::Args;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use super::CliError;
use super::client::{ApiRequest, Client, chain_of};
use crate::cli::output::{self, Format, OutputArgs};
use crate::config::Config;
use legwork_engine::domain::TaskId;

/// Print states and progress of a task as they happen, until it has ended
///
/// With --format json, each event is one line of JSON. A connection that breaks ends the command; start it again to continue.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  legwork task events 019a8f6e-7c1b-7c3e-9b1a-2f6d1c0a4e55")]
pub(super) struct EventsArgs {
    /// The task's id
    task_id: TaskId,
}

pub(super) async fn run(args: EventsArgs, config: Config, output: OutputArgs) -> Result<(), CliError> {
    let id = args.task_id.to_string();
    let stream = Client::new(&config)?.open(ApiRequest::new(Method::GET, &["tasks", &id, "events"])).await?;
    print_events(stream, output.format).await
}

async fn print_events(mut stream: Response, format: Format) -> Result<(), CliError> {
    let broken = |error: reqwest::Error| CliError::Failed(format!("the connection broke: {}", chain_of(&error)));
    let mut parser = EventParser::default();
    while let Some(chunk) = stream.chunk().await.map_err(broken)? {
        for event in parser.feed(&chunk) {
            output::print(&match format {
                Format::Json => json!({ "event": event.name, "data": event.data }).to_string(),
                Format::Text => line(&event),
            })?;
        }
    }
    Ok(())
}

fn line(event: &Event) -> String {
    let data = &event.data;
    match event.name.as_str() {
        "progress" => {
            let done = output::cell(&data["done"]);
            let total = if data["total"].is_null() { String::new() } else { format!("/{}", output::cell(&data["total"])) };
            let message = if data["message"].is_null() { String::new() } else { format!(" {}", output::cell(&data["message"])) };
            format!("progress  {done}{total}{message}")
        }
        "status" => {
            let remarks = [&data["error"]["message"], &data["reason"], &data["result"]["message"]];
            let remark = remarks.into_iter().find(|remark| remark.is_string()).map_or_else(String::new, output::cell);
            format!("{:8}  {remark}", output::cell(&data["status"])).trim_end().to_owned()
        }
        name => format!("{name}  {}", output::cell(data)),
    }
}

/// One event of a stream.
#[derive(Debug, PartialEq)]
struct Event {
    name: String,
    data: Value,
}

/// Splits the bytes of an event stream into events. Comments and fields other than `event` and `data` are passed over.
#[derive(Default)]
struct EventParser {
    rest: Vec<u8>,
    name: String,
    data: String,
}

impl EventParser {
    fn feed(&mut self, chunk: &[u8]) -> Vec<Event> {
        self.rest.extend_from_slice(chunk);
        let mut events = Vec::new();
        while let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            events.extend(self.line(line.trim_end_matches(['\r', '\n'])));
        }
        events
    }

    fn line(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            let (name, data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
            return serde_json::from_str(&data).ok().map(|data| Event { name, data });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" if self.data.is_empty() => value.clone_into(&mut self.data),
            "data" => self.data.extend(["\n", value]),
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_however_the_bytes_are_cut() {
        let stream = b": hello\n\nevent: status\nid: 1\ndata: {\"status\": \"STARTED\"}\n\nevent: progress\r\ndata: {\"done\":\r\ndata: 1}\r\n\r\n";
        for size in 1..stream.len() {
            let mut parser = EventParser::default();
            let events: Vec<Event> = stream.chunks(size).flat_map(|chunk| parser.feed(chunk)).collect();
            assert_eq!(
                events,
                [
                    Event { name: "status".into(), data: json!({"status": "STARTED"}) },
                    Event { name: "progress".into(), data: json!({"done": 1}) },
                ],
                "{size}"
            );
        }
    }

    #[test]
    fn an_event_is_a_line_for_people() {
        let event = |name: &str, data| line(&Event { name: name.into(), data });
        assert_eq!(event("progress", json!({"done": 1, "total": 3, "message": null})), "progress  1/3");
        assert_eq!(event("status", json!({"status": "PENDING"})), "PENDING");
        let failed = json!({"status": "FAILURE", "error": {"message": "no"}, "reason": null});
        assert_eq!(event("status", failed), "FAILURE   no");
    }
}
