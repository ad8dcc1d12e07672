//! What a periodic task of django-celery-beat becomes: a schedule as `POST /schedules` takes it, or the reasons why it cannot become one.

mod crontab;
mod tables;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

pub(super) use tables::read;
use tables::{BeatTables, Record};

/// The task with which Celery deletes old results.
const BACKEND_CLEANUP: &str = "celery.backend_cleanup";
const MOST_URGENT: u32 = 9;

/// The events of django-celery-beat, and what they are called here.
const EVENTS: [(&str, &str); 9] = [
    ("dawn_astronomical", "dawn_astronomical"),
    ("dawn_nautical", "dawn_nautical"),
    ("dawn_civil", "dawn"),
    ("sunrise", "sunrise"),
    ("solar_noon", "noon"),
    ("sunset", "sunset"),
    ("dusk_civil", "dusk"),
    ("dusk_nautical", "dusk_nautical"),
    ("dusk_astronomical", "dusk_astronomical"),
];

/// Which kind does the work of a Celery task.
#[derive(Debug, Default)]
pub(super) struct TaskKinds {
    /// What `--map` says.
    pub(super) chosen: BTreeMap<String, String>,
    /// The kinds that name a Celery task.
    pub(super) declared: BTreeMap<String, Vec<String>>,
    /// All kinds.
    pub(super) names: BTreeSet<String>,
}

impl TaskKinds {
    fn of(&self, task: &str) -> Result<String, String> {
        if let Some(kind) = self.chosen.get(task) {
            return Ok(kind.clone());
        }
        match self.declared.get(task).map(Vec::as_slice) {
            Some([kind]) => Ok(kind.clone()),
            Some(kinds) => Err(format!(
                "the kinds {} all declare the Celery task {task:?}; choose one with --map {task}={}",
                kinds.join(", "),
                kinds.first().map_or("KIND", String::as_str)
            )),
            None if self.names.contains(task) => Ok(task.to_owned()),
            None => Err(format!(
                "no kind is known for the Celery task {task:?}; give --map {task}=KIND, or declare celery_task = {task:?} at the kind of a pack"
            )),
        }
    }
}

/// What becomes of a periodic task.
#[derive(Debug, PartialEq)]
pub(super) enum Mapping {
    /// A schedule, and what is to be said of it.
    Schedule { body: Map<String, Value>, notes: Vec<String> },
    /// Legwork does it by itself.
    NotNeeded(String),
    /// All reasons why it becomes none.
    Impossible(Vec<String>),
}

/// A periodic task with what becomes of it.
#[derive(Debug)]
pub(super) struct Mapped {
    pub(super) name: String,
    pub(super) task: String,
    pub(super) mapping: Mapping,
}

impl BeatTables {
    /// What becomes of each periodic task.
    pub(super) fn mapped(&self, kinds: &TaskKinds, now: Timestamp) -> Vec<Mapped> {
        let text = |row: &Record, column| row.text(column).unwrap_or_default().to_owned();
        let tasks = self.tasks.iter();
        tasks.map(|row| Mapped { name: text(row, "name"), task: text(row, "task"), mapping: self.map(row, kinds, now) }).collect()
    }

    fn map(&self, row: &Record, kinds: &TaskKinds, now: Timestamp) -> Mapping {
        if row.text("task") == Some(BACKEND_CLEANUP) {
            return Mapping::NotNeeded("Legwork deletes old results by itself, after RESULT_RETENTION".to_owned());
        }
        let mut draft = Draft { row, now, body: Map::new(), notes: Vec::new(), reasons: Vec::new() };
        draft.put("name", row.text("name"));
        match kinds.of(row.text("task").unwrap_or_default()) {
            Ok(kind) => draft.put("kind", Some(kind)),
            Err(reason) => draft.reasons.push(reason),
        }
        draft.put("description", row.text("description"));
        draft.enabled();
        draft.args();
        draft.timing(self);
        draft.window();
        draft.options();
        let Draft { body, notes, reasons, .. } = draft;
        if reasons.is_empty() { Mapping::Schedule { body, notes } } else { Mapping::Impossible(reasons) }
    }
}

/// A schedule in the making.
struct Draft<'a> {
    row: &'a Record,
    now: Timestamp,
    body: Map<String, Value>,
    notes: Vec<String>,
    reasons: Vec<String>,
}

impl Draft<'_> {
    fn put(&mut self, field: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.body.insert(field.to_owned(), value.into());
        }
    }

    /// beat disables a task that is to run once only when it looks at it the next time.
    fn enabled(&mut self) {
        let (enabled, one_off) = (self.row.flag("enabled"), self.row.flag("one_off"));
        let has_run = one_off && self.row.number::<u64>("total_run_count").is_some_and(|count| count > 0);
        if enabled && has_run {
            self.notes.push("disabled: it was to run once, and has run".to_owned());
        }
        self.put("enabled", Some(enabled && !has_run));
        self.put("one_off", Some(one_off));
    }

    fn is_enabled(&self) -> bool {
        self.body.get("enabled") == Some(&Value::Bool(true))
    }

    fn args(&mut self) {
        let json = |column: &str, empty: &str| serde_json::from_str::<Value>(self.row.text(column).unwrap_or(empty)).ok();
        match json("args", "[]") {
            Some(Value::Array(args)) if args.is_empty() => {}
            Some(args) => self.reasons.push(format!(
                "it has the positional args {args}, and args have names here: give them as keyword arguments in Django's admin, and import again"
            )),
            None => self.reasons.push("its args are not JSON; correct them in Django's admin".to_owned()),
        }
        match json("kwargs", "{}") {
            Some(Value::Object(kwargs)) => self.put("args", Some(kwargs)),
            _ => self.reasons.push("its keyword arguments are not a JSON object; correct them in Django's admin".to_owned()),
        }
    }

    fn timing(&mut self, tables: &BeatTables) {
        let found: Vec<(&str, Option<&Record>)> = [
            ("crontab_id", &tables.crontabs),
            ("interval_id", &tables.intervals),
            ("solar_id", &tables.solars),
            ("clocked_id", &tables.clocked),
        ]
        .into_iter()
        .filter_map(|(column, schedules)| Some((column, schedules.get(self.row.text(column)?))))
        .collect();
        let done = match found.as_slice() {
            [("crontab_id", Some(schedule))] => self.crontab(schedule),
            [("interval_id", Some(schedule))] => self.interval(schedule),
            [("solar_id", Some(schedule))] => self.solar(schedule),
            [("clocked_id", Some(schedule))] => self.clocked(schedule),
            [] => Err("it has no schedule; beat does not run it either".to_owned()),
            [(column, None)] => Err(format!("its {column} names a schedule that does not exist")),
            _ => Err("it has several schedules, and beat runs one of them; keep one in Django's admin".to_owned()),
        };
        if let Err(reason) = done {
            self.reasons.push(reason);
        }
    }

    fn crontab(&mut self, schedule: &Record) -> Result<(), String> {
        let fields = ["minute", "hour", "day_of_month", "month_of_year", "day_of_week"];
        let translated = crontab::translate(fields.map(|field| schedule.text(field).unwrap_or_default()))?;
        self.put("crontab", Some(translated.expression));
        self.put("timezone", schedule.text("timezone"));
        self.notes.extend(translated.note);
        Ok(())
    }

    /// Celery counts from the last run, so that is where the period is counted from: the phase stays.
    fn interval(&mut self, schedule: &Record) -> Result<(), String> {
        let period = schedule.text("period").unwrap_or_default();
        let every = schedule.number::<i64>("every").filter(|every| *every > 0);
        let every = every.ok_or_else(|| {
            format!("its interval of {:?} {period} is not a period", schedule.text("every").unwrap_or_default())
        })?;
        let (every, unit) = match period {
            "seconds" | "minutes" | "hours" | "days" => (every, period),
            "microseconds" if every % 1_000_000 == 0 => (every / 1_000_000, "seconds"),
            "microseconds" => {
                return Err(format!(
                    "its interval of {every} microseconds is not a whole number of seconds, which is the least unit here"
                ));
            }
            other => {
                return Err(format!(
                    "its interval has the unit {other:?}; days, hours, minutes, seconds and microseconds are known"
                ));
            }
        };
        let mut interval = json!({ "every": every, "unit": unit });
        for column in ["last_run_at", "start_time", "date_changed"] {
            if let Some(from) = time_of(self.row, column)? {
                interval["from"] = whole_seconds(from).to_string().into();
                break;
            }
        }
        self.put("interval", Some(interval));
        Ok(())
    }

    fn solar(&mut self, schedule: &Record) -> Result<(), String> {
        let name = schedule.text("event").unwrap_or_default();
        let event = EVENTS.iter().find(|(theirs, _)| *theirs == name).map(|(_, ours)| *ours);
        let event = event.ok_or_else(|| format!("its event of the sun {name:?} is unknown"))?;
        let degrees = |column: &str| schedule.number::<f64>(column).ok_or_else(|| format!("its {column} is not a number"));
        let (latitude, longitude) = (degrees("latitude")?, degrees("longitude")?);
        self.put("solar", Some(json!({ "event": event, "latitude": latitude, "longitude": longitude })));
        Ok(())
    }

    fn clocked(&mut self, schedule: &Record) -> Result<(), String> {
        let at = time_of(schedule, "clocked_time")?.ok_or("it has no clocked time")?;
        if at <= self.now && self.is_enabled() {
            return Err(format!(
                "its time {at} has passed, and a schedule never fires in the past. Disable it in Django's admin, or give it another time"
            ));
        }
        self.put("clocked", Some(at.to_string()));
        Ok(())
    }

    /// Between which times it fires.
    fn window(&mut self) {
        match time_of(self.row, "start_time") {
            Ok(start) => self.put("start", start.map(|start| start.to_string())),
            Err(reason) => self.reasons.push(reason),
        }
        match time_of(self.row, "expires") {
            Ok(Some(end)) if end <= self.now => {
                self.reasons.push(format!("it expired at {end}; beat does not run it any more either"));
            }
            Ok(end) => self.put("end", end.map(|end| end.to_string())),
            Err(reason) => self.reasons.push(reason),
        }
    }

    /// Where its tasks go, and how long they are good for.
    fn options(&mut self) {
        self.put("queue", self.row.text("queue"));
        // Without a value or with 0, Celery sets no expiry.
        self.put("expires", self.row.number::<u64>("expire_seconds").filter(|seconds| *seconds > 0));
        if let Some(priority) = self.row.number::<u32>("priority") {
            self.put("priority", Some(priority.min(MOST_URGENT)));
            self.notes.push(if priority > MOST_URGENT {
                format!("priority {priority} becomes {MOST_URGENT}, the most urgent")
            } else {
                format!("priority {priority} is kept: {MOST_URGENT} is the most urgent here, and 0 was with Celery on Redis")
            });
        }
        for column in ["exchange", "routing_key", "headers"] {
            if self.row.text(column).is_some_and(|text| text != "{}") {
                self.notes.push(format!("its {column} is ignored: there are queues only"));
            }
        }
    }
}

/// The time of a column. The error says that it is none.
fn time_of(row: &Record, column: &str) -> Result<Option<Timestamp>, String> {
    row.text(column).map(|text| moment(text).ok_or_else(|| format!("its {column} {text:?} is not a time"))).transpose()
}

/// A time as Django writes it. `SQLite` keeps it in UTC, without an offset.
fn moment(text: &str) -> Option<Timestamp> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    let local: DateTime = text.parse().ok()?;
    local.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

#[cfg(test)]
mod tests;
