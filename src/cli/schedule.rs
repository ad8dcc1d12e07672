//! `legwork schedule` and `legwork maintenance`: what runs by the clock on a running server.

use std::time::Duration;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::CliError;
use super::client::{ApiRequest, Client};
use super::kind_args::KindArgs;
use super::output::{self, OutputArgs};
use crate::config::{Config, parse_duration};

const COLUMNS: [&str; 6] = ["name", "enabled", "kind", "when", "next", "last"];
const FIRING_COLUMNS: [&str; 6] = ["nominal", "trigger", "run_by", "outcome", "task_id", "reason"];

/// The fields that `edit --clear` puts back to their defaults.
const CLEARABLE: [&str; 14] = [
    "args",
    "description",
    "dst_gap",
    "dst_overlap",
    "end",
    "expires",
    "jitter",
    "max_lateness",
    "missed",
    "missed_limit",
    "overlap",
    "priority",
    "queue",
    "start",
];
const EDIT_EXAMPLES: &str = "\
Examples:
  legwork schedule edit 'Health check' --crontab '*/10 * * * *' --overlap skip
  legwork schedule edit 'Health check' --clear overlap --clear expires --one-off false";

/// List, add, change and run schedules
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  legwork schedule list
  legwork schedule preview --crontab '0 9 * * mon' --timezone Europe/London
  legwork schedule add 'Health check' system.health_check --interval 30m
  legwork schedule edit 'Health check' --crontab '*/10 * * * *' --overlap skip
  legwork schedule run 'Health check'
  legwork schedule firings 'Health check'
  legwork schedule sync")]
pub(super) struct ScheduleArgs {
    #[command(subcommand)]
    command: ScheduleCommand,
}

#[derive(Debug, Subcommand)]
enum ScheduleCommand {
    /// List the schedules with their next runs
    List {
        /// Only enabled (true) or disabled (false) ones
        #[arg(long)]
        enabled: Option<bool>,
        /// Only those that this pack declares
        #[arg(long)]
        pack: Option<String>,
    },
    /// Show a schedule
    Show(ScheduleName),
    /// Add a schedule
    Add {
        /// The name, unique among all schedules
        name: String,
        /// The kind of its tasks
        kind: String,
        #[command(flatten)]
        args: KindArgs,
        #[command(flatten)]
        fields: Box<FieldArgs>,
        /// Add it without enabling it
        #[arg(long)]
        disabled: bool,
    },
    /// Change a schedule: what is given replaces what there is, args as a whole
    #[command(after_help = EDIT_EXAMPLES)]
    Edit {
        #[command(flatten)]
        schedule: ScheduleName,
        /// Another name
        #[arg(long)]
        name: Option<String>,
        /// Another kind
        #[arg(long)]
        kind: Option<String>,
        #[command(flatten)]
        args: KindArgs,
        #[command(flatten)]
        fields: Box<FieldArgs>,
        /// Put a field back to its default; repeat it for more
        #[arg(long, value_name = "FIELD", value_parser = CLEARABLE)]
        clear: Vec<String>,
    },
    /// Let a schedule fire at its next nominal time
    Enable(ScheduleName),
    /// Keep a schedule from firing
    Disable(ScheduleName),
    /// Delete a schedule and its firings
    Delete(ScheduleName),
    /// Make a task of a schedule now
    Run(ScheduleName),
    /// Show what became of the nominal times of a schedule, newest first
    Firings {
        #[command(flatten)]
        schedule: ScheduleName,
        /// At most so many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=500))]
        limit: u16,
    },
    /// Bring the schedules of the server's packs in line with what they declare; what an administrator changed stays
    Sync,
    /// Show the coming instants of a timing
    Preview {
        #[command(flatten)]
        timing: TimingArgs,
        /// How many instants
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u8).range(1..=100))]
        count: u8,
    },
}

#[derive(Debug, Args)]
struct ScheduleName {
    /// The name or the id of the schedule
    schedule: String,
}

/// When it fires.
#[derive(Debug, Args)]
struct TimingArgs {
    /// Five crontab fields, or @daily and its like
    #[arg(long)]
    crontab: Option<String>,
    /// A period, as in 30s, 5m, 12h, 1d or 2w
    #[arg(long)]
    interval: Option<String>,
    /// One instant, as in 2030-01-01T09:00:00Z
    #[arg(long)]
    clocked: Option<String>,
    /// An event of the sun: sunrise, noon, sunset, dawn or dusk; with --latitude and --longitude
    #[arg(long, requires_all = ["latitude", "longitude"])]
    solar: Option<String>,
    /// Degrees north
    #[arg(long, allow_hyphen_values = true, requires = "solar")]
    latitude: Option<f64>,
    /// Degrees east
    #[arg(long, allow_hyphen_values = true, requires = "solar")]
    longitude: Option<f64>,
    /// An IANA zone; by default TIMEZONE of the server
    #[arg(long)]
    timezone: Option<String>,
    /// Local times that the clocks jump over: `shift_forward` or skip
    #[arg(long)]
    dst_gap: Option<String>,
    /// Local times that occur twice: first, second or both
    #[arg(long)]
    dst_overlap: Option<String>,
}

/// What else a schedule has.
#[derive(Debug, Args)]
struct FieldArgs {
    #[command(flatten)]
    timing: TimingArgs,
    /// The purpose, for people
    #[arg(long)]
    description: Option<String>,
    /// No firing before this time
    #[arg(long)]
    start: Option<String>,
    /// No firing at or after this time
    #[arg(long)]
    end: Option<String>,
    /// Whether it is disabled after its first firing
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    one_off: Option<bool>,
    /// Tasks expire so long after their nominal time, as in 30m
    #[arg(long, value_parser = parse_seconds)]
    expires: Option<Duration>,
    /// The queue of the tasks
    #[arg(long)]
    queue: Option<String>,
    /// The priority of the tasks, 0 to 9
    #[arg(long)]
    priority: Option<u8>,
    /// Missed firings that are made up for: skip, last or all
    #[arg(long)]
    missed: Option<String>,
    /// How many firings `--missed all` makes up for at once
    #[arg(long)]
    missed_limit: Option<u32>,
    /// A firing that is found later than this is not made, as in 2h
    #[arg(long, value_parser = parse_seconds)]
    max_lateness: Option<Duration>,
    /// While an earlier task has not ended: allow, skip or `queue_one`
    #[arg(long)]
    overlap: Option<String>,
    /// Spread the tasks over so long after their nominal time, as in 5m
    #[arg(long, value_parser = parse_seconds)]
    jitter: Option<Duration>,
}

/// A duration in whole seconds: schedules have no parts of a second.
fn parse_seconds(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text)?;
    if duration.subsec_nanos() == 0 { Ok(duration) } else { Err(format!("{text:?} has parts of a second; give whole seconds")) }
}

impl TimingArgs {
    fn add_to(&self, body: &mut Map<String, Value>) {
        let texts = [
            ("crontab", &self.crontab),
            ("interval", &self.interval),
            ("clocked", &self.clocked),
            ("timezone", &self.timezone),
            ("dst_gap", &self.dst_gap),
            ("dst_overlap", &self.dst_overlap),
        ];
        body.extend(texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), json!(text.as_ref()?)))));
        if let Some(event) = &self.solar {
            let place = json!({ "event": event, "latitude": self.latitude, "longitude": self.longitude });
            body.insert("solar".into(), place);
        }
    }
}

impl FieldArgs {
    fn add_to(&self, body: &mut Map<String, Value>) {
        self.timing.add_to(body);
        let seconds = |duration: &Option<Duration>| duration.map(|duration| json!(duration.as_secs()));
        let fields = [
            ("description", self.description.as_ref().map(|text| json!(text))),
            ("start", self.start.as_ref().map(|text| json!(text))),
            ("end", self.end.as_ref().map(|text| json!(text))),
            ("one_off", self.one_off.map(|one_off| json!(one_off))),
            ("expires", seconds(&self.expires)),
            ("queue", self.queue.as_ref().map(|text| json!(text))),
            ("priority", self.priority.map(|number| json!(number))),
            ("missed", self.missed.as_ref().map(|text| json!(text))),
            ("missed_limit", self.missed_limit.map(|number| json!(number))),
            ("max_lateness", seconds(&self.max_lateness)),
            ("overlap", self.overlap.as_ref().map(|text| json!(text))),
            ("jitter", seconds(&self.jitter)),
        ];
        body.extend(fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    }
}

pub(super) async fn run(args: ScheduleArgs, config: Config, output: OutputArgs) -> Result<(), CliError> {
    let client = Client::new(&config)?;
    let mut body = Map::new();
    let (method, name, verb) = match args.command {
        ScheduleCommand::List { enabled, pack } => return list(&client, enabled, pack, output).await,
        ScheduleCommand::Firings { schedule, limit } => return firings(&client, &schedule.schedule, limit, output).await,
        ScheduleCommand::Sync => {
            let answer = client.send(ApiRequest::new(Method::POST, &["schedules", "sync"])).await?;
            return output.print(&answer, render_sync);
        }
        ScheduleCommand::Preview { timing, count } => {
            timing.add_to(&mut body);
            body.insert("count".into(), json!(count));
            let request = ApiRequest::new(Method::POST, &["schedules", "preview"]).body(Value::Object(body));
            return output.print(&client.send(request).await?, render_preview);
        }
        ScheduleCommand::Add { name, kind, args, fields, disabled } => {
            fields.add_to(&mut body);
            body.extend([("name".into(), json!(name)), ("kind".into(), json!(kind)), ("enabled".into(), json!(!disabled))]);
            let request =
                ApiRequest::new(Method::POST, &["schedules"]).body(Value::Object(body)).args(args.text_for(&Value::Null)?);
            return output.print(&client.send(request).await?, render);
        }
        ScheduleCommand::Edit { schedule, name, kind, args, fields, clear } => {
            fields.add_to(&mut body);
            let texts = [("name", name), ("kind", kind)];
            body.extend(texts.into_iter().filter_map(|(field, text)| Some((field.to_owned(), json!(text?)))));
            let args = args.are_given().then(|| args.text_for(&Value::Null)).transpose()?;
            put_defaults(&mut body, args.is_some(), clear)?;
            return edit(&client, &schedule.schedule, body, args, output).await;
        }
        ScheduleCommand::Show(name) => (Method::GET, name.schedule, None),
        ScheduleCommand::Enable(name) => (Method::POST, name.schedule, Some("enable")),
        ScheduleCommand::Disable(name) => (Method::POST, name.schedule, Some("disable")),
        ScheduleCommand::Run(name) => (Method::POST, name.schedule, Some("run")),
        ScheduleCommand::Delete(name) => (Method::DELETE, name.schedule, None),
    };
    let path: Vec<&str> = ["schedules", &name].into_iter().chain(verb).collect();
    let answer = client.send(ApiRequest::new(method, &path)).await?;
    output.print(&answer, |answer| match answer {
        Value::Null if verb.is_some() => "disabled; this version of the server cannot read the schedule".into(),
        Value::Null => "deleted".into(),
        answer if answer.get("task_id").is_some() => output::fields(answer, &["task_id", "status"]),
        answer => render(answer),
    })
}

/// Adds null for each field that is put back to its default.
fn put_defaults(body: &mut Map<String, Value>, has_args: bool, clear: Vec<String>) -> Result<(), CliError> {
    for field in clear {
        if body.get(&field).is_some_and(|value| !value.is_null()) || has_args && field == "args" {
            return Err(CliError::Usage(format!("--clear {field} and a value for it are given; give one of them")));
        }
        body.insert(field, Value::Null);
    }
    Ok(())
}

async fn edit(
    client: &Client,
    schedule: &str,
    body: Map<String, Value>,
    args: Option<String>,
    output: OutputArgs,
) -> Result<(), CliError> {
    if body.is_empty() && args.is_none() {
        return Err(CliError::Usage("nothing is to be changed; give a field and its new value, as in --crontab '@daily'".into()));
    }
    let path = ["schedules", schedule];
    let before = client.send(ApiRequest::new(Method::GET, &path)).await?;
    let change = ApiRequest::new(Method::PATCH, &path).body(Value::Object(body));
    let after = client.send(if let Some(args) = args { change.args(args) } else { change }).await?;
    if before["updated_at"] == after["updated_at"] {
        output::say("The schedule has these values already; nothing was changed.");
    }
    output.print(&after, render)
}

/// A schedule, a field a line; its runs are times.
fn render(schedule: &Value) -> String {
    let mut rendered = schedule.clone();
    let runs = schedule["next_runs"].as_array().into_iter().flatten().map(|run| run["local"].clone());
    rendered["next_runs"] = runs.collect();
    let last = &schedule["last_firing"];
    if last.is_object() {
        let reason = last["reason"].as_str().map(|reason| format!(": {reason}")).unwrap_or_default();
        rendered["last_firing"] = format!("{} {}{reason}", output::cell(&last["nominal"]), output::cell(&last["outcome"])).into();
    }
    output::fields(&rendered, &["name", "kind", "enabled", "disabled_reason", "when", "next_runs", "last_firing", "args", "id"])
}

/// A line for each schedule: its pack, its name and what was done.
fn render_sync(answer: &Value) -> String {
    let mut rows = Vec::new();
    for pack in answer["packs"].as_array().into_iter().flatten() {
        for (outcome, names) in pack.as_object().into_iter().flatten() {
            for name in names.as_array().into_iter().flatten() {
                rows.push(vec![output::cell(&pack["pack"]), output::cell(name), outcome.clone()]);
            }
        }
    }
    output::table(&["pack", "name", "outcome"], &rows)
}

fn render_preview(preview: &Value) -> String {
    let runs = preview["next_runs"].as_array().into_iter().flatten().filter_map(|run| run["local"].as_str());
    std::iter::once(preview["description"].as_str().unwrap_or_default()).chain(runs).collect::<Vec<_>>().join("\n")
}

/// All schedules, page by page, and those that the server cannot read.
async fn list(client: &Client, enabled: Option<bool>, pack: Option<String>, output: OutputArgs) -> Result<(), CliError> {
    let mut all = json!({ "items": [], "unreadable": [] });
    let mut cursor: Option<String> = None;
    loop {
        let mut request = ApiRequest::new(Method::GET, &["schedules"]).query("limit", 500);
        if let Some(enabled) = enabled {
            request = request.query("enabled", enabled);
        }
        if let Some(pack) = &pack {
            request = request.query("pack", pack);
        }
        if let Some(cursor) = &cursor {
            request = request.query("cursor", cursor);
        }
        let mut page = client.send(request).await?;
        for list in ["items", "unreadable"] {
            if let (Some(all), Some(more)) = (all[list].as_array_mut(), page[list].as_array_mut()) {
                all.append(more);
            }
        }
        cursor = page["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    for bad in all["unreadable"].as_array().into_iter().flatten() {
        let [name, id, reason] = ["name", "id", "reason"].map(|field| output::cell(&bad[field]));
        output::say(&format!("The server cannot read the schedule {name} ({id}): {reason}"));
    }
    output.print(&all, |schedules| {
        output::item_table(schedules, &COLUMNS, |schedule, column| match column {
            "next" => output::cell(&schedule["next_runs"][0]["local"]),
            "last" => output::cell(&schedule["last_firing"]["outcome"]),
            "when" => short(&output::cell(&schedule["when"])),
            column => output::cell(&schedule[column]),
        })
    })
}

/// The timing in words for a column: without the instant from which a period is counted, which `show` has.
fn short(when: &str) -> String {
    match (when.split_once(" from "), when.rsplit_once(" (")) {
        (Some((period, _)), Some((_, zone))) if when.starts_with("Every ") => format!("{period} ({zone}"),
        _ => when.to_owned(),
    }
}

async fn firings(client: &Client, schedule: &str, limit: u16, output: OutputArgs) -> Result<(), CliError> {
    let path = ["schedules", schedule, "firings"];
    let firings = client.send(ApiRequest::new(Method::GET, &path).query("limit", limit)).await?;
    output.print(&firings, |firings| output::item_table(firings, &FIRING_COLUMNS, |firing, column| output::cell(&firing[column])))
}

/// Stop all firings and all fetching, and continue
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  legwork maintenance status
  legwork maintenance on --reason 'database upgrade'
  legwork maintenance off")]
pub(super) struct MaintenanceArgs {
    #[command(subcommand)]
    command: MaintenanceCommand,
}

#[derive(Debug, Subcommand)]
enum MaintenanceCommand {
    /// Show whether maintenance is on
    Status,
    /// Stop all firings and all fetching; running tasks go on
    On {
        /// The reason, which is shown to everybody who asks
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Continue
    Off,
}

pub(super) async fn maintenance(args: MaintenanceArgs, config: Config, output: OutputArgs) -> Result<(), CliError> {
    let client = Client::new(&config)?;
    let path = ["maintenance"];
    let request = match args.command {
        MaintenanceCommand::Status => ApiRequest::new(Method::GET, &path),
        MaintenanceCommand::On { reason } => {
            let present = client.send(ApiRequest::new(Method::GET, &path)).await?;
            if present["on"] == true {
                output::say("Maintenance is on already; its time and its reason stay as they are.");
            }
            ApiRequest::new(Method::PUT, &path).body(json!({ "on": true, "reason": reason }))
        }
        MaintenanceCommand::Off => ApiRequest::new(Method::PUT, &path).body(json!({ "on": false })),
    };
    let answer = client.send(request).await?;
    output.print(&answer, |answer| output::fields(answer, &["on", "since", "reason", "principal"]))
}
